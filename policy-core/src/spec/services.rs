//! Services, rule by rule: each question walks all Services, all pods and all slices.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Spec;
use crate::ids::ServiceId;
use crate::model::delivery::{awaits_address, pod_conditions};
use crate::model::way_profile::{DetectLocal, EndpointsSource, HostPortBackend, KubeProxyMode, NodePortAddresses};
use crate::model::{
    AddressSet, Client, Decision, Deliver, Delivery, Endpoint, Family, Frontend, IpMode, Knob, KnobSet, LoadBalancer,
    LoadBalancerAddress, NodePort, NodeView, Packet, PodState, PortRef, Protocol, Service, ServicePort, SourceAddress,
    Target, TrafficPolicy,
};

impl Spec<'_> {
    /// SVC-9, SVC-10: everything that stands behind a Service, each address once for each place that gives it.
    #[must_use]
    pub fn endpoints(&self, id: ServiceId) -> Vec<Endpoint> {
        let service = self.cluster.services.at(id);
        let source = self.profile.ways.endpoints_source;
        let mut found = Vec::new();
        if service.selector.is_some() && source == EndpointsSource::Computed {
            found.extend(self.computed(service));
        }
        for (slice, at) in self.cluster.slices.iter().zip(0_u32..) {
            // What its controller says of a Service with a selector follows from the pods.
            let repeats = service.selector.is_some() && slice.is_computed && source == EndpointsSource::Computed;
            if slice.service != id || repeats {
                continue;
            }
            for (endpoint, place) in slice.endpoints.iter().zip(0_u32..) {
                found.push(Endpoint {
                    family: slice.family,
                    address: Some(endpoint.address),
                    pod: self.holder(endpoint.address, endpoint.target),
                    node: endpoint.node,
                    conditions: endpoint.conditions,
                    given: Some((at, place)),
                });
            }
        }
        found
    }

    /// SVC-5, SVC-6, SVC-9
    fn computed(&self, service: &Service) -> Vec<Endpoint> {
        let mut found = Vec::new();
        for (id, pod) in self.cluster.pods.iter() {
            let selected = service.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels));
            if pod.namespace != service.namespace || !selected || pod.state == PodState::Finished {
                continue;
            }
            let nodes_are_written = self.cluster.nodes.values().any(|node| node.is_written);
            let node_is_gone = pod.node.is_some_and(|node| !self.cluster.nodes.at(node).is_written);
            if nodes_are_written && node_is_gone && !service.publish_not_ready {
                continue;
            }
            for family in &service.families {
                let address = pod.address(*family);
                let awaits = awaits_address(pod) && self.profile.pod_families.contains(family);
                if address.is_none() && !awaits {
                    continue;
                }
                let conditions = pod_conditions(pod, service);
                found.push(Endpoint {
                    family: *family,
                    address,
                    pod: Some(id),
                    node: pod.node,
                    conditions,
                    given: None,
                });
            }
        }
        found
    }

    /// Who gets what is sent to an address: the pod that has it. A pod on the host's network shares it and must be
    /// named.
    fn holder(&self, address: IpAddr, target: Option<crate::ids::PodId>) -> Option<crate::ids::PodId> {
        let family = Family::of(address);
        let named = target.filter(|id| {
            let pod = self.cluster.pods.at(*id);
            pod.state != PodState::Finished && (pod.is_unaddressed() || pod.address(family) == Some(address))
        });
        let has = |pod: &crate::model::Pod| {
            pod.state != PodState::Finished && !pod.host_network && pod.address(family) == Some(address)
        };
        named.or_else(|| self.cluster.pods.iter().find(|(_, pod)| has(pod)).map(|(id, _)| id))
    }

    /// The endpoints of one port in one family, with their numbers; one address and number once, but for pods that
    /// share the address of their node: any of them may listen there.
    fn serving(&self, port: PortRef, family: Family) -> Vec<(Endpoint, u16)> {
        let Some(service_port) = port.of(self.cluster) else { return Vec::new() };
        let mut serving: Vec<(Endpoint, u16)> = Vec::new();
        for endpoint in self.endpoints(port.service).into_iter().filter(|endpoint| endpoint.family == family) {
            let Some(number) = endpoint.port(self.cluster, service_port) else { continue };
            let same = |(known, at): &&mut (Endpoint, u16)| {
                let two_pods = known.pod.is_some() && endpoint.pod.is_some() && known.pod != endpoint.pod;
                endpoint.address.is_some() && known.address == endpoint.address && *at == number && !two_pods
            };
            match serving.iter_mut().find(same) {
                None => serving.push((endpoint, number)),
                // Where two places give it, the one that names a node counts.
                Some((known, _)) if known.node.is_none() && endpoint.node.is_some() => *known = endpoint,
                Some(_) => {}
            }
        }
        serving
    }
}

