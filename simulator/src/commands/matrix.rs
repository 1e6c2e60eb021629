//! `portolan matrix`.

use std::collections::BTreeMap;

use policy_core::ids::WorkloadId;
use policy_core::model::{PortSet, Verdict};
use policy_core::query::{PortAsk, Subject, Target};

use super::can::{Part, overall, parts};
use super::question::{is_document, tone};
use crate::args::{Format, MatrixArgs};
use crate::dto::matrix::{MatrixAnswer, MatrixCell};
use crate::dto::{self};
use crate::exit::{Exit, Failure};
use crate::render::table::{Table, Text};
use crate::render::{Output, Tone};
use crate::session::Session;

pub(crate) fn run(
    args: &MatrixArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let port = match &args.port {
        None => PortAsk::Any,
        Some(port) => PortAsk::parse(port)
            .map_err(|why| Failure::usage(format!("`{port}` is no port: {why}"), "write it as 443, http or 53/udp"))?,
    };
    let workloads: Vec<WorkloadId> = session.analysis.cluster.workloads.ids().collect();
    if workloads.len() > args.max_workloads {
        let message = format!("a table of {} workloads is too large to read", workloads.len());
        let help = format!(
            "raise the limit of {} with --max-workloads {}, or use `portolan list`",
            args.max_workloads,
            workloads.len()
        );
        return Err(Failure::usage(message, help));
    }
    let header = session.header("MatrixAnswer", &None, output)?;
    let names = session.names();
    let labels: Vec<String> = workloads.iter().map(|workload| names.workload(*workload)).collect();
    let rows: Vec<Vec<Field>> = workloads
        .iter()
        .map(|from| workloads.iter().map(|to| Field::ask(session, *from, *to, &port)).collect())
        .collect();
    if is_document(format) {
        output.document(format, &document(header, args, labels, rows))?;
        return Ok(Exit::Clean);
    }
    let mut heading = vec!["from \\ to".to_owned()];
    heading.extend(labels.iter().cloned());
    let mut table = Table::with_names(heading);
    for (label, row) in labels.into_iter().zip(rows) {
        let mut cells: Vec<Text> = vec![label.into()];
        cells.extend(row.iter().map(Field::text));
        table.push(cells);
    }
    output.table(format, &table)?;
    Ok(Exit::Clean)
}

/// What becomes of one pair of workloads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Field {
    verdict: Verdict,
    rule: &'static str,
    /// With no port asked for: the ports that every part allows, and those that some part does not deny.
    ports: Option<(PortSet, PortSet)>,
}

impl Field {
    fn ask(session: &Session, from: WorkloadId, to: WorkloadId, port: &PortAsk) -> Self {
        let target = Target { subject: Subject::Workload(to), port: port.clone() };
        let parts = parts(session, &Subject::Workload(from), &target);
        let (verdict, rule) = overall(&parts);
        let ports = (*port == PortAsk::Any).then(|| Self::ports(&parts));
        Self { verdict, rule, ports }
    }

    fn ports(parts: &[Part]) -> (PortSet, PortSet) {
        let answers = || parts.iter().filter_map(|part| part.cell.answer.as_ref());
        let always = answers().fold(PortSet::all(), |ports, answer| ports.intersection(&answer.allowed));
        let some = answers().fold(PortSet::empty(), |ports, answer| {
            ports.union(&answer.allowed).union(&answer.conditional).union(&answer.undefined)
        });
        (always, some)
    }

    fn text(&self) -> Text {
        let Some((always, some)) = &self.ports else {
            let word = match self.verdict {
                Verdict::Allowed => "yes",
                Verdict::Denied => "no",
                other => other.as_str(),
            };
            return Text::toned(tone(self.verdict), word);
        };
        if some.is_empty() {
            return Text::toned(Tone::Bad, "-");
        }
        if always == some {
            return Text::toned(Tone::Good, always.to_string());
        }
        if always.is_empty() {
            return Text::toned(Tone::Unsure, format!("? {some}"));
        }
        Text::toned(Tone::Unsure, format!("{always} ? {}", some.difference(always)))
    }
}

fn document(header: dto::Header, args: &MatrixArgs, workloads: Vec<String>, rows: Vec<Vec<Field>>) -> MatrixAnswer {
    let distinct: BTreeMap<&Field, usize> = {
        let fields: std::collections::BTreeSet<&Field> = rows.iter().flatten().collect();
        fields.into_iter().zip(0..).collect()
    };
    let cell = |field: &&Field| MatrixCell {
        verdict: field.verdict.as_str(),
        rule: field.rule,
        always: field.ports.as_ref().map(|(always, _)| dto::ports(always)),
        sometimes: field.ports.as_ref().map(|(always, some)| dto::ports(&some.difference(always))),
    };
    let index = |field: &Field| distinct.get(field).copied().unwrap_or_default();
    MatrixAnswer {
        header,
        port: args.port.clone(),
        workloads,
        answers: distinct.keys().map(cell).collect(),
        rows: rows.iter().map(|row| row.iter().map(index).collect()).collect(),
    }
}
