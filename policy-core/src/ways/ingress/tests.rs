//! What the test vectors do not ask: who serves what, how backends are dialled, ports without HTTP.

use crate::model::http::{Action, App, BackendTarget, Check, Dial, Listener, ProxyPods, Request, Routed};
use crate::model::ingress::{Controller, claims};
use crate::model::{Cluster, WayProfile};
use crate::testing;

use super::{IngressRoutes, routes};

/// Services a and b of namespace x; b has a node port, c is a name for something else.
const BASE: &str = "\
{apiVersion: v1, kind: Service, metadata: {name: a, namespace: x}, spec: {selector: {app: a}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: b, namespace: x}, spec: {type: NodePort, selector: {app: b}, ports: [{port: 80, nodePort: 30080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: c, namespace: x}, spec: {type: ExternalName, externalName: db.example, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: bystander, namespace: x}, spec: {containers: [{name: main, image: none}]}}
";

fn cluster(objects: &[&str]) -> Cluster {
    testing::cluster(BASE, objects)
}

fn ingress(class: &str, annotations: &str, service: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i, namespace: x, annotations: {{{annotations}}}}}, spec: {{{class}rules: [{{host: h.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}}}]}}}}"
    )
}

fn class(name: &str, controller: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: {name}}}, spec: {{controller: {controller}}}}}"
    )
}

fn profile(knobs: &[(&str, &str)]) -> WayProfile {
    let mut profile = crate::model::Profile::default();
    for (knob, value) in knobs {
        profile.set(knob, value).unwrap();
    }
    profile.ways
}

fn all_routes(objects: &[&str], knobs: &[(&str, &str)]) -> (Cluster, IngressRoutes) {
    let cluster = cluster(objects);
    let routes = routes(&cluster, &profile(knobs));
    (cluster, routes)
}

/// The listener for HTTP on a port of the one proxy that serves anything.
fn listener(routes: &IngressRoutes, port: u16) -> Option<&Listener> {
    let serves = |at: usize| !routes.claims.controllers[at].ingresses.is_empty();
    let (_, proxy) = routes.proxies.iter().find(|(at, _)| serves(*at))?;
    let port = proxy.ports.iter().find(|found| found.port == port)?;
    port.listeners.iter().find(|listener| listener.app == App::Http)
}

/// What becomes of `h.example/`.
fn action(routes: &IngressRoutes, port: u16) -> (Vec<Check>, Action) {
    match listener(routes, port).unwrap().router.route(Some("h.example"), &Request::get(Some("h.example"), "/")) {
        Routed::Rule(rule) => (rule.checks.clone(), rule.then.clone()),
        other => panic!("{other:?}"),
    }
}

fn target(action: &Action) -> &BackendTarget {
    match action {
        Action::Forward { backends, .. } => &backends[0].target,
        other => panic!("{other:?}"),
    }
}

fn dial(routes: &IngressRoutes) -> Dial {
    match target(&action(routes, 80).1) {
        BackendTarget::Service { dial, .. } => *dial,
        other => panic!("{other:?}"),
    }
}

#[test]
fn controllers_dial_endpoints_but_for_some() {
    // ING-14, ING-20, ING-26
    let of = |class: &str, annotations: &str, service: &str| {
        dial(&all_routes(&[&ingress(class, annotations, service)], &[]).1)
    };
    let nginx = "ingressClassName: nginx, ";
    assert_eq!(of("", "", "a"), Dial::Endpoints);
    assert_eq!(of(nginx, "nginx.ingress.kubernetes.io/ssl-redirect: 'false'", "a"), Dial::Endpoints);
    assert_eq!(of(nginx, "nginx.ingress.kubernetes.io/service-upstream: 'true'", "a"), Dial::ClusterIp);
    let traefik = "ingressClassName: traefik, ";
    assert_eq!(of(traefik, "traefik.ingress.kubernetes.io/service.nativelb: 'true'", "a"), Dial::ClusterIp);
    assert_eq!(of(traefik, "traefik.ingress.kubernetes.io/service.nodeportlb: 'true'", "b"), Dial::NodePort);
    let gce = "ingressClassName: gce, ";
    assert_eq!((of(gce, "", "a"), of(gce, "", "b")), (Dial::Endpoints, Dial::NodePort));
    let alb = "ingressClassName: alb, ";
    assert_eq!(of(alb, "", "b"), Dial::NodePort);
    assert_eq!(of(alb, "alb.ingress.kubernetes.io/target-type: ip", "b"), Dial::Endpoints);
}

