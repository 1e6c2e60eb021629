//! The reachability graph: groups of endpoints as nodes, what policies admit as edges; beside it the graph of the ways
//! from outside, which end in the same groups.

#[cfg(test)]
mod tests;
pub mod ways;

use std::collections::BTreeMap;

use petgraph::graph::DiGraph;
pub use petgraph::graph::NodeIndex;

use crate::analysis::Analysis;
use crate::compile::connections::{Block, Connections, connections};
use crate::compile::groups::GroupId;
use crate::compile::ports::PortValue;
use crate::ids::IdVec;
use crate::model::Family;
pub use ways::WayGraph;

/// An edge: what a source group reaches at a destination group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The ports, by the families for which they hold.
    pub ports: Vec<(Vec<Family>, PortValue)>,
}

/// Which edges a graph has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// Both.
    Everything,
    /// What policies admit between groups.
    Policies,
    /// Ways from outside, and Services.
    Ways,
}

/// All connections as a graph. An edge has no empty port set; no edge means that nothing is admitted.
#[derive(Clone, Debug)]
pub struct ReachabilityGraph {
    /// The groups and what the graph was made of.
    pub connections: Connections,
    /// One node a group, in group order; one edge an ordered pair of groups.
    pub graph: DiGraph<GroupId, Reach>,
    /// The ways from outside, if they were asked for.
    pub ways: Option<WayGraph>,
    nodes: IdVec<GroupId, NodeIndex>,
}

impl ReachabilityGraph {
    /// What policies admit; `None` when it would have more than `edges` edges.
    #[must_use]
    pub fn new(analysis: &Analysis, edges: usize) -> Option<Self> {
        Self::of(analysis, Shown::Policies, edges)
    }

    /// The graph of an analysis; `None` when it would have more than `edges` edges, ways and policies together.
    #[must_use]
    pub fn of(analysis: &Analysis, shown: Shown, edges: usize) -> Option<Self> {
        let Analysis { compiled, cluster, profile, .. } = analysis;
        let connections = match shown {
            Shown::Ways => Connections::of_groups(compiled, cluster, profile),
            Shown::Everything | Shown::Policies => connections(compiled, cluster, profile),
        };
        let mut graph = Self::policies(connections, edges)?;
        if shown != Shown::Policies {
            let rest = edges.saturating_sub(graph.graph.edge_count());
            graph.ways = Some(WayGraph::new(analysis, &graph.connections.groups, rest)?);
        }
        Some(graph)
    }

    fn policies(connections: Connections, edges: usize) -> Option<Self> {
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
        Some(Self { connections, graph, ways: None, nodes })
    }

    /// The node of a group.
    #[must_use]
    pub fn node(&self, group: GroupId) -> NodeIndex {
        *self.nodes.at(group)
    }

    /// What policies admit, in the order of the groups.
    pub fn admitted(&self) -> impl Iterator<Item = (GroupId, GroupId, &Reach)> {
        self.graph.edge_indices().filter_map(|edge| {
            let (from, to) = self.graph.edge_endpoints(edge)?;
            let group = |node| self.graph.node_weight(node).copied();
            Some((group(from)?, group(to)?, self.graph.edge_weight(edge)?))
        })
    }
}

/// The families of a block that both groups speak (NP-30).
fn common(connections: &Connections, block: &Block, source: GroupId, destination: GroupId) -> Vec<Family> {
    let speaks = |group, family: &Family| connections.groups.at(group).families.contains(family);
    let both = |family: &Family| speaks(source, family) && speaks(destination, family);
    block.families.iter().copied().filter(both).collect()
}
