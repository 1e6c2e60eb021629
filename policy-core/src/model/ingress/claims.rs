//! Which controllers there are, and which Ingresses each of them serves (ING-9, ING-16).

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net};

use crate::ids::{IngressId, PodId};
use crate::model::http::{Action, ProxyPods};
use crate::model::ingress::{ClassWish, ControllerSettings, Ingress, IngressBackend, IngressClass, Stream, effect};
use crate::model::way_profile::IngressProfile;
use crate::model::{Cluster, Name, PodState, WayProfile};
use crate::source::Span;

/// A controller with everything that it serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Controller {
    /// Its class, or what people call it.
    pub name: Name,
    /// Its namespace; empty when it is not in the input.
    pub namespace: Name,
    /// What it makes of Ingresses.
    pub profile: IngressProfile,
    /// Where its connections to backends come from (ING-13, ING-16).
    pub pods: ProxyPods,
    /// Its settings.
    pub settings: ControllerSettings,
    /// The ports that it hands on as they are (ING-31).
    pub streams: Vec<Stream>,
    /// The Ingresses that it serves, in id order.
    pub ingresses: Vec<IngressId>,
    /// Where its class is written.
    pub span: Option<Span>,
}

impl Controller {
    /// What becomes of requests that go to a backend which no Ingress rule names: a stream's, or the controller's own
    /// default backend.
    #[must_use]
    pub fn direct(&self, cluster: &Cluster, backend: &IngressBackend) -> Action {
        effect::direct(cluster, self, backend)
    }
}

/// Who serves what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claims {
    /// The controllers: those of the input first, then those that are known by their class alone.
    pub controllers: Vec<Controller>,
    /// Ingresses that nobody serves, and why, in words (ING-9).
    pub unclaimed: Vec<(IngressId, String)>,
}

/// Classes that everybody knows: the annotation's value, and the beginning of `spec.controller` (ING-16).
const KNOWN: [(&str, &str, IngressProfile); 8] = [
    ("nginx", "k8s.io/ingress-nginx", IngressProfile::Nginx),
    ("traefik", "traefik.io/ingress-controller", IngressProfile::Traefik),
    ("kong", "ingress-controllers.konghq.com/kong", IngressProfile::Kong),
    ("haproxy", "haproxy.org/ingress-controller", IngressProfile::HaProxy),
    ("istio", "istio.io/ingress-controller", IngressProfile::Istio),
    ("gce", "k8s.io/ingress-gce", IngressProfile::Gce),
    ("gce-internal", "k8s.io/ingress-gce-internal", IngressProfile::Gce),
    ("alb", "ingress.k8s.aws/alb", IngressProfile::Alb),
];

/// From where the load balancer of Google Cloud connects and checks health (ING-21).
const GCE_SOURCES: [([u8; 4], u8); 2] = [([35, 191, 0, 0], 16), ([130, 211, 0, 0], 22)];

/// Who serves an Ingress: a controller of the input by its position, or one that is known by its class alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Server {
    Found(usize),
    Named { class: Name, profile: IngressProfile },
}

/// Finds the controllers and what they serve.
#[must_use]
pub fn claims(cluster: &Cluster, profile: &WayProfile) -> Claims {
    let mut served: BTreeMap<Server, Vec<IngressId>> = BTreeMap::new();
    let found = (0..cluster.controllers.len()).map(Server::Found);
    served.extend(found.map(|server| (server, Vec::new())));
    let mut claims = Claims::default();
    for (id, ingress) in cluster.ingresses.iter() {
        let mut servers = servers(cluster, profile, ingress);
        servers.sort();
        servers.dedup();
        if servers.is_empty() {
            claims.unclaimed.push((id, why_unclaimed(&ingress.class)));
        }
        for server in servers {
            served.entry(server).or_default().push(id);
        }
    }
    claims.controllers =
        served.into_iter().filter_map(|(server, ids)| controller(cluster, profile, &server, ids)).collect();
    claims
}

fn why_unclaimed(wish: &ClassWish) -> String {
    match wish {
        ClassWish::None => {
            "it names no class, there is no default class, and no controller takes it without".to_owned()
        }
        ClassWish::Field(class) => format!("there is no IngressClass `{class}`"),
        ClassWish::Annotation(class) => format!("no controller serves the class `{class}`"),
    }
}

