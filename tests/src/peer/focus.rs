//! The options that cut a list down.

use policy_core::model::{PortSet, Protocol};
use serde::Deserialize;

use super::expected::{Line, Side};

/// The options of a run.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// Only lines with one of these workloads on a side.
    #[serde(default)]
    pub focus_workloads: Vec<String>,
    /// The side on which they must be.
    pub focus_direction: Option<FocusDirection>,
    /// What must be on the other side.
    #[serde(default)]
    pub focus_workload_peers: Vec<String>,
    /// Only lines that allow this, such as `tcp-80`.
    pub focus_conn: Option<String>,
    #[serde(rename = "exposureAnalysis")]
    _exposure_analysis: Option<bool>,
    #[serde(rename = "exposure")]
    _exposure: Option<bool>,
    /// Which half of an explanation is printed.
    pub explain_only: Option<String>,
}

/// A side of a line.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum FocusDirection {
    /// The workloads are destinations.
    #[serde(rename = "IngressFocusDirection", alias = "ingress")]
    Ingress,
    /// The workloads are sources.
    #[serde(rename = "EgressFocusDirection", alias = "egress")]
    Egress,
}

impl Options {
    /// Whether a line stays in the list.
    #[must_use]
    pub fn keeps(&self, line: &Line) -> bool {
        self.keeps_sides(&line.source, &line.destination) && self.keeps_ports(&line.ports)
    }

    fn keeps_sides(&self, source: &Side, destination: &Side) -> bool {
        let among = |names: &[String], side: &Side| match side {
            Side::Workload(workload) => names.iter().any(|name| is_called(workload, name)),
            Side::Range(..) | Side::Controller => false,
        };
        let peer = |side: &Side| self.focus_workload_peers.is_empty() || among(&self.focus_workload_peers, side);
        let focus = |side: &Side| self.focus_workloads.is_empty() || among(&self.focus_workloads, side);
        let ingress = self.focus_direction != Some(FocusDirection::Egress) && focus(destination) && peer(source);
        let egress = self.focus_direction != Some(FocusDirection::Ingress) && focus(source) && peer(destination);
        ingress || egress
    }

    fn keeps_ports(&self, ports: &PortSet) -> bool {
        let Some((protocol, port)) = self.focus_conn.as_deref().and_then(|text| text.split_once('-')) else {
            return true;
        };
        let (Some(protocol), Ok(port)) = (Protocol::parse(&protocol.to_uppercase()), port.parse()) else {
            return true;
        };
        ports.contains(protocol, port)
    }
}

/// Whether `namespace/name[Kind]` is what `name` or `namespace/name` means.
fn is_called(workload: &str, name: &str) -> bool {
    let full = workload.split_once('[').map_or(workload, |(full, _)| full);
    let short = full.split_once('/').map_or(full, |(_, short)| short);
    name == full || name == short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: &str, destination: &str) -> Line {
        let side = |name: &str| Side::Workload(name.to_owned());
        Line { source: side(source), destination: side(destination), ports: PortSet::all_of(Protocol::Tcp) }
    }

    fn options(yaml: &str) -> Options {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn focus_is_on_either_side_or_on_one() {
        let (out, back) = (line("a/x[Pod]", "a/y[Pod]"), line("a/y[Pod]", "a/x[Pod]"));
        let either = options("focusWorkloads: [x]");
        assert!(either.keeps(&out) && either.keeps(&back) && !either.keeps(&line("a/y[Pod]", "a/z[Pod]")));
        let egress = options("{focusWorkloads: [a/x], focusDirection: EgressFocusDirection}");
        assert!(egress.keeps(&out) && !egress.keeps(&back));
        let peers = options("{focusWorkloads: [x], focusWorkloadPeers: [z]}");
        assert!(!peers.keeps(&out) && peers.keeps(&line("a/z[Pod]", "a/x[Pod]")));
    }

    #[test]
    fn focus_on_a_connection_wants_it_allowed() {
        assert!(options("focusConn: tcp-80").keeps(&line("a/x[Pod]", "a/y[Pod]")));
        assert!(!options("focusConn: udp-80").keeps(&line("a/x[Pod]", "a/y[Pod]")));
    }
}
