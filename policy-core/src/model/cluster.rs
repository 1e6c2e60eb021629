//! The cluster that the input describes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::ids::{ClusterPolicyId, IdVec, IngressId, NamespaceId, NodeId, PodId, PolicyId, ServiceId, WorkloadId};
use crate::model::ingress::{ControllerPods, Ingress, IngressClass};
use ipnet::IpNet;

use crate::model::{ClusterPolicy, Family, GatewayApi, LabelSet, Name, NetworkPolicy, Protocol, Rbac, Service, Slice};
use crate::snapshot::Effect;
use crate::source::Span;

/// Everything that an evaluator needs, and the list of what it does not know.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Namespaces by name.
    pub namespaces: IdVec<NamespaceId, Namespace>,
    /// Nodes by name.
    pub nodes: IdVec<NodeId, Node>,
    /// Workloads by namespace, name, kind.
    pub workloads: IdVec<WorkloadId, Workload>,
    /// Pods by namespace, name.
    pub pods: IdVec<PodId, Pod>,
    /// NetworkPolicies by namespace, name.
    pub policies: IdVec<PolicyId, NetworkPolicy>,
    /// Cluster-wide policies by kind, name.
    pub cluster_policies: IdVec<ClusterPolicyId, ClusterPolicy>,
    /// Services by namespace, name.
    pub services: IdVec<ServiceId, Service>,
    /// Endpoints that the input gives, by Service, name (SVC-10).
    pub slices: Vec<Slice>,
    /// Ingresses by namespace, name.
    pub ingresses: IdVec<IngressId, Ingress>,
    /// IngressClasses by name.
    pub ingress_classes: Vec<IngressClass>,
    /// Ingress controllers whose pods are in the input (ING-16), by namespace, class.
    pub controllers: Vec<ControllerPods>,
    /// Who may ask the API server for what (API-2).
    pub rbac: Rbac,
    /// Gateways and the routes on them.
    pub gateway_api: GatewayApi,
    /// Objects that could change an answer and are not modelled.
    pub not_modelled: Vec<NotModelled>,
    /// Whether part of the input was skipped.
    pub incomplete: bool,
}

/// A namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace {
    /// Its name.
    pub name: Name,
    /// Its labels, `kubernetes.io/metadata.name` always among them (NP-11a).
    pub labels: LabelSet,
    /// Where its object is written; `None` when it was synthesised (NP-34).
    pub span: Option<Span>,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its name.
    pub name: Name,
    /// Its labels.
    pub labels: LabelSet,
    /// Its addresses; empty when the input does not give them.
    pub addresses: Vec<NodeAddress>,
    /// The zone that its label names (KP-2).
    pub zone: Option<Name>,
    /// The ranges of its pods' addresses (KP-3, HP-4); empty when the input does not give them.
    pub pod_cidrs: Vec<IpNet>,
    /// Whether the input has its object; if not, others name it (SVC-9).
    pub is_written: bool,
    /// Where its object is written; `None` when only others name it.
    pub span: Option<Span>,
}

impl Node {
    /// The addresses of one family that other hosts see as source: the internal ones, or all when there is no
    /// internal one (NP-20, NP-24).
    #[must_use]
    pub fn source_addresses(&self, family: Family) -> Vec<IpAddr> {
        let of_kind = |internal: bool| -> Vec<IpAddr> {
            let wanted = |address: &&NodeAddress| {
                Family::of(address.ip) == family && (!internal || address.kind == NodeAddressKind::Internal)
            };
            self.addresses.iter().filter(wanted).map(|address| address.ip).collect()
        };
        let internal = of_kind(true);
        if internal.is_empty() { of_kind(false) } else { internal }
    }
}

/// One address of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeAddress {
    /// What kind of address.
    pub kind: NodeAddressKind,
    /// The address.
    pub ip: IpAddr,
}

/// The kinds of node address that are addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeAddressKind {
    /// `InternalIP`, or a pod's `status.hostIP`.
    Internal,
    /// `ExternalIP`.
    External,
}

/// The pods of one owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// The owner's kind; `Pod` for a pod without owner.
    pub kind: WorkloadKind,
    /// The owner's name.
    pub name: Name,
    /// Its pods: those of the input, or one template that stands for them.
    pub pods: Vec<PodId>,
    /// Where the owner is written, or the pod when the owner is not in the input.
    pub span: Option<Span>,
}

/// What kind of object owns pods.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WorkloadKind {
    /// A bare pod.
    Pod,
    /// apps Deployment.
    Deployment,
    /// apps ReplicaSet.
    ReplicaSet,
    /// v1 ReplicationController.
    ReplicationController,
    /// apps StatefulSet.
    StatefulSet,
    /// apps DaemonSet.
    DaemonSet,
    /// batch Job.
    Job,
    /// batch CronJob.
    CronJob,
    /// An owner of another kind.
    Other(Name),
}

