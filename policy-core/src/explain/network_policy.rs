//! NetworkPolicies: every rule, every peer and port entry, matched or why not.

use super::words::{held, miss, port_entry, somebody};
use super::{EntryTrace, PolicyTrace, RuleTrace};
use crate::analysis::Analysis;
use crate::ids::PodId;
use crate::model::leg::Question;
use crate::model::premise::{self, Seen};
use crate::model::{
    Cluster, Family, Hit, IpBlock, NamespaceScope, NetworkPolicy, Peer, Peers, PortRule, Ports, Rule, RuleRef, Selector,
};

/// Every policy of the pod's namespace, in order.
pub(super) fn policies(analysis: &Analysis, pod: PodId, question: &Question) -> Vec<PolicyTrace> {
    let cluster = &analysis.cluster;
    let object = cluster.pods.at(pod);
    let hits = analysis.compiled.rule_hits(pod, question);
    let of_namespace = cluster.policies.iter().filter(|(_, policy)| policy.namespace == object.namespace);
    of_namespace
        .map(|(id, policy)| {
            let skipped = match policy.rules(question.direction) {
                // The tables hold no rules then.
                _ if !analysis.profile.enforcement => Some("nothing enforces policies (NP-32)".to_owned()),
                None => Some(format!("{} is not among its policy types (NP-3)", question.direction)),
                Some(_) => {
                    miss(&policy.selector, &object.labels).map(|why| format!("does not select the pod: {why} (NP-1)"))
                }
            };
            let rules = if skipped.is_some() { &[] } else { policy.rules(question.direction).unwrap_or_default() };
            let trace = |(index, rule): (u32, &Rule)| {
                let reference = RuleRef { policy: id, direction: question.direction, index };
                let hit = hits.iter().find(|(of, _)| *of == reference).map_or(Hit::No, |(_, hit)| *hit);
                RuleTrace {
                    rule: reference,
                    span: rule.span,
                    hit,
                    peers: peers(analysis, rule, policy, question),
                    ports: ports(analysis, rule, question),
                }
            };
            PolicyTrace { policy: id, skipped, rules: (0_u32..).zip(rules).map(trace).collect() }
        })
        .collect()
}

fn peers(analysis: &Analysis, rule: &Rule, policy: &NetworkPolicy, question: &Question) -> Vec<EntryTrace> {
    let Peers::OneOf(list) = &rule.peers else { return Vec::new() };
    let entry = |peer: &Peer| {
        let (hit, why) = match peer {
            _ if let Seen::Somebody(knob) = question.other => somebody(knob),
            Peer::Pods { namespaces, pods, .. } => {
                pod_peer(&analysis.cluster, namespaces, pods, policy, question.other)
            }
            Peer::Block(block) => block_peer(analysis, block, question),
        };
        EntryTrace { span: peer.span(), hit, why }
    };
    list.iter().map(entry).collect()
}

/// NP-9, NP-10.
fn pod_peer(
    cluster: &Cluster,
    namespaces: &NamespaceScope,
    pods: &Selector,
    policy: &NetworkPolicy,
    other: Seen,
) -> (Hit, String) {
    let own = &cluster.namespaces.at(policy.namespace).name;
    let who = match namespaces {
        NamespaceScope::Own => format!("pods {pods} in {own}"),
        NamespaceScope::Matching(selector) => format!("pods {pods} in namespaces {selector}"),
    };
    let Seen::Pod(id) = other else {
        return (Hit::No, format!("{who}: selectors match pods only (NP-9)"));
    };
    let pod = cluster.pods.at(id);
    let space = cluster.namespaces.at(pod.namespace);
    let why_not = match namespaces {
        NamespaceScope::Own if pod.namespace != policy.namespace => Some(format!("the pod is in {}", space.name)),
        NamespaceScope::Own => None,
        NamespaceScope::Matching(selector) => {
            miss(selector, &space.labels).map(|why| format!("namespace {}: {why}", space.name))
        }
    };
    match why_not.or_else(|| miss(pods, &pod.labels)) {
        Some(why) => (Hit::No, format!("{who}: {why}")),
        None => (Hit::Yes, format!("{who}: matches")),
    }
}

/// NP-12, NP-13.
fn block_peer(analysis: &Analysis, block: &IpBlock, question: &Question) -> (Hit, String) {
    let who = if block.except.is_empty() {
        format!("ipBlock {}", block.cidr)
    } else {
        let except: Vec<String> = block.except.iter().map(ToString::to_string).collect();
        format!("ipBlock {} except {}", block.cidr, except.join(", "))
    };
    let (cluster, profile) = (&analysis.cluster, &analysis.profile);
    if Family::of(block.cidr.network()) != question.family {
        return (Hit::No, format!("{who}: the connection is {} (NP-12)", question.family));
    }
    let (counts, knob) = match question.other {
        Seen::Address(_) | Seen::Named(_) | Seen::Somebody(_) => (true, ""),
        Seen::Pod(_) => (profile.ipblock_matches_pods, "ipblock_matches_pods=false"),
        Seen::Host { .. } => (profile.ipblock_matches_nodes, "ipblock_matches_nodes=false"),
    };
    let whereabouts = premise::whereabouts(cluster, profile, question.other, question.family);
    if !counts {
        return (Hit::No, format!("{who}: {knob} (NP-13)"));
    }
    let (hit, why) = held(&whereabouts, &block.addresses());
    (hit, format!("{who}: {why}"))
}

fn ports(analysis: &Analysis, rule: &Rule, question: &Question) -> Vec<EntryTrace> {
    let Ports::OneOf(list) = &rule.ports else { return Vec::new() };
    let entry = |entry: &PortRule| {
        let (hit, why) = port_entry(analysis, entry, question, analysis.profile.endport_support);
        EntryTrace { span: entry.span, hit, why }
    };
    list.iter().map(entry).collect()
}
