//! Listeners: they tell whoever speaks to them as whom they see him.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use policy_core::model::Protocol;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

use super::{Network, Place, sctp};

/// Somewhere to listen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Listen {
    /// Where.
    pub place: Place,
    /// The address, which is one of that place, and the port.
    pub at: SocketAddr,
    /// The protocol.
    pub protocol: Protocol,
}

/// Sockets that answer, until this value is dropped.
///
/// - TCP: the address of the client as it is seen, and a line feed; then everything comes back as it was sent.
/// - UDP: the same line for every datagram, made as long as the datagram was.
/// - SCTP: an association is answered as if it were to come about, with the address in the cookie.
#[derive(Debug)]
pub struct Listeners {
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

enum Served {
    Tcp(TcpListener),
    Udp(UdpSocket),
    Sctp { socket: OwnedFd, address: IpAddr, ports: BTreeSet<u16> },
    Connection(TcpStream),
}

impl AsFd for Served {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
            Self::Sctp { socket, .. } => socket.as_fd(),
            Self::Connection(socket) => socket.as_fd(),
        }
    }
}

impl Listeners {
    /// Opens them all.
    ///
    /// # Errors
    /// When a place is not in the network, or the kernel refuses a socket.
    pub fn open(network: &Network, wanted: &BTreeSet<Listen>) -> io::Result<Self> {
        let mut places: BTreeMap<Place, Vec<Listen>> = BTreeMap::new();
        for listen in wanted {
            places.entry(listen.place).or_default().push(*listen);
        }
        let mut served = Vec::new();
        for (place, listens) in places {
            served.extend(network.at(place)?.inside(|| sockets(&listens))??);
        }
        let (stop, stopped) = UnixStream::pair()?;
        let serve = move || {
            // Without its listeners every question fails, which shows.
            let _ = serve(served, &stopped);
        };
        let thread = thread::Builder::new().name("listeners".to_owned()).spawn(serve)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        // A thread that has ended needs no word.
        let _ = self.stop.write_all(&[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The sockets of one place.
fn sockets(listens: &[Listen]) -> io::Result<Vec<Served>> {
    let mut served = Vec::new();
    let mut associations: BTreeMap<IpAddr, BTreeSet<u16>> = BTreeMap::new();
    for Listen { at, protocol, .. } in listens {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("no listener at {protocol} {at}: {error}"));
        match protocol {
            Protocol::Tcp => {
                let socket = TcpListener::bind(at).map_err(told)?;
                socket.set_nonblocking(true)?;
                served.push(Served::Tcp(socket));
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(at).map_err(told)?;
                socket.set_nonblocking(true)?;
                served.push(Served::Udp(socket));
            }
            Protocol::Sctp => drop(associations.entry(at.ip()).or_default().insert(at.port())),
        }
    }
    for (address, ports) in associations {
        served.push(Served::Sctp { socket: raw(address)?, address, ports });
    }
    Ok(served)
}

/// A raw socket for SCTP at an address of this namespace.
pub(super) fn raw(address: IpAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::RAW, flags, Some(ipproto::SCTP))?;
    rustix::net::bind(&socket, &SocketAddr::new(address, 0))?;
    Ok(socket)
}

fn serve(mut served: Vec<Served>, stopped: &UnixStream) -> io::Result<()> {
    loop {
        let mut waiting = vec![PollFd::new(stopped, PollFlags::IN)];
        waiting.extend(served.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        match poll(&mut waiting, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = waiting.iter().map(|socket| !socket.revents().is_empty());
        if ready.next() == Some(true) {
            return Ok(());
        }
        let ready: Vec<bool> = ready.collect();
        let mut new = Vec::new();
        let mut kept = Vec::new();
        for (mut socket, is_ready) in served.into_iter().zip(ready) {
            if !is_ready || answer(&mut socket, &mut new) {
                kept.push(socket);
            }
        }
        kept.extend(new);
        served = kept;
    }
}

/// Does what a ready socket asks for; whether it is to be kept. What goes wrong with one client is his to notice.
fn answer(socket: &mut Served, new: &mut Vec<Served>) -> bool {
    let mut buffer = [0_u8; 65_536];
    match socket {
        Served::Tcp(listener) => {
            while let Ok((mut client, peer)) = listener.accept() {
                let greeted = client.write_all(format!("{peer}\n").as_bytes());
                if greeted.and_then(|()| client.set_nonblocking(true)).is_ok() {
                    new.push(Served::Connection(client));
                }
            }
        }
        Served::Udp(socket) => {
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let mut line = format!("{peer}\n").into_bytes();
                line.resize(line.len().max(length), b' ');
                let _ = socket.send_to(&line, peer);
            }
        }
        Served::Sctp { socket, address, ports } => {
            while let Ok((_, length, Some(peer))) =
                rustix::net::recvfrom(&*socket, buffer.as_mut_slice(), RecvFlags::empty())
            {
                let seen = buffer.get(..length).and_then(|bytes| sctp::read(sctp::strip(*address, bytes)?));
                let Some(seen) = seen.filter(|seen| seen.opens && ports.contains(&seen.destination_port)) else {
                    continue;
                };
                let Ok(peer) = SocketAddr::try_from(peer) else { continue };
                let whom = SocketAddr::new(peer.ip(), seen.source_port);
                let back = SocketAddr::new(peer.ip(), 0);
                let _ = rustix::net::sendto(&*socket, &sctp::answer(seen, whom), SendFlags::empty(), &back);
            }
        }
        Served::Connection(client) => match client.read(&mut buffer) {
            Ok(0) => return false,
            Ok(length) => return buffer.get(..length).is_some_and(|bytes| client.write_all(bytes).is_ok()),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        },
    }
    true
}
