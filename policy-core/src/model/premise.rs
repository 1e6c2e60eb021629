//! What holds for a flow before any policy is asked: finished pods, families, self traffic, enforcement.

use std::net::IpAddr;

use crate::ids::{NodeId, PodId};
use crate::model::profile::{Exemption, HostNetworkPods};
use crate::model::{
    AddressSet, Cluster, DomainClass, Doubts, End, Family, Flag, Flow, Hit, Judgement, Knob, Party, Pod, PodState,
    Profile, Verdict,
};

/// An end of a flow as policies see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A pod that policies select and match by labels.
    Pod(PodId),
    /// A process on a host: a node's own, or a hostNetwork pod that is treated as one (NP-22).
    Host {
        /// The node, when known.
        node: Option<NodeId>,
        /// The hostNetwork pod, if it is one.
        pod: Option<PodId>,
    },
    /// An address that is neither.
    Address(IpAddr),
    /// An address outside that a name stands for.
    Named(DomainClass),
    /// Somebody of whom nothing is known; the knob would tell.
    Somebody(Knob),
}

/// The addresses behind an end, as far as an ipBlock can know them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whereabouts {
    /// Exactly these; never empty.
    Known(Vec<IpAddr>),
    /// One address out of this set, which is never empty; the doubts say what narrows it down.
    Within(AddressSet, Doubts),
}

impl Whereabouts {
    /// Whether a set of addresses holds the end (NP-12). Of several known addresses nobody says which one is used.
    #[must_use]
    pub fn within(&self, addresses: &AddressSet) -> Hit {
        match self {
            Self::Known(known) => match known.iter().filter(|address| addresses.contains(**address)).count() {
                0 => Hit::No,
                count if count == known.len() => Hit::Yes,
                _ => Hit::unless_set(Knob::NodeCidrs),
            },
            Self::Within(range, _) if range.is_disjoint(addresses) => Hit::No,
            Self::Within(range, _) if range.is_subset(addresses) => Hit::Yes,
            Self::Within(_, doubts) => Hit::Maybe(*doubts),
        }
    }
}

/// Whether a pod counts as a process of its node (NP-22).
#[must_use]
pub fn is_host(pod: &Pod, profile: &Profile) -> bool {
    pod.host_network && profile.hostnetwork_pods == HostNetworkPods::AsNode
}

/// How policies see a party (NP-22).
#[must_use]
pub fn seen(cluster: &Cluster, profile: &Profile, party: Party) -> Seen {
    match party {
        Party::Pod(id) => match cluster.pods.at(id) {
            pod if is_host(pod, profile) => Seen::Host { node: pod.node, pod: Some(id) },
            _ => Seen::Pod(id),
        },
        Party::Node(node) => Seen::Host { node: Some(node), pod: None },
        Party::Address(address) => Seen::Address(address),
        Party::Named(name) => Seen::Named(name),
        Party::Somebody(knob) => Seen::Somebody(knob),
    }
}

/// The addresses of a pod in one family.
#[must_use]
pub fn pod_whereabouts(cluster: &Cluster, profile: &Profile, pod: &Pod, family: Family) -> Whereabouts {
    match pod.address(family) {
        Some(address) => Whereabouts::Known(vec![address]),
        None if pod.host_network => host_whereabouts(cluster, profile, pod.node, family),
        None => unknown_pod_whereabouts(profile, family),
    }
}

/// The addresses that a pod may have of which none is known (NP-13).
#[must_use]
pub fn unknown_pod_whereabouts(profile: &Profile, family: Family) -> Whereabouts {
    Whereabouts::Within(profile.pod_cidrs.of(family), Doubts::knob(Knob::PodCidrs))
}

/// The addresses that processes of a node use as source in one family.
#[must_use]
pub fn host_whereabouts(cluster: &Cluster, profile: &Profile, node: Option<NodeId>, family: Family) -> Whereabouts {
    let known = node.map(|node| cluster.nodes.at(node).source_addresses(family)).unwrap_or_default();
    if known.is_empty() {
        Whereabouts::Within(profile.node_cidrs.of(family), Doubts::knob(Knob::NodeCidrs))
    } else {
        Whereabouts::Known(known)
    }
}

/// The addresses that a name outside may stand for in one family (CNP-10).
#[must_use]
pub fn named_whereabouts(family: Family) -> Whereabouts {
    Whereabouts::Within(AddressSet::all_of(family), Doubts::DNS)
}

