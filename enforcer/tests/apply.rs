//! What `apply` refuses before it touches the kernel.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::process::Command;

const MANIFESTS: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: cart, namespace: shop}, spec: {nodeName: n1, containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.1.1.5}}
";

fn refused(words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("shop.yaml");
    fs::write(&manifests, MANIFESTS).unwrap();
    let pins = folder.path().join("not/there");
    let output = Command::new(env!("CARGO_BIN_EXE_portolan-enforcer"))
        .args(["apply", "-f", manifests.to_str().unwrap(), "--pins", pins.to_str().unwrap()])
        .args(words)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!pins.exists());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn pins_need_a_bpf_file_system() {
    let said = refused(&["--node", "n1", "--detach"]);
    assert!(said.contains("which is on no bpf file system: `mount -t bpf bpf /sys/fs/bpf`"), "{said}");
}

#[test]
fn nodes_and_namespaces_that_are_not_there_are_named_with_those_that_are() {
    assert!(refused(&["--node", "n7"]).contains("there is no node `n7`; the manifests name n1"));
    let said = refused(&["--node", "n1", "--audit-namespace", "nope"]);
    assert!(said.contains("there is no namespace `nope` to audit; the manifests have shop"), "{said}");
}
