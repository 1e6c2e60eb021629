//! Clusters in which every pod runs somewhere and has an address, and profiles that a node can enforce.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_core::ids::{Id, NamespaceId, NodeId, PodId};
use policy_core::model::profile::{EgressServiceView, HostNetworkPods, LocalSnatView};
use policy_core::model::{Cluster, Family, LabelSet, Name, Node, NodeAddress, NodeAddressKind, PodState, Profile};
use policy_core::node_program::Options;

/// The same cluster, with what it leaves out made up: a node for pods that have none, addresses for pods and nodes that
/// have none, out of ranges that nobody uses.
#[must_use]
pub fn settled(cluster: Cluster) -> Cluster {
    settled_on(cluster, 1)
}

/// The same, with so many nodes (at least one) if the cluster names none.
#[must_use]
pub fn settled_on(mut cluster: Cluster, nodes: usize) -> Cluster {
    if cluster.nodes.is_empty() {
        for number in 1..=nodes.max(1) {
            cluster.nodes.push(node(&format!("node-{number}")));
        }
    }
    let nodes = cluster.nodes.len();
    let mut taken: BTreeSet<IpAddr> = cluster.pods.values().flat_map(|pod| addresses(pod.v4, pod.v6)).collect();
    taken.extend(cluster.nodes.values().flat_map(|node| node.addresses.iter().map(|address| address.ip)));
    let mut free =
        (1_u32..).map(|number| Ipv4Addr::from(0x0a63_0000 + number)).filter(|ip| !taken.contains(&(*ip).into()));
    for at in 0..nodes {
        let node = cluster.nodes.at_mut(NodeId::from_index(at));
        if node.source_addresses(Family::V4).is_empty() && node.source_addresses(Family::V6).is_empty() {
            let ip = free.next().map(IpAddr::V4);
            node.addresses.extend(ip.map(|ip| NodeAddress { kind: NodeAddressKind::Internal, ip }));
        }
    }
    for at in 0..cluster.pods.len() {
        let pod = cluster.pods.at_mut(PodId::from_index(at));
        if pod.state == PodState::Finished {
            continue;
        }
        pod.node.get_or_insert(NodeId::from_index(at % nodes));
        if pod.is_unaddressed() && !pod.host_network {
            pod.v4 = free.next();
        }
        pod.state = PodState::Live;
    }
    cluster
}

/// The profile, with those knobs set that the place of the hook decides (NP-17, NP-22, NP-23, NP-24).
#[must_use]
pub fn as_enforced(profile: &Profile) -> Profile {
    Profile {
        hostnetwork_pods: HostNetworkPods::AsNode,
        egress_service_view: Some(EgressServiceView::PostDnat),
        local_snat_view: LocalSnatView::Client,
        sctp_policy: true,
        ..profile.clone()
    }
}

/// Audited namespaces: those at the positions of the mask's bits, over and over.
#[must_use]
pub fn audit(cluster: &Cluster, mask: u8) -> Options {
    let audited = |(at, id): (usize, NamespaceId)| (mask >> (at % 8) & 1 == 1).then_some(id);
    Options { audited: cluster.namespaces.ids().enumerate().filter_map(audited).collect() }
}

fn addresses(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> impl Iterator<Item = IpAddr> {
    v4.map(IpAddr::V4).into_iter().chain(v6.map(IpAddr::V6))
}

fn node(name: &str) -> Node {
    Node {
        name: Name::from(name),
        labels: LabelSet::default(),
        addresses: Vec::new(),
        zone: None,
        pod_cidrs: Vec::new(),
        is_written: false,
        span: None,
    }
}
