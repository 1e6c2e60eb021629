//! The compiler: classes, interned factors, and answers as walks over the few factors that apply.
//!
//! Pods that every selector, block and port name treats alike are one class; policies become profiles of
//! classes; rules become terms over interned peer and port lists. Nothing here is pod × pod.

mod atoms;
mod class_set;
mod classes;
pub mod connections;
mod cuts;
mod effects;
pub(crate) mod ends;
pub mod groups;
pub(crate) mod interner;
mod kinds;
pub mod meaning;
mod places;
pub mod ports;
mod reading;
mod rows;
mod rules;
mod scenes;
mod selectors;
mod senders;
mod shares;
mod table;
mod tally;
mod tiers;
pub mod update;
mod values;

use crate::compile::atoms::Atoms;
use crate::compile::classes::Classes;
use crate::compile::places::Places;
use crate::compile::ports::PortValue;
use crate::compile::rules::Rules;
use crate::compile::table::{Column, IsolationProfile, Table, Term};
use crate::compile::tiers::{Chain, Every, Single, Step};
use crate::compile::update::Index;
use crate::ids::{NodeId, PodId, PolicyId};

use crate::model::leg::{Policies, Question};
use crate::model::premise::Seen;
use crate::model::{
    AddressSet, Cluster, Direction, Doubts, End, Family, Hit, Knob, KnobSet, Name, Outcome, Profile, Protocol, RuleRef,
    Tier, TierRuleRef,
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
    /// A distinct set of acting policies.
    ProfileId
);
crate::id_type!(
    /// A distinct tier: the cluster-wide policies of one tier that act on a class in one direction.
    ChainId
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
    /// A distinct block: addresses, nodes or names.
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
    /// Senders to whom tiers do the same.
    CastId
);
crate::id_type!(
    /// A distinct view that the egress tiers have of a destination.
    SceneId
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
    places: Places,
    sctp_policy: bool,
    /// What a change looks up; made at the first one.
    index: Option<Box<Index>>,
}

/// Compiles a cluster. Linear in pods and in the sizes of the distinct peer lists.
#[must_use]
pub fn compile(cluster: &Cluster, profile: &Profile) -> Compiled {
    let rules = Rules::new(cluster, profile);
    let mut atoms = Atoms::new(rules.blocks.keys().clone(), cluster);
    let classes = Classes::new(cluster, profile);
    let table = Table::new(rules, cluster, profile, &classes);
    let places = Places::new(&mut atoms, cluster, profile);
    Compiled { classes, atoms, table, places, sctp_policy: profile.sctp_policy, index: None }
}

/// Everything that policies know of a pod: its class, and its addresses' classes in both families.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct PodColumns {
    class: Option<ClassId>,
    v4: AddressClassId,
    v6: AddressClassId,
}

/// Everything that policies know of the processes of a node: its addresses' classes in both families.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct NodeColumns([AddressClassId; 2]);

impl Compiled {
    /// What policies know of an end.
    fn column(&self, seen: Seen, family: Family) -> Column {
        let known = |class, address| Column { class, address, somebody: None };
        match seen {
            Seen::Pod(pod) => known(self.classes.of_pod(pod), self.places.of_pod(pod, family)),
            Seen::Host { pod: Some(pod), .. } => known(None, self.places.of_pod(pod, family)),
            Seen::Host { node, pod: None } => known(None, self.places.of_host(node, family)),
            Seen::Address(address) if Family::of(address) == family => known(None, self.atoms.outside(address)),
            Seen::Address(_) => known(None, self.atoms.outside_all()),
            Seen::Named(name) => known(None, self.atoms.named(name, family)),
            Seen::Somebody(knob) => Column { somebody: Some(knob), ..known(None, self.atoms.outside_all()) },
        }
    }

