//! Exact sets of numbers as sorted, disjoint, non-adjacent closed intervals.

use std::fmt;

/// A number of which intervals are made.
pub trait Point: Copy + Ord + fmt::Debug {
    /// The smallest number.
    const MIN: Self;
    /// The largest number.
    const MAX: Self;
    /// The next number, if there is one.
    fn next(self) -> Option<Self>;
    /// The number before, if there is one.
    fn previous(self) -> Option<Self>;
}

macro_rules! point {
    ($($type:ty),*) => {$(
        impl Point for $type {
            const MIN: Self = <$type>::MIN;
            const MAX: Self = <$type>::MAX;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}
point!(u16, u32, u128);

/// A set of numbers.
///
/// INVARIANT (canonical): intervals are sorted, each `first <= last`, and at least one number lies between two
/// neighbours. So equal sets have equal representations. Upheld by [`IntervalSet::from_intervals`], through which every
/// constructor goes; the set operations keep it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntervalSet<T> {
    intervals: Vec<(T, T)>,
}

impl<T> Default for IntervalSet<T> {
    fn default() -> Self {
        Self { intervals: Vec::new() }
    }
}

impl<T: fmt::Debug> fmt::Debug for IntervalSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.intervals).finish()
    }
}

impl<T: Point> IntervalSet<T> {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every number.
    #[must_use]
    pub fn full() -> Self {
        Self { intervals: vec![(T::MIN, T::MAX)] }
    }

    /// `first..=last`; empty when `first > last`.
    #[must_use]
    pub fn range(first: T, last: T) -> Self {
        Self::from_intervals([(first, last)])
    }

    /// The union of closed intervals in any order; those with `first > last` are empty.
    pub fn from_intervals(intervals: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut parts: Vec<_> = intervals.into_iter().filter(|(first, last)| first <= last).collect();
        parts.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(parts.len());
        for (first, last) in parts {
            match merged.last_mut() {
                Some((_, end)) if end.next().is_none_or(|after| first <= after) => *end = (*end).max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { intervals: merged }
    }

    /// The intervals in order.
    #[must_use]
    pub fn intervals(&self) -> &[(T, T)] {
        &self.intervals
    }

    /// Whether no number is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The smallest number of the set.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.intervals.first().map(|(first, _)| *first)
    }

    /// Whether `point` is in the set.
    #[must_use]
    pub fn contains(&self, point: T) -> bool {
        let at = self.intervals.partition_point(|(_, last)| *last < point);
        self.intervals.get(at).is_some_and(|(first, _)| *first <= point)
    }

    /// The numbers of both sets together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_intervals(self.intervals.iter().chain(&other.intervals).copied())
    }

    /// The numbers that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.intervals.iter().peekable(), other.intervals.iter().peekable());
        let mut common = Vec::new();
        while let (Some((a, b)), Some((c, d))) = (left.peek(), right.peek()) {
            let (first, last) = ((*a).max(*c), (*b).min(*d));
            if first <= last {
                common.push((first, last));
            }
            if b < d {
                left.next()
            } else {
                right.next()
            };
        }
        Self { intervals: common }
    }

    /// The numbers that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.intervals.len() + 1);
        let mut from = Some(T::MIN);
        for (first, last) in &self.intervals {
            if let (Some(start), Some(end)) = (from, first.previous())
                && start <= end
            {
                gaps.push((start, end));
            }
            from = last.next();
        }
        gaps.extend(from.map(|start| (start, T::MAX)));
        Self { intervals: gaps }
    }

    /// The numbers of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// Whether every number of this set is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.intersection(other) == *self
    }

    /// Whether no number is in both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersection(other).is_empty()
    }
}
