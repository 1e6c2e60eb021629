//! Sets of texts that patterns describe: whether some text is in all of these and in none of those.

use std::collections::{BTreeMap, VecDeque};

use regex_automata::Input;
use regex_automata::dfa::{Automaton, dense};
use regex_automata::util::primitives::StateID;

use crate::model::http::{HostMatch, HttpRegex, PathMatch, RegexStyle, ValueMatch};

/// A pattern that takes texts.
pub(super) trait Pattern {
    /// Whether it takes a text; `None` when nobody can tell.
    fn takes(&self, text: &str) -> Option<bool>;
    /// Texts that are worth a try: its own text, and one a little longer.
    fn samples(&self) -> Vec<String>;
    /// The same as an expression over whole texts; `None` when there is none.
    fn expression(&self) -> Option<HttpRegex>;
}

/// Which texts there are at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Universe {
    /// Names of hosts in lower case.
    Hosts,
    /// Paths of requests.
    Paths,
    /// Values of headers and parameters.
    Values,
}

/// Whether some text is in a set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// This one.
    Text(String),
    /// None is.
    Nothing,
    /// It cannot be told within bounds.
    Unknown,
}

/// A product of automata with more states than this is given up.
const MOST_STATES: usize = 50_000;

impl Universe {
    fn expression(self) -> HttpRegex {
        let written = match self {
            Self::Hosts => r"[a-z0-9_-]+(\.[a-z0-9_-]+)*",
            Self::Paths => r"/[!-~&&[^?#]]*",
            Self::Values => r"[ -~]*",
        };
        HttpRegex::new(written, RegexStyle::WHOLE)
    }

    fn samples(self) -> [&'static str; 3] {
        match self {
            Self::Hosts => ["host.example", "a.host.example", "other.example"],
            Self::Paths => ["/", "/other", "/other/path"],
            Self::Values => ["", "other", "1"],
        }
    }

    fn holds(self, text: &str) -> bool {
        match self {
            Self::Hosts => text.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            }),
            Self::Paths => {
                text.starts_with('/')
                    && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
            }
            Self::Values => text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        }
    }
}

/// A text that all of `inside` take and none of `outside`.
pub(super) fn find<P: Pattern>(universe: Universe, inside: &[&P], outside: &[&P]) -> Found {
    let is_in = |text: &str| {
        universe.holds(text)
            && inside.iter().all(|pattern| pattern.takes(text) == Some(true))
            && outside.iter().all(|pattern| pattern.takes(text) == Some(false))
    };
    let own = inside.iter().chain(outside).flat_map(|pattern| pattern.samples());
    let tried = own.chain(universe.samples().map(str::to_owned));
    // Samples of the outside show only where the edges are; a few are enough.
    for text in tried.take(64) {
        if is_in(&text) {
            return Found::Text(text);
        }
    }
    product(universe, inside, outside)
}

/// Walks all automata side by side, breadth first: exact, and the text that is found is a shortest one.
fn product<P: Pattern>(universe: Universe, inside: &[&P], outside: &[&P]) -> Found {
    let expressions = |patterns: &[&P]| patterns.iter().map(|pattern| pattern.expression()).collect::<Option<Vec<_>>>();
    let (Some(mut wanted), Some(unwanted)) = (expressions(inside), expressions(outside)) else { return Found::Unknown };
    wanted.push(universe.expression());
    let required = wanted.len();
    let all: Vec<HttpRegex> = wanted.into_iter().chain(unwanted).collect();
    let Some(automata) = all.iter().map(HttpRegex::automaton).collect::<Option<Vec<_>>>() else {
        return Found::Unknown;
    };
    let bytes = letters(&automata);
    let start = |automaton: &&dense::DFA<Vec<u32>>| {
        let input = Input::new("").anchored(regex_automata::Anchored::Yes);
        automaton.start_state_forward(&input).ok()
    };
    let Some(start) = automata.iter().map(start).collect::<Option<Vec<StateID>>>() else { return Found::Unknown };
    let ends = |states: &[StateID]| {
        let ends = |(automaton, state): (&&dense::DFA<Vec<u32>>, &StateID)| {
            automaton.is_match_state(automaton.next_eoi_state(*state))
        };
        let mut verdicts = automata.iter().zip(states).map(ends);
        let wanted = verdicts.by_ref().take(required).all(|verdict| verdict);
        wanted && !verdicts.any(|verdict| verdict)
    };
    let is_hopeless = |states: &[StateID]| {
        let mut wanted = automata.iter().zip(states).take(required);
        wanted.any(|(automaton, state)| automaton.is_dead_state(*state) || automaton.is_quit_state(*state))
    };
    let mut came: BTreeMap<Vec<StateID>, (Vec<StateID>, u8)> = BTreeMap::new();
    let mut queue = VecDeque::from([start.clone()]);
    while let Some(states) = queue.pop_front() {
        if ends(&states) {
            return Found::Text(text(&came, &start, states));
        }
        for byte in &bytes {
            let next: Vec<StateID> =
                automata.iter().zip(&states).map(|(automaton, state)| automaton.next_state(*state, *byte)).collect();
            if is_hopeless(&next) || next == start || came.contains_key(&next) {
                continue;
            }
            came.insert(next.clone(), (states.clone(), *byte));
            queue.push_back(next);
        }
        if came.len() > MOST_STATES {
            return Found::Unknown;
        }
    }
    Found::Nothing
}

