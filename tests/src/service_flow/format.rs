//! What a `service-flow/v1` file holds.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::Value;

/// One case.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Case {
    #[serde(rename = "schema")]
    _schema: String,
    /// Its name.
    pub name: String,
    #[serde(rename = "source")]
    _source: Option<Value>,
    #[serde(rename = "origin")]
    _origin: Option<String>,
    #[serde(rename = "features")]
    _features: Option<Value>,
    #[serde(rename = "note")]
    _note: Option<String>,
    #[serde(rename = "tags")]
    _tags: Option<Value>,
    /// The modes of kube-proxy in which the answers hold.
    pub mode: OneOrMany,
    /// What kube-proxy was started with.
    pub proxy: Proxy,
    /// The objects before the first step.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// What is asked before the first step.
    #[serde(default)]
    pub flows: Vec<FlowAsked>,
    /// What changes, and what is asked then.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// A word, or several.
#[derive(Deserialize, Debug)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The words.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }
}

/// The proxy on one node.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Proxy {
    /// The node.
    pub node_name: String,
    /// Its addresses; the first of a family is the primary one.
    #[serde(rename = "nodeIPs")]
    pub node_ips: Vec<IpAddr>,
    /// The addresses of its pods.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<OneOrMany>,
    /// The addresses of Services.
    #[serde(rename = "serviceCIDRs", default)]
    pub service_cidrs: Vec<String>,
    /// `podCIDR` or `none`.
    pub local_detector: String,
    /// The node's zone.
    pub zone: Option<String>,
    /// Whether everything to Service addresses is masqueraded.
    #[serde(default)]
    pub masquerade_all: bool,
    /// Where node ports are open: by the mode, or in these ranges.
    pub node_port_addresses: Option<Vec<String>>,
    /// Whether iptables opens them on 127.0.0.0/8.
    pub localhost_node_ports: Option<bool>,
}

/// A change, and questions.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name.
    pub name: Option<String>,
    /// Objects that are created or replaced.
    #[serde(default)]
    pub apply: Vec<Value>,
    /// Objects that go.
    #[serde(default)]
    pub delete: Vec<Deleted>,
    /// What is asked then.
    #[serde(default)]
    pub flows: Vec<FlowAsked>,
}

/// An object by name.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// One question.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FlowAsked {
    /// What it is about.
    pub name: String,
    /// Who asks.
    pub client: ClientKind,
    /// From which address.
    pub from: IpAddr,
    /// The protocol.
    pub protocol: String,
    /// The address that is dialled.
    pub to: IpAddr,
    /// The port that is dialled.
    pub port: u16,
    /// What becomes of it.
    pub expect: Expect,
    /// Whether the source becomes the node's.
    pub masquerade: Option<bool>,
    /// Then only on the way to these.
    pub masquerade_only_to: Option<Vec<SocketAddr>>,
    #[serde(rename = "origin")]
    _origin: Option<String>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

/// What an address says of who uses it.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// A pod.
    Pod,
    /// A process on the node.
    Node,
    /// The same, on loopback.
    Localhost,
    /// Somebody outside.
    External,
    /// The node, with the address of the load balancer that it dials.
    LbAddress,
}

/// What must become of a packet.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Expect {
    /// One of these gets it.
    Endpoints(Vec<SocketAddr>),
    /// It is lost.
    Drop(bool),
    /// It is refused.
    Reject(bool),
    /// Nothing.
    Unchanged(bool),
    /// It is let in.
    Accept(bool),
}
