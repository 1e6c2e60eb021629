//! Interned three-valued port sets with remembered operations.

use rustc_hash::FxHashMap;

use crate::compile::interner::Interner;
use crate::compile::ports::PortValue;
use crate::compile::{Compiled, PortExprId, PortTableId, ValueId};
use crate::ids::Id;
use crate::model::Hit;

/// Port values by id.
#[derive(Debug)]
pub(super) struct Values {
    interner: Interner<ValueId, PortValue>,
    unions: FxHashMap<(ValueId, ValueId), ValueId>,
    intersections: FxHashMap<(ValueId, ValueId), ValueId>,
    resolved: FxHashMap<(PortExprId, Option<PortTableId>, Hit), ValueId>,
    counts: FxHashMap<ValueId, u128>,
}

impl Values {
    pub(super) fn new() -> Self {
        let mut interner = Interner::default();
        interner.intern(PortValue::default());
        interner.intern(PortValue::all());
        Self {
            interner,
            unions: FxHashMap::default(),
            intersections: FxHashMap::default(),
            resolved: FxHashMap::default(),
            counts: FxHashMap::default(),
        }
    }

    pub(super) fn nothing(&self) -> ValueId {
        ValueId::from_index(0)
    }

    pub(super) fn everything(&self) -> ValueId {
        ValueId::from_index(1)
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

    /// The number of ports that are certainly in a value.
    pub(super) fn count(&mut self, id: ValueId) -> u128 {
        if let Some(known) = self.counts.get(&id) {
            return *known;
        }
        let count = u128::from(self.get(id).certain.count());
        self.counts.insert(id, count);
        count
    }

    /// What a port list admits at a destination with this table, if its peers match as `hit` says.
    pub(super) fn resolve(
        &mut self,
        compiled: &Compiled,
        ports: PortExprId,
        table: Option<PortTableId>,
        hit: Hit,
    ) -> ValueId {
        let expression = compiled.table.ports.at(ports);
        let table = table.filter(|_| !expression.names().is_empty());
        let key = (ports, table, hit);
        if let Some(known) = self.resolved.get(&key) {
            return *known;
        }
        let value = expression.resolve(table.map(|table| compiled.classes.tables.at(table))).under(hit);
        let id = self.interner.intern(if compiled.sctp_policy { value } else { value.with_unknown_sctp() });
        self.resolved.insert(key, id);
        id
    }

    /// What an isolated end lets through without any rule: nothing, or unknown SCTP (NP-17).
    pub(super) fn unasked(&mut self, compiled: &Compiled) -> ValueId {
        if compiled.sctp_policy {
            self.nothing()
        } else {
            self.interner.intern(PortValue::default().with_unknown_sctp())
        }
    }
}
