//! One connection: the question that an evaluator answers.

use std::net::{IpAddr, SocketAddr};

use crate::ids::{NodeId, PodId};
use crate::model::{DomainClass, Family, Knob, Protocol};

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Party {
    /// A pod. One with `hostNetwork` is treated as the profile says (NP-22).
    Pod(PodId),
    /// A process on a node; it uses the node's addresses.
    Node(NodeId),
    /// An address that is neither a pod's nor a node's.
    Address(IpAddr),
    /// Some address outside that a DNS name stands for; which one is not known. A destination only.
    Named(DomainClass),
    /// Somebody whom the input does not hold, such as the pods of a controller; the knob would tell (ING-16, API-4).
    /// A source only.
    Somebody(Knob),
}

/// A node that puts its own address in a client's place (NP-24).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Masquerader {
    /// This one.
    Node(NodeId),
    /// The node on which the destination runs, whichever that is.
    OwnNode,
    /// Some node on which the destination does not run.
    OtherNode,
}

/// One new connection at layer 4, after all address translation: a *leg* (M-6, NP-29).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Flow {
    /// Who opens it: the real client, before any source translation.
    pub source: Party,
    /// Who gets it: the real endpoint, after destination translation.
    pub destination: Party,
    /// The family of both addresses (NP-30).
    pub family: Family,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination's own port (NP-16b), 1..=65535.
    pub port: u16,
    /// The address that the client dialled, when a Service stood in between (NP-23).
    pub dialled: Option<SocketAddr>,
    /// The node that replaced the source by its own address, if one did (NP-24).
    pub masqueraded_by: Option<Masquerader>,
}

impl Flow {
    /// A connection without any translation on its way (W-POD).
    #[must_use]
    pub fn direct(source: Party, destination: Party, family: Family, protocol: Protocol, port: u16) -> Self {
        Self { source, destination, family, protocol, port, dialled: None, masqueraded_by: None }
    }
}
