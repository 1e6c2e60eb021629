//! `service-flow/v1`: what kube-proxy on one node does with the first packet of a connection.

mod format;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipnet::IpNet;
use policy_core::lower::LowerOptions;
use policy_core::model::{Client, Cluster, Decision, Delivery, NodeView, Packet, Profile, Protocol, SourceAddress};
use serde_json::{Value, json};

use crate::discover::CaseFile;
use crate::pipeline::{Backend, load_with, with_deliver};
use crate::report::Outcome;

pub use format::{Case, ClientKind, Expect, FlowAsked, Proxy};

/// What names an object: kind, namespace, name.
type Key = (String, String, String);

/// Runs one case: every flow in every mode is one question.
#[must_use]
pub fn run(backend: Backend, file: &CaseFile) -> Outcome {
    match serde_json::from_value::<Case>(file.content.clone()) {
        Ok(case) => run_case(backend, &case),
        Err(error) => Outcome::broken(file.path.display().to_string(), format!("not a service-flow file: {error}")),
    }
}

fn run_case(backend: Backend, case: &Case) -> Outcome {
    let mut outcome = Outcome { name: case.name.clone(), right: 0, asked: 0, remark: None, differences: Vec::new() };
    for mode in case.mode.as_slice() {
        let asked = profile(mode, &case.proxy).and_then(|profile| in_mode(backend, case, &profile, &mut outcome));
        if let Err(problem) = asked {
            outcome.differences.push(format!("{mode}: {problem}"));
        }
    }
    outcome
}

fn in_mode(backend: Backend, case: &Case, profile: &Profile, outcome: &mut Outcome) -> Result<(), String> {
    let mut objects: BTreeMap<Key, Value> = BTreeMap::new();
    apply(&mut objects, &case.objects)?;
    ask(backend, case, profile, &objects, ("at first", &case.flows), outcome)?;
    for (index, step) in case.steps.iter().enumerate() {
        let title = step.name.clone().unwrap_or_else(|| format!("step {}", index + 1));
        apply(&mut objects, &step.apply)?;
        for gone in &step.delete {
            let key = (gone.kind.clone(), gone.namespace.clone().unwrap_or_default(), gone.name.clone());
            objects.remove(&key).ok_or_else(|| format!("{title}: there is no {} `{}`", gone.kind, gone.name))?;
        }
        ask(backend, case, profile, &objects, (&title, &step.flows), outcome)?;
    }
    Ok(())
}

fn apply(objects: &mut BTreeMap<Key, Value>, manifests: &[Value]) -> Result<(), String> {
    for object in manifests {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) else {
            return Err("an object has no `kind` or no name".to_owned());
        };
        objects.insert((kind, text("/metadata/namespace").unwrap_or_default(), name), object.clone());
    }
    Ok(())
}

fn profile(mode: &str, proxy: &Proxy) -> Result<Profile, String> {
    let mut profile = Profile::default();
    let mut set = |knob: &str, value: &str| profile.set(knob, value).map_err(|error| error.to_string());
    set("kube_proxy_mode", mode)?;
    set("masquerade_all", &proxy.masquerade_all.to_string())?;
    set("detect_local", if proxy.local_detector == "none" { "none" } else { "ClusterCIDR" })?;
    if !proxy.service_cidrs.is_empty() {
        set("service_cidrs", &proxy.service_cidrs.join(","))?;
    }
    if let Some(ranges) = &proxy.node_port_addresses {
        let ranges = if ranges.is_empty() { "none".to_owned() } else { ranges.join(",") };
        set("nodeport_addresses", &ranges)?;
    }
    set("localhost_nodeports", &proxy.localhost_node_ports.unwrap_or(true).to_string())?;
    Ok(profile)
}

