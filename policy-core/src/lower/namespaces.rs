//! Namespaces: those of the input, and those that other objects speak of.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, NamespaceId};
use crate::lower::context::Context;
use crate::lower::input::Input;
use crate::model::{Name, Namespace};
use crate::snapshot::Object;

/// The label that every namespace carries (NP-11a).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// All namespaces, and their ids by name.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    pub(super) namespaces: IdVec<NamespaceId, Namespace>,
    pub(super) ids: FxHashMap<Name, NamespaceId>,
}

/// Lowers all namespaces.
pub(super) fn lower(input: &Input<'_>, context: &mut Context) -> Namespaces {
    let mut lowered = Namespaces::default();
    for (name, object) in &input.namespaces {
        let namespace = namespace(name, *object, context);
        let id = lowered.namespaces.push(namespace);
        lowered.ids.insert(name.clone(), id);
    }
    lowered
}

/// A namespace; without an object it has the labels that every namespace has (NP-34).
pub(super) fn namespace(name: &Name, object: Option<&Object>, context: &mut Context) -> Namespace {
    let written = object.and_then(|object| object.metadata.labels.as_ref());
    let mut labels: BTreeMap<Name, Name> = written.cloned().unwrap_or_default();
    let name_label = context.name(&Name::from(NAME_LABEL));
    let before = labels.insert(name_label, name.clone());
    let span = object.and_then(|object| object.span);
    // NP-11a
    if let Some(before) = before.filter(|before| before != name) {
        let message = format!("the label `{NAME_LABEL}` of namespace `{name}` says `{before}`");
        context.report(
            Diagnostic::warning("NP-11a", span, message)
                .help(format!("the API server always sets it to the name: read as `{name}`; remove the label")),
        );
    }
    Namespace { name: name.clone(), labels: context.labels(Some(&labels)), span }
}

#[cfg(test)]
mod tests {
    use crate::lower::testing::{lower_all, namespace, pod, policy, warnings, workload};

    #[test]
    fn every_namespace_that_is_spoken_of_exists() {
        // NP-34
        let (cluster, _) = lower_all(vec![
            pod("p", "a").done(),
            policy("q", "a").done(),
            workload("w", "Deployment", "a").done(),
            namespace("n").labels([("team", "a")]).done(),
        ]);
        let found: Vec<_> =
            cluster.namespaces.values().map(|found| format!("{} {}", found.name, found.labels)).collect();
        assert_eq!(
            found,
            [
                "n kubernetes.io/metadata.name=n,team=a",
                "p kubernetes.io/metadata.name=p",
                "q kubernetes.io/metadata.name=q",
                "w kubernetes.io/metadata.name=w",
            ]
        );
    }

    #[test]
    fn the_name_label_is_the_name_whatever_is_written() {
        // NP-11a
        let lying = namespace("y").labels([("kubernetes.io/metadata.name", "x")]).done();
        let honest = namespace("z").labels([("kubernetes.io/metadata.name", "z")]).done();
        let (cluster, found) = lower_all(vec![lying, honest, pod("y", "a").done()]);
        let labels: Vec<_> = cluster.namespaces.values().map(|namespace| namespace.labels.to_string()).collect();
        assert_eq!(labels, ["kubernetes.io/metadata.name=y", "kubernetes.io/metadata.name=z"]);
        assert_eq!(warnings(&found), ["NP-11a: the label `kubernetes.io/metadata.name` of namespace `y` says `x`"]);
    }
}
