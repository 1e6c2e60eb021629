//! Services, their endpoints and host ports as they are lowered.

use std::net::IpAddr;

use crate::lower::testing::from_text;
use crate::lower::{LowerOptions, lower};
use crate::manifest::{ReadOptions, read};
use crate::model::{
    Cluster, Exposure, Family, IpMode, NodePort, Protocol, Service, ServiceKind, TargetPort, TrafficPolicy,
};
use crate::source::SourceMap;

fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: x}}\nspec: {{{spec}}}\n")
}

/// The one Service of a text, on which nothing is remarked.
#[track_caller]
fn accepted(spec: &str) -> Service {
    let (cluster, _, shown) = from_text(&service(spec));
    assert_eq!(shown, Vec::<String>::new());
    cluster.services.values().next().unwrap().clone()
}

/// What is wrong with a Service, which is left out.
#[track_caller]
fn refused(spec: &str) -> Vec<String> {
    let (cluster, _, shown) = from_text(&service(spec));
    assert!(cluster.services.is_empty() && cluster.incomplete, "{shown:?}");
    shown
}

#[test]
fn what_is_left_out_has_a_default() {
    // SVC-1, SVC-2, SVC-8, SVC-26
    let plain = accepted("selector: {app: web}, ports: [{port: 80}]");
    assert_eq!(plain.kind, ServiceKind::Cluster { addresses: Vec::new(), exposure: Exposure::None });
    let port = plain.ports.first().unwrap();
    assert_eq!((port.protocol, port.port, &port.target), (Protocol::Tcp, 80, &TargetPort::Number(80)));
    assert_eq!((&*port.name, port.node_port), ("", NodePort::None));
    assert_eq!((plain.families, plain.internal_policy), (vec![Family::V4], TrafficPolicy::Cluster));
    let zero = accepted("ports: [{port: 80, targetPort: 0, name: a}, {port: 80, protocol: UDP, name: b}]");
    assert!(zero.ports.iter().all(|port| port.target == TargetPort::Number(80)));
    assert_eq!(zero.selector, None);
}

#[test]
fn node_ports_are_allocated_unless_that_is_switched_off() {
    // SVC-8, SVC-19
    let of = |spec: &str| accepted(spec).ports.first().unwrap().node_port;
    assert_eq!(of("type: NodePort, ports: [{port: 80}]"), NodePort::Unallocated);
    assert_eq!(of("type: LoadBalancer, ports: [{port: 80}]"), NodePort::Unallocated);
    assert_eq!(of("type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]"), NodePort::None);
}

#[test]
fn families_are_those_that_are_written_or_those_of_the_addresses() {
    // SVC-26
    let of = |spec: &str| accepted(&format!("{spec}, ports: [{{port: 80}}]")).families;
    assert_eq!(of("clusterIP: \"fd96::1\""), [Family::V6]);
    assert_eq!(of("clusterIPs: [10.96.0.1, \"fd96::1\"], clusterIP: 10.96.0.1"), [Family::V4, Family::V6]);
    assert_eq!(of("ipFamilies: [IPv6, IPv4]"), [Family::V6, Family::V4]);
    assert_eq!(of("ipFamilyPolicy: RequireDualStack"), [Family::V4, Family::V6]);
    assert_eq!(of("ipFamilyPolicy: PreferDualStack"), [Family::V4]);
}

