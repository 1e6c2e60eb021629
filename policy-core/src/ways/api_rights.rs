//! Rights that open a way into pods through the API server, as they are written: who holds them, whatever they lead to
//! (API-2, API-3, API-5 … API-8).

use crate::ids::{BindingId, RoleId};
use crate::model::{AccessRequest, AccessRule, Cluster, Name, Profile, Rights};

/// The resources that lead into pods, each with its subresource and the verbs with which it does.
const DOORS: [(&str, &str, &[&str]); 7] = [
    ("services", "proxy", &["get", "create", "update", "patch", "delete"]),
    ("pods", "proxy", &["get", "create", "update", "patch", "delete"]),
    ("nodes", "proxy", &["get", "create", "update", "patch", "delete"]),
    ("pods", "portforward", &["create", "get"]),
    ("pods", "exec", &["create", "get"]),
    ("pods", "attach", &["create", "get"]),
    ("pods", "ephemeralcontainers", &["patch", "update"]),
];

/// A rule by which the subjects of a binding may get into pods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Door {
    /// The binding.
    pub binding: BindingId,
    /// The role and the position of its rule; `None` for a role that the input lacks.
    pub rule: Option<(RoleId, usize)>,
    /// Resources, such as `pods/exec`, with the verbs that are granted and lead on; empty when the input lacks the role
    /// and it is not `cluster-admin`.
    pub rights: Vec<(String, Vec<&'static str>)>,
}

/// The rights of all bindings that lead into pods, in the order of the bindings.
#[must_use]
pub fn doors(cluster: &Cluster, profile: &Profile) -> Vec<Door> {
    let mut found = Vec::new();
    for (binding, bound) in cluster.rbac.bindings.iter() {
        let namespaced = bound.namespace.is_some();
        let Some(role) = bound.role else {
            let rights = if bound.is_cluster_admin() { opened(|_, _| true, profile, namespaced) } else { Vec::new() };
            found.push(Door { binding, rule: None, rights });
            continue;
        };
        for (place, rule) in cluster.rbac.roles.at(role).rules.iter().enumerate() {
            let grants = |asked: &AccessRequest, verb: &str| rule.is_about(asked) && has_verb(rule, verb);
            let rights = opened(grants, profile, namespaced);
            if !rights.is_empty() {
                found.push(Door { binding, rule: Some((role, place)), rights });
            }
        }
    }
    found
}

fn has_verb(rule: &AccessRule, wanted: &str) -> bool {
    rule.verbs.iter().any(|verb| **verb == *wanted || **verb == *"*")
}

fn opened(
    grants: impl Fn(&AccessRequest, &str) -> bool,
    profile: &Profile,
    namespaced: bool,
) -> Vec<(String, Vec<&'static str>)> {
    // API-7: from 1.35 on `get` is not enough. Nodes are in no namespace.
    let late = profile.ways.kubernetes_minor >= 35;
    let counts = |resource: &str, subresource: &str, verb: &str| {
        let streams = !matches!(subresource, "proxy" | "ephemeralcontainers");
        let is_nowhere = resource == "nodes" && namespaced;
        let is_too_little = late && streams && verb == "get";
        !is_nowhere && !is_too_little
    };
    let mut rights = Vec::new();
    for (resource, subresource, verbs) in DOORS {
        let asked = about(resource, subresource);
        let granted = verbs.iter().filter(|verb| counts(resource, subresource, verb) && grants(&asked, verb));
        let granted: Vec<&'static str> = granted.copied().collect();
        if !granted.is_empty() {
            rights.push((format!("{resource}/{subresource}"), granted));
        }
    }
    rights
}

fn about(resource: &'static str, subresource: &'static str) -> AccessRequest {
    AccessRequest { verb: Name::from("get"), resource, subresource, namespace: None, name: Name::from("") }
}

/// Whether a user may hold one of these rights, somewhere: where not, there is nothing to ask.
#[must_use]
pub fn may_enter(rights: &Rights<'_>) -> bool {
    DOORS.iter().any(|(resource, subresource, _)| rights.may_somewhere(&about(resource, subresource)))
}
