//! Our answer in the peer's terms: workloads and ranges of addresses, and the ports between them.
//!
//! Only [`Judge`] is asked, so that the evaluators are compared and not the code that lists connections. The questions
//! are exact all the same: ports and addresses are cut wherever a policy could begin or cease to match, and one
//! of each piece is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use policy_core::ids::PodId;
use policy_core::model::{
    AddressSet, Cluster, Direction, Family, Flow, Judge, Party, Peer, Peers, PodState, PortMatch, PortSet, Ports,
    Protocol, Rule, TierPeer, TierPeers, TierRule, Verdict,
};

use super::expected::{Side, cuts};
use crate::pipeline::party_at;

/// What one pair of sides may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// On these ports every pod of the pair gets through.
    pub allowed: PortSet,
    /// On these the verdict is neither allowed nor denied, or pods of one workload differ.
    pub open: PortSet,
}

/// The whole answer, by source and destination. Pairs with nothing in them are there, too.
pub(super) type Table = BTreeMap<(Side, Side), Answer>;

/// Closed ranges that cut the IPv4 addresses so that no policy treats two addresses of one piece differently, and no
/// piece straddles one of `further`.
pub(super) fn pieces(cluster: &Cluster, further: impl IntoIterator<Item = (u32, u32)>) -> Vec<(u32, u32)> {
    let mut starts = BTreeSet::from([0]);
    starts.extend(further.into_iter().flat_map(cuts));
    for rule in rules(cluster) {
        let Peers::OneOf(peers) = &rule.peers else { continue };
        for peer in peers {
            if let Peer::Block(block) = peer {
                starts.extend(block.addresses().v4().intervals().iter().copied().flat_map(cuts));
            }
        }
    }
    for rule in tier_rules(cluster) {
        let TierPeers::OneOf(peers) = &rule.peers else { continue };
        for peer in peers {
            if let TierPeer::Network { cidr, .. } = peer {
                starts.extend(AddressSet::net(*cidr).v4().intervals().iter().copied().flat_map(cuts));
            }
        }
    }
    let starts: Vec<_> = starts.into_iter().collect();
    let lasts = starts.iter().skip(1).map(|next| next - 1).chain([u32::MAX]);
    starts.iter().copied().zip(lasts).collect()
}

fn rules(cluster: &Cluster) -> impl Iterator<Item = &Rule> {
    cluster
        .policies
        .values()
        .flat_map(|policy| Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten())
}

fn tier_rules(cluster: &Cluster) -> impl Iterator<Item = &TierRule> {
    let policies = cluster.cluster_policies.values();
    policies.flat_map(|policy| Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction)))
}

/// One port of each piece into which the policies and the declared ports cut a protocol, with the piece.
fn port_pieces(cluster: &Cluster) -> Vec<(Protocol, u16, u16)> {
    let mut starts: BTreeMap<Protocol, BTreeSet<u16>> =
        Protocol::ALL.into_iter().map(|protocol| (protocol, BTreeSet::from([1]))).collect();
    let mut cut = |protocol: Protocol, first: u16, last: u16| {
        let starts = starts.entry(protocol).or_default();
        starts.insert(first.max(1));
        starts.extend(last.checked_add(1));
    };
    for pod in cluster.pods.values() {
        for port in pod.ports.iter() {
            cut(port.protocol, port.port, port.port);
        }
    }
    let of_tiers = tier_rules(cluster).map(|rule| &rule.ports);
    for ports in rules(cluster).map(|rule| &rule.ports).chain(of_tiers) {
        let Ports::OneOf(ports) = ports else { continue };
        for port in ports {
            if let PortMatch::Number { port: first, end } = port.port {
                cut(port.protocol, first, first);
                cut(port.protocol, first, end.unwrap_or(first));
            }
        }
    }
    let mut pieces = Vec::new();
    for (protocol, starts) in starts {
        let starts: Vec<_> = starts.into_iter().collect();
        let lasts = starts.iter().skip(1).map(|next| next - 1).chain([u16::MAX]);
        pieces.extend(starts.iter().copied().zip(lasts).map(|(first, last)| (protocol, first, last)));
    }
    pieces
}

