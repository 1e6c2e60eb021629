//! Filters: what becomes of a request on its way to a backend, or instead of one (GW-10).

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::lower::gateway::World;
use crate::lower::gateway::backends::Referrer;
use crate::lower::gateway::names::{hostname, port, required, text, text_or};
use crate::model::Name;
use crate::model::gateway::RouteKind;
use crate::model::http::{Action, Backend, BackendTarget, Check, HostMatch, PathRewrite, Redirect, Rewrite};
use crate::snapshot::gateway::{HeaderModifier, PathModifier, RequestMirror, RequestRedirect, RouteFilter, UrlRewrite};
use crate::source::{Span, Spanned};

/// What the filters of a rule or of one backend do.
#[derive(Default)]
pub(super) struct Effects {
    /// What a request must pass.
    pub(super) checks: Vec<Check>,
    /// What the backend sees; the prefix that a path rewrite replaces is that of the match.
    pub(super) rewrite: Rewrite,
    /// Who gets a copy.
    pub(super) mirrors: Vec<Backend>,
    /// What happens instead of forwarding.
    pub(super) instead: Option<Action>,
    /// Whether the part of the path that matched is replaced.
    pub(super) replaces_prefix: bool,
    /// Why references could not be resolved.
    pub(super) reasons: Vec<&'static str>,
}

/// The filters that may stand in a list once only.
const ONCE: [&str; 6] =
    ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS", "ExternalAuth"];

