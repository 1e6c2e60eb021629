//! Questions about sets of flows agree with questions about each flow (M-1, M-2, M-3).

use fixtures::strategy::{Case, case, parties, ports};
use policy_core::analysis::Analysis;
use policy_core::compile::groups::{Group, GroupId};
use policy_core::explain::{EndTrace, PolicyTrace, explain};
use policy_core::graph::ReachabilityGraph;
use policy_core::model::leg::{self, OwnNode};
use policy_core::model::premise::{self, Seen, families};
use policy_core::model::{Domains, End, Family, Flow, Hit, Judge, Party, PodState, Protocol, TierRuleRef, Verdict};
use policy_core::query::{Actor, PortAsk, Subject, Target, between, can, reach};
use policy_core::spec::Spec;
use proptest::prelude::*;
use proptest::sample::Index;
use tests::property::check;

#[test]
fn the_ports_of_a_pair_are_the_ports_that_the_spec_allows() {
    let pairs = proptest::collection::vec((any::<Index>(), any::<Index>()), 1..8);
    check(400, &(case(1), pairs), |(case, pairs)| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        let (everybody, ports) = (parties(&case.cluster), ports(&case.cluster));
        prop_assume!(!everybody.is_empty());
        for (source, destination) in &pairs {
            let (source, destination) = (*source.get(&everybody), *destination.get(&everybody));
            for family in families(&case.cluster, &case.profile, source) {
                let all = between(&analysis, source, destination, family);
                for (protocol, port) in &ports {
                    let flow = Flow::direct(source, destination, family, *protocol, *port);
                    prop_assert_eq!(all.verdict(*protocol, *port), spec.judge(&flow).verdict, "{:?}", flow);
                }
            }
        }
        Ok(())
    });
}

/// Whether an end is an address that is neither somebody's nor outside: one out of a range of pods or Services (M-1). It is
/// in no partition.
fn is_nobodys(case: &Case, flow: &Flow) -> bool {
    let outside = premise::outside(&case.cluster, &case.profile);
    [flow.source, flow.destination]
        .into_iter()
        .any(|party| matches!(party, Party::Address(address) if !outside.contains(address)))
}

fn holds(actors: &[Actor], party: Party) -> bool {
    actors.iter().any(|actor| match (actor, party) {
        (Actor::Pods(pods), Party::Pod(pod)) => pods.contains(&pod),
        (Actor::Node(node), Party::Node(other)) => *node == other,
        (Actor::Addresses(addresses), Party::Address(address)) => addresses.contains(address),
        _ => false,
    })
}

#[test]
fn the_partition_of_everything_is_exact() {
    // M-3
    check(250, &case(32), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        let cells = reach(&analysis, &Subject::Everything, &Subject::Everything);
        for cell in &cells {
            let witness = &cell.witness;
            let wanted = cell.answer.verdict(witness.protocol, witness.port);
            prop_assert_eq!(spec.judge(witness).verdict, wanted, "the witness {:?} of {:?}", witness, cell);
        }
        for flow in &case.flows {
            let direct = Flow { dialled: None, masqueraded_by: None, ..*flow };
            let judged = spec.judge(&direct);
            let outside = |party| matches!(party, Party::Address(_));
            let finished = matches!(judged.verdict, Verdict::NoRoute | Verdict::NoListener);
            if direct.source == direct.destination
                || (outside(direct.source) && outside(direct.destination))
                || matches!(direct.destination, Party::Named(_))
                || matches!(direct.source, Party::Somebody(_))
                || is_nobodys(&case, &direct)
                || finished
            {
                continue;
            }
            let of: Vec<_> = cells
                .iter()
                .filter(|cell| {
                    holds(&cell.sources, direct.source)
                        && holds(&cell.destinations, direct.destination)
                        && cell.families.contains(&direct.family)
                })
                .collect();
            prop_assert_eq!(of.len(), 1, "{:?} is in {} cells", direct, of.len());
            prop_assert_eq!(of[0].answer.verdict(direct.protocol, direct.port), judged.verdict, "{:?}", direct);
        }
        Ok(())
    });
}

/// The group of a party.
fn group_of(graph: &ReachabilityGraph, party: Party) -> Option<GroupId> {
    let holds = |group: &Group| match party {
        Party::Pod(pod) => group.pods.contains(&pod),
        Party::Node(node) => group.nodes.contains(&node),
        Party::Address(address) => group.addresses.contains(address),
        Party::Named(_) | Party::Somebody(_) => false,
    };
    let mut found = graph.connections.groups.iter().filter(|(_, group)| holds(group)).map(|(id, _)| id);
    let first = found.next();
    assert!(found.next().is_none(), "{party:?} is in two groups");
    first
}

