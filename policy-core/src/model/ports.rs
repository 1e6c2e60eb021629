//! Protocols and exact sets of ports (NP-14, NP-15, NP-17).

use std::fmt;

use crate::model::IntervalSet;

/// The protocols that NetworkPolicy defines (NP-17).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Protocol {
    /// SCTP.
    Sctp,
    /// TCP, the default (NP-14).
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// All protocols, in the order of their names.
    pub const ALL: [Self; 3] = [Self::Sctp, Self::Tcp, Self::Udp];

    /// `TCP`, `UDP` or `SCTP`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sctp => "SCTP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// The protocol of exactly this name; upper case, as the API server wants it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == name)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of (protocol, port) pairs, ports 1..=65535. Equal sets have equal representations.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PortSet {
    sctp: IntervalSet<u16>,
    tcp: IntervalSet<u16>,
    udp: IntervalSet<u16>,
}

impl PortSet {
    /// No port.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every port of every protocol.
    #[must_use]
    pub fn all() -> Self {
        let every = IntervalSet::range(1, u16::MAX);
        Self { sctp: every.clone(), tcp: every.clone(), udp: every }
    }

    /// Ports `first..=last` of one protocol; 0 is no port.
    #[must_use]
    pub fn range(protocol: Protocol, first: u16, last: u16) -> Self {
        let mut set = Self::empty();
        *set.of_mut(protocol) = IntervalSet::range(first.max(1), last);
        set
    }

    /// Every port of one protocol (NP-14).
    #[must_use]
    pub fn all_of(protocol: Protocol) -> Self {
        Self::range(protocol, 1, u16::MAX)
    }

    /// The ports of one protocol.
    #[must_use]
    pub fn of(&self, protocol: Protocol) -> &IntervalSet<u16> {
        match protocol {
            Protocol::Sctp => &self.sctp,
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
        }
    }

    fn of_mut(&mut self, protocol: Protocol) -> &mut IntervalSet<u16> {
        match protocol {
            Protocol::Sctp => &mut self.sctp,
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
        }
    }

    fn zip(&self, other: &Self, operation: impl Fn(&IntervalSet<u16>, &IntervalSet<u16>) -> IntervalSet<u16>) -> Self {
        Self {
            sctp: operation(&self.sctp, &other.sctp),
            tcp: operation(&self.tcp, &other.tcp),
            udp: operation(&self.udp, &other.udp),
        }
    }

    /// Whether no pair is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Protocol::ALL.iter().all(|protocol| self.of(*protocol).is_empty())
    }

    /// Whether every port of every protocol is in the set.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::all()
    }

    /// Whether this pair is in the set.
    #[must_use]
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.of(protocol).contains(port)
    }

    /// The pairs of both sets together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, IntervalSet::union)
    }

    /// The pairs that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, IntervalSet::intersection)
    }

    /// The pairs of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, IntervalSet::difference)
    }

    /// The pairs (ports from 1) that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self::all().difference(self)
    }

    /// Whether every pair of this set is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.intersection(other) == *self
    }

    /// The number of pairs.
    #[must_use]
    pub fn count(&self) -> u64 {
        let size = |(first, last): &(u16, u16)| u64::from(*last) - u64::from(*first) + 1;
        Protocol::ALL.iter().flat_map(|protocol| self.of(*protocol).intervals()).map(size).sum()
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl fmt::Display for PortSet {
    /// `all`, `none`, or `SCTP all, TCP 80,8080-8090, UDP 53`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        if self.is_all() {
            return f.write_str("all");
        }
        let mut separator = "";
        for protocol in Protocol::ALL {
            let ports = self.of(protocol);
            if ports.is_empty() {
                continue;
            }
            write!(f, "{separator}{protocol} ")?;
            separator = ", ";
            if ports.intervals() == [(1, u16::MAX)] {
                f.write_str("all")?;
                continue;
            }
            for (index, (first, last)) in ports.intervals().iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                if first == last {
                    write!(f, "{comma}{first}")?;
                } else {
                    write!(f, "{comma}{first}-{last}")?;
                }
            }
        }
        Ok(())
    }
}
