//! Ingress controllers: the pods that are some, their flags and their ConfigMaps (ING-16, ING-31).

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, NamespaceId, PodId};
use crate::lower::context::Context;
use crate::lower::ingress::{Services, WantedPort};
use crate::lower::ingress_annotations::{ranges, switch};
use crate::lower::input::{Input, Key};
use crate::model::ingress::{
    ControllerPods, ControllerSettings, IngressBackend, Stream, known_class, known_controller, known_name,
};
use crate::model::way_profile::IngressProfile;
use crate::model::{LabelSet, Name, Pod, PodState, Protocol};
use crate::snapshot::{ConfigMapBody, Container, PodSpec};
use crate::source::Spanned;

/// The flags of one pod by name, in lower case and without dashes; a variable of the environment by its name.
type Flags = BTreeMap<String, String>;

/// Finds the controllers among the pods. Those of one namespace that serve the same are one.
pub(super) fn lower(
    input: &Input<'_>,
    ids: &FxHashMap<Name, NamespaceId>,
    pods: &IdVec<PodId, Pod>,
    services: &Services<'_>,
    context: &mut Context,
) -> Vec<ControllerPods> {
    let names: FxHashMap<NamespaceId, &Name> = ids.iter().map(|(name, id)| (*id, name)).collect();
    let flags = all_flags(input);
    let none = Flags::new();
    let mut found: BTreeMap<(NamespaceId, Name, Name, IngressProfile), (Vec<PodId>, Flags)> = BTreeMap::new();
    for (id, pod) in pods.iter() {
        let by_label = of_labels(&pod.labels);
        if by_label.is_none() && flags.is_empty() {
            continue;
        }
        let is_template = pod.state == PodState::Template;
        let key = names.get(&pod.namespace).map(|namespace| ((*namespace).clone(), pod.name.clone()));
        let flags = key.and_then(|key| flags.get(&(is_template, key))).unwrap_or(&none);
        let Some(profile) = by_label.or_else(|| of_flags(flags)) else { continue };
        let (controller, class) = identity(profile, flags);
        let (pods, _) =
            found.entry((pod.namespace, controller, class, profile)).or_insert_with(|| (Vec::new(), flags.clone()));
        pods.push(id);
    }
    let mut controllers = Vec::new();
    for ((namespace, controller, class, profile), (pods, flags)) in found {
        let own = names.get(&namespace).map_or("", |name| &***name);
        let mut reader = Reader { own, flags: &flags, input, ids, services, context };
        controllers.push(ControllerPods {
            namespace,
            pods,
            profile,
            controller,
            takes_classless: takes_classless(profile, &flags),
            settings: reader.settings(namespace, profile),
            streams: reader.streams(),
            class,
        });
    }
    controllers
}

/// The flags of every pod and template that has some; templates under the name of their workload.
fn all_flags(input: &Input<'_>) -> BTreeMap<(bool, Key), Flags> {
    let mut all = BTreeMap::new();
    for (key, (_, body)) in &input.pods {
        let flags = body.spec.as_ref().map(pod_flags).unwrap_or_default();
        if !flags.is_empty() {
            all.insert((false, key.clone()), flags);
        }
    }
    for ((namespace, _, name), (_, body)) in &input.workloads {
        let flags = body.template.spec.as_ref().map(pod_flags).unwrap_or_default();
        if !flags.is_empty() {
            all.insert((true, (namespace.clone(), name.clone())), flags);
        }
    }
    all
}

fn pod_flags(spec: &PodSpec) -> Flags {
    spec.containers.iter().flatten().flat_map(container_flags).collect()
}

fn container_flags(container: &Container) -> Vec<(String, String)> {
    let mut flags: Vec<(String, String)> = Vec::new();
    for word in container.command.words().chain(container.args.words()) {
        if !word.starts_with('-') {
            // The value of the flag before it.
            if let Some((_, value)) = flags.last_mut() {
                *value = word.to_string();
            }
            continue;
        }
        let (name, value) = word.split_once('=').unwrap_or((word, "true"));
        flags.push((name.trim_start_matches('-').to_ascii_lowercase(), value.trim_matches('"').to_owned()));
    }
    for entry in container.env.entries() {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        // Traefik's variables are its flags in capitals.
        let name = match name.strip_prefix("TRAEFIK_") {
            Some(flag) => flag.to_ascii_lowercase().replace('_', "."),
            None => name.to_owned(),
        };
        flags.push((name, value.to_owned()));
    }
    flags
}

