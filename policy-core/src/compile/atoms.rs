//! Address classes: which ipBlocks hold an address.
//!
//! All blocks together cut each family into intervals; two intervals inside the same blocks are one class. So
//! a class is what policies can know of an address, and there are never more than blocks allow.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::compile::interner::Interner;
use crate::compile::{AddressClassId, BlockId};
use crate::ids::{Id, IdVec};
use crate::model::interval::Point;
use crate::model::premise::Whereabouts;
use crate::model::{AddressSet, Family, Hit, IntervalSet, Knob, KnobSet};

/// What ipBlocks know of an end.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct AddressClass {
    /// The blocks that certainly hold it, sorted.
    pub(super) certain: Box<[BlockId]>,
    /// The blocks that may hold it, sorted; disjoint from `certain`.
    pub(super) possible: Box<[BlockId]>,
    /// What the possible ones depend on.
    pub(super) knobs: KnobSet,
}

impl AddressClass {
    /// The blocks that hold it, with how surely.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (BlockId, Hit)> + '_ {
        let certain = self.certain.iter().map(|block| (*block, Hit::Yes));
        certain.chain(self.possible.iter().map(|block| (*block, Hit::Maybe(self.knobs))))
    }
}

/// All address classes of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Atoms {
    blocks: IdVec<BlockId, AddressSet>,
    classes: Interner<AddressClassId, AddressClass>,
    v4: Vec<(u32, AddressClassId)>,
    v6: Vec<(u128, AddressClassId)>,
    unknown: FxHashMap<(Family, Knob), AddressClassId>,
}

impl Atoms {
    /// The classes that these blocks make.
    pub(super) fn new(blocks: IdVec<BlockId, AddressSet>) -> Self {
        let mut classes = Interner::default();
        classes.intern(AddressClass::default());
        let v4 = sweep(blocks.iter().map(|(id, block)| (id, block.v4())), &mut classes);
        let v6 = sweep(blocks.iter().map(|(id, block)| (id, block.v6())), &mut classes);
        Self { blocks, classes, v4, v6, unknown: FxHashMap::default() }
    }

    /// The class that no block holds.
    pub(super) fn outside_all(&self) -> AddressClassId {
        AddressClassId::from_index(0)
    }

    pub(super) fn class(&self, id: AddressClassId) -> &AddressClass {
        self.classes.keys().at(id)
    }

    /// The class of an address.
    pub(super) fn of_address(&self, address: IpAddr) -> AddressClassId {
        let class = match address {
            IpAddr::V4(address) => lookup(&self.v4, u32::from(address)),
            IpAddr::V6(address) => lookup(&self.v6, u128::from(address)),
        };
        class.unwrap_or_else(|| self.outside_all())
    }

    /// The class of an end of which perhaps only a range is known (NP-13).
    pub(super) fn of_whereabouts(&mut self, family: Family, whereabouts: &Whereabouts) -> AddressClassId {
        match whereabouts {
            Whereabouts::Known(addresses) => match addresses.as_slice() {
                [address] => self.of_address(*address),
                addresses => self.of_several(addresses),
            },
            Whereabouts::Within(range, knob) => {
                if let Some(class) = self.unknown.get(&(family, *knob)) {
                    return *class;
                }
                let overlapping = |(id, block): (BlockId, &AddressSet)| (!block.is_disjoint(range)).then_some(id);
                let overlapping: Vec<_> = self.blocks.iter().filter_map(overlapping).collect();
                let (certain, possible): (Vec<_>, Vec<_>) =
                    overlapping.into_iter().partition(|block| range.is_subset(self.blocks.at(*block)));
                let class = self.intern(certain, possible, *knob);
                self.unknown.insert((family, *knob), class);
                class
            }
        }
    }

    fn of_several(&mut self, addresses: &[IpAddr]) -> AddressClassId {
        let holding: Vec<BTreeSet<BlockId>> = addresses
            .iter()
            .map(|address| self.class(self.of_address(*address)).certain.iter().copied().collect())
            .collect();
        let some: BTreeSet<BlockId> = holding.iter().flatten().copied().collect();
        let (certain, possible) = some.into_iter().partition(|block| holding.iter().all(|held| held.contains(block)));
        self.intern(certain, possible, Knob::NodeCidrs)
    }

    fn intern(&mut self, certain: Vec<BlockId>, possible: Vec<BlockId>, knob: Knob) -> AddressClassId {
        let knobs = if possible.is_empty() { KnobSet::EMPTY } else { KnobSet::one(knob) };
        self.classes.intern(AddressClass { certain: certain.into(), possible: possible.into(), knobs })
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
    let mut starts = vec![(T::MIN, AddressClassId::from_index(0))];
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
        let class = AddressClass { certain: active.iter().copied().collect(), ..AddressClass::default() };
        let class = classes.intern(class);
        match starts.last_mut() {
            Some((start, last)) if *start == at => *last = class,
            _ => starts.push((at, class)),
        }
    }
    starts
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
