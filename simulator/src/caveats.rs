//! What an answer leaves out: objects that are not modelled and could change it, and input that was skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use policy_core::model::{Cluster, Name, NotModelled};
use policy_core::snapshot::Effect;
use policy_core::source::SourceMap;

use crate::dto;
use crate::render::{Output, counted, escape};

/// The namespaces that an answer is about; `None` when it is about all of them.
pub(crate) type Scope = Option<BTreeSet<Name>>;

/// What is to be said beside an answer.
#[derive(Debug)]
pub(crate) struct Caveats<'a> {
    incomplete: bool,
    groups: Vec<Vec<&'a NotModelled>>,
}

impl<'a> Caveats<'a> {
    /// The caveats of an answer about `scope`.
    pub(crate) fn new(cluster: &'a Cluster, scope: &Scope) -> Self {
        let mut groups: BTreeMap<(Effect, &str, &str), Vec<&NotModelled>> = BTreeMap::new();
        for object in cluster.not_modelled.iter().filter(|object| bears_on(object, scope)) {
            groups.entry((object.effect, &object.kind, &object.api_version)).or_default().push(object);
        }
        Self { incomplete: cluster.incomplete, groups: groups.into_values().collect() }
    }

    /// One line each on standard error.
    pub(crate) fn print(&self, sources: &SourceMap, output: &mut Output<'_>) -> io::Result<()> {
        if self.incomplete {
            output.notice("incomplete", "part of the input was skipped; what was skipped could change this answer")?;
        }
        for group in &self.groups {
            let Some(first) = group.first() else { continue };
            let place = first.span.map(|span| format!(", {}", sources.locate(span))).unwrap_or_default();
            let line = format!(
                "{} not modelled: {} (first: {}{place})",
                counted(group.len(), &escape(&first.kind)),
                consequence(first.effect),
                escape(&full_name(first)),
            );
            output.notice("coverage", &line)?;
        }
        Ok(())
    }

    /// The same for documents.
    pub(crate) fn to_dto(&self, sources: &SourceMap) -> dto::Caveats {
        let not_modelled = self.groups.iter().filter_map(|group| {
            let first = group.first()?;
            Some(dto::NotModelled {
                api_version: first.api_version.to_string(),
                kind: first.kind.to_string(),
                effect: dto::Effect::from(first.effect),
                count: group.len(),
                first: full_name(first),
                source: first.span.map(|span| sources.locate(span).to_string()),
            })
        });
        dto::Caveats { incomplete: self.incomplete, not_modelled: not_modelled.collect() }
    }
}

/// A policy acts on its own namespace, so it cannot change answers about others; anything else may.
fn bears_on(object: &NotModelled, scope: &Scope) -> bool {
    match (object.effect, scope, &object.namespace) {
        (Effect::None, _, _) => false,
        (Effect::Policy, Some(scope), Some(namespace)) => scope.contains(namespace),
        _ => true,
    }
}

/// What ignoring such an object means.
pub(crate) fn consequence(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "changes no answer",
        Effect::Policy => "may allow or deny what this answer is about",
        Effect::Way => "may add ways in that this answer does not show",
        Effect::Workload => "may stand for pods that this answer lacks",
        Effect::Unknown => "may or may not change this answer",
    }
}

fn full_name(object: &NotModelled) -> String {
    match &object.namespace {
        Some(namespace) => format!("{namespace}/{}", object.name),
        None => object.name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, effect: Effect, namespace: Option<&str>, name: &str) -> NotModelled {
        let namespace = namespace.map(Name::from);
        NotModelled { api_version: "x/v1".into(), kind: kind.into(), namespace, name: name.into(), effect, span: None }
    }

    fn lines(scope: &[&str]) -> Vec<(String, usize)> {
        let cluster = Cluster {
            not_modelled: vec![
                object("CiliumNetworkPolicy", Effect::Policy, Some("shop"), "a"),
                object("CiliumNetworkPolicy", Effect::Policy, Some("shop"), "b"),
                object("CiliumNetworkPolicy", Effect::Policy, Some("other"), "c"),
                object("AdminNetworkPolicy", Effect::Policy, None, "d"),
                object("Ingress", Effect::Way, Some("other"), "e"),
            ],
            ..Cluster::default()
        };
        let scope = Some(scope.iter().map(|name| Name::from(*name)).collect());
        let caveats = Caveats::new(&cluster, &scope).to_dto(&SourceMap::default());
        caveats.not_modelled.into_iter().map(|group| (group.kind, group.count)).collect()
    }

    #[test]
    fn policies_of_other_namespaces_bear_on_nothing_here() {
        let wanted =
            [("AdminNetworkPolicy".to_owned(), 1), ("CiliumNetworkPolicy".to_owned(), 2), ("Ingress".to_owned(), 1)];
        assert_eq!(lines(&["shop"]), wanted);
    }

    #[test]
    fn cluster_wide_objects_always_count() {
        assert_eq!(lines(&["quiet"]), [("AdminNetworkPolicy".to_owned(), 1), ("Ingress".to_owned(), 1)]);
    }
}
