//! Questions about users of the API server: `can`, `who`, `where`, and what `exposed` says of rights (API-1 … API-8).

use std::collections::BTreeMap;
use std::io;

use policy_core::ids::{Id, PodId};
use policy_core::model::api_server::{ApiLeg, ApiSource};
use policy_core::model::{Access, AccessRequest, KnobSet, Name, Party, Protocol, Verdict, Who};
use policy_core::query::{Actor, PortAsk, Target, clients};
use policy_core::ways::api_rights::{doors, may_enter};
use policy_core::ways::api_server::ApiServer;
use policy_core::ways::api_users::{ApiClient, Means, UserWay, outcome};

use super::destination::Destination;
use super::question::{is_document, tone};
use crate::api_user::ApiUser;
use crate::args::Format;
use crate::caveats::Scope;
use crate::dto::answer::{CanAnswer, ReachAnswer};
use crate::dto::api::{ApiRights, ApiWayDto, ResourceVerbs, condition_text, grant_text, is_refused, scope_text};
use crate::dto::knobs;
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::table::{Table, Text};
use crate::render::{Output, counted, escape};
use crate::session::Session;

/// What a user gets at, of what is asked about.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Ways that differ in nothing but the pods at their ends are one.
    pub(crate) ways: Vec<UserWay>,
    /// What becomes of the best way to each pod, node and port of a Service (M-6).
    pub(crate) outcomes: Vec<(Verdict, &'static str)>,
    /// Something to say where there is no way.
    pub(crate) why: Option<String>,
}

impl Found {
    /// The verdict and rule that all outcomes share; `conditional` by M-3 when they differ.
    pub(crate) fn verdict(&self) -> (Verdict, &'static str) {
        let Some((verdict, rule)) = self.outcomes.first().copied() else { return (Verdict::NoRoute, "API-1") };
        if self.outcomes.iter().any(|(other, _)| *other != verdict) {
            return (Verdict::Conditional, "M-3");
        }
        (verdict, if self.outcomes.iter().all(|(_, other)| *other == rule) { rule } else { "M-3" })
    }

    /// Those by which the user may get there, or all when there is none.
    pub(crate) fn shown(&self) -> Vec<&UserWay> {
        let open: Vec<&UserWay> = self.ways.iter().filter(|group| is_open(group)).collect();
        if open.is_empty() { self.ways.iter().collect() } else { open }
    }

    fn nothing(rule: &'static str, verdict: Verdict, why: impl Into<String>) -> Self {
        Self { ways: Vec::new(), outcomes: vec![(verdict, rule)], why: Some(why.into()) }
    }
}

pub(super) fn is_open(group: &UserWay) -> bool {
    matches!(group.way.verdict, Verdict::Allowed | Verdict::Conditional | Verdict::Undefined)
}

/// The API server of a session, asked by a user.
pub(crate) fn client<'a>(session: &'a Session, user: &'a ApiUser) -> ApiClient<'a> {
    let analysis = &session.analysis;
    let server = ApiServer::new(&analysis.cluster, &analysis.profile, &analysis.ways.endpoints, analysis);
    ApiClient::new(server, &user.user)
}

