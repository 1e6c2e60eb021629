//! Explanations.

use policy_core::explain::{
    EndTrace, EntryTrace, PolicyTrace, RuleTrace, TierPolicyTrace, TierRuleTrace, TierTrace, Trace,
};
use policy_core::model::{Condition, Doubts, Hit, KnobSet};
use policy_core::query::Actor;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Judged, Witness, rule_path};
use super::{Header, knobs};
use crate::names::Names;

/// `explain`: why.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExplainAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// Who opens the connection, as it was written.
    pub from: String,
    /// Who gets it, as it was written.
    pub to: String,
    /// The verdict that all traces share, or `conditional` with the rule `M-3` when they differ.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// One flow for each part of the question that is answered in its own way.
    pub traces: Vec<TraceDto>,
    /// The ways of those who get there by ways alone; their connections are among the traces, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<super::way::WayDto>,
    /// When FROM is a user of the API server: its ways. Their connections are among the traces, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_ways: Vec<super::api::ApiWayDto>,
    /// When TO is the name of an ExternalName: the names on the way to what it stands for (W-EXTNAME, SVC-16).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<super::way::ThroughDto>,
}

/// The full story of one flow.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Trace")]
pub struct TraceDto {
    /// The flow.
    pub flow: Witness,
    /// Its judgement.
    #[serde(flatten)]
    pub judgement: Judged,
    /// The cluster-wide policies at the source's end, when there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_tiers: Option<ExplainedTiers>,
    /// Why the NetworkPolicies at the source's end are not asked, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_policies_not_asked: Option<String>,
    /// The NetworkPolicies of the source's namespace.
    pub egress_policies: Vec<ExplainedPolicy>,
    /// The cluster-wide policies at the destination's end, when there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_tiers: Option<ExplainedTiers>,
    /// Why the NetworkPolicies at the destination's end are not asked, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_policies_not_asked: Option<String>,
    /// The NetworkPolicies of the destination's namespace.
    pub ingress_policies: Vec<ExplainedPolicy>,
}

/// The cluster-wide policies at one end: Admin is asked before NetworkPolicies, Baseline after them.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedTiers {
    /// Tier Admin.
    pub admin: ExplainedTier,
    /// Tier Baseline.
    pub baseline: ExplainedTier,
}

/// The cluster-wide policies of one tier.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedTier {
    /// Why the tier is not asked, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<String>,
    /// Its policies, in the order of asking.
    pub policies: Vec<ExplainedTierPolicy>,
}

/// One cluster-wide policy at one end.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedTierPolicy {
    /// The policy, as `Kind/name`.
    pub policy: String,
    /// Its priority, lower first; a BaselineAdminNetworkPolicy has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why it plays no part for this pod and direction, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The policies that may as well come before it as after it, as `Kind/name` (CNP-2, ANP-4).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tied_with: Vec<String>,
    /// Its rules for the direction, when it plays a part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ExplainedTierRule>,
}

/// One rule of a cluster-wide policy.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedTierRule {
    /// Its path in the policy, such as `ingress[0]`.
    pub rule: String,
    /// What its author calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Accept`, `Deny` or `Pass`.
    pub action: &'static str,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether it matches the flow: `yes`, `no` or `maybe`.
    pub matches: &'static str,
    /// Whether the tier is decided, or left, before it is asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// The knobs that a `maybe` depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
    /// The conditions that a `maybe` depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<&'static str>,
    /// Its peers; one entry for everybody when there is no list.
    pub peers: Vec<ExplainedEntry>,
    /// Its ports; one entry for every port when there is no list.
    pub ports: Vec<ExplainedEntry>,
}

/// One NetworkPolicy of the namespace at one end.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedPolicy {
    /// The policy, as `namespace/name`.
    pub policy: String,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why it plays no part in this direction, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Its rules for the direction, when it plays a part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ExplainedRule>,
}

/// One rule of a NetworkPolicy.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedRule {
    /// Its path in the policy, such as `ingress[0]`.
    pub rule: String,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether it admits the flow: `yes`, `no` or `maybe`.
    pub admits: &'static str,
    /// The knobs that a `maybe` depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
    /// The conditions that a `maybe` depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<&'static str>,
    /// Its peers; none when the rule is for everybody (NP-9).
    pub peers: Vec<ExplainedEntry>,
    /// Its ports; none when the rule is for every port (NP-14).
    pub ports: Vec<ExplainedEntry>,
}

