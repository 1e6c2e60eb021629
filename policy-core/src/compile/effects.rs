//! What tiers make of what comes after them, remembered by who the other end is.

use rustc_hash::FxHashMap;

use crate::compile::tiers::{Chain, Effect, Step};
use crate::compile::values::Values;
use crate::compile::{ChainId, Compiled, PeersId, PortTableId, ValueId};
use crate::ids::IdVec;
use crate::model::Hit;

/// The peer lists that match an end, sorted, by how surely; those that do not are left out.
pub(super) type Hits = Vec<(PeersId, Hit)>;

/// Effects by chain, by the peer lists of the chain that match, and by the port names that are known.
#[derive(Debug)]
pub(super) struct Effects<'a> {
    compiled: &'a Compiled,
    /// The peer lists of each chain, sorted.
    peers: IdVec<ChainId, Vec<PeersId>>,
    /// Whether port names matter to each chain.
    names: IdVec<ChainId, bool>,
    known: FxHashMap<(ChainId, Hits, Option<PortTableId>), Effect>,
}

impl<'a> Effects<'a> {
    pub(super) fn new(compiled: &'a Compiled, values: &Values) -> Self {
        let chains = || compiled.table.chains.values();
        Self {
            compiled,
            peers: chains().map(Chain::peers).collect(),
            names: chains().map(|chain| names(values, chain)).collect(),
            known: FxHashMap::default(),
        }
    }

    /// What a tier does for an end that these peer lists match. Lists for everybody need not be named.
    pub(super) fn of(&mut self, values: &mut Values, id: ChainId, hits: &Hits, table: Option<PortTableId>) -> Effect {
        let chain = self.compiled.table.chains.at(id);
        if chain.is_empty() {
            return values.untouched();
        }
        let own = self.peers.at(id);
        let hits: Hits = hits.iter().copied().filter(|(peers, _)| own.binary_search(peers).is_ok()).collect();
        let key = (id, hits, table.filter(|_| *self.names.at(id)));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let (_, hits, table) = &key;
        let Effect { floor, learned, ceiling } = values.untouched();
        let mut fold = |next: ValueId| {
            let value = chain.fold(values, |values, step| taken(self.compiled, values, step, hits, *table), &next);
            values.governed(self.compiled, value)
        };
        let effect = Effect { floor: fold(floor), learned: fold(learned), ceiling: fold(ceiling) };
        self.known.insert(key, effect);
        effect
    }
}

/// What a step takes from an end that these peer lists match.
pub(super) fn taken(
    compiled: &Compiled,
    values: &mut Values,
    step: &Step,
    hits: &Hits,
    table: Option<PortTableId>,
) -> ValueId {
    let at = hits.binary_search_by_key(&step.term.peers, |(peers, _)| *peers);
    let hit = match at.ok().and_then(|at| hits.get(at)) {
        Some((_, hit)) => *hit,
        None => Hit::sure(compiled.table.peers.at(step.term.peers).any),
    };
    if hit == Hit::No { values.nothing() } else { values.resolve(step.term.ports, table, hit) }
}

/// Whether port names matter to a tier.
pub(super) fn names(values: &Values, chain: &Chain) -> bool {
    chain.steps().any(|step| !values.names(step.term.ports).is_empty())
}
