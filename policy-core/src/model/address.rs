//! Address families and exact sets of addresses (NP-12, NP-30).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::model::IntervalSet;
use crate::model::interval::Point;

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

/// A set of addresses of both families. Equal sets have equal representations. Cloning shares, and so do intersections that
/// are one of the two sets: what is outside of a large cluster has ten thousands of ranges, and every way in starts there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AddressSet {
    v4: Arc<IntervalSet<u32>>,
    v6: Arc<IntervalSet<u128>>,
}

/// What is in both sets; one of them, if it is that.
fn common<T: Point>(one: &Arc<IntervalSet<T>>, other: &Arc<IntervalSet<T>>) -> Arc<IntervalSet<T>> {
    if one == other || one.is_empty() {
        return one.clone();
    }
    if other.is_empty() {
        return other.clone();
    }
    let common = one.intersection(other);
    match () {
        () if common == **one => one.clone(),
        () if common == **other => other.clone(),
        () => Arc::new(common),
    }
}

/// What is in one of the sets; one of them, if it is that.
fn both<T: Point>(one: &Arc<IntervalSet<T>>, other: &Arc<IntervalSet<T>>) -> Arc<IntervalSet<T>> {
    match () {
        () if one == other || other.is_empty() => one.clone(),
        () if one.is_empty() => other.clone(),
        () => Arc::new(one.union(other)),
    }
}

/// What is in the first set alone; the first set, if nothing of it is in the other.
fn rest<T: Point>(one: &Arc<IntervalSet<T>>, other: &Arc<IntervalSet<T>>) -> Arc<IntervalSet<T>> {
    if one.is_empty() || other.is_empty() {
        return one.clone();
    }
    if one == other { Arc::default() } else { common(one, &Arc::new(other.complement())) }
}

impl AddressSet {
    fn of_numbers(v4: IntervalSet<u32>, v6: IntervalSet<u128>) -> Self {
        Self { v4: Arc::new(v4), v6: Arc::new(v6) }
    }

    /// No address.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every address of both families.
    #[must_use]
    pub fn all() -> Self {
        Self::of_numbers(IntervalSet::full(), IntervalSet::full())
    }

    /// Every address of one family.
    #[must_use]
    pub fn all_of(family: Family) -> Self {
        match family {
            Family::V4 => Self::from(IntervalSet::<u32>::full()),
            Family::V6 => Self::from(IntervalSet::<u128>::full()),
        }
    }

    /// `first..=last`; empty when they are of different families or out of order.
    #[must_use]
    pub fn range(first: IpAddr, last: IpAddr) -> Self {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Self::from(IntervalSet::<u32>::range(first.into(), last.into())),
            (IpAddr::V6(first), IpAddr::V6(last)) => Self::from(IntervalSet::<u128>::range(first.into(), last.into())),
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

    /// What tells allocations apart while they live: sets with the same one are equal.
    #[must_use]
    pub fn allocation(&self) -> (usize, usize) {
        (Arc::as_ptr(&self.v4).addr(), Arc::as_ptr(&self.v6).addr())
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
        Self { v4: both(&self.v4, &other.v4), v6: both(&self.v6, &other.v6) }
    }

    /// The addresses that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { v4: common(&self.v4, &other.v4), v6: common(&self.v6, &other.v6) }
    }

    /// The addresses of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self { v4: rest(&self.v4, &other.v4), v6: rest(&self.v6, &other.v6) }
    }

    /// The addresses that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self::of_numbers(self.v4.complement(), self.v6.complement())
    }

    /// Whether every address of this set is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.intersection(other) == *self
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
        Self::of_numbers(IntervalSet::from_intervals(v4), IntervalSet::from_intervals(v6))
    }
}

impl FromIterator<AddressSet> for AddressSet {
    fn from_iter<I: IntoIterator<Item = AddressSet>>(sets: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for set in sets {
            v4.extend_from_slice(set.v4.intervals());
            v6.extend_from_slice(set.v6.intervals());
        }
        Self::of_numbers(IntervalSet::from_intervals(v4), IntervalSet::from_intervals(v6))
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
        Self::of_numbers(v4, IntervalSet::empty())
    }
}

impl From<IntervalSet<u128>> for AddressSet {
    fn from(v6: IntervalSet<u128>) -> Self {
        Self::of_numbers(IntervalSet::empty(), v6)
    }
}
