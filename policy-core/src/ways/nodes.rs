//! All nodes at once: who gets to which, and which of them are alike to policies and to those who get there. Each node
//! is looked at once for a kind of entry, not once for each endpoint.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::analysis::Analysis;
use crate::compile::NodeColumns;
use crate::ids::{IdVec, NodeId, PodId};
use crate::model::{AddressSet, Family, Masquerader, WayKind};
use crate::ways::entry::{At, Entry};
use crate::ways::walk::Walk;

/// Entries that treat all nodes the same way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Reach {
    /// It does not matter who gets there.
    Nobody,
    /// A load balancer that dials node ports in this family.
    Opens(Family),
    /// Node ports of any node.
    NodePorts,
    /// Addresses that no node has.
    Elsewhere(WayKind, Option<Family>),
}

/// A node that may masquerade a client from outside on its way to an endpoint, and who gets to that node.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) node: Masquerader,
    pub(super) from: Rc<AddressSet>,
}

/// All nodes.
#[derive(Debug)]
pub(super) struct Nodes {
    from: IdVec<NodeId, Rc<AddressSet>>,
    from_any: Rc<AddressSet>,
    /// Of alike nodes the first two.
    alike: Vec<(NodeId, Option<NodeId>)>,
}

impl Nodes {
    /// `from` = who gets to a node, or to some node.
    pub(super) fn new(analysis: &Analysis, from: impl Fn(Option<NodeId>) -> AddressSet) -> Self {
        let mut sets: FxHashMap<AddressSet, (usize, Rc<AddressSet>)> = FxHashMap::default();
        let mut known: FxHashMap<(NodeColumns, usize), usize> = FxHashMap::default();
        let mut nodes = Self { from: IdVec::new(), from_any: Rc::new(from(None)), alike: Vec::new() };
        for node in analysis.cluster.nodes.ids() {
            let set = from(Some(node));
            let next = sets.len();
            let (number, set) = sets.entry(set.clone()).or_insert_with(|| (next, Rc::new(set)));
            nodes.from.push(set.clone());
            let place = *known.entry((analysis.compiled.node_columns(node), *number)).or_insert(nodes.alike.len());
            match nodes.alike.get_mut(place) {
                Some((_, second)) => *second = second.or(Some(node)),
                None => nodes.alike.push((node, None)),
            }
        }
        nodes
    }

    /// Who gets to a node; to some node, when it is not known.
    pub(super) fn from(&self, node: Option<NodeId>) -> &Rc<AddressSet> {
        node.and_then(|node| self.from.get(node)).unwrap_or(&self.from_any)
    }

    /// The nodes that may receive a connection from outside to an endpoint, alike ones once: the endpoint's own, and
    /// others.
    pub(super) fn receivers(&self, analysis: &Analysis, pod: Option<PodId>) -> Vec<Receiver> {
        let cluster = &analysis.cluster;
        let own = pod.and_then(|pod| cluster.pods.at(pod).node);
        let receiver = |node: Masquerader, of: Option<NodeId>| Receiver { node, from: self.from(of).clone() };
        let mut receivers = Vec::new();
        if pod.is_some() {
            receivers.push(receiver(Masquerader::OwnNode, own));
        }
        match (own, pod) {
            (Some(_), _) | (_, None) if !cluster.nodes.is_empty() => {
                let other = |(first, second): &(NodeId, Option<NodeId>)| {
                    if Some(*first) == own { *second } else { Some(*first) }
                };
                let mut others: Vec<NodeId> = self.alike.iter().filter_map(other).collect();
                others.sort_unstable();
                receivers.extend(others.into_iter().map(|node| receiver(Masquerader::Node(node), Some(node))));
            }
            _ if cluster.nodes.len() == 1 => {}
            _ => receivers.push(receiver(Masquerader::OtherNode, None)),
        }
        receivers
    }
}

impl Walk<'_> {
    /// The nodes for entries that treat them the same way.
    pub(super) fn nodes(&mut self, reach: Reach, from: impl Fn(&Self, Option<NodeId>) -> AddressSet) -> Rc<Nodes> {
        if let Some(known) = self.nodes.get(&reach) {
            return known.clone();
        }
        let made = Rc::new(Nodes::new(self.analysis, |node| from(self, node)));
        self.nodes.insert(reach, made.clone());
        made
    }

    /// The nodes for an entry.
    pub(super) fn nodes_of(&mut self, entry: &Entry) -> Rc<Nodes> {
        match self.reach(entry) {
            Some(reach) => self.nodes(reach, |walk, node| walk.getting_at(entry, node)),
            None => Rc::new(Nodes::new(self.analysis, |node| self.getting_at(entry, node))),
        }
    }

    /// Who outside gets a packet to an entry, at a node or at any.
    pub(super) fn from(&mut self, entry: &Entry, node: Option<NodeId>) -> AddressSet {
        match self.reach(entry) {
            Some(_) => AddressSet::clone(self.nodes_of(entry).from(node)),
            None => self.getting_at(entry, node),
        }
    }

    fn reach(&self, entry: &Entry) -> Option<Reach> {
        match (entry.kind, &entry.at) {
            (WayKind::NodePort, At::AnyNode(_)) => Some(Reach::NodePorts),
            (WayKind::NodePort | WayKind::HostPort | WayKind::HostNetwork, _) => None,
            (_, At::Node(..) | At::NodeAddress(..)) => None,
            (kind, _) => {
                let address = entry.address();
                let elsewhere = kind == WayKind::Vip || address.is_none_or(|ip| self.holder(ip).is_none());
                elsewhere.then(|| Reach::Elsewhere(kind, address.map(Family::of)))
            }
        }
    }
}
