//! Requests that the API server hands on (API-1).

use std::net::IpAddr;

use crate::analysis::Analysis;
use crate::ids::ServiceId;
use crate::model::api_server::{ApiCondition, ApiLeg, ApiSource, ApiWay, Proxied, ProxyUrl};
use crate::model::{
    Access, Family, Finding, Flow, Hop, Leg, Name, Party, Protocol, Proviso, User, Verdict, WayKind, premise,
};
use crate::ways::api_server::ApiServer;
use crate::ways::clients::{Clients, Part};
use crate::ways::ready::find_service;
use crate::ways::route::{Answer, Choice, Question, Reached, Routing, TakenBy, Then, Unserved, better};
use crate::ways::walk::Way;

/// What a URL stands for that a user of the API server asks for (API-1): the API server must be the one who answers it.
///
/// # Errors
/// [`Unserved`] when the URL leads nowhere, or somebody else answers at its host.
pub fn api_url(analysis: &Analysis, question: &Question) -> Result<ProxyUrl, Unserved> {
    let read = ProxyUrl::parse(&question.url.target);
    let url = read.map_err(|error| Unserved { message: error.to_string(), near: Vec::new() })?;
    // Where users sit nobody knows; nobody but they may say what their names stand for.
    let anywhere = Clients::Outside(premise::outside(&analysis.cluster, &analysis.profile));
    let answers = super::route(analysis, &anywhere, question)?;
    if answers.iter().all(|answer| answer.taken_by == TakenBy::ApiServer) {
        return Ok(url);
    }
    let message = format!("`{}` is not the API server: something else of the input answers there", question.url.host);
    Err(Unserved { message, near: Vec::new() })
}

