//! What the definitions of the cluster-wide policies allow to be written, for the strict pass.
//!
//! k8s-openapi has only the kinds of Kubernetes itself. As there, a field that must not be missing is optional here:
//! what is required, and what goes together, is known to [`lower`](crate::lower). For the same reason both
//! directions of a rule have all kinds of peer, and a BaselineAdminNetworkPolicy has a `priority`: that they are
//! not allowed there can be said better than by "unknown field".

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;

/// `spec` of a ClusterNetworkPolicy.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClusterNetworkPolicySpec {
    tier: Option<String>,
    priority: Option<i32>,
    subject: Option<Subject>,
    ingress: Option<Vec<IngressRule>>,
    egress: Option<Vec<EgressRule>>,
}

/// `spec` of an AdminNetworkPolicy or a BaselineAdminNetworkPolicy.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct AdminNetworkPolicySpec {
    priority: Option<i32>,
    subject: Option<Subject>,
    ingress: Option<Vec<AdminIngressRule>>,
    egress: Option<Vec<AdminEgressRule>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Subject {
    namespaces: Option<LabelSelector>,
    pods: Option<Pods>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Pods {
    namespace_selector: Option<LabelSelector>,
    pod_selector: Option<LabelSelector>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IngressRule {
    name: Option<String>,
    action: Option<String>,
    from: Option<Vec<Peer>>,
    protocols: Option<Vec<Protocol>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EgressRule {
    name: Option<String>,
    action: Option<String>,
    to: Option<Vec<Peer>>,
    protocols: Option<Vec<Protocol>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Peer {
    namespaces: Option<LabelSelector>,
    pods: Option<Pods>,
    nodes: Option<LabelSelector>,
    networks: Option<Vec<String>>,
    domain_names: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Protocol {
    tcp: Option<Transport>,
    udp: Option<Transport>,
    sctp: Option<Transport>,
    destination_named_port: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Transport {
    destination_port: Option<DestinationPort>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DestinationPort {
    number: Option<i32>,
    range: Option<Range>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Range {
    start: Option<i32>,
    end: Option<i32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AdminIngressRule {
    name: Option<String>,
    action: Option<String>,
    from: Option<Vec<AdminPeer>>,
    ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AdminEgressRule {
    name: Option<String>,
    action: Option<String>,
    to: Option<Vec<AdminPeer>>,
    ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AdminPeer {
    namespaces: Option<crate::snapshot::TierNamespaces>,
    pods: Option<crate::snapshot::NamespacedPods>,
    nodes: Option<LabelSelector>,
    networks: Option<Vec<String>>,
    domain_names: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    port_number: Option<PortNumber>,
    port_range: Option<PortRange>,
    named_port: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PortNumber {
    protocol: Option<String>,
    port: Option<i32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PortRange {
    protocol: Option<String>,
    start: Option<i32>,
    end: Option<i32>,
}
