//! Tiers of cluster-wide policies: every policy, every rule, every peer and port entry, matched or why not.

use super::words::{held, miss, port_entry, somebody};
use super::{EntryTrace, TierPolicyTrace, TierRuleTrace, TierTrace};
use crate::analysis::Analysis;
use crate::ids::{ClusterPolicyId, PodId};
use crate::model::leg::Question;
use crate::model::premise::{self, Seen};
use crate::model::profile::EqualPriority;
use crate::model::{
    AddressSet, ClusterPolicy, DomainPattern, Domains, Doubts, Family, Hit, Knob, PodSelection, PortMatch, PortRule,
    Ports, Selector, Tier, TierPeer, TierPeers, TierRule, TierRuleRef,
};
use crate::source::Span;

/// All policies of a tier, in the order of asking.
pub(super) fn tier(
    analysis: &Analysis,
    pod: PodId,
    question: &Question,
    tier: Tier,
    not_asked: Option<String>,
) -> TierTrace {
    let hits = analysis.compiled.tier_hits(pod, question, tier);
    let of_tier = analysis.cluster.cluster_policies.iter().filter(|(_, policy)| policy.tier == tier);
    let mut of_tier: Vec<(ClusterPolicyId, &ClusterPolicy)> = of_tier.collect();
    of_tier.sort_by_key(|(id, policy)| (policy.priority.is_none(), policy.priority, &policy.name, *id));
    let skipped: Vec<_> = of_tier.iter().map(|(_, policy)| skipped(analysis, pod, policy, question)).collect();
    let acting = of_tier.iter().zip(&skipped).filter(|(_, skipped)| skipped.is_none()).map(|(of, _)| *of);
    let acting: Vec<(ClusterPolicyId, &ClusterPolicy)> = acting.collect();
    let (mut policies, mut decided) = (Vec::new(), None);
    for ((id, policy), skipped) in of_tier.into_iter().zip(skipped) {
        let rules = if skipped.is_some() { &[] } else { policy.rules(question.direction) };
        let by_name = analysis.profile.equal_priority == EqualPriority::Name;
        let mut late = decided.is_some_and(|at| by_name || (policy.priority.is_some() && policy.priority != at));
        let rule = |(index, rule): (u32, &TierRule)| {
            let reference = TierRuleRef { policy: id, direction: question.direction, index };
            let hit = hits.iter().find(|(of, _)| *of == reference).map_or(Hit::No, |(_, hit)| *hit);
            let trace = TierRuleTrace {
                rule: reference,
                name: rule.name.clone(),
                action: rule.action,
                span: rule.span,
                hit,
                late,
                peers: peers(analysis, rule, question),
                ports: ports(analysis, rule, question),
            };
            if hit == Hit::Yes && !late {
                (late, decided) = (true, decided.or(Some(policy.priority)));
            }
            trace
        };
        let tied = if skipped.is_some() { Vec::new() } else { tied(analysis, id, policy, &acting) };
        let rules = (0_u32..).zip(rules).map(rule).collect();
        policies.push(TierPolicyTrace { policy: id, skipped, tied, rules });
    }
    TierTrace { not_asked, policies }
}

/// CNP-6, CNP-3: why a policy does not act on a pod.
fn skipped(analysis: &Analysis, pod: PodId, policy: &ClusterPolicy, question: &Question) -> Option<String> {
    let pod = analysis.cluster.pods.at(pod);
    let space = analysis.cluster.namespaces.at(pod.namespace);
    if !analysis.profile.enforcement {
        return Some("nothing enforces policies (NP-32)".to_owned());
    }
    if policy.rules(question.direction).is_empty() {
        return Some(format!("it has no {} rules (CNP-3)", question.direction));
    }
    let PodSelection { namespaces, pods } = &policy.subject;
    let why = match miss(namespaces, &space.labels) {
        _ if pod.host_network => Some("it is on the host's network".to_owned()),
        Some(why) => Some(format!("namespace {}: {why}", space.name)),
        None => miss(pods, &pod.labels),
    };
    why.map(|why| format!("the pod is not a subject: {why} (CNP-6)"))
}

/// CNP-2, ANP-4: the other acting policies whose order against this one is not defined.
fn tied(
    analysis: &Analysis,
    id: ClusterPolicyId,
    policy: &ClusterPolicy,
    acting: &[(ClusterPolicyId, &ClusterPolicy)],
) -> Vec<ClusterPolicyId> {
    if analysis.profile.equal_priority == EqualPriority::Name {
        return Vec::new();
    }
    let free = |other: &ClusterPolicy| other.priority.is_none() || policy.priority.is_none();
    let alike = |other: &ClusterPolicy| free(other) || other.priority == policy.priority;
    let others = acting.iter().filter(|(other, object)| *other != id && alike(object));
    others.map(|(other, _)| *other).collect()
}

fn whole(hit: Hit, why: &str, span: Option<Span>) -> Vec<EntryTrace> {
    vec![EntryTrace { span, hit, why: why.to_owned() }]
}

