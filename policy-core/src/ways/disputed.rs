//! Ports of a node that a Service and a pod both have: nobody says whose a packet there is (HP-7).

use std::net::{IpAddr, SocketAddr};

use crate::ids::NodeId;
use crate::model::way_profile::KubeProxyMode;
use crate::model::{
    AddressSet, Client, Decision, Deliver, Delivery, Family, Finding, Flow, Masquerader, NodeView, Packet, Protocol,
    TrafficPolicy, Verdict, WayKind,
};
use crate::ways::clients::{Part, split};
use crate::ways::entry::{At, Entry};
use crate::ways::kube_proxy::accepts_node_ports;
use crate::ways::walk::{Step, Walk, either};

/// What becomes of a packet that nobody says whose it is.
pub(super) fn disputed() -> Finding {
    Finding::of(Verdict::Undefined, "HP-7")
}

impl Entry {
    /// The port that is dialled, when it is known.
    pub(super) fn number(&self) -> Option<u16> {
        match self.at {
            At::AnyNode(port) => port,
            At::Address(_, port) | At::Balancer(_, port) | At::NodeAddress(_, _, port) | At::Node(_, port) => {
                Some(port)
            }
        }
    }
}

impl Walk<'_> {
    /// Whether any pod has a host port of this number.
    pub(super) fn is_host_port(&self, protocol: Protocol, number: u16) -> bool {
        self.analysis.profile.ways.hostport_supported && self.analysis.ways.host_ports.has(protocol, number)
    }

    /// What a node does with a packet from outside to one of its addresses.
    fn outside_packet(&self, to: SocketAddr, protocol: Protocol, at: &NodeView) -> Decision {
        let analysis = self.analysis;
        let packet = Packet { client: Client::Outside, source: None, destination: to.ip(), port: to.port(), protocol };
        analysis.ways.on(&analysis.cluster, &analysis.profile).deliver(&packet, at)
    }

    /// Whether a Service and a pod both have a port of a node, at one of its addresses, for who comes from outside.
    fn is_disputed(&self, to: SocketAddr, protocol: Protocol, at: &NodeView) -> bool {
        self.outside_packet(to, protocol, at).rule == "HP-7"
    }

    /// Whether what comes from outside to an address of a node gets at the processes of that node.
    pub(super) fn is_untouched(&self, to: SocketAddr, protocol: Protocol, at: &NodeView) -> bool {
        self.outside_packet(to, protocol, at).delivery == Delivery::Unchanged
    }

    /// Who outside gets a packet to an entry at a node where nobody disputes whose it is.
    pub(super) fn getting_undisputed(&self, entry: &Entry, node: NodeId) -> AddressSet {
        let Some(number) = entry.number() else { return self.getting_at(entry, Some(node)) };
        let free = |ip: IpAddr, at: &NodeView| !self.is_disputed(SocketAddr::new(ip, number), entry.protocol, at);
        self.getting_where(entry, Some(node), &free)
    }

    /// Takes clients from outside to an endpoint of a Service by nodes of which some have a pod with the same port;
    /// `None` where there is no such pod.
    pub(super) fn past_host_ports(
        &mut self,
        part: &Part,
        step: &Step<'_>,
        flow: Flow,
        masquerade: bool,
    ) -> Option<Vec<Part>> {
        let entry = step.entry;
        let at_nodes = entry.kind == WayKind::NodePort || entry.address().is_some_and(|ip| self.holder(ip).is_some());
        if !at_nodes || !self.is_host_port(entry.protocol, entry.number()?) {
            return None;
        }
        let (nodes, there) = (&self.analysis.cluster.nodes, step.group.endpoint.node);
        let own: Vec<NodeId> = match (entry.node(), step.policy, masquerade) {
            (Some(node), ..) => vec![node],
            (None, TrafficPolicy::Local, false) => vec![there?],
            (None, TrafficPolicy::Cluster, false) => return None,
            (None, _, true) => nodes.ids().collect(),
        };
        let mut parts = Vec::new();
        for node in own {
            let [inside, _] = split(part.clone(), &self.getting_at(entry, Some(node)), |_| Some(true));
            let Some(inside) = inside else { continue };
            let [sure, doubtful] = split(inside, &self.getting_undisputed(entry, node), |_| Some(true));
            parts.extend(doubtful.map(|part| part.and(disputed())));
            let by = masquerade.then_some(Masquerader::Node(node));
            parts.extend(sure.map(|part| self.seen_as(&part, flow, by)).unwrap_or_default());
        }
        if entry.node().is_none() && masquerade {
            // The nodes that the input does not have.
            for receiver in self.nodes_of(entry).receivers(self.analysis, step.group.endpoint.pod) {
                let is_known = match receiver.node {
                    Masquerader::Node(_) => true,
                    Masquerader::OwnNode => there.is_some(),
                    Masquerader::OtherNode => false,
                };
                let [inside, _] = split(part.clone(), &receiver.from, |_| Some(true));
                if let Some(inside) = inside.filter(|_| !is_known) {
                    parts.extend(self.seen_as(&inside, flow, Some(receiver.node)));
                }
            }
        }
        Some(parts)
    }

    /// Those whom nobody disputes the port, and the others, of whom it is open what becomes.
    pub(super) fn unless_disputed(&self, part: Part, sure: &AddressSet) -> Vec<Part> {
        if !part.goes_on() {
            return vec![part];
        }
        let [sure, doubtful] = split(part, sure, |_| Some(true));
        sure.into_iter().chain(doubtful.map(|part| part.and(disputed()))).collect()
    }

    /// A connection from outside, judged as what the endpoint sees of it (KP-9).
    pub(super) fn seen_as(&mut self, part: &Part, flow: Flow, by: Option<Masquerader>) -> Vec<Part> {
        let seen = self.judging.step(part, &Flow { masqueraded_by: by, ..flow });
        if by.is_some() && self.analysis.profile.ways.kube_proxy_mode == KubeProxyMode::None {
            return either(seen, self.judging.step(part, &flow));
        }
        seen
    }

    /// Whether somebody who dials a node port gets to it at a node: `Some(true)` past any doubt, `Some(false)` where a pod
    /// has the port too, `None` where no address of the family is open.
    pub(super) fn node_port_at(&self, node: NodeId, number: u16, protocol: Protocol, family: Family) -> Option<bool> {
        let at = NodeView::of(&self.analysis.cluster, node);
        let ways = &self.analysis.profile.ways;
        let own = at.addresses.iter().copied().filter(|ip| Family::of(*ip) == family);
        let open: Vec<IpAddr> = own.filter(|ip| accepts_node_ports(ways, *ip, &at)).collect();
        if at.addresses.is_empty() {
            return Some(true);
        }
        let free = |ip: &IpAddr| !self.is_disputed(SocketAddr::new(*ip, number), protocol, &at);
        (!open.is_empty()).then(|| open.iter().any(free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::model::{Finding, Profile, WayKind};
    use crate::testing;
    use crate::ways::clients::Clients;
    use crate::ways::entry::{of_pod, of_service};

    /// A node, a Service on node port 30080, and a pod of somebody else with that host port.
    const BASE: &str = "\
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: ExternalIP, address: 203.0.113.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x, labels: {app: web}}, spec: {nodeName: n1, containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.1.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: other, namespace: z}, spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{containerPort: 9000, hostPort: 30080}]}]}, status: {phase: Running, podIP: 10.1.0.2}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x}, spec: {type: NodePort, clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}}
";

    /// What becomes of 198.51.100.7 at the entries of a kind: the best of the parts that it is in.
    fn at(objects: &[&str], kind: WayKind) -> Finding {
        let analysis = Analysis::new(testing::cluster(BASE, objects), Profile::default());
        let cluster = &analysis.cluster;
        let services = cluster.services.ids().flat_map(|service| of_service(&analysis, service));
        let pods = cluster.pods.ids().flat_map(|pod| of_pod(&analysis, pod, None));
        let entries: Vec<Entry> = services.chain(pods).filter(|entry| entry.kind == kind).collect();
        let mut walk = Walk::new(&analysis, &analysis.ways.endpoints);
        let outside = walk.outside();
        let ways: Vec<_> = entries.iter().flat_map(|entry| walk.enter(&outside, entry)).collect();
        let client = "198.51.100.7".parse().unwrap();
        let parts = ways.into_iter().flat_map(|way| way.parts);
        let own = parts.filter(|part| matches!(&part.clients, Clients::Outside(set) if set.contains(client)));
        own.map(|part| part.finding).reduce(Finding::or).unwrap()
    }

    #[test]
    fn from_outside_a_port_that_a_service_and_a_pod_have_is_nobodys() {
        // HP-7
        for kind in [WayKind::NodePort, WayKind::HostPort] {
            let finding = at(&[], kind);
            assert_eq!((finding.verdict, finding.rule), (Verdict::Undefined, "HP-7"), "{kind}");
        }
    }

    #[test]
    fn a_node_without_such_a_pod_leads_to_the_service() {
        // HP-7, KP-4
        let second = "{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: ExternalIP, address: 203.0.113.2}]}}";
        assert_eq!(at(&[second], WayKind::NodePort).verdict, Verdict::Allowed);
        // Another address of the same node does too, where the pod is at one alone.
        let apart = "{apiVersion: v1, kind: Pod, metadata: {name: third, namespace: z}, spec: {nodeName: n2, containers: [{name: c, image: i, ports: [{containerPort: 9000, hostPort: 30080, hostIP: 203.0.113.2}]}]}, status: {phase: Running, podIP: 10.1.0.3}}";
        assert_eq!(at(&[second, apart], WayKind::NodePort).rule, "HP-7");
        let two = "{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: ExternalIP, address: 203.0.113.2}, {type: ExternalIP, address: 203.0.113.3}]}}";
        assert_eq!(at(&[two, apart], WayKind::NodePort).verdict, Verdict::Allowed);
    }

    #[test]
    fn a_port_of_a_host_that_a_service_captures_is_not_the_host_s() {
        // KP-5, KP-6, HN-1
        let own = |name: &str, port: u16| {
            format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: w}}, spec: {{nodeName: n1, hostNetwork: true, containers: [{{name: c, image: i, ports: [{{containerPort: {port}}}]}}]}}, status: {{phase: Running, podIP: 203.0.113.1}}}}"
            )
        };
        let finding = |port: u16, objects: &[&str]| {
            let pod = own("own", port);
            let all: Vec<&str> = objects.iter().copied().chain([pod.as_str()]).collect();
            let finding = at(&all, WayKind::HostNetwork);
            (finding.verdict, finding.rule)
        };
        let claim = "{apiVersion: v1, kind: Service, metadata: {name: claim, namespace: x}, spec: {clusterIP: 10.96.0.2, externalIPs: [203.0.113.1], selector: {app: web}, ports: [{port: 8080}]}}";
        assert_eq!(finding(8080, &[]), (Verdict::Allowed, "NP-22"));
        assert_eq!(finding(8080, &[claim]), (Verdict::NoListener, "KP-5"));
        assert_eq!(finding(8081, &[claim]), (Verdict::Allowed, "NP-22"));
        assert_eq!(
            finding(
                30081,
                &[
                    "{apiVersion: v1, kind: Service, metadata: {name: np, namespace: x}, spec: {type: NodePort, clusterIP: 10.96.0.3, selector: {app: web}, ports: [{port: 80, nodePort: 30081}]}}"
                ]
            ),
            (Verdict::NoListener, "KP-5")
        );
    }
}
