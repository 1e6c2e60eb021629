//! Records and reasons in the words of the cluster: names instead of addresses, policies instead of numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use policy_core::model::{Cluster, Direction, Family, PodState};
use policy_core::node_program::Reason;

use crate::datapath::{Cause, Record};

/// Names by address.
#[derive(Clone, Debug, Default)]
pub struct Words {
    names: BTreeMap<IpAddr, String>,
}

impl Words {
    /// The names of a cluster's pods and nodes.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let mut names = BTreeMap::new();
        for node in cluster.nodes.values() {
            names.extend(node.addresses.iter().map(|address| (address.ip, format!("node/{}", node.name))));
        }
        let with_network = cluster.pods.values().filter(|pod| pod.state != PodState::Finished && !pod.host_network);
        for pod in with_network {
            let name = format!("{}/{}", cluster.namespaces.at(pod.namespace).name, pod.name);
            let addresses = Family::ALL.into_iter().filter_map(|family| pod.address(family));
            names.extend(addresses.map(|address| (address, name.clone())));
        }
        Self { names }
    }

    /// The name at an address, or the address.
    #[must_use]
    pub fn name(&self, address: IpAddr) -> String {
        self.names.get(&address).cloned().unwrap_or_else(|| address.to_string())
    }

    /// A record on one line. `reason` is the one behind it, if its tables are still there.
    #[must_use]
    pub fn line(&self, record: &Record, reason: Option<&Reason>) -> String {
        let word = match record {
            Record { audited: true, .. } => "would drop",
            Record { dropped: true, .. } => "drop",
            _ => "pass",
        };
        let (source, destination) = (self.name(record.source), self.name(record.destination));
        let protocol = match (record.protocol, record.port) {
            (6, port) => format!("TCP {port}"),
            (17, port) => format!("UDP {port}"),
            (132, port) => format!("SCTP {port}"),
            (1, _) => "ICMP".to_owned(),
            (58, _) => "ICMPv6".to_owned(),
            (other, _) => format!("protocol {other}"),
        };
        let mut line = format!("{word} {source} -> {destination} {protocol}: ");
        line.push_str(&self.why(record, reason, &protocol));
        if record.count > 1 {
            // Writing into a String cannot fail.
            let _ = write!(line, " ({} packets)", record.count);
        }
        line
    }

    fn why(&self, record: &Record, reason: Option<&Reason>, protocol: &str) -> String {
        let (source, destination) = (self.name(record.source), self.name(record.destination));
        let (own, other, towards) = match record.direction {
            Direction::Ingress => (destination, source, "from"),
            Direction::Egress => (source, destination, "to"),
        };
        match (record.cause, reason) {
            (Cause::Policy, Some(Reason::Isolated(policies))) => format!(
                "{own} is isolated for {} by {}; no rule admits {protocol} {towards} {other}",
                record.direction,
                policies.join(", ")
            ),
            (Cause::Policy, Some(reason)) => format!("{own}, {}: {reason}", record.direction),
            (Cause::Policy, None) => format!("{own}, {}: by policies that have been replaced since", record.direction),
            (cause, _) => format!("{own}: {}", cause.describe()),
        }
    }
}
