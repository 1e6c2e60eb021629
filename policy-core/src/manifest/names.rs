//! Names of objects and namespaces (IN-15).

use crate::diagnostic::Diagnostic;
use crate::snapshot::ObjectMeta;

use super::findings::Text;
use super::kinds::Model;
use super::object::Head;
use super::tree::{Node, Value};

/// Why a text is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Over the limit of so many characters.
    TooLong(usize),
    /// Characters that a name cannot have.
    Characters,
    /// What cannot be a segment of a path.
    Segment,
}

/// A DNS-1123 label: at most 63 of `a-z`, `0-9`, `-`, with no `-` at the ends.
pub(crate) fn label(text: &str) -> Result<(), Fault> {
    if text.len() > 63 {
        return Err(Fault::TooLong(63));
    }
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let valid = inner && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-');
    if valid { Ok(()) } else { Err(Fault::Characters) }
}

/// A DNS-1123 subdomain: labels of any length with dots between, at most 253 characters.
pub(crate) fn subdomain(text: &str) -> Result<(), Fault> {
    if text.len() > 253 {
        return Err(Fault::TooLong(253));
    }
    let part = |part: &str| {
        let inner = part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        inner && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    if text.split('.').all(part) { Ok(()) } else { Err(Fault::Characters) }
}

/// A segment of a path: no `/`, no `%`, and neither `.` nor `..`.
fn segment(text: &str) -> Result<(), Fault> {
    let valid = !text.is_empty() && !text.contains(['/', '%']) && !matches!(text, "." | "..");
    if valid { Ok(()) } else { Err(Fault::Segment) }
}

/// IN-15
pub(crate) fn check(
    text: Text<'_>,
    node: &Node<'_>,
    head: &Head,
    metadata: &ObjectMeta,
    model: Model,
) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let place = |path: &[&str]| node.at(path).map(|node| text.node(node)).or(head.kind.span);
    let rule = match model {
        Model::Namespace => label,
        // `system:node` is a good name for a role, for an account it is not.
        _ if model.is_access() && model != Model::ServiceAccount => segment,
        _ => subdomain,
    };
    match (metadata.name.as_deref(), metadata.generate_name.as_deref()) {
        (None | Some(""), None | Some("")) => {
            // A name of the wrong type has been reported already.
            let written =
                node.at(&["metadata", "name"]).is_some_and(|name| !matches!(&name.value, Value::Null | Value::Str(_)));
            if !written {
                let problem = Diagnostic::error("IN-15", head.kind.span, format!("this {} has no name", model.kind()))
                    .help("give it a `metadata.name`");
                problems.push(problem);
            }
        }
        (Some(name), _) if !name.is_empty() => {
            problems.extend(fault(name, rule(name), "name", place(&["metadata", "name"])))
        }
        (_, generated) => {
            let prefix = generated.unwrap_or_default();
            // The server appends characters, so a `-` or `.` at the end is fine.
            let checked = rule(prefix.strip_suffix(['-', '.']).unwrap_or(prefix));
            problems.extend(fault(prefix, checked, "name", place(&["metadata", "generateName"])));
        }
    }
    let namespace = metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty() && model.is_namespaced());
    if let Some(namespace) = namespace {
        problems.extend(fault(namespace, label(namespace), "namespace", place(&["metadata", "namespace"])));
    }
    problems
}

fn fault(
    written: &str,
    checked: Result<(), Fault>,
    what: &str,
    place: Option<crate::source::Span>,
) -> Option<Diagnostic> {
    // IN-10
    if written.contains("{{") {
        let problem = Diagnostic::error("IN-10", place, format!("the {what} is a template: `{written}`"))
            .help("render the template first (`helm template …`), then read what it makes");
        return Some(problem);
    }
    let problem = match checked.err()? {
        Fault::TooLong(limit) => {
            Diagnostic::warning("IN-15", place, format!("the {what} is longer than {limit} characters"))
        }
        Fault::Segment => Diagnostic::warning("IN-15", place, format!("`{written}` is not a {what}"))
            .help(format!("a {what} has no `/` and no `%`, and is neither `.` nor `..`")),
        Fault::Characters => Diagnostic::warning("IN-15", place, format!("`{written}` is not a {what}"))
            .help(format!("a {what} has lower-case letters, digits and `-`, and ends in a letter or digit")),
    };
    Some(problem)
}
