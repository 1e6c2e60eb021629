//! `portolan route`.

use policy_core::model::{Finding, Leg, Verdict};
use policy_core::query::Actor;
use policy_core::ways::clients::Part;
use policy_core::ways::route::{
    Answer, Asker, BadRequest, Choice, Question, Reached, Then, Unserved, Url, route_all, together,
};
use policy_core::ways::walk::Way;

use super::question::{is_document, tone};
use crate::args::{Format, RouteArgs};
use crate::dto::answer::deciding_both;
use crate::dto::route::{RouteAnswer, target_text, why_text};
use crate::exit::{Exit, Failure};
use crate::names::Names;
use crate::render::{Output, escape};
use crate::session::Session;
use crate::way_names::{actor, depends, hops_text, location_text, match_text, origin_text};

/// Ways that are shown of those that say the same.
const SHOWN: usize = 3;

pub(crate) fn run(
    args: &RouteArgs,
    session: &Session,
    format: Format,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let help = "for what a user reaches ask `can`; for the URL, ask from where the user sits, such as `internet`";
    session.no_user(&args.from, help)?;
    let source = session.subject(&args.from)?;
    let question = question(args).map_err(|bad| bad_request(&bad))?;
    let asked = route_all(&session.analysis, &source, &question).map_err(|none| unserved(&none))?;
    if asked.is_empty() {
        let help = "a client is a workload, a pod, a node, an address or internet";
        return Err(Failure::usage(format!("nobody called `{}` can make a request", escape(&args.from)), help));
    }
    let header = session.header("RouteAnswer", &None, output)?;
    let finding = together(&asked);
    let exit = if finding.verdict == Verdict::Allowed { Exit::Clean } else { Exit::Finding };
    let names = session.names();
    let tls = question.url.tls;
    if is_document(format) {
        let cases = asked.iter().flat_map(|(asker, answers)| answers.iter().map(move |answer| (asker, answer)));
        let answer = RouteAnswer {
            header,
            from: args.from.clone(),
            url: question.url.to_string(),
            method: question.request.method.to_string(),
            headers: question.request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
            sni: question.request.sni.as_ref().map(ToString::to_string),
            verdict: finding.verdict.as_str(),
            rule: finding.rule,
            answers: cases.map(|(asker, answer)| names.route_case(asker, answer, tls)).collect(),
        };
        output.document(format, &answer)?;
        return Ok(exit);
    }
    let word = output.palette.paint(tone(finding.verdict), finding.verdict);
    let asked_for = format!("{} {}", question.request.method, question.url);
    let why = if finding.rule == "M-3" { "  (M-3: it depends on which client)" } else { "" };
    writeln!(output.stdout, "{word}  {} → {}{why}", escape(&args.from), escape(&asked_for))?;
    let mut page = Page { names: &names, wide: format == Format::Wide, several: asked.len() > 1 };
    for (asker, answers) in &asked {
        for answer in answers {
            page.answer(asker, answer, tls, 0, output)?;
        }
    }
    Ok(exit)
}

fn question(args: &RouteArgs) -> Result<Question, BadRequest> {
    let headers = args.headers.iter().map(|header| Question::header(header)).collect::<Result<Vec<_>, _>>()?;
    Question::new(Url::parse(&args.url)?, Some(&args.method), headers, args.sni.as_deref())
}

fn bad_request(bad: &BadRequest) -> Failure {
    Failure::usage(escape(&bad.message), bad.help)
}

fn unserved(unserved: &Unserved) -> Failure {
    let help = match unserved.near.as_slice() {
        [] => "`portolan exposed` lists what is served".to_owned(),
        near => {
            let near: Vec<String> = near.iter().map(|host| format!("`{}`", escape(host))).collect();
            format!("served are {}; `portolan exposed` lists everything", near.join(", "))
        }
    };
    Failure::usage(escape(&unserved.message), help)
}

/// Answers for people.
struct Page<'p> {
    names: &'p Names<'p>,
    wide: bool,
    /// Whether clients must be told apart.
    several: bool,
}

