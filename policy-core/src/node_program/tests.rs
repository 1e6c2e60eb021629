//! What a node's program says of packets, case by case.

use std::net::IpAddr;

use crate::analysis::Analysis;
use crate::ids::{Id as _, NodeId};
use crate::model::{Direction, Profile, Protocol};
use crate::node_program::{Decision, HostSide, NodeProgram, Options, Packet, Reason, Transport};
use crate::testing::cluster;

const BASE: &str = "\
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.1.1.0/24]}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {podCIDRs: [10.1.2.0/24]}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x, labels: {app: web}}, spec: {nodeName: n1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.1.1.1, podIPs: [{ip: 10.1.1.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: cli, namespace: x, labels: {app: cli}}, spec: {nodeName: n2, containers: [{name: c}]}, status: {phase: Running, podIP: 10.1.2.1, podIPs: [{ip: 10.1.2.1}]}}
";

/// Only cli reaches web, on any port or on one.
fn web(ports: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: web, namespace: x}}, spec: \
         {{podSelector: {{matchLabels: {{app: web}}}}, policyTypes: [Ingress], ingress: [{{{ports}from: [{{podSelector: \
         {{matchLabels: {{app: cli}}}}}}]}}]}}}}"
    )
}

fn program(objects: &[&str]) -> NodeProgram {
    audited(objects, &[])
}

fn audited(objects: &[&str], namespaces: &[&str]) -> NodeProgram {
    let analysis = Analysis::new(cluster(BASE, objects), Profile::preset("portolan").unwrap());
    let audited = analysis.cluster.namespaces.iter().filter(|(_, namespace)| namespaces.contains(&&*namespace.name));
    let options = Options { audited: audited.map(|(id, _)| id).collect() };
    NodeProgram::build_with(&analysis, NodeId::from_index(0), &options).unwrap()
}

fn packet(source: &str, destination: &str, transport: Transport) -> Packet {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    Packet { source: ip(source), destination: ip(destination), transport, host: HostSide::Neither }
}

fn tcp(source: &str, destination: &str, port: u16) -> Packet {
    packet(source, destination, Transport::Port(Protocol::Tcp, port))
}

const WEB: &str = "10.1.1.1";
const CLI: &str = "10.1.2.1";

#[test]
fn policies_of_local_pods_decide_and_say_why() {
    // NP-5, NP-8
    let program = program(&[&web("ports: [{port: 80}], ")]);
    assert_eq!(program.judge(&tcp(CLI, WEB, 80), false), Decision::Pass);
    let Decision::Drop(Direction::Ingress, reason) = program.judge(&tcp(CLI, WEB, 81), false) else { panic!() };
    assert_eq!(program.generation.reasons.at(reason), &Reason::Isolated(vec!["x/web".into()]));
    assert!(matches!(program.judge(&tcp("203.0.113.7", WEB, 80), false), Decision::Drop(Direction::Ingress, _)));
    assert_eq!(program.judge(&tcp(WEB, CLI, 81), false), Decision::Pass);
}

#[test]
fn policies_of_other_nodes_pods_are_not_asked_here() {
    // NP-6: their own node does.
    let cli =
        web("").replace("app: web", "app: other").replace("app: cli", "app: web").replace("app: other", "app: cli");
    let program = program(&[&cli]);
    assert_eq!(program.judge(&tcp("203.0.113.7", CLI, 80), false), Decision::Pass);
}

#[test]
fn sockets_of_the_node_pass_and_its_address_alone_does_not() {
    // NP-19, NP-20
    let program = program(&[&web("")]);
    let forwarded = tcp("10.0.0.1", WEB, 80);
    assert!(matches!(program.judge(&forwarded, false), Decision::Drop(..)));
    assert_eq!(program.judge(&Packet { host: HostSide::Source, ..forwarded }, false), Decision::Pass);
    assert!(matches!(program.judge(&tcp("10.0.0.2", WEB, 80), false), Decision::Drop(..)));
}

#[test]
fn a_pod_that_reaches_itself_through_a_service_passes() {
    // NP-18
    assert_eq!(program(&[&web("")]).judge(&tcp(WEB, WEB, 80), false), Decision::Pass);
}

#[test]
fn traffic_without_ports_needs_a_rule_without_ports() {
    // NP-17
    let ping = packet(CLI, WEB, Transport::Other);
    assert_eq!(program(&[&web("")]).judge(&ping, false), Decision::Pass);
    let all = web("ports: [{port: 1, endPort: 65535, protocol: TCP}], ");
    assert!(matches!(program(&[&all]).judge(&ping, false), Decision::Drop(..)));
}

