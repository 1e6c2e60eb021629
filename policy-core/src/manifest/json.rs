//! JSON text into trees, with the place of every value.

use std::borrow::Cow;
use std::ops::Range;

use crate::diagnostic::Diagnostic;

use super::findings::{Stop, Text};
use super::tree::{Entry, Key, MAX_DEPTH, Node, Value};
use super::yaml;

/// Reads one JSON value that fills `range`, save for spaces around it; with it, its duplicate keys (IN-2).
///
/// # Errors
/// The syntax error (IN-1), or too much nesting (IN-11).
pub(crate) fn parse<'a>(text: Text<'a>, range: Range<usize>) -> Result<(Node<'a>, Vec<Diagnostic>), Stop> {
    let mut parser = Parser { text, at: range.start, end: range.end, depth: 0, problems: Vec::new() };
    let node = parser.value()?;
    parser.spaces();
    if parser.at < parser.end {
        return Err(parser.fault("unexpected text after the value"));
    }
    Ok((node, parser.problems))
}

struct Parser<'a> {
    text: Text<'a>,
    at: usize,
    end: usize,
    depth: usize,
    problems: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        if self.at < self.end { self.text.text.as_bytes().get(self.at).copied() } else { None }
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// IN-1
    fn fault(&self, message: &str) -> Stop {
        let message = if self.at >= self.end { "the text ends in the middle of a value" } else { message };
        let place = self.text.word_at(self.at, 0..self.end);
        Box::new(Diagnostic::error("IN-1", Some(place), format!("broken JSON: {message}")))
    }

    fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.text.get(range).unwrap_or_default()
    }

    fn value(&mut self) -> Result<Node<'a>, Stop> {
        self.spaces();
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::map)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => Value::Str(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.fault("expected a value")),
        };
        let span = self.text.span(start..self.at);
        Ok(Node { start: span.start, end: span.end, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value<'a>, Stop>) -> Result<Value<'a>, Stop> {
        // IN-11
        if self.depth >= MAX_DEPTH {
            return Err(Box::new(yaml::too_deep(self.text.span(self.at..self.at + 1))));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn map(&mut self) -> Result<Value<'a>, Stop> {
        let mut entries = Vec::new();
        self.spaces();
        if self.take(b'}') {
            return Ok(Value::Map(entries));
        }
        loop {
            self.spaces();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.fault("expected a key in quotes"));
            }
            let text = self.string()?;
            let span = self.text.span(start..self.at);
            self.spaces();
            if !self.take(b':') {
                return Err(self.fault("expected `:` after the key"));
            }
            let value = self.value()?;
            entries.push(Entry { key: Key { start: span.start, end: span.end, text }, value });
            self.spaces();
            if self.take(b'}') {
                let (entries, problems) = yaml::distinct(self.text, entries);
                self.problems.extend(problems);
                return Ok(Value::Map(entries));
            }
            if !self.take(b',') {
                return Err(self.fault("expected `,` or `}`"));
            }
        }
    }

    fn list(&mut self) -> Result<Value<'a>, Stop> {
        let mut items = Vec::new();
        self.spaces();
        if self.take(b']') {
            return Ok(Value::Seq(items));
        }
        loop {
            items.push(self.value()?);
            self.spaces();
            if self.take(b']') {
                return Ok(Value::Seq(items));
            }
            if !self.take(b',') {
                return Err(self.fault("expected `,` or `]`"));
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Stop> {
        if !self.slice(self.at..self.end).starts_with(word) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Stop> {
        let start = self.at;
        self.at += 1;
        let mut plain = true;
        loop {
            match self.peek() {
                None => return Err(self.fault("")),
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.at += 2;
                }
                Some(0..=0x1f) => return Err(self.fault("a string cannot span lines")),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        if plain {
            return Ok(Cow::Borrowed(self.slice(start + 1..self.at - 1)));
        }
        serde_json::from_str::<String>(self.slice(start..self.at)).map(Cow::Owned).map_err(|_| {
            let place = self.text.span(start..self.at);
            Box::new(Diagnostic::error("IN-1", Some(place), "broken JSON: a bad escape in this string"))
        })
    }

    fn number(&mut self) -> Result<Value<'a>, Stop> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let written = self.slice(start..self.at);
        if let Ok(value) = serde_json::from_str::<i64>(written) {
            return Ok(Value::Int(value));
        }
        serde_json::from_str::<f64>(written).map(Value::Float).map_err(|_| {
            let place = self.text.span(start..self.at);
            Box::new(Diagnostic::error("IN-1", Some(place), "broken JSON: this is not a number"))
        })
    }
}
