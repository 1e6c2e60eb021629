//! The graph as a picture in the DOT language: outside on the left, pods on the right.
//!
//! Of the ways it draws what a reader can do something about: those that are open or stopped, not those that nobody has
//! a route to, nor what a proxy answers to requests that no rule takes. Documents hold everything.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use policy_core::compile::groups::{Group, Role};
use policy_core::compile::ports::PortValue;
use policy_core::graph::ways::{Node, Passage, PassagePort, WayGraph};
use policy_core::graph::{NodeIndex, Reach, ReachabilityGraph, Shown};
use policy_core::ids::{Id, NamespaceId};
use policy_core::model::http::ProxyPods;
use policy_core::model::{Finding, Flag, Hop, PortSet, Protocol, Proviso, Verdict};
use policy_core::query::{Actor, Subject};

use crate::dto::knobs;
use crate::dto::list::members;
use crate::names::Names;
use crate::render::escape;
use crate::way_names::{answer_text, origin_text, requests_text};

/// How many ports, addresses or names stand at one edge.
const SHOWN: usize = 3;

const STYLE: &str = "  rankdir=LR;
  node [shape=box, fontname=\"sans-serif\", fontsize=11];
  edge [fontname=\"sans-serif\", fontsize=9];";

const LEGEND: &str = "Ways from outside: green allowed, blue conditional, orange undefined, red stopped. Grey: behind a \
                      Service, not reached from outside.";

const TABLE: &str = "<table border=\"0\" cellborder=\"1\" cellspacing=\"0\" cellpadding=\"5\">";

/// Writes the graph.
pub(crate) fn write(graph: &ReachabilityGraph, shown: Shown, names: &Names<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "digraph reachability {{\n{STYLE}")?;
    let drawing = graph.ways.as_ref().map(|ways| Drawing::new(ways, names));
    if drawing.is_some() {
        let policies =
            if shown == Shown::Ways { "" } else { " Thin and violet: what policies admit, all ports without a label." };
        writeln!(out, "  ranksep=0.9;\n  label={};", quoted(&format!("{LEGEND}{policies}")))?;
        writeln!(out, "  labelloc=b;\n  fontname=\"sans-serif\";\n  fontsize=10;")?;
    }
    let mut boxes: BTreeMap<Option<NamespaceId>, Vec<String>> = BTreeMap::new();
    if shown != Shown::Ways {
        for (index, group) in graph.connections.groups.values().enumerate() {
            let (space, line) = group_box(index, group, drawing.as_ref(), names);
            boxes.entry(space.filter(|_| drawing.is_some())).or_default().push(line);
        }
    }
    if let Some(drawing) = &drawing {
        for (index, node) in drawing.ways.nodes() {
            if let Some((space, line)) = drawing.node(index, node, shown) {
                boxes.entry(space).or_default().push(line);
            }
        }
    }
    for (space, lines) in boxes {
        let indent = match space {
            None => "  ",
            Some(id) => {
                let name = &names.cluster().namespaces.at(id).name;
                writeln!(out, "  subgraph cluster_{} {{", id.index())?;
                writeln!(
                    out,
                    "    label={};\n    labelloc=t;\n    style=rounded;\n    color=\"#b0bec5\";",
                    quoted(&escape(name))
                )?;
                "    "
            }
        };
        for line in lines {
            writeln!(out, "{indent}{line}")?;
        }
        if space.is_some() {
            writeln!(out, "  }}")?;
        }
    }
    if let Some(drawing) = &drawing {
        drawing.edges(shown, out)?;
        // Pods that nothing leads to stand with the others, on the right.
        for (index, group) in graph.connections.groups.values().enumerate() {
            if shown == Shown::Everything && group.role != Role::Outside && !drawing.fields.contains_key(&index) {
                writeln!(out, "  w{} -> n{index} [style=invis, minlen=3];", drawing.ways.outside.index())?;
            }
        }
    }
    if drawing.is_none() {
        for (from, to, reach) in graph.admitted() {
            let label = quoted(&admissions(reach));
            writeln!(out, "  n{} -> n{} [label={label}{}];", from.index(), to.index(), doubt(reach))?;
        }
        return writeln!(out, "}}");
    }
    // Labels of their own kind: those that the layout makes room for are more than it can take between equals.
    for (from, to, reach) in graph.admitted() {
        let label = admissions(reach);
        let label = if label == "all" { String::new() } else { format!("xlabel={}, ", quoted(&label)) };
        let (from, to, doubt) = (from.index(), to.index(), doubt(reach));
        writeln!(
            out,
            "  n{from} -> n{to} [{label}constraint=false, color=\"#7e57c2\", fontcolor=\"#7e57c2\", penwidth=0.7{doubt}];"
        )?;
    }
    writeln!(out, "}}")
}

/// What an edge between groups admits.
fn admissions(reach: &Reach) -> String {
    let mut labels: Vec<String> = reach.ports.iter().map(|(_, value)| admitted(value)).collect();
    labels.dedup();
    labels.join("; ")
}

/// The line of an edge that depends on something.
fn doubt(reach: &Reach) -> &'static str {
    let unsure = reach.ports.iter().any(|(_, value)| !unsure(value).is_empty());
    if unsure { ", style=dashed" } else { "" }
}

