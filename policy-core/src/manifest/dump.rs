//! Objects that an API server wrote, straight from JSON: no tree, no schema, strings shared.
//!
//! What is not exactly as expected is left to the tree reader, which explains it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::{FxHashSet, FxHasher};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::snapshot::{
    Body, Container, ContainerPort, Effect, Flags, NodeAddress, NodeBody, NodeSpec, NodeStatus, Object, ObjectMeta,
    OwnerReference, PodBody, PodConditions, PodIp, PodSpec, PodStatus, PodTemplate, UnreadField, Variables,
    WorkloadBody, is_controller_setting,
};
use crate::source::{Span, Spanned};

use super::document::ListHead;
use super::kinds::{Class, Model, classify};
use super::peek::Peek;
use super::unread::mark;

/// A string that borrows from the text where it has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Str<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrVisitor;

        impl<'de> Visitor<'de> for StrVisitor {
            type Value = Str<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(StrVisitor)
    }
}

/// A map of strings, in input order.
#[derive(Debug, Default)]
struct Pairs<'a>(Vec<(Str<'a>, Str<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// The keys of a map.
#[derive(Debug, Default)]
struct Keys<'a>(Vec<Str<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Keys<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry::<Str<'de>, IgnoredAny>()? {
                    found.push(key);
                }
                Ok(Keys(found))
            }
        }

        deserializer.deserialize_map(KeysVisitor)
    }
}

/// The keys of a map that the table of unread marks has.
#[derive(Debug, Default)]
struct Marks(Vec<String>);

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarksVisitor;

        impl<'de> Visitor<'de> for MarksVisitor {
            type Value = Marks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some((key, _)) = map.next_entry::<Str<'de>, IgnoredAny>()? {
                    if mark(&key.0).is_some() {
                        found.push(key.0.into_owned());
                    }
                }
                Ok(Marks(found))
            }
        }

        deserializer.deserialize_map(MarksVisitor)
    }
}

