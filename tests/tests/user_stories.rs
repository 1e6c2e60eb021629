//! The examples of the cluster-wide policy API, each in a small cluster: what its story, its comments and the names
//! of its rules say is what comes out.
//!
//! The manifests lie beside the repository, where there is such a folder.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that asks nothing says so")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::discover::{entries, parse};
use tests::on_nodes::Evaluator;
use tests::pipeline::{Backend, load};
use tests::reach::run_case;

/// The examples, by the end of their paths.
struct Examples(Vec<PathBuf>);

impl Examples {
    /// `None`, and a word about it, when they are not there.
    fn find() -> Option<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let beside = ["../../shared", "../../../shared"].map(|path| here.join(path));
        let folders = beside.map(|path| path.join("real-manifests/network-policy-api-examples"));
        let Some(folder) = folders.into_iter().find(|path| path.is_dir()) else {
            println!("no shared manifests beside the repository: nothing was asked");
            return None;
        };
        let mut files = Vec::new();
        walk(&folder, &mut files);
        Some(Self(files))
    }

    fn text(&self, end: &str) -> String {
        let found: Vec<_> = self.0.iter().filter(|path| path.ends_with(end)).collect();
        assert_eq!(found.len(), 1, "{end}: {found:?}");
        fs::read_to_string(found[0]).unwrap()
    }

    /// Runs a `reach-case/v1` in which `file: END` stands for `apply:` and what is in that file.
    fn ask(&self, cluster: &str, steps: &str) {
        let mut steps = parse(steps).unwrap();
        for change in steps.as_array_mut().unwrap().iter_mut().filter_map(|step| step.get_mut("changes")) {
            for change in change.as_array_mut().unwrap() {
                if let Some(end) = change.get("file").and_then(Value::as_str) {
                    *change = json!({"apply": parse(&self.text(end)).unwrap()});
                }
            }
        }
        let case = json!({"name": "story", "ignoreSelf": true, "cluster": parse(cluster).unwrap(), "steps": steps});
        let case = serde_json::from_value(case).unwrap();
        for backend in Backend::ALL {
            let outcome = run_case(&Evaluator::Cluster(backend), &case);
            assert!(outcome.passed(), "{backend:?}: {:#?}", outcome.differences);
        }
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in entries(folder).unwrap() {
        if entry.is_dir() { walk(&entry, files) } else { files.push(entry) }
    }
}

/// A pod with something to guard, who watches everybody, DNS, a service for all, and somebody else.
const CLUSTER: &str = "
namespaces: [{name: sensitive-ns}, {name: monitoring-ns}, {name: kube-system}, {name: bar-ns-1}, {name: foo-ns}]
pods:
- {namespace: sensitive-ns, name: vault, ip: 10.9.0.1}
- {namespace: sensitive-ns, name: clerk, ip: 10.9.0.2}
- {namespace: monitoring-ns, name: watch, ip: 10.9.0.3}
- {namespace: kube-system, name: dns, ip: 10.9.0.4, labels: {app: kube-dns}}
- {namespace: kube-system, name: store, ip: 10.9.0.5}
- {namespace: bar-ns-1, name: pub, ip: 10.9.0.6, labels: {app: svc-pub}, ports: [{name: web-alt, port: 8888, protocol: TCP}]}
- {namespace: bar-ns-1, name: private, ip: 10.9.0.7, ports: [{name: web-alt, port: 8888, protocol: TCP}]}
- {namespace: foo-ns, name: guest, ip: 10.9.0.8}
";

/// Changes that close a namespace in one direction.
fn close(namespace: &str, direction: &str) -> String {
    format!(
        "{{apply: {{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: closed, namespace: {namespace}}}, spec: {{podSelector: {{}}, policyTypes: [{direction}]}}}}}}"
    )
}

/// One that opens its ingress to everybody.
fn open(namespace: &str) -> String {
    format!(
        "{{apply: {{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: open, namespace: {namespace}}}, spec: {{podSelector: {{}}, ingress: [{{}}]}}}}}}"
    )
}

