//! Changes of a snapshot, as a watch of the API server tells them.

use std::sync::Arc;

use crate::model::ClusterPolicyKind;
use crate::snapshot::{Body, Object};

/// What has changed.
#[derive(Clone, Debug, Default)]
pub struct SnapshotDelta {
    /// Objects that are new, or have changed.
    pub put: Vec<Object>,
    /// Objects that are gone. One that is in `put` as well is there.
    pub gone: Vec<ObjectKey>,
}

/// Which object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: WatchedKind,
    /// Its namespace; `None` for a cluster-scoped object, and for one that leaves it to the default.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
}

/// The kinds of object that say what policies do to addresses, in the order in which they speak of each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WatchedKind {
    /// v1 Namespace.
    Namespace,
    /// v1 Node.
    Node,
    /// v1 Pod.
    Pod,
    /// NetworkPolicy.
    NetworkPolicy,
    /// A cluster-wide policy.
    ClusterPolicy(ClusterPolicyKind),
}

impl Object {
    /// The key of an object of a watched kind that has a name; `None` for all others.
    #[must_use]
    pub fn key(&self) -> Option<ObjectKey> {
        let kind = match &self.body {
            Body::Namespace => WatchedKind::Namespace,
            Body::Node(_) => WatchedKind::Node,
            Body::Pod(_) => WatchedKind::Pod,
            Body::NetworkPolicy(_) => WatchedKind::NetworkPolicy,
            Body::ClusterPolicy(_) => WatchedKind::ClusterPolicy(self.cluster_policy_kind()),
            _ => return None,
        };
        let namespaced = matches!(kind, WatchedKind::Pod | WatchedKind::NetworkPolicy);
        let namespace = self.metadata.namespace.clone().filter(|_| namespaced);
        Some(ObjectKey { kind, namespace, name: self.metadata.name.clone()? })
    }

    /// Which of the three kinds a cluster-wide policy is.
    #[must_use]
    pub fn cluster_policy_kind(&self) -> ClusterPolicyKind {
        match &*self.kind {
            "AdminNetworkPolicy" => ClusterPolicyKind::AdminNetworkPolicy,
            "BaselineAdminNetworkPolicy" => ClusterPolicyKind::BaselineAdminNetworkPolicy,
            _ => ClusterPolicyKind::ClusterNetworkPolicy,
        }
    }
}
