//! Questions about ways: what somebody dials, and by which ways somebody gets at pods (M-6).

use std::net::IpAddr;

use rustc_hash::FxHashSet;

use crate::analysis::Analysis;
use crate::ids::{Id, NodeId, PodId, ProxyId, ServiceId};
use crate::model::delivery::Frontend;
use crate::model::http::{Action, BackendTarget, RequestMatch};
use crate::model::{Family, Finding, Hop, Party, PodState, Protocol, ServiceKind, Verdict, WayKind};
use crate::query::PortAsk;
use crate::ways::clients::{Clients, Part};
use crate::ways::entry::{self, At, Entry, Leads};
use crate::ways::forward::connection;
use crate::ways::walk::{Walk, Way};

/// All ways by which clients get at some pods: at one port of theirs, or at any.
#[must_use]
pub fn to_pods(walk: &mut Walk<'_>, clients: &Clients, pods: &[PodId], port: &PortAsk) -> Vec<Way> {
    let analysis = walk.analysis;
    let mut ways = Vec::new();
    let services = services_of(analysis, pods);
    for service in &services {
        for entry in entry::of_service(analysis, *service) {
            if is_tried(analysis, clients, &entry) {
                ways.extend(walk.enter(clients, &entry));
            }
        }
    }
    for pod in pods {
        let asked = match port {
            PortAsk::Number(protocol, number) => Some((*protocol, *number)),
            PortAsk::Any | PortAsk::Name(..) => None,
        };
        let entries = entry::of_pod(analysis, *pod, asked);
        ways.extend(entries.iter().flat_map(|entry| walk.enter(clients, entry)));
    }
    ways.extend(through_proxies(walk, clients, &services));
    ways.into_iter().filter_map(|way| meant(analysis, way, pods, port)).collect()
}

/// Whether clients can use an entry at all: nobody outside asks for a Service's own address unless it is routed.
pub(super) fn is_tried(analysis: &Analysis, clients: &Clients, entry: &Entry) -> bool {
    let routable = !analysis.profile.ways.service_cidr_routable.is_empty();
    !matches!(clients, Clients::Outside(_)) || routable || entry.kind != WayKind::ClusterIp
}

fn services_of(analysis: &Analysis, pods: &[PodId]) -> Vec<ServiceId> {
    let of = |pod: &PodId| analysis.ways.endpoints.services_of(*pod).iter().copied();
    let mut services: Vec<ServiceId> = pods.iter().flat_map(of).collect();
    services.sort_unstable();
    services.dedup();
    services
}

/// The part of a way that ends at one of these pods, at the port that is meant.
fn meant(analysis: &Analysis, mut way: Way, pods: &[PodId], port: &PortAsk) -> Option<Way> {
    let is_port = |pod: &PodId| match port {
        PortAsk::Any => true,
        PortAsk::Number(protocol, number) => (way.protocol, way.port) == (*protocol, *number),
        PortAsk::Name(protocol, name) => {
            let declared = analysis.cluster.pods.at(*pod).ports.iter();
            let mut named = declared.filter(|port| port.name.as_ref() == Some(name) && port.protocol == *protocol);
            named.any(|port| (port.protocol, port.port) == (way.protocol, way.port))
        }
    };
    let kept: Vec<PodId> = way.pods.iter().copied().filter(|pod| pods.contains(pod) && is_port(pod)).collect();
    way.pods = kept;
    (!way.pods.is_empty()).then_some(way)
}

/// The ways through proxies that send something to one of these Services.
fn through_proxies(walk: &mut Walk<'_>, clients: &Clients, services: &[ServiceId]) -> Vec<Way> {
    let mut ways = Vec::new();
    let analysis = walk.analysis;
    for (at, proxy) in analysis.ways.proxies.iter().enumerate() {
        for port in &proxy.ports {
            let mut arrivals = None;
            for listener in &port.listeners {
                for rule in listener.router.rules.iter().filter(|rule| sends_to(&rule.then, services)) {
                    let arrivals =
                        arrivals.get_or_insert_with(|| walk.arrive(clients, ProxyId::from_index(at), proxy, port));
                    let served = walk.serve(arrivals, proxy, listener, &rule.when);
                    // The same requests, and no others: those of other rules have their turn.
                    ways.extend(
                        served.into_iter().filter(|way| {
                            way.served.as_ref().is_some_and(|served| served.requests.origin == rule.origin)
                        }),
                    );
                }
            }
        }
    }
    ways
}