    /// What the policies of `pod` let it exchange with `other`, every port. `exempt`: NetworkPolicies let everything
    /// through (NP-19).
    pub(crate) fn admitted(
        &self,
        pod: PodId,
        direction: Direction,
        other: Seen,
        family: Family,
        exempt: bool,
    ) -> PortValue {
        let Some(class) = self.classes.of_pod(pod) else { return PortValue::all() };
        let profile = self.table.profile(class, direction);
        if profile.is_open() {
            return PortValue::all();
        }
        let other = self.column(other, family);
        let names = match direction {
            Direction::Ingress => Some(class),
            Direction::Egress => other.class,
        };
        let names = self.classes.table_of(names);
        let address = self.atoms.class(other.address);
        let taken = |term: &Term| match self.table.peers_hit(term.peers, &other, address) {
            Hit::No => PortValue::default(),
            hit => self.table.port_list(term.ports).resolve(names).under(hit),
        };
        let tier = |chain: ChainId, next: PortValue| {
            self.table.chains.at(chain).fold(&mut Every, |_, step| taken(&step.term), &next)
        };
        let next = if profile.policies.is_empty() {
            tier(profile.baseline, PortValue::all())
        } else if exempt {
            PortValue::all()
        } else {
            profile.terms.iter().fold(PortValue::default(), |value, term| value.union(&taken(term)))
        };
        let value = tier(profile.admin, next);
        if self.sctp_policy { value } else { value.with_unknown_sctp() }
    }

    /// Whether each rule of a pod's isolating policies admits what is asked, in order (NP-8).
    pub(crate) fn rule_hits(&self, pod: PodId, question: &Question) -> Vec<(RuleRef, Hit)> {
        let Some(class) = self.classes.of_pod(pod) else { return Vec::new() };
        let hit = self.term_hit(question);
        let rules = self.table.profile(class, question.direction).rules.iter();
        rules.map(|(rule, term)| (*rule, hit(term))).collect()
    }

    /// Whether each rule of a tier that acts on a pod takes what is asked, in the order of evaluation (CNP-2).
    pub(crate) fn tier_hits(&self, pod: PodId, question: &Question, tier: Tier) -> Vec<(TierRuleRef, Hit)> {
        let Some(class) = self.classes.of_pod(pod) else { return Vec::new() };
        let profile = self.table.profile(class, question.direction);
        let chain = match tier {
            Tier::Admin => profile.admin,
            Tier::Baseline => profile.baseline,
        };
        let hit = self.term_hit(question);
        self.table.chains.at(chain).steps().map(|step| (step.rule, hit(&step.term))).collect()
    }

    fn term_hit(&self, question: &Question) -> impl Fn(&Term) -> Hit {
        let other = self.column(question.other, question.family);
        let names = self.classes.table_of(question.names_of.and_then(|pod| self.classes.of_pod(pod)));
        let address = self.atoms.class(other.address);
        move |term: &Term| {
            let ports = self.table.port_list(term.ports).hit(names, question.protocol, question.port);
            if ports == Hit::No {
                return Hit::No;
            }
            ports.and(self.table.peers_hit(term.peers, &other, address))
        }
    }

    /// Whether a port name means this port on a pod (NP-16).
    pub(crate) fn named_port_hit(&self, pod: PodId, protocol: Protocol, name: &Name, port: u16) -> Hit {
        let table = self.classes.table_of(self.classes.of_pod(pod));
        table.map_or(Hit::No, |table| table.hit(&(protocol, name.clone()), port))
    }

    /// Whether some NetworkPolicy isolates a pod in a direction (NP-4).
    #[must_use]
    pub fn is_isolated(&self, pod: PodId, direction: Direction) -> bool {
        let class = self.classes.of_pod(pod);
        class.is_some_and(|class| !self.table.profile(class, direction).policies.is_empty())
    }

    /// The Admin tier of a pod may take everybody, whatever it is (CNP-13).
    fn may_take_hosts(&self, pod: PodId, direction: Direction) -> bool {
        let Some(class) = self.classes.of_pod(pod) else { return false };
        let admin = self.table.profile(class, direction).admin;
        self.table.chains.at(admin).steps().any(|step| self.table.peers.at(step.term.peers).any)
    }

    /// Everything that policies know of a pod.
    pub(crate) fn pod_columns(&self, pod: PodId) -> PodColumns {
        let [v4, v6] = Family::ALL.map(|family| self.places.of_pod(pod, family));
        PodColumns { class: self.classes.of_pod(pod), v4, v6 }
    }

    /// Everything that policies know of a node's processes.
    pub(crate) fn node_columns(&self, node: NodeId) -> NodeColumns {
        NodeColumns(Family::ALL.map(|family| self.places.of_host(Some(node), family)))
    }

    /// Cuts outside addresses into those that policies treat alike.
    pub(crate) fn cut(&self, addresses: &AddressSet) -> Vec<AddressSet> {
        self.atoms.cut(addresses).into_iter().map(|(_, cell)| cell).collect()
    }

    /// The number of label classes.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }
}

