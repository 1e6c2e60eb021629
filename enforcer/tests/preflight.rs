//! The binary as a script sees it: exit status, and which stream.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn preflight(root: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_portolan-enforcer");
    Command::new(program).arg("preflight").arg("--root").arg(root).args(["-o", "json"]).output().unwrap()
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn the_exit_status_tells_ready_from_unready_from_unknown() {
    let root = tempfile::tempdir().unwrap();
    let output = preflight(root.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: cannot read"));

    write(root.path(), "proc/sys/kernel/osrelease", "6.18.0\n");
    write(root.path(), "proc/mounts", "bpf /sys/fs/bpf bpf rw 0 0\n");
    write(root.path(), "proc/self/status", "CapEff:\t000001ffffffffff\n");
    let output = preflight(root.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("\"ready\": false"));

    write(root.path(), "sys/kernel/btf/vmlinux", "\0bpf_nf_link_attach\0");
    write(root.path(), "proc/sys/net/netfilter/nf_conntrack_count", "5\n");
    let output = preflight(root.path());
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("\"ready\": true"));
    assert!(output.stderr.is_empty());
}
