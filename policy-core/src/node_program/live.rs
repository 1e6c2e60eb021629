//! The program of a node that follows a changing cluster. What does not change keeps its ids.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use crate::analysis::Compilation;
use crate::compile::ClassId;
use crate::compile::ends::EndKey;
use crate::compile::interner::Interner;
use crate::compile::update::Parts;
use crate::ids::{IdVec, NodeId, PodId};
use crate::live::Touched;
use crate::model::profile::Exemption;
use crate::model::{AddressSet, Direction, Family, Pod, PodState, premise};
use crate::node_program::build::{Options, Unfit, fits};
use crate::node_program::tables::{Anew, Tables};
use crate::node_program::{
    Endpoint, Ends, Generation, Identity, IdentityId, NodeProgram, PortClasses, Side, SignatureId,
};

/// How much room is left for more columns and classes of ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// None.
    Exact,
    /// An eighth more, and a few: what is left empty is written all the same.
    ToGrow,
}

impl Room {
    fn of(self, needed: usize) -> usize {
        match self {
            Self::Exact => needed,
            Self::ToGrow => needed + needed / 8 + 16,
        }
    }
}

/// So many rows or cells, used or not, are no reason to make tables anew.
const FEW: usize = 1 << 16;

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

/// Which parts of a program have changed, or may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Any.
    Everything,
    /// Only these.
    Only {
        /// Addresses of pods and nodes.
        ends: BTreeSet<IpAddr>,
        /// Whether anything but them.
        generation: bool,
    },
}

impl Default for Change {
    /// None.
    fn default() -> Self {
        Self::Only { ends: BTreeSet::new(), generation: false }
    }
}

impl Change {
    /// One change and then another.
    pub fn then(&mut self, next: &Self) {
        match (&mut *self, next) {
            (Self::Only { ends, generation }, Self::Only { ends: more, generation: too }) => {
                ends.extend(more);
                *generation |= too;
            }
            _ => *self = Self::Everything,
        }
    }
}

/// The program of a node, and what is needed to change it.
#[derive(Debug)]
pub struct LiveProgram {
    node: NodeId,
    options: Options,
    room: Room,
    program: NodeProgram,
    identities: Interner<IdentityId, IdentityKey>,
    known: IdVec<IdentityId, (EndKey, SignatureId)>,
    tables: Tables,
    /// The policies of local classes.
    sides: FxHashMap<ClassId, [Side; 2]>,
    hosts: BTreeMap<IpAddr, EndKey>,
    /// How much there was when all was built.
    built: Sizes,
}

/// How much there is of what only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sizes {
    identities: usize,
    reasons: usize,
    /// With the room that they have.
    rows: usize,
    cells: usize,
}

impl Sizes {
    fn of(generation: &Generation) -> Self {
        Self {
            identities: generation.identities.len(),
            reasons: generation.reasons.len(),
            rows: generation.rows.len(),
            cells: generation.cells.len(),
        }
    }
}

/// Whether there is so much, used or not, that it is time to begin anew.
fn is_wasteful(now: usize, built: usize, few: usize) -> bool {
    now > few.max(2 * built)
}

