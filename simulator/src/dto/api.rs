//! Ways through the API server: who may ask for what, what grants it, and what comes of it.

use policy_core::ids::BindingId;
use policy_core::model::api_server::{ApiCondition, ApiLeg, ApiSource, ApiWay};
use policy_core::model::{Access, AccessRequest, Flow, Grant, Protocol};
use policy_core::query::Actor;
use policy_core::ways::api_rights::Door;
use policy_core::ways::api_users::{Means, UserWay};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Actors, Judged, Witness};
use super::batch::ApiWayLine;
use super::{flag, knobs};
use crate::names::Names;

/// A way of a user of the API server to a pod, a Service or a node (W-APROXY, W-PFWD).
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ApiWay")]
pub struct ApiWayDto {
    /// Who asks: `user/name`, `group/name` or `serviceaccount/namespace/name`.
    pub from: String,
    /// The id of its kind in docs/SPEC.md: `W-APROXY` or `W-PFWD`.
    pub way: &'static str,
    /// The kind in words.
    pub kind: &'static str,
    /// The resource that is asked for: `pods/proxy`, `services/proxy`, `nodes/proxy`, `pods/portforward`, or what is as
    /// good as that: `pods/exec`, `pods/attach`, `pods/ephemeralcontainers`, `nodes/proxy`.
    pub by: &'static str,
    /// The Service, as `namespace/name`, where it is asked for a port of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The Service's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_port: Option<u16>,
    /// The request, for the first of `to`: method and URL, or a command.
    pub request: String,
    /// `allowed`, `denied`, `undefined`, `conditional`, `no-route` or `no-listener`.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// What is at its end; alike for all of them.
    pub to: Actors,
    /// The TCP port there; left out where it may be any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What must be granted, all of it, and what grants it.
    pub rights: Vec<RightDto>,
    /// Whether policies have a say. They have none in what ends inside the pod (API-6).
    pub policies_asked: bool,
    /// The knobs that an undefined verdict depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
    /// What a conditional verdict depends on, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Remarks: `undeclared_port`, `hypothetical`, `host_network` ….
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<&'static str>,
    /// Why there is nothing there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The connections that the API server may open; the best one counts. None where policies are not asked, or a right
    /// is denied.
    pub legs: Vec<ApiLegDto>,
}

/// One thing that must be granted.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Right")]
pub struct RightDto {
    /// What: `` create pods/portforward `web` in shop ``.
    pub needs: String,
    /// `allowed`, `denied`, or `conditional` when the input does not tell.
    pub verdict: &'static str,
    /// What grants it.
    #[serde(flatten)]
    pub grant: Option<GrantDto>,
}

/// What grants something.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Grant")]
pub struct GrantDto {
    /// The binding, as `Kind namespace/name` or `Kind name`; left out for members of `system:masters`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// The role, in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The path of its rule: `rules[0]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_rule: Option<String>,
    /// Where the rule is written, or the binding, as `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A connection that the API server opens.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ApiLeg")]
pub struct ApiLegDto {
    /// The connection, from where the pod's policies see the API server.
    #[serde(flatten)]
    pub flow: Witness,
    /// What becomes of it.
    pub verdict: &'static str,
    /// The rule of docs/SPEC.md that decided.
    pub rule: &'static str,
    /// The knobs that an undefined verdict depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<&'static str>,
    /// What policies say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judged>,
}

/// Subjects who may ask for what leads into pods, by one rule of a role (API-2).
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ApiRights {
    /// Who: `user/name`, `group/name`, `serviceaccount/namespace/name`.
    pub subjects: Vec<String>,
    /// The ways that it opens: `W-APROXY`, `W-PFWD`.
    pub ways: Vec<&'static str>,
    /// What is granted; empty when the input lacks the role.
    pub rights: Vec<ResourceVerbs>,
    /// The namespace in which it is granted; left out for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The names for which it is granted; left out for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What grants it.
    #[serde(flatten)]
    pub grant: GrantDto,
}

/// A resource and verbs.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ResourceVerbs {
    /// Such as `pods/exec`.
    pub resource: String,
    /// The verbs.
    pub verbs: Vec<&'static str>,
}

