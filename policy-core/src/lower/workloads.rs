//! Workloads: which pods belong together, and templates for those that the input does not have (NP-11b).

use std::collections::BTreeMap;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, PodId, WorkloadId};
use crate::lower::context::Context;
use crate::lower::input::{Input, Key, OwnerKey};
use crate::lower::namespaces::Namespaces;
use crate::lower::nodes::Nodes;
use crate::lower::pods;
use crate::model::{Family, Name, Pod, PodState, Workload, WorkloadKind};
use crate::snapshot::{Object, ObjectMeta, WorkloadBody};
use crate::source::Span;

/// All workloads and pods.
#[derive(Debug, Default)]
pub(super) struct Lowered {
    pub(super) workloads: IdVec<WorkloadId, Workload>,
    pub(super) pods: IdVec<PodId, Pod>,
}

/// What is known of one workload before it has an id.
#[derive(Debug, Default)]
struct Draft<'a> {
    pods: Vec<&'a Key>,
    span: Option<Span>,
    template: Option<(Rank, (&'a Object, &'a WorkloadBody))>,
}

/// Lowers workloads and pods.
pub(super) fn lower(input: &Input<'_>, namespaces: &Namespaces, nodes: &Nodes, context: &mut Context) -> Lowered {
    let drafts = group(input, context);
    let mut ordered: Vec<_> = drafts.into_iter().collect();
    // By namespace, name, kind.
    ordered.sort_by(|((a_ns, a_kind, a), _), ((b_ns, b_kind, b), _)| (a_ns, a, a_kind).cmp(&(b_ns, b, b_kind)));
    let mut lowered = Lowered::default();
    let mut pods = Vec::with_capacity(input.pods.len());
    for ((namespace, kind, name), draft) in ordered {
        let Some(namespace) = namespaces.ids.get(&namespace).copied() else { continue };
        let kind = WorkloadKind::parse(&kind);
        let workload = Workload { namespace, kind, name: name.clone(), pods: Vec::new(), span: draft.span };
        let ends = (namespace, lowered.workloads.push(workload));
        for key in &draft.pods {
            let Some(pod) = input.pods.get(*key) else { continue };
            let node = nodes.named(pod.1.spec.as_ref());
            pods.push(pods::pod(ends, &key.1, *pod, node, context));
        }
        if let (true, Some((_, template))) = (draft.pods.is_empty(), draft.template) {
            let node = nodes.named(template.1.template.spec.as_ref()).map(|(id, _)| id);
            pods.push(pods::template(ends, &name, template, node, context));
        }
    }
    // A template may have the name of a pod; the workload keeps the two apart.
    pods.sort_by(|a, b| (a.namespace, &a.name, a.workload).cmp(&(b.namespace, &b.name, b.workload)));
    for pod in pods {
        let workload = pod.workload;
        let id = lowered.pods.push(pod);
        if let Some(workload) = lowered.workloads.get_mut(workload) {
            workload.pods.push(id);
        }
    }
    warn_of_shared_addresses(&lowered.pods, namespaces, context);
    lowered
}

/// Groups pods and templates by their root owner.
fn group<'a>(input: &'a Input<'_>, context: &mut Context) -> BTreeMap<OwnerKey, Draft<'a>> {
    let mut drafts: BTreeMap<OwnerKey, Draft<'a>> = BTreeMap::new();
    for (key, (object, _)) in &input.pods {
        let root = pod_root(key, &object.metadata, input, context);
        let draft = drafts.entry(root).or_default();
        draft.pods.push(key);
        draft.span = draft.span.or(object.span);
    }
    for (key, (object, body)) in &input.workloads {
        let root = root(key.clone(), input, context);
        let rank = Rank::of(root == *key, body);
        let draft = drafts.entry(root).or_default();
        if rank == Rank::Root {
            draft.span = object.span;
        }
        if draft.template.is_none_or(|(chosen, _)| chosen < rank) {
            draft.span = draft.span.or(object.span);
            draft.template = Some((rank, (object, body)));
        }
    }
    drafts
}

/// Which template stands for a workload: the highest, and the first of equals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    /// An old ReplicaSet, scaled to zero.
    Old,
    /// A ReplicaSet or Job of an owner that the input does not have.
    Current,
    /// The workload itself.
    Root,
}

impl Rank {
    fn of(is_root: bool, body: &WorkloadBody) -> Self {
        match body.replicas {
            _ if is_root => Self::Root,
            Some(0) => Self::Old,
            _ => Self::Current,
        }
    }
}

