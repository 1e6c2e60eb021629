//! Names that the cluster's DNS answers: what they stand for, and whether a client gets to ask (DNS-1 … DNS-7).
//!
//! A name gives no access (DNS-6): what it stands for is then reached as its address would be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ids::{PodId, ServiceId};
use crate::model::way_profile::DnsPodNames;
use crate::model::{
    Cluster, Condition, Direction, Family, Flow, Judge, Judgement, Name, Party, PodState, Profile, Protocol, Service,
    ServiceKind, Verdict,
};
use crate::ways::Endpoints;
use crate::ways::api_server::isolated;
use crate::ways::ready::{Ready, find_service, ready, ready_on};

/// Names with fewer dots than this are tried below the search path before they are tried as they are (DNS-1).
const DOTS: usize = 5;

/// What a name stands for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Resolution {
    /// The address of a Service (DNS-1).
    ClusterIp(ServiceId),
    /// The address of the API server's own Service, which the input lacks (API-10).
    ApiServer,
    /// These addresses themselves (DNS-2, DNS-5), sorted; never empty.
    Addresses(Vec<Named>),
    /// Whatever DNS outside gives for this name (CNP-10).
    External(Name),
    /// Nothing.
    NxDomain {
        /// The rule by which it does not resolve.
        rule: &'static str,
        /// Why, in words.
        why: String,
    },
}

/// One address that a name stands for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Named {
    /// Its family.
    pub family: Family,
    /// The address; `None` for that of a pod whose address is not known.
    pub address: Option<IpAddr>,
    /// The pod, if it is one of the input.
    pub pod: Option<PodId>,
    /// The port that an SRV record gives (DNS-3).
    pub port: Option<u16>,
}

/// A name and what it stands for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Resolved {
    /// The full name that has been found, in lower case.
    pub name: Name,
    /// What it stands for.
    pub resolution: Resolution,
    /// The ExternalName Services on the way there, in order (DNS-4, SVC-16).
    pub through: Vec<ServiceId>,
    /// The port that an SRV record gives, of a Service with an address (DNS-3).
    pub port: Option<u16>,
}

/// Whether a name lies in the cluster's own domain.
#[must_use]
pub fn is_inside(profile: &Profile, name: &str) -> bool {
    below(&plain(name), &profile.ways.cluster_domain).is_some()
}

/// What a name stands for when `client` asks, or somebody in no particular namespace.
#[must_use]
pub fn resolve(
    cluster: &Cluster,
    profile: &Profile,
    endpoints: &Endpoints,
    client: Option<PodId>,
    name: &str,
) -> Resolved {
    let asked = plain(name);
    let zone = Zone { cluster, profile, endpoints };
    let fails = |why: String| resolved(&asked, nothing("DNS-1", why));
    if !asked.split('.').all(is_label) || asked.len() > 253 {
        return fails(format!("`{name}` is not a name"));
    }
    if asked.parse::<Ipv4Addr>().is_ok() {
        return fails(format!("`{name}` is an address, not a name"));
    }
    let domain = &profile.ways.cluster_domain;
    let client = client.map(|pod| cluster.pods.at(pod));
    if client.is_some_and(|pod| !pod.cluster_dns) {
        let outside = below(&asked, domain).is_none() && asked.contains('.');
        return match outside {
            true => resolved(&asked, Resolution::External(Name::from(asked.as_str()))),
            false => fails("the pod does not ask the cluster's DNS".to_owned()),
        };
    }
    let namespace = client.map(|pod| &cluster.namespaces.at(pod.namespace).name);
    let own = namespace.map(|namespace| format!("{namespace}.svc.{domain}"));
    let search = own.into_iter().chain([format!("svc.{domain}"), domain.to_string()]);
    let mut candidates: Vec<String> = match name.ends_with('.') {
        true => Vec::new(),
        false => search.map(|suffix| format!("{asked}.{suffix}")).collect(),
    };
    let dots = asked.matches('.').count();
    let searched = candidates.len();
    let at = if dots >= DOTS { 0 } else { searched };
    candidates.insert(at, asked.clone());
    let mut failed: Vec<Resolved> = Vec::new();
    for candidate in &candidates {
        match zone.absolute(candidate) {
            found if matches!(found.resolution, Resolution::NxDomain { .. }) => failed.push(found),
            found => return found,
        }
    }
    // Of the reasons, the one for what was probably meant: `db` of the own namespace, `db.shop` of another.
    let telling = |found: &Resolved| matches!(found.resolution, Resolution::NxDomain { rule, .. } if rule != "DNS-1");
    let probable = if below(&asked, domain).is_some() { at } else { dots.min(searched.saturating_sub(1)) };
    let meant = failed.iter().position(telling).unwrap_or(probable);
    failed.into_iter().nth(meant).unwrap_or_else(|| fails("there is no such name".to_owned()))
}

