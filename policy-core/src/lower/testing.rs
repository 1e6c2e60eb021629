//! Hand-made snapshots for the tests of this module.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Severity};
use crate::ids::Id;
use crate::lower::{LowerOptions, lower};
use crate::manifest::{ReadOptions, read};
use crate::model::{Cluster, ClusterPolicy, Name};
use crate::snapshot::{
    Body, Container, ContainerPort, IpBlock, LabelSelector, NetworkPolicyBody, NetworkPolicySpec, NodeAddress,
    NodeBody, NodeStatus, Object, ObjectMeta, OwnerReference, PodBody, PodIp, PodSpec, PodStatus, SelectorRequirement,
    Snapshot, WorkloadBody,
};
use crate::source::{SourceId, SourceMap, Span, Spanned};

/// An object in the making.
#[derive(Clone)]
pub(super) struct Build(Object);

pub(super) fn object(api_version: &str, kind: &str, namespace: &str, name: &str, body: Body) -> Build {
    let metadata = ObjectMeta {
        name: Some(Name::from(name)),
        namespace: Some(Name::from(namespace)).filter(|namespace| !namespace.is_empty()),
        ..ObjectMeta::default()
    };
    Build(Object {
        api_version: Name::from(api_version),
        kind: Name::from(kind),
        metadata,
        span: None,
        fingerprint: 0,
        unread: Vec::new(),
        body,
    })
}

pub(super) fn namespace(name: &str) -> Build {
    object("v1", "Namespace", "", name, Body::Namespace)
}

pub(super) fn node(name: &str, addresses: &[(&str, &str)]) -> Build {
    let address = |(kind, address): &(&str, &str)| NodeAddress {
        r#type: Some(Name::from(*kind)),
        address: Some(spanned(address)),
    };
    let status = NodeStatus { addresses: Some(addresses.iter().map(address).collect()) };
    object("v1", "Node", "", name, Body::Node(Box::new(NodeBody { spec: None, status: Some(status) })))
}

pub(super) fn pod(namespace: &str, name: &str) -> Build {
    object("v1", "Pod", namespace, name, Body::Pod(Box::default()))
}

pub(super) fn workload(namespace: &str, kind: &str, name: &str) -> Build {
    object("apps/v1", kind, namespace, name, Body::Workload(Box::default()))
}

/// A policy that selects all pods and admits nothing.
pub(super) fn policy(namespace: &str, name: &str) -> Build {
    let spec = NetworkPolicySpec { pod_selector: Some(LabelSelector::default()), ..NetworkPolicySpec::default() };
    let body = NetworkPolicyBody { spec: Some(spec) };
    object("networking.k8s.io/v1", "NetworkPolicy", namespace, name, Body::NetworkPolicy(Box::new(body)))
}

impl Build {
    pub(super) fn done(self) -> Object {
        self.0
    }

    fn pod_body(&mut self) -> &mut PodBody {
        let Body::Pod(body) = &mut self.0.body else { panic!("not a pod") };
        body
    }

    fn status(&mut self) -> &mut PodStatus {
        self.pod_body().status.get_or_insert_default()
    }

    fn workload_body(&mut self) -> &mut WorkloadBody {
        let Body::Workload(body) = &mut self.0.body else { panic!("not a workload") };
        body
    }

    fn pod_spec(&mut self) -> &mut PodSpec {
        match &mut self.0.body {
            Body::Pod(body) => body.spec.get_or_insert_default(),
            Body::Workload(body) => body.template.spec.get_or_insert_default(),
            _ => panic!("no pod spec"),
        }
    }

    pub(super) fn labels<const N: usize>(mut self, labels: [(&str, &str); N]) -> Self {
        self.0.metadata.labels = Some(map(labels));
        self
    }

    pub(super) fn owner(self, kind: &str, name: &str) -> Self {
        self.owned(kind, name, Some(true))
    }

    pub(super) fn owner_that_does_not_control(self, kind: &str, name: &str) -> Self {
        self.owned(kind, name, None)
    }

    fn owned(mut self, kind: &str, name: &str, controller: Option<bool>) -> Self {
        self.0.metadata.owner_references.get_or_insert_default().push(OwnerReference {
            kind: Some(Name::from(kind)),
            name: Some(Name::from(name)),
            controller,
            ..OwnerReference::default()
        });
        self
    }

    pub(super) fn on_node(mut self, node: &str) -> Self {
        self.pod_spec().node_name = Some(Name::from(node));
        self
    }

    pub(super) fn host_network(mut self) -> Self {
        self.pod_spec().host_network = Some(true);
        self
    }

    pub(super) fn phase(mut self, phase: &str) -> Self {
        self.status().phase = Some(Name::from(phase));
        self
    }

    pub(super) fn ips<const N: usize>(mut self, ips: [&str; N]) -> Self {
        self.status().pod_ip = ips.first().copied().map(spanned);
        self.status().pod_ips = Some(ips.into_iter().map(|ip| PodIp { ip: Some(spanned(ip)) }).collect());
        self
    }

    pub(super) fn host_ip(mut self, ip: &str) -> Self {
        self.status().host_ip = Some(spanned(ip));
        self
    }

    pub(super) fn port(mut self, name: Option<&str>, protocol: &str, port: i64) -> Self {
        let port = container_port(name, protocol, port);
        let container = Container { ports: Some(vec![port]), ..Container::default() };
        self.pod_spec().containers.get_or_insert_default().push(container);
        self
    }

    pub(super) fn init_port(mut self, restart_policy: &str, name: &str, port: i64) -> Self {
        let ports = Some(vec![container_port(Some(name), "TCP", port)]);
        let container = Container { ports, restart_policy: Some(Name::from(restart_policy)), ..Container::default() };
        self.pod_spec().init_containers.get_or_insert_default().push(container);
        self
    }

