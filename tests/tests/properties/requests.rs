//! Sets of requests against single requests.

use fixtures::strategy::{request, request_match, router};
use policy_core::model::http::{Request, RouteRule, Routed, Router};
use policy_core::ways::requests::{Region, partition};
use proptest::collection::vec;
use proptest::prelude::*;
use tests::property::check;

fn takes(rule: &RouteRule, request: &Request) -> bool {
    rule.when.matches(request.host.as_deref(), request) == Some(true)
}

/// Whether a region holds a request, by its own words.
fn holds(region: &Region<'_>, router: &Router, request: &Request) -> bool {
    match region.rule {
        Some(rule) => takes(rule, request) && !region.except.iter().any(|other| takes(other, request)),
        None => !router.rules.iter().any(|rule| takes(rule, request)),
    }
}

#[test]
fn regions_hold_just_what_their_rules_take() {
    // M-3, ING-6, GW-7
    check(1_500, &(router(), request_match(), vec(request(), 12)), |(router, within, requests)| {
        let regions = partition(&router, &within);
        for request in requests {
            if within.matches(request.host.as_deref(), &request) != Some(true) {
                continue;
            }
            let held: Vec<_> = regions.iter().filter(|region| holds(region, &router, &request)).collect();
            match router.route(request.host.as_deref(), &request) {
                Routed::Rule(rule) => {
                    prop_assert!(held.iter().any(|region| region.rule.is_some_and(|other| other.then == rule.then)));
                    prop_assert!(held.iter().all(|region| region.rule.is_some_and(|other| other.then == rule.then)));
                }
                Routed::OneOf(rules) => {
                    prop_assert_eq!(held.len(), rules.len());
                    prop_assert!(held.iter().any(|region| !region.contested.is_empty()));
                }
                Routed::Nothing => {
                    prop_assert_eq!(held.len(), 1);
                    prop_assert!(held[0].rule.is_none());
                }
                Routed::Perhaps(..) => prop_assert!(false, "every expression can be decided"),
            }
        }
        Ok(())
    });
}

#[test]
fn the_witness_of_a_region_lies_in_it() {
    // M-3
    check(1_500, &(router(), request_match()), |(router, within)| {
        for region in partition(&router, &within) {
            let Some(witness) = &region.witness else {
                prop_assert!(false, "no witness was found for {:?}", region);
                continue;
            };
            prop_assert_eq!(within.matches(witness.host.as_deref(), witness), Some(true));
            prop_assert!(holds(&region, &router, witness), "{:?} {:?}", witness, region);
        }
        Ok(())
    });
}