/// One peer or port entry.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedEntry {
    /// Whether it matches: `yes`, `no` or `maybe`.
    pub matches: &'static str,
    /// What it says, and why it matches or does not.
    pub why: String,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

fn word(hit: Hit) -> &'static str {
    match hit {
        Hit::No => "no",
        Hit::Maybe(_) => "maybe",
        Hit::Yes => "yes",
    }
}

/// The knobs and the conditions that a match depends on.
fn doubts(hit: Hit) -> (Vec<&'static str>, Vec<&'static str>) {
    let Doubts { knobs: set, dns } = match hit {
        Hit::Maybe(doubts) => doubts,
        Hit::Yes | Hit::No => Doubts { knobs: KnobSet::EMPTY, dns: false },
    };
    (knobs(set), if dns { vec![Condition::Dns.as_str()] } else { Vec::new() })
}

impl Names<'_> {
    pub(crate) fn trace(&self, trace: &Trace, destinations: &[Actor]) -> TraceDto {
        let policies =
            |traces: &[PolicyTrace]| -> Vec<_> { traces.iter().map(|trace| self.explained_policy(trace)).collect() };
        TraceDto {
            flow: self.witness(&trace.flow, destinations),
            judgement: self.judged(&trace.judgement, &trace.flow),
            egress_tiers: self.explained_tiers(&trace.egress),
            egress_policies_not_asked: trace.egress.policies_not_asked.clone(),
            egress_policies: policies(&trace.egress.policies),
            ingress_tiers: self.explained_tiers(&trace.ingress),
            ingress_policies_not_asked: trace.ingress.policies_not_asked.clone(),
            ingress_policies: policies(&trace.ingress.policies),
        }
    }

    fn explained_tiers(&self, end: &EndTrace) -> Option<ExplainedTiers> {
        let tier = |trace: &TierTrace| ExplainedTier {
            not_asked: trace.not_asked.clone(),
            policies: trace.policies.iter().map(|policy| self.explained_tier_policy(policy)).collect(),
        };
        let some = !(end.admin.policies.is_empty() && end.baseline.policies.is_empty());
        some.then(|| ExplainedTiers { admin: tier(&end.admin), baseline: tier(&end.baseline) })
    }

    fn explained_tier_policy(&self, trace: &TierPolicyTrace) -> ExplainedTierPolicy {
        let policy = self.cluster().cluster_policies.at(trace.policy);
        ExplainedTierPolicy {
            policy: self.cluster_policy(trace.policy),
            priority: policy.priority,
            source: self.place(policy.span),
            skipped: trace.skipped.clone(),
            tied_with: trace.tied.iter().map(|other| self.cluster_policy(*other)).collect(),
            rules: trace.rules.iter().map(|rule| self.explained_tier_rule(rule)).collect(),
        }
    }

    fn explained_tier_rule(&self, trace: &TierRuleTrace) -> ExplainedTierRule {
        let (knobs, conditions) = doubts(trace.hit);
        ExplainedTierRule {
            rule: rule_path(trace.rule.direction, trace.rule.index),
            name: trace.name.as_ref().map(ToString::to_string),
            action: trace.action.as_str(),
            source: self.tier_rule_place(trace.rule),
            matches: word(trace.hit),
            late: trace.late,
            knobs,
            conditions,
            peers: self.explained_entries(&trace.peers),
            ports: self.explained_entries(&trace.ports),
        }
    }

    fn explained_policy(&self, trace: &PolicyTrace) -> ExplainedPolicy {
        ExplainedPolicy {
            policy: self.policy(trace.policy),
            source: self.place(self.cluster().policies.at(trace.policy).span),
            skipped: trace.skipped.clone(),
            rules: trace.rules.iter().map(|rule| self.explained_rule(rule)).collect(),
        }
    }

    fn explained_rule(&self, trace: &RuleTrace) -> ExplainedRule {
        let (knobs, conditions) = doubts(trace.hit);
        ExplainedRule {
            rule: rule_path(trace.rule.direction, trace.rule.index),
            source: self.place(trace.span),
            admits: word(trace.hit),
            knobs,
            conditions,
            peers: self.explained_entries(&trace.peers),
            ports: self.explained_entries(&trace.ports),
        }
    }

    fn explained_entries(&self, entries: &[EntryTrace]) -> Vec<ExplainedEntry> {
        let entry = |entry: &EntryTrace| ExplainedEntry {
            matches: word(entry.hit),
            why: entry.why.clone(),
            source: self.place(entry.span),
        };
        entries.iter().map(entry).collect()
    }
}
