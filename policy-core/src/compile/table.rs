//! The factored table: profiles of label classes, interned peer lists and port lists.
//!
//! A profile is the set of policies that isolate a class in one direction. It refers to terms (peer list, port
//! list); a peer list is a set of label classes and a few blocks. One question is then a walk over the terms
//! that apply to one class, whatever the number of policies in the cluster.

use rustc_hash::FxHashSet;

use crate::compile::atoms::{AddressClass, Atoms, Block};
use crate::compile::class_set::ClassSet;
use crate::compile::classes::Classifier;
use crate::compile::interner::Interner;
use crate::compile::ports::PortExpr;
use crate::compile::tiers::{Chain, Step};
use crate::compile::{AddressClassId, BlockId, ChainId, ClassId, ClassSetId, PeersId, PortExprId, ProfileId};
use crate::ids::{ClusterPolicyId, Id, IdVec, NamespaceId, PolicyId};
use crate::model::profile::EqualPriority;
use crate::model::{
    AddressSet, Cluster, Direction, Doubts, Hit, Knob, KnobSet, Name, NamespaceScope, Peer, Peers, Profile, Rule,
    RuleRef, Selector, Tier, TierPeer, TierPeers, TierRule, TierRuleRef,
};

/// What policies can know of an end: its label class, if it is a pod to them, and its address class.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Column {
    pub(super) class: Option<ClassId>,
    pub(super) address: AddressClassId,
    /// Nothing is known of the end; the knob would tell.
    pub(super) somebody: Option<Knob>,
}

/// An interned peer list.
#[derive(Clone, Debug)]
pub(super) struct PeerSet {
    /// Everybody (NP-9).
    pub(super) any: bool,
    /// Nobody, whoever there may be (CNP-13).
    pub(super) nobody: bool,
    /// The label classes that its pod peers select (NP-10).
    pub(super) classes: ClassSetId,
    /// Its blocks, sorted (NP-12).
    pub(super) blocks: Box<[BlockId]>,
}

impl PeerSet {
    /// Whether one of its blocks holds the address.
    pub(super) fn block_hit(&self, address: &AddressClass) -> Hit {
        if self.blocks.is_empty() {
            return Hit::No;
        }
        let holds = |blocks: &[BlockId]| blocks.iter().any(|block| self.blocks.binary_search(block).is_ok());
        if holds(&address.certain) {
            return Hit::Yes;
        }
        let (possible, learned) = (holds(&address.possible), holds(&address.learned));
        let knobs = if possible { address.knobs } else { KnobSet::EMPTY };
        if possible || learned { Hit::Maybe(Doubts { knobs, dns: learned }) } else { Hit::No }
    }
}

/// A rule, compiled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Term {
    pub(super) peers: PeersId,
    pub(super) ports: PortExprId,
}

/// The policies that act on a class in one direction, and what they say.
#[derive(Clone, Debug)]
pub(super) struct IsolationProfile {
    /// Empty: not isolated (NP-4).
    pub(super) policies: Box<[PolicyId]>,
    /// Their rules, in order.
    pub(super) rules: Box<[(RuleRef, Term)]>,
    /// The distinct terms of the rules.
    pub(super) terms: Box<[Term]>,
    /// The Admin tier.
    pub(super) admin: ChainId,
    /// The Baseline tier; it matters only where nothing isolates (CNP-5).
    pub(super) baseline: ChainId,
}

impl IsolationProfile {
    /// Whether no policy of any tier acts on the class.
    pub(super) fn is_open(&self) -> bool {
        let none = ChainId::from_index(0);
        self.policies.is_empty() && self.admin == none && self.baseline == none
    }
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
    /// The distinct tiers; the first is empty.
    pub(super) chains: IdVec<ChainId, Chain>,
}

impl Table {
    /// All terms of a profile, those of tiers too.
    pub(super) fn terms_of(&self, profile: &IsolationProfile) -> impl Iterator<Item = Term> {
        let tiers = [profile.admin, profile.baseline].into_iter().flat_map(|chain| self.chains.at(chain).steps());
        profile.terms.iter().copied().chain(tiers.map(|step| step.term))
    }

