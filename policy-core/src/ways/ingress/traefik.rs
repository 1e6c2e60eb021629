//! Traefik: routers, whose rules compete by their length (ING-22).

use std::cmp::Reverse;

use crate::model::Name;
use crate::model::http::{HostMatch, HttpRegex, PathMatch, RegexStyle, RouteRule};
use crate::model::ingress::{Entry, HostFacts, PathMatcher, PathType};

use super::list::{Draft, Rules};
use super::{HostKey, Scene, Site, at};

pub(super) fn rules(scene: &Scene<'_>, entry: Entry) -> Vec<RouteRule> {
    let mut drafts = Vec::new();
    for (HostKey(_, host), found) in scene.hosts() {
        for site in found.sites.iter().filter(|site| is_at(site, entry)) {
            let (text, path) = path(scene, site);
            let length = [host_text(&host), text].into_iter().flatten().reduce(|host, path| host + " && ".len() + path);
            let length = i64::try_from(length.unwrap_or_default()).unwrap_or(i64::MAX);
            let told = site.ingress.annotations.traefik.priority;
            let priority = if told == 0 { length } else { told };
            let effect = scene.plain(site, entry);
            let origin = scene.origin(site);
            drafts.push((Reverse(priority), Draft { when: at(&host, path), effect, origin, rule: "ING-22" }));
        }
    }
    let mut rules = Rules::default();
    rules.push_sorted(drafts);
    // Only Ingresses without any rule have a default backend here.
    let without_rules: Vec<_> =
        scene.ingresses.iter().filter(|(_, ingress)| ingress.rules.is_empty()).copied().collect();
    rules.push(scene.default_of(&without_rules, entry, HostFacts::default()));
    rules.done()
}

/// Whether a router is at an entry point. Names other than the usual two say nothing.
fn is_at(site: &Site<'_>, entry: Entry) -> bool {
    let names = &site.ingress.annotations.traefik.entry_points;
    let usual = |name: &Name| matches!(&**name, "web" | "websecure");
    let wanted = match entry {
        Entry::Plain => "web",
        Entry::Tls => "websecure",
    };
    names.is_empty() || !names.iter().all(usual) || names.iter().any(|name| **name == *wanted)
}

/// The length of the part of the rule that says the host.
fn host_text(host: &HostMatch) -> Option<usize> {
    match host {
        HostMatch::Exact(name) => Some("Host(``)".len() + name.len()),
        HostMatch::OneLabel(name) => Some("Host(`*.`)".len() + name.len()),
        _ => None,
    }
}

/// The length of the part that says the path, and what it takes.
fn path(scene: &Scene<'_>, site: &Site<'_>) -> (Option<usize>, PathMatch) {
    let Some(text) = &site.path.path else { return (None, PathMatch::Any) };
    let whole = || (Some("Path(``)".len() + text.len()), PathMatch::Exact(text.clone()));
    let beginning = || (Some("PathPrefix(``)".len() + text.len()), PathMatch::Characters(text.clone()));
    match (site.path.kind, site.ingress.annotations.traefik.matcher) {
        (PathType::Exact, _) | (PathType::ImplementationSpecific, PathMatcher::Path) => whole(),
        (PathType::Prefix, _) if scene.controller.settings.strict_prefix && **text != *"/" => {
            let bare = text.strip_suffix('/').unwrap_or(text);
            let length = "(Path(``) || PathPrefix(`/`))".len() + 2 * bare.len();
            (Some(length), PathMatch::elements(text))
        }
        (PathType::ImplementationSpecific, PathMatcher::PathRegexp) => {
            let style = RegexStyle { from_start: false, to_end: false, ignore_case: false };
            (Some("PathRegexp(``)".len() + text.len()), PathMatch::Regex(HttpRegex::new(text, style)))
        }
        _ => beginning(),
    }
}
