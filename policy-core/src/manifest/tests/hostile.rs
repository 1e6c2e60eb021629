//! Inputs made to break a reader: nothing here may panic, hang or take much memory.

use super::*;

/// A small generator of numbers, so that the inputs are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

const SEEDS: &[&str] = &[
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress]\n  ingress:\n  - from:\n    - podSelector: {matchLabels: {app: &x web}}\n    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}\n    ports:\n    - port: http\n    - {port: 80, endPort: 90, protocol: *x}\n",
    "%YAML 1.2\n---\napiVersion: apps/v1\r\nkind: Deployment\r\nmetadata:\r\n  name: é\r\nspec:\r\n  template: &t\r\n    <<: *t\r\n    spec: |\r\n      text\r\n...\r\n# end\r\n--- !!str x\n",
    "{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":{\"a\":\"\\u00e9\"}},\"spec\":{\"containers\":[{\"ports\":[{\"hostPort\":1}]}]}}]}\n{\"kind\":1}\n[1,2]\n",
    "a: [*b, {? x : y}, \"\\x41\", 'it''s', !<tag:yaml.org,2002:int> 0x1F, ~, .inf, 08]\n- \t\n? - k\n: >-\n  folded\n",
];

const PARTS: &[&str] = &[
    "---\n",
    "...\n",
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "\r",
    "\t",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "\"",
    "'",
    "|",
    ">",
    "#",
    "%",
    "@",
    "\u{feff}",
    "\u{2028}",
    "é",
    "\0",
    "{{",
    "}}",
    "\\u12",
    "null",
    "~",
    "-",
    "99999999999999999999",
    "items",
    "List",
];

#[test]
fn no_edit_of_a_manifest_makes_the_reader_panic() {
    let mut numbers = Numbers(7);
    for round in 0..6000 {
        let mut text: Vec<char> = SEEDS[round % SEEDS.len()].chars().collect();
        for _ in 0..=numbers.below(6) {
            let at = numbers.below(text.len() + 1);
            let end = (at + numbers.below(8)).min(text.len());
            let put = PARTS[numbers.below(PARTS.len())];
            let put: Vec<char> = if numbers.below(3) == 0 { Vec::new() } else { put.chars().collect() };
            text.splice(at..end, put);
        }
        let text: String = text.into_iter().collect();
        let name = if round % 3 == 0 { "a.json" } else { "a.yaml" };
        let (snapshot, problems) =
            reading_with(&[(name, &text)], &ReadOptions { keep_going: round % 2 == 0, max_nodes: 1000 });
        let errors = problems.iter().any(|problem| problem.starts_with("error"));
        assert_eq!(snapshot.incomplete, errors, "{text:?} {problems:?}");
    }
}

#[test]
fn every_beginning_of_a_manifest_is_read() {
    for seed in SEEDS {
        for (at, _) in seed.char_indices() {
            let (before, after) = seed.split_at(at);
            let (snapshot, problems) = reading_with(&[("a.yaml", before), ("a.json", after)], &ReadOptions::default());
            assert_eq!(snapshot.incomplete, problems.iter().any(|problem| problem.starts_with("error")));
        }
    }
}

#[test]
fn long_words_cost_little() {
    let word = "x".repeat(2_000_000);
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  {word}: 1\n  \"{word}y\": 2\n");
    let (_, problems) = reading(&text);
    assert!(!problems.is_empty());
    assert!(problems.iter().all(|problem| problem.starts_with("error")));
}
