//! The objects of a snapshot by kind and name.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::lower::LowerOptions;
use crate::lower::context::Context;
use crate::lower::gateway::GatewayObjects;
use crate::model::{ClusterPolicyKind, Name};
use crate::snapshot::{
    Body, ClusterPolicyBody, ConfigMapBody, EndpointSliceBody, EndpointsBody, GatewayApiBody, IngressBody,
    IngressClassBody, NetworkPolicyBody, NodeBody, Object, PodBody, RoleBindingBody, RoleBody, ServiceAccountBody,
    ServiceBody, Snapshot, WorkloadBody,
};

/// Namespace and name.
pub(super) type Key = (Name, Name);

/// Namespace, if it has one, and name.
pub(super) type AccessKey = (Option<Name>, Name);

/// Namespace, kind and name of an owner.
pub(super) type OwnerKey = (Name, Name, Name);

/// The modelled objects, each once, in a fixed order.
#[derive(Debug, Default)]
pub(super) struct Input<'a> {
    /// Every namespace that the input speaks of; `None` when it has no object (NP-34).
    pub(super) namespaces: BTreeMap<Name, Option<&'a Object>>,
    /// Node objects.
    pub(super) nodes: BTreeMap<Name, (&'a Object, &'a NodeBody)>,
    /// Pod objects.
    pub(super) pods: BTreeMap<Key, (&'a Object, &'a PodBody)>,
    /// Objects with a pod template.
    pub(super) workloads: BTreeMap<OwnerKey, (&'a Object, &'a WorkloadBody)>,
    /// NetworkPolicies.
    pub(super) policies: BTreeMap<Key, (&'a Object, &'a NetworkPolicyBody)>,
    /// Services.
    pub(super) services: BTreeMap<Key, (&'a Object, &'a ServiceBody)>,
    /// Endpoints.
    pub(super) endpoints: BTreeMap<Key, (&'a Object, &'a EndpointsBody)>,
    /// EndpointSlices.
    pub(super) slices: BTreeMap<Key, (&'a Object, &'a EndpointSliceBody)>,
    /// Cluster-wide policies.
    pub(super) cluster_policies: BTreeMap<(ClusterPolicyKind, Name), (&'a Object, &'a ClusterPolicyBody)>,
    /// Ingresses.
    pub(super) ingresses: BTreeMap<Key, (&'a Object, &'a IngressBody)>,
    /// IngressClasses.
    pub(super) ingress_classes: BTreeMap<Name, (&'a Object, &'a IngressClassBody)>,
    /// ConfigMaps that a controller may read.
    pub(super) config_maps: BTreeMap<Key, (&'a Object, &'a ConfigMapBody)>,
    /// Roles, and ClusterRoles without a namespace.
    pub(super) roles: BTreeMap<AccessKey, (&'a Object, &'a RoleBody)>,
    /// RoleBindings, and ClusterRoleBindings without a namespace.
    pub(super) bindings: BTreeMap<AccessKey, (&'a Object, &'a RoleBindingBody)>,
    /// ServiceAccounts.
    pub(super) accounts: BTreeMap<Key, (&'a Object, &'a ServiceAccountBody)>,
    /// The Gateway API.
    pub(super) gateway_api: GatewayObjects<'a>,
}

impl<'a> Input<'a> {
    /// Sorts the objects of a snapshot.
    pub(super) fn collect(snapshot: &'a Snapshot, options: &LowerOptions, context: &mut Context) -> Self {
        let mut input = Self::default();
        for object in &snapshot.objects {
            input.add(object, options, context);
        }
        input
    }

