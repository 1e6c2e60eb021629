//! What becomes of one request.

use policy_core::model::Finding;
use policy_core::model::http::Request;
use policy_core::query::Actor;
use policy_core::ways::route::{Answer, Asker, Choice, Passed, Reached, TakenBy, Then, Why, together};
use policy_core::ways::walk::Way;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::Actors;
use super::api::ApiWayDto;
use super::batch::LineCaveats;
use super::way::{LegDto, WayDto};
use super::{Header, flag, knobs};
use crate::names::Names;
use crate::way_names::{actor, location_text, match_text, origin_text};

/// `route`: what becomes of a request.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// Who makes the request, as it was written.
    pub from: String,
    /// The URL.
    pub url: String,
    /// The method.
    pub method: String,
    /// The headers, `name: value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// The server name of the connection, over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The verdict that all clients share, each with the best of its answers, or `conditional` with the rule `M-3`
    /// when it depends on which of them is meant.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// One answer for each group of clients and everybody who may take the request; empty for a user of the API server.
    pub answers: Vec<RouteCase>,
    /// For a user of the API server: what it needs, and the connections that the API server opens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_ways: Vec<ApiWayDto>,
    /// For a user of the API server: why nothing comes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What becomes of a request of some clients at whoever takes it.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteCase {
    /// The clients.
    pub from: Actors,
    /// Who takes the request.
    pub taken_by: Taker,
    /// What becomes of it: the best of the choices.
    #[serde(flatten)]
    pub finding: FindingDto,
    /// What may become of it, the likeliest first; several when nobody defines which.
    pub choices: Vec<RouteChoice>,
    /// Rules for the same host that do not decide, the nearest first, at most 5.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<PassedDto>,
}

/// Who takes a request.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Taker {
    /// `proxy`, `pods` (what is dialled leads to no proxy), `apiServer` or `nobody`.
    pub kind: &'static str,
    /// The proxy: `Ingress controller nginx`, `Gateway infra/web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The listener that takes the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
}

/// A verdict on a way, or on the best of several.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Finding")]
pub struct FindingDto {
    /// `allowed`, `denied`, `undefined`, `conditional`, `no-route` or `no-listener`.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The knobs that an undefined verdict depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
    /// What a conditional verdict depends on, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Remarks: `hypothetical`, `host_network` ….
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<&'static str>,
}

/// One thing that may become of a request.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteChoice {
    /// The rule that takes it: `Ingress namespace/name spec.rules[0].http.paths[1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Where that is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which requests the rule takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
    /// Why nobody can tell whether this is what becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// What becomes of it.
    #[serde(flatten)]
    pub finding: FindingDto,
    /// The HTTP status with which the proxy answers by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it ends there, or why nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the client is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectDto>,
    /// Where the request goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendDto>,
    /// The ways to whoever answers by itself or sends the client elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WayDto>,
}

/// Where a client is sent.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Redirect")]
pub struct RedirectDto {
    /// The URL; a path that a controller's own template makes is `…`.
    pub location: String,
    /// What becomes of the request there; empty when it leads out of the input.
    pub next: Vec<RouteCase>,
}

/// A backend of a request.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Backend")]
pub struct BackendDto {
    /// The Service, as `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The port of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its weight among the backends; left out where nothing is weighed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether it gets copies only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mirror: bool,
    /// The pods behind it, as `namespace/pod/name`.
    pub pods: Vec<String>,
    /// Addresses behind it that are no pods'.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The status that stands in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it is not reached, where that is not a matter of policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The request as it arrives there, when it is changed on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sees: Option<SeenRequest>,
    /// What becomes of the request.
    #[serde(flatten)]
    pub finding: FindingDto,
    /// The ways that lead there; left out in `batch`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WayDto>,
}

/// A request as a backend sees it.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct SeenRequest {
    /// The host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The path with its query; left out when the controller's own template makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// That template, which is not evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The headers, `name: value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
}

/// A rule for the same host that does not decide.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Passed")]
pub struct PassedDto {
    /// The rule.
    pub by: String,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which requests it takes.
    pub requests: String,
    /// Why it does not decide.
    pub why: String,
}

/// The answer of `batch` to a question with `url`.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteLine<'a> {
    /// The question's `id`, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub id: Option<&'a RawValue>,
    /// The best answer. When clients fare differently its `verdict` is `conditional` and its `rule` is `M-3`.
    #[serde(flatten)]
    pub answer: RoutePart,
    /// Further answers: of other clients, of others who may take the request, of rules of which nobody defines which
    /// comes first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<RoutePart>,
    /// What the answer leaves out; left out when there is nothing.
    #[serde(flatten)]
    pub caveats: LineCaveats<'a>,
}

