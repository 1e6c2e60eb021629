//! The ways through Ingress controllers and Gateways.

use crate::Given;
use crate::articles::{DENY, cluster, from, node_port, nodes, service, web};

const CONTROLLER: &str = "app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller";

/// A pod that is a proxy, with what is written in `pod` besides; `labels` in flow style.
fn proxy(name: &str, labels: &str, pod: &str, args: &str) -> String {
    let ip = if pod.contains("hostNetwork") { "10.0.0.11" } else { "10.244.1.40" };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: edge, labels: {{{labels}}}}}\nspec: {{nodeName: n1, {pod} containers: [{{name: main, image: i, args: [{args}], ports: [{{name: http, containerPort: 80}}, {{name: https, containerPort: 443}}]}}]}}\nstatus: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: 'True'}}]}}\n"
    )
}

/// The load balancer of the proxy, at 192.0.2.60.
fn entry(labels: &str, spec: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: edge, namespace: edge}}\nspec: {{type: LoadBalancer, allocateLoadBalancerNodePorts: false, clusterIP: 10.96.0.20, {spec} selector: {{{labels}}}, ports: [{{name: http, port: 80, targetPort: http}}, {{name: https, port: 443, targetPort: https}}{more}]}}\nstatus: {{loadBalancer: {{ingress: [{{ip: 192.0.2.60}}]}}}}\n"
    )
}

/// Everything but an Ingress: nginx behind its load balancer, x/web behind its Service.
fn nginx(spec: &str) -> Given {
    cluster().and(&service("", "", "")).and(&proxy("ctl", CONTROLLER, "", "")).and(&entry(CONTROLLER, spec, ""))
}

fn ingress(name: &str, annotations: &str, class: &str, host: &str, paths: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: x, annotations: {{{annotations}}}}}\nspec: {{{class} rules: [{{{host} http: {{paths: [{paths}]}}}}]}}\n"
    )
}

fn path(path: &str, kind: &str) -> String {
    path_to(path, kind, "websvc")
}

fn path_to(path: &str, kind: &str, service: &str) -> String {
    format!("{{path: '{path}', pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}")
}

const CLASS: &str = "ingressClassName: nginx,";
const HOST: &str = "host: a.example,";

fn simple(annotations: &str) -> String {
    ingress("i", annotations, CLASS, HOST, &path("/", "Prefix"))
}

/// One way in for both schemes; `rest` = what stands behind.
fn twice(verdict: &str, rest: &str) -> String {
    [("80", "http"), ("443", "https")]
        .map(|(port, scheme)| {
            format!(
                "{verdict} W-ING lb edge/edge 192.0.2.60:{port} > Ingress nginx:{port} > svc x/websvc:80 > x/web:8080 | for {scheme}://{rest}"
            )
        })
        .join("\n")
}

#[test]
fn a12_ingress_by_nginx() {
    // ING-5, ING-13, ING-14, ING-16: the backend sees the controller.
    let given = || nginx("").and(&simple("")).only("W-ING");
    given().open(&twice("allowed", "a.example/… | as pod edge/ctl"));
    given().policy("x", &from("203.0.113.0/24")).open("");
    given().policy("x", &from("203.0.113.0/24")).closed(&twice("denied", "a.example/… | as pod edge/ctl | by NP-5"));
    let by_namespace = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}]}]}";
    given().policy("x", by_namespace).open(&twice("allowed", "a.example/… | as pod edge/ctl"));
    // Nobody gets to the controller.
    given().policy("edge", DENY).set("local_snat_view", "client").open("");
    // What is not served is nobody's.
    let other = nginx("").and(&ingress("i", "", "ingressClassName: other,", HOST, &path("/", "Prefix")));
    other.only("W-ING").open("");
}

#[test]
fn a13_ingress_of_old() {
    // ING-2: no path takes all paths.
    let old = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: old, namespace: x, annotations: {kubernetes.io/ingress.class: nginx}}\nspec: {rules: [{http: {paths: [{backend: {serviceName: websvc, servicePort: 80}}]}}]}\n";
    nginx("").and(old).only("W-ING").open(&twice("allowed", "*/… | as pod edge/ctl"));
}

#[test]
fn a14_lists_of_sources_see_what_the_controller_sees() {
    // ING-19, NP-24, KP-3
    let with = |spec: &str, list: &str| {
        nginx(spec).and(&simple(&format!("nginx.ingress.kubernetes.io/whitelist-source-range: '{list}'"))).only("W-ING")
    };
    with("", "203.0.113.0/24").open("");
    with("", "203.0.113.0/24").closed(&twice("denied", "a.example/… | by ING-17"));
    with("", "203.0.113.0/24,10.0.0.0/24").open(&twice("allowed", "a.example/… | as pod edge/ctl"));
    let local = "externalTrafficPolicy: Local,";
    with(local, "203.0.113.0/24").open(&twice("allowed", "a.example/… | from 203.0.113.0/24 | as pod edge/ctl"));
}

