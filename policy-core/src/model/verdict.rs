//! Verdicts, and why (M-4).

use std::cmp::Ordering;
use std::fmt;

use crate::ids::{ClusterPolicyId, PolicyId};
use crate::model::{Direction, Flow, Knob, Tier};

/// What becomes of a flow. Exactly one holds (M-4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// It gets through.
    Allowed,
    /// A policy drops it.
    Denied,
    /// Nothing leads from here to there.
    NoRoute,
    /// It is routed, and nothing is there.
    NoListener,
    /// It gets through if a condition holds that the input does not settle.
    Conditional,
    /// Kubernetes does not define it, and no knob settles it.
    Undefined,
}

impl Verdict {
    /// `allowed`, `denied`, `no-route`, `no-listener`, `conditional`, `undefined`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::NoRoute => "no-route",
            Self::NoListener => "no-listener",
            Self::Conditional => "conditional",
            Self::Undefined => "undefined",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one end's policies say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// They let it through, or none applies.
    Allowed,
    /// They let it through only if the condition holds.
    Conditional(Condition),
    /// It depends on these knobs.
    Undefined(KnobSet),
    /// They drop it.
    Denied,
}

/// A condition that the input does not settle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Condition {
    /// The pod runs on the node in question (NP-19).
    Placement,
    /// What DNS answers: whether a name that a rule mentions stands for the address (CNP-10).
    Dns,
}

impl Condition {
    /// A short word for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Placement => "placement",
            Self::Dns => "dns",
        }
    }
}

/// A set of knobs on which an answer depends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KnobSet(u64);

impl KnobSet {
    /// No knob.
    pub const EMPTY: Self = Self(0);

    /// One knob.
    #[must_use]
    pub fn one(knob: Knob) -> Self {
        Self(1 << (knob as u32))
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is no knob.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The knobs in their order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Knob> {
        Knob::ALL.into_iter().filter(move |knob| self.0 & (1 << (*knob as u32)) != 0)
    }
}

impl fmt::Debug for KnobSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A rule of a policy: its position in the policy's list for the direction, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleRef {
    /// The policy.
    pub policy: PolicyId,
    /// The direction.
    pub direction: Direction,
    /// The position.
    pub index: u32,
}

/// A rule of a cluster-wide policy: its position in the policy's list for the direction, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TierRuleRef {
    /// The policy.
    pub policy: ClusterPolicyId,
    /// The direction.
    pub direction: Direction,
    /// The position.
    pub index: u32,
}

/// What one end of a flow decides, and by which policies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End {
    /// The decision.
    pub outcome: Outcome,
    /// The rule of `docs/SPEC.md` that made it.
    pub rule: &'static str,
    /// The policies that isolate this end, in id order; empty when none does (NP-4).
    pub isolating: Vec<PolicyId>,
    /// The policy rules that certainly admit the flow, in order. Empty when a tier decides before them.
    pub admitting: Vec<RuleRef>,
    /// The rules of cluster-wide policies that match the flow or may match it, in the order of evaluation (CNP-1,
    /// CNP-2), without those that come too late: after a certain match in their policy, or in a tier that was left.
    pub tier_rules: Vec<TierRuleRef>,
    /// The tier that decides, whatever comes after it says; `None` when NetworkPolicies decide, or nobody does.
    pub tier: Option<Tier>,
}

impl End {
    /// An end at which no policy was asked.
    #[must_use]
    pub fn open(rule: &'static str) -> Self {
        Self {
            outcome: Outcome::Allowed,
            rule,
            isolating: Vec::new(),
            admitting: Vec::new(),
            tier_rules: Vec::new(),
            tier: None,
        }
    }
}

