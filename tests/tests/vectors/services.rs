//! Services, node ports, load balancers and host ports: SVC-1 … SVC-27, KP-1 … KP-10, HP-1 … HP-7, HN-1 … HN-4.
//!
//! Asked of one node: which endpoints get a packet there, with which source, and what policies say of that leg. Whether a
//! packet from outside comes to the node at all, and what a name stands for, is asked elsewhere.

use policy_core::model::{Delivery, KnobSet, NodePort, ServiceKind};

use super::fx::{Allowed, At, C, Denied, Fx, NoListener, Undefined, fx};

const CLUSTER_IP: &str = "10.96.0.10:80";
const WEB: &str = "clusterIP: 10.96.0.10";
const READY: &str = "phase: Running\n  podIP: 10.244.1.10\n";
const UNCHANGED: &Delivery = &Delivery::Unchanged;
const REJECT: &Delivery = &Delivery::Reject;
const DROP: &Delivery = &Delivery::Drop;

/// websvc with more in its `spec`, and with this `status`.
fn websvc(spec: &str, ports: &str, status: &str) -> Fx {
    let selector = "  selector: {app: web}\n  ports:\n    - {port: 80, targetPort: http}";
    let ports = format!("  selector: {{app: web}}\n  ports: [{{port: 80, targetPort: http{ports}}}]\n{status}");
    fx().edit(selector, &ports).edit(WEB, &format!("{WEB}\n{spec}"))
}

/// websvc as a load balancer at 192.0.2.50 with node port 30080, with more in its `spec`.
fn balanced(spec: &str) -> Fx {
    let status = "status: {loadBalancer: {ingress: [{ip: 192.0.2.50}]}}";
    websvc(&format!("  type: LoadBalancer\n{spec}"), ", nodePort: 30080", status)
}

fn node_port(spec: &str) -> Fx {
    websvc(&format!("  type: NodePort\n{spec}"), ", nodePort: 30080", "")
}

/// Another pod of namespace x behind websvc, on n2.
fn second(port: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web2, namespace: x, labels: {{app: web}}}}\nspec: {{nodeName: n2, containers: [{{name: main, image: i, ports: [{port}]}}]}}\nstatus: {{phase: Running, podIP: 10.244.2.11, podIPs: [{{ip: 10.244.2.11}}]{more}}}\n"
    )
}

const HTTP: &str = "{name: http, containerPort: 8080}";

/// The findings of a rule: whether they are errors, and what they say.
fn found(fx: &Fx, rule: &str) -> Vec<(bool, String)> {
    let found = fx.load().diagnostics.into_iter().filter(|found| found.rule == rule);
    found.map(|found| (found.is_error(), found.message)).collect()
}

#[track_caller]
fn refused(fx: &Fx, rule: &str, says: &str) {
    let found = found(fx, rule);
    assert!(found.iter().any(|(is_error, message)| *is_error && message.contains(says)), "{found:?}");
}

#[test]
fn tv_61_a_selector_keeps_to_its_namespace() {
    // SVC-5, KP-3
    fx().at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080"]).and_is(Allowed);
    // HN-4: a pod on the network of its node comes from the node.
    fx().at("n1", "x/host", CLUSTER_IP).goes_to(["x/web:8080 masqueraded"]).and_is(Allowed);
}

#[test]
fn tv_62_a_cluster_ip_is_its_ports_and_nothing_else() {
    // SVC-1, SVC-4, SVC-7
    fx().at("n2", "y/cli", "10.96.0.10:8080").ends_with(UNCHANGED, "KP-5");
    fx().at("n2", "y/cli", "10.96.0.10:80/udp").ends_with(UNCHANGED, "KP-5");
    let nftables = || fx().set("kube_proxy_mode", "nftables").set("service_cidrs", "10.96.0.0/12");
    nftables().at("n2", "y/cli", "10.96.0.10:8080").ends_with(REJECT, "SVC-7");
    nftables().at("n2", "y/cli", "10.96.0.11:80").ends_with(DROP, "SVC-7");
}

