//! What rules say of hosts, paths and values.

use std::sync::Arc;

use regex_automata::dfa::{Automaton, dense};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use crate::model::Name;

/// Which hosts a rule takes. Names are in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HostMatch {
    /// All, also none.
    Any,
    /// This one.
    Exact(Name),
    /// One label before this name: `*.foo.com` of an Ingress (ING-5). The name is `foo.com`.
    OneLabel(Name),
    /// One or more labels before this name: `*.foo.com` of a Gateway (GW-3). The name is `foo.com`.
    Labels(Name),
    /// A regular expression (TRF-3).
    Regex(HttpRegex),
}

/// Which paths a rule takes. Matching is case-sensitive unless a regular expression says otherwise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PathMatch {
    /// All.
    Any,
    /// This one.
    Exact(Name),
    /// This path and what lies below it, element by element (ING-6, GW-6): without `/` at its end; empty = all.
    Elements(Name),
    /// Whatever begins with these characters (ING-17, ING-22).
    Characters(Name),
    /// A regular expression.
    Regex(HttpRegex),
}

/// What a rule wants of a header or a query parameter that must be there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ValueMatch {
    /// This value.
    Exact(Name),
    /// A regular expression.
    Regex(HttpRegex),
    /// Any value.
    Present,
}

/// How a regular expression is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegexStyle {
    /// It must match from the first character on.
    pub from_start: bool,
    /// It must match up to the last character.
    pub to_end: bool,
    /// Capitals do not matter.
    pub ignore_case: bool,
}

impl RegexStyle {
    /// The whole text, capitals as written.
    pub const WHOLE: Self = Self { from_start: true, to_end: true, ignore_case: false };
}

/// A regular expression, with the automaton that decides it, when there is one.
#[derive(Clone, Debug)]
pub struct HttpRegex {
    written: Name,
    style: RegexStyle,
    automaton: Option<Arc<dense::DFA<Vec<u32>>>>,
    /// Where nobody defines how the expression is meant: what it takes in every reading.
    certain: Option<Arc<dense::DFA<Vec<u32>>>>,
}

/// An automaton larger than this is not made: the expression counts as undecidable.
const AUTOMATON_BYTES: usize = 1 << 20;

impl HttpRegex {
    /// Compiles an expression. One that needs more than a finite automaton (look-around, back-references) or a very
    /// large one cannot be decided.
    #[must_use]
    pub fn new(written: &str, style: RegexStyle) -> Self {
        let start = if style.from_start { r"\A" } else { r"(?s:.)*" };
        let end = if style.to_end { r"\z" } else { r"(?s:.)*\z" };
        // Every automaton decides whole texts, so that sets of texts can be compared.
        let automaton = Self::whole(&format!("{start}(?:{written}){end}"), style.ignore_case);
        Self { written: Name::from(written), style, automaton, certain: None }
    }

    /// An expression of which nobody defines how it is meant (GW-6). It takes the whole texts that `certain` takes,
    /// none that `possible` does not take, and of the rest nobody can tell. `possible` takes all that `certain` does.
    #[must_use]
    pub fn between(written: &str, certain: &str, possible: &str) -> Self {
        // Brackets that close what the expression did not open would change what stands around it.
        let is_whole = regex_automata::util::syntax::parse(written).is_ok();
        let whole = |expression: &str| Self::whole(&format!(r"\A(?:{expression})\z"), false).filter(|_| is_whole);
        let (automaton, certain) = (whole(possible), whole(certain));
        let style = RegexStyle { from_start: false, to_end: false, ignore_case: false };
        Self { written: Name::from(written), style, automaton: automaton.filter(|_| certain.is_some()), certain }
    }

    /// An expression that may have to match the whole text or a part of it (GW-6).
    #[must_use]
    pub fn open(written: &str) -> Self {
        Self::between(written, written, &format!("(?s:.)*(?:{written})(?s:.)*"))
    }

    fn whole(expression: &str, ignore_case: bool) -> Option<Arc<dense::DFA<Vec<u32>>>> {
        let syntax = syntax::Config::new().case_insensitive(ignore_case).utf8(false).unicode(false);
        let config = dense::Config::new()
            .dfa_size_limit(Some(AUTOMATON_BYTES))
            .determinize_size_limit(Some(4 * AUTOMATON_BYTES));
        let nfa = regex_automata::nfa::thompson::Config::new().utf8(false).nfa_size_limit(Some(AUTOMATON_BYTES));
        let built = dense::Builder::new().syntax(syntax).thompson(nfa).configure(config).build(expression);
        built.ok().map(Arc::new)
    }

    /// The expression as written.
    #[must_use]
    pub fn written(&self) -> &Name {
        &self.written
    }

    /// How it is meant.
    #[must_use]
    pub fn style(&self) -> RegexStyle {
        self.style
    }

    /// The automaton of the whole texts that it takes; `None` when the expression cannot be decided.
    #[must_use]
    pub fn automaton(&self) -> Option<&dense::DFA<Vec<u32>>> {
        self.automaton.as_deref().filter(|_| self.certain.is_none())
    }

