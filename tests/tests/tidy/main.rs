//! What holds of the repository itself: the invariants of ARCHITECTURE.md that a test can see.

mod dependencies;
mod files;
mod rules;
mod workspace;
