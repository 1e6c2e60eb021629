//! Ingress controllers as proxies: their ports, and their Ingresses as decision lists (ING-5 … ING-31).
//!
//! Every family of controllers has a file of its own that turns paths into rules in the order in which the controller
//! tries them. Paths are grouped by host once and sorted once.

mod gce;
mod generic;
mod haproxy;
mod kong;
mod list;
mod nginx;
#[cfg(test)]
mod tests;
mod traefik;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::ids::IngressId;
use crate::model::http::{
    Action, App, HostMatch, Listener, PathMatch, Proxy, ProxyKind, ProxyPort, RequestMatch, RouteOrigin, RouteRule,
    Router,
};
use crate::model::ingress::{Claims, Controller, Effect, Entry, HostFacts, Ingress, Stream, claims, effect, origin};
use crate::model::way_profile::IngressProfile;
use crate::model::{Cluster, Name, Protocol, WayProfile};
use crate::source::Span;

use list::{Draft, Rules};

/// All Ingress controllers with everything that they serve.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IngressRoutes {
    /// The proxies, and for each the position of its controller in [`Claims::controllers`].
    pub proxies: Vec<(usize, Proxy)>,
    /// Who serves what, and what nobody serves.
    pub claims: Claims,
    /// Ingresses and paths that a controller passes over.
    pub left_out: Vec<LeftOut>,
}

/// An Ingress, or a path of one, that a controller passes over.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LeftOut {
    /// The Ingress.
    pub ingress: IngressId,
    /// The rule of `docs/SPEC.md`.
    pub rule: &'static str,
    /// Why, in words.
    pub why: String,
    /// Where it is written.
    pub span: Option<Span>,
}

/// Makes the proxies of all controllers.
#[must_use]
pub fn routes(cluster: &Cluster, profile: &WayProfile) -> IngressRoutes {
    let claims = claims(cluster, profile);
    let mut routes = IngressRoutes::default();
    for (at, controller) in claims.controllers.iter().enumerate() {
        let (proxies, left_out) = proxies(cluster, controller);
        routes.proxies.extend(proxies.into_iter().map(|proxy| (at, proxy)));
        routes.left_out.extend(left_out);
    }
    routes.left_out.sort();
    routes.claims = claims;
    routes
}

/// The proxies of one controller: one, or one for each Ingress where every Ingress has a load balancer of its own.
#[must_use]
pub fn proxies(cluster: &Cluster, controller: &Controller) -> (Vec<Proxy>, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let all: Vec<_> = controller.ingresses.iter().filter_map(|id| Some((*id, cluster.ingresses.get(*id)?))).collect();
    let apart = matches!(controller.profile, IngressProfile::Gce | IngressProfile::Alb);
    let proxies = if apart {
        let each = all.into_iter().map(|ingress| {
            let namespace = cluster.namespaces.get(ingress.1.namespace).map(|namespace| namespace.name.clone());
            let names = (namespace.unwrap_or_else(|| Name::from("")), ingress.1.name.clone());
            let span = ingress.1.span;
            proxy(&Scene { cluster, controller, ingresses: vec![ingress] }, names, span, &mut left_out)
        });
        each.collect()
    } else {
        let names = (controller.namespace.clone(), controller.name.clone());
        let scene = Scene { cluster, controller, ingresses: all };
        vec![proxy(&scene, names, controller.span, &mut left_out)]
    };
    (proxies, left_out)
}

/// One load balancer: a controller and the Ingresses that share its ports.
pub(super) struct Scene<'a> {
    cluster: &'a Cluster,
    controller: &'a Controller,
    ingresses: Vec<(IngressId, &'a Ingress)>,
}

/// One path of one Ingress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    id: IngressId,
    ingress: &'a Ingress,
    /// The positions of rule and path.
    at: (usize, usize),
    path: &'a crate::model::ingress::IngressPath,
}

/// Sorts hosts as they are tried: names, then wildcards, then all hosts (ING-5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct HostKey(u8, HostMatch);

