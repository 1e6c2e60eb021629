//! What an object says that it is, before anything else of it is read.

use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::dump::Str;

/// Finds `apiVersion` and `kind` and stops there: an API server writes them first.
#[derive(Debug, Default)]
pub(crate) struct Peek<'a> {
    /// `apiVersion`, if it is there.
    pub(crate) api_version: Option<Str<'a>>,
    /// `kind`, if it is there.
    pub(crate) kind: Option<Str<'a>>,
}

impl<'a> Peek<'a> {
    /// Looks at one object.
    pub(crate) fn at(raw: &'a str) -> Self {
        let mut found = Self::default();
        let mut json = serde_json::Deserializer::from_str(raw);
        // An error is how the visitor stops early; what it saw until then is what counts.
        drop(json.deserialize_map(PeekVisitor(&mut found)));
        found
    }
}

struct PeekVisitor<'p, 'a>(&'p mut Peek<'a>);

impl<'a> Visitor<'a> for PeekVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Str<'a>>()? {
            match key.0.as_ref() {
                "apiVersion" => self.0.api_version = Some(map.next_value()?),
                "kind" => self.0.kind = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if self.0.api_version.is_some() && self.0.kind.is_some() {
                return Err(A::Error::custom("both were found"));
            }
        }
        Ok(())
    }
}
