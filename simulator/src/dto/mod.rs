//! The documents that `-o json` and `-o yaml` print: versioned, described by schemas in `docs/schemas`.
//!
//! Fields are added, never renamed or removed, within one `apiVersion`.

pub mod answer;
pub mod api;
pub mod batch;
pub mod coverage;
pub mod explain;
pub mod graph;
pub mod list;
pub mod matrix;
pub mod route;
pub mod schema;
pub mod way;

use policy_core::model::{Family, Flag, KnobSet, Outcome, PortSet, Protocol, Verdict};
use policy_core::snapshot;
use schemars::JsonSchema;
use serde::Serialize;

use answer::{Actors, PortAnswer};

/// The version of all documents.
pub const API_VERSION: &str = "portolan.dev/v1";

/// What every document begins with.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// `portolan.dev/v1`.
    pub api_version: &'static str,
    /// The kind of document.
    pub kind: &'static str,
    /// The preset under which the question was answered (`portolan profile` shows its knobs).
    pub preset: &'static str,
    /// What the answer leaves out.
    pub coverage: Caveats,
}

impl Header {
    /// The header of a document.
    #[must_use]
    pub fn new(kind: &'static str, preset: &'static str, coverage: Caveats) -> Self {
        Self { api_version: API_VERSION, kind, preset, coverage }
    }
}

/// What an answer leaves out.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Caveats {
    /// Part of the input was skipped (`--keep-going`): what was skipped could change the answer.
    pub incomplete: bool,
    /// Objects that are not modelled and could change the answer, by kind.
    pub not_modelled: Vec<NotModelled>,
}

/// Objects of one kind that are not modelled.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct NotModelled {
    /// Their `apiVersion`.
    pub api_version: String,
    /// Their `kind`.
    pub kind: String,
    /// What ignoring them means.
    pub effect: Effect,
    /// How many.
    pub count: usize,
    /// One of them, as `namespace/name` or `name`.
    pub first: String,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// How an object that is not modelled could change an answer.
#[derive(Serialize, JsonSchema, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// It cannot.
    None,
    /// It may allow or deny flows.
    Policy,
    /// It may open a way in.
    Way,
    /// It may stand for pods.
    Workload,
    /// Nobody knows.
    Unknown,
}

impl From<snapshot::Effect> for Effect {
    fn from(effect: snapshot::Effect) -> Self {
        match effect {
            snapshot::Effect::None => Self::None,
            snapshot::Effect::Policy => Self::Policy,
            snapshot::Effect::Way => Self::Way,
            snapshot::Effect::Workload => Self::Workload,
            snapshot::Effect::Unknown => Self::Unknown,
        }
    }
}

/// Consecutive ports of one protocol.
#[derive(Serialize, JsonSchema, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "camelCase")]
pub struct PortRange {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'static str,
    /// The first port, from 1.
    pub first: u16,
    /// The last port; all ports of a protocol are 1 to 65535.
    pub last: u16,
}

/// The ranges of a set, by protocol and number.
#[must_use]
pub fn ports(set: &PortSet) -> Vec<PortRange> {
    let of = |protocol: Protocol| {
        let range =
            move |(first, last): &(u16, u16)| PortRange { protocol: protocol.as_str(), first: *first, last: *last };
        set.of(protocol).intervals().iter().map(range)
    };
    Protocol::ALL.into_iter().flat_map(of).collect()
}

/// `IPv4` or `IPv6`.
#[must_use]
pub fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The names of knobs, in their order.
#[must_use]
pub fn knobs(set: KnobSet) -> Vec<&'static str> {
    set.iter().map(policy_core::model::Knob::name).collect()
}

/// The verdict of one end.
#[must_use]
pub fn verdict_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => Verdict::Allowed.as_str(),
        Outcome::Conditional(_) => Verdict::Conditional.as_str(),
        Outcome::Undefined(_) => Verdict::Undefined.as_str(),
        Outcome::Denied => Verdict::Denied.as_str(),
    }
}

/// A remark's name.
#[must_use]
pub fn flag(flag: Flag) -> &'static str {
    flag.as_str()
}

/// Pods that a policy names and the input lacks.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Hypothetical {
    /// What they are: `any pod with app=x in namespace shop`.
    pub who: String,
    /// Whether they could be made today: their namespace is in the input.
    pub namespace_exists: bool,
    /// The policies that name them, as `namespace/name (file:line:column)`, cluster-wide ones as `Kind/name (…)`.
    pub named_by: Vec<String>,
    /// What they could reach; in answers to `where`, who could reach them.
    pub cells: Vec<HypotheticalReach>,
}

/// What hypothetical pods could reach, or who could reach them.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct HypotheticalReach {
    /// The other end.
    pub others: Actors,
    /// The ports.
    #[serde(flatten)]
    pub ports: PortAnswer,
    /// The other end, in short, for people.
    #[serde(skip)]
    pub(crate) shown: String,
    /// The allowed ports, for people.
    #[serde(skip)]
    pub(crate) allowed: String,
}
