//! How the egress tiers see destinations: which of their peer lists match, and what that leaves of what senders may
//! send. Without cluster-wide policies there is one scene, in which nothing is changed.

use rustc_hash::FxHashMap;

use crate::compile::effects::{Effects, Hits};
use crate::compile::interner::Interner;
use crate::compile::kinds::{Kind, Signatures};
use crate::compile::senders::{Sender, Sending};
use crate::compile::tiers::Effect;
use crate::compile::values::Values;
use crate::compile::{CastId, CellId, ChainId, Compiled, PeersId, PortTableId, SceneId, SenderId, ValueId, ViewId};
use crate::ids::{Id, IdVec};
use crate::model::{Direction, Family, Hit};

/// Senders with the same tiers and the same backdrop: tiers do the same to all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Cast {
    admin: ChainId,
    /// Empty where NetworkPolicies isolate: the Baseline tier is not asked then (CNP-5).
    baseline: ChainId,
    backdrop: ValueId,
}

/// One scene.
#[derive(Debug)]
struct Scene {
    /// What the tiers do, those that do something.
    effects: FxHashMap<ChainId, Effect>,
    /// What the tiers leave of backdrops.
    backdrop: IdVec<CastId, ValueId>,
}

/// All scenes.
#[derive(Debug)]
pub(super) struct Scenes<'a> {
    compiled: &'a Compiled,
    signatures: &'a Signatures,
    /// The peer lists of egress tiers that hold each cell.
    of_cell: FxHashMap<CellId, Vec<PeersId>>,
    /// Those that hold addresses, nodes or names.
    with_blocks: Vec<PeersId>,
    /// Those that stand beside port names.
    with_names: Vec<PeersId>,
    of_view: FxHashMap<ViewId, Hits>,
    casts: Interner<CastId, Cast>,
    cast_of: IdVec<SenderId, CastId>,
    /// All tiers of senders.
    used: Vec<ChainId>,
    effects: Effects<'a>,
    keys: Interner<SceneId, (Hits, Option<PortTableId>)>,
    scenes: IdVec<SceneId, Scene>,
}

impl<'a> Scenes<'a> {
    pub(super) fn new(
        compiled: &'a Compiled,
        signatures: &'a Signatures,
        values: &mut Values,
        senders: &IdVec<SenderId, Sender>,
    ) -> Self {
        let none = ChainId::from_index(0);
        let mut casts: Interner<CastId, Cast> = Interner::default();
        let cast = |sender: &Sender| {
            let profile = sender.profile.map(|profile| compiled.table.profiles(Direction::Egress).at(profile));
            let admin = profile.map_or(none, |profile| profile.admin);
            let open = profile.filter(|profile| profile.policies.is_empty());
            let baseline = open.map_or(none, |profile| profile.baseline);
            casts.intern(Cast { admin, baseline, backdrop: sender.backdrop })
        };
        let cast_of = senders.values().map(cast).collect();
        let mut used: Vec<ChainId> = casts.keys().values().flat_map(|cast| [cast.admin, cast.baseline]).collect();
        used.sort_unstable();
        used.dedup();
        used.retain(|chain| *chain != none);
        let mut lists: Vec<PeersId> = used.iter().flat_map(|chain| compiled.table.chains.at(*chain).peers()).collect();
        lists.sort_unstable();
        lists.dedup();
        let mut of_cell: FxHashMap<CellId, Vec<PeersId>> = FxHashMap::default();
        for peers in &lists {
            for cell in signatures.cells(compiled.table.peers.at(*peers).classes) {
                of_cell.entry(*cell).or_default().push(*peers);
            }
        }
        let steps = used.iter().flat_map(|chain| compiled.table.chains.at(*chain).steps());
        let named = steps.filter(|step| !values.names(step.term.ports).is_empty());
        let mut with_names: Vec<PeersId> = named.map(|step| step.term.peers).collect();
        with_names.sort_unstable();
        with_names.dedup();
        let with_blocks = |peers: &PeersId| !compiled.table.peers.at(*peers).blocks.is_empty();
        let mut scenes = Self {
            compiled,
            signatures,
            of_cell,
            with_blocks: lists.into_iter().filter(with_blocks).collect(),
            with_names,
            of_view: FxHashMap::default(),
            casts,
            cast_of,
            used,
            effects: Effects::new(compiled, values),
            keys: Interner::default(),
            scenes: IdVec::new(),
        };
        scenes.intern(values, (Hits::new(), None));
        scenes
    }

    /// The scene of a destination.
    pub(super) fn of(&mut self, values: &mut Values, destination: &Kind, family: Family) -> SceneId {
        let (Some(view), false) = (destination.view(family), self.used.is_empty()) else {
            return SceneId::from_index(0);
        };
        let (signatures, compiled) = (self.signatures, self.compiled);
        let by_address = self.of_view.entry(view).or_insert_with(|| {
            let hit = |peers: &PeersId| (*peers, compiled.table.peers.at(*peers).block_hit(signatures.view(view)));
            self.with_blocks.iter().map(hit).filter(|(_, hit)| *hit != Hit::No).collect()
        });
        let by_class = destination.cell.and_then(|cell| self.of_cell.get(&cell)).into_iter().flatten();
        let mut hits: Hits = by_class.map(|peers| (*peers, Hit::Yes)).collect();
        hits.extend_from_slice(by_address);
        hits.sort_unstable();
        // Of two hits of one list the surer one counts; it sorts last.
        hits.reverse();
        hits.dedup_by_key(|(peers, _)| *peers);
        hits.reverse();
        let any = |peers: &PeersId| compiled.table.peers.at(*peers).any;
        let matches = |peers: &PeersId| any(peers) || hits.binary_search_by_key(peers, |(peers, _)| *peers).is_ok();
        let table = destination.table.filter(|_| self.with_names.iter().any(matches));
        self.intern(values, (hits, table))
    }

    fn intern(&mut self, values: &mut Values, key: (Hits, Option<PortTableId>)) -> SceneId {
        if let Some(known) = self.keys.get(&key) {
            return known;
        }
        let (hits, table) = &key;
        let mut effects: FxHashMap<ChainId, Effect> = FxHashMap::default();
        let nothing_done = values.untouched();
        for chain in &self.used {
            let effect = self.effects.of(values, *chain, hits, *table);
            if effect != nothing_done {
                effects.insert(*chain, effect);
            }
        }
        let left = |cast: &Cast| {
            let open = effects.get(&cast.baseline).map_or(cast.backdrop, |effect| effect.ceiling);
            effects.get(&cast.admin).map_or(open, |effect| values.apply(*effect, open))
        };
        let backdrop = self.casts.keys().values().map(left).collect();
        self.scenes.push(Scene { effects, backdrop });
        self.keys.intern(key)
    }

    /// What a sender may send in a scene to whom no peer list of a NetworkPolicy names.
    pub(super) fn backdrop(&self, scene: SceneId, sender: SenderId) -> ValueId {
        *self.scenes.at(scene).backdrop.at(*self.cast_of.at(sender))
    }

    /// What the Admin tiers leave of what senders may send.
    pub(super) fn apply(&self, values: &mut Values, scene: SceneId, sending: &mut Sending) {
        let effects = &self.scenes.at(scene).effects;
        if effects.is_empty() {
            return;
        }
        for (sender, value) in sending.iter_mut() {
            let cast = self.casts.keys().at(*self.cast_of.at(*sender));
            if let Some(effect) = effects.get(&cast.admin) {
                *value = values.apply(*effect, *value);
            }
        }
        sending.retain(|(sender, value)| *value != self.backdrop(scene, *sender));
    }
}
