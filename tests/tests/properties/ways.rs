//! Ways as sets of clients and groups of endpoints say the same as one client that dials one address and one node
//! after the other.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use fixtures::strategy::case;
use policy_core::analysis::Analysis;
use policy_core::model::way_profile::LoadBalancerKind;
use policy_core::model::{Finding, Party, PodState, PortRef};
use policy_core::spec::Spec;
use policy_core::spec::ways::{Dialled, Goal};
use policy_core::ways::clients::Clients;
use policy_core::ways::entry::{self, At, Entry, Leads};
use policy_core::ways::walk::{Walk, Way};

use super::support::check;

/// The addresses and ports that an entry stands for; `None` when the input does not tell them.
fn dialled(analysis: &Analysis, entry: &Entry) -> Option<Vec<SocketAddr>> {
    let cluster = &analysis.cluster;
    let is_node = |ip: &IpAddr| cluster.nodes.values().any(|node| node.addresses.iter().any(|known| known.ip == *ip));
    let addresses = |nodes: Vec<policy_core::ids::NodeId>, port: u16| {
        if nodes.iter().any(|node| cluster.nodes.at(*node).addresses.is_empty()) {
            return None;
        }
        let known = nodes.into_iter().flat_map(|node| &cluster.nodes.at(node).addresses);
        let known: Vec<SocketAddr> = known.map(|address| SocketAddr::new(address.ip, port)).collect();
        (!known.is_empty()).then_some(known)
    };
    match &entry.at {
        At::Address(Some(ip), port) => Some(vec![SocketAddr::new(*ip, *port)]),
        At::Balancer(Some(name), port) => {
            let ip: IpAddr = name.parse().ok()?;
            // No load balancer of its own is at a node's address.
            let is_vip = matches!(entry.leads, Leads::Service { balancer: Some(LoadBalancerKind::Vip), .. });
            let all_known = !cluster.nodes.is_empty() && cluster.nodes.values().all(|node| !node.addresses.is_empty());
            (is_vip || (!is_node(&ip) && all_known)).then(|| vec![SocketAddr::new(ip, *port)])
        }
        At::AnyNode(Some(port)) => addresses(cluster.nodes.ids().collect(), *port),
        At::Node(Some(node), port) => addresses(vec![*node], *port),
        _ => None,
    }
}

/// The Service port that takes an entry's packets.
fn own(entry: &Entry) -> Option<PortRef> {
    match entry.leads {
        Leads::Service { service, port, .. } => Some(PortRef { service, port: u32::try_from(port).unwrap() }),
        _ => None,
    }
}

/// What the reference says of a client and an entry: the best over its addresses. `None` when others claim them too.
fn wanted(
    (analysis, spec): (&Analysis, &Spec<'_>),
    client: Party,
    (entry, dials): (&Entry, &[SocketAddr]),
) -> Option<Dialled> {
    let loopback = match (client, &entry.leads) {
        (Party::Pod(pod), _) if !analysis.cluster.pods.at(pod).host_network => None,
        (Party::Pod(_) | Party::Node(_), Leads::HostPort(pod, at)) => {
            let host_port = &analysis.cluster.pods.at(*pod).host_ports[*at];
            host_port.ip.filter(IpAddr::is_loopback).map(|ip| SocketAddr::new(ip, host_port.port))
        }
        _ => None,
    };
    let all = dials.iter().chain(&loopback).map(|to| spec.dial(client, *to, entry.protocol));
    let best = all.reduce(Dialled::or)?;
    let contested = ["KP-5", "HP-7"].contains(&best.elsewhere.rule);
    let by_others = best.by.iter().any(|(_, by)| Some(*by) != own(entry));
    (!contested && !by_others).then_some(best)
}

/// What the walk says of a client at each place.
fn found(ways: &[Way], is_meant: &dyn Fn(&Clients) -> bool) -> (BTreeMap<Goal, Finding>, Option<Finding>) {
    let mut goals: BTreeMap<Goal, Finding> = BTreeMap::new();
    let mut nowhere: Option<Finding> = None;
    for way in ways {
        let own: Vec<Goal> = match way.address {
            address @ Some(_) => vec![Goal { pod: None, address, port: way.port }],
            None => way.pods.iter().map(|pod| Goal::pod(*pod, way.port)).collect(),
        };
        for part in way.parts.iter().filter(|part| is_meant(&part.clients)) {
            for goal in &own {
                let known = goals.remove(goal);
                let best = known.map_or(part.finding.clone(), |known| known.or(part.finding.clone()));
                goals.insert(*goal, best);
            }
            if own.is_empty() {
                let best = nowhere.take().map_or(part.finding.clone(), |known| known.or(part.finding.clone()));
                nowhere = Some(best);
            }
        }
    }
    (goals, nowhere)
}

/// What is compared of a verdict: those that stop a client are one, since M-6 does not order them.
fn word(finding: Option<&Finding>) -> &'static str {
    match finding {
        Some(finding) if finding.is_open() => finding.verdict.as_str(),
        _ => "closed",
    }
}

