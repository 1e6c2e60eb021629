//! ingress-nginx: servers and locations (ING-17 … ING-19).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::Name;
use crate::model::http::{Action, HostMatch, HttpRegex, PathMatch, RegexStyle, RequestMatch, RouteOrigin, RouteRule};
use crate::model::ingress::{Canary, Effect, Entry, HostFacts, Ingress, PathType, effect};

use super::list::{Draft, Rules};
use super::{Host, HostKey, LeftOut, Scene, Site, at, eldest};

/// Locations in the order in which they are tried: `=` first, then by length, then backwards by their text.
type Key = (u8, Reverse<usize>, Reverse<String>);

pub(super) fn rules(scene: &Scene<'_>, entry: Entry, left_out: &mut Vec<LeftOut>) -> Vec<RouteRule> {
    let valid = valid(scene, left_out);
    let hosts = valid.hosts();
    let mut regexes = BTreeMap::new();
    let mut rules = Rules::default();
    let mut aliases: BTreeMap<Name, &HostKey> = BTreeMap::new();
    for (key, host) in &hosts {
        for alias in host.ingresses.iter().flat_map(|(_, ingress)| &ingress.annotations.nginx.aliases) {
            if !hosts.contains_key(&HostKey::new(&HostMatch::Exact(alias.clone()))) {
                aliases.entry(alias.clone()).or_insert(key);
            }
        }
    }
    // ING-18: an alias is one more name of a server.
    for (alias, key) in &aliases {
        if let Some(host) = hosts.get(*key) {
            server(&valid, (&key.1, &HostMatch::Exact(alias.clone())), host, entry, &mut regexes, &mut rules);
        }
    }
    for (key, host) in &hosts {
        server(&valid, (&key.1, &key.1), host, entry, &mut regexes, &mut rules);
    }
    if !hosts.contains_key(&HostKey::new(&HostMatch::Any)) {
        server(&valid, (&HostMatch::Any, &HostMatch::Any), &Host::default(), entry, &mut regexes, &mut rules);
    }
    rules.done()
}

/// ING-17: Ingresses whose paths the controller refuses are passed over as a whole.
fn valid<'a>(scene: &Scene<'a>, left_out: &mut Vec<LeftOut>) -> Scene<'a> {
    let mut ingresses = Vec::new();
    for &(id, ingress) in &scene.ingresses {
        let paths = ingress.rules.iter().flat_map(|rule| rule.paths.iter().flatten());
        let mut bad = paths.filter(|path| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-');
            path.kind != PathType::ImplementationSpecific && !path.text().chars().all(plain)
        });
        match bad.next().filter(|_| scene.controller.settings.strict_path_type) {
            Some(path) => {
                let why = format!("`{}` has characters that a path of type Exact or Prefix must not have", path.text());
                left_out.push(LeftOut { ingress: id, rule: "ING-17", why, span: path.span.or(ingress.span) });
            }
            None => ingresses.push((id, ingress)),
        }
    }
    Scene { cluster: scene.cluster, controller: scene.controller, ingresses }
}

/// The rules of one server: `host` is its name in the Ingresses, `name` the one that requests have.
fn server(
    scene: &Scene<'_>,
    (host, name): (&HostMatch, &HostMatch),
    found: &Host<'_>,
    entry: Entry,
    regexes: &mut BTreeMap<String, HttpRegex>,
    rules: &mut Rules,
) {
    let facts = HostFacts {
        has_tls: found.ingresses.iter().any(|(_, ingress)| ingress.has_tls_for(host)),
        client_certificate: found.ingresses.iter().any(|(_, ingress)| ingress.annotations.nginx.client_certificate),
    };
    let (canaries, sites): (Vec<&Site<'_>>, Vec<&Site<'_>>) =
        found.sites.iter().partition(|site| site.ingress.annotations.nginx.canary.is_some());
    let mut beside: BTreeMap<(&str, PathType), &Site<'_>> = BTreeMap::new();
    for canary in canaries {
        beside.entry((canary.path.text(), canary.path.kind)).or_insert(canary);
    }
    let is_regex = sites.iter().any(|site| wants_regex(site));
    let locations = if is_regex { expressions(scene, &sites, regexes) } else { plain_locations(&sites) };
    for Location { path, sites, is_open } in locations.values() {
        if let Some(first) = sites.first().filter(|_| *is_open) {
            let effect = Effect { checks: Vec::new(), then: Action::Undefined(Name::from(SEVERAL_KINDS)) };
            let when = at(name, path.clone());
            rules.push([Draft { when, effect, origin: scene.origin(first), rule: "ING-17" }]);
            continue;
        }
        let mut chains = Vec::new();
        for site in eldest(scene.cluster, sites) {
            let beside = beside.get(&(site.path.text(), site.path.kind)).copied();
            chains.push((scene.origin(site), chain(scene, site, beside, (entry, facts))));
        }
        rules.push_chains(&at(name, path.clone()), &chains);
    }
    let root = root(scene, host, found, (entry, facts));
    rules.push([Draft { when: at(name, PathMatch::Any), ..root }]);
}