/// Any object; `S` and `T` are its `spec` and `status`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(
    rename_all = "camelCase",
    default,
    bound(deserialize = "S: Deserialize<'de> + Default, T: Deserialize<'de> + Default, 'de: 'a")
)]
struct Raw<'a, S, T> {
    #[serde(borrow)]
    api_version: Option<Str<'a>>,
    kind: Option<Str<'a>>,
    metadata: Meta<'a>,
    spec: Option<S>,
    status: Option<T>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    generate_name: Option<Str<'a>>,
    namespace: Option<Str<'a>>,
    labels: Option<Pairs<'a>>,
    annotations: Option<Marks>,
    uid: Option<Str<'a>>,
    resource_version: Option<Str<'a>>,
    deletion_timestamp: Option<Str<'a>>,
    owner_references: Option<Vec<Owner<'a>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Owner<'a> {
    #[serde(borrow)]
    api_version: Option<Str<'a>>,
    kind: Option<Str<'a>>,
    name: Option<Str<'a>>,
    uid: Option<Str<'a>>,
    controller: Option<bool>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawPodSpec<'a> {
    #[serde(borrow)]
    node_name: Option<Str<'a>>,
    host_network: Option<bool>,
    service_account_name: Option<Str<'a>>,
    service_account: Option<Str<'a>>,
    automount_service_account_token: Option<bool>,
    dns_policy: Option<Str<'a>>,
    enable_service_links: Option<bool>,
    hostname: Option<Str<'a>>,
    subdomain: Option<Str<'a>>,
    containers: Option<Vec<RawContainer<'a>>>,
    init_containers: Option<Vec<RawContainer<'a>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawContainer<'a> {
    #[serde(borrow)]
    ports: Option<Vec<RawPort<'a>>>,
    restart_policy: Option<Str<'a>>,
    command: Flags,
    args: Flags,
    env: Variables,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawPort<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    protocol: Option<Str<'a>>,
    container_port: Option<i64>,
    host_port: Option<i64>,
    #[serde(rename = "hostIP")]
    host_ip: Option<Str<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawPodStatus<'a> {
    #[serde(borrow)]
    phase: Option<Str<'a>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<Str<'a>>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<RawIp<'a>>>,
    #[serde(rename = "hostIP")]
    host_ip: Option<Str<'a>>,
    conditions: Option<PodConditions>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawIp<'a> {
    #[serde(borrow)]
    ip: Option<Str<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawNodeSpec<'a> {
    #[serde(borrow, rename = "podCIDR")]
    pod_cidr: Option<Str<'a>>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<Str<'a>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawNodeStatus<'a> {
    #[serde(borrow)]
    addresses: Option<Vec<RawAddress<'a>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawAddress<'a> {
    #[serde(borrow)]
    r#type: Option<Str<'a>>,
    address: Option<Str<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawControllerSpec<'a> {
    replicas: Option<i64>,
    #[serde(borrow)]
    template: Option<RawTemplate<'a>>,
    job_template: Option<RawJobTemplate<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawJobTemplate<'a> {
    #[serde(borrow)]
    spec: Option<RawJobSpec<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawJobSpec<'a> {
    #[serde(borrow)]
    template: Option<RawTemplate<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawTemplate<'a> {
    #[serde(borrow)]
    metadata: Option<Meta<'a>>,
    spec: Option<RawPodSpec<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawControllerStatus<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<RawCondition<'a>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RawCondition<'a> {
    #[serde(borrow)]
    r#type: Option<Str<'a>>,
    status: Option<Str<'a>>,
}

/// Strings that many objects have in common, kept once.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    known: FxHashSet<Arc<str>>,
}

impl Strings {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let text: Arc<str> = Arc::from(text);
        self.known.insert(text.clone());
        text
    }

    fn maybe(&mut self, text: Option<Str<'_>>) -> Option<Arc<str>> {
        text.map(|text| self.shared(&text.0))
    }

    fn metadata(&mut self, meta: Meta<'_>) -> ObjectMeta {
        ObjectMeta {
            name: meta.name.map(own),
            generate_name: self.maybe(meta.generate_name),
            namespace: self.maybe(meta.namespace),
            labels: meta.labels.map(|labels| self.labels(labels)),
            uid: meta.uid.map(own),
            resource_version: meta.resource_version.map(own),
            deletion_timestamp: meta.deletion_timestamp.map(own),
            owner_references: meta.owner_references.map(|owners| {
                each(owners, |owner| OwnerReference {
                    api_version: self.maybe(owner.api_version),
                    kind: self.maybe(owner.kind),
                    name: self.maybe(owner.name),
                    uid: self.maybe(owner.uid),
                    controller: owner.controller,
                })
            }),
        }
    }

    fn labels(&mut self, labels: Pairs<'_>) -> BTreeMap<Arc<str>, Arc<str>> {
        labels.0.into_iter().map(|(key, value)| (self.shared(&key.0), self.shared(&value.0))).collect()
    }

    fn pod_spec(&mut self, spec: RawPodSpec<'_>) -> PodSpec {
        let mut containers = |list: Option<Vec<RawContainer<'_>>>| -> Option<Vec<Container>> {
            list.map(|list| each(list, |container| self.container(container)))
        };
        let (init, main) = (containers(spec.init_containers), containers(spec.containers));
        PodSpec {
            node_name: self.maybe(spec.node_name),
            host_network: spec.host_network,
            service_account_name: self.maybe(spec.service_account_name),
            service_account: self.maybe(spec.service_account),
            automount_service_account_token: spec.automount_service_account_token,
            dns_policy: self.maybe(spec.dns_policy),
            enable_service_links: spec.enable_service_links,
            hostname: spec.hostname.map(own),
            subdomain: self.maybe(spec.subdomain),
            containers: main,
            init_containers: init,
        }
    }

    fn container(&mut self, container: RawContainer<'_>) -> Container {
        let ports = container.ports.map(|ports| {
            each(ports, |port| ContainerPort {
                name: self.maybe(port.name),
                protocol: self.maybe(port.protocol).map(Spanned::nowhere),
                container_port: port.container_port.map(Spanned::nowhere),
                host_port: port.host_port.map(Spanned::nowhere),
                host_ip: self.maybe(port.host_ip).map(Spanned::nowhere),
            })
        });
        let restart_policy = self.maybe(container.restart_policy);
        Container { ports, restart_policy, command: container.command, args: container.args, env: container.env }
    }

    fn pod_status(&mut self, status: RawPodStatus<'_>) -> PodStatus {
        let pod_ip = status.pod_ip.map(own);
        let same = |text: Str<'_>| match &pod_ip {
            Some(first) if **first == *text.0 => first.clone(),
            _ => own(text),
        };
        let pod_ips =
            status.pod_ips.map(|list| each(list, |entry| PodIp { ip: entry.ip.map(same).map(Spanned::nowhere) }));
        PodStatus {
            phase: self.maybe(status.phase),
            pod_ips,
            pod_ip: pod_ip.map(Spanned::nowhere),
            host_ip: self.maybe(status.host_ip).map(Spanned::nowhere),
            conditions: status.conditions,
        }
    }

    fn template(&mut self, template: RawTemplate<'_>) -> PodTemplate {
        PodTemplate {
            metadata: template.metadata.map(|meta| self.metadata(meta)),
            spec: template.spec.map(|spec| self.pod_spec(spec)),
        }
    }
}

