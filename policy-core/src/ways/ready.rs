//! The ready endpoints of a Service, as DNS and the API server see them: addresses, whatever kube-proxy would do.

use std::net::IpAddr;

use crate::ids::{PodId, ServiceId};
use crate::model::{Cluster, Family, Name, Profile};

/// A ready endpoint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ready {
    /// The family of its address.
    pub(super) family: Family,
    /// Its address, when known.
    pub(super) address: Option<IpAddr>,
    /// The pod that it is known to be.
    pub(super) pod: Option<PodId>,
    /// Its name below that of the Service (DNS-2).
    pub(super) hostname: Option<Name>,
}

/// The ready endpoints of a Service, sorted.
pub(super) fn ready(cluster: &Cluster, profile: &Profile, service: ServiceId) -> Vec<Ready> {
    let _ = profile;
    let slices = cluster.slices.iter().filter(|slice| slice.service == service);
    let endpoints = slices.flat_map(|slice| slice.endpoints.iter().map(move |endpoint| (slice.family, endpoint)));
    let ready = endpoints.filter(|(_, endpoint)| endpoint.conditions.ready).map(|(family, endpoint)| Ready {
        family,
        address: Some(endpoint.address),
        pod: endpoint.target,
        hostname: endpoint.hostname.clone(),
    });
    let mut ready: Vec<Ready> = ready.collect();
    ready.sort();
    ready.dedup();
    ready
}

/// The ready endpoints of a Service's port of this name, with its number on each, sorted.
pub(super) fn ready_on(cluster: &Cluster, profile: &Profile, service: ServiceId, port: &str) -> Vec<(Ready, u16)> {
    let _ = profile;
    let slices = cluster.slices.iter().filter(|slice| slice.service == service);
    let ports = slices.flat_map(|slice| {
        let named = slice.ports.iter().filter(|known| *known.name == *port);
        named.map(move |known| (slice, known.port))
    });
    let ready = ports.flat_map(|(slice, port)| {
        let ready = slice.endpoints.iter().filter(|endpoint| endpoint.conditions.ready);
        ready.map(move |endpoint| {
            let ready = Ready {
                family: slice.family,
                address: Some(endpoint.address),
                pod: endpoint.target,
                hostname: endpoint.hostname.clone(),
            };
            (ready, port)
        })
    });
    let mut ready: Vec<(Ready, u16)> = ready.collect();
    ready.sort();
    ready.dedup();
    ready
}
