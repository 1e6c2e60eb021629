//! What a node does with the first packet of a connection (KP-1 … KP-9, HP-2 … HP-4).

use std::net::IpAddr;

use crate::ids::{NodeId, PodId, ServiceId};
use crate::model::{
    Cluster, Conditions, Family, KnobSet, Name, Pod, PodState, Protocol, Service, ServicePort, SliceEndpoint,
    TargetPort,
};

/// The first packet of a connection, as one node gets it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Packet {
    /// Who sent it.
    pub client: Client,
    /// Its source address as the node sees it; `None` when the input does not tell it.
    pub source: Option<IpAddr>,
    /// Where it goes.
    pub destination: IpAddr,
    /// The port there.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// Who a packet comes from, seen from the node that gets it (KP-3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Client {
    /// A pod of this node, with a network of its own; which one, if the input has it.
    Pod(Option<PodId>),
    /// A pod of another node whose address is still the source (KP-8).
    RemotePod(Option<PodId>),
    /// A process of this node, or a pod on its network (HN-4).
    Host,
    /// Anybody else.
    Outside,
}

/// A node as its proxy knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeView {
    /// Which node; `None` for one that the input does not have.
    pub node: Option<NodeId>,
    /// Its addresses; the first of a family is its primary one. Loopback belongs to every node.
    pub addresses: Vec<IpAddr>,
    /// Its zone.
    pub zone: Option<Name>,
    /// Whether pods of which the input does not tell the node are taken to run here.
    pub holds_unplaced: bool,
}

impl NodeView {
    /// A node of the cluster.
    #[must_use]
    pub fn of(cluster: &Cluster, node: NodeId) -> Self {
        let object = cluster.nodes.at(node);
        Self {
            node: Some(node),
            addresses: object.addresses.iter().map(|address| address.ip).collect(),
            zone: object.zone.clone(),
            holds_unplaced: false,
        }
    }

    /// Some node that the input does not have; `holds_unplaced` as in the field.
    #[must_use]
    pub fn unknown(holds_unplaced: bool) -> Self {
        Self { holds_unplaced, ..Self::default() }
    }

    /// Whether the node takes packets to this address for its own.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }

    /// Its primary address of one family.
    #[must_use]
    pub fn primary(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|ip| Family::of(*ip) == family)
    }

    /// Whether an endpoint is on this node (KP-1).
    #[must_use]
    pub fn holds(&self, endpoint: &Endpoint) -> bool {
        match endpoint.node {
            Some(node) => self.node == Some(node),
            None => self.holds_unplaced && endpoint.given.is_none(),
        }
    }
}

/// One endpoint of a Service: an address that stands behind it, in one family (SVC-9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// The family.
    pub family: Family,
    /// The address; `None` when the input does not tell it.
    pub address: Option<IpAddr>,
    /// The pod that has it; one on the host's network has its node's (HN-2).
    pub pod: Option<PodId>,
    /// The node on which it is.
    pub node: Option<NodeId>,
    /// Its conditions.
    pub conditions: Conditions,
    /// Where the input gives it: the places in [`Cluster::slices`] and in the slice; `None` = it follows from the pod.
    pub given: Option<(u32, u32)>,
}

impl Endpoint {
    /// The endpoint of the slice from which it comes.
    #[must_use]
    pub fn written<'a>(&self, cluster: &'a Cluster) -> Option<&'a SliceEndpoint> {
        let (slice, place) = self.given?;
        cluster.slices.get(slice as usize)?.endpoints.get(place as usize)
    }

    /// The number of a Service port here; `None` when the endpoint does not serve it (SVC-3, SVC-10).
    #[must_use]
    pub fn port(&self, cluster: &Cluster, port: &ServicePort) -> Option<u16> {
        if let Some((slice, _)) = self.given {
            let ports = &cluster.slices.get(slice as usize)?.ports;
            return ports.iter().find(|of| of.name == port.name && of.protocol == port.protocol).map(|of| of.port);
        }
        match &port.target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => {
                let declared = &cluster.pods.get(self.pod?)?.ports;
                let named = declared.iter().find(|of| of.name.as_ref() == Some(name) && of.protocol == port.protocol);
                named.map(|of| of.port)
            }
        }
    }
}

/// The conditions of a pod's endpoint (SVC-9, SVC-14). What nobody tells is taken to be ready.
#[must_use]
pub fn pod_conditions(pod: &Pod, service: &Service) -> Conditions {
    let serving = pod.ready.unwrap_or(true);
    let ready = service.publish_not_ready || (serving && !pod.terminating);
    Conditions { ready, serving, terminating: pod.terminating }
}

