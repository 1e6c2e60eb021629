//! Packets of somebody inside the cluster, followed to the node that takes them (KP-3, KP-8, HP-2).

use std::net::{IpAddr, SocketAddr};

use crate::ids::NodeId;
use crate::model::{
    Client, Decision, Deliver, Delivery, Endpoint, Family, Finding, Flow, IpMode, LoadBalancerAddress, Masquerader,
    NodeView, Packet, Party, PortRef, SourceAddress, Target, Verdict, WayKind, premise,
};
use crate::ways::clients::Part;
use crate::ways::entry::{At, Entry, Leads};
use crate::ways::walk::Walk;

/// A packet, and what the node does with it that takes it.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// What is dialled.
    pub(super) to: SocketAddr,
    node: NodeId,
    decision: Decision,
}

/// Where connections end: like [`Target`], without what becomes of their source.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) by: Option<PortRef>,
    pub(super) destination: Party,
    pub(super) port: u16,
}

impl Walk<'_> {
    /// The packets of a party to all addresses of an entry; `None` when the input does not tell these, or where the
    /// party runs.
    pub(super) fn taken(&self, party: Party, entry: &Entry) -> Option<Vec<Taken>> {
        let cluster = &self.analysis.cluster;
        let (node, pod) = match party {
            Party::Pod(id) => {
                let pod = cluster.pods.at(id);
                (pod.node?, (!pod.host_network).then_some(id))
            }
            Party::Node(node) => (node, None),
            _ => return None,
        };
        if entry.kind == WayKind::Vip {
            return None; // Nothing in the input says that its holder has the address.
        }
        let own = NodeView::of(cluster, node);
        let mut taken = Vec::new();
        for to in self.addresses(entry, pod.is_none().then_some(node))? {
            let family = Family::of(to.ip());
            let source = match pod {
                Some(pod) => cluster.pods.at(pod).address(family),
                None if to.ip().is_loopback() => Some(to.ip()),
                None => own.primary(family),
            };
            let ask = |client: Client, at: &NodeView| {
                let (destination, port, protocol) = (to.ip(), to.port(), entry.protocol);
                let packet = Packet { client, source, destination, port, protocol };
                self.analysis.ways.on(cluster, &self.analysis.profile).deliver(&packet, at)
            };
            let decision = ask(pod.map_or(Client::Host, |pod| Client::Pod(Some(pod))), &own);
            let goes_on = decision.delivery == Delivery::Unchanged && !own.is_local(to.ip());
            let there = self.holder(to.ip()).filter(|_| goes_on);
            taken.push(match there {
                Some(there) => {
                    let client = pod.map_or(Client::Outside, |pod| Client::RemotePod(Some(pod)));
                    Taken { to, node: there, decision: ask(client, &NodeView::of(cluster, there)) }
                }
                None => Taken { to, node, decision },
            });
        }
        Some(taken)
    }

    /// The node that has an address.
    pub(super) fn holder(&self, ip: IpAddr) -> Option<NodeId> {
        self.holders.get(&ip).copied()
    }

    /// Who an endpoint is: a pod, a node by its address (HN-2), or somebody else.
    pub(super) fn destination(&self, endpoint: &Endpoint) -> Option<Party> {
        let of_address = |ip: IpAddr| self.holder(ip).map_or(Party::Address(ip), Party::Node);
        endpoint.pod.map(Party::Pod).or_else(|| endpoint.address.map(of_address))
    }

    /// What dialling an entry means, as far as the input tells; `on` = the node on which the client is, if it shares
    /// its loopback.
    fn addresses(&self, entry: &Entry, on: Option<NodeId>) -> Option<Vec<SocketAddr>> {
        let cluster = &self.analysis.cluster;
        let of = |node: NodeId| cluster.nodes.at(node).addresses.iter().map(|address| address.ip);
        let (ips, port): (Vec<IpAddr>, u16) = match &entry.at {
            At::Address(ip, port) => (vec![(*ip)?], *port),
            At::Balancer(name, port) => (vec![name.as_ref()?.parse().ok()?], *port),
            At::NodeAddress(_, ip, port) => (vec![*ip], *port),
            At::AnyNode(port) => (cluster.nodes.ids().flat_map(of).collect(), (*port)?),
            At::Node(node, port) => (of((*node)?).collect(), *port),
        };
        let loopback = match entry.leads {
            Leads::HostPort(pod, at) if on.is_some() && on == cluster.pods.at(pod).node => {
                let host_port = cluster.pods.at(pod).host_ports.get(at);
                host_port.and_then(|port| port.ip).filter(IpAddr::is_loopback)
            }
            _ => None,
        };
        let is_known = !ips.is_empty() || loopback.is_some();
        // HP-2: at other addresses of the node it is not.
        let is_its = |ip: &IpAddr| match entry.leads {
            Leads::HostPort(pod, at) => cluster.pods.at(pod).host_ports.get(at).is_some_and(|port| port.is_at(*ip)),
            Leads::Service { .. } | Leads::Pod(_) => true,
        };
        let all: Vec<SocketAddr> =
            ips.into_iter().filter(is_its).chain(loopback).map(|ip| SocketAddr::new(ip, port)).collect();
        is_known.then_some(all)
    }

    /// Takes a party over what the node does with one of its packets to one of the ends to which they may lead.
    pub(super) fn follow(&mut self, part: &Part, party: Party, taken: &Taken, entry: &Entry, end: &End) -> Vec<Part> {
        let family = Family::of(taken.to.ip());
        let flow = Flow {
            source: party,
            destination: end.destination,
            family,
            protocol: entry.protocol,
            port: end.port,
            dialled: Some(taken.to),
            masqueraded_by: None,
        };
        let Decision { delivery, rule, by } = &taken.decision;
        let stop = |finding: Finding| vec![part.clone().and(finding)];
        if !premise::families(&self.analysis.cluster, &self.analysis.profile, party).contains(&family) {
            return stop(Finding::of(Verdict::NoRoute, "NP-30"));
        }
        let is_its = |port: PortRef| by.iter().any(|(_, taken)| *taken == port);
        if !by.is_empty() && end.by.is_some_and(|port| !is_its(port)) {
            return stop(Finding::of(Verdict::NoListener, "KP-5"));
        }
        if !by.is_empty() && matches!(entry.leads, Leads::Pod(_)) {
            // KP-5: a Service takes it, so this is a way into that Service.
            return stop(Finding::of(Verdict::NoListener, "KP-5"));
        }
        let target = match delivery {
            Delivery::Endpoints(targets) => targets.iter().find(|target| self.is_end(target, end)),
            Delivery::Unchanged if matches!(entry.leads, Leads::Pod(_)) => {
                return self.judging.step(part, &Flow { dialled: None, ..flow });
            }
            Delivery::Unchanged => return stop(Finding::of(Verdict::NoRoute, "M-4")),
            Delivery::Drop if *rule == "SVC-22" => return stop(Finding::of(Verdict::Denied, rule)),
            Delivery::Drop | Delivery::Reject | Delivery::Accept => {
                return stop(Finding::of(Verdict::NoListener, rule));
            }
            Delivery::Undefined(knobs) => {
                return stop(Finding { knobs: *knobs, ..Finding::of(Verdict::Undefined, rule) });
            }
        };
        let Some(target) = target else { return stop(Finding::of(Verdict::NoListener, "KP-4")) };
        let replaced = Flow { masqueraded_by: Some(Masquerader::Node(taken.node)), ..flow };
        match target.source {
            SourceAddress::Kept => self.judging.step(part, &flow),
            SourceAddress::Masqueraded => self.judging.step(part, &replaced),
            SourceAddress::Either(knobs) => {
                let (kept, replaced) = (self.judging.step(part, &flow), self.judging.step(part, &replaced));
                let verdict = |parts: &[Part]| parts.iter().map(|part| part.finding.verdict).max();
                if verdict(&kept) == verdict(&replaced) {
                    return replaced;
                }
                let doubt = Finding { knobs, ..Finding::of(Verdict::Undefined, "KP-9") };
                let legs = replaced.into_iter().next().map(|part| part.legs).unwrap_or_default();
                vec![Part { legs, ..part.clone().and(doubt) }]
            }
        }
    }

    fn is_end(&self, target: &Target, end: &End) -> bool {
        let same = match end.destination {
            Party::Pod(pod) => target.pod == Some(pod),
            Party::Address(ip) => target.pod.is_none() && target.address == Some(ip),
            Party::Node(node) => target.pod.is_none() && target.address.is_some_and(|ip| self.holder(ip) == Some(node)),
            _ => false,
        };
        same && target.port == end.port
    }

    /// SVC-23: whether nodes take the address of a load balancer for their own, or for an external IP (KP-5).
    pub(super) fn is_captured(&self, entry: &Entry) -> bool {
        let (At::Balancer(Some(name), number), Leads::Service { service, .. }) = (&entry.at, &entry.leads) else {
            return false;
        };
        let captures = |ip| self.analysis.ways.kube_proxy.captures(ip, entry.protocol, *number);
        if name.parse().is_ok_and(|ip| !captures(ip).is_empty()) {
            return true;
        }
        let points = self.analysis.cluster.services.at(*service).load_balancer().map(|balancer| &balancer.ingress);
        points.into_iter().flatten().any(|point| match &point.at {
            LoadBalancerAddress::Ip(ip) => point.mode == IpMode::Vip && name.parse() == Ok(*ip),
            LoadBalancerAddress::Hostname(_) => false,
        })
    }
}
