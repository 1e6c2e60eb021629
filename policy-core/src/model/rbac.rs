//! Who may ask the API server for what (API-2).
//!
//! Rights have no compiled form: a question looks at the bindings one after the other, as the API server does. Names
//! are kept as names, for a role or an account needs no namespace that anything else lives in.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::{BindingId, IdVec, RoleId};
use crate::model::Name;
use crate::source::Span;

/// Roles, bindings and accounts of the input.
#[derive(Clone, Debug, Default)]
pub struct Rbac {
    /// ClusterRoles, then Roles by namespace; each by name.
    pub roles: IdVec<RoleId, Role>,
    /// ClusterRoleBindings, then RoleBindings by namespace; each by name.
    pub bindings: IdVec<BindingId, Binding>,
    /// Whether the tokens of a ServiceAccount, by namespace and name, are mounted where it says so (API-11).
    pub accounts: BTreeMap<(Name, Name), Option<bool>>,
}

/// A Role or a ClusterRole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// Its namespace; `None` for a ClusterRole.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
    /// What it grants; those of other roles too, if it aggregates them.
    pub rules: Vec<AccessRule>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// One rule of a role: what it lists of each sort is granted in every combination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRule {
    /// `verbs`.
    pub verbs: Vec<Name>,
    /// `apiGroups`.
    pub groups: Vec<Name>,
    /// `resources`; empty for a rule about URLs that are no resources.
    pub resources: Vec<Name>,
    /// `resourceNames`; empty = all.
    pub names: Vec<Name>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// A RoleBinding or a ClusterRoleBinding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// Its namespace, to which it is limited; `None` for a ClusterRoleBinding.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
    /// The namespace of the role that it names; `None` for a ClusterRole.
    pub role_namespace: Option<Name>,
    /// The name of that role.
    pub role_name: Name,
    /// The role; `None` when the input lacks it.
    pub role: Option<RoleId>,
    /// Who has it.
    pub subjects: Vec<Who>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// A subject of a binding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// The user of this name.
    User(Name),
    /// Every member of a group.
    Group(Name),
    /// A ServiceAccount.
    ServiceAccount {
        /// Its namespace.
        namespace: Name,
        /// Its name.
        name: Name,
    },
}

/// Somebody whom the API server has recognised (M-1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct User {
    /// The name of the user.
    pub name: Name,
    /// The groups, sorted, those included that follow from the name.
    pub groups: Vec<Name>,
}

/// What is asked of the API server about one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccessRequest {
    /// The verb.
    pub verb: Name,
    /// The resource, of the core group.
    pub resource: &'static str,
    /// The subresource; empty when there is none.
    pub subresource: &'static str,
    /// The namespace; `None` for nodes.
    pub namespace: Option<Name>,
    /// The name as the URL has it.
    pub name: Name,
}

/// Whether a request is authorised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Access {
    /// It is.
    Granted(Grant),
    /// The input has roles or bindings, and none grants it.
    Denied,
    /// The input does not tell: it has neither roles nor bindings, or lacks the roles that these bindings name.
    NotInInput(Vec<BindingId>),
}

/// What grants a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grant {
    /// A rule of a role.
    Rule {
        /// The binding that gives the role.
        binding: BindingId,
        /// The role.
        role: RoleId,
        /// The position of its rule, from 0.
        rule: usize,
    },
    /// The role `cluster-admin`, which every cluster has, written down or not.
    ClusterAdmin {
        /// The binding that gives it.
        binding: BindingId,
    },
    /// Members of `system:masters` may do everything.
    Masters,
}

impl Grant {
    /// The binding, if there is one.
    #[must_use]
    pub fn binding(self) -> Option<BindingId> {
        match self {
            Self::Rule { binding, .. } | Self::ClusterAdmin { binding } => Some(binding),
            Self::Masters => None,
        }
    }
}

impl User {
    /// A user and the groups that every such user is in: those who have a name are authenticated, and an account is in
    /// the groups of all accounts and of those of its namespace.
    #[must_use]
    pub fn new(name: &str, groups: impl IntoIterator<Item = Name>) -> Self {
        let mut groups: Vec<Name> = groups.into_iter().collect();
        if name == "system:anonymous" {
            groups.push(Name::from("system:unauthenticated"));
        } else {
            groups.push(Name::from("system:authenticated"));
        }
        if let Some((namespace, _)) = account(name) {
            groups.push(Name::from("system:serviceaccounts"));
            groups.push(Name::from(format!("system:serviceaccounts:{namespace}")));
        }
        groups.sort();
        groups.dedup();
        Self { name: Name::from(name), groups }
    }

