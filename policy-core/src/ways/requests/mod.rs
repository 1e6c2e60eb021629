//! Sets of requests, exactly: which rule of a router takes which part of them (M-3, ING-6, GW-7).
//!
//! A region is what a rule takes and no earlier rule does. It is written as the rule's own match and the earlier
//! matches that cut into it, and proven not to be empty by a request that lies in it.

mod overlap;
mod solve;
mod texts;

use crate::model::Name;
use crate::model::http::{HostMatch, HttpRegex, PathMatch, Request, RequestMatch, RouteRule, Router, ValueMatch};
use crate::ways::requests::overlap::{Hosts, overlap};
use crate::ways::requests::solve::{Solution, solve};

/// A part of the requests that were asked about, all of which one rule takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region<'a> {
    /// The rule; `None` = no rule takes them.
    pub rule: Option<&'a RouteRule>,
    /// Earlier rules that take some of what the rule would take, in order.
    pub except: Vec<&'a RouteRule>,
    /// Rules that take some of the region as well, and nobody defines which one does (ING-12, GW-7).
    pub contested: Vec<&'a RouteRule>,
    /// Expressions that decide about the region and that cannot be decided themselves: the rule's own, and those of
    /// earlier rules that may take some of it.
    pub undecided: Vec<Name>,
    /// A request in the region. `None` when one could not be found within bounds: then it may be empty.
    pub witness: Option<Request>,
}

/// Divides the requests that `within` takes by the rules that take them, in the order of the rules; what no rule
/// takes comes last. Regions without a request are left out.
#[must_use]
pub fn partition<'a>(router: &'a Router, within: &RequestMatch) -> Vec<Region<'a>> {
    let hosts = Hosts::new(&router.rules);
    let candidates: Vec<usize> = hosts.near(&within.host).collect();
    let candidates: Vec<(usize, &RouteRule)> = candidates
        .into_iter()
        .filter_map(|at| router.rules.get(at).map(|rule| (at, rule)))
        .filter(|(_, rule)| overlap(&rule.when, within))
        .collect();
    let among = Hosts::new(candidates.iter().map(|(_, rule)| *rule));
    let mut regions = Vec::new();
    for (place, (_, rule)) in candidates.iter().enumerate() {
        let others = among.near(&rule.when.host).filter(|at| *at != place);
        let others: Vec<(usize, &RouteRule)> = others
            .filter_map(|at| candidates.get(at).map(|(_, other)| (at, *other)))
            .take_while(|(_, other)| other.rank <= rule.rank)
            .filter(|(_, other)| overlap(&other.when, &rule.when))
            .collect();
        let (earlier, rivals): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|(at, other)| other.rank < rule.rank || (other.lane == rule.lane && *at < place));
        let rules = |of: Vec<(usize, &'a RouteRule)>| of.into_iter().map(|(_, rule)| rule).collect();
        // The rest of its own lane comes later.
        let contested = rivals.into_iter().filter(|(_, other)| other.lane != rule.lane).collect();
        let (earlier, contested): (Vec<_>, Vec<_>) = (rules(earlier), rules(contested));
        regions.extend(region(Some(rule), within, earlier, contested));
    }
    let all = candidates.iter().map(|(_, rule)| *rule).collect();
    regions.extend(region(None, within, all, Vec::new()).map(|region| Region { except: Vec::new(), ..region }));
    regions
}

/// What a rule takes of `within` after `earlier` rules; `None` when nothing is left.
fn region<'a>(
    rule: Option<&'a RouteRule>,
    within: &RequestMatch,
    earlier: Vec<&'a RouteRule>,
    contested: Vec<&'a RouteRule>,
) -> Option<Region<'a>> {
    let own: Vec<Name> = rule.map(|rule| undecidable(&rule.when)).unwrap_or_default();
    let (except, doubtful): (Vec<_>, Vec<_>) =
        earlier.into_iter().partition(|other| undecidable(&other.when).is_empty());
    let positive: Vec<&RequestMatch> = rule.map(|rule| &rule.when).into_iter().chain([within]).collect();
    let negative: Vec<&RequestMatch> = except.iter().map(|other| &other.when).collect();
    let witness = match solve(&positive, &negative) {
        Solution::Empty => return None,
        Solution::Request(request) => Some(*request),
        Solution::Unknown => None,
    };
    let mut undecided = own;
    undecided.extend(doubtful.iter().flat_map(|other| undecidable(&other.when)));
    undecided.sort();
    undecided.dedup();
    let contested = contested.into_iter().filter(|other| rule.is_none_or(|rule| !alike(rule, other))).collect();
    Some(Region { rule, except, contested, undecided, witness })
}

/// Whether it makes no difference which of two rules takes a request.
fn alike(one: &RouteRule, other: &RouteRule) -> bool {
    one.then == other.then && one.checks == other.checks
}

/// The expressions of a match that no automaton decides, as written.
#[must_use]
pub fn undecidable(when: &RequestMatch) -> Vec<Name> {
    let of = |regex: &HttpRegex| regex.automaton().is_none().then(|| regex.written().clone());
    let host = match &when.host {
        HostMatch::Regex(regex) => of(regex),
        _ => None,
    };
    let path = match &when.path {
        PathMatch::Regex(regex) => of(regex),
        _ => None,
    };
    let values = when.headers.iter().chain(&when.query).filter_map(|(_, wanted)| match wanted {
        ValueMatch::Regex(regex) => of(regex),
        ValueMatch::Exact(_) | ValueMatch::Present => None,
    });
    host.into_iter().chain(path).chain(values).collect()
}

#[cfg(test)]
mod tests;
