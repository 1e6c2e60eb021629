//! `portolan can`.

use policy_core::model::{Flag, Judge, Judgement, Party, Verdict};
use policy_core::query::{Actor, Cell, PortAsk, PortVerdicts, Subject, Target, can, reach};

use super::api;
use super::by_ways::{self, Asked};
use super::destination::{Destination, Dialled};
use super::question::{Source, is_document, tone};
use super::reasons::reasons;
use crate::args::{CanArgs, Format};
use crate::dto::answer::{CanAnswer, PortAnswer, deciding_both};
use crate::dto::knobs;
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::table::{Table, Text};
use crate::render::{Output, Tone, escape};
use crate::session::Session;

pub(crate) fn run(args: &CanArgs, session: &Session, format: Format, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let source = match session.source(&args.from)? {
        Source::Subject(subject) => subject,
        Source::User(user) => {
            let question = api::Question { user: &user, from: &args.from, to: &args.to };
            return api::can(&question, session, format, output);
        }
    };
    let Dialled { destination, through } = session.dialled(&args.to, by_ways::asking(session, &source))?;
    let by_name = matches!(destination, Destination::Service(..)) && !args.to.contains('/');
    let (Split { parts, wayless, asked }, port) = match &destination {
        Destination::Target(target) => (split(session, &source, target), Some(&target.port)),
        other => {
            let asked = by_ways::ask(session, &source, other, by_name, |_| true);
            (Split::of_ways(asked.through(&through)), None)
        }
    };
    if parts.is_empty() && asked.as_ref().is_none_or(|asked| asked.outcomes.is_empty()) {
        return Err(nothing_to_ask());
    }
    let scope = match &destination {
        Destination::Target(target) => session.scope(&[&source, &target.subject]),
        _ => None,
    };
    let header = session.header("CanAnswer", &scope, output)?;
    let (verdict, rule) = match &destination {
        Destination::NoName(rule, _) => (Verdict::NoListener, *rule),
        _ => together(&parts, asked.as_ref()),
    };
    let exit = if verdict == Verdict::Allowed { Exit::Clean } else { Exit::Finding };
    let names = session.names();
    let through = by_ways::through(&names, &through);
    if is_document(format) {
        let all = parts.iter().chain(&wayless);
        let cells = all.map(|part| names.judged_cell(&part.cell, &part.judgement, part.ports()));
        let (from, to) = (args.from.clone(), args.to.clone());
        let ways = asked.map(|asked| asked.documents(&names)).unwrap_or_default();
        let (verdict, cells) = (verdict.as_str(), cells.collect());
        let answer = CanAnswer { header, from, to, verdict, rule, cells, ways, api_ways: Vec::new(), through };
        output.document(format, &answer)?;
        return Ok(exit);
    }
    let word = output.palette.paint(tone(verdict), verdict);
    write!(output.stdout, "{word}  {} → {}", args.from, args.to)?;
    if let Destination::NoName(rule, why) = &destination {
        writeln!(output.stdout, "\n  {rule}: {}", escape(why))?;
        by_ways::print_through(&through, output)?;
        return Ok(exit);
    }
    match (parts.as_slice(), port, &asked) {
        ([part], Some(PortAsk::Number(..) | PortAsk::Name(..)), None) => {
            writeln!(output.stdout)?;
            by_ways::print_through(&through, output)?;
            reasons(&part.judgement, &part.cell.witness, &names, output)?;
        }
        _ => {
            let differs = verdict == Verdict::Conditional && rule == "M-3";
            let why = if differs { "  (M-3: it depends on which of them)" } else { "" };
            writeln!(output.stdout, "{why}")?;
            by_ways::print_through(&through, output)?;
            writeln!(output.stdout)?;
            if !parts.is_empty() {
                output.table(format, &table(&parts, &names, format == Format::Wide))?;
            }
            if let Some(asked) = &asked {
                if !parts.is_empty() {
                    writeln!(output.stdout)?;
                }
                by_ways::print(asked, &names, format, output)?;
            }
        }
    }
    if !wayless.is_empty() && asked.as_ref().is_none_or(|asked| !asked.is_open()) {
        writeln!(output.stdout, "\n{}", by_ways::POLICIES_ALONE)?;
        match (wayless.as_slice(), port) {
            ([part], Some(PortAsk::Number(..) | PortAsk::Name(..))) => {
                reasons(&part.judgement, &part.cell.witness, &names, output)?;
            }
            _ => output.table(format, &table(&wayless, &names, format == Format::Wide))?,
        }
    }
    Ok(exit)
}

/// A question about pods and addresses, in parts.
#[derive(Default)]
pub(crate) struct Split {
    /// Connections that are judged by themselves.
    pub(crate) parts: Vec<Part>,
    /// Those from outside to pods, by policies alone: without a way they do not happen (W-POD).
    pub(crate) wayless: Vec<Part>,
    /// The ways that there are for them.
    pub(crate) asked: Option<Asked>,
}

