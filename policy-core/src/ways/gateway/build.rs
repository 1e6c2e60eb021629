//! One Gateway's listeners and routes as ports, listeners and decision lists.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::gateway::{Claim, Gateway, GatewayListener, ListenerProtocol, MatchTarget, RouteKind, RouteMatch};
use crate::model::http::{
    Action, App, HostMatch, HttpRegex, Listener, PathMatch, Proxy, ProxyKind, ProxyPort, RegexStyle, RequestMatch,
    RouteOrigin, RouteRule, Router, ValueMatch,
};
use crate::model::{GatewayApi, Name, Protocol};

/// Why a request that no rule takes is answered with 404.
pub(super) const NO_ROUTE: &str = "no route takes it";

/// Why a request is answered with 421.
const MISDIRECTED: &str = "the host belongs to another listener than the server name";

/// The Gateway as a proxy. `isolated`: a request belongs to the most specific listener alone (GW-4).
pub(super) fn proxy(api: &GatewayApi, gateway: &Gateway, isolated: bool) -> Proxy {
    let mut ports: BTreeMap<(u16, Protocol), Vec<&GatewayListener>> = BTreeMap::new();
    let served = gateway.listeners.iter().filter(|listener| listener.refused.is_none());
    // GW-2
    for listener in served.filter(|_| gateway.claim != Claim::Refused) {
        ports.entry((listener.port, listener.protocol.transport())).or_default().push(listener);
    }
    let ports = ports.into_iter().map(|((port, protocol), mut listeners)| {
        listeners.sort_by_key(|listener| specificity(&listener.hostname));
        ProxyPort { port, protocol, listeners: on_port(api, &listeners, isolated) }
    });
    Proxy {
        kind: ProxyKind::Gateway,
        namespace: gateway.namespace.clone(),
        name: gateway.name.clone(),
        pods: gateway.pods.clone(),
        ports: ports.collect(),
        span: gateway.span,
    }
}

/// GW-4, GW-7: exact hosts before wildcards, longer ones before shorter ones.
fn specificity(host: &HostMatch) -> (Reverse<usize>, Reverse<usize>) {
    match host {
        HostMatch::Exact(name) => (Reverse(name.len()), Reverse(name.len())),
        HostMatch::Labels(name) | HostMatch::OneLabel(name) => (Reverse(0), Reverse(name.len() + 1)),
        HostMatch::Any | HostMatch::Regex(_) => (Reverse(0), Reverse(0)),
    }
}

/// The listeners of one port, the most specific first.
fn on_port(api: &GatewayApi, listeners: &[&GatewayListener], isolated: bool) -> Vec<Listener> {
    let of = |wanted: ListenerProtocol| -> Vec<&GatewayListener> {
        listeners.iter().copied().filter(|listener| listener.protocol == wanted).collect()
    };
    let mut made = Vec::new();
    let plain = of(ListenerProtocol::Http);
    if let Some(first) = plain.first() {
        let names: Vec<&str> = plain.iter().map(|listener| &*listener.name).collect();
        let mut list = List::default();
        if isolated {
            plain.iter().for_each(|listener| list.isolated(api, listener));
        } else {
            list.add(api, &plain, first);
        }
        let name = Name::from(names.join(","));
        made.push(Listener { name, tls: None, app: App::Http, router: list.router() });
    }
    let secure = of(ListenerProtocol::Https);
    for listener in listeners {
        let (name, tls) = (listener.name.clone(), Some(listener.hostname.clone()));
        match listener.protocol {
            ListenerProtocol::Http => {}
            ListenerProtocol::Https => {
                let mut list = List::default();
                if isolated {
                    for other in &secure {
                        if std::ptr::eq(*other, *listener) {
                            list.isolated(api, listener);
                        } else {
                            list.answer(other, 421, MISDIRECTED);
                        }
                    }
                } else {
                    list.add(api, &secure, listener);
                }
                made.push(Listener { name, tls, app: App::Http, router: list.router() });
            }
            ListenerProtocol::TlsTerminate | ListenerProtocol::TlsPassthrough => {
                let mut list = List::default();
                list.add(api, &[*listener], listener);
                made.push(Listener { name, tls, app: App::Opaque, router: list.router() });
            }
            ListenerProtocol::Tcp | ListenerProtocol::Udp => {
                let mut list = List::default();
                list.add(api, &[*listener], listener);
                let router = list.router();
                if listener.protocol == ListenerProtocol::Tcp {
                    made.push(Listener { name: name.clone(), tls, app: App::Opaque, router: router.clone() });
                }
                made.push(Listener { name, tls: None, app: App::Opaque, router });
            }
        }
    }
    made
}