#[test]
fn services_tell_controllers_how_to_dial_them() {
    // ING-14, ING-20
    let told = |class: &str, annotation: &str, spec: &str| {
        let service = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: told, namespace: x, annotations: {{{annotation}}}}}, spec: \
             {{{spec}selector: {{app: a}}, ports: [{{port: 80}}]}}}}"
        );
        dial(&all_routes(&[&ingress(&format!("ingressClassName: {class}, "), "", "told"), &service], &[]).1)
    };
    let kong = "ingress.kubernetes.io/service-upstream: 'true'";
    assert_eq!((told("kong", "", ""), told("kong", kong, "")), (Dial::Endpoints, Dial::ClusterIp));
    assert_eq!(told("traefik", kong, ""), Dial::Endpoints);
    assert_eq!(told("kong", kong, "clusterIP: None, "), Dial::Endpoints);
    assert_eq!(told("traefik", "traefik.ingress.kubernetes.io/service.nativelb: 'true'", ""), Dial::ClusterIp);
    let node_port = "traefik.ingress.kubernetes.io/service.nodeportlb: 'true'";
    assert_eq!(told("traefik", node_port, "type: NodePort, "), Dial::NodePort);
    let group = "cloud.google.com/neg: '{\"ingress\": true}'";
    assert_eq!(told("gce", "", "type: NodePort, "), Dial::NodePort);
    assert_eq!(told("gce", group, "type: NodePort, "), Dial::Endpoints);
}

#[test]
fn load_balancers_outside_have_no_pods() {
    // ING-21, ING-26
    let pods = |class: &str| {
        let (_, routes) = all_routes(&[&ingress(&format!("ingressClassName: {class}, "), "", "b")], &[]);
        routes.proxies[0].1.pods.clone()
    };
    assert!(matches!(pods("gce"), ProxyPods::Outside(ranges) if ranges.len() == 2));
    assert_eq!(pods("alb"), ProxyPods::OutsideUnknown);
    // ING-16: nobody knows from where a controller connects that is not in the input.
    assert!(matches!(pods("nginx"), ProxyPods::Missing(what) if what.contains("nginx")));
    let inbound = "alb.ingress.kubernetes.io/inbound-cidrs: 10.0.0.0/8";
    let (_, routes) = all_routes(&[&ingress("ingressClassName: alb, ", inbound, "b")], &[]);
    assert!(matches!(&action(&routes, 80).0[..], [Check::Source { allow, .. }] if allow.len() == 1));
}

const CONTROLLER: &str = "\
{apiVersion: apps/v1, kind: Deployment, metadata: {name: edge, namespace: infra}, spec: {selector: {matchLabels: {app: edge}}, template: {metadata: {labels: {app: edge}}, spec: {containers: [{name: c, image: i, args: [--controller-class=example.com/edge, --ingress-class, public, --tcp-services-configmap=$(POD_NAMESPACE)/tcp, --configmap=infra/settings]}]}}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: tcp, namespace: infra}, data: {'9000': 'x/a:80', '9001': 'x/b:80:PROXY', note: text}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: infra}, data: {whitelist-source-range: 10.0.0.0/8, ssl-redirect: 'false'}}
";

fn serving(cluster: &Cluster, knobs: &[(&str, &str)]) -> Vec<Controller> {
    let all = claims(cluster, &profile(knobs)).controllers;
    all.into_iter().filter(|controller| !controller.ingresses.is_empty()).collect()
}