#[test]
fn tv_63_a_pod_without_the_named_port_is_left_out() {
    // SVC-3
    let with = |port: &str| fx().object(&second(port, ""));
    with("{containerPort: 8080}").at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080"]);
    with("{name: http, containerPort: 9999}").at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080", "x/web2:9999"]);
}

#[test]
fn tv_64_a_named_port_has_a_protocol() {
    // SVC-3
    let fx = fx().edit("- {name: http, containerPort: 8080}", "- {name: http, containerPort: 8080, protocol: UDP}");
    assert_eq!(found(&fx, "SVC-3"), [(false, "no pod of this Service declares the TCP port `http`".to_owned())]);
    fx.at("n2", "y/cli", CLUSTER_IP).ends_with(REJECT, "KP-4");
}

#[test]
fn tv_65_no_selector_selects_no_pod() {
    // SVC-6
    for selector in ["", "  selector: {}\n"] {
        let fx = fx().edit("  selector: {app: web}\n", selector);
        fx.at("n2", "y/cli", CLUSTER_IP).ends_with(REJECT, "KP-4");
    }
}

const EXT: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: ext, namespace: z}\nspec: {clusterIP: 10.96.0.20, ports: [{port: 80}]}\n";

fn endpoints(metadata: &str, port: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Endpoints\nmetadata: {{name: ext, namespace: z{metadata}}}\nsubsets: [{{addresses: [{{ip: 10.244.1.10}}], ports: [{port}]}}]\n"
    )
}

fn slice(metadata: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: ext-1, namespace: z, labels: {{kubernetes.io/service-name: ext{metadata}}}}}\naddressType: IPv4\nendpoints: [{{addresses: [10.244.2.21]}}]\nports: [{{name: \"\", port: 9090}}]\n"
    )
}

#[test]
fn tv_66_endpoints_by_hand_may_be_anywhere() {
    // SVC-10, SVC-11
    let asked = |fx: Fx| fx.at("n2", "y/cli", "10.96.0.20:80");
    let fx = || fx().object(EXT);
    asked(fx().object(&endpoints("", "{port: 8080}"))).goes_to(["x/web:8080"]).and_is(Allowed);
    let both = fx().object(&endpoints("", "{port: 8080}")).object(&slice(""));
    asked(both).goes_to(["x/web:8080", "y/web:9090"]);
    let skip = endpoints(", labels: {endpointslice.kubernetes.io/skip-mirror: \"true\"}", "{port: 8080}");
    asked(fx().object(&skip).object(&slice(""))).goes_to(["y/web:9090"]);
    let leader = endpoints(", annotations: {control-plane.alpha.kubernetes.io/leader: x}", "{port: 8080}");
    asked(fx().object(&leader)).ends_with(REJECT, "KP-4");
    let mirrored = ", endpointslice.kubernetes.io/managed-by: endpointslicemirroring-controller.k8s.io";
    asked(fx().object(&endpoints("", "{port: 8080}")).object(&slice(mirrored))).goes_to(["y/web:9090"]);
}

#[test]
fn tv_67_endpoints_belong_to_the_port_of_their_name() {
    // SVC-10
    let fx = fx().object(EXT).object(&endpoints("", "{name: web, port: 8080}"));
    assert_eq!(found(&fx, "SVC-10"), [(false, "the Service `ext` has no TCP port `web`".to_owned())]);
    fx.at("n2", "y/cli", "10.96.0.20:80").ends_with(REJECT, "KP-4");
}

#[test]
fn tv_68_every_node_has_the_node_port() {
    // SVC-20, KP-3
    let fx = || node_port("");
    fx().at("n2", C, "198.51.100.12:30080").goes_to(["x/web:8080 masqueraded"]).and_is(Allowed);
    fx().at("n2", C, "198.51.100.12:80").ends_with(UNCHANGED, "KP-5");
    // KP-10: what the client dialled is no matter; SVC-1: the cluster IP stays.
    let egress = "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 8080}]}]}";
    fx().policy("y", egress).at("n2", "y/cli", "10.0.0.12:30080").and_is(Allowed);
    fx().at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080"]);
    // KP-8: the node port of another node is not taken here, and masqueraded there.
    fx().at("n2", "y/cli", "10.0.0.11:30080").ends_with(UNCHANGED, "KP-5");
    fx().at("n1", "y/cli", "10.0.0.11:30080").goes_to(["x/web:8080 masqueraded"]);
}

#[test]
fn tv_69_source_ranges_do_not_guard_the_node_port() {
    // SVC-22
    let fx = || balanced("  loadBalancerSourceRanges: [10.0.0.0/8]");
    fx().at("n1", C, "192.0.2.50:80").ends_with(DROP, "SVC-22");
    fx().at("n1", C, "198.51.100.11:30080").goes_to(["x/web:8080 masqueraded"]).and_is(Allowed);
    fx().at("n1", "10.1.1.1", "192.0.2.50:80").goes_to(["x/web:8080 masqueraded"]).and_is(Allowed);
}

#[test]
fn tv_70_source_ranges_are_for_pods_too() {
    // SVC-22
    let fx = || balanced("  loadBalancerSourceRanges: [' 192.0.2.0/24']");
    fx().at("n2", "y/cli", "192.0.2.50:80").ends_with(DROP, "SVC-22");
    fx().at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080"]).and_is(Allowed);
}

fn only_from_y() -> &'static str {
    "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}"
}

