//! Records of packets, out of the ring buffer.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use aya::maps::{Map, MapData, RingBuf};
use policy_core::ids::Id as _;
use policy_core::model::Direction;
use policy_core::node_program::{ReasonId, Slot};

use crate::datapath::abi::{self, Cause};

/// What became of packets that are alike. Addresses and port are those of the direction in which the connection was
/// opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Who opened the connection.
    pub source: IpAddr,
    /// Who gets it.
    pub destination: IpAddr,
    /// The number of the protocol in IP headers.
    pub protocol: u8,
    /// The destination's port; 0 for a protocol without ports.
    pub port: u16,
    /// Whose policies: egress of the source, or ingress of the destination.
    pub direction: Direction,
    /// Why, before any policy or in its place.
    pub cause: Cause,
    /// Whether they were dropped.
    pub dropped: bool,
    /// Whether they would have been dropped, if the mode were not audit.
    pub audited: bool,
    /// Whether the last of them was a reply.
    pub reply: bool,
    /// The slot that was in use, and the reason in it.
    pub reason: (Slot, ReasonId),
    /// How many packets since the last record of them.
    pub count: u32,
}

/// Reads records.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new(ring: OwnedFd) -> io::Result<Self> {
        let ring = MapData::from_fd(ring).map_err(io::Error::other)?;
        Ok(Self { ring: Map::RingBuf(ring).try_into().map_err(io::Error::other)? })
    }
}

impl Iterator for Events {
    type Item = Record;

    /// The next record, if there is one now.
    fn next(&mut self) -> Option<Record> {
        loop {
            let item = self.ring.next()?;
            if let Some(record) = parse(&item) {
                return Some(record);
            }
        }
    }
}

/// `struct record`.
fn parse(bytes: &[u8]) -> Option<Record> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let flags = word(64)?;
    let is = |flag: u32| flags & flag != 0;
    let address = |at: usize| -> Option<IpAddr> {
        Some(if is(abi::RECORD_V6) {
            let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets))
        } else {
            let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
            IpAddr::V4(Ipv4Addr::from(octets))
        })
    };
    let slot = if word(48)? == 0 { Slot::A } else { Slot::B };
    Some(Record {
        source: address(8)?,
        destination: address(24)?,
        protocol: *bytes.get(62)?,
        port: u16::from_ne_bytes(bytes.get(60..62)?.try_into().ok()?),
        direction: if is(abi::RECORD_INGRESS) { Direction::Ingress } else { Direction::Egress },
        cause: Cause::ALL.into_iter().find(|cause| Some(*cause as u32) == bytes.get(63).copied().map(u32::from))?,
        dropped: is(abi::RECORD_DROPPED),
        audited: is(abi::RECORD_AUDITED),
        reply: is(abi::RECORD_REPLY),
        reason: (slot, ReasonId::from_index(usize::try_from(word(52)?).ok()?)),
        count: word(56)?,
    })
}
