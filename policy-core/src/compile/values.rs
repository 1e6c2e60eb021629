//! Interned three-valued port sets with remembered operations.

use rustc_hash::FxHashMap;

use crate::compile::interner::Interner;
use crate::compile::ports::{PortTable, PortValue};
use crate::compile::table::Term;
use crate::compile::tiers::{self, Algebra, Effect};
use crate::compile::{Compiled, PortExprId, PortNameId, PortTableId, ValueId};
use crate::ids::{Id, IdVec};
use crate::model::{Doubts, Hit, Name, Protocol};

/// Port values by id.
#[derive(Debug)]
pub(super) struct Values {
    interner: Interner<ValueId, PortValue>,
    unions: FxHashMap<(ValueId, ValueId), ValueId>,
    intersections: FxHashMap<(ValueId, ValueId), ValueId>,
    under: FxHashMap<(ValueId, Hit), ValueId>,
    chosen: FxHashMap<(ValueId, ValueId, ValueId), ValueId>,
    agreed: FxHashMap<(ValueId, ValueId), ValueId>,
    applied: FxHashMap<(Effect, ValueId), ValueId>,
    /// The numbers of each port list.
    fixed: IdVec<PortExprId, ValueId>,
    /// The names of each port list.
    names: IdVec<PortExprId, Vec<PortNameId>>,
    /// What each table calls by which name.
    tables: IdVec<PortTableId, Vec<(PortNameId, ValueId)>>,
}

impl Values {
    pub(super) fn new(compiled: &Compiled) -> Self {
        let mut interner = Interner::default();
        interner.intern(PortValue::default());
        interner.intern(PortValue::all());
        interner.intern(PortValue::all().under(Hit::Maybe(Doubts::DNS)));
        let mut known: Interner<PortNameId, (Protocol, Name)> = Interner::default();
        let mut value =
            |value: PortValue| interner.intern(if compiled.sctp_policy { value } else { value.with_unknown_sctp() });
        let fixed = compiled.table.rules.ports.keys().values().map(|ports| value(ports.resolve(None))).collect();
        let mut ids = |names: &[(Protocol, Name)]| names.iter().map(|name| known.intern(name.clone())).collect();
        let names = compiled.table.rules.ports.keys().values().map(|ports| ids(ports.names())).collect();
        let mut entry = |(name, ports): &((Protocol, Name), PortValue)| Some((known.get(name)?, value(ports.clone())));
        let table = |table: &PortTable| table.entries().iter().filter_map(&mut entry).collect();
        let tables = compiled.classes.tables().values().map(table).collect();
        Self {
            interner,
            unions: FxHashMap::default(),
            intersections: FxHashMap::default(),
            under: FxHashMap::default(),
            chosen: FxHashMap::default(),
            agreed: FxHashMap::default(),
            applied: FxHashMap::default(),
            fixed,
            names,
            tables,
        }
    }

    pub(super) fn nothing(&self) -> ValueId {
        ValueId::from_index(0)
    }

    pub(super) fn everything(&self) -> ValueId {
        ValueId::from_index(1)
    }

    /// Every port, if DNS says so.
    pub(super) fn learned(&self) -> ValueId {
        ValueId::from_index(2)
    }

    /// What a tier does that does nothing.
    pub(super) fn untouched(&self) -> Effect {
        Effect { floor: self.nothing(), learned: self.learned(), ceiling: self.everything() }
    }

    /// What is left of `next` after a tier with this effect.
    pub(super) fn apply(&mut self, effect: Effect, next: ValueId) -> ValueId {
        if next == self.everything() {
            return effect.ceiling;
        }
        if next == self.nothing() {
            return effect.floor;
        }
        if effect == self.untouched() {
            return next;
        }
        if self.get(next).learned.is_empty() {
            return self.choose(&next, &effect.ceiling, &effect.floor);
        }
        if let Some(known) = self.applied.get(&(effect, next)) {
            return *known;
        }
        let parts = [effect.floor, effect.learned, effect.ceiling].map(|id| self.get(id));
        let value = tiers::compose(self.get(next), parts);
        let id = self.interner.intern(value);
        self.applied.insert((effect, next), id);
        id
    }

