//! The documents of `-o json`: the schemas in `docs/schemas` are those of the code, and real outputs obey them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use simulator::Exit;
use simulator::dto::schema::{KINDS, schema};
use tests::command::{Said, portolan};

const CLUSTER: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: cart-0, namespace: shop, labels: {app: cart}}, spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{containerPort: 7070, hostPort: 7070}]}]}, status: {phase: Running, podIP: 10.0.0.5, hostIP: 192.168.0.1}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: cart, namespace: shop}, spec: {podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {podSelector: {matchLabels: {app: absent}}}], ports: [{port: 7070, endPort: 7080}]}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}}
---
{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: names}, spec: {tier: Admin, priority: 10, subject: {namespaces: {}}, egress: [{name: outside, action: Accept, to: [{domainNames: ["*.example.org"]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}, {action: Pass, to: [{namespaces: {}}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]}}
---
{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: tied}, spec: {tier: Admin, priority: 10, subject: {namespaces: {}}, egress: [{action: Accept, to: [{pods: {podSelector: {matchLabels: {app: nobody}}}}, {networks: [192.0.2.0/24]}]}]}}
---
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: extra, namespace: shop}, spec: {}}
"#;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a command line on `CLUSTER` in `-f -`, or with questions on standard input.
fn run(line: &str, stdin: &str) -> (Exit, String) {
    let Said { exit, stdout, stderr } = portolan(line.split_whitespace(), stdin);
    assert!(!stdout.is_empty(), "{line}: {stderr}");
    (exit, stdout)
}

fn obeys(kind: &str, document: &Value) {
    let schema: Value = serde_json::from_str(&schema(kind).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{kind}: {problems:?}\n{document:#}");
}

#[test]
fn the_schemas_in_docs_are_those_of_the_code() {
    let folder = root().join("docs/schemas");
    let mut files: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    files.sort();
    assert_eq!(files, KINDS.map(|kind| format!("{kind}.json")));
    for kind in KINDS {
        let written = fs::read_to_string(folder.join(format!("{kind}.json"))).unwrap();
        let fresh = schema(kind).unwrap();
        assert_eq!(written, fresh, "run: portolan schema {kind} > docs/schemas/{kind}.json");
    }
}

#[test]
fn every_document_obeys_its_schema() {
    let lines = [
        ("CanAnswer", "can shop/web shop/cart-0:7070"),
        ("CanAnswer", "can internet shop/*:7075"),
        ("CanAnswer", "can shop/* shop/*"),
        ("CanAnswer", "can shop/web www.example.org:443"),
        ("CanAnswer", "can shop/web www.example.org"),
        ("CanAnswer", "can shop/web 192.0.2.1:80"),
        ("WhoAnswer", "who www.example.org"),
        ("WhoAnswer", "who shop/cart-0 --hypothetical"),
        ("WhereAnswer", "where shop/web --hypothetical"),
        ("ExplainAnswer", "explain shop/web shop/cart-0:7070"),
        ("ExplainAnswer", "explain shop/* shop/*:http"),
        ("ExplainAnswer", "explain shop/web www.example.org:443"),
        ("ExplainAnswer", "explain shop/web 192.0.2.1:80"),
        ("ListAnswer", "list --hypothetical"),
        ("PairsAnswer", "list --pairs"),
        ("MatrixAnswer", "matrix"),
        ("MatrixAnswer", "matrix -p http"),
        ("CoverageAnswer", "coverage"),
        ("GraphAnswer", "graph"),
    ];
    for (kind, line) in lines {
        let (_, text) = run(&format!("{line} -f - -o json"), CLUSTER);
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["kind"], kind, "{line}");
        assert_eq!(document["coverage"]["notModelled"][0]["kind"], "CiliumNetworkPolicy", "{line}");
        obeys(kind, &document);
    }
}

#[test]
fn what_is_said_of_requests_obeys_the_schemas() {
    for (case, line) in [
        ("ing-008-one-request-at-nginx", "route http://shop.example.com/"),
        ("ing-008-one-request-at-nginx", "route http://admin.example.com/app"),
        ("ing-008-one-request-at-nginx", "route http://orphan.example.com/"),
        ("gw-010-one-request-at-a-gateway", "route http://api.example.com/v1/items --header X-A:b"),
        ("gw-010-one-request-at-a-gateway", "route https://api.example.com/x1/y"),
        ("svc-001-one-request-at-a-service", "route http://web.shop/ --from *"),
    ] {
        let manifests = root().join("fixtures/corpus").join(case).join("manifests");
        let (_, text) = run(&format!("{line} -f {} -o json", manifests.display()), "");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["kind"], "RouteAnswer", "{line}");
        assert!(!document["answers"].as_array().unwrap().is_empty(), "{line}");
        obeys("RouteAnswer", &document);
        let words: Vec<&str> = line.split_whitespace().collect();
        let from = words.iter().position(|word| *word == "--from").map_or("internet", |at| words[at + 1]);
        let question = serde_json::json!({"id": line, "from": from, "url": words[1], "headers": {"X-A": "b"}});
        let (exit, text) = run(&format!("batch -f {}", manifests.display()), &question.to_string());
        let answer: Value = serde_json::from_str(&text).unwrap();
        obeys("BatchLine", &answer);
        assert_eq!((exit.code(), &answer["verdict"], &answer["rule"]), (0, &document["verdict"], &document["rule"]));
    }
}

