//! Fields that bear on who reaches whom and that no rule reads yet (IN-17).
//!
//! One table says which, and why they matter. Everything else in a modelled object is either read or has no
//! bearing on reachability.

use crate::snapshot::UnreadField;

use super::findings::Text;
use super::kinds::Model;
use super::tree::Node;

/// Annotations and labels, by key or by the part before `*`, and why they matter.
pub(crate) const MARKS: &[(&str, &str)] = &[
    ("ambient.istio.io/*", "a mesh redirects the pod's traffic"),
    ("cni.projectcalico.org/*", "Calico takes addresses and pools from it"),
    ("config.linkerd.io/*", "a mesh redirects the pod's traffic"),
    ("istio-injection", "a mesh redirects the traffic of the namespace's pods"),
    ("istio.io/dataplane-mode", "a mesh redirects the pod's traffic"),
    ("istio.io/rev", "a mesh redirects the pod's traffic"),
    ("istio.io/use-waypoint", "a mesh redirects the pod's traffic"),
    ("k8s.ovn.org/*", "OVN takes routes and gateways from it"),
    ("k8s.v1.cni.cncf.io/networks", "the pod has further networks that NetworkPolicy does not cover"),
    ("linkerd.io/inject", "a mesh redirects the pod's traffic"),
    ("policy.cilium.io/*", "Cilium takes policy settings from it"),
    ("sidecar.istio.io/*", "a mesh redirects the pod's traffic"),
    ("traffic.sidecar.istio.io/*", "a mesh redirects the pod's traffic"),
    ("v1.multus-cni.io/default-network", "the pod's first network is another one"),
];

/// Why an unread field matters.
#[must_use]
pub fn reason(path: &str) -> &'static str {
    if path == "status" {
        return "a status that 1.24 to 1.27 wrote; it changes nothing";
    }
    let quoted = path.rsplit_once("[\"").and_then(|(_, rest)| rest.strip_suffix("\"]"));
    quoted.and_then(mark).unwrap_or("")
}

/// Why an annotation or label with this key matters, if it does.
pub(crate) fn mark(key: &str) -> Option<&'static str> {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => key.starts_with(prefix),
        None => key == pattern,
    };
    MARKS.iter().find(|(pattern, _)| matches(pattern)).map(|(_, reason)| *reason)
}

/// The unread fields of an object, in a fixed order.
pub(crate) fn unread(text: Text<'_>, node: &Node<'_>, model: Model) -> Vec<UnreadField> {
    let mut found = Vec::new();
    if model == Model::ConfigMap {
        return found;
    }
    marks(text, node, "", &mut found);
    match model {
        Model::Namespace
        | Model::Node
        | Model::Pod
        | Model::Service
        | Model::Endpoints
        | Model::EndpointSlice
        | Model::ClusterNetworkPolicy
        | Model::AdminNetworkPolicy
        | Model::BaselineAdminNetworkPolicy
        | Model::Role
        | Model::ClusterRole
        | Model::RoleBinding
        | Model::ClusterRoleBinding
        | Model::ServiceAccount
        | Model::Ingress
        | Model::IngressClass
        | Model::ConfigMap => {}
        Model::NetworkPolicy => {
            if let Some(entry) = node.entry("status").filter(|entry| !entry.value.entries().is_empty()) {
                found.push(UnreadField { path: "status".to_owned(), span: Some(text.key(&entry.key)) });
            }
        }
        Model::CronJob => template(text, node, &["spec", "jobTemplate", "spec", "template"], &mut found),
        _ => template(text, node, &["spec", "template"], &mut found),
    }
    found
}

fn template(text: Text<'_>, node: &Node<'_>, path: &[&str], found: &mut Vec<UnreadField>) {
    let Some(template) = node.at(path) else { return };
    let at = path.join(".");
    marks(text, template, &format!("{at}."), found);
}

fn marks(text: Text<'_>, node: &Node<'_>, at: &str, found: &mut Vec<UnreadField>) {
    for place in ["annotations", "labels"] {
        for entry in node.at(&["metadata", place]).map(Node::entries).unwrap_or_default() {
            if mark(&entry.key.text).is_some() {
                let path = format!("{at}metadata.{place}[\"{}\"]", entry.key.text);
                found.push(UnreadField { path, span: Some(text.key(&entry.key)) });
            }
        }
    }
}
