//! What a controller does with a request once it knows which path of which Ingress takes it.
//!
//! Which path that is, is nowhere said here: the two evaluators find it each in its own way.

use std::net::IpAddr;

use crate::model::http::{
    Action, Backend, BackendTarget, Check, Dial, HttpRegex, PathRewrite, Redirect, RegexStyle, RequestMatch, Rewrite,
    RouteOrigin, ValueMatch,
};
use crate::model::ingress::{CanaryRule, Controller, Ingress, IngressBackend};
use crate::model::way_profile::IngressProfile;
use crate::model::{Cluster, Name, ServiceKind};
use crate::source::Span;

/// How a request comes in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Entry {
    /// Without TLS.
    Plain,
    /// Over TLS that the controller ends.
    Tls,
}

/// What all Ingresses of one host together bring about at ingress-nginx.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostFacts {
    /// One of them has a certificate for the host (ING-8).
    pub has_tls: bool,
    /// One of them wants certificates of clients (ING-19).
    pub client_certificate: bool,
}

/// What becomes of a request that a path takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// What it must pass first.
    pub checks: Vec<Check>,
    /// Then this.
    pub then: Action,
}

/// A canary beside a path (ING-19).
#[derive(Clone, Copy, Debug)]
pub struct Canary<'a> {
    /// The canary's Ingress.
    pub ingress: &'a Ingress,
    /// How it is chosen.
    pub rule: &'a CanaryRule,
    /// Where its share goes.
    pub backend: &'a IngressBackend,
}

/// The effects of a path in order: requests with certain headers first, all others last (ING-19).
#[must_use]
pub fn effect(
    cluster: &Cluster,
    controller: &Controller,
    (ingress, backend): (&Ingress, &IngressBackend),
    canary: Option<Canary<'_>>,
    (entry, facts): (Entry, HostFacts),
) -> Vec<(RequestMatch, Effect)> {
    let everything = RequestMatch::everything();
    if let Some(sent_away) = sent_away(controller, ingress, entry, facts) {
        return vec![(everything, Effect { checks: Vec::new(), then: sent_away })];
    }
    let checks = checks(controller, ingress, entry, facts);
    let nginx = &ingress.annotations.nginx;
    if let (IngressProfile::Nginx, Some(redirect)) = (controller.profile, &nginx.redirect) {
        return vec![(everything, Effect { checks, then: Action::Redirect(redirect.clone()) })];
    }
    let main = target(cluster, controller, ingress, backend);
    let rewrite = rewrite(controller, ingress);
    let forward = |shares: Vec<(Target, u32)>| {
        let mut backends = Vec::new();
        for (target, weight) in shares {
            match target {
                Target::Backend(target) => backends.push(Backend { target, weight, rewrite: Rewrite::default() }),
                Target::Undefined(why) => return Effect { checks: checks.clone(), then: Action::Undefined(why) },
            }
        }
        let then = Action::Forward { backends, mirrors: Vec::new(), rewrite: rewrite.clone() };
        Effect { checks: checks.clone(), then }
    };
    let Some(canary) = canary.filter(|_| controller.profile == IngressProfile::Nginx) else {
        return vec![(everything, forward(vec![(main, 1)]))];
    };
    let other = target(cluster, controller, canary.ingress, canary.backend);
    let mut effects = Vec::new();
    for (when, to_canary) in canary_conditions(canary.rule) {
        effects.push((when, forward(vec![(if to_canary { other.clone() } else { main.clone() }, 1)])));
    }
    let total = canary.rule.total.max(1);
    let weight = canary.rule.weight.min(total);
    let shares = [(main, total - weight), (other, weight)].into_iter().filter(|(_, weight)| *weight > 0);
    effects.push((everything, forward(shares.collect())));
    effects
}

/// ING-19: header before cookie before weight. Each condition with whether it leads to the canary.
fn canary_conditions(rule: &CanaryRule) -> Vec<(RequestMatch, bool)> {
    let header = |name: &Name, value: ValueMatch| RequestMatch {
        headers: vec![(name.clone(), value)],
        ..RequestMatch::everything()
    };
    let mut conditions = Vec::new();
    if let Some(name) = &rule.header {
        match (&rule.header_value, &rule.header_pattern) {
            (Some(value), _) => conditions.push((header(name, ValueMatch::Exact(value.clone())), true)),
            (None, Some(pattern)) => {
                let style = RegexStyle { from_start: false, to_end: false, ignore_case: false };
                conditions.push((header(name, ValueMatch::Regex(HttpRegex::new(pattern, style))), true));
            }
            (None, None) => {
                conditions.push((header(name, ValueMatch::Exact(Name::from("always"))), true));
                conditions.push((header(name, ValueMatch::Exact(Name::from("never"))), false));
            }
        }
    }
    if let Some(cookie) = &rule.cookie {
        for (value, to_canary) in [("always", true), ("never", false)] {
            let style = RegexStyle { from_start: true, to_end: true, ignore_case: false };
            let quoted: String = cookie.chars().flat_map(quoted).collect();
            let pattern = format!(r"(.*;)?\s*{quoted}={value}\s*(;.*)?");
            let cookie = ValueMatch::Regex(HttpRegex::new(&pattern, style));
            conditions.push((header(&Name::from("cookie"), cookie), to_canary));
        }
    }
    conditions
}

