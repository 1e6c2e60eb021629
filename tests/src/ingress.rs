//! `ingress-case/v1`: Ingresses, and which backend answers which request.

use std::collections::BTreeMap;
use std::fmt;

use policy_core::model::http::request::split_query;
use policy_core::model::http::{Action, App, BackendTarget, Check, Redirect, Request, Routed};
use policy_core::model::ingress::{Claims, Entry, claims};
use policy_core::model::{Cluster, Name, Profile, Protocol};
use policy_core::spec::ingress::route;
use policy_core::ways::ingress::{IngressRoutes, routes};
use serde::Deserialize;
use serde_json::Value;

use crate::discover::CaseFile;
use crate::pipeline::{Backend, load};
use crate::report::Outcome;

/// One case file. Fields that only tell people something are not read.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    #[serde(default)]
    profile: BTreeMap<String, String>,
    objects: Vec<Value>,
    requests: Vec<Asked>,
}

/// One request, and what must become of it.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Asked {
    name: Option<String>,
    #[serde(rename = "why")]
    _why: Option<Value>,
    #[serde(rename = "note")]
    _note: Option<Value>,
    #[serde(rename = "origin")]
    _origin: Option<Value>,
    method: Option<String>,
    scheme: Option<String>,
    host: Option<String>,
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How often it is sent: all answers must be alike.
    #[serde(rename = "repeat")]
    _repeat: Option<u32>,
    distinct_pods: Option<usize>,
    ingress_admitted: Option<bool>,
    #[serde(default)]
    expect: Expect,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase")]
struct Expect {
    status: Option<OneOrMany>,
    backend: Option<String>,
    distinct_pods: Option<usize>,
    ingress_admitted: Option<bool>,
    redirect: Option<ExpectedRedirect>,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Deserialize, Debug)]
#[serde(untagged)]
enum OneOrMany {
    One(u16),
    Many(Vec<u16>),
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct ExpectedRedirect {
    scheme: Option<String>,
    host: Option<String>,
    port: Option<u16>,
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// One of these backends gets it, as `namespace/service:port`.
    Backends(Vec<String>),
    /// The proxy answers with this status.
    Status(u16),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// Nobody defines it: why.
    Undefined(String),
    /// No controller listens: no Ingress is served, or not on this port.
    NoListener,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backends(backends) => f.write_str(&backends.join(" or ")),
            Self::Status(status) => write!(f, "{status}"),
            Self::Redirect(redirect) => {
                let scheme = redirect.scheme.as_deref().unwrap_or("same");
                write!(f, "{} to {scheme}://{}", redirect.status, redirect.host.as_deref().unwrap_or("same"))
            }
            Self::Undefined(why) => write!(f, "undefined: {why}"),
            Self::NoListener => f.write_str("nobody listens"),
        }
    }
}

/// What is asked of one controller, and the checks that a request passes on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asking {
    /// What becomes of the request.
    pub answer: Answer,
    /// What it must pass first.
    pub checks: Vec<Check>,
}

/// The answer of the first controller that has one, by either evaluator.
#[must_use]
pub fn ask(backend: Backend, cluster: &Cluster, profile: &Profile, entry: Entry, request: &Request) -> Asking {
    let nobody = Asking { answer: Answer::NoListener, checks: Vec::new() };
    let answers = match backend {
        Backend::Spec => by_spec(cluster, &claims(cluster, &profile.ways), entry, request),
        Backend::Compiled => by_lists(cluster, &routes(cluster, &profile.ways), entry, request),
    };
    let served = |asking: &&Asking| asking.answer != Answer::NoListener;
    let found = answers.iter().find(|asking| served(asking) && asking.answer != Answer::Status(404));
    found.or_else(|| answers.iter().find(served)).cloned().unwrap_or(nobody)
}

/// One answer for each load balancer: the Ingresses of a controller, or each by itself (ING-20, ING-26).
fn by_spec(cluster: &Cluster, claims: &Claims, entry: Entry, request: &Request) -> Vec<Asking> {
    use policy_core::model::way_profile::IngressProfile;
    let mut answers = Vec::new();
    for controller in &claims.controllers {
        let apart = matches!(controller.profile, IngressProfile::Gce | IngressProfile::Alb);
        let groups: Vec<_> =
            if apart { controller.ingresses.chunks(1).collect() } else { vec![&controller.ingresses[..]] };
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            let mut ingresses = group.iter().map(|id| cluster.ingresses.at(*id));
            let always = matches!(
                controller.profile,
                IngressProfile::Nginx | IngressProfile::Traefik | IngressProfile::Kong | IngressProfile::HaProxy
            );
            if entry == Entry::Tls && !always && ingresses.all(|ingress| ingress.tls.is_empty()) {
                continue;
            }
            let taken = route(cluster, controller, group, entry, request);
            let all: Vec<_> = taken.perhaps.iter().chain(&taken.then).collect();
            answers.push(match all.as_slice() {
                [] => Asking { answer: Answer::Status(404), checks: Vec::new() },
                [only] if taken.perhaps.is_empty() => {
                    Asking { answer: answer(cluster, &only.then), checks: only.checks.clone() }
                }
                _ => undefined(),
            });
        }
    }
    answers
}