#[test]
fn a_name_that_completes_a_list_of_ports_makes_it_no_rule_about_all_traffic() {
    // NP-16, NP-17
    let full = "{apiVersion: v1, kind: Pod, metadata: {name: full, namespace: x, labels: {app: web}}, spec: {nodeName: n1, \
                containers: [{name: c, ports: [{name: last, protocol: SCTP, containerPort: 65535}]}]}, status: {phase: \
                Running, podIP: 10.1.1.2, podIPs: [{ip: 10.1.1.2}]}}";
    let range = |protocol: &str, last: u16| format!("{{port: 1, endPort: {last}, protocol: {protocol}}}");
    let ports = [range("TCP", 65535), range("UDP", 65535), range("SCTP", 65534)].join(", ");
    let program = program(&[&web(&format!("ports: [{ports}, {{port: last, protocol: SCTP}}], ")), full]);
    assert_eq!(program.judge(&tcp(CLI, "10.1.1.2", 80), false), Decision::Pass);
    assert!(matches!(program.judge(&packet(CLI, "10.1.1.2", Transport::Other), false), Decision::Drop(..)));
}

#[test]
fn addresses_of_this_nodes_pods_are_cut_off_until_they_are_known() {
    let program = program(&[]);
    let unknown = tcp("10.1.1.77", CLI, 80);
    assert_eq!(program.judge(&unknown, false), Decision::Unknown(Direction::Egress));
    assert_eq!(program.judge(&unknown, true), Decision::Pass);
    assert_eq!(program.judge(&tcp(CLI, "10.1.1.77", 80), false), Decision::Unknown(Direction::Ingress));
    // Another node's are its own business.
    assert_eq!(program.judge(&tcp("10.1.2.77", WEB, 80), false), Decision::Pass);
}

#[test]
fn an_address_that_two_pods_claim_is_that_of_the_one_that_stays() {
    // NP-27
    let twin = |name: &str, more: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: x, labels: {{app: cli}}{more}}}, spec: \
             {{nodeName: n2, containers: [{{name: c}}]}}, status: {{phase: Running, podIP: 10.1.2.1, podIPs: [{{ip: \
             10.1.2.1}}]}}}}"
        )
    };
    let other = twin("new", "").replace("app: cli", "app: new");
    let contested = program(&[&web(""), &other]);
    assert_eq!(contested.judge(&tcp(CLI, WEB, 80), false), Decision::Unknown(Direction::Egress));
    let going = twin("going", ", deletionTimestamp: \"2026-01-01T00:00:00Z\"").replace("app: cli", "app: new");
    assert_eq!(program(&[&web(""), &going]).judge(&tcp(CLI, WEB, 80), false), Decision::Pass);
}

#[test]
fn the_policies_of_an_audited_end_refuse_nothing_and_those_of_the_other_end_do() {
    let other = "\
{apiVersion: v1, kind: Pod, metadata: {name: z, namespace: z}, spec: {nodeName: n1, containers: [{name: c}]}, \
status: {phase: Running, podIP: 10.1.1.9, podIPs: [{ip: 10.1.1.9}]}}";
    let closed = |namespace: &str| {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: closed, namespace: {namespace}}}, \
             spec: {{podSelector: {{}}, policyTypes: [Ingress, Egress]}}}}"
        )
    };
    let (x, z) = (closed("x"), closed("z"));
    let both = [other, &x, &z];
    let from_x = |program: &NodeProgram| program.judge(&tcp(WEB, "10.1.1.9", 80), false);
    let why = |program: &NodeProgram, decision| match decision {
        Decision::WouldDrop(direction, id) | Decision::Drop(direction, id) => {
            (direction, program.generation.reasons.at(id).clone())
        }
        other => panic!("{other:?}"),
    };
    let refused_by = |namespace: &str| Reason::Isolated(vec![format!("{namespace}/closed").into()]);
    let none = audited(&both, &[]);
    assert!(matches!(from_x(&none), Decision::Drop(Direction::Egress, _)));
    // The source's policies are not carried out; the destination's are.
    let source = audited(&both, &["x"]);
    assert!(matches!(from_x(&source), Decision::Drop(..)));
    assert_eq!(why(&source, from_x(&source)), (Direction::Ingress, refused_by("z")));
    let destination = audited(&both, &["z"]);
    assert!(matches!(from_x(&destination), Decision::Drop(Direction::Egress, _)));
    let all = audited(&both, &["x", "z"]);
    assert!(matches!(from_x(&all), Decision::WouldDrop(..)) && from_x(&all).passes());
    assert_eq!(why(&all, from_x(&all)), (Direction::Egress, refused_by("x")));
    // Only the destination refuses.
    let open = audited(&[other, &z], &["z"]);
    assert_eq!(why(&open, from_x(&open)), (Direction::Ingress, refused_by("z")));
    assert!(from_x(&open).passes());
    // Nobody knows whose the address is: it is not in the namespace.
    assert_eq!(all.judge(&tcp("10.1.1.77", WEB, 80), false), Decision::Unknown(Direction::Egress));
}
