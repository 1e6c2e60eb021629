//! What cluster-wide policies promise, whatever they say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use fixtures::plan::{
    ClusterPlan, ClusterPolicyPlan, FormPlan, SelectionPlan, TierPeerPlan, TierPortPlan, TierRulePlan,
};
use fixtures::strategy::{Case, tiered_case};
use policy_core::analysis::Analysis;
use policy_core::model::profile::EqualPriority;
use policy_core::model::{
    Cluster, ClusterPolicyKind, Domains, Family, Flow, Judge, Judgement, Knob, KnobSet, Outcome, Party, Profile,
    Protocol, Tier, TierAction, Verdict,
};
use policy_core::spec::Spec;
use proptest::prelude::*;
use tests::property::check;

use super::support::{answer, judge};

fn kind(policy: &ClusterPolicyPlan) -> ClusterPolicyKind {
    policy.form.kind()
}

fn all_rules(policies: &mut [ClusterPolicyPlan]) -> impl Iterator<Item = &mut TierRulePlan> {
    policies.iter_mut().flat_map(|policy| policy.ingress.iter_mut().chain(&mut policy.egress))
}

/// A BaselineAdminNetworkPolicy has no place among other policies of its tier (ANP-4).
fn without_baseline(plan: &ClusterPlan) -> ClusterPlan {
    let mut plan = plan.clone();
    plan.cluster_policies.retain(|policy| policy.form != FormPlan::Baseline);
    plan
}

/// Rewrites all policies as ClusterNetworkPolicies, at the priorities that `priority` gives.
fn as_new(plan: &ClusterPlan, priority: impl Fn(usize, &ClusterPolicyPlan) -> u16) -> ClusterPlan {
    let mut new = plan.clone();
    for (index, policy) in new.cluster_policies.iter_mut().enumerate() {
        let priority = priority(index, policy);
        let tier = match policy.form {
            FormPlan::Cluster { tier, .. } => tier,
            FormPlan::Admin { .. } => Tier::Admin,
            FormPlan::Baseline => Tier::Baseline,
        };
        policy.form = FormPlan::Cluster { tier, priority };
        policy.name = format!("new{index}");
    }
    new
}

#[test]
fn the_old_kinds_say_the_same_in_other_words() {
    // ANP-1, ANP-3
    check(600, &tiered_case(32), |case| {
        // ANP-4: the place of a policy without a priority among others of its tier is nobody's guess.
        let mut plan = case.plan.clone();
        let in_baseline = |policy: &&ClusterPolicyPlan| {
            matches!(policy.form, FormPlan::Baseline | FormPlan::Cluster { tier: Tier::Baseline, .. })
        };
        if plan.cluster_policies.iter().filter(in_baseline).count() > 1 {
            plan = without_baseline(&plan);
        }
        // Without names, which the rewritten ones do not keep.
        let profile = Profile { equal_priority: EqualPriority::Both, ..case.profile.clone() };
        let new = as_new(&plan, |_, policy| match policy.form {
            FormPlan::Cluster { priority, .. } | FormPlan::Admin { priority } => priority,
            FormPlan::Baseline => 0,
        });
        let (old, new) = (plan.cluster(), new.cluster());
        for flow in &case.flows {
            let (one, other) = (judge(&old, &profile, flow), judge(&new, &profile, flow));
            prop_assert_eq!(one.verdict, other.verdict, "{:?}", flow);
            // Of equal priorities, names say which doubts are met first.
            let tied = one.knobs().iter().any(|knob| knob == Knob::EqualPriority);
            prop_assert!(tied || answer(&one) == answer(&other), "{:?}", flow);
        }
        Ok(())
    });
}

/// Names are told apart by the rules that mention them: without those rules they are others.
fn to_a_name(flow: &Flow) -> bool {
    matches!(flow.destination, Party::Named(_))
}

/// All orders of `count` things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let last = count - 1;
    let insert = |order: Vec<usize>| (0..count).map(move |at| [&order[..at], &[last][..], &order[at..]].concat());
    orders(last).into_iter().flat_map(insert).collect()
}

/// Whether an order keeps to the priorities. What has none may stand anywhere (ANP-4).
fn is_permitted(policies: &[ClusterPolicyPlan], order: &[usize]) -> bool {
    let places: Vec<_> = order
        .iter()
        .filter_map(|index| match policies[*index].form {
            FormPlan::Cluster { tier, priority } => Some((tier, priority)),
            FormPlan::Admin { priority } => Some((Tier::Admin, priority)),
            FormPlan::Baseline => None,
        })
        .collect();
    places.is_sorted()
}