/// ING-9
fn servers(cluster: &Cluster, profile: &WayProfile, ingress: &Ingress) -> Vec<Server> {
    let class_of = |name: &str| cluster.ingress_classes.iter().find(|class| *class.name == *name);
    match &ingress.class {
        ClassWish::Field(name) => match class_of(name) {
            Some(class) => of_class(cluster, profile, class),
            None => by_name(cluster, profile, name),
        },
        ClassWish::Annotation(name) => {
            let found = by_annotation(cluster, name);
            match class_of(name) {
                _ if !found.is_empty() => found,
                Some(class) => of_class(cluster, profile, class),
                None => by_name(cluster, profile, name),
            }
        }
        ClassWish::None => match cluster.default_ingress_class() {
            Some(class) => of_class(cluster, profile, class),
            None => without_class(cluster, profile),
        },
    }
}

impl Cluster {
    /// The class of Ingresses that name none: of those marked as default the newest, of equally old ones the first by
    /// name (ING-9).
    #[must_use]
    pub fn default_ingress_class(&self) -> Option<&IngressClass> {
        let mut defaults: Vec<_> = self.ingress_classes.iter().filter(|class| class.is_default).collect();
        defaults.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
        defaults.first().copied()
    }
}

fn by_annotation(cluster: &Cluster, class: &str) -> Vec<Server> {
    let all = cluster.controllers.iter().enumerate();
    all.filter(|(_, found)| *found.class == *class).map(|(at, _)| Server::Found(at)).collect()
}

/// The controllers of an IngressClass.
fn of_class(cluster: &Cluster, profile: &WayProfile, class: &IngressClass) -> Vec<Server> {
    let serves = |found: &crate::model::ingress::ControllerPods| {
        *found.controller == *class.controller
            || class.controller.strip_prefix(&*found.controller).and_then(|rest| rest.strip_prefix('/'))
                == Some(&*found.class)
    };
    let is_told = profile.controllers.iter().any(|(told, _)| *told == class.name);
    let all = cluster.controllers.iter().enumerate();
    let found: Vec<_> = all.filter(|(_, found)| serves(found)).map(|(at, _)| Server::Found(at)).collect();
    if !found.is_empty() && !is_told {
        return found;
    }
    let is = |known: &str| {
        *known == *class.controller || class.controller.strip_prefix(known).is_some_and(|rest| rest.starts_with('/'))
    };
    let known = KNOWN.iter().find(|(_, controller, _)| is(controller)).map(|(.., profile)| *profile);
    let profile = known.unwrap_or(profile.ingress_default_profile);
    vec![Server::Named { class: class.name.clone(), profile }]
}

/// A class without an object: one that the profile tells of, or one that everybody knows.
fn by_name(cluster: &Cluster, profile: &WayProfile, name: &Name) -> Vec<Server> {
    let is_told = profile.controllers.iter().any(|(told, _)| told == name);
    let found = by_annotation(cluster, name);
    if !found.is_empty() && !is_told {
        return found;
    }
    let known = KNOWN.iter().find(|(class, ..)| **class == **name).map(|(.., profile)| *profile);
    match known {
        None if !is_told => Vec::new(),
        known => {
            let profile = known.unwrap_or(profile.ingress_default_profile);
            vec![Server::Named { class: name.clone(), profile }]
        }
    }
}

/// ING-9: controllers that take Ingresses without a class. When the input has neither class nor controller, nothing is
/// known of the cluster's one: the profile says what it does.
fn without_class(cluster: &Cluster, profile: &WayProfile) -> Vec<Server> {
    let all = cluster.controllers.iter().enumerate();
    let found: Vec<_> = all.filter(|(_, found)| found.takes_classless).map(|(at, _)| Server::Found(at)).collect();
    if !found.is_empty() {
        return found;
    }
    let nothing_known =
        cluster.controllers.is_empty() && cluster.ingress_classes.is_empty() && profile.controllers.is_empty();
    let takes = match profile.ingress_default_profile {
        IngressProfile::Spec => nothing_known,
        IngressProfile::Gce => true,
        IngressProfile::Traefik | IngressProfile::HaProxy => cluster.controllers.is_empty(),
        IngressProfile::Nginx | IngressProfile::Kong | IngressProfile::Istio | IngressProfile::Alb => false,
    };
    let class = Name::from("");
    let named = Server::Named { class, profile: profile.ingress_default_profile };
    if takes { vec![named] } else { Vec::new() }
}

