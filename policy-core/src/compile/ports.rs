//! Port lists as exact sets, with port names kept apart until a destination pod is known (NP-14 … NP-16).

use rustc_hash::FxHashSet;

use crate::model::profile::DuplicatePortNames;
use crate::model::{ContainerPort, Doubts, Hit, Knob, KnobSet, Name, PortMatch, PortSet, Ports, Profile, Protocol};

/// What a rule's port list admits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct PortExpr {
    /// The numbers.
    fixed: PortSet,
    /// The names, sorted.
    names: Box<[(Protocol, Name)]>,
}

impl PortExpr {
    /// `ranges`: whether a last port is honoured (NP-15, CNP-11).
    pub(super) fn new(ports: &Ports, ranges: bool) -> Self {
        let Ports::OneOf(entries) = ports else {
            return Self { fixed: PortSet::all(), names: Box::default() };
        };
        let (mut fixed, mut names) = (PortSet::empty(), Vec::new());
        for entry in entries {
            match &entry.port {
                PortMatch::All => fixed = fixed.union(&PortSet::all_of(entry.protocol)),
                PortMatch::Number { port, end } => {
                    let last = end.filter(|_| ranges).unwrap_or(*port);
                    fixed = fixed.union(&PortSet::range(entry.protocol, *port, last));
                }
                PortMatch::Name(name) => names.push((entry.protocol, name.clone())),
            }
        }
        names.sort_unstable();
        names.dedup();
        Self { fixed, names: names.into() }
    }

    pub(super) fn names(&self) -> &[(Protocol, Name)] {
        &self.names
    }

    /// Whether the list admits one port of a destination with this table.
    pub(super) fn hit(&self, table: Option<&PortTable>, protocol: Protocol, port: u16) -> Hit {
        if self.fixed.contains(protocol, port) {
            return Hit::Yes;
        }
        let Some(table) = table else { return Hit::No };
        let of_protocol = self.names.iter().filter(|(of, _)| *of == protocol);
        of_protocol.fold(Hit::No, |hit, name| hit.or(table.hit(name, port)))
    }

    /// Everything that the list admits at a destination with this table.
    pub(super) fn resolve(&self, table: Option<&PortTable>) -> PortValue {
        let mut value = PortValue::certain(self.fixed.clone());
        for name in &self.names {
            if let Some(named) = table.and_then(|table| table.value(name)) {
                value = value.union(named);
            }
        }
        value
    }
}

/// The named ports of a pod, as far as policies mention the names.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct PortTable(Box<[((Protocol, Name), PortValue)]>);

