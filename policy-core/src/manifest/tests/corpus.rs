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

/// The mistakes that these manifests really have: end of the path, place, rule, underlined text.
const MISTAKES: &[(&str, &str)] = &[
    ("newrelic/newrelic-config-template.yaml:7:11", "IN-10"),
    ("newrelic-infrastructure/newrelic-config-template.yaml:7:11", "IN-10"),
    ("fibre_channel/fc.yaml:17:13", "IN-4"),
    ("rbd/rbd.yaml:25:9", "IN-3"),
    ("rbd/rbd.yaml:26:9", "IN-3"),
    ("scaleio/pod.yaml:17:7", "IN-3"),
    ("scaleio/sc-pvc.yaml:12:3", "IN-2"),
    ("storageos/storageos-pod.yaml:35:9", "IN-3"),
    ("user-story-examples/user-story-4-v1.yaml:11:39", "IN-1"),
    ("user-story-examples/user-story-4-v2.yaml:10:39", "IN-1"),
    ("netpol_named_port_test_2/manifests/pods.yaml:32:11", "IN-3"),
];

#[test]
fn manifests_of_real_projects_have_no_false_errors() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../../shared", "../../../shared"].map(|path| crate_folder.join(path));
    let Some(root) = beside.into_iter().find(|path| path.is_dir()) else {
        println!("no shared manifests beside the repository: nothing was read");
        return;
    };
    let mut found = Vec::new();
    ["real-manifests", "peer-cases", "cases"].iter().for_each(|folder| texts(&root.join(folder), &mut found));
    let mut objects = 0;
    let mut unexpected = Vec::new();
    let mut expected = 0;
    for (name, text) in &found {
        let (snapshot, problems) = reading_with(&[(name, text)], &ReadOptions::default());
        objects += snapshot.objects.len();
        for problem in problems.into_iter().filter(|problem| problem.starts_with("error")) {
            let known = |(place, rule): &(&str, &str)| {
                problem.starts_with(&format!("error[{rule}]")) && problem.contains(&format!("{place}: "))
            };
            if MISTAKES.iter().any(known) { expected += 1 } else { unexpected.push(problem) }
        }
    }
    assert_eq!(unexpected, Vec::<String>::new());
    assert_eq!(expected, MISTAKES.len());
    assert!(objects > 1000, "{} files, {objects} objects", found.len());
}
