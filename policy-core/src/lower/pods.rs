//! Pods: state, addresses, declared ports (NP-16, NP-22, NP-27, NP-30).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::diagnostic::Diagnostic;
use crate::ids::{NamespaceId, NodeId, WorkloadId};
use crate::lower::addresses::parse_ip;
use crate::lower::context::Context;
use crate::lower::host_ports::host_ports;
use crate::lower::ports::container_ports;
use crate::model::{Family, Name, Node, Pod, PodState};
use crate::snapshot::{Object, PodBody, PodSpec, PodStatus, WorkloadBody};
use crate::source::Spanned;

/// The addresses of one pod, at most one of each family (NP-30).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Addresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// Keeps the first address of each family.
    fn add(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.v4 = self.v4.or(Some(ip)),
            IpAddr::V6(ip) => self.v6 = self.v6.or(Some(ip)),
        }
    }

    fn is_empty(self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }
}

/// Lowers a pod of the input.
pub(super) fn pod(
    (namespace, workload): (NamespaceId, WorkloadId),
    name: &Name,
    (object, body): (&Object, &PodBody),
    node: Option<(NodeId, &Node)>,
    context: &mut Context,
) -> Pod {
    let host_network = is_host_network(body.spec.as_ref());
    let status = body.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let written = status.map(|status| status_addresses(status, context)).unwrap_or_default();
    let (state, addresses) = match phase {
        // NP-27: it has no network; its last address may already be another pod's.
        Some("Succeeded" | "Failed") => (PodState::Finished, Addresses::default()),
        Some("Pending") if written.is_empty() => (PodState::Pending, written),
        _ if host_network => (PodState::Live, host_addresses(written, status, node.map(|(_, node)| node))),
        _ => (PodState::Live, written),
    };
    let spec = body.spec.as_ref();
    let ports = spec.map(|spec| container_ports(spec, context)).unwrap_or_default();
    let host_ports = spec.map(|spec| host_ports(spec, context)).unwrap_or_default();
    Pod {
        namespace,
        workload,
        name: name.clone(),
        labels: context.labels(object.metadata.labels.as_ref()),
        node: node.map(|(id, _)| id),
        v4: addresses.v4,
        v6: addresses.v6,
        host_network,
        service_account: service_account(body.spec.as_ref(), context),
        automount: body.spec.as_ref().and_then(|spec| spec.automount_service_account_token),
        cluster_dns: uses_cluster_dns(body.spec.as_ref()),
        service_links: has_service_links(body.spec.as_ref()),
        ports: context.ports(ports),
        host_ports: context.host_ports(host_ports),
        ready: ready(object, status),
        terminating: object.metadata.deletion_timestamp.as_ref().is_some_and(|at| !at.is_empty()),
        hostname: word(spec.and_then(|spec| spec.hostname.as_ref()), context),
        subdomain: word(spec.and_then(|spec| spec.subdomain.as_ref()), context),
        state,
        span: object.span,
    }
}

/// The pod that stands for the pods of a workload without any (NP-11b).
pub(super) fn template(
    (namespace, workload): (NamespaceId, WorkloadId),
    name: &Name,
    (object, body): (&Object, &WorkloadBody),
    node: Option<NodeId>,
    context: &mut Context,
) -> Pod {
    let spec = body.template.spec.as_ref();
    let metadata = body.template.metadata.as_ref();
    let ports = spec.map(|spec| container_ports(spec, context)).unwrap_or_default();
    let host_ports = spec.map(|spec| host_ports(spec, context)).unwrap_or_default();
    Pod {
        namespace,
        workload,
        name: name.clone(),
        labels: context.labels(metadata.and_then(|metadata| metadata.labels.as_ref())),
        node,
        v4: None,
        v6: None,
        host_network: is_host_network(spec),
        service_account: service_account(spec, context),
        automount: spec.and_then(|spec| spec.automount_service_account_token),
        cluster_dns: uses_cluster_dns(spec),
        service_links: has_service_links(spec),
        ports: context.ports(ports),
        host_ports: context.host_ports(host_ports),
        ready: None,
        terminating: false,
        hostname: word(spec.and_then(|spec| spec.hostname.as_ref()), context),
        subdomain: word(spec.and_then(|spec| spec.subdomain.as_ref()), context),
        state: if body.finished { PodState::Finished } else { PodState::Template },
        span: object.span,
    }
}