#[test]
fn a_controller_is_found_by_its_flags() {
    // ING-1, ING-9, ING-16
    for (class_object, wish) in [
        (class("web", "example.com/edge"), "ingressClassName: web, "),
        (String::from("{apiVersion: v1, kind: Namespace, metadata: {name: q}}"), "ingressClassName: public, "),
    ] {
        let cluster = cluster(&[CONTROLLER, &class_object, &ingress(wish, "", "a")]);
        let [controller] = &serving(&cluster, &[])[..] else { panic!("{wish}") };
        assert_eq!((&*controller.namespace, &*controller.name), ("infra", "public"));
        assert!(matches!(&controller.pods, ProxyPods::Pods(pods) if pods.len() == 1));
        assert!(!controller.settings.ssl_redirect && controller.settings.allow.len() == 1);
    }
    let annotated = cluster(&[CONTROLLER, &ingress("", "kubernetes.io/ingress.class: public", "a")]);
    assert_eq!(serving(&annotated, &[]).len(), 1);
    let other = cluster(&[CONTROLLER, &ingress("ingressClassName: strange, ", "", "a")]);
    assert_eq!(serving(&other, &[]), []);
    let why = &claims(&other, &profile(&[])).unclaimed[0].1;
    assert_eq!(why, "there is no IngressClass `strange`");
}

#[test]
fn the_profile_says_where_a_controller_runs() {
    // ING-16
    let edge = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: own, namespace: infra}, spec: {selector: {matchLabels: {app: own}}, template: {metadata: {labels: {app: own}}, spec: {containers: [{name: c, image: i}]}}}}";
    let cluster = cluster(&[edge, &ingress("ingressClassName: mine, ", "", "a")]);
    assert_eq!(serving(&cluster, &[]), []);
    let [controller] = &serving(&cluster, &[("controllers", "mine=infra/own")])[..] else { panic!() };
    assert!(matches!(&controller.pods, ProxyPods::Pods(pods) if pods.len() == 1));
    assert_eq!(&*controller.namespace, "infra");
}

#[test]
fn the_address_of_the_status_leads_to_the_pods() {
    // ING-16
    let balancer = "{apiVersion: v1, kind: Service, metadata: {name: lb, namespace: infra}, spec: {type: LoadBalancer, selector: {app: own}, ports: [{port: 80}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}}";
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: own-1, namespace: infra, labels: {app: own}}, spec: {containers: [{name: c, image: i}]}}";
    let mut written = ingress("ingressClassName: mine, ", "", "a");
    written.pop();
    written.push_str(", status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}}");
    let cluster = cluster(&[balancer, pod, &class("mine", "example.com/mine"), &written]);
    let [controller] = &serving(&cluster, &[])[..] else { panic!() };
    assert!(matches!(&controller.pods, ProxyPods::Pods(pods) if &*cluster.pods.at(pods[0]).name == "own-1"));
}

