//! How people name the ends of a question: `shop/cart`, `deploy/cart`, `node/n1`, `10.0.0.0/8`, `internet` (M-1).

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::ids::{NamespaceId, NodeId, PodId, WorkloadId};
use crate::model::{Cluster, DomainPattern, Name, Profile, Protocol, WorkloadKind};
use crate::near::near;

/// One end of a question, possibly many parties (M-1, M-3).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// All pods of a workload.
    Workload(WorkloadId),
    /// One pod.
    Pod(PodId),
    /// All pods of a namespace.
    Namespace(NamespaceId),
    /// A process on a node.
    Node(NodeId),
    /// One address: a pod's, a node's, or outside.
    Address(IpAddr),
    /// All addresses of a CIDR, those of pods and nodes included.
    Cidr(IpNet),
    /// Every address that is no pod's and no node's.
    Internet,
    /// The addresses outside that DNS gives for a name (CNP-10). A destination only.
    Name(Name),
    /// Every pod, node and outside address.
    Everything,
}

/// Which ports a question is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PortAsk {
    /// All of them.
    Any,
    /// One.
    Number(Protocol, u16),
    /// What the destination calls so.
    Name(Protocol, Name),
}

/// A destination and the ports asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// The destination.
    pub subject: Subject,
    /// The ports.
    pub port: PortAsk,
}

/// Why a name names nothing, or too much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubjectError {
    /// What was written.
    pub written: String,
    /// What is wrong with it.
    pub problem: SubjectProblem,
    /// Names that could have been meant.
    pub near: Vec<String>,
}

/// What is wrong with a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubjectProblem {
    /// Nothing is called so.
    Unknown,
    /// Several things are called so; `near` lists them.
    Ambiguous,
    /// It is not written like a name.
    Malformed(&'static str),
    /// It is a name of the cluster's own, which is looked up elsewhere (DNS-1).
    InCluster(&'static str),
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = &self.written;
        let near = self.near.join(", ");
        match &self.problem {
            SubjectProblem::Unknown if near.is_empty() => write!(f, "nothing in the input is called `{written}`"),
            SubjectProblem::Unknown => write!(f, "nothing in the input is called `{written}`; near it: {near}"),
            SubjectProblem::Ambiguous => write!(f, "`{written}` names several things: {near}"),
            SubjectProblem::Malformed(why) => write!(f, "`{written}` cannot be read: {why}"),
            SubjectProblem::InCluster(why) => write!(f, "`{written}`: {why}"),
        }
    }
}

impl std::error::Error for SubjectError {}

/// What the first part of `kind/name` can be.
#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Pod,
    Node,
    Namespace,
    Workload(WorkloadKind),
}

fn kind(word: &str) -> Option<Kind> {
    let kind = match word.to_ascii_lowercase().as_str() {
        "pod" | "pods" | "po" => Kind::Pod,
        "node" | "nodes" | "no" => Kind::Node,
        "namespace" | "namespaces" | "ns" => Kind::Namespace,
        "deployment" | "deployments" | "deploy" => Kind::Workload(WorkloadKind::Deployment),
        "replicaset" | "replicasets" | "rs" => Kind::Workload(WorkloadKind::ReplicaSet),
        "replicationcontroller" | "replicationcontrollers" | "rc" => {
            Kind::Workload(WorkloadKind::ReplicationController)
        }
        "statefulset" | "statefulsets" | "sts" => Kind::Workload(WorkloadKind::StatefulSet),
        "daemonset" | "daemonsets" | "ds" => Kind::Workload(WorkloadKind::DaemonSet),
        "job" | "jobs" => Kind::Workload(WorkloadKind::Job),
        "cronjob" | "cronjobs" | "cj" => Kind::Workload(WorkloadKind::CronJob),
        _ => return None,
    };
    Some(kind)
}

impl Subject {
    /// Reads a name. `namespace` is where bare names are looked up first; without it a bare name may be anywhere
    /// as long as it is unique.
    ///
    /// # Errors
    /// [`SubjectError`] with the near matches.
    pub fn parse(cluster: &Cluster, namespace: Option<&str>, text: &str) -> Result<Self, SubjectError> {
        Self::look_up(cluster, namespace, text).map_err(|mut error| {
            if error.problem == SubjectProblem::Unknown {
                error.near = suggestions(cluster, text);
            }
            error
        })
    }