impl World<'_> {
    /// Lowers a list of filters.
    pub(super) fn filters(
        &self,
        by: Referrer<'_>,
        filters: Option<&[Spanned<RouteFilter>]>,
        context: &mut Context,
    ) -> Effects {
        let mut effects = Effects::default();
        let mut seen = BTreeSet::new();
        for written in filters.unwrap_or_default() {
            let place = written.span.or(by.place);
            let Some(kind) = required("GW-10", "type", written.value.r#type.as_ref(), place, context) else { continue };
            let at = kind.span.or(place);
            let is_first = seen.insert(&*kind.value);
            if ONCE.contains(&&*kind.value) && !is_first {
                let problem = Diagnostic::error("GW-10", at, format!("a second filter `{}` in one list", kind.value));
                context.report(problem.help("put the two together"));
            }
            let by = Referrer { place, ..by };
            self.filter(by, &written.value, &kind.value, at, &mut effects, context);
        }
        if seen.contains("RequestRedirect") && seen.contains("URLRewrite") {
            let problem = Diagnostic::error("GW-10", by.place, "`RequestRedirect` and `URLRewrite` in one list");
            context.report(problem.help("a request is either redirected or forwarded: keep one of the two"));
        }
        effects
    }

    fn filter(
        &self,
        by: Referrer<'_>,
        filter: &RouteFilter,
        kind: &str,
        at: Option<Span>,
        effects: &mut Effects,
        context: &mut Context,
    ) {
        let only_http = !matches!(
            kind,
            "RequestHeaderModifier" | "ResponseHeaderModifier" | "RequestMirror" | "ExtensionRef" | "ExternalAuth"
        );
        if only_http && by.kind != RouteKind::Http {
            let problem = Diagnostic::error("GW-10", at, format!("`{kind}` is no filter of a {}", by.kind));
            context.report(problem);
            return;
        }
        let known = match kind {
            "RequestHeaderModifier" => filter
                .request_header_modifier
                .as_ref()
                .map(|written| modify(written, &mut effects.rewrite, at, context)),
            "ResponseHeaderModifier" => filter.response_header_modifier.as_ref().map(|written| {
                // It changes nothing about who is reached; it is read for its faults.
                modify(written, &mut Rewrite::default(), at, context);
            }),
            "RequestMirror" => {
                filter.request_mirror.as_ref().map(|written| self.mirror(by, written, at, effects, context))
            }
            "RequestRedirect" => filter.request_redirect.as_ref().map(|written| {
                let redirect = redirect(written, at, context);
                effects.replaces_prefix |= matches!(redirect.path, Some(PathRewrite::Prefix { .. }));
                effects.instead = Some(Action::Redirect(redirect));
            }),
            "URLRewrite" => filter.url_rewrite.as_ref().map(|written| {
                rewrite(written, &mut effects.rewrite, at, context);
                effects.replaces_prefix |= matches!(effects.rewrite.path, Some(PathRewrite::Prefix { .. }));
            }),
            // What browsers may read of a response is their business; requests are forwarded.
            "CORS" => filter.cors.as_ref().map(|_| ()),
            "ExternalAuth" => filter.external_auth.as_ref().map(|written| {
                effects.checks.push(Check::Credential(Name::from("external authorization")));
                let Some(reference) = &written.backend_ref else { return };
                let resolved = self.backend(by, reference, context);
                effects.reasons.extend(resolved.reason);
                if let BackendTarget::Invalid { status, why, .. } = resolved.target {
                    effects.instead = Some(Action::Answer { status, why });
                }
            }),
            "DirectResponse" => filter.direct_response.as_ref().map(|written| {
                let code = written.status_code.as_ref();
                let status = code.map(|code| u16::try_from(code.value).ok().filter(|code| (200..600).contains(code)));
                if status == Some(None) {
                    context.report(Diagnostic::error(
                        "GW-10",
                        code.and_then(|code| code.span).or(at),
                        "no HTTP status",
                    ));
                }
                let status = status.flatten().unwrap_or(200);
                effects.instead = Some(Action::Answer { status, why: Name::from("a filter answers") });
            }),
            "ExtensionRef" => filter.extension_ref.as_ref().map(|written| {
                let name = format!("{} {}", text_or(written.kind.as_ref(), ""), text_or(written.name.as_ref(), ""));
                effects.checks.push(Check::Credential(Name::from(name)));
            }),
            _ => {
                let problem = Diagnostic::error("GW-10", at, format!("`{kind}` is no filter"));
                context.report(problem.help("look at the documentation of HTTPRoute for the types of filters"));
                return;
            }
        };
        if known.is_none() {
            let message = format!("a filter of the type `{kind}` without the field of that name");
            context.report(Diagnostic::error("GW-10", at, message));
        }
    }

    fn mirror(
        &self,
        by: Referrer<'_>,
        written: &RequestMirror,
        at: Option<Span>,
        effects: &mut Effects,
        context: &mut Context,
    ) {
        if written.percent.is_some() && written.fraction.is_some() {
            let problem = Diagnostic::error("GW-10", at, "`percent` and `fraction` in one mirror");
            context.report(problem.help("keep one of them"));
        }
        let percent = written.percent.as_ref();
        if let Some(wrong) = percent.filter(|percent| !(0..=100).contains(&percent.value)) {
            let message = format!("`{}` is no percentage", wrong.value);
            context.report(Diagnostic::error("GW-10", wrong.span.or(at), message).help("write 0 to 100"));
        }
        let fraction = written.fraction.as_ref();
        if let Some(fraction) = fraction {
            let (numerator, denominator) =
                (fraction.value.numerator.unwrap_or(0), fraction.value.denominator.unwrap_or(100));
            if numerator < 0 || denominator < 1 || numerator > denominator {
                let problem = Diagnostic::error("GW-10", fraction.span.or(at), "no fraction");
                context.report(problem.help("`numerator` is 0 to `denominator`, which is 1 or more"));
            }
        }
        let none = percent.is_some_and(|percent| percent.value == 0)
            || fraction.is_some_and(|fraction| fraction.value.numerator.unwrap_or(0) == 0);
        let Some(reference) = required("GW-10", "backendRef", written.backend_ref.as_ref(), at, context) else {
            return;
        };
        let resolved = self.backend(by, reference, context);
        effects.reasons.extend(resolved.reason);
        if !none && matches!(resolved.target, BackendTarget::Service { .. }) {
            effects.mirrors.push(Backend { target: resolved.target, weight: 1, rewrite: Rewrite::default() });
        }
    }
}

