//! Pods and nodes behind the proxy, and port forwarding: API-5 … API-8.

use policy_core::model::api_server::{ApiWay, Transport};
use policy_core::model::{Access, Flag, Party, User, Verdict};

use super::{Case, case, policy};

fn get(case: &Case, url: &str) -> ApiWay {
    case.ask(|api| api.request(&User::named("jane"), "GET", url).unwrap())
}

#[test]
fn pods_are_reached_by_number() {
    // API-5
    let case = case(
        "
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: x}
spec: {containers: [{name: a}]}
status: {phase: Succeeded, podIP: 10.244.1.12}
---
apiVersion: v1
kind: Pod
metadata: {name: odd, namespace: x}
spec: {containers: [{name: a}]}
status: {phase: Running, podIP: 169.254.1.1}
",
    );
    let pod = |segment: &str| get(&case, &format!("/api/v1/namespaces/x/pods/{segment}/proxy/"));
    let port = |segment: &str| pod(segment).legs.first().map(|leg| (leg.verdict, leg.port));
    for (segment, wanted) in [("web-0", 8080), ("web-0:9999", 9999), ("lazy", 80), ("https:lazy:", 443)] {
        assert_eq!(port(segment), Some((Verdict::Allowed, wanted)), "{segment}");
    }
    for (segment, rule) in
        [("web-0:http", "API-5"), ("web-0:0", "API-5"), ("web", "API-5"), ("odd", "API-5"), ("done", "NP-27")]
    {
        let way = pod(segment);
        assert_eq!((way.verdict, way.rule), (Verdict::NoListener, rule), "{segment}");
    }
}

#[test]
fn nodes_proxy_is_every_pod_of_the_node() {
    // API-8
    let rights = "
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: nodes}, rules: [{apiGroups: [''], resources: [nodes/proxy], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: nodes}, roleRef: {kind: ClusterRole, name: nodes}, subjects: [{kind: Group, name: 'system:authenticated'}]}
";
    let denied = policy("x", "{podSelector: {}, policyTypes: [Ingress, Egress]}");
    let case = case(&format!("{rights}{denied}"));
    let way = get(&case, "/api/v1/nodes/n1/proxy/pods");
    assert_eq!(way.verdict, Verdict::Allowed);
    assert_eq!(way.legs.first().unwrap().port, 10250);
    assert_eq!(way.also, [case.pod("x", "lazy"), case.pod("x", "web-0")]);
    let way = get(&case, "/api/v1/nodes/n1:9100/proxy/metrics");
    assert_eq!((way.verdict, way.also.len()), (Verdict::Allowed, 0));
    assert_eq!(get(&case, "/api/v1/nodes/n3/proxy/").verdict, Verdict::NoListener);
    // A right of a namespace does not reach nodes.
    let way = super::case("").ask(|api| api.request(&User::named("jane"), "GET", "/api/v1/nodes/n1/proxy/").unwrap());
    assert_eq!((way.verdict, way.rule), (Verdict::Denied, "API-2"));
}

#[test]
fn a_service_is_forwarded_to_one_of_its_pods() {
    // API-6: also to a pod that is not ready
    let case = case("");
    let forward = |user: &str, service: &str, port: u16| {
        let service = case.service(service);
        case.ask(|api| api.port_forward_service(&User::named(user), service, port, Transport::WebSocket))
    };
    let way = forward("jane", "web", 80);
    assert_eq!((way.verdict, way.rule), (Verdict::Allowed, "API-6"));
    let leg = way.legs.first().unwrap();
    assert_eq!((leg.destination, leg.port), (Party::Pod(case.pod("x", "web-0")), 8080));
    let asked: Vec<_> = way.access.iter().map(|(asked, _)| asked.to_string()).collect();
    assert_eq!(
        asked,
        [
            "get services `web` in x",
            "list pods in x",
            "get pods/portforward `web-0` in x",
            "create pods/portforward `web-0` in x"
        ]
    );
    assert_eq!(forward("jane", "idle", 80).verdict, Verdict::Allowed);
    assert_eq!(forward("jane", "web", 8080).verdict, Verdict::NoListener);
    assert_eq!(forward("joe", "web", 80).verdict, Verdict::Denied);
}

#[test]
fn a_pod_on_the_hosts_network_is_forwarded_to_its_nodes_localhost() {
    // API-6, NP-27
    let case = case("
{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: x}, spec: {nodeName: n1, hostNetwork: true, containers: [{name: a}]}, status: {phase: Running, podIP: 10.0.0.11}}
---
{apiVersion: v1, kind: Pod, metadata: {name: done, namespace: x}, spec: {containers: [{name: a}]}, status: {phase: Failed}}
");
    let forward = |name: &str| {
        let pod = case.pod("x", name);
        case.ask(|api| api.port_forward(&User::named("jane"), pod, 22, Transport::Spdy))
    };
    assert!(forward("host").legs.first().unwrap().flags.contains(&Flag::HostNetwork));
    assert_eq!((forward("done").verdict, forward("done").rule), (Verdict::NoListener, "NP-27"));
}

#[test]
fn equivalents_of_port_forwarding_are_listed() {
    // API-7, API-8
    let rights = |rule: &str| {
        format!("
{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: some}}, rules: [{{apiGroups: [''], {rule}}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: some}}, roleRef: {{kind: ClusterRole, name: some}}, subjects: [{{kind: User, name: joe}}]}}
")
    };
    let equivalents = |rule: &str, minor: &str| {
        let case = case(&rights(rule)).set("kubernetes_minor", minor);
        let pod = case.pod("x", "web-0");
        let found = case.ask(|api| api.equivalents(&User::named("joe"), pod));
        let shown = found.iter().map(|asked| {
            assert!(asked.iter().all(|(_, access)| matches!(access, Access::Granted(_))));
            asked.iter().map(|(asked, _)| asked.to_string()).collect::<Vec<_>>().join(" and ")
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(equivalents("resources: [pods], verbs: ['*']", "1.37"), Vec::<String>::new());
    assert_eq!(equivalents("resources: [pods/exec], verbs: [get]", "1.34"), ["get pods/exec `web-0` in x"]);
    assert_eq!(equivalents("resources: [pods/exec], verbs: [get]", "1.35"), Vec::<String>::new());
    assert_eq!(
        equivalents("resources: [pods/exec], verbs: [get, create]", "1.35"),
        ["create pods/exec `web-0` in x", "get pods/exec `web-0` in x and create pods/exec `web-0` in x"]
    );
    assert_eq!(
        equivalents("resources: [pods/attach, pods/ephemeralcontainers, nodes/proxy], verbs: [get, patch]", "1.34"),
        ["get pods/attach `web-0` in x", "patch pods/ephemeralcontainers `web-0` in x", "get nodes/proxy `n1`"]
    );
}
