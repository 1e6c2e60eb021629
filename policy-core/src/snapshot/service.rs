//! Services and the addresses behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::snapshot::{IntOrString, WayMeta};
use crate::source::Spanned;

/// v1 Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceBody {
    /// `metadata`, for annotations.
    pub metadata: Option<WayMeta>,
    /// `spec`.
    pub spec: Option<ServiceSpec>,
    /// `status`.
    pub status: Option<ServiceStatus>,
}

/// `spec` of a Service, without what only chooses among endpoints (SVC-25).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `type`; ClusterIP when left out.
    pub r#type: Option<Spanned<Arc<str>>>,
    /// `selector`; missing and empty mean the same (SVC-6).
    pub selector: Option<BTreeMap<Arc<str>, Spanned<Arc<str>>>>,
    /// `ports`.
    pub ports: Option<Vec<Spanned<ServicePort>>>,
    /// `clusterIP`: an address, `None`, or empty.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<Spanned<Arc<str>>>,
    /// `clusterIPs`, of which the first is `clusterIP`.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Option<Vec<Spanned<Arc<str>>>>,
    /// `ipFamilies`.
    pub ip_families: Option<Vec<Spanned<Arc<str>>>>,
    /// `ipFamilyPolicy`.
    pub ip_family_policy: Option<Spanned<Arc<str>>>,
    /// `externalIPs`.
    #[serde(rename = "externalIPs")]
    pub external_ips: Option<Vec<Spanned<Arc<str>>>>,
    /// `externalName`.
    pub external_name: Option<Spanned<Arc<str>>>,
    /// `externalTrafficPolicy`.
    pub external_traffic_policy: Option<Spanned<Arc<str>>>,
    /// `internalTrafficPolicy`.
    pub internal_traffic_policy: Option<Spanned<Arc<str>>>,
    /// `trafficDistribution`.
    pub traffic_distribution: Option<Spanned<Arc<str>>>,
    /// `healthCheckNodePort`.
    pub health_check_node_port: Option<Spanned<i64>>,
    /// `loadBalancerClass`.
    pub load_balancer_class: Option<Spanned<Arc<str>>>,
    /// `loadBalancerSourceRanges`.
    pub load_balancer_source_ranges: Option<Vec<Spanned<Arc<str>>>>,
    /// `allocateLoadBalancerNodePorts`.
    pub allocate_load_balancer_node_ports: Option<Spanned<bool>>,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready_addresses: Option<bool>,
}

/// One port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// `protocol`; TCP when left out.
    pub protocol: Option<Spanned<Arc<str>>>,
    /// `port`.
    pub port: Option<Spanned<i64>>,
    /// `targetPort`; `port` when left out, 0 or empty.
    pub target_port: Option<Spanned<IntOrString>>,
    /// `nodePort`; 0 = none.
    pub node_port: Option<Spanned<i64>>,
    /// `appProtocol`.
    pub app_protocol: Option<Arc<str>>,
}

/// `status` of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// `loadBalancer`.
    pub load_balancer: Option<LoadBalancerStatus>,
}

/// `status.loadBalancer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// `ingress`.
    pub ingress: Option<Vec<Spanned<LoadBalancerPoint>>>,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerPoint {
    /// `ip`.
    pub ip: Option<Spanned<Arc<str>>>,
    /// `hostname`.
    pub hostname: Option<Spanned<Arc<str>>>,
    /// `ipMode`; VIP when left out beside an `ip`.
    pub ip_mode: Option<Spanned<Arc<str>>>,
    /// `ports`.
    pub ports: Option<Vec<PortStatus>>,
}

/// One entry of `ports` there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PortStatus {
    /// `protocol`.
    pub protocol: Option<Spanned<Arc<str>>>,
    /// `port`.
    pub port: Option<Spanned<i64>>,
    /// `error`: why the port failed.
    pub error: Option<Arc<str>>,
}

/// v1 Endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EndpointsBody {
    /// `metadata`, for annotations.
    pub metadata: Option<WayMeta>,
    /// `subsets`.
    pub subsets: Option<Vec<Spanned<EndpointSubset>>>,
}

/// One entry of `subsets`: each address with each port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSubset {
    /// `addresses`, which are ready.
    pub addresses: Option<Vec<Spanned<EndpointAddress>>>,
    /// `notReadyAddresses`.
    pub not_ready_addresses: Option<Vec<Spanned<EndpointAddress>>>,
    /// `ports`.
    pub ports: Option<Vec<Spanned<EndpointPort>>>,
}

/// One address of a subset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointAddress {
    /// `ip`.
    pub ip: Option<Spanned<Arc<str>>>,
    /// `hostname`.
    pub hostname: Option<Arc<str>>,
    /// `nodeName`.
    pub node_name: Option<Arc<str>>,
    /// `targetRef`.
    pub target_ref: Option<TargetReference>,
}

/// One port of a subset or of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// `protocol`; TCP when left out.
    pub protocol: Option<Spanned<Arc<str>>>,
    /// `port`.
    pub port: Option<Spanned<i64>>,
}

/// `targetRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TargetReference {
    /// `kind`.
    pub kind: Option<Arc<str>>,
    /// `namespace`.
    pub namespace: Option<Arc<str>>,
    /// `name`.
    pub name: Option<Arc<str>>,
}

/// discovery.k8s.io EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSliceBody {
    /// `addressType`.
    pub address_type: Option<Spanned<Arc<str>>>,
    /// `endpoints`.
    pub endpoints: Option<Vec<Spanned<SliceEndpoint>>>,
    /// `ports`.
    pub ports: Option<Vec<Spanned<EndpointPort>>>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceEndpoint {
    /// `addresses`, of which the first counts (SVC-12).
    pub addresses: Option<Vec<Spanned<Arc<str>>>>,
    /// `conditions`.
    pub conditions: Option<SliceConditions>,
    /// `hostname`.
    pub hostname: Option<Arc<str>>,
    /// `nodeName`.
    pub node_name: Option<Arc<str>>,
    /// `targetRef`.
    pub target_ref: Option<TargetReference>,
    /// `hints`.
    pub hints: Option<SliceHints>,
    /// `topology`, in which v1beta1 had the node's name.
    pub topology: Option<BTreeMap<Arc<str>, Arc<str>>>,
}

/// `conditions` of an endpoint; what is missing has a default (SVC-9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SliceConditions {
    /// `ready`.
    pub ready: Option<bool>,
    /// `serving`.
    pub serving: Option<bool>,
    /// `terminating`.
    pub terminating: Option<bool>,
}

/// `hints` of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceHints {
    /// `forZones`.
    pub for_zones: Option<Vec<Hint>>,
    /// `forNodes`.
    pub for_nodes: Option<Vec<Hint>>,
}

/// One hint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hint {
    /// `name`.
    pub name: Option<Arc<str>>,
}
