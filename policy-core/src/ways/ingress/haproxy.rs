//! HAProxy's controller: maps of hosts and paths (ING-24).

use std::cmp::Reverse;

use crate::model::Name;
use crate::model::http::{PathMatch, RouteRule};
use crate::model::ingress::{Entry, HostFacts, PathType};

use super::list::{Draft, Rules};
use super::{HostKey, Scene, Site, at};

pub(super) fn rules(scene: &Scene<'_>, entry: Entry) -> Vec<RouteRule> {
    let mut rules = Rules::default();
    let default = scene.default_of(&scene.ingresses, entry, HostFacts::default());
    let default = default.or_else(|| scene.own_default());
    for (HostKey(_, host), found) in scene.hosts() {
        let mut drafts = Vec::new();
        for site in &found.sites {
            for (key, path) in entries(site) {
                let effect = scene.plain(site, entry);
                let when = at(&host, path);
                drafts.push((key, Draft { when, effect, origin: scene.origin(site), rule: "ING-24" }));
            }
        }
        rules.push_sorted(drafts);
        // A host that is known does not fall back on the rules of other hosts.
        let rest = default.clone().unwrap_or_else(|| scene.not_found());
        rules.push([Draft { when: at(&host, PathMatch::Any), ..rest }]);
    }
    rules.push(default);
    rules.done()
}

/// The entries of a path in the maps, which are asked one after the other: whole paths, whole paths of prefixes, and
/// beginnings, the longest first.
fn entries(site: &Site<'_>) -> Vec<((u8, Reverse<usize>, String), PathMatch)> {
    let text = site.path.text();
    let bare = text.strip_suffix('/').unwrap_or(text);
    let whole = |map: u8, text: &str| ((map, Reverse(0), text.to_owned()), PathMatch::Exact(Name::from(text)));
    let begins = |text: &str| ((2, Reverse(text.len()), text.to_owned()), PathMatch::Characters(Name::from(text)));
    match site.path.kind {
        PathType::Exact => vec![whole(0, text)],
        PathType::Prefix if bare.is_empty() => vec![begins("/")],
        PathType::Prefix => vec![whole(1, bare), begins(&format!("{bare}/"))],
        PathType::ImplementationSpecific if bare.is_empty() => vec![begins("/")],
        PathType::ImplementationSpecific => vec![begins(bare)],
    }
}
