//! Attachment: which routes hold on which listeners, and for which hosts (GW-1, GW-5, GW-8), and routes of a mesh
//! (GW-15).

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Diagnostic;
use crate::ids::IdVec;
use crate::lower::context::Context;
use crate::lower::gateway::listeners::{Allowed, Drafts};
use crate::lower::gateway::names::{intersection, port, required, text, text_or};
use crate::lower::gateway::routes::Draft;
use crate::lower::gateway::{EXPERIMENTAL_GROUP, GROUP, World};
use crate::model::Name;
use crate::model::gateway::{
    Attachment, GatewayListener, MeshRoute, Route, RouteCondition, RouteId, RouteKind, RouteParent,
};
use crate::model::http::HostMatch;
use crate::snapshot::gateway::ParentRef;
use crate::source::Spanned;

/// What a `parentRef` means.
struct Wanted<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: &'a Name,
    name: &'a Name,
    section: Option<&'a Name>,
    port: Option<u16>,
}

/// Attaches all routes, the oldest first.
pub(super) fn attach(
    drafts: Vec<Draft<'_>>,
    gateways: &mut Drafts,
    world: &World<'_>,
    context: &mut Context,
) -> (IdVec<RouteId, Route>, Vec<MeshRoute>) {
    let mut routes = IdVec::new();
    let mut mesh = Vec::new();
    let mut taken: BTreeMap<(usize, usize), Taken> = BTreeMap::new();
    for draft in drafts {
        let id = routes.push(draft.route);
        let hosts = draft.hosts;
        for written in draft.parents {
            let route = routes.at(id);
            let place = written.span.or(route.span);
            let Some(name) = required("GW-1", "name", written.value.name.as_ref(), place, context) else { continue };
            let wanted = wanted(&written.value, &name.value, route, written, context);
            let accepted = if (wanted.group, wanted.kind) == ("", "Service") {
                mesh_parent(&wanted, id, route, &mut mesh, world)
            } else {
                listeners(&wanted, id, route, &hosts, gateways, &mut taken, world)
            };
            if !accepted.status {
                let message = format!(
                    "{} `{}/{}` is not attached to {} `{}/{}`: {}",
                    route.kind,
                    route.namespace,
                    route.name,
                    wanted.kind,
                    wanted.namespace,
                    wanted.name,
                    accepted.reason
                );
                let rule = if accepted.reason == "NoMatchingListenerHostname" { "GW-5" } else { "GW-1" };
                context.report(Diagnostic::warning(rule, place, message).help(advice(accepted.reason)));
            }
            let parent = RouteParent {
                kind: Name::from(wanted.kind),
                namespace: wanted.namespace.clone(),
                name: wanted.name.clone(),
                section: wanted.section.cloned(),
                port: wanted.port,
                accepted,
                resolved: draft.resolved,
                span: written.span,
            };
            routes.at_mut(id).parents.push(parent);
        }
    }
    (routes, mesh)
}

fn wanted<'a>(
    written: &'a ParentRef,
    name: &'a Name,
    route: &'a Route,
    place: &Spanned<ParentRef>,
    context: &mut Context,
) -> Wanted<'a> {
    let place = place.span.or(route.span);
    Wanted {
        group: text_or(written.group.as_ref(), GROUP),
        kind: text_or(written.kind.as_ref(), "Gateway"),
        namespace: text(written.namespace.as_ref()).unwrap_or(&route.namespace),
        name,
        section: text(written.section_name.as_ref()),
        port: written.port.as_ref().and_then(|written| port("GW-1", written, place, context)),
    }
}

fn advice(reason: &str) -> &'static str {
    match reason {
        "NoMatchingParent" => "check kind, namespace and name of the parent, `sectionName` and `port`",
        "NotAllowedByListeners" => "`allowedRoutes` of the listeners says which namespaces and kinds may attach",
        "NoMatchingListenerHostname" => "no host of the route is one of the listener's",
        _ => "an older route of the other kind has a host in common with it",
    }
}

/// GW-15
fn mesh_parent(
    wanted: &Wanted<'_>,
    id: RouteId,
    route: &Route,
    mesh: &mut Vec<MeshRoute>,
    world: &World<'_>,
) -> RouteCondition {
    let Some(service) = world.service(wanted.namespace, wanted.name) else {
        return RouteCondition::no("NoMatchingParent");
    };
    let known = world.cluster.services.at(service);
    if wanted.port.is_some_and(|port| known.ports.iter().all(|known| known.port != port)) {
        return RouteCondition::no("NoMatchingParent");
    }
    let clients = (*wanted.namespace != route.namespace).then(|| route.namespace.clone());
    mesh.push(MeshRoute { route: id, service, port: wanted.port, clients });
    RouteCondition::ACCEPTED
}

