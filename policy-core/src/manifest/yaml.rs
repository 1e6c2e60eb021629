//! YAML text into trees.
//!
//! A text is first cut at its document markers, so that a syntax error hides no other document and only one
//! document is in memory. Aliases are copied within a budget that is charged before copying (IN-11).

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput, Tag};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::diagnostic::Diagnostic;
use crate::source::Span;

use super::findings::{Stop, Text};
use super::scalar;
use super::tree::{Entry, Key, MAX_DEPTH, Node, Value};

/// One document of a text.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// Its content; `None` when it could not be read.
    pub(crate) root: Option<Node<'a>>,
    /// Syntax errors and duplicate keys.
    pub(crate) problems: Vec<Diagnostic>,
}

/// The byte ranges of the documents in `range` of a text, cut at `---` and `...` lines. Comments, blank lines
/// and directives before a marker belong to the document after it.
pub(crate) fn split(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut documents = Vec::new();
    let mut start = range.start;
    let mut at = range.start;
    let mut content = false;
    for line in text.get(range.clone()).unwrap_or_default().split_inclusive('\n') {
        let end = at + line.len();
        if is_marker(line, "---") {
            if content {
                documents.push(start..at);
                start = at;
            }
            content = true;
        } else if is_marker(line, "...") {
            documents.push(start..end);
            start = end;
            content = false;
        } else if !content {
            let bare = line.trim_start_matches('\u{feff}').trim_start();
            content = !(bare.is_empty() || bare.starts_with('#') || bare.starts_with('%'));
        }
        at = end;
    }
    if start < range.end {
        documents.push(start..range.end);
    }
    documents
}

fn is_marker(line: &str, marker: &str) -> bool {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Reads the documents of one piece of a text; a piece made by [`split`] holds one, or none.
pub(crate) fn parse<'a>(text: Text<'a>, range: Range<usize>, budget: usize) -> Vec<Document<'a>> {
    let piece = text.text.get(range.clone()).unwrap_or_default();
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let parser = Parser::new_from_str_with_options(piece, options);
    Builder::new(text, range, budget).build(parser)
}

enum Items<'a> {
    Seq(Vec<Node<'a>>),
    Map { entries: Vec<Entry<'a>>, key: Option<Slot<'a>>, merges: Vec<Node<'a>> },
}

/// What the next value of a map belongs to.
enum Slot<'a> {
    Key(Key<'a>),
    Merge,
}

struct Frame<'a> {
    start: usize,
    anchor: usize,
    /// Nodes built before this one, to know its size when it ends.
    before: usize,
    /// Levels below.
    height: usize,
    items: Items<'a>,
}

struct Anchored<'a> {
    node: Node<'a>,
    nodes: usize,
    height: usize,
}

