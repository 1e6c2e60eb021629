//! What stands before the rules of a Service: other Services, and source ranges (KP-5, SVC-22).

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::model::delivery::{Frontend, PortRef};
use crate::model::premise::{self, Whereabouts};
use crate::model::way_profile::{KubeProxyMode, LoadBalancerKind};
use crate::model::{AddressSet, Family, Finding, Hit, Knob, Party, Service, Verdict, WayKind};
use crate::ways::clients::{Clients, Part, split};
use crate::ways::entry::{At, Entry, Leads};
use crate::ways::walk::Walk;

impl Walk<'_> {
    /// KP-5: another Service whose packets these are, or may be.
    pub(super) fn claimed(&self, entry: &Entry, frontend: Frontend, port: PortRef) -> Option<Finding> {
        let Leads::Service { balancer: None | Some(LoadBalancerKind::Vip), .. } = entry.leads else { return None };
        let at = entry.address().filter(|_| entry.kind != WayKind::Vip && frontend != Frontend::NodePort)?;
        let number = self.analysis.cluster.services.at(port.service).ports.get(port.port as usize)?.port;
        let claims = self.analysis.ways.kube_proxy.captures(at, entry.protocol, number);
        let first = claims.iter().filter(|(_, claim)| *claim == port).map(|(kind, _)| *kind).min();
        let first = first.unwrap_or(frontend);
        let others = claims.iter().filter(|(_, claim)| *claim != port).map(|(kind, _)| *kind).min()?;
        match others.cmp(&first) {
            Ordering::Less => Some(Finding::of(Verdict::NoListener, "KP-5")),
            Ordering::Equal => Some(Finding::of(Verdict::Undefined, "KP-5")),
            Ordering::Greater => None,
        }
    }

    /// What stands before a load balancer's address (SVC-22).
    pub(super) fn guard(
        &self,
        part: Part,
        entry: &Entry,
        service: &Service,
        balancer: Option<LoadBalancerKind>,
    ) -> Vec<Part> {
        let Some((object, kind)) = service.load_balancer().zip(balancer) else { return vec![part] };
        let address: Option<IpAddr> = match &entry.at {
            At::Balancer(Some(at), _) => at.parse().ok(),
            _ => None,
        };
        let by_node = kind == LoadBalancerKind::Vip;
        // KP-5: as an external IP it is taken before, unless nftables looks at the ranges first.
        let is_external = address.is_some_and(|ip| service.external_ips.contains(&ip));
        if by_node && is_external && self.analysis.profile.ways.kube_proxy_mode != KubeProxyMode::Nftables {
            return vec![part];
        }
        let ranges = if object.source_ranges.is_empty() { &object.annotated_ranges } else { &object.source_ranges };
        if ranges.is_empty() || !part.goes_on() {
            return vec![part];
        }
        // Ranges of the other family leave an address unfiltered.
        let mut inside: AddressSet = ranges.iter().copied().map(AddressSet::net).collect();
        for family in Family::ALL {
            let other = address.is_some_and(|ip| Family::of(ip) != family);
            if inside.of(family).is_empty() || other {
                inside = inside.union(&AddressSet::all_of(family));
            }
        }
        let is_inside = |party: Party| {
            let seen = premise::seen(&self.analysis.cluster, &self.analysis.profile, party);
            let family = address.map_or(Family::V4, Family::of);
            let found = premise::whereabouts(&self.analysis.cluster, &self.analysis.profile, seen, family);
            match found {
                Whereabouts::Within(..) if found.within(&inside) != Hit::Yes => None,
                found => Some(found.within(&inside) == Hit::Yes),
            }
        };
        let stopped = match (&part.clients, by_node && !object.source_ranges.is_empty()) {
            (Clients::Party(party), true) if is_inside(*party).is_none() => {
                Finding::undefined("SVC-22", Knob::PodCidrs)
            }
            (_, true) => Finding::of(Verdict::Denied, "SVC-22"),
            // The provider's own firewall, which is not known.
            (_, false) => Finding::undefined("SVC-22", Knob::LbKind),
        };
        let [passes, stops] = split(part, &inside, is_inside);
        passes.into_iter().chain(stops.map(|part| part.and(stopped))).collect()
    }

    /// SVC-22: nftables looks at the source ranges of every load balancer that has a dialled address, whatever takes the
    /// packet then (an external IP, say). iptables looks at those of the Service that takes it.
    pub(super) fn guard_vips(&self, part: Part, entry: &Entry) -> Vec<Part> {
        let is_nftables = self.analysis.profile.ways.kube_proxy_mode == KubeProxyMode::Nftables;
        let At::Address(Some(ip), number) = entry.at else { return vec![part] };
        if !is_nftables || !part.goes_on() || matches!(part.clients, Clients::Party(_)) {
            return vec![part];
        }
        let mut passing = Some(part);
        let mut stopped = Vec::new();
        for (frontend, port) in self.analysis.ways.kube_proxy.captures(ip, entry.protocol, number) {
            let balancer = self.analysis.cluster.services.get(port.service).and_then(Service::load_balancer);
            let Some(balancer) = balancer.filter(|_| *frontend == Frontend::LoadBalancer) else { continue };
            let inside: AddressSet = balancer.source_ranges.iter().copied().map(AddressSet::net).collect();
            let inside = inside.of(Family::of(ip));
            let Some(left) = passing.take_if(|_| !inside.is_empty()) else { continue };
            let [passes, stops] = split(left, &inside, |_| None);
            passing = passes;
            stopped.extend(stops.map(|part| part.and(Finding::of(Verdict::Denied, "SVC-22"))));
        }
        passing.into_iter().chain(stopped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::model::Profile;
    use crate::testing;
    use crate::ways::entry::of_service;

    const BASE: &str = "\
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: ExternalIP, address: 198.51.100.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x, labels: {app: web}}, spec: {nodeName: n1, containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.1.0.1}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x}, spec: {type: LoadBalancer, clusterIP: 10.96.0.1, externalIPs: [192.0.2.2], loadBalancerSourceRanges: [203.0.113.0/24], selector: {app: web}, ports: [{port: 80}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.2}]}}}
";

    #[test]
    fn an_external_ip_that_is_a_load_balancer_s_is_filtered_by_nftables_alone() {
        // SVC-22, KP-5
        for (mode, rule) in [("nftables", Some("SVC-22")), ("iptables", None)] {
            let mut profile = Profile::default();
            profile.set("kube_proxy_mode", mode).unwrap();
            let analysis = Analysis::new(testing::cluster(BASE, &[]), profile);
            let mut walk = Walk::new(&analysis, &analysis.ways.endpoints);
            let outside = walk.outside();
            let services = analysis.cluster.services.ids();
            let entries: Vec<Entry> = services.flat_map(|service| of_service(&analysis, service)).collect();
            let external: Vec<_> = entries.iter().filter(|entry| entry.kind == WayKind::ExternalIp).collect();
            assert_eq!(external.len(), 1);
            let ways = walk.enter(&outside, external.first().unwrap());
            let at = |ip: &str| {
                let ip = ip.parse().unwrap();
                let mut parts = ways.iter().flat_map(|way| &way.parts);
                let own = parts.find(|part| matches!(&part.clients, Clients::Outside(set) if set.contains(ip)));
                own.map(|part| (part.finding.verdict, part.finding.rule)).unwrap()
            };
            assert_eq!(at("203.0.113.7").0, Verdict::Allowed, "{mode}");
            let stranger = at("192.0.2.77");
            assert_eq!(stranger.0 == Verdict::Denied, rule.is_some(), "{mode}");
            assert!(rule.is_none_or(|rule| stranger.1 == rule), "{mode}: {stranger:?}");
        }
    }
}
