//! What a node says about itself in `/proc` and `/sys`, for `preflight`.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The kernel function that exists only where netfilter BPF programs can be attached.
const NETFILTER_ATTACH: &[u8] = b"\0bpf_nf_link_attach\0";

/// What was found. `None` means that the file is not there, which is a finding and no error.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// The kernel's release as it calls itself (`6.8.0-45-generic`).
    pub release: String,
    /// The kernel's type information.
    pub btf: Option<Btf>,
    /// The mount table: (mount point, type of file system).
    pub mounts: Vec<(String, String)>,
    /// How many connections are tracked now; `None` when connection tracking is not loaded.
    pub tracked_connections: Option<u64>,
    /// The Linux bridges of this network namespace, sorted.
    pub bridges: Vec<String>,
    /// Whether bridged packets pass netfilter; `None` when `br_netfilter` is not loaded.
    pub bridge_netfilter: Option<BridgeNetfilter>,
    /// The effective capabilities of this process, one bit each.
    pub capabilities: u64,
}

/// What the kernel's type information tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Btf {
    /// Its size in bytes.
    pub size: usize,
    /// Whether the kernel can attach netfilter programs (`CONFIG_NETFILTER_BPF_LINK`).
    pub netfilter: bool,
}

/// The two switches of `br_netfilter`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BridgeNetfilter {
    /// `net.bridge.bridge-nf-call-iptables`.
    pub ipv4: bool,
    /// `net.bridge.bridge-nf-call-ip6tables`.
    pub ipv6: bool,
}

/// Why the facts could not be read.
#[derive(Debug)]
pub enum FactsError {
    /// A file is there, or must be, and could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file does not hold what it should.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
}

impl fmt::Display for FactsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "cannot read `{}`: {error}", path.display()),
            Self::Malformed { path, expected } => write!(f, "`{}` does not hold {expected}", path.display()),
        }
    }
}

impl std::error::Error for FactsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Malformed { .. } => None,
        }
    }
}

impl Facts {
    /// Reads the facts of the node whose `/proc` and `/sys` lie under `root` (`/` for this one).
    ///
    /// # Errors
    /// A file that every Linux has is missing or malformed, or a file that is there cannot be read.
    pub fn read(root: &Path) -> Result<Self, FactsError> {
        Ok(Self {
            release: required(&root.join("proc/sys/kernel/osrelease"))?.trim().to_owned(),
            btf: btf(&root.join("sys/kernel/btf/vmlinux"))?,
            mounts: mounts(&required(&root.join("proc/mounts"))?),
            tracked_connections: number(&root.join("proc/sys/net/netfilter/nf_conntrack_count"))?,
            bridges: bridges(&root.join("sys/class/net"))?,
            bridge_netfilter: bridge_netfilter(&root.join("proc/sys/net/bridge"))?,
            capabilities: capabilities(&root.join("proc/self/status"))?,
        })
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> FactsError {
    move |error| FactsError::Unreadable { path: path.to_owned(), error }
}

fn present<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, FactsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path)(error)),
    }
}

fn required(path: &Path) -> Result<String, FactsError> {
    fs::read_to_string(path).map_err(unreadable(path))
}

fn number(path: &Path) -> Result<Option<u64>, FactsError> {
    let malformed = |_| FactsError::Malformed { path: path.to_owned(), expected: "a number" };
    present(path, fs::read_to_string(path))?.map(|text| text.trim().parse().map_err(malformed)).transpose()
}

fn btf(path: &Path) -> Result<Option<Btf>, FactsError> {
    let Some(bytes) = present(path, fs::read(path))? else {
        return Ok(None);
    };
    let netfilter = bytes.windows(NETFILTER_ATTACH.len()).any(|window| window == NETFILTER_ATTACH);
    Ok(Some(Btf { size: bytes.len(), netfilter }))
}

fn mounts(table: &str) -> Vec<(String, String)> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    };
    table.lines().filter_map(mount).collect()
}

