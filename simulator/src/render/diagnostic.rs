//! Diagnostics as rustc prints them: `error[NP-31]: message`, the place, the text underlined, what to do.
//!
//! Texts can be huge and lines can be a whole cluster: only the lines at fault are handed to the renderer, and
//! of a long line only the part around the fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use policy_core::diagnostic::{Diagnostic, Label, Severity};
use policy_core::source::{SourceMap, Span};

use crate::render::{counted, escape};

/// A line of more bytes than this is cut around the fault.
const LONG_LINE: usize = 400;
/// How much of a long line is kept on each side of the fault, in bytes.
const AROUND: usize = 60;

/// Puts diagnostics into the order of printing: those without a place first, then by source and position.
pub(crate) fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| d.primary.as_ref().map(|label| label.span);
        (key(a), a.severity, a.rule, &a.message).cmp(&(key(b), b.severity, b.rule, &b.message))
    });
}

/// One diagnostic, with a line break at its end.
pub(crate) fn render(diagnostic: &Diagnostic, sources: &SourceMap, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(escape(&diagnostic.message)).id(diagnostic.rule);
    let places = diagnostic.primary.iter().map(|label| (label, true));
    let places = places.chain(diagnostic.secondary.iter().map(|label| (label, false)));
    let excerpts = merge(places.filter_map(|(label, primary)| Excerpt::of(label, primary, sources)).collect());
    let mut group = Group::with_title(title);
    for excerpt in &excerpts {
        for element in excerpt.elements() {
            group = group.element(element);
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(escape(help)));
    }
    let mut text = renderer.render(&[group]).to_string();
    text.push('\n');
    text
}

/// Counts what was printed: `2 errors, 1 warning in 3 files`.
#[derive(Default)]
pub(crate) struct Summary {
    counts: BTreeMap<Severity, usize>,
    files: BTreeSet<String>,
}

impl Summary {
    pub(crate) fn count(&mut self, diagnostic: &Diagnostic, sources: &SourceMap) {
        *self.counts.entry(diagnostic.severity).or_default() += 1;
        let source = diagnostic.primary.as_ref().and_then(|label| sources.get(label.span.source));
        self.files.extend(source.map(|source| source.name.to_string()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (severity, count)) in self.counts.iter().enumerate() {
            let word = match severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", counted(*count, word))?;
        }
        if self.files.is_empty() { Ok(()) } else { write!(f, " in {}", counted(self.files.len(), "file")) }
    }
}

/// Whole lines of one source with the marks on them.
struct Excerpt<'a> {
    path: String,
    whole: &'a str,
    /// The lines that are shown, as a range of `whole`.
    lines: Range<usize>,
    first_line: usize,
    column: usize,
    source: policy_core::source::SourceId,
    marks: Vec<Mark>,
}

struct Mark {
    range: Range<usize>,
    primary: bool,
    text: String,
}

impl<'a> Excerpt<'a> {
    /// The first line of a label's place; `None` when the place is in no source.
    fn of(label: &Label, primary: bool, sources: &'a SourceMap) -> Option<Self> {
        let Span { source, start, .. } = label.span;
        let whole: &str = &sources.get(source)?.text;
        let location = sources.locate(label.span);
        let (start, end) = (start as usize, label.span.end as usize);
        let before = whole.get(..start)?;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let finish = whole.get(start..)?.find('\n').map_or(whole.len(), |at| start + at);
        let trimmed = whole.get(start..finish).unwrap_or_default().trim_end().len();
        let range = start..end.min(start + trimmed).max(start);
        let text = escape(&label.text);
        Some(Self {
            path: escape(&location.name),
            whole,
            lines: begin..finish,
            first_line: location.line as usize,
            column: location.column as usize,
            source,
            marks: vec![Mark { range, primary, text }],
        })
    }

    fn is_long(&self) -> bool {
        self.whole.get(self.lines.clone()).unwrap_or_default().lines().any(|line| line.len() > LONG_LINE)
    }

    fn elements(&self) -> Vec<Element<'_>> {
        if self.is_long() {
            return self.cut();
        }
        let text = self.whole.get(self.lines.clone()).unwrap_or_default();
        let annotations = self.marks.iter().map(|mark| mark.annotation(self.lines.start, 0));
        let snippet = Snippet::source(text).path(self.path.as_str()).line_start(self.first_line);
        vec![snippet.annotations(annotations).into()]
    }

    /// The part of a long line around its first mark.
    fn cut(&self) -> Vec<Element<'_>> {
        let Some(mark) = self.marks.first() else { return Vec::new() };
        let from = floor(self.whole, mark.range.start.saturating_sub(AROUND).max(self.lines.start));
        let range = mark.range.start..mark.range.end.min(mark.range.start + LONG_LINE / 2);
        let to = floor(self.whole, (range.end + AROUND).min(self.lines.end)).max(from);
        let lead = if from > self.lines.start { "…" } else { "" };
        let tail = if to < self.lines.end { "…" } else { "" };
        let text = format!("{lead}{}{tail}", self.whole.get(from..to).unwrap_or_default());
        let range = mark.range.start..floor(self.whole, range.end).max(mark.range.start);
        let mark = Mark { range, primary: mark.primary, text: mark.text.clone() };
        let annotation = mark.annotation(from, lead.len());
        let origin = Origin::path(self.path.clone()).line(self.first_line).char_column(self.column);
        vec![origin.into(), Snippet::source(text).line_start(self.first_line).annotation(annotation).into()]
    }
}

