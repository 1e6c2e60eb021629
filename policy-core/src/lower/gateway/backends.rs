//! What routes refer to: Services and their ports (GW-9, GW-11, GW-14), and how they are spoken to (GW-13).

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::lower::gateway::grants::Reference;
use crate::lower::gateway::names::{hostname, port, required, text, text_or};
use crate::lower::gateway::{Objects, World};
use crate::lower::input::Key;
use crate::model::gateway::RouteKind;
use crate::model::http::{BackendTarget, Dial};
use crate::model::{Name, Protocol, ServiceKind};
use crate::snapshot::gateway::{BackendRef, BackendTlsPolicySpec, BackendValidation, Body};
use crate::source::{Span, Spanned};

/// Namespace, Service, and its port if a policy names one.
type TlsTarget = (Name, Name, Option<Name>);

/// The BackendTLSPolicies that count, and whether each can be met.
#[derive(Debug, Default)]
pub(super) struct BackendTls {
    policies: BTreeMap<TlsTarget, (Name, bool)>,
}

impl BackendTls {
    /// Lowers all policies: of several for one target the oldest counts, then the first by name.
    pub(super) fn lower(
        objects: &Objects<'_, Key, Body<BackendTlsPolicySpec>>,
        context: &mut Context,
        refused: &mut bool,
    ) -> Self {
        let created = |body: &Body<BackendTlsPolicySpec>| {
            let written = body.metadata.as_ref().and_then(|metadata| metadata.creation_timestamp.as_ref());
            text(written).cloned()
        };
        let mut all: Vec<_> = objects.iter().collect();
        all.sort_by_key(|((namespace, name), (_, body))| {
            let created = created(body);
            (created.is_none(), created, namespace.clone(), name.clone())
        });
        let mut lowered = Self::default();
        for ((namespace, name), (object, body)) in all {
            let errors = context.errors();
            let place = object.span;
            let spec = body.spec.as_ref();
            let can_be_met = validation(spec.and_then(|spec| spec.validation.as_ref()), place, context);
            let targets = spec.and_then(|spec| spec.target_refs.as_deref()).unwrap_or_default();
            if targets.is_empty() {
                context.report(Diagnostic::error("GW-13", place, "this BackendTLSPolicy has no `targetRefs`"));
            }
            let mut found = Vec::new();
            for target in targets {
                let at = target.span.or(place);
                let service = required("GW-13", "name", target.value.name.as_ref(), at, context);
                let is_service =
                    text(target.value.group.as_ref()).is_none() && text_or(target.value.kind.as_ref(), "") == "Service";
                if !is_service {
                    let problem =
                        Diagnostic::warning("GW-13", at, "a BackendTLSPolicy for something else than a Service");
                    context.report(problem.help("this target is left out"));
                } else if let Some(service) = service {
                    let section = text(target.value.section_name.as_ref()).cloned();
                    found.push((namespace.clone(), service.value.clone(), section));
                }
            }
            if context.errors() != errors {
                *refused = true;
                continue;
            }
            for target in found {
                lowered.policies.entry(target).or_insert_with(|| (name.clone(), can_be_met));
            }
        }
        lowered
    }

    /// The policy for a port of a Service that nobody can meet: a policy for the port goes before one for all ports.
    fn unmet(&self, namespace: &Name, service: &Name, port: &Name) -> Option<&Name> {
        let of = |section: Option<Name>| self.policies.get(&(namespace.clone(), service.clone(), section));
        let (name, can_be_met) = of(Some(port.clone())).or_else(|| of(None))?;
        (!can_be_met).then_some(name)
    }
}

/// Whether a policy's validation can be met, as far as the policy itself tells.
fn validation(written: Option<&BackendValidation>, place: Option<Span>, context: &mut Context) -> bool {
    let Some(written) = written else {
        context.report(Diagnostic::error("GW-13", place, "this BackendTLSPolicy has no `validation`"));
        return false;
    };
    if let Some(host) = required("GW-13", "hostname", written.hostname.as_ref(), place, context) {
        hostname("GW-13", host, false, place, context);
    }
    let references = written.ca_certificate_refs.as_deref().unwrap_or_default();
    let well_known = text(written.well_known_ca_certificates.as_ref());
    if references.is_empty() == well_known.is_none() {
        let problem = Diagnostic::error("GW-13", place, "`validation` must say whose certificates are trusted");
        context.report(problem.help("write either `caCertificateRefs` or `wellKnownCACertificates`"));
    }
    let mut good = well_known.is_none_or(|well_known| &**well_known == "System");
    for reference in references {
        let kind = text_or(reference.value.kind.as_ref(), "");
        let known = text(reference.value.group.as_ref()).is_none() && matches!(kind, "ConfigMap" | "Secret");
        if !known {
            let message = format!("certificates of the kind `{kind}`");
            let problem = Diagnostic::warning("GW-13", reference.span.or(place), message);
            context.report(problem.help("ConfigMaps hold them; backends of this policy are not reached"));
        }
        good &= known;
    }
    good
}

/// A backend, and the reason of the condition `ResolvedRefs` when it is none.
pub(super) struct Resolved {
    pub(super) target: BackendTarget,
    pub(super) reason: Option<&'static str>,
}

/// Who refers, and where.
#[derive(Clone, Copy)]
pub(super) struct Referrer<'a> {
    pub(super) kind: RouteKind,
    pub(super) namespace: &'a Name,
    pub(super) place: Option<Span>,
}

