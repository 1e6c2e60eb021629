//! The reachability graph: what policies admit, and ways from outside.

use policy_core::graph::ways::{Node, Passage, WayGraph};
use policy_core::ids::Id;
use policy_core::model::Finding;
use policy_core::query::Actor;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::Actors;
use super::list::{AdmittedPorts, GroupDto};
use super::way::{HopDto, RequestsDto};
use super::{Header, flag, knobs};
use crate::names::Names;
use crate::way_names::{hop_kind, requests};

/// `graph`: groups of endpoints as nodes, what they admit as edges; and the ways from outside.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct GraphAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// The nodes: endpoints that policies treat alike.
    pub nodes: Vec<GroupDto>,
    /// The edges. No edge means that nothing is admitted; a pod always reaches itself (NP-18), and a node the pods on
    /// it (NP-19). Empty with `--only ways`.
    pub edges: Vec<Edge>,
    /// The ways from outside, and what stands behind Services. Left out with `--only policies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ways: Option<WaysGraph>,
}

/// Ways from outside as a graph. Every edge lies on a way or leads from a Service to its endpoints.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct WaysGraph {
    /// The nodes; the first one is everybody outside.
    pub nodes: Vec<WayNode>,
    /// The edges.
    pub edges: Vec<WayEdge>,
}

/// What ways lead over.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct WayNode {
    /// `outside`, `entry`, `service`, `proxy`, `route`, `pods` or `address`.
    pub kind: &'static str,
    /// Of an entry, the id of its kind in docs/SPEC.md: `W-LB`, `W-NP` ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<&'static str>,
    /// Of an entry, the protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    /// Of an entry, what is dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop: Option<HopDto>,
    /// The name of a Service as `namespace/name`, of a proxy with its kind before it, or the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a route, the requests that it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsDto>,
    /// Of pods, their group, as an index into the `nodes` of the document; pods that have finished have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// The pods: of one workload and of one group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Actors>,
}

/// What goes over an edge.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct WayEdge {
    /// The source, as an index into the `nodes` of `ways`.
    pub from: usize,
    /// The destination, as an index into the `nodes` of `ways`.
    pub to: usize,
    /// The best verdict of the ways from outside that lead over it, each taken from its beginning to its end; left out when
    /// none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<&'static str>,
    /// The rule of docs/SPEC.md that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// The knobs that an undefined verdict depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
    /// What must hold for a conditional verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Remarks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<&'static str>,
    /// Those outside who may get through on one of these ways; left out when nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<Actors>,
    /// The ports; none where an entry or a route says all there is to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<WayPort>,
    /// Whether only copies of requests go this way (GW-10).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub copies: bool,
    /// At an edge to pods, which of them, when it is not all of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub some: Option<Actors>,
    /// How many ways from outside lead over it.
    pub ways: usize,
}

/// A port of an edge.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct WayPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'static str,
    /// At an edge from a Service, the Service's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_port: Option<u16>,
    /// The port at the edge's end.
    pub port: u16,
}

/// What a group reaches at another, or its members at each other.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// The source, as an index into `nodes`.
    pub from: usize,
    /// The destination, as an index into `nodes`.
    pub to: usize,
    /// The ports, by IP families.
    pub ports: Vec<EdgePorts>,
}

/// Ports of some IP families.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct EdgePorts {
    /// The IP families for which they hold.
    pub families: Vec<&'static str>,
    /// The ports.
    #[serde(flatten)]
    pub ports: AdmittedPorts,
}

impl Names<'_> {
    pub(crate) fn ways_graph(&self, ways: &WayGraph) -> WaysGraph {
        let nodes = ways.graph.node_weights().map(|node| self.way_node(node)).collect();
        let edges = ways.passages().filter_map(|(from, to, passage)| {
            Some(self.way_edge((from.index(), to.index()), passage, ways.graph.node_weight(to)?))
        });
        WaysGraph { nodes, edges: edges.collect() }
    }

    fn way_node(&self, node: &Node) -> WayNode {
        let bare = |kind: &'static str| WayNode {
            kind,
            way: None,
            protocol: None,
            hop: None,
            name: None,
            requests: None,
            group: None,
            members: None,
        };
        match node {
            Node::Outside => bare("outside"),
            Node::Entry(entry) => WayNode {
                way: Some(entry.kind.id()),
                protocol: Some(entry.protocol.as_str()),
                hop: Some(hop_kind(self, &entry.hop)),
                ..bare("entry")
            },
            Node::Service(id) => WayNode { name: Some(self.service(*id)), ..bare("service") },
            Node::Proxy(id) => WayNode { name: Some(self.proxy(*id)), ..bare("proxy") },
            Node::Route(served) => WayNode { requests: Some(requests(self, served)), ..bare("route") },
            Node::Pods { group, pods, .. } => WayNode {
                group: group.map(Id::index),
                members: Some(self.actors_dto(&[Actor::Pods(pods.clone())])),
                ..bare("pods")
            },
            Node::Address(address) => WayNode { name: Some(address.to_string()), ..bare("address") },
        }
    }

    fn way_edge(&self, (from, to): (usize, usize), passage: &Passage, end: &Node) -> WayEdge {
        let finding: Option<&Finding> = passage.finding.as_ref();
        let conditions = finding.map(|finding| finding.provisos.iter().map(ToString::to_string).collect());
        let clients = Some(&passage.clients).filter(|clients| !clients.is_empty());
        let some = matches!(end, Node::Pods { pods, .. } if pods.len() != passage.pods.len());
        let ports = passage.ports.iter().map(|port| WayPort {
            protocol: port.protocol.as_str(),
            service_port: port.service,
            port: port.port,
        });
        WayEdge {
            from,
            to,
            verdict: finding.map(|finding| finding.verdict.as_str()),
            rule: finding.map(|finding| finding.rule),
            knobs: finding.map(|finding| knobs(finding.knobs)).unwrap_or_default(),
            conditions: conditions.unwrap_or_default(),
            flags: finding.map(|finding| finding.flags.iter().map(|it| flag(*it)).collect()).unwrap_or_default(),
            clients: clients.map(|clients| self.actors_dto(&[Actor::Addresses(clients.clone())])),
            ports: ports.collect(),
            copies: passage.copies,
            some: some.then(|| self.actors_dto(&[Actor::Pods(passage.pods.clone())])),
            ways: passage.ways.len(),
        }
    }
}
