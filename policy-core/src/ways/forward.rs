//! Where the Service rules of nodes send packets, for clients as a whole (KP-1 … KP-4, KP-7 … KP-9).
//!
//! [`kube_proxy`](crate::ways::kube_proxy) answers for one packet on one node. Here a client may enter at any node,
//! and what counts is which endpoints it gets and who it is to them; nothing is asked node by node.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::analysis::Analysis;
use crate::compile::NodeColumns;
use crate::ids::{IdVec, NodeId, PodId};
use crate::model::delivery::{Endpoint, Frontend};
use crate::model::way_profile::{DetectLocal, KubeProxyMode, NodeAddressesPublic};
use crate::model::{
    AddressSet, Conditions, Family, Flow, Masquerader, NodeAddressKind, NodeView, Party, Protocol, TrafficPolicy,
    WayKind, premise,
};
use crate::ways::kube_proxy::accepts_node_ports;

/// What kube-proxy takes a client for (KP-3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Standing {
    /// A pod that it recognises.
    Pod,
    /// A process of the node.
    Host,
    /// Anybody else.
    Other,
}

/// What happens to packets of a client (KP-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Treatment {
    /// Which endpoints it gets.
    pub(super) scope: TrafficPolicy,
    /// Whether the node puts its own address in the client's place.
    pub(super) masquerade: bool,
}

/// The decision table of KP-3.
pub(super) fn treatment(
    analysis: &Analysis,
    frontend: Frontend,
    policy: TrafficPolicy,
    standing: Standing,
) -> Treatment {
    let ways = &analysis.profile.ways;
    let blind = ways.detect_local == DetectLocal::None;
    let (scope, masquerade) = match (frontend, policy, standing) {
        (Frontend::ClusterIp, policy, standing) => {
            (policy, ways.masquerade_all || (standing == Standing::Other && !blind))
        }
        (_, TrafficPolicy::Cluster, _) => (TrafficPolicy::Cluster, true),
        (_, TrafficPolicy::Local, Standing::Pod) if !blind => (TrafficPolicy::Cluster, false),
        (_, TrafficPolicy::Local, Standing::Host) => (TrafficPolicy::Cluster, true),
        (_, TrafficPolicy::Local, _) => (TrafficPolicy::Local, false),
    };
    // KP-7: it opens every connection anew.
    Treatment { scope, masquerade: masquerade || ways.kube_proxy_mode == KubeProxyMode::Userspace }
}

/// The endpoints that get connections: the ready ones, or those that go away and still serve when there is none
/// (KP-1).
pub(super) fn usable(endpoints: Vec<(Endpoint, u16)>) -> Vec<(Endpoint, u16)> {
    let any_ready = endpoints.iter().any(|(endpoint, _)| endpoint.conditions.ready);
    let is_usable = |endpoint: &Endpoint| {
        let Conditions { ready, serving, terminating } = endpoint.conditions;
        if any_ready { ready } else { serving && terminating }
    };
    endpoints.into_iter().filter(|(endpoint, _)| is_usable(endpoint)).collect()
}

/// The endpoints that somebody gets at some node under the policy Local: of each node its own (KP-1).
pub(super) fn usable_on_own_nodes(mut endpoints: Vec<(Endpoint, u16)>) -> Vec<(Endpoint, u16)> {
    endpoints.sort_by_key(|(endpoint, _)| endpoint.node);
    endpoints.chunk_by(|(a, _), (b, _)| a.node == b.node).flat_map(|here| usable(here.to_vec())).collect()
}

/// A node that may masquerade a client from outside on its way to an endpoint, and who gets to that node.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) node: Masquerader,
    pub(super) from: Rc<AddressSet>,
}

/// All nodes: who gets to which, and which are alike to policies and to those who get there.
#[derive(Debug)]
pub(super) struct Nodes {
    from: IdVec<NodeId, Rc<AddressSet>>,
    from_any: Rc<AddressSet>,
    /// Of alike nodes the first two.
    alike: Vec<(NodeId, Option<NodeId>)>,
}

