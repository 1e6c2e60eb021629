//! Ingresses and IngressClasses: the old shape (ING-2), validation (ING-4), backends looked up (ING-1, ING-3).

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, IngressId, NamespaceId, ServiceId};
use crate::lower::context::Context;
use crate::lower::ingress_annotations::annotations;
use crate::lower::input::Input;
use crate::lower::ports::{bad_port_name, port_number};
use crate::model::http::HostMatch;
use crate::model::ingress::{
    ClassWish, Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, PathType,
};
use crate::model::{Cluster, LoadBalancerAddress, Name, ServiceKind};
use crate::snapshot::{
    IngressBody, IngressClassBody, IngressHostRule, IngressPath as WrittenPath, IngressServiceBackend, IngressSpec,
    IngressTls as WrittenTls, IntOrString, Object, ServiceBackendPort, WayMeta,
};
use crate::source::{Span, Spanned};

/// The Ingresses and classes that hold, and whether one was refused.
#[derive(Debug, Default)]
pub(super) struct Ingresses {
    pub(super) ingresses: IdVec<IngressId, Ingress>,
    pub(super) classes: Vec<IngressClass>,
    pub(super) refused: bool,
}

/// The Services of the cluster by namespace and name.
#[derive(Debug)]
pub(super) struct Services<'c> {
    cluster: &'c Cluster,
    ids: FxHashMap<(NamespaceId, &'c str), ServiceId>,
}

/// What was written as the port of a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum WantedPort {
    /// By number.
    Number(u16),
    /// By name.
    Name(Name),
    /// The first one: ingress-nginx's `default-backend` names none.
    First,
}

impl<'c> Services<'c> {
    pub(super) fn new(cluster: &'c Cluster) -> Self {
        let ids = cluster.services.iter().map(|(id, service)| ((service.namespace, &*service.name), id));
        Self { cluster, ids: ids.collect() }
    }

    /// ING-3, ING-15. `place`: where the backend is written.
    pub(super) fn find(
        &self,
        namespace: NamespaceId,
        name: &str,
        port: &WantedPort,
        place: Option<Span>,
        context: &mut Context,
    ) -> IngressBackend {
        let space = self.cluster.namespaces.get(namespace).map_or("", |namespace| &*namespace.name);
        let Some(service) = self.ids.get(&(namespace, name)).copied() else {
            let why = format!("there is no Service `{space}/{name}`");
            let help = "an Ingress names Services of its own namespace; add the Service to the input";
            context.report(Diagnostic::warning("ING-3", place, why.clone()).help(help));
            return IngressBackend::Missing(Name::from(why));
        };
        let found = self.cluster.services.at(service);
        let is_wanted = |known: &crate::model::ServicePort| match port {
            WantedPort::Number(number) => known.port == *number,
            WantedPort::Name(name) => known.name == *name,
            WantedPort::First => true,
        };
        let position = found.ports.iter().position(is_wanted);
        if matches!(found.kind, ServiceKind::ExternalName(_)) {
            let number = position.and_then(|at| found.ports.get(at)).map(|port| port.port);
            let number = number.or(match port {
                WantedPort::Number(number) => Some(*number),
                WantedPort::Name(_) | WantedPort::First => None,
            });
            if let Some(port) = number {
                let message = format!("the Service `{space}/{name}` is a name for something outside this namespace");
                let help = "who may write this Ingress lets the controller dial whatever the name stands for";
                context.report(Diagnostic::warning("ING-15", place, message).help(help));
                return IngressBackend::External { service, port };
            }
        }
        match position.and_then(|at| u32::try_from(at).ok()) {
            Some(port) => IngressBackend::Service { service, port },
            None => {
                let wanted = match port {
                    WantedPort::Number(number) => number.to_string(),
                    WantedPort::Name(name) => name.to_string(),
                    WantedPort::First => "any".to_owned(),
                };
                let why = format!("the Service `{space}/{name}` has no port `{wanted}`");
                let has: Vec<_> = found.ports.iter().map(|port| port.port.to_string()).collect();
                let help = format!("a backend names a port of the Service, not of the pods; it has {}", has.join(", "));
                context.report(Diagnostic::warning("ING-3", place, why.clone()).help(help));
                IngressBackend::Missing(Name::from(why))
            }
        }
    }
}

