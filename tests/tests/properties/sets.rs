//! Port sets and address sets against naive sets of the numbers at which they can differ.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_core::model::interval::Point;
use policy_core::model::{AddressSet, Family, IntervalSet, PortSet, Protocol};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tests::property::check;

/// Numbers at both ends of u16 and a few in between: where off-by-one lives.
fn points() -> Vec<u16> {
    (0..12).chain(30_000..30_004).chain(65_526..=u16::MAX).collect()
}

/// Intervals between these points, also such as are the wrong way round.
fn intervals() -> impl Strategy<Value = Vec<(u16, u16)>> {
    vec((select(points()), select(points())), 0..7)
}

fn naive(intervals: &[(u16, u16)]) -> BTreeSet<u16> {
    points().into_iter().filter(|at| intervals.iter().any(|(first, last)| first <= at && at <= last)).collect()
}

fn members(set: &IntervalSet<u16>) -> BTreeSet<u16> {
    points().into_iter().filter(|point| set.contains(*point)).collect()
}

fn assert_canonical<T: Point>(set: &IntervalSet<T>) -> Result<(), TestCaseError> {
    for (first, last) in set.intervals() {
        prop_assert!(first <= last, "{:?}", set);
    }
    for pair in set.intervals().windows(2) {
        let gap = pair[0].1.next().is_some_and(|after| after < pair[1].0);
        prop_assert!(gap, "neighbours touch: {:?}", set);
    }
    Ok(())
}

#[test]
fn interval_sets_are_sets_and_canonical() {
    check(20_000, &(intervals(), intervals()), |(left, right)| {
        let (a, b) = (IntervalSet::from_intervals(left.clone()), IntervalSet::from_intervals(right.clone()));
        let (x, y) = (naive(&left), naive(&right));
        let all: BTreeSet<u16> = points().into_iter().collect();
        let results = [
            (a.clone(), x.clone()),
            (a.union(&b), &x | &y),
            (a.intersection(&b), &x & &y),
            (a.difference(&b), &x - &y),
            (a.complement(), &all - &x),
            (a.complement().complement(), x.clone()),
        ];
        for (set, wanted) in &results {
            assert_canonical(set)?;
            prop_assert_eq!(&members(set), wanted);
            prop_assert_eq!(set, &IntervalSet::from_intervals(set.intervals().iter().rev().copied()));
        }
        // Every interval begins and ends at a point or beside one, so points tell subsets and emptiness apart.
        prop_assert_eq!(a.is_subset(&b), a.difference(&b).is_empty());
        prop_assert_eq!(a.is_disjoint(&b), a.intersection(&b).is_empty());
        prop_assert_eq!(a.first(), a.intervals().first().map(|(first, _)| *first));
        prop_assert_eq!(a == b, a.is_subset(&b) && b.is_subset(&a));
        Ok(())
    });
}

type PortRanges = Vec<(Protocol, u16, u16)>;

fn port_ranges() -> impl Strategy<Value = PortRanges> {
    vec((select(Protocol::ALL.to_vec()), select(points()), select(points())), 0..6)
}

fn port_set(ranges: &PortRanges) -> PortSet {
    ranges
        .iter()
        .fold(PortSet::empty(), |set, (protocol, first, last)| set.union(&PortSet::range(*protocol, *first, *last)))
}

fn port_members(set: &PortSet) -> BTreeSet<(Protocol, u16)> {
    let universe =
        Protocol::ALL.into_iter().flat_map(|protocol| points().into_iter().map(move |port| (protocol, port)));
    universe.filter(|(protocol, port)| set.contains(*protocol, *port)).collect()
}

