//! The shape of a `reach-case/v1` file.

use std::collections::BTreeMap;
use std::fmt;

use policy_core::model::Protocol;
use serde::Deserialize;
use serde_json::Value;

/// One case file. Fields that only tell people something (`source`, `tags`, `note` …) are not read.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The name under which it is reported.
    pub name: String,
    /// Whether a pod is not asked about itself.
    #[serde(default)]
    pub ignore_self: bool,
    /// Knobs that differ from the default profile.
    #[serde(default)]
    pub profile: BTreeMap<String, String>,
    /// What is there before the first step.
    pub cluster: ClusterSpec,
    /// What changes, and what must then hold. State carries over from one step to the next.
    pub steps: Vec<Step>,
}

/// What is there before the first step.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Nodes.
    #[serde(default)]
    pub nodes: Vec<NodeSpec>,
    /// Namespaces.
    #[serde(default)]
    pub namespaces: Vec<NamespaceSpec>,
    /// Pods.
    #[serde(default)]
    pub pods: Vec<PodSpec>,
}

/// A node.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Its name.
    pub name: String,
    /// Its internal addresses.
    #[serde(default)]
    pub ips: Vec<String>,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A namespace.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct NamespaceSpec {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// One text or several.
#[derive(Deserialize, Debug, Clone)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A pod.
#[derive(Deserialize, Debug, Clone)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSpec {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its address, or one of each family.
    pub ip: OneOrMany,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether it is on the host's network.
    #[serde(default)]
    pub host_network: bool,
    /// The node on which it runs.
    pub node: Option<String>,
    /// The ports that it declares.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// Where something listens: for runners with real sockets.
    #[serde(rename = "listens")]
    pub _listens: Option<Value>,
}

/// A declared port.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct PortSpec {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// Its protocol.
    pub protocol: String,
}

/// Changes, then questions.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A title.
    pub name: Option<String>,
    /// What changes, in this order.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What must then hold.
    #[serde(default)]
    pub probes: Vec<Probe>,
}

/// One change.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Change {
    /// Creates the object, or replaces the one of its kind, namespace and name.
    Apply(Value),
    /// Deletes an object.
    Delete {
        /// Its kind.
        kind: String,
        /// Its namespace; none for a cluster-scoped object.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// Gives a pod a new label set.
    SetPodLabels {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// All of its labels.
        labels: BTreeMap<String, String>,
    },
    /// Gives a namespace a new label set.
    SetNamespaceLabels {
        /// Its name.
        name: String,
        /// All of its labels.
        labels: BTreeMap<String, String>,
    },
    /// Adds a namespace.
    CreateNamespace(NamespaceSpec),
    /// Removes a namespace with everything in it.
    DeleteNamespace {
        /// Its name.
        name: String,
    },
    /// Adds a pod.
    CreatePod(PodSpec),
    /// Removes a pod.
    DeletePod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What a question wants to hear.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Policy lets it through.
    Allow,
    /// Policy drops it.
    Deny,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// A port by number, or by the name that the destination gives it.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(untagged)]
pub enum PortAsked {
    /// A number.
    Number(u16),
    /// A name.
    Name(String),
}

impl fmt::Display for PortAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(port) => write!(f, "{port}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// A protocol, as cases write it.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProtocolAsked {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl From<ProtocolAsked> for Protocol {
    fn from(asked: ProtocolAsked) -> Self {
        match asked {
            ProtocolAsked::Tcp => Self::Tcp,
            ProtocolAsked::Udp => Self::Udp,
            ProtocolAsked::Sctp => Self::Sctp,
        }
    }
}

/// A family, as cases write it.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum FamilyAsked {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

/// Questions: a matrix, or single pairs.
#[derive(Deserialize, Debug)]
#[serde(untagged, deny_unknown_fields)]
pub enum Probe {
    /// Single questions.
    Pairs {
        /// The questions.
        pairs: Vec<Pair>,
    },
    /// Every ordered pair of pods.
    Matrix {
        /// The protocol.
        protocol: ProtocolAsked,
        /// The port.
        port: PortAsked,
        /// What holds where no rule matches.
        default: Expect,
        /// Exceptions; the last one that matches wins.
        #[serde(default)]
        rules: Vec<MatrixRule>,
    },
}

/// One exception of a matrix.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct MatrixRule {
    /// Which sources.
    pub from: OneOrMany,
    /// Which destinations.
    pub to: OneOrMany,
    /// What holds for them.
    pub expect: Expect,
}

/// One question.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// `namespace/name`, or an address.
    pub from: String,
    /// `namespace/name`, or an address.
    pub to: String,
    /// The protocol.
    pub protocol: ProtocolAsked,
    /// The port.
    pub port: PortAsked,
    /// The family; every one that both ends have when it is left out.
    pub family: Option<FamilyAsked>,
    /// What must hold.
    pub expect: Expect,
}
