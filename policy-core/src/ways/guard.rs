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
}
