//! A small cluster on two nodes, of namespaces, with the program at the nodes' hooks.
//!
//! ```text
//! one 192.168.50.1 ─┬─ shop/web  10.1.0.2       two 192.168.50.2 ─┬─ shop/far  10.2.0.2      outside 203.0.113.9
//!     fd50::1       ├─ shop/near 10.1.0.3           fd50::2       └─ shop/db   10.2.0.3              198.51.100.9
//!                   └─ (spare)   10.1.0.4, not in the manifests                                     2001:db8::9
//! ```
//! In IPv6 the pods are `fd10:1::2` and so on. Listeners are everywhere on the ports of [`PORTS`], TCP and UDP.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use enforcer::datapath::{Mode, Tally};
use policy_core::analysis::Analysis;
use policy_core::ids::{Id as _, NodeId};
use policy_core::model::{Cluster, Profile, Protocol};
use policy_core::node_program::NodeProgram;
use tests::netns::{Dial, Enforcers, Heard, Listen, Listeners, Network, Place, Plan, PlannedNode, PlannedPod, ask};
use tests::pipeline::load;

pub(crate) const ONE: Place = Place::Node(0);
pub(crate) const TWO: Place = Place::Node(1);
pub(crate) const WEB: Place = Place::Pod(0);
pub(crate) const NEAR: Place = Place::Pod(1);
/// A pod of node one of which the manifests know nothing.
pub(crate) const SPARE: Place = Place::Pod(2);
pub(crate) const FAR: Place = Place::Pod(3);
pub(crate) const DB: Place = Place::Pod(4);
pub(crate) const CLIENT: &str = "203.0.113.9";
pub(crate) const STRANGER: &str = "198.51.100.9";
pub(crate) const CLIENT_V6: &str = "2001:db8::9";

/// Where everybody listens.
pub(crate) const PORTS: [u16; 4] = [80, 81, 8080, 9090];

/// How long silence lasts before it counts.
pub(crate) const SILENCE: Duration = Duration::from_millis(500);
/// How long an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(5);

/// Both families, where a test is the same in both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum V {
    Four,
    Six,
}

pub(crate) const BOTH: [V; 2] = [V::Four, V::Six];

/// The address of a place.
pub(crate) fn address(place: Place, family: V) -> IpAddr {
    let text = match (place, family) {
        (Place::Outside, V::Four) => CLIENT,
        (Place::Outside, V::Six) => CLIENT_V6,
        (ONE, V::Four) => "192.168.50.1",
        (ONE, V::Six) => "fd50::1",
        (Place::Node(_), V::Four) => "192.168.50.2",
        (Place::Node(_), V::Six) => "fd50::2",
        (WEB, V::Four) => "10.1.0.2",
        (WEB, V::Six) => "fd10:1::2",
        (NEAR, V::Four) => "10.1.0.3",
        (NEAR, V::Six) => "fd10:1::3",
        (SPARE, V::Four) => "10.1.0.4",
        (SPARE, V::Six) => "fd10:1::4",
        (FAR, V::Four) => "10.2.0.2",
        (FAR, V::Six) => "fd10:2::2",
        (Place::Pod(_), V::Four) => "10.2.0.3",
        (Place::Pod(_), V::Six) => "fd10:2::3",
    };
    text.parse().unwrap()
}

fn plan() -> Plan {
    let both = |place| BOTH.map(|family| address(place, family)).to_vec();
    let node = |name: &str, place| PlannedNode { name: name.to_owned(), addresses: both(place) };
    let pod = |name: &str, node, place| PlannedPod { name: name.to_owned(), node, addresses: both(place) };
    Plan {
        nodes: vec![node("one", ONE), node("two", TWO)],
        pods: vec![
            pod("shop/web", 0, WEB),
            pod("shop/near", 0, NEAR),
            pod("(spare)", 0, SPARE),
            pod("shop/far", 1, FAR),
            pod("shop/db", 1, DB),
        ],
        outside: [CLIENT, STRANGER, CLIENT_V6].map(|text| text.parse().unwrap()).into(),
        bridged: false,
    }
}

