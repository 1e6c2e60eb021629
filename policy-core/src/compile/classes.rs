//! Label classes: pods that every selector and every port name treats alike (design: subject and peer classes).

use std::sync::Arc;

use fixedbitset::FixedBitSet;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::compile::class_set::ClassSet;
use crate::compile::interner::Interner;
use crate::compile::ports::PortTable;
use crate::compile::selectors::{Keys, Postings};
use crate::compile::{ClassId, PortTableId, ProjectionId};
use crate::ids::{Id, IdVec, NamespaceId, PodId};
use crate::model::{
    Cluster, Direction, Name, NamespaceScope, Peer, Peers, PodSelection, PortMatch, Ports, Profile, Protocol, Selector,
    TierPeer, TierPeers, TierRule, premise,
};

/// One label class.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Class {
    pub(super) namespace: NamespaceId,
    projection: ProjectionId,
    pub(super) ports: PortTableId,
    /// On the host's network, and a pod to NetworkPolicies nevertheless: cluster-wide policies pass it over (CNP-6,
    /// CNP-7). Never set without such policies.
    pub(super) host: bool,
}

/// All label classes, and which pod is in which.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    pub(super) classes: IdVec<ClassId, Class>,
    pub(super) tables: IdVec<PortTableId, PortTable>,
    /// `None` for hosts, to which no selector applies (NP-22).
    of_pod: IdVec<PodId, Option<ClassId>>,
    by_namespace: IdVec<NamespaceId, Vec<ClassId>>,
    by_projection: IdVec<ProjectionId, Vec<ClassId>>,
}

impl Classes {
    pub(super) fn of_pod(&self, pod: PodId) -> Option<ClassId> {
        *self.of_pod.at(pod)
    }

    pub(super) fn table_of(&self, class: Option<ClassId>) -> Option<&PortTable> {
        class.map(|class| self.tables.at(self.classes.at(class).ports))
    }
}

/// Sorts pods into classes and answers selectors about them.
#[derive(Debug)]
pub(super) struct Classifier<'a> {
    pub(super) classes: Classes,
    projections: Postings<'a>,
    namespaces: Postings<'a>,
    pods_matching: FxHashMap<&'a Selector, FixedBitSet>,
    namespaces_matching: FxHashMap<&'a Selector, FixedBitSet>,
}

/// Every peer that selects pods.
fn pod_peers(cluster: &Cluster) -> impl Iterator<Item = (&NamespaceScope, &Selector)> {
    let rules = cluster.policies.values().flat_map(|policy| {
        Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction).unwrap_or_default())
    });
    let peers = rules.flat_map(|rule| match &rule.peers {
        Peers::Any => [].as_slice(),
        Peers::OneOf(peers) => peers.as_slice(),
    });
    peers.filter_map(|peer| match peer {
        Peer::Pods { namespaces, pods, .. } => Some((namespaces, pods)),
        Peer::Block(_) => None,
    })
}

fn tier_rules(cluster: &Cluster) -> impl Iterator<Item = &TierRule> {
    cluster.cluster_policies.values().flat_map(|policy| policy.ingress.iter().chain(&policy.egress))
}

/// Every selection of pods by a cluster-wide policy.
fn tier_selections(cluster: &Cluster) -> impl Iterator<Item = &PodSelection> {
    let peers = tier_rules(cluster).flat_map(|rule| match &rule.peers {
        TierPeers::Any => [].as_slice(),
        TierPeers::OneOf(peers) => peers.as_slice(),
    });
    let peers = peers.filter_map(|peer| match peer {
        TierPeer::Pods { selection, .. } => Some(selection),
        _ => None,
    });
    cluster.cluster_policies.values().map(|policy| &policy.subject).chain(peers)
}

/// The port names that some policy mentions.
fn mentioned_names(cluster: &Cluster) -> FxHashSet<(Protocol, &str)> {
    let rules = cluster.policies.values().flat_map(|policy| {
        Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction).unwrap_or_default())
    });
    let tier_rules = tier_rules(cluster).map(|rule| &rule.ports);
    let entries = rules.map(|rule| &rule.ports).chain(tier_rules).flat_map(|ports| match ports {
        Ports::Any => [].as_slice(),
        Ports::OneOf(entries) => entries.as_slice(),
    });
    let named = entries.filter_map(|entry| match &entry.port {
        PortMatch::Name(name) => Some((entry.protocol, Name::as_ref(name))),
        _ => None,
    });
    named.collect()
}