impl LiveProgram {
    /// The program of a node, as an operator wants it.
    ///
    /// # Errors
    /// [`Unfit`] as [`NodeProgram::build`].
    pub fn new<'a>(of: impl Into<Compilation<'a>>, node: NodeId, options: Options) -> Result<Self, Unfit> {
        let of = of.into();
        fits(of.profile)?;
        Ok(Self::make(of, node, options, Room::ToGrow))
    }

    /// The program as it is now.
    #[must_use]
    pub fn program(&self) -> &NodeProgram {
        &self.program
    }

    pub(super) fn into_program(self) -> NodeProgram {
        self.program
    }

    pub(super) fn make(of: Compilation<'_>, node: NodeId, options: Options, room: Room) -> Self {
        let generation = Generation {
            identities: IdVec::new(),
            blocks: Vec::new(),
            own_node: [IdentityId::FIRST; 2],
            rows: Vec::new(),
            columns: 0,
            column_room: 0,
            cells: Vec::new(),
            ports: PortClasses::default(),
            class_room: 0,
            reasons: IdVec::new(),
            asks_own_node: of.profile.egress_to_own_node == Exemption::Policy,
            asks_itself: of.profile.self_via_service == Exemption::Policy,
        };
        let name = of.cluster.nodes.at(node).name.clone();
        let mut live = Self {
            node,
            options,
            room,
            program: NodeProgram { node: name, ends: Ends::default(), generation },
            identities: Interner::default(),
            known: IdVec::new(),
            tables: Tables::new(of),
            sides: FxHashMap::default(),
            hosts: BTreeMap::new(),
            built: Sizes::default(),
        };
        live.program.generation.blocks = live.blocks(of);
        live.program.generation.own_node = live.own_node(of);
        live.program.ends = live.all_ends(of);
        live.make_tables(of);
        live
    }

    /// Makes the tables anew with what is in use, and tells what that changes here: where rows are, and no decision. An
    /// [`update`](Self::update) does so by itself when there is much that is not in use.
    pub fn renew<'a>(&mut self, of: impl Into<Compilation<'a>>) -> Change {
        self.make_tables(of.into());
        Change::Only { ends: BTreeSet::new(), generation: true }
    }

    /// Makes the tables anew. Addresses keep their identities.
    fn make_tables(&mut self, of: Compilation<'_>) {
        self.tables = Tables::new(of);
        self.sides.clear();
        self.known = IdVec::new();
        let local = self.program.ends.values().filter(|end| end.local);
        let local: BTreeSet<ClassId> =
            local.filter_map(|end| self.identities.keys().at(end.identity).end.class).collect();
        for class in local {
            self.ask(of, class);
        }
        let generation = &mut self.program.generation;
        (generation.column_room, generation.class_room) = (0, 0);
        generation.reasons = IdVec::new();
        // Names of ports cannot begin to matter where nothing is.
        if self.tables.settle(of, &mut self.known).is_ok() {
            self.lay_out(of);
        }
        self.built = Sizes::of(&self.program.generation);
    }

    /// Works a change of the cluster in, and tells what it has changed here. `node` is the id that the node has now.
    pub fn update<'a>(&mut self, of: impl Into<Compilation<'a>>, node: NodeId, touched: &Touched) -> Change {
        let of = of.into();
        let change = match touched {
            Touched::Only(parts) => self.work_in(of, node, parts),
            Touched::Everything => Err(Anew),
        };
        let (now, built) = (Sizes::of(&self.program.generation), self.built);
        match change {
            Ok(mut change) if !is_wasteful(now.identities, built.identities, FEW / 4) => {
                if is_wasteful(now.rows, built.rows, FEW)
                    || is_wasteful(now.cells, built.cells, FEW)
                    || is_wasteful(now.reasons, built.reasons, FEW / 4)
                {
                    change.then(&self.renew(of));
                }
                change
            }
            _ => {
                *self = Self::make(of, node, self.options.clone(), self.room);
                Change::Everything
            }
        }
    }

    fn work_in(&mut self, of: Compilation<'_>, node: NodeId, parts: &Parts) -> Result<Change, Anew> {
        let mut generation = false;
        let is_moved = self.node != node;
        self.node = node;
        if is_moved || !parts.addresses.is_empty() {
            self.program.generation.blocks = self.blocks(of);
            generation = true;
        }
        if is_moved || parts.nodes.contains(&node) {
            self.program.generation.own_node = self.own_node(of);
            generation = true;
        }
        let mut addresses = parts.ends.clone();
        if !parts.nodes.is_empty() {
            addresses.extend(self.learn_hosts(of));
        }
        let mut ends = BTreeSet::new();
        for ip in addresses {
            let end = self.end(of, ip);
            if self.program.ends.get(&ip) == end.as_ref() {
                continue;
            }
            ends.insert(ip);
            let Some(end) = end else {
                self.program.ends.remove(&ip);
                continue;
            };
            self.program.ends.insert(ip, end);
            if let Some(class) = self.identities.keys().at(end.identity).end.class.filter(|_| end.local)
                && !self.sides.contains_key(&class)
            {
                self.ask(of, class);
                generation = true;
            }
        }
        for class in parts.classes.iter().filter(|class| self.sides.contains_key(class)).copied().collect::<Vec<_>>() {
            self.ask(of, class);
            generation = true;
        }
        if generation || self.identities.keys().len() > self.known.len() {
            self.tables.settle(of, &mut self.known)?;
            self.lay_out(of);
            generation = true;
        }
        Ok(Change::Only { ends, generation })
    }

    /// Asks the policies of a local class.
    fn ask(&mut self, of: Compilation<'_>, class: ClassId) {
        let sides = Direction::ALL.map(|direction| self.tables.side(of, class, direction));
        self.sides.insert(class, sides);
    }

    /// Puts what the tables say where the kernel looks for it.
    fn lay_out(&mut self, of: Compilation<'_>) {
        for key in self.identities.keys().values().skip(self.known.len()) {
            let signature = self.tables.signature(of, key.end);
            self.known.push((key.end, signature));
        }
        let generation = &mut self.program.generation;
        let identities = self.identities.keys().values().zip(self.known.values());
        generation.identities = identities
            .map(|(key, (_, signature))| {
                let of_class = key.end.class.and_then(|class| self.sides.get(&class)).copied();
                let [ingress, egress] = of_class.unwrap_or([Side::open(), Side::open()]);
                let column = self.tables.column(*signature);
                Identity { column, ingress, egress, unknown: key.unknown, audit: key.audit }
            })
            .collect();
        generation.columns = self.tables.columns();
        generation.ports = self.tables.ports.clone();
        if generation.columns > generation.column_room {
            generation.column_room = self.room.of(generation.columns);
        }
        if generation.ports.len() > generation.class_room {
            generation.class_room = self.room.of(generation.ports.len());
        }
        generation.rows = self.tables.lay_rows(generation.column_room);
        generation.cells = self.tables.lay_cells(generation.class_room);
        for reason in self.tables.reasons().values().skip(generation.reasons.len()) {
            generation.reasons.push(reason.clone());
        }
    }

    fn own_node(&mut self, of: Compilation<'_>) -> [IdentityId; 2] {
        let end = |family| IdentityKey::of(of.compiled.host_end(self.node, family));
        Family::ALL.map(|family| self.identities.intern(end(family)))
    }

    fn all_ends(&mut self, of: Compilation<'_>) -> Ends {
        let Compilation { cluster, profile, .. } = of;
        let mut claims: BTreeMap<IpAddr, Claim> = BTreeMap::new();
        for (id, pod) in cluster.pods.iter().filter(|(_, pod)| has_address(pod) && !premise::is_host(pod, profile)) {
            for ip in Family::ALL.into_iter().filter_map(|family| pod.address(family)) {
                let claim = Claim::after(claims.get(&ip).copied(), id, pod);
                claims.insert(ip, claim);
            }
        }
        self.learn_hosts(of);
        let mut ends: BTreeMap<IpAddr, Endpoint> =
            claims.into_iter().map(|(ip, claim)| (ip, self.endpoint(of, ip, claim))).collect();
        for (ip, end) in &self.hosts {
            let identity = self.identities.intern(IdentityKey::of(*end));
            ends.insert(*ip, Endpoint { identity, local: false });
        }
        ends.into_iter().collect()
    }

    /// Whom one address stands for.
    fn end(&mut self, of: Compilation<'_>, ip: IpAddr) -> Option<Endpoint> {
        if let Some(end) = self.hosts.get(&ip) {
            return Some(Endpoint { identity: self.identities.intern(IdentityKey::of(*end)), local: false });
        }
        let Compilation { cluster, profile, compiled } = of;
        let at = |id: &PodId| cluster.pods.at(*id);
        let has = |id: &PodId| has_address(at(id)) && !premise::is_host(at(id), profile);
        let mut pods: Vec<PodId> = compiled.pods_at(ip).filter(has).collect();
        pods.sort_by_key(|id| (&cluster.namespaces.at(at(id).namespace).name, &at(id).name));
        let claim = pods.into_iter().fold(None, |claim, id| Some(Claim::after(claim, id, cluster.pods.at(id))))?;
        Some(self.endpoint(of, ip, claim))
    }

    fn endpoint(&mut self, of: Compilation<'_>, ip: IpAddr, claim: Claim) -> Endpoint {
        let pod = of.cluster.pods.at(claim.pod);
        let end = of.compiled.pod_end(claim.pod, Family::of(ip));
        let local = pod.node == Some(self.node);
        let audit = local && self.options.audited.contains(&of.cluster.namespaces.at(pod.namespace).name);
        let key =
            if claim.disputed { IdentityKey::unknown(end) } else { IdentityKey { audit, ..IdentityKey::of(end) } };
        Endpoint { identity: self.identities.intern(key), local }
    }

    /// Looks at the addresses of all nodes again, and tells those that are not as they were.
    fn learn_hosts(&mut self, of: Compilation<'_>) -> BTreeSet<IpAddr> {
        let hosts: BTreeMap<IpAddr, EndKey> = of.compiled.host_ends().map(|(_, ip, end)| (ip, end)).collect();
        let was = std::mem::replace(&mut self.hosts, hosts);
        let differs = |ip: &&IpAddr| was.get(*ip) != self.hosts.get(*ip);
        was.keys().chain(self.hosts.keys()).filter(differs).copied().collect()
    }

    /// The addresses that are nobody's: as policies tell them apart, and those of this node's pods apart from the rest.
    fn blocks(&mut self, of: Compilation<'_>) -> Vec<(IpNet, IdentityId)> {
        let pods: AddressSet = of.cluster.nodes.at(self.node).pod_cidrs.iter().copied().map(AddressSet::net).collect();
        let mut blocks = Vec::new();
        for family in Family::ALL {
            let everything = AddressSet::all_of(family);
            let parts = of.compiled.outside_ends(family);
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

/// A pod that has an address. An address that two pods claim is that of the one that stays; if neither goes, nobody knows
/// whose it is.
#[derive(Clone, Copy, Debug)]
struct Claim {
    pod: PodId,
    goes: bool,
    disputed: bool,
}

impl Claim {
    /// What comes of a claim when another pod makes one.
    fn after(known: Option<Self>, id: PodId, pod: &Pod) -> Self {
        let fresh = Self { pod: id, goes: pod.terminating, disputed: false };
        match known {
            Some(known) if !known.goes && pod.terminating => known,
            Some(known) if !known.goes => Self { disputed: true, ..fresh },
            Some(_) | None => fresh,
        }
    }
}

fn has_address(pod: &Pod) -> bool {
    matches!(pod.state, PodState::Live | PodState::Pending)
}
