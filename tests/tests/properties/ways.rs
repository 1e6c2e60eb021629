//! Ways as sets of clients and groups of endpoints say the same as one client that dials one address and one node
//! after the other.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use fixtures::strategy::case;
use policy_core::analysis::Analysis;
use policy_core::model::way_profile::LoadBalancerKind;
use policy_core::model::{AddressSet, Finding, NodePort, Party, PodState, PortRef, Verdict, WayKind};
use policy_core::spec::Spec;
use policy_core::spec::ways::{Dialled, Goal};
use policy_core::ways::clients::Clients;
use policy_core::ways::entry::{self, At, Entry, Leads};
use policy_core::ways::walk::{Walk, Way};

use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use tests::property::check;

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
        // A load balancer that opens connections of its own takes what comes from outside before any node.
        At::Address(Some(ip), _) if is_balanced(analysis, *ip) => None,
        At::Address(Some(ip), port) => Some(vec![SocketAddr::new(*ip, *port)]),
        At::Balancer(Some(name), port) => {
            let ip: IpAddr = name.parse().ok()?;
            // No load balancer of its own is at a node's address.
            let is_vip = matches!(entry.leads, Leads::Service { balancer: Some(LoadBalancerKind::Vip), .. });
            let all_known = !cluster.nodes.is_empty() && cluster.nodes.values().all(|node| !node.addresses.is_empty());
            let has_number = own(entry)?.of(cluster)?.node_port != NodePort::Unallocated;
            (is_vip || (!is_node(&ip) && all_known && has_number)).then(|| vec![SocketAddr::new(ip, *port)])
        }
        At::AnyNode(Some(port)) => addresses(cluster.nodes.ids().collect(), *port),
        At::Node(Some(node), port) => {
            let mut known = addresses(vec![*node], *port)?;
            if let Leads::HostPort(pod, at) = entry.leads {
                known.retain(|to| cluster.pods.at(pod).host_ports[at].is_at(to.ip()));
            }
            (!known.is_empty()).then_some(known)
        }
        _ => None,
    }
}

/// Whether a load balancer opens connections of its own for what comes to an address.
fn is_balanced(analysis: &Analysis, ip: IpAddr) -> bool {
    let entries = analysis.cluster.services.ids().flat_map(|service| entry::of_service(analysis, service));
    entries.into_iter().any(|entry| {
        let is_proxy = |kind: LoadBalancerKind| kind != LoadBalancerKind::Vip;
        let at = matches!(entry.at, At::Balancer(..)).then(|| entry.address()).flatten();
        at == Some(ip) && matches!(entry.leads, Leads::Service { balancer: Some(kind), .. } if is_proxy(kind))
    })
}

/// The Service port that takes an entry's packets.
fn own(entry: &Entry) -> Option<PortRef> {
    match entry.leads {
        Leads::Service { service, port, .. } => Some(PortRef { service, port: u32::try_from(port).unwrap() }),
        _ => None,
    }
}

/// What the reference says of a client and an entry: the best over its addresses. The rule behind its doubts
/// when others claim them too.
pub(super) fn wanted(
    (analysis, spec): (&Analysis, &Spec<'_>),
    client: Party,
    (entry, dials): (&Entry, &[SocketAddr]),
) -> Result<Dialled, &'static str> {
    let loopback = match (client, &entry.leads) {
        (Party::Pod(pod), _) if !analysis.cluster.pods.at(pod).host_network => None,
        (Party::Pod(_) | Party::Node(_), Leads::HostPort(pod, at)) => {
            let host_port = &analysis.cluster.pods.at(*pod).host_ports[*at];
            host_port.ip.filter(IpAddr::is_loopback).map(|ip| SocketAddr::new(ip, host_port.port))
        }
        _ => None,
    };
    let all = dials.iter().chain(&loopback).map(|to| spec.dial(client, *to, entry.protocol));
    let all = all.map(|dialled| match own(entry) {
        // A host port of the same number at an address that the Service does not have is no way into the Service.
        Some(_) if dialled.by.is_empty() => Dialled::nothing(Finding::of(Verdict::NoRoute, "M-4")),
        // KP-5: where a Service takes what is sent to a node, it is no way to the processes of that node.
        None if matches!(entry.leads, Leads::Pod(_)) && !dialled.by.is_empty() => {
            Dialled::nothing(Finding::of(Verdict::NoListener, "KP-5"))
        }
        _ => dialled,
    });
    let best = all.reduce(Dialled::or).ok_or("M-4")?;
    let contested = best.elsewhere.verdict == Verdict::Undefined && best.elsewhere.rule == "KP-5";
    let by_others = best.by.iter().any(|(_, by)| Some(*by) != own(entry));
    if own(entry).is_some() && best.by.is_empty() {
        // What is there otherwise is no way into the Service.
        return Ok(Dialled::nothing(Finding::of(Verdict::NoRoute, "M-4")));
    }
    // HP-5: no scheduler puts a pod with a host port beside one that has the port itself.
    let is_mapped = |pod: policy_core::ids::PodId| !analysis.cluster.pods.at(pod).host_network;
    let beside = entry.kind == WayKind::HostNetwork && best.goals.keys().filter_map(|goal| goal.pod).any(is_mapped);
    match () {
        () if contested => Err("KP-5"),
        () if by_others || beside => Err("HP-5"),
        () => Ok(best),
    }
}

