//! What must hold in a network namespace before anybody claims to enforce there: the kernel follows connections, and packets
//! between pods of one bridge pass netfilter.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;

use policy_core::model::Family;

use crate::netlink::{ACKNOWLEDGE, APPEND, Attributes, CREATE, DUMP, Messages, Socket, attributes, number, text};

/// The table that stands for what is pinned.
const TABLE: &str = "portolan";

/// Something without which packets would not be judged as policies say: what it is, and what helps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lack {
    /// What was found.
    pub found: String,
    /// What to do.
    pub help: String,
}

/// A rule of our own for which the kernel follows connections here, whatever rules others have. It is in a chain that
/// no packet passes, and goes with this value or with the process, however that ends.
#[derive(Debug)]
pub struct Followed {
    _owner: Socket,
}

impl Followed {
    /// Makes it, in the network namespace of this thread.
    ///
    /// # Errors
    /// What the kernel said; it has no `nf_tables`, or no conntrack.
    pub fn hold() -> io::Result<Self> {
        // A table with an owner goes with the owner's socket, and nobody else can flush it.
        const OWNED: u32 = 2;
        let socket = Socket::of_rules()?;
        socket.ask(&rule(&format!("{TABLE}-{}", std::process::id()), OWNED))?;
        Ok(Self { _owner: socket })
    }

    /// Makes one that stays until [`release`](Self::release).
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub fn keep() -> io::Result<()> {
        Socket::of_rules()?.ask(&rule(TABLE, 0)).map(drop)
    }

    /// Takes away the one that stays, if it is there.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn release() -> io::Result<()> {
        let removed =
            Socket::of_rules().and_then(|socket| socket.ask(&batch(|messages| remove_table(messages, TABLE))));
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // A kernel without such rules has none of ours.
            Err(error) if [libc::EOPNOTSUPP, libc::EPROTONOSUPPORT].map(Some).contains(&error.raw_os_error()) => Ok(()),
            result => result.map(drop),
        }
    }
}

/// `NFNL_SUBSYS_NFTABLES`, and its messages.
const NFTABLES: u16 = 10;
const NEW_TABLE: u16 = 0;
const REMOVE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
/// `NFPROTO_INET`: IPv4 and IPv6.
const INET: u8 = 1;

/// A table with one rule that reads the state of a connection, in place of what the table held.
fn rule(table: &str, flags: u32) -> Messages {
    const CHAIN: &str = "follow";
    batch(|messages| {
        if flags == 0 {
            new_table(messages, table, flags);
            remove_table(messages, table);
        }
        new_table(messages, table, flags);
        to_nftables(messages, NEW_CHAIN, CREATE, |chain| {
            chain.text(1, table);
            chain.text(3, CHAIN);
        });
        to_nftables(messages, NEW_RULE, CREATE | APPEND, |rule| {
            rule.text(1, table);
            rule.text(2, CHAIN);
            rule.nested(4, |expressions| {
                // Into register 1: key 0, the state.
                expression(expressions, "ct", |ct| {
                    ct.bytes(1, &1_u32.to_be_bytes());
                    ct.bytes(2, &0_u32.to_be_bytes());
                });
                // Whether it is 1, no connection. Without a comparison `nft` would list an empty rule.
                expression(expressions, "cmp", |cmp| {
                    cmp.bytes(1, &1_u32.to_be_bytes());
                    cmp.bytes(2, &0_u32.to_be_bytes());
                    cmp.nested(3, |data| data.bytes(1, &1_u32.to_ne_bytes()));
                });
            });
        });
    })
}

fn expression(expressions: &mut Attributes<'_>, name: &str, data: impl FnOnce(&mut Attributes<'_>)) {
    expressions.nested(1, |expression| {
        expression.text(1, name);
        expression.nested(2, data);
    });
}

fn new_table(messages: &mut Messages, name: &str, flags: u32) {
    to_nftables(messages, NEW_TABLE, CREATE, |table| {
        table.text(1, name);
        table.bytes(2, &flags.to_be_bytes());
    });
}

fn remove_table(messages: &mut Messages, name: &str) {
    to_nftables(messages, REMOVE_TABLE, 0, |table| table.text(1, name));
}