/// One answer of a line.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RoutePart {
    /// What becomes of the request.
    #[serde(flatten)]
    pub finding: FindingDto,
    /// The clients, when the question names several that fare differently or could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Actors>,
    /// Who takes the request.
    pub taken_by: Taker,
    /// The rule that takes it: `Ingress namespace/name spec.rules[0].http.paths[1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Where that is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why nobody can tell whether this is what becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// The HTTP status with which the proxy answers by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it ends there, or why nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the client is sent: a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// Where the request goes, without ways.
    pub backends: Vec<BackendDto>,
    /// The connections of the best way, judged for one of the clients.
    pub legs: Vec<LegDto>,
}

impl RouteLine<'_> {
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        super::batch::write(&self, out);
    }
}

/// A finding for documents.
pub(crate) fn finding(finding: &Finding) -> FindingDto {
    FindingDto {
        verdict: finding.verdict.as_str(),
        rule: finding.rule,
        knobs: knobs(finding.knobs),
        conditions: finding.provisos.iter().map(ToString::to_string).collect(),
        flags: finding.flags.iter().map(|remark| flag(*remark)).collect(),
    }
}

/// Why a rule does not decide, in words.
pub(crate) fn why_text(why: &Why) -> String {
    match why {
        Why::Method => "it wants another method".to_owned(),
        Why::Header(name) => format!("it wants something else of the header `{name}`"),
        Why::Query(name) => format!("it wants something else of the parameter `{name}`"),
        Why::Later => "it would take the request, but another rule comes first".to_owned(),
        Why::Path => "it wants another path".to_owned(),
    }
}

/// A path with its query.
pub(crate) fn target_text(request: &Request) -> String {
    let pair = |(name, value): &(policy_core::model::Name, policy_core::model::Name)| match value.is_empty() {
        true => name.to_string(),
        false => format!("{name}={value}"),
    };
    let query: Vec<String> = request.query.iter().map(pair).collect();
    if query.is_empty() { request.path.to_string() } else { format!("{}?{}", request.path, query.join("&")) }
}

/// The pods for which one stands; parts of the outside say themselves who they are.
fn stand_in(asker: &Asker) -> Option<Actor> {
    (!asker.pods.is_empty()).then(|| Actor::Pods(asker.pods.clone()))
}