/// What tells ways apart that are shown by themselves: everything but names of pods.
type Alike =
    (Means, Option<u16>, Verdict, &'static str, KnobSet, Vec<(AccessRequest, Access)>, Vec<ApiLeg>, Option<String>);

fn alike(found: &UserWay) -> Alike {
    let way = &found.way;
    let access = way.access.iter().map(|(asked, access)| {
        let name = if found.pods.is_empty() { asked.name.clone() } else { Name::from("") };
        (AccessRequest { name, ..asked.clone() }, access.clone())
    });
    let anybody = Party::Pod(PodId::from_index(0));
    let leg = |leg: &ApiLeg| match leg.destination {
        Party::Pod(_) => ApiLeg { destination: anybody, ..leg.clone() },
        _ => leg.clone(),
    };
    let mut legs: Vec<ApiLeg> = way.legs.iter().map(leg).collect();
    legs.dedup();
    (found.means, found.port, way.verdict, way.rule, way.knobs, access.collect(), legs, way.why.clone())
}

/// Ways with those that are like them, in the order of what they lead to.
fn grouped(ways: Vec<UserWay>) -> Vec<UserWay> {
    let mut places: BTreeMap<Alike, usize> = BTreeMap::new();
    let mut groups: Vec<UserWay> = Vec::new();
    for way in ways {
        let place = *places.entry(alike(&way)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.pods.extend(&way.pods),
            None => groups.push(way),
        }
    }
    for group in &mut groups {
        group.pods.sort_unstable();
        group.pods.dedup();
    }
    groups.sort_by(|one, other| {
        let key = |group: &UserWay| (group.node, group.means.kind(), group.means, group.port);
        one.pods.cmp(&other.pods).then_with(|| key(one).cmp(&key(other)))
    });
    groups
}

/// Asks for every way of a user to a destination.
pub(crate) fn ask(session: &Session, client: &ApiClient<'_>, destination: &Destination) -> Result<Found, Failure> {
    match destination {
        Destination::Target(target) => Ok(to_target(session, client, target)),
        Destination::Service(service, port) => {
            if let Some((protocol, _)) = port.filter(|(protocol, _)| *protocol != Protocol::Tcp) {
                return Ok(Found::nothing("API-3", Verdict::NoRoute, not_tcp(protocol)));
            }
            let ports = &session.analysis.cluster.services.at(*service).ports;
            let tcp = ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.port);
            let numbers: Vec<u16> = port.map_or_else(|| tcp.collect(), |(_, number)| vec![number]);
            let (mut ways, mut outcomes) = (Vec::new(), Vec::new());
            for number in numbers {
                let of_port = client.to_service(*service, Some(number));
                outcomes.push(outcome(&of_port).unwrap_or((Verdict::NoListener, "API-3")));
                ways.extend(of_port);
            }
            if outcomes.is_empty() {
                return Ok(Found::nothing("API-3", Verdict::NoRoute, "the Service has no TCP port"));
            }
            Ok(Found { ways: grouped(ways), outcomes, why: None })
        }
        Destination::Address(ip, ..) => {
            let why = format!(
                "the API server hands requests on to Services, pods and nodes by their names; ask about the one behind {ip}"
            );
            Ok(Found::nothing("API-1", Verdict::NoRoute, why))
        }
        Destination::NoName(rule, why) => Ok(Found::nothing(rule, Verdict::NoListener, why.clone())),
        Destination::Url(_) => {
            let help = "ask about what is behind it: NAMESPACE/svc/NAME:PORT or NAMESPACE/NAME:PORT. For the URL itself, ask \
                        from where the user sits, such as `internet`";
            Err(Failure::usage("a user of the API server asks for pods, Services and nodes, not for URLs", help))
        }
    }
}

fn not_tcp(protocol: Protocol) -> String {
    format!("the API server's proxies and forwarded ports carry no {}", protocol.as_str())
}

fn to_target(session: &Session, client: &ApiClient<'_>, target: &Target) -> Found {
    let (mut ways, mut found) = (Vec::new(), Found::default());
    for (actor, _) in clients(&session.analysis, &target.subject) {
        match actor {
            Actor::Pods(pods) => {
                for pod in pods {
                    let of_pod = client.to_pod(pod, &target.port);
                    found.outcomes.push(outcome(&of_pod).unwrap_or_else(|| nowhere(&target.port)));
                    ways.extend(of_pod);
                }
            }
            Actor::Node(node) => match node_port(&target.port) {
                Some(port) => {
                    let of_node = client.to_node(node, port);
                    found.outcomes.push(outcome(&of_node).unwrap_or((Verdict::Denied, "API-2")));
                    ways.extend(of_node);
                }
                None => found.outcomes.push(nowhere(&target.port)),
            },
            Actor::Addresses(_) | Actor::Name(_) => found.outcomes.push((Verdict::NoRoute, "API-1")),
        }
    }
    if ways.is_empty() && found.why.is_none() {
        found.why = Some(match &target.port {
            PortAsk::Number(protocol, _) | PortAsk::Name(protocol, _) if *protocol != Protocol::Tcp => {
                not_tcp(*protocol)
            }
            PortAsk::Name(_, name) => format!("no pod there declares a TCP port called `{name}`"),
            _ => "the API server hands requests on to Services, pods and nodes alone".to_owned(),
        });
    }
    found.ways = grouped(ways);
    found
}

/// What becomes of a pod to which no way leads at all.
fn nowhere(port: &PortAsk) -> (Verdict, &'static str) {
    match port {
        PortAsk::Name(Protocol::Tcp, _) => (Verdict::NoListener, "NP-16"),
        PortAsk::Number(protocol, _) | PortAsk::Name(protocol, _) if *protocol != Protocol::Tcp => {
            (Verdict::NoRoute, "API-6")
        }
        _ => (Verdict::Denied, "API-2"),
    }
}

