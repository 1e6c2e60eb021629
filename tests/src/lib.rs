//! What the tests that cross crates share, and the conformance runner: case files in, one line a case out.
//!
//! ```text
//! PATH… ─ discover ─▶ case files ─┬─ reach ────▶ cluster states, questions ─┐
//!                                 ├─ validate ─▶ manifests taken or refused ├─▶ report ─▶ lines, exit status
//!                                 ├─ route ────▶ requests, conditions ──────┤
//!                                 └─ peer ─────▶ lists of connections ──────┘
//! ```
//!
//! Every case goes the way that a user's files go: text, [`manifest::read`](policy_core::manifest::read),
//! [`lower`](mod@policy_core::lower), and one of the two evaluators.

pub mod discover;
pub mod peer;
pub mod pipeline;
pub mod reach;
pub mod report;
pub mod route;
pub mod validate;
