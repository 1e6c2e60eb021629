//! One request at proxies, Services and the API server.

use super::*;
use crate::model::profile::Profile;
use crate::model::{AddressSet, Family, Knob};
use crate::query::Subject;
use crate::testing;
use crate::ways::api_server::ApiServer;

/// A controller of nginx behind a load balancer, a backend in x.
const BASE: &str = "\
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ctl, namespace: ingress-nginx, labels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}}, spec: {nodeName: n1, containers: [{name: c, image: none, ports: [{name: http, containerPort: 80}, {name: metrics, containerPort: 10254}]}]}, status: {phase: Running, podIP: 10.244.0.1, conditions: [{type: Ready, status: 'True'}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: ctl, namespace: ingress-nginx}, spec: {type: LoadBalancer, externalTrafficPolicy: Local, clusterIP: 10.96.0.1, selector: {app.kubernetes.io/name: ingress-nginx}, ports: [{name: http, port: 80, targetPort: http, nodePort: 30080}, {name: metrics, port: 10254}]}, status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x, labels: {app: web}}, spec: {nodeName: n1, containers: [{name: c, image: none}]}, status: {phase: Running, podIP: 10.244.0.2, conditions: [{type: Ready, status: 'True'}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x}, spec: {clusterIP: 10.96.0.2, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
";

fn ingress(host: &str, annotations: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i, namespace: x, annotations: {{{annotations}}}}}, spec: {{ingressClassName: nginx, rules: [{{host: {host}, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}}}]}}}}"
    )
}

fn analysis(objects: &[&str], knobs: &[(&str, &str)]) -> Analysis {
    let cluster = testing::cluster(BASE, objects);
    let mut profile = Profile::default();
    for (knob, value) in knobs {
        profile.set(knob, value).unwrap();
    }
    Analysis::new(cluster, profile)
}

fn question(url: &str) -> Question {
    Question::new(Url::parse(url).unwrap(), None, [], None).unwrap()
}

fn ask(analysis: &Analysis, from: &str, url: &str) -> Vec<(Asker, Vec<Answer>)> {
    let subject = Subject::parse(&analysis.cluster, None, from).unwrap();
    route_all(analysis, &subject, &question(url)).unwrap()
}

/// The verdict, and the status of the only answer.
fn outcome(analysis: &Analysis, from: &str, url: &str) -> (Verdict, &'static str, Option<u16>) {
    let asked = ask(analysis, from, url);
    let finding = together(&asked);
    let [(_, answers)] = asked.as_slice() else { panic!("{from} is {} clients", asked.len()) };
    let [answer] = answers.as_slice() else { panic!("{} answers", answers.len()) };
    (finding.verdict, finding.rule, answer.choices.first().and_then(|choice| choice.status))
}

#[test]
fn the_backend_sees_the_controller_not_the_client() {
    // ING-13, TV-97
    let policy = |from: &str| {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: x}}, spec: {{podSelector: {{}}, ingress: [{{from: [{from}]}}]}}}}"
        )
    };
    let shop = ingress("a.example", "");
    let by_client = analysis(&[&shop, &policy("{ipBlock: {cidr: 203.0.113.0/24}}")], &[]);
    assert_eq!(outcome(&by_client, "203.0.113.7", "http://a.example/").0, Verdict::Denied);
    let by_controller = analysis(
        &[&shop, &policy("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}")],
        &[],
    );
    assert_eq!(outcome(&by_controller, "203.0.113.7", "http://a.example/").0, Verdict::Allowed);
    assert_eq!(outcome(&by_controller, "internet", "http://a.example/").0, Verdict::Allowed);
}

#[test]
fn a_list_of_sources_answers_403_and_divides_the_internet() {
    // ING-19, M-3
    let shop = ingress("a.example", "nginx.ingress.kubernetes.io/whitelist-source-range: 198.51.100.0/24");
    let cluster = analysis(&[&shop], &[]);
    assert_eq!(outcome(&cluster, "198.51.100.7", "http://a.example/").0, Verdict::Allowed);
    let (verdict, _, status) = outcome(&cluster, "203.0.113.7", "http://a.example/");
    assert_eq!((verdict, status), (Verdict::Denied, Some(403)));
    let (verdict, rule, status) = outcome(&cluster, "internet", "http://a.example/");
    assert_eq!((verdict, rule, status), (Verdict::Conditional, "M-3", None));
    let mut judged = 0;
    // Whoever a connection is judged for is among the clients of the part.
    for (_, answers) in ask(&cluster, "internet", "http://a.example/") {
        let Then::Forward(backends) = &answers[0].choices[0].then else { panic!() };
        for part in backends.iter().flat_map(|backend| &backend.ways).flat_map(|way| &way.parts) {
            let Clients::Outside(clients) = &part.clients else { panic!() };
            // The other family has no route.
            let Some(leg) = part.legs.first() else { continue };
            let Party::Address(one) = leg.flow.source else { panic!() };
            judged += 1;
            assert!(clients.contains(one), "{one} is not among {clients}");
        }
    }
    assert_eq!(judged, 2);
}

