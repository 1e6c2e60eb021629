//! `portolan list`.

use std::collections::BTreeMap;

use policy_core::compile::connections::{Block, Connections, GroupSetId, connections};
use policy_core::compile::groups::{Group, GroupId};
use policy_core::compile::ports::PortValue;
use policy_core::ids::IdVec;
use policy_core::model::{Condition, Family, PodState};
use policy_core::query::Actor;

use super::hypothetical::{self, Peers};
use super::question::is_document;
use crate::args::{Format, ListArgs};
use crate::dto::answer::families;
use crate::dto::knobs;
use crate::dto::list::{AdmittedPorts, PairDto, PairsAnswer, members};
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::table::{Table, Text};
use crate::render::{Output, Tone, counted};
use crate::session::Session;

pub(crate) fn run(
    args: &ListArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let analysis = &session.analysis;
    let connections = connections(&analysis.compiled, &analysis.cluster, &analysis.profile);
    let names = session.names();
    if args.pairs {
        return pairs(args, &connections, session, format, output);
    }
    hypothetical::check(args.hypothetical, format)?;
    let peers = args.hypothetical.then(|| Peers::new(session));
    let header = session.header("ListAnswer", &None, output)?;
    if is_document(format) {
        let mut answer = names.list(header, &connections);
        answer.hypothetical = peers.as_ref().map(|peers| peers.reaching(&names));
        output.large_document(format, &answer)?;
        return Ok(Exit::Clean);
    }
    output.table(format, &table(&connections, &names, format != Format::Table))?;
    if matches!(format, Format::Table | Format::Wide) {
        own_node(&connections, output)?;
    }
    if let Some(peers) = peers {
        hypothetical::print(&peers.reaching(&names), format, output)?;
    }
    Ok(Exit::Clean)
}

fn table(connections: &Connections, names: &Names<'_>, wide: bool) -> Table {
    let mut table = Table::new(&["from", "to", "allowed", "unsure", "families"]);
    let mut labels = Labels { connections, names, wide, known: BTreeMap::new() };
    for block in &connections.blocks {
        let spoken = spoken(connections, block);
        if spoken.is_empty() {
            continue;
        }
        let [allowed, unsure] = ports(&block.ports);
        let (from, to) = (labels.set(block.sources, &spoken), labels.set(block.destinations, &spoken));
        table.push(vec![from.into(), to.into(), allowed, unsure, families(&spoken).join(", ").into()]);
    }
    table.sort();
    table
}

/// The families of a block that some source and some destination speak: a block is silent about ends without a
/// common family.
fn spoken(connections: &Connections, block: &Block) -> Vec<Family> {
    let speaks = |set: &[GroupId], family| set.iter().any(|id| connections.groups.at(*id).families.contains(&family));
    let (sources, destinations) = (connections.sources(block), connections.destinations(block));
    let both = |family: &Family| speaks(sources, *family) && speaks(destinations, *family);
    block.families.iter().copied().filter(both).collect()
}

/// The families of a block that both of two groups speak.
pub(crate) fn common(block: &[Family], from: &Group, to: &Group) -> Vec<Family> {
    let both = |family: &Family| from.families.contains(family) && to.families.contains(family);
    block.iter().copied().filter(both).collect()
}

/// The names of sets, as far as they speak some families; each worked out once.
struct Labels<'a> {
    connections: &'a Connections,
    names: &'a Names<'a>,
    wide: bool,
    known: BTreeMap<(GroupSetId, Vec<Family>), String>,
}

impl Labels<'_> {
    fn set(&mut self, set: GroupSetId, spoken: &[Family]) -> String {
        let (connections, names, wide) = (self.connections, self.names, self.wide);
        let groups = connections.sets.at(set).iter().map(|group| connections.groups.at(*group));
        let heard = groups.filter(|group| group.families.iter().any(|family| spoken.contains(family)));
        self.known.entry((set, spoken.to_vec())).or_insert_with(|| names.actors(&joined(heard), wide)).clone()
    }
}

/// The members of several groups.
fn joined<'a>(groups: impl Iterator<Item = &'a Group>) -> Vec<Actor> {
    let (mut pods, mut nodes, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        pods.extend_from_slice(&group.pods);
        nodes.extend_from_slice(&group.nodes);
        addresses.push(group.addresses.clone());
    }
    pods.sort_unstable();
    nodes.sort_unstable();
    let addresses: policy_core::model::AddressSet = addresses.into_iter().collect();
    let mut actors = Vec::new();
    if !pods.is_empty() {
        actors.push(Actor::Pods(pods));
    }
    actors.extend(nodes.into_iter().map(Actor::Node));
    if !addresses.is_empty() {
        actors.push(Actor::Addresses(addresses));
    }
    actors
}

