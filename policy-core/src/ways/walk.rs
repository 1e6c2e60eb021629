//! From an entry to pods: which endpoints clients get, and what policies say on the way (M-6 … M-8, KP-3, SVC-22).

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::analysis::Analysis;
use crate::ids::{NodeId, PodId, ServiceId};
use crate::model::delivery::{Frontend, PortRef};
use crate::model::profile::EgressServiceView;
use crate::model::way_profile::{DetectLocal, KubeProxyMode, LoadBalancerKind};
use crate::model::{
    AddressSet, Direction, Family, Finding, Flag, Flow, Hop, Knob, Masquerader, NodePort, NodeView, Party, PodState,
    Protocol, Proviso, ServicePort, TrafficPolicy, Verdict, WayKind, premise,
};
use crate::ways::clients::{Clients, Judging, Part, best, split};
use crate::ways::disputed::disputed;
use crate::ways::endpoints::Endpoints;
use crate::ways::entry::{At, Entry, Leads};
use crate::ways::forward::{
    self, Group, Standing, Treatment, connection, grouped, treatment, usable, usable_on_own_nodes,
};
use crate::ways::inside::{End, Taken};
use crate::ways::kube_proxy::accepts_node_ports;
use crate::ways::nodes::{Nodes, Reach, Receiver};
use crate::ways::proxied::Served;

/// A way to one destination, for all who may take it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// The kind of its entry.
    pub kind: WayKind,
    /// The protocol of its first leg.
    pub protocol: Protocol,
    /// Hop by hop, without the destination.
    pub hops: Vec<Hop>,
    /// The pods at its end, which are alike; none where it ends before.
    pub pods: Vec<PodId>,
    /// The address at its end, when it is no pod's.
    pub address: Option<IpAddr>,
    /// The port there; 0 where it ends before.
    pub port: u16,
    /// What becomes of whom.
    pub parts: Vec<Part>,
    /// What a proxy on the way makes of requests; `None` when there is no proxy.
    pub served: Option<Arc<Served>>,
}

/// Walks from entries to pods.
#[derive(Debug)]
pub struct Walk<'a> {
    pub(super) analysis: &'a Analysis,
    pub(super) endpoints: &'a Endpoints,
    pub(super) judging: Judging<'a>,
    pub(super) nodes: FxHashMap<Reach, Rc<Nodes>>,
    /// The node of each address.
    pub(super) holders: FxHashMap<IpAddr, NodeId>,
}

impl<'a> Walk<'a> {
    /// A walk in an analysis.
    #[must_use]
    pub fn new(analysis: &'a Analysis, endpoints: &'a Endpoints) -> Self {
        let mut holders = FxHashMap::default();
        for (id, node) in analysis.cluster.nodes.iter() {
            for address in &node.addresses {
                holders.entry(address.ip).or_insert(id);
            }
        }
        Self { analysis, endpoints, judging: Judging::new(analysis), nodes: FxHashMap::default(), holders }
    }

    /// All of the outside (M-1).
    #[must_use]
    pub fn outside(&self) -> Clients {
        Clients::Outside(premise::outside(&self.analysis.cluster, &self.analysis.profile))
    }

    /// Where clients come from an entry. Always at least one way: one that leads nowhere says why.
    pub fn enter(&mut self, clients: &Clients, entry: &Entry) -> Vec<Way> {
        match &entry.leads {
            Leads::Service { service, port, frontend, balancer } => {
                self.enter_service(clients, entry, (*service, *port), *frontend, *balancer)
            }
            Leads::HostPort(pod, at) => {
                let Some(host_port) = self.analysis.cluster.pods.at(*pod).host_ports.get(*at) else {
                    return Vec::new();
                };
                self.enter_pod(clients, entry, *pod, host_port.container_port, "HP-2")
            }
            Leads::Pod(pod) => {
                let port = match entry.at {
                    At::Address(_, port) | At::Node(_, port) | At::NodeAddress(_, _, port) | At::Balancer(_, port) => {
                        port
                    }
                    At::AnyNode(port) => port.unwrap_or(0),
                };
                let rule = if entry.kind == WayKind::HostNetwork { "HN-1" } else { "M-8" };
                self.enter_pod(clients, entry, *pod, port, rule)
            }
        }
    }