/// Keeps the domains out: what is conditional is another matter than what is undefined.
fn without_domains(plan: &ClusterPlan) -> ClusterPlan {
    let mut plan = plan.clone();
    for rule in all_rules(&mut plan.cluster_policies) {
        rule.peers.retain(|peer| !matches!(peer, TierPeerPlan::Domains(_)));
    }
    for policy in &mut plan.cluster_policies {
        policy.egress.retain(|rule| !rule.peers.is_empty());
    }
    plan
}

#[test]
fn equal_priorities_mean_every_order() {
    // CNP-2, ANP-4
    let undefined = RefCell::new(0_u64);
    check(400, &tiered_case(24), |case| {
        let plan = without_domains(&case.plan);
        let policies = &plan.cluster_policies;
        if policies.len() < 2 {
            return Ok(());
        }
        // Every other doubt is settled first.
        let mut profile = Profile { equal_priority: EqualPriority::Both, ..case.profile.clone() };
        for (knob, value) in [
            (Knob::EgressServiceView, "post_dnat"),
            (Knob::LocalSnatView, "client"),
            (Knob::SctpPolicy, "true"),
            (Knob::DuplicatePortNames, "all"),
        ] {
            profile.set(knob.name(), value).unwrap();
        }
        let cluster = plan.cluster();
        let orders = orders(policies.len()).into_iter().filter(|order| is_permitted(policies, order));
        let ordered: Vec<_> = orders
            .map(|order| {
                let place = |index: usize| order.iter().position(|at| *at == index).unwrap();
                as_new(&plan, |index, _| u16::try_from(place(index)).unwrap()).cluster()
            })
            .collect();
        for flow in case.flows.iter().filter(|flow| !to_a_name(flow)) {
            // By end: nobody says that both ends go by one order.
            let ends = |judgement: &Judgement| [judgement.egress.outcome, judgement.ingress.outcome];
            let tied = ends(&judge(&cluster, &profile, flow));
            let by_order: Vec<_> = ordered.iter().map(|order| ends(&judge(order, &profile, flow))).collect();
            for (end, tied) in tied.into_iter().enumerate() {
                let outcomes: BTreeSet<_> = by_order.iter().map(|ends| ends[end]).collect();
                if tied == Outcome::Undefined(KnobSet::one(Knob::EqualPriority)) {
                    *undefined.borrow_mut() += 1;
                    prop_assert!(outcomes.len() > 1, "{:?}: always {:?}", flow, outcomes);
                } else if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Allowed | Outcome::Denied)) {
                    prop_assert_eq!(&outcomes, &BTreeSet::from([tied]), "{:?}", flow);
                }
            }
        }
        Ok(())
    });
    let undefined = undefined.into_inner();
    assert!(undefined > 50, "{undefined} flows are undecided by ties");
}

/// A policy for all pods with one rule about all pods, in both directions.
fn last(tier: Tier, action: TierAction) -> ClusterPolicyPlan {
    let all = SelectionPlan::default();
    let rule = TierRulePlan { action, peers: vec![TierPeerPlan::Pods(all.clone())], ports: Vec::new() };
    let form = FormPlan::Cluster { tier, priority: 1000 };
    ClusterPolicyPlan { name: "last".to_owned(), form, subject: all, ingress: vec![rule.clone()], egress: vec![rule] }
}

#[test]
fn what_happens_anyway_may_be_written_out() {
    // CNP-1, CNP-4: behind all others, Pass changes nothing, nor does Accept in Baseline. Where nobody says what
    // policies do with SCTP (NP-17), any policy leaves it open.
    check(400, &tiered_case(24), |case| {
        let profile = Profile { sctp_policy: true, ..case.profile.clone() };
        let before = without_baseline(&case.plan);
        let old = before.cluster();
        for policy in [
            last(Tier::Admin, TierAction::Pass),
            last(Tier::Baseline, TierAction::Pass),
            last(Tier::Baseline, TierAction::Accept),
        ] {
            let mut plan = before.clone();
            plan.cluster_policies.push(policy);
            let cluster = plan.cluster();
            for flow in &case.flows {
                let (one, other) = (judge(&old, &profile, flow), judge(&cluster, &profile, flow));
                prop_assert_eq!(answer(&one), answer(&other), "{:?}", flow);
            }
        }
        Ok(())
    });
}

#[test]
fn ingress_rules_are_about_pods() {
    // CNP-7: unless a rule is closed (CNP-13), or a policy means that nobody knows about SCTP (NP-17)
    check(600, &tiered_case(32), |case| {
        let mut plan = case.plan.clone();
        for policy in &mut plan.cluster_policies {
            policy.ingress.retain(|rule| rule.peers.contains(&TierPeerPlan::Nothing));
        }
        let without = plan.cluster();
        let profile = Profile { sctp_policy: true, ..case.profile.clone() };
        for flow in &case.flows {
            if matches!(flow.source, Party::Node(_) | Party::Address(_)) {
                let (one, other) = (judge(&case.cluster, &profile, flow), judge(&without, &profile, flow));
                prop_assert_eq!(answer(&one), answer(&other), "{:?}", flow);
            }
        }
        Ok(())
    });
}

