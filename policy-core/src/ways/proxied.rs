//! Through proxies: which requests they send where, and what the backends' policies say to the proxy (M-6, ING-13,
//! GW-16).

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::ids::{NodeId, PodId, ProxyId, ServiceId};
use crate::model::delivery::{Frontend, PortRef};
use crate::model::http::{
    Action, App, Backend, BackendTarget, Check, Dial, Listener, Proxy, ProxyKind, ProxyPods, ProxyPort, Request,
    RequestMatch, RouteOrigin, RouteRule,
};
use crate::model::premise::{self, Whereabouts};
use crate::model::{
    AddressSet, Family, Finding, Flow, Hit, Hop, Knob, Masquerader, Name, NodePort, Party, PodState, Protocol, Proviso,
    TrafficPolicy, Verdict, WayKind,
};
use crate::ways::clients::{Clients, Part, best, split};
use crate::ways::dial::is_tried;
use crate::ways::disputed::disputed;
use crate::ways::entry::{self, At, Entry, Leads};
use crate::ways::forward::{Standing, Treatment, connection, grouped, treatment, usable, usable_on_own_nodes};
use crate::ways::nodes::{Reach, Receiver};
use crate::ways::requests::{Region, partition};
use crate::ways::walk::{Walk, Way};

/// Which requests take a way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requests {
    /// What the rule takes.
    pub when: RequestMatch,
    /// What earlier rules take of it.
    pub except: Vec<RequestMatch>,
    /// One of the requests; `None` when none could be found within bounds.
    pub witness: Option<Request>,
    /// Whether they come over TLS.
    pub tls: bool,
    /// Whether the proxy sees requests; if not, the host is the server name of connections.
    pub app: App,
    /// The rule that takes them.
    pub origin: RouteOrigin,
}

/// What a proxy does with the requests of a way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Served {
    /// The proxy.
    pub proxy: ProxyId,
    /// Its port.
    pub port: u16,
    /// Which requests take the way; the ways of one rule share them.
    pub requests: Arc<Requests>,
    /// What the proxy does with them.
    pub then: Action,
    /// Whether the backend gets copies only (GW-10).
    pub mirror: bool,
}

/// Clients that have come to a proxy.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The proxy and its port.
    pub proxy: (ProxyId, u16),
    /// The hops so far, the proxy among them.
    pub hops: Vec<Hop>,
    /// The proxy's pod; `None` when no pod runs it, or the input lacks it.
    pub pod: Option<PodId>,
    /// What became of whom so far.
    pub parts: Vec<Part>,
}

