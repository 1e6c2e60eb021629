//! Ingress: TV-93 … TV-113. Where a vector goes through a load balancer, the test asks for the leg from the
//! controller to the backend, and what the controller checks of the client's address as it sees it.

use policy_core::model::http::{Action, App, BackendTarget, Check, Dial, ProxyPods, Request, Routed};
use policy_core::model::ingress::{Entry, claims};
use policy_core::model::{Cluster, Name};
use policy_core::ways::ingress::routes;
use tests::ingress::{Answer, ask};
use tests::pipeline::Backend;

use super::fx::{Allowed, C, Denied, Fx, fx};

/// An Ingress in namespace x: `head` are annotations, `spec` its spec in flow style without the outer braces.
fn ingress(name: &str, head: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: x, annotations: {{{head}}}}}\nspec: {{{spec}}}\n"
    )
}

/// A Service of namespace x on port 80.
fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: x}}\nspec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n"
    )
}

fn class(name: &str, controller: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}}}\nspec: {{controller: {controller}}}\n"
    )
}

/// `path`, `pathType` and the Service of it.
fn path(path: &str, kind: &str, service: &str) -> String {
    format!("{{path: '{path}', pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}")
}

fn rule(host: &str, paths: &[String]) -> String {
    let host = if host.is_empty() { String::new() } else { format!("host: '{host}', ") };
    format!("{{{host}http: {{paths: [{}]}}}}", paths.join(", "))
}

fn rules(rules: &[String]) -> String {
    format!("rules: [{}]", rules.join(", "))
}

const NGINX: &str = "ingressClassName: nginx, ";

/// The fixture with the Services a, b and c, and the class of its controller.
fn with_services() -> Fx {
    ["a", "b", "c"]
        .iter()
        .fold(fx(), |fx, name| fx.object(&service(name)))
        .object(&class("nginx", "k8s.io/ingress-nginx"))
}

/// The fixture without a controller: what Ingresses without class mean is the profile's business.
fn plain() -> Fx {
    without_controller(["a", "b", "c"].iter().fold(fx(), |fx, name| fx.object(&service(name))))
}

fn without_controller(fx: Fx) -> Fx {
    fx.edit("{app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}", "{app: controller}")
}

/// What both evaluators say of a request.
#[track_caller]
fn answer(cluster: &Cluster, fx: &Fx, entry: Entry, request: &Request) -> (String, Vec<Check>) {
    let [spec, compiled] = Backend::ALL.map(|backend| ask(backend, cluster, fx.profile(), entry, request));
    assert_eq!(compiled, spec, "compiled differs from spec on {request:?}");
    let words = match &spec.answer {
        Answer::Backends(names) => {
            names.iter().map(|name| name.trim_start_matches("x/").trim_end_matches(":80")).collect::<Vec<_>>().join("|")
        }
        other => other.to_string(),
    };
    (words, spec.checks)
}

/// Asks for `host/path` over plain HTTP: `-/path` is the bare address.
#[track_caller]
fn gets(fx: &Fx, url: &str, wanted: &str) {
    let cluster = fx.cluster();
    let (host, path) = url.split_at(url.find('/').unwrap());
    let request = Request::get((host != "-").then_some(host), path);
    assert_eq!(answer(&cluster, fx, Entry::Plain, &request).0, wanted, "{url}");
}

