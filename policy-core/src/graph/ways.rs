//! The ways from outside as a graph: entries, Services, proxies, routes, and the pods at their ends.
//!
//! Made of [`exposures`], way by way, and of what stands behind each Service. A node is there once however many ways
//! lead over it; an edge says which ones do, so that nothing is lost by drawing them together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashMap;

use crate::analysis::Analysis;
use crate::compile::groups::{Group, GroupId};
use crate::ids::{Id, IdVec, PodId, ProxyId, ServiceId, WorkloadId};
use crate::model::delivery::PortRef;
use crate::model::http::{App, ProxyPods, RequestMatch, RouteOrigin};
use crate::model::{AddressSet, Endpoint, Family, Finding, Hop, Protocol, Verdict, WayKind};
use crate::ways::clients::{Clients, overall};
use crate::ways::exposure::exposures;
use crate::ways::forward::usable;
use crate::ways::proxied::Served;
use crate::ways::walk::Way;

/// What ways lead over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    /// Everybody outside.
    Outside,
    /// What somebody outside dials.
    Entry(Entry),
    /// A Service.
    Service(ServiceId),
    /// An Ingress controller or a Gateway.
    Proxy(ProxyId),
    /// A rule of an Ingress or a route, or what a proxy does by itself. Copies (GW-10) are a matter of the edge.
    Route(Box<Served>),
    /// The pods of a workload that policies treat alike.
    Pods {
        /// Their group; pods that have finished are in none (NP-27).
        group: Option<GroupId>,
        /// Their workload.
        workload: WorkloadId,
        /// All that are in both, sorted.
        pods: Vec<PodId>,
    },
    /// An endpoint that is no pod of the input.
    Address(IpAddr),
}

/// An address and port, or many that are alike, at which ways begin.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Entry {
    /// The kind.
    pub kind: WayKind,
    /// The protocol.
    pub protocol: Protocol,
    /// What is dialled. Of the ports of pods on their nodes, only those of one pod say the node.
    pub hop: Hop,
}

/// What goes over an edge.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Passage {
    /// What becomes of the best of the ways that lead over it, from their beginning to their end; `None` = nobody outside
    /// has a way over it.
    pub finding: Option<Finding>,
    /// Those outside who may get through on one of these ways.
    pub clients: AddressSet,
    /// The ports.
    pub ports: BTreeSet<PassagePort>,
    /// Whether only copies of requests go this way (GW-10).
    pub copies: bool,
    /// At an edge to pods: those of them that are meant, sorted.
    pub pods: Vec<PodId>,
    /// The ways, as positions in [`WayGraph::ways`], in order.
    pub ways: Vec<usize>,
}

/// A port of an edge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PassagePort {
    /// The protocol.
    pub protocol: Protocol,
    /// At an edge from a Service, the Service's port.
    pub service: Option<u16>,
    /// The port at the edge's end.
    pub port: u16,
}

/// The ways from outside, and what stands behind Services, as a graph.
#[derive(Clone, Debug)]
pub struct WayGraph {
    /// All ways, the widest open first.
    pub ways: Vec<Way>,
    /// Every edge lies on a way or leads from a Service to its endpoints.
    pub graph: DiGraph<Node, Passage>,
    /// The node of everybody outside; alone where there are no ways.
    pub outside: NodeIndex,
}

/// What tells nodes apart; routes are looked at once more.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Outside,
    Entry(Entry),
    Service(ServiceId),
    Proxy(ProxyId),
    Route(ProxyId, u16, bool, App, RouteOrigin, RequestMatch),
    Pods(Option<GroupId>, WorkloadId),
    Address(IpAddr),
}

/// A step of a way: the node that it leads to, and the port there.
struct Step {
    to: NodeIndex,
    port: Option<PassagePort>,
}

/// What a way does on each of its edges.
struct Over<'w> {
    way: usize,
    finding: &'w Finding,
    clients: AddressSet,
}

struct Builder<'a> {
    analysis: &'a Analysis,
    groups: FxHashMap<PodId, GroupId>,
    graph: DiGraph<Node, Passage>,
    nodes: BTreeMap<Key, Vec<NodeIndex>>,
    edges: BTreeMap<(NodeIndex, NodeIndex), Passage>,
}

impl WayGraph {
    /// The graph of an analysis whose groups are these; `None` when it would have more than `edges` edges.
    ///
    /// Linear in the hops of all ways and the endpoints of all Services.
    #[must_use]
    pub fn new(analysis: &Analysis, groups: &IdVec<GroupId, Group>, edges: usize) -> Option<Self> {
        let ways = exposures(analysis, &analysis.ways);
        let of_group =
            |(id, group): (GroupId, &Group)| group.pods.iter().map(move |pod| (*pod, id)).collect::<Vec<_>>();
        let groups = groups.iter().flat_map(of_group).collect();
        let (graph, nodes, found) = (DiGraph::new(), BTreeMap::new(), BTreeMap::new());
        let mut builder = Builder { analysis, groups, graph, nodes, edges: found };
        let outside = builder.node(Key::Outside, || Node::Outside);
        for (at, way) in ways.iter().enumerate() {
            builder.way(outside, at, way);
            if builder.edges.len() > edges {
                return None;
            }
        }
        for service in analysis.cluster.services.ids() {
            builder.service(service);
            if builder.edges.len() > edges {
                return None;
            }
        }
        let Builder { mut graph, edges, .. } = builder;
        for ((from, to), mut passage) in edges {
            passage.pods.sort_unstable();
            passage.pods.dedup();
            graph.add_edge(from, to, passage);
        }
        Some(Self { ways, graph, outside })
    }

