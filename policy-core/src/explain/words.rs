//! Words for what rules of all kinds are made of: selectors, addresses, ports.

use crate::analysis::Analysis;
use crate::model::leg::Question;
use crate::model::premise::Whereabouts;
use crate::model::{AddressSet, Hit, Knob, LabelSet, PortMatch, PortRule, Selector};

/// The first requirement that labels do not meet, in words (NP-11).
pub(super) fn miss(selector: &Selector, labels: &LabelSet) -> Option<String> {
    let requirement = selector.requirements().iter().find(|requirement| !requirement.matches(labels))?;
    Some(match labels.get(&requirement.key) {
        Some(value) => format!("{requirement} does not hold, it has {}={value}", requirement.key),
        None => format!("{requirement} does not hold, it has no label {}", requirement.key),
    })
}

/// Whether addresses hold an end, in words (NP-12, NP-13, CNP-9).
pub(super) fn held(whereabouts: &Whereabouts, addresses: &AddressSet) -> (Hit, String) {
    let hit = whereabouts.within(addresses);
    let why = match (whereabouts, hit) {
        (Whereabouts::Known(known), hit) => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let known = known.join(", ");
            match hit {
                Hit::Yes => format!("holds {known}"),
                Hit::No => format!("does not hold {known}"),
                Hit::Maybe(_) => format!("holds some of {known}, and nobody says which one is used"),
            }
        }
        (Whereabouts::Within(_, doubts), hit) => {
            let knobs: Vec<&str> = doubts.knobs.iter().map(Knob::name).collect();
            match (hit, knobs.is_empty()) {
                (Hit::Maybe(_), true) => "what the name stands for is not known".to_owned(),
                (Hit::Maybe(_), false) => format!("the address is not known; set {}", knobs.join(", ")),
                (Hit::Yes, true) => "holds every address".to_owned(),
                (Hit::Yes, false) => format!("holds every address that {} leaves", knobs.join(", ")),
                (Hit::No, true) => "holds no address".to_owned(),
                (Hit::No, false) => format!("holds no address that {} leaves", knobs.join(", ")),
            }
        }
    };
    (hit, why)
}

/// NP-14 … NP-16, CNP-11. `ranges`: whether a last port is honoured.
pub(super) fn port_entry(analysis: &Analysis, entry: &PortRule, question: &Question, ranges: bool) -> (Hit, String) {
    let protocol = entry.protocol;
    let honoured = |end: &Option<u16>| end.filter(|_| ranges);
    let what = match &entry.port {
        PortMatch::All => format!("{protocol} all"),
        PortMatch::Number { port, end } => match honoured(end) {
            Some(end) => format!("{protocol} {port}-{end}"),
            None => format!("{protocol} {port}"),
        },
        PortMatch::Name(name) => format!("{protocol} {name}"),
    };
    if protocol != question.protocol {
        return (Hit::No, format!("{what}: the connection is {}", question.protocol));
    }
    match &entry.port {
        PortMatch::All => (Hit::Yes, format!("{what}: matches")),
        PortMatch::Number { port, end } => {
            let hit = Hit::sure((*port..=honoured(end).unwrap_or(*port)).contains(&question.port));
            let unsupported = end.is_some() && honoured(end).is_none();
            let why = match (hit, unsupported) {
                (Hit::Yes, _) => "matches".to_owned(),
                (_, true) => format!("the port is {}, and endport_support=false (NP-15)", question.port),
                (_, false) => format!("the port is {}", question.port),
            };
            (hit, format!("{what}: {why}"))
        }
        PortMatch::Name(name) => {
            let Some(pod) = question.names_of else {
                return (Hit::No, format!("{what}: the destination is no pod (NP-16a)"));
            };
            let declared = analysis.cluster.pods.at(pod).ports.iter();
            let called = declared.filter(|port| port.name.as_ref() == Some(name) && port.protocol == protocol);
            let numbers: Vec<String> = called.map(|port| port.port.to_string()).collect();
            let hit = analysis.compiled.named_port_hit(pod, protocol, name, question.port);
            let why = match (numbers.as_slice(), hit) {
                ([], _) => "the destination has no port of that name (NP-16)".to_owned(),
                (numbers, Hit::Yes) => format!("the destination's {} is {}", name, numbers.join(" and ")),
                (numbers, Hit::No) => {
                    format!("the destination's {} is {}, the port is {}", name, numbers.join(" and "), question.port)
                }
                (numbers, Hit::Maybe(_)) => {
                    format!("the destination calls {} so; set duplicate_port_names (NP-16)", numbers.join(" and "))
                }
            };
            (hit, format!("{what}: {why}"))
        }
    }
}

/// A peer, when nothing is known of the other end (ING-16, API-4).
pub(super) fn somebody(knob: Knob) -> (Hit, String) {
    (Hit::unless_set(knob), format!("nothing is known of the other end; set {knob}"))
}