fn modify(written: &HeaderModifier, rewrite: &mut Rewrite, at: Option<Span>, context: &mut Context) {
    let mut seen = BTreeSet::new();
    for (list, into) in [(&written.set, &mut rewrite.set_headers), (&written.add, &mut rewrite.add_headers)] {
        for entry in list.iter().flatten() {
            let Some(name) = required("GW-10", "name", entry.value.name.as_ref(), entry.span.or(at), context) else {
                continue;
            };
            let lower = Name::from(name.value.to_ascii_lowercase());
            // Of equal names the first one counts.
            if seen.insert(lower.clone()) {
                into.push((lower, text(entry.value.value.as_ref()).cloned().unwrap_or_else(|| Name::from(""))));
            }
        }
    }
    for name in written.remove.iter().flatten() {
        let lower = Name::from(name.value.to_ascii_lowercase());
        if seen.insert(lower.clone()) {
            rewrite.remove_headers.push(lower);
        }
    }
}

fn redirect(written: &RequestRedirect, at: Option<Span>, context: &mut Context) -> Redirect {
    let scheme = text(written.scheme.as_ref());
    if let Some(wrong) = scheme.filter(|scheme| !matches!(&***scheme, "http" | "https")) {
        let message = format!("`{wrong}` is no scheme for a redirect");
        let span = written.scheme.as_ref().and_then(|scheme| scheme.span);
        context.report(Diagnostic::error("GW-10", span.or(at), message).help("write `http` or `https`"));
    }
    let code = written.status_code.as_ref();
    let status = code.map_or(Some(302), |code| u16::try_from(code.value).ok());
    let status = status.filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308));
    if status.is_none() {
        let span = code.and_then(|code| code.span).or(at);
        let problem = Diagnostic::error("GW-10", span, "this status is no redirect");
        context.report(problem.help("write 301, 302, 303, 307 or 308"));
    }
    Redirect {
        scheme: scheme.cloned(),
        host: written.hostname.as_ref().and_then(|written| precise(written, at, context)),
        port: written.port.as_ref().and_then(|written| port("GW-10", written, at, context)),
        path: written.path.as_ref().and_then(|written| path(&written.value, written.span.or(at), context)),
        status: status.unwrap_or(302),
    }
}

fn rewrite(written: &UrlRewrite, rewrite: &mut Rewrite, at: Option<Span>, context: &mut Context) {
    rewrite.host = written.hostname.as_ref().and_then(|written| precise(written, at, context));
    rewrite.path = written.path.as_ref().and_then(|written| path(&written.value, written.span.or(at), context));
}

fn precise(written: &Spanned<Name>, at: Option<Span>, context: &mut Context) -> Option<Name> {
    match hostname("GW-10", written, false, at, context)? {
        HostMatch::Exact(name) => Some(name),
        _ => None,
    }
}

fn path(written: &PathModifier, at: Option<Span>, context: &mut Context) -> Option<PathRewrite> {
    let kind = required("GW-10", "type", written.r#type.as_ref(), at, context)?;
    let (full, prefix) = (&written.replace_full_path, &written.replace_prefix_match);
    let value = |text: &Spanned<Name>| text.value.clone();
    let found = match &*kind.value {
        "ReplaceFullPath" if prefix.is_none() => full.as_ref().map(value).map(PathRewrite::Full),
        "ReplacePrefixMatch" if full.is_none() => {
            let replaced = |replacement| PathRewrite::Prefix { matched: Name::from(""), replacement };
            prefix.as_ref().map(value).map(replaced)
        }
        _ => None,
    };
    if found.is_none() {
        let message = format!("`path` of the type `{}` without what stands for it alone", kind.value);
        let help = "`ReplaceFullPath` goes with `replaceFullPath`, `ReplacePrefixMatch` with `replacePrefixMatch`";
        context.report(Diagnostic::error("GW-10", kind.span.or(at), message).help(help));
    }
    found
}