/// A decision list in the making.
#[derive(Default)]
struct List {
    rules: Vec<RouteRule>,
    rank: u32,
}

/// The place of a rule among those for equally long hosts, by what comes first (GW-7, GW-8).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    host: (Reverse<usize>, Reverse<usize>),
    /// Rules in different lanes have no order: those with different expressions, and routes of different kinds.
    lane: (RouteKind, Option<&'a str>, Option<&'a str>),
    path: (u8, Reverse<usize>, Reverse<usize>),
    no_method: bool,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    /// Routes are numbered by age and name.
    position: (crate::model::gateway::RouteId, usize, usize),
}

impl List {
    /// Everything of one listener, and nothing else for its hosts.
    fn isolated(&mut self, api: &GatewayApi, listener: &GatewayListener) {
        self.add(api, &[listener], listener);
        if listener.hostname != HostMatch::Any {
            self.answer(listener, 404, NO_ROUTE);
        }
    }

    /// An answer for all hosts of a listener.
    fn answer(&mut self, listener: &GatewayListener, status: u16, why: &str) {
        self.rank += 1;
        let (namespace, name) = listener.listener_set.clone().unwrap_or_else(|| (Name::from(""), Name::from("")));
        let path = Name::from(format!("listener {}", listener.name));
        self.rules.push(RouteRule {
            rank: self.rank,
            lane: 0,
            when: RequestMatch { host: listener.hostname.clone(), ..RequestMatch::everything() },
            checks: Vec::new(),
            then: Action::Answer { status, why: Name::from(why) },
            origin: RouteOrigin { kind: "Listener", namespace, name, path, span: listener.span },
            rule: if status == 404 { "GW-7" } else { "GW-4" },
        });
    }

    /// All routes of some listeners, for connections that `by` took.
    fn add(&mut self, api: &GatewayApi, listeners: &[&GatewayListener], by: &GatewayListener) {
        let mut places = Vec::new();
        for attachment in listeners.iter().flat_map(|listener| &listener.routes) {
            let route = api.routes.at(attachment.route);
            for host in &attachment.hosts {
                for (number, rule) in route.rules.iter().enumerate() {
                    for (position, found) in rule.matches.iter().enumerate() {
                        let place = Place {
                            host: specificity(host),
                            lane: lane(route.kind, &found.target),
                            path: path(&found.target),
                            no_method: found.method.is_none(),
                            headers: Reverse(found.headers.len()),
                            query: Reverse(found.query.len()),
                            position: (attachment.route, number, position),
                        };
                        places.push((place, host, found));
                    }
                }
            }
        }
        places.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let (mut host_before, mut lane_before, mut lane) = (None, None, 0);
        for (place, host, found) in places {
            if host_before != Some(place.host) {
                self.rank += 1;
                (host_before, lane_before, lane) = (Some(place.host), None, 0);
            }
            if lane_before.is_some_and(|before| before != place.lane) {
                lane += 1;
            }
            lane_before = Some(place.lane);
            let (id, number, _) = place.position;
            let route = api.routes.at(id);
            let checks = route.rules.get(number).map(|rule| rule.checks.as_slice()).unwrap_or_default();
            self.rules.push(RouteRule {
                rank: self.rank,
                lane,
                when: when(host, found),
                checks: by.checks.iter().chain(checks).cloned().collect(),
                then: found.then.clone(),
                origin: route.origin(number),
                rule: rule(route.kind),
            });
        }
    }

