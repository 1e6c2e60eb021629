//! The factored table: profiles of label classes, interned peer lists and port lists.
//!
//! A profile is the set of policies that isolate a class in one direction. It refers to terms (peer list, port
//! list); a peer list is a set of label classes and a few blocks. One question is then a walk over the terms
//! that apply to one class, whatever the number of policies in the cluster.

use rustc_hash::FxHashSet;

use crate::compile::atoms::{AddressClass, Atoms};
use crate::compile::class_set::ClassSet;
use crate::compile::classes::Classifier;
use crate::compile::interner::Interner;
use crate::compile::ports::PortExpr;
use crate::compile::{AddressClassId, BlockId, ClassId, ClassSetId, PeersId, PortExprId, ProfileId};
use crate::ids::{IdVec, PolicyId};
use crate::model::{AddressSet, Cluster, Direction, Hit, IpBlock, NamespaceScope, Peer, Peers, Profile, RuleRef};

/// What policies can know of an end: its label class, if it is a pod to them, and its address class.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Column {
    pub(super) class: Option<ClassId>,
    pub(super) address: AddressClassId,
}

/// An interned peer list.
#[derive(Clone, Debug)]
pub(super) struct PeerSet {
    /// Everybody (NP-9).
    pub(super) any: bool,
    /// The label classes that its pod peers select (NP-10).
    pub(super) classes: ClassSetId,
    /// Its blocks, sorted (NP-12).
    pub(super) blocks: Box<[BlockId]>,
}

impl PeerSet {
    /// Whether one of its blocks holds the address.
    pub(super) fn block_hit(&self, address: &AddressClass) -> Hit {
        let holds = |blocks: &[BlockId]| blocks.iter().any(|block| self.blocks.binary_search(block).is_ok());
        if self.blocks.is_empty() {
            Hit::No
        } else if holds(&address.certain) {
            Hit::Yes
        } else if holds(&address.possible) {
            Hit::Maybe(address.knobs)
        } else {
            Hit::No
        }
    }
}

/// A rule, compiled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Term {
    pub(super) peers: PeersId,
    pub(super) ports: PortExprId,
}

/// The policies that isolate a class in one direction, and what they admit.
#[derive(Clone, Debug, Default)]
pub(super) struct IsolationProfile {
    /// Empty: not isolated (NP-4).
    pub(super) policies: Box<[PolicyId]>,
    /// Their rules, in order.
    pub(super) rules: Box<[(RuleRef, Term)]>,
    /// The distinct terms of the rules.
    pub(super) terms: Box<[Term]>,
}

/// The factors of all answers.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) peers: IdVec<PeersId, PeerSet>,
    /// The distinct sets of label classes that peer lists select.
    pub(super) sets: IdVec<ClassSetId, ClassSet>,
    pub(super) ports: IdVec<PortExprId, PortExpr>,
    ingress: IdVec<ProfileId, IsolationProfile>,
    egress: IdVec<ProfileId, IsolationProfile>,
    ingress_of: IdVec<ClassId, ProfileId>,
    egress_of: IdVec<ClassId, ProfileId>,
}

impl Table {
    /// Whether a peer list matches an end of this class and these blocks.
    pub(super) fn peers_hit(&self, peers: PeersId, class: Option<ClassId>, address: &AddressClass) -> Hit {
        let peers = self.peers.at(peers);
        if peers.any || class.is_some_and(|class| self.sets.at(peers.classes).contains(class)) {
            return Hit::Yes;
        }
        peers.block_hit(address)
    }

    pub(super) fn profiles(&self, direction: Direction) -> &IdVec<ProfileId, IsolationProfile> {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    pub(super) fn profile_of(&self, class: ClassId, direction: Direction) -> ProfileId {
        match direction {
            Direction::Ingress => *self.ingress_of.at(class),
            Direction::Egress => *self.egress_of.at(class),
        }
    }

    /// The profile of a class in a direction.
    pub(super) fn profile(&self, class: ClassId, direction: Direction) -> &IsolationProfile {
        self.profiles(direction).at(self.profile_of(class, direction))
    }
}

/// The content of a peer list, before its classes are looked up.
type PeersKey<'a> = Option<(Vec<PodPeer<'a>>, Vec<BlockId>)>;
type PodPeer<'a> = (Option<crate::ids::NamespaceId>, Option<&'a crate::model::Selector>, &'a crate::model::Selector);

