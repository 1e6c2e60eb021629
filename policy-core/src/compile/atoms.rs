//! Address classes: which blocks hold an end.
//!
//! All sets of addresses together cut each family into intervals; two intervals inside the same sets are one class.
//! A class is what policies can know of an end apart from pod labels: its address, its node, its name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::compile::interner::Interner;
use crate::compile::{AddressClassId, BlockId};
use crate::ids::{Id, IdVec, NodeId};
use crate::model::interval::Point;
use crate::model::premise::{self, Whereabouts};
use crate::model::{
    AddressSet, Cluster, DomainClass, DomainPattern, Domains, Doubts, Family, Hit, IntervalSet, Knob, KnobSet, Profile,
    Selector,
};

/// Something that holds ends by address or by name, and not by the labels of pods.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Block {
    /// An ipBlock of a NetworkPolicy (NP-12).
    Range(AddressSet),
    /// `networks` of a cluster-wide policy (CNP-9).
    Network(AddressSet),
    /// Its `nodes` (CNP-8).
    Nodes(Selector),
    /// Its `domainNames` (CNP-10).
    Domain(DomainPattern),
}

impl Block {
    /// The addresses that it holds, if it is about addresses.
    pub(super) fn addresses(&self) -> Option<&AddressSet> {
        match self {
            Self::Range(addresses) | Self::Network(addresses) => Some(addresses),
            Self::Nodes(_) | Self::Domain(_) => None,
        }
    }
}

/// What blocks know of an end. The three lists are sorted and disjoint.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct AddressClass {
    /// The blocks that certainly hold it.
    pub(super) certain: Box<[BlockId]>,
    /// The blocks for which that is not defined.
    pub(super) possible: Box<[BlockId]>,
    /// What the possible ones depend on.
    pub(super) knobs: KnobSet,
    /// The blocks for which it depends on what DNS answers.
    pub(super) learned: Box<[BlockId]>,
}

impl AddressClass {
    /// The blocks that hold it, with how surely.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (BlockId, Hit)> + '_ {
        let with = |hit: Hit| move |block: &BlockId| (*block, hit);
        let possible = Hit::Maybe(Doubts { knobs: self.knobs, dns: false });
        let certain = self.certain.iter().map(with(Hit::Yes));
        certain
            .chain(self.possible.iter().map(with(possible)))
            .chain(self.learned.iter().map(with(Hit::Maybe(Doubts::DNS))))
    }

    /// The same for the blocks that `keep` names.
    pub(super) fn filtered(&self, keep: impl Fn(BlockId) -> bool) -> Self {
        let of = |held: &[BlockId]| -> Box<[BlockId]> { held.iter().copied().filter(|block| keep(*block)).collect() };
        let (certain, possible, learned) = (of(&self.certain), of(&self.possible), of(&self.learned));
        let knobs = if possible.is_empty() { KnobSet::EMPTY } else { self.knobs };
        Self { certain, possible, knobs, learned }
    }

    /// What two sources know together.
    fn joined(self, other: Self) -> Self {
        let join = |a: Box<[BlockId]>, b: Box<[BlockId]>| {
            let mut all: Vec<BlockId> = a.into_iter().chain(b).collect();
            all.sort_unstable();
            all.into_boxed_slice()
        };
        Self {
            certain: join(self.certain, other.certain),
            possible: join(self.possible, other.possible),
            knobs: self.knobs.union(other.knobs),
            learned: join(self.learned, other.learned),
        }
    }
}

/// What an end is, as far as blocks care.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Holder {
    /// A pod.
    Pod,
    /// A process on a node; `None` when the node is not known.
    Host(Option<NodeId>),
}

/// All address classes of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Atoms {
    blocks: IdVec<BlockId, Block>,
    classes: Interner<AddressClassId, AddressClass>,
    /// Classes of addresses outside, by interval.
    v4: Vec<(u32, AddressClassId)>,
    v6: Vec<(u128, AddressClassId)>,
    unknown: FxHashMap<(Family, Doubts), AddressClassId>,
    of_holder: FxHashMap<(AddressClassId, Holder), AddressClassId>,
    domains: Domains,
    named: FxHashMap<(DomainClass, Family), AddressClassId>,
}