#[test]
fn pods_that_are_gone_serve_nobody() {
    // ING-28
    let pod = |name: &str, phase: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: infra, labels: {{app.kubernetes.io/name: traefik}}}}, spec: {{containers: [{{name: c, image: i}}]}}, status: {{phase: {phase}}}}}"
        )
    };
    let written = ingress("", "", "a");
    let pods = |phases: &[&str]| {
        let pods: Vec<_> = phases.iter().enumerate().map(|(at, phase)| pod(&format!("p{at}"), phase)).collect();
        let mut objects: Vec<_> = pods.iter().map(String::as_str).collect();
        objects.push(&written);
        let cluster = cluster(&objects);
        match &serving(&cluster, &[])[0].pods {
            ProxyPods::Pods(pods) => pods.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(pods(&["Running", "Running", "Failed"]), 2);
    assert_eq!(pods(&["Failed"]), 0);
}

#[test]
fn config_maps_open_ports_of_their_own() {
    // ING-31
    let (cluster, routes) = all_routes(&[CONTROLLER], &[]);
    let ports: Vec<_> = routes.proxies[0].1.ports.iter().map(|port| port.port).collect();
    assert_eq!(ports, [80, 443, 9000, 9001]);
    let port = &routes.proxies[0].1.ports[3];
    assert!(port.listeners.iter().all(|listener| listener.app == App::Opaque));
    let Routed::Rule(rule) = port.listeners[0].router.route(None, &Request::get(None, "/")) else { panic!() };
    let BackendTarget::Service { service, .. } = target(&rule.then) else { panic!() };
    assert_eq!((&*cluster.services.at(*service).name, rule.origin.kind), ("b", "ConfigMap"));
}

#[test]
fn plain_requests_are_sent_to_tls() {
    // ING-8, ING-23
    let with_tls = |class: &str, annotations: &str| {
        let written =
            ingress(class, annotations, "a").replace("rules:", "tls: [{hosts: [h.example], secretName: s}], rules:");
        all_routes(&[&written], &[]).1
    };
    let nginx = "ingressClassName: nginx, ";
    assert!(matches!(action(&with_tls(nginx, ""), 80).1, Action::Redirect(sent) if sent.status == 308));
    assert!(matches!(action(&with_tls(nginx, ""), 443).1, Action::Forward { .. }));
    let off = "nginx.ingress.kubernetes.io/ssl-redirect: 'false'";
    assert!(matches!(action(&with_tls(nginx, off), 80).1, Action::Forward { .. }));
    let kong = with_tls("ingressClassName: kong, ", "konghq.com/protocols: https");
    assert!(matches!(action(&kong, 80).1, Action::Answer { status: 426, .. }));
    // What the API alone says: TLS where an Ingress speaks of it, and no redirect.
    assert!(matches!(action(&with_tls("", ""), 80).1, Action::Forward { .. }));
    assert!(matches!(action(&with_tls("", ""), 443).1, Action::Forward { .. }));
    let (_, without) = all_routes(&[&ingress("", "", "a")], &[]);
    assert!(listener(&without, 443).is_none());
    let (_, https_only) =
        all_routes(&[&ingress("ingressClassName: gce, ", "kubernetes.io/ingress.allow-http: 'false'", "b")], &[]);
    assert!(listener(&https_only, 80).is_none());
}

#[test]
fn resources_and_names_are_no_services() {
    // ING-11, ING-15
    let bucket = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: x}, spec: {defaultBackend: {resource: {apiGroup: k8s.example, kind: Bucket, name: b}}}}";
    let (_, routes) = all_routes(&[bucket], &[]);
    assert!(matches!(action(&routes, 80).1, Action::Undefined(why) if why.contains("Bucket")));
    let of = |class: &str| action(&all_routes(&[&ingress(class, "", "c")], &[]).1, 80).1;
    assert!(matches!(target(&of("ingressClassName: nginx, ")), BackendTarget::External { port: 80, .. }));
    assert!(matches!(target(&of("ingressClassName: traefik, ")), BackendTarget::Invalid { rule: "ING-15", .. }));
    assert!(matches!(of(""), Action::Undefined(_)));
}

