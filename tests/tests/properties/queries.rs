//! Questions about sets of flows agree with questions about each flow (M-1, M-2, M-3).

use fixtures::strategy::{case, parties, ports};
use policy_core::analysis::Analysis;
use policy_core::model::premise::families;
use policy_core::model::{Flow, Judge, Party, Verdict};
use policy_core::query::{Actor, Subject, between, reach};
use policy_core::spec::Spec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::support::check;

#[test]
fn the_ports_of_a_pair_are_the_ports_that_the_spec_allows() {
    let pairs = proptest::collection::vec((any::<Index>(), any::<Index>()), 1..8);
    check(400, &(case(1), pairs), |(case, pairs)| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        let (everybody, ports) = (parties(&case.cluster), ports(&case.cluster));
        prop_assume!(!everybody.is_empty());
        for (source, destination) in &pairs {
            let (source, destination) = (*source.get(&everybody), *destination.get(&everybody));
            for family in families(&case.cluster, &case.profile, source) {
                let all = between(&analysis, source, destination, family);
                for (protocol, port) in &ports {
                    let flow = Flow::direct(source, destination, family, *protocol, *port);
                    prop_assert_eq!(all.verdict(*protocol, *port), spec.judge(&flow).verdict, "{:?}", flow);
                }
            }
        }
        Ok(())
    });
}

fn holds(actors: &[Actor], party: Party) -> bool {
    actors.iter().any(|actor| match (actor, party) {
        (Actor::Pods(pods), Party::Pod(pod)) => pods.contains(&pod),
        (Actor::Node(node), Party::Node(other)) => *node == other,
        (Actor::Addresses(addresses), Party::Address(address)) => addresses.contains(address),
        _ => false,
    })
}

#[test]
fn the_partition_of_everything_is_exact() {
    // M-3
    check(250, &case(32), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        let cells = reach(&analysis, &Subject::Everything, &Subject::Everything);
        for cell in &cells {
            let witness = &cell.witness;
            let wanted = cell.answer.verdict(witness.protocol, witness.port);
            prop_assert_eq!(spec.judge(witness).verdict, wanted, "the witness {:?} of {:?}", witness, cell);
        }
        for flow in &case.flows {
            let direct = Flow { dialled: None, masqueraded_by: None, ..*flow };
            let judged = spec.judge(&direct);
            let outside = |party| matches!(party, Party::Address(_));
            let finished = matches!(judged.verdict, Verdict::NoRoute | Verdict::NoListener);
            if direct.source == direct.destination
                || (outside(direct.source) && outside(direct.destination))
                || finished
            {
                continue;
            }
            let of: Vec<_> = cells
                .iter()
                .filter(|cell| {
                    holds(&cell.sources, direct.source)
                        && holds(&cell.destinations, direct.destination)
                        && cell.families.contains(&direct.family)
                })
                .collect();
            prop_assert_eq!(of.len(), 1, "{:?} is in {} cells", direct, of.len());
            prop_assert_eq!(of[0].answer.verdict(direct.protocol, direct.port), judged.verdict, "{:?}", direct);
        }
        Ok(())
    });
}
