//! TV-114 … TV-121: the Gateway API.

use std::fs;
use std::path::Path;

use policy_core::model::Protocol;
use policy_core::model::gateway::{Entrance, GatewayAnswer, RouteCondition};
use policy_core::model::http::{Action, Backend, BackendTarget, Request};
use policy_core::model::{Cluster, Profile};
use policy_core::spec;
use policy_core::ways::gateway::Gateways;
use tests::pipeline::load;

/// The fixture with further objects.
struct World {
    cluster: Cluster,
    warnings: Vec<&'static str>,
}

fn world(objects: &str) -> World {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus/fx/manifests");
    let names = ["namespaces.yaml", "nodes.yaml", "pods.yaml", "services.yaml"];
    let mut texts: Vec<_> =
        names.iter().map(|name| ((*name).to_owned(), fs::read_to_string(folder.join(name)).unwrap())).collect();
    let services = "apiVersion: v1\nkind: Service\nmetadata: {name: own, namespace: x}\nspec: {selector: {app: db}, ports: [{port: 80}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: theirs, namespace: \"y\"}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";
    texts.push(("more.yaml".to_owned(), services.to_owned()));
    texts.push(("vector.yaml".to_owned(), objects.to_owned()));
    let loaded = load(texts);
    let errors: Vec<_> = loaded.errors().map(|error| loaded.describe(error)).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let warnings = loaded.diagnostics.iter().map(|found| found.rule).collect();
    World { cluster: loaded.cluster, warnings }
}

fn gateway(namespace: &str, listener: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: {namespace}}}\nspec:\n  gatewayClassName: any\n  listeners: [{{name: http, port: 80, protocol: HTTP{listener}}}]\n---\n"
    )
}

fn route(kind: &str, metadata: &str, parent: &str, spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{{metadata}}}\nspec:\n  parentRefs: [{{{parent}}}]\n  {spec}\n---\n"
    )
}

fn grant(namespace: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: grant, namespace: \"{namespace}\"}}\nspec:\n  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: x}}]\n  to: [{{group: \"\", kind: Service}}]\n---\n"
    )
}

impl World {
    /// What both evaluators say of a request.
    fn ask(&self, host: &str, path: &str) -> GatewayAnswer {
        let (api, profile) = (&self.cluster.gateway_api, Profile::default());
        let entrance = Entrance { port: 80, protocol: Protocol::Tcp, tls: false };
        let request = Request::get(Some(host), path);
        let fast = Gateways::new(&self.cluster, &profile.ways).answer(0, entrance, &request);
        let slow = spec::gateway::answer(api, &profile.ways, api.gateways.first().unwrap(), entrance, &request);
        assert!(fast.is_like(&slow), "{fast:?} {slow:?}");
        fast
    }

    fn name(&self, backend: &Backend) -> String {
        match &backend.target {
            BackendTarget::Service { service, .. } | BackendTarget::External { service, .. } => {
                let service = self.cluster.services.at(*service);
                format!("{}/{}:{}", self.cluster.namespaces.at(service.namespace).name, service.name, backend.weight)
            }
            BackendTarget::Invalid { status, rule, .. } => format!("{status}[{rule}]:{}", backend.weight),
        }
    }

    /// Backends with their weights, then mirrors; or the status.
    fn outcome(&self, host: &str, path: &str) -> Vec<String> {
        let answer = self.ask(host, path);
        let [decision] = answer.possible.as_slice() else { panic!("{answer:?}") };
        match &decision.then {
            Action::Forward { backends, mirrors, .. } => {
                let mirrors = mirrors.iter().map(|mirror| format!("mirror {}", self.name(mirror)));
                backends.iter().map(|backend| self.name(backend)).chain(mirrors).collect()
            }
            Action::Answer { status, .. } => vec![status.to_string()],
            other => vec![format!("{other:?}")],
        }
    }

    fn accepted(&self, name: &str) -> RouteCondition {
        let mut routes = self.cluster.gateway_api.routes.values();
        routes.find(|route| *route.name == *name).unwrap().parents.first().unwrap().accepted
    }
}

const TO_OWN: &str = "rules: [{backendRefs: [{name: own, port: 80}]}]";

#[test]
fn tv_114_a_listener_admits_its_own_namespace_unless_it_says_more() {
    // GW-1
    let route = route("HTTPRoute", "name: r, namespace: x", "name: gw, namespace: infra", TO_OWN);
    let closed = world(&(gateway("infra", "") + &route));
    assert_eq!(closed.outcome("a.b", "/"), ["404"]);
    assert_eq!(closed.accepted("r"), RouteCondition::no("NotAllowedByListeners"));
    let open = world(&(gateway("infra", ", allowedRoutes: {namespaces: {from: All}}") + &route));
    assert_eq!(open.outcome("a.b", "/"), ["x/own:1"]);
    assert_eq!(open.accepted("r"), RouteCondition::ACCEPTED);
}

#[test]
fn tv_115_a_wildcard_stands_for_any_number_of_labels() {
    // GW-3
    let route = route("HTTPRoute", "name: r, namespace: x", "name: gw", TO_OWN);
    let world = world(&(gateway("x", ", hostname: \"*.example.com\"") + &route));
    assert_eq!(world.outcome("a.b.example.com", "/"), ["x/own:1"]);
    assert_eq!(world.outcome("example.com", "/"), ["404"]);
}

