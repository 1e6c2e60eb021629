//! Any bytes: decoding and reading end, without a panic, and every place that they name is a place of the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy_core::manifest::{self, ReadOptions};
use policy_core::source::SourceMap;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = manifest::decode_bytes("fuzz.yaml", data.to_vec()) else {
        return;
    };
    let length = text.len();
    let mut sources = SourceMap::default();
    sources.add("fuzz.yaml", text);
    // A budget that a small input can reach.
    let options = ReadOptions { max_nodes: 20_000, ..ReadOptions::default() };
    let (snapshot, diagnostics) = manifest::read(&sources, &options);
    let objects = snapshot.objects.iter().filter_map(|object| object.span);
    let labels = diagnostics.iter().flat_map(|found| found.primary.iter().chain(&found.secondary));
    for span in objects.chain(labels.map(|label| label.span)) {
        assert!(span.start <= span.end && span.end as usize <= length, "{span:?} of {length}");
        let _ = sources.locate(span);
    }
});
