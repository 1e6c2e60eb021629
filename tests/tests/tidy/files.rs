//! Source files: all in use, none too long, each with an opening.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::workspace::{CRATES, files, root, rust_files, shown, text};

/// Past this a file is two files.
const LINES: usize = 600;

#[test]
fn no_rust_file_is_longer_than_600_lines() {
    let long: Vec<_> = rust_files()
        .into_iter()
        .map(|path| (text(&path).lines().count(), shown(&path)))
        .filter(|(lines, _)| *lines > LINES)
        .collect();
    assert!(long.is_empty(), "too long: {long:?}");
}

#[test]
fn every_module_begins_by_saying_what_it_is() {
    let opens = |path: &PathBuf| {
        let text = text(path);
        let first = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
        first.is_some_and(|line| line.starts_with("//! "))
    };
    let silent: Vec<_> = rust_files().into_iter().filter(|path| !opens(path)).map(|path| shown(&path)).collect();
    assert!(silent.is_empty(), "these do not begin with `//!`: {silent:?}");
}

#[test]
fn every_rust_file_is_reachable_from_a_crate_root() {
    let mut reached = BTreeSet::new();
    for name in CRATES {
        for root in crate_roots(&root().join(name)) {
            walk(&root, root.parent().unwrap(), &mut reached);
        }
    }
    let orphans: Vec<_> =
        rust_files().into_iter().filter(|path| !reached.contains(path)).map(|path| shown(&path)).collect();
    assert!(orphans.is_empty(), "no `mod` leads to these: {orphans:?}");
}

/// What cargo compiles by itself: libraries, binaries, tests, benches, examples, fuzz targets.
fn crate_roots(folder: &Path) -> Vec<PathBuf> {
    let fixed = ["src/lib.rs", "src/main.rs", "build.rs"].map(|name| folder.join(name));
    let mut roots: Vec<_> = fixed.into_iter().filter(|path| path.is_file()).collect();
    for several in ["src/bin", "tests", "benches", "examples", "fuzz_targets"] {
        let several = folder.join(several);
        for path in files(&several, "rs") {
            let direct = path.parent() == Some(several.as_path());
            let main = path.ends_with("main.rs") && path.parent().and_then(Path::parent) == Some(several.as_path());
            if direct || main {
                roots.push(path);
            }
        }
    }
    roots
}

/// Follows `mod name;` lines; `folder` is where the children of `file` lie.
fn walk(file: &Path, folder: &Path, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    for name in declared(&text(file)) {
        let flat = folder.join(format!("{name}.rs"));
        let nested = folder.join(&name).join("mod.rs");
        let child = if flat.is_file() { flat } else { nested };
        if child.is_file() {
            walk(&child, &folder.join(&name), reached);
        }
    }
}

/// The names in lines such as `pub(crate) mod name;`.
fn declared(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim().strip_suffix(';')?;
        let (visibility, name) = line.rsplit_once("mod ")?;
        let visible = visibility.trim();
        (visible.is_empty() || visible.starts_with("pub")).then(|| name.trim().to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[test]
fn unsafe_code_is_forbidden_but_for_the_system_call() {
    let lints = |manifest: &str, section: &str| -> Vec<String> {
        let after = manifest.split_once(section).unwrap().1;
        let lines = after.lines().skip(1).take_while(|line| !line.starts_with('['));
        lines.filter(|line| line.contains('=')).map(str::to_owned).collect()
    };
    let workspace = text("Cargo.toml");
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    for name in CRATES.iter().filter(|name| !["fuzz", "enforcer"].contains(*name)) {
        let manifest = text(format!("{name}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} does not take the workspace's lints");
    }
    // The enforcer has the same lints, but that a file can say why it needs unsafe code.
    let enforcer = text("enforcer/Cargo.toml");
    let rust: Vec<String> = lints(&workspace, "[workspace.lints.rust]");
    let rust: Vec<String> = rust.into_iter().map(|line| line.replace("forbid", "deny")).collect();
    assert_eq!(lints(&enforcer, "[lints.rust]"), rust);
    assert_eq!(lints(&enforcer, "[lints.clippy]"), lints(&workspace, "[workspace.lints.clippy]"));
    let word = ["unsafe", "_code"].concat();
    let with: Vec<String> =
        rust_files().iter().filter(|path| text(path).contains(&word)).map(|path| shown(path)).collect();
    assert_eq!(with, ["enforcer/src/datapath/sys.rs", "tests/tests/tidy/files.rs"]);
    for path in rust_files() {
        let with = |line: &str| line.trim_start().starts_with("#[allow(");
        let line = text(&path).lines().position(with);
        assert!(line.is_none(), "{}:{}: `#[expect(.., reason = ..)]`, not `#[allow]`", shown(&path), line.unwrap() + 1);
    }
}

/// Which modules of `policy-core` may name which others; the rest of invariants 2 and 6 of ARCHITECTURE.md.
#[test]
fn modules_of_the_core_keep_their_distance() {
    let forbidden = |inside: &[&str], words: &[&str]| {
        let mut found = Vec::new();
        for name in inside {
            let mut paths = files(format!("policy-core/src/{name}"), "rs");
            paths.extend(Some(root().join(format!("policy-core/src/{name}.rs"))).filter(|path| path.is_file()));
            assert!(!paths.is_empty(), "there is no module {name}");
            for path in paths {
                let text = text(&path);
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let hits = code.filter(|line| words.iter().any(|word| line.contains(word)));
                found.extend(hits.map(|line| format!("{}: {}", shown(&path), line.trim())));
            }
        }
        found
    };
    // The evaluators know nothing of each other, nor of what was written.
    let none: Vec<String> = Vec::new();
    assert_eq!(forbidden(&["spec"], &["crate::compile", "crate::analysis", "crate::query"]), none);
    assert_eq!(forbidden(&["compile"], &["crate::spec"]), none);
    // Facts flow one way: the model knows no evaluator, the tables know no question.
    let answers = ["crate::analysis", "crate::query", "crate::explain", "crate::graph", "crate::hypothetical"];
    assert_eq!(forbidden(&["model", "compile"], &answers), none);
    assert_eq!(forbidden(&["model"], &["crate::compile", "crate::spec"]), none);
    let shapes = ["crate::manifest", "crate::lower", "crate::coverage", "k8s_openapi"];
    assert_eq!(forbidden(&["spec", "compile", "query", "model", "analysis"], &shapes), none);
    assert_eq!(forbidden(&["lower", "coverage", "snapshot"], &["k8s_openapi"]), none);
}