fn resolved(name: &str, resolution: Resolution) -> Resolved {
    Resolved { name: Name::from(name), resolution, through: Vec::new(), port: None }
}

fn nothing(rule: &'static str, why: impl Into<String>) -> Resolution {
    Resolution::NxDomain { rule, why: why.into() }
}

/// In lower case, without a dot at the end.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.len() <= 63 && label.bytes().all(inside)
}

/// What stands before a domain in a name of it; empty for the domain itself.
fn below<'n>(name: &'n str, domain: &str) -> Option<&'n str> {
    let before = name.strip_suffix(domain)?;
    if before.is_empty() { Some(before) } else { before.strip_suffix('.') }
}

/// What one record says.
enum Step {
    /// This is it.
    Is(Resolution),
    /// An ExternalName: look there.
    Alias(ServiceId, Name),
}

/// The names of the cluster's domain.
struct Zone<'a> {
    cluster: &'a Cluster,
    profile: &'a Profile,
    endpoints: &'a Endpoints,
}

impl Zone<'_> {
    /// A full name, inside or outside; ExternalNames are followed (DNS-4, SVC-16).
    fn absolute(&self, name: &str) -> Resolved {
        let (mut name, mut through, mut port) = (Name::from(name), Vec::new(), None);
        let resolution = loop {
            match self.step(&name, &mut port) {
                Step::Is(resolution) => break resolution,
                Step::Alias(id, _) if through.contains(&id) => {
                    break nothing("SVC-16", "these names lead back to one another");
                }
                Step::Alias(id, target) => {
                    through.push(id);
                    name = target;
                }
            }
        };
        Resolved { name, resolution, through, port }
    }

    fn step(&self, name: &str, port: &mut Option<u16>) -> Step {
        let Some(before) = below(name, &self.profile.ways.cluster_domain) else {
            let external = name.contains('.') && !name.ends_with(".svc");
            return Step::Is(match external {
                true => Resolution::External(Name::from(name)),
                false => nothing("DNS-1", format!("there is no `{name}`")),
            });
        };
        let labels: Vec<&str> = before.split('.').collect();
        let found = match *labels {
            // The Service that every cluster has, where the input lacks it.
            ["kubernetes", "default", "svc"] if self.service("default", "kubernetes").is_err() => {
                Ok(Resolution::ApiServer)
            }
            [service, namespace, "svc"] => match self.service(namespace, service) {
                Ok(id) => return self.of_service(id),
                Err(none) => Err(none),
            },
            [endpoint, service, namespace, "svc"] => {
                self.service(namespace, service).map(|id| self.endpoint(id, endpoint))
            }
            [named, protocol, service, namespace, "svc"] => {
                self.service(namespace, service).map(|id| self.srv(id, named, protocol, port))
            }
            [address, namespace, "pod"] => Ok(self.pod(address, namespace)),
            _ => Err(nothing("DNS-1", format!("`{name}` is not the name of a Service or a pod"))),
        };
        Step::Is(found.unwrap_or_else(|none| none))
    }

    fn service(&self, namespace: &str, name: &str) -> Result<ServiceId, Resolution> {
        match find_service(self.cluster, namespace, name) {
            Some(id) => Ok(id),
            None => Err(nothing("DNS-1", format!("there is no Service `{name}` in `{namespace}`"))),
        }
    }

    /// The name of a Service itself: DNS-1, DNS-2, DNS-4.
    fn of_service(&self, id: ServiceId) -> Step {
        match &self.cluster.services.at(id).kind {
            ServiceKind::Cluster { .. } => Step::Is(Resolution::ClusterIp(id)),
            ServiceKind::Headless => Step::Is(self.addresses(ready(self.cluster, self.endpoints, id), id)),
            ServiceKind::ExternalName(target) if target.parse::<Ipv4Addr>().is_ok() => {
                Step::Is(nothing("SVC-16", format!("`{target}` is taken for a name, and there is none like it")))
            }
            ServiceKind::ExternalName(target) => Step::Alias(id, target.clone()),
        }
    }

    fn addresses(&self, ready: Vec<Ready>, id: ServiceId) -> Resolution {
        let named = |ready: Ready| Named { family: ready.family, address: ready.address, pod: ready.pod, port: None };
        let mut found: Vec<Named> = ready.into_iter().map(named).collect();
        found.sort();
        found.dedup();
        if found.is_empty() {
            let name = &self.cluster.services.at(id).name;
            return nothing("DNS-2", format!("the headless Service `{name}` has no ready endpoint"));
        }
        Resolution::Addresses(found)
    }

    /// DNS-2, DNS-5: one endpoint of a Service, by its hostname or by its address with dashes.
    fn endpoint(&self, id: ServiceId, label: &str) -> Resolution {
        let is_meant = |ready: &Ready| match (&ready.hostname, ready.address) {
            (Some(hostname), _) => hostname.eq_ignore_ascii_case(label),
            (None, Some(address)) => dashed(label) == Some(address),
            (None, None) => false,
        };
        let mut found = ready(self.cluster, self.endpoints, id);
        found.retain(is_meant);
        if found.is_empty() {
            let name = &self.cluster.services.at(id).name;
            return nothing("DNS-2", format!("no ready endpoint of `{name}` is called `{label}`"));
        }
        self.addresses(found, id)
    }

    /// DNS-3: `_http._tcp` before the name of a Service.
    fn srv(&self, id: ServiceId, named: &str, protocol: &str, number: &mut Option<u16>) -> Resolution {
        let service = self.cluster.services.at(id);
        let none = |why: String| nothing("DNS-3", why);
        let (Some(port), Some(protocol)) = (named.strip_prefix('_'), protocol.strip_prefix('_')) else {
            return none(format!("`{named}.{protocol}` is not `_PORT._PROTOCOL`"));
        };
        let protocol = Protocol::parse(&protocol.to_ascii_uppercase());
        let known = |service: &Service| {
            let mut ports = service.ports.iter();
            ports.find(|known| *known.name == *port && Some(known.protocol) == protocol).cloned()
        };
        let Some(known) = known(service).filter(|known| !known.name.is_empty()) else {
            return none(format!("`{}` has no port named `{port}` of this protocol", service.name));
        };
        match &service.kind {
            ServiceKind::Cluster { .. } => {
                *number = Some(known.port);
                Resolution::ClusterIp(id)
            }
            ServiceKind::ExternalName(_) => none(format!("`{}` is a name for another name", service.name)),
            ServiceKind::Headless => {
                let ready = ready_on(self.cluster, self.endpoints, id, &known.name);
                let named = ready.into_iter().map(|(ready, port)| Named {
                    family: ready.family,
                    address: ready.address,
                    pod: ready.pod,
                    port: Some(port),
                });
                let mut found: Vec<Named> = named.collect();
                found.sort();
                found.dedup();
                match found.is_empty() {
                    true => none(format!("`{}` has no ready endpoint on `{port}`", service.name)),
                    false => Resolution::Addresses(found),
                }
            }
        }
    }

    /// DNS-5: the address of a pod, with dashes.
    fn pod(&self, label: &str, namespace: &str) -> Resolution {
        let names = self.profile.ways.dns_pod_names;
        if names == DnsPodNames::Disabled {
            return nothing("DNS-5", "DNS has no names of pods");
        }
        let Some(address) = dashed(label) else {
            return nothing("DNS-5", format!("`{label}` is not an address with dashes in place of dots"));
        };
        let spaces = self.cluster.namespaces.iter();
        let Some((space, _)) = spaces.into_iter().find(|(_, space)| *space.name == *namespace) else {
            return nothing("DNS-5", format!("there is no namespace `{namespace}`"));
        };
        let family = Family::of(address);
        let lives = |pod: &crate::model::Pod| {
            pod.state != PodState::Finished && pod.namespace == space && pod.address(family) == Some(address)
        };
        let found = self.cluster.pods.iter().find(|(_, pod)| lives(pod)).map(|(id, _)| id);
        if names == DnsPodNames::Verified && found.is_none() {
            return nothing("DNS-5", format!("no pod of `{namespace}` has the address {address}"));
        }
        // Any address gets an answer, also that of a pod elsewhere.
        let anywhere = || {
            let mut pods = self.cluster.pods.iter();
            pods.find(|(_, pod)| {
                !pod.host_network && pod.state != PodState::Finished && pod.address(family) == Some(address)
            })
        };
        let pod = found.or_else(|| anywhere().map(|(id, _)| id));
        Resolution::Addresses(vec![Named { family, address: Some(address), pod, port: None }])
    }
}

