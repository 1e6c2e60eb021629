//! The API server and names of pods: TV-91, TV-137 … TV-143.

use policy_core::model::api_server::{ApiSource, ApiWay, Transport};
use policy_core::model::{Access, Flag, Knob, KnobSet, Party, User};
use policy_core::ways::dns::Resolution;
use tests::pipeline::find_pod;

use super::fx::{Allowed, C, Denied, Fx, NoListener, Undefined, fx};

const WEBSVC: &str = "/api/v1/namespaces/x/services/websvc/proxy/";

/// A Role of namespace x with this rule, given to the user jane.
fn role(rule: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: asked, namespace: x}}
rules: [{{apiGroups: [''], {rule}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: asked, namespace: x}}
roleRef: {{kind: Role, name: asked}}
subjects: [{{kind: User, name: jane}}]
"
    )
}

fn request(fx: &Fx, method: &str, url: &str) -> ApiWay {
    fx.api(|_, api| api.request(&User::named("jane"), method, url).unwrap())
}

fn knobs(knobs: KnobSet) -> Vec<&'static str> {
    knobs.iter().map(|knob| knob.name()).collect()
}

#[test]
fn tv_91_names_of_pods_have_dashes() {
    // DNS-5
    let name = |name: &str| fx().resolve("y/cli", name);
    assert!(matches!(name("10.244.1.10.x.pod.cluster.local"), Resolution::NxDomain { .. }));
    assert!(matches!(name("10.244.1.10.x.pod.cluster.local."), Resolution::NxDomain { .. }));
    let Resolution::Addresses(found) = name("10-244-1-10.x.pod.cluster.local") else { panic!("it resolves") };
    let found: Vec<_> = found.iter().map(|named| named.address.unwrap().to_string()).collect();
    assert_eq!(found, ["10.244.1.10"]);
}

#[test]
fn tv_137_rights_are_for_the_name_as_the_url_has_it() {
    // API-1, API-2
    let fx = fx().objects(&role("resources: [services/proxy], resourceNames: [websvc], verbs: [get]"));
    let way = request(&fx, "GET", WEBSVC);
    assert_eq!(way.verdict, Allowed, "{way:#?}");
    assert!(matches!(way.access.as_slice(), [(_, Access::Granted(_))]));
    for (method, url) in [("GET", "/api/v1/namespaces/x/services/http:websvc:80/proxy/"), ("POST", WEBSVC)] {
        let way = request(&fx, method, url);
        assert_eq!((way.verdict, way.rule), (Denied, "API-2"), "{method} {url}");
    }
    assert_eq!(request(&fx, "HEAD", WEBSVC).verdict, Allowed);
}

#[test]
fn tv_138_policies_see_the_api_server() {
    // API-4, NP-19
    let rights = role("resources: [services/proxy], verbs: [get]");
    let denied = || fx().objects(&rights).policy("x", "{podSelector: {}}");
    let at = |fx: Fx| request(&fx.set("apiserver_addresses", "10.0.0.5"), "GET", WEBSVC);
    assert_eq!(at(denied()).verdict, Denied);
    let block = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.5/32}}]}]}";
    assert_eq!(at(denied().policy("x", block)).verdict, Allowed);
    let unknown = request(&denied(), "GET", WEBSVC);
    assert_eq!((unknown.verdict, unknown.rule), (Undefined, "API-4"));
    assert_eq!(knobs(unknown.knobs), ["apiserver_addresses"]);
    let somebody = Party::Somebody(Knob::ApiServerAddresses);
    assert_eq!(unknown.legs.first().unwrap().source, ApiSource::Party(somebody));
    // On a node of the cluster it is a node like others: that of x/web, and another one.
    let on = |address: &str| request(&denied().set("apiserver_addresses", address), "GET", WEBSVC).verdict;
    assert_eq!((on("10.0.0.11"), on("10.0.0.12")), (Allowed, Denied));
}

#[test]
fn tv_139_port_forwarding_goes_past_every_policy() {
    // API-6
    let fx = fx()
        .objects(&role("resources: [pods/portforward], verbs: [create]"))
        .policy("x", "{podSelector: {}, policyTypes: [Ingress, Egress]}");
    for (port, undeclared) in [(8080, false), (6060, true)] {
        let way = fx.api(|cluster, api| {
            let web = find_pod(cluster, "x", "web").unwrap();
            api.port_forward(&User::named("jane"), web, port, Transport::Spdy)
        });
        assert_eq!((way.verdict, way.rule), (Allowed, "API-6"));
        let leg = way.legs.first().unwrap();
        assert_eq!(leg.source, ApiSource::Inside);
        assert_eq!(leg.flags.contains(&Flag::UndeclaredPort), undeclared);
    }
    let other = fx.api(|cluster, api| {
        let web = find_pod(cluster, "x", "web").unwrap();
        api.port_forward(&User::named("joe"), web, 8080, Transport::Spdy)
    });
    assert_eq!((other.verdict, other.rule), (Denied, "API-2"));
}

