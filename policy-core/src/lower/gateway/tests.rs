//! Attachment, references and validation of the Gateway API.

use crate::lower::testing::from_text;
use crate::model::Cluster;
use crate::model::gateway::{Claim, RouteCondition};
use crate::model::http::{Action, BackendTarget, Check, HostMatch, ProxyPods};

fn document(kind: &str, metadata: &str, spec: &str) -> String {
    let version = match kind {
        "Service" => "v1",
        "TCPRoute" => "gateway.networking.k8s.io/v1alpha2",
        _ => "gateway.networking.k8s.io/v1",
    };
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {{{spec}}}\n---\n")
}

fn service(metadata: &str, spec: &str) -> String {
    document("Service", metadata, spec)
}

fn gateway(listeners: &str) -> String {
    document("Gateway", "name: gw, namespace: x", &format!("gatewayClassName: any, listeners: [{listeners}]"))
}

const HTTP: &str = "{name: http, port: 80, protocol: HTTP}";

fn http_route(rules: &str) -> String {
    document("HTTPRoute", "name: r, namespace: x", &format!("parentRefs: [{{name: gw}}], {rules}"))
}

const TO_WEB: &str = "rules: [{backendRefs: [{name: web, port: 80}]}]";

fn web() -> String {
    service("name: web, namespace: x", "selector: {app: web}, ports: [{port: 80}]")
}

/// The cluster, with the messages of errors and warnings.
fn lowered(text: &str) -> (Cluster, Vec<String>) {
    let (cluster, found, _) = from_text(text);
    let shown = found.iter().filter(|found| found.rule.starts_with("GW-") || found.is_error());
    (cluster, shown.map(|found| format!("{}: {}", found.rule, found.message)).collect())
}

/// The first error of a text, and whether the cluster counts as incomplete.
fn refused(text: &str) -> String {
    let (cluster, found, _) = from_text(text);
    let errors: Vec<_> = found.iter().filter(|found| found.is_error()).collect();
    assert!(cluster.incomplete && errors.len() == 1, "{found:?}");
    assert!(errors[0].primary.is_some(), "{found:?}");
    format!("{}: {}", errors[0].rule, errors[0].message)
}

fn conditions(cluster: &Cluster) -> Vec<(RouteCondition, RouteCondition)> {
    let parents = cluster.gateway_api.routes.values().flat_map(|route| &route.parents);
    parents.map(|parent| (parent.accepted, parent.resolved)).collect()
}

/// Reasons of listeners that are not served.
fn refusals(cluster: &Cluster) -> Vec<(String, Option<&'static str>)> {
    let listeners = cluster.gateway_api.gateways.iter().flat_map(|gateway| &gateway.listeners);
    listeners
        .map(|listener| (listener.name.to_string(), listener.refused.as_ref().map(|refused| refused.reason)))
        .collect()
}

#[test]
fn what_the_definition_of_a_gateway_refuses_is_an_error() {
    // GW-2, GW-3
    for (listeners, message) in [
        ("{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}", "GW-2: a second listener `a`"),
        (
            "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}",
            "GW-2: port, protocol and hostname of another listener",
        ),
        ("{name: a, port: 443, protocol: HTTPS}", "GW-2: `HTTPS` without `tls`"),
        ("{name: a, port: 443, protocol: TLS, tls: {}}", "GW-2: `TLS` without a TLS mode"),
        ("{name: a, port: 443, protocol: HTTPS, tls: {}}", "GW-2: TLS ends here, and no certificate is named"),
        ("{name: a, port: 80, protocol: HTTP, tls: {mode: Passthrough}}", "GW-2: `tls` with the protocol HTTP"),
        ("{name: a, port: 80, protocol: TCP, hostname: a.b}", "GW-2: a hostname with the protocol TCP"),
        ("{name: a, port: 0, protocol: TCP}", "GW-2: `0` is not a port number"),
        ("{name: a, port: 80, protocol: HTTP, hostname: \"a.*.b\"}", "GW-3: `a.*.b` is not a host name"),
        ("{name: a, port: 80, protocol: HTTP, hostname: 10.0.0.1}", "GW-3: `10.0.0.1` is not a host name"),
        ("{name: a, port: 80, protocol: HTTP, hostname: A.b}", "GW-3: `A.b` is not a host name"),
        (
            "{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector}}}",
            "GW-1: `from: Selector` without a `selector`",
        ),
        ("{name: a, port: 80, protocol: HTTP, hostnam: a.b}", "IN-3: unknown field `hostnam`"),
    ] {
        let text = gateway(listeners);
        if message.starts_with("IN-3") {
            let (_, found, _) = from_text(&text);
            assert!(found.iter().any(|found| found.is_error() && found.rule == "IN-3"), "{found:?}");
        } else {
            assert_eq!(refused(&text), message);
        }
    }
}

