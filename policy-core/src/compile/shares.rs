//! How many sources of each sender are in each region of a cut.

use std::rc::Rc;

use fixedbitset::FixedBitSet;

use crate::compile::cuts::{Cut, Ground};
use crate::compile::groups::Role;
use crate::compile::rows::Row;
use crate::compile::senders::Senders;
use crate::compile::tally::{Sizes, Tally};
use crate::compile::values::Values;
use crate::compile::{SceneId, SenderId, SourceKindId, ValueId};
use crate::ids::{Id, IdVec};
use crate::model::Family;

/// The number of endpoints that speak each family. `u32` is enough: so are the ids of pods and nodes.
pub(super) type Weight = [u32; 2];

/// Which families count: a factor for each half of a weight.
fn factors(families: &[Family]) -> [u64; 2] {
    Family::ALL.map(|family| u64::from(families.contains(&family)))
}

fn of([v4, v6]: Weight, [count_v4, count_v6]: [u64; 2]) -> u64 {
    u64::from(v4) * count_v4 + u64::from(v6) * count_v6
}

/// One region.
#[derive(Debug)]
struct Share {
    admitted: ValueId,
    /// What the ground says of these sources.
    instead_of: ValueId,
    /// By sender; zero but for `present`.
    weights: IdVec<SenderId, Weight>,
    /// The senders in the region.
    present: Vec<SenderId>,
}

impl Share {
    fn add(&mut self, sender: SenderId, weight: Weight) {
        if weight == [0, 0] {
            return;
        }
        let known = self.weights.at_mut(sender);
        if *known == [0, 0] {
            self.present.push(sender);
        }
        add(known, weight);
    }

    /// Adds source kinds, which come in order: those of one sender follow each other.
    fn extend(
        &mut self,
        kinds: impl Iterator<Item = SourceKindId>,
        senders: &Senders<'_>,
        weights: &IdVec<SourceKindId, Weight>,
    ) {
        let mut run = (SenderId::from_index(0), [0, 0]);
        for kind in kinds {
            let sender = senders.of(kind);
            if sender != run.0 {
                self.add(run.0, run.1);
                run = (sender, [0, 0]);
            }
            add(&mut run.1, *weights.at(kind));
        }
        self.add(run.0, run.1);
    }
}

/// The shares of one cut: those of its ground, which stay while the ground stays, and those of its regions.
#[derive(Debug)]
pub(super) struct Shares {
    weights: IdVec<SourceKindId, Weight>,
    ground: Option<Rc<Ground>>,
    of_ground: Vec<Share>,
    of_regions: Vec<Share>,
    /// Used again, because making shares costs more than filling them.
    spare: Vec<Share>,
    heard_on_ground: FixedBitSet,
    heard: FixedBitSet,
    sizes: Sizes,
    tally: Tally,
    counted_on_ground: Vec<Counted>,
    counted: Vec<Counted>,
    no_weights: IdVec<SenderId, Weight>,
}

impl Shares {
    pub(super) fn new(weights: IdVec<SourceKindId, Weight>, senders: &Senders<'_>) -> Self {
        let nobody = || FixedBitSet::with_capacity(senders.all().len());
        Self {
            weights,
            ground: None,
            of_ground: Vec::new(),
            of_regions: Vec::new(),
            spare: Vec::new(),
            heard_on_ground: nobody(),
            heard: nobody(),
            sizes: Sizes::default(),
            tally: Tally::default(),
            counted_on_ground: Vec::new(),
            counted: Vec::new(),
            no_weights: senders.all().values().map(|_| [0, 0]).collect(),
        }
    }

    /// Takes the shares of a cut.
    pub(super) fn load(&mut self, cut: &Cut, senders: &Senders<'_>, values: &Values) {
        if !self.ground.as_ref().is_some_and(|known| Rc::ptr_eq(known, &cut.ground)) {
            self.load_ground(&cut.ground, senders, values);
        }
        self.spare.append(&mut self.of_regions);
        self.counted.clear();
        self.heard.clone_from(&self.heard_on_ground);
        for region in &cut.regions {
            let mut share = self.empty(region.admitted, region.instead_of);
            share.extend(region.kinds.iter().copied(), senders, &self.weights);
            self.heard.extend(share.present.iter().map(|sender| sender.index()));
            self.of_regions.push(share);
        }
    }

