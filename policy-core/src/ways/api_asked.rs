//! What must be granted for a request to the API server (API-2): verb, resource and name, as RBAC compares them.

use crate::model::api_server::ProxyUrl;
use crate::model::{AccessRequest, Cluster, Name, Pod, PodNames, PodState};

/// The names that a pod may have that stands for those of its workload (NP-11b); `None` for any other pod.
pub(super) fn names_of(cluster: &Cluster, pod: &Pod, segment: &str) -> Option<PodNames> {
    let is_template = pod.state == PodState::Template;
    let workload = cluster.workloads.at(pod.workload);
    if is_template { PodNames::of(&workload.kind, &workload.name, segment) } else { None }
}

/// What must be granted for a request (API-2). `pod` is the one that the URL names, if it does. The old form is a verb of its own.
pub(super) fn asked_by(method: &str, url: &ProxyUrl, pod: Option<&Pod>, cluster: &Cluster) -> AccessRequest {
    let (verb, subresource) = if url.legacy { ("proxy", "") } else { (verb(method), "proxy") };
    AccessRequest {
        verb: Name::from(verb),
        resource: url.kind.resource(),
        subresource,
        namespace: url.namespace.clone(),
        name: url.segment.clone(),
        pod_of: pod.and_then(|pod| names_of(cluster, pod, &url.segment)),
    }
}

/// The verb of an HTTP method (API-2); other methods have none, which only `*` grants.
fn verb(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}
