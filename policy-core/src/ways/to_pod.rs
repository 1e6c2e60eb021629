//! Ways that lead to one pod, and who gets to an entry at all (HP-2 … HP-4, HN-1, W-POD, W-NP).

use std::net::{IpAddr, SocketAddr};

use crate::ids::{NodeId, PodId};
use crate::model::delivery::awaits_address;
use crate::model::way_profile::HostPortBackend;
use crate::model::{AddressSet, Family, Finding, Flow, Knob, Masquerader, NodeView, Party, Verdict, WayKind, premise};
use crate::ways::clients::{Clients, Part, best, split};
use crate::ways::entry::{self, At, Entry, Leads};
use crate::ways::forward::{self, connection, node_clients};
use crate::ways::inside::End;
use crate::ways::kube_proxy::accepts_node_ports;
use crate::ways::walk::{Walk, Way, differing, hypothetical};

impl Walk<'_> {
    /// A host port, a port of a pod on the host's network, or a pod's own address.
    pub(super) fn enter_pod(
        &mut self,
        clients: &Clients,
        entry: &Entry,
        pod: PodId,
        port: u16,
        rule: &'static str,
    ) -> Vec<Way> {
        let (cluster, profile) = (&self.analysis.cluster, &self.analysis.profile);
        let object = cluster.pods.at(pod);
        let from = self.getting_at(entry, object.node);
        let is_assumed = matches!(entry.kind, WayKind::HostPort | WayKind::HostNetwork)
            && forward::is_unaddressed(self.analysis, object.node);
        let end = End { by: None, destination: Party::Pod(pod), port };
        let mut parts = Vec::new();
        let mut arriving = self.arriving(clients, &from, rule);
        if let (Clients::Outside(_), Some(node), WayKind::HostNetwork) = (clients, object.node, entry.kind) {
            let free = self.getting_uncaptured(entry, node);
            arriving = arriving.into_iter().flat_map(|part| unless_captured(part, &free)).collect();
        }
        for part in arriving {
            if !part.goes_on() {
                parts.push(part);
                continue;
            }
            // Who comes in a family that the pod lacks.
            parts.push(part.clone().and(Finding::of(Verdict::NoListener, rule)));
            let taken = match clients {
                Clients::Party(party) => self.taken(*party, entry).map(|taken| (*party, taken)),
                Clients::Outside(_) => None,
            };
            if let Some((party, taken)) = taken {
                let reached = taken.iter().flat_map(|taken| self.follow(&part, party, taken, entry, &end));
                parts.extend(reached.collect::<Vec<_>>());
                continue;
            }
            // HP-3: where there is a status, the lack of an address is a fact.
            let has = |family: Family| object.address(family).is_some() || awaits_address(object);
            let is_mapped = matches!(entry.leads, Leads::HostPort(..));
            for family in premise::families(cluster, profile, Party::Pod(pod)) {
                if (!is_mapped || has(family)) && entry.families().contains(&family) {
                    let flow = connection(Party::Pod(pod), family, entry.protocol, port, None, None);
                    parts.extend(self.past_host_port(&part, entry, &flow));
                }
            }
            if let (Clients::Outside(_), Some(node), true) = (clients, object.node, is_mapped) {
                let sure = self.getting_undisputed(entry, node);
                parts = parts.into_iter().flat_map(|part| self.unless_disputed(part, &sure)).collect();
            }
        }
        let mut parts = best(parts);
        if is_assumed {
            parts.iter_mut().for_each(hypothetical);
        }
        vec![Way {
            kind: entry.kind,
            protocol: entry.protocol,
            hops: vec![entry.hop(self.analysis)],
            pods: vec![pod],
            address: None,
            port,
            parts,
            served: None,
        }]
    }

    /// Who outside gets a packet to a port of a node by an address where no Service takes it (KP-5).
    fn getting_uncaptured(&self, entry: &Entry, node: NodeId) -> AddressSet {
        let Some(number) = entry.number() else { return self.getting_at(entry, Some(node)) };
        let free = |ip: IpAddr, at: &NodeView| self.is_untouched(SocketAddr::new(ip, number), entry.protocol, at);
        self.getting_where(entry, Some(node), &free)
    }

    /// HP-4: portmap of old puts the node's address in the place of those within the pod's prefix.
    fn past_host_port(&mut self, part: &Part, entry: &Entry, flow: &Flow) -> Vec<Part> {
        let (cluster, backend) = (&self.analysis.cluster, self.analysis.profile.ways.hostport_backend);
        let Leads::HostPort(pod, _) = entry.leads else { return self.judging.step(part, flow) };
        let object = cluster.pods.at(pod);
        let ranges = object.node.map(|node| cluster.nodes.at(node).pod_cidrs.as_slice()).unwrap_or_default();
        let holds = |range: &&ipnet::IpNet| object.address(flow.family).is_none_or(|ip| range.contains(&ip));
        let prefix: AddressSet = ranges.iter().filter(holds).copied().map(AddressSet::net).collect();
        let prefix = if backend == HostPortBackend::Nftables { AddressSet::empty() } else { prefix };
        let [near, far] = split(part.clone(), &prefix.of(flow.family), |_| None);
        let mut parts = far.map(|far| self.judging.step(&far, flow)).unwrap_or_default();
        if let Some(near) = near {
            let replaced = self.judging.step(&near, &Flow { masqueraded_by: Some(Masquerader::OwnNode), ..*flow });
            parts.extend(match backend {
                HostPortBackend::Iptables => replaced,
                _ => differing(replaced, self.judging.step(&near, flow), || {
                    Finding::undefined("HP-4", Knob::HostPortBackend)
                }),
            });
        }
        parts
    }

    /// Who outside gets a packet to an entry, at a node or at any (W-NP, W-HP, W-CIP, W-POD). An address that a node
    /// has is reached like its others.
    pub(super) fn getting_at(&self, entry: &Entry, node: Option<NodeId>) -> AddressSet {
        self.getting_where(entry, node, &|_, _| true)
    }

    /// The same by those addresses of nodes alone that `counts` takes.
    pub(super) fn getting_where(
        &self,
        entry: &Entry,
        node: Option<NodeId>,
        counts: &dyn Fn(IpAddr, &NodeView) -> bool,
    ) -> AddressSet {
        let (analysis, outside) = (self.analysis, self.judging.outside());
        let ways = &analysis.profile.ways;
        let only = match entry.at {
            At::NodeAddress(holder, ..) if node.is_some_and(|node| node != holder) => return AddressSet::empty(),
            At::NodeAddress(_, ip, _) => Some(ip),
            _ => None,
        };
        let node = entry.node().or(node);
        let everywhere = |ip: IpAddr, at: &NodeView| only.is_none_or(|only| only == ip) && counts(ip, at);
        match (entry.kind, &entry.leads) {
            (WayKind::NodePort, _) => {
                let is_open = |ip: IpAddr, at: &NodeView| everywhere(ip, at) && accepts_node_ports(ways, ip, at);
                node_clients(analysis, &is_open, node, outside)
            }
            (WayKind::HostPort, Leads::HostPort(pod, at)) => {
                let host_port = analysis.cluster.pods.at(*pod).host_ports.get(*at);
                if host_port.and_then(|port| port.ip).is_some_and(|ip| ip.is_loopback()) {
                    return AddressSet::empty();
                }
                let is_open =
                    |ip: IpAddr, at: &NodeView| everywhere(ip, at) && host_port.is_some_and(|port| port.is_at(ip));
                node_clients(analysis, &is_open, node, outside)
            }
            (WayKind::HostNetwork, _) => node_clients(analysis, &everywhere, node, outside),
            (kind, _) => {
                let families: AddressSet = entry.families().into_iter().map(AddressSet::all_of).collect();
                let everybody = entry::routed(analysis, kind, outside).intersection(&families);
                match entry.address().and_then(|ip| Some((ip, self.holder(ip)?))).filter(|_| kind != WayKind::Vip) {
                    None => everybody,
                    Some((_, holder)) if node.is_some_and(|node| node != holder) => AddressSet::empty(),
                    Some((ip, holder)) => {
                        let is_it = |other: IpAddr, at: &NodeView| other == ip && counts(ip, at);
                        node_clients(analysis, &is_it, Some(holder), &everybody)
                    }
                }
            }
        }
    }
}