#[test]
fn tv_71_a_pod_is_the_node_behind_a_load_balancer() {
    // KP-3
    let fx = || balanced("").policy("x", only_from_y());
    fx().at("n2", "y/cli", "192.0.2.50:80").goes_to(["x/web:8080 masqueraded"]).and_is(Denied);
    fx().at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080"]).and_is(Allowed);
}

#[test]
fn tv_72_the_short_way_of_pods_knows_no_policy_of_locality() {
    // KP-3
    let fx = || balanced("  externalTrafficPolicy: Local").policy("x", only_from_y());
    fx().at("n2", "y/cli", "192.0.2.50:80").goes_to(["x/web:8080"]).and_is(Allowed);
    fx().at("n2", C, "192.0.2.50:80").ends_with(DROP, "KP-4");
    fx().at("n1", C, "192.0.2.50:80").goes_to(["x/web:8080"]).and_is(Denied);
    fx().at("n2", "y/host2", "192.0.2.50:80").goes_to(["x/web:8080 masqueraded"]);
}

#[test]
fn tv_73_a_proxy_is_not_taken_for_the_nodes_own() {
    // SVC-23
    let status = "status: {loadBalancer: {ingress: [{ip: 192.0.2.50, ipMode: Proxy}]}}";
    let fx = websvc("  type: LoadBalancer", ", nodePort: 30080", status);
    fx.at("n2", "y/cli", "192.0.2.50:80").ends_with(UNCHANGED, "KP-5");
}

/// The node port of websvc.
fn its_node_port(fx: &Fx) -> NodePort {
    fx.load().cluster.services.values().next().unwrap().ports.first().unwrap().node_port
}

#[test]
fn tv_74_what_is_not_allocated_is_there_all_the_same() {
    // SVC-8, SVC-21
    let pending = websvc("  type: LoadBalancer", "", "");
    let loaded = pending.load();
    assert_eq!(loaded.errors().count(), 0);
    let service = loaded.cluster.services.values().next().unwrap();
    assert_eq!(service.load_balancer().unwrap().ingress, []);
    assert_eq!(its_node_port(&pending), NodePort::Unallocated);
}

#[test]
fn tv_75_a_load_balancer_may_do_without_node_ports() {
    // SVC-19
    let without = "  type: LoadBalancer\n  allocateLoadBalancerNodePorts: false";
    assert_eq!(its_node_port(&websvc(without, "", "")), NodePort::None);
    assert_eq!(its_node_port(&websvc(without, ", nodePort: 30080", "")), NodePort::Number(30080));
}