/// The addresses of an end, whatever it is.
#[must_use]
pub fn whereabouts(cluster: &Cluster, profile: &Profile, seen: Seen, family: Family) -> Whereabouts {
    match seen {
        Seen::Pod(id) | Seen::Host { pod: Some(id), .. } => {
            pod_whereabouts(cluster, profile, cluster.pods.at(id), family)
        }
        Seen::Host { node, pod: None } => host_whereabouts(cluster, profile, node, family),
        Seen::Address(address) => Whereabouts::Known(vec![address]),
        Seen::Named(_) => named_whereabouts(family),
        Seen::Somebody(knob) => Whereabouts::Within(AddressSet::all_of(family), Doubts::knob(knob)),
    }
}

/// The families in which a party can talk (NP-30).
#[must_use]
pub fn families(cluster: &Cluster, profile: &Profile, party: Party) -> Vec<Family> {
    let of_node = |node: Option<NodeId>| -> Vec<Family> {
        let has =
            |family: &Family| node.is_some_and(|node| !cluster.nodes.at(node).source_addresses(*family).is_empty());
        Family::ALL.into_iter().filter(has).collect()
    };
    let known = match party {
        Party::Address(address) => vec![Family::of(address)],
        Party::Named(_) | Party::Somebody(_) => Family::ALL.to_vec(),
        Party::Node(node) => of_node(Some(node)),
        Party::Pod(id) => match cluster.pods.at(id) {
            pod if pod.is_unaddressed() && pod.host_network => of_node(pod.node),
            pod => Family::ALL.into_iter().filter(|family| pod.address(*family).is_some()).collect(),
        },
    };
    if known.is_empty() { profile.pod_families.clone() } else { known }
}

/// Every address outside of the cluster (M-1): no pod's, no node's, no Service's, none of the API server, and in none of
/// the ranges that are known to be those of pods or Services. Of a range that nobody gives only the addresses in use count.
#[must_use]
pub fn outside(cluster: &Cluster, profile: &Profile) -> AddressSet {
    let of_nodes = cluster.nodes.values().flat_map(|node| &node.pod_cidrs).copied().map(AddressSet::net);
    let given = Family::ALL.into_iter().map(|family| profile.pod_cidrs.of(family));
    // The knob says "any" where nobody knows.
    let given = given.zip(Family::ALL).filter(|(range, family)| *range != AddressSet::all_of(*family));
    let of_pods: AddressSet = of_nodes.chain(given.map(|(range, _)| range)).collect();
    let services = cluster.services.values();
    let own = services.flat_map(|service| Family::ALL.into_iter().filter_map(|family| service.address(family)));
    let known = own.chain(profile.ways.apiserver_addresses.iter().copied()).collect::<AddressSet>();
    let inside = of_pods.union(&profile.ways.service_cidrs).union(&known);
    nobodys(cluster).difference(&inside)
}

/// Every address that is no pod's and no node's: those that a question may name besides them (M-1).
#[must_use]
pub fn nobodys(cluster: &Cluster) -> AddressSet {
    let nodes = cluster.nodes.values().flat_map(|node| node.addresses.iter().map(|address| address.ip));
    let live = cluster.pods.values().filter(|pod| pod.state != PodState::Finished);
    let pods = live.flat_map(|pod| Family::ALL.into_iter().filter_map(|family| pod.address(family)));
    nodes.chain(pods).collect::<AddressSet>().complement()
}