#[test]
fn port_sets_are_sets_of_ports_from_1() {
    check(10_000, &(port_ranges(), port_ranges()), |(left, right)| {
        let (a, b) = (port_set(&left), port_set(&right));
        let (x, y) = (port_members(&a), port_members(&b));
        let wanted: BTreeSet<_> = port_members(&PortSet::all());
        prop_assert!(!wanted.iter().any(|(_, port)| *port == 0));
        for (protocol, first, last) in &left {
            for port in points().into_iter().filter(|port| *port > 0 && first <= port && port <= last) {
                prop_assert!(x.contains(&(*protocol, port)));
            }
        }
        prop_assert_eq!(port_members(&a.union(&b)), &x | &y);
        prop_assert_eq!(port_members(&a.intersection(&b)), &x & &y);
        prop_assert_eq!(port_members(&a.difference(&b)), &x - &y);
        prop_assert_eq!(port_members(&a.complement()), &wanted - &x);
        prop_assert_eq!(a.is_subset(&b), a.difference(&b).is_empty());
        prop_assert_eq!(a.count() + a.complement().count(), PortSet::all().count());
        prop_assert_eq!(a.union(&a.complement()), PortSet::all());
        prop_assert_eq!(a.is_empty(), a.count() == 0);
        Ok(())
    });
}

/// Addresses of both families: a few /30s, and the first and last of all.
fn addresses() -> Vec<IpAddr> {
    let v4 = [0_u32, 0x0a00_0000, 0xffff_fffc].into_iter().flat_map(|base| (0..4).map(move |low| base + low));
    let v6 = [0_u128, 0xfd00 << 112, u128::MAX - 3].into_iter().flat_map(|base| (0..4).map(move |low| base + low));
    v4.map(|at| IpAddr::V4(Ipv4Addr::from(at))).chain(v6.map(|at| IpAddr::V6(Ipv6Addr::from(at)))).collect()
}

fn address_ranges() -> impl Strategy<Value = Vec<(IpAddr, IpAddr)>> {
    vec((select(addresses()), select(addresses())), 0..6)
}

fn address_set(ranges: &[(IpAddr, IpAddr)]) -> AddressSet {
    ranges.iter().map(|(first, last)| AddressSet::range(*first, *last)).collect()
}

fn naive_addresses(ranges: &[(IpAddr, IpAddr)]) -> BTreeSet<IpAddr> {
    let inside = |at: &IpAddr, first: &IpAddr, last: &IpAddr| {
        first.is_ipv4() == at.is_ipv4() && last.is_ipv4() == at.is_ipv4() && first <= at && at <= last
    };
    addresses().into_iter().filter(|at| ranges.iter().any(|(first, last)| inside(at, first, last))).collect()
}

fn address_members(set: &AddressSet) -> BTreeSet<IpAddr> {
    addresses().into_iter().filter(|address| set.contains(*address)).collect()
}

#[test]
fn address_sets_are_sets_and_keep_families_apart() {
    // NP-12, NP-30
    check(10_000, &(address_ranges(), address_ranges()), |(left, right)| {
        let (a, b) = (address_set(&left), address_set(&right));
        let (x, y) = (naive_addresses(&left), naive_addresses(&right));
        let all: BTreeSet<IpAddr> = addresses().into_iter().collect();
        prop_assert_eq!(address_members(&a), x.clone());
        prop_assert_eq!(address_members(&a.union(&b)), &x | &y);
        prop_assert_eq!(address_members(&a.intersection(&b)), &x & &y);
        prop_assert_eq!(address_members(&a.difference(&b)), &x - &y);
        prop_assert_eq!(address_members(&a.complement()), &all - &x);
        prop_assert_eq!(a.union(&a.complement()), AddressSet::all());
        prop_assert_eq!(a.of(Family::V4).union(&a.of(Family::V6)), a.clone());
        prop_assert!(a.of(Family::V4).is_disjoint(&a.of(Family::V6)));
        assert_canonical(a.v4())?;
        assert_canonical(a.v6())?;
        Ok(())
    });
}

#[test]
fn the_cidrs_of_an_address_set_make_it_up_without_overlap() {
    check(4000, &address_ranges(), |ranges| {
        let set = address_set(&ranges);
        let nets = set.nets();
        prop_assert_eq!(nets.iter().map(|net| AddressSet::net(*net)).collect::<AddressSet>(), set);
        for (index, net) in nets.iter().enumerate() {
            let others: AddressSet = nets[index + 1..].iter().map(|net| AddressSet::net(*net)).collect();
            prop_assert!(AddressSet::net(*net).is_disjoint(&others));
        }
        Ok(())
    });
}
