//! Nodes, pods and what makes pods.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::snapshot::{Flags, ObjectMeta, Variables};
use crate::source::Spanned;

/// v1 Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeBody {
    /// `spec`.
    pub spec: Option<NodeSpec>,
    /// `status`.
    pub status: Option<NodeStatus>,
}

/// `spec` of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// `podCIDR`.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<Spanned<Arc<str>>>,
    /// `podCIDRs`, of which the first is `podCIDR`.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Option<Vec<Spanned<Arc<str>>>>,
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
    /// `hostname` (DNS-2).
    pub hostname: Option<Arc<str>>,
    /// `subdomain` (DNS-2).
    pub subdomain: Option<Arc<str>>,
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
    /// `command`, as far as an Ingress controller understands it (ING-16).
    pub command: Flags,
    /// `args`, in the same way.
    pub args: Flags,
    /// `env`, in the same way.
    pub env: Variables,
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
    /// `hostPort`; 0 = none (HP-6).
    pub host_port: Option<Spanned<i64>>,
    /// `hostIP` (HP-2).
    #[serde(rename = "hostIP")]
    pub host_ip: Option<Spanned<Arc<str>>>,
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
    /// `conditions`.
    pub conditions: Option<PodConditions>,
}

/// What is read of `status.conditions`: there are many pods, and one condition of each that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodConditions {
    /// Whether `Ready` is `True`; `None` when it is not among them (SVC-9).
    pub ready: Option<bool>,
}

/// One condition, as far as it is looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PodCondition<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

impl<'de> Deserialize<'de> for PodConditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Conditions;

        impl<'de> Visitor<'de> for Conditions {
            type Value = PodConditions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut found = PodConditions::default();
                while let Some(condition) = list.next_element::<PodCondition<'de>>()? {
                    if condition.r#type == "Ready" {
                        found.ready = Some(condition.status == "True");
                    }
                }
                Ok(found)
            }
        }

        deserializer.deserialize_seq(Conditions)
    }
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