#[test]
fn tv_93_every_row_of_the_path_tables() {
    // ING-6
    let rows: [(&[(&str, &str)], &[(&str, &str)]); 14] = [
        (&[("/", "Prefix")], &[("/", "a"), ("/x/y", "a")]),
        (&[("/foo", "Exact")], &[("/foo", "a"), ("/bar", "404"), ("/foo/", "404")]),
        (&[("/foo/", "Exact")], &[("/foo", "404"), ("/foo/", "a")]),
        (&[("/foo", "Prefix")], &[("/foo", "a"), ("/foo/", "a"), ("/FOO", "404")]),
        (&[("/foo/", "Prefix")], &[("/foo", "a"), ("/foo/", "a")]),
        (&[("/aaa/bb", "Prefix")], &[("/aaa/bbb", "404")]),
        (&[("/aaa/bbb", "Prefix")], &[("/aaa/bbb", "a"), ("/aaa/bbb/", "a"), ("/aaa/bbb/ccc", "a")]),
        (&[("/aaa/bbb/", "Prefix")], &[("/aaa/bbb", "a")]),
        (&[("/aaa/bbb", "Prefix")], &[("/aaa/bbbxyz", "404")]),
        (&[("/", "Prefix"), ("/aaa", "Prefix")], &[("/aaa/ccc", "b")]),
        (&[("/", "Prefix"), ("/aaa", "Prefix"), ("/aaa/bbb", "Prefix")], &[("/aaa/bbb", "c")]),
        (&[("/", "Prefix"), ("/aaa", "Prefix"), ("/aaa/bbb", "Prefix")], &[("/ccc", "a")]),
        (&[("/foo", "Prefix"), ("/foo", "Exact")], &[("/foo", "b"), ("/foo/x", "a")]),
        (&[("/foo", "Prefix"), ("/foo/", "Prefix")], &[("/foo", "b"), ("/foo?x=/bar", "b")]),
    ];
    for (paths, asked) in rows {
        let paths: Vec<_> =
            paths.iter().zip(["a", "b", "c"]).map(|((text, kind), service)| path(text, kind, service)).collect();
        let fx = plain().object(&ingress("i", "", &rules(&[rule("", &paths)])));
        for (asked, wanted) in asked {
            gets(&fx, &format!("any.example{asked}"), wanted);
        }
    }
    let default = "defaultBackend: {service: {name: b, port: {number: 80}}}, ";
    let spec = format!("{default}{}", rules(&[rule("", &[path("/aaa", "Prefix", "a")])]));
    let fx = plain().object(&ingress("i", "", &spec));
    gets(&fx, "any.example/ccc", "b");
    gets(&fx, "any.example/aaa", "a");
}

#[test]
fn tv_94_a_wildcard_is_one_label() {
    // ING-5
    let fx = plain().object(&ingress("i", "", &rules(&[rule("*.foo.com", &[path("/", "Prefix", "a")])])));
    gets(&fx, "bar.foo.com/", "a");
    gets(&fx, "BAR.FOO.COM:8080/", "a");
    gets(&fx, "baz.bar.foo.com/", "404");
    gets(&fx, "foo.com/", "404");
    gets(&fx, "-/", "404");
}

#[test]
fn tv_95_the_old_shape_without_path() {
    // ING-2, IN-18
    let old = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: influxdb, namespace: x}\nspec: {rules: [{host: influxdb.example, http: {paths: [{backend: {serviceName: influxdb, servicePort: 8086}}]}}]}\n";
    let behind = "apiVersion: v1\nkind: Service\nmetadata: {name: influxdb, namespace: x}\nspec: {selector: {app: db}, ports: [{port: 8086}]}\n";
    let fx = plain().object(old).object(behind);
    let loaded = fx.load();
    assert!(loaded.diagnostics.iter().any(|found| found.rule == "IN-18" && !found.is_error()));
    let path = loaded.cluster.ingresses.values().next().unwrap().rules.first().unwrap().paths.as_ref().unwrap();
    assert_eq!(path.first().unwrap().kind, policy_core::model::ingress::PathType::ImplementationSpecific);
    gets(&fx, "influxdb.example/query?q=1", "influxdb:8086");
    gets(&fx, "influxdb.example/", "influxdb:8086");
    gets(&fx, "other.example/", "404");
}

#[test]
fn tv_96_a_backend_names_the_port_of_the_service() {
    // ING-3
    let spec = "rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: websvc, port: {number: 8080}}}}]}}]";
    let fx = plain().object(&ingress("i", "", spec));
    gets(&fx, "any.example/", "503");
    assert!(fx.load().diagnostics.iter().any(|found| found.rule == "ING-3"));
    let right = spec.replace("8080", "80");
    gets(&plain().object(&ingress("i", "", &right)), "any.example/", "websvc");
}

/// The one controller's pods.
fn controller_pods(fx: &Fx) -> Vec<String> {
    let cluster = fx.cluster();
    let claims = claims(&cluster, &fx.profile().ways);
    let served = claims.controllers.iter().filter(|controller| !controller.ingresses.is_empty());
    let pods = served.map(|controller| match &controller.pods {
        ProxyPods::Pods(pods) => pods.clone(),
        other => panic!("{other:?}"),
    });
    let name = |id| {
        let pod = cluster.pods.at(id);
        format!("{}/{}", cluster.namespaces.at(pod.namespace).name, pod.name)
    };
    pods.flatten().map(name).collect()
}

