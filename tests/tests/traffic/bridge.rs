//! Pods of a node that hang on one bridge: their packets pass netfilter only if the kernel is told so.

use policy_core::model::Protocol::{Tcp, Udp};
use tests::netns::{Dial, Enforcers};

use super::stage::{BOTH, FAR, NEAR, ONE, Stage, WEB, at, policy, within};

const SETTINGS: [&str; 2] = ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"];

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn pods_on_one_bridge_are_judged_when_the_bridge_asks_netfilter() {
    within(60, || {
        let mut stage = Stage::bare(true);
        let set = |value| {
            for name in SETTINGS {
                if let Err(error) = stage.network.at(ONE).unwrap().set(name, value) {
                    panic!("this kernel has no br_netfilter, without which bridged pods are not judged: {error}");
                }
            }
        };
        set("1");
        stage.enforcers = Some(Enforcers::attach(&stage.network).unwrap());
        // Egress too: a pod that may open nothing still has to say where it is, or nobody finds it (IPv6).
        let admit = |app| {
            let from = format!("{{from: [{{podSelector: {{matchLabels: {{app: {app}}}}}}}], ports: [{{port: 80}}]}}");
            format!("policyTypes: [Ingress, Egress], ingress: [{from}]")
        };
        stage.enforce(&policy("web", "web", &admit("near")));
        let dials = |from, port, protocol| BOTH.map(|family| Stage::dial(from, at(WEB, family, port), protocol));
        let wanted = |open: [[Dial; 2]; 1], closed: &[[Dial; 2]]| -> Vec<(Dial, bool)> {
            let open = open.into_iter().flatten().map(|dial| (dial, true));
            open.chain(closed.iter().flatten().map(|dial| (*dial, false))).collect()
        };
        stage.expect(&wanted(
            [dials(NEAR, 80, Tcp)],
            &[dials(NEAR, 81, Tcp), dials(NEAR, 80, Udp), dials(FAR, 80, Tcp)],
        ));
        stage.enforce(&policy("web", "web", &admit("far")));
        stage.expect(&wanted([dials(FAR, 80, Tcp)], &[dials(NEAR, 80, Tcp), dials(NEAR, 81, Tcp)]));
        // What the setting is for: without it nobody sees these packets.
        for name in SETTINGS {
            stage.network.at(ONE).unwrap().set(name, "0").unwrap();
        }
        stage.answered(&dials(NEAR, 80, Tcp));
    });
}
