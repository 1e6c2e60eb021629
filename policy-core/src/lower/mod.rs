//! Snapshot → Cluster: what the objects of the input mean.
//!
//! The only place that knows API shapes: defaults, validation, ownership and synthesised objects. Nothing fails
//! and nothing is dropped silently: what cannot be used is a [`Diagnostic`] at its place. The result does not
//! depend on the order of the input, and equal names, label sets and port lists share one allocation.

mod access;
mod addresses;
mod cluster_policy;
mod context;
mod controllers;
mod gateway;
mod host_ports;
mod ingress;
mod ingress_annotations;
mod input;
mod live;
mod namespaces;
mod network_policy;
mod nodes;
mod peers;
mod pods;
mod ports;
mod selectors;
mod service_findings;
mod service_ports;
mod services;
mod slices;
#[cfg(test)]
mod testing;
mod tier_peers;
mod tier_ports;
mod workloads;

pub use live::LiveCluster;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, PodId};
use crate::lower::context::Context;
use crate::lower::input::Input;
use crate::model::{Cluster, Family, Name, NotModelled, Pod};
use crate::snapshot::{Body, Effect, Snapshot};

/// What the input leaves to the caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LowerOptions {
    /// The namespace of objects that name none, as `kubectl apply --namespace` would choose it.
    pub default_namespace: Name,
    /// The range of node ports (SVC-18): first and last.
    pub nodeport_range: (u16, u16),
    /// Keep Services and endpoints that the API server would refuse today, as far as they can be read: a cluster may
    /// hold some from before a check existed, and kube-proxy serves them.
    pub keep_refused: bool,
}

impl Default for LowerOptions {
    fn default() -> Self {
        Self { default_namespace: Name::from("default"), nodeport_range: (30000, 32767), keep_refused: false }
    }
}

/// Lowers a snapshot. Diagnostics are sorted by place.
///
/// What the API server would refuse (NP-31, CNP-12, ANP-1, SVC-27, ING-4 …) is reported with all its problems, left out,
/// and [`Cluster::incomplete`] is set.
#[must_use]
pub fn lower(snapshot: &Snapshot, options: &LowerOptions) -> (Cluster, Vec<Diagnostic>) {
    let mut context = Context::default();
    let input = Input::collect(snapshot, options, &mut context);
    let mut cluster = Cluster { incomplete: snapshot.incomplete, ..Cluster::default() };

    let namespaces = namespaces::lower(&input, &mut context);
    let nodes = nodes::lower(&input, &mut context);
    let lowered = workloads::lower(&input, &namespaces, &nodes, &mut context);
    let policies = network_policy::lower(&input, &namespaces.ids, &mut context);
    let cluster_policies = cluster_policy::lower(&input, &mut context);
    let rbac = access::lower(&input, &mut context);
    host_ports::warn_of_conflicts(&lowered.pods, &lowered.workloads, &namespaces, &mut context);
    let families = families(&lowered.pods);
    let services = services::lower(&input, &namespaces.ids, &families, options, &mut context);
    let known = slices::Known { services: &services, nodes: &nodes, pods: &lowered.pods, namespaces: &namespaces.ids };
    let slices = slices::lower(&input, &known, options, &mut context);
    let things = service_findings::Things {
        namespaces: &namespaces,
        nodes: &nodes.nodes,
        pods: &lowered.pods,
        services: &services.services,
        slices: &slices.slices,
    };
    service_findings::report(&things, &mut context);

    cluster.namespaces = namespaces.namespaces;
    cluster.nodes = nodes.nodes;
    cluster.workloads = lowered.workloads;
    cluster.pods = lowered.pods;
    cluster.services = services.services;
    cluster.slices = slices.slices;
    let gateway_api = gateway::lower(&input, &namespaces.ids, &cluster, &mut context);

    if cluster.workloads.is_empty() {
        // IN-8
        context.report(
            Diagnostic::error("IN-8", None, "there is no pod and no workload in the input").help(
                "add the manifests of the pods (Deployment, StatefulSet, Pod …), or a dump of the cluster's pods",
            ),
        );
    }
    cluster.incomplete |= policies.refused || cluster_policies.refused;
    cluster.incomplete |= services.refused || slices.refused || rbac.refused || gateway_api.refused;
    cluster.policies = policies.policies;
    cluster.cluster_policies = cluster_policies.policies;
    cluster.rbac = rbac.rbac;
    cluster.gateway_api = gateway_api.api;
    let services = ingress::Services::new(&cluster);
    let ingresses = ingress::lower(&input, &namespaces.ids, &services, &mut context);
    let controllers = controllers::lower(&input, &namespaces.ids, &cluster.pods, &services, &mut context);
    cluster.incomplete |= ingresses.refused;
    cluster.ingresses = ingresses.ingresses;
    cluster.ingress_classes = ingresses.classes;
    cluster.controllers = controllers;
    cluster.not_modelled = not_modelled(snapshot, &mut context);
    (cluster, context.into_diagnostics())
}

/// The families that the cluster seems to have, by its pods, the first one first (SVC-26).
fn families(pods: &IdVec<PodId, Pod>) -> Vec<Family> {
    let has = |family: &Family| pods.values().any(|pod| pod.address(*family).is_some());
    Family::ALL.into_iter().filter(has).collect()
}

