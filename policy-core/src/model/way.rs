//! Ways: how somebody gets at a pod, hop by hop, and what becomes of it (M-6, M-8).

use std::fmt;
use std::net::IpAddr;

use crate::ids::{NodeId, PodId, ProxyId, ServiceId};
use crate::model::{Flag, Flow, Judgement, Knob, KnobSet, Name, Outcome, Verdict};

macro_rules! way_kinds {
    ($($(#[$doc:meta])* $variant:ident = $id:literal $words:literal,)*) => {
        /// The kinds of way (M-8).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum WayKind { $($(#[$doc])* $variant,)* }

        impl WayKind {
            /// All kinds.
            pub const ALL: [Self; [$($id),*].len()] = [$(Self::$variant),*];

            /// The id in `docs/SPEC.md`: `W-LB`.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// What people call it: `load balancer`.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }
        }
    };
}

way_kinds! {
    /// A load balancer's address.
    LoadBalancer = "W-LB" "load balancer",
    /// A Gateway of the Gateway API.
    Gateway = "W-GW" "Gateway",
    /// An Ingress controller, by HTTP.
    Ingress = "W-ING" "Ingress",
    /// An Ingress controller, by a port of its own.
    L4 = "W-L4CM" "TCP or UDP port of a controller",
    /// An external address of a Service.
    ExternalIp = "W-EXTIP" "external IP",
    /// A node port.
    NodePort = "W-NP" "node port",
    /// A host port.
    HostPort = "W-HP" "host port",
    /// A pod on the host's network.
    HostNetwork = "W-HOSTNET" "host network",
    /// An address that a node or a Service holds by means of its own.
    Vip = "W-VIP" "virtual IP",
    /// The pod's own address.
    Pod = "W-POD" "pod address",
    /// A Service's cluster address.
    ClusterIp = "W-CIP" "cluster IP",
    /// A headless Service's name.
    Headless = "W-HEADLESS" "headless Service",
    /// A name for another name.
    ExternalName = "W-EXTNAME" "external name",
    /// The API server's proxy.
    ApiProxy = "W-APROXY" "API server proxy",
    /// `kubectl port-forward`.
    PortForward = "W-PFWD" "port forward",
}

impl fmt::Display for WayKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// One hop of a way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hop {
    /// A load balancer, by its address or name; `None` = it has none yet, or the input does not tell (SVC-21).
    Balancer {
        /// Its Service.
        service: ServiceId,
        /// Where it is.
        at: Option<Name>,
        /// Its port.
        port: u16,
    },
    /// A node.
    Node {
        /// Which; `None` = any that takes the packet.
        node: Option<NodeId>,
        /// The address that is dialled, when it is known.
        at: Option<IpAddr>,
        /// The port that is dialled; `None` = not allocated yet (SVC-8).
        port: Option<u16>,
    },
    /// A Service's cluster address, external address or name.
    Service {
        /// The Service.
        service: ServiceId,
        /// The address that is dialled, when it is known.
        at: Option<IpAddr>,
        /// The port that is dialled.
        port: u16,
    },
    /// An Ingress controller or a Gateway.
    Proxy {
        /// Which.
        proxy: ProxyId,
        /// Its port.
        port: u16,
    },
    /// The API server.
    ApiServer,
    /// A pod; the last hop of a way that leads somewhere.
    Pod {
        /// The pod.
        pod: PodId,
        /// Its port.
        port: u16,
    },
    /// An address that is no pod's.
    Address {
        /// The address.
        at: IpAddr,
        /// The port.
        port: u16,
    },
}

/// One connection of a way, judged (M-6, M-7).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Leg {
    /// The connection, after all translation.
    pub flow: Flow,
    /// What the policies of both ends say.
    pub judgement: Judgement,
}

/// Something that must hold and that the input does not settle (M-4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Proviso {
    /// The pod runs on the node in question (NP-19).
    Placement,
    /// What DNS answers (CNP-10, DNS-7).
    Dns,
    /// The client may do this with the API server: `get services/proxy` (API-2).
    Rbac(Name),
    /// The client shows this: `auth`, `client certificate` (ING-19, GW-13).
    Credential(Name),
    /// The expression matches, which nobody can tell (ING-10).
    Expression(Name),
    /// The client follows the redirect to HTTPS (ING-8).
    Redirect,
    /// The load balancer's health check gets its answer (ING-21).
    Health,
    /// The load balancer gets an address (SVC-21).
    Pending,
    /// A controller implements it (GW-2, ING-9).
    Controller(Name),
}

impl Proviso {
    /// That one of the pods is called so, for which alone a right is granted (API-2).
    #[must_use]
    pub fn called(name: &str) -> Self {
        Self::Rbac(Name::from(format!("one of the pods is called `{name}`")))
    }
}

impl fmt::Display for Proviso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placement => f.write_str("placement"),
            Self::Dns => f.write_str("dns"),
            Self::Rbac(what) => write!(f, "rbac: {what}"),
            Self::Credential(what) => write!(f, "credential: {what}"),
            Self::Expression(written) => write!(f, "expression: {written}"),
            Self::Redirect => f.write_str("redirect"),
            Self::Health => f.write_str("health check"),
            Self::Pending => f.write_str("load balancer address"),
            Self::Controller(what) => write!(f, "controller: {what}"),
        }
    }
}

