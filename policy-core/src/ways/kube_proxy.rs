//! What kube-proxy on a node does with a packet (KP-1 … KP-9): captures by hash, endpoints by index.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::way_profile::{DetectLocal, KubeProxyMode, NodePortAddresses, WayProfile};
use crate::model::{
    AddressSet, Client, Cluster, Decision, Delivery, Endpoint, Family, Frontend, IpMode, Knob, KnobSet,
    LoadBalancerAddress, Name, NodePort, NodeView, Packet, PodState, PortRef, Profile, Protocol, Service,
    SourceAddress, Target, TrafficPolicy,
};
use crate::ways::endpoints::Endpoints;

/// What the ports of Services are known by.
#[derive(Clone, Debug, Default)]
pub struct KubeProxy {
    /// By address, protocol and port; the ways of each in the order in which they are tried (KP-5).
    captures: FxHashMap<(IpAddr, Protocol, u16), Vec<(Frontend, PortRef)>>,
    node_ports: FxHashMap<(Protocol, u16), Vec<PortRef>>,
    cluster_ips: FxHashSet<IpAddr>,
    health_checks: FxHashMap<u16, Vec<Family>>,
}

/// What belongs to one question.
struct Question<'a> {
    endpoints: &'a Endpoints,
    cluster: &'a Cluster,
    profile: &'a Profile,
    packet: &'a Packet,
    at: &'a NodeView,
}

impl KubeProxy {
    /// Enters every Service port under all its addresses.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        let mut proxy = Self::default();
        for (service, object) in cluster.services.iter().filter(|(_, object)| object.is_proxied()) {
            let has = |ip: &IpAddr| object.families.contains(&Family::of(*ip));
            let own: Vec<IpAddr> = Family::ALL.into_iter().filter_map(|family| object.address(family)).collect();
            let own: Vec<IpAddr> = own.into_iter().filter(has).collect();
            let external = object.external_ips.iter().copied().filter(has).map(|ip| (Frontend::ExternalIp, ip));
            let vips = vips(object).filter(has).map(|ip| (Frontend::LoadBalancer, ip));
            let own_ways = own.iter().map(|ip| (Frontend::ClusterIp, *ip));
            let ways: Vec<(Frontend, IpAddr)> = own_ways.chain(external).chain(vips).collect();
            for (port, place) in object.ports.iter().zip(0_u32..) {
                let port_ref = PortRef { service, port: place };
                for (frontend, ip) in &ways {
                    let known = proxy.captures.entry((*ip, port.protocol, port.port)).or_default();
                    known.push((*frontend, port_ref));
                }
                if let NodePort::Number(number) = port.node_port {
                    proxy.node_ports.entry((port.protocol, number)).or_default().push(port_ref);
                }
            }
            proxy.cluster_ips.extend(own);
            let check = object.load_balancer().and_then(|balancer| balancer.health_check_node_port);
            if let Some(port) = check.filter(|_| object.external_policy == TrafficPolicy::Local) {
                proxy.health_checks.entry(port).or_default().extend(&object.families);
            }
        }
        proxy
    }

    /// The addresses of which some port is taken for a Service, in no order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.captures.keys().map(|(ip, ..)| *ip)
    }

    /// The ways that a packet to this address takes, in the order in which they are tried; node ports are apart.
    #[must_use]
    pub fn captures(&self, ip: IpAddr, protocol: Protocol, port: u16) -> &[(Frontend, PortRef)] {
        self.captures.get(&(ip, protocol, port)).map_or(&[], Vec::as_slice)
    }

    /// The Service ports with this node port.
    #[must_use]
    pub fn node_port(&self, protocol: Protocol, port: u16) -> &[PortRef] {
        self.node_ports.get(&(protocol, port)).map_or(&[], Vec::as_slice)
    }

    /// What becomes of a packet.
    #[must_use]
    pub fn deliver(
        &self,
        endpoints: &Endpoints,
        (cluster, profile): (&Cluster, &Profile),
        packet: &Packet,
        at: &NodeView,
    ) -> Decision {
        let question = Question { endpoints, cluster, profile, packet, at };
        let mode = profile.ways.kube_proxy_mode;
        let family = Family::of(packet.destination);
        let captured = self.captures(packet.destination, packet.protocol, packet.port);
        if mode == KubeProxyMode::Nftables {
            let vips = captured.iter().filter(|(frontend, _)| *frontend == Frontend::LoadBalancer);
            let refused = vips.filter_map(|(_, port)| question.outside_of_ranges(*port)).collect();
            if let Some(decision) = Decision::of_claims(refused) {
                return decision;
            }
        }
        for frontend in [Frontend::ClusterIp, Frontend::ExternalIp, Frontend::LoadBalancer] {
            let of_kind = captured.iter().filter(|(kind, _)| *kind == frontend);
            let claims = of_kind.map(|(_, port)| question.through(frontend, *port)).collect();
            if let Some(decision) = Decision::of_claims(claims) {
                return decision;
            }
        }
        if at.is_local(packet.destination) {
            let is_open = accepts_node_ports(&profile.ways, packet.destination, at);
            let in_family = |port: &&PortRef| {
                cluster.services.get(port.service).is_some_and(|service| service.families.contains(&family))
            };
            let ports = self.node_port(packet.protocol, packet.port).iter().filter(in_family);
            let claims = ports.filter_map(|port| match is_open {
                true => Some(question.through(Frontend::NodePort, *port)),
                false => question.at_closed_address(*port),
            });
            if let Some(decision) = Decision::of_claims(claims.collect()) {
                return decision;
            }
        }
        self.unclaimed(mode, &profile.ways.service_cidrs, packet, at)
    }

    /// SVC-7, SVC-24
    fn unclaimed(&self, mode: KubeProxyMode, ranges: &AddressSet, packet: &Packet, at: &NodeView) -> Decision {
        let (delivery, rule) = match mode {
            KubeProxyMode::Nftables if self.cluster_ips.contains(&packet.destination) => (Delivery::Reject, "SVC-7"),
            KubeProxyMode::Nftables if ranges.contains(packet.destination) => (Delivery::Drop, "SVC-7"),
            KubeProxyMode::Iptables if packet.protocol == Protocol::Tcp && at.is_local(packet.destination) => {
                let families = self.health_checks.get(&packet.port);
                match families.is_some_and(|families| families.contains(&Family::of(packet.destination))) {
                    true => (Delivery::Accept, "SVC-24"),
                    false => (Delivery::Unchanged, "KP-5"),
                }
            }
            _ => (Delivery::Unchanged, "KP-5"),
        };
        Decision::unclaimed(delivery, rule)
    }
}