impl Atoms {
    /// The classes that these blocks make.
    pub(super) fn new(blocks: IdVec<BlockId, Block>, cluster: &Cluster) -> Self {
        let mut classes = Interner::default();
        classes.intern(AddressClass::default());
        let learned: Box<[BlockId]> =
            blocks.iter().filter(|(_, block)| matches!(block, Block::Domain(_))).map(|(id, _)| id).collect();
        let sets = || blocks.iter().filter_map(|(id, block)| Some((id, block.addresses()?)));
        let v4 = sweep(sets().map(|(id, block)| (id, block.v4())), &learned, &mut classes);
        let v6 = sweep(sets().map(|(id, block)| (id, block.v6())), &learned, &mut classes);
        let domains = Domains::new(cluster.cluster_policies.values());
        let mut atoms = Self {
            blocks,
            classes,
            v4,
            v6,
            unknown: FxHashMap::default(),
            of_holder: FxHashMap::default(),
            domains,
            named: FxHashMap::default(),
        };
        atoms.learn_names();
        atoms
    }

    fn learn_names(&mut self) {
        for class in self.domains.classes() {
            for family in Family::ALL {
                let named = self.of_name(class, family);
                self.named.insert((class, family), named);
            }
        }
    }

    /// The number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Takes in the next block, which holds ends by their addresses alone. What holds for an address class that there was
    /// still holds for it; some addresses get other classes.
    pub(super) fn add(&mut self, block: &Block) {
        let id = self.blocks.push(block.clone());
        if let Some(addresses) = block.addresses() {
            split(&mut self.v4, addresses.v4(), id, &mut self.classes);
            split(&mut self.v6, addresses.v6(), id, &mut self.classes);
        }
        self.unknown.clear();
        self.learn_names();
    }

    /// The class that no block holds.
    pub(super) fn outside_all(&self) -> AddressClassId {
        AddressClassId::from_index(0)
    }

    pub(super) fn class(&self, id: AddressClassId) -> &AddressClass {
        self.classes.keys().at(id)
    }

    /// The class of an address outside.
    pub(super) fn outside(&self, address: IpAddr) -> AddressClassId {
        let class = match address {
            IpAddr::V4(address) => lookup(&self.v4, u32::from(address)),
            IpAddr::V6(address) => lookup(&self.v6, u128::from(address)),
        };
        class.unwrap_or_else(|| self.outside_all())
    }

    /// The class of what a name outside stands for (CNP-10).
    pub(super) fn named(&self, class: DomainClass, family: Family) -> AddressClassId {
        self.named.get(&(class, family)).copied().unwrap_or_else(|| self.outside_all())
    }

    /// What names outside stand for: every class of names, in words, and its addresses.
    pub(super) fn names(&self) -> impl Iterator<Item = (String, AddressClassId)> {
        self.named.iter().map(|(name, address)| (format!("{name:?}"), *address))
    }

    fn of_name(&mut self, class: DomainClass, family: Family) -> AddressClassId {
        let somewhere = self.of_whereabouts(family, &premise::named_whereabouts(family));
        let means = |block: &Block| matches!(block, Block::Domain(pattern) if self.domains.matches(pattern, class));
        let learned = self.blocks.iter().filter(|(_, block)| means(block)).map(|(id, _)| id).collect();
        let class = self.class(somewhere).clone().joined(AddressClass { learned, ..AddressClass::default() });
        self.classes.intern(class)
    }

