//! Routes: their rules, hosts and ages. What they attach to comes after (`parents`).

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::lower::gateway::backends::{Referrer, weight};
use crate::lower::gateway::filters::Effects;
use crate::lower::gateway::matches::{self, Lowered, any_path};
use crate::lower::gateway::names::{hostname, text};
use crate::lower::gateway::{GatewayObjects, World};
use crate::model::Name;
use crate::model::gateway::{GatewayRule, MatchTarget, Route, RouteCondition, RouteKind, RouteMatch};
use crate::model::http::{Action, Backend, BackendTarget, HostMatch, PathRewrite, Rewrite};
use crate::snapshot::gateway::{BackendRef, ParentRef, RouteFilter};
use crate::snapshot::{Object, WayMeta};
use crate::source::{Span, Spanned};

/// A route before it is attached to anything.
pub(super) struct Draft<'a> {
    pub(super) route: Route,
    pub(super) hosts: Vec<HostMatch>,
    pub(super) parents: &'a [Spanned<ParentRef>],
    pub(super) resolved: RouteCondition,
}

/// What all kinds of route have in common.
struct Head<'a> {
    kind: RouteKind,
    namespace: &'a Name,
    name: &'a Name,
    object: &'a Object,
    metadata: Option<&'a WayMeta>,
    parents: Option<&'a [Spanned<ParentRef>]>,
    hostnames: Option<&'a [Spanned<Name>]>,
}

/// One rule as it is written, whatever the kind of route.
struct WrittenRule<'a> {
    name: Option<&'a Spanned<Name>>,
    matches: Vec<Lowered>,
    filters: Option<&'a [Spanned<RouteFilter>]>,
    backends: Option<&'a [Spanned<BackendRef>]>,
    span: Option<Span>,
}

/// Lowers all routes, the oldest first (GW-7).
pub(super) fn lower<'a>(
    objects: &'a GatewayObjects<'a>,
    world: &World<'_>,
    context: &mut Context,
    refused: &mut bool,
) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    let mut keep = |draft: Draft<'a>, errors: usize, context: &mut Context| {
        if context.errors() == errors { drafts.push(draft) } else { *refused = true }
    };
    for ((namespace, name), (object, body)) in &objects.http_routes {
        let errors = context.errors();
        let spec = body.spec.as_ref();
        let (parents, hostnames) =
            (spec.and_then(|spec| spec.parent_refs.as_deref()), spec.and_then(|spec| spec.hostnames.as_deref()));
        let metadata = body.metadata.as_ref();
        let head = Head { kind: RouteKind::Http, namespace, name, object, metadata, parents, hostnames };
        let rules = spec.and_then(|spec| spec.rules.as_deref());
        let mut lowered: Vec<_> = Vec::new();
        for rule in rules.unwrap_or_default() {
            let place = rule.span.or(object.span);
            let written = rule.value.matches.as_deref().unwrap_or_default();
            at_most("GW-6", "matches", 64, written, context);
            lowered.push(WrittenRule {
                name: rule.value.name.as_ref(),
                matches: written.iter().map(|written| matches::http(written, place, context)).collect(),
                filters: rule.value.filters.as_deref(),
                backends: rule.value.backend_refs.as_deref(),
                span: rule.span,
            });
        }
        if lowered.is_empty() {
            // The definition has a rule for all paths as its default.
            lowered.push(WrittenRule {
                name: None,
                matches: Vec::new(),
                filters: None,
                backends: None,
                span: object.span,
            });
        }
        at_most("GW-6", "rules", 16, rules.unwrap_or_default(), context);
        keep(world.draft(head, lowered, any_path, context), errors, context);
    }
    for ((namespace, name), (object, body)) in &objects.grpc_routes {
        let errors = context.errors();
        let spec = body.spec.as_ref();
        let (parents, hostnames) =
            (spec.and_then(|spec| spec.parent_refs.as_deref()), spec.and_then(|spec| spec.hostnames.as_deref()));
        let metadata = body.metadata.as_ref();
        let head = Head { kind: RouteKind::Grpc, namespace, name, object, metadata, parents, hostnames };
        let rules = spec.and_then(|spec| spec.rules.as_deref()).unwrap_or_default();
        at_most("GW-8", "rules", 16, rules, context);
        let mut lowered = Vec::new();
        for rule in rules {
            let place = rule.span.or(object.span);
            let written = rule.value.matches.as_deref().unwrap_or_default();
            at_most("GW-8", "matches", 64, written, context);
            lowered.push(WrittenRule {
                name: rule.value.name.as_ref(),
                matches: written.iter().map(|written| matches::grpc(written, place, context)).collect(),
                filters: rule.value.filters.as_deref(),
                backends: rule.value.backend_refs.as_deref(),
                span: rule.span,
            });
        }
        let any = || MatchTarget::Method { service: None, method: None };
        keep(world.draft(head, lowered, any, context), errors, context);
    }
    for ((kind, namespace, name), (object, body)) in &objects.stream_routes {
        let errors = context.errors();
        let spec = body.spec.as_ref();
        let (parents, hostnames) =
            (spec.and_then(|spec| spec.parent_refs.as_deref()), spec.and_then(|spec| spec.hostnames.as_deref()));
        let metadata = body.metadata.as_ref();
        let head = Head { kind: *kind, namespace, name, object, metadata, parents, hostnames };
        let rules = spec.and_then(|spec| spec.rules.as_deref()).unwrap_or_default();
        check_stream(&head, rules, context);
        let lowered = rules.iter().map(|rule| WrittenRule {
            name: rule.value.name.as_ref(),
            matches: Vec::new(),
            filters: None,
            backends: rule.value.backend_refs.as_deref(),
            span: rule.span,
        });
        keep(world.draft(head, lowered.collect(), || MatchTarget::Connection, context), errors, context);
    }
    drafts.sort_by(|a, b| {
        let key = |draft: &Draft<'_>| {
            let Route { kind, namespace, name, created, .. } = &draft.route;
            (created.is_none(), created.clone(), namespace.clone(), name.clone(), *kind)
        };
        key(a).cmp(&key(b))
    });
    drafts
}

