//! From a proxy to whoever the name of an ExternalName Service stands for (ING-15, SVC-16).

use crate::ids::ServiceId;
use crate::model::http::{Backend, BackendTarget, Dial, Proxy};
use crate::model::{Domains, Family, Finding, Hop, Party, Protocol, ServiceKind, Verdict};
use crate::ways::clients::{Part, best};
use crate::ways::dns::{self, Resolution};
use crate::ways::forward::connection;
use crate::ways::proxied::{Arrival, Ending};
use crate::ways::walk::Walk;

impl Walk<'_> {
    /// The name is asked of DNS. It may stand for pods of any namespace, and the proxy's own policies have a say.
    pub(super) fn reach_named(
        &mut self,
        arrival: &Arrival,
        parts: &[Part],
        proxy: &Proxy,
        backend: &Backend,
        (service, port): (ServiceId, u16),
    ) -> Vec<(Vec<Hop>, Ending)> {
        let (cluster, profile) = (&self.analysis.cluster, &self.analysis.profile);
        let hop = Hop::Service { service, at: None, port };
        let stopped = |hops: &[Hop], rule: &'static str| {
            let nobody = Finding::of(Verdict::NoListener, rule);
            let parts = parts.iter().map(|part| part.clone().and(nobody.clone())).collect();
            vec![(hops.to_vec(), Ending::nowhere(parts))]
        };
        let name = match cluster.services.get(service).map(|service| &service.kind) {
            Some(ServiceKind::ExternalName(name)) => format!("{}.", name.trim_end_matches('.')),
            _ => return stopped(&[hop], "SVC-16"),
        };
        let resolved = dns::resolve(cluster, profile, self.endpoints, arrival.pod, &name);
        // W-EXTNAME: the names on the way there.
        let further = resolved.through.into_iter().filter(|id| *id != service);
        let further = further.map(|service| Hop::Service { service, at: None, port });
        let hops: Vec<Hop> = std::iter::once(hop).chain(further).collect();
        match resolved.resolution {
            Resolution::ClusterIp(target) => {
                let ports = &cluster.services.at(target).ports;
                let place = ports.iter().position(|of| (of.protocol, of.port) == (Protocol::Tcp, port));
                let Some(place) = place.and_then(|place| u32::try_from(place).ok()) else {
                    return stopped(&hops, "SVC-7");
                };
                let target = BackendTarget::Service { service: target, port: place, dial: Dial::ClusterIp };
                let reached = self.reach_backend(arrival, parts, proxy, &Backend { target, ..backend.clone() });
                reached.into_iter().map(|(more, end)| ([hops.clone(), more].concat(), end)).collect()
            }
            Resolution::Addresses(named) => {
                let mut reached = Vec::new();
                for one in named {
                    let Some(target) = one.pod.map(Party::Pod).or(one.address.map(Party::Address)) else { continue };
                    let parts = self.dial(arrival, parts, proxy, target, &[one.family], port);
                    let address = one.address.filter(|_| one.pod.is_none());
                    let pods = one.pod.into_iter().collect();
                    reached.push((hops.clone(), Ending { pods, address, port, parts }));
                }
                if reached.is_empty() { stopped(&hops, "DNS-2") } else { reached }
            }
            Resolution::External(name) => {
                let class = Domains::new(cluster.cluster_policies.values()).class(&name);
                let parts = self.dial(arrival, parts, proxy, Party::Named(class), &Family::ALL, port);
                vec![(hops, Ending { port, ..Ending::nowhere(parts) })]
            }
            Resolution::ApiServer => vec![(hops, Ending { port, ..Ending::nowhere(parts.to_vec()) })],
            Resolution::NxDomain { rule, .. } => stopped(&hops, rule),
        }
    }

    /// The proxy's connections to somebody whom no Service stands for.
    fn dial(
        &mut self,
        arrival: &Arrival,
        parts: &[Part],
        proxy: &Proxy,
        target: Party,
        families: &[Family],
        port: u16,
    ) -> Vec<Part> {
        let mut after = Vec::new();
        for part in parts {
            if !part.goes_on() {
                after.push(part.clone());
                continue;
            }
            for family in families {
                let flow = connection(target, *family, Protocol::Tcp, port, None, None);
                after.push(self.as_proxy(arrival, proxy, part, flow));
            }
        }
        best(after)
    }
}
