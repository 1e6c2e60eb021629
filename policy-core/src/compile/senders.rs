//! What sources may send: the egress rules, turned round so that a destination finds those that name it.
//!
//! What a source may send depends on its egress profile alone, so sources of one profile are one *sender*. Most of
//! what a sender may send does not depend on the destination either: that is its backdrop. For a destination only the
//! senders matter that may send it something else.

use std::cmp::Ordering;
use std::ops::Range;
use std::rc::Rc;

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::compile::groups::Role;
use crate::compile::interner::Interner;
use crate::compile::kinds::{Kind, Kinds, Signatures};
use crate::compile::scenes::Scenes;
use crate::compile::values::Values;
use crate::compile::{
    BlockId, CellId, ClassSetId, Compiled, PortExprId, PortNameId, PortTableId, ProfileId, SceneId, SenderId,
    SourceKindId, ValueId, ViewId, WideId,
};
use crate::ids::{Id, IdVec};
use crate::model::{Direction, Family, Hit};

/// Senders with what they may send, sorted by sender.
pub(super) type Sending = Vec<(SenderId, ValueId)>;

/// Source kinds with the same role and egress profile.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) role: Role,
    pub(super) profile: Option<ProfileId>,
    /// Its source kinds, which follow each other.
    pub(super) kinds: Range<usize>,
    /// What NetworkPolicies let it send to whom no peer list names.
    pub(super) backdrop: ValueId,
}

/// An egress term with its sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Sent {
    sender: SenderId,
    ports: PortExprId,
}

/// What blocks let senders send to an address.
#[derive(Debug)]
struct ToView {
    /// As far as it does not depend on the port names of the destination.
    plain: Sending,
    /// The terms with port names.
    named: Vec<(Sent, Hit)>,
}

/// All senders, and their terms by what they name.
#[derive(Debug)]
pub(super) struct Senders<'a> {
    compiled: &'a Compiled,
    signatures: &'a Signatures,
    senders: IdVec<SenderId, Sender>,
    sender_of: IdVec<SourceKindId, SenderId>,
    /// Terms by wide class sets, by cell, and by block.
    to_set: FxHashMap<ClassSetId, Vec<Sent>>,
    to_cell: FxHashMap<CellId, Vec<Sent>>,
    to_block: FxHashMap<BlockId, Vec<Sent>>,
    to_view: FxHashMap<ViewId, Rc<ToView>>,
    /// The wide class sets that hold each cell.
    wide_of: FxHashMap<CellId, WideId>,
    wide_sets: Interner<WideId, Vec<ClassSetId>>,
    to_wide: FxHashMap<WideId, Rc<Sending>>,
    /// Terms with port names, by name: without peers, and with wide ones.
    named_to_anybody: FxHashMap<PortNameId, Vec<Sent>>,
    named_to_wide: FxHashMap<(WideId, PortNameId), Vec<Sent>>,
    scenes: Scenes<'a>,
}

impl<'a> Senders<'a> {
    /// `signatures` are those of the peer lists of egress rules.
    pub(super) fn new(
        compiled: &'a Compiled,
        sources: &Kinds<SourceKindId>,
        signatures: &'a Signatures,
        values: &mut Values,
    ) -> Self {
        let mut senders: IdVec<SenderId, Sender> = IdVec::new();
        let mut sender_of = IdVec::new();
        let mut last: Option<SenderId> = None;
        for (id, kind) in sources.kinds.iter() {
            let known = last.filter(|last| {
                let sender = senders.at(*last);
                (sender.role, sender.profile) == (kind.role, kind.profile)
            });
            let sender = known.unwrap_or_else(|| {
                let backdrop = backdrop(compiled, values, kind.profile);
                let kinds = id.index()..id.index();
                senders.push(Sender { role: kind.role, profile: kind.profile, kinds, backdrop })
            });
            senders.at_mut(sender).kinds.end = id.index() + 1;
            sender_of.push(sender);
            last = Some(sender);
        }
        let scenes = Scenes::new(compiled, signatures, values, &senders);
        let mut known = Self {
            compiled,
            signatures,
            senders,
            sender_of,
            to_set: FxHashMap::default(),
            to_cell: FxHashMap::default(),
            to_block: FxHashMap::default(),
            to_view: FxHashMap::default(),
            wide_of: FxHashMap::default(),
            wide_sets: Interner::default(),
            to_wide: FxHashMap::default(),
            named_to_anybody: FxHashMap::default(),
            named_to_wide: FxHashMap::default(),
            scenes,
        };
        known.index(values);
        known
    }

