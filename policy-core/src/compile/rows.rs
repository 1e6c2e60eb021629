//! All pairs and all ports, factored: one row for each kind of destination, equal rows once.
//!
//! A row says what reaches a destination from every source, in three steps from coarse to fine: senders with the
//! same peerless rules, then egress profiles that a rule of theirs treats differently, then source kinds that a rule
//! of the destination names. Each step lists only what differs from the step before, so a row costs what policies
//! say about that destination, not the number of sources.

use rustc_hash::FxHashMap;

use crate::compile::groups::{DestinationKindId, Kind, Role, Signatures, SourceKindId};
use crate::compile::interner::Interner;
use crate::compile::ports::PortValue;
use crate::compile::table::Term;
use crate::compile::{Compiled, PeersId, PortExprId, PortTableId, ProfileId, RowId, SenderGroupId, SenderId, ValueId};
use crate::ids::{Id, IdVec};
use crate::model::{Direction, Family, Hit};

/// What reaches one kind of destination.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Row {
    /// What all sources of a sender group reach; groups that reach nothing are left out.
    pub(super) groups: Vec<(SenderGroupId, ValueId)>,
    /// Senders that differ from their group.
    pub(super) senders: Vec<(SenderId, ValueId)>,
    /// Source kinds that differ from their sender.
    pub(super) kinds: Vec<(SourceKindId, ValueId)>,
}

/// Who sends: a role, and the egress profile of pods.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sender {
    pub(super) role: Role,
    pub(super) profile: Option<ProfileId>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct SenderGroup {
    role: Role,
    isolated: bool,
    /// The port lists of the rules without peers.
    anybody: Vec<PortExprId>,
}

/// Interned values with remembered operations.
#[derive(Debug)]
pub(super) struct Values {
    interner: Interner<ValueId, PortValue>,
    unions: FxHashMap<(ValueId, ValueId), ValueId>,
    intersections: FxHashMap<(ValueId, ValueId), ValueId>,
    resolved: FxHashMap<(PortExprId, Option<PortTableId>, Hit), ValueId>,
}

impl Values {
    fn new() -> Self {
        let mut interner = Interner::default();
        interner.intern(PortValue::default());
        interner.intern(PortValue::all());
        Self {
            interner,
            unions: FxHashMap::default(),
            intersections: FxHashMap::default(),
            resolved: FxHashMap::default(),
        }
    }

    fn nothing(&self) -> ValueId {
        ValueId::from_index(0)
    }

    fn everything(&self) -> ValueId {
        ValueId::from_index(1)
    }

    pub(super) fn get(&self, id: ValueId) -> &PortValue {
        self.interner.keys().at(id)
    }

    fn union(&mut self, a: ValueId, b: ValueId) -> ValueId {
        if a == b || b == self.nothing() {
            return a;
        }
        if a == self.nothing() {
            return b;
        }
        let key = (a.min(b), a.max(b));
        if let Some(known) = self.unions.get(&key) {
            return *known;
        }
        let union = self.get(a).union(self.get(b));
        let id = self.interner.intern(union);
        self.unions.insert(key, id);
        id
    }

    fn intersection(&mut self, a: ValueId, b: ValueId) -> ValueId {
        if a == b || a == self.everything() {
            return b;
        }
        if b == self.everything() {
            return a;
        }
        if a == self.nothing() || b == self.nothing() {
            return self.nothing();
        }
        let key = (a.min(b), a.max(b));
        if let Some(known) = self.intersections.get(&key) {
            return *known;
        }
        let intersection = self.get(a).intersection(self.get(b));
        let id = self.interner.intern(intersection);
        self.intersections.insert(key, id);
        id
    }
}

