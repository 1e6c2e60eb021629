//! Lifecycle, enforcement, implementations, names: NP-27, NP-32, A38, CIL-2, DNS-7.

use policy_core::model::{Condition, Flag};
use policy_core::ways::dns::Resolution;

use super::fx::{Allowed, Denied, NoListener, NoRoute, fx};

#[test]
fn tv_37_a_finished_pod_has_no_network() {
    // NP-27
    let finished = fx().edit("phase: Running\n  podIP: 10.244.2.10\n", "phase: Succeeded\n  podIP: 10.244.2.10\n");
    finished.check("y/cli", "x/db:5432", NoListener);
    finished.check("x/db", "y/web:9090", NoRoute);
}

#[test]
fn tv_38_readiness_does_not_matter_to_a_pod_address() {
    // NP-27. That a Service leaves the pod out is the other half (SVC-9).
    let conditions = "phase: Running\n  conditions: [{type: Ready, status: \"False\"}]\n  podIP: 10.244.2.21\n";
    fx().edit("phase: Running\n  podIP: 10.244.2.21\n", conditions).check("y/cli", "10.244.2.21:9090", Allowed);
}

#[test]
fn tv_41_without_enforcement_policies_say_nothing() {
    // NP-32
    let deny = || fx().policy("x", "{podSelector: {}, policyTypes: [Ingress]}");
    deny().check("y/cli", "x/web:8080", Denied);
    deny().set("enforcement", "off").check_flag("y/cli", "x/web:8080", Allowed, Flag::UnenforcedPolicies);
}

#[test]
fn tv_44_a_leg_to_an_address_needs_no_names() {
    // DNS-6, DNS-7
    let to = "[{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}]";
    let spec = format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: {to}, ports: [{{port: 8080}}]}}]}}");
    let fx = fx().policy("y", &spec).set("dns_required", "true");
    fx.leg("y/cli", "x/web:8080", "10.96.0.10:80", None, Allowed);
    fx.check("y/cli", "z/job:53/udp", Denied);
    // By name it hinges on the way to the cluster's DNS, which the policy does not let through.
    assert!(matches!(fx.resolve("y/cli", "websvc.x"), Resolution::ClusterIp(_)));
    assert_eq!(fx.hinges("y/cli"), Some(Condition::Dns));
    assert_eq!(fx.hinges("z/job"), None);
}

#[test]
fn flannel_alone_enforces_nothing() {
    // A38, NP-32
    let fx = fx().policy("x", "{podSelector: {}, policyTypes: [Ingress]}").preset("flannel");
    fx.check_flag("y/cli", "x/web:8080", Allowed, Flag::UnenforcedPolicies);
}

#[test]
fn cidr_rules_of_cilium_hold_neither_pods_nor_nodes() {
    // CIL-2
    let spec = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}";
    let fx = fx().policy("x", spec).preset("cilium");
    fx.check("y/cli", "x/web:8080", Denied);
    fx.check("node:n2", "x/web:8080", Denied);
    fx.check("203.0.113.7", "x/web:8080", Allowed);
}
