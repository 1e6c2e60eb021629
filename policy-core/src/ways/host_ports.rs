//! The ports of pods on the addresses of their nodes (HP-1 … HP-4).

use rustc_hash::{FxHashMap, FxHashSet};

use crate::ids::{NodeId, PodId};
use crate::model::delivery::awaits_address;
use crate::model::way_profile::HostPortBackend;
use crate::model::{
    Client, Cluster, Decision, Delivery, Family, HostPort, Knob, KnobSet, NodeView, Packet, PodState, Profile,
    Protocol, SourceAddress, Target,
};

/// Host ports by node and number.
#[derive(Clone, Debug, Default)]
pub struct HostPorts {
    /// Pods whose node is not known are under `None`.
    ports: FxHashMap<(Option<NodeId>, Protocol, u16), Vec<(PodId, HostPort)>>,
    /// Their numbers.
    numbers: FxHashSet<(Protocol, u16)>,
    /// The pods on the network of their node, by node.
    on_host: FxHashMap<Option<NodeId>, Vec<PodId>>,
}

impl HostPorts {
    /// Finds them all.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        let mut found = Self::default();
        for (id, pod) in cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished) {
            if pod.host_network {
                found.on_host.entry(pod.node).or_default().push(id);
                continue;
            }
            for port in pod.host_ports.iter() {
                let key = (pod.node, port.protocol, port.port);
                found.numbers.insert((port.protocol, port.port));
                found.ports.entry(key).or_default().push((id, port.clone()));
            }
        }
        found
    }

    /// The pods that listen on the addresses of a node themselves (HN-1); `None` = those whose node is not known.
    #[must_use]
    pub fn on_host(&self, node: Option<NodeId>) -> &[PodId] {
        self.on_host.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The host ports of this number on a node; `None` = of pods whose node is not known.
    #[must_use]
    pub fn at(&self, node: Option<NodeId>, protocol: Protocol, port: u16) -> &[(PodId, HostPort)] {
        self.ports.get(&(node, protocol, port)).map_or(&[], Vec::as_slice)
    }

    /// Whether any node may have a host port of this number.
    #[must_use]
    pub fn has(&self, protocol: Protocol, port: u16) -> bool {
        self.numbers.contains(&(protocol, port))
    }

    /// What they do with a packet.
    #[must_use]
    pub fn deliver(&self, (cluster, profile): (&Cluster, &Profile), packet: &Packet, at: &NodeView) -> Decision {
        let unchanged = Decision::unclaimed(Delivery::Unchanged, "HP-2");
        if !profile.ways.hostport_supported || !at.is_local(packet.destination) {
            return unchanged;
        }
        let family = Family::of(packet.destination);
        let here = at.node.map_or(&[][..], |node| self.at(Some(node), packet.protocol, packet.port));
        let unplaced = if at.holds_unplaced { self.at(None, packet.protocol, packet.port) } else { &[] };
        let mut targets = Vec::new();
        for (id, port) in here.iter().chain(unplaced).filter(|(_, port)| port.is_at(packet.destination)) {
            let Some(pod) = cluster.pods.get(*id) else { continue };
            let address = pod.address(family);
            if address.is_none() && !(awaits_address(pod) && profile.pod_families.contains(&family)) {
                continue;
            }
            targets.push(Target {
                address,
                port: port.container_port,
                pod: Some(*id),
                node: pod.node,
                source: source((cluster, profile), packet, at, *id),
                preferred: true,
            });
        }
        targets.sort_unstable();
        targets.dedup();
        if targets.is_empty() { unchanged } else { Decision::unclaimed(Delivery::Endpoints(targets), "HP-3") }
    }
}

/// HP-4
fn source((cluster, profile): (&Cluster, &Profile), packet: &Packet, at: &NodeView, id: PodId) -> SourceAddress {
    let Some(pod) = cluster.pods.get(id) else { return SourceAddress::Kept };
    let family = Family::of(packet.destination);
    let address = pod.address(family);
    let is_itself = (packet.source.is_some() && packet.source == address)
        || (packet.client == Client::Pod(Some(id)) && pod.state != PodState::Template);
    let from_loopback = packet.source.is_some_and(|source| source.is_ipv4() && source.is_loopback());
    if is_itself || from_loopback {
        return SourceAddress::Masqueraded;
    }
    if profile.ways.hostport_backend == HostPortBackend::Nftables {
        return SourceAddress::Kept;
    }
    // iptables masquerades whatever lies in the prefix of the pod's address: its neighbours.
    let node = pod.node.or(at.node).and_then(|node| cluster.nodes.get(node));
    let prefixes = node.map_or(&[][..], |node| &node.pod_cidrs);
    let is_its = |range: &&ipnet::IpNet| {
        Family::of(range.network()) == family && address.is_none_or(|address| range.contains(&address))
    };
    let mut known = false;
    for range in prefixes.iter().filter(is_its) {
        let Some(source) = packet.source else { break };
        known = true;
        if range.contains(&source) {
            return match profile.ways.hostport_backend {
                HostPortBackend::Iptables => SourceAddress::Masqueraded,
                _ => SourceAddress::Either(KnobSet::one(Knob::HostPortBackend)),
            };
        }
    }
    if !known && matches!(packet.client, Client::Pod(_)) {
        return SourceAddress::Either(KnobSet::one(Knob::HostPortBackend));
    }
    SourceAddress::Kept
}
