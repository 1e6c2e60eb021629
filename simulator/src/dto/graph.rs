//! The reachability graph.

use schemars::JsonSchema;
use serde::Serialize;

use super::Header;
use super::list::{AdmittedPorts, GroupDto};

/// `graph`: groups of endpoints as nodes, what they admit as edges.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct GraphAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// The nodes: endpoints that policies treat alike.
    pub nodes: Vec<GroupDto>,
    /// The edges. No edge means that nothing is admitted; a pod always reaches itself (NP-18), and a node the pods on
    /// it (NP-19).
    pub edges: Vec<Edge>,
}

/// What a group reaches at another, or its members at each other.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// The source, as an index into `nodes`.
    pub from: usize,
    /// The destination, as an index into `nodes`.
    pub to: usize,
    /// The ports, by IP families.
    pub ports: Vec<EdgePorts>,
}

/// Ports of some IP families.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct EdgePorts {
    /// The IP families for which they hold.
    pub families: Vec<&'static str>,
    /// The ports.
    #[serde(flatten)]
    pub ports: AdmittedPorts,
}
