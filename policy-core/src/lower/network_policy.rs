//! NetworkPolicies: defaults (NP-1, NP-2), validation (NP-31), and rules in the directions that count (NP-3).
//!
//! The API version plays no part: the legacy one has the same fields (NP-33); the reader remarks on it.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, NamespaceId, PolicyId};
use crate::lower::context::Context;
use crate::lower::input::Input;
use crate::lower::peers::peers;
use crate::lower::ports::policy_ports;
use crate::lower::selectors::selector;
use crate::model::{Direction, Name, NetworkPolicy, Rule, Selector};
use crate::snapshot::{NetworkPolicyBody, NetworkPolicySpec, Object};
use crate::source::Span;

/// The policies that hold, and whether one was refused.
#[derive(Debug, Default)]
pub(super) struct Policies {
    pub(super) policies: IdVec<PolicyId, NetworkPolicy>,
    pub(super) refused: bool,
}

/// Lowers all NetworkPolicies. One with any error is refused as a whole, as the API server would (NP-31).
pub(super) fn lower(input: &Input<'_>, ids: &FxHashMap<Name, NamespaceId>, context: &mut Context) -> Policies {
    let mut lowered = Policies::default();
    for ((namespace, name), (object, body)) in &input.policies {
        let Some(id) = ids.get(namespace) else { continue };
        match accepted(*id, name, object, body, context) {
            Some(policy) => drop(lowered.policies.push(policy)),
            None => lowered.refused = true,
        }
    }
    lowered
}

/// A policy; `None` when it has an error, which is reported.
pub(super) fn accepted(
    namespace: NamespaceId,
    name: &Name,
    object: &Object,
    body: &NetworkPolicyBody,
    context: &mut Context,
) -> Option<NetworkPolicy> {
    let errors = context.errors();
    let policy = policy(namespace, name, object, body.spec.as_ref(), context);
    (context.errors() == errors).then_some(policy)
}

fn policy(
    namespace: NamespaceId,
    name: &Name,
    object: &Object,
    spec: Option<&NetworkPolicySpec>,
    context: &mut Context,
) -> NetworkPolicy {
    let empty = NetworkPolicySpec::default();
    let selector = pod_selector(spec, object.span, context);
    let spec = spec.unwrap_or(&empty);
    let directions = directions(spec, object.span, context);
    // Rules are validated in both directions, and kept where they count.
    let ingress = spec.ingress.iter().flatten().map(|rule| Rule {
        peers: peers(rule.value.from.as_ref(), context),
        ports: policy_ports(rule.value.ports.as_ref(), context),
        span: rule.span,
    });
    let ingress: Vec<_> = ingress.collect();
    let egress = spec.egress.iter().flatten().map(|rule| Rule {
        peers: peers(rule.value.to.as_ref(), context),
        ports: policy_ports(rule.value.ports.as_ref(), context),
        span: rule.span,
    });
    let egress: Vec<_> = egress.collect();
    NetworkPolicy {
        namespace,
        name: name.clone(),
        selector,
        ingress: directions.contains(&Direction::Ingress).then_some(ingress),
        egress: directions.contains(&Direction::Egress).then_some(egress),
        span: object.span,
    }
}

/// NP-1
fn pod_selector(spec: Option<&NetworkPolicySpec>, place: Option<Span>, context: &mut Context) -> Selector {
    let Some(spec) = spec else {
        let message = "a policy without `spec` selects every pod of its namespace and admits nothing to them";
        context.report(Diagnostic::warning("NP-1", place, message).help("write the `spec`, or remove the policy"));
        return Selector::everything();
    };
    match &spec.pod_selector {
        Some(written) => selector(written, place, context),
        None => {
            let message = "a policy without `podSelector` selects every pod of its namespace";
            let help = "if that is meant, write `podSelector: {}`";
            context.report(Diagnostic::warning("NP-1", place, message).help(help));
            Selector::everything()
        }
    }
}

/// The directions in which the policy isolates.
fn directions(spec: &NetworkPolicySpec, place: Option<Span>, context: &mut Context) -> BTreeSet<Direction> {
    let types = spec.policy_types.as_ref().filter(|types| !types.value.is_empty());
    let Some(types) = types else { return default_directions(spec, place, context) };
    if types.value.len() > 2 {
        let message = format!("`policyTypes` has {} entries", types.value.len());
        context
            .report(Diagnostic::error("NP-31", types.span.or(place), message).help("there are two: Ingress, Egress"));
    }
    let errors = context.errors();
    let mut directions = BTreeSet::new();
    for written in &types.value {
        match &*written.value {
            "Ingress" => directions.insert(Direction::Ingress),
            "Egress" => directions.insert(Direction::Egress),
            other => {
                let known = ["Ingress", "Egress"].into_iter().find(|known| known.eq_ignore_ascii_case(other));
                let help = match known {
                    Some(known) => format!("write `{known}`"),
                    None => "the policy types are Ingress and Egress".to_owned(),
                };
                let message = format!("`{other}` is not a policy type");
                context.report(Diagnostic::error("NP-31", written.span.or(place), message).help(help));
                continue;
            }
        };
    }
    if context.errors() == errors {
        warn_of_ignored_rules(spec, &directions, types.span.or(place), context);
    }
    directions
}

