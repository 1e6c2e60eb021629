//! Work for the path between two places, with each end on a processor of its own: bytes there and back, connections, as
//! much as goes through.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::Namespace;

/// How much is sent and read at once where it is much.
const CHUNK: usize = 128 << 10;
/// How long a transfer runs before it counts: until its window is open.
const WARM_UP: Duration = Duration::from_millis(50);
/// One measurement of a transfer.
const STRETCH: Duration = Duration::from_millis(10);
/// No answer within this time is a failure.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps this thread on one processor.
///
/// # Errors
/// What the kernel said.
pub fn stay_on(processor: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

/// The first two processors that this process may use.
///
/// # Errors
/// `Unsupported` when there is one only, and what the kernel said.
pub fn two_processors() -> io::Result<[usize; 2]> {
    let allowed = sched_getaffinity(None)?;
    let mut processors = (0..CpuSet::MAX_CPU).filter(|at| allowed.is_set(*at));
    match (processors.next(), processors.next()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "two processors are needed, one for each end")),
    }
}

/// Servers on one processor. Each serves one client at a time; they end with the process.
#[derive(Debug)]
pub struct Servers {
    echo: SocketAddr,
    sink: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Servers {
    /// Starts them in a namespace: what comes to the port comes back byte by byte, what comes to the next port is counted.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn start(namespace: &Namespace, at: SocketAddr, processor: usize) -> io::Result<Self> {
        let next = SocketAddr::new(at.ip(), at.port().saturating_add(1));
        let [echo, sink] = [at, next].map(|at| namespace.inside(|| TcpListener::bind(at)));
        let (echo, sink) = (echo??, sink??);
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        let serve = |name: &str, body: Box<dyn Fn() -> io::Result<()> + Send>| {
            let body = move || stay_on(processor).and_then(|()| body());
            thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
        };
        serve("echo", Box::new(move || give_back(&echo)))?;
        serve("sink", Box::new(move || count(&sink, &counter)))?;
        Ok(Self { echo: at, sink: next, received })
    }

    /// One connection, and one byte after the other there and back: nanoseconds of each. For the thread that calls.
    ///
    /// # Errors
    /// What the kernel said; `WouldBlock` when no answer came.
    pub fn bytes(&self, duration: Duration) -> io::Result<Vec<u64>> {
        let mut stream = connect(self.echo)?;
        repeat(duration, || there_and_back(&mut stream))
    }

    /// A connection, one byte there and back, and the connection is reset: nanoseconds of each until the byte is back.
    ///
    /// # Errors
    /// What the kernel said; `WouldBlock` when no answer came.
    pub fn connections(&self, duration: Duration) -> io::Result<Vec<u64>> {
        repeat(duration, || {
            let mut stream = connect(self.echo)?;
            there_and_back(&mut stream)?;
            Ok(set_socket_linger(&stream, Some(Duration::ZERO))?)
        })
    }

    /// As much as goes through one connection: bits a second in each of many short stretches, so that a stretch in which
    /// others had the processors is one of many.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn bulk(&self, duration: Duration) -> io::Result<Vec<f64>> {
        let mut stream = connect(self.sink)?;
        let chunk = vec![0_u8; CHUNK];
        let mut send_for = |duration: Duration| -> io::Result<()> {
            let begun = Instant::now();
            while begun.elapsed() < duration {
                stream.write_all(&chunk)?;
            }
            Ok(())
        };
        send_for(WARM_UP)?;
        let begun = Instant::now();
        let mut rates = Vec::new();
        while begun.elapsed() < duration {
            let (before, since) = (self.received.load(Ordering::Relaxed), Instant::now());
            send_for(STRETCH)?;
            let bytes = self.received.load(Ordering::Relaxed) - before;
            rates.push(bytes as f64 * 8.0 / since.elapsed().as_secs_f64());
        }
        Ok(rates)
    }
}

fn give_back(listener: &TcpListener) -> io::Result<()> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        // A client that goes away is the end of its connection.
        while there(&mut stream).is_ok() {}
    }
    Ok(())
}

fn there(stream: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    stream.write_all(&byte)
}

fn count(listener: &TcpListener, received: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0_u8; CHUNK];
    for stream in listener.incoming() {
        let mut stream = stream?;
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            received.fetch_add(length as u64, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn there_and_back(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&[0])?;
    stream.read_exact(&mut [0])
}

fn repeat(duration: Duration, mut work: impl FnMut() -> io::Result<()>) -> io::Result<Vec<u64>> {
    let begun = Instant::now();
    let mut taken = Vec::new();
    let mut last = begun;
    while last - begun < duration {
        work()?;
        let now = Instant::now();
        taken.push(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
        last = now;
    }
    Ok(taken)
}
