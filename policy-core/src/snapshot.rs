//! What was written: every object of the input, as it stands there, with places.
//!
//! The bodies hold only the fields that some rule reads. Strictness (unknown fields, wrong types) is the
//! reader's business: see [`manifest`](crate::manifest). Nothing here is interpreted: defaults, validation and
//! ownership belong to [`lower`](crate::lower).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::source::{Span, Spanned};

/// The objects of one reading, in input order.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every object that could be read, modelled or not.
    pub objects: Vec<Object>,
    /// Whether something was skipped (a bad document under `--keep-going`): every answer is then incomplete.
    pub incomplete: bool,
}

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    /// `apiVersion` as written.
    pub api_version: Arc<str>,
    /// `kind` as written.
    pub kind: Arc<str>,
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// The whole object's place; `None` for objects that were built, not read.
    pub span: Option<Span>,
    /// Equal for two objects with equal content, whatever the key order and layout.
    pub fingerprint: u64,
    /// Fields that bear on reachability and that no rule reads yet, as paths (`spec.containers[0].ports[0].hostPort`).
    pub unread: Vec<UnreadField>,
    /// The rest.
    pub body: Body,
}

/// A field that was read and not used (coverage).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnreadField {
    /// The path from the object's root.
    pub path: String,
    /// Where it is.
    pub span: Option<Span>,
}

/// The part of an object that its kind decides.
#[derive(Clone, Debug)]
pub enum Body {
    /// v1 Namespace.
    Namespace,
    /// v1 Node.
    Node(Box<NodeBody>),
    /// v1 Pod.
    Pod(Box<PodBody>),
    /// Anything with a pod template.
    Workload(Box<WorkloadBody>),
    /// networking.k8s.io/v1 and extensions/v1beta1 NetworkPolicy (NP-33).
    NetworkPolicy(Box<NetworkPolicyBody>),
    /// policy.networking.k8s.io ClusterNetworkPolicy, AdminNetworkPolicy or BaselineAdminNetworkPolicy.
    ClusterPolicy(Box<ClusterPolicyBody>),
    /// A kind that is not modelled, and what ignoring it means.
    NotModelled(Effect),
}

/// How an object that is not modelled could change an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Effect {
    /// It cannot: ConfigMap, ServiceAccount, StorageClass ….
    None,
    /// It may allow or deny flows: CiliumNetworkPolicy, AuthorizationPolicy ….
    Policy,
    /// It may open or name a way in: Service, Ingress, HTTPRoute ….
    Way,
    /// It may stand for pods: a controller's custom resource with a pod template ….
    Workload,
    /// Nobody knows: a custom resource of an unknown group.
    Unknown,
}

/// `metadata`, the fields that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// `name`.
    pub name: Option<Arc<str>>,
    /// `generateName`, for an object without a name.
    pub generate_name: Option<Arc<str>>,
    /// `namespace`.
    pub namespace: Option<Arc<str>>,
    /// `labels`.
    pub labels: Option<BTreeMap<Arc<str>, Arc<str>>>,
    /// `uid`: only an API server writes it.
    pub uid: Option<Arc<str>>,
    /// `resourceVersion`: only an API server writes it.
    pub resource_version: Option<Arc<str>>,
    /// `deletionTimestamp`: the object is terminating.
    pub deletion_timestamp: Option<Arc<str>>,
    /// `ownerReferences`.
    pub owner_references: Option<Vec<OwnerReference>>,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// `apiVersion`.
    pub api_version: Option<Arc<str>>,
    /// `kind`.
    pub kind: Option<Arc<str>>,
    /// `name`.
    pub name: Option<Arc<str>>,
    /// `uid`.
    pub uid: Option<Arc<str>>,
    /// `controller`: at most one owner is.
    pub controller: Option<bool>,
}

/// v1 Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeBody {
    /// `status`.
    pub status: Option<NodeStatus>,
}

/// `status` of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// `addresses`.
    pub addresses: Option<Vec<NodeAddress>>,
}

/// One entry of a Node's `status.addresses`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `type`: `InternalIP`, `ExternalIP`, `Hostname` ….
    pub r#type: Option<Arc<str>>,
    /// `address`.
    pub address: Option<Spanned<Arc<str>>>,
}

/// v1 Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodBody {
    /// `spec`.
    pub spec: Option<PodSpec>,
    /// `status`.
    pub status: Option<PodStatus>,
}

