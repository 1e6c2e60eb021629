//! Label selectors: validation and the form that evaluators use (NP-11, NP-31).

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::model::{Name, Operator, Requirement, Selector};
use crate::snapshot::{LabelSelector, SelectorRequirement};
use crate::source::{Span, Spanned};

/// Lowers a selector. Requirements that the API server would refuse are reported and left out; `place` is where the
/// selector is, for parts that have no place of their own.
pub(super) fn selector(written: &LabelSelector, place: Option<Span>, context: &mut Context) -> Selector {
    let mut requirements = Vec::new();
    for (key, value) in written.match_labels.iter().flatten() {
        let key_is_good = check_key(key, value.span.or(place), context);
        if check_value(value, place, context) && key_is_good {
            let operator = Operator::In(vec![context.name(&value.value)]);
            requirements.push(Requirement { key: context.name(key), operator });
        }
    }
    for requirement in written.match_expressions.iter().flatten() {
        requirements.extend(expression(requirement, place, context));
    }
    Selector::new(requirements)
}

fn expression(
    written: &Spanned<SelectorRequirement>,
    place: Option<Span>,
    context: &mut Context,
) -> Option<Requirement> {
    let place = written.span.or(place);
    let key = match &written.value.key {
        Some(key) => check_key(&key.value, key.span.or(place), context).then(|| context.name(&key.value)),
        None => {
            context.report(Diagnostic::error("NP-31", place, "a selector expression has no `key`"));
            None
        }
    };
    let values = written.value.values.as_deref().unwrap_or_default();
    let mut good = true;
    for value in values {
        good &= check_value(value, place, context);
    }
    let operator = operator(written, values, place, context);
    Some(Requirement { key: key?, operator: operator.filter(|_| good)? })
}

fn operator(
    written: &Spanned<SelectorRequirement>,
    values: &[Spanned<Name>],
    place: Option<Span>,
    context: &mut Context,
) -> Option<Operator> {
    const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];
    let Some(operator) = &written.value.operator else {
        let help = format!("the operators are {}", OPERATORS.join(", "));
        context.report(Diagnostic::error("NP-31", place, "a selector expression has no `operator`").help(help));
        return None;
    };
    let span = operator.span.or(place);
    let name = &*operator.value;
    if !OPERATORS.contains(&name) {
        let near = OPERATORS.into_iter().find(|known| known.eq_ignore_ascii_case(name));
        let help = match near {
            Some(near) => format!("write `{near}`"),
            None => format!("the operators are {}", OPERATORS.join(", ")),
        };
        context.report(Diagnostic::error("NP-31", span, format!("`{name}` is not a selector operator")).help(help));
        return None;
    }
    let wants_values = matches!(name, "In" | "NotIn");
    if wants_values && values.is_empty() {
        let message = format!("`{name}` needs at least one value");
        context.report(Diagnostic::error("NP-31", span, message).help("list the values under `values`"));
        return None;
    }
    if let (false, Some(first)) = (wants_values, values.first()) {
        let message = format!("`{name}` takes no values");
        let help = "remove `values`, or use `In` or `NotIn`";
        context.report(Diagnostic::error("NP-31", first.span.or(span), message).help(help));
        return None;
    }
    let mut sorted: Vec<Name> = values.iter().map(|value| context.name(&value.value)).collect();
    sorted.sort_unstable();
    sorted.dedup();
    Some(match name {
        "In" => Operator::In(sorted),
        "NotIn" => Operator::NotIn(sorted),
        "Exists" => Operator::Exists,
        _ => Operator::DoesNotExist,
    })
}

fn check_key(key: &str, span: Option<Span>, context: &mut Context) -> bool {
    let problem = bad_key(key);
    if let Some(problem) = problem {
        let message = format!("`{key}` is not a label key");
        let help = "a key is a name of at most 63 letters, digits, `-`, `_` and `.`, with an optional DNS name and `/` before it";
        context.report(Diagnostic::error("NP-31", span, message).label(problem).help(help));
    }
    problem.is_none()
}

fn check_value(value: &Spanned<Name>, place: Option<Span>, context: &mut Context) -> bool {
    let problem = bad_value(&value.value);
    if let Some(problem) = problem {
        let message = format!("`{}` is not a label value", value.value);
        let help =
            "a value is empty, or at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
        context.report(Diagnostic::error("NP-31", value.span.or(place), message).label(problem).help(help));
    }
    problem.is_none()
}

/// What keeps a text from being a qualified name, which label keys are.
fn bad_key(key: &str) -> Option<&'static str> {
    let name = match key.split_once('/') {
        None => key,
        Some((prefix, name)) => {
            if !is_dns_subdomain(prefix) {
                return Some("the part before `/` is not a DNS name");
            }
            name
        }
    };
    if name.is_empty() { Some("the name is empty") } else { bad_value(name) }
}

