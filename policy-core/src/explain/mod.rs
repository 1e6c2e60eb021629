//! Why: every policy of every tier, every rule, every peer and port entry, matched or why not.
//!
//! The verdict and the hit of each rule come from the compiled tables, the same that answer questions; this
//! module adds the words.

mod network_policy;
mod tiers;
mod words;

use crate::analysis::Analysis;
use crate::ids::{ClusterPolicyId, PodId, PolicyId};
use crate::model::leg::{OwnNode, Policies, Question, masqueraded, own_node};
use crate::model::premise::{self, Seen};
use crate::model::profile::{EgressServiceView, Exemption};
use crate::model::{
    Direction, End, Flow, Hit, Judge, Judgement, Name, Outcome, Party, Protocol, RuleRef, Tier, TierAction, TierRuleRef,
};
use crate::source::Span;

/// The full story of one flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The flow.
    pub flow: Flow,
    /// The verdict; the same that [`Judge::judge`] gives.
    pub judgement: Judgement,
    /// What the source's end asks.
    pub egress: EndTrace,
    /// What the destination's end asks.
    pub ingress: EndTrace,
}

/// What one end asks, in the order of asking (CNP-1). Nothing at an end that is no pod to policies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EndTrace {
    /// The Admin tier.
    pub admin: TierTrace,
    /// Why NetworkPolicies are not asked, if they are not.
    pub policies_not_asked: Option<String>,
    /// The NetworkPolicies of the pod's namespace.
    pub policies: Vec<PolicyTrace>,
    /// The Baseline tier.
    pub baseline: TierTrace,
}

/// One NetworkPolicy of the namespace at one end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyTrace {
    /// The policy.
    pub policy: PolicyId,
    /// Why it plays no part in this direction, if it does not.
    pub skipped: Option<String>,
    /// Its rules for the direction, when it plays a part.
    pub rules: Vec<RuleTrace>,
}

/// One rule of a NetworkPolicy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleTrace {
    /// Which rule.
    pub rule: RuleRef,
    /// Where it is written.
    pub span: Option<Span>,
    /// Whether it admits the flow.
    pub hit: Hit,
    /// Its peers; empty when the rule is for everybody (NP-9).
    pub peers: Vec<EntryTrace>,
    /// Its ports; empty when the rule is for every port (NP-14).
    pub ports: Vec<EntryTrace>,
}

/// The cluster-wide policies of one tier at one end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TierTrace {
    /// Why the tier is not asked, if it is not.
    pub not_asked: Option<String>,
    /// All its policies, in the order of asking (CNP-2).
    pub policies: Vec<TierPolicyTrace>,
}

/// One cluster-wide policy at one end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierPolicyTrace {
    /// The policy.
    pub policy: ClusterPolicyId,
    /// Why it plays no part for this pod and direction, if it does not.
    pub skipped: Option<String>,
    /// The policies that may as well come before it as after it (CNP-2, ANP-4).
    pub tied: Vec<ClusterPolicyId>,
    /// Its rules for the direction, when it plays a part.
    pub rules: Vec<TierRuleTrace>,
}

/// One rule of a cluster-wide policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierRuleTrace {
    /// Which rule.
    pub rule: TierRuleRef,
    /// What its author calls it.
    pub name: Option<Name>,
    /// What it does with what it matches.
    pub action: TierAction,
    /// Where it is written.
    pub span: Option<Span>,
    /// Whether it matches the flow.
    pub hit: Hit,
    /// Whether the tier is decided, or left, before it is asked.
    pub late: bool,
    /// Its peers, in words also where there is no list. Never empty.
    pub peers: Vec<EntryTrace>,
    /// Its ports, in words also where there is no list. Never empty.
    pub ports: Vec<EntryTrace>,
}

/// One peer or port entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryTrace {
    /// Where it is written.
    pub span: Option<Span>,
    /// Whether it matches.
    pub hit: Hit,
    /// What it says, and why it matches or does not, as one phrase.
    pub why: String,
}

