//! What ingress-nginx makes of a request (ING-17 … ING-19).

use super::*;

/// Sorts of locations that are expressions: a path, a path with a slash behind it, a path of which nobody knows whose it
/// is. Others are 0, the whole path, and 1, how it begins.
const EXPRESSION: u8 = 2;
const BELOW: u8 = 3;
const OPEN: u8 = 4;

fn wants_regex(place: &Place<'_>) -> bool {
    let nginx = &place.ingress.annotations.nginx;
    let rewrites = nginx.rewrite_target.as_ref().is_some_and(|target| **target != *place.path.text());
    nginx.use_regex || rewrites
}

impl<'a> Question<'a> {
    /// ING-17 … ING-19
    pub(super) fn nginx(&self) -> Taken {
        let refused = |ingress: &Ingress| {
            let paths = ingress.rules.iter().flat_map(|rule| rule.paths.iter().flatten());
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '/' || c == '_' || c == '-';
            let mut typed = paths.filter(|path| path.kind != PathType::ImplementationSpecific);
            self.controller.settings.strict_path_type && typed.any(|path| !path.text().chars().all(plain))
        };
        let ingresses: Vec<_> = self.ingresses.iter().filter(|(_, ingress)| !refused(ingress)).copied().collect();
        let this = Question { ingresses, ..*self };
        let host = this.nginx_host();
        let rules_for = |ingress: &Ingress| ingress.rules.iter().any(|rule| rule.host == host);
        let of_host: Vec<_> = this.ingresses.iter().filter(|(_, ingress)| rules_for(ingress)).copied().collect();
        let facts = HostFacts {
            has_tls: of_host.iter().any(|(_, ingress)| ingress.has_tls_for(&host)),
            client_certificate: of_host.iter().any(|(_, ingress)| ingress.annotations.nginx.client_certificate),
        };
        let all: Vec<_> = this.places().into_iter().filter(|place| *place.host == host).collect();
        let is_canary = |place: &Place<'_>| place.ingress.annotations.nginx.canary.is_some();
        let main: Vec<_> = all.iter().filter(|place| !is_canary(place)).copied().collect();
        let mut candidates = Vec::new();
        for place in &main {
            for (key, takes, location) in this.locations(place, &main) {
                // ING-12: of equal locations the oldest Ingress has it, and of one Ingress the first path.
                let equal = |other: &Place<'a>| this.locations(other, &main).iter().any(|(.., same)| *same == location);
                let rivals: Vec<_> = main.iter().filter(|other| equal(other)).copied().collect();
                if !this.may_be_oldest(place, &rivals) {
                    continue;
                }
                let beside = |place: &Place<'_>| {
                    all.iter().find(|other| {
                        is_canary(other) && other.path.text() == place.path.text() && other.path.kind == place.path.kind
                    })
                };
                // Canaries beside Ingresses of which nobody knows the older must at least be chosen alike.
                let mut ways = Vec::new();
                for rival in rivals.iter().filter(|rival| this.may_be_oldest(rival, &rivals)) {
                    let effects = this.nginx_effects(rival, beside(rival), facts);
                    let conditions: Vec<_> = effects.into_iter().map(|(when, _)| when).collect();
                    if conditions.len() > 1 && !ways.contains(&conditions) {
                        ways.push(conditions);
                    }
                }
                let why = "several Ingresses have the path, and their canaries differ";
                let choice = match ways.len() {
                    _ if location.0 == OPEN => {
                        let why =
                            "several Ingresses have the path as a Prefix, and nobody knows which of them is the oldest";
                        this.undefined(place, why)
                    }
                    0 | 1 => this.nginx_choice(place, beside(place), facts),
                    _ => this.undefined(place, why),
                };
                candidates.push(((key, Reverse(location.1)), takes, choice));
            }
        }
        let mut taken = choose(candidates);
        if taken.then.is_empty() {
            let mut asked: Vec<_> = of_host;
            if host == HostMatch::Any {
                asked.extend(this.ingresses.iter().filter(|(_, ingress)| ingress.rules.is_empty()).copied());
                asked.sort_by_key(|(id, _)| *id);
            }
            asked.retain(|(_, ingress)| ingress.annotations.nginx.canary.is_none());
            let root = this.default_of(&asked, facts).or_else(|| this.own_default());
            taken.then.push(root.unwrap_or_else(|| this.not_found()));
        }
        taken
    }

    /// ING-18: the server of the request's host. A name of a rule goes before an alias, an alias before a wildcard.
    fn nginx_host(&self) -> HostMatch {
        let best = self.best_host().unwrap_or(HostMatch::Any);
        if matches!(best, HostMatch::Exact(_)) {
            return best;
        }
        let mut hosts: Vec<&HostMatch> = Vec::new();
        for (_, ingress) in &self.ingresses {
            let aliases = &ingress.annotations.nginx.aliases;
            if aliases.iter().any(|alias| Some(&**alias) == self.host()) {
                hosts.extend(ingress.rules.iter().map(|rule| &rule.host));
            }
        }
        let first = hosts.into_iter().min_by_key(|host| (specificity(host), (*host).clone()));
        first.cloned().unwrap_or(best)
    }

    /// The locations that a path becomes: how early each comes, whether it takes the request, and what it is.
    fn locations(&self, place: &Place<'_>, all: &[Place<'_>]) -> Vec<((u8, usize), Option<bool>, (u8, String))> {
        let (text, path) = (place.path.text(), self.path());
        let begins = |text: &str| ((1, usize::MAX - text.len()), Some(path.starts_with(text)), (1, text.to_owned()));
        let equals = |text: &str| ((0, 0), Some(path == text), (0, text.to_owned()));
        if all.iter().any(wants_regex) {
            return self.expressions(place, all);
        }
        match place.path.kind {
            PathType::Exact => vec![equals(text)],
            PathType::ImplementationSpecific => vec![begins(text)],
            PathType::Prefix if text == "/" => vec![begins(text)],
            PathType::Prefix => {
                let bare = text.strip_suffix('/').unwrap_or(text);
                let is_taken = all.iter().any(|other| other.path.kind == PathType::Exact && other.path.text() == bare);
                let mut locations = vec![begins(&format!("{bare}/"))];
                if !is_taken {
                    locations.push(equals(bare));
                }
                locations
            }
        }
    }

    /// ING-17: the same at a host with regular expressions.
    fn expressions(&self, place: &Place<'_>, all: &[Place<'_>]) -> Vec<((u8, usize), Option<bool>, (u8, String))> {
        let text = place.path.text();
        let same: Vec<_> = all.iter().filter(|other| other.path.text() == text).copied().collect();
        let has_exact = same.iter().any(|other| other.path.kind == PathType::Exact) && !text.ends_with('/');
        let is_prefix = |other: &Place<'_>| other.path.kind == PathType::Prefix;
        let is_below = |other: &Place<'_>| has_exact && is_prefix(other) && !wants_regex(other);
        // One location for each type of a path.
        let lives = |place: &Place<'_>| {
            let alike: Vec<_> = same.iter().filter(|other| other.path.kind == place.path.kind).copied().collect();
            self.may_be_oldest(place, &alike)
        };
        // A server's own location for `/` was there before an Exact one.
        if !lives(place) || (place.path.kind == PathType::Exact && text == "/") {
            return Vec::new();
        }
        let location = |text: &str, sort: u8| {
            let takes = expression(text, true, true, self.path());
            ((1, usize::MAX - place.path.text().len()), takes, (sort, text.to_owned()))
        };
        let has_below = same.iter().any(|other| is_below(other) && lives(other));
        let is_open = has_below && same.iter().any(|other| is_prefix(other) && !is_below(other) && lives(other));
        let mut locations = Vec::new();
        if has_below {
            locations.push(location(&format!("{text}/"), BELOW));
        }
        if !is_below(place) {
            locations.push(location(text, if is_open { OPEN } else { EXPRESSION }));
        }
        locations
    }

    /// ING-19: what a location does, by conditions: a canary beside it or none.
    fn nginx_effects(
        &self,
        place: &Place<'_>,
        beside: Option<&Place<'_>>,
        facts: HostFacts,
    ) -> Vec<(RequestMatch, Effect)> {
        let canary = beside.and_then(|beside| {
            let rule = beside.ingress.annotations.nginx.canary.as_ref()?;
            Some(Canary { ingress: beside.ingress, rule, backend: &beside.path.backend })
        });
        let end = (place.ingress, &place.path.backend);
        effect(self.cluster, self.controller, end, canary, (self.entry, facts))
    }

    /// ING-19: what it does with this very request.
    fn nginx_choice(&self, place: &Place<'_>, beside: Option<&Place<'_>>, facts: HostFacts) -> Choice {
        let effects = self.nginx_effects(place, beside, facts);
        let holds = |(name, wanted): &(Name, ValueMatch)| {
            wanted.matches(self.request.header(name).map(|value| &**value)) == Some(true)
        };
        let mut fitting = effects.into_iter().filter(|(when, _)| when.headers.iter().all(holds));
        let nothing = || Effect { checks: Vec::new(), then: Action::Undefined(Name::from("")) };
        let effect = fitting.next().map_or_else(nothing, |(_, effect)| effect);
        self.choice(place, effect)
    }
}
