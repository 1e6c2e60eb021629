//! Cluster-wide policies: CNP-1 … CNP-14, ANP-1, ANP-2.

use policy_core::model::{Condition, Flag, Outcome};

use super::fx::{Allowed, C, Conditional, Denied, Fx, Undefined, fx, knobs};

/// The pods of team a, in namespace x.
const X: &str = "subject: {namespaces: {matchLabels: {team: a}}}";
/// The pods of team b, in namespace y.
const Y: &str = "subject: {namespaces: {matchLabels: {team: b}}}";

/// The same as peers.
const FROM_B: &str = "from: [{namespaces: {matchLabels: {team: b}}}]";

/// A NetworkPolicy that admits all of y, and one that admits nobody.
const ADMIT_Y: &str = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}";
const ADMIT_NOBODY: &str = "{podSelector: {}, policyTypes: [Ingress]}";

impl Fx {
    /// One ingress rule about team b for team a.
    fn ingress(self, tier: &str, priority: u16, action: &str) -> Self {
        let rule = format!("ingress: [{{action: {action}, {FROM_B}}}]");
        self.cnp(&format!("tier: {tier}, priority: {priority}, {X}, {rule}"))
    }

    /// y/cli to x/web.
    #[track_caller]
    fn cli_to_web(&self, wanted: policy_core::model::Verdict) -> policy_core::model::Judgement {
        self.check("y/cli", "x/web:8080", wanted)
    }
}

#[test]
fn tv_45_admin_comes_before_network_policies() {
    // CNP-1, CNP-4
    fx().ingress("Admin", 10, "Deny").policy("x", ADMIT_Y).cli_to_web(Denied);
}

#[test]
fn tv_46_pass_hands_over_to_network_policies_and_then_to_baseline() {
    // CNP-5
    let passed = || fx().ingress("Admin", 10, "Pass");
    passed().policy("x", ADMIT_Y).cli_to_web(Allowed);
    passed().ingress("Baseline", 10, "Deny").cli_to_web(Denied);
    passed().ingress("Baseline", 10, "Accept").policy("x", ADMIT_NOBODY).cli_to_web(Denied);
    passed().ingress("Baseline", 10, "Deny").policy("x", ADMIT_Y).cli_to_web(Allowed);
}

#[test]
fn tv_47_the_lower_number_comes_first() {
    // CNP-2, CNP-4
    let (accept, deny) = (|fx: Fx| fx.ingress("Admin", 5, "Accept"), |fx: Fx| fx.ingress("Admin", 10, "Deny"));
    deny(accept(fx().policy("x", ADMIT_NOBODY))).cli_to_web(Allowed);
    accept(deny(fx().policy("x", ADMIT_NOBODY))).cli_to_web(Allowed);
}

#[test]
fn tv_48_of_equal_priorities_any_may_be_first() {
    // CNP-2
    let pair = |second: &str| fx().ingress("Admin", 10, "Accept").ingress("Admin", 10, second);
    assert_eq!(knobs(&pair("Deny").cli_to_web(Undefined)), ["equal_priority"]);
    pair("Pass").cli_to_web(Allowed);
    // Where what comes after Pass differs from Accept, the order matters again.
    pair("Pass").policy("x", ADMIT_NOBODY).cli_to_web(Undefined);
    pair("Pass").ingress("Baseline", 10, "Deny").cli_to_web(Undefined);
    // The first that was added has the name that sorts first.
    pair("Deny").set("equal_priority", "name").cli_to_web(Allowed);
    let other = || fx().ingress("Admin", 10, "Deny").ingress("Admin", 10, "Accept");
    other().set("equal_priority", "name").cli_to_web(Denied);
    // What does not match has no say.
    let apart = fx().ingress("Admin", 10, "Accept");
    apart.cnp(&format!("tier: Admin, priority: 10, {Y}, ingress: [{{action: Deny, {FROM_B}}}]")).cli_to_web(Allowed);
}

