//! What a question's destination names: pods and addresses, a Service, or a URL.

use std::net::IpAddr;

use policy_core::ids::{PodId, ServiceId};
use policy_core::model::http::request::{bare_host, split_query};
use policy_core::model::http::{HostMatch, PathMatch, RequestMatch, ValueMatch};
use policy_core::model::{Name, NodeAddress, NodeAddressKind, Protocol, ServiceKind, WayKind};
use policy_core::query::{PortAsk, Subject, SubjectProblem, Target};
use policy_core::ways::dial;
use policy_core::ways::dns::{self, Resolution};

use super::question::{NO_DESTINATION, unknown};
use crate::exit::Failure;
use crate::render::escape;
use crate::session::Session;

/// What is asked about.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// Pods, nodes, addresses.
    Target(Target),
    /// A Service, at one of its ports or at all of them.
    Service(ServiceId, Option<(Protocol, u16)>),
    /// An address at which something else than its holder answers: a Service, a node port, a load balancer.
    Address(IpAddr, u16, Protocol),
    /// Requests to a host.
    Url(Url),
    /// A name for which DNS has no answer: the rule and why.
    NoName(&'static str, String),
}

/// A destination, and the ExternalNames that stand for it, in order (W-EXTNAME).
#[derive(Clone, Debug)]
pub(crate) struct Dialled {
    pub(crate) destination: Destination,
    pub(crate) through: Vec<ServiceId>,
}

impl From<Destination> for Dialled {
    fn from(destination: Destination) -> Self {
        Self { destination, through: Vec::new() }
    }
}

/// A URL, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Url {
    /// Whether it is HTTPS.
    pub(crate) tls: bool,
    /// The host, as matching sees it.
    pub(crate) host: Name,
    /// The port.
    pub(crate) port: u16,
    /// The path.
    pub(crate) path: Name,
    /// Query parameters.
    pub(crate) query: Vec<(Name, Name)>,
}

impl Url {
    /// Reads `http://HOST[:PORT][/PATH][?QUERY]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let help = "write it as https://HOST[:PORT]/PATH";
        let wrong = |why: &str| Failure::usage(format!("`{}` is no URL: {why}", escape(text)), help);
        let Some((scheme, rest)) = text.split_once("://") else { return Err(wrong("it has no scheme")) };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("the scheme is http or https")),
        };
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(at).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(wrong("it has a user in it"));
        }
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => {
                let port = port.parse::<u16>().ok().filter(|port| *port > 0);
                port.ok_or_else(|| wrong("the port is a number from 1 to 65535"))?
            }
            _ if tls => 443,
            _ => 80,
        };
        let host = bare_host(authority).ok_or_else(|| wrong("it has no host"))?;
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':')) {
            return Err(wrong("its host is no name and no address"));
        }
        if target.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(wrong("its path has spaces or characters that must be written with %"));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let (path, query) = split_query(&target);
        Ok(Self { tls, host, port, path, query })
    }

    /// All requests to it, whatever their method and headers.
    pub(crate) fn requests(&self) -> RequestMatch {
        let mut query: Vec<_> =
            self.query.iter().map(|(name, value)| (name.clone(), ValueMatch::Exact(value.clone()))).collect();
        query.sort();
        query.dedup_by(|(a, _), (b, _)| a == b);
        RequestMatch {
            host: HostMatch::Exact(self.host.clone()),
            path: PathMatch::Exact(self.path.clone()),
            query,
            ..RequestMatch::everything()
        }
    }
}

impl Session {
    /// What a question is about; `client` asks for names in its own namespace.
    pub(crate) fn destination(&self, text: &str, client: Option<PodId>) -> Result<Destination, Failure> {
        self.dialled(text, client).map(|dialled| dialled.destination)
    }

