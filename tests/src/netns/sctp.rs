//! SCTP by hand, for kernels without SCTP sockets: the packet that opens an association and the one that answers it
//! (RFC 9260), over raw sockets.

use std::net::{IpAddr, SocketAddr};

/// The chunk that opens an association.
const INIT: u8 = 1;
/// Its answer.
const INIT_ACK: u8 = 2;

/// What is read of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) opens: bool,
    /// The tag by which the sender wants to be answered.
    pub(super) tag: u32,
    /// The tag of whom it answers; 0 in a packet that opens.
    pub(super) answers: u32,
}

/// A packet that opens an association.
pub(super) fn open(source_port: u16, destination_port: u16, tag: u32) -> Vec<u8> {
    packet(source_port, destination_port, 0, INIT, tag, &[])
}

/// The answer to it; `whom` is the sender as it was seen, and goes into the cookie.
pub(super) fn answer(seen: Seen, whom: SocketAddr) -> Vec<u8> {
    let mut cookie = whom.to_string().into_bytes();
    let length = u16::try_from(cookie.len() + 4).unwrap_or(4);
    cookie.resize(cookie.len().next_multiple_of(4), 0);
    // Parameter 7: the state cookie.
    let parameter: Vec<u8> = [0, 7].into_iter().chain(length.to_be_bytes()).chain(cookie).collect();
    packet(seen.destination_port, seen.source_port, seen.tag, INIT_ACK, !seen.tag, &parameter)
}

/// Reads a packet from its SCTP header on; `None` when it neither opens nor answers.
pub(super) fn read(bytes: &[u8]) -> Option<Seen> {
    let half = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let opens = match *bytes.get(12)? {
        INIT => true,
        INIT_ACK => false,
        _ => return None,
    };
    Some(Seen { source_port: half(0)?, destination_port: half(2)?, opens, tag: word(16)?, answers: word(4)? })
}

/// The cookie of an answer, as text.
pub(super) fn cookie(bytes: &[u8]) -> Option<String> {
    let length = u16::from_be_bytes(bytes.get(34..36)?.try_into().ok()?);
    let text = bytes.get(36..32 + usize::from(length))?;
    String::from_utf8(text.to_vec()).ok()
}

/// What a raw socket hands over, from the SCTP header on: with IPv4 it begins with the IP header.
pub(super) fn strip(address: IpAddr, bytes: &[u8]) -> Option<&[u8]> {
    match address {
        IpAddr::V4(_) => bytes.get(usize::from(bytes.first()? & 0xf) * 4..),
        IpAddr::V6(_) => Some(bytes),
    }
}

fn packet(from: u16, to: u16, verification: u32, kind: u8, tag: u32, parameters: &[u8]) -> Vec<u8> {
    let mut packet: Vec<u8> = from.to_be_bytes().into_iter().chain(to.to_be_bytes()).collect();
    packet.extend(verification.to_be_bytes());
    packet.extend([0; 4]);
    let length = u16::try_from(20 + parameters.len()).unwrap_or(20);
    packet.extend([kind, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend(tag.to_be_bytes());
    // A window of 64 KiB, ten streams each way, the first number.
    packet.extend([0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1]);
    packet.extend(parameters);
    let sum = crc32c(&packet).to_le_bytes();
    for (byte, value) in packet.iter_mut().skip(8).zip(sum) {
        *byte = value;
    }
    packet
}

/// The checksum of SCTP, bit by bit: packets are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_answers_the_opening() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let opening = read(&open(40_000, 80, 7)).unwrap();
        assert_eq!(opening, Seen { source_port: 40_000, destination_port: 80, opens: true, tag: 7, answers: 0 });
        let whom = "[fd00::1]:40000".parse().unwrap();
        let bytes = answer(opening, whom);
        let answered = read(&bytes).unwrap();
        assert_eq!((answered.destination_port, answered.opens, answered.answers), (40_000, false, 7));
        assert_eq!(cookie(&bytes).unwrap().parse(), Ok(whom));
    }
}