    /// A user in no further groups; `system:serviceaccount:NAMESPACE:NAME` is a ServiceAccount.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::new(name, [])
    }

    /// A ServiceAccount.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self::named(&format!("system:serviceaccount:{namespace}:{name}"))
    }

    /// Somebody of whom no more is known than that a group has them. An account's group is that of a namespace.
    #[must_use]
    pub fn in_group(group: &str) -> Self {
        let groups = [Name::from(group)];
        if group == "system:unauthenticated" {
            return Self::named("system:anonymous");
        }
        let account = group.starts_with("system:serviceaccounts:").then(|| Name::from("system:serviceaccounts"));
        Self::new("", groups.into_iter().chain(account))
    }

    /// Somebody whom a binding names so.
    #[must_use]
    pub fn of(who: &Who) -> Self {
        match who {
            Who::User(name) => Self::named(name),
            Who::Group(group) => Self::in_group(group),
            Who::ServiceAccount { namespace, name } => Self::service_account(namespace, name),
        }
    }

    fn is(&self, who: &Who) -> bool {
        match who {
            Who::User(name) => *name == self.name,
            Who::Group(group) => self.groups.contains(group),
            Who::ServiceAccount { namespace, name } => account(&self.name) == Some((namespace, name)),
        }
    }
}

/// Namespace and name of the ServiceAccount that a user is.
fn account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

impl fmt::Display for AccessRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        write!(f, "{} {}{slash}{}", self.verb, self.resource, self.subresource)?;
        // All of them.
        if !self.name.is_empty() {
            write!(f, " `{}`", self.name)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::ServiceAccount { namespace, name } => write!(f, "ServiceAccount {namespace}/{name}"),
        }
    }
}

impl Rbac {
    /// Whether the input says anything about rights.
    #[must_use]
    pub fn is_given(&self) -> bool {
        !self.roles.is_empty() || !self.bindings.is_empty()
    }

    /// Whether a user may do what is asked: the first binding that grants it (API-2).
    #[must_use]
    pub fn access(&self, user: &User, request: &AccessRequest) -> Access {
        self.rights(user).access(request)
    }

    /// The bindings of a user, for more than one question about it.
    #[must_use]
    pub fn rights<'a>(&'a self, user: &'a User) -> Rights<'a> {
        let bound = self.bindings.iter().filter(|(_, bound)| bound.subjects.iter().any(|who| user.is(who)));
        Rights { rbac: self, user, bindings: bound.map(|(id, _)| id).collect() }
    }

    /// Whether the token of an account is mounted into a pod that says this of it (API-11): the pod before the account,
    /// and where neither says anything, yes.
    #[must_use]
    pub fn mounts_token(&self, pod: Option<bool>, namespace: &Name, account: &Name) -> bool {
        let of_account = || self.accounts.get(&(namespace.clone(), account.clone())).copied().flatten();
        pod.or_else(of_account).unwrap_or(true)
    }
}

impl AccessRule {
    /// Whether it grants a request (API-2). Names are compared with what the URL says, letter for letter.
    #[must_use]
    pub fn grants(&self, request: &AccessRequest) -> bool {
        has(&self.verbs, &request.verb)
            && self.is_about(request)
            && (self.names.is_empty() || self.names.contains(&request.name))
    }

    /// Whether it covers the resource, for some verb and name.
    #[must_use]
    pub fn is_about(&self, request: &AccessRequest) -> bool {
        has(&self.groups, "") && self.resources.iter().any(|resource| covers(resource, request))
    }
}

fn has(list: &[Name], wanted: &str) -> bool {
    list.iter().any(|entry| **entry == *wanted || **entry == *"*")
}

/// A user with the bindings that name it or a group of it.
#[derive(Clone, Debug)]
pub struct Rights<'a> {
    rbac: &'a Rbac,
    user: &'a User,
    bindings: Vec<BindingId>,
}

