//! Why a packet passes or not, in words that outlive the tables: by names, not by ids.

use std::fmt;

use crate::model::{Cluster, Direction, End, KnobSet, Name, Outcome, RuleRef, TierRuleRef};

/// A rule of a policy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyRule {
    /// The policy: `namespace/name`, or `kind/name` of a cluster-wide one.
    pub policy: Name,
    /// The direction.
    pub direction: Direction,
    /// Its position in the policy's list for the direction, from 0.
    pub index: u32,
}

/// Why a packet passes or not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// No policy acts on the end (NP-4), or NetworkPolicies let it through unasked (NP-18, NP-19).
    Open,
    /// A rule of a NetworkPolicy admits it (NP-8).
    Admitted(PolicyRule),
    /// These policies isolate the end, and no rule of theirs admits it (NP-5, NP-7).
    Isolated(Vec<Name>),
    /// A rule of a cluster-wide policy decides (CNP-4, CNP-5).
    Tier(PolicyRule),
    /// It depends on knobs or on what DNS answers: it is dropped.
    Undecided(KnobSet),
}

impl Reason {
    /// Why the policies of an end say what they say.
    pub(super) fn of(cluster: &Cluster, end: &End) -> Self {
        match (end.outcome, end.tier, end.tier_rules.last(), end.admitting.first()) {
            (Outcome::Undefined(knobs), ..) => Self::Undecided(knobs),
            (Outcome::Conditional(_), ..) => Self::Undecided(KnobSet::EMPTY),
            (_, Some(_), Some(rule), _) => Self::Tier(tier_rule(cluster, *rule)),
            (Outcome::Allowed, _, _, Some(rule)) => Self::Admitted(network_policy_rule(cluster, *rule)),
            (Outcome::Allowed, ..) => Self::Open,
            (Outcome::Denied, ..) => {
                let name = |id| network_policy(cluster, id);
                Self::Isolated(end.isolating.iter().copied().map(name).collect())
            }
        }
    }
}

fn network_policy(cluster: &Cluster, id: crate::ids::PolicyId) -> Name {
    let policy = cluster.policies.at(id);
    Name::from(format!("{}/{}", cluster.namespaces.at(policy.namespace).name, policy.name))
}

fn network_policy_rule(cluster: &Cluster, rule: RuleRef) -> PolicyRule {
    PolicyRule { policy: network_policy(cluster, rule.policy), direction: rule.direction, index: rule.index }
}

fn tier_rule(cluster: &Cluster, rule: TierRuleRef) -> PolicyRule {
    let policy = cluster.cluster_policies.at(rule.policy);
    let name = format!("{}/{}", policy.kind, policy.name);
    PolicyRule { policy: Name::from(name), direction: rule.direction, index: rule.index }
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}[{}]", self.policy, self.direction, self.index)
    }
}

impl fmt::Display for Reason {
    /// A phrase for logs: `isolated by shop/deny-all`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("no policy asked"),
            Self::Admitted(rule) => write!(f, "admitted by {rule}"),
            Self::Isolated(policies) => write!(f, "isolated by {}", policies.join(", ")),
            Self::Tier(rule) => write!(f, "decided by {rule}"),
            Self::Undecided(knobs) if knobs.is_empty() => f.write_str("undecided: it depends on DNS"),
            Self::Undecided(knobs) => {
                let names: Vec<&str> = knobs.iter().map(crate::model::Knob::name).collect();
                write!(f, "undecided: it depends on {}", names.join(", "))
            }
        }
    }
}
