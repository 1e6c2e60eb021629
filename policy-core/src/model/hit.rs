//! Three-valued matching, and what the middle value hinges on.

use crate::model::{Condition, Knob, KnobSet, Outcome};

/// What an answer hinges on that is not known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Doubts {
    /// These knobs.
    pub knobs: KnobSet,
    /// What DNS answers (CNP-10).
    pub dns: bool,
}

impl Doubts {
    /// What DNS answers, and nothing else.
    pub const DNS: Self = Self { knobs: KnobSet::EMPTY, dns: true };

    /// One knob.
    #[must_use]
    pub fn knob(knob: Knob) -> Self {
        Self { knobs: KnobSet::one(knob), dns: false }
    }

    /// Both together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { knobs: self.knobs.union(other.knobs), dns: self.dns || other.dns }
    }
}

/// Whether something matches, when part of the facts may be unknown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hit {
    /// It does not.
    No,
    /// It depends on these.
    Maybe(Doubts),
    /// It does.
    Yes,
}

impl Hit {
    /// A match that is fully known.
    #[must_use]
    pub fn sure(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// A match that depends on one knob.
    #[must_use]
    pub fn unless_set(knob: Knob) -> Self {
        Self::Maybe(Doubts::knob(knob))
    }

    /// Whether one of two things matches.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Maybe(a), Self::Maybe(b)) => Self::Maybe(a.union(b)),
            (Self::Maybe(doubts), Self::No) | (Self::No, Self::Maybe(doubts)) => Self::Maybe(doubts),
            (Self::No, Self::No) => Self::No,
        }
    }

    /// Whether both match.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Maybe(a), Self::Maybe(b)) => Self::Maybe(a.union(b)),
            (Self::Maybe(doubts), Self::Yes) | (Self::Yes, Self::Maybe(doubts)) => Self::Maybe(doubts),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    /// What this matters for, when it is a rule's or an end's last word: let through or not. Undefined goes before
    /// conditional.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Yes => Outcome::Allowed,
            Self::No => Outcome::Denied,
            Self::Maybe(doubts) if doubts.knobs.is_empty() => Outcome::Conditional(Condition::Dns),
            Self::Maybe(doubts) => Outcome::Undefined(doubts.knobs),
        }
    }
}
