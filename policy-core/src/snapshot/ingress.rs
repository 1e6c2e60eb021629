//! Ingress and IngressClass, in both shapes, and what of a ConfigMap a controller reads (ING-1, ING-2, ING-31).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::snapshot::{IntOrString, WayMeta};
use crate::source::Spanned;

/// Ingress. The fields of the old shape stand beside those of today's; the strict pass sees that nobody mixes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressBody {
    /// `metadata`.
    pub metadata: Option<WayMeta>,
    /// `spec`.
    pub spec: Option<IngressSpec>,
    /// `status`.
    pub status: Option<IngressStatus>,
}

/// `spec` of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// `ingressClassName`.
    pub ingress_class_name: Option<Spanned<Arc<str>>>,
    /// `defaultBackend`.
    pub default_backend: Option<Spanned<IngressBackend>>,
    /// `backend`, the name that `defaultBackend` had (ING-2).
    pub backend: Option<Spanned<IngressBackend>>,
    /// `tls`.
    pub tls: Option<Vec<IngressTls>>,
    /// `rules`.
    pub rules: Option<Vec<Spanned<IngressHostRule>>>,
}

/// One entry of `tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// `hosts`.
    pub hosts: Option<Vec<Spanned<Arc<str>>>>,
    /// `secretName`.
    pub secret_name: Option<Spanned<Arc<str>>>,
}

/// One entry of `rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressHostRule {
    /// `host`.
    pub host: Option<Spanned<Arc<str>>>,
    /// `http`.
    pub http: Option<Spanned<IngressHttp>>,
}

/// `http` of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressHttp {
    /// `paths`.
    pub paths: Option<Vec<Spanned<IngressPath>>>,
}

/// One path of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPath {
    /// `path`.
    pub path: Option<Spanned<Arc<str>>>,
    /// `pathType`.
    pub path_type: Option<Spanned<Arc<str>>>,
    /// `backend`.
    pub backend: Option<Spanned<IngressBackend>>,
}

/// A backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackend {
    /// `service`.
    pub service: Option<Spanned<IngressServiceBackend>>,
    /// `resource`.
    pub resource: Option<Spanned<ResourceReference>>,
    /// `serviceName` (ING-2).
    pub service_name: Option<Spanned<Arc<str>>>,
    /// `servicePort` (ING-2).
    pub service_port: Option<Spanned<IntOrString>>,
}

/// `service` of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressServiceBackend {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// `port`.
    pub port: Option<Spanned<ServiceBackendPort>>,
}

/// `port` of a backend's `service`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceBackendPort {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// `number`.
    pub number: Option<Spanned<i64>>,
}

/// `resource` of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceReference {
    /// `apiGroup`.
    pub api_group: Option<Arc<str>>,
    /// `kind`.
    pub kind: Option<Arc<str>>,
    /// `name`.
    pub name: Option<Arc<str>>,
}

/// `status` of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressStatus {
    /// `loadBalancer`.
    pub load_balancer: Option<IngressLoadBalancer>,
}

/// `status.loadBalancer` of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressLoadBalancer {
    /// `ingress`.
    pub ingress: Option<Vec<IngressAddress>>,
}

/// One address in the status of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressAddress {
    /// `ip`.
    pub ip: Option<Arc<str>>,
    /// `hostname`.
    pub hostname: Option<Arc<str>>,
}

/// IngressClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressClassBody {
    /// `metadata`.
    pub metadata: Option<WayMeta>,
    /// `spec`.
    pub spec: Option<IngressClassSpec>,
}

/// `spec` of an IngressClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressClassSpec {
    /// `controller`.
    pub controller: Option<Spanned<Arc<str>>>,
}

/// The entries of a ConfigMap that an Ingress controller may read. A ConfigMap without any is not modelled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConfigMapBody {
    /// `data`: the keys of [`is_controller_setting`].
    #[serde(deserialize_with = "settings")]
    pub data: BTreeMap<Arc<str>, Spanned<Arc<str>>>,
}

/// Keys of ingress-nginx's own ConfigMap that bear on who gets through.
const SETTINGS: [&str; 11] = [
    "allowlist-source-range",
    "denylist-source-range",
    "force-ssl-redirect",
    "global-auth-url",
    "ssl-redirect",
    "strict-validate-path-type",
    "use-forwarded-headers",
    "use-proxy-protocol",
    "whitelist-source-range",
    "deny-list",
    "allow-list",
];

/// Whether a controller may read an entry of a ConfigMap: a port (ING-31), or a setting of ingress-nginx or HAProxy.
#[must_use]
pub fn is_controller_setting(key: &str) -> bool {
    SETTINGS.contains(&key) || (!key.is_empty() && key.len() <= 5 && key.bytes().all(|byte| byte.is_ascii_digit()))
}

fn settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Arc<str>, Spanned<Arc<str>>>, D::Error> {
    struct SettingsVisitor;

    impl<'de> Visitor<'de> for SettingsVisitor {
        type Value = BTreeMap<Arc<str>, Spanned<Arc<str>>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut data = BTreeMap::new();
            while let Some(key) = map.next_key::<Arc<str>>()? {
                if is_controller_setting(&key) {
                    data.insert(key, map.next_value()?);
                } else {
                    let IgnoredAny = map.next_value()?;
                }
            }
            Ok(data)
        }
    }

    deserializer.deserialize_map(SettingsVisitor)
}
