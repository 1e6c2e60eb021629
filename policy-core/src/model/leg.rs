//! From a leg to the questions that its two ends put to their policies (M-7, NP-6, NP-18 … NP-25, CNP-14).
//!
//! Which address an end's policies see depends on hosts, own nodes and translation; what they then say is the
//! business of the two implementations of [`Policies`].

use crate::ids::{NodeId, PodId};
use crate::model::premise::{self, Seen};
use crate::model::profile::{EgressServiceView, Exemption, LocalSnatView};
use crate::model::{
    Cluster, Condition, Direction, End, Family, Flag, Flow, Judgement, Knob, KnobSet, Masquerader, Outcome, Party,
    Profile, Protocol,
};

/// One end's question to its policies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// The direction of the policies that are asked.
    pub direction: Direction,
    /// The other end, as these policies see it.
    pub other: Seen,
    /// The pod on which port names are looked up: the destination, if it is one (NP-16, NP-16a).
    pub names_of: Option<PodId>,
    /// The family of the flow (NP-30).
    pub family: Family,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination's port.
    pub port: u16,
    /// The rule by which NetworkPolicies let this through whatever they say (NP-18, NP-19). Cluster-wide policies
    /// know no such rule.
    pub exempt: Option<&'static str>,
}

/// The policies of a cluster, as one evaluator knows them.
pub trait Policies {
    /// What the policies of all tiers say to `pod` (CNP-1). `End::open("NP-4")` when none acts on it.
    fn ask(&self, pod: PodId, question: &Question) -> End;
}

/// Judges a leg by the policies of both ends (NP-6).
pub fn judge(policies: &impl Policies, cluster: &Cluster, profile: &Profile, flow: &Flow) -> Judgement {
    let mut flags = match premise::premise(cluster, profile, flow) {
        Ok(flags) => flags,
        Err(judgement) => return *judgement,
    };
    let exempt = premise::hairpin(cluster, profile, flow).then_some("NP-18");
    let leg = Leg { policies, cluster, profile, exempt };
    let (egress, ingress) = (leg.egress(flow), leg.ingress(flow));
    if exempt.is_some() {
        flags.push(Flag::SelfTraffic);
    }
    if egress.rule == "NP-19" || ingress.rule == "NP-19" {
        flags.push(Flag::OwnNode);
    }
    flags.sort_unstable();
    Judgement::of_ends(egress, ingress, flags)
}

/// Whether a host is the node of a pod (NP-19).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnNode {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The pod's node or the host is not known.
    Unknown,
}

/// Whether `host` is the node of `pod` (NP-19).
#[must_use]
pub fn own_node(cluster: &Cluster, pod: PodId, host: Option<NodeId>) -> OwnNode {
    match (cluster.pods.at(pod).node, host) {
        (Some(own), Some(host)) if own == host => OwnNode::Yes,
        (Some(_), Some(_)) => OwnNode::No,
        _ => OwnNode::Unknown,
    }
}

/// What `pod` sees in place of a client that a node masquerades, and whether that is the pod's own node (NP-24).
#[must_use]
pub fn masqueraded(cluster: &Cluster, pod: PodId, by: Masquerader) -> (Seen, OwnNode) {
    let (node, own) = match by {
        Masquerader::Node(node) => (Some(node), own_node(cluster, pod, Some(node))),
        Masquerader::OwnNode => (cluster.pods.at(pod).node, OwnNode::Yes),
        Masquerader::OtherNode => (None, OwnNode::No),
    };
    (Seen::Host { node, pod: None }, own)
}

struct Leg<'a, P> {
    policies: &'a P,
    cluster: &'a Cluster,
    profile: &'a Profile,
    exempt: Option<&'static str>,
}