#[test]
fn tv_97_the_backend_sees_the_controller() {
    // ING-13, ING-14, ING-16, NP-26
    let to_web = ingress("i", "", &format!("{NGINX}{}", rules(&[rule("a.example", &[path("/", "Prefix", "websvc")])])));
    let fx = || with_services().object(&to_web);
    gets(&fx(), "a.example/", "websvc");
    assert_eq!(controller_pods(&fx()), ["ingress-nginx/ctl"]);
    let from = |peer: &str| fx().policy("x", &format!("{{podSelector: {{}}, ingress: [{{from: [{peer}]}}]}}"));
    from("{ipBlock: {cidr: 203.0.113.0/24}}").check("ingress-nginx/ctl", "x/web:8080", Denied);
    let by_namespace = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}";
    from(by_namespace).check("ingress-nginx/ctl", "x/web:8080", Allowed);
    let cluster = fx().cluster();
    let routes = routes(&cluster, &fx().profile().ways);
    let rule = &routes.proxies.first().unwrap().1.ports.first().unwrap().listeners.first().unwrap().router.rules;
    let dials = rule.iter().filter_map(|rule| match &rule.then {
        Action::Forward { backends, .. } => match &backends.first().unwrap().target {
            BackendTarget::Service { dial, .. } => Some(*dial),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(dials.collect::<Vec<_>>(), [Dial::Endpoints]);
}

#[test]
fn tv_98_a_controller_on_the_hosts_network_is_its_node() {
    // ING-13, NP-19
    let to_web = ingress("i", "", &format!("{NGINX}{}", rules(&[rule("a.example", &[path("/", "Prefix", "websvc")])])));
    let labels = "labels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}}\nspec:\n  nodeName: n1\n";
    let fx = with_services()
        .object(&to_web)
        .edit(labels, &format!("{labels}  hostNetwork: true\n"))
        .edit("  podIP: 10.244.1.40\n  podIPs: [{ip: 10.244.1.40}]", "  podIP: 10.0.0.11\n  podIPs: [{ip: 10.0.0.11}]")
        .policy("x", "{podSelector: {}, policyTypes: [Ingress]}");
    assert_eq!(controller_pods(&fx), ["ingress-nginx/ctl"]);
    fx.check("ingress-nginx/ctl", "x/web:8080", Allowed);
    fx.check("ingress-nginx/ctl", "x/db:5432", Denied);
}

fn nginx(head: &str, host: &str, paths: &[String]) -> String {
    nginx_named("i", head, host, paths)
}

fn nginx_named(name: &str, head: &str, host: &str, paths: &[String]) -> String {
    ingress(name, head, &format!("{NGINX}{}", rules(&[rule(host, paths)])))
}

#[test]
fn tv_99_nginx_takes_its_own_type_by_characters() {
    // ING-17
    let fx = with_services().object(&nginx("", "h.example", &[path("/app", "ImplementationSpecific", "a")]));
    gets(&fx, "h.example/apple", "a");
    let fx = with_services().object(&nginx("", "h.example", &[path("/app", "Prefix", "a")]));
    gets(&fx, "h.example/apple", "404");
    gets(&fx, "h.example/app/le", "a");
}

#[test]
fn tv_100_one_ingress_with_regex_turns_the_whole_host() {
    // ING-17
    let exact = nginx_named("one", "", "h.example", &[path("/foo", "Exact", "a")]);
    let other = nginx_named(
        "two",
        "nginx.ingress.kubernetes.io/use-regex: 'true'",
        "h.example",
        &[path("/bar", "Prefix", "b")],
    );
    let fx = with_services().object(&exact).object(&other);
    gets(&fx, "h.example/foobar", "a");
    gets(&fx, "h.example/FOO", "a");
    let alone = with_services().object(&exact);
    gets(&alone, "h.example/foobar", "404");
    gets(&alone, "h.example/FOO", "404");
}

#[test]
fn tv_101_longer_expressions_are_tried_first() {
    // ING-17
    let paths = [path("/foo/bar/bar", "Prefix", "a"), path("/foo/bar/[A-Z0-9]{3}", "ImplementationSpecific", "b")];
    let fx = with_services().object(&nginx("nginx.ingress.kubernetes.io/use-regex: 'true'", "h.example", &paths));
    gets(&fx, "h.example/foo/bar/bar", "b");
    gets(&fx, "h.example/foo/bar/b", "404");
}

const REGEX: &str = "nginx.ingress.kubernetes.io/use-regex: 'true'";

/// An Ingress of ingress-nginx that was made in a year.
fn nginx_of(year: &str, name: &str, head: &str, paths: &[String]) -> String {
    let written = nginx_named(name, head, "h.example", paths);
    if year.is_empty() {
        return written;
    }
    written
        .replace(&format!("{{name: {name},"), &format!("{{name: {name}, creationTimestamp: '{year}-01-01T00:00:00Z',"))
}

#[test]
fn ing_017_of_equally_long_expressions_the_later_in_the_alphabet_is_tried_first() {
    // ING-17
    let specific = |text: &str, service: &str| path(text, "ImplementationSpecific", service);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let paths = [specific("/fo[a-z]", "a"), specific("/f[a-z]+", "b"), specific("/[a-z]oo", "c")];
        let paths: Vec<String> = order.iter().map(|at: &usize| paths[*at].clone()).collect();
        let fx = with_services().object(&nginx(REGEX, "h.example", &paths));
        // `o` comes after `[`, `f` after `[`.
        gets(&fx, "h.example/foo", "a");
        gets(&fx, "h.example/fxo", "b");
        gets(&fx, "h.example/goo", "c");
    }
}

#[test]
fn ing_017_a_path_that_is_exact_and_prefix_is_two_expressions_in_the_order_of_age() {
    // ING-17, ING-12
    let regex = nginx_named("r", REGEX, "h.example", &[path("/bar", "Prefix", "c")]);
    let with = |exact: &str, prefix: &str| {
        let exact = nginx_of(exact, "exact", "", &[path("/foo", "Exact", "a")]);
        let prefix = nginx_of(prefix, "prefix", "", &[path("/foo", "Prefix", "b")]);
        with_services().object(&regex).object(&exact).object(&prefix)
    };
    for (exact, prefix, below) in
        [("2019", "2020", "a"), ("2020", "2019", "b"), ("2020", "2020", "b"), ("", "2020", "undefined: several paths")]
    {
        let fx = with(exact, prefix);
        gets(&fx, "h.example/foo/x", below);
        gets(&fx, "h.example/foo", "a");
        gets(&fx, "h.example/foobar", "a");
    }
    // An Ingress that asks for expressions itself does not get a slash.
    let whole = nginx_of("2019", "prefix", REGEX, &[path("/foo", "Prefix", "b")]);
    let exact = nginx_of("2020", "exact", "", &[path("/foo", "Exact", "a")]);
    let fx = with_services().object(&whole).object(&exact);
    gets(&fx, "h.example/foobar", "b");
    // Whether it is the one that has the Prefix nobody knows: /foobar is its, or the Exact one's.
    let other = nginx_of("", "unknown", "", &[path("/foo", "Prefix", "c")]);
    let fx = with_services().object(&whole).object(&exact).object(&other);
    gets(&fx, "h.example/foo/x", "undefined: several paths");
    let why = "undefined: several Ingresses have the path as a Prefix, and nobody knows which of them is the oldest";
    gets(&fx, "h.example/foobar", why);
}

#[test]
fn ing_017_with_expressions_an_exact_root_comes_after_the_server_s_own() {
    // ING-17
    let regex = nginx_named("r", REGEX, "h.example", &[path("/bar", "Prefix", "c")]);
    let exact = nginx_named("exact", "", "h.example", &[path("/", "Exact", "a")]);
    gets(&with_services().object(&exact), "h.example/", "a");
    gets(&with_services().object(&exact).object(&regex), "h.example/", "404");
    let prefix = nginx_named("prefix", "", "h.example", &[path("/", "Prefix", "b")]);
    gets(&with_services().object(&exact).object(&regex).object(&prefix), "h.example/", "b");
}

#[test]
fn ing_012_of_one_age_the_last_by_name_has_the_path() {
    // ING-12
    let of = |year: &str, name: &str, service: &str| nginx_of(year, name, "", &[path("/", "Prefix", service)]);
    let fx = with_services().object(&of("2020", "one", "a")).object(&of("2020", "two", "b"));
    gets(&fx, "h.example/x", "b");
    let fx = fx.object(&of("2019", "old", "c"));
    gets(&fx, "h.example/x", "c");
    let fx = fx.object(&of("", "unknown", "a"));
    gets(&fx, "h.example/x", "undefined: several paths");
}

/// Whether an address passes the checks of a request; nothing else may be checked.
fn passes(checks: &[Check], source: &str) -> bool {
    let source: std::net::IpAddr = source.parse().unwrap();
    checks.iter().all(|check| match check {
        Check::Source { allow, deny } => {
            let allowed = allow.is_empty() || allow.iter().any(|net| net.contains(&source));
            allowed && !deny.iter().any(|net| net.contains(&source))
        }
        other => panic!("{other:?}"),
    })
}

#[test]
fn tv_102_a_list_of_sources_is_held_against_what_nginx_sees() {
    // ING-19, NP-24
    let with = |list: &str| {
        let head = format!("nginx.ingress.kubernetes.io/whitelist-source-range: '{list}'");
        let fx = with_services().object(&nginx(&head, "h.example", &[path("/", "Prefix", "websvc")]));
        answer(&fx.cluster(), &fx, Entry::Plain, &Request::get(Some("h.example"), "/")).1
    };
    let checks = with("203.0.113.0/24");
    // externalTrafficPolicy Cluster: the controller sees a node, whoever asks. Local: the client itself.
    assert!(!passes(&checks, "10.0.0.11") && !passes(&checks, "10.0.0.12"));
    assert!(passes(&checks, C) && !passes(&checks, "198.51.100.99"));
    let checks = with("203.0.113.0/24,10.0.0.0/24");
    assert!(passes(&checks, "10.0.0.11") && passes(&checks, "10.0.0.12"));
}

#[test]
fn tv_103_a_canary_of_weight_0_gets_nothing() {
    // ING-19
    let main = nginx_named("main", "", "h.example", &[path("/", "Prefix", "a")]);
    let canary = |more: &str| {
        let head = format!("nginx.ingress.kubernetes.io/canary: 'true', {more}");
        nginx_named("canary", &head, "h.example", &[path("/", "Prefix", "b")])
    };
    let weight = |weight: u32| canary(&format!("nginx.ingress.kubernetes.io/canary-weight: '{weight}'"));
    gets(&with_services().object(&main).object(&weight(0)), "h.example/", "a");
    gets(&with_services().object(&main).object(&weight(1)), "h.example/", "a|b");
    gets(&with_services().object(&main).object(&weight(100)), "h.example/", "b");
    gets(&with_services().object(&weight(1)), "h.example/", "404");
    let fx = with_services().object(&main).object(&canary("nginx.ingress.kubernetes.io/canary-by-header: X-New"));
    let asks = |value: &str| {
        let headers = vec![(Name::from("x-new"), Name::from(value))];
        let request = Request { headers, ..Request::get(Some("h.example"), "/") };
        answer(&fx.cluster(), &fx, Entry::Plain, &request).0
    };
    assert_eq!([asks("always"), asks("never"), asks("maybe")], ["b", "a", "a"]);
}

#[test]
fn tv_104_tls_that_passes_through_knows_no_paths() {
    // ING-19
    let head = "nginx.ingress.kubernetes.io/ssl-passthrough: 'true', nginx.ingress.kubernetes.io/auth-url: 'https://auth.example'";
    let fx = with_services().object(&nginx(head, "h.example", &[path("/admin", "Prefix", "a")]));
    let reached = |fx: &Fx, path: &str| {
        let cluster = fx.cluster();
        let routes = routes(&cluster, &fx.profile().ways);
        let (_, proxy) = routes.proxies.first().unwrap();
        let port = proxy.ports.iter().find(|port| port.port == 443).unwrap();
        let request = Request { sni: Some(Name::from("h.example")), ..Request::get(Some("h.example"), path) };
        let takes = |tls: &Option<policy_core::model::http::HostMatch>| {
            tls.as_ref().is_some_and(|tls| tls.matches(Some("h.example")) == Some(true))
        };
        let listener = port.listeners.iter().find(|listener| takes(&listener.tls)).unwrap();
        let forwarded = match listener.router.route(Some("h.example"), &request) {
            Routed::Rule(rule) => matches!(rule.then, Action::Forward { .. }) && rule.checks.is_empty(),
            _ => false,
        };
        (listener.app, forwarded)
    };
    let on = fx.edit("      image: registry.example/main:1\n      ports:\n        - {name: http, containerPort: 80}\n", "      image: registry.example/main:1\n      args: [--enable-ssl-passthrough]\n      ports:\n        - {name: http, containerPort: 80}\n");
    assert_eq!(reached(&on, "/anything"), (App::Opaque, true));
    assert_eq!(reached(&on, "/admin"), (App::Opaque, true));
    // Without the flag the annotation is void, and the path decides again.
    let off = with_services().object(&nginx(head, "h.example", &[path("/admin", "Prefix", "a")]));
    assert_eq!(reached(&off, "/anything"), (App::Http, false));
}

fn gce(paths: &[String]) -> Fx {
    plain().set("ingress_default_profile", "gce").object(&ingress("i", "", &rules(&[rule("", paths)])))
}

#[test]
fn tv_105_a_star_of_google_is_below_a_slash() {
    // ING-20
    let fx = gce(&[path("/path1/*", "ImplementationSpecific", "a"), path("/two", "ImplementationSpecific", "b")]);
    gets(&fx, "any.example/path1/a", "a");
    gets(&fx, "any.example/path1", "404");
    gets(&fx, "any.example/path1x", "404");
    gets(&fx, "any.example/two", "b");
    gets(&fx, "any.example/two/x", "404");
}

#[test]
fn tv_106_a_star_in_a_prefix_drops_the_path() {
    // ING-20
    let fx = gce(&[path("/path1/*", "Prefix", "a"), path("/foo", "Prefix", "b")]);
    gets(&fx, "any.example/path1/a", "404");
    gets(&fx, "any.example/foo", "b");
    gets(&fx, "any.example/foo/x", "b");
    gets(&fx, "any.example/foox", "404");
    let cluster = fx.cluster();
    let left_out = routes(&cluster, &fx.profile().ways).left_out;
    assert_eq!(left_out.iter().map(|left| left.rule).collect::<Vec<_>>(), ["ING-20"]);
}

#[test]
fn tv_107_google_connects_from_ranges_of_its_own() {
    // ING-21
    let fx = gce(&[path("/", "Prefix", "websvc")]);
    let cluster = fx.cluster();
    let claims = claims(&cluster, &fx.profile().ways);
    let ProxyPods::Outside(ranges) = &claims.controllers.last().unwrap().pods else { panic!() };
    let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
    assert_eq!(ranges, ["35.191.0.0/16", "130.211.0.0/22"]);
    // Health checks come from there: where they are denied, the backend is never healthy.
    let denied = gce(&[path("/", "Prefix", "websvc")]).policy("x", "{podSelector: {}, policyTypes: [Ingress]}");
    denied.check("35.191.0.1", "x/web:8080", Denied);
    denied.check("130.211.0.1", "x/web:8080", Denied);
}

#[test]
fn tv_108_traefik_goes_by_characters_and_by_the_length_of_rules() {
    // ING-22, ING-5
    let traefik = |fx: Fx| fx.set("ingress_default_profile", "traefik");
    let fx = traefik(plain()).object(&ingress("i", "", &rules(&[rule("h.example", &[path("/foo", "Prefix", "a")])])));
    gets(&fx, "h.example/foobar", "a");
    let hosts = rules(&[
        rule("bar.foo.com", &[path("/", "Prefix", "a")]),
        rule("*.foo.com", &[path("/longer/path", "Prefix", "b")]),
    ]);
    gets(&traefik(plain()).object(&ingress("i", "", &hosts)), "bar.foo.com/longer/path", "b");
    gets(&with_services().object(&ingress("i", "", &format!("{NGINX}{hosts}"))), "bar.foo.com/longer/path", "a");
    // The flag of its pods.
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: traefik, namespace: z, labels: {app.kubernetes.io/name: traefik}}\nspec: {containers: [{name: traefik, args: [--providers.kubernetesingress.strictPrefixMatching=true]}]}\n";
    let strict =
        plain().object(pod).object(&ingress("i", "", &rules(&[rule("h.example", &[path("/foo", "Prefix", "a")])])));
    gets(&strict, "h.example/foobar", "404");
    gets(&strict, "h.example/foo/bar", "a");
}

