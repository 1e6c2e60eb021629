//! Names of the cluster's DNS: DNS-1 … DNS-7.

use policy_core::model::Condition;
use policy_core::ways::dns::{Resolution, Resolved, asking, condition, is_inside, resolve};
use tests::pipeline::{Backend, with_judge};

use super::{Case, case, policy};

/// What a name stands for, in short.
fn named(case: &Case, client: Option<(&str, &str)>, name: &str) -> String {
    let client = client.map(|(namespace, name)| case.pod(namespace, name));
    shown(case, &resolve(&case.cluster, &case.profile, &case.endpoints(), client, name))
}

fn shown(case: &Case, resolved: &Resolved) -> String {
    let port = resolved.port.map(|port| format!(":{port}")).unwrap_or_default();
    match &resolved.resolution {
        Resolution::ClusterIp(id) => format!("Service {}{port}", case.cluster.services.at(*id).name),
        Resolution::ApiServer => "the API server".to_owned(),
        Resolution::Addresses(found) => {
            let one = |named: &policy_core::ways::dns::Named| {
                let port = named.port.map(|port| format!(":{port}")).unwrap_or_default();
                let pod = named.pod.map(|pod| format!(" {}", case.cluster.pods.at(pod).name)).unwrap_or_default();
                format!("{}{port}{pod}", named.address.unwrap())
            };
            found.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        Resolution::External(name) => format!("outside {name}"),
        Resolution::NxDomain { rule, why } => format!("{rule}: {why}"),
    }
}

const WEB: Option<(&str, &str)> = Some(("x", "web-0"));
const CLI: Option<(&str, &str)> = Some(("z", "cli"));

#[test]
fn names_are_searched_from_the_clients_namespace() {
    // DNS-1
    let case = case("");
    for name in ["web", "WEB", "web.x", "web.x.svc", "web.x.svc.cluster.local", "Web.X.svc.Cluster.Local."] {
        assert_eq!(named(&case, WEB, name), "Service web", "{name}");
    }
    assert_eq!(named(&case, CLI, "web"), "DNS-1: there is no Service `web` in `z`");
    assert_eq!(named(&case, CLI, "web.x"), "Service web");
    assert_eq!(named(&case, CLI, "web.x.svc"), "Service web");
    assert_eq!(named(&case, None, "web.x"), "Service web");
    assert!(named(&case, None, "web").starts_with("DNS-1"));
    // A dot at the end ends the search.
    assert_eq!(named(&case, WEB, "web.x."), "outside web.x");
    assert!(named(&case, WEB, "web.x.svc.").starts_with("DNS-1"));
    // What nothing inside is called is asked for outside.
    assert_eq!(named(&case, WEB, "example.org"), "outside example.org");
    assert_eq!(named(&case, WEB, "Example.ORG."), "outside example.org");
    assert_eq!(named(&case, WEB, "no.such.svc.cluster.local"), "DNS-1: there is no Service `no` in `such`");
    assert_eq!(named(&case, WEB, "cluster.local"), "DNS-1: `cluster.local` is not the name of a Service or a pod");
    assert_eq!(named(&case, WEB, "kubernetes.default"), "the API server");
    for bad in ["", ".", "a..b", "a b", "*.x", "web.x:80", "10.244.1.10", "ü"] {
        assert!(named(&case, WEB, bad).starts_with("DNS-1"), "{bad}");
    }
}

#[test]
fn the_domain_is_a_knob() {
    // DNS-1
    let case = case("").set("cluster_domain", "k8s.example.org");
    assert_eq!(named(&case, WEB, "web.x.svc.k8s.example.org"), "Service web");
    assert_eq!(named(&case, WEB, "web.x"), "Service web");
    assert_eq!(named(&case, WEB, "web.x.svc.cluster.local"), "outside web.x.svc.cluster.local");
    assert!(is_inside(&case.profile, "a.K8s.example.org.") && is_inside(&case.profile, "k8s.example.org"));
    assert!(!is_inside(&case.profile, "xk8s.example.org") && !is_inside(&case.profile, "a.cluster.local"));
}

#[test]
fn pods_that_do_not_ask_the_clusters_dns_know_no_names() {
    // DNS-1
    let pod = |name: &str, spec: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: x}}, spec: {{containers: [], {spec}}}}}\n"
        )
    };
    let pods = pod("host", "hostNetwork: true")
        + &pod("both", "hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet")
        + &pod("node", "dnsPolicy: Default")
        + &pod("own", "dnsPolicy: None")
        + &pod("first", "dnsPolicy: ClusterFirst");
    let case = case(&pods);
    for name in ["host", "node", "own"] {
        let asked = |of: &str| named(&case, Some(("x", name)), of);
        assert_eq!(asked("web"), "DNS-1: the pod does not ask the cluster's DNS");
        assert_eq!(asked("web.x.svc.cluster.local"), "DNS-1: the pod does not ask the cluster's DNS");
        assert_eq!(asked("example.org"), "outside example.org");
    }
    for name in ["both", "first"] {
        assert_eq!(named(&case, Some(("x", name)), "web"), "Service web", "{name}");
    }
}

