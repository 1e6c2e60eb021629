//! Manifests of mostly right structure: reading, lowering and compiling end without a panic, lowering twice gives the
//! same cluster, and under each preset the reference evaluator and the compiled tables agree on flows between the first
//! pods, translated ones included.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy_core::analysis::Analysis;
use policy_core::lower::{self, LowerOptions};
use policy_core::manifest::{self, ReadOptions};
use policy_core::model::{Family, Flow, Judge, Party, Profile, Protocol};
use policy_core::source::SourceMap;
use policy_core::spec::Spec;
use portolan_fuzz::{Bytes, manifests};

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes::new(data);
    let preset = Profile::PRESETS[usize::from(bytes.byte()) % Profile::PRESETS.len()];
    let mut sources = SourceMap::default();
    sources.add("fuzz.yaml", manifests(&mut bytes));
    // A budget that a small input can reach.
    let options = ReadOptions { max_nodes: 20_000, ..ReadOptions::default() };
    let (snapshot, _) = manifest::read(&sources, &options);
    let (cluster, diagnostics) = lower::lower(&snapshot, &LowerOptions::default());
    let again = lower::lower(&snapshot, &LowerOptions::default());
    assert_eq!((format!("{cluster:?}"), &diagnostics), (format!("{:?}", again.0), &again.1));

    let profile = Profile::preset(preset).expect("it is one of the presets");
    let analysis = Analysis::new(cluster, profile);
    let spec = Spec::new(&analysis.cluster, &analysis.profile);
    let pods = analysis.cluster.pods.ids().take(3).map(Party::Pod);
    let node = analysis.cluster.nodes.ids().next();
    let outside = [Party::Address([10, 0, 0, 5].into()), Party::Address([0xfd00, 0, 0, 0, 0, 0, 0, 1].into())];
    let parties: Vec<_> = pods.chain(node.map(Party::Node)).chain(outside).collect();
    for source in &parties {
        for destination in &parties {
            for (protocol, port) in [(Protocol::Tcp, 80), (Protocol::Tcp, 8080), (Protocol::Udp, 65535)] {
                for family in Family::ALL {
                    let direct = Flow::direct(*source, *destination, family, protocol, port);
                    let dialled = Flow { dialled: Some(([10, 0, 0, 5], 80).into()), ..direct };
                    let masqueraded = Flow { masqueraded_by: node, ..direct };
                    for flow in [direct, dialled, masqueraded] {
                        assert_eq!(spec.judge(&flow), analysis.judge(&flow), "{flow:?}");
                    }
                }
            }
        }
    }
});
