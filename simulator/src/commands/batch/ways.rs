//! Questions of `batch` that go by ways: from outside, to Services and their addresses, and as users of the API server.
//!
//! What they need is made once for each share of lines, and what names and subjects mean is remembered.

use std::borrow::Cow;
use std::sync::Arc;

use policy_core::ids::ServiceId;
use policy_core::model::{Finding, Flag, KnobSet, Leg, Verdict};
use policy_core::query::{Actor, PortAsk, Subject, Target, clients};
use policy_core::ways::clients::Clients;
use policy_core::ways::walk::Walk;
use serde_json::value::RawValue;

use super::{Desk, Memory, Part, Seat, Side, Wrong};
use crate::api_user::ApiUser;
use crate::commands::api;
use crate::commands::by_ways::{self, Asked, asking, is_outside};
use crate::commands::can::{Split, divided, meant, together};
use crate::commands::destination::{Destination, Dialled};
use crate::commands::question::NO_DESTINATION;
use crate::dto::batch::{Answer, Reply, UserLine};
use crate::dto::way::ThroughDto;
use crate::dto::{flag, knobs};
use crate::exit::Failure;

/// Whether somebody outside is asked about, with a pod at the other end.
pub(super) fn needs_ways(parts: &[Part]) -> bool {
    let outside = |actor: &Actor| matches!(actor, Actor::Addresses(_));
    let pods = |actor: &Actor| matches!(actor, Actor::Pods(_));
    parts.iter().any(|part| part.cell.sources.iter().any(outside) && part.cell.destinations.iter().any(pods))
}

/// Whether a name may be that of a Service, of DNS or a URL, which no pod, node or address bears.
fn is_looked_up(text: &str) -> bool {
    text.contains('.') || text.contains("://") || text.split('/').any(|word| matches!(word, "svc" | "service"))
}

impl<'a> Desk<'a> {
    /// What is asked about, as `can` finds it. `source` asks for names in its namespace.
    pub(super) fn dialled(
        &self,
        to: &str,
        port: &PortAsk,
        source: Option<&Subject>,
        memory: &mut Memory,
    ) -> Result<Dialled, Wrong> {
        let unknown = match self.subject(to, Side::Destination, memory) {
            Ok(subject) => return Ok(self.there(Target { subject, port: port.clone() }, memory).into()),
            Err(unknown) => unknown,
        };
        let cluster = &self.session.analysis.cluster;
        if let Some(Ok(_)) = ApiUser::read(cluster, self.session.namespace.as_deref(), to) {
            return Err(Wrong::new(format!("`{to}` is a user of the API server; {NO_DESTINATION}")));
        }
        if !is_looked_up(to) {
            return Err(unknown);
        }
        let text = match port {
            PortAsk::Any => to.to_owned(),
            _ if to.contains("://") => return Err(Wrong::new("a URL has its port in itself".to_owned())),
            PortAsk::Number(protocol, number) => format!("{to}:{number}/{}", protocol.as_str()),
            PortAsk::Name(protocol, name) => format!("{to}:{name}/{}", protocol.as_str()),
        };
        let client = source.and_then(|source| asking(self.session, source));
        let known = memory.named.entry((text.clone(), client));
        let found = known.or_insert_with(|| {
            self.session.dialled(&text, client).map_err(|failure| match failure {
                // A name that nothing bears is said to be unknown as it was written, without its port.
                Failure::Usage { message, help } if !message.starts_with("nothing in the input") => {
                    let help = help.filter(|help| !help.is_empty()).map(|help| format!("; {help}"));
                    Wrong::new(message + &help.unwrap_or_default())
                }
                _ => unknown,
            })
        });
        found.clone()
    }

    /// What answers at an address or a node, which need not be its holder.
    fn there(&self, target: Target, memory: &mut Memory) -> Destination {
        let is_shared = match &target.subject {
            Subject::Address(ip) => {
                self.shared.contains(ip) || self.session.analysis.profile.ways.service_cidrs.contains(*ip)
            }
            Subject::Node(_) => true,
            _ => false,
        };
        if !is_shared {
            return Destination::Target(target);
        }
        let known = memory.there.entry(target);
        known.or_insert_with_key(|target| self.session.something_there(target.clone())).clone()
    }

    /// The clients of a subject.
    fn clients(&self, source: &Subject, memory: &mut Memory) -> Arc<[(Actor, Clients)]> {
        if let Subject::Address(ip) = source
            && !self.addresses.contains_key(ip)
        {
            return Arc::from([(Actor::Addresses((*ip).into()), Clients::Outside((*ip).into()))]);
        }
        let known = memory.clients.entry(source.clone());
        Arc::clone(known.or_insert_with_key(|source| clients(&self.session.analysis, source).into()))
    }

    fn walked(
        &self,
        clients: &[(Actor, Clients)],
        (destination, by_name): (&Destination, bool),
        seat: &mut Seat<'_, 'a>,
    ) -> Asked {
        let analysis = &self.session.analysis;
        let walk = seat.walk.get_or_insert_with(|| Walk::new(analysis, &analysis.ways.endpoints));
        by_ways::ask_on(self.session, walk, clients, destination, by_name)
    }

