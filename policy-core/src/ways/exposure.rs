//! Everything that can be reached from outside the cluster (W-LB … W-GW).

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::analysis::Analysis;
use crate::ids::{Id, NodeId, PodId, ProxyId};
use crate::model::delivery::Frontend;
use crate::model::http::{App, HostMatch, Proxy, RequestMatch};
use crate::model::{NodePort, NodeView, Pod, PodState, Verdict, WayKind, premise};
use crate::ways::Ways;
use crate::ways::api_exposure::kubectl_proxies;
use crate::ways::clients::{Clients, overall};
use crate::ways::entry::{self, At, Entry, Leads};
use crate::ways::kube_proxy::accepts_node_ports;
use crate::ways::proxied::{Requests, Served};
use crate::ways::walk::{Walk, Way};

/// All ways from outside, also those that end before a pod; the widest open first.
#[must_use]
pub fn exposures(analysis: &Analysis, ways: &Ways) -> Vec<Way> {
    let mut walk = Walk::new(analysis, &ways.endpoints);
    let clients = walk.outside();
    let mut found: Vec<Way> = Vec::new();
    for entry in entries(analysis, ways) {
        found.extend(walk.enter(&clients, &entry));
    }
    found.extend(proxied(&mut walk, &clients, &ways.proxies, &RequestMatch::everything()));
    found.extend(kubectl_proxies(analysis, ways, &premise::outside(&analysis.cluster, &analysis.profile)));
    let mut found = together(analysis, found);
    found.sort_by_cached_key(|way| order(analysis, way));
    found
}

/// The ways through all proxies, for the requests that `within` takes.
pub fn proxied(walk: &mut Walk<'_>, clients: &Clients, proxies: &[Proxy], within: &RequestMatch) -> Vec<Way> {
    let mut found = Vec::new();
    for (at, proxy) in proxies.iter().enumerate() {
        for port in &proxy.ports {
            let arrivals = walk.arrive(clients, ProxyId::from_index(at), proxy, port);
            for listener in &port.listeners {
                found.extend(walk.serve(&arrivals, proxy, listener, within));
            }
        }
    }
    found
}

/// The entries that somebody outside may use, whatever leads on from them.
fn entries(analysis: &Analysis, ways: &Ways) -> Vec<Entry> {
    let cluster = &analysis.cluster;
    let routable = !analysis.profile.ways.service_cidr_routable.is_empty();
    let mut entries = Vec::new();
    for (id, service) in cluster.services.iter() {
        if entry::is_exposed(service) || (routable && service.is_proxied()) {
            let of_service = entry::of_service(analysis, id).into_iter();
            entries.extend(of_service.filter(|entry| routable || entry.kind != WayKind::ClusterIp));
        }
    }
    for (id, pod) in cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished) {
        if pod.host_network || !pod.host_ports.is_empty() || !analysis.profile.ways.pod_cidr_routable.is_empty() {
            entries.extend(entry::of_pod(analysis, id, None));
        }
    }
    entries.extend(of_vips(analysis, ways));
    entries
}

/// W-VIP: what its holder opens is open at the address.
pub(super) fn of_vips(analysis: &Analysis, ways: &Ways) -> Vec<Entry> {
    let cluster = &analysis.cluster;
    let mut entries = Vec::new();
    for vip in &analysis.profile.ways.vips {
        for holder in &vip.holders {
            let Some((space, name)) = holder.split_once('/') else { continue };
            if space == "node" {
                let node = cluster.nodes.iter().find(|(_, node)| &*node.name == name).map(|(id, _)| id);
                entries.extend(node.into_iter().flat_map(|node| of_node(analysis, ways, node, vip.ip)));
                continue;
            }
            let held = cluster.services.iter().filter(|(_, service)| {
                &*service.name == name && &*cluster.namespaces.at(service.namespace).name == space
            });
            for (service, object) in held {
                entries.extend(object.ports.iter().enumerate().map(|(at, port)| Entry {
                    kind: WayKind::Vip,
                    protocol: port.protocol,
                    at: At::Address(Some(vip.ip), port.port),
                    leads: Leads::Service { service, port: at, frontend: Frontend::ExternalIp, balancer: None },
                }));
            }
        }
    }
    entries
}

