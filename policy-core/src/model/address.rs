//! Address families and exact sets of addresses (NP-12, NP-30).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::model::IntervalSet;

/// An IP family. They never mix (NP-12, NP-30).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A set of addresses of both families. Equal sets have equal representations.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AddressSet {
    v4: IntervalSet<u32>,
    v6: IntervalSet<u128>,
}

impl AddressSet {
    /// No address.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every address of both families.
    #[must_use]
    pub fn all() -> Self {
        Self { v4: IntervalSet::full(), v6: IntervalSet::full() }
    }

    /// Every address of one family.
    #[must_use]
    pub fn all_of(family: Family) -> Self {
        match family {
            Family::V4 => Self { v4: IntervalSet::full(), ..Self::default() },
            Family::V6 => Self { v6: IntervalSet::full(), ..Self::default() },
        }
    }

    /// `first..=last`; empty when they are of different families or out of order.
    #[must_use]
    pub fn range(first: IpAddr, last: IpAddr) -> Self {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Self { v4: IntervalSet::range(first.into(), last.into()), ..Self::default() }
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Self { v6: IntervalSet::range(first.into(), last.into()), ..Self::default() }
            }
            _ => Self::empty(),
        }
    }

    /// The addresses of a CIDR, host bits masked.
    #[must_use]
    pub fn net(net: IpNet) -> Self {
        Self::range(net.network(), net.broadcast())
    }

    /// The part of one family.
    #[must_use]
    pub fn of(&self, family: Family) -> Self {
        match family {
            Family::V4 => Self { v4: self.v4.clone(), ..Self::default() },
            Family::V6 => Self { v6: self.v6.clone(), ..Self::default() },
        }
    }

    /// Whether no address is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether this address is in the set.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.into()),
            IpAddr::V6(address) => self.v6.contains(address.into()),
        }
    }

    /// The addresses of both sets together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// The addresses that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    /// The addresses of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self { v4: self.v4.difference(&other.v4), v6: self.v6.difference(&other.v6) }
    }

    /// The addresses that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { v4: self.v4.complement(), v6: self.v6.complement() }
    }

    /// Whether every address of this set is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.v4.is_subset(&other.v4) && self.v6.is_subset(&other.v6)
    }

    /// Whether no address is in both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.v4.is_disjoint(&other.v4) && self.v6.is_disjoint(&other.v6)
    }

    /// The smallest address, IPv4 before IPv6: a witness.
    #[must_use]
    pub fn first(&self) -> Option<IpAddr> {
        self.ranges().next().map(|(first, _)| first)
    }

    /// The IPv4 part as numbers.
    #[must_use]
    pub fn v4(&self) -> &IntervalSet<u32> {
        &self.v4
    }

    /// The IPv6 part as numbers.
    #[must_use]
    pub fn v6(&self) -> &IntervalSet<u128> {
        &self.v6
    }

    /// Closed ranges in order, IPv4 before IPv6.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + '_ {
        let v4 = self.v4.intervals().iter().map(|(first, last)| (v4(*first), v4(*last)));
        let v6 = self.v6.intervals().iter().map(|(first, last)| (v6(*first), v6(*last)));
        v4.chain(v6)
    }

    /// The fewest CIDRs that make up the set, in order.
    #[must_use]
    pub fn nets(&self) -> Vec<IpNet> {
        let v4 = self.v4.intervals().iter().flat_map(|(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from(*first), Ipv4Addr::from(*last), 0).map(IpNet::V4)
        });
        let v6 = self.v6.intervals().iter().flat_map(|(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from(*first), Ipv6Addr::from(*last), 0).map(IpNet::V6)
        });
        v4.chain(v6).collect()
    }
}

fn v4(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(number))
}

fn v6(number: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(number))
}

impl From<IpAddr> for AddressSet {
    fn from(address: IpAddr) -> Self {
        Self::range(address, address)
    }
}

impl FromIterator<IpAddr> for AddressSet {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in addresses {
            match address {
                IpAddr::V4(address) => v4.push((u32::from(address), u32::from(address))),
                IpAddr::V6(address) => v6.push((u128::from(address), u128::from(address))),
            }
        }
        Self { v4: IntervalSet::from_intervals(v4), v6: IntervalSet::from_intervals(v6) }
    }
}

impl FromIterator<AddressSet> for AddressSet {
    fn from_iter<I: IntoIterator<Item = AddressSet>>(sets: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for set in sets {
            v4.extend_from_slice(set.v4.intervals());
            v6.extend_from_slice(set.v6.intervals());
        }
        Self { v4: IntervalSet::from_intervals(v4), v6: IntervalSet::from_intervals(v6) }
    }
}

impl fmt::Debug for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl fmt::Display for AddressSet {
    /// A CIDR where a range is one, else `first-last`; joined with commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (index, (first, last)) in self.ranges().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let nets = Self::range(first, last).nets();
            match nets.as_slice() {
                [_] if first == last => write!(f, "{comma}{first}")?,
                [net] => write!(f, "{comma}{net}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl From<IntervalSet<u32>> for AddressSet {
    fn from(v4: IntervalSet<u32>) -> Self {
        Self { v4, ..Self::default() }
    }
}

impl From<IntervalSet<u128>> for AddressSet {
    fn from(v6: IntervalSet<u128>) -> Self {
        Self { v6, ..Self::default() }
    }
}
