//! Entries: the addresses and ports at which a way begins (M-8).

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::analysis::Analysis;
use crate::ids::{NodeId, PodId, ServiceId};
use crate::model::delivery::Frontend;
use crate::model::way_profile::LoadBalancerKind;
use crate::model::{
    AddressSet, Exposure, Family, Hop, IpMode, LoadBalancerAddress, Name, NodePort, Protocol, Service, ServiceKind,
    WayKind,
};

/// Where a way begins, and what it leads into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The kind.
    pub kind: WayKind,
    /// The protocol.
    pub protocol: Protocol,
    /// What clients dial.
    pub at: At,
    /// What takes the connection.
    pub leads: Leads,
}

/// What clients dial.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum At {
    /// An address; `None` = it is not told (SVC-8).
    Address(Option<IpAddr>, u16),
    /// A load balancer: its address or name; `None` = it is not told, or pending (SVC-21).
    Balancer(Option<Name>, u16),
    /// Any node that takes the port; `None` = the port is not allocated yet (SVC-8).
    AnyNode(Option<u16>),
    /// One node, which may be unknown.
    Node(Option<NodeId>, u16),
    /// One address of one node.
    NodeAddress(NodeId, IpAddr, u16),
}

/// What takes a connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Leads {
    /// A port of a Service, through the rules of some node (KP-3).
    Service {
        /// The Service.
        service: ServiceId,
        /// The position of its port.
        port: usize,
        /// What of it is dialled.
        frontend: Frontend,
        /// What the load balancer in front does, if there is one.
        balancer: Option<LoadBalancerKind>,
    },
    /// A host port of a pod: its position (HP-2).
    HostPort(PodId, usize),
    /// A pod itself: any port that it declares.
    Pod(PodId),
}

impl Entry {
    /// The node whose address is dialled, when it is one alone.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match self.at {
            At::NodeAddress(node, ..) => Some(node),
            _ => None,
        }
    }

    /// The hop that it is.
    #[must_use]
    pub fn hop(&self, analysis: &Analysis) -> Hop {
        match (&self.at, &self.leads) {
            (At::Balancer(at, port), Leads::Service { service, .. }) => {
                Hop::Balancer { service: *service, at: at.clone(), port: *port }
            }
            (At::Address(at, port), Leads::Service { service, .. }) => {
                Hop::Service { service: *service, at: *at, port: *port }
            }
            (At::AnyNode(port), _) => Hop::Node { node: None, at: None, port: *port },
            (At::Node(node, port), Leads::Pod(pod)) => {
                let node = node.or(analysis.cluster.pods.at(*pod).node);
                Hop::Node { node, at: None, port: Some(*port) }
            }
            (At::NodeAddress(node, ip, port), _) => Hop::Node { node: Some(*node), at: Some(*ip), port: Some(*port) },
            (At::Node(node, port), _) => Hop::Node { node: *node, at: None, port: Some(*port) },
            (At::Address(Some(at), port), Leads::HostPort(..) | Leads::Pod(_)) if self.kind == WayKind::Vip => {
                Hop::Address { at: *at, port: *port }
            }
            (At::Address(_, port) | At::Balancer(_, port), Leads::HostPort(pod, _) | Leads::Pod(pod)) => {
                Hop::Pod { pod: *pod, port: *port }
            }
        }
    }
}

impl Entry {
    /// The families in which it can be dialled: that of its address, when it is known (NP-30, SVC-26).
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        self.address().map_or(Family::ALL.to_vec(), |ip| vec![Family::of(ip)])
    }

    /// Its address, when it has one that is known and is not just any node's.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match &self.at {
            At::Address(ip, _) => *ip,
            At::Balancer(name, _) => name.as_ref().and_then(|name| name.parse().ok()),
            At::NodeAddress(_, ip, _) => Some(*ip),
            At::AnyNode(_) | At::Node(..) => None,
        }
    }
}

