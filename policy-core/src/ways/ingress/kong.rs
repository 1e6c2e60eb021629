//! Kong: routes, those with more kinds of criteria first (ING-23).

use std::cmp::Reverse;

use crate::model::Name;
use crate::model::http::{HttpRegex, PathMatch, RegexStyle, RequestMatch, RouteRule, ValueMatch};
use crate::model::ingress::{Entry, HostFacts, Ingress, PathType};

use super::list::{Draft, Rules};
use super::{HostKey, Scene, Site, at};

/// More kinds of criteria, plain hosts, more headers, regular expressions, longer paths.
type Key = (Reverse<usize>, u8, Reverse<usize>, u8, Reverse<usize>);

pub(super) fn rules(scene: &Scene<'_>, entry: Entry) -> Vec<RouteRule> {
    let mut drafts: Vec<(Key, Draft)> = Vec::new();
    for (HostKey(rank, host), found) in scene.hosts() {
        for site in &found.sites {
            let (regex, text, path) = path(site);
            let kong = &site.ingress.annotations.kong;
            let kinds = [rank < 2, true, !kong.methods.is_empty(), !kong.headers.is_empty()];
            let kinds = kinds.into_iter().filter(|kind| *kind).count();
            let key = (Reverse(kinds), rank, Reverse(kong.headers.len()), u8::from(!regex), Reverse(text.len()));
            let when =
                RequestMatch { methods: kong.methods.clone(), headers: headers(site.ingress), ..at(&host, path) };
            let effect = scene.plain(site, entry);
            drafts.push((key, Draft { when, effect, origin: scene.origin(site), rule: "ING-23" }));
        }
    }
    // The default backend is a route for `/` like any other.
    if let Some(default) = scene.default_of(&scene.ingresses, entry, HostFacts::default()) {
        drafts.push(((Reverse(1), 2, Reverse(0), 1, Reverse(1)), default));
    }
    let mut rules = Rules::default();
    rules.push_sorted(drafts);
    rules.done()
}

/// Whether a path counts as regular expression, its text, and what it takes.
fn path(site: &Site<'_>) -> (bool, String, PathMatch) {
    let text = flattened(site.path.text());
    match site.path.kind {
        PathType::Exact => (true, text.clone(), PathMatch::Exact(Name::from(text))),
        PathType::Prefix if text == "/" => (false, text, PathMatch::Any),
        PathType::Prefix => (true, text.clone(), PathMatch::elements(&text)),
        PathType::ImplementationSpecific => match site.path.text().strip_prefix("/~") {
            Some(pattern) => {
                let style = RegexStyle { from_start: true, to_end: false, ignore_case: false };
                (true, pattern.to_owned(), PathMatch::Regex(HttpRegex::new(pattern, style)))
            }
            None => (false, text.clone(), PathMatch::Characters(Name::from(text))),
        },
    }
}

/// A path with single slashes.
fn flattened(text: &str) -> String {
    let mut flat = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '/' || !flat.ends_with('/') {
            flat.push(c);
        }
    }
    flat
}

fn headers(ingress: &Ingress) -> Vec<(Name, ValueMatch)> {
    let value = |values: &[Name]| match values {
        [] => ValueMatch::Present,
        [one] => ValueMatch::Exact(one.clone()),
        several => {
            let quoted = |value: &Name| {
                let quoted =
                    value.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\{c}") });
                quoted.collect::<String>()
            };
            let pattern = several.iter().map(quoted).collect::<Vec<_>>().join("|");
            ValueMatch::Regex(HttpRegex::new(&pattern, RegexStyle::WHOLE))
        }
    };
    ingress.annotations.kong.headers.iter().map(|(name, values)| (name.clone(), value(values))).collect()
}
