//! No text makes the reader or the lowering panic, and what they complain of has a place.

use fixtures::strategy::cluster_plan;
use policy_core::lower::{LowerOptions, lower};
use policy_core::manifest::{ReadOptions, read};
use policy_core::source::SourceMap;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tests::property::check;

/// Reads and lowers; the places of all diagnostics must lie in their texts.
fn survive(text: String) -> Result<(), TestCaseError> {
    let mut sources = SourceMap::default();
    let length = text.len();
    sources.add("input.yaml", text);
    for keep_going in [false, true] {
        let (snapshot, mut diagnostics) = read(&sources, &ReadOptions { keep_going, ..ReadOptions::default() });
        diagnostics.extend(lower(&snapshot, &LowerOptions::default()).1);
        for label in diagnostics.iter().flat_map(|found| found.primary.iter().chain(&found.secondary)) {
            prop_assert!(label.span.start <= label.span.end && label.span.end as usize <= length, "{:?}", diagnostics);
        }
        for diagnostic in &diagnostics {
            prop_assert!(!diagnostic.message.is_empty() && !diagnostic.rule.is_empty());
        }
    }
    Ok(())
}

#[test]
fn no_bytes_make_the_reader_panic() {
    check(1500, &proptest::collection::vec(any::<u8>(), 0..400), |bytes| {
        survive(String::from_utf8_lossy(&bytes).into_owned())
    });
}

#[test]
fn no_heap_of_yaml_words_makes_the_reader_panic() {
    let word = select(vec![
        "a",
        ": ",
        ":",
        "-",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "|",
        ">",
        "'",
        "\"",
        "#",
        "?",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "<<: ",
        "~",
        "null",
        "1e999",
        "0x",
        "apiVersion: v1",
        "kind: Pod",
        "kind: List",
        "kind: NetworkPolicy",
        "apiVersion: networking.k8s.io/v1",
        "metadata: ",
        "name: x",
        "spec: ",
        "items: ",
        "podSelector: ",
        "ingress: ",
        "ports: ",
        "port: ",
        "from: ",
        "ipBlock: ",
        "cidr: ",
        "\t",
        "\r\n",
        "\u{feff}",
        "é",
        "\u{85}",
    ]);
    check(4000, &proptest::collection::vec(word, 0..60), |words| survive(words.concat()));
}

/// One way to spoil a text.
#[derive(Clone, Debug)]
enum Spoil {
    Delete,
    Double,
    Insert(char),
    CutHere,
    SwapLines,
}

fn spoil() -> impl Strategy<Value = Vec<(Spoil, Index)>> {
    let character =
        select(vec![':', '-', ' ', '\n', '{', '}', '[', ']', '"', '\'', '&', '*', '!', '0', '9', 'x', '\t', '\0', 'é']);
    let one = prop_oneof![
        4 => Just(Spoil::Delete),
        3 => Just(Spoil::Double),
        6 => character.prop_map(Spoil::Insert),
        1 => Just(Spoil::CutHere),
        2 => Just(Spoil::SwapLines),
    ];
    proptest::collection::vec((one, any::<Index>()), 1..5)
}

fn spoiled(text: &str, spoils: &[(Spoil, Index)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (spoil, index) in spoils {
        if characters.is_empty() {
            break;
        }
        let at = index.index(characters.len());
        match spoil {
            Spoil::Delete => drop(characters.remove(at)),
            Spoil::Double => characters.insert(at, characters[at]),
            Spoil::Insert(character) => characters.insert(at, *character),
            Spoil::CutHere => characters.truncate(at),
            Spoil::SwapLines => {
                let text: String = characters.iter().collect();
                let mut lines: Vec<&str> = text.lines().collect();
                if lines.len() > 1 {
                    let line = index.index(lines.len() - 1);
                    lines.swap(line, line + 1);
                }
                characters = lines.join("\n").chars().collect();
            }
        }
    }
    characters.into_iter().collect()
}

#[test]
fn no_spoiled_manifest_makes_the_reader_panic() {
    check(800, &(cluster_plan(), spoil(), any::<bool>()), |(plan, spoils, json)| {
        let text = if json { plan.to_json() } else { plan.to_yaml() };
        survive(spoiled(&text, &spoils))
    });
}
