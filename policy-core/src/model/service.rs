//! Services and what they forward to (SVC-1 … SVC-27).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::ids::{NamespaceId, NodeId, PodId, ServiceId};
use crate::model::{Family, LabelSet, Name, Protocol, Selector};
use crate::source::Span;

/// A Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// Its name.
    pub name: Name,
    /// Its labels.
    pub labels: LabelSet,
    /// What kind of address it has.
    pub kind: ServiceKind,
    /// Which pods of its namespace it stands for; `None` = endpoints are managed by others (SVC-6).
    pub selector: Option<Selector>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Its families, the first one first; never empty, at most two (SVC-26).
    pub families: Vec<Family>,
    /// `externalIPs` (SVC-17).
    pub external_ips: Vec<IpAddr>,
    /// Which endpoints clients inside the cluster get (KP-1).
    pub internal_policy: TrafficPolicy,
    /// Which endpoints clients outside get (KP-1).
    pub external_policy: TrafficPolicy,
    /// `trafficDistribution`, or the annotation before it (KP-2); it never takes an endpoint away.
    pub distribution: Option<Name>,
    /// `publishNotReadyAddresses` (SVC-14).
    pub publish_not_ready: bool,
    /// How Ingress controllers are told to dial it (ING-14, ING-20).
    pub dialled: ServiceDial,
    /// Where it is written.
    pub span: Option<Span>,
}

/// What the annotations of a Service tell Ingress controllers: each controller reads its own (ING-14, ING-20).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ServiceDial {
    /// Kong's `service-upstream`: by its address.
    pub upstream: bool,
    /// Traefik's `service.nativelb`: by its address; `None` when it is silent.
    pub native_lb: Option<bool>,
    /// Traefik's `service.nodeportlb`: by its node port.
    pub node_port_lb: bool,
    /// Google Cloud's `neg` with `ingress`: endpoints, also where there is a node port.
    pub endpoint_groups: bool,
}

/// The types of Service, without what they have in common (SVC-1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServiceKind {
    /// A virtual address inside the cluster, and what opens it to the outside.
    Cluster {
        /// One address a family; a family without one here has an address that the input does not tell (SVC-8).
        addresses: Vec<IpAddr>,
        /// What else the Service opens.
        exposure: Exposure,
    },
    /// `clusterIP: None`: the name stands for the pods themselves (SVC-13).
    Headless,
    /// A name for another name (SVC-16), in lower case, without the dot at its end.
    ExternalName(Name),
}

/// What a Service opens besides its own address (SVC-1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exposure {
    /// `ClusterIP`: nothing.
    None,
    /// `NodePort`: the node ports of its ports.
    NodePort,
    /// `LoadBalancer`: the node ports, and a load balancer before them.
    LoadBalancer(LoadBalancer),
}

/// The load balancer of a Service (SVC-21 … SVC-24).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LoadBalancer {
    /// `status.loadBalancer.ingress`; empty = pending, or not told.
    pub ingress: Vec<LoadBalancerIngress>,
    /// Whether an API server says that there is no address yet (SVC-21). A manifest alone does not tell.
    pub is_pending: bool,
    /// `loadBalancerSourceRanges`; empty = everybody (SVC-22).
    pub source_ranges: Vec<IpNet>,
    /// The annotation of old, which the provider's firewall alone reads, when the field is empty (SVC-22).
    pub annotated_ranges: Vec<IpNet>,
    /// `loadBalancerClass`.
    pub class: Option<Name>,
    /// `healthCheckNodePort` (SVC-24).
    pub health_check_node_port: Option<u16>,
}

/// One address of a load balancer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadBalancerIngress {
    /// Its address, or the DNS name that stands for it.
    pub at: LoadBalancerAddress,
    /// Whether nodes take packets to it for their own (SVC-23).
    pub mode: IpMode,
    /// The ports that failed, as `ports[].error` tells.
    pub failed: Vec<(Protocol, u16)>,
}

