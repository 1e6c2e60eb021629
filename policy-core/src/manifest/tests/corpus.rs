//! Manifests of real projects, where they are at hand.

use std::path::{Path, PathBuf};

use super::*;

/// Files that a folder holds, below it too, by name.
#[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
fn texts(folder: &Path, found: &mut Vec<(String, String)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            texts(&path, found);
        } else if matches!(path.extension().and_then(|end| end.to_str()), Some("yaml" | "yml" | "json")) {
            let bytes = std::fs::read(&path).unwrap();
            if let Ok(text) = decode_bytes("corpus", bytes) {
                found.push((path.display().to_string(), text));
            }
        }
    }
}

#[test]
fn manifests_of_real_projects_have_no_false_errors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = if root.exists() { root } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared") };
    let mut found = Vec::new();
    texts(&root.join("real-manifests"), &mut found);
    texts(&root.join("peer-cases"), &mut found);
    texts(&root.join("cases"), &mut found);
    if found.is_empty() {
        println!("no shared manifests beside the repository: nothing was read");
    }
    let mut objects = 0;
    let mut errors = Vec::new();
    for (name, text) in &found {
        let (snapshot, problems) = reading_with(&[(name, text)], &ReadOptions::default());
        objects += snapshot.objects.len();
        errors.extend(problems.into_iter().filter(|problem| problem.starts_with("error") || problem.contains("IN-18")));
    }
    println!("{} files, {objects} objects", found.len());
    for error in &errors {
        println!("{error}");
    }
}
