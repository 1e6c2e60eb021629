//! The compiled engine against the reference evaluator, and every view of it against single flows.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use fixtures::scale::Scale;
use fixtures::strategy::{case, tiered_case};
use policy_core::analysis::Analysis;
use policy_core::compile::connections::{Connections, connections, count_admitted};
use policy_core::compile::groups::{GroupId, Role};
use policy_core::compile::ports::PortValue;
use policy_core::ids::PodId;
use policy_core::model::{Cluster, Family, Flow, Hit, Judge, Party, Profile, Verdict, leg, premise};
use policy_core::query::between;
use policy_core::spec::Spec;
use proptest::prelude::*;

/// The value of each pair of groups; fails when two blocks speak of one pair.
fn expand(all: &Connections) -> BTreeMap<(GroupId, GroupId, Family), PortValue> {
    let mut values = BTreeMap::new();
    for block in &all.blocks {
        for source in all.sources(block) {
            for destination in all.destinations(block) {
                for family in &block.families {
                    let before = values.insert((*source, *destination, *family), block.ports.clone());
                    assert_eq!(before, None, "two blocks for one pair");
                }
            }
        }
    }
    values
}

fn members(all: &Connections, group: GroupId) -> Vec<Party> {
    let group = all.groups.at(group);
    let pods = group.pods.iter().map(|pod| Party::Pod(*pod));
    let nodes = group.nodes.iter().map(|node| Party::Node(*node));
    let outside = group.addresses.ranges().flat_map(|(first, last)| [Party::Address(first), Party::Address(last)]);
    pods.chain(nodes).chain(outside).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: fixtures_cases(300), ..ProptestConfig::default() })]

    #[test]
    fn spec_and_compiled_agree_on_every_flow(case in case(60)) {
        let analysis = Analysis::new(case.cluster, case.profile);
        let spec = Spec::new(&analysis.cluster, &analysis.profile);
        for flow in case.flows {
            let judgement = spec.judge(&flow);
            prop_assert_eq!(&judgement, &analysis.judge(&flow), "{:?}", flow);
            if flow.dialled.is_none() && flow.masqueraded_by.is_none() {
                let ports = between(&analysis, flow.source, flow.destination, flow.family);
                prop_assert_eq!(ports.verdict(flow.protocol, flow.port), judgement.verdict, "{:?} {:?}", flow, ports);
            }
        }
    }

    #[test]
    fn connections_are_what_pairs_say(case in prop_oneof![case(1), tiered_case(1)]) {
        connects_as_pairs_do(case.cluster, case.profile)?;
    }
}

fn connects_as_pairs_do(cluster: Cluster, profile: Profile) -> Result<(), TestCaseError> {
    let analysis = Analysis::new(cluster, profile);
    let all = connections(&analysis.compiled, &analysis.cluster, &analysis.profile);
    let values = expand(&all);
    let nothing = PortValue::default();
    for (from, source) in all.groups.iter() {
        for (to, destination) in all.groups.iter() {
            for family in Family::ALL {
                let value = values.get(&(from, to, family)).unwrap_or(&nothing);
                if !source.role.meets(destination.role) {
                    prop_assert_eq!(value, &nothing);
                    continue;
                }
                for (a, b) in
                    members(&all, from).into_iter().flat_map(|a| members(&all, to).into_iter().map(move |b| (a, b)))
                {
                    let speaks =
                        |party| premise::families(&analysis.cluster, &analysis.profile, party).contains(&family);
                    if !speaks(a) || !speaks(b) || a == b {
                        continue;
                    }
                    let pair = between(&analysis, a, b, family);
                    let host = matches!(source.role, Role::HostPod | Role::Node)
                        || matches!(destination.role, Role::HostPod | Role::Node);
                    if host && exempt(&analysis, a, b) {
                        continue;
                    }
                    let (got, wanted) = (
                        (&pair.allowed, &pair.undefined, &pair.conditional),
                        (&value.certain, &value.possible, &value.learned),
                    );
                    prop_assert_eq!(got, wanted, "{:?} {:?} {:?}", a, b, family);
                }
            }
        }
    }
    prop_assert_eq!(
        all.groups.values().map(|group| group.pods.len()).sum::<usize>(),
        analysis.cluster.pods.values().filter(|pod| pod.state != policy_core::model::PodState::Finished).count()
    );
    Ok(())
}

#[test]
fn policies_of_one_priority_may_agree_that_it_is_up_to_dns() {
    // CNP-2, CNP-10: whichever of the two comes first, names decide about 10.0.0.0. Alone, what comes after them says
    // the more the one way, nothing the other.
    let pass = |cidr: &str| format!("{{action: Pass, to: [{{networks: [{cidr}]}}]}}");
    let accept = |name: &str| format!("{{action: Accept, to: [{{domainNames: [{name}]}}]}}");
    let deny = "{action: Deny, to: [{namespaces: {}}, {networks: [0.0.0.0/0]}]}";
    let policy = |name: &str, tier: &str, rules: &[&str]| {
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: {name}}}
spec: {{tier: {tier}, priority: 0, subject: {{namespaces: {{}}}}, egress: [{}]}}
---
",
            rules.join(", ")
        )
    };
    let pods = "apiVersion: v1