impl<'a> Rights<'a> {
    /// Whose they are.
    #[must_use]
    pub fn user(&self) -> &'a User {
        self.user
    }

    /// The bindings, in their order.
    #[must_use]
    pub fn bindings(&self) -> &[BindingId] {
        &self.bindings
    }

    fn is_master(&self) -> bool {
        self.user.groups.iter().any(|group| **group == *"system:masters")
    }

    /// [`Rbac::access`] of this user.
    #[must_use]
    pub fn access(&self, request: &AccessRequest) -> Access {
        if self.is_master() {
            return Access::Granted(Grant::Masters);
        }
        let mut unknown = Vec::new();
        for binding in self.bindings.iter().copied() {
            let bound = self.rbac.bindings.at(binding);
            if !bound.is_for(request.namespace.as_ref()) {
                continue;
            }
            let Some(role) = bound.role else {
                if bound.is_cluster_admin() {
                    return Access::Granted(Grant::ClusterAdmin { binding });
                }
                unknown.push(binding);
                continue;
            };
            if let Some(rule) = self.rbac.roles.at(role).rules.iter().position(|rule| rule.grants(request)) {
                return Access::Granted(Grant::Rule { binding, role, rule });
            }
        }
        if unknown.is_empty() && self.rbac.is_given() { Access::Denied } else { Access::NotInInput(unknown) }
    }

    /// Whether any request with this resource may be granted, whatever its verb and name: where not, every one is
    /// [`Access::Denied`].
    #[must_use]
    pub fn may(&self, request: &AccessRequest) -> bool {
        self.may_where(request, |bound| bound.is_for(request.namespace.as_ref()))
    }

    /// The same in any namespace.
    #[must_use]
    pub fn may_somewhere(&self, request: &AccessRequest) -> bool {
        self.may_where(request, |_| true)
    }

    fn may_where(&self, request: &AccessRequest, counts: impl Fn(&Binding) -> bool) -> bool {
        let grants = |binding: &BindingId| {
            let bound = self.rbac.bindings.at(*binding);
            let role = bound.role.map(|role| self.rbac.roles.at(role));
            counts(bound) && role.is_none_or(|role| role.rules.iter().any(|rule| rule.is_about(request)))
        };
        self.is_master() || !self.rbac.is_given() || self.bindings.iter().any(grants)
    }
}

impl Binding {
    /// Whether it counts for objects of a namespace; `None` = for those of no namespace.
    fn is_for(&self, namespace: Option<&Name>) -> bool {
        self.namespace.is_none() || self.namespace.as_ref() == namespace
    }

    /// Whether it gives the role `cluster-admin`, which every cluster has.
    #[must_use]
    pub fn is_cluster_admin(&self) -> bool {
        self.role_namespace.is_none() && *self.role_name == *"cluster-admin"
    }
}