    fn index(&mut self, values: &Values) {
        self.wide_sets.intern(Vec::new());
        let mut by_set: FxHashMap<ClassSetId, Vec<Sent>> = FxHashMap::default();
        for (sender, of) in self.senders.iter() {
            let Some(profile) = of.profile else { continue };
            for term in &self.compiled.table.profiles(Direction::Egress).at(profile).terms {
                let sent = Sent { sender, ports: term.ports };
                let peers = self.compiled.table.peers.at(term.peers);
                if peers.any {
                    for name in values.names(term.ports) {
                        self.named_to_anybody.entry(*name).or_default().push(sent);
                    }
                    continue;
                }
                by_set.entry(peers.classes).or_default().push(sent);
                for block in &peers.blocks {
                    self.to_block.entry(*block).or_default().push(sent);
                }
            }
        }
        let mut sets: Vec<(ClassSetId, Vec<Sent>)> = by_set.into_iter().collect();
        sets.sort_unstable();
        let mut wide: FxHashMap<CellId, Vec<ClassSetId>> = FxHashMap::default();
        for (set, sent) in sets {
            if self.compiled.table.sets.at(set).is_wide() {
                for cell in self.signatures.cells(set) {
                    wide.entry(*cell).or_default().push(set);
                }
                self.to_set.insert(set, sent);
            } else {
                for cell in self.signatures.cells(set) {
                    self.to_cell.entry(*cell).or_default().extend_from_slice(&sent);
                }
            }
        }
        let mut cells: Vec<(CellId, Vec<ClassSetId>)> = wide.into_iter().collect();
        cells.sort_unstable();
        for (cell, sets) in cells {
            let wide = self.wide_sets.intern(sets);
            self.wide_of.insert(cell, wide);
        }
        for (wide, sets) in self.wide_sets.keys().iter() {
            for sent in sets.iter().filter_map(|set| self.to_set.get(set)).flatten() {
                for name in values.names(sent.ports) {
                    self.named_to_wide.entry((wide, *name)).or_default().push(*sent);
                }
            }
        }
    }

    pub(super) fn all(&self) -> &IdVec<SenderId, Sender> {
        &self.senders
    }

    pub(super) fn of(&self, kind: SourceKindId) -> SenderId {
        *self.sender_of.at(kind)
    }

    /// The senders that may send a destination something else than their backdrop, among those in `heard`.
    /// Empty when it does not speak the family.
    ///
    /// Port names are looked up here and nowhere else: the wide lists hold what does not depend on the destination's.
    pub(super) fn sending(
        &mut self,
        values: &mut Values,
        destination: &Kind,
        family: Family,
        scene: SceneId,
        heard: &FixedBitSet,
    ) -> Sending {
        let Some(view) = destination.view(family) else { return Sending::new() };
        let cell = destination.cell;
        let nothing_wide = WideId::from_index(0);
        let wide_id = cell.and_then(|cell| self.wide_of.get(&cell).copied()).unwrap_or(nothing_wide);
        let wide = self.wide_sending(values, wide_id);
        let by_address = self.view_sending(values, view);
        let by_class = cell.and_then(|cell| self.to_cell.get(&cell)).into_iter().flatten();
        let mut special: Vec<(Sent, Hit)> = by_class.map(|sent| (*sent, Hit::Yes)).collect();
        if let (Some(table), Some(_)) = (destination.table, cell) {
            for name in values.names_of(table) {
                let everybody = self.named_to_anybody.get(name).into_iter().flatten();
                let some = self.named_to_wide.get(&(wide_id, *name)).into_iter().flatten();
                special.extend(everybody.chain(some).map(|sent| (*sent, Hit::Yes)));
            }
            special.extend_from_slice(&by_address.named);
        }
        special.retain(|(sent, _)| heard.contains(sent.sender.index()));
        special.sort_unstable();
        let special = self.resolve(values, destination.table, &special);
        let heard = |(sender, _): &&(SenderId, ValueId)| heard.contains(sender.index());
        let mut sending = merge(values, wide.iter().filter(heard), by_address.plain.iter().filter(heard));
        if !special.is_empty() {
            sending = merge(values, sending.iter(), special.iter());
        }
        self.scenes.apply(values, scene, &mut sending);
        sending
    }