impl Split {
    /// A question that ways alone answer.
    pub(crate) fn of_ways(asked: Asked) -> Self {
        Self { asked: Some(asked), ..Self::default() }
    }
}

/// Divides a question about pods and addresses, and asks for the ways of those who need one.
pub(crate) fn split(session: &Session, source: &Subject, target: &Target) -> Split {
    let mut split = divided(session, parts(session, source, target));
    let ask = || by_ways::ask(session, source, &Destination::Target(target.clone()), false, by_ways::is_outside);
    split.asked = (!split.wayless.is_empty()).then(ask);
    split
}

/// Divides parts into those that are judged by themselves, and those of which ways tell whether they happen at all.
pub(crate) fn divided(session: &Session, parts: Vec<Part>) -> Split {
    let mut split = Split::default();
    for part in parts {
        let is_outside = |actor: &Actor| matches!(actor, Actor::Addresses(_));
        let is_pods = |actor: &Actor| matches!(actor, Actor::Pods(_));
        let (outside, inside): (Vec<Actor>, Vec<Actor>) = part.cell.sources.iter().cloned().partition(is_outside);
        let (pods, others): (Vec<Actor>, Vec<Actor>) = part.cell.destinations.iter().cloned().partition(is_pods);
        if outside.is_empty() || pods.is_empty() {
            split.parts.push(part);
            continue;
        }
        let of = |sources: &[Actor], destinations: &[Actor]| part.among(session, sources, destinations);
        split.parts.extend(of(&inside, &part.cell.destinations));
        split.parts.extend(of(&outside, &others));
        split.wayless.extend(of(&outside, &pods));
    }
    split
}

/// The verdict and rule of all that a question is about.
pub(crate) fn together(parts: &[Part], asked: Option<&Asked>) -> (Verdict, &'static str) {
    match (parts, asked.map(Asked::verdict)) {
        ([], Some(found)) => found,
        (_, None) => overall(parts),
        (_, Some((verdict, rule))) => {
            let (other, its) = overall(parts);
            match () {
                () if verdict != other => (Verdict::Conditional, "M-3"),
                () if rule == its => (verdict, rule),
                () => (verdict, "M-3"),
            }
        }
    }
}

/// There is no pod at either end.
pub(crate) fn nothing_to_ask() -> Failure {
    let help = "one of the two must be, or hold, a pod or a node of the input";
    Failure::usage("there is nothing to ask: no pod and no node is at either end", help)
}

/// A part of the answer: a cell with its judgement, and with the other ports when all were asked for.
pub(crate) struct Part {
    pub(crate) cell: Cell<Option<PortVerdicts>>,
    /// Of the witness; of all flows of the cell when one port was asked for.
    pub(crate) judgement: Judgement,
}

impl Part {
    /// A part of a question about one port.
    pub(crate) fn of_port(cell: Cell<Judgement>) -> Self {
        let Cell { sources, destinations, families, answer, witness } = cell;
        Self { cell: Cell { sources, destinations, families, answer: None, witness }, judgement: answer }
    }

    pub(crate) fn ports(&self) -> Option<PortAnswer> {
        self.cell.answer.as_ref().map(PortAnswer::from)
    }

    /// The same for some of its sources and destinations; `None` when there are none of one kind.
    fn among(&self, session: &Session, sources: &[Actor], destinations: &[Actor]) -> Option<Self> {
        let (from, to) = (first(sources)?, first(destinations)?);
        let mut witness = self.cell.witness;
        let holds = |actors: &[Actor], party| actors.iter().any(|actor| is_among(actor, party));
        if sources != self.cell.sources.as_slice() && !holds(sources, witness.source) {
            witness.source = from;
        }
        if destinations != self.cell.destinations.as_slice() && !holds(destinations, witness.destination) {
            witness.destination = to;
        }
        let cell = Cell {
            sources: sources.to_vec(),
            destinations: destinations.to_vec(),
            families: self.cell.families.clone(),
            answer: self.cell.answer.clone(),
            witness,
        };
        // A part may be judged by more than its witness: by the family that the question is written in (NP-30).
        let same = witness == self.cell.witness;
        let judgement = if same { self.judgement.clone() } else { session.analysis.judge(&witness) };
        Some(Self { cell, judgement })
    }

    /// The verdict that holds for every flow of the part, if one does.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let Some(ports) = &self.cell.answer else { return Some(self.judgement.verdict) };
        if ports.allowed.is_all() || ports.is_none() || ports.undefined.is_all() || ports.conditional.is_all() {
            return Some(self.judgement.verdict);
        }
        None
    }
}

/// One of some parties.
fn first(actors: &[Actor]) -> Option<Party> {
    actors.iter().find_map(|actor| match actor {
        Actor::Pods(pods) => pods.first().copied().map(Party::Pod),
        Actor::Node(node) => Some(Party::Node(*node)),
        Actor::Addresses(addresses) => addresses.first().map(Party::Address),
        Actor::Name(_) => None,
    })
}

