//! What one node needs to enforce policies, as a pure value (design: data path).
//!
//! A packet is judged by few lookups, however many policies there are: the address of each end gives an
//! [`Identity`], an identity of a local pod gives the [`Subject`](SubjectId) whose policies are asked, subject and
//! [column](ColumnId) of the other end give a row, and the row has a [`Cell`] for each class of ports.
//!
//! [`NodeProgram::judge`] is the data path in Rust. The kernel's program must agree with it on every packet, and it
//! must agree with [`spec`](crate::spec) on every flow that has a definite answer.

mod build;
mod flow;
mod packet;
mod ports;
mod reason;
mod reconcile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::ids::{Id, IdVec};
use crate::model::Name;

pub use build::{Options, Unfit};
pub use flow::{NodePrograms, Unaskable};
pub use packet::{Decision, HostSide, Packet, Transport};
pub use ports::{PortClass, PortClasses};
pub use reason::{PolicyRule, Reason};
pub use reconcile::{Installed, MapOp, Shape, Slot, Step};

crate::id_type!(
    /// What policies know of an address.
    IdentityId
);
crate::id_type!(
    /// The policies that act on some pods in one direction. The first is the empty one: everything passes.
    SubjectId
);
crate::id_type!(
    /// Identities that no local policy tells apart as the other end.
    ColumnId
);
crate::id_type!(
    /// What one subject says to one column, port class by port class. The first row lets everything through.
    RowId
);
crate::id_type!(
    /// Why a packet passes or not.
    ReasonId
);

/// The part of a compiled cluster that one node needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeProgram {
    /// The node.
    pub node: Name,
    /// Addresses of pods and nodes, in the whole cluster.
    pub ends: BTreeMap<IpAddr, Endpoint>,
    /// What is swapped as a whole when policies change.
    pub generation: Generation,
}

/// Whom an address stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// What policies know of it.
    pub identity: IdentityId,
    /// Whether it is a pod of this node: only those have their policies asked here.
    pub local: bool,
}

/// Everything about policies: what identities mean to them, and what they say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generation {
    /// What policies know of addresses.
    pub identities: IdVec<IdentityId, Identity>,
    /// Addresses that are neither a pod's nor a node's: disjoint ranges above one that holds all of its family, so that
    /// every address has an identity. Sorted.
    pub blocks: Vec<(IpNet, IdentityId)>,
    /// A process of this node whose address is nobody's, by family.
    pub own_node: [IdentityId; 2],
    /// The row of each subject and column: subject after subject, as many as there are columns.
    pub rows: Vec<RowId>,
    /// The number of columns; at least one.
    pub columns: usize,
    /// The cells of each row: row after row, one for each port class.
    pub cells: Vec<Cell>,
    /// How ports fall into classes.
    pub ports: PortClasses,
    /// Why.
    pub reasons: IdVec<ReasonId, Reason>,
    /// Whether policies are asked about egress to the own node, as about any other (NP-19).
    pub asks_own_node: bool,
    /// Whether policies are asked about a pod that reaches itself through a Service (NP-18).
    pub asks_itself: bool,
}

/// What policies know of an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity {
    /// What it is to the policies of others.
    pub column: ColumnId,
    /// Its own policies for what comes in.
    pub ingress: Side,
    /// Its own policies for what goes out.
    pub egress: Side,
    /// An address of this node's pods of which nothing is known: not let through, unless the operator says so.
    pub unknown: bool,
    /// A pod of this node whose namespace is audited: what its own policies refuse passes all the same, and is told.
    pub audit: bool,
}

/// The policies of an end for one direction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Side {
    /// For most traffic.
    pub plain: SubjectId,
    /// For traffic that NetworkPolicies let through unasked (NP-18, NP-19): what the Admin tier says.
    pub exempt: SubjectId,
}

impl Side {
    /// Nothing acts on the end.
    #[must_use]
    pub fn open() -> Self {
        let none = SubjectId::from_index(0);
        Self { plain: none, exempt: none }
    }
}

/// What a row says of one port class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cell {
    /// Whether packets pass.
    pub allow: bool,
    /// Why.
    pub reason: ReasonId,
}