    /// [`Subject::parse`] without near matches for an unknown name: those compare it with every name of the cluster.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn look_up(cluster: &Cluster, namespace: Option<&str>, text: &str) -> Result<Self, SubjectError> {
        match text {
            "internet" => return Ok(Self::Internet),
            "*" => return Ok(Self::Everything),
            _ => {}
        }
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self::Address(address));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Cidr(net));
        }
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            let why = "write NAME, NAMESPACE/NAME, KIND/NAME, NAMESPACE/KIND/NAME, an address, a CIDR or `internet`";
            return Err(error(text, SubjectProblem::Malformed(why), Vec::new()));
        }
        let mut found = match parts.as_slice() {
            [name] => bare(cluster, namespace, name),
            [first, name] => {
                let mut found = in_namespace(cluster, first, name);
                if let Some(kind) = kind(first) {
                    found.extend(of_kind(cluster, namespace, &kind, name));
                }
                found
            }
            [space, word, name] => match kind(word) {
                Some(Kind::Node | Kind::Namespace) | None => Vec::new(),
                Some(kind) => of_kind(cluster, Some(space), &kind, name),
            },
            _ => Vec::new(),
        };
        match (found.pop(), found.is_empty()) {
            (Some(subject), true) => Ok(subject),
            (Some(subject), false) => {
                found.push(subject);
                let near = found.iter().map(|subject| subject.written(cluster)).collect();
                Err(error(text, SubjectProblem::Ambiguous, near))
            }
            (None, _) => Err(error(text, SubjectProblem::Unknown, Vec::new())),
        }
    }

    /// Reads the name of a destination: what [`Subject::parse`] reads, or else the DNS name of something outside.
    ///
    /// # Errors
    /// [`SubjectError`] with the near matches.
    pub fn parse_destination(
        cluster: &Cluster,
        profile: &Profile,
        namespace: Option<&str>,
        text: &str,
    ) -> Result<Self, SubjectError> {
        Self::look_up_destination(cluster, profile, namespace, text).map_err(|mut error| {
            if error.problem == SubjectProblem::Unknown {
                error.near = suggestions(cluster, text);
            }
            error
        })
    }

    /// [`Subject::parse_destination`] without near matches for an unknown name.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn look_up_destination(
        cluster: &Cluster,
        profile: &Profile,
        namespace: Option<&str>,
        text: &str,
    ) -> Result<Self, SubjectError> {
        match Self::look_up(cluster, namespace, text) {
            Err(unknown) if unknown.problem == SubjectProblem::Unknown => {
                domain_name(cluster, profile, text).unwrap_or(Err(unknown))
            }
            known => known,
        }
    }

    /// The name that [`Subject::parse_destination`] reads back.
    #[must_use]
    pub fn written(&self, cluster: &Cluster) -> String {
        let space = |id: NamespaceId| cluster.namespaces.at(id).name.clone();
        match self {
            Self::Workload(id) => {
                let workload = cluster.workloads.at(*id);
                let kind = workload.kind.as_str().to_ascii_lowercase();
                format!("{}/{}/{}", space(workload.namespace), kind, workload.name)
            }
            Self::Pod(id) => {
                let pod = cluster.pods.at(*id);
                format!("{}/pod/{}", space(pod.namespace), pod.name)
            }
            Self::Namespace(id) => format!("{}/*", space(*id)),
            Self::Node(id) => format!("node/{}", cluster.nodes.at(*id).name),
            Self::Address(address) => address.to_string(),
            Self::Cidr(net) => net.to_string(),
            Self::Internet => "internet".to_owned(),
            Self::Name(name) => name.to_string(),
            Self::Everything => "*".to_owned(),
        }
    }

    /// What people call it: `shop/cart`, with the kind where it matters.
    #[must_use]
    pub fn describe(&self, cluster: &Cluster) -> String {
        match self {
            Self::Workload(id) => {
                let workload = cluster.workloads.at(*id);
                format!("{}/{} ({})", cluster.namespaces.at(workload.namespace).name, workload.name, workload.kind)
            }
            Self::Namespace(id) => format!("namespace {}", cluster.namespaces.at(*id).name),
            Self::Everything => "everything".to_owned(),
            other => other.written(cluster),
        }
    }
}

/// The DNS name of something outside; `None` for what cannot be one.
fn domain_name(cluster: &Cluster, profile: &Profile, text: &str) -> Option<Result<Subject, SubjectError>> {
    let refuse = |problem| Some(Err(error(text, problem, Vec::new())));
    let pattern = DomainPattern::parse(text).ok()?;
    if text.starts_with('*') {
        return refuse(SubjectProblem::Malformed("ask about one name, not about all names below one"));
    }
    let name = text.to_ascii_lowercase();
    let plain = name.strip_suffix('.').unwrap_or(&name);
    let (before, last) = plain.rsplit_once('.')?;
    // A mistyped address.
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if last == "svc" || pattern.may_name_pods(&profile.ways.cluster_domain) {
        return refuse(SubjectProblem::InCluster("the cluster's DNS has no such name"));
    }
    // `web.shop`: pods ask for the Service of that name first.
    if name == plain && !before.contains('.') && namespace_id(cluster, last).is_some() {
        let why = "there is no such Service; for a name outside write a dot at the end";
        return refuse(SubjectProblem::InCluster(why));
    }
    Some(Ok(Subject::Name(Name::from(name))))
}