#[test]
fn a_host_is_found_by_name_by_address_and_by_the_service_of_its_proxy() {
    // ING-5, ING-7
    let cluster = analysis(&[&ingress("a.example", "")], &[]);
    for url in ["http://a.example/", "http://203.0.113.10/", "http://10.0.0.1:30080/"] {
        let asked = ask(&cluster, "internet", url);
        assert!(matches!(asked[0].1[0].taken_by, TakenBy::Proxy { port: 80, .. }), "{url}");
    }
    // Without the name no rule takes the request.
    assert_eq!(outcome(&cluster, "internet", "http://203.0.113.10/"), (Verdict::NoListener, "ING-7", Some(404)));
    let headers = [("Host".to_owned(), "a.example".to_owned())];
    let url = Url::parse("http://ctl.ingress-nginx/").unwrap();
    let asked = Question::new(url, None, headers, None).unwrap();
    let from = Subject::parse(&cluster.cluster, None, "x/web").unwrap();
    assert_eq!(together(&route_all(&cluster, &from, &asked).unwrap()).verdict, Verdict::Allowed);
    // ING-29: a port of the controller that serves no requests for others is the pod's own.
    let asked = ask(&cluster, "internet", "http://203.0.113.10:10254/metrics");
    assert_eq!(asked[0].1[0].taken_by, TakenBy::Pods);
    let unserved = route(&cluster, &asked[0].0.clients, &question("http://b.example/")).unwrap_err();
    assert_eq!(unserved.near, ["a.example"]);
}

#[test]
fn a_load_balancer_that_dials_node_ports_is_who_pods_see() {
    // ING-27, SVC-23, KP-3
    let policy = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: ingress-nginx}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 203.0.113.10/32}}]}]}}";
    let under = |kind: &str| {
        let cluster = analysis(&[&ingress("a.example", ""), policy], &[("lb_kind", kind)]);
        outcome(&cluster, "198.51.100.7", "http://a.example/").0
    };
    assert_eq!((under("proxy_nodeport"), under("vip")), (Verdict::Allowed, Verdict::Denied));
}

#[test]
fn the_port_of_the_url_is_dialled_not_some_other_entry() {
    // ING-13: the node port is open to everybody, the load balancer to one range; the URL dials the latter.
    let guarded =
        BASE.replace("clusterIP: 10.96.0.1,", "clusterIP: 10.96.0.1, loadBalancerSourceRanges: [198.51.100.0/24],");
    assert_ne!(guarded, BASE);
    let service = guarded.split("---").find(|text| text.contains("loadBalancerSourceRanges")).unwrap();
    let service =
        service.replace("name: ctl,", "name: other,").replace("30080", "30081").replace("203.0.113.10", "203.0.113.11");
    let without = analysis(&[&ingress("a.example", ""), &service], &[]);
    assert_eq!(outcome(&without, "192.0.2.1", "http://203.0.113.11/").0, Verdict::Denied);
    assert_eq!(outcome(&without, "192.0.2.1", "http://a.example/").0, Verdict::Allowed);
}

#[test]
fn redirects_are_followed_and_end() {
    // ING-8, ING-19
    let to = |place: &str| ingress("a.example", &format!("nginx.ingress.kubernetes.io/permanent-redirect: '{place}'"));
    let around = analysis(&[&to("http://a.example/again")], &[]);
    assert_eq!(outcome(&around, "internet", "http://a.example/"), (Verdict::NoListener, "ING-17", Some(301)));
    let away = analysis(&[&to("https://elsewhere.example/")], &[]);
    let (verdict, _, status) = outcome(&away, "internet", "http://a.example/");
    assert_eq!((verdict, status), (Verdict::NoListener, Some(301)));
}

