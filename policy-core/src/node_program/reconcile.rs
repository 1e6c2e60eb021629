//! From what is installed to what is wanted, as writes to tables (invariant: no intermediate state decides a packet as
//! neither the old nor the new state does).
//!
//! Everything is there twice. Packets use one slot; the other is brought up to date, and then packets are switched to it
//! at once. Only a change that is a single write is made where packets look.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::ids::Id as _;
use crate::node_program::{
    Cell, Change, Decision, Endpoint, Ends, Generation, Identity, IdentityId, NodeProgram, Packet, PortClasses, RowId,
};

/// One of the two places for tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What the tables hold, slot by slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Installed {
    /// Nothing before the first switch.
    current: Option<Slot>,
    a: Held,
    b: Held,
}

/// What is in one slot.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Held {
    /// `None` when that is not known, or nothing.
    program: Option<NodeProgram>,
    /// In what it may differ from what is wanted.
    behind: Change,
}

impl Default for Held {
    fn default() -> Self {
        Self { program: None, behind: Change::Everything }
    }
}

/// One write to the tables of a slot, or the switch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MapOp {
    /// An address stands for this endpoint.
    PutEnd(IpAddr, Endpoint),
    /// An address stands for nobody.
    RemoveEnd(IpAddr),
    /// A range of addresses has this identity.
    PutBlock(IpNet, IdentityId),
    /// A range is no more.
    RemoveBlock(IpNet),
    /// What policies know of an identity.
    PutIdentity(IdentityId, Identity),
    /// The row at a position of [`Generation::rows`].
    PutRow(usize, RowId),
    /// The cell at a position of [`Generation::cells`].
    PutCell(usize, Cell),
    /// How ports fall into classes.
    PutPorts(PortClasses),
    /// The rest.
    PutShape(Shape),
    /// From now on packets use this slot.
    Switch,
}

/// The numbers of a generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// [`Generation::column_room`].
    pub columns: usize,
    /// [`Generation::class_room`].
    pub classes: usize,
    /// [`Generation::own_node`].
    pub own_node: [IdentityId; 2],
    /// [`Generation::asks_own_node`].
    pub asks_own_node: bool,
    /// [`Generation::asks_itself`].
    pub asks_itself: bool,
}

impl Shape {
    /// Those of a generation.
    #[must_use]
    pub fn of(generation: &Generation) -> Self {
        Self {
            columns: generation.column_room,
            classes: generation.class_room,
            own_node: generation.own_node,
            asks_own_node: generation.asks_own_node,
            asks_itself: generation.asks_itself,
        }
    }
}

/// A write and where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The slot.
    pub slot: Slot,
    /// The write.
    pub op: MapOp,
}

impl Installed {
    /// Tables that somebody else has written: packets use this slot, and what is in it is not known.
    #[must_use]
    pub fn adopted(current: Slot) -> Self {
        Self { current: Some(current), ..Self::default() }
    }

    /// The slot that packets use; `None` before anything is installed.
    #[must_use]
    pub fn current(&self) -> Option<Slot> {
        self.current
    }

    /// What is in a slot; `None` when that is not known, or nothing.
    #[must_use]
    pub fn program(&self, slot: Slot) -> Option<&NodeProgram> {
        self.held(slot).program.as_ref()
    }

