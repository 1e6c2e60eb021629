//! Sets of label classes, sparse or dense.

use fixedbitset::FixedBitSet;

use crate::compile::ClassId;
use crate::ids::Id;

/// A set of label classes. Small ones are sorted lists, wide ones bitsets.
#[derive(Clone, Debug)]
pub(super) enum ClassSet {
    Sparse(Vec<ClassId>),
    Dense(FixedBitSet),
}

/// A list longer than one in this many classes is kept as bits: the bitset is then the smaller of the two.
const DENSE_SHARE: usize = 32;

/// Sets of more classes than this are shared between rows instead of listed in each.
const WIDE: usize = 64;

impl ClassSet {
    /// The set of these classes, in any order, out of `universe` classes.
    pub(super) fn new(mut classes: Vec<ClassId>, universe: usize) -> Self {
        if classes.len() > universe / DENSE_SHARE && universe > DENSE_SHARE {
            let mut bits = FixedBitSet::with_capacity(universe);
            bits.extend(classes.iter().map(|class| class.index()));
            return Self::Dense(bits);
        }
        classes.sort_unstable();
        classes.dedup();
        Self::Sparse(classes)
    }

    /// Puts a class in that is newer than all others.
    pub(super) fn push(&mut self, class: ClassId) {
        match self {
            Self::Sparse(classes) if classes.last() == Some(&class) => {}
            Self::Sparse(classes) => classes.push(class),
            Self::Dense(bits) => bits.grow_and_insert(class.index()),
        }
    }

    /// Whether more classes are in the set than a row should list one by one.
    pub(super) fn is_wide(&self) -> bool {
        match self {
            Self::Sparse(classes) => classes.len() > WIDE,
            Self::Dense(_) => true,
        }
    }

    pub(super) fn contains(&self, class: ClassId) -> bool {
        match self {
            Self::Sparse(classes) => classes.binary_search(&class).is_ok(),
            Self::Dense(bits) => bits.contains(class.index()),
        }
    }

    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = ClassId> + '_> {
        match self {
            Self::Sparse(classes) => Box::new(classes.iter().copied()),
            Self::Dense(bits) => Box::new(bits.ones().map(ClassId::from_index)),
        }
    }
}
