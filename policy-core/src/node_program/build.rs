//! From a compiled cluster to the program of one node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::analysis::Analysis;
use crate::compile::ClassId;
use crate::compile::ends::{EndKey, Heard, Hearing, Listed, Signature, Subject};
use crate::compile::interner::Interner;
use crate::ids::{Id, IdVec, NamespaceId, NodeId};
use crate::model::profile::{EgressServiceView, Exemption, HostNetworkPods, LocalSnatView};
use crate::model::{AddressSet, Direction, Family, Knob, Outcome, PodState, RuleRef, premise};
use crate::node_program::{
    Cell, ColumnId, Endpoint, Generation, Identity, IdentityId, NodeProgram, PortClasses, Reason, ReasonId, RowId,
    Side, SubjectId,
};

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
    pub audited: BTreeSet<NamespaceId>,
}

impl NodeProgram {
    /// The program of a node.
    ///
    /// # Errors
    /// As [`build_with`](Self::build_with).
    pub fn build(analysis: &Analysis, node: NodeId) -> Result<Self, Unfit> {
        Self::build_with(analysis, node, &Options::default())
    }

    /// The program of a node, as an operator wants it.
    ///
    /// # Errors
    /// [`Unfit`] when the profile describes another enforcer: policies for pods on the host's network (NP-22),
    /// destinations before translation (NP-23), sources after it (NP-24), or no policies for SCTP (NP-17).
    pub fn build_with(analysis: &Analysis, node: NodeId, options: &Options) -> Result<Self, Unfit> {
        let profile = &analysis.profile;
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
        if !knobs.is_empty() {
            return Err(Unfit { knobs });
        }
        Ok(Builder { analysis, node, options, identities: Interner::default() }.build())
    }
}

/// An identity before its tables are there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct IdentityKey {
    /// What policies know of it.
    end: EndKey,
    unknown: bool,
    audit: bool,
}

impl IdentityKey {
    fn of(end: EndKey) -> Self {
        Self { end, unknown: false, audit: false }
    }

    fn unknown(end: EndKey) -> Self {
        Self { unknown: true, ..Self::of(end) }
    }
}

struct Builder<'a> {
    analysis: &'a Analysis,
    node: NodeId,
    options: &'a Options,
    identities: Interner<IdentityId, IdentityKey>,
}

