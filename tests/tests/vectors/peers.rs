//! Peers: NP-9 … NP-13.

use policy_core::model::Verdict;

use super::fx::{Allowed, C, Denied, Fx, fx};

/// Only these may come in to any pod of x.
fn from(peers: &str) -> Fx {
    fx().policy("x", &format!("{{podSelector: {{}}, ingress: [{{from: {peers}}}]}}"))
}

#[test]
fn tv_10_an_all_namespaces_peer_is_pods_only() {
    // NP-9, NP-19, NP-20
    let fx = from("[{namespaceSelector: {}}]");
    fx.check("y/cli", "x/web:8080", Allowed);
    // Through a node port with externalTrafficPolicy Local: the client's address stays (the Service half: KP-4).
    fx.leg(C, "x/web:8080", "198.51.100.11:30080", None, Denied);
    fx.check("node:n2", "x/web:8080", Denied);
    assert_eq!(fx.check("node:n1", "x/web:8080", Allowed).rule, "NP-19");
}

#[test]
fn tv_11_both_selectors_in_one_item_are_an_and() {
    // NP-10
    let fx = from("[{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: cli}}}]");
    fx.check("y/cli", "x/web:8080", Allowed);
    fx.check("y/web", "x/web:8080", Denied);
    fx.check("x/db", "x/web:8080", Denied);
}

#[test]
fn tv_12_two_items_are_an_or() {
    // NP-10
    let fx = from("[{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: cli}}}]");
    fx.check("y/web", "x/web:8080", Allowed);
    fx.check("z/job", "x/web:8080", Denied);
}

#[test]
fn tv_13_a_bare_pod_selector_stays_in_its_namespace() {
    // NP-10
    let fx = from("[{podSelector: {matchLabels: {app: web}}}]");
    fx.check("y/web", "x/db:5432", Denied);
    fx.check("x/web", "x/db:5432", Allowed);
}

#[test]
fn tv_14_not_in_holds_where_the_key_is_missing() {
    // NP-11
    let fx = from("[{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [b]}]}}]");
    fx.check("z/job", "x/web:8080", Allowed);
    fx.check("y/cli", "x/web:8080", Denied);
}

#[test]
fn tv_15_every_namespace_carries_its_name() {
    // NP-11a
    let peer = "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: \"y\"}}}]";
    from(peer).check("y/cli", "x/web:8080", Allowed);
    from(peer).check("z/job", "x/web:8080", Denied);
    // A manifest that says otherwise is overruled by the API server.
    let lied =
        from(peer).edit("metadata: {name: z}", "metadata: {name: z, labels: {kubernetes.io/metadata.name: \"y\"}}");
    lied.check("z/job", "x/web:8080", Denied);
}

/// The blocks of TV-16 and TV-17, through a node port with externalTrafficPolicy Local (the Service half: KP-4).
fn through_node_port(fx: &Fx, client: &str, wanted: Verdict) {
    fx.leg(client, "x/web:8080", "198.51.100.11:30080", None, wanted);
}

#[test]
fn tv_16_except_is_cut_out_of_its_block() {
    // NP-12, M-3
    let fx = from("[{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}]");
    through_node_port(&fx, C, Denied);
    through_node_port(&fx, "203.0.113.20", Allowed);
    // The partition, at its edges.
    for (client, wanted) in [
        ("203.0.112.255", Denied),
        ("203.0.113.0", Denied),
        ("203.0.113.15", Denied),
        ("203.0.113.16", Allowed),
        ("203.0.113.255", Allowed),
        ("203.0.114.0", Denied),
    ] {
        through_node_port(&fx, client, wanted);
    }
}

#[test]
fn tv_17_except_takes_nothing_from_another_item() {
    // NP-12
    let fx = from("[{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}, {ipBlock: {cidr: 203.0.113.7/32}}]");
    through_node_port(&fx, C, Allowed);
    through_node_port(&fx, "203.0.113.8", Denied);
}

#[test]
fn tv_18_families_never_mix() {
    // NP-12, NP-30
    let fx = from("[{ipBlock: {cidr: 0.0.0.0/0}}]")
        .edit("podIPs: [{ip: 10.244.1.10}]", "podIPs: [{ip: 10.244.1.10}, {ip: \"fd00:1::10\"}]")
        .edit("podIPs: [{ip: 10.244.2.20}]", "podIPs: [{ip: 10.244.2.20}, {ip: \"fd00:2::20\"}]");
    // An address of a pod stands for the pod, over that family.
    fx.check("y/cli", "[fd00:1::10]:8080", Denied);
    fx.check("y/cli", "10.244.1.10:8080", Allowed);
}

#[test]
fn tv_19_an_ip_block_holds_pods_unless_the_profile_says_no() {
    // NP-13
    from("[{ipBlock: {cidr: 10.244.2.0/24}}]").check("y/cli", "x/web:8080", Allowed);
    from("[{ipBlock: {cidr: 10.244.2.0/24}}]").set("ipblock_matches_pods", "false").check(
        "y/cli",
        "x/web:8080",
        Denied,
    );
    from("[{ipBlock: {cidr: 10.244.3.0/24}}]").check("y/cli", "x/web:8080", Denied);
}
