//! All connections of a cluster, grouped and compressed without loss: `list`, `graph`.

use std::collections::BTreeMap;

use crate::compile::groups::{DestinationKindId, Group, GroupId, Role, Signatures, SourceKindId, groups, kinds};
use crate::compile::interner::Interner;
use crate::compile::ports::PortValue;
use crate::compile::rows::{Row, Rows};
use crate::compile::{Compiled, RowId, SenderGroupId, SenderId, ValueId};
use crate::ids::{IdVec, NodeId, PodId};
use crate::model::{Cluster, Direction, Family, Profile};

crate::id_type!(
    /// A distinct set of groups.
    GroupSetId
);

/// Every source in `sources` but not in `except` reaches every destination on these ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The sources.
    pub sources: GroupSetId,
    /// Those of `sources` for which another block speaks, or none.
    pub except: GroupSetId,
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

/// Computes all connections.
#[must_use]
pub fn connections(compiled: &Compiled, cluster: &Cluster, profile: &Profile) -> Connections {
    let groups = groups(compiled, cluster, profile);
    let ingress = Signatures::new(compiled, Direction::Ingress, &groups);
    let egress = Signatures::new(compiled, Direction::Egress, &groups);
    let (sources, source_members) = kinds::<SourceKindId>(compiled, &groups, Direction::Egress, &ingress);
    let (destinations, destination_members) =
        kinds::<DestinationKindId>(compiled, &groups, Direction::Ingress, &egress);
    let mut blocks = Blocks { source_members: &source_members, sets: Interner::default(), found: BTreeMap::new() };
    for family in Family::ALL {
        let mut rows = Rows::new(compiled, family, &sources, &ingress, &egress);
        let (table, row_of) = rows.rows(&destinations);
        blocks.add(family, &rows, &table, &row_of, &destination_members);
    }
    let own_node = own_nodes(compiled, cluster, &groups);
    let (sets, blocks) = blocks.finish();
    Connections { groups, sets, blocks, own_node }
}

impl Connections {
    fn weight(&self, group: GroupId) -> u128 {
        let group = self.groups.at(group);
        let members = group.pods.len() + group.nodes.len();
        u128::try_from(members.max(1)).unwrap_or(u128::MAX)
    }

    /// The number of (source, destination, protocol, port, family) that are certainly admitted, self pairs left out;
    /// outside counts as one endpoint a group.
    #[must_use]
    pub fn count_admitted(&self) -> u128 {
        let weights: IdVec<GroupSetId, u128> =
            self.sets.values().map(|set| set.iter().map(|group| self.weight(*group)).sum()).collect();
        self.blocks
            .iter()
            .map(|block| {
                let sources = weights.at(block.sources) - weights.at(block.except);
                let pairs = sources * weights.at(block.destinations) - self.self_pairs(block);
                pairs * u128::from(block.ports.certain.count()) * block.families.len() as u128
            })
            .sum()
    }

    /// The pairs of an endpoint with itself inside a block.
    fn self_pairs(&self, block: &Block) -> u128 {
        let (sources, except) = (self.sets.at(block.sources), self.sets.at(block.except));
        let destinations = self.sets.at(block.destinations);
        let both = sources.iter().filter(|group| destinations.binary_search(group).is_ok());
        both.filter(|group| except.binary_search(group).is_err()).map(|group| self.weight(*group)).sum()
    }

    /// The sources of a block.
    pub fn sources(&self, block: &Block) -> impl Iterator<Item = GroupId> + '_ {
        let except = self.sets.at(block.except);
        self.sets.at(block.sources).iter().copied().filter(move |group| except.binary_search(group).is_err())
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
        if compiled.is_isolated(*pod, Direction::Ingress) {
            own.entry(cluster.pods.at(*pod).node).or_default().push(*pod);
        }
    }
    for pods in own.values_mut() {
        pods.sort_unstable();
    }
    own
}

/// Sets of sources, sets left out, value: what makes blocks one.
type Side = (GroupSetId, GroupSetId, PortValue);