/// What the walk says of a client at each place.
pub(super) fn found(ways: &[Way], is_meant: &dyn Fn(&Clients) -> bool) -> (BTreeMap<Goal, Finding>, Option<Finding>) {
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
pub(super) fn word(finding: Option<&Finding>) -> &'static str {
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
    let (goals, nowhere) = found(ways, &|clients| match (clients, client) {
        (Clients::Party(party), _) => *party == client,
        (Clients::Outside(set), Party::Address(ip)) => set.contains(ip),
        _ => false,
    });
    let wanted = match wanted((analysis, spec), client, (entry, dials)) {
        Ok(wanted) => wanted,
        Err(rule) => {
            // Two Services claim it: nobody says who gets it, and the walk must promise nothing.
            // A host port may be at another address of its node, which nobody else claims.
            let is_meant = rule == "KP-5" && !matches!(entry.leads, Leads::HostPort(..));
            let promised = goals.iter().filter(|(_, finding)| is_meant && finding.verdict == Verdict::Allowed);
            let promised = promised.map(|(goal, _)| format!("{goal:?} is contested"));
            return std::iter::once("contested".to_owned()).chain(promised).collect();
        }
    };
    let pods = &analysis.cluster.pods;
    // A question about one pod is no question about another that has the same port of the node.
    let only = match entry.leads {
        Leads::HostPort(pod, at) => Some(Goal::pod(pod, pods.at(pod).host_ports[at].container_port)),
        Leads::Pod(pod) => Some(Goal::pod(pod, dials[0].port())),
        Leads::Service { .. } => None,
    };
    let mut all: BTreeSet<Goal> = goals.keys().chain(wanted.goals.keys()).copied().collect();
    let mut differences = vec!["asked".to_owned()];
    let is_promised = nowhere.as_ref().is_some_and(|finding| finding.verdict == Verdict::Allowed);
    if all.is_empty() && is_promised {
        differences.push(format!("{:?} nowhere: walk {nowhere:?} spec {:?}", entry.kind, wanted.elsewhere));
    }
    all.retain(|goal| only.is_none_or(|only| *goal == only));
    // Any node may be one that the input does not have, where a pod runs of which it does not tell the node.
    let is_asked = |goal: &Goal| goal.pod.is_none_or(|pod| pods.at(pod).node.is_some());
    let is_any = only.is_none()
        && (matches!(entry.at, At::AnyNode(_) | At::Balancer(..)) || matches!(client, Party::Address(_)));
    all.retain(|goal| !is_any || is_asked(goal));
    for goal in all {
        let (walk, spec) = (goals.get(&goal), wanted.at(&goal));
        if word(walk) != word(Some(spec)) {
            differences.push(format!("{:?} {goal:?}: walk {walk:?} spec {spec:?}", entry.kind));
        }
    }
    differences
}

pub(super) fn entries(analysis: &Analysis) -> Vec<(Entry, Vec<SocketAddr>)> {
    let cluster = &analysis.cluster;
    let services = cluster.services.ids().flat_map(|service| entry::of_service(analysis, service));
    let live = cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished).map(|(id, _)| id);
    let pods = live.flat_map(|pod| entry::of_pod(analysis, pod, None));
    services.chain(pods).filter_map(|entry| dialled(analysis, &entry).map(|dials| (entry, dials))).collect()
}

/// Whether it is known where a pod runs, and whether it runs.
fn is_placed(analysis: &Analysis, pod: policy_core::ids::PodId) -> bool {
    let pod = analysis.cluster.pods.at(pod);
    pod.node.is_some() || pod.state == PodState::Finished
}

