//! What properties of judgements ask of them.

use policy_core::model::{Cluster, Flow, Judge, Judgement, KnobSet, Party, Profile, Verdict};
use policy_core::spec::Spec;

/// The reference evaluator's judgement.
pub(crate) fn judge(cluster: &Cluster, profile: &Profile, flow: &Flow) -> Judgement {
    Spec::new(cluster, profile).judge(flow)
}

/// What of a judgement does not depend on how policies are called, cut up or ordered.
pub(crate) fn answer(judgement: &Judgement) -> (Verdict, KnobSet) {
    (judgement.verdict, judgement.knobs())
}

/// The namespace of a party, if it is a pod.
pub(crate) fn namespace(cluster: &Cluster, party: Party) -> Option<&str> {
    match party {
        Party::Pod(id) => Some(&cluster.namespaces.at(cluster.pods.at(id).namespace).name),
        Party::Node(_) | Party::Address(_) | Party::Named(_) | Party::Somebody(_) => None,
    }
}
