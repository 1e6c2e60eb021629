//! Which matches may take a request in common: a quick test that never misses one.

use std::collections::BTreeMap;

use crate::model::Name;
use crate::model::http::{HostMatch, PathMatch, RequestMatch, RouteRule, ValueMatch};

/// Rules by their hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: BTreeMap<Name, Vec<usize>>,
    others: Vec<(usize, HostMatch)>,
    count: usize,
}

impl Hosts {
    pub(super) fn new<'a>(rules: impl IntoIterator<Item = &'a RouteRule>) -> Self {
        let mut hosts = Self::default();
        for (at, rule) in rules.into_iter().enumerate() {
            match &rule.when.host {
                HostMatch::Exact(name) => hosts.exact.entry(name.clone()).or_default().push(at),
                other => hosts.others.push((at, other.clone())),
            }
            hosts.count = at + 1;
        }
        hosts
    }

    /// The positions of all rules that may take a host of `host`, ascending.
    pub(super) fn near(&self, host: &HostMatch) -> impl Iterator<Item = usize> {
        let mut found: Vec<usize> = match host {
            HostMatch::Exact(name) => {
                let others = self.others.iter().filter(|(_, other)| hosts_overlap(host, other)).map(|(at, _)| *at);
                self.exact.get(name).into_iter().flatten().copied().chain(others).collect()
            }
            _ => (0..self.count).collect(),
        };
        found.sort_unstable();
        found.into_iter()
    }
}

/// Whether two matches may take a request in common. `true` where only an automaton could tell.
pub(super) fn overlap(one: &RequestMatch, other: &RequestMatch) -> bool {
    let methods = || {
        one.methods.is_empty()
            || other.methods.is_empty()
            || one.methods.iter().any(|method| other.methods.contains(method))
    };
    methods()
        && hosts_overlap(&one.host, &other.host)
        && paths_overlap(&one.path, &other.path)
        && values_overlap(&one.headers, &other.headers)
        && values_overlap(&one.query, &other.query)
}

fn hosts_overlap(one: &HostMatch, other: &HostMatch) -> bool {
    use HostMatch::{Any, Exact, Labels, OneLabel, Regex};
    let below = |name: &Name, suffix: &Name| name.strip_suffix(&**suffix).is_some_and(|rest| rest.ends_with('.'));
    match (one, other) {
        (Any | Regex(_), _) | (_, Any | Regex(_)) => true,
        (Exact(name), pattern) | (pattern, Exact(name)) => pattern.matches(Some(name)) == Some(true),
        (OneLabel(a), OneLabel(b)) => a == b,
        (Labels(a), Labels(b)) => a == b || below(a, b) || below(b, a),
        (OneLabel(one), Labels(some)) | (Labels(some), OneLabel(one)) => one == some || below(one, some),
    }
}

/// Two patterns of paths without expressions are nested or disjoint, so each one's own text tells.
fn paths_overlap(one: &PathMatch, other: &PathMatch) -> bool {
    let text = |path: &PathMatch| match path {
        PathMatch::Exact(text) | PathMatch::Elements(text) | PathMatch::Characters(text) => Some(text.clone()),
        PathMatch::Any | PathMatch::Regex(_) => None,
    };
    match (text(one), text(other)) {
        (Some(a), Some(b)) => one.matches(&b) == Some(true) || other.matches(&a) == Some(true),
        (Some(exact), None) if matches!(one, PathMatch::Exact(_)) => other.matches(&exact) != Some(false),
        (None, Some(exact)) if matches!(other, PathMatch::Exact(_)) => one.matches(&exact) != Some(false),
        _ => true,
    }
}

fn values_overlap(one: &[(Name, ValueMatch)], other: &[(Name, ValueMatch)]) -> bool {
    one.iter().all(|(name, wanted)| {
        let twin = other.iter().find(|(known, _)| known == name);
        twin.is_none_or(|(_, other)| match (wanted, other) {
            (ValueMatch::Exact(a), b) | (b, ValueMatch::Exact(a)) => b.matches(Some(a)) != Some(false),
            _ => true,
        })
    })
}