/// A group: one box, with a field for each workload at which ways end.
fn group_box(
    index: usize,
    group: &Group,
    drawing: Option<&Drawing<'_>>,
    names: &Names<'_>,
) -> (Option<NamespaceId>, String) {
    let fields = drawing.and_then(|drawing| drawing.fields.get(&index)).map(Vec::as_slice).unwrap_or_default();
    let mut spaces = group.pods.iter().map(|pod| names.cluster().pods.at(*pod).namespace);
    let first = spaces.next().filter(|_| group.nodes.is_empty());
    let space = first.filter(|first| spaces.all(|other| other == *first));
    let shape = match group.role {
        _ if drawing.is_none() => "",
        Role::Outside => ", shape=ellipse, style=dashed",
        Role::Node => ", shape=box3d",
        Role::Pod | Role::HostPod => "",
    };
    if fields.is_empty() {
        let label = quoted(&names.actors(&members(group), false).replace(", ", "\n"));
        return (space, format!("n{index} [label={label}{shape}];"));
    }
    let told: BTreeSet<_> = fields.iter().flat_map(|(_, pods)| pods.iter().copied()).collect();
    let mut rows = String::new();
    for (node, pods) in fields {
        let text = names.actors(&[Actor::Pods(pods.to_vec())], false).replace(", ", "\n");
        rows.push_str(&format!("<tr><td port=\"w{}\">{}</td></tr>", node.index(), marked_up(&text)));
    }
    let mut rest = group.clone();
    rest.pods.retain(|pod| !told.contains(pod));
    let rest = members(&rest);
    if !rest.is_empty() {
        let text = names.actors(&rest, false).replace(", ", "\n");
        rows.push_str(&format!("<tr><td>{}</td></tr>", marked_up(&text)));
    }
    (space, format!("n{index} [shape=plain, label=<{TABLE}{rows}</table>>];"))
}

/// The ways that are drawn.
struct Drawing<'a> {
    ways: &'a WayGraph,
    names: &'a Names<'a>,
    /// The nodes of pods in each group, by the group's position.
    fields: BTreeMap<usize, Vec<(NodeIndex, &'a [policy_core::ids::PodId])>>,
    nodes: BTreeSet<NodeIndex>,
}

impl<'a> Drawing<'a> {
    fn new(ways: &'a WayGraph, names: &'a Names<'a>) -> Self {
        let mut drawing = Self { ways, names, fields: BTreeMap::new(), nodes: BTreeSet::from([ways.outside]) };
        for (index, node) in ways.nodes() {
            match node {
                Node::Service(_) => {
                    drawing.nodes.insert(index);
                }
                Node::Pods { group: Some(group), pods, .. } => {
                    drawing.fields.entry(group.index()).or_default().push((index, pods));
                }
                _ => {}
            }
        }
        for (from, to, passage) in ways.passages() {
            if drawing.is_drawn(from, to, passage) {
                drawing.nodes.extend([from, to]);
            }
        }
        drawing
    }

    fn is_drawn(&self, from: NodeIndex, to: NodeIndex, passage: &Passage) -> bool {
        let weight = |node| self.ways.graph.node_weight(node);
        let unrouted = passage.finding.as_ref().is_some_and(|finding| finding.verdict == Verdict::NoRoute);
        let is_leftover = |node: Option<&Node>| match node {
            Some(Node::Route(served)) => {
                ["Listener", "Controller"].contains(&served.requests.origin.kind) && answer_text(&served.then).is_some()
            }
            _ => false,
        };
        let endpoint =
            matches!((weight(from), weight(to)), (Some(Node::Service(_)), Some(Node::Pods { .. } | Node::Address(_))));
        (endpoint || !unrouted) && !is_leftover(weight(to))
    }

