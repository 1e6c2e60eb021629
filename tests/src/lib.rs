//! What the tests that cross crates share, and the conformance runner: case files in, one line a case out.
//!
//! ```text
//! PATH… ─ discover ─▶ case files ─┬─ reach ────────▶ cluster states, questions ─┐
//!                                 ├─ service_flow ─▶ packets on a node ─────────┤
//!                                 ├─ ingress ──────▶ requests to backends ──────┤
//!                                 ├─ route ────────▶ requests, conditions ──────┤
//!                                 ├─ validate ─────▶ manifests taken or refused ├─▶ report ─▶ lines, exit status
//!                                 └─ peer ─────────▶ lists of connections ──────┘
//! ```
//!
//! Every case goes the way that a user's files go: text, [`manifest::read`](policy_core::manifest::read),
//! [`lower`](mod@policy_core::lower), and one of the two evaluators.

pub mod command;
pub mod discover;
pub mod frame;
pub mod ingress;
pub mod netns;
pub mod on_nodes;
pub mod peer;
pub mod pipeline;
pub mod property;
pub mod reach;
pub mod report;
pub mod route;
pub mod service_flow;
pub mod settled;
pub mod validate;