    /// The clients that get at an entry whose packets `from` can send; the others have no route.
    pub(super) fn arriving(&self, clients: &Clients, from: &AddressSet, rule: &'static str) -> Vec<Part> {
        let start = Part::start(clients.clone(), rule);
        if matches!(clients, Clients::Party(Party::Pod(pod)) if self.analysis.cluster.pods.at(*pod).state == PodState::Finished)
        {
            return vec![start.and(Finding::of(Verdict::NoRoute, "NP-27"))];
        }
        let [inside, outside] = split(start, from, |_| Some(true));
        let lost = outside.map(|part| part.and(Finding::of(Verdict::NoRoute, "M-4")));
        inside.into_iter().chain(lost).collect()
    }

    fn enter_service(
        &mut self,
        clients: &Clients,
        entry: &Entry,
        (service, at): (ServiceId, usize),
        frontend: Frontend,
        balancer: Option<LoadBalancerKind>,
    ) -> Vec<Way> {
        let analysis = self.analysis;
        let object = analysis.cluster.services.at(service);
        let Some(port) = object.ports.get(at) else { return Vec::new() };
        // SVC-23: inside, nodes take the address for their own, whatever the load balancer does.
        let balancer = match clients {
            Clients::Party(_) if self.is_captured(entry) => balancer.map(|_| LoadBalancerKind::Vip),
            _ => balancer,
        };
        let is_direct = balancer.is_none_or(|kind| kind == LoadBalancerKind::Vip);
        let taken = match clients {
            Clients::Party(party) if is_direct => self.taken(*party, entry),
            _ => None,
        };
        let from = self.from(entry, None);
        let parts = self.arriving(clients, &from, rule_of(entry.kind));
        let mut parts: Vec<Part> = match taken {
            Some(_) => parts,
            None => {
                let guarded = parts.into_iter().flat_map(|part| self.guard(part, entry, object, balancer));
                guarded.flat_map(|part| self.guard_vips(part, entry)).collect()
            }
        };
        let port_ref = PortRef { service, port: u32::try_from(at).unwrap_or(u32::MAX) };
        if let Some(claimed) = self.claimed(entry, frontend, port_ref).filter(|_| taken.is_none()) {
            parts = parts.into_iter().map(|part| part.and(claimed.clone())).collect();
        }
        let is_pending = object.load_balancer().is_some_and(|balancer| balancer.is_pending);
        if is_pending && matches!(entry.at, At::Balancer(None, _)) {
            let nowhere = Finding::of(Verdict::NoRoute, "SVC-21");
            parts = parts.into_iter().map(|part| part.and(nowhere.clone())).collect();
        } else if entry.kind == WayKind::NodePort && forward::is_unaddressed(analysis, None)
            || matches!(entry.at, At::Balancer(None, _) | At::AnyNode(None))
        {
            parts.iter_mut().for_each(hypothetical);
        }
        let mut hops = vec![entry.hop(analysis)];
        if matches!(hops.as_slice(), [Hop::Node { .. }]) {
            hops.push(Hop::Service { service, at: None, port: port.port });
        }
        let leading = |pods: Vec<PodId>, address: Option<IpAddr>, port: u16, parts: Vec<Part>| Way {
            kind: entry.kind,
            protocol: entry.protocol,
            hops: hops.clone(),
            pods,
            address,
            port,
            parts,
            served: None,
        };
        let policy = match frontend {
            Frontend::ClusterIp => object.internal_policy,
            _ => object.external_policy,
        };
        let mut ways = Vec::new();
        // A load balancer that opens connections of its own is a client like those outside.
        let by_node = match (clients, balancer) {
            (_, Some(LoadBalancerKind::ProxyPod)) => TrafficPolicy::Cluster,
            (Clients::Party(_), _) if is_direct && taken.is_none() => TrafficPolicy::Cluster,
            _ => policy,
        };
        for group in self.groups(port_ref, clients, by_node) {
            let step =
                Step { entry, port, group: &group, at: port_ref, frontend, policy, balancer, taken: taken.as_deref() };
            let reached = parts.iter().flat_map(|part| self.forward(part, &step)).collect();
            ways.push(leading(group.pods.clone(), group.address(), group.port, best(reached)));
        }
        if ways.is_empty() {
            let nobody = Finding::of(Verdict::NoListener, "KP-4");
            let parts = parts.into_iter().map(|part| part.and(nobody.clone())).collect();
            ways.push(leading(Vec::new(), None, 0, parts));
        }
        ways
    }