/// What a node opens on its addresses.
fn of_node(analysis: &Analysis, ways: &Ways, node: NodeId, ip: IpAddr) -> Vec<Entry> {
    let cluster = &analysis.cluster;
    let mut entries = Vec::new();
    let here = |pod: &Pod| pod.node == Some(node) && pod.state != PodState::Finished;
    for (id, pod) in cluster.pods.iter().filter(|(_, pod)| here(pod)) {
        for (at, port) in pod.host_ports.iter().enumerate().filter(|(_, port)| port.is_at(ip)) {
            let leads = if pod.host_network { Leads::Pod(id) } else { Leads::HostPort(id, at) };
            let at = At::Address(Some(ip), port.port);
            entries.push(Entry { kind: WayKind::Vip, protocol: port.protocol, at, leads });
        }
    }
    // KP-6: the node has the address while it holds it, and it is not its first.
    let view = NodeView::of(cluster, node);
    let addresses = view.addresses.iter().copied().chain([ip]).collect();
    let view = NodeView { addresses, ..view };
    if !accepts_node_ports(&analysis.profile.ways, ip, &view) {
        return entries;
    }
    for (service, object) in cluster.services.iter().filter(|(id, _)| !ways.endpoints.members(*id).is_empty()) {
        for (at, port) in object.ports.iter().enumerate() {
            let NodePort::Number(number) = port.node_port else { continue };
            let leads = Leads::Service { service, port: at, frontend: Frontend::NodePort, balancer: None };
            let protocol = port.protocol;
            entries.push(Entry { kind: WayKind::Vip, protocol, at: At::NodeAddress(node, ip, number), leads });
        }
    }
    entries
}

/// Ways that differ in nothing but the pods of one workload, as one.
fn together(analysis: &Analysis, ways: Vec<Way>) -> Vec<Way> {
    let workload = |way: &Way| way.pods.first().map(|pod| analysis.cluster.pods.at(*pod).workload);
    let mut known: FxHashMap<_, Vec<usize>> = FxHashMap::default();
    let mut kept: Vec<Way> = Vec::new();
    for way in ways {
        if way.pods.is_empty() && !is_bytes(way.served.as_deref()) {
            kept.push(way);
            continue;
        }
        let alike = |other: &Way| {
            let parts = way.parts.iter().map(|part| (&part.clients, &part.finding));
            is_served_alike(other.served.as_deref(), way.served.as_deref())
                && other.parts.iter().map(|part| (&part.clients, &part.finding)).eq(parts)
        };
        // A rule of a proxy tells its ways apart: many lead to one Service.
        let rule = way.served.as_ref().map(|served| (served.port, served.requests.origin.clone()));
        let key = (workload(&way), way.kind, way.protocol, way.port, place(&way), way.address, rule);
        let twins = known.entry(key).or_default();
        let twin = twins.iter().find(|at| kept.get(**at).is_some_and(&alike)).copied();
        match twin.and_then(|at| kept.get_mut(at)) {
            Some(twin) => {
                if !way.served.as_ref().is_some_and(|served| served.requests.tls) {
                    twin.served = way.served;
                }
                if twin.hops != way.hops {
                    // Host ports of the pods of one workload: each is at its own node.
                    twin.hops = place(twin);
                }
                twin.pods.extend(way.pods);
                twin.pods.sort_unstable();
                twin.pods.dedup();
            }
            None => {
                twins.push(kept.len());
                kept.push(way);
            }
        }
    }
    kept
}

/// Whether a proxy hands on whatever comes, be it TLS or not.
fn is_bytes(served: Option<&Served>) -> bool {
    served.is_some_and(|served| served.requests.app == App::Opaque && served.requests.when.host == HostMatch::Any)
}

/// Whether two ways differ in nothing that is served there; of bytes, whether they happen to be TLS is no difference.
fn is_served_alike(one: Option<&Served>, other: Option<&Served>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    if one.requests.tls == other.requests.tls || !is_bytes(Some(one)) {
        return one == other;
    }
    let requests = Requests { tls: other.requests.tls, ..Requests::clone(&one.requests) };
    Served { requests: Arc::new(requests), ..one.clone() } == *other
}

/// The hops of a way; of a way that begins at the node of a pod, without the node.
fn place(way: &Way) -> Vec<crate::model::Hop> {
    let of_node = matches!(way.kind, WayKind::HostPort | WayKind::HostNetwork);
    way.hops
        .iter()
        .map(|hop| match hop {
            crate::model::Hop::Node { port, .. } if of_node => {
                crate::model::Hop::Node { node: None, at: None, port: *port }
            }
            hop => hop.clone(),
        })
        .collect()
}

/// The widest open first: what lets most through, then by kind, destination and place.
fn order(analysis: &Analysis, way: &Way) -> impl Ord + use<> {
    let best = overall(&way.parts).map_or(0, crate::model::Finding::merit);
    let some_only = !way.parts.iter().all(|part| part.finding.verdict == Verdict::Allowed);
    let restricted = way
        .served
        .as_ref()
        .is_some_and(|served| served.requests.when != RequestMatch::everything() || !served.requests.except.is_empty());
    let workload = way.pods.first().map(|pod| analysis.cluster.pods.at(*pod).workload);
    let pods: Vec<PodId> = way.pods.clone();
    (std::cmp::Reverse(best), some_only, restricted, way.kind, workload, way.port, way.protocol, way.hops.clone(), pods)
}
