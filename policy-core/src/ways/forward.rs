//! Where the Service rules of nodes send packets, for clients as a whole (KP-1 … KP-4, KP-7 … KP-9).
//!
//! [`kube_proxy`](crate::ways::kube_proxy) answers for one packet on one node. Here a client may enter at any node,
//! and what counts is which endpoints it gets and who it is to them; nothing is asked node by node.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::analysis::Analysis;
use crate::compile::PodColumns;
use crate::ids::{NodeId, PodId, WorkloadId};
use crate::model::delivery::{Endpoint, Frontend};
use crate::model::way_profile::{DetectLocal, KubeProxyMode, NodeAddressesPublic};
use crate::model::{
    AddressSet, Conditions, Family, Flow, Masquerader, NodeAddressKind, NodeView, Party, Protocol, TrafficPolicy,
};

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
pub(crate) fn usable(endpoints: Vec<(Endpoint, u16)>) -> Vec<(Endpoint, u16)> {
    let any_ready = endpoints.iter().any(|(endpoint, _)| endpoint.conditions.ready);
    let is_usable = |endpoint: &Endpoint| {
        let Conditions { ready, serving, terminating } = endpoint.conditions;
        if any_ready { ready } else { serving && terminating }
    };
    endpoints.into_iter().filter(|(endpoint, _)| is_usable(endpoint)).collect()
}

/// The endpoints that somebody gets at some node under the policy Local: of each node its own (KP-1).
pub(super) fn usable_on_own_nodes(mut endpoints: Vec<(Endpoint, u16)>) -> Vec<(Endpoint, u16)> {
    // What a slice gives without a node is on none.
    endpoints.retain(|(endpoint, _)| endpoint.node.is_some() || endpoint.given.is_none());
    endpoints.sort_by_key(|(endpoint, _)| endpoint.node);
    endpoints.chunk_by(|(a, _), (b, _)| a.node == b.node).flat_map(|here| usable(here.to_vec())).collect()
}

/// Who outside gets to the addresses of a node that `is_open` takes; of some node, when it is not known (KP-6, W-NP,
/// W-HP).
pub(super) fn node_clients(
    analysis: &Analysis,
    is_open: &dyn Fn(IpAddr, &NodeView) -> bool,
    node: Option<NodeId>,
    outside: &AddressSet,
) -> AddressSet {
    let cluster = &analysis.cluster;
    let of = |id: NodeId| {
        let node = cluster.nodes.at(id);
        if node.addresses.is_empty() {
            return outside.clone();
        }
        let view = NodeView::of(cluster, id);
        let reach = node.addresses.iter().filter(|address| is_open(address.ip, &view)).map(|address| {
            let everybody = match analysis.profile.ways.node_addresses_public {
                NodeAddressesPublic::All => true,
                NodeAddressesPublic::None => false,
                NodeAddressesPublic::ByType => address.kind == NodeAddressKind::External,
            };
            let family = Family::of(address.ip);
            if everybody { outside.of(family) } else { neighbours().of(family).intersection(outside) }
        });
        reach.collect()
    };
    match node {
        Some(node) => of(node),
        None if cluster.nodes.is_empty() => outside.clone(),
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

/// The addresses that may share a network with nodes: those that the internet does not route.
pub(super) fn neighbours() -> AddressSet {
    const PRIVATE: [&str; 7] =
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"];
    PRIVATE.iter().filter_map(|net| net.parse().ok()).map(AddressSet::net).collect()
}

/// Endpoints that are alike to clients: of one workload, treated alike by policies, and on the same node.
pub(super) struct Group {
    /// One of them.
    pub(super) endpoint: Endpoint,
    pub(super) port: u16,
    pub(super) pods: Vec<PodId>,
    pub(super) families: Vec<Family>,
}

impl Group {
    /// Its address, when it is no pod's.
    pub(super) fn address(&self) -> Option<IpAddr> {
        outer_address(&self.endpoint)
    }
}

fn outer_address(endpoint: &Endpoint) -> Option<IpAddr> {
    endpoint.address.filter(|_| endpoint.pod.is_none())
}

/// What tells endpoints apart: workload, what policies know, node, address of one that is no pod, port, whether it is
/// the client.
type Place = (Option<WorkloadId>, Option<PodColumns>, Option<NodeId>, Option<IpAddr>, u16, bool);

/// Puts endpoints together that are alike; the client itself is like no other.
pub(super) fn grouped(
    analysis: &Analysis,
    endpoints: impl IntoIterator<Item = (Endpoint, u16)>,
    client: Option<PodId>,
) -> Vec<Group> {
    let mut groups: BTreeMap<Place, Group> = BTreeMap::new();
    for (endpoint, port) in endpoints {
        let workload = endpoint.pod.map(|pod| analysis.cluster.pods.at(pod).workload);
        let columns = endpoint.pod.map(|pod| analysis.compiled.pod_columns(pod));
        let itself = endpoint.pod.is_some() && endpoint.pod == client;
        let group = groups
            .entry((workload, columns, endpoint.node, outer_address(&endpoint), port, itself))
            .or_insert_with(|| Group { endpoint, port, pods: Vec::new(), families: Vec::new() });
        group.pods.extend(endpoint.pod);
        group.families.push(endpoint.family);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        group.pods.sort_unstable();
        group.pods.dedup();
        group.families.sort_unstable();
        group.families.dedup();
    }
    groups
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
