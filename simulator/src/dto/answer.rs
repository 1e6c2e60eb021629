//! Answers: judgements, parts of a partition, port sets.

use policy_core::ids::{ClusterPolicyId, PolicyId};
use policy_core::model::{
    Cluster, Condition, Direction, End, Family, Flow, Judgement, Knob, KnobSet, Outcome, Party, RuleRef, Tier,
    TierAction, TierRuleRef, Verdict,
};
use policy_core::query::{Actor, Cell, PortVerdicts, Subject};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Header, PortRange, flag, knobs, ports, verdict_of};
use crate::names::Names;

/// `can`: may FROM open a connection to TO?
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct CanAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// Who opens the connection, as it was written.
    pub from: String,
    /// Who gets it, as it was written.
    pub to: String,
    /// The verdict that all cells share, or `conditional` with the rule `M-3` when they differ: it then depends on
    /// which pod, address or port is meant, and the cells say which.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The exact partition of the question; every source to every destination of a cell has its answer.
    pub cells: Vec<JudgedCell>,
    /// The ways of those who get there by ways alone: from outside to pods, and to Services, their addresses and URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<super::way::WayDto>,
    /// When FROM is a user of the API server: its ways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_ways: Vec<super::api::ApiWayDto>,
    /// When TO is the name of an ExternalName: the names on the way to what it stands for (W-EXTNAME, SVC-16).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<super::way::ThroughDto>,
}

/// A part of a question about one port, with its judgement.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct JudgedCell {
    /// Who opens the connection.
    pub from: Actors,
    /// Who gets it.
    pub to: Actors,
    /// The IP families for which the answer holds: `IPv4`, `IPv6`.
    pub families: Vec<&'static str>,
    /// What becomes of all ports, when the question named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortAnswer>,
    /// An example flow of the cell.
    pub witness: Witness,
    /// The judgement of the witness, and of every flow of the cell when the question named a port.
    #[serde(flatten)]
    pub judgement: Judged,
}

/// `who` and `where`: all cells that are not wholly denied.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ReachAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// Who opens the connection, as it was written; `*` in answers to `who`.
    pub from: String,
    /// Who gets it, as it was written; `*` in answers to `where`.
    pub to: String,
    /// The parts of the exact partition in which something is not denied.
    pub cells: Vec<JudgedCell>,
    /// The ways from outside that somebody gets through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<super::way::WayDto>,
    /// The ways of users of the API server that are not certainly closed: those of FROM, or in answers to `who` those of
    /// everybody whom a binding names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_ways: Vec<super::api::ApiWayDto>,
    /// In answers to `who`: the input has neither roles nor bindings, so that nobody knows which users get there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub api_users_unknown: bool,
    /// With `--hypothetical`: pods that policies name and the input lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypothetical: Option<Vec<super::Hypothetical>>,
}

/// Some parties.
#[derive(Serialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct Actors {
    /// Workloads of which all pods are meant, as `namespace/kind/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// Pods of workloads of which not all pods are meant, as `namespace/pod/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// Nodes, as `node/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Addresses, as an address, a CIDR or `first-last`; `internet` is all of them. Addresses of pods and nodes of
    /// the input are never meant, even when a range spans them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// DNS names, for the addresses outside that DNS gives for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// What becomes of all ports; what is in no list is denied.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct PortAnswer {
    /// Let through.
    pub allowed: Vec<PortRange>,
    /// Let through if `conditions` hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditional: Vec<PortRange>,
    /// Not defined: it depends on `knobs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undefined: Vec<PortRange>,
    /// What conditional ports depend on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<&'static str>,
    /// The knobs that undefined ports depend on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
}

/// One flow.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// Who opens the connection.
    pub from: String,
    /// Who gets it.
    pub to: String,
    /// `IPv4` or `IPv6`.
    pub family: &'static str,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'static str,
    /// The destination's port.
    pub port: u16,
}

