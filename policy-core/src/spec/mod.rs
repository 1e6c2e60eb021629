//! The reference evaluator: slow, obvious, in the order of `docs/SPEC.md`.
//!
//! It asks every policy, every rule, every peer and every port entry, each time. It is the meaning: the
//! compiled tables and everything built on them must agree with it on every flow. It shares only
//! [`model`](crate::model) with them.

pub mod gateway;
pub mod ingress;
pub mod proxied;
mod services;
pub mod ways;

use crate::ids::{ClusterPolicyId, PodId, PolicyId};
use crate::model::leg::{self, Policies, Question};
use crate::model::premise::{self, Seen};
use crate::model::profile::{DuplicatePortNames, EqualPriority};
use crate::model::{
    AddressSet, Cluster, ClusterPolicy, Direction, Domains, Doubts, End, Family, Flow, Hit, IpBlock, Judge, Judgement,
    Knob, KnobSet, Name, NamespaceScope, NetworkPolicy, Outcome, Peer, Peers, PortMatch, PortRule, Ports, Profile,
    Protocol, RuleRef, Tier, TierAction, TierPeer, TierPeers, TierRule, TierRuleRef,
};

/// The reference evaluator over one cluster and profile.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    cluster: &'a Cluster,
    profile: &'a Profile,
}

impl<'a> Spec<'a> {
    /// An evaluator of this cluster.
    #[must_use]
    pub fn new(cluster: &'a Cluster, profile: &'a Profile) -> Self {
        Self { cluster, profile }
    }
}

impl Policies for Spec<'_> {
    /// CNP-1: the Admin tier, then NetworkPolicies, then the Baseline tier, then allowed.
    fn ask(&self, pod: PodId, question: &Question) -> End {
        let isolating = self.isolating(pod, question.direction);
        let [admin, baseline] = [Tier::Admin, Tier::Baseline].map(|tier| self.acting(pod, question.direction, tier));
        if isolating.is_empty() && admin.is_empty() && baseline.is_empty() {
            return End::open("NP-4");
        }
        // NP-17: without SCTP support nobody says what policies do with it.
        if question.protocol == Protocol::Sctp && !self.profile.sctp_policy {
            let outcome = Outcome::Undefined(KnobSet::one(Knob::SctpPolicy));
            return End { outcome, isolating, ..End::open("NP-17") };
        }
        // CNP-5: NetworkPolicies have the last word on pods that they isolate.
        let (after_admin, next) = if isolating.is_empty() {
            let decided = self.tier(&baseline, question, Hit::Yes);
            let sure = decided == self.tier(&baseline, question, Hit::No);
            let tier_rules = self.matching(&baseline, question);
            let rule = if sure { "CNP-5" } else { "NP-4" };
            let tier = sure.then_some(Tier::Baseline);
            let rule = doubt(decided).unwrap_or(rule);
            (End { outcome: decided.outcome(), tier_rules, tier, ..End::open(rule) }, decided)
        } else {
            self.network_policies(question, isolating)
        };
        let decided = self.tier(&admin, question, next);
        let mut tier_rules = self.matching(&admin, question);
        if self.tier(&admin, question, Hit::Yes) == self.tier(&admin, question, Hit::No) {
            // CNP-4: whatever comes after says.
            let (rule, tier) = (doubt(decided).unwrap_or("CNP-4"), Some(Tier::Admin));
            return End {
                outcome: decided.outcome(),
                rule,
                tier_rules,
                tier,
                admitting: Vec::new(),
                isolating: after_admin.isolating,
            };
        }
        tier_rules.extend_from_slice(&after_admin.tier_rules);
        let rule = if decided == next { after_admin.rule } else { doubt(decided).unwrap_or(after_admin.rule) };
        End { outcome: decided.outcome(), rule, tier_rules, ..after_admin }
    }
}