/// SVC-9: without conditions nobody knows, unless it is a server that says nothing.
fn ready(object: &Object, status: Option<&PodStatus>) -> Option<bool> {
    let metadata = &object.metadata;
    let by_server = metadata.uid.is_some() && metadata.resource_version.is_some();
    match status.and_then(|status| status.conditions) {
        Some(conditions) => Some(conditions.ready.unwrap_or(false)),
        None => by_server.then_some(false),
    }
}

/// The one allocation of a word; the API has `""` for none.
fn word(written: Option<&Name>, context: &mut Context) -> Option<Name> {
    written.filter(|word| !word.is_empty()).map(|word| context.name(word))
}

pub(super) fn is_host_network(spec: Option<&PodSpec>) -> bool {
    spec.and_then(|spec| spec.host_network).unwrap_or(false)
}

/// API-11: `default`, where the pod names none.
fn service_account(spec: Option<&PodSpec>, context: &mut Context) -> Name {
    let written = |name: &&Name| !name.is_empty();
    let named = spec.and_then(|spec| {
        let now = spec.service_account_name.as_ref().filter(written);
        now.or_else(|| spec.service_account.as_ref().filter(written))
    });
    match named {
        Some(name) => context.name(name),
        None => context.name(&Name::from("default")),
    }
}

/// DNS-1: a pod on the host's network has the host's resolver unless it asks for the cluster's.
fn uses_cluster_dns(spec: Option<&PodSpec>) -> bool {
    match spec.and_then(|spec| spec.dns_policy.as_deref()) {
        None | Some("" | "ClusterFirst") => !is_host_network(spec),
        Some(policy) => policy == "ClusterFirstWithHostNet",
    }
}

/// API-12
fn has_service_links(spec: Option<&PodSpec>) -> bool {
    spec.and_then(|spec| spec.enable_service_links).unwrap_or(true)
}

fn status_addresses(status: &PodStatus, context: &mut Context) -> Addresses {
    let many = status.pod_ips.iter().flatten().filter_map(|entry| entry.ip.as_ref());
    let written: Vec<&Spanned<Name>> = many.chain(&status.pod_ip).filter(|text| !text.value.is_empty()).collect();
    let mut addresses = Addresses::default();
    let mut seen: BTreeSet<&Name> = BTreeSet::new();
    for text in written {
        // `podIP` repeats the first of `podIPs`.
        if !seen.insert(&text.value) {
            continue;
        }
        match parse_ip(text, context) {
            Some(ip) => addresses.add(ip),
            None => bad_address(text, context),
        }
    }
    if let Some(text) = status.host_ip.as_ref().filter(|text| !text.value.is_empty())
        && parse_ip(text, context).is_none()
    {
        bad_address(text, context);
    }
    addresses
}

/// IN-19
fn bad_address(text: &Spanned<Name>, context: &mut Context) {
    let message = format!("`{}` is not an IP address", text.value);
    context.report(Diagnostic::error("IN-19", text.span, message).help("write it as `10.0.0.1` or `fd00::1`"));
}