    /// All nodes, in the order of their indices.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.graph.node_indices().zip(self.graph.node_weights())
    }

    /// All edges.
    pub fn passages(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex, &Passage)> {
        self.graph.edge_indices().filter_map(|edge| {
            let (from, to) = self.graph.edge_endpoints(edge)?;
            Some((from, to, self.graph.edge_weight(edge)?))
        })
    }
}

impl Builder<'_> {
    fn node(&mut self, key: Key, node: impl FnOnce() -> Node) -> NodeIndex {
        if let Some(known) = self.nodes.get(&key).and_then(|known| known.first()) {
            return *known;
        }
        let index = self.graph.add_node(node());
        self.nodes.insert(key, vec![index]);
        index
    }

    fn of_service(&mut self, service: ServiceId) -> NodeIndex {
        self.node(Key::Service(service), || Node::Service(service))
    }

    fn route(&mut self, served: &Served) -> NodeIndex {
        let requests = &served.requests;
        let (origin, when) = (requests.origin.clone(), requests.when.clone());
        let key = Key::Route(served.proxy, served.port, requests.tls, requests.app, origin, when);
        let known = self.nodes.entry(key).or_default();
        let node = Served { mirror: false, ..served.clone() };
        let is_it = |index: &&NodeIndex| match self.graph.node_weight(**index) {
            Some(Node::Route(other)) => **other == node,
            _ => false,
        };
        if let Some(index) = known.iter().find(is_it) {
            return *index;
        }
        let index = self.graph.add_node(Node::Route(Box::new(node)));
        known.push(index);
        index
    }

    fn pods(&mut self, pod: PodId) -> NodeIndex {
        let cluster = &self.analysis.cluster;
        let (group, workload) = (self.groups.get(&pod).copied(), cluster.pods.at(pod).workload);
        let key = Key::Pods(group, workload);
        if let Some(known) = self.nodes.get(&key).and_then(|known| known.first()) {
            return *known;
        }
        let all = cluster.workloads.at(workload).pods.iter().copied();
        let mut pods: Vec<PodId> = all.filter(|other| self.groups.get(other).copied() == group).collect();
        pods.sort_unstable();
        self.node(key, || Node::Pods { group, workload, pods })
    }

    /// Lays one way into the graph.
    fn way(&mut self, outside: NodeIndex, at: usize, way: &Way) {
        // A way that is nobody's is one to which nobody has a route.
        let nobody = Finding::of(Verdict::NoRoute, "M-4");
        let best = overall(&way.parts).unwrap_or(&nobody);
        let clients = way.parts.iter().filter(|part| part.finding.is_open()).filter_map(|part| match &part.clients {
            Clients::Outside(addresses) => Some(addresses.clone()),
            Clients::Party(_) => None,
        });
        let over = Over { way: at, finding: best, clients: clients.collect() };
        let is_mirror = way.served.as_ref().is_some_and(|served| served.mirror);
        let (mut from, mut copies) = (outside, false);
        for Step { to, port } in self.steps(way) {
            self.pass((from, to), port, copies, &over);
            copies |= is_mirror && matches!(self.graph.node_weight(to), Some(Node::Route(_)));
            from = to;
        }
        let port = (way.port > 0).then(|| self.port(from, way, way.port));
        for pod in &way.pods {
            let to = self.pods(*pod);
            self.pass((from, to), port, copies, &over).pods.push(*pod);
        }
        if let Some(address) = way.address {
            let to = self.node(Key::Address(address), || Node::Address(address));
            self.pass((from, to), port, copies, &over);
        }
    }

    /// Takes a way over an edge.
    fn pass(
        &mut self,
        edge: (NodeIndex, NodeIndex),
        port: Option<PassagePort>,
        copies: bool,
        over: &Over<'_>,
    ) -> &mut Passage {
        let passage = self.edges.entry(edge).or_insert_with(|| Passage { copies: true, ..Passage::default() });
        // A way to several pods takes its last edge once for each.
        if passage.ways.last() != Some(&over.way) {
            passage.ways.push(over.way);
            passage.finding = Some(match passage.finding.take() {
                Some(known) => known.or(over.finding.clone()),
                None => over.finding.clone(),
            });
            if passage.clients != over.clients {
                passage.clients = passage.clients.union(&over.clients);
            }
        }
        passage.ports.extend(port);
        passage.copies &= copies;
        passage
    }

    /// The nodes of a way without its end.
    fn steps(&mut self, way: &Way) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut route = way.served.as_deref();
        let plain = |port: u16| Some(PassagePort { protocol: way.protocol, service: None, port });
        for (at, hop) in way.hops.iter().enumerate() {
            if at == 0 && !matches!(hop, Hop::Proxy { .. }) {
                let entry = self.entry(way, hop);
                steps.push(Step { to: self.node(Key::Entry(entry.clone()), || Node::Entry(entry)), port: None });
            }
            match hop {
                Hop::Balancer { service, port, .. } | Hop::Service { service, port, .. } => {
                    steps.push(Step { to: self.of_service(*service), port: plain(*port) });
                }
                Hop::Proxy { proxy, port } => {
                    let entered = steps.last().is_some_and(|step| self.is_service(step.to));
                    let service = steps.last().and_then(|step| step.port).map(|port| port.port).filter(|_| entered);
                    let port = PassagePort { protocol: way.protocol, service, port: *port };
                    steps.push(Step { to: self.node(Key::Proxy(*proxy), || Node::Proxy(*proxy)), port: Some(port) });
                    if let Some(served) = route.take() {
                        steps.push(Step { to: self.route(served), port: None });
                    }
                }
                // Ways from outside begin at nodes and end at pods; both stand beside the hops in between.
                Hop::Node { .. } | Hop::Pod { .. } | Hop::Address { .. } | Hop::ApiServer => {}
            }
        }
        steps
    }

    fn is_service(&self, node: NodeIndex) -> bool {
        matches!(self.graph.node_weight(node), Some(Node::Service(_)))
    }

    /// The port at the end of a way whose last hop is this node.
    fn port(&self, last: NodeIndex, way: &Way, port: u16) -> PassagePort {
        let service = match way.hops.last() {
            Some(Hop::Service { port, .. } | Hop::Balancer { port, .. }) if self.is_service(last) => Some(*port),
            _ => None,
        };
        PassagePort { protocol: way.protocol, service, port }
    }

    /// Where a way begins. A way through a proxy has the proxy's kind; its entry has one of its own.
    fn entry(&self, way: &Way, hop: &Hop) -> Entry {
        let cluster = &self.analysis.cluster;
        let proxied = way.served.as_ref().map(|served| served.proxy);
        let is_host = |proxy: ProxyId| match self.analysis.ways.proxies.get(proxy.index()).map(|proxy| &proxy.pods) {
            Some(ProxyPods::Pods(pods)) => pods.iter().any(|pod| cluster.pods.at(*pod).host_network),
            _ => false,
        };
        let kind = match (proxied, hop, way.hops.get(1)) {
            (None, ..) => way.kind,
            (_, Hop::Balancer { .. }, _) => WayKind::LoadBalancer,
            (_, Hop::Node { .. }, Some(Hop::Service { .. })) => WayKind::NodePort,
            (Some(proxy), Hop::Node { .. }, _) if is_host(proxy) => WayKind::HostNetwork,
            (_, Hop::Node { .. }, _) => WayKind::HostPort,
            (_, Hop::Service { service, at: Some(ip), .. }, _)
                if cluster.services.at(*service).external_ips.contains(ip) =>
            {
                WayKind::ExternalIp
            }
            (_, Hop::Service { .. }, _) => WayKind::ClusterIp,
            _ => WayKind::Pod,
        };
        let many = way.pods.len() > 1 && matches!(way.kind, WayKind::HostPort | WayKind::HostNetwork);
        let hop = match hop {
            Hop::Node { port, .. } if many => Hop::Node { node: None, at: None, port: *port },
            hop => hop.clone(),
        };
        Entry { kind, protocol: way.protocol, hop }
    }

    /// What stands behind a Service, whether somebody outside gets there or not.
    fn service(&mut self, id: ServiceId) {
        let cluster = &self.analysis.cluster;
        let from = self.of_service(id);
        let service = cluster.services.at(id);
        let ports = service.ports.iter().zip(0_u32..);
        for (port, place) in ports {
            for family in Family::ALL {
                let all = self.analysis.ways.endpoints.of(cluster, PortRef { service: id, port: place }, family);
                for (endpoint, number) in usable(all) {
                    // A headless Service translates nothing (SVC-13).
                    let of_service = service.is_proxied().then_some(port.port);
                    let port = PassagePort { protocol: port.protocol, service: of_service, port: number };
                    self.endpoint(from, &endpoint, Some(port));
                }
            }
        }
        if service.ports.is_empty() {
            let members = self.analysis.ways.endpoints.members(id).iter().map(|endpoint| (*endpoint, 0)).collect();
            for (endpoint, _) in usable(members) {
                self.endpoint(from, &endpoint, None);
            }
        }
    }

    fn endpoint(&mut self, from: NodeIndex, endpoint: &Endpoint, port: Option<PassagePort>) {
        let to = match (endpoint.pod, endpoint.address) {
            (Some(pod), _) => self.pods(pod),
            (None, Some(address)) => self.node(Key::Address(address), || Node::Address(address)),
            (None, None) => return,
        };
        let passage = self.edges.entry((from, to)).or_default();
        passage.ports.extend(port);
        passage.pods.extend(endpoint.pod);
    }
}
