//! HAProxy's controller: maps of hosts and paths (ING-24).

use std::cmp::Reverse;

use crate::model::Name;
use crate::model::http::{PathMatch, RouteRule};
use crate::model::ingress::{Entry, PathType};

use super::{Scene, Site};

pub(super) fn rules(scene: &Scene<'_>, entry: Entry) -> Vec<RouteRule> {
    scene.host_by_host(entry, "ING-24", entries)
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