/// GW-12
fn check_stream(head: &Head<'_>, rules: &[Spanned<crate::snapshot::gateway::StreamRouteRule>], context: &mut Context) {
    let (kind, place) = (head.kind, head.object.span);
    let hostnames = head.hostnames.unwrap_or_default();
    if kind == RouteKind::Tls {
        if hostnames.is_empty() && !head.object.api_version.ends_with("v1alpha2") {
            let problem = Diagnostic::error("GW-12", place, "a TLSRoute needs `hostnames`");
            context.report(problem.help("write the server names that it takes"));
        }
    } else if let Some(first) = hostnames.first() {
        let problem = Diagnostic::error("GW-12", first.span.or(place), format!("a {kind} has no `hostnames`"));
        context.report(problem.help("what it carries has no names: remove them"));
    }
    if rules.is_empty() {
        context.report(Diagnostic::error("GW-12", place, format!("this {kind} has no `rules`")));
    }
    if let Some(second) = rules.get(1) {
        let problem = Diagnostic::warning("GW-12", second.span.or(place), format!("a second rule of a {kind}"));
        context.report(problem.help("all connections go by the first rule"));
    }
    for rule in rules.iter().filter(|rule| rule.value.backend_refs.as_deref().unwrap_or_default().is_empty()) {
        context.report(Diagnostic::error("GW-12", rule.span.or(place), "a rule without `backendRefs`"));
    }
}

fn at_most<T>(rule: &'static str, what: &str, most: usize, list: &[Spanned<T>], context: &mut Context) {
    if let Some(first) = list.get(most) {
        let message = format!("`{what}` has {} entries", list.len());
        let help = format!("there may be {most}: split the route");
        context.report(Diagnostic::error(rule, first.span, message).label("one too many").help(help));
    }
}