/// One printable byte of each kind that some automaton tells apart.
fn letters(automata: &[&dense::DFA<Vec<u32>>]) -> Vec<u8> {
    let mut kinds: BTreeMap<Vec<u8>, u8> = BTreeMap::new();
    // Letters first: what they stand for is easier to read.
    for byte in (b'a'..=b'z').chain(b'0'..=b'9').chain(b' '..=b'~') {
        let kind = automata.iter().map(|automaton| automaton.byte_classes().get(byte)).collect();
        kinds.entry(kind).or_insert(byte);
    }
    let mut bytes: Vec<u8> = kinds.into_values().collect();
    bytes.sort_unstable_by_key(|byte| (!byte.is_ascii_lowercase(), *byte));
    bytes
}

fn text(came: &BTreeMap<Vec<StateID>, (Vec<StateID>, u8)>, start: &[StateID], end: Vec<StateID>) -> String {
    let mut bytes = Vec::new();
    let mut at = end;
    while at != start {
        let Some((before, byte)) = came.get(&at) else { break };
        bytes.push(*byte);
        at.clone_from(before);
    }
    bytes.reverse();
    bytes.into_iter().map(char::from).collect()
}

/// An expression for a text as it is.
fn literal(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() && c.is_ascii() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn whole(written: &str) -> HttpRegex {
    HttpRegex::new(written, RegexStyle::WHOLE)
}

impl Pattern for HostMatch {
    fn takes(&self, text: &str) -> Option<bool> {
        self.matches(Some(text))
    }

    fn samples(&self) -> Vec<String> {
        match self {
            Self::Exact(name) => vec![name.to_string()],
            Self::OneLabel(name) => vec![format!("any.{name}"), format!("other.{name}")],
            Self::Labels(name) => vec![format!("any.{name}"), format!("other.{name}"), format!("very.other.{name}")],
            Self::Any | Self::Regex(_) => Vec::new(),
        }
    }

    fn expression(&self) -> Option<HttpRegex> {
        Some(match self {
            Self::Any => whole("(?s:.)*"),
            Self::Exact(name) => whole(&literal(name)),
            Self::OneLabel(name) => whole(&format!("[^.]+\\.{}", literal(name))),
            Self::Labels(name) => whole(&format!("(?s:.)+\\.{}", literal(name))),
            Self::Regex(regex) => regex.clone(),
        })
    }
}

impl Pattern for PathMatch {
    fn takes(&self, text: &str) -> Option<bool> {
        self.matches(text)
    }

    fn samples(&self) -> Vec<String> {
        match self {
            Self::Any | Self::Regex(_) => Vec::new(),
            Self::Exact(text) => vec![text.to_string()],
            Self::Elements(text) if text.is_empty() => vec!["/".to_owned(), "/any".to_owned()],
            Self::Elements(text) => vec![text.to_string(), format!("{text}/any"), format!("{text}/")],
            Self::Characters(text) => vec![text.to_string(), format!("{text}any"), format!("{text}/any")],
        }
    }

    fn expression(&self) -> Option<HttpRegex> {
        Some(match self {
            Self::Any => whole("(?s:.)*"),
            Self::Exact(text) => whole(&literal(text)),
            Self::Elements(text) => whole(&format!("{}(/(?s:.)*)?", literal(text))),
            Self::Characters(text) => whole(&format!("{}(?s:.)*", literal(text))),
            Self::Regex(regex) => regex.clone(),
        })
    }
}

impl Pattern for ValueMatch {
    fn takes(&self, text: &str) -> Option<bool> {
        self.matches(Some(text))
    }

    fn samples(&self) -> Vec<String> {
        match self {
            Self::Exact(text) => vec![text.to_string()],
            Self::Regex(_) | Self::Present => Vec::new(),
        }
    }

    fn expression(&self) -> Option<HttpRegex> {
        Some(match self {
            Self::Exact(text) => whole(&literal(text)),
            Self::Present => whole("(?s:.)*"),
            Self::Regex(regex) => regex.clone(),
        })
    }
}
