//! Invariant 1: the core depends on nothing that does IO, runs tasks, speaks to a cluster or parses command lines.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::workspace::root;

/// Crates that have no business in a pure library.
const FORBIDDEN: [&str; 24] = [
    "anstream",
    "async-std",
    "clap",
    "comfy-table",
    "crossterm",
    "ctrlc",
    "env_logger",
    "hyper",
    "indicatif",
    "kube",
    "kube-client",
    "mio",
    "rayon",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "sysinfo",
    "tempfile",
    "tokio",
    "tonic",
    "tower",
    "walkdir",
    "winapi",
];

/// The packages that a crate needs to run, by name, itself included.
fn needed(of: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments =
        ["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform=x86_64-unknown-linux-gnu"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let start = names.iter().find(|(_, name)| **name == of).map(|(id, _)| *id).unwrap();
    let (mut seen, mut todo) = (BTreeSet::new(), vec![start]);
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            // `kind: null` is an ordinary dependency: neither for tests nor for build scripts.
            let ordinary = dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            if ordinary {
                todo.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

#[test]
fn the_core_needs_no_io_client_runtime_or_command_line_crate() {
    let needed = needed("policy-core");
    assert!(needed.contains("ipnet"), "the walk found no dependencies: {needed:?}");
    let found: Vec<_> = FORBIDDEN.into_iter().filter(|name| needed.contains(*name)).collect();
    assert!(found.is_empty(), "policy-core needs {found:?}");
}

#[test]
fn the_walk_would_find_such_a_crate() {
    assert!(needed("simulator").contains("clap"));
}