/// What becomes of somebody on a way, or on a part of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Finding {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule that decides.
    pub rule: &'static str,
    /// The knobs on which it depends; empty unless it is undefined.
    pub knobs: KnobSet,
    /// What must hold; empty unless it is conditional. Sorted.
    pub provisos: Vec<Proviso>,
    /// Remarks, sorted.
    pub flags: Vec<Flag>,
}

impl Finding {
    /// It gets through.
    #[must_use]
    pub fn allowed(rule: &'static str) -> Self {
        Self::of(Verdict::Allowed, rule)
    }

    /// A verdict without doubts.
    #[must_use]
    pub fn of(verdict: Verdict, rule: &'static str) -> Self {
        Self { verdict, rule, knobs: KnobSet::EMPTY, provisos: Vec::new(), flags: Vec::new() }
    }

    /// It depends on a knob.
    #[must_use]
    pub fn undefined(rule: &'static str, knob: Knob) -> Self {
        Self { knobs: KnobSet::one(knob), ..Self::of(Verdict::Undefined, rule) }
    }

    /// It gets through if this holds.
    #[must_use]
    pub fn if_only(rule: &'static str, proviso: Proviso) -> Self {
        Self { provisos: vec![proviso], ..Self::of(Verdict::Conditional, rule) }
    }

    /// The finding of a judged connection.
    #[must_use]
    pub fn of_judgement(judgement: &Judgement) -> Self {
        let provisos = judgement.conditions().into_iter().map(|condition| match condition {
            crate::model::Condition::Placement => Proviso::Placement,
            crate::model::Condition::Dns => Proviso::Dns,
        });
        Self {
            verdict: judgement.verdict,
            rule: judgement.rule,
            knobs: judgement.knobs(),
            provisos: provisos.collect(),
            flags: judgement.flags.clone(),
        }
    }

    /// Both must hold: what stops it counts before what is undefined, that before what is conditional.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rank = |finding: &Self| match finding.verdict {
            Verdict::Allowed => 0,
            Verdict::Conditional => 1,
            Verdict::Undefined => 2,
            Verdict::Denied | Verdict::NoListener | Verdict::NoRoute => 3,
        };
        // Of two that say the same, the later leg is the better reason, unless the way has ended before.
        let (first, second) =
            if rank(&self) > rank(&other) || rank(&self) == 3 { (self, other) } else { (other, self) };
        let mut provisos = first.provisos;
        let mut knobs = first.knobs;
        if first.verdict == second.verdict {
            provisos.extend(second.provisos);
            knobs = knobs.union(second.knobs);
        }
        provisos.sort();
        provisos.dedup();
        let mut flags = [first.flags, second.flags].concat();
        flags.sort_unstable();
        flags.dedup();
        Self { provisos, knobs, flags, ..first }
    }

    /// The better of two (M-6): allowed, conditional, undefined, then what stops it.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if other.merit() > self.merit() { other } else { self }
    }

    /// How good it is for whoever wants through.
    #[must_use]
    pub fn merit(&self) -> u8 {
        match self.verdict {
            Verdict::Allowed => 5,
            Verdict::Conditional => 4,
            Verdict::Undefined => 3,
            Verdict::Denied => 2,
            Verdict::NoListener => 1,
            Verdict::NoRoute => 0,
        }
    }

    /// Whether somebody may get through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.verdict, Verdict::Allowed | Verdict::Conditional | Verdict::Undefined)
    }
}

impl From<&Judgement> for Finding {
    fn from(judgement: &Judgement) -> Self {
        Self::of_judgement(judgement)
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Allowed => Self::Allowed,
            Outcome::Conditional(_) => Self::Conditional,
            Outcome::Undefined(_) => Self::Undefined,
            Outcome::Denied => Self::Denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_legs_must_be_open_and_the_best_way_counts() {
        // M-6
        let allowed = || Finding::allowed("NP-4");
        let denied = || Finding::of(Verdict::Denied, "NP-7");
        let undefined = || Finding::undefined("NP-24", Knob::LocalSnatView);
        let conditional = || Finding::if_only("API-2", Proviso::Rbac(Name::from("get services/proxy")));
        assert_eq!(allowed().and(denied()).rule, "NP-7");
        assert_eq!(denied().and(Finding::of(Verdict::NoRoute, "M-4")).rule, "NP-7");
        assert_eq!(undefined().and(conditional()).verdict, Verdict::Undefined);
        assert!(undefined().and(conditional()).provisos.is_empty());
        assert_eq!(conditional().and(allowed()).provisos.len(), 1);
        assert_eq!(undefined().or(conditional()).verdict, Verdict::Conditional);
        assert_eq!(denied().or(undefined()).verdict, Verdict::Undefined);
        assert_eq!(denied().or(allowed()).verdict, Verdict::Allowed);
        let both = Finding::if_only("NP-19", Proviso::Placement).and(Finding::if_only("CNP-10", Proviso::Dns));
        assert_eq!(both.provisos, [Proviso::Placement, Proviso::Dns]);
    }

    #[test]
    fn kinds_have_ids() {
        // M-8
        assert_eq!(WayKind::LoadBalancer.id(), "W-LB");
        assert_eq!(WayKind::ALL.len(), 15);
    }
}