    fn held(&self, slot: Slot) -> &Held {
        match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        }
    }

    fn held_mut(&mut self, slot: Slot) -> &mut Held {
        match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        }
    }

    /// Takes note of what has changed in what is wanted. Only that is compared until the slot is [settled](Self::settle).
    pub fn note(&mut self, change: &Change) {
        for slot in Slot::ALL {
            self.held_mut(slot).behind.then(change);
        }
    }

    /// Takes note that all writes to a slot that led to `wanted` were carried out.
    pub fn settle(&mut self, slot: Slot, wanted: &NodeProgram) {
        let held = self.held_mut(slot);
        if let Some(program) = &mut held.program {
            program.generation.name(&wanted.generation);
            held.behind = Change::default();
        }
    }

    /// What becomes of a packet now; `None` when what is installed is not known, or nothing.
    #[must_use]
    pub fn judge(&self, packet: &Packet, unknown_pods_pass: bool) -> Option<Decision> {
        Some(self.program(self.current?)?.judge(packet, unknown_pods_pass))
    }

    /// The writes that lead to `wanted`. Before the last of them packets are judged as now, after it as `wanted` says.
    #[must_use]
    pub fn reconcile(&self, wanted: &NodeProgram) -> Vec<Step> {
        self.in_place(wanted).unwrap_or_else(|| self.by_switch(wanted))
    }

    /// The same where packets look: possible for a single write, and where all others are to places to which nothing leads
    /// before one address of a family does.
    #[must_use]
    pub fn in_place(&self, wanted: &NodeProgram) -> Option<Vec<Step>> {
        let slot = self.current?;
        let held = self.held(slot);
        let now = &held.program.as_ref()?.generation;
        let ops = differences(held, wanted);
        let mut ends = [0, 0];
        let mut is_harmless = |op: &MapOp| match op {
            MapOp::PutCell(at, _) => *at >= now.cells.len(),
            MapOp::PutRow(at, _) => *at >= now.rows.len() || at.checked_rem(now.column_room) >= Some(now.columns),
            MapOp::PutIdentity(id, _) => id.index() >= now.identities.len(),
            MapOp::PutEnd(ip, _) | MapOp::RemoveEnd(ip) => {
                let [v4, v6] = &mut ends;
                let count = if ip.is_ipv4() { v4 } else { v6 };
                *count += 1;
                *count == 1
            }
            MapOp::PutBlock(..) | MapOp::RemoveBlock(_) | MapOp::PutPorts(_) | MapOp::PutShape(_) | MapOp::Switch => {
                false
            }
        };
        let reasons = now.reasons.values().zip(wanted.generation.reasons.values());
        let possible = now.reasons.len() <= wanted.generation.reasons.len()
            && (ops.len() <= 1 || ops.iter().all(&mut is_harmless))
            && reasons.into_iter().all(|(held, wanted)| held == wanted);
        possible.then(|| ops.into_iter().map(|op| Step { slot, op }).collect())
    }

    /// The same where packets do not look, and the switch.
    #[must_use]
    pub fn by_switch(&self, wanted: &NodeProgram) -> Vec<Step> {
        let slot = self.idle();
        let ops = differences(self.held(slot), wanted).into_iter().chain([MapOp::Switch]);
        ops.map(|op| Step { slot, op }).collect()
    }

    /// The slot that packets do not use.
    #[must_use]
    pub fn idle(&self) -> Slot {
        self.current.map_or(Slot::A, Slot::other)
    }

    /// Takes note that a slot has lost what it held: its tables were made anew.
    pub fn forget(&mut self, slot: Slot) {
        *self.held_mut(slot) = Held::default();
    }

    /// Takes note of a write that was carried out. The reasons come with `wanted`, of which the writes are.
    pub fn carry_out(&mut self, step: &Step, wanted: &NodeProgram) {
        let Step { slot, op } = step;
        let empty = || NodeProgram {
            ends: Ends::default(),
            generation: Generation {
                identities: crate::ids::IdVec::new(),
                blocks: Vec::new(),
                rows: Vec::new(),
                cells: Vec::new(),
                ..wanted.generation.clone()
            },
            node: wanted.node.clone(),
        };
        let program = self.held_mut(*slot).program.get_or_insert_with(empty);
        let generation = &mut program.generation;
        match op {
            MapOp::PutEnd(address, end) => {
                program.ends.insert(*address, *end);
            }
            MapOp::RemoveEnd(address) => {
                program.ends.remove(address);
            }
            MapOp::PutBlock(net, identity) => match generation.blocks.binary_search_by_key(net, |(net, _)| *net) {
                Ok(at) => generation.blocks.splice(at..=at, [(*net, *identity)]).for_each(drop),
                Err(at) => generation.blocks.insert(at, (*net, *identity)),
            },
            MapOp::RemoveBlock(net) => generation.blocks.retain(|(known, _)| known != net),
            MapOp::PutIdentity(id, identity) => {
                match generation.identities.get_mut(*id) {
                    Some(known) => *known = *identity,
                    // Writes come in order: a list never has gaps.
                    None => drop(generation.identities.push(*identity)),
                }
            }
            MapOp::PutRow(at, row) => put(&mut generation.rows, *at, *row),
            MapOp::PutCell(at, cell) => put(&mut generation.cells, *at, *cell),
            MapOp::PutPorts(ports) => generation.ports = ports.clone(),
            MapOp::PutShape(shape) => {
                generation.column_room = shape.columns;
                generation.class_room = shape.classes;
                generation.own_node = shape.own_node;
                generation.asks_own_node = shape.asks_own_node;
                generation.asks_itself = shape.asks_itself;
            }
            MapOp::Switch => {
                generation.name(&wanted.generation);
                self.current = Some(*slot);
            }
        }
    }
}

