//! What a user of the API server gets at: pods, Services and nodes by its proxies, ports that it forwards, and whatever
//! is as good as that (API-1 … API-8).
//!
//! Most requests can be spelled and sent in several ways, which RBAC tells apart. Of those the first that is granted
//! stands for all, else the first of which the input does not tell.

use crate::ids::{NodeId, PodId, ServiceId};
use crate::model::api_server::{ApiWay, Proxied, ProxyUrl, Transport};
use crate::model::{AccessRequest, Name, Party, Pod, Protocol, Rights, Service, ServicePort, User, Verdict, WayKind};
use crate::query::PortAsk;
use crate::ways::api_server::{ApiServer, KUBELET, Target, asked_by, better, verdict_of, worse};

/// The methods that have a verb of their own, the most harmless first (API-2).
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// By what a user gets at something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Means {
    /// The proxy to a Service, at one of its ports (API-3).
    ServiceProxy(ServiceId, u16),
    /// The proxy to a pod (API-5).
    PodProxy,
    /// The proxy to a node (API-8).
    NodeProxy,
    /// A forwarded port of a pod (API-6).
    PortForward,
    /// A forwarded port of a Service, which is one of a pod that the client chooses (API-6).
    ServiceForward(ServiceId, u16),
    /// A command in a container (API-7).
    Exec,
    /// The streams of a container (API-7).
    Attach,
    /// A container beside the others (API-7).
    Debug,
    /// The kubelet of the pod's node (API-8).
    Kubelet,
}

impl Means {
    /// The resource that must be granted: `pods/exec`.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::ServiceProxy(..) => "services/proxy",
            Self::PodProxy => "pods/proxy",
            Self::NodeProxy | Self::Kubelet => "nodes/proxy",
            Self::PortForward | Self::ServiceForward(..) => "pods/portforward",
            Self::Exec => "pods/exec",
            Self::Attach => "pods/attach",
            Self::Debug => "pods/ephemeralcontainers",
        }
    }

    /// The kind of way: policies judge what a proxy opens, and are not asked about anything inside a pod (M-8).
    #[must_use]
    pub fn kind(self) -> WayKind {
        match self {
            Self::ServiceProxy(..) | Self::PodProxy | Self::NodeProxy => WayKind::ApiProxy,
            _ => WayKind::PortForward,
        }
    }

    /// Those that give as much as a forwarded port does, by subresource.
    fn instead(asked: &AccessRequest) -> Self {
        match asked.subresource {
            "exec" => Self::Exec,
            "attach" => Self::Attach,
            "ephemeralcontainers" => Self::Debug,
            _ => Self::Kubelet,
        }
    }
}

/// A way of a user, and what comes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserWay {
    /// By what.
    pub means: Means,
    /// The request: method and URL.
    pub request: String,
    /// The pods at its end.
    pub pods: Vec<PodId>,
    /// The node at its end, behind [`Means::NodeProxy`].
    pub node: Option<NodeId>,
    /// The port there; `None` = any.
    pub port: Option<u16>,
    /// Rights, connections and verdict.
    pub way: ApiWay,
}

/// The best of some ways: its verdict and rule; `None` when there is no way (M-6).
#[must_use]
pub fn outcome(ways: &[UserWay]) -> Option<(Verdict, &'static str)> {
    let found = ways.iter().map(|found| (found.way.verdict, found.way.rule));
    found.reduce(|one, other| if better(one.0, other.0) == one.0 { one } else { other })
}

/// A user who asks the API server.
#[derive(Debug)]
pub struct ApiClient<'a> {
    server: ApiServer<'a>,
    rights: Rights<'a>,
    only_open: bool,
}

impl<'a> ApiClient<'a> {
    /// A user of an API server.
    #[must_use]
    pub fn new(server: ApiServer<'a>, user: &'a User) -> Self {
        Self { server, rights: server.cluster.rbac.rights(user), only_open: false }
    }

    /// The same, but nothing is said of what the user certainly does not get at.
    #[must_use]
    pub fn only_open(self) -> Self {
        Self { only_open: true, ..self }
    }

