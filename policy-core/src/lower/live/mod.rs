//! A cluster that follows its objects: each change is lowered by itself.
//!
//! Only the kinds count that say what policies do to addresses ([`WatchedKind`]). What changes gets a new id, as
//! [`Edits`] demand; a pod keeps its own. What is gone stays in the cluster as something without any effect, until
//! [`LiveCluster::renumber`].

mod members;
mod renumber;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{ClusterPolicyId, NamespaceId, NodeId, PodId, PolicyId, WorkloadId};
use crate::lower::context::Context;
use crate::lower::input::OwnerKey;
use crate::lower::live::members::{Host, Space};
use crate::lower::nodes::{learnt_from, node_name, written};
use crate::lower::{LowerOptions, cluster_policy, network_policy, pods, workloads};
use crate::model::{Cluster, ClusterPolicyKind, Edits, Family, Name, Pod, PodState, Selector, Workload, WorkloadKind};
use crate::snapshot::{Body, Object, ObjectKey, PodBody, Snapshot, SnapshotDelta, WatchedKind};

/// A cluster and what is needed to change it.
#[derive(Debug, Default)]
pub struct LiveCluster {
    options: LowerOptions,
    cluster: Cluster,
    context: Context,
    spaces: FxHashMap<Name, Space>,
    hosts: FxHashMap<Name, Host>,
    workloads: FxHashMap<OwnerKey, WorkloadId>,
    /// `None` for a policy that was refused.
    tiers: BTreeMap<(ClusterPolicyKind, Name), Option<ClusterPolicyId>>,
    /// The objects of pods on the host's network: what they mean depends on their nodes.
    host_pods: FxHashMap<PodId, Object>,
    /// Ids of pods that are gone.
    free: Vec<PodId>,
    /// Policies that were refused.
    refused: BTreeSet<ObjectKey>,
    /// Namespaces and nodes that may have changed.
    open_spaces: BTreeSet<Name>,
    open_hosts: BTreeSet<Name>,
    waste: usize,
    is_partial: bool,
}

/// Pods that are to be lowered.
type Waiting = BTreeMap<PodId, Waits>;

/// A pod that is to be lowered.
#[derive(Debug)]
struct Waits {
    object: Object,
    is_new: bool,
}

impl LiveCluster {
    /// The cluster of a snapshot, as far as policies see it: templates of workloads without pods have no addresses and are
    /// left out. Diagnostics are those of each object by itself.
    #[must_use]
    pub fn new(snapshot: Snapshot, options: LowerOptions) -> (Self, Vec<Diagnostic>) {
        let mut live = Self { options, is_partial: snapshot.incomplete, ..Self::default() };
        let mut seen = BTreeSet::new();
        // The first of a name holds (IN-9).
        let put =
            snapshot.objects.into_iter().filter(|object| object.key().is_none_or(|key| seen.insert(key))).collect();
        let (_, found) = live.apply(SnapshotDelta { put, gone: Vec::new() });
        live.renumber();
        (live, found)
    }

