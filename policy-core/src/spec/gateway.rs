//! What becomes of a request at a Gateway: the rules GW-3 … GW-9 one after the other.

use std::cmp::Ordering;

use crate::model::gateway::{
    Claim, Decision, Entrance, Gateway, GatewayAnswer, GatewayListener, ListenerProtocol, MatchTarget, Route, RouteId,
    RouteKind, RouteMatch,
};
use crate::model::http::{HostMatch, PathMatch, Request, ValueMatch};
use crate::model::way_profile::GatewayIsolation;
use crate::model::{GatewayApi, Knob, KnobSet, WayProfile};

/// A match of a rule that takes the request, or may take it.
struct Candidate<'a> {
    host: &'a HostMatch,
    route: &'a Route,
    /// Routes are numbered by age and name.
    position: (RouteId, usize, usize),
    found: &'a RouteMatch,
    is_certain: bool,
}

/// What becomes of a request.
#[must_use]
pub fn answer(
    api: &GatewayApi,
    profile: &WayProfile,
    gateway: &Gateway,
    entrance: Entrance,
    request: &Request,
) -> GatewayAnswer {
    let under = |isolated: bool| ask(api, isolated, gateway, entrance, request);
    match profile.gateway_isolation {
        GatewayIsolation::Isolated => under(true),
        GatewayIsolation::Shared => under(false),
        GatewayIsolation::Both => {
            let (mut isolated, shared) = (under(true), under(false));
            if !isolated.is_like(&shared) {
                shared.possible.into_iter().for_each(|decision| isolated.push(decision));
                isolated.knobs = KnobSet::one(Knob::GatewayIsolation);
            }
            isolated
        }
    }
}

fn ask(api: &GatewayApi, isolated: bool, gateway: &Gateway, entrance: Entrance, request: &Request) -> GatewayAnswer {
    let mut answer = GatewayAnswer::default();
    // GW-2
    if gateway.claim == Claim::Refused {
        return answer;
    }
    let fits = |listener: &&GatewayListener| {
        listener.refused.is_none()
            && listener.port == entrance.port
            && listener.protocol.transport() == entrance.protocol
            && listener.protocol.takes(entrance.tls)
    };
    let listeners: Vec<_> = gateway.listeners.iter().filter(fits).collect();
    let (host, sni) = (request.host.as_deref(), request.sni.as_deref());
    // GW-4: by server name where there is TLS, by host where there is not.
    let by_name = if entrance.tls { sni } else { host };
    let Some(chosen) = most_specific(&listeners, by_name) else {
        if listeners.iter().any(|listener| listener.protocol == ListenerProtocol::Http) {
            answer.push(Decision::answer(404, "GW-7", "no route takes it"));
        }
        return answer;
    };
    let mut serving = vec![chosen];
    if chosen.protocol.is_http() {
        let alike: Vec<_> = listeners.iter().copied().filter(|other| other.protocol == chosen.protocol).collect();
        if !isolated {
            serving = alike;
        } else if chosen.protocol == ListenerProtocol::Https {
            match most_specific(&alike, host) {
                Some(other) if std::ptr::eq(other, chosen) => {}
                Some(_) => {
                    answer.push(Decision::answer(
                        421,
                        "GW-4",
                        "the host belongs to another listener than the server name",
                    ));
                    return answer;
                }
                None => {
                    answer.push(Decision::answer(404, "GW-7", "no route takes it"));
                    return answer;
                }
            }
        }
    }
    let name = if chosen.protocol.is_http() { host } else { sni };
    let candidates = candidates(api, &serving, name, request);
    // One of those that no certain one comes before.
    let is_possible = |one: &&Candidate<'_>| {
        !candidates.iter().any(|other| other.is_certain && order(other, one) == Some(Ordering::Less))
    };
    for candidate in candidates.iter().filter(is_possible) {
        let (_, rule, _) = candidate.position;
        let own = candidate.route.rules.get(rule).map(|rule| rule.checks.as_slice()).unwrap_or_default();
        answer.push(Decision {
            checks: chosen.checks.iter().chain(own).cloned().collect(),
            then: candidate.found.then.clone(),
            origin: Some(candidate.route.origin(rule)),
            rule: match candidate.route.kind {
                RouteKind::Http => "GW-7",
                RouteKind::Grpc => "GW-8",
                RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => "GW-12",
            },
        });
    }
    if chosen.protocol.is_http() && candidates.iter().all(|candidate| !candidate.is_certain) {
        answer.push(Decision::answer(404, "GW-7", "no route takes it"));
    }
    answer
}

/// GW-4: exact before the longest wildcard before none. TCP and UDP have no names.
fn most_specific<'a>(listeners: &[&'a GatewayListener], name: Option<&str>) -> Option<&'a GatewayListener> {
    let takes = listeners.iter().copied().filter(|listener| listener.hostname.matches(name) == Some(true));
    takes.max_by_key(|listener| length(&listener.hostname))
}

