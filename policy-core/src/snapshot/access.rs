//! RBAC objects and ServiceAccounts: who may ask the API server for what.

use std::sync::Arc;

use serde::Deserialize;

use crate::snapshot::LabelSelector;
use crate::source::Spanned;

/// Role and ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleBody {
    /// `rules`.
    pub rules: Option<Vec<Spanned<AccessRule>>>,
    /// `aggregationRule`, of a ClusterRole.
    pub aggregation_rule: Option<AggregationRule>,
}

/// One entry of `rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessRule {
    /// `verbs`.
    pub verbs: Option<Vec<Spanned<Arc<str>>>>,
    /// `apiGroups`.
    pub api_groups: Option<Vec<Spanned<Arc<str>>>>,
    /// `resources`.
    pub resources: Option<Vec<Spanned<Arc<str>>>>,
    /// `resourceNames`.
    pub resource_names: Option<Vec<Spanned<Arc<str>>>>,
    /// `nonResourceURLs`.
    #[serde(rename = "nonResourceURLs")]
    pub non_resource_urls: Option<Vec<Spanned<Arc<str>>>>,
}

/// `aggregationRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AggregationRule {
    /// `clusterRoleSelectors`.
    pub cluster_role_selectors: Option<Vec<LabelSelector>>,
}

/// RoleBinding and ClusterRoleBinding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleBindingBody {
    /// `roleRef`.
    pub role_ref: Option<Spanned<RoleRef>>,
    /// `subjects`.
    pub subjects: Option<Vec<Spanned<Subject>>>,
}

/// `roleRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleRef {
    /// `apiGroup`.
    pub api_group: Option<Spanned<Arc<str>>>,
    /// `kind`.
    pub kind: Option<Spanned<Arc<str>>>,
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
}

/// One entry of `subjects`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// `apiGroup`.
    pub api_group: Option<Spanned<Arc<str>>>,
    /// `kind`.
    pub kind: Option<Spanned<Arc<str>>>,
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// `namespace`.
    pub namespace: Option<Spanned<Arc<str>>>,
}

/// v1 ServiceAccount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccountBody {
    /// `automountServiceAccountToken`.
    pub automount_service_account_token: Option<bool>,
}