fn quoted(c: char) -> Vec<char> {
    if c.is_ascii_alphanumeric() || c == '_' || c == '-' { vec![c] } else { vec!['\\', c] }
}

/// ING-8, ING-19, ING-23: answers without a backend.
fn sent_away(controller: &Controller, ingress: &Ingress, entry: Entry, facts: HostFacts) -> Option<Action> {
    let to_https = |status: u16| {
        let scheme = Some(Name::from("https"));
        Action::Redirect(Redirect { scheme, host: None, port: None, path: None, status })
    };
    if entry == Entry::Tls {
        return None;
    }
    match controller.profile {
        IngressProfile::Nginx => {
            let nginx = &ingress.annotations.nginx;
            let when_tls = nginx.ssl_redirect.unwrap_or(controller.settings.ssl_redirect);
            let always = nginx.force_ssl_redirect.unwrap_or(controller.settings.force_ssl_redirect);
            (always || (when_tls && facts.has_tls)).then(|| to_https(308))
        }
        IngressProfile::Kong if ingress.annotations.kong.https_only => {
            Some(match ingress.annotations.kong.redirect_status {
                0 | 426 => Action::Answer { status: 426, why: Name::from("the Ingress wants TLS") },
                status => to_https(status),
            })
        }
        _ => None,
    }
}