/// The port of a node that is meant; the outer `None` where it is none that a proxy knows.
fn node_port(port: &PortAsk) -> Option<Option<u16>> {
    match port {
        PortAsk::Any => Some(None),
        PortAsk::Number(Protocol::Tcp, number) => Some(Some(*number)),
        _ => None,
    }
}

/// What a question prints about who asks.
pub(crate) struct Question<'a> {
    pub(crate) user: &'a ApiUser,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
}

/// The destination of a question with a user in front, and the namespaces whose policies bear on it.
pub(crate) fn destination(session: &Session, to: &str) -> Result<(Destination, Scope), Failure> {
    let destination = session.destination(to, None)?;
    let scope = match &destination {
        Destination::Target(target) => session.scope(&[&target.subject]),
        _ => None,
    };
    Ok((destination, scope))
}

/// `can` with a user.
pub(super) fn can(
    question: &Question<'_>,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let (destination, scope) = destination(session, question.to)?;
    let client = client(session, question.user);
    let found = ask(session, &client, &destination)?;
    let header = session.header("CanAnswer", &scope, output)?;
    let names = session.names();
    let (verdict, rule) = found.verdict();
    let exit = if verdict == Verdict::Allowed { Exit::Clean } else { Exit::Finding };
    if is_document(format) {
        let (from, to) = (question.from.to_owned(), question.to.to_owned());
        let api_ways = documents(&found, &question.user.written, &names);
        let (verdict, cells, ways, through) = (verdict.as_str(), Vec::new(), Vec::new(), Vec::new());
        output.document(format, &CanAnswer { header, from, to, verdict, rule, cells, ways, api_ways, through })?;
        return Ok(exit);
    }
    headline((verdict, rule), question, output)?;
    let groups: Vec<&UserWay> = if format == Format::Wide { found.ways.iter().collect() } else { found.shown() };
    if !groups.is_empty() {
        writeln!(output.stdout)?;
        let rows: Vec<(&str, &UserWay)> = groups.into_iter().map(|group| ("", group)).collect();
        output.table(format, &table(&rows, &names, format == Format::Wide, false))?;
    }
    remarks(&found, &client, session, output)?;
    Ok(exit)
}