impl Policies for Compiled {
    fn ask(&self, pod: PodId, question: &Question) -> End {
        let profile = self.classes.of_pod(pod).map(|class| self.table.profile(class, question.direction));
        let Some(profile) = profile.filter(|profile| !profile.is_open()) else { return End::open("NP-4") };
        if question.protocol == Protocol::Sctp && !self.sctp_policy {
            return no_sctp(profile);
        }
        let hit = self.term_hit(question);
        self.weigh(profile, &hit, question.exempt)
    }
}

/// NP-17: nobody knows what policies mean for SCTP.
fn no_sctp(profile: &IsolationProfile) -> End {
    let outcome = Outcome::Undefined(KnobSet::one(Knob::SctpPolicy));
    End { outcome, isolating: profile.policies.to_vec(), ..End::open("NP-17") }
}

impl Compiled {
    /// What the tiers say together when `term_hit` tells what each rule takes (CNP-1).
    fn weigh(&self, profile: &IsolationProfile, term_hit: &impl Fn(&Term) -> Hit, exempt: Option<&'static str>) -> End {
        let isolating = profile.policies.to_vec();
        let hit = |step: &Step| term_hit(&step.term);
        let fold = |chain: &Chain, next: Hit| chain.fold(&mut Single, |_, step| hit(step), &next);
        let (admin, baseline) = (self.table.chains.at(profile.admin), self.table.chains.at(profile.baseline));
        let (mut end, mut decided) = if let ([], _) | (_, Some(_)) = (&*profile.policies, exempt) {
            let exempt = exempt.filter(|_| !profile.policies.is_empty());
            (End { isolating, ..End::open(exempt.unwrap_or("NP-4")) }, Hit::Yes)
        } else {
            self.network_policies(profile, term_hit, isolating)
        };
        if profile.policies.is_empty() && !baseline.is_empty() {
            decided = fold(baseline, Hit::Yes);
            end.tier_rules = baseline.matching(&hit);
            if decided == fold(baseline, Hit::No) {
                (end.tier, end.rule) = (Some(Tier::Baseline), "CNP-5");
            }
            end.rule = doubt(decided).unwrap_or(end.rule);
        }
        if !admin.is_empty() {
            let after = decided;
            decided = fold(admin, after);
            let mut tier_rules = admin.matching(&hit);
            if fold(admin, Hit::Yes) == fold(admin, Hit::No) {
                (end.tier, end.rule) = (Some(Tier::Admin), doubt(decided).unwrap_or("CNP-4"));
                end.admitting.clear();
            } else {
                tier_rules.append(&mut end.tier_rules);
                if decided != after {
                    end.rule = doubt(decided).unwrap_or(end.rule);
                }
            }
            end.tier_rules = tier_rules;
        }
        End { outcome: decided.outcome(), ..end }
    }

    /// NP-5, NP-7, NP-8.
    fn network_policies(
        &self,
        profile: &IsolationProfile,
        hit: &impl Fn(&Term) -> Hit,
        isolating: Vec<PolicyId>,
    ) -> (End, Hit) {
        let hits = || profile.rules.iter().map(|(rule, term)| (*rule, hit(term)));
        let admitting = hits().filter(|(_, hit)| *hit == Hit::Yes).map(|(rule, _)| rule).collect();
        let best = hits().fold(Hit::No, |best, (_, hit)| best.or(hit));
        let rule = match best {
            Hit::Yes => "NP-8",
            Hit::No if profile.rules.is_empty() => "NP-7",
            Hit::No => "NP-5",
            Hit::Maybe(_) => doubt(best).unwrap_or_default(),
        };
        (End { outcome: best.outcome(), isolating, admitting, ..End::open(rule) }, best)
    }
}

/// The rule behind a doubt; `None` when there is none.
fn doubt(hit: Hit) -> Option<&'static str> {
    let Hit::Maybe(Doubts { knobs, .. }) = hit else { return None };
    let is = |knob| knobs.iter().any(|known| known == knob);
    match () {
        () if is(Knob::EqualPriority) => Some("CNP-2"),
        () if is(Knob::Controllers) => Some("ING-16"),
        () if is(Knob::ApiServerAddresses) => Some("API-4"),
        () if knobs.is_empty() => Some("CNP-10"),
        () if knobs == KnobSet::one(Knob::DuplicatePortNames) => Some("NP-16"),
        () => Some("NP-13"),
    }
}
