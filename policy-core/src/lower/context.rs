//! What all families share while they lower: one allocation for equal values, and the findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::diagnostic::Diagnostic;
use crate::model::{ContainerPort, HostPort, LabelSet, Name};

/// Interners and diagnostics of one lowering.
#[derive(Debug, Default)]
pub(super) struct Context {
    names: FxHashSet<Name>,
    labels: FxHashSet<LabelSet>,
    ports: FxHashSet<Arc<[ContainerPort]>>,
    host_ports: FxHashSet<Arc<[HostPort]>>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
}

impl Context {
    /// The one allocation of a text.
    pub(super) fn name(&mut self, text: &Name) -> Name {
        if let Some(known) = self.names.get(text) {
            return known.clone();
        }
        self.names.insert(text.clone());
        text.clone()
    }

    /// The one allocation of a label set; none is the empty set.
    pub(super) fn labels(&mut self, written: Option<&BTreeMap<Name, Name>>) -> LabelSet {
        let pairs = written.into_iter().flatten();
        let labels: BTreeMap<_, _> = pairs.map(|(key, value)| (self.name(key), self.name(value))).collect();
        let labels = LabelSet::from(labels);
        if let Some(known) = self.labels.get(&labels) {
            return known.clone();
        }
        self.labels.insert(labels.clone());
        labels
    }

    /// The one allocation of a port list.
    pub(super) fn ports(&mut self, ports: Vec<ContainerPort>) -> Arc<[ContainerPort]> {
        if let Some(known) = self.ports.get(ports.as_slice()) {
            return known.clone();
        }
        let ports: Arc<[ContainerPort]> = ports.into();
        self.ports.insert(ports.clone());
        ports
    }

    /// The one allocation of a list of host ports.
    pub(super) fn host_ports(&mut self, ports: Vec<HostPort>) -> Arc<[HostPort]> {
        if let Some(known) = self.host_ports.get(ports.as_slice()) {
            return known.clone();
        }
        let ports: Arc<[HostPort]> = ports.into();
        self.host_ports.insert(ports.clone());
        ports
    }

    /// Forgets the allocations that nobody else uses.
    pub(super) fn forget_unused(&mut self) {
        self.labels.retain(|labels| !labels.is_unshared());
        self.ports.retain(|ports| Arc::strong_count(ports) > 1);
        self.host_ports.retain(|ports| Arc::strong_count(ports) > 1);
        self.names.retain(|name| Arc::strong_count(name) > 1);
    }

    /// The findings so far, sorted by place. They are not kept.
    pub(super) fn take_diagnostics(&mut self) -> Vec<Diagnostic> {
        let diagnostics = std::mem::take(&mut self.diagnostics);
        Self { diagnostics, ..Self::default() }.into_diagnostics()
    }

    /// Keeps a finding.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.is_error());
        self.diagnostics.push(diagnostic);
    }

    /// How many findings so far stop an answer.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// All findings, sorted by place, so that the order of the input does not show.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by(|a, b| {
            let key = |found: &Diagnostic| (found.primary.as_ref().map(|label| label.span), found.rule);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        self.diagnostics
    }
}