/// Whether a pod can be an endpoint in a family without an address there: when the input does not tell its address.
#[must_use]
pub fn awaits_address(pod: &Pod) -> bool {
    // Where there is a status, the lack of an address is a fact (SVC-9).
    pod.is_unaddressed() && (pod.state == PodState::Template || pod.ready.is_none())
}

/// A way into a Service on a node (KP-5), in the order in which they are tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Frontend {
    /// Its own address.
    ClusterIp,
    /// One of `externalIPs` (SVC-17).
    ExternalIp,
    /// An address of its load balancer that nodes take for their own (SVC-23).
    LoadBalancer,
    /// Its node port (SVC-18).
    NodePort,
}

/// A port of a Service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortRef {
    /// The Service.
    pub service: ServiceId,
    /// The position of the port.
    pub port: u32,
}

impl PortRef {
    /// The port.
    #[must_use]
    pub fn of(self, cluster: &Cluster) -> Option<&ServicePort> {
        cluster.services.get(self.service)?.ports.get(self.port as usize)
    }
}

/// What becomes of a packet's source address on its way to an endpoint (KP-3, HP-4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SourceAddress {
    /// It stays.
    Kept,
    /// The node puts its own address in its place.
    Masqueraded,
    /// Nobody says which; these knobs would.
    Either(KnobSet),
}

/// One endpoint that may get the connection: what policies are asked about (KP-10, SVC-20).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    /// Its address; `None` when the input does not tell it.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// The pod that has the address.
    pub pod: Option<PodId>,
    /// The node on which it is.
    pub node: Option<NodeId>,
    /// Which source it sees.
    pub source: SourceAddress,
    /// Whether hints have the proxy use it now; they are advice and change (KP-2).
    pub preferred: bool,
}

/// What becomes of a packet on a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Delivery {
    /// One of these gets it; sorted, never empty.
    Endpoints(Vec<Target>),
    /// It is lost; the client waits in vain.
    Drop,
    /// It is refused at once.
    Reject,
    /// No rule is about it: it goes on to the address as written.
    Unchanged,
    /// Not rewritten, and let in by a rule of its own (SVC-24).
    Accept,
    /// Nobody defines it. These knobs would settle it; without any, two Services, or a Service and a pod, claim the
    /// same address and port (KP-5, HP-7).
    Undefined(KnobSet),
}

/// What becomes of a packet, and why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Decision {
    /// What.
    pub delivery: Delivery,
    /// The rule of `docs/SPEC.md` that decided.
    pub rule: &'static str,
    /// The ways into Services that took the packet, sorted; several only where they claim the same (KP-5).
    pub by: Vec<(Frontend, PortRef)>,
}

impl Decision {
    /// A decision that no Service made.
    #[must_use]
    pub fn unclaimed(delivery: Delivery, rule: &'static str) -> Self {
        Self { delivery, rule, by: Vec::new() }
    }

    /// The endpoints that may get the connection.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        match &self.delivery {
            Delivery::Endpoints(targets) => targets,
            _ => &[],
        }
    }

    /// One decision of several claims to a packet: what they agree on, or undefined (KP-5). `None` without a claim.
    #[must_use]
    pub fn of_claims(claims: Vec<Self>) -> Option<Self> {
        let mut claims = claims.into_iter();
        let mut decided = claims.next()?;
        for claim in claims {
            if claim.delivery != decided.delivery {
                decided.delivery = Delivery::Undefined(KnobSet::EMPTY);
                decided.rule = "KP-5";
            }
            decided.by.extend(claim.by);
        }
        decided.by.sort_unstable();
        decided.by.dedup();
        Some(decided)
    }
}

/// What nodes do with packets. All implementations agree on every packet; the tests hold them to it.
pub trait Deliver {
    /// What kube-proxy on a node does with a packet (KP-1 … KP-9).
    fn kube_proxy(&self, packet: &Packet, at: &NodeView) -> Decision;

    /// What the host ports of a node's pods do with a packet (HP-1 … HP-4).
    fn host_ports(&self, packet: &Packet, at: &NodeView) -> Decision;

    /// Both: kube-proxy and host ports have rules in one table, and nobody says whose come first (HP-7).
    fn deliver(&self, packet: &Packet, at: &NodeView) -> Decision {
        let proxy = self.kube_proxy(packet, at);
        let host_ports = self.host_ports(packet, at);
        match (&proxy.delivery, &host_ports.delivery) {
            (_, Delivery::Unchanged) => proxy,
            (Delivery::Unchanged, _) => host_ports,
            (one, other) if one == other => proxy,
            _ => Decision { delivery: Delivery::Undefined(KnobSet::EMPTY), rule: "HP-7", by: proxy.by },
        }
    }
}