    pub(super) fn get(&self, id: ValueId) -> &PortValue {
        self.interner.keys().at(id)
    }

    pub(super) fn union(&mut self, a: ValueId, b: ValueId) -> ValueId {
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

    pub(super) fn intersection(&mut self, a: ValueId, b: ValueId) -> ValueId {
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

    /// All values, by id.
    pub(super) fn all(&self) -> &IdVec<ValueId, PortValue> {
        self.interner.keys()
    }

    /// What a port list admits at a destination with this table, if its peers match as `hit` says.
    pub(super) fn resolve(&mut self, ports: PortExprId, table: Option<PortTableId>, hit: Hit) -> ValueId {
        let mut value = *self.fixed.at(ports);
        if let Some(table) = table {
            for at in 0..self.names.at(ports).len() {
                let name = self.names.at(ports).get(at).copied();
                let named = self.tables.at(table).iter().find(|(of, _)| Some(*of) == name).map(|(_, value)| *value);
                value = named.map_or(value, |named| self.union(value, named));
            }
        }
        if hit == Hit::Yes {
            return value;
        }
        if let Some(known) = self.under.get(&(value, hit)) {
            return *known;
        }
        let under = self.get(value).under(hit);
        let id = self.interner.intern(under);
        self.under.insert((value, hit), id);
        id
    }

    /// The names in a port list.
    pub(super) fn names(&self, ports: PortExprId) -> &[PortNameId] {
        self.names.at(ports)
    }

    /// The names that a table knows.
    pub(super) fn names_of(&self, table: PortTableId) -> impl Iterator<Item = &PortNameId> + '_ {
        self.tables.at(table).iter().map(|(name, _)| name)
    }

    /// What NetworkPolicies with these terms let through whoever the other end is: the terms without peers, and
    /// perhaps SCTP.
    pub(super) fn for_anybody(&mut self, compiled: &Compiled, terms: &[Term], table: Option<PortTableId>) -> ValueId {
        let mut value = self.governed(compiled, self.nothing());
        for term in terms.iter().filter(|term| compiled.table.peers.at(term.peers).any) {
            let ports = self.resolve(term.ports, table, Hit::Yes);
            value = self.union(value, ports);
        }
        value
    }

    /// The value at an end on which policies act: without SCTP support they may do anything with it (NP-17).
    pub(super) fn governed(&mut self, compiled: &Compiled, id: ValueId) -> ValueId {
        if compiled.sctp_policy {
            return id;
        }
        let value = self.get(id).with_unknown_sctp();
        self.interner.intern(value)
    }
}

impl Algebra for Values {
    type Value = ValueId;

    fn nothing(&self) -> ValueId {
        Self::nothing(self)
    }

    fn everything(&self) -> ValueId {
        Self::everything(self)
    }

    fn choose(&mut self, matches: &ValueId, then: &ValueId, rest: &ValueId) -> ValueId {
        if *matches == Self::everything(self) {
            return *then;
        }
        if *matches == Self::nothing(self) || then == rest {
            return *rest;
        }
        let key = (*matches, *then, *rest);
        if let Some(known) = self.chosen.get(&key) {
            return *known;
        }
        let value = tiers::choose(self.get(*matches), self.get(*then), self.get(*rest));
        let id = self.interner.intern(value);
        self.chosen.insert(key, id);
        id
    }

    fn agree(&mut self, one: &ValueId, other: &ValueId) -> ValueId {
        if one == other {
            return *one;
        }
        let key = (*one.min(other), *one.max(other));
        if let Some(known) = self.agreed.get(&key) {
            return *known;
        }
        let value = tiers::agree(self.get(*one), self.get(*other));
        let id = self.interner.intern(value);
        self.agreed.insert(key, id);
        id
    }
}
