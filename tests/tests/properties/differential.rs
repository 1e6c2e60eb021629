//! The reference evaluator and the compiled tables give the same judgement: verdict, rule, policies, rules, flags.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fixtures::strategy::{Case, all_flows, case, tiered_case};
use policy_core::analysis::Analysis;
use policy_core::model::{Judge, Verdict};
use policy_core::spec::Spec;
use proptest::prop_assert_eq;
use proptest::strategy::Strategy;
use tests::property::check;

/// Asks both about every flow of every case.
fn agree<S: Strategy<Value = Case>>(usual: u32, cases: &S) {
    let counts: RefCell<BTreeMap<Verdict, u64>> = RefCell::default();
    check(usual, cases, |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        for flow in &case.flows {
            let wanted = spec.judge(flow);
            *counts.borrow_mut().entry(wanted.verdict).or_default() += 1;
            prop_assert_eq!(analysis.judge(flow), wanted, "{:?}", flow);
        }
        Ok(())
    });
    // Agreement says little when nearly everything is allowed, or denied.
    let counts = counts.into_inner();
    let total: u64 = counts.values().sum();
    for verdict in [Verdict::Allowed, Verdict::Denied] {
        let count = counts.get(&verdict).copied().unwrap_or_default();
        assert!(count * 5 >= total, "too few flows are {verdict}: {counts:?}");
    }
}

#[test]
fn spec_and_compiled_agree_on_random_flows() {
    agree(1500, &case(48));
}

#[test]
fn spec_and_compiled_agree_where_cluster_wide_policies_meet_few_others() {
    // CNP-1, CNP-2
    agree(800, &tiered_case(48));
}

#[test]
fn spec_and_compiled_agree_on_every_flow_of_a_cluster() {
    // All parties, ports and families at which an answer can change; a stride keeps large clusters affordable.
    const FLOWS: usize = 3000;
    check(60, &case(1), |case| {
        let analysis = Analysis::new(case.cluster.clone(), case.profile.clone());
        let spec = Spec::new(&case.cluster, &case.profile);
        let total = all_flows(&case.cluster, &case.profile).count();
        for flow in all_flows(&case.cluster, &case.profile).step_by(total / FLOWS + 1) {
            prop_assert_eq!(analysis.judge(&flow), spec.judge(&flow), "{:?}", flow);
        }
        Ok(())
    });
}
