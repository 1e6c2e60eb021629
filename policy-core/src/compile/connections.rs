//! All connections of a cluster, grouped and compressed without loss: `list`, `graph`.

use std::collections::BTreeMap;

use crate::compile::groups::{Group, GroupId, Role, groups};
use crate::compile::interner::Interner;
use crate::compile::kinds::{Kinds, Signatures};
use crate::compile::ports::PortValue;
use crate::compile::rows::{Row, Rows};
use crate::compile::{Compiled, DestinationKindId, SourceKindId};
use crate::ids::{IdVec, NodeId, PodId};
use crate::model::{Cluster, Direction, Family, KnobSet, PortSet, Profile};

crate::id_type!(
    /// A distinct set of groups.
    GroupSetId
);

/// Every source reaches every destination on these ports, in each of the families that both ends speak.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The sources.
    pub sources: GroupSetId,
    /// The destinations.
    pub destinations: GroupSetId,
    /// The families.
    pub families: Vec<Family>,
    /// The ports that are admitted, certainly or possibly. Never empty.
    pub ports: PortValue,
}

/// All that policies admit.
///
/// Blocks never speak twice of one pair of groups in one family, and a pair of which no block speaks is denied.
/// Two exemptions from policies are listed apart, because they are matters of pods and not of groups: a node and
/// its hostNetwork pods always reach the pods on that node ([`Connections::own_node`], NP-19), and a pod always
/// reaches itself (NP-18).
#[derive(Clone, Debug)]
pub struct Connections {
    /// The groups.
    pub groups: IdVec<GroupId, Group>,
    /// Distinct sets of groups, each sorted.
    pub sets: IdVec<GroupSetId, Vec<GroupId>>,
    /// The blocks, in order of their sets.
    pub blocks: Vec<Block>,
    /// NP-19: the pods isolated for ingress, by the node on which they run. `None` holds those whose node is not
    /// known: whether a given node reaches them depends on where they are placed.
    pub own_node: BTreeMap<Option<NodeId>, Vec<PodId>>,
}

/// The kinds of both sides, and the rows between them.
struct Sides {
    groups: IdVec<GroupId, Group>,
    ingress: Signatures,
    egress: Signatures,
    sources: Kinds<SourceKindId>,
    destinations: Kinds<DestinationKindId>,
}

impl Sides {
    fn new(compiled: &Compiled, cluster: &Cluster, profile: &Profile) -> Self {
        let groups = groups(compiled, cluster, profile);
        let ingress = Signatures::new(compiled, Direction::Ingress, &groups);
        let egress = Signatures::new(compiled, Direction::Egress, &groups);
        let sources = Kinds::new(compiled, &groups, Direction::Egress, &ingress);
        let destinations = Kinds::new(compiled, &groups, Direction::Ingress, &egress);
        Self { groups, ingress, egress, sources, destinations }
    }

    fn rows<'a>(&'a self, compiled: &'a Compiled) -> Rows<'a> {
        let weight = |groups: &Vec<GroupId>| {
            let in_family = |family| {
                let speak = groups.iter().filter(|group| self.groups.at(**group).families.contains(&family));
                speak.map(|group| self.members(*group)).sum::<u32>()
            };
            Family::ALL.map(in_family)
        };
        let weights = self.sources.groups.values().map(weight).collect();
        Rows::new(compiled, &self.sources, &self.destinations, [&self.ingress, &self.egress], weights)
    }

    /// The number of endpoints in a group; outside counts as one.
    fn members(&self, group: GroupId) -> u32 {
        let group = self.groups.at(group);
        u32::try_from((group.pods.len() + group.nodes.len()).max(1)).unwrap_or(u32::MAX)
    }
}

