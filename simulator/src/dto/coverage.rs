//! What became of the input.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Effect, Header};

/// `coverage`: every object that was read, and how much of it counts.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct CoverageAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// Numbers of objects.
    pub counts: Counts,
    /// Every object, in the order of reading.
    pub objects: Vec<CoveredDto>,
    /// Files in folders that were not read.
    pub skipped_files: Vec<SkippedFile>,
}

/// Numbers of objects.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Used whole.
    pub used: usize,
    /// Used but for some fields.
    pub partly_used: usize,
    /// Of kinds that are not modelled and cannot change an answer.
    pub harmless: usize,
    /// Of kinds that are not modelled and may allow or deny flows.
    pub policy: usize,
    /// Of kinds that are not modelled and may open or name a way in.
    pub way: usize,
    /// Of kinds that are not modelled and may stand for pods.
    pub workload: usize,
    /// Of kinds that nobody knows.
    pub unknown: usize,
}

/// What became of one object.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CoveredObject")]
pub struct CoveredDto {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace` as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `metadata.name`, or `metadata.generateName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `used`, `partlyUsed` or `notModelled`.
    pub extent: &'static str,
    /// What ignoring it means, when it is not modelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// The fields that bear on reachability and are not read, when it is partly used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unused_fields: Vec<UnusedFieldDto>,
}

/// A field that bears on reachability and is not read.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "UnusedField")]
pub struct UnusedFieldDto {
    /// The path from the object's root.
    pub path: String,
    /// Why it matters.
    pub reason: &'static str,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A file that was not read.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct SkippedFile {
    /// Its path.
    pub name: String,
    /// Why.
    pub reason: &'static str,
}
