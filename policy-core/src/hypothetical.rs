//! Peers that policies name and the input lacks: "any pod with app=x in a namespace with team=y".
//!
//! Each peer selector that no pod of the input satisfies becomes a template pod with just the labels that the
//! selector asks for, in a namespace with just the labels that its namespace selector asks for. The cluster so
//! extended answers what such a pod could reach (semantics NP-11b).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{NamespaceId, PodId, PolicyId};
use crate::model::{
    Cluster, Direction, LabelSet, Name, Namespace, NamespaceScope, Operator, Peer, Peers, Pod, PodState, Selector,
    Workload, WorkloadKind,
};
use crate::source::Span;

/// A peer that nobody in the input plays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hypothetical {
    /// The pod that plays it in the extended cluster.
    pub pod: PodId,
    /// What it is, in words: `any pod with app=x in namespace shop`.
    pub description: String,
    /// Whether it may exist already: its namespace is in the input.
    pub namespace_exists: bool,
    /// The policies that name it, with the place of the first mention of each.
    pub named_by: Vec<(PolicyId, Option<Span>)>,
}

/// A cluster with its hypothetical peers. Ids of the original cluster's policies and nodes stay; those of
/// namespaces, workloads and pods do too, the new ones come after them.
#[derive(Clone, Debug)]
pub struct Extended {
    /// The cluster with the peers added.
    pub cluster: Cluster,
    /// The peers.
    pub peers: Vec<Hypothetical>,
    /// Peers that no pod can ever play, because their requirements contradict each other.
    pub impossible: Vec<(PolicyId, Option<Span>)>,
}

/// One named peer: where it lives and which pods it wants.
type Wanted<'a> = (Where<'a>, &'a Selector);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Where<'a> {
    In(NamespaceId),
    Matching(&'a Selector),
}

/// Adds the peers that policies name and the input lacks.
#[must_use]
pub fn extend(cluster: &Cluster) -> Extended {
    let mut extended = Extended { cluster: cluster.clone(), peers: Vec::new(), impossible: Vec::new() };
    let mut namespaces: BTreeMap<LabelSet, NamespaceId> = BTreeMap::new();
    for ((place, pods), named_by) in wanted(cluster) {
        if played(cluster, place, pods) {
            continue;
        }
        let namespace = match place {
            Where::In(namespace) => Some((namespace, true)),
            Where::Matching(selector) => {
                existing_namespace(cluster, selector).map(|namespace| (namespace, true)).or_else(|| {
                    let labels = witness(selector)?;
                    let id = namespaces.get(&labels).copied();
                    let id = id.unwrap_or_else(|| add_namespace(&mut extended.cluster, &labels));
                    namespaces.insert(labels, id);
                    Some((id, false))
                })
            }
        };
        let (Some((namespace, namespace_exists)), Some(labels)) = (namespace, witness(pods)) else {
            extended.impossible.extend(named_by);
            continue;
        };
        let who = if pods.is_everything() { "any pod".to_owned() } else { format!("any pod with {pods}") };
        let description = match place {
            Where::In(namespace) => format!("{who} in namespace {}", cluster.namespaces.at(namespace).name),
            Where::Matching(selector) if selector.is_everything() => format!("{who} in any namespace"),
            Where::Matching(selector) => format!("{who} in a namespace with {selector}"),
        };
        let name = Name::from(format!("<{description}>"));
        let pod = add_pod(&mut extended.cluster, namespace, name, labels);
        extended.peers.push(Hypothetical { pod, description, namespace_exists, named_by });
    }
    extended
}

/// Every pod peer of every policy, once, with who names it.
fn wanted(cluster: &Cluster) -> BTreeMap<Wanted<'_>, Vec<(PolicyId, Option<Span>)>> {
    let mut wanted: BTreeMap<Wanted<'_>, Vec<(PolicyId, Option<Span>)>> = BTreeMap::new();
    for (id, policy) in cluster.policies.iter() {
        let rules = Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction).unwrap_or_default());
        for rule in rules {
            let Peers::OneOf(peers) = &rule.peers else { continue };
            for peer in peers {
                let Peer::Pods { namespaces, pods, span } = peer else { continue };
                let place = match namespaces {
                    NamespaceScope::Own => Where::In(policy.namespace),
                    NamespaceScope::Matching(selector) => Where::Matching(selector),
                };
                let named_by = wanted.entry((place, pods)).or_default();
                if named_by.iter().all(|(policy, _)| *policy != id) {
                    named_by.push((id, *span));
                }
            }
        }
    }
    wanted
}

