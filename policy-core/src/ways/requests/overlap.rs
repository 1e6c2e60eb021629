//! Which matches may take a request in common: a quick test that never misses one.

use rustc_hash::FxHashMap;

use crate::model::Name;
use crate::model::http::{HostMatch, PathMatch, RequestMatch, RouteRule, ValueMatch};

/// Rules by their hosts: to find those that may take a host, nobody looks at all of them.
#[derive(Debug, Default)]
pub(super) struct Hosts<'a> {
    exact: Places<'a>,
    one_label: Places<'a>,
    labels: Places<'a>,
    /// Names and wildcards by what stands after their dots.
    below: Places<'a>,
    /// All hosts, and expressions.
    open: Vec<usize>,
    count: usize,
}

/// Positions of rules by a name or the end of one.
type Places<'a> = FxHashMap<&'a str, Vec<usize>>;

impl<'a> Hosts<'a> {
    pub(super) fn new(rules: impl IntoIterator<Item = &'a RouteRule>) -> Self {
        let mut hosts = Self::default();
        for (at, rule) in rules.into_iter().enumerate() {
            let (places, name) = match &rule.when.host {
                HostMatch::Exact(name) => (&mut hosts.exact, name),
                HostMatch::OneLabel(name) => (&mut hosts.one_label, name),
                HostMatch::Labels(name) => (&mut hosts.labels, name),
                HostMatch::Any | HostMatch::Regex(_) => {
                    hosts.open.push(at);
                    hosts.count = at + 1;
                    continue;
                }
            };
            places.entry(name).or_default().push(at);
            for parent in parents(name) {
                hosts.below.entry(parent).or_default().push(at);
            }
            hosts.count = at + 1;
        }
        hosts
    }

    /// The positions of all rules that may take a host of `host`, ascending, and perhaps some that take none.
    pub(super) fn near(&self, host: &HostMatch) -> impl Iterator<Item = usize> + use<> {
        let mut found = self.open.clone();
        let mut add = |places: &Places<'_>, name: &str| found.extend(places.get(name).into_iter().flatten());
        match host {
            HostMatch::Any | HostMatch::Regex(_) => found = (0..self.count).collect(),
            HostMatch::Exact(name) => {
                add(&self.exact, name);
                parents(name).take(1).for_each(|parent| add(&self.one_label, parent));
                parents(name).for_each(|parent| add(&self.labels, parent));
            }
            HostMatch::OneLabel(name) | HostMatch::Labels(name) => {
                add(&self.one_label, name);
                add(&self.labels, name);
                add(&self.below, name);
                parents(name).for_each(|parent| add(&self.labels, parent));
            }
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter()
    }
}

/// What stands after each dot of a name, the longest first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest)).skip(1)
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

/// Whether one match takes every request that the other takes: a quick test that says so only where it is plain.
pub(super) fn covers(one: &RequestMatch, other: &RequestMatch) -> bool {
    let within = |one: &[(Name, ValueMatch)], other: &[(Name, ValueMatch)]| one.iter().all(|it| other.contains(it));
    let methods = || {
        one.methods.is_empty()
            || (!other.methods.is_empty() && other.methods.iter().all(|method| one.methods.contains(method)))
    };
    methods()
        && host_covers(&one.host, &other.host)
        && path_covers(&one.path, &other.path)
        && within(&one.headers, &other.headers)
        && within(&one.query, &other.query)
}

fn host_covers(one: &HostMatch, other: &HostMatch) -> bool {
    match (one, other) {
        (HostMatch::Any, _) => true,
        (HostMatch::Regex(_), _) => false,
        (pattern, HostMatch::Exact(name)) => pattern.matches(Some(name)) == Some(true),
        (one, other) => one == other,
    }
}

fn path_covers(one: &PathMatch, other: &PathMatch) -> bool {
    use PathMatch::{Any, Characters, Elements, Exact, Regex};
    match (one, other) {
        (Any, _) => true,
        // Every path begins with `/`.
        (Elements(prefix), _) if prefix.is_empty() => true,
        (Characters(prefix), _) if matches!(&**prefix, "" | "/") => true,
        (Regex(_), _) | (_, Any | Regex(_)) => false,
        (pattern, Exact(path)) => pattern.matches(path) == Some(true),
        (Elements(_), Elements(more)) => one.matches(more) == Some(true),
        (Elements(prefix), Characters(more)) => more.strip_prefix(&**prefix).is_some_and(|rest| rest.starts_with('/')),
        (Characters(prefix), Elements(more) | Characters(more)) => more.starts_with(&**prefix),
        (Exact(_), Elements(_) | Characters(_)) => false,
    }
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
