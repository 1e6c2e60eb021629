//! Words for ways: hops, clients, requests.

use policy_core::ids::{Id, ProxyId};
use policy_core::model::http::{
    Action, App, HostMatch, Location, PathMatch, ProxyKind, Redirect, Request, RequestMatch, ValueMatch,
};
use policy_core::model::{AddressSet, Finding, Flag, Hop, Masquerader, Name, Proviso, ServiceKind, WayKind};
use policy_core::query::{Actor, Subject};
use policy_core::ways::clients::Clients;
use policy_core::ways::proxied::Served;

use crate::dto::knobs;
use crate::dto::way::{HopDto, RequestsDto};
use crate::names::Names;
use crate::render::escape;

/// The clients of a part as they are named elsewhere.
pub(crate) fn actor(clients: &Clients) -> Actor {
    use policy_core::model::Party;
    match clients {
        Clients::Outside(addresses) => Actor::Addresses(addresses.clone()),
        Clients::Party(Party::Pod(pod)) => Actor::Pods(vec![*pod]),
        Clients::Party(Party::Node(node)) => Actor::Node(*node),
        Clients::Party(Party::Address(address)) => Actor::Addresses((*address).into()),
        Clients::Party(Party::Named(_) | Party::Somebody(_)) => Actor::Addresses(AddressSet::empty()),
    }
}

/// One hop for documents.
pub(crate) fn hop_kind(names: &Names<'_>, hop: &Hop) -> HopDto {
    let (kind, name, address, port) = match hop {
        Hop::Balancer { service, at, port } => {
            ("loadBalancer", Some(names.service(*service)), at.as_ref().map(Name::to_string), Some(*port))
        }
        Hop::Node { node, at, port } => {
            let name = node.map(|node| Subject::Node(node).written(names.cluster()));
            ("node", name, at.map(|at| at.to_string()), *port)
        }
        Hop::Service { service, at, port } => {
            ("service", Some(names.service(*service)), at.map(|at| at.to_string()), Some(*port))
        }
        Hop::Proxy { proxy, port } => ("proxy", Some(names.proxy(*proxy)), None, Some(*port)),
        Hop::ApiServer => ("apiServer", None, None, None),
        Hop::Pod { pod, port } => ("pod", Some(names.pod(*pod)), None, Some(*port)),
        Hop::Address { at, port } => ("address", None, Some(at.to_string()), Some(*port)),
    };
    let external_name = external_name(names, hop).map(str::to_owned);
    HopDto { kind, name, address, port, external_name }
}

/// One hop for people.
fn hop_text(names: &Names<'_>, hop: &Hop) -> String {
    let at_port = |port: &Option<u16>| port.map_or("?".to_owned(), |port| port.to_string());
    match hop {
        Hop::Balancer { service, at, port } => {
            let at = at.as_ref().map_or("pending".to_owned(), |at| escape(at));
            format!("load balancer {} ({at}):{port}", names.service(*service))
        }
        Hop::Node { node: None, port, .. } => format!("any node:{}", at_port(port)),
        Hop::Node { node: Some(node), at: Some(at), port } => {
            format!("{} ({at}):{}", Subject::Node(*node).written(names.cluster()), at_port(port))
        }
        Hop::Node { node: Some(node), port, .. } => {
            format!("{}:{}", Subject::Node(*node).written(names.cluster()), at_port(port))
        }
        Hop::Service { service, at, port } => {
            let at = at.map(|at| format!(" ({at})")).unwrap_or_default();
            let called = names.service(*service);
            match external_name(names, hop) {
                Some(name) => format!("{} {called}:{port} ({})", WayKind::ExternalName.id(), escape(name)),
                None => format!("Service {called}{at}:{port}"),
            }
        }
        Hop::Proxy { proxy, port } => format!("{}:{port}", names.proxy(*proxy)),
        Hop::ApiServer => "the API server".to_owned(),
        Hop::Pod { pod, port } => format!("{}:{port}", names.pod(*pod)),
        Hop::Address { at, port } => format!("{at}:{port}"),
    }
}

/// What a hop stands for that is an ExternalName (SVC-16).
fn external_name<'n>(names: &Names<'n>, hop: &Hop) -> Option<&'n str> {
    let Hop::Service { service, .. } = hop else { return None };
    match &names.cluster().services.at(*service).kind {
        ServiceKind::ExternalName(name) => Some(name),
        _ => None,
    }
}

