//! A compiled cluster that follows its objects (design: incremental).

use crate::analysis::Compilation;
use crate::compile::update::Parts;
use crate::compile::{Compiled, compile};
use crate::diagnostic::Diagnostic;
use crate::ids::NodeId;
use crate::lower::{LiveCluster, LowerOptions};
use crate::model::{Cluster, Profile};
use crate::snapshot::{Snapshot, SnapshotDelta};

/// What is gone may take as much room as what is there, and this much more, before all is compiled anew.
const WASTE: usize = 4096;

/// A cluster, compiled, and what is needed to change both.
#[derive(Debug)]
pub struct Live {
    cluster: LiveCluster,
    profile: Profile,
    compiled: Compiled,
    /// How large the compiled form was when it was made.
    size: usize,
}

impl<'a> From<&'a Live> for Compilation<'a> {
    fn from(live: &'a Live) -> Self {
        Self { cluster: live.cluster(), profile: &live.profile, compiled: &live.compiled }
    }
}

/// What has to be looked at again after a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Touched {
    /// Everything: all was compiled anew, and ids mean something else than before.
    Everything,
    /// Only this.
    Only(Parts),
}

/// What a change has done.
#[derive(Debug)]
pub struct Applied {
    /// What has to be looked at again.
    pub touched: Touched,
    /// What is wrong with the objects of the change.
    pub diagnostics: Vec<Diagnostic>,
}

impl Live {
    /// Compiles a snapshot. Only what policies see of a cluster counts: see [`LiveCluster::new`].
    #[must_use]
    pub fn new(snapshot: Snapshot, options: LowerOptions, profile: Profile) -> (Self, Vec<Diagnostic>) {
        let (cluster, diagnostics) = LiveCluster::new(snapshot, options);
        let compiled = compile(cluster.cluster(), &profile);
        let size = compiled.size();
        (Self { cluster, profile, compiled, size }, diagnostics)
    }

    /// Works a change in. The result means what compiling the changed snapshot would give; ids are others.
    pub fn apply(&mut self, delta: SnapshotDelta) -> Applied {
        let (edits, diagnostics) = self.cluster.apply(delta);
        let cluster = self.cluster.cluster();
        let things = cluster.pods.len() + cluster.policies.len() + cluster.namespaces.len();
        let is_wasteful = 2 * self.cluster.waste() > things + WASTE || self.compiled.size() > 2 * self.size + WASTE;
        let parts = if is_wasteful { None } else { self.compiled.update(cluster, &self.profile, &edits) };
        if let Some(parts) = parts {
            return Applied { touched: Touched::Only(parts), diagnostics };
        }
        self.cluster.renumber();
        self.compiled = compile(self.cluster.cluster(), &self.profile);
        self.size = self.compiled.size();
        Applied { touched: Touched::Everything, diagnostics }
    }

    /// The cluster as it is now. What is gone may still have an id, and has no effect.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        self.cluster.cluster()
    }

    /// The knobs.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The compiled form.
    #[must_use]
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// The id of a node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.cluster.node(name)
    }
}