struct Blocks<'a> {
    source_members: &'a IdVec<SourceKindId, Vec<GroupId>>,
    sets: Interner<GroupSetId, Vec<GroupId>>,
    found: BTreeMap<(GroupSetId, GroupSetId, GroupSetId, PortOrder), Vec<Family>>,
}

/// Port values in an order that does not depend on how they were interned.
type PortOrder = (crate::model::PortSet, crate::model::PortSet, crate::model::KnobSet);

impl Blocks<'_> {
    fn add(
        &mut self,
        family: Family,
        rows: &Rows<'_>,
        table: &IdVec<RowId, Row>,
        row_of: &IdVec<DestinationKindId, Option<RowId>>,
        members: &IdVec<DestinationKindId, Vec<GroupId>>,
    ) {
        let mut destinations: IdVec<RowId, Vec<GroupId>> = table.ids().map(|_| Vec::new()).collect();
        for (kind, row) in row_of.iter() {
            if let Some(row) = row {
                destinations.at_mut(*row).extend_from_slice(members.at(kind));
            }
        }
        let (kinds_of, senders_of) = rows.members();
        for (id, row) in table.iter() {
            let destinations = self.set(destinations.at(id).clone());
            for (sources, except, ports) in self.sides(rows, row, &kinds_of, &senders_of) {
                let order = (ports.certain, ports.possible, ports.knobs);
                self.found.entry((sources, except, destinations, order)).or_default().push(family);
            }
        }
    }

    /// The source sides of a row.
    fn sides(
        &mut self,
        rows: &Rows<'_>,
        row: &Row,
        kinds_of: &IdVec<SenderId, Vec<SourceKindId>>,
        senders_of: &IdVec<SenderGroupId, Vec<SenderId>>,
    ) -> Vec<Side> {
        let groups_of = |kinds: &[SourceKindId]| -> Vec<GroupId> {
            kinds.iter().flat_map(|kind| self.source_members.at(*kind)).copied().collect()
        };
        let mut by_value: Vec<(ValueId, Vec<GroupId>, Vec<GroupId>)> = Vec::new();
        for (group, value) in &row.groups {
            let senders = senders_of.at(*group);
            let all = senders.iter().flat_map(|sender| groups_of(kinds_of.at(*sender))).collect();
            let mut except: Vec<GroupId> = Vec::new();
            for (sender, _) in row.senders.iter().filter(|(sender, _)| senders.binary_search(sender).is_ok()) {
                except.extend(groups_of(kinds_of.at(*sender)));
            }
            let moved = row.kinds.iter().filter(|(kind, _)| senders.binary_search(&rows.sender_of(*kind)).is_ok());
            except.extend(moved.flat_map(|(kind, _)| self.source_members.at(*kind)));
            by_value.push((*value, all, except));
        }
        for (sender, value) in &row.senders {
            let moved = row.kinds.iter().filter(|(kind, _)| rows.sender_of(*kind) == *sender);
            let except = moved.flat_map(|(kind, _)| self.source_members.at(*kind)).copied().collect();
            by_value.push((*value, groups_of(kinds_of.at(*sender)), except));
        }
        let mut kinds: BTreeMap<ValueId, Vec<GroupId>> = BTreeMap::new();
        for (kind, value) in &row.kinds {
            kinds.entry(*value).or_default().extend(self.source_members.at(*kind));
        }
        by_value.extend(kinds.into_iter().map(|(value, groups)| (value, groups, Vec::new())));
        by_value
            .into_iter()
            .filter(|(value, groups, _)| !rows.values.get(*value).is_empty() && !groups.is_empty())
            .map(|(value, groups, except)| (self.set(groups), self.set(except), rows.values.get(value).clone()))
            .collect()
    }

    fn set(&mut self, mut groups: Vec<GroupId>) -> GroupSetId {
        groups.sort_unstable();
        groups.dedup();
        self.sets.intern(groups)
    }

    fn finish(self) -> (IdVec<GroupSetId, Vec<GroupId>>, Vec<Block>) {
        let block = |((sources, except, destinations, (certain, possible, knobs)), families)| Block {
            sources,
            except,
            destinations,
            families,
            ports: PortValue { certain, possible, knobs },
        };
        (self.sets.into_keys(), self.found.into_iter().map(block).collect())
    }
}
