//! One request: who takes it, which rule, where it goes, and what becomes of it for a client (ING-5 … ING-8,
//! GW-4 … GW-10, API-1).
//!
//! Nothing is decided here: hosts are found in DNS, among load balancers and in the rules of proxies, rules by
//! [`Router::route`](crate::model::http::Router::route), and connections are judged by the [`Walk`].

mod api;
mod asking;
mod passed;
mod proxies;
#[cfg(test)]
mod tests;
mod url;

use std::net::IpAddr;

use crate::analysis::Analysis;
use crate::ids::{PodId, ProxyId, ServiceId};
use crate::model::http::{Location, Request, RouteRule};
use crate::model::{Exposure, Finding, LoadBalancerAddress, Name, Party, Protocol, ServiceKind, Verdict, WayKind};
use crate::ways::clients::{Clients, overall};
use crate::ways::dns::{self, Resolution};
use crate::ways::entry::{self, At};
use crate::ways::forward::connection;
use crate::ways::walk::{Walk, Way};
use crate::ways::{dial, proxied};

pub use asking::{Asker, askers, route_all, together};
pub use passed::{Passed, Why};
pub use url::{BadRequest, Question, Url};

/// A client that is sent on more often than this is given up.
const MOST_REDIRECTS: usize = 5;

/// What becomes of a request at whoever takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Who takes it.
    pub taken_by: TakenBy,
    /// What may become of it, the likeliest first; several when nobody defines which (ING-12, GW-6, GW-7).
    pub choices: Vec<Choice>,
    /// What becomes of it for the client.
    pub finding: Finding,
    /// Rules for the same host that do not decide, the nearest first.
    pub passed: Vec<Passed>,
}

/// Who takes a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TakenBy {
    /// A proxy.
    Proxy {
        /// Which.
        proxy: ProxyId,
        /// Its port.
        port: u16,
        /// The listener that takes the connection, if one does.
        listener: Option<Name>,
    },
    /// The pods themselves: what is dialled leads to no proxy.
    Pods,
    /// The API server.
    ApiServer,
    /// Nobody.
    Nobody,
}

/// One thing that may become of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The rule of a proxy; `None` = no rule takes it, or there is no proxy.
    pub rule: Option<RouteRule>,
    /// Why nobody can tell whether this is what becomes of it, in words; `None` = it is.
    pub doubt: Option<String>,
    /// What becomes of it.
    pub then: Then,
    /// The HTTP status with which a proxy answers by itself; `None` where a backend answers or nobody does.
    pub status: Option<u16>,
    /// What becomes of the client.
    pub finding: Finding,
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Then {
    /// It goes to backends.
    Forward(Vec<Reached>),
    /// The client is sent elsewhere.
    Redirect {
        /// Where; with the query, if that goes along.
        location: Location,
        /// The query that goes along; empty = none.
        query: Name,
        /// What becomes of it there; empty when it leads out of the input.
        next: Vec<Answer>,
        /// The ways to whoever says so.
        ways: Vec<Way>,
    },
    /// Somebody answers, or nobody does: why, in words.
    Ends {
        /// Why.
        why: Name,
        /// The ways to whoever says so.
        ways: Vec<Way>,
    },
    /// Nobody defines it (ING-11): why, in words.
    Undefined(Name),
}

/// A backend of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// The Service and the port of it; `None` = there is none, or no Service is in between.
    pub service: Option<(ServiceId, u16)>,
    /// Its weight among the backends; `None` where nothing is weighed.
    pub weight: Option<u32>,
    /// Whether it gets a copy only (GW-10).
    pub mirror: bool,
    /// The status that stands in for it: 500, 503 (GW-9, ING-3).
    pub status: Option<u16>,
    /// Why it is not reached, in words, where that is not a matter of policies.
    pub why: Option<Name>,
    /// The request as it arrives there, where it is changed on the way.
    pub request: Option<Request>,
    /// The controller's own template for the path, which is not evaluated (ING-19).
    pub template: Option<Name>,
    /// The ways that lead there, and who may take them.
    pub ways: Vec<Way>,
    /// What becomes of the client.
    pub finding: Finding,
}

