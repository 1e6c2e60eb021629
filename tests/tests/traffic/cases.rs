//! Case files, asked by real packets.

use std::path::Path;

use tests::discover::discover;
use tests::on_nodes::Evaluator;
use tests::reach;

use super::stage::within;

fn cases(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus/cases").join(name)
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn case_files_hold_for_real_packets() {
    within(120, || {
        let evaluator = Evaluator::netns();
        let names = [
            "dual-stack.yaml",
            "np-006-both-ends.yaml",
            "np-015-port-ranges.yaml",
            "np-017-sctp.yaml",
            "np-019-a-pod-and-its-node.yaml",
            "np-020-other-nodes.yaml",
            "np-022-pods-on-the-hosts-network.yaml",
            "steps.yaml",
        ];
        let found = discover(&names.map(cases)).unwrap();
        assert_eq!(found.files.len(), names.len());
        for file in &found.files {
            let outcome = reach::run(&evaluator, file);
            assert!(outcome.passed(), "{outcome:?}");
        }
        assert!(evaluator.asked_by_packets() > Some(50), "{:?}", evaluator.asked_by_packets());
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn wrong_expectations_fail_both_ways() {
    within(60, || {
        let mut found = discover(&[cases("dual-stack.yaml")]).unwrap();
        let file = found.files.first_mut().unwrap();
        let mut flipped = 0;
        for probe in file.content["steps"].as_array_mut().unwrap().iter_mut().flat_map(|step| {
            step["probes"].as_array_mut().unwrap().iter_mut().flat_map(|probe| probe["pairs"].as_array_mut().unwrap())
        }) {
            let other = if probe["expect"] == "allow" { "deny" } else { "allow" };
            probe["expect"] = other.into();
            flipped += 1;
        }
        let outcome = reach::run(&Evaluator::netns(), file);
        assert_eq!((outcome.asked, outcome.right), (flipped, 0), "{:?}", outcome.differences);
    });
}
