//! Where the connections of a Gateway come from: the pods of its data plane (GW-16).

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{NamespaceId, PodId};
use crate::lower::gateway::listeners::Drafts;
use crate::lower::gateway::{GatewayObjects, World};
use crate::model::gateway::{Claim, Gateway};
use crate::model::http::ProxyPods;
use crate::model::{LabelSet, Name, PodState};

/// The label that the API asks of what serves a Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Labels of old, or of one implementation, with the same meaning.
const GATEWAY_NAMES: [&str; 2] = [GATEWAY_NAME, "istio.io/gateway-name"];

/// Labels of an implementation whose pods run elsewhere: namespace and name of the Gateway.
const OWNERS: (&str, &str) =
    ("gateway.envoyproxy.io/owning-gateway-namespace", "gateway.envoyproxy.io/owning-gateway-name");

/// Pods by the Gateway that they serve.
#[derive(Default)]
struct Serving {
    pods: BTreeMap<(Name, Name), BTreeSet<PodId>>,
}

/// Gives each Gateway the pods of its data plane.
pub(super) fn finish(drafts: Drafts, objects: &GatewayObjects<'_>, world: &World<'_>) -> Vec<Gateway> {
    let serving = Serving::find(world);
    let place = |mut gateway: Gateway| {
        gateway.pods = pods(&gateway, &serving, objects, world);
        gateway
    };
    drafts.gateways.into_iter().map(|draft| place(draft.gateway)).collect()
}

impl Serving {
    fn find(world: &World<'_>) -> Self {
        let mut serving = Self::default();
        let namespace = |id: NamespaceId| world.cluster.namespaces.at(id).name.clone();
        let mut services = BTreeMap::new();
        for service in world.cluster.services.values() {
            if let (Some(gateway), Some(selector)) =
                (served(&service.labels, || namespace(service.namespace)), &service.selector)
            {
                services.entry(service.namespace).or_insert_with(Vec::new).push((gateway, selector));
            }
        }
        let live = world.cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished);
        for (id, pod) in live {
            let labelled = served(&pod.labels, || namespace(pod.namespace));
            let selecting = services.get(&pod.namespace).into_iter().flatten();
            let selecting = selecting.filter(|(_, selector)| selector.matches(&pod.labels));
            for gateway in labelled.into_iter().chain(selecting.map(|(gateway, _)| gateway.clone())) {
                serving.pods.entry(gateway).or_default().insert(id);
            }
        }
        serving
    }
}

/// The Gateway that something with these labels serves.
fn served(labels: &LabelSet, namespace: impl FnOnce() -> Name) -> Option<(Name, Name)> {
    if let (Some(namespace), Some(name)) = (labels.get(OWNERS.0), labels.get(OWNERS.1)) {
        return Some((namespace.clone(), name.clone()));
    }
    let name = GATEWAY_NAMES.iter().find_map(|key| labels.get(key))?;
    Some((namespace(), name.clone()))
}

fn pods(gateway: &Gateway, serving: &Serving, objects: &GatewayObjects<'_>, world: &World<'_>) -> ProxyPods {
    let key = (gateway.namespace.clone(), gateway.name.clone());
    if let Some(pods) = serving.pods.get(&key) {
        return ProxyPods::Pods(pods.iter().copied().collect());
    }
    // A Gateway that is deployed by hand names the Service of its data plane.
    for address in &gateway.addresses {
        let mut parts = address.split('.');
        let (Some(name), Some(namespace)) = (parts.next(), parts.next()) else { continue };
        let Some(id) = world.service(&Name::from(namespace), &Name::from(name)) else { continue };
        let service = world.cluster.services.at(id);
        let Some(selector) = &service.selector else { continue };
        let is_meant = |pod: &crate::model::Pod| {
            pod.namespace == service.namespace && pod.state != PodState::Finished && selector.matches(&pod.labels)
        };
        let pods: Vec<_> = world.cluster.pods.iter().filter(|(_, pod)| is_meant(pod)).map(|(id, _)| id).collect();
        if !pods.is_empty() {
            return ProxyPods::Pods(pods);
        }
    }
    let class = &gateway.class;
    let missing = match &gateway.claim {
        Claim::Missing if !objects.classes.contains_key(class) => {
            format!("the GatewayClass `{class}`, and the pods with the label `{GATEWAY_NAME}: {}`", gateway.name)
        }
        _ => format!("the pods with the label `{GATEWAY_NAME}: {}`", gateway.name),
    };
    ProxyPods::Missing(Name::from(missing))
}