fn to_nftables(messages: &mut Messages, message: u16, flags: u16, attributes: impl FnOnce(&mut Attributes<'_>)) {
    messages.add(NFTABLES << 8 | message, flags | ACKNOWLEDGE, &[INET, 0, 0, 0], attributes);
}

/// All or nothing.
fn batch(body: impl FnOnce(&mut Messages)) -> Messages {
    const BEGIN: u16 = 0x10;
    const END: u16 = 0x11;
    let [high, low] = NFTABLES.to_be_bytes();
    let mut messages = Messages::default();
    messages.add(BEGIN, 0, &[0, 0, high, low], |_| {});
    body(&mut messages);
    messages.add(END, 0, &[0, 0, high, low], |_| {});
    messages
}

/// A Linux bridge, and whether it hands packets to netfilter by itself, by family.
struct Bridge {
    index: u32,
    name: String,
    calls: [bool; 2],
}

fn bridges(socket: &Socket) -> io::Result<Vec<Bridge>> {
    const GET_LINK: u16 = 18;
    let mut all = Messages::default();
    all.add(GET_LINK, DUMP, &[0; 16], |_| {});
    Ok(socket.ask(&all)?.iter().filter_map(|(_, link)| bridge(link)).collect())
}

/// `struct ifinfomsg` with `IFLA_IFNAME` and `IFLA_LINKINFO`; `None` for what is no bridge.
fn bridge(link: &[u8]) -> Option<Bridge> {
    const FIXED: usize = 16;
    let index = number(link.get(4..8)?)?;
    let (mut name, mut is_bridge, mut calls) = (String::new(), false, [false; 2]);
    for (kind, value) in attributes(link.get(FIXED..)?) {
        match kind {
            3 => name = text(value),
            18 => {
                for (kind, value) in attributes(value) {
                    match kind {
                        1 => is_bridge = text(value) == "bridge",
                        // IFLA_BR_NF_CALL_IPTABLES and IFLA_BR_NF_CALL_IP6TABLES.
                        2 => {
                            let on = |wanted| attributes(value).any(|(kind, value)| kind == wanted && value == [1]);
                            calls = [on(36), on(37)];
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    is_bridge.then_some(Bridge { index, name, calls })
}

/// The interface by which an address is reached; `None` when there is no way.
fn way_to(socket: &Socket, address: IpAddr) -> io::Result<Option<u32>> {
    const GET_ROUTE: u16 = 26;
    const OUT: u16 = 4;
    let (family, bytes) = match address {
        IpAddr::V4(address) => (2, address.octets().to_vec()),
        IpAddr::V6(address) => (10, address.octets().to_vec()),
    };
    let mut fixed = [0; 12];
    for (byte, value) in fixed.iter_mut().zip([family, if address.is_ipv4() { 32 } else { 128 }]) {
        *byte = value;
    }
    let mut question = Messages::default();
    question.add(GET_ROUTE, 0, &fixed, |route| route.bytes(1, &bytes));
    match socket.ask(&question) {
        Ok(answers) => {
            let routes = answers.iter().filter_map(|(_, route)| route.get(fixed.len()..));
            Ok(routes.flat_map(attributes).find(|(kind, _)| *kind == OUT).and_then(|(_, value)| number(value)))
        }
        Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::HostUnreachable => Ok(None),
        Err(error) => Err(error),
    }
}

/// A switch of `br_netfilter` that bridged packets of a family need, and that is off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Switch {
    /// The setting, as `sysctl` calls it.
    pub name: &'static str,
    /// The bridge that has pods of the node behind it.
    pub bridge: String,
}

impl Switch {
    fn path(name: &str) -> String {
        format!("/proc/sys/{}", name.replace('.', "/"))
    }

    /// Switches it on, in the network namespace of this process. It stays on.
    ///
    /// # Errors
    /// What the kernel said; `NotFound` when `br_netfilter` is not loaded.
    pub fn set(&self) -> io::Result<()> {
        fs::write(Self::path(self.name), "1")
    }

    /// What it means that it is off.
    #[must_use]
    pub fn lack(&self) -> Lack {
        let found =
            format!("pods are on the bridge {}, and {} is not 1: they bypass netfilter", self.bridge, self.name);
        let help = if fs::exists(Self::path(self.name)).unwrap_or_default() {
            format!("`--set-sysctls`, or: sysctl -w {}=1", self.name)
        } else {
            "modprobe br_netfilter".to_owned()
        };
        Lack { found, help }
    }
}

/// The switches that pods with these addresses need and do not have. A setting that is off does not matter where no bridge
/// leads to a pod.
///
/// # Errors
/// What the kernel said.
pub fn switched_past_netfilter(pods: impl Iterator<Item = IpAddr>) -> io::Result<Vec<Switch>> {
    let socket = Socket::of_routes()?;
    let bridges = bridges(&socket)?;
    let mut found: Vec<Switch> = Vec::new();
    if bridges.is_empty() {
        return Ok(found);
    }
    let mut looked_at = BTreeSet::new();
    for pod in pods {
        let Some(way) = way_to(&socket, pod)? else { continue };
        let Some(bridge) = bridges.iter().find(|bridge| bridge.index == way) else { continue };
        let family = Family::of(pod);
        if !looked_at.insert((bridge.index, family)) {
            continue;
        }
        let [v4, v6] = bridge.calls;
        let (name, by_itself) = match family {
            Family::V4 => ("net.bridge.bridge-nf-call-iptables", v4),
            Family::V6 => ("net.bridge.bridge-nf-call-ip6tables", v6),
        };
        let is_on = match fs::read_to_string(Switch::path(name)) {
            Ok(text) => text.trim() == "1",
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_on && !by_itself {
            found.push(Switch { name, bridge: bridge.name.clone() });
        }
    }
    Ok(found)
}
