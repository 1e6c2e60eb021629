//! The objects of a case at one moment, as manifests.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::format::{Change, ClusterSpec, NamespaceSpec, NodeSpec, PodSpec};

/// What names an object: kind, namespace (empty for cluster-scoped ones), name.
type Key = (String, String, String);

/// The objects at one moment.
#[derive(Debug, Clone)]
pub struct State {
    objects: BTreeMap<Key, Value>,
}

impl State {
    /// The objects before the first step.
    #[must_use]
    pub fn new(cluster: &ClusterSpec) -> Self {
        let mut state = Self { objects: BTreeMap::new() };
        for node in &cluster.nodes {
            state.insert("Node", "", &node.name, node_object(node));
        }
        for namespace in &cluster.namespaces {
            state.insert("Namespace", "", &namespace.name, namespace_object(namespace));
        }
        for pod in &cluster.pods {
            state.insert("Pod", &pod.namespace, &pod.name, pod_object(pod));
        }
        state
    }

    fn insert(&mut self, kind: &str, namespace: &str, name: &str, object: Value) {
        self.objects.insert(key(kind, namespace, name), object);
    }

    /// `namespace/name` of every pod, in order.
    #[must_use]
    pub fn pods(&self) -> Vec<String> {
        let pods = self.objects.keys().filter(|(kind, _, _)| kind == "Pod");
        pods.map(|(_, namespace, name)| format!("{namespace}/{name}")).collect()
    }

    /// Applies one change.
    ///
    /// # Errors
    /// When the change names an object that is not there, or applies something without kind and name.
    pub fn change(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Apply(object) => self.apply(object),
            Change::Delete { kind, namespace, name } => {
                self.remove(kind, namespace.as_deref().unwrap_or_default(), name)
            }
            Change::SetPodLabels { namespace, name, labels } => self.relabel("Pod", namespace, name, labels),
            Change::SetNamespaceLabels { name, labels } => self.relabel("Namespace", "", name, labels),
            Change::CreateNamespace(namespace) => {
                self.insert("Namespace", "", &namespace.name, namespace_object(namespace));
                Ok(())
            }
            Change::DeleteNamespace { name } => {
                self.remove("Namespace", "", name)?;
                self.objects.retain(|(_, namespace, _), _| namespace != name);
                Ok(())
            }
            Change::CreatePod(pod) => {
                self.insert("Pod", &pod.namespace, &pod.name, pod_object(pod));
                Ok(())
            }
            Change::DeletePod { namespace, name } => self.remove("Pod", namespace, name),
        }
    }

    fn apply(&mut self, object: &Value) -> Result<(), String> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) else {
            return Err("`apply` needs an object with `kind` and `metadata.name`".to_owned());
        };
        let namespace = text("/metadata/namespace").unwrap_or_default();
        self.objects.insert(key(kind, namespace, name), object.clone());
        Ok(())
    }

    fn remove(&mut self, kind: &str, namespace: &str, name: &str) -> Result<(), String> {
        let removed = self.objects.remove(&key(kind, namespace, name));
        removed.map(|_| ()).ok_or_else(|| format!("there is no {kind} `{namespace}/{name}` to delete"))
    }

    fn relabel(&mut self, kind: &str, ns: &str, name: &str, labels: &BTreeMap<String, String>) -> Result<(), String> {
        let object = self.objects.get_mut(&key(kind, ns, name));
        let metadata = object.and_then(|object| object.get_mut("metadata")).and_then(Value::as_object_mut);
        let metadata = metadata.ok_or_else(|| format!("there is no {kind} `{ns}/{name}` to label"))?;
        metadata.insert("labels".to_owned(), json!(labels));
        Ok(())
    }

    /// Every object as a text of its own. Policies and namespaces take the way of files that people write, the rest
    /// that of a dump.
    #[must_use]
    pub fn texts(&self) -> Vec<(String, String)> {
        let name = |(kind, namespace, name): &Key| {
            let path = format!("{kind}/{namespace}/{name}").replace("//", "/");
            let extension = if kind == "Pod" || kind == "Node" { "json" } else { "yaml" };
            format!("{path}.{extension}")
        };
        self.objects.iter().map(|(key, object)| (name(key), object.to_string())).collect()
    }
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    (kind.to_owned(), namespace.to_owned(), name.to_owned())
}

fn node_object(node: &NodeSpec) -> Value {
    let addresses: Vec<_> = node.ips.iter().map(|ip| json!({"type": "InternalIP", "address": ip})).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": node.labels},
        "status": {"addresses": addresses},
    })
}

fn namespace_object(namespace: &NamespaceSpec) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace.name, "labels": namespace.labels},
    })
}

fn pod_object(pod: &PodSpec) -> Value {
    let ports = pod.ports.iter().map(|port| {
        let mut object = Map::new();
        object.extend(port.name.as_ref().map(|name| ("name".to_owned(), json!(name))));
        object.insert("containerPort".to_owned(), json!(port.port));
        object.insert("protocol".to_owned(), json!(port.protocol));
        Value::Object(object)
    });
    let container = json!({"name": "main", "image": "none", "ports": ports.collect::<Vec<_>>()});
    let mut spec = json!({"containers": [container]});
    if let Some(spec) = spec.as_object_mut() {
        spec.extend(pod.node.as_ref().map(|node| ("nodeName".to_owned(), json!(node))));
        spec.extend(pod.host_network.then(|| ("hostNetwork".to_owned(), json!(true))));
    }
    let ips: Vec<_> = pod.ip.as_slice().iter().map(|ip| json!({"ip": ip})).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels},
        "spec": spec,
        "status": {"phase": "Running", "podIP": pod.ip.as_slice().first(), "podIPs": ips},
    })
}
