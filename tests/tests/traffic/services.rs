//! Services: who a policy sees before and after kube-proxy's translations.

use std::net::SocketAddr;

use policy_core::model::Protocol::{self, Tcp, Udp};
use tests::netns::{Dial, Forwarded, Place, kube_proxy};

use super::stage::{
    BOTH, CLIENT, DB, FAR, NEAR, ONE, STRANGER, Stage, TWO, V, WEB, address, at, cut_off, policy, within,
};

/// A Service's own address.
fn virtual_ip(number: u8, family: V, port: u16) -> SocketAddr {
    match family {
        V::Four => format!("10.96.0.{number}:{port}").parse().unwrap(),
        V::Six => format!("[fd96::{number}]:{port}").parse().unwrap(),
    }
}

fn cluster_ip(number: u8, protocol: Protocol, endpoint: SocketAddr) -> Forwarded {
    let family = if endpoint.is_ipv4() { V::Four } else { V::Six };
    Forwarded { protocol, at: virtual_ip(number, family, 80), node_port: None, masquerade: false, endpoint }
}

fn on_both_nodes(stage: &Stage, services: &[Forwarded]) {
    for node in [ONE, TWO] {
        stage.network.nft(node, &kube_proxy(services)).unwrap();
    }
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn behind_a_cluster_ip_the_pod_counts() {
    within(60, || {
        // NP-23: near may reach web and far at the port on which they listen, not at the Service's.
        let stage = Stage::new(&policy(
            "near",
            "near",
            "policyTypes: [Egress], egress: [{to: [{podSelector: {matchExpressions: \
             [{key: app, operator: In, values: [web, far]}]}}], ports: [{port: 8080}, {port: 8080, protocol: UDP}]}]",
        ));
        let mut services = Vec::new();
        let mut wanted: Vec<(Dial, bool)> = Vec::new();
        for (family, protocol) in BOTH.into_iter().flat_map(|family| [(family, Tcp), (family, Udp)]) {
            let behind = [
                (1, at(WEB, family, 8080)),
                (2, at(FAR, family, 8080)),
                (3, at(DB, family, 8080)),
                (4, at(WEB, family, 81)),
            ];
            services.extend(behind.map(|(number, endpoint)| cluster_ip(number, protocol, endpoint)));
            let dial = |number| Stage::dial(NEAR, virtual_ip(number, family, 80), protocol);
            wanted.extend([(dial(1), true), (dial(2), true), (dial(3), false), (dial(4), false)]);
            // Who is not isolated gets everywhere by the same Services.
            let dial = |number| Stage::dial(FAR, virtual_ip(number, family, 80), protocol);
            wanted.extend([(dial(1), true), (dial(3), true), (dial(4), true)]);
        }
        on_both_nodes(&stage, &services);
        stage.expect(&wanted);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_pod_reaches_itself_through_a_service() {
    within(60, || {
        // NP-18: nothing else gets in or out.
        let stage = Stage::new(&cut_off("web"));
        let services: Vec<Forwarded> = BOTH
            .into_iter()
            .flat_map(|family| {
                [(1, Tcp, WEB), (1, Udp, WEB), (2, Tcp, NEAR)]
                    .map(|(number, protocol, behind)| cluster_ip(number, protocol, at(behind, family, 8080)))
            })
            .collect();
        on_both_nodes(&stage, &services);
        for family in BOTH {
            let itself = [Tcp, Udp].map(|protocol| Stage::dial(WEB, virtual_ip(1, family, 80), protocol));
            let seen = stage.answered(&itself);
            assert_eq!(seen, [address(ONE, family), address(ONE, family)], "the node has put its own address there");
            stage.silent(&[Stage::dial(WEB, virtual_ip(2, family, 80), Tcp)]);
            stage.silent(&[Stage::dial(NEAR, virtual_ip(1, family, 80), Tcp)]);
        }
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_node_port_shows_the_client_unless_another_node_masquerades() {
    within(60, || {
        let admit_client = format!("ingress: [{{from: [{{ipBlock: {{cidr: {CLIENT}/32}}}}]}}]");
        let mut stage = Stage::new(&policy("web", "web", &admit_client));
        let node_port = |port, masquerade| Forwarded {
            protocol: Tcp,
            at: virtual_ip(1, V::Four, port),
            node_port: Some(port),
            masquerade,
            endpoint: at(WEB, V::Four, 8080),
        };
        on_both_nodes(&stage, &[node_port(30_080, true), node_port(30_081, false)]);
        let dial = |source: &str, node, port| Dial {
            source: Some(source.parse().unwrap()),
            ..Stage::dial(Place::Outside, at(node, V::Four, port), Tcp)
        };
        // NP-24: the hook of the pod's own node comes before masquerading, and sees the client; web sees the node.
        assert_eq!(stage.answered(&[dial(CLIENT, ONE, 30_080)]), [address(ONE, V::Four)]);
        // NP-25.
        assert_eq!(stage.answered(&[dial(CLIENT, ONE, 30_081)]), [CLIENT.parse::<std::net::IpAddr>().unwrap()]);
        // By another node, that node is the client.
        let by_two = dial(CLIENT, TWO, 30_080);
        stage.silent(&[dial(STRANGER, ONE, 30_080), dial(STRANGER, ONE, 30_081), by_two]);
        stage.enforce(&policy("web", "web", "ingress: [{from: [{ipBlock: {cidr: 192.168.50.2/32}}]}]"));
        assert_eq!(stage.answered(&[by_two]), [address(TWO, V::Four)]);
        stage.silent(&[dial(CLIENT, ONE, 30_080), dial(STRANGER, ONE, 30_081)]);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn the_own_node_gets_in_by_its_node_port_and_by_cluster_ip() {
    within(60, || {
        // NP-19 and NP-24: the client is a process of web's own node.
        let stage = Stage::new(&cut_off("web"));
        let mut services = Vec::new();
        for family in BOTH {
            let endpoint = at(WEB, family, 8080);
            services.push(Forwarded { node_port: Some(30_080), masquerade: true, ..cluster_ip(1, Tcp, endpoint) });
        }
        on_both_nodes(&stage, &services);
        for family in BOTH {
            let of_node =
                |node| [at(node, family, 30_080), virtual_ip(1, family, 80)].map(|to| Stage::dial(node, to, Tcp));
            assert_eq!(stage.answered(&of_node(ONE)), [address(ONE, family); 2]);
            stage.silent(&of_node(TWO));
        }
    });
}