/// A verdict and its reasons.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// `allowed`, `denied`, `undefined`, `conditional`, `no-route` or `no-listener`.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The policies that decided, as `namespace/name`; cluster-wide ones as `Kind/name`.
    pub policies: Vec<String>,
    /// The source's end.
    pub egress: JudgedEnd,
    /// The destination's end.
    pub ingress: JudgedEnd,
    /// The knobs that an undefined verdict depends on.
    pub knobs: Vec<&'static str>,
    /// What a conditional verdict depends on: `placement`, `dns`.
    pub conditions: Vec<&'static str>,
    /// Remarks: `undeclared_port`, `hypothetical`, `host_network`, `route_assumed` ….
    pub flags: Vec<&'static str>,
}

/// What one end's policies say.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct JudgedEnd {
    /// `allowed`, `denied`, `undefined` or `conditional`.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The policies that decided: the cluster-wide ones that settle the end or leave it open, and, unless a tier
    /// settles it, those that admit the flow, or else those that isolate the end.
    pub policies: Vec<String>,
    /// The tier of cluster-wide policies that settles this end, whatever comes after it: `Admin` or `Baseline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<&'static str>,
    /// The rules of cluster-wide policies that match or may match, in the order of asking.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tier_rules: Vec<TierRuleDto>,
    /// The knobs that an undefined end depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
    /// What a conditional end depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<EndCondition>,
    /// The policies that isolate this end; none when it is not isolated (NP-4).
    pub isolated_by: Vec<String>,
    /// The policy rules that admit the flow.
    pub admitted_by: Vec<AdmittingRule>,
}

/// A rule of a policy.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct AdmittingRule {
    /// The policy, as `namespace/name`.
    pub policy: String,
    /// The rule's path in it, such as `ingress[0]`.
    pub rule: String,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What an end depends on.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct EndCondition {
    /// `placement` or `dns`.
    pub condition: &'static str,
    /// With `dns`: the names in rules, of which DNS may or may not give the address (CNP-10).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domain_names: Vec<String>,
}

/// A rule of a cluster-wide policy.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TierRule")]
pub struct TierRuleDto {
    /// `Admin` or `Baseline`.
    pub tier: &'static str,
    /// `ClusterNetworkPolicy`, `AdminNetworkPolicy` or `BaselineAdminNetworkPolicy`.
    pub kind: String,
    /// The policy's name.
    pub policy: String,
    /// The rule's path in it, such as `ingress[0]`.
    pub rule: String,
    /// What its author calls the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Accept`, `Deny` or `Pass`; `Allow` of an AdminNetworkPolicy is `Accept`.
    pub action: &'static str,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A policy that decided.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Decider {
    Cluster(ClusterPolicyId),
    Namespaced(PolicyId),
}

/// The rules of cluster-wide policies that settle an end, or that leave it open.
pub(crate) fn settling(cluster: &Cluster, end: &End) -> Vec<TierRuleRef> {
    // A rule that accepts or denies and does not settle the end is in doubt or in a tie; one that passes may just hand
    // over to what is in doubt.
    let tied = |knobs: KnobSet| knobs.iter().any(|knob| knob == Knob::EqualPriority);
    let open = |action, tied| end.tier.is_some() || tied || action != Some(TierAction::Pass);
    let takes = |rule: &&TierRuleRef| {
        let policy = cluster.cluster_policies.at(rule.policy);
        let at = usize::try_from(rule.index).ok();
        let action = at.and_then(|at| policy.rules(rule.direction).get(at)).map(|rule| rule.action);
        end.tier.is_none_or(|tier| tier == policy.tier)
            && match end.outcome {
                Outcome::Allowed => end.tier.is_some() && action == Some(TierAction::Accept),
                Outcome::Denied => end.tier.is_some() && action == Some(TierAction::Deny),
                Outcome::Conditional(Condition::Placement) => false,
                Outcome::Conditional(Condition::Dns) => open(action, false),
                Outcome::Undefined(knobs) => open(action, tied(knobs)),
            }
    };
    end.tier_rules.iter().filter(takes).copied().collect()
}

