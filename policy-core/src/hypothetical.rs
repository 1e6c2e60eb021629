//! Peers that policies name and the input lacks: "any pod with app=x in a namespace with team=y".
//!
//! Each peer selector that no pod of the input satisfies becomes a template pod with just the labels that the
//! selector asks for, in a namespace with just the labels that its namespace selector asks for. The cluster so
//! extended answers what such a pod could reach (semantics NP-11b).

use std::collections::BTreeMap;

use crate::ids::{ClusterPolicyId, NamespaceId, PodId, PolicyId};
use crate::model::{
    Cluster, Direction, LabelSet, Name, Namespace, NamespaceScope, Peer, Peers, Pod, PodState, Selector, TierPeer,
    TierPeers, Workload, WorkloadKind,
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
    pub named_by: Vec<(Namer, Option<Span>)>,
}

/// A policy that names a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Namer {
    /// A NetworkPolicy.
    Policy(PolicyId),
    /// A cluster-wide policy.
    ClusterPolicy(ClusterPolicyId),
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
    pub impossible: Vec<(Namer, Option<Span>)>,
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
    for ((place, pods), mut named_by) in wanted(cluster) {
        // CNP-7: a pod on the host's network is no peer of a cluster-wide policy.
        let [by_any, by_own_address] = [true, false].map(|hosts| played(cluster, place, pods, hosts));
        named_by.retain(|(namer, _)| match namer {
            Namer::Policy(_) => !by_any,
            Namer::ClusterPolicy(_) => !by_own_address,
        });
        if named_by.is_empty() {
            continue;
        }
        let namespace = match place {
            Where::In(namespace) => Some((namespace, true)),
            Where::Matching(selector) => {
                existing_namespace(cluster, selector).map(|namespace| (namespace, true)).or_else(|| {
                    let labels = selector.example()?;
                    let id = namespaces.get(&labels).copied();
                    let id = id.unwrap_or_else(|| add_namespace(&mut extended.cluster, &labels));
                    namespaces.insert(labels, id);
                    Some((id, false))
                })
            }
        };
        let (Some((namespace, namespace_exists)), Some(labels)) = (namespace, pods.example()) else {
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
fn wanted(cluster: &Cluster) -> BTreeMap<Wanted<'_>, Vec<(Namer, Option<Span>)>> {
    let mut wanted: BTreeMap<Wanted<'_>, Vec<(Namer, Option<Span>)>> = BTreeMap::new();
    let mut name = |peer, namer, span| {
        let named_by = wanted.entry(peer).or_default();
        if named_by.iter().all(|(known, _)| *known != namer) {
            named_by.push((namer, span));
        }
    };
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
                name((place, pods), Namer::Policy(id), *span);
            }
        }
    }
    for (id, policy) in cluster.cluster_policies.iter() {
        let rules = Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction));
        for rule in rules {
            let TierPeers::OneOf(peers) = &rule.peers else { continue };
            for peer in peers {
                let TierPeer::Pods { selection, span } = peer else { continue };
                name((Where::Matching(&selection.namespaces), &selection.pods), Namer::ClusterPolicy(id), *span);
            }
        }
    }
    wanted
}

/// Whether some pod of the input plays the peer; `hosts`: also one on the host's network.
fn played(cluster: &Cluster, place: Where<'_>, pods: &Selector, hosts: bool) -> bool {
    cluster.pods.values().any(|pod| {
        let there = match place {
            Where::In(namespace) => pod.namespace == namespace,
            Where::Matching(selector) => selector.matches(&cluster.namespaces.at(pod.namespace).labels),
        };
        there && (hosts || !pod.host_network) && pods.matches(&pod.labels)
    })
}

fn existing_namespace(cluster: &Cluster, selector: &Selector) -> Option<NamespaceId> {
    let matching = |(_, namespace): &(NamespaceId, &Namespace)| selector.matches(&namespace.labels);
    cluster.namespaces.iter().find(matching).map(|(id, _)| id)
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
    cluster.pods.push(Pod { labels, ..Pod::unwritten(namespace, workload, name, PodState::Template) })
}