#[test]
fn tv_76_local_inside_is_a_hard_rule() {
    // KP-1, KP-4
    let fx = || websvc("  internalTrafficPolicy: Local", "", "");
    fx().at("n1", "z/job", CLUSTER_IP).goes_to(["x/web:8080"]).and_is(Allowed);
    fx().at("n2", "y/cli", CLUSTER_IP).ends_with(DROP, "KP-4");
}

#[test]
fn tv_77_what_is_on_its_way_out_serves_when_nothing_else_does() {
    // KP-1, SVC-9
    let leaving = "phase: Running\n  conditions: [{type: Ready, status: \"True\"}]\n  podIP: 10.244.1.10\n";
    let fx = || {
        let deleted = "{name: web, namespace: x, labels: {app: web}, deletionTimestamp: \"2024-01-01T00:00:00Z\"}";
        fx().edit("{name: web, namespace: x, labels: {app: web}}", deleted).edit(READY, leaving)
    };
    fx().at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080"]).and_is(Allowed);
    fx().object(&second(HTTP, "")).at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web2:8080"]);
}

#[test]
fn tv_78_unready_addresses_may_be_published() {
    // SVC-9, SVC-14
    let unready = "phase: Running\n  conditions: [{type: Ready, status: \"False\"}]\n  podIP: 10.244.1.10\n";
    websvc("", "", "").edit(READY, unready).at("n2", "y/cli", CLUSTER_IP).ends_with(REJECT, "KP-4");
    let fx = websvc("  publishNotReadyAddresses: true", "", "").edit(READY, unready);
    fx.at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080"]).and_is(Allowed);
}

#[test]
fn tv_79_a_headless_service_maps_no_port() {
    // SVC-13, SVC-15, M-5
    let fx = || fx().edit(WEB, "clusterIP: None");
    assert_eq!(fx().load().cluster.services.values().next().unwrap().kind, ServiceKind::Headless);
    fx().at("n2", "y/cli", "10.244.1.10:80").ends_with(UNCHANGED, "KP-5");
    fx().check_flag("y/cli", "x/web:80", Allowed, policy_core::model::Flag::UndeclaredPort);
    fx().check("y/cli", "x/web:8080", Allowed);
}

fn external_name(name: &str, to: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: z}}\nspec: {{type: ExternalName, externalName: {to}}}\n"
    )
}

#[test]
fn tv_80_an_external_name_may_lead_in_a_circle() {
    // SVC-16. What the name stands for in the end is asked of DNS.
    let fx = || fx().object(&external_name("a", "b.z.svc.cluster.local"));
    assert_eq!(found(&fx().object(&external_name("b", "websvc.x.svc.cluster.local.")), "SVC-16"), []);
    let circle = found(&fx().object(&external_name("b", "a.z.svc.cluster.local")), "SVC-16");
    let says = |name: &str| (false, format!("the name of `z/{name}` leads back to itself"));
    assert_eq!(circle, [says("a"), says("b")]);
}

#[test]
fn tv_81_an_address_as_external_name_is_a_name() {
    // SVC-16
    let fx = fx().object(&external_name("a", "\"10.244.1.10\""));
    assert_eq!(found(&fx, "SVC-16"), [(false, "`10.244.1.10` is taken as a DNS name, not as an address".to_owned())]);
    let named = |kind: &ServiceKind| matches!(kind, ServiceKind::ExternalName(name) if &**name == "10.244.1.10");
    assert!(fx.load().cluster.services.values().any(|service| named(&service.kind)));
}

