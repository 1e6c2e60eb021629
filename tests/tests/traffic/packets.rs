//! Packets that open no connection: pings, errors about other packets, fragments.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use enforcer::datapath::Cause;
use tests::netns::{Place, ping};

use super::stage::{BOTH, DB, FAR, NEAR, ONE, SILENCE, Stage, TWO, V, WEB, address, at, cut_off, policy, within};

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn pings_pass_where_all_ports_do() {
    within(60, || {
        let mut stage = Stage::new("");
        let pings = |stage: &Stage, from, wanted| {
            for family in BOTH {
                let patience = if wanted { Duration::from_secs(5) } else { SILENCE };
                let answered = ping(&stage.network, from, address(WEB, family), patience).unwrap();
                assert_eq!(answered, wanted, "{from:?} {family:?}");
            }
        };
        for from in [NEAR, FAR, ONE, TWO, Place::Outside] {
            pings(&stage, from, true);
        }
        stage.enforce(&cut_off("web"));
        pings(&stage, NEAR, false);
        pings(&stage, FAR, false);
        pings(&stage, TWO, false);
        // NP-19.
        pings(&stage, ONE, true);
        // A rule without ports is about every protocol, one with ports about theirs (NP-17).
        let near = "from: [{podSelector: {matchLabels: {app: near}}}]";
        let far = "from: [{podSelector: {matchLabels: {app: far}}}], ports: [{port: 80}, {port: 80, protocol: UDP}]";
        stage.enforce(&policy("web", "web", &format!("ingress: [{{{near}}}, {{{far}}}]")));
        pings(&stage, NEAR, true);
        pings(&stage, FAR, false);
        pings(&stage, DB, false);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_sender_behind_policies_is_told_of_a_smaller_link() {
    within(90, || {
        for family in BOTH {
            // Nothing may come in to far but answers, and what belongs to them.
            let stage = Stage::new(&policy(
                "far",
                "far",
                "policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]",
            ));
            let mut stream = stage.connect(FAR, at(WEB, family, 80));
            stage.network.ip(Place::Outside, &["link set n0 mtu 1300".to_owned()]).unwrap();
            let before = stage.tally(1, Cause::Related).passed;
            let block = [7_u8; 8192];
            for _ in 0..8 {
                let mut back = [0; 8192];
                stream.write_all(&block).unwrap();
                stream.read_exact(&mut back).unwrap();
                assert_eq!(back, block);
            }
            assert!(stage.tally(1, Cause::Related).passed > before, "nobody was told: the link was no obstacle");
            stage.silent(&[Stage::dial(WEB, at(FAR, family, 80), policy_core::model::Protocol::Tcp)]);
        }
    });
}

/// A datagram that needs several packets, and whether the answer, which is as long, comes back.
fn large(stage: &Stage, from: Place, to: SocketAddr, patience: Duration) -> bool {
    let source = address(from, if to.is_ipv4() { V::Four } else { V::Six });
    let bind = || UdpSocket::bind((source, 0)).unwrap();
    let socket = stage.network.at(from).unwrap().inside(bind).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send(&[b'x'; 5000]).unwrap();
    let mut buffer = [0; 8192];
    match socket.recv(&mut buffer) {
        Ok(length) => {
            assert_eq!(length, 5000);
            true
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn fragments_share_the_fate_of_their_datagram() {
    within(60, || {
        let stage = Stage::new(&policy("web", "web", "ingress: [{ports: [{port: 80, protocol: UDP}]}]"));
        for followed in [true, false] {
            if !followed {
                // The kernel puts pieces together for us even if it follows no connections.
                for node in [ONE, TWO] {
                    stage.network.nft(node, "delete table inet follow").unwrap();
                }
            }
            for (family, from) in BOTH.into_iter().flat_map(|family| [(family, NEAR), (family, FAR)]) {
                let fragments = || match family {
                    V::Four => stage.counter(WEB, ("Ip", "ReasmReqds")),
                    V::Six => stage.counter6(WEB, "Ip6ReasmReqds"),
                };
                let before = fragments();
                assert!(!large(&stage, from, at(WEB, family, 81), SILENCE), "{from:?} {family:?}");
                assert_eq!(fragments(), before, "{from:?} {family:?}: a piece got through");
                assert!(large(&stage, from, at(WEB, family, 80), Duration::from_secs(5)), "{from:?} {family:?}");
                assert!(fragments() > before, "{from:?} {family:?}: the datagram came in one piece");
            }
        }
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn where_the_kernel_follows_no_connections_less_passes_and_not_more() {
    within(60, || {
        let stage = Stage::new(&policy(
            "web",
            "web",
            "policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: near}}}]}]",
        ));
        let tcp = policy_core::model::Protocol::Tcp;
        let admitted = BOTH.map(|family| Stage::dial(NEAR, at(WEB, family, 80), tcp));
        let refused = [NEAR, DB].map(|to| Stage::dial(WEB, at(to, V::Four, 80), tcp));
        stage.answered(&admitted);
        // The only rule that asks for connections: now an answer looks like the beginning of one.
        stage.network.nft(ONE, "delete table inet follow").unwrap();
        stage.silent(&admitted);
        stage.silent(&refused);
        stage.silent(&[Stage::dial(DB, at(WEB, V::Six, 80), tcp)]);
    });
}
