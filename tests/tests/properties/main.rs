//! What must hold of every input: the two evaluators agree, sets are sets, policies add up, questions about sets agree with
//! questions about flows, and no text makes the reader panic.
//!
//! `PORTOLAN_CASES` sets the number of cases a property is tried with, `PORTOLAN_SEED` the seed (any text).
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod differential;
mod gateways;
mod graphs;
mod ingress;
mod live;
mod node_programs;
mod policies;
mod proxied;
mod queries;
mod reading;
mod requests;
mod services;
mod sets;
mod support;
mod tiers;
mod ways;
