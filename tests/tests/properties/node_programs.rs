//! The reference evaluator and the programs of all nodes let the same flows through.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fixtures::strategy::{Case, case, tiered_case};
use policy_core::analysis::Analysis;
use policy_core::ids::{Id as _, PodId};
use policy_core::model::{Cluster, End, Judge, Outcome, Party, PodState, Profile, Protocol, Verdict};
use policy_core::node_program::{HostSide, Installed, MapOp, NodeProgram, NodePrograms, Packet, Transport};
use policy_core::spec::Spec;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::sample::Index;
use proptest::strategy::Strategy;
use tests::property::check;
use tests::settled::{as_enforced, audit, settled};

fn agree<S: Strategy<Value = Case>>(usual: u32, cases: &S) {
    let counts: RefCell<BTreeMap<Option<Verdict>, u64>> = RefCell::default();
    let spared = RefCell::new([0_u64; 2]);
    check(usual, &(cases, any::<u8>()), |(case, audited)| {
        let profile = as_enforced(&case.profile);
        let cluster = settled(case.cluster.clone());
        let analysis = Analysis::new(cluster, profile.clone());
        let spec = Spec::new(&analysis.cluster, &profile);
        let programs = NodePrograms::build(&analysis).unwrap();
        for flow in &case.flows {
            let Ok(verdict) = programs.judge(&analysis, flow) else {
                *counts.borrow_mut().entry(None).or_default() += 1;
                continue;
            };
            let wanted = spec.judge(flow);
            match wanted.verdict {
                Verdict::Allowed | Verdict::Denied => {
                    *counts.borrow_mut().entry(Some(verdict)).or_default() += 1;
                    prop_assert_eq!(verdict, wanted.verdict, "{:?}: {:?}", flow, wanted);
                }
                // What nobody decides, the node does not let through.
                _ => prop_assert_eq!(verdict, Verdict::Denied, "{:?}: {:?}", flow, wanted),
            }
        }
        // The same with audited namespaces: their pods' policies refuse nothing, those of the others do.
        let options = audit(&analysis.cluster, audited);
        let programs = NodePrograms::build_with(&analysis, &options).unwrap();
        for flow in &case.flows {
            let Ok(verdict) = programs.judge(&analysis, flow) else { continue };
            let wanted = spec.judge(flow);
            let admits = |party: Party, end: &End| {
                let is_audited = matches!(party, Party::Pod(pod) if options.audited.contains(&analysis.cluster.pods.at(pod).namespace));
                end.outcome == Outcome::Allowed || is_audited
            };
            let passes = admits(flow.source, &wanted.egress) && admits(flow.destination, &wanted.ingress);
            prop_assert_eq!(verdict == Verdict::Allowed, passes, "{:?} {:?}: {:?}", options, flow, wanted);
            if wanted.verdict == Verdict::Denied {
                spared.borrow_mut()[usize::from(passes)] += 1;
            }
        }
        Ok(())
    });
    let spared = spared.into_inner();
    assert!(spared.iter().all(|count| *count >= 50), "refused flows that stay refused, and that pass: {spared:?}");
    let counts = counts.into_inner();
    let total: u64 = counts.values().sum();
    for verdict in [Verdict::Allowed, Verdict::Denied] {
        let count = counts.get(&Some(verdict)).copied().unwrap_or_default();
        assert!(count * 5 >= total, "too few flows are {verdict}: {counts:?}");
    }
}

#[test]
fn spec_and_node_programs_agree_on_random_flows() {
    agree(600, &case(48));
}

#[test]
fn spec_and_node_programs_agree_where_cluster_wide_policies_meet_few_others() {
    agree(400, &tiered_case(48));
}

/// Packets between all addresses that two programs know.
fn packets(programs: &[&NodeProgram]) -> Vec<Packet> {
    let mut addresses: BTreeSet<IpAddr> = programs.iter().flat_map(|program| program.ends.keys().copied()).collect();
    let blocks = programs.iter().flat_map(|program| &program.generation.blocks);
    addresses.extend(blocks.map(|(net, _)| net.network()));
    let mut packets = Vec::new();
    for (at, source) in addresses.iter().enumerate() {
        for destination in addresses.iter().filter(|ip| ip.is_ipv4() == source.is_ipv4()) {
            let port = [1, 80, 443, 8080, 65535][(at + packets.len()) % 5];
            let transport = Transport::Port(Protocol::Tcp, port);
            packets.push(Packet { source: *source, destination: *destination, transport, host: HostSide::Neither });
        }
    }
    let stride = packets.len() / 40 + 1;
    packets.into_iter().step_by(stride).collect()
}

#[test]
fn every_step_of_a_reconciliation_judges_as_before_or_as_after() {
    let switched = RefCell::new(0_u32);
    let in_place = RefCell::new(0_u32);
    check(40, &(case(1), case(1), case(1), any::<Index>(), any::<u8>()), |(a, b, c, drop, audited)| {
        let program = |(at, cluster): (u8, Cluster)| {
            let analysis = Analysis::new(settled(cluster), Profile::preset("portolan").unwrap());
            let first = analysis.cluster.nodes.ids().next().unwrap();
            // Other namespaces each time, and the same for the two that differ by one pod.
            NodeProgram::build_with(&analysis, first, &audit(&analysis.cluster, audited.rotate_left(u32::from(at))))
                .unwrap()
        };
        // Unlike clusters, and one that lacks a single pod of the one before.
        let mut fewer = c.cluster.clone();
        let pods = fewer.pods.len();
        if pods > 0 {
            fewer.pods.at_mut(PodId::from_index(drop.index(pods))).state = PodState::Finished;
        }
        let wanted = [
            (0, a.cluster.clone()),
            (1, b.cluster.clone()),
            (2, c.cluster.clone()),
            (2, fewer),
            (0, a.cluster.clone()),
        ]
        .map(program);
        let mut installed = Installed::default();
        let mut before: Option<&NodeProgram> = None;
        for program in &wanted {
            let asked = packets(&before.into_iter().chain([program]).collect::<Vec<_>>());
            let steps = installed.reconcile(program);
            let last = steps.len();
            let switches = steps.iter().any(|step| step.op == MapOp::Switch);
            *if switches { &switched } else { &in_place }.borrow_mut() += 1;
            for (done, step) in steps.iter().enumerate() {
                installed.carry_out(step, program);
                for packet in &asked {
                    let now = installed.judge(packet, false);
                    let wanted = if done + 1 == last { Some(program) } else { before };
                    prop_assert_eq!(
                        now,
                        wanted.map(|program| program.judge(packet, false)),
                        "step {}: {:?}",
                        done,
                        step
                    );
                }
            }
            prop_assert_eq!(installed.reconcile(program), Vec::new());
            before = Some(program);
        }
        Ok(())
    });
    assert!(*switched.borrow() > 0 && *in_place.borrow() > 0, "{switched:?} {in_place:?}");
}
