//! `peer-case/v1`: lists of connections that another analyser gives, compared with ours as sets.

mod answer;
mod compare;
mod expected;
mod focus;
mod mend;

use std::fs;
use std::path::Path;

use policy_core::model::{Cluster, Profile};
use policy_core::snapshot::Effect;
use serde::Deserialize;

use crate::discover::{CaseFile, entries};
use crate::pipeline::{Backend, Loaded, load};
use crate::report::Outcome;

pub use compare::{Comparison, compare};
pub use expected::{Expected, Format, Line, Side};
pub use focus::Options;

/// The file beside a folder of manifests.
#[derive(Deserialize, Debug)]
struct Case {
    name: String,
    input: String,
    runs: Vec<Run>,
}

/// One run of the peer.
#[derive(Deserialize, Debug)]
struct Run {
    command: String,
    format: Format,
    #[serde(default)]
    options: Options,
    expected: String,
}

/// What came of a case.
#[derive(Debug)]
pub enum PeerOutcome {
    /// It was compared.
    Ran {
        /// How that went.
        outcome: Outcome,
        /// Runs, or lines, of the case that were not compared.
        left_out: Option<String>,
    },
    /// It was not, and why.
    LeftOut(String),
}

/// Runs one case.
#[must_use]
pub fn run(backend: Backend, file: &CaseFile) -> PeerOutcome {
    let broken = |why: String| PeerOutcome::Ran {
        outcome: Outcome::broken(file.path.display().to_string(), why),
        left_out: None,
    };
    let case: Case = match serde_json::from_value(file.content.clone()) {
        Ok(case) => case,
        Err(error) => return broken(format!("not a peer-case file: {error}")),
    };
    let folder = file.path.parent().unwrap_or(Path::new("."));
    match manifests(&folder.join(&case.input)) {
        Ok(texts) => {
            let mut mended = 0;
            let texts = texts.into_iter().map(|(name, text)| {
                let (text, faults) = mend::mend(text);
                mended += faults;
                (name, text)
            });
            let loaded = load(texts);
            run_case(backend, &case, folder, &loaded, mended)
        }
        Err(error) => broken(error.to_string()),
    }
}

fn run_case(backend: Backend, case: &Case, folder: &Path, loaded: &Loaded, mended: usize) -> PeerOutcome {
    let name = &case.name;
    if let Some(kind) = not_modelled_policy(&loaded.cluster) {
        return PeerOutcome::LeftOut(format!("{name}: its input has policies of kind {kind}, not modelled yet"));
    }
    let mut outcome = Outcome { name: name.clone(), right: 0, asked: 0, remark: None, differences: Vec::new() };
    let (mut explained, mut by_block, mut by_network, mut by_host, mut ways) = (0, 0, 0, 0, 0);
    for run in &case.runs {
        let explain = run.command == "list --explain";
        // A focused explanation tells of one connection, and may tell of what is denied alone.
        let partly = explain && (run.options.focus_conn.is_some() || run.options.explain_only.is_some());
        if partly || !(explain || run.command == "list") {
            explained += 1;
            continue;
        }
        let text = match fs::read_to_string(folder.join(&run.expected)) {
            Ok(text) => text,
            Err(error) => {
                outcome.differences.push(format!("{}: {error}", run.expected));
                continue;
            }
        };
        let wanted = if explain { Expected::parse_explanation(&text) } else { Expected::parse(run.format, &text) };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(problem) => {
                outcome.differences.push(format!("{}: {problem}", run.expected));
                continue;
            }
        };
        ways += wanted.ways;
        let comparison = compare(backend, &loaded.cluster, &Profile::default(), &wanted, &run.options);
        outcome.asked += comparison.asked;
        outcome.right += comparison.asked - comparison.differences.len();
        by_block += comparison.by_block;
        by_network += comparison.by_network;
        by_host += comparison.by_host;
        outcome.differences.extend(comparison.differences.iter().map(|line| format!("{}: {line}", run.expected)));
    }
    let counted = [(by_block, "ipBlock"), (by_network, "networks"), (by_host, "hostNetwork")];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    let mut counted: Vec<_> = counted.map(|(count, name)| format!("{count} by the {name} difference")).collect();
    if mended > 0 {
        counted.push(format!("{mended} faults of the input mended"));
    }
    outcome.remark = (!counted.is_empty()).then(|| counted.join(", "));
    if !outcome.passed() {
        outcome.differences.extend(loaded.errors().map(|error| format!("input: {}", loaded.describe(error))));
    }
    let mut left_out = Vec::new();
    if explained > 0 {
        left_out.push(format!("{explained} focused runs with --explain"));
    }
    if ways > 0 {
        left_out.push(format!("{ways} lines from the ingress controller"));
    }
    let left_out = (!left_out.is_empty()).then(|| format!("{name}: {}", left_out.join(", ")));
    match left_out {
        Some(why) if outcome.asked == 0 && outcome.differences.is_empty() => PeerOutcome::LeftOut(why),
        left_out => PeerOutcome::Ran { outcome, left_out },
    }
}

fn not_modelled_policy(cluster: &Cluster) -> Option<&str> {
    let policy = cluster.not_modelled.iter().find(|object| object.effect == Effect::Policy);
    policy.map(|object| &*object.kind)
}

/// Every manifest below a folder, by path.
fn manifests(folder: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for entry in entries(folder)? {
        let manifest =
            entry.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e));
        if entry.is_dir() {
            texts.extend(manifests(&entry)?);
        } else if manifest {
            texts.push((entry.display().to_string(), fs::read_to_string(&entry)?));
        }
    }
    Ok(texts)
}
