//! A document as a tree whose every node knows where it was written.
//!
//! Strings borrow from the source text where they can: a tree lives only while its document is read.

use std::borrow::Cow;
use std::hash::Hasher;

use rustc_hash::FxHasher;

/// How deep a document may nest. Deeper ones are refused (IN-11), so that no recursion over a tree can overflow.
pub(crate) const MAX_DEPTH: usize = 200;

/// One value with its byte range `start..end`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node<'a> {
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte; equal to `start` for a null that is not written out.
    pub(crate) end: u32,
    /// The value.
    pub(crate) value: Value<'a>,
}

/// What stands at a [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Null, or nothing at all.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Str(Cow<'a, str>),
    /// A list.
    Seq(Vec<Node<'a>>),
    /// A map without duplicate keys, in input order.
    Map(Vec<Entry<'a>>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key<'a> {
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
    /// The key; numbers and booleans as JSON writes them.
    pub(crate) text: Cow<'a, str>,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    /// The key.
    pub(crate) key: Key<'a>,
    /// The value.
    pub(crate) value: Node<'a>,
}

impl<'a> Node<'a> {
    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry<'a>] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry with this key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries().iter().find(|entry| entry.key.text == key)
    }

    /// The value of this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Node<'a>> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The string that stands here.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A hash of the content: equal whatever the order of keys and the layout.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = FxHasher::default();
        match &self.value {
            Value::Null => hash.write_u8(0),
            Value::Bool(value) => hash.write(&[1, u8::from(*value)]),
            Value::Int(value) => hash.write_i64(*value),
            Value::Float(value) => hash.write_u64(value.to_bits()),
            Value::Str(text) => {
                hash.write_u8(4);
                hash.write(text.as_bytes());
            }
            Value::Seq(items) => {
                hash.write_u8(5);
                items.iter().for_each(|item| hash.write_u64(item.fingerprint()));
            }
            Value::Map(entries) => {
                hash.write_u8(6);
                hash.write_u64(entries.iter().map(Entry::fingerprint).fold(0, u64::wrapping_add));
            }
        }
        hash.finish()
    }
}

impl Entry<'_> {
    /// A hash of key and value.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = FxHasher::default();
        hash.write(self.key.text.as_bytes());
        hash.write_u64(self.value.fingerprint());
        hash.finish()
    }
}