/// ING-16: the labels of well-known controllers.
fn of_labels(labels: &LabelSet) -> Option<IngressProfile> {
    let is = |key: &str, value: &str| labels.get(key).is_some_and(|found| **found == *value);
    let name = labels.get("app.kubernetes.io/name").map(|name| &**name);
    match name {
        Some("ingress-nginx") if is("app.kubernetes.io/component", "controller") => Some(IngressProfile::Nginx),
        Some("traefik") => Some(IngressProfile::Traefik),
        // Not the pods of Kong's controller, which route nothing.
        Some("kong") if !is("app.kubernetes.io/component", "controller") => Some(IngressProfile::Kong),
        Some("gateway") if is("app.kubernetes.io/instance", "kong") => Some(IngressProfile::Kong),
        Some("kubernetes-ingress") => Some(IngressProfile::HaProxy),
        _ if is("app", "ingress-kong") || is("app", "proxy-kong") => Some(IngressProfile::Kong),
        _ if is("run", "haproxy-ingress") => Some(IngressProfile::HaProxy),
        _ if is("istio", "ingressgateway") => Some(IngressProfile::Istio),
        _ => None,
    }
}

/// ING-16: flags that only one controller has, or that name a class which everybody knows.
fn of_flags(flags: &Flags) -> Option<IngressProfile> {
    let has = |prefix: &str| flags.keys().any(|flag| flag.starts_with(prefix));
    if has("controller-class") || has("tcp-services-configmap") || has("watch-ingress-without-class") {
        Some(IngressProfile::Nginx)
    } else if has("providers.kubernetesingress") {
        Some(IngressProfile::Traefik)
    } else if has("ingress.class") || has("empty-ingress-class") {
        Some(IngressProfile::HaProxy)
    } else {
        flags.get("ingress-class").and_then(|class| known_class(class)).filter(|profile| {
            // These are served from outside: the pods only arrange it.
            !matches!(profile, IngressProfile::Gce | IngressProfile::Alb)
        })
    }
}

/// The controller and the class for which pods stand.
fn identity(profile: IngressProfile, flags: &Flags) -> (Name, Name) {
    let class = match profile {
        IngressProfile::Nginx => flags.get("ingress-class"),
        IngressProfile::Traefik => flags.get("providers.kubernetesingress.ingressclass"),
        IngressProfile::Kong => flags.get("CONTROLLER_INGRESS_CLASS").or_else(|| flags.get("ingress-class")),
        IngressProfile::HaProxy => flags.get("ingress.class"),
        _ => None,
    };
    let class = class.map_or(known_name(profile), String::as_str);
    let controller = flags.get("controller-class").map_or(known_controller(profile), String::as_str);
    (Name::from(controller), Name::from(class))
}

/// ING-9
fn takes_classless(profile: IngressProfile, flags: &Flags) -> bool {
    let is_on = |flag: &str| flags.get(flag).is_some_and(|value| switch(value) == Some(true));
    match profile {
        IngressProfile::Nginx => is_on("watch-ingress-without-class"),
        IngressProfile::Traefik => flags.get("providers.kubernetesingress.ingressclass").is_none_or(String::is_empty),
        IngressProfile::HaProxy => {
            is_on("empty-ingress-class") || flags.get("ingress.class").is_none_or(String::is_empty)
        }
        IngressProfile::Kong => {
            is_on("process-classless-ingress-v1") || is_on("CONTROLLER_PROCESS_CLASSLESS_INGRESS_V1")
        }
        _ => false,
    }
}

struct Reader<'r, 'i, 'c> {
    /// The namespace of the pods.
    own: &'r str,
    flags: &'r Flags,
    input: &'r Input<'i>,
    ids: &'r FxHashMap<Name, NamespaceId>,
    services: &'r Services<'c>,
    context: &'r mut Context,
}

impl<'i> Reader<'_, 'i, '_> {
    fn is_on(&self, flag: &str) -> Option<bool> {
        self.flags.get(flag).and_then(|value| switch(value))
    }

    /// Namespace and name that a flag gives, as `NAMESPACE/NAME`.
    fn named(&self, flag: &str) -> Option<Key> {
        let value = self.flags.get(flag)?.replace("$(POD_NAMESPACE)", self.own);
        let (namespace, name) = value.split_once('/').unwrap_or((self.own, &value));
        Some((Name::from(namespace), Name::from(name)))
    }