/// The name outside at which a way ends, behind the last of its hops.
pub(crate) fn outside_name(names: &Names<'_>, hops: &[Hop]) -> Option<String> {
    hops.last().and_then(|hop| external_name(names, hop)).map(escape)
}

/// All hops of a way, for people.
pub(crate) fn hops_text(names: &Names<'_>, kind: WayKind, hops: &[Hop]) -> String {
    let of_pod = matches!(kind, WayKind::HostPort | WayKind::HostNetwork);
    let text = |hop: &Hop| match hop {
        Hop::Node { node: None, port: Some(port), .. } if of_pod => format!("the pod's node:{port}"),
        // The way as a whole is called so already.
        Hop::Service { service, port, .. } if kind == WayKind::ExternalName && external_name(names, hop).is_some() => {
            format!("Service {}:{port}", names.service(*service))
        }
        hop => hop_text(names, hop),
    };
    hops.iter().map(text).collect::<Vec<_>>().join(" → ")
}

/// What a finding depends on, for people.
pub(crate) fn depends(finding: &Finding) -> String {
    let mut on: Vec<String> = knobs(finding.knobs).into_iter().map(str::to_owned).collect();
    on.extend(finding.provisos.iter().map(|proviso| match proviso {
        Proviso::Controller(what) => format!("not in the input: {}", escape(what)),
        proviso => escape(&proviso.to_string()),
    }));
    if finding.flags.contains(&Flag::Hypothetical) {
        on.push("hypothetical".to_owned());
    }
    on.join(", ")
}

fn host_words(host: &HostMatch) -> (String, Option<&'static str>) {
    match host {
        HostMatch::Any => ("*".to_owned(), None),
        HostMatch::Exact(name) => (escape(name), None),
        HostMatch::OneLabel(name) => (format!("*.{}", escape(name)), Some("oneLabel")),
        HostMatch::Labels(name) => (format!("*.{}", escape(name)), Some("labels")),
        HostMatch::Regex(regex) => (format!("~{}", escape(regex.written())), Some("regex")),
    }
}

/// `/login`, `/static/…`, `/sta…`, `~expression`.
fn path_text(path: &PathMatch) -> String {
    match path {
        PathMatch::Any => "/…".to_owned(),
        PathMatch::Exact(path) => escape(path),
        PathMatch::Elements(path) => format!("{}/…", escape(path)),
        PathMatch::Characters(path) => format!("{}…", escape(path)),
        PathMatch::Regex(regex) => format!("~{}", escape(regex.written())),
    }
}

fn value_text(name: &Name, wanted: &ValueMatch) -> String {
    match wanted {
        ValueMatch::Exact(value) => format!("{}: {}", escape(name), escape(value)),
        ValueMatch::Regex(regex) => format!("{}: ~{}", escape(name), escape(regex.written())),
        ValueMatch::Present => escape(name),
    }
}

/// `GET http://shop.example.com/cart/… [version: two]`.
pub(crate) fn match_text(scheme: &str, when: &RequestMatch) -> String {
    let methods = if when.methods.is_empty() { String::new() } else { format!("{} ", when.methods.join("|")) };
    let (host, _) = host_words(&when.host);
    let path = if matches!(scheme, "tcp" | "tls") { String::new() } else { path_text(&when.path) };
    let values: Vec<String> =
        when.headers.iter().chain(&when.query).map(|(name, wanted)| value_text(name, wanted)).collect();
    let values = if values.is_empty() { String::new() } else { format!(" [{}]", values.join(", ")) };
    format!("{methods}{scheme}://{host}{path}{values}")
}

pub(crate) fn scheme(served: &Served) -> &'static str {
    match (served.requests.app, served.requests.tls) {
        (App::Http, false) => "http",
        (App::Http, true) => "https",
        (App::Opaque, false) => "tcp",
        (App::Opaque, true) => "tls",
    }
}

/// The requests that take a way, for people.
pub(crate) fn requests_text(served: &Served, wide: bool) -> String {
    let text = match_text(scheme(served), &served.requests.when);
    let except = &served.requests.except;
    match (except.len(), wide) {
        (0, _) => text,
        (1..=3, _) | (_, true) => {
            let shown: Vec<String> = except.iter().map(|when| exception(&served.requests.when, when)).collect();
            format!("{text} except {}", shown.join(", "))
        }
        (count, false) => format!("{text} except {count} others"),
    }
}

/// An exception, without what it shares with the rule.
fn exception(of: &RequestMatch, when: &RequestMatch) -> String {
    let text = match_text("", when);
    if of.host == when.host { text.replacen(&format!("://{}", host_words(&when.host).0), "", 1) } else { text }
}

