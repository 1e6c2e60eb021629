//! Groups: endpoints that policies treat alike, as source and as destination.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::compile::interner::Interner;
use crate::compile::table::Column;
use crate::compile::{AddressClassId, BlockId, ClassId, Compiled, PeersId, PortTableId, ProfileId};
use crate::ids::{IdVec, NodeId, PodId};
use crate::model::premise::{self, Seen};
use crate::model::{AddressSet, Cluster, Direction, Family, Hit, Party, PodState, Profile};
use crate::query::outside_of;

crate::id_type!(
    /// A group of endpoints that policies treat alike.
    GroupId
);
crate::id_type!(
    /// Endpoints that are alike as sources.
    SourceKindId
);
crate::id_type!(
    /// Endpoints that are alike as destinations.
    DestinationKindId
);
crate::id_type!(
    /// A distinct list of peer lists that hold an end.
    SignatureId
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
    fn class(&self) -> Option<ClassId> {
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
    for (class, addresses) in compiled.atoms.cut(&outside_of(cluster)) {
        let speaks = |family| !addresses.of(family).is_empty();
        let columns = Family::ALL.map(|family| speaks(family).then_some(Column { class: None, address: class }));
        outside.push((group(Role::Outside, columns), addresses));
    }
    for (group, party) in members {
        match party {
            Party::Pod(pod) => groups.at_mut(group).pods.push(pod),
            Party::Node(node) => groups.at_mut(group).nodes.push(node),
            Party::Address(_) => {}
        }
    }
    for (group, addresses) in outside {
        groups.at_mut(group).addresses = groups.at(group).addresses.union(&addresses);
    }
    groups
}

/// Which peer lists of one direction hold which ends.
#[derive(Debug)]
pub(super) struct Signatures {
    of_class: IdVec<ClassId, SignatureId>,
    of_address: BTreeMap<AddressClassId, SignatureId>,
    lists: Interner<SignatureId, Vec<(PeersId, Hit)>>,
}

impl Signatures {
    /// For the peer lists that rules of `direction` use. Lists that hold everybody are left to the profiles.
    pub(super) fn new(compiled: &Compiled, direction: Direction, groups: &IdVec<GroupId, Group>) -> Self {
        let profiles = compiled.table.profiles(direction).values();
        let mut used: Vec<PeersId> = profiles.flat_map(|profile| profile.terms.iter().map(|term| term.peers)).collect();
        used.sort_unstable();
        used.dedup();
        used.retain(|peers| !compiled.table.peers.at(*peers).any);

        let mut lists: Interner<SignatureId, Vec<(PeersId, Hit)>> = Interner::default();
        lists.intern(Vec::new());
        let mut holding: IdVec<ClassId, Vec<(PeersId, Hit)>> =
            compiled.classes.classes.ids().map(|_| Vec::new()).collect();
        let mut by_block: FxHashMap<BlockId, Vec<PeersId>> = FxHashMap::default();
        for id in &used {
            let peers = compiled.table.peers.at(*id);
            for class in peers.classes.iter() {
                holding.at_mut(class).push((*id, Hit::Yes));
            }
            for block in &peers.blocks {
                by_block.entry(*block).or_default().push(*id);
            }
        }
        let of_class = holding.values().map(|list| lists.intern(list.clone())).collect();
        let mut of_address = BTreeMap::new();
        for column in groups.values().flat_map(|group| group.columns.into_iter().flatten()) {
            of_address.entry(column.address).or_insert_with(|| {
                let address = compiled.atoms.class(column.address);
                let mut list: Vec<(PeersId, Hit)> = Vec::new();
                for block in address.certain.iter().chain(&address.possible) {
                    let peers = by_block.get(block).into_iter().flatten();
                    list.extend(peers.map(|id| (*id, compiled.table.peers.at(*id).block_hit(address))));
                }
                list.sort_unstable();
                list.dedup();
                lists.intern(list)
            });
        }
        Self { of_class, of_address, lists }
    }

    fn ids(&self, column: Column) -> (SignatureId, SignatureId) {
        let none = crate::ids::Id::from_index(0);
        let class = column.class.map_or(none, |class| *self.of_class.at(class));
        (class, self.of_address.get(&column.address).copied().unwrap_or(none))
    }

    /// The peer lists that hold an end, each once, with how surely.
    pub(super) fn holding(&self, (class, address): (SignatureId, SignatureId)) -> Vec<(PeersId, Hit)> {
        let mut list = self.lists.keys().at(class).clone();
        let by_class = list.len();
        for (peers, hit) in self.lists.keys().at(address) {
            let known = list.get(..by_class).is_some_and(|known| known.iter().any(|(id, _)| id == peers));
            if !known {
                list.push((*peers, *hit));
            }
        }
        list
    }
}

/// What makes an end one kind: its own profile and the peer lists that hold it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Kind {
    pub(super) role: Role,
    /// The profile in its own direction; `None` for what policies do not act on.
    pub(super) profile: Option<ProfileId>,
    /// The table on which port names are looked up, of destinations.
    pub(super) table: Option<PortTableId>,
    signatures: [Option<(SignatureId, SignatureId)>; 2],
}

impl Kind {
    /// The peer lists that hold the kind in a family; `None` when it does not speak it.
    pub(super) fn signature(&self, family: Family) -> Option<(SignatureId, SignatureId)> {
        let [v4, v6] = self.signatures;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}

/// Sorts groups into kinds for one direction. `own` is the direction of the groups' own policies.
pub(super) fn kinds<I: crate::ids::Id>(
    compiled: &Compiled,
    groups: &IdVec<GroupId, Group>,
    own: Direction,
    signatures: &Signatures,
) -> (IdVec<I, Kind>, IdVec<I, Vec<GroupId>>) {
    let mut kinds: Interner<I, Kind> = Interner::default();
    let mut members: IdVec<I, Vec<GroupId>> = IdVec::new();
    for (id, group) in groups.iter() {
        let class = group.class();
        let kind = kinds.intern(Kind {
            role: group.role,
            profile: class.map(|class| compiled.table.profile_of(class, own)),
            table: class.filter(|_| own == Direction::Ingress).map(|class| compiled.classes.classes.at(class).ports),
            signatures: group.columns.map(|column| column.map(|column| signatures.ids(column))),
        });
        if members.get(kind).is_none() {
            members.push(Vec::new());
        }
        members.at_mut(kind).push(id);
    }
    (kinds.into_keys(), members)
}