    /// The cluster as it is now.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The id of a node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.hosts.get(name)?.id
    }

    /// How many ids are used up by what is gone.
    #[must_use]
    pub fn waste(&self) -> usize {
        self.waste
    }

    /// Works a change in, and tells what it has done to the cluster. Diagnostics are those of the objects in it.
    pub fn apply(&mut self, delta: SnapshotDelta) -> (Edits, Vec<Diagnostic>) {
        let mut changes: BTreeMap<ObjectKey, Option<Object>> = BTreeMap::new();
        for key in delta.gone {
            changes.insert(self.full(key), None);
        }
        for object in delta.put {
            if let Some(key) = object.key() {
                changes.insert(self.full(key), Some(object));
            }
        }
        let mut edits = Edits::default();
        let mut waiting = Waiting::new();
        let mut policies = Vec::new();
        // In the order of kinds: what others speak of comes first.
        for (key, object) in changes {
            match key.kind {
                WatchedKind::Namespace => self.space(key.name).set_object(object),
                WatchedKind::Node => self.put_node(&key.name, object.as_ref()),
                WatchedKind::Pod => self.place_pod(&key, object, &mut waiting, &mut edits),
                WatchedKind::NetworkPolicy => {
                    self.place_policy(&key, object.is_some(), &mut edits);
                    policies.extend(object.map(|object| (key, object)));
                }
                WatchedKind::ClusterPolicy(kind) => self.put_tier(kind, key, object.as_ref(), &mut edits),
            }
        }
        self.settle_spaces(&waiting, &mut edits);
        self.settle_hosts(&mut waiting, &mut edits);
        for (id, waits) in waiting {
            self.put_pod(id, waits, &mut edits);
        }
        for (key, object) in policies {
            self.put_policy(key, &object);
        }
        self.cluster.incomplete = self.is_partial || !self.refused.is_empty();
        (edits, self.context.take_diagnostics())
    }

    /// The key with the namespace that is meant.
    fn full(&mut self, key: ObjectKey) -> ObjectKey {
        let namespaced = matches!(key.kind, WatchedKind::Pod | WatchedKind::NetworkPolicy);
        let namespace = namespaced.then(|| key.namespace.unwrap_or_else(|| self.options.default_namespace.clone()));
        let namespace = namespace.map(|namespace| self.context.name(&namespace));
        ObjectKey { kind: key.kind, namespace, name: self.context.name(&key.name) }
    }

    /// A namespace that may change.
    fn space(&mut self, name: Name) -> &mut Space {
        self.open_spaces.insert(name.clone());
        self.spaces.entry(name).or_default()
    }

    fn space_of(&mut self, key: &ObjectKey) -> &mut Space {
        self.space(key.namespace.clone().unwrap_or_else(|| Name::from("")))
    }

    /// A node that may change.
    fn host(&mut self, name: Name) -> &mut Host {
        self.open_hosts.insert(name.clone());
        self.hosts.entry(name).or_default()
    }

    fn put_node(&mut self, name: &Name, object: Option<&Object>) {
        let node = object.and_then(|object| match &object.body {
            Body::Node(body) => Some(written(name, object, body, &mut self.context)),
            _ => None,
        });
        self.host(name.clone()).set_written(node);
    }

    /// Says where a pod belongs, or takes it away.
    fn place_pod(&mut self, key: &ObjectKey, object: Option<Object>, waiting: &mut Waiting, edits: &mut Edits) {
        let known = self.spaces.get(key.namespace.as_deref().unwrap_or_default());
        let known = known.and_then(|space| space.pods.get(&key.name)).copied();
        if let Some(id) = known {
            self.leave_host(id);
        }
        let Some((object, body)) = object.as_ref().and_then(|object| match &object.body {
            Body::Pod(body) => Some((object, body)),
            _ => None,
        }) else {
            if let Some(id) = known {
                self.space_of(key).remove_pod(&key.name);
                self.remove_pod(id, edits);
            }
            return;
        };
        let id = known.unwrap_or_else(|| {
            let free = self.free.pop();
            self.waste -= usize::from(free.is_some());
            let id = free.unwrap_or_else(|| self.cluster.pods.push(nobody()));
            self.space_of(key).add_pod(&key.name, id);
            self.cluster.pods.at_mut(id).name = key.name.clone();
            id
        });
        if let Some(name) = node_name(body.spec.as_ref()) {
            let name = self.context.name(name);
            self.host(name).add_pod(id, learnt_from(body));
        }
        waiting.insert(id, Waits { object: object.clone(), is_new: known.is_none() });
    }

    fn leave_host(&mut self, id: PodId) {
        let node = self.cluster.pods.at(id).node.map(|node| self.cluster.nodes.at(node).name.clone());
        if let Some(name) = node {
            self.host(name).remove_pod(id);
        }
    }

    fn remove_pod(&mut self, id: PodId, edits: &mut Edits) {
        let pod = std::mem::replace(self.cluster.pods.at_mut(id), nobody());
        self.leave_workload(id, pod.workload);
        self.host_pods.remove(&id);
        self.free.push(id);
        self.waste += 1;
        edits.pods_gone.insert(id, addresses(&pod));
    }

    fn leave_workload(&mut self, id: PodId, workload: WorkloadId) {
        if let Some(workload) = self.cluster.workloads.get_mut(workload) {
            workload.pods.retain(|known| *known != id);
        }
    }

    fn put_pod(&mut self, id: PodId, Waits { object, is_new }: Waits, edits: &mut Edits) {
        let Body::Pod(body) = &object.body else { return };
        let name = self.cluster.pods.at(id).name.clone();
        let namespace = object.metadata.namespace.as_ref().unwrap_or(&self.options.default_namespace).clone();
        let namespace = self.context.name(&namespace);
        let Some(space) = self.spaces.get(&namespace).and_then(|space| space.id) else { return };
        let workload = self.workload(&namespace, space, &name, &object);
        let pod = self.lower_pod((space, workload), &name, &object, body);
        let host_network = pods::is_host_network(body.spec.as_ref());
        let known = self.cluster.pods.at_mut(id);
        if is_new || *known != pod {
            let was = std::mem::replace(known, pod);
            if is_new || was.workload != workload {
                if !is_new {
                    self.leave_workload(id, was.workload);
                }
                self.cluster.workloads.at_mut(workload).pods.push(id);
            }
            note(edits, id, addresses(&was));
        }
        if host_network {
            self.host_pods.insert(id, object);
        } else {
            self.host_pods.remove(&id);
        }
    }

    fn lower_pod(&mut self, ends: (NamespaceId, WorkloadId), name: &Name, object: &Object, body: &PodBody) -> Pod {
        let node = node_name(body.spec.as_ref()).and_then(|name| self.hosts.get(name)?.id);
        let node = node.map(|id| (id, self.cluster.nodes.at(id)));
        pods::pod(ends, name, (object, body), node, &mut self.context)
    }

    fn workload(&mut self, namespace: &Name, space: NamespaceId, name: &Name, object: &Object) -> WorkloadId {
        let owner = workloads::owner_by_pod(namespace, name, &object.metadata, &mut self.context);
        let cluster = &mut self.cluster;
        let id = *self.workloads.entry(owner).or_insert_with_key(|(_, kind, name)| {
            let kind = WorkloadKind::parse(kind);
            cluster.workloads.push(Workload {
                namespace: space,
                kind,
                name: name.clone(),
                pods: Vec::new(),
                span: None,
            })
        });
        let workload = self.cluster.workloads.at_mut(id);
        workload.namespace = space;
        workload.span = workload.span.or(object.span);
        id
    }

    /// Takes the policy of this name away, if there is one, and says whether there will be another.
    fn place_policy(&mut self, key: &ObjectKey, stays: bool, edits: &mut Edits) {
        let known = self.space_of(key).set_policy(&key.name, stays);
        self.refused.remove(key);
        if let Some(id) = known {
            self.remove_policy(id, edits);
        }
    }

    fn remove_policy(&mut self, id: PolicyId, edits: &mut Edits) {
        let policy = self.cluster.policies.at_mut(id);
        (policy.ingress, policy.egress, policy.selector) = (None, None, Selector::everything());
        policy.name = Name::from("");
        self.waste += 1;
        edits.policies_gone.push(id);
    }

    fn put_policy(&mut self, key: ObjectKey, object: &Object) {
        let Body::NetworkPolicy(body) = &object.body else { return };
        let Some(space) = self.space_of(&key).id else { return };
        match network_policy::accepted(space, &key.name, object, body, &mut self.context) {
            Some(policy) => {
                let id = self.cluster.policies.push(policy);
                self.space_of(&key).policies.insert(key.name, Some(id));
            }
            None => drop(self.refused.insert(key)),
        }
    }

    fn put_tier(&mut self, kind: ClusterPolicyKind, key: ObjectKey, object: Option<&Object>, edits: &mut Edits) {
        self.refused.remove(&key);
        let name = (kind, key.name.clone());
        if let Some(id) = self.tiers.remove(&name).flatten() {
            let policy = self.cluster.cluster_policies.at_mut(id);
            let was = policy.clone();
            (policy.ingress, policy.egress, policy.name) = (Vec::new(), Vec::new(), Name::from(""));
            self.waste += 1;
            edits.cluster_policies_gone.push((id, was));
        }
        let Some((object, body)) = object.and_then(|object| match &object.body {
            Body::ClusterPolicy(body) => Some((object, body)),
            _ => None,
        }) else {
            return;
        };
        let policy = cluster_policy::accepted(kind, &key.name, object, body, &mut self.context);
        let id = policy.map(|policy| self.cluster.cluster_policies.push(policy));
        if id.is_none() {
            self.refused.insert(key);
        }
        self.tiers.insert(name, id);
    }
}

/// Takes note that a pod has changed. What it was before the first change counts.
fn note(edits: &mut Edits, id: PodId, was: [Option<IpAddr>; 2]) {
    let was = edits.pods_gone.remove(&id).unwrap_or(was);
    edits.pods.entry(id).or_insert(was);
}

fn addresses(pod: &Pod) -> [Option<IpAddr>; 2] {
    Family::ALL.map(|family| pod.address(family))
}

/// In the place of a pod that is gone.
fn nobody() -> Pod {
    Pod::unwritten(NamespaceId::FIRST, WorkloadId::FIRST, Name::from(""), PodState::Finished)
}
