//! Cluster-wide policies as they mean, not as they are written (CNP-1 … CNP-13, ANP-1, ANP-3).
//!
//! ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy say the same things in different words;
//! here they are one type, and the kind matters for names only.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;

use crate::ids::{DomainId, IdVec};
use crate::model::{Direction, Name, Ports, Selector};
use crate::source::Span;

/// Where a policy stands relative to NetworkPolicies (CNP-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tier {
    /// Before them.
    Admin,
    /// After them, for pods that they do not isolate.
    Baseline,
}

impl Tier {
    /// `Admin` or `Baseline`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::Baseline => "Baseline",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a rule does with what it matches (CNP-4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TierAction {
    /// Lets it through this end. An AdminNetworkPolicy writes `Allow` (ANP-1).
    Accept,
    /// Drops it.
    Deny,
    /// Leaves it to what comes after this tier.
    Pass,
}

impl TierAction {
    /// `Accept`, `Deny` or `Pass`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "Accept",
            Self::Deny => "Deny",
            Self::Pass => "Pass",
        }
    }
}

impl fmt::Display for TierAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of object that cluster-wide policies are written as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ClusterPolicyKind {
    /// policy.networking.k8s.io/v1alpha2, in either tier.
    ClusterNetworkPolicy,
    /// policy.networking.k8s.io/v1alpha1, always in the Admin tier (ANP-1).
    AdminNetworkPolicy,
    /// policy.networking.k8s.io/v1alpha1, always in the Baseline tier (ANP-1).
    BaselineAdminNetworkPolicy,
}

impl fmt::Display for ClusterPolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
        })
    }
}

/// One cluster-wide policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterPolicy {
    /// As what it is written.
    pub kind: ClusterPolicyKind,
    /// `metadata.name`.
    pub name: Name,
    /// Its tier.
    pub tier: Tier,
    /// 0 to 1000, lower first (CNP-2). `None`: a BaselineAdminNetworkPolicy has none (ANP-1, ANP-4).
    pub priority: Option<u16>,
    /// The pods on which it acts.
    pub subject: PodSelection,
    /// Its rules for traffic towards the subject, in order (CNP-3). Empty: it does nothing in this direction.
    pub ingress: Vec<TierRule>,
    /// The same for traffic from the subject.
    pub egress: Vec<TierRule>,
    /// Where it is written.
    pub span: Option<Span>,
}

impl ClusterPolicy {
    /// The rules of a direction, in order (CNP-3).
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[TierRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Pods by the labels of their namespaces and their own (CNP-6). The written form `namespaces` takes all pods of
/// the namespaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PodSelection {
    /// In which namespaces.
    pub namespaces: Selector,
    /// Which pods there.
    pub pods: Selector,
}

/// One rule: matches when a peer matches and a port matches.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TierRule {
    /// What its author calls it.
    pub name: Option<Name>,
    /// What becomes of what it matches.
    pub action: TierAction,
    /// Who.
    pub peers: TierPeers,
    /// On which ports.
    pub ports: Ports,
    /// Where it is written.
    pub span: Option<Span>,
}

/// The peer list of a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TierPeers {
    /// Everybody, in the cluster or not: what a peer that is not understood makes of a Deny or Pass rule (CNP-13).
    Any,
    /// At least one of these must match. Empty: nobody, which is what such a peer makes of an Accept rule (CNP-13).
    OneOf(Vec<TierPeer>),
}

/// One peer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TierPeer {
    /// Pods by labels (CNP-7).
    Pods {
        /// Which.
        selection: PodSelection,
        /// Where it is written.
        span: Option<Span>,
    },
    /// Nodes by labels, of egress rules only (CNP-8).
    Nodes {
        /// Which.
        nodes: Selector,
        /// Where it is written.
        span: Option<Span>,
    },
    /// Addresses, of egress rules only (CNP-9).
    Network {
        /// The CIDR, host bits masked.
        cidr: IpNet,
        /// Where it is written.
        span: Option<Span>,
    },
    /// What a DNS name stands for, of egress rules that accept only (CNP-10).
    Domain {
        /// Which names.
        pattern: DomainPattern,
        /// Where it is written.
        span: Option<Span>,
    },
}

impl TierPeer {
    /// Where it is written.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Pods { span, .. }
            | Self::Nodes { span, .. }
            | Self::Network { span, .. }
            | Self::Domain { span, .. } => *span,
        }
    }
}

/// A DNS name, or all names below one (CNP-10).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DomainPattern {
    /// In lower case, without a dot at the end.
    name: Name,
    /// Whether the names below `name` are meant, and not `name` itself.
    below: bool,
}

impl DomainPattern {
    /// Reads `example.com` or `*.example.com`.
    ///
    /// # Errors
    ///
    /// What keeps the text from being a pattern.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = plain(name);
        if name.contains('*') {
            return Err("`*` stands for whole labels, at the beginning only");
        }
        if !name.contains('.') {
            return Err("it needs at least two labels with a dot between them");
        }
        if !name.split('.').all(is_label) {
            return Err("a label is letters, digits, `-` and `_`, and ends in a letter or digit");
        }
        Ok(Self { name: Name::from(name), below })
    }

    /// Whether a name is meant. `*` stands for one label or more (CNP-10); letter case and a dot at the end do not
    /// matter.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name = plain(name);
        if !self.below {
            return *name == *self.name;
        }
        let labels = name.strip_suffix(&*self.name).and_then(|rest| rest.strip_suffix('.'));
        labels.is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.below { "*." } else { "" };
        write!(f, "{star}{}", self.name)
    }
}

