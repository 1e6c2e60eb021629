//! Cluster-wide policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::snapshot::{LabelSelector, PlacedName, SelectorRequirement};
use crate::source::Spanned;

/// ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy: the fields of all three. Which of them
/// the kind of an object has is the reader's business, and what they mean there [`lower`](crate::lower)'s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClusterPolicyBody {
    /// `metadata`, for the place of the name.
    pub metadata: Option<PlacedName>,
    /// `spec`.
    pub spec: Option<ClusterPolicySpec>,
}

/// `spec` of a cluster-wide policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClusterPolicySpec {
    /// `tier`, of a ClusterNetworkPolicy.
    pub tier: Option<Spanned<Arc<str>>>,
    /// `priority`.
    pub priority: Option<Spanned<i64>>,
    /// `subject`.
    pub subject: Option<Spanned<TierSubject>>,
    /// `ingress`.
    pub ingress: Option<Vec<Spanned<TierIngressRule>>>,
    /// `egress`.
    pub egress: Option<Vec<Spanned<TierEgressRule>>>,
}

/// `subject`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TierSubject {
    /// `namespaces`.
    pub namespaces: Option<LabelSelector>,
    /// `pods`.
    pub pods: Option<Spanned<NamespacedPods>>,
}

/// One ingress rule of a cluster-wide policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TierIngressRule {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// `action`.
    pub action: Option<Spanned<Arc<str>>>,
    /// `from`.
    pub from: Option<Spanned<Vec<Spanned<TierPeer>>>>,
    /// `protocols`, of a ClusterNetworkPolicy.
    pub protocols: Option<Spanned<Vec<Spanned<TierProtocol>>>>,
    /// `ports`, of the others.
    pub ports: Option<Spanned<Vec<Spanned<TierPort>>>>,
}

/// One egress rule of a cluster-wide policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TierEgressRule {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// `action`.
    pub action: Option<Spanned<Arc<str>>>,
    /// `to`.
    pub to: Option<Spanned<Vec<Spanned<TierPeer>>>>,
    /// `protocols`, of a ClusterNetworkPolicy.
    pub protocols: Option<Spanned<Vec<Spanned<TierProtocol>>>>,
    /// `ports`, of the others.
    pub ports: Option<Spanned<Vec<Spanned<TierPort>>>>,
}

/// One peer of a cluster-wide policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TierPeer {
    /// `namespaces`.
    pub namespaces: Option<Spanned<TierNamespaces>>,
    /// `pods`.
    pub pods: Option<Spanned<NamespacedPods>>,
    /// `nodes`.
    pub nodes: Option<Spanned<LabelSelector>>,
    /// `networks`.
    pub networks: Option<Spanned<Vec<Spanned<Arc<str>>>>>,
    /// `domainNames`.
    pub domain_names: Option<Spanned<Vec<Spanned<Arc<str>>>>>,
}

/// `namespaces` of a peer: a label selector, or what the first AdminNetworkPolicies had in its place (ANP-5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TierNamespaces {
    /// `matchLabels`.
    pub match_labels: Option<BTreeMap<Arc<str>, Spanned<Arc<str>>>>,
    /// `matchExpressions`.
    pub match_expressions: Option<Vec<Spanned<SelectorRequirement>>>,
    /// `namespaceSelector`, of old.
    pub namespace_selector: Option<Spanned<LabelSelector>>,
    /// `sameLabels`, of old.
    pub same_labels: Option<Spanned<Vec<Arc<str>>>>,
    /// `notSameLabels`, of old.
    pub not_same_labels: Option<Spanned<Vec<Arc<str>>>>,
}

/// `pods` of a subject or a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespacedPods {
    /// `namespaceSelector`.
    pub namespace_selector: Option<LabelSelector>,
    /// `namespaces`, of old (ANP-5).
    pub namespaces: Option<Spanned<TierNamespaces>>,
    /// `podSelector`.
    pub pod_selector: Option<LabelSelector>,
}

/// One entry of `protocols`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TierProtocol {
    /// `tcp`.
    pub tcp: Option<Spanned<TierTransport>>,
    /// `udp`.
    pub udp: Option<Spanned<TierTransport>>,
    /// `sctp`.
    pub sctp: Option<Spanned<TierTransport>>,
    /// `destinationNamedPort`.
    pub destination_named_port: Option<Spanned<Arc<str>>>,
}

/// `tcp`, `udp` or `sctp` of an entry of `protocols`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TierTransport {
    /// `destinationPort`.
    pub destination_port: Option<Spanned<DestinationPort>>,
}

/// `destinationPort`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DestinationPort {
    /// `number`.
    pub number: Option<Spanned<i64>>,
    /// `range`.
    pub range: Option<Spanned<TierPortRange>>,
}

/// One entry of `ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TierPort {
    /// `portNumber`.
    pub port_number: Option<Spanned<TierPortNumber>>,
    /// `portRange`.
    pub port_range: Option<Spanned<TierPortRange>>,
    /// `namedPort`.
    pub named_port: Option<Spanned<Arc<str>>>,
}

/// `portNumber`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TierPortNumber {
    /// `protocol`.
    pub protocol: Option<Spanned<Arc<str>>>,
    /// `port`.
    pub port: Option<Spanned<i64>>,
}

/// `range` of a `destinationPort`, or `portRange`, which has a protocol as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TierPortRange {
    /// `protocol`.
    pub protocol: Option<Spanned<Arc<str>>>,
    /// `start`.
    pub start: Option<Spanned<i64>>,
    /// `end`.
    pub end: Option<Spanned<i64>>,
}
