//! Ingresses, their classes and the controllers that serve them (ING-1 … ING-31).

mod claims;
mod effect;

use ipnet::IpNet;

use crate::ids::{NamespaceId, PodId, ServiceId};
use crate::model::http::{HostMatch, Redirect};
use crate::model::service::LoadBalancerAddress;
use crate::model::way_profile::IngressProfile;
use crate::model::{Name, Protocol};
use crate::source::Span;

pub use claims::{Claims, Controller, claims};
pub(crate) use claims::{known_class, known_controller, known_name};
pub use effect::{Canary, Effect, Entry, HostFacts, effect, origin};

/// An Ingress (ING-1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ingress {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// Its name.
    pub name: Name,
    /// `creationTimestamp`, when the input tells it: of two the smaller text is the older (ING-12).
    pub created: Option<Name>,
    /// The class that it asks for (ING-9).
    pub class: ClassWish,
    /// `defaultBackend` (ING-7).
    pub default_backend: Option<IngressBackend>,
    /// `tls` (ING-8).
    pub tls: Vec<IngressTls>,
    /// `rules`, in their order.
    pub rules: Vec<IngressRule>,
    /// The addresses of its status (ING-16).
    pub addresses: Vec<LoadBalancerAddress>,
    /// What it asks of single controllers.
    pub annotations: IngressAnnotations,
    /// Where it is written.
    pub span: Option<Span>,
}

/// How an Ingress asks for a class (ING-9).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ClassWish {
    /// It names none.
    None,
    /// `spec.ingressClassName`.
    Field(Name),
    /// The annotation of old.
    Annotation(Name),
}

/// One entry of `tls` (ING-8).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IngressTls {
    /// Its hosts; empty = whatever the controller takes.
    pub hosts: Vec<HostMatch>,
    /// The Secret with the certificate.
    pub secret: Option<Name>,
}

/// One entry of `rules`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IngressRule {
    /// [`HostMatch::Any`], [`HostMatch::Exact`] or [`HostMatch::OneLabel`] (ING-5).
    pub host: HostMatch,
    /// Its paths; `None` = the rule has no `http` (ING-7).
    pub paths: Option<Vec<IngressPath>>,
}

/// One path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IngressPath {
    /// The path as written; `None` = all paths (ING-2).
    pub path: Option<Name>,
    /// How it is meant.
    pub kind: PathType,
    /// Where requests go.
    pub backend: IngressBackend,
    /// Where it is written.
    pub span: Option<Span>,
}

/// `pathType` (ING-6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PathType {
    /// The whole path.
    Exact,
    /// Element by element.
    Prefix,
    /// As the controller likes (ING-10).
    ImplementationSpecific,
}

/// A backend, looked up in the Ingress's own namespace (ING-1, ING-3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IngressBackend {
    /// A port of a Service.
    Service {
        /// The Service.
        service: ServiceId,
        /// The position of its port.
        port: u32,
    },
    /// A Service that is a name for another name (ING-15).
    External {
        /// The Service.
        service: ServiceId,
        /// The port at that other name.
        port: u16,
    },
    /// There is no such Service or no such port: why, in words (ING-3).
    Missing(Name),
    /// An object that is no Service: its kind and name (ING-11).
    Resource(Name),
}

/// The annotations that change who gets through to what, read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IngressAnnotations {
    /// `nginx.ingress.kubernetes.io/*`.
    pub nginx: NginxAnnotations,
    /// `haproxy.org/*`.
    pub haproxy: HaProxyAnnotations,
    /// `traefik.ingress.kubernetes.io/*`.
    pub traefik: TraefikAnnotations,
    /// `konghq.com/*`.
    pub kong: KongAnnotations,
    /// `kubernetes.io/ingress.allow-http: "false"`: the load balancer of Google has no port 80.
    pub gce_https_only: bool,
    /// `alb.ingress.kubernetes.io/*`.
    pub alb: AlbAnnotations,
}

/// What ingress-nginx reads (ING-17 … ING-19).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NginxAnnotations {
    /// `use-regex`.
    pub use_regex: bool,
    /// `rewrite-target`.
    pub rewrite_target: Option<Name>,
    /// `server-alias`, in lower case.
    pub aliases: Vec<Name>,
    /// `whitelist-source-range`, `allowlist-source-range`; `None` = the controller's own list holds.
    pub allow: Option<Vec<IpNet>>,
    /// `denylist-source-range`; `None` = the controller's own list holds.
    pub deny: Option<Vec<IpNet>>,
    /// `canary: "true"`, and how it is chosen.
    pub canary: Option<CanaryRule>,
    /// `ssl-passthrough`.
    pub ssl_passthrough: bool,
    /// `default-backend`.
    pub default_backend: Option<IngressBackend>,
    /// `permanent-redirect`, `temporal-redirect`.
    pub redirect: Option<Redirect>,
    /// `ssl-redirect`; `None` = the controller's own setting holds.
    pub ssl_redirect: Option<bool>,
    /// `force-ssl-redirect`; `None` = the controller's own setting holds.
    pub force_ssl_redirect: Option<bool>,
    /// `auth-url`, `auth-type`: a request must show something.
    pub auth: bool,
    /// `enable-global-auth: "false"`.
    pub no_global_auth: bool,
    /// `auth-tls-secret`: all of the host's clients must show a certificate.
    pub client_certificate: bool,
    /// `satisfy: any`.
    pub satisfy_any: bool,
    /// `service-upstream` (ING-14).
    pub service_upstream: bool,
}

/// How a canary gets requests of the path that it stands beside (ING-19).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct CanaryRule {
    /// `canary-by-header`, in lower case.
    pub header: Option<Name>,
    /// `canary-by-header-value`.
    pub header_value: Option<Name>,
    /// `canary-by-header-pattern`.
    pub header_pattern: Option<Name>,
    /// `canary-by-cookie`.
    pub cookie: Option<Name>,
    /// `canary-weight`.
    pub weight: u32,
    /// `canary-weight-total`.
    pub total: u32,
}