fn sends_to(action: &Action, services: &[ServiceId]) -> bool {
    let Action::Forward { backends, mirrors, .. } = action else { return false };
    backends.iter().chain(mirrors).any(|backend| match &backend.target {
        BackendTarget::Service { service, .. } | BackendTarget::External { service, .. } => services.contains(service),
        BackendTarget::Invalid { .. } => false,
    })
}

/// Where clients come that dial a port of a Service: inside by its own address or its name, outside by whatever it
/// opens for that port.
#[must_use]
pub fn to_service(
    walk: &mut Walk<'_>,
    clients: &Clients,
    service: ServiceId,
    port: Option<(Protocol, u16)>,
) -> Vec<Way> {
    let analysis = walk.analysis;
    let object = analysis.cluster.services.at(service);
    if object.kind == ServiceKind::Headless {
        return headless(walk, clients, service, port);
    }
    let inside = matches!(clients, Clients::Party(_));
    let is_dialled = |entry: &Entry| match (&entry.leads, port) {
        (Leads::Service { .. }, None) => true,
        (Leads::Service { port: at, .. }, Some((protocol, number))) => {
            let of = object.ports.get(*at);
            of.is_some_and(|of| (of.protocol, of.port) == (protocol, number))
        }
        _ => false,
    };
    let entries = entry::of_service(analysis, service).into_iter();
    let entries: Vec<Entry> =
        entries.filter(|entry| is_dialled(entry) && (entry.kind == WayKind::ClusterIp || !inside)).collect();
    let mut ways: Vec<Way> = entries.iter().flat_map(|entry| walk.enter(clients, entry)).collect();
    if ways.is_empty() {
        // SVC-7: a Service answers on its ports and on nothing else.
        let (protocol, number) = port.unwrap_or((Protocol::Tcp, 0));
        let parts = vec![Part::start(clients.clone(), "SVC-7").and(Finding::of(Verdict::NoListener, "SVC-7"))];
        let hop = Hop::Service { service, at: None, port: number };
        ways.push(ending(WayKind::ClusterIp, protocol, vec![hop], parts));
    }
    ways
}

/// SVC-13: the name stands for the ready pods, and the client dials their ports itself.
fn headless(walk: &mut Walk<'_>, clients: &Clients, service: ServiceId, port: Option<(Protocol, u16)>) -> Vec<Way> {
    let analysis = walk.analysis;
    let object = analysis.cluster.services.at(service);
    let ports: Vec<(Protocol, u16)> = match port {
        Some(port) => vec![port],
        None => object.ports.iter().map(|port| (port.protocol, port.port)).collect(),
    };
    let mut ways = Vec::new();
    for (protocol, number) in ports {
        let hops = vec![Hop::Service { service, at: None, port: number }];
        let members = analysis.ways.endpoints.members(service).iter();
        let ready: Vec<_> = members.filter(|endpoint| endpoint.conditions.ready).collect();
        if ready.is_empty() {
            let nobody = Finding::of(Verdict::NoListener, "DNS-2");
            let parts = vec![Part::start(clients.clone(), "SVC-13").and(nobody)];
            ways.push(ending(WayKind::Headless, protocol, hops, parts));
            continue;
        }
        for endpoint in ready {
            let Some(target) = endpoint.pod.map(Party::Pod).or(endpoint.address.map(Party::Address)) else { continue };
            let mut way = ending(WayKind::Headless, protocol, hops.clone(), Vec::new());
            way.pods.extend(endpoint.pod);
            way.address = endpoint.address.filter(|_| endpoint.pod.is_none());
            way.port = number;
            way.parts = walk.directly(clients, target, endpoint.family, protocol, number);
            ways.push(way);
        }
    }
    ways
}

