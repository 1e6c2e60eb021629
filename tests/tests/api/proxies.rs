//! Service proxy and `kubectl proxy`: API-1, API-3, API-4, API-9.

use policy_core::model::api_server::{ApiCondition, ApiSource, ApiWay};
use policy_core::model::way_profile::KubectlProxy;
use policy_core::model::{Access, Party, User, Verdict};

use super::{Case, case, policy};

fn get(case: &Case, user: &str, url: &str) -> ApiWay {
    case.ask(|api| api.request(&User::named(user), "GET", url).unwrap())
}

fn verdict(case: &Case, url: &str) -> (Verdict, &'static str) {
    let way = get(case, "jane", url);
    (way.verdict, way.rule)
}

fn service(segment: &str) -> String {
    format!("/api/v1/namespaces/x/services/{segment}/proxy/")
}

#[test]
fn services_are_reached_by_port_name_or_number() {
    // API-3
    let case = case("");
    let ports = |segment: &str| {
        let way = get(&case, "jane", &service(segment));
        way.legs.iter().map(|leg| (leg.destination, leg.port)).collect::<Vec<_>>()
    };
    let web = Party::Pod(case.pod("x", "web-0"));
    for (segment, port) in [("web:80", 8080), ("web:http", 8080), ("http:web:80", 8080), ("https:web:81", 9090)] {
        assert_eq!(ports(segment), [(web, port)], "{segment}");
    }
    // A number that is none of the Service's is not the pod's; no port is the port without a name.
    for segment in ["web:8080", "web:nothing", "web", "http:web:", "web:99999", "webb:80", "idle:80"] {
        assert_eq!(verdict(&case, &service(segment)), (Verdict::NoListener, "API-3"), "{segment}");
    }
    let why = get(&case, "jane", &service("web")).why.unwrap();
    assert_eq!(why, "every port of `web` has a name, and the URL says none");
    // Nobody else may ask, and learns nothing.
    assert_eq!(get(&case, "joe", &service("web:80")).verdict, Verdict::Denied);
    assert_eq!(get(&case, "joe", &service("nothing:80")).rule, "API-2");
}

#[test]
fn services_that_lead_elsewhere_are_not_proxied() {
    // API-3
    let objects = "
{apiVersion: v1, kind: Service, metadata: {name: name, namespace: x}, spec: {type: ExternalName, externalName: web.x.svc.cluster.local}}
---
{apiVersion: v1, kind: Service, metadata: {name: far, namespace: x}, spec: {ports: [{port: 80}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: far, namespace: x}
subsets:
- {addresses: [{ip: 10.244.2.20, targetRef: {kind: Pod, namespace: z, name: cli}}], ports: [{port: 80}]}
- {addresses: [{ip: 10.244.1.99, targetRef: {kind: Pod, namespace: x, name: web-0}}], ports: [{port: 80}]}
---
{apiVersion: v1, kind: Service, metadata: {name: near, namespace: x}, spec: {ports: [{port: 80}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: near, namespace: x}
subsets: [{addresses: [{ip: 10.244.1.10, targetRef: {kind: Pod, namespace: x, name: web-0}}], ports: [{port: 8080}]}]
";
    let case = case(objects);
    assert_eq!(verdict(&case, &service("name:80")), (Verdict::NoListener, "API-3"));
    assert_eq!(verdict(&case, &service("far:80")), (Verdict::NoListener, "API-3"));
    assert_eq!(verdict(&case, &service("near")).0, Verdict::Allowed);
}

#[test]
fn urls_of_old_work_up_to_1_9() {
    // API-1: they were a verb of their own
    let url = "/api/v1/proxy/namespaces/x/services/web:http/";
    assert_eq!(verdict(&case(""), url), (Verdict::NoListener, "API-1"));
    let way = get(&case("").set("kubernetes_minor", "1.9"), "jane", url);
    assert_eq!(way.verdict, Verdict::Allowed);
    let asked: Vec<_> = way.access.iter().map(|(asked, _)| asked.to_string()).collect();
    assert_eq!(asked, ["proxy services `web:http` in x"]);
}

#[test]
fn without_roles_the_answer_names_what_must_be_granted() {
    // API-2
    let mut case = case("");
    case.cluster.rbac = policy_core::model::Rbac::default();
    let way = get(&case, "jane", &service("web:80"));
    assert_eq!(way.verdict, Verdict::Conditional);
    assert_eq!(way.access.first().unwrap().1, Access::NotInInput(Vec::new()));
    let [ApiCondition::Access(asked)] = way.conditions.as_slice() else { panic!("{:?}", way.conditions) };
    assert_eq!(asked.to_string(), "get services/proxy `web:80` in x");
    // What policies deny needs no role.
    let denied = policy("x", "{podSelector: {}}");
    let mut case = super::case(&denied).set("apiserver_addresses", "10.9.9.9");
    case.cluster.rbac = policy_core::model::Rbac::default();
    let way = get(&case, "jane", &service("web:80"));
    assert_eq!((way.verdict, way.conditions.len()), (Verdict::Denied, 0));
}

#[test]
fn agents_stand_in_for_the_api_server() {
    // API-4
    let agent = "
apiVersion: v1
kind: Pod
metadata: {name: agent-1, namespace: kube-system, labels: {app: agent}, ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: agent, uid: a, controller: true}]}
spec: {nodeName: n2, containers: [{name: a}]}
status: {phase: Running, podIP: 10.244.2.40}
";
    let from = |labels: &str| {
        policy(
            "x",
            &format!(
                "{{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: {{}}, podSelector: {{matchLabels: {labels}}}}}]}}]}}"
            ),
        )
    };
    let asked = |more: &str| {
        let case = case(&format!("{agent}{more}")).set("konnectivity", "kube-system/agent");
        let way = get(&case, "jane", &service("web:80"));
        assert_eq!(way.legs.first().unwrap().source, ApiSource::Party(Party::Pod(case.pod("kube-system", "agent-1"))));
        way.verdict
    };
    assert_eq!(asked(&from("{app: agent}")), Verdict::Allowed);
    assert_eq!(asked(&from("{app: other}")), Verdict::Denied);
    assert_eq!(asked(&policy("kube-system", "{podSelector: {}, policyTypes: [Egress]}")), Verdict::Denied);
    // Agents that the input lacks.
    let case = case(&from("{app: agent}")).set("konnectivity", "kube-system/agent");
    let way = get(&case, "jane", &service("web:80"));
    assert_eq!(way.verdict, Verdict::Undefined);
    assert_eq!(way.knobs.iter().map(|knob| knob.name()).collect::<Vec<_>>(), ["konnectivity"]);
}

#[test]
fn an_api_server_that_may_be_anywhere_is_let_in_where_everybody_is() {
    // API-4, NP-19, CNP-1
    let asked = |policies: &str| {
        let way = get(&case(policies), "jane", &service("web:80"));
        (way.verdict, way.rule)
    };
    assert_eq!(asked("").0, Verdict::Allowed);
    assert_eq!(asked(&policy("x", "{podSelector: {}, ingress: [{}]}")).0, Verdict::Allowed);
    assert_eq!(asked(&policy("x", "{podSelector: {}}")), (Verdict::Undefined, "API-4"));
    let block = policy("x", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.9.9.8/32}}]}]}");
    assert_eq!(asked(&block), (Verdict::Undefined, "API-4"));
    // No node is exempt from the Admin tier.
    let nobody = "---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: nobody}
spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}
";
    assert_eq!(asked(nobody).0, Verdict::Undefined);
}

#[test]
fn the_best_of_several_api_servers_counts() {
    // API-4, M-6
    let block = policy("x", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.9.9.8/32}}]}]}");
    let case = case(&block).set("apiserver_addresses", "10.9.9.7,10.9.9.8");
    let way = get(&case, "jane", &service("web:80"));
    let verdicts: Vec<_> = way.legs.iter().map(|leg| leg.verdict).collect();
    assert_eq!(verdicts, [Verdict::Denied, Verdict::Allowed]);
    assert_eq!(way.verdict, Verdict::Allowed);
}

#[test]
fn who_reaches_a_kubectl_proxy_has_its_identity() {
    // API-9
    let ask = |listen: &str, any_host: bool, source: &str| {
        let listen: std::net::SocketAddr = listen.parse().unwrap();
        let proxy = KubectlProxy { ip: listen.ip(), port: listen.port(), user: "jane".into(), any_host };
        let source = Party::Address(source.parse().unwrap());
        case("").ask(|api| api.through(&proxy, source, "GET", &service("web:80")).unwrap())
    };
    let verdict = |listen: &str, source: &str| ask(listen, true, source).verdict;
    const PUBLIC: &str = "203.0.113.7";
    assert_eq!(verdict("39.99.85.99:9000", PUBLIC), Verdict::Allowed);
    assert_eq!(verdict("127.0.0.1:8001", PUBLIC), Verdict::NoRoute);
    assert_eq!(verdict("0.0.0.0:8001", PUBLIC), Verdict::Undefined);
    // Private addresses, inside and outside of the cluster.
    assert_eq!(verdict("10.0.77.98:8081", PUBLIC), Verdict::NoRoute);
    assert_eq!(verdict("10.0.77.98:8081", "10.0.77.1"), Verdict::Allowed);
    assert_eq!(verdict("10.0.0.11:8081", PUBLIC), Verdict::NoRoute);
    assert_eq!(verdict("198.51.100.11:8081", PUBLIC), Verdict::Allowed);
    assert_eq!(verdict("10.244.2.20:8081", PUBLIC), Verdict::NoRoute);
    // A client can write any host into its request, if it knows that it must.
    let way = ask("39.99.85.99:9000", false, PUBLIC);
    assert_eq!((way.verdict, way.conditions), (Verdict::Conditional, vec![ApiCondition::HostHeader]));
    // The identity is the proxy's, and what it may not do is denied.
    let proxy = KubectlProxy { ip: "39.99.85.99".parse().unwrap(), port: 9000, user: "joe".into(), any_host: false };
    let source = Party::Address(PUBLIC.parse().unwrap());
    let way = case("").ask(|api| api.through(&proxy, source, "GET", &service("web:80")).unwrap());
    assert_eq!((way.verdict, way.rule, way.conditions.len()), (Verdict::Denied, "API-2", 0));
}

#[test]
fn a_pod_reaches_a_kubectl_proxy_if_its_policies_let_it() {
    // API-9
    let proxy = KubectlProxy { ip: "10.0.77.98".parse().unwrap(), port: 8081, user: "jane".into(), any_host: true };
    let ask = |objects: &str| {
        let case = case(objects);
        let source = Party::Pod(case.pod("z", "cli"));
        case.ask(|api| api.through(&proxy, source, "GET", &service("web:80")).unwrap().verdict)
    };
    assert_eq!(ask(""), Verdict::Allowed);
    assert_eq!(ask(&policy("z", "{podSelector: {}, policyTypes: [Egress]}")), Verdict::Denied);
}
