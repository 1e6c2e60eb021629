//! Questions that are answered way by way: from outside, and to Services, their addresses and URLs.

use std::io;

use policy_core::ids::{PodId, ServiceId};
use policy_core::model::{AddressSet, Family, Finding, Hop, Party, Proviso, ServiceKind, Verdict, WayKind};
use policy_core::query::{Actor, Subject, Target, clients};
use policy_core::ways::clients::{Clients, Part, best, overall};
use policy_core::ways::walk::{Walk, Way};
use policy_core::ways::{dial, dns};

use super::destination::Destination;
use super::question::tone;
use crate::args::Format;
use crate::dto::way::{ThroughDto, WayDto};
use crate::names::Names;
use crate::render::table::{Table, Text};
use crate::render::{Output, escape};
use crate::session::Session;
use crate::way_names::{actor, answer_text, depends, hops_text, origin_text, requests_text};

/// A way for some clients that are alike.
#[derive(Debug)]
pub(crate) struct Row {
    /// Who they are, when one of them stands for all.
    pub(crate) from: Option<Actor>,
    pub(crate) way: Way,
}

/// The ways that a question is about, and what they come to.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) rows: Vec<Row>,
    /// What becomes of each of the clients by the best of their ways (M-6).
    pub(crate) outcomes: Vec<Finding>,
}

impl Asked {
    /// The verdict and rule that all clients share; `conditional` by M-3 when they differ.
    pub(crate) fn verdict(&self) -> (Verdict, &'static str) {
        let Some(first) = self.outcomes.first() else { return (Verdict::NoRoute, "M-4") };
        if self.outcomes.iter().any(|other| other.verdict != first.verdict) {
            return (Verdict::Conditional, "M-3");
        }
        let same = self.outcomes.iter().all(|other| other.rule == first.rule);
        (first.verdict, if same { first.rule } else { "M-3" })
    }

    /// Whether somebody gets through.
    pub(crate) fn is_open(&self) -> bool {
        self.outcomes.iter().any(Finding::is_open)
    }

    /// The rows to show: those that somebody gets through, or all when nobody does.
    pub(crate) fn shown(&self) -> Vec<&Row> {
        let is_open = |row: &&Row| overall(&row.way.parts).is_some_and(Finding::is_open);
        let open: Vec<&Row> = self.rows.iter().filter(is_open).collect();
        if open.is_empty() { self.rows.iter().collect() } else { open }
    }

    /// The same ways from the names on, by which they were dialled (W-EXTNAME).
    pub(crate) fn through(mut self, names: &[ServiceId]) -> Self {
        for way in self.rows.iter_mut().map(|row| &mut row.way).filter(|_| !names.is_empty()) {
            let port = way.hops.iter().find_map(|hop| match hop {
                Hop::Service { port, .. } => Some(*port),
                _ => None,
            });
            let port = port.unwrap_or(way.port);
            let hops = names.iter().map(|service| Hop::Service { service: *service, at: None, port });
            way.hops = hops.chain(std::mem::take(&mut way.hops)).collect();
            way.kind = WayKind::ExternalName;
        }
        self
    }

    pub(crate) fn documents(&self, names: &Names<'_>) -> Vec<WayDto> {
        self.rows.iter().map(|row| names.way_dto(&row.way, row.from.as_ref())).collect()
    }
}

/// Whether a subject holds addresses outside: they get at pods by ways alone.
pub(crate) fn is_outside(clients: &Clients) -> bool {
    matches!(clients, Clients::Outside(_))
}

/// The one pod that asks, for names in its namespace.
pub(crate) fn asking(session: &Session, source: &Subject) -> Option<PodId> {
    clients(&session.analysis, source).into_iter().find_map(|(_, clients)| match clients {
        Clients::Party(Party::Pod(pod)) => Some(pod),
        _ => None,
    })
}

/// The pods of a destination.
pub(crate) fn pods_of(session: &Session, subject: &Subject) -> Vec<PodId> {
    let actors = clients(&session.analysis, subject).into_iter().map(|(actor, _)| actor);
    let mut pods: Vec<PodId> = actors
        .flat_map(|actor| match actor {
            Actor::Pods(pods) => pods,
            _ => Vec::new(),
        })
        .collect();
    pods.sort_unstable();
    pods
}

/// Answers for those of a subject's clients that `takes` takes. `by_name`: the destination is a name, which DNS must
/// tell them (DNS-7).
pub(crate) fn ask(
    session: &Session,
    source: &Subject,
    destination: &Destination,
    by_name: bool,
    takes: impl Fn(&Clients) -> bool,
) -> Asked {
    let mut walk = Walk::new(&session.analysis, &session.analysis.ways.endpoints);
    let mut clients = clients(&session.analysis, source);
    clients.retain(|(_, clients)| takes(clients));
    ask_on(session, &mut walk, &clients, destination, by_name)
}

