//! `validate-cases/v1`: manifests that must be taken, and manifests that must be refused.

use serde::Deserialize;
use serde_json::Value;

use crate::discover::CaseFile;
use crate::pipeline::load;
use crate::report::Outcome;

#[derive(Deserialize, Debug)]
struct Cases {
    name: Option<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    accept: bool,
    manifest: Value,
    /// The rule that a refusal must name; any when it is left out.
    rule: Option<String>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

/// A pod that stands beside each manifest: an input without any workload is refused for that alone (IN-8).
const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bystander", "namespace": "bystander"},
    "spec": {"containers": [{"name": "main", "image": "none"}]}}"#;

/// Runs one file: each of its manifests is one question.
#[must_use]
pub fn run(file: &CaseFile) -> Outcome {
    let path = file.path.display().to_string();
    let cases: Cases = match serde_json::from_value(file.content.clone()) {
        Ok(cases) => cases,
        Err(error) => return Outcome::broken(path, format!("not a validate-cases file: {error}")),
    };
    let name = cases.name.clone().unwrap_or(path);
    let asked = cases.cases.len();
    let differences: Vec<_> = cases.cases.iter().filter_map(difference).collect();
    Outcome { name, right: asked - differences.len(), asked, remark: None, differences }
}

/// What is wrong with the answer to one case, if anything.
fn difference(case: &Case) -> Option<String> {
    let text = match &case.manifest {
        Value::String(text) => text.clone(),
        object => object.to_string(),
    };
    let loaded = load([(format!("{}.yaml", case.name), text), ("pod.json".to_owned(), POD.to_owned())]);
    let errors: Vec<_> = loaded.errors().collect();
    let said = errors.iter().map(|error| loaded.describe(error)).collect::<Vec<_>>().join("; ");
    let name = &case.name;
    match (case.accept, errors.is_empty(), case.rule.as_deref()) {
        (true, false, _) => Some(format!("{name}: wanted accepted, got {said}")),
        (false, true, _) => Some(format!("{name}: wanted refused, got no error")),
        (false, false, Some(rule)) if !errors.iter().any(|error| error.rule == rule) => {
            Some(format!("{name}: wanted refused by {rule}, got {said}"))
        }
        _ => None,
    }
}
