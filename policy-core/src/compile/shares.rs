//! How many sources of each sender are in each region of a cut.

use fixedbitset::FixedBitSet;

use crate::compile::cuts::Cut;
use crate::compile::groups::Role;
use crate::compile::rows::Row;
use crate::compile::senders::{Sender, Senders};
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
    /// By sender; zero but for `present`.
    weights: IdVec<SenderId, Weight>,
    /// The senders in the region, in order.
    present: Vec<SenderId>,
}

impl Share {
    fn add(&mut self, sender: SenderId, weight: Weight) {
        if weight != [0, 0] {
            *self.weights.at_mut(sender) = weight;
            self.present.push(sender);
        }
    }
}

/// The shares of one cut; used again for the next, because making them costs more than filling them.
#[derive(Debug)]
pub(super) struct Shares {
    weights: IdVec<SourceKindId, Weight>,
    of_sender: IdVec<SenderId, Weight>,
    shares: Vec<Share>,
    spare: Vec<Share>,
    heard: FixedBitSet,
    sizes: Sizes,
    tally: Tally,
    counted: Vec<Counted>,
}

impl Shares {
    pub(super) fn new(weights: IdVec<SourceKindId, Weight>, senders: &Senders<'_>) -> Self {
        let total = |sender: &Sender| {
            let mut total = [0, 0];
            for kind in sender.kinds.clone() {
                add(&mut total, *weights.at(SourceKindId::from_index(kind)));
            }
            total
        };
        let of_sender = senders.all().values().map(total).collect();
        Self {
            weights,
            of_sender,
            shares: Vec::new(),
            spare: Vec::new(),
            heard: FixedBitSet::with_capacity(senders.all().len()),
            sizes: Sizes::default(),
            tally: Tally::default(),
            counted: Vec::new(),
        }
    }

    /// Takes the shares of a cut.
    pub(super) fn load(&mut self, cut: &Cut, senders: &Senders<'_>, values: &Values) {
        self.spare.append(&mut self.shares);
        self.counted.clear();
        self.heard.clear();
        for (admitted, region) in &cut.regions {
            let mut share = self.empty(*admitted);
            let mut run = (SenderId::from_index(0), [0, 0]);
            for kind in region.ones().map(SourceKindId::from_index) {
                let sender = senders.of(kind);
                if sender != run.0 {
                    share.add(run.0, run.1);
                    run = (sender, [0, 0]);
                }
                add(&mut run.1, *self.weights.at(kind));
            }
            share.add(run.0, run.1);
            self.shares.push(share);
        }
        if cut.base != values.nothing() {
            let mut rest = self.empty(cut.base);
            for (sender, all) in self.of_sender.iter() {
                let [mut v4, mut v6] = *all;
                for share in &self.shares {
                    let [gone_v4, gone_v6] = *share.weights.at(sender);
                    (v4, v6) = (v4 - gone_v4, v6 - gone_v6);
                }
                rest.add(sender, [v4, v6]);
            }
            self.shares.push(rest);
        }
        for share in &self.shares {
            self.heard.extend(share.present.iter().map(|sender| sender.index()));
        }
    }

    fn empty(&mut self, admitted: ValueId) -> Share {
        let Some(mut share) = self.spare.pop() else {
            let weights = self.of_sender.values().map(|_| [0, 0]).collect();
            return Share { admitted, weights, present: Vec::new() };
        };
        for sender in share.present.drain(..) {
            *share.weights.at_mut(sender) = [0, 0];
        }
        Share { admitted, ..share }
    }

    /// The senders in regions that admit something.
    pub(super) fn heard(&self) -> &FixedBitSet {
        &self.heard
    }

    /// The number of (source, protocol, port) that a destination certainly admits in these families, sources weighted.
    pub(super) fn count(&mut self, senders: &Senders<'_>, values: &Values, row: &Row) -> u128 {
        self.sizes.learn(values);
        let (mut more, mut less) = (self.count_backdrop(senders, row), 0);
        let factors = factors(&row.families);
        for (id, value) in &row.sending {
            if !senders.all().at(*id).role.meets(row.role) {
                continue;
            }
            let before = senders.backdrop(row.scene, *id);
            for share in &self.shares {
                let weight = of(*share.weights.at(*id), factors);
                if weight != 0 {
                    more += u128::from(weight * self.sizes.common(*value, share.admitted));
                    if before != values.nothing() {
                        less += u128::from(weight * self.sizes.common(before, share.admitted));
                    }
                }
            }
        }
        more - less
    }

    fn count_backdrop(&mut self, senders: &Senders<'_>, row: &Row) -> u128 {
        let same = |of: &&Counted| of.role == row.role && of.scene == row.scene && of.families == row.families;
        if let Some(known) = self.counted.iter().find(same) {
            return known.count;
        }
        let factors = factors(&row.families);
        let mut count = 0;
        for share in &self.shares {
            for id in &share.present {
                if senders.all().at(*id).role.meets(row.role) {
                    self.tally.add(senders.backdrop(row.scene, *id), of(*share.weights.at(*id), factors));
                }
            }
            let sizes = &self.sizes;
            self.tally.take(|value, weight| count += u128::from(weight * sizes.common(value, share.admitted)));
        }
        self.counted.push(Counted { role: row.role, families: row.families.clone(), scene: row.scene, count });
        count
    }
}

/// What a cut counts when every sender sends its backdrop.
#[derive(Debug)]
struct Counted {
    role: Role,
    families: Vec<Family>,
    scene: SceneId,
    count: u128,
}

fn add([v4, v6]: &mut Weight, [more_v4, more_v6]: Weight) {
    *v4 += more_v4;
    *v6 += more_v6;
}
