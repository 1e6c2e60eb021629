//! Packets that no stack would send: spoiled bytes, cut-off headers, chains of headers and options.

use std::net::IpAddr;

use enforcer::datapath::{Capacity, Cause, Datapath, Hook};
use policy_core::analysis::Analysis;
use policy_core::model::{Profile, Protocol};
use policy_core::node_program::{HostSide, NodeProgram, Packet, Transport};
use proptest::prelude::*;
use proptest::sample::Index;
use tests::frame::frame;
use tests::pipeline::load;
use tests::property::check;
use tests::settled::audit;

/// One node, two pods, and nothing gets to them or away from them.
const CLOSED: &str = "\
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.1.1.0/24, 'fd01::/64']}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {nodeName: n1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.1.1.1, podIPs: [{ip: 10.1.1.1}, {ip: 'fd01::1'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x}, spec: {nodeName: n1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.1.1.2, podIPs: [{ip: 10.1.1.2}, {ip: 'fd01::2'}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: x}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}
";

/// The same, and web's port 80 is open to everybody.
const OPEN: &str = "\
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: open, namespace: x}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 80}]}], egress: [{ports: [{port: 80}]}]}}
";

const ETHERNET: usize = 14;

fn datapath(text: &str) -> Datapath {
    with_audited(text, 0)
}

/// `audited` is a mask of namespaces.
fn with_audited(text: &str, audited: u8) -> Datapath {
    let loaded = load([("closed.yaml".to_owned(), text.to_owned())]);
    assert_eq!(loaded.errors().count(), 0);
    let analysis = Analysis::new(loaded.cluster, Profile::preset("portolan").unwrap());
    let node = analysis.cluster.nodes.ids().next().unwrap();
    let mut datapath = Datapath::load(Capacity::default()).unwrap();
    let options = audit(&analysis.cluster, audited);
    datapath.publish(&NodeProgram::build_with(&analysis, node, &options).unwrap()).unwrap();
    datapath
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tcp(source: &str, destination: &str, port: u16) -> Vec<u8> {
    let transport = Transport::Port(Protocol::Tcp, port);
    frame(&Packet { source: ip(source), destination: ip(destination), transport, host: HostSide::Neither })
}

/// How often each cause has dropped a packet.
fn dropped(datapath: &Datapath, wanted: Cause) -> u64 {
    let causes = datapath.causes().unwrap();
    causes.into_iter().find(|(cause, _)| *cause == wanted).map_or(0, |(_, tally)| tally.dropped)
}

/// Whether a frame names a pod of the node as one of its ends, at the places where its header has them.
fn names_a_pod(frame: &[u8]) -> bool {
    let pods = ["10.1.1.1", "10.1.1.2", "fd01::1", "fd01::2"].map(ip);
    let is_v6 = frame.get(12..14) == Some(&[0x86, 0xdd]);
    let places: [usize; 2] = if is_v6 { [8, 24] } else { [12, 16] };
    let at = |place: usize| -> Option<IpAddr> {
        let bytes = frame.get(ETHERNET + place..)?;
        Some(match is_v6 {
            true => IpAddr::from(<[u8; 16]>::try_from(bytes.get(..16)?).ok()?),
            false => IpAddr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?),
        })
    };
    places.into_iter().filter_map(at).any(|address| pods.contains(&address))
}

/// Neighbour discovery that nobody can have forwarded is never filtered.
fn is_neighbour_discovery(frame: &[u8]) -> bool {
    let byte = |at: usize| frame.get(ETHERNET + at).copied();
    byte(7) == Some(255)
}