/// All entries of a Service's ports, its own cluster address among them.
#[must_use]
pub fn of_service(analysis: &Analysis, id: ServiceId) -> Vec<Entry> {
    let service = analysis.cluster.services.at(id);
    let ServiceKind::Cluster { exposure, .. } = &service.kind else { return Vec::new() };
    let mut entries = Vec::new();
    for (at, port) in service.ports.iter().enumerate() {
        let mut push = |kind: WayKind, dialled: At, frontend: Frontend, balancer: Option<LoadBalancerKind>| {
            let leads = Leads::Service { service: id, port: at, frontend, balancer };
            entries.push(Entry { kind, protocol: port.protocol, at: dialled, leads });
        };
        if let Exposure::LoadBalancer(balancer) = exposure {
            let kind = analysis.profile.ways.load_balancer_kind(balancer.class.as_deref());
            let of_mode = |mode: IpMode| match (mode, kind) {
                // SVC-23: what the status says goes before what is assumed of the class.
                (IpMode::Proxy, LoadBalancerKind::Vip) => LoadBalancerKind::ProxyNodePort,
                (_, kind) => kind,
            };
            for ingress in &balancer.ingress {
                if ingress.failed.contains(&(port.protocol, port.port)) {
                    continue;
                }
                let at = match &ingress.at {
                    LoadBalancerAddress::Ip(ip) => Name::from(ip.to_string()),
                    LoadBalancerAddress::Hostname(name) => name.clone(),
                };
                let kind = of_mode(ingress.mode);
                push(WayKind::LoadBalancer, At::Balancer(Some(at), port.port), Frontend::LoadBalancer, Some(kind));
            }
            if balancer.ingress.is_empty() {
                push(WayKind::LoadBalancer, At::Balancer(None, port.port), Frontend::LoadBalancer, Some(kind));
            }
        }
        for ip in &service.external_ips {
            push(WayKind::ExternalIp, At::Address(Some(*ip), port.port), Frontend::ExternalIp, None);
        }
        match port.node_port {
            NodePort::None => {}
            NodePort::Unallocated => push(WayKind::NodePort, At::AnyNode(None), Frontend::NodePort, None),
            NodePort::Number(number) => push(WayKind::NodePort, At::AnyNode(Some(number)), Frontend::NodePort, None),
        }
        for family in &service.families {
            let at = At::Address(service.address(*family), port.port);
            push(WayKind::ClusterIp, at, Frontend::ClusterIp, None);
        }
    }
    entries
}

/// The entries that lead to a pod and to nothing else: its host ports, the ports of a pod on the host's network, and
/// its own address (HP-2, HN-1, W-POD). Ports are those that it declares and `asked`: declaring one is documentation only
/// (M-5).
#[must_use]
pub fn of_pod(analysis: &Analysis, id: PodId, asked: Option<(Protocol, u16)>) -> Vec<Entry> {
    let pod = analysis.cluster.pods.at(id);
    let entry = |kind, protocol, at, leads| Entry { kind, protocol, at, leads };
    let declared = || -> BTreeSet<(Protocol, u16)> {
        pod.ports.iter().map(|port| (port.protocol, port.port)).chain(asked).collect()
    };
    let mut entries = Vec::new();
    if pod.host_network {
        entries.extend(
            declared().into_iter().map(|(protocol, port)| {
                entry(WayKind::HostNetwork, protocol, At::Node(pod.node, port), Leads::Pod(id))
            }),
        );
        return entries;
    }
    if analysis.profile.ways.hostport_supported {
        entries.extend(pod.host_ports.iter().enumerate().map(|(at, port)| {
            entry(WayKind::HostPort, port.protocol, At::Node(pod.node, port.port), Leads::HostPort(id, at))
        }));
    }
    if !analysis.profile.ways.pod_cidr_routable.is_empty() {
        for (protocol, port) in declared() {
            let family = Family::ALL.into_iter().find_map(|family| pod.address(family));
            entries.push(entry(WayKind::Pod, protocol, At::Address(family, port), Leads::Pod(id)));
        }
    }
    entries
}

/// The outside that gets at an address of a Service or a pod, when the network routes them (W-CIP, W-POD).
#[must_use]
pub fn routed(analysis: &Analysis, kind: WayKind, outside: &AddressSet) -> AddressSet {
    match kind {
        WayKind::ClusterIp => analysis.profile.ways.service_cidr_routable.intersection(outside),
        WayKind::Pod => analysis.profile.ways.pod_cidr_routable.intersection(outside),
        _ => outside.clone(),
    }
}

/// Whether a Service opens anything to the outside by itself.
#[must_use]
pub fn is_exposed(service: &Service) -> bool {
    match &service.kind {
        ServiceKind::Cluster { exposure, .. } => *exposure != Exposure::None || !service.external_ips.is_empty(),
        ServiceKind::Headless | ServiceKind::ExternalName(_) => false,
    }
}
