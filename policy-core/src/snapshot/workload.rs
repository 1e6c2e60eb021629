//! Nodes, pods and what makes pods.

use std::sync::Arc;

use serde::Deserialize;

use crate::snapshot::ObjectMeta;
use crate::source::Spanned;

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
    /// `serviceAccountName`.
    pub service_account_name: Option<Arc<str>>,
    /// `serviceAccount`, its name of old.
    pub service_account: Option<Arc<str>>,
    /// `automountServiceAccountToken`.
    pub automount_service_account_token: Option<bool>,
    /// `dnsPolicy`.
    pub dns_policy: Option<Arc<str>>,
    /// `enableServiceLinks`.
    pub enable_service_links: Option<bool>,
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
