//! `portolan exposed`.

use std::collections::BTreeSet;

use policy_core::ids::WorkloadId;
use policy_core::query::Subject;
use policy_core::ways::clients::overall;
use policy_core::ways::exposure::exposures;
use policy_core::ways::walk::Way;

use super::api;
use super::by_ways::{Row, table};
use super::question::is_document;
use crate::args::{ExposedArgs, Format};
use crate::dto::way::{ExposedAnswer, Unserved};
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::{Output, counted};
use crate::session::Session;

/// The heading of rights.
const RIGHTS: &str =
    "users who may ask the API server for pods (W-APROXY: as the API server; W-PFWD: past all policies):";

pub(crate) fn run(
    args: &ExposedArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let ways = exposures(&session.analysis, &session.analysis.ways);
    let header = session.header("ExposedAnswer", &None, output)?;
    api::note_unknown(session, output)?;
    let names = session.names();
    let cluster = names.cluster();
    let (open, closed): (Vec<&Way>, Vec<&Way>) = ways.iter().partition(|way| is_open(way) && leads_on(way));
    let reachable: BTreeSet<WorkloadId> =
        open.iter().flat_map(|way| &way.pods).map(|pod| cluster.pods.at(*pod).workload).collect();
    let shown: Vec<&Way> = if args.all { open.iter().chain(&closed).copied().collect() } else { open.clone() };
    if is_document(format) {
        let answer = ExposedAnswer {
            header,
            ways: shown.iter().map(|way| names.way_dto(way, None)).collect(),
            closed: closed.len(),
            reachable: reachable.iter().map(|id| Subject::Workload(*id).written(cluster)).collect(),
            workloads: cluster.workloads.len(),
            unserved: unserved(session, &names),
            api_rights: api::rights(session, &names),
        };
        output.large_document(format, &answer)?;
        return Ok(Exit::Clean);
    }
    let text = matches!(format, Format::Table | Format::Wide);
    if !shown.is_empty() || !text {
        let rows: Vec<Row> = shown.iter().map(|way| Row { from: None, way: (*way).clone() }).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        output.table(format, &table(&rows, &names, format != Format::Table, args.all))?;
    }
    if text {
        if !shown.is_empty() {
            writeln!(output.stdout)?;
        }
        for left in unserved(session, &names) {
            let place = left.source.map(|place| format!(", {place}")).unwrap_or_default();
            writeln!(output.stdout, "not served: {}: {} ({}{place})", left.what, left.why, left.rule)?;
        }
        let (count, all) = (reachable.len(), cluster.workloads.len());
        let more = match closed.len() {
            0 => String::new(),
            n if args.all => format!("; {} closed", counted(n, "way")),
            n => format!("; {} closed (--all shows them)", counted(n, "way")),
        };
        writeln!(output.stdout, "{count} of {} can be reached from outside{more}", counted(all, "workload"))?;
        let rights = api::rights(session, &names);
        if !rights.is_empty() {
            writeln!(output.stdout, "\n{RIGHTS}")?;
            api::print_rights(&rights, format, output)?;
        }
    }
    Ok(Exit::Clean)
}

fn is_open(way: &Way) -> bool {
    overall(&way.parts).is_some_and(policy_core::model::Finding::is_open)
}

/// Whether it ends at somebody, or nobody can tell whether it does.
fn leads_on(way: &Way) -> bool {
    let undefined =
        way.served.as_ref().is_some_and(|served| matches!(served.then, policy_core::model::http::Action::Undefined(_)));
    !way.pods.is_empty() || way.address.is_some() || way.port > 0 || undefined
}

fn unserved(session: &Session, names: &Names<'_>) -> Vec<Unserved> {
    let ways = &session.analysis.ways;
    let cluster = &session.analysis.cluster;
    let ingress = |id: policy_core::ids::IngressId| {
        let ingress = cluster.ingresses.at(id);
        format!("Ingress {}/{}", cluster.namespaces.at(ingress.namespace).name, ingress.name)
    };
    let unclaimed = ways.claims.unclaimed.iter().map(|(id, why)| Unserved {
        what: ingress(*id),
        rule: "ING-9",
        why: why.to_string(),
        source: names.place(cluster.ingresses.at(*id).span),
    });
    let left_out = ways.left_out.iter().map(|left| Unserved {
        what: ingress(left.ingress),
        rule: left.rule,
        why: left.why.clone(),
        source: names.place(left.span),
    });
    unclaimed.chain(left_out).collect()
}