impl Spec<'_> {
    /// NP-1, NP-3, NP-4: asked of every policy.
    fn isolating(&self, pod: PodId, direction: Direction) -> Vec<PolicyId> {
        let pod = self.cluster.pods.at(pod);
        let isolates = |policy: &NetworkPolicy| {
            policy.namespace == pod.namespace
                && policy.rules(direction).is_some()
                && policy.selector.matches(&pod.labels)
        };
        self.cluster.policies.iter().filter(|(_, policy)| isolates(policy)).map(|(id, _)| id).collect()
    }

    /// NP-5, NP-7, NP-8: the union of the rules of all isolating policies.
    fn network_policies(&self, question: &Question, isolating: Vec<PolicyId>) -> (End, Hit) {
        if let Some(rule) = question.exempt {
            return (End { isolating, ..End::open(rule) }, Hit::Yes); // NP-18, NP-19
        }
        let (mut admitting, mut best, mut rules) = (Vec::new(), Hit::No, 0_usize);
        for policy in &isolating {
            let object = self.cluster.policies.at(*policy);
            for (index, rule) in (0_u32..).zip(object.rules(question.direction).unwrap_or_default()) {
                let hit = self.peers(&rule.peers, object, question).and(self.ports(
                    &rule.ports,
                    question,
                    self.profile.endport_support,
                ));
                if hit == Hit::Yes {
                    admitting.push(RuleRef { policy: *policy, direction: question.direction, index });
                }
                best = best.or(hit);
                rules += 1;
            }
        }
        let rule = match best {
            Hit::Yes => "NP-8",
            Hit::No if rules == 0 => "NP-7",
            Hit::No => "NP-5",
            Hit::Maybe(_) => doubt(best).unwrap_or_default(),
        };
        (End { outcome: best.outcome(), isolating, admitting, ..End::open(rule) }, best)
    }

    /// CNP-3, CNP-6: the policies of a tier that act on a pod, by priority and name; what has no priority comes last.
    fn acting(&self, pod: PodId, direction: Direction, tier: Tier) -> Vec<ClusterPolicyId> {
        let pod = self.cluster.pods.at(pod);
        let space = self.cluster.namespaces.at(pod.namespace);
        let acts = |policy: &ClusterPolicy| {
            policy.tier == tier
                && !policy.rules(direction).is_empty()
                && !pod.host_network
                && policy.subject.namespaces.matches(&space.labels)
                && policy.subject.pods.matches(&pod.labels)
        };
        let all = self.cluster.cluster_policies.iter();
        let mut acting: Vec<_> = all.filter(|(_, policy)| acts(policy)).map(|(id, _)| id).collect();
        acting.sort_by_key(|id| {
            let policy = self.cluster.cluster_policies.at(*id);
            (policy.priority.is_none(), policy.priority, policy.name.clone(), *id)
        });
        acting
    }

    /// CNP-2: what a tier makes of a question, under every order of its policies that is permitted.
    fn tier(&self, acting: &[ClusterPolicyId], question: &Question, next: Hit) -> Hit {
        let priority = |id: &ClusterPolicyId| self.cluster.cluster_policies.at(*id).priority;
        if self.profile.equal_priority == EqualPriority::Name {
            return self.in_order(acting, question, next, next);
        }
        let (ordered, free): (Vec<_>, Vec<_>) = acting.iter().partition(|id| priority(id).is_some());
        let groups: Vec<&[ClusterPolicyId]> = ordered.chunk_by(|a, b| priority(a) == priority(b)).collect();
        if free.is_empty() {
            return self.groups(&groups, question, next);
        }
        // ANP-4: nobody says where a policy without a priority stands.
        let places = (0..=groups.len()).map(|place| {
            let (before, after) = groups.split_at(place);
            let order: Vec<&[ClusterPolicyId]> =
                before.iter().copied().chain([&*free]).chain(after.iter().copied()).collect();
            self.groups(&order, question, next)
        });
        agree(places)
    }

    /// Policies of equal priority: each may come first.
    fn groups(&self, groups: &[&[ClusterPolicyId]], question: &Question, next: Hit) -> Hit {
        let Some((group, after)) = groups.split_first() else { return next };
        let rest = self.groups(after, question, next);
        agree(group.iter().map(|first| {
            let others = group.iter().filter(|other| *other != first);
            let order: Vec<_> = std::iter::once(first).chain(others).copied().collect();
            self.in_order(&order, question, rest, next)
        }))
    }

    /// CNP-3, CNP-4: the first rule that matches decides; Pass leads out of the tier.
    fn in_order(&self, order: &[ClusterPolicyId], question: &Question, rest: Hit, next: Hit) -> Hit {
        let rules = order.iter().flat_map(|id| self.cluster.cluster_policies.at(*id).rules(question.direction));
        let rules: Vec<&TierRule> = rules.collect();
        rules.into_iter().rev().fold(rest, |rest, rule| {
            let then = match rule.action {
                TierAction::Accept => Hit::Yes,
                TierAction::Deny => Hit::No,
                TierAction::Pass => next,
            };
            match self.tier_rule(rule, question) {
                Hit::Yes => then,
                Hit::No => rest,
                Hit::Maybe(_) if then == rest => rest,
                Hit::Maybe(doubts) => Hit::Maybe(doubts.union(doubts_of(then)).union(doubts_of(rest))),
            }
        })
    }

    /// The rules of a tier that match or may match, up to where it is certainly decided.
    fn matching(&self, acting: &[ClusterPolicyId], question: &Question) -> Vec<TierRuleRef> {
        let mut matching = Vec::new();
        let mut decided_at = None;
        for id in acting {
            let policy = self.cluster.cluster_policies.at(*id);
            let by_name = self.profile.equal_priority == EqualPriority::Name;
            let late = decided_at.is_some_and(|at| by_name || (policy.priority.is_some() && policy.priority != at));
            if late {
                continue;
            }
            for (index, rule) in (0_u32..).zip(policy.rules(question.direction)) {
                let hit = self.tier_rule(rule, question);
                if hit != Hit::No {
                    matching.push(TierRuleRef { policy: *id, direction: question.direction, index });
                }
                if hit == Hit::Yes {
                    decided_at = decided_at.or(Some(policy.priority));
                    break;
                }
            }
        }
        matching
    }

    fn tier_rule(&self, rule: &TierRule, question: &Question) -> Hit {
        let peers = match &rule.peers {
            TierPeers::Any => Hit::Yes, // CNP-13
            TierPeers::OneOf(list) if let (Some(hit), [_, ..]) = (somebody(question), list.as_slice()) => hit,
            TierPeers::OneOf(list) => list.iter().fold(Hit::No, |hit, peer| hit.or(self.tier_peer(peer, question))),
        };
        peers.and(self.ports(&rule.ports, question, true))
    }

    /// CNP-7 … CNP-10.
    fn tier_peer(&self, peer: &TierPeer, question: &Question) -> Hit {
        match (peer, question.other) {
            (TierPeer::Pods { selection, .. }, Seen::Pod(id)) => {
                let pod = self.cluster.pods.at(id);
                let space = self.cluster.namespaces.at(pod.namespace);
                let selected = selection.namespaces.matches(&space.labels) && selection.pods.matches(&pod.labels);
                Hit::sure(selected && !pod.host_network)
            }
            (TierPeer::Nodes { nodes, .. }, Seen::Host { node: Some(node), .. }) => {
                Hit::sure(nodes.matches(&self.cluster.nodes.at(node).labels))
            }
            (TierPeer::Nodes { .. }, Seen::Host { node: None, .. }) => Hit::unless_set(Knob::NodeCidrs),
            (TierPeer::Network { cidr, .. }, other) if Family::of(cidr.network()) == question.family => {
                premise::whereabouts(self.cluster, self.profile, other, question.family).within(&AddressSet::net(*cidr))
            }
            (TierPeer::Domain { .. }, Seen::Address(_)) => Hit::Maybe(Doubts::DNS),
            (TierPeer::Domain { pattern, .. }, Seen::Named(class)) => {
                let domains = Domains::new(self.cluster.cluster_policies.values());
                if domains.matches(pattern, class) { Hit::Maybe(Doubts::DNS) } else { Hit::No }
            }
            (TierPeer::Domain { pattern, .. }, Seen::Pod(_))
                if pattern.may_name_pods(&self.profile.ways.cluster_domain) =>
            {
                Hit::Maybe(Doubts::DNS)
            }
            _ => Hit::No,
        }
    }
}

