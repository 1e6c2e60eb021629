//! The answers of `batch`: one short line each.

use std::borrow::Cow;

use policy_core::ids::Id;
use policy_core::model::{Cluster, End, Flow, Judgement, Tier};
use policy_core::query::{Actor, Subject};
use policy_core::snapshot::Effect as CoreEffect;
use policy_core::ways::walk::Way;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{Actors, Decider, EndCondition, JudgedCell, TierRuleDto, conditions, deciding, deciding_both};
use super::api::RightDto;
use super::route::{FindingDto, RouteLine, finding};
use super::way::ThroughDto;
use super::{Effect, flag, knobs, verdict_of};
use crate::names::Names;
use crate::way_names::{actor, hops_text};

/// One line that `batch` prints: an answer or a refusal.
#[derive(Serialize, JsonSchema, Debug)]
#[serde(untagged)]
pub enum BatchLine<'a> {
    /// An answer.
    Answer(Box<Reply<'a>>),
    /// An answer to a question with `url`.
    Route(Box<RouteLine<'a>>),
    /// An answer to a question of a user of the API server.
    User(Box<UserLine<'a>>),
    /// A line that could not be answered.
    Refusal(Refusal<'a>),
}

/// The answer to one question.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Reply<'a> {
    /// The question's `id`, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub id: Option<&'a RawValue>,
    /// The verdict and its reasons.
    #[serde(flatten)]
    pub answer: Answer<'a>,
    /// When the question has several parts, or names no port: the exact partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cells: Option<Vec<JudgedCell>>,
    /// When the question, or a part of it, is answered by ways: those that somebody gets through, or all when nobody
    /// does; empty when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ways: Option<Vec<WayLine>>,
    /// When `to` is the name of an ExternalName: the names on the way to what it stands for (W-EXTNAME, SVC-16).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<ThroughDto>,
    /// What the answer leaves out; left out when there is nothing.
    #[serde(flatten)]
    pub caveats: LineCaveats<'a>,
}

/// A part of a way, in short.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct WayLine {
    /// The id of its kind in docs/SPEC.md: `W-LB`, `W-NP`, `W-ING` ….
    pub way: &'static str,
    /// Its hops, in words.
    pub hops: String,
    /// Who takes it.
    pub from: Actors,
    /// What is at its end; empty where it ends before.
    pub to: Actors,
    /// The port there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What becomes of them.
    #[serde(flatten)]
    pub finding: FindingDto,
}

/// The answer to a question of a user of the API server.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct UserLine<'a> {
    /// The question's `id`, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub id: Option<&'a RawValue>,
    /// `allowed`, `denied`, `undefined`, `conditional`, `no-route` or `no-listener`.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The ways that may be open, or all when none is.
    pub api_ways: Vec<ApiWayLine>,
    /// Why there is no way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What the answer leaves out; left out when there is nothing.
    #[serde(flatten)]
    pub caveats: LineCaveats<'a>,
}

/// A way of a user, in short.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ApiWayLine {
    /// `W-APROXY` or `W-PFWD`.
    pub way: &'static str,
    /// The resource that is asked for: `pods/portforward` ….
    pub by: &'static str,
    /// The request, for the first of `to`.
    pub request: String,
    /// What is at its end.
    pub to: Actors,
    /// The TCP port there; left out where it may be any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `allowed`, `denied`, `undefined`, `conditional`, `no-route` or `no-listener`.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// What must be granted, all of it, and what grants it.
    pub rights: Vec<RightDto>,
    /// The knobs that an undefined verdict depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
    /// What a conditional verdict depends on, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
}

impl UserLine<'_> {
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        write(&self, out);
    }
}

/// A verdict and its reasons.
#[derive(Serialize, JsonSchema, Clone, Debug)]
pub struct Answer<'a> {
    /// `allowed`, `denied`, `undefined`, `conditional`, `no-route` or `no-listener`. When `cells` have several
    /// verdicts it is `conditional` and `rule` is `M-3`.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The policies that decided, as `namespace/name`, cluster-wide ones as `Kind/name`; of the first cell when there
    /// are several.
    pub policies: Vec<&'a str>,
    /// The source's end.
    pub egress: LineEnd<'a>,
    /// The destination's end.
    pub ingress: LineEnd<'a>,
    /// The knobs that an undefined verdict depends on.
    pub knobs: Vec<&'static str>,
    /// What a conditional verdict depends on: `placement`, `dns`; of ways, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Cow<'static, str>>,
    /// Remarks: `undeclared_port`, `hypothetical`, `host_network` ….
    pub flags: Vec<&'static str>,
}

