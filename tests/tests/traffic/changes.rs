//! Policies, pods and addresses that change under traffic.

use std::io::{ErrorKind, Read as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use enforcer::datapath::{Cause, Mode};
use policy_core::model::Protocol::{Tcp, Udp};
use tests::netns::{Dial, Place};

use super::stage::{
    BOTH, DB, FAR, NEAR, ONE, SILENCE, SPARE, Stage, V, WEB, at, cut_off, ground, pod, pods, policy, programs, within,
};
use super::stream::Streams;

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_new_deny_cuts_open_connections_at_once() {
    within(90, || {
        let mut stage = Stage::new("");
        let [four, six] = BOTH;
        // From the own node, across nodes, and outwards from the pod that is cut off.
        let ends = [
            (NEAR, at(WEB, four, 80)),
            (FAR, at(WEB, six, 80)),
            (WEB, at(DB, four, 80)),
            (Place::Outside, at(WEB, four, 80)),
        ];
        let mut streams = ends.map(|(from, to)| stage.connect(from, to));
        let mut byte = [0];
        for stream in &mut streams {
            stream.write_all(b"a").unwrap();
            stream.read_exact(&mut byte).unwrap();
        }
        // Until the last acknowledgements are through.
        thread::sleep(Duration::from_millis(300));
        stage.enforce(&cut_off("web"));
        let arrived = |stage: &Stage| [WEB, DB].map(|place| stage.counter(place, ("Tcp", "InSegs")));
        let before = arrived(&stage);
        for stream in &mut streams {
            stream.write_all(b"b").unwrap();
        }
        for (stream, end) in streams.iter_mut().zip(ends) {
            stream.set_read_timeout(Some(SILENCE)).unwrap();
            assert_eq!(stream.read_exact(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock, "{end:?}");
        }
        assert_eq!(arrived(&stage), before, "something got through, if no answer did");
        // No table of connections has forgotten them.
        stage.enforce("");
        for stream in &mut streams {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"b");
        }
    });
}

/// Two sets of policies. Both let near at 80 of web and refuse db, and far at 9090; 81 and 8080 are let through by one of
/// them only. The second one has more of everything, so that numbers in the tables are others.
pub(crate) fn one_and_other() -> [String; 2] {
    let admit = |app: &str, port: u16| {
        format!(
            "{{from: [{{podSelector: {{matchLabels: {{app: {app}}}}}}}], \
             ports: [{{port: {port}}}, {{port: {port}, protocol: UDP}}]}}"
        )
    };
    let [near, far, far_81, near_8080] = [admit("near", 80), admit("far", 81), admit("near", 81), admit("far", 8080)];
    let one = policy("p", "web", &format!("ingress: [{near}, {far}]"));
    let block = "{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.200.0.0/16]}}]}, {to: [{ipBlock: {cidr: 'fd00::/8'}}]}";
    let other = [
        policy("p0", "near", &format!("policyTypes: [Egress], egress: [{block}]")),
        policy("p1", "web", &format!("ingress: [{far_81}, {near_8080}]")),
        policy("p2", "web", &format!("policyTypes: [Ingress, Egress], ingress: [{near}], egress: [{block}]")),
        policy(
            "p3",
            "far",
            "policyTypes: [Egress], egress: [{ports: [{port: 70, endPort: 9000}, {port: 70, endPort: 9000, protocol: UDP}]}]",
        ),
    ];
    [one, other.concat()]
}

/// What holds under the first or the second of them.
pub(crate) fn of_one_or_other(which: usize) -> Vec<(Dial, bool)> {
    let is_first = which == 0;
    let of_family = |family| {
        let dial = |from, port| Stage::dial(from, at(WEB, family, port), Udp);
        [
            (dial(NEAR, 80), true),
            (dial(FAR, 81), is_first),
            (dial(NEAR, 81), !is_first),
            (dial(FAR, 8080), !is_first),
            (dial(DB, 80), false),
        ]
    };
    BOTH.into_iter().flat_map(of_family).collect()
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn while_policies_change_traffic_is_judged_by_the_old_or_the_new_ones() {
    within(120, || {
        let sets = one_and_other();
        let mut stage = Stage::new(&sets[0]);
        let compiled = sets.each_ref().map(|set| programs(&(ground() + &pods() + set)));
        let web = |family, port| at(WEB, family, port);
        let open = BOTH.map(|family| (NEAR, web(family, 80)));
        let closed =
            [(DB, web(V::Four, 80)), (NEAR, web(V::Six, 9090)), (FAR, web(V::Four, 9090)), (FAR, web(V::Six, 80))];
        let timeouts = stage.counter(NEAR, ("TcpExt", "TCPTimeouts"));
        let streams = Streams::start(&stage, &open, &closed);
        let begun = Instant::now();
        let (mut changes, mut connections) = (0, 0);
        while begun.elapsed() < Duration::from_secs(6) {
            let enforcers = stage.enforcers.as_mut().unwrap();
            for (at, program) in compiled[(changes + 1) % 2].iter().enumerate() {
                enforcers.publish(at, program).unwrap();
            }
            changes += 1;
            let dials = BOTH.map(|family| Stage::dial(NEAR, web(family, 80), Tcp));
            connections += stage.answered(&dials).len();
        }
        streams.end(100);
        println!("{changes} changes, {connections} connections");
        assert!(changes > 20, "only {changes} changes");
        assert_eq!(
            stage.counter(NEAR, ("TcpExt", "TCPTimeouts")),
            timeouts,
            "a packet of an admitted connection was lost"
        );
        for (set, which) in sets.iter().zip(0..) {
            stage.enforce(set);
            stage.expect(&of_one_or_other(which));
        }
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn an_address_that_goes_to_another_pod_takes_no_rights_along() {
    within(60, || {
        let admit_near = policy("web", "web", "ingress: [{from: [{podSelector: {matchLabels: {app: near}}}]}]");
        let policies =
            admit_near + &policy("db", "db", "ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]");
        let mut stage = Stage::new(&policies);
        let dials = |from, to| BOTH.map(|family| Stage::dial(from, at(to, family, 80), Tcp));
        let grid = |stage: &Stage, wanted: [(Place, Place, bool); 3]| {
            let wanted = wanted.into_iter().flat_map(|(from, to, wanted)| dials(from, to).map(|dial| (dial, wanted)));
            stage.expect(&wanted.collect::<Vec<(Dial, bool)>>());
        };
        grid(&stage, [(NEAR, WEB, true), (FAR, WEB, false), (WEB, DB, true)]);
        let mut old = stage.connect(WEB, at(DB, V::Four, 80));
        // The pod web is gone, and its address is that of a pod of another app.
        let others = pod("near", "near", "one", NEAR) + &pod("far", "far", "two", FAR) + &pod("db", "db", "two", DB);
        stage.publish(&(ground() + &others + &pod("guest", "guest", "one", WEB) + &policies));
        grid(&stage, [(NEAR, WEB, true), (FAR, WEB, true), (WEB, DB, false)]);
        old.set_read_timeout(Some(SILENCE)).unwrap();
        old.write_all(b"x").unwrap();
        assert_eq!(old.read_exact(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_pod_of_which_nobody_knows_yet_is_cut_off() {
    within(60, || {
        let mut stage = Stage::new("");
        let others = [NEAR, FAR, Place::Outside];
        let both_ways = |other| {
            BOTH.into_iter().flat_map(move |family| {
                [Stage::dial(SPARE, at(other, family, 80), Tcp), Stage::dial(other, at(SPARE, family, 80), Tcp)]
            })
        };
        let dials: Vec<Dial> = others.into_iter().flat_map(both_ways).collect();
        stage.silent(&dials);
        assert!(stage.tally(0, Cause::UnknownPod).dropped >= dials.len() as u64);
        assert_eq!(stage.tally(1, Cause::UnknownPod).dropped, 0, "only its own node waits for it");
        stage.set_mode(Mode { unknown_pods_pass: true, ..Mode::default() });
        stage.answered(&dials);
        stage.set_mode(Mode::default());
        stage.silent(&dials);
        let spare = pod("spare", "spare", "one", SPARE);
        stage.publish(&(ground() + &pods() + &spare));
        stage.answered(&dials);
        // Known, it is judged like any other.
        stage.publish(&(ground() + &pods() + &spare + &cut_off("spare")));
        stage.silent(&dials);
        stage.answered(&BOTH.map(|family| Stage::dial(ONE, at(SPARE, family, 80), Tcp)));
    });
}
