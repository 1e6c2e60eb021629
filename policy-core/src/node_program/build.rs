//! From a compiled cluster to the program of one node.

use std::collections::BTreeSet;

use crate::analysis::Compilation;
use crate::ids::NodeId;
use crate::model::profile::{EgressServiceView, HostNetworkPods, LocalSnatView};
use crate::model::{Knob, Name, Profile};
use crate::node_program::NodeProgram;
use crate::node_program::live::{LiveProgram, Room};

/// Knobs that are set to what no packet filter at this place can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfit {
    /// The knobs, in order.
    pub knobs: Vec<Knob>,
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.knobs.iter().map(|knob| knob.name()).collect();
        write!(f, "no node enforces these settings: {}", names.join(", "))
    }
}

impl std::error::Error for Unfit {}

/// What an operator asks of a node, beside policies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Namespaces whose pods' policies are asked and told of, and refuse nothing.
    pub audited: BTreeSet<Name>,
}

impl NodeProgram {
    /// The program of a node.
    ///
    /// # Errors
    /// As [`build_with`](Self::build_with).
    pub fn build<'a>(of: impl Into<Compilation<'a>>, node: NodeId) -> Result<Self, Unfit> {
        Self::build_with(of, node, &Options::default())
    }

    /// The program of a node, as an operator wants it.
    ///
    /// # Errors
    /// [`Unfit`] when the profile describes another enforcer: policies for pods on the host's network (NP-22),
    /// destinations before translation (NP-23), sources after it (NP-24), or no policies for SCTP (NP-17).
    pub fn build_with<'a>(of: impl Into<Compilation<'a>>, node: NodeId, options: &Options) -> Result<Self, Unfit> {
        let of = of.into();
        fits(of.profile)?;
        Ok(LiveProgram::make(of, node, options.clone(), Room::Exact).into_program())
    }
}

/// Whether this place in the kernel can do what the knobs say.
pub(super) fn fits(profile: &Profile) -> Result<(), Unfit> {
    let mut knobs = Vec::new();
    if profile.hostnetwork_pods == HostNetworkPods::AsPod {
        knobs.push(Knob::HostNetworkPods);
    }
    if profile.egress_service_view == Some(EgressServiceView::PreDnat) {
        knobs.push(Knob::EgressServiceView);
    }
    if profile.local_snat_view == LocalSnatView::Node {
        knobs.push(Knob::LocalSnatView);
    }
    if !profile.sctp_policy {
        knobs.push(Knob::SctpPolicy);
    }
    if knobs.is_empty() { Ok(()) } else { Err(Unfit { knobs }) }
}