#[test]
fn tv_116_an_exact_path_goes_before_an_older_prefix() {
    // GW-7
    let old = "name: old, namespace: x, creationTimestamp: \"2024-01-01T00:00:00Z\"";
    let new = "name: new, namespace: x, creationTimestamp: \"2025-01-01T00:00:00Z\"";
    let prefix = "rules: [{matches: [{path: {value: /a}}], backendRefs: [{name: own, port: 80}]}]";
    let exact = "rules: [{matches: [{path: {type: Exact, value: /a/b}}], backendRefs: [{name: websvc, port: 80}]}]";
    let (old, new) = (route("HTTPRoute", old, "name: gw", prefix), route("HTTPRoute", new, "name: gw", exact));
    let world = world(&(gateway("x", "") + &old + &new));
    assert_eq!(world.outcome("a.b", "/a/b"), ["x/websvc:1"]);
    assert_eq!(world.outcome("a.b", "/a/c"), ["x/own:1"]);
}

const TO_BOTH: &str = "rules: [{backendRefs: [{name: own, port: 80}, {name: theirs, namespace: \"y\", port: 80}]}]";

#[test]
fn tv_117_the_share_of_a_backend_without_grant_is_answered_with_500() {
    // GW-9, GW-11
    let route = route("HTTPRoute", "name: r, namespace: x", "name: gw", TO_BOTH);
    let without = world(&(gateway("x", "") + &route));
    assert_eq!(without.outcome("a.b", "/"), ["x/own:1", "500[GW-11]:1"]);
    let parent = &without.cluster.gateway_api.routes.values().next().unwrap().parents[0];
    assert_eq!((parent.accepted, parent.resolved), (RouteCondition::ACCEPTED, RouteCondition::no("RefNotPermitted")));
    let with = world(&(gateway("x", "") + &route + &grant("y")));
    assert_eq!(with.outcome("a.b", "/"), ["x/own:1", "y/theirs:1"]);
}

#[test]
fn tv_118_a_grant_in_the_namespace_of_the_route_has_no_effect() {
    // GW-11
    let route = route("HTTPRoute", "name: r, namespace: x", "name: gw", TO_BOTH);
    let world = world(&(gateway("x", "") + &route + &grant("x")));
    assert_eq!(world.outcome("a.b", "/"), ["x/own:1", "500[GW-11]:1"]);
    assert!(world.warnings.contains(&"GW-11"));
}

#[test]
fn tv_119_a_mirror_is_reached_too() {
    // GW-10
    let spec = "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: theirs, namespace: \"y\", port: 80}}}], backendRefs: [{name: own, port: 80}]}]";
    let route = route("HTTPRoute", "name: r, namespace: x", "name: gw", spec);
    let with = world(&(gateway("x", "") + &route + &grant("y")));
    assert_eq!(with.outcome("a.b", "/"), ["x/own:1", "mirror y/theirs:1"]);
    let without = world(&(gateway("x", "") + &route));
    assert_eq!(without.outcome("a.b", "/"), ["x/own:1"]);
}

#[test]
fn tv_120_a_prefix_goes_by_elements() {
    // GW-6
    let spec = "rules: [{matches: [{path: {type: PathPrefix, value: /abc/}}], backendRefs: [{name: own, port: 80}]}]";
    let world = world(&(gateway("x", "") + &route("HTTPRoute", "name: r, namespace: x", "name: gw", spec)));
    assert_eq!(world.outcome("a.b", "/abc"), ["x/own:1"]);
    assert_eq!(world.outcome("a.b", "/abc/d"), ["x/own:1"]);
    assert_eq!(world.outcome("a.b", "/abcd"), ["404"]);
}

#[test]
fn tv_121_of_http_and_grpc_routes_for_one_host_the_older_one_is_accepted() {
    // GW-8
    let old = "name: old, namespace: x, creationTimestamp: \"2024-01-01T00:00:00Z\"";
    let new = "name: new, namespace: x, creationTimestamp: \"2025-01-01T00:00:00Z\"";
    let hosts = format!("hostnames: [a.example.com]\n  {TO_OWN}");
    let http = route("HTTPRoute", old, "name: gw", &hosts);
    let grpc = |hosts: &str| {
        let spec = format!("hostnames: [\"{hosts}\"]\n  rules: [{{backendRefs: [{{name: websvc, port: 80}}]}}]");
        route("GRPCRoute", new, "name: gw", &spec)
    };
    let world_of = |hosts: &str| world(&(gateway("x", "") + &http + &grpc(hosts)));
    for hosts in ["a.example.com", "*.example.com"] {
        let world = world_of(hosts);
        assert!(world.accepted("old").status && !world.accepted("new").status, "{hosts}");
        assert_eq!(world.outcome("a.example.com", "/s/m"), ["x/own:1"]);
        assert_eq!(world.outcome("b.example.com", "/s/m"), ["404"]);
    }
    let apart = world_of("b.example.com");
    assert!(apart.accepted("new").status);
    assert_eq!(apart.outcome("b.example.com", "/s/m"), ["x/websvc:1"]);
}
