//! The generated manifests reach what they are for: without this a run of the target `lower` would say nothing.

use policy_core::lower::{self, LowerOptions};
use policy_core::manifest::{self, ReadOptions};
use policy_core::source::SourceMap;
use portolan_fuzz::{Bytes, manifests};

#[test]
fn most_random_inputs_have_pods_and_many_have_policies() {
    let (mut state, mut pods, mut policies) = (1_u64, 0, 0);
    for _ in 0..500 {
        let data: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        })
        .take(256)
        .collect();
        let mut sources = SourceMap::default();
        sources.add("fuzz.yaml", manifests(&mut Bytes::new(&data)));
        let (snapshot, _) = manifest::read(&sources, &ReadOptions::default());
        let (cluster, _) = lower::lower(&snapshot, &LowerOptions::default());
        pods += usize::from(!cluster.pods.is_empty());
        policies += usize::from(!cluster.policies.is_empty());
    }
    assert!(pods > 250 && policies > 125, "{pods} with pods and {policies} with policies of 500");
}