/// Counts what was asked, by the kind of way, and fails on the first difference.
fn compare(
    seen: &RefCell<BTreeMap<String, u64>>,
    case: &fixtures::strategy::Case,
    clients: &dyn Fn(&Analysis, &mut Walk<'_>, &Entry) -> Vec<(Party, Vec<Way>)>,
) -> Result<(), TestCaseError> {
    let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
    let spec = Spec::new(&case.cluster, &case.profile);
    let mut walk = Walk::new(&analysis, &analysis.ways.endpoints);
    for (entry, dials) in entries(&analysis) {
        for (client, ways) in clients(&analysis, &mut walk, &entry) {
            let found = differences((&analysis, &spec), (&entry, &dials), &ways, client);
            let (what, differences) = found.split_first().unwrap();
            prop_assert!(differences.is_empty(), "{client:?} at {entry:?}, {dials:?}:\n{}", differences.join("\n"));
            let mut seen = seen.borrow_mut();
            *seen.entry(format!("{} {what}", entry.kind.id())).or_default() += 1;
            for part in ways.iter().flat_map(|way| &way.parts) {
                *seen.entry(part.finding.verdict.as_str().to_owned()).or_default() += 1;
            }
        }
    }
    Ok(())
}

/// That every kind of way was asked often enough, and that neither open nor closed ones are rare.
fn enough(seen: &BTreeMap<String, u64>, kinds: &[WayKind]) {
    for kind in kinds {
        let of = |what: &str| seen.get(&format!("{} {what}", kind.id())).copied().unwrap_or_default();
        assert!(of("asked") >= 100 && of("asked") > of("contested"), "{kind}: {seen:?}");
    }
    let of = |verdicts: &[Verdict]| -> u64 { verdicts.iter().filter_map(|verdict| seen.get(verdict.as_str())).sum() };
    let open = of(&[Verdict::Allowed, Verdict::Conditional, Verdict::Undefined]);
    let closed = of(&[Verdict::Denied, Verdict::NoListener, Verdict::NoRoute]);
    assert!(open * 10 > closed && closed * 10 > open, "{seen:?}");
    for verdict in [Verdict::Allowed, Verdict::Undefined, Verdict::Denied] {
        assert!(seen.contains_key(verdict.as_str()), "{seen:?}");
    }
}

#[test]
fn somebody_inside_gets_from_an_entry_what_its_packets_get() {
    // M-6, M-7, KP-3, KP-8, KP-10, HP-4, NP-18, SVC-23
    let seen: RefCell<BTreeMap<String, u64>> = RefCell::default();
    check(150, &case(1), |case| {
        compare(&seen, &case, &|analysis, walk, entry| {
            let pods = analysis.cluster.pods.ids().filter(|pod| is_placed(analysis, *pod)).map(Party::Pod);
            let parties = pods.chain(analysis.cluster.nodes.ids().map(Party::Node));
            parties.map(|party| (party, walk.enter(&Clients::Party(party), entry))).collect()
        })
    });
    use WayKind::{ClusterIp, ExternalIp, HostNetwork, HostPort, LoadBalancer, NodePort, Pod};
    enough(&seen.into_inner(), &[ClusterIp, ExternalIp, HostNetwork, HostPort, LoadBalancer, NodePort, Pod]);
}

#[test]
fn every_address_of_a_set_of_clients_gets_what_it_gets_alone() {
    // M-3, M-6, M-8, KP-3, KP-6, SVC-17, SVC-22, SVC-26, NP-24, W-NP, W-HP
    let seen: RefCell<BTreeMap<String, u64>> = RefCell::default();
    check(150, &case(1), |case| {
        compare(&seen, &case, &|_, walk, entry| {
            let outside = walk.outside();
            let ways = walk.enter(&outside, entry);
            edges(&ways).into_iter().map(|ip| (Party::Address(ip), ways.clone())).collect()
        })
    });
    use WayKind::{ClusterIp, ExternalIp, HostNetwork, HostPort, LoadBalancer, NodePort, Pod};
    enough(&seen.into_inner(), &[ClusterIp, ExternalIp, HostNetwork, HostPort, LoadBalancer, NodePort, Pod]);
}

#[test]
fn the_parts_of_every_way_are_disjoint_and_leave_nobody_out() {
    // M-3
    let ways_seen = Cell::new(0_u64);
    check(150, &case(1), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let mut walk = Walk::new(&analysis, &analysis.ways.endpoints);
        let Clients::Outside(outside) = walk.outside() else { panic!("the outside is a set") };
        let services = case.cluster.services.ids().flat_map(|service| entry::of_service(&analysis, service));
        let pods = case.cluster.pods.ids().flat_map(|pod| entry::of_pod(&analysis, pod, None));
        let all: Vec<Entry> = services.chain(pods).collect();
        for entry in all {
            for way in walk.enter(&Clients::Outside(outside.clone()), &entry) {
                let mut known = AddressSet::empty();
                for part in &way.parts {
                    let Clients::Outside(set) = &part.clients else { panic!("a party in {way:?}") };
                    prop_assert!(!set.is_empty() && set.is_disjoint(&known), "{entry:?}: {way:?}");
                    known = known.union(set);
                }
                prop_assert_eq!(&known, &outside, "{:?}: {:?}", entry, way);
                ways_seen.set(ways_seen.get() + 1);
            }
        }
        Ok(())
    });
    assert!(ways_seen.get() > 1000, "{ways_seen:?}");
}

/// The first and the last address of every stretch of every part of every way.
pub(super) fn edges(ways: &[Way]) -> BTreeSet<IpAddr> {
    let parts = ways.iter().flat_map(|way| &way.parts);
    let sets = parts.filter_map(|part| match &part.clients {
        Clients::Outside(set) => Some(set),
        Clients::Party(_) => None,
    });
    sets.flat_map(|set| set.ranges().flat_map(|(first, last)| [first, last])).filter(|ip| !ip.is_loopback()).collect()
}
