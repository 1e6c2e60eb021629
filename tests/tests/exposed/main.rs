//! Whether `exposed` tells the truth: what is open to the outside, written down by hand from manifests and rules, and
//! compared with what comes out.
//!
//! A way is one line:
//!
//! ```text
//! VERDICT KIND HOP > HOP > DESTINATION | for REQUESTS | from CLIENTS | as SOURCE | if WHAT | by RULE
//! ```
//!
//! Without `for` there is no proxy; without `from` it is meant for all of the outside that speaks IPv4; without `if` it depends on
//! nothing. `as` (who the destination takes the client for) and `by` are compared where they are given.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that asks nothing says so")]

mod articles;
mod broken;
mod proxied;
mod real;

use std::fs;
use std::path::{Path, PathBuf};

use policy_core::analysis::Analysis;
use policy_core::ids::{Id, PodId, ServiceId};
use policy_core::model::http::{App, HostMatch, PathMatch};
use policy_core::model::{AddressSet, Family, Hop, Masquerader, Party, Profile, premise};
use policy_core::ways::clients::{Clients, Part};
use policy_core::ways::exposure::exposures;
use policy_core::ways::proxied::Served;
use policy_core::ways::walk::Way;
use tests::pipeline::load;

/// Manifests and knobs.
#[derive(Clone, Default)]
struct Given {
    texts: Vec<(String, String)>,
    profile: Profile,
    only: Option<&'static str>,
}

impl Given {
    fn and(mut self, text: &str) -> Self {
        self.texts.push((format!("{}.yaml", self.texts.len()), text.to_owned()));
        self
    }

    fn set(mut self, knob: &str, value: &str) -> Self {
        self.profile.set(knob, value).unwrap();
        self
    }

    /// Looks at ways of one kind alone.
    fn only(mut self, kind: &'static str) -> Self {
        self.only = Some(kind);
        self
    }

    fn policy(self, namespace: &str, spec: &str) -> Self {
        let name = format!("policy-{}", self.texts.len());
        self.and(&format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
        ))
    }

    /// Every way for everybody, the open ones first.
    fn lines(&self) -> Vec<Line> {
        let loaded = load(self.texts.clone());
        let analysis = Analysis::new(loaded.cluster, self.profile.clone());
        let ways = exposures(&analysis, &analysis.ways);
        let words = Words { analysis: &analysis };
        let lines = ways.iter().filter(|way| self.only.is_none_or(|kind| way.kind.id() == kind));
        lines.flat_map(|way| way.parts.iter().map(|part| words.line(way, part))).collect()
    }

    /// These are all that are open.
    #[track_caller]
    fn open(&self, wanted: &str) {
        let found: Vec<Line> = self.lines().into_iter().filter(Line::is_open).collect();
        let mut left = found.clone();
        let mut missing = Vec::new();
        for wanted in lines_of(wanted) {
            match left.iter().position(|line| line.is(wanted)) {
                Some(at) => drop(left.remove(at)),
                None => missing.push(wanted),
            }
        }
        assert!(
            missing.is_empty() && left.is_empty(),
            "not there:\n{}\nnot written down:\n{}",
            missing.join("\n"),
            left.iter().map(Line::to_string).collect::<Vec<_>>().join("\n")
        );
    }

    /// These are among those that are closed.
    #[track_caller]
    fn closed(&self, wanted: &str) {
        let found: Vec<Line> = self.lines().into_iter().filter(|line| !line.is_open()).collect();
        for wanted in lines_of(wanted) {
            assert!(
                found.iter().any(|line| line.is(wanted)),
                "not there:\n{wanted}\nclosed:\n{}",
                found.iter().map(Line::to_string).collect::<Vec<_>>().join("\n")
            );
        }
    }
}

fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// One way for some clients.
#[derive(Clone, Debug)]
struct Line {
    head: String,
    requests: String,
    clients: AddressSet,
    outside: AddressSet,
    source: String,
    depends: String,
    rule: &'static str,
}

impl Line {
    fn is_open(&self) -> bool {
        ["allowed", "conditional", "undefined"].iter().any(|word| self.head.starts_with(word))
    }

