//! Requests at proxies: which of them serve a host, which rule takes a request there, and what comes of it (ING-5 …
//! ING-8, GW-4 … GW-10).

use std::collections::BTreeSet;

use crate::ids::{Id, ProxyId, ServiceId};
use crate::model::http::{
    Action, App, Backend, BackendTarget, HostMatch, Listener, PathRewrite, Proxy, ProxyKind, ProxyPods, ProxyPort,
    Redirect, Rewrite, RouteRule, Routed,
};
use crate::model::{Finding, Hop, Knob, LoadBalancerAddress, Name, Protocol, Verdict, WayKind};
use crate::ways::clients::{Part, overall};
use crate::ways::proxied::{Arrival, usual_names};
use crate::ways::requests::{Region, undecidable};
use crate::ways::route::passed::passed;
use crate::ways::route::{Answer, Choice, MOST_REDIRECTS, Question, Reached, Routing, TakenBy, Then, best, better};
use crate::ways::walk::Way;

/// The positions of a proxy and of one of its ports.
pub(super) type AtPort = (usize, usize);

/// A rule that may take a request: with expressions that nobody can decide, and rules that may as well come first.
struct Candidate<'r> {
    rule: Option<&'r RouteRule>,
    undecided: Vec<Name>,
    contested: Vec<&'r RouteRule>,
    doubt: Option<String>,
}

/// A proxy whose listener has a request to deal with.
struct Scene<'s> {
    question: &'s Question,
    proxy: &'s Proxy,
    port: &'s ProxyPort,
    listener: &'s Listener,
    arrivals: &'s [Arrival],
}

/// The last Service on the way, with the port that is dialled there.
pub(super) fn service_of(hops: &[Hop]) -> Option<(ServiceId, u16)> {
    hops.iter().rev().find_map(|hop| match hop {
        Hop::Service { service, port, .. } | Hop::Balancer { service, port, .. } => Some((*service, *port)),
        _ => None,
    })
}

/// Whether somebody wrote a rule, rather than the proxy answering what nobody takes.
fn is_written(rule: &RouteRule) -> bool {
    !matches!(rule.origin.kind, "Listener" | "Controller") || matches!(rule.then, Action::Forward { .. })
}

/// Whether a rule of a proxy names a host: one that somebody wrote, or any, that of a listener included.
fn names(proxy: &Proxy, host: &str, written: bool) -> bool {
    let listeners = proxy.ports.iter().flat_map(|port| &port.listeners);
    let mut rules = listeners.flat_map(|listener| &listener.router.rules);
    rules.any(|rule| {
        let named = rule.when.host != HostMatch::Any && rule.when.host.matches(Some(host)) != Some(false);
        named && (!written || is_written(rule))
    })
}

/// The listener that takes the connection of a request: of several the first one.
fn listener_for<'p>(port: &'p ProxyPort, question: &Question) -> Option<&'p Listener> {
    let sni = question.request.sni.as_deref();
    port.listeners.iter().find(|listener| match &listener.tls {
        None => !question.url.tls,
        Some(names) => question.url.tls && names.matches(sni) == Some(true),
    })
}

/// What routes a request there: its host, or the server name where nothing is decrypted.
fn host_at<'q>(listener: &Listener, question: &'q Question) -> Option<&'q str> {
    match listener.app {
        App::Http => question.request.host.as_deref(),
        App::Opaque => question.request.sni.as_deref(),
    }
}