#[test]
fn of_equal_paths_the_oldest_ingress_has_it_or_nobody_knows() {
    // ING-12, ING-25
    let dated = |name: &str, service: &str, created: &str| {
        let created = if created.is_empty() { String::new() } else { format!(", creationTimestamp: '{created}'") };
        ingress("ingressClassName: nginx, ", "", service)
            .replace("name: i, namespace: x", &format!("name: {name}, namespace: x{created}"))
    };
    let of = |first: &str, second: &str, class: &str| {
        let (one, two) =
            (dated("one", "a", first).replace("nginx", class), dated("two", "b", second).replace("nginx", class));
        let (cluster, routes) = all_routes(&[&one, &two], &[]);
        let found =
            listener(&routes, 80).unwrap().router.route(Some("h.example"), &Request::get(Some("h.example"), "/"));
        match found {
            Routed::Rule(rule) => match target(&rule.then) {
                BackendTarget::Service { service, .. } => cluster.services.at(*service).name.to_string(),
                other => panic!("{other:?}"),
            },
            Routed::OneOf(rules) => format!("one of {}", rules.len()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of("2024-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "nginx"), "b");
    assert_eq!(of("2020-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "nginx"), "a");
    assert_eq!(of("", "2020-01-01T00:00:00Z", "nginx"), "one of 2");
    assert_eq!(of("2020-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "istio"), "one of 2");
}

#[test]
fn nginx_knows_a_host_by_its_aliases_and_refuses_odd_paths() {
    // ING-17, ING-18
    let alias = "nginx.ingress.kubernetes.io/server-alias: other.example";
    let (_, routes) = all_routes(&[&ingress("ingressClassName: nginx, ", alias, "a")], &[]);
    let router = &listener(&routes, 80).unwrap().router;
    for (host, found) in [("other.example", true), ("h.example", true), ("third.example", false)] {
        let routed = router.route(Some(host), &Request::get(Some(host), "/"));
        let forwarded = matches!(routed, Routed::Rule(rule) if matches!(rule.then, Action::Forward { .. }));
        assert_eq!(forwarded, found, "{host}");
    }
    // An alias of the server for all hosts is that server, default backends of Ingresses without rules and all.
    let bare = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: bare, namespace: x}, spec: {ingressClassName: nginx, defaultBackend: {service: {name: a, port: {number: 80}}}}}";
    let for_all = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: all, namespace: x, annotations: {nginx.ingress.kubernetes.io/server-alias: h.example}}, spec: {ingressClassName: nginx, rules: [{}]}}";
    let (_, routes) = all_routes(&[bare, for_all], &[]);
    assert!(matches!(action(&routes, 80).1, Action::Forward { .. }));
    let odd = ingress("ingressClassName: nginx, ", "", "a").replace("path: /,", "path: /a.b,");
    let (_, routes) = all_routes(&[&odd], &[]);
    assert_eq!(routes.left_out.iter().map(|left| left.rule).collect::<Vec<_>>(), ["ING-17"]);
}

#[test]
fn stickiness_takes_no_endpoint_away() {
    // ING-30
    let plain = all_routes(&[&ingress("ingressClassName: nginx, ", "", "a")], &[]).1;
    let sticky = "nginx.ingress.kubernetes.io/affinity: cookie, nginx.ingress.kubernetes.io/load-balance: ewma";
    let sticky = all_routes(&[&ingress("ingressClassName: nginx, ", sticky, "a")], &[]).1;
    assert_eq!(action(&plain, 80), action(&sticky, 80));
}

#[test]
fn ten_thousand_paths_are_no_matter() {
    // Twice the paths must not take four times as long: the lists are sorted, and nothing is compared with everything.
    let many = |count: usize| -> Cluster {
        let mut text = String::new();
        for host in 0..count / 10 {
            text.push_str("---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {namespace: x, name: ");
            text.push_str(&format!(
                "i{host}}}\nspec: {{ingressClassName: nginx, rules: [{{host: h{host}.example, http: {{paths: ["
            ));
            for path in 0..10 {
                text.push_str(&format!(
                    "{{path: /p{path}, pathType: Prefix, backend: {{service: {{name: a, port: {{number: 80}}}}}}}}, "
                ));
            }
            text.push_str("]}}]}\n");
        }
        cluster(&[&text])
    };
    let cluster = many(2_000);
    let routes = routes(&cluster, &profile(&[]));
    let rules = &listener(&routes, 80).unwrap().router.rules;
    // Two locations a path, the rest of each host, and the server of all other hosts.
    assert_eq!(rules.len(), 2 * 2_000 + 200 + 1);
}
