//! `portolan explain`.

use std::io;

use policy_core::explain::{
    EndTrace, EntryTrace, PolicyTrace, RuleTrace, TierPolicyTrace, TierRuleTrace, TierTrace, Trace, explain,
};
use policy_core::model::{Direction, Doubts, End, Flag, Flow, Hit, Outcome, Tier, TierAction, Verdict};
use policy_core::query::Actor;
use policy_core::ways::walk::Way;

use super::by_ways::{self, Asked, Row};
use super::can::{Part, Split, nothing_to_ask, split, together};
use super::destination::{Destination, Dialled};
use super::explain_api;
use super::question::{Source, is_document, tone};
use super::reasons::{because, by_tiers, no_rule, outcome_tone, remark_text};
use crate::args::{ExplainArgs, Format};
use crate::dto::answer::{Witness, rule_path};
use crate::dto::explain::ExplainAnswer;
use crate::dto::{knobs, verdict_of};
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::{Output, Tone, counted, escape};
use crate::session::Session;
use crate::way_names::{actor, answer_text, depends, hops_text, origin_text, requests_text};

/// How many parts of a question are explained to people; documents hold all of them.
pub(super) const SHOWN: usize = 12;

pub(crate) fn run(
    args: &ExplainArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let source = match session.source(&args.from)? {
        Source::Subject(subject) => subject,
        Source::User(user) => return explain_api::run(&user, args, session, format, output),
    };
    let Dialled { destination, through } = session.dialled(&args.to, by_ways::asking(session, &source))?;
    let by_name = matches!(destination, Destination::Service(..)) && !args.to.contains('/');
    let Split { parts, wayless, asked } = match &destination {
        Destination::Target(target) => split(session, &source, target),
        other => Split::of_ways(by_ways::ask(session, &source, other, by_name, |_| true).through(&through)),
    };
    if parts.is_empty() && asked.as_ref().is_none_or(|asked| asked.outcomes.is_empty()) {
        return Err(nothing_to_ask());
    }
    let scope = match &destination {
        Destination::Target(target) => session.scope(&[&source, &target.subject]),
        _ => None,
    };
    let header = session.header("ExplainAnswer", &scope, output)?;
    let (verdict, rule) = match &destination {
        Destination::NoName(rule, _) => (Verdict::NoListener, *rule),
        _ => together(&parts, asked.as_ref()),
    };
    let names = session.names();
    let through = by_ways::through(&names, &through);
    if is_document(format) {
        let traces = parts
            .iter()
            .chain(&wayless)
            .map(|part| names.trace(&explain(&session.analysis, &part.cell.witness), &part.cell.destinations));
        let (from, to, verdict) = (args.from.clone(), args.to.clone(), verdict.as_str());
        let mut traces: Vec<_> = traces.collect();
        let legs = asked.iter().flat_map(Asked::shown).flat_map(|row| legs(&row.way));
        traces.extend(legs.map(|flow| names.trace(&explain(&session.analysis, flow), &[])));
        let ways = asked.as_ref().map(|asked| asked.documents(&names)).unwrap_or_default();
        let api_ways = Vec::new();
        output.document(format, &ExplainAnswer { header, from, to, verdict, rule, traces, ways, api_ways, through })?;
    } else {
        if !through.is_empty() {
            by_ways::print_through(&through, output)?;
            writeln!(output.stdout, "  HTTP servers and TLS see the name that was asked for, not this one\n")?;
        }
        let writer = Writer { session, names, wide: format == Format::Wide };
        writer.all(&parts, output)?;
        if let Destination::NoName(rule, why) = &destination {
            writeln!(output.stdout, "{verdict}  {} → {}  {rule}\n  {}", args.from, args.to, escape(why))?;
        }
        let is_open = asked.as_ref().is_some_and(Asked::is_open);
        if let Some(asked) = asked.filter(|asked| !asked.outcomes.is_empty()) {
            if !parts.is_empty() {
                writeln!(output.stdout)?;
            }
            writer.ways(&asked, (verdict, rule), args, output)?;
        }
        if !wayless.is_empty() && !is_open {
            writeln!(output.stdout, "\n{}\n", by_ways::POLICIES_ALONE)?;
            writer.all(&wayless, output)?;
        }
    }
    Ok(if verdict == Verdict::Allowed { Exit::Clean } else { Exit::Finding })
}

