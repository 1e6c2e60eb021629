//! The graph of ways on clusters that can be drawn on paper.

use petgraph::Direction::{Incoming, Outgoing};
use petgraph::visit::EdgeRef;

use super::ways::{Node, Passage, PassagePort};
use super::{NodeIndex, ReachabilityGraph, Shown, WayGraph};
use crate::analysis::Analysis;
use crate::model::{Profile, Protocol, Verdict, WayKind};
use crate::testing;

/// Two workloads of which policies tell nothing apart, a Service for each, and a third workload behind nothing.
const BASE: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x, labels: {app: web}}, spec: {containers: [{name: main, image: none, ports: [{containerPort: 8080}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: x, labels: {app: db}}, spec: {containers: [{name: main, image: none, ports: [{containerPort: 5432}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: job, namespace: x}, spec: {containers: [{name: main, image: none}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x}, spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}, status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: x}, spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}}
";

const INGRESS: &str = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: x}, spec: {ingressClassName: traefik, rules: [{host: h.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}";

const DENY: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: x}, spec: {podSelector: {matchLabels: {app: web}}, ingress: []}}";

/// The client's address stays.
const LOCAL: &str = "{apiVersion: v1, kind: Service, metadata: {name: local, namespace: x}, spec: {type: NodePort, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30081}]}}";

fn analysis(objects: &[&str]) -> Analysis {
    Analysis::new(testing::cluster(BASE, objects), Profile::default())
}

fn ways(analysis: &Analysis) -> WayGraph {
    ReachabilityGraph::of(analysis, Shown::Ways, 1000).unwrap().ways.unwrap()
}

/// A node in a word.
fn word(analysis: &Analysis, node: &Node) -> String {
    let cluster = &analysis.cluster;
    match node {
        Node::Outside => "outside".to_owned(),
        Node::Entry(entry) => entry.kind.id().to_owned(),
        Node::Service(id) => format!("service {}", cluster.services.at(*id).name),
        Node::Proxy(_) => "proxy".to_owned(),
        Node::Route(served) => format!("route {}", served.requests.origin.kind),
        Node::Pods { workload, .. } => cluster.workloads.at(*workload).name.to_string(),
        Node::Address(address) => address.to_string(),
    }
}

fn node(analysis: &Analysis, graph: &WayGraph, wanted: &str) -> NodeIndex {
    let mut found = graph.nodes().filter(|(_, node)| word(analysis, node) == wanted);
    let (index, _) = found.next().unwrap_or_else(|| panic!("no node {wanted}"));
    assert!(found.next().is_none(), "{wanted} is there twice");
    index
}

fn edge<'a>(analysis: &Analysis, graph: &'a WayGraph, from: &str, to: &str) -> Option<&'a Passage> {
    let edge = graph.graph.find_edge(node(analysis, graph, from), node(analysis, graph, to))?;
    graph.graph.edge_weight(edge)
}

fn verdict(analysis: &Analysis, graph: &WayGraph, from: &str, to: &str) -> Option<Verdict> {
    edge(analysis, graph, from, to).unwrap().finding.as_ref().map(|finding| finding.verdict)
}

