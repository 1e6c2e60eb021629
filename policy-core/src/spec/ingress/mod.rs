//! Which path of which Ingress takes a request, the slow way (ING-5 … ING-24).
//!
//! For every request all paths of all Ingresses are asked, and of those that take it the rules' words choose. No
//! order is worked out beforehand, and nothing of the decision lists is used.

mod nginx;

use std::cmp::Reverse;

use crate::ids::IngressId;
use crate::model::http::{
    Action, BackendTarget, Check, HostMatch, HttpRegex, RegexStyle, Request, RequestMatch, RouteOrigin, ValueMatch,
};
use crate::model::ingress::{
    Canary, Controller, Effect, Entry, HostFacts, Ingress, IngressPath, PathMatcher, PathType, effect, origin,
};
use crate::model::way_profile::IngressProfile;
use crate::model::{Cluster, Name};

/// One thing that may become of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// What it must pass first.
    pub checks: Vec<Check>,
    /// Then this.
    pub then: Action,
    /// Who says so.
    pub origin: RouteOrigin,
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// These come before the rest if their expressions match, which nobody can tell.
    pub perhaps: Vec<Choice>,
    /// One of these; several differ, and nobody defines which. Empty = nothing takes it.
    pub then: Vec<Choice>,
}

/// A path that could take a request: how early it comes, whether it takes the request, and what then becomes of it.
type Candidate<K> = (K, Option<bool>, Choice);

/// One path of one Ingress, and where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    id: IngressId,
    ingress: &'a Ingress,
    host: &'a HostMatch,
    rule: usize,
    index: usize,
    path: &'a IngressPath,
}

/// One question: who is asked, by which door, for what.
struct Question<'a> {
    cluster: &'a Cluster,
    controller: &'a Controller,
    ingresses: Vec<(IngressId, &'a Ingress)>,
    entry: Entry,
    request: &'a Request,
}

/// What becomes of a request at a controller that serves these Ingresses on one address.
#[must_use]
pub fn route(
    cluster: &Cluster,
    controller: &Controller,
    ingresses: &[IngressId],
    entry: Entry,
    request: &Request,
) -> Taken {
    let ingresses = ingresses.iter().filter_map(|id| Some((*id, cluster.ingresses.get(*id)?))).collect();
    let question = Question { cluster, controller, ingresses, entry, request };
    match controller.profile {
        IngressProfile::Spec | IngressProfile::Istio | IngressProfile::Alb => question.generic(),
        IngressProfile::Nginx => question.nginx(),
        IngressProfile::Gce => question.gce(),
        IngressProfile::Traefik => question.traefik(),
        IngressProfile::Kong => question.kong(),
        IngressProfile::HaProxy => question.haproxy(),
    }
}

/// Of the candidates the earliest ones that take the request.
fn choose<K: Ord + Clone>(candidates: Vec<Candidate<K>>) -> Taken {
    let certain = candidates.iter().filter(|(_, takes, _)| *takes == Some(true)).map(|(key, ..)| key.clone()).min();
    let mut doubtful: Vec<_> = candidates.iter().filter(|(_, takes, _)| takes.is_none()).collect();
    doubtful.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let Some(key) = certain else {
        return Taken { perhaps: doubtful.into_iter().map(|(.., choice)| choice.clone()).collect(), then: Vec::new() };
    };
    let perhaps = doubtful.iter().filter(|(other, ..)| *other < key).map(|(.., choice)| choice.clone()).collect();
    let equal = candidates.into_iter().filter(|(other, takes, _)| *other == key && *takes != Some(false));
    let mut then: Vec<Choice> = Vec::new();
    for (.., choice) in equal {
        if then.iter().all(|known| (&known.then, &known.checks) != (&choice.then, &choice.checks)) {
            then.push(choice);
        }
    }
    Taken { perhaps, then }
}

fn only(choice: Option<Choice>) -> Taken {
    Taken { perhaps: Vec::new(), then: choice.into_iter().collect() }
}

/// Everything below a prefix, element by element (ING-6).
fn is_below(prefix: &str, path: &str) -> bool {
    let elements = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    let wanted = elements(prefix.strip_suffix('/').unwrap_or(prefix));
    elements(path).starts_with(&wanted)
}