impl World<'_> {
    /// GW-9: finds what a reference means.
    pub(super) fn backend(&self, by: Referrer<'_>, written: &Spanned<BackendRef>, context: &mut Context) -> Resolved {
        let place = written.span.or(by.place);
        let reference = &written.value;
        let (group, kind) = (text_or(reference.group.as_ref(), ""), text_or(reference.kind.as_ref(), "Service"));
        let name = required("GW-9", "name", reference.name.as_ref(), place, context);
        let number = reference.port.as_ref().and_then(|written| port("GW-9", written, place, context));
        if (group, kind) != ("", "Service") {
            let message = format!("`{kind}` of the group `{group}` is no backend that is known");
            return refuse(
                "GW-9",
                "InvalidKind",
                message,
                reference.kind.as_ref().and_then(|kind| kind.span),
                place,
                None,
                context,
            );
        }
        if reference.port.is_none() {
            let problem = Diagnostic::error("GW-9", place, "a reference to a Service needs a `port`");
            context.report(problem.help("write the port of the Service that is meant"));
        }
        let nowhere = || Resolved {
            target: BackendTarget::Invalid {
                status: 500,
                rule: "GW-9",
                why: Name::from("the reference is not complete"),
            },
            reason: Some("BackendNotFound"),
        };
        let (Some(name), Some(number)) = (name, number) else { return nowhere() };
        let namespace = text(reference.namespace.as_ref()).unwrap_or(by.namespace);
        let wanted =
            Reference { from: (by.kind.as_str(), by.namespace), to: ("", "Service"), target: (namespace, &name.value) };
        if !self.grants.permit(wanted) {
            let at = reference.namespace.as_ref().and_then(|namespace| namespace.span);
            let message = format!(
                "no ReferenceGrant lets {}s of `{}` refer to `{namespace}/{}`",
                by.kind, by.namespace, name.value
            );
            return refuse("GW-11", "RefNotPermitted", message, at, place, self.grants.misplaced(wanted), context);
        }
        let Some(id) = self.service(namespace, &name.value) else {
            let message = format!("there is no Service `{namespace}/{}`", name.value);
            return refuse("GW-9", "BackendNotFound", message, name.span, place, None, context);
        };
        let service = self.cluster.services.at(id);
        if matches!(service.kind, ServiceKind::ExternalName(_)) {
            let message = format!("`{namespace}/{}` is an ExternalName Service", name.value);
            return refuse("GW-14", "UnsupportedValue", message, name.span, place, None, context);
        }
        let protocol = if by.kind == RouteKind::Udp { Protocol::Udp } else { Protocol::Tcp };
        let found = service.ports.iter().position(|port| port.port == number && port.protocol == protocol);
        let Some((position, port)) = found.and_then(|at| service.ports.get(at).map(|port| (at, port))) else {
            let at = reference.port.as_ref().and_then(|port| port.span);
            let message = format!("Service `{namespace}/{}` has no port {number}/{protocol}", name.value);
            return refuse("GW-9", "BackendNotFound", message, at, place, None, context);
        };
        if let Some(spoken) = port.app_protocol.as_ref().filter(|spoken| !speaks(by.kind, spoken)) {
            let message =
                format!("a {} cannot speak `{spoken}`, as port {number} of `{namespace}/{}` does", by.kind, name.value);
            return refuse("GW-9", "UnsupportedProtocol", message, None, place, None, context);
        }
        let policy = self.backend_tls.unmet(namespace, &name.value, &port.name);
        if let Some(policy) = policy.filter(|_| !matches!(by.kind, RouteKind::Tcp | RouteKind::Udp)) {
            let why = Name::from(format!("BackendTLSPolicy `{namespace}/{policy}` cannot be met"));
            return Resolved { target: BackendTarget::Invalid { status: 500, rule: "GW-13", why }, reason: None };
        }
        let port = u32::try_from(position).unwrap_or(u32::MAX);
        Resolved { target: BackendTarget::Service { service: id, port, dial: Dial::Endpoints }, reason: None }
    }
}

fn refuse(
    rule: &'static str,
    reason: &'static str,
    message: String,
    at: Option<Span>,
    place: Option<Span>,
    misplaced: Option<Option<Span>>,
    context: &mut Context,
) -> Resolved {
    let help = match (rule, misplaced) {
        (_, Some(_)) => "a ReferenceGrant has an effect in the namespace of what is referred to only",
        ("GW-11", None) => "write a ReferenceGrant in the namespace of the Service",
        ("GW-14", None) => "such a Service may stand for anything; refer to one with endpoints",
        _ => "requests for this backend are answered with 500",
    };
    let problem = Diagnostic::warning(rule, at.or(place), message.clone()).help(help);
    context.report(problem.also(misplaced.flatten(), "this one lies in the wrong namespace"));
    let target = BackendTarget::Invalid { status: 500, rule, why: Name::from(message) };
    Resolved { target, reason: Some(reason) }
}

/// GW-9: whether a kind of route can speak what a port of a Service says that it speaks.
fn speaks(kind: RouteKind, protocol: &str) -> bool {
    let Some(known) = protocol.strip_prefix("kubernetes.io/") else { return true };
    match kind {
        RouteKind::Http => matches!(known, "h2c" | "ws" | "wss"),
        RouteKind::Grpc => known == "h2c",
        RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => true,
    }
}

/// The share of a backend.
pub(super) fn weight(written: Option<&Spanned<i64>>, place: Option<Span>, context: &mut Context) -> u32 {
    let Some(written) = written else { return 1 };
    let weight = u32::try_from(written.value).ok().filter(|weight| *weight <= 1_000_000);
    if weight.is_none() {
        let message = format!("`{}` is not a weight", written.value);
        let problem = Diagnostic::error("GW-9", written.span.or(place), message);
        context.report(problem.help("weights are 0 to 1000000"));
    }
    weight.unwrap_or(0)
}
