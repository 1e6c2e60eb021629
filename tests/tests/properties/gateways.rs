//! Gateways: the decision lists against the rules one by one.

use std::cell::Cell;

use fixtures::plan::gateway::GatewayPlan;
use fixtures::strategy::{gateway_plan, request};
use fixtures::yaml;
use policy_core::model::gateway::Entrance;
use policy_core::model::http::{Action, Request};
use policy_core::model::way_profile::GatewayIsolation;
use policy_core::model::{Name, Profile, Protocol};
use policy_core::spec;
use policy_core::ways::gateway::Gateways;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tests::property::{cases, check};

/// How the client comes: mostly to one of the listeners.
fn entrance(plan: &GatewayPlan, seed: usize, odd: bool) -> Entrance {
    let listener = &plan.listeners[seed % plan.listeners.len()];
    let (tls, protocol) = match listener.protocol {
        "HTTPS" | "TLS" => (true, Protocol::Tcp),
        "UDP" => (false, Protocol::Udp),
        "TCP" => (seed.is_multiple_of(2), Protocol::Tcp),
        _ => (false, Protocol::Tcp),
    };
    Entrance { port: listener.port, protocol, tls: tls != odd }
}

fn question() -> impl Strategy<Value = (usize, bool, Request)> {
    let names = select(vec!["foo.com", "a.foo.com", "a.foo.com", "b.a.foo.com", "bar.org", "com"]);
    let name = option::weighted(0.95, names);
    (any::<u16>(), prop::bool::weighted(0.05), request(), name, prop::bool::weighted(0.8)).prop_map(
        |(seed, odd, request, name, same)| {
            let name = name.map(Name::from);
            let host = if same { name.clone() } else { request.host.clone() };
            (usize::from(seed), odd, Request { host, sni: name, ..request })
        },
    )
}

#[test]
fn both_evaluators_agree_on_every_request_at_a_gateway() {
    // GW-3, GW-4, GW-5, GW-6, GW-7, GW-8, GW-9, GW-12
    let isolation = select(vec![GatewayIsolation::Isolated, GatewayIsolation::Shared, GatewayIsolation::Both]);
    let (asked, forwarded, refused, open) = (Cell::new(0u32), Cell::new(0u32), Cell::new(0u32), Cell::new(0u32));
    let count = |cell: &Cell<u32>| cell.set(cell.get() + 1);
    check(1_000, &(gateway_plan(), isolation, vec(question(), 16)), |(plan, isolation, questions)| {
        let loaded = tests::pipeline::load([("gateway.yaml".to_owned(), yaml::documents(&plan.manifests()))]);
        let errors: Vec<_> = loaded.errors().map(|error| loaded.describe(error)).collect();
        prop_assert!(errors.is_empty(), "{:?}", errors);
        let mut profile = Profile::default();
        profile.ways.gateway_isolation = isolation;
        let api = &loaded.cluster.gateway_api;
        let gateways = Gateways::new(&loaded.cluster, &profile.ways);
        for (seed, odd, request) in questions {
            let entrance = entrance(&plan, seed, odd);
            let fast = gateways.answer(0, entrance, &request);
            let slow = spec::gateway::answer(api, &profile.ways, &api.gateways[0], entrance, &request);
            prop_assert!(fast.is_like(&slow), "{:?} {:?}\nfast {:#?}\nslow {:#?}", entrance, request, fast, slow);
            count(&asked);
            match fast.possible.as_slice() {
                [] => {}
                [decision] if matches!(decision.then, Action::Forward { .. }) => count(&forwarded),
                [_] => count(&refused),
                _ => count(&open),
            }
        }
        Ok(())
    });
    if cases(1_000) >= 500 {
        let figures = (asked.get(), forwarded.get(), refused.get(), open.get());
        let (asked, forwarded, refused, open) = figures;
        assert!(forwarded * 6 > asked && refused * 10 > asked && open * 100 > asked, "{figures:?}");
    }
}