/// Whether a `resources` entry covers a resource: `*`, `services/proxy`, `*/proxy`; `services/*` is no pattern.
fn covers(written: &str, request: &AccessRequest) -> bool {
    match written.split_once('/') {
        None => written == "*" || (request.subresource.is_empty() && written == request.resource),
        Some((resource, subresource)) => {
            !request.subresource.is_empty()
                && subresource == request.subresource
                && (resource == "*" || resource == request.resource)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<Name> {
        list.iter().map(|name| Name::from(*name)).collect()
    }

    fn rule(verbs: &[&str], resources: &[&str], resource_names: &[&str]) -> AccessRule {
        let (groups, names_of) = (names(&[""]), names(resource_names));
        AccessRule { verbs: names(verbs), groups, resources: names(resources), names: names_of, span: None }
    }

    fn get(subresource: &'static str, name: &str) -> AccessRequest {
        let namespace = Some(Name::from("x"));
        AccessRequest { verb: Name::from("get"), resource: "services", subresource, namespace, name: Name::from(name) }
    }

    #[test]
    fn resources_are_matched_as_rbac_does() {
        // API-2
        let asked = get("proxy", "websvc");
        for good in ["services/proxy", "*", "*/proxy"] {
            assert!(rule(&["get"], &[good], &[]).grants(&asked), "{good}");
        }
        for bad in ["services", "services/*", "*/*", "*/", "pods/proxy", "*/prox", "services/proxy/x", ""] {
            assert!(!rule(&["get"], &[bad], &[]).grants(&asked), "{bad}");
        }
        assert!(rule(&["get"], &["services"], &[]).grants(&get("", "websvc")));
        assert!(!rule(&["get"], &["*/proxy", "*/"], &[]).grants(&get("", "websvc")));
    }

    #[test]
    fn names_are_those_of_the_url_letter_for_letter() {
        // API-2
        let named = rule(&["get"], &["services/proxy"], &["websvc"]);
        assert!(named.grants(&get("proxy", "websvc")));
        for other in ["http:websvc:", "http:websvc:80", "websvc:80", "Websvc"] {
            assert!(!named.grants(&get("proxy", other)), "{other}");
        }
    }

    #[test]
    fn verbs_and_groups_must_be_listed() {
        // API-2
        assert!(rule(&["*"], &["*"], &[]).grants(&get("proxy", "a")));
        assert!(!rule(&["create"], &["*"], &[]).grants(&get("proxy", "a")));
        let of_apps = AccessRule { groups: names(&["apps"]), ..rule(&["get"], &["*"], &[]) };
        assert!(!of_apps.grants(&get("proxy", "a")));
        assert!(AccessRule { groups: names(&["*"]), ..of_apps }.grants(&get("proxy", "a")));
    }

    #[test]
    fn groups_follow_from_the_name() {
        // API-2
        let groups = |name: &str| User::named(name).groups.join(" ");
        assert_eq!(groups("jane"), "system:authenticated");
        assert_eq!(groups("system:anonymous"), "system:unauthenticated");
        assert_eq!(
            groups("system:serviceaccount:x:web"),
            "system:authenticated system:serviceaccounts system:serviceaccounts:x"
        );
        let account = Who::ServiceAccount { namespace: Name::from("x"), name: Name::from("web") };
        assert!(User::service_account("x", "web").is(&account));
        assert!(!User::service_account("x", "webb").is(&account));
        assert!(!User::named("web").is(&account));
    }

    #[test]
    fn what_may_not_be_granted_is_denied_for_every_verb_and_name() {
        // API-2
        let role = |rules| Role { namespace: None, name: Name::from("r"), rules, span: None };
        let mut rbac = Rbac::default();
        let named = rbac.roles.push(role(vec![rule(&["get"], &["services/proxy"], &["websvc"])]));
        let binding = |subject: &str, role: Option<RoleId>, namespace: Option<&str>| Binding {
            namespace: namespace.map(Name::from),
            name: Name::from("b"),
            role_namespace: None,
            role_name: Name::from("r"),
            role,
            subjects: vec![Who::User(Name::from(subject))],
            span: None,
        };
        rbac.bindings.push(binding("jane", Some(named), Some("x")));
        rbac.bindings.push(binding("lost", None, Some("x")));
        rbac.bindings.push(binding("far", Some(named), Some("y")));
        let may = |user: &str, request: &AccessRequest| rbac.rights(&User::named(user)).may(request);
        for (user, wanted) in [("jane", true), ("lost", true), ("far", false), ("joe", false)] {
            assert_eq!(may(user, &get("proxy", "other")), wanted, "{user}");
        }
        assert!(!may("jane", &get("", "websvc")));
        assert!(rbac.rights(&User::in_group("system:masters")).may(&get("", "x")));
        assert!(Rbac::default().rights(&User::named("joe")).may(&get("", "x")));
    }

    #[test]
    fn members_of_a_group_are_in_the_groups_that_follow_from_it() {
        // API-2
        let groups = |group: &str| User::in_group(group).groups.join(" ");
        assert_eq!(groups("dev"), "dev system:authenticated");
        assert_eq!(groups("system:unauthenticated"), "system:unauthenticated");
        assert_eq!(
            groups("system:serviceaccounts:x"),
            "system:authenticated system:serviceaccounts system:serviceaccounts:x"
        );
    }

    #[test]
    fn the_pod_says_before_the_account_whether_a_token_is_mounted() {
        // API-11
        let (space, plain, shy) = (Name::from("x"), Name::from("default"), Name::from("shy"));
        let accounts = BTreeMap::from([((space.clone(), shy.clone()), Some(false))]);
        let rbac = Rbac { accounts, ..Rbac::default() };
        assert!(rbac.mounts_token(None, &space, &plain));
        assert!(!rbac.mounts_token(None, &space, &shy));
        assert!(rbac.mounts_token(Some(true), &space, &shy));
        assert!(!rbac.mounts_token(Some(false), &space, &plain));
    }
}
