//! Requests to the kernel by netlink: messages as bytes, attributes in them, and what comes back. Errors are the kernel's.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_DUMP`, `NLM_F_CREATE`, `NLM_F_APPEND`.
pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const ACKNOWLEDGE: u16 = 0x4;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const APPEND: u16 = 0x800;

/// `NLMSG_ERROR`, also of an acknowledgement, and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// Of an attribute's kind: the rest is flags.
const KIND: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

/// A message, or several one after the other.
#[derive(Default)]
pub(crate) struct Messages(Vec<u8>);

impl Messages {
    /// Adds one: its kind, flags, the fixed part, then what `attributes` adds.
    pub(crate) fn add(&mut self, kind: u16, flags: u16, fixed: &[u8], attributes: impl FnOnce(&mut Attributes<'_>)) {
        let begin = self.0.len();
        self.0.extend([0; 4]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend((flags | REQUEST).to_ne_bytes());
        // No numbers: a socket sends one lot of messages at a time and reads all answers.
        self.0.extend([0; 8]);
        self.0.extend(fixed);
        attributes(&mut Attributes(&mut self.0));
        let length = u32::try_from(self.0.len() - begin).unwrap_or(u32::MAX);
        for (byte, value) in self.0.iter_mut().skip(begin).zip(length.to_ne_bytes()) {
            *byte = value;
        }
    }
}

/// The attributes of a message that is being made.
pub(crate) struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    /// One of bytes.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.nested_as(kind, |inner| inner.0.extend(value));
    }

    /// One of text, which ends with a zero.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.nested_as(kind, |inner| inner.0.extend(value.bytes().chain([0])));
    }

    /// One of attributes.
    pub(crate) fn nested(&mut self, kind: u16, attributes: impl FnOnce(&mut Attributes<'_>)) {
        self.nested_as(kind | NESTED, attributes);
    }

    fn nested_as(&mut self, kind: u16, value: impl FnOnce(&mut Attributes<'_>)) {
        let begin = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        value(&mut Attributes(self.0));
        let length = u16::try_from(self.0.len() - begin).unwrap_or(u16::MAX);
        for (byte, value) in self.0.iter_mut().skip(begin).zip(length.to_ne_bytes()) {
            *byte = value;
        }
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// The attributes in bytes: kinds and values. What is cut off is left out.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & KIND, value))
    })
}

/// A number of this machine's order in an attribute.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

/// A text in an attribute.
pub(crate) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// A socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// For interfaces and routes.
    pub(crate) fn of_routes() -> io::Result<Self> {
        // `NETLINK_ROUTE` is 0.
        Self::open(None)
    }

    /// For rules.
    pub(crate) fn of_rules() -> io::Result<Self> {
        Self::open(Some(NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        Ok(Self(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?))
    }

    /// Sends messages and reads what comes back: kinds, and what follows the header. The kernel answers before sending
    /// returns, but for the rest of a long list.
    ///
    /// # Errors
    /// The first error that comes back.
    pub(crate) fn ask(&self, messages: &Messages) -> io::Result<Vec<(u16, Vec<u8>)>> {
        rustix::net::sendto(&self.0, &messages.0, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answers = Vec::new();
        let mut buffer = vec![0_u8; 1 << 16];
        loop {
            let length = match rustix::net::recv(&self.0, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::AGAIN) => return Ok(answers),
                Err(error) => return Err(error.into()),
            };
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((kind, body, next)) = first(rest) {
                match kind {
                    ERROR => refused(body)?,
                    DONE => return Ok(answers),
                    _ => answers.push((kind, body.to_vec())),
                }
                rest = next;
            }
        }
    }
}

/// The first of several messages: its kind, what follows its header, and the others.
fn first(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// `struct nlmsgerr`: a negative number of an error, 0 for an acknowledgement.
fn refused(body: &[u8]) -> io::Result<()> {
    let number = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if number == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(number.wrapping_neg())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut messages = Messages::default();
        messages.add(26, DUMP, &[7; 12], |message| {
            message.text(3, "br0");
            message.nested(18, |inner| {
                inner.bytes(36, &[1]);
                inner.bytes(4, &77_u32.to_ne_bytes());
            });
        });
        messages.add(3, 0, &[], |_| {});
        let (kind, body, rest) = first(&messages.0).unwrap();
        assert_eq!((kind, body.len() % 4, body.get(..12)), (26, 0, Some(&[7; 12][..])));
        let found: Vec<(u16, &[u8])> = attributes(&body[12..]).collect();
        assert_eq!(found[0].0, 3);
        assert_eq!(text(found[0].1), "br0");
        let inner: Vec<(u16, &[u8])> = attributes(found[1].1).collect();
        assert_eq!((found[1].0, inner[0], number(inner[1].1)), (18, (36, &[1][..]), Some(77)));
        let (kind, body, rest) = first(rest).unwrap();
        assert_eq!((kind, body, rest), (3, &[][..], &[][..]));
        assert!(first(rest).is_none());
    }

    #[test]
    fn bytes_that_are_cut_off_are_no_message_and_no_attribute() {
        let mut messages = Messages::default();
        messages.add(1, 0, &[], |message| message.text(1, "long enough"));
        for length in 0..messages.0.len() {
            assert!(first(&messages.0[..length]).is_none_or(|(_, body, _)| body.is_empty()), "{length}");
        }
        assert_eq!(attributes(&[9, 0, 1, 0, 1]).count(), 0);
        // A length of 0 leads nowhere.
        assert_eq!(attributes(&[0; 12]).count(), 0);
    }
}
