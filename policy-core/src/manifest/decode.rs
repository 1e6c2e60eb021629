//! A deserializer over a tree that goes on after a mistake.
//!
//! A value of the wrong type is reported with its place and read as empty, so that one reading shows every
//! problem of a document (IN-4, IN-16). Unknown fields are reported where the caller asks for it (IN-3).

use std::cell::RefCell;
use std::fmt;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::diagnostic::{Diagnostic, Severity};
use crate::ids::Id;
use crate::source::{SPANNED, Span};

use super::findings::{Text, nearest};
use super::tree::{Entry, Node, Value};

/// What a decoding does with what it finds.
#[derive(Debug)]
pub(crate) struct Context<'t> {
    text: Text<'t>,
    /// How bad a field is that the type does not have; `None` = it is skipped.
    unknown: Option<Severity>,
    /// Whether whole numbers for `IntOrString` must fit into 32 bits, as the API's do.
    narrow: bool,
    /// `None` = nothing is reported.
    found: Option<RefCell<Vec<Diagnostic>>>,
}

impl<'t> Context<'t> {
    /// Reports everything, unknown fields as `unknown`.
    pub(crate) fn strict(text: Text<'t>, unknown: Severity) -> Self {
        Self { text, unknown: Some(unknown), narrow: true, found: Some(RefCell::default()) }
    }

    /// Reports wrong types, skips unknown fields.
    pub(crate) fn lenient(text: Text<'t>) -> Self {
        Self { text, unknown: None, narrow: false, found: Some(RefCell::default()) }
    }

    /// Reports nothing: somebody else already did.
    pub(crate) fn silent(text: Text<'t>) -> Self {
        Self { text, unknown: None, narrow: false, found: None }
    }

    /// Takes what was reported.
    pub(crate) fn found(&self) -> Vec<Diagnostic> {
        self.found.as_ref().map(RefCell::take).unwrap_or_default()
    }

    fn report(&self, problem: impl FnOnce() -> Diagnostic) {
        if let Some(found) = &self.found {
            found.borrow_mut().push(problem());
        }
    }

    /// Decodes a node. A value that even the recovering reader cannot make is reported and reads as its default.
    pub(crate) fn decode<'de, T: Deserialize<'de> + Default>(&self, node: &Node<'_>) -> T {
        T::deserialize(Decoder { node, context: self, role: Role::Field }).unwrap_or_else(|error| {
            let span = error.span.unwrap_or_else(|| self.text.node(node));
            self.report(|| Diagnostic::error("IN-4", Some(span), error.message));
            T::default()
        })
    }
}

/// A value that a type refused.
#[derive(Debug)]
pub(crate) struct DecodeError {
    message: String,
    span: Option<Span>,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None }
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Field,
    Item,
    /// Inside a `Quantity`, which is written as a number or as a string.
    Quantity,
}

#[derive(Clone, Copy)]
struct Decoder<'n, 'a> {
    node: &'n Node<'a>,
    context: &'n Context<'n>,
    role: Role,
}

/// A time that every reader accepts, in place of one that none does.
const SOME_TIME: &str = "1970-01-01T00:00:00Z";

impl Decoder<'_, '_> {
    fn located(&self, error: DecodeError) -> DecodeError {
        let span = error.span.or_else(|| Some(self.context.text.node(self.node)));
        DecodeError { span, ..error }
    }

    /// IN-4
    fn wrong(&self, wanted: &str) {
        self.context.report(|| {
            let written = self.context.text.excerpt(self.node);
            let found = match &self.node.value {
                Value::Null => "nothing".to_owned(),
                Value::Bool(_) => format!("the boolean `{written}`"),
                Value::Int(_) | Value::Float(_) => format!("the number `{written}`"),
                Value::Str(_) => format!("the string `{written}`"),
                Value::Seq(_) => "a list".to_owned(),
                Value::Map(_) => "a map".to_owned(),
            };
            let problem = Diagnostic::error(
                "IN-4",
                Some(self.context.text.node(self.node)),
                format!("expected {wanted}, found {found}"),
            );
            match self.advice(wanted, &written) {
                Some(advice) => problem.help(advice),
                None => problem,
            }
        });
    }

