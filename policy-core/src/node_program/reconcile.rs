//! From what is installed to what is wanted, as writes to tables (invariant: no intermediate state decides a packet as
//! neither the old nor the new state does).
//!
//! Everything is there twice. Packets use one slot; the other is brought up to date, and then packets are switched to it
//! at once. Only a change that is a single write is made where packets look.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::node_program::{
    Cell, Decision, Endpoint, Generation, Identity, IdentityId, NodeProgram, Packet, PortClasses, RowId,
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
    a: Option<NodeProgram>,
    b: Option<NodeProgram>,
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
    /// [`Generation::columns`].
    pub columns: usize,
    /// The number of port classes.
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
            columns: generation.columns,
            classes: generation.ports.len(),
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
        Self { current: Some(current), a: None, b: None }
    }

    /// The slot that packets use; `None` before anything is installed.
    #[must_use]
    pub fn current(&self) -> Option<Slot> {
        self.current
    }

    /// What is in a slot; `None` when that is not known, or nothing.
    #[must_use]
    pub fn program(&self, slot: Slot) -> Option<&NodeProgram> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
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

    /// The same where packets look: possible for a single write, or none.
    #[must_use]
    pub fn in_place(&self, wanted: &NodeProgram) -> Option<Vec<Step>> {
        let slot = self.current?;
        let now = self.program(slot)?;
        let ops = differences(Some(now), wanted);
        let possible = ops.len() <= 1 && now.generation.reasons == wanted.generation.reasons;
        possible.then(|| ops.into_iter().map(|op| Step { slot, op }).collect())
    }

    /// The same where packets do not look, and the switch.
    #[must_use]
    pub fn by_switch(&self, wanted: &NodeProgram) -> Vec<Step> {
        let slot = self.idle();
        let ops = differences(self.program(slot), wanted).into_iter().chain([MapOp::Switch]);
        ops.map(|op| Step { slot, op }).collect()
    }

    /// The slot that packets do not use.
    #[must_use]
    pub fn idle(&self) -> Slot {
        self.current.map_or(Slot::A, Slot::other)
    }

    /// Takes note that a slot has lost what it held: its tables were made anew.
    pub fn forget(&mut self, slot: Slot) {
        match slot {
            Slot::A => self.a = None,
            Slot::B => self.b = None,
        }
    }

    /// Takes note of a write that was carried out. The reasons come with `wanted`, of which the writes are.
    pub fn carry_out(&mut self, step: &Step, wanted: &NodeProgram) {
        let Step { slot, op } = step;
        let empty = || NodeProgram {
            ends: BTreeMap::new(),
            generation: Generation {
                identities: crate::ids::IdVec::new(),
                blocks: Vec::new(),
                rows: Vec::new(),
                cells: Vec::new(),
                ..wanted.generation.clone()
            },
            node: wanted.node.clone(),
        };
        let target = match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        };
        let program = target.get_or_insert_with(empty);
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
                generation.columns = shape.columns;
                generation.own_node = shape.own_node;
                generation.asks_own_node = shape.asks_own_node;
                generation.asks_itself = shape.asks_itself;
            }
            MapOp::Switch => {
                generation.reasons = wanted.generation.reasons.clone();
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

/// The writes that make `wanted` of what a slot holds. What lies beyond the end of a list is not taken away: nothing
/// leads there.
fn differences(held: Option<&NodeProgram>, wanted: &NodeProgram) -> Vec<MapOp> {
    let mut ops = Vec::new();
    let nobody = BTreeMap::new();
    let ends = held.map_or(&nobody, |held| &held.ends);
    ops.extend(ends.keys().filter(|address| !wanted.ends.contains_key(address)).map(|ip| MapOp::RemoveEnd(*ip)));
    let put_ends = wanted.ends.iter().filter(|(ip, end)| ends.get(ip) != Some(end));
    ops.extend(put_ends.map(|(ip, end)| MapOp::PutEnd(*ip, *end)));

    let (new, old) = (&wanted.generation, held.map(|held| &held.generation));
    let blocks: BTreeMap<IpNet, IdentityId> = old.map(|old| old.blocks.iter().copied().collect()).unwrap_or_default();
    let kept: BTreeSet<IpNet> = new.blocks.iter().map(|(net, _)| *net).collect();
    ops.extend(blocks.keys().filter(|net| !kept.contains(net)).map(|net| MapOp::RemoveBlock(*net)));
    let put_blocks = new.blocks.iter().filter(|(net, identity)| blocks.get(net) != Some(identity));
    ops.extend(put_blocks.map(|(net, identity)| MapOp::PutBlock(*net, *identity)));

    let identities = new.identities.iter();
    let put_identities =
        identities.filter(|(id, identity)| old.and_then(|old| old.identities.get(*id)) != Some(identity));
    ops.extend(put_identities.map(|(id, identity)| MapOp::PutIdentity(id, *identity)));
    let rows = changed(old.map(|old| old.rows.as_slice()), &new.rows);
    ops.extend(rows.map(|(at, row)| MapOp::PutRow(at, row)));
    let cells = changed(old.map(|old| old.cells.as_slice()), &new.cells);
    ops.extend(cells.map(|(at, cell)| MapOp::PutCell(at, cell)));
    if old.is_none_or(|old| old.ports != new.ports) {
        ops.push(MapOp::PutPorts(new.ports.clone()));
    }
    if old.is_none_or(|old| Shape::of(old) != Shape::of(new)) {
        ops.push(MapOp::PutShape(Shape::of(new)));
    }
    ops
}

/// The positions at which a list is to have something else.
fn changed<'a, T: Copy + PartialEq>(old: Option<&'a [T]>, new: &'a [T]) -> impl Iterator<Item = (usize, T)> + 'a {
    let old = old.unwrap_or_default();
    new.iter().enumerate().filter(|(at, item)| old.get(*at) != Some(item)).map(|(at, item)| (at, *item))
}