/// The same on a walk that serves more than one question, for clients that have been sorted out.
pub(crate) fn ask_on(
    session: &Session,
    walk: &mut Walk<'_>,
    clients: &[(Actor, Clients)],
    destination: &Destination,
    by_name: bool,
) -> Asked {
    let mut asked = Asked { rows: Vec::new(), outcomes: Vec::new() };
    let only = written_family(destination);
    for (actor, clients) in clients {
        let meant = match (clients, only) {
            (Clients::Outside(addresses), Some(family)) => Clients::Outside(addresses.of(family)),
            _ => clients.clone(),
        };
        if matches!(&meant, Clients::Outside(addresses) if addresses.is_empty()) {
            asked.outcomes.push(Finding::of(Verdict::NoRoute, "NP-30"));
            continue;
        }
        let clients = &meant;
        let mut ways = ways(session, walk, clients, destination);
        if by_name && let Clients::Party(Party::Pod(pod)) = clients {
            name_first(session, *pod, &mut ways);
        }
        asked.outcomes.extend(match destination {
            Destination::Url(_) => by_requests(clients, &ways),
            _ => outcomes(clients, &ways),
        });
        let from = Some(actor.clone()).filter(|_| !is_outside(clients));
        asked.rows.extend(ways.into_iter().map(|way| Row { from: from.clone(), way }));
    }
    asked
}

/// NP-30: a destination that is written as addresses means their family, whatever else its holder speaks.
fn written_family(destination: &Destination) -> Option<Family> {
    match destination {
        Destination::Target(Target { subject: Subject::Address(ip), .. }) => Some(Family::of(*ip)),
        Destination::Target(Target { subject: Subject::Cidr(net), .. }) => Some(Family::of(net.network())),
        _ => None,
    }
}

/// DNS-7: a client that cannot ask for a name does not get to what it stands for.
fn name_first(session: &Session, pod: PodId, ways: &mut [Way]) {
    let analysis = &session.analysis;
    let condition = dns::condition(&analysis.cluster, &analysis.profile, &analysis.ways.endpoints, analysis, pod);
    if condition.is_some() {
        for part in ways.iter_mut().flat_map(|way| &mut way.parts) {
            *part = part.clone().and(Finding::if_only("DNS-7", Proviso::Dns));
        }
    }
}

fn ways(session: &Session, walk: &mut Walk<'_>, clients: &Clients, destination: &Destination) -> Vec<Way> {
    match destination {
        Destination::Target(Target { subject, port }) => dial::to_pods(walk, clients, &pods_of(session, subject), port),
        Destination::Service(service, port) => dial::to_service(walk, clients, *service, *port),
        Destination::Address(ip, port, protocol) => {
            dial::to_address(walk, clients, (*ip, *port, *protocol)).unwrap_or_default()
        }
        Destination::Url(url) => {
            let ways = dial::to_host(walk, clients, url.port, url.tls, &url.requests());
            // Of several proxies, the name stands for one that knows the host, if there is one.
            let knows = |way: &Way| way.served.as_ref().is_some_and(|served| served.requests.origin.span.is_some());
            if ways.iter().any(knows) { ways.into_iter().filter(knows).collect() } else { ways }
        }
        Destination::NoName(..) => Vec::new(),
    }
}

/// What becomes of clients by the best of their ways; of a set, of each of its parts. Who has no way has no route.
fn outcomes(clients: &Clients, ways: &[Way]) -> Vec<Finding> {
    let parts: Vec<Part> = ways.iter().flat_map(|way| way.parts.iter().cloned()).collect();
    let best = spoken(best(parts));
    if best.is_empty() {
        return vec![Finding::of(Verdict::NoRoute, "M-4")];
    }
    match clients {
        Clients::Outside(_) => best.into_iter().map(|part| part.finding).collect(),
        Clients::Party(_) => overall(&best).cloned().into_iter().collect(),
    }
}

/// NP-30: nobody asks whether the IPv6 internet gets to an IPv4 pod. Those who have no route because of their family do
/// not count beside others.
fn spoken(parts: Vec<Part>) -> Vec<Part> {
    let heard = parts.iter().flat_map(|part| &part.legs).map(|leg| AddressSet::all_of(leg.flow.family));
    let heard: AddressSet = heard.collect();
    let of = |part: Part| match (&part.clients, part.legs.is_empty()) {
        (Clients::Outside(addresses), true) if !heard.is_empty() => {
            let meant = addresses.intersection(&heard);
            (!meant.is_empty()).then(|| Part { clients: Clients::Outside(meant), ..part.clone() })
        }
        _ => Some(part),
    };
    parts.into_iter().filter_map(of).collect()
}

