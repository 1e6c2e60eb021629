//! The graph of ways says what the ways say, no more and no less.

use std::cell::Cell;
use std::collections::BTreeSet;

use fixtures::strategy::{case, gateway_plan, ingress_plan};
use fixtures::yaml;
use policy_core::analysis::Analysis;
use policy_core::compile::groups::GroupId;
use policy_core::graph::ways::{Node, Passage, WayGraph};
use policy_core::graph::{NodeIndex, ReachabilityGraph, Shown};
use policy_core::ids::PodId;
use policy_core::model::{AddressSet, Endpoint, Finding, Hop, Profile};
use policy_core::ways::clients::{Clients, overall};
use policy_core::ways::exposure::exposures;
use policy_core::ways::walk::Way;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tests::property::check;

/// What has been looked at.
#[derive(Default)]
struct Counts {
    ways: Cell<usize>,
    routes: Cell<usize>,
    endpoints: Cell<usize>,
}

fn count(cell: &Cell<usize>, more: usize) {
    cell.set(cell.get() + more);
}

/// Whether a way that begins with this hop may begin at this node.
fn begins(node: &Node, first: &Hop) -> bool {
    match (node, first) {
        (Node::Proxy(proxy), Hop::Proxy { proxy: other, .. }) => proxy == other,
        (Node::Entry(entry), Hop::Node { port, .. }) => matches!(&entry.hop, Hop::Node { port: of, .. } if of == port),
        (Node::Entry(entry), hop) => entry.hop == *hop,
        _ => false,
    }
}

/// The clients who get through.
fn open(way: &Way) -> AddressSet {
    let open = way.parts.iter().filter(|part| part.finding.is_open());
    open.filter_map(|part| match &part.clients {
        Clients::Outside(addresses) => Some(addresses.clone()),
        Clients::Party(_) => None,
    })
    .collect()
}

/// Follows one way through the graph: the nodes in between, and the pods and the address at its end.
fn follow(graph: &WayGraph, at: usize) -> (Vec<NodeIndex>, BTreeSet<PodId>, bool) {
    let mut steps: Vec<_> = graph.passages().filter(|(_, _, passage)| passage.ways.contains(&at)).collect();
    let (mut here, mut nodes) = (graph.outside, Vec::new());
    let (mut pods, mut address) = (BTreeSet::new(), false);
    while let Some(next) = steps.iter().position(|(from, _, _)| *from == here) {
        let (_, to, passage): (_, _, &Passage) = steps.remove(next);
        match graph.graph.node_weight(to).unwrap() {
            Node::Pods { .. } => pods.extend(passage.pods.iter().copied()),
            Node::Address(_) => address = true,
            _ => {
                nodes.push(to);
                here = to;
            }
        }
    }
    assert!(steps.is_empty(), "way {at} is in pieces: {steps:?}");
    (nodes, pods, address)
}

fn holds(analysis: &Analysis, counts: &Counts) -> Result<(), TestCaseError> {
    let all = ReachabilityGraph::of(analysis, Shown::Ways, 1_000_000).unwrap();
    let graph = all.ways.as_ref().unwrap();
    prop_assert_eq!(&graph.ways, &exposures(analysis, &analysis.ways));

    // Every edge from the outside is a way, and the other way round.
    let mut begun = vec![0; graph.ways.len()];
    for (from, to, passage) in graph.passages() {
        prop_assert!(to != graph.outside);
        let over: Vec<&Way> = passage.ways.iter().map(|at| &graph.ways[*at]).collect();
        let merit = over.iter().map(|way| overall(&way.parts).map_or(0, Finding::merit)).max();
        prop_assert_eq!(passage.finding.as_ref().map(Finding::merit), merit);
        let clients: AddressSet = over.iter().map(|way| open(way)).collect();
        prop_assert_eq!(&passage.clients, &clients);
        if from == graph.outside {
            prop_assert!(!over.is_empty());
            for at in &passage.ways {
                begun[*at] += 1;
                let first = graph.ways[*at].hops.first().unwrap();
                let node = graph.graph.node_weight(to).unwrap();
                prop_assert!(begins(node, first), "{:?} begins at {:?}", graph.ways[*at], node);
            }
        } else if over.is_empty() {
            let node = graph.graph.node_weight(from).unwrap();
            prop_assert!(matches!(node, Node::Service(_)), "nobody passes {:?}", node);
        }
    }
    prop_assert!(begun.iter().all(|times| *times == 1), "{:?}", begun);

    // Each way is there from its beginning to its end.
    for (at, way) in graph.ways.iter().enumerate() {
        let (nodes, pods, address) = follow(graph, at);
        let of = |index: &NodeIndex| graph.graph.node_weight(*index);
        let proxies = nodes.iter().filter(|node| matches!(of(node), Some(Node::Proxy(_)))).count();
        let routes: Vec<_> = nodes.iter().filter(|node| matches!(of(node), Some(Node::Route(_)))).collect();
        let hops = |wanted: fn(&Hop) -> bool| way.hops.iter().filter(|hop| wanted(hop)).count();
        let services = nodes.iter().filter(|node| matches!(of(node), Some(Node::Service(_)))).count();
        prop_assert_eq!(proxies, hops(|hop| matches!(hop, Hop::Proxy { .. })));
        prop_assert_eq!(services, hops(|hop| matches!(hop, Hop::Service { .. } | Hop::Balancer { .. })));
        prop_assert_eq!(routes.len(), usize::from(way.served.is_some()));
        if let (Some(served), Some(Node::Route(node))) = (&way.served, routes.first().and_then(|node| of(node))) {
            prop_assert_eq!((&served.requests, &served.then), (&node.requests, &node.then));
        }
        prop_assert!(way.pods.iter().all(|pod| pods.contains(pod)), "{:?} leads to {:?}", way, pods);
        prop_assert_eq!(pods.is_empty(), way.pods.is_empty());
        prop_assert_eq!(address, way.address.is_some());
        count(&counts.routes, routes.len());
    }
    count(&counts.ways, graph.ways.len());
    endpoints(analysis, &all, graph, counts)
}

