//! `portolan batch`: JSON lines of questions in, JSON lines of answers out, in the same order.
//!
//! What has arrived is answered at once, so that another program can talk to it over pipes; long inputs are
//! answered by all processors, block by block.

mod ways;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use policy_core::ids::PodId;
use policy_core::model::{Cluster, Family, PodState, Protocol, Verdict};
use policy_core::query::{
    Actor, PortAsk, Prepared, Subject, SubjectError, SubjectProblem, Target, can_prepared, placement,
};
use policy_core::ways::clients::Clients;
use policy_core::ways::dial::shared_addresses;
use policy_core::ways::route::{Question as Request, Url, route_all};
use policy_core::ways::walk::Walk;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::can::{Part, meant, overall, parts};
use super::destination::{Destination, Dialled};
use crate::api_user::ApiUser;
use crate::args::{BatchArgs, Options};
use crate::dto::batch::{Answer, Ends, Refusal, Reply};
use crate::dto::way::ThroughDto;
use crate::exit::{Exit, Failure};
use crate::load;
use crate::names::Names;
use crate::render::Output;
use crate::session::Session;

/// Questions that one processor takes at a time.
const SHARE: usize = 128;
/// How many names and subjects a thread remembers.
const REMEMBERED: usize = 1 << 14;
/// How many unknown names a thread finds near matches for.
const COMPARED: usize = 64;
/// The longest question.
const MAX_LINE: usize = 1 << 20;

pub(crate) fn run(
    args: &BatchArgs,
    options: &Options,
    session: &Session,
    stdin: &mut (dyn Read + Send),
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let _ = session.header("BatchAnswer", &None, output)?;
    let desk = Desk::new(session);
    let questions: Box<dyn BufRead + Send + '_> = match &args.questions {
        Some(path) if path.as_os_str() != "-" => load::open_lines(path)?,
        _ if options.files.iter().any(|path| path.as_os_str() == "-") => {
            let help = "give the questions as a file: portolan batch -f - questions.jsonl";
            return Err(Failure::usage("standard input cannot hold both manifests and questions", help));
        }
        _ => Box::new(BufReader::with_capacity(1 << 18, stdin)),
    };
    let all_answered = answer_all(&desk, questions, output)?;
    Ok(if all_answered { Exit::Clean } else { Exit::CouldNotRun })
}

fn answer_all(desk: &Desk<'_>, mut questions: impl BufRead, output: &mut Output<'_>) -> io::Result<bool> {
    let (mut pending, mut before, mut all_answered) = (Vec::new(), 0, true);
    loop {
        let arrived = questions.fill_buf()?;
        let last = arrived.is_empty();
        let taken = arrived.len();
        pending.extend_from_slice(arrived);
        questions.consume(taken);
        let whole =
            if last { pending.len() } else { pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1) };
        let rest = pending.split_off(whole);
        let lines: Vec<&[u8]> = pending.split(|byte| *byte == b'\n').collect();
        let lines = lines.get(..lines.len() - usize::from(pending.ends_with(b"\n"))).unwrap_or_default();
        let answers: Vec<(Vec<u8>, bool)> =
            lines.par_chunks(SHARE).enumerate().map(|(at, share)| desk.share(share, before + at * SHARE)).collect();
        for (text, answered) in answers {
            output.stdout.write_all(&text)?;
            all_answered &= answered;
        }
        output.stdout.flush()?;
        before += lines.len();
        pending = rest;
        if last {
            return Ok(all_answered);
        }
        if pending.len() > MAX_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is longer than 1 MiB", before + 1),
            ));
        }
    }
}

/// Answers questions, and remembers what names mean.
struct Desk<'a> {
    session: &'a Session,
    ends: Ends,
    names: Names<'a>,
    /// Whose the addresses of the input are; `None` for those of several.
    addresses: FxHashMap<IpAddr, Option<Subject>>,
    /// Addresses at which something else than their holder may answer.
    shared: FxHashSet<IpAddr>,
    /// What was asked before, one memory for each thread.
    memory: Vec<Mutex<Memory>>,
}

/// A subject, the one family that is meant when it is written as an address (NP-30), and whether placement matters.
type Ask = (Subject, Option<Family>, bool);

/// What a thread remembers: names that it has looked up, and the parties behind them.
#[derive(Default)]
struct Memory {
    subjects: FxHashMap<String, Result<Subject, SubjectError>>,
    /// The same for destinations, which may be DNS names.
    targets: FxHashMap<String, Result<Subject, SubjectError>>,
    sources: FxHashMap<Ask, Prepared>,
    destinations: FxHashMap<Ask, Vec<(PortAsk, Prepared)>>,
    /// What answers at addresses and nodes that are shared, and behind names that are no pod's.
    there: FxHashMap<Target, Destination>,
    named: FxHashMap<(String, Option<PodId>), Result<Dialled, Wrong>>,
    /// The clients that subjects stand for.
    clients: FxHashMap<Subject, Arc<[(Actor, Clients)]>>,
    /// How many unknown names were compared with all names of the cluster.
    compared: usize,
}

