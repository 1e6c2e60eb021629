//! Writes of a [`NodeProgram`] as bytes for the kernel's tables (`bpf/abi.h`).

use std::net::IpAddr;

use ipnet::IpNet;
use policy_core::ids::Id as _;
use policy_core::model::{Family, Protocol};
use policy_core::node_program::{Cell, Identity, MapOp, NodeProgram, PortClasses, Shape, Slot, Transport};

use crate::datapath::abi;

/// The tables of which each slot has one of its own: they grow.
pub(crate) const GROWING: [&str; 4] = ["ends4", "ends6", "blocks4", "blocks6"];

/// How much each slot may hold in the tables that both share. They are made once, with these sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Identities.
    pub identities: usize,
    /// Pairs of a subject and a column.
    pub rows: usize,
    /// Cells of all rows.
    pub cells: usize,
    /// Reasons.
    pub reasons: usize,
}

impl Default for Capacity {
    /// Room for a node of a middling cluster: 9 MiB of the kernel's memory, and 3 MiB for each processor.
    fn default() -> Self {
        Self { identities: 1 << 15, rows: 1 << 18, cells: 1 << 18, reasons: 1 << 16 }
    }
}

impl Capacity {
    /// Room for a program to grow to twice its size, and never less than the default.
    #[must_use]
    pub fn of(program: &NodeProgram) -> Self {
        let (generation, least) = (&program.generation, Self::default());
        let room = |needed: usize, least: usize| (2 * needed).next_power_of_two().max(least);
        Self {
            identities: room(generation.identities.len(), least.identities),
            rows: room(generation.rows.len(), least.rows),
            cells: room(generation.cells.len(), least.cells),
            reasons: room(generation.reasons.len(), least.reasons),
        }
    }

    /// Where a slot begins in each table: identities, rows, cells, reasons.
    fn begins(self, slot: Slot) -> [u32; 4] {
        let Self { identities, rows, cells, reasons } = self;
        [identities, rows, cells, reasons].map(|size| slot_number(slot) * word(size))
    }

    /// The position of a slot's first reason.
    pub(crate) fn first_reason(self, slot: Slot) -> u32 {
        let [.., reasons] = self.begins(slot);
        reasons
    }
}

/// One write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    pub(crate) table: &'static str,
    pub(crate) key: Vec<u8>,
    /// `None` takes the element away.
    pub(crate) value: Option<Vec<u8>>,
}

/// The position of a slot in the outer maps.
pub(crate) fn slot_number(slot: Slot) -> u32 {
    match slot {
        Slot::A => 0,
        Slot::B => 1,
    }
}

/// A number that fits: what does not was refused by [`sizes`].
fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn table_of(family: Family, v4: &'static str, v6: &'static str) -> &'static str {
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

/// What a write to a slot's tables is in bytes; the switch is none.
pub(crate) fn encode(op: &MapOp, slot: Slot, capacity: Capacity) -> Vec<Write> {
    let [identities, rows, cells, _] = capacity.begins(slot);
    let ends = |ip: &IpAddr| table_of(Family::of(*ip), "ends4", "ends6");
    let blocks = |net: &IpNet| table_of(Family::of(net.network()), "blocks4", "blocks6");
    let one = |table, key: Vec<u8>, value: Option<Vec<u8>>| vec![Write { table, key, value }];
    let at = |begin: u32, position: usize| abi::words([begin + word(position)]);
    match op {
        MapOp::PutEnd(ip, end) => {
            let value = abi::words([word(end.identity.index()), u32::from(end.local)]);
            one(ends(ip), abi::address(*ip), Some(value))
        }
        MapOp::RemoveEnd(ip) => one(ends(ip), abi::address(*ip), None),
        MapOp::PutBlock(net, identity) => one(blocks(net), prefix(*net), Some(abi::words([word(identity.index())]))),
        MapOp::RemoveBlock(net) => one(blocks(net), prefix(*net), None),
        MapOp::PutIdentity(id, identity) => {
            one("identities", at(identities, id.index()), Some(encode_identity(identity)))
        }
        MapOp::PutRow(position, row) => one("rows", at(rows, *position), Some(abi::words([word(row.index())]))),
        MapOp::PutCell(position, cell) => one("cells", at(cells, *position), Some(abi::words([encode_cell(cell)]))),
        MapOp::PutPorts(ports) => encode_ports(ports, slot),
        MapOp::PutShape(shape) => {
            one("shapes", abi::words([slot_number(slot)]), Some(encode_shape(shape, capacity.begins(slot))))
        }
        MapOp::Switch => Vec::new(),
    }
}

