//! Nodes, pods and the world outside, each a namespace.
//!
//! ```text
//!   outside ─┬─ veth ─ node ─┬─ veth ─ pod          The outside routes between nodes, and clients sit there too.
//!            │               └─ veth ─ pod          A pod has its own address alone (/32, /128) and one way: its node.
//!            └─ veth ─ node ─── veth ─ pod
//! ```
//!
//! Or the pods of a node hang on one bridge ([`Plan::bridged`]).

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use super::Namespace;
use super::command::{ip, run};

/// What is to be built.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Nodes.
    pub nodes: Vec<PlannedNode>,
    /// Pods with a network of their own.
    pub pods: Vec<PlannedPod>,
    /// The addresses of hosts outside.
    pub outside: BTreeSet<IpAddr>,
    /// Whether the pods of a node hang on one bridge and reach each other over it, /24 and /64 at a time.
    pub bridged: bool,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedNode {
    /// Its name.
    pub name: String,
    /// Its addresses; the first of a family is the one that it uses.
    pub addresses: Vec<IpAddr>,
}

/// A pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedPod {
    /// `namespace/name`.
    pub name: String,
    /// The position of its node.
    pub node: usize,
    /// Its addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
}

/// Where a process is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// Outside of the cluster.
    Outside,
    /// On a node, by its position in the plan.
    Node(usize),
    /// In a pod, by its position in the plan.
    Pod(usize),
}

/// What was built. It is gone when this value is dropped.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    outside: Namespace,
    nodes: Vec<Namespace>,
    pods: Vec<Namespace>,
}

impl Network {
    /// Builds it. Nothing is enforced yet.
    ///
    /// # Errors
    /// What the kernel or `ip` said.
    pub fn build(plan: &Plan) -> io::Result<Self> {
        let several = |count: usize| (0..count).map(|_| Namespace::new()).collect::<io::Result<Vec<_>>>();
        let empty = Plan { outside: BTreeSet::new(), ..plan.clone() };
        let network = Self {
            outside: Namespace::new()?,
            nodes: several(plan.nodes.len())?,
            pods: several(plan.pods.len())?,
            plan: empty,
        };
        network.connect()?;
        let mut network = network;
        network.add_outside(&plan.outside)?;
        Ok(network)
    }

    /// What was asked for.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The namespace of a place.
    ///
    /// # Errors
    /// `NotFound` when the plan has no such place.
    pub fn at(&self, place: Place) -> io::Result<&Namespace> {
        let found = match place {
            Place::Outside => Some(&self.outside),
            Place::Node(at) => self.nodes.get(at),
            Place::Pod(at) => self.pods.get(at),
        };
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("the plan has no {place:?}")))
    }

    /// Gives the outside more addresses.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn add_outside(&mut self, addresses: &BTreeSet<IpAddr>) -> io::Result<()> {
        let new: Vec<IpAddr> = addresses.difference(&self.plan.outside).copied().collect();
        let commands: Vec<String> = new.iter().map(|address| add_address(*address, "lo")).collect();
        ip(&self.outside, &commands)?;
        self.plan.outside.extend(new);
        Ok(())
    }

    /// Loads rules into the netfilter of a place, in the language of `nft -f`.
    ///
    /// # Errors
    /// What `nft` said.
    pub fn nft(&self, place: Place, rules: &str) -> io::Result<()> {
        run(self.at(place)?, "nft", &["-f", "-"], rules).map(drop)
    }

    /// Runs commands of `ip` at a place, one a line.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn ip(&self, place: Place, commands: &[String]) -> io::Result<()> {
        ip(self.at(place)?, commands)
    }

    fn connect(&self) -> io::Result<()> {
        let mut outside = vec!["link set lo up".to_owned()];
        for (at, (node, namespace)) in self.plan.nodes.iter().zip(&self.nodes).enumerate() {
            outside.extend(veth(&to_node(at), namespace, "up0"));
            outside.extend(node.addresses.iter().map(|address| route(*address, &to_node(at))));
            let pods = self.plan.pods.iter().filter(|pod| pod.node == at);
            outside.extend(pods.flat_map(|pod| pod.addresses.iter().map(|address| route_over(*address, &to_node(at)))));
        }
        ip(&self.outside, &outside)?;
        for at in 0..self.plan.nodes.len() {
            self.connect_node(at)?;
        }
        for (pod, namespace) in self.plan.pods.iter().zip(&self.pods) {
            ip(namespace, &pod_commands(&pod.addresses, self.plan.bridged))?;
        }
        Ok(())
    }

    fn connect_node(&self, at: usize) -> io::Result<()> {
        let (Some(node), Some(namespace)) = (self.plan.nodes.get(at), self.nodes.get(at)) else { return Ok(()) };
        let mut commands = vec![
            "link set lo up".to_owned(),
            "link set up0 up".to_owned(),
            "addr add fe80::2/64 dev up0 nodad".to_owned(),
        ];
        commands.extend(node.addresses.iter().map(|address| add_address(*address, "up0")));
        commands.extend(
            ["route add 0.0.0.0/0 via inet6 fe80::1 dev up0", "route add ::/0 via fe80::1 dev up0"].map(str::to_owned),
        );
        if self.plan.bridged {
            commands.extend(
                ["link add br0 type bridge", "addr add fe80::1/64 dev br0 nodad", "link set br0 up"].map(str::to_owned),
            );
        }
        let pods = self.plan.pods.iter().zip(&self.pods).enumerate();
        for (number, (pod, own)) in pods.filter(|(_, (pod, _))| pod.node == at) {
            let interface = to_pod(number);
            if self.plan.bridged {
                commands.push(format!("link add {interface} type veth peer name eth0 netns {}", own.path().display()));
                commands.push(format!("link set {interface} master br0 up"));
                commands.extend(pod.addresses.iter().map(|address| route(*address, "br0")));
            } else {
                commands.extend(veth(&interface, own, "eth0"));
                commands.extend(pod.addresses.iter().map(|address| route(*address, &interface)));
            }
        }
        ip(namespace, &commands)?;
        // What kube-proxy's rules do on a real node: connections are followed.
        run(namespace, "nft", &["-f", "-"], FOLLOW).map(drop)
    }
}