#[test]
fn tv_82_every_node_takes_an_external_ip() {
    // SVC-17, SVC-22, SVC-27
    let ports = |more: &str, spec: &str| {
        websvc(&format!("  externalIPs: [10.146.0.16]\n{spec}"), more, "")
            .edit("port: 80,", "port: 8080,")
            .object(&second("{name: http, containerPort: 80}", ""))
    };
    let both = ["x/web:8080 masqueraded", "x/web2:80 masqueraded"];
    for node in ["n1", "n2"] {
        let asked = ports("", "").at(node, C, "10.146.0.16:8080");
        asked.goes_to(both).and_is(Allowed);
    }
    let balanced = "  type: LoadBalancer\n  loadBalancerSourceRanges: [10.0.0.0/8]";
    ports("", balanced).at("n1", C, "10.146.0.16:8080").goes_to(both);
    let on_cluster_ip = ports("", "  loadBalancerSourceRanges: [10.0.0.0/8]");
    refused(&on_cluster_ip, "SVC-27", "`loadBalancerSourceRanges` on a Service that is no load balancer");
    let claimed = fx().edit(WEB, &format!("{WEB}\n  externalIPs: [10.0.0.11]"));
    assert_eq!(
        found(&claimed, "SVC-17"),
        [(false, "the external IP `10.0.0.11` of `x/websvc` is an address of the node `n1`".to_owned())]
    );
}

/// x/web with a host port.
fn with_host_port(port: &str) -> Fx {
    let port = format!("- {{name: http, containerPort: 8080, hostPort: 8086{port}}}");
    fx().edit("- {name: http, containerPort: 8080}", &port)
}

const DENY: &str = "{podSelector: {}, policyTypes: [Ingress]}";

#[test]
fn tv_83_a_host_port_is_on_the_pods_node() {
    // HP-1, HP-2, HP-3
    let fx = || with_host_port("").policy("x", DENY);
    fx().at("n1", C, "198.51.100.11:8086").goes_to(["x/web:8080"]).and_is(Denied);
    fx().at("n2", C, "198.51.100.12:8086").ends_with(UNCHANGED, "KP-5");
    fx().set("hostport_supported", "false").at("n1", C, "198.51.100.11:8086").ends_with(UNCHANGED, "KP-5");
}

#[test]
fn tv_84_a_host_port_on_loopback_is_for_the_node() {
    // HP-2, HP-4
    let fx = || with_host_port(", hostIP: 127.0.0.1").policy("x", DENY);
    fx().at("n1", C, "198.51.100.11:8086").ends_with(UNCHANGED, "KP-5");
    fx().at("n1", "node:n1", "127.0.0.1:8086").goes_to(["x/web:8080 masqueraded"]).and_is(Allowed);
}

#[test]
fn tv_85_two_pods_want_one_host_port() {
    // HP-5
    let pod = |name: &str, ip: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: z}}\nspec: {{nodeName: n1, containers: [{{name: main, image: i, ports: [{{containerPort: 80, hostPort: 80, hostIP: \"{ip}\"}}]}}]}}\n"
        )
    };
    let of = |one: &str, other: &str| found(&fx().object(&pod("one", one)).object(&pod("two", other)), "HP-5").len();
    assert_eq!(of("10.0.0.11", "0.0.0.0"), 1);
    assert_eq!((of("10.0.0.11", "127.0.0.1"), of("10.0.0.11", "::"), of("", "::")), (0, 0, 1));
}

#[test]
fn tv_86_a_pod_on_the_hosts_network_is_open() {
    // HN-1, HN-2
    let fx = || fx().policy("x", DENY);
    fx().at("n1", C, "10.0.0.11:9100").ends_with(UNCHANGED, "KP-5");
    fx().check(C, "x/host:9100", Allowed);
    let odd = fx().edit("containerPort: 9100", "containerPort: 9100, hostPort: 9101");
    refused(&odd, "HN-1", "`hostPort` is 9101 and `containerPort` 9100");
}

#[test]
fn tv_87_nftables_has_node_ports_on_the_primary_address() {
    // KP-6
    let second = "- {type: InternalIP, address: 10.0.0.11}\n    - {type: InternalIP, address: 172.30.0.5}";
    let fx = || node_port("").edit("- {type: InternalIP, address: 10.0.0.11}", second);
    fx().set("kube_proxy_mode", "nftables").at("n1", C, "172.30.0.5:30080").ends_with(UNCHANGED, "KP-5");
    let primary = fx().set("kube_proxy_mode", "nftables").at("n1", C, "10.0.0.11:30080");
    primary.goes_to(["x/web:8080 masqueraded"]);
    fx().at("n1", C, "172.30.0.5:30080").goes_to(["x/web:8080 masqueraded"]).and_is(Allowed);
    // The first that is written, not the smallest.
    let reversed = fx().edit("address: 10.0.0.11", "address: 192.168.0.11").set("kube_proxy_mode", "nftables");
    reversed.at("n1", C, "192.168.0.11:30080").goes_to(["x/web:8080 masqueraded"]);
}

#[test]
fn tv_88_a_proxy_of_old_hides_the_client() {
    // KP-7
    let fx = fx().policy(
        "x",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: cli}}}]}]}",
    );
    let asked = |fx: Fx| fx.at("n2", "y/cli", CLUSTER_IP);
    asked(fx.set("kube_proxy_mode", "userspace")).goes_to(["x/web:8080 masqueraded"]).and_is(Denied);
    // KP-9
    let replaced = balanced("").set("kube_proxy_mode", "none").at("n2", "y/cli", "192.0.2.50:80");
    replaced.goes_to(["x/web:8080 either"]);
}

