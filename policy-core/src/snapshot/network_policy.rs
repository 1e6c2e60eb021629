//! NetworkPolicy.

use std::sync::Arc;

use serde::Deserialize;

use crate::snapshot::{IntOrString, LabelSelector};
use crate::source::Spanned;

/// NetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NetworkPolicyBody {
    /// `spec`.
    pub spec: Option<NetworkPolicySpec>,
}

/// `spec` of a NetworkPolicy. Missing and `null` are `None`; `[]` is `Some(vec![])`: NP-2 and NP-7 tell them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicySpec {
    /// `podSelector`.
    pub pod_selector: Option<LabelSelector>,
    /// `policyTypes`.
    pub policy_types: Option<Spanned<Vec<Spanned<Arc<str>>>>>,
    /// `ingress`.
    pub ingress: Option<Vec<Spanned<IngressRule>>>,
    /// `egress`.
    pub egress: Option<Vec<Spanned<EgressRule>>>,
}

/// One ingress rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressRule {
    /// `from`.
    pub from: Option<Vec<Spanned<PolicyPeer>>>,
    /// `ports`.
    pub ports: Option<Vec<Spanned<PolicyPort>>>,
}

/// One egress rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EgressRule {
    /// `to`.
    pub to: Option<Vec<Spanned<PolicyPeer>>>,
    /// `ports`.
    pub ports: Option<Vec<Spanned<PolicyPort>>>,
}

/// One peer of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyPeer {
    /// `podSelector`.
    pub pod_selector: Option<LabelSelector>,
    /// `namespaceSelector`.
    pub namespace_selector: Option<LabelSelector>,
    /// `ipBlock`.
    pub ip_block: Option<Spanned<IpBlock>>,
}

/// `ipBlock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IpBlock {
    /// `cidr`.
    pub cidr: Option<Spanned<Arc<str>>>,
    /// `except`.
    pub except: Option<Vec<Spanned<Arc<str>>>>,
}

/// One port entry of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyPort {
    /// `protocol`.
    pub protocol: Option<Spanned<Arc<str>>>,
    /// `port`.
    pub port: Option<Spanned<IntOrString>>,
    /// `endPort`.
    pub end_port: Option<Spanned<i64>>,
}
