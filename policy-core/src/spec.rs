//! The reference evaluator: slow, obvious, in the order of `docs/SPEC.md`.
//!
//! It asks every policy, every rule, every peer and every port entry, each time. It is the meaning: the
//! compiled tables and everything built on them must agree with it on every flow. It shares only
//! [`model`](crate::model) with them.

use crate::ids::{NodeId, PodId, PolicyId};
use crate::model::premise::{self, Seen, Whereabouts};
use crate::model::profile::{DuplicatePortNames, EgressServiceView, Exemption, LocalSnatView};
use crate::model::{
    AddressSet, Cluster, Condition, Direction, End, Flag, Flow, IpBlock, Judge, Judgement, Knob, KnobSet, Name,
    NamespaceScope, NetworkPolicy, Outcome, Peer, Peers, PortMatch, PortRule, Ports, Profile, Protocol, Rule, RuleRef,
};

/// The reference evaluator over one cluster and profile.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    cluster: &'a Cluster,
    profile: &'a Profile,
}

/// Whether something matches, when part of the facts may be unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hit {
    No,
    Maybe(KnobSet),
    Yes,
}

impl Hit {
    fn sure(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Maybe(a), Self::Maybe(b)) => Self::Maybe(a.union(b)),
            (Self::Maybe(knobs), Self::No) | (Self::No, Self::Maybe(knobs)) => Self::Maybe(knobs),
            (Self::No, Self::No) => Self::No,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Maybe(a), Self::Maybe(b)) => Self::Maybe(a.union(b)),
            (Self::Maybe(knobs), Self::Yes) | (Self::Yes, Self::Maybe(knobs)) => Self::Maybe(knobs),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }
}

/// Whether a host is the node of a pod (NP-19).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OwnNode {
    Yes,
    No,
    Unknown,
}

/// One end's question to its policies.
#[derive(Clone, Copy, Debug)]
struct Question {
    direction: Direction,
    other: Seen,
    /// The pod on which port names are looked up: the destination, if it is one (NP-16, NP-16a).
    names_of: Option<PodId>,
    protocol: Protocol,
    port: u16,
}

impl<'a> Spec<'a> {
    /// An evaluator of this cluster.
    #[must_use]
    pub fn new(cluster: &'a Cluster, profile: &'a Profile) -> Self {
        Self { cluster, profile }
    }

    /// The source's end.
    fn egress(&self, flow: &Flow) -> End {
        let Seen::Pod(pod) = self.seen(flow.source) else { return End::open(open_rule(self.seen(flow.source))) };
        let destination = self.seen(flow.destination);
        let isolating = self.isolating(pod, Direction::Egress);
        if isolating.is_empty() {
            return End::open("NP-4");
        }
        // NP-19: egress to the own node.
        let own_node = match (self.profile.egress_to_own_node, destination) {
            (Exemption::Allow, Seen::Host { node, .. }) => self.own_node(pod, node),
            _ => OwnNode::No,
        };
        if own_node == OwnNode::Yes {
            return End { outcome: Outcome::Allowed, rule: "NP-19", isolating, admitting: Vec::new() };
        }
        let names_of = |seen| match seen {
            Seen::Pod(pod) => Some(pod),
            _ => None,
        };
        let ask = |other: Seen, port: u16| {
            let question = Question {
                direction: Direction::Egress,
                other,
                names_of: names_of(other),
                protocol: flow.protocol,
                port,
            };
            self.ask(&question, &isolating)
        };
        // NP-23: before or after destination translation.
        let end = match flow.dialled {
            None => ask(destination, flow.port),
            Some(dialled) => {
                let before = || ask(Seen::Address(dialled.ip()), dialled.port());
                let after = || ask(destination, flow.port);
                let external = matches!(destination, Seen::Address(_));
                match self.profile.egress_service_view {
                    Some(EgressServiceView::PreDnat) => before(),
                    Some(EgressServiceView::PostDnat) => after(),
                    None if !external => after(),
                    Some(EgressServiceView::Both) => either(before(), after(), Knob::EgressServiceView, "NP-23"),
                    // Endpoints outside the cluster may or may not be subject to ipBlocks at all.
                    None => match either(before(), after(), Knob::EgressServiceView, "NP-23") {
                        end if end.outcome == Outcome::Allowed => end,
                        end => undefined(end, Knob::EgressServiceView, "NP-23"),
                    },
                }
            }
        };
        if_placed(end, own_node)
    }

