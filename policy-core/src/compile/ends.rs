//! What the data path of a node asks of the compiled policies: which ends they tell apart, and what the policies of one
//! end say to another (design: subject and peer classes, port atoms).

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::compile::ports::PortTable;
use crate::compile::table::{IsolationProfile, Term};
use crate::compile::{AddressClassId, ClassId, Column, Compiled, PeersId, PortExprId, PortTableId, ProfileId, no_sctp};
use crate::ids::{NodeId, PodId};
use crate::model::{AddressSet, Direction, End, Family, Hit, PortSet, Protocol, RuleRef};

/// What policies know of an end that has an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct EndKey {
    /// Its label class, if it is a pod to policies.
    pub(crate) class: Option<ClassId>,
    address: AddressClassId,
}

/// The policies that act on some pods in one direction. Never none: an end without policies has no subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Subject {
    pub(crate) direction: Direction,
    profile: ProfileId,
    /// The ports by whose names rules of ingress speak (NP-16).
    names: Option<PortTableId>,
    /// Whether NetworkPolicies let everything through: traffic with itself or with the own node (NP-18, NP-19).
    exempt: bool,
}

/// Which peer lists of a subject hold an end, and what its ports are called.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Heard {
    peers: Vec<(PeersId, Hit)>,
    names: Option<PortTableId>,
}

impl Heard {
    fn of(&self, peers: PeersId) -> Hit {
        let found = self.peers.iter().find(|(known, _)| *known == peers);
        found.map_or(Hit::No, |(_, hit)| *hit)
    }
}

/// Which of some ports each list of ports has, by the ports that names stand for.
pub(crate) type Listed = FxHashMap<(PortExprId, Option<PortTableId>), Vec<bool>>;

/// The peer lists that some subjects have, and which ends they tell apart.
#[derive(Debug)]
pub(crate) struct Hearing {
    lists: Vec<PeersId>,
    at: FxHashSet<PeersId>,
    /// Whether a rule of theirs speaks of the names of the other end's ports.
    names: bool,
    by_class: FxHashMap<ClassId, Vec<u32>>,
    by_address: FxHashMap<AddressClassId, Vec<(u32, Hit)>>,
}

/// Ends with equal signatures are alike to all subjects of a [`Hearing`].
pub(crate) type Signature = (Vec<u32>, Vec<(u32, Hit)>, Option<PortTableId>);

impl Hearing {
    /// Takes in more subjects: the peer lists that nobody had. `false`, and nothing is done, when names of ports begin to
    /// matter.
    pub(crate) fn extend<'a>(
        &mut self,
        compiled: &Compiled,
        subjects: impl Iterator<Item = &'a Subject>,
    ) -> Option<std::ops::Range<u32>> {
        let more = compiled.hearing(subjects);
        if more.names && !self.names {
            return None;
        }
        let from = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        let new = more.lists.into_iter().filter(|list| self.at.insert(*list));
        self.lists.extend(new);
        if self.lists.len() > usize::try_from(from).unwrap_or(usize::MAX) {
            self.by_class.clear();
            self.by_address.clear();
        }
        Some(from..u32::try_from(self.lists.len()).unwrap_or(u32::MAX))
    }

    /// Which of some lists hold an end.
    pub(crate) fn newly(
        &self,
        compiled: &Compiled,
        end: EndKey,
        lists: &std::ops::Range<u32>,
    ) -> (Vec<u32>, Vec<(u32, Hit)>) {
        let table = &compiled.table;
        let address = compiled.atoms.class(end.address);
        let from = usize::try_from(lists.start).unwrap_or(usize::MAX);
        let lists = || self.lists.iter().skip(from).map(|list| table.peers.at(*list)).zip(lists.clone());
        let holds = |class: ClassId| lists().filter(move |(peers, _)| table.sets.at(peers.classes).contains(class));
        let by_class = end.class.into_iter().flat_map(holds).map(|(_, at)| at).collect();
        let hits = lists().map(|(peers, at)| (at, peers.block_hit(address)));
        (by_class, hits.filter(|(_, hit)| *hit != Hit::No).collect())
    }

    /// What the subjects hear of an end.
    pub(crate) fn signature(&mut self, compiled: &Compiled, end: EndKey) -> Signature {
        let table = &compiled.table;
        let lists = || self.lists.iter().map(|list| table.peers.at(*list)).zip(0_u32..);
        let by_address = self.by_address.entry(end.address).or_insert_with(|| {
            let address = compiled.atoms.class(end.address);
            let hits = lists().map(|(peers, at)| (at, peers.block_hit(address)));
            hits.filter(|(_, hit)| *hit != Hit::No).collect()
        });
        let by_address = by_address.clone();
        let Some(class) = end.class else { return (Vec::new(), by_address, None) };
        let by_class = self.by_class.entry(class).or_insert_with(|| {
            let holding = lists().filter(|(peers, _)| table.sets.at(peers.classes).contains(class));
            holding.map(|(_, at)| at).collect()
        });
        (by_class.clone(), by_address, compiled.names_of(Some(class).filter(|_| self.names)))
    }
}

