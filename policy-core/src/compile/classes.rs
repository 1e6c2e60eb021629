//! Label classes: pods that every selector and every port name treats alike (design: subject and peer classes).

use std::sync::Arc;

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::compile::class_set::ClassSet;
use crate::compile::interner::Interner;
use crate::compile::ports::PortTable;
use crate::compile::reading::Reading;
use crate::compile::selectors::Postings;
use crate::compile::{ClassId, PortTableId, ProjectionId};
use crate::ids::{Id, IdVec, NamespaceId, PodId};
use crate::model::{Cluster, LabelSet, Namespace, Pod, Profile, Selector, premise};

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
    pub(super) reading: Reading,
    classes: Interner<ClassId, Class>,
    tables: Interner<PortTableId, PortTable>,
    projections: Interner<ProjectionId, LabelSet>,
    /// `None` for hosts, to which no selector applies (NP-22).
    of_pod: IdVec<PodId, Option<ClassId>>,
    by_namespace: IdVec<NamespaceId, Vec<ClassId>>,
    by_projection: IdVec<ProjectionId, Vec<ClassId>>,
    /// The labels of namespaces, cut down to those that selectors read.
    spaces: IdVec<NamespaceId, LabelSet>,
    pod_postings: Postings,
    space_postings: Postings,
}

impl Classes {
    /// The classes of all pods.
    pub(super) fn new(cluster: &Cluster, profile: &Profile) -> Self {
        let reading = Reading::of(cluster);
        let mut classes = Self {
            reading,
            classes: Interner::default(),
            tables: Interner::default(),
            projections: Interner::default(),
            of_pod: IdVec::new(),
            by_namespace: IdVec::new(),
            by_projection: IdVec::new(),
            spaces: IdVec::new(),
            pod_postings: Postings::default(),
            space_postings: Postings::default(),
        };
        for namespace in cluster.namespaces.values() {
            classes.add_namespace(namespace);
        }
        let mut known: FxHashMap<(NamespaceId, usize, usize, bool), ClassId> = FxHashMap::default();
        for pod in cluster.pods.values() {
            // Replicas share their labels and ports: look at each shared pair once.
            let key = (pod.namespace, pod.labels.allocation(), Arc::as_ptr(&pod.ports).addr(), pod.host_network);
            let class = (!premise::is_host(pod, profile))
                .then(|| *known.entry(key).or_insert_with(|| classes.intern(pod, profile)));
            classes.of_pod.push(class);
        }
        classes
    }

    pub(super) fn of_pod(&self, pod: PodId) -> Option<ClassId> {
        self.of_pod.get(pod).copied().flatten()
    }

    pub(super) fn at(&self, class: ClassId) -> &Class {
        self.classes.keys().at(class)
    }

    /// All classes.
    pub(super) fn ids(&self) -> impl ExactSizeIterator<Item = ClassId> + use<> {
        self.classes.keys().ids()
    }

    /// The number of classes.
    pub(super) fn len(&self) -> usize {
        self.classes.keys().len()
    }

    pub(super) fn tables(&self) -> &IdVec<PortTableId, PortTable> {
        self.tables.keys()
    }

    pub(super) fn table_of(&self, class: Option<ClassId>) -> Option<&PortTable> {
        class.map(|class| self.tables().at(self.at(class).ports))
    }

    /// The labels of a class that selectors read.
    pub(super) fn labels(&self, class: ClassId) -> &LabelSet {
        self.projections.keys().at(self.at(class).projection)
    }

    /// The labels of a namespace that selectors read.
    pub(super) fn space(&self, namespace: NamespaceId) -> &LabelSet {
        self.spaces.at(namespace)
    }

    /// The classes of a namespace.
    pub(super) fn in_namespace(&self, namespace: NamespaceId) -> &[ClassId] {
        self.by_namespace.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes in the next namespace.
    pub(super) fn add_namespace(&mut self, namespace: &Namespace) {
        let labels = self.reading.namespace_keys.project(&namespace.labels);
        self.space_postings.push(&labels);
        self.spaces.push(labels);
        self.by_namespace.push(Vec::new());
    }

    /// Takes in a pod, new or changed. The class is given back if it was not there before.
    pub(super) fn put_pod(&mut self, id: PodId, pod: &Pod, profile: &Profile) -> Option<ClassId> {
        let count = self.len();
        let class = (!premise::is_host(pod, profile)).then(|| self.intern(pod, profile));
        match self.of_pod.get_mut(id) {
            Some(known) => *known = class,
            None => drop(self.of_pod.push(class)),
        }
        class.filter(|class| class.index() >= count)
    }

    /// Takes a pod away.
    pub(super) fn forget_pod(&mut self, id: PodId) {
        if let Some(known) = self.of_pod.get_mut(id) {
            *known = None;
        }
    }

    /// The number of namespaces.
    pub(super) fn namespaces(&self) -> usize {
        self.spaces.len()
    }

    fn intern(&mut self, pod: &Pod, profile: &Profile) -> ClassId {
        let projection = self.projections.intern(self.reading.pod_keys.project(&pod.labels));
        if self.by_projection.get(projection).is_none() {
            self.pod_postings.push(self.projections.keys().at(projection));
            self.by_projection.push(Vec::new());
        }
        let ports = self.tables.intern(PortTable::new(&pod.ports, &self.reading.port_names, profile));
        let host = pod.host_network && self.reading.tells_hosts;
        let class = self.classes.intern(Class { namespace: pod.namespace, projection, ports, host });
        let there = self.by_namespace.at_mut(pod.namespace);
        if there.last().is_none_or(|last| *last < class) {
            there.push(class);
            self.by_projection.at_mut(projection).push(class);
        }
        class
    }

    /// The classes as a set of the right representation.
    pub(super) fn set(&self, classes: Vec<ClassId>) -> ClassSet {
        ClassSet::new(classes, self.len())
    }
}

/// What selectors match, remembered while the classes stay as they are.
#[derive(Debug)]
pub(super) struct Selections<'a> {
    pub(super) classes: &'a Classes,
    pods: FxHashMap<Selector, FixedBitSet>,
    namespaces: FxHashMap<Selector, FixedBitSet>,
}

impl<'a> Selections<'a> {
    pub(super) fn new(classes: &'a Classes) -> Self {
        Self { classes, pods: FxHashMap::default(), namespaces: FxHashMap::default() }
    }

    /// The classes of one namespace that a selector matches (NP-1).
    pub(super) fn in_namespace(&mut self, namespace: NamespaceId, pods: &Selector) -> Vec<ClassId> {
        let classes = self.classes;
        let matching = select(&mut self.pods, &classes.pod_postings, pods);
        let there = classes.in_namespace(namespace).iter().copied();
        there.filter(|class| matching.contains(classes.at(*class).projection.index())).collect()
    }

    /// The classes of all matching namespaces that a selector matches (NP-10).
    pub(super) fn across(&mut self, namespaces: &Selector, pods: &Selector) -> Vec<ClassId> {
        let classes = self.classes;
        let pods = select(&mut self.pods, &classes.pod_postings, pods);
        let spaces = select(&mut self.namespaces, &classes.space_postings, namespaces);
        let selected = |class: &ClassId| {
            let class = classes.at(*class);
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
}

fn select<'m>(
    known: &'m mut FxHashMap<Selector, FixedBitSet>,
    postings: &Postings,
    selector: &Selector,
) -> &'m FixedBitSet {
    known.entry(selector.clone()).or_insert_with(|| postings.select(selector))
}
