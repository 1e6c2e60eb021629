//! The node side of Portolan.
//!
//! [`datapath`] is the kernel's program with its tables, [`words`] turns its records into names of the cluster,
//! [`reasons`] keeps the words behind its counters for other processes, [`counters`] writes them down,
//! [`commands`] are what an operator calls. [`facts`] reads what the kernel says about a node, [`preflight`] judges
//! whether the data path can run there, [`report`] writes the judgement down. [`ground`] is what must hold in a network
//! namespace before anybody claims to enforce there, and sees to it.

pub mod commands;
pub mod counters;
pub mod datapath;
pub mod facts;
pub mod ground;
mod netlink;
pub mod preflight;
pub mod reasons;
pub mod report;
pub mod words;
