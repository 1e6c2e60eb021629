//! From the tree of a document to its objects: lists are opened, what is no Kubernetes object is said (IN-10).

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::snapshot::Object;
use crate::source::{Span, Spanned};

use super::findings::{Text, shorten};
use super::kinds::{Class, classify};
use super::object::{self, Head};
use super::tree::{Node, Value};
use super::yaml::Document;
use super::{Part, ReadOptions};

/// Reads the documents of one text into a [`Part`].
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    pub(crate) text: Text<'t>,
    pub(crate) options: &'t ReadOptions,
    pub(crate) part: Part,
    /// Where the tree of the current document has errors, sorted.
    damage: Vec<u32>,
}

/// What a list says about its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListHead {
    /// `apiVersion` of items that have none.
    pub(crate) api_version: Arc<str>,
    /// `kind` of items that have none.
    pub(crate) kind: Arc<str>,
}

/// The kind of the items of a list: nothing for `List`, whose items say it themselves.
pub(crate) fn list_head(api_version: &str, kind: &str) -> Option<ListHead> {
    let item = kind.strip_suffix("List").filter(|item| !item.is_empty())?;
    Some(ListHead { api_version: api_version.into(), kind: item.into() })
}

/// Whether objects of this kind hold others in `items`.
pub(crate) fn is_list(kind: &str) -> bool {
    kind.ends_with("List")
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: Text<'t>, options: &'t ReadOptions) -> Self {
        Self { text, options, part: Part::default(), damage: Vec::new() }
    }

    /// Reads a whole document. `problems` were found while its tree was built.
    pub(crate) fn document(&mut self, document: Document<'_>, range: Range<usize>) {
        let Document { root, problems } = document;
        let Some(root) = root else {
            self.broken(problems, range);
            return;
        };
        self.tree(&root, None, problems);
    }

    /// Reads a document or an item of a list from its tree.
    pub(crate) fn tree(&mut self, root: &Node<'_>, list: Option<&ListHead>, problems: Vec<Diagnostic>) {
        let errors = problems.iter().filter(|problem| problem.is_error());
        self.damage = errors.filter_map(|problem| problem.primary.as_ref()).map(|label| label.span.start).collect();
        self.damage.sort_unstable();
        self.part.incomplete |= !self.damage.is_empty();
        self.part.diagnostics.extend(problems);
        match &root.value {
            Value::Null if list.is_none() => {}
            Value::Map(_) => self.value(root, list),
            _ => self.foreign(self.text.node(root), "this document is not a map"),
        }
    }

    /// A document without a tree.
    pub(crate) fn broken(&mut self, problems: Vec<Diagnostic>, range: Range<usize>) {
        self.part.incomplete = true;
        let written = self.text.text.get(range.clone()).unwrap_or_default();
        let Some(open) = written.find("{{") else {
            self.part.diagnostics.extend(problems);
            return;
        };
        // IN-10
        let action = written.get(open..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let length = action.find("}}").map_or(action.trim_end().len(), |close| close + 2);
        let place = self.text.span(range.start + open..range.start + open + length);
        let problem = Diagnostic::error("IN-10", Some(place), "this is a template, not YAML")
            .help("render it first (`helm template …`), or skip it with `--keep-going`");
        self.part.diagnostics.push(problem);
    }

    /// IN-10: something that is no Kubernetes object.
    fn foreign(&mut self, place: Span, message: &str) {
        let first_line =
            self.text.text.get(place.start as usize..place.end as usize).and_then(|text| text.lines().next());
        let place = Span { end: place.start + u32::try_from(first_line.map_or(0, str::len)).unwrap_or(0), ..place };
        let problem = Diagnostic::warning("IN-10", Some(place), format!("{message}: skipped"))
            .help("a Kubernetes object has `apiVersion` and `kind`");
        self.part.diagnostics.push(problem);
    }

    /// A map that should be an object or a list.
    fn value(&mut self, node: &Node<'_>, list: Option<&ListHead>) {
        let Some(head) = self.head(node, list) else { return };
        if is_list(&head.kind.value) && (&*head.kind.value == "List" || node.get("items").is_some()) {
            self.list(node, &head);
        } else {
            self.object(node, &head);
        }
    }

    fn list(&mut self, node: &Node<'_>, head: &Head) {
        let Some(items) = node.entry("items") else {
            let problem = Diagnostic::error("IN-4", head.kind.span, "a List without `items`");
            self.refuse(problem);
            return;
        };
        let list = list_head(&head.api_version.value, &head.kind.value);
        match &items.value.value {
            Value::Seq(nodes) => {
                for item in nodes {
                    match &item.value {
                        Value::Map(_) => self.value(item, list.as_ref()),
                        _ => self.foreign(self.text.node(item), "this item is not an object"),
                    }
                }
            }
            Value::Null => {}
            _ => self.refuse(Diagnostic::error("IN-4", Some(self.text.key(&items.key)), "`items` is not a list")),
        }
    }

    pub(crate) fn refuse(&mut self, problem: Diagnostic) {
        self.part.incomplete = true;
        self.part.diagnostics.push(problem);
    }

    /// `apiVersion` and `kind`, from the list where the object has none.
    fn head(&mut self, node: &Node<'_>, list: Option<&ListHead>) -> Option<Head> {
        let mut bad = false;
        let mut text = |key: &str, fallback: Option<&Arc<str>>| match node.get(key).map(|value| (value, &value.value)) {
            Some((value, Value::Str(text))) if !text.is_empty() => {
                Some(Spanned { value: Arc::from(text.as_ref()), span: Some(self.text.node(value)) })
            }
            Some((_, Value::Null)) | None | Some((_, Value::Str(_))) => fallback.cloned().map(Spanned::nowhere),
            Some((value, _)) => {
                let place = Some(self.text.node(value));
                let problem = Diagnostic::error("IN-4", place, format!("expected `{key}` to be a string"));
                self.part.diagnostics.push(problem);
                bad = true;
                None
            }
        };
        let api_version = text("apiVersion", list.map(|list| &list.api_version));
        let kind = text("kind", list.map(|list| &list.kind));
        if bad {
            self.part.incomplete = true;
            return None;
        }
        match (api_version, kind) {
            (Some(api_version), Some(kind)) => Some(Head { api_version, kind }),
            // IN-10
            (None, Some(kind)) if known_somewhere(&kind.value) => {
                let problem = Diagnostic::error("IN-10", kind.span, format!("this {} has no `apiVersion`", kind.value));
                self.refuse(problem);
                None
            }
            _ => {
                self.foreign(self.text.node(node), "this document is not a Kubernetes object");
                None
            }
        }
    }

    fn object(&mut self, node: &Node<'_>, head: &Head) {
        let made = object::object(self.text, node, head);
        if &*head.kind.value == "Kustomization" || head.api_version.value.starts_with("kustomize.config.k8s.io/") {
            let problem = Diagnostic::note("IN-10", head.kind.span, "kustomizations are not built here")
                .help("read what `kustomize build` or `kubectl kustomize` prints instead");
            self.part.diagnostics.push(problem);
        }
        let next = self.damage.partition_point(|start| *start < node.start);
        let duplicates = self.damage.get(next).is_some_and(|start| *start <= node.end);
        let errors = made.problems.iter().filter(|problem| problem.is_error());
        let (unknown, other): (Vec<_>, Vec<_>) = errors.partition(|problem| problem.rule == "IN-3");
        let faulty = duplicates || !unknown.is_empty() || !other.is_empty() || made.object.is_none();
        self.part.incomplete |= faulty;
        // An object with a stray field can still be checked further; one with a wrong value would mislead.
        let usable = !faulty || (!self.options.keep_going && !duplicates && other.is_empty());
        self.part.diagnostics.extend(made.problems);
        if let Some(object) = made.object.filter(|_| usable) {
            self.push(object, true);
        }
    }

    /// Hands an object on. `canonical`: its fingerprint does not depend on the layout.
    pub(crate) fn push(&mut self, object: Object, canonical: bool) {
        self.part.objects.push((object, canonical));
    }
}

/// Whether an object of this kind matters enough that a missing apiVersion is an error.
fn known_somewhere(kind: &str) -> bool {
    [
        "v1",
        "apps/v1",
        "batch/v1",
        "networking.k8s.io/v1",
        "policy.networking.k8s.io/v1alpha2",
        "policy.networking.k8s.io/v1alpha1",
    ]
    .iter()
    .any(|version| matches!(classify(version, kind), Class::Modelled(_)))
}

/// The first line of an object's name for messages: `Kind namespace/name`.
pub(crate) fn title(object: &Object) -> String {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match object.metadata.namespace.as_deref() {
        Some(namespace) => format!("{} {}", object.kind, shorten(&format!("{namespace}/{name}"))),
        None => format!("{} {}", object.kind, shorten(name)),
    }
}