    /// The endpoints that clients may get, grouped.
    fn groups(&self, port: PortRef, clients: &Clients, policy: TrafficPolicy) -> Vec<Group> {
        let cluster = &self.analysis.cluster;
        let spoken = &cluster.services.at(port.service).families;
        let of_family = |family| self.endpoints.of(cluster, port, family);
        let is_one = matches!(clients, Clients::Party(_));
        let chosen = spoken.iter().copied().flat_map(|family| {
            // Each gets the endpoints of the node where it enters; one inside may get others too (KP-3).
            let here = if policy == TrafficPolicy::Local { usable_on_own_nodes(of_family(family)) } else { Vec::new() };
            let anywhere = policy == TrafficPolicy::Cluster || is_one;
            let mut chosen = if anywhere { usable(of_family(family)) } else { Vec::new() };
            chosen.retain(|known| !here.contains(known));
            chosen.into_iter().chain(here).collect::<Vec<_>>()
        });
        let client = match clients {
            Clients::Party(Party::Pod(pod)) => Some(*pod),
            _ => None,
        };
        grouped(self.analysis, chosen, client)
    }

    /// Takes clients from the rules of a node to endpoints.
    fn forward(&mut self, part: &Part, step: &Step<'_>) -> Vec<Part> {
        if !part.goes_on() {
            return vec![part.clone()];
        }
        let Some(target) = self.destination(&step.group.endpoint) else {
            return vec![part.clone().and(Finding::of(Verdict::NoListener, "SVC-9"))];
        };
        // Whoever does not get to this endpoint by any node or family.
        let mut parts = vec![part.clone().and(Finding::of(Verdict::NoListener, "KP-4"))];
        if let (Clients::Party(party), Some(taken)) = (&part.clients, step.taken) {
            let end = End { by: Some(step.at), destination: target, port: step.group.port };
            for taken in taken.iter().filter(|taken| step.group.families.contains(&Family::of(taken.to.ip()))) {
                parts.extend(self.follow(part, *party, taken, step.entry, &end));
            }
            return parts;
        }
        let families = step.entry.families();
        if let Clients::Party(party) = &part.clients
            && !premise::families(&self.analysis.cluster, &self.analysis.profile, *party)
                .iter()
                .any(|family| families.contains(family))
        {
            return vec![part.clone().and(Finding::of(Verdict::NoRoute, "NP-30"))];
        }
        for family in step.group.families.iter().copied().filter(|family| families.contains(family)) {
            let flow = connection(target, family, step.port.protocol, step.group.port, None, None);
            match (&part.clients, step.balancer) {
                (_, Some(LoadBalancerKind::ProxyNodePort | LoadBalancerKind::ProxyPod | LoadBalancerKind::L7)) => {
                    parts.extend(self.for_balancer(part, step, flow));
                }
                (Clients::Outside(_), _) => parts.extend(self.for_outside(part, step, flow)),
                (Clients::Party(party), _) => parts.extend(self.for_inside(part, *party, step, flow)),
            }
        }
        parts
    }

