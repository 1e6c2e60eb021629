//! A cluster that follows its objects means, after every change, what compiling it anew gives.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fixtures::strategy::{cluster_plan, profile, tiered_cluster_plan};
use policy_core::analysis::Analysis;
use policy_core::compile::compile;
use policy_core::live::{Live, Touched};
use policy_core::lower::{LiveCluster, LowerOptions, lower};
use policy_core::model::Protocol;
use policy_core::node_program::{
    Change, Decision, HostSide, Installed, LiveProgram, MapOp, NodeProgram, Options, Packet, Transport,
};
use policy_core::snapshot::{Object, ObjectKey, Snapshot, SnapshotDelta};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::Index;
use proptest::strategy::Strategy;
use proptest::{prop_assert, prop_assert_eq};
use tests::property::check;
use tests::settled::as_enforced;

/// Objects by name, and in order of their names.
pub(crate) type Objects = BTreeMap<ObjectKey, Object>;

fn watched(snapshot: Snapshot) -> impl Iterator<Item = (ObjectKey, Object)> {
    snapshot.objects.into_iter().filter_map(|object| Some((object.key()?, object)))
}

fn snapshot(objects: &Objects) -> Snapshot {
    Snapshot { objects: objects.values().cloned().collect(), incomplete: false }
}

/// One edit: which object of a pool, or which one that is there goes.
pub(crate) type Edit = (Index, bool);

/// The objects at the beginning, others to take from, and edits, some at once.
pub(crate) fn histories() -> impl Strategy<Value = (Objects, Vec<(ObjectKey, Object)>, Vec<Vec<Edit>>)> {
    let plans = (cluster_plan(), cluster_plan(), tiered_cluster_plan());
    let edits = vec(vec((any::<Index>(), proptest::bool::weighted(0.3)), 1..=3), 1..=12);
    (plans, edits).prop_map(|((first, second, third), edits)| {
        let pool = [&second, &third, &first].into_iter().flat_map(|plan| watched(plan.snapshot())).collect();
        (watched(first.snapshot()).collect(), pool, edits)
    })
}

/// The change that some edits are, worked into the objects too.
pub(crate) fn delta(objects: &mut Objects, pool: &[(ObjectKey, Object)], edits: &[Edit]) -> SnapshotDelta {
    let mut delta = SnapshotDelta::default();
    for (index, goes) in edits {
        let known: Vec<ObjectKey> = objects.keys().cloned().collect();
        if *goes && !known.is_empty() {
            let key = index.get(&known);
            objects.remove(key);
            delta.put.retain(|object: &Object| object.key().as_ref() != Some(key));
            delta.gone.push(key.clone());
        } else if !pool.is_empty() {
            let (key, object) = index.get(pool);
            objects.insert(key.clone(), object.clone());
            delta.put.push(object.clone());
        }
    }
    delta
}

#[test]
fn a_live_cluster_means_what_compiling_it_anew_gives() {
    let (steps, small) = (Cell::new(0_u32), Cell::new(0_u32));
    check(300, &(histories(), profile()), |((mut objects, pool, history), profile)| {
        let options = LowerOptions::default();
        let (mut live, _) = Live::new(snapshot(&objects), options.clone(), profile.clone());
        for edits in history {
            let delta = delta(&mut objects, &pool, &edits);
            let applied = live.apply(delta.clone());
            steps.set(steps.get() + 1);
            small.set(small.get() + u32::from(applied.touched != Touched::Everything));
            let (cluster, _) = lower(&snapshot(&objects), &options);
            let anew = compile(&cluster, &profile).meaning(&cluster);
            prop_assert_eq!(live.compiled().meaning(live.cluster()), anew, "after {:?}", delta);
        }
        Ok(())
    });
    assert!(small.get() * 3 > steps.get(), "too few changes were worked in: {small:?} of {steps:?}");
}

#[test]
fn a_live_cluster_is_what_lowering_gives() {
    check(300, &histories(), |(mut objects, pool, history)| {
        let options = LowerOptions::default();
        let (mut live, _) = LiveCluster::new(snapshot(&objects), options.clone());
        for edits in history {
            let _ = live.apply(delta(&mut objects, &pool, &edits));
        }
        live.renumber();
        let (cluster, _) = lower(&snapshot(&objects), &options);
        let words = |cluster: &policy_core::model::Cluster| {
            format!(
                "{:#?} {:#?} {:#?} {:#?} {:#?} {:#?}",
                cluster.namespaces,
                cluster.nodes,
                cluster.workloads,
                cluster.pods,
                cluster.policies,
                cluster.cluster_policies
            )
        };
        prop_assert_eq!(words(live.cluster()), words(&cluster));
        prop_assert!(live.waste() == 0);
        Ok(())
    });
}

