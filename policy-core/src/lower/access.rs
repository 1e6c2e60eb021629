//! Roles, bindings and accounts: validation, defaults, aggregation (API-2, API-11).

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Diagnostic;
use crate::ids::RoleId;
use crate::lower::context::Context;
use crate::lower::input::{AccessKey, Input};
use crate::lower::selectors::selector;
use crate::model::{AccessRule, Binding, Name, Rbac, Role, Selector, Who};
use crate::snapshot::{Object, RoleBindingBody, RoleBody, Subject};
use crate::source::{Span, Spanned};

/// The group of the objects themselves.
const GROUP: &str = "rbac.authorization.k8s.io";

/// Roles that every cluster has, beside those whose names begin with `system:`.
const BUILT_IN: [&str; 4] = ["admin", "cluster-admin", "edit", "view"];

/// The rights that hold, and whether an object was refused.
#[derive(Debug, Default)]
pub(super) struct Lowered {
    pub(super) rbac: Rbac,
    pub(super) refused: bool,
}

/// Lowers roles, bindings and accounts. One with any error is refused as a whole, as the API server would.
pub(super) fn lower(input: &Input<'_>, context: &mut Context) -> Lowered {
    let mut lowered = Lowered::default();
    let mut drafts = BTreeMap::new();
    for (key, (object, body)) in &input.roles {
        let errors = context.errors();
        let draft = role(key, object, body, context);
        if context.errors() == errors {
            drafts.insert(key.clone(), draft);
        } else {
            lowered.refused = true;
        }
    }
    let mut ids: BTreeMap<AccessKey, RoleId> = BTreeMap::new();
    for (key, draft) in &drafts {
        let rules = match &draft.aggregates {
            None => draft.rules.clone(),
            Some(_) => aggregated(&key.1, &drafts),
        };
        let (namespace, name) = key.clone();
        ids.insert(key.clone(), lowered.rbac.roles.push(Role { namespace, name, rules, span: draft.span }));
    }
    for (key, (object, body)) in &input.bindings {
        let errors = context.errors();
        let binding = binding(key, object, body, &ids, context);
        match binding.filter(|_| context.errors() == errors) {
            Some(binding) => drop(lowered.rbac.bindings.push(binding)),
            None => lowered.refused = true,
        }
    }
    let accounts = input.accounts.iter();
    let accounts = accounts.map(|(key, (_, body))| (key.clone(), body.automount_service_account_token));
    lowered.rbac.accounts = accounts.collect();
    lowered
}

/// A role before others are aggregated into it.
#[derive(Debug)]
struct Draft {
    rules: Vec<AccessRule>,
    /// Which ClusterRoles it takes its rules from.
    aggregates: Option<Vec<Selector>>,
    labels: crate::model::LabelSet,
    span: Option<Span>,
}

fn role(key: &AccessKey, object: &Object, body: &RoleBody, context: &mut Context) -> Draft {
    let written = body.rules.as_deref().unwrap_or_default();
    let rules = written.iter().map(|rule| access_rule(rule, key.0.is_some(), object.span, context)).collect();
    let by_server = object.metadata.uid.is_some() && object.metadata.resource_version.is_some();
    let aggregates = body.aggregation_rule.as_ref().filter(|_| key.0.is_none());
    let aggregates = aggregates.map(|rule| {
        let selectors = rule.cluster_role_selectors.iter().flatten();
        selectors.map(|written| selector(written, object.span, context)).collect::<Vec<_>>()
    });
    if let (Some(_), Some(first), false) = (&aggregates, written.first(), by_server) {
        let message = "`rules` beside an `aggregationRule` are overwritten";
        let help = "write them in a ClusterRole of their own that the selectors select";
        context.report(Diagnostic::warning("API-2", first.span.or(object.span), message).help(help));
    }
    // What a server wrote has been aggregated already, roles that the input lacks included.
    let aggregates = aggregates.filter(|_| !by_server);
    Draft { rules, aggregates, labels: context.labels(object.metadata.labels.as_ref()), span: object.span }
}