/// What may be used on a node, under each policy (KP-1).
pub(super) struct Usable {
    pub(super) cluster: Vec<(Endpoint, u16, bool)>,
    local: Vec<(Endpoint, u16, bool)>,
    anywhere: bool,
}

impl Spec<'_> {
    pub(super) fn usable(&self, port: PortRef, family: Family, at: &NodeView) -> Usable {
        let all = self.serving(port, family);
        let ready: Vec<_> = all.iter().filter(|(endpoint, _)| endpoint.conditions.ready).copied().collect();
        let leaving = |(endpoint, _): &&(Endpoint, u16)| endpoint.conditions.serving && endpoint.conditions.terminating;
        let leaving: Vec<_> = all.iter().filter(leaving).copied().collect();
        let cluster = if ready.is_empty() {
            leaving.iter().map(|(endpoint, number)| (*endpoint, *number, true)).collect()
        } else {
            self.preferred(port, &ready, at)
        };
        let here = |list: &[(Endpoint, u16)]| -> Vec<(Endpoint, u16, bool)> {
            let here = list.iter().filter(|(endpoint, _)| at.holds(endpoint));
            here.map(|(endpoint, number)| (*endpoint, *number, true)).collect()
        };
        let local = if here(&ready).is_empty() { here(&leaving) } else { here(&ready) };
        Usable { cluster, local, anywhere: !ready.is_empty() || !leaving.is_empty() }
    }

    /// KP-2: which of the ready endpoints hints have this node use now.
    fn preferred(&self, port: PortRef, ready: &[(Endpoint, u16)], at: &NodeView) -> Vec<(Endpoint, u16, bool)> {
        let hints = |endpoint: &Endpoint| self.hints(port.service, endpoint);
        let node = at.node.map(|node| &self.cluster.nodes.at(node).name);
        let zone = at.zone.as_ref().filter(|zone| !zone.is_empty());
        let by_node = |endpoint: &Endpoint| node.is_some_and(|node| hints(endpoint).1.contains(node));
        let by_zone = |endpoint: &Endpoint| zone.is_some_and(|zone| hints(endpoint).0.contains(zone));
        let all_for_nodes = ready.iter().all(|(endpoint, _)| !hints(endpoint).1.is_empty());
        let all_for_zones = ready.iter().all(|(endpoint, _)| !hints(endpoint).0.is_empty());
        let nodes_count = all_for_nodes && ready.iter().any(|(endpoint, _)| by_node(endpoint));
        let zones_count = all_for_zones && ready.iter().any(|(endpoint, _)| by_zone(endpoint));
        let prefers = |endpoint: &Endpoint| match () {
            () if nodes_count => by_node(endpoint),
            () if zones_count => by_zone(endpoint),
            () => true,
        };
        ready.iter().map(|(endpoint, number)| (*endpoint, *number, prefers(endpoint))).collect()
    }

    /// The zones and nodes for which an endpoint is meant: as its slice says, or as the controller would say.
    fn hints(&self, service: ServiceId, endpoint: &Endpoint) -> (Vec<crate::model::Name>, Vec<crate::model::Name>) {
        if let Some(written) = endpoint.written(self.cluster) {
            return (written.zone_hints.clone(), written.node_hints.clone());
        }
        let node = endpoint.node.map(|node| self.cluster.nodes.at(node));
        let zone: Vec<_> = node.and_then(|node| node.zone.clone()).into_iter().collect();
        match self.cluster.services.at(service).distribution.as_deref() {
            Some("PreferClose" | "PreferSameZone") => (zone, Vec::new()),
            Some("PreferSameNode") => (zone, node.map(|node| node.name.clone()).into_iter().collect()),
            _ => (Vec::new(), Vec::new()),
        }
    }
}