/// `10-244-1-10` as an address, `fd00--1` as one of IPv6.
fn dashed(label: &str) -> Option<IpAddr> {
    let v4 = || label.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    let v6 = || label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    v4().or_else(v6)
}

/// The connections by which a client asks the cluster's DNS, UDP and TCP, to each of its pods (DNS-7). Empty when the
/// input has no such pods, or the client does not ask them.
#[must_use]
pub fn asking(
    cluster: &Cluster,
    endpoints: &Endpoints,
    judge: &dyn Judge,
    client: PodId,
) -> Vec<(Protocol, Judgement)> {
    if !cluster.pods.at(client).cluster_dns {
        return Vec::new();
    }
    let Some(id) = find_service(cluster, "kube-system", "kube-dns") else { return Vec::new() };
    let service = cluster.services.at(id);
    let mut asked = Vec::new();
    for port in service.ports.iter().filter(|port| port.port == 53) {
        for (ready, number) in ready_on(cluster, endpoints, id, &port.name) {
            let Some(destination) = ready.pod.map(Party::Pod).or(ready.address.map(Party::Address)) else { continue };
            let flow = Flow::direct(Party::Pod(client), destination, ready.family, port.protocol, number);
            let dialled = service.address(ready.family).map(|address| SocketAddr::new(address, port.port));
            asked.push((port.protocol, judge.judge(&Flow { dialled, ..flow })));
        }
    }
    asked
}

/// What a way by name hinges on besides its own connection (DNS-7): nothing, unless names need DNS and it is not certain
/// that the client gets to ask some pod of it over UDP and some pod over TCP.
#[must_use]
pub fn condition(
    cluster: &Cluster,
    profile: &Profile,
    endpoints: &Endpoints,
    judge: &dyn Judge,
    client: PodId,
) -> Option<Condition> {
    let pod = cluster.pods.at(client);
    if !profile.dns_required || !pod.cluster_dns {
        return None;
    }
    let asked = asking(cluster, endpoints, judge, client);
    let reached = |protocol: Protocol| {
        asked.iter().any(|(over, judgement)| *over == protocol && judgement.verdict == Verdict::Allowed)
    };
    // Every cluster has DNS somewhere: a client that no policy holds back gets there.
    let free = asked.is_empty() && !isolated(cluster, profile, client, Direction::Egress);
    let usable = free || (reached(Protocol::Udp) && reached(Protocol::Tcp));
    (!usable).then_some(Condition::Dns)
}