fn access_rule(
    written: &Spanned<crate::snapshot::AccessRule>,
    namespaced: bool,
    place: Option<Span>,
    context: &mut Context,
) -> AccessRule {
    let place = written.span.or(place);
    let mut error = |message: &str, help: &str| {
        context.report(Diagnostic::error("API-2", place, message).help(help));
    };
    let is_empty = |list: &Option<Vec<Spanned<Name>>>| list.as_ref().is_none_or(Vec::is_empty);
    let rule = &written.value;
    if is_empty(&rule.verbs) {
        error("a rule has no `verbs`", "say which, such as `verbs: [get]`");
    }
    if is_empty(&rule.non_resource_urls) {
        if is_empty(&rule.api_groups) {
            error("a rule has no `apiGroups`", "for pods and Services write `apiGroups: [\"\"]`");
        }
        if is_empty(&rule.resources) {
            error("a rule has no `resources`", "say which, such as `resources: [services/proxy]`");
        }
    } else {
        if namespaced {
            error("a Role has no `nonResourceURLs`", "write them in a ClusterRole");
        }
        if !is_empty(&rule.api_groups) || !is_empty(&rule.resources) || !is_empty(&rule.resource_names) {
            error("a rule is about resources or about `nonResourceURLs`", "make two rules of it");
        }
    }
    let mut names = |list: &Option<Vec<Spanned<Name>>>| -> Vec<Name> {
        list.iter().flatten().map(|name| context.name(&name.value)).collect()
    };
    AccessRule {
        verbs: names(&rule.verbs),
        groups: names(&rule.api_groups),
        resources: names(&rule.resources),
        names: names(&rule.resource_names),
        span: place,
    }
}

/// The rules of all ClusterRoles that one selects, and of those that these select, each role once, by name.
fn aggregated(name: &Name, drafts: &BTreeMap<AccessKey, Draft>) -> Vec<AccessRule> {
    let cluster_roles = || drafts.iter().filter(|((namespace, _), _)| namespace.is_none());
    let (mut seen, mut todo) = (BTreeSet::from([name]), vec![name]);
    while let Some(name) = todo.pop() {
        let Some(draft) = drafts.get(&(None, name.clone())) else { continue };
        for ((_, other), candidate) in cluster_roles() {
            let selected = draft.aggregates.iter().flatten().any(|selector| selector.matches(&candidate.labels));
            if selected && seen.insert(other) {
                todo.push(other);
            }
        }
    }
    let plain = cluster_roles().filter(|((_, other), draft)| seen.contains(other) && draft.aggregates.is_none());
    plain.flat_map(|(_, draft)| draft.rules.iter().cloned()).collect()
}

fn binding(
    (namespace, name): &AccessKey,
    object: &Object,
    body: &RoleBindingBody,
    ids: &BTreeMap<AccessKey, RoleId>,
    context: &mut Context,
) -> Option<Binding> {
    let subjects = body.subjects.as_deref().unwrap_or_default();
    let subjects = subjects.iter().filter_map(|subject| who(subject, namespace.as_ref(), object.span, context));
    let subjects: Vec<Who> = subjects.collect();
    let Some(written) = &body.role_ref else {
        let help = "say which role it gives, such as `roleRef: {kind: ClusterRole, name: view}`";
        context.report(Diagnostic::error("API-2", object.span, "a binding has no `roleRef`").help(help));
        return None;
    };
    let place = written.span.or(object.span);
    if let Some(group) = written.value.api_group.as_ref().filter(|group| !matches!(&*group.value, "" | GROUP)) {
        let message = format!("`{}` is not the group of roles", group.value);
        context.report(Diagnostic::error("API-2", group.span.or(place), message).help(format!("write `{GROUP}`")));
    }
    let text = |field: &Option<Spanned<Name>>| field.as_ref().map(|text| text.value.clone()).unwrap_or_default();
    let kind_place = written.value.kind.as_ref().and_then(|kind| kind.span).or(place);
    let role_namespace = match (&*text(&written.value.kind), namespace) {
        ("ClusterRole", _) => None,
        ("Role", Some(namespace)) => Some(namespace.clone()),
        ("Role", None) => {
            let message = "a ClusterRoleBinding gives no Role";
            let help = "write `kind: ClusterRole`, or make it a RoleBinding in the namespace of the Role";
            context.report(Diagnostic::error("API-2", kind_place, message).help(help));
            return None;
        }
        (other, _) => {
            let message = format!("`{other}` is not a kind of role");
            context.report(Diagnostic::error("API-2", kind_place, message).help("the kinds are Role and ClusterRole"));
            return None;
        }
    };
    let role_name = text(&written.value.name);
    if role_name.is_empty() {
        context.report(Diagnostic::error("API-2", place, "`roleRef` has no `name`").help("name the role"));
        return None;
    }
    let role_name = context.name(&role_name);
    let role = ids.get(&(role_namespace.clone(), role_name.clone())).copied();
    let built_in = BUILT_IN.contains(&&*role_name) || role_name.starts_with("system:");
    if role.is_none() && (role_namespace.is_some() || !built_in) {
        let (kind, of) = match &role_namespace {
            Some(namespace) => ("Role", format!("`{role_name}` in `{namespace}`")),
            None => ("ClusterRole", format!("`{role_name}`")),
        };
        let message = format!("the {kind} {of} is not in the input");
        let span = written.value.name.as_ref().and_then(|name| name.span).or(place);
        let help = "what it grants is not known: add the role, or correct the name";
        context.report(Diagnostic::warning("API-2", span, message).help(help));
    }
    Some(Binding {
        namespace: namespace.clone(),
        name: name.clone(),
        role_namespace,
        role_name,
        role,
        subjects,
        span: object.span,
    })
}