/// Why a packet to a node's address reaches a node port, or does not (KP-6).
#[derive(Clone, Copy, PartialEq, Eq)]
enum NodePortAddress {
    Open,
    /// An address of the node, but not one on which node ports are open.
    Closed,
    NotOfTheNode,
}

impl Deliver for Spec<'_> {
    fn kube_proxy(&self, packet: &Packet, at: &NodeView) -> Decision {
        let mode = self.profile.ways.kube_proxy_mode;
        // SVC-22: nftables looks at the source ranges before anything else.
        if mode == KubeProxyMode::Nftables
            && let Some(decision) = self.outside_of_ranges(packet, at, None)
        {
            return decision;
        }
        // KP-5
        for frontend in [Frontend::ClusterIp, Frontend::ExternalIp, Frontend::LoadBalancer, Frontend::NodePort] {
            let mut claims = Vec::new();
            for (id, service) in self.cluster.services.iter() {
                for (port, place) in service.ports.iter().zip(0_u32..) {
                    let port_ref = PortRef { service: id, port: place };
                    if self.is_for(packet, at, frontend, service, port) {
                        claims.extend(self.through(packet, at, frontend, port_ref));
                    }
                }
            }
            if let Some(decision) = Decision::of_claims(claims) {
                return decision;
            }
        }
        self.unclaimed(packet, at)
    }

    fn host_ports(&self, packet: &Packet, at: &NodeView) -> Decision {
        let none = Decision::unclaimed(Delivery::Unchanged, "HP-2");
        if !self.profile.ways.hostport_supported || !at.is_local(packet.destination) {
            return none; // HP-1, HP-2
        }
        let family = Family::of(packet.destination);
        let mut targets = Vec::new();
        for (id, pod) in self.cluster.pods.iter() {
            let is_here = pod.node.map_or(at.holds_unplaced, |node| at.node == Some(node));
            if !is_here || pod.host_network || pod.state == PodState::Finished {
                continue;
            }
            let address = pod.address(family);
            let awaits = awaits_address(pod) && self.profile.pod_families.contains(&family);
            if address.is_none() && !awaits {
                continue; // HP-3
            }
            for port in pod.host_ports.iter() {
                if port.protocol == packet.protocol && port.port == packet.port && port.is_at(packet.destination) {
                    targets.push(Target {
                        address,
                        port: port.container_port,
                        pod: Some(id),
                        node: pod.node,
                        source: self.host_port_source(packet, at, id),
                        preferred: true,
                    });
                }
            }
        }
        targets.sort_unstable();
        targets.dedup();
        if targets.is_empty() { none } else { Decision::unclaimed(Delivery::Endpoints(targets), "HP-3") }
    }
}

