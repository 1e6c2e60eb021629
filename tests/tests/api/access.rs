//! The API server as a destination, tokens and environment variables: API-10 … API-12.

use policy_core::model::Verdict;
use policy_core::model::api_server::ApiServerAccess;
use policy_core::ways::api_access::{environment, token};

use super::{Case, case, policy};

fn from_cli(case: &Case) -> ApiServerAccess {
    let pod = case.pod("z", "cli");
    case.ask(|api| api.reached_by(pod))
}

fn knobs(access: &ApiServerAccess) -> Vec<&'static str> {
    access.knobs.iter().map(|knob| knob.name()).collect()
}

#[test]
fn the_way_to_the_api_server_needs_an_address_to_be_judged() {
    // API-10
    let free = from_cli(&case(""));
    assert_eq!((free.verdict, free.servers.len()), (Verdict::Allowed, 0));
    let denied = policy("z", "{podSelector: {}, policyTypes: [Egress]}");
    let unknown = from_cli(&case(&denied));
    assert_eq!((unknown.verdict, unknown.rule), (Verdict::Undefined, "API-10"));
    assert_eq!(knobs(&unknown), ["apiserver_addresses"]);
    // On the pod's own node, on another, outside.
    let at = |address: &str| from_cli(&case(&denied).set("apiserver_addresses", address));
    assert_eq!(at("10.0.0.12").verdict, Verdict::Allowed);
    let other = at("10.0.0.11");
    assert_eq!((other.verdict, other.usual_port), (Verdict::Denied, true));
    let outside = at("198.51.100.99");
    assert_eq!((outside.verdict, knobs(&outside)), (Verdict::Undefined, vec!["service_cidrs"]));
    let judged = |view: &str| {
        let case = case(&denied).set("apiserver_addresses", "198.51.100.99").set("egress_service_view", view);
        from_cli(&case).verdict
    };
    assert_eq!(judged("post_dnat"), Verdict::Denied);
    assert_eq!(judged("pre_dnat"), Verdict::Undefined);
    let known = case(&denied).set("apiserver_addresses", "198.51.100.99").set("service_cidrs", "10.96.0.0/12");
    let known = from_cli(&known.set("egress_service_view", "pre_dnat"));
    assert_eq!(known.dialled, Some("10.96.0.1:443".parse().unwrap()));
    assert_eq!(known.verdict, Verdict::Denied);
}

#[test]
fn a_pod_asks_as_its_account_if_the_token_is_mounted() {
    // API-11
    let pod = |name: &str, spec: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: z}}, spec: {{containers: [], {spec}}}}}\n"
        )
    };
    let shy = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: shy, namespace: z}, automountServiceAccountToken: false}\n";
    let pods = pod("plain", "")
        + &pod("quiet", "automountServiceAccountToken: false")
        + &pod("shy", "serviceAccountName: shy")
        + &pod("bold", "serviceAccountName: shy, automountServiceAccountToken: true");
    let case = case(&format!("{shy}{pods}"));
    let user = |name: &str| token(&case.cluster, case.pod("z", name)).map(|user| user.name.to_string());
    assert_eq!(user("plain").as_deref(), Some("system:serviceaccount:z:default"));
    assert_eq!(user("quiet"), None);
    assert_eq!(user("shy"), None);
    assert_eq!(user("bold").as_deref(), Some("system:serviceaccount:z:shy"));
    // With it a pod asks as anybody does: the account z/default may do everything in x.
    let access = from_cli(&case);
    let way = case.ask(|api| {
        api.request(access.user.as_ref().unwrap(), "GET", "/api/v1/namespaces/x/services/web:80/proxy/").unwrap()
    });
    assert_eq!(way.verdict, Verdict::Allowed);
}

#[test]
fn what_a_pod_asks_for_needs_its_way_to_the_api_server_too() {
    // API-10, API-11
    let url = "/api/v1/namespaces/x/services/web:80/proxy/";
    let ask = |objects: &str, address: &str| {
        let case = case(objects).set("apiserver_addresses", address);
        let pod = case.pod("z", "cli");
        case.ask(|api| api.request_by(pod, "GET", url).unwrap())
    };
    let way = ask("", "10.0.0.11");
    assert_eq!(way.verdict, Verdict::Allowed);
    let entry = way.entry.unwrap();
    assert_eq!((entry.port, entry.verdict), (6443, Verdict::Allowed));
    let denied = policy("z", "{podSelector: {}, policyTypes: [Egress]}");
    let way = ask(&denied, "10.0.0.11");
    assert_eq!((way.verdict, way.entry.unwrap().verdict), (Verdict::Denied, Verdict::Denied));
    let way = ask(&denied, "none");
    assert_eq!((way.verdict, way.rule, way.knobs.is_empty()), (Verdict::Undefined, "API-10", false));
    // Without a token it asks as nobody.
    let shy = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: z}, automountServiceAccountToken: false}";
    let way = ask(shy, "10.0.0.11");
    assert_eq!((way.verdict, way.rule, &*way.user.name), (Verdict::Denied, "API-2", "system:anonymous"));
}

#[test]
fn the_environment_names_services() {
    // API-12
    let case = case("{apiVersion: v1, kind: Pod, metadata: {name: aloof, namespace: x}, spec: {containers: [], enableServiceLinks: false}}
---
{apiVersion: v1, kind: Service, metadata: {name: my-db, namespace: x}, spec: {clusterIP: 10.96.0.11, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: x}, spec: {type: ExternalName, externalName: example.org}}
");
    let names = |space: &str, name: &str| {
        let found = environment(&case.cluster, case.pod(space, name));
        found.into_iter().map(|alias| format!("{} {}", alias.host, alias.port)).collect::<Vec<_>>()
    };
    assert_eq!(
        names("x", "web-0"),
        [
            "KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT",
            "MY_DB_SERVICE_HOST MY_DB_SERVICE_PORT",
            "WEB_SERVICE_HOST WEB_SERVICE_PORT"
        ]
    );
    assert_eq!(names("x", "aloof"), ["KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT"]);
    assert_eq!(names("z", "cli").len(), 1);
}
