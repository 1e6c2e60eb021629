//! Ways, one client and one dialled address at a time (M-6 … M-8): every node that may get the packet is asked what it
//! does with it, and every connection that comes of it is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::Spec;
use crate::ids::{NodeId, PodId};
use crate::model::way_profile::{LoadBalancerKind, NodeAddressesPublic};
use crate::model::{
    AddressSet, Client, Decision, Deliver, Delivery, Family, Finding, Flow, Frontend, Hit, IpMode, Judge, Knob,
    LoadBalancer, LoadBalancerAddress, Masquerader, NodeAddressKind, NodePort, NodeView, Packet, Party, PodState,
    PortRef, Protocol, Proviso, Service, SourceAddress, Target, Verdict, premise,
};

/// Where a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Goal {
    /// The pod that gets it.
    pub pod: Option<PodId>,
    /// The address that gets it, when it is no pod's.
    pub address: Option<IpAddr>,
    /// The port there.
    pub port: u16,
}

impl Goal {
    /// A pod's port.
    #[must_use]
    pub fn pod(pod: PodId, port: u16) -> Self {
        Self { pod: Some(pod), address: None, port }
    }
}

/// What comes of dialling an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialled {
    /// What becomes of the client at each place where connections may end.
    pub goals: BTreeMap<Goal, Finding>,
    /// What becomes of it everywhere else.
    pub elsewhere: Finding,
    /// The ways into Services that took its packets.
    pub by: BTreeSet<(Frontend, PortRef)>,
}

impl Dialled {
    /// Nothing is reached.
    #[must_use]
    pub fn nothing(elsewhere: Finding) -> Self {
        Self { goals: BTreeMap::new(), elsewhere, by: BTreeSet::new() }
    }

    /// It ends at one place.
    fn only(goal: Goal, finding: Finding) -> Self {
        let goals = BTreeMap::from([(goal, finding)]);
        Self { goals, ..Self::nothing(Finding::of(Verdict::NoListener, "M-4")) }
    }

    /// What becomes of the client at one place.
    #[must_use]
    pub fn at(&self, goal: &Goal) -> &Finding {
        self.goals.get(goal).unwrap_or(&self.elsewhere)
    }

    /// M-6: the better of two at each place.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.each(other, Finding::or)
    }

    /// What both say at each place; where they differ, `doubt`.
    #[must_use]
    fn unless_alike(self, other: Self, doubt: &Finding) -> Self {
        self.each(other, |one, other| {
            let closed = !one.is_open() && !other.is_open();
            if one.verdict == other.verdict || closed { one } else { doubt.clone() }
        })
    }

    /// The worse of two at each place.
    #[must_use]
    pub(super) fn worst(self, other: &Self) -> Self {
        self.each(other.clone(), |one, other| if one.merit() <= other.merit() { one } else { other })
    }

    fn each(self, other: Self, join: impl Fn(Finding, Finding) -> Finding) -> Self {
        let goals: BTreeSet<Goal> = self.goals.keys().chain(other.goals.keys()).copied().collect();
        let joined = goals.into_iter().map(|goal| (goal, join(self.at(&goal).clone(), other.at(&goal).clone())));
        let goals = joined.collect();
        let by = self.by.union(&other.by).copied().collect();
        Self { goals, elsewhere: join(self.elsewhere, other.elsewhere), by }
    }

    /// Something that holds for all of it.
    fn and(self, finding: &Finding) -> Self {
        let with = |known: Finding| finding.clone().and(known);
        let goals = self.goals.into_iter().map(|(goal, known)| (goal, with(known))).collect();
        Self { goals, elsewhere: with(self.elsewhere), by: self.by }
    }
}

/// One question.
#[derive(Clone, Copy, Debug)]
struct Dial {
    client: Party,
    to: SocketAddr,
    protocol: Protocol,
}

impl Dial {
    fn family(&self) -> Family {
        Family::of(self.to.ip())
    }
}

