//! Host ports: what containers declare (HP-2, HP-6, HN-1), and where two of them meet (HP-5).

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, NodeId, PodId, WorkloadId};
use crate::lower::addresses::parse_ip;
use crate::lower::context::Context;
use crate::lower::namespaces::Namespaces;
use crate::lower::ports::port_number;
use crate::model::{HostPort, Pod, PodState, Protocol, Workload, WorkloadKind};
use crate::snapshot::{ContainerPort, PodSpec};

/// The host ports of a pod: of its containers, not of the init containers and sidecars (HP-6).
pub(super) fn host_ports(spec: &PodSpec, context: &mut Context) -> Vec<HostPort> {
    let host_network = spec.host_network.unwrap_or(false);
    let declared = spec.containers.iter().flatten().flat_map(|container| container.ports.iter().flatten());
    declared.filter_map(|port| host_port(port, host_network, context)).collect()
}

/// What is wrong with `protocol` and `containerPort` is reported with the declared ports.
fn host_port(written: &ContainerPort, host_network: bool, context: &mut Context) -> Option<HostPort> {
    let protocol = written.protocol.as_ref().map_or(Some(Protocol::Tcp), |text| Protocol::parse(&text.value))?;
    let container_port = u16::try_from(written.container_port.as_ref()?.value).ok().filter(|port| *port != 0)?;
    let port = match written.host_port.filter(|port| port.value != 0) {
        Some(port) => port_number("HP-6", port.value, port.span, context)?,
        // HN-1
        None if host_network => container_port,
        None => return None,
    };
    if host_network && port != container_port {
        let place = written.host_port.and_then(|port| port.span);
        let message = format!("`hostPort` is {port} and `containerPort` {container_port} on the host's network");
        context
            .report(Diagnostic::error("HN-1", place, message).help("write the same number, or leave `hostPort` out"));
        return None;
    }
    let ip = match written.host_ip.as_ref().filter(|text| !text.value.is_empty()) {
        None => None,
        Some(text) => match parse_ip(text, context) {
            Some(ip) => Some(ip),
            None => {
                let message = format!("`{}` is not an IP address", text.value);
                context.report(Diagnostic::error("HP-2", text.span, message).help("write an address of the node"));
                return None;
            }
        },
    };
    Some(HostPort { protocol, port, ip, container_port })
}

/// Who has a port of a node.
#[derive(Clone, Copy)]
struct Holder {
    pod: PodId,
    ip: Option<IpAddr>,
}

/// HP-5: two pods of one node cannot have one port; the template of a DaemonSet is on every node.
pub(super) fn warn_of_conflicts(
    pods: &IdVec<PodId, Pod>,
    workloads: &IdVec<WorkloadId, Workload>,
    namespaces: &Namespaces,
    context: &mut Context,
) {
    let mut held: FxHashMap<(Option<NodeId>, Protocol, u16), Vec<Holder>> = FxHashMap::default();
    let mut reported: BTreeSet<(PodId, PodId)> = BTreeSet::new();
    // Templates first: what is on every node is in everybody's way.
    let templates = pods.iter().filter(|(_, pod)| pod.state == PodState::Template);
    let others = pods.iter().filter(|(_, pod)| matches!(pod.state, PodState::Live | PodState::Pending));
    for (id, pod) in templates.chain(others).filter(|(_, pod)| !pod.host_ports.is_empty()) {
        let is_daemon = workloads.get(pod.workload).is_some_and(|owner| owner.kind == WorkloadKind::DaemonSet);
        let node = match (pod.state, pod.node) {
            (PodState::Template, None) if is_daemon => None,
            (_, Some(node)) => Some(node),
            _ => continue,
        };
        for port in pod.host_ports.iter() {
            let key = (port.protocol, port.port);
            let holder = Holder { pod: id, ip: port.ip };
            let everywhere = held.get(&(None, key.0, key.1)).into_iter().flatten();
            let here = held.get(&(node, key.0, key.1)).filter(|_| node.is_some()).into_iter().flatten();
            let met = everywhere.chain(here).find(|other| other.pod != id && meet(other.ip, holder.ip)).copied();
            held.entry((node, key.0, key.1)).or_default().push(holder);
            let Some(other) = met.filter(|other| reported.insert((other.pod, id))) else { continue };
            let name = |id: PodId| {
                let pod = pods.get(id)?;
                Some(format!("{}/{}", namespaces.namespaces.get(pod.namespace)?.name, pod.name))
            };
            let (Some(first), Some(second)) = (name(other.pod), name(id)) else { continue };
            let message =
                format!("`{first}` and `{second}` want host port {}/{} of one node", port.port, port.protocol);
            let elsewhere = pods.get(other.pod).and_then(|pod| pod.span);
            let diagnostic = Diagnostic::warning("HP-5", pod.span, message).also(elsewhere, "the other pod");
            context.report(diagnostic.help("the scheduler places only one of them there: use another port"));
        }
    }
}

/// Whether two host addresses are in each other's way: the scheduler knows one wildcard, `0.0.0.0`.
fn meet(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let is_wildcard = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_ipv4() && ip.is_unspecified());
    is_wildcard(one) || is_wildcard(other) || one == other
}
