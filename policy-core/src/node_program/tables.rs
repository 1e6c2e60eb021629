//! Rows and columns: what each subject says to ends that it can tell apart.
//!
//! Subjects, signatures, columns, rows and reasons are interned and keep their ids while more of them come. A column that
//! new subjects tell apart is split: one part keeps the id.

use rustc_hash::FxHashMap;

use crate::analysis::Compilation;
use crate::compile::ClassId;
use crate::compile::ends::{EndKey, Heard, Hearing, Listed, Signature, Subject};
use crate::compile::interner::Interner;
use crate::ids::{Id, IdVec};
use crate::model::{Direction, Outcome, RuleRef};
use crate::node_program::{
    Cell, ColumnId, IdentityId, PortClasses, Reason, ReasonId, RowId, Side, SignatureId, SubjectId,
};

/// What is known of the ends of one signature.
#[derive(Debug)]
struct Alike {
    signature: Signature,
    /// One of them.
    end: EndKey,
    column: ColumnId,
}

/// The tables of one node.
#[derive(Debug)]
pub(super) struct Tables {
    /// The first is the empty one.
    subjects: Interner<SubjectId, Option<Subject>>,
    /// How many subjects have their rows.
    settled: usize,
    pub(super) ports: PortClasses,
    rows: Interner<RowId, Vec<Cell>>,
    row_of: FxHashMap<(SubjectId, Heard), RowId>,
    /// The row of each subject.
    columns: IdVec<ColumnId, Vec<RowId>>,
    column_of: FxHashMap<Vec<RowId>, ColumnId>,
    alike: IdVec<SignatureId, Alike>,
    signature_of: FxHashMap<Signature, SignatureId>,
    hearing: Hearing,
    /// Which of the port classes each list of ports has.
    listed: Listed,
    reasons: Interner<ReasonId, Reason>,
}

/// Nothing was changed: names of ports begin to tell ends apart, and all has to be built anew.
#[derive(Debug)]
pub(super) struct Anew;

impl Tables {
    pub(super) fn new(of: Compilation<'_>) -> Self {
        let mut subjects = Interner::default();
        subjects.intern(None);
        Self {
            subjects,
            settled: 0,
            ports: PortClasses::default(),
            rows: Interner::default(),
            row_of: FxHashMap::default(),
            columns: IdVec::new(),
            column_of: FxHashMap::default(),
            alike: IdVec::new(),
            signature_of: FxHashMap::default(),
            hearing: of.compiled.hearing(std::iter::empty()),
            listed: Listed::default(),
            reasons: Interner::default(),
        }
    }

    pub(super) fn reasons(&self) -> &IdVec<ReasonId, Reason> {
        self.reasons.keys()
    }

    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The policies of a class. New subjects wait for [`settle`](Self::settle).
    pub(super) fn side(&mut self, of: Compilation<'_>, class: ClassId, direction: Direction) -> Side {
        let mut subject = |exempt| self.subjects.intern(of.compiled.subject(class, direction, exempt));
        Side { plain: subject(false), exempt: subject(true) }
    }

    /// Gives new subjects their rows. `ends` are the ends that there are, with their signatures, which may become others.
    pub(super) fn settle(
        &mut self,
        of: Compilation<'_>,
        ends: &mut IdVec<IdentityId, (EndKey, SignatureId)>,
    ) -> Result<(), Anew> {
        let is_first = self.settled == 0;
        if self.settled == self.subjects.keys().len() {
            return Ok(());
        }
        let new: Vec<(SubjectId, Option<Subject>)> =
            self.subjects.keys().iter().skip(self.settled).map(|(id, subject)| (id, *subject)).collect();
        let speaking = || new.iter().filter_map(|(_, subject)| subject.as_ref());
        if is_first {
            self.hearing = of.compiled.hearing(speaking());
        } else {
            let lists = self.hearing.extend(of.compiled, speaking()).ok_or(Anew)?;
            self.hear_more(of, &lists, ends);
        }
        let mut sets: Vec<_> = speaking().flat_map(|subject| of.compiled.port_sets(subject)).collect();
        sets.sort_unstable();
        sets.dedup();
        if is_first {
            self.ports = PortClasses::new(&sets);
            let open = Cell { allow: true, reason: self.reasons.intern(Reason::Open) };
            self.rows.intern(vec![open; self.ports.len()]);
        } else {
            self.divide_ports(&sets);
        }
        self.add_rows(of, &new);
        self.settled = self.subjects.keys().len();
        Ok(())
    }

    /// Ends that hear a new list get signatures of their own.
    fn hear_more(
        &mut self,
        of: Compilation<'_>,
        lists: &std::ops::Range<u32>,
        ends: &mut IdVec<IdentityId, (EndKey, SignatureId)>,
    ) {
        if lists.is_empty() {
            return;
        }
        let all: Vec<IdentityId> = ends.ids().collect();
        for id in all {
            let (end, known) = ends.at_mut(id);
            let (by_class, by_address) = self.hearing.newly(of.compiled, *end, lists);
            if by_class.is_empty() && by_address.is_empty() {
                // The one that stood for the others may have left them.
                self.alike.at_mut(*known).end = *end;
                continue;
            }
            let Alike { signature, column, .. } = self.alike.at(*known);
            let (mut classes, mut addresses, names) = signature.clone();
            classes.extend(by_class);
            addresses.extend(by_address);
            let signature = (classes, addresses, names);
            let column = *column;
            *known = match self.signature_of.get(&signature) {
                Some(known) => *known,
                None => {
                    let id = self.alike.push(Alike { signature: signature.clone(), end: *end, column });
                    self.signature_of.insert(signature, id);
                    id
                }
            };
        }
    }

