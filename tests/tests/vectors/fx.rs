//! The common fixture, what a vector adds to it, and how it asks.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use policy_core::ids::NodeId;
use policy_core::model::{
    Client, Cluster, Condition, Decision, Delivery, Domains, Family, Flag, Flow, Judgement, KnobSet, Masquerader,
    NodeView, Packet, Party, Profile, Protocol, SourceAddress, Verdict,
};
use policy_core::ways::Endpoints;
use policy_core::ways::api_server::ApiServer;
use policy_core::ways::dns::{Resolution, condition, resolve};
use tests::pipeline::{Backend, Loaded, find_pod, judge_once, load, party_at, with_deliver, with_judge};

pub(crate) use policy_core::model::Verdict::{Allowed, Conditional, Denied, NoListener, NoRoute, Undefined};

/// The external client of the vectors.
pub(crate) const C: &str = "203.0.113.7";

/// The fixture with the additions of one vector.
pub(crate) struct Fx {
    texts: Vec<(String, String)>,
    profile: Profile,
}

/// A question without any address translation.
pub(crate) fn fx() -> Fx {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus/fx/manifests");
    let names = ["namespaces.yaml", "nodes.yaml", "pods.yaml", "services.yaml"];
    let texts = names.iter().map(|name| ((*name).to_owned(), fs::read_to_string(folder.join(name)).unwrap()));
    Fx { texts: texts.collect(), profile: Profile::default() }
}