/// Packets between the addresses that a program knows, the first of each range among them.
fn packets(programs: [&NodeProgram; 2]) -> Vec<Packet> {
    let mut addresses: BTreeSet<IpAddr> = programs.iter().flat_map(|program| program.ends.keys().copied()).collect();
    let blocks = programs.iter().flat_map(|program| &program.generation.blocks);
    addresses.extend(blocks.map(|(net, _)| net.network()));
    let mut packets = Vec::new();
    for source in &addresses {
        for destination in addresses.iter().filter(|ip| ip.is_ipv4() == source.is_ipv4()) {
            let port = [1, 53, 80, 81, 443, 8080, 65535][packets.len() % 7];
            let protocol = [Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp][packets.len() % 4];
            let host = [HostSide::Neither, HostSide::Neither, HostSide::Source][packets.len() % 3];
            let transport = Transport::Port(protocol, port);
            packets.push(Packet { source: *source, destination: *destination, transport, host });
        }
    }
    packets
}

/// What becomes of a packet, and why, in words.
fn decided(program: &NodeProgram, packet: &Packet) -> String {
    let decision = program.judge(packet, false);
    match decision {
        Decision::Drop(direction, reason) | Decision::WouldDrop(direction, reason) => {
            format!("{:?} {direction} {}", decision.passes(), program.generation.reasons.at(reason))
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_live_program_judges_as_one_built_anew_and_no_state_between_does_otherwise() {
    let (steps, small, in_place) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u32));
    check(60, &(histories(), profile()), |((mut objects, pool, history), profile)| {
        let (options, profile) = (LowerOptions::default(), as_enforced(&profile));
        let (mut live, _) = Live::new(snapshot(&objects), options.clone(), profile.clone());
        let Some(name) = live.cluster().nodes.values().next().map(|node| node.name.clone()) else { return Ok(()) };
        let node = live.node(&name).unwrap();
        let mut program = LiveProgram::new(&live, node, Options::default()).unwrap();
        let mut installed = Installed::default();
        let mut change = Change::Everything;
        for edits in history {
            for at in [true, false] {
                // What is installed follows, write by write.
                let before = installed.clone();
                installed.note(&change);
                let steps = installed.reconcile(program.program());
                let slot = steps.last().map(|step| step.slot);
                in_place.set(in_place.get() + u32::from(!at && steps.iter().all(|step| step.op != MapOp::Switch)));
                let asked = match (before.current(), slot) {
                    (Some(slot), Some(_)) => packets([before.program(slot).unwrap(), program.program()]),
                    _ => Vec::new(),
                };
                let asked: Vec<_> = asked.iter().step_by(asked.len() / 40 + 1).collect();
                for step in &steps {
                    installed.carry_out(step, program.program());
                    for packet in &asked {
                        let now = installed.judge(packet, false).map(Decision::passes);
                        let was = before.judge(packet, false).map(Decision::passes);
                        let will = Some(program.program().judge(packet, false).passes());
                        prop_assert!(now == was || now == will, "{:?} after {:?}", packet, step);
                    }
                }
                if let Some(slot) = slot.or(installed.current()) {
                    installed.settle(slot, program.program());
                }
                change = Change::default();
                if !at {
                    break;
                }
                let delta = delta(&mut objects, &pool, &edits);
                let touched = live.apply(delta).touched;
                let Some(node) = live.node(&name) else { return Ok(()) };
                change = program.update(&live, node, &touched);
                if program.program().ends.len().is_multiple_of(3) {
                    change.then(&program.renew(&live));
                }
            }
            steps.set(steps.get() + 1);
            small.set(small.get() + u32::from(change != Change::Everything));

            let (cluster, _) = lower(&snapshot(&objects), &options);
            let analysis = Analysis::new(cluster, profile.clone());
            let node = analysis.cluster.nodes.iter().find(|(_, node)| node.name == name).unwrap().0;
            let anew = NodeProgram::build(&analysis, node).unwrap();
            prop_assert_eq!(program.program().ends.len(), anew.ends.len());
            let asked = packets([program.program(), &anew]);
            let stride = asked.len() / 300 + 1;
            for packet in asked.into_iter().step_by(stride) {
                let wanted = decided(&anew, &packet);
                prop_assert_eq!(decided(program.program(), &packet), wanted.clone(), "{:?}", packet);
                let held = installed.program(installed.current().unwrap()).unwrap();
                prop_assert_eq!(decided(held, &packet), wanted, "installed: {:?}", packet);
            }
        }
        Ok(())
    });
    assert!(small.get() * 3 > steps.get(), "too few changes were worked in: {small:?} of {steps:?}");
    assert!(in_place.get() * 20 > steps.get(), "too few changes were made in place: {in_place:?} of {steps:?}");
}