    /// The destination's end.
    fn ingress(&self, flow: &Flow) -> End {
        let Seen::Pod(pod) = self.seen(flow.destination) else {
            return End::open(open_rule(self.seen(flow.destination)));
        };
        let isolating = self.isolating(pod, Direction::Ingress);
        if isolating.is_empty() {
            return End::open("NP-4");
        }
        let own =
            || End { outcome: Outcome::Allowed, rule: "NP-19", isolating: isolating.clone(), admitting: Vec::new() };
        let ask = |other: Seen| {
            let question = Question {
                direction: Direction::Ingress,
                other,
                names_of: Some(pod),
                protocol: flow.protocol,
                port: flow.port,
            };
            self.ask(&question, &isolating)
        };
        let from = |source: Seen| {
            let own_node = match source {
                Seen::Host { node, .. } => self.own_node(pod, node),
                _ => OwnNode::No,
            };
            match own_node {
                OwnNode::Yes => own(),
                other => if_placed(ask(source), other),
            }
        };
        let client = self.seen(flow.source);
        let Some(masquerader) = flow.masqueraded_by else { return from(client) };
        // NP-24: a node put its own address in the client's place.
        let node_view = Seen::Host { node: Some(masquerader), pod: None };
        let local = || match self.profile.local_snat_view {
            LocalSnatView::Client => from(client),
            LocalSnatView::Node => own(),
            LocalSnatView::Both => either(from(client), own(), Knob::LocalSnatView, "NP-24"),
        };
        match self.own_node(pod, Some(masquerader)) {
            OwnNode::Yes => local(),
            OwnNode::No => from(node_view),
            OwnNode::Unknown => match (local(), ask(node_view)) {
                (here, there) if here.outcome == there.outcome => there,
                (_, there) => End { outcome: Outcome::Conditional(Condition::Placement), rule: "NP-24", ..there },
            },
        }
    }

    fn seen(&self, party: crate::model::Party) -> Seen {
        premise::seen(self.cluster, self.profile, party)
    }

