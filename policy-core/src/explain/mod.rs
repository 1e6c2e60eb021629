//! Why: every policy, every rule, every peer and port entry, matched or why not.
//!
//! The verdict and the hit of each rule come from the compiled tables, the same that answer questions; this
//! module adds the words.

use crate::analysis::Analysis;
use crate::ids::{PodId, PolicyId};
use crate::model::leg::Question;
use crate::model::premise::{self, Seen, Whereabouts};
use crate::model::profile::EgressServiceView;
use crate::model::{
    Cluster, Direction, Family, Flow, Hit, IpBlock, Judge, Judgement, Knob, LabelSet, NamespaceScope, NetworkPolicy,
    Party, Peer, Peers, PortMatch, PortRule, Ports, Rule, RuleRef, Selector,
};
use crate::source::Span;

/// The full story of one flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The flow.
    pub flow: Flow,
    /// The verdict; the same that [`Judge::judge`] gives.
    pub judgement: Judgement,
    /// The policies of the source's namespace.
    pub egress: Vec<PolicyTrace>,
    /// The policies of the destination's namespace.
    pub ingress: Vec<PolicyTrace>,
}

/// One policy of the namespace at one end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyTrace {
    /// The policy.
    pub policy: PolicyId,
    /// Why it plays no part in this direction, if it does not.
    pub skipped: Option<String>,
    /// Its rules for the direction, when it plays a part.
    pub rules: Vec<RuleTrace>,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleTrace {
    /// Which rule.
    pub rule: RuleRef,
    /// Where it is written.
    pub span: Option<Span>,
    /// Whether it admits the flow.
    pub hit: Hit,
    /// Its peers; empty when the rule is for everybody (NP-9).
    pub peers: Vec<EntryTrace>,
    /// Its ports; empty when the rule is for every port (NP-14).
    pub ports: Vec<EntryTrace>,
}

/// One peer or port entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryTrace {
    /// Where it is written.
    pub span: Option<Span>,
    /// Whether it matches.
    pub hit: Hit,
    /// What it says, and why it matches or does not, as one phrase.
    pub why: String,
}

/// Explains one flow.
#[must_use]
pub fn explain(analysis: &Analysis, flow: &Flow) -> Trace {
    let judgement = analysis.judge(flow);
    let seen = |party: Party| premise::seen(&analysis.cluster, &analysis.profile, party);
    let (source, destination) = (seen(flow.source), seen(flow.destination));
    let question = |direction, other, names_of, port| Question {
        direction,
        other,
        names_of,
        family: flow.family,
        protocol: flow.protocol,
        port,
        exempt: None,
    };
    let pod = |seen| match seen {
        Seen::Pod(pod) => Some(pod),
        Seen::Host { .. } | Seen::Address(_) | Seen::Named(_) => None,
    };
    let egress = pod(source).map(|id| {
        let question = match flow.dialled {
            Some(dialled) if analysis.profile.egress_service_view == Some(EgressServiceView::PreDnat) => {
                question(Direction::Egress, Seen::Address(dialled.ip()), None, dialled.port())
            }
            _ => question(Direction::Egress, destination, pod(destination), flow.port),
        };
        policies(analysis, id, &question)
    });
    let ingress = pod(destination).map(|id| {
        let source = match flow.masqueraded_by {
            Some(node) => Seen::Host { node: Some(node), pod: None },
            None => source,
        };
        policies(analysis, id, &question(Direction::Ingress, source, Some(id), flow.port))
    });
    Trace { flow: *flow, judgement, egress: egress.unwrap_or_default(), ingress: ingress.unwrap_or_default() }
}