/// Where a load balancer is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LoadBalancerAddress {
    /// `ip`.
    Ip(IpAddr),
    /// `hostname`.
    Hostname(Name),
}

/// `ipMode` (SVC-23).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IpMode {
    /// Nodes take the address for their own.
    Vip,
    /// Packets really go out to the load balancer.
    Proxy,
}

/// `internalTrafficPolicy` and `externalTrafficPolicy` (KP-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum TrafficPolicy {
    /// Any endpoint.
    #[default]
    Cluster,
    /// The endpoints of the node alone.
    Local,
}

/// One port of a Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServicePort {
    /// Its name; empty for the only port that has none (SVC-10).
    pub name: Name,
    /// Its protocol (SVC-4).
    pub protocol: Protocol,
    /// What clients dial.
    pub port: u16,
    /// Where it goes (SVC-3).
    pub target: TargetPort,
    /// The port on nodes (SVC-18).
    pub node_port: NodePort,
    /// `appProtocol`.
    pub app_protocol: Option<Name>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// `targetPort` (SVC-3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TargetPort {
    /// This number on every endpoint.
    Number(u16),
    /// The number that each pod declares under this name.
    Name(Name),
}

/// The node port of a Service's port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodePort {
    /// None (SVC-19).
    None,
    /// One that the input does not tell (SVC-8).
    Unallocated,
    /// This one.
    Number(u16),
}

/// Addresses behind a Service as the input itself gives them: an EndpointSlice, or the slice that mirrors an
/// Endpoints object (SVC-10, SVC-12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// The Service, which is in the input.
    pub service: ServiceId,
    /// The object's name.
    pub name: Name,
    /// Whether the controller wrote it that computes endpoints from pods: of a Service with a selector, it says what
    /// pods say already (SVC-9).
    pub is_computed: bool,
    /// The family of its addresses.
    pub family: Family,
    /// Its ports; one without a number is left out.
    pub ports: Vec<SlicePort>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// One port of a [`Slice`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlicePort {
    /// Matches the Service port of this name (SVC-10).
    pub name: Name,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number on every endpoint of the slice.
    pub port: u16,
}

/// One endpoint of a [`Slice`]: of its addresses only the first counts (SVC-12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceEndpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its conditions, defaults applied (SVC-9).
    pub conditions: Conditions,
    /// `nodeName`.
    pub node: Option<NodeId>,
    /// The pod of `targetRef`, if it names one of the input.
    pub target: Option<PodId>,
    /// `hostname` (DNS-2).
    pub hostname: Option<Name>,
    /// `hints.forZones` (KP-2).
    pub zone_hints: Vec<Name>,
    /// `hints.forNodes` (KP-2).
    pub node_hints: Vec<Name>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// The conditions of an endpoint (SVC-9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Conditions {
    /// It gets new connections.
    pub ready: bool,
    /// It could answer.
    pub serving: bool,
    /// It is going away.
    pub terminating: bool,
}

impl Conditions {
    /// Ready, and not going away.
    pub const READY: Self = Self { ready: true, serving: true, terminating: false };
}

impl Service {
    /// Its load balancer, if it asks for one.
    #[must_use]
    pub fn load_balancer(&self) -> Option<&LoadBalancer> {
        match &self.kind {
            ServiceKind::Cluster { exposure: Exposure::LoadBalancer(balancer), .. } => Some(balancer),
            _ => None,
        }
    }

    /// Its address of one family; `None` also when it has one that the input does not tell (SVC-8).
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match &self.kind {
            ServiceKind::Cluster { addresses, .. } => addresses.iter().copied().find(|ip| Family::of(*ip) == family),
            _ => None,
        }
    }

    /// Whether kube-proxy has rules for it (SVC-13, SVC-16).
    #[must_use]
    pub fn is_proxied(&self) -> bool {
        matches!(self.kind, ServiceKind::Cluster { .. })
    }
}