#[test]
fn a14_canaries() {
    // ING-19
    let second = service("", "", "")
        .replace("websvc", "newsvc")
        .replace("app: web", "app: new")
        .replace("10.96.0.10", "10.96.0.12");
    let with = |head: &str| {
        let annotations = format!("nginx.ingress.kubernetes.io/canary: 'true', {head}");
        nginx("")
            .and(&second)
            .and(&web("new", "n1", "10.244.1.11", "").replace("app: web", "app: new"))
            .and(&simple(""))
            .and(&ingress("canary", &annotations, CLASS, HOST, &path_to("/", "Prefix", "newsvc")))
            .only("W-ING")
    };
    let main = twice("allowed", "a.example/…");
    let new = main.replace("websvc", "newsvc").replace("x/web:", "x/new:");
    with("nginx.ingress.kubernetes.io/canary-weight: '0'").open(&main);
    with("nginx.ingress.kubernetes.io/canary-weight: '1'").open(&format!("{main}\n{new}"));
    with("nginx.ingress.kubernetes.io/canary-weight: '100'").open(&new);
}

#[test]
fn a14_tls_that_passes_through() {
    // ING-19: by server name; paths and annotations are void.
    let given = cluster()
        .and(&service("", "", ""))
        .and(&proxy("ctl", CONTROLLER, "", "--enable-ssl-passthrough"))
        .and(&entry(CONTROLLER, "", ""))
        .and(&ingress(
            "i",
            "nginx.ingress.kubernetes.io/ssl-passthrough: 'true'",
            CLASS,
            HOST,
            &path("/admin", "Prefix"),
        ));
    given.only("W-L4CM").open(
        "allowed W-L4CM lb edge/edge 192.0.2.60:443 > Ingress nginx:443 > svc x/websvc:80 > x/web:8080 | for tls://a.example | as pod edge/ctl",
    );
}

#[test]
fn a14_ports_of_a_controller() {
    // ING-31: only where something leads to that port.
    let map =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tcp, namespace: edge}\ndata: {'9000': 'x/websvc:80'}\n";
    let given = |more: &str| {
        cluster()
            .and(&service("", "", ""))
            .and(&proxy("ctl", CONTROLLER, "", "--tcp-services-configmap=edge/tcp"))
            .and(map)
            .and(&entry(CONTROLLER, "", more))
            .only("W-L4CM")
    };
    given("").open("");
    given(", {name: tcp, port: 9000, targetPort: 9000}").open(
        "allowed W-L4CM lb edge/edge 192.0.2.60:9000 > Ingress nginx:9000 > svc x/websvc:80 > x/web:8080 | for tcp://* | as pod edge/ctl",
    );
}

#[test]
fn a15_traefik_matches_characters() {
    // ING-22
    let labels = "app.kubernetes.io/name: traefik";
    let given = cluster()
        .and(&service("", "", ""))
        .and(&proxy("traefik", labels, "", "--providers.kubernetesingress"))
        .and(&entry(labels, "", ""))
        .and(&ingress("i", "", "ingressClassName: traefik,", HOST, &path("/foo", "Prefix")))
        .only("W-ING");
    given.open(&twice("allowed", "a.example/foo… | as pod edge/traefik").replace("Ingress nginx", "Ingress traefik"));
}

#[test]
fn a16_a_controller_on_the_hosts_network() {
    // ING-13, NP-19, TV-98: to pods of its own node it is that node.
    let with = |node: &str| {
        nodes(", {type: ExternalIP, address: 198.51.100.1N}")
            .and(&web("web", node, "10.244.1.10", ""))
            .and(&service("", "", ""))
            .and(&proxy("ctl", CONTROLLER, "hostNetwork: true,", ""))
            .and(&simple(""))
            .policy("x", DENY)
            .only("W-ING")
    };
    let way = |verdict: &str| twice(verdict, "a.example/… | as pod edge/ctl").replace("lb edge/edge 192.0.2.60", "n1");
    with("n1").open(&way("allowed"));
    with("n2").open("");
    with("n2").closed(&way("denied"));
}