/// One subject; an account without a namespace is of the binding's own.
fn who(
    written: &Spanned<Subject>,
    namespace: Option<&Name>,
    place: Option<Span>,
    context: &mut Context,
) -> Option<Who> {
    let place = written.span.or(place);
    let text = |field: &Option<Spanned<Name>>| field.as_ref().map(|text| text.value.clone()).unwrap_or_default();
    let subject = &written.value;
    let (kind, name) = (text(&subject.kind), text(&subject.name));
    let group = match &*kind {
        "User" | "Group" => GROUP,
        "ServiceAccount" => "",
        other => {
            let known = ["User", "Group", "ServiceAccount"].into_iter().find(|known| known.eq_ignore_ascii_case(other));
            let help = match known {
                Some(known) => format!("write `{known}`"),
                None => "the kinds are User, Group and ServiceAccount".to_owned(),
            };
            let span = subject.kind.as_ref().and_then(|kind| kind.span).or(place);
            context.report(Diagnostic::error("API-2", span, format!("`{other}` is not a kind of subject")).help(help));
            return None;
        }
    };
    if let Some(written) =
        subject.api_group.as_ref().filter(|written| !matches!(&*written.value, "") && *written.value != *group)
    {
        let message = format!("`{}` is not the group of a {kind}", written.value);
        let help = if group.is_empty() { "leave `apiGroup` out".to_owned() } else { format!("write `{group}`") };
        context.report(Diagnostic::error("API-2", written.span.or(place), message).help(help));
    }
    if name.is_empty() {
        let message = format!("a {kind} among the subjects has no `name`");
        context.report(Diagnostic::error("API-2", place, message).help("name it"));
        return None;
    }
    let name = context.name(&name);
    match &*kind {
        "User" => Some(Who::User(name)),
        "Group" => Some(Who::Group(name)),
        _ => {
            let own = Some(text(&subject.namespace)).filter(|written| !written.is_empty());
            let Some(namespace) = own.as_ref().or(namespace) else {
                let message = format!("the ServiceAccount `{name}` has no `namespace`");
                context.report(Diagnostic::error("API-2", place, message).help("say in which namespace it is"));
                return None;
            };
            Some(Who::ServiceAccount { namespace: context.name(namespace), name })
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::testing::from_text;
    use crate::model::{Access, AccessRequest, Cluster, Grant, Name, User};

    const HEAD: &str = "apiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: a, namespace: x}\n";

    fn read(text: &str) -> (Cluster, Vec<String>) {
        let (cluster, _, shown) = from_text(text);
        (cluster, shown)
    }

    fn get(namespace: &str) -> AccessRequest {
        AccessRequest {
            verb: Name::from("get"),
            resource: "pods",
            subresource: "proxy",
            namespace: Some(Name::from(namespace)),
            name: Name::from("web"),
            pod_of: None,
        }
    }

    const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ROLE\nmetadata: {name: a, namespace: x}\nrules: [{apiGroups: [''], resources: [pods/proxy], verbs: [get]}]\n---\n";

    fn bound(role: &str, binding: &str) -> (Cluster, Vec<String>) {
        let role_text = ROLE.replace("ROLE", role);
        let subjects = "subjects: [{kind: User, name: jane}, {kind: ServiceAccount, name: web, namespace: z}]";
        read(&format!("{role_text}{HEAD}kind: {binding}\nroleRef: {{kind: {role}, name: a}}\n{subjects}\n"))
    }

    #[test]
    fn a_binding_grants_in_its_namespace_and_a_cluster_role_binding_everywhere() {
        // API-2
        let jane = User::named("jane");
        let (cluster, found) = bound("Role", "RoleBinding");
        assert!(found.is_empty(), "{found:?}");
        assert!(matches!(cluster.rbac.access(&jane, &get("x")), Access::Granted(Grant::Rule { rule: 0, .. })));
        assert_eq!(cluster.rbac.access(&jane, &get("y")), Access::Denied);
        assert_eq!(cluster.rbac.access(&User::named("joe"), &get("x")), Access::Denied);
        let account = User::service_account("z", "web");
        assert!(matches!(cluster.rbac.access(&account, &get("x")), Access::Granted(_)));
        let (cluster, _) = bound("ClusterRole", "ClusterRoleBinding");
        assert!(matches!(cluster.rbac.access(&jane, &get("y")), Access::Granted(_)));
        let (cluster, _) = bound("ClusterRole", "RoleBinding");
        assert_eq!(cluster.rbac.access(&jane, &get("y")), Access::Denied);
        assert!(matches!(cluster.rbac.access(&jane, &get("x")), Access::Granted(_)));
    }

    #[test]
    fn without_roles_nobody_knows() {
        // API-2
        let (cluster, _) = read("{apiVersion: v1, kind: ServiceAccount, metadata: {name: web}}");
        assert_eq!(cluster.rbac.access(&User::named("jane"), &get("x")), Access::NotInInput(Vec::new()));
        let masters = User::new("root", [Name::from("system:masters")]);
        assert_eq!(cluster.rbac.access(&masters, &get("x")), Access::Granted(Grant::Masters));
    }

    #[test]
    fn a_role_that_is_missing_is_remarked_and_leaves_the_answer_open() {
        // API-2
        let bind = |role: &str| {
            read(&format!(
                "{HEAD}kind: ClusterRoleBinding\nroleRef: {{kind: ClusterRole, name: {role}}}\nsubjects: [{{kind: Group, name: system:authenticated}}]\n"
            ))
        };
        let (cluster, found) = bind("shop-reader");
        assert_eq!(found, ["API-2: the ClusterRole `shop-reader` is not in the input <shop-reader>"]);
        let access = cluster.rbac.access(&User::named("jane"), &get("x"));
        assert!(matches!(access, Access::NotInInput(bindings) if bindings.len() == 1));
        let (cluster, found) = bind("view");
        assert!(found.is_empty());
        assert!(matches!(cluster.rbac.access(&User::named("jane"), &get("x")), Access::NotInInput(_)));
        let (cluster, found) = bind("cluster-admin");
        assert!(found.is_empty());
        let access = cluster.rbac.access(&User::named("jane"), &get("x"));
        assert!(matches!(access, Access::Granted(Grant::ClusterAdmin { .. })));
        assert_eq!(cluster.rbac.access(&User::named("system:anonymous"), &get("x")), Access::Denied);
    }

    #[test]
    fn aggregated_roles_have_the_rules_of_those_they_select() {
        // API-2
        let role = |name: &str, labels: &str, rest: &str| {
            format!(
                "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}, labels: {labels}}}\n{rest}\n"
            )
        };
        let rules = "rules: [{apiGroups: [''], resources: [pods/proxy], verbs: [get]}]";
        let from = |label: &str| format!("aggregationRule: {{clusterRoleSelectors: [{{matchLabels: {label}}}]}}");
        let text = role("leaf", "{to: middle}", rules)
            + &role("middle", "{to: top}", &from("{to: middle}"))
            + &role("top", "{to: middle}", &from("{to: top}"))
            + &role("none", "{}", &format!("{}\n{rules}", from("{to: nowhere}")));
        let (cluster, found) = read(&text);
        let of = |name: &str| cluster.rbac.roles.values().find(|role| *role.name == *name).unwrap().rules.len();
        assert_eq!((of("leaf"), of("middle"), of("top"), of("none")), (1, 1, 1, 0));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("API-2: `rules` beside an `aggregationRule` are overwritten"));
    }

    #[test]
    fn bad_roles_and_bindings_are_refused_with_all_their_problems() {
        // API-2
        let problems = |text: &str| {
            let (cluster, found) = read(&format!("{HEAD}{text}\n"));
            assert!(cluster.incomplete && !cluster.rbac.is_given(), "{found:?}");
            found.iter().map(|found| found.split(" <").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            problems("kind: Role\nrules: [{nonResourceURLs: [/healthz]}]"),
            ["API-2: a Role has no `nonResourceURLs`", "API-2: a rule has no `verbs`"]
        );
        assert_eq!(
            problems("kind: Role\nrules: [{verbs: [get]}]"),
            ["API-2: a rule has no `apiGroups`", "API-2: a rule has no `resources`"]
        );
        assert_eq!(
            problems("kind: ClusterRole\nrules: [{verbs: [get], resources: [pods], nonResourceURLs: [/a]}]"),
            ["API-2: a rule is about resources or about `nonResourceURLs`"]
        );
        assert_eq!(
            problems(
                "kind: RoleBinding\nroleRef: {kind: Roll, name: a}\nsubjects: [{kind: user, name: a}, {kind: Group}]"
            ),
            [
                "API-2: `Roll` is not a kind of role",
                "API-2: `user` is not a kind of subject",
                "API-2: a Group among the subjects has no `name`"
            ]
        );
        assert_eq!(
            problems("kind: ClusterRoleBinding\nroleRef: {kind: Role, name: a}"),
            ["API-2: a ClusterRoleBinding gives no Role"]
        );
        assert_eq!(
            problems(
                "kind: ClusterRoleBinding\nroleRef: {kind: ClusterRole, name: view}\nsubjects: [{kind: ServiceAccount, name: a}]"
            ),
            ["API-2: the ServiceAccount `a` has no `namespace`"]
        );
        assert_eq!(
            problems(
                "kind: RoleBinding\nroleRef: {apiGroup: v1, kind: Role, name: ''}\nsubjects: [{kind: User, apiGroup: v1, name: a}]"
            ),
            [
                "API-2: `roleRef` has no `name`",
                "API-2: `v1` is not the group of roles",
                "API-2: `v1` is not the group of a User"
            ]
        );
    }

    #[test]
    fn unknown_verbs_and_resources_are_nobodys_business() {
        // API-2
        let (cluster, found) = read(&format!(
            "{HEAD}kind: Role\nrules: [{{verbs: [frobnicate], apiGroups: [example.com], resources: [things]}}]"
        ));
        assert!(found.is_empty() && cluster.rbac.roles.len() == 1);
    }

    #[test]
    fn accounts_and_pods_say_whether_tokens_are_mounted() {
        // API-11
        let text = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: shy, namespace: x}, automountServiceAccountToken: false}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {serviceAccount: shy, automountServiceAccountToken: true, containers: []}}";
        let (cluster, found) = read(text);
        assert!(found.is_empty(), "{found:?}");
        let pod = |name: &str| cluster.pods.values().find(|pod| *pod.name == *name).unwrap();
        assert_eq!((&*pod("a").service_account, pod("a").automount), ("shy", Some(true)));
        assert_eq!((&*pod("web").service_account, pod("web").automount), ("default", None));
        assert_eq!(cluster.rbac.accounts.values().collect::<Vec<_>>(), [&Some(false)]);
    }
}
