//! Those who take a way, as far as it treats them alike (M-3).

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::analysis::Analysis;
use crate::compile::PodColumns;
use crate::ids::NodeId;
use crate::model::{AddressSet, Family, Finding, Flow, Judge, Judgement, Leg, Masquerader, Party, Protocol, premise};

/// Some clients.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Clients {
    /// One party.
    Party(Party),
    /// Addresses outside the cluster; never empty.
    Outside(AddressSet),
}

/// What becomes of some clients of a way. The clients of a way's parts are disjoint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Part {
    /// Who.
    pub clients: Clients,
    /// What becomes of them.
    pub finding: Finding,
    /// The connections, judged for one of the clients; in order, up to where the way ends.
    pub legs: Vec<Leg>,
}

impl Part {
    /// Clients to whom nothing has happened yet.
    #[must_use]
    pub fn start(clients: Clients, rule: &'static str) -> Self {
        Self { clients, finding: Finding::allowed(rule), legs: Vec::new() }
    }

    /// The same clients after something that stops or delays them.
    #[must_use]
    pub fn and(mut self, finding: Finding) -> Self {
        self.finding = self.finding.and(finding);
        self
    }

    /// Whether they have come so far that the next leg matters.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.finding.is_open()
    }
}

/// Divides clients by whether their address is in a set; those that are come first. Parties without a known address
/// count as outside of it.
#[must_use]
pub(super) fn split(part: Part, inside: &AddressSet, address: impl Fn(Party) -> Option<bool>) -> [Option<Part>; 2] {
    match &part.clients {
        Clients::Outside(addresses) => {
            let of = |left: AddressSet| {
                let legs = || part.legs.iter().map(|leg| standing_in(leg, addresses, &left)).collect();
                (!left.is_empty()).then(|| Part {
                    legs: legs(),
                    clients: Clients::Outside(left.clone()),
                    finding: part.finding.clone(),
                })
            };
            [of(addresses.intersection(inside)), of(addresses.difference(inside))]
        }
        Clients::Party(party) => match address(*party) {
            Some(true) => [Some(part), None],
            _ => [None, Some(part)],
        },
    }
}

/// A connection of some addresses, judged for one of them: it holds for all, but the one must be among those that are
/// left.
fn standing_in(leg: &Leg, all: &AddressSet, left: &AddressSet) -> Leg {
    let Party::Address(one) = leg.flow.source else { return leg.clone() };
    match left.of(leg.flow.family).first() {
        Some(first) if all.contains(one) && !left.contains(one) => {
            Leg { flow: Flow { source: Party::Address(first), ..leg.flow }, ..leg.clone() }
        }
        _ => leg.clone(),
    }
}

/// What decides about a connection from outside, besides the address it comes from.
type Key = (PodColumns, bool, Option<NodeId>, Protocol, u16, Family, Option<Masquerader>, bool);

/// Judges connections for sets of clients, and remembers what the outside gets to hear.
#[derive(Debug)]
pub(super) struct Judging<'a> {
    analysis: &'a Analysis,
    outside: AddressSet,
    /// The outside of each family, cut into what policies treat alike.
    cells: BTreeMap<Family, Vec<AddressSet>>,
    known: FxHashMap<Key, Rc<[(AddressSet, Judgement)]>>,
    /// What two sets have in common, by their allocations; the sets come with it, so that these live on.
    common: FxHashMap<[(usize, usize); 2], [AddressSet; 3]>,
}

impl<'a> Judging<'a> {
    pub(super) fn new(analysis: &'a Analysis) -> Self {
        let outside = premise::nobodys(&analysis.cluster);
        let cut = |family| (family, analysis.compiled.cut(&outside.of(family)));
        let cells = Family::ALL.into_iter().map(cut).collect();
        Self { analysis, outside, cells, known: FxHashMap::default(), common: FxHashMap::default() }
    }

    /// Every address that is no pod's and no node's: all that may ever be asked about.
    pub(super) fn outside(&self) -> &AddressSet {
        &self.outside
    }

    /// Takes clients over one more connection. `flow` says everything but the source, where the clients are its source.
    pub(super) fn step(&mut self, part: &Part, flow: &Flow) -> Vec<Part> {
        let with = |clients: Clients, source: Party, judgement: Judgement| {
            let leg = Leg { flow: Flow { source, ..*flow }, judgement };
            let mut legs = part.legs.clone();
            let finding = part.finding.clone().and(Finding::of_judgement(&leg.judgement));
            legs.push(leg);
            Part { clients, finding, legs }
        };
        match &part.clients {
            Clients::Party(party) => {
                let judgement = self.analysis.judge(&Flow { source: *party, ..*flow });
                vec![with(part.clients.clone(), *party, judgement)]
            }
            Clients::Outside(addresses) => {
                let cells = self.heard_outside(flow);
                let meant = cells.iter().filter_map(|(cell, judgement)| {
                    let here = self.common(cell, addresses);
                    let first = here.first()?;
                    Some(with(Clients::Outside(here), Party::Address(first), judgement.clone()))
                });
                meant.collect()
            }
        }
    }

