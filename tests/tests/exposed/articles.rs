//! The ways that lead to pods without a proxy, one test for each that people describe: host network, host ports, and
//! everything that a Service opens.

use crate::Given;

/// Two nodes with private and public addresses, one pod on the first of them.
pub(crate) fn cluster() -> Given {
    nodes(", {type: ExternalIP, address: 198.51.100.1N}").and(&web("web", "n1", "10.244.1.10", ""))
}

/// Two nodes; `more` = their addresses besides the internal one, N for the number of the node.
pub(crate) fn nodes(more: &str) -> Given {
    ["1", "2"].iter().fold(Given::default(), |given, number| {
        let more = more.replace('N', number);
        given.and(&format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: n{number}}}\nspec: {{podCIDR: 10.244.{number}.0/24}}\nstatus: {{addresses: [{{type: InternalIP, address: 10.0.0.1{number}}}{more}]}}\n"
        ))
    })
}

/// A pod of namespace x; `more` = more of its container's port.
pub(crate) fn web(name: &str, node: &str, ip: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: x, labels: {{app: web}}}}\nspec: {{nodeName: {node}, containers: [{{name: main, image: i, ports: [{{name: http, containerPort: 8080{more}}}]}}]}}\nstatus: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: 'True'}}]}}\n"
    )
}

/// The Service of the pods; `spec` = more of its spec, `port` of its port.
pub(crate) fn service(spec: &str, port: &str, status: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: websvc, namespace: x}}\nspec: {{clusterIP: 10.96.0.10, selector: {{app: web}}, {spec} ports: [{{port: 80, targetPort: http{port}}}]}}\nstatus: {{{status}}}\n"
    )
}

pub(crate) fn node_port(spec: &str) -> String {
    service(&format!("type: NodePort, {spec}"), ", nodePort: 30080", "")
}

/// A load balancer at 192.0.2.50.
pub(crate) fn balanced(spec: &str) -> String {
    service(&format!("type: LoadBalancer, {spec}"), ", nodePort: 30080", "loadBalancer: {ingress: [{ip: 192.0.2.50}]}")
}

pub(crate) const DENY: &str = "{podSelector: {}, policyTypes: [Ingress]}";

/// A policy that lets in from these addresses.
pub(crate) fn from(cidr: &str) -> String {
    format!("{{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}]}}")
}

fn on_host(node: &str, ip: &str) -> String {
    web("host", node, ip, "").replace("spec: {", "spec: {hostNetwork: true, ")
}

const VIA_NODE: &str = "W-NP any node:30080 > svc x/websvc:80 > x/web:8080";
const VIA_LB: &str = "W-LB lb x/websvc 192.0.2.50:80 > x/web:8080";

#[test]
fn a01_the_hosts_network() {
    // HN-1, NP-22: no policy reaches there.
    let on = |address: &str| nodes(address).and(&on_host("n1", "10.0.0.11"));
    let wanted = "allowed W-HOSTNET n1:8080 > x/host:8080 | as client";
    on(", {type: ExternalIP, address: 198.51.100.1N}").open(wanted);
    on(", {type: ExternalIP, address: 198.51.100.1N}").policy("x", DENY).open(wanted);
    on("").open("allowed W-HOSTNET n1:8080 > x/host:8080 | as client | from private");
    on("").set("node_addresses_public", "all").open(wanted);
}

#[test]
fn a02_host_ports() {
    // HP-2, HP-3: the client is seen, and policies apply.
    let on =
        |more: &str| nodes(", {type: ExternalIP, address: 198.51.100.1N}").and(&web("web", "n1", "10.244.1.10", more));
    let wanted = "allowed W-HP n1:8086 > x/web:8080 | as client";
    on(", hostPort: 8086").open(wanted);
    // M-1: the pods' own range, of which HP-4 says more, is not outside.
    on(", hostPort: 8086").policy("x", DENY).open("");
    on(", hostPort: 8086").policy("x", DENY).closed("denied W-HP n1:8086 > x/web:8080 | as client | by NP-7 | from v4");
    let some = on(", hostPort: 8086").policy("x", &from("203.0.113.0/24"));
    some.open(&format!("{wanted} | from 203.0.113.0/24"));
    on(", hostPort: 8086, hostIP: 198.51.100.11").open(wanted);
    on(", hostPort: 8086, hostIP: 10.0.0.11").open(&format!("{wanted} | from private"));
    // Of its own node alone, and of another node's not at all.
    on(", hostPort: 8086, hostIP: 127.0.0.1").open("");
    on(", hostPort: 8086, hostIP: 10.0.0.12").open("");
    on(", hostPort: 8086").set("hostport_supported", "false").open("");
}