impl HostKey {
    fn new(host: &HostMatch) -> Self {
        let rank = match host {
            HostMatch::Exact(_) => 0,
            HostMatch::Any => 2,
            _ => 1,
        };
        Self(rank, host.clone())
    }
}

/// What the Ingresses say of one host.
#[derive(Default, Debug)]
pub(super) struct Host<'a> {
    /// The paths, by Ingress and position.
    sites: Vec<Site<'a>>,
    /// The Ingresses that have a rule for it, in order.
    ingresses: Vec<(IngressId, &'a Ingress)>,
    /// Those that have a rule without `http`.
    bare: Vec<(IngressId, &'a Ingress)>,
}

impl<'a> Scene<'a> {
    /// The hosts in the order in which they are tried.
    fn hosts(&self) -> BTreeMap<HostKey, Host<'a>> {
        let mut hosts: BTreeMap<HostKey, Host<'a>> = BTreeMap::new();
        for &(id, ingress) in &self.ingresses {
            for (rule_at, rule) in ingress.rules.iter().enumerate() {
                let host = hosts.entry(HostKey::new(&rule.host)).or_default();
                if host.ingresses.last().is_none_or(|(last, _)| *last != id) {
                    host.ingresses.push((id, ingress));
                }
                let Some(paths) = &rule.paths else {
                    host.bare.push((id, ingress));
                    continue;
                };
                let sites = paths.iter().enumerate();
                host.sites.extend(sites.map(|(path_at, path)| Site { id, ingress, at: (rule_at, path_at), path }));
            }
        }
        hosts
    }

    /// The effect of a path without canaries and without anything that its host brings about.
    fn plain(&self, site: &Site<'_>, entry: Entry) -> Effect {
        let end = (site.ingress, &site.path.backend);
        last(effect(self.cluster, self.controller, end, None, (entry, HostFacts::default())))
    }

    fn origin(&self, site: &Site<'_>) -> RouteOrigin {
        let path = format!("spec.rules[{}].http.paths[{}]", site.at.0, site.at.1);
        origin(self.cluster, site.ingress, Name::from(path), site.path.span)
    }

    /// What the default backends of some Ingresses make of a request: one thing, or nobody knows which (ING-7, ING-12).
    fn default_of(&self, ingresses: &[(IngressId, &'a Ingress)], entry: Entry, facts: HostFacts) -> Option<Draft> {
        let mut found = ingresses.iter().filter_map(|(_, ingress)| {
            let backend = ingress.default_backend.as_ref()?;
            Some((ingress, last(effect(self.cluster, self.controller, (ingress, backend), None, (entry, facts)))))
        });
        let (first, effect) = found.next()?;
        let effect = if found.all(|(_, other)| other == effect) {
            effect
        } else {
            let why = Name::from("several Ingresses have a default backend");
            Effect { checks: Vec::new(), then: Action::Undefined(why) }
        };
        let origin = origin(self.cluster, first, Name::from("spec.defaultBackend"), None);
        Some(Draft { when: RequestMatch::everything(), effect, origin, rule: "ING-7" })
    }

    /// What the controller itself does with what nobody takes: its own default backend, if it has one (ING-7).
    fn own_default(&self) -> Option<Draft> {
        let backend = self.controller.settings.default_backend.as_ref()?;
        let effect = Effect { checks: Vec::new(), then: self.controller.direct(self.cluster, backend) };
        let (when, origin) = (RequestMatch::everything(), self.own_origin());
        Some(Draft { when, effect, origin, rule: "ING-7" })
    }

    /// 404 by the controller.
    fn not_found(&self) -> Draft {
        let why = Name::from("no path of the host takes it");
        let effect = Effect { checks: Vec::new(), then: Action::Answer { status: 404, why } };
        Draft { when: RequestMatch::everything(), effect, origin: self.own_origin(), rule: "ING-7" }
    }

    /// The rules of controllers that know each host by itself: what `paths` makes of its paths, the smallest key first,
    /// then the default. A host that is known does not fall back on the rules of other hosts (ING-20, ING-24).
    fn host_by_host<K: Ord>(
        &self,
        entry: Entry,
        rule: &'static str,
        mut paths: impl FnMut(&Site<'a>) -> Vec<(K, PathMatch)>,
    ) -> Vec<RouteRule> {
        let mut rules = Rules::default();
        let default = self.default_of(&self.ingresses, entry, HostFacts::default());
        let default = default.or_else(|| self.own_default());
        for (HostKey(_, host), found) in self.hosts() {
            let mut drafts = Vec::new();
            for site in &found.sites {
                for (key, path) in paths(site) {
                    let (effect, origin) = (self.plain(site, entry), self.origin(site));
                    drafts.push((key, Draft { when: at(&host, path), effect, origin, rule }));
                }
            }
            rules.push_sorted(drafts);
            let rest = default.clone().unwrap_or_else(|| self.not_found());
            rules.push([Draft { when: at(&host, PathMatch::Any), ..rest }]);
        }
        rules.push(default);
        rules.done()
    }

    fn own_origin(&self) -> RouteOrigin {
        RouteOrigin {
            kind: "Controller",
            namespace: self.controller.namespace.clone(),
            name: self.controller.name.clone(),
            path: Name::from(""),
            span: self.controller.span,
        }
    }
}

/// The effect for requests that no condition takes out.
fn last(effects: Vec<(RequestMatch, Effect)>) -> Effect {
    let nothing = Effect { checks: Vec::new(), then: Action::Undefined(Name::from("")) };
    effects.into_iter().last().map_or(nothing, |(_, effect)| effect)
}

fn proxy(scene: &Scene<'_>, (namespace, name): (Name, Name), span: Option<Span>, left_out: &mut Vec<LeftOut>) -> Proxy {
    let rules = |entry: Entry, left_out: &mut Vec<LeftOut>| match scene.controller.profile {
        IngressProfile::Spec | IngressProfile::Istio | IngressProfile::Alb => generic::rules(scene, entry),
        IngressProfile::Nginx => nginx::rules(scene, entry, left_out),
        IngressProfile::Gce => gce::rules(scene, entry, left_out),
        IngressProfile::Traefik => traefik::rules(scene, entry),
        IngressProfile::Kong => kong::rules(scene, entry),
        IngressProfile::HaProxy => haproxy::rules(scene, entry),
    };
    let listener = |name: &str, tls, app, rules: Vec<RouteRule>| Listener {
        name: Name::from(name),
        tls,
        app,
        router: Router { rules },
    };
    let mut ports = Vec::new();
    let closed = scene.controller.profile == IngressProfile::Gce
        && scene.ingresses.iter().all(|(_, ingress)| ingress.annotations.gce_https_only);
    if !closed || scene.ingresses.is_empty() {
        let listeners = vec![listener("http", None, App::Http, rules(Entry::Plain, left_out))];
        ports.push(ProxyPort { port: 80, protocol: Protocol::Tcp, listeners });
    }
    if has_tls(scene) {
        // What is left out is the same over TLS.
        let over_tls = rules(Entry::Tls, &mut Vec::new());
        let mut listeners = passthrough(scene);
        listeners.push(listener("https", Some(HostMatch::Any), App::Http, over_tls));
        ports.push(ProxyPort { port: 443, protocol: Protocol::Tcp, listeners });
    }
    ports.extend(scene.controller.streams.iter().map(|stream| stream_port(scene, stream)));
    Proxy { kind: ProxyKind::Ingress, namespace, name, pods: scene.controller.pods.clone(), ports, span }
}

/// ING-8: some controllers answer over TLS whatever the Ingresses say, the others where one speaks of it.
fn has_tls(scene: &Scene<'_>) -> bool {
    match scene.controller.profile {
        IngressProfile::Nginx | IngressProfile::Traefik | IngressProfile::Kong | IngressProfile::HaProxy => true,
        IngressProfile::Spec | IngressProfile::Gce | IngressProfile::Istio | IngressProfile::Alb => {
            scene.ingresses.iter().any(|(_, ingress)| !ingress.tls.is_empty())
        }
    }
}

/// ING-19, ING-24: hosts whose TLS goes through to the backend as it is.
fn passthrough(scene: &Scene<'_>) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for (HostKey(_, host), found) in scene.hosts() {
        let wanted = found.ingresses.iter().any(|(_, ingress)| passes_through(scene.controller, ingress));
        if !wanted || host == HostMatch::Any {
            continue;
        }
        // The path `/` is the one that counts; where there is none, any may.
        let sites = found.sites.iter().filter(|site| site.ingress.annotations.nginx.canary.is_none());
        let (root, others): (Vec<_>, Vec<_>) = sites.partition(|site| site.path.text() == "/");
        let sites = if root.is_empty() { others } else { root };
        let mut rules = Rules::default();
        rules.push(sites.into_iter().map(|site: &Site<'_>| {
            let then = scene.controller.direct(scene.cluster, &site.path.backend);
            let when = RequestMatch { host: host.clone(), ..RequestMatch::everything() };
            let effect = Effect { checks: Vec::new(), then };
            Draft { when, effect, origin: scene.origin(site), rule: "ING-19" }
        }));
        let name = Name::from("passthrough");
        listeners.push(Listener { name, tls: Some(host), app: App::Opaque, router: Router { rules: rules.done() } });
    }
    listeners
}

/// Whether an Ingress hands TLS through, and its controller lets it.
fn passes_through(controller: &Controller, ingress: &Ingress) -> bool {
    match controller.profile {
        IngressProfile::Nginx => controller.settings.ssl_passthrough && ingress.annotations.nginx.ssl_passthrough,
        IngressProfile::HaProxy => ingress.annotations.haproxy.ssl_passthrough,
        _ => false,
    }
}

/// ING-31
fn stream_port(scene: &Scene<'_>, stream: &Stream) -> ProxyPort {
    let rules = || {
        let (namespace, name) = stream.config_map.clone();
        let path = Name::from(format!("data[\"{}\"]", stream.port));
        let origin = RouteOrigin { kind: "ConfigMap", namespace, name, path, span: stream.span };
        let then = scene.controller.direct(scene.cluster, &stream.backend);
        let effect = Effect { checks: Vec::new(), then };
        let mut rules = Rules::default();
        rules.push([Draft { when: RequestMatch::everything(), effect, origin, rule: "ING-31" }]);
        rules.done()
    };
    // Bytes are handed on whatever they are: with TLS or without.
    let listener = |tls| Listener {
        name: Name::from(format!("stream-{}", stream.port)),
        tls,
        app: App::Opaque,
        router: Router { rules: rules() },
    };
    let listeners = vec![listener(None), listener(Some(HostMatch::Any))];
    ProxyPort { port: stream.port, protocol: stream.protocol, listeners }
}

/// Of paths that are one and the same for a controller, those that may be the oldest: the oldest of known age, and all
/// of unknown age; of one age the last by name, and of one Ingress the first (ING-12).
pub(super) fn eldest<'s, 'a>(cluster: &Cluster, sites: &[&'s Site<'a>]) -> Vec<&'s Site<'a>> {
    let age = |site: &Site<'_>| {
        let created = site.ingress.created.clone()?;
        let namespace = cluster.namespaces.get(site.ingress.namespace).map(|found| &found.name);
        Some((created, Reverse(format!("{}/{}", namespace.map_or("", |name| &**name), site.ingress.name))))
    };
    let oldest = sites.iter().filter_map(|site| age(site)).min();
    let mut kept: Vec<&Site<'_>> = Vec::new();
    for site in sites {
        let age = age(site);
        let may_be_oldest = age.is_none() || age == oldest;
        if may_be_oldest && kept.iter().all(|known| known.id != site.id) {
            kept.push(site);
        }
    }
    kept
}

/// A path in a host.
pub(super) fn at(host: &HostMatch, path: PathMatch) -> RequestMatch {
    RequestMatch { host: host.clone(), path, ..RequestMatch::everything() }
}