/// The verdict, who asks, and for what.
pub(super) fn headline(
    (verdict, rule): (Verdict, &'static str),
    question: &Question<'_>,
    output: &mut Output<'_>,
) -> io::Result<()> {
    let word = output.palette.paint(tone(verdict), verdict);
    let differs = verdict == Verdict::Conditional && rule == "M-3";
    let why = if differs { "M-3: it depends on which of them" } else { rule };
    writeln!(output.stdout, "{word}  {} → {}  {why}", escape(question.from), escape(question.to))
}

/// What there is to say besides the ways.
pub(super) fn remarks(
    found: &Found,
    client: &ApiClient<'_>,
    session: &Session,
    output: &mut Output<'_>,
) -> io::Result<()> {
    if let Some(why) = &found.why {
        writeln!(output.stdout, "  {}", escape(why))?;
    }
    let is_denied = |group: &UserWay| is_refused(&group.way);
    if session.analysis.cluster.rbac.is_given() && !found.ways.is_empty() && found.ways.iter().all(is_denied) {
        let bindings = match client.rights().bindings().len() {
            0 => "no binding of the input names it, or a group that it is known to be in".to_owned(),
            count => format!("{} of the input name it, and none grants this", counted(count, "binding")),
        };
        writeln!(output.stdout, "\n  API-2: {bindings}")?;
    }
    let inside = |group: &&UserWay| is_open(group) && is_inside(group);
    if found.ways.iter().any(|group| inside(&group)) {
        writeln!(output.stdout, "\n{INSIDE}")?;
    }
    Ok(())
}

/// What every W-PFWD has in common.
const INSIDE: &str = "W-PFWD ends inside the pod, on its own localhost: no policy is asked (API-6)";

fn is_inside(group: &UserWay) -> bool {
    group.way.legs.iter().any(|leg| leg.source == ApiSource::Inside)
}

pub(super) fn documents(found: &Found, from: &str, names: &Names<'_>) -> Vec<ApiWayDto> {
    found.ways.iter().map(|group| names.api_way(from, group)).collect()
}

/// What is asked for, in a word: `pods/portforward`, `services/proxy shop/cart:80`.
pub(super) fn by_text(names: &Names<'_>, means: Means) -> String {
    match means {
        Means::ServiceProxy(service, port) | Means::ServiceForward(service, port) => {
            format!("{} {}:{port}", means.resource(), names.service(service))
        }
        _ => means.resource().to_owned(),
    }
}

/// What grants a way, or why nothing does.
fn granted_text(names: &Names<'_>, group: &UserWay, wide: bool) -> String {
    let mut texts: Vec<String> = Vec::new();
    for (_, access) in &group.way.access {
        let text = match access {
            Access::Granted(grant) => grant_text(&names.grant(*grant), wide),
            Access::Denied => "nothing".to_owned(),
            Access::NotInInput(_) => "not in the input".to_owned(),
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    // What is missing counts, whatever else is granted.
    if texts.iter().any(|text| text == "nothing") { "nothing".to_owned() } else { texts.join("; ") }
}

/// What a way depends on.
pub(super) fn depends_text(group: &UserWay) -> String {
    let way = &group.way;
    let mut on: Vec<String> = knobs(way.knobs).into_iter().map(str::to_owned).collect();
    on.extend(way.conditions.iter().map(|condition| escape(&condition_text(condition))));
    on.join(", ")
}

/// What is at the end of a way.
pub(super) fn end_text(names: &Names<'_>, group: &UserWay, all: bool) -> String {
    let node = group.node.map(Actor::Node);
    let pods = (!group.pods.is_empty()).then(|| Actor::Pods(group.pods.clone()));
    let ends: Vec<Actor> = node.into_iter().chain(pods).collect();
    names.actors(&ends, all)
}

/// One line for each group of ways, with who takes it when there are several users.
fn table(rows: &[(&str, &UserWay)], names: &Names<'_>, wide: bool, users: bool) -> Table {
    let mut heading = vec!["verdict", "to", "port"];
    heading.extend(users.then_some("user"));
    heading.extend(["way", "by", "granted by", "depends on"]);
    if wide {
        heading.extend(["rule", "request"]);
    }
    let mut table = Table::new(&heading);
    let mut before: Option<(Verdict, Vec<String>, Vec<String>, Vec<String>)> = None;
    let row = |(verdict, first, by, last): (Verdict, Vec<String>, Vec<String>, Vec<String>)| {
        let word = Text::toned(tone(verdict), verdict.as_str());
        let cells = first.into_iter().chain([by.join(", ")]).chain(last);
        std::iter::once(word).chain(cells.map(Text::from)).collect::<Vec<Text>>()
    };
    for (user, group) in rows {
        let port = group.port.map_or_else(|| "any".to_owned(), |port| format!("{port}/tcp"));
        let mut first = vec![end_text(names, group, wide), port];
        first.extend(users.then(|| escape(user)));
        first.push(group.means.kind().id().to_owned());
        let by = by_text(names, group.means);
        let mut last = vec![granted_text(names, group, wide), depends_text(group)];
        if wide {
            last.extend([group.way.rule.to_owned(), escape(&group.request)]);
        }
        // What differs in the means alone stands in one line, where a line does not show the request.
        match &mut before {
            Some((verdict, known, means, others))
                if *verdict == group.way.verdict && *known == first && *others == last =>
            {
                means.push(by);
            }
            _ => {
                table_line(&mut table, before.take().map(row));
                before = Some((group.way.verdict, first, vec![by], last));
            }
        }
    }
    table_line(&mut table, before.map(row));
    table
}

fn table_line(table: &mut Table, row: Option<Vec<Text>>) {
    if let Some(row) = row {
        table.push(row);
    }
}

/// `where` with a user: everything that it may get at.
pub(super) fn reached(
    user: &ApiUser,
    from: &str,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let client = client(session, user).only_open();
    let target = Target { subject: policy_core::query::Subject::Everything, port: PortAsk::Any };
    let found = to_target(session, &client, &target);
    let header = session.header("WhereAnswer", &None, output)?;
    let names = session.names();
    if is_document(format) {
        let api_ways = documents(&found, &user.written, &names);
        let (from, to) = (from.to_owned(), "*".to_owned());
        let answer = ReachAnswer {
            header,
            from,
            to,
            cells: Vec::new(),
            ways: Vec::new(),
            api_ways,
            api_users_unknown: false,
            hypothetical: None,
        };
        output.document(format, &answer)?;
        return Ok(Exit::Clean);
    }
    let text = matches!(format, Format::Table | Format::Wide);
    if found.ways.is_empty() && text {
        writeln!(output.stdout, "nothing: the API server lets {} into no pod and no node", escape(from))?;
        return Ok(Exit::Clean);
    }
    let rows: Vec<(&str, &UserWay)> = found.ways.iter().map(|group| ("", group)).collect();
    output.table(format, &table(&rows, &names, format != Format::Table, false))?;
    if text && found.ways.iter().any(is_inside) {
        writeln!(output.stdout, "\n{INSIDE}")?;
    }
    Ok(Exit::Clean)
}

/// The users who may get at some pods, each with its ways; `None` when the input says nothing about rights.
pub(super) fn users_of(session: &Session, pods: &[PodId], port: &PortAsk) -> Option<Vec<(ApiUser, Vec<UserWay>)>> {
    let rbac = &session.analysis.cluster.rbac;
    if !rbac.is_given() {
        return None;
    }
    let mut subjects: Vec<&Who> = rbac.bindings.values().flat_map(|bound| &bound.subjects).collect();
    subjects.sort();
    subjects.dedup();
    let mut users = Vec::new();
    for who in subjects {
        let user = ApiUser::of(who);
        let client = client(session, &user).only_open();
        if !may_enter(client.rights()) {
            continue;
        }
        let ways: Vec<UserWay> = pods.iter().flat_map(|pod| client.to_pod(*pod, port)).collect();
        let groups = grouped(ways);
        if !groups.is_empty() {
            users.push((user, groups));
        }
    }
    Some(users)
}

/// The users of [`users_of`] for people, behind the rest of an answer.
pub(super) fn print_users(
    users: &[(ApiUser, Vec<UserWay>)],
    names: &Names<'_>,
    format: Format,
    output: &mut Output<'_>,
) -> io::Result<()> {
    let text = matches!(format, Format::Table | Format::Wide);
    let rows: Vec<(&str, &UserWay)> =
        users.iter().flat_map(|(user, groups)| groups.iter().map(|group| (user.written.as_str(), group))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    if text {
        writeln!(output.stdout, "\nusers of the API server (W-PFWD ends inside the pod: no policy is asked, API-6):")?;
    } else {
        writeln!(output.stdout)?;
    }
    output.table(format, &table(&rows, names, format != Format::Table, true))
}

/// Says of an answer about everybody that it is not about users, where the input does not tell what these may.
pub(super) fn note_unknown(session: &Session, output: &mut Output<'_>) -> io::Result<()> {
    if session.analysis.cluster.rbac.is_given() {
        return Ok(());
    }
    output.notice(
        "coverage",
        "no Role and no binding in the input: users of the API server are not shown. Who may ask for pods/portforward or \
         pods/exec gets in past all policies (W-PFWD), by pods/proxy or services/proxy as the API server (W-APROXY)",
    )
}

/// The rights that open ways into pods, as they are written.
pub(super) fn rights(session: &Session, names: &Names<'_>) -> Vec<ApiRights> {
    let found = doors(&session.analysis.cluster, &session.analysis.profile);
    found.iter().map(|door| names.door(door)).collect()
}

/// One line for each of these rights.
pub(super) fn print_rights(rights: &[ApiRights], format: Format, output: &mut Output<'_>) -> io::Result<()> {
    let mut table = Table::new(&["users", "into", "names", "way", "rights", "granted by"]);
    for right in rights {
        let granted = verbs_first(&right.rights);
        let unknown = granted.is_empty();
        table.push(vec![
            escape(&right.subjects.join(", ")).into(),
            scope_text(right).into(),
            if right.names.is_empty() { "*".into() } else { escape(&right.names.join(", ")).into() },
            right.ways.join(", ").into(),
            if unknown { "the input lacks the role".into() } else { granted.into() },
            grant_text(&right.grant, format == Format::Wide).into(),
        ]);
    }
    output.table(format, &table)
}

/// `get|create services/proxy, pods/proxy; create pods/exec`: resources of the same verbs together.
fn verbs_first(rights: &[ResourceVerbs]) -> String {
    let alike = rights.chunk_by(|one, other| one.verbs == other.verbs);
    let texts = alike.filter_map(|alike| {
        let verbs = alike.first()?.verbs.join("|");
        let resources: Vec<&str> = alike.iter().map(|right| right.resource.as_str()).collect();
        Some(format!("{verbs} {}", resources.join(", ")))
    });
    texts.collect::<Vec<String>>().join("; ")
}
