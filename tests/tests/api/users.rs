//! What a user gets at, by whatever request is granted: API-2 … API-8.

use policy_core::ids::PodId;
use policy_core::model::{Name, Protocol, User, Verdict, WayKind};
use policy_core::query::PortAsk;
use policy_core::ways::api_rights::{doors, may_enter};
use policy_core::ways::api_users::{ApiClient, Means, UserWay, outcome};

use super::{Case, case, policy};

/// A role with these rules in x, bound to joe.
fn joe(rules: &str) -> String {
    format!(
        "---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: joe, namespace: x}}, rules: [{rules}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: joe, namespace: x}}, roleRef: {{kind: Role, name: joe}}, subjects: [{{kind: User, name: joe}}]}}
"
    )
}

fn closed() -> String {
    policy("x", "{podSelector: {}, policyTypes: [Ingress, Egress]}")
}

fn ways(case: &Case, user: &User, pod: PodId, port: &PortAsk) -> Vec<UserWay> {
    case.ask(|api| ApiClient::new(*api, user).to_pod(pod, port))
}

/// Means and verdict of each way of joe to x/web-0 at a port.
fn to_web(rules: &str, port: u16) -> Vec<(Means, Verdict, String)> {
    let case = case(&joe(rules)).set("apiserver_addresses", "10.0.0.5");
    let found = ways(&case, &User::named("joe"), case.pod("x", "web-0"), &PortAsk::Number(Protocol::Tcp, port));
    found.into_iter().map(|found| (found.means, found.way.verdict, found.request)).collect()
}

/// The one way that is allowed.
fn allowed(rules: &str, port: u16) -> Option<String> {
    let open: Vec<_> = to_web(rules, port).into_iter().filter(|(_, verdict, _)| *verdict == Verdict::Allowed).collect();
    assert!(open.len() < 2, "{open:?}");
    open.into_iter().next().map(|(_, _, request)| request)
}

#[test]
fn any_spelling_and_any_method_that_is_granted_will_do() {
    // API-2, API-3, API-5
    let rule = |resource: &str, names: &str, verb: &str| {
        format!("{{apiGroups: [''], resources: [{resource}], resourceNames: [{names}], verbs: [{verb}]}}")
    };
    for (resource, name, port, request) in [
        ("pods/proxy", "web-0", 8080, Some("GET /api/v1/namespaces/x/pods/web-0/proxy/")),
        ("pods/proxy", "web-0", 8081, None),
        ("pods/proxy", "'web-0:8081'", 8081, Some("GET /api/v1/namespaces/x/pods/web-0:8081/proxy/")),
        ("pods/proxy", "'https:web-0:'", 8080, Some("GET /api/v1/namespaces/x/pods/https:web-0:/proxy/")),
        ("services/proxy", "web", 8080, None),
        ("services/proxy", "'web:http'", 8080, Some("GET /api/v1/namespaces/x/services/web:http/proxy/")),
        ("services/proxy", "'https:web:81'", 9090, Some("GET /api/v1/namespaces/x/services/https:web:81/proxy/")),
        ("services/proxy", "'web:http'", 9090, None),
        ("pods/portforward", "web-0", 1, Some("POST /api/v1/namespaces/x/pods/web-0/portforward")),
    ] {
        let verb = if request.is_some_and(|request| request.starts_with("POST")) { "create" } else { "get" };
        assert_eq!(allowed(&rule(resource, name, verb), port).as_deref(), request, "{resource} {name} {port}");
    }
    let patched = allowed(&rule("pods/proxy", "'http:web-0:8080'", "patch"), 8080);
    assert_eq!(patched.as_deref(), Some("PATCH /api/v1/namespaces/x/pods/http:web-0:8080/proxy/"));
}