    /// Whether a peer list matches an end of this class and these blocks.
    pub(super) fn peers_hit(&self, peers: PeersId, other: &Column, address: &AddressClass) -> Hit {
        let peers = self.peers.at(peers);
        if let Some(knob) = other.somebody.filter(|_| !peers.any) {
            return if peers.nobody { Hit::No } else { Hit::unless_set(knob) };
        }
        if peers.any || other.class.is_some_and(|class| self.sets.at(peers.classes).contains(class)) {
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
/// Namespace or namespace selector, pods, and whether pods on the host's network count (CNP-7).
type PodPeer<'a> = (Option<NamespaceId>, Option<&'a Selector>, &'a Selector, bool);

/// Interns the rules of a cluster.
#[derive(Debug, Default)]
pub(super) struct Rules<'a> {
    peers: Interner<PeersId, PeersKey<'a>>,
    ports: Interner<PortExprId, PortExpr>,
    blocks: Interner<BlockId, Block>,
    by_policy: IdVec<PolicyId, [Vec<(RuleRef, Term)>; 2]>,
    by_cluster_policy: IdVec<ClusterPolicyId, [Vec<Step>; 2]>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(cluster: &'a Cluster, profile: &Profile) -> Self {
        let mut rules = Self::default();
        rules.peers.intern(None);
        for (id, policy) in cluster.policies.iter() {
            let compiled = Direction::ALL.map(|direction| {
                let list = policy.rules(direction).unwrap_or_default();
                let rule = |(index, rule): (u32, &'a Rule)| {
                    let peers = rules.peers(policy.namespace, &rule.peers);
                    let ports = rules.ports.intern(PortExpr::new(&rule.ports, profile.endport_support));
                    (RuleRef { policy: id, direction, index }, Term { peers, ports })
                };
                (0_u32..).zip(list).map(rule).collect::<Vec<_>>()
            });
            rules.by_policy.push(compiled);
        }
        for (id, policy) in cluster.cluster_policies.iter() {
            let compiled = Direction::ALL.map(|direction| {
                let step = |(index, rule): (u32, &'a TierRule)| {
                    let peers = rules.tier_peers(&rule.peers);
                    let ports = rules.ports.intern(PortExpr::new(&rule.ports, true));
                    let reference = TierRuleRef { policy: id, direction, index };
                    Step { rule: reference, action: rule.action, term: Term { peers, ports } }
                };
                (0_u32..).zip(policy.rules(direction)).map(step).collect::<Vec<_>>()
            });
            rules.by_cluster_policy.push(compiled);
        }
        rules
    }

    fn peers(&mut self, own: NamespaceId, peers: &'a Peers) -> PeersId {
        let Peers::OneOf(list) = peers else { return self.peers.intern(None) };
        let (mut pods, mut blocks) = (Vec::new(), Vec::new());
        for peer in list {
            match peer {
                Peer::Pods { namespaces: NamespaceScope::Own, pods: selector, .. } => {
                    pods.push((Some(own), None, selector, true));
                }
                Peer::Pods { namespaces: NamespaceScope::Matching(spaces), pods: selector, .. } => {
                    pods.push((None, Some(spaces), selector, true));
                }
                Peer::Block(block) => blocks.push(self.blocks.intern(Block::Range(block.addresses()))),
            }
        }
        self.list(pods, blocks)
    }

    fn tier_peers(&mut self, peers: &'a TierPeers) -> PeersId {
        let TierPeers::OneOf(list) = peers else { return self.peers.intern(None) };
        let (mut pods, mut blocks) = (Vec::new(), Vec::new());
        for peer in list {
            match peer {
                TierPeer::Pods { selection, .. } => {
                    pods.push((None, Some(&selection.namespaces), &selection.pods, false));
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

    fn list(&mut self, mut pods: Vec<PodPeer<'a>>, mut blocks: Vec<BlockId>) -> PeersId {
        pods.sort_unstable();
        pods.dedup();
        blocks.sort_unstable();
        blocks.dedup();
        self.peers.intern(Some((pods, blocks)))
    }

    /// The address classes that the blocks of all rules make.
    pub(super) fn atoms(&self, cluster: &Cluster) -> Atoms {
        Atoms::new(self.blocks.keys().clone(), cluster)
    }

    /// Resolves peers to classes and policies to profiles.
    pub(super) fn table(self, cluster: &'a Cluster, profile: &Profile, classifier: &mut Classifier<'a>) -> Table {
        let mut sets: Interner<ClassSetId, &Vec<PodPeer<'a>>> = Interner::default();
        let nobody = Vec::new();
        let peers = self.peers.keys().values().map(|key| match key {
            None => PeerSet { any: true, nobody: false, classes: sets.intern(&nobody), blocks: Box::default() },
            Some((pods, blocks)) => {
                let none = pods.is_empty() && blocks.is_empty();
                PeerSet { any: false, nobody: none, classes: sets.intern(pods), blocks: blocks.as_slice().into() }
            }
        });
        let peers = peers.collect();
        let mut select = |pods: &Vec<PodPeer<'a>>| {
            let mut classes = Vec::new();
            for (own, spaces, selector, hosts) in pods {
                let from = classes.len();
                match (own, spaces) {
                    (Some(namespace), _) => classes.extend(classifier.in_namespace(*namespace, selector)),
                    (None, Some(spaces)) => classes.extend(classifier.across(spaces, selector)),
                    (None, None) => {}
                }
                if !hosts {
                    let selected = classes.split_off(from);
                    classes.extend(selected.into_iter().filter(|class| !classifier.classes.classes.at(*class).host));
                }
            }
            classifier.set(classes)
        };
        let sets = sets.keys().values().map(|pods| select(pods)).collect();
        let mut chains: Interner<ChainId, (Direction, Vec<ClusterPolicyId>)> = Interner::default();
        chains.intern((Direction::Ingress, Vec::new()));
        let mut side = |direction| profiles(cluster, profile, classifier, &self, &mut chains, direction);
        let (ingress, ingress_of) = side(Direction::Ingress);
        let (egress, egress_of) = side(Direction::Egress);
        let chain = |(direction, policies): &(Direction, Vec<ClusterPolicyId>)| {
            chain(cluster, profile, &self, *direction, policies)
        };
        let chains = chains.keys().values().map(chain).collect();
        Table { peers, sets, ports: self.ports.into_keys(), ingress, egress, ingress_of, egress_of, chains }
    }

    fn of_cluster_policy(&self, policy: ClusterPolicyId, direction: Direction) -> &[Step] {
        let [ingress, egress] = self.by_cluster_policy.at(policy);
        if direction == Direction::Ingress { ingress } else { egress }
    }
}

/// The policies of one tier in their order (CNP-2).
fn chain(
    cluster: &Cluster,
    profile: &Profile,
    rules: &Rules<'_>,
    direction: Direction,
    policies: &[ClusterPolicyId],
) -> Chain {
    let mut order: Vec<(bool, Option<u16>, &Name, ClusterPolicyId)> = Vec::new();
    for id in policies {
        let policy = cluster.cluster_policies.at(*id);
        order.push((policy.priority.is_none(), policy.priority, &policy.name, *id));
    }
    order.sort_unstable();
    let by_name = profile.equal_priority == EqualPriority::Name;
    let steps = |(.., id): &(bool, Option<u16>, &Name, ClusterPolicyId)| -> Box<[Step]> {
        rules.of_cluster_policy(*id, direction).into()
    };
    let (ordered, free): (Vec<_>, Vec<_>) = order.into_iter().partition(|(free, ..)| by_name || !*free);
    let groups = ordered.chunk_by(|(_, a, ..), (_, b, ..)| !by_name && a == b);
    Chain::new(groups.map(|group| group.iter().map(steps).collect()).collect(), free.iter().map(steps).collect())
}

/// The distinct sets of acting policies, and which class has which.
fn profiles<'a>(
    cluster: &'a Cluster,
    profile: &Profile,
    classifier: &mut Classifier<'a>,
    rules: &Rules<'a>,
    chains: &mut Interner<ChainId, (Direction, Vec<ClusterPolicyId>)>,
    direction: Direction,
) -> (IdVec<ProfileId, IsolationProfile>, IdVec<ClassId, ProfileId>) {
    let count = classifier.classes.classes.len();
    let mut selecting: IdVec<ClassId, Vec<PolicyId>> = (0..count).map(|_| Vec::new()).collect();
    let mut acting: IdVec<ClassId, [Vec<ClusterPolicyId>; 2]> = (0..count).map(|_| Default::default()).collect();
    if profile.enforcement {
        for (id, policy) in cluster.policies.iter().filter(|(_, policy)| policy.rules(direction).is_some()) {
            for class in classifier.in_namespace(policy.namespace, &policy.selector) {
                selecting.at_mut(class).push(id);
            }
        }
        for (id, policy) in cluster.cluster_policies.iter().filter(|(_, policy)| !policy.rules(direction).is_empty()) {
            for class in classifier.across(&policy.subject.namespaces, &policy.subject.pods) {
                if classifier.classes.classes.at(class).host {
                    continue; // CNP-6
                }
                let [admin, baseline] = acting.at_mut(class);
                match policy.tier {
                    Tier::Admin => admin.push(id),
                    Tier::Baseline => baseline.push(id),
                }
            }
        }
    }
    let mut tier = |policies: &Vec<ClusterPolicyId>| {
        let none = ChainId::from_index(0);
        if policies.is_empty() { none } else { chains.intern((direction, policies.clone())) }
    };
    let mut interned: Interner<ProfileId, (Vec<PolicyId>, ChainId, ChainId)> = Interner::default();
    interned.intern((Vec::new(), ChainId::from_index(0), ChainId::from_index(0)));
    let mut of_class = IdVec::new();
    for (class, policies) in selecting.iter() {
        let [admin, baseline] = acting.at(class);
        of_class.push(interned.intern((policies.clone(), tier(admin), tier(baseline))));
    }
    let build = |(policies, admin, baseline): &(Vec<PolicyId>, ChainId, ChainId)| {
        let of_policy = |policy: &PolicyId| {
            let [ingress, egress] = rules.by_policy.at(*policy);
            let list = if direction == Direction::Ingress { ingress } else { egress };
            list.iter().copied()
        };
        let rules: Vec<_> = policies.iter().flat_map(of_policy).collect();
        let mut known = FxHashSet::default();
        let terms = rules.iter().map(|(_, term)| *term).filter(|term| known.insert(*term)).collect();
        let policies = policies.as_slice().into();
        IsolationProfile { policies, rules: rules.into(), terms, admin: *admin, baseline: *baseline }
    };
    (interned.keys().values().map(build).collect(), of_class)
}