/// The policies that decided at an end.
pub(crate) fn deciding(cluster: &Cluster, end: &End) -> Vec<Decider> {
    let mut policies: Vec<Decider> = Vec::new();
    policies.extend(settling(cluster, end).into_iter().map(|rule| Decider::Cluster(rule.policy)));
    // NP-18, NP-19: policies that isolate and were not asked have decided nothing.
    let unasked = end.outcome == Outcome::Allowed && end.admitting.is_empty();
    if end.tier.is_none() && end.admitting.is_empty() && !unasked {
        policies.extend(end.isolating.iter().copied().map(Decider::Namespaced));
    } else if end.tier.is_none() && !unasked {
        policies.extend(end.admitting.iter().map(|rule| Decider::Namespaced(rule.policy)));
    }
    policies.dedup();
    policies
}

/// The policies that decided a flow: of the ends that stopped it, or of both when none did.
pub(crate) fn deciding_both(cluster: &Cluster, judgement: &Judgement) -> Vec<Decider> {
    let decides = |end: &End| match judgement.verdict {
        Verdict::Allowed => true,
        Verdict::Denied => end.outcome == Outcome::Denied,
        _ => end.outcome != Outcome::Allowed,
    };
    let ends = [&judgement.egress, &judgement.ingress].into_iter().filter(|end| decides(end));
    let mut policies: Vec<_> = ends.flat_map(|end| deciding(cluster, end)).collect();
    policies.sort_unstable();
    policies.dedup();
    policies
}

/// `placement`, `dns`.
pub(crate) fn conditions(conditions: &[Condition]) -> Vec<&'static str> {
    conditions.iter().map(|condition| condition.as_str()).collect()
}

pub(crate) fn families(families: &[Family]) -> Vec<&'static str> {
    families.iter().map(|family| super::family(*family)).collect()
}

/// `ingress[0]`.
pub(crate) fn rule_path(direction: Direction, index: u32) -> String {
    format!("{direction}[{index}]")
}