#[test]
#[ignore = "loads a program into the kernel: needs root; ./test runs it"]
fn no_spoiled_packet_gets_to_a_closed_pod_or_away_from_it() {
    let datapath = datapath(CLOSED);
    let frames = [
        tcp("10.1.1.1", "10.1.1.2", 80),
        tcp("203.0.113.7", "10.1.1.2", 80),
        tcp("10.1.1.1", "203.0.113.7", 80),
        tcp("fd01::1", "fd01::2", 80),
        tcp("2001:db8::7", "fd01::2", 443),
        tcp("fd01::1", "2001:db8::7", 53),
    ];
    let spoiled = (
        any::<Index>(),
        proptest::collection::vec((any::<Index>(), any::<u8>()), 0..12),
        proptest::option::weighted(0.3, any::<Index>()),
        proptest::collection::vec(any::<u8>(), 0..120),
    );
    check(40_000, &spoiled, |(which, bytes, cut, tail)| {
        let mut frame = which.get(&frames).clone();
        frame.extend(tail);
        for (place, byte) in bytes {
            let place = ETHERNET + place.index(frame.len() - ETHERNET);
            frame[place] = byte;
        }
        if let Some(cut) = cut {
            frame.truncate(ETHERNET + 1 + cut.index(frame.len() - ETHERNET - 1));
        }
        // `BPF_PROG_TEST_RUN` itself refuses what has no whole IP header.
        let header = if frame.get(12..14) == Some(&[0x86, 0xdd]) { 40 } else { 20 };
        if frame.len() < ETHERNET + header {
            return Ok(());
        }
        let (passed, _) = datapath.test(&frame, Hook::PostRouting, 1).unwrap();
        prop_assert!(!passed || !names_a_pod(&frame) || is_neighbour_discovery(&frame), "{frame:02x?}");
        // What is for the node itself may pass (NP-19); it must not stop the program.
        datapath.test(&frame, Hook::LocalIn, 1).unwrap();
        Ok(())
    });
    for cause in [Cause::Policy, Cause::Truncated, Cause::Malformed, Cause::Fragment] {
        assert!(dropped(&datapath, cause) > 0, "{cause:?}");
    }
}

/// The same packet with a header that the program reads by its other way: an option or an extension that says nothing.
pub(crate) fn the_long_way(frame: Vec<u8>) -> Vec<u8> {
    if frame.get(12..14) == Some(&[0x86, 0xdd]) {
        let next = frame[ETHERNET + 6];
        with_extensions(frame, &[(0, &[0, 0, 1, 4, 0, 0, 0, 0])], next)
    } else {
        with_options(frame, &[1, 1, 1, 0])
    }
}

/// A frame with bytes put in behind its IPv4 header, which says so.
fn with_options(mut frame: Vec<u8>, options: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    frame[ETHERNET] = 0x40 | words;
    let length = u16::try_from(frame.len() - ETHERNET + options.len()).unwrap().to_be_bytes();
    frame[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&length);
    frame.splice(ETHERNET + 20..ETHERNET + 20, options.iter().copied());
    frame
}

#[test]
#[ignore = "loads a program into the kernel: needs root; ./test runs it"]
fn options_of_ipv4_are_stepped_over_and_routes_in_them_refused() {
    let datapath = datapath(&format!("{CLOSED}{OPEN}"));
    let passes = |port: u16, options: &[u8]| {
        let frame = with_options(tcp("10.1.1.1", "10.1.1.2", port), options);
        datapath.test(&frame, Hook::PostRouting, 1).unwrap().0
    };
    // Nothing, no-operations, a time stamp, the end of the list before its space ends.
    for options in [&[][..], &[1, 1, 1, 1], &[68, 8, 5, 0, 0, 0, 0, 0], &[1, 0, 131, 99], &[148, 4, 0, 0]] {
        assert!(passes(80, options), "{options:?}");
        assert!(!passes(81, options), "{options:?}: the port is read behind them");
    }
    let before = dropped(&datapath, Cause::SourceRoute);
    for options in [[131, 7, 4, 10, 0, 0, 9, 0], [1, 137, 7, 4, 10, 0, 0, 9]] {
        assert!(!passes(80, &options), "{options:?}");
    }
    assert_eq!(dropped(&datapath, Cause::SourceRoute), before + 2);
    // An option that is longer than the header, one of length 0.
    for options in [[68, 12, 5, 0], [68, 0, 1, 1]] {
        assert!(!passes(80, &options), "{options:?}");
    }
    assert!(dropped(&datapath, Cause::Malformed) >= 2);
}