/// Everything that domain patterns can tell of a name: the pattern that is the name, and the nearest one above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DomainClass {
    exact: Option<DomainId>,
    below: Option<DomainId>,
}

/// The distinct domain patterns of a cluster's policies, in order; [`DomainClass`] points into them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Domains(IdVec<DomainId, DomainPattern>);

impl Domains {
    /// The patterns that these policies mention.
    pub fn new<'a>(policies: impl Iterator<Item = &'a ClusterPolicy>) -> Self {
        let rules = policies.flat_map(|policy| &policy.egress);
        let peers = rules.flat_map(|rule| match &rule.peers {
            TierPeers::Any => &[],
            TierPeers::OneOf(peers) => peers.as_slice(),
        });
        let patterns = peers.filter_map(|peer| match peer {
            TierPeer::Domain { pattern, .. } => Some(pattern.clone()),
            _ => None,
        });
        let distinct: BTreeSet<DomainPattern> = patterns.collect();
        Self(distinct.into_iter().collect())
    }

    /// The class of a name.
    #[must_use]
    pub fn class(&self, name: &str) -> DomainClass {
        let matching = || self.0.iter().filter(|(_, pattern)| pattern.matches(name));
        DomainClass {
            exact: matching().find(|(_, pattern)| !pattern.below).map(|(id, _)| id),
            // The patterns above a name are suffixes of each other.
            below: matching().filter(|(_, pattern)| pattern.below).max_by_key(|(_, p)| p.name.len()).map(|(id, _)| id),
        }
    }

    /// Every class that a name can have.
    pub fn classes(&self) -> impl Iterator<Item = DomainClass> + use<> {
        let exact = self.0.values().filter(|pattern| !pattern.below).map(|pattern| self.class(&pattern.name));
        let below = self.0.iter().filter(|(_, pattern)| pattern.below);
        let below = below.map(|(id, _)| DomainClass { exact: None, below: Some(id) });
        let all: BTreeSet<DomainClass> = exact.chain(below).chain([DomainClass { exact: None, below: None }]).collect();
        all.into_iter()
    }

    /// Whether a pattern means the names of a class (CNP-10).
    #[must_use]
    pub fn matches(&self, pattern: &DomainPattern, class: DomainClass) -> bool {
        let is = |id: Option<DomainId>| id.is_some_and(|id| self.0.at(id) == pattern);
        let above = |id: Option<DomainId>| id.is_some_and(|id| pattern.below && pattern.matches(&self.0.at(id).name));
        is(class.exact) || is(class.below) || above(class.below)
    }
}

impl DomainPattern {
    /// Whether names of pods may be meant: those in the domain of the cluster's own DNS, or above it (CNP-10, DNS-1).
    #[must_use]
    pub fn may_name_pods(&self, cluster_domain: &str) -> bool {
        let inside = *self.name == *cluster_domain || self.name.ends_with(&format!(".{cluster_domain}"));
        inside || (self.below && cluster_domain.ends_with(&format!(".{}", self.name)))
    }
}

/// In lower case, without a dot at the end.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let begins = bytes.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let ends = bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    begins && ends && bytes.iter().all(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> DomainPattern {
        DomainPattern::parse(text).unwrap()
    }

    #[test]
    fn a_star_is_one_label_or_more() {
        // CNP-10, TV-55
        let below = pattern("*.kubernetes.io");
        assert!(below.matches("blog.kubernetes.io") && below.matches("latest.blog.kubernetes.io"));
        for other in
            ["kubernetes.io", ".kubernetes.io", "a..kubernetes.io", "mykubernetes.io", "kubernetes.io.evil", ""]
        {
            assert!(!below.matches(other), "{other}");
        }
        let exact = pattern("kubernetes.io");
        assert!(exact.matches("kubernetes.io") && !exact.matches("blog.kubernetes.io"));
    }

    #[test]
    fn case_and_the_last_dot_do_not_matter() {
        // CNP-10
        assert_eq!(pattern("*.Kubernetes.IO."), pattern("*.kubernetes.io"));
        assert!(pattern("Kubernetes.io").matches("kubernetes.IO."));
        assert_eq!(pattern("*.Kubernetes.io.").to_string(), "*.kubernetes.io");
        assert_eq!(pattern("kubernetes.io").to_string(), "kubernetes.io");
    }

    #[test]
    fn what_is_no_domain_name_is_refused() {
        // CNP-10
        for bad in [
            "",
            "*",
            "*.",
            "*.io",
            "localhost",
            "a.*.io",
            "**.a.io",
            "*a.b.io",
            "a..b",
            ".a.b",
            "-a.b",
            "a-.b",
            "a b.c",
        ] {
            assert!(DomainPattern::parse(bad).is_err(), "{bad}");
        }
        for good in ["a.b", "*.a.b", "_dmarc.example.com", "a_b.c-d.e1", "1.2", "A.B."] {
            assert!(DomainPattern::parse(good).is_ok(), "{good}");
        }
    }
}