/// A remark on a verdict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Flag {
    /// The destination does not declare the port (M-5).
    UndeclaredPort,
    /// There are policies, and nothing enforces them (NP-32).
    UnenforcedPolicies,
    /// A template or a pending pod stands for an end (NP-11b, NP-27).
    Hypothetical,
    /// An end is a pod on the host's network: policies do not act on it (NP-22).
    HostNetwork,
    /// Allowed because the pod talks to itself (NP-18).
    SelfTraffic,
    /// Allowed because the other end is the pod's own node (NP-19).
    OwnNode,
    /// The packet is taken to arrive: ways from outside to a pod address are not modelled yet.
    RouteAssumed,
}

impl Flag {
    /// The flag's name for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UndeclaredPort => "undeclared_port",
            Self::UnenforcedPolicies => "unenforced_policies",
            Self::Hypothetical => "hypothetical",
            Self::HostNetwork => "host_network",
            Self::SelfTraffic => "self_traffic",
            Self::OwnNode => "own_node",
            Self::RouteAssumed => "route_assumed",
        }
    }
}

/// The whole answer for one flow.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule of `docs/SPEC.md` that decided: that of the end which decided, or of the model itself.
    pub rule: &'static str,
    /// The source's end.
    pub egress: End,
    /// The destination's end.
    pub ingress: End,
    /// Remarks, sorted.
    pub flags: Vec<Flag>,
}

impl Judgement {
    /// Both ends must let the flow through (NP-6): denied before undefined before conditional before allowed.
    #[must_use]
    pub fn of_ends(egress: End, ingress: End, flags: Vec<Flag>) -> Self {
        let rank = |end: &End| match end.outcome {
            Outcome::Allowed => 0,
            Outcome::Conditional(_) => 1,
            Outcome::Undefined(_) => 2,
            Outcome::Denied => 3,
        };
        // Of two ends that say the same, the one that asked policies is the better reason.
        let asked = |end: &End| !end.isolating.is_empty() || !end.tier_rules.is_empty();
        let silent = !asked(&ingress) && asked(&egress);
        let deciding = match rank(&ingress).cmp(&rank(&egress)) {
            Ordering::Greater => &ingress,
            Ordering::Equal if !silent => &ingress,
            Ordering::Equal | Ordering::Less => &egress,
        };
        let verdict = match deciding.outcome {
            Outcome::Allowed => Verdict::Allowed,
            Outcome::Conditional(_) => Verdict::Conditional,
            Outcome::Undefined(_) => Verdict::Undefined,
            Outcome::Denied => Verdict::Denied,
        };
        Self { verdict, rule: deciding.rule, egress, ingress, flags }
    }

    /// A verdict that the model gives before any policy is asked.
    #[must_use]
    pub fn before_policies(verdict: Verdict, rule: &'static str) -> Self {
        Self { verdict, rule, egress: End::open(rule), ingress: End::open(rule), flags: Vec::new() }
    }

    /// The knobs on which the verdict depends; empty unless it is `Undefined`.
    #[must_use]
    pub fn knobs(&self) -> KnobSet {
        let of = |end: &End| match end.outcome {
            Outcome::Undefined(knobs) => knobs,
            _ => KnobSet::EMPTY,
        };
        if self.verdict == Verdict::Undefined { of(&self.egress).union(of(&self.ingress)) } else { KnobSet::EMPTY }
    }

    /// The conditions on which the verdict depends, sorted; empty unless it is `Conditional`.
    #[must_use]
    pub fn conditions(&self) -> Vec<Condition> {
        if self.verdict != Verdict::Conditional {
            return Vec::new();
        }
        let mut conditions: Vec<_> = [&self.egress, &self.ingress]
            .into_iter()
            .filter_map(|end| match end.outcome {
                Outcome::Conditional(condition) => Some(condition),
                _ => None,
            })
            .collect();
        conditions.sort_unstable();
        conditions.dedup();
        conditions
    }
}

/// Anything that judges flows. All implementations agree on every flow; the tests hold them to it.
pub trait Judge {
    /// The judgement of one flow.
    fn judge(&self, flow: &Flow) -> Judgement;
}
