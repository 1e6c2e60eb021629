//! The compiler: classes, interned factors, and answers as walks over the few factors that apply.
//!
//! Pods that every selector, block and port name treats alike are one class; policies become profiles of
//! classes; rules become terms over interned peer and port lists. Nothing here is pod × pod.

mod atoms;
mod class_set;
mod classes;
pub mod connections;
mod cuts;
pub mod groups;
mod interner;
mod kinds;
pub mod ports;
mod rows;
mod selectors;
mod senders;
mod shares;
mod table;
mod tally;
mod values;

use crate::compile::atoms::Atoms;
use crate::compile::classes::{Classes, Classifier};
use crate::compile::ports::PortValue;
use crate::compile::table::{Column, Rules, Table, Term};
use crate::ids::{IdVec, NodeId, PodId, PolicyId};
use crate::model::leg::{Policies, Question};
use crate::model::premise::{self, Seen};
use crate::model::{
    AddressSet, Cluster, Direction, End, Family, Hit, Knob, KnobSet, Name, Outcome, Profile, Protocol, RuleRef,
};

crate::id_type!(
    /// A label class: pods that every selector and port name treats alike.
    ClassId
);
crate::id_type!(
    /// An address class: addresses that every ipBlock treats alike.
    AddressClassId
);
crate::id_type!(
    /// A distinct set of isolating policies.
    ProfileId
);
crate::id_type!(
    /// A distinct peer list.
    PeersId
);
crate::id_type!(
    /// A distinct set of label classes.
    ClassSetId
);
crate::id_type!(
    /// A distinct port list.
    PortExprId
);
crate::id_type!(
    /// A distinct table of named ports.
    PortTableId
);
crate::id_type!(
    /// A distinct set of labels, cut down to the keys that selectors read.
    ProjectionId
);
crate::id_type!(
    /// A distinct ipBlock.
    BlockId
);

crate::id_type!(
    /// A distinct three-valued set of ports.
    ValueId
);
crate::id_type!(
    /// Label classes that every peer list of one direction treats alike.
    CellId
);
crate::id_type!(
    /// An address class, cut down to the blocks that one direction uses.
    ViewId
);
crate::id_type!(
    /// A kind of source: groups that are alike as sources.
    SourceKindId
);
crate::id_type!(
    /// A kind of destination: groups that are alike as destinations.
    DestinationKindId
);
crate::id_type!(
    /// A port name that some port list mentions.
    PortNameId
);
crate::id_type!(
    /// Sources with the same role and egress profile.
    SenderId
);
crate::id_type!(
    /// A distinct list of wide class sets.
    WideId
);

/// A cluster, compiled under one profile.
#[derive(Clone, Debug)]
pub struct Compiled {
    classes: Classes,
    atoms: Atoms,
    table: Table,
    pod_addresses: IdVec<PodId, [AddressClassId; 2]>,
    node_addresses: IdVec<NodeId, [AddressClassId; 2]>,
    unknown_host: [AddressClassId; 2],
    sctp_policy: bool,
}

/// Compiles a cluster. Linear in pods and in the sizes of the distinct peer lists.
#[must_use]
pub fn compile(cluster: &Cluster, profile: &Profile) -> Compiled {
    let rules = Rules::new(cluster, profile);
    let mut atoms = rules.atoms();
    let mut classifier = Classifier::new(cluster, profile);
    let table = rules.table(cluster, profile, &mut classifier);
    let nowhere = atoms.outside_all();
    let pod_addresses = cluster
        .pods
        .values()
        .map(|pod| {
            let counts = if premise::is_host(pod, profile) {
                profile.ipblock_matches_nodes
            } else {
                profile.ipblock_matches_pods
            };
            Family::ALL.map(|family| {
                if !counts {
                    return nowhere; // NP-13
                }
                match pod.address(family) {
                    Some(address) => atoms.of_address(address),
                    None => atoms.of_whereabouts(family, &premise::pod_whereabouts(cluster, profile, pod, family)),
                }
            })
        })
        .collect();
    let mut of_host = |node: Option<NodeId>| {
        Family::ALL.map(|family| {
            if !profile.ipblock_matches_nodes {
                return nowhere; // NP-13
            }
            atoms.of_whereabouts(family, &premise::host_whereabouts(cluster, profile, node, family))
        })
    };
    let node_addresses = cluster.nodes.ids().map(|node| of_host(Some(node))).collect();
    let unknown_host = of_host(None);
    Compiled {
        classes: classifier.classes,
        atoms,
        table,
        pod_addresses,
        node_addresses,
        unknown_host,
        sctp_policy: profile.sctp_policy,
    }
}

/// Everything that policies know of a pod: its class, and its addresses' classes in both families.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct PodColumns {
    class: Option<ClassId>,
    v4: AddressClassId,
    v6: AddressClassId,
}

