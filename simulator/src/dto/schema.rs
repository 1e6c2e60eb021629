//! JSON schemas of the documents, generated from their types.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{API_VERSION, answer, batch, coverage, explain, graph, list, matrix, route, way};

/// The kinds of documents. `BatchLine` is one line of `batch`, all others are whole outputs.
pub const KINDS: [&str; 12] = [
    "BatchLine",
    "CanAnswer",
    "CoverageAnswer",
    "ExplainAnswer",
    "ExposedAnswer",
    "GraphAnswer",
    "ListAnswer",
    "MatrixAnswer",
    "PairsAnswer",
    "RouteAnswer",
    "WhereAnswer",
    "WhoAnswer",
];

/// The schema of a kind as pretty JSON with a line break at its end; `None` for an unknown kind.
#[must_use]
pub fn schema(kind: &str) -> Option<String> {
    let mut schema = match kind {
        "BatchLine" => of::<batch::BatchLine<'_>>(),
        "CanAnswer" => of::<answer::CanAnswer>(),
        "CoverageAnswer" => of::<coverage::CoverageAnswer>(),
        "ExplainAnswer" => of::<explain::ExplainAnswer>(),
        "ExposedAnswer" => of::<way::ExposedAnswer>(),
        "GraphAnswer" => of::<graph::GraphAnswer>(),
        "ListAnswer" => of::<list::ListAnswer>(),
        "MatrixAnswer" => of::<matrix::MatrixAnswer>(),
        "PairsAnswer" => of::<list::PairsAnswer>(),
        "RouteAnswer" => of::<route::RouteAnswer>(),
        "WhereAnswer" | "WhoAnswer" => of::<answer::ReachAnswer>(),
        _ => return None,
    };
    let object = schema.as_object_mut()?;
    object.insert("title".to_owned(), json!(kind));
    object.insert("$id".to_owned(), json!(format!("https://{API_VERSION}/{kind}.json")));
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, value) in [("apiVersion", API_VERSION), ("kind", kind)] {
            if let Some(property) = properties.get_mut(name).and_then(Value::as_object_mut) {
                property.insert("const".to_owned(), json!(value));
            }
        }
    }
    let mut text = serde_json::to_string_pretty(&schema).ok()?;
    text.push('\n');
    Some(text)
}

fn of<T: JsonSchema>() -> Value {
    // What is written is described, not what would be read: fields that are always there are required.
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_that_names_it() {
        for kind in KINDS {
            let schema: Value = serde_json::from_str(&schema(kind).unwrap()).unwrap();
            assert_eq!(schema["title"], kind);
            if kind != "BatchLine" {
                assert_eq!(schema["properties"]["kind"]["const"], kind);
                assert_eq!(schema["properties"]["apiVersion"]["const"], API_VERSION);
            }
        }
        assert!(schema("Nothing").is_none());
    }
}
