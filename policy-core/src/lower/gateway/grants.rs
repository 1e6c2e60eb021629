//! ReferenceGrants: who may refer to what in another namespace (GW-11).

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::lower::gateway::names::{required, text};
use crate::lower::gateway::{GROUP, Objects};
use crate::lower::input::Key;
use crate::model::Name;
use crate::snapshot::gateway::{Body, ReferenceGrantSpec};
use crate::source::Span;

/// All grants, by the namespace that they lie in.
#[derive(Debug, Default)]
pub(super) struct Grants {
    by_namespace: BTreeMap<Name, Vec<Grant>>,
}

#[derive(Debug)]
struct Grant {
    from: Vec<(Name, Name, Name)>,
    to: Vec<(Name, Name, Option<Name>)>,
    span: Option<Span>,
}

/// A reference into another namespace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    /// The kind that refers, of the Gateway API, and its namespace.
    pub(super) from: (&'a str, &'a str),
    /// Group and kind of what is meant.
    pub(super) to: (&'a str, &'a str),
    /// Its namespace and name.
    pub(super) target: (&'a str, &'a str),
}

impl Grants {
    /// Lowers all grants.
    pub(super) fn lower(
        objects: &Objects<'_, Key, Body<ReferenceGrantSpec>>,
        context: &mut Context,
        refused: &mut bool,
    ) -> Self {
        let mut grants = Self::default();
        for ((namespace, _), (object, body)) in objects {
            let errors = context.errors();
            let place = object.span;
            let spec = body.spec.as_ref();
            let (from, to) = (spec.and_then(|spec| spec.from.as_deref()), spec.and_then(|spec| spec.to.as_deref()));
            for (what, list) in [("from", from), ("to", to)] {
                if list.unwrap_or_default().is_empty() {
                    let problem = Diagnostic::error("GW-11", place, format!("this ReferenceGrant has no `{what}`"));
                    context.report(problem.help("say who may refer (`from`) and to what (`to`)"));
                }
            }
            let mut grant = Grant { from: Vec::new(), to: Vec::new(), span: place };
            for entry in from.unwrap_or_default() {
                let at = entry.span.or(place);
                let kind = required("GW-11", "kind", entry.value.kind.as_ref(), at, context);
                let from = required("GW-11", "namespace", entry.value.namespace.as_ref(), at, context);
                let group = required("GW-11", "group", entry.value.group.as_ref(), at, context);
                if let (Some(group), Some(kind), Some(from)) = (group, kind, from) {
                    grant.from.push((group.value.clone(), kind.value.clone(), from.value.clone()));
                }
            }
            for entry in to.unwrap_or_default() {
                let at = entry.span.or(place);
                let kind = required("GW-11", "kind", entry.value.kind.as_ref(), at, context);
                let group = required("GW-11", "group", entry.value.group.as_ref(), at, context);
                if let (Some(group), Some(kind)) = (group, kind) {
                    let name = text(entry.value.name.as_ref()).cloned();
                    grant.to.push((group.value.clone(), kind.value.clone(), name));
                }
            }
            if context.errors() == errors {
                grants.by_namespace.entry(namespace.clone()).or_default().push(grant);
            } else {
                *refused = true;
            }
        }
        grants
    }

    /// Whether a reference is permitted: inside a namespace always, into another one by a grant there.
    pub(super) fn permit(&self, reference: Reference<'_>) -> bool {
        reference.from.1 == reference.target.0 || self.in_namespace(reference, reference.target.0).is_some()
    }

    /// A grant that would permit the reference if it lay in the other namespace.
    pub(super) fn misplaced(&self, reference: Reference<'_>) -> Option<Option<Span>> {
        self.in_namespace(reference, reference.from.1).map(|grant| grant.span)
    }

    fn in_namespace(&self, reference: Reference<'_>, namespace: &str) -> Option<&Grant> {
        let Reference { from, to, target } = reference;
        let fits = |grant: &&Grant| {
            let from_fits = |(group, kind, namespace): &(Name, Name, Name)| {
                **group == *GROUP && **kind == *from.0 && **namespace == *from.1
            };
            let to_fits = |(group, kind, name): &(Name, Name, Option<Name>)| {
                **group == *to.0 && **kind == *to.1 && name.as_ref().is_none_or(|name| **name == *target.1)
            };
            grant.from.iter().any(from_fits) && grant.to.iter().any(to_fits)
        };
        self.by_namespace.get(namespace)?.iter().find(fits)
    }
}
