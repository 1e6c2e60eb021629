//! One pair of parties, all ports at once.

use crate::analysis::Analysis;
use crate::compile::ports::PortValue;
use crate::model::leg::{OwnNode, own_node};
use crate::model::premise::{self, Seen};
use crate::model::profile::Exemption;
use crate::model::{Condition, Direction, Family, Flow, KnobSet, Party, PortSet, Protocol, Verdict};

/// What becomes of every port between two ends. The four sets are disjoint; what is in none of them is denied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PortVerdicts {
    /// Let through.
    pub allowed: PortSet,
    /// Let through if the conditions hold.
    pub conditional: PortSet,
    /// Not defined: it depends on the knobs.
    pub undefined: PortSet,
    /// What the conditional ports depend on, sorted.
    pub conditions: Vec<Condition>,
    /// What some of the undefined ports depend on.
    pub knobs: KnobSet,
    /// Set when no port can get through whatever policies say: no route, nobody there.
    pub blocked: Option<(Verdict, &'static str)>,
}

impl PortVerdicts {
    /// Every port allowed.
    #[must_use]
    pub fn all() -> Self {
        Self { allowed: PortSet::all(), ..Self::default() }
    }

    fn blocked(verdict: Verdict, rule: &'static str) -> Self {
        Self { blocked: Some((verdict, rule)), ..Self::default() }
    }

    /// The ports that are denied.
    #[must_use]
    pub fn denied(&self) -> PortSet {
        self.allowed.union(&self.conditional).union(&self.undefined).complement()
    }

    /// Whether every port is denied, or blocked.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.allowed.is_empty() && self.conditional.is_empty() && self.undefined.is_empty()
    }

    /// What becomes of one port.
    #[must_use]
    pub fn verdict(&self, protocol: Protocol, port: u16) -> Verdict {
        if let Some((verdict, _)) = self.blocked {
            verdict
        } else if self.allowed.contains(protocol, port) {
            Verdict::Allowed
        } else if self.conditional.contains(protocol, port) {
            Verdict::Conditional
        } else if self.undefined.contains(protocol, port) {
            Verdict::Undefined
        } else {
            Verdict::Denied
        }
    }

    fn of(value: PortValue) -> Self {
        let conditions = if value.learned.is_empty() { Vec::new() } else { vec![Condition::Dns] };
        Self {
            allowed: value.certain,
            conditional: value.learned,
            undefined: value.possible,
            conditions,
            knobs: value.knobs,
            blocked: None,
        }
    }

    /// NP-19: where the own node's traffic and another's differ, it depends on where the pod runs.
    fn or_elsewhere(&self, elsewhere: &Self) -> Self {
        let allowed = self.allowed.intersection(&elsewhere.allowed);
        let undefined = self.undefined.intersection(&elsewhere.undefined);
        let learned = self.conditional.intersection(&elsewhere.conditional);
        let denied = self.denied().intersection(&elsewhere.denied());
        let placed = allowed.union(&undefined).union(&learned).union(&denied).complement();
        let mut conditions = Vec::new();
        conditions.extend((!placed.is_empty()).then_some(Condition::Placement));
        conditions.extend((!learned.is_empty()).then_some(Condition::Dns));
        let knobs = if undefined.is_empty() { KnobSet::EMPTY } else { elsewhere.knobs };
        Self { allowed, conditional: placed.union(&learned), undefined, conditions, knobs, blocked: None }
    }

    /// NP-6: both ends; denied before undefined before conditional before allowed.
    fn both(egress: &Self, ingress: &Self) -> Self {
        let denied = egress.denied().union(&ingress.denied());
        let undefined = egress.undefined.union(&ingress.undefined).difference(&denied);
        let conditional = egress.conditional.union(&ingress.conditional).difference(&denied).difference(&undefined);
        let allowed = egress.allowed.intersection(&ingress.allowed);
        let mut conditions: Vec<_> = egress.conditions.iter().chain(&ingress.conditions).copied().collect();
        conditions.sort_unstable();
        conditions.dedup();
        if conditional.is_empty() {
            conditions.clear();
        }
        let knobs = if undefined.is_empty() { KnobSet::EMPTY } else { egress.knobs.union(ingress.knobs) };
        Self { allowed, conditional, undefined, conditions, knobs, blocked: None }
    }

    /// One port to show for the set: an allowed one, else an uncertain one, else a denied one.
    #[must_use]
    pub fn witness_port(&self) -> (Protocol, u16) {
        let first = |set: &PortSet| {
            let of = |protocol: Protocol| set.of(protocol).first().map(|port| (protocol, port));
            of(Protocol::Tcp).or_else(|| of(Protocol::Udp)).or_else(|| of(Protocol::Sctp))
        };
        let sets = [&self.allowed, &self.conditional, &self.undefined, &self.denied()];
        sets.into_iter().find_map(first).unwrap_or((Protocol::Tcp, 1))
    }
}

/// What becomes of a direct connection on every port: what [`Judge::judge`](crate::model::Judge::judge) says, for
/// all ports at once.
#[must_use]
pub fn between(analysis: &Analysis, source: Party, destination: Party, family: Family) -> PortVerdicts {
    // The premises do not depend on the port.
    let flow = Flow::direct(source, destination, family, Protocol::Tcp, 1);
    if let Err(judgement) = premise::premise(&analysis.cluster, &analysis.profile, &flow) {
        return match judgement.verdict {
            Verdict::Allowed => PortVerdicts::all(),
            verdict => PortVerdicts::blocked(verdict, judgement.rule),
        };
    }
    let seen = |party| premise::seen(&analysis.cluster, &analysis.profile, party);
    let (from, to) = (seen(source), seen(destination));
    let exempt = analysis.profile.egress_to_own_node == Exemption::Allow;
    let egress = end(analysis, from, Direction::Egress, to, family, exempt);
    let ingress = end(analysis, to, Direction::Ingress, from, family, true);
    PortVerdicts::both(&egress, &ingress)
}

fn end(
    analysis: &Analysis,
    subject: Seen,
    direction: Direction,
    other: Seen,
    family: Family,
    own_node_exempt: bool,
) -> PortVerdicts {
    let Seen::Pod(pod) = subject else { return PortVerdicts::all() };
    let admitted = |exempt: bool| PortVerdicts::of(analysis.compiled.admitted(pod, direction, other, family, exempt));
    let own = match other {
        Seen::Host { node, .. } if own_node_exempt => own_node(&analysis.cluster, pod, node),
        _ => OwnNode::No,
    };
    match own {
        OwnNode::Yes => admitted(true), // NP-19
        OwnNode::Unknown => admitted(true).or_elsewhere(&admitted(false)),
        OwnNode::No => admitted(false),
    }
}