#[test]
fn an_ingress_that_nobody_takes_is_said() {
    // ING-9
    let orphan = ingress("a.example", "").replace("ingressClassName: nginx", "ingressClassName: nobody");
    assert_eq!(
        outcome(&analysis(&[&orphan], &[]), "internet", "http://a.example/"),
        (Verdict::NoListener, "ING-9", None)
    );
}

#[test]
fn the_api_server_says_here_what_it_says_elsewhere() {
    // API-1, API-2, API-4
    let role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: x}, rules: [{apiGroups: [''], resources: [services/proxy], verbs: [get]}]}";
    let binding = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: r, namespace: x}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}, subjects: [{kind: ServiceAccount, name: default, namespace: x}]}";
    let policy = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {podSelector: {}}}";
    let target = "/api/v1/namespaces/x/services/web/proxy/health";
    let url = format!("https://kubernetes.default.svc{target}");
    for objects in [&[][..], &[role, binding], &[role, binding, policy], &[role, policy]] {
        for knobs in [&[][..], &[("apiserver_addresses", "10.0.0.5")]] {
            for method in ["GET", "POST"] {
                let cluster = analysis(objects, knobs);
                let server = ApiServer::new(&cluster.cluster, &cluster.profile, &cluster.ways.endpoints, &cluster);
                let web = Subject::parse(&cluster.cluster, None, "x/web").unwrap();
                let pod = cluster.cluster.pods.ids().find(|pod| &*cluster.cluster.pods.at(*pod).name == "web").unwrap();
                let asked = Question::new(Url::parse(&url).unwrap(), Some(method), [], None).unwrap();
                let said = together(&route_all(&cluster, &web, &asked).unwrap());
                let wanted = server.request_by(pod, method, target).unwrap();
                assert_eq!(
                    (said.verdict, said.knobs),
                    (wanted.verdict, wanted.knobs),
                    "{objects:?} {knobs:?} {method}"
                );
            }
        }
    }
    // From elsewhere it is a matter of rights, besides.
    let cluster = analysis(&[], &[("apiserver_addresses", "10.0.0.5")]);
    let (verdict, rule, _) = outcome(&cluster, "internet", &url);
    assert_eq!((verdict, rule), (Verdict::Conditional, "API-2"));
}

#[test]
fn alike_pods_ask_once_and_ranges_hold_whoever_is_in_them() {
    // M-3
    let cluster = analysis(&[], &[]);
    let all = AddressSet::net("10.0.0.0/8".parse().unwrap());
    let found = askers(&cluster, &Subject::Cidr("10.0.0.0/8".parse().unwrap()));
    let outside = found.iter().find_map(|asker| match &asker.clients {
        Clients::Outside(addresses) => Some(addresses.clone()),
        Clients::Party(_) => None,
    });
    let outside = outside.unwrap();
    assert!(outside.difference(&all).is_empty() && !outside.of(Family::V4).is_empty());
    assert!(!outside.contains("10.244.0.2".parse().unwrap()) && !outside.contains("10.0.0.1".parse().unwrap()));
    assert_eq!(found.len(), 4, "two pods, a node, and the rest");
}

#[test]
fn listeners_that_may_share_routes_leave_a_knob() {
    // GW-4
    let objects = [
        "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c}, spec: {controllerName: example.com/c}}",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: x}, spec: {gatewayClassName: c, listeners: [{name: one, port: 80, protocol: HTTP, hostname: a.example}, {name: all, port: 80, protocol: HTTP}]}}",
        "{apiVersion: v1, kind: Pod, metadata: {name: g, namespace: x, labels: {gateway.networking.k8s.io/gateway-name: g}}, spec: {nodeName: n1, hostNetwork: true, containers: [{name: c, image: none, ports: [{containerPort: 80}]}]}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: x}, spec: {parentRefs: [{name: g, sectionName: all}], rules: [{backendRefs: [{name: web, port: 80}]}]}}",
    ];
    for (value, verdict, knobs) in [
        ("true", Verdict::NoListener, crate::model::KnobSet::EMPTY),
        ("false", Verdict::Allowed, crate::model::KnobSet::EMPTY),
        ("both", Verdict::Undefined, crate::model::KnobSet::one(Knob::GatewayIsolation)),
    ] {
        let cluster = analysis(&objects, &[("gateway_isolation", value)]);
        let found = together(&ask(&cluster, "x/web", "http://a.example/"));
        assert_eq!((found.verdict, found.knobs), (verdict, knobs), "{value}");
    }
}