#[test]
fn what_the_definitions_of_routes_refuse_is_an_error() {
    // GW-6, GW-8, GW-9, GW-10, GW-12
    let to_web = "backendRefs: [{name: web, port: 80}]";
    for (rule, message) in [
        ("matches: [{path: {value: /a//b}}]", "GW-6: `/a//b` is no path to compare with"),
        ("matches: [{path: {value: a}}]", "GW-6: `a` is no path to compare with"),
        ("matches: [{path: {type: Prefix, value: /a}}]", "GW-6: `Prefix` is no type of path"),
        ("matches: [{method: get}]", "GW-6: `get` is not a method"),
        ("backendRefs: [{name: web}]", "GW-9: a reference to a Service needs a `port`"),
        ("backendRefs: [{name: web, port: 80, weight: -1}]", "GW-9: `-1` is not a weight"),
        (
            "filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: web, port: 80}]",
            "GW-10: `RequestRedirect` beside `backendRefs`",
        ),
        ("filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]", "GW-10: this status is no redirect"),
        (
            "filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]",
            "GW-10: `RequestRedirect` and `URLRewrite` in one list",
        ),
        ("filters: [{type: URLRewrite}]", "GW-10: a filter of the type `URLRewrite` without the field of that name"),
        (
            "matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]",
            "GW-10: `ReplacePrefixMatch` in a rule without exactly one prefix",
        ),
    ] {
        assert_eq!(refused(&(web() + &http_route(&format!("rules: [{{{rule}}}]")))), message);
    }
    let tls = document("TLSRoute", "name: r, namespace: x", &format!("rules: [{{{to_web}}}]"));
    assert_eq!(refused(&(web() + &tls)), "GW-12: a TLSRoute needs `hostnames`");
    let old = tls.replace("/v1\n", "/v1alpha2\n");
    assert!(!lowered(&(web() + &old)).0.incomplete);
    let tcp = document("TCPRoute", "name: r, namespace: x", &format!("hostnames: [a.b], rules: [{{{to_web}}}]"));
    assert_eq!(refused(&(web() + &tcp)), "GW-12: a TCPRoute has no `hostnames`");
    let grpc = format!("rules: [{{matches: [{{method: {{type: Exact}}}}], {to_web}}}]");
    let grpc = document("GRPCRoute", "name: r, namespace: x", &grpc);
    assert_eq!(refused(&(web() + &grpc)), "GW-8: a method match needs `service` or `method`");
}

