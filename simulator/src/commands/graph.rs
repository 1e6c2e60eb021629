//! `portolan graph`.

use policy_core::compile::groups::GroupId;
use policy_core::graph::{Reach, ReachabilityGraph, Shown};
use policy_core::ids::Id;

use crate::args::{Format, GraphArgs, GraphPart};
use crate::dto::answer::families;
use crate::dto::graph::{Edge, EdgePorts, GraphAnswer};
use crate::dto::list::AdmittedPorts;
use crate::exit::{Exit, Failure};
use crate::render::{Output, dot};
use crate::session::Session;

pub(crate) fn run(
    args: &GraphArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let shown = match args.only {
        None => Shown::Everything,
        Some(GraphPart::Policies) => Shown::Policies,
        Some(GraphPart::Ways) => Shown::Ways,
    };
    let Some(graph) = ReachabilityGraph::of(&session.analysis, shown, args.max_edges) else {
        let help = format!(
            "raise the limit with --max-edges N (now {}), leave a part out with --only, or use `portolan list`",
            args.max_edges
        );
        return Err(Failure::usage("the graph has too many edges to look at", help));
    };
    let header = session.header("GraphAnswer", &None, output)?;
    let names = session.names();
    if format == Format::Json {
        let nodes = graph.connections.groups.values().map(|group| names.group(group)).collect();
        let edge = |(from, to, reach): (GroupId, GroupId, &Reach)| Edge {
            from: from.index(),
            to: to.index(),
            ports: ports(reach),
        };
        let edges = graph.admitted().map(edge).collect();
        let ways = graph.ways.as_ref().map(|ways| names.ways_graph(ways));
        output.large_document(format, &GraphAnswer { header, nodes, edges, ways })?;
    } else {
        dot::write(&graph, shown, &names, output.stdout)?;
    }
    Ok(Exit::Clean)
}

fn ports(reach: &Reach) -> Vec<EdgePorts> {
    let ports = reach.ports.iter();
    ports.map(|(of, value)| EdgePorts { families: families(of), ports: AdmittedPorts::from(value) }).collect()
}
