//! Controllers of which no more is known than what the API says (ING-5 … ING-10), Istio among them (ING-25).

use std::cmp::Reverse;

use crate::model::Name;
use crate::model::http::{Action, HostMatch, HttpRegex, PathMatch, RegexStyle, RequestMatch, RouteRule};
use crate::model::ingress::{Effect, Entry, HostFacts, PathType};
use crate::model::way_profile::IngressProfile;

use super::list::{Draft, Rules};
use super::{Host, HostKey, Scene, Site, at};

/// Longer paths first, of equally long ones Exact, then Prefix, then what nobody defines (ING-6, ING-10).
type Key = (Reverse<usize>, u8);

pub(super) fn rules(scene: &Scene<'_>, entry: Entry) -> Vec<RouteRule> {
    let hosts = scene.hosts();
    let wildcards: Vec<_> = hosts.keys().filter(|key| key.0 == 1).map(|key| key.1.clone()).collect();
    let for_all = hosts.keys().any(|key| key.1 == HostMatch::Any);
    let mut rules = Rules::default();
    for (HostKey(_, host), found) in &hosts {
        let sites: Vec<_> = found.sites.iter().filter(|site| is_served(scene, site, host, entry)).collect();
        let drafts = sites.iter().flat_map(|site| drafts(scene, site, host, entry)).collect();
        rules.push_sorted(drafts);
        if *host != HostMatch::Any && !sites.is_empty() || !found.bare.is_empty() {
            let covered = match host {
                HostMatch::Exact(name) => wildcards.iter().any(|wild| wild.matches(Some(name)) == Some(true)),
                _ => false,
            };
            let mut draft = rest_of_host(scene, found, for_all || covered, entry);
            draft.when = at(host, PathMatch::Any);
            rules.push([draft]);
        }
    }
    let default = scene.default_of(&scene.ingresses, entry, HostFacts::default());
    rules.push(default.or_else(|| scene.own_default()));
    rules.done()
}

/// ING-8: over TLS only hosts of which some `tls` speaks.
fn is_served(scene: &Scene<'_>, site: &Site<'_>, host: &HostMatch, entry: Entry) -> bool {
    entry == Entry::Plain || scene.controller.profile == IngressProfile::Alb || site.ingress.has_tls_for(host)
}

/// ING-7: what becomes of a request for a host that is known, when no path takes it.
fn rest_of_host(scene: &Scene<'_>, host: &Host<'_>, may_fall_back: bool, entry: Entry) -> Draft {
    // A rule without paths is a catch-all of its host at the least.
    let bare = scene.default_of(&host.bare, entry, HostFacts::default());
    if let Some(bare) = bare {
        return bare;
    }
    let mut draft = scene.not_found();
    let has_default = scene.ingresses.iter().any(|(_, ingress)| ingress.default_backend.is_some());
    if may_fall_back || has_default {
        let why = Name::from("whether a host whose paths do not match falls back on other rules");
        draft.effect = Effect { checks: Vec::new(), then: Action::Undefined(why) };
    }
    draft
}

fn drafts(scene: &Scene<'_>, site: &Site<'_>, host: &HostMatch, entry: Entry) -> Vec<(Key, Draft)> {
    let text = site.path.text();
    let effect = scene.plain(site, entry);
    let draft = |rank: u8, path: PathMatch, effect: &Effect, rule| {
        let when = RequestMatch { host: host.clone(), path, ..RequestMatch::everything() };
        ((Reverse(text.len()), rank), Draft { when, effect: effect.clone(), origin: scene.origin(site), rule })
    };
    let undefined = Effect { checks: Vec::new(), then: Action::Undefined(Name::from("pathType")) };
    let (elements, characters) = (PathMatch::elements(text), PathMatch::Characters(Name::from(text)));
    match site.path.kind {
        PathType::Exact => vec![draft(0, PathMatch::Exact(Name::from(text)), &effect, "ING-6")],
        PathType::Prefix => vec![draft(1, elements, &effect, "ING-6")],
        // ING-10: where the readings agree, and where they do not.
        PathType::ImplementationSpecific if text == "/" => vec![draft(1, elements, &effect, "ING-10")],
        PathType::ImplementationSpecific if is_pattern(text) => {
            let style = RegexStyle { from_start: true, to_end: false, ignore_case: false };
            let regex = PathMatch::Regex(HttpRegex::new(text, style));
            [elements, characters, regex].map(|path| draft(2, path, &undefined, "ING-10")).into()
        }
        PathType::ImplementationSpecific if text.ends_with('/') => {
            vec![draft(1, characters, &effect, "ING-10"), draft(2, elements, &undefined, "ING-10")]
        }
        PathType::ImplementationSpecific => {
            vec![draft(1, elements, &effect, "ING-10"), draft(2, characters, &undefined, "ING-10")]
        }
    }
}

/// Whether a controller could take a path for a pattern.
fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '+', '(', ')', '[', ']', '{', '}', '|', '^', '$', '\\'])
}
