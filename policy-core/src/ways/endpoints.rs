//! What stands behind each Service, and which Services stand before each pod.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::ids::{Id, PodId, ServiceId};
use crate::model::delivery::{awaits_address, pod_conditions};
use crate::model::way_profile::EndpointsSource;
use crate::model::{Cluster, Endpoint, Family, PodState, PortRef, Profile};
use crate::selection::PodIndex;

/// The endpoints of all Services.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// By Service; a port's number belongs to the question.
    members: Vec<Vec<Endpoint>>,
    /// The Services before each pod, in order: all in one list, and by pod where its own begin.
    services: Vec<ServiceId>,
    begins: Vec<u32>,
}

impl Endpoints {
    /// Finds them all (SVC-5, SVC-6, SVC-9, SVC-10).
    #[must_use]
    pub fn new(cluster: &Cluster, profile: &Profile) -> Self {
        let mut endpoints = Self { members: vec![Vec::new(); cluster.services.len()], ..Self::default() };
        let computes = profile.ways.endpoints_source == EndpointsSource::Computed;
        if computes && cluster.services.values().any(|service| service.selector.is_some()) {
            endpoints.compute(cluster, profile);
        }
        endpoints.observe(cluster, computes);
        endpoints.turn(cluster.pods.len());
        endpoints
    }

    /// From the pods of Services to the Services of pods.
    fn turn(&mut self, pods: usize) {
        let mut pairs: Vec<(PodId, ServiceId)> = Vec::new();
        for (members, at) in self.members.iter().zip(0..) {
            let service = ServiceId::from_index(at);
            pairs.extend(members.iter().filter_map(|member| Some((member.pod?, service))));
        }
        pairs.sort_unstable();
        pairs.dedup();
        let mut left = pairs.iter().map(|(pod, _)| pod.index()).peekable();
        let mut begin = 0;
        for pod in 0..pods {
            self.begins.push(begin);
            while left.next_if_eq(&pod).is_some() {
                begin += 1;
            }
        }
        self.begins.push(begin);
        self.services = pairs.into_iter().map(|(_, service)| service).collect();
    }

    fn compute(&mut self, cluster: &Cluster, profile: &Profile) {
        let services = cluster.services.values();
        let selectors = services.filter_map(|service| Some((service.namespace, service.selector.as_ref()?)));
        let index = PodIndex::new(&cluster.pods, selectors);
        let nodes_are_written = cluster.nodes.values().any(|node| node.is_written);
        for ((_, service), members) in cluster.services.iter().zip(&mut self.members) {
            let Some(selector) = &service.selector else { continue };
            for id in index.selected(service.namespace, selector) {
                let Some(pod) = cluster.pods.get(id).filter(|pod| pod.state != PodState::Finished) else { continue };
                let node = pod.node.and_then(|node| cluster.nodes.get(node));
                if nodes_are_written && node.is_some_and(|node| !node.is_written) && !service.publish_not_ready {
                    continue;
                }
                let conditions = pod_conditions(pod, service);
                for family in &service.families {
                    let address = pod.address(*family);
                    if address.is_some() || (awaits_address(pod) && profile.pod_families.contains(family)) {
                        let (family, pod, node) = (*family, Some(id), pod.node);
                        members.push(Endpoint { family, address, pod, node, conditions, given: None });
                    }
                }
            }
        }
    }

    fn observe(&mut self, cluster: &Cluster, computes: bool) {
        if cluster.slices.is_empty() {
            return;
        }
        let mut holders: FxHashMap<IpAddr, PodId> = FxHashMap::default();
        for (id, pod) in cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished && !pod.host_network) {
            for address in Family::ALL.into_iter().filter_map(|family| pod.address(family)) {
                holders.entry(address).or_insert(id);
            }
        }
        for (slice, at) in cluster.slices.iter().zip(0_u32..) {
            let selects = cluster.services.get(slice.service).is_some_and(|service| service.selector.is_some());
            let Some(members) = self.members.get_mut(slice.service.index()) else { continue };
            if selects && slice.is_computed && computes {
                continue;
            }
            for (endpoint, place) in slice.endpoints.iter().zip(0_u32..) {
                let named = endpoint.target.filter(|id| {
                    cluster.pods.get(*id).is_some_and(|pod| {
                        let is_at = pod.address(slice.family) == Some(endpoint.address);
                        pod.state != PodState::Finished && (pod.is_unaddressed() || is_at)
                    })
                });
                members.push(Endpoint {
                    family: slice.family,
                    address: Some(endpoint.address),
                    pod: named.or_else(|| holders.get(&endpoint.address).copied()),
                    node: endpoint.node,
                    conditions: endpoint.conditions,
                    given: Some((at, place)),
                });
            }
        }
    }

    /// Everything behind a Service, whichever of its ports it serves: each address once for each place that gives it.
    /// This is what the name of a headless Service stands for, if it is ready (SVC-13).
    #[must_use]
    pub fn members(&self, service: ServiceId) -> &[Endpoint] {
        self.members.get(service.index()).map_or(&[], Vec::as_slice)
    }

    /// The endpoints of one port in one family, ready or not, with their numbers there (SVC-3, SVC-10).
    #[must_use]
    pub fn of(&self, cluster: &Cluster, port: PortRef, family: Family) -> Vec<(Endpoint, u16)> {
        let Some(service_port) = port.of(cluster) else { return Vec::new() };
        let members = self.members(port.service);
        // Pods are there once; a slice may repeat them, or another slice. Pods on one node's network share its address.
        let mut known: FxHashMap<(IpAddr, u16), Vec<usize>> = FxHashMap::default();
        let repeats = members.iter().any(|member| member.given.is_some());
        let mut serving: Vec<(Endpoint, u16)> = Vec::new();
        for member in members.iter().filter(|member| member.family == family) {
            let Some(number) = member.port(cluster, service_port) else { continue };
            let slots = member.address.filter(|_| repeats).map(|address| known.entry((address, number)).or_default());
            let earlier = slots.and_then(|slots| {
                let of = |slot: &usize| serving.get(*slot).and_then(|(earlier, _)| earlier.pod);
                let is_same = |slot: &&usize| of(slot).zip(member.pod).is_none_or(|(one, other)| one == other);
                let found = slots.iter().find(is_same).copied();
                if found.is_none() {
                    slots.push(serving.len());
                }
                serving.get_mut(found?)
            });
            match earlier {
                None => serving.push((*member, number)),
                Some((earlier, _)) if earlier.node.is_none() && member.node.is_some() => *earlier = *member,
                Some(_) => {}
            }
        }
        serving
    }

    /// The Services before a pod, in order.
    #[must_use]
    pub fn services_of(&self, pod: PodId) -> &[ServiceId] {
        let at = |place: usize| self.begins.get(place).map(|begin| *begin as usize);
        let range = at(pod.index()).zip(at(pod.index() + 1));
        range.and_then(|(begin, end)| self.services.get(begin..end)).unwrap_or_default()
    }

    /// The Service ports that lead to a pod, with its number there, in order. One that is not ready is among them.
    #[must_use]
    pub fn ports_of(&self, cluster: &Cluster, pod: PodId) -> Vec<(PortRef, u16)> {
        let mut found = Vec::new();
        for service in self.services_of(pod) {
            let Some(object) = cluster.services.get(*service) else { continue };
            for (port, place) in object.ports.iter().zip(0_u32..) {
                let members = self.members(*service).iter().filter(|member| member.pod == Some(pod));
                let port_ref = PortRef { service: *service, port: place };
                found.extend(members.filter_map(|member| Some((port_ref, member.port(cluster, port)?))));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
