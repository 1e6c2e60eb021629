//! Both ends, self traffic, nodes and the host's network: NP-6, NP-18 … NP-22.

use policy_core::model::{Flag, Outcome};

use super::fx::{Allowed, C, Denied, Fx, fx};

#[test]
fn tv_27_both_ends_must_allow() {
    // NP-6
    let to_web = "[{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}]";
    let spec = format!(
        "{{podSelector: {{matchLabels: {{app: cli}}}}, policyTypes: [Egress], egress: [{{to: {to_web}, ports: [{{port: 8080}}]}}]}}"
    );
    let fx = fx().policy("y", &spec).policy("x", "{podSelector: {}, policyTypes: [Ingress]}");
    let judgement = fx.check("y/cli", "x/web:8080", Denied);
    assert_eq!(judgement.egress.outcome, Outcome::Allowed);
    assert_eq!(judgement.ingress.outcome, Outcome::Denied);
}

fn deny_all_of_x() -> Fx {
    fx().policy("x", "{podSelector: {}, policyTypes: [Ingress, Egress]}")
}

#[test]
fn tv_30_a_pod_always_reaches_itself() {
    // NP-18
    let fx = deny_all_of_x();
    fx.check_flag("x/web", "127.0.0.1:8080", Allowed, Flag::SelfTraffic);
    fx.check_flag("x/web", "10.244.1.10:8080", Allowed, Flag::SelfTraffic);
    // Through its own Service, masqueraded by its node (that the Service leads back here: SVC-5).
    fx.leg("x/web", "x/web:8080", "10.96.0.10:80", Some("n1"), Allowed);
    let policed = fx.set("self_via_service", "policy");
    policed.leg("x/web", "x/web:8080", "10.96.0.10:80", Some("n1"), Denied);
}

#[test]
fn tv_31_the_own_node_and_what_runs_on_its_network_always_get_in() {
    // NP-19, NP-21, NP-22
    let fx = deny_all_of_x();
    assert_eq!(fx.check("node:n1", "x/web:8080", Allowed).rule, "NP-19");
    fx.check_flag("x/host", "x/web:8080", Allowed, Flag::OwnNode);
    fx.check("y/host2", "x/web:8080", Denied);
}

#[test]
fn tv_32_pods_on_the_hosts_network_are_nodes_or_pods() {
    // NP-22
    let peers = "[{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: cli}}}]";
    let fx = fx().policy("x", &format!("{{podSelector: {{}}, ingress: [{{from: {peers}}}]}}"));
    fx.check("y/host2", "x/web:8080", Denied);
    fx.set("hostnetwork_pods", "as_pod").check("y/host2", "x/web:8080", Allowed);
}

#[test]
fn tv_33_no_policy_protects_a_pod_on_the_hosts_network() {
    // NP-22; that the finding is listed comes with the ways in (HN-1)
    let fx = fx().policy("x", "{podSelector: {}, policyTypes: [Ingress]}");
    fx.check_flag(C, "x/host:9100", Allowed, Flag::HostNetwork);
}

#[test]
fn tv_43_egress_to_the_own_node_is_a_knob_and_other_nodes_are_addresses() {
    // NP-19, NP-20
    let fx = fx().policy("x", "{podSelector: {}, policyTypes: [Egress]}");
    fx.check("x/web", "10.0.0.11:10250", Allowed);
    fx.check("x/web", "10.0.0.12:10250", Denied);
    let policed = fx.set("egress_to_own_node", "policy");
    policed.check("x/web", "10.0.0.11:10250", Denied);
    policed.check("x/web", "10.0.0.12:10250", Denied);
}