/// NP-2
fn default_directions(spec: &NetworkPolicySpec, place: Option<Span>, context: &mut Context) -> BTreeSet<Direction> {
    let Some(egress) = &spec.egress else { return BTreeSet::from([Direction::Ingress]) };
    let Some(first) = egress.first() else {
        let message = "an empty `egress` without `policyTypes` denies no egress";
        let help = "to deny all egress write `policyTypes: [Ingress, Egress]`";
        context.report(Diagnostic::warning("NP-2", place, message).help(help));
        return BTreeSet::from([Direction::Ingress]);
    };
    if spec.ingress.is_none() {
        let message = "without `policyTypes` this policy denies all ingress too";
        let help = "if only egress is meant, write `policyTypes: [Egress]`";
        context.report(Diagnostic::warning("NP-2", first.span.or(place), message).help(help));
    }
    BTreeSet::from(Direction::ALL)
}

/// NP-3
fn warn_of_ignored_rules(
    spec: &NetworkPolicySpec,
    directions: &BTreeSet<Direction>,
    types: Option<Span>,
    context: &mut Context,
) {
    let ingress = spec.ingress.as_ref().map(|rules| rules.first().and_then(|rule| rule.span));
    let egress = spec.egress.as_ref().map(|rules| rules.first().and_then(|rule| rule.span));
    for (direction, written) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
        let Some(span) = written.filter(|_| !directions.contains(&direction)) else { continue };
        let policy_type = if direction == Direction::Ingress { "Ingress" } else { "Egress" };
        let diagnostic = Diagnostic::warning("NP-3", span.or(types), format!("`{direction}` has no effect"))
            .help(format!("add `{policy_type}` to `policyTypes`, or remove `{direction}`"));
        let elsewhere = types.filter(|_| span.is_some());
        context.report(diagnostic.also(elsewhere, format!("`{policy_type}` is not among the policy types")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::testing::{block, errors, lower_all, match_labels, pod, policy, source, spanned, warnings};
    use crate::model::{Cluster, Peers, Ports};
    use crate::snapshot::{EgressRule, IngressRule, LabelSelector, PolicyPeer};
    use crate::source::Spanned;

    fn spec() -> NetworkPolicySpec {
        NetworkPolicySpec { pod_selector: Some(LabelSelector::default()), ..NetworkPolicySpec::default() }
    }

    fn types(types: &[&str]) -> Option<Spanned<Vec<Spanned<Name>>>> {
        Some(Spanned::nowhere(types.iter().copied().map(spanned).collect()))
    }

    fn lowered(spec: NetworkPolicySpec) -> (Cluster, Vec<Diagnostic>) {
        lower_all(vec![policy("x", "a").spec(Some(spec)).done(), pod("x", "web").done()])
    }

    fn isolates(spec: NetworkPolicySpec) -> ((bool, bool), Vec<String>) {
        let (cluster, found) = lowered(spec);
        let policy = cluster.policies.values().next().unwrap();
        ((policy.ingress.is_some(), policy.egress.is_some()), warnings(&found))
    }

    fn any_ingress() -> Option<Vec<Spanned<IngressRule>>> {
        Some(vec![Spanned::nowhere(IngressRule::default())])
    }

    fn any_egress() -> Option<Vec<Spanned<EgressRule>>> {
        Some(vec![Spanned::nowhere(EgressRule::default())])
    }

    #[test]
    fn ingress_is_the_default_type() {
        // NP-2, TV-3
        assert_eq!(isolates(spec()), ((true, false), Vec::new()));
        assert_eq!(isolates(NetworkPolicySpec { policy_types: types(&[]), ..spec() }), ((true, false), Vec::new()));
    }

    #[test]
    fn an_empty_egress_list_alone_does_not_isolate() {
        // NP-2, TV-4
        let written = NetworkPolicySpec { egress: Some(Vec::new()), ..spec() };
        let expected = "NP-2: an empty `egress` without `policyTypes` denies no egress".to_owned();
        assert_eq!(isolates(written), ((true, false), vec![expected]));
    }

    #[test]
    fn egress_rules_alone_isolate_in_both_directions() {
        // NP-2, TV-5
        let written = NetworkPolicySpec { egress: any_egress(), ..spec() };
        let expected = "NP-2: without `policyTypes` this policy denies all ingress too".to_owned();
        assert_eq!(isolates(written), ((true, true), vec![expected]));
        let both = NetworkPolicySpec { egress: any_egress(), ingress: any_ingress(), ..spec() };
        assert_eq!(isolates(both), ((true, true), Vec::new()));
    }

    #[test]
    fn rules_of_a_direction_that_is_not_a_type_have_no_effect() {
        // NP-3, TV-6, TV-7
        let written = NetworkPolicySpec { policy_types: types(&["Egress"]), ingress: any_ingress(), ..spec() };
        assert_eq!(isolates(written), ((false, true), vec!["NP-3: `ingress` has no effect".to_owned()]));
        let written = NetworkPolicySpec { policy_types: types(&["Ingress"]), egress: any_egress(), ..spec() };
        assert_eq!(isolates(written), ((true, false), vec!["NP-3: `egress` has no effect".to_owned()]));
    }

    #[test]
    fn a_type_without_rules_admits_nothing() {
        // NP-7
        let (cluster, found) = lowered(NetworkPolicySpec { policy_types: types(&["Ingress", "Egress"]), ..spec() });
        let policy = cluster.policies.values().next().unwrap();
        assert_eq!((policy.ingress.as_deref(), policy.egress.as_deref()), (Some(&[][..]), Some(&[][..])));
        assert!(found.is_empty());
    }

    #[test]
    fn an_empty_rule_admits_everything() {
        // NP-7, NP-8
        let (cluster, _) = lowered(NetworkPolicySpec { ingress: any_ingress(), ..spec() });
        let policy = cluster.policies.values().next().unwrap();
        let rule = &policy.ingress.as_ref().unwrap()[0];
        assert_eq!((&rule.peers, &rule.ports), (&Peers::Any, &Ports::Any));
    }

    #[test]
    fn a_missing_pod_selector_selects_all_and_is_remarked() {
        // NP-1
        let (cluster, found) = lowered(NetworkPolicySpec::default());
        assert!(cluster.policies.values().next().unwrap().selector.is_everything());
        assert_eq!(warnings(&found), ["NP-1: a policy without `podSelector` selects every pod of its namespace"]);
        let (_, found) = lowered(spec());
        assert!(found.is_empty());
    }

    #[test]
    fn a_policy_without_spec_denies_all_ingress() {
        // NP-1, NP-2
        let (cluster, found) = lower_all(vec![policy("x", "a").spec(None).done(), pod("x", "web").done()]);
        let policy = cluster.policies.values().next().unwrap();
        assert!(policy.selector.is_everything() && policy.ingress == Some(Vec::new()) && policy.egress.is_none());
        assert_eq!(warnings(&found).len(), 1);
    }

    #[test]
    fn bad_policy_types_are_refused() {
        // NP-31, TV-39
        let refused = |written: &[&str]| {
            let (cluster, found) = lowered(NetworkPolicySpec { policy_types: types(written), ..spec() });
            assert!(cluster.policies.is_empty() && cluster.incomplete);
            errors(&found)
        };
        assert_eq!(refused(&["ingress"]), ["NP-31: `ingress` is not a policy type"]);
        assert_eq!(refused(&["a", "b"]), ["NP-31: `a` is not a policy type", "NP-31: `b` is not a policy type"]);
        assert_eq!(refused(&["Both"]), ["NP-31: `Both` is not a policy type"]);
        assert_eq!(refused(&["Ingress", "Egress", "Ingress"]), ["NP-31: `policyTypes` has 3 entries"]);
        let (cluster, found) = lowered(NetworkPolicySpec { policy_types: types(&["Ingress", "Ingress"]), ..spec() });
        assert!(cluster.policies.len() == 1 && found.is_empty());
    }

    #[test]
    fn all_problems_of_a_policy_come_at_once_and_it_is_left_out() {
        // NP-31
        let peer = |cidr| PolicyPeer { ip_block: Some(block(cidr, &[])), ..PolicyPeer::default() };
        let from = Some(vec![Spanned::nowhere(peer("10.0.0.0/33")), Spanned::nowhere(PolicyPeer::default())]);
        let written = NetworkPolicySpec {
            pod_selector: Some(match_labels([("app", "a b")])),
            policy_types: types(&["Egress"]),
            ingress: Some(vec![Spanned::nowhere(IngressRule { from, ports: None })]),
            ..NetworkPolicySpec::default()
        };
        let good = policy("x", "good").done();
        let (cluster, found) =
            lower_all(vec![policy("x", "bad").spec(Some(written)).done(), good, pod("x", "web").done()]);
        assert_eq!(
            errors(&found),
            ["NP-31: `10.0.0.0/33` is not a CIDR", "NP-31: `a b` is not a label value", "NP-31: a peer must say who",]
        );
        assert!(cluster.incomplete);
        assert_eq!(cluster.policies.values().map(|policy| &*policy.name).collect::<Vec<_>>(), ["good"]);
    }

    #[test]
    fn the_offending_value_is_the_place() {
        // NP-31
        let value = Spanned { value: Name::from("ingress"), span: Some(source(7, 9)) };
        let policy_types = Some(Spanned { value: vec![value], span: Some(source(5, 20)) });
        let (_, found) = lowered(NetworkPolicySpec { policy_types, ..spec() });
        assert_eq!(found[0].primary.as_ref().unwrap().span, source(7, 9));
        assert_eq!(found[0].help.as_deref(), Some("write `Ingress`"));
    }

    #[test]
    fn the_legacy_api_has_the_same_meaning() {
        // NP-33
        let mut legacy = policy("x", "a").spec(Some(spec())).done();
        legacy.api_version = Name::from("extensions/v1beta1");
        let (cluster, found) = lower_all(vec![legacy, pod("x", "web").done()]);
        assert_eq!(cluster.policies.len(), 1);
        assert!(found.is_empty());
    }
}
