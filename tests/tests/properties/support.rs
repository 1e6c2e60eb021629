//! How a property is run.

use std::env;

use policy_core::model::{Cluster, Flow, Judge, Judgement, KnobSet, Party, Profile, Verdict};
use policy_core::spec::Spec;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// How often a property is tried: `PORTOLAN_CASES`, or as many as fit into an ordinary test run.
pub(crate) fn cases(usual: u32) -> u32 {
    env::var("PORTOLAN_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Tries a property, and panics with the smallest counter-example. The same seed gives the same cases.
pub(crate) fn check<S: Strategy>(usual: u32, strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases: cases(usual), failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let mut seed = [0x5a; 32];
    let text = env::var("PORTOLAN_SEED").unwrap_or_default();
    for (byte, given) in seed.iter_mut().zip(text.bytes()) {
        *byte = given;
    }
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    if let Err(error) = runner.run(strategy, property) {
        panic!("{error}");
    }
}

/// The reference evaluator's judgement.
pub(crate) fn judge(cluster: &Cluster, profile: &Profile, flow: &Flow) -> Judgement {
    Spec::new(cluster, profile).judge(flow)
}

/// What of a judgement does not depend on how policies are called, cut up or ordered.
pub(crate) fn answer(judgement: &Judgement) -> (Verdict, KnobSet) {
    (judgement.verdict, judgement.knobs())
}

/// The namespace of a party, if it is a pod.
pub(crate) fn namespace(cluster: &Cluster, party: Party) -> Option<&str> {
    match party {
        Party::Pod(id) => Some(&cluster.namespaces.at(cluster.pods.at(id).namespace).name),
        Party::Node(_) | Party::Address(_) | Party::Named(_) | Party::Somebody(_) => None,
    }
}