#[test]
fn a_forwarded_port_and_a_command_pass_policies_by_and_proxies_do_not() {
    // API-4, API-6, API-7
    let case = case(&closed()).set("apiserver_addresses", "10.0.0.5");
    let jane = User::named("jane");
    let found = ways(&case, &jane, case.pod("x", "web-0"), &PortAsk::Number(Protocol::Tcp, 8080));
    for way in &found {
        let wanted = if way.means.kind() == WayKind::ApiProxy { Verdict::Denied } else { Verdict::Allowed };
        assert_eq!(way.way.verdict, wanted, "{:?}", way.means);
        let judged = way.way.legs.iter().any(|leg| leg.judgement.is_some());
        assert_eq!(judged, way.means.kind() == WayKind::ApiProxy, "{:?}", way.means);
    }
    let means: Vec<Means> = found.iter().map(|way| way.means).collect();
    assert!(means.contains(&Means::PodProxy) && means.contains(&Means::PortForward) && means.contains(&Means::Exec));
    // Nodes are in no namespace, and jane's rights are.
    assert!(!means.contains(&Means::Kubelet));
    assert_eq!(outcome(&found).unwrap(), (Verdict::Allowed, "API-6"));
}

#[test]
fn who_is_bound_nowhere_gets_nowhere_and_without_rights_nobody_knows() {
    // API-2
    let plain = case("");
    let port = PortAsk::Number(Protocol::Tcp, 8080);
    let web = plain.pod("x", "web-0");
    let found = ways(&plain, &User::named("nobody"), web, &port);
    assert!(!found.is_empty());
    assert!(found.iter().all(|way| (way.way.verdict, way.way.rule) == (Verdict::Denied, "API-2")));
    let masters = User::in_group("system:masters");
    assert!(ways(&plain, &masters, web, &port).iter().all(|way| way.way.verdict == Verdict::Allowed));
    let without = Case {
        cluster: {
            let mut bare = plain.cluster.clone();
            bare.rbac = Default::default();
            bare
        },
        ..case("")
    };
    for way in ways(&without, &User::named("nobody"), web, &port) {
        assert_eq!(way.way.verdict, Verdict::Conditional, "{:?}", way.means);
        assert!(!way.way.conditions.is_empty());
    }
}

#[test]
fn only_what_ends_in_the_pod_carries_other_protocols_than_tcp() {
    // API-3, API-6, API-7
    let case = case("");
    let found = ways(&case, &User::named("jane"), case.pod("x", "web-0"), &PortAsk::Number(Protocol::Udp, 53));
    let means: Vec<Means> = found.iter().map(|way| way.means).collect();
    assert_eq!(means, [Means::Exec, Means::Attach, Means::Debug]);
    let named = PortAsk::Name(Protocol::Tcp, Name::from("http"));
    let found = ways(&case, &User::named("jane"), case.pod("x", "web-0"), &named);
    assert!(found.iter().all(|way| way.port == Some(8080)), "{found:?}");
    let absent = PortAsk::Name(Protocol::Tcp, Name::from("absent"));
    assert_eq!(ways(&case, &User::named("jane"), case.pod("x", "web-0"), &absent), []);
}

#[test]
fn a_service_is_proxied_to_all_that_it_may_choose_and_forwarded_to_one() {
    // API-3, API-6
    let case = case("");
    let (jane, web) = (User::named("jane"), case.service("web"));
    let of = |port: Option<u16>| case.ask(|api| ApiClient::new(*api, &jane).to_service(web, port));
    let shown: Vec<_> = of(None).into_iter().map(|way| (way.means, way.way.verdict, way.port)).collect();
    assert_eq!(
        shown,
        [
            (Means::ServiceProxy(web, 80), Verdict::Allowed, Some(8080)),
            (Means::ServiceForward(web, 80), Verdict::Allowed, Some(8080)),
            (Means::ServiceProxy(web, 81), Verdict::Allowed, Some(9090)),
            (Means::ServiceForward(web, 81), Verdict::Allowed, Some(9090)),
        ]
    );
    assert!(of(Some(82)).iter().all(|way| way.way.verdict == Verdict::NoListener));
}

