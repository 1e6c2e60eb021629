//! Ports: NP-14 … NP-17.

use super::fx::{Allowed, Denied, Fx, fx};

/// Anybody may come in to any pod of x, on these ports.
fn on(ports: &str) -> Fx {
    fx().policy("x", &format!("{{podSelector: {{}}, ingress: [{{ports: {ports}}}]}}"))
}

#[test]
fn tv_20_an_empty_entry_is_all_of_tcp() {
    // NP-14
    let fx = on("[{}]");
    fx.check("y/cli", "x/web:8080", Allowed);
    fx.check("y/cli", "x/web:53/udp", Denied);
    fx.check("y/cli", "x/web:53/sctp", Denied);
}

#[test]
fn tv_21_a_protocol_alone_is_all_of_it() {
    // NP-14
    let fx = on("[{protocol: UDP}]");
    fx.check("y/cli", "x/web:53/udp", Allowed);
    fx.check("y/cli", "x/web:8080", Denied);
}

#[test]
fn tv_22_end_port_is_inclusive_where_it_is_supported() {
    // NP-15
    let fx = on("[{port: 8080, endPort: 8090}]");
    fx.check("y/cli", "x/web:8090", Allowed);
    fx.check("y/cli", "x/web:8091", Denied);
    fx.check("y/cli", "x/web:8079", Denied);
    let fx = fx.set("endport_support", "false");
    fx.check("y/cli", "x/web:8080", Allowed);
    fx.check("y/cli", "x/web:8090", Denied);
}

#[test]
fn tv_23_a_name_means_what_the_selected_pod_calls_so() {
    // NP-16
    let fx = fx().policy("y", "{podSelector: {}, ingress: [{ports: [{port: http}]}]}");
    fx.check("x/db", "y/web:9090", Allowed);
    fx.check("x/db", "y/web:8080", Denied);
    fx.check("x/db", "y/cli:9090", Denied);
}

/// y/cli may go to pods `app=web` anywhere, on this port.
fn cli_to_web(port: &str) -> Fx {
    let to = "[{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]";
    let spec = format!(
        "{{podSelector: {{matchLabels: {{app: cli}}}}, policyTypes: [Egress], egress: [{{to: {to}, ports: [{port}]}}]}}"
    );
    fx().policy("y", &spec)
}

#[test]
fn tv_24_in_egress_each_destination_has_its_own_number() {
    // NP-16
    let fx = cli_to_web("{port: http}");
    fx.check("y/cli", "x/web:8080", Allowed);
    fx.check("y/cli", "x/web:9090", Denied);
    fx.check("y/cli", "y/web:9090", Allowed);
    fx.check("y/cli", "y/web:8080", Denied);
}

#[test]
fn tv_25_a_name_of_another_protocol_is_no_match() {
    // NP-16
    let fx = cli_to_web("{protocol: UDP, port: http}");
    for to in ["x/web:8080", "x/web:8080/udp", "x/web:9090", "y/web:9090", "y/web:9090/udp", "y/web:8080"] {
        fx.check("y/cli", to, Denied);
    }
}

#[test]
fn tv_26_a_name_never_matches_outside() {
    // NP-16a
    let spec = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]}";
    let fx = fx().policy("y", spec);
    fx.check("y/cli", "203.0.113.7:8080", Denied);
    // A pod inside the block has names, as long as ipBlocks match pods.
    fx.check("y/cli", "x/web:8080", Allowed);
    fx.set("ipblock_matches_pods", "false").check("y/cli", "x/web:8080", Denied);
}