#[test]
fn tv_49_networks_hold_pods() {
    // CNP-9
    let deny = "{action: Deny, to: [{networks: [0.0.0.0/0]}]}";
    let all = fx().cnp(&format!("tier: Admin, priority: 10, {Y}, egress: [{deny}]"));
    all.cli_to_web(Denied);
    all.check("y/cli", "203.0.113.7:443", Denied);
    let rules = format!("egress: [{{action: Pass, to: [{{namespaces: {{}}}}]}}, {deny}]");
    let but_pods = fx().cnp(&format!("tier: Admin, priority: 10, {Y}, {rules}"));
    but_pods.cli_to_web(Allowed);
    but_pods.check("y/cli", "203.0.113.7:443", Denied);
}

/// Nobody in the cluster gets into x.
fn no_pod_into_x() -> Fx {
    fx().cnp(&format!("tier: Admin, priority: 10, {X}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]"))
}

#[test]
fn tv_50_who_is_no_pod_matches_no_ingress_rule() {
    // CNP-7
    let fx = no_pod_into_x();
    fx.cli_to_web(Denied);
    // Through a node port with externalTrafficPolicy Local: the client's address stays (the Service half: KP-4).
    fx.leg(C, "x/web:8080", "198.51.100.11:30080", None, Allowed);
    fx.check("node:n2", "x/web:8080", Allowed);
    fx.check("y/host2", "x/web:8080", Allowed);
}

#[test]
fn tv_51_accept_opens_its_own_end() {
    // CNP-4, CNP-15
    let egress = "egress: [{action: Accept, to: [{namespaces: {matchLabels: {team: a}}}]}]";
    let fx = fx().cnp(&format!("tier: Admin, priority: 10, {Y}, {egress}")).policy("x", ADMIT_NOBODY);
    let judgement = fx.cli_to_web(Denied);
    assert_eq!(judgement.egress.outcome, Outcome::Allowed);
    assert_eq!(judgement.ingress.outcome, Outcome::Denied);
}

#[test]
fn tv_52_a_pod_on_the_hosts_network_is_no_subject() {
    // CNP-6
    no_pod_into_x().check_flag("y/cli", "x/host:9100", Allowed, Flag::HostNetwork);
}

#[test]
fn tv_53_a_rule_with_an_unknown_peer_is_closed() {
    // CNP-13
    let rule = |action: &str| {
        fx().cnp(&format!("tier: Admin, priority: 10, {X}, ingress: [{{action: {action}, from: [{{}}]}}]"))
    };
    rule("Accept").policy("x", ADMIT_NOBODY).cli_to_web(Denied);
    rule("Accept").cli_to_web(Allowed);
    for action in ["Deny", "Pass"] {
        let closed = rule(action).policy("x", ADMIT_Y);
        closed.cli_to_web(Denied);
        closed.check(C, "x/web:8080", Denied);
    }
}

#[test]
fn tv_54_a_pod_reaches_its_own_address_and_not_itself_through_a_service() {
    // CNP-14
    let all = "[{namespaces: {}}]";
    let rules = format!("ingress: [{{action: Deny, from: {all}}}], egress: [{{action: Deny, to: {all}}}]");
    let fx = fx().cnp(&format!("tier: Admin, priority: 10, {X}, {rules}"));
    fx.check_flag("x/web", "10.244.1.10:8080", Allowed, Flag::SelfTraffic);
    fx.check_flag("x/web", "127.0.0.1:8080", Allowed, Flag::SelfTraffic);
    // That its own Service leads back here: SVC-5.
    fx.leg("x/web", "x/web:8080", "10.96.0.10:80", Some("n1"), Denied);
    fx.leg("x/web", "x/web:8080", "10.96.0.10:80", None, Denied);
}

