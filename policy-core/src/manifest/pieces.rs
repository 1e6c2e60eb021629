//! Cutting texts into pieces that can be read on their own.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, SourceMap};

use super::document::{ListHead, Reader, is_list, list_head};
use super::dump::{self, Str, Strings};
use super::findings::Text;
use super::{Part, ReadOptions, json, yaml};

/// A part of a text that can be read on its own.
#[derive(Clone, Debug)]
pub struct Piece {
    source: SourceId,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// YAML documents.
    Yaml(Vec<Range<usize>>),
    /// JSON values; items of a list if it is given.
    Json { list: Option<ListHead>, values: Vec<Range<usize>> },
    /// A text that places cannot address (IN-12).
    TooLarge,
}

/// A piece holds YAML documents until it has this many bytes.
const YAML_BYTES: usize = 1 << 20;
/// The same for JSON values, which are read faster and share strings within a piece.
const JSON_BYTES: usize = 8 << 20;

/// Cuts the texts into pieces of some megabytes that can be read on their own, in any order and by any thread.
#[must_use]
pub fn pieces(sources: &SourceMap, _options: &ReadOptions) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (source, entry) in sources.iter() {
        let text = &*entry.text;
        if u32::try_from(text.len()).is_err() {
            pieces.push(Piece { source, content: Content::TooLarge });
            continue;
        }
        match json_values(text, is_json_name(&entry.name)) {
            Some(groups) => {
                for Group { list, values } in groups {
                    let content = |values| Content::Json { list: list.clone(), values };
                    pieces.extend(chunks(values, JSON_BYTES).map(|values| Piece { source, content: content(values) }));
                }
            }
            None => {
                let documents = yaml::split(text, 0..text.len());
                pieces.extend(
                    chunks(documents, YAML_BYTES).map(|ranges| Piece { source, content: Content::Yaml(ranges) }),
                );
            }
        }
    }
    pieces
}

/// Reads one piece. `sources` must be those that the piece was cut from.
#[must_use]
pub fn read_piece(sources: &SourceMap, piece: &Piece, options: &ReadOptions) -> Part {
    let Some(source) = sources.get(piece.source) else { return Part::default() };
    let text = Text { source: piece.source, text: &source.text };
    let mut reader = Reader::new(text, options);
    match &piece.content {
        Content::Yaml(ranges) => {
            for range in ranges {
                for document in yaml::parse(text, range.clone(), options.max_nodes) {
                    reader.document(document, range.clone());
                }
            }
        }
        Content::Json { list, values } => {
            let mut strings = Strings::default();
            for range in values {
                value(&mut reader, list.as_ref(), range.clone(), &mut strings);
            }
        }
        // IN-12
        Content::TooLarge => {
            let problem = Diagnostic::error("IN-12", Some(text.span(0..0)), "this text is larger than 4 GiB")
                .help("split it into several files");
            reader.refuse(problem);
        }
    }
    reader.part
}

fn value(reader: &mut Reader<'_>, list: Option<&ListHead>, range: Range<usize>, strings: &mut Strings) {
    let text = reader.text;
    let raw = text.text.get(range.clone()).unwrap_or_default();
    if let Some(object) = dump::object(raw, text.span(range.clone()), list, strings) {
        reader.push(object, false);
        return;
    }
    match json::parse(text, range.clone()) {
        Ok((node, problems)) => reader.tree(&node, list, problems),
        Err(problem) => reader.broken(vec![*problem], range),
    }
}

/// Groups neighbours into chunks of about `bytes`.
fn chunks(ranges: Vec<Range<usize>>, bytes: usize) -> impl Iterator<Item = Vec<Range<usize>>> {
    let mut rest = ranges.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = rest.next()?;
        let limit = first.start.saturating_add(bytes);
        let mut chunk = vec![first];
        while let Some(next) = rest.next_if(|next| next.end <= limit) {
            chunk.push(next);
        }
        Some(chunk)
    })
}

/// Values that are read alike.
struct Group {
    list: Option<ListHead>,
    values: Vec<Range<usize>>,
}

fn is_json_name(name: &str) -> bool {
    [".json", ".jsonl", ".ndjson"].iter().any(|end| name.ends_with(end))
}