impl Walk<'_> {
    /// The ways to a port of a proxy: through whatever leads to its pods there.
    pub fn arrive(&mut self, clients: &Clients, id: ProxyId, proxy: &Proxy, port: &ProxyPort) -> Vec<Arrival> {
        let hop = Hop::Proxy { proxy: id, port: port.port };
        let bare =
            |parts: Vec<Part>| vec![Arrival { proxy: (id, port.port), hops: vec![hop.clone()], pod: None, parts }];
        let rule = if proxy.kind == ProxyKind::Gateway { "GW-16" } else { "ING-13" };
        match &proxy.pods {
            ProxyPods::Outside(_) | ProxyPods::OutsideUnknown => bare(vec![Part::start(clients.clone(), rule)]),
            ProxyPods::Missing(what) => {
                let missing = Finding::if_only(rule, Proviso::Controller(what.clone()));
                bare(vec![Part::start(clients.clone(), rule).and(missing)])
            }
            ProxyPods::Pods(pods) => {
                let mut arrivals = Vec::new();
                let mut entries = self.entries_of_proxy(pods, port);
                // An address that nobody asks for tells something only where there is no other.
                if entries.iter().any(|entry| is_tried(self.analysis, clients, entry)) {
                    entries.retain(|entry| is_tried(self.analysis, clients, entry));
                }
                for entry in entries {
                    for way in self.enter(clients, &entry) {
                        let pod = way.pods.iter().copied().find(|pod| pods.contains(pod));
                        if pod.is_none() && !way.pods.is_empty() {
                            continue;
                        }
                        let hops = way.hops.into_iter().chain([hop.clone()]).collect();
                        arrivals.push(Arrival { proxy: (id, port.port), hops, pod, parts: way.parts });
                    }
                }
                if arrivals.is_empty() {
                    // ING-28: nobody can get there.
                    let is_ready = |pod: &PodId| self.analysis.cluster.pods.at(*pod).ready != Some(false);
                    let nothing = match pods.iter().any(is_ready) {
                        true => Finding::of(Verdict::NoRoute, rule),
                        false => Finding::of(Verdict::NoListener, "ING-28"),
                    };
                    return bare(vec![Part::start(clients.clone(), rule).and(nothing)]);
                }
                arrivals
            }
        }
    }

    /// The entries that lead to a port of a proxy's pods. A Service stands for the port that it has in common with
    /// the proxy, by number or by its usual name.
    fn entries_of_proxy(&self, pods: &[PodId], port: &ProxyPort) -> Vec<Entry> {
        let cluster = &self.analysis.cluster;
        let mut services: Vec<_> = pods.iter().flat_map(|pod| self.endpoints.services_of(*pod)).copied().collect();
        services.sort_unstable();
        services.dedup();
        let mut entries = Vec::new();
        for service in services {
            let object = cluster.services.at(service);
            let names = usual_names(port.port);
            let is_port = |at: usize| {
                let of = object.ports.get(at);
                of.is_some_and(|of| {
                    of.protocol == port.protocol && (of.port == port.port || names.contains(&&*of.name))
                })
            };
            entries.extend(
                entry::of_service(self.analysis, service)
                    .into_iter()
                    .filter(|entry| matches!(entry.leads, Leads::Service { port, .. } if is_port(port))),
            );
        }
        // ING-28: one that is not ready serves nobody.
        for pod in pods.iter().filter(|pod| cluster.pods.at(**pod).ready != Some(false)) {
            // A controller on the host's network need not declare what it listens on.
            let of_pod = entry::of_pod(self.analysis, *pod, Some((port.protocol, port.port))).into_iter();
            entries.extend(of_pod.filter(|entry| {
                entry.protocol == port.protocol && matches!(entry.at, At::Node(_, number) if number == port.port)
            }));
        }
        entries
    }

    /// Where a listener sends the requests of those who have arrived: only what `within` takes.
    pub fn serve(
        &mut self,
        arrivals: &[Arrival],
        proxy: &Proxy,
        listener: &Listener,
        within: &RequestMatch,
    ) -> Vec<Way> {
        let mut ways = Vec::new();
        for region in partition(&listener.router, within) {
            ways.extend(self.serve_region(arrivals, proxy, listener, &region));
        }
        ways
    }

    /// Where the requests of a region go.
    pub(super) fn serve_region(
        &mut self,
        arrivals: &[Arrival],
        proxy: &Proxy,
        listener: &Listener,
        region: &Region<'_>,
    ) -> Vec<Way> {
        let requests = Arc::new(requests(listener, region));
        arrivals.iter().flat_map(|arrival| self.serve_arrival(arrival, proxy, region, &requests)).collect()
    }

    /// Where one arrival's requests of a region go.
    fn serve_arrival(
        &mut self,
        arrival: &Arrival,
        proxy: &Proxy,
        region: &Region<'_>,
        requests: &Arc<Requests>,
    ) -> Vec<Way> {
        let kind = match (proxy.kind, requests.app) {
            (ProxyKind::Gateway, _) => WayKind::Gateway,
            (ProxyKind::Ingress, App::Http) => WayKind::Ingress,
            (ProxyKind::Ingress, App::Opaque) => WayKind::L4,
        };
        let first = arrival.parts.iter().find_map(|part| part.legs.first());
        let protocol = first.map_or(Protocol::Tcp, |leg| leg.flow.protocol);
        let nothing = Action::Answer { status: 404, why: Name::from("no rule takes it") };
        let none = if proxy.kind == ProxyKind::Gateway { "GW-7" } else { "ING-7" };
        let (then, rule) = region.rule.map_or((nothing, none), |rule| (rule.then.clone(), rule.rule));
        let mut parts = arrival.parts.clone();
        if let Some(rule) = region.rule {
            parts = self.checked(parts, rule);
        }
        for written in &region.undecided {
            let doubt = Finding::if_only(rule, Proviso::Expression(written.clone()));
            parts = parts.into_iter().map(|part| part.and(doubt.clone())).collect();
        }
        if !region.contested.is_empty() {
            let doubt = Finding::of(Verdict::Undefined, rule);
            parts = parts.into_iter().map(|part| part.and(doubt.clone())).collect();
        }
        let (proxy_id, port) = arrival.proxy;
        let served = |mirror: bool| {
            Arc::new(Served { proxy: proxy_id, port, requests: requests.clone(), then: then.clone(), mirror })
        };
        let (direct, copied) = (served(false), served(true));
        let way = |hops: Vec<Hop>, end: Ending, mirror: bool| Way {
            kind,
            protocol,
            hops,
            pods: end.pods,
            address: end.address,
            port: end.port,
            parts: end.parts,
            served: Some(if mirror { copied.clone() } else { direct.clone() }),
        };
        match &then {
            Action::Forward { backends, mirrors, .. } => {
                let used = backends.iter().filter(|backend| backend.weight > 0).map(|backend| (backend, false));
                let used: Vec<_> = used.chain(mirrors.iter().map(|backend| (backend, true))).collect();
                let mut ways = Vec::new();
                for (backend, mirror) in used {
                    for (hop, end) in self.reach_backend(arrival, &parts, proxy, backend) {
                        let hops = arrival.hops.iter().cloned().chain(hop).collect();
                        ways.push(way(hops, end, mirror));
                    }
                }
                ways
            }
            Action::Undefined(_) => {
                let doubt = Finding::of(Verdict::Undefined, rule);
                let parts = parts.into_iter().map(|part| part.and(doubt.clone())).collect();
                vec![way(arrival.hops.clone(), Ending::nowhere(parts), false)]
            }
            Action::Redirect(_) => {
                let elsewhere = Finding::if_only(rule, Proviso::Redirect);
                let parts = parts.into_iter().map(|part| part.and(elsewhere.clone())).collect();
                vec![way(arrival.hops.clone(), Ending::nowhere(parts), false)]
            }
            Action::Answer { status, .. } => {
                let verdict = if *status == 403 { Verdict::Denied } else { Verdict::NoListener };
                let parts = parts.into_iter().map(|part| part.and(Finding::of(verdict, rule))).collect();
                vec![way(arrival.hops.clone(), Ending::nowhere(parts), false)]
            }
        }
    }

    /// From the proxy to the endpoints of a backend (ING-14).
    pub(super) fn reach_backend(
        &mut self,
        arrival: &Arrival,
        parts: &[Part],
        proxy: &Proxy,
        backend: &Backend,
    ) -> Vec<(Vec<Hop>, Ending)> {
        let (service, at, dial) = match &backend.target {
            BackendTarget::Service { service, port, dial } => (*service, *port, *dial),
            BackendTarget::External { service, port } => {
                return self.reach_named(arrival, parts, proxy, backend, (*service, *port));
            }
            BackendTarget::Invalid { rule, .. } => {
                let nobody = Finding::of(Verdict::NoListener, rule);
                let parts = parts.iter().map(|part| part.clone().and(nobody.clone())).collect();
                return vec![(Vec::new(), Ending::nowhere(parts))];
            }
        };
        let cluster = &self.analysis.cluster;
        let Some(port) = cluster.services.get(service).and_then(|object| object.ports.get(at as usize)) else {
            return Vec::new();
        };
        let (number, protocol) = (port.port, port.protocol);
        let hop = vec![Hop::Service { service, at: None, port: number }];
        // KP-1: under Local every node has its own.
        let is_local = self.treated(arrival, service, dial).is_some_and(|found| found.scope == TrafficPolicy::Local);
        let of_family = |family| {
            let all = self.endpoints.of(cluster, PortRef { service, port: at }, family);
            if is_local { usable_on_own_nodes(all) } else { usable(all) }
        };
        let groups = grouped(self.analysis, Family::ALL.into_iter().flat_map(of_family), arrival.pod);
        if groups.is_empty() {
            // GW-9, ING-3: the Service has nobody behind it.
            let nobody = Finding::of(Verdict::NoListener, "KP-4");
            let parts = parts.iter().map(|part| part.clone().and(nobody.clone())).collect();
            return vec![(hop, Ending::nowhere(parts))];
        }
        let mut reached = Vec::new();
        for group in groups {
            let Some(target) = self.destination(&group.endpoint) else { continue };
            let mut after = Vec::new();
            let mut flows = Vec::new();
            let mut is_disputed = false;
            for family in &group.families {
                let flow = connection(target, *family, protocol, group.port, None, None);
                let port = PortRef { service, port: at };
                let (found, disputed) = self.dialled_by_proxy(arrival, port, dial, (flow, group.endpoint.node));
                flows.extend(found);
                is_disputed |= disputed;
            }
            for part in parts {
                if !part.goes_on() {
                    after.push(part.clone());
                    continue;
                }
                if is_disputed {
                    after.push(part.clone().and(disputed()));
                } else if flows.is_empty() {
                    after.push(part.clone().and(Finding::of(Verdict::NoListener, "KP-4")));
                }
                for flow in flows.iter().filter(|_| part.goes_on()) {
                    after.push(self.as_proxy(arrival, proxy, part, *flow));
                }
            }
            let address = group.address();
            reached.push((hop.clone(), Ending { pods: group.pods, address, port: group.port, parts: best(after) }));
        }
        reached
    }

    /// What nodes make of a proxy's connection to a Service; `None` where it dials the endpoints themselves (ING-14, KP-3).
    fn treated(&self, arrival: &Arrival, service: ServiceId, dial: Dial) -> Option<Treatment> {
        let cluster = &self.analysis.cluster;
        let service = cluster.services.get(service)?;
        let (frontend, policy) = match dial {
            Dial::Endpoints => return None,
            Dial::ClusterIp => (Frontend::ClusterIp, service.internal_policy),
            Dial::NodePort => (Frontend::NodePort, service.external_policy),
        };
        let standing = match arrival.pod.map(|pod| cluster.pods.at(pod)) {
            Some(pod) if pod.host_network => Standing::Host,
            Some(_) => Standing::Pod,
            None => Standing::Other,
        };
        Some(treatment(self.analysis, frontend, policy, standing))
    }

    /// The connections to an endpoint that come of how a proxy dials a Service: its endpoints, or what nodes make of
    /// the Service's own address or node port (ING-14, ING-21, KP-3). Whether some node has a pod with that node port too
    /// (HP-7); such nodes are left out.
    fn dialled_by_proxy(
        &mut self,
        arrival: &Arrival,
        port: PortRef,
        dial: Dial,
        (flow, there): (Flow, Option<NodeId>),
    ) -> (Vec<Flow>, bool) {
        let cluster = &self.analysis.cluster;
        let Some(service) = cluster.services.get(port.service) else { return (vec![flow], false) };
        let Some(Treatment { scope, masquerade }) = self.treated(arrival, port.service, dial) else {
            return (vec![flow], false);
        };
        // SVC-26: nodes take what is dialled in the Service's families.
        if !service.families.contains(&flow.family) {
            return (Vec::new(), false);
        }
        let here = arrival.pod.and_then(|pod| cluster.pods.at(pod).node);
        // KP-3: who is led back to itself is masqueraded in every case.
        let is_itself = arrival
            .pod
            .is_some_and(|pod| flow.destination == Party::Pod(pod) && cluster.pods.at(pod).state != PodState::Template);
        let masquerade = masquerade || is_itself;
        if scope == TrafficPolicy::Local && here.zip(there).is_some_and(|(here, there)| here != there) {
            return (Vec::new(), false);
        }
        let address = service.address(flow.family).filter(|_| dial == Dial::ClusterIp);
        let of = service.ports.get(port.port as usize);
        let shared = of.filter(|_| dial == Dial::NodePort).and_then(|of| match of.node_port {
            NodePort::Number(number) => self.is_host_port(of.protocol, number).then_some(number),
            _ => None,
        });
        let number = of.map(|port| port.port);
        let flow = Flow { dialled: address.zip(number).map(|(ip, number)| SocketAddr::new(ip, number)), ..flow };
        // NP-23: what is dialled at a node.
        let at_node = |node: Option<NodeId>| {
            let number = of.filter(|_| dial == Dial::NodePort).and_then(|of| match of.node_port {
                NodePort::Number(number) => Some(number),
                _ => None,
            });
            let addresses = node.map_or(&[][..], |node| &cluster.nodes.at(node).addresses);
            let ip = addresses.iter().map(|address| address.ip).find(|ip| Family::of(*ip) == flow.family);
            Flow { dialled: flow.dialled.or(ip.zip(number).map(|(ip, number)| SocketAddr::new(ip, number))), ..flow }
        };
        let by = |by: Masquerader| {
            let node = match by {
                Masquerader::Node(node) => Some(node),
                Masquerader::OwnNode => there,
                Masquerader::OtherNode => None,
            };
            Flow { masqueraded_by: Some(by), ..at_node(node) }
        };
        let is_disputed = |walk: &Self, node: NodeId| {
            let at = |number| walk.node_port_at(node, number, flow.protocol, flow.family);
            shared.and_then(at) == Some(false)
        };
        match (masquerade, dial, here) {
            // KP-6: it needs an open address of the endpoint's own node.
            (false, Dial::NodePort, _) if scope == TrafficPolicy::Local => match there {
                _ if self.opens_node_port(there, flow.family).is_empty() => (Vec::new(), false),
                Some(there) if is_disputed(self, there) => (Vec::new(), true),
                _ => (vec![at_node(there)], false),
            },
            (false, ..) => (vec![at_node(here.or(there))], false),
            (true, Dial::ClusterIp, Some(node)) => (vec![by(Masquerader::Node(node))], false),
            (true, ..) => {
                let pod = match flow.destination {
                    Party::Pod(pod) => Some(pod),
                    _ => None,
                };
                let family = flow.family;
                let nodes = self.nodes(Reach::Opens(family), |walk, node| walk.opens_node_port(node, family));
                let is_open = |receiver: &Receiver| dial != Dial::NodePort || !receiver.from.is_empty();
                let receivers = nodes.receivers(self.analysis, pod).into_iter().filter(is_open).map(|node| node.node);
                if shared.is_none() {
                    return (receivers.map(by).collect(), false);
                }
                let is_unknown = |by: &Masquerader| match by {
                    Masquerader::Node(_) => false,
                    Masquerader::OwnNode => there.is_none(),
                    Masquerader::OtherNode => true,
                };
                let unknown = receivers.filter(is_unknown).map(by);
                let open = cluster.nodes.ids().filter(|node| !nodes.from(Some(*node)).is_empty());
                let (lost, free): (Vec<NodeId>, Vec<NodeId>) = open.partition(|node| is_disputed(self, *node));
                let known = free.into_iter().map(|node| by(Masquerader::Node(node)));
                (unknown.chain(known).collect(), !lost.is_empty())
            }
        }
    }

    /// The proxy's own connection, in place of the client's (NP-26).
    pub(super) fn as_proxy(&mut self, arrival: &Arrival, proxy: &Proxy, part: &Part, flow: Flow) -> Part {
        match (&proxy.pods, arrival.pod) {
            (_, Some(pod)) => self.judging.step_as(part, &Flow { source: Party::Pod(pod), ..flow }),
            // ING-21: all of its addresses must get through, or it takes the backend for dead.
            (ProxyPods::Outside(ranges), _) => {
                let of_family = ranges.iter().filter(|range| Family::of(range.network()) == flow.family);
                let mut after: Option<Part> = None;
                for range in of_family {
                    let flow = Flow { source: Party::Address(range.network()), ..flow };
                    let next = self.judging.step_as(part, &flow);
                    after = Some(match after {
                        Some(known) if known.finding.merit() <= next.finding.merit() => known,
                        _ => next,
                    });
                }
                match after {
                    Some(after) => after,
                    None => part.clone().and(Finding::of(Verdict::NoRoute, "NP-30")),
                }
            }
            _ => self.judging.step_as(part, &Flow { source: Party::Somebody(Knob::Controllers), ..flow }),
        }
    }

    /// What is left of clients when a rule has asked of them what it asks.
    pub(super) fn checked(&self, mut parts: Vec<Part>, rule: &RouteRule) -> Vec<Part> {
        for check in &rule.checks {
            parts = parts.into_iter().flat_map(|part| self.check(part, check, rule.rule)).collect();
        }
        parts
    }

    /// What the proxy asks of clients (ING-19).
    fn check(&self, part: Part, check: &Check, rule: &'static str) -> Vec<Part> {
        if !part.goes_on() {
            return vec![part];
        }
        match check {
            Check::Credential(what) => {
                vec![part.and(Finding::if_only(rule, Proviso::Credential(what.clone())))]
            }
            Check::Source { allow, deny } => {
                let everybody = || Family::ALL.into_iter().map(AddressSet::all_of).collect::<AddressSet>();
                let set = |nets: &[IpNet]| nets.iter().copied().map(AddressSet::net).collect::<AddressSet>();
                let allowed = if allow.is_empty() { everybody() } else { set(allow) };
                self.by_source(part, &allowed.difference(&set(deny)), rule)
            }
            Check::AnyOf(checks) => {
                let (mut passed, mut rest) = (Vec::new(), vec![part]);
                for check in checks {
                    let mut stopped = Vec::new();
                    for part in rest {
                        for result in self.check(part.clone(), check, rule) {
                            if result.goes_on() {
                                passed.push(result);
                            } else {
                                stopped.push(Part { clients: result.clients, ..part.clone() });
                            }
                        }
                    }
                    rest = stopped;
                }
                let denied = Finding::of(Verdict::Denied, rule);
                passed.extend(rest.into_iter().map(|part| part.and(denied.clone())));
                passed
            }
        }
    }

    /// Divides clients by the address that the proxy sees (ING-19, NP-24).
    fn by_source(&self, part: Part, allowed: &AddressSet, rule: &'static str) -> Vec<Part> {
        let (cluster, profile) = (&self.analysis.cluster, &self.analysis.profile);
        let denied = Finding::of(Verdict::Denied, rule);
        let last = part.legs.last().map(|leg| leg.flow);
        let masqueraded = last.and_then(|flow| Some((flow.masqueraded_by?, flow)));
        let seen: Option<Whereabouts> = match (&part.clients, masqueraded, last) {
            (_, Some((by, flow)), _) => {
                let own = match flow.destination {
                    Party::Pod(pod) => cluster.pods.at(pod).node,
                    _ => None,
                };
                let node = match by {
                    Masquerader::Node(node) => Some(node),
                    Masquerader::OwnNode => own,
                    Masquerader::OtherNode => None,
                };
                Some(premise::host_whereabouts(cluster, profile, node, flow.family))
            }
            (Clients::Outside(_), None, Some(flow)) if !matches!(flow.source, Party::Address(_)) => {
                Some(premise::whereabouts(cluster, profile, premise::seen(cluster, profile, flow.source), flow.family))
            }
            (Clients::Party(party), None, _) => {
                let family = last.map_or(Family::V4, |flow| flow.family);
                Some(premise::whereabouts(cluster, profile, premise::seen(cluster, profile, *party), family))
            }
            (Clients::Outside(_), None, _) => None,
        };
        match seen.map(|seen| seen.within(allowed)) {
            Some(Hit::Yes) => vec![part],
            Some(Hit::No) => vec![part.and(denied)],
            Some(Hit::Maybe(doubts)) => {
                vec![part.and(Finding { knobs: doubts.knobs, ..Finding::of(Verdict::Undefined, rule) })]
            }
            None => {
                let [inside, outside] = split(part, allowed, |_| None);
                inside.into_iter().chain(outside.map(|part| part.and(denied))).collect()
            }
        }
    }
}

