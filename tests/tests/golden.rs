//! Every command on every corpus case: what it prints and how it ends, compared with `expected/`.
//!
//! A case is a folder of `fixtures/corpus` or `fixtures/corpus/bad` with manifests. Its `commands.txt` holds one
//! command line each line, without `-f` where the case's own folder is meant. `UPDATE_GOLDEN=1` rewrites what is expected;
//! `GOLDEN_DIR=DIR` writes everything to a folder instead, for comparing two runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tests::command::{Said, portolan};

/// Asked of every good case besides its own commands.
const ALWAYS: [&str; 1] = ["list"];

/// Every command and format, asked of the larger cases.
const EVERY: [&str; 14] = [
    "list",
    "list -o wide",
    "list -o json",
    "list -o csv",
    "list --pairs -o md",
    "list --hypothetical",
    "matrix",
    "matrix -p 80",
    "matrix -o json",
    "coverage",
    "coverage -o json",
    "graph -o dot",
    "graph -o json",
    "profile",
];

const LARGE: [&str; 3] = ["fx", "shop", "tiers"];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus")
}

/// The folders with manifests, from the corpus root, sorted.
fn cases() -> Vec<String> {
    let mut cases = Vec::new();
    for parent in ["", "bad/"] {
        for entry in fs::read_dir(corpus().join(parent)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_case = entry.path().is_dir() && !(parent.is_empty() && ["bad", "cases"].contains(&name.as_str()));
            if is_case {
                cases.push(format!("{parent}{name}"));
            }
        }
    }
    cases.sort();
    cases
}

/// The command lines of a case.
fn commands(case: &str) -> Vec<String> {
    let written = fs::read_to_string(corpus().join(case).join("commands.txt")).unwrap_or_default();
    let every = EVERY.iter().filter(|_| LARGE.contains(&case));
    let standard = ALWAYS.iter().filter(|_| written.is_empty() || !case.starts_with("bad/"));
    let standard = standard.chain(every).map(|line| (*line).to_owned());
    let mut seen = BTreeSet::new();
    standard.chain(written.lines().map(str::to_owned)).filter(|line| seen.insert(line.clone())).collect()
}

/// Runs one command line in the corpus folder, so that paths are short and the same everywhere.
fn transcript(case: &str, line: &str) -> String {
    let (line, stdin) = line.split_once(" <<< ").unwrap_or((line, ""));
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if !words.iter().any(|word| word == "-f") {
        let manifests = format!("{case}/manifests");
        let folder = if Path::new(&manifests).is_dir() { manifests } else { case.to_owned() };
        words.extend(["-f".to_owned(), folder]);
    }
    let stdin = format!("{}\n", stdin.replace(" ;; ", "\n"));
    let Said { exit, stdout, stderr } = portolan(&words, &stdin);
    let asked = words.join(" ");
    format!("$ portolan {asked}\n{stdout}---- stderr ----\n{stderr}---- exit {} ----\n", exit.code())
}

/// A file name for a command line.
fn file_name(line: &str) -> String {
    let mut name = String::new();
    for c in line.split(" -f ").next().unwrap_or(line).chars() {
        let keep = c.is_ascii_alphanumeric() || c == '.';
        match (keep, name.ends_with('-')) {
            (true, _) => name.push(c),
            (false, false) => name.push('-'),
            (false, true) => {}
        }
    }
    let name: String = name.chars().take(90).collect();
    format!("{}.txt", name.trim_end_matches('-'))
}

#[test]
fn what_every_command_prints_on_every_case_is_as_expected() {
    let root = corpus().canonicalize().unwrap();
    std::env::set_current_dir(&root).unwrap();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let elsewhere = std::env::var_os("GOLDEN_DIR").map(PathBuf::from);
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for case in cases() {
        let expected = root.join(&case).join("expected");
        let mut files = BTreeSet::new();
        for line in commands(&case) {
            let printed = transcript(&case, &line);
            let name = file_name(&line);
            assert!(files.insert(name.clone()), "{case}: two commands are called {name}");
            let target = elsewhere.as_ref().map_or(expected.clone(), |folder| folder.join(&case));
            let path = target.join(&name);
            if update || elsewhere.is_some() {
                fs::create_dir_all(&target).unwrap();
                fs::write(&path, &printed).unwrap();
            } else if fs::read_to_string(&path).ok().as_deref() != Some(printed.as_str()) {
                wrong.push(format!("{case}: {line}\n{}", first_difference(&path, &printed)));
            }
            compared += 1;
        }
        let stale = |entry: &fs::DirEntry| !files.contains(&entry.file_name().into_string().unwrap());
        for entry in fs::read_dir(&expected).into_iter().flatten().map(Result::unwrap).filter(stale) {
            if update {
                fs::remove_file(entry.path()).unwrap();
            } else {
                wrong.push(format!("{case}: no command prints {}", entry.path().display()));
            }
        }
    }
    assert!(compared > 200, "only {compared} commands");
    assert!(wrong.is_empty(), "{} of {compared} differ (UPDATE_GOLDEN=1 rewrites):\n{}", wrong.len(), wrong.join("\n"));
}

fn first_difference(path: &Path, printed: &str) -> String {
    let Ok(wanted) = fs::read_to_string(path) else { return "  nothing is expected yet".to_owned() };
    let mut lines = (1..).zip(wanted.lines().map(Some).chain([None]).zip(printed.lines().map(Some).chain([None])));
    match lines.find(|(_, (wanted, printed))| wanted != printed) {
        Some((number, (wanted, printed))) => {
            format!("  line {number}\n  - {}\n  + {}", wanted.unwrap_or("(end)"), printed.unwrap_or("(end)"))
        }
        None => "  one is longer than the other".to_owned(),
    }
}

#[test]
fn command_lines_become_file_names() {
    assert_eq!(file_name("can lab/analyser 10.0.0.1:80 -o json"), "can-lab-analyser-10.0.0.1-80-o-json.txt");
    assert_eq!(file_name("list -f bad/x/y.yaml"), "list.txt");
}