/// A pod as a manifest; `app` is its only label.
pub(crate) fn pod(name: &str, app: &str, node: &str, place: Place) -> String {
    let [v4, v6] = BOTH.map(|family| address(place, family));
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop, labels: {{app: {app}}}}}, \
         spec: {{nodeName: {node}, containers: [{{name: main, image: none}}]}}, \
         status: {{phase: Running, podIP: {v4}, podIPs: [{{ip: {v4}}}, {{ip: '{v6}'}}]}}}}\n---\n"
    )
}

fn node(name: &str, place: Place, ranges: [&str; 2]) -> String {
    let [v4, v6] = BOTH.map(|family| address(place, family));
    let [range4, range6] = ranges;
    format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}, spec: {{podCIDR: {range4}, podCIDRs: [{range4}, '{range6}']}}, \
         status: {{addresses: [{{type: InternalIP, address: {v4}}}, {{type: InternalIP, address: '{v6}'}}]}}}}\n---\n"
    )
}

/// The nodes and the namespace.
pub(crate) fn ground() -> String {
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n";
    let nodes = [node("one", ONE, ["10.1.0.0/24", "fd10:1::/64"]), node("two", TWO, ["10.2.0.0/24", "fd10:2::/64"])];
    nodes.concat() + namespace
}

/// All pods but the spare one.
pub(crate) fn pods() -> String {
    [
        pod("web", "web", "one", WEB),
        pod("near", "near", "one", NEAR),
        pod("far", "far", "two", FAR),
        pod("db", "db", "two", DB),
    ]
    .concat()
}

/// A NetworkPolicy in `shop` for the pods of an app; `spec` goes on after the selector.
pub(crate) fn policy(name: &str, app: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: shop}}, \
         spec: {{podSelector: {{matchLabels: {{app: {app}}}}}, {spec}}}}}\n---\n"
    )
}

/// Nothing in, nothing out, for the pods of an app.
pub(crate) fn cut_off(app: &str) -> String {
    policy(&format!("cut-off-{app}"), app, "policyTypes: [Ingress, Egress]")
}

/// Manifests as a cluster; a mistake in them fails the test.
pub(crate) fn cluster(manifests: &str) -> Cluster {
    let loaded = load([("traffic.yaml".to_owned(), manifests.to_owned())]);
    let errors: Vec<String> = loaded.errors().map(|error| loaded.describe(error)).collect();
    assert!(errors.is_empty(), "{errors:?}");
    loaded.cluster
}

/// The programs of both nodes.
pub(crate) fn programs(manifests: &str) -> Vec<NodeProgram> {
    let analysis = Analysis::new(cluster(manifests), Profile::preset("portolan").unwrap());
    let node = |at| NodeProgram::build(&analysis, NodeId::from_index(at)).unwrap();
    (0..analysis.cluster.nodes.len()).map(node).collect()
}

/// The stage.
pub(crate) struct Stage {
    pub(crate) network: Network,
    _listeners: Listeners,
    /// None where the binary does the work.
    pub(crate) enforcers: Option<Enforcers>,
}

impl Stage {
    /// Without anything at the hooks.
    pub(crate) fn bare(bridged: bool) -> Self {
        let network = match Network::build(&Plan { bridged, ..plan() }) {
            Ok(network) => network,
            Err(error) => panic!("network namespaces are needed, and root: {error}"),
        };
        let places = [ONE, TWO, WEB, NEAR, SPARE, FAR, DB, Place::Outside];
        let mut listens = BTreeSet::new();
        for (place, family, protocol) in places
            .into_iter()
            .flat_map(|place| BOTH.map(|family| (place, family)))
            .flat_map(|(place, family)| [(place, family, Protocol::Tcp), (place, family, Protocol::Udp)])
        {
            let at = |port| SocketAddr::new(address(place, family), port);
            listens.extend(PORTS.map(|port| Listen { place, at: at(port), protocol }));
        }
        let listeners = Listeners::open(&network, &listens).unwrap();
        Self { network, _listeners: listeners, enforcers: None }
    }

    /// With the program at the hooks of both nodes, and these policies.
    pub(crate) fn new(policies: &str) -> Self {
        let mut stage = Self::bare(false);
        stage.enforcers = Some(Enforcers::attach(&stage.network).unwrap());
        stage.enforce(policies);
        stage
    }

