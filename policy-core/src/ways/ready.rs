//! Services by name, and their ready endpoints, as DNS and the API server see them: whatever kube-proxy would do.

use std::net::IpAddr;

use crate::ids::{Id, PodId, ServiceId};
use crate::model::{Cluster, Endpoint, Family, Name, Service};
use crate::ways::Endpoints;

/// The Service of this namespace and name.
pub(super) fn find_service(cluster: &Cluster, namespace: &str, name: &str) -> Option<ServiceId> {
    // Services are sorted; namespaces may have one more at their end, which somebody asked about.
    let (space, _) = cluster.namespaces.iter().find(|(_, space)| *space.name == *namespace)?;
    let key = |service: &Service| (service.namespace, &*service.name) < (space, name);
    let place = cluster.services.values().as_slice().partition_point(key);
    let id = ServiceId::from_index(place);
    cluster.services.get(id).filter(|found| found.namespace == space && *found.name == *name).map(|_| id)
}

/// A ready endpoint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ready {
    /// The family of its address.
    pub(super) family: Family,
    /// Its address, when known.
    pub(super) address: Option<IpAddr>,
    /// The pod that has it.
    pub(super) pod: Option<PodId>,
    /// The pod that it says it is; the one from which it follows, where nobody wrote it.
    pub(super) target: Option<PodId>,
    /// Its name below that of the Service (DNS-2).
    pub(super) hostname: Option<Name>,
}

/// The ready endpoints of a Service, sorted.
pub(super) fn ready(cluster: &Cluster, endpoints: &Endpoints, service: ServiceId) -> Vec<Ready> {
    let members = endpoints.members(service).iter().filter(|member| member.conditions.ready);
    let mut ready: Vec<Ready> = members.map(|member| described(cluster, service, member)).collect();
    ready.sort();
    ready.dedup();
    ready
}

/// The ready endpoints of a Service's port of this name, with its number on each, sorted.
pub(super) fn ready_on(cluster: &Cluster, endpoints: &Endpoints, service: ServiceId, port: &str) -> Vec<(Ready, u16)> {
    let members = endpoints.members(service).iter().filter(|member| member.conditions.ready);
    let on = |member: &Endpoint| {
        let number = match member.given {
            // A port of what is written by hand need not be one of the Service.
            Some((slice, _)) => {
                let ports = &cluster.slices.get(slice as usize)?.ports;
                ports.iter().find(|known| *known.name == *port)?.port
            }
            None => {
                let ports = &cluster.services.at(service).ports;
                member.port(cluster, ports.iter().find(|known| *known.name == *port)?)?
            }
        };
        Some((described(cluster, service, member), number))
    };
    let mut ready: Vec<(Ready, u16)> = members.filter_map(on).collect();
    ready.sort();
    ready.dedup();
    ready
}

fn described(cluster: &Cluster, service: ServiceId, member: &Endpoint) -> Ready {
    let Endpoint { family, address, pod, .. } = *member;
    let (target, hostname) = match member.written(cluster) {
        Some(written) => (written.target, written.hostname.clone()),
        None => {
            let pod = pod.map(|pod| cluster.pods.at(pod));
            let below = pod.filter(|pod| pod.subdomain.as_ref() == Some(&cluster.services.at(service).name));
            (member.pod, below.and_then(|pod| pod.hostname.clone()))
        }
    };
    Ready { family, address, pod, target, hostname }
}
