//! The truth table.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Header, PortRange};

/// `matrix`: a truth table of all workloads.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct MatrixAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// The port that was asked for, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The workloads: the sources of the rows, and the destinations of the columns.
    pub workloads: Vec<String>,
    /// The distinct answers.
    pub answers: Vec<MatrixCell>,
    /// For each source, for each destination: the index of its answer.
    pub rows: Vec<Vec<usize>>,
}

/// What becomes of one pair of workloads.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct MatrixCell {
    /// The verdict that all pods of both share, or `conditional` with the rule `M-3` when they differ.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The ports that are allowed between all pods of both, when no port was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always: Option<Vec<PortRange>>,
    /// The other ports that are not denied for sure between some of them, when no port was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sometimes: Option<Vec<PortRange>>,
}
