//! The reachability graph: groups of endpoints as nodes, what they admit as edges.

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};

use crate::analysis::Analysis;
use crate::compile::connections::{Block, Connections, connections};
use crate::compile::groups::GroupId;
use crate::compile::ports::PortValue;
use crate::ids::IdVec;
use crate::model::Family;

/// An edge: what a source group reaches at a destination group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The ports, by the families for which they hold.
    pub ports: Vec<(Vec<Family>, PortValue)>,
}

/// All connections as a graph. An edge has no empty port set; no edge means that nothing is admitted.
#[derive(Clone, Debug)]
pub struct ReachabilityGraph {
    /// The groups and what the graph was made of.
    pub connections: Connections,
    /// One node a group, in group order; one edge an ordered pair of groups.
    pub graph: DiGraph<GroupId, Reach>,
    nodes: IdVec<GroupId, NodeIndex>,
}

impl ReachabilityGraph {
    /// The graph of an analysis; `None` when it would have more than `edges` edges.
    #[must_use]
    pub fn new(analysis: &Analysis, edges: usize) -> Option<Self> {
        let connections = connections(&analysis.compiled, &analysis.cluster, &analysis.profile);
        let mut graph = DiGraph::new();
        let nodes: IdVec<GroupId, NodeIndex> = connections.groups.ids().map(|group| graph.add_node(group)).collect();
        let mut reach: BTreeMap<(GroupId, GroupId), Reach> = BTreeMap::new();
        for block in &connections.blocks {
            for source in connections.sources(block) {
                for destination in connections.destinations(block) {
                    let families = common(&connections, block, *source, *destination);
                    if families.is_empty() {
                        continue;
                    }
                    let edge = reach.entry((*source, *destination)).or_insert_with(|| Reach { ports: Vec::new() });
                    edge.ports.push((families, block.ports.clone()));
                    if reach.len() > edges {
                        return None;
                    }
                }
            }
        }
        for ((source, destination), mut edge) in reach {
            edge.ports.sort_by(|(a, _), (b, _)| a.cmp(b));
            graph.add_edge(*nodes.at(source), *nodes.at(destination), edge);
        }
        Some(Self { connections, graph, nodes })
    }

    /// The node of a group.
    #[must_use]
    pub fn node(&self, group: GroupId) -> NodeIndex {
        *self.nodes.at(group)
    }
}

/// The families of a block that both groups speak (NP-30).
fn common(connections: &Connections, block: &Block, source: GroupId, destination: GroupId) -> Vec<Family> {
    let speaks = |group, family: &Family| connections.groups.at(group).families.contains(family);
    let both = |family: &Family| speaks(source, family) && speaks(destination, family);
    block.families.iter().copied().filter(both).collect()
}