#[test]
fn story_1_nobody_in_the_cluster_reaches_the_sensitive_namespace() {
    // CNP-1, CNP-7
    let Some(examples) = Examples::find() else { return };
    let steps = "
- probes: [{protocol: TCP, port: 80, default: allow}]
- changes: [{file: user-story-1.yaml}, OPEN]
  probes:
  - {protocol: TCP, port: 80, default: allow, rules: [{from: '*', to: sensitive-ns/*, expect: deny}]}
  - {protocol: UDP, port: 53, default: allow, rules: [{from: '*', to: sensitive-ns/*, expect: deny}]}
  - {pairs: [{from: 203.0.113.7, to: sensitive-ns/vault, protocol: TCP, port: 80, expect: allow}]}
";
    examples.ask(CLUSTER, &steps.replace("OPEN", &open("sensitive-ns")));
}

#[test]
fn story_2_monitoring_reaches_all_and_all_reach_dns() {
    // CNP-1, CNP-4
    let Some(examples) = Examples::find() else { return };
    let closed = ["sensitive-ns", "bar-ns-1", "foo-ns"].map(|namespace| close(namespace, "Ingress, Egress")).join(", ");
    let to_closed = "[sensitive-ns/*, bar-ns-1/*, foo-ns/*]";
    let steps = format!(
        "
- changes: [{closed}]
  probes:
  - protocol: TCP
    port: 80
    default: allow
    rules: [{{from: '*', to: {to_closed}, expect: deny}}, {{from: {to_closed}, to: '*', expect: deny}}]
- changes: [{{file: user-story-2.yaml}}]
  probes:
  - protocol: TCP
    port: 80
    default: allow
    rules:
    - {{from: '*', to: {to_closed}, expect: deny}}
    - {{from: {to_closed}, to: '*', expect: deny}}
    - {{from: monitoring-ns/*, to: '*', expect: allow}}
    - {{from: '*', to: kube-system/dns, expect: allow}}
"
    );
    examples.ask(CLUSTER, &steps);
}

#[test]
fn story_3_the_public_service_is_left_to_network_policies() {
    // CNP-2, CNP-4, CNP-11
    let Some(examples) = Examples::find() else { return };
    let deny = "{apply: {apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: rest}, spec: {tier: Admin, priority: 21, subject: {namespaces: {}}, egress: [{action: Deny, to: [{namespaces: {}}]}]}}}";
    let guest = |to: &str, expect: &str| {
        format!(
            "
  - pairs:
    - {{from: foo-ns/guest, to: {to}, protocol: TCP, port: 8080, expect: {expect}}}
    - {{from: foo-ns/guest, to: {to}, protocol: TCP, port: web-alt, expect: {expect}}}
    - {{from: foo-ns/guest, to: {to}, protocol: UDP, port: 53, expect: {expect}}}
    - {{from: foo-ns/guest, to: {to}, protocol: TCP, port: 53, expect: deny}}
    - {{from: foo-ns/guest, to: {to}, protocol: TCP, port: 80, expect: deny}}"
        )
    };
    let steps = format!(
        "
- changes: [{deny}]
  probes: {}{}
- changes: [{{file: user-story-3.yaml}}]
  probes: {}{}
- changes: [{}]
  probes: {}
",
        guest("bar-ns-1/pub", "deny"),
        guest("bar-ns-1/private", "deny"),
        guest("bar-ns-1/pub", "allow"),
        guest("bar-ns-1/private", "deny"),
        close("foo-ns", "Egress"),
        guest("bar-ns-1/pub", "deny"),
    );
    examples.ask(CLUSTER, &steps);
}

#[test]
fn story_4_is_no_manifest_yet() {
    // ANP-5: tenants by the same value of a label cannot be written.
    let Some(examples) = Examples::find() else { return };
    for end in ["user-story-4-v1.yaml", "user-story-4-v2.yaml"] {
        let loaded = load([(end.to_owned(), examples.text(end))]);
        assert!(loaded.errors().next().is_some() && loaded.cluster.cluster_policies.is_empty(), "{end}");
    }
}

#[test]
fn story_5_the_default_is_closed_and_namespaces_may_open_themselves() {
    // CNP-5
    let Some(examples) = Examples::find() else { return };
    let steps = format!(
        "
- changes: [{{file: user-story-5.yaml}}]
  probes:
  - {{protocol: TCP, port: 80, default: deny}}
  - {{pairs: [{{from: 203.0.113.7, to: foo-ns/guest, protocol: TCP, port: 80, expect: allow}}]}}
- changes: [{}]
  probes: [{{protocol: TCP, port: 80, default: deny, rules: [{{from: '*', to: foo-ns/*, expect: allow}}]}}]
- changes: [{{delete: {{kind: NetworkPolicy, namespace: foo-ns, name: open}}}}, {}]
  probes: [{{protocol: TCP, port: 80, default: deny}}]
",
        open("foo-ns"),
        close("foo-ns", "Ingress"),
    );
    examples.ask(CLUSTER, &steps);
}

#[test]
fn all_stories_together_go_by_priority() {
    // CNP-1, CNP-2
    let Some(examples) = Examples::find() else { return };
    let steps = "
- changes: [{file: user-story-1.yaml}, {file: user-story-2.yaml}, {file: user-story-3.yaml}, {file: user-story-5.yaml}]
  probes:
  - protocol: TCP
    port: 80
    default: deny
    rules:
    - {from: monitoring-ns/*, to: '*', expect: allow}
    - {from: '*', to: sensitive-ns/*, expect: deny}
";
    examples.ask(CLUSTER, steps);
}

/// The two pods of a demonstration, and clients of both sorts.
const DEMO: &str = "
namespaces: [{name: demo}, {name: dev, labels: {development: 'true'}}, {name: other}]
pods:
- {namespace: demo, name: a, ip: 10.9.1.1, labels: {pod: a}}
- {namespace: demo, name: b, ip: 10.9.1.2, labels: {pod: b}}
- {namespace: dev, name: c, ip: 10.9.1.3, labels: {pod: a}}
- {namespace: other, name: d, ip: 10.9.1.4, labels: {pod: a}}
";

#[test]
fn the_walk_through_allows_port_80_and_closes_the_rest() {
    // ANP-1, ANP-2, CNP-5
    let Some(examples) = Examples::find() else { return };
    let steps = format!(
        "
- changes: [{{file: walkthrough/policies/npv1.yaml}}]
  probes: [{{protocol: TCP, port: 80, default: allow, rules: [{{from: '*', to: demo/a, expect: deny}}]}}]
- changes: [{{file: walkthrough/policies/anp1.yaml}}, {{file: walkthrough/policies/anp2.yaml}}, {{file: walkthrough/policies/banp.yaml}}]
  probes: [{{protocol: TCP, port: 80, default: allow}}, {{protocol: TCP, port: 81, default: deny}}]
- changes: [{}]
  probes: [{{protocol: TCP, port: 81, default: deny, rules: [{{from: '*', to: demo/*, expect: allow}}]}}]
",
        open("demo")
    );
    examples.ask(DEMO, &steps);
}

#[test]
fn the_talk_allows_80_passes_81_and_denies_in_the_baseline() {
    // ANP-1, ANP-2, CNP-2, CNP-5
    let Some(examples) = Examples::find() else { return };
    let folder = "kubecon-eu-2024/policies";
    let steps = format!(
        "
- changes: [{{file: {folder}/anp3.yaml}}]
  probes:
  - {{protocol: TCP, port: 81, default: allow, rules: [{{from: '*', to: demo/*, expect: deny}}]}}
  - {{protocol: TCP, port: 80, default: allow}}
- changes: [{{file: {folder}/anp2.yaml}}]
  probes: [{{protocol: TCP, port: 81, default: allow}}]
- changes: [{{file: {folder}/npv1.yaml}}]
  probes:
  - {{protocol: TCP, port: 81, default: allow, rules: [{{from: '*', to: demo/a, expect: deny}}]}}
  - {{protocol: TCP, port: 80, default: allow, rules: [{{from: '*', to: demo/a, expect: deny}}]}}
- changes: [{{file: {folder}/anp1.yaml}}, {{file: {folder}/banp.yaml}}]
  probes:
  - {{protocol: TCP, port: 80, default: allow}}
  - {{protocol: TCP, port: 81, default: allow, rules: [{{from: '*', to: demo/*, expect: deny}}]}}
  - {{protocol: UDP, port: 80, default: allow, rules: [{{from: '*', to: demo/*, expect: deny}}]}}
"
    );
    examples.ask(DEMO, &steps);
}

/// The houses of the conformance suite.
const HOUSES: &str = "
namespaces: [{name: network-policy-conformance-ravenclaw}, {name: network-policy-conformance-gryffindor}, {name: network-policy-conformance-slytherin}, {name: network-policy-conformance-hufflepuff}]
pods:
- {namespace: network-policy-conformance-ravenclaw, name: luna, ip: 10.9.2.1}
- {namespace: network-policy-conformance-gryffindor, name: harry, ip: 10.9.2.2}
- {namespace: network-policy-conformance-slytherin, name: draco, ip: 10.9.2.3}
- {namespace: network-policy-conformance-hufflepuff, name: cedric, ip: 10.9.2.4}
";

#[test]
fn rules_do_what_their_names_say() {
    // CNP-3, ANP-1, ANP-3
    let Some(examples) = Examples::find() else { return };
    let (luna, cedric) = ("network-policy-conformance-ravenclaw/*", "network-policy-conformance-hufflepuff/*");
    let draco = "network-policy-conformance-slytherin/*";
    for file in ["anps/anp.yaml", "banp/banp.yaml"] {
        let steps = format!(
            "
- changes: [{{file: {file}}}]
  probes:
  - {{protocol: SCTP, port: 9003, default: allow, rules: [{{from: {luna}, to: {draco}, expect: deny}}]}}
  - {{protocol: SCTP, port: 9004, default: allow, rules: [{{from: {luna}, to: {cedric}, expect: deny}}]}}
  - {{protocol: TCP, port: 9003, default: allow, rules: [{{from: {luna}, to: {cedric}, expect: deny}}]}}
"
        );
        examples.ask(HOUSES, &steps);
    }
}