fn ask(
    backend: Backend,
    case: &Case,
    profile: &Profile,
    objects: &BTreeMap<Key, Value>,
    (title, flows): (&str, &[FlowAsked]),
    outcome: &mut Outcome,
) -> Result<(), String> {
    let mode = profile.ways.kube_proxy_mode.as_str();
    let name = |(kind, namespace, name): &Key| format!("{kind}/{namespace}/{name}.yaml");
    let texts = objects.iter().map(|(key, object)| (name(key), object.to_string()));
    // Some cases hold what an API server refuses, and ask what kube-proxy makes of it.
    let options = LowerOptions { nodeport_range: (1, 65535), keep_refused: true, ..LowerOptions::default() };
    let may_be_refused = |rule: &str| ["SVC-", "KP-"].iter().any(|family| rule.starts_with(family));
    // A pod that no Service selects: the node is known by it, whether or not an endpoint is there.
    let bystander = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "bystander", "namespace": "of-the-runner", "uid": "1", "resourceVersion": "1"},
        "spec": {"nodeName": case.proxy.node_name},
    });
    let loaded = load_with(texts.chain([("bystander.json".to_owned(), bystander.to_string())]), &options);
    outcome.asked += flows.len();
    let errors = loaded.errors().filter(|error| !may_be_refused(error.rule));
    let errors: Vec<_> = errors.map(|error| loaded.describe(error)).collect();
    if !errors.is_empty() {
        return Err(format!("{title}: not asked: {}", errors.join("; ")));
    }
    let at = node_view(&loaded.cluster, &case.proxy);
    let ranges = pod_ranges(&case.proxy)?;
    with_deliver(backend, &loaded.cluster, profile, |judge| {
        for flow in flows {
            let answer = packet(flow, &ranges, case).and_then(|packet| {
                let decision = judge.kube_proxy(&packet, &at);
                compare(flow, &decision)
            });
            match answer {
                Ok(()) => outcome.right += 1,
                Err(problem) => outcome.differences.push(format!("{mode}, {title}: {}: {problem}", flow.name)),
            }
        }
    });
    Ok(())
}

fn node_view(cluster: &Cluster, proxy: &Proxy) -> NodeView {
    let node = cluster.nodes.iter().find(|(_, node)| *node.name == *proxy.node_name).map(|(id, _)| id);
    NodeView {
        node,
        addresses: proxy.node_ips.clone(),
        zone: proxy.zone.as_deref().map(policy_core::model::Name::from),
        holds_unplaced: false,
    }
}

fn pod_ranges(proxy: &Proxy) -> Result<Vec<IpNet>, String> {
    let ranges = proxy.pod_cidr.iter().flat_map(|ranges| ranges.as_slice());
    ranges.map(|range| range.parse().map_err(|_| format!("`{range}` is not a CIDR"))).collect()
}

fn packet(flow: &FlowAsked, ranges: &[IpNet], case: &Case) -> Result<Packet, String> {
    let detects = case.proxy.local_detector != "none";
    let looks_like_a_pod = ranges.iter().any(|range| range.contains(&flow.from));
    let client = match flow.client {
        _ if detects && looks_like_a_pod => Client::Pod(None),
        ClientKind::Pod if !detects => Client::Pod(None),
        ClientKind::Pod | ClientKind::External => Client::Outside,
        ClientKind::Node | ClientKind::Localhost | ClientKind::LbAddress => Client::Host,
    };
    let protocol = Protocol::parse(&flow.protocol).ok_or_else(|| format!("`{}` is not a protocol", flow.protocol))?;
    Ok(Packet { client, source: Some(flow.from), destination: flow.to, port: flow.port, protocol })
}

fn compare(flow: &FlowAsked, decision: &Decision) -> Result<(), String> {
    let wrong = || Err(format!("wanted {:?}, got {:?} [{}]", flow.expect, decision.delivery, decision.rule));
    let wanted = match (&flow.expect, &decision.delivery) {
        (Expect::Drop(true), Delivery::Drop)
        | (Expect::Reject(true), Delivery::Reject)
        | (Expect::Unchanged(true), Delivery::Unchanged)
        | (Expect::Accept(true), Delivery::Accept) => return Ok(()),
        (Expect::Endpoints(wanted), Delivery::Endpoints(_)) => wanted.iter().copied().collect::<BTreeSet<_>>(),
        _ => return wrong(),
    };
    let used = || decision.targets().iter().filter(|target| target.preferred);
    let socket = |target: &policy_core::model::Target| Some(SocketAddr::new(target.address?, target.port));
    let found: BTreeSet<_> = used().filter_map(socket).collect();
    if found != wanted || found.len() != used().count() {
        return wrong();
    }
    let only: Option<BTreeSet<_>> = flow.masquerade_only_to.as_ref().map(|list| list.iter().copied().collect());
    for target in used() {
        let here = match (&only, flow.masquerade) {
            (Some(only), _) => Some(socket(target).is_some_and(|at| only.contains(&at))),
            (None, wanted) => wanted,
        };
        let source = match here {
            None => continue,
            Some(true) => SourceAddress::Masqueraded,
            Some(false) => SourceAddress::Kept,
        };
        if target.source != source {
            return Err(format!("wanted the source {source:?}, got {:?} for {:?}", target.source, socket(target)));
        }
    }
    Ok(())
}