#[test]
#[ignore = "loads a program into the kernel: needs root; ./test runs it"]
fn what_cannot_be_read_passes_only_where_every_pod_that_it_names_is_audited() {
    let other = "\
---
{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: z}, spec: {nodeName: n1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.1.1.3, podIPs: [{ip: 10.1.1.3}]}}
";
    // The namespaces in order: x, z.
    for (audited, passing) in [(0b00, [false; 3]), (0b01, [true, false, false]), (0b11, [true; 3])] {
        let datapath = with_audited(&format!("{CLOSED}{other}"), audited);
        let ends = [("10.1.1.1", "10.1.1.2"), ("10.1.1.1", "10.1.1.3"), ("203.0.113.7", "10.1.1.3")];
        for ((source, destination), passes) in ends.into_iter().zip(passing) {
            let mut frame = tcp(source, destination, 80);
            frame.truncate(ETHERNET + 20 + 4);
            let (passed, _) = datapath.test(&frame, Hook::PostRouting, 1).unwrap();
            assert_eq!(passed, passes, "{source} {destination} {audited:b}");
        }
        assert_eq!(dropped(&datapath, Cause::Truncated), passing.iter().filter(|passes| !**passes).count() as u64);
    }
}

/// A frame with extension headers between the IPv6 header and a protocol: `(kind, bytes)`, of which the first is filled in.
fn with_extensions(mut frame: Vec<u8>, headers: &[(u8, &[u8])], protocol: u8) -> Vec<u8> {
    let kinds: Vec<u8> = headers.iter().map(|(kind, _)| *kind).chain([protocol]).collect();
    let mut bytes = Vec::new();
    for ((_, header), next) in headers.iter().zip(kinds.iter().skip(1)) {
        let mut header = header.to_vec();
        header[0] = *next;
        bytes.extend(header);
    }
    frame[ETHERNET + 6] = kinds[0];
    let length = u16::try_from(frame.len() - ETHERNET - 40 + bytes.len()).unwrap().to_be_bytes();
    frame[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&length);
    frame.splice(ETHERNET + 40..ETHERNET + 40, bytes);
    frame
}

#[test]
#[ignore = "loads a program into the kernel: needs root; ./test runs it"]
fn extension_headers_of_ipv6_are_walked_through_to_a_bound() {
    let datapath = datapath(&format!("{CLOSED}{OPEN}"));
    let passes = |port: u16, headers: &[(u8, &[u8])]| {
        let frame = with_extensions(tcp("fd01::1", "fd01::2", port), headers, 6);
        datapath.test(&frame, Hook::PostRouting, 1).unwrap().0
    };
    let hop: (u8, &[u8]) = (0, &[0, 0, 1, 4, 0, 0, 0, 0]);
    let options: (u8, &[u8]) = (60, &[0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let atomic: (u8, &[u8]) = (44, &[0, 0, 0, 0, 0, 0, 0, 1]);
    let authentication: (u8, &[u8]) = (51, &[0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let routed: (u8, &[u8]) = (43, &[0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for headers in [&[hop][..], &[options], &[atomic], &[authentication], &[routed], &[hop, options, authentication]] {
        assert!(passes(80, headers), "{headers:?}");
        assert!(!passes(81, headers), "{headers:?}: the port is read behind them");
    }
    // A route that is not yet at its end, a fragment, more headers than are looked at.
    let onwards: (u8, &[u8]) = (43, &[0, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let fragment: (u8, &[u8]) = (44, &[0, 0, 0, 1, 0, 0, 0, 1]);
    assert!(!passes(80, &[onwards]) && !passes(80, &[fragment]) && !passes(80, &[options; 8]));
    for cause in [Cause::SourceRoute, Cause::Fragment, Cause::Headers] {
        assert_eq!(dropped(&datapath, cause), 1, "{cause:?}");
    }
    assert!(passes(80, &[options; 7]));
}