/// Those whose packets no Service takes, and the others, who get at that Service instead.
fn unless_captured(part: Part, free: &AddressSet) -> Vec<Part> {
    if !part.goes_on() {
        return vec![part];
    }
    let [free, captured] = split(part, free, |_| Some(true));
    let lost = captured.map(|part| part.and(Finding::of(Verdict::NoListener, "KP-5")));
    free.into_iter().chain(lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::model::Profile;
    use crate::testing;

    #[test]
    fn pods_on_the_host_s_network_reach_the_loopback_of_their_node() {
        // HN-3, HP-2
        let pod = |name: &str, node: &str, host: bool, ip: &str, ports: &str| {
            format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: x}}, spec: {{nodeName: {node}, hostNetwork: {host}, containers: [{{name: c, image: i, ports: [{ports}]}}]}}, status: {{phase: Running, podIP: {ip}}}}}"
            )
        };
        let node = |name: &str, ip: &str| {
            format!(
                "{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}, status: {{addresses: [{{type: InternalIP, address: {ip}}}]}}}}"
            )
        };
        let texts = [
            pod("web", "n1", false, "10.1.0.1", "{containerPort: 80, hostPort: 8080, hostIP: 127.0.0.1}"),
            pod("host", "n1", true, "10.0.0.1", ""),
            pod("plain", "n1", false, "10.1.0.2", ""),
            pod("far", "n2", true, "10.0.0.2", ""),
            node("n2", "10.0.0.2"),
        ];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let analysis = Analysis::new(testing::cluster(&node("n1", "10.0.0.1"), &texts), Profile::default());
        let find = |name: &str| analysis.cluster.pods.iter().find(|(_, pod)| &*pod.name == name).unwrap().0;
        let entries = entry::of_pod(&analysis, find("web"), None);
        let entry = entries.into_iter().find(|entry| entry.kind == WayKind::HostPort).unwrap();
        let mut walk = Walk::new(&analysis, &analysis.ways.endpoints);
        let mut verdict = |name: &str| {
            let ways = walk.enter(&Clients::Party(Party::Pod(find(name))), &entry);
            ways.into_iter().flat_map(|way| way.parts).map(|part| part.finding).reduce(Finding::or).unwrap().verdict
        };
        assert_eq!(verdict("host"), Verdict::Allowed);
        assert!(["plain", "far"].into_iter().all(|name| !matches!(verdict(name), Verdict::Allowed)));
    }
}