impl Spec<'_> {
    /// What comes of it when a client opens a connection to an address and port.
    #[must_use]
    pub fn dial(&self, client: Party, to: SocketAddr, protocol: Protocol) -> Dialled {
        let dial = Dial { client, to, protocol };
        let is_finished = |pod: PodId| self.cluster.pods.at(pod).state == PodState::Finished;
        if matches!(client, Party::Pod(pod) if is_finished(pod)) {
            return Dialled::nothing(Finding::of(Verdict::NoRoute, "NP-27"));
        }
        if !premise::families(self.cluster, self.profile, client).contains(&dial.family()) {
            return Dialled::nothing(Finding::of(Verdict::NoRoute, "NP-30"));
        }
        match client {
            Party::Pod(pod) => self.asked_inside(&dial, self.cluster.pods.at(pod).node),
            Party::Node(node) => self.asked_inside(&dial, Some(node)),
            _ => self.asked_outside(&dial),
        }
    }

    /// The rules of the client's own node come first (KP-3). Where that node is not known, they are those of any.
    fn asked_inside(&self, dial: &Dial, node: Option<NodeId>) -> Dialled {
        if let Some(node) = node {
            return self.past_node(dial, &NodeView::of(self.cluster, node));
        }
        let known = self.cluster.nodes.ids().map(|node| NodeView::of(self.cluster, node));
        let unknown = [true, false].map(NodeView::unknown);
        let all = known.chain(unknown).map(|view| self.past_node(dial, &view));
        let doubt = Finding::if_only("KP-1", Proviso::Placement);
        let agreed = all.reduce(|one, other| one.unless_alike(other, &doubt));
        agreed.unwrap_or_else(|| Dialled::nothing(Finding::of(Verdict::NoRoute, "M-4")))
    }

    fn past_node(&self, dial: &Dial, at: &NodeView) -> Dialled {
        let pod = match dial.client {
            Party::Pod(pod) if !self.cluster.pods.at(pod).host_network => Some(pod),
            _ => None,
        };
        let source = match pod {
            Some(pod) => self.cluster.pods.at(pod).address(dial.family()),
            None if dial.to.ip().is_loopback() => Some(dial.to.ip()),
            None => at.primary(dial.family()),
        };
        let here = pod.map_or(Client::Host, |pod| Client::Pod(Some(pod)));
        if let Some(decided) = self.at_node(dial, here, source, at) {
            return decided;
        }
        // KP-8: to the addresses of another node it goes as it is.
        let far = pod.map_or(Client::Outside, |pod| Client::RemotePod(Some(pod)));
        match self.holder_node(dial.to.ip()) {
            _ if at.is_local(dial.to.ip()) => self.on_host(dial, at.node),
            Some(node) => {
                let there = NodeView::of(self.cluster, node);
                self.at_node(dial, far, source, &there).unwrap_or_else(|| self.on_host(dial, Some(node)))
            }
            None => self.beyond(dial),
        }
    }

    /// Nobody inside takes the address for a node's: it is a pod's, a load balancer's, or leads nowhere.
    fn beyond(&self, dial: &Dial) -> Dialled {
        if let Some(pod) = self.holder_pod(dial.to.ip()) {
            return self.straight(dial, pod, dial.to.port());
        }
        self.balanced(dial, &|_, mode, kind| mode == IpMode::Proxy || kind != LoadBalancerKind::Vip)
            .unwrap_or_else(|| Dialled::nothing(Finding::of(Verdict::NoRoute, "M-4")))
    }

    /// Who gets a packet from outside depends on whose the address is (M-8).
    fn asked_outside(&self, dial: &Dial) -> Dialled {
        let ways = &self.profile.ways;
        let Party::Address(client) = dial.client else {
            return Dialled::nothing(Finding::of(Verdict::NoRoute, "M-4"));
        };
        let ip = dial.to.ip();
        let no_route = || Dialled::nothing(Finding::of(Verdict::NoRoute, "M-4"));
        if let Some(node) = self.holder_node(ip) {
            if !self.gets_to_node(client, node, ip) {
                return no_route();
            }
            let at = NodeView::of(self.cluster, node);
            return self
                .at_node(dial, Client::Outside, Some(client), &at)
                .unwrap_or_else(|| self.on_host(dial, Some(node)));
        }
        if self.holder_pod(ip).is_some() {
            return if ways.pod_cidr_routable.contains(client) { self.beyond(dial) } else { no_route() };
        }
        if let Some(balanced) = self.balanced(dial, &|_, _, kind| kind != LoadBalancerKind::Vip) {
            return balanced;
        }
        let of_service = |service: &Service| service.address(dial.family()) == Some(ip);
        if self.cluster.services.values().any(of_service) && !ways.service_cidr_routable.contains(client) {
            return no_route();
        }
        // The network brings it to some node; nobody says to which.
        let at_any = |at: &NodeView| self.at_node(dial, Client::Outside, Some(client), at).unwrap_or_else(no_route);
        if self.cluster.nodes.is_empty() {
            return [true, false].map(NodeView::unknown).iter().map(at_any).fold(no_route(), Dialled::or);
        }
        let known = self.cluster.nodes.ids().map(|node| at_any(&NodeView::of(self.cluster, node)));
        let reached = known.fold(no_route(), Dialled::or);
        // A pod of which nobody says where it runs is on one of them: that one is asked about such pods alone.
        let is_unplaced = |pod: PodId| self.cluster.pods.at(pod).node.is_none();
        if !self.cluster.pods.ids().any(is_unplaced) {
            return reached;
        }
        let mut there = at_any(&NodeView::unknown(true));
        there.goals.retain(|goal, _| goal.pod.is_some_and(is_unplaced));
        reached.or(there)
    }

    /// W-NP, W-HP: the internet gets to public addresses; to the others only what is not of the internet itself.
    fn gets_to_node(&self, client: IpAddr, node: NodeId, ip: IpAddr) -> bool {
        let private = [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "fc00::/7",
            "fe80::/10",
        ];
        let is_neighbour =
            private.iter().filter_map(|net| net.parse::<ipnet::IpNet>().ok()).any(|net| net.contains(&client));
        let is_external =
            |address: &crate::model::NodeAddress| address.ip == ip && address.kind == NodeAddressKind::External;
        is_neighbour
            || match self.profile.ways.node_addresses_public {
                NodeAddressesPublic::All => true,
                NodeAddressesPublic::None => false,
                NodeAddressesPublic::ByType => self.cluster.nodes.at(node).addresses.iter().any(is_external),
            }
    }

    /// A packet from outside that has come to a node.
    pub(super) fn outsider_at(&self, client: Party, to: SocketAddr, protocol: Protocol, at: &NodeView) -> Dialled {
        let dial = Dial { client, to, protocol };
        let source = match client {
            Party::Address(ip) => Some(ip),
            _ => None,
        };
        let there = self.at_node(&dial, Client::Outside, source, at);
        there.unwrap_or_else(|| Dialled::nothing(Finding::of(Verdict::NoListener, "M-4")))
    }

    /// What the rules of a node do with the packet, and what policies say then; `None` when they leave it alone.
    fn at_node(&self, dial: &Dial, client: Client, source: Option<IpAddr>, at: &NodeView) -> Option<Dialled> {
        let (destination, port, protocol) = (dial.to.ip(), dial.to.port(), dial.protocol);
        let Decision { delivery, rule, by } = self.deliver(&Packet { client, source, destination, port, protocol }, at);
        let nothing = |finding: Finding| Dialled::nothing(finding);
        let mut dialled = match delivery {
            Delivery::Unchanged => return None,
            Delivery::Drop if rule == "SVC-22" => nothing(Finding::of(Verdict::Denied, rule)),
            Delivery::Drop | Delivery::Reject | Delivery::Accept => nothing(Finding::of(Verdict::NoListener, rule)),
            Delivery::Undefined(knobs) => nothing(Finding { knobs, ..Finding::of(Verdict::Undefined, rule) }),
            Delivery::Endpoints(targets) => {
                let mut reached = nothing(Finding::of(Verdict::NoListener, "KP-4"));
                for target in targets {
                    let finding = self.at_target(dial, &target, at);
                    let goal = Goal { pod: target.pod, address: target.address, port: target.port };
                    let goal = Goal { address: goal.address.filter(|_| goal.pod.is_none()), ..goal };
                    let known = reached.goals.remove(&goal);
                    let best = known.map_or(finding.clone(), |known| known.or(finding));
                    reached.goals.insert(goal, best);
                }
                reached
            }
        };
        dialled.by.extend(by);
        Some(dialled)
    }

    /// M-7: the connection to an endpoint, from whom it appears to be.
    fn at_target(&self, dial: &Dial, target: &Target, at: &NodeView) -> Finding {
        let Some(destination) = self.party_at(target.pod, target.address) else {
            return Finding::of(Verdict::NoListener, "SVC-9");
        };
        let by = match (at.node, at.holds_unplaced) {
            (Some(node), _) => Masquerader::Node(node),
            (None, true) if target.node.is_none() => Masquerader::OwnNode,
            (None, _) => Masquerader::OtherNode,
        };
        let judged = |masqueraded_by: Option<Masquerader>| {
            Finding::of_judgement(&self.judge(&Flow {
                source: dial.client,
                destination,
                family: dial.family(),
                protocol: dial.protocol,
                port: target.port,
                dialled: Some(dial.to),
                masqueraded_by,
            }))
        };
        match target.source {
            SourceAddress::Kept => judged(None),
            SourceAddress::Masqueraded => judged(Some(by)),
            SourceAddress::Either(knobs) => {
                let (kept, replaced) = (judged(None), judged(Some(by)));
                let doubt = Finding { knobs, ..Finding::of(Verdict::Undefined, "KP-9") };
                if kept.verdict == replaced.verdict { replaced } else { doubt }
            }
        }
    }

    /// Who an endpoint is: a pod, a node by its address (HN-2), or somebody else.
    pub(super) fn party_at(&self, pod: Option<PodId>, address: Option<IpAddr>) -> Option<Party> {
        let address = address.map(|ip| self.holder_node(ip).map_or(Party::Address(ip), Party::Node));
        pod.map(Party::Pod).or(address)
    }

    /// HN-1: what pods on a node's network have open there.
    fn on_host(&self, dial: &Dial, node: Option<NodeId>) -> Dialled {
        let pods = self.cluster.pods.iter().filter(|(_, pod)| {
            let listens = pod.declares(dial.protocol, dial.to.port());
            pod.host_network && node.is_some() && pod.node == node && listens && pod.state != PodState::Finished
        });
        let reached = pods.map(|(id, _)| self.straight(dial, id, dial.to.port()));
        let nobody = Dialled::nothing(Finding::of(Verdict::NoListener, "HN-1"));
        reached.fold(nobody, Dialled::or)
    }

    /// A connection without any translation.
    fn straight(&self, dial: &Dial, pod: PodId, port: u16) -> Dialled {
        let flow = Flow::direct(dial.client, Party::Pod(pod), dial.family(), dial.protocol, port);
        Dialled::only(Goal::pod(pod, port), Finding::of_judgement(&self.judge(&flow)))
    }

    /// The node that has an address.
    fn holder_node(&self, ip: IpAddr) -> Option<NodeId> {
        let has = |node: &crate::model::Node| node.addresses.iter().any(|address| address.ip == ip);
        self.cluster.nodes.iter().find(|(_, node)| has(node)).map(|(id, _)| id)
    }

    /// The pod that has an address to itself.
    fn holder_pod(&self, ip: IpAddr) -> Option<PodId> {
        let has = |pod: &crate::model::Pod| {
            pod.state != PodState::Finished && !pod.host_network && pod.address(Family::of(ip)) == Some(ip)
        };
        self.cluster.pods.iter().find(|(_, pod)| has(pod)).map(|(id, _)| id)
    }

    /// SVC-22, SVC-23: load balancers that open connections of their own, if one of them has the address.
    fn balanced(&self, dial: &Dial, counts: &dyn Fn(&Service, IpMode, LoadBalancerKind) -> bool) -> Option<Dialled> {
        let mut found: Option<Dialled> = None;
        for (id, service) in self.cluster.services.iter() {
            let Some(balancer) = service.load_balancer() else { continue };
            let by_class = self.profile.ways.load_balancer_kind(balancer.class.as_deref());
            for point in &balancer.ingress {
                let kind = match (point.mode, by_class) {
                    (IpMode::Proxy, LoadBalancerKind::Vip) => LoadBalancerKind::ProxyNodePort,
                    (_, kind) => kind,
                };
                let has = point.at == LoadBalancerAddress::Ip(dial.to.ip());
                if !has || !counts(service, point.mode, kind) {
                    continue;
                }
                for (port, place) in service.ports.iter().zip(0_u32..) {
                    if (port.protocol, port.port) != (dial.protocol, dial.to.port()) {
                        continue;
                    }
                    let port_ref = PortRef { service: id, port: place };
                    let mut one = self.past_balancer(dial, service, port_ref, kind).and(&self.firewall(dial, balancer));
                    one.by.insert((Frontend::LoadBalancer, port_ref));
                    let claims = Finding::of(Verdict::Undefined, "KP-5");
                    found = Some(match found {
                        Some(known) => known.unless_alike(one, &claims),
                        None => one,
                    });
                }
            }
        }
        found
    }

    /// SVC-22: the provider's own firewall, which may or may not be there.
    fn firewall(&self, dial: &Dial, balancer: &LoadBalancer) -> Finding {
        let ranges =
            if balancer.source_ranges.is_empty() { &balancer.annotated_ranges } else { &balancer.source_ranges };
        let ranges: AddressSet = ranges.iter().copied().map(AddressSet::net).collect::<AddressSet>().of(dial.family());
        let seen = premise::seen(self.cluster, self.profile, dial.client);
        let found = premise::whereabouts(self.cluster, self.profile, seen, dial.family());
        match ranges.is_empty() || found.within(&ranges) == Hit::Yes {
            true => Finding::allowed("SVC-22"),
            false => Finding::undefined("SVC-22", Knob::LbKind),
        }
    }

    /// The load balancer's own connection: to pods, or to the node port of any node.
    fn past_balancer(&self, dial: &Dial, service: &Service, port: PortRef, kind: LoadBalancerKind) -> Dialled {
        let own = Dial { client: Party::Address(dial.to.ip()), ..*dial };
        let family = own.family();
        let nobody = Dialled::nothing(Finding::of(Verdict::NoListener, "KP-4"));
        if !service.families.contains(&family) {
            return nobody; // SVC-26
        }
        if kind == LoadBalancerKind::ProxyPod {
            let mut reached = nobody;
            for (endpoint, number, _) in self.usable(port, family, &NodeView::unknown(false)).cluster {
                let Some(party) = self.party_at(endpoint.pod, endpoint.address) else { continue };
                let flow = Flow::direct(own.client, party, family, own.protocol, number);
                let finding = Finding::of_judgement(&self.judge(&flow));
                let address = endpoint.address.filter(|_| endpoint.pod.is_none());
                reached.goals.insert(Goal { pod: endpoint.pod, address, port: number }, finding);
            }
            return reached;
        }
        let Some(NodePort::Number(number)) = service.ports.get(port.port as usize).map(|port| port.node_port) else {
            return nobody;
        };
        let mut reached = nobody;
        for node in self.cluster.nodes.ids() {
            let at = NodeView::of(self.cluster, node);
            for ip in at.addresses.iter().copied().filter(|ip| Family::of(*ip) == family) {
                let next = Dial { to: SocketAddr::new(ip, number), ..own };
                let there = self.at_node(&next, Client::Outside, Some(own.to.ip()), &at);
                // KP-6: it dials node ports where they are open. Whoever else has the number is not behind this Service.
                let open = there.filter(|there| !there.by.is_empty());
                reached = open.into_iter().fold(reached, Dialled::or);
            }
        }
        reached
    }
}