fn controller(cluster: &Cluster, profile: &WayProfile, server: &Server, ids: Vec<IngressId>) -> Option<Controller> {
    let live = |pods: &[PodId]| -> Vec<PodId> {
        let is_live = |id: &&PodId| cluster.pods.get(**id).is_some_and(|pod| pod.state != PodState::Finished);
        pods.iter().filter(is_live).copied().collect()
    };
    match server {
        Server::Found(at) => {
            let found = cluster.controllers.get(*at)?;
            let namespace = cluster.namespaces.get(found.namespace).map(|namespace| namespace.name.clone());
            Some(Controller {
                name: found.class.clone(),
                namespace: namespace.unwrap_or_else(|| Name::from("")),
                profile: found.profile,
                pods: ProxyPods::Pods(live(&found.pods)),
                settings: found.settings.clone(),
                streams: found.streams.clone(),
                ingresses: ids,
                span: None,
            })
        }
        Server::Named { class, profile: kind } => {
            let told = profile.controllers.iter().find(|(told, _)| told == class);
            let pods = told.and_then(|(_, workload)| pods_of(cluster, workload));
            let pods = pods.or_else(|| pods_by_status(cluster, &ids));
            // What the flags of these pods say holds, wherever the pods were found.
            let found = pods.as_ref().and_then(|pods| {
                cluster.controllers.iter().find(|found| found.pods.iter().any(|pod| pods.contains(pod)))
            });
            let namespace = pods.as_ref().and_then(|pods| cluster.pods.get(*pods.first()?));
            let namespace = namespace.and_then(|pod| cluster.namespaces.get(pod.namespace));
            let pods = match (pods, kind) {
                (Some(pods), _) => ProxyPods::Pods(live(&pods)),
                (None, IngressProfile::Gce) => ProxyPods::Outside(
                    GCE_SOURCES
                        .iter()
                        .filter_map(|(ip, bits)| Ipv4Net::new((*ip).into(), *bits).ok())
                        .map(IpNet::V4)
                        .collect(),
                ),
                (None, IngressProfile::Alb) => ProxyPods::OutsideUnknown,
                (None, _) => ProxyPods::Missing(missing(class)),
            };
            Some(Controller {
                name: class.clone(),
                namespace: namespace.map_or_else(|| Name::from(""), |namespace| namespace.name.clone()),
                profile: *kind,
                pods,
                settings: found.map(|found| found.settings.clone()).unwrap_or_default(),
                streams: Vec::new(),
                ingresses: ids,
                span: cluster.ingress_classes.iter().find(|known| known.name == *class).and_then(|known| known.span),
            })
        }
    }
}

fn missing(class: &str) -> Name {
    if class.is_empty() {
        Name::from("the pods of the Ingress controller")
    } else {
        Name::from(format!("the pods of the controller of class `{class}`"))
    }
}

/// The pods of `NAMESPACE/WORKLOAD`.
fn pods_of(cluster: &Cluster, workload: &str) -> Option<Vec<PodId>> {
    let (namespace, name) = workload.split_once('/')?;
    let is = |found: &&crate::model::Workload| {
        *found.name == *name && cluster.namespaces.get(found.namespace).is_some_and(|found| *found.name == *namespace)
    };
    cluster.workloads.values().find(is).map(|found| found.pods.clone())
}

/// ING-16: the pods of the Service that has the addresses which the Ingresses' status shows.
fn pods_by_status(cluster: &Cluster, ids: &[IngressId]) -> Option<Vec<PodId>> {
    let shown: Vec<_> = ids.iter().filter_map(|id| cluster.ingresses.get(*id)).map(|found| &found.addresses).collect();
    let shown = shown.into_iter().find(|addresses| !addresses.is_empty())?;
    let same = |service: &&crate::model::Service| {
        let balancer = service.load_balancer();
        balancer.is_some_and(|balancer| {
            !balancer.ingress.is_empty() && balancer.ingress.iter().all(|entry| shown.contains(&entry.at))
        })
    };
    let service = cluster.services.values().find(same)?;
    let selector = service.selector.as_ref()?;
    let selected =
        cluster.pods.iter().filter(|(_, pod)| pod.namespace == service.namespace && selector.matches(&pod.labels));
    let pods: Vec<PodId> = selected.map(|(id, _)| id).collect();
    (!pods.is_empty()).then_some(pods)
}

/// The profile that an annotation's class is known for.
#[must_use]
pub(crate) fn known_class(class: &str) -> Option<IngressProfile> {
    KNOWN.iter().find(|(known, ..)| *known == class).map(|(.., profile)| *profile)
}

/// `spec.controller` of a profile's IngressClasses.
#[must_use]
pub(crate) fn known_controller(profile: IngressProfile) -> &'static str {
    KNOWN.iter().find(|(.., known)| *known == profile).map_or("", |(_, controller, _)| controller)
}

/// The class of a profile's annotation.
#[must_use]
pub(crate) fn known_name(profile: IngressProfile) -> &'static str {
    KNOWN.iter().find(|(.., known)| *known == profile).map_or("", |(class, ..)| class)
}
