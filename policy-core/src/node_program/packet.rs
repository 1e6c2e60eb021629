//! The data path in Rust: what becomes of a packet on its node.

use std::net::IpAddr;

use crate::ids::Id;
use crate::model::{Direction, Protocol};
use crate::node_program::{Cell, Generation, Identity, NodeProgram, ReasonId, SubjectId};

/// A packet as the hook sees it: after destination translation, before source translation (NP-23, NP-24). A reply is
/// judged as a packet of the direction in which its connection was opened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Packet {
    /// Who opened the connection.
    pub source: IpAddr,
    /// Who gets it.
    pub destination: IpAddr,
    /// The protocol, and the destination's port if it has ports.
    pub transport: Transport,
    /// Whether one end is a process on this node.
    pub host: HostSide,
}

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// A protocol of which policies speak, with the destination's port.
    Port(Protocol, u16),
    /// Any other: ICMP among them (NP-17).
    Other,
}

/// Which end is a process on this node. The hook knows it by the socket, not by the address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HostSide {
    /// None: the packet is forwarded.
    Neither,
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Decision {
    /// It passes.
    Pass,
    /// It passes, though the policies of an end refuse it, because that end's namespace is audited. If both ends are such,
    /// the source's.
    WouldDrop(Direction, ReasonId),
    /// It is dropped by the policies of one end.
    Drop(Direction, ReasonId),
    /// It is dropped because the end of this direction has an address of this node's pods that is not known yet.
    Unknown(Direction),
}

impl Decision {
    /// Whether the packet passes.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Pass | Self::WouldDrop(..))
    }
}

impl NodeProgram {
    /// What becomes of a packet. Egress is asked before ingress, and only local pods have their policies asked.
    #[must_use]
    pub fn judge(&self, packet: &Packet, unknown_pods_pass: bool) -> Decision {
        let generation = &self.generation;
        let source = self.identity(packet.source, packet.host == HostSide::Source);
        let destination = self.identity(packet.destination, packet.host == HostSide::Destination);
        // The tables do not hold together: nothing passes.
        let Some(source) = source else { return Decision::Unknown(Direction::Egress) };
        let Some(destination) = destination else { return Decision::Unknown(Direction::Ingress) };
        let ends =
            [(Direction::Egress, source, HostSide::Source), (Direction::Ingress, destination, HostSide::Destination)];
        if !unknown_pods_pass {
            for (direction, (identity, _), side) in ends {
                if identity.unknown && packet.host != side {
                    return Decision::Unknown(direction);
                }
            }
        }
        let itself = packet.source == packet.destination && !generation.asks_itself;
        let class = generation.ports.class(packet.transport);
        let mut decision = Decision::Pass;
        for (direction, (identity, local), side) in ends {
            if !local || packet.host == side {
                continue;
            }
            let (own, other, with_node) = match direction {
                Direction::Egress => {
                    let asked = generation.asks_own_node;
                    (identity.egress, destination.0, packet.host == HostSide::Destination && !asked)
                }
                Direction::Ingress => (identity.ingress, source.0, packet.host == HostSide::Source),
            };
            let subject = if itself || with_node { own.exempt } else { own.plain };
            match generation.cell(subject, &other, class.index()) {
                Some(cell) if cell.allow => {}
                // The other end is asked as well: what it refuses is dropped.
                Some(cell) if identity.audit => {
                    if decision == Decision::Pass {
                        decision = Decision::WouldDrop(direction, cell.reason);
                    }
                }
                Some(cell) => return Decision::Drop(direction, cell.reason),
                // The tables do not hold together: nothing passes.
                None => return Decision::Unknown(direction),
            }
        }
        decision
    }

    /// Whom an address stands for, and whether it is a pod of this node; `None` when the tables do not hold together.
    fn identity(&self, address: IpAddr, on_this_node: bool) -> Option<(Identity, bool)> {
        let generation = &self.generation;
        let [v4, v6] = generation.own_node;
        let (id, local) = match self.ends.get(&address) {
            Some(end) => (end.identity, end.local),
            None if on_this_node => (if address.is_ipv4() { v4 } else { v6 }, false),
            None => (generation.block(address)?, false),
        };
        Some((*generation.identities.get(id)?, local))
    }
}

impl Generation {
    /// The narrowest range that holds an address.
    fn block(&self, address: IpAddr) -> Option<super::IdentityId> {
        let holding = self.blocks.iter().filter(|(net, _)| net.contains(&address));
        holding.max_by_key(|(net, _)| net.prefix_len()).map(|(_, id)| *id)
    }

    /// What a subject says to an identity about a port class; `None` when the tables do not hold together.
    fn cell(&self, subject: SubjectId, other: &Identity, class: usize) -> Option<Cell> {
        let row = self.rows.get(subject.index() * self.columns + other.column.index())?;
        self.cells.get(row.index() * self.ports.len() + class).copied()
    }
}
