//! All pairs and all ports, factored: for each kind of destination, which sources reach it on which ports.
//!
//! What a source may send a destination depends on its egress profile alone (its *sender*): rules with wide peers
//! make an array over senders that many destinations share, rules that name few pods or hold an address make a
//! short list of exceptions. What a destination admits cuts the source kinds into a few regions that depend on its
//! ingress profile. A row is the product of the two, made on demand and never stored.

use std::rc::Rc;

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::compile::groups::Role;
use crate::compile::interner::Interner;
use crate::compile::kinds::{Kind, Kinds, Signatures};
use crate::compile::table::Term;
use crate::compile::values::Values;
use crate::compile::{
    BlockId, CellId, ClassSetId, Compiled, PeersId, PortExprId, PortNameId, PortTableId, ProfileId, SenderId,
    SourceKindId, ValueId, ViewId, WideId,
};
use crate::ids::{Id, IdVec};
use crate::model::{Direction, Family, Hit};

/// Disjoint regions of source kinds, by value; kinds in no region have the value nothing.
type Regions = Vec<(ValueId, FixedBitSet)>;
/// The source kinds that a peer list matches, by how surely.
type Matched = Rc<Vec<(Hit, FixedBitSet)>>;
/// What tells the ingress cuts of destinations apart. The family is there only if blocks are among the peers.
type IngressKey = (ProfileId, Option<PortTableId>, Option<Family>);
/// What each sender may send.
type WideValues = Rc<IdVec<SenderId, ValueId>>;

/// What a destination admits.
#[derive(Debug)]
struct IngressCut {
    /// What everybody in no region may send.
    base: ValueId,
    regions: Regions,
    /// The senders in some region: the only ones whose rules matter.
    senders: FixedBitSet,
}

/// An egress term with its sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Sent {
    sender: SenderId,
    ports: PortExprId,
}

/// What may be sent to one kind of destination, by sender.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Sending {
    wide: WideId,
    /// Senders that may send something else than the wide array says, sorted.
    exceptions: Vec<(SenderId, ValueId)>,
}

/// Everything that makes up the row of one kind of destination in one family: equal parts, equal rows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Row {
    /// `None` when the destination is not isolated.
    ingress: Option<IngressKey>,
    sending: Sending,
    role: Role,
}

/// In which families sources are counted; names the weights that go with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Weighing {
    V4,
    V6,
    Both,
}