#[test]
fn a_load_balancer_is_read_whole() {
    // SVC-21, SVC-22, SVC-23, SVC-24
    let spec = "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 32000, loadBalancerClass: c, loadBalancerSourceRanges: [\" 10.0.0.5/8 \"], ports: [{port: 80}]";
    let status = "status: {loadBalancer: {ingress: [{ip: 192.0.2.1, ports: [{port: 80, protocol: TCP, error: Taken}]}, {ip: 192.0.2.2, ipMode: Proxy}, {hostname: lb.example}]}}\n";
    let (cluster, _, shown) = from_text(&(service(spec) + status));
    assert_eq!(shown, Vec::<String>::new());
    let service = cluster.services.values().next().unwrap();
    let balancer = service.load_balancer().unwrap();
    assert_eq!(balancer.source_ranges, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!((balancer.health_check_node_port, balancer.class.as_deref()), (Some(32000), Some("c")));
    let modes: Vec<_> = balancer.ingress.iter().map(|point| (point.mode, point.failed.len())).collect();
    assert_eq!(modes, [(IpMode::Vip, 1), (IpMode::Proxy, 0), (IpMode::Proxy, 0)]);
    // The annotation counts when the field is empty.
    let annotated = "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: x, annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: \"10.0.0.0/8, 192.0.2.0/24\"}}\nspec: {type: LoadBalancer, ports: [{port: 80}]}\n";
    let (cluster, ..) = from_text(annotated);
    let balancer = cluster.services.values().next().unwrap().load_balancer().unwrap();
    assert_eq!((balancer.source_ranges.len(), balancer.annotated_ranges.len()), (0, 2));
}

#[test]
fn each_violation_is_refused_for_its_reason() {
    // SVC-27, SVC-15, SVC-18
    let cases = [
        ("type: ClusterIP", "SVC-27: a Service without `ports` <apiVersion: v1>"),
        ("ports: [{port: 0}]", "SVC-27: `0` is not a port number <0>"),
        ("ports: [{port: 80, protocol: tcp}]", "SVC-27: `tcp` is not a protocol <tcp>"),
        ("ports: [{name: web}]", "SVC-27: a port without `port` <{name: web}>"),
        ("ports: [{port: 80, targetPort: \"8080\"}]", "SVC-27: `8080` is not a port name <\"8080\">"),
        ("ports: [{port: 80, name: a_b}]", "SVC-27: `a_b` is not a port name <a_b>"),
        ("ports: [{port: 80, name: a}, {port: 81}]", "SVC-27: a port without `name` beside others <{port: 81}>"),
        ("ports: [{port: 80, name: a}, {port: 81, name: a}]", "SVC-27: two ports are called `a` <a>"),
        (
            "ports: [{port: 80, name: a}, {port: 80, name: b}]",
            "SVC-27: port 80/TCP is there twice <{port: 80, name: b}>",
        ),
        (
            "type: NodePort, ports: [{port: 80, name: a, nodePort: 30001}, {port: 81, name: b, nodePort: 30001}]",
            "SVC-27: node port 30001/TCP is there twice <{port: 81, name: b, nodePort: 30001}>",
        ),
        ("ports: [{port: 80, nodePort: 30001}]", "SVC-27: `nodePort` on a Service that has no node ports <30001>"),
        ("type: NodePort, ports: [{port: 80, nodePort: 80}]", "SVC-18: node port 80 is outside 30000-32767 <80>"),
        ("type: Node, ports: [{port: 80}]", "SVC-27: `Node` is not a type of Service <Node>"),
        (
            "type: ExternalName, externalName: a.example, clusterIP: 10.96.0.1",
            "SVC-27: a Service of type ExternalName has no `clusterIP` <10.96.0.1>",
        ),
        ("type: ExternalName", "SVC-27: a Service of type ExternalName without a name <apiVersion: v1>"),
        ("type: ExternalName, externalName: A.example", "SVC-27: `A.example` is not a DNS name <A.example>"),
        ("clusterIP: ten, ports: [{port: 80}]", "SVC-27: `ten` is not an IP address <ten>"),
        (
            "clusterIP: 10.96.0.1, clusterIPs: [10.96.0.2], ports: [{port: 80}]",
            "SVC-27: `clusterIP` is 10.96.0.1 and the first of `clusterIPs` 10.96.0.2 <10.96.0.2>",
        ),
        (
            "clusterIPs: [10.96.0.1, 10.96.0.2], ports: [{port: 80}]",
            "SVC-27: `10.96.0.2` is a second IPv4 address <10.96.0.2>",
        ),
        (
            "clusterIP: 10.96.0.1, ipFamilies: [IPv6], ports: [{port: 80}]",
            "SVC-27: `10.96.0.1` stands in the place of the IPv6 address <apiVersion: v1>",
        ),
        ("ipFamilies: [v4], ports: [{port: 80}]", "SVC-27: `v4` is not a family <v4>"),
        ("ipFamilyPolicy: Both, ports: [{port: 80}]", "SVC-27: `Both` is not an `ipFamilyPolicy` <Both>"),
        (
            "externalIPs: [127.0.0.1], ports: [{port: 80}]",
            "SVC-27: the external IP `127.0.0.1` is a loopback address <127.0.0.1>",
        ),
        (
            "externalIPs: [\"fe80::1\"], ports: [{port: 80}]",
            "SVC-27: the external IP `fe80::1` is a link-local address <\"fe80::1\">",
        ),
        (
            "externalTrafficPolicy: Local, ports: [{port: 80}]",
            "SVC-27: `externalTrafficPolicy` on a Service that nothing outside reaches <Local>",
        ),
        ("internalTrafficPolicy: Near, ports: [{port: 80}]", "SVC-27: `Near` is not an `internalTrafficPolicy` <Near>"),
        (
            "loadBalancerClass: c, ports: [{port: 80}]",
            "SVC-27: `loadBalancerClass` on a Service that is no load balancer <c>",
        ),
        (
            "allocateLoadBalancerNodePorts: true, ports: [{port: 80}]",
            "SVC-27: `allocateLoadBalancerNodePorts` on a Service that is no load balancer <true>",
        ),
        (
            "type: LoadBalancer, loadBalancerSourceRanges: [all], ports: [{port: 80}]",
            "SVC-27: the source range `all` is not a CIDR <all>",
        ),
        (
            "type: LoadBalancer, healthCheckNodePort: 32000, ports: [{port: 80}]",
            "SVC-27: `healthCheckNodePort` needs a load balancer and `externalTrafficPolicy: Local` <32000>",
        ),
        ("trafficDistribution: Near, ports: [{port: 80}]", "SVC-27: `Near` is not a `trafficDistribution` <Near>"),
    ];
    for (spec, wanted) in cases {
        assert_eq!(refused(spec), [wanted], "{spec}");
    }
}

#[test]
fn all_problems_of_a_service_come_at_once() {
    // SVC-27
    let shown = refused("type: NodePort, clusterIP: None, ports: [{port: 99999}], externalIPs: [x]");
    assert_eq!(shown.len(), 3, "{shown:?}");
}

fn kept(text: &str) -> Cluster {
    let mut sources = SourceMap::default();
    sources.add("a.yaml", text);
    let (snapshot, _) = read(&sources, &ReadOptions::default());
    lower(&snapshot, &LowerOptions { keep_refused: true, ..LowerOptions::default() }).0
}

#[test]
fn what_a_cluster_holds_from_before_a_check_may_be_kept() {
    // SVC-27
    let cluster = kept(&service("externalTrafficPolicy: Local, clusterIP: 10.96.0.1, ports: [{port: 80}]"));
    assert_eq!(cluster.services.values().next().unwrap().external_policy, TrafficPolicy::Local);
}

fn slice(rest: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s-1, namespace: x, labels: {{kubernetes.io/service-name: s}}}}\n{rest}\n"
    )
}

