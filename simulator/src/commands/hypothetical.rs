//! Pods that policies name and the input lacks: what they would reach, and who would reach them.

use std::io;

use policy_core::analysis::Analysis;
use policy_core::hypothetical::{self, Extended, Namer};
use policy_core::ids::{Id, PodId};
use policy_core::query::{Actor, Cell, PortVerdicts, Subject, reach};

use crate::args::Format;
use crate::dto::answer::PortAnswer;
use crate::dto::{Hypothetical, HypotheticalReach};
use crate::exit::Failure;
use crate::names::Names;
use crate::render::Output;
use crate::render::table::{Table, Text};
use crate::session::Session;

/// The analysis of the cluster with such pods added.
pub(crate) struct Peers {
    analysis: Analysis,
    peers: Vec<hypothetical::Hypothetical>,
    /// Pods from here on are hypothetical.
    real: usize,
}

impl Peers {
    pub(crate) fn new(session: &Session) -> Self {
        let Extended { cluster, peers, .. } = hypothetical::extend(&session.analysis.cluster);
        let real = session.analysis.cluster.pods.len();
        Self { analysis: Analysis::new(cluster, session.analysis.profile.clone()), peers, real }
    }

    /// What each of them could reach.
    pub(crate) fn reaching(&self, names: &Names<'_>) -> Vec<Hypothetical> {
        self.reaching_only(&Subject::Everything, names)
    }

    /// What each of them could reach of some destinations.
    pub(crate) fn reaching_only(&self, destinations: &Subject, names: &Names<'_>) -> Vec<Hypothetical> {
        let ask = |pod| reach(&self.analysis, &Subject::Pod(pod), destinations);
        self.each(names, ask, |cell| &cell.destinations)
    }

    /// On which ports some sources could reach each of them.
    pub(crate) fn reached_by(&self, sources: &Subject, names: &Names<'_>) -> Vec<Hypothetical> {
        let ask = |pod| reach(&self.analysis, sources, &Subject::Pod(pod));
        self.each(names, ask, |cell| &cell.sources)
    }

    fn each(
        &self,
        names: &Names<'_>,
        ask: impl Fn(PodId) -> Vec<Cell<PortVerdicts>>,
        other: impl Fn(&Cell<PortVerdicts>) -> &Vec<Actor>,
    ) -> Vec<Hypothetical> {
        let peer = |peer: &hypothetical::Hypothetical| {
            let cells = ask(peer.pod).into_iter().filter(|cell| !cell.answer.is_none());
            let cells = cells.filter_map(|cell| {
                let others = self.only_real(other(&cell));
                let ports = PortAnswer::from(&cell.answer);
                (!others.is_empty()).then(|| HypotheticalReach {
                    others: names.actors_dto(&others),
                    shown: names.actors(&others, false),
                    allowed: cell.answer.allowed.to_string(),
                    ports,
                })
            });
            let named_by = peer.named_by.iter().map(|(namer, span)| {
                let named = match namer {
                    Namer::Policy(id) => names.policy(*id),
                    Namer::ClusterPolicy(id) => names.cluster_policy(*id),
                };
                let place = names.place(*span).map(|place| format!(" ({place})")).unwrap_or_default();
                format!("{named}{place}")
            });
            Hypothetical {
                who: peer.description.clone(),
                namespace_exists: peer.namespace_exists,
                named_by: named_by.collect(),
                cells: cells.collect(),
            }
        };
        self.peers.iter().map(peer).collect()
    }

    fn only_real(&self, actors: &[Actor]) -> Vec<Actor> {
        let real = |actor: &Actor| match actor {
            Actor::Pods(pods) => {
                let pods: Vec<PodId> = pods.iter().copied().filter(|pod| pod.index() < self.real).collect();
                (!pods.is_empty()).then_some(Actor::Pods(pods))
            }
            other => Some(other.clone()),
        };
        actors.iter().filter_map(real).collect()
    }
}

/// Refuses CSV, which has no room for a second table.
pub(crate) fn check(asked: bool, format: Format) -> Result<(), Failure> {
    if asked && format == Format::Csv {
        return Err(Failure::usage("--hypothetical does not print csv", "it prints table, wide, json, yaml, md"));
    }
    Ok(())
}

/// A table of hypothetical pods below the answer.
pub(crate) fn print(peers: &[Hypothetical], format: Format, output: &mut Output<'_>) -> io::Result<()> {
    let mut table = Table::new(&["hypothetical", "other end", "allowed", "named by"]);
    for peer in peers {
        for cell in &peer.cells {
            let row: [Text; 4] = [
                peer.who.as_str().into(),
                cell.shown.as_str().into(),
                cell.allowed.as_str().into(),
                peer.named_by.join(", ").into(),
            ];
            table.push(row.to_vec());
        }
    }
    writeln!(output.stdout)?;
    if peers.is_empty() {
        return writeln!(output.stdout, "every peer that a policy names is in the input");
    }
    output.table(format, &table)
}
