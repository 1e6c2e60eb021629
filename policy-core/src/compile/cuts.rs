//! What destinations admit: the source kinds, cut into regions by the rules of one ingress profile.

use std::collections::BTreeMap;
use std::rc::Rc;

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::compile::effects::{Hits, names, taken};
use crate::compile::kinds::{Kind, Kinds, Signatures};
use crate::compile::table::Term;
use crate::compile::tiers::{Algebra, Chain, Effect, Step, Suffix};
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
#[derive(Debug)]
struct Parts {
    effects: Vec<Effect>,
    /// For each source kind, the position of its effect.
    of: Vec<usize>,
}

impl Parts {
    fn effect(&self, kind: usize) -> Option<Effect> {
        self.of.get(kind).and_then(|part| self.effects.get(*part)).copied()
    }
}

/// What the grounds of destinations differ in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct GroundKey {
    admin: ChainId,
    /// Empty where NetworkPolicies isolate: the Baseline tier is not asked then (CNP-5).
    baseline: ChainId,
    /// There only if port names matter to one of the tiers.
    table: Option<PortTableId>,
    /// What NetworkPolicies admit from whom they do not name.
    base: ValueId,
}

/// What destinations admit from sources that no NetworkPolicy names. Many destinations share it.
#[derive(Debug)]
pub(super) struct Ground {
    /// By source kind.
    pub(super) admitted: IdVec<SourceKindId, ValueId>,
    /// What the Admin tier does; `None` when there is none.
    admin: Option<Parts>,
}

/// Source kinds that are admitted otherwise than the ground says.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) admitted: ValueId,
    pub(super) instead_of: ValueId,
    /// In order.
    pub(super) kinds: Vec<SourceKindId>,
}

