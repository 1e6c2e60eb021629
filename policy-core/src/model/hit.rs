//! Three-valued matching.

use crate::model::KnobSet;

/// Whether something matches, when part of the facts may be unknown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hit {
    /// It does not.
    No,
    /// It depends on these knobs.
    Maybe(KnobSet),
    /// It does.
    Yes,
}

impl Hit {
    /// A match that is fully known.
    #[must_use]
    pub fn sure(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// Whether one of two things matches.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Maybe(a), Self::Maybe(b)) => Self::Maybe(a.union(b)),
            (Self::Maybe(knobs), Self::No) | (Self::No, Self::Maybe(knobs)) => Self::Maybe(knobs),
            (Self::No, Self::No) => Self::No,
        }
    }

    /// Whether both match.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Maybe(a), Self::Maybe(b)) => Self::Maybe(a.union(b)),
            (Self::Maybe(knobs), Self::Yes) | (Self::Yes, Self::Maybe(knobs)) => Self::Maybe(knobs),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }
}
