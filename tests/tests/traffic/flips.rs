//! Policies that flip while packets flow, such that a mix of old and new would let packets through that both refuse, or
//! lose packets that both let through.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use enforcer::datapath::Cause;
use policy_core::model::Protocol::Udp;
use policy_core::node_program::NodeProgram;

use super::stage::{BOTH, FAR, NEAR, ONE, SPARE, Stage, V, WEB, at, ground, pod, pods, policy, programs, within};
use super::stream::{Flood, Streams};

/// Policies that act on the same pods and that no packet here meets: they make tables large and shift their numbers.
fn fillers(count: usize, series: usize) -> String {
    let mut text = String::new();
    for (number, app) in (0..count).zip(["web", "near", "spare"].into_iter().cycle()) {
        let (port, third, fourth) = (10_000 + (number % 7) * 10 + series, number / 250, number % 250);
        let peer = format!(
            "[{{ipBlock: {{cidr: 172.2{series}.{third}.{fourth}/32}}}}, {{ipBlock: {{cidr: 'fd99:{series}::{number}/128'}}}}]"
        );
        let name = format!("filler-{series}-{number}");
        // A policy of both directions: pods that are isolated by another one stay so, and no further one is.
        let spec =
            format!("policyTypes: [Ingress], ingress: [{{from: {peer}, ports: [{{port: {port}, protocol: UDP}}]}}]");
        let _ = write!(text, "{}", policy(&name, app, &spec));
    }
    text
}

/// One of two states. In the first, web is cut off and near does what it likes, in the second it is the other way round: between
/// the two nothing may ever pass, and passes where one of them is taken from the old and the other from the new state. Far
/// and spare talk in both states, each time for another reason.
fn state(second: bool) -> String {
    let (shut, open) = if second { ("near", "web") } else { ("web", "near") };
    let mut text = policy("shut", shut, "policyTypes: [Ingress, Egress]");
    text += &policy("open", open, "policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]");
    let far = "{podSelector: {matchLabels: {app: far}}}";
    let blocks = "{ipBlock: {cidr: 10.2.0.0/30}}, {ipBlock: {cidr: 'fd10:2::/126'}}";
    let ports = if second { ", ports: [{port: 70, endPort: 90, protocol: UDP}]" } else { "" };
    let (ingress, egress) = if second { (far, blocks) } else { (blocks, far) };
    text += &policy(
        "spare",
        "spare",
        &format!(
            "policyTypes: [Ingress, Egress], ingress: [{{from: [{ingress}]{ports}}}], egress: [{{to: [{egress}]{ports}}}]"
        ),
    );
    let count = if second { 420 } else { 300 };
    let fillers = fillers(count, usize::from(second));
    ground() + &pods() + &pod("spare", "spare", "one", SPARE) + &if second { fillers + &text } else { text + &fillers }
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn while_hundreds_of_policies_flip_no_packet_is_judged_by_half_of_them() {
    within(120, || {
        let states: Vec<NodeProgram> = [false, true].map(|second| programs(&state(second)).swap_remove(0)).into();
        let mut stage = Stage::new("");
        let flip = |stage: &mut Stage, at: usize| {
            stage.enforcers.as_mut().unwrap().publish(0, &states[at % 2]).unwrap();
        };
        // That the receivers hear at all.
        stage.publish(&(ground() + &pods() + &pod("spare", "spare", "one", SPARE)));
        let pairs = [(NEAR, WEB, V::Four), (WEB, NEAR, V::Six)];
        let floods = pairs.map(|(from, to, family)| Flood::start(&stage, from, to, family));
        let begun = Instant::now();
        while floods.iter().any(|flood| flood.arrived() == 0) {
            assert!(begun.elapsed() < Duration::from_secs(10), "no datagram arrives where all may pass");
        }
        flip(&mut stage, 0);
        thread::sleep(Duration::from_millis(200));
        floods.iter().for_each(|flood| assert!(flood.arrived() > 0));
        // Some were met before the first tables were there.
        let broken = stage.tally(0, Cause::Tables).dropped;

        let both = |from, to| BOTH.map(|family| (from, at(to, family, 80)));
        let streams = Streams::start(&stage, &[both(FAR, SPARE), both(SPARE, FAR)].concat(), &[]);
        let begun = Instant::now();
        let mut flips = 0;
        let mut longest = Duration::ZERO;
        // A change waits for packets, on a busy machine for long.
        while begun.elapsed() < Duration::from_secs(8) || flips < 30 {
            flips += 1;
            let since = Instant::now();
            flip(&mut stage, flips);
            longest = longest.max(since.elapsed());
            for (flood, pair) in floods.iter().zip(pairs) {
                assert_eq!(flood.arrived(), 0, "{pair:?} passed at flip {flips}, which both states refuse");
            }
        }
        streams.end(100);
        let sent: Vec<u64> = floods.into_iter().map(Flood::end).collect();
        println!("{flips} flips, the longest in {longest:?}, datagrams sent: {sent:?}");
        assert!(sent.iter().all(|sent| *sent > 10_000), "{sent:?}");
        assert_eq!(stage.tally(0, Cause::Tables).dropped, broken, "tables did not hold together");
        stage.answered(&BOTH.map(|family| Stage::dial(ONE, at(WEB, family, 80), Udp)));
    });
}
