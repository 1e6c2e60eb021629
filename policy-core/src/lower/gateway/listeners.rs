//! Gateways, their listeners and those of ListenerSets (GW-2, GW-17).

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::lower::gateway::grants::Reference;
use crate::lower::gateway::names::{hostname, port, required, text, text_or};
use crate::lower::gateway::{EXPERIMENTAL_GROUP, GROUP, GatewayObjects, World};
use crate::lower::selectors::selector;
use crate::model::gateway::{Claim, Gateway, GatewayListener, ListenerProtocol, Refusal, RouteKind};
use crate::model::http::{Check, HostMatch, ProxyPods};
use crate::model::{Name, Selector};
use crate::snapshot::gateway::{
    AllowedRoutes, FrontendValidation, GatewayClassStatus, GatewaySpec, ListenerSetSpec, ListenerTls, WrittenListener,
};
use crate::source::{Span, Spanned};

/// Gateways whose routes are still to come.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) gateways: Vec<GatewayDraft>,
    /// Where each Gateway stands.
    pub(super) by_name: BTreeMap<(Name, Name), usize>,
    /// The Gateway of each ListenerSet by kind, namespace and name; `None` = it has none.
    pub(super) sets: BTreeMap<(Name, Name, Name), Option<usize>>,
}

/// A Gateway, and whom each of its listeners admits.
pub(super) struct GatewayDraft {
    pub(super) gateway: Gateway,
    /// As many as it has listeners.
    pub(super) allowed: Vec<Allowed>,
}

/// Which routes a listener admits (GW-1).
pub(super) struct Allowed {
    pub(super) namespaces: From,
    pub(super) kinds: Vec<RouteKind>,
    /// The namespace that `Same` means: that of the Gateway or ListenerSet.
    pub(super) own: Name,
    /// Kind of the ListenerSet, if it belongs to one.
    pub(super) set_kind: Option<Name>,
}

/// From which namespaces something may be.
pub(super) enum From {
    None,
    Same,
    All,
    Selector(Selector),
}

impl From {
    /// Whether a namespace is among them; `own` is the one that `Same` means.
    pub(super) fn admits(&self, namespace: &Name, own: &Name, world: &World<'_>) -> bool {
        match self {
            Self::None => false,
            Self::Same => namespace == own,
            Self::All => true,
            Self::Selector(selector) => {
                let id = world.namespaces.get(namespace);
                let found = id.and_then(|id| world.cluster.namespaces.get(*id));
                found.is_some_and(|namespace| selector.matches(&namespace.labels))
            }
        }
    }
}

/// Lowers all Gateways and ListenerSets.
pub(super) fn lower(
    objects: &GatewayObjects<'_>,
    world: &World<'_>,
    context: &mut Context,
    refused: &mut bool,
) -> Drafts {
    let mut drafts = Drafts::default();
    let mut allowed_sets = Vec::new();
    for ((namespace, name), (object, body)) in &objects.gateways {
        let errors = context.errors();
        let place = object.span;
        let Some(spec) = &body.spec else {
            context.report(Diagnostic::error("GW-2", place, "this Gateway has no `spec`"));
            *refused = true;
            continue;
        };
        let class = required("GW-2", "gatewayClassName", spec.gateway_class_name.as_ref(), place, context);
        let class = class.map_or_else(|| Name::from(""), |class| class.value.clone());
        let owner = Owner { kind: "Gateway", namespace, set: None, set_kind: None, gateway: Some(spec), place };
        let (mut listeners, allowed) = owner.listeners(spec.listeners.as_deref(), world, context);
        let admitted = from(spec.allowed_listeners.as_ref(), From::None, place, context);
        if context.errors() != errors {
            *refused = true;
            continue;
        }
        conflicts(&mut listeners, 0, context);
        let status = body.status.as_ref().and_then(|status| status.addresses.as_deref());
        let written = status.filter(|addresses| !addresses.is_empty()).or(spec.addresses.as_deref());
        let addresses = written.unwrap_or_default().iter().filter_map(|at| text(at.value.value.as_ref()).cloned());
        let gateway = Gateway {
            namespace: namespace.clone(),
            name: name.clone(),
            claim: claim(objects, &class),
            class,
            listeners,
            pods: ProxyPods::OutsideUnknown,
            addresses: addresses.collect(),
            span: place,
        };
        drafts.by_name.insert((namespace.clone(), name.clone()), drafts.gateways.len());
        drafts.gateways.push(GatewayDraft { gateway, allowed });
        allowed_sets.push(admitted);
    }
    listener_sets(objects, &allowed_sets, &mut drafts, world, context, refused);
    drafts
}

