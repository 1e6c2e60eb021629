//! Requests from outside through Ingress controllers and Gateways: the whole way as sets of clients and requests says the
//! same as one client that dials one address, the rules for one request, and one connection of the proxy.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fixtures::strategy::{profile, proxied_plan};
use policy_core::analysis::Analysis;
use policy_core::ids::{Id, ProxyId};
use policy_core::model::gateway::Entrance;
use policy_core::model::http::{
    Action, App, BackendTarget, Check, Dial, HostMatch, Listener, PathMatch, Proxy, ProxyKind, ProxyPods, Request,
    RequestMatch,
};
use policy_core::model::ingress::Entry as Door;
use policy_core::model::{Family, Finding, Name, NodePort, Party, Protocol, Proviso, Verdict, WayKind};
use policy_core::spec::Spec;
use policy_core::spec::proxied::{Ends, Passing};
use policy_core::spec::ways::Goal;
use policy_core::ways::clients::Clients;
use policy_core::ways::proxied::Arrival;
use policy_core::ways::walk::{Walk, Way};
use proptest::prelude::*;
use tests::property::check;

use super::ways::{edges, entries, found, wanted, word};

/// What the reference says that a proxy may do with a request: what it asks or leaves open, and what it does.
fn possible(analysis: &Analysis, at: usize, request: &Request) -> Vec<(Finding, Action)> {
    let (cluster, ways) = (&analysis.cluster, &analysis.ways);
    let routes = policy_core::ways::ingress::routes(cluster, &analysis.profile.ways);
    let (rule, all): (_, Vec<(Vec<Check>, Action)>) = match routes.proxies.get(at) {
        Some((controller, proxy)) => {
            let controller = &ways.claims.controllers[*controller];
            let own = |id: &policy_core::ids::IngressId| {
                let ingress = cluster.ingresses.at(*id);
                let namespace = &cluster.namespaces.at(ingress.namespace).name;
                (namespace, &ingress.name) == (&proxy.namespace, &proxy.name)
            };
            let is_apart = controller.pods == proxy.pods && matches!(proxy.pods, ProxyPods::Outside(_));
            let ingresses: Vec<_> = controller.ingresses.iter().copied().filter(|id| !is_apart || own(id)).collect();
            let taken = policy_core::spec::ingress::route(cluster, controller, &ingresses, Door::Plain, request);
            assert!(taken.perhaps.is_empty(), "no path of a plan is an expression");
            ("ING-13", taken.then.into_iter().map(|choice| (choice.checks, choice.then)).collect())
        }
        None => {
            let gateway = &cluster.gateway_api.gateways[at - routes.proxies.len()];
            let entrance = Entrance { port: 80, protocol: Protocol::Tcp, tls: false };
            let profile = &analysis.profile.ways;
            let answer = policy_core::spec::gateway::answer(&cluster.gateway_api, profile, gateway, entrance, request);
            ("GW-16", answer.possible.into_iter().map(|decision| (decision.checks, decision.then)).collect())
        }
    };
    let is_open = all.len() > 1;
    let asked = |checks: &[Check]| {
        let start = if is_open { Finding::of(Verdict::Undefined, rule) } else { Finding::allowed(rule) };
        checks.iter().fold(start, |finding, check| match check {
            Check::Credential(what) => finding.and(Finding::if_only(rule, Proviso::Credential(what.clone()))),
            other => panic!("a plan asks for {other:?}"),
        })
    };
    all.into_iter().map(|(checks, then)| (asked(&checks), then)).collect()
}

/// Whether a question about this action can be put to both: whose addresses and node ports are known.
fn is_asked(analysis: &Analysis, action: &Action) -> bool {
    let Action::Forward { backends, .. } = action else { return true };
    backends.iter().all(|backend| match &backend.target {
        BackendTarget::Service { service, port, dial } => {
            let object = analysis.cluster.services.at(*service);
            match dial {
                Dial::Endpoints => true,
                Dial::ClusterIp => Family::ALL.into_iter().all(|family| object.address(family).is_some()),
                Dial::NodePort => {
                    let all_known = analysis.cluster.nodes.values().all(|node| !node.addresses.is_empty());
                    let number = object.ports[*port as usize].node_port;
                    all_known && !analysis.cluster.nodes.is_empty() && matches!(number, NodePort::Number(_))
                }
            }
        }
        _ => true,
    })
}

