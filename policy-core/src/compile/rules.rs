//! Rules as terms over interned peer lists and port lists. Equal content has equal ids, and keeps them.

use crate::compile::atoms::Block;
use crate::compile::interner::Interner;
use crate::compile::ports::PortExpr;
use crate::compile::tiers::Step;
use crate::compile::{BlockId, ClassSetId, PeersId, PortExprId};
use crate::ids::{ClusterPolicyId, IdVec, NamespaceId, PolicyId};
use crate::model::{
    AddressSet, Cluster, ClusterPolicy, Direction, NamespaceScope, NetworkPolicy, Peer, Peers, Profile, Rule, RuleRef,
    Selector, TierPeer, TierPeers, TierRule, TierRuleRef,
};

/// A rule, compiled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Term {
    pub(super) peers: PeersId,
    pub(super) ports: PortExprId,
}

/// Pods by labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct PodPeer {
    pub(super) scope: Scope,
    pub(super) pods: Selector,
    /// Whether pods on the host's network count (CNP-7).
    pub(super) hosts: bool,
}

/// The namespaces of a [`PodPeer`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Scope {
    Own(NamespaceId),
    Matching(Selector),
}

/// A peer list: its pods, and its blocks, sorted. `None` is everybody (NP-9).
pub(super) type PeersKey = Option<(ClassSetId, Vec<BlockId>)>;

/// The rules of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) sets: Interner<ClassSetId, Vec<PodPeer>>,
    pub(super) peers: Interner<PeersId, PeersKey>,
    pub(super) ports: Interner<PortExprId, PortExpr>,
    pub(super) blocks: Interner<BlockId, Block>,
    by_policy: IdVec<PolicyId, [Vec<(RuleRef, Term)>; 2]>,
    by_cluster_policy: IdVec<ClusterPolicyId, [Vec<Step>; 2]>,
}

impl Rules {
    pub(super) fn new(cluster: &Cluster, profile: &Profile) -> Self {
        let mut rules = Self {
            sets: Interner::default(),
            peers: Interner::default(),
            ports: Interner::default(),
            blocks: Interner::default(),
            by_policy: IdVec::new(),
            by_cluster_policy: IdVec::new(),
        };
        rules.sets.intern(Vec::new());
        rules.peers.intern(None);
        for (id, policy) in cluster.policies.iter() {
            rules.add(id, policy, profile);
        }
        for (id, policy) in cluster.cluster_policies.iter() {
            rules.add_tier(id, policy);
        }
        rules
    }

    /// The number of policies.
    pub(super) fn policies(&self) -> usize {
        self.by_policy.len()
    }

    /// The number of cluster-wide policies.
    pub(super) fn cluster_policies(&self) -> usize {
        self.by_cluster_policy.len()
    }

    /// Takes in the next policy.
    pub(super) fn add(&mut self, id: PolicyId, policy: &NetworkPolicy, profile: &Profile) {
        let compiled = Direction::ALL.map(|direction| {
            let list = policy.rules(direction).unwrap_or_default();
            let rule = |(index, rule): (u32, &Rule)| {
                let peers = self.peers(policy.namespace, &rule.peers);
                let ports = self.ports.intern(PortExpr::new(&rule.ports, profile.endport_support));
                (RuleRef { policy: id, direction, index }, Term { peers, ports })
            };
            (0_u32..).zip(list).map(rule).collect::<Vec<_>>()
        });
        self.by_policy.push(compiled);
    }

    /// Takes in the next cluster-wide policy.
    pub(super) fn add_tier(&mut self, id: ClusterPolicyId, policy: &ClusterPolicy) {
        let compiled = Direction::ALL.map(|direction| {
            let step = |(index, rule): (u32, &TierRule)| {
                let peers = self.tier_peers(&rule.peers);
                let ports = self.ports.intern(PortExpr::new(&rule.ports, true));
                let reference = TierRuleRef { policy: id, direction, index };
                Step { rule: reference, action: rule.action, term: Term { peers, ports } }
            };
            (0_u32..).zip(policy.rules(direction)).map(step).collect::<Vec<_>>()
        });
        self.by_cluster_policy.push(compiled);
    }

    /// The rules of a policy, in order.
    pub(super) fn of(&self, policy: PolicyId, direction: Direction) -> &[(RuleRef, Term)] {
        let [ingress, egress] = self.by_policy.at(policy);
        if direction == Direction::Ingress { ingress } else { egress }
    }

    /// The rules of a cluster-wide policy, in order (CNP-3).
    pub(super) fn of_tier(&self, policy: ClusterPolicyId, direction: Direction) -> &[Step] {
        let [ingress, egress] = self.by_cluster_policy.at(policy);
        if direction == Direction::Ingress { ingress } else { egress }
    }

    fn peers(&mut self, own: NamespaceId, peers: &Peers) -> PeersId {
        let Peers::OneOf(list) = peers else { return self.peers.intern(None) };
        let (mut pods, mut blocks) = (Vec::new(), Vec::new());
        for peer in list {
            match peer {
                Peer::Pods { namespaces, pods: selector, .. } => {
                    let scope = match namespaces {
                        NamespaceScope::Own => Scope::Own(own),
                        NamespaceScope::Matching(spaces) => Scope::Matching(spaces.clone()),
                    };
                    pods.push(PodPeer { scope, pods: selector.clone(), hosts: true });
                }
                Peer::Block(block) => blocks.push(self.blocks.intern(Block::Range(block.addresses()))),
            }
        }
        self.list(pods, blocks)
    }

    fn tier_peers(&mut self, peers: &TierPeers) -> PeersId {
        let TierPeers::OneOf(list) = peers else { return self.peers.intern(None) };
        let (mut pods, mut blocks) = (Vec::new(), Vec::new());
        for peer in list {
            match peer {
                TierPeer::Pods { selection, .. } => {
                    let scope = Scope::Matching(selection.namespaces.clone());
                    pods.push(PodPeer { scope, pods: selection.pods.clone(), hosts: false });
                }
                TierPeer::Nodes { nodes, .. } => blocks.push(self.blocks.intern(Block::Nodes(nodes.clone()))),
                TierPeer::Network { cidr, .. } => {
                    blocks.push(self.blocks.intern(Block::Network(AddressSet::net(*cidr))));
                }
                TierPeer::Domain { pattern, .. } => blocks.push(self.blocks.intern(Block::Domain(pattern.clone()))),
            }
        }
        self.list(pods, blocks)
    }

    fn list(&mut self, mut pods: Vec<PodPeer>, mut blocks: Vec<BlockId>) -> PeersId {
        pods.sort_unstable();
        pods.dedup();
        blocks.sort_unstable();
        blocks.dedup();
        let set = self.sets.intern(pods);
        self.peers.intern(Some((set, blocks)))
    }
}