    /// The line of a node, and the namespace in which it stands; `None` when it is not drawn by itself.
    fn node(&self, index: NodeIndex, node: &Node, shown: Shown) -> Option<(Option<NamespaceId>, String)> {
        if !self.nodes.contains(&index) {
            return None;
        }
        let cluster = self.names.cluster();
        let (space, label, look) = match node {
            Node::Outside => (None, "outside".to_owned(), "shape=ellipse, penwidth=2"),
            Node::Entry(entry) => (None, format!("{}\n{}", entry.kind, self.dialled(&entry.hop)), "shape=cds"),
            Node::Service(id) => {
                let service = cluster.services.at(*id);
                (Some(service.namespace), format!("Service\n{}", escape(&service.name)), "style=rounded")
            }
            Node::Proxy(id) => {
                let pods = match self.names.proxies().get(id.index()).map(|proxy| &proxy.pods) {
                    Some(ProxyPods::Pods(pods)) => self.names.actors(&[Actor::Pods(pods.clone())], false),
                    Some(ProxyPods::Missing(_)) => "not in the input".to_owned(),
                    _ => "outside the cluster".to_owned(),
                };
                (None, format!("{}\n{pods}", self.names.proxy(*id)), "shape=hexagon")
            }
            Node::Route(served) => {
                let answer = answer_text(&served.then).map(|answer| format!("\n{answer}")).unwrap_or_default();
                let by = origin_text(&served.requests.origin).replacen(" spec.", "\n", 1);
                (None, format!("{}\n{by}{answer}", requests_text(served, false)), "shape=note")
            }
            Node::Pods { group: Some(_), .. } if shown != Shown::Ways => return None,
            Node::Pods { workload, pods, .. } => {
                let label = self.names.actors(&[Actor::Pods(pods.clone())], false).replace(", ", "\n");
                (Some(cluster.workloads.at(*workload).namespace), label, "shape=box")
            }
            Node::Address(address) => (None, address.to_string(), "shape=ellipse, style=dashed"),
        };
        Some((space, format!("w{} [label={}, {look}];", index.index(), quoted(&label))))
    }

    /// What is dialled at an entry; its kind is said already.
    fn dialled(&self, hop: &Hop) -> String {
        let port = |port: &Option<u16>| port.map_or("?".to_owned(), |port| port.to_string());
        match hop {
            Hop::Balancer { at, port, .. } => {
                format!("{}:{port}", at.as_ref().map_or("address not known".to_owned(), |at| escape(at)))
            }
            Hop::Node { node: Some(node), port: number, .. } => {
                format!("{}:{}", Subject::Node(*node).written(self.names.cluster()), port(number))
            }
            Hop::Node { at: Some(at), port: number, .. } => format!("{at}:{}", port(number)),
            Hop::Node { port: number, .. } => format!("any node:{}", port(number)),
            Hop::Service { at, port, .. } => {
                format!("{}:{port}", at.map_or("address not known".to_owned(), |at| at.to_string()))
            }
            Hop::Pod { pod, port } => format!("{}:{port}", self.names.pod(*pod)),
            Hop::Address { at, port } => format!("{at}:{port}"),
            Hop::Proxy { port, .. } => port.to_string(),
            Hop::ApiServer => "API server".to_owned(),
        }
    }

    fn edges(&self, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
        for (from, to, passage) in self.ways.passages().filter(|(from, to, passage)| self.is_drawn(*from, *to, passage))
        {
            let end = match self.ways.graph.node_weight(to) {
                Some(Node::Pods { group: Some(group), .. }) if shown != Shown::Ways => {
                    format!("n{}:w{}:w", group.index(), to.index())
                }
                _ => format!("w{}", to.index()),
            };
            let label = quoted(&self.label(from, to, passage));
            // What is dialled stands beside those who dial.
            let near = if from == self.ways.outside { ", weight=9" } else { "" };
            writeln!(out, "  w{} -> {end} [label={label}, {}{near}];", from.index(), look(passage))?;
        }
        Ok(())
    }