fn is_among(actor: &Actor, party: Party) -> bool {
    match (actor, party) {
        (Actor::Pods(pods), Party::Pod(pod)) => pods.contains(&pod),
        (Actor::Node(node), Party::Node(other)) => *node == other,
        (Actor::Addresses(addresses), Party::Address(address)) => addresses.contains(address),
        (Actor::Name(_), Party::Named(_)) => true,
        _ => false,
    }
}

/// The exact partition of a question.
pub(crate) fn parts(session: &Session, source: &policy_core::query::Subject, target: &Target) -> Vec<Part> {
    let analysis = &session.analysis;
    if let Some(cells) = can(analysis, source, target) {
        return cells.into_iter().map(Part::of_port).collect();
    }
    let part = |cell: Cell<PortVerdicts>| {
        let judgement = analysis.judge(&cell.witness);
        let Cell { sources, destinations, families, answer, witness } = cell;
        Part { cell: Cell { sources, destinations, families, answer: Some(answer), witness }, judgement }
    };
    reach(analysis, source, &target.subject).into_iter().map(part).collect()
}

/// The parts that count for the question as a whole.
///
/// Those without a common IP family (NP-30) do not count beside others: nobody asks whether the IPv6 internet reaches
/// an IPv4 pod.
pub(crate) fn meant(parts: &[Part]) -> Vec<&Part> {
    let meant: Vec<&Part> = parts.iter().filter(|part| part.judgement.rule != "NP-30").collect();
    if meant.is_empty() { parts.iter().collect() } else { meant }
}

/// The verdict and rule that all parts share that count; `conditional` by M-3 when they differ.
pub(crate) fn overall(parts: &[Part]) -> (Verdict, &'static str) {
    let meant = meant(parts);
    let Some(first) = meant.first() else { return (Verdict::Conditional, "M-3") };
    match first.verdict() {
        Some(verdict) if meant.iter().all(|part| part.verdict() == Some(verdict)) => {
            let same = meant.iter().all(|part| part.judgement.rule == first.judgement.rule);
            (verdict, if same { first.judgement.rule } else { "M-3" })
        }
        _ => (Verdict::Conditional, "M-3"),
    }
}

/// One line for each part.
pub(crate) fn table(parts: &[Part], names: &Names<'_>, wide: bool) -> Table {
    let all_ports = parts.iter().any(|part| part.cell.answer.is_some());
    let mut heading = vec!["from", "to"];
    heading.extend(if all_ports { ["allowed", "unsure"] } else { ["verdict", "rule"] });
    if wide {
        heading.extend(["policies", "depends on", "families", "example"]);
    }
    let mut table = Table::new(&heading);
    for part in parts {
        let cell = &part.cell;
        let mut row: Vec<Text> =
            vec![names.actors(&cell.sources, wide).into(), names.actors(&cell.destinations, wide).into()];
        row.extend(match &cell.answer {
            Some(ports) => ports_text(ports, &part.judgement),
            None => {
                let verdict = part.judgement.verdict;
                [Text::toned(tone(verdict), verdict.as_str()), part.judgement.rule.into()]
            }
        });
        if wide {
            row.extend(wide_text(part, names));
        }
        table.push(row);
    }
    table
}

/// The allowed ports, and the ports that depend on something.
fn ports_text(ports: &PortVerdicts, judgement: &Judgement) -> [Text; 2] {
    let allowed = match ports.blocked {
        Some((verdict, _)) => Text::toned(tone(verdict), verdict.as_str()),
        None if ports.allowed.is_empty() => Text::toned(Tone::Bad, "none"),
        None => Text::toned(Tone::Good, ports.allowed.to_string()),
    };
    let mut unsure = Vec::new();
    if !ports.conditional.is_empty() {
        let on: Vec<_> = ports.conditions.iter().map(|condition| condition.as_str()).collect();
        unsure.push(format!("{} if {}", ports.conditional, on.join(", ")));
    }
    if !ports.undefined.is_empty() {
        unsure.push(format!("{} by {}", ports.undefined, knobs(ports.knobs).join(", ")));
    }
    if unsure.is_empty() && judgement.flags.contains(&Flag::UnenforcedPolicies) {
        unsure.push("nothing enforces policies".to_owned());
    }
    [allowed, Text::toned(Tone::Unsure, unsure.join("; "))]
}

fn wide_text(part: &Part, names: &Names<'_>) -> [Text; 4] {
    let policies: Vec<_> =
        deciding_both(names.cluster(), &part.judgement).into_iter().map(|policy| names.decider(policy)).collect();
    let mut depends = knobs(part.judgement.knobs());
    depends.extend(part.judgement.conditions().iter().map(|condition| condition.as_str()));
    let families = crate::dto::answer::families(&part.cell.families);
    let flow = names.witness(&part.cell.witness, &part.cell.destinations);
    let example = format!("{} → {} {} {}", flow.from, flow.to, flow.protocol, flow.port);
    [policies.join(", ").into(), depends.join(", ").into(), families.join(", ").into(), example.into()]
}
