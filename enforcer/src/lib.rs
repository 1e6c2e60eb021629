//! The node side of Portolan.
//!
//! This release looks and does not touch: [`facts`] reads what the kernel says about a node, [`preflight`] judges
//! whether the data path that a later release brings could run there, [`report`] writes the judgement down.

pub mod facts;
pub mod preflight;
pub mod report;