impl Reached {
    /// The pods behind it, sorted.
    #[must_use]
    pub fn pods(&self) -> Vec<PodId> {
        let mut pods: Vec<PodId> = self.ways.iter().flat_map(|way| way.pods.iter().copied()).collect();
        pods.sort_unstable();
        pods.dedup();
        pods
    }

    /// The addresses behind it that are no pods', sorted.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> =
            self.ways.iter().filter(|way| way.pods.is_empty()).filter_map(|way| way.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

impl Answer {
    fn of(taken_by: TakenBy, choices: Vec<Choice>) -> Self {
        let finding = choices.iter().map(|choice| choice.finding.clone()).reduce(Finding::or);
        let finding = finding.unwrap_or_else(|| Finding::of(Verdict::NoListener, "M-4"));
        Self { taken_by, choices, finding, passed: Vec::new() }
    }

    /// Nobody answers.
    fn nothing(taken_by: TakenBy, rule: &'static str, why: impl Into<Name>, ways: Vec<Way>) -> Self {
        let finding = ways.iter().filter_map(|way| overall(&way.parts)).fold(None, better);
        let nobody = Finding::of(Verdict::NoListener, rule);
        let finding = finding.map_or(nobody.clone(), |finding| finding.and(nobody));
        let then = Then::Ends { why: why.into(), ways };
        Self::of(taken_by, vec![Choice { rule: None, doubt: None, then, status: None, finding }])
    }
}

/// The better of two findings (M-6).
fn better(known: Option<Finding>, other: &Finding) -> Option<Finding> {
    Some(match known {
        Some(known) => known.or(other.clone()),
        None => other.clone(),
    })
}

/// Why there is no answer: nothing in the input takes requests for the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unserved {
    /// What is wrong.
    pub message: String,
    /// Hosts that could have been meant.
    pub near: Vec<String>,
}

/// What becomes of a request of a client: one answer for everybody who may take it.
///
/// # Errors
/// [`Unserved`] when nothing in the input takes requests for its host.
pub fn route(analysis: &Analysis, clients: &Clients, question: &Question) -> Result<Vec<Answer>, Unserved> {
    let walk = Walk::new(analysis, &analysis.ways.endpoints);
    Routing { analysis, clients, walk, redirects: 0 }.ask(question)
}

/// The best of some answers (M-6).
#[must_use]
pub fn best(answers: &[Answer]) -> Option<&Answer> {
    let mut best: Option<&Answer> = None;
    for answer in answers {
        if best.is_none_or(|known| answer.finding.merit() > known.finding.merit()) {
            best = Some(answer);
        }
    }
    best
}

/// Follows the requests of one client.
struct Routing<'a> {
    analysis: &'a Analysis,
    clients: &'a Clients,
    walk: Walk<'a>,
    redirects: usize,
}

