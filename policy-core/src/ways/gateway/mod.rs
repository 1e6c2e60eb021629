//! Gateways as proxies: their routes as decision lists (W-GW, GW-3 … GW-10, GW-12).
//!
//! A Gateway's routes are sorted once, for each of its ports. A request then goes through one list.

mod build;

use crate::model::gateway::{Decision, Entrance, GatewayAnswer};
use crate::model::http::{App, Listener, Proxy, Request, RouteRule, Routed};
use crate::model::way_profile::GatewayIsolation;
use crate::model::{Cluster, Knob, KnobSet, WayProfile};

/// The Gateways of a cluster, as proxies.
#[derive(Clone, Debug)]
pub struct Gateways {
    /// In the order of [`GatewayApi::gateways`](crate::model::GatewayApi::gateways); one that nobody serves has no
    /// ports.
    pub proxies: Vec<Proxy>,
    /// The same where routes of less specific listeners serve too, if the profile leaves that open (GW-4).
    pub shared: Option<Vec<Proxy>>,
}

impl Gateways {
    /// Sorts the routes of all Gateways.
    #[must_use]
    pub fn new(cluster: &Cluster, profile: &WayProfile) -> Self {
        let all = |isolated: bool| -> Vec<Proxy> {
            let api = &cluster.gateway_api;
            api.gateways.iter().map(|gateway| build::proxy(api, gateway, isolated)).collect()
        };
        match profile.gateway_isolation {
            GatewayIsolation::Isolated => Self { proxies: all(true), shared: None },
            GatewayIsolation::Shared => Self { proxies: all(false), shared: None },
            GatewayIsolation::Both => Self { proxies: all(true), shared: Some(all(false)) },
        }
    }

    /// What becomes of a request at the Gateway of this position.
    #[must_use]
    pub fn answer(&self, gateway: usize, entrance: Entrance, request: &Request) -> GatewayAnswer {
        let of = |proxies: &[Proxy]| {
            let listener = proxies.get(gateway).and_then(|proxy| listener(proxy, entrance, request));
            listener.map(|listener| answer(listener, request)).unwrap_or_default()
        };
        let mut found = of(&self.proxies);
        if let Some(shared) = self.shared.as_deref().map(of)
            && !found.is_like(&shared)
        {
            shared.possible.into_iter().for_each(|decision| found.push(decision));
            found.knobs = KnobSet::one(Knob::GatewayIsolation);
        }
        found
    }
}

/// The listener that takes a connection.
fn listener<'a>(proxy: &'a Proxy, entrance: Entrance, request: &Request) -> Option<&'a Listener> {
    let port = proxy.ports.iter().find(|port| (port.port, port.protocol) == (entrance.port, entrance.protocol))?;
    port.listeners.iter().find(|listener| match &listener.tls {
        None => !entrance.tls,
        Some(host) => entrance.tls && host.matches(request.sni.as_deref()) == Some(true),
    })
}

fn answer(listener: &Listener, request: &Request) -> GatewayAnswer {
    let host = match listener.app {
        App::Http => request.host.as_deref(),
        App::Opaque => request.sni.as_deref(),
    };
    let mut answer = GatewayAnswer::default();
    let mut next = listener.router.route(host, request);
    loop {
        next = match next {
            Routed::Rule(rule) => {
                answer.push(decision(rule));
                return answer;
            }
            Routed::OneOf(rules) => {
                rules.into_iter().for_each(|rule| answer.push(decision(rule)));
                return answer;
            }
            Routed::Perhaps(rule, otherwise) => {
                answer.push(decision(rule));
                *otherwise
            }
            Routed::Nothing => {
                if listener.app == App::Http {
                    answer.push(Decision::answer(404, "GW-7", build::NO_ROUTE));
                }
                return answer;
            }
        };
    }
}

fn decision(rule: &RouteRule) -> Decision {
    let origin = Some(&rule.origin).filter(|origin| origin.kind != "Listener").cloned();
    Decision { checks: rule.checks.clone(), then: rule.then.clone(), origin, rule: rule.rule }
}