/// Everything that rows are made of, and what was made already.
pub(super) struct Rows<'a> {
    compiled: &'a Compiled,
    ingress: &'a Signatures,
    egress: &'a Signatures,
    pub(super) values: Values,
    universe: usize,
    /// Source kinds by the cell of their class.
    by_cell: FxHashMap<CellId, Vec<usize>>,
    /// Source kinds by the blocks that hold their address, in one family.
    by_block: FxHashMap<(BlockId, Family), Vec<(usize, Hit)>>,
    senders: Interner<SenderId, (Role, Option<ProfileId>)>,
    sender_of: IdVec<SourceKindId, SenderId>,
    sent_by: IdVec<SenderId, Vec<SourceKindId>>,
    /// Egress terms by wide class sets, by cell, and by block.
    to_set: FxHashMap<ClassSetId, Vec<Sent>>,
    to_cell: FxHashMap<CellId, Vec<Sent>>,
    to_block: FxHashMap<BlockId, Vec<Sent>>,
    to_view: FxHashMap<ViewId, Rc<Vec<(Sent, Hit)>>>,
    /// The wide class sets that hold each cell.
    wide_of: FxHashMap<CellId, WideId>,
    wide_sets: Interner<WideId, Vec<ClassSetId>>,
    /// Egress terms with port names, by name: without peers, and with wide ones.
    named_to_anybody: FxHashMap<PortNameId, Vec<Sent>>,
    named_to_wide: FxHashMap<(WideId, PortNameId), Vec<Sent>>,
    matched: FxHashMap<(PeersId, Option<Family>), Matched>,
    ingress_cuts: FxHashMap<IngressKey, Rc<IngressCut>>,
    wide_values: FxHashMap<WideId, WideValues>,
    weighed: FxHashMap<(WideId, Role, Weighing), Rc<Weights>>,
    tally: Tally,
    /// What rows count without their exceptions.
    counted: FxHashMap<(Option<IngressKey>, WideId, Role, Weighing), u128>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        compiled: &'a Compiled,
        sources: &Kinds<SourceKindId>,
        ingress: &'a Signatures,
        egress: &'a Signatures,
    ) -> Self {
        let mut by_cell: FxHashMap<CellId, Vec<usize>> = FxHashMap::default();
        let mut by_block: FxHashMap<(BlockId, Family), Vec<(usize, Hit)>> = FxHashMap::default();
        let mut senders: Interner<SenderId, (Role, Option<ProfileId>)> = Interner::default();
        let mut sent_by: IdVec<SenderId, Vec<SourceKindId>> = IdVec::new();
        let mut sender_of = IdVec::new();
        for (id, kind) in sources.kinds.iter() {
            if let Some(cell) = kind.cell {
                by_cell.entry(cell).or_default().push(id.index());
            }
            for (family, view) in Family::ALL.into_iter().filter_map(|family| Some((family, kind.view(family)?))) {
                for (block, hit) in ingress.view(view).blocks() {
                    by_block.entry((block, family)).or_default().push((id.index(), hit));
                }
            }
            let sender = senders.intern((kind.role, kind.profile));
            if sent_by.get(sender).is_none() {
                sent_by.push(Vec::new());
            }
            sent_by.at_mut(sender).push(id);
            sender_of.push(sender);
        }
        let mut rows = Self {
            compiled,
            ingress,
            egress,
            values: Values::new(compiled),
            universe: sources.kinds.len(),
            by_cell,
            by_block,
            senders,
            sender_of,
            sent_by,
            to_set: FxHashMap::default(),
            to_cell: FxHashMap::default(),
            to_block: FxHashMap::default(),
            to_view: FxHashMap::default(),
            wide_of: FxHashMap::default(),
            wide_sets: Interner::default(),
            named_to_anybody: FxHashMap::default(),
            named_to_wide: FxHashMap::default(),
            matched: FxHashMap::default(),
            ingress_cuts: FxHashMap::default(),
            wide_values: FxHashMap::default(),
            weighed: FxHashMap::default(),
            tally: Tally::default(),
            counted: FxHashMap::default(),
        };
        rows.index_egress();
        rows
    }

    fn index_egress(&mut self) {
        self.wide_sets.intern(Vec::new());
        let mut by_set: FxHashMap<ClassSetId, Vec<Sent>> = FxHashMap::default();
        for (sender, (_, profile)) in self.senders.keys().iter() {
            let Some(profile) = profile else { continue };
            for term in &self.compiled.table.profiles(Direction::Egress).at(*profile).terms {
                let sent = Sent { sender, ports: term.ports };
                let peers = self.compiled.table.peers.at(term.peers);
                if peers.any {
                    for name in self.values.names(term.ports) {
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
                for cell in self.egress.cells(set) {
                    wide.entry(*cell).or_default().push(set);
                }
                self.to_set.insert(set, sent);
            } else {
                for cell in self.egress.cells(set) {
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
                for name in self.values.names(sent.ports) {
                    self.named_to_wide.entry((wide, *name)).or_default().push(*sent);
                }
            }
        }
    }

    /// What makes up the row of a kind of destination in a family; `None` when it does not speak it. Sources that
    /// do not speak it are not told apart.
    pub(super) fn row(&mut self, destination: &Kind, family: Family) -> Option<Row> {
        let view = destination.view(family)?;
        let ingress = self.ingress_key(destination, family);
        let cut = ingress.map(|key| self.ingress_cut(key));
        let sending = self.sending(destination.cell, view, destination.table, cut.as_ref().map(|cut| &cut.senders));
        Some(Row { ingress, sending, role: destination.role })
    }

    /// Port names are looked up here and nowhere else: the arrays hold what does not depend on the destination's.
    fn sending(
        &mut self,
        cell: Option<CellId>,
        view: ViewId,
        table: Option<PortTableId>,
        heard: Option<&FixedBitSet>,
    ) -> Sending {
        let wide = cell.and_then(|cell| self.wide_of.get(&cell).copied()).unwrap_or_else(|| Id::from_index(0));
        let values = self.wide_values(wide);
        let by_address = self.sent_to_view(view);
        let heard = |sent: &Sent| heard.is_none_or(|senders| senders.contains(sent.sender.index()));
        let by_class = cell.and_then(|cell| self.to_cell.get(&cell)).into_iter().flatten();
        let by_class = by_class.copied().filter(heard).map(|sent| (sent, Hit::Yes));
        let mut sent: Vec<(Sent, Hit)> = by_address.iter().copied().filter(|(sent, _)| heard(sent)).collect();
        sent.extend(by_class);
        if let (Some(table), Some(_)) = (table, cell) {
            for name in self.values.names_of(table) {
                let everybody = self.named_to_anybody.get(name).into_iter().flatten();
                let some = self.named_to_wide.get(&(wide, *name)).into_iter().flatten();
                sent.extend(everybody.chain(some).copied().filter(heard).map(|sent| (sent, Hit::Yes)));
            }
        }
        sent.sort_by_key(|(sent, _)| sent.sender);
        let mut exceptions: Vec<(SenderId, ValueId)> = Vec::new();
        for (Sent { sender, ports }, hit) in sent {
            let value = self.values.resolve(ports, table, hit);
            match exceptions.last_mut() {
                Some((last, known)) if *last == sender => *known = self.values.union(*known, value),
                _ => exceptions.push((sender, self.values.union(*values.at(sender), value))),
            }
        }
        exceptions.retain(|(sender, value)| value != values.at(*sender));
        Sending { wide, exceptions }
    }

    /// The terms whose blocks hold a destination's address, by sender.
    fn sent_to_view(&mut self, view: ViewId) -> Rc<Vec<(Sent, Hit)>> {
        if let Some(known) = self.to_view.get(&view) {
            return Rc::clone(known);
        }
        let mut sent: Vec<(Sent, Hit)> = Vec::new();
        for (block, hit) in self.egress.view(view).blocks() {
            sent.extend(self.to_block.get(&block).into_iter().flatten().map(|sent| (*sent, hit)));
        }
        sent.sort_unstable();
        sent.dedup();
        let sent = Rc::new(sent);
        self.to_view.insert(view, Rc::clone(&sent));
        sent
    }

    /// What each sender may send to a destination that no narrow peer list holds.
    fn wide_values(&mut self, wide: WideId) -> WideValues {
        if let Some(known) = self.wide_values.get(&wide) {
            return Rc::clone(known);
        }
        let senders: Vec<Option<ProfileId>> = self.senders.keys().values().map(|(_, profile)| *profile).collect();
        let mut values: IdVec<SenderId, ValueId> =
            senders.into_iter().map(|profile| self.sent_to_anybody(profile)).collect();
        for set in self.wide_sets.keys().at(wide).clone() {
            let Some(sent) = self.to_set.remove(&set) else { continue };
            for Sent { sender, ports } in &sent {
                let value = self.values.resolve(*ports, None, Hit::Yes);
                *values.at_mut(*sender) = self.values.union(*values.at(*sender), value);
            }
            self.to_set.insert(set, sent);
        }
        let values = Rc::new(values);
        self.wide_values.insert(wide, Rc::clone(&values));
        values
    }

    /// `None` when the destination is not isolated.
    fn ingress_key(&self, destination: &Kind, family: Family) -> Option<IngressKey> {
        let profile = destination.profile?;
        let isolation = self.compiled.table.profiles(Direction::Ingress).at(profile);
        if isolation.policies.is_empty() {
            return None; // NP-4
        }
        let blocks = isolation.terms.iter().any(|term| !self.compiled.table.peers.at(term.peers).blocks.is_empty());
        let names = isolation.terms.iter().any(|term| !self.compiled.table.ports.at(term.ports).names().is_empty());
        Some((profile, destination.table.filter(|_| names), blocks.then_some(family)))
    }

    /// Cuts the sources by what an ingress profile admits from them.
    fn ingress_cut(&mut self, key: IngressKey) -> Rc<IngressCut> {
        if let Some(known) = self.ingress_cuts.get(&key) {
            return Rc::clone(known);
        }
        let (profile, table, family) = key;
        let terms: &[Term] = &self.compiled.table.profiles(Direction::Ingress).at(profile).terms;
        let mut base = self.values.unasked(self.compiled);
        for term in terms.iter().filter(|term| self.compiled.table.peers.at(term.peers).any) {
            let value = self.values.resolve(term.ports, table, Hit::Yes);
            base = self.values.union(base, value);
        }
        let mut regions = Regions::new();
        for term in terms.iter().filter(|term| !self.compiled.table.peers.at(term.peers).any) {
            for (hit, matched) in self.matched(term.peers, family).iter() {
                let value = self.values.resolve(term.ports, table, *hit);
                self.raise(base, &mut regions, value, matched);
            }
        }
        regions.retain(|(value, region)| *value != base && !region.is_clear());
        let mut senders = FixedBitSet::with_capacity(self.senders.keys().len());
        if base == self.values.nothing() {
            for kind in regions.iter().flat_map(|(_, region)| region.ones()) {
                senders.insert(self.sender_of.at(Id::from_index(kind)).index());
            }
        } else {
            senders.insert_range(..);
        }
        let cut = Rc::new(IngressCut { base, regions, senders });
        self.ingress_cuts.insert(key, Rc::clone(&cut));
        cut
    }

    /// Adds `value` to what the kinds in `matched` have: those in no region have `base`.
    fn raise(&mut self, base: ValueId, regions: &mut Regions, value: ValueId, matched: &FixedBitSet) {
        let mut raised = Regions::new();
        let mut rest = matched.clone();
        for (before, region) in regions.iter_mut() {
            rest.difference_with(region);
            let after = self.values.union(*before, value);
            if after == *before || region.is_disjoint(matched) {
                continue;
            }
            let mut moved = region.clone();
            moved.intersect_with(matched);
            region.difference_with(matched);
            raised.push((after, moved));
        }
        raised.push((self.values.union(base, value), rest));
        for (value, moved) in raised {
            match regions.iter_mut().find(|(known, _)| *known == value) {
                Some((_, region)) => region.union_with(&moved),
                None => regions.push((value, moved)),
            }
        }
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
        for cell in self.ingress.cells(list.classes) {
            mark(Hit::Yes, &mut self.by_cell.get(cell).into_iter().flatten().copied());
        }
        if let Some(family) = family {
            for (kind, hit) in list.blocks.iter().filter_map(|block| self.by_block.get(&(*block, family))).flatten() {
                mark(*hit, &mut std::iter::once(*kind));
            }
        }
        let matched = Rc::new(by_hit);
        self.matched.insert((peers, family), Rc::clone(&matched));
        matched
    }

    /// What a sender may send whoever the destination is.
    fn sent_to_anybody(&mut self, sender: Option<ProfileId>) -> ValueId {
        let profile = sender.map(|sender| self.compiled.table.profiles(Direction::Egress).at(sender));
        let Some(profile) = profile.filter(|profile| !profile.policies.is_empty()) else {
            return self.values.everything(); // NP-4
        };
        let mut value = self.values.unasked(self.compiled);
        for term in profile.terms.iter().filter(|term| self.compiled.table.peers.at(term.peers).any) {
            let ports = self.values.resolve(term.ports, None, Hit::Yes);
            value = self.values.union(value, ports);
        }
        value
    }

    /// The row as regions of source kinds, in order of value; kinds in no region reach nothing.
    pub(super) fn regions(&mut self, row: &Row) -> Vec<(ValueId, Vec<SourceKindId>)> {
        let values = self.wide_values(row.sending.wide);
        let mut of_sender = (*values).clone();
        for (sender, value) in &row.sending.exceptions {
            *of_sender.at_mut(*sender) = *value;
        }
        let everything = self.values.everything();
        let mut regions: std::collections::BTreeMap<ValueId, Vec<SourceKindId>> = std::collections::BTreeMap::new();
        let mut add = |rows: &mut Self, kind: SourceKindId, admitted: ValueId| {
            let sender = *rows.sender_of.at(kind);
            let (role, _) = rows.senders.keys().at(sender);
            let value = rows.values.intersection(*of_sender.at(sender), admitted);
            if role.meets(row.role) && value != rows.values.nothing() {
                regions.entry(value).or_default().push(kind);
            }
        };
        match row.ingress {
            None => (0..self.universe).for_each(|kind| add(self, Id::from_index(kind), everything)),
            Some(key) => {
                let cut = self.ingress_cut(key);
                let mut rest = FixedBitSet::with_capacity(self.universe);
                rest.set_range(.., cut.base != self.values.nothing());
                for (admitted, region) in &cut.regions {
                    rest.difference_with(region);
                    region.ones().for_each(|kind| add(self, Id::from_index(kind), *admitted));
                }
                rest.ones().for_each(|kind| add(self, Id::from_index(kind), cut.base));
            }
        }
        for kinds in regions.values_mut() {
            kinds.sort_unstable();
        }
        regions.into_iter().collect()
    }

    /// The number of (source, protocol, port) that are certainly admitted, sources weighted.
    pub(super) fn count(&mut self, row: &Row, weighing: Weighing, weights: &IdVec<SourceKindId, u64>) -> u128 {
        let wide = self.wide_values(row.sending.wide);
        let cut = row.ingress.map(|key| self.ingress_cut(key));
        let key = (row.ingress, row.sending.wide, row.role, weighing);
        let base = match self.counted.get(&key) {
            Some(known) => *known,
            None => {
                let count = self.count_all(cut.as_deref(), row, weighing, weights);
                self.counted.insert(key, count);
                count
            }
        };
        let (mut more, mut less) = (0, 0);
        for (sender, value) in &row.sending.exceptions {
            let (role, _) = *self.senders.keys().at(*sender);
            if !role.meets(row.role) {
                continue;
            }
            let before = *wide.at(*sender);
            let mut change = |rows: &mut Self, admitted: ValueId, weight: u64| {
                let (after, before) =
                    (rows.values.intersection(*value, admitted), rows.values.intersection(before, admitted));
                more += u128::from(weight) * rows.values.count(after);
                less += u128::from(weight) * rows.values.count(before);
            };
            let everything = self.values.everything();
            let mut left = self.weight(*sender, weights);
            for (admitted, region) in cut.iter().flat_map(|cut| &cut.regions) {
                let inside = self.sent_by.at(*sender).iter().filter(|kind| region.contains(kind.index()));
                let weight: u64 = inside.map(|kind| *weights.at(*kind)).sum();
                left -= weight;
                if weight > 0 {
                    change(self, *admitted, weight);
                }
            }
            change(self, cut.as_ref().map_or(everything, |cut| cut.base), left);
        }
        base + more - less
    }

    fn weight(&self, sender: SenderId, weights: &IdVec<SourceKindId, u64>) -> u64 {
        self.sent_by.at(sender).iter().map(|kind| *weights.at(*kind)).sum()
    }

    /// The count of a row without exceptions.
    fn count_all(
        &mut self,
        cut: Option<&IngressCut>,
        row: &Row,
        weighing: Weighing,
        weights: &IdVec<SourceKindId, u64>,
    ) -> u128 {
        let (wide_id, role) = (row.sending.wide, row.role);
        let wide = self.wide_values(wide_id);
        let everything = self.values.everything();
        let all = self.weigh_wide((wide_id, role, weighing), weights);
        let base = cut.map_or(everything, |cut| cut.base);
        let mut total = self.weigh(&all, base);
        let mut tally = std::mem::take(&mut self.tally);
        for (admitted, region) in cut.iter().flat_map(|cut| &cut.regions) {
            for kind in region.ones().map(SourceKindId::from_index) {
                let sender = *self.sender_of.at(kind);
                if role == Role::Pod || self.senders.keys().at(sender).0.meets(role) {
                    tally.add(*wide.at(sender), *weights.at(kind));
                }
            }
            let inside = tally.take();
            total = total + self.weigh(&inside, *admitted) - self.weigh(&inside, base);
        }
        self.tally = tally;
        total
    }

    /// The weights of all sources that meet a role, by what they may send.
    fn weigh_wide(&mut self, key: (WideId, Role, Weighing), weights: &IdVec<SourceKindId, u64>) -> Rc<Weights> {
        let (wide, role, _) = key;
        if let Some(known) = self.weighed.get(&key) {
            return Rc::clone(known);
        }
        let values = self.wide_values(wide);
        let mut tally = Tally::default();
        for (sender, value) in values.iter().filter(|(sender, _)| self.senders.keys().at(*sender).0.meets(role)) {
            tally.add(*value, self.weight(sender, weights));
        }
        let weighed = Rc::new(tally.take());
        self.weighed.insert(key, Rc::clone(&weighed));
        weighed
    }

    fn weigh(&mut self, weights: &[(ValueId, u64)], admitted: ValueId) -> u128 {
        let mut total = 0;
        for (value, weight) in weights {
            let value = self.values.intersection(*value, admitted);
            total += u128::from(*weight) * self.values.count(value);
        }
        total
    }
}

/// Weights by value, sorted.
type Weights = Vec<(ValueId, u64)>;

/// Adds up weights by value; kept between uses, because it is as long as there are values.
#[derive(Debug, Default)]
struct Tally {
    weights: Vec<u64>,
    touched: Vec<ValueId>,
}

impl Tally {
    fn add(&mut self, value: ValueId, weight: u64) {
        if self.weights.len() <= value.index() {
            self.weights.resize(value.index() + 1, 0);
        }
        if let Some(known) = self.weights.get_mut(value.index()) {
            if *known == 0 {
                self.touched.push(value);
            }
            *known += weight;
        }
    }

    /// What was added since the last time.
    fn take(&mut self) -> Weights {
        self.touched.sort_unstable();
        self.touched.dedup();
        let weights = &mut self.weights;
        let take = |value: ValueId| (value, weights.get_mut(value.index()).map(std::mem::take).unwrap_or_default());
        self.touched.drain(..).map(take).collect()
    }
}
