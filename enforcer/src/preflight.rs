//! Whether a node could run the data path. Pure: [`Facts`] in, [`Preflight`] out.
//!
//! The data path is a netfilter BPF program that reads the kernel's own connection tracking. Each
//! check is one thing without which it would not load, not see packets, or take replies for new connections.

use serde::Serialize;

use crate::facts::Facts;

/// The first kernel with netfilter BPF programs.
const FIRST_KERNEL: (u32, u32) = (6, 4);

/// Where BPF objects are pinned, so that enforcement outlives the agent.
const BPFFS: &str = "/sys/fs/bpf";

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it must be.
    Ok,
    /// Not as it must be.
    Missing,
    /// What the node shows does not settle it. Counts against readiness.
    Unsure,
}

impl Status {
    /// `ok`, `missing` or `unsure`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Unsure => "unsure",
        }
    }
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// Its name, stable.
    pub name: &'static str,
    /// How it went.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do, unless it is fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<&'static str>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), help: None }
    }

    fn missing(name: &'static str, found: impl Into<String>, help: &'static str) -> Self {
        Self { name, status: Status::Missing, found: found.into(), help: Some(help) }
    }

    fn unsure(name: &'static str, found: impl Into<String>, help: &'static str) -> Self {
        Self { name, status: Status::Unsure, found: found.into(), help: Some(help) }
    }
}

/// The judgement of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Preflight {
    /// Whether every check is [`Status::Ok`].
    pub ready: bool,
    /// The checks, in a fixed order.
    pub checks: Vec<Check>,
}

impl Preflight {
    /// Judges a node.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let checks = vec![
            kernel(facts),
            btf(facts),
            netfilter_bpf(facts),
            bpffs(facts),
            conntrack(facts),
            bridge(facts),
            privileges(facts),
        ];
        Self { ready: checks.iter().all(|check| check.status == Status::Ok), checks }
    }
}

fn kernel(facts: &Facts) -> Check {
    const NAME: &str = "kernel";
    let release = facts.release.as_str();
    match version(release) {
        Some(version) if version >= FIRST_KERNEL => Check::ok(NAME, release),
        Some(_) => {
            Check::missing(NAME, release, "Linux 6.4 or newer is needed: older ones have no netfilter BPF programs")
        }
        None => Check::unsure(NAME, format!("`{release}` is no version"), "Linux 6.4 or newer is needed"),
    }
}

/// The first two numbers of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn btf(facts: &Facts) -> Check {
    const NAME: &str = "btf";
    const HELP: &str = "the kernel must be built with CONFIG_DEBUG_INFO_BTF";
    match facts.btf {
        Some(btf) if btf.size > 0 => Check::ok(NAME, format!("{} KiB of type information", btf.size.div_ceil(1024))),
        Some(_) => Check::missing(NAME, "/sys/kernel/btf/vmlinux is empty", HELP),
        None => Check::missing(NAME, "no /sys/kernel/btf/vmlinux", HELP),
    }
}

fn netfilter_bpf(facts: &Facts) -> Check {
    const NAME: &str = "netfilter-bpf";
    const HELP: &str = "the kernel must be built with CONFIG_NETFILTER_BPF_LINK";
    match facts.btf {
        Some(btf) if btf.netfilter => Check::ok(NAME, "the kernel attaches BPF programs to netfilter"),
        Some(_) => Check::missing(NAME, "the kernel has no `bpf_nf_link_attach`", HELP),
        None => Check::unsure(NAME, "cannot be told without type information", HELP),
    }
}

fn bpffs(facts: &Facts) -> Check {
    const NAME: &str = "bpffs";
    // A later mount hides an earlier one on the same place.
    match facts.mounts.iter().rev().find(|(place, _)| place == BPFFS) {
        Some((_, kind)) if kind == "bpf" => Check::ok(NAME, format!("mounted at {BPFFS}")),
        Some((_, kind)) => {
            Check::missing(NAME, format!("{BPFFS} is a mount of {kind}"), "mount -t bpf bpf /sys/fs/bpf")
        }
        None => Check::missing(NAME, format!("nothing is mounted at {BPFFS}"), "mount -t bpf bpf /sys/fs/bpf"),
    }
}

fn conntrack(facts: &Facts) -> Check {
    const NAME: &str = "conntrack";
    match facts.tracked_connections {
        // `apply` has a rule of its own for which the kernel follows connections.
        Some(count) => Check::ok(NAME, format!("loaded, {count} connections tracked now")),
        None => Check::missing(NAME, "nf_conntrack is not loaded", "modprobe nf_conntrack"),
    }
}

fn bridge(facts: &Facts) -> Check {
    const NAME: &str = "bridge";
    let Some(switches) = facts.bridge_netfilter else {
        return if facts.bridges.is_empty() {
            Check::ok(NAME, "no Linux bridge")
        } else {
            Check::missing(
                NAME,
                format!("{} without br_netfilter", facts.bridges.join(", ")),
                "pods on one bridge bypass netfilter: modprobe br_netfilter",
            )
        };
    };
    let off: Vec<_> = [("bridge-nf-call-iptables", switches.ipv4), ("bridge-nf-call-ip6tables", switches.ipv6)]
        .into_iter()
        .filter_map(|(name, on)| (!on).then_some(name))
        .collect();
    if off.is_empty() {
        Check::ok(NAME, "bridged packets pass netfilter")
    } else {
        Check::missing(
            NAME,
            format!("{} off", off.join(" and ")),
            "pods on one bridge bypass netfilter: `apply --set-sysctls`, or: sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
        )
    }
}

