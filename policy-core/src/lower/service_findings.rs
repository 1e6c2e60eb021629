//! What Services, pods and nodes make of each other: findings that no object shows by itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, NodeId, PodId, ServiceId};
use crate::lower::context::Context;
use crate::lower::namespaces::Namespaces;
use crate::model::{
    Family, LoadBalancerAddress, Name, Node, NodePort, Pod, PodState, Protocol, Service, ServiceKind, Slice, TargetPort,
};
use crate::selection::PodIndex;

/// What there is.
pub(super) struct Things<'a> {
    pub(super) namespaces: &'a Namespaces,
    pub(super) nodes: &'a IdVec<NodeId, Node>,
    pub(super) pods: &'a IdVec<PodId, Pod>,
    pub(super) services: &'a IdVec<ServiceId, Service>,
    pub(super) slices: &'a [Slice],
}

/// Reports what is odd.
pub(super) fn report(things: &Things<'_>, context: &mut Context) {
    things.names_without_a_port(context);
    things.claimed_addresses(context);
    things.names_in_circles(context);
    things.ports_of_nodes(context);
}

impl Things<'_> {
    fn name(&self, service: &Service) -> String {
        let space = self.namespaces.namespaces.get(service.namespace).map_or("", |space| &*space.name);
        format!("{space}/{}", service.name)
    }

    fn pod_name(&self, pod: &Pod) -> String {
        let space = self.namespaces.namespaces.get(pod.namespace).map_or("", |space| &*space.name);
        format!("{space}/{}", pod.name)
    }

    /// SVC-3: a `targetPort` by a name that no selected pod declares leads nowhere.
    fn names_without_a_port(&self, context: &mut Context) {
        let by_name = |service: &&Service| {
            service.selector.is_some() && service.ports.iter().any(|port| matches!(port.target, TargetPort::Name(_)))
        };
        if !self.services.values().any(|service| by_name(&service)) {
            return;
        }
        let selectors = self.services.values().filter(by_name);
        let selectors = selectors.filter_map(|service| Some((service.namespace, service.selector.as_ref()?)));
        let index = PodIndex::new(self.pods, selectors);
        for service in self.services.values().filter(by_name) {
            let Some(selector) = &service.selector else { continue };
            let pods = index.selected(service.namespace, selector);
            if pods.is_empty() {
                continue;
            }
            for port in &service.ports {
                let TargetPort::Name(name) = &port.target else { continue };
                let declares = |id: &PodId| {
                    let ports = self.pods.get(*id).map(|pod| &*pod.ports).unwrap_or_default();
                    ports.iter().any(|of| of.name.as_ref() == Some(name) && of.protocol == port.protocol)
                };
                if pods.iter().any(declares) {
                    continue;
                }
                let message = format!("no pod of this Service declares the {} port `{name}`", port.protocol);
                let help = "the Service port has no endpoint: name the container port so, or write its number";
                context.report(Diagnostic::warning("SVC-3", port.span.or(service.span), message).help(help));
            }
        }
    }

    /// SVC-17: who may create Services may claim any address; SVC-11: a Service behind a Service.
    fn claimed_addresses(&self, context: &mut Context) {
        let claims = self.services.values().any(|service| !service.external_ips.is_empty());
        if !claims && self.slices.is_empty() {
            return;
        }
        let mut services: FxHashMap<IpAddr, (ServiceId, &'static str)> = FxHashMap::default();
        for (id, service) in self.services.iter() {
            for ip in Family::ALL.into_iter().filter_map(|family| service.address(family)) {
                services.entry(ip).or_insert((id, "the cluster IP"));
            }
            for point in service.load_balancer().into_iter().flat_map(|balancer| &balancer.ingress) {
                if let LoadBalancerAddress::Ip(ip) = point.at {
                    services.entry(ip).or_insert((id, "the load balancer address"));
                }
            }
        }
        for endpoint in self.slices.iter().flat_map(|slice| &slice.endpoints) {
            let Some((other, "the cluster IP")) = services.get(&endpoint.address) else { continue };
            let Some(other) = self.services.get(*other) else { continue };
            let message = format!("the endpoint `{}` is the cluster IP of `{}`", endpoint.address, self.name(other));
            let help = "kube-proxy does not lead from one Service to another: write the addresses of the pods";
            context.report(Diagnostic::warning("SVC-11", endpoint.span, message).help(help));
        }
        if !claims {
            return;
        }
        let mut owners: FxHashMap<IpAddr, String> = FxHashMap::default();
        for pod in self.pods.values().filter(|pod| pod.state == PodState::Live && !pod.host_network) {
            for ip in Family::ALL.into_iter().filter_map(|family| pod.address(family)) {
                owners.entry(ip).or_insert_with(|| format!("the address of the pod `{}`", self.pod_name(pod)));
            }
        }
        for node in self.nodes.values() {
            for address in &node.addresses {
                owners.insert(address.ip, format!("an address of the node `{}`", node.name));
            }
        }
        for (id, service) in self.services.iter() {
            for ip in &service.external_ips {
                let of_service = services
                    .get(ip)
                    .filter(|(owner, _)| *owner != id)
                    .and_then(|(owner, what)| Some(format!("{what} of `{}`", self.name(self.services.get(*owner)?))));
                let Some(owner) = of_service.or_else(|| owners.get(ip).cloned()) else { continue };
                let message = format!("the external IP `{ip}` of `{}` is {owner}", self.name(service));
                let help = "every node takes packets to it for this Service's own; make sure that this is meant";
                context.report(Diagnostic::warning("SVC-17", service.span, message).help(help));
            }
        }
    }

    /// SVC-16: names that lead back to themselves, whatever the cluster's domain is.
    fn names_in_circles(&self, context: &mut Context) {
        let names: BTreeMap<(Name, Name), (ServiceId, &Service)> = self
            .services
            .iter()
            .filter(|(_, service)| matches!(service.kind, ServiceKind::ExternalName(_)))
            .filter_map(|(id, service)| {
                let space = self.namespaces.namespaces.get(service.namespace)?;
                Some(((space.name.clone(), service.name.clone()), (id, service)))
            })
            .collect();
        let next = |service: &Service| {
            let ServiceKind::ExternalName(target) = &service.kind else { return None };
            let mut labels = target.split('.');
            let (name, space) = (labels.next()?, labels.next()?);
            let is_here = labels.next() == Some("svc") && labels.next().is_some();
            is_here.then(|| names.get(&(Name::from(space), Name::from(name))).copied()).flatten()
        };
        // Each name is followed once: where a walk meets itself, there is a circle.
        let mut seen: FxHashSet<ServiceId> = FxHashSet::default();
        let mut circular: FxHashSet<ServiceId> = FxHashSet::default();
        for start in names.values() {
            let (mut at, mut walk) = (Some(*start), Vec::new());
            while let Some((id, service)) = at {
                if !seen.insert(id) {
                    circular.extend(walk.iter().skip_while(|on| **on != id));
                    break;
                }
                walk.push(id);
                at = next(service);
            }
        }
        for (_, service) in names.values().filter(|(id, _)| circular.contains(id)) {
            let message = format!("the name of `{}` leads back to itself", self.name(service));
            let help = "nothing answers there: let `externalName` end at a name outside, or at another Service";
            context.report(Diagnostic::warning("SVC-16", service.span, message).help(help));
        }
    }

    /// HP-7: one port of a node for a pod and for a Service.
    fn ports_of_nodes(&self, context: &mut Context) {
        let mut taken: BTreeMap<(Protocol, u16), (&Service, Option<IpAddr>)> = BTreeMap::new();
        let addresses: FxHashSet<IpAddr> =
            self.nodes.values().flat_map(|node| node.addresses.iter().map(|address| address.ip)).collect();
        for service in self.services.values() {
            let on_a_node = service.external_ips.iter().find(|ip| addresses.contains(ip));
            for port in &service.ports {
                if let NodePort::Number(number) = port.node_port {
                    taken.entry((port.protocol, number)).or_insert((service, None));
                }
                if let Some(ip) = on_a_node {
                    taken.entry((port.protocol, port.port)).or_insert((service, Some(*ip)));
                }
            }
        }
        if taken.is_empty() {
            return;
        }
        for pod in self.pods.values().filter(|pod| pod.state != PodState::Finished) {
            for port in pod.host_ports.iter() {
                let Some((service, ip)) = taken.get(&(port.protocol, port.port)) else { continue };
                if ip.is_some_and(|ip| !port.is_at(ip)) {
                    continue;
                }
                let what = if ip.is_some() { "an external IP" } else { "a node port" };
                let message = format!(
                    "host port {}/{} of `{}` is the port of {what} of `{}` too",
                    port.port,
                    port.protocol,
                    self.pod_name(pod),
                    self.name(service)
                );
                let help = "which of the two gets a packet is not defined: use another port";
                context.report(
                    Diagnostic::warning("HP-7", pod.span, message).also(service.span, "the Service").help(help),
                );
            }
        }
    }
}
