//! A request on its way through a proxy, one client and one dialled address at a time (M-6, ING-13, ING-14, GW-16).
//!
//! Whoever comes to a pod of the proxy is replaced by that pod; what the pod dials is asked like any other connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Spec;
use super::ways::{Dialled, Goal};
use crate::ids::PodId;
use crate::model::http::{Action, BackendTarget, Dial, ProxyPods};
use crate::model::{Family, Finding, Flow, Judge, NodePort, NodeView, Party, PortRef, Protocol, Proviso, Verdict};

/// What becomes of a request at each place where it may end; `None` = at the proxy itself, or before it.
pub type Ends = BTreeMap<Option<Goal>, Finding>;

/// A proxy, and what it does with one request.
#[derive(Clone, Debug)]
pub struct Passing<'a> {
    /// Who runs it.
    pub pods: &'a ProxyPods,
    /// The rule that names it: `ING-13` or `GW-16`.
    pub rule: &'static str,
    /// What it may do with the request, and what it asks of the client for that, or leaves open.
    pub possible: Vec<(Finding, &'a Action)>,
}

/// Whether two objects claim what is dialled.
fn is_contested(dialled: &Dialled) -> bool {
    matches!(dialled.elsewhere.rule, "KP-5" | "HP-7")
}

impl Spec<'_> {
    /// What becomes of the request of a client that dials a door of the proxy over TCP. `door` is an address and port
    /// that lead to the proxy's pods; it does not matter where no pod runs the proxy. `None` when it is about backends
    /// that are names, or about an address or port that two objects claim (KP-5, HP-7): these are not asked about here.
    #[must_use]
    pub fn past_proxy(&self, client: Party, door: SocketAddr, passing: &Passing<'_>) -> Option<Ends> {
        let mut ends = Ends::new();
        for (pod, arrived) in self.arrived(client, door, passing)? {
            for (asked, action) in &passing.possible {
                let so_far = arrived.clone().and(asked.clone());
                for (end, finding) in self.ends_of(pod, passing, action)? {
                    let finding = so_far.clone().and(finding);
                    let known = ends.remove(&end);
                    ends.insert(end, known.map_or(finding.clone(), |known: Finding| known.or(finding)));
                }
            }
        }
        Some(ends)
    }

    /// The pods of the proxy that the client may get to, and what becomes of it up to there.
    fn arrived(&self, client: Party, door: SocketAddr, passing: &Passing<'_>) -> Option<Vec<(Option<PodId>, Finding)>> {
        Some(match passing.pods {
            ProxyPods::Pods(pods) => {
                let dialled = self.dial(client, door, Protocol::Tcp);
                if is_contested(&dialled) {
                    return None;
                }
                let own = |goal: &Goal| goal.pod.filter(|pod| pods.contains(pod));
                dialled.goals.iter().filter_map(|(goal, finding)| Some((Some(own(goal)?), finding.clone()))).collect()
            }
            ProxyPods::Outside(_) | ProxyPods::OutsideUnknown => vec![(None, Finding::allowed(passing.rule))],
            ProxyPods::Missing(what) => {
                vec![(None, Finding::if_only(passing.rule, Proviso::Controller(what.clone())))]
            }
        })
    }

    fn ends_of(&self, pod: Option<PodId>, passing: &Passing<'_>, action: &Action) -> Option<Ends> {
        let here = |finding: Finding| Some(Ends::from([(None, finding)]));
        match action {
            Action::Answer { .. } => here(Finding::of(Verdict::NoListener, passing.rule)),
            Action::Redirect(_) => here(Finding::if_only(passing.rule, Proviso::Redirect)),
            Action::Undefined(_) => here(Finding::of(Verdict::Undefined, passing.rule)),
            Action::Forward { backends, mirrors, .. } => {
                let mut ends = Ends::new();
                // GW-9: what has no weight gets nothing.
                for backend in backends.iter().filter(|backend| backend.weight > 0).chain(mirrors) {
                    let reached = self.dialled_on(pod, passing.pods, &backend.target)?;
                    for (goal, finding) in reached.goals {
                        let known = ends.remove(&Some(goal));
                        ends.insert(Some(goal), known.map_or(finding.clone(), |known: Finding| known.or(finding)));
                    }
                }
                Some(ends)
            }
        }
    }

    /// The proxy's own connection. All addresses of a proxy outside the cluster must get through (ING-21).
    fn dialled_on(&self, pod: Option<PodId>, pods: &ProxyPods, target: &BackendTarget) -> Option<Dialled> {
        let nobody = || Dialled::nothing(Finding::of(Verdict::NoListener, "KP-4"));
        let (service, place, dial) = match target {
            BackendTarget::Service { service, port, dial } => (*service, *port, *dial),
            BackendTarget::External { .. } => return None,
            BackendTarget::Invalid { .. } => return Some(nobody()),
        };
        let port = PortRef { service, port: place };
        let sources: Vec<Party> = match (pod, pods) {
            (Some(pod), _) => vec![Party::Pod(pod)],
            (None, ProxyPods::Outside(ranges)) => ranges.iter().map(|range| Party::Address(range.network())).collect(),
            (None, _) => vec![Party::Somebody(crate::model::Knob::Controllers)],
        };
        let mut reached = nobody();
        let mut contested = false;
        for family in Family::ALL {
            let of_family = sources.iter().filter(|source| match source {
                Party::Address(ip) => Family::of(*ip) == family,
                _ => true,
            });
            let all = of_family.map(|source| match dial {
                Dial::Endpoints => self.endpoints_dialled(*source, port, family),
                Dial::ClusterIp => self.cluster_ip_dialled(*source, port, family),
                Dial::NodePort => self.node_port_dialled(*source, port, family),
            });
            let all = all.inspect(|one| contested |= is_contested(one));
            if let Some(worst) = all.reduce(|one, other| one.worst(&other)) {
                reached = reached.or(worst);
            }
        }
        (!contested).then_some(reached)
    }

    /// ING-14: every endpoint of the Service itself.
    fn endpoints_dialled(&self, source: Party, port: PortRef, family: Family) -> Dialled {
        let mut reached = Dialled::nothing(Finding::of(Verdict::NoListener, "KP-4"));
        let Some(protocol) = self
            .cluster
            .services
            .get(port.service)
            .and_then(|service| service.ports.get(port.port as usize).map(|port| port.protocol))
        else {
            return reached;
        };
        for (endpoint, number, _) in self.usable(port, family, &NodeView::unknown(false)).cluster {
            let Some(party) = self.party_at(endpoint.pod, endpoint.address) else { continue };
            let finding = Finding::of_judgement(&self.judge(&Flow::direct(source, party, family, protocol, number)));
            let address = endpoint.address.filter(|_| endpoint.pod.is_none());
            reached.goals.insert(Goal { pod: endpoint.pod, address, port: number }, finding);
        }
        reached
    }

    fn cluster_ip_dialled(&self, source: Party, port: PortRef, family: Family) -> Dialled {
        let service = self.cluster.services.get(port.service);
        let to = service.and_then(|service| {
            let number = service.ports.get(port.port as usize)?;
            Some((SocketAddr::new(service.address(family)?, number.port), number.protocol))
        });
        match to {
            Some((to, protocol)) => self.dial(source, to, protocol),
            None => Dialled::nothing(Finding::of(Verdict::NoRoute, "M-4")),
        }
    }

    /// The node port of any node: who is not a pod of the cluster comes to the nodes from outside.
    fn node_port_dialled(&self, source: Party, port: PortRef, family: Family) -> Dialled {
        let mut reached = Dialled::nothing(Finding::of(Verdict::NoListener, "KP-4"));
        let of = self.cluster.services.get(port.service).and_then(|service| service.ports.get(port.port as usize));
        let Some((NodePort::Number(number), protocol)) = of.map(|of| (of.node_port, of.protocol)) else {
            return reached;
        };
        for node in self.cluster.nodes.ids() {
            let at = NodeView::of(self.cluster, node);
            for ip in at.addresses.iter().copied().filter(|ip| Family::of(*ip) == family) {
                let to = SocketAddr::new(ip, number);
                reached = match source {
                    Party::Address(_) => reached.or(self.outsider_at(source, to, protocol, &at)),
                    _ => reached.or(self.dial(source, to, protocol)),
                };
            }
        }
        reached
    }
}