/// Everything that the rows of one family are computed from.
pub(super) struct Rows<'a> {
    compiled: &'a Compiled,
    family: Family,
    sources: &'a IdVec<SourceKindId, Kind>,
    /// The sender of each source kind.
    sender_of: IdVec<SourceKindId, SenderId>,
    senders: Interner<SenderId, Sender>,
    sender_groups: Interner<SenderGroupId, SenderGroup>,
    group_of: IdVec<SenderId, SenderGroupId>,
    /// Source kinds by the ingress peer lists that hold them.
    holders: FxHashMap<PeersId, Vec<(SourceKindId, Hit)>>,
    /// Egress terms by their peer list.
    egress_terms: FxHashMap<PeersId, Vec<(SenderId, PortExprId)>>,
    egress_signatures: &'a Signatures,
    pub(super) values: Values,
    /// Scratch: the ingress value of each source kind, while a row is made.
    admitted: IdVec<SourceKindId, ValueId>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        compiled: &'a Compiled,
        family: Family,
        sources: &'a IdVec<SourceKindId, Kind>,
        ingress_signatures: &Signatures,
        egress_signatures: &'a Signatures,
    ) -> Self {
        let mut senders: Interner<SenderId, Sender> = Interner::default();
        let sender_of =
            sources.values().map(|kind| senders.intern(Sender { role: kind.role, profile: kind.profile })).collect();
        let mut sender_groups = Interner::default();
        let mut group_of = IdVec::new();
        let mut egress_terms: FxHashMap<PeersId, Vec<(SenderId, PortExprId)>> = FxHashMap::default();
        for (id, sender) in senders.keys().iter() {
            let terms: &[Term] = match sender.profile {
                Some(profile) => &compiled.table.profiles(Direction::Egress).at(profile).terms,
                None => &[],
            };
            let mut anybody = Vec::new();
            for term in terms {
                if compiled.table.peers.at(term.peers).any {
                    anybody.push(term.ports);
                } else {
                    egress_terms.entry(term.peers).or_default().push((id, term.ports));
                }
            }
            anybody.sort_unstable();
            let isolated = is_isolated(compiled, sender.profile, Direction::Egress);
            group_of.push(sender_groups.intern(SenderGroup { role: sender.role, isolated, anybody }));
        }
        let mut holders: FxHashMap<PeersId, Vec<(SourceKindId, Hit)>> = FxHashMap::default();
        for (id, kind) in sources.iter() {
            let Some(signature) = kind.signature(family) else { continue };
            for (peers, hit) in ingress_signatures.holding(signature) {
                holders.entry(peers).or_default().push((id, hit));
            }
        }
        let values = Values::new();
        let nothing = values.nothing();
        let admitted = sources.ids().map(|_| nothing).collect();
        Self {
            compiled,
            family,
            sources,
            sender_of,
            senders,
            sender_groups,
            group_of,
            holders,
            egress_terms,
            egress_signatures,
            values,
            admitted,
        }
    }

    /// The row of each kind of destination that speaks the family, equal rows once.
    pub(super) fn rows(
        &mut self,
        destinations: &IdVec<DestinationKindId, Kind>,
    ) -> (IdVec<RowId, Row>, IdVec<DestinationKindId, Option<RowId>>) {
        let mut rows: Interner<RowId, Row> = Interner::default();
        let of_kind = destinations.values().map(|kind| {
            let signature = kind.signature(self.family)?;
            let holding = self.egress_signatures.holding(signature);
            Some(rows.intern(self.row(kind, &holding)))
        });
        let of_kind = of_kind.collect();
        (rows.into_keys(), of_kind)
    }

    fn row(&mut self, destination: &Kind, holding: &[(PeersId, Hit)]) -> Row {
        let table = destination.table;
        let isolated = is_isolated(self.compiled, destination.profile, Direction::Ingress);
        let (admits_all, touched) =
            if isolated { self.ingress(destination, table) } else { (self.values.everything(), Vec::new()) };
        let mut row = Row::default();

        // Senders by their peerless rules.
        let mut group_value: IdVec<SenderGroupId, ValueId> = IdVec::new();
        for id in self.sender_groups.keys().ids() {
            let value = self.group_value(id, table);
            group_value.push(value);
            let meets = self.sender_groups.keys().at(id).role.meets(destination.role);
            let value = self.values.intersection(value, admits_all);
            if meets && value != self.values.nothing() {
                row.groups.push((id, value));
            }
        }
        // Senders that have a rule naming this destination.
        let mut sender_value: FxHashMap<SenderId, ValueId> = FxHashMap::default();
        let mut named: Vec<SenderId> = Vec::new();
        for (peers, hit) in holding {
            let terms = self.egress_terms.get(peers).cloned().unwrap_or_default();
            for (sender, ports) in terms {
                let value = self.resolve(ports, table, *hit);
                let known = sender_value.get(&sender).copied();
                let before = known.unwrap_or_else(|| *group_value.at(*self.group_of.at(sender)));
                if known.is_none() {
                    named.push(sender);
                }
                let value = self.values.union(before, value);
                sender_value.insert(sender, value);
            }
        }
        named.sort_unstable();
        let mut reach: FxHashMap<SenderId, ValueId> = FxHashMap::default();
        for sender in named {
            let Some(value) = sender_value.get(&sender).copied() else { continue };
            let of_group = self.values.intersection(*group_value.at(*self.group_of.at(sender)), admits_all);
            let value = self.values.intersection(value, admits_all);
            reach.insert(sender, value);
            if value != of_group {
                row.senders.push((sender, value));
            }
        }
        // Sources that a rule of the destination names.
        for kind in touched {
            let admitted = std::mem::replace(self.admitted.at_mut(kind), ValueId::from_index(0));
            if !self.sources.at(kind).role.meets(destination.role) {
                continue;
            }
            let sender = *self.sender_of.at(kind);
            let group = *group_value.at(*self.group_of.at(sender));
            let egress = sender_value.get(&sender).copied().unwrap_or(group);
            let ingress = self.values.union(admitted, admits_all);
            let value = self.values.intersection(egress, ingress);
            let expected = match reach.get(&sender) {
                Some(value) => *value,
                None => self.values.intersection(group, admits_all),
            };
            if value != expected {
                row.kinds.push((kind, value));
            }
        }
        row
    }

    /// What an isolated destination admits from everybody, and which source kinds its rules name; their values are
    /// left in the scratch space.
    fn ingress(&mut self, destination: &Kind, table: Option<PortTableId>) -> (ValueId, Vec<SourceKindId>) {
        let profile = destination.profile.map(|id| self.compiled.table.profiles(Direction::Ingress).at(id));
        let terms: &[Term] = profile.map_or(&[], |profile| &profile.terms);
        let mut everybody = self.unasked();
        let mut touched = Vec::new();
        for term in terms {
            if self.compiled.table.peers.at(term.peers).any {
                let value = self.resolve(term.ports, table, Hit::Yes);
                everybody = self.values.union(everybody, value);
                continue;
            }
            let Some(holders) = self.holders.remove(&term.peers) else { continue };
            for (kind, hit) in &holders {
                let value = self.resolve(term.ports, table, *hit);
                let before = *self.admitted.at(*kind);
                if before == self.values.nothing() {
                    touched.push(*kind);
                }
                *self.admitted.at_mut(*kind) = self.values.union(before, value);
            }
            self.holders.insert(term.peers, holders);
        }
        touched.sort_unstable();
        touched.dedup();
        (everybody, touched)
    }

    fn group_value(&mut self, id: SenderGroupId, table: Option<PortTableId>) -> ValueId {
        let group = self.sender_groups.keys().at(id);
        if !group.isolated {
            return self.values.everything();
        }
        let anybody = group.anybody.clone();
        let mut value = self.unasked();
        for ports in anybody {
            let ports = self.resolve(ports, table, Hit::Yes);
            value = self.values.union(value, ports);
        }
        value
    }

    /// What an isolated end lets through without any rule: nothing, or unknown SCTP (NP-17).
    fn unasked(&mut self) -> ValueId {
        if self.compiled.sctp_policy {
            self.values.nothing()
        } else {
            self.values.interner.intern(PortValue::default().with_unknown_sctp())
        }
    }

    fn resolve(&mut self, ports: PortExprId, table: Option<PortTableId>, hit: Hit) -> ValueId {
        let expression = self.compiled.table.ports.at(ports);
        let table = table.filter(|_| !expression.names().is_empty());
        let key = (ports, table, hit);
        if let Some(known) = self.values.resolved.get(&key) {
            return *known;
        }
        let value = expression.resolve(table.map(|table| self.compiled.classes.tables.at(table))).under(hit);
        let value = if self.compiled.sctp_policy { value } else { value.with_unknown_sctp() };
        let id = self.values.interner.intern(value);
        self.values.resolved.insert(key, id);
        id
    }

    /// The source kinds of each sender that speak the family, and the senders of each group.
    pub(super) fn members(&self) -> (IdVec<SenderId, Vec<SourceKindId>>, IdVec<SenderGroupId, Vec<SenderId>>) {
        let mut kinds: IdVec<SenderId, Vec<SourceKindId>> = self.senders.keys().ids().map(|_| Vec::new()).collect();
        let speaking = self.sources.iter().filter(|(_, kind)| kind.signature(self.family).is_some());
        for (id, _) in speaking {
            kinds.at_mut(*self.sender_of.at(id)).push(id);
        }
        let mut senders: IdVec<SenderGroupId, Vec<SenderId>> =
            self.sender_groups.keys().ids().map(|_| Vec::new()).collect();
        for (id, group) in self.group_of.iter() {
            senders.at_mut(*group).push(id);
        }
        (kinds, senders)
    }

    /// The sender of a source kind.
    pub(super) fn sender_of(&self, kind: SourceKindId) -> SenderId {
        *self.sender_of.at(kind)
    }
}

fn is_isolated(compiled: &Compiled, profile: Option<ProfileId>, direction: Direction) -> bool {
    profile.is_some_and(|profile| !compiled.table.profiles(direction).at(profile).policies.is_empty())
}
