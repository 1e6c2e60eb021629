//! Counting what rows admit, without making them: bases once, exceptions one by one.

use std::rc::Rc;

use fixedbitset::FixedBitSet;

use super::{IngressCut, Row, Rows, SenderWeights, Weighing};
use crate::compile::groups::Role;
use crate::compile::{RegionId, SenderId, SourceKindId, ValueId, WideId};
use crate::ids::{Id, IdVec};

impl Rows<'_> {
    /// The number of (source, protocol, port) that are certainly admitted, sources weighted.
    pub(in crate::compile) fn count(
        &mut self,
        row: &Row,
        weighing: Weighing,
        weights: &IdVec<SourceKindId, u64>,
    ) -> u128 {
        let wide = self.wide_values(row.sending.wide);
        let cut = row.ingress.map(|key| self.ingress_cut(key));
        let key = (row.ingress, row.sending.wide, row.role, weighing);
        let base = match self.counted.get(&key) {
            Some(known) => *known,
            None => {
                let count = self.count_all(cut.as_deref(), row, weighing, weights);
                self.counted.insert(key, count);
                count
            }
        };
        let (mut more, mut less) = (0, 0);
        for (sender, value) in &row.sending.exceptions {
            let (role, _) = *self.senders.keys().at(*sender);
            if !role.meets(row.role) {
                continue;
            }
            let before = *wide.at(*sender);
            let mut change = |rows: &mut Self, admitted: ValueId, weight: u64| {
                let (after, before) =
                    (rows.values.intersection(*value, admitted), rows.values.intersection(before, admitted));
                more += u128::from(weight) * rows.values.count(after);
                less += u128::from(weight) * rows.values.count(before);
            };
            let everything = self.values.everything();
            let mut left = self.weight(*sender, weights);
            for (admitted, region) in cut.iter().flat_map(|cut| &cut.regions) {
                let inside = self.sent_by.at(*sender).iter().filter(|kind| region.contains(kind.index()));
                let weight: u64 = inside.map(|kind| *weights.at(*kind)).sum();
                left -= weight;
                if weight > 0 {
                    change(self, *admitted, weight);
                }
            }
            change(self, cut.as_ref().map_or(everything, |cut| cut.base), left);
        }
        base + more - less
    }

    fn weight(&self, sender: SenderId, weights: &IdVec<SourceKindId, u64>) -> u64 {
        self.sent_by.at(sender).iter().map(|kind| *weights.at(*kind)).sum()
    }

    /// The count of a row without exceptions.
    fn count_all(
        &mut self,
        cut: Option<&IngressCut>,
        row: &Row,
        weighing: Weighing,
        weights: &IdVec<SourceKindId, u64>,
    ) -> u128 {
        let (wide_id, role) = (row.sending.wide, row.role);
        let wide = self.wide_values(wide_id);
        let everything = self.values.everything();
        let all = self.weigh_wide((wide_id, role, weighing), weights);
        let base = cut.map_or(everything, |cut| cut.base);
        let mut total = self.weigh(&all, base);
        let mut tally = std::mem::take(&mut self.tally);
        let regions = cut.iter().flat_map(|cut| cut.regions.iter().zip(&cut.shapes));
        for ((admitted, region), shape) in regions {
            for (sender, weight) in self.region_weights(*shape, region, role, weighing, weights).iter() {
                tally.add(*wide.at(*sender), *weight);
            }
            let inside = tally.take();
            total = total + self.weigh(&inside, *admitted) - self.weigh(&inside, base);
        }
        self.tally = tally;
        total
    }

    /// The weights of a region's sources that meet a role, by sender.
    fn region_weights(
        &mut self,
        shape: RegionId,
        region: &FixedBitSet,
        role: Role,
        weighing: Weighing,
        weights: &IdVec<SourceKindId, u64>,
    ) -> SenderWeights {
        let key = (shape, role, weighing);
        if let Some(known) = self.region_weights.get(&key) {
            return Rc::clone(known);
        }
        let mut by_sender: std::collections::BTreeMap<SenderId, u64> = std::collections::BTreeMap::new();
        for kind in region.ones().map(SourceKindId::from_index) {
            let sender = *self.sender_of.at(kind);
            if self.senders.keys().at(sender).0.meets(role) {
                *by_sender.entry(sender).or_default() += *weights.at(kind);
            }
        }
        let found: SenderWeights = by_sender.into_iter().collect();
        self.region_weights.insert(key, Rc::clone(&found));
        found
    }

    /// The weights of all sources that meet a role, by what they may send.
    fn weigh_wide(&mut self, key: (WideId, Role, Weighing), weights: &IdVec<SourceKindId, u64>) -> Rc<Weights> {
        let (wide, role, _) = key;
        if let Some(known) = self.weighed.get(&key) {
            return Rc::clone(known);
        }
        let values = self.wide_values(wide);
        let mut tally = Tally::default();
        for (sender, value) in values.iter().filter(|(sender, _)| self.senders.keys().at(*sender).0.meets(role)) {
            tally.add(*value, self.weight(sender, weights));
        }
        let weighed = Rc::new(tally.take());
        self.weighed.insert(key, Rc::clone(&weighed));
        weighed
    }

    fn weigh(&mut self, weights: &[(ValueId, u64)], admitted: ValueId) -> u128 {
        let mut total = 0;
        for (value, weight) in weights {
            let value = self.values.intersection(*value, admitted);
            total += u128::from(*weight) * self.values.count(value);
        }
        total
    }
}

/// Weights by value, sorted.
pub(super) type Weights = Vec<(ValueId, u64)>;

/// Adds up weights by value; kept between uses, because it is as long as there are values.
#[derive(Debug, Default)]
pub(super) struct Tally {
    weights: Vec<u64>,
    touched: Vec<ValueId>,
}

impl Tally {
    fn add(&mut self, value: ValueId, weight: u64) {
        if self.weights.len() <= value.index() {
            self.weights.resize(value.index() + 1, 0);
        }
        if let Some(known) = self.weights.get_mut(value.index()) {
            if *known == 0 {
                self.touched.push(value);
            }
            *known += weight;
        }
    }

    /// What was added since the last time.
    fn take(&mut self) -> Weights {
        self.touched.sort_unstable();
        self.touched.dedup();
        let weights = &mut self.weights;
        let take = |value: ValueId| (value, weights.get_mut(value.index()).map(std::mem::take).unwrap_or_default());
        self.touched.drain(..).map(take).collect()
    }
}