/// Computes all connections.
#[must_use]
pub fn connections(compiled: &Compiled, cluster: &Cluster, profile: &Profile) -> Connections {
    let sides = Sides::new(compiled, cluster, profile);
    let mut rows = sides.rows(compiled);
    let mut sets: Interner<GroupSetId, Vec<GroupId>> = Interner::default();
    let mut set = |mut groups: Vec<GroupId>| {
        groups.sort_unstable();
        sets.intern(groups)
    };
    let mut found: BTreeMap<(GroupSetId, GroupSetId, PortOrder), Vec<Family>> = BTreeMap::new();
    for (place, of_cut) in rows.by_cut() {
        let cut = rows.cut(place);
        let mut destinations_of: BTreeMap<Row, Vec<GroupId>> = BTreeMap::new();
        for (id, families) in of_cut {
            for row in rows.of(id, &families) {
                destinations_of.entry(row).or_default().extend_from_slice(sides.destinations.groups.at(id));
            }
        }
        for (row, destinations) in destinations_of {
            let destinations = set(destinations);
            for (value, kinds) in rows.regions(&cut, &row) {
                let members = kinds.into_iter().flat_map(|kind| sides.sources.groups.at(kind).iter().copied());
                let speaks =
                    |group: &GroupId| sides.groups.at(*group).families.iter().any(|of| row.families.contains(of));
                let sources: Vec<GroupId> = members.filter(speaks).collect();
                if sources.is_empty() {
                    continue;
                }
                let sources = set(sources);
                let PortValue { certain, possible, knobs, learned } = rows.values.get(value).clone();
                let ports = (certain, possible, knobs, learned);
                found.entry((sources, destinations, ports)).or_default().extend(&row.families);
            }
        }
    }
    let block = |((sources, destinations, (certain, possible, knobs, learned)), families)| Block {
        sources,
        destinations,
        families,
        ports: PortValue { certain, possible, knobs, learned },
    };
    let blocks = found.into_iter().map(block).collect();
    let own_node = own_nodes(compiled, cluster, &sides.groups);
    Connections { groups: sides.groups, sets: sets.into_keys(), blocks, own_node }
}

/// Port values in an order that does not depend on how they were interned.
type PortOrder = (PortSet, PortSet, KnobSet, PortSet);

/// The number of ordered pairs of kinds of endpoints and ports that are certainly admitted, over all rows: the work
/// of [`connections`] without writing the answer down.
///
/// Counts (source, destination, protocol, port, family) with sources and destinations weighted by their members; outside
/// counts as one endpoint a group, and an endpoint's pair with itself counts like any other.
#[must_use]
pub fn count_admitted(compiled: &Compiled, cluster: &Cluster, profile: &Profile) -> u128 {
    let sides = Sides::new(compiled, cluster, profile);
    let mut rows = sides.rows(compiled);
    let mut total = 0;
    for (place, of_cut) in rows.by_cut() {
        rows.cut(place);
        for (id, families) in of_cut {
            let destinations: u32 = sides.destinations.groups.at(id).iter().map(|group| sides.members(*group)).sum();
            for row in rows.of(id, &families) {
                total += u128::from(destinations) * rows.count(&row);
            }
        }
    }
    total
}

impl Connections {
    /// The groups alone.
    #[must_use]
    pub fn of_groups(compiled: &Compiled, cluster: &Cluster, profile: &Profile) -> Self {
        let groups = groups(compiled, cluster, profile);
        Self { groups, sets: IdVec::new(), blocks: Vec::new(), own_node: BTreeMap::new() }
    }

    /// The sources of a block.
    #[must_use]
    pub fn sources(&self, block: &Block) -> &[GroupId] {
        self.sets.at(block.sources)
    }

    /// The destinations of a block.
    #[must_use]
    pub fn destinations(&self, block: &Block) -> &[GroupId] {
        self.sets.at(block.destinations)
    }
}

fn own_nodes(
    compiled: &Compiled,
    cluster: &Cluster,
    groups: &IdVec<GroupId, Group>,
) -> BTreeMap<Option<NodeId>, Vec<PodId>> {
    let mut own: BTreeMap<Option<NodeId>, Vec<PodId>> = BTreeMap::new();
    for pod in groups.values().filter(|group| group.role == Role::Pod).flat_map(|group| &group.pods) {
        if compiled.is_isolated(*pod, Direction::Ingress) && !compiled.may_take_hosts(*pod, Direction::Ingress) {
            own.entry(cluster.pods.at(*pod).node).or_default().push(*pod);
        }
    }
    for pods in own.values_mut() {
        pods.sort_unstable();
    }
    own
}