/// The same for each rule that takes some of the requests.
fn by_requests(clients: &Clients, ways: &[Way]) -> Vec<Finding> {
    let rule = |way: &Way| way.served.as_ref().map(|served| (served.proxy, served.requests.origin.clone()));
    let mut rules: Vec<_> = ways.iter().map(rule).collect();
    rules.sort();
    rules.dedup();
    if rules.is_empty() {
        return outcomes(clients, ways);
    }
    let of = |wanted| ways.iter().filter(|way| rule(way) == wanted).cloned().collect::<Vec<Way>>();
    rules.into_iter().flat_map(|rule| outcomes(clients, &of(rule))).collect()
}

/// One line for each part of each way; `all` also of those who do not get through.
pub(crate) fn table(rows: &[&Row], names: &Names<'_>, wide: bool, all: bool) -> Table {
    let mut heading = vec!["verdict", "to", "port", "from", "way", "via", "requests", "depends on"];
    if wide {
        heading.extend(["rule", "written by"]);
    }
    let mut table = Table::new(&heading);
    for Row { from, way } in rows {
        let open = way.parts.iter().any(|part| part.finding.is_open());
        for part in way.parts.iter().filter(|part| all || !open || part.finding.is_open()) {
            let to = match (&way.pods, way.address) {
                (pods, _) if !pods.is_empty() => names.actors(&[Actor::Pods(pods.clone())], wide),
                (_, Some(address)) => address.to_string(),
                _ => way.served.as_ref().and_then(|served| answer_text(&served.then)).unwrap_or_default(),
            };
            let port = match way.port {
                0 => String::new(),
                port => format!("{port}/{}", way.protocol.as_str().to_ascii_lowercase()),
            };
            let verdict = part.finding.verdict;
            let clients = from.clone().unwrap_or_else(|| actor(&part.clients));
            let mut row: Vec<Text> = vec![
                Text::toned(tone(verdict), verdict.as_str()),
                to.into(),
                port.into(),
                names.actors(&[clients], wide).into(),
                way.kind.id().into(),
                hops_text(names, way.kind, &way.hops).into(),
                way.served.as_ref().map(|served| requests_text(served, wide)).unwrap_or_default().into(),
                depends(&part.finding).into(),
            ];
            if wide {
                row.push(part.finding.rule.into());
                let by = way.served.as_ref().map(|served| {
                    let place = names.place(served.requests.origin.span).map(|place| format!(", {place}"));
                    format!("{}{}", origin_text(&served.requests.origin), place.unwrap_or_default())
                });
                row.push(by.unwrap_or_default().into());
            }
            table.push(row);
        }
    }
    table
}

/// The ways of an answer, for people.
pub(crate) fn print(asked: &Asked, names: &Names<'_>, format: Format, output: &mut Output<'_>) -> io::Result<()> {
    let shown = asked.shown();
    if shown.is_empty() {
        return writeln!(output.stdout, "  M-4: nothing leads from there to here");
    }
    output.table(format, &table(&shown, names, format != Format::Table, false))
}

/// What each of some ExternalNames stands for, for documents.
pub(crate) fn through(names: &Names<'_>, services: &[ServiceId]) -> Vec<ThroughDto> {
    let stands_for = |id: &ServiceId| {
        let service = names.cluster().services.at(*id);
        let ServiceKind::ExternalName(name) = &service.kind else { return None };
        Some(ThroughDto {
            way: WayKind::ExternalName.id(),
            rule: "SVC-16",
            service: names.service(*id),
            name: name.to_string(),
            source: names.place(service.span),
        })
    };
    services.iter().filter_map(stands_for).collect()
}

/// A line for each of these names.
pub(crate) fn print_through(names: &[ThroughDto], output: &mut Output<'_>) -> io::Result<()> {
    for ThroughDto { way, rule, service, name, source } in names {
        let place = source.as_deref().map(|place| format!("  {}", escape(place))).unwrap_or_default();
        writeln!(output.stdout, "  {way}: {service} stands for {} ({rule}){place}", escape(name))?;
    }
    Ok(())
}

/// What comes before what policies say of connections for which there is no way.
pub(crate) const POLICIES_ALONE: &str =
    "what policies alone say of such a connection, if one came (pod_cidr_routable):";