/// One location of a server.
struct Location<'s, 'a> {
    path: PathMatch,
    /// The paths that become it.
    sites: Vec<&'s Site<'a>>,
    /// Whether it is theirs depends on an age that nobody tells.
    is_open: bool,
}

type Locations<'s, 'a> = BTreeMap<Key, Location<'s, 'a>>;

/// ING-17: the locations of a server with regular expressions. Where a host has a path both as Exact and as Prefix, the
/// Prefix is the path with a slash behind it; the two stand where the path does, the older one first.
fn expressions<'s, 'a>(
    scene: &Scene<'_>,
    sites: &[&'s Site<'a>],
    regexes: &mut BTreeMap<String, HttpRegex>,
) -> Locations<'s, 'a> {
    let style = RegexStyle { from_start: true, to_end: false, ignore_case: true };
    let mut regex = |text: &str| {
        PathMatch::Regex(regexes.entry(text.to_owned()).or_insert_with(|| HttpRegex::new(text, style)).clone())
    };
    let mut by_text: BTreeMap<&str, BTreeMap<PathType, Vec<&'s Site<'a>>>> = BTreeMap::new();
    for site in sites {
        let (text, kind) = (site.path.text(), site.path.kind);
        // Every server has a location for `/` from its beginning, which comes before an Exact one.
        if (text, kind) != ("/", PathType::Exact) {
            by_text.entry(text).or_default().entry(kind).or_default().push(site);
        }
    }
    let mut locations = BTreeMap::new();
    for (text, kinds) in by_text {
        let has_exact = kinds.contains_key(&PathType::Exact) && !text.ends_with('/');
        let is_prefix = |site: &Site<'_>| site.path.kind == PathType::Prefix;
        let is_below = |site: &Site<'_>| has_exact && is_prefix(site) && !wants_regex(site);
        let mut rivals: Vec<_> = kinds.values().flat_map(|sites| eldest(scene.cluster, sites)).collect();
        rivals.sort_by_key(|site| (site.id, site.at));
        let key = |location: &str| (1, Reverse(text.len()), Reverse(location.to_owned()));
        let has_below = rivals.iter().any(|site| is_below(site));
        if has_below {
            let below = format!("{text}/");
            let location = Location { path: regex(&below), sites: rivals.clone(), is_open: false };
            locations.insert(key(&below), location);
            rivals.retain(|site| !is_below(site));
        }
        let is_open = has_below && rivals.iter().any(|site| is_prefix(site));
        locations.insert(key(text), Location { path: regex(text), sites: rivals, is_open });
    }
    locations
}

/// ING-17: the locations of a server without regular expressions.
fn plain_locations<'s, 'a>(sites: &[&'s Site<'a>]) -> Locations<'s, 'a> {
    let mut locations = BTreeMap::new();
    let mut add = |key: Key, path: PathMatch, site| {
        let new = || Location { path, sites: Vec::new(), is_open: false };
        locations.entry(key).or_insert_with(new).sites.push(site);
    };
    let exact: Vec<&str> =
        sites.iter().filter(|site| site.path.kind == PathType::Exact).map(|site| site.path.text()).collect();
    let exact: std::collections::BTreeSet<&str> = exact.into_iter().collect();
    for site in sites {
        let text = site.path.text();
        let equal = |text: &str| ((0, Reverse(0), Reverse(text.to_owned())), PathMatch::Exact(Name::from(text)));
        let begins =
            |text: &str| ((1, Reverse(text.len()), Reverse(text.to_owned())), PathMatch::Characters(Name::from(text)));
        match site.path.kind {
            PathType::Exact => {
                let (key, path) = equal(text);
                add(key, path, *site);
            }
            PathType::Prefix if text != "/" => {
                let bare = text.strip_suffix('/').unwrap_or(text);
                if !exact.contains(bare) {
                    let (key, path) = equal(bare);
                    add(key, path, *site);
                }
                let (key, path) = begins(&format!("{bare}/"));
                add(key, path, *site);
            }
            PathType::Prefix | PathType::ImplementationSpecific => {
                let (key, path) = begins(text);
                add(key, path, *site);
            }
        }
    }
    locations
}

