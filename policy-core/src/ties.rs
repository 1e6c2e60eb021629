//! Cluster-wide policies of which nobody says which comes first, and for which it may matter (CNP-2, ANP-4).

use crate::diagnostic::Diagnostic;
use crate::model::profile::EqualPriority;
use crate::model::{Cluster, ClusterPolicy, Direction, Profile, Selector};

/// A note for each policy that shares tier and priority with an earlier one, when both can act on one pod and do
/// different things.
#[must_use]
pub fn ties(cluster: &Cluster, profile: &Profile) -> Vec<Diagnostic> {
    if profile.equal_priority == EqualPriority::Name {
        return Vec::new();
    }
    let policies: Vec<&ClusterPolicy> = cluster.cluster_policies.values().collect();
    let with_earlier = policies.iter().enumerate().filter_map(|(at, policy)| {
        let earlier = policies.iter().take(at).find(|other| tied(policy, other))?;
        Some(note(policy, earlier))
    });
    with_earlier.collect()
}

fn tied(one: &ClusterPolicy, other: &ClusterPolicy) -> bool {
    let free = one.priority.is_none() || other.priority.is_none();
    let together = one.tier == other.tier && (free || one.priority == other.priority);
    together && differ(one, other) && overlap(one, other)
}

/// Whether some rules of one direction do different things.
fn differ(one: &ClusterPolicy, other: &ClusterPolicy) -> bool {
    Direction::ALL.into_iter().any(|direction| {
        let (rules, others) = (one.rules(direction), other.rules(direction));
        rules.iter().any(|rule| others.iter().any(|other| rule.action != other.action))
    })
}

/// Whether some pod can be a subject of both, in the input or not.
fn overlap(one: &ClusterPolicy, other: &ClusterPolicy) -> bool {
    let both = |one: &Selector, other: &Selector| {
        Selector::new(one.requirements().iter().chain(other.requirements()).cloned()).example().is_some()
    };
    both(&one.subject.namespaces, &other.subject.namespaces) && both(&one.subject.pods, &other.subject.pods)
}

fn note(policy: &ClusterPolicy, earlier: &ClusterPolicy) -> Diagnostic {
    let names = format!("{} `{}` and {} `{}`", earlier.kind, earlier.name, policy.kind, policy.name);
    let message = match policy.priority.filter(|_| earlier.priority.is_some()) {
        Some(priority) => {
            format!("{names} of tier {} both have priority {priority}: which comes first is not defined", policy.tier)
        }
        None => format!("{names} of tier {} are in no order: one of them has no priority", policy.tier),
    };
    let help = "where both match and it matters, answers are undefined by `equal_priority`; give them different \
                priorities, or set equal_priority=name if your implementation goes by name";
    Diagnostic::note("CNP-2", policy.span, message).also(earlier.span, "the other one").help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IdVec;
    use crate::model::{
        ClusterPolicyKind, Name, Operator, PodSelection, Ports, Requirement, Tier, TierAction, TierPeers, TierRule,
    };

    fn policy(name: &str, priority: Option<u16>, pods: Selector, action: TierAction) -> ClusterPolicy {
        let rule = TierRule { name: None, action, peers: TierPeers::Any, ports: Ports::Any, span: None };
        ClusterPolicy {
            kind: ClusterPolicyKind::ClusterNetworkPolicy,
            name: Name::from(name),
            tier: Tier::Admin,
            priority,
            subject: PodSelection { namespaces: Selector::everything(), pods },
            ingress: vec![rule],
            egress: Vec::new(),
            span: None,
        }
    }

    fn noted(policies: Vec<ClusterPolicy>) -> usize {
        let cluster_policies: IdVec<_, _> = policies.into_iter().collect();
        let cluster = Cluster { cluster_policies, ..Cluster::default() };
        let mut by_name = Profile::default();
        by_name.set("equal_priority", "name").unwrap();
        assert!(ties(&cluster, &by_name).is_empty());
        ties(&cluster, &Profile::default()).len()
    }

    #[test]
    fn equal_priorities_are_noted_where_they_can_matter() {
        // CNP-2, ANP-4
        use TierAction::{Accept, Deny};
        let app = |value: &str| Selector::match_labels([("app", value)]);
        let first = || policy("a", Some(10), app("web"), Accept);
        assert_eq!(noted(vec![first(), policy("b", Some(10), Selector::everything(), Deny)]), 1);
        assert_eq!(noted(vec![first(), policy("b", None, Selector::everything(), Deny)]), 1);
        assert_eq!(noted(vec![first(), policy("b", Some(11), Selector::everything(), Deny)]), 0);
        assert_eq!(noted(vec![first(), policy("b", Some(10), Selector::everything(), Accept)]), 0);
        assert_eq!(noted(vec![first(), policy("b", Some(10), app("db"), Deny)]), 0);
        let no_app = Selector::new([Requirement { key: Name::from("app"), operator: Operator::DoesNotExist }]);
        assert_eq!(noted(vec![first(), policy("b", Some(10), no_app, Deny)]), 0);
    }
}