/// GW-7: how long the name is if it is no wildcard, then how long it is.
fn length(host: &HostMatch) -> (usize, usize) {
    match host {
        HostMatch::Exact(name) => (name.len(), name.len()),
        HostMatch::Labels(name) | HostMatch::OneLabel(name) => (0, 2 + name.len()),
        HostMatch::Any | HostMatch::Regex(_) => (0, 0),
    }
}

fn candidates<'a>(
    api: &'a GatewayApi,
    serving: &[&'a GatewayListener],
    name: Option<&str>,
    request: &Request,
) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for attachment in serving.iter().flat_map(|listener| &listener.routes) {
        let route = api.routes.at(attachment.route);
        for host in attachment.hosts.iter().filter(|host| host.matches(name) == Some(true)) {
            for (number, rule) in route.rules.iter().enumerate() {
                for (position, one) in rule.matches.iter().enumerate() {
                    let taken = takes(one, request);
                    if taken != Some(false) {
                        let position = (attachment.route, number, position);
                        found.push(Candidate { host, route, position, found: one, is_certain: taken == Some(true) });
                    }
                }
            }
        }
    }
    found
}

/// GW-6: all parts must hold; `None` when nobody can tell.
fn takes(one: &RouteMatch, request: &Request) -> Option<bool> {
    let mut parts = vec![match &one.target {
        MatchTarget::Connection => Some(true),
        MatchTarget::Path(path) => path.matches(&request.path),
        MatchTarget::Method { service, method } => method_matches(service.as_ref(), method.as_ref(), &request.path),
    }];
    parts.push(Some(one.method.as_ref().is_none_or(|method| *method == request.method)));
    parts.extend(one.headers.iter().map(|(name, wanted)| wanted.matches(request.header(name).map(|value| &**value))));
    parts.extend(one.query.iter().map(|(name, wanted)| wanted.matches(request.parameter(name).map(|value| &**value))));
    if parts.contains(&Some(false)) {
        return Some(false);
    }
    (!parts.contains(&None)).then_some(true)
}

/// GW-8: the path of a gRPC method is `/service/method`.
fn method_matches(service: Option<&ValueMatch>, method: Option<&ValueMatch>, path: &str) -> Option<bool> {
    if service.is_none() && method.is_none() {
        return Some(true);
    }
    let called = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let Some((called_service, called_method)) = called else { return Some(false) };
    let part =
        |wanted: Option<&ValueMatch>, called: &str| wanted.map_or(Some(true), |wanted| wanted.matches(Some(called)));
    match (part(service, called_service), part(method, called_method)) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// Which of two comes first; `None` where nobody defines it (GW-7, GW-8).
fn order(one: &Candidate<'_>, other: &Candidate<'_>) -> Option<Ordering> {
    let by_host = length(other.host).cmp(&length(one.host));
    if by_host != Ordering::Equal {
        return Some(by_host);
    }
    if one.route.kind != other.route.kind {
        return None;
    }
    let by_target = target_order(&one.found.target, &other.found.target)?;
    let method = |candidate: &Candidate<'_>| candidate.found.method.is_some();
    let more = |count: fn(&RouteMatch) -> usize| count(other.found).cmp(&count(one.found));
    let order = by_target
        .then_with(|| method(other).cmp(&method(one)))
        .then_with(|| more(|found| found.headers.len()))
        .then_with(|| more(|found| found.query.len()))
        .then_with(|| one.position.cmp(&other.position));
    Some(order)
}

fn target_order(one: &MatchTarget, other: &MatchTarget) -> Option<Ordering> {
    use PathMatch::{Elements, Exact, Regex};
    match (one, other) {
        (MatchTarget::Path(one), MatchTarget::Path(other)) => match (one, other) {
            (Regex(one), Regex(other)) => (one == other).then_some(Ordering::Equal),
            (Regex(_), _) | (_, Regex(_)) => None,
            (Exact(_), Exact(_)) => Some(Ordering::Equal),
            (Exact(_), _) => Some(Ordering::Less),
            (_, Exact(_)) => Some(Ordering::Greater),
            (Elements(one), Elements(other)) => Some(other.len().cmp(&one.len())),
            _ => Some(Ordering::Equal),
        },
        (
            MatchTarget::Method { service: one_service, method: one_method },
            MatchTarget::Method { service: other_service, method: other_method },
        ) => {
            let by_service = part_order(one_service.as_ref(), other_service.as_ref())?;
            Some(by_service.then(part_order(one_method.as_ref(), other_method.as_ref())?))
        }
        _ => Some(Ordering::Equal),
    }
}

/// GW-8: more characters before fewer.
fn part_order(one: Option<&ValueMatch>, other: Option<&ValueMatch>) -> Option<Ordering> {
    let length = |wanted: Option<&ValueMatch>| match wanted {
        Some(ValueMatch::Exact(name)) => name.len(),
        _ => 0,
    };
    match (one, other) {
        (Some(ValueMatch::Regex(one)), Some(ValueMatch::Regex(other))) => (one == other).then_some(Ordering::Equal),
        (Some(ValueMatch::Regex(_)), _) | (_, Some(ValueMatch::Regex(_))) => None,
        _ => Some(length(other).cmp(&length(one))),
    }
}