/// The values of a JSON text, lists opened; `None` when the text is YAML.
fn json_values(text: &str, named_json: bool) -> Option<Vec<Group>> {
    let mark = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    let space = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        at + (rest.len() - rest.trim_ascii_start().len())
    };
    let mut at = space(mark);
    if !named_json && !matches!(text.as_bytes().get(at), Some(b'{' | b'[')) {
        return None;
    }
    let mut groups: Vec<Group> = Vec::new();
    while at < text.len() {
        let rest = text.get(at..)?;
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Top<'_>>();
        match stream.next() {
            Some(Ok(top)) => {
                let end = at + stream.byte_offset();
                add(&mut groups, text, top, at..end);
                at = space(end);
            }
            Some(Err(_)) | None => {
                // Documents in flow style between `---` lines, or with comments.
                let yaml = rest.starts_with("---") || (!named_json && (groups.is_empty() || rest.starts_with('#')));
                if yaml {
                    return None;
                }
                let end = next_value(text, at + stream.byte_offset().max(1));
                add(&mut groups, text, Top::default(), at..end);
                at = end;
            }
        }
    }
    Some(groups)
}

/// Where the next value could begin after a broken one: a line that begins with `{`.
fn next_value(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.find("\n{").map_or(text.len(), |line| from + line + 1)
}

fn add(groups: &mut Vec<Group>, text: &str, top: Top<'_>, range: Range<usize>) {
    if let (Some(kind), Some(items)) = (top.kind.filter(|kind| is_list(&kind.0)), top.items) {
        let base = text.as_ptr() as usize;
        let place = |item: &&RawValue| {
            let start = (item.get().as_ptr() as usize).saturating_sub(base);
            start..start + item.get().len()
        };
        let version = top.api_version.unwrap_or_default();
        groups.push(Group { list: list_head(&version.0, &kind.0), values: items.iter().map(place).collect() });
        return;
    }
    match groups.last_mut().filter(|group| group.list.is_none()) {
        Some(group) => group.values.push(range),
        None => groups.push(Group { list: None, values: vec![range] }),
    }
}

/// What decides how a top-level value is read.
#[derive(Default)]
struct Top<'a> {
    api_version: Option<Str<'a>>,
    kind: Option<Str<'a>>,
    items: Option<Vec<&'a RawValue>>,
}

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Loose(std::marker::PhantomData::<Top<'de>>))
    }
}

/// Takes any value, and something from those of the right type.
struct Loose<T>(std::marker::PhantomData<T>);

macro_rules! take_nothing_from {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Self::Value, E> { Ok(Default::default()) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok(Default::default()) }
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("a value") }
    };
}

fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

impl<'de> Visitor<'de> for Loose<Top<'de>> {
    type Value = Top<'de>;

    take_nothing_from!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        skip_list(list).map(|()| Top::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut top = Top::default();
        let mut lists = 0;
        while let Some(key) = map.next_key::<Str<'de>>()? {
            match key.0.as_ref() {
                "apiVersion" => top.api_version = map.next_value::<Maybe<Str<'de>>>()?.0,
                "kind" => top.kind = map.next_value::<Maybe<Str<'de>>>()?.0,
                "items" => {
                    lists += 1;
                    top.items = map.next_value::<Maybe<Vec<&'de RawValue>>>()?.0;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // IN-2: the tree reader reports the second list.
        Ok(if lists > 1 { Top::default() } else { top })
    }
}

/// A value if it has the wanted type.
struct Maybe<T>(Option<T>);

impl<'de> Deserialize<'de> for Maybe<Str<'de>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Loose(std::marker::PhantomData::<Str<'de>>)).map(Maybe)
    }
}

impl<'de> Deserialize<'de> for Maybe<Vec<&'de RawValue>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Loose(std::marker::PhantomData::<Vec<&'de RawValue>>)).map(Maybe)
    }
}

impl<'de> Visitor<'de> for Loose<Str<'de>> {
    type Value = Option<Str<'de>>;

    take_nothing_from!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Str(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Str(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        skip_list(list).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map).map(|()| None)
    }
}

impl<'de> Visitor<'de> for Loose<Vec<&'de RawValue>> {
    type Value = Option<Vec<&'de RawValue>>;

    take_nothing_from!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Some(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map).map(|()| None)
    }
}
