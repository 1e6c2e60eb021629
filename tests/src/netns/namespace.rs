//! One network namespace.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// A network namespace without a name. The kernel takes it down, with every interface and program in it, when nobody
/// holds it any more.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

/// What holds in every namespace: it forwards, addresses are used at once, and sources are not checked by routes.
const SETTINGS: [(&str, &str); 8] = [
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
];

impl Namespace {
    /// Makes one. Its loopback interface is down.
    ///
    /// # Errors
    /// What the kernel said; without root it refuses.
    pub fn new() -> io::Result<Self> {
        let make = || -> io::Result<Self> {
            #[expect(
                deprecated,
                reason = "it is unsafe for `FILES`, which takes descriptors apart; `NEWNET` does not"
            )]
            rustix::thread::unshare(UnshareFlags::NEWNET)?;
            let namespace = Self { fd: fs::File::open("/proc/thread-self/ns/net")?.into() };
            SETTINGS.iter().try_for_each(|(name, value)| set_here(name, value))?;
            Ok(namespace)
        };
        on_a_thread(make)?
    }

    /// Runs `body` on a thread that is in this namespace. Sockets that it makes, and processes that it starts, stay there.
    ///
    /// # Errors
    /// When the thread cannot be started or may not enter.
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_a_thread(|| {
            move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(body())
        })?
    }

    /// Sets a value below `/proc/sys/net`.
    ///
    /// # Errors
    /// What the kernel said; `NotFound` when it has no such setting.
    pub fn set(&self, name: &str, value: &str) -> io::Result<()> {
        self.inside(|| set_here(name, value))?
    }

    /// Where other processes find it, as long as this one lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()))
    }
}

fn set_here(name: &str, value: &str) -> io::Result<()> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("/proc/sys/net/{name}: {error}"));
    fs::write(format!("/proc/sys/net/{name}"), value).map_err(told)
}

/// A thread of its own: where it goes, nobody else is taken along.
fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("in-netns".to_owned()).spawn_scoped(scope, body)?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}
