//! From a flow of the model to the packets that nodes see of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::analysis::Analysis;
use crate::ids::NodeId;
use crate::model::premise::{self, Seen};
use crate::model::{Family, Flow, Masquerader, Party, Verdict};
use crate::node_program::{Decision, HostSide, NodeProgram, Options, Packet, Transport, Unfit};

/// The programs of all nodes of a cluster.
#[derive(Clone, Debug)]
pub struct NodePrograms {
    programs: BTreeMap<NodeId, NodeProgram>,
}

/// Why a flow is no packet on any node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Unaskable {
    /// The model decides before any packet is sent: families, finished pods, loopback.
    BeforePackets(Verdict),
    /// An end has no address, or one of several.
    NoAddress,
    /// The node of a pod is not known.
    NoNode,
    /// A pod dials a node that translates the destination: the pod's own node sees that node, not the endpoint.
    TranslatedElsewhere,
    /// An address out of the ranges of a node's pods that is no pod's: the node waits for the pod.
    UnknownPod,
}

/// What a packet of a flow shows of an end: its address, and the node of which it is a process.
struct Shown {
    address: IpAddr,
    process_of: Option<NodeId>,
    /// The node whose policies of it are asked, if it is a pod to them.
    pod_on: Option<NodeId>,
}

impl NodePrograms {
    /// Builds them all.
    ///
    /// # Errors
    /// [`Unfit`] as [`NodeProgram::build`].
    pub fn build(analysis: &Analysis) -> Result<Self, Unfit> {
        Self::build_with(analysis, &Options::default())
    }

    /// Builds them all, as an operator wants them.
    ///
    /// # Errors
    /// [`Unfit`] as [`NodeProgram::build_with`].
    pub fn build_with(analysis: &Analysis, options: &Options) -> Result<Self, Unfit> {
        let nodes = analysis.cluster.nodes.ids();
        let programs = nodes.map(|node| Ok((node, NodeProgram::build_with(analysis, node, options)?)));
        Ok(Self { programs: programs.collect::<Result<_, _>>()? })
    }

    /// The program of a node.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<&NodeProgram> {
        self.programs.get(&node)
    }

    /// Whether a flow gets through: the node of the source asks its egress policies, the node of the destination its
    /// ingress policies (NP-6); one node asks both at once.
    ///
    /// # Errors
    /// [`Unaskable`] when no packet says the same as the flow.
    pub fn judge(&self, analysis: &Analysis, flow: &Flow) -> Result<Verdict, Unaskable> {
        let packets = self.packets(analysis, flow)?;
        let mut verdict = Verdict::Allowed;
        for (node, packet) in &packets {
            match self.programs.get(node).map(|program| program.judge(packet, false)) {
                None | Some(Decision::Pass | Decision::WouldDrop(..)) => {}
                Some(Decision::Drop(..)) => verdict = Verdict::Denied,
                Some(Decision::Unknown(_)) => return Err(Unaskable::UnknownPod),
            }
        }
        Ok(verdict)
    }

    /// The packets that a flow is on the nodes that are asked about it: none, one or two.
    ///
    /// # Errors
    /// [`Unaskable`] when no packet says the same as the flow.
    pub fn packets(&self, analysis: &Analysis, flow: &Flow) -> Result<Vec<(NodeId, Packet)>, Unaskable> {
        packets(analysis, flow)
    }
}

/// The packets that a flow is on the nodes that are asked about it: none, one or two.
fn packets(analysis: &Analysis, flow: &Flow) -> Result<Vec<(NodeId, Packet)>, Unaskable> {
    if let Err(judgement) = premise::premise(&analysis.cluster, &analysis.profile, flow) {
        return Err(Unaskable::BeforePackets(judgement.verdict));
    }
    let source = shown(analysis, flow.source, flow.family)?;
    let destination = shown(analysis, flow.destination, flow.family)?;
    let transport = Transport::Port(flow.protocol, flow.port);
    let packet = |at: NodeId, from: &Shown| {
        let host = match () {
            () if from.process_of == Some(at) => HostSide::Source,
            () if destination.process_of == Some(at) => HostSide::Destination,
            () => HostSide::Neither,
        };
        (at, Packet { source: from.address, destination: destination.address, transport, host })
    };
    let mut packets = Vec::new();
    if let Some(node) = source.pod_on {
        packets.push(packet(node, &source));
    }
    if let Some(node) = destination.pod_on {
        // NP-24: another node has put its own address in the client's place; the own node does so after the hook.
        let by = match flow.masqueraded_by {
            Some(Masquerader::Node(by)) if by != node => Some(Party::Node(by)),
            Some(Masquerader::OtherNode) => return Err(Unaskable::NoAddress),
            _ => None,
        };
        match by {
            Some(_) if source.pod_on.is_some() => return Err(Unaskable::TranslatedElsewhere),
            Some(by) => packets.push(packet(node, &shown(analysis, by, flow.family)?)),
            None if source.pod_on == Some(node) => {}
            None => packets.push(packet(node, &source)),
        }
    }
    Ok(packets)
}

fn shown(analysis: &Analysis, party: Party, family: Family) -> Result<Shown, Unaskable> {
    let cluster = &analysis.cluster;
    let host = |node: Option<NodeId>| {
        let node = node.ok_or(Unaskable::NoNode)?;
        match cluster.nodes.at(node).source_addresses(family).as_slice() {
            [address] => Ok(Shown { address: *address, process_of: Some(node), pod_on: None }),
            _ => Err(Unaskable::NoAddress),
        }
    };
    match premise::seen(cluster, &analysis.profile, party) {
        Seen::Pod(pod) => {
            let pod = cluster.pods.at(pod);
            let address = pod.address(family).ok_or(Unaskable::NoAddress)?;
            Ok(Shown { address, process_of: None, pod_on: Some(pod.node.ok_or(Unaskable::NoNode)?) })
        }
        Seen::Host { node, .. } => host(node),
        Seen::Address(address) => Ok(Shown { address, process_of: None, pod_on: None }),
        Seen::Named(_) | Seen::Somebody(_) => Err(Unaskable::NoAddress),
    }
}