impl Routing<'_> {
    fn ask(&mut self, question: &Question) -> Result<Vec<Answer>, Unserved> {
        let is_outside = matches!(self.clients, Clients::Outside(_) | Clients::Party(Party::Address(_)));
        if let Some(answers) = self.of_balancers(question) {
            return Ok(answers);
        }
        if let Some(address) = question.url.address() {
            return self.of_address(question, address);
        }
        // Nobody outside asks the cluster's DNS for a name that is not wholly one of its own.
        let inside = dns::is_inside(&self.analysis.profile, &question.url.host);
        if is_outside
            && !inside
            && let Some(answers) = self.of_public(question)
        {
            return Ok(answers);
        }
        let client = match self.clients {
            Clients::Party(Party::Pod(pod)) => Some(*pod),
            _ => None,
        };
        let (cluster, profile) = (&self.analysis.cluster, &self.analysis.profile);
        let found = dns::resolve(cluster, profile, self.walk.endpoints, client, &question.url.host);
        match found.resolution {
            Resolution::ClusterIp(service) => {
                if self.is_api_server(service)
                    && let Some(answers) = self.of_api_server(question)
                {
                    return Ok(answers);
                }
                let port = Some((Protocol::Tcp, question.url.port));
                let ways = dial::to_service(&mut self.walk, self.clients, service, port);
                Ok(self.arrived(question, ways))
            }
            Resolution::ApiServer => match self.of_api_server(question) {
                Some(answers) => Ok(answers),
                None => Err(not_of_the_api_server()),
            },
            Resolution::Addresses(named) => {
                let ways = named.iter().filter_map(|named| self.at_endpoint(question, named)).collect();
                Ok(self.arrived(question, ways))
            }
            Resolution::External(name) => {
                // What an ExternalName leads to is dialled; the request still asks for what was written (DNS-4).
                let mut dialled = question.clone();
                dialled.url.host = name;
                let answers = self.of_balancers(&dialled).or_else(|| self.of_public(question));
                let answers = answers.or_else(|| self.of_public(&dialled)).or_else(|| self.of_api_server(question));
                answers.ok_or_else(|| {
                    let (written, name) = (&question.url.host, &dialled.url.host);
                    self.unserved(
                        question,
                        match written == name {
                            true => format!("no Ingress and no Gateway of the input serves `{written}`"),
                            false => format!("`{written}` stands for `{name}`, which nothing of the input serves"),
                        },
                    )
                })
            }
            Resolution::NxDomain { why, .. } => {
                let answers = self.of_public(question).or_else(|| self.of_api_server(question));
                answers.ok_or_else(|| self.unserved(question, format!("`{}` is nobody: {why}", question.url.host)))
            }
        }
    }

    fn unserved(&self, question: &Question, message: String) -> Unserved {
        let hosts = self.hosts();
        let near = crate::near::near(&question.url.host, hosts.iter().map(|host| &**host), 3);
        let near: Vec<String> = if near.is_empty() {
            hosts.iter().take(3).map(Name::to_string).collect()
        } else {
            near.into_iter().map(str::to_owned).collect()
        };
        Unserved { message, near }
    }

    /// A name or address that the status of load balancers and Gateways tells (SVC-21, GW-16).
    fn of_balancers(&mut self, question: &Question) -> Option<Vec<Answer>> {
        let host = &*question.url.host;
        let analysis = self.analysis;
        let is_host = |at: &Name| at.eq_ignore_ascii_case(host);
        let mut answers = Vec::new();
        if question.url.address().is_none() {
            let mut ways = Vec::new();
            let mut known = false;
            for (id, service) in analysis.cluster.services.iter() {
                let ServiceKind::Cluster { exposure: Exposure::LoadBalancer(balancer), .. } = &service.kind else {
                    continue;
                };
                let named = |at: &LoadBalancerAddress| matches!(at, LoadBalancerAddress::Hostname(at) if is_host(at));
                if !balancer.ingress.iter().any(|ingress| named(&ingress.at)) {
                    continue;
                }
                known = true;
                for entry in entry::of_service(analysis, id) {
                    let dialled =
                        matches!(&entry.at, At::Balancer(Some(at), port) if is_host(at) && *port == question.url.port);
                    if dialled && entry.protocol == Protocol::Tcp {
                        ways.extend(self.walk.enter(self.clients, &entry));
                    }
                }
            }
            if known {
                answers.extend(self.arrived(question, ways));
            }
        }
        if answers.is_empty() && !self.is_dialled(question) {
            let first = analysis.ways.proxies.len().saturating_sub(analysis.ways.gateways.proxies.len());
            for (at, gateway) in analysis.cluster.gateway_api.gateways.iter().enumerate() {
                if gateway.addresses.iter().any(is_host) {
                    answers.extend(self.at_proxy(question, first + at));
                }
            }
            // Load balancers that no pod runs are known by the status of their Ingresses (ING-16, ING-20).
            answers.extend(self.of_ingress_addresses(question));
        }
        (!answers.is_empty()).then_some(answers)
    }

    /// Whether a URL has an address at which something other than a proxy without pods is.
    fn is_dialled(&self, question: &Question) -> bool {
        let Some(address) = question.url.address() else { return false };
        !dial::entries_at(self.analysis, address, question.url.port, Protocol::Tcp).is_empty()
    }

    fn of_address(&mut self, question: &Question, address: IpAddr) -> Result<Vec<Answer>, Unserved> {
        let at = (address, question.url.port, Protocol::Tcp);
        let profile = &self.analysis.profile.ways;
        if profile.apiserver_addresses.contains(&address) || self.is_api_address(address) {
            if let Some(answers) = self.of_api_server(question) {
                return Ok(answers);
            }
            if profile.apiserver_addresses.contains(&address) {
                return Err(not_of_the_api_server());
            }
        }
        match dial::to_address(&mut self.walk, self.clients, at) {
            Some(ways) => Ok(self.arrived(question, ways)),
            None => self.of_api_server(question).ok_or_else(|| Unserved {
                message: match self
                    .analysis
                    .cluster
                    .nodes
                    .values()
                    .any(|node| node.addresses.iter().any(|known| known.ip == address))
                {
                    true => format!("nothing of the input listens on port {} of this node", question.url.port),
                    false => format!("nothing in the input has the address {address}"),
                },
                near: Vec::new(),
            }),
        }
    }

    /// A ready endpoint that DNS gives by itself (DNS-2): the client dials it.
    fn at_endpoint(&mut self, question: &Question, named: &dns::Named) -> Option<Way> {
        let target = named.pod.map(Party::Pod).or(named.address.map(Party::Address))?;
        let port = question.url.port;
        let hops = match named.address {
            Some(at) => vec![crate::model::Hop::Address { at, port }],
            None => vec![crate::model::Hop::Pod { pod: named.pod?, port }],
        };
        Some(Way {
            kind: WayKind::Headless,
            protocol: Protocol::Tcp,
            hops,
            pods: named.pod.into_iter().collect(),
            address: named.address.filter(|_| named.pod.is_none()),
            port,
            parts: self.walk.directly(self.clients, target, named.family, Protocol::Tcp, port),
            served: None,
        })
    }

    /// What becomes of a request that has come by these ways: proxies among the pods route it, others answer it.
    fn arrived(&mut self, question: &Question, ways: Vec<Way>) -> Vec<Answer> {
        let mut arrivals: Vec<(proxies::AtPort, Vec<proxied::Arrival>)> = Vec::new();
        let mut plain = Vec::new();
        for way in ways {
            let found = self.proxies_behind(question, &way);
            if found.is_empty() {
                plain.push(way);
                continue;
            }
            for at in found {
                let arrival = self.arrival(at, &way);
                match arrivals.iter_mut().find(|(known, _)| *known == at) {
                    Some((_, known)) => known.push(arrival),
                    None => arrivals.push((at, vec![arrival])),
                }
            }
        }
        let mut answers: Vec<Answer> =
            arrivals.into_iter().map(|(at, arrivals)| self.routed(question, at, &arrivals)).collect();
        if !plain.is_empty() {
            answers.push(direct(plain));
        }
        answers
    }
}

