//! Tiers of cluster-wide policies as chains of steps, folded from the last to the first (CNP-1 … CNP-4).
//!
//! The fold works on single questions and on sets of ports alike. What a tier makes of a question is linear in what
//! comes after it: its [`Effect`] is known once it is known for "nothing after it" and for "everything".

use crate::compile::ports::PortValue;
use crate::compile::table::Term;
use crate::compile::{PeersId, ValueId};
use crate::model::{Doubts, Hit, Knob, KnobSet, PortSet, TierAction, TierRuleRef};

/// A rule of a cluster-wide policy, compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) rule: TierRuleRef,
    pub(super) action: TierAction,
    pub(super) term: Term,
}

/// The rules of one policy for one direction, in order (CNP-3).
type Steps = Box<[Step]>;

/// The policies of one tier that act on a class in one direction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Chain {
    /// In order of priority; any of a group may come first (CNP-2).
    groups: Box<[Box<[Steps]>]>,
    /// Those whose place among the groups is not defined (ANP-4).
    free: Box<[Steps]>,
}

/// What a chain makes of what comes after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Effect {
    /// When nothing is let through after it.
    pub(super) floor: ValueId,
    /// When everything is.
    pub(super) ceiling: ValueId,
}

/// Something that a rule decides: one question, or a set of ports.
pub(super) trait Decided: Clone + PartialEq {
    fn nothing() -> Self;
    fn everything() -> Self;
    /// `then` as far as `matches` holds, else `rest`.
    fn choose(matches: &Self, then: &Self, rest: &Self) -> Self;
    /// What both say, where they say the same; elsewhere it depends on which of two policies comes first.
    fn agree(&self, other: &Self) -> Self;
}

impl Chain {
    pub(super) fn new(groups: Vec<Vec<Steps>>, free: Vec<Steps>) -> Self {
        Self { groups: groups.into_iter().map(Vec::into_boxed_slice).collect(), free: free.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.free.is_empty()
    }

    /// All steps.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.groups.iter().flatten().chain(&self.free).flatten()
    }

    /// The distinct peer lists of its steps, sorted.
    pub(super) fn peers(&self) -> Vec<PeersId> {
        let mut peers: Vec<PeersId> = self.steps().map(|step| step.term.peers).collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// What the chain lets through, when `next` comes after it. `matches` says what a step takes.
    pub(super) fn fold<D: Decided>(&self, matches: &impl Fn(&Step) -> D, next: &D) -> D {
        if self.free.is_empty() {
            return groups(self.groups.iter(), matches, next);
        }
        let places = (0..=self.groups.len()).map(|place| {
            let (before, after) = self.groups.split_at_checked(place).unwrap_or_default();
            groups(before.iter().chain(std::iter::once(&self.free)).chain(after), matches, next)
        });
        places.reduce(|known, other| known.agree(&other)).unwrap_or_else(|| next.clone())
    }

    /// The rules that match or may match, without those that come after the chain is certainly decided.
    pub(super) fn matching(&self, hit: &impl Fn(&Step) -> Hit) -> Vec<TierRuleRef> {
        let mut matching = Vec::new();
        let mut list = |steps: &Steps| {
            for step in steps {
                let hit = hit(step);
                if hit != Hit::No {
                    matching.push(step.rule);
                }
                if hit == Hit::Yes {
                    return true;
                }
            }
            false
        };
        for group in &self.groups {
            // Every policy of the group is listed, also after one that decides.
            let decided = group.iter().filter(|steps| list(steps)).count();
            if decided > 0 {
                break;
            }
        }
        for steps in &self.free {
            list(steps);
        }
        matching
    }
}

fn groups<'a, D: Decided>(
    groups: impl DoubleEndedIterator<Item = &'a Box<[Steps]>>,
    matches: &impl Fn(&Step) -> D,
    next: &D,
) -> D {
    groups.rev().fold(next.clone(), |rest, group| {
        let takes = |steps: &&Steps| steps.iter().any(|step| matches(step) != D::nothing());
        let taking: Vec<&Steps> = group.iter().filter(takes).collect();
        let orders = taking.iter().enumerate().map(|(at, first)| {
            let (before, after) = taking.split_at_checked(at).unwrap_or_default();
            let order = std::iter::once(first).chain(before).chain(after.iter().skip(1));
            let steps: Vec<&Step> = order.flat_map(|steps| steps.iter()).collect();
            steps.into_iter().rev().fold(rest.clone(), |rest, step| {
                let then = match step.action {
                    TierAction::Accept => D::everything(),
                    TierAction::Deny => D::nothing(),
                    TierAction::Pass => next.clone(),
                };
                D::choose(&matches(step), &then, &rest)
            })
        });
        orders.reduce(|known, other| known.agree(&other)).unwrap_or(rest)
    })
}

