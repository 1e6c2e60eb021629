//! The console blocks of the README are run, and what they print is compared.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the binary where this test was built, and returns its path.
fn portolan() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--offline", "--package", "simulator", "--bin", "portolan"]);
    // …/<profile>/deps/readme-<hash>
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let folder = deps.parent().unwrap().to_owned();
    build.arg("--target-dir").arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "the binary does not build");
    folder.join(format!("portolan{}", std::env::consts::EXE_SUFFIX))
}

/// The runner wants an empty line at the end of a block where the last command ends its line; readers do not.
fn for_the_runner(readme: &str) -> String {
    let (mut text, mut in_console) = (String::new(), false);
    for line in readme.lines() {
        if in_console && line == "```" {
            text.push('\n');
        }
        in_console = line == "```console" || (in_console && line != "```");
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn the_readme_tells_what_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains("```console\n$ portolan "), "the README shows no command");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("README.md");
    std::fs::write(&copy, for_the_runner(&readme)).unwrap();
    // Commands are written for the root of the repository.
    std::env::set_current_dir(root).unwrap();
    trycmd::TestCases::new().register_bin("portolan", portolan()).case(&copy).run();
}