#[test]
fn what_is_said_of_users_and_of_other_names_obeys_the_schemas() {
    // API-2, W-PFWD, W-EXTNAME
    let manifests = root().join("fixtures/corpus/api-002-users-of-the-api-server/manifests");
    let ask = |line: &str| -> Value {
        let (_, text) = run(&format!("{line} -f {} -o json", manifests.display()), "");
        serde_json::from_str(&text).unwrap()
    };
    for (kind, line, field) in [
        ("CanAnswer", "can user/alice shop/cart:8080", "apiWays"),
        ("CanAnswer", "can group/viewers shop/svc/cart:80 --set konnectivity=lab/web", "apiWays"),
        ("CanAnswer", "can lab/web lab/svc/basket:80", "through"),
        ("ExplainAnswer", "explain user/root shop/cart:8080", "apiWays"),
        ("ExplainAnswer", "explain lab/web bank.lab:443", "through"),
        ("WhoAnswer", "who shop/cart:8080", "apiWays"),
        ("WhereAnswer", "where user/carol", "apiWays"),
        ("ExposedAnswer", "exposed", "apiRights"),
    ] {
        let document = ask(line);
        assert_eq!(document["kind"], kind, "{line}");
        assert!(!document[field].as_array().unwrap().is_empty(), "{line}");
        obeys(kind, &document);
    }
    let alice = ask("can user/alice shop/cart:8080");
    let forwarded = alice["apiWays"].as_array().unwrap().iter().find(|way| way["by"] == "pods/portforward").unwrap();
    assert_eq!((&forwarded["way"], &forwarded["policiesAsked"]), (&"W-PFWD".into(), &false.into()));
    assert_eq!(forwarded["rights"][0]["binding"], "RoleBinding shop/forward");
    assert_eq!(ask("can lab/web lab/svc/basket:80")["ways"][0]["way"], "W-EXTNAME");
    // Every connection of a user's ways is among the traces.
    let root = ask("explain user/root shop/cart:8080");
    let legs = root["apiWays"].as_array().unwrap().iter().map(|way| way["legs"].as_array().unwrap().len());
    assert_eq!(root["traces"].as_array().unwrap().len(), legs.sum::<usize>());
}

#[test]
fn yaml_and_json_say_the_same() {
    for line in ["can internet shop/*:7075", "list", "coverage", "explain shop/web shop/cart-0:7070", "matrix"] {
        let (_, json) = run(&format!("{line} -f - -o json"), CLUSTER);
        let (_, yaml) = run(&format!("{line} -f - -o yaml"), CLUSTER);
        let json: Value = serde_json::from_str(&json).unwrap();
        let yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(json, yaml, "{line}");
    }
}

#[test]
fn a_document_of_another_shape_does_not_obey() {
    let (_, text) = run("can shop/web shop/cart-0:7070 -f - -o json", CLUSTER);
    let mut document: Value = serde_json::from_str(&text).unwrap();
    document.as_object_mut().unwrap().remove("verdict");
    let schema: Value = serde_json::from_str(&schema("CanAnswer").unwrap()).unwrap();
    assert!(!jsonschema::validator_for(&schema).unwrap().is_valid(&document));
}

#[test]
fn every_line_of_batch_obeys_its_schema_and_stands_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("cluster.yaml");
    fs::write(&manifests, CLUSTER).unwrap();
    let questions = r#"{"id":1,"from":"shop/web","to":"shop/cart-0","port":7070}
{"id":"two","from":"internet","to":"shop/*","port":"http"}

not a question
{"id":{"deep":[4]},"from":"shop/web","to":"shop/cort-0","port":7070}
{"id":5,"from":"shop/web","to":"shop/cart-0"}
{"id":6,"from":"203.0.113.9","to":"203.0.113.10","port":1}
{"id":7,"from":"shop/web","to":"shop/cart-0","port":70000}
{"id":8,"from":"shop/cart-0","to":"shop/web","port":53,"protocol":"UDP"}
{"id":9,"from":"shop/cart-0","to":"www.example.org","port":443}
{"id":10,"from":"shop/cart-0","to":"www.example.org"}
{"id":11,"from":"www.example.org","to":"shop/web","port":80}
{"id":12,"from":"shop/cart-0","to":"web.shop.svc","port":80}"#;
    let (exit, text) = run(&format!("batch -f {}", manifests.display()), questions);
    assert_eq!(exit, Exit::CouldNotRun, "a line was no question");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        obeys("BatchLine", line);
    }
    let ids: Vec<String> = lines.iter().map(|line| line["id"].to_string()).collect();
    assert_eq!(ids, ["1", "\"two\"", "null", "{\"deep\":[4]}", "5", "6", "7", "8", "9", "10", "11", "12"]);
    let failed: Vec<bool> = lines.iter().map(|line| line.get("error").is_some()).collect();
    assert_eq!(failed, [false, false, true, true, false, false, true, false, false, false, true, false]);
    assert_eq!((&lines[11]["verdict"], &lines[11]["rule"]), (&"no-listener".into(), &"DNS-1".into()));
    assert_eq!(lines[0]["verdict"], "allowed");
    assert_eq!(lines[3]["error"]["near"][0], "shop/cart-0");
    // CNP-10: the policies and the names that it depends on, and a name that can be asked about again.
    assert_eq!((&lines[8]["verdict"], &lines[8]["rule"]), (&"conditional".into(), &"CNP-10".into()));
    let policies = serde_json::json!(["ClusterNetworkPolicy/names", "ClusterNetworkPolicy/tied"]);
    assert_eq!((&lines[8]["policies"], &lines[8]["egress"]["tier"]), (&policies, &"Admin".into()));
    assert_eq!(lines[8]["egress"]["conditions"][0]["domainNames"][0], "*.example.org");
    assert_eq!(lines[9]["cells"][0]["to"]["names"][0], "www.example.org");
    assert_eq!(lines[9]["cells"][0]["witness"]["to"], "www.example.org");
}
