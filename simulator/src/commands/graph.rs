//! `portolan graph`.

use std::io;

use policy_core::compile::ports::PortValue;
use policy_core::graph::{Reach, ReachabilityGraph};
use policy_core::ids::Id;
use policy_core::model::{Family, PortSet};

use crate::args::{Format, GraphArgs};
use crate::dto::answer::families;
use crate::dto::graph::{Edge, EdgePorts, GraphAnswer};
use crate::dto::list::members;
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::Output;
use crate::session::Session;

pub(crate) fn run(
    args: &GraphArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let Some(graph) = ReachabilityGraph::new(&session.analysis, args.max_edges) else {
        let help = format!("raise the limit with --max-edges N (now {}), or use `portolan list`", args.max_edges);
        return Err(Failure::usage("the graph has too many edges to look at", help));
    };
    let header = session.header("GraphAnswer", &None, output)?;
    let names = session.names();
    if format == Format::Json {
        let nodes = graph.connections.groups.values().map(|group| names.group(group)).collect();
        let edges = edges(&graph).map(|(from, to, reach)| Edge { from, to, ports: ports(reach) }).collect();
        output.large_document(format, &GraphAnswer { header, nodes, edges })?;
    } else {
        dot(&graph, &names, output)?;
    }
    Ok(Exit::Clean)
}

/// Every edge as the positions of its groups.
fn edges(graph: &ReachabilityGraph) -> impl Iterator<Item = (usize, usize, &Reach)> {
    let position = |node| graph.graph.node_weight(node).map_or(0, |group: &_| Id::index(*group));
    graph.graph.edge_indices().filter_map(move |edge| {
        let (from, to) = graph.graph.edge_endpoints(edge)?;
        Some((position(from), position(to), graph.graph.edge_weight(edge)?))
    })
}

fn ports(reach: &Reach) -> Vec<EdgePorts> {
    let ports = |(of, value): &(Vec<Family>, PortValue)| EdgePorts { families: families(of), ports: value.into() };
    reach.ports.iter().map(ports).collect()
}

fn dot(graph: &ReachabilityGraph, names: &Names<'_>, output: &mut Output<'_>) -> io::Result<()> {
    let out = &mut *output.stdout;
    writeln!(out, "digraph reachability {{\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];")?;
    writeln!(out, "  edge [fontname=\"sans-serif\", fontsize=10];")?;
    for (index, group) in graph.connections.groups.values().enumerate() {
        let label = quoted(&names.actors(&members(group), false).replace(", ", "\n"));
        writeln!(out, "  n{index} [label={label}];")?;
    }
    for (from, to, reach) in edges(graph) {
        let dashed = reach.ports.iter().any(|(_, value)| !unsure(value).is_empty());
        let style = if dashed { ", style=dashed" } else { "" };
        let mut labels: Vec<String> = reach.ports.iter().map(|(_, value)| label(value)).collect();
        labels.dedup();
        writeln!(out, "  n{from} -> n{to} [label={}{style}];", quoted(&labels.join("; ")))?;
    }
    writeln!(out, "}}")
}

/// The ports that are admitted for sure; behind a question mark those that depend on something.
fn label(value: &PortValue) -> String {
    let unsure = unsure(value);
    match (value.certain.is_empty(), unsure.is_empty()) {
        (_, true) => value.certain.to_string(),
        (true, false) => format!("? {unsure}"),
        (false, false) => format!("{} ? {unsure}", value.certain),
    }
}

fn unsure(value: &PortValue) -> PortSet {
    value.possible.union(&value.learned)
}

/// A string of the DOT language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_for_dot() {
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\"");
    }
}