    fn label(&self, from: NodeIndex, to: NodeIndex, passage: &Passage) -> String {
        let mut lines = Vec::new();
        if from == self.ways.outside {
            let clients = self.names.addresses(&passage.clients);
            // A whole family is no restriction but that of the pods.
            if !matches!(clients.as_slice(), [all] if ["internet", "0.0.0.0/0", "::/0"].contains(&all.as_str())) {
                lines.extend(Some(few(&clients)).filter(|few| !few.is_empty()));
            }
        }
        let ports: Vec<String> = passage.ports.iter().map(port_text).collect();
        if !ports.is_empty() {
            lines.push(few(&ports));
        }
        if let Some(Node::Pods { pods, .. }) = self.ways.graph.node_weight(to)
            && pods.len() != passage.pods.len()
        {
            lines.push(format!("{} of {} pods", passage.pods.len(), pods.len()));
        }
        if passage.copies {
            lines.push("copies".to_owned());
        }
        if let Some(finding) = passage.finding.as_ref().filter(|_| from == self.ways.outside) {
            lines.extend(reasons(finding));
        }
        lines.join("\n")
    }
}

/// What a finding depends on, in few words: the documents have all of them.
fn reasons(finding: &Finding) -> Vec<String> {
    let brief = |proviso: &Proviso| escape(proviso.to_string().split(':').next().unwrap_or_default());
    let provisos = finding.provisos.iter().map(brief);
    let knobs = knobs(finding.knobs).into_iter().map(str::to_owned);
    let hypothetical = finding.flags.contains(&Flag::Hypothetical).then(|| "hypothetical".to_owned());
    let mut reasons: Vec<String> = provisos.chain(knobs).chain(hypothetical).collect();
    reasons.dedup();
    reasons
}

/// Colour and line of an edge by its verdict.
fn look(passage: &Passage) -> &'static str {
    match passage.finding.as_ref().map(|finding| finding.verdict) {
        Some(Verdict::Allowed) => "color=\"#2e7d32\", penwidth=1.6",
        Some(Verdict::Conditional) => "color=\"#1565c0\", penwidth=1.6, style=dashed",
        Some(Verdict::Undefined) => "color=\"#ef6c00\", penwidth=1.6, style=dashed",
        Some(Verdict::Denied) => "color=\"#c62828\", penwidth=1.6, arrowhead=tee",
        Some(Verdict::NoListener) => "color=\"#c62828\", penwidth=1.6, arrowhead=tee, style=dotted",
        Some(Verdict::NoRoute) | None => "color=\"#9e9e9e\"",
    }
}

/// `80→8080`, `53/udp`.
fn port_text(port: &PassagePort) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => String::new(),
        other => format!("/{}", other.as_str().to_ascii_lowercase()),
    };
    match port.service.filter(|service| *service != port.port) {
        Some(service) => format!("{service}→{}{protocol}", port.port),
        None => format!("{}{protocol}", port.port),
    }
}

/// The first of a list, and how many more there are.
fn few(texts: &[String]) -> String {
    let shown = if texts.len() <= SHOWN + 1 { texts.len() } else { SHOWN };
    let text = texts.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    if shown < texts.len() { format!("{text} +{}", texts.len() - shown) } else { text }
}

/// The ports that are admitted for sure; behind a question mark those that depend on something.
fn admitted(value: &PortValue) -> String {
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

/// Text in a label of mark-up.
fn marked_up(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\n', "<br/>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_for_dot() {
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\"");
        assert_eq!(marked_up("a<b>&\"\n"), "a&lt;b&gt;&amp;&quot;<br/>");
        assert_eq!(marked_up("a\nb"), "a<br/>b");
    }

    #[test]
    fn long_lists_are_cut_when_that_saves_more_than_one() {
        let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(few(&list(4)), "1, 2, 3, 4");
        assert_eq!(few(&list(5)), "1, 2, 3 +2");
    }

    #[test]
    fn ports_say_what_is_translated() {
        let port = |protocol, service, port| port_text(&PassagePort { protocol, service, port });
        assert_eq!(port(Protocol::Tcp, Some(80), 8080), "80→8080");
        assert_eq!(port(Protocol::Udp, Some(53), 53), "53/udp");
        assert_eq!(port(Protocol::Sctp, None, 7), "7/sctp");
    }
}