fn pod_root(key: &Key, metadata: &ObjectMeta, input: &Input<'_>, context: &mut Context) -> OwnerKey {
    let (namespace, name) = key;
    root(owner_by_pod(namespace, name, metadata, context), input, context)
}

/// The owner of a pod, as far as the pod itself tells.
pub(super) fn owner_by_pod(namespace: &Name, name: &Name, metadata: &ObjectMeta, context: &mut Context) -> OwnerKey {
    match controller(metadata) {
        // A kubelet owns the mirror pods of its static pods: each is a pod of its own.
        Some((kind, owner)) if &**kind != "Node" => (namespace.clone(), context.name(kind), context.name(owner)),
        _ => bare(namespace, name, context),
    }
}

fn bare(namespace: &Name, name: &Name, context: &mut Context) -> OwnerKey {
    (namespace.clone(), context.name(&Name::from("Pod")), name.clone())
}

/// Follows ReplicaSet → its controller and Job → its controller, as far as the input knows them.
fn root(key: OwnerKey, input: &Input<'_>, context: &mut Context) -> OwnerKey {
    let (namespace, kind, _) = &key;
    if !matches!(&**kind, "ReplicaSet" | "Job") {
        return key;
    }
    let owner = input.workloads.get(&key).and_then(|(object, _)| controller(&object.metadata));
    match owner {
        Some((kind, name)) => (namespace.clone(), context.name(kind), context.name(name)),
        None => key,
    }
}

/// Kind and name of the owner that controls an object.
fn controller(metadata: &ObjectMeta) -> Option<(&Name, &Name)> {
    let owners = metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true))?;
    owner.kind.as_ref().zip(owner.name.as_ref())
}

