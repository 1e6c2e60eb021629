//! A proxy's rules as one decision list: the first that takes a request decides.

use ipnet::IpNet;

use crate::ids::ServiceId;
use crate::model::Name;
use crate::model::http::{HostMatch, PathMatch, Request, ValueMatch};
use crate::source::Span;

/// The rules of a listener, in order of precedence: ranks never fall. No rule takes a request: 404 (ING-7, GW-7).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Router {
    /// The rules.
    pub rules: Vec<RouteRule>,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteRule {
    /// Of two rules with the same rank and different lanes nobody defines which comes first (ING-12, GW-7).
    pub rank: u32,
    /// Rules with the same rank and the same lane come in their order.
    pub lane: u32,
    /// Which requests it takes.
    pub when: RequestMatch,
    /// What a request must pass besides; in order.
    pub checks: Vec<Check>,
    /// What becomes of a request.
    pub then: Action,
    /// What wrote it.
    pub origin: RouteOrigin,
    /// The rule of `docs/SPEC.md` that gives it its place and meaning.
    pub rule: &'static str,
}

/// The object and the part of it that a rule comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteOrigin {
    /// `Ingress`, `HTTPRoute` … or what the proxy does by itself: `Listener`, `Controller`.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: Name,
    /// The name.
    pub name: Name,
    /// The path inside the object: `spec.rules[0].http.paths[1]`.
    pub path: Name,
    /// Where it is written.
    pub span: Option<Span>,
}

/// Which requests a rule takes: all parts must hold.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestMatch {
    /// The host; for connections that are not decrypted, the server name.
    pub host: HostMatch,
    /// The path.
    pub path: PathMatch,
    /// One of these methods, sorted; empty = any.
    pub methods: Vec<Name>,
    /// Headers, names in lower case, sorted, each name once.
    pub headers: Vec<(Name, ValueMatch)>,
    /// Query parameters, sorted, each name once.
    pub query: Vec<(Name, ValueMatch)>,
}

/// What a request must pass at the proxy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Check {
    /// The client's address as the proxy sees it (ING-19, ING-24).
    Source {
        /// It must be in one of these; empty = anybody.
        allow: Vec<IpNet>,
        /// It must be in none of these.
        deny: Vec<IpNet>,
    },
    /// Something that the client must show and the input cannot know: `auth`, `client certificate` (ING-19, GW-13).
    Credential(Name),
    /// It passes with either of these (`satisfy: any`, ING-19).
    AnyOf(Vec<Check>),
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// It goes to one of these backends, by weight, and to all mirrors.
    Forward {
        /// Where it goes; none of weight 0 is used.
        backends: Vec<Backend>,
        /// Who gets a copy (GW-10).
        mirrors: Vec<Backend>,
        /// What the backend sees (GW-10, ING-19).
        rewrite: Rewrite,
    },
    /// The proxy sends the client elsewhere.
    Redirect(Redirect),
    /// The proxy answers by itself.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Why, in words.
        why: Name,
    },
    /// Nobody defines it: why, in words (ING-11).
    Undefined(Name),
}

/// One backend of a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Backend {
    /// Who.
    pub target: BackendTarget,
    /// Its share (GW-9).
    pub weight: u32,
    /// What it alone sees, on top of what the rule rewrites (GW-10).
    pub rewrite: Rewrite,
}

/// Who a backend is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BackendTarget {
    /// A port of a Service.
    Service {
        /// The Service.
        service: ServiceId,
        /// The position of its port in [`Service::ports`](crate::model::Service::ports).
        port: u32,
        /// How the proxy dials it (ING-14).
        dial: Dial,
    },
    /// Whoever the name of an ExternalName Service stands for (ING-15, GW-14).
    External {
        /// The Service.
        service: ServiceId,
        /// The port at that name.
        port: u16,
    },
    /// Nobody: its share is answered with this status (GW-9, ING-3).
    Invalid {
        /// The HTTP status.
        status: u16,
        /// The rule of `docs/SPEC.md`.
        rule: &'static str,
        /// Why, in words.
        why: Name,
    },
}

/// How a proxy dials a Service (ING-14).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dial {
    /// The endpoints themselves.
    Endpoints,
    /// The Service's address.
    ClusterIp,
    /// The node port.
    NodePort,
}

