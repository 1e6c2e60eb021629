//! A cluster that follows its objects means, after every change, what compiling it anew gives.

use std::cell::Cell;
use std::collections::BTreeMap;

use fixtures::strategy::{cluster_plan, profile, tiered_cluster_plan};
use policy_core::compile::compile;
use policy_core::live::{Live, Touched};
use policy_core::lower::{LiveCluster, LowerOptions, lower};
use policy_core::snapshot::{Object, ObjectKey, Snapshot, SnapshotDelta};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::Index;
use proptest::strategy::Strategy;
use proptest::{prop_assert, prop_assert_eq};
use tests::property::check;

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
