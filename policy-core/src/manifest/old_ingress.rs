//! The shape that an Ingress had in `networking.k8s.io/v1beta1` and `extensions/v1beta1`, for the strict pass (ING-2).
//!
//! k8s-openapi has today's versions only. As there, every field may be missing here.

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::networking::v1::IngressTLS;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

/// `spec` of an Ingress of old.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OldIngressSpec {
    ingress_class_name: Option<String>,
    backend: Option<Backend>,
    tls: Option<Vec<IngressTLS>>,
    rules: Option<Vec<Rule>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule {
    host: Option<String>,
    http: Option<Http>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Http {
    paths: Option<Vec<Path>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Path {
    path: Option<String>,
    path_type: Option<String>,
    backend: Option<Backend>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Backend {
    service_name: Option<String>,
    service_port: Option<IntOrString>,
    resource: Option<TypedLocalObjectReference>,
}
