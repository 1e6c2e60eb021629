//! Manifests of mostly right structure: reading and lowering end without a panic, and the same input gives the same
//! cluster.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy_core::lower::{self, LowerOptions};
use policy_core::manifest::{self, ReadOptions};
use policy_core::source::SourceMap;
use portolan_fuzz::{Bytes, manifests};

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes::new(data);
    let mut sources = SourceMap::default();
    sources.add("fuzz.yaml", manifests(&mut bytes));
    // A budget that a small input can reach.
    let options = ReadOptions { max_nodes: 20_000, ..ReadOptions::default() };
    let (snapshot, _) = manifest::read(&sources, &options);
    let (cluster, diagnostics) = lower::lower(&snapshot, &LowerOptions::default());
    let again = lower::lower(&snapshot, &LowerOptions::default());
    assert_eq!((format!("{cluster:?}"), &diagnostics), (format!("{:?}", again.0), &again.1));
});