#[test]
fn a_pod_reaches_its_own_address() {
    // CNP-14, NP-18
    check(400, &tiered_case(1), |case| {
        for (id, pod) in case.cluster.pods.iter() {
            let (party, profile) = (Party::Pod(id), &case.profile);
            for family in policy_core::model::premise::families(&case.cluster, profile, party) {
                let flow = Flow::direct(party, party, family, policy_core::model::Protocol::Tcp, 80);
                let judged = judge(&case.cluster, profile, &flow);
                let verdict = judged.verdict;
                let template = pod.state == policy_core::model::PodState::Template;
                prop_assert!(template || verdict != Verdict::Denied && verdict != Verdict::Undefined, "{:?}", judged);
            }
        }
        Ok(())
    });
}

/// A part of the policies, and how to take it away.
type Part = (&'static str, fn(&mut ClusterPlan));

fn drop_rules(plan: &mut ClusterPlan, tier: Tier, action: TierAction) {
    for policy in &mut plan.cluster_policies {
        let in_admin = matches!(policy.form, FormPlan::Admin { .. } | FormPlan::Cluster { tier: Tier::Admin, .. });
        if in_admin == (tier == Tier::Admin) {
            policy.ingress.retain(|rule| rule.action != action);
            policy.egress.retain(|rule| rule.action != action);
        }
    }
}

fn drop_peers(plan: &mut ClusterPlan, is_one: fn(&TierPeerPlan) -> bool) {
    for policy in &mut plan.cluster_policies {
        for rules in [&mut policy.ingress, &mut policy.egress] {
            for rule in rules.iter_mut() {
                rule.peers.retain(|peer| !is_one(peer));
            }
            rules.retain(|rule| !rule.peers.is_empty());
        }
    }
}

const PARTS: [Part; 15] = [
    ("Admin Accept", |plan| drop_rules(plan, Tier::Admin, TierAction::Accept)),
    ("Admin Deny", |plan| drop_rules(plan, Tier::Admin, TierAction::Deny)),
    ("Admin Pass", |plan| drop_rules(plan, Tier::Admin, TierAction::Pass)),
    ("Baseline Accept", |plan| drop_rules(plan, Tier::Baseline, TierAction::Accept)),
    ("Baseline Deny", |plan| drop_rules(plan, Tier::Baseline, TierAction::Deny)),
    ("Baseline Pass", |plan| drop_rules(plan, Tier::Baseline, TierAction::Pass)),
    ("pods", |plan| drop_peers(plan, |peer| matches!(peer, TierPeerPlan::Pods(_)))),
    ("nodes", |plan| drop_peers(plan, |peer| matches!(peer, TierPeerPlan::Nodes(_)))),
    ("networks", |plan| drop_peers(plan, |peer| matches!(peer, TierPeerPlan::Networks(_)))),
    ("names", |plan| drop_peers(plan, |peer| matches!(peer, TierPeerPlan::Domains(_)))),
    ("closed rules", |plan| drop_peers(plan, |peer| *peer == TierPeerPlan::Nothing)),
    ("named ports", |plan| {
        for rule in all_rules(&mut plan.cluster_policies) {
            rule.ports.retain(|port| !matches!(port, TierPortPlan::Name(_)));
        }
    }),
    ("ClusterNetworkPolicy", |plan| {
        plan.cluster_policies.retain(|policy| kind(policy) != ClusterPolicyKind::ClusterNetworkPolicy);
    }),
    ("AdminNetworkPolicy", |plan| {
        plan.cluster_policies.retain(|policy| kind(policy) != ClusterPolicyKind::AdminNetworkPolicy);
    }),
    ("BaselineAdminNetworkPolicy", |plan| {
        plan.cluster_policies.retain(|policy| kind(policy) != ClusterPolicyKind::BaselineAdminNetworkPolicy);
    }),
];

#[test]
fn every_part_of_a_cluster_wide_policy_decides_some_flows() {
    // CNP-2, CNP-4, CNP-5, CNP-8 … CNP-11, CNP-13: the other properties say little about a part without which all is
    // the same.
    let counts: RefCell<BTreeMap<&str, u64>> = RefCell::default();
    let total = RefCell::new(0_u64);
    check(450, &tiered_case(24), |Case { plan, cluster, profile, flows }| {
        let parts: Vec<_> = PARTS
            .iter()
            .filter_map(|(name, drop)| {
                let mut less = plan.clone();
                drop(&mut less);
                (less != plan).then(|| (*name, less.cluster()))
            })
            .collect();
        for flow in &flows {
            *total.borrow_mut() += 1;
            let with = judge(&cluster, &profile, flow);
            let mut counts = counts.borrow_mut();
            let names = |cluster: &Cluster| Domains::new(cluster.cluster_policies.values());
            let comparable = |without: &Cluster| !to_a_name(flow) || names(without) == names(&cluster);
            for (name, without) in parts.iter().filter(|(_, without)| comparable(without)) {
                let without = judge(without, &profile, flow);
                *counts.entry(name).or_default() += u64::from(without.verdict != with.verdict);
            }
            let tied = |outcome| matches!(outcome, Outcome::Undefined(knobs) if knobs.iter().any(|knob| knob == Knob::EqualPriority));
            let tie = tied(with.egress.outcome) || tied(with.ingress.outcome);
            *counts.entry("ties").or_default() += u64::from(tie);
        }
        Ok(())
    });
    let counts = counts.into_inner();
    let rare: Vec<_> = PARTS
        .iter()
        .map(|(name, _)| *name)
        .chain(["ties"])
        .filter(|name| counts.get(name).is_none_or(|count| *count < 10))
        .collect();
    assert!(rare.is_empty(), "{rare:?} decide hardly anything: {counts:?} of {}", total.into_inner());
}

/// Shrunk from a run of the differential test: spec forgot that the Baseline tier's answer hinged on DNS too.
const DNS_BELOW_A_TIE: &str = r#"
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p1", "namespace": "a"},
 "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}]},
 "status": {"phase": "Running", "podIP": "10.1.0.1"}}