impl Page<'_> {
    fn answer(
        &mut self,
        asker: &Asker,
        answer: &Answer,
        tls: bool,
        depth: usize,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let pad = "  ".repeat(depth);
        let taker = self.names.taker(&answer.taken_by);
        let who = match (taker.kind, taker.name) {
            (_, Some(name)) => {
                let port = taker.port.map(|port| format!(", port {port}")).unwrap_or_default();
                let listener = taker.listener.map(|listener| format!(", listener {}", escape(&listener)));
                format!("{name}{port}{}", listener.unwrap_or_default())
            }
            ("pods", None) => "the pods themselves".to_owned(),
            ("apiServer", None) => "the API server".to_owned(),
            _ => "nobody".to_owned(),
        };
        let from = match self.several {
            true => format!(" from {}", self.names.actors(&self.names.asker(asker), self.wide)),
            false => String::new(),
        };
        writeln!(output.stdout, "\n{pad}taken by {who}{from}")?;
        for choice in &answer.choices {
            self.choice(asker, choice, tls, depth, output)?;
        }
        for passed in &answer.passed {
            let place = self.place(passed.origin.span);
            let scheme = if tls { "https" } else { "http" };
            writeln!(output.stdout, "{pad}  passed over: {}{place}", origin_text(&passed.origin))?;
            writeln!(
                output.stdout,
                "{pad}    {}: {}",
                match_text(scheme, &passed.when),
                escape(&why_text(&passed.why))
            )?;
        }
        Ok(())
    }

    fn place(&self, span: Option<policy_core::source::Span>) -> String {
        self.names.place(span).map(|place| format!(", {place}")).unwrap_or_default()
    }

    fn choice(
        &mut self,
        asker: &Asker,
        choice: &Choice,
        tls: bool,
        depth: usize,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let pad = "  ".repeat(depth);
        if let Some(rule) = &choice.rule {
            let scheme = if tls { "https" } else { "http" };
            writeln!(output.stdout, "{pad}  rule {}{}", origin_text(&rule.origin), self.place(rule.origin.span))?;
            writeln!(output.stdout, "{pad}    {}", match_text(scheme, &rule.when))?;
        }
        if let Some(doubt) = &choice.doubt {
            writeln!(output.stdout, "{pad}    {}", escape(doubt))?;
        }
        let status = choice.status.map(|status| format!("status {status}"));
        match &choice.then {
            Then::Forward(backends) => {
                if let Some(status) = status {
                    writeln!(output.stdout, "{pad}  {status}")?;
                }
                let weighed = backends.iter().filter(|backend| backend.weight.is_some()).count() > 1;
                for backend in backends {
                    self.backend(backend, weighed, depth, output)?;
                }
            }
            Then::Redirect { location, query, next, ways } => {
                let to = location_text(location, query);
                self.verdict(&choice.finding, depth, &format!("{} to {to}", status.unwrap_or_default()), output)?;
                self.ways(ways, depth, output)?;
                let tls = &*location.scheme == "https";
                for answer in next {
                    self.answer(asker, answer, tls, depth + 1, output)?;
                }
                if next.is_empty() {
                    writeln!(output.stdout, "{pad}    it is not followed: nothing of the input answers there")?;
                }
            }
            Then::Ends { why, ways } => {
                let status = status.map(|status| format!("{status}: ")).unwrap_or_default();
                self.verdict(&choice.finding, depth, &format!("{status}{}", escape(why)), output)?;
                self.ways(ways, depth, output)?;
            }
            Then::Undefined(why) => self.verdict(&choice.finding, depth, &escape(why), output)?,
        }
        Ok(())
    }

    /// `allowed  text  (depends on …)`, with the rule where it does not go through.
    fn verdict(&self, finding: &Finding, depth: usize, text: &str, output: &mut Output<'_>) -> Result<(), Failure> {
        let word = output.palette.paint(tone(finding.verdict), finding.verdict);
        let depends = depends(finding);
        let depends = if depends.is_empty() { String::new() } else { format!("  depends on {depends}") };
        let rule = if finding.verdict == Verdict::Allowed { String::new() } else { format!("  ({})", finding.rule) };
        writeln!(output.stdout, "{}  {word}  {text}{rule}{depends}", "  ".repeat(depth))?;
        Ok(())
    }

    fn backend(&self, backend: &Reached, weighed: bool, depth: usize, output: &mut Output<'_>) -> Result<(), Failure> {
        let pad = "  ".repeat(depth);
        let mut text = match backend.service {
            Some((service, port)) => format!("Service {}:{port}", self.names.service(service)),
            None if backend.pods().is_empty() => "no Service".to_owned(),
            None => "the pods themselves".to_owned(),
        };
        if backend.mirror {
            text.push_str(", gets a copy");
        }
        if let Some(weight) = backend.weight.filter(|_| weighed) {
            text.push_str(&format!(", weight {weight}"));
        }
        if let Some(why) = &backend.why {
            let status = backend.status.map(|status| format!("status {status}: ")).unwrap_or_default();
            text.push_str(&format!(", {status}{}", escape(why)));
        }
        self.verdict(&backend.finding, depth, &text, output)?;
        let pods = backend.pods();
        if !pods.is_empty() {
            writeln!(output.stdout, "{pad}    pods {}", self.names.actors(&[Actor::Pods(pods)], self.wide))?;
        }
        for address in backend.addresses() {
            writeln!(output.stdout, "{pad}    address {address}")?;
        }
        if let Some(template) = &backend.template {
            writeln!(output.stdout, "{pad}    the path is made by the template {}", escape(template))?;
        } else if let Some(request) = &backend.request {
            let host = request.host.as_deref().unwrap_or("-");
            writeln!(output.stdout, "{pad}    sees {} {}", escape(host), escape(&target_text(request)))?;
            for (name, value) in &request.headers {
                writeln!(output.stdout, "{pad}      {}: {}", escape(name), escape(value))?;
            }
        }
        self.ways(&backend.ways, depth, output)
    }

    /// The ways, the best first; of many only some.
    fn ways(&self, ways: &[Way], depth: usize, output: &mut Output<'_>) -> Result<(), Failure> {
        let pad = "  ".repeat(depth);
        let merit = |way: &Way| way.parts.iter().map(|part| part.finding.merit()).max();
        let mut sorted: Vec<&Way> = ways.iter().collect();
        sorted.sort_by_key(|way| std::cmp::Reverse(merit(way)));
        let shown = if self.wide { sorted.len() } else { SHOWN };
        for way in sorted.iter().take(shown) {
            writeln!(output.stdout, "{pad}    {} {}", way.kind.id(), hops_text(self.names, way.kind, &way.hops))?;
            for part in &way.parts {
                self.part(part, way.parts.len() > 1, depth, output)?;
            }
        }
        if let Some(more) = sorted.len().checked_sub(shown).filter(|more| *more > 0) {
            writeln!(output.stdout, "{pad}    and {} (-o wide shows all)", crate::render::counted(more, "other way"))?;
        }
        Ok(())
    }

    fn part(&self, part: &Part, apart: bool, depth: usize, output: &mut Output<'_>) -> Result<(), Failure> {
        let pad = "  ".repeat(depth);
        if apart {
            let who = self.names.actors(&[actor(&part.clients)], self.wide);
            self.verdict(&part.finding, depth + 2, &format!("for {who}"), output)?;
        }
        for leg in &part.legs {
            let verdict = leg.judgement.verdict;
            let word = output.palette.paint(tone(verdict), verdict);
            writeln!(output.stdout, "{pad}      {}  {word}  {}", self.leg(leg), self.reason(leg))?;
        }
        if part.legs.is_empty() && !apart {
            self.verdict(&part.finding, depth + 2, "nobody comes as far as a connection to a pod", output)?;
        }
        Ok(())
    }

    /// `shop/web → shop/cart TCP 7070`.
    fn leg(&self, leg: &Leg) -> String {
        let flow = &leg.flow;
        let by = flow.masqueraded_by.map(|by| format!(" as {}", self.names.masquerader(by))).unwrap_or_default();
        let (from, to) = (self.names.party(flow.source), self.names.party(flow.destination));
        format!("{from}{by} → {to} {} {}", flow.protocol.as_str(), flow.port)
    }

    /// The rule that decides and the policies behind it.
    fn reason(&self, leg: &Leg) -> String {
        let policies = deciding_both(self.names.cluster(), &leg.judgement).into_iter();
        let policies: Vec<String> = policies.map(|policy| self.names.decider(policy)).collect();
        let policies = if policies.is_empty() { String::new() } else { format!(" by {}", policies.join(", ")) };
        format!("{}{policies}", leg.judgement.rule)
    }
}
