//! A decision list in the making.

use crate::model::http::{RequestMatch, RouteOrigin, RouteRule};
use crate::model::ingress::Effect;

/// A rule without its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Draft {
    pub(super) when: RequestMatch,
    pub(super) effect: Effect,
    pub(super) origin: RouteOrigin,
    pub(super) rule: &'static str,
}

/// Rules with ranks that rise.
#[derive(Default, Debug)]
pub(super) struct Rules {
    rules: Vec<RouteRule>,
    rank: u32,
}

impl Rules {
    /// Adds rules of one rank: none of them comes before another.
    pub(super) fn push(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        let rank = self.rank;
        let rules = drafts.into_iter().zip(0_u32..).map(|(draft, lane)| RouteRule {
            rank,
            lane,
            when: draft.when,
            checks: draft.effect.checks,
            then: draft.effect.then,
            origin: draft.origin,
            rule: draft.rule,
        });
        self.rules.extend(rules);
        self.rank += 1;
    }

    /// Adds rules by their keys: the smallest first, equal ones with one rank.
    pub(super) fn push_sorted<K: Ord>(&mut self, mut drafts: Vec<(K, Draft)>) {
        drafts.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut drafts = drafts.into_iter().peekable();
        while let Some((key, draft)) = drafts.next() {
            let mut rank = vec![draft];
            while let Some((_, draft)) = drafts.next_if(|(next, _)| *next == key) {
                rank.push(draft);
            }
            self.push(rank);
        }
    }

    pub(super) fn done(self) -> Vec<RouteRule> {
        self.rules
    }
}
