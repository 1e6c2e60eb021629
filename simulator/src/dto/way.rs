//! Ways: hops, legs, who takes them with which requests, and what becomes of them.

use policy_core::model::Leg;
use policy_core::query::Actor;
use policy_core::ways::clients::Part;
use policy_core::ways::walk::Way;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Actors, Judged, Witness};
use super::{Header, flag, knobs};
use crate::names::Names;
use crate::way_names::{actor, hop_kind, requests};

/// `exposed`: every way from outside.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ExposedAnswer {
    /// What every document begins with.
    #[serde(flatten)]
    pub header: Header,
    /// The ways, the widest open first. With `--all`, also those that nobody gets through.
    pub ways: Vec<WayDto>,
    /// How many ways there are that nobody gets through.
    pub closed: usize,
    /// The workloads that somebody outside may reach, as `namespace/kind/name`, sorted.
    pub reachable: Vec<String>,
    /// How many workloads there are.
    pub workloads: usize,
    /// Ingresses and paths of them that no controller serves, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unserved: Vec<Unserved>,
    /// Who may ask the API server for what leads into pods, by the rules of roles; whether policies then let it through
    /// is what `can` tells. Empty when the input has neither roles nor bindings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_rights: Vec<super::api::ApiRights>,
}

/// A name that stands for another name (W-EXTNAME).
#[derive(Serialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Through")]
pub struct ThroughDto {
    /// `W-EXTNAME`.
    pub way: &'static str,
    /// The rule of docs/SPEC.md.
    pub rule: &'static str,
    /// The ExternalName Service, as `namespace/name`.
    pub service: String,
    /// The name that it stands for.
    pub name: String,
    /// Where the Service is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Something that nobody serves.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Unserved {
    /// What: `Ingress namespace/name`.
    pub what: String,
    /// The rule of docs/SPEC.md.
    pub rule: &'static str,
    /// Why.
    pub why: String,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A way to one destination.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Way")]
pub struct WayDto {
    /// The id of its kind in docs/SPEC.md: `W-LB`, `W-NP`, `W-ING` ….
    pub way: &'static str,
    /// The kind in words.
    pub kind: &'static str,
    /// The best verdict of its parts.
    pub verdict: &'static str,
    /// The protocol of the first connection: `TCP`, `UDP` or `SCTP`.
    pub protocol: &'static str,
    /// Hop by hop, the entry first, without the destination.
    pub hops: Vec<HopDto>,
    /// The pods at its end; nobody where it ends before.
    pub to: Actors,
    /// The port there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Which requests take it, when a proxy is on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsDto>,
    /// What becomes of whom; the clients of different parts are disjoint.
    pub parts: Vec<WayPart>,
}

/// One hop.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Hop")]
pub struct HopDto {
    /// `loadBalancer`, `node`, `service`, `proxy`, `apiServer`, `pod` or `address`.
    pub kind: &'static str,
    /// Its name, as `namespace/name`, or its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address that is dialled, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The port that is dialled, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// What becomes of some clients.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct WayPart {
    /// The clients.
    pub from: Actors,
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
    /// Its connections, judged for one of the clients.
    pub legs: Vec<LegDto>,
}

/// One connection.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Leg")]
pub struct LegDto {
    /// The connection.
    #[serde(flatten)]
    pub flow: Witness,
    /// Who the destination takes it to come from, when a node masquerades it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masqueraded_by: Option<String>,
    /// What policies say.
    #[serde(flatten)]
    pub judgement: Judged,
}

/// Requests that a rule takes.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Requests")]
pub struct RequestsDto {
    /// `http`, `https`, or `tcp`, `tls` where the proxy sees no requests.
    pub scheme: &'static str,
    /// The host, `*` for all, `*.name` for names below one.
    pub host: String,
    /// How names below one are meant: `oneLabel`, `labels`, `regex`; left out for a single host and for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_match: Option<&'static str>,
    /// The path; left out for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How the path is meant: `exact`, `elements`, `characters`, `regex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_match: Option<&'static str>,
    /// One of these methods; left out for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Headers that must be there: `name: value`, `name: ~expression`, `name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Query parameters that must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
    /// What earlier rules take of all that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// One of the requests, such as `GET https://shop.example.com/cart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// What the proxy answers by itself, when it forwards nothing: a status, a redirect, or why nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether the destination gets copies only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mirror: bool,
    /// The rule: `Ingress namespace/name spec.rules[0].http.paths[1]`.
    pub by: String,
    /// Where it is written, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Names<'_> {
    /// `from`: who takes the way, when one of them stands for all.
    pub(crate) fn way_dto(&self, way: &Way, from: Option<&Actor>) -> WayDto {
        let mut to = Actors::default();
        if !way.pods.is_empty() {
            to = self.actors_dto(&[Actor::Pods(way.pods.clone())]);
        }
        to.addresses.extend(way.address.map(|address| address.to_string()));
        let verdict = policy_core::ways::clients::overall(&way.parts).map_or("no-route", |best| best.verdict.as_str());
        WayDto {
            way: way.kind.id(),
            kind: way.kind.words(),
            verdict,
            protocol: way.protocol.as_str(),
            hops: way.hops.iter().map(|hop| hop_kind(self, hop)).collect(),
            to,
            port: (way.port > 0).then_some(way.port),
            requests: way.served.as_ref().map(|served| requests(self, served)),
            parts: way.parts.iter().map(|part| self.part_dto(part, from)).collect(),
        }
    }

    fn part_dto(&self, part: &Part, from: Option<&Actor>) -> WayPart {
        WayPart {
            from: self.actors_dto(&[from.cloned().unwrap_or_else(|| actor(&part.clients))]),
            verdict: part.finding.verdict.as_str(),
            rule: part.finding.rule,
            knobs: knobs(part.finding.knobs),
            conditions: part.finding.provisos.iter().map(ToString::to_string).collect(),
            flags: part.finding.flags.iter().map(|remark| flag(*remark)).collect(),
            legs: part.legs.iter().map(|leg| self.leg_dto(leg)).collect(),
        }
    }

    pub(crate) fn leg_dto(&self, leg: &Leg) -> LegDto {
        LegDto {
            flow: self.witness(&leg.flow, &[]),
            masqueraded_by: leg.flow.masqueraded_by.map(|by| self.masquerader(by)),
            judgement: self.judged(&leg.judgement, &leg.flow),
        }
    }
}