/// GW-2
fn claim(objects: &GatewayObjects<'_>, class: &Name) -> Claim {
    let Some((_, body)) = objects.classes.get(class) else { return Claim::Missing };
    let accepted = |status: &GatewayClassStatus| {
        let conditions = status.conditions.as_deref().unwrap_or_default().iter();
        let mut accepted = conditions.filter(|condition| text_or(condition.value.r#type.as_ref(), "") == "Accepted");
        accepted.next().is_none_or(|condition| text_or(condition.value.status.as_ref(), "") != "False")
    };
    if body.status.as_ref().is_some_and(|status| !accepted(status)) {
        return Claim::Refused;
    }
    let controller = body.spec.as_ref().and_then(|spec| text(spec.controller_name.as_ref()).cloned());
    Claim::Claimed(controller.unwrap_or_else(|| Name::from("")))
}

/// GW-17: ListenerSets, after the Gateway itself from the oldest to the youngest.
fn listener_sets(
    objects: &GatewayObjects<'_>,
    allowed_sets: &[From],
    drafts: &mut Drafts,
    world: &World<'_>,
    context: &mut Context,
    refused: &mut bool,
) {
    let mut sets: Vec<_> = objects.listener_sets.iter().collect();
    sets.sort_by_key(|((kind, namespace, name), (_, body))| {
        let metadata = body.metadata.as_ref();
        let created = metadata.and_then(|metadata| text(metadata.creation_timestamp.as_ref()).cloned());
        (created.is_none(), created, namespace.clone(), name.clone(), kind.clone())
    });
    for (key @ (kind, namespace, name), (object, body)) in sets {
        let errors = context.errors();
        let place = object.span;
        let empty = ListenerSetSpec::default();
        let spec = body.spec.as_ref().unwrap_or(&empty);
        let parent = required("GW-17", "parentRef", spec.parent_ref.as_ref(), place, context);
        let set = Some((namespace.clone(), name.clone()));
        let owner = Owner { kind: "ListenerSet", namespace, set, set_kind: Some(kind), gateway: None, place };
        let (mut listeners, allowed) = owner.listeners(spec.listeners.as_deref(), world, context);
        let parent_name = parent.and_then(|parent| text(parent.value.name.as_ref()));
        if context.errors() != errors {
            *refused = true;
            continue;
        }
        let parent_namespace = parent.and_then(|parent| text(parent.value.namespace.as_ref())).unwrap_or(namespace);
        let at = parent_name.and_then(|name| drafts.by_name.get(&(parent_namespace.clone(), name.clone()))).copied();
        drafts.sets.insert(key.clone(), at);
        let found = at.and_then(|at| Some((drafts.gateways.get_mut(at)?, allowed_sets.get(at)?)));
        let span = parent.and_then(|parent| parent.span).or(place);
        let Some((draft, admitted)) = found else {
            let message = format!("there is no Gateway `{parent_namespace}/{}`", parent_name.map_or("", |name| name));
            let problem = Diagnostic::warning("GW-17", span, message);
            context.report(problem.help("nobody serves the listeners of this ListenerSet"));
            continue;
        };
        if !admitted.admits(namespace, &draft.gateway.namespace, world) {
            let message =
                format!("Gateway `{parent_namespace}/{}` admits no ListenerSet of `{namespace}`", draft.gateway.name);
            let problem = Diagnostic::warning("GW-17", span, message);
            context.report(
                problem.help("`allowedListeners` of the Gateway says who may add listeners; nobody by default"),
            );
            for listener in &mut listeners {
                listener.refused = Some(Refusal { rule: "GW-17", reason: "NotAllowed" });
            }
        }
        let before = draft.gateway.listeners.len();
        draft.gateway.listeners.extend(listeners);
        draft.allowed.extend(allowed);
        conflicts(&mut draft.gateway.listeners, before, context);
    }
}

/// GW-2: refuses the listeners from `new` on that cannot be told apart from each other or from one before them. All
/// before `new` have been looked at. Those of one owner are all refused; between owners the earlier one is served.
fn conflicts(listeners: &mut [GatewayListener], new: usize, context: &mut Context) {
    /// What listeners on one port have to agree on.
    fn family(protocol: ListenerProtocol) -> u8 {
        match protocol {
            ListenerProtocol::Http => 0,
            ListenerProtocol::Https | ListenerProtocol::TlsTerminate | ListenerProtocol::TlsPassthrough => 1,
            ListenerProtocol::Tcp => 2,
            ListenerProtocol::Udp => 3,
        }
    }
    let mut hosts: BTreeMap<(u16, u8, HostMatch), Vec<(usize, ListenerProtocol)>> = BTreeMap::new();
    let mut families: BTreeMap<(u16, bool), BTreeMap<u8, Vec<usize>>> = BTreeMap::new();
    for (index, listener) in listeners.iter().enumerate().filter(|(_, listener)| listener.refused.is_none()) {
        let family = family(listener.protocol);
        hosts.entry((listener.port, family, listener.hostname.clone())).or_default().push((index, listener.protocol));
        let on_port = families.entry((listener.port, family == 3)).or_default();
        on_port.entry(family).or_default().push(index);
    }
    let mut found: BTreeMap<usize, &'static str> = BTreeMap::new();
    for same in hosts.values().filter(|same| same.len() > 1) {
        let is_https = |protocol: ListenerProtocol| protocol == ListenerProtocol::Https;
        let mixed = same.iter().any(|(_, one)| is_https(*one)) && !same.iter().all(|(_, one)| is_https(*one));
        let reason = if mixed { "ProtocolConflict" } else { "HostnameConflict" };
        found.extend(same.iter().map(|(index, _)| (*index, reason)));
    }
    for several in families.values().filter(|several| several.len() > 1) {
        let old: BTreeSet<u8> =
            several.iter().filter(|(_, all)| all.iter().any(|index| *index < new)).map(|(family, _)| *family).collect();
        for (family, all) in several {
            if old.is_empty() || !old.contains(family) {
                found.extend(all.iter().map(|index| (*index, "ProtocolConflict")));
            }
        }
    }
    for (index, reason) in found.into_iter().filter(|(index, _)| *index >= new) {
        let Some(listener) = listeners.get_mut(index) else { continue };
        listener.refused = Some(Refusal { rule: "GW-2", reason });
        let message = format!("the listener `{}` cannot be told apart from another one", listener.name);
        let help = if reason == "HostnameConflict" {
            "of listeners with one port, protocol and host none is served: give them different hosts"
        } else {
            "of listeners with one port and different protocols none is served: give them different ports"
        };
        context.report(Diagnostic::warning("GW-2", listener.span, message).help(help));
    }
}

/// What listeners belong to.
struct Owner<'a> {
    kind: &'static str,
    namespace: &'a Name,
    set: Option<(Name, Name)>,
    set_kind: Option<&'a Name>,
    gateway: Option<&'a GatewaySpec>,
    place: Option<Span>,
}

impl<'a> Owner<'a> {
    fn listeners(
        &self,
        written: Option<&[Spanned<WrittenListener>]>,
        world: &World<'_>,
        context: &mut Context,
    ) -> (Vec<GatewayListener>, Vec<Allowed>) {
        let (mut listeners, mut allowed) = (Vec::new(), Vec::new());
        let mut names: BTreeMap<&Name, Option<Span>> = BTreeMap::new();
        let mut triples: BTreeMap<(i64, &str, Option<&Name>), Option<Span>> = BTreeMap::new();
        if written.unwrap_or_default().is_empty() {
            let problem = Diagnostic::warning("GW-2", self.place, format!("this {} has no listener", self.kind));
            context.report(problem.help("nobody can reach it: add `listeners`"));
        }
        for written in written.unwrap_or_default() {
            let place = written.span.or(self.place);
            let listener = &written.value;
            let name = required("GW-2", "name", listener.name.as_ref(), place, context);
            if let Some(name) = name
                && let Some(first) = names.insert(&name.value, name.span)
            {
                let problem =
                    Diagnostic::error("GW-2", name.span.or(place), format!("a second listener `{}`", name.value));
                context.report(problem.also(first, "the first one").help("give each listener a name of its own"));
            }
            if let (Some(port), Some(protocol)) = (&listener.port, &listener.protocol) {
                let triple = (port.value, &*protocol.value, text(listener.hostname.as_ref()));
                if let Some(first) = triples.insert(triple, place) {
                    let problem = Diagnostic::error("GW-2", place, "port, protocol and hostname of another listener");
                    context.report(problem.also(first, "the other one").help("listeners must differ in one of them"));
                }
            }
            if let Some((lowered, admitted)) = self.listener(listener, name, place, world, context) {
                listeners.push(GatewayListener { span: written.span, ..lowered });
                allowed.push(admitted);
            }
        }
        (listeners, allowed)
    }

    fn listener(
        &self,
        written: &WrittenListener,
        name: Option<&Spanned<Name>>,
        place: Option<Span>,
        world: &World<'_>,
        context: &mut Context,
    ) -> Option<(GatewayListener, Allowed)> {
        let number = required("GW-2", "port", written.port.as_ref(), place, context);
        let number = number.and_then(|written| port("GW-2", written, place, context));
        let spoken = required("GW-2", "protocol", written.protocol.as_ref(), place, context)?;
        let hosts = text(written.hostname.as_ref()).is_some();
        let host = written.hostname.as_ref().filter(|_| hosts);
        let host = host.and_then(|host| hostname("GW-3", host, true, place, context)).unwrap_or(HostMatch::Any);
        let tls = written.tls.as_ref();
        let mode = tls.and_then(|tls| text(tls.value.mode.as_ref()));
        let at = tls.and_then(|tls| tls.span).or(spoken.span).or(place);
        let protocol = match (&*spoken.value, mode.map(|mode| &**mode)) {
            ("HTTP", _) => ListenerProtocol::Http,
            ("TCP", _) => ListenerProtocol::Tcp,
            ("UDP", _) => ListenerProtocol::Udp,
            ("HTTPS", None | Some("Terminate")) => ListenerProtocol::Https,
            ("TLS", Some("Terminate")) => ListenerProtocol::TlsTerminate,
            ("TLS", Some("Passthrough")) => ListenerProtocol::TlsPassthrough,
            ("HTTPS" | "TLS", mode) => {
                let message = match mode {
                    Some(mode) => format!("`{}` with the TLS mode `{mode}`", spoken.value),
                    None => "`TLS` without a TLS mode".to_owned(),
                };
                let help = "HTTPS goes with `Terminate`, TLS with `Terminate` or `Passthrough`";
                context.report(Diagnostic::error("GW-2", at, message).help(help));
                return None;
            }
            (other, _) => {
                let problem =
                    Diagnostic::warning("GW-2", spoken.span.or(place), format!("the protocol `{other}` is not known"));
                context
                    .report(problem.help("the protocols are HTTP, HTTPS, TLS, TCP and UDP; the listener is left out"));
                return None;
            }
        };
        let with_tls = matches!(&*spoken.value, "HTTPS" | "TLS");
        if with_tls != tls.is_some() {
            let (message, help) = if with_tls {
                (format!("`{}` without `tls`", spoken.value), "say which certificates the listener shows")
            } else {
                (format!("`tls` with the protocol {}", spoken.value), "TLS goes with the protocols HTTPS and TLS")
            };
            context.report(Diagnostic::error("GW-2", at, message).help(help));
        }
        if matches!(protocol, ListenerProtocol::Tcp | ListenerProtocol::Udp) && hosts {
            let message = format!("a hostname with the protocol {}", spoken.value);
            context.report(Diagnostic::error("GW-2", place, message).help("connections carry no host: remove it"));
        }
        let terminates = matches!(protocol, ListenerProtocol::Https | ListenerProtocol::TlsTerminate);
        let certificates = terminates && tls.is_some_and(|tls| !self.certificates(&tls.value, place, world, context));
        let mut refused = certificates.then_some(Refusal { rule: "GW-11", reason: "RefNotPermitted" });
        let old = tls.and_then(|tls| tls.value.frontend_validation.as_ref());
        let clients = number.filter(|_| terminates).and_then(|number| self.client_validation(number, old));
        if let Some(clients) = clients {
            refused = refused.or_else(|| self.unvalidated(clients, place, world, context));
        }
        let strict =
            |clients: &&FrontendValidation| text_or(clients.mode.as_ref(), "AllowValidOnly") == "AllowValidOnly";
        let certificate = || Check::Credential(Name::from("client certificate"));
        let admitted = Allowed {
            namespaces: from(written.allowed_routes.as_ref(), From::Same, place, context),
            kinds: kinds(written.allowed_routes.as_ref(), protocol),
            own: self.namespace.clone(),
            set_kind: self.set_kind.cloned(),
        };
        let listener = GatewayListener {
            name: name?.value.clone(),
            listener_set: self.set.clone(),
            port: number?,
            protocol,
            hostname: host,
            checks: clients.filter(strict).map(|_| certificate()).into_iter().collect(),
            refused,
            routes: Vec::new(),
            span: place,
        };
        Some((listener, admitted))
    }

    /// GW-11: whether the listener may read its certificates.
    fn certificates(&self, tls: &ListenerTls, place: Option<Span>, world: &World<'_>, context: &mut Context) -> bool {
        let references = tls.certificate_refs.as_deref().unwrap_or_default();
        if references.is_empty() && tls.options.as_ref().is_none_or(BTreeMap::is_empty) {
            let problem = Diagnostic::error("GW-2", place, "TLS ends here, and no certificate is named");
            context.report(problem.help("write `certificateRefs`, or `options` of the implementation"));
        }
        let mut good = true;
        for reference in references {
            let at = reference.span.or(place);
            let name = required("GW-11", "name", reference.value.name.as_ref(), at, context);
            let namespace = text(reference.value.namespace.as_ref()).unwrap_or(self.namespace);
            let Some(name) = name else { continue };
            let wanted = Reference {
                from: (self.kind, self.namespace),
                to: (text_or(reference.value.group.as_ref(), ""), text_or(reference.value.kind.as_ref(), "Secret")),
                target: (namespace, &name.value),
            };
            if !world.grants.permit(wanted) {
                let message = format!(
                    "no ReferenceGrant lets a {} of `{}` read `{namespace}/{}`",
                    self.kind, self.namespace, name.value
                );
                let problem = Diagnostic::warning("GW-11", at, message).help("the listener is not served");
                let misplaced = world.grants.misplaced(wanted).flatten();
                context.report(problem.also(misplaced, "this one lies in the wrong namespace"));
                good = false;
            }
        }
        good
    }

    /// GW-13: how the certificates of clients are validated at a port.
    fn client_validation<'b>(&self, port: u16, old: Option<&'b FrontendValidation>) -> Option<&'b FrontendValidation>
    where
        Self: 'b,
        'a: 'b,
    {
        let frontend = self.gateway.and_then(|spec| spec.tls.as_ref()).and_then(|tls| tls.frontend.as_ref());
        let ports = frontend.and_then(|frontend| frontend.per_port.as_deref()).unwrap_or_default();
        let is_port = |number: Option<&Spanned<i64>>| number.is_some_and(|number| number.value == i64::from(port));
        let own = ports.iter().find(|entry| is_port(entry.value.port.as_ref()));
        let config = match own {
            Some(own) => own.value.tls.as_ref(),
            None => frontend.and_then(|frontend| frontend.default.as_ref()),
        };
        config.and_then(|config| config.validation.as_ref()).or(old)
    }

    /// GW-11, GW-13: why certificates of clients cannot be validated. One good reference is enough.
    fn unvalidated(
        &self,
        validation: &FrontendValidation,
        place: Option<Span>,
        world: &World<'_>,
        context: &mut Context,
    ) -> Option<Refusal> {
        let mut first = None;
        for reference in validation.ca_certificate_refs.iter().flatten() {
            let written = &reference.value;
            let (group, kind) = (text_or(written.group.as_ref(), ""), text_or(written.kind.as_ref(), ""));
            let namespace = text(written.namespace.as_ref()).unwrap_or(self.namespace);
            let name = text_or(written.name.as_ref(), "");
            let wanted = Reference { from: (self.kind, self.namespace), to: (group, kind), target: (namespace, name) };
            let refusal = if !group.is_empty() || !matches!(kind, "ConfigMap" | "Secret") {
                Refusal { rule: "GW-13", reason: "InvalidCACertificateKind" }
            } else if !world.grants.permit(wanted) {
                Refusal { rule: "GW-11", reason: "RefNotPermitted" }
            } else {
                return None;
            };
            let message = format!("`{namespace}/{name}` does not serve to validate clients: {}", refusal.reason);
            let problem = Diagnostic::warning(refusal.rule, reference.span.or(place), message);
            context.report(problem.help("the listener is not served"));
            first.get_or_insert(refusal);
        }
        first
    }
}