#[test]
fn tv_109_kong_goes_by_elements_but_for_its_own_type() {
    // ING-23
    let with = |kind: &str| {
        let spec = format!("ingressClassName: kong, {}", rules(&[rule("h.example", &[path("/foo", kind, "a")])]));
        plain().object(&ingress("i", "", &spec))
    };
    for asked in ["/foo", "/foo/", "/foo/x"] {
        gets(&with("Prefix"), &format!("h.example{asked}"), "a");
    }
    gets(&with("Prefix"), "h.example/foobar", "404");
    gets(&with("ImplementationSpecific"), "h.example/foobar", "a");
}

#[test]
fn tv_110_haproxy_does_not_fall_back_from_a_host() {
    // ING-24
    let hosts = rules(&[
        rule("*.foo.com", &[path("/foo/", "ImplementationSpecific", "a")]),
        rule("", &[path("/", "Prefix", "b")]),
    ]);
    let default = "defaultBackend: {service: {name: c, port: {number: 80}}}, ";
    let fx = plain().set("ingress_default_profile", "haproxy").object(&ingress("i", "", &format!("{default}{hosts}")));
    gets(&fx, "a.foo.com/foobar", "a");
    gets(&fx, "a.foo.com/zzz", "c");
    gets(&fx, "a.b.foo.com/zzz", "b");
}

