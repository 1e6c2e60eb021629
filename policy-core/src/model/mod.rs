//! What the input means: namespaces, nodes, pods, policies; labels, ports, addresses; flows and verdicts.
//!
//! These types say the domain and nothing else: no Kubernetes API shape, no index of the compiler. The two
//! evaluators ([`spec`](crate::spec) and [`compile`](mod@crate::compile)) share this module and nothing more.

pub mod address;
pub mod api_server;
pub mod cluster;
pub mod delivery;
pub mod edits;
pub mod flow;
pub mod gateway;
pub mod hit;
pub mod http;
pub mod ingress;
pub mod interval;
pub mod labels;
pub mod leg;
pub mod pod_names;
pub mod policy;
pub mod ports;
pub mod premise;
pub mod profile;
pub mod rbac;
pub mod service;
pub mod tier;
pub mod verdict;
pub mod way;
pub mod way_profile;

pub use address::{AddressSet, Family};
pub use cluster::{
    Cluster, ContainerPort, HostPort, Namespace, Node, NodeAddress, NodeAddressKind, NotModelled, Pod, PodState,
    Workload, WorkloadKind,
};
pub use delivery::{
    Client, Decision, Deliver, Delivery, Endpoint, Frontend, NodeView, Packet, PortRef, SourceAddress, Target,
};
pub use edits::Edits;
pub use flow::{Flow, Masquerader, Party};
pub use gateway::GatewayApi;
pub use hit::{Doubts, Hit};
pub use interval::IntervalSet;
pub use labels::{LabelSet, Name, Operator, Requirement, Selector};
pub use pod_names::PodNames;
pub use policy::{Direction, IpBlock, NamespaceScope, NetworkPolicy, Peer, Peers, PortMatch, PortRule, Ports, Rule};
pub use ports::{PortSet, Protocol};
pub use profile::{Knob, Profile, ProfileError};
pub use rbac::{Access, AccessRequest, AccessRule, Binding, Grant, Rbac, Rights, Role, User, Who};
pub use service::{
    Conditions, Exposure, IpMode, LoadBalancer, LoadBalancerAddress, LoadBalancerIngress, NodePort, Service,
    ServiceDial, ServiceKind, ServicePort, Slice, SliceEndpoint, SlicePort, TargetPort, TrafficPolicy,
};
pub use tier::{
    ClusterPolicy, ClusterPolicyKind, DomainClass, DomainPattern, Domains, PodSelection, Tier, TierAction, TierPeer,
    TierPeers, TierRule,
};
pub use verdict::{Condition, End, Flag, Judge, Judgement, KnobSet, Outcome, RuleRef, TierRuleRef, Verdict};
pub use way::{Finding, Hop, Leg, Proviso, WayKind};
pub use way_profile::WayProfile;
