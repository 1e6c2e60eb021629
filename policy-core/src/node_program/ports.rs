//! Ports that no local policy tells apart, as classes (design: port atoms).

use crate::ids::Id;
use crate::model::interval::Point;
use crate::model::{PortSet, Protocol};
use crate::node_program::Transport;

crate::id_type!(
    /// Ports that no local policy tells apart. The first is traffic without ports.
    PortClass
);

/// Where the classes of each protocol begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortClasses {
    /// By protocol, in the order of [`Protocol::ALL`]: the first port of each class; the first is port 0.
    starts: [Vec<(u16, PortClass)>; 3],
    len: usize,
}

impl Default for PortClasses {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl PortClasses {
    /// The classes between which these sets tell. Port 0 is in no set, and has a class of its own where that makes a
    /// difference.
    #[must_use]
    pub fn new(sets: &[PortSet]) -> Self {
        let mut len = 1;
        let starts = Protocol::ALL.map(|protocol| {
            let mut firsts = vec![0_u16];
            for (first, last) in sets.iter().flat_map(|set| set.of(protocol).intervals()) {
                firsts.push(*first);
                firsts.extend(last.next());
            }
            firsts.sort_unstable();
            firsts.dedup();
            let class = |first: u16| {
                let class = PortClass::from_index(len);
                len += 1;
                (first, class)
            };
            firsts.into_iter().map(class).collect()
        });
        Self { starts, len }
    }

    /// The number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: traffic without ports has a class.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The first port of each class of a protocol, in order.
    #[must_use]
    pub fn of(&self, protocol: Protocol) -> &[(u16, PortClass)] {
        let [sctp, tcp, udp] = &self.starts;
        match protocol {
            Protocol::Sctp => sctp,
            Protocol::Tcp => tcp,
            Protocol::Udp => udp,
        }
    }

    /// The class of a packet.
    #[must_use]
    pub fn class(&self, transport: Transport) -> PortClass {
        let Transport::Port(protocol, port) = transport else { return PortClass::from_index(0) };
        let starts = self.of(protocol);
        let at = starts.partition_point(|(first, _)| *first <= port);
        let known = at.checked_sub(1).and_then(|at| starts.get(at));
        known.map_or(PortClass::from_index(0), |(_, class)| *class)
    }

    /// One port of each class, by class; traffic without ports comes first.
    #[must_use]
    pub fn samples(&self) -> Vec<Option<(Protocol, u16)>> {
        let mut samples = vec![None; self.len];
        for protocol in Protocol::ALL {
            for (first, class) in self.of(protocol) {
                if let Some(sample) = samples.get_mut(class.index()) {
                    *sample = Some((protocol, *first));
                }
            }
        }
        samples
    }

    /// Makes the classes tell between these sets too. Those that there are keep their first ports; for each new class, in
    /// order, the one that it was a part of.
    pub fn divide(&mut self, sets: &[PortSet]) -> Vec<PortClass> {
        let mut parts = Vec::new();
        let Self { starts, len } = self;
        for (protocol, starts) in Protocol::ALL.into_iter().zip(starts) {
            let intervals = sets.iter().flat_map(|set| set.of(protocol).intervals());
            for first in intervals.flat_map(|(first, last)| [Some(*first), last.next()]).flatten() {
                let Err(place) = starts.binary_search_by_key(&first, |(first, _)| *first) else { continue };
                let whole = place.checked_sub(1).and_then(|before| starts.get(before)).map(|(_, class)| *class);
                parts.push(whole.unwrap_or(PortClass::FIRST));
                starts.insert(place, (first, PortClass::from_index(*len)));
                *len += 1;
            }
        }
        parts
    }
}