/// Interns the rules of a cluster.
#[derive(Debug, Default)]
pub(super) struct Rules<'a> {
    peers: Interner<PeersId, PeersKey<'a>>,
    ports: Interner<PortExprId, PortExpr>,
    blocks: Interner<BlockId, AddressSet>,
    by_policy: IdVec<PolicyId, [Vec<(RuleRef, Term)>; 2]>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(cluster: &'a Cluster, profile: &Profile) -> Self {
        let mut rules = Self::default();
        rules.peers.intern(None);
        for (id, policy) in cluster.policies.iter() {
            let compiled = Direction::ALL.map(|direction| {
                let list = policy.rules(direction).unwrap_or_default();
                let rule = |(index, rule): (u32, &'a crate::model::Rule)| {
                    let peers = rules.peers(policy.namespace, &rule.peers);
                    let ports = rules.ports.intern(PortExpr::new(&rule.ports, profile));
                    (RuleRef { policy: id, direction, index }, Term { peers, ports })
                };
                (0_u32..).zip(list).map(rule).collect::<Vec<_>>()
            });
            rules.by_policy.push(compiled);
        }
        rules
    }

    fn peers(&mut self, own: crate::ids::NamespaceId, peers: &'a Peers) -> PeersId {
        let Peers::OneOf(list) = peers else { return self.peers.intern(None) };
        let (mut pods, mut blocks) = (Vec::new(), Vec::new());
        for peer in list {
            match peer {
                Peer::Pods { namespaces: NamespaceScope::Own, pods: selector, .. } => {
                    pods.push((Some(own), None, selector));
                }
                Peer::Pods { namespaces: NamespaceScope::Matching(spaces), pods: selector, .. } => {
                    pods.push((None, Some(spaces), selector));
                }
                Peer::Block(block) => blocks.push(self.block(block)),
            }
        }
        pods.sort_unstable();
        pods.dedup();
        blocks.sort_unstable();
        blocks.dedup();
        self.peers.intern(Some((pods, blocks)))
    }

    fn block(&mut self, block: &IpBlock) -> BlockId {
        self.blocks.intern(block.addresses())
    }

    /// The address classes that the blocks of all rules make.
    pub(super) fn atoms(&self) -> Atoms {
        Atoms::new(self.blocks.keys().clone())
    }

    /// Resolves peers to classes and policies to profiles.
    pub(super) fn table(self, cluster: &'a Cluster, profile: &Profile, classifier: &mut Classifier<'a>) -> Table {
        let mut sets: Interner<ClassSetId, &Vec<PodPeer<'a>>> = Interner::default();
        let nobody = Vec::new();
        let peers = self.peers.keys().values().map(|key| match key {
            None => PeerSet { any: true, classes: sets.intern(&nobody), blocks: Box::default() },
            Some((pods, blocks)) => {
                PeerSet { any: false, classes: sets.intern(pods), blocks: blocks.as_slice().into() }
            }
        });
        let peers = peers.collect();
        let mut select = |pods: &Vec<PodPeer<'a>>| {
            let mut classes = Vec::new();
            for (own, spaces, selector) in pods {
                match (own, spaces) {
                    (Some(namespace), _) => classes.extend(classifier.in_namespace(*namespace, selector)),
                    (None, Some(spaces)) => classes.extend(classifier.across(spaces, selector)),
                    (None, None) => {}
                }
            }
            classifier.set(classes)
        };
        let sets = sets.keys().values().map(|pods| select(pods)).collect();
        let (ingress, ingress_of) = profiles(cluster, profile, classifier, &self.by_policy, Direction::Ingress);
        let (egress, egress_of) = profiles(cluster, profile, classifier, &self.by_policy, Direction::Egress);
        Table { peers, sets, ports: self.ports.into_keys(), ingress, egress, ingress_of, egress_of }
    }
}

/// The distinct sets of isolating policies, and which class has which.
fn profiles<'a>(
    cluster: &'a Cluster,
    profile: &Profile,
    classifier: &mut Classifier<'a>,
    rules: &IdVec<PolicyId, [Vec<(RuleRef, Term)>; 2]>,
    direction: Direction,
) -> (IdVec<ProfileId, IsolationProfile>, IdVec<ClassId, ProfileId>) {
    let mut selecting: IdVec<ClassId, Vec<PolicyId>> = classifier.classes.classes.ids().map(|_| Vec::new()).collect();
    for (id, policy) in
        cluster.policies.iter().filter(|(_, policy)| policy.rules(direction).is_some() && profile.enforcement)
    {
        for class in classifier.in_namespace(policy.namespace, &policy.selector) {
            selecting.at_mut(class).push(id);
        }
    }
    let mut interned: Interner<ProfileId, Vec<PolicyId>> = Interner::default();
    interned.intern(Vec::new());
    let of_class = selecting.values().map(|policies| interned.intern(policies.clone())).collect();
    let build = |policies: &Vec<PolicyId>| {
        let of_policy = |policy: &PolicyId| {
            let [ingress, egress] = rules.at(*policy);
            let list = if direction == Direction::Ingress { ingress } else { egress };
            list.iter().copied()
        };
        let rules: Vec<_> = policies.iter().flat_map(of_policy).collect();
        let mut known = FxHashSet::default();
        let terms = rules.iter().map(|(_, term)| *term).filter(|term| known.insert(*term)).collect();
        IsolationProfile { policies: policies.as_slice().into(), rules: rules.into(), terms }
    };
    (interned.keys().values().map(build).collect(), of_class)
}