fn preferred(at: &At) -> Vec<bool> {
    at.decision.targets().iter().map(|target| target.preferred).collect()
}

#[test]
fn tv_89_hints_prefer_and_do_not_exclude() {
    // KP-2
    let fx = |spec: &str| websvc(spec, "", "").object(&second(HTTP, ""));
    let asked = |spec: &str| fx(spec).at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080", "x/web2:8080"]);
    assert_eq!(preferred(&asked("  trafficDistribution: PreferClose")), [false, true]);
    assert_eq!(preferred(&asked("  trafficDistribution: PreferSameNode")), [false, true]);
    assert_eq!(preferred(&asked("")), [true, true]);
}

#[test]
fn tv_90_a_node_port_belongs_to_one_service() {
    // SVC-18
    let service = |name: &str, protocol: &str, port: u16| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: z}}\nspec: {{type: NodePort, ports: [{{port: 53, protocol: {protocol}, nodePort: {port}}}]}}\n"
        )
    };
    let two = |other: &str| fx().object(&service("a", "TCP", 30053)).object(&service("b", other, 30053));
    assert_eq!(two("UDP").load().errors().count(), 0);
    refused(&two("TCP"), "SVC-18", "node port 30053/TCP is taken by the Service `z/a`");
    assert!(two("TCP").load().cluster.incomplete);
    refused(&fx().object(&service("a", "TCP", 80)), "SVC-18", "node port 80 is outside 30000-32767");
}

#[test]
fn tv_92_what_the_api_server_refuses() {
    // SVC-27, SVC-11, SVC-15
    let service = |spec: &str| {
        fx().object(&format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a, namespace: z}}\nspec: {{{spec}}}\n"))
    };
    let headless = service("type: NodePort, clusterIP: None, ports: [{port: 80}]");
    refused(&headless, "SVC-27", "node ports and load balancers need a cluster IP");
    let kubelet = service("type: LoadBalancer, ports: [{port: 10250}]");
    refused(&kubelet, "SVC-27", "a load balancer cannot have port 10250");
    let loopback = fx().object(EXT).object(&endpoints("", "{port: 80}").replace("10.244.1.10", "127.0.0.1"));
    refused(&loopback, "SVC-11", "the endpoint `127.0.0.1` is a loopback address");
    // SVC-12
    let family = fx().object(EXT).object(&slice("").replace("IPv4", "IPv6"));
    refused(&family, "SVC-12", "`10.244.2.21` is not an IPv6 address");
}