fn peers(analysis: &Analysis, rule: &TierRule, question: &Question) -> Vec<EntryTrace> {
    let list = match &rule.peers {
        // CNP-13: no list can be written that means everybody or nobody.
        TierPeers::Any => return whole(Hit::Yes, "everybody: a peer of this rule is not understood (CNP-13)", None),
        TierPeers::OneOf(list) if list.is_empty() => {
            return whole(Hit::No, "nobody: a peer of this rule is not understood (CNP-13)", None);
        }
        TierPeers::OneOf(list) => list,
    };
    let entry = |peer: &TierPeer| {
        let (hit, why) = match peer {
            _ if let Seen::Somebody(knob) = question.other => somebody(knob),
            TierPeer::Pods { selection, .. } => pod_peer(analysis, selection, question.other),
            TierPeer::Nodes { nodes, .. } => node_peer(analysis, nodes, question.other),
            TierPeer::Network { cidr, .. } => {
                let who = format!("network {cidr}");
                if Family::of(cidr.network()) == question.family {
                    let (cluster, profile) = (&analysis.cluster, &analysis.profile);
                    let whereabouts = premise::whereabouts(cluster, profile, question.other, question.family);
                    let (hit, why) = held(&whereabouts, &AddressSet::net(*cidr));
                    (hit, format!("{who}: {why}"))
                } else {
                    (Hit::No, format!("{who}: the connection is {} (CNP-9)", question.family))
                }
            }
            TierPeer::Domain { pattern, .. } => domain_peer(analysis, pattern, question),
        };
        EntryTrace { span: peer.span(), hit, why }
    };
    list.iter().map(entry).collect()
}

/// CNP-7
fn pod_peer(analysis: &Analysis, selection: &PodSelection, other: Seen) -> (Hit, String) {
    let PodSelection { namespaces, pods } = selection;
    let who = match (namespaces.is_everything(), pods.is_everything()) {
        (true, true) => "pods of every namespace".to_owned(),
        (false, true) => format!("pods in namespaces {namespaces}"),
        (true, false) => format!("pods {pods} in every namespace"),
        (false, false) => format!("pods {pods} in namespaces {namespaces}"),
    };
    let Seen::Pod(id) = other else {
        return (Hit::No, format!("{who}: only pods with an address of their own are meant (CNP-7)"));
    };
    let pod = analysis.cluster.pods.at(id);
    if pod.host_network {
        return (Hit::No, format!("{who}: a pod on the host's network is never meant (CNP-7)"));
    }
    let space = analysis.cluster.namespaces.at(pod.namespace);
    let elsewhere = miss(namespaces, &space.labels).map(|why| format!("namespace {}: {why}", space.name));
    match elsewhere.or_else(|| miss(pods, &pod.labels)) {
        Some(why) => (Hit::No, format!("{who}: {why}")),
        None => (Hit::Yes, format!("{who}: matches")),
    }
}

/// CNP-8
fn node_peer(analysis: &Analysis, nodes: &Selector, other: Seen) -> (Hit, String) {
    let who = if nodes.is_everything() { "every node".to_owned() } else { format!("nodes {nodes}") };
    match other {
        Seen::Host { node: Some(node), .. } => {
            let node = analysis.cluster.nodes.at(node);
            match miss(nodes, &node.labels) {
                Some(why) => (Hit::No, format!("{who}: node {}: {why}", node.name)),
                None => (Hit::Yes, format!("{who}: matches node {}", node.name)),
            }
        }
        Seen::Host { node: None, .. } => {
            (Hit::unless_set(Knob::NodeCidrs), format!("{who}: the node is not known; set node_cidrs (CNP-8)"))
        }
        Seen::Pod(_) | Seen::Address(_) | Seen::Named(_) | Seen::Somebody(_) => {
            (Hit::No, format!("{who}: the destination is no node (CNP-8)"))
        }
    }
}

/// CNP-10
fn domain_peer(analysis: &Analysis, pattern: &DomainPattern, question: &Question) -> (Hit, String) {
    let who = format!("domain {pattern}");
    let learned = Hit::Maybe(Doubts::DNS);
    match question.other {
        Seen::Named(class) => {
            let domains = Domains::new(analysis.cluster.cluster_policies.values());
            if domains.matches(pattern, class) {
                (learned, format!("{who}: means the name; the addresses are those that DNS gives (CNP-10)"))
            } else {
                (Hit::No, format!("{who}: does not mean the name (CNP-10)"))
            }
        }
        Seen::Address(address) if Family::of(address) != question.family => {
            (Hit::No, format!("{who}: the connection is {} (NP-30)", question.family))
        }
        Seen::Address(address) => {
            (learned, format!("{who}: whether DNS gives {address} for it is not in the input (CNP-10)"))
        }
        Seen::Pod(_) if pattern.may_name_pods(&analysis.profile.ways.cluster_domain) => {
            (learned, format!("{who}: whether DNS gives the pod's address for it is not in the input (CNP-10)"))
        }
        Seen::Pod(_) | Seen::Host { .. } | Seen::Somebody(_) => {
            (Hit::No, format!("{who}: means no pod and no node (CNP-10)"))
        }
    }
}

/// CNP-11
fn ports(analysis: &Analysis, rule: &TierRule, question: &Question) -> Vec<EntryTrace> {
    let list = match &rule.ports {
        Ports::Any => return whole(Hit::Yes, "every port (CNP-11)", None),
        Ports::OneOf(list) if list.is_empty() => return whole(Hit::No, "no port", None),
        Ports::OneOf(list) => list,
    };
    // A name means ports of every protocol: one entry for each.
    let beside = |entry: &&PortRule| match &entry.port {
        PortMatch::Name(_) => entry.protocol == question.protocol,
        PortMatch::All | PortMatch::Number { .. } => true,
    };
    let entry = |entry: &PortRule| {
        let (hit, why) = port_entry(analysis, entry, question, true);
        EntryTrace { span: entry.span, hit, why }
    };
    list.iter().filter(beside).map(entry).collect()
}
