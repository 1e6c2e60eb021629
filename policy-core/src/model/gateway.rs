//! The Gateway API: Gateways, their listeners, the routes that are attached to them, and what becomes of a request
//! (GW-1 … GW-17).

use std::fmt;

use crate::ids::ServiceId;
use crate::model::http::{Action, Check, HostMatch, PathMatch, ProxyPods, RouteOrigin, ValueMatch};
use crate::model::{KnobSet, Name, Protocol};
use crate::source::Span;

crate::id_type!(
    /// A route of a [`GatewayApi`].
    RouteId
);

/// Everything of the Gateway API, with all references resolved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GatewayApi {
    /// Gateways by namespace, name.
    pub gateways: Vec<Gateway>,
    /// Routes from the oldest to the youngest, then by namespace and name (GW-7).
    pub routes: crate::ids::IdVec<RouteId, Route>,
    /// Which routes hold for clients of which Service (GW-15).
    pub mesh_routes: Vec<MeshRoute>,
}

/// A Gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// Its namespace.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
    /// The name of its class.
    pub class: Name,
    /// Whether somebody serves the class (GW-2).
    pub claim: Claim,
    /// Its listeners, then those of its ListenerSets in their order of precedence (GW-17).
    pub listeners: Vec<GatewayListener>,
    /// Where its connections to backends come from (GW-16).
    pub pods: ProxyPods,
    /// Its addresses and host names, as `status` tells them, or `spec` when there is no status.
    pub addresses: Vec<Name>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// Whether a controller serves the class of a Gateway (GW-2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Claim {
    /// The class exists, and nothing says that no controller takes it. The controller's name.
    Claimed(Name),
    /// The class says that its controller does not accept it: nothing is served.
    Refused,
    /// The class is not in the input: the Gateway works if it exists.
    Missing,
}

/// A listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayListener {
    /// Its name.
    pub name: Name,
    /// Namespace and name of the ListenerSet that it belongs to; `None` = to the Gateway itself (GW-17).
    pub listener_set: Option<(Name, Name)>,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: ListenerProtocol,
    /// The hosts, or server names, that it takes (GW-3).
    pub hostname: HostMatch,
    /// What every client must show (GW-13).
    pub checks: Vec<Check>,
    /// Why it is not served, if it is not (GW-2, GW-11, GW-17).
    pub refused: Option<Refusal>,
    /// The routes that are attached to it, in the order of [`GatewayApi::routes`].
    pub routes: Vec<Attachment>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// What a listener speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ListenerProtocol {
    /// HTTP.
    Http,
    /// HTTP over TLS that ends here.
    Https,
    /// Bytes over TLS that ends here (GW-12).
    TlsTerminate,
    /// TLS that ends at the backend (GW-12).
    TlsPassthrough,
    /// Bytes over TCP.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Why a listener is not served.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Refusal {
    /// The rule of `docs/SPEC.md`.
    pub rule: &'static str,
    /// The reason as a status would have it: `HostnameConflict`.
    pub reason: &'static str,
}

/// A route on a listener.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Attachment {
    /// The route.
    pub route: RouteId,
    /// The hosts for which it holds there (GW-5); never empty.
    pub hosts: Vec<HostMatch>,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// What it is.
    pub kind: RouteKind,
    /// Its namespace.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
    /// `creationTimestamp`; one without it is younger than all others (GW-7).
    pub created: Option<Name>,
    /// Its rules.
    pub rules: Vec<GatewayRule>,
    /// What it is meant for, and what became of that.
    pub parents: Vec<RouteParent>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// The kinds of route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RouteKind {
    /// HTTPRoute.
    Http,
    /// GRPCRoute.
    Grpc,
    /// TLSRoute.
    Tls,
    /// TCPRoute.
    Tcp,
    /// UDPRoute.
    Udp,
}

/// One rule of a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayRule {
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// Requests that it takes: any of these; never empty.
    pub matches: Vec<RouteMatch>,
    /// What a request must pass besides (GW-10).
    pub checks: Vec<Check>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// One match of a rule: all parts must hold (GW-6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteMatch {
    /// The path or the gRPC method.
    pub target: MatchTarget,
    /// The HTTP method.
    pub method: Option<Name>,
    /// Headers, names in lower case, sorted, each name once.
    pub headers: Vec<(Name, ValueMatch)>,
    /// Query parameters, sorted, each name once.
    pub query: Vec<(Name, ValueMatch)>,
    /// What becomes of a request.
    pub then: Action,
}

/// What a match says of the path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MatchTarget {
    /// A path of an HTTPRoute.
    Path(PathMatch),
    /// Service and method of a GRPCRoute: the path `/service/method` (GW-8).
    Method {
        /// The service; `None` = any.
        service: Option<ValueMatch>,
        /// The method; `None` = any.
        method: Option<ValueMatch>,
    },
    /// A connection, of which nothing more is seen (GW-12).
    Connection,
}

