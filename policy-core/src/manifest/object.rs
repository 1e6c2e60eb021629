//! One object: from its tree to an [`Object`].

use std::sync::Arc;

use serde::Deserialize;

use crate::diagnostic::{Diagnostic, Severity};
use crate::snapshot::{Body, ConfigMapBody, Effect, GatewayApiBody, Object, ObjectMeta, PodTemplate, WorkloadBody};
use crate::source::{Span, Spanned};

use super::decode::Context;
use super::findings::Text;
use super::kinds::{Class, Model, classify};
use super::names;
use super::schema;
use super::tree::Node;
use super::unread::unread;

/// An object, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Made {
    /// The object; `None` when it cannot stand in for what was meant.
    pub(crate) object: Option<Object>,
    /// What was found.
    pub(crate) problems: Vec<Diagnostic>,
}

/// The parts of an object with a pod template that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Controller {
    spec: Option<ControllerSpec>,
    status: Option<ControllerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ControllerSpec {
    replicas: Option<i64>,
    template: Option<PodTemplate>,
    job_template: Option<JobTemplate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct JobTemplate {
    spec: Option<JobSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct JobSpec {
    template: Option<PodTemplate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ControllerStatus {
    conditions: Option<Vec<Condition>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: Option<Arc<str>>,
    status: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WithMetadata {
    metadata: Option<ObjectMeta>,
}

/// `apiVersion` and `kind` of an object, with their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// `apiVersion`.
    pub(crate) api_version: Spanned<Arc<str>>,
    /// `kind`.
    pub(crate) kind: Spanned<Arc<str>>,
}

/// Makes an object.
pub(crate) fn object(text: Text<'_>, node: &Node<'_>, head: &Head) -> Made {
    let class = classify(&head.api_version.value, &head.kind.value);
    let (model, mut problems) = match class {
        Class::Modelled(model) => (Some(model), Vec::new()),
        Class::Legacy(model) => (Some(model), vec![legacy(head, model)]),
        Class::WrongVersion(model) => return Made { object: None, problems: vec![wrong_version(head, model)] },
        Class::Misspelt(model) => return Made { object: None, problems: vec![misspelt(head, model)] },
        Class::NotModelled(_) => (None, Vec::new()),
    };
    let context = Context::lenient(text);
    let metadata = context.decode::<WithMetadata>(node).metadata.unwrap_or_default();
    let written_by_server = metadata.uid.is_some() && metadata.resource_version.is_some();
    let silent = Context::silent(text);
    let context = match model {
        Some(model) if !written_by_server && model.has_schema() => {
            let is_legacy = matches!(class, Class::Legacy(_));
            let old_shape = is_legacy && model.has_old_shape();
            let unknown = if is_legacy && !old_shape { Severity::Warning } else { Severity::Error };
            problems.extend(schema::check(text, node, model, unknown, old_shape));
            problems.extend(names::check(text, node, head, &metadata, model));
            &silent
        }
        _ => &context,
    };
    let body = match (model, class) {
        (Some(model), _) => body(context, node, model),
        (None, Class::NotModelled(effect)) => Body::NotModelled(effect),
        (None, _) => return Made { object: None, problems },
    };
    let object = Object {
        api_version: head.api_version.value.clone(),
        kind: head.kind.value.clone(),
        metadata,
        span: Some(Span { source: text.source, start: node.start, end: node.end }),
        fingerprint: fingerprint(node),
        unread: model.map(|model| unread(text, node, model)).unwrap_or_default(),
        body,
    };
    if model.is_some() {
        problems.extend(context.found());
    }
    Made { object: Some(object), problems }
}

/// The content without `apiVersion` and `kind`: the same object under a legacy version, or as the item of a list
/// that says them, is equal.
pub(crate) fn fingerprint(node: &Node<'_>) -> u64 {
    let mut plain = 0u64;
    for entry in node.entries().iter().filter(|entry| !matches!(entry.key.text.as_ref(), "apiVersion" | "kind")) {
        plain = plain.wrapping_add(entry.fingerprint());
    }
    plain
}

fn body(context: &Context<'_>, node: &Node<'_>, model: Model) -> Body {
    match model {
        Model::Namespace => Body::Namespace,
        Model::Ingress => Body::Ingress(Box::new(context.decode(node))),
        Model::IngressClass => Body::IngressClass(Box::new(context.decode(node))),
        Model::ConfigMap => {
            let body: ConfigMapBody = context.decode(node);
            if body.data.is_empty() { Body::NotModelled(Effect::None) } else { Body::ConfigMap(Box::new(body)) }
        }
        Model::Node => Body::Node(Box::new(context.decode(node))),
        Model::Pod => Body::Pod(Box::new(context.decode(node))),
        Model::Service => Body::Service(Box::new(context.decode(node))),
        Model::Endpoints => Body::Endpoints(Box::new(context.decode(node))),
        Model::EndpointSlice => Body::EndpointSlice(Box::new(context.decode(node))),
        Model::NetworkPolicy => Body::NetworkPolicy(Box::new(context.decode(node))),
        Model::ClusterNetworkPolicy | Model::AdminNetworkPolicy | Model::BaselineAdminNetworkPolicy => {
            Body::ClusterPolicy(Box::new(context.decode(node)))
        }
        Model::Role | Model::ClusterRole => Body::Role(Box::new(context.decode(node))),
        Model::RoleBinding | Model::ClusterRoleBinding => Body::RoleBinding(Box::new(context.decode(node))),
        Model::ServiceAccount => Body::ServiceAccount(context.decode(node)),
        model if model.is_gateway_api() => Body::GatewayApi(Box::new(gateway_api(context, node, model))),
        _ => Body::Workload(Box::new(workload(context.decode(node), model))),
    }
}

fn gateway_api(context: &Context<'_>, node: &Node<'_>, model: Model) -> GatewayApiBody {
    match model {
        Model::GatewayClass => GatewayApiBody::Class(context.decode(node)),
        Model::Gateway => GatewayApiBody::Gateway(context.decode(node)),
        Model::ListenerSet | Model::XListenerSet => GatewayApiBody::ListenerSet(context.decode(node)),
        Model::HttpRoute => GatewayApiBody::HttpRoute(context.decode(node)),
        Model::GrpcRoute => GatewayApiBody::GrpcRoute(context.decode(node)),
        Model::ReferenceGrant => GatewayApiBody::ReferenceGrant(context.decode(node)),
        Model::BackendTlsPolicy => GatewayApiBody::BackendTlsPolicy(context.decode(node)),
        _ => GatewayApiBody::StreamRoute(context.decode(node)),
    }
}

fn workload(controller: Controller, model: Model) -> WorkloadBody {
    let spec = controller.spec.unwrap_or_default();
    let template = match model {
        Model::CronJob => spec.job_template.and_then(|job| job.spec).and_then(|spec| spec.template),
        _ => spec.template,
    };
    let conditions = controller.status.and_then(|status| status.conditions).unwrap_or_default();
    let ended = |condition: &Condition| {
        matches!(condition.r#type.as_deref(), Some("Complete" | "Failed"))
            && condition.status.as_deref() == Some("True")
    };
    WorkloadBody {
        replicas: spec.replicas,
        template: template.unwrap_or_default(),
        finished: model == Model::Job && conditions.iter().any(ended),
    }
}

/// IN-18
fn legacy(head: &Head, model: Model) -> Diagnostic {
    let message = format!("`{}` is no longer served for {}", head.api_version.value, model.kind());
    let shape = if model.has_old_shape() { "with the fields of that time (ING-2)" } else { "which has the same shape" };
    Diagnostic::warning("IN-18", head.api_version.span, message)
        .help(format!("read as `{}`, {shape}", model.api_version()))
}

/// IN-18
fn wrong_version(head: &Head, model: Model) -> Diagnostic {
    let message = format!("there is no {} in `{}`", model.kind(), head.api_version.value);
    Diagnostic::error("IN-18", head.api_version.span, message)
        .help(format!("write `apiVersion: {}`", model.api_version()))
}

/// IN-18
fn misspelt(head: &Head, model: Model) -> Diagnostic {
    let message = format!("there is no kind `{}` in `{}`", head.kind.value, head.api_version.value);
    Diagnostic::error("IN-18", head.kind.span, message).label(format!("did you mean `{}`?", model.kind()))
}