fn put<T: Copy>(list: &mut Vec<T>, at: usize, item: T) {
    match list.get_mut(at) {
        Some(known) => *known = item,
        // Writes come in order: a list never has gaps.
        None => list.push(item),
    }
}

/// The writes that make `wanted` of what a slot holds: what is led to before what leads there. What lies beyond the end of
/// a list is not taken away: nothing leads there.
fn differences(held: &Held, wanted: &NodeProgram) -> Vec<MapOp> {
    let mut ops = Vec::new();
    match (&held.program, &held.behind) {
        (Some(program), Change::Only { generation: false, .. }) if program.generation.columns > 0 => {}
        (program, _) => in_generation(program.as_ref().map(|held| &held.generation), &wanted.generation, &mut ops),
    }
    let nobody = Ends::default();
    let ends = held.program.as_ref().map_or(&nobody, |held| &held.ends);
    let mut compare = |ip: &IpAddr| match (ends.get(ip), wanted.ends.get(ip)) {
        (held, Some(end)) if held != Some(end) => ops.push(MapOp::PutEnd(*ip, *end)),
        (Some(_), None) => ops.push(MapOp::RemoveEnd(*ip)),
        _ => {}
    };
    match &held.behind {
        Change::Only { ends, .. } if held.program.is_some() => ends.iter().for_each(&mut compare),
        _ => {
            ends.keys().filter(|ip| !wanted.ends.contains_key(ip)).for_each(&mut compare);
            wanted.ends.keys().for_each(compare);
        }
    }
    ops
}

fn in_generation(old: Option<&Generation>, new: &Generation, ops: &mut Vec<MapOp>) {
    let cells = changed(old.map(|old| old.cells.as_slice()), &new.cells);
    ops.extend(cells.map(|(at, cell)| MapOp::PutCell(at, cell)));
    let rows = changed(old.map(|old| old.rows.as_slice()), &new.rows);
    ops.extend(rows.map(|(at, row)| MapOp::PutRow(at, row)));
    if old.is_none_or(|old| old.ports != new.ports) {
        ops.push(MapOp::PutPorts(new.ports.clone()));
    }
    if old.is_none_or(|old| Shape::of(old) != Shape::of(new)) {
        ops.push(MapOp::PutShape(Shape::of(new)));
    }
    let identities = new.identities.iter();
    let put_identities =
        identities.filter(|(id, identity)| old.and_then(|old| old.identities.get(*id)) != Some(identity));
    ops.extend(put_identities.map(|(id, identity)| MapOp::PutIdentity(id, *identity)));

    if old.is_some_and(|old| old.blocks == new.blocks) {
        return;
    }
    let blocks: BTreeMap<IpNet, IdentityId> = old.map(|old| old.blocks.iter().copied().collect()).unwrap_or_default();
    let kept: BTreeSet<IpNet> = new.blocks.iter().map(|(net, _)| *net).collect();
    ops.extend(blocks.keys().filter(|net| !kept.contains(net)).map(|net| MapOp::RemoveBlock(*net)));
    let put_blocks = new.blocks.iter().filter(|(net, identity)| blocks.get(net) != Some(identity));
    ops.extend(put_blocks.map(|(net, identity)| MapOp::PutBlock(*net, *identity)));
}

impl Generation {
    /// Takes over what no write says: the reasons, and how many columns are in use.
    fn name(&mut self, wanted: &Self) {
        self.columns = wanted.columns;
        let known = self.reasons.values().zip(wanted.reasons.values()).all(|(held, wanted)| held == wanted);
        if !known || self.reasons.len() > wanted.reasons.len() {
            self.reasons = wanted.reasons.clone();
        }
        for reason in wanted.reasons.values().skip(self.reasons.len()) {
            self.reasons.push(reason.clone());
        }
    }
}

/// The positions at which a list is to have something else.
fn changed<'a, T: Copy + PartialEq>(old: Option<&'a [T]>, new: &'a [T]) -> impl Iterator<Item = (usize, T)> + 'a {
    let old = old.unwrap_or_default();
    new.iter().enumerate().filter(|(at, item)| old.get(*at) != Some(item)).map(|(at, item)| (at, *item))
}