/// A pod on the host's network has the host's addresses (NP-22): those of its status, else what is known of its node.
fn host_addresses(written: Addresses, status: Option<&PodStatus>, node: Option<&Node>) -> Addresses {
    if !written.is_empty() {
        return written;
    }
    let mut addresses = written;
    let host_ip = status.and_then(|status| status.host_ip.as_ref());
    let host_ip = host_ip.and_then(|text| text.value.parse::<IpAddr>().ok());
    let of_node = node.into_iter().flat_map(|node| Family::ALL.map(|family| node.source_addresses(family))).flatten();
    for ip in host_ip.map(|ip| ip.to_canonical()).into_iter().chain(of_node) {
        addresses.add(ip);
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::testing::{Build, errors, lower_all, node, pod, warnings, workload};
    use crate::model::Cluster;

    fn only(cluster: &Cluster) -> &Pod {
        assert_eq!(cluster.pods.len(), 1);
        cluster.pods.values().next().unwrap()
    }

    fn addresses(pod: &Pod) -> (Option<String>, Option<String>) {
        (pod.v4.map(|ip| ip.to_string()), pod.v6.map(|ip| ip.to_string()))
    }

    #[test]
    fn the_phase_decides_the_state() {
        // NP-27, TV-37
        let state = |build: fn(Build) -> Build| only(&lower_all(vec![build(pod("x", "a")).done()]).0).state;
        assert_eq!(state(|pod| pod), PodState::Live);
        assert_eq!(state(|pod| pod.phase("Running").ips(["10.0.0.1"])), PodState::Live);
        assert_eq!(state(|pod| pod.phase("Pending").ips(["10.0.0.1"])), PodState::Live);
        assert_eq!(state(|pod| pod.phase("Pending")), PodState::Pending);
        assert_eq!(state(|pod| pod.phase("Unknown")), PodState::Live);
        assert_eq!(state(|pod| pod.phase("Succeeded")), PodState::Finished);
        assert_eq!(state(|pod| pod.phase("Failed")), PodState::Finished);
    }

    #[test]
    fn a_finished_pod_has_no_address() {
        // NP-27
        let (cluster, _) = lower_all(vec![pod("x", "a").phase("Succeeded").ips(["10.0.0.1"]).done()]);
        assert!(only(&cluster).is_unaddressed());
    }

    #[test]
    fn a_pod_has_the_first_address_of_each_family() {
        // NP-30
        let (cluster, _) = lower_all(vec![pod("x", "a").ips(["fd00::1", "10.0.0.1", "10.0.0.2", "fd00::2"]).done()]);
        assert_eq!(addresses(only(&cluster)), (Some("10.0.0.1".to_owned()), Some("fd00::1".to_owned())));
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        // IN-19
        let (cluster, found) = lower_all(vec![pod("x", "a").ips(["::ffff:10.0.0.1"]).done()]);
        assert_eq!(addresses(only(&cluster)), (Some("10.0.0.1".to_owned()), None));
        assert_eq!(warnings(&found), ["IN-19: `::ffff:10.0.0.1` is an IPv4 address in IPv6 form"]);
    }

    #[test]
    fn bad_addresses_are_errors() {
        // IN-19
        let (cluster, found) = lower_all(vec![pod("x", "a").ips(["10.0.0.1/24"]).host_ip("node-1").done()]);
        assert!(only(&cluster).is_unaddressed());
        assert_eq!(
            errors(&found),
            ["IN-19: `10.0.0.1/24` is not an IP address", "IN-19: `node-1` is not an IP address"]
        );
    }

    #[test]
    fn a_pod_on_the_hosts_network_has_the_hosts_address() {
        // NP-22
        let n1 = node("n1", &[("InternalIP", "10.0.0.11"), ("InternalIP", "fd00::11")]).done();
        let read = |build: Build| {
            let (cluster, _) = lower_all(vec![n1.clone(), build.host_network().done()]);
            addresses(only(&cluster))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(pod("x", "a").ips(["10.0.0.99"])), (some("10.0.0.99"), None));
        assert_eq!(read(pod("x", "a").host_ip("10.0.0.12")), (some("10.0.0.12"), None));
        assert_eq!(read(pod("x", "a").on_node("n1")), (some("10.0.0.11"), some("fd00::11")));
        assert_eq!(read(pod("x", "a")), (None, None));
    }

    #[test]
    fn a_template_has_the_templates_labels_and_no_address() {
        // NP-11b
        let (cluster, _) = lower_all(vec![
            workload("x", "Deployment", "web").template_labels([("app", "web")]).port(Some("http"), "TCP", 80).done(),
        ]);
        let pod = only(&cluster);
        assert_eq!((&*pod.name, pod.labels.to_string()), ("web", "app=web".to_owned()));
        assert_eq!((pod.state, pod.is_unaddressed(), pod.ports.len()), (PodState::Template, true, 1));
    }

    #[test]
    fn a_completed_job_without_pods_is_finished() {
        // NP-27
        let (cluster, _) = lower_all(vec![workload("x", "Job", "once").finished().done()]);
        assert_eq!(only(&cluster).state, PodState::Finished);
    }
}
