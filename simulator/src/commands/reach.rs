//! `portolan who` and `portolan where`.

use policy_core::query::{PortAsk, Subject, Target};

use super::can::{Part, nothing_to_ask, parts, table};
use super::question::is_document;
use crate::args::{Format, WhereArgs, WhoArgs};
use crate::dto::answer::ReachAnswer;
use crate::exit::{Exit, Failure};
use crate::render::Output;
use crate::session::Session;

/// Who reaches a destination.
pub(crate) fn who(args: &WhoArgs, session: &Session, format: Format, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let target = session.target(&args.to)?;
    print(
        &Question { kind: "WhoAnswer", from: "*", to: &args.to },
        &Subject::Everything,
        &target,
        session,
        format,
        output,
    )
}

/// What a source reaches.
pub(crate) fn reached(
    args: &WhereArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let source = session.subject(&args.from)?;
    let target = Target { subject: Subject::Everything, port: PortAsk::Any };
    print(&Question { kind: "WhereAnswer", from: &args.from, to: "*" }, &source, &target, session, format, output)
}

struct Question<'a> {
    kind: &'static str,
    from: &'a str,
    to: &'a str,
}

fn print(
    question: &Question<'_>,
    source: &Subject,
    target: &Target,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let mut parts = parts(session, source, target);
    if parts.is_empty() {
        return Err(nothing_to_ask());
    }
    parts.retain(gets_through);
    let header = session.header(question.kind, &None, output)?;
    let names = session.names();
    if is_document(format) {
        let cells = parts.iter().map(|part| names.judged_cell(&part.cell, &part.judgement, part.ports()));
        let cells = cells.collect();
        let (from, to) = (question.from.to_owned(), question.to.to_owned());
        output.document(format, &ReachAnswer { header, from, to, cells, hypothetical: None })?;
    } else if parts.is_empty() && matches!(format, Format::Table | Format::Wide) {
        writeln!(output.stdout, "nothing: every connection {} → {} is denied", question.from, question.to)?;
    } else {
        output.table(format, &table(&parts, &names, format != Format::Table))?;
    }
    Ok(Exit::Clean)
}

/// Whether some flow of the part is not denied for sure.
fn gets_through(part: &Part) -> bool {
    use policy_core::model::Verdict::{Allowed, Conditional, Undefined};
    matches!(part.judgement.verdict, Allowed | Conditional | Undefined)
}