/// The connections of a way, for each of its parts.
fn legs(way: &Way) -> impl Iterator<Item = &Flow> {
    way.parts.iter().flat_map(|part| &part.legs).map(|leg| &leg.flow)
}

pub(super) struct Writer<'a> {
    pub(super) session: &'a Session,
    pub(super) names: Names<'a>,
    pub(super) wide: bool,
}

impl Writer<'_> {
    fn all(&self, parts: &[Part], output: &mut Output<'_>) -> io::Result<()> {
        for (index, part) in parts.iter().take(SHOWN).enumerate() {
            if index > 0 {
                writeln!(output.stdout)?;
            }
            self.part(part, parts.len() > 1, output)?;
        }
        if let Some(more) = parts.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let parts = counted(more, "part");
            writeln!(output.stdout, "\n{parts} more; ask about one of them, or use -o json for all")?;
        }
        Ok(())
    }

    /// Way by way, and leg by leg: each connection as if it had been asked about by itself.
    fn ways(
        &self,
        asked: &Asked,
        (verdict, rule): (Verdict, &'static str),
        args: &ExplainArgs,
        output: &mut Output<'_>,
    ) -> io::Result<()> {
        let word = output.palette.paint(tone(verdict), verdict);
        writeln!(output.stdout, "{word}  {} → {}  {rule}", args.from, args.to)?;
        let rows = asked.shown();
        if rows.is_empty() {
            return writeln!(output.stdout, "  nothing leads from there to here (M-4)");
        }
        for row in rows.iter().take(SHOWN) {
            self.way(row, output)?;
        }
        if let Some(more) = rows.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(output.stdout, "\n{} more; use -o json for all", counted(more, "way"))?;
        }
        Ok(())
    }

    fn way(&self, Row { from, way }: &Row, output: &mut Output<'_>) -> io::Result<()> {
        let hops = hops_text(&self.names, way.kind, &way.hops);
        let end = match (way.pods.is_empty(), way.address) {
            (false, _) => format!(" → {}:{}", self.names.actors(&[Actor::Pods(way.pods.clone())], self.wide), way.port),
            (true, Some(address)) => format!(" → {address}:{}", way.port),
            (true, None) => String::new(),
        };
        let kind = output.palette.paint(Tone::Strong, format!("{} ({})", way.kind.id(), way.kind));
        writeln!(output.stdout, "\n{kind}: {hops}{end}")?;
        if let Some(served) = &way.served {
            let origin = &served.requests.origin;
            let place = self.at(origin.span, output);
            writeln!(output.stdout, "  requests {}: {}{place}", requests_text(served, self.wide), origin_text(origin))?;
            if let Some(answer) = answer_text(&served.then) {
                writeln!(output.stdout, "  the proxy answers by itself: {answer}")?;
            }
        }
        for part in &way.parts {
            let who = self.names.actors(&[from.clone().unwrap_or_else(|| actor(&part.clients))], self.wide);
            let word = output.palette.paint(tone(part.finding.verdict), part.finding.verdict);
            let depends = depends(&part.finding);
            let depends = if depends.is_empty() { depends } else { format!("; depends on {depends}") };
            writeln!(output.stdout, "  {word} for {who}  {}{depends}", part.finding.rule)?;
            for (place, leg) in part.legs.iter().enumerate() {
                let flow = self.names.witness(&leg.flow, &[]);
                let seen = leg.flow.masqueraded_by.map(|by| format!(", seen as {}", self.names.masquerader(by)));
                writeln!(
                    output.stdout,
                    "\n  leg {}: {} → {}, {} {} ({}){}",
                    place + 1,
                    flow.from,
                    flow.to,
                    flow.protocol,
                    flow.port,
                    flow.family,
                    seen.unwrap_or_default()
                )?;
                let trace = explain(&self.session.analysis, &leg.flow);
                self.both(&trace, &flow, output)?;
            }
        }
        Ok(())
    }

    fn part(&self, part: &Part, one_of_several: bool, output: &mut Output<'_>) -> io::Result<()> {
        let trace = explain(&self.session.analysis, &part.cell.witness);
        let flow = self.names.witness(&trace.flow, &part.cell.destinations);
        let verdict = output.palette.paint(tone(trace.judgement.verdict), trace.judgement.verdict);
        let port = format!("{} {} ({})", flow.protocol, flow.port, flow.family);
        writeln!(output.stdout, "{verdict}  {} → {}, {port}  {}", flow.from, flow.to, trace.judgement.rule)?;
        if one_of_several {
            let (from, to) = (&part.cell.sources, &part.cell.destinations);
            let (from, to) = (self.names.actors(from, self.wide), self.names.actors(to, self.wide));
            writeln!(output.stdout, "  stands for {from} → {to}")?;
        }
        self.both(&trace, &flow, output)
    }

    /// The remarks and both ends of one connection.
    pub(super) fn both(&self, trace: &Trace, flow: &Witness, output: &mut Output<'_>) -> io::Result<()> {
        for remark in trace.judgement.flags.iter().filter(|remark| **remark != Flag::RouteAssumed) {
            writeln!(output.stdout, "  note: {}", remark_text(*remark))?;
        }
        if matches!(trace.judgement.verdict, Verdict::NoRoute | Verdict::NoListener) {
            return writeln!(output.stdout, "  {}", because(trace.judgement.rule));
        }
        if !self.session.analysis.profile.enforcement {
            // NP-32: said once, by the note; without policies there is no note.
            return match trace.judgement.rule {
                "NP-32" if !trace.judgement.flags.contains(&Flag::UnenforcedPolicies) => {
                    writeln!(output.stdout, "  {}", because(trace.judgement.rule))
                }
                _ => Ok(()),
            };
        }
        self.end(Direction::Egress, &flow.from, trace, output)?;
        self.end(Direction::Ingress, &flow.to, trace, output)
    }

    fn end(&self, direction: Direction, who: &str, trace: &Trace, output: &mut Output<'_>) -> io::Result<()> {
        let (end, asked) = match direction {
            Direction::Egress => (&trace.judgement.egress, &trace.egress),
            Direction::Ingress => (&trace.judgement.ingress, &trace.ingress),
        };
        let verdict = output.palette.paint(outcome_tone(end.outcome), verdict_of(end.outcome));
        let why = self.summary(end, &trace.flow);
        writeln!(output.stdout, "\n{direction} of {who}: {verdict} ({}), {why}", end.rule)?;
        if asked.admin.policies.is_empty() && asked.baseline.policies.is_empty() {
            return asked.policies.iter().try_for_each(|policy| self.policy(policy, "  ", output));
        }
        self.tier(Tier::Admin, &asked.admin, output)?;
        self.heading("NetworkPolicies", asked.policies_not_asked.as_deref(), asked.policies.is_empty(), output)?;
        asked.policies.iter().try_for_each(|policy| self.policy(policy, "    ", output))?;
        self.tier(Tier::Baseline, &asked.baseline, output)?;
        if open_to_the_end(end, asked) {
            writeln!(
                output.stdout,
                "  {}",
                output.palette.paint(Tone::Strong, "nothing decides: let through (CNP-1)")
            )?;
        }
        Ok(())
    }

    /// What is asked next, or why it is not.
    fn heading(&self, what: &str, not_asked: Option<&str>, none: bool, output: &mut Output<'_>) -> io::Result<()> {
        let what = output.palette.paint(Tone::Strong, what);
        match not_asked {
            Some(why) => writeln!(output.stdout, "  {what}: not asked, {}", escape(why)),
            None if none => writeln!(output.stdout, "  {what}: none"),
            None => writeln!(output.stdout, "  {what}:"),
        }
    }

    fn tier(&self, tier: Tier, trace: &TierTrace, output: &mut Output<'_>) -> io::Result<()> {
        let what = format!("{tier} tier");
        self.heading(&what, trace.not_asked.as_deref(), trace.policies.is_empty(), output)?;
        if trace.not_asked.is_some() {
            return Ok(());
        }
        trace.policies.iter().try_for_each(|policy| self.tier_policy(policy, output))
    }

    fn tier_policy(&self, trace: &TierPolicyTrace, output: &mut Output<'_>) -> io::Result<()> {
        let policy = self.session.analysis.cluster.cluster_policies.at(trace.policy);
        let name = format!("{} {}", policy.kind, policy.name);
        let priority = match policy.priority {
            Some(priority) => format!("priority {priority}"),
            None => "no priority".to_owned(),
        };
        let place = self.at(policy.span, output);
        if let Some(skipped) = &trace.skipped {
            let line = format!("· {name}, {priority}: {}", escape(skipped));
            return writeln!(output.stdout, "    {}{place}", output.palette.paint(Tone::Faint, line));
        }
        let name = output.palette.paint(Tone::Strong, name);
        writeln!(output.stdout, "    {name}, {priority}: the pod is a subject{place}")?;
        if !trace.tied.is_empty() {
            let others = trace.tied.iter().map(|other| self.session.analysis.cluster.cluster_policies.at(*other));
            let others: Vec<String> = others.map(|other| format!("{} {}", other.kind, other.name)).collect();
            let text = format!("tie: nobody says whether it comes before {} (CNP-2)", others.join(", "));
            writeln!(output.stdout, "      {}", output.palette.paint(Tone::Unsure, text))?;
        }
        trace.rules.iter().try_for_each(|rule| self.tier_rule(rule, output))
    }

    fn tier_rule(&self, trace: &TierRuleTrace, output: &mut Output<'_>) -> io::Result<()> {
        let path = rule_path(trace.rule.direction, trace.rule.index);
        let own = trace.name.as_ref().map(|name| format!(" ({})", escape(name))).unwrap_or_default();
        let place = self.at(trace.span, output);
        if trace.late {
            let line = format!("· {path}{own} {}: not reached", trace.action);
            return writeln!(output.stdout, "      {}{place}", output.palette.paint(Tone::Faint, line));
        }
        let verb = match trace.hit {
            Hit::Yes => "matches".to_owned(),
            Hit::No => "does not match".to_owned(),
            Hit::Maybe(doubts) => format!("matches depending on {}", what_decides(doubts)),
        };
        let tone = match (trace.hit, trace.action) {
            (Hit::No, _) => Tone::Faint,
            (Hit::Maybe(_), _) => Tone::Unsure,
            (Hit::Yes, TierAction::Accept) => Tone::Good,
            (Hit::Yes, TierAction::Deny) => Tone::Bad,
            (Hit::Yes, TierAction::Pass) => Tone::Strong,
        };
        let mark = output.palette.paint(tone, sign(trace.hit));
        writeln!(output.stdout, "      {mark} {path}{own} {}: {verb}{place}", trace.action)?;
        let peer = peer_word(trace.rule.direction);
        self.entries(peer, "", &trace.peers, "          ", output)?;
        self.entries("port", "", &trace.ports, "          ", output)
    }

    fn policy(&self, trace: &PolicyTrace, indent: &str, output: &mut Output<'_>) -> io::Result<()> {
        let name = self.names.policy(trace.policy);
        let place = self.at(self.session.analysis.cluster.policies.at(trace.policy).span, output);
        if let Some(skipped) = &trace.skipped {
            let line = output.palette.paint(Tone::Faint, format!("· {name} {}", escape(skipped)));
            return writeln!(output.stdout, "{indent}{line}{place}");
        }
        let name = output.palette.paint(Tone::Strong, name);
        let none =
            if trace.rules.is_empty() { ": selects the pod, and has no rule (NP-7)" } else { ": selects the pod" };
        writeln!(output.stdout, "{indent}{name}{none}{place}")?;
        trace.rules.iter().try_for_each(|rule| self.rule(rule, indent, output))
    }

    fn rule(&self, trace: &RuleTrace, indent: &str, output: &mut Output<'_>) -> io::Result<()> {
        let path = rule_path(trace.rule.direction, trace.rule.index);
        let place = self.at(trace.span, output);
        let verb = match trace.hit {
            Hit::Yes => "admits it".to_owned(),
            Hit::No => "does not admit it".to_owned(),
            Hit::Maybe(doubts) => format!("admits it depending on {}", what_decides(doubts)),
        };
        let mark = mark(trace.hit, output);
        writeln!(output.stdout, "{indent}  {mark} {path} {verb}{place}")?;
        let (peer, indent) = (peer_word(trace.rule.direction), format!("{indent}      "));
        self.entries(peer, "everybody (NP-9)", &trace.peers, &indent, output)?;
        self.entries("port", "every port (NP-14)", &trace.ports, &indent, output)
    }

    fn entries(
        &self,
        word: &str,
        any: &str,
        entries: &[EntryTrace],
        indent: &str,
        output: &mut Output<'_>,
    ) -> io::Result<()> {
        if entries.is_empty() {
            let mark = mark(Hit::Yes, output);
            writeln!(output.stdout, "{indent}{mark} {word} {any}")?;
        }
        for entry in entries {
            let (mark, place) = (mark(entry.hit, output), self.at(entry.span, output));
            writeln!(output.stdout, "{indent}{mark} {word} {}{place}", escape(&entry.why))?;
        }
        Ok(())
    }

    fn at(&self, span: Option<policy_core::source::Span>, output: &Output<'_>) -> String {
        let Some(place) = self.names.place(span) else { return String::new() };
        format!("  {}", output.palette.paint(Tone::Faint, escape(&place)))
    }

    fn summary(&self, end: &End, flow: &Flow) -> String {
        if let Some(tiers) = by_tiers(end, flow, &self.names) {
            return tiers;
        }
        match (end.isolating.len(), end.admitting.len()) {
            (_, 0) if end.outcome == Outcome::Allowed => because(end.rule).to_owned(),
            (0, _) => because(end.rule).to_owned(),
            (policies, 0) => format!("isolated by {}, {}", counted(policies, "policy"), no_rule(end)),
            (policies, rules) => {
                format!("isolated by {}, admitted by {}", counted(policies, "policy"), counted(rules, "rule"))
            }
        }
    }
}

/// Whether no tier and no NetworkPolicy has decided (CNP-1).
fn open_to_the_end(end: &End, asked: &EndTrace) -> bool {
    let tiers_asked = asked.admin.not_asked.is_none() && asked.baseline.not_asked.is_none();
    tiers_asked && end.tier.is_none() && end.isolating.is_empty() && end.outcome == Outcome::Allowed
}

fn what_decides(doubts: Doubts) -> String {
    let mut words = knobs(doubts.knobs);
    words.extend(doubts.dns.then_some("what DNS answers"));
    words.join(" and ")
}

fn peer_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

fn sign(hit: Hit) -> &'static str {
    match hit {
        Hit::Yes => "✓",
        Hit::No => "✗",
        Hit::Maybe(_) => "?",
    }
}

fn mark(hit: Hit, output: &Output<'_>) -> String {
    let tone = match hit {
        Hit::Yes => Tone::Good,
        Hit::No => Tone::Bad,
        Hit::Maybe(_) => Tone::Unsure,
    };
    output.palette.paint(tone, sign(hit)).to_string()
}