/// A prefix as a key: its length, then the address in network order.
fn prefix(net: IpNet) -> Vec<u8> {
    let mut key = abi::words([u32::from(net.prefix_len())]);
    key.extend(abi::address(net.network()));
    key
}

fn encode_identity(identity: &Identity) -> Vec<u8> {
    let unknown = if identity.unknown { abi::IDENTITY_UNKNOWN } else { 0 };
    let flags = unknown | if identity.audit { abi::IDENTITY_AUDIT } else { 0 };
    let subjects = [identity.ingress.plain, identity.ingress.exempt, identity.egress.plain, identity.egress.exempt];
    let [ingress, ingress_exempt, egress, egress_exempt] = subjects.map(|subject| word(subject.index()));
    abi::words([word(identity.column.index()), ingress, ingress_exempt, egress, egress_exempt, flags])
}

fn encode_cell(cell: &Cell) -> u32 {
    word(cell.reason.index()) | if cell.allow { abi::CELL_ALLOW } else { 0 }
}

fn encode_shape(shape: &Shape, [identities, rows, cells, reasons]: [u32; 4]) -> Vec<u8> {
    let own_node = if shape.asks_own_node { abi::SHAPE_ASKS_OWN_NODE } else { 0 };
    let itself = if shape.asks_itself { abi::SHAPE_ASKS_ITSELF } else { 0 };
    let [v4, v6] = shape.own_node.map(|identity| word(identity.index()));
    let flags = own_node | itself;
    abi::words([word(shape.columns), word(shape.classes), v4, v6, flags, identities, rows, cells, reasons])
}

/// All pages of ports.
fn encode_ports(ports: &PortClasses, slot: Slot) -> Vec<Write> {
    let mut writes = Vec::new();
    let begin = slot_number(slot) * word(abi::PORT_PAGES);
    for (index, protocol) in Protocol::ALL.into_iter().enumerate() {
        for page in 0..abi::PAGES_PER_PROTOCOL {
            let classes = (0..abi::PORTS_PER_PAGE).flat_map(|place| {
                let port = u16::try_from(page * abi::PORTS_PER_PAGE + place).unwrap_or(u16::MAX);
                let class = ports.class(Transport::Port(protocol, port)).index();
                u16::try_from(class).unwrap_or(u16::MAX).to_ne_bytes()
            });
            let key = abi::words([begin + word(index * abi::PAGES_PER_PROTOCOL + page)]);
            writes.push(Write { table: "ports", key, value: Some(classes.collect()) });
        }
    }
    writes
}

/// A table that a program does not fit into, however large it is made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{needed} {what}, and there can be at most {most}: nothing was changed")]
pub struct TooLarge {
    /// What there is too much of.
    pub what: &'static str,
    /// How much there is.
    pub needed: usize,
    /// How much there may be.
    pub most: usize,
}

/// How many elements each of the [`GROWING`] tables must hold for a program.
///
/// # Errors
/// [`TooLarge`], before anything is written.
pub(crate) fn sizes(program: &NodeProgram, capacity: Capacity, most: usize) -> Result<[usize; 4], TooLarge> {
    let generation = &program.generation;
    let ends = |family| program.ends.keys().filter(|ip| Family::of(**ip) == family).count();
    let blocks = |family| generation.blocks.iter().filter(|(net, _)| Family::of(net.network()) == family).count();
    let growing = [ends(Family::V4), ends(Family::V6), blocks(Family::V4), blocks(Family::V6)];
    let [ends4, ends6, blocks4, blocks6] = growing;
    for (needed, most, what) in [
        (ends4, most, "IPv4 addresses of pods and nodes"),
        (ends6, most, "IPv6 addresses of pods and nodes"),
        (blocks4, most, "IPv4 ranges"),
        (blocks6, most, "IPv6 ranges"),
        (generation.identities.len(), capacity.identities, "identities"),
        (generation.rows.len(), capacity.rows, "pairs of policies and peers"),
        (generation.cells.len(), capacity.cells, "cells of rows"),
        (generation.reasons.len(), capacity.reasons, "reasons"),
        (generation.ports.len(), usize::from(u16::MAX), "classes of ports"),
    ] {
        if needed > most {
            return Err(TooLarge { what, needed, most });
        }
    }
    Ok(growing)
}