/// Every policy of the pod's namespace, in order.
fn policies(analysis: &Analysis, pod: PodId, question: &Question) -> Vec<PolicyTrace> {
    let cluster = &analysis.cluster;
    let object = cluster.pods.at(pod);
    let hits = analysis.compiled.rule_hits(pod, question);
    let of_namespace = cluster.policies.iter().filter(|(_, policy)| policy.namespace == object.namespace);
    of_namespace
        .map(|(id, policy)| {
            let skipped = match policy.rules(question.direction) {
                // The tables hold no rules then.
                _ if !analysis.profile.enforcement => Some("nothing enforces policies (NP-32)".to_owned()),
                None => Some(format!("{} is not among its policy types (NP-3)", question.direction)),
                Some(_) => {
                    miss(&policy.selector, &object.labels).map(|why| format!("does not select the pod: {why} (NP-1)"))
                }
            };
            let rules = if skipped.is_some() { &[] } else { policy.rules(question.direction).unwrap_or_default() };
            let trace = |(index, rule): (u32, &Rule)| {
                let reference = RuleRef { policy: id, direction: question.direction, index };
                let hit = hits.iter().find(|(of, _)| *of == reference).map_or(Hit::No, |(_, hit)| *hit);
                RuleTrace {
                    rule: reference,
                    span: rule.span,
                    hit,
                    peers: peers(analysis, rule, policy, question),
                    ports: ports(analysis, rule, question),
                }
            };
            PolicyTrace { policy: id, skipped, rules: (0_u32..).zip(rules).map(trace).collect() }
        })
        .collect()
}

fn peers(analysis: &Analysis, rule: &Rule, policy: &NetworkPolicy, question: &Question) -> Vec<EntryTrace> {
    let Peers::OneOf(list) = &rule.peers else { return Vec::new() };
    let entry = |peer: &Peer| {
        let (hit, why) = match peer {
            Peer::Pods { namespaces, pods, .. } => {
                pod_peer(&analysis.cluster, namespaces, pods, policy, question.other)
            }
            Peer::Block(block) => block_peer(analysis, block, question),
        };
        EntryTrace { span: peer.span(), hit, why }
    };
    list.iter().map(entry).collect()
}

/// NP-9, NP-10.
fn pod_peer(
    cluster: &Cluster,
    namespaces: &NamespaceScope,
    pods: &Selector,
    policy: &NetworkPolicy,
    other: Seen,
) -> (Hit, String) {
    let own = &cluster.namespaces.at(policy.namespace).name;
    let who = match namespaces {
        NamespaceScope::Own => format!("pods {pods} in {own}"),
        NamespaceScope::Matching(selector) => format!("pods {pods} in namespaces {selector}"),
    };
    let Seen::Pod(id) = other else {
        return (Hit::No, format!("{who}: selectors match pods only (NP-9)"));
    };
    let pod = cluster.pods.at(id);
    let space = cluster.namespaces.at(pod.namespace);
    let why_not = match namespaces {
        NamespaceScope::Own if pod.namespace != policy.namespace => Some(format!("the pod is in {}", space.name)),
        NamespaceScope::Own => None,
        NamespaceScope::Matching(selector) => {
            miss(selector, &space.labels).map(|why| format!("namespace {}: {why}", space.name))
        }
    };
    match why_not.or_else(|| miss(pods, &pod.labels)) {
        Some(why) => (Hit::No, format!("{who}: {why}")),
        None => (Hit::Yes, format!("{who}: matches")),
    }
}

/// The first requirement that labels do not meet, in words (NP-11).
fn miss(selector: &Selector, labels: &LabelSet) -> Option<String> {
    let requirement = selector.requirements().iter().find(|requirement| !requirement.matches(labels))?;
    Some(match labels.get(&requirement.key) {
        Some(value) => format!("{requirement} does not hold, it has {}={value}", requirement.key),
        None => format!("{requirement} does not hold, it has no label {}", requirement.key),
    })
}