    /// Makes more classes of ports. What was said of a class is said of its parts.
    fn divide_ports(&mut self, sets: &[crate::model::PortSet]) {
        let parts = self.ports.divide(sets);
        if parts.is_empty() {
            return;
        }
        self.listed.clear();
        let mut rows = Interner::default();
        for cells in self.rows.keys().values() {
            let mut cells = cells.clone();
            for whole in &parts {
                // One after the other: a part may have parts itself.
                cells.extend(cells.get(whole.index()).copied());
            }
            rows.intern(cells);
        }
        self.rows = rows;
    }

    /// Rows of new subjects, column by column. Where they tell apart what was one column, the first keeps it.
    fn add_rows(&mut self, of: Compilation<'_>, new: &[(SubjectId, Option<Subject>)]) {
        self.column_of.clear();
        let known = self.settled;
        let signatures: Vec<SignatureId> = self.alike.ids().collect();
        for id in signatures {
            let Alike { end, column, .. } = *self.alike.at(id);
            let rows: Vec<RowId> =
                new.iter().map(|(id, subject)| self.row_of(of, *id, subject.as_ref(), end)).collect();
            let held = self.columns.at_mut(column);
            if held.len() == known {
                held.extend(rows);
                self.column_of.insert(held.clone(), column);
                continue;
            }
            let mut wanted: Vec<RowId> = held.iter().copied().take(known).collect();
            wanted.extend(rows);
            let column = self.intern_column(wanted);
            self.alike.at_mut(id).column = column;
        }
        // Nobody is in these any more.
        let all: Vec<ColumnId> = self.columns.ids().collect();
        for id in all {
            let held = self.columns.at_mut(id);
            held.resize(self.subjects.keys().len(), RowId::FIRST);
        }
    }

    fn intern_column(&mut self, rows: Vec<RowId>) -> ColumnId {
        if let Some(known) = self.column_of.get(&rows) {
            return *known;
        }
        let id = self.columns.push(rows.clone());
        self.column_of.insert(rows, id);
        id
    }

    /// The signature of an end, when all subjects are settled.
    pub(super) fn signature(&mut self, of: Compilation<'_>, end: EndKey) -> SignatureId {
        let signature = self.hearing.signature(of.compiled, end);
        if let Some(known) = self.signature_of.get(&signature) {
            return *known;
        }
        let subjects: Vec<(SubjectId, Option<Subject>)> =
            self.subjects.keys().iter().map(|(id, subject)| (id, *subject)).collect();
        let rows = subjects.iter().map(|(id, subject)| self.row_of(of, *id, subject.as_ref(), end)).collect();
        let column = self.intern_column(rows);
        let id = self.alike.push(Alike { signature: signature.clone(), end, column });
        self.signature_of.insert(signature, id);
        id
    }

    pub(super) fn column(&self, signature: SignatureId) -> ColumnId {
        self.alike.at(signature).column
    }

    fn row_of(&mut self, of: Compilation<'_>, id: SubjectId, subject: Option<&Subject>, end: EndKey) -> RowId {
        let Some(subject) = subject else { return RowId::FIRST };
        let Compilation { cluster, compiled, .. } = of;
        let heard = compiled.heard(subject, end);
        if let Some(known) = self.row_of.get(&(id, heard.clone())) {
            return *known;
        }
        let samples = self.ports.samples();
        let admitting = compiled.admitting(subject, &heard, &samples, &mut self.listed);
        // Where one rule admits, or none does, one answer is as good as the other.
        let mut by_rule: FxHashMap<Option<RuleRef>, Cell> = FxHashMap::default();
        let mut cells: Vec<Cell> = Vec::with_capacity(samples.len());
        for (at, port) in samples.iter().enumerate() {
            let mut ask = || {
                let answer = compiled.answer(subject, &heard, *port);
                let reason = self.reasons.intern(Reason::of(cluster, &answer));
                Cell { allow: answer.outcome == Outcome::Allowed, reason }
            };
            cells.push(match admitting.as_ref().and_then(|admitting| admitting.get(at)) {
                Some(rule) => *by_rule.entry(*rule).or_insert_with(ask),
                None => ask(),
            });
        }
        let row = self.rows.intern(cells);
        self.row_of.insert((id, heard), row);
        row
    }

    /// The row of each subject and column: subject after subject, with room for so many columns each.
    pub(super) fn lay_rows(&self, room: usize) -> Vec<RowId> {
        let subjects = self.subjects.keys().len();
        let mut rows = vec![RowId::FIRST; subjects * room];
        for (column, held) in self.columns.iter() {
            for (subject, row) in held.iter().enumerate() {
                if let Some(place) = rows.get_mut(subject * room + column.index()) {
                    *place = *row;
                }
            }
        }
        rows
    }

    /// The cells of each row, with room for so many classes of ports each.
    pub(super) fn lay_cells(&self, room: usize) -> Vec<Cell> {
        let filler = Cell { allow: false, reason: ReasonId::FIRST };
        let mut cells = Vec::with_capacity(self.rows.keys().len() * room);
        for row in self.rows.keys().values() {
            let end = cells.len() + room;
            cells.extend(row.iter().copied());
            cells.resize(end, filler);
        }
        cells
    }
}