impl Decided for Hit {
    fn nothing() -> Self {
        Self::No
    }

    fn everything() -> Self {
        Self::Yes
    }

    fn choose(matches: &Self, then: &Self, rest: &Self) -> Self {
        match matches {
            Self::Yes => *then,
            Self::No => *rest,
            Self::Maybe(_) if then == rest => *rest,
            Self::Maybe(doubts) => Self::Maybe([*then, *rest].into_iter().fold(*doubts, with_doubts)),
        }
    }

    fn agree(&self, other: &Self) -> Self {
        if self == other {
            return *self;
        }
        Self::Maybe([*self, *other].into_iter().fold(Doubts::knob(Knob::EqualPriority), with_doubts))
    }
}

fn with_doubts(doubts: Doubts, hit: Hit) -> Doubts {
    match hit {
        Hit::Maybe(more) => doubts.union(more),
        Hit::Yes | Hit::No => doubts,
    }
}

impl Decided for PortValue {
    fn nothing() -> Self {
        Self::default()
    }

    fn everything() -> Self {
        Self::all()
    }

    fn choose(matches: &Self, then: &Self, rest: &Self) -> Self {
        if matches.is_empty() {
            return rest.clone();
        }
        let (matching, not_matching) = (&matches.certain, matches.any().complement());
        let (then_never, rest_never) = (then.any().complement(), rest.any().complement());
        let certain = sum([
            matching.intersection(&then.certain),
            not_matching.intersection(&rest.certain),
            then.certain.intersection(&rest.certain),
        ]);
        let never = sum([
            matching.intersection(&then_never),
            not_matching.intersection(&rest_never),
            then_never.intersection(&rest_never),
        ]);
        let unsure = certain.union(&never).complement();
        let asked = unsure.difference(&then.learned.intersection(&rest.learned));
        let by_match = matches.possible.intersection(&asked);
        let by_then = then.possible.difference(&not_matching).intersection(&asked);
        let by_rest = rest.possible.difference(matching).intersection(&asked);
        let knobs = knobs_of([(&by_match, matches), (&by_then, then), (&by_rest, rest)]);
        let possible = sum([by_match, by_then, by_rest]);
        let learned = unsure.difference(&possible);
        Self { certain, possible, knobs, learned }
    }

    fn agree(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let certain = self.certain.intersection(&other.certain);
        let never = self.any().union(&other.any()).complement();
        let learned = self.learned.intersection(&other.learned);
        let possible = sum([certain.clone(), never, learned.clone()]).complement();
        let knobs = match possible.is_empty() {
            true => KnobSet::EMPTY,
            false => KnobSet::one(Knob::EqualPriority).union(self.knobs).union(other.knobs),
        };
        Self { certain, possible, knobs, learned }
    }
}

fn sum<const N: usize>(sets: [PortSet; N]) -> PortSet {
    sets.into_iter().reduce(|sum, set| sum.union(&set)).unwrap_or_default()
}

/// The knobs of the values that contribute some port.
fn knobs_of<const N: usize>(parts: [(&PortSet, &PortValue); N]) -> KnobSet {
    let contributing = parts.into_iter().filter(|(ports, _)| !ports.is_empty());
    contributing.fold(KnobSet::EMPTY, |knobs, (_, value)| knobs.union(value.knobs))
}
