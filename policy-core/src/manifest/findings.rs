//! Places in one source, and diagnostics about them.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::near::near;
use crate::source::{SourceId, Span};

use super::tree::{Key, Node};

/// Why a document was given up.
pub(crate) type Stop = Box<Diagnostic>;

/// A source whose parts are being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// Its id.
    pub(crate) source: SourceId,
    /// The whole text.
    pub(crate) text: &'a str,
}

impl<'a> Text<'a> {
    /// A byte range as a span.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { source: self.source, start: narrow(range.start), end: narrow(range.end) }
    }

    /// The place of a node. A null that is not written out shows the `-` or the `:` before it.
    pub(crate) fn node(&self, node: &Node<'_>) -> Span {
        let mut start = node.start;
        if node.start == node.end {
            let before = self.text.get(..node.start as usize).unwrap_or_default().as_bytes();
            if matches!(before.last(), Some(b'-' | b':')) {
                start -= 1;
            }
        }
        Span { source: self.source, start, end: node.end }
    }

    /// The place of a key.
    pub(crate) fn key(&self, key: &Key<'_>) -> Span {
        Span { source: self.source, start: key.start, end: key.end }
    }

    /// What is written at a node, shortened to one line of at most 40 characters.
    pub(crate) fn excerpt(&self, node: &Node<'_>) -> String {
        let written = self.text.get(node.start as usize..node.end as usize).unwrap_or_default();
        shorten(written)
    }

    /// The place of a syntax error at a byte: the word there, or the last word before the end of the line.
    pub(crate) fn word_at(&self, at: usize, within: Range<usize>) -> Span {
        let mut start = at.clamp(within.start, within.end);
        while !self.text.is_char_boundary(start) {
            start = start.saturating_sub(1);
        }
        let rest = self.text.get(start..within.end).unwrap_or_default();
        let length = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
        if length > 0 {
            return self.span(start..start + length.min(line_cap(rest)));
        }
        let before = self.text.get(within.start..start).unwrap_or_default().trim_end();
        let end = within.start + before.len();
        let begin = before.rfind(|c: char| c.is_whitespace()).map_or(within.start, |space| within.start + space);
        let word = self.text.get(begin..end).unwrap_or_default();
        self.span(end - word.trim_start().len()..end)
    }
}

/// A word longer than this is underlined only so far.
fn line_cap(rest: &str) -> usize {
    rest.char_indices().nth(40).map_or(rest.len(), |(at, _)| at)
}

/// One line of at most 40 characters.
pub(crate) fn shorten(written: &str) -> String {
    let line = written.lines().next().unwrap_or_default().trim_end();
    if line.chars().count() <= 40 && line.len() == written.trim_end().len() {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(39).collect();
    short.push('…');
    short
}

/// Whether a diagnostic is an error that lies inside `span`.
pub(crate) fn is_error_within(diagnostic: &Diagnostic, span: Span) -> bool {
    diagnostic.is_error()
        && diagnostic.primary.as_ref().is_some_and(|label| {
            label.span.source == span.source && label.span.start >= span.start && label.span.start <= span.end
        })
}

/// The word that was probably meant.
pub(crate) fn nearest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // No word of the API is longer; a hostile key must not cost much.
    if written.len() > 64 {
        return None;
    }
    near(written, candidates, 1).first().copied()
}