/// The addresses of a load balancer that nodes take for their own (SVC-23).
fn vips(service: &Service) -> impl Iterator<Item = IpAddr> + '_ {
    let points = service.load_balancer().into_iter().flat_map(|balancer| &balancer.ingress);
    points.filter_map(|point| match point.at {
        LoadBalancerAddress::Ip(ip) if point.mode == IpMode::Vip => Some(ip),
        _ => None,
    })
}

/// Whether node ports are open on an address of the node (KP-6).
#[must_use]
pub fn accepts_node_ports(ways: &WayProfile, address: IpAddr, at: &NodeView) -> bool {
    if !at.is_local(address) {
        return false;
    }
    let family = Family::of(address);
    if address.is_loopback() {
        let takes_it = ways.kube_proxy_mode == KubeProxyMode::Iptables && ways.localhost_nodeports;
        if !takes_it || family == Family::V6 {
            return false;
        }
    }
    let by_mode = match ways.kube_proxy_mode {
        KubeProxyMode::Nftables => &NodePortAddresses::Primary,
        _ => &NodePortAddresses::In(Vec::new()),
    };
    match if ways.nodeport_addresses == NodePortAddresses::ByMode { by_mode } else { &ways.nodeport_addresses } {
        NodePortAddresses::Primary => at.primary(family) == Some(address),
        NodePortAddresses::In(ranges) => {
            let mut of_family = ranges.iter().filter(|range| Family::of(range.network()) == family).peekable();
            of_family.peek().is_none() || of_family.any(|range| range.contains(&address))
        }
        NodePortAddresses::ByMode => true,
    }
}

/// The endpoints that count on a node (KP-1).
#[derive(Default)]
struct Usable {
    /// Ready, or in want of those on their way out, with the hints heeded (KP-2).
    cluster: Vec<(Endpoint, u16, bool)>,
    local: Vec<(Endpoint, u16, bool)>,
}