/// What one end's policies say.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct LineEnd<'a> {
    /// `allowed`, `denied`, `undefined` or `conditional`.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The policies that decided: the cluster-wide ones that settle the end or leave it open, and, unless a tier
    /// settles it, those that admit the flow, or else those that isolate the end.
    pub policies: Vec<&'a str>,
    /// The tier of cluster-wide policies that settles this end, whatever comes after it: `Admin` or `Baseline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<&'static str>,
    /// The rules of cluster-wide policies that match or may match, in the order of asking.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tier_rules: Vec<TierRuleDto>,
    /// What a conditional end depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<EndCondition>,
}

/// What an answer leaves out.
#[derive(Serialize, JsonSchema, Clone, Copy, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct LineCaveats<'a> {
    /// Part of the input was skipped (`--keep-going`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// How objects that are not modelled could change this answer.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub not_modelled: &'a [Effect],
}

/// A line that could not be answered.
#[derive(Serialize, JsonSchema, Clone, Debug)]
pub struct Refusal<'a> {
    /// The question's `id`, when it could be read.
    #[schemars(with = "Option<serde_json::Value>")]
    id: Option<&'a RawValue>,
    /// What is wrong.
    error: Wrong,
}

/// What is wrong with a line.
#[derive(Serialize, JsonSchema, Clone, Debug)]
struct Wrong {
    /// What is wrong.
    message: String,
    /// The line's number, from 1.
    line: usize,
    /// Names that could have been meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near: Vec<String>,
}

impl<'a> Refusal<'a> {
    pub(crate) fn new(id: Option<&'a RawValue>, line: usize, message: String, near: Vec<String>) -> Self {
        Self { id, error: Wrong { message, line, near } }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        write(&self, out);
    }
}

pub(super) fn write(line: &impl Serialize, out: &mut Vec<u8>) {
    // Writing plain structs into memory cannot fail.
    let _ = serde_json::to_writer(out, line);
}

impl<'a> Reply<'a> {
    pub(crate) fn new(
        id: Option<&'a RawValue>,
        answer: Answer<'a>,
        cells: Option<Vec<JudgedCell>>,
        caveats: LineCaveats<'a>,
    ) -> Self {
        Self { id, answer, cells, ways: None, through: Vec::new(), caveats }
    }

    /// The answer to a question with no pod and no node at either end.
    pub(crate) fn nothing(
        id: Option<&'a RawValue>,
        verdict: policy_core::model::Verdict,
        caveats: LineCaveats<'a>,
    ) -> Self {
        let end = || LineEnd {
            verdict: "allowed",
            rule: "M-2",
            policies: Vec::new(),
            tier: None,
            tier_rules: Vec::new(),
            conditions: Vec::new(),
        };
        let answer = Answer {
            verdict: verdict.as_str(),
            rule: "M-2",
            policies: Vec::new(),
            egress: end(),
            ingress: end(),
            knobs: Vec::new(),
            conditions: Vec::new(),
            flags: Vec::new(),
        };
        Self::new(id, answer, None, caveats)
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        write(&self, out);
    }
}

/// What answers refer to, written once.
pub(crate) struct Ends {
    policies: Vec<String>,
    cluster_policies: Vec<String>,
    incomplete: bool,
    /// What bears on every answer, and on answers about each namespace.
    everywhere: Vec<Effect>,
    of_namespace: Vec<Vec<Effect>>,
    anywhere: Vec<Effect>,
}