struct Builder<'a> {
    text: Text<'a>,
    range: Range<usize>,
    budget: usize,
    frames: Vec<Frame<'a>>,
    anchors: FxHashMap<usize, Anchored<'a>>,
    nodes: usize,
    copied: usize,
    root: Option<Node<'a>>,
    problems: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(text: Text<'a>, range: Range<usize>, budget: usize) -> Self {
        Self {
            text,
            range,
            budget,
            frames: Vec::new(),
            anchors: FxHashMap::default(),
            nodes: 0,
            copied: 0,
            root: None,
            problems: Vec::new(),
        }
    }

    fn build(mut self, mut parser: Parser<'a, StrInput<'a>>) -> Vec<Document<'a>> {
        let mut documents = Vec::new();
        while let Some(next) = parser.next_event() {
            let step = match next {
                Ok((Event::DocumentEnd, _)) => {
                    documents.push(self.finish());
                    continue;
                }
                Ok((event, span)) => self.event(event, span),
                Err(error) => Err(Box::new(self.syntax(&error))),
            };
            if let Err(problem) = step {
                self.problems.push(*problem);
                self.root = None;
                documents.push(self.finish());
                break;
            }
        }
        documents
    }

    fn finish(&mut self) -> Document<'a> {
        self.frames.clear();
        self.anchors.clear();
        self.nodes = 0;
        self.copied = 0;
        Document { root: self.root.take(), problems: std::mem::take(&mut self.problems) }
    }

    fn event(&mut self, event: Event<'a>, span: granit_parser::Span) -> Result<(), Stop> {
        let start = self.range.start + span.start.byte_offset().unwrap_or(0);
        let end = self.range.start + span.end.byte_offset().unwrap_or(0);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text, style, tag.as_deref(), start..end);
                self.nodes += 1;
                self.complete(node, anchor, 1, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.open(start, anchor, Items::Seq(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                self.open(start, anchor, Items::Map { entries: Vec::new(), key: None, merges: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(start..end),
            Event::Alias(anchor) => self.alias(anchor, start..end),
            _ => Ok(()),
        }
    }

    fn scalar(&self, text: Cow<'a, str>, style: ScalarStyle, tag: Option<&Tag>, range: Range<usize>) -> Node<'a> {
        let mut end = range.end;
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            let written = self.text.text.get(range.clone()).unwrap_or_default();
            end = range.start + written.trim_end().len();
        }
        let value = match tag.and_then(Tag::core_suffix) {
            Some("str") => Value::Str(if range.is_empty() { Cow::Borrowed("") } else { text }),
            Some("int" | "float") => scalar::number(&text).unwrap_or(Value::Str(text)),
            Some("bool" | "null") => scalar::word(&text).unwrap_or(Value::Str(text)),
            Some(_) => Value::Str(text),
            None if tag.is_some() || style != ScalarStyle::Plain => Value::Str(text),
            None if range.is_empty() => Value::Null,
            None => scalar::resolve(text),
        };
        let span = self.text.span(range.start..end);
        Node { start: span.start, end: span.end, value }
    }

    fn open(&mut self, start: usize, anchor: usize, items: Items<'a>) -> Result<(), Stop> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.too_deep(start));
        }
        self.frames.push(Frame { start, anchor, before: self.nodes, height: 0, items });
        self.nodes += 1;
        Ok(())
    }

    fn close(&mut self, range: Range<usize>) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let mut last = 0;
        let value = match frame.items {
            Items::Seq(items) => {
                last = items.iter().map(|item| item.end).max().unwrap_or(last);
                Value::Seq(items)
            }
            Items::Map { entries, merges, .. } => {
                let entries = self.distinct(entries);
                last = entries.iter().map(|entry| entry.value.end.max(entry.key.end)).max().unwrap_or(last);
                Value::Map(merge(entries, merges))
            }
        };
        let mut span = self.text.span(frame.start..range.end);
        if range.is_empty() {
            span.end = last.max(span.start).min(span.end);
        }
        let nodes = self.nodes - frame.before;
        self.complete(Node { start: span.start, end: span.end, value }, frame.anchor, nodes, frame.height + 1)
    }

    fn alias(&mut self, anchor: usize, range: Range<usize>) -> Result<(), Stop> {
        let span = self.text.span(range.clone());
        let Some(found) = self.anchors.get(&anchor) else {
            return Err(Box::new(Diagnostic::error("IN-1", Some(span), "an alias cannot stand inside what it names")));
        };
        // IN-11
        if self.copied.saturating_add(found.nodes) > self.budget {
            let problem = Diagnostic::error("IN-11", Some(span), "aliases expand to too many nodes")
                .label(format!("the document may copy {} nodes", self.budget))
                .help("a document that grows like this is usually hostile; write the parts out");
            return Err(Box::new(problem));
        }
        if self.frames.len() + found.height > MAX_DEPTH {
            return Err(self.too_deep(range.start));
        }
        let (mut node, nodes, height) = (found.node.clone(), found.nodes, found.height);
        self.copied += nodes;
        self.nodes += nodes;
        (node.start, node.end) = (span.start, span.end);
        self.complete(node, 0, nodes, height)
    }

    /// Puts a finished node where it belongs.
    fn complete(&mut self, node: Node<'a>, anchor: usize, nodes: usize, height: usize) -> Result<(), Stop> {
        if anchor != 0 {
            // Remembering a node copies it, so a chain of anchors inside anchors is charged too.
            self.copied = self.copied.saturating_add(nodes);
            if self.copied > self.budget {
                let span = Span { source: self.text.source, start: node.start, end: node.end };
                return Err(Box::new(Diagnostic::error("IN-11", Some(span), "anchors name too many nodes")));
            }
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, height });
        }
        let text = self.text;
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.height = frame.height.max(height);
        match &mut frame.items {
            Items::Seq(items) => items.push(node),
            Items::Map { entries, key, merges } => match key.take() {
                None => *key = Some(slot(text, node)?),
                Some(Slot::Key(key)) => entries.push(Entry { key, value: node }),
                Some(Slot::Merge) => merges.push(node),
            },
        }
        Ok(())
    }

    /// IN-2: reports every key that stands twice and keeps the first.
    fn distinct(&mut self, entries: Vec<Entry<'a>>) -> Vec<Entry<'a>> {
        let (entries, problems) = distinct(self.text, entries);
        self.problems.extend(problems);
        entries
    }

    fn too_deep(&self, at: usize) -> Stop {
        Box::new(too_deep(self.text.word_at(at, self.range.clone())))
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let at = self.range.start + error.marker().byte_offset().unwrap_or(0);
        let span = self.text.word_at(at, self.range.clone());
        match error.kind() {
            // IN-11
            ErrorKind::RecursionLimitExceeded => too_deep(span),
            // IN-1
            kind => {
                let problem = Diagnostic::error("IN-1", Some(span), format!("broken YAML: {}", error.info()));
                match kind {
                    ErrorKind::TabInBlockIndentation => problem.help("indent with spaces, not tabs"),
                    ErrorKind::MappingValueNotAllowed => problem.help("quote a value that contains `: `"),
                    ErrorKind::UnknownAnchor => problem.help("an alias needs an anchor (`&name`) before it"),
                    _ => problem,
                }
            }
        }
    }
}

