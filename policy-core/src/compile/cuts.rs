//! What destinations admit: the source kinds, cut into regions by the rules of one ingress profile.

use std::collections::BTreeMap;
use std::rc::Rc;

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::compile::effects::{Hits, taken};
use crate::compile::kinds::{Kind, Kinds, Signatures};
use crate::compile::table::Term;
use crate::compile::tiers::{Chain, Effect, Step, Suffix};
use crate::compile::values::Values;
use crate::compile::{BlockId, CellId, ChainId, Compiled, PeersId, PortTableId, ProfileId, SourceKindId, ValueId};
use crate::ids::{Id, IdVec};
use crate::model::{Direction, Family, Hit};

/// What tells the cuts of destinations apart. The table is there only if names are among the ports, the family only
/// if blocks are among the peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct CutKey {
    profile: ProfileId,
    table: Option<PortTableId>,
    family: Option<Family>,
}

/// Disjoint regions of source kinds, by value.
type Regions = Vec<(ValueId, FixedBitSet)>;
/// The source kinds that a peer list matches, by how surely.
type Matched = Rc<Vec<(Hit, FixedBitSet)>>;

/// All source kinds, by what a tier does for them.
type Parts = Vec<(Effect, FixedBitSet)>;

/// What a destination admits.
#[derive(Debug)]
pub(super) struct Cut {
    /// What everybody in no region may send.
    pub(super) base: ValueId,
    /// What others may send, never `base`; none is empty.
    pub(super) regions: Regions,
}

/// Makes cuts.
#[derive(Debug)]
pub(super) struct Cuts<'a> {
    compiled: &'a Compiled,
    signatures: &'a Signatures,
    universe: usize,
    /// Source kinds by the cell of their class.
    by_cell: IdVec<CellId, Vec<usize>>,
    /// Source kinds by the blocks that hold their address, in one family.
    by_block: FxHashMap<(BlockId, Family), Vec<(usize, Hit)>>,
    matched: FxHashMap<(PeersId, Option<Family>), Matched>,
    parts: FxHashMap<(ChainId, Option<PortTableId>, Option<Family>), Rc<Parts>>,
}

impl<'a> Cuts<'a> {
    /// `signatures` are those of the peer lists of ingress rules.
    pub(super) fn new(compiled: &'a Compiled, sources: &Kinds<SourceKindId>, signatures: &'a Signatures) -> Self {
        let mut by_cell: IdVec<CellId, Vec<usize>> = signatures.all_cells().map(|_| Vec::new()).collect();
        let mut by_block: FxHashMap<(BlockId, Family), Vec<(usize, Hit)>> = FxHashMap::default();
        for (id, kind) in sources.kinds.iter() {
            if let Some(cell) = kind.cell {
                by_cell.at_mut(cell).push(id.index());
            }
            for (family, view) in Family::ALL.into_iter().filter_map(|family| Some((family, kind.view(family)?))) {
                for (block, hit) in signatures.view(view).blocks() {
                    by_block.entry((block, family)).or_default().push((id.index(), hit));
                }
            }
        }
        Self {
            compiled,
            signatures,
            universe: sources.kinds.len(),
            by_cell,
            by_block,
            matched: FxHashMap::default(),
            parts: FxHashMap::default(),
        }
    }

    /// What a kind of destination admits depends on this alone; `None` when it is not isolated (NP-4).
    pub(super) fn key(&self, destination: &Kind, family: Family) -> Option<CutKey> {
        let profile = destination.profile?;
        let isolation = self.compiled.table.profiles(Direction::Ingress).at(profile);
        if isolation.is_open() {
            return None;
        }
        let table = &self.compiled.table;
        let blocks = table.terms_of(isolation).any(|term| !table.peers.at(term.peers).blocks.is_empty());
        let names = table.terms_of(isolation).any(|term| !table.ports.at(term.ports).names().is_empty());
        Some(CutKey { profile, table: destination.table.filter(|_| names), family: blocks.then_some(family) })
    }