/// Explains one flow.
#[must_use]
pub fn explain(analysis: &Analysis, flow: &Flow) -> Trace {
    let judgement = analysis.judge(flow);
    let (cluster, profile) = (&analysis.cluster, &analysis.profile);
    let seen = |party: Party| premise::seen(cluster, profile, party);
    let (source, destination) = (seen(flow.source), seen(flow.destination));
    let hairpin = premise::hairpin(cluster, profile, flow).then_some("NP-18");
    let beforehand = premise::premise(cluster, profile, flow).err().map(|known| beforehand(&known));
    let question = |direction, other, names_of, port, own| Question {
        direction,
        other,
        names_of,
        family: flow.family,
        protocol: flow.protocol,
        port,
        exempt: hairpin.or(if own == OwnNode::Yes { Some("NP-19") } else { None }),
    };
    let pod = |seen| match seen {
        Seen::Pod(pod) => Some(pod),
        Seen::Host { .. } | Seen::Address(_) | Seen::Named(_) | Seen::Somebody(_) => None,
    };
    let own = |pod: PodId, other: Seen, exempt: bool| match other {
        Seen::Host { node, .. } if exempt => own_node(cluster, pod, node),
        _ => OwnNode::No,
    };
    let end = |pod, question: Question| EndTrace::of(analysis, pod, &question, beforehand.as_deref());
    let egress = pod(source).map(|id| match flow.dialled {
        Some(dialled) if profile.egress_service_view == Some(EgressServiceView::PreDnat) => {
            end(id, question(Direction::Egress, Seen::Address(dialled.ip()), None, dialled.port(), OwnNode::No))
        }
        _ => {
            let own = own(id, destination, profile.egress_to_own_node == Exemption::Allow);
            end(id, question(Direction::Egress, destination, pod(destination), flow.port, own))
        }
    });
    let ingress = pod(destination).map(|id| {
        let (source, own) = match flow.masqueraded_by {
            Some(by) => masqueraded(cluster, id, by),
            None => (source, own(id, source, true)),
        };
        end(id, question(Direction::Ingress, source, Some(id), flow.port, own))
    });
    Trace { flow: *flow, judgement, egress: egress.unwrap_or_default(), ingress: ingress.unwrap_or_default() }
}

/// Why no policy of any kind is asked.
fn beforehand(known: &Judgement) -> String {
    match known.rule {
        "NP-18" => "what a pod sends to its own address is beyond policies (NP-18, CNP-14)".to_owned(),
        "NP-32" => "nothing enforces policies (NP-32)".to_owned(),
        rule => format!("there is no connection to judge ({rule})"),
    }
}

impl EndTrace {
    fn of(analysis: &Analysis, pod: PodId, question: &Question, beforehand: Option<&str>) -> Self {
        let end = analysis.compiled.ask(pod, question);
        let beforehand = beforehand.map(str::to_owned).or_else(|| no_sctp(analysis, question, &end));
        let settled = (end.tier == Some(Tier::Admin)).then(|| match end.outcome {
            Outcome::Allowed | Outcome::Denied => format!("the Admin tier has settled it ({})", end.rule),
            Outcome::Conditional(_) | Outcome::Undefined(_) => {
                format!("nothing after the Admin tier matters ({})", end.rule)
            }
        });
        let after_admin = beforehand.clone().or(settled);
        let isolated = analysis.compiled.is_isolated(pod, question.direction);
        // CNP-5
        let isolated = isolated.then(|| "NetworkPolicies isolate the pod (CNP-5)".to_owned());
        Self {
            admin: tiers::tier(analysis, pod, question, Tier::Admin, beforehand),
            policies_not_asked: after_admin.clone().or_else(|| question.exempt.map(exempt)),
            policies: network_policy::policies(analysis, pod, question),
            baseline: tiers::tier(analysis, pod, question, Tier::Baseline, after_admin.or(isolated)),
        }
    }
}

/// Why NetworkPolicies let a flow through unasked.
fn exempt(rule: &str) -> String {
    match rule {
        "NP-18" => "a pod that reaches itself through a Service is beyond them (NP-18)".to_owned(),
        _ => format!("the other end is the pod's own node ({rule})"),
    }
}

/// NP-17: without SCTP support no policy is asked.
fn no_sctp(analysis: &Analysis, question: &Question, end: &End) -> Option<String> {
    let unknown = question.protocol == Protocol::Sctp && !analysis.profile.sctp_policy && end.rule == "NP-17";
    unknown.then(|| "nobody says what policies do with SCTP; set sctp_policy (NP-17)".to_owned())
}