fn of_family([v4, v6]: [AddressClassId; 2], family: Family) -> AddressClassId {
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

impl Compiled {
    /// What policies know of an end.
    fn column(&self, seen: Seen, family: Family) -> Column {
        match seen {
            Seen::Pod(pod) => {
                Column { class: self.classes.of_pod(pod), address: of_family(*self.pod_addresses.at(pod), family) }
            }
            Seen::Host { pod: Some(pod), .. } => {
                Column { class: None, address: of_family(*self.pod_addresses.at(pod), family) }
            }
            Seen::Host { node, pod: None } => {
                let addresses = node.map_or(self.unknown_host, |node| *self.node_addresses.at(node));
                Column { class: None, address: of_family(addresses, family) }
            }
            Seen::Address(address) if Family::of(address) == family => {
                Column { class: None, address: self.atoms.of_address(address) }
            }
            Seen::Address(_) => Column { class: None, address: self.atoms.outside_all() },
        }
    }

    /// What the policies of `pod` let it exchange with `other`, every port; `None` when it is not isolated (NP-4).
    pub(crate) fn admitted(&self, pod: PodId, direction: Direction, other: Seen, family: Family) -> Option<PortValue> {
        let class = self.classes.of_pod(pod)?;
        let profile = self.table.profile(class, direction);
        if profile.policies.is_empty() {
            return None;
        }
        let other = self.column(other, family);
        let names = match direction {
            Direction::Ingress => Some(class),
            Direction::Egress => other.class,
        };
        let names = self.classes.table_of(names);
        let address = self.atoms.class(other.address);
        let mut value = PortValue::default();
        for term in &profile.terms {
            let hit = self.table.peers_hit(term.peers, other.class, address);
            if hit != Hit::No {
                value = value.union(&self.table.ports.at(term.ports).resolve(names).under(hit));
            }
        }
        Some(if self.sctp_policy { value } else { value.with_unknown_sctp() })
    }

    /// Whether each rule of a pod's isolating policies admits what is asked, in order (NP-8).
    pub(crate) fn rule_hits(&self, pod: PodId, question: &Question) -> Vec<(RuleRef, Hit)> {
        let Some(class) = self.classes.of_pod(pod) else { return Vec::new() };
        let other = self.column(question.other, question.family);
        let names = self.classes.table_of(question.names_of.and_then(|pod| self.classes.of_pod(pod)));
        let address = self.atoms.class(other.address);
        let hit = |term: &Term| {
            let ports = self.table.ports.at(term.ports).hit(names, question.protocol, question.port);
            if ports == Hit::No {
                return Hit::No;
            }
            ports.and(self.table.peers_hit(term.peers, other.class, address))
        };
        let rules = self.table.profile(class, question.direction).rules.iter();
        rules.map(|(rule, term)| (*rule, hit(term))).collect()
    }

    /// Whether a port name means this port on a pod (NP-16).
    pub(crate) fn named_port_hit(&self, pod: PodId, protocol: Protocol, name: &Name, port: u16) -> Hit {
        let table = self.classes.table_of(self.classes.of_pod(pod));
        table.map_or(Hit::No, |table| table.hit(&(protocol, name.clone()), port))
    }

    /// Whether some policy isolates a pod in a direction (NP-4).
    #[must_use]
    pub fn is_isolated(&self, pod: PodId, direction: Direction) -> bool {
        let class = self.classes.of_pod(pod);
        class.is_some_and(|class| !self.table.profile(class, direction).policies.is_empty())
    }

    /// Everything that policies know of a pod.
    pub(crate) fn pod_columns(&self, pod: PodId) -> PodColumns {
        let [v4, v6] = *self.pod_addresses.at(pod);
        PodColumns { class: self.classes.of_pod(pod), v4, v6 }
    }

    /// Cuts outside addresses into those that policies treat alike.
    pub(crate) fn cut(&self, addresses: &AddressSet) -> Vec<AddressSet> {
        self.atoms.cut(addresses).into_iter().map(|(_, cell)| cell).collect()
    }

    /// The number of label classes.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.classes.classes.len()
    }
}

impl Policies for Compiled {
    fn isolating(&self, pod: PodId, direction: Direction) -> Vec<PolicyId> {
        let class = self.classes.of_pod(pod);
        class.map(|class| self.table.profile(class, direction).policies.to_vec()).unwrap_or_default()
    }

    fn ask(&self, pod: PodId, question: &Question, isolating: Vec<PolicyId>) -> End {
        if question.protocol == Protocol::Sctp && !self.sctp_policy {
            let outcome = Outcome::Undefined(KnobSet::one(Knob::SctpPolicy));
            return End { outcome, rule: "NP-17", isolating, admitting: Vec::new() };
        }
        let hits = self.rule_hits(pod, question);
        let admitting = hits.iter().filter(|(_, hit)| *hit == Hit::Yes).map(|(rule, _)| *rule).collect();
        let best = hits.iter().fold(Hit::No, |best, (_, hit)| best.or(*hit));
        let (outcome, rule) = match best {
            Hit::Yes => (Outcome::Allowed, "NP-8"),
            Hit::Maybe(knobs) if knobs == KnobSet::one(Knob::DuplicatePortNames) => {
                (Outcome::Undefined(knobs), "NP-16")
            }
            Hit::Maybe(knobs) => (Outcome::Undefined(knobs), "NP-13"),
            Hit::No if hits.is_empty() => (Outcome::Denied, "NP-7"),
            Hit::No => (Outcome::Denied, "NP-5"),
        };
        End { outcome, rule, isolating, admitting }
    }
}