    /// Cuts the sources.
    pub(super) fn cut(&mut self, values: &mut Values, key: Option<CutKey>) -> Cut {
        let open = Cut { base: values.everything(), regions: Regions::new() };
        let Some(key) = key else { return open };
        let profile = self.compiled.table.profiles(Direction::Ingress).at(key.profile);
        // CNP-5: NetworkPolicies have the last word on pods that they isolate.
        let next = if profile.policies.is_empty() {
            self.behind_tier(values, open, profile.baseline, key)
        } else {
            self.by_network_policies(values, key)
        };
        self.behind_tier(values, next, profile.admin, key)
    }

    fn by_network_policies(&mut self, values: &mut Values, CutKey { profile, table, family }: CutKey) -> Cut {
        let compiled = self.compiled;
        let terms: &[Term] = &compiled.table.profiles(Direction::Ingress).at(profile).terms;
        let mut base = values.unasked(compiled);
        for term in terms.iter().filter(|term| compiled.table.peers.at(term.peers).any) {
            let value = values.resolve(term.ports, table, Hit::Yes);
            base = values.union(base, value);
        }
        let mut regions = Regions::new();
        for term in terms.iter().filter(|term| !compiled.table.peers.at(term.peers).any) {
            for (hit, matched) in self.matched(term.peers, family).iter() {
                let value = values.resolve(term.ports, table, *hit);
                raise(values, base, &mut regions, value, matched);
            }
        }
        regions.retain(|(value, region)| *value != base && !region.is_clear());
        Cut { base, regions }
    }

    /// What a tier leaves of a cut (CNP-1).
    fn behind_tier(&mut self, values: &mut Values, next: Cut, chain: ChainId, key: CutKey) -> Cut {
        if self.compiled.table.chains.at(chain).is_empty() {
            return next;
        }
        let mut found: BTreeMap<ValueId, FixedBitSet> = BTreeMap::new();
        let mut add = |value: ValueId, bits: FixedBitSet| {
            if !bits.is_clear() {
                found.entry(value).and_modify(|known| known.union_with(&bits)).or_insert(bits);
            }
        };
        for (effect, part) in self.parts(values, chain, key).iter() {
            let mut rest = part.clone();
            for (value, region) in &next.regions {
                rest.difference_with(region);
                let mut inside = region.clone();
                inside.intersect_with(part);
                add(values.apply(*effect, *value), inside);
            }
            add(values.apply(*effect, next.base), rest);
        }
        // The value of the most kinds is the base: it need not be spelt out.
        let mut regions: Regions = found.into_iter().collect();
        regions.sort_unstable_by_key(|(value, region)| (region.count_ones(..), *value));
        let base = regions.pop().map_or(next.base, |(value, _)| value);
        regions.sort_unstable_by_key(|(value, _)| *value);
        Cut { base, regions }
    }

    /// Cuts all source kinds by what a tier does for them.
    fn parts(&mut self, values: &mut Values, chain: ChainId, key: CutKey) -> Rc<Parts> {
        let known = (chain, key.table, key.family);
        if let Some(parts) = self.parts.get(&known) {
            return Rc::clone(parts);
        }
        let compiled = self.compiled;
        let tier = compiled.table.chains.at(chain);
        let mut everybody = FixedBitSet::with_capacity(self.universe);
        everybody.insert_range(..);
        // Floor and ceiling at once (see `Effect`), from the last group to the first; kinds that are alike from a
        // group on are one part from there on.
        let bounds = [values.nothing(), values.everything()];
        let mut parts: BTreeMap<[Suffix<ValueId>; 2], FixedBitSet> = BTreeMap::new();
        parts.insert(bounds.map(Chain::end), everybody);
        for (group, peers) in tier.backwards() {
            let mut earlier: BTreeMap<[Suffix<ValueId>; 2], FixedBitSet> = BTreeMap::new();
            for (suffixes, part) in parts {
                for (hits, part) in self.split(&peers, key.family, part) {
                    let [floor, ceiling] = &suffixes;
                    let [nothing, everything] = &bounds;
                    let mut matches =
                        |values: &mut Values, step: &Step| taken(compiled, values, step, &hits, key.table);
                    let suffixes = [
                        tier.before(values, group, &mut matches, floor, nothing),
                        tier.before(values, group, &mut matches, ceiling, everything),
                    ];
                    earlier.entry(suffixes).and_modify(|known| known.union_with(&part)).or_insert(part);
                }
            }
            parts = earlier;
        }
        let mut by_effect: BTreeMap<Effect, FixedBitSet> = BTreeMap::new();
        for ([floor, ceiling], part) in parts {
            let mut end = |suffix: Suffix<ValueId>| {
                let value = suffix.value();
                if compiled.sctp_policy { value } else { values.with_unknown_sctp(value) }
            };
            let effect = Effect { floor: end(floor), ceiling: end(ceiling) };
            by_effect.entry(effect).and_modify(|known| known.union_with(&part)).or_insert(part);
        }
        let parts: Rc<Parts> = Rc::new(by_effect.into_iter().collect());
        self.parts.insert(known, Rc::clone(&parts));
        parts
    }