    /// Whether it takes a text; `None` when nobody can tell.
    #[must_use]
    pub fn matches(&self, text: &str) -> Option<bool> {
        let takes = |automaton: &dense::DFA<Vec<u32>>| {
            let input = Input::new(text).anchored(Anchored::Yes);
            automaton.try_search_fwd(&input).ok().map(|found| found.is_some())
        };
        let possible = takes(self.automaton.as_ref()?)?;
        match &self.certain {
            Some(certain) if possible && !takes(certain)? => None,
            _ => Some(possible),
        }
    }

    fn key(&self) -> (&Name, RegexStyle, bool) {
        (&self.written, self.style, self.certain.is_some())
    }
}

impl PartialEq for HttpRegex {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for HttpRegex {}

impl PartialOrd for HttpRegex {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HttpRegex {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl std::hash::Hash for HttpRegex {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl HostMatch {
    /// Whether it takes a host in lower case; `None` when nobody can tell.
    #[must_use]
    pub fn matches(&self, host: Option<&str>) -> Option<bool> {
        let before = |suffix: &str| {
            let before = host.and_then(|host| host.strip_suffix(suffix)).and_then(|rest| rest.strip_suffix('.'));
            before.filter(|labels| !labels.is_empty())
        };
        Some(match self {
            Self::Any => true,
            Self::Exact(name) => host == Some(&**name),
            Self::OneLabel(name) => before(name).is_some_and(|label| !label.contains('.')),
            Self::Labels(name) => before(name).is_some(),
            Self::Regex(regex) => return host.map_or(Some(false), |host| regex.matches(host)),
        })
    }
}

impl PathMatch {
    /// Whether it takes a path; `None` when nobody can tell.
    #[must_use]
    pub fn matches(&self, path: &str) -> Option<bool> {
        Some(match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *path,
            Self::Elements(prefix) => {
                path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Characters(prefix) => path.starts_with(&**prefix),
            Self::Regex(regex) => return regex.matches(path),
        })
    }

    /// A prefix by elements: a `/` at its end does not count (ING-6, GW-6).
    #[must_use]
    pub fn elements(prefix: &str) -> Self {
        Self::Elements(Name::from(prefix.strip_suffix('/').unwrap_or(prefix)))
    }
}

impl ValueMatch {
    /// Whether it takes the value of a header or parameter; `None` when nobody can tell.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> Option<bool> {
        let Some(value) = value else { return Some(false) };
        match self {
            Self::Exact(exact) => Some(**exact == *value),
            Self::Regex(regex) => regex.matches(value),
            Self::Present => Some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_label_for_an_ingress_and_some_for_a_gateway() {
        // ING-5, GW-3
        let one = HostMatch::OneLabel(Name::from("foo.com"));
        let some = HostMatch::Labels(Name::from("foo.com"));
        for (host, is_one, is_some) in [
            ("bar.foo.com", true, true),
            ("baz.bar.foo.com", false, true),
            ("foo.com", false, false),
            ("barfoo.com", false, false),
            (".foo.com", false, false),
        ] {
            assert_eq!((one.matches(Some(host)), some.matches(Some(host))), (Some(is_one), Some(is_some)), "{host}");
        }
        assert_eq!((one.matches(None), HostMatch::Any.matches(None)), (Some(false), Some(true)));
    }

    #[test]
    fn prefixes_go_by_elements_or_by_characters() {
        // ING-6, ING-17
        for (prefix, path, elements, characters) in [
            ("/foo", "/foo", true, true),
            ("/foo", "/foo/", true, true),
            ("/foo", "/foo/bar", true, true),
            ("/foo", "/foobar", false, true),
            ("/foo/", "/foo", true, false),
            ("/", "/anything", true, true),
            ("/aaa/bb", "/aaa/bbb", false, true),
        ] {
            assert_eq!(PathMatch::elements(prefix).matches(path), Some(elements), "{prefix} {path}");
            assert_eq!(PathMatch::Characters(Name::from(prefix)).matches(path), Some(characters), "{prefix} {path}");
        }
    }

    #[test]
    fn expressions_are_decided_by_their_style_or_not_at_all() {
        let search = RegexStyle { from_start: false, to_end: false, ignore_case: true };
        assert_eq!(HttpRegex::new("/foo", search).matches("/a/FOO/b"), Some(true));
        let from_start = RegexStyle { from_start: true, ..search };
        assert_eq!(HttpRegex::new("/foo", from_start).matches("/a/foo"), Some(false));
        assert_eq!(HttpRegex::new("/foo|/bar", from_start).matches("/bars"), Some(true));
        assert_eq!(HttpRegex::new("/[a-z]+", RegexStyle::WHOLE).matches("/foo1"), Some(false));
        assert_eq!(HttpRegex::new(r"/foo(?=bar)", RegexStyle::WHOLE).matches("/foobar"), None);
        assert_eq!(HttpRegex::new(r"/(a", RegexStyle::WHOLE).matches("/a"), None);
    }

    #[test]
    fn an_open_expression_is_decided_where_all_readings_agree() {
        // GW-6
        let open = HttpRegex::open("/v[0-9]+");
        assert_eq!(open.matches("/v1"), Some(true));
        assert_eq!(open.matches("/v1/x"), None);
        assert_eq!(open.matches("/x"), Some(false));
        assert!(open.automaton().is_none());
        assert_eq!(HttpRegex::open("a)(b").matches("ab"), None);
    }
}
