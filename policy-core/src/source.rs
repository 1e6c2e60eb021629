//! The texts that were read, and places in them.
//!
//! The core never opens a file: a caller adds `(name, text)` pairs and gets ids back. A [`Span`] is a byte
//! range of one text; line and column are worked out only when somebody wants to see them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use crate::ids::IdVec;

crate::id_type!(
    /// One text of a [`SourceMap`].
    SourceId
);

/// A byte range `start..end` in one source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A place as people write it: both numbers start at 1, the column counts characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Location {
    /// The name under which the text was added (a path, `<stdin>`).
    pub name: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.line, self.column)
    }
}

/// A named text.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name shown to people.
    pub name: Arc<str>,
    /// The whole text. A `String` so that adding one does not copy it: inputs may take hundreds of megabytes.
    pub text: Arc<String>,
    line_starts: OnceLock<Vec<u32>>,
}

impl Source {
    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let newlines = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(newlines.filter_map(|(at, _)| u32::try_from(at + 1).ok())).collect()
        })
    }
}

/// All texts of one reading.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    sources: IdVec<SourceId, Source>,
}

impl SourceMap {
    /// Adds a text. Texts over 4 GiB cannot be addressed by a [`Span`]; the reader refuses them (IN-12).
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<String>) -> SourceId {
        self.sources.push(Source { name: name.into(), text: Arc::new(text.into()), line_starts: OnceLock::new() })
    }

    /// All sources in the order of adding.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SourceId, &Source)> {
        self.sources.iter()
    }

    /// The source behind an id.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id)
    }

    /// The text that a span covers; empty when it is out of range.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.sources
            .get(span.source)
            .and_then(|source| source.text.get(span.start as usize..span.end as usize))
            .unwrap_or_default()
    }

    /// Where a span begins, in lines and columns.
    #[must_use]
    pub fn locate(&self, span: Span) -> Location {
        let Some(source) = self.sources.get(span.source) else {
            return Location { name: Arc::from("<unknown>"), line: 1, column: 1 };
        };
        let starts = source.line_starts();
        let line = starts.partition_point(|start| *start <= span.start);
        let line_start = line.checked_sub(1).and_then(|at| starts.get(at)).copied().unwrap_or(0);
        let before = source.text.get(line_start as usize..span.start as usize).unwrap_or_default();
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        Location {
            name: source.name.clone(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

/// A value with the place where it was written; no place when it did not come from a text that keeps places.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub span: Option<Span>,
}

impl<T> Spanned<T> {
    /// A value without a place.
    pub fn nowhere(value: T) -> Self {
        Self { value, span: None }
    }
}

/// The name by which the spanned tree's deserializer recognises a [`Spanned`]. Other formats see a plain
/// newtype. The tree answers with the sequence `(source index, start, end, value)`.
pub(crate) const SPANNED: &str = "$portolan::Spanned";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpannedVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                T::deserialize(deserializer).map(Spanned::nowhere)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let missing = || serde::de::Error::custom("a spanned value has four parts");
                let source: usize = seq.next_element()?.ok_or_else(missing)?;
                let start = seq.next_element()?.ok_or_else(missing)?;
                let end = seq.next_element()?.ok_or_else(missing)?;
                let value = seq.next_element()?.ok_or_else(missing)?;
                let source = crate::ids::Id::from_index(source);
                Ok(Spanned { value, span: Some(Span { source, start, end }) })
            }
        }

        deserializer.deserialize_newtype_struct(SPANNED, SpannedVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_start_at_one_and_count_characters() {
        let mut sources = SourceMap::default();
        let id = sources.add("a.yaml", "é: 1\nkey: ü\n");
        let at = |start, end| sources.locate(Span { source: id, start, end }).to_string();
        assert_eq!(at(0, 2), "a.yaml:1:1");
        assert_eq!(at(4, 5), "a.yaml:1:4");
        assert_eq!(at(11, 13), "a.yaml:2:6");
        assert_eq!(sources.text(Span { source: id, start: 11, end: 13 }), "ü");
    }

    #[test]
    fn a_spanned_value_of_a_format_without_places_has_none() {
        let read: Spanned<String> = serde_json::from_str("\"x\"").unwrap();
        assert_eq!(read, Spanned::nowhere("x".to_owned()));
    }
}
