//! Subjects as bundles of parties that every answer treats alike.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::analysis::Analysis;
use crate::ids::{NodeId, PodId};
use crate::model::{AddressSet, Domains, Family, Name, Party, PodState, premise};
use crate::query::subject::{PortAsk, Subject};
use crate::ways::clients::Clients;

/// Some parties of one kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Actor {
    /// These pods, in id order.
    Pods(Vec<PodId>),
    /// Processes on a node.
    Node(NodeId),
    /// These outside addresses.
    Addresses(AddressSet),
    /// The addresses outside that DNS gives for a name. A destination only.
    Name(Name),
}

/// Parties that are alike for a question: any of them may stand for all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bundle {
    pub(super) actor: Actor,
    /// One of them.
    pub(super) first: Party,
    /// Another one, if there is one: needed to ask a bundle about itself.
    pub(super) second: Option<Party>,
    /// The port number that the asked name means there, when a name is asked for.
    pub(super) named: Option<u16>,
    /// The one family that is meant, when the subject is written as addresses (NP-30).
    pub(super) only: Option<Family>,
}

impl Bundle {
    pub(super) fn of(actor: Actor) -> Option<Self> {
        let (first, second) = match &actor {
            Actor::Name(_) => return None,
            Actor::Pods(pods) => (Party::Pod(*pods.first()?), pods.get(1).map(|pod| Party::Pod(*pod))),
            Actor::Node(node) => (Party::Node(*node), None),
            Actor::Addresses(addresses) => (Party::Address(addresses.first()?), None),
        };
        Some(Self { actor, first, second, named: None, only: None })
    }

    /// CNP-10: all that policies can know of a name is its class.
    fn of_name(analysis: &Analysis, name: &Name) -> Self {
        let class = Domains::new(analysis.cluster.cluster_policies.values()).class(name);
        Self { actor: Actor::Name(name.clone()), first: Party::Named(class), second: None, named: None, only: None }
    }
}

/// What tells pods apart in a question.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PodKey {
    columns: crate::compile::PodColumns,
    families: Vec<Family>,
    node: Option<NodeId>,
    state: PodState,
    host_network: bool,
    declares: bool,
    named: Option<u16>,
}

/// Whether a subject may hold processes on nodes: only to them it matters on which node a pod runs (NP-19).
pub(super) fn may_hold_hosts(analysis: &Analysis, subject: &Subject) -> bool {
    let cluster = &analysis.cluster;
    let host = |pod: &PodId| premise::is_host(cluster.pods.at(*pod), &analysis.profile);
    match subject {
        Subject::Workload(id) => cluster.workloads.at(*id).pods.iter().any(host),
        Subject::Pod(id) => host(id),
        Subject::Namespace(id) => {
            let mut pods = cluster.pods.iter().filter(|(_, pod)| pod.namespace == *id);
            pods.any(|(pod, _)| host(&pod))
        }
        Subject::Internet | Subject::Name(_) => false,
        Subject::Node(_) | Subject::Address(_) | Subject::Cidr(_) | Subject::Everything => true,
    }
}

/// The parties of a subject, bundled. `port` is what is asked of them as destinations; `placement`, whether it
/// matters on which nodes they run.
pub(super) fn bundles(analysis: &Analysis, subject: &Subject, port: &PortAsk, placement: bool) -> Vec<Bundle> {
    let cluster = &analysis.cluster;
    let (mut pods, mut nodes, mut addresses) = (Vec::new(), Vec::new(), AddressSet::empty());
    match subject {
        Subject::Workload(id) => pods = cluster.workloads.at(*id).pods.clone(),
        Subject::Pod(id) => pods.push(*id),
        Subject::Namespace(id) => {
            pods = cluster.pods.iter().filter(|(_, pod)| pod.namespace == *id).map(|(pod, _)| pod).collect();
        }
        Subject::Node(id) => nodes.push(*id),
        Subject::Address(address) => addresses = AddressSet::from(*address),
        Subject::Cidr(net) => addresses = AddressSet::net(*net),
        Subject::Internet => addresses = premise::outside(cluster, &analysis.profile),
        Subject::Name(name) => return vec![Bundle::of_name(analysis, name)],
        Subject::Everything => {
            pods = cluster.pods.ids().collect();
            nodes = cluster.nodes.ids().collect();
            addresses = premise::outside(cluster, &analysis.profile);
        }
    }
    if matches!(subject, Subject::Address(_) | Subject::Cidr(_)) {
        let inside = inside(analysis, &addresses);
        pods = inside.pods;
        nodes = inside.nodes;
        addresses = addresses.difference(&inside.taken);
    }
    let mut bundles = pod_bundles(analysis, pods, port, placement);
    bundles.extend(nodes.into_iter().filter_map(|node| Bundle::of(Actor::Node(node))));
    let cells = analysis.compiled.cut(&addresses).into_iter();
    bundles.extend(cells.filter_map(|addresses| Bundle::of(Actor::Addresses(addresses))));
    let only = match subject {
        Subject::Address(address) => Some(Family::of(*address)),
        Subject::Cidr(net) => Some(Family::of(net.network())),
        _ => None,
    };
    for bundle in &mut bundles {
        bundle.only = only;
    }
    bundles
}

