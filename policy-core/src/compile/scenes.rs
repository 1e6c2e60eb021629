//! How the egress tiers see destinations: which of their peer lists match, and what that leaves of what senders may
//! send. Without cluster-wide policies there is one scene, in which nothing is changed.

use rustc_hash::FxHashMap;

use crate::compile::effects::{Effects, Hits, names};
use crate::compile::interner::Interner;
use crate::compile::kinds::{Kind, Signatures};
use crate::compile::senders::{Sender, Sending};
use crate::compile::tiers::Effect;
use crate::compile::values::Values;
use crate::compile::{CellId, ChainId, Compiled, PeersId, PortTableId, ProfileId, SceneId, SenderId, ValueId, ViewId};
use crate::ids::{Id, IdVec};
use crate::model::{Direction, Family, Hit};

/// One scene.
#[derive(Debug)]
struct Scene {
    /// What the Admin tier of each egress profile does; the others do nothing.
    admin: FxHashMap<ProfileId, Effect>,
    backdrop: IdVec<SenderId, ValueId>,
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
    of_view: FxHashMap<ViewId, Hits>,
    /// The profiles with tiers, each with its tiers.
    tiered: Vec<(ProfileId, [ChainId; 2])>,
    /// Whether port names matter to some tier.
    names: bool,
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
        let profiles = compiled.table.profiles(Direction::Egress).iter();
        let chains = profiles.map(|(id, profile)| {
            // CNP-5: where NetworkPolicies isolate, the Baseline tier is not asked.
            let baseline = if profile.policies.is_empty() { profile.baseline } else { none };
            (id, [profile.admin, baseline])
        });
        let tiered: Vec<(ProfileId, [ChainId; 2])> = chains.filter(|(_, chains)| *chains != [none; 2]).collect();
        let mut used: Vec<ChainId> = tiered.iter().flat_map(|(_, chains)| *chains).collect();
        used.sort_unstable();
        used.dedup();
        let mut lists: Vec<PeersId> = used.iter().flat_map(|chain| compiled.table.chains.at(*chain).peers()).collect();
        lists.sort_unstable();
        lists.dedup();
        let mut of_cell: FxHashMap<CellId, Vec<PeersId>> = FxHashMap::default();
        for peers in &lists {
            for cell in signatures.cells(compiled.table.peers.at(*peers).classes) {
                of_cell.entry(*cell).or_default().push(*peers);
            }
        }
        let with_blocks = |peers: &PeersId| !compiled.table.peers.at(*peers).blocks.is_empty();
        let mut scenes = Self {
            compiled,
            signatures,
            of_cell,
            with_blocks: lists.into_iter().filter(with_blocks).collect(),
            of_view: FxHashMap::default(),
            names: used.iter().any(|chain| names(values, compiled.table.chains.at(*chain))),
            tiered,
            effects: Effects::new(compiled),
            keys: Interner::default(),
            scenes: IdVec::new(),
        };
        scenes.intern(values, (Hits::new(), None), senders);
        scenes
    }

    /// The scene of a destination.
    pub(super) fn of(
        &mut self,
        values: &mut Values,
        destination: &Kind,
        family: Family,
        senders: &IdVec<SenderId, Sender>,
    ) -> SceneId {
        let (Some(view), false) = (destination.view(family), self.tiered.is_empty()) else {
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
        let table = destination.table.filter(|_| self.names);
        self.intern(values, (hits, table), senders)
    }

    fn intern(
        &mut self,
        values: &mut Values,
        key: (Hits, Option<PortTableId>),
        senders: &IdVec<SenderId, Sender>,
    ) -> SceneId {
        if let Some(known) = self.keys.get(&key) {
            return known;
        }
        let (hits, table) = &key;
        let mut scene = Scene { admin: FxHashMap::default(), backdrop: IdVec::new() };
        let mut after_admin: FxHashMap<ProfileId, ValueId> = FxHashMap::default();
        for (profile, [admin, baseline]) in &self.tiered {
            let (admin, baseline) =
                (self.effects.of(values, *admin, hits, *table), self.effects.of(values, *baseline, hits, *table));
            scene.admin.insert(*profile, admin);
            after_admin.insert(*profile, baseline.ceiling);
        }
        for sender in senders.values() {
            let tiers =
                sender.profile.and_then(|profile| Some((scene.admin.get(&profile)?, after_admin.get(&profile)?)));
            let value = match tiers {
                Some((admin, open)) => {
                    let next = if sender.backdrop == values.everything() { *open } else { sender.backdrop };
                    values.apply(*admin, next)
                }
                None => sender.backdrop,
            };
            scene.backdrop.push(value);
        }
        self.scenes.push(scene);
        self.keys.intern(key)
    }

    pub(super) fn backdrop(&self, scene: SceneId) -> &IdVec<SenderId, ValueId> {
        &self.scenes.at(scene).backdrop
    }

    /// What the Admin tiers leave of what senders may send.
    pub(super) fn apply(
        &self,
        values: &mut Values,
        scene: SceneId,
        senders: &IdVec<SenderId, Sender>,
        sending: &mut Sending,
    ) {
        let scene = self.scenes.at(scene);
        if scene.admin.is_empty() {
            return;
        }
        for (sender, value) in sending.iter_mut() {
            let profile = senders.at(*sender).profile;
            if let Some(effect) = profile.and_then(|profile| scene.admin.get(&profile)) {
                *value = values.apply(*effect, *value);
            }
        }
        sending.retain(|(sender, value)| value != scene.backdrop.at(*sender));
    }
}