impl Nodes {
    /// Looks at each node once; `from` = who gets to a node, or to some node.
    pub(super) fn new(analysis: &Analysis, from: impl Fn(Option<NodeId>) -> AddressSet) -> Self {
        let mut sets: FxHashMap<AddressSet, (usize, Rc<AddressSet>)> = FxHashMap::default();
        let mut known: FxHashMap<(NodeColumns, usize), usize> = FxHashMap::default();
        let mut nodes = Self { from: IdVec::new(), from_any: Rc::new(from(None)), alike: Vec::new() };
        for node in analysis.cluster.nodes.ids() {
            let set = from(Some(node));
            let (next, shared) = (sets.len(), Rc::new(set.clone()));
            let (number, set) = sets.entry(set).or_insert((next, shared));
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

/// Who outside gets to a port at one address of a node (KP-6, W-NP, W-HP).
pub(super) fn address_clients(
    analysis: &Analysis,
    kind: WayKind,
    (node, ip): (NodeId, IpAddr),
    outside: &Outside,
) -> AddressSet {
    let view = NodeView::of(&analysis.cluster, node);
    if kind == WayKind::NodePort && !accepts_node_ports(&analysis.profile.ways, ip, &view) {
        return AddressSet::empty();
    }
    let addresses = &analysis.cluster.nodes.at(node).addresses;
    let kind = addresses.iter().find(|address| address.ip == ip).map(|address| address.kind);
    let everybody = match analysis.profile.ways.node_addresses_public {
        NodeAddressesPublic::All => true,
        NodeAddressesPublic::None => false,
        NodeAddressesPublic::ByType => kind == Some(NodeAddressKind::External),
    };
    let family = Family::of(ip);
    if everybody { outside.all.of(family) } else { outside.near.of(family) }
}

/// Who outside gets to the node ports or host ports of a node; of some node, when it is not known (KP-6, W-NP, W-HP).
pub(super) fn node_clients(analysis: &Analysis, kind: WayKind, node: Option<NodeId>, outside: &Outside) -> AddressSet {
    let cluster = &analysis.cluster;
    let of = |id: NodeId| {
        let node = cluster.nodes.at(id);
        if node.addresses.is_empty() {
            return outside.all.clone();
        }
        node.addresses.iter().map(|address| address_clients(analysis, kind, (id, address.ip), outside)).collect()
    };
    match node {
        Some(node) => of(node),
        None if cluster.nodes.is_empty() => outside.all.clone(),
        None => cluster.nodes.ids().map(of).collect(),
    }
}

/// Whether nothing is known of the addresses of a node, or of any node.
pub(super) fn is_unaddressed(analysis: &Analysis, node: Option<NodeId>) -> bool {
    match node {
        Some(node) => analysis.cluster.nodes.at(node).addresses.is_empty(),
        None => analysis.cluster.nodes.values().all(|node| node.addresses.is_empty()),
    }
}

/// The outside.
#[derive(Debug)]
pub(super) struct Outside {
    /// Every address that is no pod's and no node's.
    pub(super) all: AddressSet,
    /// Of these, the addresses that may share a network with nodes: those that the internet does not route.
    pub(super) near: AddressSet,
}

impl Outside {
    pub(super) fn of(analysis: &Analysis) -> Self {
        const PRIVATE: [&str; 7] = [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "fc00::/7",
            "fe80::/10",
        ];
        let all = premise::outside(&analysis.cluster);
        let private: AddressSet = PRIVATE.iter().filter_map(|net| net.parse().ok()).map(AddressSet::net).collect();
        Self { near: private.intersection(&all), all }
    }
}

/// Who an endpoint is.
pub(super) fn destination(endpoint: &Endpoint) -> Option<Party> {
    endpoint.pod.map(Party::Pod).or(endpoint.address.map(Party::Address))
}

/// A connection, all but its source: the destination stands there for now.
pub(super) fn connection(
    destination: Party,
    family: Family,
    protocol: Protocol,
    port: u16,
    dialled: Option<SocketAddr>,
    masqueraded_by: Option<Masquerader>,
) -> Flow {
    Flow { source: destination, destination, family, protocol, port, dialled, masqueraded_by }
}