#[test]
fn a17_default_backend_and_tls() {
    // ING-7, ING-8: who asks over plain HTTP is sent to HTTPS.
    let tls = "ingressClassName: nginx, tls: [{hosts: [a.example], secretName: s}],";
    let given = nginx("").and(&ingress("i", "", tls, HOST, &path("/", "Prefix"))).only("W-ING");
    given.open(
        "
        allowed W-ING lb edge/edge 192.0.2.60:443 > Ingress nginx:443 > svc x/websvc:80 > x/web:8080 | for https://a.example/…
        conditional W-ING lb edge/edge 192.0.2.60:80 > Ingress nginx:80 > nobody | for http://a.example/… | if redirect
        ",
    );
    let all = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: x}\nspec: {ingressClassName: nginx, defaultBackend: {service: {name: websvc, port: {number: 80}}}}\n";
    nginx("").and(all).only("W-ING").open(&twice("allowed", "*/… | as pod edge/ctl"));
}

#[test]
fn a18_a_load_balancer_of_the_cloud_and_its_health_checks() {
    // ING-20, ING-21: without node ports it connects to pods, and all of its ranges must get through.
    let path = path("/path1/*", "ImplementationSpecific");
    let by_gce = |service: &str| {
        cluster().and(service).and(&ingress("i", "kubernetes.io/ingress.class: gce", "", "", &path)).only("W-ING")
    };
    let way = |verdict: &str| {
        format!("{verdict} W-ING Ingress i:80 > svc x/websvc:80 > x/web:8080 | for http://*/path1/… | from all")
    };
    let both =
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 35.191.0.0/16}}, {ipBlock: {cidr: 130.211.0.0/22}}]}]}";
    let pods = || by_gce(&service("", "", ""));
    pods().open(&way("allowed"));
    pods().policy("x", DENY).open("");
    pods().policy("x", &from("35.191.0.0/16")).open("");
    pods().policy("x", both).open(&way("allowed"));
    // By node ports, pods see a node: the ranges are of use on the pod's own node alone.
    let nodes = || by_gce(&node_port(""));
    nodes().open(&way("allowed"));
    nodes().policy("x", DENY).open(&format!("{} | as own node | if local_snat_view", way("undefined")));
    nodes().policy("x", DENY).set("local_snat_view", "client").open("");
    nodes().policy("x", &from("10.0.0.12/32")).open(&format!("{} | as node n2", way("allowed")));
    nodes().policy("x", &from("35.191.0.0/16")).set("local_snat_view", "client").open("");
    let local = by_gce(&node_port("externalTrafficPolicy: Local,"));
    local.clone().policy("x", &from("10.0.0.12/32")).open("");
    local.policy("x", both).open(&way("allowed"));
}

#[test]
fn a14_a_controller_that_dials_the_service() {
    // ING-14, KP-3, KP-7: its node's rules forward it, and may put the node in its place.
    let given = || nginx("").and(&simple("nginx.ingress.kubernetes.io/service-upstream: 'true'")).only("W-ING");
    given().open(&twice("allowed", "a.example/… | as pod edge/ctl"));
    given().set("masquerade_all", "true").open(&twice("allowed", "a.example/… | as node n1"));
    let on_n2 = || {
        nodes(", {type: ExternalIP, address: 198.51.100.1N}")
            .and(&web("web", "n2", "10.244.2.10", ""))
            .and(&proxy("ctl", CONTROLLER, "", ""))
            .and(&entry(CONTROLLER, "", ""))
            .and(&simple("nginx.ingress.kubernetes.io/service-upstream: 'true'"))
            .only("W-ING")
    };
    on_n2().and(&service("", "", "")).open(&twice("allowed", "a.example/…"));
    on_n2().and(&service("internalTrafficPolicy: Local,", "", "")).open("");
}

const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name: gw";

fn gateway(port: u16) -> Given {
    cluster()
        .and(&service("", "", ""))
        .and("apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: mesh}\nspec: {controllerName: example.com/gateway}\nstatus: {conditions: [{type: Accepted, status: 'True'}]}\n")
        .and(&format!("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: edge}}\nspec: {{gatewayClassName: mesh, listeners: [{{name: http, port: {port}, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}}}}}]}}\n"))
        .and(&proxy("gw", GATEWAY_LABEL, "", ""))
        .and(&entry(GATEWAY_LABEL, "", ""))
}

fn route(rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: x}}\nspec: {{parentRefs: [{{name: gw, namespace: edge}}], hostnames: [a.example], rules: [{rules}]}}\n"
    )
}

const TO_WEB: &str = "backendRefs: [{name: websvc, port: 80}]";
const BY_GATEWAY: &str =
    "W-GW lb edge/edge 192.0.2.60:80 > Gateway gw:80 > svc x/websvc:80 > x/web:8080 | for http://a.example/…";

