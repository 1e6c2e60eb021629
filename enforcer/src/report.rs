//! The judgement as text for people and as JSON for machines.

use std::fmt::Write as _;

use serde::Serialize;

use crate::preflight::{Check, Preflight};

/// The version of the JSON form; it changes when a reader would have to.
const VERSION: &str = "portolan-preflight/v1";

/// The sentence that keeps a ready node from being taken for a protected one.
const SCOPE: &str = "This checks the node and changes nothing; `portolan-enforcer apply` enforces.";

/// An aligned table, then the result.
#[must_use]
pub fn text(preflight: &Preflight) -> String {
    let name_width = width(preflight, |check| check.name);
    let status_width = width(preflight, |check| check.status.as_str());
    let mut out = String::new();
    for check in &preflight.checks {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{:name_width$}  {:status_width$}  {}", check.name, check.status.as_str(), check.found);
        if let Some(help) = check.help {
            let _ = writeln!(out, "{:name_width$}  {:status_width$}  help: {help}", "", "");
        }
    }
    let result = if preflight.ready { "This node could enforce." } else { "This node could not enforce as it stands." };
    let _ = writeln!(out, "\n{result}\n{SCOPE}");
    out
}

fn width(preflight: &Preflight, column: impl Fn(&Check) -> &'static str) -> usize {
    preflight.checks.iter().map(|check| column(check).len()).max().unwrap_or(0)
}

/// One JSON object, `portolan-preflight/v1`.
///
/// # Errors
/// The serializer's, of which none is known for this type.
pub fn json(preflight: &Preflight) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Versioned<'a> {
        version: &'static str,
        enforces: bool,
        #[serde(flatten)]
        preflight: &'a Preflight,
    }
    let versioned = Versioned { version: VERSION, enforces: false, preflight };
    serde_json::to_string_pretty(&versioned).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;

    fn unfit() -> Preflight {
        Preflight::of(&Facts { release: "5.15.0".to_owned(), ..Facts::default() })
    }

    #[test]
    fn the_table_is_aligned_and_says_what_to_do() {
        let text = text(&unfit());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "kernel         missing  5.15.0");
        assert!(lines[1].starts_with("                        help: Linux 6.4"), "{}", lines[1]);
        assert!(text.contains("This node could not enforce as it stands.\n"));
        assert!(text.ends_with("`portolan-enforcer apply` enforces.\n"));
    }

    #[test]
    fn the_json_form_is_versioned_and_never_claims_to_enforce() {
        let value: serde_json::Value = serde_json::from_str(&json(&unfit()).unwrap()).unwrap();
        assert_eq!(value["version"], "portolan-preflight/v1");
        assert_eq!(value["ready"], false);
        assert_eq!(value["enforces"], false);
        assert_eq!(value["checks"][0]["name"], "kernel");
        assert_eq!(value["checks"][0]["status"], "missing");
        assert_eq!(value["checks"].as_array().unwrap().len(), 7);
    }
}