#[test]
fn a_service_is_one_node_between_its_entries_and_its_pods() {
    let analysis = analysis(&[]);
    let graph = ways(&analysis);
    for entry in ["W-LB", "W-NP"] {
        assert_eq!(verdict(&analysis, &graph, "outside", entry), Some(Verdict::Allowed));
        assert_eq!(verdict(&analysis, &graph, entry, "service web"), Some(Verdict::Allowed));
    }
    let passage = edge(&analysis, &graph, "service web", "web").unwrap();
    let port = PassagePort { protocol: Protocol::Tcp, service: Some(80), port: 8080 };
    assert_eq!(passage.ports.iter().copied().collect::<Vec<_>>(), [port]);
    assert_eq!((passage.ways.as_slice(), passage.pods.len()), ([0, 1].as_slice(), 1));
    // SVC-13: what stands behind the headless Service, whom nobody outside reaches.
    let passage = edge(&analysis, &graph, "service db", "db").unwrap();
    assert_eq!((passage.finding.as_ref(), passage.ways.len()), (None, 0));
    assert_eq!(passage.ports.first().unwrap().service, None);
    assert!(passage.clients.is_empty());
    // Pods are apart by workload, though policies treat them alike; those behind nothing are not there.
    let of_group = |wanted| match graph.graph.node_weight(node(&analysis, &graph, wanted)) {
        Some(Node::Pods { group, pods, .. }) => (*group, pods.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(of_group("web"), of_group("db"));
    assert_eq!(of_group("web").1, 1);
    assert!(graph.nodes().all(|(_, node)| word(&analysis, node) != "job"));
    assert_eq!((graph.graph.node_count(), graph.graph.edge_count()), (7, 6));
}

#[test]
fn a_verdict_is_that_of_whole_ways() {
    // M-6, NP-24: the node's own address may get through to the pods, the client's does not.
    let analysis = analysis(&[DENY, LOCAL]);
    let graph = ways(&analysis);
    for (from, to) in [("outside", "W-LB"), ("W-LB", "service web"), ("service web", "web")] {
        let finding = edge(&analysis, &graph, from, to).unwrap().finding.as_ref().unwrap();
        assert_eq!((finding.verdict, finding.rule), (Verdict::Undefined, "NP-24"), "{from} to {to}");
    }
    let passage = edge(&analysis, &graph, "service local", "web").unwrap();
    assert_eq!(verdict(&analysis, &graph, "service local", "web"), Some(Verdict::Denied));
    assert!(passage.clients.is_empty() && !passage.ways.is_empty());
}

#[test]
fn requests_are_nodes_between_a_proxy_and_services() {
    // ING-13
    let analysis = analysis(&[INGRESS]);
    let graph = ways(&analysis);
    let proxy = node(&analysis, &graph, "proxy");
    let routes = graph.graph.edges_directed(proxy, Outgoing).map(|edge| edge.target());
    let routes: Vec<_> = routes.filter_map(|route| graph.graph.node_weight(route)).collect();
    assert!(!routes.is_empty() && routes.iter().all(|route| matches!(route, Node::Route(served) if !served.mirror)));
    let service = node(&analysis, &graph, "service web");
    let before = graph.graph.edges_directed(service, Incoming);
    let from_routes = before.filter(|edge| matches!(graph.graph.node_weight(edge.source()), Some(Node::Route(_))));
    let from_routes: Vec<_> = from_routes.map(|edge| edge.weight()).collect();
    assert!(!from_routes.is_empty());
    assert!(from_routes.iter().all(|passage| passage.ports.first().unwrap().port == 80 && !passage.copies));
    let kinds: Vec<_> = edge(&analysis, &graph, "service web", "web").unwrap().ways.iter().collect();
    let kinds: Vec<_> = kinds.into_iter().map(|way| graph.ways[*way].kind).collect();
    assert!(kinds.contains(&WayKind::Ingress) && kinds.contains(&WayKind::NodePort), "{kinds:?}");
}

#[test]
fn the_limit_counts_both_kinds_of_edges() {
    let analysis = analysis(&[DENY]);
    let of = |shown, limit| ReachabilityGraph::of(&analysis, shown, limit);
    let all = of(Shown::Everything, 1000).unwrap();
    let (policies, ways) = (all.graph.edge_count(), all.ways.as_ref().unwrap().graph.edge_count());
    assert!(policies > 0 && ways > 0);
    for (shown, count) in [(Shown::Everything, policies + ways), (Shown::Policies, policies), (Shown::Ways, ways)] {
        assert!(of(shown, count).is_some(), "{shown:?}");
        assert!(of(shown, count - 1).is_none(), "{shown:?}");
    }
    assert!(of(Shown::Policies, 1000).unwrap().ways.is_none());
    let alone = of(Shown::Ways, 1000).unwrap();
    assert_eq!((alone.graph.edge_count(), alone.admitted().count()), (0, 0));
    assert_eq!(alone.connections.groups, all.connections.groups);
    assert_eq!(all.admitted().count(), policies);
}