fn privileges(facts: &Facts) -> Check {
    const NAME: &str = "privileges";
    let has = |capability: u32| facts.capabilities & (1 << capability) != 0;
    let wanted = [
        ("CAP_NET_ADMIN", has(CAP_NET_ADMIN)),
        ("CAP_BPF", has(CAP_BPF) || has(CAP_SYS_ADMIN)),
        ("CAP_PERFMON", has(CAP_PERFMON) || has(CAP_SYS_ADMIN)),
    ];
    let lacking: Vec<_> = wanted.into_iter().filter_map(|(name, held)| (!held).then_some(name)).collect();
    if lacking.is_empty() {
        Check::ok(NAME, "may load and attach BPF programs")
    } else {
        Check::missing(NAME, format!("without {}", lacking.join(", ")), "run as root, or grant these capabilities")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{BridgeNetfilter, Btf};

    fn fit() -> Facts {
        Facts {
            release: "6.4.0".to_owned(),
            btf: Some(Btf { size: 4096, netfilter: true }),
            mounts: vec![("/sys/fs/bpf".to_owned(), "bpf".to_owned())],
            tracked_connections: Some(3),
            bridges: Vec::new(),
            bridge_netfilter: None,
            capabilities: 1 << CAP_NET_ADMIN | 1 << CAP_BPF | 1 << CAP_PERFMON,
        }
    }

    /// The checks that are not fine, with their status.
    fn faults(facts: &Facts) -> Vec<(&'static str, Status)> {
        let preflight = Preflight::of(facts);
        let faults: Vec<_> = preflight.checks.iter().filter(|check| check.status != Status::Ok).collect();
        assert_eq!(preflight.ready, faults.is_empty());
        assert!(faults.iter().all(|check| check.help.is_some()));
        faults.into_iter().map(|check| (check.name, check.status)).collect()
    }

    #[test]
    fn a_fit_node_is_ready() {
        assert_eq!(faults(&fit()), []);
    }

    #[test]
    fn kernels_are_compared_as_numbers() {
        for (release, ready) in
            [("6.4.0", true), ("6.10.1-generic", true), ("7.0", true), ("6.3.13", false), ("5.15.0", false)]
        {
            let facts = Facts { release: release.to_owned(), ..fit() };
            assert_eq!(faults(&facts).is_empty(), ready, "{release}");
        }
        let facts = Facts { release: "unknown".to_owned(), ..fit() };
        assert_eq!(faults(&facts), [("kernel", Status::Unsure)]);
    }

    #[test]
    fn without_type_information_netfilter_support_cannot_be_told() {
        let facts = Facts { btf: None, ..fit() };
        assert_eq!(faults(&facts), [("btf", Status::Missing), ("netfilter-bpf", Status::Unsure)]);
        let facts = Facts { btf: Some(Btf { size: 9, netfilter: false }), ..fit() };
        assert_eq!(faults(&facts), [("netfilter-bpf", Status::Missing)]);
    }

    #[test]
    fn the_last_mount_on_the_place_counts() {
        let mount = |kind: &str| ("/sys/fs/bpf".to_owned(), kind.to_owned());
        let facts = Facts { mounts: vec![mount("bpf"), mount("tmpfs")], ..fit() };
        assert_eq!(faults(&facts), [("bpffs", Status::Missing)]);
        assert_eq!(faults(&Facts { mounts: Vec::new(), ..fit() }), [("bpffs", Status::Missing)]);
    }

    #[test]
    fn tracking_has_to_be_loaded_and_need_not_have_tracked_anything() {
        let facts = Facts { tracked_connections: Some(0), ..fit() };
        assert_eq!(faults(&facts), []);
        let facts = Facts { tracked_connections: None, ..fit() };
        assert_eq!(faults(&facts), [("conntrack", Status::Missing)]);
    }

    #[test]
    fn a_bridge_must_not_switch_past_netfilter() {
        let bridges = vec!["cni0".to_owned()];
        let with = |bridge_netfilter| Facts { bridges: bridges.clone(), bridge_netfilter, ..fit() };
        let both = |ipv4, ipv6| Some(BridgeNetfilter { ipv4, ipv6 });
        assert_eq!(faults(&with(None)), [("bridge", Status::Missing)]);
        assert_eq!(faults(&with(both(true, false))), [("bridge", Status::Missing)]);
        assert_eq!(faults(&with(both(true, true))), []);
        // A bridge may come later: the switches count wherever they exist.
        assert_eq!(faults(&Facts { bridge_netfilter: both(false, true), ..fit() }), [("bridge", Status::Missing)]);
    }

    #[test]
    fn cap_sys_admin_stands_for_bpf_and_perfmon_but_not_for_net_admin() {
        let with = |capabilities| Facts { capabilities, ..fit() };
        assert_eq!(faults(&with(1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN)), []);
        assert_eq!(faults(&with(1 << CAP_SYS_ADMIN)), [("privileges", Status::Missing)]);
        let check = privileges(&with(0));
        assert_eq!(check.found, "without CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON");
    }
}
