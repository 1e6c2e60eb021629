//! Explanations.

use policy_core::explain::{EntryTrace, PolicyTrace, RuleTrace, Trace};
use policy_core::model::Hit;
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
    /// The policies of the source's namespace.
    pub egress_policies: Vec<ExplainedPolicy>,
    /// The policies of the destination's namespace.
    pub ingress_policies: Vec<ExplainedPolicy>,
}

/// One policy of the namespace at one end.
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

/// One rule.
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

impl Names<'_> {
    pub(crate) fn trace(&self, trace: &Trace) -> TraceDto {
        let policies =
            |traces: &[PolicyTrace]| -> Vec<_> { traces.iter().map(|trace| self.explained_policy(trace)).collect() };
        TraceDto {
            flow: self.witness(&trace.flow),
            judgement: self.judged(&trace.judgement),
            egress_policies: policies(&trace.egress),
            ingress_policies: policies(&trace.ingress),
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
        let entries = |entries: &[EntryTrace]| -> Vec<_> {
            let entry = |entry: &EntryTrace| ExplainedEntry {
                matches: word(entry.hit),
                why: entry.why.clone(),
                source: self.place(entry.span),
            };
            entries.iter().map(entry).collect()
        };
        ExplainedRule {
            rule: rule_path(trace.rule.direction, trace.rule.index),
            source: self.place(trace.span),
            admits: word(trace.hit),
            knobs: match trace.hit {
                Hit::Maybe(doubts) => knobs(doubts.knobs),
                Hit::Yes | Hit::No => Vec::new(),
            },
            peers: entries(&trace.peers),
            ports: entries(&trace.ports),
        }
    }
}