/// The rules that may take a request, the likeliest first.
fn candidates<'r>(listener: &'r Listener, question: &Question) -> Vec<Candidate<'r>> {
    let mut found = Vec::new();
    let mut undecided: Vec<Name> = Vec::new();
    let mut next = listener.router.route(host_at(listener, question), &question.request);
    let unless = |undecided: &[Name]| (!undecided.is_empty()).then(|| format!("unless {}", expressions(undecided)));
    loop {
        match next {
            Routed::Rule(rule) => {
                let doubt = unless(&undecided);
                found.push(Candidate { rule: Some(rule), undecided, contested: Vec::new(), doubt });
                return found;
            }
            Routed::OneOf(rules) => {
                for rule in &rules {
                    let contested = rules.iter().copied().filter(|other| !std::ptr::eq(*other, *rule)).collect();
                    let doubt = Some("nobody defines which of these rules comes first".to_owned());
                    found.push(Candidate { rule: Some(rule), undecided: undecided.clone(), contested, doubt });
                }
                return found;
            }
            Routed::Perhaps(rule, otherwise) => {
                let own = undecidable(&rule.when);
                let doubt = Some(format!("if {}", expressions(&own)));
                let all = undecided.iter().chain(&own).cloned().collect();
                found.push(Candidate { rule: Some(rule), undecided: all, contested: Vec::new(), doubt });
                undecided.extend(own);
                next = *otherwise;
            }
            Routed::Nothing => {
                let doubt = unless(&undecided);
                found.push(Candidate { rule: None, undecided, contested: Vec::new(), doubt });
                return found;
            }
        }
    }
}

fn expressions(written: &[Name]) -> String {
    let written: Vec<String> = written.iter().map(|expression| format!("`{expression}`")).collect();
    format!("{} matches, which nobody can tell", written.join(" or "))
}

/// A way that ends at a proxy.
fn ending(kind: WayKind, arrival: &Arrival, parts: Vec<Part>) -> Way {
    let hops = arrival.hops.clone();
    let protocol = Protocol::Tcp;
    Way { kind, protocol, hops, pods: Vec::new(), address: None, port: 0, parts, served: None }
}

fn kind_of(proxy: &Proxy, app: App) -> WayKind {
    match (proxy.kind, app) {
        (ProxyKind::Gateway, _) => WayKind::Gateway,
        (ProxyKind::Ingress, App::Http) => WayKind::Ingress,
        (ProxyKind::Ingress, App::Opaque) => WayKind::L4,
    }
}

/// The best finding of some ways.
fn finding_of(ways: &[Way]) -> Finding {
    let best = ways.iter().filter_map(|way| overall(&way.parts)).fold(None, better);
    best.unwrap_or_else(|| Finding::of(Verdict::NoListener, "M-4"))
}

