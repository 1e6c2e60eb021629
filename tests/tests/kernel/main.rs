//! The program in the kernel judges packets as its model does, and as the reference does. Needs root and a kernel with
//! `BPF_PROG_TYPE_NETFILTER`.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bytes;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bytes::the_long_way;
use enforcer::datapath::{Capacity, Cause, Datapath};
use fixtures::strategy::{Case, case, tiered_case};
use policy_core::analysis::Analysis;
use policy_core::ids::NodeId;
use policy_core::model::{Family, Flow, Judge, Party, Protocol, Verdict};
use policy_core::node_program::{Decision, HostSide, NodeProgram, NodePrograms, Packet, Transport};
use policy_core::spec::Spec;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::strategy::Strategy;
use tests::frame::{frame, hook, passes};
use tests::property::{cases, check};
use tests::settled::{as_enforced, audit, settled};

/// The kernel's program; a kernel that does not take it fails the test.
fn datapath() -> Datapath {
    match Datapath::load(Capacity::default()) {
        Ok(datapath) => datapath,
        Err(error) => panic!("{error}"),
    }
}

/// At most this many packets are asked about one node of one case.
const PACKETS: usize = 600;

/// Packets between the pods of a node and all addresses that stand in its tables or at the edges of its ranges, on ports
/// of every class.
fn grid(program: &NodeProgram) -> Vec<Packet> {
    let local = program.ends.iter().filter(|(_, end)| end.local).map(|(ip, _)| *ip);
    let local: Vec<IpAddr> = local.collect();
    let mut others: BTreeSet<IpAddr> = program.ends.keys().copied().collect();
    for (net, _) in &program.generation.blocks {
        others.extend([net.network(), net.broadcast()]);
    }
    let of_sample = |sample: Option<(Protocol, u16)>| {
        sample.map_or(Transport::Other, |(protocol, port)| Transport::Port(protocol, port))
    };
    let transports: Vec<Transport> = program.generation.ports.samples().into_iter().map(of_sample).collect();
    let mut packets = Vec::new();
    for here in &local {
        for there in others.iter().filter(|ip| Family::of(**ip) == Family::of(*here)) {
            for transport in &transports {
                let packet = |source, destination, host| Packet { source, destination, transport: *transport, host };
                packets.push(packet(*here, *there, HostSide::Neither));
                packets.push(packet(*there, *here, HostSide::Neither));
                packets.push(packet(*here, *there, HostSide::Destination));
                packets.push(packet(*there, *here, HostSide::Source));
            }
        }
    }
    let stride = packets.len() / PACKETS + 1;
    packets.into_iter().step_by(stride).collect()
}

/// How many packets policies have refused in vain.
fn audits(datapath: &Datapath) -> u64 {
    datapath
        .causes()
        .unwrap()
        .into_iter()
        .filter(|(cause, _)| *cause == Cause::Policy)
        .map(|(_, tally)| tally.audited)
        .sum()
}

/// Connections between the pods of a node, and between them and addresses at the edges of its ranges, on ports of every
/// class.
fn connections(analysis: &Analysis, node: NodeId, program: &NodeProgram) -> Vec<Flow> {
    let pods = analysis.cluster.pods.iter().filter(|(_, pod)| pod.node == Some(node));
    let local: Vec<Party> = pods.map(|(pod, _)| Party::Pod(pod)).collect();
    let edges = program.generation.blocks.iter().flat_map(|(net, _)| [net.network(), net.broadcast()]);
    let outside = edges.filter(|ip| !program.ends.contains_key(ip)).map(Party::Address);
    let others: Vec<Party> = local.iter().copied().chain(outside).collect();
    let ports: Vec<(Protocol, u16)> =
        program.generation.ports.samples().into_iter().flatten().filter(|(_, port)| *port > 0).collect();
    let mut flows = Vec::new();
    for (here, there) in local.iter().flat_map(|here| others.iter().map(|there| (*here, *there))) {
        let families = match there {
            Party::Address(address) => vec![Family::of(address)],
            _ => Family::ALL.to_vec(),
        };
        for (family, (protocol, port)) in families.iter().flat_map(|family| ports.iter().map(|port| (*family, *port))) {
            flows.push(Flow::direct(here, there, family, protocol, port));
            flows.push(Flow::direct(there, here, family, protocol, port));
        }
    }
    let stride = flows.len() / PACKETS + 1;
    flows.into_iter().step_by(stride).collect()
}

