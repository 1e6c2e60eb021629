//! The ways into pods, made fast: endpoints by index, captures by hash.
//!
//! [`Ways`] is to [`spec`](crate::spec) what the compiled tables are for policies: it must agree with it on every
//! packet. Beside it stand the ways that have no compiled form: [`api_server`], and the names of [`dns`].

pub mod api_access;
mod api_asked;
mod api_exposure;
pub mod api_rights;
pub mod api_server;
pub mod api_users;
pub mod clients;
pub mod dial;
mod disputed;
pub mod dns;
pub mod endpoints;
pub mod entry;
pub mod exposure;
pub(crate) mod forward;
pub mod gateway;
mod guard;
pub mod host_ports;
pub mod ingress;
mod inside;
pub mod kube_proxy;
pub mod kubectl_proxy;
mod nodes;
pub mod proxied;
mod proxied_names;
mod ready;
pub mod requests;
pub mod route;
mod to_pod;
pub mod walk;

use crate::model::http::Proxy;
use crate::model::ingress::Claims;
use crate::model::{Cluster, Decision, Deliver, NodeView, Packet, Profile};

pub use endpoints::Endpoints;
pub use gateway::Gateways;
pub use host_ports::HostPorts;
pub use ingress::LeftOut;
pub use kube_proxy::KubeProxy;

/// The indices of one cluster under one profile.
#[derive(Clone, Debug)]
pub struct Ways {
    /// What stands behind Services.
    pub endpoints: Endpoints,
    /// What kube-proxy takes for Services.
    pub kube_proxy: KubeProxy,
    /// The ports of pods on nodes.
    pub host_ports: HostPorts,
    /// Ingress controllers and Gateways; a [`ProxyId`](crate::ids::ProxyId) is a position here.
    pub proxies: Vec<Proxy>,
    /// Gateways once more, by themselves: they end the list of proxies.
    pub gateways: Gateways,
    /// Which controllers serve which Ingresses, and what nobody serves.
    pub claims: Claims,
    /// Ingresses and paths that a controller passes over.
    pub left_out: Vec<LeftOut>,
}

impl Ways {
    /// Builds the indices: linear in pods, Services and slices.
    #[must_use]
    pub fn new(cluster: &Cluster, profile: &Profile) -> Self {
        let ingress::IngressRoutes { proxies, claims, left_out } = ingress::routes(cluster, &profile.ways);
        let gateways = Gateways::new(cluster, &profile.ways);
        let proxies = proxies.into_iter().map(|(_, proxy)| proxy).chain(gateways.proxies.iter().cloned());
        Self {
            endpoints: Endpoints::new(cluster, profile),
            kube_proxy: KubeProxy::new(cluster),
            host_ports: HostPorts::new(cluster),
            proxies: proxies.collect(),
            gateways,
            claims,
            left_out,
        }
    }

    /// The indices with the cluster and the profile for which they were built.
    #[must_use]
    pub fn on<'a>(&'a self, cluster: &'a Cluster, profile: &'a Profile) -> OnNodes<'a> {
        OnNodes { ways: self, cluster, profile }
    }
}

/// What the nodes of a cluster do with packets.
#[derive(Clone, Copy, Debug)]
pub struct OnNodes<'a> {
    ways: &'a Ways,
    cluster: &'a Cluster,
    profile: &'a Profile,
}

impl Deliver for OnNodes<'_> {
    fn kube_proxy(&self, packet: &Packet, at: &NodeView) -> Decision {
        self.ways.kube_proxy.deliver(&self.ways.endpoints, (self.cluster, self.profile), packet, at)
    }

    fn host_ports(&self, packet: &Packet, at: &NodeView) -> Decision {
        self.ways.host_ports.deliver((self.cluster, self.profile), packet, at)
    }
}