    /// Other policies.
    pub(crate) fn enforce(&mut self, policies: &str) {
        self.publish(&(ground() + &pods() + policies));
    }

    /// Other manifests.
    pub(crate) fn publish(&mut self, manifests: &str) {
        let enforcers = self.enforcers.as_mut().unwrap();
        for (at, program) in programs(manifests).iter().enumerate() {
            enforcers.publish(at, program).unwrap();
        }
    }

    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.enforcers.as_mut().unwrap().set_mode(mode).unwrap();
    }

    /// What a node has counted under a cause.
    pub(crate) fn tally(&self, node: usize, cause: enforcer::datapath::Cause) -> Tally {
        let causes = self.enforcers.as_ref().unwrap().of(node).unwrap().causes().unwrap();
        causes.into_iter().find(|(candidate, _)| *candidate == cause).unwrap().1
    }

    /// A dial from one place to an address.
    pub(crate) fn dial(from: Place, to: SocketAddr, protocol: Protocol) -> Dial {
        let family = if to.is_ipv4() { V::Four } else { V::Six };
        Dial { from, source: Some(address(from, family)), to, protocol }
    }

    /// Everybody here is answered; as whom the listeners saw them.
    pub(crate) fn answered(&self, dials: &[Dial]) -> Vec<IpAddr> {
        let heard = ask(&self.network, dials, ANSWER).unwrap();
        let seen = dials.iter().zip(heard).map(|(dial, heard)| match heard {
            Heard::Answer(seen) => seen.ip(),
            other => panic!("{dial:?} came to {other}"),
        });
        seen.collect()
    }

    /// Nobody here is answered.
    pub(crate) fn silent(&self, dials: &[Dial]) {
        for (dial, heard) in dials.iter().zip(ask(&self.network, dials, SILENCE).unwrap()) {
            assert_eq!(heard, Heard::Silence, "{dial:?}");
        }
    }

    /// Who of them is answered and who not, all at once: `true` where an answer must come.
    pub(crate) fn expect(&self, wanted: &[(Dial, bool)]) {
        let of = |answer: bool| wanted.iter().filter(move |(_, wanted)| *wanted == answer).map(|(dial, _)| *dial);
        let open: Vec<Dial> = of(true).collect();
        let closed: Vec<Dial> = of(false).collect();
        for (dial, seen) in open.iter().zip(self.answered(&open)) {
            assert_eq!(Some(seen), dial.source, "{dial:?}");
        }
        self.silent(&closed);
    }

    /// An open TCP connection that has been greeted.
    pub(crate) fn connect(&self, from: Place, to: SocketAddr) -> TcpStream {
        let connect = || TcpStream::connect_timeout(&to, ANSWER).unwrap();
        let mut stream = self.network.at(from).unwrap().inside(connect).unwrap();
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        let mut byte = [0];
        while byte != *b"\n" {
            std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
        }
        stream
    }

    /// A counter of `/proc/net/snmp` or `/proc/net/netstat` at a place, such as `("Ip", "ReasmReqds")`.
    pub(crate) fn counter(&self, place: Place, (group, name): (&str, &str)) -> u64 {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
        let text = self.network.at(place).unwrap().inside(|| read("snmp") + &read("netstat")).unwrap();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(':'));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let found = names.split_whitespace().zip(values.split_whitespace()).find(|(candidate, _)| *candidate == name);
        found.unwrap().1.parse().unwrap()
    }

    /// A counter of `/proc/net/snmp6`.
    pub(crate) fn counter6(&self, place: Place, name: &str) -> u64 {
        let read = || std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
        let text = self.network.at(place).unwrap().inside(read).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
        line.unwrap()
    }
}

/// A port of a place.
pub(crate) fn at(place: Place, family: V, port: u16) -> SocketAddr {
    SocketAddr::new(address(place, family), port)
}

/// Runs a test and fails it when it takes longer.
pub(crate) fn within(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let (done, end) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match end.recv_timeout(Duration::from_secs(seconds)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it took longer than {seconds} s"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}
