//! What became of every object that was read: used, partly used, or not modelled (IN-17).
//!
//! Nothing is dropped silently: an answer can say whether something that was not understood could change it.

use std::sync::Arc;

use crate::manifest::reason;
use crate::snapshot::{Body, Effect, Object, Snapshot};
use crate::source::Span;

/// What became of every object of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// Every object, in the order of reading.
    pub objects: Vec<Covered>,
    /// How many there are of each sort.
    pub counts: Counts,
    /// Whether something was skipped before it became an object (a bad document under `--keep-going`).
    pub incomplete: bool,
}

/// What became of one object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Covered {
    /// `apiVersion`.
    pub api_version: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
    /// `metadata.namespace` as written.
    pub namespace: Option<Arc<str>>,
    /// `metadata.name`, or `metadata.generateName`.
    pub name: Option<Arc<str>>,
    /// Where it is.
    pub span: Option<Span>,
    /// How much of it counts.
    pub extent: Extent,
}

/// How much of an object was used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Extent {
    /// All that bears on reachability.
    Used,
    /// All but these fields.
    PartlyUsed {
        /// The fields, in the order in which they stand.
        fields: Vec<UnusedField>,
    },
    /// Nothing: no rule reads this kind.
    NotModelled {
        /// What ignoring it means.
        effect: Effect,
    },
}

/// A field that bears on reachability and is not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnusedField {
    /// The path from the object's root.
    pub path: String,
    /// Where it is.
    pub span: Option<Span>,
    /// Why it matters.
    pub reason: &'static str,
}

/// Numbers of objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Used whole.
    pub used: usize,
    /// Used but for some fields.
    pub partly_used: usize,
    /// Of kinds that are not modelled and cannot change an answer.
    pub harmless: usize,
    /// Of kinds that are not modelled and may allow or deny flows.
    pub policy: usize,
    /// Of kinds that are not modelled and may open or name a way in.
    pub way: usize,
    /// Of kinds that are not modelled and may stand for pods.
    pub workload: usize,
    /// Of kinds that nobody knows.
    pub unknown: usize,
}

impl Counts {
    /// All objects.
    #[must_use]
    pub fn total(&self) -> usize {
        self.used + self.partly_used + self.not_modelled()
    }

    /// Objects of kinds that are not modelled.
    #[must_use]
    pub fn not_modelled(&self) -> usize {
        self.harmless + self.policy + self.way + self.workload + self.unknown
    }

    /// Objects that are not modelled and could change an answer about what policy says: all but the harmless
    /// ones and the ways in, which do not change what policy says.
    #[must_use]
    pub fn could_change_an_answer(&self) -> usize {
        self.policy + self.workload + self.unknown
    }

    fn count(&mut self, extent: &Extent) {
        let counter = match extent {
            Extent::Used => &mut self.used,
            Extent::PartlyUsed { .. } => &mut self.partly_used,
            Extent::NotModelled { effect: Effect::None } => &mut self.harmless,
            Extent::NotModelled { effect: Effect::Policy } => &mut self.policy,
            Extent::NotModelled { effect: Effect::Way } => &mut self.way,
            Extent::NotModelled { effect: Effect::Workload } => &mut self.workload,
            Extent::NotModelled { effect: Effect::Unknown } => &mut self.unknown,
        };
        *counter += 1;
    }
}

impl Coverage {
    /// The objects of kinds that are not modelled and that could change an answer, in the order of reading.
    pub fn could_change_an_answer(&self) -> impl Iterator<Item = &Covered> {
        self.objects.iter().filter(|covered| {
            matches!(
                covered.extent,
                Extent::NotModelled { effect: Effect::Policy | Effect::Workload | Effect::Unknown }
            )
        })
    }
}

/// Accounts for every object of a snapshot.
#[must_use]
pub fn coverage(snapshot: &Snapshot) -> Coverage {
    let mut counts = Counts::default();
    let objects = snapshot.objects.iter().map(covered).inspect(|covered| counts.count(&covered.extent)).collect();
    Coverage { objects, counts, incomplete: snapshot.incomplete }
}

fn covered(object: &Object) -> Covered {
    Covered {
        api_version: object.api_version.clone(),
        kind: object.kind.clone(),
        namespace: object.metadata.namespace.clone(),
        name: object.metadata.name.clone().or_else(|| object.metadata.generate_name.clone()),
        span: object.span,
        extent: extent(object),
    }
}

// IN-17
fn extent(object: &Object) -> Extent {
    if let Body::NotModelled(effect) = object.body {
        return Extent::NotModelled { effect };
    }
    if object.unread.is_empty() {
        return Extent::Used;
    }
    let unused = object.unread.iter().map(|field| UnusedField {
        path: field.path.clone(),
        span: field.span,
        reason: reason(&field.path),
    });
    Extent::PartlyUsed { fields: unused.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ReadOptions, read};
    use crate::source::SourceMap;

    #[test]
    fn every_object_is_accounted_for() {
        // IN-17
        let mut sources = SourceMap::default();
        sources.add(
            "a.yaml",
            "\
{apiVersion: v1, kind: Namespace, metadata: {name: q}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {linkerd.io/inject: enabled}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
---
{apiVersion: route.openshift.io/v1, kind: Route, metadata: {name: s}}
---
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c, namespace: q}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: r}}
---
{apiVersion: example.com/v1, kind: Thing, metadata: {name: t}}
",
        );
        let (snapshot, problems) = read(&sources, &ReadOptions::default());
        assert_eq!(problems, []);
        let coverage = coverage(&snapshot);
        let counts = Counts { used: 1, partly_used: 1, harmless: 1, policy: 1, way: 1, workload: 1, unknown: 1 };
        assert_eq!(coverage.counts, counts);
        assert_eq!((counts.total(), counts.not_modelled(), counts.could_change_an_answer()), (7, 5, 3));
        let names: Vec<_> = coverage.could_change_an_answer().filter_map(|covered| covered.name.as_deref()).collect();
        assert_eq!(names, ["c", "r", "t"]);
        let Extent::PartlyUsed { fields } = &coverage.objects[1].extent else { panic!() };
        assert_eq!(fields[0].path, "metadata.labels[\"linkerd.io/inject\"]");
        assert_eq!(fields[0].reason, "a mesh redirects the pod's traffic");
        assert_eq!(sources.text(fields[0].span.unwrap()), "linkerd.io/inject");
    }
}