/// How specific a host is (ING-5).
fn specificity(host: &HostMatch) -> u8 {
    match host {
        HostMatch::Exact(_) => 0,
        HostMatch::Any => 2,
        _ => 1,
    }
}

fn expression(written: &str, from_start: bool, ignore_case: bool, path: &str) -> Option<bool> {
    HttpRegex::new(written, RegexStyle { from_start, to_end: false, ignore_case }).matches(path)
}

impl<'a> Question<'a> {
    fn path(&self) -> &'a str {
        &self.request.path
    }

    fn host(&self) -> Option<&'a str> {
        self.request.host.as_deref()
    }

    /// Every path of every Ingress.
    fn places(&self) -> Vec<Place<'a>> {
        let mut places = Vec::new();
        for &(id, ingress) in &self.ingresses {
            for (rule, written) in ingress.rules.iter().enumerate() {
                for (index, path) in written.paths.iter().flatten().enumerate() {
                    places.push(Place { id, ingress, host: &written.host, rule, index, path });
                }
            }
        }
        places
    }

    /// The most specific host of any rule that takes the request's host; `None` when no rule does (ING-5).
    fn best_host(&self) -> Option<HostMatch> {
        let hosts = self.ingresses.iter().flat_map(|(_, ingress)| &ingress.rules).map(|rule| &rule.host);
        let matching = hosts.filter(|host| host.matches(self.host()) == Some(true));
        matching.min_by_key(|host| specificity(host)).cloned()
    }

    fn choice(&self, place: &Place<'_>, effect: Effect) -> Choice {
        let path = format!("spec.rules[{}].http.paths[{}]", place.rule, place.index);
        let origin = origin(self.cluster, place.ingress, Name::from(path), place.path.span);
        Choice { checks: effect.checks, then: effect.then, origin }
    }

    /// What a path does with a request, without canaries.
    fn taken_by(&self, place: &Place<'_>) -> Choice {
        let end = (place.ingress, &place.path.backend);
        let effects = effect(self.cluster, self.controller, end, None, (self.entry, HostFacts::default()));
        let effect = effects.into_iter().last().map(|(_, effect)| effect);
        let nothing = || Effect { checks: Vec::new(), then: Action::Undefined(Name::from("")) };
        self.choice(place, effect.unwrap_or_else(nothing))
    }

    /// ING-7: the default backend of these Ingresses; several that differ leave it open.
    fn default_of(&self, ingresses: &[(IngressId, &'a Ingress)], facts: HostFacts) -> Option<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        for (_, ingress) in ingresses {
            let Some(backend) = &ingress.default_backend else { continue };
            let how = (self.entry, facts);
            let effects = effect(self.cluster, self.controller, (ingress, backend), None, how);
            if let Some((_, effect)) = effects.into_iter().last() {
                let origin = origin(self.cluster, ingress, Name::from("spec.defaultBackend"), None);
                choices.push(Choice { checks: effect.checks, then: effect.then, origin });
            }
        }
        let first = choices.first()?.clone();
        if choices.iter().all(|choice| (&choice.then, &choice.checks) == (&first.then, &first.checks)) {
            return Some(first);
        }
        let why = Name::from("several Ingresses have a default backend");
        Some(Choice { checks: Vec::new(), then: Action::Undefined(why), ..first })
    }

    fn own_origin(&self) -> RouteOrigin {
        RouteOrigin {
            kind: "Controller",
            namespace: self.controller.namespace.clone(),
            name: self.controller.name.clone(),
            path: Name::from(""),
            span: self.controller.span,
        }
    }

    /// The controller's own default backend.
    fn own_default(&self) -> Option<Choice> {
        let backend = self.controller.settings.default_backend.as_ref()?;
        let then = self.controller.direct(self.cluster, backend);
        Some(Choice { checks: Vec::new(), then, origin: self.own_origin() })
    }

    fn not_found(&self) -> Choice {
        let why = Name::from("no path of the host takes it");
        Choice { checks: Vec::new(), then: Action::Answer { status: 404, why }, origin: self.own_origin() }
    }

    /// ING-12: whether a path's Ingress may be the oldest of those that have the same location.
    fn may_be_oldest(&self, place: &Place<'_>, rivals: &[Place<'_>]) -> bool {
        let first_of_its_own = rivals.iter().find(|rival| rival.id == place.id);
        if first_of_its_own.is_some_and(|first| (first.rule, first.index) != (place.rule, place.index)) {
            return false;
        }
        let Some(created) = &place.ingress.created else { return true };
        let full_name = |ingress: &Ingress| {
            let namespace = self.cluster.namespaces.get(ingress.namespace);
            format!("{}/{}", namespace.map_or("", |found| &found.name), ingress.name)
        };
        rivals.iter().all(|rival| match &rival.ingress.created {
            Some(other) if other == created => full_name(place.ingress) >= full_name(rival.ingress),
            Some(other) => created < other,
            None => true,
        })
    }

    fn undefined(&self, place: &Place<'_>, why: &str) -> Choice {
        self.choice(place, Effect { checks: Vec::new(), then: Action::Undefined(Name::from(why)) })
    }

    /// ING-5 … ING-10
    fn generic(&self) -> Taken {
        let over_tls = self.entry == Entry::Tls && self.controller.profile != IngressProfile::Alb;
        let is_served = |place: &Place<'_>| !over_tls || place.ingress.has_tls_for(place.host);
        let of_host = |host: &HostMatch| -> Vec<Place<'a>> {
            self.places().into_iter().filter(|place| place.host == host && is_served(place)).collect()
        };
        // A host of which nothing is served by this door is no host of this door; the next one is.
        let mut hosts: Vec<&HostMatch> = Vec::new();
        for rule in self.ingresses.iter().flat_map(|(_, ingress)| &ingress.rules) {
            if rule.host.matches(self.host()) == Some(true) {
                hosts.push(&rule.host);
            }
        }
        hosts.sort_by_key(|host| specificity(host));
        hosts.dedup();
        for host in hosts {
            let places = of_host(host);
            let taken = choose(places.iter().flat_map(|place| self.generic_candidates(place)).collect());
            if !taken.then.is_empty() {
                return taken;
            }
            if !taken.perhaps.is_empty() {
                // An expression that nobody can decide: the rest of the host comes after it.
                let rest = self.rest_of_host(host, !places.is_empty());
                return Taken { perhaps: taken.perhaps, then: rest.into_iter().collect() };
            }
            if let Some(rest) = self.rest_of_host(host, !places.is_empty()) {
                return only(Some(rest));
            }
        }
        only(self.default_of(&self.ingresses, HostFacts::default()).or_else(|| self.own_default()))
    }

    /// ING-7: a request for a known host that no path takes; `None` when the door does not know the host at all.
    fn rest_of_host(&self, host: &HostMatch, has_paths: bool) -> Option<Choice> {
        let rules_for = |ingress: &Ingress| ingress.rules.iter().any(|rule| rule.host == *host && rule.paths.is_none());
        let bare: Vec<_> = self.ingresses.iter().filter(|(_, ingress)| rules_for(ingress)).copied().collect();
        if bare.is_empty() && (*host == HostMatch::Any || !has_paths) {
            return None;
        }
        if let Some(default) = self.default_of(&bare, HostFacts::default()) {
            return Some(default);
        }
        let all_hosts = self.ingresses.iter().flat_map(|(_, ingress)| &ingress.rules).map(|rule| &rule.host);
        let covers = |other: &HostMatch| match (other, host) {
            (HostMatch::Any, _) => true,
            (HostMatch::OneLabel(_), HostMatch::Exact(name)) => other.matches(Some(name)) == Some(true),
            _ => false,
        };
        let has_default = self.ingresses.iter().any(|(_, ingress)| ingress.default_backend.is_some());
        let rest = self.not_found();
        if all_hosts.into_iter().any(covers) || has_default {
            let why = Name::from("whether a host whose paths do not match falls back on other rules");
            return Some(Choice { then: Action::Undefined(why), ..rest });
        }
        Some(rest)
    }

    /// ING-6, ING-10: longest path first, then Exact over Prefix, then what the readings of a path disagree on.
    fn generic_candidates(&self, place: &Place<'_>) -> Vec<Candidate<(Reverse<usize>, u8)>> {
        let (text, path) = (place.path.text(), self.path());
        let length = Reverse(text.len());
        let taken = || self.taken_by(place);
        let differ = || self.undefined(place, "pathType");
        let (by_elements, by_characters) = (is_below(text, path), path.starts_with(text));
        match place.path.kind {
            PathType::Exact => vec![((length, 0), Some(text == path), taken())],
            PathType::Prefix => vec![((length, 1), Some(by_elements), taken())],
            PathType::ImplementationSpecific => {
                let special = ['*', '?', '+', '(', ')', '[', ']', '{', '}', '|', '^', '$', '\\'];
                if text != "/" && text.contains(special) {
                    let by_expression = expression(text, true, false, path);
                    let some = if by_elements || by_characters { Some(true) } else { by_expression };
                    return vec![((length, 2), some, differ())];
                }
                let all = by_elements && by_characters;
                let some = by_elements || by_characters;
                vec![((length, 1), Some(all), taken()), ((length, 2), Some(some && !all), differ())]
            }
        }
    }

    /// ING-20
    fn gce(&self) -> Taken {
        let default = || self.default_of(&self.ingresses, HostFacts::default()).or_else(|| self.own_default());
        let Some(host) = self.best_host() else { return only(default()) };
        let mut candidates = Vec::new();
        for place in self.places().into_iter().filter(|place| *place.host == host) {
            let (text, path) = (place.path.text(), self.path());
            let mut add = |length: usize, whole: bool, takes: bool| {
                candidates.push(((usize::MAX - length, !whole), Some(takes), self.taken_by(&place)));
            };
            match place.path.kind {
                _ if place.path.path.is_none() => add(1, false, path.starts_with('/')),
                PathType::Exact | PathType::Prefix if text.contains('*') => {}
                PathType::Exact => add(text.len(), true, path == text),
                PathType::Prefix => {
                    let bare = text.trim_end_matches('/');
                    let bare = if text.ends_with('/') { text.strip_suffix('/').unwrap_or(bare) } else { text };
                    add(bare.len() + 1, false, path.starts_with(&format!("{bare}/")));
                    if !bare.is_empty() {
                        add(bare.len(), true, path == bare);
                    }
                }
                PathType::ImplementationSpecific => {
                    let stars = text.matches('*').count();
                    if stars == 0 {
                        add(text.len(), true, path == text);
                    } else if stars == 1 && text.ends_with("/*") {
                        let beginning = text.strip_suffix('*').unwrap_or(text);
                        add(beginning.len(), false, path.starts_with(beginning));
                    }
                }
            }
        }
        let taken = choose(candidates);
        if taken.then.is_empty() { only(Some(default().unwrap_or_else(|| self.not_found()))) } else { taken }
    }

    /// ING-22: the rule that is longest as a text.
    fn traefik(&self) -> Taken {
        let mut candidates = Vec::new();
        for place in self.places() {
            let traefik = &place.ingress.annotations.traefik;
            let door = if self.entry == Entry::Plain { "web" } else { "websecure" };
            let names = &traefik.entry_points;
            let usual = names.iter().all(|name| &**name == "web" || &**name == "websecure");
            if !names.is_empty() && usual && !names.iter().any(|name| &**name == door) {
                continue;
            }
            let host_rule = match place.host {
                HostMatch::Exact(name) => Some(format!("Host(`{name}`)")),
                HostMatch::OneLabel(name) => Some(format!("Host(`*.{name}`)")),
                _ => None,
            };
            let strict = self.controller.settings.strict_prefix;
            let path = self.path();
            let (path_rule, takes_path) = match (&place.path.path, place.path.kind, traefik.matcher) {
                (None, ..) => (None, Some(true)),
                (Some(text), PathType::Exact, _)
                | (Some(text), PathType::ImplementationSpecific, PathMatcher::Path) => {
                    (Some(format!("Path(`{text}`)")), Some(path == &**text))
                }
                (Some(text), PathType::Prefix, _) if strict && &**text != "/" => {
                    let bare = text.strip_suffix('/').unwrap_or(text);
                    let rule = format!("(Path(`{bare}`) || PathPrefix(`{bare}/`))");
                    (Some(rule), Some(path == bare || path.starts_with(&format!("{bare}/"))))
                }
                (Some(text), PathType::ImplementationSpecific, PathMatcher::PathRegexp) => {
                    (Some(format!("PathRegexp(`{text}`)")), expression(text, false, false, path))
                }
                (Some(text), ..) => (Some(format!("PathPrefix(`{text}`)")), Some(path.starts_with(&**text))),
            };
            let rule: Vec<String> = [host_rule, path_rule].into_iter().flatten().collect();
            let length = i64::try_from(rule.join(" && ").len()).unwrap_or(i64::MAX);
            let priority = if traefik.priority == 0 { length } else { traefik.priority };
            let takes_host = place.host.matches(self.host()) == Some(true);
            let takes = if takes_host { takes_path } else { Some(false) };
            candidates.push((Reverse(priority), takes, self.taken_by(&place)));
        }
        let mut taken = choose(candidates);
        if taken.then.is_empty() {
            let without_rules: Vec<_> =
                self.ingresses.iter().filter(|(_, ingress)| ingress.rules.is_empty()).copied().collect();
            taken.then.extend(self.default_of(&without_rules, HostFacts::default()));
        }
        taken
    }

    /// ING-23
    fn kong(&self) -> Taken {
        let mut candidates = Vec::new();
        for place in self.places() {
            let kong = &place.ingress.annotations.kong;
            let mut text = place.path.text().to_owned();
            while text.contains("//") {
                text = text.replace("//", "/");
            }
            let path = self.path();
            let (is_expression, length, takes_path) = match place.path.kind {
                PathType::Exact => (true, text.len(), Some(path == text)),
                PathType::Prefix => (text != "/", text.len(), Some(text == "/" || is_below(&text, path))),
                PathType::ImplementationSpecific => match place.path.text().strip_prefix("/~") {
                    Some(pattern) => (true, pattern.len(), expression(pattern, true, false, path)),
                    None => (false, text.len(), Some(path.starts_with(&text))),
                },
            };
            let named = kong.methods.contains(&self.request.method);
            let takes_method = kong.methods.is_empty() || named;
            let takes_headers = kong.headers.iter().all(|(name, values)| {
                let value = self.request.header(name);
                value.is_some_and(|value| values.is_empty() || values.contains(value))
            });
            let takes_host = place.host.matches(self.host()) == Some(true);
            let takes = if takes_method && takes_headers && takes_host { takes_path } else { Some(false) };
            let criteria = 1
                + usize::from(*place.host != HostMatch::Any)
                + usize::from(!kong.methods.is_empty())
                + usize::from(!kong.headers.is_empty());
            let down = |number: usize| usize::MAX - number;
            let key = (down(criteria), specificity(place.host), down(kong.headers.len()), !is_expression, down(length));
            candidates.push((key, takes, self.taken_by(&place)));
        }
        if let Some(default) = self.default_of(&self.ingresses, HostFacts::default()) {
            let down = |number: usize| usize::MAX - number;
            candidates.push(((down(1), 2, down(0), true, down(1)), Some(true), default));
        }
        choose(candidates)
    }

    /// ING-24: whole paths, then whole paths of prefixes, then the longest beginning; no other host is asked.
    fn haproxy(&self) -> Taken {
        let default = || self.default_of(&self.ingresses, HostFacts::default()).or_else(|| self.own_default());
        let Some(host) = self.best_host() else { return only(default()) };
        let mut candidates = Vec::new();
        for place in self.places().into_iter().filter(|place| *place.host == host) {
            let (text, path) = (place.path.text(), self.path());
            let bare = text.strip_suffix('/').unwrap_or(text);
            let longest =
                |text: &str| ((2, usize::MAX - text.len()), Some(path.starts_with(text)), self.taken_by(&place));
            match place.path.kind {
                PathType::Exact => candidates.push(((0, 0), Some(path == text), self.taken_by(&place))),
                _ if bare.is_empty() => candidates.push(longest("/")),
                PathType::Prefix => {
                    candidates.push(((1, 0), Some(path == bare), self.taken_by(&place)));
                    candidates.push(longest(&format!("{bare}/")));
                }
                PathType::ImplementationSpecific => candidates.push(longest(bare)),
            }
        }
        let taken = choose(candidates);
        if taken.then.is_empty() { only(Some(default().unwrap_or_else(|| self.not_found()))) } else { taken }
    }
}

impl Taken {
    /// The Services that may get the request.
    #[must_use]
    pub fn targets(&self) -> Vec<BackendTarget> {
        let choices = self.perhaps.iter().chain(&self.then);
        let backends = choices.filter_map(|choice| match &choice.then {
            Action::Forward { backends, .. } => Some(backends),
            _ => None,
        });
        backends.flatten().map(|backend| backend.target.clone()).collect()
    }
}
