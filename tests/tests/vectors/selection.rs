//! Selection, isolation, combination: NP-1 … NP-9.

use policy_core::model::Flag;

use super::fx::{Allowed, C, Denied, fx};

#[test]
fn tv_01_without_policies_everything_is_allowed() {
    // NP-4, M-5
    fx().check("y/cli", "x/web:8080", Allowed);
    fx().check_flag("y/cli", "x/web:1234", Allowed, Flag::UndeclaredPort);
}

#[test]
fn tv_02_deny_all_ingress_leaves_egress_open() {
    // NP-4, NP-7
    let fx = fx().policy("x", "{podSelector: {}, policyTypes: [Ingress]}");
    fx.check("y/cli", "x/web:8080", Denied);
    fx.check("x/web", "203.0.113.7:443", Allowed);
}

#[test]
fn tv_03_policy_types_default_to_ingress_alone() {
    // NP-2
    let fx = fx().policy("x", "{podSelector: {}}");
    fx.check("y/cli", "x/web:8080", Denied);
    fx.check("x/web", "203.0.113.7:443", Allowed);
}

#[test]
fn tv_04_an_empty_egress_list_does_not_isolate_for_egress() {
    // NP-2
    let fx = fx().policy("x", "{podSelector: {}, egress: []}");
    fx.check("x/web", "y/cli:1", Allowed);
    fx.check("y/cli", "x/web:8080", Denied);
}

#[test]
fn tv_05_an_egress_rule_adds_egress_and_ingress_stays() {
    // NP-2
    let fx = fx().policy("x", "{podSelector: {}, egress: [{}]}");
    fx.check("x/web", "y/cli:1", Allowed);
    fx.check("x/web", "203.0.113.7:443/udp", Allowed);
    fx.check("y/cli", "x/web:8080", Denied);
}

#[test]
fn tv_06_an_ingress_list_without_the_type_is_ignored() {
    // NP-3
    let fx = fx().policy("x", "{podSelector: {}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}]}");
    fx.check("y/cli", "x/web:8080", Allowed);
    fx.check("x/web", "y/cli:1", Denied);
}

#[test]
fn tv_07_an_egress_list_without_the_type_is_ignored() {
    // NP-3
    let fx = fx().policy("x", "{podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {}}]}]}");
    fx.check("x/web", "203.0.113.7:443", Allowed);
}

#[test]
fn tv_08_policies_add_up() {
    // NP-5, NP-7
    let fx =
        fx().policy("x", "{podSelector: {}, policyTypes: [Ingress]}").policy("x", "{podSelector: {}, ingress: [{}]}");
    fx.check("y/cli", "x/web:8080", Allowed);
    fx.check(C, "x/web:8080", Allowed);
}

#[test]
fn tv_09_an_empty_peer_list_is_everybody_and_ports_still_bind() {
    // NP-8
    let fx = fx().policy("x", "{podSelector: {}, ingress: [{from: [], ports: [{port: 8080}]}]}");
    fx.check("y/cli", "x/web:8080", Allowed);
    fx.check("y/cli", "x/web:8081", Denied);
}

#[test]
fn tv_42_two_policies_on_one_pod_are_a_union_in_any_order() {
    // NP-5
    let rule = |port: u16| {
        format!(
            "{{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{team: b}}}}, podSelector: {{matchLabels: {{app: cli}}}}}}], ports: [{{port: {port}}}]}}]}}"
        )
    };
    let forth = || fx().policy("x", &rule(8080)).policy("x", &rule(8081));
    for fx in [forth(), forth().reversed()] {
        fx.check("y/cli", "x/web:8080", Allowed);
        fx.check("y/cli", "x/web:8081", Allowed);
        fx.check("y/cli", "x/web:8082", Denied);
    }
}