/// Where clients come that dial an address: `None` when nothing but what has the address itself is there.
#[must_use]
pub fn to_address(
    walk: &mut Walk<'_>,
    clients: &Clients,
    (ip, port, protocol): (IpAddr, u16, Protocol),
) -> Option<Vec<Way>> {
    let analysis = walk.analysis;
    let entries = entries_at(analysis, ip, port, protocol);
    let known = is_of_services(analysis, ip);
    if entries.is_empty() && !known {
        return None;
    }
    let mut ways: Vec<Way> = entries.iter().flat_map(|entry| walk.enter(clients, entry)).collect();
    if ways.is_empty() {
        let nobody = Finding::of(Verdict::NoListener, "SVC-7");
        let parts = vec![Part::start(clients.clone(), "SVC-7").and(nobody)];
        ways.push(ending(WayKind::ClusterIp, protocol, vec![Hop::Address { at: ip, port }], parts));
    }
    Some(ways)
}

/// Whether only the holder of an address answers there: no Service and no host port takes the packet.
#[must_use]
pub fn is_plain(analysis: &Analysis, ip: IpAddr, port: u16, protocol: Protocol) -> bool {
    let entries = entries_at(analysis, ip, port, protocol);
    entries.iter().all(|entry| entry.kind == WayKind::Pod) && !is_of_services(analysis, ip)
}

/// The addresses at which something else than their holder may answer, besides those of `service_cidrs`: whatever is at
/// another address, [`is_plain`] holds of it.
#[must_use]
pub fn shared_addresses(analysis: &Analysis) -> FxHashSet<IpAddr> {
    let (cluster, ways) = (&analysis.cluster, &analysis.ways);
    let balancers = cluster.services.iter().filter(|(_, object)| object.load_balancer().is_some());
    let balancers = balancers
        .flat_map(|(service, _)| entry::of_service(analysis, service))
        .chain(super::exposure::of_vips(analysis, ways));
    let told = balancers.filter_map(|entry| match entry.at {
        At::Balancer(at, _) => at?.parse().ok(),
        At::Address(at, _) => at,
        At::NodeAddress(_, at, _) => Some(at),
        At::AnyNode(_) | At::Node(..) => None,
    });
    let nodes = cluster.nodes.values().flat_map(|node| node.addresses.iter().map(|address| address.ip));
    let services = cluster
        .services
        .values()
        .flat_map(|service| Family::ALL.into_iter().filter_map(|family| service.address(family)));
    told.chain(nodes).chain(services).chain(ways.kube_proxy.addresses()).collect()
}

/// Whether an address is a Service's own.
fn is_of_services(analysis: &Analysis, ip: IpAddr) -> bool {
    analysis.profile.ways.service_cidrs.contains(ip)
        || analysis.cluster.services.values().any(|service| service.address(Family::of(ip)) == Some(ip))
}