    /// ING-16, ING-19
    fn settings(&mut self, namespace: NamespaceId, profile: IngressProfile) -> ControllerSettings {
        let usual = ControllerSettings::default();
        let external = match profile {
            IngressProfile::Nginx => self.is_on("disable-svc-external-name").map(|off| !off),
            IngressProfile::Traefik => self.is_on("providers.kubernetesingress.allowexternalnameservices"),
            _ => None,
        };
        let default = self.named("default-backend-service").and_then(|(space, name)| {
            let id = self.ids.get(&space).copied().unwrap_or(namespace);
            Some(self.services.find(id, &name, &WantedPort::First, None, self.context))
                .filter(|backend| !matches!(backend, IngressBackend::Missing(_)))
        });
        let named = self.named("configmap");
        let map: Option<&'i ConfigMapBody> =
            named.and_then(|key| self.input.config_maps.get(&key)).map(|(_, body)| *body);
        let get = |key: &str| map.and_then(|map| map.data.get(key));
        let is_on = |key: &str, usual: bool| get(key).and_then(|value| switch(&value.value)).unwrap_or(usual);
        let of_nginx = profile == IngressProfile::Nginx;
        let mut list = |keys: [&str; 2]| {
            let written: Option<&Spanned<Name>> = keys.into_iter().find_map(get).filter(|_| of_nginx);
            written.map(|written| ranges("ING-19", written, self.context)).unwrap_or_default()
        };
        let allow = list(["whitelist-source-range", "allowlist-source-range"]);
        let deny = list(["denylist-source-range", "denylist-source-range"]);
        ControllerSettings {
            ssl_passthrough: self.is_on("enable-ssl-passthrough").unwrap_or(usual.ssl_passthrough),
            ssl_redirect: is_on("ssl-redirect", usual.ssl_redirect),
            force_ssl_redirect: is_on("force-ssl-redirect", usual.force_ssl_redirect),
            allow,
            deny,
            global_auth: get("global-auth-url").is_some_and(|url| !url.value.is_empty()),
            strict_path_type: is_on("strict-validate-path-type", usual.strict_path_type),
            strict_prefix: self
                .is_on("providers.kubernetesingress.strictprefixmatching")
                .unwrap_or(usual.strict_prefix),
            external_names: external,
            default_backend: default,
        }
    }

    /// ING-31
    fn streams(&mut self) -> Vec<Stream> {
        let mut streams = Vec::new();
        for (flag, protocol) in [("tcp-services-configmap", Protocol::Tcp), ("udp-services-configmap", Protocol::Udp)] {
            let Some(key) = self.named(flag) else { continue };
            let Some((object, body)) = self.input.config_maps.get(&key) else { continue };
            for (port, value) in &body.data {
                let Ok(number) = port.parse::<u16>() else { continue };
                match self.stream(value) {
                    Some(backend) => streams.push(Stream {
                        protocol,
                        port: number,
                        backend,
                        config_map: key.clone(),
                        span: value.span.or(object.span),
                    }),
                    None => self.context.report(
                        Diagnostic::error(
                            "ING-31",
                            value.span.or(object.span),
                            format!("`{}` is no port of a Service", value.value),
                        )
                        .help("write `NAMESPACE/SERVICE:PORT`"),
                    ),
                }
            }
        }
        streams.sort();
        streams
    }

    /// `NAMESPACE/SERVICE:PORT`, and perhaps `:PROXY` behind it, which changes what is sent and not where.
    fn stream(&mut self, written: &Spanned<Name>) -> Option<IngressBackend> {
        let mut parts = written.value.split(':');
        let (namespace, service) = parts.next()?.split_once('/')?;
        let port = parts.next().filter(|port| !port.is_empty())?;
        let port = port.parse().map_or_else(|_| WantedPort::Name(Name::from(port)), WantedPort::Number);
        let Some(id) = self.ids.get(namespace) else {
            let why = format!("there is no Service `{namespace}/{service}`");
            self.context.report(Diagnostic::warning("ING-31", written.span, why.clone()));
            return Some(IngressBackend::Missing(Name::from(why)));
        };
        Some(self.services.find(*id, service, &port, written.span, self.context))
    }
}