/// `GET https://shop.example.com/cart`.
fn example(scheme: &str, request: &Request) -> String {
    let host = request.host.as_deref().unwrap_or("-");
    format!("{} {scheme}://{}{}", request.method, escape(host), escape(&request.path))
}

/// Where a redirect leads: `https://shop.example.com/cart?item=1`.
pub(crate) fn location_text(location: &Location, query: &str) -> String {
    let host = location.host.as_deref().unwrap_or("…");
    let port = location.port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = location.path.as_deref().unwrap_or("/…");
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    escape(&format!("{}://{host}{port}{path}{query}", location.scheme))
}

fn redirect_text(redirect: &Redirect) -> String {
    let scheme = redirect.scheme.as_deref().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let host = redirect.host.as_deref().unwrap_or_default();
    let port = redirect.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{} redirect {scheme}{}{port}", redirect.status, escape(host)).trim_end().to_owned()
}

/// What a proxy answers by itself; `None` when it forwards.
pub(crate) fn answer_text(then: &Action) -> Option<String> {
    match then {
        Action::Forward { .. } => None,
        Action::Redirect(redirect) => Some(redirect_text(redirect)),
        Action::Answer { status, why } => Some(format!("{status}: {}", escape(why))),
        Action::Undefined(why) => Some(format!("undefined: {}", escape(why))),
    }
}

/// The requests that take a way, for documents.
pub(crate) fn requests(names: &Names<'_>, served: &Served) -> RequestsDto {
    let when = &served.requests.when;
    let (host, host_match) = host_words(&when.host);
    let (path, path_match) = match &when.path {
        PathMatch::Any => (None, None),
        PathMatch::Exact(path) => (Some(path.to_string()), Some("exact")),
        PathMatch::Elements(path) => (Some(path.to_string()), Some("elements")),
        PathMatch::Characters(path) => (Some(path.to_string()), Some("characters")),
        PathMatch::Regex(regex) => (Some(regex.written().to_string()), Some("regex")),
    };
    let values = |values: &[(Name, ValueMatch)]| values.iter().map(|(name, wanted)| value_text(name, wanted)).collect();
    let origin = &served.requests.origin;
    let scheme = scheme(served);
    RequestsDto {
        scheme,
        host,
        host_match,
        path,
        path_match,
        methods: when.methods.iter().map(Name::to_string).collect(),
        headers: values(&when.headers),
        query: values(&when.query),
        except: served.requests.except.iter().map(|other| exception(when, other)).collect(),
        example: served.requests.witness.as_ref().map(|request| example(scheme, request)),
        answer: answer_text(&served.then),
        mirror: served.mirror,
        by: origin_text(origin),
        source: names.place(origin.span),
    }
}

/// `Ingress shop/web spec.rules[0].http.paths[1]`.
pub(crate) fn origin_text(origin: &policy_core::model::http::RouteOrigin) -> String {
    let space = if origin.namespace.is_empty() { String::new() } else { format!("{}/", escape(&origin.namespace)) };
    let name = format!("{space}{}", escape(&origin.name));
    let parts = [origin.kind.to_owned(), name, escape(&origin.path)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

impl Names<'_> {
    /// `shop/web`.
    pub(crate) fn service(&self, id: policy_core::ids::ServiceId) -> String {
        let service = self.cluster().services.at(id);
        format!("{}/{}", escape(&self.cluster().namespaces.at(service.namespace).name), escape(&service.name))
    }

    /// `Ingress controller nginx`, `Gateway infra/web`.
    pub(crate) fn proxy(&self, id: ProxyId) -> String {
        let Some(proxy) = self.proxies().get(id.index()) else { return "a proxy".to_owned() };
        let space = if proxy.namespace.is_empty() { String::new() } else { format!("{}/", escape(&proxy.namespace)) };
        let kind = match proxy.kind {
            ProxyKind::Ingress => "Ingress controller",
            ProxyKind::Gateway => "Gateway",
        };
        format!("{kind} {space}{}", escape(&proxy.name))
    }

    /// Whose address stands in the client's place.
    pub(crate) fn masquerader(&self, by: Masquerader) -> String {
        match by {
            Masquerader::Node(node) => Subject::Node(node).written(self.cluster()),
            Masquerader::OwnNode => "the pod's own node".to_owned(),
            Masquerader::OtherNode => "another node".to_owned(),
        }
    }
}