    /// Splits source kinds by which of these peer lists match them.
    fn split(&mut self, peers: &[PeersId], family: Option<Family>, part: FixedBitSet) -> Vec<(Hits, FixedBitSet)> {
        let mut parts = vec![(Hits::new(), part)];
        for peers in peers {
            for (hit, matched) in self.matched(*peers, family).iter() {
                let mut inside_of = Vec::new();
                for (hits, part) in &mut parts {
                    // What is matched more surely already stays so.
                    if hits.last().is_some_and(|(last, _)| last == peers) || part.is_disjoint(matched) {
                        continue;
                    }
                    let mut inside = part.clone();
                    inside.intersect_with(matched);
                    part.difference_with(matched);
                    let mut hits = hits.clone();
                    hits.push((*peers, *hit));
                    inside_of.push((hits, inside));
                }
                parts.retain(|(_, part)| !part.is_clear());
                parts.append(&mut inside_of);
            }
        }
        parts
    }

    /// The source kinds that a peer list matches, by how surely.
    fn matched(&mut self, peers: PeersId, family: Option<Family>) -> Matched {
        let list = self.compiled.table.peers.at(peers);
        let family = family.filter(|_| !list.blocks.is_empty());
        if let Some(known) = self.matched.get(&(peers, family)) {
            return Rc::clone(known);
        }
        let mut by_hit: Vec<(Hit, FixedBitSet)> = vec![(Hit::Yes, FixedBitSet::with_capacity(self.universe))];
        let mut mark =
            |hit: Hit, kinds: &mut dyn Iterator<Item = usize>| match by_hit.iter_mut().find(|(known, _)| *known == hit)
            {
                Some((_, bits)) => bits.extend(kinds),
                None => {
                    let mut bits = FixedBitSet::with_capacity(self.universe);
                    bits.extend(kinds);
                    by_hit.push((hit, bits));
                }
            };
        let cells = self.signatures.cells(list.classes).iter();
        mark(Hit::Yes, &mut cells.flat_map(|cell| self.by_cell.at(*cell)).copied());
        if let Some(family) = family {
            for (kind, hit) in list.blocks.iter().filter_map(|block| self.by_block.get(&(*block, family))).flatten() {
                mark(*hit, &mut std::iter::once(*kind));
            }
        }
        let matched = Rc::new(by_hit);
        self.matched.insert((peers, family), Rc::clone(&matched));
        matched
    }
}

/// Adds `value` to what the kinds in `matched` have: those in no region have `base`.
fn raise(values: &mut Values, base: ValueId, regions: &mut Regions, value: ValueId, matched: &FixedBitSet) {
    let mut raised = Regions::new();
    let mut rest = matched.clone();
    for (before, region) in regions.iter_mut() {
        rest.difference_with(region);
        let after = values.union(*before, value);
        if after == *before || region.is_disjoint(matched) {
            continue;
        }
        let mut moved = region.clone();
        moved.intersect_with(matched);
        region.difference_with(matched);
        raised.push((after, moved));
    }
    raised.push((values.union(base, value), rest));
    for (value, moved) in raised {
        match regions.iter_mut().find(|(known, _)| *known == value) {
            Some((_, region)) => region.union_with(&moved),
            None => regions.push((value, moved)),
        }
    }
}