impl Fx {
    /// Adds a NetworkPolicy with this spec, in YAML flow style.
    pub(crate) fn policy(mut self, namespace: &str, spec: &str) -> Self {
        let name = format!("policy-{}", self.texts.len());
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: \"{namespace}\"}}\nspec: {spec}\n"
        );
        self.texts.push((format!("{name}.yaml"), text));
        self
    }

    /// Adds a ClusterNetworkPolicy with this spec, in YAML flow style without the outer braces.
    pub(crate) fn cnp(self, spec: &str) -> Self {
        let name = format!("policy-{}", self.texts.len());
        self.cluster_policy("v1alpha2", "ClusterNetworkPolicy", &name, spec)
    }

    /// Adds an AdminNetworkPolicy in the same way.
    pub(crate) fn anp(self, spec: &str) -> Self {
        let name = format!("policy-{}", self.texts.len());
        self.cluster_policy("v1alpha1", "AdminNetworkPolicy", &name, spec)
    }

    /// Adds the BaselineAdminNetworkPolicy.
    pub(crate) fn banp(self, spec: &str) -> Self {
        self.cluster_policy("v1alpha1", "BaselineAdminNetworkPolicy", "default", spec)
    }

    /// Adds any cluster-wide policy.
    pub(crate) fn cluster_policy(mut self, version: &str, kind: &str, name: &str, spec: &str) -> Self {
        let text = format!(
            "apiVersion: policy.networking.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
        );
        self.texts.push((format!("policy-{}.yaml", self.texts.len()), text));
        self
    }

    /// Adds any object.
    pub(crate) fn object(mut self, text: &str) -> Self {
        self.texts.push((format!("object-{}.yaml", self.texts.len()), text.to_owned()));
        self
    }

    /// The profile.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Adds any objects, in YAML.
    pub(crate) fn objects(mut self, text: &str) -> Self {
        self.texts.push((format!("objects-{}.yaml", self.texts.len()), text.to_owned()));
        self
    }

    /// Sets a knob.
    pub(crate) fn set(mut self, knob: &str, value: &str) -> Self {
        self.profile.set(knob, value).unwrap();
        self
    }

    /// Takes a preset.
    pub(crate) fn preset(mut self, name: &str) -> Self {
        self.profile = Profile::preset(name).unwrap();
        self
    }

    /// Replaces the one occurrence of `from` in all texts.
    pub(crate) fn edit(mut self, from: &str, to: &str) -> Self {
        let count: usize = self.texts.iter().map(|(_, text)| text.matches(from).count()).sum();
        assert_eq!(count, 1, "`{from}` occurs {count} times");
        for (_, text) in &mut self.texts {
            *text = text.replace(from, to);
        }
        self
    }

    /// The same objects in the opposite order.
    pub(crate) fn reversed(mut self) -> Self {
        self.texts.reverse();
        self
    }

    /// Reads and lowers without refusing anything.
    pub(crate) fn load(&self) -> Loaded {
        load(self.texts.clone())
    }

    /// Reads and lowers what must not have errors.
    pub(crate) fn cluster(&self) -> Cluster {
        let loaded = self.load();
        let errors: Vec<_> = loaded.errors().map(|error| loaded.describe(error)).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        loaded.cluster
    }

    /// Asks one question; `from` and `to` as in [`leg`](Fx::leg).
    #[track_caller]
    pub(crate) fn check(&self, from: &str, to: &str, wanted: Verdict) -> Judgement {
        let cluster = self.cluster();
        let flow = flow(&cluster, from, to);
        self.judge(&cluster, &flow, wanted)
    }

    /// Asks one question and wants a flag with the answer.
    #[track_caller]
    pub(crate) fn check_flag(&self, from: &str, to: &str, wanted: Verdict, flag: Flag) {
        let judgement = self.check(from, to, wanted);
        assert!(judgement.flags.contains(&flag), "{from} -> {to}: no {flag:?} in {:?}", judgement.flags);
    }

    /// Asks about a leg: the flow after translation, `dialled` by the client and masqueraded by `node`.
    ///
    /// `from`: `ns/pod`, `node:NAME`, or an address; `to` may also be `name:NAME`, a DNS name outside, and has `:PORT`
    /// and perhaps `/udp`, `/sctp` behind it.
    #[track_caller]
    pub(crate) fn leg(&self, from: &str, to: &str, dialled: &str, node: Option<&str>, wanted: Verdict) -> Judgement {
        let cluster = self.cluster();
        let mut flow = flow(&cluster, from, to);
        flow.dialled = Some(dialled.parse().unwrap());
        flow.masqueraded_by = node.map(|node| Masquerader::Node(find_node(&cluster, node)));
        self.judge(&cluster, &flow, wanted)
    }

    /// What a node does with the first packet of a connection: `from` as in [`leg`](Fx::leg), `to` is `ADDRESS:PORT`,
    /// perhaps with `/udp`. A pod that does not run there comes in with its own address.
    #[track_caller]
    pub(crate) fn at(&self, node: &str, from: &str, to: &str) -> At {
        let cluster = self.cluster();
        let (to, protocol) = to.strip_suffix("/udp").map_or((to, Protocol::Tcp), |to| (to, Protocol::Udp));
        let dialled: SocketAddr = to.parse().unwrap();
        let node = find_node(&cluster, node);
        let source = party(&cluster, from);
        let family = Family::of(dialled.ip());
        let view = NodeView::of(&cluster, node);
        let (client, address) = match source {
            Party::Pod(id) => {
                let pod = cluster.pods.at(id);
                let client = match () {
                    () if pod.host_network && pod.node == Some(node) => Client::Host,
                    () if pod.host_network => Client::Outside,
                    () if pod.node == Some(node) => Client::Pod(Some(id)),
                    () => Client::RemotePod(Some(id)),
                };
                (client, pod.address(family))
            }
            // A process that dials loopback is seen with it.
            Party::Node(_) if dialled.ip().is_loopback() => (Client::Host, Some(dialled.ip())),
            Party::Node(id) if id == node => (Client::Host, view.primary(family)),
            Party::Node(id) => (Client::Outside, NodeView::of(&cluster, id).primary(family)),
            Party::Address(ip) => (Client::Outside, Some(ip)),
            Party::Named(_) | Party::Somebody(_) => (Client::Outside, None),
        };
        let (destination, port) = (dialled.ip(), dialled.port());
        let packet = Packet { client, source: address, destination, port, protocol };
        let ask = |backend| with_deliver(backend, &cluster, &self.profile, |judge| judge.deliver(&packet, &view));
        let [spec, compiled] = Backend::ALL.map(ask);
        assert_eq!(compiled, spec, "ways differ from spec on {packet:?}");
        let legs = spec.targets().iter().flat_map(|target| {
            let end = target.pod.map_or_else(|| Party::Address(target.address.unwrap()), Party::Pod);
            let ways = match target.source {
                SourceAddress::Kept => vec![None],
                SourceAddress::Masqueraded => vec![Some(Masquerader::Node(node))],
                SourceAddress::Either(_) => vec![None, Some(Masquerader::Node(node))],
            };
            let direct = Flow::direct(source, end, family, protocol, target.port);
            ways.into_iter().map(move |masqueraded_by| Flow { dialled: Some(dialled), masqueraded_by, ..direct })
        });
        let legs: Vec<Flow> = legs.collect();
        let ends = spec.targets().iter().map(|target| {
            let pod = target.pod.map(|id| {
                let pod = cluster.pods.at(id);
                format!("{}/{}", cluster.namespaces.at(pod.namespace).name, pod.name)
            });
            let end = pod.unwrap_or_else(|| target.address.unwrap().to_string());
            let by = match target.source {
                SourceAddress::Kept => "",
                SourceAddress::Masqueraded => " masqueraded",
                SourceAddress::Either(_) => " either",
            };
            format!("{end}:{}{by}", target.port)
        });
        let ends = ends.collect();
        let judge = |flow: &Flow| {
            let [spec, compiled] = Backend::ALL.map(|backend| judge_once(backend, &cluster, &self.profile, flow));
            assert_eq!(compiled, spec, "compiled differs from spec on {flow:?}");
            spec.verdict
        };
        At { verdicts: legs.iter().map(judge).collect(), decision: spec, ends }
    }

    /// Asks the API server; both evaluators must lead to one answer.
    #[track_caller]
    pub(crate) fn api<T: PartialEq + std::fmt::Debug>(&self, ask: impl Fn(&Cluster, &ApiServer<'_>) -> T) -> T {
        let cluster = self.cluster();
        let endpoints = Endpoints::new(&cluster, &self.profile);
        let [spec, compiled] = Backend::ALL.map(|backend| {
            with_judge(backend, &cluster, &self.profile, |judge| {
                ask(&cluster, &ApiServer::new(&cluster, &self.profile, &endpoints, judge))
            })
        });
        assert_eq!(spec, compiled);
        spec
    }

    /// What a name stands for when a pod asks.
    pub(crate) fn resolve(&self, client: &str, name: &str) -> Resolution {
        let cluster = self.cluster();
        let Party::Pod(client) = party(&cluster, client) else { panic!("{client} is no pod") };
        resolve(&cluster, &self.profile, &Endpoints::new(&cluster, &self.profile), Some(client), name).resolution
    }

    /// What a way by name hinges on besides its own connection.
    pub(crate) fn hinges(&self, client: &str) -> Option<Condition> {
        let cluster = self.cluster();
        let Party::Pod(client) = party(&cluster, client) else { panic!("{client} is no pod") };
        let endpoints = Endpoints::new(&cluster, &self.profile);
        let [spec, compiled] = Backend::ALL.map(|backend| {
            with_judge(backend, &cluster, &self.profile, |judge| {
                condition(&cluster, &self.profile, &endpoints, judge, client)
            })
        });
        assert_eq!(spec, compiled);
        spec
    }

    #[track_caller]
    fn judge(&self, cluster: &Cluster, flow: &Flow, wanted: Verdict) -> Judgement {
        let [spec, compiled] = Backend::ALL.map(|backend| judge_once(backend, cluster, &self.profile, flow));
        assert_eq!(spec.verdict, wanted, "spec on {flow:?}: {spec:#?}");
        assert_eq!(compiled, spec, "compiled differs from spec on {flow:?}");
        spec
    }
}

