//! The layouts of `bpf/abi.h` in Rust. They are compared with the BTF of the object at every load, so that the two
//! cannot drift apart.

use std::fmt;
use std::net::IpAddr;
use std::ops::AddAssign;

use crate::datapath::btf;

/// `ABI_VERSION`: part of the path of pins.
pub const VERSION: u32 = 2;
/// `SLOTS`.
pub const SLOTS: u32 = 2;
/// `PORTS_PER_PAGE`.
pub const PORTS_PER_PAGE: usize = 1024;
/// `PAGES_PER_PROTOCOL`.
pub const PAGES_PER_PROTOCOL: usize = 64;
/// `PORT_PAGES`.
pub const PORT_PAGES: usize = 3 * PAGES_PER_PROTOCOL;
/// `CELL_ALLOW`.
pub const CELL_ALLOW: u32 = 0x8000_0000;
/// `CONTROL_AUDIT`.
pub const CONTROL_AUDIT: u32 = 1;
/// `CONTROL_UNKNOWN_PASS`.
pub const CONTROL_UNKNOWN_PASS: u32 = 2;
/// `CONTROL_LOG_ALLOWED`.
pub const CONTROL_LOG_ALLOWED: u32 = 4;
/// `IDENTITY_UNKNOWN`.
pub const IDENTITY_UNKNOWN: u32 = 1;
/// `IDENTITY_AUDIT`.
pub const IDENTITY_AUDIT: u32 = 2;
/// `SHAPE_ASKS_OWN_NODE`.
pub const SHAPE_ASKS_OWN_NODE: u32 = 1;
/// `SHAPE_ASKS_ITSELF`.
pub const SHAPE_ASKS_ITSELF: u32 = 2;

/// `RECORD_DROPPED`.
pub const RECORD_DROPPED: u32 = 1;
/// `RECORD_AUDITED`.
pub const RECORD_AUDITED: u32 = 2;
/// `RECORD_INGRESS`.
pub const RECORD_INGRESS: u32 = 4;
/// `RECORD_V6`.
pub const RECORD_V6: u32 = 8;
/// `RECORD_REPLY`.
pub const RECORD_REPLY: u32 = 16;

/// `enum cause`: why a packet passes or not before, or in place of, a cell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Cause {
    /// A policy says so.
    Policy = 0,
    /// No end is a pod of this node.
    NotOurs = 1,
    /// An ICMP error about a connection that conntrack knows.
    Related = 2,
    /// Neighbour discovery.
    Neighbour = 3,
    /// An address of this node's pods of which nothing is known.
    UnknownPod = 4,
    /// Shorter than its headers say.
    Truncated = 5,
    /// Headers that contradict themselves.
    Malformed = 6,
    /// A piece of a datagram that was not put together.
    Fragment = 7,
    /// A route written into the packet.
    SourceRoute = 8,
    /// More extension headers than are looked at.
    Headers = 9,
    /// The tables do not hold together.
    Tables = 10,
}

impl Cause {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Policy,
        Self::NotOurs,
        Self::Related,
        Self::Neighbour,
        Self::UnknownPod,
        Self::Truncated,
        Self::Malformed,
        Self::Fragment,
        Self::SourceRoute,
        Self::Headers,
        Self::Tables,
    ];

    /// A word for people and machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::NotOurs => "not-ours",
            Self::Related => "related",
            Self::Neighbour => "neighbour-discovery",
            Self::UnknownPod => "unknown-pod",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Fragment => "fragment",
            Self::SourceRoute => "source-route",
            Self::Headers => "extension-headers",
            Self::Tables => "tables",
        }
    }
}

impl Cause {
    /// A phrase for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Policy => "policies decide",
            Self::NotOurs => "no end is a pod of this node",
            Self::Related => "an ICMP error about a known connection",
            Self::Neighbour => "neighbour discovery",
            Self::UnknownPod => "an address of this node's pods of which nothing is known yet",
            Self::Truncated => "the packet is shorter than its headers say",
            Self::Malformed => "the packet's headers contradict themselves",
            Self::Fragment => "a fragment that was not put together",
            Self::SourceRoute => "the packet names its own route",
            Self::Headers => "more extension headers than are looked at",
            Self::Tables => "the tables do not hold together",
        }
    }
}

/// `struct tally`: packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Those that passed because nothing refused them.
    pub passed: u64,
    /// Those that were dropped.
    pub dropped: u64,
    /// Those that were refused and passed all the same, because that is audited.
    pub audited: u64,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.passed + self.dropped + self.audited
    }

    /// What has come since; nothing where counters have been set back.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(before.passed),
            dropped: self.dropped.saturating_sub(before.dropped),
            audited: self.audited.saturating_sub(before.audited),
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.dropped += other.dropped;
        self.audited += other.audited;
    }
}

/// A layout: its name in C, its size, and its members with their offsets.
type Layout = (&'static str, usize, &'static [(&'static str, usize)]);

/// Every layout that both sides use. Offsets and sizes in bytes.
const LAYOUTS: &[Layout] = &[
    ("control", 8, &[("slot", 0), ("flags", 4)]),
    ("endpoint", 8, &[("identity", 0), ("local", 4)]),
    ("v4_prefix", 8, &[("length", 0), ("address", 4)]),
    ("v6_prefix", 20, &[("length", 0), ("address", 4)]),
    (
        "identity",
        24,
        &[("column", 0), ("ingress", 4), ("ingress_exempt", 8), ("egress", 12), ("egress_exempt", 16), ("flags", 20)],
    ),
    (
        "shape",
        36,
        &[
            ("columns", 0),
            ("classes", 4),
            ("own_node_v4", 8),
            ("own_node_v6", 12),
            ("flags", 16),
            ("identities", 20),
            ("rows", 24),
            ("cells", 28),
            ("tallies", 32),
        ],
    ),
    ("port_page", 2 * PORTS_PER_PAGE, &[("classes", 0)]),
    ("tally", 24, &[("passed", 0), ("dropped", 8), ("audited", 16)]),
    ("legend", 24, &[("fingerprint", 0), ("identities", 8), ("rows", 12), ("cells", 16), ("reasons", 20)]),
    (
        "record",
        72,
        &[
            ("time_ns", 0),
            ("source", 8),
            ("destination", 24),
            ("source_identity", 40),
            ("destination_identity", 44),
            ("slot", 48),
            ("reason", 52),
            ("count", 56),
            ("port", 60),
            ("protocol", 62),
            ("cause", 63),
            ("flags", 64),
            ("pad", 68),
        ],
    ),
];

/// A layout that the object and this program do not have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// What differs, in words.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the embedded object and this program differ in their layouts: {}", self.what)
    }
}

impl std::error::Error for Mismatch {}

/// Compares every layout with an object's BTF.
///
/// # Errors
/// A [`Mismatch`] that names all that differ.
pub(crate) fn check(btf: &[u8]) -> Result<(), Mismatch> {
    let found = btf::structs(btf).unwrap_or_default();
    let mut wrong = Vec::new();
    for (name, size, members) in LAYOUTS {
        let wanted = btf::Layout {
            size: *size,
            members: members.iter().map(|(name, offset)| ((*name).to_owned(), *offset)).collect(),
        };
        if found.get(*name) != Some(&wanted) {
            wrong.push(format!("`struct {name}` is {:?}, not {wanted:?}", found.get(*name)));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Mismatch { what: wrong.join("; ") }) }
}

/// A number as the kernel of this machine keeps it.
pub(crate) fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// An address as a key of its family's tables: in network order.
pub(crate) fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