    fn add(&mut self, object: &'a Object, options: &LowerOptions, context: &mut Context) {
        let metadata = &object.metadata;
        if matches!(object.body, Body::NotModelled(_)) {
            return;
        }
        // The reader reports an object without any name (IN-15).
        let Some(name) = name(object) else { return };
        let name = context.name(&name);
        let namespace = context.name(metadata.namespace.as_ref().unwrap_or(&options.default_namespace));
        let first = match &object.body {
            Body::NotModelled(_) => return,
            Body::Namespace => {
                let slot = self.namespaces.entry(name).or_default();
                let first = slot.is_none();
                slot.get_or_insert(object);
                return report_duplicate(first, object, *slot, context);
            }
            Body::Node(body) => keep(&mut self.nodes, name, object, &**body),
            Body::Pod(body) => {
                self.namespaces.entry(namespace.clone()).or_default();
                keep(&mut self.pods, (namespace, name), object, &**body)
            }
            Body::Workload(body) => {
                self.namespaces.entry(namespace.clone()).or_default();
                keep(&mut self.workloads, (namespace, context.name(&object.kind), name), object, &**body)
            }
            Body::NetworkPolicy(body) => {
                self.namespaces.entry(namespace.clone()).or_default();
                keep(&mut self.policies, (namespace, name), object, &**body)
            }
            Body::Ingress(body) => {
                self.namespaces.entry(namespace.clone()).or_default();
                keep(&mut self.ingresses, (namespace, name), object, &**body)
            }
            Body::IngressClass(body) => keep(&mut self.ingress_classes, name, object, &**body),
            Body::ConfigMap(body) => keep(&mut self.config_maps, (namespace, name), object, &**body),
            Body::Service(body) => {
                self.namespaces.entry(namespace.clone()).or_default();
                keep(&mut self.services, (namespace, name), object, &**body)
            }
            Body::Endpoints(body) => keep(&mut self.endpoints, (namespace, name), object, &**body),
            Body::EndpointSlice(body) => keep(&mut self.slices, (namespace, name), object, &**body),
            Body::ClusterPolicy(body) => {
                keep(&mut self.cluster_policies, (object.cluster_policy_kind(), name), object, &**body)
            }
            // Rights alone make no namespace: nothing in it can be reached.
            Body::Role(body) => {
                let namespace = (&*object.kind == "Role").then_some(namespace);
                keep(&mut self.roles, (namespace, name), object, &**body)
            }
            Body::RoleBinding(body) => {
                let namespace = (&*object.kind == "RoleBinding").then_some(namespace);
                keep(&mut self.bindings, (namespace, name), object, &**body)
            }
            Body::ServiceAccount(body) => keep(&mut self.accounts, (namespace, name), object, body),
            Body::GatewayApi(body) => {
                if !matches!(**body, GatewayApiBody::Class(_)) {
                    self.namespaces.entry(namespace.clone()).or_default();
                }
                self.gateway_api.add((namespace, name), object, body)
            }
        };
        report_duplicate(first.is_none(), object, first, context);
    }
}

/// The name, or for `generateName` one that follows from the content: a server would make one for each object.
fn name(object: &Object) -> Option<Name> {
    let metadata = &object.metadata;
    let generated = || {
        let prefix = metadata.generate_name.as_ref()?;
        Some(Name::from(format!("{prefix}{:05x}", object.fingerprint & 0xf_ffff)))
    };
    metadata.name.clone().or_else(generated)
}

/// Keeps the first object of a key; returns it when `object` came too late.
pub(super) fn keep<'a, K: Ord, B>(
    kept: &mut BTreeMap<K, (&'a Object, &'a B)>,
    key: K,
    object: &'a Object,
    body: &'a B,
) -> Option<&'a Object> {
    match kept.entry(key) {
        std::collections::btree_map::Entry::Vacant(slot) => {
            slot.insert((object, body));
            None
        }
        std::collections::btree_map::Entry::Occupied(slot) => Some(slot.get().0),
    }
}

/// IN-9 where the reader could not see it: one object names its namespace and the other leaves it to the default.
fn report_duplicate(is_first: bool, object: &Object, first: Option<&Object>, context: &mut Context) {
    let Some(first) = first.filter(|_| !is_first) else { return };
    if first.metadata.namespace == object.metadata.namespace {
        return;
    }
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let message =
        format!("`{}` `{name}` is given twice: once with its namespace, once in the default one", object.kind);
    context.report(
        Diagnostic::error("IN-9", object.span, message)
            .also(first.span, "the other one, which is used")
            .help("keep one of the two"),
    );
}

#[cfg(test)]
mod tests {
    use crate::lower::testing::{errors, lower_all, pod};

    #[test]
    fn objects_with_a_generated_name_are_not_duplicates() {
        // IN-9
        let made = |fingerprint| {
            let mut made = pod("x", "").done();
            (made.metadata.name, made.metadata.generate_name) = (None, Some("run-".into()));
            made.fingerprint = fingerprint;
            made
        };
        let (cluster, found) = lower_all(vec![made(0xabcdef), made(1)]);
        let names: Vec<_> = cluster.pods.values().map(|pod| &*pod.name).collect();
        assert_eq!(names, ["run-00001", "run-bcdef"]);
        assert!(found.is_empty());
    }

    #[test]
    fn the_default_namespace_can_make_two_objects_one() {
        // IN-9
        let mut second = pod("default", "web").done();
        second.metadata.namespace = None;
        let (cluster, found) = lower_all(vec![pod("default", "web").done(), second]);
        assert_eq!(cluster.pods.len(), 1);
        assert_eq!(
            errors(&found),
            ["IN-9: `Pod` `web` is given twice: once with its namespace, once in the default one"]
        );
    }
}