/// What a proxy changes before it forwards (GW-10).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Rewrite {
    /// The new host.
    pub host: Option<Name>,
    /// The new path.
    pub path: Option<PathRewrite>,
    /// Headers that are set, names in lower case.
    pub set_headers: Vec<(Name, Name)>,
    /// Headers that get one more value, names in lower case.
    pub add_headers: Vec<(Name, Name)>,
    /// Headers that are taken away, names in lower case.
    pub remove_headers: Vec<Name>,
}

/// A new path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PathRewrite {
    /// This one.
    Full(Name),
    /// This prefix in place of the one that matched (GW-10).
    Prefix {
        /// What matched.
        matched: Name,
        /// What stands there now.
        replacement: Name,
    },
    /// The controller's own template, which is not evaluated: `/$2` (ING-19).
    Template(Name),
}

/// Where a client is sent (GW-10). What is `None` stays as it was.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Redirect {
    /// The scheme.
    pub scheme: Option<Name>,
    /// The host.
    pub host: Option<Name>,
    /// The port.
    pub port: Option<u16>,
    /// The path.
    pub path: Option<PathRewrite>,
    /// The HTTP status.
    pub status: u16,
}

/// What a router does with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Routed<'a> {
    /// This rule takes it.
    Rule(&'a RouteRule),
    /// One of these takes it, and nobody defines which; they differ.
    OneOf(Vec<&'a RouteRule>),
    /// This one would, if its regular expression matches; nobody can tell. Otherwise the next answer holds.
    Perhaps(&'a RouteRule, Box<Routed<'a>>),
    /// No rule takes it.
    Nothing,
}

impl RequestMatch {
    /// Every request.
    #[must_use]
    pub fn everything() -> Self {
        Self { host: HostMatch::Any, path: PathMatch::Any, methods: Vec::new(), headers: Vec::new(), query: Vec::new() }
    }

    /// Whether it takes a request, `host` being the one that counts; `None` when nobody can tell.
    #[must_use]
    pub fn matches(&self, host: Option<&str>, request: &Request) -> Option<bool> {
        let method = self.methods.is_empty() || self.methods.contains(&request.method);
        let value = |found: Option<&'_ Name>, wanted: &ValueMatch| wanted.matches(found.map(|value| &**value));
        let parts = [Some(method), self.host.matches(host), self.path.matches(&request.path)].into_iter();
        let headers = self.headers.iter().map(|(name, wanted)| value(request.header(name), wanted));
        let query = self.query.iter().map(|(name, wanted)| value(request.parameter(name), wanted));
        let mut all = Some(true);
        for part in parts.chain(headers).chain(query) {
            match part {
                Some(true) => {}
                Some(false) => return Some(false),
                None => all = None,
            }
        }
        all
    }
}

impl Router {
    /// Finds the rule for a request: the slow, obvious way. `host` is the one that counts: the request's own, or the
    /// server name where nothing is decrypted.
    #[must_use]
    pub fn route(&self, host: Option<&str>, request: &Request) -> Routed<'_> {
        let mut perhaps = Vec::new();
        let mut found = Routed::Nothing;
        for rank in self.rules.chunk_by(|a, b| a.rank == b.rank) {
            let (mut candidates, mut certain) = (Vec::new(), Vec::new());
            let mut lanes: Vec<u32> = Vec::new();
            for rule in rank {
                if lanes.contains(&rule.lane) {
                    continue;
                }
                match rule.when.matches(host, request) {
                    Some(false) => {}
                    None => candidates.push(rule),
                    Some(true) => {
                        lanes.push(rule.lane);
                        certain.push(rule);
                        candidates.push(rule);
                    }
                }
            }
            let Some(first) = certain.first().copied() else {
                perhaps.extend(candidates);
                continue;
            };
            let is_alike = |rule: &&RouteRule| rule.then == first.then && rule.checks == first.checks;
            found = if candidates.iter().all(is_alike) { Routed::Rule(first) } else { Routed::OneOf(candidates) };
            break;
        }
        perhaps.into_iter().rev().fold(found, |next, rule| Routed::Perhaps(rule, Box::new(next)))
    }
}
