//! Tables that are full, or too small.

use std::net::IpAddr;

use enforcer::datapath::{Capacity, Datapath};
use policy_core::model::{Family, Protocol};
use policy_core::node_program::{Decision, HostSide, NodeProgram, Packet, Transport};
use tests::frame::passes;
use tests::netns::Enforcers;

use super::changes::{of_one_or_other, one_and_other};
use super::stage::{BOTH, DB, FAR, NEAR, Stage, V, WEB, at, ground, pods, policy, programs, within};
use super::stream::Streams;

/// What a program needs, with no room for anything else.
fn exactly(program: &NodeProgram) -> Capacity {
    let generation = &program.generation;
    Capacity {
        identities: generation.identities.len(),
        rows: generation.rows.len(),
        cells: generation.cells.len(),
        reasons: generation.reasons.len(),
    }
}

/// The kernel has the whole program: between all that it knows, on ports of all classes, it judges like it.
fn holds(datapath: &Datapath, program: &NodeProgram) {
    let ports = [70, 79, 80, 81, 8080, 9000, 9090];
    let protocols = [Protocol::Tcp, Protocol::Udp];
    let transports: Vec<Transport> =
        protocols.into_iter().flat_map(|protocol| ports.map(|port| Transport::Port(protocol, port))).collect();
    let local = program.ends.iter().filter(|(_, end)| end.local).map(|(ip, _)| *ip);
    let edges = program.generation.blocks.iter().map(|(net, _)| net.network());
    let others: Vec<IpAddr> = program.ends.keys().copied().chain(edges).collect();
    for (here, there) in local.flat_map(|here| others.iter().map(move |there| (here, *there))) {
        for (source, destination) in
            [(here, there), (there, here)].into_iter().filter(|_| Family::of(here) == Family::of(there))
        {
            for transport in &transports {
                let packet = Packet { source, destination, transport: *transport, host: HostSide::Neither };
                let wanted = program.judge(&packet, false) == Decision::Pass;
                assert_eq!(passes(datapath, &packet).unwrap(), wanted, "{packet:?}");
            }
        }
    }
}

fn streams(stage: &Stage) -> Streams {
    let web = |family, port| at(WEB, family, port);
    let open = BOTH.map(|family| (NEAR, web(family, 80)));
    Streams::start(stage, &open, &[(DB, web(V::Four, 80)), (FAR, web(V::Six, 80)), (FAR, web(V::Four, 9090))])
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn what_does_not_fit_is_refused_whole_and_what_just_fits_holds() {
    within(120, || {
        let [small, large] = one_and_other().map(|set| programs(&(ground() + &pods() + &set)));
        let near_only = policy(
            "p",
            "web",
            "ingress: [{from: [{podSelector: {matchLabels: {app: near}}}], ports: [{port: 80, protocol: UDP}]}]",
        );
        let smaller = programs(&(ground() + &pods() + &near_only));
        let exact = exactly(&large[0]);
        let mut stage = Stage::bare(false);
        let attach = |stage: &mut Stage, capacity: Capacity| {
            stage.enforcers = None;
            let of_node = |node| if node == 0 { capacity } else { Capacity::default() };
            let mut enforcers = Enforcers::attach_with(&stage.network, of_node).unwrap();
            small.iter().enumerate().for_each(|(node, program)| enforcers.publish(node, program).unwrap());
            stage.enforcers = Some(enforcers);
        };
        for (what, capacity) in [
            ("identities", Capacity { identities: exact.identities - 1, ..exact }),
            ("pairs of policies and peers", Capacity { rows: exact.rows - 1, ..exact }),
            ("cells of rows", Capacity { cells: exact.cells - 1, ..exact }),
            ("reasons", Capacity { reasons: exact.reasons - 1, ..exact }),
        ] {
            attach(&mut stage, capacity);
            let streams = streams(&stage);
            let enforcers = stage.enforcers.as_mut().unwrap();
            for _ in 0..50 {
                let said = enforcers.publish(0, &large[0]).unwrap_err().to_string();
                assert!(said.contains(what) && said.ends_with("nothing was changed"), "{said}");
            }
            stage.expect(&of_one_or_other(0));
            // Nor is anything left for the next publications, which write to both slots.
            let enforcers = stage.enforcers.as_mut().unwrap();
            for program in [&smaller[0], &small[0], &smaller[0], &small[0]] {
                enforcers.publish(0, program).unwrap();
            }
            stage.expect(&of_one_or_other(0));
            streams.end(50);
        }
        // To the last element of both slots: the small one in between comes once and twice.
        attach(&mut stage, exact);
        let streams = streams(&stage);
        for program in [&large[0], &small[0], &large[0], &smaller[0], &small[0], &large[0], &small[0], &large[0]] {
            let enforcers = stage.enforcers.as_mut().unwrap();
            enforcers.publish(0, program).unwrap();
            holds(enforcers.of(0).unwrap(), program);
        }
        stage.expect(&of_one_or_other(1));
        streams.end(100);
    });
}

/// Pods of nobody's concern, so many of them, on node two; other addresses for another `series`.
fn crowd(count: usize, series: u8) -> String {
    let one = |number: usize| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: crowd-{number}, namespace: shop, labels: {{app: crowd}}}}, \
             spec: {{nodeName: two, containers: [{{name: main, image: none}}]}}, status: {{phase: Running, \
             podIP: 10.9.{series}.{number}, podIPs: [{{ip: 10.9.{series}.{number}}}, {{ip: 'fd09:{series}::{number}'}}]}}}}\n---\n"
        )
    };
    (1..=count).map(one).collect()
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn tables_of_addresses_are_filled_to_the_brim_and_grow() {
    within(120, || {
        let sets = one_and_other();
        let mut stage = Stage::new(&sets[0]);
        let ends =
            |program: &NodeProgram| program.ends.keys().filter(|address| Family::of(**address) == Family::V4).count();
        let few = ends(&programs(&(ground() + &pods() + &sets[0]))[0]);
        let streams = streams(&stage);
        // A slot has room for 64 addresses at first, for half as many again as it needs whenever it has to grow.
        let room = [(64, 1), (64, 2), (65, 2), (97, 3), (97, 4), (64, 5), (98, 5), (30, 6)];
        for (at, (all, series)) in room.into_iter().enumerate() {
            let manifests = ground() + &pods() + &crowd(all - few, series) + &sets[at % 2];
            assert_eq!(ends(&programs(&manifests)[0]), all);
            stage.publish(&manifests);
            stage.expect(&of_one_or_other(at % 2));
        }
        streams.end(100);
    });
}