    /// The class of a pod or a process on a node with this address, by its address alone.
    pub(super) fn of_end(
        &mut self,
        profile: &Profile,
        cluster: &Cluster,
        holder: Holder,
        address: AddressClassId,
    ) -> AddressClassId {
        if let Some(known) = self.of_holder.get(&(address, holder)) {
            return *known;
        }
        let ip_blocks = match holder {
            Holder::Pod => profile.ipblock_matches_pods,
            Holder::Host(_) => profile.ipblock_matches_nodes,
        };
        let keep = |block: BlockId| match self.blocks.at(block) {
            Block::Range(_) => ip_blocks, // NP-13
            Block::Network(_) => true,
            Block::Nodes(_) | Block::Domain(_) => false,
        };
        let by_address = self.class(address).filtered(keep);
        let is = |test: &dyn Fn(&Block) -> bool| -> Box<[BlockId]> {
            self.blocks.iter().filter(|(_, block)| test(block)).map(|(id, _)| id).collect()
        };
        let by_nature = match holder {
            Holder::Pod => {
                let may_be_named = is(
                    &|block| matches!(block, Block::Domain(pattern) if pattern.may_name_pods(&profile.ways.cluster_domain)),
                );
                AddressClass { learned: may_be_named, ..AddressClass::default() }
            }
            Holder::Host(Some(node)) => {
                let labels = &cluster.nodes.at(node).labels;
                let certain = is(&|block| matches!(block, Block::Nodes(selector) if selector.matches(labels)));
                AddressClass { certain, ..AddressClass::default() }
            }
            Holder::Host(None) => {
                let possible = is(&|block| matches!(block, Block::Nodes(_)));
                let knobs = if possible.is_empty() { KnobSet::EMPTY } else { KnobSet::one(Knob::NodeCidrs) };
                AddressClass { possible, knobs, ..AddressClass::default() }
            }
        };
        let class = self.classes.intern(by_address.joined(by_nature));
        self.of_holder.insert((address, holder), class);
        class
    }

    /// The class of an end of which perhaps only a range is known (NP-13), by its address alone.
    pub(super) fn of_whereabouts(&mut self, family: Family, whereabouts: &Whereabouts) -> AddressClassId {
        match whereabouts {
            Whereabouts::Known(addresses) => match addresses.as_slice() {
                [address] => self.outside(*address),
                addresses => self.of_several(addresses),
            },
            Whereabouts::Within(range, doubts) => {
                if let Some(class) = self.unknown.get(&(family, *doubts)) {
                    return *class;
                }
                let overlapping = |(id, block): (BlockId, &Block)| {
                    let addresses = block.addresses()?;
                    (!addresses.is_disjoint(range)).then_some((id, range.is_subset(addresses)))
                };
                let overlapping: Vec<_> = self.blocks.iter().filter_map(overlapping).collect();
                let those = |inside: bool| -> Box<[BlockId]> {
                    overlapping.iter().filter(|(_, within)| *within == inside).map(|(id, _)| *id).collect()
                };
                let (certain, unsure) = (those(true), those(false));
                let class = if doubts.knobs.is_empty() {
                    AddressClass { certain, learned: unsure, ..AddressClass::default() }
                } else {
                    let knobs = if unsure.is_empty() { KnobSet::EMPTY } else { doubts.knobs };
                    AddressClass { certain, possible: unsure, knobs, ..AddressClass::default() }
                };
                let class = self.classes.intern(class);
                self.unknown.insert((family, *doubts), class);
                class
            }
        }
    }

    fn of_several(&mut self, addresses: &[IpAddr]) -> AddressClassId {
        let holding: Vec<BTreeSet<BlockId>> = addresses
            .iter()
            .map(|address| self.class(self.outside(*address)).certain.iter().copied().collect())
            .collect();
        let some: BTreeSet<BlockId> = holding.iter().flatten().copied().collect();
        let (certain, possible): (Vec<_>, Vec<_>) =
            some.into_iter().partition(|block| holding.iter().all(|held| held.contains(block)));
        let knobs = if possible.is_empty() { KnobSet::EMPTY } else { KnobSet::one(Knob::NodeCidrs) };
        self.classes.intern(AddressClass {
            certain: certain.into(),
            possible: possible.into(),
            knobs,
            ..AddressClass::default()
        })
    }

    /// Cuts a set of addresses by class, in order of class id.
    pub(super) fn cut(&self, addresses: &AddressSet) -> Vec<(AddressClassId, AddressSet)> {
        let v4 = cut(&self.v4, addresses.v4());
        let v6 = cut(&self.v6, addresses.v6());
        let mut parts: Vec<(AddressClassId, AddressSet)> = Vec::new();
        parts.extend(v4.into_iter().map(|(class, set)| (class, AddressSet::from(set))));
        parts.extend(v6.into_iter().map(|(class, set)| (class, AddressSet::from(set))));
        parts
    }
}