fn bridges(interfaces: &Path) -> Result<Vec<String>, FactsError> {
    let Some(entries) = present(interfaces, fs::read_dir(interfaces))? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable(interfaces))?;
        if entry.path().join("bridge").is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn bridge_netfilter(folder: &Path) -> Result<Option<BridgeNetfilter>, FactsError> {
    let ipv4 = number(&folder.join("bridge-nf-call-iptables"))?;
    let ipv6 = number(&folder.join("bridge-nf-call-ip6tables"))?;
    Ok(match (ipv4, ipv6) {
        (None, None) => None,
        (ipv4, ipv6) => Some(BridgeNetfilter { ipv4: ipv4 == Some(1), ipv6: ipv6 == Some(1) }),
    })
}

fn capabilities(path: &Path) -> Result<u64, FactsError> {
    let status = required(path)?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .ok_or_else(|| FactsError::Malformed { path: path.to_owned(), expected: "a line `CapEff:`" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const BARE: [(&str, &str); 3] = [
        ("proc/sys/kernel/osrelease", "5.15.0-91-generic\n"),
        ("proc/mounts", "proc /proc proc rw 0 0\n"),
        ("proc/self/status", "Name:\tx\nCapEff:\t0000000000000000\n"),
    ];

    #[test]
    fn a_node_with_the_least_that_linux_has_reads_as_having_nothing() {
        let facts = Facts::read(tree(&BARE).path()).unwrap();
        let mounts = vec![("/proc".to_owned(), "proc".to_owned())];
        assert_eq!(facts, Facts { release: "5.15.0-91-generic".to_owned(), mounts, ..Facts::default() });
    }

    #[test]
    fn every_fact_is_read_from_its_file() {
        let root = tree(&[
            ("proc/sys/kernel/osrelease", "6.18.4\n"),
            ("proc/mounts", "none /sys/fs/bpf bpf rw 0 0\n"),
            ("proc/self/status", "CapEff:\t000001ffffffffff\n"),
            ("sys/kernel/btf/vmlinux", "types\0bpf_nf_link_attach\0more"),
            ("proc/sys/net/netfilter/nf_conntrack_count", "17\n"),
            ("sys/class/net/cni0/bridge/bridge_id", "x"),
            ("sys/class/net/eth0/mtu", "1500"),
            ("proc/sys/net/bridge/bridge-nf-call-iptables", "1\n"),
            ("proc/sys/net/bridge/bridge-nf-call-ip6tables", "0\n"),
        ]);
        let facts = Facts::read(root.path()).unwrap();
        assert_eq!(facts.release, "6.18.4");
        assert_eq!(facts.mounts, vec![("/sys/fs/bpf".to_owned(), "bpf".to_owned())]);
        assert_eq!(facts.capabilities, 0x1ff_ffff_ffff);
        assert_eq!(facts.btf, Some(Btf { size: 29, netfilter: true }));
        assert_eq!(facts.tracked_connections, Some(17));
        assert_eq!(facts.bridges, ["cni0"]);
        assert_eq!(facts.bridge_netfilter, Some(BridgeNetfilter { ipv4: true, ipv6: false }));
    }

    #[test]
    fn a_longer_symbol_name_is_not_the_one_that_is_looked_for() {
        let root = tree(&BARE);
        fs::create_dir_all(root.path().join("sys/kernel/btf")).unwrap();
        fs::write(root.path().join("sys/kernel/btf/vmlinux"), "\0bpf_nf_link_attachment\0").unwrap();
        assert!(!Facts::read(root.path()).unwrap().btf.unwrap().netfilter);
    }

    #[test]
    fn a_root_without_proc_cannot_be_judged() {
        let error = Facts::read(tree(&[]).path()).unwrap_err();
        assert!(error.to_string().contains("osrelease"), "{error}");
    }

    #[test]
    fn a_counter_that_is_no_number_is_an_error_and_not_a_zero() {
        let root = tree(&BARE);
        fs::create_dir_all(root.path().join("proc/sys/net/netfilter")).unwrap();
        fs::write(root.path().join("proc/sys/net/netfilter/nf_conntrack_count"), "many\n").unwrap();
        let error = Facts::read(root.path()).unwrap_err();
        assert!(matches!(error, FactsError::Malformed { .. }), "{error}");
    }
}