/// What the graph's edge says of a port: allowed, undefined, or denied where it says nothing.
fn edge_verdict(graph: &ReachabilityGraph, flow: &Flow, from: GroupId, to: GroupId) -> Verdict {
    let edge = graph.graph.find_edge(graph.node(from), graph.node(to));
    let reach = edge.and_then(|edge| graph.graph.edge_weight(edge));
    let of_family = |families: &[Family]| families.contains(&flow.family);
    let ports = reach.iter().flat_map(|reach| &reach.ports).filter(|(families, _)| of_family(families));
    let mut verdict = Verdict::Denied;
    for (_, ports) in ports {
        assert!(!ports.is_empty(), "an edge without ports");
        if ports.certain.contains(flow.protocol, flow.port) {
            verdict = Verdict::Allowed;
        } else if ports.possible.contains(flow.protocol, flow.port) {
            verdict = Verdict::Undefined;
        } else if ports.learned.contains(flow.protocol, flow.port) {
            verdict = Verdict::Conditional;
        }
    }
    verdict
}

/// Whether an end is a process on the node on which the other, a pod, runs or may run (NP-19).
fn own_node(case: &Case, flow: &Flow) -> bool {
    let seen = |party| premise::seen(&case.cluster, &case.profile, party);
    match (seen(flow.source), seen(flow.destination)) {
        (Seen::Pod(pod), Seen::Host { node, .. }) | (Seen::Host { node, .. }, Seen::Pod(pod)) => {
            leg::own_node(&case.cluster, pod, node) != OwnNode::No
        }
        _ => false,
    }
}

#[test]
fn an_edge_of_the_graph_is_the_set_of_ports_that_the_spec_allows() {
    check(400, &case(48), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        let graph = ReachabilityGraph::new(&analysis, 1_000_000).unwrap();
        for flow in &case.flows {
            let direct = Flow { dialled: None, masqueraded_by: None, ..*flow };
            let judged = spec.judge(&direct);
            // Listed apart: a pod and itself, a pod and its own node. Not in the picture: hosts and outside among
            // themselves, finished pods, families that an end does not speak.
            let apart = direct.source == direct.destination
                || own_node(&case, &direct)
                || matches!(judged.verdict, Verdict::NoRoute | Verdict::NoListener)
                || matches!(direct.destination, Party::Named(_))
                || is_nobodys(&case, &direct)
                || matches!(direct.source, Party::Somebody(_));
            let (Some(from), Some(to)) = (group_of(&graph, direct.source), group_of(&graph, direct.destination)) else {
                prop_assert!(apart, "{:?} has no group", direct);
                continue;
            };
            let groups = &graph.connections.groups;
            if apart || !groups.at(from).role.meets(groups.at(to).role) {
                continue;
            }
            prop_assert_eq!(edge_verdict(&graph, &direct, from, to), judged.verdict, "{:?}", direct);
        }
        Ok(())
    });
}

/// The rules of a trace that certainly admit, and the policies that play a part.
fn told(traces: &[PolicyTrace]) -> (Vec<(usize, u32)>, usize) {
    let part: Vec<_> = traces.iter().filter(|trace| trace.skipped.is_none()).collect();
    let rules = part.iter().enumerate().flat_map(|(at, trace)| trace.rules.iter().map(move |rule| (at, rule)));
    (rules.filter(|(_, rule)| rule.hit == Hit::Yes).map(|(at, rule)| (at, rule.rule.index)).collect(), part.len())
}

fn judged(end: &End) -> Vec<(usize, u32)> {
    let place = |rule: &policy_core::model::RuleRef| end.isolating.iter().position(|policy| *policy == rule.policy);
    end.admitting.iter().map(|rule| (place(rule).unwrap(), rule.index)).collect()
}

/// The rules of the tiers that are asked that match or may match, without those that come too late.
fn matching(asked: &EndTrace) -> Vec<TierRuleRef> {
    let tiers = [&asked.admin, &asked.baseline].into_iter().filter(|tier| tier.not_asked.is_none());
    let rules = tiers.flat_map(|tier| &tier.policies).flat_map(|policy| &policy.rules);
    rules.filter(|rule| rule.hit != Hit::No && !rule.late).map(|rule| rule.rule).collect()
}

/// A rule admits as far as the best of its peers and the best of its ports do; a list that is not there admits all.
fn best(entries: &[policy_core::explain::EntryTrace]) -> Hit {
    if entries.is_empty() { Hit::Yes } else { entries.iter().fold(Hit::No, |hit, entry| hit.or(entry.hit)) }
}

