//! The reference evaluator: slow, obvious, in the order of `docs/SPEC.md`.
//!
//! It asks every policy, every rule, every peer and every port entry, each time. It is the meaning: the
//! compiled tables and everything built on them must agree with it on every flow. It shares only
//! [`model`](crate::model) with them.

use crate::ids::{PodId, PolicyId};
use crate::model::leg::{self, Policies, Question};
use crate::model::premise::{self, Seen};
use crate::model::profile::DuplicatePortNames;
use crate::model::{
    Cluster, Direction, End, Family, Flow, Hit, IpBlock, Judge, Judgement, Knob, KnobSet, Name, NamespaceScope,
    NetworkPolicy, Outcome, Peer, Peers, PortMatch, PortRule, Ports, Profile, Protocol, Rule, RuleRef,
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
    fn ask(&self, _: PodId, question: &Question, isolating: Vec<PolicyId>) -> End {
        // NP-17: without SCTP support nobody says what an isolated pod does with it.
        if question.protocol == Protocol::Sctp && !self.profile.sctp_policy {
            let outcome = Outcome::Undefined(KnobSet::one(Knob::SctpPolicy));
            return End { outcome, rule: "NP-17", isolating, admitting: Vec::new() };
        }
        let (mut admitting, mut best, mut rules) = (Vec::new(), Hit::No, 0_usize);
        for policy in &isolating {
            let object = self.cluster.policies.at(*policy);
            for (index, rule) in (0_u32..).zip(object.rules(question.direction).unwrap_or_default()) {
                let hit = self.peers(&rule.peers, object, question).and(self.ports(rule, question));
                if hit == Hit::Yes {
                    admitting.push(RuleRef { policy: *policy, direction: question.direction, index });
                }
                best = best.or(hit);
                rules += 1;
            }
        }
        let (outcome, rule) = match best {
            Hit::Yes => (Outcome::Allowed, "NP-8"),
            Hit::Maybe(knobs) => (Outcome::Undefined(knobs), maybe_rule(knobs)),
            Hit::No if rules == 0 => (Outcome::Denied, "NP-7"),
            Hit::No => (Outcome::Denied, "NP-5"),
        };
        End { outcome, rule, isolating, admitting }
    }
}

impl Spec<'_> {
    /// NP-9, NP-10: whether a peer list matches.
    fn peers(&self, peers: &Peers, policy: &NetworkPolicy, question: &Question) -> Hit {
        match peers {
            Peers::Any => Hit::Yes,
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
            (Peer::Pods { .. }, Seen::Host { .. } | Seen::Address(_)) => Hit::No,
            (Peer::Block(block), other) => self.block(block, other, question.family),
        }
    }

    /// NP-12, NP-13: whether an ipBlock holds the other end.
    fn block(&self, block: &IpBlock, other: Seen, family: Family) -> Hit {
        if Family::of(block.cidr.network()) != family {
            return Hit::No; // NP-12, NP-30: families never mix
        }
        let addresses = block.addresses();
        let (counts, whereabouts) = match other {
            Seen::Address(address) => return Hit::sure(addresses.contains(address)),
            Seen::Pod(id) => (
                self.profile.ipblock_matches_pods,
                premise::pod_whereabouts(self.cluster, self.profile, self.cluster.pods.at(id), family),
            ),
            Seen::Host { node, pod } => (
                self.profile.ipblock_matches_nodes,
                match pod {
                    Some(id) => premise::pod_whereabouts(self.cluster, self.profile, self.cluster.pods.at(id), family),
                    None => premise::host_whereabouts(self.cluster, self.profile, node, family),
                },
            ),
        };
        if counts { whereabouts.within(&addresses) } else { Hit::No }
    }

    /// NP-8, NP-14: whether a port list matches.
    fn ports(&self, rule: &Rule, question: &Question) -> Hit {
        match &rule.ports {
            Ports::Any => Hit::Yes,
            Ports::OneOf(list) => list.iter().fold(Hit::No, |hit, entry| hit.or(self.port(entry, question))),
        }
    }

    fn port(&self, entry: &PortRule, question: &Question) -> Hit {
        if entry.protocol != question.protocol {
            return Hit::No;
        }
        match &entry.port {
            PortMatch::All => Hit::Yes,
            PortMatch::Number { port, end } => {
                let last = end.filter(|_| self.profile.endport_support).unwrap_or(*port); // NP-15
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
            (true, DuplicatePortNames::Both) => Hit::Maybe(KnobSet::one(Knob::DuplicatePortNames)),
        }
    }
}

impl Judge for Spec<'_> {
    fn judge(&self, flow: &Flow) -> Judgement {
        leg::judge(self, self.cluster, self.profile, flow)
    }
}

/// The rule behind an unknown.
fn maybe_rule(knobs: KnobSet) -> &'static str {
    if knobs == KnobSet::one(Knob::DuplicatePortNames) { "NP-16" } else { "NP-13" }
}