    /// The same with the names on the way there.
    pub(crate) fn dialled(&self, text: &str, client: Option<PodId>) -> Result<Dialled, Failure> {
        if text.contains("://") {
            let url = Url::parse(text)?;
            // DNS-6: what the cluster's DNS has is a Service to pods, whatever Ingresses say of the host.
            let asked = client.is_some().then(|| self.dialled(&format!("{}:{}", url.host, url.port), client));
            return match asked {
                Some(Ok(dialled)) if matches!(dialled.destination, Destination::Service(..)) => Ok(dialled),
                _ => Ok(Destination::Url(url).into()),
            };
        }
        if let Some(service) = self.service(text)? {
            return Ok(service);
        }
        self.no_user(text, NO_DESTINATION)?;
        let (cluster, profile) = (&self.analysis.cluster, &self.analysis.profile);
        let error = match Target::parse(cluster, profile, self.namespace.as_deref(), text) {
            Ok(target) => return Ok(self.something_there(target).into()),
            Err(error) => error,
        };
        let may_be_name = matches!(error.problem, SubjectProblem::Unknown | SubjectProblem::InCluster(_));
        if !may_be_name {
            return Err(unknown(error));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let modelled = error.problem == SubjectProblem::Unknown;
        let resolved = dns::resolve(cluster, profile, &self.analysis.ways.endpoints, client, name);
        let through = resolved.through;
        let destination = match resolved.resolution {
            Resolution::ClusterIp(service) => self.at_port(service, port, text),
            Resolution::Addresses(named) => {
                // A headless Service, or a pod by its name.
                let headless = self.headless(&resolved.name);
                let pod = named.iter().find_map(|named| named.pod);
                let subject = match (pod, named.iter().find_map(|named| named.address)) {
                    (Some(pod), _) => Subject::Pod(pod),
                    (None, Some(address)) => Subject::Address(address),
                    (None, None) => return Err(unknown(error)),
                };
                match headless {
                    Some(service) => self.at_port(service, port, text),
                    None => Ok(Destination::Target(Target { subject, port: asked_port(port, text)? })),
                }
            }
            // SVC-16: an ExternalName that leads out of the cluster.
            Resolution::External(name) if !through.is_empty() => {
                let subject = Subject::Name(name);
                Ok(Destination::Target(Target { subject, port: asked_port(port, text)? }))
            }
            Resolution::NxDomain { rule, why } if !modelled => Ok(Destination::NoName(rule, why)),
            _ => Err(unknown(error)),
        };
        destination.map(|destination| Dialled { destination, through })
    }

    /// The headless Service whose full name this is.
    fn headless(&self, name: &str) -> Option<ServiceId> {
        let cluster = &self.analysis.cluster;
        let domain = &self.analysis.profile.ways.cluster_domain;
        let full = |service: &policy_core::model::Service| {
            format!("{}.{}.svc.{domain}", service.name, cluster.namespaces.at(service.namespace).name)
        };
        cluster.services.iter().find(|(_, service)| full(service) == name).map(|(id, _)| id)
    }

    /// `svc/NAME`, `NAMESPACE/svc/NAME`, each with `:PORT`.
    fn service(&self, text: &str) -> Result<Option<Dialled>, Failure> {
        let cluster = &self.analysis.cluster;
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let parts: Vec<&str> = name.split('/').collect();
        let (space, name) = match parts.as_slice() {
            ["svc" | "service", name] => (self.namespace.as_deref(), *name),
            [space, "svc" | "service", name] => (Some(*space), *name),
            _ => return Ok(None),
        };
        let mut found = cluster.services.iter().filter(|(_, service)| {
            let namespace = &cluster.namespaces.at(service.namespace).name;
            &*service.name == name && space.is_none_or(|space| **namespace == *space)
        });
        let first = found.next();
        let others = found.next().is_some();
        match first {
            Some(_) if others => {
                let message = format!("`{}` names several Services", escape(text));
                Err(Failure::usage(message, "write it as NAMESPACE/svc/NAME"))
            }
            Some((_, service)) if matches!(service.kind, ServiceKind::ExternalName(_)) => {
                let namespace = &cluster.namespaces.at(service.namespace).name;
                let domain = &self.analysis.profile.ways.cluster_domain;
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                self.dialled(&format!("{}.{namespace}.svc.{domain}{port}", service.name), None).map(Some)
            }
            Some((id, _)) => self.at_port(id, port, text).map(|found| Some(found.into())),
            None => {
                let all = cluster.services.values().map(|service| &*service.name);
                let near = policy_core::near::near(name, all, 3);
                let help = if near.is_empty() { String::new() } else { format!("near matches: {}", near.join(", ")) };
                Err(Failure::usage(format!("no Service is called `{}`", escape(name)), help))
            }
        }
    }

    /// A Service at a port that is written as a number or a name, perhaps with its protocol.
    fn at_port(&self, service: ServiceId, port: Option<&str>, text: &str) -> Result<Destination, Failure> {
        let Some(port) = port else { return Ok(Destination::Service(service, None)) };
        let wrong = |why: &str, help: String| Failure::usage(format!("`{}`: {why}", escape(text)), help);
        let ports = &self.analysis.cluster.services.at(service).ports;
        match PortAsk::parse(port).map_err(|why| wrong(why, String::new()))? {
            PortAsk::Number(protocol, number) => Ok(Destination::Service(service, Some((protocol, number)))),
            PortAsk::Name(protocol, name) => {
                match ports.iter().find(|port| port.name == name && port.protocol == protocol) {
                    Some(port) => Ok(Destination::Service(service, Some((protocol, port.port)))),
                    None => {
                        let known: Vec<String> =
                            ports.iter().map(|port| format!("{}/{}", port.port, port.protocol.as_str())).collect();
                        Err(wrong("the Service has no port of this name", format!("its ports: {}", known.join(", "))))
                    }
                }
            }
            PortAsk::Any => Ok(Destination::Service(service, None)),
        }
    }

    /// An address at which something answers that is not its holder alone.
    pub(crate) fn something_there(&self, target: Target) -> Destination {
        if let (Subject::Address(ip), PortAsk::Number(protocol, port)) = (&target.subject, &target.port)
            && !dial::is_plain(&self.analysis, *ip, *port, *protocol)
        {
            return Destination::Address(*ip, *port, *protocol);
        }
        // A node at a node port or a host port: by its first public address, or its first one.
        if let (Subject::Node(node), PortAsk::Number(protocol, port)) = (&target.subject, &target.port) {
            let passes_on = |at: &&NodeAddress| {
                let entries = dial::entries_at(&self.analysis, at.ip, *port, *protocol);
                entries.iter().any(|entry| matches!(entry.kind, WayKind::NodePort | WayKind::HostPort))
            };
            let addresses = self.analysis.cluster.nodes.at(*node).addresses.iter();
            let taken: Vec<&NodeAddress> = addresses.filter(passes_on).collect();
            let public = taken.iter().find(|at| at.kind == NodeAddressKind::External).or(taken.first());
            if let Some(at) = public {
                return Destination::Address(at.ip, *port, *protocol);
            }
        }
        Destination::Target(target)
    }
}

/// The port behind a name; all of them when there is none.
fn asked_port(port: Option<&str>, text: &str) -> Result<PortAsk, Failure> {
    let port = port.map(PortAsk::parse).transpose();
    port.map(|port| port.unwrap_or(PortAsk::Any))
        .map_err(|why| Failure::usage(format!("`{}`: {why}", escape(text)), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = |text: &str| Url::parse(text).ok();
        let shop = url("https://Shop.Example.com/admin?a=1#x").unwrap();
        assert_eq!((shop.tls, &*shop.host, shop.port, &*shop.path), (true, "shop.example.com", 443, "/admin"));
        assert_eq!(shop.query.len(), 1);
        let bare = url("http://10.0.0.1:8080").unwrap();
        assert_eq!((bare.tls, &*bare.host, bare.port, &*bare.path), (false, "10.0.0.1", 8080, "/"));
        assert_eq!(
            url("http://[2001:db8::1]:8443/x").map(|url| (url.host, url.port)),
            Some(("2001:db8::1".into(), 8443))
        );
        for bad in
            ["shop.example.com", "ftp://a/", "http://", "http://a:0/", "http://a:x/", "http://u@a/", "http://a/ b"]
        {
            assert!(url(bad).is_none(), "{bad}");
        }
    }
}