/// Lowers all Ingresses and classes. One with any error is refused as a whole, as the API server would (ING-4).
pub(super) fn lower(
    input: &Input<'_>,
    ids: &FxHashMap<Name, NamespaceId>,
    services: &Services<'_>,
    context: &mut Context,
) -> Ingresses {
    let mut lowered = Ingresses::default();
    for (name, (object, body)) in &input.ingress_classes {
        let errors = context.errors();
        let class = class(name, object, body, context);
        if context.errors() == errors {
            lowered.classes.push(class);
        } else {
            lowered.refused = true;
        }
    }
    warn_of_defaults(&lowered.classes, context);
    for ((namespace, name), (object, body)) in &input.ingresses {
        let Some(id) = ids.get(namespace) else { continue };
        let errors = context.errors();
        let mut reader = Reader { namespace: *id, place: object.span, services, context };
        let ingress = reader.ingress(name, object, body);
        if context.errors() == errors {
            lowered.ingresses.push(ingress);
        } else {
            lowered.refused = true;
        }
    }
    lowered
}

fn class(name: &Name, object: &Object, body: &IngressClassBody, context: &mut Context) -> IngressClass {
    let written = body.spec.as_ref().and_then(|spec| spec.controller.as_ref());
    let controller = written.filter(|controller| !controller.value.is_empty());
    if controller.is_none() {
        let place = written.and_then(|controller| controller.span).or(object.span);
        context.report(
            Diagnostic::error("ING-9", place, format!("the class `{name}` does not say whose it is"))
                .help("write `spec.controller`, such as `k8s.io/ingress-nginx`"),
        );
    }
    let metadata = body.metadata.as_ref();
    let default = annotation(metadata, "ingressclass.kubernetes.io/is-default-class");
    IngressClass {
        name: name.clone(),
        controller: controller.map_or_else(|| Name::from(""), |controller| context.name(&controller.value)),
        is_default: default.is_some_and(|value| *value.value == *"true"),
        created: created(metadata),
        span: object.span,
    }
}

/// ING-9: the admission code takes the newest; documentation and older versions say that creation is refused.
fn warn_of_defaults(classes: &[IngressClass], context: &mut Context) {
    let defaults: Vec<_> = classes.iter().filter(|class| class.is_default).collect();
    let [first, .., last] = defaults.as_slice() else { return };
    let message = format!("{} classes are marked as default", defaults.len());
    context.report(
        Diagnostic::warning("ING-9", last.span, message)
            .also(first.span, "another one")
            .help("the newest is taken; API servers of old refuse Ingresses without a class then"),
    );
}

/// An annotation.
pub(super) fn annotation<'a>(metadata: Option<&'a WayMeta>, key: &str) -> Option<&'a Spanned<Name>> {
    metadata.and_then(|metadata| metadata.annotations.as_ref()).and_then(|annotations| annotations.get(key))
}

fn created(metadata: Option<&WayMeta>) -> Option<Name> {
    let written = metadata.and_then(|metadata| metadata.creation_timestamp.as_ref());
    written.map(|time| time.value.clone()).filter(|time| !time.is_empty())
}

/// Reads the parts of one Ingress.
struct Reader<'r, 'c> {
    namespace: NamespaceId,
    place: Option<Span>,
    services: &'r Services<'c>,
    context: &'r mut Context,
}