/// What pods behind an address answer by themselves.
fn direct(ways: Vec<Way>) -> Answer {
    let finding = ways.iter().filter_map(|way| overall(&way.parts)).fold(None, better);
    let finding = finding.unwrap_or_else(|| Finding::of(Verdict::NoListener, "KP-4"));
    if ways.iter().all(|way| way.pods.is_empty() && way.address.is_none()) {
        return Answer::nothing(TakenBy::Nobody, finding.rule, "nothing answers there", ways);
    }
    let service = ways.iter().find_map(|way| proxies::service_of(&way.hops));
    let backend = Reached {
        service,
        weight: None,
        mirror: false,
        status: None,
        why: None,
        request: None,
        template: None,
        ways,
        finding: finding.clone(),
    };
    let then = Then::Forward(vec![backend]);
    Answer::of(TakenBy::Pods, vec![Choice { rule: None, doubt: None, then, status: None, finding }])
}

fn not_of_the_api_server() -> Unserved {
    let message = "the API server answers this itself; only /api/v1/namespaces/NAMESPACE/services/NAME/proxy/… and the \
                   same with pods lead to pods";
    Unserved { message: message.to_owned(), near: Vec::new() }
}

/// A connection to a place, before somebody opens it.
fn to(target: Party, family: crate::model::Family, port: u16) -> crate::model::Flow {
    connection(target, family, Protocol::Tcp, port, None, None)
}
