//! Clients: many connections at once, and what becomes of each.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use policy_core::model::Protocol;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::listen::raw;
use super::{Network, Place, sctp};

/// Who dials whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Dial {
    /// Where the client is.
    pub from: Place,
    /// The address that it uses; the kernel's choice when `None`, which SCTP does not offer.
    pub source: Option<IpAddr>,
    /// What it dials.
    pub to: SocketAddr,
    /// The protocol.
    pub protocol: Protocol,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A listener answered. It saw this client.
    Answer(SocketAddr),
    /// Nobody answered in time.
    Silence,
    /// The other end has nobody there.
    Refusal,
    /// It could not be sent, or something else came back.
    Failure(String),
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(seen) => write!(f, "an answer to {seen}"),
            Self::Silence => f.write_str("silence"),
            Self::Refusal => f.write_str("a refusal"),
            Self::Failure(what) => f.write_str(what),
        }
    }
}

/// Datagrams are sent again so often: the first ones wait for the address of the next hop.
const AGAIN: Duration = Duration::from_millis(120);
/// So many connections are open at a time.
const AT_ONCE: usize = 1_000;

enum Asking {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Sctp { socket: OwnedFd, to: SocketAddr, port: u16, tag: u32 },
}

impl AsFd for Asking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
            Self::Sctp { socket, .. } => socket.as_fd(),
        }
    }
}

/// Dials all at once and waits until each has been answered, or `patience` is over. The answers are in the order of
/// `dials`.
///
/// # Errors
/// When a place is not in the network, or the kernel refuses to wait.
pub fn ask(network: &Network, dials: &[Dial], patience: Duration) -> io::Result<Vec<Heard>> {
    let mut heard = Vec::with_capacity(dials.len());
    for some in dials.chunks(AT_ONCE) {
        heard.extend(ask_some(network, some, patience)?);
    }
    Ok(heard)
}

fn ask_some(network: &Network, dials: &[Dial], patience: Duration) -> io::Result<Vec<Heard>> {
    let mut heard: Vec<Option<Heard>> = dials.iter().map(|_| None).collect();
    let mut places: BTreeMap<Place, Vec<(usize, Dial)>> = BTreeMap::new();
    for (at, dial) in dials.iter().enumerate() {
        places.entry(dial.from).or_default().push((at, *dial));
    }
    let mut open: Vec<(usize, Asking)> = Vec::new();
    for (place, dials) in places {
        let dial = |(at, dial): &(usize, Dial)| (*at, begin(dial));
        let begun = network.at(place)?.inside(|| dials.iter().map(dial).collect::<Vec<_>>())?;
        for (at, begun) in begun {
            match begun {
                Ok(asking) => open.push((at, asking)),
                Err(error) => note(&mut heard, at, failure(&error)),
            }
        }
    }
    let end = Instant::now() + patience;
    let mut again = Instant::now();
    while !open.is_empty() {
        let now = Instant::now();
        if now >= end {
            break;
        }
        if now >= again {
            open.retain(|(at, asking)| match send(asking) {
                None => true,
                Some(what) => {
                    note(&mut heard, *at, what);
                    false
                }
            });
            again = now + AGAIN;
        }
        let ready = wait(&open, again.min(end).saturating_duration_since(now))?;
        let mut ready = ready.into_iter();
        open.retain_mut(|(at, asking)| match ready.next().unwrap_or_default().then(|| listen(asking)).flatten() {
            None => true,
            Some(what) => {
                note(&mut heard, *at, what);
                false
            }
        });
    }
    for (at, asking) in &open {
        note(&mut heard, *at, unanswered(asking));
    }
    Ok(heard.into_iter().map(|heard| heard.unwrap_or(Heard::Silence)).collect())
}

fn note(heard: &mut [Option<Heard>], at: usize, what: Heard) {
    if let Some(place) = heard.get_mut(at) {
        *place = Some(what);
    }
}