impl Routing<'_> {
    /// The hosts that rules name, sorted.
    pub(super) fn hosts(&self) -> BTreeSet<Name> {
        let ports = self.analysis.ways.proxies.iter().flat_map(|proxy| &proxy.ports);
        let rules = ports.flat_map(|port| &port.listeners).flat_map(|listener| &listener.router.rules);
        let named = rules.filter_map(|rule| match &rule.when.host {
            HostMatch::Exact(host) => Some(host.clone()),
            HostMatch::OneLabel(host) | HostMatch::Labels(host) => Some(Name::from(format!("*.{host}"))),
            HostMatch::Any | HostMatch::Regex(_) => None,
        });
        named.collect()
    }

    /// What the proxies make of a request whose host some of them name; else those that take all hosts.
    pub(super) fn of_public(&mut self, question: &Question) -> Option<Vec<Answer>> {
        let proxies = &self.analysis.ways.proxies;
        let host = &*question.url.host;
        let of = |wanted: &dyn Fn(&Proxy) -> bool| -> Vec<usize> {
            let found = proxies.iter().enumerate().filter(|(_, proxy)| wanted(proxy));
            found.map(|(at, _)| at).collect()
        };
        let mut found = of(&|proxy| names(proxy, host, true));
        if found.is_empty() {
            if let Some(answer) = self.unclaimed(host) {
                return Some(vec![answer]);
            }
            found = of(&|proxy| names(proxy, host, false));
        }
        if found.is_empty() {
            found = of(&|proxy| takes_anyway(proxy, question));
        }
        let answers: Vec<Answer> = found.into_iter().flat_map(|at| self.at_proxy(question, at)).collect();
        (!answers.is_empty()).then_some(answers)
    }

    /// ING-9: an Ingress for the host that no controller takes.
    fn unclaimed(&self, host: &str) -> Option<Answer> {
        let cluster = &self.analysis.cluster;
        let names = |id: crate::ids::IngressId| {
            let rules = cluster.ingresses.get(id).map(|ingress| ingress.rules.as_slice()).unwrap_or_default();
            rules.iter().any(|rule| rule.host != HostMatch::Any && rule.host.matches(Some(host)) == Some(true))
        };
        let (id, why) = self.analysis.ways.claims.unclaimed.iter().find(|(id, _)| names(*id))?;
        let ingress = cluster.ingresses.get(*id)?;
        let namespace = &cluster.namespaces.at(ingress.namespace).name;
        let why = format!("no controller takes Ingress {namespace}/{}: {why}", ingress.name);
        Some(Answer::nothing(TakenBy::Nobody, "ING-9", why, Vec::new()))
    }

    /// Load balancers without pods, by the status of the Ingresses that they serve (ING-16).
    pub(super) fn of_ingress_addresses(&mut self, question: &Question) -> Vec<Answer> {
        let host = &*question.url.host;
        let is_host = |at: &LoadBalancerAddress| match at {
            LoadBalancerAddress::Ip(ip) => Some(*ip) == question.url.address(),
            LoadBalancerAddress::Hostname(name) => name.eq_ignore_ascii_case(host),
        };
        let (cluster, ways) = (&self.analysis.cluster, &self.analysis.ways);
        let mut found = BTreeSet::new();
        for (id, ingress) in cluster.ingresses.iter().filter(|(_, ingress)| ingress.addresses.iter().any(is_host)) {
            let own = (&cluster.namespaces.at(ingress.namespace).name, &ingress.name);
            for controller in ways.claims.controllers.iter().filter(|controller| controller.ingresses.contains(&id)) {
                let is_its = |proxy: &Proxy| {
                    let name = (&proxy.namespace, &proxy.name);
                    proxy.kind == ProxyKind::Ingress
                        && (name == own || name == (&controller.namespace, &controller.name))
                };
                let proxies = ways.proxies.iter().enumerate();
                let without_pods =
                    proxies.filter(|(_, proxy)| is_its(proxy) && !matches!(proxy.pods, ProxyPods::Pods(_)));
                found.extend(without_pods.map(|(at, _)| at));
            }
        }
        found.into_iter().flat_map(|at| self.at_proxy(question, at)).collect()
    }

    /// What a proxy makes of a request of which nobody says how it comes there.
    pub(super) fn at_proxy(&mut self, question: &Question, at: usize) -> Vec<Answer> {
        let Some(proxy) = self.analysis.ways.proxies.get(at) else { return Vec::new() };
        let taken_by = TakenBy::Proxy { proxy: ProxyId::from_index(at), port: question.url.port, listener: None };
        let is_port = |port: &ProxyPort| (port.port, port.protocol) == (question.url.port, Protocol::Tcp);
        let Some(place) = proxy.ports.iter().position(is_port) else {
            let ports: BTreeSet<u16> = proxy.ports.iter().map(|port| port.port).collect();
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            let others =
                if ports.is_empty() { "anywhere".to_owned() } else { format!("there, but on {}", ports.join(", ")) };
            let rule = if proxy.kind == ProxyKind::Gateway { "GW-4" } else { "ING-8" };
            return vec![Answer::nothing(taken_by, rule, format!("it does not listen {others}"), Vec::new())];
        };
        let Some(port) = proxy.ports.get(place) else { return Vec::new() };
        let mut arrivals = self.walk.arrive(self.clients, ProxyId::from_index(at), proxy, port);
        // Who dials the port of the URL comes by what opens that port. Node ports and the like serve where something
        // before the cluster leads there, which the input does not tell.
        let nearest = arrivals.iter().map(|arrival| self.distance(arrival, question.url.port)).min();
        arrivals.retain(|arrival| Some(self.distance(arrival, question.url.port)) == nearest);
        vec![self.routed(question, (at, place), &arrivals)]
    }

    /// How likely a public name leads to an entry: 0 = it opens the port that is dialled.
    fn distance(&self, arrival: &Arrival, dialled: u16) -> u8 {
        match arrival.hops.first() {
            Some(Hop::Service { service, at, .. }) => {
                let external = &self.analysis.cluster.services.at(*service).external_ips;
                if at.is_some_and(|at| external.contains(&at)) { 0 } else { 2 }
            }
            Some(Hop::Balancer { port, .. }) => u8::from(*port != dialled),
            Some(Hop::Node { port, .. }) => u8::from(*port != Some(dialled)),
            Some(Hop::Pod { .. } | Hop::Address { .. }) => 2,
            Some(Hop::Proxy { .. } | Hop::ApiServer) | None => 0,
        }
    }

    /// The proxies that the pods at the end of a way are, with the port of theirs that it leads to. Of several, those
    /// that name the host.
    pub(super) fn proxies_behind(&self, question: &Question, way: &Way) -> Vec<AtPort> {
        let mut found: Vec<AtPort> = Vec::new();
        for (at, proxy) in self.analysis.ways.proxies.iter().enumerate() {
            let ProxyPods::Pods(pods) = &proxy.pods else { continue };
            if way.pods.iter().any(|pod| pods.contains(pod)) {
                let place = proxy.ports.iter().position(|port| self.leads_to(way, port));
                found.extend(place.map(|place| (at, place)));
            }
        }
        let proxy = |at: usize| self.analysis.ways.proxies.get(at);
        let narrowed = |wanted: &dyn Fn(&Proxy) -> bool| -> Vec<AtPort> {
            found.iter().copied().filter(|(at, _)| proxy(*at).is_some_and(wanted)).collect()
        };
        if found.len() > 1 {
            let host = question.request.host.as_deref().unwrap_or_default();
            for narrowed in
                [narrowed(&|proxy| names(proxy, host, true)), narrowed(&|proxy| takes_anyway(proxy, question))]
            {
                if !narrowed.is_empty() {
                    return narrowed;
                }
            }
        }
        found
    }

    /// Whether a way ends at this port of a proxy: the Service's port has its number or its usual name, or else the
    /// pod's has.
    fn leads_to(&self, way: &Way, port: &ProxyPort) -> bool {
        let cluster = &self.analysis.cluster;
        if way.protocol != port.protocol {
            return false;
        }
        if let Some((service, number)) = service_of(&way.hops) {
            let ports = cluster.services.at(service).ports.iter();
            let mut named = ports.filter(|of| of.port == number && of.protocol == port.protocol);
            return number == port.port || named.any(|of| usual_names(port.port).contains(&&*of.name));
        }
        let dialled = matches!(way.hops.first(), Some(Hop::Node { port: Some(number), .. }) if *number == port.port);
        let declared = way.pods.iter().flat_map(|pod| cluster.pods.at(*pod).ports.iter());
        let named = |name: &Name| usual_names(port.port).contains(&&**name);
        let mut declared = declared.filter(|of| (of.protocol, of.port) == (way.protocol, way.port));
        dialled || way.port == port.port || declared.any(|of| of.name.as_ref().is_some_and(named))
    }

    /// The arrival of those who take a way to the pods of a proxy.
    pub(super) fn arrival(&self, (at, place): AtPort, way: &Way) -> Arrival {
        let proxy = self.analysis.ways.proxies.get(at);
        let port = proxy.and_then(|proxy| proxy.ports.get(place)).map_or(way.port, |port| port.port);
        let id = ProxyId::from_index(at);
        let hops = way.hops.iter().cloned().chain([Hop::Proxy { proxy: id, port }]).collect();
        let is_its = |pod: &crate::ids::PodId| matches!(proxy.map(|proxy| &proxy.pods), Some(ProxyPods::Pods(pods)) if pods.contains(pod));
        let pod = way.pods.iter().copied().find(is_its);
        Arrival { proxy: (id, port), hops, pod, parts: way.parts.clone() }
    }

    /// What becomes of a request of those who have come to a proxy.
    pub(super) fn routed(&mut self, question: &Question, (at, place): AtPort, arrivals: &[Arrival]) -> Answer {
        let analysis = self.analysis;
        let taken_by = |listener: Option<&Listener>, port: u16| TakenBy::Proxy {
            proxy: ProxyId::from_index(at),
            port,
            listener: listener.map(|listener| listener.name.clone()),
        };
        let Some((proxy, port)) =
            analysis.ways.proxies.get(at).and_then(|proxy| Some((proxy, proxy.ports.get(place)?)))
        else {
            return Answer::of(taken_by(None, question.url.port), Vec::new());
        };
        let Some(listener) = listener_for(port, question) else {
            let name = question.request.sni.as_deref().map(|sni| format!(" for `{sni}`")).unwrap_or_default();
            let speech = if question.url.tls { "with TLS" } else { "without TLS" };
            let why = format!("no listener of port {} takes connections {speech}{name}", port.port);
            let rule = if proxy.kind == ProxyKind::Gateway { "GW-4" } else { "ING-8" };
            let kind = kind_of(proxy, App::Http);
            let ways = arrivals.iter().map(|arrival| ending(kind, arrival, arrival.parts.clone())).collect();
            return Answer::nothing(taken_by(None, port.port), rule, why, ways);
        };
        let scene = Scene { question, proxy, port, listener, arrivals };
        let found = candidates(listener, question);
        let chosen: Vec<&RouteRule> = found.iter().filter_map(|candidate| candidate.rule).collect();
        let mut choices: Vec<Choice> = found.iter().map(|candidate| self.choice(&scene, candidate)).collect();
        choices.extend(self.shared(&scene, at, &found));
        if choices.len() > found.len() {
            let open = Finding::undefined("GW-4", Knob::GatewayIsolation);
            for choice in &mut choices {
                choice.finding = choice.finding.clone().and(open.clone());
                choice.doubt.get_or_insert_with(|| "routes of less specific listeners may serve as well".to_owned());
            }
        }
        let passed = passed(&listener.router, host_at(listener, question), &question.request, &chosen);
        Answer { passed, ..Answer::of(taken_by(Some(listener), port.port), choices) }
    }

    /// GW-4: what becomes of the request where routes of less specific listeners serve too, if that is left open and
    /// makes a difference.
    fn shared(&mut self, scene: &Scene<'_>, at: usize, found: &[Candidate<'_>]) -> Vec<Choice> {
        let ways = &self.analysis.ways;
        let Some(shared) = &ways.gateways.shared else { return Vec::new() };
        let first = ways.proxies.len().saturating_sub(ways.gateways.proxies.len());
        let Some(proxy) = at.checked_sub(first).and_then(|at| shared.get(at)) else { return Vec::new() };
        let same = |port: &&ProxyPort| (port.port, port.protocol) == (scene.port.port, scene.port.protocol);
        let Some(port) = proxy.ports.iter().find(same) else { return Vec::new() };
        let Some(listener) = listener_for(port, scene.question) else { return Vec::new() };
        let others = candidates(listener, scene.question);
        let does = |candidate: &Candidate<'_>| candidate.rule.map(|rule| (rule.checks.clone(), rule.then.clone()));
        let is_new = |other: &Candidate<'_>| found.iter().all(|known| does(known) != does(other));
        let scene = Scene { proxy, port, listener, ..*scene };
        let new: Vec<Candidate<'_>> = others.into_iter().filter(is_new).collect();
        new.iter().map(|candidate| self.choice(&scene, candidate)).collect()
    }

    /// What becomes of the request if this rule takes it.
    fn choice(&mut self, scene: &Scene<'_>, candidate: &Candidate<'_>) -> Choice {
        let rule = candidate.rule;
        let default = if scene.proxy.kind == ProxyKind::Gateway { "GW-7" } else { "ING-7" };
        let id = rule.map_or(default, |rule| rule.rule);
        let arrived = scene.arrivals.iter().flat_map(|arrival| &arrival.parts).any(Part::goes_on);
        let refused = rule.is_some_and(|rule| {
            let checked = scene.arrivals.iter().flat_map(|arrival| self.walk.checked(arrival.parts.clone(), rule));
            !checked.into_iter().any(|part| part.goes_on())
        });
        let (then, status, finding) = match rule.map(|rule| &rule.then) {
            Some(Action::Forward { backends, mirrors, rewrite })
                if backends.iter().any(|backend| backend.weight > 0) =>
            {
                let all = backends.iter().map(|backend| (backend, false));
                let all: Vec<_> = all.chain(mirrors.iter().map(|backend| (backend, true))).collect();
                let reached: Vec<Reached> =
                    all.into_iter().map(|to| self.backend(scene, candidate, to, rewrite)).collect();
                let counting = || reached.iter().filter(|to| !to.mirror && to.weight != Some(0));
                let finding = counting().map(|to| &to.finding).fold(None, better);
                let status = counting().map(|to| to.status).reduce(|one, other| one.and_then(|one| other.map(|_| one)));
                let finding = finding.unwrap_or_else(|| Finding::of(Verdict::NoListener, id));
                (Then::Forward(reached), status.flatten(), finding)
            }
            Some(Action::Forward { .. }) => {
                // GW-9: nothing has a share.
                let why = Name::from("no backend has a weight above 0");
                let answer = Action::Answer { status: 500, why: why.clone() };
                let rule = rule.map(|rule| RouteRule { then: answer, ..rule.clone() });
                let ways = self.serve(scene, candidate, rule.as_ref());
                let finding = finding_of(&ways).and(Finding::of(Verdict::NoListener, id));
                (Then::Ends { why, ways }, Some(500), finding)
            }
            Some(Action::Redirect(redirect)) => {
                let ways = self.serve(scene, candidate, None);
                self.redirected(scene, redirect, id, ways)
            }
            Some(Action::Undefined(why)) => {
                let finding = finding_of(&self.serve(scene, candidate, None));
                (Then::Undefined(why.clone()), None, finding)
            }
            Some(Action::Answer { status, why }) => {
                let ways = self.serve(scene, candidate, None);
                let finding = finding_of(&ways).and(Finding::of(Verdict::NoListener, id));
                (Then::Ends { why: why.clone(), ways }, Some(*status), finding)
            }
            None => {
                let ways = self.serve(scene, candidate, None);
                let finding = finding_of(&ways).and(Finding::of(Verdict::NoListener, id));
                let http = scene.listener.app == App::Http;
                let why = if http { "no rule takes it" } else { "no rule takes the connection" };
                (Then::Ends { why: Name::from(why), ways }, http.then_some(404), finding)
            }
        };
        let status = match (arrived, refused) {
            (false, _) => None,
            (true, true) => Some(403),
            (true, false) => status,
        };
        Choice { rule: rule.cloned(), doubt: candidate.doubt.clone(), then, status, finding }
    }

    /// The ways of those who have come to the proxy, through a rule or, in its place, through a rule like it.
    fn serve(&mut self, scene: &Scene<'_>, candidate: &Candidate<'_>, other: Option<&RouteRule>) -> Vec<Way> {
        let region = Region {
            rule: other.or(candidate.rule),
            except: Vec::new(),
            contested: candidate.contested.clone(),
            undecided: candidate.undecided.clone(),
            witness: Some(scene.question.request.clone()),
        };
        let Scene { proxy, listener, .. } = scene;
        self.walk.serve_region(scene.arrivals, proxy, listener, &region)
    }

    /// One backend of a rule, as if it were the only one.
    fn backend(
        &mut self,
        scene: &Scene<'_>,
        candidate: &Candidate<'_>,
        (backend, mirror): (&Backend, bool),
        rewrite: &Rewrite,
    ) -> Reached {
        let only = |backend: &Backend| {
            let (backends, mirrors) =
                if mirror { (Vec::new(), vec![backend.clone()]) } else { (vec![backend.clone()], Vec::new()) };
            Action::Forward { backends, mirrors, rewrite: rewrite.clone() }
        };
        let used = mirror || backend.weight > 0;
        let alone = candidate.rule.filter(|_| used).map(|rule| RouteRule { then: only(backend), ..rule.clone() });
        let ways = alone.map(|rule| self.serve(scene, candidate, Some(&rule))).unwrap_or_default();
        let finding = if used { finding_of(&ways) } else { Finding::of(Verdict::NoListener, "GW-9") };
        let services = &self.analysis.cluster.services;
        let empty = ways.iter().all(|way| way.pods.is_empty() && way.address.is_none());
        let (service, status, why) = match &backend.target {
            BackendTarget::Service { service, port, .. } => {
                let number = services.get(*service).and_then(|object| object.ports.get(*port as usize));
                let dead = used && empty;
                let why = dead.then(|| Name::from("the Service has no ready endpoint"));
                (number.map(|port| (*service, port.port)), dead.then_some(503), why)
            }
            BackendTarget::External { service, port } => (Some((*service, *port)), None, None),
            BackendTarget::Invalid { status, why, .. } => (None, used.then_some(*status), Some(why.clone())),
        };
        let why = if used { why } else { Some(Name::from("its weight is 0")) };
        let seen = backend.rewrite.apply(&rewrite.apply(&scene.question.request));
        let template = [&backend.rewrite.path, &rewrite.path].into_iter().flatten().find_map(|path| match path {
            PathRewrite::Template(template) => Some(template.clone()),
            _ => None,
        });
        Reached {
            service,
            weight: (!mirror).then_some(backend.weight),
            mirror,
            status,
            why,
            // Nobody says whether a copy is made before the request is changed or after that.
            request: (!mirror && seen != scene.question.request).then_some(seen),
            template: template.filter(|_| !mirror),
            ways,
            finding,
        }
    }

    /// Where a redirect sends the client, and what becomes of it there (ING-8, GW-10).
    fn redirected(
        &mut self,
        scene: &Scene<'_>,
        redirect: &Redirect,
        id: &'static str,
        ways: Vec<Way>,
    ) -> (Then, Option<u16>, Finding) {
        let Scene { question, port, .. } = scene;
        let location = redirect.location(&question.request, question.url.scheme(), port.port);
        // A path that is given as a whole has its own query.
        let whole = !matches!(redirect.path, Some(PathRewrite::Full(_)));
        let here = finding_of(&ways);
        let next = question.redirected(&location, whole).filter(|next| next != *question);
        let mut answers = Vec::new();
        if let Some(next) = next.filter(|_| here.is_open() && self.redirects < MOST_REDIRECTS) {
            self.redirects += 1;
            answers = self.ask(&next).unwrap_or_default();
            self.redirects -= 1;
        }
        let there = match best(&answers) {
            Some(answer) => answer.finding.clone(),
            None => Finding::of(Verdict::NoListener, id),
        };
        let followed =
            if there.is_open() { there.and(Finding::if_only(id, crate::model::Proviso::Redirect)) } else { there };
        let (_, query) = question.url.target.split_once('?').unwrap_or(("", ""));
        let query = Name::from(if whole { query } else { "" });
        (Then::Redirect { location, query, next: answers, ways }, Some(redirect.status), here.and(followed))
    }
}

/// Whether a proxy has a rule for a request of a host that it does not name.
fn takes_anyway(proxy: &Proxy, question: &Question) -> bool {
    let ports = proxy.ports.iter().filter(|port| (port.port, port.protocol) == (question.url.port, Protocol::Tcp));
    let listeners = ports.filter_map(|port| listener_for(port, question));
    let mut found = listeners.flat_map(|listener| candidates(listener, question));
    found.any(|candidate| candidate.rule.is_some_and(is_written))
}