impl Memory {
    /// Forgets when it grows beyond what repetition is worth.
    fn trim(&mut self) {
        for names in [&mut self.subjects, &mut self.targets] {
            if names.len() > REMEMBERED {
                names.clear();
            }
        }
        if self.sources.len() > REMEMBERED {
            self.sources.clear();
        }
        if self.destinations.len() > REMEMBERED {
            self.destinations.clear();
        }
        if self.there.len() + self.named.len() + self.clients.len() > REMEMBERED {
            self.there.clear();
            self.named.clear();
            self.clients.clear();
        }
    }
}

/// What a thread has at hand while it answers its share.
struct Seat<'m, 'a> {
    memory: &'m mut Memory,
    /// The first question that goes by ways makes it.
    walk: Option<Walk<'a>>,
}

/// What to do instead of asking for a URL as a user.
const NO_REQUEST: &str = "ask about what is behind the URL with `to`, or for the URL as `internet`";

/// Which end a name is for.
#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

/// A question as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow, default)]
    to: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    port: Option<Port<'a>>,
    #[serde(borrow, default)]
    protocol: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    #[serde(borrow, default)]
    sni: Option<Cow<'a, str>>,
}

/// What a question is about.
enum Asked<'q> {
    /// A connection to this destination.
    Connection(&'q str),
    /// A request.
    Request(Request),
}

impl Question<'_> {
    /// The port that it asks for.
    fn port_ask(&self) -> Result<PortAsk, Wrong> {
        let protocol = match self.protocol.as_deref() {
            None => None,
            Some(word) => {
                let protocol = Protocol::parse(&word.to_ascii_uppercase());
                Some(protocol.ok_or_else(|| Wrong::new(format!("`{word}` is no protocol; it is TCP, UDP or SCTP")))?)
            }
        };
        match &self.port {
            None if protocol.is_some() => Err(Wrong::new("a protocol without a port".to_owned())),
            None => Ok(PortAsk::Any),
            Some(Port::Number(number)) => match u16::try_from(*number) {
                Ok(number) if number > 0 => Ok(PortAsk::Number(protocol.unwrap_or_default(), number)),
                _ => Err(Wrong::new(format!("{number} is no port; ports are 1 to 65535"))),
            },
            Some(Port::Name(name)) => {
                PortAsk::of(protocol.unwrap_or_default(), name).map_err(|why| Wrong::new(why.to_owned()))
            }
        }
    }

    /// What it is about; fields of both kinds together are an error.
    fn asked(&self) -> Result<Asked<'_>, Wrong> {
        let (to, url) = match (self.to.as_deref(), self.url.as_deref()) {
            (Some(to), None) => (to, None),
            (None, Some(url)) => ("", Some(url)),
            (Some(_), Some(_)) => return Err(Wrong::new("`to` and `url` exclude each other; ask twice".to_owned())),
            (None, None) => return Err(Wrong::new("this is no question: it has neither `to` nor `url`".to_owned())),
        };
        let Some(url) = url else {
            let (method, headers, sni) = (self.method.is_some(), self.headers.is_some(), self.sni.is_some());
            let foreign = [("method", method), ("headers", headers), ("sni", sni)].into_iter().find(|(_, is)| *is);
            return match foreign {
                Some((field, _)) => Err(Wrong::new(format!("`{field}` belongs to a question with `url`"))),
                None => Ok(Asked::Connection(to)),
            };
        };
        let foreign = [("port", self.port.is_some()), ("protocol", self.protocol.is_some())];
        if let Some((field, _)) = foreign.into_iter().find(|(_, is)| *is) {
            return Err(Wrong::new(format!("`{field}` belongs to a question with `to`; a URL has its own")));
        }
        let headers = self.headers.iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
        let request =
            Url::parse(url).and_then(|url| Request::new(url, self.method.as_deref(), headers, self.sni.as_deref()));
        request.map(Asked::Request).map_err(|bad| Wrong::new(bad.to_string()))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port<'a> {
    Number(u64),
    #[serde(borrow)]
    Name(Cow<'a, str>),
}

impl<'a> Desk<'a> {
    fn new(session: &'a Session) -> Self {
        let names = session.names();
        let memory = (0..=rayon::current_num_threads()).map(|_| Mutex::default()).collect();
        let cluster = &session.analysis.cluster;
        let shared = shared_addresses(&session.analysis);
        Self { session, ends: Ends::new(cluster, &names), names, addresses: owners(cluster), shared, memory }
    }