    fn router(self) -> Router {
        Router { rules: self.rules }
    }
}

/// The rule that gives routes of a kind their place.
fn rule(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Http => "GW-7",
        RouteKind::Grpc => "GW-8",
        RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => "GW-12",
    }
}

fn expression(wanted: Option<&ValueMatch>) -> Option<&str> {
    match wanted {
        Some(ValueMatch::Regex(regex)) => Some(regex.written()),
        _ => None,
    }
}

fn lane(kind: RouteKind, target: &MatchTarget) -> (RouteKind, Option<&str>, Option<&str>) {
    match target {
        MatchTarget::Path(PathMatch::Regex(regex)) => (kind, Some(regex.written()), None),
        MatchTarget::Method { service, method } => (kind, expression(service.as_ref()), expression(method.as_ref())),
        MatchTarget::Path(_) | MatchTarget::Connection => (kind, None, None),
    }
}

fn path(target: &MatchTarget) -> (u8, Reverse<usize>, Reverse<usize>) {
    let length = |wanted: Option<&ValueMatch>| match wanted {
        Some(ValueMatch::Exact(name)) => Reverse(name.len()),
        _ => Reverse(0),
    };
    match target {
        MatchTarget::Path(PathMatch::Exact(_)) => (0, Reverse(0), Reverse(0)),
        MatchTarget::Path(PathMatch::Elements(prefix)) => (1, Reverse(prefix.len()), Reverse(0)),
        MatchTarget::Path(_) | MatchTarget::Connection => (2, Reverse(0), Reverse(0)),
        MatchTarget::Method { service, method } => (0, length(service.as_ref()), length(method.as_ref())),
    }
}

fn when(host: &HostMatch, found: &RouteMatch) -> RequestMatch {
    let path = match &found.target {
        MatchTarget::Path(path) => path.clone(),
        MatchTarget::Connection => PathMatch::Any,
        MatchTarget::Method { service, method } => method_path(service.as_ref(), method.as_ref()),
    };
    RequestMatch {
        host: host.clone(),
        path,
        methods: found.method.iter().cloned().collect(),
        headers: found.headers.clone(),
        query: found.query.clone(),
    }
}

/// GW-8: a gRPC method is a path of two elements.
fn method_path(service: Option<&ValueMatch>, method: Option<&ValueMatch>) -> PathMatch {
    match (service, method) {
        (None, None) => PathMatch::Any,
        (Some(ValueMatch::Exact(service)), Some(ValueMatch::Exact(method))) => {
            PathMatch::Exact(Name::from(format!("/{service}/{method}")))
        }
        (Some(ValueMatch::Exact(service)), None) => PathMatch::Characters(Name::from(format!("/{service}/"))),
        (service, method) => {
            // A service is what stands before the second `/`, a method all that stands behind it.
            let part = |wanted: Option<&ValueMatch>, any: &str, possible: bool| match wanted {
                Some(ValueMatch::Exact(name)) => name.replace('.', r"\."),
                Some(ValueMatch::Regex(regex)) if possible => format!("{any}(?:{}){any}", regex.written()),
                Some(ValueMatch::Regex(regex)) => format!("(?:{})", regex.written()),
                Some(ValueMatch::Present) | None => any.to_owned(),
            };
            let whole =
                |possible: bool| format!("/{}/{}", part(service, "[^/]*", possible), part(method, "(?s:.)*", possible));
            let (certain, possible) = (whole(false), whole(true));
            let is_open = expression(service).is_some() || expression(method).is_some();
            PathMatch::Regex(if is_open {
                let written = format!("{} {}", expression(service).unwrap_or(""), expression(method).unwrap_or(""));
                HttpRegex::between(&written, &certain, &possible)
            } else {
                HttpRegex::new(&certain, RegexStyle::WHOLE)
            })
        }
    }
}
