//! Rules that a request passes by, and why.

use std::cmp::Reverse;

use crate::model::Name;
use crate::model::http::{Action, PathMatch, Request, RequestMatch, RouteOrigin, RouteRule, Router, ValueMatch};

/// As many are told.
const TOLD: usize = 5;

/// A rule for the same host that does not decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passed {
    /// The rule.
    pub origin: RouteOrigin,
    /// Which requests it takes.
    pub when: RequestMatch,
    /// Why it does not decide.
    pub why: Why,
}

/// Why a rule does not decide.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Why {
    /// It wants another method.
    Method,
    /// It wants something else of this header.
    Header(Name),
    /// It wants something else of this parameter.
    Query(Name),
    /// It would take the request, but another one comes first.
    Later,
    /// It wants another path.
    Path,
}

/// The rules of a host that a request passes by, the nearest first: those that lack one thing, those that come later,
/// those for other paths.
pub(super) fn passed(router: &Router, host: Option<&str>, request: &Request, chosen: &[&RouteRule]) -> Vec<Passed> {
    let mut found: Vec<((u8, Reverse<usize>, usize), Passed)> = Vec::new();
    for (at, rule) in router.rules.iter().enumerate() {
        let is_chosen = chosen.iter().any(|chosen| std::ptr::eq(*chosen, rule) || chosen.origin == rule.origin);
        let own = matches!(rule.origin.kind, "Listener" | "Controller") && !matches!(rule.then, Action::Forward { .. });
        if is_chosen || own || rule.when.host.matches(host) == Some(false) {
            continue;
        }
        let why = why(&rule.when, request);
        let near = match why {
            Why::Method | Why::Header(_) | Why::Query(_) => (0, Reverse(0)),
            Why::Later => (1, Reverse(0)),
            Why::Path => (2, Reverse(shared(&rule.when.path, &request.path))),
        };
        found.push(((near.0, near.1, at), Passed { origin: rule.origin.clone(), when: rule.when.clone(), why }));
    }
    found.sort_by_key(|(near, _)| *near);
    let mut told: Vec<Passed> = Vec::new();
    for (_, passed) in found {
        // One path of an Ingress may stand as several rules.
        if told.len() < TOLD && told.iter().all(|known| known.origin != passed.origin) {
            told.push(passed);
        }
    }
    told
}

fn why(when: &RequestMatch, request: &Request) -> Why {
    let lacks = |found: Option<&Name>, wanted: &ValueMatch| wanted.matches(found.map(|value| &**value)) == Some(false);
    if when.path.matches(&request.path) == Some(false) {
        return Why::Path;
    }
    if !when.methods.is_empty() && !when.methods.contains(&request.method) {
        return Why::Method;
    }
    if let Some((name, _)) = when.headers.iter().find(|(name, wanted)| lacks(request.header(name), wanted)) {
        return Why::Header(name.clone());
    }
    if let Some((name, _)) = when.query.iter().find(|(name, wanted)| lacks(request.parameter(name), wanted)) {
        return Why::Query(name.clone());
    }
    Why::Later
}

/// How many characters the path of a rule and that of a request begin with in common.
fn shared(wanted: &PathMatch, path: &str) -> usize {
    let written: &str = match wanted {
        PathMatch::Any => "",
        PathMatch::Exact(path) | PathMatch::Elements(path) | PathMatch::Characters(path) => path,
        PathMatch::Regex(regex) => regex.written().trim_start_matches('^'),
    };
    written.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count()
}