/// IN-19: two live pods cannot have one address; a host's address is shared.
fn warn_of_shared_addresses(pods: &IdVec<PodId, Pod>, namespaces: &Namespaces, context: &mut Context) {
    let mut owners: FxHashMap<IpAddr, PodId> = FxHashMap::default();
    for (id, pod) in pods.iter() {
        if pod.host_network || pod.state != PodState::Live {
            continue;
        }
        for ip in Family::ALL.into_iter().filter_map(|family| pod.address(family)) {
            let first = *owners.entry(ip).or_insert(id);
            if first == id {
                continue;
            }
            let name = |id: PodId| {
                let pod = pods.get(id)?;
                Some(format!("{}/{}", namespaces.namespaces.get(pod.namespace)?.name, pod.name))
            };
            let (Some(first_name), Some(name)) = (name(first), name(id)) else { continue };
            let message = format!("the pods `{first_name}` and `{name}` have one address, {ip}");
            let elsewhere = pods.get(first).and_then(|first| first.span);
            context.report(
                Diagnostic::warning("IN-19", pod.span, message)
                    .also(elsewhere, "the other pod")
                    .help("an ipBlock treats them alike; read the cluster again if one of them is gone"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::testing::{lower_all, pod, warnings, workload};
    use crate::model::{Cluster, PodState};
    use crate::snapshot::Object;

    /// `Kind/name: pod, pod` of each workload.
    fn workloads(objects: Vec<Object>) -> Vec<String> {
        described(&lower_all(objects).0)
    }

    fn described(cluster: &Cluster) -> Vec<String> {
        let pods =
            |ids: &[_]| ids.iter().map(|id| cluster.pods.at(*id).name.to_string()).collect::<Vec<_>>().join(", ");
        cluster
            .workloads
            .values()
            .map(|found| format!("{}/{}: {}", found.kind, found.name, pods(&found.pods)))
            .collect()
    }

    #[test]
    fn pods_of_one_controller_are_one_workload_whatever_their_labels() {
        // NP-11b
        let objects = vec![
            pod("x", "db-0").owner("StatefulSet", "db").labels([("index", "0")]).done(),
            pod("x", "db-1").owner("StatefulSet", "db").labels([("index", "1")]).done(),
            pod("y", "db-0").owner("StatefulSet", "db").done(),
            pod("x", "alone").done(),
        ];
        assert_eq!(workloads(objects), ["Pod/alone: alone", "StatefulSet/db: db-0, db-1", "StatefulSet/db: db-0"]);
    }

    #[test]
    fn the_chain_of_owners_is_followed_through_the_input() {
        let objects = vec![
            pod("x", "web-1-a").owner("ReplicaSet", "web-1").done(),
            workload("x", "ReplicaSet", "web-1").owner("Deployment", "web").done(),
            workload("x", "ReplicaSet", "web-0").owner("Deployment", "web").replicas(0).done(),
            workload("x", "Deployment", "web").done(),
            pod("x", "backup-7-z").owner("Job", "backup-7").phase("Succeeded").done(),
            workload("x", "Job", "backup-7").owner("CronJob", "backup").done(),
            workload("x", "CronJob", "backup").done(),
        ];
        assert_eq!(workloads(objects), ["CronJob/backup: backup-7-z", "Deployment/web: web-1-a"]);
    }

    #[test]
    fn an_owner_that_is_not_in_the_input_is_named_by_its_reference() {
        let objects = vec![pod("x", "web-1-a").owner("ReplicaSet", "web-1").done()];
        assert_eq!(workloads(objects), ["ReplicaSet/web-1: web-1-a"]);
        let objects = vec![
            pod("x", "web-1-a").owner("ReplicaSet", "web-1").done(),
            workload("x", "ReplicaSet", "web-1").owner("Rollout", "web").done(),
        ];
        assert_eq!(workloads(objects), ["Rollout/web: web-1-a"]);
    }

    #[test]
    fn static_pods_and_pods_without_controller_are_bare() {
        let objects = vec![
            pod("x", "etcd-n1").owner("Node", "n1").done(),
            pod("x", "b").owner_that_does_not_control("Deployment", "web").done(),
        ];
        assert_eq!(workloads(objects), ["Pod/b: b", "Pod/etcd-n1: etcd-n1"]);
    }

    #[test]
    fn a_workload_without_pods_gets_one_template_even_with_no_replicas() {
        // NP-11b
        let objects = vec![
            workload("x", "Deployment", "web").replicas(0).done(),
            workload("x", "CronJob", "backup").done(),
            workload("x", "DaemonSet", "log").done(),
            pod("x", "log-1").owner("DaemonSet", "log").done(),
        ];
        let (cluster, _) = lower_all(objects);
        assert_eq!(described(&cluster), ["CronJob/backup: backup", "DaemonSet/log: log-1", "Deployment/web: web"]);
        let templates = cluster.pods.values().filter(|pod| pod.state == PodState::Template).count();
        assert_eq!(templates, 2);
    }

    #[test]
    fn the_template_of_an_absent_deployment_is_that_of_its_current_replica_set() {
        // NP-11b
        let set = |name: &str, replicas| {
            let set = workload("x", "ReplicaSet", name).owner("Deployment", "web").replicas(replicas);
            set.template_labels([("version", name)]).done()
        };
        let (cluster, _) = lower_all(vec![set("web-1", 0), set("web-2", 3), set("web-3", 0)]);
        assert_eq!(described(&cluster), ["Deployment/web: web"]);
        assert_eq!(cluster.pods.values().next().unwrap().labels.to_string(), "version=web-2");
    }

    #[test]
    fn the_template_of_a_deployment_is_its_own() {
        let set = workload("x", "ReplicaSet", "web-1").owner("Deployment", "web").template_labels([("a", "old")]);
        let deployment = workload("x", "Deployment", "web").replicas(0).template_labels([("a", "new")]);
        for objects in [vec![set.clone().done(), deployment.clone().done()], vec![deployment.done(), set.done()]] {
            let (cluster, _) = lower_all(objects);
            assert_eq!(cluster.pods.values().next().unwrap().labels.to_string(), "a=new");
        }
    }

    #[test]
    fn a_pod_and_a_workload_may_share_a_name() {
        let objects = vec![workload("x", "Deployment", "web").done(), pod("x", "web").done()];
        assert_eq!(workloads(objects), ["Deployment/web: web", "Pod/web: web"]);
    }

    #[test]
    fn two_live_pods_with_one_address_are_remarked() {
        // IN-19
        let (_, found) = lower_all(vec![
            pod("x", "a").ips(["10.0.0.1"]).done(),
            pod("y", "b").ips(["10.0.0.1"]).done(),
            pod("x", "c").ips(["10.0.0.1"]).phase("Failed").done(),
            pod("x", "d").ips(["10.0.0.1"]).host_network().done(),
        ]);
        assert_eq!(warnings(&found), ["IN-19: the pods `x/a` and `y/b` have one address, 10.0.0.1"]);
    }
}
