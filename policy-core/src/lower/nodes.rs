//! Nodes: those of the input, and those on which pods say that they run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, NodeId};
use crate::lower::addresses::{parse_cidr, parse_ip};
use crate::lower::context::Context;
use crate::lower::input::Input;
use crate::model::{Name, Node, NodeAddress, NodeAddressKind};
use crate::snapshot::{NodeBody, Object, PodBody, PodSpec, SliceEndpoint};

/// All nodes, and their ids by name.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) nodes: IdVec<NodeId, Node>,
    pub(super) ids: FxHashMap<Name, NodeId>,
}

impl Nodes {
    /// The node that a pod names.
    pub(super) fn named(&self, spec: Option<&PodSpec>) -> Option<(NodeId, &Node)> {
        let id = *self.ids.get(node_name(spec)?)?;
        Some((id, self.nodes.get(id)?))
    }
}

/// A node of the input.
pub(super) fn written(name: &Name, object: &Object, body: &NodeBody, context: &mut Context) -> Node {
    let labels = context.labels(object.metadata.labels.as_ref());
    Node {
        name: name.clone(),
        zone: labels.get("topology.kubernetes.io/zone").cloned(),
        labels,
        addresses: written_addresses(body, context),
        pod_cidrs: pod_cidrs(body, context),
        is_written: true,
        span: object.span,
    }
}

/// A node that only others name.
pub(super) fn named(name: &Name, context: &mut Context) -> Node {
    Node {
        name: name.clone(),
        labels: context.labels(None),
        addresses: Vec::new(),
        zone: None,
        pod_cidrs: Vec::new(),
        is_written: false,
        span: None,
    }
}

/// The address that a pod gives for its node; a bad one is reported with the pod.
pub(super) fn learnt_from(body: &PodBody) -> Option<NodeAddress> {
    let text = body.status.as_ref()?.host_ip.as_ref()?;
    let ip: IpAddr = text.value.parse().ok()?;
    Some(NodeAddress { kind: NodeAddressKind::Internal, ip: ip.to_canonical() })
}

/// Lowers all nodes.
pub(super) fn lower(input: &Input<'_>, context: &mut Context) -> Nodes {
    let mut nodes: BTreeMap<Name, Node> = BTreeMap::new();
    for (name, (object, body)) in &input.nodes {
        let node = written(name, object, body, context);
        nodes.insert(name.clone(), node);
    }
    let mut learnt = learn_from_pods(input, context);
    for name in named_by_endpoints(input) {
        learnt.entry(context.name(name)).or_default();
    }
    for (name, addresses) in learnt {
        let node = nodes.entry(name).or_insert_with_key(|name| named(name, context));
        if node.addresses.is_empty() {
            node.addresses = addresses;
        }
    }
    let mut lowered = Nodes::default();
    for (name, node) in nodes {
        let id = lowered.nodes.push(node);
        lowered.ids.insert(name, id);
    }
    lowered
}

fn written_addresses(body: &NodeBody, context: &mut Context) -> Vec<NodeAddress> {
    let written = body.status.as_ref().and_then(|status| status.addresses.as_ref());
    let mut addresses = Vec::new();
    for address in written.into_iter().flatten() {
        let kind = match address.r#type.as_deref() {
            Some("InternalIP") => NodeAddressKind::Internal,
            Some("ExternalIP") => NodeAddressKind::External,
            _ => continue,
        };
        let Some(text) = &address.address else { continue };
        match parse_ip(text, context) {
            Some(ip) => addresses.push(NodeAddress { kind, ip }),
            None => context.report(
                Diagnostic::warning("IN-19", text.span, format!("`{}` is not an IP address", text.value))
                    .help("this address of the node is left out"),
            ),
        }
    }
    // The first of a family is the one that the node calls its own (KP-6).
    addresses.sort_by_key(|address: &NodeAddress| address.kind);
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses
}

/// `podCIDR` repeats the first of `podCIDRs`.
fn pod_cidrs(body: &NodeBody, context: &mut Context) -> Vec<IpNet> {
    let Some(spec) = &body.spec else { return Vec::new() };
    let mut ranges = Vec::new();
    let mut seen: BTreeSet<&Name> = BTreeSet::new();
    let written = spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr).filter(|text| !text.value.is_empty());
    for text in written.filter(|text| seen.insert(&text.value)) {
        match parse_cidr(&text.value) {
            Some((range, _)) => ranges.push(range),
            None => context.report(
                Diagnostic::warning("IN-19", text.span, format!("`{}` is not a CIDR", text.value))
                    .help("this range of the node's pods is left out"),
            ),
        }
    }
    ranges
}

