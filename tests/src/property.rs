//! How a property is run.

use std::env;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// How often a property is tried: `PORTOLAN_CASES`, or as many as fit into an ordinary test run.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    env::var("PORTOLAN_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Tries a property, and panics with the smallest counter-example. The same seed gives the same cases: `PORTOLAN_SEED`, any
/// text.
#[expect(clippy::panic, reason = "a property that does not hold fails its test")]
pub fn check<S: Strategy>(usual: u32, strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
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
