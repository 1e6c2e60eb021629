//! What the API server refuses, and what it tolerates: NP-31.

use super::fx::{Allowed, Denied, Fx, fx};

/// The policy of this spec is refused by NP-31 and by nothing else.
#[track_caller]
fn refused(spec: &str) -> String {
    let loaded = fx().policy("x", spec).load();
    let errors: Vec<_> = loaded.errors().collect();
    assert!(!errors.is_empty(), "accepted: {spec}");
    for error in &errors {
        assert_eq!(error.rule, "NP-31", "{spec}: {error:?}");
        assert!(error.primary.is_some(), "no place: {error:?}");
    }
    errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ")
}

#[test]
fn tv_39_violations_are_refused_each_for_its_reason() {
    // NP-31
    let ingress = |rule: &str| format!("{{podSelector: {{}}, ingress: [{rule}]}}");
    let messages = [
        refused(&ingress("{from: [{}]}")),
        refused(&ingress("{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}")),
        refused(&ingress("{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}")),
        refused(&ingress("{ports: [{port: HTTP}]}")),
        refused(&ingress("{ports: [{endPort: 90}]}")),
        refused("{podSelector: {}, policyTypes: [ingress]}"),
    ];
    let mut distinct = messages.to_vec();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), messages.len(), "each violation has a message of its own: {messages:#?}");
}

#[test]
fn tv_40_host_bits_are_masked_with_a_warning() {
    // NP-31
    let fx: Fx = fx().policy("x", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.5/24}}]}]}");
    let loaded = fx.load();
    assert_eq!(loaded.errors().count(), 0);
    let warned = loaded.diagnostics.iter().any(|diagnostic| diagnostic.rule == "NP-31" && !diagnostic.is_error());
    assert!(warned, "{:#?}", loaded.diagnostics);
    fx.check("10.0.0.77", "x/web:8080", Allowed);
    fx.check("10.0.1.77", "x/web:8080", Denied);
}