fn by_lists(cluster: &Cluster, routes: &IngressRoutes, entry: Entry, request: &Request) -> Vec<Asking> {
    let mut answers = Vec::new();
    for (controller, proxy) in &routes.proxies {
        let controller = routes.claims.controllers.get(*controller);
        if controller.is_none_or(|controller| controller.ingresses.is_empty()) {
            continue;
        }
        let wanted = if entry == Entry::Plain { 80 } else { 443 };
        let port = proxy.ports.iter().find(|port| port.port == wanted && port.protocol == Protocol::Tcp);
        let Some(port) = port else { continue };
        let name = request.sni.as_ref().or(request.host.as_ref()).map(|name| &**name);
        let listener = port.listeners.iter().find(|listener| match (&listener.tls, entry) {
            (None, Entry::Plain) => true,
            (Some(tls), Entry::Tls) => tls.matches(name) == Some(true),
            _ => false,
        });
        let Some(listener) = listener else { continue };
        let host = if listener.app == App::Opaque { name } else { request.host.as_deref() };
        answers.push(match listener.router.route(host, request) {
            Routed::Rule(rule) => Asking { answer: answer(cluster, &rule.then), checks: rule.checks.clone() },
            Routed::Nothing => Asking { answer: Answer::Status(404), checks: Vec::new() },
            Routed::OneOf(_) | Routed::Perhaps(..) => undefined(),
        });
    }
    answers
}

fn undefined() -> Asking {
    Asking { answer: Answer::Undefined("several paths".to_owned()), checks: Vec::new() }
}

fn answer(cluster: &Cluster, action: &Action) -> Answer {
    match action {
        Action::Forward { backends, .. } => {
            let mut names = Vec::new();
            for backend in backends {
                match &backend.target {
                    BackendTarget::Service { service, port, .. } => {
                        let number =
                            cluster.services.at(*service).ports.get(*port as usize).map_or(0, |port| port.port);
                        names.push(format!("{}:{number}", service_name(cluster, *service)));
                    }
                    BackendTarget::External { service, port } => {
                        names.push(format!("{}:{port}", service_name(cluster, *service)));
                    }
                    BackendTarget::Invalid { status, .. } => return Answer::Status(*status),
                }
            }
            Answer::Backends(names)
        }
        Action::Redirect(redirect) => Answer::Redirect(redirect.clone()),
        Action::Answer { status, .. } => Answer::Status(*status),
        Action::Undefined(why) => Answer::Undefined(why.to_string()),
    }
}

fn service_name(cluster: &Cluster, id: policy_core::ids::ServiceId) -> String {
    let service = cluster.services.at(id);
    format!("{}/{}", cluster.namespaces.at(service.namespace).name, service.name)
}

/// A pod that stands beside the objects: an input without any workload is refused for that alone (IN-8).
const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bystander", "namespace": "bystander"},
    "spec": {"containers": [{"name": "main", "image": "none"}]}}"#;

/// Runs one case.
#[must_use]
pub fn run(backend: Backend, file: &CaseFile) -> Outcome {
    match serde_json::from_value::<Case>(file.content.clone()) {
        Ok(case) => run_case(backend, &case),
        Err(error) => Outcome::broken(file.path.display().to_string(), format!("not an ingress-case file: {error}")),
    }
}

fn run_case(backend: Backend, case: &Case) -> Outcome {
    let mut profile = Profile::default();
    for (knob, value) in &case.profile {
        if let Err(error) = profile.set(knob, value) {
            return Outcome::broken(case.name.clone(), format!("profile: {error}"));
        }
    }
    let texts = case.objects.iter().enumerate().map(|(at, object)| (format!("object-{at}.yaml"), object.to_string()));
    let loaded = load(texts.chain([("pod.json".to_owned(), POD.to_owned())]));
    let mut outcome = Outcome { name: case.name.clone(), right: 0, asked: 0, remark: None, differences: Vec::new() };
    let errors: Vec<_> = loaded.errors().map(|error| loaded.describe(error)).collect();
    outcome.asked = case.requests.len();
    if !errors.is_empty() {
        outcome.differences = errors;
        return outcome;
    }
    for (at, asked) in case.requests.iter().enumerate() {
        match compare(backend, &loaded.cluster, &profile, asked) {
            Ok(remark) => {
                outcome.right += 1;
                outcome.remark = outcome.remark.or(remark);
            }
            Err(problem) => {
                let title = asked.name.clone().unwrap_or_else(|| format!("request {}", at + 1));
                let host = asked.host.as_deref().unwrap_or("-");
                let path = asked.path.as_deref().unwrap_or("/");
                outcome.differences.push(format!("{title} ({host} {path}): {problem}"));
            }
        }
    }
    outcome
}