/// Where the walk and the reference differ about one client.
fn differences(
    (analysis, spec): (&Analysis, &Spec<'_>),
    (entry, dials): (&Entry, &[SocketAddr]),
    ways: &[Way],
    client: Party,
) -> Vec<String> {
    let Some(wanted) = wanted((analysis, spec), client, (entry, dials)) else { return vec!["contested".to_owned()] };
    let (goals, nowhere) = found(ways, &|clients| match (clients, client) {
        (Clients::Party(party), _) => *party == client,
        (Clients::Outside(set), Party::Address(ip)) => set.contains(ip),
        _ => false,
    });
    // A question about one pod is no question about another that has the same port of the node.
    let only = match entry.leads {
        Leads::Pod(pod) | Leads::HostPort(pod, _) => Some(pod),
        Leads::Service { .. } => None,
    };
    let mut all: BTreeSet<Goal> = goals.keys().chain(wanted.goals.keys()).copied().collect();
    let mut differences = vec!["asked".to_owned()];
    if all.is_empty() && word(nowhere.as_ref()) != word(Some(&wanted.elsewhere)) {
        differences.push(format!("{:?} nowhere: walk {nowhere:?} spec {:?}", entry.kind, wanted.elsewhere));
    }
    all.retain(|goal| only.is_none() || goal.pod == only);
    // Any node may be one that the input does not have, where a pod runs of which it does not tell the node.
    let pods = &analysis.cluster.pods;
    let is_asked = |goal: &Goal| goal.pod.is_none_or(|pod| pods.at(pod).node.is_some());
    let is_any = only.is_none() && (matches!(entry.at, At::AnyNode(_)) || matches!(client, Party::Address(_)));
    all.retain(|goal| !is_any || is_asked(goal));
    for goal in all {
        let (walk, spec) = (goals.get(&goal), wanted.at(&goal));
        if word(walk) != word(Some(spec)) {
            differences.push(format!("{:?} {goal:?}: walk {walk:?} spec {spec:?}", entry.kind));
        }
    }
    differences
}

fn entries(analysis: &Analysis) -> Vec<(Entry, Vec<SocketAddr>)> {
    let cluster = &analysis.cluster;
    let services = cluster.services.ids().flat_map(|service| entry::of_service(analysis, service));
    let live = cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished).map(|(id, _)| id);
    let pods = live.flat_map(|pod| entry::of_pod(analysis, pod));
    services.chain(pods).filter_map(|entry| dialled(analysis, &entry).map(|dials| (entry, dials))).collect()
}

#[test]
#[ignore]
fn explore() {
    let seen: RefCell<BTreeMap<String, (u64, String)>> = RefCell::default();
    check(400, &case(1), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        let mut walk = Walk::new(&analysis, &analysis.ways.endpoints);
        let outside = walk.outside();
        for (entry, dials) in entries(&analysis) {
            let mut note = |client: Party, who: &str, ways: &[Way]| {
                for difference in differences((&analysis, &spec), (&entry, &dials), ways, client) {
                    let key = {
                        let word = |w: &str| {
                            let rest = difference.split_once(w).map_or("", |(_, rest)| rest);
                            let verdict = rest.split("verdict: ").nth(1).unwrap_or("").split(',').next().unwrap_or("");
                            let rule = rest.split("rule: ").nth(1).unwrap_or("").split(',').next().unwrap_or("");
                            format!("{verdict} {rule}")
                        };
                        if difference == "asked" || difference == "contested" {
                            format!("{who} {:?} {difference}", entry.kind)
                        } else if difference.contains("walk None") {
                            format!("{who} {:?} walk None spec {}", entry.kind, word(" spec "))
                        } else {
                            format!("{who} {:?} walk {} spec {}", entry.kind, word("walk "), word(" spec "))
                        }
                    };
                    let mut seen = seen.borrow_mut();
                    let text = format!("{case:?}\n{entry:?}\n{client:?} {dials:?}\n{difference}");
                    let known = seen.entry(key).or_insert((0, text.clone()));
                    known.0 += 1;
                    if text.len() < known.1.len() {
                        known.1 = text;
                    }
                }
            };
            for pod in case.cluster.pods.ids() {
                let party = Party::Pod(pod);
                let object = case.cluster.pods.at(pod);
                let who = match () {
                    () if object.state == PodState::Finished => "finished",
                    () if object.node.is_none() => "unplaced",
                    () if object.host_network => "hostnet",
                    () if object.state == PodState::Template => "template",
                    () => "pod",
                };
                let ways = walk.enter(&Clients::Party(party), &entry);
                note(party, who, &ways);
            }
            for node in case.cluster.nodes.ids() {
                let ways = walk.enter(&Clients::Party(Party::Node(node)), &entry);
                note(Party::Node(node), "node", &ways);
            }
            let ways = walk.enter(&outside, &entry);
            for ip in edges(&ways) {
                note(Party::Address(ip), "outside", &ways);
            }
        }
        Ok(())
    });
    let folder = std::path::Path::new("/tmp/q_explore");
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).unwrap();
    let mut all: Vec<_> = seen.into_inner().into_iter().collect();
    all.sort_by_key(|(key, (count, _))| (key.ends_with("ed"), std::cmp::Reverse(*count)));
    for (at, (key, (count, text))) in all.iter().enumerate() {
        println!("{at:3} {count:7} {key}");
        std::fs::write(folder.join(format!("{at}")), text).unwrap();
    }
}

/// The first and the last address of every stretch of every part of every way.
fn edges(ways: &[Way]) -> BTreeSet<IpAddr> {
    let parts = ways.iter().flat_map(|way| &way.parts);
    let sets = parts.filter_map(|part| match &part.clients {
        Clients::Outside(set) => Some(set),
        Clients::Party(_) => None,
    });
    sets.flat_map(|set| set.ranges().flat_map(|(first, last)| [first, last])).filter(|ip| !ip.is_loopback()).collect()
}
