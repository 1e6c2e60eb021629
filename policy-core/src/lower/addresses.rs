//! Addresses and CIDRs as Kubernetes reads them: more forgiving than the texts that they should be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::model::Name;
use crate::source::Spanned;

/// Reads one address. An IPv4 address in IPv6 clothes (`::ffff:10.0.0.1`) is the IPv4 address, with a warning.
pub(super) fn parse_ip(text: &Spanned<Name>, context: &mut Context) -> Option<IpAddr> {
    let written: IpAddr = text.value.parse().ok()?;
    let plain = written.to_canonical();
    if plain != written {
        let message = format!("`{}` is an IPv4 address in IPv6 form", text.value);
        context.report(Diagnostic::warning("IN-19", text.span, message).help(format!("read as `{plain}`")));
    }
    Some(plain)
}

/// What is odd about a CIDR that is nevertheless understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Oddity {
    /// Bits behind the prefix are set: `10.0.0.5/24`.
    HostBits,
    /// IPv4 in IPv6 clothes: `::ffff:10.0.0.0/104`.
    Mapped,
    /// Numbers with leading zeros, read as decimal: `10.01.0.0/16`.
    LeadingZeros,
}

impl Oddity {
    /// What it is, for people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::HostBits => "has bits set behind its prefix",
            Self::Mapped => "is an IPv4 block in IPv6 form",
            Self::LeadingZeros => "has numbers with leading zeros",
        }
    }
}

/// Reads a CIDR as the API server stores it: host bits masked, IPv4-mapped blocks as IPv4, leading zeros decimal
/// (NP-31). `None` when it is no CIDR.
pub(super) fn parse_cidr(text: &str) -> Option<(IpNet, Option<Oddity>)> {
    let (address, prefix) = text.split_once('/')?;
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let zeros = prefix.len() > 1 && prefix.starts_with('0');
    let prefix: u8 = prefix.parse().ok()?;
    if address.contains(':') {
        let (net, oddity) = parse_v6(address.parse().ok()?, prefix)?;
        return Some((net, oddity.or(zeros.then_some(Oddity::LeadingZeros))));
    }
    let (address, zeros_in_address) = parse_v4(address)?;
    let net = Ipv4Net::new(address, prefix).ok()?;
    let oddity = if net.network() != address {
        Some(Oddity::HostBits)
    } else {
        (zeros || zeros_in_address).then_some(Oddity::LeadingZeros)
    };
    Some((IpNet::V4(net.trunc()), oddity))
}

fn parse_v6(address: Ipv6Addr, prefix: u8) -> Option<(IpNet, Option<Oddity>)> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        let net = Ipv4Net::new(mapped, prefix.checked_sub(96)?).ok()?;
        return Some((IpNet::V4(net.trunc()), Some(Oddity::Mapped)));
    }
    let net = Ipv6Net::new(address, prefix).ok()?;
    Some((IpNet::V6(net.trunc()), (net.network() != address).then_some(Oddity::HostBits)))
}

/// Four decimal numbers, and whether one has leading zeros.
fn parse_v4(text: &str) -> Option<(Ipv4Addr, bool)> {
    let mut octets = [0u8; 4];
    let mut zeros = false;
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        zeros |= part.len() > 1 && part.starts_with('0');
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then_some((Ipv4Addr::from(octets), zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Option<Oddity>)> {
        parse_cidr(text).map(|(net, oddity)| (net.to_string(), oddity))
    }

    #[test]
    fn plain_cidrs_are_read_without_remark() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "::/0", "fd00:1::/64", "fd00::1/128"] {
            assert_eq!(read(text), Some((text.to_owned(), None)));
        }
    }

    #[test]
    fn tolerated_forms_are_masked_and_named() {
        // NP-31, TV-40
        let plain = |text: &str, oddity| Some((text.to_owned(), Some(oddity)));
        assert_eq!(read("10.0.0.5/24"), plain("10.0.0.0/24", Oddity::HostBits));
        assert_eq!(read("fd00::5/64"), plain("fd00::/64", Oddity::HostBits));
        assert_eq!(read("::ffff:10.0.0.0/104"), plain("10.0.0.0/8", Oddity::Mapped));
        assert_eq!(read("10.010.0.0/16"), plain("10.10.0.0/16", Oddity::LeadingZeros));
        assert_eq!(read("10.0.0.0/08"), plain("10.0.0.0/8", Oddity::LeadingZeros));
    }

    #[test]
    fn everything_else_is_refused() {
        // NP-31
        let bad = [
            "",
            "/",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0/24",
            "10.0.0.0.0/24",
            "10.0.0.256/24",
            "+1.0.0.0/8",
            "10.0.0.0/+8",
            "fd00::/129",
            "fd00::%eth0/64",
            "::ffff:10.0.0.0/90",
            " 10.0.0.0/8",
            "10.0.0.0/8 ",
            "any",
        ];
        for text in bad {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