/// One `parentRef` of a route, and the conditions that its status gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteParent {
    /// `Gateway`, `ListenerSet`, `Service` ….
    pub kind: Name,
    /// The namespace.
    pub namespace: Name,
    /// The name.
    pub name: Name,
    /// `sectionName`.
    pub section: Option<Name>,
    /// `port`.
    pub port: Option<u16>,
    /// The condition `Accepted` (GW-1).
    pub accepted: RouteCondition,
    /// The condition `ResolvedRefs` (GW-9).
    pub resolved: RouteCondition,
    /// Where it is written.
    pub span: Option<Span>,
}

/// A condition of a route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteCondition {
    /// Whether it holds.
    pub status: bool,
    /// Why, as a status has it: `NoMatchingParent`.
    pub reason: &'static str,
}

/// A route that clients of a Service follow in a mesh (GW-15).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeshRoute {
    /// The route.
    pub route: RouteId,
    /// The Service whose clients it concerns.
    pub service: ServiceId,
    /// Its port; `None` = all.
    pub port: Option<u16>,
    /// The namespace whose pods alone follow it; `None` = all clients.
    pub clients: Option<Name>,
}

/// How a client comes to a Gateway.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Entrance {
    /// The port.
    pub port: u16,
    /// The transport.
    pub protocol: Protocol,
    /// Whether the client speaks TLS; its server name is the request's.
    pub tls: bool,
}

/// What becomes of a request at a Gateway: one of these, and nobody defines which when there are several (GW-6,
/// GW-7). None at all: no listener takes the connection, or it is closed.
#[derive(Clone, Debug, Default)]
pub struct GatewayAnswer {
    /// What may become of it, each once, the likeliest first.
    pub possible: Vec<Decision>,
    /// The knobs that would settle it.
    pub knobs: KnobSet,
}

/// One thing that may become of a request.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What it must pass first.
    pub checks: Vec<Check>,
    /// What becomes of it.
    pub then: Action,
    /// The rule of the route that says so; `None` when the Gateway answers by itself.
    pub origin: Option<RouteOrigin>,
    /// The rule of `docs/SPEC.md`.
    pub rule: &'static str,
}

impl ListenerProtocol {
    /// The transport.
    #[must_use]
    pub fn transport(self) -> Protocol {
        if self == Self::Udp { Protocol::Udp } else { Protocol::Tcp }
    }

    /// Whether requests are routed, rather than connections.
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether clients speak TLS to it; a TCP listener hands on whatever comes.
    #[must_use]
    pub fn takes(self, tls: bool) -> bool {
        match self {
            Self::Http | Self::Udp => !tls,
            Self::Https | Self::TlsTerminate | Self::TlsPassthrough => tls,
            Self::Tcp => true,
        }
    }
}

impl RouteKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Http, Self::Grpc, Self::Tls, Self::Tcp, Self::Udp];

    /// The kind as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
            Self::Tls => "TLSRoute",
            Self::Tcp => "TCPRoute",
            Self::Udp => "UDPRoute",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == kind)
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RouteCondition {
    /// `Accepted`.
    pub const ACCEPTED: Self = Self { status: true, reason: "Accepted" };
    /// `ResolvedRefs`.
    pub const RESOLVED: Self = Self { status: true, reason: "ResolvedRefs" };

    /// It does not hold.
    #[must_use]
    pub fn no(reason: &'static str) -> Self {
        Self { status: false, reason }
    }
}

impl Route {
    /// What a rule of this route is called in answers.
    #[must_use]
    pub fn origin(&self, rule: usize) -> RouteOrigin {
        RouteOrigin {
            kind: self.kind.as_str(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            path: Name::from(format!("spec.rules[{rule}]")),
            span: self.rules.get(rule).and_then(|rule| rule.span).or(self.span),
        }
    }
}

impl GatewayAnswer {
    /// Adds what may become of the request, unless the same is there already.
    pub fn push(&mut self, decision: Decision) {
        if !self.possible.iter().any(|known| known.is_like(&decision)) {
            self.possible.push(decision);
        }
    }

    /// Whether both say the same, whatever the order.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let within = |a: &Self, b: &Self| a.possible.iter().all(|one| b.possible.iter().any(|two| one.is_like(two)));
        within(self, other) && within(other, self) && self.knobs == other.knobs
    }
}

impl Decision {
    /// What a Gateway says by itself.
    #[must_use]
    pub fn answer(status: u16, rule: &'static str, why: &str) -> Self {
        Self { checks: Vec::new(), then: Action::Answer { status, why: Name::from(why) }, origin: None, rule }
    }

    /// Whether both do the same with a request.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.checks == other.checks && self.then == other.then
    }
}