#[test]
fn tv_111_the_newest_default_class_is_taken() {
    // ING-9
    let default = |name: &str, controller: &str, created: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}, creationTimestamp: '{created}', annotations: {{ingressclass.kubernetes.io/is-default-class: 'true'}}}}\nspec: {{controller: {controller}}}\n"
        )
    };
    let to_a = ingress("i", "", &rules(&[rule("h.example", &[path("/app", "ImplementationSpecific", "a")])]));
    let two = with_services()
        .object(&default("old", "example.com/other", "2020-01-01T00:00:00Z"))
        .object(&default("new", "k8s.io/ingress-nginx", "2024-01-01T00:00:00Z"))
        .object(&to_a);
    assert!(two.load().diagnostics.iter().any(|found| found.rule == "ING-9" && !found.is_error()));
    gets(&two, "h.example/apple", "a");
    assert_eq!(controller_pods(&two), ["ingress-nginx/ctl"]);
    // No default class: nginx does not take it, Google does.
    let none = with_services().object(&to_a);
    let unclaimed = claims(&none.cluster(), &none.profile().ways).unclaimed;
    assert_eq!(unclaimed.len(), 1);
    gets(&none, "h.example/app", "nobody listens");
    let google = with_services().object(&to_a).set("ingress_default_profile", "gce");
    assert!(claims(&google.cluster(), &google.profile().ways).unclaimed.is_empty());
    gets(&google, "h.example/app", "a");
}