/// A list of exactly the size that is needed: `collect` would keep the larger allocation of its source.
fn each<A, B>(list: Vec<A>, make: impl FnMut(A) -> B) -> Vec<B> {
    let mut made = Vec::with_capacity(list.len());
    made.extend(list.into_iter().map(make));
    made
}

fn own(text: Str<'_>) -> Arc<str> {
    Arc::from(text.0)
}

/// Reads one object from `raw`, which stands at `span`. `None`: the tree reader must look at it.
pub(crate) fn object(raw: &str, span: Span, list: Option<&ListHead>, strings: &mut Strings) -> Option<Object> {
    let (api_version, kind) = match list {
        Some(list) => (list.api_version.clone(), list.kind.clone()),
        None => {
            let found = Peek::at(raw);
            (strings.shared(&found.api_version?.0), strings.shared(&found.kind?.0))
        }
    };
    let model = match classify(&api_version, &kind) {
        // Few, and worth their places.
        Class::Modelled(model) if model.is_read_with_places() => return None,
        Class::Modelled(model) => Some(model),
        Class::NotModelled(_) => None,
        Class::Legacy(_) | Class::WrongVersion(_) | Class::Misspelt(_) => return None,
    };
    let mut made = Made { head: (&api_version, &kind), strings, unread: Vec::new() };
    let (metadata, body) = match model {
        Some(Model::Pod) => made.pod(raw)?,
        Some(Model::Node) => made.node(raw)?,
        Some(Model::Namespace) => (made.bare(raw)?, Body::Namespace),
        Some(Model::ConfigMap) => (made.config_map(raw)?, Body::NotModelled(Effect::None)),
        Some(model) => made.workload(raw, model)?,
        None if kind.ends_with("List") => return None,
        None => {
            let metadata = made.bare(raw)?;
            made.unread.clear();
            let Class::NotModelled(effect) = classify(&api_version, &kind) else { return None };
            (metadata, Body::NotModelled(effect))
        }
    };
    let unread = made.unread;
    let mut hash = FxHasher::default();
    hash.write(raw.as_bytes());
    Some(Object { api_version, kind, metadata, span: Some(span), fingerprint: hash.finish(), unread, body })
}

struct Made<'s> {
    head: (&'s str, &'s str),
    strings: &'s mut Strings,
    unread: Vec<UnreadField>,
}