/// A judgement that needs no policy, or the flags that go with the one that does.
///
/// # Errors
/// The judgement, when the model alone decides: NP-18, NP-27, NP-30, NP-32.
pub fn premise(cluster: &Cluster, profile: &Profile, flow: &Flow) -> Result<Vec<Flag>, Box<Judgement>> {
    let pod = |party: Party| match party {
        Party::Pod(id) => Some(cluster.pods.at(id)),
        _ => None,
    };
    let (source, destination) = (pod(flow.source), pod(flow.destination));
    let finished = |pod: Option<&Pod>| pod.is_some_and(|pod| pod.state == PodState::Finished);
    let decided = |verdict, rule| Err(Box::new(Judgement::before_policies(verdict, rule)));

    // NP-27: a finished pod has no network.
    if finished(source) {
        return decided(Verdict::NoRoute, "NP-27");
    }
    if finished(destination) {
        return decided(Verdict::NoListener, "NP-27");
    }

    let flags = flags(profile, flow, source, destination);
    let allowed = |rule, flag| {
        let mut flags = flags.clone();
        flags.push(flag);
        flags.sort_unstable();
        Err(Box::new(Judgement::of_ends(End::open(rule), End::open(rule), flags)))
    };
    // NP-18: loopback and a pod's own address. A template asked to itself means two pods of its workload.
    let loopback = matches!(flow.destination, Party::Address(address) if address.is_loopback());
    let itself = flow.source == flow.destination && source.is_some_and(|pod| pod.state != PodState::Template);
    if loopback || (itself && flow.dialled.is_none()) {
        return allowed("NP-18", Flag::SelfTraffic);
    }
    // NP-30: both ends must have the family.
    let speaks = |party| families(cluster, profile, party).contains(&flow.family);
    if !speaks(flow.source) || !speaks(flow.destination) {
        return decided(Verdict::NoRoute, "NP-30");
    }
    // NP-32: nobody enforces.
    if !profile.enforcement {
        return if cluster.policies.is_empty() && cluster.cluster_policies.is_empty() {
            Err(Box::new(Judgement::of_ends(End::open("NP-32"), End::open("NP-32"), flags)))
        } else {
            allowed("NP-32", Flag::UnenforcedPolicies)
        };
    }
    Ok(flags)
}

/// Whether NetworkPolicies let a flow through unasked because a pod reaches itself through a Service (NP-18). A
/// template asked to itself means two pods of its workload.
#[must_use]
pub fn hairpin(cluster: &Cluster, profile: &Profile, flow: &Flow) -> bool {
    let itself = match flow.source {
        Party::Pod(id) => flow.source == flow.destination && cluster.pods.at(id).state != PodState::Template,
        Party::Node(_) | Party::Address(_) | Party::Named(_) | Party::Somebody(_) => false,
    };
    itself && flow.dialled.is_some() && profile.self_via_service == Exemption::Allow
}

fn flags(profile: &Profile, flow: &Flow, source: Option<&Pod>, destination: Option<&Pod>) -> Vec<Flag> {
    let either = |test: &dyn Fn(&Pod) -> bool| source.is_some_and(test) || destination.is_some_and(test);
    let mut flags = Vec::new();
    if destination.is_some_and(|pod| !pod.declares(flow.protocol, flow.port)) {
        flags.push(Flag::UndeclaredPort); // M-5
    }
    if either(&|pod| matches!(pod.state, PodState::Template | PodState::Pending)) {
        flags.push(Flag::Hypothetical); // NP-11b, NP-27
    }
    if either(&|pod| is_host(pod, profile)) {
        flags.push(Flag::HostNetwork); // NP-22
    }
    if matches!(flow.source, Party::Address(_)) && destination.is_some_and(|pod| !pod.host_network) {
        flags.push(Flag::RouteAssumed);
    }
    flags.sort_unstable();
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const BASE: &str = "\
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.1.0.0/24}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x}, spec: {nodeName: n1, containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.1.0.1}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x}, spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}}
";

    #[test]
    fn the_outside_is_what_nobody_knows_to_be_inside() {
        // M-1
        let cluster = testing::cluster(BASE, &[]);
        let is_outside = |knobs: &[(&str, &str)], ip: &str| {
            let mut profile = Profile::default();
            knobs.iter().for_each(|(knob, value)| profile.set(knob, value).unwrap());
            outside(&cluster, &profile).contains(ip.parse().unwrap())
        };
        for inside in ["10.0.0.1", "10.1.0.1", "10.1.0.200", "10.96.0.1"] {
            assert!(!is_outside(&[], inside), "{inside}");
        }
        // Ranges that nobody gives change nothing.
        let beside = ["10.0.0.2", "10.1.1.1", "10.2.0.1", "10.96.0.2", "10.0.0.5", "fd01::5", "203.0.113.1"];
        for outside in beside {
            assert!(is_outside(&[], outside), "{outside}");
        }
        let ranges =
            [("pod_cidrs", "10.2.0.0/16"), ("service_cidrs", "10.96.0.0/12"), ("apiserver_addresses", "10.0.0.5")];
        for (ip, is_left) in beside.into_iter().zip([true, true, false, false, false, true, true]) {
            assert_eq!(is_outside(&ranges, ip), is_left, "{ip}");
        }
    }
}