/// The classes of one family as `(first number, class)`, sorted, from the family's first number on.
fn sweep<'a, T: Point + 'a>(
    blocks: impl Iterator<Item = (BlockId, &'a IntervalSet<T>)>,
    learned: &[BlockId],
    classes: &mut Interner<AddressClassId, AddressClass>,
) -> Vec<(T, AddressClassId)> {
    let mut events: Vec<(T, bool, BlockId)> = Vec::new();
    for (block, set) in blocks {
        for (first, last) in set.intervals() {
            events.push((*first, true, block));
            events.extend(last.next().map(|after| (after, false, block)));
        }
    }
    events.sort_unstable();
    let mut active: BTreeSet<BlockId> = BTreeSet::new();
    let class = AddressClass { learned: learned.into(), ..AddressClass::default() };
    let mut starts = vec![(T::MIN, classes.intern(class))];
    let mut events = events.into_iter().peekable();
    while let Some((at, begins, block)) = events.next() {
        if begins {
            active.insert(block);
        } else {
            active.remove(&block);
        }
        if events.peek().is_some_and(|(next, ..)| *next == at) {
            continue;
        }
        let certain = active.iter().copied().collect();
        let class = AddressClass { certain, learned: learned.into(), ..AddressClass::default() };
        let class = classes.intern(class);
        match starts.last_mut() {
            Some((start, last)) if *start == at => *last = class,
            _ => starts.push((at, class)),
        }
    }
    starts
}

/// Puts the addresses of a new block into classes of their own.
fn split<T: Point>(
    starts: &mut Vec<(T, AddressClassId)>,
    set: &IntervalSet<T>,
    block: BlockId,
    classes: &mut Interner<AddressClassId, AddressClass>,
) {
    let mut with_block: FxHashMap<AddressClassId, AddressClassId> = FxHashMap::default();
    for (first, last) in set.intervals() {
        for at in [Some(*first), last.next()].into_iter().flatten() {
            let place = starts.partition_point(|(start, _)| *start < at);
            if starts.get(place).is_some_and(|(start, _)| *start == at) {
                continue;
            }
            let class = place.checked_sub(1).and_then(|before| starts.get(before)).map(|(_, class)| *class);
            starts.insert(place, (at, class.unwrap_or(AddressClassId::FIRST)));
        }
        let from = starts.partition_point(|(start, _)| start < first);
        for (_, class) in starts.iter_mut().skip(from).take_while(|(start, _)| start <= last) {
            *class = *with_block.entry(*class).or_insert_with(|| {
                let mut known = classes.keys().at(*class).clone();
                // The newest block: the list stays sorted.
                known.certain = known.certain.iter().copied().chain([block]).collect();
                classes.intern(known)
            });
        }
    }
}

fn lookup<T: Point>(starts: &[(T, AddressClassId)], point: T) -> Option<AddressClassId> {
    let at = starts.partition_point(|(start, _)| *start <= point).checked_sub(1)?;
    starts.get(at).map(|(_, class)| *class)
}

fn cut<T: Point>(starts: &[(T, AddressClassId)], set: &IntervalSet<T>) -> Vec<(AddressClassId, IntervalSet<T>)> {
    let mut parts: std::collections::BTreeMap<AddressClassId, Vec<(T, T)>> = std::collections::BTreeMap::new();
    for (first, last) in set.intervals() {
        let from = starts.partition_point(|(start, _)| start <= first).saturating_sub(1);
        for (at, (start, class)) in starts.iter().enumerate().skip(from) {
            if start > last {
                break;
            }
            let end = starts.get(at + 1).and_then(|(next, _)| next.previous()).unwrap_or(T::MAX);
            parts.entry(*class).or_default().push(((*start).max(*first), end.min(*last)));
        }
    }
    parts.into_iter().map(|(class, intervals)| (class, IntervalSet::from_intervals(intervals))).collect()
}