    /// Answers some lines; whether all of them were questions.
    fn share(&self, lines: &[&[u8]], before: usize) -> (Vec<u8>, bool) {
        let thread = rayon::current_thread_index().map_or(0, |index| index + 1);
        let mut fresh = Memory::default();
        // Nobody else uses this thread's memory; a poisoned one is only a lost memory.
        let mut guard = self.memory.get(thread).and_then(|memory| memory.try_lock().ok());
        let memory = guard.as_deref_mut().unwrap_or(&mut fresh);
        let mut seat = Seat { memory, walk: None };
        let mut out = Vec::with_capacity(lines.len() * 256);
        let mut all_answered = true;
        for (index, line) in lines.iter().enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            all_answered &= self.line(line, before + index + 1, &mut seat, &mut out);
            out.push(b'\n');
        }
        (out, all_answered)
    }

    fn line(&self, line: &[u8], number: usize, seat: &mut Seat<'_, 'a>, out: &mut Vec<u8>) -> bool {
        let question: Question<'_> = match serde_json::from_slice(line) {
            Ok(question) => question,
            Err(error) => {
                let id =
                    serde_json::from_slice::<serde_json::Value>(line).ok().and_then(|value| value.get("id").cloned());
                let id = id.and_then(|id| serde_json::value::to_raw_value(&id).ok());
                let why = error.to_string().replace(" at line 1 column ", " at column ");
                let message = format!("this is no question: {why}");
                Refusal::new(id.as_deref(), number, message, Vec::new()).write(out);
                return false;
            }
        };
        let id = question.id;
        let answered = match question.asked() {
            Ok(Asked::Connection(to)) => self.connection(&question, to, seat, out),
            Ok(Asked::Request(request)) => self.request(id, &question.from, &request, seat.memory, out),
            Err(wrong) => Err(wrong),
        };
        match answered {
            Ok(()) => true,
            Err(wrong) => {
                Refusal::new(id, number, wrong.message, wrong.near).write(out);
                false
            }
        }
    }

    /// Answers a question about a request.
    fn request(
        &self,
        id: Option<&RawValue>,
        from: &str,
        request: &Request,
        memory: &mut Memory,
        out: &mut Vec<u8>,
    ) -> Result<(), Wrong> {
        if matches!(ApiUser::read(&self.session.analysis.cluster, None, from), Some(Ok(_))) {
            return Err(Wrong::new(format!("`{from}` is a user of the API server; {NO_REQUEST}")));
        }
        let source = self.subject(from, Side::Source, memory)?;
        let asked = route_all(&self.session.analysis, &source, request)
            .map_err(|none| Wrong { message: none.message, near: none.near })?;
        let cluster = &self.session.analysis.cluster;
        let caveats = self.ends.caveats(cluster, &[&Subject::Everything]);
        let line = self.names.route_line(id, &asked, caveats);
        line.ok_or_else(|| Wrong::new(format!("nobody called `{from}` can make a request")))?.write(out);
        Ok(())
    }

    /// Answers a question about a connection.
    fn connection(
        &self,
        question: &Question<'_>,
        to: &str,
        seat: &mut Seat<'_, 'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Wrong> {
        let port = question.port_ask()?;
        let (cluster, namespace) = (&self.session.analysis.cluster, self.session.namespace.as_deref());
        if let Some(read) = ApiUser::read(cluster, namespace, &question.from) {
            let user = read.map_err(|wrong| Wrong::new(format!("{}; {}", wrong.message, wrong.help)))?;
            return self.of_user(question.id, &user, (to, &port), seat, out);
        }
        let source = self.subject(&question.from, Side::Source, seat.memory)?;
        let Dialled { destination, through } = self.dialled(to, &port, Some(&source), seat.memory)?;
        let Destination::Target(target) = destination else {
            return self.by_ways(question.id, &source, (to, &destination, &through), seat, out);
        };
        let parts = self.parts(&source, &target, seat.memory);
        if ways::needs_ways(&parts) {
            return self.divided(question.id, &source, target, parts, seat, out);
        }
        self.reply(question.id, &parts, &[&source, &target.subject], self.through(&through)).write(out);
        Ok(())
    }

    fn subject(&self, text: &str, side: Side, memory: &mut Memory) -> Result<Subject, Wrong> {
        let names = match side {
            Side::Source => &mut memory.subjects,
            Side::Destination => &mut memory.targets,
        };
        let known = match names.get(text) {
            Some(known) => known,
            None => {
                let (cluster, profile) = (&self.session.analysis.cluster, &self.session.analysis.profile);
                let namespace = self.session.namespace.as_deref();
                let mut read = match side {
                    Side::Source => Subject::look_up(cluster, namespace, text),
                    Side::Destination => Subject::look_up_destination(cluster, profile, namespace, text),
                };
                let unknown = matches!(&read, Err(error) if error.problem == SubjectProblem::Unknown);
                if unknown && memory.compared < COMPARED {
                    memory.compared += 1;
                    read = Subject::parse(cluster, namespace, text);
                }
                names.entry(text.to_owned()).or_insert(read)
            }
        };
        known.clone().map_err(|error| Wrong { message: error.to_string(), near: error.near })
    }

    fn parts(&self, source: &Subject, target: &Target, memory: &mut Memory) -> Vec<Part> {
        if target.port == PortAsk::Any {
            return parts(self.session, source, target);
        }
        memory.trim();
        let analysis = &self.session.analysis;
        let ((source, from), (destination, to)) = (self.actual(source), self.actual(&target.subject));
        let outsider = |subject: &Subject| matches!(subject, Subject::Address(ip) if !self.addresses.contains_key(ip));
        // No pod is an outsider's neighbour.
        let meant = |subject: &Subject| if outsider(subject) { Subject::Internet } else { subject.clone() };
        let placement = placement(analysis, &meant(&source), &meant(&destination));
        let prepare = |subject: &Subject, family: Option<Family>, port: &PortAsk| match (subject, family) {
            (Subject::Address(address), _) if outsider(subject) => Prepared::outsider(*address, port),
            (_, None) => Prepared::new(analysis, subject, port, placement),
            (_, Some(family)) => Prepared::new(analysis, subject, port, placement).of_family(family),
        };
        let sources = memory.sources.entry((source, from, placement));
        let sources = sources.or_insert_with_key(|(source, from, _)| prepare(source, *from, &PortAsk::Any));
        let known = memory.destinations.entry((destination.clone(), to, placement)).or_default();
        let at = known.iter().position(|(port, _)| *port == target.port).unwrap_or_else(|| {
            known.push((target.port.clone(), prepare(&destination, to, &target.port)));
            known.len() - 1
        });
        let cells = known.get(at).and_then(|(_, destinations)| can_prepared(analysis, sources, destinations));
        cells.unwrap_or_default().into_iter().map(Part::of_port).collect()
    }

    /// The pod or node behind an address, when it is just one, and the address's family (NP-30).
    fn actual(&self, subject: &Subject) -> (Subject, Option<Family>) {
        let Subject::Address(address) = subject else { return (subject.clone(), None) };
        let owner = self.addresses.get(address).and_then(Clone::clone);
        (owner.unwrap_or_else(|| subject.clone()), Some(Family::of(*address)))
    }

    fn reply<'q>(
        &'q self,
        id: Option<&'q RawValue>,
        parts: &[Part],
        subjects: &[&Subject],
        through: Vec<ThroughDto>,
    ) -> Reply<'q> {
        let caveats = self.ends.caveats(&self.session.analysis.cluster, subjects);
        let Some(first) = meant(parts).first().copied() else {
            return Reply::nothing(id, Verdict::NoRoute, caveats);
        };
        let (verdict, rule) = overall(parts);
        let answer = Answer {
            verdict: verdict.as_str(),
            rule,
            ..self.ends.answer(&first.judgement, &first.cell.witness, &self.names)
        };
        let cells = match parts {
            [only] if only.cell.answer.is_none() => None,
            _ => Some(
                parts.iter().map(|part| self.names.judged_cell(&part.cell, &part.judgement, part.ports())).collect(),
            ),
        };
        Reply { through, ..Reply::new(id, answer, cells, caveats) }
    }
}

/// Whose each address is. Pods on the host's network share their node's.
fn owners(cluster: &Cluster) -> FxHashMap<IpAddr, Option<Subject>> {
    let mut owners: FxHashMap<IpAddr, Option<Subject>> = FxHashMap::default();
    let mut own = |address: IpAddr, subject: Subject| {
        owners.entry(address).and_modify(|owner| *owner = None).or_insert(Some(subject));
    };
    for (id, node) in cluster.nodes.iter() {
        node.addresses.iter().for_each(|address| own(address.ip, Subject::Node(id)));
    }
    for (id, pod) in cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished) {
        let held = Family::ALL.into_iter().filter_map(|family| pod.address(family));
        held.for_each(|address| own(address, Subject::Pod(id)));
    }
    owners
}

/// Why a question cannot be answered.
#[derive(Clone)]
struct Wrong {
    message: String,
    near: Vec<String>,
}

impl Wrong {
    fn new(message: String) -> Self {
        Self { message, near: Vec::new() }
    }
}
