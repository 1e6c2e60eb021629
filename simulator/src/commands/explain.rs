//! `portolan explain`.

use std::io;

use policy_core::explain::{EntryTrace, PolicyTrace, RuleTrace, Trace, explain};
use policy_core::model::{Direction, End, Flag, Hit, Verdict};

use super::can::{Part, because, no_rule, nothing_to_ask, outcome_tone, overall, parts, remark_text};
use super::question::{is_document, tone};
use crate::args::{ExplainArgs, Format};
use crate::dto::answer::rule_path;
use crate::dto::explain::ExplainAnswer;
use crate::dto::verdict_of;
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::{Output, Tone, counted, escape};
use crate::session::Session;

/// How many parts of a question are explained to people; documents hold all of them.
const SHOWN: usize = 12;

pub(crate) fn run(
    args: &ExplainArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let (source, target) = (session.subject(&args.from)?, session.target(&args.to)?);
    let parts = parts(session, &source, &target);
    if parts.is_empty() {
        return Err(nothing_to_ask());
    }
    let header = session.header("ExplainAnswer", &session.scope(&[&source, &target.subject]), output)?;
    let (verdict, rule) = overall(&parts);
    let names = session.names();
    if is_document(format) {
        let traces = parts.iter().map(|part| names.trace(&explain(&session.analysis, &part.cell.witness)));
        let (from, to, verdict) = (args.from.clone(), args.to.clone(), verdict.as_str());
        output.document(format, &ExplainAnswer { header, from, to, verdict, rule, traces: traces.collect() })?;
    } else {
        let writer = Writer { session, names, wide: format == Format::Wide };
        writer.all(&parts, output)?;
    }
    Ok(if verdict == Verdict::Allowed { Exit::Clean } else { Exit::Finding })
}

struct Writer<'a> {
    session: &'a Session,
    names: Names<'a>,
    wide: bool,
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

    fn part(&self, part: &Part, one_of_several: bool, output: &mut Output<'_>) -> io::Result<()> {
        let trace = explain(&self.session.analysis, &part.cell.witness);
        let flow = self.names.witness(&trace.flow);
        let verdict = output.palette.paint(tone(trace.judgement.verdict), trace.judgement.verdict);
        let port = format!("{} {} ({})", flow.protocol, flow.port, flow.family);
        writeln!(output.stdout, "{verdict}  {} → {}, {port}  {}", flow.from, flow.to, trace.judgement.rule)?;
        if one_of_several {
            let (from, to) = (&part.cell.sources, &part.cell.destinations);
            let (from, to) = (self.names.actors(from, self.wide), self.names.actors(to, self.wide));
            writeln!(output.stdout, "  stands for {from} → {to}")?;
        }
        for remark in &trace.judgement.flags {
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
        self.end(Direction::Egress, &flow.from, &trace, output)?;
        self.end(Direction::Ingress, &flow.to, &trace, output)
    }

    fn end(&self, direction: Direction, who: &str, trace: &Trace, output: &mut Output<'_>) -> io::Result<()> {
        let (end, policies) = match direction {
            Direction::Egress => (&trace.judgement.egress, &trace.egress),
            Direction::Ingress => (&trace.judgement.ingress, &trace.ingress),
        };
        let verdict = output.palette.paint(outcome_tone(end.outcome), verdict_of(end.outcome));
        writeln!(output.stdout, "\n{direction} of {who}: {verdict} ({}), {}", end.rule, summary(end))?;
        for policy in policies {
            self.policy(policy, output)?;
        }
        Ok(())
    }

    fn policy(&self, trace: &PolicyTrace, output: &mut Output<'_>) -> io::Result<()> {
        let name = self.names.policy(trace.policy);
        let place = self.at(self.session.analysis.cluster.policies.at(trace.policy).span, output);
        if let Some(skipped) = &trace.skipped {
            let line = output.palette.paint(Tone::Faint, format!("· {name} {}", escape(skipped)));
            return writeln!(output.stdout, "  {line}{place}");
        }
        let name = output.palette.paint(Tone::Strong, name);
        let none =
            if trace.rules.is_empty() { ": selects the pod, and has no rule (NP-7)" } else { ": selects the pod" };
        writeln!(output.stdout, "  {name}{none}{place}")?;
        trace.rules.iter().try_for_each(|rule| self.rule(rule, output))
    }

    fn rule(&self, trace: &RuleTrace, output: &mut Output<'_>) -> io::Result<()> {
        let path = rule_path(trace.rule.direction, trace.rule.index);
        let place = self.at(trace.span, output);
        let verb = match trace.hit {
            Hit::Yes => "admits it".to_owned(),
            Hit::No => "does not admit it".to_owned(),
            Hit::Maybe(doubts) if doubts.knobs.is_empty() => "admits it depending on what DNS answers".to_owned(),
            Hit::Maybe(doubts) => {
                let knobs: Vec<_> = doubts.knobs.iter().map(policy_core::model::Knob::name).collect();
                format!("admits it depending on {}", knobs.join(", "))
            }
        };
        let mark = mark(trace.hit, output);
        writeln!(output.stdout, "    {mark} {path} {verb}{place}")?;
        let (peer, port) = match trace.rule.direction {
            Direction::Ingress => ("from", "port"),
            Direction::Egress => ("to", "port"),
        };
        self.entries(peer, "everybody (NP-9)", &trace.peers, output)?;
        self.entries(port, "every port (NP-14)", &trace.ports, output)
    }

    fn entries(&self, word: &str, any: &str, entries: &[EntryTrace], output: &mut Output<'_>) -> io::Result<()> {
        if entries.is_empty() {
            let mark = mark(Hit::Yes, output);
            writeln!(output.stdout, "        {mark} {word} {any}")?;
        }
        for entry in entries {
            let (mark, place) = (mark(entry.hit, output), self.at(entry.span, output));
            writeln!(output.stdout, "        {mark} {word} {}{place}", escape(&entry.why))?;
        }
        Ok(())
    }

    fn at(&self, span: Option<policy_core::source::Span>, output: &Output<'_>) -> String {
        let Some(place) = self.names.place(span) else { return String::new() };
        format!("  {}", output.palette.paint(Tone::Faint, escape(&place)))
    }
}

fn mark(hit: Hit, output: &Output<'_>) -> String {
    let (tone, mark) = match hit {
        Hit::Yes => (Tone::Good, "✓"),
        Hit::No => (Tone::Bad, "✗"),
        Hit::Maybe(_) => (Tone::Unsure, "?"),
    };
    output.palette.paint(tone, mark).to_string()
}

fn summary(end: &End) -> String {
    match (end.isolating.len(), end.admitting.len()) {
        (0, _) => because(end.rule).to_owned(),
        (policies, 0) => format!("isolated by {}, {}", counted(policies, "policy"), no_rule(end)),
        (policies, rules) => {
            format!("isolated by {}, admitted by {}", counted(policies, "policy"), counted(rules, "rule"))
        }
    }
}
