//! Pods, their nodes, other nodes.

use policy_core::model::Protocol::{Tcp, Udp};
use tests::netns::{Dial, Place};

use super::stage::{BOTH, DB, FAR, NEAR, ONE, Stage, TWO, WEB, at, cut_off, policy, within};

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn policies_hold_on_one_node_and_across_two() {
    within(60, || {
        let stage = Stage::new(&policy(
            "web",
            "web",
            "ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [near, far]}]}}], \
             ports: [{port: 80}, {port: 81, protocol: UDP}]}]",
        ));
        let mut wanted = Vec::new();
        for family in BOTH {
            for (from, is_peer) in [(NEAR, true), (FAR, true), (DB, false), (Place::Outside, false)] {
                let dial = |port, protocol| Stage::dial(from, at(WEB, family, port), protocol);
                wanted.push((dial(80, Tcp), is_peer));
                wanted.push((dial(81, Udp), is_peer));
                wanted.push((dial(81, Tcp), false));
                wanted.push((dial(80, Udp), false));
            }
            // Nobody isolates the others, and replies to what web opens need no rule (NP-29).
            wanted.extend([NEAR, FAR, DB, Place::Outside].map(|to| (Stage::dial(WEB, at(to, family, 80), Tcp), true)));
            wanted.push((Stage::dial(DB, at(NEAR, family, 80), Udp), true));
        }
        stage.expect(&wanted);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_node_reaches_its_own_pods_and_they_reach_it_whatever_policies_say() {
    within(60, || {
        let stage = Stage::new(&cut_off("web"));
        let mut wanted = Vec::new();
        for (family, protocol) in BOTH.into_iter().flat_map(|family| [(family, Tcp), (family, Udp)]) {
            let dial = |from, to| Stage::dial(from, at(to, family, 80), protocol);
            // NP-19.
            wanted.push((dial(ONE, WEB), true));
            wanted.push((dial(WEB, ONE), true));
            // NP-20: another node is an address like any other.
            wanted.push((dial(TWO, WEB), false));
            wanted.push((dial(WEB, TWO), false));
            // NP-18.
            wanted.push((dial(WEB, WEB), true));
            wanted.push((dial(WEB, NEAR), false));
            wanted.push((dial(FAR, WEB), false));
            wanted.push((dial(Place::Outside, WEB), false));
        }
        stage.expect(&wanted);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn other_nodes_are_admitted_by_their_addresses() {
    within(60, || {
        let stage = Stage::new(&policy(
            "web",
            "web",
            "policyTypes: [Ingress, Egress], ingress: [{from: [{ipBlock: {cidr: 192.168.50.2/32}}]}], \
             egress: [{to: [{ipBlock: {cidr: 192.168.50.2/32}}, {ipBlock: {cidr: 'fd50::2/128'}}]}]",
        ));
        let [four, six] = BOTH;
        let wanted: [(Dial, bool); 4] = [
            (Stage::dial(TWO, at(WEB, four, 80), Tcp), true),
            (Stage::dial(TWO, at(WEB, six, 80), Tcp), false),
            (Stage::dial(WEB, at(TWO, four, 80), Tcp), true),
            (Stage::dial(WEB, at(TWO, six, 80), Tcp), true),
        ];
        stage.expect(&wanted);
    });
}
