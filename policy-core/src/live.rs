//! A compiled cluster that follows its objects, as a watch of the API server tells of them (`docs/adr/0010`).
//!
//! ```
//! use policy_core::live::{Live, Touched};
//! use policy_core::lower::LowerOptions;
//! use policy_core::manifest::{self, ReadOptions};
//! use policy_core::model::{Direction, Profile};
//! use policy_core::snapshot::{Snapshot, SnapshotDelta};
//! use policy_core::source::SourceMap;
//!
//! fn objects(text: &str) -> Snapshot {
//!     let mut sources = SourceMap::default();
//!     sources.add("watched", text);
//!     manifest::read(&sources, &ReadOptions::default()).0
//! }
//!
//! let pod = "{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop}, spec: {containers: [{name: c, image: i}]}}";
//! let (mut live, _) = Live::new(objects(pod), LowerOptions::default(), Profile::default());
//! let db = live.cluster().pods.ids().next().unwrap();
//! assert!(!live.compiled().is_isolated(db, Direction::Ingress));
//!
//! let policy = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: shop}, \
//!               spec: {podSelector: {}, policyTypes: [Ingress]}}";
//! let applied = live.apply(SnapshotDelta { put: objects(policy).objects, gone: Vec::new() });
//! assert!(matches!(applied.touched, Touched::Only(_)) && applied.diagnostics.is_empty());
//! assert!(live.compiled().is_isolated(db, Direction::Ingress));
//! ```

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ReadOptions, read};
    use crate::model::{Direction, Knob, Protocol};
    use crate::node_program::{Change, HostSide, Installed, LiveProgram, MapOp, Options, Packet, Transport};
    use crate::snapshot::{Object, ObjectKey};
    use crate::source::SourceMap;

    const BASE: &str = "\
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.1.1.0/24}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x, labels: {app: web}}, spec: {nodeName: n1, containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.1.1.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: cli, namespace: x, labels: {app: cli}}, spec: {nodeName: n1, containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.1.1.2}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: x}, spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}]}]}}
";

    fn objects(text: &str) -> Vec<Object> {
        let mut sources = SourceMap::default();
        sources.add("live.yaml".to_owned(), text.to_owned());
        let (snapshot, found) = read(&sources, &ReadOptions::default());
        assert!(found.iter().all(|found| !found.is_error()), "{found:#?}");
        snapshot.objects
    }

    fn put(text: &str) -> SnapshotDelta {
        SnapshotDelta { put: objects(text), gone: Vec::new() }
    }

    fn live() -> Live {
        let snapshot = Snapshot { objects: objects(BASE), incomplete: false };
        let (live, found) = Live::new(snapshot, LowerOptions::default(), Profile::preset("portolan").unwrap());
        assert_eq!(found, []);
        live
    }

    fn replica(name: &str, ip: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: x, labels: {{app: cli, other: '{name}'}}}}, \
             spec: {{nodeName: n2, containers: [{{name: c, image: i}}]}}, status: {{phase: Running, podIP: {ip}}}}}"
        )
    }

    fn policy(name: &str, pods: &str) -> String {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: x}}, \
             spec: {{podSelector: {pods}, policyTypes: [Ingress]}}}}"
        )
    }

    #[test]
    fn a_pod_of_a_known_class_is_one_write() {
        let mut live = live();
        let node = live.node("n1").unwrap();
        let mut program = LiveProgram::new(&live, node, Options::default()).unwrap();
        let mut installed = Installed::default();
        for step in installed.reconcile(program.program()) {
            installed.carry_out(&step, program.program());
        }
        installed.settle(installed.current().unwrap(), program.program());
        // The first other pod brings its node; the second nothing but itself.
        for (name, ip) in [("one", "10.1.2.1"), ("two", "10.1.2.2")] {
            let touched = live.apply(put(&replica(name, ip))).touched;
            let change = program.update(&live, node, &touched);
            installed.note(&change);
            let steps = installed.in_place(program.program()).unwrap();
            assert!(
                matches!(&*steps, [step] if matches!(&step.op, MapOp::PutEnd(to, _) if to.to_string() == ip)),
                "{steps:?}"
            );
            assert!(matches!(change, Change::Only { generation: false, .. }), "{change:?}");
            installed.carry_out(&steps[0], program.program());
            installed.settle(installed.current().unwrap(), program.program());
        }
        // And it goes with one.
        let key = objects(&replica("two", "10.1.2.2"))[0].key().unwrap();
        let touched = live.apply(SnapshotDelta { put: Vec::new(), gone: vec![key] }).touched;
        installed.note(&program.update(&live, node, &touched));
        let steps = installed.reconcile(program.program());
        assert!(matches!(&*steps, [step] if matches!(step.op, MapOp::RemoveEnd(_))), "{steps:?}");
    }

    #[test]
    fn who_leaves_a_column_does_not_speak_for_those_who_stay() {
        // Both families are alike to the node until its own pod has a policy about one of them.
        let from_v4 = |namespace: &str| {
            format!(
                "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: v4, namespace: {namespace}}}, \
                 spec: {{podSelector: {{}}, policyTypes: [Ingress], ingress: [{{from: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]}}]}}}}"
            )
        };
        let dual = BASE.replace("podIP: 10.1.1.2", "podIP: 10.1.1.2, podIPs: [{ip: 10.1.1.2}, {ip: 'fd01::2'}]");
        let objects = objects(&format!("{dual}---\n{}", from_v4("elsewhere")));
        let snapshot = Snapshot { objects, incomplete: false };
        let (mut live, _) = Live::new(snapshot, LowerOptions::default(), Profile::preset("portolan").unwrap());
        let node = live.node("n1").unwrap();
        let mut program = LiveProgram::new(&live, node, Options::default()).unwrap();
        let passes = |program: &LiveProgram, source: &str, destination: &str| {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let transport = Transport::Port(Protocol::Tcp, 80);
            let packet = Packet { source, destination, transport, host: HostSide::Neither };
            program.program().judge(&packet, false).passes()
        };
        assert!(passes(&program, "fd02::9", "fd01::2"));
        let touched = live.apply(put(&from_v4("x"))).touched;
        program.update(&live, node, &touched);
        assert!(!passes(&program, "fd02::9", "fd01::2"));
        assert!(passes(&program, "198.51.100.9", "10.1.1.2"));
    }

    #[test]
    fn a_policy_that_is_refused_leaves_the_cluster_incomplete_until_it_is_mended() {
        // NP-31
        let mut live = live();
        let bad = policy("late", "{}").replace("[Ingress]", "[Ingress, ingress]");
        let applied = live.apply(put(&bad));
        assert_eq!(applied.diagnostics.iter().map(|found| found.rule).collect::<Vec<_>>(), ["NP-31"]);
        let isolated = |live: &Live| {
            let (id, _) = live.cluster().pods.iter().find(|(_, pod)| &*pod.name == "cli").unwrap();
            live.compiled().is_isolated(id, Direction::Ingress)
        };
        assert!(live.cluster().incomplete && !isolated(&live));
        assert_eq!(live.apply(put(&policy("late", "{}"))).diagnostics, []);
        assert!(!live.cluster().incomplete && isolated(&live));
        let gone = vec![objects(&bad)[0].key().unwrap()];
        live.apply(SnapshotDelta { put: Vec::new(), gone });
        assert!(!isolated(&live));
    }

    #[test]
    fn what_is_gone_does_not_pile_up() {
        let mut live = live();
        let mut anew = 0;
        for round in 0..2 * WASTE {
            let label = if round % 2 == 0 { "web" } else { "cli" };
            let text = policy("busy", &format!("{{matchLabels: {{app: {label}}}}}"));
            anew += usize::from(live.apply(put(&text)).touched == Touched::Everything);
        }
        assert!((1..=8).contains(&anew), "{anew}");
        assert!(live.cluster().policies.len() < 2 * WASTE && live.compiled().size() < 2 * WASTE);
    }

    #[test]
    fn kinds_that_no_policy_sees_change_nothing() {
        let mut live = live();
        let before = live.compiled().meaning(live.cluster());
        let service = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x}, spec: {selector: {app: web}, ports: [{port: 80}]}}";
        let applied = live.apply(put(service));
        assert_eq!(applied.touched, Touched::Only(Parts::default()));
        assert_eq!(live.compiled().meaning(live.cluster()), before);
        let nothing = ObjectKey { kind: crate::snapshot::WatchedKind::Pod, namespace: None, name: "nobody".into() };
        let applied = live.apply(SnapshotDelta { put: Vec::new(), gone: vec![nothing] });
        assert_eq!(applied.touched, Touched::Only(Parts::default()));
    }

    #[test]
    fn knobs_that_no_node_enforces_are_refused_as_for_a_program_of_a_whole_cluster() {
        let mut profile = Profile::preset("portolan").unwrap();
        profile.set("local_snat_view", "node").unwrap();
        let snapshot = Snapshot { objects: objects(BASE), incomplete: false };
        let (live, _) = Live::new(snapshot, LowerOptions::default(), profile);
        let unfit = LiveProgram::new(&live, live.node("n1").unwrap(), Options::default()).unwrap_err();
        assert_eq!(unfit.knobs, [Knob::LocalSnatView]);
    }
}