impl Spec<'_> {
    /// NP-9, NP-10: whether a peer list matches.
    fn peers(&self, peers: &Peers, policy: &NetworkPolicy, question: &Question) -> Hit {
        match peers {
            Peers::Any => Hit::Yes,
            Peers::OneOf(list) if let (Some(hit), [_, ..]) = (somebody(question), list.as_slice()) => hit,
            Peers::OneOf(list) => list.iter().fold(Hit::No, |hit, peer| hit.or(self.peer(peer, policy, question))),
        }
    }

    fn peer(&self, peer: &Peer, policy: &NetworkPolicy, question: &Question) -> Hit {
        match (peer, question.other) {
            (Peer::Pods { namespaces, pods, .. }, Seen::Pod(id)) => {
                let pod = self.cluster.pods.at(id);
                let there = match namespaces {
                    NamespaceScope::Own => pod.namespace == policy.namespace,
                    NamespaceScope::Matching(selector) => {
                        selector.matches(&self.cluster.namespaces.at(pod.namespace).labels)
                    }
                };
                Hit::sure(there && pods.matches(&pod.labels))
            }
            // NP-9, NP-20, NP-22: selectors match pods only.
            (Peer::Pods { .. }, Seen::Host { .. } | Seen::Address(_) | Seen::Named(_) | Seen::Somebody(_)) => Hit::No,
            (Peer::Block(block), other) => self.block(block, other, question.family),
        }
    }

    /// NP-12, NP-13: whether an ipBlock holds the other end.
    fn block(&self, block: &IpBlock, other: Seen, family: Family) -> Hit {
        if Family::of(block.cidr.network()) != family {
            return Hit::No; // NP-12, NP-30: families never mix
        }
        let addresses = block.addresses();
        let counts = match other {
            Seen::Address(_) | Seen::Named(_) | Seen::Somebody(_) => true,
            Seen::Pod(_) => self.profile.ipblock_matches_pods,
            Seen::Host { .. } => self.profile.ipblock_matches_nodes,
        };
        if !counts {
            return Hit::No;
        }
        premise::whereabouts(self.cluster, self.profile, other, family).within(&addresses)
    }

    /// NP-8, NP-14: whether a port list matches.
    fn ports(&self, ports: &Ports, question: &Question, ranges: bool) -> Hit {
        match ports {
            Ports::Any => Hit::Yes,
            Ports::OneOf(list) => list.iter().fold(Hit::No, |hit, entry| hit.or(self.port(entry, question, ranges))),
        }
    }

    /// `ranges`: whether a last port is honoured (NP-15, CNP-11).
    fn port(&self, entry: &PortRule, question: &Question, ranges: bool) -> Hit {
        if entry.protocol != question.protocol {
            return Hit::No;
        }
        match &entry.port {
            PortMatch::All => Hit::Yes,
            PortMatch::Number { port, end } => {
                let last = end.filter(|_| ranges).unwrap_or(*port);
                Hit::sure((*port..=last).contains(&question.port))
            }
            PortMatch::Name(name) => self.named_port(name, question),
        }
    }

    /// NP-16, NP-16a: what the destination pod calls so.
    fn named_port(&self, name: &Name, question: &Question) -> Hit {
        let Some(pod) = question.names_of else { return Hit::No };
        let mut numbers = self
            .cluster
            .pods
            .at(pod)
            .ports
            .iter()
            .filter(|port| port.name.as_ref() == Some(name) && port.protocol == question.protocol)
            .map(|port| port.port);
        let Some(first) = numbers.next() else { return Hit::No };
        if first == question.port {
            return Hit::Yes;
        }
        match (numbers.any(|port| port == question.port), self.profile.duplicate_port_names) {
            (false, _) | (true, DuplicatePortNames::First) => Hit::No,
            (true, DuplicatePortNames::All) => Hit::Yes,
            (true, DuplicatePortNames::Both) => Hit::unless_set(Knob::DuplicatePortNames),
        }
    }
}

