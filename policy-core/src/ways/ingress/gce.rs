//! The load balancer of Google Cloud: URL maps, one for each Ingress (ING-20).

use std::cmp::Reverse;

use crate::model::Name;
use crate::model::http::{PathMatch, RouteRule};
use crate::model::ingress::{Entry, PathType};

use super::{LeftOut, Scene, Site};

pub(super) fn rules(scene: &Scene<'_>, entry: Entry, left_out: &mut Vec<LeftOut>) -> Vec<RouteRule> {
    scene.host_by_host(entry, "ING-20", |site| {
        matches(site).unwrap_or_else(|| {
            left_out.push(LeftOut {
                ingress: site.id,
                rule: "ING-20",
                why: format!("`{}` has a `*` where it must not be", site.path.text()),
                span: site.path.span.or(site.ingress.span),
            });
            Vec::new()
        })
    })
}

/// What a path becomes in the URL map: longer ones first, whole ones before beginnings. `None`: it is dropped.
fn matches(site: &Site<'_>) -> Option<Vec<((Reverse<usize>, u8), PathMatch)>> {
    let text = site.path.text();
    let whole = |text: &str| ((Reverse(text.len()), 0), PathMatch::Exact(Name::from(text)));
    let below = |text: &str| ((Reverse(text.len()), 1), PathMatch::Characters(Name::from(text)));
    if site.path.path.is_none() {
        return Some(vec![below("/")]);
    }
    match site.path.kind {
        PathType::Exact | PathType::Prefix if text.contains('*') => None,
        PathType::Exact => Some(vec![whole(text)]),
        PathType::Prefix => {
            let bare = text.strip_suffix('/').unwrap_or(text);
            let below = below(&format!("{bare}/"));
            Some(if bare.is_empty() { vec![below] } else { vec![whole(bare), below] })
        }
        PathType::ImplementationSpecific => match text.strip_suffix('*') {
            Some(beginning) if beginning.ends_with('/') && !beginning.contains('*') => Some(vec![below(beginning)]),
            None if !text.contains('*') => Some(vec![whole(text)]),
            _ => None,
        },
    }
}
