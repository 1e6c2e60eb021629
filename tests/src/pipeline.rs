//! Texts to a cluster, and a cluster to something that judges flows.

use std::net::IpAddr;

use policy_core::analysis::Analysis;
use policy_core::diagnostic::Diagnostic;
use policy_core::ids::PodId;
use policy_core::lower::{LowerOptions, lower};
use policy_core::manifest::{ReadOptions, read};
use policy_core::model::{Cluster, Deliver, Family, Flow, Judge, Judgement, Party, Profile};
use policy_core::source::SourceMap;
use policy_core::spec::Spec;
use policy_core::ways::Ways;

/// Which evaluator answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Backend {
    /// The slow, obvious reference evaluator.
    Spec,
    /// Classes and tables.
    Compiled,
}

impl Backend {
    /// Both backends.
    pub const ALL: [Self; 2] = [Self::Spec, Self::Compiled];
}

/// What came of reading and lowering some texts.
#[derive(Debug)]
pub struct Loaded {
    /// The texts.
    pub sources: SourceMap,
    /// The cluster that they describe; objects with errors are left out of it.
    pub cluster: Cluster,
    /// Everything that reading and lowering had to say, in that order.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// The diagnostics that would stop an answer.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error())
    }

    /// A diagnostic on one line: `file:line:col: error[NP-31]: message`.
    #[must_use]
    pub fn describe(&self, diagnostic: &Diagnostic) -> String {
        let place = diagnostic.primary.as_ref().map(|label| format!("{}: ", self.sources.locate(label.span)));
        format!("{}{:?}[{}]: {}", place.unwrap_or_default(), diagnostic.severity, diagnostic.rule, diagnostic.message)
    }
}

/// Reads and lowers named texts, skipping what is bad.
#[must_use]
pub fn load(texts: impl IntoIterator<Item = (String, String)>) -> Loaded {
    load_with(texts, &LowerOptions::default())
}

/// The same with options.
#[must_use]
pub fn load_with(texts: impl IntoIterator<Item = (String, String)>, options: &LowerOptions) -> Loaded {
    let mut sources = SourceMap::default();
    for (name, text) in texts {
        sources.add(name, text);
    }
    let (snapshot, mut diagnostics) = read(&sources, &ReadOptions { keep_going: true, ..ReadOptions::default() });
    let (cluster, lowering) = lower(&snapshot, options);
    diagnostics.extend(lowering);
    Loaded { sources, cluster, diagnostics }
}

/// Runs `body` with an evaluator of `cluster` under `profile`.
pub fn with_judge<T>(backend: Backend, cluster: &Cluster, profile: &Profile, body: impl FnOnce(&dyn Judge) -> T) -> T {
    match backend {
        Backend::Spec => body(&Spec::new(cluster, profile)),
        Backend::Compiled => body(&Analysis::new(cluster.clone(), profile.clone())),
    }
}

/// Runs `body` with what `cluster`'s nodes do with packets under `profile`.
pub fn with_deliver<T>(
    backend: Backend,
    cluster: &Cluster,
    profile: &Profile,
    body: impl FnOnce(&dyn Deliver) -> T,
) -> T {
    match backend {
        Backend::Spec => body(&Spec::new(cluster, profile)),
        Backend::Compiled => body(&Ways::new(cluster, profile).on(cluster, profile)),
    }
}

/// One judgement by a fresh evaluator: for tests that ask little.
#[must_use]
pub fn judge_once(backend: Backend, cluster: &Cluster, profile: &Profile, flow: &Flow) -> Judgement {
    with_judge(backend, cluster, profile, |judge| judge.judge(flow))
}

/// The pod of this namespace and name.
#[must_use]
pub fn find_pod(cluster: &Cluster, namespace: &str, name: &str) -> Option<PodId> {
    let found = cluster.pods.iter().find(|(_, pod)| {
        *pod.name == *name
            && cluster.namespaces.get(pod.namespace).is_some_and(|candidate| *candidate.name == *namespace)
    });
    found.map(|(id, _)| id)
}

/// Who has this address: a pod with a network of its own, a node, or nobody in the cluster.
#[must_use]
pub fn party_at(cluster: &Cluster, address: IpAddr) -> Party {
    let family = Family::of(address);
    let pod = cluster.pods.iter().find(|(_, pod)| !pod.host_network && pod.address(family) == Some(address));
    let node = || cluster.nodes.iter().find(|(_, node)| node.addresses.iter().any(|candidate| candidate.ip == address));
    match pod {
        Some((id, _)) => Party::Pod(id),
        None => node().map_or(Party::Address(address), |(id, _)| Party::Node(id)),
    }
}