impl World<'_> {
    fn draft<'a>(
        &self,
        head: Head<'a>,
        rules: Vec<WrittenRule<'a>>,
        any: impl Fn() -> MatchTarget,
        context: &mut Context,
    ) -> Draft<'a> {
        let place = head.object.span;
        let rule = if head.kind == RouteKind::Tls { "GW-12" } else { "GW-5" };
        let hosts = head.hostnames.unwrap_or_default().iter();
        let hosts = hosts.filter_map(|written| hostname(rule, written, true, place, context)).collect();
        let mut reasons = Vec::new();
        let lowered = rules.into_iter().map(|rule| self.rule(&head, rule, &any, &mut reasons, context));
        let lowered = lowered.collect();
        let created = head.metadata.and_then(|metadata| text(metadata.creation_timestamp.as_ref()));
        let route = Route {
            kind: head.kind,
            namespace: head.namespace.clone(),
            name: head.name.clone(),
            created: created.cloned(),
            rules: lowered,
            parents: Vec::new(),
            span: place,
        };
        let resolved = reasons.first().map_or(RouteCondition::RESOLVED, |reason| RouteCondition::no(reason));
        Draft { route, hosts, parents: head.parents.unwrap_or_default(), resolved }
    }

    fn rule(
        &self,
        head: &Head<'_>,
        written: WrittenRule<'_>,
        any: &impl Fn() -> MatchTarget,
        reasons: &mut Vec<&'static str>,
        context: &mut Context,
    ) -> GatewayRule {
        let place = written.span.or(head.object.span);
        let by = Referrer { kind: head.kind, namespace: head.namespace, place };
        let effects = self.filters(by, written.filters, context);
        reasons.extend(&effects.reasons);
        let references = written.backends.unwrap_or_default();
        if let (Some(Action::Redirect(_)), Some(first)) = (&effects.instead, references.first()) {
            let problem = Diagnostic::error("GW-10", first.span.or(place), "`RequestRedirect` beside `backendRefs`");
            context.report(problem.help("a request that is redirected reaches no backend: remove one of the two"));
        }
        let mut backends = Vec::new();
        let mut backend_checks = Vec::new();
        let mut replaces_prefix = effects.replaces_prefix;
        for reference in references {
            let share = weight(reference.value.weight.as_ref(), reference.span.or(place), context);
            let resolved = self.backend(by, reference, context);
            reasons.extend(resolved.reason);
            let own = Referrer { place: reference.span.or(place), ..by };
            let own = self.filters(own, reference.value.filters.as_deref(), context);
            reasons.extend(&own.reasons);
            replaces_prefix |= own.replaces_prefix;
            backend_checks.extend(own.checks.iter().cloned());
            backends.push((resolved.target, share, own));
        }
        let matches = if written.matches.is_empty() { vec![Lowered::everything(any())] } else { written.matches };
        if replaces_prefix && (matches.len() != 1 || matches.iter().any(|found| found.prefix.is_none())) {
            let problem =
                Diagnostic::error("GW-10", place, "`ReplacePrefixMatch` in a rule without exactly one prefix");
            context.report(problem.help("give the rule one match, of the type PathPrefix"));
        }
        let mut checks = effects.checks.clone();
        checks.extend(backend_checks);
        let matches = matches.into_iter().map(|found| RouteMatch {
            then: action(&effects, &backends, found.prefix.as_ref()),
            target: found.target,
            method: found.method,
            headers: found.headers,
            query: found.query,
        });
        let name = text(written.name).cloned();
        GatewayRule { name, matches: matches.collect(), checks, span: written.span }
    }
}

/// What becomes of a request that came by this prefix.
fn action(effects: &Effects, backends: &[(BackendTarget, u32, Effects)], prefix: Option<&Name>) -> Action {
    let path = |path: &Option<PathRewrite>| match (path, prefix) {
        (Some(PathRewrite::Prefix { replacement, .. }), Some(prefix)) => {
            let (matched, replacement) = (prefix.clone(), replacement.clone());
            Some(PathRewrite::Prefix { matched, replacement })
        }
        (path, _) => path.clone(),
    };
    let placed = |rewrite: &Rewrite| Rewrite { path: path(&rewrite.path), ..rewrite.clone() };
    let instead = |action: &Action| match action {
        Action::Redirect(redirect) => {
            let mut redirect = redirect.clone();
            redirect.path = path(&redirect.path);
            Action::Redirect(redirect)
        }
        other => other.clone(),
    };
    if let Some(found) = &effects.instead {
        return instead(found);
    }
    // GW-9: a weight of 0 takes nothing; who has nothing to forward to says so.
    let used: Vec<_> = backends.iter().filter(|(_, share, _)| *share > 0).collect();
    if let [(_, _, own)] = used.as_slice()
        && let Some(found) = &own.instead
    {
        return instead(found);
    }
    if used.is_empty() {
        return Action::Answer { status: 500, why: Name::from("the rule has no backend") };
    }
    let mut mirrors = effects.mirrors.clone();
    let backends = used.into_iter().map(|(target, share, own)| {
        mirrors.extend(own.mirrors.iter().cloned());
        let target = match &own.instead {
            Some(Action::Redirect(redirect)) => answered(redirect.status, "a filter of the backend redirects"),
            Some(Action::Answer { status, why }) => answered(*status, why),
            _ => target.clone(),
        };
        Backend { target, weight: *share, rewrite: placed(&own.rewrite) }
    });
    let backends = backends.collect();
    Action::Forward { backends, mirrors, rewrite: placed(&effects.rewrite) }
}

fn answered(status: u16, why: &str) -> BackendTarget {
    BackendTarget::Invalid { status, rule: "GW-10", why: Name::from(why) }
}