#[test]
fn an_explanation_agrees_with_the_judgement() {
    check(400, &case(32), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        for flow in &case.flows {
            let direct = Flow { dialled: None, masqueraded_by: None, ..*flow };
            let (trace, wanted) = (explain(&analysis, &direct), spec.judge(&direct));
            prop_assert_eq!(&trace.judgement, &wanted);
            for (end, asked) in [(&wanted.egress, &trace.egress), (&wanted.ingress, &trace.ingress)] {
                let traces = &asked.policies;
                if !end.isolating.is_empty() && end.rule != "NP-17" && asked.policies_not_asked.is_none() {
                    let (admitting, part) = told(traces);
                    prop_assert_eq!(part, end.isolating.len());
                    if end.tier.is_none() {
                        prop_assert_eq!(admitting, judged(end));
                    }
                }
                if end.rule != "NP-17" {
                    prop_assert_eq!(&matching(asked), &end.tier_rules, "{:?}\n{:?}", direct, asked);
                }
                for rule in
                    [&asked.admin, &asked.baseline].into_iter().flat_map(|tier| &tier.policies).flat_map(|of| &of.rules)
                {
                    let entries = best(&rule.peers).and(best(&rule.ports));
                    prop_assert_eq!(rule.hit == Hit::Yes, entries == Hit::Yes, "{:?}\n{:?}", direct, rule);
                    prop_assert_eq!(rule.hit == Hit::No, entries == Hit::No, "{:?}\n{:?}", direct, rule);
                }
                // Where nothing enforces policies, no rule is asked (NP-32).
                let skipped = traces.iter().all(|trace| trace.skipped.is_some() && trace.rules.is_empty());
                prop_assert!(case.profile.enforcement || skipped, "{:?}", traces);
                for rule in traces.iter().flat_map(|trace| &trace.rules) {
                    let entries = best(&rule.peers).and(best(&rule.ports));
                    prop_assert_eq!(rule.hit == Hit::Yes, entries == Hit::Yes, "{:?}\n{:?}", direct, rule);
                    prop_assert_eq!(rule.hit == Hit::No, entries == Hit::No, "{:?}\n{:?}", direct, rule);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn an_address_means_its_own_family() {
    // NP-30: also where it belongs to a pod that has both
    check(400, &case(32), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        for flow in &case.flows {
            let direct = Flow { dialled: None, masqueraded_by: None, ..*flow };
            let (Party::Pod(source), Party::Pod(destination)) = (direct.source, direct.destination) else { continue };
            let pod = case.cluster.pods.at(source);
            let Some(address) = pod.address(direct.family).filter(|_| !pod.host_network) else { continue };
            let target =
                Target { subject: Subject::Pod(destination), port: PortAsk::Number(direct.protocol, direct.port) };
            let judged = spec.judge(&direct);
            let cells = can(&analysis, &Subject::Address(address), &target).unwrap_or_default();
            prop_assert_eq!(cells.len(), 1, "{:?}: {:?}", direct, cells);
            prop_assert_eq!(cells[0].answer.verdict, judged.verdict, "{:?}", direct);
        }
        Ok(())
    });
}

#[test]
fn addresses_of_two_families_have_no_route() {
    // NP-30: whoever has them, and whatever else they have
    check(200, &case(4), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        let of = |family| {
            let pods = case.cluster.pods.values();
            let live = pods.filter(|pod| !pod.host_network && pod.state != PodState::Finished);
            live.filter_map(move |pod| pod.address(family)).take(4).collect::<Vec<_>>()
        };
        let (v4, v6) = (of(Family::V4), of(Family::V6));
        for (a, b) in v4.iter().flat_map(|a| v6.iter().map(move |b| (*a, *b))) {
            for (source, destination) in [(a, b), (b, a)] {
                let port = PortAsk::Number(Protocol::Tcp, 80);
                let target = Target { subject: Subject::Address(destination), port };
                let cells = can(&analysis, &Subject::Address(source), &target).unwrap();
                prop_assert_eq!(cells.len(), 1, "{} {}: {:?}", source, destination, cells);
                let judgement = &cells[0].answer;
                prop_assert_eq!((judgement.verdict, judgement.rule), (Verdict::NoRoute, "NP-30"));
                prop_assert_eq!(&cells[0].families, &vec![Family::of(source)]);
                prop_assert_eq!(&spec.judge(&cells[0].witness), judgement);
            }
        }
        Ok(())
    });
}

#[test]
fn a_name_is_answered_as_policies_know_it() {
    // CNP-10
    check(200, &case(1), |case| {
        // One of the names lies in another domain that clusters may have: it is outside here.
        let mut profile = case.profile.clone();
        profile.set("cluster_domain", "cluster.local").unwrap();
        let analysis = Analysis::new(case.cluster.clone(), profile.clone());
        let spec = Spec::new(&case.cluster, &profile);
        let domains = Domains::new(case.cluster.cluster_policies.values());
        for name in ["latest.blog.kubernetes.io", "kubernetes.io", "elsewhere.example.net"] {
            let subject = Subject::parse_destination(&case.cluster, &profile, None, name).unwrap();
            let target = Target { subject: subject.clone(), port: PortAsk::Number(Protocol::Tcp, 443) };
            for cell in can(&analysis, &Subject::Everything, &target).unwrap() {
                prop_assert_eq!(cell.witness.destination, Party::Named(domains.class(name)));
                prop_assert_eq!(&cell.destinations, &vec![Actor::Name(name.into())]);
                prop_assert_eq!(&spec.judge(&cell.witness), &cell.answer, "{:?}", cell);
            }
            for cell in reach(&analysis, &Subject::Everything, &subject) {
                let flow = cell.witness;
                prop_assert_eq!(spec.judge(&flow).verdict, cell.answer.verdict(flow.protocol, flow.port), "{:?}", cell);
            }
        }
        Ok(())
    });
}