/// What a destination admits.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) ground: Rc<Ground>,
    /// Disjoint, and none is empty.
    pub(super) regions: Vec<Region>,
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
    /// The last one: destinations come in order of their grounds.
    ground: Option<(GroundKey, Rc<Ground>)>,
    baselines: FxHashMap<(ChainId, Option<PortTableId>), Rc<Parts>>,
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
            ground: None,
            baselines: FxHashMap::default(),
        }
    }

    /// What a kind of destination admits depends on this alone; `None` when no policy acts on it (NP-4).
    pub(super) fn key(&self, destination: &Kind, family: Family) -> Option<CutKey> {
        let profile = destination.profile?;
        let isolation = self.compiled.table.profiles(Direction::Ingress).at(profile);
        if isolation.is_open() {
            return None;
        }
        let table = &self.compiled.table;
        let blocks = table.terms_of(isolation).any(|term| !table.peers.at(term.peers).blocks.is_empty());
        let names = table.terms_of(isolation).any(|term| !table.port_list(term.ports).names().is_empty());
        Some(CutKey { profile, table: destination.table.filter(|_| names), family: blocks.then_some(family) })
    }

    /// What the ground of a destination depends on.
    pub(super) fn ground_key(&self, values: &mut Values, key: Option<CutKey>) -> GroundKey {
        let none = ChainId::from_index(0);
        let open = GroundKey { admin: none, baseline: none, table: None, base: values.everything() };
        let Some(key) = key else { return open };
        let profile = self.compiled.table.profiles(Direction::Ingress).at(key.profile);
        // CNP-5: NetworkPolicies have the last word on pods that they isolate.
        let isolated = !profile.policies.is_empty();
        let baseline = if isolated { none } else { profile.baseline };
        let base = if isolated { values.for_anybody(self.compiled, &profile.terms, key.table) } else { open.base };
        let chains = [profile.admin, baseline];
        let named = chains.iter().any(|chain| names(values, self.compiled.table.chains.at(*chain)));
        GroundKey { admin: profile.admin, baseline, table: key.table.filter(|_| named), base }
    }

    /// Cuts the sources. `ground_key` is that of `key`.
    pub(super) fn cut(&mut self, values: &mut Values, ground_key: GroundKey, key: Option<CutKey>) -> Cut {
        let ground = self.ground(values, ground_key);
        let isolates = |key: &CutKey| {
            let profiles = self.compiled.table.profiles(Direction::Ingress);
            !profiles.at(key.profile).policies.is_empty()
        };
        let Some(key) = key.filter(isolates) else { return Cut { ground, regions: Vec::new() } };
        let mut regions: Vec<Region> = Vec::new();
        for (value, bits) in self.by_network_policies(values, key, ground_key.base) {
            let Some(parts) = &ground.admin else {
                let kinds = bits.ones().map(SourceKindId::from_index).collect();
                regions.push(Region { admitted: value, instead_of: ground_key.base, kinds });
                continue;
            };
            // For each effect, where its kinds go: they are many, the effects few.
            let goes = |effect: &Effect| {
                let (admitted, instead_of) = (values.apply(*effect, value), values.apply(*effect, ground_key.base));
                if admitted == instead_of {
                    return None;
                }
                let known = regions.iter().position(|r| (r.admitted, r.instead_of) == (admitted, instead_of));
                known.or_else(|| {
                    regions.push(Region { admitted, instead_of, kinds: Vec::new() });
                    Some(regions.len() - 1)
                })
            };
            let targets: Vec<Option<usize>> = parts.effects.iter().map(goes).collect();
            for kind in bits.ones() {
                let target = parts.of.get(kind).and_then(|part| targets.get(*part)).copied().flatten();
                if let Some(region) = target.and_then(|target| regions.get_mut(target)) {
                    region.kinds.push(SourceKindId::from_index(kind));
                }
            }
        }
        // One region may be made of several of NetworkPolicies' regions.
        if ground.admin.is_some() {
            regions.iter_mut().for_each(|region| region.kinds.sort_unstable());
        }
        regions.retain(|region| !region.kinds.is_empty());
        Cut { ground, regions }
    }

    fn ground(&mut self, values: &mut Values, key: GroundKey) -> Rc<Ground> {
        if let Some((_, known)) = self.ground.as_ref().filter(|(last, _)| *last == key) {
            return Rc::clone(known);
        }
        self.ground = None;
        let acts = |chain: ChainId| !self.compiled.table.chains.at(chain).is_empty();
        let (admin_acts, baseline_acts) = (acts(key.admin), acts(key.baseline));
        let admin = admin_acts.then(|| self.parts(values, key.admin, key.table));
        let baseline = baseline_acts.then(|| self.baseline(values, key.baseline, key.table));
        let admitted = (0..self.universe).map(|kind| {
            let next = baseline.as_ref().and_then(|parts| parts.effect(kind)).map_or(key.base, |effect| effect.ceiling);
            let effect = admin.as_ref().and_then(|parts| parts.effect(kind));
            effect.map_or(next, |effect| values.apply(effect, next))
        });
        let admitted = admitted.collect();
        let ground = Rc::new(Ground { admitted, admin });
        self.ground = Some((key, Rc::clone(&ground)));
        ground
    }

    fn baseline(&mut self, values: &mut Values, chain: ChainId, table: Option<PortTableId>) -> Rc<Parts> {
        let key = (chain, table.filter(|_| names(values, self.compiled.table.chains.at(chain))));
        if let Some(known) = self.baselines.get(&key) {
            return Rc::clone(known);
        }
        let parts = Rc::new(self.parts(values, chain, table));
        self.baselines.insert(key, Rc::clone(&parts));
        parts
    }

    /// The regions in which NetworkPolicies admit something else than `base`.
    fn by_network_policies(
        &mut self,
        values: &mut Values,
        CutKey { profile, table, family }: CutKey,
        base: ValueId,
    ) -> Regions {
        let compiled = self.compiled;
        let terms: &[Term] = &compiled.table.profiles(Direction::Ingress).at(profile).terms;
        let mut regions = Regions::new();
        for term in terms.iter().filter(|term| !compiled.table.peers.at(term.peers).any) {
            for (hit, matched) in self.matched(term.peers, family).iter() {
                let value = values.resolve(term.ports, table, *hit);
                raise(values, base, &mut regions, value, matched);
            }
        }
        regions.retain(|(value, region)| *value != base && !region.is_clear());
        regions
    }

    /// Sorts all source kinds by what a tier does for them. Ingress tiers hold no addresses: the family does not
    /// matter to them (CNP-7).
    fn parts(&mut self, values: &mut Values, chain: ChainId, table: Option<PortTableId>) -> Parts {
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
                for (hits, part) in self.split(&peers, part) {
                    let [floor, ceiling] = &suffixes;
                    let [nothing, everything] = &bounds;
                    let mut matches = |values: &mut Values, step: &Step| taken(compiled, values, step, &hits, table);
                    let suffixes = [
                        tier.before(values, group, &mut matches, floor, nothing),
                        tier.before(values, group, &mut matches, ceiling, everything),
                    ];
                    earlier.entry(suffixes).and_modify(|known| known.union_with(&part)).or_insert(part);
                }
            }
            parts = earlier;
        }
        let mut sorted = Parts { effects: Vec::new(), of: vec![0; self.universe] };
        for ([floor, ceiling], part) in parts {
            let mut end = |suffix: Suffix<ValueId>| {
                let value = suffix.value(values);
                values.governed(compiled, value)
            };
            let (floor, ceiling) = (end(floor), end(ceiling));
            // Nothing that sources are admitted by is up to DNS (CNP-10).
            let learned = values.choose(&values.learned(), &ceiling, &floor);
            let effect = Effect { floor, learned, ceiling };
            let known = sorted.effects.iter().position(|known| *known == effect);
            let at = known.unwrap_or(sorted.effects.len());
            if known.is_none() {
                sorted.effects.push(effect);
            }
            for kind in part.ones() {
                if let Some(of) = sorted.of.get_mut(kind) {
                    *of = at;
                }
            }
        }
        sorted
    }

    /// Splits source kinds by which of these peer lists match them.
    fn split(&mut self, peers: &[PeersId], part: FixedBitSet) -> Vec<(Hits, FixedBitSet)> {
        let mut parts = vec![(Hits::new(), part)];
        for peers in peers {
            for (hit, matched) in self.matched(*peers, None).iter() {
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
