//! Tiers of cluster-wide policies as chains of steps, folded from the last to the first (CNP-1 … CNP-4).
//!
//! The fold works on single questions and on sets of ports alike. What a tier makes of anything that may come after it
//! is known by what it makes of "nothing", of "everything" and of "it depends on DNS": its [`Effect`].

use std::collections::BTreeSet;

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
/// Policies of equal priority.
pub(super) type Group = Box<[Steps]>;

/// The policies of one tier that act on a class in one direction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Chain {
    /// In order of priority; any of a group may come first (CNP-2).
    groups: Box<[Group]>,
    /// Those whose place among the groups is not defined (ANP-4).
    free: Group,
}

/// What a chain makes of what comes after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Effect {
    /// When nothing is let through after it.
    pub(super) floor: ValueId,
    /// When everything is, if DNS says so. It does not follow from the others: where both doubt, policies of one
    /// priority may still agree that it is up to DNS (CNP-2, CNP-10).
    pub(super) learned: ValueId,
    /// When everything is.
    pub(super) ceiling: ValueId,
}

/// A way to compute what rules decide: for one question, for sets of ports, or for sets by id.
pub(super) trait Algebra {
    /// What is let through.
    type Value: Clone + PartialEq;
    fn nothing(&self) -> Self::Value;
    fn everything(&self) -> Self::Value;
    /// `then` as far as `matches` holds, else `rest`.
    fn choose(&mut self, matches: &Self::Value, then: &Self::Value, rest: &Self::Value) -> Self::Value;
    /// What both say, where they say the same; elsewhere it depends on which of two policies comes first.
    fn agree(&mut self, one: &Self::Value, other: &Self::Value) -> Self::Value;
}

/// What is let through from some step of a chain on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Suffix<V> {
    /// Without the policies whose place is free.
    plain: V,
    /// With them in each place of the suffix: the distinct values. Empty when there are none.
    with_free: Vec<V>,
}

impl<V: Clone> Suffix<V> {
    /// What the suffix lets through.
    pub(super) fn value<A: Algebra<Value = V>>(self, algebra: &mut A) -> V {
        let mut places = self.with_free.into_iter();
        match places.next() {
            Some(first) => places.fold(first, |known, other| algebra.agree(&known, &other)),
            None => self.plain,
        }
    }
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

    /// Its groups and the policies whose place is free, as `tell` says them.
    pub(super) fn parts(&self, tell: impl Fn(&[Step]) -> String) -> (Vec<BTreeSet<String>>, BTreeSet<String>) {
        let all = |group: &Group| group.iter().map(|steps| tell(steps)).collect();
        (self.groups.iter().map(all).collect(), all(&self.free))
    }

    /// The distinct peer lists of its steps, sorted.
    pub(super) fn peers(&self) -> Vec<PeersId> {
        peers(self.steps())
    }

    /// Its groups from the last to the first, each with the peer lists of its steps. The free policies come with
    /// every group, and before all of them with none.
    pub(super) fn backwards(&self) -> impl Iterator<Item = (Option<&Group>, Vec<PeersId>)> {
        let free = || self.free.iter().flatten();
        let last = (!self.free.is_empty()).then(|| (None, peers(free())));
        let groups = self.groups.iter().rev();
        last.into_iter().chain(groups.map(move |group| (Some(group), peers(group.iter().flatten().chain(free())))))
    }

    /// What comes after the last step.
    pub(super) fn end<V>(next: V) -> Suffix<V> {
        Suffix { plain: next, with_free: Vec::new() }
    }

    /// The suffix that begins one group earlier; without a group, the free policies alone.
    pub(super) fn before<A: Algebra>(
        &self,
        algebra: &mut A,
        group: Option<&Group>,
        matches: &mut impl FnMut(&mut A, &Step) -> A::Value,
        suffix: &Suffix<A::Value>,
        next: &A::Value,
    ) -> Suffix<A::Value> {
        let Some(group) = group else {
            let with_free = any_order(algebra, &self.free, matches, &suffix.plain, next);
            return Suffix { plain: suffix.plain.clone(), with_free: vec![with_free] };
        };
        let plain = any_order(algebra, group, matches, &suffix.plain, next);
        let mut with_free = Vec::new();
        if !suffix.with_free.is_empty() {
            with_free.push(any_order(algebra, &self.free, matches, &plain, next));
        }
        for later in &suffix.with_free {
            let later = any_order(algebra, group, matches, later, next);
            if !with_free.contains(&later) {
                with_free.push(later);
            }
        }
        Suffix { plain, with_free }
    }