impl Judge for Spec<'_> {
    fn judge(&self, flow: &Flow) -> Judgement {
        leg::judge(self, self.cluster, self.profile, flow)
    }
}

/// What outcomes have in common; where they differ it depends on which policy comes first (CNP-2).
fn agree(mut outcomes: impl Iterator<Item = Hit>) -> Hit {
    let Some(first) = outcomes.next() else { return Hit::No };
    outcomes.fold(first, |known, other| {
        if known == other {
            return known;
        }
        Hit::Maybe(Doubts::knob(Knob::EqualPriority).union(doubts_of(known)).union(doubts_of(other)))
    })
}

/// A list of peers may mean somebody of whom nothing is known (ING-16, API-4).
fn somebody(question: &Question) -> Option<Hit> {
    match question.other {
        Seen::Somebody(knob) => Some(Hit::unless_set(knob)),
        _ => None,
    }
}

fn doubts_of(hit: Hit) -> Doubts {
    match hit {
        Hit::Maybe(doubts) => doubts,
        Hit::Yes | Hit::No => Doubts::default(),
    }
}

/// The rule behind a doubt; `None` when there is none.
fn doubt(hit: Hit) -> Option<&'static str> {
    let Hit::Maybe(Doubts { knobs, .. }) = hit else { return None };
    Some(if knobs.iter().any(|knob| knob == Knob::EqualPriority) {
        "CNP-2"
    } else if knobs.iter().any(|knob| knob == Knob::Controllers) {
        "ING-16"
    } else if knobs.iter().any(|knob| knob == Knob::ApiServerAddresses) {
        "API-4"
    } else if knobs == KnobSet::one(Knob::DuplicatePortNames) {
        "NP-16"
    } else if knobs.is_empty() {
        "CNP-10"
    } else {
        "NP-13"
    })
}
