//! Changes of a cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::ids::{ClusterPolicyId, NodeId, PodId, PolicyId};
use crate::model::ClusterPolicy;

/// What has changed in a cluster since it was compiled. New namespaces, nodes and policies have the ids after all others;
/// what is gone is still in the cluster, as something that has no effect.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edits {
    /// Pods that are new or have changed, with the addresses that they had.
    pub pods: BTreeMap<PodId, [Option<IpAddr>; 2]>,
    /// Pods that are gone, with the addresses that they had.
    pub pods_gone: BTreeMap<PodId, [Option<IpAddr>; 2]>,
    /// Policies that are gone.
    pub policies_gone: Vec<PolicyId>,
    /// Cluster-wide policies that are gone, as they were.
    pub cluster_policies_gone: Vec<(ClusterPolicyId, ClusterPolicy)>,
    /// Nodes that are gone.
    pub nodes_gone: Vec<NodeId>,
}
