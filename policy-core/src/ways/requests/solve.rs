//! Finds a request that some matches take and others do not.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Name;
use crate::model::http::{HostMatch, PathMatch, Request, RequestMatch, ValueMatch};
use crate::ways::requests::overlap::covers;
use crate::ways::requests::texts::{Found, Universe, find};

/// Whether there is such a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Solution {
    /// This one.
    Request(Box<Request>),
    /// There is none.
    Empty,
    /// It cannot be told within bounds.
    Unknown,
}

/// More attempts than this are given up.
const MOST_ATTEMPTS: usize = 2_000;

/// The methods that are tried besides those that rules name.
const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];

/// A product of one set for each part of a request.
#[derive(Clone, Debug)]
struct Set<'a> {
    /// Whether a request without a host is in it.
    hostless: bool,
    host: (Vec<&'a HostMatch>, Vec<&'a HostMatch>),
    path: (Vec<&'a PathMatch>, Vec<&'a PathMatch>),
    methods: BTreeSet<Name>,
    headers: BTreeMap<&'a Name, Values<'a>>,
    query: BTreeMap<&'a Name, Values<'a>>,
}

/// The values of one header or parameter: those that are wanted, and those that are not.
type Values<'a> = (Vec<&'a ValueMatch>, Vec<&'a ValueMatch>);

/// A request that all of `positive` take and none of `negative`. All expressions in them can be decided, or the
/// answer may be [`Solution::Unknown`].
///
/// Guess one request; if a negative takes it, leave that one by one of its parts and guess again.
pub(super) fn solve(positive: &[&RequestMatch], negative: &[&RequestMatch]) -> Solution {
    // The most common way to be empty, seen without an automaton.
    if negative.iter().any(|taken| positive.iter().any(|when| covers(taken, when))) {
        return Solution::Empty;
    }
    let named = positive.iter().chain(negative).flat_map(|when| when.methods.iter().cloned());
    let mut methods: BTreeSet<Name> = named.chain(METHODS.map(Name::from)).collect();
    methods.retain(|method| positive.iter().all(|when| when.methods.is_empty() || when.methods.contains(method)));
    let mut set = Set {
        hostless: positive.iter().all(|when| when.host == HostMatch::Any),
        host: (Vec::new(), Vec::new()),
        path: (Vec::new(), Vec::new()),
        methods,
        headers: BTreeMap::new(),
        query: BTreeMap::new(),
    };
    for when in positive {
        set.host.0.push(&when.host);
        set.path.0.push(&when.path);
        for (name, wanted) in &when.headers {
            set.headers.entry(name).or_default().0.push(wanted);
        }
        for (name, wanted) in &when.query {
            set.query.entry(name).or_default().0.push(wanted);
        }
    }
    let mut attempts = 0;
    search(set, negative, &mut attempts)
}

fn search(set: Set<'_>, negative: &[&RequestMatch], attempts: &mut usize) -> Solution {
    *attempts += 1;
    if *attempts > MOST_ATTEMPTS {
        return Solution::Unknown;
    }
    let guess = match set.guess() {
        Solution::Request(guess) => guess,
        other => return other,
    };
    let taking = negative.iter().find(|when| when.matches(guess.host.as_deref(), &guess) != Some(false));
    let Some(taking) = taking else { return Solution::Request(guess) };
    let mut unknown = false;
    for rest in set.without(taking) {
        match search(rest, negative, attempts) {
            Solution::Request(request) => return Solution::Request(request),
            Solution::Unknown => unknown = true,
            Solution::Empty => {}
        }
    }
    if unknown { Solution::Unknown } else { Solution::Empty }
}

impl<'a> Set<'a> {
    /// A request of the set.
    fn guess(&self) -> Solution {
        let host = match find(Universe::Hosts, &self.host.0, &self.host.1) {
            Found::Text(host) => Ok(Some(host)),
            Found::Nothing if self.hostless => Ok(None),
            Found::Nothing => Err(Solution::Empty),
            Found::Unknown => Err(Solution::Unknown),
        };
        let path = match find(Universe::Paths, &self.path.0, &self.path.1) {
            Found::Text(path) => Ok(path),
            Found::Nothing => Err(Solution::Empty),
            Found::Unknown => Err(Solution::Unknown),
        };
        // A part that is empty settles it, whatever cannot be told of the others.
        let values = [&self.headers, &self.query].map(values);
        let empty = [host.as_ref().err(), path.as_ref().err(), values[0].as_ref().err(), values[1].as_ref().err()];
        if self.methods.is_empty() || empty.contains(&Some(&Solution::Empty)) {
            return Solution::Empty;
        }
        let [headers, query] = values;
        let (Ok(host), Ok(path), Ok(headers), Ok(query)) = (host, path, headers, query) else {
            return Solution::Unknown;
        };
        let first = METHODS.into_iter().map(Name::from).find(|method| self.methods.contains(method));
        let Some(method) = first.or_else(|| self.methods.first().cloned()) else { return Solution::Empty };
        Solution::Request(Box::new(Request {
            method,
            host: host.map(Name::from),
            path: Name::from(path),
            query,
            headers,
            sni: None,
        }))
    }

    /// The set without what a match takes, as sets for each of its parts.
    fn without(&self, taken: &'a RequestMatch) -> Vec<Self> {
        let mut rests = Vec::new();
        if taken.path != PathMatch::Any {
            let mut rest = self.clone();
            rest.path.1.push(&taken.path);
            rests.push(rest);
        }
        if taken.host != HostMatch::Any {
            let mut rest = self.clone();
            rest.host.1.push(&taken.host);
            rests.push(rest);
        }
        if !taken.methods.is_empty() {
            let mut rest = self.clone();
            rest.methods.retain(|method| !taken.methods.contains(method));
            rests.push(rest);
        }
        for (name, wanted) in &taken.headers {
            let mut rest = self.clone();
            rest.headers.entry(name).or_default().1.push(wanted);
            rests.push(rest);
        }
        for (name, wanted) in &taken.query {
            let mut rest = self.clone();
            rest.query.entry(name).or_default().1.push(wanted);
            rests.push(rest);
        }
        rests
    }
}

/// One value for each header or parameter that must be there.
fn values(wanted: &BTreeMap<&Name, Values<'_>>) -> Result<Vec<(Name, Name)>, Solution> {
    let mut found = Vec::new();
    for (name, (inside, outside)) in wanted {
        // What nobody wants is left out, and so is in nothing.
        if inside.is_empty() {
            continue;
        }
        match find(Universe::Values, inside, outside) {
            Found::Text(value) => found.push(((*name).clone(), Name::from(value))),
            Found::Nothing => return Err(Solution::Empty),
            Found::Unknown => return Err(Solution::Unknown),
        }
    }
    Ok(found)
}