impl Names<'_> {
    pub(crate) fn decider(&self, policy: Decider) -> String {
        match policy {
            Decider::Cluster(id) => self.cluster_policy(id),
            Decider::Namespaced(id) => self.policy(id),
        }
    }

    pub(crate) fn judged(&self, judgement: &Judgement, flow: &Flow) -> Judged {
        let policies = deciding_both(self.cluster(), judgement);
        Judged {
            verdict: judgement.verdict.as_str(),
            rule: judgement.rule,
            policies: policies.into_iter().map(|policy| self.decider(policy)).collect(),
            egress: self.judged_end(&judgement.egress, flow),
            ingress: self.judged_end(&judgement.ingress, flow),
            knobs: knobs(judgement.knobs()),
            conditions: conditions(&judgement.conditions()),
            flags: judgement.flags.iter().map(|remark| flag(*remark)).collect(),
        }
    }

    fn judged_end(&self, end: &End, flow: &Flow) -> JudgedEnd {
        JudgedEnd {
            verdict: verdict_of(end.outcome),
            rule: end.rule,
            policies: deciding(self.cluster(), end).into_iter().map(|policy| self.decider(policy)).collect(),
            tier: end.tier.map(Tier::as_str),
            tier_rules: self.tier_rules(end),
            knobs: knobs(match end.outcome {
                Outcome::Undefined(knobs) => knobs,
                _ => KnobSet::EMPTY,
            }),
            conditions: self.end_conditions(end, flow),
            isolated_by: end.isolating.iter().map(|policy| self.policy(*policy)).collect(),
            admitted_by: end.admitting.iter().map(|rule| self.admitting(*rule)).collect(),
        }
    }

    /// The rules of cluster-wide policies that have a say at an end.
    pub(crate) fn tier_rules(&self, end: &End) -> Vec<TierRuleDto> {
        let rule = |rule: &TierRuleRef| {
            let policy = self.cluster().cluster_policies.at(rule.policy);
            let written = self.tier_rule(*rule)?;
            Some(TierRuleDto {
                tier: policy.tier.as_str(),
                kind: policy.kind.to_string(),
                policy: policy.name.to_string(),
                rule: rule_path(rule.direction, rule.index),
                name: written.name.as_ref().map(ToString::to_string),
                action: written.action.as_str(),
                source: self.tier_rule_place(*rule),
            })
        };
        end.tier_rules.iter().filter_map(rule).collect()
    }

    /// What an end of a flow depends on, with the names in question.
    pub(crate) fn end_conditions(&self, end: &End, flow: &Flow) -> Vec<EndCondition> {
        let Outcome::Conditional(condition) = end.outcome else { return Vec::new() };
        let domain_names = match condition {
            Condition::Dns => self.domains(end, flow),
            Condition::Placement => Vec::new(),
        };
        vec![EndCondition { condition: condition.as_str(), domain_names }]
    }

    pub(crate) fn admitting(&self, rule: RuleRef) -> AdmittingRule {
        let policy = self.cluster().policies.at(rule.policy);
        let index = usize::try_from(rule.index).unwrap_or(usize::MAX);
        let written = policy.rules(rule.direction).and_then(|rules| rules.get(index));
        AdmittingRule {
            policy: self.policy(rule.policy),
            rule: rule_path(rule.direction, rule.index),
            source: self.place(written.and_then(|rule| rule.span).or(policy.span)),
        }
    }

    /// A flow to one of some destinations.
    pub(crate) fn witness(&self, flow: &Flow, destinations: &[Actor]) -> Witness {
        // A flow knows of a name only what policies can know of it.
        let name = destinations.iter().find_map(|actor| match (actor, flow.destination) {
            (Actor::Name(name), Party::Named(_)) => Some(name.to_string()),
            _ => None,
        });
        Witness {
            from: self.party(flow.source),
            to: name.unwrap_or_else(|| self.party(flow.destination)),
            family: super::family(flow.family),
            protocol: flow.protocol.as_str(),
            port: flow.port,
        }
    }

    pub(crate) fn actors_dto(&self, actors: &[Actor]) -> Actors {
        let mut out = Actors::default();
        for actor in actors {
            match actor {
                Actor::Pods(pods) => {
                    let (whole, rest) = self.whole_workloads(pods);
                    let written = |id| Subject::Workload(id).written(self.cluster());
                    out.workloads.extend(whole.into_iter().map(written));
                    out.pods.extend(rest.into_iter().map(|pod| self.pod(pod)));
                }
                Actor::Node(node) => out.nodes.push(Subject::Node(*node).written(self.cluster())),
                Actor::Addresses(addresses) => out.addresses.extend(self.addresses(addresses)),
                Actor::Name(name) => out.names.push(name.to_string()),
            }
        }
        out
    }

    /// A cell with the judgement of its witness; `ports` when it is about all of them.
    pub(crate) fn judged_cell<T>(
        &self,
        cell: &Cell<T>,
        judgement: &Judgement,
        ports: Option<PortAnswer>,
    ) -> JudgedCell {
        JudgedCell {
            from: self.actors_dto(&cell.sources),
            to: self.actors_dto(&cell.destinations),
            families: families(&cell.families),
            ports,
            witness: self.witness(&cell.witness, &cell.destinations),
            judgement: self.judged(judgement, &cell.witness),
        }
    }
}

impl From<&PortVerdicts> for PortAnswer {
    fn from(verdicts: &PortVerdicts) -> Self {
        Self {
            allowed: ports(&verdicts.allowed),
            conditional: ports(&verdicts.conditional),
            undefined: ports(&verdicts.undefined),
            conditions: conditions(&verdicts.conditions),
            knobs: knobs(verdicts.knobs),
        }
    }
}