kind: Pod
metadata: {name: p, namespace: a}
spec: {containers: [{name: app}]}
status: {podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: somewhere, namespace: a}
spec: {containers: [{name: app}]}
---
";
    let baseline = policy("names", "Baseline", &[&accept("kubernetes.io"), &accept("'*.cluster.local'"), deny]);
    let tie = policy("t1", "Admin", &[&pass("10.0.0.0/8")])
        + &policy("t2", "Admin", &[&accept("example.org"), &accept("'*.a.svc.cluster.local'")]);
    let doubted = policy("t1", "Admin", &[&pass("10.0.0.0/8"), &accept("'*.a.svc.cluster.local'"), deny]);
    for admin in [tie, doubted] {
        let cluster = fixtures::load(&format!("{pods}{admin}{baseline}"));
        let outside = Party::Address("10.0.0.0".parse().unwrap());
        let pod = cluster.pods.iter().find(|(_, pod)| &*pod.name == "p").map(|(id, _)| Party::Pod(id)).unwrap();
        let flow = Flow::direct(pod, outside, Family::V4, policy_core::model::Protocol::Tcp, 1);
        let profile = Profile::default();
        assert_eq!(Spec::new(&cluster, &profile).judge(&flow).verdict, Verdict::Conditional);
        connects_as_pairs_do(cluster, profile).unwrap();
    }
}

/// Whether NP-19 may stand above the policies of a pair.
fn exempt(analysis: &Analysis, a: Party, b: Party) -> bool {
    let seen = |party| premise::seen(&analysis.cluster, &analysis.profile, party);
    let own = |pod: premise::Seen, host: premise::Seen| match (pod, host) {
        (premise::Seen::Pod(pod), premise::Seen::Host { node, .. }) => {
            leg::own_node(&analysis.cluster, pod, node) != leg::OwnNode::No
        }
        _ => false,
    };
    own(seen(a), seen(b)) || own(seen(b), seen(a))
}

fn fixtures_cases(default: u32) -> u32 {
    std::env::var("PORTOLAN_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

/// A cluster with peer lists wide enough for every representation that the compiler has.
fn wide() -> Scale {
    Scale { namespaces: 60, policies: 260, ports: 40, ..Scale::preset("huge").unwrap() }
}

#[test]
fn a_wide_cluster_counts_and_connects_as_single_flows_do() {
    counts_and_connects(&wide());
}

#[test]
fn a_wide_cluster_with_cluster_wide_policies_does_so_too() {
    // CNP-1, CNP-2
    counts_and_connects(&Scale { admin_policies: 30, ..wide() });
}

fn counts_and_connects(scale: &Scale) {
    let manifests: Vec<String> = scale.objects().map(|object| object.to_string()).collect();
    let cluster = fixtures::load(&manifests.join("\n"));
    let analysis = Analysis::new(cluster, Profile::default());
    let all = connections(&analysis.compiled, &analysis.cluster, &analysis.profile);
    let values = expand(&all);
    let spec = Spec::new(&analysis.cluster, &analysis.profile);
    let nothing = PortValue::default();

    let weight = |group: GroupId| {
        let group = all.groups.at(group);
        (group.pods.len() + group.nodes.len()).max(1) as u128
    };
    let mut counted = 0;
    for ((from, to, family), value) in &values {
        if all.groups.at(*to).families.contains(family) && all.groups.at(*from).families.contains(family) {
            counted += weight(*from) * weight(*to) * u128::from(value.certain.count());
        }
    }
    assert_eq!(counted, count_admitted(&analysis.compiled, &analysis.cluster, &analysis.profile));

    let group_of: BTreeMap<PodId, GroupId> =
        all.groups.iter().flat_map(|(id, group)| group.pods.iter().map(move |pod| (*pod, id))).collect();
    let pods: Vec<PodId> = group_of.keys().copied().collect();
    let ports = fixtures::strategy::ports(&analysis.cluster);
    let mut at: usize = 0;
    let mut draw = |count: usize| {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (at >> 33) % count
    };
    let (mut allowed, asked) = (0, 20_000);
    for _ in 0..asked {
        let (from, to) = (pods[draw(pods.len())], pods[draw(pods.len())]);
        let (protocol, port) = ports[draw(ports.len())];
        let family = Family::ALL[draw(2)];
        let flow = Flow::direct(Party::Pod(from), Party::Pod(to), family, protocol, port);
        let judgement = spec.judge(&flow);
        if from == to || judgement.verdict == Verdict::NoRoute || exempt(&analysis, flow.source, flow.destination) {
            continue;
        }
        let value = values.get(&(group_of[&from], group_of[&to], family)).unwrap_or(&nothing);
        let wanted = match value.hit(protocol, port) {
            Hit::Yes => Verdict::Allowed,
            Hit::No => Verdict::Denied,
            Hit::Maybe(doubts) if doubts.knobs.is_empty() => Verdict::Conditional,
            Hit::Maybe(_) => Verdict::Undefined,
        };
        assert_eq!(wanted, judgement.verdict, "{flow:?}");
        allowed += usize::from(judgement.verdict == Verdict::Allowed);
    }
    assert!(allowed * 30 > asked, "only {allowed} of {asked} are allowed: the test says little");
}
