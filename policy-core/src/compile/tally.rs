//! Counting ports: how many a value has in common with another, and how many sources have which value.

use crate::compile::ValueId;
use crate::compile::values::Values;
use crate::ids::{Id, IdVec};
use crate::model::{PortSet, Protocol};

/// What is certain in each value, laid out for counting: millions of pairs are asked for, hardly one of them twice.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// Where the intervals of each value end, and how many ports they hold.
    of: IdVec<ValueId, (usize, u64)>,
    /// Intervals of port numbers above which the protocol stands.
    intervals: Vec<(u32, u32)>,
}

impl Sizes {
    /// Takes in the values that came since the last time.
    pub(super) fn learn(&mut self, values: &Values) {
        for value in values.all().values().skip(self.of.len()) {
            self.intervals.extend(intervals(&value.certain));
            self.of.push((self.intervals.len(), value.certain.count()));
        }
    }

    fn intervals(&self, value: ValueId) -> &[(u32, u32)] {
        let start = value.index().checked_sub(1).and_then(|before| self.of.get(ValueId::from_index(before)));
        let range = start.map_or(0, |(end, _)| *end)..self.of.get(value).map_or(0, |(end, _)| *end);
        self.intervals.get(range).unwrap_or_default()
    }

    /// The number of (protocol, port) that are certainly in both values.
    pub(super) fn common(&self, a: ValueId, b: ValueId) -> u64 {
        let size = |value: ValueId| self.of.get(value).map_or(0, |(_, size)| *size);
        let (of_a, of_b) = (size(a), size(b));
        let every = Protocol::ALL.len() as u64 * u64::from(u16::MAX);
        if of_a == 0 || of_b == every {
            return of_a;
        }
        if of_b == 0 || of_a == every {
            return of_b;
        }
        let (mut mine, mut theirs) = (self.intervals(a).iter().peekable(), self.intervals(b).iter().peekable());
        let mut common = 0;
        while let (Some((from, to)), Some((first, last))) = (mine.peek(), theirs.peek()) {
            let (start, end) = (from.max(first), to.min(last));
            common += (u64::from(*end) + 1).saturating_sub(u64::from(*start));
            if to < last {
                mine.next()
            } else {
                theirs.next()
            };
        }
        common
    }
}

fn intervals(ports: &PortSet) -> impl Iterator<Item = (u32, u32)> + '_ {
    (0_u32..).zip(Protocol::ALL).flat_map(|(above, protocol)| {
        let number = move |port: u16| (above << u16::BITS) | u32::from(port);
        ports.of(protocol).intervals().iter().map(move |(first, last)| (number(*first), number(*last)))
    })
}

/// Adds up weights by value; kept between uses, because it is as long as there are values.
#[derive(Debug, Default)]
pub(super) struct Tally {
    weights: Vec<u64>,
    touched: Vec<ValueId>,
}

impl Tally {
    pub(super) fn add(&mut self, value: ValueId, weight: u64) {
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
    pub(super) fn take(&mut self, mut each: impl FnMut(ValueId, u64)) {
        for value in self.touched.drain(..) {
            if let Some(weight) = self.weights.get_mut(value.index()) {
                each(value, std::mem::take(weight));
            }
        }
    }
}