impl Routing<'_> {
    /// Whether a Service is the one of the API server itself.
    pub(super) fn is_api_server(&self, service: ServiceId) -> bool {
        find_service(&self.analysis.cluster, "default", "kubernetes") == Some(service)
    }

    /// Whether an address is that of the Service of the API server.
    pub(super) fn is_api_address(&self, address: IpAddr) -> bool {
        let service = find_service(&self.analysis.cluster, "default", "kubernetes");
        service.is_some_and(|id| self.analysis.cluster.services.at(id).address(Family::of(address)) == Some(address))
    }

    /// What the API server hands on; `None` when the URL is none of those that lead into the cluster.
    pub(super) fn of_api_server(&self, question: &Question) -> Option<Vec<Answer>> {
        let url = ProxyUrl::parse(&question.url.target).ok()?;
        let method = &*question.request.method;
        let analysis = self.analysis;
        let server = ApiServer::new(&analysis.cluster, &analysis.profile, &analysis.ways.endpoints, analysis);
        let (way, rights) = match self.clients {
            Clients::Party(Party::Pod(pod)) => (server.request_by(*pod, method, &question.url.target).ok()?, None),
            _ => {
                // Who asks from elsewhere is whoever has the rights: what is left is the connection.
                let anybody = User::new("anybody", [Name::from("system:masters")]);
                let way = server.proxy(&anybody, method, &url);
                let asked = way.access.iter().map(|(asked, _)| Proviso::Rbac(Name::from(asked.to_string())));
                let rights = Finding { provisos: asked.collect(), ..Finding::of(Verdict::Conditional, "API-2") };
                (way, Some(rights))
            }
        };
        Some(vec![self.of_api_way(question, &url, &way, rights)])
    }

    fn of_api_way(&self, question: &Question, url: &ProxyUrl, way: &ApiWay, rights: Option<Finding>) -> Answer {
        let before = rights.unwrap_or_else(|| before(way));
        let entry = way.entry.as_ref().and_then(leg);
        let ways: Vec<Way> = way.legs.iter().map(|to| self.api_leg(&before, entry.as_ref(), to)).collect();
        let found = ways.iter().flat_map(|way| &way.parts).map(|part| &part.finding).fold(None, better);
        if ways.is_empty() {
            let why = way.why.clone().unwrap_or_else(|| "nothing is there".to_owned());
            let finding = before.and(Finding::of(Verdict::NoListener, way.rule));
            let then = Then::Ends { why: Name::from(why), ways };
            let choice = Choice { rule: None, doubt: None, then, status: None, finding };
            return Answer::of(TakenBy::ApiServer, vec![choice]);
        }
        let finding = found.unwrap_or_else(|| Finding::of(Verdict::NoListener, way.rule));
        let namespace = url.namespace.as_deref().unwrap_or_default();
        let service = match url.kind {
            Proxied::Service => find_service(&self.analysis.cluster, namespace, &url.name),
            Proxied::Pod | Proxied::Node => None,
        };
        let service = service.map(|id| {
            let ports = &self.analysis.cluster.services.at(id).ports;
            let named = ports.iter().find(|port| port.name == url.port || port.port.to_string() == *url.port);
            (id, named.or(ports.first()).map_or(0, |port| port.port))
        });
        let mut request = question.request.clone();
        request.path = url.path.clone();
        let backend = Reached {
            service,
            weight: None,
            mirror: false,
            status: None,
            why: None,
            request: Some(request),
            template: None,
            ways,
            finding: finding.clone(),
        };
        let then = Then::Forward(vec![backend]);
        Answer::of(TakenBy::ApiServer, vec![Choice { rule: None, doubt: None, then, status: None, finding }])
    }

    /// One connection of the API server as a way.
    fn api_leg(&self, before: &Finding, entry: Option<&Leg>, to: &ApiLeg) -> Way {
        let reached = Finding {
            verdict: to.verdict,
            rule: to.rule,
            knobs: to.knobs,
            provisos: to
                .judgement
                .as_ref()
                .map(|judgement| Finding::of_judgement(judgement).provisos)
                .unwrap_or_default(),
            flags: to.flags.clone(),
        };
        let legs = entry.cloned().into_iter().chain(leg(to)).collect();
        let part = Part { clients: self.clients.clone(), finding: before.clone().and(reached), legs };
        let (pods, address) = match to.destination {
            Party::Pod(pod) => (vec![pod], None),
            Party::Address(address) => (Vec::new(), Some(address)),
            Party::Node(_) | Party::Named(_) | Party::Somebody(_) => (Vec::new(), None),
        };
        Way {
            kind: WayKind::ApiProxy,
            protocol: Protocol::Tcp,
            hops: vec![Hop::ApiServer],
            pods,
            address,
            port: to.port,
            parts: vec![part],
            served: None,
        }
    }
}

/// Rights, and the connection to the API server.
fn before(way: &ApiWay) -> Finding {
    let mut before = Finding::allowed("API-2");
    for (asked, access) in &way.access {
        before = before.and(match access {
            Access::Granted(_) => Finding::allowed("API-2"),
            Access::Denied => Finding::of(Verdict::Denied, "API-2"),
            Access::NotInInput(_) => Finding::if_only("API-2", Proviso::Rbac(Name::from(asked.to_string()))),
            Access::IfCalled(_, name) => Finding::if_only("API-2", Proviso::called(name)),
        });
    }
    for condition in &way.conditions {
        if *condition == ApiCondition::HostHeader {
            before = before.and(Finding::if_only("API-9", Proviso::Credential(Name::from("Host header"))));
        }
    }
    match &way.entry {
        Some(entry) => before.and(Finding { knobs: entry.knobs, ..Finding::of(entry.verdict, entry.rule) }),
        None => before,
    }
}

/// The connection, where policies were asked.
fn leg(leg: &ApiLeg) -> Option<Leg> {
    let ApiSource::Party(source) = leg.source else { return None };
    let flow = Flow { source, ..super::to(leg.destination, leg.family, leg.port) };
    leg.judgement.clone().map(|judgement| Leg { flow, judgement })
}
