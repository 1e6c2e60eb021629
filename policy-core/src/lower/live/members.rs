//! Who belongs to a namespace or a node, and what that makes of it.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::ids::{NamespaceId, NodeId, PodId, PolicyId};
use crate::lower::live::{LiveCluster, Waiting, Waits, addresses, note};
use crate::lower::namespaces::namespace;
use crate::lower::nodes::named;
use crate::model::{Edits, LabelSet, Name, Node, NodeAddress};
use crate::snapshot::Object;

/// A namespace of which somebody speaks.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// `None` until it is settled.
    pub(super) id: Option<NamespaceId>,
    object: Option<Object>,
    pub(super) pods: BTreeMap<Name, PodId>,
    /// Its policies; `None` for one that was refused, or waits.
    pub(super) policies: BTreeMap<Name, Option<PolicyId>>,
    is_settled: bool,
}

impl Space {
    pub(super) fn set_object(&mut self, object: Option<Object>) {
        self.object = object;
        self.is_settled = false;
    }

    pub(super) fn add_pod(&mut self, name: &Name, id: PodId) {
        self.pods.insert(name.clone(), id);
    }

    pub(super) fn remove_pod(&mut self, name: &Name) {
        self.pods.remove(name);
        self.is_settled &= !self.is_forgotten();
    }

    /// Tells the policy that there was.
    pub(super) fn set_policy(&mut self, name: &Name, stays: bool) -> Option<PolicyId> {
        let known = if stays { self.policies.insert(name.clone(), None) } else { self.policies.remove(name) };
        self.is_settled &= !self.is_forgotten();
        known.flatten()
    }

    fn is_forgotten(&self) -> bool {
        self.object.is_none() && self.pods.is_empty() && self.policies.is_empty()
    }
}

/// A node of which somebody speaks.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// `None` until it is settled.
    pub(super) id: Option<NodeId>,
    written: Option<Node>,
    /// The pods that name it, and the address that each gives for it.
    pods: FxHashMap<PodId, Option<NodeAddress>>,
    is_settled: bool,
}

impl Host {
    pub(super) fn set_written(&mut self, node: Option<Node>) {
        self.written = node;
        self.is_settled = false;
    }

    pub(super) fn add_pod(&mut self, id: PodId, learnt: Option<NodeAddress>) {
        self.pods.insert(id, learnt);
        self.is_settled &= !self.learns();
    }

    pub(super) fn remove_pod(&mut self, id: PodId) {
        self.pods.remove(&id);
        self.is_settled &= !self.learns();
    }

    pub(super) fn renumber(&mut self, moved: impl Fn(&PodId) -> PodId) {
        self.pods = std::mem::take(&mut self.pods).into_iter().map(|(id, learnt)| (moved(&id), learnt)).collect();
    }

    /// Whether its pods say more of it than its object.
    fn learns(&self) -> bool {
        self.written.as_ref().is_none_or(|node| node.addresses.is_empty())
    }
}

impl LiveCluster {
    /// Gives new and changed namespaces their ids. Everything in them goes with them.
    pub(super) fn settle_spaces(&mut self, waiting: &Waiting, edits: &mut Edits) {
        for name in std::mem::take(&mut self.open_spaces) {
            let Some(mut space) = self.spaces.remove(&name) else { continue };
            if space.is_settled {
                self.spaces.insert(name, space);
                continue;
            }
            let was = space.id;
            if space.is_forgotten() {
                self.forget_namespace(was);
                continue;
            }
            let wanted = namespace(&name, space.object.as_ref(), &mut self.context);
            space.is_settled = true;
            if was.is_none_or(|id| *self.cluster.namespaces.at(id) != wanted) {
                self.forget_namespace(was);
                let id = self.cluster.namespaces.push(wanted);
                space.id = Some(id);
                if was.is_some() {
                    self.move_members(&mut space, id, waiting, edits);
                }
            }
            self.spaces.insert(name, space);
        }
    }

    fn forget_namespace(&mut self, id: Option<NamespaceId>) {
        if let Some(namespace) = id.and_then(|id| self.cluster.namespaces.get_mut(id)) {
            (namespace.name, namespace.labels, namespace.span) = (Name::from(""), LabelSet::default(), None);
            self.waste += 1;
        }
    }

    fn move_members(&mut self, space: &mut Space, id: NamespaceId, waiting: &Waiting, edits: &mut Edits) {
        for pod in space.pods.values().filter(|pod| !waiting.contains_key(pod)) {
            let known = self.cluster.pods.at_mut(*pod);
            known.namespace = id;
            note(edits, *pod, addresses(known));
            if let Some(workload) = self.cluster.workloads.get_mut(known.workload) {
                workload.namespace = id;
            }
        }
        for policy in space.policies.values_mut().flatten() {
            let mut moved = self.cluster.policies.at(*policy).clone();
            moved.namespace = id;
            self.remove_policy(*policy, edits);
            *policy = self.cluster.policies.push(moved);
        }
    }

    /// Gives new and changed nodes their ids. Their pods go with them; those on the host's network may get its addresses.
    pub(super) fn settle_hosts(&mut self, waiting: &mut Waiting, edits: &mut Edits) {
        for name in std::mem::take(&mut self.open_hosts) {
            let Some(mut host) = self.hosts.remove(&name) else { continue };
            if host.is_settled {
                self.hosts.insert(name, host);
                continue;
            }
            let was = host.id;
            if host.written.is_none() && host.pods.is_empty() {
                self.forget_node(was, edits);
                continue;
            }
            let mut wanted = host.written.clone().unwrap_or_else(|| named(&name, &mut self.context));
            if wanted.addresses.is_empty() {
                let learnt: BTreeSet<NodeAddress> = host.pods.values().flatten().copied().collect();
                wanted.addresses = learnt.into_iter().collect();
            }
            host.is_settled = true;
            if was.is_none_or(|id| *self.cluster.nodes.at(id) != wanted) {
                self.forget_node(was, edits);
                let id = self.cluster.nodes.push(wanted);
                host.id = Some(id);
                for pod in host.pods.keys().filter(|pod| !waiting.contains_key(pod)).copied().collect::<Vec<_>>() {
                    let known = self.cluster.pods.at_mut(pod);
                    known.node = Some(id);
                    note(edits, pod, addresses(known));
                    if let Some(object) = self.host_pods.get(&pod).cloned() {
                        waiting.insert(pod, Waits { object, is_new: false });
                    }
                }
            }
            self.hosts.insert(name, host);
        }
    }

    fn forget_node(&mut self, id: Option<NodeId>, edits: &mut Edits) {
        let Some((id, node)) = id.and_then(|id| Some((id, self.cluster.nodes.get_mut(id)?))) else { return };
        let labels = LabelSet::default();
        let (addresses, pod_cidrs) = (Vec::new(), Vec::new());
        *node = Node { name: Name::from(""), labels, addresses, pod_cidrs, zone: None, is_written: false, span: None };
        self.waste += 1;
        edits.nodes_gone.push(id);
    }
}
