//! The strict pass over hand-written objects: every field must exist and have the type that the API gives it.
//!
//! The objects that are made here are thrown away; only what was reported about them counts. Objects written
//! by an API server skip this: they may have fields of a newer version, and cannot be wrong.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    DaemonSetSpec, DaemonSetStatus, DeploymentSpec, DeploymentStatus, ReplicaSetSpec, ReplicaSetStatus,
    StatefulSetSpec, StatefulSetStatus,
};
use k8s_openapi::api::batch::v1::{CronJobSpec, CronJobStatus, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{
    EndpointSubset, NamespaceSpec, NamespaceStatus, NodeSpec, NodeStatus, ObjectReference, PodSpec, PodStatus,
    ReplicationControllerSpec, ReplicationControllerStatus, ServiceSpec, ServiceStatus,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort};
use k8s_openapi::api::networking::v1::{IngressClassSpec, IngressSpec, IngressStatus, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::diagnostic::{Diagnostic, Severity};
use crate::snapshot::gateway;

use super::access::{ClusterRole, Role, RoleBinding, ServiceAccount};
use super::decode::Context;
use super::findings::Text;
use super::kinds::Model;
use super::old_ingress::OldIngressSpec;
use super::tiers::{AdminNetworkPolicySpec, ClusterNetworkPolicySpec};
use super::tree::Node;

/// The fields that every object has; `S` and `T` are its `spec` and `status`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "S: Deserialize<'de>, T: Deserialize<'de>"))]
#[expect(dead_code, reason = "made only for what is reported while it is made")]
struct Manifest<S, T> {
    #[serde(default)]
    api_version: IgnoredAny,
    #[serde(default)]
    kind: IgnoredAny,
    #[serde(default)]
    metadata: Option<ObjectMeta>,
    #[serde(default = "none")]
    spec: Option<S>,
    #[serde(default = "none")]
    status: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

impl<S, T> Default for Manifest<S, T> {
    fn default() -> Self {
        Self { api_version: IgnoredAny, kind: IgnoredAny, metadata: None, spec: None, status: None }
    }
}

/// An Endpoints object, which has no `spec`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EndpointsManifest {
    api_version: IgnoredAny,
    kind: IgnoredAny,
    metadata: Option<ObjectMeta>,
    subsets: Option<Vec<EndpointSubset>>,
}

/// An EndpointSlice, which has none either; `E` is its endpoint.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "E: Deserialize<'de>"))]
#[expect(dead_code, reason = "made only for what is reported while it is made")]
struct SliceManifest<E> {
    #[serde(default)]
    api_version: IgnoredAny,
    #[serde(default)]
    kind: IgnoredAny,
    #[serde(default)]
    metadata: Option<ObjectMeta>,
    #[serde(default)]
    address_type: Option<String>,
    #[serde(default = "none")]
    endpoints: Option<Vec<E>>,
    #[serde(default)]
    ports: Option<Vec<EndpointPort>>,
}

impl<E> Default for SliceManifest<E> {
    fn default() -> Self {
        Self {
            api_version: IgnoredAny,
            kind: IgnoredAny,
            metadata: None,
            address_type: None,
            endpoints: None,
            ports: None,
        }
    }
}

/// An endpoint of `discovery.k8s.io/v1beta1`: `topology` held what `nodeName` and `zone` say now.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BetaEndpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<EndpointConditions>,
    hostname: Option<String>,
    target_ref: Option<ObjectReference>,
    topology: Option<BTreeMap<String, String>>,
    node_name: Option<String>,
    hints: Option<EndpointHints>,
}

/// Everything about an object that the API would refuse to decode (IN-3, IN-4, IN-16). `old_shape`: the fields are those
/// of a version of old (ING-2).
pub(crate) fn check(
    text: Text<'_>,
    node: &Node<'_>,
    model: Model,
    unknown: Severity,
    old_shape: bool,
) -> Vec<Diagnostic> {
    let context = Context::strict(text, unknown);
    match model {
        Model::Namespace => run::<NamespaceSpec, NamespaceStatus>(&context, node),
        Model::Node => run::<NodeSpec, NodeStatus>(&context, node),
        Model::Pod => run::<PodSpec, PodStatus>(&context, node),
        Model::ReplicationController => run::<ReplicationControllerSpec, ReplicationControllerStatus>(&context, node),
        Model::Deployment => run::<DeploymentSpec, DeploymentStatus>(&context, node),
        Model::ReplicaSet => run::<ReplicaSetSpec, ReplicaSetStatus>(&context, node),
        Model::StatefulSet => run::<StatefulSetSpec, StatefulSetStatus>(&context, node),
        Model::DaemonSet => run::<DaemonSetSpec, DaemonSetStatus>(&context, node),
        Model::Job => run::<JobSpec, JobStatus>(&context, node),
        Model::CronJob => run::<CronJobSpec, CronJobStatus>(&context, node),
        Model::Service => run::<ServiceSpec, ServiceStatus>(&context, node),
        Model::Endpoints => drop(context.decode::<EndpointsManifest>(node)),
        // Of an old version unknown fields are warnings.
        Model::EndpointSlice if unknown == Severity::Warning => {
            drop(context.decode::<SliceManifest<BetaEndpoint>>(node));
        }
        Model::EndpointSlice => drop(context.decode::<SliceManifest<Endpoint>>(node)),
        // `status` was a field of 1.24 to 1.27.
        Model::NetworkPolicy => run::<NetworkPolicySpec, IgnoredAny>(&context, node),
        // Conditions, which say nothing about what the policy means.
        Model::ClusterNetworkPolicy => run::<ClusterNetworkPolicySpec, IgnoredAny>(&context, node),
        Model::AdminNetworkPolicy | Model::BaselineAdminNetworkPolicy => {
            run::<AdminNetworkPolicySpec, IgnoredAny>(&context, node);
        }
        Model::Ingress if old_shape => run::<OldIngressSpec, IngressStatus>(&context, node),
        Model::Ingress => run::<IngressSpec, IngressStatus>(&context, node),
        Model::IngressClass => run::<IngressClassSpec, IgnoredAny>(&context, node),
        Model::ConfigMap => {}
        Model::Role => drop(context.decode::<Role>(node)),
        Model::ClusterRole => drop(context.decode::<ClusterRole>(node)),
        Model::RoleBinding | Model::ClusterRoleBinding => drop(context.decode::<RoleBinding>(node)),
        Model::ServiceAccount => drop(context.decode::<ServiceAccount>(node)),
        Model::GatewayClass => run::<gateway::GatewayClassSpec, IgnoredAny>(&context, node),
        Model::Gateway => run::<gateway::GatewaySpec, IgnoredAny>(&context, node),
        Model::ListenerSet | Model::XListenerSet => run::<gateway::ListenerSetSpec, IgnoredAny>(&context, node),
        Model::HttpRoute => run::<gateway::HttpRouteSpec, IgnoredAny>(&context, node),
        Model::GrpcRoute => run::<gateway::GrpcRouteSpec, IgnoredAny>(&context, node),
        Model::TlsRoute | Model::TcpRoute | Model::UdpRoute => {
            run::<gateway::StreamRouteSpec, IgnoredAny>(&context, node);
        }
        Model::ReferenceGrant => run::<gateway::ReferenceGrantSpec, IgnoredAny>(&context, node),
        Model::BackendTlsPolicy => run::<gateway::BackendTlsPolicySpec, IgnoredAny>(&context, node),
    }
    context.found()
}

fn run<'de, S: Deserialize<'de>, T: Deserialize<'de>>(context: &Context<'_>, node: &Node<'_>) {
    drop(context.decode::<Manifest<S, T>>(node));
}
