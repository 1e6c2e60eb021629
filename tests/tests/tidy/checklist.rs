//! docs/checklist.md: the rows that it must have, and the tests that it names.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::workspace::{CRATES, files, root, text};

/// The rows.
const ROWS: [RangeInclusive<u32>; 2] = [1..=25, 34..=38];

/// Where vectors stand; as long as a file is not there, its vectors need not be.
const VECTORS: [(RangeInclusive<u32>, &str); 3] =
    [(61..=90, "services"), (93..=113, "ingress"), (149..=151, "services")];

/// Row → the tests that it names.
fn rows() -> BTreeMap<String, Vec<String>> {
    let document = text("docs/checklist.md");
    let lines = document.lines().filter(|line| line.starts_with("| A"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{line}");
        let tests = cells[3].split_whitespace().map(|test| test.trim_matches('`').to_owned()).collect();
        (cells[0].to_owned(), tests)
    };
    let rows: Vec<(String, Vec<String>)> = lines.map(row).collect();
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "a row is there twice");
    rows
}

#[test]
fn the_checklist_has_every_row_and_each_names_a_test() {
    let rows = rows();
    let wanted: Vec<String> = ROWS.into_iter().flatten().map(|number| format!("A{number}")).collect();
    for name in &wanted {
        let tests = rows.get(name).unwrap_or_else(|| panic!("there is no row {name}"));
        assert!(!tests.is_empty(), "{name} names no test");
    }
    assert_eq!(rows.len(), wanted.len());
}

#[test]
fn every_test_that_the_checklist_names_exists() {
    let code: String = CRATES.iter().flat_map(|name| files(name, "rs")).map(text).collect();
    for (row, tests) in rows() {
        for test in tests {
            assert!(exists(&test, &code), "{row} names `{test}`, which is nowhere");
        }
    }
    assert!(!exists("tv_999_", &code) && !exists("bad/nothing", &code) && !exists("no_such_test", &code));
}

fn exists(test: &str, code: &str) -> bool {
    if test.starts_with("bad/") {
        return root().join("fixtures/corpus").join(test).is_dir();
    }
    let vector = test.strip_prefix("tv_").and_then(|rest| rest.strip_suffix('_'));
    let Some(number) = vector.and_then(|number| number.parse().ok()) else {
        return code.contains(&format!("fn {test}()"));
    };
    let file = VECTORS.iter().find(|(numbers, _)| numbers.contains(&number)).map(|(_, file)| *file);
    let awaited = file.is_some_and(|file| !root().join(format!("tests/tests/vectors/{file}.rs")).is_file());
    awaited || code.contains(&format!("fn {test}"))
}
