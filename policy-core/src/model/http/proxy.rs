//! Proxies: Ingress controllers and the data planes of Gateways.

use ipnet::IpNet;

use crate::ids::PodId;
use crate::model::http::{HostMatch, Router};
use crate::model::{Name, Protocol};
use crate::source::Span;

/// Something that ends connections and opens new ones to backends (M-6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proxy {
    /// What it is.
    pub kind: ProxyKind,
    /// Its namespace; empty for a controller that is known by its class alone.
    pub namespace: Name,
    /// The Gateway's name, or the class that the controller serves.
    pub name: Name,
    /// Where its connections to backends come from (ING-13, GW-16).
    pub pods: ProxyPods,
    /// Where it listens.
    pub ports: Vec<ProxyPort>,
    /// Where the Gateway or the class is written.
    pub span: Option<Span>,
}

/// The kinds of proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProxyKind {
    /// An Ingress controller (W-ING).
    Ingress,
    /// A Gateway's data plane (W-GW).
    Gateway,
}

/// Where a proxy's connections come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProxyPods {
    /// These pods; any of them serves (ING-28).
    Pods(Vec<PodId>),
    /// Addresses outside the cluster: a load balancer that no pod runs (ING-20, ING-26).
    Outside(Vec<IpNet>),
    /// It runs outside, and its addresses are not known.
    OutsideUnknown,
    /// Not in the input: what is missing, in words (ING-16).
    Missing(Name),
}

/// One port of a proxy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyPort {
    /// The port on which clients reach the proxy's own Service, host port or address.
    pub port: u16,
    /// The transport.
    pub protocol: Protocol,
    /// What is served there. Of several that take a connection, the first one does.
    pub listeners: Vec<Listener>,
}

/// One listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Its name, for people.
    pub name: Name,
    /// The server names that it takes, of connections with TLS; `None` = connections without TLS.
    pub tls: Option<HostMatch>,
    /// What it makes of a connection.
    pub app: App,
    /// Where connections or requests go.
    pub router: Router,
}

/// What a listener makes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum App {
    /// HTTP: requests are routed.
    Http,
    /// Bytes: the whole connection is routed, by its server name at most (ING-19, GW-12).
    Opaque,
}