    /// The bindings that name the user.
    #[must_use]
    pub fn rights(&self) -> &Rights<'a> {
        &self.rights
    }

    /// The ways to a pod, at the port that is asked for. Without one, proxies are asked for every TCP port that the pod
    /// declares, or the one that they take when it declares none, and a port that is forwarded may be any.
    ///
    /// Proxies and forwarding know TCP alone; to other ports lead only those ways that end in the pod itself.
    #[must_use]
    pub fn to_pod(&self, id: PodId, port: &PortAsk) -> Vec<UserWay> {
        let pod = self.server.cluster.pods.at(id);
        let (numbers, forwarded) = asked(pod, port);
        let mut ways = Vec::new();
        for number in numbers {
            ways.extend(self.pod_proxy(id, pod, number));
            ways.extend(self.service_proxies_to(id, pod, number));
        }
        let is_named = matches!(port, PortAsk::Name(..));
        let inside = forwarded.first().copied().flatten();
        let nothing_named = is_named && forwarded.is_empty();
        for number in forwarded {
            let transports = [Transport::Spdy, Transport::WebSocket];
            let asked = transports.map(|transport| self.server.asked_of_pod(id, "portforward", transport)).to_vec();
            ways.extend(self.within(id, Means::PortForward, asked, number));
        }
        if !nothing_named {
            ways.extend(self.instead(id, inside));
        }
        ways
    }

    /// The ways to a Service: the proxy to each of its TCP ports, or to the one that is asked for, and the forwarding of
    /// that to one of its pods.
    #[must_use]
    pub fn to_service(&self, id: ServiceId, port: Option<u16>) -> Vec<UserWay> {
        let service = self.server.cluster.services.at(id);
        let tcp = service.ports.iter().filter(|known| known.protocol == Protocol::Tcp);
        let numbers: Vec<u16> = match port {
            Some(port) => vec![port],
            None => tcp.map(|known| known.port).collect(),
        };
        let mut ways = Vec::new();
        for number in numbers {
            let means = Means::ServiceProxy(id, number);
            ways.extend(self.proxied(means, &self.service_urls(service, number), |_| true));
            let transports = [Transport::Spdy, Transport::WebSocket];
            let forwarded = transports.map(|with| self.server.forward_service(&self.rights, id, number, with));
            let best = |one: ApiWay, other: ApiWay| {
                if better(one.verdict, other.verdict) == one.verdict { one } else { other }
            };
            let Some(way) = forwarded.into_iter().reduce(best) else { continue };
            let namespace = &self.server.cluster.namespaces.at(service.namespace).name;
            let request = format!("kubectl port-forward -n {namespace} service/{} {number}", service.name);
            ways.push(UserWay { request, ..found(Means::ServiceForward(id, number), way) });
        }
        ways.retain(|found| self.kept(&found.way));
        ways
    }

    /// The way to a node: its kubelet unless another port is asked for.
    #[must_use]
    pub fn to_node(&self, id: NodeId, port: Option<u16>) -> Vec<UserWay> {
        let name = &self.server.cluster.nodes.at(id).name;
        let mut segments = port.map(|port| spellings(name, &port.to_string())).unwrap_or_default();
        if port.is_none_or(|port| port == KUBELET) {
            segments.extend([name.to_string(), format!("https:{name}:"), format!("http:{name}:")]);
        }
        let urls: Vec<ProxyUrl> = segments.iter().map(|segment| url(Proxied::Node, None, name, segment)).collect();
        let way = self.proxied(Means::NodeProxy, &urls, |_| true);
        way.into_iter().map(|way| UserWay { node: Some(id), ..way }).collect()
    }

    fn pod_proxy(&self, id: PodId, pod: &Pod, number: u16) -> Option<UserWay> {
        let namespace = &self.server.cluster.namespaces.at(pod.namespace).name;
        let mut segments = spellings(&pod.name, &number.to_string());
        // API-5: what is meant without a port.
        let declared = pod.ports.first().map(|port| port.port);
        let plain = [pod.name.to_string(), format!("http:{}:", pod.name)];
        segments.extend(plain.into_iter().filter(|_| declared.unwrap_or(80) == number));
        segments.extend((declared.unwrap_or(443) == number).then(|| format!("https:{}:", pod.name)));
        let of = |segment: &String| url(Proxied::Pod, Some(namespace), &pod.name, segment);
        let urls: Vec<ProxyUrl> = segments.iter().map(of).collect();
        let way = self.proxied(Means::PodProxy, &urls, |_| true)?;
        Some(UserWay { pods: vec![id], port: Some(number), ..way })
    }

    /// The proxies to Services of the pod's namespace that may choose this pod at this port.
    fn service_proxies_to(&self, id: PodId, pod: &Pod, number: u16) -> Vec<UserWay> {
        let is_it = |target: &Target| target.destination == Party::Pod(id) && target.port == number;
        let mut ways = Vec::new();
        for service_id in self.server.endpoints.services_of(id) {
            let service = self.server.cluster.services.at(*service_id);
            if service.namespace != pod.namespace {
                continue;
            }
            for port in service.ports.iter().filter(|port| port.protocol == Protocol::Tcp) {
                let urls = self.service_urls(service, port.port);
                let may = urls.first().is_some_and(|url| self.rights.may(&asked_by("GET", url)));
                if self.only_open && !may {
                    continue;
                }
                let targets = urls.first().and_then(|url| self.server.behind_service(url).ok());
                if targets.is_some_and(|targets| targets.iter().any(is_it)) {
                    let way = self.proxied(Means::ServiceProxy(*service_id, port.port), &urls, is_it);
                    ways.extend(way.map(|way| UserWay { pods: vec![id], port: Some(number), ..way }));
                }
            }
        }
        ways
    }

    /// The spellings of a Service's port, by number and by name, and by nothing where it has no name (API-3).
    fn service_urls(&self, service: &Service, number: u16) -> Vec<ProxyUrl> {
        let mut segments = spellings(&service.name, &number.to_string());
        let is_it = |port: &&ServicePort| port.port == number;
        if let Some(port) = service.ports.iter().find(is_it) {
            match port.name.is_empty() {
                false => segments.extend(spellings(&service.name, &port.name)),
                true => {
                    let name = &service.name;
                    segments.extend([name.to_string(), format!("http:{name}:"), format!("https:{name}:")]);
                }
            }
        }
        let namespace = &self.server.cluster.namespaces.at(service.namespace).name;
        segments.iter().map(|segment| url(Proxied::Service, Some(namespace), &service.name, segment)).collect()
    }

    fn kept(&self, way: &ApiWay) -> bool {
        !self.only_open || matches!(way.verdict, Verdict::Allowed | Verdict::Conditional | Verdict::Undefined)
    }

    /// The best of some URLs that mean the same, asked for with any method.
    fn proxied(&self, means: Means, urls: &[ProxyUrl], meant: impl Fn(&Target) -> bool) -> Option<UserWay> {
        let first = (METHODS.first()?, urls.first()?);
        let may = self.rights.may(&asked_by(first.0, first.1));
        if !may && self.only_open {
            return None;
        }
        let all = METHODS.iter().flat_map(|method| urls.iter().map(move |url| (method, url)));
        let candidates: Vec<_> = all.take(if may { usize::MAX } else { 1 }).collect();
        let (method, url) = *self.best(&candidates, |(method, url)| vec![asked_by(method, url)])?;
        let way = self.server.handed_on(&self.rights, method, url, meant);
        self.kept(&way).then(|| UserWay { request: format!("{method} {}", written(url)), ..found(means, way) })
    }

    /// A way that ends inside a pod, of several requests of which one is enough.
    fn within(&self, id: PodId, means: Means, asked: Vec<Vec<AccessRequest>>, port: Option<u16>) -> Option<UserWay> {
        let asked = self.best(&asked, Clone::clone)?.clone();
        let first = asked.first()?;
        let method = match (&*first.verb, first.subresource) {
            ("get", _) => "GET",
            ("patch", _) => "PATCH",
            ("update", _) => "PUT",
            _ => "POST",
        };
        let space = first.namespace.as_ref().map(|space| format!("namespaces/{space}/")).unwrap_or_default();
        let request = format!("{method} /api/v1/{space}{}/{}/{}", first.resource, first.name, first.subresource);
        if self.only_open && !self.rights.may(first) {
            return None;
        }
        let mut way = self.server.way(&self.rights, asked, self.server.inside(id, port), Vec::new());
        if way.verdict == Verdict::Allowed && means != Means::PortForward {
            way.rule = if means == Means::Kubelet { "API-8" } else { "API-7" };
        }
        self.kept(&way).then(|| UserWay { request, pods: vec![id], port, ..found(means, way) })
    }

    /// What gives the same power as a forwarded port, as far as it is not denied (API-7, API-8).
    fn instead(&self, id: PodId, port: Option<u16>) -> Vec<UserWay> {
        let all = self.server.asked_instead(id);
        let means = |asked: &[AccessRequest]| asked.first().map_or(Means::Kubelet, Means::instead);
        let mut ways = Vec::new();
        for alike in all.chunk_by(|one, other| means(one) == means(other)) {
            let Some(first) = alike.first() else { continue };
            let way = self.within(id, means(first), alike.to_vec(), port);
            ways.extend(way.filter(|found| found.way.verdict != Verdict::Denied));
        }
        ways
    }

    /// The first candidate whose rights are granted, else the first of which the input does not tell, else the first.
    fn best<'c, T>(&self, candidates: &'c [T], asked: impl Fn(&T) -> Vec<AccessRequest>) -> Option<&'c T> {
        let access = |candidate: &T| {
            let asked = asked(candidate);
            let each = asked.iter().map(|asked| verdict_of(&self.rights.access(asked)));
            each.fold(Verdict::Allowed, worse)
        };
        let mut best: Option<(Verdict, &T)> = None;
        for candidate in candidates {
            let verdict = access(candidate);
            if verdict == Verdict::Allowed {
                return Some(candidate);
            }
            if best.is_none_or(|(known, _)| better(known, verdict) != known) {
                best = Some((verdict, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }
}

/// The TCP ports at which proxies are asked for, and those that are forwarded, `None` for any.
fn asked(pod: &Pod, port: &PortAsk) -> (Vec<u16>, Vec<Option<u16>>) {
    let declared = || pod.ports.iter().filter(|known| known.protocol == Protocol::Tcp);
    match port {
        PortAsk::Number(Protocol::Tcp, number) => (vec![*number], vec![Some(*number)]),
        PortAsk::Name(Protocol::Tcp, name) => {
            let named = declared().filter(|known| known.name.as_ref() == Some(name));
            let numbers: Vec<u16> = named.map(|known| known.port).collect();
            (numbers.clone(), numbers.into_iter().map(Some).collect())
        }
        PortAsk::Any => {
            let mut numbers: Vec<u16> = declared().map(|known| known.port).collect();
            numbers.sort_unstable();
            numbers.dedup();
            (if numbers.is_empty() { vec![80] } else { numbers }, vec![None])
        }
        PortAsk::Number(..) | PortAsk::Name(..) => (Vec::new(), Vec::new()),
    }
}

/// `web:80`, `http:web:80`, `https:web:80`: RBAC takes each for another name (API-2).
fn spellings(name: &str, port: &str) -> Vec<String> {
    vec![format!("{name}:{port}"), format!("http:{name}:{port}"), format!("https:{name}:{port}")]
}

/// A URL of today's form with this segment, which begins with a scheme only where it has two colons (API-1).
fn url(kind: Proxied, namespace: Option<&Name>, name: &Name, segment: &str) -> ProxyUrl {
    let port = match segment.matches(':').count() {
        0 => "",
        _ => segment.rsplit_once(':').map_or("", |(_, port)| port),
    };
    let tls = segment.matches(':').count() == 2 && segment.starts_with("https:");
    let (namespace, segment) = (namespace.cloned(), Name::from(segment));
    let (name, port, path) = (name.clone(), Name::from(port), Name::from("/"));
    ProxyUrl { kind, namespace, segment, tls, name, port, path, legacy: false }
}

fn written(url: &ProxyUrl) -> String {
    let space = url.namespace.as_ref().map(|space| format!("namespaces/{space}/")).unwrap_or_default();
    format!("/api/v1/{space}{}/{}/proxy/", url.kind.resource(), url.segment)
}

/// A way to the pods that its connections lead to.
fn found(means: Means, way: ApiWay) -> UserWay {
    let mut pods: Vec<PodId> = way
        .legs
        .iter()
        .filter_map(|leg| match leg.destination {
            Party::Pod(pod) => Some(pod),
            _ => None,
        })
        .collect();
    pods.sort_unstable();
    pods.dedup();
    let mut ports: Vec<u16> = way.legs.iter().map(|leg| leg.port).collect();
    ports.dedup();
    let port = if let [port] = *ports { Some(port) } else { None };
    UserWay { means, request: String::new(), pods, node: None, port, way }
}
