//! `portolan explain` with a user of the API server: rights, then the connections that the API server opens (API-2 … API-8).

use std::io;

use policy_core::explain::explain;
use policy_core::model::Verdict;
use policy_core::model::api_server::{ApiLeg, ApiSource};
use policy_core::ways::api_users::UserWay;

use super::api::{self, Question, by_text, depends_text, end_text};
use super::explain::{SHOWN, Writer};
use super::question::{is_document, tone};
use crate::api_user::ApiUser;
use crate::args::{ExplainArgs, Format};
use crate::dto::api::{flow_of, grant_text, is_refused};
use crate::dto::explain::ExplainAnswer;
use crate::exit::{Exit, Failure};
use crate::render::{Output, Tone, counted, escape};
use crate::session::Session;

pub(super) fn run(
    user: &ApiUser,
    args: &ExplainArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let (destination, scope) = api::destination(session, &args.to)?;
    let client = api::client(session, user);
    let found = api::ask(session, &client, &destination)?;
    let header = session.header("ExplainAnswer", &scope, output)?;
    let names = session.names();
    let (verdict, rule) = found.verdict();
    if is_document(format) {
        let asked = found.ways.iter().filter(|found| !is_refused(&found.way));
        let flows = asked.flat_map(|found| &found.way.legs).filter_map(flow_of);
        let traces = flows.map(|flow| names.trace(&explain(&session.analysis, &flow), &[])).collect();
        let api_ways = api::documents(&found, &user.written, &names);
        let (from, to, verdict) = (args.from.clone(), args.to.clone(), verdict.as_str());
        let (ways, through) = (Vec::new(), Vec::new());
        output.document(format, &ExplainAnswer { header, from, to, verdict, rule, traces, ways, api_ways, through })?;
    } else {
        let question = Question { user, from: &args.from, to: &args.to };
        api::headline((verdict, rule), &question, output)?;
        let writer = Writer { session, names, wide: format == Format::Wide };
        for way in found.ways.iter().take(SHOWN) {
            writer.user_way(user, way, output)?;
        }
        if let Some(more) = found.ways.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(output.stdout, "\n{} more; use -o json for all", counted(more, "way"))?;
        }
        api::remarks(&found, &client, session, output)?;
    }
    Ok(if verdict == Verdict::Allowed { Exit::Clean } else { Exit::Finding })
}

impl Writer<'_> {
    /// One way: what is asked, what must be granted, and each connection as if it had been asked about by itself.
    fn user_way(&self, user: &ApiUser, found: &UserWay, output: &mut Output<'_>) -> io::Result<()> {
        let (kind, way) = (found.means.kind(), &found.way);
        let heading = output.palette.paint(Tone::Strong, format!("{} ({kind})", kind.id()));
        let port = found.port.map_or_else(|| "any port".to_owned(), |port| format!("port {port}"));
        let end = end_text(&self.names, found, self.wide);
        let end = if end.is_empty() { String::new() } else { format!(" → {end}, {port}") };
        writeln!(output.stdout, "\n{heading}: the API server, {}{end}", by_text(&self.names, found.means))?;
        let word = output.palette.paint(tone(way.verdict), way.verdict);
        let depends = depends_text(found);
        let depends = if depends.is_empty() { depends } else { format!("; depends on {depends}") };
        writeln!(output.stdout, "  {word}  {}{depends}", way.rule)?;
        writeln!(output.stdout, "  request: {}", escape(&found.request))?;
        for access in &way.access {
            let right = self.names.right(access);
            let by = right.grant.as_ref().map(|grant| grant_text(grant, true));
            let why = match (right.verdict, by) {
                ("allowed", by) => format!("granted by {}", by.unwrap_or_default()),
                ("denied", _) => "nothing grants it (API-2)".to_owned(),
                (_, Some(by)) => format!("not in the input: what the role of {by} grants"),
                (_, None) => "not in the input: it has neither roles nor bindings".to_owned(),
            };
            writeln!(output.stdout, "  right: {}: {why}", escape(&right.needs))?;
        }
        if let Some(why) = &way.why {
            writeln!(output.stdout, "  {}", escape(why))?;
        }
        if is_refused(way) {
            return Ok(());
        }
        writeln!(
            output.stdout,
            "\n  leg 1: {} → the API server: no policy of the input is asked",
            escape(&user.written)
        )?;
        for (place, leg) in way.legs.iter().enumerate().take(SHOWN) {
            self.api_leg(place, way.legs.len(), leg, output)?;
        }
        Ok(())
    }

    fn api_leg(&self, place: usize, of: usize, leg: &ApiLeg, output: &mut Output<'_>) -> io::Result<()> {
        let number = if of > 1 { format!("2, choice {} of {of}", place + 1) } else { "2".to_owned() };
        let Some(flow) = flow_of(leg).filter(|_| leg.source != ApiSource::Inside) else {
            let port = if leg.port == 0 { "any port".to_owned() } else { format!("port {}", leg.port) };
            let to = self.names.party(leg.destination);
            writeln!(
                output.stdout,
                "  leg {number}: inside {to}, its own localhost, {port}: no policy is asked (API-6)"
            )?;
            for remark in &leg.flags {
                writeln!(output.stdout, "  note: {}", super::reasons::remark_text(*remark))?;
            }
            return Ok(());
        };
        let witness = self.names.witness(&flow, &[]);
        let verdict = output.palette.paint(tone(leg.verdict), leg.verdict);
        writeln!(
            output.stdout,
            "  leg {number}: the API server → {}, {} {} ({}), seen as {}: {verdict} ({})",
            witness.to, witness.protocol, witness.port, witness.family, witness.from, leg.rule
        )?;
        let trace = explain(&self.session.analysis, &flow);
        self.both(&trace, &witness, output)
    }
}
