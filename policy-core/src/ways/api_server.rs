//! What somebody reaches by asking the API server: Services, pods and nodes behind its proxy, and ports that it forwards
//! (API-1 … API-8).
//!
//! Two questions in one: whether the user may ask, which RBAC says, and whether the connection that the API server then
//! opens gets through, which policies say. RBAC is looked up as it stands (`model::rbac`); it has no compiled form.

use std::net::IpAddr;

use crate::ids::{NodeId, PodId, ServiceId};
use crate::model::api_server::{
    ApiCondition, ApiLeg, ApiSource, ApiWay, Proxied, ProxyUrl, Transport, UrlError, is_proxyable,
};
use crate::model::premise::{self, is_host};
use crate::model::{
    Access, AccessRequest, Cluster, Direction, Family, Flag, Flow, Judge, Knob, KnobSet, Name, Party, Pod, PodState,
    Profile, Protocol, Rights, Service, ServiceKind, ServicePort, TargetPort, User, Verdict,
};
use crate::ways::Endpoints;
use crate::ways::ready::{Ready, find_service, ready_on};

/// Where a kubelet listens.
pub(super) const KUBELET: u16 = 10250;

/// The API server of a cluster.
#[derive(Clone, Copy)]
pub struct ApiServer<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) profile: &'a Profile,
    pub(super) endpoints: &'a Endpoints,
    pub(super) judge: &'a dyn Judge,
}

impl std::fmt::Debug for ApiServer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiServer")
    }
}

/// Nothing there, and why.
pub(super) struct Nothing {
    rule: &'static str,
    why: String,
}

pub(super) fn nothing<T>(rule: &'static str, why: impl Into<String>) -> Result<T, Nothing> {
    Err(Nothing { rule, why: why.into() })
}

/// A place that the API server opens a connection to.
pub(super) struct Target {
    pub(super) destination: Party,
    pub(super) family: Family,
    pub(super) port: u16,
}