/// Which of them have something to say.
fn wait(open: &[(usize, Asking)], longest: Duration) -> io::Result<Vec<bool>> {
    let mut waiting: Vec<PollFd<'_>> = open.iter().map(|(_, asking)| PollFd::new(asking, PollFlags::IN)).collect();
    let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
    match poll(&mut waiting, Some(&longest)) {
        Ok(_) | Err(Errno::INTR) => Ok(waiting.iter().map(|socket| !socket.revents().is_empty()).collect()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a socket in the namespace of this thread; TCP connects at once.
fn begin(dial: &Dial) -> io::Result<Asking> {
    let unspecified: IpAddr =
        if dial.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = SocketAddr::new(dial.source.unwrap_or(unspecified), 0);
    match dial.protocol {
        Protocol::Tcp => {
            let family = if dial.to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
            rustix::net::bind(&socket, &source)?;
            match rustix::net::connect(&socket, &dial.to) {
                Ok(()) | Err(Errno::INPROGRESS) => Ok(Asking::Tcp(socket.into())),
                Err(error) => Err(error.into()),
            }
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(source)?;
            socket.connect(dial.to)?;
            socket.set_nonblocking(true)?;
            Ok(Asking::Udp(socket))
        }
        Protocol::Sctp => {
            static NEXT: AtomicU16 = AtomicU16::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = 20_000 + number % 40_000;
            Ok(Asking::Sctp { socket: raw(source.ip())?, to: dial.to, port, tag: 0x5000_0000 + u32::from(number) })
        }
    }
}

/// Sends what is to be sent; what came of it, if that is the end.
fn send(asking: &Asking) -> Option<Heard> {
    let result = match asking {
        Asking::Tcp(_) => return None,
        Asking::Udp(socket) => socket.send(b"?").map(drop),
        Asking::Sctp { socket, to, port, tag } => {
            let packet = sctp::open(*port, to.port(), *tag);
            let to = SocketAddr::new(to.ip(), 0);
            rustix::net::sendto(socket, &packet, SendFlags::empty(), &to).map(drop).map_err(Into::into)
        }
    };
    match result {
        Ok(()) => None,
        // The kernel drops what a process of the node itself sends, and says so.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(error) => Some(failure(&error)),
    }
}

/// Reads what came; `None` when it says nothing yet.
fn listen(asking: &mut Asking) -> Option<Heard> {
    let mut buffer = [0_u8; 2048];
    let result = match asking {
        Asking::Tcp(socket) => socket.read(&mut buffer),
        Asking::Udp(socket) => socket.recv(&mut buffer),
        Asking::Sctp { socket, to, port, tag } => {
            let length = match rustix::net::recv(&*socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, length)) => length,
                Err(error) => return heard(Err(error.into())),
            };
            let bytes = sctp::strip(to.ip(), buffer.get(..length)?)?;
            let seen = sctp::read(bytes)?;
            let mine = !seen.opens && seen.destination_port == *port && seen.answers == *tag;
            return mine.then(|| line(&sctp::cookie(bytes).unwrap_or_default()));
        }
    };
    heard(result.map(|length| String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()))
}

fn heard(result: io::Result<String>) -> Option<Heard> {
    match result {
        Ok(text) => Some(line(&text)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => Some(failure(&error)),
    }
}

fn line(text: &str) -> Heard {
    let seen = text.split_whitespace().next().and_then(|word| word.parse().ok());
    seen.map_or_else(|| Heard::Failure(format!("an answer that tells nothing: {text:?}")), Heard::Answer)
}

fn failure(error: &io::Error) -> Heard {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Heard::Refusal,
        io::ErrorKind::TimedOut => Heard::Silence,
        _ => Heard::Failure(error.to_string()),
    }
}

/// What it means that nothing came: a connection that stands got through, and something else is wrong.
fn unanswered(asking: &Asking) -> Heard {
    match asking {
        Asking::Tcp(socket) if socket.peer_addr().is_ok() => {
            Heard::Failure("the connection came about, and nobody spoke".to_owned())
        }
        _ => Heard::Silence,
    }
}