    fn advice(&self, wanted: &str, written: &str) -> Option<String> {
        match &self.node.value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) if wanted == "a string" => {
                Some(format!("quote it: \"{written}\""))
            }
            Value::Str(text) if wanted == "a whole number" && text.parse::<i64>().is_ok() => {
                Some(format!("remove the quotes: {text}"))
            }
            Value::Str(text) if wanted == "a boolean" && matches!(text.as_ref(), "true" | "false") => {
                Some(format!("remove the quotes: {text}"))
            }
            Value::Map(_) | Value::Str(_) | Value::Int(_) if wanted == "a list" => {
                Some("begin each item with `- `".to_owned())
            }
            Value::Seq(_) if wanted == "a map" => Some("remove the `- ` before the first field".to_owned()),
            _ => None,
        }
    }

    /// IN-16: a null item of a list reads as an empty one, which in a policy often means everything.
    fn null_item(&self, reads_as: &str) {
        if self.role == Role::Item && self.node.value == Value::Null {
            self.context.report(|| {
                let place = Some(self.context.text.node(self.node));
                Diagnostic::warning("IN-16", place, format!("an empty list item reads as `{reads_as}`"))
                    .help(format!("remove it, or write `{reads_as}` if that is what is meant"))
            });
        }
    }

    /// IN-3
    fn unknown_fields(&self, fields: &'static [&'static str]) {
        let Some(severity) = self.context.unknown else { return };
        for entry in self.node.entries().iter().filter(|entry| !fields.contains(&entry.key.text.as_ref())) {
            self.context.report(|| {
                let place = Some(self.context.text.key(&entry.key));
                let message = format!("unknown field `{}`", entry.key.text);
                let problem = match severity {
                    Severity::Error => Diagnostic::error("IN-3", place, message),
                    Severity::Warning => Diagnostic::warning("IN-3", place, message),
                    Severity::Note => Diagnostic::note("IN-3", place, message),
                };
                // A field that is there already is not what was meant.
                let free = fields.iter().copied().filter(|field| self.node.entry(field).is_none());
                match nearest(&entry.key.text, free) {
                    Some(near) => problem.label(format!("did you mean `{near}`?")),
                    None if fields.len() <= 8 => problem.help(format!("known here: `{}`", fields.join("`, `"))),
                    None => problem,
                }
            });
        }
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V, low: i64, high: i64) -> Result<V::Value, DecodeError> {
        let value = match &self.node.value {
            Value::Int(value) if (low..=high).contains(value) => *value,
            Value::Int(_) => {
                self.wrong(&format!("a whole number from {low} to {high}"));
                0
            }
            Value::Null => {
                self.null_item("0");
                0
            }
            _ => {
                self.wrong("a whole number");
                0
            }
        };
        visitor.visit_i64(value)
    }

    fn string<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Str(text) => visitor.visit_str(text),
            Value::Null => {
                self.null_item("\"\"");
                visitor.visit_str("")
            }
            _ => {
                self.wrong("a string");
                visitor.visit_str("")
            }
        }
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Map(entries) => {
                visitor.visit_map(Entries { rest: entries.iter(), value: None, context: self.context })
            }
            Value::Null => {
                self.null_item("{}");
                empty_map(visitor)
            }
            _ => {
                self.wrong("a map");
                empty_map(visitor)
            }
        }
    }

    fn time<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let text = match &self.node.value {
            Value::Str(text) if text.parse::<k8s_openapi::jiff::Timestamp>().is_ok() => text.as_ref(),
            Value::Null => SOME_TIME,
            _ => {
                self.wrong("a time such as 2006-01-02T15:04:05Z");
                SOME_TIME
            }
        };
        visitor.visit_newtype_struct(StrDeserializer::new(text))
    }
}

fn empty_map<'de, V: Visitor<'de>>(visitor: V) -> Result<V::Value, DecodeError> {
    visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, &str)>()))
}

impl<'de> Deserializer<'de> for Decoder<'_, '_> {
    type Error = DecodeError;

