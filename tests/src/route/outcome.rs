//! What became of a request, beside what must become of it.

use policy_core::model::Cluster;
use policy_core::model::gateway::{Decision, Entrance, GatewayAnswer};
use policy_core::model::http::{Action, Backend, BackendTarget, Check, Request, Rewrite};
use serde_json::Value;

use super::format::{ForwardedWanted, RedirectWanted, RequestAsked};

/// Compares; `Err` says how the answer differs.
pub(super) fn compare(
    cluster: &Cluster,
    asked: &RequestAsked,
    entrance: Entrance,
    request: &Request,
    answer: &GatewayAnswer,
) -> Result<(), String> {
    match answer.possible.as_slice() {
        [] => Err("no listener takes the connection".to_owned()),
        [decision] => decided(cluster, asked, entrance, request, decision),
        several => Err(format!("nobody defines what becomes of it: {several:?}")),
    }
}

fn decided(
    cluster: &Cluster,
    asked: &RequestAsked,
    entrance: Entrance,
    request: &Request,
    decision: &Decision,
) -> Result<(), String> {
    let needs_credential = decision.checks.iter().any(|check| matches!(check, Check::Credential(_)));
    let refused = |statuses: &Vec<u16>| statuses.iter().any(|status| matches!(status, 401 | 403));
    if needs_credential && asked.expect.status.as_ref().is_some_and(refused) {
        // The case knows what the client shows; the manifests do not.
        return Ok(());
    }
    match &decision.then {
        Action::Answer { status, why } => {
            unforwarded(asked)?;
            has_status(asked, *status).map_err(|problem| format!("{problem}: {why}"))
        }
        Action::Redirect(redirect) => {
            has_status(asked, redirect.status)?;
            let Some(wanted) = &asked.expect.redirect else { return unforwarded(asked) };
            let scheme = if entrance.tls { "https" } else { "http" };
            let location = redirect.location(request, scheme, entrance.port);
            redirected(wanted, &location)
        }
        Action::Forward { backends, rewrite, .. } => {
            // By weight: one of them does what is wanted.
            let problems: Vec<_> = backends
                .iter()
                .map(|backend| forwarded(cluster, asked, request, rewrite, backend))
                .map_while(Result::err)
                .collect();
            if problems.len() < backends.len() { Ok(()) } else { Err(problems.join("; ")) }
        }
        Action::Undefined(why) => Err(format!("undefined: {why}")),
    }
}

fn unforwarded(asked: &RequestAsked) -> Result<(), String> {
    let expect = &asked.expect;
    match (&expect.backend, &expect.forwarded) {
        (None, None) => Ok(()),
        (Some(backend), _) => Err(format!("wanted {backend}, and no backend is reached")),
        (None, Some(_)) => Err("no backend is reached".to_owned()),
    }
}

fn has_status(asked: &RequestAsked, status: u16) -> Result<(), String> {
    if let Some(wanted) = asked.expect.status.as_ref().filter(|wanted| !wanted.contains(&status)) {
        return Err(format!("wanted {wanted:?}, got {status}"));
    }
    if asked.expect.redirect.is_some() && !(300..400).contains(&status) {
        return Err(format!("wanted a redirect, got {status}"));
    }
    let Some(wanted) = &asked.expect.grpc_code else { return Ok(()) };
    // What gRPC clients make of a status of HTTP.
    let (name, number) = match status {
        200 => ("OK", 0),
        401 => ("Unauthenticated", 16),
        403 => ("PermissionDenied", 7),
        404 => ("Unimplemented", 12),
        _ => ("Unavailable", 14),
    };
    let right = match wanted {
        Value::String(wanted) => wanted.eq_ignore_ascii_case(name),
        wanted => wanted.as_u64() == Some(number),
    };
    if right { Ok(()) } else { Err(format!("wanted gRPC {wanted}, got {name}")) }
}

fn redirected(wanted: &RedirectWanted, got: &policy_core::model::http::Location) -> Result<(), String> {
    let port = wanted.port.as_ref().map(|port| match port {
        Value::String(text) => text.parse::<u16>().ok(),
        number => number.as_u64().and_then(|port| u16::try_from(port).ok()),
    });
    let differs =
        |wanted: &Option<String>, got: Option<&str>| wanted.as_deref().is_some_and(|wanted| Some(wanted) != got);
    let wrong = differs(&wanted.scheme, Some(&got.scheme))
        || differs(&wanted.host, got.host.as_deref())
        || differs(&wanted.path, got.path.as_deref())
        || port.is_some_and(|port| port != got.port);
    if wrong { Err(format!("wanted {wanted:?}, got {got:?}")) } else { Ok(()) }
}

fn forwarded(
    cluster: &Cluster,
    asked: &RequestAsked,
    request: &Request,
    rewrite: &Rewrite,
    backend: &Backend,
) -> Result<(), String> {
    let service = match &backend.target {
        BackendTarget::Service { service, .. } | BackendTarget::External { service, .. } => {
            cluster.services.at(*service)
        }
        BackendTarget::Invalid { status, why, .. } => {
            unforwarded(asked)?;
            return has_status(asked, *status).map_err(|problem| format!("{problem}: {why}"));
        }
    };
    let namespace = &cluster.namespaces.at(service.namespace).name;
    let name = format!("{namespace}/{}", service.name);
    if let Some(wanted) = asked.expect.backend.as_ref().filter(|wanted| **wanted != name) {
        return Err(format!("wanted {wanted}, got {name}"));
    }
    has_status(asked, 200)?;
    let Some(wanted) = &asked.expect.forwarded else { return Ok(()) };
    sees(wanted, &backend.rewrite.apply(&rewrite.apply(request)))
}

fn sees(wanted: &ForwardedWanted, seen: &Request) -> Result<(), String> {
    if let Some(path) = &wanted.path {
        let query: Vec<_> = seen.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let whole = if query.is_empty() { seen.path.to_string() } else { format!("{}?{}", seen.path, query.join("&")) };
        if *path != *seen.path && *path != whole {
            return Err(format!("wanted the path {path}, got {whole}"));
        }
    }
    if wanted.host.as_deref().is_some_and(|host| seen.host.as_deref() != Some(host)) {
        return Err(format!("wanted the host {:?}, got {:?}", wanted.host, seen.host));
    }
    for (name, value) in &wanted.headers {
        let got = seen.header(&name.to_ascii_lowercase());
        if got.map(|got| &**got) != Some(value.as_str()) {
            return Err(format!("wanted {name}: {value}, got {got:?}"));
        }
    }
    let there = wanted.absent_headers.iter().find(|name| seen.header(&name.to_ascii_lowercase()).is_some());
    there.map_or(Ok(()), |name| Err(format!("{name} is still there")))
}