    /// SVC-23: the load balancer opens a connection of its own.
    fn for_balancer(&mut self, part: &Part, step: &Step<'_>, flow: Flow) -> Vec<Part> {
        let source = match &step.entry.at {
            At::Balancer(Some(at), _) => at.parse().ok().filter(|ip| Family::of(*ip) == flow.family),
            _ => None,
        };
        let source = source.map_or(Party::Somebody(Knob::LbKind), Party::Address);
        let flow = Flow { source, ..flow };
        let direct = step.balancer == Some(LoadBalancerKind::ProxyPod);
        let treatment = treatment(self.analysis, Frontend::NodePort, step.policy, Standing::Other);
        if direct {
            return vec![self.judging.step_as(part, &flow)];
        }
        // SVC-19, KP-6: it dials the node port, where that is open.
        let nobody = |rule| vec![part.clone().and(Finding::of(Verdict::NoListener, rule))];
        let reached = |node: Option<NodeId>| self.opens_node_port(node, flow.family);
        if step.port.node_port == NodePort::None {
            return nobody("SVC-19");
        }
        let shared = match step.port.node_port {
            NodePort::Number(number) => self.is_host_port(step.port.protocol, number).then_some(number),
            _ => None,
        };
        let at = |walk: &Self, node: Option<NodeId>| {
            shared.zip(node).map(|(number, node)| walk.node_port_at(node, number, step.port.protocol, flow.family))
        };
        if !treatment.masquerade {
            let is_open = !reached(step.group.endpoint.node).is_empty();
            if at(self, step.group.endpoint.node) == Some(Some(false)) {
                return vec![part.clone().and(disputed())];
            }
            return if is_open { vec![self.judging.step_as(part, &flow)] } else { nobody("KP-6") };
        }
        let nodes = self.nodes(Reach::Opens(flow.family), |walk, node| walk.opens_node_port(node, flow.family));
        let mut receivers = nodes.receivers(self.analysis, step.group.endpoint.pod);
        let mut parts = Vec::new();
        if shared.is_some() {
            // Nodes that policies do not tell apart may differ in their pods' ports.
            let all = self.analysis.cluster.nodes.ids();
            let known =
                all.map(|node| Receiver { node: Masquerader::Node(node), from: nodes.from(Some(node)).clone() });
            let is_unknown = |receiver: &Receiver| match receiver.node {
                Masquerader::Node(_) => false,
                Masquerader::OwnNode => step.group.endpoint.node.is_none(),
                Masquerader::OtherNode => true,
            };
            receivers.retain(is_unknown);
            receivers.extend(known);
        }
        for node in receivers.into_iter().filter(|node| !node.from.is_empty()) {
            let there = match node.node {
                Masquerader::Node(node) => Some(node),
                _ => None,
            };
            if at(self, there) == Some(Some(false)) {
                parts.push(part.clone().and(disputed()));
                continue;
            }
            let replaced = self.judging.step_as(part, &Flow { masqueraded_by: Some(node.node), ..flow });
            match self.analysis.profile.ways.kube_proxy_mode {
                KubeProxyMode::None => parts.extend(either(vec![replaced], vec![self.judging.step_as(part, &flow)])),
                _ => parts.push(replaced),
            }
        }
        parts
    }

    /// Everybody if a node has an address on which node ports are open, or the input does not tell; nobody if not.
    pub(super) fn opens_node_port(&self, node: Option<NodeId>, family: Family) -> AddressSet {
        let (nodes, ways) = (&self.analysis.cluster.nodes, &self.analysis.profile.ways);
        let opens = |id: NodeId| {
            let at = NodeView::of(&self.analysis.cluster, id);
            let mut own = at.addresses.iter().filter(|ip| Family::of(**ip) == family);
            at.addresses.is_empty() || own.any(|ip| accepts_node_ports(ways, *ip, &at))
        };
        let is_open = node.map_or_else(|| nodes.is_empty() || nodes.ids().any(opens), opens);
        if is_open { AddressSet::all_of(family) } else { AddressSet::empty() }
    }

    fn for_outside(&mut self, part: &Part, step: &Step<'_>, flow: Flow) -> Vec<Part> {
        let analysis = self.analysis;
        let Treatment { scope, masquerade } = treatment(analysis, step.frontend, step.policy, Standing::Other);
        let fixed = step.entry.node();
        if !masquerade && fixed.is_some() && fixed != step.group.endpoint.node {
            // KP-4: only endpoints of the node itself.
            return vec![part.clone().and(Finding::of(Verdict::NoListener, "KP-4"))];
        }
        if let Some(parts) = self.past_host_ports(part, step, flow, masquerade) {
            return parts;
        }
        if !masquerade {
            let here = match step.policy {
                TrafficPolicy::Local => self.from(step.entry, step.group.endpoint.node),
                TrafficPolicy::Cluster => self.from(step.entry, None),
            };
            let [inside, _] = split(part.clone(), &here, |_| Some(true));
            return inside.iter().flat_map(|part| self.judging.step(part, &flow)).collect();
        }
        let mut parts = Vec::new();
        // Of alike nodes one stands for all; under Local only the own of an address that is no pod's counts.
        let endpoint = &step.group.endpoint;
        let is_apart = scope == TrafficPolicy::Local && endpoint.pod.is_none();
        let only = fixed.or(endpoint.node.filter(|_| is_apart));
        let receivers = match only {
            Some(node) => {
                let from = Rc::new(self.getting_at(step.entry, only));
                vec![Receiver { node: Masquerader::Node(node), from }]
            }
            None => self.nodes_of(step.entry).receivers(analysis, step.group.endpoint.pod),
        };
        let there = step.group.endpoint.node;
        let is_there = |by: Masquerader| match by {
            Masquerader::OwnNode => true,
            Masquerader::Node(node) => there == Some(node),
            Masquerader::OtherNode => false,
        };
        // KP-4: a cluster IP masquerades under Local too.
        for receiver in
            receivers.into_iter().filter(|receiver| scope == TrafficPolicy::Cluster || is_there(receiver.node))
        {
            let [inside, _] = split(part.clone(), &receiver.from, |_| Some(true));
            let Some(inside) = inside else { continue };
            parts.extend(self.seen_as(&inside, flow, Some(receiver.node)));
        }
        parts
    }

