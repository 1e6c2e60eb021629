//! Matches: which requests a rule takes (GW-6, GW-8).

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::lower::gateway::names::{required, text, text_or};
use crate::model::Name;
use crate::model::gateway::MatchTarget;
use crate::model::http::{HttpRegex, PathMatch, ValueMatch};
use crate::snapshot::gateway::{GrpcRouteMatch, HttpRouteMatch, NamedValue, PathValue};
use crate::source::{Span, Spanned};

/// What a match says, and the prefix that it names if it names one.
pub(super) struct Lowered {
    pub(super) target: MatchTarget,
    pub(super) prefix: Option<Name>,
    pub(super) method: Option<Name>,
    pub(super) headers: Vec<(Name, ValueMatch)>,
    pub(super) query: Vec<(Name, ValueMatch)>,
}

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

impl Lowered {
    /// The match that a rule without matches has.
    pub(super) fn everything(target: MatchTarget) -> Self {
        let prefix = matches!(target, MatchTarget::Path(_)).then(|| Name::from("/"));
        Self { target, prefix, method: None, headers: Vec::new(), query: Vec::new() }
    }
}

/// Every path.
pub(super) fn any_path() -> MatchTarget {
    MatchTarget::Path(PathMatch::elements("/"))
}

/// Lowers a match of an HTTPRoute.
pub(super) fn http(written: &Spanned<HttpRouteMatch>, place: Option<Span>, context: &mut Context) -> Lowered {
    let place = written.span.or(place);
    let written = &written.value;
    let method = text(written.method.as_ref());
    if let Some(wrong) = method.filter(|method| !METHODS.contains(&&***method)) {
        let span = written.method.as_ref().and_then(|method| method.span).or(place);
        let help = match METHODS.into_iter().find(|known| known.eq_ignore_ascii_case(wrong)) {
            Some(known) => format!("write `{known}`"),
            None => format!("the methods are {}", METHODS.join(", ")),
        };
        context.report(Diagnostic::error("GW-6", span, format!("`{wrong}` is not a method")).help(help));
    }
    let (path, prefix) = match &written.path {
        Some(path) => self::path(&path.value, path.span.or(place), context),
        None => (PathMatch::elements("/"), Some(Name::from("/"))),
    };
    Lowered {
        target: MatchTarget::Path(path),
        prefix,
        method: method.cloned(),
        headers: values("header", written.headers.as_deref(), true, place, context),
        query: values("query parameter", written.query_params.as_deref(), false, place, context),
    }
}