/// `spec` of a Pod or of a pod template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// `nodeName`.
    pub node_name: Option<Arc<str>>,
    /// `hostNetwork`.
    pub host_network: Option<bool>,
    /// `containers`.
    pub containers: Option<Vec<Container>>,
    /// `initContainers`; those with `restartPolicy: Always` are native sidecars (NP-16).
    pub init_containers: Option<Vec<Container>>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// `ports`.
    pub ports: Option<Vec<ContainerPort>>,
    /// `restartPolicy`, of an init container.
    pub restart_policy: Option<Arc<str>>,
}

/// One entry of a container's `ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// `name`.
    pub name: Option<Arc<str>>,
    /// `protocol`; TCP when left out.
    pub protocol: Option<Spanned<Arc<str>>>,
    /// `containerPort`.
    pub container_port: Option<Spanned<i64>>,
}

/// `status` of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `phase`.
    pub phase: Option<Arc<str>>,
    /// `podIP`.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<Spanned<Arc<str>>>,
    /// `podIPs`.
    #[serde(rename = "podIPs")]
    pub pod_ips: Option<Vec<PodIp>>,
    /// `hostIP`: the node's address.
    #[serde(rename = "hostIP")]
    pub host_ip: Option<Spanned<Arc<str>>>,
}

/// One entry of `status.podIPs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// `ip`.
    pub ip: Option<Spanned<Arc<str>>>,
}

/// An object with a pod template: Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadBody {
    /// `spec.replicas`.
    pub replicas: Option<i64>,
    /// `spec.template`, or `spec.jobTemplate.spec.template`.
    pub template: PodTemplate,
    /// Whether `status` says that the workload has finished (a Job that completed or failed).
    pub finished: bool,
}

/// A pod template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodTemplate {
    /// `metadata`, of which labels are read.
    pub metadata: Option<ObjectMeta>,
    /// `spec`.
    pub spec: Option<PodSpec>,
}

/// NetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NetworkPolicyBody {
    /// `spec`.
    pub spec: Option<NetworkPolicySpec>,
}

/// `spec` of a NetworkPolicy. Missing and `null` are `None`; `[]` is `Some(vec![])`: NP-2 and NP-7 tell them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicySpec {
    /// `podSelector`.
    pub pod_selector: Option<LabelSelector>,
    /// `policyTypes`.
    pub policy_types: Option<Spanned<Vec<Spanned<Arc<str>>>>>,
    /// `ingress`.
    pub ingress: Option<Vec<Spanned<IngressRule>>>,
    /// `egress`.
    pub egress: Option<Vec<Spanned<EgressRule>>>,
}

/// One ingress rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressRule {
    /// `from`.
    pub from: Option<Vec<Spanned<PolicyPeer>>>,
    /// `ports`.
    pub ports: Option<Vec<Spanned<PolicyPort>>>,
}

/// One egress rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EgressRule {
    /// `to`.
    pub to: Option<Vec<Spanned<PolicyPeer>>>,
    /// `ports`.
    pub ports: Option<Vec<Spanned<PolicyPort>>>,
}

/// One peer of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyPeer {
    /// `podSelector`.
    pub pod_selector: Option<LabelSelector>,
    /// `namespaceSelector`.
    pub namespace_selector: Option<LabelSelector>,
    /// `ipBlock`.
    pub ip_block: Option<Spanned<IpBlock>>,
}

/// `ipBlock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IpBlock {
    /// `cidr`.
    pub cidr: Option<Spanned<Arc<str>>>,
    /// `except`.
    pub except: Option<Vec<Spanned<Arc<str>>>>,
}

/// One port entry of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyPort {
    /// `protocol`.
    pub protocol: Option<Spanned<Arc<str>>>,
    /// `port`.
    pub port: Option<Spanned<IntOrString>>,
    /// `endPort`.
    pub end_port: Option<Spanned<i64>>,
}

/// A number or a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A name.
    String(Arc<str>),
}

/// A label selector. `None` and empty lists mean the same inside one selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// `matchLabels`.
    pub match_labels: Option<BTreeMap<Arc<str>, Spanned<Arc<str>>>>,
    /// `matchExpressions`.
    pub match_expressions: Option<Vec<Spanned<SelectorRequirement>>>,
}

/// One entry of `matchExpressions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SelectorRequirement {
    /// `key`.
    pub key: Option<Spanned<Arc<str>>>,
    /// `operator`.
    pub operator: Option<Spanned<Arc<str>>>,
    /// `values`.
    pub values: Option<Vec<Spanned<Arc<str>>>>,
}

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

/// `metadata` once more, with the place of the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PlacedName {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
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