/// What keeps a text from being a label value.
fn bad_value(value: &str) -> Option<&'static str> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    if bytes.len() > 63 {
        Some("it is longer than 63 characters")
    } else if !bytes.iter().all(|byte| inside(*byte)) {
        Some("only letters, digits, `-`, `_` and `.` are allowed")
    } else if !end(bytes.first()) || !end(bytes.last()) {
        Some("it must begin and end with a letter or digit")
    } else {
        None
    }
}

fn is_dns_subdomain(text: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let end = |byte: Option<&u8>| byte.is_some_and(|byte| lower(*byte));
        end(bytes.first()) && end(bytes.last()) && bytes.iter().all(|byte| lower(*byte) || *byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::testing::{errors, match_expression, match_labels};

    fn lowered(written: &LabelSelector) -> (String, Vec<String>) {
        let mut context = Context::default();
        let selector = selector(written, None, &mut context);
        (selector.to_string(), errors(&context.into_diagnostics()))
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        // NP-11
        assert_eq!(lowered(&LabelSelector::default()), ("{}".to_owned(), Vec::new()));
    }

    #[test]
    fn labels_and_expressions_are_all_required() {
        // NP-11
        let mut written = match_labels([("app", "web")]);
        written.match_expressions = Some(vec![
            match_expression("team", "In", &["b", "a", "b"]),
            match_expression("tier", "NotIn", &["c"]),
            match_expression("x", "Exists", &[]),
            match_expression("example.com/y", "DoesNotExist", &[]),
        ]);
        let expected = "app=web,!example.com/y,team in (a,b),tier notin (c),x";
        assert_eq!(lowered(&written), (expected.to_owned(), Vec::new()));
    }

    #[test]
    fn bad_expressions_are_refused() {
        // NP-31
        let cases = [
            (match_expression("a", "in", &["x"]), "NP-31: `in` is not a selector operator"),
            (match_expression("a", "Gt", &["1"]), "NP-31: `Gt` is not a selector operator"),
            (match_expression("a", "In", &[]), "NP-31: `In` needs at least one value"),
            (match_expression("a", "NotIn", &[]), "NP-31: `NotIn` needs at least one value"),
            (match_expression("a", "Exists", &["x"]), "NP-31: `Exists` takes no values"),
            (match_expression("a", "DoesNotExist", &[""]), "NP-31: `DoesNotExist` takes no values"),
            (match_expression("a b", "Exists", &[]), "NP-31: `a b` is not a label key"),
            (match_expression("a", "In", &["x", "-y"]), "NP-31: `-y` is not a label value"),
        ];
        for (expression, expected) in cases {
            let written = LabelSelector { match_labels: None, match_expressions: Some(vec![expression]) };
            assert_eq!(lowered(&written), ("{}".to_owned(), vec![expected.to_owned()]));
        }
    }

    #[test]
    fn an_expression_needs_a_key_and_an_operator() {
        // NP-31
        let empty = Spanned::nowhere(SelectorRequirement::default());
        let (_, found) = lowered(&LabelSelector { match_labels: None, match_expressions: Some(vec![empty]) });
        assert_eq!(
            found,
            ["NP-31: a selector expression has no `key`", "NP-31: a selector expression has no `operator`"]
        );
    }

    #[test]
    fn keys_are_qualified_names() {
        // NP-31
        let long = "a".repeat(64);
        for bad in ["", "/", "a/", "/a", "A.b/c", "a/b/c", "-a", "a-", "ä", "a b", "a..b/c", long.as_str()] {
            let (_, found) = lowered(&match_labels([(bad, "x")]));
            assert_eq!(found, [format!("NP-31: `{bad}` is not a label key")]);
        }
        for good in ["a", "A_b.c-1", "example.com/a", "kubernetes.io/metadata.name", "0"] {
            assert_eq!(lowered(&match_labels([(good, "x")])).1, Vec::<String>::new());
        }
    }

    #[test]
    fn values_are_label_values() {
        // NP-31
        let long = "a".repeat(64);
        for bad in ["a b", ".a", "a_", "ä", "a/b", long.as_str()] {
            let (_, found) = lowered(&match_labels([("a", bad)]));
            assert_eq!(found, [format!("NP-31: `{bad}` is not a label value")]);
        }
        for good in ["", "a", "A_b.c-1", "0"] {
            assert_eq!(lowered(&match_labels([("a", good)])).1, Vec::<String>::new());
        }
    }
}