#[test]
fn tv_149_source_ranges_of_one_family_leave_the_other_open() {
    // SVC-22, SVC-26
    let fx = || {
        balanced(
            "  loadBalancerSourceRanges: [10.0.0.0/8]\n  ipFamilies: [IPv4, IPv6]\n  ipFamilyPolicy: RequireDualStack",
        )
        .edit("[{ip: 192.0.2.50}]", "[{ip: 192.0.2.50}, {ip: \"2001:db8::50\"}]")
        .edit("podIPs: [{ip: 10.244.1.10}]", "podIPs: [{ip: 10.244.1.10}, {ip: \"fd00:1::10\"}]")
    };
    fx().at("n1", "2001:db8:9::9", "[2001:db8::50]:80").goes_to(["x/web:8080 masqueraded"]).and_is(Allowed);
    fx().at("n1", C, "192.0.2.50:80").ends_with(DROP, "SVC-22");
}

#[test]
fn tv_150_neighbours_through_a_host_port() {
    // HP-4, NP-24
    let asked = |backend: &str| {
        let fx = with_host_port("").policy("x", DENY).set("hostport_backend", backend);
        fx.at("n1", "z/job", "10.0.0.11:8086")
    };
    asked("nftables").goes_to(["x/web:8080"]).and_is(Denied);
    asked("iptables").goes_to(["x/web:8080 masqueraded"]).and_is(Undefined);
    assert_eq!(asked("both").goes_to(["x/web:8080 either"]).verdicts, [Denied, Undefined]);
}

#[test]
fn tv_151_a_proxy_that_cannot_tell_pods_takes_them_for_strangers() {
    // KP-3, KP-4
    let fx = || node_port("  externalTrafficPolicy: Local").set("detect_local", "none");
    fx().at("n1", "z/job", "10.0.0.11:30080").goes_to(["x/web:8080"]).and_is(Allowed);
    fx().at("n2", "y/cli", "10.0.0.12:30080").ends_with(DROP, "KP-4");
}

#[test]
fn a_node_port_and_a_host_port_on_one_number_are_nobodys() {
    // HP-7, KP-5
    let fx = node_port("")
        .edit("- {name: http, containerPort: 8080}", "- {name: http, containerPort: 8080, hostPort: 30080}");
    assert_eq!(
        found(&fx, "HP-7"),
        [(false, "host port 30080/TCP of `x/web` is the port of a node port of `x/websvc` too".to_owned())]
    );
    fx.at("n1", C, "10.0.0.11:30080").ends_with(&Delivery::Undefined(KnobSet::EMPTY), "HP-7");
    let claim = |name: &str, target: u16| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: x}}\nspec: {{externalIPs: [192.0.2.9], selector: {{app: web}}, ports: [{{port: 80, targetPort: {target}}}]}}\n"
        )
    };
    let two = super::fx::fx().object(&claim("a", 8080)).object(&claim("b", 9090));
    two.at("n1", C, "192.0.2.9:80").ends_with(&Delivery::Undefined(KnobSet::EMPTY), "KP-5");
}

#[test]
fn the_health_check_port_answers_for_the_node() {
    // SVC-24
    let fx = || balanced("  externalTrafficPolicy: Local\n  healthCheckNodePort: 32100");
    fx().at("n2", C, "10.0.0.12:32100").ends_with(&Delivery::Accept, "SVC-24");
    fx().set("kube_proxy_mode", "nftables").at("n2", C, "10.0.0.12:32100").ends_with(UNCHANGED, "KP-5");
}

#[test]
fn affinity_changes_nothing() {
    // SVC-25
    let fx = websvc("  sessionAffinity: ClientIP", "", "").object(&second(HTTP, ""));
    fx.at("n2", "y/cli", CLUSTER_IP).goes_to(["x/web:8080", "x/web2:8080"]);
}

#[test]
fn a_finished_pod_stands_behind_no_service() {
    // SVC-9, NP-27
    let fx = fx().edit(READY, "phase: Succeeded\n  podIP: 10.244.1.10\n");
    fx.check("y/cli", "x/web:8080", NoListener);
    fx.at("n2", "y/cli", CLUSTER_IP).ends_with(REJECT, "KP-4");
}