impl Spec<'_> {
    /// Whether a packet is for this way into a Service.
    fn is_for(
        &self,
        packet: &Packet,
        at: &NodeView,
        frontend: Frontend,
        service: &Service,
        port: &ServicePort,
    ) -> bool {
        let family = Family::of(packet.destination);
        if !service.is_proxied() || !service.families.contains(&family) || port.protocol != packet.protocol {
            return false; // SVC-13, SVC-16, SVC-26, SVC-4
        }
        match frontend {
            Frontend::ClusterIp => service.address(family) == Some(packet.destination) && port.port == packet.port,
            Frontend::ExternalIp => service.external_ips.contains(&packet.destination) && port.port == packet.port,
            Frontend::LoadBalancer => is_vip(service, packet.destination) && port.port == packet.port,
            Frontend::NodePort => {
                port.node_port == NodePort::Number(packet.port)
                    && self.node_port_address(packet.destination, at) != NodePortAddress::NotOfTheNode
            }
        }
    }

    /// KP-6
    fn node_port_address(&self, address: IpAddr, at: &NodeView) -> NodePortAddress {
        let ways = &self.profile.ways;
        if !at.is_local(address) {
            return NodePortAddress::NotOfTheNode;
        }
        let family = Family::of(address);
        let is_primary = at.primary(family) == Some(address);
        let is_open = match &ways.nodeport_addresses {
            NodePortAddresses::ByMode if ways.kube_proxy_mode == KubeProxyMode::Nftables => is_primary,
            NodePortAddresses::ByMode => true,
            NodePortAddresses::Primary => is_primary,
            NodePortAddresses::In(ranges) => {
                let of_family: Vec<&IpNet> =
                    ranges.iter().filter(|range| Family::of(range.network()) == family).collect();
                of_family.is_empty() || of_family.iter().any(|range| range.contains(&address))
            }
        };
        let takes_loopback = ways.kube_proxy_mode == KubeProxyMode::Iptables && ways.localhost_nodeports;
        let may_be_open = !address.is_loopback() || (family == Family::V4 && takes_loopback);
        if is_open && may_be_open { NodePortAddress::Open } else { NodePortAddress::Closed }
    }

    /// What a way into a Service does with a packet; `None` when it leaves it alone.
    fn through(&self, packet: &Packet, at: &NodeView, frontend: Frontend, port: PortRef) -> Option<Decision> {
        let mode = self.profile.ways.kube_proxy_mode;
        let service = self.cluster.services.at(port.service);
        let usable = self.usable(port, Family::of(packet.destination), at);
        let decided =
            |delivery: Delivery, rule: &'static str| Some(Decision { delivery, rule, by: vec![(frontend, port)] });
        if frontend == Frontend::NodePort && self.node_port_address(packet.destination, at) == NodePortAddress::Closed {
            // KP-4: where iptables refuses or loses packets for want of endpoints, it does so on every address.
            let is_local = service.external_policy == TrafficPolicy::Local;
            return match mode {
                KubeProxyMode::Iptables if !usable.anywhere => decided(Delivery::Reject, "KP-4"),
                KubeProxyMode::Iptables if is_local && usable.local.is_empty() => decided(Delivery::Drop, "KP-4"),
                _ => None,
            };
        }
        if !usable.anywhere {
            return decided(Delivery::Reject, "KP-4");
        }
        if frontend == Frontend::LoadBalancer
            && let Some(decision) = self.outside_of_ranges(packet, at, Some(port))
        {
            return Some(decision);
        }
        let (list, source) = self.choose(packet, frontend, service, &usable);
        if list.is_empty() {
            return decided(Delivery::Drop, "KP-4");
        }
        let mut targets = Vec::new();
        for (endpoint, number, preferred) in list {
            let source = if self.is_hairpin(packet, endpoint) { self.masqueraded() } else { source };
            targets.push(Target {
                address: endpoint.address,
                port: *number,
                pod: endpoint.pod,
                node: endpoint.node,
                source,
                preferred: *preferred,
            });
        }
        targets.sort_unstable();
        decided(Delivery::Endpoints(targets), "KP-3")
    }

    /// KP-3
    fn choose<'u>(
        &self,
        packet: &Packet,
        frontend: Frontend,
        service: &Service,
        usable: &'u Usable,
    ) -> (&'u [(Endpoint, u16, bool)], SourceAddress) {
        let ways = &self.profile.ways;
        let detects = ways.detect_local != DetectLocal::None;
        let is_pod = match packet.client {
            Client::Pod(_) => detects,
            Client::RemotePod(_) => ways.detect_local == DetectLocal::ClusterCidr,
            Client::Host | Client::Outside => false,
        };
        let (list, masqueraded) = if frontend == Frontend::ClusterIp {
            let list = match service.internal_policy {
                TrafficPolicy::Cluster => &usable.cluster,
                TrafficPolicy::Local => &usable.local,
            };
            (list, ways.masquerade_all || (detects && !is_pod))
        } else {
            match (service.external_policy, packet.client) {
                (TrafficPolicy::Cluster, _) => (&usable.cluster, true),
                (TrafficPolicy::Local, _) if is_pod => (&usable.cluster, false),
                (TrafficPolicy::Local, Client::Host) => (&usable.cluster, true),
                (TrafficPolicy::Local, _) => (&usable.local, false),
            }
        };
        let masqueraded = masqueraded || ways.kube_proxy_mode == KubeProxyMode::Userspace; // KP-7
        (list, if masqueraded { self.masqueraded() } else { SourceAddress::Kept })
    }

    /// KP-9: a replacement of kube-proxy may do without.
    fn masqueraded(&self) -> SourceAddress {
        match self.profile.ways.kube_proxy_mode {
            KubeProxyMode::None => SourceAddress::Either(KnobSet::one(Knob::KubeProxyMode)),
            _ => SourceAddress::Masqueraded,
        }
    }

    /// KP-3: a pod that is led back to itself.
    fn is_hairpin(&self, packet: &Packet, endpoint: &Endpoint) -> bool {
        let by_address = packet.source.is_some() && packet.source == endpoint.address;
        let client = match packet.client {
            Client::Pod(client) | Client::RemotePod(client) => client,
            Client::Host | Client::Outside => None,
        };
        // A template stands for several pods.
        let is_one = |id: crate::ids::PodId| self.cluster.pods.at(id).state != PodState::Template;
        by_address || client.is_some_and(|client| endpoint.pod == Some(client) && is_one(client))
    }

    /// SVC-22: a packet to a load balancer's address from outside its source ranges. Asked of one port, or of all.
    fn outside_of_ranges(&self, packet: &Packet, at: &NodeView, only: Option<PortRef>) -> Option<Decision> {
        let family = Family::of(packet.destination);
        let mut claims = Vec::new();
        for (id, service) in self.cluster.services.iter() {
            for (port, place) in service.ports.iter().zip(0_u32..) {
                let port_ref = PortRef { service: id, port: place };
                let asked = only.is_none_or(|only| only == port_ref)
                    && self.is_for(packet, at, Frontend::LoadBalancer, service, port);
                let Some(balancer) = service.load_balancer().filter(|_| asked) else { continue };
                let ranges: AddressSet =
                    balancer.source_ranges.iter().map(|range| AddressSet::net(*range)).collect::<AddressSet>();
                let ranges = ranges.of(family);
                if ranges.is_empty() {
                    continue;
                }
                let by = vec![(Frontend::LoadBalancer, port_ref)];
                let delivery = match self.is_inside(packet, at, balancer, &ranges) {
                    Some(true) => continue,
                    Some(false) => Delivery::Drop,
                    None => Delivery::Undefined(KnobSet::one(whereabouts(packet.client))),
                };
                claims.push(Decision { delivery, rule: "SVC-22", by });
            }
        }
        Decision::of_claims(claims)
    }

    /// `None`: it depends on where the client's address lies.
    fn is_inside(&self, packet: &Packet, at: &NodeView, balancer: &LoadBalancer, ranges: &AddressSet) -> Option<bool> {
        let family = Family::of(packet.destination);
        let Some(source) = packet.source else {
            let knob = match packet.client {
                Client::Host => &self.profile.node_cidrs,
                _ => &self.profile.pod_cidrs,
            };
            let may_be = knob.of(family);
            return match () {
                () if may_be.is_subset(ranges) => Some(true),
                () if may_be.is_disjoint(ranges) => Some(false),
                () => None,
            };
        };
        let node_is_inside = at.primary(family).is_some_and(|ip| ranges.contains(ip));
        let is_own_vip = balancer
            .ingress
            .iter()
            .any(|point| point.mode == IpMode::Vip && point.at == LoadBalancerAddress::Ip(source));
        Some(ranges.contains(source) || (node_is_inside && is_own_vip))
    }

    /// A packet that no Service takes (SVC-7, SVC-24).
    fn unclaimed(&self, packet: &Packet, at: &NodeView) -> Decision {
        let mode = self.profile.ways.kube_proxy_mode;
        let family = Family::of(packet.destination);
        if mode == KubeProxyMode::Nftables {
            for service in self.cluster.services.values() {
                let is_its = service.is_proxied() && service.address(family) == Some(packet.destination);
                if is_its && service.families.contains(&family) {
                    return Decision::unclaimed(Delivery::Reject, "SVC-7");
                }
            }
            if self.profile.ways.service_cidrs.contains(packet.destination) {
                return Decision::unclaimed(Delivery::Drop, "SVC-7");
            }
        }
        if mode == KubeProxyMode::Iptables && packet.protocol == Protocol::Tcp && at.is_local(packet.destination) {
            for service in self.cluster.services.values() {
                let port = service.load_balancer().and_then(|balancer| balancer.health_check_node_port);
                let counts = service.families.contains(&family) && service.external_policy == TrafficPolicy::Local;
                if port == Some(packet.port) && counts {
                    return Decision::unclaimed(Delivery::Accept, "SVC-24");
                }
            }
        }
        Decision::unclaimed(Delivery::Unchanged, "KP-5")
    }

    /// HP-4
    fn host_port_source(&self, packet: &Packet, at: &NodeView, pod: crate::ids::PodId) -> SourceAddress {
        let family = Family::of(packet.destination);
        let object = self.cluster.pods.at(pod);
        if packet.source.is_some_and(|source| source.is_ipv4() && source.is_loopback()) {
            return SourceAddress::Masqueraded;
        }
        let client = match packet.client {
            Client::Pod(client) => client,
            _ => None,
        };
        let by_address = packet.source.is_some() && packet.source == object.address(family);
        let itself = by_address || (client == Some(pod) && object.state != PodState::Template);
        let prefixes = object.node.or(at.node).map(|node| &self.cluster.nodes.at(node).pod_cidrs);
        let mut prefixes: Vec<&IpNet> = prefixes.into_iter().flatten().collect();
        prefixes.retain(|range| Family::of(range.network()) == family);
        if let Some(address) = object.address(family) {
            prefixes.retain(|range| range.contains(&address));
        }
        let is_neighbour = match (packet.source, packet.client) {
            _ if itself => Some(true),
            (Some(source), _) if !prefixes.is_empty() => Some(prefixes.iter().any(|range| range.contains(&source))),
            (_, Client::Pod(_)) => None,
            _ => Some(false),
        };
        match (self.profile.ways.hostport_backend, is_neighbour) {
            (_, Some(true)) if itself => SourceAddress::Masqueraded,
            (HostPortBackend::Nftables, _) | (_, Some(false)) => SourceAddress::Kept,
            (HostPortBackend::Iptables, Some(true)) => SourceAddress::Masqueraded,
            (HostPortBackend::Iptables | HostPortBackend::Both, _) => {
                SourceAddress::Either(KnobSet::one(Knob::HostPortBackend))
            }
        }
    }
}

/// Which knob says where unknown addresses of a client lie.
fn whereabouts(client: Client) -> Knob {
    if client == Client::Host { Knob::NodeCidrs } else { Knob::PodCidrs }
}

/// SVC-23
fn is_vip(service: &Service, address: IpAddr) -> bool {
    let points = service.load_balancer().into_iter().flat_map(|balancer| &balancer.ingress);
    let is_vip = |point: &crate::model::LoadBalancerIngress| {
        point.mode == IpMode::Vip && point.at == LoadBalancerAddress::Ip(address)
    };
    points.into_iter().any(is_vip)
}