#[test]
fn tv_140_a_websocket_must_be_allowed_to_create_from_1_35_on() {
    // API-7
    let fx = || fx().objects(&role("resources: [pods/portforward], verbs: [get]"));
    let forward = |minor: &str, transport: Transport| {
        fx().set("kubernetes_minor", minor).api(|cluster, api| {
            let web = find_pod(cluster, "x", "web").unwrap();
            api.port_forward(&User::named("jane"), web, 8080, transport).verdict
        })
    };
    assert_eq!(forward("1.34", Transport::WebSocket), Allowed);
    assert_eq!(forward("1.35", Transport::WebSocket), Denied);
    assert_eq!(forward("1.34", Transport::Spdy), Denied);
}

#[test]
fn tv_141_the_api_server_proxies_to_pods_only() {
    // API-3
    let ext = "apiVersion: v1
kind: Service
metadata: {name: ext, namespace: x}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: ext, namespace: x}
subsets: [{addresses: [{ip: 203.0.113.80}], ports: [{port: 80}]}]
";
    let fx = fx().objects(ext).objects(&role("resources: ['*'], verbs: ['*']"));
    let way = request(&fx, "GET", "/api/v1/namespaces/x/services/ext/proxy/");
    assert_eq!((way.verdict, way.rule), (NoListener, "API-3"));
    assert_eq!(way.why.as_deref(), Some("no endpoint of `ext` is a pod of its namespace"));
}

#[test]
fn tv_142_an_open_kubectl_proxy_lends_its_identity_to_the_internet() {
    // API-9
    let tensorboard = "apiVersion: v1
kind: Pod
metadata: {name: tensorboard, namespace: kubeflow, labels: {app: tensorboard}}
spec: {nodeName: n1, containers: [{name: a, ports: [{name: http, containerPort: 6006}]}]}
status: {phase: Running, podIP: 10.244.1.50, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Service
metadata: {name: tensorboard, namespace: kubeflow}
spec: {clusterIP: 10.96.0.50, selector: {app: tensorboard}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: admin}]
";
    let fx = fx().objects(tensorboard).set("kubectl_proxies", "39.99.85.99:9000=admin/any-host");
    let client = Party::Address(C.parse().unwrap());
    let urls = [
        "/api/v1/namespaces/kubeflow/services/tensorboard:http/proxy/",
        "http://39.99.85.99:9000/api/v1/namespaces/kubeflow/services/http:tensorboard:80/proxy/#scalars",
    ];
    for url in urls {
        let way = fx.api(|_, api| api.through(api.kubectl_proxies().first().unwrap(), client, "GET", url).unwrap());
        assert_eq!(way.verdict, Allowed, "{way:#?}");
        assert_eq!(&*way.user.name, "admin");
        assert_eq!(way.legs.first().unwrap().port, 6006);
    }
    // The URL of S1 is of the form that is gone.
    let old = "http://39.99.85.99:9000/api/v1/proxy/namespaces/kubeflow/services/tensorboard:http/";
    let old = |fx: &Fx| {
        fx.api(|_, api| api.through(api.kubectl_proxies().first().unwrap(), client, "GET", old).unwrap().verdict)
    };
    assert_eq!(old(&fx), NoListener);
    assert_eq!(old(&fx.set("kubernetes_minor", "1.9")), Allowed);
}

#[test]
fn tv_143_rules_for_the_services_address_do_not_open_the_api_server() {
    // API-10, NP-23
    let kubernetes = |address: &str| {
        format!(
            "apiVersion: v1
kind: Service
metadata: {{name: kubernetes, namespace: default}}
spec: {{clusterIP: 10.96.0.1, ports: [{{name: https, port: 443, targetPort: 6443}}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {{name: kubernetes, namespace: default}}
subsets: [{{addresses: [{{ip: {address}}}], ports: [{{name: https, port: 6443}}]}}]
"
        )
    };
    let block = |cidr: &str, port: u16| {
        format!(
            "{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: {cidr}}}}}], ports: [{{port: {port}}}]}}]}}"
        )
    };
    let ask = |fx: &Fx| {
        fx.api(|cluster, api| {
            let access = api.reached_by(find_pod(cluster, "y", "cli").unwrap());
            assert_eq!(access.dialled, Some("10.96.0.1:443".parse().unwrap()));
            access.verdict
        })
    };
    // On a node: policies see what comes of translation.
    let on_node = |cidr, port| ask(&fx().objects(&kubernetes("10.0.0.11")).policy("y", &block(cidr, port)));
    assert_eq!(on_node("10.96.0.1/32", 443), Denied);
    assert_eq!(on_node("10.0.0.11/32", 6443), Allowed);
    assert_eq!(on_node("10.0.0.11/32", 443), Denied);
    // Outside the cluster it is nobody's promise, unless the profile says what policies see.
    let outside = |cidr, port| fx().objects(&kubernetes("198.51.100.99")).policy("y", &block(cidr, port));
    let post = |fx: Fx| ask(&fx.set("egress_service_view", "post_dnat"));
    assert_eq!(post(outside("10.96.0.1/32", 443)), Denied);
    assert_eq!(post(outside("198.51.100.99/32", 6443)), Allowed);
    assert_eq!(ask(&outside("198.51.100.99/32", 6443)), Undefined);
    // The name leads there.
    let fx = fx().objects(&kubernetes("10.0.0.11"));
    assert!(matches!(fx.resolve("y/cli", "kubernetes.default"), Resolution::ClusterIp(_)));
}