    /// The addresses in both sets. Large ones are asked for again and again.
    fn common(&mut self, one: &AddressSet, other: &AddressSet) -> AddressSet {
        let new = || [one.clone(), other.clone(), one.intersection(other)];
        let [.., common] = self.common.entry([one.allocation(), other.allocation()]).or_insert_with(new);
        common.clone()
    }

    /// Takes clients over a connection that somebody else opens in their place (M-6): a proxy.
    pub(super) fn step_as(&mut self, part: &Part, flow: &Flow) -> Part {
        let judgement = self.analysis.judge(flow);
        let finding = part.finding.clone().and(Finding::of_judgement(&judgement));
        let mut legs = part.legs.clone();
        legs.push(Leg { flow: *flow, judgement });
        Part { clients: part.clients.clone(), finding, legs }
    }

    /// What every address outside gets to hear, by what it is.
    fn heard_outside(&mut self, flow: &Flow) -> Rc<[(AddressSet, Judgement)]> {
        let Party::Pod(pod) = flow.destination else { return self.cells(flow).into() };
        let it = self.analysis.cluster.pods.at(pod);
        let key = (
            self.analysis.compiled.pod_columns(pod),
            it.host_network,
            it.node.filter(|_| flow.masqueraded_by.is_some()),
            flow.protocol,
            flow.port,
            flow.family,
            flow.masqueraded_by,
            it.declares(flow.protocol, flow.port),
        );
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let cells: Rc<[_]> = self.cells(flow).into();
        self.known.insert(key, cells.clone());
        cells
    }

    fn cells(&self, flow: &Flow) -> Vec<(AddressSet, Judgement)> {
        let mut by_judgement: BTreeMap<Judgement, Vec<AddressSet>> = BTreeMap::new();
        for cell in self.cells.get(&flow.family).into_iter().flatten() {
            let Some(first) = cell.first() else { continue };
            let mut judgement = self.analysis.judge(&Flow { source: Party::Address(first), ..*flow });
            // A way says itself whether packets arrive.
            judgement.flags.retain(|flag| *flag != crate::model::Flag::RouteAssumed);
            by_judgement.entry(judgement).or_default().push(cell.clone());
        }
        by_judgement.into_iter().map(|(judgement, cells)| (cells.into_iter().collect(), judgement)).collect()
    }
}

/// Of parts that overlap, what is best for each client (M-6): for ways with several endpoints, nodes or proxies that
/// lead to the same place.
#[must_use]
pub fn best(parts: Vec<Part>) -> Vec<Part> {
    let mut kept: Vec<Part> = Vec::new();
    for part in parts {
        let mut fresh = Some(part);
        let mut next = Vec::new();
        for old in kept {
            let Some(new) = fresh.take() else {
                next.push(old);
                continue;
            };
            let (olds, both, news) = overlap(&old, &new);
            next.extend(olds);
            next.extend(both);
            fresh = news;
        }
        next.extend(fresh);
        kept = next;
    }
    kept.sort();
    merge(kept)
}

/// What only the first has, what both have with the better of both, what only the second has.
fn overlap(one: &Part, other: &Part) -> (Option<Part>, Option<Part>, Option<Part>) {
    let better = |clients: Clients| {
        let wins = one.finding.merit() >= other.finding.merit();
        Part { clients, ..if wins { one.clone() } else { other.clone() } }
    };
    match (&one.clients, &other.clients) {
        (Clients::Party(a), Clients::Party(b)) if a == b => (None, Some(better(one.clients.clone())), None),
        (Clients::Outside(a), Clients::Outside(b)) => {
            let of = |addresses: AddressSet, part: &Part| {
                (!addresses.is_empty()).then(|| Part { clients: Clients::Outside(addresses), ..part.clone() })
            };
            let both = a.intersection(b);
            let shared = (!both.is_empty()).then(|| better(Clients::Outside(both)));
            (of(a.difference(b), one), shared, of(b.difference(a), other))
        }
        _ => (Some(one.clone()), None, Some(other.clone())),
    }
}

/// Joins parts of the outside that are alike but for the clients. Their legs may differ in the address that stands
/// for them.
fn merge(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::new();
    for part in parts {
        let alike = |known: &&mut Part| known.finding == part.finding && known.legs.len() == part.legs.len();
        let twin = merged.iter_mut().filter(|known| matches!(known.clients, Clients::Outside(_))).find(alike);
        match (twin, &part.clients) {
            (Some(twin), Clients::Outside(more)) => {
                if let Clients::Outside(addresses) = &mut twin.clients {
                    *addresses = addresses.union(more);
                }
            }
            _ => merged.push(part),
        }
    }
    merged
}

/// The best finding among parts; `None` when there is none.
#[must_use]
pub fn overall(parts: &[Part]) -> Option<&Finding> {
    let mut best: Option<&Finding> = None;
    for part in parts {
        if best.is_none_or(|known| part.finding.merit() > known.merit()) {
            best = Some(&part.finding);
        }
    }
    best
}