---
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w0", "namespace": "a"},
 "spec": {"selector": {"matchLabels": {"app": "w0"}}, "template": {"metadata": {"labels": {"app": "w0"}},
  "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}]}}}}
---
{"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "t0"},
 "spec": {"tier": "Admin", "priority": 0, "subject": {"namespaces": {}},
  "egress": [{"action": "Pass", "to": [{"namespaces": {}}]}]}}
---
{"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "AdminNetworkPolicy", "metadata": {"name": "t0"},
 "spec": {"priority": 0, "subject": {"namespaces": {}},
  "egress": [{"action": "Allow", "to": [{"networks": ["203.0.113.0/29"]}]}, {"action": "Deny", "to": [{}]}]}}
---
{"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "t1"},
 "spec": {"tier": "Baseline", "priority": 0, "subject": {"namespaces": {}},
  "egress": [{"action": "Accept", "to": [{"networks": ["10.0.0.0/8"]}, {"domainNames": ["*.a.svc.cluster.local"]}]},
   {"action": "Deny", "to": [{"namespaces": {}}]}]}}
"#;

/// Shrunk from a run of the differential test: the free policy's places differ halfway and agree in the end.
const PLACES_THAT_AGREE: &str = r#"
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p1", "namespace": "a"},
 "spec": {"hostNetwork": true, "containers": [{"name": "app", "image": "example.com/app:1"}]},
 "status": {"phase": "Running"}}
---
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p2", "namespace": "b"},
 "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}]},
 "status": {"phase": "Running", "podIP": "10.1.0.2"}}
---
{"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "t0"},
 "spec": {"tier": "Baseline", "priority": 0, "subject": {"namespaces": {}},
          "egress": [{"action": "Deny", "to": [{"nodes": {}}]}]}}
---
{"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "t1"},
 "spec": {"tier": "Baseline", "priority": 1, "subject": {"namespaces": {}},
          "egress": [{"action": "Accept", "to": [{"networks": ["0.0.0.0/0"]}]}]}}
---
{"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "BaselineAdminNetworkPolicy", "metadata": {"name": "default"},
 "spec": {"subject": {"namespaces": {}}, "egress": [{"action": "Deny", "to": [{"nodes": {}}]}]}}
"#;

#[test]
fn doubts_that_shrank_once_stay_settled() {
    // CNP-2, ANP-4
    for text in [DNS_BELOW_A_TIE, PLACES_THAT_AGREE] {
        let cluster = fixtures::load(text);
        let analysis = Analysis::new(cluster.clone(), Profile::default());
        let spec = Spec::new(&cluster, &analysis.profile);
        let pods: Vec<_> = cluster.pods.ids().map(Party::Pod).collect();
        for (source, destination) in pods.iter().flat_map(|a| pods.iter().map(move |b| (*a, *b))) {
            let flow = Flow::direct(source, destination, Family::V4, Protocol::Tcp, 1);
            assert_eq!(spec.judge(&flow), analysis.judge(&flow), "{flow:?}");
        }
    }
}
