//! Traffic that goes on while something else happens.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tests::netns::Place;

use super::stage::{Stage, V, address, at};

/// What became of datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Count {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
}

/// Datagrams from one place to another, until [`end`](Self::end).
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Count>,
}

impl Stream {
    /// Each datagram waits for its answer: none may be lost.
    pub(crate) fn open(stage: &Stage, from: Place, to: SocketAddr) -> Self {
        Self::start(stage, from, to, Duration::from_secs(2))
    }

    /// Nobody is expected to answer, and nobody waits for it.
    pub(crate) fn closed(stage: &Stage, from: Place, to: SocketAddr) -> Self {
        Self::start(stage, from, to, Duration::from_micros(200))
    }

    fn start(stage: &Stage, from: Place, to: SocketAddr, patience: Duration) -> Self {
        let source = address(from, if to.is_ipv4() { V::Four } else { V::Six });
        let bind = || UdpSocket::bind((source, 0)).unwrap();
        let socket = stage.network.at(from).unwrap().inside(bind).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut count = Count::default();
            let mut buffer = [0; 256];
            while !stopped.load(Ordering::Relaxed) {
                socket.send(b"?").unwrap();
                count.sent += 1;
                count.answered += u64::from(socket.recv(&mut buffer).is_ok());
                thread::sleep(Duration::from_micros(300));
            }
            count
        });
        Self { stop, thread }
    }

    /// Ends it.
    pub(crate) fn end(self) -> Count {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Streams of which one end is open and the other closed, and that must stay so.
pub(crate) struct Streams {
    open: Vec<Stream>,
    closed: Vec<Stream>,
}

impl Streams {
    pub(crate) fn start(stage: &Stage, open: &[(Place, SocketAddr)], closed: &[(Place, SocketAddr)]) -> Self {
        Self {
            open: open.iter().map(|(from, to)| Stream::open(stage, *from, *to)).collect(),
            closed: closed.iter().map(|(from, to)| Stream::closed(stage, *from, *to)).collect(),
        }
    }

    /// Ends them: of the open ones every datagram was answered, of the closed ones none, and there were at least so many
    /// of each.
    pub(crate) fn end(self, least: u64) {
        for count in self.open.into_iter().map(Stream::end) {
            assert_eq!(count.answered, count.sent, "datagrams of an open stream were lost");
            assert!(count.sent >= least, "only {count:?}");
        }
        for count in self.closed.into_iter().map(Stream::end) {
            assert_eq!(count.answered, 0, "a closed stream was answered: {count:?}");
            assert!(count.sent >= least, "only {count:?}");
        }
    }
}

/// Where floods go.
const PORT: u16 = 5000;

/// Datagrams, tens of thousands a second, which nobody is expected to get.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
    receiver: UdpSocket,
}

impl Flood {
    pub(crate) fn start(stage: &Stage, from: Place, to: Place, family: V) -> Self {
        let bind = |place, port| {
            let bind = move || UdpSocket::bind(SocketAddr::new(address(place, family), port)).unwrap();
            stage.network.at(place).unwrap().inside(bind).unwrap()
        };
        let (sender, receiver) = (bind(from, 0), bind(to, PORT));
        receiver.set_nonblocking(true).unwrap();
        sender.connect(at(to, family, PORT)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                sender.send(b"?").unwrap();
                sent += 1;
                // A processor that does nothing else keeps the kernel from noticing that packets are through.
                if sent % 64 == 0 {
                    thread::sleep(Duration::from_micros(50));
                }
            }
            sent
        });
        Self { stop, thread, receiver }
    }

    /// How many came, until now and since the last time: the socket keeps some hundred of them.
    pub(crate) fn arrived(&self) -> usize {
        let mut buffer = [0; 16];
        std::iter::from_fn(|| self.receiver.recv(&mut buffer).ok()).count()
    }

    /// Ends it: how many were sent.
    pub(crate) fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