fn path(written: &PathValue, place: Option<Span>, context: &mut Context) -> (PathMatch, Option<Name>) {
    let span = written.value.as_ref().and_then(|value| value.span).or(place);
    let value = text_or(written.value.as_ref(), "/");
    let kind = text_or(written.r#type.as_ref(), "PathPrefix");
    let name = context.name(&Name::from(value));
    match kind {
        "Exact" | "PathPrefix" => {
            let lower = value.to_ascii_lowercase();
            let problem = if !value.starts_with('/') {
                Some("a path begins with `/`")
            } else if ["//", "/./", "/../", "%2f", "#"].iter().any(|part| lower.contains(part)) {
                Some("a path has no `//`, `/./`, `/../`, `%2f` or `#`")
            } else if ["/.", "/.."].iter().any(|end| value.ends_with(end)) {
                Some("a path does not end with `/.` or `/..`")
            } else if value.len() > 1024 {
                Some("a path has at most 1024 characters")
            } else {
                None
            };
            if let Some(help) = problem {
                let message = format!("`{value}` is no path to compare with");
                context.report(Diagnostic::error("GW-6", span, message).help(help));
            }
            if kind == "Exact" { (PathMatch::Exact(name), None) } else { (PathMatch::elements(value), Some(name)) }
        }
        "RegularExpression" => {
            warn_of_expression(value, span, context);
            (PathMatch::Regex(HttpRegex::open(value)), None)
        }
        other => {
            let at = written.r#type.as_ref().and_then(|kind| kind.span).or(place);
            let problem = Diagnostic::error("GW-6", at, format!("`{other}` is no type of path"));
            context.report(problem.help("the types are Exact, PathPrefix, RegularExpression"));
            (PathMatch::elements("/"), None)
        }
    }
}

/// GW-6: nobody defines what an expression means.
fn warn_of_expression(expression: &str, span: Option<Span>, context: &mut Context) {
    if HttpRegex::open(expression).matches("").is_none() && HttpRegex::open(expression).matches("\u{1}").is_none() {
        let message = format!("the expression `{expression}` cannot be decided");
        let help = "answers that depend on it are undefined; use an expression without look-around and references";
        context.report(Diagnostic::warning("GW-6", span, message).help(help));
    }
}

/// Headers or query parameters: of equal names the first one counts.
fn values(
    what: &str,
    written: Option<&[Spanned<NamedValue>]>,
    ignore_case: bool,
    place: Option<Span>,
    context: &mut Context,
) -> Vec<(Name, ValueMatch)> {
    let mut found: Vec<(Name, ValueMatch)> = Vec::new();
    for entry in written.unwrap_or_default() {
        let at = entry.span.or(place);
        let name = required("GW-6", "name", entry.value.name.as_ref(), at, context);
        let value = required("GW-6", "value", entry.value.value.as_ref(), at, context);
        let (Some(name), Some(value)) = (name, value) else { continue };
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.value.is_empty() || !name.value.bytes().all(is_token) {
            let problem =
                Diagnostic::error("GW-6", name.span.or(at), format!("`{}` is no name of a {what}", name.value));
            context.report(problem);
        }
        let Some(wanted) = value_match(entry.value.r#type.as_ref(), value, at, context) else { continue };
        let lower = if ignore_case { name.value.to_ascii_lowercase() } else { name.value.to_string() };
        if found.iter().any(|(known, _)| **known == *lower) {
            let problem = Diagnostic::warning("GW-6", name.span.or(at), format!("`{}` stands here twice", name.value));
            context.report(problem.help("the first one counts"));
        } else {
            found.push((context.name(&Name::from(lower)), wanted));
        }
    }
    found.sort();
    found
}

fn value_match(
    kind: Option<&Spanned<Name>>,
    value: &Spanned<Name>,
    place: Option<Span>,
    context: &mut Context,
) -> Option<ValueMatch> {
    match text_or(kind, "Exact") {
        "Exact" => Some(ValueMatch::Exact(context.name(&value.value))),
        "RegularExpression" => {
            warn_of_expression(&value.value, value.span.or(place), context);
            Some(ValueMatch::Regex(HttpRegex::open(&value.value)))
        }
        other => {
            let at = kind.and_then(|kind| kind.span).or(place);
            let problem = Diagnostic::error("GW-6", at, format!("`{other}` is no type of match"));
            context.report(problem.help("the types are Exact, RegularExpression"));
            None
        }
    }
}

/// Lowers a match of a GRPCRoute.
pub(super) fn grpc(written: &Spanned<GrpcRouteMatch>, place: Option<Span>, context: &mut Context) -> Lowered {
    let place = written.span.or(place);
    let written = &written.value;
    let (mut service, mut method) = (None, None);
    if let Some(written) = &written.method {
        let (at, written) = (written.span.or(place), &written.value);
        let is_given = |part: Option<&Spanned<Name>>| text(part).is_some();
        if !is_given(written.service.as_ref()) && !is_given(written.method.as_ref()) {
            let problem = Diagnostic::error("GW-8", at, "a method match needs `service` or `method`");
            context.report(problem.help("write one of them, or leave out `method` altogether"));
        }
        let is_exact = text_or(written.r#type.as_ref(), "Exact") == "Exact";
        for (part, into, dots) in [(&written.service, &mut service, true), (&written.method, &mut method, false)] {
            let Some(part) = part.as_ref().filter(|part| !part.value.is_empty()) else { continue };
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || dots && byte == b'.';
            if is_exact && !part.value.bytes().all(is_word) {
                let message = format!("`{}` is no name of a service or method", part.value);
                context.report(Diagnostic::error("GW-8", part.span.or(at), message));
            }
            *into = value_match(written.r#type.as_ref(), part, at, context);
        }
    }
    Lowered {
        target: MatchTarget::Method { service, method },
        prefix: None,
        method: None,
        headers: values("header", written.headers.as_deref(), true, place, context),
        query: Vec::new(),
    }
}