#[test]
fn headless_names_are_their_ready_endpoints() {
    // DNS-2
    let case = case(
        "
{apiVersion: v1, kind: Service, metadata: {name: hand, namespace: x}, spec: {clusterIP: None, ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: hand-1, namespace: x, labels: {kubernetes.io/service-name: hand}}
addressType: IPv4
ports: [{name: '', port: 80}]
endpoints: [{addresses: [203.0.113.80], hostname: far}, {addresses: [203.0.113.81], conditions: {ready: false}}]
",
    );
    assert_eq!(named(&case, WEB, "heads"), "10.244.1.10 web-0");
    assert_eq!(named(&case, CLI, "web-0.heads.x"), "10.244.1.10 web-0");
    assert_eq!(named(&case, CLI, "web-0.heads.x.svc.cluster.local"), "10.244.1.10 web-0");
    assert_eq!(named(&case, WEB, "idle"), "DNS-2: the headless Service `idle` has no ready endpoint");
    assert_eq!(named(&case, WEB, "hand"), "203.0.113.80");
    assert_eq!(named(&case, WEB, "far.hand"), "203.0.113.80");
    assert_eq!(
        named(&case, WEB, "near.hand.x.svc.cluster.local"),
        "DNS-2: no ready endpoint of `hand` is called `near`"
    );
}

#[test]
fn srv_names_ask_for_a_port() {
    // DNS-3
    let case = case("");
    assert_eq!(named(&case, WEB, "_http._tcp.web"), "Service web:80");
    assert_eq!(named(&case, CLI, "_other._tcp.web.x"), "Service web:81");
    assert_eq!(named(&case, WEB, "_http._tcp.heads.x.svc.cluster.local"), "10.244.1.10:8080 web-0");
    for name in ["_http._udp.web", "_no._tcp.web", "http.tcp.web"] {
        let full = format!("{name}.x.svc.cluster.local");
        assert!(named(&case, WEB, &full).starts_with("DNS-3"), "{name}");
    }
}

#[test]
fn external_names_are_followed() {
    // DNS-4, SVC-16
    let name = |name: &str, to: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: z}}, spec: {{type: ExternalName, externalName: {to}}}}}\n"
        )
    };
    let objects = name("out", "example.org.")
        + &name("in", "web.x.svc.cluster.local")
        + &name("twice", "in.z.svc.cluster.local")
        + &name("digits", "10.244.1.10")
        + &name("short", "web.x")
        + &name("a", "b.z.svc.cluster.local")
        + &name("b", "a.z.svc.cluster.local");
    let case = case(&objects);
    assert_eq!(named(&case, CLI, "out"), "outside example.org");
    assert_eq!(named(&case, CLI, "in"), "Service web");
    assert_eq!(named(&case, CLI, "twice"), "Service web");
    assert_eq!(named(&case, CLI, "short"), "outside web.x");
    assert!(named(&case, CLI, "a").starts_with("SVC-16: "));
    assert!(named(&case, CLI, "digits").starts_with("SVC-16: "));
    let twice = resolve(&case.cluster, &case.profile, &case.endpoints(), None, "twice.z");
    let through: Vec<_> = twice.through.iter().map(|id| &*case.cluster.services.at(*id).name).collect();
    assert_eq!((through, &*twice.name), (vec!["twice", "in"], "web.x.svc.cluster.local"));
}