#[test]
fn a27_gateways_and_policies() {
    // GW-1, GW-6, GW-16: the backend sees the gateway's pod.
    let given = || gateway(80).and(&route(&format!("{{{TO_WEB}}}"))).only("W-GW");
    given().open(&format!("allowed {BY_GATEWAY} | as pod edge/gw"));
    given().policy("x", DENY).open("");
    given().policy("x", DENY).closed(&format!("denied {BY_GATEWAY} | as pod edge/gw | by NP-7"));
    let admits = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}]}]}";
    given().policy("x", admits).open(&format!("allowed {BY_GATEWAY} | as pod edge/gw"));
}

#[test]
fn a_gateway_on_a_port_that_its_service_lacks() {
    // GW-16
    gateway(8888).and(&route(&format!("{{{TO_WEB}}}"))).only("W-GW").open("");
}

#[test]
fn weights_and_copies() {
    // GW-9, GW-10
    let second = service("", "", "")
        .replace("websvc", "newsvc")
        .replace("app: web", "app: new")
        .replace("10.96.0.10", "10.96.0.12");
    let given = |rule: &str| {
        gateway(80)
            .and(&second)
            .and(&web("new", "n1", "10.244.1.11", "").replace("app: web", "app: new"))
            .and(&route(rule))
            .only("W-GW")
    };
    let web = format!("allowed {BY_GATEWAY}");
    let new = web.replace("websvc", "newsvc").replace("x/web:", "x/new:");
    given("{backendRefs: [{name: websvc, port: 80}, {name: newsvc, port: 80, weight: 0}]}").open(&web);
    given("{backendRefs: [{name: websvc, port: 80}, {name: newsvc, port: 80}]}").open(&format!("{web}\n{new}"));
    let copies = "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: newsvc, port: 80}}}], backendRefs: [{name: websvc, port: 80}]}";
    given(copies).open(&format!("{web}\n{new} copies"));
    given(copies)
        .policy("x", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}")
        .open(&format!("{new} copies"));
    given("{backendRefs: [{name: websvc, port: 80, weight: 0}]}").open("");
}

#[test]
fn an_ingress_of_two_controllers() {
    // ING-9: both serve it, each with pods of its own.
    let second = proxy("ctl2", CONTROLLER, "", "")
        .replace("namespace: edge", "namespace: edge2")
        .replace("10.244.1.40", "10.244.1.41");
    let entry2 = entry(CONTROLLER, "", "")
        .replace("namespace: edge", "namespace: edge2")
        .replace("192.0.2.60", "192.0.2.61")
        .replace("10.96.0.20", "10.96.0.21");
    let only_first = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}]}]}";
    let given = || nginx("").and(&second).and(&entry2).and(&simple("")).only("W-ING");
    let one = twice("allowed", "a.example/… | as pod edge/ctl");
    let other =
        one.replace("edge/edge", "edge2/edge").replace("192.0.2.60", "192.0.2.61").replace("edge/ctl", "edge2/ctl2");
    given().open(&format!("{one}\n{other}"));
    given().policy("x", only_first).open(&one);
}

#[test]
fn a_controller_that_is_not_ready_serves_nobody() {
    // ING-28
    let given = cluster()
        .and(&service("", "", ""))
        .and(&proxy("ctl", CONTROLLER, "", "").replace("'True'", "'False'"))
        .and(&entry(CONTROLLER, "", ""))
        .and(&simple(""))
        .only("W-ING");
    given.open("");
    let on_host = cluster()
        .and(&service("", "", ""))
        .and(&proxy("ctl", CONTROLLER, "hostNetwork: true,", "").replace("'True'", "'False'"))
        .and(&simple(""))
        .only("W-ING");
    on_host.open("");
}

#[test]
fn an_ingress_to_a_name() {
    // ING-15, SVC-16: the name stands for a Service of another namespace, or for somebody outside.
    let alias = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: alias, namespace: z}}\nspec: {{type: ExternalName, externalName: {name}, ports: [{{port: 80}}]}}\n"
        )
    };
    let to_alias =
        ingress("i", "", CLASS, HOST, &path_to("/", "Prefix", "alias")).replace("namespace: x", "namespace: z");
    let given = |name: &str| nginx("").and(&alias(name)).and(&to_alias).only("W-ING");
    let inside = || given("websvc.x.svc.cluster.local");
    let rest = "a.example/… | as pod edge/ctl";
    inside().open(&twice("allowed", rest).replace("svc x/websvc", "svc z/alias:80 > svc x/websvc"));
    inside().policy("x", DENY).open("");
    let outside = || given("db.example.com");
    let by_name = twice("allowed", rest).replace("svc x/websvc:80 > x/web:8080", "svc z/alias:80 > nobody");
    outside().open(&by_name);
    let shut = "{podSelector: {}, policyTypes: [Egress]}";
    outside().policy("edge", shut).open("");
    given("nowhere.x.svc.cluster.local").open("");
}