fn error(written: &str, problem: SubjectProblem, near: Vec<String>) -> SubjectError {
    SubjectError { written: written.to_owned(), problem, near }
}

/// `NAME`: in the given namespace, or anywhere.
fn bare(cluster: &Cluster, namespace: Option<&str>, name: &str) -> Vec<Subject> {
    match namespace {
        Some(namespace) => in_namespace(cluster, namespace, name),
        None => cluster.namespaces.values().flat_map(|space| in_namespace(cluster, &space.name, name)).collect(),
    }
}

/// `NAMESPACE/NAME`: workloads of that name, else pods; `NAMESPACE/*`: all its pods.
fn in_namespace(cluster: &Cluster, namespace: &str, name: &str) -> Vec<Subject> {
    let Some(space) = namespace_id(cluster, namespace) else { return Vec::new() };
    if name == "*" {
        return vec![Subject::Namespace(space)];
    }
    let from = cluster
        .workloads
        .values()
        .as_slice()
        .partition_point(|workload| (workload.namespace, &*workload.name) < (space, name));
    let named = cluster.workloads.iter().skip(from);
    let named = named.take_while(|(_, workload)| workload.namespace == space && &*workload.name == name);
    let workloads: Vec<_> = named.map(|(id, _)| Subject::Workload(id)).collect();
    if workloads.is_empty() { pods(cluster, Some(space), name) } else { workloads }
}

fn namespace_id(cluster: &Cluster, name: &str) -> Option<NamespaceId> {
    let at = cluster.namespaces.values().as_slice().binary_search_by(|space| (*space.name).cmp(name)).ok()?;
    Some(crate::ids::Id::from_index(at))
}

fn pods(cluster: &Cluster, namespace: Option<NamespaceId>, name: &str) -> Vec<Subject> {
    let named = |pod: &crate::model::Pod| &*pod.name == name && namespace.is_none_or(|space| pod.namespace == space);
    let from = match namespace {
        Some(space) => {
            cluster.pods.values().as_slice().partition_point(|pod| (pod.namespace, &*pod.name) < (space, name))
        }
        None => 0,
    };
    let candidates = cluster.pods.iter().skip(from);
    let candidates = candidates.take_while(|(_, pod)| namespace.is_none() || named(pod));
    candidates.filter(|(_, pod)| named(pod)).map(|(id, _)| Subject::Pod(id)).collect()
}

/// `KIND/NAME`.
fn of_kind(cluster: &Cluster, namespace: Option<&str>, kind: &Kind, name: &str) -> Vec<Subject> {
    let space = namespace.map(|namespace| namespace_id(cluster, namespace));
    if space == Some(None) && !matches!(kind, Kind::Node | Kind::Namespace) {
        return Vec::new();
    }
    let space = space.flatten();
    match kind {
        Kind::Pod => pods(cluster, space, name),
        Kind::Node => {
            let named = cluster.nodes.iter().filter(|(_, node)| &*node.name == name);
            named.map(|(id, _)| Subject::Node(id)).collect()
        }
        Kind::Namespace => namespace_id(cluster, name).map(Subject::Namespace).into_iter().collect(),
        Kind::Workload(kind) => {
            let named = cluster.workloads.iter().filter(|(_, workload)| {
                &*workload.name == name
                    && workload.kind == *kind
                    && space.is_none_or(|space| workload.namespace == space)
            });
            named.map(|(id, _)| Subject::Workload(id)).collect()
        }
    }
}

/// The names nearest to what was written; the same name in other namespaces first.
fn suggestions(cluster: &Cluster, text: &str) -> Vec<String> {
    let last = text.rsplit('/').next().unwrap_or(text);
    let full = |workload: &crate::model::Workload| {
        format!("{}/{}", cluster.namespaces.at(workload.namespace).name, workload.name)
    };
    let same = cluster.workloads.values().filter(|workload| &*workload.name == last).map(full);
    let mut found: Vec<String> = same.take(5).collect();
    let names = cluster.workloads.values().map(full);
    let nodes = cluster.nodes.values().map(|node| format!("node/{}", node.name));
    let spaces = cluster.namespaces.values().map(|space| format!("{}/*", space.name));
    let all: Vec<String> = names.chain(nodes).chain(spaces).collect();
    found.extend(near(text, all.iter().map(String::as_str), 5).into_iter().map(str::to_owned));
    let by_last = cluster.workloads.values().map(|workload| &*workload.name);
    for name in near(last, by_last, 5) {
        let with_name = cluster.workloads.values().filter(|workload| &*workload.name == name).map(full);
        found.extend(with_name.take(2));
    }
    let containing = |workload: &&crate::model::Workload| last.len() > 2 && workload.name.contains(last);
    found.extend(cluster.workloads.values().filter(containing).map(full).take(5));
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|name| seen.insert(name.clone()));
    found.truncate(5);
    found
}