impl Names<'_> {
    /// Some clients, by all their names.
    pub(crate) fn asker(&self, asker: &Asker) -> Vec<Actor> {
        match asker.pods.is_empty() {
            true => vec![actor(&asker.clients)],
            false => vec![Actor::Pods(asker.pods.clone())],
        }
    }

    /// A line of `batch`; `None` when nobody asks.
    pub(crate) fn route_line<'q>(
        &self,
        id: Option<&'q RawValue>,
        asked: &[(Asker, Vec<Answer>)],
        caveats: LineCaveats<'q>,
    ) -> Option<RouteLine<'q>> {
        let several = asked.len() > 1;
        let answers = asked.iter().flat_map(|(asker, answers)| answers.iter().map(move |answer| (asker, answer)));
        let all: Vec<_> = answers
            .flat_map(|(asker, answer)| answer.choices.iter().map(move |choice| (asker, answer, choice)))
            .collect();
        let mut best = 0;
        for (at, (_, _, choice)) in all.iter().enumerate() {
            if all.get(best).is_some_and(|(_, _, known)| choice.finding.merit() > known.finding.merit()) {
                best = at;
            }
        }
        let mut parts: Vec<RoutePart> = all
            .into_iter()
            .map(|(asker, answer, choice)| RoutePart {
                from: several.then(|| self.actors_dto(&self.asker(asker))),
                ..self.route_part(answer, choice)
            })
            .collect();
        let mut answer = (best < parts.len()).then(|| parts.remove(best))?;
        let whole = together(asked);
        if whole.rule == "M-3" {
            answer.finding = finding(&whole);
        }
        Some(RouteLine { id, answer, others: parts, caveats })
    }

    fn route_part(&self, answer: &Answer, choice: &Choice) -> RoutePart {
        let rule = choice.rule.as_ref();
        let mut part = RoutePart {
            finding: finding(&choice.finding),
            from: None,
            taken_by: self.taker(&answer.taken_by),
            by: rule.map(|rule| origin_text(&rule.origin)),
            source: rule.and_then(|rule| self.place(rule.origin.span)),
            doubt: choice.doubt.clone(),
            status: choice.status,
            why: None,
            redirect: None,
            backends: Vec::new(),
            legs: Vec::new(),
        };
        let ways: Vec<&Way> = match &choice.then {
            Then::Forward(backends) => {
                part.backends = backends.iter().map(|to| self.backend_dto(to, None)).collect();
                let counting = backends.iter().filter(|to| !to.mirror && to.weight != Some(0));
                counting.flat_map(|to| &to.ways).collect()
            }
            Then::Redirect { location, query, ways, .. } => {
                part.redirect = Some(location_text(location, query));
                ways.iter().collect()
            }
            Then::Ends { why, ways } => {
                part.why = Some(why.to_string());
                ways.iter().collect()
            }
            Then::Undefined(why) => {
                part.why = Some(why.to_string());
                Vec::new()
            }
        };
        let mut best: Option<&policy_core::ways::clients::Part> = None;
        for found in ways.into_iter().flat_map(|way| &way.parts) {
            if best.is_none_or(|known| found.finding.merit() > known.finding.merit()) {
                best = Some(found);
            }
        }
        part.legs = best.iter().flat_map(|best| &best.legs).map(|leg| self.leg_dto(leg)).collect();
        part
    }

    pub(crate) fn route_case(&self, asker: &Asker, answer: &Answer, tls: bool) -> RouteCase {
        RouteCase {
            from: self.actors_dto(&self.asker(asker)),
            taken_by: self.taker(&answer.taken_by),
            finding: finding(&answer.finding),
            choices: answer.choices.iter().map(|choice| self.choice_dto(asker, choice, tls)).collect(),
            passed: answer.passed.iter().map(|passed| self.passed_dto(passed, tls)).collect(),
        }
    }

    pub(crate) fn taker(&self, taken_by: &TakenBy) -> Taker {
        let bare = |kind| Taker { kind, name: None, port: None, listener: None };
        match taken_by {
            TakenBy::Proxy { proxy, port, listener } => Taker {
                kind: "proxy",
                name: Some(self.proxy(*proxy)),
                port: Some(*port),
                listener: listener.as_ref().map(ToString::to_string),
            },
            TakenBy::Pods => bare("pods"),
            TakenBy::ApiServer => bare("apiServer"),
            TakenBy::Nobody => bare("nobody"),
        }
    }

    fn choice_dto(&self, asker: &Asker, choice: &Choice, tls: bool) -> RouteChoice {
        let rule = choice.rule.as_ref();
        let scheme = if tls { "https" } else { "http" };
        let mut dto = RouteChoice {
            by: rule.map(|rule| origin_text(&rule.origin)),
            source: rule.and_then(|rule| self.place(rule.origin.span)),
            requests: rule.map(|rule| match_text(scheme, &rule.when)),
            doubt: choice.doubt.clone(),
            finding: finding(&choice.finding),
            status: choice.status,
            why: None,
            redirect: None,
            backends: Vec::new(),
            ways: Vec::new(),
        };
        let from = stand_in(asker);
        let ways = |ways: &[Way]| ways.iter().map(|way| self.way_dto(way, from.as_ref())).collect();
        match &choice.then {
            Then::Forward(backends) => {
                dto.backends = backends.iter().map(|to| self.backend_dto(to, Some(asker))).collect()
            }
            Then::Redirect { location, query, next, ways: here } => {
                let tls = &*location.scheme == "https";
                let next = next.iter().map(|answer| self.route_case(asker, answer, tls)).collect();
                dto.redirect = Some(RedirectDto { location: location_text(location, query), next });
                dto.ways = ways(here);
            }
            Then::Ends { why, ways: here } => {
                dto.why = Some(why.to_string());
                dto.ways = ways(here);
            }
            Then::Undefined(why) => dto.why = Some(why.to_string()),
        }
        dto
    }

    /// `ways_of`: with the ways, for these clients.
    fn backend_dto(&self, backend: &Reached, ways_of: Option<&Asker>) -> BackendDto {
        let template = backend.template.as_ref();
        let sees = backend.request.as_ref().map(|request| SeenRequest {
            host: request.host.as_ref().map(ToString::to_string),
            path: template.is_none().then(|| target_text(request)),
            template: template.map(ToString::to_string),
            headers: request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
        });
        let only_template = || {
            template.map(|template| SeenRequest {
                host: None,
                path: None,
                template: Some(template.to_string()),
                headers: Vec::new(),
            })
        };
        let from = ways_of.and_then(stand_in);
        let ways = if ways_of.is_some() { backend.ways.as_slice() } else { &[] };
        BackendDto {
            service: backend.service.map(|(service, _)| self.service(service)),
            port: backend.service.map(|(_, port)| port),
            weight: backend.weight,
            mirror: backend.mirror,
            pods: backend.pods().into_iter().map(|pod| self.pod(pod)).collect(),
            addresses: backend.addresses().iter().map(ToString::to_string).collect(),
            status: backend.status,
            why: backend.why.as_ref().map(ToString::to_string),
            sees: sees.or_else(only_template),
            finding: finding(&backend.finding),
            ways: ways.iter().map(|way| self.way_dto(way, from.as_ref())).collect(),
        }
    }

    fn passed_dto(&self, passed: &Passed, tls: bool) -> PassedDto {
        PassedDto {
            by: origin_text(&passed.origin),
            source: self.place(passed.origin.span),
            requests: match_text(if tls { "https" } else { "http" }, &passed.when),
            why: why_text(&passed.why),
        }
    }
}
