//! What NetworkPolicies promise, whatever they say.

use fixtures::plan::{ClusterPlan, PolicyPlan, RulePlan};
use fixtures::strategy::{Case, FlowSeed, case, policy};
use policy_core::model::{Direction, Verdict};
use proptest::prelude::*;
use proptest::sample::Index;
use tests::property::check;

use super::support::{answer, judge, namespace};

/// A policy with both types written out, so that a rule more or less changes no type.
fn with_types(mut policy: PolicyPlan) -> PolicyPlan {
    policy.types = Some(Direction::ALL.to_vec());
    policy
}

fn plus(plan: &ClusterPlan, policies: impl IntoIterator<Item = PolicyPlan>) -> ClusterPlan {
    let mut plan = plan.clone();
    plan.policies.extend(policies);
    plan
}

fn named(mut policy: PolicyPlan, name: &str) -> PolicyPlan {
    policy.name = name.to_owned();
    policy
}

fn push(policy: &mut PolicyPlan, direction: Direction, rule: RulePlan) {
    let rules = match direction {
        Direction::Ingress => &mut policy.ingress,
        Direction::Egress => &mut policy.egress,
    };
    rules.get_or_insert_default().push(rule);
}

/// All rules of a policy with their directions.
fn rules(policy: &PolicyPlan) -> Vec<(Direction, RulePlan)> {
    let of = |direction, rules: &Option<Vec<RulePlan>>| {
        rules.iter().flatten().cloned().map(|rule| (direction, rule)).collect::<Vec<_>>()
    };
    [of(Direction::Ingress, &policy.ingress), of(Direction::Egress, &policy.egress)].concat()
}

#[test]
fn one_more_rule_never_denies_and_one_less_never_allows() {
    // NP-5
    check(1200, &(case(24), policy(), policy()), |(case, base, donor)| {
        let base = named(with_types(base), "base-of-two");
        let mut more = base.clone();
        for (direction, rule) in rules(&donor).into_iter().take(1) {
            push(&mut more, direction, rule);
        }
        let (before, after) = (plus(&case.plan, [base]).cluster(), plus(&case.plan, [more]).cluster());
        for flow in &case.flows {
            let (less, more) =
                (judge(&before, &case.profile, flow).verdict, judge(&after, &case.profile, flow).verdict);
            prop_assert!(less != Verdict::Allowed || more == Verdict::Allowed, "{:?}: {} then {}", flow, less, more);
            prop_assert!(more != Verdict::Denied || less == Verdict::Denied, "{:?}: {} then {}", flow, less, more);
        }
        Ok(())
    });
}

#[test]
fn order_says_nothing() {
    // NP-5: neither of policies, nor of rules, peers and ports. CNP-3: of cluster-wide policies the rules have one.
    check(1000, &(case(24), any::<Index>()), |(case, index)| {
        let mut plan = case.plan.clone();
        let turn = |length: usize| if length == 0 { 0 } else { index.index(length) };
        let at = turn(plan.policies.len());
        plan.policies.rotate_left(at);
        for policy in &mut plan.policies {
            for rules in [&mut policy.ingress, &mut policy.egress].into_iter().flatten() {
                rules.reverse();
                for rule in rules {
                    let (peers, ports) = (turn(rule.peers.len()), turn(rule.ports.len()));
                    rule.peers.rotate_left(peers);
                    rule.ports.reverse();
                    rule.ports.rotate_left(ports);
                }
            }
        }
        let at = turn(plan.cluster_policies.len());
        plan.cluster_policies.rotate_left(at);
        for policy in &mut plan.cluster_policies {
            for rule in policy.ingress.iter_mut().chain(&mut policy.egress) {
                let (peers, ports) = (turn(rule.peers.len()), turn(rule.ports.len()));
                rule.peers.rotate_left(peers);
                rule.ports.rotate_left(ports);
            }
        }
        plan.pods.reverse();
        plan.workloads.reverse();
        plan.namespaces.reverse();
        plan.nodes.reverse();
        let turned = plan.cluster();
        for flow in &case.flows {
            let (one, other) = (judge(&case.cluster, &case.profile, flow), judge(&turned, &case.profile, flow));
            prop_assert_eq!(answer(&one), answer(&other), "{:?}", flow);
            prop_assert_eq!(one.egress.isolating, other.egress.isolating);
            prop_assert_eq!(one.ingress.isolating, other.ingress.isolating);
        }
        Ok(())
    });
}

