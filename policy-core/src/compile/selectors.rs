//! Selectors over many label sets at once, by posting lists (NP-11).

use fixedbitset::FixedBitSet;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{LabelSet, Operator, Requirement, Selector};

/// The label keys that some selector reads. All others cannot matter and are projected away.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys<'a> {
    keys: FxHashSet<&'a str>,
}

impl<'a> Keys<'a> {
    pub(super) fn read_by(selectors: impl Iterator<Item = &'a Selector>) -> Self {
        let keys = selectors.flat_map(Selector::requirements).map(|requirement| &*requirement.key).collect();
        Self { keys }
    }

    /// The labels with these keys only.
    pub(super) fn project<'l>(&self, labels: &'l LabelSet) -> Vec<(&'l str, &'l str)> {
        let read = labels.iter().filter(|(key, _)| self.keys.contains(&**key));
        read.map(|(key, value)| (&**key, &**value)).collect()
    }
}

/// Which of the objects `0..universe` carry which labels.
#[derive(Debug)]
pub(super) struct Postings<'a> {
    universe: usize,
    by_key: FxHashMap<&'a str, Vec<usize>>,
    by_label: FxHashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Postings<'a> {
    pub(super) fn new(objects: impl ExactSizeIterator<Item = Vec<(&'a str, &'a str)>>) -> Self {
        let mut postings =
            Self { universe: objects.len(), by_key: FxHashMap::default(), by_label: FxHashMap::default() };
        for (index, labels) in objects.enumerate() {
            for (key, value) in labels {
                postings.by_key.entry(key).or_default().push(index);
                postings.by_label.entry((key, value)).or_default().push(index);
            }
        }
        postings
    }

    /// The objects that a selector matches.
    pub(super) fn select(&self, selector: &Selector) -> FixedBitSet {
        let mut selected = FixedBitSet::with_capacity(self.universe);
        selected.insert_range(..);
        for requirement in selector.requirements() {
            selected.intersect_with(&self.satisfying(requirement));
        }
        selected
    }

    fn satisfying(&self, requirement: &Requirement) -> FixedBitSet {
        let mut bits = FixedBitSet::with_capacity(self.universe);
        let key = &*requirement.key;
        match &requirement.operator {
            Operator::In(values) | Operator::NotIn(values) => {
                let lists = values.iter().filter_map(|value| self.by_label.get(&(key, &**value)));
                bits.extend(lists.flatten().copied());
            }
            Operator::Exists | Operator::DoesNotExist => {
                bits.extend(self.by_key.get(key).into_iter().flatten().copied());
            }
        }
        // A missing key satisfies the negative operators.
        if matches!(requirement.operator, Operator::NotIn(_) | Operator::DoesNotExist) {
            bits.toggle_range(..);
        }
        bits
    }
}