#[test]
fn tv_55_names_are_conditional_on_dns() {
    // CNP-10
    let accept = "{action: Accept, to: [{domainNames: ['*.kubernetes.io']}]}";
    let deny = "{action: Deny, to: [{networks: [0.0.0.0/0]}]}";
    let fx = fx().cnp(&format!("tier: Admin, priority: 10, {Y}, egress: [{accept}, {deny}]"));
    for name in ["latest.blog.kubernetes.io", "blog.kubernetes.io"] {
        let judgement = fx.check("y/cli", &format!("name:{name}:443"), Conditional);
        assert_eq!(judgement.conditions(), [Condition::Dns]);
    }
    for name in ["kubernetes.io", "example.com"] {
        fx.check("y/cli", &format!("name:{name}:443"), Denied);
    }
    // An address outside may be what DNS gave for such a name; a pod's or a node's is not.
    let judgement = fx.check("y/cli", "203.0.113.7:443", Conditional);
    assert_eq!(judgement.conditions(), [Condition::Dns]);
    fx.cli_to_web(Denied);
    fx.check("y/cli", "node:n1:443", Denied);
    // Where nothing denies, it does not matter what DNS gave.
    let open = super::fx::fx().cnp(&format!("tier: Admin, priority: 10, {Y}, egress: [{accept}]"));
    open.check("y/cli", "203.0.113.7:443", Allowed);
}

#[test]
fn tv_56_baseline_decides_where_network_policies_do_not_isolate() {
    // CNP-5
    let egress_only = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}";
    fx().ingress("Baseline", 10, "Deny").policy("x", egress_only).cli_to_web(Denied);
}

#[test]
fn tv_57_pass_in_baseline_leads_to_the_default() {
    // CNP-4
    fx().ingress("Baseline", 1, "Pass").ingress("Baseline", 2, "Deny").cli_to_web(Allowed);
    fx().ingress("Baseline", 2, "Deny").cli_to_web(Denied);
}

/// What is refused about these manifests: the rules, and that each has a place.
fn refused(fx: &Fx) -> Vec<&'static str> {
    let loaded = fx.load();
    assert!(loaded.errors().all(|error| error.primary.is_some()), "{:#?}", loaded.diagnostics);
    loaded.errors().map(|error| error.rule).collect()
}

#[test]
fn tv_58_names_words_and_numbers_that_a_kind_does_not_take_are_refused() {
    // ANP-1, CNP-12
    let rule = |action: &str| format!("{{action: {action}, {FROM_B}}}");
    let allow = format!("{X}, ingress: [{}]", rule("Allow"));
    let named = fx().cluster_policy("v1alpha1", "BaselineAdminNetworkPolicy", "foo", &allow);
    assert_eq!(refused(&named), ["ANP-1"]);
    assert_eq!(refused(&fx().banp(&allow)), [""; 0]);
    let accept = format!("priority: 1, {X}, ingress: [{}]", rule("Accept"));
    assert_eq!(refused(&fx().anp(&accept)), ["ANP-1"]);
    assert_eq!(refused(&fx().ingress("Admin", 1001, "Deny")), ["CNP-12"]);
    let many = |count| format!("tier: Admin, priority: 1, {X}, ingress: [{}]", vec![rule("Deny"); count].join(", "));
    assert_eq!(refused(&fx().cnp(&many(26))), ["CNP-12"]);
    assert_eq!(refused(&fx().cnp(&many(25))), [""; 0]);
}

#[test]
fn tv_59_pass_skips_the_admin_policies_that_are_left() {
    // ANP-2
    let rule = |action: &str| format!("{X}, ingress: [{{action: {action}, {FROM_B}}}]");
    let admin = || fx().anp(&format!("priority: 1, {}", rule("Pass"))).anp(&format!("priority: 2, {}", rule("Deny")));
    admin().cli_to_web(Allowed);
    admin().banp(&rule("Deny")).cli_to_web(Denied);
    admin().banp(&rule("Deny")).policy("x", ADMIT_Y).cli_to_web(Allowed);
}

#[test]
fn tv_60_tcp_without_a_port_is_all_of_tcp() {
    // CNP-11
    let rule = format!("{{action: Deny, {FROM_B}, protocols: [{{tcp: {{}}}}]}}");
    let fx = fx().cnp(&format!("tier: Admin, priority: 1, {X}, ingress: [{rule}]"));
    let loaded = fx.load();
    let warned = loaded.diagnostics.iter().any(|diagnostic| diagnostic.rule == "CNP-11" && !diagnostic.is_error());
    assert!(warned, "{:#?}", loaded.diagnostics);
    for port in ["1", "8080", "65535"] {
        fx.check("y/cli", &format!("x/web:{port}"), Denied);
    }
    fx.check("y/cli", "x/web:8080/udp", Allowed);
}
