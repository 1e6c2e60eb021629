//! Legs behind address translation (M-6, M-7): NP-13a, NP-16b, NP-23 … NP-25. Which endpoint is chosen, and which node translates, is given
//! here by hand (SVC-5, KP-3, KP-4 come with Services).

use policy_core::model::Verdict;

use super::fx::{Allowed, C, Denied, Fx, Undefined, fx, knobs};

const WEBSVC: &str = "10.96.0.10:80";

#[test]
fn tv_28_ports_are_pod_ports() {
    // NP-16b, NP-23
    let to_team_a = |port: u16| {
        let to = "[{namespaceSelector: {matchLabels: {team: a}}}]";
        let spec =
            format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: {to}, ports: [{{port: {port}}}]}}]}}");
        fx().policy("y", &spec)
    };
    to_team_a(80).leg("y/cli", "x/web:8080", WEBSVC, None, Denied);
    to_team_a(8080).leg("y/cli", "x/web:8080", WEBSVC, None, Allowed);
}

#[test]
fn tv_29_a_block_with_a_service_address_depends_on_the_view() {
    // NP-13a, NP-23, M-4
    let spec = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.96.0.10/32}}]}]}";
    let fx = || fx().policy("y", spec);
    fx().leg("y/cli", "x/web:8080", WEBSVC, None, Denied);
    fx().set("egress_service_view", "pre_dnat").leg("y/cli", "x/web:8080", WEBSVC, None, Allowed);
    let either = fx().set("egress_service_view", "both").leg("y/cli", "x/web:8080", WEBSVC, None, Undefined);
    assert_eq!(knobs(&either), ["egress_service_view"]);
}

/// The node port of websvc on a node, with externalTrafficPolicy Cluster: that node masquerades.
fn through(fx: &Fx, node: &str, wanted: Verdict) -> Vec<&'static str> {
    let dialled = if node == "n1" { "198.51.100.11:30080" } else { "198.51.100.12:30080" };
    knobs(&fx.leg(C, "x/web:8080", dialled, Some(node), wanted))
}

fn client_range() -> Fx {
    fx().policy("x", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}")
}

#[test]
fn tv_34_a_masqueraded_client_is_the_node_that_received_it() {
    // NP-24
    let fx = client_range();
    through(&fx, "n2", Denied);
    through(&fx, "n1", Allowed);
}

#[test]
fn tv_35_the_own_node_that_masquerades_is_undefined_when_views_differ() {
    // NP-24
    let deny = || fx().policy("x", "{podSelector: {}, policyTypes: [Ingress]}");
    through(&deny(), "n2", Denied);
    assert_eq!(through(&deny(), "n1", Undefined), ["local_snat_view"]);
    through(&deny().set("local_snat_view", "client"), "n1", Denied);
    through(&deny().set("local_snat_view", "node"), "n1", Allowed);
}

#[test]
fn tv_36_with_policy_local_the_client_stays() {
    // NP-25. That n2 drops it for want of a local endpoint is the Service half (KP-4).
    client_range().leg(C, "x/web:8080", "198.51.100.11:30080", None, Allowed);
    client_range().leg("192.0.2.1", "x/web:8080", "198.51.100.11:30080", None, Denied);
}

#[test]
fn behind_a_proxy_the_proxy_is_the_source() {
    // NP-26: the leg to the backend begins at the proxy's pod, whoever stands before the proxy.
    let clients = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}";
    fx().policy("x", clients).check("ingress-nginx/ctl", "x/web:8080", Denied);
    let proxies = "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]";
    let fx = fx().policy("x", &format!("{{podSelector: {{}}, ingress: [{{from: {proxies}}}]}}"));
    fx.check("ingress-nginx/ctl", "x/web:8080", Allowed);
    fx.check(C, "x/web:8080", Denied);
}