#[test]
fn a_policy_may_be_split_by_its_rules() {
    // NP-5
    check(1200, &(case(24), policy(), any::<Index>()), |(case, policy, index)| {
        let whole = named(with_types(policy), "whole");
        let all = rules(&whole);
        let cut = if all.is_empty() { 0 } else { index.index(all.len()) };
        let part = |name: &str, some: &[(Direction, RulePlan)]| {
            let mut part = PolicyPlan { ingress: None, egress: None, ..named(whole.clone(), name) };
            for (direction, rule) in some {
                push(&mut part, *direction, rule.clone());
            }
            part
        };
        let halves = [part("half-one", &all[..cut]), part("half-two", &all[cut..])];
        let (one, two) = (plus(&case.plan, [whole.clone()]).cluster(), plus(&case.plan, halves).cluster());
        for flow in &case.flows {
            let (one, two) = (judge(&one, &case.profile, flow), judge(&two, &case.profile, flow));
            prop_assert_eq!(answer(&one), answer(&two), "{:?}", flow);
        }
        Ok(())
    });
}

#[test]
fn a_policy_concerns_its_own_namespace_alone() {
    // NP-1
    check(1200, &(case(32), policy()), |(case, policy)| {
        let policy = named(policy, "elsewhere");
        // The flows of the smaller cluster keep their meaning: nothing but the policy is added, unless it brings its
        // namespace into being.
        let known = case.cluster.namespaces.values().any(|namespace| *namespace.name == *policy.namespace);
        prop_assume!(known);
        let more = plus(&case.plan, [policy.clone()]).cluster();
        for flow in &case.flows {
            let touched = [flow.source, flow.destination]
                .into_iter()
                .any(|party| namespace(&case.cluster, party) == Some(policy.namespace.as_str()));
            if !touched {
                let (before, after) = (judge(&case.cluster, &case.profile, flow), judge(&more, &case.profile, flow));
                prop_assert_eq!(answer(&before), answer(&after), "{:?}", flow);
            }
        }
        Ok(())
    });
}

#[test]
fn without_isolation_nothing_is_denied() {
    // NP-4
    check(800, &case(24), |case| {
        let mut plan = case.plan.clone();
        plan.policies.clear();
        plan.cluster_policies.clear();
        let open = plan.cluster();
        let Case { profile, flows, .. } = &case;
        for flow in flows {
            let verdict = judge(&open, profile, flow).verdict;
            let wanted = matches!(verdict, Verdict::Allowed | Verdict::NoRoute | Verdict::NoListener);
            prop_assert!(wanted, "{:?}: {}", flow, verdict);
        }
        Ok(())
    });
}

#[test]
fn what_is_written_is_what_is_built() {
    // The text of a plan, read and lowered, means the same as the plan.
    let seeds = proptest::collection::vec(fixtures::strategy::flow_seed(), 16);
    check(250, &(case(1), seeds), |(case, seeds)| {
        for text in [case.plan.to_yaml(), case.plan.to_json()] {
            let read = tests::pipeline::load([("plan.yaml".to_owned(), text.clone())]);
            let errors: Vec<_> = read.errors().filter(|error| error.rule != "IN-8").collect();
            prop_assert!(errors.is_empty(), "{:?}\n{}", errors, text);
            for flow in FlowSeed::flows(&seeds, &case.cluster, &case.profile) {
                let (built, read) =
                    (judge(&case.cluster, &case.profile, &flow), judge(&read.cluster, &case.profile, &flow));
                prop_assert_eq!(built, read, "{:?}", flow);
            }
        }
        Ok(())
    });
}