    /// NP-1, NP-3, NP-4: the policies that isolate a pod in a direction.
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
    fn ask(&self, question: &Question, isolating: &[PolicyId]) -> End {
        let isolating = isolating.to_vec();
        // NP-17: without SCTP support nobody says what an isolated pod does with it.
        if question.protocol == Protocol::Sctp && !self.profile.sctp_policy {
            let outcome = Outcome::Undefined(KnobSet::one(Knob::SctpPolicy));
            return End { outcome, rule: "NP-17", isolating, admitting: Vec::new() };
        }
        let (mut admitting, mut best, mut rules) = (Vec::new(), Hit::No, 0_usize);
        for policy in &isolating {
            let object = self.cluster.policies.at(*policy);
            for (index, rule) in (0_u32..).zip(object.rules(question.direction).unwrap_or_default()) {
                let hit = self.peers(&rule.peers, object, question.other).and(self.ports(rule, question));
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

    /// NP-9, NP-10: whether a peer list matches.
    fn peers(&self, peers: &Peers, policy: &NetworkPolicy, other: Seen) -> Hit {
        match peers {
            Peers::Any => Hit::Yes,
            Peers::OneOf(list) => list.iter().fold(Hit::No, |hit, peer| hit.or(self.peer(peer, policy, other))),
        }
    }

    fn peer(&self, peer: &Peer, policy: &NetworkPolicy, other: Seen) -> Hit {
        match (peer, other) {
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
            (Peer::Block(block), other) => self.block(block, other),
        }
    }

    /// NP-12, NP-13: whether an ipBlock holds the other end.
    fn block(&self, block: &IpBlock, other: Seen) -> Hit {
        let addresses = block.addresses();
        let family = if block.cidr.network().is_ipv4() { crate::model::Family::V4 } else { crate::model::Family::V6 };
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
        if counts { holds(&addresses, &whereabouts) } else { Hit::No }
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

    fn own_node(&self, pod: PodId, host: Option<NodeId>) -> OwnNode {
        match (self.cluster.pods.at(pod).node, host) {
            (Some(own), Some(host)) if own == host => OwnNode::Yes,
            (Some(_), Some(_)) => OwnNode::No,
            _ => OwnNode::Unknown,
        }
    }
}

impl Judge for Spec<'_> {
    fn judge(&self, flow: &Flow) -> Judgement {
        let mut flags = match premise::premise(self.cluster, self.profile, flow) {
            Ok(flags) => flags,
            Err(judgement) => return *judgement,
        };
        let (egress, ingress) = (self.egress(flow), self.ingress(flow));
        if egress.rule == "NP-19" || ingress.rule == "NP-19" {
            flags.push(Flag::OwnNode);
            flags.sort_unstable();
        }
        Judgement::of_ends(egress, ingress, flags) // NP-6
    }
}

/// Why an end that is no selectable pod is open: NP-22 for pods on the host's network, NP-1 for the rest.
fn open_rule(seen: Seen) -> &'static str {
    match seen {
        Seen::Host { pod: Some(_), .. } => "NP-22",
        _ => "NP-1",
    }
}

/// The rule behind an unknown.
fn maybe_rule(knobs: KnobSet) -> &'static str {
    if knobs == KnobSet::one(Knob::DuplicatePortNames) { "NP-16" } else { "NP-13" }
}

/// NP-12: whether a set of addresses holds an end of which the address may be unknown.
fn holds(addresses: &AddressSet, whereabouts: &Whereabouts) -> Hit {
    match whereabouts {
        Whereabouts::Known(known) => match known.iter().filter(|address| addresses.contains(**address)).count() {
            0 => Hit::No,
            count if count == known.len() => Hit::Yes,
            _ => Hit::Maybe(KnobSet::one(Knob::NodeCidrs)),
        },
        Whereabouts::Within(range, knob) => {
            if range.is_disjoint(addresses) {
                Hit::No
            } else if range.is_subset(addresses) {
                Hit::Yes
            } else {
                Hit::Maybe(KnobSet::one(*knob))
            }
        }
    }
}

/// Two views of one end: what they agree on, or undefined by `knob`.
fn either(one: End, other: End, knob: Knob, rule: &'static str) -> End {
    if one.outcome == other.outcome { other } else { undefined(merge(one, other), knob, rule) }
}

fn merge(one: End, other: End) -> End {
    let knobs = |outcome| match outcome {
        Outcome::Undefined(knobs) => knobs,
        _ => KnobSet::EMPTY,
    };
    let outcome = Outcome::Undefined(knobs(one.outcome).union(knobs(other.outcome)));
    End { outcome, admitting: Vec::new(), ..other }
}

fn undefined(end: End, knob: Knob, rule: &'static str) -> End {
    let knobs = match end.outcome {
        Outcome::Undefined(knobs) => knobs,
        _ => KnobSet::EMPTY,
    };
    End { outcome: Outcome::Undefined(knobs.union(KnobSet::one(knob))), rule, ..end }
}

/// NP-19: what is not admitted may still be, if the pod runs on that node.
fn if_placed(end: End, own_node: OwnNode) -> End {
    if own_node == OwnNode::Unknown && end.outcome != Outcome::Allowed {
        return End { outcome: Outcome::Conditional(Condition::Placement), rule: "NP-19", ..end };
    }
    end
}