    fn is(&self, wanted: &str) -> bool {
        let mut parts = wanted.split('|').map(str::trim);
        let head = parts.next().unwrap();
        let parts: Vec<&str> = parts.collect();
        let of = |key: &str| {
            parts.iter().find_map(|part| part.strip_prefix(key).and_then(|rest| rest.strip_prefix(' '))).map(str::trim)
        };
        let known = ["for ", "from ", "as ", "if ", "by "];
        assert!(parts.iter().all(|part| known.iter().any(|key| part.starts_with(key))), "{wanted}");
        head == self.head
            && of("for").unwrap_or_default() == self.requests
            && clients(of("from").unwrap_or("v4")).intersection(&self.outside) == self.clients
            && of("if").unwrap_or_default() == self.depends
            && of("as").is_none_or(|source| source == self.source)
            && of("by").is_none_or(|rule| rule == self.rule)
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.head)?;
        for (key, value) in [("for", &self.requests), ("if", &self.depends), ("as", &self.source)] {
            if !value.is_empty() {
                write!(f, " | {key} {value}")?;
            }
        }
        let names = ["v4", "v6", "all", "private"];
        match names.iter().find(|name| clients(name).intersection(&self.outside) == self.clients) {
            Some(name) => write!(f, " | from {name}")?,
            None => {
                let nets = self.clients.nets();
                let nets: Vec<String> = nets.iter().take(6).map(ToString::to_string).collect();
                write!(f, " | from {} …", nets.join(" "))?;
            }
        }
        write!(f, " | by {}", self.rule)
    }
}

/// `v4`, `v6`, `all`, `private` (addresses that may share a network with nodes) or CIDRs; what has `-` before it is
/// taken away.
fn clients(words: &str) -> AddressSet {
    let one = |word: &str| match word {
        "v4" => AddressSet::all_of(Family::V4),
        "v6" => AddressSet::all_of(Family::V6),
        "all" => AddressSet::all(),
        "private" => ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"]
            .into_iter()
            .map(|net| AddressSet::net(net.parse().unwrap()))
            .collect(),
        net => AddressSet::net(net.parse().unwrap()),
    };
    words.split_whitespace().fold(AddressSet::empty(), |set, word| match word.strip_prefix('-') {
        Some(less) => set.difference(&one(less)),
        None => set.union(&one(word)),
    })
}

struct Words<'a> {
    analysis: &'a Analysis,
}

impl Words<'_> {
    fn line(&self, way: &Way, part: &Part) -> Line {
        let outside = premise::outside(&self.analysis.cluster, &self.analysis.profile);
        let clients = match &part.clients {
            Clients::Outside(addresses) => addresses.clone(),
            Clients::Party(party) => panic!("{party:?} is not outside"),
        };
        let mut hops: Vec<String> = way.hops.iter().map(|hop| self.hop(hop)).collect();
        let pods: Vec<String> = way.pods.iter().map(|pod| self.pod(*pod)).collect();
        hops.push(match (pods.is_empty(), way.address) {
            (false, _) => format!("{}:{}", pods.join("+"), way.port),
            (true, Some(address)) => format!("{address}:{}", way.port),
            (true, None) => "nobody".to_owned(),
        });
        let mut depends: Vec<String> =
            part.finding.provisos.iter().map(|proviso| word(&proviso.to_string()).to_owned()).collect();
        depends.extend(part.finding.knobs.iter().map(|knob| knob.name().to_owned()));
        if part.finding.flags.contains(&policy_core::model::Flag::Hypothetical) {
            depends.push("hypothetical".to_owned());
        }
        let verdict = part.finding.verdict.as_str();
        let protocol = match way.protocol {
            policy_core::model::Protocol::Tcp => String::new(),
            other => format!("/{}", other.as_str().to_ascii_lowercase()),
        };
        Line {
            head: format!("{verdict} {} {}{protocol}", way.kind.id(), hops.join(" > ")),
            requests: way.served.as_deref().map(requests).unwrap_or_default(),
            source: part.legs.last().map(|leg| self.source(&leg.flow, way, &clients)).unwrap_or_default(),
            clients,
            outside,
            depends: depends.join(", "),
            rule: part.finding.rule,
        }
    }

    fn pod(&self, pod: PodId) -> String {
        let cluster = &self.analysis.cluster;
        let pod = cluster.pods.at(pod);
        format!("{}/{}", cluster.namespaces.at(pod.namespace).name, pod.name)
    }

    fn service(&self, service: ServiceId) -> String {
        let cluster = &self.analysis.cluster;
        let service = cluster.services.at(service);
        format!("{}/{}", cluster.namespaces.at(service.namespace).name, service.name)
    }

    fn hop(&self, hop: &Hop) -> String {
        let number = |port: &Option<u16>| port.map_or("?".to_owned(), |port| port.to_string());
        match hop {
            Hop::Balancer { service, at, port } => {
                format!("lb {} {}:{port}", self.service(*service), at.as_deref().unwrap_or("pending"))
            }
            Hop::Node { node: None, port, .. } => format!("any node:{}", number(port)),
            Hop::Node { node: Some(node), port, .. } => {
                format!("{}:{}", self.analysis.cluster.nodes.at(*node).name, number(port))
            }
            Hop::Service { service, at: Some(at), port } => format!("svc {} {at}:{port}", self.service(*service)),
            Hop::Service { service, at: None, port } => format!("svc {}:{port}", self.service(*service)),
            Hop::Proxy { proxy, port } => {
                let proxy = self.analysis.ways.proxies.get(proxy.index()).unwrap();
                format!("{:?} {}:{port}", proxy.kind, proxy.name)
            }
            Hop::ApiServer => "API server".to_owned(),
            Hop::Pod { pod, port } => format!("{}:{port}", self.pod(*pod)),
            Hop::Address { at, port } => format!("{at}:{port}"),
        }
    }

    /// Who the destination takes the client for.
    fn source(&self, flow: &policy_core::model::Flow, way: &Way, clients: &AddressSet) -> String {
        let nodes = &self.analysis.cluster.nodes;
        match (flow.masqueraded_by, flow.source) {
            (Some(Masquerader::Node(node)), _) => format!("node {}", nodes.at(node).name),
            (Some(Masquerader::OwnNode), _) => "own node".to_owned(),
            (Some(Masquerader::OtherNode), _) => "another node".to_owned(),
            (None, Party::Pod(pod)) => format!("pod {}", self.pod(pod)),
            (None, Party::Node(node)) => format!("node {}", nodes.at(node).name),
            (None, Party::Address(address)) if is_balancer(way, address) => address.to_string(),
            (None, Party::Address(address)) if clients.contains(address) => "client".to_owned(),
            (None, Party::Address(address)) => address.to_string(),
            (None, Party::Somebody(_) | Party::Named(_)) => "somebody".to_owned(),
        }
    }
}