/// GW-1, GW-17: the namespaces that may attach.
fn from(written: Option<&AllowedRoutes>, default: From, place: Option<Span>, context: &mut Context) -> From {
    let Some(written) = written.and_then(|allowed| allowed.namespaces.as_ref()) else { return default };
    let Some(word) = &written.from else { return default };
    match &*word.value {
        "None" => From::None,
        "Same" => From::Same,
        "All" => From::All,
        "Selector" => match &written.selector {
            Some(written) => From::Selector(selector(&written.value, written.span.or(place), context)),
            None => {
                let problem = Diagnostic::error("GW-1", word.span.or(place), "`from: Selector` without a `selector`");
                context.report(problem.help("write the `selector`; `{}` is all namespaces"));
                From::None
            }
        },
        other => {
            let problem = Diagnostic::error("GW-1", word.span.or(place), format!("`{other}` is not known here"));
            context.report(problem.help("write `All`, `Same`, `Selector` or `None`"));
            From::None
        }
    }
}

/// GW-1: the kinds of route that may attach.
fn kinds(written: Option<&AllowedRoutes>, protocol: ListenerProtocol) -> Vec<RouteKind> {
    let fitting: &[RouteKind] = match protocol {
        ListenerProtocol::Http | ListenerProtocol::Https => &[RouteKind::Http, RouteKind::Grpc],
        ListenerProtocol::TlsTerminate => &[RouteKind::Tls, RouteKind::Tcp],
        ListenerProtocol::TlsPassthrough => &[RouteKind::Tls],
        ListenerProtocol::Tcp => &[RouteKind::Tcp],
        ListenerProtocol::Udp => &[RouteKind::Udp],
    };
    let written = written.and_then(|allowed| allowed.kinds.as_deref()).unwrap_or_default();
    if written.is_empty() {
        return fitting.to_vec();
    }
    let named = written.iter().filter(|kind| {
        let group = text_or(kind.value.group.as_ref(), GROUP);
        group == GROUP || group == EXPERIMENTAL_GROUP
    });
    let named: Vec<_> = named.filter_map(|kind| RouteKind::parse(text_or(kind.value.kind.as_ref(), ""))).collect();
    fitting.iter().copied().filter(|kind| named.contains(kind)).collect()
}
