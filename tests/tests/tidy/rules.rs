//! Invariant 12: rules have ids, ids have a place in `docs/SPEC.md`, and both have tests.

use std::collections::{BTreeMap, BTreeSet};

use super::workspace::{files, root, shown, text};

/// Rules that no line of code can implement, and why; a test or a corpus case holds them all the same.
const WITHOUT_CODE: [(&str, &str); 10] = [
    ("NP-13a", "follows from NP-13 and NP-23: an ipBlock is compared with what the flow carries"),
    ("NP-21", "follows from NP-19 and NP-22"),
    ("NP-28", "containers are not told apart anywhere"),
    ("NP-35", "the absence of fields: such a field is unknown (IN-3)"),
    ("CNP-15", "follows from CNP-4 and NP-6"),
    ("ANP-2", "follows from ANP-1 and CNP-4"),
    ("HN-3", "follows from HN-1 and HP-2: a pod on the host's network dials as its node does"),
    ("ING-27", "follows from SVC-22 and SVC-23: a load balancer that dials node ports"),
    ("ING-29", "follows from ING-13: a port that serves no requests for others is the pod's own"),
    ("ING-30", "what only balances is not read anywhere"),
];

/// What the ids of rules begin with.
const FAMILIES: [&str; 14] = ["M", "NP", "CNP", "ANP", "IN", "SVC", "KP", "HP", "HN", "DNS", "ING", "GW", "API", "CIL"];

/// Where rules are implemented.
const CODE: [&str; 4] = ["policy-core/src", "simulator/src", "enforcer/src", "fixtures/src"];

/// The rule ids in a text. `DNS-1123` is a kind of name, not a rule.
fn ids(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let is_id = |word: &str| {
        let Some((prefix, number)) = word.split_once('-') else { return word == "A38" };
        let digits = number.trim_end_matches(|c: char| c.is_ascii_lowercase());
        FAMILIES.contains(&prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_ascii_digit())
            && number.len() <= digits.len() + 1
    };
    words
        .map(|word| word.trim_end_matches('-'))
        .filter(|word| is_id(word) && *word != "DNS-1123")
        .map(str::to_owned)
        .collect()
}

/// The headings of `docs/SPEC.md` and its parts.
fn specified() -> BTreeSet<String> {
    let parts = files("docs/spec", "md").iter().map(text).collect::<String>();
    let headings = text("docs/SPEC.md") + &parts;
    let headings = headings.lines().filter_map(|line| line.strip_prefix("### "));
    headings.filter_map(|heading| heading.split_whitespace().next()).map(str::to_owned).collect()
}

/// Code up to its unit tests, and the rest.
fn halves(text: &str) -> (&str, &str) {
    text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((text, ""))
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("/testing.rs")
}

/// Ids cited in code with a file that does, and ids cited in tests.
fn cited() -> (BTreeMap<String, String>, BTreeSet<String>) {
    let (mut code, mut tests) = (BTreeMap::new(), BTreeSet::new());
    for path in CODE.into_iter().flat_map(|folder| files(folder, "rs")) {
        let (name, text) = (shown(&path), text(&path));
        let (implementation, unit_tests) = if is_test_file(&name) { ("", text.as_str()) } else { halves(&text) };
        code.extend(ids(implementation).into_iter().map(|id| (id, name.clone())));
        tests.extend(ids(unit_tests));
    }
    for path in files("tests/tests", "rs").into_iter().chain(files("simulator/tests", "rs")) {
        if !shown(&path).contains("/tidy/") {
            tests.extend(ids(&text(&path)));
        }
    }
    tests.extend(corpus());
    (code, tests)
}

/// The ids in the names of corpus cases: `np-016a-names-need-a-pod` is a case of NP-16a.
fn corpus() -> BTreeSet<String> {
    let folders = ["fixtures/corpus", "fixtures/corpus/bad", "fixtures/corpus/cases"];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap());
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter_map(|name| id_of_case(&name)).collect()
}

fn id_of_case(name: &str) -> Option<String> {
    let mut parts = name.split('-');
    let (prefix, number) = (parts.next()?, parts.next()?);
    let number = number.trim_start_matches('0');
    let wanted = matches!(prefix, "np" | "cnp" | "anp" | "in" | "ing" | "api" | "dns")
        && number.starts_with(|c: char| c.is_ascii_digit());
    wanted.then(|| format!("{}-{number}", prefix.to_uppercase()))
}

#[test]
fn ids_are_recognised() {
    let found = ids("NP-4, `NP-16a`. (IN-3) TV-9 DNS-1123 NP-x A38 np-004 INP-3 HN-1/M-5 NP-2: NP-12abc CNP-9");
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["A38", "CNP-9", "HN-1", "IN-3", "M-5", "NP-16a", "NP-2", "NP-4"]
    );
    assert_eq!(id_of_case("np-016a-names-need-a-pod").as_deref(), Some("NP-16a"));
    assert_eq!(id_of_case("in-003-unknown-field").as_deref(), Some("IN-3"));
    assert_eq!(id_of_case("steps.yaml"), None);
}

#[test]
fn every_rule_cited_in_code_is_specified() {
    let specified = specified();
    assert!(specified.len() > 50, "only {} rules found", specified.len());
    let (code, _) = cited();
    let unknown: Vec<_> = code.iter().filter(|(id, _)| !specified.contains(*id)).collect();
    assert!(unknown.is_empty(), "docs/SPEC.md has no heading for {unknown:?}");
}

#[test]
fn every_specified_rule_is_implemented() {
    let (code, _) = cited();
    let excused: BTreeSet<_> = WITHOUT_CODE.iter().map(|(id, _)| (*id).to_owned()).collect();
    let missing: Vec<_> =
        specified().into_iter().filter(|id| !code.contains_key(id) && !excused.contains(id)).collect();
    assert!(missing.is_empty(), "no code cites {missing:?}");
    let stale: Vec<_> = excused.into_iter().filter(|id| code.contains_key(id)).collect();
    assert!(stale.is_empty(), "no longer without code: {stale:?}");
}

#[test]
fn every_specified_rule_is_tested() {
    let (_, tests) = cited();
    let missing: Vec<_> = specified().into_iter().filter(|id| !tests.contains(id)).collect();
    assert!(missing.is_empty(), "no test and no corpus case names {missing:?}");
}

#[test]
fn every_test_vector_is_a_test() {
    let vectors: String = files("tests/tests/vectors", "rs").iter().map(text).collect();
    for number in (1..=121).chain(137..=143).chain(149..=151) {
        let found = vectors.matches(&format!("fn tv_{number:02}_")).count();
        assert_eq!(found, 1, "TV-{number} is {found} tests");
    }
}