impl Builder<'_> {
    fn build(mut self) -> NodeProgram {
        let Analysis { cluster, compiled, profile, .. } = self.analysis;
        let blocks = self.blocks();
        let own_node =
            Family::ALL.map(|family| self.identities.intern(IdentityKey::of(compiled.host_end(self.node, family))));
        let ends = self.ends();
        let mut tables = Tables::new(self.analysis);
        let local: BTreeSet<ClassId> = ends
            .values()
            .filter(|end| end.local)
            .filter_map(|end| self.identities.keys().at(end.identity).end.class)
            .collect();
        let sides: FxHashMap<ClassId, [Side; 2]> = local
            .into_iter()
            .map(|class| (class, Direction::ALL.map(|direction| tables.side(class, direction))))
            .collect();
        tables.divide_ports();
        let mut identities = IdVec::new();
        for IdentityKey { end, unknown, audit } in self.identities.keys().values() {
            let of_class = end.class.and_then(|class| sides.get(&class)).copied();
            let [ingress, egress] = of_class.unwrap_or([Side::open(), Side::open()]);
            identities.push(Identity {
                column: tables.column(*end),
                ingress,
                egress,
                unknown: *unknown,
                audit: *audit,
            });
        }
        let rows = tables.rows_of_subjects();
        let generation = Generation {
            identities,
            blocks,
            own_node,
            rows,
            columns: tables.columns.keys().len(),
            cells: tables.rows.keys().values().flatten().copied().collect(),
            ports: tables.ports,
            reasons: tables.reasons.into_keys(),
            asks_own_node: profile.egress_to_own_node == Exemption::Policy,
            asks_itself: profile.self_via_service == Exemption::Policy,
        };
        NodeProgram { node: cluster.nodes.at(self.node).name.clone(), ends, generation }
    }

    /// Pods and nodes by address. An address that two pods claim is that of the one that stays; if neither goes, nobody
    /// knows whose it is.
    fn ends(&mut self) -> BTreeMap<IpAddr, Endpoint> {
        let Analysis { cluster, compiled, profile, .. } = self.analysis;
        let mut ends: BTreeMap<IpAddr, Endpoint> = BTreeMap::new();
        let mut goes: BTreeMap<IpAddr, bool> = BTreeMap::new();
        let has_network = |state: PodState| matches!(state, PodState::Live | PodState::Pending);
        for (id, pod) in cluster.pods.iter().filter(|(_, pod)| has_network(pod.state)) {
            if premise::is_host(pod, profile) {
                continue;
            }
            for family in Family::ALL {
                let Some(address) = pod.address(family) else { continue };
                let end = compiled.pod_end(id, family);
                let local = pod.node == Some(self.node);
                let audit = local && self.options.audited.contains(&pod.namespace);
                let known = goes.get(&address).copied();
                let identity = match known {
                    Some(false) if pod.terminating => continue,
                    Some(false) => self.identities.intern(IdentityKey::unknown(end)),
                    Some(true) | None => self.identities.intern(IdentityKey { audit, ..IdentityKey::of(end) }),
                };
                goes.insert(address, pod.terminating);
                ends.insert(address, Endpoint { identity, local });
            }
        }
        for (_, address, end) in compiled.host_ends() {
            let identity = self.identities.intern(IdentityKey::of(end));
            ends.insert(address, Endpoint { identity, local: false });
        }
        ends
    }

    /// The addresses that are nobody's: as policies tell them apart, and those of this node's pods apart from the rest.
    fn blocks(&mut self) -> Vec<(ipnet::IpNet, IdentityId)> {
        let Analysis { cluster, compiled, .. } = self.analysis;
        let pods: AddressSet = cluster.nodes.at(self.node).pod_cidrs.iter().copied().map(AddressSet::net).collect();
        let mut blocks = Vec::new();
        for family in Family::ALL {
            let everything = AddressSet::all_of(family);
            let parts = compiled.outside_ends(family);
            // What has the first address holds the rest together, as the range of the whole family.
            let holds_first = |(_, set): &&(EndKey, AddressSet)| everything.first().is_some_and(|ip| set.contains(ip));
            let base = parts.iter().find(holds_first).map(|(end, _)| IdentityKey::of(*end));
            if let Some(base) = base {
                let identity = self.identities.intern(base);
                blocks.extend(everything.nets().into_iter().map(|net| (net, identity)));
            }
            for (end, set) in parts {
                let parts = [
                    (set.difference(&pods), IdentityKey::of(end)),
                    (set.intersection(&pods), IdentityKey::unknown(end)),
                ];
                for (part, key) in parts {
                    if part.is_empty() || base == Some(key) {
                        continue;
                    }
                    let identity = self.identities.intern(key);
                    blocks.extend(part.nets().into_iter().map(|net| (net, identity)));
                }
            }
        }
        blocks.sort_unstable();
        blocks
    }
}

/// Rows and columns as they are found.
struct Tables<'a> {
    analysis: &'a Analysis,
    /// The first is the empty one.
    subjects: Interner<SubjectId, Option<Subject>>,
    ports: PortClasses,
    rows: Interner<RowId, Vec<Cell>>,
    row_of: FxHashMap<(SubjectId, Heard), RowId>,
    columns: Interner<ColumnId, Vec<RowId>>,
    column_of: FxHashMap<Signature, ColumnId>,
    /// When all subjects are there: what tells ends apart for them.
    hearing: Hearing,
    /// Which of the port classes each list of ports has.
    listed: Listed,
    reasons: Interner<ReasonId, Reason>,
}

