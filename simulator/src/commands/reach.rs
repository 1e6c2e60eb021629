//! `portolan who` and `portolan where`.

use policy_core::model::Finding;
use policy_core::query::{PortAsk, Subject, Target};
use policy_core::ways::api_users::UserWay;
use policy_core::ways::clients::overall;

use super::api;
use super::by_ways::{self, Asked, Row};
use super::can::{Part, Split, nothing_to_ask, split, table};
use super::hypothetical::{self, Peers};
use super::question::{Source, is_document};
use crate::api_user::ApiUser;
use crate::args::{Format, WhereArgs, WhoArgs};
use crate::dto::Hypothetical;
use crate::dto::answer::ReachAnswer;
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::Output;
use crate::session::Session;

/// Who reaches a destination.
pub(crate) fn who(args: &WhoArgs, session: &Session, format: Format, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let target = session.target(&args.to)?;
    let peers = |peers: &Peers, names: &Names<'_>| peers.reaching_only(&target.subject, names);
    let hypothetical: Option<Ask<'_>> = if args.hypothetical { Some(&peers) } else { None };
    // Users get at pods alone: of addresses and names there is nothing to say.
    let pods = by_ways::pods_of(session, &target.subject);
    let users = (!pods.is_empty()).then(|| api::users_of(session, &pods, &target.port));
    let users = users.as_ref().map(Option::as_deref);
    let question = Question { kind: "WhoAnswer", from: "*", to: &args.to, hypothetical, users };
    print(&question, &Subject::Everything, &target, session, format, output)
}

/// What a source reaches.
pub(crate) fn reached(
    args: &WhereArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let source = match session.source(&args.from)? {
        Source::Subject(subject) => subject,
        Source::User(_) if args.hypothetical => {
            let help = "leave --hypothetical out: rights name no pods that are not there";
            return Err(Failure::usage("a user of the API server reaches what the input has", help));
        }
        Source::User(user) => return api::reached(&user, &args.from, session, format, output),
    };
    let target = Target { subject: Subject::Everything, port: PortAsk::Any };
    let peers = |peers: &Peers, names: &Names<'_>| peers.reached_by(&source, names);
    let hypothetical: Option<Ask<'_>> = if args.hypothetical { Some(&peers) } else { None };
    let question = Question { kind: "WhereAnswer", from: &args.from, to: "*", hypothetical, users: None };
    print(&question, &source, &target, session, format, output)
}

/// Asks about pods that policies name and the input lacks.
type Ask<'a> = &'a dyn Fn(&Peers, &Names<'_>) -> Vec<Hypothetical>;

struct Question<'a> {
    kind: &'static str,
    from: &'a str,
    to: &'a str,
    hypothetical: Option<Ask<'a>>,
    /// With `who`: the users of the API server who get there; the inner `None` when the input does not tell.
    users: Option<Option<&'a [(ApiUser, Vec<UserWay>)]>>,
}

fn print(
    question: &Question<'_>,
    source: &Subject,
    target: &Target,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    hypothetical::check(question.hypothetical.is_some(), format)?;
    let Split { mut parts, asked, .. } = split(session, source, target);
    if parts.is_empty() && asked.is_none() {
        return Err(nothing_to_ask());
    }
    parts.retain(gets_through);
    let header = session.header(question.kind, &None, output)?;
    if question.users == Some(None) {
        api::note_unknown(session, output)?;
    }
    let names = session.names();
    let rows: Vec<&Row> = asked.iter().flat_map(Asked::shown).filter(|row| is_open(row)).collect();
    let hypothetical = question.hypothetical.map(|ask| ask(&Peers::new(session), &names));
    if is_document(format) {
        let cells = parts.iter().map(|part| names.judged_cell(&part.cell, &part.judgement, part.ports()));
        let cells = cells.collect();
        let ways = rows.iter().map(|row| names.way_dto(&row.way, row.from.as_ref())).collect();
        let (from, to) = (question.from.to_owned(), question.to.to_owned());
        let users = question.users.flatten().unwrap_or_default().iter();
        let api_ways = users.flat_map(|(user, ways)| ways.iter().map(|way| names.api_way(&user.written, way)));
        let (api_ways, api_users_unknown) = (api_ways.collect(), question.users == Some(None));
        let answer = ReachAnswer { header, from, to, cells, ways, api_ways, api_users_unknown, hypothetical };
        output.document(format, &answer)?;
        return Ok(Exit::Clean);
    }
    let text = matches!(format, Format::Table | Format::Wide);
    let wide = format != Format::Table;
    if parts.is_empty() && rows.is_empty() && text {
        writeln!(output.stdout, "nothing: every connection {} → {} is denied", question.from, question.to)?;
    } else if !parts.is_empty() || rows.is_empty() {
        output.table(format, &table(&parts, &names, wide))?;
    }
    if !rows.is_empty() {
        if !parts.is_empty() {
            writeln!(output.stdout)?;
        }
        output.table(format, &by_ways::table(&rows, &names, wide, false))?;
    }
    if let Some(Some(users)) = question.users {
        api::print_users(users, &names, format, output)?;
    }
    if let Some(peers) = hypothetical {
        hypothetical::print(&peers, format, output)?;
    }
    Ok(Exit::Clean)
}

fn is_open(row: &Row) -> bool {
    overall(&row.way.parts).is_some_and(Finding::is_open)
}

/// Whether some flow of the part is not denied for sure.
fn gets_through(part: &Part) -> bool {
    use policy_core::model::Verdict::{Allowed, Conditional, Undefined};
    matches!(part.judgement.verdict, Allowed | Conditional | Undefined)
}