impl Ends {
    pub(crate) fn new(cluster: &Cluster, names: &Names<'_>) -> Self {
        let effects = |applies: &dyn Fn(Option<&str>) -> bool| {
            let bears = cluster.not_modelled.iter().filter(|object| match object.effect {
                CoreEffect::None => false,
                CoreEffect::Policy => applies(object.namespace.as_deref()),
                _ => true,
            });
            let mut effects: Vec<Effect> = bears.map(|object| object.effect.into()).collect();
            effects.sort_unstable();
            effects.dedup();
            effects
        };
        let of_namespace = |name: &str| effects(&|namespace| namespace.is_none_or(|namespace| namespace == name));
        let quiet = cluster.not_modelled.is_empty();
        let namespaces = cluster.namespaces.values();
        Self {
            policies: cluster.policies.ids().map(|id| names.policy(id)).collect(),
            cluster_policies: cluster.cluster_policies.ids().map(|id| names.cluster_policy(id)).collect(),
            incomplete: cluster.incomplete,
            everywhere: effects(&|namespace| namespace.is_none()),
            of_namespace: namespaces.map(|space| if quiet { Vec::new() } else { of_namespace(&space.name) }).collect(),
            anywhere: effects(&|_| true),
        }
    }

    fn decider(&self, policy: Decider) -> &str {
        let name = match policy {
            Decider::Cluster(id) => self.cluster_policies.get(id.index()),
            Decider::Namespaced(id) => self.policies.get(id.index()),
        };
        name.map_or("", String::as_str)
    }

    /// What an answer about these subjects leaves out: of two namespaces, the one with more to say.
    pub(crate) fn caveats(&self, cluster: &Cluster, subjects: &[&Subject]) -> LineCaveats<'_> {
        let of = |subject: &&Subject| -> &[Effect] {
            let namespace = match subject {
                Subject::Workload(id) => cluster.workloads.at(*id).namespace,
                Subject::Pod(id) => cluster.pods.at(*id).namespace,
                Subject::Namespace(id) => *id,
                Subject::Node(_) | Subject::Internet | Subject::Name(_) => return &self.everywhere,
                Subject::Address(_) | Subject::Cidr(_) | Subject::Everything => return &self.anywhere,
            };
            self.of_namespace.get(namespace.index()).map_or(&self.anywhere, Vec::as_slice)
        };
        // The lists differ by `policy` alone, so the longest holds the others.
        let not_modelled = subjects.iter().map(of).max_by_key(|effects| effects.len()).unwrap_or_default();
        LineCaveats { incomplete: self.incomplete, not_modelled }
    }

    pub(crate) fn answer(&self, judgement: &Judgement, flow: &Flow, names: &Names<'_>) -> Answer<'_> {
        let named = |policies: Vec<Decider>| policies.into_iter().map(|policy| self.decider(policy)).collect();
        let end = |end: &End| LineEnd {
            verdict: verdict_of(end.outcome),
            rule: end.rule,
            policies: named(deciding(names.cluster(), end)),
            tier: end.tier.map(Tier::as_str),
            tier_rules: names.tier_rules(end),
            conditions: names.end_conditions(end, flow),
        };
        Answer {
            verdict: judgement.verdict.as_str(),
            rule: judgement.rule,
            policies: named(deciding_both(names.cluster(), judgement)),
            egress: end(&judgement.egress),
            ingress: end(&judgement.ingress),
            knobs: knobs(judgement.knobs()),
            conditions: conditions(&judgement.conditions()).into_iter().map(Cow::Borrowed).collect(),
            flags: judgement.flags.iter().map(|remark| flag(*remark)).collect(),
        }
    }
}

impl Names<'_> {
    /// One line for each part of each of these ways that somebody gets through, or for all of them when nobody does.
    pub(crate) fn way_lines<'w>(&self, ways: impl Iterator<Item = (Option<&'w Actor>, &'w Way)>) -> Vec<WayLine> {
        let mut lines = Vec::new();
        for (from, way) in ways {
            let open = way.parts.iter().any(|part| part.finding.is_open());
            let to = if way.pods.is_empty() { Vec::new() } else { vec![Actor::Pods(way.pods.clone())] };
            let mut to = self.actors_dto(&to);
            to.addresses.extend(way.address.map(|address| address.to_string()));
            for part in way.parts.iter().filter(|part| !open || part.finding.is_open()) {
                lines.push(WayLine {
                    way: way.kind.id(),
                    hops: hops_text(self, way.kind, &way.hops),
                    from: self.actors_dto(&[from.cloned().unwrap_or_else(|| actor(&part.clients))]),
                    to: to.clone(),
                    port: (way.port > 0).then_some(way.port),
                    finding: finding(&part.finding),
                });
            }
        }
        lines
    }
}
