//! All connections.

use policy_core::compile::connections::Connections;
use policy_core::compile::groups::{Group, Role};
use policy_core::compile::ports::PortValue;
use policy_core::ids::Id;
use policy_core::model::Condition;
use policy_core::query::{Actor, Subject};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Actors, families};
use super::{Header, Hypothetical, PortRange, knobs, ports};
use crate::names::Names;

/// `list`: all connections that are not denied, grouped and compressed without loss.
///
/// A pair of endpoints of which no connection speaks is denied, but for two exemptions: a pod always reaches itself
/// (NP-18), and `ownNode`. No two connections speak of one pair in one family.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ListAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// The endpoints: each group holds endpoints that policies treat alike. Finished pods are in none.
    pub groups: Vec<GroupDto>,
    /// Sets of groups, as indices into `groups`.
    pub sets: Vec<Vec<usize>>,
    /// Every endpoint of `from` reaches every endpoint of `to`, in each of `families` that both of the two speak.
    pub connections: Vec<ConnectionDto>,
    /// NP-19: a node always reaches the pods on it. Only pods that policies isolate are listed, all others are
    /// reached anyway.
    pub own_node: Vec<OwnNode>,
    /// With `--hypothetical`: pods that policies name and the input lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypothetical: Option<Vec<Hypothetical>>,
}

/// Endpoints that policies treat alike.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Group")]
pub struct GroupDto {
    /// `pod`, `hostPod` (a pod on the host's network), `node` or `outside`.
    pub role: &'static str,
    /// The endpoints.
    #[serde(flatten)]
    pub members: Actors,
    /// The IP families in which they can talk.
    pub families: Vec<&'static str>,
}

/// What a set of groups reaches at another.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Connection")]
pub struct ConnectionDto {
    /// The sources, as an index into `sets`.
    pub from: usize,
    /// The destinations, as an index into `sets`.
    pub to: usize,
    /// The IP families for which it holds, as far as both ends speak them.
    pub families: Vec<&'static str>,
    /// The ports.
    #[serde(flatten)]
    pub ports: AdmittedPorts,
}

/// Ports that are let through for sure, or depending on something.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct AdmittedPorts {
    /// Let through.
    pub allowed: Vec<PortRange>,
    /// Let through if `conditions` hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditional: Vec<PortRange>,
    /// Not defined: it depends on `knobs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undefined: Vec<PortRange>,
    /// What conditional ports depend on: `dns`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<&'static str>,
    /// The knobs that undefined ports depend on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
}

/// The isolated pods of one node.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct OwnNode {
    /// The node, as `node/name`; left out for pods whose node is not known: a node reaches those if they run on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The pods.
    pub pods: Actors,
}

/// `list --pairs`: one entry for each pair of workloads.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct PairsAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// The pairs that are not wholly denied. A pod always reaches itself (NP-18); that is not listed.
    pub pairs: Vec<PairDto>,
}

/// What one workload reaches at another.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Pair")]
pub struct PairDto {
    /// A workload, some of its pods where they differ, a node, or addresses.
    pub from: String,
    /// The same.
    pub to: String,
    /// The IP families for which it holds.
    pub families: Vec<&'static str>,
    /// The ports.
    #[serde(flatten)]
    pub ports: AdmittedPorts,
}

impl From<&PortValue> for AdmittedPorts {
    fn from(value: &PortValue) -> Self {
        let conditional = ports(&value.learned);
        let conditions = if conditional.is_empty() { Vec::new() } else { vec![Condition::Dns.as_str()] };
        Self {
            allowed: ports(&value.certain),
            conditional,
            undefined: ports(&value.possible),
            conditions,
            knobs: knobs(value.knobs),
        }
    }
}

/// The members of a group as actors.
pub(crate) fn members(group: &Group) -> Vec<Actor> {
    let mut actors = Vec::new();
    if !group.pods.is_empty() {
        actors.push(Actor::Pods(group.pods.clone()));
    }
    actors.extend(group.nodes.iter().map(|node| Actor::Node(*node)));
    if !group.addresses.is_empty() {
        actors.push(Actor::Addresses(group.addresses.clone()));
    }
    actors
}

impl Names<'_> {
    pub(crate) fn group(&self, group: &Group) -> GroupDto {
        let role = match group.role {
            Role::Pod => "pod",
            Role::HostPod => "hostPod",
            Role::Node => "node",
            Role::Outside => "outside",
        };
        GroupDto { role, members: self.actors_dto(&members(group)), families: families(&group.families) }
    }

    pub(crate) fn list(&self, header: Header, connections: &Connections) -> ListAnswer {
        let index = |id: policy_core::compile::connections::GroupSetId| id.index();
        let of_block = |block: &policy_core::compile::connections::Block| ConnectionDto {
            from: index(block.sources),
            to: index(block.destinations),
            families: families(&block.families),
            ports: AdmittedPorts::from(&block.ports),
        };
        let own = connections.own_node.iter().map(|(node, pods)| OwnNode {
            node: node.map(|node| Subject::Node(node).written(self.cluster())),
            pods: self.actors_dto(&[Actor::Pods(pods.clone())]),
        });
        ListAnswer {
            header,
            groups: connections.groups.values().map(|group| self.group(group)).collect(),
            sets: connections.sets.values().map(|set| set.iter().map(|group| group.index()).collect()).collect(),
            connections: connections.blocks.iter().map(of_block).collect(),
            own_node: own.collect(),
            hypothetical: None,
        }
    }
}