/// How many packets were asked about, and how many flows.
fn agree<S: Strategy<Value = Case>>(usual: u32, strategy: &S) -> (u64, u64) {
    let datapath = RefCell::new(datapath());
    let (asked, flows) = (Cell::new(0_u64), Cell::new(0_u64));
    let counts: RefCell<BTreeMap<bool, u64>> = RefCell::default();
    let spared = Cell::new(0_u64);
    check(usual, &(strategy, any::<u8>(), any::<u8>()), |(case, some, others)| {
        let profile = as_enforced(&case.profile);
        let analysis = Analysis::new(settled(case.cluster.clone()), profile.clone());
        let spec = Spec::new(&analysis.cluster, &profile);
        let programs = NodePrograms::build(&analysis).unwrap();
        let audited = NodePrograms::build_with(&analysis, &audit(&analysis.cluster, some & others)).unwrap();
        let mut datapath = datapath.borrow_mut();
        for node in analysis.cluster.nodes.ids() {
            let program = audited.get(node).unwrap();
            datapath.publish(program).unwrap();
            let (told, mut would_drop) = (audits(&datapath), 0);
            for packet in grid(program) {
                let wanted = program.judge(&packet, false);
                prop_assert_eq!(
                    passes(&datapath, &packet).unwrap(),
                    wanted.passes(),
                    "{:?} {:?} {:?}",
                    packet,
                    wanted,
                    datapath.causes().unwrap()
                );
                let frame = the_long_way(frame(&packet));
                let (passed, _) = datapath.test(&frame, hook(packet.host), 1).unwrap();
                prop_assert_eq!(passed, wanted.passes(), "the long way: {:?} {:?}", packet, wanted);
                // By both ways.
                would_drop += if matches!(wanted, Decision::WouldDrop(..)) { 2 } else { 0 };
                *counts.borrow_mut().entry(wanted.passes()).or_default() += 1;
                asked.set(asked.get() + 1);
            }
            prop_assert_eq!(audits(&datapath) - told, would_drop);
            spared.set(spared.get() + would_drop);
            datapath.publish(programs.get(node).unwrap()).unwrap();
            for flow in &[case.flows.clone(), connections(&analysis, node, program)].concat() {
                // What one node alone decides must be what the reference, the tables and the model say.
                let Ok(packets) = programs.packets(&analysis, flow) else { continue };
                let [(at, packet)] = packets.as_slice() else { continue };
                let Ok(of_model) = programs.judge(&analysis, flow) else { continue };
                if *at != node {
                    continue;
                }
                let wanted = spec.judge(flow).verdict;
                prop_assert_eq!(analysis.judge(flow).verdict, wanted, "{:?}", flow);
                if matches!(wanted, Verdict::Allowed | Verdict::Denied) {
                    prop_assert_eq!(of_model, wanted, "{:?}", flow);
                    prop_assert_eq!(passes(&datapath, packet).unwrap(), wanted == Verdict::Allowed, "{:?}", flow);
                    flows.set(flows.get() + 1);
                }
            }
        }
        Ok(())
    });
    // Both tests together ask 100,000 questions and more.
    let (asked, flows) = (asked.get(), flows.get());
    assert!(cases(usual) < usual || asked >= 50_000 && flows >= 5_000, "only {asked} and {flows} questions");
    assert!(spared.get() >= 1_000, "only {} packets of audited ends were refused", spared.get());
    let counts = counts.into_inner();
    for passed in [true, false] {
        assert!(counts.get(&passed).copied().unwrap_or_default() * 5 >= counts.values().sum(), "{counts:?}");
    }
    (asked, flows)
}

#[test]
#[ignore = "loads a program into the kernel: needs root; ./test runs it"]
fn the_kernel_judges_as_the_model_and_the_reference_do() {
    let (packets, flows) = agree(120, &case(48));
    println!("{packets} packets as the model says, {flows} flows as all four say");
}

#[test]
#[ignore = "loads a program into the kernel: needs root; ./test runs it"]
fn the_kernel_judges_tiers_as_the_model_and_the_reference_do() {
    let (packets, flows) = agree(80, &tiered_case(48));
    println!("{packets} packets as the model says, {flows} flows as all four say");
}
