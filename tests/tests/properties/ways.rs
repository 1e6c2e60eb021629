//! What is said of a set of clients holds for each of them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fixtures::strategy::case;
use policy_core::analysis::Analysis;
use policy_core::model::premise;
use policy_core::model::{AddressSet, Finding};
use policy_core::ways::clients::Clients;
use policy_core::ways::entry;
use policy_core::ways::walk::{Walk, Way};
use proptest::prop_assert;
use proptest::prop_assert_eq;

use super::support::check;

/// What becomes of an address, way by way; `None` where no part of a way is about it.
fn of_address(ways: &[Way], address: std::net::IpAddr) -> Vec<Option<&Finding>> {
    let holds = |clients: &Clients| match clients {
        Clients::Outside(addresses) => addresses.contains(address),
        Clients::Party(_) => false,
    };
    ways.iter().map(|way| way.parts.iter().find(|part| holds(&part.clients)).map(|part| &part.finding)).collect()
}

#[test]
fn parts_of_ways_are_disjoint_and_hold_for_each_of_their_clients() {
    // M-3, M-6, M-8, KP-3, SVC-22
    let seen: RefCell<BTreeMap<String, u64>> = RefCell::default();
    check(400, &case(1), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let outside = premise::outside(&analysis.cluster);
        let of_services = analysis.cluster.services.ids().flat_map(|id| entry::of_service(&analysis, id));
        let of_pods = analysis.cluster.pods.ids().flat_map(|id| entry::of_pod(&analysis, id));
        for entry in of_services.chain(of_pods) {
            let enter = |clients: Clients| Walk::new(&analysis, &analysis.ways.endpoints).enter(&clients, &entry);
            let all = enter(Clients::Outside(outside.clone()));
            let mut asked = Vec::new();
            for way in &all {
                let mut rest = outside.clone();
                for part in &way.parts {
                    let Clients::Outside(addresses) = &part.clients else {
                        panic!("somebody inside is among those outside: {part:?}");
                    };
                    prop_assert!(addresses.is_subset(&rest), "two parts have clients in common: {:?}", way);
                    rest = rest.difference(addresses);
                    asked.extend(addresses.ranges().flat_map(|(first, last)| [first, last]));
                    let mut seen = seen.borrow_mut();
                    *seen.entry(format!("{} {}", way.kind.id(), part.finding.verdict)).or_default() += 1;
                }
            }
            asked.sort_unstable();
            asked.dedup();
            for address in asked {
                let alone = enter(Clients::Outside(AddressSet::range(address, address)));
                prop_assert_eq!(of_address(&all, address), of_address(&alone, address), "{} at {:?}", address, entry);
            }
        }
        Ok(())
    });
    let seen = seen.into_inner();
    for wanted in ["W-NP allowed", "W-NP denied", "W-LB allowed", "W-LB denied", "W-HP allowed", "W-CIP no-route"] {
        assert!(seen.get(wanted).is_some_and(|count| *count > 20), "too little of {wanted}: {seen:?}");
    }
}