impl Reader<'_, '_> {
    fn error(&mut self, place: Option<Span>, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::error("ING-4", place.or(self.place), message);
        self.context.report(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    fn ingress(&mut self, name: &Name, object: &Object, body: &IngressBody) -> Ingress {
        let empty = IngressSpec::default();
        let spec = body.spec.as_ref().unwrap_or(&empty);
        let old = *object.api_version != *"networking.k8s.io/v1";
        let metadata = body.metadata.as_ref();
        let default = if old { spec.backend.as_ref() } else { spec.default_backend.as_ref() };
        let rules = spec.rules.as_deref().unwrap_or_default();
        if default.is_none() && rules.is_empty() {
            let field = if old { "backend" } else { "defaultBackend" };
            self.error(None, format!("an Ingress needs `rules` or a `{field}`"), "");
        }
        let class = self.class(spec, metadata);
        let default_backend = default.map(|backend| self.backend(Some(backend), backend.span, old));
        let tls = spec.tls.iter().flatten().map(|tls| self.tls(tls)).collect();
        let rules = rules.iter().map(|rule| self.rule(&rule.value, old)).collect();
        let status = body.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let addresses = status.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
        let addresses = addresses.filter_map(|entry| {
            let ip = entry.ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok()).map(LoadBalancerAddress::Ip);
            ip.or_else(|| entry.hostname.clone().map(LoadBalancerAddress::Hostname))
        });
        Ingress {
            namespace: self.namespace,
            name: name.clone(),
            created: created(metadata),
            class,
            default_backend,
            tls,
            rules,
            addresses: addresses.collect(),
            annotations: annotations(metadata, self.namespace, self.services, self.context),
            span: object.span,
        }
    }

    /// ING-9
    fn class(&mut self, spec: &IngressSpec, metadata: Option<&WayMeta>) -> ClassWish {
        let field = spec.ingress_class_name.as_ref().filter(|class| !class.value.is_empty());
        let annotated = annotation(metadata, "kubernetes.io/ingress.class").filter(|class| !class.value.is_empty());
        match (field, annotated) {
            (Some(field), Some(annotated)) if field.value != annotated.value => {
                let message = format!("two classes: `{}` and, as annotation, `{}`", field.value, annotated.value);
                self.error(annotated.span, message, "remove the annotation");
                ClassWish::Field(field.value.clone())
            }
            (Some(field), _) => ClassWish::Field(self.context.name(&field.value)),
            (None, Some(annotated)) => ClassWish::Annotation(self.context.name(&annotated.value)),
            (None, None) => ClassWish::None,
        }
    }

    fn tls(&mut self, written: &WrittenTls) -> IngressTls {
        let hosts = written.hosts.iter().flatten().map(|host| self.host(Some(host))).collect();
        IngressTls { hosts, secret: written.secret_name.as_ref().map(|secret| secret.value.clone()) }
    }

    /// ING-4, ING-5
    fn host(&mut self, written: Option<&Spanned<Name>>) -> HostMatch {
        let Some(written) = written.filter(|host| !host.value.is_empty()) else { return HostMatch::Any };
        let host = &*written.value;
        if host.parse::<IpAddr>().is_ok() {
            self.error(written.span, format!("`{host}` is an address"), "a host is a DNS name");
            return HostMatch::Any;
        }
        let (name, wildcard) = host.strip_prefix("*.").map_or((host, false), |name| (name, true));
        if name.contains('*') {
            let help = "`*` stands for the whole first label: `*.example.com`";
            self.error(written.span, format!("`{host}` is not a host"), help);
        } else if !is_subdomain(name) {
            let help = "a host has lower-case letters, digits, `-` and `.`, and no port";
            self.error(written.span, format!("`{host}` is not a host"), help);
        }
        let name = self.context.name(&Name::from(name.to_ascii_lowercase()));
        if wildcard { HostMatch::OneLabel(name) } else { HostMatch::Exact(name) }
    }

    fn rule(&mut self, written: &IngressHostRule, old: bool) -> IngressRule {
        let host = self.host(written.host.as_ref());
        let paths = written.http.as_ref().map(|http| {
            let paths = http.value.paths.as_deref().unwrap_or_default();
            if paths.is_empty() {
                self.error(http.span, "`http` has no `paths`", "remove `http`, or write the paths");
            }
            paths.iter().map(|path| self.path(path, old)).collect()
        });
        IngressRule { host, paths }
    }

    /// ING-2, ING-4
    fn path(&mut self, written: &Spanned<WrittenPath>, old: bool) -> IngressPath {
        let place = written.span;
        let written = &written.value;
        let kind = match written.path_type.as_ref().map(|kind| &*kind.value) {
            Some("Exact") => PathType::Exact,
            Some("Prefix") => PathType::Prefix,
            Some("ImplementationSpecific") => PathType::ImplementationSpecific,
            None | Some("") if old => PathType::ImplementationSpecific,
            None | Some("") => {
                let help = "write `Exact`, `Prefix` or `ImplementationSpecific`";
                self.error(place, "a path without `pathType`", help);
                PathType::ImplementationSpecific
            }
            Some(other) => {
                let message = format!("`{other}` is not a path type");
                let at = written.path_type.as_ref().and_then(|kind| kind.span).or(place);
                self.error(at, message, "there are `Exact`, `Prefix` and `ImplementationSpecific`");
                PathType::ImplementationSpecific
            }
        };
        self.check_path(written.path.as_ref(), kind, place);
        let backend = self.backend(written.backend.as_ref(), place, old);
        let path = written.path.as_ref().map(|path| self.context.name(&path.value));
        IngressPath { path: path.filter(|path| !path.is_empty()), kind, backend, span: place }
    }

    /// ING-4
    fn check_path(&mut self, written: Option<&Spanned<Name>>, kind: PathType, place: Option<Span>) {
        let path = written.map_or("", |path| &*path.value);
        let at = written.and_then(|path| path.span).or(place);
        if kind == PathType::ImplementationSpecific {
            if !path.is_empty() && !path.starts_with('/') {
                self.error(at, format!("`{path}` does not begin with `/`"), "a path begins with `/`, or is left out");
            }
            return;
        }
        if !path.starts_with('/') {
            let what = if path.is_empty() {
                "a path is missing".to_owned()
            } else {
                format!("`{path}` does not begin with `/`")
            };
            self.error(at, what, "a path of type Exact or Prefix begins with `/`");
            return;
        }
        for bad in ["//", "/./", "/../", "%2f", "%2F"] {
            if path.contains(bad) {
                self.error(at, format!("`{path}` has `{bad}` in it"), "write the path that requests have in the end");
            }
        }
        for bad in ["/..", "/."] {
            if path.ends_with(bad) {
                self.error(at, format!("`{path}` ends in `{bad}`"), "write the path that requests have in the end");
            }
        }
    }

    /// ING-1, ING-2, ING-4
    fn backend(
        &mut self,
        written: Option<&Spanned<crate::snapshot::IngressBackend>>,
        place: Option<Span>,
        old: bool,
    ) -> IngressBackend {
        let nothing = || IngressBackend::Missing(Name::from("the backend is not valid"));
        let Some(Spanned { value: written, span }) = written else {
            self.error(place, "a path without `backend`", "write the Service that gets its requests");
            return nothing();
        };
        let place = span.or(place);
        let has_service = if old {
            written.service_name.is_some() || written.service_port.is_some()
        } else {
            written.service.is_some()
        };
        match (has_service, &written.resource) {
            (true, Some(_)) => {
                self.error(place, "a backend with both a Service and a `resource`", "keep one of the two");
                nothing()
            }
            (false, None) => {
                self.error(place, "a backend without a Service", "name the Service that gets the requests");
                nothing()
            }
            (false, Some(resource)) => {
                let part = |text: &Option<Name>| text.as_deref().unwrap_or_default().to_owned();
                IngressBackend::Resource(Name::from(format!(
                    "{} `{}`",
                    part(&resource.value.kind),
                    part(&resource.value.name)
                )))
            }
            (true, None) if old => {
                let port = written.service_port.as_ref();
                let port = match port.map(|port| (&port.value, port.span)) {
                    Some((IntOrString::Int(number), span)) => {
                        port_number("ING-4", *number, span.or(place), self.context).map(WantedPort::Number)
                    }
                    Some((IntOrString::String(name), span)) => self.port_name(name, span.or(place)),
                    None => {
                        self.error(place, "a backend without `servicePort`", "name a port of the Service");
                        None
                    }
                };
                self.service(written.service_name.as_ref(), port, place)
            }
            (true, None) => {
                let service = written.service.as_ref().map(|service| &service.value);
                let empty = IngressServiceBackend::default();
                let service = service.unwrap_or(&empty);
                let port = self.service_port(service.port.as_ref(), place);
                self.service(service.name.as_ref(), port, place)
            }
        }
    }

    fn service_port(
        &mut self,
        written: Option<&Spanned<ServiceBackendPort>>,
        place: Option<Span>,
    ) -> Option<WantedPort> {
        let place = written.and_then(|port| port.span).or(place);
        let empty = ServiceBackendPort::default();
        let port = written.map_or(&empty, |port| &port.value);
        let name = port.name.as_ref().filter(|name| !name.value.is_empty());
        let number = port.number.as_ref().filter(|number| number.value != 0);
        match (name, number) {
            (Some(_), Some(_)) => {
                self.error(place, "a port with both `name` and `number`", "keep one of the two");
                None
            }
            (Some(name), None) => self.port_name(&name.value, name.span.or(place)),
            (None, Some(number)) => {
                port_number("ING-4", number.value, number.span.or(place), self.context).map(WantedPort::Number)
            }
            (None, None) => {
                self.error(place, "a backend without a port", "name a port of the Service, by `name` or `number`");
                None
            }
        }
    }

    fn port_name(&mut self, name: &Name, place: Option<Span>) -> Option<WantedPort> {
        if let Some(why) = bad_port_name(name) {
            self.error(place, format!("`{name}` is not a port name"), why);
            return None;
        }
        Some(WantedPort::Name(name.clone()))
    }

    fn service(
        &mut self,
        name: Option<&Spanned<Name>>,
        port: Option<WantedPort>,
        place: Option<Span>,
    ) -> IngressBackend {
        let nothing = IngressBackend::Missing(Name::from("the backend is not valid"));
        let Some(name) = name.filter(|name| !name.value.is_empty()) else {
            self.error(place, "a backend without the name of its Service", "");
            return nothing;
        };
        if !is_subdomain(&name.value) || name.value.contains('.') {
            self.error(name.span.or(place), format!("`{}` is not the name of a Service", name.value), "");
            return nothing;
        }
        let Some(port) = port else { return nothing };
        self.services.find(self.namespace, &name.value, &port, place, self.context)
    }
}

/// A DNS-1123 subdomain.
fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}