/// ING-19, ING-24, ING-26
fn checks(controller: &Controller, ingress: &Ingress, entry: Entry, facts: HostFacts) -> Vec<Check> {
    let source = |allow: &[ipnet::IpNet], deny: &[ipnet::IpNet]| {
        let check = Check::Source { allow: allow.to_vec(), deny: deny.to_vec() };
        (!allow.is_empty() || !deny.is_empty()).then_some(check)
    };
    match controller.profile {
        IngressProfile::Nginx => {
            let (nginx, settings) = (&ingress.annotations.nginx, &controller.settings);
            let allow = nginx.allow.as_deref().unwrap_or(&settings.allow);
            let deny = nginx.deny.as_deref().unwrap_or(&settings.deny);
            let auth = nginx.auth || (settings.global_auth && !nginx.no_global_auth);
            let auth = auth.then(|| Check::Credential(Name::from("auth")));
            let certificate = facts.client_certificate && entry == Entry::Tls;
            let certificate = certificate.then(|| Check::Credential(Name::from("client certificate")));
            let mut checks: Vec<Check> = source(allow, deny).into_iter().chain(auth).collect();
            if nginx.satisfy_any && checks.len() > 1 {
                checks = vec![Check::AnyOf(checks)];
            }
            certificate.into_iter().chain(checks).collect()
        }
        IngressProfile::HaProxy => {
            let haproxy = &ingress.annotations.haproxy;
            source(&haproxy.allow, &haproxy.deny).into_iter().collect()
        }
        IngressProfile::Alb => source(&ingress.annotations.alb.sources, &[]).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// ING-19, ING-23
fn rewrite(controller: &Controller, ingress: &Ingress) -> Rewrite {
    let path = match controller.profile {
        IngressProfile::Nginx => ingress.annotations.nginx.rewrite_target.clone(),
        IngressProfile::Kong if ingress.annotations.kong.strip_path => Some(Name::from("/")),
        _ => None,
    };
    Rewrite { path: path.map(PathRewrite::Template), ..Rewrite::default() }
}

/// A backend as a controller sees it.
#[derive(Clone, Debug)]
enum Target {
    Backend(BackendTarget),
    Undefined(Name),
}

fn target(cluster: &Cluster, controller: &Controller, ingress: &Ingress, backend: &IngressBackend) -> Target {
    let backend = match (backend, &ingress.annotations.nginx.default_backend) {
        // ING-19: instead of a backend that is not there. One without endpoints is known later only.
        (IngressBackend::Missing(_), Some(instead)) if controller.profile == IngressProfile::Nginx => instead,
        _ => backend,
    };
    plain_target(cluster, controller, backend, dial(cluster, controller, ingress, backend))
}

/// Where a stream or the controller's own default backend goes.
pub(super) fn direct(cluster: &Cluster, controller: &Controller, backend: &IngressBackend) -> Action {
    match plain_target(cluster, controller, backend, Dial::Endpoints) {
        Target::Backend(target) => Action::Forward {
            backends: vec![Backend { target, weight: 1, rewrite: Rewrite::default() }],
            mirrors: Vec::new(),
            rewrite: Rewrite::default(),
        },
        Target::Undefined(why) => Action::Undefined(why),
    }
}

fn plain_target(cluster: &Cluster, controller: &Controller, backend: &IngressBackend, dial: Dial) -> Target {
    let invalid = |rule: &'static str, why: &str| {
        Target::Backend(BackendTarget::Invalid { status: 503, rule, why: Name::from(why) })
    };
    match backend {
        IngressBackend::Service { service, port } => {
            Target::Backend(BackendTarget::Service { service: *service, port: *port, dial })
        }
        // ING-3
        IngressBackend::Missing(why) => invalid("ING-3", why),
        // ING-11
        IngressBackend::Resource(what) => Target::Undefined(Name::from(format!("the backend is a resource, {what}"))),
        // ING-15
        IngressBackend::External { service, port } => {
            let by_itself = match controller.profile {
                IngressProfile::Nginx | IngressProfile::HaProxy | IngressProfile::Kong => Some(true),
                IngressProfile::Traefik | IngressProfile::Gce => Some(false),
                IngressProfile::Spec | IngressProfile::Istio | IngressProfile::Alb => None,
            };
            let is_loopback = controller.profile == IngressProfile::Nginx && is_loopback(cluster, *service);
            match controller.settings.external_names.or(by_itself) {
                Some(true) if is_loopback => invalid("ING-15", "the controller does not dial itself"),
                Some(true) => Target::Backend(BackendTarget::External { service: *service, port: *port }),
                Some(false) => invalid("ING-15", "the controller does not dial ExternalName Services"),
                None => Target::Undefined(Name::from("whether the controller dials ExternalName Services")),
            }
        }
    }
}

fn is_loopback(cluster: &Cluster, service: crate::ids::ServiceId) -> bool {
    let Some(ServiceKind::ExternalName(name)) = cluster.services.get(service).map(|service| &service.kind) else {
        return false;
    };
    let is_local = |name: &str| name == "localhost" || name.ends_with(".localhost");
    is_local(name) || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// ING-14, ING-20, ING-26
fn dial(cluster: &Cluster, controller: &Controller, ingress: &Ingress, backend: &IngressBackend) -> Dial {
    let annotations = &ingress.annotations;
    let IngressBackend::Service { service, port } = backend else { return Dial::Endpoints };
    let Some(service) = cluster.services.get(*service) else { return Dial::Endpoints };
    let told = service.dialled;
    let has_node_port =
        service.ports.get(*port as usize).is_some_and(|port| port.node_port != crate::model::NodePort::None);
    let has_address = matches!(service.kind, ServiceKind::Cluster { .. });
    let by_address = match controller.profile {
        IngressProfile::Nginx => annotations.nginx.service_upstream,
        IngressProfile::Traefik => told.native_lb.unwrap_or(annotations.traefik.native_lb),
        IngressProfile::Kong => told.upstream,
        _ => false,
    };
    match controller.profile {
        // A Service without an address of its own leaves them its endpoints.
        _ if by_address && has_address => Dial::ClusterIp,
        IngressProfile::Traefik if told.node_port_lb || annotations.traefik.node_port_lb => Dial::NodePort,
        // A Service without node ports works with network endpoint groups alone.
        IngressProfile::Gce if has_node_port && !told.endpoint_groups => Dial::NodePort,
        IngressProfile::Alb if !annotations.alb.ip_targets => Dial::NodePort,
        _ => Dial::Endpoints,
    }
}

/// Where a path of an Ingress stands.
#[must_use]
pub fn origin(cluster: &Cluster, ingress: &Ingress, path: Name, span: Option<Span>) -> RouteOrigin {
    let namespace =
        cluster.namespaces.get(ingress.namespace).map_or_else(|| Name::from(""), |found| found.name.clone());
    RouteOrigin { kind: "Ingress", namespace, name: ingress.name.clone(), path, span: span.or(ingress.span) }
}
