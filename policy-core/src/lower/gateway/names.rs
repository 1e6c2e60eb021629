//! Names, host names and numbers as the definitions of the Gateway API want them.

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::model::Name;
use crate::model::http::HostMatch;
use crate::source::{Span, Spanned};

/// A text that was written, if it is not empty.
pub(super) fn text(written: Option<&Spanned<Name>>) -> Option<&Name> {
    written.map(|written| &written.value).filter(|text| !text.is_empty())
}

/// A text, or what the API has when it is left out.
pub(super) fn text_or<'a>(written: Option<&'a Spanned<Name>>, default: &'a str) -> &'a str {
    written.map_or(default, |written| &written.value)
}

/// Something that must not be missing.
pub(super) fn required<'a, T>(
    rule: &'static str,
    what: &str,
    written: Option<&'a Spanned<T>>,
    place: Option<Span>,
    context: &mut Context,
) -> Option<&'a Spanned<T>> {
    if written.is_none() {
        context.report(Diagnostic::error(rule, place, format!("`{what}` is missing")).help(format!("write `{what}`")));
    }
    written
}

/// GW-3: a host name, with `*.` before it at most.
pub(super) fn hostname(
    rule: &'static str,
    written: &Spanned<Name>,
    wildcard: bool,
    place: Option<Span>,
    context: &mut Context,
) -> Option<HostMatch> {
    let host = &*written.value;
    let suffix = host.strip_prefix("*.").filter(|_| wildcard);
    let name = suffix.unwrap_or(host);
    let problem = if name.is_empty() || name.len() > 253 {
        Some("write a host name of at most 253 characters")
    } else if host.contains('*') && suffix.is_none() || name.contains('*') {
        Some("`*` stands alone for the labels before the first dot: `*.example.com`")
    } else if host.parse::<std::net::IpAddr>().is_ok() {
        Some("a host name is no address")
    } else if !name.split('.').all(is_label) {
        Some("write labels of lower-case letters, digits and `-` with dots between them")
    } else {
        None
    };
    if let Some(help) = problem {
        let message = format!("`{host}` is not a host name");
        context.report(Diagnostic::error(rule, written.span.or(place), message).help(help));
        return None;
    }
    let name = context.name(&Name::from(name));
    Some(if suffix.is_some() { HostMatch::Labels(name) } else { HostMatch::Exact(name) })
}

fn is_label(label: &str) -> bool {
    let inner = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
}

/// A port number.
pub(super) fn port(
    rule: &'static str,
    written: &Spanned<i64>,
    place: Option<Span>,
    context: &mut Context,
) -> Option<u16> {
    let port = u16::try_from(written.value).ok().filter(|port| *port > 0);
    if port.is_none() {
        let message = format!("`{}` is not a port number", written.value);
        context.report(Diagnostic::error(rule, written.span.or(place), message).help("ports are 1 to 65535"));
    }
    port
}

/// GW-5: what two host names have in common.
pub(super) fn intersection(a: &HostMatch, b: &HostMatch) -> Option<HostMatch> {
    let below = |name: &str, suffix: &str| HostMatch::Labels(Name::from(suffix)).matches(Some(name)) == Some(true);
    match (a, b) {
        (HostMatch::Any, other) | (other, HostMatch::Any) => Some(other.clone()),
        (HostMatch::Exact(one), HostMatch::Exact(two)) => (one == two).then(|| a.clone()),
        (exact @ HostMatch::Exact(name), HostMatch::Labels(suffix))
        | (HostMatch::Labels(suffix), exact @ HostMatch::Exact(name)) => below(name, suffix).then(|| exact.clone()),
        (HostMatch::Labels(one), HostMatch::Labels(two)) => {
            if one == two || below(one, two) {
                Some(a.clone())
            } else {
                below(two, one).then(|| b.clone())
            }
        }
        _ => None,
    }
}