/// What HAProxy's controller reads (ING-24).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HaProxyAnnotations {
    /// `allow-list`, of old `whitelist`.
    pub allow: Vec<IpNet>,
    /// `deny-list`, of old `blacklist`.
    pub deny: Vec<IpNet>,
    /// `ssl-passthrough`.
    pub ssl_passthrough: bool,
}

/// What Traefik reads (ING-22).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TraefikAnnotations {
    /// `router.pathmatcher`.
    pub matcher: PathMatcher,
    /// `router.priority`; 0 = none.
    pub priority: i64,
    /// `router.entrypoints`; empty = all.
    pub entry_points: Vec<Name>,
    /// `service.nativelb` (ING-14).
    pub native_lb: bool,
    /// `service.nodeportlb` (ING-14).
    pub node_port_lb: bool,
}

/// How Traefik matches paths without a type of their own (ING-22).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum PathMatcher {
    /// Whatever begins with these characters.
    #[default]
    PathPrefix,
    /// The whole path.
    Path,
    /// A regular expression.
    PathRegexp,
}

/// What Kong reads (ING-23).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KongAnnotations {
    /// `protocols: https` alone: plain requests are sent away.
    pub https_only: bool,
    /// `https-redirect-status-code`; 0 = Kong's own, 426.
    pub redirect_status: u16,
    /// `methods`, in upper case, sorted; empty = all.
    pub methods: Vec<Name>,
    /// `headers.NAME`: the values of which one must be there, by name in lower case.
    pub headers: Vec<(Name, Vec<Name>)>,
    /// `strip-path`.
    pub strip_path: bool,
}

/// What the controller of AWS reads (ING-26).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AlbAnnotations {
    /// `target-type: ip`; otherwise node ports are dialled.
    pub ip_targets: bool,
    /// `inbound-cidrs`; empty = everybody.
    pub sources: Vec<IpNet>,
}

/// An IngressClass (ING-9).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IngressClass {
    /// Its name.
    pub name: Name,
    /// `spec.controller`.
    pub controller: Name,
    /// Whether Ingresses without a class get it.
    pub is_default: bool,
    /// `creationTimestamp`.
    pub created: Option<Name>,
    /// Where it is written.
    pub span: Option<Span>,
}

/// A controller whose pods the input has (ING-16).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControllerPods {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// Its pods, templates among them.
    pub pods: Vec<PodId>,
    /// What it makes of Ingresses.
    pub profile: IngressProfile,
    /// The `spec.controller` of the IngressClasses that it serves.
    pub controller: Name,
    /// The class of the annotation that it serves.
    pub class: Name,
    /// Whether it serves Ingresses without any class.
    pub takes_classless: bool,
    /// Its settings.
    pub settings: ControllerSettings,
    /// The ports that its ConfigMaps open (ING-31).
    pub streams: Vec<Stream>,
}

/// What a controller's flags and ConfigMap set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControllerSettings {
    /// ingress-nginx: `--enable-ssl-passthrough` (ING-19).
    pub ssl_passthrough: bool,
    /// ingress-nginx: `ssl-redirect` (ING-8).
    pub ssl_redirect: bool,
    /// ingress-nginx: `force-ssl-redirect` (ING-8).
    pub force_ssl_redirect: bool,
    /// ingress-nginx: the list for Ingresses that have none (ING-19).
    pub allow: Vec<IpNet>,
    /// ingress-nginx: the same for who must stay out.
    pub deny: Vec<IpNet>,
    /// ingress-nginx: `global-auth-url`.
    pub global_auth: bool,
    /// ingress-nginx: `strict-validate-path-type` (ING-17).
    pub strict_path_type: bool,
    /// Traefik: `strictPrefixMatching` (ING-22).
    pub strict_prefix: bool,
    /// Whether ExternalName Services are dialled; `None` = as the controller does by itself (ING-15).
    pub external_names: Option<bool>,
    /// `--default-backend-service`: who answers what no rule takes (ING-7).
    pub default_backend: Option<IngressBackend>,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self {
            ssl_passthrough: false,
            ssl_redirect: true,
            force_ssl_redirect: false,
            allow: Vec::new(),
            deny: Vec::new(),
            global_auth: false,
            strict_path_type: true,
            strict_prefix: false,
            external_names: None,
            default_backend: None,
        }
    }
}

/// A port that a controller hands on as it is (ING-31).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stream {
    /// The transport.
    pub protocol: Protocol,
    /// The port of the controller's pods.
    pub port: u16,
    /// Where it goes, of any namespace.
    pub backend: IngressBackend,
    /// The ConfigMap.
    pub config_map: (Name, Name),
    /// Where it is written.
    pub span: Option<Span>,
}

impl IngressPath {
    /// The path, `/` when it is missing or empty: all paths (ING-2).
    #[must_use]
    pub fn text(&self) -> &str {
        self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/")
    }
}

impl Ingress {
    /// Whether its `tls` speaks of a host, or of no host in particular (ING-8).
    #[must_use]
    pub fn has_tls_for(&self, host: &HostMatch) -> bool {
        self.tls.iter().any(|tls| tls.hosts.is_empty() || tls.hosts.iter().any(|known| covers(known, host)))
    }
}

/// Whether every host of `host` is one of `known`.
fn covers(known: &HostMatch, host: &HostMatch) -> bool {
    match host {
        _ if known == host || *known == HostMatch::Any => true,
        HostMatch::Exact(name) => known.matches(Some(name)) == Some(true),
        _ => false,
    }
}