/// The entries at an address and port.
#[must_use]
pub fn entries_at(analysis: &Analysis, ip: IpAddr, port: u16, protocol: Protocol) -> Vec<Entry> {
    let (cluster, ways) = (&analysis.cluster, &analysis.ways);
    let service_entry = |kind, at, service, place: u32, frontend| {
        let leads = Leads::Service { service, port: place as usize, frontend, balancer: None };
        Entry { kind, protocol, at, leads }
    };
    let mut entries = Vec::new();
    // Addresses of load balancers that nodes do not take for their own are no captures: the Service tells them.
    let written = ip.to_string();
    for (service, object) in cluster.services.iter().filter(|(_, object)| object.load_balancer().is_some()) {
        if object.ports.iter().any(|of| (of.protocol, of.port) == (protocol, port)) {
            let balancers = entry::of_service(analysis, service).into_iter().filter(|entry| match &entry.at {
                At::Balancer(Some(at), number) => **at == *written && *number == port && entry.protocol == protocol,
                _ => false,
            });
            entries.extend(balancers);
        }
    }
    for (frontend, of) in ways.kube_proxy.captures(ip, protocol, port) {
        let kind = match frontend {
            Frontend::ClusterIp => WayKind::ClusterIp,
            Frontend::ExternalIp => WayKind::ExternalIp,
            Frontend::LoadBalancer | Frontend::NodePort => continue,
        };
        entries.push(service_entry(kind, At::Address(Some(ip), port), of.service, of.port, *frontend));
    }
    let of_node = |node: NodeId| cluster.nodes.at(node).addresses.iter().any(|address| address.ip == ip);
    for node in cluster.nodes.ids().filter(|node| of_node(*node)) {
        for of in ways.kube_proxy.node_port(protocol, port) {
            let at = At::NodeAddress(node, ip, port);
            entries.push(service_entry(WayKind::NodePort, at, of.service, of.port, Frontend::NodePort));
        }
        for (pod, host_port) in ways.host_ports.at(Some(node), protocol, port).iter().filter(|(_, of)| of.is_at(ip)) {
            let place = cluster.pods.at(*pod).host_ports.iter().position(|of| of == host_port).unwrap_or(0);
            let leads = Leads::HostPort(*pod, place);
            entries.push(Entry { kind: WayKind::HostPort, protocol, at: At::NodeAddress(node, ip, port), leads });
        }
        for pod in
            ways.host_ports.on_host(Some(node)).iter().filter(|pod| cluster.pods.at(**pod).declares(protocol, port))
        {
            let at = At::NodeAddress(node, ip, port);
            entries.push(Entry { kind: WayKind::HostNetwork, protocol, at, leads: Leads::Pod(*pod) });
        }
    }
    let holds = |pod: &crate::model::Pod| {
        pod.state != PodState::Finished && !pod.host_network && pod.address(Family::of(ip)) == Some(ip)
    };
    for (pod, _) in cluster.pods.iter().filter(|(_, pod)| holds(pod)) {
        let at = At::Address(Some(ip), port);
        entries.push(Entry { kind: WayKind::Pod, protocol, at, leads: Leads::Pod(pod) });
    }
    let is_at = |entry: &Entry| match entry.at {
        At::Address(at, number) => (at, number) == (Some(ip), port),
        At::NodeAddress(_, at, number) => (at, number) == (ip, port),
        _ => false,
    };
    entries.extend(
        super::exposure::of_vips(analysis, ways).into_iter().filter(|entry| entry.protocol == protocol && is_at(entry)),
    );
    entries
}

/// A way that has ended.
fn ending(kind: WayKind, protocol: Protocol, hops: Vec<Hop>, parts: Vec<Part>) -> Way {
    Way { kind, protocol, hops, pods: Vec::new(), address: None, port: 0, parts, served: None }
}

/// Where the requests that `within` takes come, through every proxy that takes any of them on `port`.
#[must_use]
pub fn to_host(walk: &mut Walk<'_>, clients: &Clients, port: u16, tls: bool, within: &RequestMatch) -> Vec<Way> {
    let analysis = walk.analysis;
    let mut ways = Vec::new();
    for (at, proxy) in analysis.ways.proxies.iter().enumerate() {
        for proxy_port in proxy.ports.iter().filter(|of| of.port == port && of.protocol == Protocol::Tcp) {
            let sni = match &within.host {
                crate::model::http::HostMatch::Exact(host) => Some(&**host),
                _ => None,
            };
            // Of several listeners that take the connection, the first one does.
            let listener = proxy_port.listeners.iter().find(|listener| match &listener.tls {
                None => !tls,
                Some(names) => tls && names.matches(sni) == Some(true),
            });
            let Some(listener) = listener else { continue };
            let arrivals = walk.arrive(clients, ProxyId::from_index(at), proxy, proxy_port);
            ways.extend(walk.serve(&arrivals, proxy, listener, within));
        }
    }
    ways
}

impl Walk<'_> {
    /// What becomes of clients that dial somebody at their own address.
    pub(super) fn directly(
        &mut self,
        clients: &Clients,
        target: Party,
        family: Family,
        protocol: Protocol,
        port: u16,
    ) -> Vec<Part> {
        let flow = connection(target, family, protocol, port, None, None);
        let from = entry::routed(self.analysis, WayKind::Pod, self.judging.outside());
        let arriving = self.arriving(clients, &from, "M-8");
        let step = |part: &Part| match part.goes_on() {
            true => self.judging.step(part, &flow),
            false => vec![part.clone()],
        };
        arriving.iter().flat_map(step).collect()
    }
}