impl WorkloadKind {
    /// The kind as Kubernetes writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pod => "Pod",
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::ReplicationController => "ReplicationController",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::Other(kind) => kind,
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(kind: &str) -> Self {
        match kind {
            "Pod" => Self::Pod,
            "Deployment" => Self::Deployment,
            "ReplicaSet" => Self::ReplicaSet,
            "ReplicationController" => Self::ReplicationController,
            "StatefulSet" => Self::StatefulSet,
            "DaemonSet" => Self::DaemonSet,
            "Job" => Self::Job,
            "CronJob" => Self::CronJob,
            other => Self::Other(Name::from(other)),
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pod, or a template that stands for all pods of its workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pod {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// Its workload.
    pub workload: WorkloadId,
    /// Its name; the workload's name for a template.
    pub name: Name,
    /// Its labels.
    pub labels: LabelSet,
    /// The node on which it runs, when known.
    pub node: Option<NodeId>,
    /// Its IPv4 address, when known.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address, when known.
    pub v6: Option<Ipv6Addr>,
    /// `hostNetwork: true` (NP-22).
    pub host_network: bool,
    /// The ServiceAccount of its namespace in whose name it asks the API server (API-11).
    pub service_account: Name,
    /// Whether the account's token is mounted, where the pod itself says so (API-11).
    pub automount: Option<bool>,
    /// Whether names are asked of the cluster's DNS (DNS-1).
    pub cluster_dns: bool,
    /// Whether it is told of Services in environment variables (API-12).
    pub service_links: bool,
    /// Declared ports: containers first, then native sidecars (NP-16).
    pub ports: Arc<[ContainerPort]>,
    /// Its ports on its node's addresses (HP-2, HP-6).
    pub host_ports: Arc<[HostPort]>,
    /// Whether it is ready (SVC-9); `None` when the input does not tell, which counts as ready.
    pub ready: Option<bool>,
    /// Whether it is being deleted (SVC-9).
    pub terminating: bool,
    /// `hostname` (DNS-2).
    pub hostname: Option<Name>,
    /// `subdomain` (DNS-2).
    pub subdomain: Option<Name>,
    /// How real it is.
    pub state: PodState,
    /// Where it is written.
    pub span: Option<Span>,
}

impl Pod {
    /// A pod of which nothing is written but its name: without labels, addresses and ports, and with the defaults of the API.
    #[must_use]
    pub fn unwritten(namespace: NamespaceId, workload: WorkloadId, name: Name, state: PodState) -> Self {
        Self {
            namespace,
            workload,
            name,
            labels: LabelSet::default(),
            node: None,
            v4: None,
            v6: None,
            host_network: false,
            service_account: Name::from("default"),
            automount: None,
            cluster_dns: true,
            service_links: true,
            ports: Arc::from([]),
            host_ports: Arc::from([]),
            ready: None,
            terminating: false,
            hostname: None,
            subdomain: None,
            state,
            span: None,
        }
    }

    /// Its address of one family, when known.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }

    /// Whether no address is known: a template, or a pod that waits for one.
    #[must_use]
    pub fn is_unaddressed(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// Whether it declares this port (M-5).
    #[must_use]
    pub fn declares(&self, protocol: Protocol, port: u16) -> bool {
        self.ports.iter().any(|declared| declared.protocol == protocol && declared.port == port)
    }
}

/// How real a pod is (NP-27).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PodState {
    /// A pod of the input that has, or may have, a network: running, terminating, or of unknown phase.
    Live,
    /// A pod of the input without an address yet.
    Pending,
    /// Succeeded or Failed: it has no network.
    Finished,
    /// No pod: the template that stands for the pods of its workload (NP-11b).
    Template,
}

/// One declared port of a container.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ContainerPort {
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

/// A port of a pod on the addresses of its node (HP-2). A pod on the host's network has one for every port that it
/// declares (HN-1): it holds the port itself, and nothing is translated.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number on the node.
    pub port: u16,
    /// The address of the node; `None` = all of both families, an unspecified one = all of its family.
    pub ip: Option<IpAddr>,
    /// The pod's port.
    pub container_port: u16,
}

impl HostPort {
    /// Whether a packet to this address of the node is meant (HP-2).
    #[must_use]
    pub fn is_at(&self, address: IpAddr) -> bool {
        match self.ip {
            None => true,
            Some(ip) if ip.is_unspecified() => Family::of(ip) == Family::of(address),
            Some(ip) => ip == address,
        }
    }
}

/// An object that is not modelled and could change an answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NotModelled {
    /// `apiVersion`.
    pub api_version: Name,
    /// `kind`.
    pub kind: Name,
    /// Its namespace; `None` for a cluster-scoped object.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
    /// What ignoring it means.
    pub effect: Effect,
    /// Where it is written.
    pub span: Option<Span>,
}
