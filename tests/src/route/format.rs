//! The shape of `route-case/v1` and `route-status/v1` files.

use std::collections::BTreeMap;

use policy_core::model::Name;
use policy_core::model::http::{Request, request};
use serde::Deserialize;
use serde_json::Value;

/// One case file. Fields that only tell people something are not read.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The name under which it is reported.
    pub name: String,
    /// A file with more objects, beside this one.
    pub base: Option<String>,
    /// The manifests.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// What is asked.
    #[serde(default)]
    pub requests: Vec<RequestAsked>,
    /// What routes' conditions must say.
    #[serde(default)]
    pub route_conditions: Vec<ConditionWanted>,
}

/// One request, and what must become of it.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RequestAsked {
    /// `namespace/name` of the Gateway.
    pub gateway: String,
    /// The port.
    pub port: Option<u16>,
    /// When it comes over TLS.
    pub tls: Option<TlsAsked>,
    /// The method; `GET` when left out.
    pub method: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The path with its query.
    pub path: Option<String>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A method of the suite's gRPC service.
    pub grpc_method: Option<String>,
    /// Deletions before this request.
    #[serde(default)]
    pub after: Vec<Value>,
    /// What must become of it.
    pub expect: Expect,
}

/// How TLS begins.
#[derive(Deserialize, Debug)]
pub struct TlsAsked {
    /// The server name.
    pub sni: Option<String>,
}

/// What must become of a request. What is left out is not looked at.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// The HTTP status, or those that are allowed.
    #[serde(default, deserialize_with = "one_or_many")]
    pub status: Option<Vec<u16>>,
    /// `namespace/service`.
    pub backend: Option<String>,
    /// Where the client is sent.
    pub redirect: Option<RedirectWanted>,
    /// What the backend sees.
    pub forwarded: Option<ForwardedWanted>,
    /// The gRPC status.
    pub grpc_code: Option<Value>,
}

/// Where a redirect must lead.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct RedirectWanted {
    /// The scheme.
    pub scheme: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The port; an empty text is none.
    pub port: Option<Value>,
    /// The path.
    pub path: Option<String>,
}

/// What a backend must see.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForwardedWanted {
    /// The path.
    pub path: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers that must not be there.
    #[serde(default)]
    pub absent_headers: Vec<String>,
}

/// A condition that a route must have.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ConditionWanted {
    /// What is looked at, in words.
    pub situation: Option<String>,
    /// `Accepted` or `ResolvedRefs`.
    pub r#type: String,
    /// `True` or `False`.
    pub status: String,
    /// The reason; empty = any.
    #[serde(default)]
    pub reason: String,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u16>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(u16),
        Many(Vec<u16>),
    }
    let read = Option::<OneOrMany>::deserialize(deserializer)?;
    Ok(read.map(|read| match read {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    }))
}

impl RequestAsked {
    /// The request in short.
    #[must_use]
    pub fn title(&self) -> String {
        let host = self.host.as_deref().unwrap_or("-");
        match &self.grpc_method {
            Some(method) => format!("gRPC {method} at {host}"),
            None => {
                format!("{} {host}{}", self.method.as_deref().unwrap_or("GET"), self.path.as_deref().unwrap_or("/"))
            }
        }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> Request {
        let path = match &self.grpc_method {
            Some(method) => {
                let method = method.strip_suffix("Request").unwrap_or(method);
                format!("/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/{method}")
            }
            None => self.path.clone().unwrap_or_else(|| "/".to_owned()),
        };
        let method = match (&self.method, &self.grpc_method) {
            (Some(method), _) => method.as_str(),
            (None, Some(_)) => "POST",
            (None, None) => "GET",
        };
        let header =
            |(name, value): (&String, &String)| (Name::from(name.to_ascii_lowercase()), Name::from(value.as_str()));
        Request {
            method: Name::from(method),
            headers: self.headers.iter().map(header).collect(),
            sni: self.tls.as_ref().and_then(|tls| tls.sni.as_deref()).and_then(request::bare_host),
            ..Request::get(self.host.as_deref(), &path)
        }
    }
}
