//! Objects that are read.

use super::*;
use crate::snapshot::{Body, Effect, IntOrString};

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: c
        image: nginx
        ports:
        - name: http
          containerPort: 8080
          hostPort: 80
";

const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector: {matchLabels: {app: web}}
    ports:
    - port: http
    - port: 80
      endPort: 90
";

#[test]
fn a_deployment_and_a_policy_become_objects_with_places() {
    let (snapshot, problems) = reading(&format!("{DEPLOYMENT}---\n{POLICY}"));
    assert_eq!(problems, Vec::<String>::new());
    assert!(!snapshot.incomplete);
    let [deployment, policy] = snapshot.objects.as_slice() else { panic!("{snapshot:#?}") };
    let Body::Workload(workload) = &deployment.body else { panic!("{deployment:?}") };
    assert_eq!(deployment.metadata.name.as_deref(), Some("web"));
    assert_eq!(workload.replicas, Some(2));
    let ports = workload.template.spec.as_ref().unwrap().containers.as_ref().unwrap()[0].ports.as_ref().unwrap();
    assert_eq!(ports[0].container_port.unwrap().value, 8080);
    assert_eq!(ports[0].host_port.unwrap().value, 80);
    assert_eq!(deployment.unread, []);
    let Body::NetworkPolicy(body) = &policy.body else { panic!("{policy:?}") };
    let spec = body.spec.as_ref().unwrap();
    let rule = &spec.ingress.as_ref().unwrap()[0];
    let port = rule.value.ports.as_ref().unwrap()[1].value.port.as_ref().unwrap();
    assert_eq!(port.value, IntOrString::Int(80));
    let text = format!("{DEPLOYMENT}---\n{POLICY}");
    assert_eq!(written(&text, port.span), "80");
    assert!(written(&text, rule.span).starts_with("from:"));
    assert!(written(&text, rule.span).ends_with("endPort: 90"));
    assert!(written(&text, policy.span).starts_with("apiVersion: networking"));
    let value = &rule.value.from.as_ref().unwrap()[0].value.pod_selector.as_ref().unwrap().match_labels;
    assert_eq!(written(&text, value.as_ref().unwrap()["app"].span), "web");
}

#[test]
fn spans_count_bytes_after_other_letters_and_byte_order_marks() {
    let (_, problems) = reading("\u{feff}# é\r\napiVersion: v1\r\nkind: Pod\r\nmetadata: {name: a, nome: ü}\r\n");
    assert_eq!(problems, ["error[IN-3] a.yaml:4:21: unknown field `nome` <nome> "]);
}

#[test]
fn missing_null_and_empty_lists_stay_apart() {
    let read = |line: &str| {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec:\n  podSelector: {{}}\n{line}"
        );
        let (snapshot, problems) = reading(&text);
        assert_eq!(problems, Vec::<String>::new());
        let Body::NetworkPolicy(body) = snapshot.objects[0].body.clone() else { panic!() };
        body.spec.unwrap().ingress.map(|rules| rules.len())
    };
    // NP-2, NP-7
    assert_eq!(read(""), None);
    assert_eq!(read("  ingress:\n"), None);
    assert_eq!(read("  ingress: []\n"), Some(0));
    assert_eq!(read("  ingress:\n  - {}\n"), Some(1));
}

#[test]
fn aliases_and_merge_keys_are_followed() {
    let text = "\
apiVersion: v1
kind: Pod
metadata:
  name: a
  labels: &labels {app: web, tier: front}
spec: {containers: []}
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  labels:
    <<: [{app: x}, {tier: y, zone: z}]
    tier: back
";
    let (snapshot, problems) = reading(text);
    assert_eq!(problems, Vec::<String>::new());
    let labels: Vec<String> = snapshot.objects[1]
        .metadata
        .labels
        .as_ref()
        .unwrap()
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(labels, ["app=x", "tier=back", "zone=z"]);
}

#[test]
fn lists_are_opened_and_typed_items_need_no_kind() {
    let text = "\
apiVersion: v1
kind: PodList
items:
- metadata: {name: a}
- {apiVersion: v1, kind: Pod, metadata: {name: b}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: q}}
- kind: Thing
- 7
";
    let (snapshot, problems) = reading(text);
    let kinds: Vec<&str> = snapshot.objects.iter().map(|object| &*object.kind).collect();
    assert_eq!(kinds, ["Pod", "Pod", "Namespace"]);
    assert_eq!(
        problems,
        [
            "warning[IN-10] a.yaml:11:3: this document is not a Kubernetes object: skipped <kind: Thing>  ; \
             a Kubernetes object has `apiVersion` and `kind`",
            "warning[IN-10] a.yaml:12:3: this item is not an object: skipped <7>  ; \
             a Kubernetes object has `apiVersion` and `kind`",
        ]
    );
}

#[test]
fn other_kinds_are_kept_with_their_effect() {
    let (snapshot, problems) = reading(
        "{apiVersion: route.openshift.io/v1, kind: Route, metadata: {name: s}}\n---\n{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: c}}\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    let bodies: Vec<_> = snapshot.objects.iter().map(|object| matches!(object.body, Body::NotModelled(_))).collect();
    assert_eq!(bodies, [true, true]);
    assert!(matches!(snapshot.objects[1].body, Body::NotModelled(Effect::Policy)));
}

#[test]
fn a_finished_job_and_a_cron_job_keep_their_templates() {
    let text = "\
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {metadata: {labels: {a: b}}}}
status: {conditions: [{type: Complete, status: 'True'}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {metadata: {labels: {a: c}}, spec: {hostNetwork: true}}}}}
";
    let (snapshot, problems) = reading(text);
    assert_eq!(problems, Vec::<String>::new());
    let Body::Workload(job) = &snapshot.objects[0].body else { panic!() };
    assert!(job.finished);
    let Body::Workload(cron) = &snapshot.objects[1].body else { panic!() };
    assert!(!cron.finished);
    assert_eq!(cron.template.spec.as_ref().unwrap().host_network, Some(true));
}

#[test]
fn marks_of_meshes_are_listed_as_unread() {
    let text = "\
apiVersion: v1
kind: Namespace
metadata: {name: q, labels: {istio-injection: enabled, team: a}}
---
apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {k8s.v1.cni.cncf.io/networks: other, note: x}}
";
    let (snapshot, _) = reading(text);
    let paths: Vec<_> =
        snapshot.objects.iter().flat_map(|object| object.unread.iter().map(|field| field.path.clone())).collect();
    assert_eq!(
        paths,
        ["metadata.labels[\"istio-injection\"]", "metadata.annotations[\"k8s.v1.cni.cncf.io/networks\"]"]
    );
    assert!(paths.iter().all(|path| !reason(path).is_empty()));
}

#[test]
fn what_an_api_server_wrote_may_have_unknown_fields() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, uid: u, resourceVersion: '1'}\nspec: {newField: 1}\n";
    assert_eq!(reading(text).1, Vec::<String>::new());
}