/// A proviso without what it is about.
fn word(proviso: &str) -> &str {
    proviso.split_once(':').map_or(proviso, |(word, _)| word)
}

/// `GET https://host/path`.
fn requests(served: &Served) -> String {
    let when = &served.requests.when;
    let scheme = match (served.requests.app, served.requests.tls) {
        (App::Http, false) => "http",
        (App::Http, true) => "https",
        (App::Opaque, false) => "tcp",
        (App::Opaque, true) => "tls",
    };
    let host = match &when.host {
        HostMatch::Any => "*".to_owned(),
        HostMatch::Exact(name) => name.to_string(),
        HostMatch::OneLabel(name) | HostMatch::Labels(name) => format!("*.{name}"),
        HostMatch::Regex(regex) => regex.written().to_string(),
    };
    let path = match &when.path {
        _ if served.requests.app == App::Opaque => String::new(),
        PathMatch::Any => "/…".to_owned(),
        PathMatch::Exact(path) => path.to_string(),
        PathMatch::Elements(path) if path.is_empty() || **path == *"/" => "/…".to_owned(),
        PathMatch::Elements(path) => format!("{path}/…"),
        PathMatch::Characters(path) => format!("{path}…"),
        PathMatch::Regex(regex) => format!("~{}", regex.written()),
    };
    let headers: Vec<&str> = when.headers.iter().map(|(name, _)| &**name).collect();
    let headers = if headers.is_empty() { String::new() } else { format!(" [{}]", headers.join(", ")) };
    let mirror = if served.mirror { " copies" } else { "" };
    format!("{scheme}://{host}{path}{headers}{mirror}")
}

/// The folder of other projects' manifests beside the repository; `None`, and a word about it, when it is not there.
/// Where everything is to be tested, that is an error.
fn beside(folder: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../../shared", "../../../shared"].map(|path| here.join(path).join("real-manifests").join(folder));
    let found = beside.into_iter().find(|path| path.is_dir());
    if found.is_none() {
        println!("no {folder} beside the repository: nothing was asked");
        assert!(std::env::var("CI").is_ok_and(|ci| ci != "true") || std::env::var("CI").is_err(), "{folder} is needed");
    }
    found
}

/// A folder's manifests, or one file.
fn manifests(path: &Path) -> Given {
    let mut files = Vec::new();
    collect(path, &mut files);
    assert!(!files.is_empty(), "{} is empty", path.display());
    files.sort();
    files.iter().fold(Given::default(), |given, file| given.and(&fs::read_to_string(file).unwrap()))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml")
        && path.file_name().is_some_and(|name| name != "kustomization.yaml")
    {
        files.push(path.to_owned());
    }
}

/// The documents of a file that hold all of these words, or none of them.
fn documents(path: &Path, words: &[&str], with: bool) -> String {
    let text = fs::read_to_string(path).unwrap();
    let kept = text.split("\n---").filter(|document| words.iter().all(|word| document.contains(word)) == with);
    kept.collect::<Vec<_>>().join("\n---\n")
}

/// Whether a way begins at a load balancer that has this address.
fn is_balancer(way: &Way, address: std::net::IpAddr) -> bool {
    matches!(way.hops.first(), Some(Hop::Balancer { at: Some(at), .. }) if **at == *address.to_string())
}