/// The parties of a subject as clients of ways, alike ones once: who stands for whom. Outside addresses are one set.
#[must_use]
pub fn clients(analysis: &Analysis, subject: &Subject) -> Vec<(Actor, Clients)> {
    let mut found = Vec::new();
    let mut outside = AddressSet::empty();
    for bundle in bundles(analysis, subject, &PortAsk::Any, true) {
        match bundle.actor {
            Actor::Addresses(addresses) => outside = outside.union(&addresses),
            actor => found.push((actor, Clients::Party(bundle.first))),
        }
    }
    if !outside.is_empty() {
        found.push((Actor::Addresses(outside.clone()), Clients::Outside(outside)));
    }
    found
}

fn pod_bundles(analysis: &Analysis, pods: Vec<PodId>, port: &PortAsk, placement: bool) -> Vec<Bundle> {
    let mut by_key: BTreeMap<PodKey, Vec<PodId>> = BTreeMap::new();
    for id in pods {
        let pod = analysis.cluster.pods.at(id);
        let named = match port {
            PortAsk::Name(protocol, name) => {
                let declared = pod.ports.iter();
                let mut called = declared.filter(|port| port.protocol == *protocol && port.name.as_ref() == Some(name));
                called.next().map(|port| port.port)
            }
            _ => None,
        };
        let declares = match (port, named) {
            (PortAsk::Number(protocol, number), _) => pod.declares(*protocol, *number),
            (_, named) => named.is_some(),
        };
        let key = PodKey {
            columns: analysis.compiled.pod_columns(id),
            families: premise::families(&analysis.cluster, &analysis.profile, Party::Pod(id)),
            node: pod.node.filter(|_| placement || premise::is_host(pod, &analysis.profile)),
            state: pod.state,
            host_network: pod.host_network,
            declares,
            named,
        };
        by_key.entry(key).or_default().push(id);
    }
    let bundle = |(key, pods): (PodKey, Vec<PodId>)| {
        let bundle = Bundle::of(Actor::Pods(pods))?;
        Some(Bundle { named: key.named, ..bundle })
    };
    let mut bundles: Vec<Bundle> = by_key.into_iter().filter_map(bundle).collect();
    bundles.sort_by(|a, b| a.actor.cmp(&b.actor));
    bundles
}

struct Inside {
    pods: Vec<PodId>,
    nodes: Vec<NodeId>,
    taken: AddressSet,
}

/// The pods and nodes whose addresses are in a set. A hostNetwork pod shares its node's address: the node is meant.
fn inside(analysis: &Analysis, addresses: &AddressSet) -> Inside {
    let cluster = &analysis.cluster;
    let mut taken: Vec<IpAddr> = Vec::new();
    let (mut pods, mut nodes) = (Vec::new(), Vec::new());
    for (id, node) in cluster.nodes.iter() {
        let held: Vec<_> =
            node.addresses.iter().map(|address| address.ip).filter(|ip| addresses.contains(*ip)).collect();
        if !held.is_empty() {
            nodes.push(id);
            taken.extend(held);
        }
    }
    for (id, pod) in cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished) {
        let held =
            Family::ALL.into_iter().filter_map(|family| pod.address(family)).filter(|ip| addresses.contains(*ip));
        let held: Vec<_> = held.filter(|ip| !(pod.host_network && taken.contains(ip))).collect();
        if !held.is_empty() {
            pods.push(id);
            taken.extend(held);
        }
    }
    Inside { pods, nodes, taken: taken.into_iter().collect() }
}