    /// A pod or a process of a node: its own node has the rules, or the node whose port it dials (KP-3, KP-8).
    fn for_inside(&mut self, part: &Part, party: Party, step: &Step<'_>, flow: Flow) -> Vec<Part> {
        let analysis = self.analysis;
        let cluster = &analysis.cluster;
        let (node, standing) = match party {
            Party::Pod(pod) if cluster.pods.at(pod).host_network => (cluster.pods.at(pod).node, Standing::Host),
            Party::Pod(pod) => (cluster.pods.at(pod).node, Standing::Pod),
            Party::Node(node) => (Some(node), Standing::Host),
            _ => (None, Standing::Other),
        };
        let flow = Flow { source: party, ..flow };
        let mut parts =
            self.at_node(part, step, Flow { dialled: self.dialled(step, node, flow.family), ..flow }, node, standing);
        if let Some(fixed) = step.entry.node().filter(|fixed| Some(*fixed) != node) {
            let far = self.far(standing);
            let flow = Flow { dialled: self.dialled(step, Some(fixed), flow.family), ..flow };
            parts = self.at_node(part, step, flow, Some(fixed), far);
        } else if step.entry.kind == WayKind::NodePort && step.entry.node().is_none() {
            // KP-8: the port of another node, where the client is a stranger unless the cluster's range tells.
            let far = self.far(standing);
            let nodes = self.nodes(Reach::Nobody, |_, _| AddressSet::empty());
            for receiver in nodes.receivers(analysis, step.group.endpoint.pod) {
                let other = match receiver.node {
                    Masquerader::Node(other) if Some(other) != node => Some(other),
                    Masquerader::OwnNode if step.group.endpoint.node != node => step.group.endpoint.node,
                    _ => continue,
                };
                let flow = Flow { dialled: self.dialled(step, other, flow.family), ..flow };
                parts.extend(self.at_node(part, step, flow, other, far));
            }
        }
        for part in &mut parts {
            if let Some(finding) = self.unknown_address(party, step, &part.legs.last().map(|leg| leg.flow)) {
                *part = part.clone().and(finding);
            }
        }
        parts
    }

    /// What a client is to another node than its own (KP-8).
    fn far(&self, standing: Standing) -> Standing {
        match (standing, self.analysis.profile.ways.detect_local) {
            (Standing::Pod, DetectLocal::ClusterCidr) => Standing::Pod,
            _ => Standing::Other,
        }
    }

    /// What the rules of one node do with a connection.
    fn at_node(
        &mut self,
        part: &Part,
        step: &Step<'_>,
        flow: Flow,
        node: Option<NodeId>,
        standing: Standing,
    ) -> Vec<Part> {
        let there = step.group.endpoint.node;
        let Treatment { scope, masquerade } = treatment(self.analysis, step.frontend, step.policy, standing);
        let mut part = part.clone();
        if scope == TrafficPolicy::Local {
            match (node, there) {
                (Some(node), Some(there)) if node == there => {}
                (Some(_), Some(_)) => return vec![part.and(Finding::of(Verdict::NoListener, "KP-4"))],
                _ => part = part.and(Finding::if_only("KP-1", Proviso::Placement)),
            }
        }
        if !masquerade {
            return self.judging.step(&part, &flow);
        }
        let by = |by: Masquerader| Flow { masqueraded_by: Some(by), ..flow };
        match node {
            Some(node) => self.judging.step(&part, &by(Masquerader::Node(node))),
            None => {
                let own = self.judging.step(&part, &by(Masquerader::OwnNode));
                let other = self.judging.step(&part, &by(Masquerader::OtherNode));
                placed(own, other)
            }
        }
    }