#[test]
fn references_that_lead_nowhere_are_warnings_and_conditions() {
    // GW-1, GW-9, GW-14
    let external = service("name: away, namespace: x", "type: ExternalName, externalName: a.example.com");
    let spoken = "ports: [{port: 80, appProtocol: kubernetes.io/ws}, {name: dns, port: 53, protocol: UDP}]";
    let ws = service("name: ws, namespace: x", &spoken.replace("{port: 80", "{name: ws, port: 80"));
    let objects = web() + &external + &ws + &gateway(HTTP);
    for (reference, reason, rule) in [
        ("{name: web, port: 80}", "ResolvedRefs", ""),
        ("{name: web, port: 81}", "BackendNotFound", "GW-9"),
        ("{name: none, port: 80}", "BackendNotFound", "GW-9"),
        ("{name: ws, port: 53}", "BackendNotFound", "GW-9"),
        ("{name: away, port: 80}", "UnsupportedValue", "GW-14"),
        ("{name: web, kind: Thing, port: 80}", "InvalidKind", "GW-9"),
        ("{name: web, namespace: z, port: 80}", "RefNotPermitted", "GW-11"),
        ("{name: ws, port: 80}", "ResolvedRefs", ""),
    ] {
        let (cluster, found) =
            lowered(&(objects.clone() + &http_route(&format!("rules: [{{backendRefs: [{reference}]}}]"))));
        let resolved = RouteCondition { status: rule.is_empty(), reason };
        assert_eq!(conditions(&cluster), [(RouteCondition::ACCEPTED, resolved)], "{reference}");
        assert_eq!(found.len(), usize::from(!rule.is_empty()), "{found:?}");
        let route = cluster.gateway_api.routes.values().next().unwrap();
        let Action::Forward { backends, .. } = &route.rules[0].matches[0].then else { panic!() };
        match &backends[0].target {
            BackendTarget::Invalid { rule: by, status, .. } => assert_eq!((*by, *status), (rule, 500)),
            _ => assert!(rule.is_empty()),
        }
    }
    let grpc = "parentRefs: [{name: gw}], rules: [{backendRefs: [{name: ws, port: 80}]}]";
    let (cluster, _) = lowered(&(objects.clone() + &document("GRPCRoute", "name: r, namespace: x", grpc)));
    assert_eq!(conditions(&cluster)[0].1, RouteCondition::no("UnsupportedProtocol"));
    for (parent, reason) in [
        ("{name: none}", "NoMatchingParent"),
        ("{name: gw, sectionName: https}", "NoMatchingParent"),
        ("{name: gw, port: 81}", "NoMatchingParent"),
        ("{name: gw, kind: ListenerSet}", "NoMatchingParent"),
    ] {
        let route = document("HTTPRoute", "name: r, namespace: x", &format!("parentRefs: [{parent}], {TO_WEB}"));
        let (cluster, found) = lowered(&(objects.clone() + &route));
        assert_eq!(conditions(&cluster)[0].0, RouteCondition::no(reason), "{parent}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn hosts_of_route_and_listener_meet() {
    // GW-5
    let hosts = |listener: &str, route: &str| {
        let gateway = gateway(&format!("{{name: http, port: 80, protocol: HTTP{listener}}}"));
        let (cluster, _) = lowered(&(web() + &gateway + &http_route(&format!("hostnames: [{route}], {TO_WEB}"))));
        let listener = &cluster.gateway_api.gateways[0].listeners[0];
        let hosts = listener.routes.first().map(|attachment| attachment.hosts.clone()).unwrap_or_default();
        let shown = hosts.iter().map(|host| match host {
            HostMatch::Exact(name) => name.to_string(),
            HostMatch::Labels(name) => format!("*.{name}"),
            other => format!("{other:?}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    let wildcard = ", hostname: \"*.example.com\"";
    assert_eq!(hosts("", ""), "Any");
    assert_eq!(hosts("", "a.b"), "a.b");
    assert_eq!(hosts(wildcard, ""), "*.example.com");
    assert_eq!(hosts(wildcard, "a.example.com, b.org, \"*.b.example.com\""), "a.example.com *.b.example.com");
    assert_eq!(hosts(wildcard, "\"*.com\""), "*.example.com");
    assert_eq!(hosts(wildcard, "example.com"), "");
    assert_eq!(hosts(", hostname: a.example.com", "\"*.example.com\""), "a.example.com");
    assert_eq!(hosts(", hostname: a.example.com", "\"*.a.example.com\""), "");
}

#[test]
fn listeners_that_cannot_be_told_apart_are_not_served() {
    // GW-2
    let certificate = "certificateRefs: [{name: c}]";
    let tls = format!(
        "{{name: a, port: 443, protocol: HTTPS, tls: {{{certificate}}}}}, {{name: b, port: 443, protocol: TLS, tls: {{mode: Passthrough}}}}, {{name: c, port: 443, protocol: TLS, hostname: a.b, tls: {{mode: Passthrough}}}}"
    );
    let (cluster, _) = lowered(&gateway(&tls));
    let conflict = Some("ProtocolConflict");
    assert_eq!(refusals(&cluster), [("a".to_owned(), conflict), ("b".to_owned(), conflict), ("c".to_owned(), None)]);
    let (cluster, found) = lowered(&gateway(
        "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: TCP}, {name: c, port: 80, protocol: UDP}",
    ));
    assert_eq!(refusals(&cluster), [("a".to_owned(), conflict), ("b".to_owned(), conflict), ("c".to_owned(), None)]);
    assert_eq!(found.len(), 2);
}

#[test]
fn a_class_is_claimed_refused_or_not_in_the_input() {
    // GW-2
    let claim = |class: &str| lowered(&(class.to_owned() + &gateway(HTTP))).0.gateway_api.gateways[0].claim.clone();
    let class = |status: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: any}}\nspec: {{controllerName: a.b/c}}\nstatus: {{conditions: [{{type: Accepted, status: \"{status}\"}}]}}\n---\n"
        )
    };
    assert_eq!(claim(""), Claim::Missing);
    assert_eq!(claim(&class("True")), Claim::Claimed("a.b/c".into()));
    assert_eq!(claim(&class("False")), Claim::Refused);
}

#[test]
fn the_pods_of_a_gateway_are_found_by_label_and_by_service() {
    // GW-16
    let pod = |labels: &str| {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: x, labels: {{{labels}}}}}\n---\n")
    };
    let pods = |objects: String| lowered(&(gateway(HTTP) + &objects)).0.gateway_api.gateways[0].pods.clone();
    let count = |found: ProxyPods| match found {
        ProxyPods::Pods(pods) => pods.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(count(pods(pod("gateway.networking.k8s.io/gateway-name: gw"))), 1);
    let selected = service(
        "name: gw, namespace: x, labels: {gateway.networking.k8s.io/gateway-name: gw}",
        "selector: {app: proxy}, ports: [{port: 80}]",
    );
    assert_eq!(count(pods(pod("app: proxy") + &selected)), 1);
    let owner = "gateway.envoyproxy.io/owning-gateway-namespace: x, gateway.envoyproxy.io/owning-gateway-name: gw";
    assert_eq!(count(pods(pod(owner))), 1);
    let ProxyPods::Missing(missing) = pods(pod("app: proxy")) else { panic!() };
    assert!(missing.contains("the GatewayClass `any`"), "{missing}");
}

#[test]
fn listener_sets_need_the_leave_of_their_gateway() {
    // GW-17
    let of = |allowed: &str, listener: &str| {
        let gateway = format!("gatewayClassName: any, listeners: [{HTTP}], {allowed}");
        let set = document(
            "ListenerSet",
            "name: more, namespace: x",
            &format!("parentRef: {{name: gw}}, listeners: [{{name: more, {listener}}}]"),
        );
        let route = format!("parentRefs: [{{kind: ListenerSet, name: more}}], {TO_WEB}");
        let objects = web() + &document("Gateway", "name: gw, namespace: x", &gateway);
        let (cluster, _) = lowered(&(objects + &set + &document("HTTPRoute", "name: r, namespace: x", &route)));
        (refusals(&cluster)[1].1, conditions(&cluster)[0].0)
    };
    let open = "allowedListeners: {namespaces: {from: Same}}";
    let (not_allowed, conflict) = (RouteCondition::no("NotAllowedByListeners"), Some("HostnameConflict"));
    assert_eq!(of("", "port: 81, protocol: HTTP"), (Some("NotAllowed"), not_allowed));
    assert_eq!(of(open, "port: 81, protocol: HTTP"), (None, RouteCondition::ACCEPTED));
    assert_eq!(of(open, "port: 80, protocol: HTTP"), (conflict, RouteCondition::ACCEPTED));
}

#[test]
fn tls_towards_backends_and_clients_is_checked() {
    // GW-13
    let policy = |reference: &str| {
        document(
            "BackendTLSPolicy",
            "name: t, namespace: x",
            &format!(
                "targetRefs: [{{group: \"\", kind: Service, name: web}}], validation: {{hostname: a.b, caCertificateRefs: [{reference}]}}"
            ),
        )
    };
    let target = |reference: &str| {
        let text = web() + &gateway(HTTP) + &policy(reference) + &http_route(TO_WEB);
        let route = lowered(&text).0.gateway_api.routes.values().next().unwrap().clone();
        let Action::Forward { backends, .. } = &route.rules[0].matches[0].then else { panic!() };
        match &backends[0].target {
            BackendTarget::Invalid { rule, .. } => *rule,
            _ => "",
        }
    };
    assert_eq!(target("{group: \"\", kind: ConfigMap, name: ca}"), "");
    assert_eq!(target("{group: a.b, kind: Thing, name: ca}"), "GW-13");
    let client = |mode: &str, kind: &str| {
        let tls = format!(
            "tls: {{frontend: {{default: {{validation: {{mode: {mode}, caCertificateRefs: [{{group: \"\", kind: {kind}, name: ca}}]}}}}}}}}"
        );
        let https = "{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}";
        let spec = format!("gatewayClassName: any, listeners: [{https}], {tls}");
        let listener = lowered(&document("Gateway", "name: gw, namespace: x", &spec)).0.gateway_api.gateways[0]
            .listeners[0]
            .clone();
        (listener.checks, listener.refused.map(|refused| refused.reason))
    };
    assert_eq!(client("AllowValidOnly", "ConfigMap"), (vec![Check::Credential("client certificate".into())], None));
    assert_eq!(client("AllowInsecureFallback", "ConfigMap"), (Vec::new(), None));
    assert_eq!(client("AllowValidOnly", "Service").1, Some("InvalidCACertificateKind"));
}

#[test]
fn certificates_of_other_namespaces_need_a_grant() {
    // GW-11
    let https = gateway("{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: z}]}}");
    assert_eq!(refusals(&lowered(&https).0)[0].1, Some("RefNotPermitted"));
    let grant = document(
        "ReferenceGrant",
        "name: g, namespace: z",
        "from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: x}], to: [{group: \"\", kind: Secret, name: c}]",
    );
    assert_eq!(refusals(&lowered(&(https + &grant)).0)[0].1, None);
}

#[test]
fn routes_of_a_mesh_are_kept_for_the_clients_they_concern() {
    // GW-15
    let route = |namespace: &str| {
        let spec = format!("parentRefs: [{{group: \"\", kind: Service, name: web, namespace: x, port: 80}}], {TO_WEB}");
        document("HTTPRoute", &format!("name: r, namespace: {namespace}"), &spec)
    };
    let clients = |namespace: &str| {
        let (cluster, _) = lowered(&(web() + &route(namespace)));
        let mesh = &cluster.gateway_api.mesh_routes[0];
        assert_eq!((mesh.port, conditions(&cluster)[0].0), (Some(80), RouteCondition::ACCEPTED));
        mesh.clients.as_deref().map(str::to_owned)
    };
    assert_eq!(clients("x"), None);
    assert_eq!(clients("z").as_deref(), Some("z"));
}