impl Target {
    /// Reads `SUBJECT[:PORT[/PROTOCOL]]`: `shop/cart:7070`, `shop/dns:53/udp`, `[2001:db8::1]:443`, `cart:http`.
    ///
    /// # Errors
    /// [`SubjectError`] when the subject or the port cannot be read.
    pub fn parse(
        cluster: &Cluster,
        profile: &Profile,
        namespace: Option<&str>,
        text: &str,
    ) -> Result<Self, SubjectError> {
        let (subject, port) = split_port(text);
        let subject = Subject::parse_destination(cluster, profile, namespace, subject)?;
        let port = match port {
            None => PortAsk::Any,
            Some(port) => {
                PortAsk::parse(port).map_err(|why| error(text, SubjectProblem::Malformed(why), Vec::new()))?
            }
        };
        Ok(Self { subject, port })
    }
}

/// Splits a port off, but not the tail of an IPv6 address.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((subject, port)) => (subject, Some(port)),
        None => (text, None),
    }
}

impl PortAsk {
    /// Reads `7070`, `http`, `53/udp`, `udp/53`; TCP when no protocol is written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let protocol = |word: &str| Protocol::parse(&word.to_ascii_uppercase());
        let (port, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((port, word)) => match (protocol(word), protocol(port)) {
                (Some(protocol), _) => (port, protocol),
                (None, Some(protocol)) => (word, protocol),
                (None, None) => return Err("the protocol is tcp, udp or sctp"),
            },
        };
        Self::of(protocol, port)
    }

    /// A port number or name of a protocol.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(protocol: Protocol, port: &str) -> Result<Self, &'static str> {
        if port.is_empty() {
            return Err("a port is a number from 1 to 65535 or a name");
        }
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Name(protocol, Name::from(port)));
        }
        match port.parse::<u16>() {
            Ok(number) if number > 0 => Ok(Self::Number(protocol, number)),
            _ => Err("a port is a number from 1 to 65535 or a name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelSet, Namespace};

    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        cluster.namespaces.push(Namespace { name: Name::from("shop"), labels: LabelSet::default(), span: None });
        cluster
    }

    #[test]
    fn a_name_with_a_dot_that_nothing_bears_is_a_dns_name() {
        // CNP-10
        let (cluster, profile) = (cluster(), Profile::default());
        let read = |text: &str| Subject::parse_destination(&cluster, &profile, None, text);
        for (text, name) in [
            ("latest.blog.kubernetes.io", "latest.blog.kubernetes.io"),
            ("Example.ORG", "example.org"),
            ("www.shop", ""),
            ("www.shop.", "www.shop."),
            ("a.b.shop", "a.b.shop"),
        ] {
            match read(text) {
                Ok(subject) => {
                    assert_eq!(subject, Subject::Name(Name::from(name)), "{text}");
                    assert_eq!(read(&subject.written(&cluster)), Ok(subject), "{text}");
                }
                Err(error) => assert!(name.is_empty(), "{text}: {error}"),
            }
        }
        // A source has no name that DNS gives.
        assert!(Subject::parse(&cluster, None, "example.org").is_err());
    }

    #[test]
    fn what_is_no_dns_name_is_refused_for_what_it_is() {
        // CNP-10
        let (cluster, profile) = (cluster(), Profile::default());
        let why = |text: &str| match Subject::parse_destination(&cluster, &profile, None, text) {
            Err(error) => error.problem,
            Ok(subject) => panic!("{text} is {subject:?}"),
        };
        for unknown in ["cart", "shop/cart.v1", "10.0.0.300", "a..b", "-a.b", "a b.c"] {
            assert_eq!(why(unknown), SubjectProblem::Unknown, "{unknown}");
        }
        for inside in ["cart.shop", "cart.shop.svc", "cart.shop.svc.cluster.local", "x.cluster.local", "CART.shop.SVC."]
        {
            assert!(matches!(why(inside), SubjectProblem::InCluster(_)), "{inside}");
        }
        assert!(matches!(why("*.example.org"), SubjectProblem::Malformed(_)));
    }

    #[test]
    fn which_names_are_the_clusters_own_the_profile_says() {
        // DNS-1
        let mut profile = Profile::default();
        profile.set("cluster_domain", "k8s.example.org").unwrap();
        let read = |text: &str| Subject::parse_destination(&cluster(), &profile, None, text);
        assert!(read("a.cluster.local").is_ok());
        assert!(matches!(read("a.k8s.example.org").unwrap_err().problem, SubjectProblem::InCluster(_)));
    }
}