/// The ports that are admitted for sure, and those that depend on something.
pub(crate) fn ports(value: &PortValue) -> [Text; 2] {
    let allowed = match value.certain.is_empty() {
        true => Text::toned(Tone::Bad, "none"),
        false => Text::toned(Tone::Good, value.certain.to_string()),
    };
    let mut unsure = Vec::new();
    if !value.learned.is_empty() {
        unsure.push(format!("{} if {}", value.learned, Condition::Dns.as_str()));
    }
    if !value.possible.is_empty() {
        unsure.push(format!("{} by {}", value.possible, knobs(value.knobs).join(", ")));
    }
    [allowed, Text::toned(Tone::Unsure, unsure.join("; "))]
}

fn own_node(connections: &Connections, output: &mut Output<'_>) -> std::io::Result<()> {
    let pods: usize = connections.own_node.values().map(Vec::len).sum();
    if pods > 0 {
        let pods = counted(pods, "isolated pod");
        let text = format!("also: a node always reaches the pods on it (NP-19); for {pods} that is not in the table");
        writeln!(output.stdout, "\n{text}")?;
    }
    Ok(())
}

/// A workload, or the part of it in one group; a node; the outside of one group.
struct Unit {
    name: String,
    /// Whether a pair of it with itself is a pod with itself.
    alone: bool,
}

/// One line of `--pairs`.
struct Pair<'a> {
    from: usize,
    to: usize,
    families: Vec<Family>,
    ports: &'a PortValue,
}

fn pairs(
    args: &ListArgs,
    connections: &Connections,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let names = session.names();
    let mut units = Vec::new();
    let of_group: IdVec<GroupId, std::ops::Range<usize>> = connections
        .groups
        .values()
        .map(|group| {
            let first = units.len();
            units.extend(units_of(group, session, &names));
            first..units.len()
        })
        .collect();
    let size = |groups: &[GroupId]| groups.iter().map(|group| of_group.at(*group).len()).sum::<usize>();
    let sizes = connections.blocks.iter();
    let sizes = sizes.map(|block| size(connections.sources(block)) * size(connections.destinations(block)));
    let count: usize = sizes.sum();
    if count > args.max_pairs {
        let help = format!("raise the limit of {} with --max-pairs {count}, or leave --pairs out", args.max_pairs);
        return Err(Failure::usage(format!("there are {count} pairs"), help));
    }
    let mut found: Vec<Pair<'_>> = Vec::with_capacity(count);
    for block in &connections.blocks {
        for source in connections.sources(block) {
            for destination in connections.destinations(block) {
                let (from, to) = (connections.groups.at(*source), connections.groups.at(*destination));
                let families = common(&block.families, from, to);
                if families.is_empty() {
                    continue;
                }
                for from in of_group.at(*source).clone() {
                    let to = of_group.at(*destination).clone();
                    found.extend(to.map(|to| Pair { from, to, families: families.clone(), ports: &block.ports }));
                }
            }
        }
    }
    found.retain(|pair| pair.from != pair.to || units.get(pair.from).is_some_and(|unit| !unit.alone));
    let name = |unit: usize| units.get(unit).map_or("", |unit| unit.name.as_str());
    found.sort_by(|a, b| {
        let key = |pair: &Pair<'_>| (pair.from, pair.to);
        (name(a.from), name(a.to), key(a), &a.families).cmp(&(name(b.from), name(b.to), key(b), &b.families))
    });
    let header = session.header("PairsAnswer", &None, output)?;
    if is_document(format) {
        let pair = |pair: &Pair<'_>| PairDto {
            from: name(pair.from).to_owned(),
            to: name(pair.to).to_owned(),
            families: families(&pair.families),
            ports: AdmittedPorts::from(pair.ports),
        };
        output.large_document(format, &PairsAnswer { header, pairs: found.iter().map(pair).collect() })?;
        return Ok(Exit::Clean);
    }
    let mut table = Table::new(&["from", "to", "allowed", "unsure", "families"]);
    for pair in &found {
        let [allowed, unsure] = ports(pair.ports);
        let families = families(&pair.families).join(", ");
        table.push(vec![name(pair.from).into(), name(pair.to).into(), allowed, unsure, families.into()]);
    }
    output.table(format, &table)?;
    Ok(Exit::Clean)
}

fn units_of(group: &Group, session: &Session, names: &Names<'_>) -> Vec<Unit> {
    let mut units = Vec::new();
    for actor in members(group) {
        match &actor {
            Actor::Pods(pods) => {
                let cluster = &session.analysis.cluster;
                let (whole, rest) = names.whole_workloads(pods);
                for workload in whole {
                    let pods = &cluster.workloads.at(workload).pods;
                    let template = pods.iter().any(|pod| cluster.pods.at(*pod).state == PodState::Template);
                    units.push(Unit { name: names.workload(workload), alone: pods.len() == 1 && !template });
                }
                units.extend(rest.into_iter().map(|pod| Unit { name: names.pod(pod), alone: true }));
            }
            Actor::Node(_) | Actor::Addresses(_) | Actor::Name(_) => {
                units.push(Unit { name: names.actors(std::slice::from_ref(&actor), true), alone: true });
            }
        }
    }
    units
}