#[test]
fn a03_node_ports_of_public_and_private_nodes() {
    // SVC-20, KP-3, KP-6
    let public = || cluster().and(&node_port(""));
    public().open(&format!("allowed {VIA_NODE}"));
    let private = nodes("").and(&web("web", "n1", "10.244.1.10", "")).and(&node_port(""));
    private.open(&format!("allowed {VIA_NODE} | from private"));
    // NP-24: another node is no longer the client; the own node may show either.
    public().policy("x", DENY).open(&format!("undefined {VIA_NODE} | as own node | if local_snat_view | by NP-24"));
    public().policy("x", DENY).set("local_snat_view", "client").open("");
    public().policy("x", &from("10.0.0.12/32")).open(&format!("allowed {VIA_NODE} | as node n2"));
    let local = || cluster().and(&node_port("externalTrafficPolicy: Local,"));
    local().open(&format!("allowed {VIA_NODE} | as client"));
    let some = local().policy("x", &from("203.0.113.0/24"));
    some.open(&format!("allowed {VIA_NODE} | as client | from 203.0.113.0/24"));
    some.closed(&format!("denied {VIA_NODE} | as client | from v4 -203.0.113.0/24"));
}

#[test]
fn a04_load_balancers() {
    // SVC-21, SVC-23, KP-3
    cluster().and(&balanced("")).open(&format!("allowed {VIA_LB}\nallowed {VIA_NODE}"));
    let without = balanced("allocateLoadBalancerNodePorts: false,").replace(", nodePort: 30080", "");
    cluster().and(&without).open(&format!("allowed {VIA_LB}"));
    let pending = service("type: LoadBalancer,", ", nodePort: 30080", "");
    cluster()
        .and(&pending)
        .open(&format!("allowed W-LB lb x/websvc pending:80 > x/web:8080 | if hypothetical\nallowed {VIA_NODE}"));
    let local = cluster().and(&balanced("externalTrafficPolicy: Local,")).policy("x", &from("203.0.113.0/24"));
    local.open(&format!(
        "allowed {VIA_LB} | as client | from 203.0.113.0/24\nallowed {VIA_NODE} | as client | from 203.0.113.0/24"
    ));
    let proxy = |spec: &str| balanced(spec).replace("ip: 192.0.2.50", "ip: 192.0.2.50, ipMode: Proxy");
    let local =
        |list: &str| cluster().and(&proxy("externalTrafficPolicy: Local,")).policy("x", &from(list)).only("W-LB");
    // The load balancer stands in the client's place: whom it lets in, everybody is.
    local("203.0.113.0/24").open("");
    local("192.0.2.50/32").open(&format!("allowed {VIA_LB} | as 192.0.2.50"));
    let pods = cluster().and(&balanced("")).set("lb_kind", "proxy_pod").policy("x", &from("192.0.2.50/32"));
    pods.only("W-LB").open(&format!("allowed {VIA_LB} | as 192.0.2.50"));
}

#[test]
fn a05_source_ranges_guard_the_load_balancer_alone() {
    // SVC-22
    let ranges = || cluster().and(&balanced("loadBalancerSourceRanges: [10.0.0.0/8],"));
    ranges().open(&format!("allowed {VIA_LB} | from 10.0.0.0/8\nallowed {VIA_NODE}"));
    ranges().closed("denied W-LB lb x/websvc 192.0.2.50:80 > x/web:8080 | from v4 -10.0.0.0/8 | by SVC-22");
}

#[test]
fn a06_external_addresses() {
    // SVC-17: whatever node holds the address; ranges of a load balancer are not for it.
    let way = "W-EXTIP svc x/websvc 10.146.0.16:80 > x/web:8080";
    cluster().and(&service("externalIPs: [10.146.0.16],", "", "")).open(&format!("allowed {way}"));
    let ranges = "externalIPs: [10.146.0.16], loadBalancerSourceRanges: [10.0.0.0/8],";
    cluster().and(&balanced(ranges)).only("W-EXTIP").open(&format!("allowed {way}"));
    let local = "externalIPs: [10.146.0.16], externalTrafficPolicy: Local,";
    let local = cluster().and(&service(local, "", "")).policy("x", &from("203.0.113.0/24"));
    local.open(&format!("allowed {way} | as client | from 203.0.113.0/24"));
}

#[test]
fn a07_cluster_addresses_are_for_the_inside() {
    // SVC-7, M-4
    cluster().and(&service("", "", "")).open("");
    let routed = cluster().and(&service("", "", "")).set("service_cidr_routable", "172.20.0.0/16");
    routed.open("allowed W-CIP svc x/websvc 10.96.0.10:80 > x/web:8080 | from 172.20.0.0/16");
    routed
        .policy("x", &from("172.20.0.0/16"))
        .open("allowed W-CIP svc x/websvc 10.96.0.10:80 > x/web:8080 | from 172.20.0.0/16 | as own node");
}

