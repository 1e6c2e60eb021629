//! Clusters in which something is wrong, missing or unusual.

use crate::Given;
use crate::articles::{DENY, balanced, cluster, from, node_port, nodes, service, web};

#[test]
fn no_nodes() {
    // NP-27, SVC-20: some node will have it.
    let given = || Given::default().and(&web("web", "n1", "10.244.1.10", "")).and(&node_port(""));
    given().open("allowed W-NP any node:30080 > svc x/websvc:80 > x/web:8080 | if hypothetical");
    given().policy("x", DENY).open(
        "undefined W-NP any node:30080 > svc x/websvc:80 > x/web:8080 | as own node | if local_snat_view, hypothetical",
    );
}

#[test]
fn nodes_without_addresses() {
    // W-NP
    let bare = |name: &str| format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n");
    let given = Given::default().and(&bare("n1")).and(&bare("n2")).and(&web("web", "n1", "10.244.1.10", ""));
    given.and(&node_port("")).open("allowed W-NP any node:30080 > svc x/websvc:80 > x/web:8080 | if hypothetical");
}

#[test]
fn a_service_without_endpoints() {
    // KP-4
    let given = || nodes(", {type: ExternalIP, address: 198.51.100.1N}").and(&balanced(""));
    given().open("");
    given().closed("no-listener W-LB lb x/websvc 192.0.2.50:80 > nobody | by KP-4");
    // Not ready: the same (SVC-9).
    given().and(&web("web", "n1", "10.244.1.10", "").replace("'True'", "'False'")).open("");
    given().and(&web("web", "n1", "10.244.1.10", "").replace("Running", "Succeeded")).open("");
    let published = balanced("publishNotReadyAddresses: true,");
    let given = nodes(", {type: ExternalIP, address: 198.51.100.1N}").and(&published);
    given
        .and(&web("web", "n1", "10.244.1.10", "").replace("'True'", "'False'"))
        .only("W-LB")
        .open("allowed W-LB lb x/websvc 192.0.2.50:80 > x/web:8080");
}

#[test]
fn two_services_for_one_pod() {
    // SVC-5: each by itself.
    let second = node_port("externalTrafficPolicy: Local,")
        .replace("websvc", "other")
        .replace("10.96.0.10", "10.96.0.12")
        .replace("30080", "30081");
    let given = cluster().and(&node_port("")).and(&second).policy("x", &from("203.0.113.0/24"));
    given.open(
        "
        undefined W-NP any node:30080 > svc x/websvc:80 > x/web:8080 | as own node | if local_snat_view | from v4 -203.0.113.0/24
        allowed W-NP any node:30080 > svc x/websvc:80 > x/web:8080 | as own node | from 203.0.113.0/24
        allowed W-NP any node:30081 > svc x/other:80 > x/web:8080 | as client | from 203.0.113.0/24
        ",
    );
}

fn dual() -> Given {
    nodes(", {type: ExternalIP, address: 198.51.100.1N}, {type: InternalIP, address: 'fd00::1N'}, {type: ExternalIP, address: '2001:db8::1N'}")
        .and(&web("web", "n1", "10.244.1.10", "").replace("podIPs: [{ip: 10.244.1.10}]", "podIPs: [{ip: 10.244.1.10}, {ip: 'fd00:1::10'}]"))
}

#[test]
fn dual_stack_pods_behind_a_service_of_one_family() {
    // SVC-26: IPv6 clients have no address to dial.
    dual()
        .and(&balanced("ipFamilies: [IPv4],"))
        .only("W-LB")
        .open("allowed W-LB lb x/websvc 192.0.2.50:80 > x/web:8080");
    dual().and(&node_port("ipFamilies: [IPv4],")).open("allowed W-NP any node:30080 > svc x/websvc:80 > x/web:8080");
}

#[test]
fn dual_stack_services() {
    // SVC-26: an address of a load balancer is for its own family.
    let families = "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6],";
    dual().and(&node_port(families)).open("allowed W-NP any node:30080 > svc x/websvc:80 > x/web:8080 | from all");
    dual().and(&balanced(families)).only("W-LB").open("allowed W-LB lb x/websvc 192.0.2.50:80 > x/web:8080");
    let external = format!("{families} externalIPs: [203.0.113.9],");
    dual().and(&service(&external, "", "")).open("allowed W-EXTIP svc x/websvc 203.0.113.9:80 > x/web:8080");
    let both = balanced(families).replace("{ip: 192.0.2.50}", "{ip: 192.0.2.50}, {ip: '2001:db8::50'}");
    dual().and(&both).only("W-LB").open(
        "
        allowed W-LB lb x/websvc 192.0.2.50:80 > x/web:8080
        allowed W-LB lb x/websvc 2001:db8::50:80 > x/web:8080 | from v6
        ",
    );
}