    /// What a client inside dials, when it is known (NP-23).
    fn dialled(&self, step: &Step<'_>, node: Option<NodeId>, family: Family) -> Option<SocketAddr> {
        let of_family = |ip: &IpAddr| Family::of(*ip) == family;
        match &step.entry.at {
            At::Address(Some(ip), port) if of_family(ip) => Some(SocketAddr::new(*ip, *port)),
            At::Balancer(Some(at), port) => at.parse().ok().filter(of_family).map(|ip| SocketAddr::new(ip, *port)),
            At::NodeAddress(_, ip, port) => Some(SocketAddr::new(*ip, *port)).filter(|at| of_family(&at.ip())),
            At::AnyNode(Some(port)) | At::Node(_, port) => {
                let mut addresses = self.analysis.cluster.nodes.get(node?)?.addresses.iter().map(|address| address.ip);
                addresses.find(of_family).map(|ip| SocketAddr::new(ip, *port))
            }
            _ => None,
        }
    }

    /// NP-23: policies that see the dialled address cannot be asked when it is not known.
    fn unknown_address(&self, party: Party, step: &Step<'_>, flow: &Option<Flow>) -> Option<Finding> {
        let sees = matches!(
            self.analysis.profile.egress_service_view,
            Some(EgressServiceView::PreDnat | EgressServiceView::Both)
        );
        let Party::Pod(pod) = party else { return None };
        let isolated = self.analysis.compiled.is_isolated(pod, Direction::Egress);
        let unknown = flow.is_some_and(|flow| flow.dialled.is_none());
        let translated = matches!(step.entry.leads, Leads::Service { .. });
        (sees && isolated && unknown && translated).then(|| Finding::undefined("NP-23", Knob::EgressServiceView))
    }
}

/// One step from the rules of a node to endpoints.
pub(super) struct Step<'s> {
    pub(super) entry: &'s Entry,
    pub(super) port: &'s ServicePort,
    pub(super) at: PortRef,
    pub(super) group: &'s Group,
    pub(super) frontend: Frontend,
    pub(super) policy: TrafficPolicy,
    pub(super) balancer: Option<LoadBalancerKind>,
    pub(super) taken: Option<&'s [Taken]>,
}

/// The rule behind an entry.
fn rule_of(kind: WayKind) -> &'static str {
    match kind {
        WayKind::LoadBalancer => "SVC-21",
        WayKind::NodePort => "SVC-20",
        WayKind::ExternalIp => "SVC-17",
        WayKind::ClusterIp => "SVC-1",
        WayKind::HostPort => "HP-2",
        WayKind::HostNetwork => "HN-1",
        _ => "M-8",
    }
}

/// NP-27: something that the cluster will give is taken as given.
pub(super) fn hypothetical(part: &mut Part) {
    if !part.finding.flags.contains(&Flag::Hypothetical) {
        part.finding.flags.push(Flag::Hypothetical);
        part.finding.flags.sort_unstable();
    }
}

/// Two views of one connection: what they agree on, or undefined (KP-9).
pub(super) fn either(one: Vec<Part>, other: Vec<Part>) -> Vec<Part> {
    differing(one, other, || Finding::undefined("KP-9", Knob::KubeProxyMode))
}

/// On the destination's node, or elsewhere: what both say, or it depends on where they run (KP-3).
fn placed(own: Vec<Part>, other: Vec<Part>) -> Vec<Part> {
    differing(own, other, || Finding::if_only("NP-24", Proviso::Placement))
}

/// What two lists of parts of the same clients agree on; where they do not, `doubt`.
pub(super) fn differing(one: Vec<Part>, other: Vec<Part>, doubt: impl Fn() -> Finding) -> Vec<Part> {
    let mut parts = Vec::new();
    for a in &one {
        for b in &other {
            let clients = match (&a.clients, &b.clients) {
                (Clients::Party(_), _) | (_, Clients::Party(_)) => a.clients.clone(),
                (Clients::Outside(x), Clients::Outside(y)) => {
                    let both = x.intersection(y);
                    if both.is_empty() {
                        continue;
                    }
                    Clients::Outside(both)
                }
            };
            let finding = if a.finding.verdict == b.finding.verdict {
                a.finding.clone()
            } else {
                // Neither stops it for sure, and neither lets it through for sure.
                Finding { flags: a.finding.flags.clone(), ..doubt() }
            };
            parts.push(Part { clients, finding, legs: a.legs.clone() });
        }
    }
    parts
}