/// One rule that needs to know connections, so that the kernel follows them.
const FOLLOW: &str =
    "table inet follow { chain seen { type filter hook prerouting priority 0; ct state new accept; }; }";

/// The interface of the outside towards a node.
#[must_use]
pub(super) fn to_node(at: usize) -> String {
    format!("n{at}")
}

/// The interface of a node towards a pod.
#[must_use]
pub(super) fn to_pod(at: usize) -> String {
    format!("p{at}")
}

/// A pair of interfaces: this end is `fe80::1`.
fn veth(name: &str, other: &Namespace, other_name: &str) -> [String; 3] {
    [
        format!("link add {name} type veth peer name {other_name} netns {}", other.path().display()),
        format!("addr add fe80::1/64 dev {name} nodad"),
        format!("link set {name} up"),
    ]
}

fn pod_commands(addresses: &[IpAddr], bridged: bool) -> Vec<String> {
    let mut commands = vec!["link set lo up".to_owned()];
    commands.push("link set eth0 up".to_owned());
    if bridged {
        commands.extend(addresses.iter().map(|address| match address {
            IpAddr::V4(address) => format!("addr add {address}/24 dev eth0"),
            IpAddr::V6(address) => format!("addr add {address}/64 dev eth0 nodad"),
        }));
        // Two pods on one bridge cannot both be `fe80::2`.
        commands.push("link set eth0 addrgenmode eui64".to_owned());
    } else {
        commands.push("addr add fe80::2/64 dev eth0 nodad".to_owned());
        commands.extend(addresses.iter().map(|address| add_address(*address, "eth0")));
    }
    commands.push("route add 0.0.0.0/0 via inet6 fe80::1 dev eth0".to_owned());
    commands.push("route add ::/0 via fe80::1 dev eth0".to_owned());
    commands
}

fn add_address(address: IpAddr, interface: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("addr add {address}/32 dev {interface}"),
        IpAddr::V6(address) => format!("addr add {address}/128 dev {interface} nodad"),
    }
}

/// An address that is right behind an interface.
fn route(address: IpAddr, interface: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("route add {address}/32 dev {interface}"),
        IpAddr::V6(address) => format!("route add {address}/128 dev {interface}"),
    }
}

/// An address that is behind the node at the other end of an interface.
fn route_over(address: IpAddr, interface: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("route add {address}/32 via inet6 fe80::2 dev {interface}"),
        IpAddr::V6(address) => format!("route add {address}/128 via fe80::2 dev {interface}"),
    }
}