#[test]
fn source_ranges_of_one_family_leave_the_other_open() {
    // SVC-22
    let families =
        "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6], loadBalancerSourceRanges: [10.0.0.0/8],";
    let both = balanced(families).replace("{ip: 192.0.2.50}", "{ip: 192.0.2.50}, {ip: '2001:db8::50'}");
    dual().and(&both).only("W-LB").open(
        "
        allowed W-LB lb x/websvc 192.0.2.50:80 > x/web:8080 | from 10.0.0.0/8
        allowed W-LB lb x/websvc 2001:db8::50:80 > x/web:8080 | from v6
        ",
    );
}

#[test]
fn pods_that_speak_ipv6_alone() {
    // NP-30, SVC-26
    let given = nodes(", {type: ExternalIP, address: '2001:db8::1N'}")
        .and(&web("web", "n1", "'fd00:1::10'", ""))
        .and(&node_port("ipFamilies: [IPv6],").replace("10.96.0.10", "'fd00:96::10'"));
    given.open("allowed W-NP any node:30080 > svc x/websvc:80 > x/web:8080 | from v6");
}

fn of_workload(name: &str, node: &str, ip: &str) -> String {
    web(name, node, ip, "").replace(
        "namespace: x,",
        "namespace: x, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true, uid: u}],",
    )
}

#[test]
fn pods_of_one_workload_on_different_nodes() {
    // KP-1, KP-4: with the policy Local each node leads to its own.
    let given = |spec: &str| {
        nodes(", {type: ExternalIP, address: 198.51.100.1N}")
            .and(&of_workload("web-a", "n1", "10.244.1.10"))
            .and(&of_workload("web-b", "n2", "10.244.2.10"))
            .and(&node_port(spec))
    };
    let way = "allowed W-NP any node:30080 > svc x/websvc:80 > x/web-a+x/web-b:8080";
    given("").open(way);
    given("externalTrafficPolicy: Local,").open(&format!("{way} | as client"));
    // One of the nodes is private: its pod is for its neighbours.
    let half = nodes("")
        .and("apiVersion: v1\nkind: Node\nmetadata: {name: n3}\nspec: {podCIDR: 10.244.3.0/24}\nstatus: {addresses: [{type: ExternalIP, address: 198.51.100.13}]}\n")
        .and(&of_workload("web-a", "n1", "10.244.1.10"))
        .and(&of_workload("web-c", "n3", "10.244.3.10"))
        .and(&node_port("externalTrafficPolicy: Local,"));
    half.open(
        "
        allowed W-NP any node:30080 > svc x/websvc:80 > x/web-a:8080 | from private
        allowed W-NP any node:30080 > svc x/websvc:80 > x/web-c:8080
        ",
    );
}

#[test]
fn finished_pods_open_nothing() {
    // NP-27
    nodes("").and(&web("web", "n1", "10.244.1.10", ", hostPort: 8086").replace("Running", "Succeeded")).open("");
}

#[test]
fn host_ports_of_one_workload_are_each_at_their_own_node() {
    // HP-2
    let pod = |name: &str, node: &str, ip: &str| {
        of_workload(name, node, ip).replace("containerPort: 8080", "containerPort: 8080, hostPort: 8086")
    };
    let public = || nodes(", {type: ExternalIP, address: 198.51.100.1N}");
    let both = public().and(&pod("web-a", "n1", "10.244.1.10")).and(&pod("web-b", "n2", "10.244.2.10"));
    both.open("allowed W-HP any node:8086 > x/web-a+x/web-b:8080 | as client");
    public().and(&pod("web-a", "n1", "10.244.1.10")).open("allowed W-HP n1:8086 > x/web-a:8080 | as client");
}

#[test]
fn what_finished_is_held_by_nobody() {
    // NP-27, W-VIP
    let pod = web("web", "n1", "10.244.1.10", ", hostPort: 8086");
    let held = |pod: &str| nodes("").and(pod).set("vips", "203.0.113.99=node/n1").only("W-VIP");
    held(&pod).open("allowed W-VIP 203.0.113.99:8086 > x/web:8080 | as client");
    held(&pod.replace("Running", "Succeeded")).open("");
}
