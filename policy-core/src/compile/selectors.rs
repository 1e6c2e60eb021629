//! Selectors over many label sets at once, by posting lists (NP-11).

use fixedbitset::FixedBitSet;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{LabelSet, Name, Operator, Requirement, Selector};

/// The label keys that some selector reads. All others cannot matter and are projected away.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    keys: FxHashSet<Name>,
}

impl Keys {
    pub(super) fn read_by<'a>(selectors: impl Iterator<Item = &'a Selector>) -> Self {
        let keys = selectors.flat_map(Selector::requirements).map(|requirement| requirement.key.clone()).collect();
        Self { keys }
    }

    /// Whether all keys of a selector are among them.
    pub(super) fn know(&self, selector: &Selector) -> bool {
        selector.requirements().iter().all(|requirement| self.keys.contains(&requirement.key))
    }

    /// The labels with these keys only.
    pub(super) fn project(&self, labels: &LabelSet) -> LabelSet {
        labels.filtered(|key| self.keys.contains(key))
    }
}

/// Which of the objects `0..universe` carry which labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Postings {
    universe: usize,
    by_key: FxHashMap<Name, OfKey>,
}

/// The objects that have a key, and those that have it with each value.
#[derive(Clone, Debug, Default)]
struct OfKey {
    all: Vec<usize>,
    by_value: FxHashMap<Name, Vec<usize>>,
}

impl<'a> FromIterator<&'a LabelSet> for Postings {
    fn from_iter<I: IntoIterator<Item = &'a LabelSet>>(objects: I) -> Self {
        let mut postings = Self::default();
        for labels in objects {
            postings.push(labels);
        }
        postings
    }
}

impl Postings {
    /// The next object.
    pub(super) fn push(&mut self, labels: &LabelSet) {
        for (key, value) in labels.iter() {
            let of_key = match self.by_key.get_mut(key) {
                Some(known) => known,
                None => self.by_key.entry(key.clone()).or_default(),
            };
            of_key.all.push(self.universe);
            match of_key.by_value.get_mut(value) {
                Some(known) => known.push(self.universe),
                None => drop(of_key.by_value.insert(value.clone(), vec![self.universe])),
            }
        }
        self.universe += 1;
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
        let of_key = self.by_key.get(&requirement.key);
        match &requirement.operator {
            Operator::In(values) | Operator::NotIn(values) => {
                let lists = values.iter().filter_map(|value| of_key?.by_value.get(value));
                bits.extend(lists.flatten().copied());
            }
            Operator::Exists | Operator::DoesNotExist => {
                bits.extend(of_key.iter().flat_map(|of_key| &of_key.all).copied());
            }
        }
        // A missing key satisfies the negative operators.
        if matches!(requirement.operator, Operator::NotIn(_) | Operator::DoesNotExist) {
            bits.toggle_range(..);
        }
        bits
    }
}

/// The other way round: which of many selectors match a label set. Each stands for something.
#[derive(Clone, Debug)]
pub(super) struct Matchers<T> {
    /// Selectors that demand a value, by one such demand each.
    by_label: FxHashMap<(Name, Name), Vec<(Selector, T)>>,
    others: Vec<(Selector, T)>,
}

impl<T> Default for Matchers<T> {
    fn default() -> Self {
        Self { by_label: FxHashMap::default(), others: Vec::new() }
    }
}

/// A label without which nothing matches the selector, if there is one.
pub(super) fn demand(selector: &Selector) -> Option<(Name, Name)> {
    selector.requirements().iter().find_map(|requirement| match &requirement.operator {
        Operator::In(values) => match values.as_slice() {
            [value] => Some((requirement.key.clone(), value.clone())),
            _ => None,
        },
        Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist => None,
    })
}

impl<T> Matchers<T> {
    pub(super) fn push(&mut self, selector: &Selector, meant: T) {
        let place = match demand(selector) {
            Some(label) => self.by_label.entry(label).or_default(),
            None => &mut self.others,
        };
        place.push((selector.clone(), meant));
    }

    /// What those stand for that match.
    pub(super) fn matching(&self, labels: &LabelSet) -> impl Iterator<Item = &T> {
        let demanding = labels.iter().filter_map(|label| self.by_label.get(label)).flatten();
        let candidates = demanding.chain(&self.others);
        candidates.filter(|(selector, _)| selector.matches(labels)).map(|(_, meant)| meant)
    }
}