/// The nodes that Endpoints and EndpointSlices name.
fn named_by_endpoints<'a>(input: &'a Input<'_>) -> impl Iterator<Item = &'a Name> {
    let slices = input.slices.values().flat_map(|(_, body)| body.endpoints.iter().flatten());
    let slices = slices.filter_map(|endpoint| slice_node(&endpoint.value));
    let subsets = input.endpoints.values().flat_map(|(_, body)| body.subsets.iter().flatten());
    let addresses = subsets.flat_map(|subset| {
        subset.value.addresses.iter().flatten().chain(subset.value.not_ready_addresses.iter().flatten())
    });
    slices.chain(addresses.filter_map(|address| address.value.node_name.as_ref())).filter(|name| !name.is_empty())
}

/// `nodeName`, or the label in its place in v1beta1.
pub(super) fn slice_node(endpoint: &SliceEndpoint) -> Option<&Name> {
    let beta = || endpoint.topology.as_ref()?.get("kubernetes.io/hostname");
    endpoint.node_name.as_ref().or_else(beta)
}

/// Which nodes pods and templates name, and the addresses that pods give for them.
fn learn_from_pods(input: &Input<'_>, context: &mut Context) -> BTreeMap<Name, Vec<NodeAddress>> {
    let mut learnt: BTreeMap<Name, BTreeSet<NodeAddress>> = BTreeMap::new();
    for (_, body) in input.workloads.values() {
        if let Some(node) = node_name(body.template.spec.as_ref()) {
            learnt.entry(context.name(node)).or_default();
        }
    }
    for (_, body) in input.pods.values() {
        let Some(node) = node_name(body.spec.as_ref()) else { continue };
        let addresses = learnt.entry(context.name(node)).or_default();
        addresses.extend(learnt_from(body));
    }
    learnt.into_iter().map(|(name, addresses)| (name, addresses.into_iter().collect())).collect()
}

/// The node that a pod names; the API has `""` for none.
pub(super) fn node_name(spec: Option<&PodSpec>) -> Option<&Name> {
    spec.and_then(|spec| spec.node_name.as_ref()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::lower::testing::{lower_all, node, pod, warnings};
    use crate::model::NodeAddressKind;

    #[test]
    fn internal_and_external_addresses_are_read_and_others_ignored() {
        let addresses = [("Hostname", "n1"), ("ExternalIP", "198.51.100.11"), ("InternalIP", "10.0.0.11")];
        let (cluster, found) = lower_all(vec![node("n1", &addresses).done(), pod("x", "a").done()]);
        let node = cluster.nodes.values().next().unwrap();
        let kinds: Vec<_> = node.addresses.iter().map(|address| (address.kind, address.ip.to_string())).collect();
        assert_eq!(
            kinds,
            [
                (NodeAddressKind::Internal, "10.0.0.11".to_owned()),
                (NodeAddressKind::External, "198.51.100.11".to_owned()),
            ]
        );
        assert!(found.is_empty());
    }

    #[test]
    fn a_bad_node_address_is_left_out() {
        // IN-19
        let bad = node("n1", &[("InternalIP", "10.0.0.256"), ("InternalIP", "fd00::1")]).done();
        let (cluster, found) = lower_all(vec![bad, pod("x", "a").done()]);
        assert_eq!(cluster.nodes.values().next().unwrap().addresses.len(), 1);
        assert_eq!(warnings(&found), ["IN-19: `10.0.0.256` is not an IP address"]);
    }

    #[test]
    fn a_node_that_only_pods_name_learns_its_addresses_from_them() {
        // NP-20
        let (cluster, _) = lower_all(vec![
            pod("x", "a").on_node("n2").host_ip("10.0.0.12").done(),
            pod("x", "b").on_node("n2").host_ip("10.0.0.12").done(),
            pod("x", "c").on_node("n1").done(),
        ]);
        let found: Vec<_> = cluster.nodes.values().map(|node| (&*node.name, node.addresses.len())).collect();
        assert_eq!(found, [("n1", 0), ("n2", 1)]);
        assert!(cluster.nodes.values().all(|node| node.span.is_none()));
    }

    #[test]
    fn a_node_object_wins_over_what_pods_say() {
        let written = node("n1", &[("InternalIP", "10.0.0.11")]).done();
        let (cluster, _) = lower_all(vec![written, pod("x", "a").on_node("n1").host_ip("10.9.9.9").done()]);
        let node = cluster.nodes.values().next().unwrap();
        assert_eq!(node.addresses.iter().map(|address| address.ip.to_string()).collect::<Vec<_>>(), ["10.0.0.11"]);
    }
}