/// NP-12, NP-13.
fn block_peer(analysis: &Analysis, block: &IpBlock, question: &Question) -> (Hit, String) {
    let who = if block.except.is_empty() {
        format!("ipBlock {}", block.cidr)
    } else {
        let except: Vec<String> = block.except.iter().map(ToString::to_string).collect();
        format!("ipBlock {} except {}", block.cidr, except.join(", "))
    };
    let (cluster, profile) = (&analysis.cluster, &analysis.profile);
    if Family::of(block.cidr.network()) != question.family {
        return (Hit::No, format!("{who}: the connection is {} (NP-12)", question.family));
    }
    let (counts, knob) = match question.other {
        Seen::Address(_) | Seen::Named(_) => (true, ""),
        Seen::Pod(_) => (profile.ipblock_matches_pods, "ipblock_matches_pods=false"),
        Seen::Host { .. } => (profile.ipblock_matches_nodes, "ipblock_matches_nodes=false"),
    };
    let whereabouts = premise::whereabouts(cluster, profile, question.other, question.family);
    if !counts {
        return (Hit::No, format!("{who}: {knob} (NP-13)"));
    }
    let addresses = block.addresses();
    let hit = whereabouts.within(&addresses);
    let why = match (&whereabouts, hit) {
        (Whereabouts::Known(known), hit) => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let known = known.join(", ");
            match hit {
                Hit::Yes => format!("holds {known}"),
                Hit::No => format!("does not hold {known}"),
                Hit::Maybe(_) => format!("holds some of {known}, and nobody says which one is used"),
            }
        }
        (Whereabouts::Within(_, doubts), hit) => {
            let knobs: Vec<&str> = doubts.knobs.iter().map(Knob::name).collect();
            match (hit, knobs.is_empty()) {
                (Hit::Maybe(_), true) => "what the name stands for is not known".to_owned(),
                (Hit::Maybe(_), false) => format!("the address is not known; set {}", knobs.join(", ")),
                (Hit::Yes, true) => "holds every address".to_owned(),
                (Hit::Yes, false) => format!("holds every address that {} leaves", knobs.join(", ")),
                (Hit::No, true) => "holds no address".to_owned(),
                (Hit::No, false) => format!("holds no address that {} leaves", knobs.join(", ")),
            }
        }
    };
    (hit, format!("{who}: {why}"))
}

fn ports(analysis: &Analysis, rule: &Rule, question: &Question) -> Vec<EntryTrace> {
    let Ports::OneOf(list) = &rule.ports else { return Vec::new() };
    let entry = |entry: &PortRule| {
        let (hit, why) = port_entry(analysis, entry, question);
        EntryTrace { span: entry.span, hit, why }
    };
    list.iter().map(entry).collect()
}

/// NP-14 … NP-16.
fn port_entry(analysis: &Analysis, entry: &PortRule, question: &Question) -> (Hit, String) {
    let protocol = entry.protocol;
    let honoured = |end: &Option<u16>| end.filter(|_| analysis.profile.endport_support);
    let what = match &entry.port {
        PortMatch::All => format!("{protocol} all"),
        PortMatch::Number { port, end } => match honoured(end) {
            Some(end) => format!("{protocol} {port}-{end}"),
            None => format!("{protocol} {port}"),
        },
        PortMatch::Name(name) => format!("{protocol} {name}"),
    };
    if protocol != question.protocol {
        return (Hit::No, format!("{what}: the connection is {}", question.protocol));
    }
    match &entry.port {
        PortMatch::All => (Hit::Yes, format!("{what}: matches")),
        PortMatch::Number { port, end } => {
            let hit = Hit::sure((*port..=honoured(end).unwrap_or(*port)).contains(&question.port));
            let unsupported = end.is_some() && honoured(end).is_none();
            let why = match (hit, unsupported) {
                (Hit::Yes, _) => "matches".to_owned(),
                (_, true) => format!("the port is {}, and endport_support=false (NP-15)", question.port),
                (_, false) => format!("the port is {}", question.port),
            };
            (hit, format!("{what}: {why}"))
        }
        PortMatch::Name(name) => {
            let Some(pod) = question.names_of else {
                return (Hit::No, format!("{what}: the destination is no pod (NP-16a)"));
            };
            let declared = analysis.cluster.pods.at(pod).ports.iter();
            let called = declared.filter(|port| port.name.as_ref() == Some(name) && port.protocol == protocol);
            let numbers: Vec<String> = called.map(|port| port.port.to_string()).collect();
            let hit = analysis.compiled.named_port_hit(pod, protocol, name, question.port);
            let why = match (numbers.as_slice(), hit) {
                ([], _) => "the destination has no port of that name (NP-16)".to_owned(),
                (numbers, Hit::Yes) => format!("the destination's {} is {}", name, numbers.join(" and ")),
                (numbers, Hit::No) => {
                    format!("the destination's {} is {}, the port is {}", name, numbers.join(" and "), question.port)
                }
                (numbers, Hit::Maybe(_)) => {
                    format!("the destination calls {} so; set duplicate_port_names (NP-16)", numbers.join(" and "))
                }
            };
            (hit, format!("{what}: {why}"))
        }
    }
}