/// The verdict of RBAC alone.
pub(crate) fn access_word(access: &Access) -> &'static str {
    match access {
        Access::Granted(_) => "allowed",
        Access::Denied => "denied",
        Access::NotInInput(_) => "conditional",
    }
}

/// What must hold, in words.
pub(crate) fn condition_text(condition: &ApiCondition) -> String {
    match condition {
        ApiCondition::Access(asked) => format!("rbac: {asked}"),
        ApiCondition::HostHeader => "credential: Host: localhost".to_owned(),
    }
}

/// Whether RBAC denies it, so that no connection comes of it.
pub(crate) fn is_refused(way: &ApiWay) -> bool {
    way.access.iter().any(|(_, access)| *access == Access::Denied)
}

/// The connection of a leg, where policies were asked about it.
pub(crate) fn flow_of(leg: &ApiLeg) -> Option<Flow> {
    let ApiSource::Party(source) = leg.source else { return None };
    Some(Flow::direct(source, leg.destination, leg.family, Protocol::Tcp, leg.port))
}

impl Names<'_> {
    /// `RoleBinding shop/dev`.
    fn binding(&self, id: BindingId) -> String {
        let bound = self.cluster().rbac.bindings.at(id);
        match &bound.namespace {
            Some(space) => format!("RoleBinding {space}/{}", bound.name),
            None => format!("ClusterRoleBinding {}", bound.name),
        }
    }

    /// What grants something, with its place.
    pub(crate) fn grant(&self, grant: Grant) -> GrantDto {
        let rbac = &self.cluster().rbac;
        let binding = grant.binding().map(|id| self.binding(id));
        match grant {
            Grant::Rule { role, rule, .. } => {
                let found = rbac.roles.at(role);
                let name = match &found.namespace {
                    Some(space) => format!("Role {space}/{}", found.name),
                    None => format!("ClusterRole {}", found.name),
                };
                let span = found.rules.get(rule).and_then(|rule| rule.span).or(found.span);
                let source = self.place(span);
                GrantDto { binding, role: Some(name), role_rule: Some(format!("rules[{rule}]")), source }
            }
            Grant::ClusterAdmin { binding: id } => {
                let source = self.place(rbac.bindings.at(id).span);
                GrantDto { binding, role: Some("ClusterRole cluster-admin".to_owned()), role_rule: None, source }
            }
            Grant::Masters => GrantDto { binding: None, role: None, role_rule: None, source: None },
        }
    }

    /// The binding of a role that the input lacks.
    fn ungranted(&self, id: BindingId) -> GrantDto {
        let bound = self.cluster().rbac.bindings.at(id);
        let role = match &bound.role_namespace {
            Some(space) => format!("Role {space}/{}", bound.role_name),
            None => format!("ClusterRole {}", bound.role_name),
        };
        GrantDto { binding: Some(self.binding(id)), role: Some(role), role_rule: None, source: self.place(bound.span) }
    }

    pub(crate) fn right(&self, (asked, access): &(AccessRequest, Access)) -> RightDto {
        let grant = match access {
            Access::Granted(grant) => Some(self.grant(*grant)),
            Access::NotInInput(bindings) => bindings.first().map(|id| self.ungranted(*id)),
            Access::Denied => None,
        };
        RightDto { needs: asked.to_string(), verdict: access_word(access), grant }
    }

    pub(crate) fn api_way(&self, from: &str, found: &UserWay) -> ApiWayDto {
        let way = &found.way;
        let mut ends: Vec<Actor> = Vec::new();
        if !found.pods.is_empty() {
            ends.push(Actor::Pods(found.pods.clone()));
        }
        ends.extend(found.node.map(Actor::Node));
        let (service, service_port) = match found.means {
            Means::ServiceProxy(id, port) | Means::ServiceForward(id, port) => (Some(self.service(id)), Some(port)),
            _ => (None, None),
        };
        let kind = found.means.kind();
        let mut flags: Vec<&'static str> =
            way.legs.iter().flat_map(|leg| &leg.flags).map(|remark| flag(*remark)).collect();
        flags.sort_unstable();
        flags.dedup();
        let leg = |leg: &ApiLeg| {
            let flow = flow_of(leg)?;
            Some(ApiLegDto {
                flow: self.witness(&flow, &[]),
                verdict: leg.verdict.as_str(),
                rule: leg.rule,
                knobs: knobs(leg.knobs),
                judgement: leg.judgement.as_ref().map(|judgement| self.judged(judgement, &flow)),
            })
        };
        ApiWayDto {
            from: from.to_owned(),
            way: kind.id(),
            kind: kind.words(),
            by: found.means.resource(),
            service,
            service_port,
            request: found.request.clone(),
            verdict: way.verdict.as_str(),
            rule: way.rule,
            to: self.actors_dto(&ends),
            port: found.port,
            rights: way.access.iter().map(|access| self.right(access)).collect(),
            policies_asked: kind == policy_core::model::WayKind::ApiProxy,
            knobs: knobs(way.knobs),
            conditions: way.conditions.iter().map(condition_text).collect(),
            flags,
            why: way.why.clone(),
            legs: way.legs.iter().filter(|_| !is_refused(way)).filter_map(leg).collect(),
        }
    }

    /// The same in short, without connections and from whom.
    pub(crate) fn api_line(&self, found: &UserWay) -> ApiWayLine {
        let ApiWayDto { way, by, request, to, port, verdict, rule, rights, knobs, conditions, .. } =
            self.api_way("", found);
        ApiWayLine { way, by, request, to, port, verdict, rule, rights, knobs, conditions }
    }

    /// A rule that opens a way, with those who hold it.
    pub(crate) fn door(&self, door: &Door) -> ApiRights {
        let rbac = &self.cluster().rbac;
        let bound = rbac.bindings.at(door.binding);
        let mut subjects: Vec<String> =
            bound.subjects.iter().map(|who| crate::api_user::ApiUser::of(who).written).collect();
        subjects.sort();
        subjects.dedup();
        let is_proxy = |(resource, _): &(String, Vec<&'static str>)| resource.ends_with("/proxy");
        let is_more = |right: &(String, Vec<&'static str>)| !is_proxy(right) || right.0 == "nodes/proxy";
        let mut ways = Vec::new();
        ways.extend(door.rights.iter().any(is_proxy).then_some("W-APROXY"));
        ways.extend(door.rights.iter().any(is_more).then_some("W-PFWD"));
        let rule = door.rule.and_then(|(role, rule)| rbac.roles.at(role).rules.get(rule));
        let rights = door
            .rights
            .iter()
            .map(|(resource, verbs)| ResourceVerbs { resource: resource.clone(), verbs: verbs.clone() });
        ApiRights {
            subjects,
            ways,
            rights: rights.collect(),
            namespace: bound.namespace.as_ref().map(ToString::to_string),
            names: rule.iter().flat_map(|rule| &rule.names).map(ToString::to_string).collect(),
            grant: match door.rule {
                Some((role, rule)) => self.grant(Grant::Rule { binding: door.binding, role, rule }),
                None => self.ungranted(door.binding),
            },
        }
    }
}

/// Where something is granted: everywhere, or in a namespace.
pub(crate) fn scope_text(rights: &ApiRights) -> String {
    match &rights.namespace {
        Some(namespace) => format!("{namespace}/*"),
        None => "*".to_owned(),
    }
}

/// `RoleBinding shop/dev → Role shop/dev rules[0]`, and `, k8s/dev.yaml:3:1` with its place.
pub(crate) fn grant_text(grant: &GrantDto, placed: bool) -> String {
    let Some(binding) = &grant.binding else { return "system:masters".to_owned() };
    let role = grant.role.as_deref().map(|role| format!(" → {role}")).unwrap_or_default();
    let rule = grant.role_rule.as_deref().map(|rule| format!(" {rule}")).unwrap_or_default();
    let place = grant.source.as_deref().filter(|_| placed);
    let place = place.map(|place| format!(", {place}")).unwrap_or_default();
    crate::render::escape(&format!("{binding}{role}{rule}{place}"))
}