#[test]
fn names_of_pods_have_dashes() {
    // DNS-5
    let pods = "{apiVersion: v1, kind: Pod, metadata: {name: six, namespace: x}, spec: {containers: []}, status: {phase: Running, podIP: 'fd00::1'}}";
    let with = |names: &str, name: &str| named(&case(pods).set("dns_pod_names", names), CLI, name);
    const WEB: &str = "10-244-1-10.x.pod.cluster.local";
    assert_eq!(with("insecure", WEB), "10.244.1.10 web-0");
    assert_eq!(with("verified", WEB), "10.244.1.10 web-0");
    assert_eq!(with("disabled", WEB), "DNS-5: DNS has no names of pods");
    assert_eq!(with("insecure", "fd00--1.x.pod"), "fd00::1 six");
    // The address of a pod elsewhere, or of nobody.
    assert_eq!(with("insecure", "10-244-1-10.z.pod.cluster.local"), "10.244.1.10 web-0");
    assert_eq!(with("insecure", "203-0-113-7.z.pod.cluster.local"), "203.0.113.7");
    for name in ["10-244-1-10.z.pod.cluster.local", "203-0-113-7.z.pod.cluster.local"] {
        assert!(with("verified", name).starts_with("DNS-5: no pod of `z`"), "{name}");
    }
    assert_eq!(with("insecure", "10-244-1-10.q.pod.cluster.local"), "DNS-5: there is no namespace `q`");
    assert!(with("insecure", "10-244-1.x.pod.cluster.local").starts_with("DNS-5: `10-244-1` is not"));
    // Below a Service, where the endpoint has no hostname.
    let hand = "
{apiVersion: v1, kind: Service, metadata: {name: hand, namespace: x}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: hand, namespace: x}, subsets: [{addresses: [{ip: 203.0.113.80}], ports: [{port: 80}]}]}
";
    assert_eq!(named(&case(hand), CLI, "203-0-113-80.hand.x"), "203.0.113.80");
}

const DNS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {nodeName: n1, containers: [{name: a, ports: [{name: dns, containerPort: 53, protocol: UDP}, {name: dns-tcp, containerPort: 53}]}]}
status: {phase: Running, podIP: 10.244.1.53, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.53, selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
";

#[test]
fn names_hinge_on_dns_where_the_profile_wants_it() {
    // DNS-7
    let to_dns = |ports: &str| {
        let to = "[{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]";
        policy("z", &format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: {to}, ports: {ports}}}]}}"))
    };
    let denied = policy("z", "{podSelector: {}, policyTypes: [Egress]}");
    let asked = |required: &str, objects: &str, client: (&str, &str)| {
        let case = case(objects).set("dns_required", required);
        let client = case.pod(client.0, client.1);
        let [spec, compiled] = Backend::ALL.map(|backend| {
            with_judge(backend, &case.cluster, &case.profile, |judge| {
                (
                    condition(&case.cluster, &case.profile, &case.endpoints(), judge, client),
                    asking(&case.cluster, &case.endpoints(), judge, client),
                )
            })
        });
        assert_eq!(spec, compiled);
        (spec.0, spec.1.len())
    };
    let with = |policy: &str| asked("true", &format!("{DNS}{policy}"), ("z", "cli"));
    let hinges = Some(Condition::Dns);
    assert_eq!(with(""), (None, 2));
    assert_eq!(with(&to_dns("[{port: 53, protocol: UDP}, {port: 53}]")), (None, 2));
    assert_eq!(with(&to_dns("[{port: 53, protocol: UDP}]")), (hinges, 2));
    assert_eq!(with(&denied), (hinges, 2));
    assert_eq!(asked("false", &format!("{DNS}{denied}"), ("z", "cli")).0, None);
    // An input without DNS.
    assert_eq!(asked("true", "", ("z", "cli")), (None, 0));
    assert_eq!(asked("true", &denied, ("z", "cli")), (hinges, 0));
    // A client that asks its node's resolver.
    let host = "---\n{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: z}, spec: {containers: [], dnsPolicy: Default}}\n";
    assert_eq!(asked("true", &format!("{DNS}{denied}{host}"), ("z", "host")), (None, 0));
}
