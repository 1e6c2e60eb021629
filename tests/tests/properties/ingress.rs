//! Decision lists of Ingress controllers against the reference evaluator, for every family.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fixtures::strategy::ingress_plan;
use policy_core::model::http::{Action, App, HostMatch, Listener, Proxy, RouteRule, Routed};
use policy_core::model::ingress::Entry;
use policy_core::spec::ingress::{Choice, Taken, route};
use policy_core::ways::ingress::proxies;
use proptest::prelude::*;
use tests::property::check;

fn listener(proxy: &Proxy, entry: Entry) -> Option<&Listener> {
    let port = if entry == Entry::Plain { 80 } else { 443 };
    let found = proxy.ports.iter().find(|found| found.port == port)?;
    found
        .listeners
        .iter()
        .find(|listener| listener.app == App::Http && listener.tls == (entry == Entry::Tls).then_some(HostMatch::Any))
}

/// What a rule does, without who says it: of two that do the same either may be named.
fn of_rule(rule: &RouteRule) -> String {
    format!("{:?} {:?}", rule.checks, rule.then)
}

fn of_choice(choice: &Choice) -> String {
    format!("{:?} {:?}", choice.checks, choice.then)
}

fn sorted(mut answers: Vec<String>) -> Vec<String> {
    answers.sort();
    answers.dedup();
    answers
}

/// What a router says: what comes before the rest perhaps, and the rest.
fn of_routed(mut routed: &Routed<'_>) -> (Vec<String>, Vec<String>) {
    let mut perhaps = Vec::new();
    loop {
        match routed {
            Routed::Perhaps(rule, next) => {
                perhaps.push(of_rule(rule));
                routed = next;
            }
            Routed::Rule(rule) => return (perhaps, vec![of_rule(rule)]),
            Routed::OneOf(rules) => return (perhaps, sorted(rules.iter().map(|rule| of_rule(rule)).collect())),
            Routed::Nothing => return (perhaps, Vec::new()),
        }
    }
}

fn of_taken(taken: &Taken) -> (Vec<String>, Vec<String>) {
    (taken.perhaps.iter().map(of_choice).collect(), sorted(taken.then.iter().map(of_choice).collect()))
}

#[test]
fn decision_lists_and_the_reference_agree_for_every_family() {
    // ING-5, ING-6, ING-7, ING-10, ING-12, ING-17, ING-18, ING-19, ING-20, ING-22, ING-23, ING-24
    let counts: RefCell<BTreeMap<(&str, &str), u64>> = RefCell::default();
    check(1_500, &ingress_plan(), |plan| {
        let (cluster, controller) = plan.build();
        let (proxies, _) = proxies(&cluster, &controller);
        let apart = proxies.len() == controller.ingresses.len() && proxies.len() > 1;
        for (at, proxy) in proxies.iter().enumerate() {
            let of_one = [controller.ingresses[at.min(controller.ingresses.len() - 1)]];
            let ingresses = if apart { &of_one[..] } else { &controller.ingresses };
            for (over_tls, request) in &plan.requests {
                let entry = if *over_tls { Entry::Tls } else { Entry::Plain };
                let Some(listener) = listener(proxy, entry) else { continue };
                let routed = listener.router.route(request.host.as_deref(), request);
                let wanted = route(&cluster, &controller, ingresses, entry, request);
                prop_assert_eq!(of_routed(&routed), of_taken(&wanted), "{:?} {:?}\n{}", entry, request, plan.to_yaml());
                let what = match wanted.then.as_slice() {
                    [] => "nothing",
                    [only] => match only.then {
                        Action::Forward { .. } => "forwarded",
                        Action::Undefined(_) => "undefined",
                        Action::Answer { .. } => "answered",
                        Action::Redirect(_) => "redirected",
                    },
                    _ => "one of several",
                };
                *counts.borrow_mut().entry((plan.profile.as_str(), what)).or_default() += 1;
            }
        }
        Ok(())
    });
    // Agreement says little where nothing is ever forwarded, or everything is.
    let counts = counts.into_inner();
    for profile in ["spec", "nginx", "gce", "traefik", "kong", "haproxy", "istio", "alb"] {
        let of = |what: &str| counts.get(&(profile, what)).copied().unwrap_or_default();
        let total: u64 = counts.iter().filter(|((known, _), _)| *known == profile).map(|(_, count)| count).sum();
        assert!(of("forwarded") * 8 >= total && of("forwarded") < total, "{profile}: {counts:?}");
    }
    for (profile, what) in
        [("spec", "undefined"), ("traefik", "one of several"), ("nginx", "redirected"), ("nginx", "one of several")]
    {
        assert!(counts.contains_key(&(profile, what)), "{profile} is never {what}: {counts:?}");
    }
}