    /// The only types of the API that ask for anything are `IntOrString` and `Quantity`.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let fits = |value: i64| !self.context.narrow || i32::try_from(value).is_ok();
        match &self.node.value {
            Value::Str(text) => visitor.visit_str(text),
            Value::Float(value) if self.role == Role::Quantity => visitor.visit_f64(*value),
            Value::Int(value) if self.role == Role::Quantity || fits(*value) => visitor.visit_i64(*value),
            Value::Null => visitor.visit_i64(0),
            Value::Int(_) => {
                self.wrong(&format!("a whole number from {} to {}", i32::MIN, i32::MAX));
                visitor.visit_i64(0)
            }
            _ => {
                self.wrong("a whole number or a string");
                visitor.visit_i64(0)
            }
        }
        .map_err(|error: DecodeError| self.located(error))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Null => {
                self.null_item("false");
                visitor.visit_bool(false)
            }
            _ => {
                self.wrong("a boolean");
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.integer(visitor, i64::from(i8::MIN), i64::from(i8::MAX))
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.integer(visitor, i64::from(i16::MIN), i64::from(i16::MAX))
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.integer(visitor, i64::from(i32::MIN), i64::from(i32::MAX))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.integer(visitor, i64::MIN, i64::MAX)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.integer(visitor, 0, i64::from(u8::MAX))
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.integer(visitor, 0, i64::from(u16::MAX))
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.integer(visitor, 0, i64::from(u32::MAX))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.integer(visitor, 0, i64::MAX)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Null => visitor.visit_f64(0.0),
            _ => {
                self.wrong("a number");
                visitor.visit_f64(0.0)
            }
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.string(visitor).map_err(|error| self.located(error))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.string(visitor).map_err(|error| self.located(error))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.string(visitor).map_err(|error| self.located(error))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.string(visitor).map_err(|error| self.located(error))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.string(visitor).map_err(|error| self.located(error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            SPANNED => visitor.visit_seq(Placed { decoder: self, given: 0 }),
            "Quantity" => visitor.visit_newtype_struct(Self { role: Role::Quantity, ..self }),
            "Time" | "MicroTime" => self.time(visitor),
            // Free-form JSON that only an API server writes.
            "FieldsV1" => visitor.visit_newtype_struct(().into_deserializer()),
            _ => visitor.visit_newtype_struct(self),
        }
        .map_err(|error: DecodeError| self.located(error))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let items: &[Node<'_>] = match &self.node.value {
            Value::Seq(items) => items,
            Value::Null => {
                self.null_item("[]");
                &[]
            }
            _ => {
                self.wrong("a list");
                &[]
            }
        };
        visitor.visit_seq(Items { rest: items.iter(), context: self.context })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.unknown_fields(fields);
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text = self.node.as_str().unwrap_or_default();
        visitor
            .visit_enum(IntoDeserializer::<DecodeError>::into_deserializer(text))
            .map_err(|error| self.located(error))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.string(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}

struct Items<'n, 'a> {
    rest: std::slice::Iter<'n, Node<'a>>,
    context: &'n Context<'n>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Decoder { node, context: self.context, role: Role::Item }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries<'n, 'a> {
    rest: std::slice::Iter<'n, Entry<'a>>,
    value: Option<&'n Node<'a>>,
    context: &'n Context<'n>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        self.value = Some(&entry.value);
        seed.deserialize(StrDeserializer::new(&entry.key.text)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let missing = || de::Error::custom("a value without a key");
        let node = self.value.take().ok_or_else(missing)?;
        seed.deserialize(Decoder { node, context: self.context, role: Role::Field })
    }
}

/// The four parts of a [`Spanned`](crate::source::Spanned).
struct Placed<'n, 'a> {
    decoder: Decoder<'n, 'a>,
    given: u8,
}

impl<'de> SeqAccess<'de> for Placed<'_, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let span = self.decoder.context.text.node(self.decoder.node);
        self.given = self.given.saturating_add(1);
        match self.given {
            1 => seed.deserialize(span.source.index().into_deserializer()).map(Some),
            2 => seed.deserialize(span.start.into_deserializer()).map(Some),
            3 => seed.deserialize(span.end.into_deserializer()).map(Some),
            4 => seed.deserialize(self.decoder).map(Some),
            _ => Ok(None),
        }
    }
}
