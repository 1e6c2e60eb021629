//! NetworkPolicies as they mean, not as they are written (NP-1 … NP-17).

use std::fmt;

use ipnet::IpNet;

use crate::ids::NamespaceId;
use crate::model::{AddressSet, Name, Protocol, Selector};
use crate::source::Span;

/// The two directions of a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// Traffic towards the selected pods.
    Ingress,
    /// Traffic from the selected pods.
    Egress,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// One NetworkPolicy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkPolicy {
    /// The namespace on whose pods it acts (NP-1).
    pub namespace: NamespaceId,
    /// `metadata.name`.
    pub name: Name,
    /// Which pods of the namespace it selects (NP-1).
    pub selector: Selector,
    /// `Some` iff Ingress is an effective policy type (NP-2, NP-3): the selected pods are isolated, and these
    /// rules admit. Empty: nothing is admitted (NP-7).
    pub ingress: Option<Vec<Rule>>,
    /// The same for egress.
    pub egress: Option<Vec<Rule>>,
    /// Where it is written.
    pub span: Option<Span>,
}

impl NetworkPolicy {
    /// The rules of a direction; `None` when the policy does not isolate in it (NP-3).
    #[must_use]
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// One rule: matches when a peer matches and a port matches (NP-8).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rule {
    /// Who.
    pub peers: Peers,
    /// On which ports.
    pub ports: Ports,
    /// Where it is written.
    pub span: Option<Span>,
}

/// The peer list of a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Peers {
    /// No list, or an empty one: everybody, in the cluster or not (NP-9).
    Any,
    /// At least one of these must match. Never empty.
    OneOf(Vec<Peer>),
}

/// One peer (NP-10).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Peer {
    /// Pods by labels.
    Pods {
        /// In which namespaces.
        namespaces: NamespaceScope,
        /// Which pods there.
        pods: Selector,
        /// Where it is written.
        span: Option<Span>,
    },
    /// Addresses.
    Block(IpBlock),
}

impl Peer {
    /// Where it is written.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Pods { span, .. } => *span,
            Self::Block(block) => block.span,
        }
    }
}

/// The namespaces that a pod peer looks into.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NamespaceScope {
    /// The policy's own.
    Own,
    /// Those whose labels match.
    Matching(Selector),
}

/// `cidr` without `except` (NP-12).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IpBlock {
    /// The CIDR, host bits masked.
    pub cidr: IpNet,
    /// What is taken out, host bits masked.
    pub except: Vec<IpNet>,
    /// Where it is written.
    pub span: Option<Span>,
}

impl IpBlock {
    /// The addresses that the block holds (NP-12).
    #[must_use]
    pub fn addresses(&self) -> AddressSet {
        let except: AddressSet = self.except.iter().map(|net| AddressSet::net(*net)).collect();
        AddressSet::net(self.cidr).difference(&except)
    }
}

/// The port list of a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ports {
    /// No list, or an empty one: every port of every protocol (NP-8, NP-14).
    Any,
    /// At least one of these must match. Never empty.
    OneOf(Vec<PortRule>),
}

/// One port entry (NP-14).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortRule {
    /// The protocol, TCP when it was left out.
    pub protocol: Protocol,
    /// Which ports of it.
    pub port: PortMatch,
    /// Where it is written.
    pub span: Option<Span>,
}

/// Which ports an entry means.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PortMatch {
    /// All of the protocol (NP-14).
    All,
    /// `port..=end`; without `end`, `port` alone (NP-15).
    Number {
        /// `port`.
        port: u16,
        /// `endPort`, not below `port`.
        end: Option<u16>,
    },
    /// What the destination pod calls so (NP-16).
    Name(Name),
}
