//! Ping: ICMP over raw sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

use super::{Network, Place, sctp};

/// By this number an answer is known to be to us; namespaces keep others apart.
const ID: [u8; 2] = [0x70, 0x6f];

/// Whether an echo request from a place is answered in time.
///
/// # Errors
/// When the place is not in the network, or the kernel refuses the socket or the packet.
pub fn ping(network: &Network, from: Place, to: IpAddr, patience: Duration) -> io::Result<bool> {
    let socket = network.at(from)?.inside(|| socket(to))??;
    let end = Instant::now() + patience;
    let mut again = Instant::now();
    while Instant::now() < end {
        if Instant::now() >= again {
            match rustix::net::sendto(&socket, &request(to), SendFlags::empty(), &SocketAddr::new(to, 0)) {
                // The kernel drops what a process of the node itself sends, and says so.
                Ok(_) | Err(Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
            again += Duration::from_millis(100);
        }
        if answered(&socket, to)? {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(false)
}

fn socket(to: IpAddr) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    Ok(rustix::net::socket_with(family, SocketType::RAW, flags, Some(protocol))?)
}

/// An echo request; the kernel fills in the checksum of ICMPv6 alone.
fn request(to: IpAddr) -> [u8; 8] {
    let [a, b] = ID;
    match to {
        IpAddr::V6(_) => [128, 0, 0, 0, a, b, 0, 1],
        IpAddr::V4(_) => {
            let sum = 0x0800_u16 + u16::from_be_bytes(ID) + 1;
            let [high, low] = (!sum).to_be_bytes();
            [8, 0, high, low, a, b, 0, 1]
        }
    }
}

fn answered(socket: &OwnedFd, to: IpAddr) -> io::Result<bool> {
    let mut buffer = [0_u8; 2048];
    loop {
        let length = match rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((_, length)) => length,
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let message = buffer.get(..length).and_then(|bytes| sctp::strip(to, bytes)).unwrap_or_default();
        let kind = if to.is_ipv4() { 0 } else { 129 };
        if message.first() == Some(&kind) && message.get(4..6) == Some(&ID) {
            return Ok(true);
        }
    }
}