/// What stands behind Services are their endpoints, in their groups.
fn endpoints(
    analysis: &Analysis,
    all: &ReachabilityGraph,
    graph: &WayGraph,
    counts: &Counts,
) -> Result<(), TestCaseError> {
    let cluster = &analysis.cluster;
    let services = graph.nodes().filter(|(_, node)| matches!(node, Node::Service(_))).count();
    prop_assert_eq!(services, cluster.services.len());
    for (from, to, passage) in graph.passages() {
        let weight = |node| graph.graph.node_weight(node).unwrap();
        let Node::Pods { group, workload, pods } = weight(to) else { continue };
        let meant: BTreeSet<_> = passage.pods.iter().collect();
        prop_assert!(!meant.is_empty() && meant.len() == passage.pods.len());
        for pod in &passage.pods {
            prop_assert!(pods.contains(pod) && cluster.pods.at(*pod).workload == *workload);
            let own = all.connections.groups.iter().find(|(_, group)| group.pods.contains(pod));
            prop_assert_eq!(own.map(|(id, _): (GroupId, _)| id), *group);
        }
        if let Node::Service(service) = weight(from) {
            let members = analysis.ways.endpoints.members(*service);
            let is_member = |pod: &PodId| members.iter().any(|member| member.pod == Some(*pod));
            prop_assert!(passage.pods.iter().all(is_member));
            count(&counts.endpoints, 1);
        }
    }
    for (service, object) in cluster.services.iter().filter(|(_, object)| !object.ports.is_empty()) {
        let members = analysis.ways.endpoints.members(service);
        let ready = members.iter().filter(|member| member.conditions.ready);
        for member in ready.filter(|member| object.ports.iter().any(|port| member.port(cluster, port).is_some())) {
            let Some(pod) = member.pod else { continue };
            let leads = graph.passages().any(|(from, _, passage)| {
                graph.graph.node_weight(from) == Some(&Node::Service(service)) && passage.pods.contains(&pod)
            });
            // SVC-10: what is given first of an address counts, whatever is said of it later.
            let same = |other: &&Endpoint| other.address.is_some() && other.address == member.address;
            let is_repeated = members.iter().filter(same).count() > 1;
            prop_assert!(leads || is_repeated, "{:?} is not behind {}", pod, object.name);
        }
    }
    Ok(())
}

#[test]
fn the_graph_says_what_the_ways_of_a_cluster_say() {
    // M-4, M-6, M-8
    let counts = Counts::default();
    check(400, &case(1), |case| holds(&Analysis::new(case.cluster.clone(), case.profile.clone()), &counts));
    assert!(counts.ways.get() > 400, "only {} ways", counts.ways.get());
    assert!(counts.endpoints.get() > 100, "only {} edges to endpoints", counts.endpoints.get());
}

#[test]
fn the_graph_says_what_the_ways_through_proxies_say() {
    // ING-13, GW-16
    let counts = Counts::default();
    check(150, &ingress_plan(), |plan| holds(&Analysis::new(plan.build().0, Profile::default()), &counts));
    check(150, &gateway_plan(), |plan| {
        let loaded = tests::pipeline::load([("gateway.yaml".to_owned(), yaml::documents(&plan.manifests()))]);
        holds(&Analysis::new(loaded.cluster, Profile::default()), &counts)
    });
    assert!(counts.routes.get() > 400, "only {} routes", counts.routes.get());
}