impl Mark {
    fn annotation(&self, start: usize, lead: usize) -> annotate_snippets::Annotation<'static> {
        let kind = if self.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let at = |byte: usize| byte.saturating_sub(start) + lead;
        let annotation = kind.span(at(self.range.start)..at(self.range.end));
        if self.text.is_empty() { annotation } else { annotation.label(self.text.clone()) }
    }
}

/// Puts short excerpts of one source that lie near each other into one.
fn merge(excerpts: Vec<Excerpt<'_>>) -> Vec<Excerpt<'_>> {
    let mut merged: Vec<Excerpt<'_>> = Vec::new();
    for excerpt in excerpts {
        let near = merged.iter_mut().find(|other| {
            let apart = other.first_line.abs_diff(excerpt.first_line);
            other.source == excerpt.source && apart <= 40 && !other.is_long() && !excerpt.is_long()
        });
        let Some(other) = near else {
            merged.push(excerpt);
            continue;
        };
        other.lines = other.lines.start.min(excerpt.lines.start)..other.lines.end.max(excerpt.lines.end);
        other.first_line = other.first_line.min(excerpt.first_line);
        other.marks.extend(excerpt.marks);
    }
    merged
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> (SourceMap, impl Fn(&str) -> Option<Span>) {
        let mut sources = SourceMap::default();
        let source = sources.add("k8s/web.yaml", text);
        let text = text.to_owned();
        let find = move |word: &str| {
            let start = u32::try_from(text.find(word)?).ok()?;
            Some(Span { source, start, end: start + u32::try_from(word.len()).ok()? })
        };
        (sources, find)
    }

    #[test]
    fn a_fault_is_underlined_where_it_stands() {
        let (sources, find) = map("a: 1\nports:\n- port: 80\n  endPort: 70\nz: 2\n");
        let diagnostic = Diagnostic::error("NP-31", find("endPort: 70"), "`endPort` is smaller than `port`")
            .label("the range is empty")
            .also(find("port: 80"), "it starts here")
            .help("swap the two");
        let text = render(&diagnostic, &sources, false);
        assert_eq!(
            text,
            "error[NP-31]: `endPort` is smaller than `port`\n \
             --> k8s/web.yaml:4:3\n  \
             |\n\
             3 | - port: 80\n  \
             |   -------- it starts here\n\
             4 |   endPort: 70\n  \
             |   ^^^^^^^^^^^ the range is empty\n  \
             |\n  \
             = help: swap the two\n"
        );
    }

    #[test]
    fn of_a_long_line_only_the_part_around_the_fault_is_shown() {
        let line = format!("{{\"x\":\"{}\",\"bad\":1,\"y\":\"{}\"}}", "ä".repeat(50_000), "b".repeat(50_000));
        let (sources, find) = map(&line);
        let text = render(&Diagnostic::error("IN-3", find("\"bad\""), "unknown field `bad`"), &sources, false);
        assert!(text.contains("k8s/web.yaml:1:50009"), "{text}");
        assert!(text.contains("^^^^^"), "{text}");
        assert!(text.len() < 1_000, "{}", text.len());
    }

    #[test]
    fn a_place_of_many_lines_is_marked_at_its_first() {
        let (sources, find) = map("kind: Pod\nmetadata:\n  name: a\n");
        let text =
            render(&Diagnostic::warning("IN-9", find("kind: Pod\nmetadata:\n  name: a"), "twice"), &sources, false);
        assert!(text.contains("1 | kind: Pod\n  | ^^^^^^^^^\n"), "{text}");
        assert!(!text.contains("metadata"), "{text}");
    }

    #[test]
    fn without_a_place_there_is_a_title_and_help() {
        let diagnostic = Diagnostic::error("IN-5", None, "`k8z` does not exist").help("did you mean `k8s`?");
        let text = render(&diagnostic, &SourceMap::default(), false);
        assert_eq!(text, "error[IN-5]: `k8z` does not exist\n |\n = help: did you mean `k8s`?\n");
    }

    #[test]
    fn the_order_is_by_place_and_the_summary_counts() {
        let (sources, find) = map("a: 1\nb: 2\n");
        let mut all = vec![
            Diagnostic::warning("IN-3", find("b"), "second"),
            Diagnostic::error("IN-2", find("a"), "first"),
            Diagnostic::error("IN-5", None, "nowhere"),
        ];
        sort(&mut all);
        let order: Vec<_> = all.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(order, ["nowhere", "first", "second"]);
        let mut summary = Summary::default();
        all.iter().for_each(|diagnostic| summary.count(diagnostic, &sources));
        assert_eq!(summary.to_string(), "2 errors, 1 warning in 1 file");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let diagnostic = Diagnostic::error("IN-1", None, "bad \u{1b}[31m text");
        assert!(!render(&diagnostic, &SourceMap::default(), false).contains('\u{1b}'));
    }
}
