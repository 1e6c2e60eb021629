//! The factored table: profiles of label classes, interned peer lists and port lists.
//!
//! A profile is the set of policies that isolate a class in one direction. It refers to terms (peer list, port
//! list); a peer list is a set of label classes and a few blocks. One question is then a walk over the terms
//! that apply to one class, whatever the number of policies in the cluster.

use rustc_hash::FxHashSet;

use crate::compile::atoms::AddressClass;
use crate::compile::class_set::ClassSet;
use crate::compile::classes::{Classes, Selections};
use crate::compile::interner::Interner;
use crate::compile::ports::PortExpr;
use crate::compile::rules::{PodPeer, Rules, Scope};
use crate::compile::tiers::{Chain, Step};
use crate::compile::{AddressClassId, BlockId, ChainId, ClassId, ClassSetId, PeersId, PortExprId, ProfileId};
use crate::ids::{ClusterPolicyId, IdVec, PolicyId};
use crate::model::profile::EqualPriority;
use crate::model::{Cluster, ClusterPolicyKind, Direction, Doubts, Hit, Knob, KnobSet, Name, Profile, RuleRef, Tier};

pub(super) use crate::compile::rules::Term;

/// Nobody's policies.
const NO_CHAIN: ChainId = ChainId::FIRST;
/// No pod.
const NO_SET: ClassSetId = ClassSetId::FIRST;

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
        self.policies.is_empty() && self.admin == NO_CHAIN && self.baseline == NO_CHAIN
    }
}

/// The factors of all answers.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) rules: Rules,
    pub(super) peers: IdVec<PeersId, PeerSet>,
    /// The distinct sets of label classes that peer lists select.
    pub(super) sets: IdVec<ClassSetId, ClassSet>,
    pub(super) ingress: Side,
    pub(super) egress: Side,
    /// The distinct tiers; the first is empty.
    pub(super) chains: IdVec<ChainId, Chain>,
    pub(super) chain_keys: Interner<ChainId, ChainKey>,
}

/// The profiles of one direction. The first is the open one.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    profiles: IdVec<ProfileId, IsolationProfile>,
    keys: Interner<ProfileId, ProfileKey>,
    of_class: IdVec<ClassId, ProfileId>,
}

/// The policies that act on a class, in order of their names, and its tiers.
pub(super) type ProfileKey = (Vec<PolicyId>, ChainId, ChainId);

/// The policies of one tier that act on a class in one direction, in order of kind and name.
pub(super) type ChainKey = (Direction, Vec<ClusterPolicyId>);

impl Table {
    /// Resolves peers to classes and policies to profiles.
    pub(super) fn new(rules: Rules, cluster: &Cluster, profile: &Profile, classes: &Classes) -> Self {
        let mut table = Self {
            rules,
            peers: IdVec::new(),
            sets: IdVec::new(),
            ingress: Side::default(),
            egress: Side::default(),
            chains: IdVec::new(),
            chain_keys: Interner::default(),
        };
        table.chain(cluster, profile, (Direction::Ingress, Vec::new()));
        let mut selections = Selections::new(classes);
        table.learn_peers(&mut selections);
        for direction in Direction::ALL {
            table.profile_all(direction, cluster, profile, &mut selections);
        }
        table
    }

    /// Looks up the peer lists that the rules have and the table does not have yet.
    pub(super) fn learn_peers(&mut self, selections: &mut Selections<'_>) {
        for pods in self.rules.sets.keys().values().skip(self.sets.len()) {
            let mut selected = Vec::new();
            for PodPeer { scope, pods, hosts } in pods {
                let there = match scope {
                    Scope::Own(namespace) => selections.in_namespace(*namespace, pods),
                    Scope::Matching(spaces) => selections.across(spaces, pods),
                };
                selected.extend(there.into_iter().filter(|class| *hosts || !selections.classes.at(*class).host));
            }
            self.sets.push(selections.classes.set(selected));
        }
        for key in self.rules.peers.keys().values().skip(self.peers.len()) {
            let everybody = PeerSet { any: true, nobody: false, classes: NO_SET, blocks: Box::default() };
            self.peers.push(match key {
                None => everybody,
                Some((classes, blocks)) => {
                    let nobody = *classes == NO_SET && blocks.is_empty();
                    PeerSet { any: false, nobody, classes: *classes, blocks: blocks.as_slice().into() }
                }
            });
        }
    }

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

    /// A port list.
    pub(super) fn port_list(&self, id: PortExprId) -> &PortExpr {
        self.rules.ports.keys().at(id)
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }

    pub(super) fn profiles(&self, direction: Direction) -> &IdVec<ProfileId, IsolationProfile> {
        &self.side(direction).profiles
    }

    pub(super) fn profile_of(&self, class: ClassId, direction: Direction) -> ProfileId {
        *self.side(direction).of_class.at(class)
    }

    /// The profile of a class in a direction.
    pub(super) fn profile(&self, class: ClassId, direction: Direction) -> &IsolationProfile {
        self.profiles(direction).at(self.profile_of(class, direction))
    }
}

impl Table {
    /// Finds out which policies act on each class.
    fn profile_all(
        &mut self,
        direction: Direction,
        cluster: &Cluster,
        profile: &Profile,
        selections: &mut Selections<'_>,
    ) {
        let count = selections.classes.len();
        let mut selecting: IdVec<ClassId, Vec<PolicyId>> = (0..count).map(|_| Vec::new()).collect();
        let mut acting: IdVec<ClassId, [Vec<ClusterPolicyId>; 2]> = (0..count).map(|_| Default::default()).collect();
        if profile.enforcement {
            for (id, policy) in cluster.policies.iter().filter(|(_, policy)| policy.rules(direction).is_some()) {
                for class in selections.in_namespace(policy.namespace, &policy.selector) {
                    selecting.at_mut(class).push(id);
                }
            }
            let tiers = cluster.cluster_policies.iter();
            for (id, policy) in tiers.filter(|(_, policy)| !policy.rules(direction).is_empty()) {
                for class in selections.across(&policy.subject.namespaces, &policy.subject.pods) {
                    if selections.classes.at(class).host {
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
        self.intern_profile(direction, (Vec::new(), NO_CHAIN, NO_CHAIN));
        for (class, policies) in selecting.iter() {
            let [admin, baseline] = std::mem::take(acting.at_mut(class))
                .map(|policies| self.chain(cluster, profile, (direction, policies)));
            self.set_profile(class, direction, (policies.clone(), admin, baseline));
        }
    }

    /// Says which policies act on a class; `false` when it is what was said before.
    pub(super) fn set_profile(&mut self, class: ClassId, direction: Direction, key: ProfileKey) -> bool {
        let id = self.intern_profile(direction, key);
        let of_class = &mut self.side_mut(direction).of_class;
        match of_class.get_mut(class) {
            Some(known) => std::mem::replace(known, id) != id,
            None => {
                of_class.push(id);
                true
            }
        }
    }

    fn intern_profile(&mut self, direction: Direction, key: ProfileKey) -> ProfileId {
        let side = match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        };
        if let Some(known) = side.keys.get(&key) {
            return known;
        }
        let (policies, admin, baseline) = &key;
        let rules: Vec<_> = policies.iter().flat_map(|policy| self.rules.of(*policy, direction)).copied().collect();
        let mut known = FxHashSet::default();
        let terms = rules.iter().map(|(_, term)| *term).filter(|term| known.insert(*term)).collect();
        let policies = policies.as_slice().into();
        side.profiles.push(IsolationProfile {
            policies,
            rules: rules.into(),
            terms,
            admin: *admin,
            baseline: *baseline,
        });
        side.keys.intern(key)
    }

    /// The policies of one tier in their order (CNP-2).
    pub(super) fn chain(&mut self, cluster: &Cluster, profile: &Profile, key: ChainKey) -> ChainId {
        if key.1.is_empty() && !self.chains.is_empty() {
            return NO_CHAIN;
        }
        if let Some(known) = self.chain_keys.get(&key) {
            return known;
        }
        let (direction, policies) = &key;
        let mut order: Vec<(bool, Option<u16>, &Name, ClusterPolicyKind, ClusterPolicyId)> = Vec::new();
        for id in policies {
            let policy = cluster.cluster_policies.at(*id);
            order.push((policy.priority.is_none(), policy.priority, &policy.name, policy.kind, *id));
        }
        order.sort_unstable();
        let by_name = profile.equal_priority == EqualPriority::Name;
        let steps = |(.., id): &(bool, Option<u16>, &Name, ClusterPolicyKind, ClusterPolicyId)| -> Box<[Step]> {
            self.rules.of_tier(*id, *direction).into()
        };
        let (ordered, free): (Vec<_>, Vec<_>) = order.into_iter().partition(|(free, ..)| by_name || !*free);
        let groups = ordered.chunk_by(|(_, a, ..), (_, b, ..)| !by_name && a == b);
        let groups = groups.map(|group| group.iter().map(steps).collect()).collect();
        self.chains.push(Chain::new(groups, free.iter().map(steps).collect()));
        self.chain_keys.intern(key)
    }
}
