//! What policies read of pods and namespaces: label keys and port names. All else cannot matter and is projected away.

use rustc_hash::FxHashSet;

use crate::compile::selectors::Keys;
use crate::model::{
    Cluster, ClusterPolicy, Direction, Name, NamespaceScope, NetworkPolicy, Peer, Peers, PodSelection, PortMatch,
    Ports, Protocol, Selector, TierPeer, TierPeers, TierRule,
};

/// What the policies of a cluster read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) pod_keys: Keys,
    pub(super) namespace_keys: Keys,
    pub(super) port_names: FxHashSet<(Protocol, Name)>,
    /// Whether there are cluster-wide policies: they pass over pods on the host's network (CNP-6, CNP-7).
    pub(super) tells_hosts: bool,
}

impl Reading {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let policies = || cluster.policies.values();
        let tiers = || cluster.cluster_policies.values();
        let pods = policies().flat_map(pod_selectors).chain(tiers().flat_map(selections).map(|one| &one.pods));
        let spaces =
            policies().flat_map(namespace_selectors).chain(tiers().flat_map(selections).map(|one| &one.namespaces));
        let names = policies().flat_map(ports).chain(tiers().flat_map(tier_ports)).flat_map(names);
        Self {
            pod_keys: Keys::read_by(pods),
            namespace_keys: Keys::read_by(spaces),
            port_names: names.collect(),
            tells_hosts: !cluster.cluster_policies.is_empty(),
        }
    }

    /// Whether a policy reads nothing else.
    pub(super) fn covers(&self, policy: &NetworkPolicy) -> bool {
        pod_selectors(policy).all(|selector| self.pod_keys.know(selector))
            && namespace_selectors(policy).all(|selector| self.namespace_keys.know(selector))
            && ports(policy).flat_map(names).all(|name| self.port_names.contains(&name))
    }

    /// The same for a cluster-wide policy.
    pub(super) fn covers_tier(&self, policy: &ClusterPolicy) -> bool {
        self.tells_hosts
            && selections(policy).all(|one| self.pod_keys.know(&one.pods) && self.namespace_keys.know(&one.namespaces))
            && tier_ports(policy).flat_map(names).all(|name| self.port_names.contains(&name))
    }
}

fn peers(policy: &NetworkPolicy) -> impl Iterator<Item = (&NamespaceScope, &Selector)> {
    let rules = Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction).unwrap_or_default());
    let peers = rules.flat_map(|rule| match &rule.peers {
        Peers::Any => [].as_slice(),
        Peers::OneOf(peers) => peers.as_slice(),
    });
    peers.filter_map(|peer| match peer {
        Peer::Pods { namespaces, pods, .. } => Some((namespaces, pods)),
        Peer::Block(_) => None,
    })
}

fn pod_selectors(policy: &NetworkPolicy) -> impl Iterator<Item = &Selector> {
    std::iter::once(&policy.selector).chain(peers(policy).map(|(_, pods)| pods))
}

fn namespace_selectors(policy: &NetworkPolicy) -> impl Iterator<Item = &Selector> {
    peers(policy).filter_map(|(namespaces, _)| match namespaces {
        NamespaceScope::Own => None,
        NamespaceScope::Matching(selector) => Some(selector),
    })
}

fn ports(policy: &NetworkPolicy) -> impl Iterator<Item = &Ports> {
    let rules = Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction).unwrap_or_default());
    rules.map(|rule| &rule.ports)
}

fn tier_rules(policy: &ClusterPolicy) -> impl Iterator<Item = &TierRule> {
    policy.ingress.iter().chain(&policy.egress)
}

fn tier_ports(policy: &ClusterPolicy) -> impl Iterator<Item = &Ports> {
    tier_rules(policy).map(|rule| &rule.ports)
}

/// Every selection of pods by a cluster-wide policy.
fn selections(policy: &ClusterPolicy) -> impl Iterator<Item = &PodSelection> {
    let peers = tier_rules(policy).flat_map(|rule| match &rule.peers {
        TierPeers::Any => [].as_slice(),
        TierPeers::OneOf(peers) => peers.as_slice(),
    });
    let peers = peers.filter_map(|peer| match peer {
        TierPeer::Pods { selection, .. } => Some(selection),
        _ => None,
    });
    std::iter::once(&policy.subject).chain(peers)
}

/// The port names of a list.
fn names(ports: &Ports) -> impl Iterator<Item = (Protocol, Name)> {
    let entries = match ports {
        Ports::Any => [].as_slice(),
        Ports::OneOf(entries) => entries.as_slice(),
    };
    entries.iter().filter_map(|entry| match &entry.port {
        PortMatch::Name(name) => Some((entry.protocol, name.clone())),
        _ => None,
    })
}