/// What a node does with a packet, and what policies say of the legs that follow.
pub(crate) struct At {
    pub(crate) decision: Decision,
    /// `ns/pod:PORT`, and what becomes of the source.
    pub(crate) ends: Vec<String>,
    pub(crate) verdicts: Vec<Verdict>,
}

impl At {
    /// The packet goes to these and to nobody else.
    #[track_caller]
    pub(crate) fn goes_to<const N: usize>(self, ends: [&str; N]) -> Self {
        assert_eq!(self.ends, ends, "{:?}", self.decision);
        self
    }

    /// Policies say this of every leg.
    #[track_caller]
    pub(crate) fn and_is(self, wanted: Verdict) -> Self {
        assert!(!self.verdicts.is_empty(), "{:?}", self.decision);
        assert!(self.verdicts.iter().all(|verdict| *verdict == wanted), "{:?} of {:?}", self.verdicts, self.ends);
        self
    }

    /// No endpoint gets it: this happens instead, by this rule.
    #[track_caller]
    pub(crate) fn ends_with(self, delivery: &Delivery, rule: &str) -> Self {
        assert_eq!((&self.decision.delivery, self.decision.rule), (delivery, rule));
        self
    }
}

/// The names of the knobs on which a verdict depends.
pub(crate) fn knobs(judgement: &Judgement) -> Vec<&'static str> {
    let knobs: KnobSet = judgement.knobs();
    knobs.iter().map(|knob| knob.name()).collect()
}

fn flow(cluster: &Cluster, from: &str, to: &str) -> Flow {
    let (to, protocol) = match to.rsplit_once('/') {
        Some((to, "udp")) => (to, Protocol::Udp),
        Some((to, "sctp")) => (to, Protocol::Sctp),
        _ => (to, Protocol::Tcp),
    };
    let (to, port) = to.rsplit_once(':').unwrap();
    let (source, destination) = (party(cluster, from), party(cluster, to));
    let address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let family = address(to).or(address(from)).map_or(Family::V4, Family::of);
    Flow::direct(source, destination, family, protocol, port.parse().unwrap())
}

fn party(cluster: &Cluster, text: &str) -> Party {
    if let Some(node) = text.strip_prefix("node:") {
        return Party::Node(find_node(cluster, node));
    }
    if let Some(name) = text.strip_prefix("name:") {
        return Party::Named(Domains::new(cluster.cluster_policies.values()).class(name));
    }
    match text.trim_matches(['[', ']']).parse() {
        Ok(address) => party_at(cluster, address),
        Err(_) => {
            let (namespace, name) = text.split_once('/').unwrap();
            Party::Pod(find_pod(cluster, namespace, name).unwrap())
        }
    }
}

fn find_node(cluster: &Cluster, name: &str) -> NodeId {
    cluster.nodes.iter().find(|(_, node)| *node.name == *name).unwrap().0
}