impl Rules {
    /// Adds what several Ingresses, of which nobody knows the oldest, do with one location.
    fn push_chains(&mut self, when: &RequestMatch, chains: &[(RouteOrigin, Vec<(RequestMatch, Effect)>)]) {
        let conditions = |chain: &[(RequestMatch, Effect)]| -> Vec<RequestMatch> {
            chain.iter().map(|(condition, _)| condition.clone()).collect()
        };
        let mut lists: Vec<_> =
            chains.iter().map(|(_, chain)| conditions(chain)).filter(|list| list.len() > 1).collect();
        lists.dedup();
        let Some((first, _)) = chains.first() else { return };
        if lists.len() > 1 {
            let then = Action::Undefined(Name::from(SEVERAL_CANARIES));
            let effect = Effect { checks: Vec::new(), then };
            return self.push([Draft { when: when.clone(), effect, origin: first.clone(), rule: "ING-12" }]);
        }
        // One without a canary does the same under every condition of the others.
        let list = lists.pop().unwrap_or_else(|| vec![RequestMatch::everything()]);
        for (level, condition) in list.iter().enumerate() {
            self.push(chains.iter().filter_map(|(origin, chain)| {
                let (_, effect) = if chain.len() == list.len() { chain.get(level)? } else { chain.last()? };
                let when = RequestMatch { headers: condition.headers.clone(), ..when.clone() };
                Some(Draft { when, effect: effect.clone(), origin: origin.clone(), rule: "ING-17" })
            }));
        }
    }
}

/// Why a location is undefined that several Ingresses have, with canaries that are chosen in different ways.
const SEVERAL_CANARIES: &str = "several Ingresses have the path, and their canaries differ";

/// Why it is undefined who has a path that is Exact, and Prefix in Ingresses of which nobody knows the older.
const SEVERAL_KINDS: &str = "several Ingresses have the path as a Prefix, and nobody knows which of them is the oldest";

/// ING-17
fn wants_regex(site: &Site<'_>) -> bool {
    let nginx = &site.ingress.annotations.nginx;
    nginx.use_regex || nginx.rewrite_target.as_ref().is_some_and(|target| **target != *site.path.text())
}

fn chain(
    scene: &Scene<'_>,
    site: &Site<'_>,
    beside: Option<&Site<'_>>,
    how: (Entry, HostFacts),
) -> Vec<(RequestMatch, Effect)> {
    let canary = beside.and_then(|beside| {
        let rule = beside.ingress.annotations.nginx.canary.as_ref()?;
        Some(Canary { ingress: beside.ingress, rule, backend: &beside.path.backend })
    });
    effect(scene.cluster, scene.controller, (site.ingress, &site.path.backend), canary, how)
}

/// ING-7: the default backends of the server's Ingresses; at the server for all hosts, those of Ingresses without any
/// rule too.
fn root(scene: &Scene<'_>, server: &HostMatch, host: &Host<'_>, (entry, facts): (Entry, HostFacts)) -> Draft {
    let is_main = |ingress: &Ingress| ingress.annotations.nginx.canary.is_none();
    let mut ingresses: Vec<_> = host.ingresses.iter().filter(|(_, ingress)| is_main(ingress)).copied().collect();
    if *server == HostMatch::Any {
        let without_rules = scene.ingresses.iter().filter(|(_, ingress)| ingress.rules.is_empty() && is_main(ingress));
        ingresses.extend(without_rules.copied());
        ingresses.sort_by_key(|(id, _)| *id);
    }
    let default = scene.default_of(&ingresses, entry, facts);
    default.or_else(|| scene.own_default()).unwrap_or_else(|| scene.not_found())
}