/// The worst of what must hold together: nothing there or denied, else undefined, else conditional, else allowed.
pub(super) fn worse(one: Verdict, other: Verdict) -> Verdict {
    let rank = |verdict: Verdict| match verdict {
        Verdict::Allowed => 0,
        Verdict::Conditional => 1,
        Verdict::Undefined => 2,
        Verdict::Denied => 3,
        Verdict::NoListener => 4,
        Verdict::NoRoute => 5,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// The better of two ways (M-6).
pub(super) fn better(one: Verdict, other: Verdict) -> Verdict {
    if worse(one, other) == one { other } else { one }
}

/// The verdict of RBAC alone (API-2).
pub(super) fn verdict_of(access: &Access) -> Verdict {
    match access {
        Access::Granted(_) => Verdict::Allowed,
        Access::Denied => Verdict::Denied,
        Access::NotInInput(_) => Verdict::Conditional,
    }
}

fn granted(rights: &Rights<'_>, asked: Vec<AccessRequest>) -> Vec<(AccessRequest, Access)> {
    let granted = asked.into_iter().map(|asked| {
        let access = rights.access(&asked);
        (asked, access)
    });
    granted.collect()
}

/// What must be granted for a request (API-2). The old form is a verb of its own.
pub(super) fn asked_by(method: &str, url: &ProxyUrl) -> AccessRequest {
    let (verb, subresource) = if url.legacy { ("proxy", "") } else { (verb(method), "proxy") };
    AccessRequest {
        verb: Name::from(verb),
        resource: url.kind.resource(),
        subresource,
        namespace: url.namespace.clone(),
        name: url.segment.clone(),
    }
}

/// The verb of an HTTP method (API-2); other methods have none, which only `*` grants.
fn verb(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

impl ApiWay {
    /// The same way behind a connection to whoever makes the request: both must hold.
    pub(super) fn behind(
        mut self,
        verdict: Verdict,
        rule: &'static str,
        knobs: KnobSet,
        entry: Option<ApiLeg>,
    ) -> Self {
        if self.verdict == Verdict::Undefined && verdict == Verdict::Undefined {
            self.knobs = self.knobs.union(knobs);
        } else if worse(self.verdict, verdict) != self.verdict {
            (self.verdict, self.rule, self.knobs) = (verdict, rule, knobs);
        }
        if !matches!(self.verdict, Verdict::Conditional | Verdict::Undefined) {
            self.conditions.clear();
        }
        self.entry = entry;
        self
    }
}

impl<'a> ApiServer<'a> {
    /// The API server of a cluster; endpoints and judge are those of the same cluster under the same profile.
    #[must_use]
    pub fn new(cluster: &'a Cluster, profile: &'a Profile, endpoints: &'a Endpoints, judge: &'a dyn Judge) -> Self {
        Self { cluster, profile, endpoints, judge }
    }

    /// What comes of a request for a URL of API-1.
    ///
    /// # Errors
    /// [`UrlError`] when the URL leads nowhere in the cluster.
    pub fn request(&self, user: &User, method: &str, url: &str) -> Result<ApiWay, UrlError> {
        Ok(self.proxy(user, method, &ProxyUrl::parse(url)?))
    }

    /// What comes of a request that has been read (API-1, API-2).
    #[must_use]
    pub fn proxy(&self, user: &User, method: &str, url: &ProxyUrl) -> ApiWay {
        self.handed_on(&self.cluster.rbac.rights(user), method, url, |_| true)
    }

    /// The same with rights that have been looked up, as far as it leads to what `meant` takes.
    pub(super) fn handed_on(
        &self,
        rights: &Rights<'_>,
        method: &str,
        url: &ProxyUrl,
        meant: impl Fn(&Target) -> bool,
    ) -> ApiWay {
        if url.legacy && self.profile.ways.kubernetes_minor >= 10 {
            let nothing = Nothing { rule: "API-1", why: "1.10 took URLs of this form away".to_owned() };
            return self.way(rights, Vec::new(), Err(nothing), Vec::new());
        }
        let asked = asked_by(method, url);
        let (targets, also) = match url.kind {
            Proxied::Service => (self.behind_service(url), Vec::new()),
            Proxied::Pod => (self.behind_pod(url), Vec::new()),
            Proxied::Node => self.behind_node(url),
        };
        let legs = |targets: Vec<Target>| {
            targets.iter().filter(|target| meant(target)).flat_map(|target| self.legs(target)).collect()
        };
        self.way(rights, vec![asked], targets.map(legs), also)
    }

    /// A port of a pod, forwarded (API-6, API-7).
    #[must_use]
    pub fn port_forward(&self, user: &User, pod: PodId, port: u16, transport: Transport) -> ApiWay {
        let rights = self.cluster.rbac.rights(user);
        self.way(&rights, self.asked_of_pod(pod, "portforward", transport), self.inside(pod, Some(port)), Vec::new())
    }

    /// `kubectl port-forward service/…`: the client looks the Service and its pods up, takes any one of them, and
    /// forwards what the Service's port means there (API-6). The best of them counts.
    #[must_use]
    pub fn port_forward_service(&self, user: &User, service: ServiceId, port: u16, transport: Transport) -> ApiWay {
        self.forward_service(&self.cluster.rbac.rights(user), service, port, transport)
    }

    /// The same with rights that have been looked up.
    pub(super) fn forward_service(
        &self,
        rights: &Rights<'_>,
        service: ServiceId,
        port: u16,
        transport: Transport,
    ) -> ApiWay {
        let found = self.cluster.services.at(service);
        let namespace = &self.cluster.namespaces.at(found.namespace).name;
        let look_up = |verb: &str, resource, name: &Name| AccessRequest {
            verb: Name::from(verb),
            resource,
            subresource: "",
            namespace: Some(namespace.clone()),
            name: name.clone(),
        };
        let looked_up = [look_up("get", "services", &found.name), look_up("list", "pods", &Name::from(""))];
        let forwarded = |pod: PodId, port: u16| {
            let asked = looked_up.iter().cloned().chain(self.asked_of_pod(pod, "portforward", transport));
            self.way(rights, asked.collect(), self.inside(pod, Some(port)), Vec::new())
        };
        let named = found.ports.iter().find(|known| known.port == port && known.protocol == Protocol::Tcp);
        let ways = named.into_iter().flat_map(|known| self.forwardable(found, known));
        let ways = ways.map(|(pod, port)| forwarded(pod, port));
        ways.reduce(|one, other| if better(one.verdict, other.verdict) == one.verdict { one } else { other })
            .unwrap_or_else(|| {
                let why = format!("`{}` has no pod to choose for port {port}", found.name);
                self.way(rights, looked_up.to_vec(), nothing("API-6", why), Vec::new())
            })
    }

    /// The pods that a Service selects, ready or not, with the number that one of its ports has there.
    fn forwardable(&self, service: &Service, port: &ServicePort) -> Vec<(PodId, u16)> {
        let Some(selector) = &service.selector else { return Vec::new() };
        let pods = self.cluster.pods.iter().filter(|(_, pod)| {
            pod.namespace == service.namespace && pod.state != PodState::Finished && selector.matches(&pod.labels)
        });
        let number = |pod: &Pod| match &port.target {
            _ if service.kind == ServiceKind::Headless => Some(port.port),
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => {
                pod.ports.iter().find(|known| known.name.as_ref() == Some(name)).map(|known| known.port)
            }
        };
        pods.filter_map(|(id, pod)| Some((id, number(pod)?))).collect()
    }

    /// Other rights that give the same power over a pod as port-forwarding does, with what grants them; those that are
    /// certainly denied are left out (API-7, API-8).
    #[must_use]
    pub fn equivalents(&self, user: &User, pod: PodId) -> Vec<Vec<(AccessRequest, Access)>> {
        let rights = self.cluster.rbac.rights(user);
        let asked = self.asked_instead(pod).into_iter().map(|asked| granted(&rights, asked));
        asked.filter(|granted| granted.iter().all(|(_, access)| *access != Access::Denied)).collect()
    }

    /// What gives the same power over a pod as port-forwarding does: each is enough, if all of it is granted.
    pub(super) fn asked_instead(&self, pod: PodId) -> Vec<Vec<AccessRequest>> {
        let asked = |subresource| {
            [Transport::Spdy, Transport::WebSocket].map(|transport| self.asked_of_pod(pod, subresource, transport))
        };
        let containers = ["patch", "update"].map(|verb| vec![self.of_pod(pod, "ephemeralcontainers", verb)]);
        let node = self.cluster.pods.at(pod).node.map(|node| {
            vec![AccessRequest {
                verb: Name::from("get"),
                resource: "nodes",
                subresource: "proxy",
                namespace: None,
                name: self.cluster.nodes.at(node).name.clone(),
            }]
        });
        let all = asked("exec").into_iter().chain(asked("attach")).chain(containers).chain(node);
        let mut found: Vec<Vec<AccessRequest>> = Vec::new();
        for asked in all {
            if !found.contains(&asked) {
                found.push(asked);
            }
        }
        found
    }

    fn of_pod(&self, pod: PodId, subresource: &'static str, verb: &str) -> AccessRequest {
        let pod = self.cluster.pods.at(pod);
        AccessRequest {
            verb: Name::from(verb),
            resource: "pods",
            subresource,
            namespace: Some(self.cluster.namespaces.at(pod.namespace).name.clone()),
            name: pod.name.clone(),
        }
    }

    /// API-7: a POST creates; a WebSocket begins with a GET, and from 1.35 on it must be allowed to create as well.
    pub(super) fn asked_of_pod(
        &self,
        pod: PodId,
        subresource: &'static str,
        transport: Transport,
    ) -> Vec<AccessRequest> {
        let verbs: &[&str] = match transport {
            Transport::Spdy => &["create"],
            Transport::WebSocket if self.profile.ways.kubernetes_minor >= 35 => &["get", "create"],
            Transport::WebSocket => &["get"],
        };
        verbs.iter().map(|verb| self.of_pod(pod, subresource, verb)).collect()
    }

    /// Rights and connections together: all rights, and the best connection (M-6).
    pub(super) fn way(
        &self,
        rights: &Rights<'_>,
        asked: Vec<AccessRequest>,
        legs: Result<Vec<ApiLeg>, Nothing>,
        also: Vec<PodId>,
    ) -> ApiWay {
        let access = granted(rights, asked);
        let may = access.iter().map(|(_, access)| verdict_of(access)).fold(Verdict::Allowed, worse);
        let open = access.iter().filter(|(_, access)| verdict_of(access) == Verdict::Conditional);
        let conditions = open.map(|(asked, _)| ApiCondition::Access(asked.clone())).collect();
        let mut way = ApiWay {
            verdict: may,
            rule: "API-2",
            user: rights.user().clone(),
            access,
            entry: None,
            legs: Vec::new(),
            also,
            conditions,
            knobs: KnobSet::EMPTY,
            why: None,
        };
        let (reached, rule) = match legs {
            Ok(legs) => {
                let best = legs.iter().map(|leg| leg.verdict).reduce(better).unwrap_or(Verdict::NoListener);
                let deciding = legs.iter().find(|leg| leg.verdict == best);
                let rule = deciding.map_or("API-3", |leg| leg.rule);
                way.knobs = deciding.map_or(KnobSet::EMPTY, |leg| leg.knobs);
                way.legs = legs;
                (best, rule)
            }
            Err(Nothing { rule, why }) => {
                way.why = Some(why);
                (Verdict::NoListener, rule)
            }
        };
        // Who may not ask learns nothing of what is there.
        if may != Verdict::Denied && worse(may, reached) == reached && (reached != may || may == Verdict::Allowed) {
            (way.verdict, way.rule) = (reached, rule);
        }
        if way.verdict != Verdict::Undefined {
            way.knobs = KnobSet::EMPTY;
        }
        if !matches!(way.verdict, Verdict::Conditional | Verdict::Undefined) {
            way.conditions.clear();
        }
        way
    }

    /// API-3: the ready addresses of the Service's port that are pods of its namespace. kube-proxy plays no part.
    pub(super) fn behind_service(&self, url: &ProxyUrl) -> Result<Vec<Target>, Nothing> {
        let found = find_service(self.cluster, url.namespace.as_deref().unwrap_or_default(), &url.name);
        let Some(id) = found else { return nothing("API-3", format!("there is no Service `{}`", url.name)) };
        let service = self.cluster.services.at(id);
        if let ServiceKind::ExternalName(_) = service.kind {
            return nothing("API-3", "an ExternalName has no endpoints that the API server could dial");
        }
        // A number is that of the Service's port; whatever else is written is a name, and nothing the name "".
        let port = match url.port.parse::<u64>() {
            Err(_) => url.port.clone(),
            Ok(number) => match service.ports.iter().find(|port| u64::from(port.port) == number) {
                Some(port) => port.name.clone(),
                None => return nothing("API-3", format!("`{}` has no port {number}", url.name)),
            },
        };
        let has = |ready: &Ready| {
            let pod = self.cluster.pods.at(ready.target?);
            let own = ready.address.is_none() || ready.address == pod.address(ready.family);
            (pod.namespace == service.namespace && own).then_some(ready.target?)
        };
        let ready = ready_on(self.cluster, self.endpoints, id, &port);
        let targets: Vec<Target> = ready
            .iter()
            .filter_map(|(ready, port)| {
                Some(Target { destination: Party::Pod(has(ready)?), family: ready.family, port: *port })
            })
            .collect();
        match (targets.is_empty(), ready.is_empty(), port.is_empty()) {
            (false, ..) => Ok(targets),
            (_, true, true) if !service.ports.is_empty() && service.ports.iter().all(|port| !port.name.is_empty()) => {
                nothing("API-3", format!("every port of `{}` has a name, and the URL says none", url.name))
            }
            (_, true, _) => nothing("API-3", format!("`{}` has no ready endpoint on this port", url.name)),
            (_, false, _) => nothing("API-3", format!("no endpoint of `{}` is a pod of its namespace", url.name)),
        }
    }

    /// API-5: the pod's own address; without a port, the first that it declares, or that of the scheme.
    fn behind_pod(&self, url: &ProxyUrl) -> Result<Vec<Target>, Nothing> {
        let named = |pod: &Pod| {
            let space = &self.cluster.namespaces.at(pod.namespace).name;
            *pod.name == *url.name && Some(&**space) == url.namespace.as_deref()
        };
        let Some((id, pod)) = self.cluster.pods.iter().find(|(_, pod)| named(pod)) else {
            return nothing("API-5", format!("there is no pod `{}`", url.name));
        };
        if pod.state == PodState::Finished {
            return nothing("NP-27", "the pod has finished");
        }
        let port = match (url.port.is_empty(), pod.ports.first()) {
            (true, Some(declared)) => declared.port,
            (true, None) if url.tls => 443,
            (true, None) => 80,
            (false, _) => match url.port.parse::<u16>() {
                Ok(number) if number > 0 => number,
                _ => return nothing("API-5", format!("`{}` is not the number of a port", url.port)),
            },
        };
        let families = premise::families(self.cluster, self.profile, Party::Pod(id));
        let Some(family) = families.first().copied() else { return nothing("API-5", "the pod has no address") };
        match pod.address(family) {
            Some(address) if !is_proxyable(address) => {
                nothing("API-5", format!("the API server opens no connections to {address}"))
            }
            _ => Ok(vec![Target { destination: Party::Pod(id), family, port }]),
        }
    }

    /// API-8: the kubelet, and through it every pod of the node; or another port of the node.
    fn behind_node(&self, url: &ProxyUrl) -> (Result<Vec<Target>, Nothing>, Vec<PodId>) {
        let Some((id, _)) = self.cluster.nodes.iter().find(|(_, node)| node.name == url.name) else {
            return (nothing("API-8", format!("there is no node `{}`", url.name)), Vec::new());
        };
        let port = match url.port.parse::<u16>() {
            _ if url.port.is_empty() => KUBELET,
            Ok(number) if number > 0 => number,
            _ => return (nothing("API-8", format!("`{}` is not the number of a port", url.port)), Vec::new()),
        };
        let families = premise::families(self.cluster, self.profile, Party::Node(id));
        let family = families.first().copied().unwrap_or(Family::V4);
        let also = if port == KUBELET { self.pods_of(id) } else { Vec::new() };
        (Ok(vec![Target { destination: Party::Node(id), family, port }]), also)
    }

    fn pods_of(&self, node: NodeId) -> Vec<PodId> {
        let on = self.cluster.pods.iter().filter(|(_, pod)| pod.node == Some(node) && pod.state != PodState::Finished);
        on.map(|(id, _)| id).collect()
    }

    /// API-6: from inside the pod's network namespace, to one port or to any; no policy sees it.
    pub(super) fn inside(&self, id: PodId, port: Option<u16>) -> Result<Vec<ApiLeg>, Nothing> {
        let pod = self.cluster.pods.at(id);
        if pod.state == PodState::Finished {
            return nothing("NP-27", "the pod has finished");
        }
        let mut flags = Vec::new();
        if port.is_some_and(|port| !pod.declares(Protocol::Tcp, port)) {
            flags.push(Flag::UndeclaredPort);
        }
        if pod.state != PodState::Live {
            flags.push(Flag::Hypothetical);
        }
        // What answers there is the node's own loopback.
        if pod.host_network {
            flags.push(Flag::HostNetwork);
        }
        flags.sort_unstable();
        Ok(vec![ApiLeg {
            source: ApiSource::Inside,
            destination: Party::Pod(id),
            family: Family::V4,
            port: port.unwrap_or(0),
            verdict: Verdict::Allowed,
            rule: "API-6",
            knobs: KnobSet::EMPTY,
            flags,
            judgement: None,
        }])
    }

    /// One leg for each address that the API server may come from (API-4).
    fn legs(&self, target: &Target) -> Vec<ApiLeg> {
        let sources = self.sources(target.family);
        if sources.is_empty() { vec![self.unknown_source(target)] } else { self.judged(&sources, target) }
    }

    fn judged(&self, sources: &[Party], target: &Target) -> Vec<ApiLeg> {
        let leg = |source: &Party| {
            let flow = Flow::direct(*source, target.destination, target.family, Protocol::Tcp, target.port);
            let judgement = self.judge.judge(&flow);
            ApiLeg {
                source: ApiSource::Party(*source),
                destination: target.destination,
                family: target.family,
                port: target.port,
                verdict: judgement.verdict,
                rule: judgement.rule,
                knobs: judgement.knobs(),
                flags: judgement.flags.clone(),
                judgement: Some(judgement),
            }
        };
        sources.iter().map(leg).collect()
    }

    /// API-4: the agents' pods, else the API server's own addresses; empty when nobody says.
    fn sources(&self, family: Family) -> Vec<Party> {
        let ways = &self.profile.ways;
        if let Some(agents) = &ways.konnectivity {
            let Some((namespace, name)) = agents.split_once('/') else { return Vec::new() };
            let named = self.cluster.workloads.values().filter(|workload| {
                *workload.name == *name && *self.cluster.namespaces.at(workload.namespace).name == *namespace
            });
            return named.flat_map(|workload| workload.pods.iter().map(|pod| Party::Pod(*pod))).collect();
        }
        let mut parties: Vec<Party> = ways
            .apiserver_addresses
            .iter()
            .filter(|address| Family::of(**address) == family)
            .map(|address| party_at(self.cluster, *address))
            .collect();
        parties.sort_unstable();
        parties.dedup();
        parties
    }

    /// API-4: somebody of whom nothing is known. What NetworkPolicies deny to everybody they do not deny to the pod's
    /// own node, and that may be where the API server is (NP-19).
    fn unknown_source(&self, target: &Target) -> ApiLeg {
        let agents = self.profile.ways.konnectivity.is_some();
        let knob = if agents { Knob::Konnectivity } else { Knob::ApiServerAddresses };
        let somebody = Party::Somebody(knob);
        let flow = Flow::direct(somebody, target.destination, target.family, Protocol::Tcp, target.port);
        let judgement = self.judge.judge(&flow);
        let by_tier = judgement.ingress.tier.is_some();
        let (verdict, rule) = match judgement.verdict {
            Verdict::Denied if !by_tier => (Verdict::Undefined, "API-4"),
            Verdict::Undefined => (Verdict::Undefined, "API-4"),
            verdict => (verdict, judgement.rule),
        };
        let knobs =
            if verdict == Verdict::Undefined { judgement.knobs().union(KnobSet::one(knob)) } else { KnobSet::EMPTY };
        ApiLeg {
            source: ApiSource::Party(somebody),
            destination: target.destination,
            family: target.family,
            port: target.port,
            verdict,
            rule,
            knobs,
            flags: judgement.flags.clone(),
            judgement: Some(judgement),
        }
    }
}

/// Who has an address: a node, a pod with a network of its own, or somebody outside.
pub(super) fn party_at(cluster: &Cluster, address: IpAddr) -> Party {
    let node = cluster.nodes.iter().find(|(_, node)| node.addresses.iter().any(|known| known.ip == address));
    let family = Family::of(address);
    let pod = || cluster.pods.iter().find(|(_, pod)| !pod.host_network && pod.address(family) == Some(address));
    match node {
        Some((id, _)) => Party::Node(id),
        None => pod().map_or(Party::Address(address), |(id, _)| Party::Pod(id)),
    }
}

/// Whether any policy has a say about a pod in one direction (NP-4, CNP-1), so that it matters who the other end is.
pub(super) fn isolated(cluster: &Cluster, profile: &Profile, id: PodId, direction: Direction) -> bool {
    let pod = cluster.pods.at(id);
    if !profile.enforcement || is_host(pod, profile) {
        return false;
    }
    let by_policy = cluster.policies.values().any(|policy| {
        let rules = match direction {
            Direction::Ingress => &policy.ingress,
            Direction::Egress => &policy.egress,
        };
        rules.is_some() && policy.namespace == pod.namespace && policy.selector.matches(&pod.labels)
    });
    let space = &cluster.namespaces.at(pod.namespace).labels;
    by_policy
        || cluster.cluster_policies.values().any(|policy| {
            let selected = policy.subject.namespaces.matches(space) && policy.subject.pods.matches(&pod.labels);
            selected && !policy.rules(direction).is_empty()
        })
}
