//! What holds of the repository itself: the invariants of ARCHITECTURE.md that a test can see.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]

mod checklist;
mod dependencies;
mod files;
mod rules;
mod workspace;