/// Asks one request; `Ok` may hold a remark on what could not be asked.
fn compare(backend: Backend, cluster: &Cluster, profile: &Profile, asked: &Asked) -> Result<Option<String>, String> {
    if let Some(field) = asked.unknown.keys().chain(asked.expect.unknown.keys()).next() {
        return Err(format!("this runner does not know `{field}`"));
    }
    let entry = match asked.scheme.as_deref() {
        None | Some("http") => Entry::Plain,
        Some("https") => Entry::Tls,
        Some(other) => return Err(format!("`{other}` is no scheme")),
    };
    let got = ask(backend, cluster, profile, entry, &request(asked, entry)).answer;
    if asked.ingress_admitted.or(asked.expect.ingress_admitted) == Some(false) {
        let unclaimed = claims(cluster, &profile.ways).unclaimed;
        let nobody = unclaimed.len() == cluster.ingresses.len() && got == Answer::NoListener;
        return if nobody { Ok(None) } else { Err(format!("wanted that nobody serves the Ingress, got {got}")) };
    }
    let status = match &got {
        Answer::Backends(_) => Some(200),
        Answer::Status(status) => Some(*status),
        Answer::Redirect(redirect) => Some(redirect.status),
        Answer::Undefined(_) | Answer::NoListener => None,
    };
    let wanted = match &asked.expect.status {
        Some(OneOrMany::One(wanted)) => vec![*wanted],
        Some(OneOrMany::Many(wanted)) => wanted.clone(),
        None => Vec::new(),
    };
    if !wanted.is_empty() && status.is_none_or(|status| !wanted.contains(&status)) {
        return Err(format!("wanted status {wanted:?}, got {got}"));
    }
    if let Some(wanted) = &asked.expect.backend {
        let is_it = |name: &String| name.rsplit_once(':').is_some_and(|(service, _)| service == wanted);
        if !matches!(&got, Answer::Backends(names) if !names.is_empty() && names.iter().all(is_it)) {
            return Err(format!("wanted {wanted}, got {got}"));
        }
    }
    if let Some(wanted) = &asked.expect.redirect {
        let Answer::Redirect(redirect) = &got else { return Err(format!("wanted a redirect, got {got}")) };
        let differs =
            |wanted: &Option<String>, got: &Option<Name>| wanted.is_some() && wanted.as_deref() != got.as_deref();
        if differs(&wanted.scheme, &redirect.scheme)
            || differs(&wanted.host, &redirect.host)
            || (wanted.port.is_some() && wanted.port != redirect.port)
        {
            return Err(format!("wanted {wanted:?}, got {got}"));
        }
    }
    match asked.distinct_pods.or(asked.expect.distinct_pods) {
        Some(wanted) => balanced(cluster, &got, wanted),
        None if wanted.is_empty() && asked.expect.backend.is_none() && asked.expect.redirect.is_none() => {
            Err("the request wants nothing".to_owned())
        }
        None => Ok(None),
    }
}

fn request(asked: &Asked, entry: Entry) -> Request {
    let (path, query) = split_query(asked.path.as_deref().unwrap_or("/"));
    let plain = Request::get(asked.host.as_deref(), "/");
    let headers =
        asked.headers.iter().map(|(name, value)| (Name::from(name.to_ascii_lowercase()), Name::from(&**value)));
    Request {
        method: Name::from(asked.method.as_deref().unwrap_or("GET")),
        path,
        query,
        headers: headers.collect(),
        sni: plain.host.clone().filter(|_| entry == Entry::Tls),
        ..plain
    }
}

/// ING-30: every endpoint of the backend gets requests. Pods that the case does not have cannot be counted.
fn balanced(cluster: &Cluster, got: &Answer, wanted: usize) -> Result<Option<String>, String> {
    let Answer::Backends(names) = got else { return Err(format!("wanted {wanted} pods, got {got}")) };
    let mut pods = 0;
    for service in cluster.services.values() {
        let name = format!("{}/{}", cluster.namespaces.at(service.namespace).name, service.name);
        if names.iter().all(|found| found.rsplit_once(':').is_none_or(|(found, _)| found != name)) {
            continue;
        }
        let Some(selector) = &service.selector else { continue };
        let of_service = cluster.pods.values().filter(|pod| pod.namespace == service.namespace);
        pods += of_service.filter(|pod| selector.matches(&pod.labels)).count();
    }
    match pods {
        0 => Ok(Some("the case has no pods to count".to_owned())),
        _ if pods == wanted => Ok(None),
        _ => Err(format!("wanted {wanted} pods behind {got}, there are {pods}")),
    }
}
