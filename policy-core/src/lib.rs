//! Kubernetes NetworkPolicy compiled into a reachability graph: a pure library.
//!
//! ```text
//! text ─ manifest ─▶ Snapshot ─ lower ─▶ Cluster ─ compile ─▶ Compiled ─▶ query · explain · graph
//!        (spans)    what was said       what it means     classes + tables
//!                                          └─▶ spec: the slow, obvious evaluator that the rest must agree with
//! ```
//!
//! No module does IO, reads the environment or a clock, starts a thread or prints.
#![warn(clippy::disallowed_methods)]

pub mod analysis;
pub mod compile;
pub mod coverage;
pub mod diagnostic;
pub mod explain;
pub mod graph;
pub mod hypothetical;
pub mod ids;
pub mod live;
pub mod lower;
pub mod manifest;
pub mod model;
pub mod near;
pub mod node_program;
pub mod query;
pub mod selection;
pub mod snapshot;
pub mod source;
pub mod spec;
#[cfg(test)]
mod testing;
pub mod ties;
pub mod ways;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