impl PortTable {
    pub(super) fn new(ports: &[ContainerPort], mentioned: &FxHashSet<(Protocol, Name)>, profile: &Profile) -> Self {
        let mut entries: Vec<((Protocol, Name), PortValue)> = Vec::new();
        for port in ports {
            let Some(name) = port.name.as_ref().filter(|name| mentioned.contains(&(port.protocol, (*name).clone())))
            else {
                continue;
            };
            let number = PortSet::range(port.protocol, port.port, port.port);
            match entries.iter_mut().find(|((protocol, known), _)| *protocol == port.protocol && known == name) {
                None => entries.push(((port.protocol, name.clone()), PortValue::certain(number))),
                Some((_, value)) => *value = value.union(&duplicate(number, profile)),
            }
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self(entries.into())
    }

    pub(super) fn entries(&self) -> &[((Protocol, Name), PortValue)] {
        &self.0
    }

    fn value(&self, name: &(Protocol, Name)) -> Option<&PortValue> {
        let at = self.0.binary_search_by(|(key, _)| key.cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub(super) fn hit(&self, name: &(Protocol, Name), port: u16) -> Hit {
        self.value(name).map_or(Hit::No, |value| value.hit(name.0, port))
    }
}

/// NP-16: what a later declaration of a name adds.
fn duplicate(number: PortSet, profile: &Profile) -> PortValue {
    match profile.duplicate_port_names {
        DuplicatePortNames::First => PortValue::default(),
        DuplicatePortNames::All => PortValue::certain(number),
        DuplicatePortNames::Both => {
            PortValue { possible: number, knobs: KnobSet::one(Knob::DuplicatePortNames), ..PortValue::default() }
        }
    }
}

/// A set of ports, some of them uncertain.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PortValue {
    /// The ports that are certainly in it.
    pub certain: PortSet,
    /// The ports for which that is not defined; disjoint from `certain`.
    pub possible: PortSet,
    /// What the possible ones depend on; empty when there is none.
    pub knobs: KnobSet,
    /// The ports for which it depends on what DNS answers (CNP-10); disjoint from the others.
    pub learned: PortSet,
}

impl PortValue {
    /// A set without doubts.
    #[must_use]
    pub fn certain(ports: PortSet) -> Self {
        Self { certain: ports, ..Self::default() }
    }

    /// Every port.
    #[must_use]
    pub fn all() -> Self {
        Self::certain(PortSet::all())
    }

    /// Whether no port can be in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.certain.is_empty() && self.possible.is_empty() && self.learned.is_empty()
    }

    /// The ports that are or may be in it.
    #[must_use]
    pub fn any(&self) -> PortSet {
        self.certain.union(&self.possible).union(&self.learned)
    }

    /// Certain goes before possible, possible before learned.
    fn new(certain: PortSet, possible: &PortSet, learned: &PortSet, knobs: KnobSet) -> Self {
        let possible = possible.difference(&certain);
        let learned = learned.difference(&certain).difference(&possible);
        let knobs = if possible.is_empty() { KnobSet::EMPTY } else { knobs };
        Self { certain, possible, knobs, learned }
    }

    /// What is in the set of these ports.
    #[must_use]
    pub fn within(&self, ports: &PortSet) -> Self {
        let [certain, possible, learned] =
            [&self.certain, &self.possible, &self.learned].map(|set| set.intersection(ports));
        Self::new(certain, &possible, &learned, self.knobs)
    }

    /// What is in one of two sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let possible = self.possible.union(&other.possible);
        let learned = self.learned.union(&other.learned);
        Self::new(self.certain.union(&other.certain), &possible, &learned, self.knobs.union(other.knobs))
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = self.any().intersection(&other.any());
        let possible = self.possible.union(&other.possible).intersection(&both);
        Self::new(self.certain.intersection(&other.certain), &possible, &both, self.knobs.union(other.knobs))
    }

    /// The set under a condition that holds as `hit` says.
    #[must_use]
    pub fn under(&self, hit: Hit) -> Self {
        match hit {
            Hit::Yes => self.clone(),
            Hit::No => Self::default(),
            Hit::Maybe(doubts) if doubts.knobs.is_empty() => {
                Self::new(PortSet::empty(), &self.possible, &self.any(), self.knobs)
            }
            Hit::Maybe(doubts) => {
                Self::new(PortSet::empty(), &self.any(), &PortSet::empty(), self.knobs.union(doubts.knobs))
            }
        }
    }

    /// NP-17: without SCTP support an end with policies may do anything with SCTP.
    #[must_use]
    pub fn with_unknown_sctp(&self) -> Self {
        let sctp = PortSet::all_of(Protocol::Sctp);
        let possible = self.possible.union(&sctp);
        let knobs = self.knobs.union(KnobSet::one(Knob::SctpPolicy));
        Self::new(self.certain.difference(&sctp), &possible, &self.learned, knobs)
    }

    /// Whether one port is in it.
    #[must_use]
    pub fn hit(&self, protocol: Protocol, port: u16) -> Hit {
        if self.certain.contains(protocol, port) {
            Hit::Yes
        } else if self.possible.contains(protocol, port) {
            Hit::Maybe(Doubts { knobs: self.knobs, dns: false })
        } else if self.learned.contains(protocol, port) {
            Hit::Maybe(Doubts::DNS)
        } else {
            Hit::No
        }
    }
}