/// Asks about every pair of workloads, and of a workload and a piece of the outside.
pub(super) fn table(cluster: &Cluster, judge: &dyn Judge, pieces: &[(u32, u32)]) -> Table {
    let ports = port_pieces(cluster);
    let workloads = workloads(cluster);
    let outside: Vec<_> = pieces.iter().filter_map(|piece| witness(cluster, *piece).map(|at| (*piece, at))).collect();
    let mut table = Table::new();
    for (name, pods) in &workloads {
        for (other, peers) in workloads.iter().filter(|(other, _)| *other != name) {
            let ends = pods.iter().flat_map(|pod| peers.iter().map(|peer| (Party::Pod(*pod), Party::Pod(*peer))));
            let answer = ask(cluster, judge, &ports, ends);
            table.insert((Side::Workload(name.clone()), Side::Workload((*other).clone())), answer);
        }
        for ((first, last), at) in &outside {
            let (workload, range) = (Side::Workload(name.clone()), Side::Range(*first, *last));
            let out = ask(cluster, judge, &ports, pods.iter().map(|pod| (Party::Pod(*pod), *at)));
            let into = ask(cluster, judge, &ports, pods.iter().map(|pod| (*at, Party::Pod(*pod))));
            table.insert((workload.clone(), range.clone()), out);
            table.insert((range, workload), into);
        }
    }
    table
}

/// `namespace/name[Kind]` with the pods that have a network.
fn workloads(cluster: &Cluster) -> BTreeMap<String, Vec<PodId>> {
    let mut workloads = BTreeMap::new();
    for workload in cluster.workloads.values() {
        let Some(namespace) = cluster.namespaces.get(workload.namespace) else { continue };
        let alive = |id: &PodId| cluster.pods.get(*id).is_some_and(|pod| pod.state != PodState::Finished);
        let pods: Vec<_> = workload.pods.iter().copied().filter(alive).collect();
        if !pods.is_empty() {
            workloads.insert(format!("{}/{}[{}]", namespace.name, workload.name, workload.kind), pods);
        }
    }
    workloads
}

/// An address of the piece that stands for it: nobody's in the cluster, unless the piece is a single address. The
/// peer knows no pod by its address, so a piece that holds nothing but pods is not asked about.
fn witness(cluster: &Cluster, (first, last): (u32, u32)) -> Option<Party> {
    let address = |number: u32| IpAddr::V4(Ipv4Addr::from(number));
    if first == last {
        let party = party_at(cluster, address(first));
        return (!matches!(party, Party::Pod(_))).then_some(party);
    }
    let pods = cluster.pods.values().filter_map(|pod| pod.address(Family::V4));
    let nodes = cluster.nodes.values().flat_map(|node| node.addresses.iter().map(|at| at.ip));
    let taken: AddressSet = pods.chain(nodes).collect();
    let free = AddressSet::range(address(first), address(last)).difference(&taken);
    free.first().map(Party::Address)
}

fn ask(
    cluster: &Cluster,
    judge: &dyn Judge,
    ports: &[(Protocol, u16, u16)],
    ends: impl Iterator<Item = (Party, Party)>,
) -> Answer {
    let (mut all, mut any, mut open) = (PortSet::all(), PortSet::empty(), PortSet::empty());
    for (source, destination) in ends {
        let family = family(cluster, source, destination);
        let mut allowed = PortSet::empty();
        for (protocol, first, last) in ports {
            let piece = || PortSet::range(*protocol, *first, *last);
            match judge.judge(&Flow::direct(source, destination, family, *protocol, *first)).verdict {
                Verdict::Allowed => allowed = allowed.union(&piece()),
                Verdict::Denied => {}
                _ => open = open.union(&piece()),
            }
        }
        all = all.intersection(&allowed);
        any = any.union(&allowed);
    }
    let open = open.union(&any.difference(&all));
    Answer { allowed: all, open }
}

/// IPv4, unless an end has an address and none of that family.
fn family(cluster: &Cluster, source: Party, destination: Party) -> Family {
    let only_v6 = |party: Party| match party {
        Party::Pod(id) => cluster.pods.get(id).is_some_and(|pod| pod.v4.is_none() && pod.v6.is_some()),
        Party::Node(_) | Party::Address(_) | Party::Named(_) | Party::Somebody(_) => false,
    };
    if only_v6(source) || only_v6(destination) { Family::V6 } else { Family::V4 }
}