#[test]
fn conditions_of_slices_have_defaults_and_the_first_address_counts() {
    // SVC-9, SVC-10, SVC-12
    let text = service("ports: [{port: 80}]")
        + "---\n"
        + &slice(
            "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1, 10.0.0.2]}, {addresses: [10.0.0.3], conditions: {ready: false, terminating: true}, nodeName: n9}]\nports: [{port: 8080}, {name: b}]",
        );
    let (cluster, _, shown) = from_text(&text);
    assert_eq!(shown, Vec::<String>::new());
    let slice = cluster.slices.first().unwrap();
    let shown: Vec<_> = slice
        .endpoints
        .iter()
        .map(|endpoint| {
            let at = endpoint.conditions;
            (endpoint.address.to_string(), at.ready, at.serving, at.terminating, endpoint.node.is_some())
        })
        .collect();
    let first = ("10.0.0.1".to_owned(), true, true, false, false);
    assert_eq!(shown, [first, ("10.0.0.3".to_owned(), false, true, true, true)]);
    assert_eq!(slice.ports.len(), 1);
    // Only the slice names the node, and it is no Node object.
    let node = cluster.nodes.values().next().unwrap();
    assert_eq!((&*node.name, node.is_written), ("n9", false));
}

#[test]
fn the_beta_of_slices_had_the_node_elsewhere() {
    // IN-18, SVC-10
    let beta = slice("addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], topology: {kubernetes.io/hostname: n9}}]\nports: [{port: 80}]")
        .replace("discovery.k8s.io/v1", "discovery.k8s.io/v1beta1");
    let (cluster, _, shown) = from_text(&(service("ports: [{port: 80}]") + "---\n" + &beta));
    assert_eq!(
        shown,
        ["IN-18: `discovery.k8s.io/v1beta1` is no longer served for EndpointSlice <discovery.k8s.io/v1beta1>"]
    );
    assert!(cluster.slices.first().unwrap().endpoints.first().unwrap().node.is_some());
}

