//! Fields that bear on who reaches whom and that no rule reads yet (IN-17).
//!
//! One table says which, and why they matter. Everything else in a modelled object is either read or has no
//! bearing on reachability.

use crate::snapshot::UnreadField;

use super::findings::Text;
use super::kinds::Model;
use super::tree::Node;

/// Annotations and labels, by key or by the part before `*`, and why they matter. Sorted by key.
pub(crate) const MARKS: &[(&str, &str)] = &[
    ("alb.ingress.kubernetes.io/actions.*", "the load balancer answers or splits by rules of its own"),
    ("alb.ingress.kubernetes.io/auth-type", "the load balancer wants a login"),
    ("alb.ingress.kubernetes.io/conditions.*", "the load balancer routes by more than host and path"),
    ("alb.ingress.kubernetes.io/group.name", "Ingresses share a load balancer, and their rules one order"),
    ("alb.ingress.kubernetes.io/group.order", "Ingresses share a load balancer, and their rules one order"),
    ("alb.ingress.kubernetes.io/listen-ports", "the load balancer listens on other ports"),
    ("alb.ingress.kubernetes.io/scheme", "whether the load balancer faces the internet"),
    ("alb.ingress.kubernetes.io/security-groups", "a firewall of the cloud stands before the load balancer"),
    ("alb.ingress.kubernetes.io/ssl-redirect", "plain requests are sent to TLS"),
    ("ambient.istio.io/*", "a mesh redirects the pod's traffic"),
    ("cni.projectcalico.org/*", "Calico takes addresses and pools from it"),
    ("config.linkerd.io/*", "a mesh redirects the pod's traffic"),
    ("haproxy.org/auth-type", "the controller wants a login"),
    ("haproxy.org/client-ca", "the controller wants certificates of clients"),
    ("haproxy.org/path-rewrite", "the backend sees another path"),
    ("haproxy.org/request-redirect*", "the controller sends clients elsewhere"),
    ("haproxy.org/route-acl", "a route by rules of its own"),
    ("haproxy.org/ssl-redirect*", "plain requests are sent to TLS"),
    ("istio-injection", "a mesh redirects the traffic of the namespace's pods"),
    ("istio.io/dataplane-mode", "a mesh redirects the pod's traffic"),
    ("istio.io/rev", "a mesh redirects the pod's traffic"),
    ("istio.io/use-waypoint", "a mesh redirects the pod's traffic"),
    ("k8s.ovn.org/*", "OVN takes routes and gateways from it"),
    ("k8s.v1.cni.cncf.io/networks", "the pod has further networks that NetworkPolicy does not cover"),
    ("konghq.com/override", "a KongIngress changes what the object means"),
    ("konghq.com/plugins", "plugins may ask for more, or answer by themselves"),
    ("konghq.com/regex-priority", "the order of routes with regular expressions"),
    ("konghq.com/rewrite", "the backend sees another path"),
    ("konghq.com/snis", "routes by the server name of TLS"),
    ("kubernetes.io/ingress.global-static-ip-name", "the load balancer has an address of its own"),
    ("kubernetes.io/ingress.regional-static-ip-name", "the load balancer has an address of its own"),
    ("linkerd.io/inject", "a mesh redirects the pod's traffic"),
    ("networking.gke.io/v1beta1.FrontendConfig", "redirects and policies of the load balancer"),
    ("nginx.ingress.kubernetes.io/app-root", "the root path is sent elsewhere"),
    ("nginx.ingress.kubernetes.io/configuration-snippet", "configuration that is not read"),
    ("nginx.ingress.kubernetes.io/enable-modsecurity", "a firewall of HTTP may refuse requests"),
    ("nginx.ingress.kubernetes.io/from-to-www-redirect", "one more host, which is sent elsewhere"),
    ("nginx.ingress.kubernetes.io/mirror-target", "somebody gets a copy of requests"),
    ("nginx.ingress.kubernetes.io/server-snippet", "configuration that is not read"),
    ("nginx.ingress.kubernetes.io/stream-snippet", "configuration that is not read"),
    ("nginx.ingress.kubernetes.io/upstream-vhost", "the backend sees another host"),
    ("policy.cilium.io/*", "Cilium takes policy settings from it"),
    ("sidecar.istio.io/*", "a mesh redirects the pod's traffic"),
    ("traefik.ingress.kubernetes.io/router.middlewares", "middlewares may ask for more, or send clients elsewhere"),
    ("traefik.ingress.kubernetes.io/router.rulesyntax", "another syntax gives rules another length"),
    ("traefik.ingress.kubernetes.io/router.tls*", "the router is there for TLS alone"),
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
    // The table is sorted, and nearly all keys differ from all of it in their first letter.
    let first = key.as_bytes().first().copied();
    let letter = |pattern: &str| pattern.as_bytes().first().copied();
    let start = MARKS.partition_point(|(pattern, _)| letter(pattern) < first);
    let rest = MARKS.get(start..).unwrap_or_default();
    let mut alike = rest.iter().take_while(|(pattern, _)| letter(pattern) == first);
    alike.find(|(pattern, _)| matches(pattern)).map(|(_, reason)| *reason)
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
        | Model::Ingress
        | Model::IngressClass
        | Model::ConfigMap
        | Model::Role
        | Model::ClusterRole
        | Model::RoleBinding
        | Model::ClusterRoleBinding
        | Model::ServiceAccount => {}
        model if model.is_gateway_api() => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_sorted_and_each_is_found() {
        // IN-17
        assert!(MARKS.is_sorted_by(|left, right| left.0 < right.0));
        for (pattern, reason) in MARKS {
            assert_eq!(mark(&pattern.replace('*', "x")), Some(*reason), "{pattern}");
        }
        for key in ["app", "", "nginx.ingress.kubernetes.io/rewrite-target", "zzz", "konghq.com/protocols"] {
            assert_eq!(mark(key), None, "{key}");
        }
    }
}