    /// A question to a Service, its address or a URL.
    pub(super) fn by_ways(
        &self,
        id: Option<&RawValue>,
        source: &Subject,
        (to, destination, through): (&str, &Destination, &[ServiceId]),
        seat: &mut Seat<'_, 'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Wrong> {
        let by_name = matches!(destination, Destination::Service(..)) && !to.contains('/');
        let clients = self.clients(source, seat.memory);
        let asked = self.walked(&clients, (destination, by_name), seat).through(through);
        let nowhere = match destination {
            Destination::NoName(rule, _) => Some((Verdict::NoListener, *rule)),
            _ => None,
        };
        let reply = self.of_ways(id, &Split::of_ways(asked), nowhere, &[source, &Subject::Everything]);
        Reply { through: self.through(through), ..reply }.write(out);
        Ok(())
    }

    /// A question from outside, among others, to pods.
    pub(super) fn divided(
        &self,
        id: Option<&RawValue>,
        source: &Subject,
        target: Target,
        parts: Vec<Part>,
        seat: &mut Seat<'_, 'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Wrong> {
        let all = self.clients(source, seat.memory);
        let outside: Vec<_> = all.iter().filter(|(_, clients)| is_outside(clients)).cloned().collect();
        let destination = Destination::Target(target.clone());
        let mut split = divided(self.session, parts);
        split.asked = Some(self.walked(&outside, (&destination, false), seat));
        self.of_ways(id, &split, None, &[source, &target.subject]).write(out);
        Ok(())
    }

    fn of_ways<'q>(
        &'q self,
        id: Option<&'q RawValue>,
        split: &Split,
        nowhere: Option<(Verdict, &'static str)>,
        subjects: &[&Subject],
    ) -> Reply<'q> {
        let caveats = self.ends.caveats(&self.session.analysis.cluster, subjects);
        let (verdict, rule) = nowhere.unwrap_or_else(|| together(&split.parts, split.asked.as_ref()));
        let reply = Reply::nothing(id, verdict, caveats);
        let asked = split.asked.as_ref();
        let mut answer = match (meant(&split.parts).first(), asked.and_then(best_leg)) {
            (Some(first), _) => self.ends.answer(&first.judgement, &first.cell.witness, &self.names),
            (None, Some(leg)) => self.ends.answer(&leg.judgement, &leg.flow, &self.names),
            (None, None) => reply.answer.clone(),
        };
        if let Some(asked) = asked.filter(|_| split.parts.is_empty()) {
            depends(&mut answer, &asked.outcomes);
        }
        let cells = split.parts.iter().chain(&split.wayless);
        let cells: Vec<_> =
            cells.map(|part| self.names.judged_cell(&part.cell, &part.judgement, part.ports())).collect();
        let shown = asked.map(Asked::shown).unwrap_or_default().into_iter();
        let ways = self.names.way_lines(shown.map(|row| (row.from.as_ref(), &row.way)));
        Reply {
            answer: Answer { verdict: verdict.as_str(), rule, ..answer },
            cells: (!cells.is_empty()).then_some(cells),
            ways: Some(ways),
            ..reply
        }
    }

    pub(super) fn through(&self, services: &[ServiceId]) -> Vec<ThroughDto> {
        by_ways::through(&self.names, services)
    }

    /// A question of a user of the API server.
    pub(super) fn of_user(
        &self,
        id: Option<&RawValue>,
        user: &ApiUser,
        (to, port): (&str, &PortAsk),
        seat: &mut Seat<'_, 'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Wrong> {
        let destination = self.dialled(to, port, None, seat.memory)?.destination;
        let client = api::client(self.session, user);
        let found = api::ask(self.session, &client, &destination).map_err(|failure| match failure {
            Failure::Usage { message, help } => Wrong::new(format!("{message}; {}", help.unwrap_or_default())),
            other => Wrong::new(other.to_string()),
        })?;
        let (verdict, rule) = found.verdict();
        let ways = found.shown().into_iter().map(|way| self.names.api_line(way)).collect();
        let subject = match &destination {
            Destination::Target(target) => &target.subject,
            _ => &Subject::Everything,
        };
        let caveats = self.ends.caveats(&self.session.analysis.cluster, &[subject]);
        UserLine { id, verdict: verdict.as_str(), rule, api_ways: ways, why: found.why.clone(), caveats }.write(out);
        Ok(())
    }
}

/// The last connection of the best way.
fn best_leg(asked: &Asked) -> Option<&Leg> {
    let parts = asked.rows.iter().flat_map(|row| &row.way.parts).filter(|part| !part.legs.is_empty());
    let best = parts.fold(None, |best: Option<&policy_core::ways::clients::Part>, part| match best {
        Some(known) if known.finding.merit() >= part.finding.merit() => Some(known),
        _ => Some(part),
    });
    best?.legs.last()
}

/// What all outcomes depend on, in the place of what one connection does.
fn depends(answer: &mut Answer<'_>, outcomes: &[Finding]) {
    let all = outcomes.iter().fold(KnobSet::EMPTY, |all, outcome| all.union(outcome.knobs));
    let mut words: Vec<String> =
        outcomes.iter().flat_map(|outcome| &outcome.provisos).map(ToString::to_string).collect();
    words.sort();
    words.dedup();
    let mut flags: Vec<Flag> = outcomes.iter().flat_map(|outcome| outcome.flags.iter().copied()).collect();
    flags.retain(|remark| *remark != Flag::RouteAssumed);
    flags.sort_unstable();
    flags.dedup();
    answer.knobs = knobs(all);
    answer.conditions = words.into_iter().map(Cow::Owned).collect();
    answer.flags = flags.into_iter().map(flag).collect();
}