impl Compiled {
    /// What tells ends apart for these subjects.
    pub(crate) fn hearing<'a>(&self, subjects: impl Iterator<Item = &'a Subject>) -> Hearing {
        let (mut lists, mut names) = (Vec::new(), false);
        for subject in subjects {
            let profile = self.profile_of(subject);
            lists.extend(self.table.terms_of(profile).map(|term| term.peers));
            names |= subject.direction == Direction::Egress && self.speaks_of_names(profile);
        }
        lists.sort_unstable();
        lists.dedup();
        let at = lists.iter().copied().collect();
        Hearing { lists, at, names, by_class: FxHashMap::default(), by_address: FxHashMap::default() }
    }

    /// A pod, by its address of one family.
    pub(crate) fn pod_end(&self, pod: PodId, family: Family) -> EndKey {
        EndKey { class: self.classes.of_pod(pod), address: self.places.of_pod(pod, family) }
    }

    /// The addresses of nodes, each by itself.
    pub(crate) fn host_ends(&self) -> impl Iterator<Item = (NodeId, IpAddr, EndKey)> {
        self.places.hosts().map(|(node, ip, address)| (node, ip, EndKey { class: None, address }))
    }

    /// A process of a node, whichever of its addresses it uses.
    pub(crate) fn host_end(&self, node: NodeId, family: Family) -> EndKey {
        EndKey { class: None, address: self.places.of_host(Some(node), family) }
    }

    /// The addresses of a family, by what policies know of those that are nobody's.
    pub(crate) fn outside_ends(&self, family: Family) -> Vec<(EndKey, AddressSet)> {
        let cut = self.atoms.cut(&AddressSet::all_of(family)).into_iter();
        cut.map(|(address, set)| (EndKey { class: None, address }, set)).collect()
    }

    /// What acts on a pod in one direction; `None` when nothing does.
    pub(crate) fn subject(&self, class: ClassId, direction: Direction, exempt: bool) -> Option<Subject> {
        let id = self.table.profile_of(class, direction);
        let profile = self.table.profile(class, direction);
        let exempt = exempt && !profile.policies.is_empty();
        if profile.is_open() || (exempt && self.table.chains.at(profile.admin).is_empty()) {
            return None;
        }
        let own = (direction == Direction::Ingress && self.speaks_of_names(profile)).then_some(class);
        Some(Subject { direction, profile: id, names: self.names_of(own), exempt })
    }

    /// Which of the subject's peer lists hold an end.
    pub(crate) fn heard(&self, subject: &Subject, end: EndKey) -> Heard {
        let profile = self.profile_of(subject);
        let column = Column { class: end.class, address: end.address, somebody: None };
        let address = self.atoms.class(end.address);
        let mut lists: Vec<PeersId> = self.table.terms_of(profile).map(|term| term.peers).collect();
        lists.sort_unstable();
        lists.dedup();
        let hits = lists.into_iter().map(|peers| (peers, self.table.peers_hit(peers, &column, address)));
        let other = (subject.direction == Direction::Egress && self.speaks_of_names(profile)).then_some(end.class);
        Heard { peers: hits.filter(|(_, hit)| *hit != Hit::No).collect(), names: self.names_of(other.flatten()) }
    }

    /// What the subject's policies say to an end about one port of the destination. `None` is traffic without ports,
    /// which only rules about every port of every protocol take (NP-17).
    pub(crate) fn answer(&self, subject: &Subject, heard: &Heard, port: Option<(Protocol, u16)>) -> End {
        let profile = self.profile_of(subject);
        if matches!(port, Some((Protocol::Sctp, _))) && !self.sctp_policy {
            return no_sctp(profile);
        }
        let names = self.table_of(subject.names.or(heard.names));
        let hit = |term: &Term| match heard.of(term.peers) {
            Hit::No => Hit::No,
            peers => self.lists(term.ports, names, port).and(peers),
        };
        self.weigh(profile, &hit, subject.exempt.then_some("NP-19"))
    }

    /// The first rule that admits each of many ports, where nothing but NetworkPolicies acts and nothing is in doubt; `None`
    /// elsewhere. `known` remembers which of the ports each list of ports has.
    pub(crate) fn admitting(
        &self,
        subject: &Subject,
        heard: &Heard,
        ports: &[Option<(Protocol, u16)>],
        known: &mut Listed,
    ) -> Option<Vec<Option<RuleRef>>> {
        let profile = self.profile_of(subject);
        let has_tiers =
            [profile.admin, profile.baseline].into_iter().any(|chain| !self.table.chains.at(chain).is_empty());
        let is_sure = heard.peers.iter().all(|(_, hit)| *hit == Hit::Yes);
        if has_tiers || !is_sure || subject.exempt || !self.sctp_policy {
            return None;
        }
        let names = subject.names.or(heard.names);
        let table = self.table_of(names);
        // A name that stands for several numbers may be in doubt (NP-16).
        if table.is_some_and(|table| table.entries().iter().any(|(_, value)| !value.possible.is_empty())) {
            return None;
        }
        let mut admitting: Vec<Option<RuleRef>> = vec![None; ports.len()];
        for (rule, term) in profile.rules.iter().filter(|(_, term)| heard.of(term.peers) == Hit::Yes) {
            let listed = known
                .entry((term.ports, names))
                .or_insert_with(|| ports.iter().map(|port| self.lists(term.ports, table, *port) == Hit::Yes).collect());
            for (by, _) in admitting.iter_mut().zip(listed).filter(|(by, listed)| **listed && by.is_none()) {
                *by = Some(*rule);
            }
        }
        Some(admitting)
    }

    /// Whether a list of ports has one of them; `None` as in [`answer`](Self::answer).
    fn lists(&self, ports: PortExprId, names: Option<&PortTable>, port: Option<(Protocol, u16)>) -> Hit {
        let ports = self.table.port_list(ports);
        match port {
            Some((protocol, number)) => ports.hit(names, protocol, number),
            None => Hit::sure(ports.resolve(None).certain.is_all()),
        }
    }

    /// The sets of ports between which the subject's policies tell, whoever the other end is.
    pub(crate) fn port_sets(&self, subject: &Subject) -> Vec<PortSet> {
        let profile = self.profile_of(subject);
        let terms: Vec<_> = self.table.terms_of(profile).map(|term| self.table.port_list(term.ports)).collect();
        let mut sets: Vec<PortSet> = terms.iter().map(|ports| ports.resolve(None).any()).collect();
        if self.speaks_of_names(profile) {
            let tables: Vec<&PortTable> = match subject.direction {
                Direction::Ingress => self.table_of(subject.names).into_iter().collect(),
                Direction::Egress => self.classes.tables().values().collect(),
            };
            let named = tables.iter().flat_map(|table| table.entries());
            sets.extend(named.map(|(_, value)| value.any()));
        }
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    fn profile_of(&self, subject: &Subject) -> &IsolationProfile {
        self.table.profiles(subject.direction).at(subject.profile)
    }

    fn speaks_of_names(&self, profile: &IsolationProfile) -> bool {
        self.table.terms_of(profile).any(|term| !self.table.port_list(term.ports).names().is_empty())
    }

    fn names_of(&self, class: Option<ClassId>) -> Option<PortTableId> {
        class.map(|class| self.classes.at(class).ports)
    }

    fn table_of(&self, names: Option<PortTableId>) -> Option<&PortTable> {
        names.map(|names| self.classes.tables().at(names))
    }
}