impl<P: Policies> Leg<'_, P> {
    /// The source's end.
    fn egress(&self, flow: &Flow) -> End {
        let Seen::Pod(pod) = self.seen(flow.source) else { return End::open(open_rule(self.seen(flow.source))) };
        let destination = self.seen(flow.destination);
        // NP-19: egress to the own node.
        let own_node = match (self.profile.egress_to_own_node, destination) {
            (Exemption::Allow, Seen::Host { node, .. }) => self.own_node(pod, node),
            _ => OwnNode::No,
        };
        let names_of = |seen| match seen {
            Seen::Pod(pod) => Some(pod),
            _ => None,
        };
        let ask = |other: Seen, port: u16| {
            let question = Question {
                direction: Direction::Egress,
                other,
                names_of: names_of(other),
                family: flow.family,
                protocol: flow.protocol,
                port,
                exempt: self.exempt,
            };
            self.ask(pod, question, own_node)
        };
        // NP-23: before or after destination translation.
        match flow.dialled {
            None => ask(destination, flow.port),
            Some(dialled) => {
                let before = || ask(Seen::Address(dialled.ip()), dialled.port());
                let after = || ask(destination, flow.port);
                let external = matches!(destination, Seen::Address(_) | Seen::Named(_));
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
        }
    }

    /// The destination's end.
    fn ingress(&self, flow: &Flow) -> End {
        let Seen::Pod(pod) = self.seen(flow.destination) else {
            return End::open(open_rule(self.seen(flow.destination)));
        };
        let ask = |other: Seen, own_node: OwnNode| {
            let question = Question {
                direction: Direction::Ingress,
                other,
                names_of: Some(pod),
                family: flow.family,
                protocol: flow.protocol,
                port: flow.port,
                exempt: self.exempt,
            };
            self.ask(pod, question, own_node)
        };
        let from = |source: Seen| {
            let own_node = match source {
                Seen::Host { node, .. } => self.own_node(pod, node),
                _ => OwnNode::No,
            };
            ask(source, own_node)
        };
        let client = self.seen(flow.source);
        let Some(masquerader) = flow.masqueraded_by else { return from(client) };
        // NP-24: a node put its own address in the client's place.
        let (node_view, own_node) = masqueraded(self.cluster, pod, masquerader);
        let own = || ask(node_view, OwnNode::Yes);
        let local = || match self.profile.local_snat_view {
            LocalSnatView::Client => from(client),
            LocalSnatView::Node => own(),
            LocalSnatView::Both => either(from(client), own(), Knob::LocalSnatView, "NP-24"),
        };
        match own_node {
            OwnNode::Yes => local(),
            OwnNode::No => ask(node_view, OwnNode::No),
            OwnNode::Unknown => match (local(), ask(node_view, OwnNode::No)) {
                (here, there) if alike(here.outcome, there.outcome) => there,
                (_, there) => End { outcome: Outcome::Conditional(Condition::Placement), rule: "NP-24", ..there },
            },
        }
    }

    /// Puts a question; NetworkPolicies do not act on traffic with the own node (NP-19).
    fn ask(&self, pod: PodId, question: Question, own_node: OwnNode) -> End {
        let ask = |own: bool| {
            let exempt = question.exempt.or_else(|| own.then_some("NP-19"));
            self.policies.ask(pod, &Question { exempt, ..question })
        };
        match own_node {
            OwnNode::Yes => ask(true),
            OwnNode::No => ask(false),
            OwnNode::Unknown => match (ask(true), ask(false)) {
                (here, there) if alike(here.outcome, there.outcome) => there,
                (_, there) => End { outcome: Outcome::Conditional(Condition::Placement), rule: "NP-19", ..there },
            },
        }
    }

    fn seen(&self, party: Party) -> Seen {
        premise::seen(self.cluster, self.profile, party)
    }

    fn own_node(&self, pod: PodId, host: Option<NodeId>) -> OwnNode {
        own_node(self.cluster, pod, host)
    }
}

/// Why an end that is no selectable pod is open: NP-22 for pods on the host's network, NP-1 for the rest.
fn open_rule(seen: Seen) -> &'static str {
    match seen {
        Seen::Host { pod: Some(_), .. } => "NP-22",
        _ => "NP-1",
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

/// Whether two outcomes say the same of a connection, whatever the doubts are.
fn alike(one: Outcome, other: Outcome) -> bool {
    matches!((one, other), (Outcome::Undefined(_), Outcome::Undefined(_))) || one == other
}
