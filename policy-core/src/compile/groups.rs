//! Groups: endpoints that policies treat alike, as source and as destination.

use crate::compile::interner::Interner;
use crate::compile::table::Column;
use crate::compile::{ClassId, Compiled};
use crate::ids::{IdVec, NodeId, PodId};
use crate::model::premise::{self, Seen};
use crate::model::{AddressSet, Cluster, Family, Party, PodState, Profile};

crate::id_type!(
    /// A group of endpoints that policies treat alike.
    GroupId
);
/// What an endpoint is to policies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// A pod that policies act on.
    Pod,
    /// A pod on the host's network (NP-22).
    HostPod,
    /// A process on a node.
    Node,
    /// An address outside.
    Outside,
}

impl Role {
    /// Whether a connection from this role to that one is part of the picture. Hosts and outside among themselves
    /// are nobody's question.
    #[must_use]
    pub fn meets(self, destination: Self) -> bool {
        match (self, destination) {
            (Self::Pod, _) | (_, Self::Pod) => true,
            (Self::HostPod, Self::HostPod | Self::Outside) | (Self::Outside, Self::HostPod) => true,
            (Self::HostPod, Self::Node) | (Self::Node | Self::Outside, _) => false,
        }
    }
}

/// Endpoints that every policy treats alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// What they are.
    pub role: Role,
    /// The pods, in id order.
    pub pods: Vec<PodId>,
    /// The nodes, in id order.
    pub nodes: Vec<NodeId>,
    /// The outside addresses.
    pub addresses: AddressSet,
    /// The families in which they can talk.
    pub families: Vec<Family>,
    pub(super) columns: [Option<Column>; 2],
}

impl Group {
    pub(super) fn class(&self) -> Option<ClassId> {
        self.columns.iter().flatten().next().and_then(|column| column.class)
    }
}

/// All endpoints of a cluster, grouped. Finished pods are in no group (NP-27).
pub(super) fn groups(compiled: &Compiled, cluster: &Cluster, profile: &Profile) -> IdVec<GroupId, Group> {
    let mut by_key: Interner<GroupId, (Role, [Option<Column>; 2])> = Interner::default();
    let mut groups: IdVec<GroupId, Group> = IdVec::new();
    let mut group = |role, columns: [Option<Column>; 2]| {
        let id = by_key.intern((role, columns));
        if groups.get(id).is_none() {
            let speaks = Family::ALL.into_iter().zip(columns).filter_map(|(family, column)| column.map(|_| family));
            let families = speaks.collect();
            let addresses = AddressSet::empty();
            groups.push(Group { role, pods: Vec::new(), nodes: Vec::new(), addresses, families, columns });
        }
        id
    };
    let columns = |party: Party, seen: Seen| {
        let families = premise::families(cluster, profile, party);
        Family::ALL.map(|family| families.contains(&family).then(|| compiled.column(seen, family)))
    };
    let mut members: Vec<(GroupId, Party)> = Vec::new();
    for (id, pod) in cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished) {
        let party = Party::Pod(id);
        let role = if premise::is_host(pod, profile) { Role::HostPod } else { Role::Pod };
        members.push((group(role, columns(party, premise::seen(cluster, profile, party))), party));
    }
    for id in cluster.nodes.ids() {
        let party = Party::Node(id);
        members.push((group(Role::Node, columns(party, premise::seen(cluster, profile, party))), party));
    }
    let mut outside: Vec<(GroupId, AddressSet)> = Vec::new();
    for (class, addresses) in compiled.atoms.cut(&premise::outside(cluster, profile)) {
        let speaks = |family| !addresses.of(family).is_empty();
        let columns =
            Family::ALL.map(|family| speaks(family).then_some(Column { class: None, address: class, somebody: None }));
        outside.push((group(Role::Outside, columns), addresses));
    }
    for (group, party) in members {
        match party {
            Party::Pod(pod) => groups.at_mut(group).pods.push(pod),
            Party::Node(node) => groups.at_mut(group).nodes.push(node),
            Party::Address(_) | Party::Named(_) | Party::Somebody(_) => {}
        }
    }
    for (group, addresses) in outside {
        groups.at_mut(group).addresses = groups.at(group).addresses.union(&addresses);
    }
    groups
}