/// GW-1: attaches a route to the listeners that a reference means.
fn listeners(
    wanted: &Wanted<'_>,
    id: RouteId,
    route: &Route,
    hosts: &[HostMatch],
    drafts: &mut Drafts,
    taken: &mut BTreeMap<(usize, usize), Taken>,
    world: &World<'_>,
) -> RouteCondition {
    let is_set = matches!(wanted.kind, "ListenerSet" | "XListenerSet");
    let at = match wanted.group {
        GROUP if wanted.kind == "Gateway" => {
            drafts.by_name.get(&(wanted.namespace.clone(), wanted.name.clone())).copied()
        }
        GROUP | EXPERIMENTAL_GROUP if is_set => {
            let key = (Name::from(wanted.kind), wanted.namespace.clone(), wanted.name.clone());
            drafts.sets.get(&key).copied().flatten()
        }
        _ => None,
    };
    let Some((at, draft)) = at.and_then(|at| Some((at, drafts.gateways.get_mut(at)?))) else {
        return RouteCondition::no("NoMatchingParent");
    };
    let is_meant = |listener: &GatewayListener, allowed: &Allowed| {
        let owner = match (&listener.listener_set, is_set) {
            (Some((namespace, name)), true) => {
                (namespace, name) == (wanted.namespace, wanted.name) && allowed.set_kind.as_deref() == Some(wanted.kind)
            }
            (owner, _) => owner.is_none() && !is_set,
        };
        let section = wanted.section.is_none_or(|section| *section == listener.name);
        owner && section && wanted.port.is_none_or(|port| port == listener.port)
    };
    // The furthest that any listener lets it come.
    let mut condition = RouteCondition::no("NoMatchingParent");
    let mut best = 0;
    let mut reached = |step: u8, found: RouteCondition| {
        if step > best {
            (best, condition) = (step, found);
        }
    };
    for (index, (listener, allowed)) in draft.gateway.listeners.iter_mut().zip(&draft.allowed).enumerate() {
        if !is_meant(listener, allowed) {
            continue;
        }
        let is_admitted = allowed.kinds.contains(&route.kind)
            && allowed.namespaces.admits(&route.namespace, &allowed.own, world)
            && listener.refused.as_ref().is_none_or(|refusal| refusal.rule != "GW-17");
        if !is_admitted {
            reached(1, RouteCondition::no("NotAllowedByListeners"));
            continue;
        }
        let effective = effective(&listener.hostname, hosts);
        if effective.is_empty() {
            reached(2, RouteCondition::no("NoMatchingListenerHostname"));
            continue;
        }
        if !taken.entry((at, index)).or_default().admit(route.kind, &effective) {
            reached(3, RouteCondition::no("HostnameConflict"));
            continue;
        }
        reached(4, RouteCondition::ACCEPTED);
        // Two references of one route may mean the same listener; routes come one after the other.
        match listener.routes.last_mut().filter(|last| last.route == id) {
            Some(known) => {
                known.hosts.extend(effective);
                known.hosts.sort();
                known.hosts.dedup();
            }
            None => listener.routes.push(Attachment { route: id, hosts: effective }),
        }
    }
    condition
}

/// GW-5
fn effective(listener: &HostMatch, hosts: &[HostMatch]) -> Vec<HostMatch> {
    if hosts.is_empty() {
        return vec![listener.clone()];
    }
    let mut found: Vec<_> = hosts.iter().filter_map(|host| intersection(listener, host)).collect();
    found.sort();
    found.dedup();
    found
}

/// The hosts for which HTTPRoutes and GRPCRoutes hold on one listener (GW-8).
#[derive(Default)]
struct Taken {
    http: Hosts,
    grpc: Hosts,
}

/// Hosts, so that it is quick to see whether another one meets them.
#[derive(Default)]
struct Hosts {
    any: bool,
    exact: BTreeSet<Name>,
    wildcards: BTreeSet<Name>,
    /// What stands after some dot of a host above: a wildcard for it meets that host.
    parents: BTreeSet<Name>,
}

impl Taken {
    /// Takes hosts for a kind of route, unless an older route of the other kind has one of them.
    fn admit(&mut self, kind: RouteKind, hosts: &[HostMatch]) -> bool {
        let (own, other) = match kind {
            RouteKind::Http => (&mut self.http, &self.grpc),
            RouteKind::Grpc => (&mut self.grpc, &self.http),
            RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => return true,
        };
        if hosts.iter().any(|host| other.meets(host)) {
            return false;
        }
        hosts.iter().for_each(|host| own.add(host));
        true
    }
}

impl Hosts {
    fn is_empty(&self) -> bool {
        !self.any && self.exact.is_empty() && self.wildcards.is_empty()
    }

    fn meets(&self, host: &HostMatch) -> bool {
        let below = |name: &str| parents(name).any(|parent| self.wildcards.contains(parent));
        match host {
            HostMatch::Exact(name) => self.any || self.exact.contains(name) || below(name),
            HostMatch::Labels(name) => {
                self.any || self.wildcards.contains(name) || below(name) || self.parents.contains(name)
            }
            _ => !self.is_empty(),
        }
    }

    fn add(&mut self, host: &HostMatch) {
        match host {
            HostMatch::Exact(name) => {
                self.parents.extend(parents(name).map(Name::from));
                self.exact.insert(name.clone());
            }
            HostMatch::Labels(name) => {
                self.parents.extend(parents(name).map(Name::from));
                self.wildcards.insert(name.clone());
            }
            _ => self.any = true,
        }
    }
}

/// What stands after each dot of a name, the longest first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.').map(|(_, rest)| rest), |rest| rest.split_once('.').map(|(_, rest)| rest))
}