fn listener(proxy: &Proxy) -> Option<&Listener> {
    let port = proxy.ports.iter().find(|port| (port.port, port.protocol) == (80, Protocol::Tcp))?;
    port.listeners.iter().find(|listener| listener.app == App::Http && listener.tls.is_none())
}

/// Where a request may come to a proxy: what leads there, the addresses that are dialled, and who has arrived.
struct Arrived {
    what: String,
    doors: Vec<SocketAddr>,
    /// Whether it is a port that a pod of the proxy has by itself.
    is_own_port: bool,
    arrivals: Vec<Arrival>,
    clients: BTreeSet<IpAddr>,
}

fn arrived(analysis: &Analysis, spec: &Spec<'_>, walk: &mut Walk<'_>, at: usize, proxy: &Proxy) -> Vec<Arrived> {
    let outside = walk.outside();
    let id = ProxyId::from_index(at);
    let pods = match &proxy.pods {
        ProxyPods::Pods(pods) if pods.iter().all(|pod| analysis.cluster.pods.at(*pod).node.is_some()) => pods,
        // A node that nobody knows may be any.
        ProxyPods::Pods(_) => return Vec::new(),
        _ => {
            let port = proxy.ports.iter().find(|port| port.port == 80).unwrap();
            let clients = BTreeSet::from([IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7))]);
            let doors = vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80)];
            let arrivals = walk.arrive(&outside, id, proxy, port);
            return vec![Arrived { what: "outside".to_owned(), doors, is_own_port: false, arrivals, clients }];
        }
    };
    let mut all = Vec::new();
    for (entry, doors) in entries(analysis).into_iter().filter(|(entry, _)| entry.protocol == Protocol::Tcp) {
        let ways = walk.enter(&outside, &entry);
        let mut clients = edges(&ways);
        clients.retain(|ip| wanted((analysis, spec), Party::Address(*ip), (&entry, &doors)).is_ok());
        let own: Vec<&Way> = ways.iter().filter(|way| way.pods.iter().any(|pod| pods.contains(pod))).collect();
        let arrivals = own.into_iter().map(|way| Arrival {
            proxy: (id, 80),
            hops: way.hops.clone(),
            pod: way.pods.iter().copied().find(|pod| pods.contains(pod)),
            parts: way.parts.clone(),
        });
        let arrivals: Vec<Arrival> = arrivals.collect();
        if !arrivals.is_empty() {
            let is_own_port = entry.kind == WayKind::HostNetwork;
            all.push(Arrived { what: entry.kind.id().to_owned(), doors, is_own_port, arrivals, clients });
        }
    }
    all
}

/// What the reference says: the best of all doors.
fn reference(
    spec: &Spec<'_>,
    client: IpAddr,
    (doors, is_own_port): (&[SocketAddr], bool),
    passing: &Passing<'_>,
) -> Option<Ends> {
    let mut best = Ends::new();
    for door in doors {
        // KP-5: what a Service takes does not come to a process of the node by itself.
        if is_own_port && !spec.dial(Party::Address(client), *door, Protocol::Tcp).by.is_empty() {
            continue;
        }
        for (end, finding) in spec.past_proxy(Party::Address(client), *door, passing)? {
            let known = best.remove(&end);
            best.insert(end, known.map_or(finding.clone(), |known: Finding| known.or(finding)));
        }
    }
    Some(best)
}

