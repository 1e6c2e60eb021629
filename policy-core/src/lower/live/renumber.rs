//! New ids for everything that is there, in the order in which [`lower`](crate::lower::lower) gives them.

use rustc_hash::FxHashMap;

use crate::ids::{NamespaceId, NodeId, PodId, WorkloadId};
use crate::lower::input::OwnerKey;
use crate::lower::live::LiveCluster;
use crate::model::{Cluster, Name};

impl LiveCluster {
    /// Gives everything new ids, and forgets what is gone.
    pub fn renumber(&mut self) {
        let old = std::mem::take(&mut self.cluster);
        let mut new = Cluster { incomplete: old.incomplete, ..Cluster::default() };

        let mut spaces: Vec<_> =
            self.spaces.iter_mut().filter_map(|(name, space)| Some((name, space.id?, space))).collect();
        spaces.sort_by_key(|(name, ..)| *name);
        let mut namespaces: FxHashMap<NamespaceId, NamespaceId> = FxHashMap::default();
        for (_, was, space) in &mut spaces {
            let id = new.namespaces.push(old.namespaces.at(*was).clone());
            namespaces.insert(*was, id);
            space.id = Some(id);
        }
        let mut hosts: Vec<_> = self.hosts.iter_mut().filter_map(|(name, host)| Some((name, host.id?, host))).collect();
        hosts.sort_by_key(|(name, ..)| *name);
        let mut nodes: FxHashMap<NodeId, NodeId> = FxHashMap::default();
        for (_, was, host) in &mut hosts {
            let id = new.nodes.push(old.nodes.at(*was).clone());
            nodes.insert(*was, id);
            host.id = Some(id);
        }

        self.workloads.retain(|_, id| !old.workloads.at(*id).pods.is_empty());
        let mut owners: Vec<(&OwnerKey, &mut WorkloadId)> = self.workloads.iter_mut().collect();
        owners.sort_by(|((a_ns, a_kind, a), _), ((b_ns, b_kind, b), _)| (a_ns, a, a_kind).cmp(&(b_ns, b, b_kind)));
        let mut workloads: FxHashMap<WorkloadId, WorkloadId> = FxHashMap::default();
        for (_, id) in owners {
            let mut workload = old.workloads.at(*id).clone();
            workload.pods = Vec::new();
            workload.namespace = namespaces.get(&workload.namespace).copied().unwrap_or(workload.namespace);
            let was = std::mem::replace(id, new.workloads.push(workload));
            workloads.insert(was, *id);
        }

        let mut pods: Vec<(NamespaceId, Name, WorkloadId, PodId)> = Vec::with_capacity(old.pods.len());
        for (_, _, space) in &spaces {
            let Some(namespace) = space.id else { continue };
            for (name, pod) in &space.pods {
                let workload = old.pods.at(*pod).workload;
                pods.push((namespace, name.clone(), workloads.get(&workload).copied().unwrap_or(workload), *pod));
            }
        }
        pods.sort_unstable();
        let mut ids: FxHashMap<PodId, PodId> = FxHashMap::default();
        for (namespace, _, workload, was) in pods {
            let mut pod = old.pods.at(was).clone();
            (pod.namespace, pod.workload) = (namespace, workload);
            pod.node = pod.node.and_then(|node| nodes.get(&node).copied());
            let id = new.pods.push(pod);
            ids.insert(was, id);
            if let Some(workload) = new.workloads.get_mut(workload) {
                workload.pods.push(id);
            }
        }
        let moved = |id: &PodId| ids.get(id).copied().unwrap_or(*id);
        for (_, _, space) in &mut spaces {
            space.pods.values_mut().for_each(|id| *id = moved(id));
            for id in space.policies.values_mut().flatten() {
                let mut policy = old.policies.at(*id).clone();
                policy.namespace = space.id.unwrap_or(policy.namespace);
                *id = new.policies.push(policy);
            }
        }
        for (_, _, host) in &mut hosts {
            host.renumber(moved);
        }
        self.host_pods =
            std::mem::take(&mut self.host_pods).into_iter().map(|(id, object)| (moved(&id), object)).collect();
        for id in self.tiers.values_mut().flatten() {
            *id = new.cluster_policies.push(old.cluster_policies.at(*id).clone());
        }
        self.free = Vec::new();
        self.waste = 0;
        self.cluster = new;
        drop(old);
        self.context.forget_unused();
    }
}