    /// How the egress tiers see a destination.
    pub(super) fn scene(&mut self, values: &mut Values, destination: &Kind, family: Family) -> SceneId {
        self.scenes.of(values, destination, family)
    }

    /// What a sender may send in a scene to whom no peer list of a NetworkPolicy names.
    pub(super) fn backdrop(&self, scene: SceneId, sender: SenderId) -> ValueId {
        self.scenes.backdrop(scene, sender)
    }

    /// What the senders of these terms may send, sorted like them.
    fn resolve(&self, values: &mut Values, table: Option<PortTableId>, terms: &[(Sent, Hit)]) -> Sending {
        let mut sending = Sending::new();
        for of_sender in terms.chunk_by(|(a, _), (b, _)| a.sender == b.sender) {
            let Some((Sent { sender, .. }, _)) = of_sender.first().copied() else { continue };
            let backdrop = self.senders.at(sender).backdrop;
            let mut value = backdrop;
            for (Sent { ports, .. }, hit) in of_sender {
                let more = values.resolve(*ports, table, *hit);
                value = values.union(value, more);
            }
            if value != backdrop {
                sending.push((sender, value));
            }
        }
        sending
    }

    /// The terms whose blocks hold a destination's address.
    fn view_sending(&mut self, values: &mut Values, view: ViewId) -> Rc<ToView> {
        if let Some(known) = self.to_view.get(&view) {
            return Rc::clone(known);
        }
        let mut sent: Vec<(Sent, Hit)> = Vec::new();
        for (block, hit) in self.signatures.view(view).blocks() {
            sent.extend(self.to_block.get(&block).into_iter().flatten().map(|sent| (*sent, hit)));
        }
        sent.sort_unstable();
        sent.dedup();
        let plain = self.resolve(values, None, &sent);
        let named = sent.into_iter().filter(|(sent, _)| !values.names(sent.ports).is_empty()).collect();
        let known = Rc::new(ToView { plain, named });
        self.to_view.insert(view, Rc::clone(&known));
        known
    }

    /// What senders may send to a destination that no narrow peer list names, where it is not their backdrop.
    fn wide_sending(&mut self, values: &mut Values, wide: WideId) -> Rc<Sending> {
        if let Some(known) = self.to_wide.get(&wide) {
            return Rc::clone(known);
        }
        let sets = self.wide_sets.keys().at(wide);
        let sent = sets.iter().filter_map(|set| self.to_set.get(set)).flatten();
        let mut sent: Vec<(Sent, Hit)> = sent.map(|sent| (*sent, Hit::Yes)).collect();
        sent.sort_unstable();
        let sending = self.resolve(values, None, &sent);
        let sending = Rc::new(sending);
        self.to_wide.insert(wide, Rc::clone(&sending));
        sending
    }
}

/// What either list says, or both together.
fn merge<'a>(
    values: &mut Values,
    one: impl Iterator<Item = &'a (SenderId, ValueId)>,
    other: impl Iterator<Item = &'a (SenderId, ValueId)>,
) -> Sending {
    let (mut one, mut other) = (one.copied().peekable(), other.copied().peekable());
    let mut merged = Sending::new();
    while let (Some((a, _)), Some((b, _))) = (one.peek(), other.peek()) {
        match a.cmp(b) {
            Ordering::Less => merged.extend(one.next()),
            Ordering::Greater => merged.extend(other.next()),
            Ordering::Equal => {
                let both = one.next().zip(other.next());
                merged.extend(both.map(|((sender, a), (_, b))| (sender, values.union(a, b))));
            }
        }
    }
    merged.extend(one);
    merged.extend(other);
    merged
}

/// What an egress profile lets out whoever the destination is.
fn backdrop(compiled: &Compiled, values: &mut Values, profile: Option<ProfileId>) -> ValueId {
    let profile = profile.map(|profile| compiled.table.profiles(Direction::Egress).at(profile));
    let Some(profile) = profile.filter(|profile| !profile.policies.is_empty()) else {
        return values.everything(); // NP-4
    };
    values.for_anybody(compiled, &profile.terms, None)
}