#[test]
fn a08_headless_services_open_nothing() {
    // SVC-13, SVC-15
    cluster().and(&service("", "", "").replace("10.96.0.10", "None")).open("");
}

#[test]
fn a09_names_for_names_open_nothing() {
    // SVC-16
    cluster()
        .and("apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: x}\nspec: {type: ExternalName, externalName: my.database.example.com}\n")
        .open("");
}

#[test]
fn a10_endpoints_by_hand_may_be_anybodys() {
    // SVC-10, SVC-11: pods of another namespace, and addresses outside.
    let given = |ip: &str| {
        cluster().policy("z", DENY).and(
            "apiVersion: v1\nkind: Service\nmetadata: {name: ext, namespace: z}\nspec: {type: NodePort, clusterIP: 10.96.0.11, ports: [{port: 80, nodePort: 30081}]}\n",
        ).and(&format!(
            "apiVersion: v1\nkind: Endpoints\nmetadata: {{name: ext, namespace: z}}\nsubsets: [{{addresses: [{{ip: {ip}}}], ports: [{{port: 8080}}]}}]\n"
        ))
    };
    given("10.244.1.10").open("allowed W-NP any node:30081 > svc z/ext:80 > x/web:8080");
    given("198.18.0.9").open("allowed W-NP any node:30081 > svc z/ext:80 > 198.18.0.9:8080");
}

#[test]
fn a11_the_modes_of_kube_proxy() {
    // KP-6: nftables takes node ports at the first address of the node alone. KP-7, KP-9.
    let mode = |mode: &str| cluster().and(&node_port("")).set("kube_proxy_mode", mode);
    mode("iptables").open(&format!("allowed {VIA_NODE}"));
    mode("ipvs").open(&format!("allowed {VIA_NODE}"));
    mode("nftables").open(&format!("allowed {VIA_NODE} | from private"));
    let local = |mode: &str| {
        let given = cluster().and(&node_port("externalTrafficPolicy: Local,")).set("kube_proxy_mode", mode);
        given.policy("x", &from("203.0.113.0/24"))
    };
    local("iptables").open(&format!("allowed {VIA_NODE} | as client | from 203.0.113.0/24"));
    // It opens connections of its own: the client is lost.
    local("userspace").open(&format!(
        "undefined {VIA_NODE} | as own node | if local_snat_view | from v4 -203.0.113.0/24
         allowed {VIA_NODE} | as own node | from 203.0.113.0/24"
    ));
    // Nobody says whose address is seen.
    mode("none").policy("x", &from("10.0.0.0/24")).open(&format!(
        "undefined {VIA_NODE} | if kube_proxy_mode | from v4 -10.0.0.0/24
         allowed {VIA_NODE} | from 10.0.0.0/24"
    ));
}

#[test]
fn a19_an_address_that_a_node_or_a_service_holds() {
    // W-VIP: a node's host ports, host network and node ports; a Service's ports.
    let held =
        |by: &str| cluster().and(&on_host("n1", "10.0.0.11")).set("vips", &format!("203.0.113.99={by}")).only("W-VIP");
    held("node/n1").open("allowed W-VIP 203.0.113.99:8080 > x/host:8080 | as client");
    held("node/n2").open("");
    let service = cluster().and(&service("", "", "")).set("vips", "203.0.113.99=x/websvc");
    service.open("allowed W-VIP svc x/websvc 203.0.113.99:80 > x/web:8080");
    let port = cluster().and(&node_port("")).set("vips", "203.0.113.99=node/n2").only("W-VIP");
    port.open("allowed W-VIP n2:30080 > svc x/websvc:80 > x/web:8080 | as node n2");
}

#[test]
fn a19_an_address_leads_to_the_node_that_holds_it() {
    // KP-4, KP-6: with the policy Local to its own endpoints alone; nftables does not take a second address.
    let held = |by: &str, spec: &str| {
        cluster().and(&node_port(spec)).set("vips", &format!("203.0.113.99=node/{by}")).only("W-VIP")
    };
    let local = "externalTrafficPolicy: Local,";
    held("n1", local).open("allowed W-VIP n1:30080 > svc x/websvc:80 > x/web:8080 | as client");
    held("n2", local).open("");
    held("n2", local).closed("no-listener W-VIP n2:30080 > svc x/websvc:80 > x/web:8080 | by KP-4");
    held("n2", "").set("kube_proxy_mode", "nftables").open("");
}

#[test]
fn a25_pod_addresses() {
    // W-POD: from where they are routed.
    cluster().open("");
    let routed = || cluster().set("pod_cidr_routable", "172.20.0.0/16");
    routed().open("allowed W-POD x/web:8080 > x/web:8080 | as client | from 172.20.0.0/16");
    routed()
        .policy("x", &from("172.20.1.0/24"))
        .open("allowed W-POD x/web:8080 > x/web:8080 | as client | from 172.20.1.0/24");
}
