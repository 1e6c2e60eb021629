//! What was written: every object of the input, as it stands there, with places.
//!
//! The bodies hold only the fields that some rule reads. Strictness (unknown fields, wrong types) is the
//! reader's business: see [`manifest`](crate::manifest). Nothing here is interpreted: defaults, validation and
//! ownership belong to [`lower`](crate::lower).

mod access;
mod delta;
mod flags;
pub mod gateway;
mod ingress;
mod network_policy;
mod service;
mod tier;
mod workload;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::source::{Span, Spanned};

pub use access::{AccessRule, AggregationRule, RoleBindingBody, RoleBody, RoleRef, ServiceAccountBody, Subject};
pub use delta::{ObjectKey, SnapshotDelta, WatchedKind};
pub use flags::{Flags, Variables};
pub use gateway::GatewayApiBody;
pub use ingress::{
    ConfigMapBody, IngressAddress, IngressBackend, IngressBody, IngressClassBody, IngressClassSpec, IngressHostRule,
    IngressHttp, IngressLoadBalancer, IngressPath, IngressServiceBackend, IngressSpec, IngressStatus, IngressTls,
    ResourceReference, ServiceBackendPort, is_controller_setting,
};
pub use network_policy::{
    EgressRule, IngressRule, IpBlock, NetworkPolicyBody, NetworkPolicySpec, PolicyPeer, PolicyPort,
};
pub use service::{
    EndpointAddress, EndpointPort, EndpointSliceBody, EndpointSubset, EndpointsBody, Hint, LoadBalancerPoint,
    LoadBalancerStatus, PortStatus, ServiceBody, ServicePort, ServiceSpec, ServiceStatus, SliceConditions,
    SliceEndpoint, SliceHints, TargetReference,
};
pub use tier::{
    ClusterPolicyBody, ClusterPolicySpec, DestinationPort, NamespacedPods, TierEgressRule, TierIngressRule,
    TierNamespaces, TierPeer, TierPort, TierPortNumber, TierPortRange, TierProtocol, TierSubject, TierTransport,
};
pub use workload::{
    Container, ContainerPort, NodeAddress, NodeBody, NodeSpec, NodeStatus, PodBody, PodConditions, PodIp, PodSpec,
    PodStatus, PodTemplate, WorkloadBody,
};

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
    /// Fields that bear on reachability and that no rule reads yet, as paths (`metadata.labels["istio-injection"]`).
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
    /// networking.k8s.io and extensions Ingress (ING-1, ING-2).
    Ingress(Box<IngressBody>),
    /// networking.k8s.io IngressClass (ING-9).
    IngressClass(Box<IngressClassBody>),
    /// v1 ConfigMap with something that an Ingress controller may read (ING-31).
    ConfigMap(Box<ConfigMapBody>),
    /// rbac.authorization.k8s.io Role or ClusterRole.
    Role(Box<RoleBody>),
    /// rbac.authorization.k8s.io RoleBinding or ClusterRoleBinding.
    RoleBinding(Box<RoleBindingBody>),
    /// v1 ServiceAccount.
    ServiceAccount(ServiceAccountBody),
    /// v1 Service.
    Service(Box<ServiceBody>),
    /// v1 Endpoints.
    Endpoints(Box<EndpointsBody>),
    /// discovery.k8s.io EndpointSlice.
    EndpointSlice(Box<EndpointSliceBody>),
    /// An object of the Gateway API.
    GatewayApi(Box<GatewayApiBody>),
    /// A kind that is not modelled, and what ignoring it means.
    NotModelled(Effect),
}

/// How an object that is not modelled could change an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Effect {
    /// It cannot: ConfigMap, LimitRange, StorageClass ….
    None,
    /// It may allow or deny flows: CiliumNetworkPolicy, AuthorizationPolicy ….
    Policy,
    /// It may open or name a way in: Ingress, HTTPRoute ….
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

/// `metadata` once more, with the place of the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PlacedName {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
}

/// `metadata` once more, with what routes and Services need of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WayMeta {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// `annotations`.
    pub annotations: Option<BTreeMap<Arc<str>, Spanned<Arc<str>>>>,
    /// `creationTimestamp`.
    pub creation_timestamp: Option<Spanned<Arc<str>>>,
}