impl<'a> Tables<'a> {
    fn new(analysis: &'a Analysis) -> Self {
        let mut subjects = Interner::default();
        subjects.intern(None);
        Self {
            analysis,
            subjects,
            ports: PortClasses::default(),
            rows: Interner::default(),
            row_of: FxHashMap::default(),
            columns: Interner::default(),
            column_of: FxHashMap::default(),
            hearing: analysis.compiled.hearing(std::iter::empty()),
            listed: Listed::default(),
            reasons: Interner::default(),
        }
    }

    fn side(&mut self, class: ClassId, direction: Direction) -> Side {
        let compiled = &self.analysis.compiled;
        let mut subject = |exempt| self.subjects.intern(compiled.subject(class, direction, exempt));
        Side { plain: subject(false), exempt: subject(true) }
    }

    /// When all subjects are there: the ports between which they tell, and the row that lets everything through.
    fn divide_ports(&mut self) {
        let compiled = &self.analysis.compiled;
        let subjects = self.subjects.keys().values().flatten();
        let mut sets: Vec<_> = subjects.flat_map(|subject| compiled.port_sets(subject)).collect();
        sets.sort_unstable();
        sets.dedup();
        self.ports = PortClasses::new(&sets);
        self.hearing = compiled.hearing(self.subjects.keys().values().flatten());
        let open = Cell { allow: true, reason: self.reasons.intern(Reason::Open) };
        self.rows.intern(vec![open; self.ports.len()]);
    }

    fn column(&mut self, end: EndKey) -> ColumnId {
        let signature = self.hearing.signature(&self.analysis.compiled, end);
        if let Some(known) = self.column_of.get(&signature) {
            return *known;
        }
        let subjects: Vec<(SubjectId, Option<Subject>)> =
            self.subjects.keys().iter().map(|(id, subject)| (id, *subject)).collect();
        let rows = subjects.into_iter().map(|(id, subject)| match subject {
            None => RowId::from_index(0),
            Some(subject) => self.row(id, &subject, end),
        });
        let rows: Vec<RowId> = rows.collect();
        let column = self.columns.intern(rows);
        self.column_of.insert(signature, column);
        column
    }

    fn row(&mut self, id: SubjectId, subject: &Subject, end: EndKey) -> RowId {
        let Analysis { cluster, compiled, .. } = self.analysis;
        let heard = compiled.heard(subject, end);
        if let Some(known) = self.row_of.get(&(id, heard.clone())) {
            return *known;
        }
        let samples: Vec<_> = self.ports.samples().collect();
        let admitting = compiled.admitting(subject, &heard, &samples, &mut self.listed);
        // Where one rule admits, or none does, one answer is as good as the other.
        let mut by_rule: FxHashMap<Option<RuleRef>, Cell> = FxHashMap::default();
        let mut cells: Vec<Cell> = Vec::with_capacity(samples.len());
        for (at, port) in samples.iter().enumerate() {
            let mut ask = || {
                let answer = compiled.answer(subject, &heard, *port);
                let reason = self.reasons.intern(Reason::of(cluster, &answer));
                Cell { allow: answer.outcome == Outcome::Allowed, reason }
            };
            cells.push(match admitting.as_ref().and_then(|admitting| admitting.get(at)) {
                Some(rule) => *by_rule.entry(*rule).or_insert_with(ask),
                None => ask(),
            });
        }
        let row = self.rows.intern(cells);
        self.row_of.insert((id, heard), row);
        row
    }

    /// The rows of each subject, column by column.
    fn rows_of_subjects(&self) -> Vec<RowId> {
        let of_subject = |subject: SubjectId| {
            let columns = self.columns.keys().values();
            columns.filter_map(move |rows| rows.get(subject.index()).copied())
        };
        self.subjects.keys().ids().flat_map(of_subject).collect()
    }
}
