//! What RBAC objects and ServiceAccounts allow to be written, for the strict pass.
//!
//! The parts are those of k8s-openapi; the whole objects there insist on one `apiVersion` and would refuse the legacy
//! one, which has the same fields.

use k8s_openapi::api::core::v1::{LocalObjectReference, ObjectReference};
use k8s_openapi::api::rbac::v1::{AggregationRule, PolicyRule, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Role.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Role {
    api_version: IgnoredAny,
    kind: IgnoredAny,
    metadata: Option<ObjectMeta>,
    rules: Option<Vec<PolicyRule>>,
}

/// ClusterRole.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClusterRole {
    api_version: IgnoredAny,
    kind: IgnoredAny,
    metadata: Option<ObjectMeta>,
    rules: Option<Vec<PolicyRule>>,
    aggregation_rule: Option<AggregationRule>,
}

/// RoleBinding and ClusterRoleBinding.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RoleBinding {
    api_version: IgnoredAny,
    kind: IgnoredAny,
    metadata: Option<ObjectMeta>,
    role_ref: Option<RoleRef>,
    subjects: Option<Vec<Subject>>,
}

/// ServiceAccount.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceAccount {
    api_version: IgnoredAny,
    kind: IgnoredAny,
    metadata: Option<ObjectMeta>,
    automount_service_account_token: Option<bool>,
    image_pull_secrets: Option<Vec<LocalObjectReference>>,
    secrets: Option<Vec<ObjectReference>>,
}
