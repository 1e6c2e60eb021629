//! What kube-proxy does, as rules of `nft`: destinations are translated, and sources where they must be.

use std::fmt::Write as _;
use std::net::SocketAddr;

use policy_core::model::Protocol;

/// A port of a Service, and the pod behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// The protocol.
    pub protocol: Protocol,
    /// The Service's own address and port.
    pub at: SocketAddr,
    /// Its port on every node.
    pub node_port: Option<u16>,
    /// Whether a node puts its own address in the place of who comes by the node port (NP-24); not under
    /// `externalTrafficPolicy: Local` (NP-25).
    pub masquerade: bool,
    /// The endpoint, of the same family.
    pub endpoint: SocketAddr,
}

/// Rules for a node, in the language of `nft -f`. Who reaches himself comes back with the node's address (NP-18).
#[must_use]
pub fn kube_proxy(services: &[Forwarded]) -> String {
    let mut translate = String::new();
    let mut hairpin = String::new();
    for Forwarded { protocol, at, node_port, masquerade, endpoint } in services {
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        let (family, nfproto) = if endpoint.is_ipv4() { ("ip", "ipv4") } else { ("ip6", "ipv6") };
        let to = format!("dnat {family} to {endpoint}");
        // Writing into a String cannot fail.
        let _ = writeln!(translate, "{family} daddr {} {protocol} dport {} {to}", at.ip(), at.port());
        if let Some(port) = node_port {
            let mark = if *masquerade { "meta mark set 0x4000 " } else { "" };
            let _ =
                writeln!(translate, "meta nfproto {nfproto} fib daddr type local {protocol} dport {port} {mark}{to}");
        }
        let _ = writeln!(hairpin, "{family} saddr {0} {family} daddr {0} masquerade", endpoint.ip());
    }
    format!(
        "table inet services {{
            chain translate {{
                {translate}
            }}
            chain incoming {{ type nat hook prerouting priority -100; jump translate; }}
            chain own {{ type nat hook output priority -100; jump translate; }}
            chain outgoing {{
                type nat hook postrouting priority 100;
                meta mark 0x4000 masquerade
                {hairpin}
            }}
        }}"
    )
}