impl<'a> Classifier<'a> {
    pub(super) fn new(cluster: &'a Cluster, profile: &Profile) -> Self {
        let subjects = cluster.policies.values().map(|policy| &policy.selector);
        let selections = || tier_selections(cluster);
        let pods = subjects.chain(pod_peers(cluster).map(|(_, pods)| pods));
        let pod_keys = Keys::read_by(pods.chain(selections().map(|selection| &selection.pods)));
        let spaces = pod_peers(cluster).filter_map(|(namespaces, _)| match namespaces {
            NamespaceScope::Own => None,
            NamespaceScope::Matching(selector) => Some(selector),
        });
        let namespace_keys = Keys::read_by(spaces.chain(selections().map(|selection| &selection.namespaces)));
        let names = mentioned_names(cluster);

        let mut projections: Interner<ProjectionId, Vec<(&'a str, &'a str)>> = Interner::default();
        let mut tables: Interner<PortTableId, PortTable> = Interner::default();
        let mut classes: Interner<ClassId, Class> = Interner::default();
        let no_table = tables.intern(PortTable::default());
        let mut known: FxHashMap<(NamespaceId, usize, usize, bool), ClassId> = FxHashMap::default();
        let of_pod = cluster
            .pods
            .values()
            .map(|pod| {
                if premise::is_host(pod, profile) {
                    return None;
                }
                // Replicas share their labels and ports: look at each shared pair once.
                let host = pod.host_network && !cluster.cluster_policies.is_empty();
                let key = (pod.namespace, pod.labels.allocation(), Arc::as_ptr(&pod.ports).addr(), host);
                Some(*known.entry(key).or_insert_with(|| {
                    let projection = projections.intern(pod_keys.project(&pod.labels));
                    let ports = if names.is_empty() {
                        no_table
                    } else {
                        tables.intern(PortTable::new(&pod.ports, &names, profile))
                    };
                    classes.intern(Class { namespace: pod.namespace, projection, ports, host })
                }))
            })
            .collect();
        let classes = classes.into_keys();
        let mut by_namespace: IdVec<NamespaceId, Vec<ClassId>> = cluster.namespaces.ids().map(|_| Vec::new()).collect();
        let mut by_projection: IdVec<ProjectionId, Vec<ClassId>> =
            projections.keys().ids().map(|_| Vec::new()).collect();
        for (id, class) in classes.iter() {
            by_namespace.at_mut(class.namespace).push(id);
            by_projection.at_mut(class.projection).push(id);
        }
        Self {
            projections: Postings::new(projections.keys().values().cloned()),
            namespaces: Postings::new(
                cluster.namespaces.values().map(|namespace| namespace_keys.project(&namespace.labels)),
            ),
            classes: Classes { classes, tables: tables.into_keys(), of_pod, by_namespace, by_projection },
            pods_matching: FxHashMap::default(),
            namespaces_matching: FxHashMap::default(),
        }
    }

    /// The classes of one namespace that a selector matches (NP-1).
    pub(super) fn in_namespace(&mut self, namespace: NamespaceId, pods: &'a Selector) -> Vec<ClassId> {
        let matching = self.pods_matching.entry(pods).or_insert_with(|| self.projections.select(pods));
        let there = self.classes.by_namespace.at(namespace).iter().copied();
        there.filter(|class| matching.contains(self.classes.classes.at(*class).projection.index())).collect()
    }

    /// The classes of all matching namespaces that a selector matches (NP-10).
    pub(super) fn across(&mut self, namespaces: &'a Selector, pods: &'a Selector) -> Vec<ClassId> {
        let pods = self.pods_matching.entry(pods).or_insert_with(|| self.projections.select(pods));
        let spaces = self.namespaces_matching.entry(namespaces).or_insert_with(|| self.namespaces.select(namespaces));
        let classes = &self.classes;
        let selected = |class: &ClassId| {
            let class = classes.classes.at(*class);
            pods.contains(class.projection.index()) && spaces.contains(class.namespace.index())
        };
        // Walk the shorter side.
        let of_spaces = || spaces.ones().map(|space| classes.by_namespace.at(NamespaceId::from_index(space)));
        let of_pods = || pods.ones().map(|projection| classes.by_projection.at(ProjectionId::from_index(projection)));
        let by_spaces: usize = of_spaces().map(Vec::len).sum();
        let by_pods: usize = of_pods().map(Vec::len).sum();
        if by_spaces <= by_pods {
            of_spaces().flatten().copied().filter(selected).collect()
        } else {
            of_pods().flatten().copied().filter(selected).collect()
        }
    }

    /// The classes as a set of the right representation.
    pub(super) fn set(&self, classes: Vec<ClassId>) -> ClassSet {
        ClassSet::new(classes, self.classes.classes.len())
    }
}