#[test]
fn slices_that_lead_nowhere_are_remarked_or_refused() {
    // SVC-10, SVC-11, SVC-12
    let shown = |rest: &str| from_text(&(service("ports: [{port: 80}]") + "---\n" + &slice(rest))).2;
    let endpoint =
        |ip: &str| format!("addressType: IPv4\nendpoints: [{{addresses: [\"{ip}\"]}}]\nports: [{{port: 80}}]");
    assert_eq!(
        shown(&endpoint("169.254.1.1")),
        ["SVC-11: the endpoint `169.254.1.1` is a link-local address <\"169.254.1.1\">"]
    );
    assert_eq!(shown(&endpoint("fd00::1")), ["SVC-12: `fd00::1` is not an IPv4 address <\"fd00::1\">"]);
    assert_eq!(
        shown("addressType: FQDN\nendpoints: [{addresses: [a.example]}]"),
        ["SVC-12: nothing leads to the endpoints of an EndpointSlice with names instead of addresses <FQDN>"]
    );
    let alone = from_text(&slice("addressType: IPv4\nendpoints: []")).2;
    assert_eq!(alone.len(), 1);
    assert!(alone.first().unwrap().starts_with("SVC-10: the EndpointSlice `x/s-1` belongs to no Service"));
    let own = service("clusterIP: 10.96.0.1, ports: [{port: 80}]") + "---\n" + &slice(&endpoint("10.96.0.1"));
    let shown = from_text(&own).2;
    assert!(
        shown.first().unwrap().starts_with("SVC-11: the endpoint `10.96.0.1` is the cluster IP of `x/s`"),
        "{shown:?}"
    );
}

#[test]
fn host_ports_are_those_of_containers() {
    // HP-2, HP-6
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: z}\nspec:\n  initContainers: [{name: i, restartPolicy: Always, ports: [{containerPort: 1, hostPort: 1}]}]\n  containers: [{name: c, ports: [{containerPort: 2, hostPort: 0}, {containerPort: 3, hostPort: 33}, {containerPort: 4, hostPort: 44, hostIP: \"::\", protocol: UDP}]}]\n";
    let (cluster, _, shown) = from_text(pod);
    assert_eq!(shown, Vec::<String>::new());
    let pod = cluster.pods.values().find(|pod| &*pod.name == "p").unwrap();
    let ports: Vec<_> = pod.host_ports.iter().map(|port| (port.protocol, port.port, port.container_port)).collect();
    assert_eq!(ports, [(Protocol::Tcp, 33, 3), (Protocol::Udp, 44, 4)]);
    let [first, second] = &*pod.host_ports else { panic!("{ports:?}") };
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(first.is_at(ip("10.0.0.1")) && first.is_at(ip("fd00::1")));
    assert!(!second.is_at(ip("10.0.0.1")) && second.is_at(ip("fd00::1")));
    let bad = pod_with("hostPort: 70000");
    assert_eq!(bad, ["HP-6: `70000` is not a port number <70000>"]);
    assert_eq!(pod_with("hostPort: 80, hostIP: here"), ["HP-2: `here` is not an IP address <here>"]);
}

fn pod_with(port: &str) -> Vec<String> {
    from_text(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: z}}\nspec: {{containers: [{{name: c, ports: [{{containerPort: 80, {port}}}]}}]}}\n"
    ))
    .2
}

#[test]
fn a_daemon_set_is_in_the_way_of_everybody() {
    // HP-5
    let set = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: z}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, ports: [{containerPort: 80, hostPort: 80}]}]}}}\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: z}\nspec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8080, hostPort: 80}]}]}\n";
    let shown = from_text(&format!("{set}---\n{pod}")).2;
    assert_eq!(shown, ["HP-5: `z/d` and `z/p` want host port 80/TCP of one node <apiVersion: v1>"]);
    assert_eq!(from_text(&format!("{}---\n{pod}", set.replace("DaemonSet", "Deployment"))).2, Vec::<String>::new());
}

#[test]
fn pods_and_nodes_say_what_services_need() {
    // SVC-9, KP-2
    let text = "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}\nspec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, \"fd01::/64\"]}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: z, deletionTimestamp: \"2024-01-01T00:00:00Z\"}\nspec: {hostname: h, subdomain: s, nodeName: n1, containers: [{name: c}]}\nstatus: {conditions: [{type: Ready, status: Unknown}]}\n";
    let (cluster, _, shown) = from_text(text);
    assert_eq!(shown, Vec::<String>::new());
    let node = cluster.nodes.values().next().unwrap();
    assert_eq!((node.zone.as_deref(), node.pod_cidrs.len(), node.is_written), (Some("a"), 2, true));
    let pod = cluster.pods.values().find(|pod| &*pod.name == "p").unwrap();
    assert_eq!((pod.ready, pod.terminating), (Some(false), true));
    assert_eq!((pod.hostname.as_deref(), pod.subdomain.as_deref()), (Some("h"), Some("s")));
    let bystander = cluster.pods.values().find(|pod| &*pod.name == "web").unwrap();
    assert_eq!((bystander.ready, bystander.terminating), (None, false));
}