    pub(super) fn template_labels<const N: usize>(mut self, labels: [(&str, &str); N]) -> Self {
        self.workload_body().template.metadata.get_or_insert_default().labels = Some(map(labels));
        self
    }

    pub(super) fn replicas(mut self, replicas: i64) -> Self {
        self.workload_body().replicas = Some(replicas);
        self
    }

    pub(super) fn finished(mut self) -> Self {
        self.workload_body().finished = true;
        self
    }

    pub(super) fn spec(mut self, spec: Option<NetworkPolicySpec>) -> Self {
        self.0.body = Body::NetworkPolicy(Box::new(NetworkPolicyBody { spec }));
        self
    }
}

fn container_port(name: Option<&str>, protocol: &str, port: i64) -> ContainerPort {
    ContainerPort {
        name: name.map(Name::from),
        protocol: Some(spanned(protocol)),
        container_port: Some(Spanned::nowhere(port)),
        host_port: None,
        host_ip: None,
    }
}

fn map<const N: usize>(labels: [(&str, &str); N]) -> BTreeMap<Name, Name> {
    labels.into_iter().map(|(key, value)| (Name::from(key), Name::from(value))).collect()
}

pub(super) fn spanned(text: &str) -> Spanned<Name> {
    Spanned::nowhere(Name::from(text))
}

pub(super) fn source(start: u32, end: u32) -> Span {
    Span { source: SourceId::from_index(0), start, end }
}

pub(super) fn match_labels<const N: usize>(labels: [(&str, &str); N]) -> LabelSelector {
    let labels = labels.into_iter().map(|(key, value)| (Name::from(key), spanned(value)));
    LabelSelector { match_labels: Some(labels.collect()), match_expressions: None }
}

pub(super) fn match_expression(key: &str, operator: &str, values: &[&str]) -> Spanned<SelectorRequirement> {
    Spanned::nowhere(SelectorRequirement {
        key: Some(spanned(key)),
        operator: Some(spanned(operator)),
        values: Some(values.iter().copied().map(spanned).collect()),
    })
}

pub(super) fn block(cidr: &str, except: &[&str]) -> Spanned<IpBlock> {
    let except = Some(except.iter().copied().map(spanned).collect());
    Spanned::nowhere(IpBlock { cidr: Some(spanned(cidr)), except })
}

pub(super) fn lower_all(objects: Vec<Object>) -> (Cluster, Vec<Diagnostic>) {
    lower(&Snapshot { objects, incomplete: false }, &LowerOptions::default())
}

/// Reads and lowers one text beside a pod: the cluster, what was found, and where it points.
pub(super) fn from_text(text: &str) -> (Cluster, Vec<Diagnostic>, Vec<String>) {
    let mut sources = SourceMap::default();
    sources.add("pod.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x}}");
    sources.add("policy.yaml", text);
    let (snapshot, mut found) = read(&sources, &ReadOptions::default());
    let (cluster, lowered) = lower(&snapshot, &LowerOptions::default());
    found.extend(lowered);
    let shown = |found: &Diagnostic| {
        let place = found.primary.as_ref().map(|label| sources.text(label.span).lines().next().unwrap_or_default());
        format!("{}: {} <{}>", found.rule, found.message, place.unwrap_or("nowhere"))
    };
    let shown = found.iter().map(shown).collect();
    (cluster, found, shown)
}

/// A ClusterNetworkPolicy with this in its `spec` besides subject, tier and priority.
pub(super) fn cnp(spec: &str) -> String {
    let head = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: a}";
    format!("{head}\nspec:\n  subject: {{namespaces: {{}}}}\n  tier: Admin\n  priority: 10\n  {spec}\n")
}

/// The same as an AdminNetworkPolicy.
pub(super) fn anp(spec: &str) -> String {
    let head = "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}";
    format!("{head}\nspec:\n  subject: {{namespaces: {{}}}}\n  priority: 10\n  {spec}\n")
}

/// The same as a BaselineAdminNetworkPolicy.
pub(super) fn banp(spec: &str) -> String {
    let head =
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: default}";
    format!("{head}\nspec:\n  subject: {{namespaces: {{}}}}\n  {spec}\n")
}

/// What is found wrong with a policy, which is left out.
pub(super) fn refused(text: &str) -> Vec<String> {
    let (cluster, found, shown) = from_text(text);
    assert!(found.iter().any(Diagnostic::is_error) && cluster.cluster_policies.is_empty(), "{shown:?}");
    shown
}

/// The one cluster-wide policy of a text, and what is remarked on it.
pub(super) fn accepted(text: &str) -> (ClusterPolicy, Vec<String>) {
    let (cluster, found, shown) = from_text(text);
    assert!(!found.iter().any(Diagnostic::is_error) && cluster.cluster_policies.len() == 1, "{shown:?}");
    (cluster.cluster_policies.values().next().unwrap().clone(), shown)
}

/// The help with the first finding.
pub(super) fn help(text: &str) -> String {
    from_text(text).1.remove(0).help.unwrap()
}

fn of_severity(found: &[Diagnostic], severity: Severity) -> Vec<String> {
    let of_severity = found.iter().filter(|found| found.severity == severity);
    of_severity.map(|found| format!("{}: {}", found.rule, found.message)).collect()
}

pub(super) fn errors(found: &[Diagnostic]) -> Vec<String> {
    of_severity(found, Severity::Error)
}

pub(super) fn warnings(found: &[Diagnostic]) -> Vec<String> {
    of_severity(found, Severity::Warning)
}