#[test]
fn tv_112_a_name_may_lead_into_another_namespace() {
    // ING-15
    let alias = "apiVersion: v1\nkind: Service\nmetadata: {name: alias, namespace: z}\nspec: {type: ExternalName, externalName: websvc.x.svc.cluster.local, ports: [{port: 80}]}\n";
    let with = |class: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: i, namespace: z}}\nspec: {{{class}rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: alias, port: {{number: 80}}}}}}}}]}}}}]}}\n"
        )
    };
    let nginx = with_services().object(alias).object(&with(NGINX));
    gets(&nginx, "h.example/", "z/alias");
    assert!(nginx.load().diagnostics.iter().any(|found| found.rule == "ING-15" && !found.is_error()));
    let traefik = plain().set("ingress_default_profile", "traefik").object(alias).object(&with(""));
    gets(&traefik, "h.example/", "503");
}

#[test]
fn tv_113_what_the_api_server_refuses() {
    // ING-4
    let backend = "service: {name: a, port: {number: 80}}";
    let resource = "resource: {apiGroup: k8s.example, kind: Bucket, name: b}";
    let both =
        format!("rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{{backend}, {resource}}}}}]}}}}]");
    for spec in [
        both,
        rules(&[rule("1.2.3.4", &[path("/", "Prefix", "a")])]),
        rules(&[rule("h.example", &[path("/a//b", "Prefix", "a")])]),
    ] {
        let loaded = plain().object(&ingress("i", "", &spec)).load();
        let errors: Vec<_> = loaded.errors().collect();
        assert_eq!(errors.iter().map(|error| error.rule).collect::<Vec<_>>(), ["ING-4"], "{spec}: {errors:?}");
        assert!(errors.iter().all(|error| error.primary.is_some()));
        assert!(loaded.cluster.ingresses.is_empty() && loaded.cluster.incomplete);
    }
}