/// IN-11
pub(crate) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error("IN-11", Some(span), format!("nested deeper than {MAX_DEPTH} levels"))
}

/// IN-2: the entries without repeated keys (the first stays), and what to say about the others.
pub(crate) fn distinct<'a>(text: Text<'a>, entries: Vec<Entry<'a>>) -> (Vec<Entry<'a>>, Vec<Diagnostic>) {
    let repeated = if entries.len() <= 12 {
        let mut rest = entries.as_slice();
        let mut found = false;
        while let Some((first, after)) = rest.split_first() {
            found |= after.iter().any(|other| other.key.text == first.key.text);
            rest = after;
        }
        found
    } else {
        let keys: FxHashSet<&str> = entries.iter().map(|entry| entry.key.text.as_ref()).collect();
        keys.len() < entries.len()
    };
    if !repeated {
        return (entries, Vec::new());
    }
    let mut first: FxHashMap<Cow<'a, str>, Span> = FxHashMap::default();
    let mut kept = Vec::with_capacity(entries.len());
    let mut problems = Vec::new();
    for entry in entries {
        let span = text.key(&entry.key);
        if let Some(earlier) = first.get(&entry.key.text) {
            let problem = Diagnostic::error("IN-2", Some(span), format!("duplicate key `{}`", entry.key.text))
                .label("written again")
                .also(Some(*earlier), "first written here")
                .help("keep one of them");
            problems.push(problem);
        } else {
            first.insert(entry.key.text.clone(), span);
            kept.push(entry);
        }
    }
    (kept, problems)
}

/// The key that a node makes.
fn slot<'a>(text: Text<'a>, node: Node<'a>) -> Result<Slot<'a>, Stop> {
    let key = match node.value {
        Value::Str(key) => {
            let plain = text.text.get(node.start as usize..node.end as usize) == Some("<<");
            if plain {
                return Ok(Slot::Merge);
            }
            key
        }
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::Float(number) => Cow::Owned(number.to_string()),
        Value::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Value::Null | Value::Seq(_) | Value::Map(_) => {
            let what = if node.value == Value::Null { "empty" } else { "a list or a map" };
            let problem = Diagnostic::error("IN-1", Some(text.node(&node)), format!("a key cannot be {what}"))
                .help("a key is a word; quote it when it begins with `{` or `[`");
            return Err(Box::new(problem));
        }
    };
    Ok(Slot::Key(Key { start: node.start, end: node.end, text: key }))
}

/// The merge key `<<`: what is written wins over what is merged, an earlier map over a later one.
fn merge<'a>(mut entries: Vec<Entry<'a>>, merges: Vec<Node<'a>>) -> Vec<Entry<'a>> {
    if merges.is_empty() {
        return entries;
    }
    let mut known: FxHashSet<Cow<'a, str>> = entries.iter().map(|entry| entry.key.text.clone()).collect();
    let mut add = |node: Node<'a>| {
        if let Value::Map(others) = node.value {
            entries.extend(others.into_iter().filter(|entry| known.insert(entry.key.text.clone())));
        }
    };
    for node in merges {
        match node.value {
            Value::Seq(items) => items.into_iter().for_each(&mut add),
            _ => add(node),
        }
    }
    entries
}