/// Whether some pod of the input plays the peer.
fn played(cluster: &Cluster, place: Where<'_>, pods: &Selector) -> bool {
    cluster.pods.values().any(|pod| {
        let there = match place {
            Where::In(namespace) => pod.namespace == namespace,
            Where::Matching(selector) => selector.matches(&cluster.namespaces.at(pod.namespace).labels),
        };
        there && pods.matches(&pod.labels)
    })
}

fn existing_namespace(cluster: &Cluster, selector: &Selector) -> Option<NamespaceId> {
    let matching = |(_, namespace): &(NamespaceId, &Namespace)| selector.matches(&namespace.labels);
    cluster.namespaces.iter().find(matching).map(|(id, _)| id)
}

/// The fewest labels that a selector matches; `None` when its requirements contradict each other.
fn witness(selector: &Selector) -> Option<LabelSet> {
    let mut labels: BTreeMap<Name, Name> = BTreeMap::new();
    for requirement in selector.requirements() {
        let others = || selector.requirements().iter().filter(|other| other.key == requirement.key);
        let fits = |value: &&Name| {
            let alone = LabelSet::from(BTreeMap::from([(requirement.key.clone(), (*value).clone())]));
            others().all(|other| other.matches(&alone))
        };
        match &requirement.operator {
            Operator::In(values) => {
                labels.insert(requirement.key.clone(), values.iter().find(fits)?.clone());
            }
            Operator::Exists => {
                let any = (0..).map(|n| Name::from(if n == 0 { "any".to_owned() } else { format!("any-{n}") }));
                let given = others().find_map(|other| match &other.operator {
                    Operator::In(values) => values.iter().find(fits).cloned(),
                    _ => None,
                });
                let free = || any.take(others().count() + 64).find(|value| fits(&value));
                labels.insert(requirement.key.clone(), given.or_else(free)?);
            }
            Operator::NotIn(_) | Operator::DoesNotExist => {}
        }
    }
    let labels = LabelSet::from(labels);
    selector.matches(&labels).then_some(labels)
}

fn add_namespace(cluster: &mut Cluster, labels: &LabelSet) -> NamespaceId {
    let given = labels.get("kubernetes.io/metadata.name").cloned();
    let name = given.unwrap_or_else(|| {
        let name = if labels.is_empty() { "<any namespace>".to_owned() } else { format!("<namespace with {labels}>") };
        Name::from(name)
    });
    let mut all: BTreeMap<Name, Name> = labels.iter().cloned().collect();
    all.insert(Name::from("kubernetes.io/metadata.name"), name.clone());
    cluster.namespaces.push(Namespace { name, labels: all.into(), span: None })
}

fn add_pod(cluster: &mut Cluster, namespace: NamespaceId, name: Name, labels: LabelSet) -> PodId {
    let pod: PodId = crate::ids::Id::from_index(cluster.pods.len());
    let workload = cluster.workloads.push(Workload {
        namespace,
        kind: WorkloadKind::Other(Name::from("hypothetical")),
        name: name.clone(),
        pods: vec![pod],
        span: None,
    });
    cluster.pods.push(Pod {
        namespace,
        workload,
        name,
        labels,
        node: None,
        v4: None,
        v6: None,
        host_network: false,
        ports: Arc::from([]),
        state: PodState::Template,
        span: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Requirement;

    fn requirement(key: &str, operator: Operator) -> Requirement {
        Requirement { key: Name::from(key), operator }
    }

    fn values(values: &[&str]) -> Vec<Name> {
        values.iter().map(|value| Name::from(*value)).collect()
    }

    #[test]
    fn a_witness_meets_every_requirement_or_does_not_exist() {
        let given = |requirements: Vec<Requirement>| witness(&Selector::new(requirements)).map(|l| l.to_string());
        let both = vec![
            requirement("app", Operator::In(values(&["a", "b"]))),
            requirement("app", Operator::NotIn(values(&["a"]))),
        ];
        assert_eq!(given(both).as_deref(), Some("app=b"));
        let key = vec![requirement("app", Operator::Exists), requirement("app", Operator::NotIn(values(&["any"])))];
        assert_eq!(given(key).as_deref(), Some("app=any-1"));
        let never = vec![requirement("app", Operator::Exists), requirement("app", Operator::DoesNotExist)];
        assert_eq!(given(never), None);
        assert_eq!(given(Vec::new()).as_deref(), Some(""));
    }
}