    /// What the chain lets through, when `next` comes after it. `matches` says what a step takes.
    pub(super) fn fold<A: Algebra>(
        &self,
        algebra: &mut A,
        mut matches: impl FnMut(&mut A, &Step) -> A::Value,
        next: &A::Value,
    ) -> A::Value {
        let mut suffix = Self::end(next.clone());
        for (group, _) in self.backwards() {
            suffix = self.before(algebra, group, &mut matches, &suffix, next);
        }
        suffix.value(algebra)
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

fn peers<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<PeersId> {
    let mut peers: Vec<PeersId> = steps.map(|step| step.term.peers).collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}

/// Policies of which any may come first (CNP-2): it is enough to try each as the first.
fn any_order<A: Algebra>(
    algebra: &mut A,
    group: &[Steps],
    matches: &mut impl FnMut(&mut A, &Step) -> A::Value,
    rest: &A::Value,
    next: &A::Value,
) -> A::Value {
    let nothing = algebra.nothing();
    let mut taking: Vec<Vec<(TierAction, A::Value)>> = Vec::new();
    for steps in group {
        let taken = steps.iter().map(|step| (step.action, matches(algebra, step)));
        let taken: Vec<(TierAction, A::Value)> = taken.filter(|(_, taken)| *taken != nothing).collect();
        if !taken.is_empty() {
            taking.push(taken);
        }
    }
    let mut known: Option<A::Value> = None;
    for (at, first) in taking.iter().enumerate() {
        let (before, after) = taking.split_at_checked(at).unwrap_or_default();
        let order = std::iter::once(first).chain(before).chain(after.iter().skip(1));
        let steps: Vec<&(TierAction, A::Value)> = order.flatten().collect();
        let mut value = rest.clone();
        for (action, taken) in steps.into_iter().rev() {
            let then = match action {
                TierAction::Accept => algebra.everything(),
                TierAction::Deny => nothing.clone(),
                TierAction::Pass => next.clone(),
            };
            value = algebra.choose(taken, &then, &value);
        }
        known = Some(match known {
            Some(known) => algebra.agree(&known, &value),
            None => value,
        });
    }
    known.unwrap_or_else(|| rest.clone())
}

/// One question.
pub(super) struct Single;

impl Algebra for Single {
    type Value = Hit;

    fn nothing(&self) -> Hit {
        Hit::No
    }

    fn everything(&self) -> Hit {
        Hit::Yes
    }

    fn choose(&mut self, matches: &Hit, then: &Hit, rest: &Hit) -> Hit {
        match matches {
            Hit::Yes => *then,
            Hit::No => *rest,
            Hit::Maybe(_) if then == rest => *rest,
            Hit::Maybe(doubts) => Hit::Maybe([*then, *rest].into_iter().fold(*doubts, with_doubts)),
        }
    }

    fn agree(&mut self, one: &Hit, other: &Hit) -> Hit {
        if one == other {
            return *one;
        }
        Hit::Maybe([*one, *other].into_iter().fold(Doubts::knob(Knob::EqualPriority), with_doubts))
    }
}

fn with_doubts(doubts: Doubts, hit: Hit) -> Doubts {
    match hit {
        Hit::Maybe(more) => doubts.union(more),
        Hit::Yes | Hit::No => doubts,
    }
}

/// Every port at once.
pub(super) struct Every;

impl Algebra for Every {
    type Value = PortValue;

    fn nothing(&self) -> PortValue {
        PortValue::default()
    }

    fn everything(&self) -> PortValue {
        PortValue::all()
    }

    fn choose(&mut self, matches: &PortValue, then: &PortValue, rest: &PortValue) -> PortValue {
        choose(matches, then, rest)
    }

    fn agree(&mut self, one: &PortValue, other: &PortValue) -> PortValue {
        agree(one, other)
    }
}

pub(super) fn choose(matches: &PortValue, then: &PortValue, rest: &PortValue) -> PortValue {
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
    PortValue { certain, possible, knobs, learned }
}

pub(super) fn agree(one: &PortValue, other: &PortValue) -> PortValue {
    if one == other {
        return one.clone();
    }
    let certain = one.certain.intersection(&other.certain);
    let never = one.any().union(&other.any()).complement();
    let learned = one.learned.intersection(&other.learned);
    let possible = sum([certain.clone(), never, learned.clone()]).complement();
    let knobs = match possible.is_empty() {
        true => KnobSet::EMPTY,
        false => KnobSet::one(Knob::EqualPriority).union(one.knobs).union(other.knobs),
    };
    PortValue { certain, possible, knobs, learned }
}

/// What is left of `next` after a tier that makes `floor` of nothing, `ceiling` of everything and `learned` of what is up
/// to DNS.
pub(super) fn compose(next: &PortValue, [floor, learned, ceiling]: [&PortValue; 3]) -> PortValue {
    let others = next.learned.complement();
    let rest = choose(&next.within(&others), &ceiling.within(&others), &floor.within(&others));
    learned.within(&next.learned).union(&rest)
}

fn sum<const N: usize>(sets: [PortSet; N]) -> PortSet {
    sets.into_iter().reduce(|sum, set| sum.union(&set)).unwrap_or_default()
}

/// The knobs of the values that contribute some port.
fn knobs_of<const N: usize>(parts: [(&PortSet, &PortValue); N]) -> KnobSet {
    let contributing = parts.into_iter().filter(|(ports, _)| !ports.is_empty());
    contributing.fold(KnobSet::EMPTY, |knobs, (_, value)| knobs.union(value.knobs))
}
