//! Where ends are: what blocks know of the addresses of pods and nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::compile::AddressClassId;
use crate::compile::atoms::{Atoms, Holder};
use crate::ids::{IdVec, NodeId, PodId};
use crate::model::{AddressSet, Cluster, Family, Node, Pod, Profile, premise};

/// What is known of the address of a pod in one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// All that blocks can know.
    At(AddressClassId),
    /// A pod that has no address, or none that is known.
    Somewhere,
    /// Those of its node.
    OnNode(Option<NodeId>),
}

/// The address classes of all pods and nodes, each by family.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pods: IdVec<PodId, [Place; 2]>,
    nodes: IdVec<NodeId, [AddressClassId; 2]>,
    /// Every address of every node by itself.
    hosts: BTreeSet<(NodeId, IpAddr, AddressClassId)>,
    unknown_pod: [AddressClassId; 2],
    unknown_host: [AddressClassId; 2],
}

impl Places {
    pub(super) fn new(atoms: &mut Atoms, cluster: &Cluster, profile: &Profile) -> Self {
        let mut places = Self {
            pods: IdVec::new(),
            nodes: IdVec::new(),
            hosts: BTreeSet::new(),
            unknown_pod: [AddressClassId::FIRST; 2],
            unknown_host: [AddressClassId::FIRST; 2],
        };
        places.learn_unknown(atoms, cluster, profile);
        for (id, node) in cluster.nodes.iter() {
            places.put_node(atoms, cluster, profile, id, node);
        }
        for (id, pod) in cluster.pods.iter() {
            places.put_pod(atoms, cluster, profile, id, pod);
        }
        places
    }

    /// What is known of ends of which nobody knows where they are.
    pub(super) fn learn_unknown(&mut self, atoms: &mut Atoms, cluster: &Cluster, profile: &Profile) {
        self.unknown_host = of_host(atoms, cluster, profile, None);
        self.unknown_pod = Family::ALL.map(|family| {
            let address = atoms.of_whereabouts(family, &premise::unknown_pod_whereabouts(profile, family));
            atoms.of_end(profile, cluster, Holder::Pod, address)
        });
    }

    /// Takes in a pod, new or changed.
    pub(super) fn put_pod(&mut self, atoms: &mut Atoms, cluster: &Cluster, profile: &Profile, id: PodId, pod: &Pod) {
        let is_host = premise::is_host(pod, profile);
        let holder = if is_host { Holder::Host(pod.node) } else { Holder::Pod };
        let place = Family::ALL.map(|family| match pod.address(family) {
            Some(address) => {
                let address = atoms.outside(address);
                Place::At(atoms.of_end(profile, cluster, holder, address))
            }
            None if is_host => Place::OnNode(pod.node),
            None if !pod.host_network => Place::Somewhere,
            None => {
                let somewhere = premise::pod_whereabouts(cluster, profile, pod, family);
                let address = atoms.of_whereabouts(family, &somewhere);
                Place::At(atoms.of_end(profile, cluster, holder, address))
            }
        });
        match self.pods.get_mut(id) {
            Some(known) => *known = place,
            None => drop(self.pods.push(place)),
        }
    }

    /// Takes in a node, new or seen by other blocks.
    pub(super) fn put_node(
        &mut self,
        atoms: &mut Atoms,
        cluster: &Cluster,
        profile: &Profile,
        id: NodeId,
        node: &Node,
    ) {
        let places = of_host(atoms, cluster, profile, Some(id));
        match self.nodes.get_mut(id) {
            Some(known) => {
                *known = places;
                self.forget_hosts(id);
            }
            None => drop(self.nodes.push(places)),
        }
        for address in node.addresses.iter().map(|address| address.ip) {
            let outside = atoms.outside(address);
            self.hosts.insert((id, address, atoms.of_end(profile, cluster, Holder::Host(Some(id)), outside)));
        }
    }

    /// Takes away the addresses of a node.
    pub(super) fn forget_hosts(&mut self, id: NodeId) {
        let gone: Vec<_> = self.of_node(id).copied().collect();
        for host in gone {
            self.hosts.remove(&host);
        }
    }

    fn of_node(&self, id: NodeId) -> impl Iterator<Item = &(NodeId, IpAddr, AddressClassId)> {
        let first = (id, IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), AddressClassId::FIRST);
        self.hosts.range(first..).take_while(move |(of, ..)| *of == id)
    }

    pub(super) fn of_pod(&self, pod: PodId, family: Family) -> AddressClassId {
        match self.pods.get(pod).map(|place| of_family(*place, family)) {
            Some(Place::At(address)) => address,
            Some(Place::OnNode(node)) => self.of_host(node, family),
            Some(Place::Somewhere) | None => of_family(self.unknown_pod, family),
        }
    }

    pub(super) fn of_host(&self, node: Option<NodeId>, family: Family) -> AddressClassId {
        of_family(node.map_or(self.unknown_host, |node| *self.nodes.at(node)), family)
    }

    /// The number of nodes.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The addresses of nodes.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (NodeId, IpAddr, AddressClassId)> {
        self.hosts.iter().copied()
    }
}

fn of_host(atoms: &mut Atoms, cluster: &Cluster, profile: &Profile, node: Option<NodeId>) -> [AddressClassId; 2] {
    Family::ALL.map(|family| {
        let address = atoms.of_whereabouts(family, &premise::host_whereabouts(cluster, profile, node, family));
        atoms.of_end(profile, cluster, Holder::Host(node), address)
    })
}

/// Whether a block that is new can change what is known of a node.
pub(super) fn may_hold(block: &AddressSet, node: &Node) -> bool {
    Family::ALL.into_iter().any(|family| {
        let known = node.source_addresses(family);
        let nowhere = known.is_empty() && !block.is_disjoint(&AddressSet::all_of(family));
        nowhere || node.addresses.iter().any(|address| block.contains(address.ip))
    })
}

fn of_family<T>([v4, v6]: [T; 2], family: Family) -> T {
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}