impl Question<'_> {
    fn usable(&self, service: &Service, port: PortRef) -> Usable {
        let all = self.endpoints.of(self.cluster, port, Family::of(self.packet.destination));
        let ready = |endpoint: &Endpoint| endpoint.conditions.ready;
        let leaving = |endpoint: &Endpoint| endpoint.conditions.serving && endpoint.conditions.terminating;
        let here = |endpoint: &Endpoint| self.at.holds(endpoint);
        let pick = |keep: &dyn Fn(&Endpoint) -> bool| -> Vec<(Endpoint, u16, bool)> {
            all.iter().filter(|(endpoint, _)| keep(endpoint)).map(|(endpoint, at)| (*endpoint, *at, true)).collect()
        };
        let mut usable = Usable { cluster: pick(&ready), local: pick(&|endpoint| ready(endpoint) && here(endpoint)) };
        if usable.cluster.is_empty() {
            usable.cluster = pick(&leaving);
        } else {
            self.prefer(service, &mut usable.cluster);
        }
        if usable.local.is_empty() {
            usable.local = pick(&|endpoint| leaving(endpoint) && here(endpoint));
        }
        usable
    }

    /// KP-2
    fn prefer(&self, service: &Service, ready: &mut [(Endpoint, u16, bool)]) {
        let node = self.at.node.and_then(|node| self.cluster.nodes.get(node)).map(|node| &node.name);
        let zone = self.at.zone.as_ref().filter(|zone| !zone.is_empty());
        let hints: Vec<(Hint, Hint)> =
            ready.iter().map(|(endpoint, ..)| self.hints(service, endpoint, node, zone)).collect();
        let counts = |of: fn(&(Hint, Hint)) -> Hint| {
            let mut all = hints.iter().map(of);
            all.clone().all(|hint| hint != Hint::Missing) && all.any(|hint| hint == Hint::ForUs)
        };
        let of: fn(&(Hint, Hint)) -> Hint = match () {
            () if counts(|(node, _)| *node) => |(node, _)| *node,
            () if counts(|(_, zone)| *zone) => |(_, zone)| *zone,
            () => return,
        };
        for ((.., preferred), hint) in ready.iter_mut().zip(&hints) {
            *preferred = of(hint) == Hint::ForUs;
        }
    }

    /// What the node hints and the zone hints of an endpoint say to a node of this name and zone.
    fn hints(&self, service: &Service, endpoint: &Endpoint, node: Option<&Name>, zone: Option<&Name>) -> (Hint, Hint) {
        if let Some(written) = endpoint.written(self.cluster) {
            return (Hint::of(&written.node_hints, node), Hint::of(&written.zone_hints, zone));
        }
        let (by_node, by_zone) = match service.distribution.as_deref() {
            Some("PreferClose" | "PreferSameZone") => (false, true),
            Some("PreferSameNode") => (true, true),
            _ => return (Hint::Missing, Hint::Missing),
        };
        let place = endpoint.node.and_then(|id| self.cluster.nodes.get(id));
        let names = |wanted: bool, name: Option<&Name>, ours: Option<&Name>| match name.filter(|_| wanted) {
            Some(name) => Hint::of(std::slice::from_ref(name), ours),
            None => Hint::Missing,
        };
        let node_hint = names(by_node, place.map(|place| &place.name), node);
        (node_hint, names(by_zone, place.and_then(|place| place.zone.as_ref()), zone))
    }

    /// What a port of a Service does with the packet.
    fn through(&self, frontend: Frontend, port: PortRef) -> Decision {
        let decide = |delivery: Delivery, rule: &'static str| Decision { delivery, rule, by: vec![(frontend, port)] };
        let Some(service) = self.cluster.services.get(port.service) else {
            return Decision::unclaimed(Delivery::Unchanged, "KP-5");
        };
        let usable = self.usable(service, port);
        // What is usable here is usable for the cluster, or stands aside for something that is.
        if usable.cluster.is_empty() {
            return decide(Delivery::Reject, "KP-4");
        }
        if frontend == Frontend::LoadBalancer
            && let Some(decision) = self.outside_of_ranges(port)
        {
            return decision;
        }
        let (is_local, masquerades) = self.row(frontend, service);
        let list = if is_local { usable.local } else { usable.cluster };
        if list.is_empty() {
            return decide(Delivery::Drop, "KP-4");
        }
        let ways = &self.profile.ways;
        let masqueraded = match ways.kube_proxy_mode {
            KubeProxyMode::None => SourceAddress::Either(KnobSet::one(Knob::KubeProxyMode)),
            _ => SourceAddress::Masqueraded,
        };
        let masquerades = masquerades || ways.kube_proxy_mode == KubeProxyMode::Userspace;
        let target = |(endpoint, number, preferred): (Endpoint, u16, bool)| Target {
            address: endpoint.address,
            port: number,
            pod: endpoint.pod,
            node: endpoint.node,
            source: if masquerades || self.is_hairpin(&endpoint) { masqueraded } else { SourceAddress::Kept },
            preferred,
        };
        let mut targets: Vec<Target> = list.into_iter().map(target).collect();
        targets.sort_unstable();
        decide(Delivery::Endpoints(targets), "KP-3")
    }

    /// KP-3: whether only endpoints of the node count, and whether the source is replaced.
    fn row(&self, frontend: Frontend, service: &Service) -> (bool, bool) {
        let ways = &self.profile.ways;
        let is_pod = match self.packet.client {
            Client::Pod(_) => ways.detect_local != DetectLocal::None,
            Client::RemotePod(_) => ways.detect_local == DetectLocal::ClusterCidr,
            Client::Host | Client::Outside => false,
        };
        if frontend == Frontend::ClusterIp {
            let masquerades = ways.masquerade_all || (!is_pod && ways.detect_local != DetectLocal::None);
            return (service.internal_policy == TrafficPolicy::Local, masquerades);
        }
        match service.external_policy {
            TrafficPolicy::Cluster => (false, true),
            TrafficPolicy::Local => (!is_pod && self.packet.client != Client::Host, self.packet.client == Client::Host),
        }
    }

    fn is_hairpin(&self, endpoint: &Endpoint) -> bool {
        let client = match self.packet.client {
            Client::Pod(client) | Client::RemotePod(client) => client,
            Client::Host | Client::Outside => None,
        };
        let is_one =
            client.and_then(|client| self.cluster.pods.get(client)).is_some_and(|pod| pod.state != PodState::Template);
        (self.packet.source.is_some() && self.packet.source == endpoint.address) || (is_one && endpoint.pod == client)
    }

    /// KP-4: a node port on an address where it is not open.
    fn at_closed_address(&self, port: PortRef) -> Option<Decision> {
        if self.profile.ways.kube_proxy_mode != KubeProxyMode::Iptables {
            return None;
        }
        let service = self.cluster.services.get(port.service)?;
        let usable = self.usable(service, port);
        let delivery = match service.external_policy {
            _ if usable.cluster.is_empty() => Delivery::Reject,
            TrafficPolicy::Local if usable.local.is_empty() => Delivery::Drop,
            _ => return None,
        };
        Some(Decision { delivery, rule: "KP-4", by: vec![(Frontend::NodePort, port)] })
    }

    /// SVC-22
    fn outside_of_ranges(&self, port: PortRef) -> Option<Decision> {
        let service = self.cluster.services.get(port.service)?;
        let balancer = service.load_balancer()?;
        let family = Family::of(self.packet.destination);
        let mut ranges = balancer.source_ranges.iter().filter(|range| Family::of(range.network()) == family).peekable();
        ranges.peek()?;
        let ranges: Vec<_> = ranges.collect();
        let holds = |ip: IpAddr| ranges.iter().any(|range| range.contains(&ip));
        let delivery = match self.packet.source {
            Some(source) => {
                let node_is_inside = self.at.primary(family).is_some_and(holds);
                if holds(source) || (node_is_inside && vips(service).any(|vip| vip == source)) {
                    return None;
                }
                Delivery::Drop
            }
            None => {
                let (knob, may_be) = match self.packet.client {
                    Client::Host => (Knob::NodeCidrs, &self.profile.node_cidrs),
                    _ => (Knob::PodCidrs, &self.profile.pod_cidrs),
                };
                let ranges: AddressSet = ranges.iter().map(|range| AddressSet::net(**range)).collect();
                let left = may_be.of(family).difference(&ranges);
                if left.is_empty() {
                    return None;
                }
                let all = left == may_be.of(family);
                if all { Delivery::Drop } else { Delivery::Undefined(KnobSet::one(knob)) }
            }
        };
        Some(Decision { delivery, rule: "SVC-22", by: vec![(Frontend::LoadBalancer, port)] })
    }
}

/// What the hints of one kind on an endpoint say to a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Missing,
    ForOthers,
    ForUs,
}

impl Hint {
    fn of(hints: &[Name], ours: Option<&Name>) -> Self {
        match ours {
            _ if hints.is_empty() => Self::Missing,
            Some(ours) if hints.contains(ours) => Self::ForUs,
            _ => Self::ForOthers,
        }
    }
}