impl Made<'_> {
    /// The parts of an object, if an API server wrote it and it is what it should be.
    fn parts<'a, S, T>(&mut self, raw: &'a str) -> Option<(ObjectMeta, Option<S>, Option<T>)>
    where
        S: Deserialize<'a> + Default,
        T: Deserialize<'a> + Default,
    {
        let object: Raw<'a, S, T> = serde_json::from_str(raw).ok()?;
        let differs = |written: &Option<Str<'_>>, known: &str| written.as_ref().is_some_and(|text| text.0 != known);
        let meta = object.metadata;
        let by_server = meta.uid.is_some() && meta.resource_version.is_some() && meta.name.is_some();
        if !by_server || differs(&object.api_version, self.head.0) || differs(&object.kind, self.head.1) {
            return None;
        }
        self.marks(&meta, "");
        Some((self.strings.metadata(meta), object.spec, object.status))
    }

    fn bare(&mut self, raw: &str) -> Option<ObjectMeta> {
        self.parts::<IgnoredAny, IgnoredAny>(raw).map(|(metadata, ..)| metadata)
    }

    fn pod(&mut self, raw: &str) -> Option<(ObjectMeta, Body)> {
        let (metadata, spec, status) = self.parts::<RawPodSpec<'_>, RawPodStatus<'_>>(raw)?;
        let spec = spec.map(|spec| self.strings.pod_spec(spec));
        let status = status.map(|status| self.strings.pod_status(status));
        Some((metadata, Body::Pod(Box::new(PodBody { spec, status }))))
    }

    /// One that no controller reads; any other has places that matter.
    fn config_map(&mut self, raw: &str) -> Option<ObjectMeta> {
        #[derive(Default, serde::Deserialize)]
        #[serde(default)]
        struct Data<'a> {
            #[serde(borrow)]
            data: Option<Keys<'a>>,
        }

        let found: Data<'_> = serde_json::from_str(raw).ok()?;
        let is_setting = found.data.iter().flat_map(|data| &data.0).any(|key| is_controller_setting(&key.0));
        let metadata = self.bare(raw).filter(|_| !is_setting)?;
        self.unread.clear();
        Some(metadata)
    }

    fn node(&mut self, raw: &str) -> Option<(ObjectMeta, Body)> {
        let (metadata, spec, status) = self.parts::<RawNodeSpec<'_>, RawNodeStatus<'_>>(raw)?;
        let place = |text: Str<'_>| Spanned::nowhere(own(text));
        let spec = spec.map(|spec| NodeSpec {
            pod_cidr: spec.pod_cidr.map(place),
            pod_cidrs: spec.pod_cidrs.map(|list| each(list, place)),
        });
        let address = |entry: RawAddress<'_>| NodeAddress {
            r#type: entry.r#type.map(own),
            address: entry.address.map(own).map(Spanned::nowhere),
        };
        let addresses = |list: Vec<RawAddress<'_>>| each(list, address);
        let status = status.map(|status| NodeStatus { addresses: status.addresses.map(addresses) });
        Some((metadata, Body::Node(Box::new(NodeBody { spec, status }))))
    }

    fn workload(&mut self, raw: &str, model: Model) -> Option<(ObjectMeta, Body)> {
        let (metadata, spec, status) = self.parts::<RawControllerSpec<'_>, RawControllerStatus<'_>>(raw)?;
        let spec = spec.unwrap_or_default();
        let (template, at) = match model {
            Model::CronJob => {
                let job = spec.job_template.and_then(|job| job.spec);
                (job.and_then(|spec| spec.template), "spec.jobTemplate.spec.template")
            }
            _ => (spec.template, "spec.template"),
        };
        if let Some(meta) = template.as_ref().and_then(|template| template.metadata.as_ref()) {
            self.marks(meta, &format!("{at}."));
        }
        let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
        let is = |text: &Option<Str<'_>>, wanted: &str| text.as_ref().is_some_and(|text| text.0 == wanted);
        let ended = |condition: &RawCondition<'_>| {
            (is(&condition.r#type, "Complete") || is(&condition.r#type, "Failed")) && is(&condition.status, "True")
        };
        let body = WorkloadBody {
            replicas: spec.replicas,
            template: template.map(|template| self.strings.template(template)).unwrap_or_default(),
            finished: model == Model::Job && conditions.iter().any(ended),
        };
        Some((metadata, Body::Workload(Box::new(body))))
    }

    /// The same findings as [`unread`](super::unread::unread), without places.
    fn marks(&mut self, meta: &Meta<'_>, at: &str) {
        let annotations = meta.annotations.iter().flat_map(|marks| &marks.0).map(String::as_str);
        let labels = meta.labels.iter().flat_map(|pairs| &pairs.0).map(|(key, _)| key.0.as_ref());
        let labels = labels.filter(|key| mark(key).is_some()).map(|key| ("labels", key));
        for (place, key) in annotations.map(|key| ("annotations", key)).chain(labels) {
            self.unread.push(UnreadField { path: format!("{at}metadata.{place}[\"{key}\"]"), span: None });
        }
    }
}