/// Where a way ends.
pub(super) struct Ending {
    pub(super) pods: Vec<PodId>,
    pub(super) address: Option<std::net::IpAddr>,
    pub(super) port: u16,
    pub(super) parts: Vec<Part>,
}

impl Ending {
    /// It leads nowhere.
    pub(super) fn nowhere(parts: Vec<Part>) -> Self {
        Self { pods: Vec::new(), address: None, port: 0, parts }
    }
}

/// What people call the ports of a proxy's Service.
pub(super) fn usual_names(port: u16) -> &'static [&'static str] {
    match port {
        80 => &["http", "http2", "web"],
        443 => &["https", "websecure"],
        _ => &[],
    }
}

fn requests(listener: &Listener, region: &Region<'_>) -> Requests {
    let own = RouteOrigin {
        kind: "Listener",
        namespace: Name::from(""),
        name: listener.name.clone(),
        path: Name::from(""),
        span: None,
    };
    Requests {
        when: region.rule.map_or_else(RequestMatch::everything, |rule| rule.when.clone()),
        except: region.except.iter().map(|rule| rule.when.clone()).collect(),
        witness: region.witness.clone(),
        tls: listener.tls.is_some(),
        app: listener.app,
        origin: region.rule.map_or(own, |rule| rule.origin.clone()),
    }
}