/// The objects that are not modelled and could change an answer, sorted.
fn not_modelled(snapshot: &Snapshot, context: &mut Context) -> Vec<NotModelled> {
    let mut objects = Vec::new();
    for object in &snapshot.objects {
        let Body::NotModelled(effect) = object.body else { continue };
        if effect == Effect::None {
            continue;
        }
        let metadata = &object.metadata;
        let name = metadata.name.as_ref().or(metadata.generate_name.as_ref());
        objects.push(NotModelled {
            api_version: context.name(&object.api_version),
            kind: context.name(&object.kind),
            namespace: metadata.namespace.as_ref().map(|namespace| context.name(namespace)),
            name: name.map_or_else(|| Name::from(""), |name| context.name(name)),
            effect,
            span: object.span,
        });
    }
    objects.sort();
    objects
}

#[cfg(test)]
mod tests {
    use super::testing::{errors, lower_all, namespace, object, pod, policy, source};
    use super::*;
    use crate::ids::Id;

    #[test]
    fn the_order_of_the_input_does_not_matter() {
        let mut objects = vec![
            pod("y", "cli").labels([("app", "cli")]).done(),
            pod("x", "web").owner("ReplicaSet", "web-1").done(),
            namespace("z").done(),
            pod("x", "db").on_node("n2").ips(["10.0.0.2"]).done(),
            policy("y", "b").done(),
            policy("x", "a").done(),
        ];
        let (cluster, found) = lower_all(objects.clone());
        objects.reverse();
        let (reversed, found_reversed) = lower_all(objects);
        assert_eq!(format!("{cluster:?}"), format!("{reversed:?}"));
        assert_eq!(found, found_reversed);
        let names: Vec<_> = cluster.namespaces.values().map(|namespace| &*namespace.name).collect();
        assert_eq!(names, ["x", "y", "z"]);
        let pods: Vec<_> = cluster.pods.values().map(|pod| (pod.namespace.index(), &*pod.name)).collect();
        assert_eq!(pods, [(0, "db"), (0, "web"), (1, "cli")]);
        let policies: Vec<_> = cluster.policies.values().map(|policy| &*policy.name).collect();
        assert_eq!(policies, ["a", "b"]);
    }

    #[test]
    fn an_object_without_namespace_gets_the_default() {
        let mut pod = pod("x", "web").done();
        pod.metadata.namespace = None;
        let options = LowerOptions { default_namespace: Name::from("shop"), ..LowerOptions::default() };
        let (cluster, _) = lower(&Snapshot { objects: vec![pod], incomplete: false }, &options);
        let names: Vec<_> = cluster.namespaces.values().map(|namespace| &*namespace.name).collect();
        assert_eq!(names, ["shop"]);
    }

    #[test]
    fn an_input_without_workloads_is_an_error() {
        // IN-8
        let (_, found) = lower_all(vec![policy("x", "a").done()]);
        assert_eq!(errors(&found), ["IN-8: there is no pod and no workload in the input"]);
        let (_, found) = lower_all(vec![pod("x", "web").done()]);
        assert!(found.is_empty());
    }

    #[test]
    fn objects_that_could_change_an_answer_are_listed() {
        let way = object("networking.k8s.io/v1", "Ingress", "x", "web", Body::NotModelled(Effect::Way)).done();
        let harmless = object("v1", "ConfigMap", "x", "web", Body::NotModelled(Effect::None)).done();
        let policy = object("cilium.io/v2", "CiliumNetworkPolicy", "x", "deny", Body::NotModelled(Effect::Policy));
        let (cluster, _) = lower_all(vec![way, harmless, policy.done(), pod("x", "web").done()]);
        let kinds: Vec<_> = cluster.not_modelled.iter().map(|found| (&*found.kind, found.effect)).collect();
        assert_eq!(kinds, [("CiliumNetworkPolicy", Effect::Policy), ("Ingress", Effect::Way)]);
    }

    #[test]
    fn an_incomplete_snapshot_makes_an_incomplete_cluster() {
        let objects = vec![pod("x", "web").done()];
        let (cluster, _) = lower(&Snapshot { objects, incomplete: true }, &LowerOptions::default());
        assert!(cluster.incomplete);
    }

    #[test]
    fn equal_names_labels_and_ports_share_one_allocation() {
        let make = |name| pod("x", name).labels([("app", "web")]).port(Some("http"), "TCP", 8080).done();
        let (cluster, _) = lower_all(vec![make("a"), make("b")]);
        let [a, b] = [0, 1].map(|index| cluster.pods.at(crate::ids::PodId::from_index(index)));
        assert_eq!(a.labels.allocation(), b.labels.allocation());
        assert!(std::sync::Arc::ptr_eq(&a.ports, &b.ports));
    }

    #[test]
    fn diagnostics_come_in_the_order_of_their_places() {
        let mut late = pod("x", "late").port(None, "tcp", 80).done();
        late.span = Some(source(50, 60));
        let mut early = pod("x", "z-early").port(None, "TCP", 0).done();
        early.span = Some(source(10, 20));
        let (_, found) = lower_all(vec![late, early]);
        let messages: Vec<_> = found.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(messages, ["`0` is not a port number", "`tcp` is not a protocol"]);
    }
}