#[test]
fn asking_for_what_is_open_leaves_out_what_is_not_and_nothing_else() {
    // API-2
    let more = joe(
        "{apiGroups: [''], resources: [pods/exec], verbs: [create]}, {apiGroups: [''], resources: [services/proxy], verbs: [get]}",
    );
    let case = case(&format!("{}{more}", closed())).set("apiserver_addresses", "10.0.0.5");
    let users = ["joe", "jane", "nobody"].map(User::named).into_iter().chain([User::in_group("system:masters")]);
    let is_open =
        |way: &UserWay| matches!(way.way.verdict, Verdict::Allowed | Verdict::Conditional | Verdict::Undefined);
    let mut some = 0;
    for user in users {
        for pod in case.cluster.pods.ids() {
            let all = ways(&case, &user, pod, &PortAsk::Any);
            let open = case.ask(|api| ApiClient::new(*api, &user).only_open().to_pod(pod, &PortAsk::Any));
            let wanted: Vec<UserWay> = all.into_iter().filter(is_open).collect();
            some += wanted.len();
            assert_eq!(open, wanted, "{user:?}");
            // Whom the short test passes over gets nowhere.
            let enters = case.ask(|api| may_enter(ApiClient::new(*api, &user).rights()));
            assert!(enters || wanted.is_empty(), "{user:?}");
        }
    }
    assert!(some > 10, "{some}");
}

#[test]
fn the_kubelet_is_a_node_at_its_port() {
    // API-8
    let rights = "
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: nodes}, rules: [{apiGroups: [''], resources: [nodes/proxy], resourceNames: [n1], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: nodes}, roleRef: {kind: ClusterRole, name: nodes}, subjects: [{kind: User, name: joe}]}
";
    let case = case(&format!("{rights}{}", closed()));
    let node = |name: &str| case.cluster.nodes.iter().find(|(_, node)| *node.name == *name).unwrap().0;
    let joe = User::named("joe");
    let at = |name: &str, port: Option<u16>| {
        let found = case.ask(|api| ApiClient::new(*api, &joe).to_node(node(name), port));
        found.first().map(|way| (way.way.verdict, way.port)).unwrap()
    };
    assert_eq!(at("n1", None), (Verdict::Allowed, Some(10250)));
    assert_eq!(at("n1", Some(10250)), (Verdict::Allowed, Some(10250)));
    assert_eq!(at("n1", Some(9100)).0, Verdict::Denied);
    assert_eq!(at("n2", None).0, Verdict::Denied);
    let found = ways(&case, &joe, case.pod("x", "web-0"), &PortAsk::Number(Protocol::Tcp, 8080));
    let kubelet = found.iter().find(|way| way.means == Means::Kubelet).unwrap();
    assert_eq!((kubelet.way.verdict, kubelet.way.rule), (Verdict::Allowed, "API-8"));
    assert!(ways(&case, &joe, case.pod("z", "cli"), &PortAsk::Any).iter().all(|way| way.means != Means::Kubelet));
}

#[test]
fn rights_that_open_ways_are_listed_by_binding_and_rule() {
    // API-2, API-7
    let rules = "{apiGroups: [''], resources: [configmaps], verbs: ['*']}, {apiGroups: [''], resources: [pods/exec, nodes/proxy], verbs: [get]}";
    let listed = |rules: &str, minor: &str| {
        let case = case(&joe(rules)).set("kubernetes_minor", minor);
        let found = doors(&case.cluster, &case.profile);
        let of_joe =
            |door: &&policy_core::ways::api_rights::Door| *case.cluster.rbac.bindings.at(door.binding).name == *"joe";
        let shown = found.iter().filter(of_joe).map(|door| (door.rule.map(|(_, rule)| rule), door.rights.clone()));
        (found.len(), shown.collect::<Vec<_>>())
    };
    // `get` is enough up to 1.34; nodes are in no namespace; jane's `*` is everything but nodes.
    let (all, found) = listed(rules, "1.34");
    assert_eq!((all, found), (2, vec![(Some(1), vec![("pods/exec".to_owned(), vec!["get"])])]));
    assert_eq!(listed(rules, "1.35"), (1, Vec::new()));
    assert_eq!(listed("{apiGroups: [apps], resources: ['*'], verbs: ['*']}", "1.37"), (1, Vec::new()));
    let (_, found) = listed("{apiGroups: ['*'], resources: ['*'], verbs: ['*']}", "1.37");
    let resources: Vec<&str> = found[0].1.iter().map(|(resource, _)| resource.as_str()).collect();
    assert_eq!(
        resources,
        ["services/proxy", "pods/proxy", "pods/portforward", "pods/exec", "pods/attach", "pods/ephemeralcontainers"]
    );
}