/// Where the two differ about one client's request.
fn differences(analysis: &Analysis, served: &[Way], ends: &Ends, client: IpAddr) -> Vec<String> {
    let is_meant = |clients: &Clients| matches!(clients, Clients::Outside(set) if set.contains(client));
    let (goals, nowhere) = found(served, &is_meant);
    let all: BTreeSet<Goal> = goals.keys().copied().chain(ends.keys().flatten().copied()).collect();
    let is_placed = |goal: &Goal| goal.pod.is_none_or(|pod| analysis.cluster.pods.at(pod).node.is_some());
    let mut differences = Vec::new();
    for goal in all.into_iter().filter(is_placed) {
        let (walk, spec) = (goals.get(&goal), ends.get(&Some(goal)));
        if word(walk) != word(spec) {
            differences.push(format!("{goal:?}: walk {walk:?}\n  spec {spec:?}"));
        }
    }
    let spec = ends.get(&None);
    if word(nowhere.as_ref()) != word(spec) {
        differences.push(format!("at the proxy: walk {nowhere:?}\n  spec {spec:?}"));
    }
    differences
}

#[test]
fn a_request_through_a_proxy_ends_where_the_rules_one_by_one_say() {
    // M-6, ING-13, ING-14, ING-16, ING-21, GW-16, NP-24, NP-26, KP-3
    let seen: RefCell<BTreeMap<String, u64>> = RefCell::default();
    check(300, &(proxied_plan(), profile()), |(plan, profile)| {
        let cluster = fixtures::load(&plan.to_yaml());
        let analysis = Analysis::new(cluster.clone(), profile.clone());
        let spec = Spec::new(&cluster, &profile);
        let mut walk = Walk::new(&analysis, &analysis.ways.endpoints);
        for (at, proxy) in analysis.ways.proxies.iter().enumerate() {
            let Some(listener) = listener(proxy) else { continue };
            let all = arrived(&analysis, &spec, &mut walk, at, proxy);
            for path in ["/s1/x", "/s2", "/s3", "/none"] {
                let request = Request::get(Some("h.example"), path);
                let host = HostMatch::Exact(Name::from("h.example"));
                let within =
                    RequestMatch { host, path: PathMatch::Exact(Name::from(path)), ..RequestMatch::everything() };
                let possible = possible(&analysis, at, &request);
                if !possible.iter().all(|(_, action)| is_asked(&analysis, action)) {
                    continue;
                }
                let rule = if proxy.kind == ProxyKind::Gateway { "GW-16" } else { "ING-13" };
                let possible = possible.iter().map(|(asked, action)| (asked.clone(), action)).collect();
                let passing = Passing { pods: &proxy.pods, rule, possible };
                for Arrived { what, doors, is_own_port, arrivals, clients } in &all {
                    let served = walk.serve(arrivals, proxy, listener, &within);
                    for client in clients {
                        let Some(ends) = reference(&spec, *client, (doors, *is_own_port), &passing) else { continue };
                        let found = differences(&analysis, &served, &ends, *client);
                        prop_assert!(
                            found.is_empty(),
                            "{client} by {what} {doors:?} to {path}:\n{}\n{}\n{:?}",
                            found.join("\n"),
                            plan.to_yaml(),
                            profile
                        );
                        let mut seen = seen.borrow_mut();
                        for (end, finding) in &ends {
                            let end = if end.is_some() { "backend" } else { "proxy" };
                            *seen.entry(format!("{end} {}", word(Some(finding)))).or_default() += 1;
                        }
                        *seen.entry(format!("{:?} by {what}", proxy.kind)).or_default() += 1;
                    }
                }
            }
        }
        Ok(())
    });
    // Agreement says little where nothing is ever reached, or everything is.
    let seen = seen.into_inner();
    let of = |what: &str| seen.get(what).copied().unwrap_or_default();
    assert!(of("backend allowed") >= 100 && of("backend closed") >= 100, "{seen:?}");
    assert!(of("proxy closed") >= 100 && of("backend undefined") >= 10, "{seen:?}");
    assert!(of("Ingress by W-NP") >= 50 && of("Gateway by W-NP") >= 50 && of("Ingress by outside") >= 50, "{seen:?}");
}