    fn load_ground(&mut self, ground: &Rc<Ground>, senders: &Senders<'_>, values: &Values) {
        self.spare.append(&mut self.of_ground);
        self.counted_on_ground.clear();
        self.heard_on_ground.clear();
        let kinds = ground.admitted.iter().filter(|(_, admitted)| **admitted != values.nothing());
        let mut kinds: Vec<(ValueId, SourceKindId)> = kinds.map(|(kind, admitted)| (*admitted, kind)).collect();
        kinds.sort_unstable();
        for of_value in kinds.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((admitted, _)) = of_value.first() else { continue };
            let mut share = self.empty(*admitted, values.nothing());
            share.extend(of_value.iter().map(|(_, kind)| *kind), senders, &self.weights);
            self.heard_on_ground.extend(share.present.iter().map(|sender| sender.index()));
            self.of_ground.push(share);
        }
        self.ground = Some(Rc::clone(ground));
    }

    fn empty(&mut self, admitted: ValueId, instead_of: ValueId) -> Share {
        let Some(mut share) = self.spare.pop() else {
            return Share { admitted, instead_of, weights: self.no_weights.clone(), present: Vec::new() };
        };
        for sender in share.present.drain(..) {
            *share.weights.at_mut(sender) = [0, 0];
        }
        Share { admitted, instead_of, ..share }
    }

    /// The senders in regions that admit something.
    pub(super) fn heard(&self) -> &FixedBitSet {
        &self.heard
    }

    /// The number of (source, protocol, port) that a destination certainly admits in these families, sources weighted.
    pub(super) fn count(&mut self, senders: &Senders<'_>, values: &Values, row: &Row) -> u128 {
        self.sizes.learn(values);
        let mut counted_on_ground = std::mem::take(&mut self.counted_on_ground);
        let mut counted = std::mem::take(&mut self.counted);
        let (mut more, mut less) = (0, 0);
        for (shares, counted) in [(&self.of_ground, &mut counted_on_ground), (&self.of_regions, &mut counted)] {
            let known = counted.iter().find(|known| known.is_of(row));
            let (plus, minus) = known.map(|known| known.count).unwrap_or_else(|| {
                let count = count_backdrop(shares, &self.sizes, &mut self.tally, senders, row);
                counted.push(Counted { role: row.role, families: row.families.clone(), scene: row.scene, count });
                count
            });
            more += plus;
            less += minus;
        }
        (self.counted_on_ground, self.counted) = (counted_on_ground, counted);

        let factors = factors(&row.families);
        let nothing = values.nothing();
        for (id, value) in &row.sending {
            if !senders.all().at(*id).role.meets(row.role) {
                continue;
            }
            let before = senders.backdrop(row.scene, *id);
            for share in self.of_ground.iter().chain(&self.of_regions) {
                let weight = of(*share.weights.at(*id), factors);
                if weight == 0 {
                    continue;
                }
                let common = |sent: ValueId, admitted: ValueId| match sent == nothing || admitted == nothing {
                    true => 0,
                    false => u128::from(weight * self.sizes.common(sent, admitted)),
                };
                more += common(*value, share.admitted) + common(before, share.instead_of);
                less += common(before, share.admitted) + common(*value, share.instead_of);
            }
        }
        more - less
    }
}

/// What shares count, more and less, when every sender sends its backdrop.
fn count_backdrop(
    shares: &[Share],
    sizes: &Sizes,
    tally: &mut Tally,
    senders: &Senders<'_>,
    row: &Row,
) -> (u128, u128) {
    let factors = factors(&row.families);
    let (mut more, mut less) = (0, 0);
    for share in shares {
        for id in &share.present {
            if senders.all().at(*id).role.meets(row.role) {
                tally.add(senders.backdrop(row.scene, *id), of(*share.weights.at(*id), factors));
            }
        }
        tally.take(|value, weight| {
            more += u128::from(weight * sizes.common(value, share.admitted));
            less += u128::from(weight * sizes.common(value, share.instead_of));
        });
    }
    (more, less)
}

/// What was counted, more and less, when every sender sends its backdrop.
#[derive(Debug)]
struct Counted {
    role: Role,
    families: Vec<Family>,
    scene: SceneId,
    count: (u128, u128),
}

impl Counted {
    fn is_of(&self, row: &Row) -> bool {
        self.role == row.role && self.scene == row.scene && self.families == row.families
    }
}

fn add([v4, v6]: &mut Weight, [more_v4, more_v6]: Weight) {
    *v4 += more_v4;
    *v6 += more_v6;
}
