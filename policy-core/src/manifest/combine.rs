//! Parts into one snapshot: objects that stand twice are found here (IN-9).

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use crate::diagnostic::Diagnostic;
use crate::snapshot::{Body, Object, Snapshot};
use crate::source::{SourceMap, Span};

use super::Part;
use super::document::title;
use super::findings::Text;
use super::kinds::{Class, classify, group};
use super::{json, object};

/// Puts parts together in their order. Diagnostics come in the order of the texts.
#[must_use]
pub fn combine(sources: &SourceMap, parts: Vec<Part>) -> (Snapshot, Vec<Diagnostic>) {
    let mut snapshot = Snapshot::default();
    let mut diagnostics = Vec::new();
    let mut canonical = Vec::new();
    snapshot.objects.reserve_exact(parts.iter().map(|part| part.objects.len()).sum());
    for part in parts {
        snapshot.incomplete |= part.incomplete;
        diagnostics.extend(part.diagnostics);
        for (object, is_canonical) in part.objects {
            snapshot.objects.push(object);
            canonical.push(is_canonical);
        }
    }
    let found = duplicates(sources, &snapshot.objects, &canonical);
    snapshot.incomplete |= found.iter().any(Diagnostic::is_error);
    diagnostics.extend(found);
    diagnostics.sort_by_key(|problem| problem.primary.as_ref().map(|label| label.span));
    (snapshot, diagnostics)
}

/// IN-9: the same kind, namespace and name twice.
fn duplicates(sources: &SourceMap, objects: &[Object], canonical: &[bool]) -> Vec<Diagnostic> {
    let mut first: FxHashMap<u64, usize> = FxHashMap::default();
    first.reserve(objects.len());
    let mut problems = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        let Some(key) = key(object) else { continue };
        let Some(&earlier_at) = first.get(&key) else {
            first.insert(key, at);
            continue;
        };
        let Some(earlier) = objects.get(earlier_at).filter(|earlier| same(earlier, object)) else { continue };
        let plain = |at: usize| canonical.get(at).copied().unwrap_or(true);
        let equal = earlier.fingerprint == object.fingerprint
            || (plain(at) != plain(earlier_at) || !plain(at)) && content(sources, earlier) == content(sources, object);
        problems.push(report(sources, earlier, object, equal));
    }
    problems
}

/// A hash of kind, namespace and name. Objects without a name, or with one that a server will make, have none.
fn key(object: &Object) -> Option<u64> {
    let mut hash = FxHasher::default();
    identity(object).hash(&mut hash);
    object.metadata.name.as_ref()?.hash(&mut hash);
    object.metadata.namespace.as_deref().unwrap_or_default().hash(&mut hash);
    Some(hash.finish())
}

/// Group and kind; a legacy apiVersion of a modelled kind is the same kind.
fn identity(object: &Object) -> (&str, &str) {
    match classify(&object.api_version, &object.kind) {
        Class::Modelled(model) | Class::Legacy(model) => (model.api_version(), model.kind()),
        _ => (group(&object.api_version), &object.kind),
    }
}

fn same(left: &Object, right: &Object) -> bool {
    identity(left) == identity(right)
        && left.metadata.name == right.metadata.name
        && left.metadata.namespace == right.metadata.namespace
}

/// The fingerprint of the content, read again from the text.
fn content(sources: &SourceMap, object: &Object) -> Option<u64> {
    let span = object.span?;
    let text = Text { source: span.source, text: &sources.get(span.source)?.text };
    let range = span.start as usize..span.end as usize;
    match json::parse(text, range) {
        Ok((node, _)) => Some(object::fingerprint(&node)),
        Err(_) => Some(object.fingerprint),
    }
}

fn report(sources: &SourceMap, earlier: &Object, later: &Object, equal: bool) -> Diagnostic {
    let place = later.span.map(|span| opening(sources, span));
    let message = format!("{} is there twice", title(later));
    let problem = if equal {
        Diagnostic::warning("IN-9", place, message).label("the same again").help("remove one of them")
    } else if matches!(later.body, Body::NotModelled(_)) {
        // No rule reads it, so no answer depends on which one counts.
        Diagnostic::warning("IN-9", place, message).label("with other content").help("remove one of them")
    } else {
        Diagnostic::error("IN-9", place, message)
            .label("with other content")
            .help("remove one of them, or read them apart: only one can be in the cluster")
    };
    problem.also(earlier.span.map(|span| opening(sources, span)), "first here")
}

/// The first line of a place.
fn opening(sources: &SourceMap, span: Span) -> Span {
    let line = sources.text(span).lines().next().map_or(0, |line| line.trim_end().len());
    Span { end: span.start.saturating_add(u32::try_from(line).unwrap_or(0)), ..span }
}
