//! `route-case/v1` and `route-status/v1`: what Gateways do with requests, and what routes' conditions say.

mod format;
mod outcome;

use std::path::Path;

use policy_core::model::gateway::{Entrance, GatewayAnswer, RouteCondition};
use policy_core::model::{Cluster, GatewayApi, Profile, Protocol};
use policy_core::spec;
use policy_core::ways::gateway::Gateways;
use serde_json::Value;

use crate::discover::{self, CaseFile};
use crate::pipeline::{Backend, Loaded, load};
use crate::report::Outcome;

pub use format::{Case, ConditionWanted, Expect, RequestAsked};

/// Runs one `route-case/v1` file.
#[must_use]
pub fn run(backend: Backend, file: &CaseFile) -> Outcome {
    match read(file) {
        Ok((case, objects)) => requests(backend, &case, &objects),
        Err(problem) => Outcome::broken(file.path.display().to_string(), problem),
    }
}

/// Runs one `route-status/v1` file.
#[must_use]
pub fn run_status(file: &CaseFile) -> Outcome {
    match read(file) {
        Ok((case, objects)) => conditions(&case, &objects),
        Err(problem) => Outcome::broken(file.path.display().to_string(), problem),
    }
}

/// The case, and all objects: its own and those of its base.
fn read(file: &CaseFile) -> Result<(Case, Vec<Value>), String> {
    let case = serde_json::from_value::<Case>(file.content.clone()).map_err(|error| error.to_string())?;
    let mut objects = Vec::new();
    if let Some(base) = &case.base {
        let path = file.path.parent().unwrap_or(Path::new("")).join(base);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let base = discover::parse(&text)?;
        let listed = base.get("objects").and_then(Value::as_array).ok_or("the base has no `objects`")?;
        objects.extend(listed.iter().cloned());
    }
    objects.extend(case.objects.iter().cloned());
    Ok((case, objects))
}

fn loaded(objects: &[Value]) -> Result<Loaded, Vec<String>> {
    let text = |(index, object): (usize, &Value)| (format!("object-{index}.json"), object.to_string());
    let loaded = load(objects.iter().enumerate().map(text));
    // Cases have Services and no pods: their endpoints are taken to be ready.
    let errors = loaded.errors().filter(|error| error.rule != "IN-8");
    let errors: Vec<_> = errors.map(|error| loaded.describe(error)).collect();
    if errors.is_empty() { Ok(loaded) } else { Err(errors) }
}

fn requests(backend: Backend, case: &Case, objects: &[Value]) -> Outcome {
    let mut outcome = Outcome { name: case.name.clone(), right: 0, asked: 0, remark: None, differences: Vec::new() };
    let mut known: Option<(&[Value], Answering)> = None;
    for (number, asked) in case.requests.iter().enumerate() {
        outcome.asked += 1;
        let title = format!("request {} ({})", number + 1, asked.title());
        let answering = match &known {
            Some((after, answering)) if *after == asked.after.as_slice() => answering,
            _ => match Answering::new(backend, &without(objects, &asked.after)) {
                Ok(answering) => &known.insert((&asked.after, answering)).1,
                Err(problems) => {
                    let told = problems.into_iter().map(|problem| format!("{title}: not asked: {problem}"));
                    outcome.differences.extend(told);
                    continue;
                }
            },
        };
        match answering.ask(asked) {
            Ok(()) => outcome.right += 1,
            Err(problem) => outcome.differences.push(format!("{title}: {problem}")),
        }
    }
    outcome
}

/// The objects that are left after some deletions.
fn without(objects: &[Value], deleted: &[Value]) -> Vec<Value> {
    let text = |object: &Value, path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_deleted = |object: &&Value| {
        deleted.iter().any(|deletion| {
            let deletion = deletion.get("delete").unwrap_or(deletion);
            text(object, "/kind") == text(deletion, "/kind")
                && text(object, "/metadata/name") == text(deletion, "/name")
                && text(object, "/metadata/namespace") == text(deletion, "/namespace")
        })
    };
    objects.iter().filter(|object| !is_deleted(object)).cloned().collect()
}

/// A cluster, and one of the evaluators.
struct Answering {
    cluster: Cluster,
    profile: Profile,
    fast: Option<Gateways>,
}

impl Answering {
    fn new(backend: Backend, objects: &[Value]) -> Result<Self, Vec<String>> {
        let (cluster, profile) = (loaded(objects)?.cluster, Profile::default());
        let fast = (backend == Backend::Compiled).then(|| Gateways::new(&cluster, &profile.ways));
        Ok(Self { cluster, profile, fast })
    }

    fn ask(&self, asked: &RequestAsked) -> Result<(), String> {
        let api = &self.cluster.gateway_api;
        let name = |gateway: &policy_core::model::gateway::Gateway| format!("{}/{}", gateway.namespace, gateway.name);
        let position = api.gateways.iter().position(|gateway| name(gateway) == asked.gateway);
        let position = position.ok_or_else(|| format!("there is no Gateway `{}`", asked.gateway))?;
        let tls = asked.tls.is_some();
        let port = asked.port.unwrap_or(if tls { 443 } else { 80 });
        let entrance = Entrance { port, protocol: Protocol::Tcp, tls };
        let request = asked.request();
        let answer: GatewayAnswer = match (&self.fast, api.gateways.get(position)) {
            (Some(fast), _) => fast.answer(position, entrance, &request),
            (None, Some(gateway)) => spec::gateway::answer(api, &self.profile.ways, gateway, entrance, &request),
            (None, None) => GatewayAnswer::default(),
        };
        outcome::compare(&self.cluster, asked, entrance, &request, &answer)
    }
}

fn conditions(case: &Case, objects: &[Value]) -> Outcome {
    let asked = case.route_conditions.len();
    let mut outcome = Outcome { name: case.name.clone(), right: 0, asked, remark: None, differences: Vec::new() };
    match loaded(objects) {
        Ok(loaded) => {
            let missing = missing(&loaded.cluster.gateway_api, &case.route_conditions);
            outcome.right = asked - missing.len();
            outcome.differences = missing;
        }
        Err(problems) => outcome.differences = problems,
    }
    outcome
}

/// The wanted conditions that no route has. Those of one situation are conditions of different parents.
fn missing(api: &GatewayApi, wanted: &[ConditionWanted]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut situations: Vec<_> = wanted.iter().map(|wanted| (&wanted.situation, &wanted.r#type)).collect();
    situations.dedup();
    for (situation, kind) in situations {
        let parents = api.routes.values().flat_map(|route| &route.parents);
        let mut found: Vec<RouteCondition> =
            parents.map(|parent| if kind == "Accepted" { parent.accepted } else { parent.resolved }).collect();
        let all = found.clone();
        let mut asked: Vec<_> =
            wanted.iter().filter(|wanted| (&wanted.situation, &wanted.r#type) == (situation, kind)).collect();
        // Those that name a reason choose first.
        asked.sort_by_key(|wanted| wanted.reason.is_empty());
        for wanted in asked {
            let fits = |condition: &RouteCondition| {
                let status = if condition.status { "True" } else { "False" };
                status == wanted.status && (wanted.reason.is_empty() || wanted.reason == condition.reason)
            };
            match found.iter().position(fits) {
                Some(at) => drop(found.remove(at)),
                None => problems.push(format!("wanted {kind}={} ({}), got {all:?}", wanted.status, wanted.reason)),
            }
        }
    }
    problems
}
