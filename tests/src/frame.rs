//! Ethernet frames, as far as the kernel's program looks at them.

use std::io;
use std::net::IpAddr;

use enforcer::datapath::{Datapath, Hook};
use policy_core::model::Protocol;
use policy_core::node_program::{HostSide, Packet, Transport};

/// The port that every client uses.
const CLIENT_PORT: u16 = 40_000;

/// The number of a protocol in IP headers.
#[must_use]
pub fn protocol_number(transport: Transport) -> u8 {
    match transport {
        Transport::Port(Protocol::Tcp, _) => 6,
        Transport::Port(Protocol::Udp, _) => 17,
        Transport::Port(Protocol::Sctp, _) => 132,
        // GRE: a protocol of which nobody knows anything.
        Transport::Other => 47,
    }
}

/// A whole frame of a packet: Ethernet, IP, transport, a few bytes of content. Checksums are zero: nobody looks.
#[must_use]
pub fn frame(packet: &Packet) -> Vec<u8> {
    let transport = transport(packet.transport);
    let mut frame = vec![0_u8; 12];
    let number = protocol_number(packet.transport);
    match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend(u16::try_from(20 + transport.len()).unwrap_or(u16::MAX).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, number, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (source, destination) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(u16::try_from(transport.len()).unwrap_or(u16::MAX).to_be_bytes());
            frame.extend([number, 64]);
            frame.extend(octets(source));
            frame.extend(octets(destination));
        }
    }
    frame.extend(transport);
    frame
}

/// A transport header and eight bytes of content.
fn transport(transport: Transport) -> Vec<u8> {
    let Transport::Port(protocol, port) = transport else { return vec![0; 16] };
    let mut header: Vec<u8> = CLIENT_PORT.to_be_bytes().into_iter().chain(port.to_be_bytes()).collect();
    match protocol {
        // A SYN without options.
        Protocol::Tcp => header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]),
        Protocol::Udp => header.extend([0, 16, 0, 0]),
        Protocol::Sctp => header.extend([0; 8]),
    }
    header.extend([0; 8]);
    header
}

/// Where a packet is in the kernel.
#[must_use]
pub fn hook(host: HostSide) -> Hook {
    match host {
        HostSide::Neither => Hook::PostRouting,
        HostSide::Source => Hook::LocalOut,
        HostSide::Destination => Hook::LocalIn,
    }
}

/// Whether the kernel's program lets a packet pass.
///
/// # Errors
/// What the kernel said.
pub fn passes(datapath: &Datapath, packet: &Packet) -> io::Result<bool> {
    Ok(datapath.test(&frame(packet), hook(packet.host), 1)?.0)
}
