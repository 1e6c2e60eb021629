//! Services: defaults (SVC-2, SVC-6, SVC-8, SVC-19, SVC-23, SVC-26) and validation (SVC-15, SVC-18, SVC-27).

use std::net::IpAddr;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, NamespaceId, ServiceId};
use crate::lower::LowerOptions;
use crate::lower::addresses::{parse_cidr, parse_ip};
use crate::lower::context::Context;
use crate::lower::input::{Input, Key};
use crate::lower::selectors::selector;
use crate::lower::service_ports::{self, PortRules};
use crate::model::{
    Exposure, Family, IpMode, LoadBalancer, LoadBalancerAddress, LoadBalancerIngress, Name, NodePort, Protocol,
    Selector, Service, ServiceDial, ServiceKind, TrafficPolicy,
};
use crate::snapshot::{LabelSelector, LoadBalancerPoint, Object, ServiceBody, ServiceSpec};
use crate::source::{Span, Spanned};

/// The annotation that held the source ranges before there was a field (SVC-22).
const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// The annotation that asked for zones before `trafficDistribution` (KP-2).
const TOPOLOGY: &str = "service.kubernetes.io/topology-mode";

/// The Services that hold, and whether one was refused.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) services: IdVec<ServiceId, Service>,
    pub(super) ids: FxHashMap<Key, ServiceId>,
    pub(super) refused: bool,
}

/// Lowers all Services. One with any error is refused as a whole, as the API server would (SVC-27), unless the
/// options say to keep it.
pub(super) fn lower(
    input: &Input<'_>,
    ids: &FxHashMap<Name, NamespaceId>,
    families: &[Family],
    options: &LowerOptions,
    context: &mut Context,
) -> Services {
    let mut lowered = Services::default();
    let mut node_ports: FxHashMap<(Protocol, u16), (Name, Option<Span>)> = FxHashMap::default();
    for (key, (object, body)) in &input.services {
        let Some(namespace) = ids.get(&key.0) else { continue };
        let errors = context.errors();
        let draft = Draft { object, body, families, options };
        let service = draft.service(*namespace, &key.1, context);
        if context.errors() == errors {
            claim_node_ports(key, &service, &mut node_ports, context);
        }
        if context.errors() == errors || options.keep_refused {
            let id = lowered.services.push(service);
            lowered.ids.insert(key.clone(), id);
        } else {
            lowered.refused = true;
        }
    }
    lowered
}

/// SVC-18: a node port belongs to one Service.
fn claim_node_ports(
    key: &Key,
    service: &Service,
    taken: &mut FxHashMap<(Protocol, u16), (Name, Option<Span>)>,
    context: &mut Context,
) {
    let mut free = Vec::new();
    for port in &service.ports {
        let NodePort::Number(number) = port.node_port else { continue };
        match taken.get(&(port.protocol, number)) {
            Some((owner, elsewhere)) => {
                let message = format!("node port {number}/{} is taken by the Service `{owner}`", port.protocol);
                let diagnostic = Diagnostic::error("SVC-18", port.span.or(service.span), message);
                context.report(diagnostic.also(*elsewhere, "there").help("choose another one, or leave it out"));
            }
            None => free.push((port.protocol, number, port.span)),
        }
    }
    let name = Name::from(format!("{}/{}", key.0, key.1));
    for (protocol, number, span) in free {
        taken.insert((protocol, number), (name.clone(), span.or(service.span)));
    }
}

/// The four types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// One Service while it is lowered.
struct Draft<'a> {
    object: &'a Object,
    body: &'a ServiceBody,
    families: &'a [Family],
    options: &'a LowerOptions,
}

fn refuse(place: Option<Span>, message: impl Into<String>, help: &str, context: &mut Context) {
    context.report(Diagnostic::error("SVC-27", place, message).help(help));
}

/// A field that has a value: the API has `""` for none.
fn filled(written: Option<&Spanned<Name>>) -> Option<&Spanned<Name>> {
    written.filter(|text| !text.value.is_empty())
}

impl Draft<'_> {
    fn place(&self, span: Option<Span>) -> Option<Span> {
        span.or(self.object.span)
    }

    fn service(&self, namespace: NamespaceId, name: &Name, context: &mut Context) -> Service {
        let empty = ServiceSpec::default();
        let spec = self.body.spec.as_ref().unwrap_or(&empty);
        let kind = self.kind_of(spec, context);
        let addresses = self.cluster_ips(spec, kind, context);
        let is_headless = addresses.is_none() && kind != Type::ExternalName;
        let addresses = addresses.unwrap_or_default();
        let families = self.families(spec, &addresses, context);
        let external_ips = self.external_ips(spec, context);
        let external_policy = self.external_policy(spec, kind, &external_ips, context);
        let balancer = self.load_balancer(spec, kind, external_policy, context);
        let allocates = spec.allocate_load_balancer_node_ports.is_none_or(|allocates| allocates.value);
        let rules = PortRules {
            kind,
            is_headless,
            allocates_node_ports: kind == Type::NodePort || (kind == Type::LoadBalancer && allocates),
            range: self.options.nodeport_range,
            place: self.object.span,
        };
        let ports = service_ports::lower(spec.ports.as_deref().unwrap_or_default(), &rules, context);
        let kind = match kind {
            Type::ExternalName => ServiceKind::ExternalName(self.external_name(spec, context)),
            _ if is_headless => ServiceKind::Headless,
            Type::ClusterIp => ServiceKind::Cluster { addresses, exposure: Exposure::None },
            Type::NodePort => ServiceKind::Cluster { addresses, exposure: Exposure::NodePort },
            Type::LoadBalancer => ServiceKind::Cluster { addresses, exposure: Exposure::LoadBalancer(balancer) },
        };
        Service {
            namespace,
            name: name.clone(),
            labels: context.labels(self.object.metadata.labels.as_ref()),
            kind,
            selector: self.selector(spec, context),
            ports,
            families,
            external_ips,
            internal_policy: self.traffic_policy("internalTrafficPolicy", &spec.internal_traffic_policy, context),
            external_policy,
            distribution: self.distribution(spec, context),
            dialled: self.dialled(),
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
            span: self.object.span,
        }
    }

    fn kind_of(&self, spec: &ServiceSpec, context: &mut Context) -> Type {
        let Some(written) = filled(spec.r#type.as_ref()) else { return Type::ClusterIp };
        match &*written.value {
            "ClusterIP" => Type::ClusterIp,
            "NodePort" => Type::NodePort,
            "LoadBalancer" => Type::LoadBalancer,
            "ExternalName" => Type::ExternalName,
            other => {
                let help = "the types are ClusterIP, NodePort, LoadBalancer and ExternalName";
                refuse(self.place(written.span), format!("`{other}` is not a type of Service"), help, context);
                Type::ClusterIp
            }
        }
    }

    /// SVC-6
    fn selector(&self, spec: &ServiceSpec, context: &mut Context) -> Option<Selector> {
        let labels = spec.selector.clone().filter(|labels| !labels.is_empty())?;
        let written = LabelSelector { match_labels: Some(labels), match_expressions: None };
        Some(selector(&written, self.object.span, context))
    }

    /// The addresses that are written, at most one a family; `None` for `clusterIP: None`.
    fn cluster_ips(&self, spec: &ServiceSpec, kind: Type, context: &mut Context) -> Option<Vec<IpAddr>> {
        let first = filled(spec.cluster_ip.as_ref());
        let list: Vec<_> = spec.cluster_ips.iter().flatten().filter(|text| !text.value.is_empty()).collect();
        if let (Some(first), Some(head)) = (first, list.first())
            && first.value != head.value
        {
            let help = "write the same address, or one of the two fields";
            let message = format!("`clusterIP` is {} and the first of `clusterIPs` {}", first.value, head.value);
            refuse(self.place(head.span), message, help, context);
        }
        let written: Vec<_> = if list.is_empty() { first.into_iter().collect() } else { list };
        let Some(head) = written.first() else { return Some(Vec::new()) };
        if kind == Type::ExternalName {
            let message = "a Service of type ExternalName has no `clusterIP`";
            refuse(self.place(head.span), message, "remove the address, or choose another type", context);
            return Some(Vec::new());
        }
        if &*head.value == "None" {
            if written.len() > 1 {
                refuse(self.place(head.span), "`None` stands alone in `clusterIPs`", "remove the others", context);
            }
            if kind != Type::ClusterIp {
                // SVC-15
                let help = "remove `clusterIP: None`, or write `type: ClusterIP`";
                refuse(self.place(head.span), "node ports and load balancers need a cluster IP", help, context);
            }
            return None;
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for text in written {
            let Some(ip) = self.ip(text, context) else { continue };
            if addresses.iter().any(|known| Family::of(*known) == Family::of(ip)) {
                let help = "a Service has at most one address of each family";
                refuse(self.place(text.span), format!("`{ip}` is a second {} address", Family::of(ip)), help, context);
                continue;
            }
            addresses.push(ip);
        }
        Some(addresses)
    }

    fn ip(&self, text: &Spanned<Name>, context: &mut Context) -> Option<IpAddr> {
        let ip = parse_ip(text, context);
        if ip.is_none() {
            let message = format!("`{}` is not an IP address", text.value);
            refuse(self.place(text.span), message, "write it as `10.0.0.1` or `fd00::1`", context);
        }
        ip
    }

    /// SVC-26: as written, else those of the addresses, else those that the cluster seems to have.
    fn families(&self, spec: &ServiceSpec, addresses: &[IpAddr], context: &mut Context) -> Vec<Family> {
        let mut families = Vec::new();
        for text in spec.ip_families.iter().flatten() {
            let family = match &*text.value {
                "IPv4" => Family::V4,
                "IPv6" => Family::V6,
                other => {
                    let message = format!("`{other}` is not a family");
                    refuse(self.place(text.span), message, "the families are IPv4 and IPv6", context);
                    continue;
                }
            };
            if families.contains(&family) {
                refuse(self.place(text.span), format!("{family} is there twice"), "remove one of them", context);
                continue;
            }
            families.push(family);
        }
        for (index, ip) in addresses.iter().enumerate() {
            if let Some(family) = families.get(index).filter(|family| **family != Family::of(*ip)) {
                let message = format!("`{ip}` stands in the place of the {family} address");
                refuse(self.object.span, message, "put `ipFamilies` and `clusterIPs` in one order", context);
            }
        }
        families.extend(addresses.iter().map(|ip| Family::of(*ip)));
        if families.is_empty() {
            families.push(self.families.first().copied().unwrap_or(Family::V4));
        }
        let other = families.first().map(|first| if *first == Family::V4 { Family::V6 } else { Family::V4 });
        match filled(spec.ip_family_policy.as_ref()).map(|text| (&*text.value, text.span)) {
            None | Some(("SingleStack", _)) => {}
            Some(("RequireDualStack", _)) => families.extend(other),
            Some(("PreferDualStack", _)) => families.extend(other.filter(|other| self.families.contains(other))),
            Some((policy, span)) => {
                let help = "the policies are SingleStack, PreferDualStack and RequireDualStack";
                refuse(self.place(span), format!("`{policy}` is not an `ipFamilyPolicy`"), help, context);
            }
        }
        let mut distinct = Vec::new();
        for family in families {
            if !distinct.contains(&family) {
                distinct.push(family);
            }
        }
        distinct
    }

    /// SVC-17
    fn external_ips(&self, spec: &ServiceSpec, context: &mut Context) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for text in spec.external_ips.iter().flatten() {
            let Some(ip) = self.ip(text, context) else { continue };
            if let Some(what) = special(ip) {
                let help = "write an address that the network leads to the nodes";
                refuse(self.place(text.span), format!("the external IP `{ip}` is {what}"), help, context);
            } else if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        addresses
    }

    fn traffic_policy(&self, field: &str, written: &Option<Spanned<Name>>, context: &mut Context) -> TrafficPolicy {
        let Some(text) = filled(written.as_ref()) else { return TrafficPolicy::Cluster };
        match &*text.value {
            "Cluster" => TrafficPolicy::Cluster,
            "Local" => TrafficPolicy::Local,
            other => {
                let message = format!("`{other}` is not an `{field}`");
                refuse(self.place(text.span), message, "the policies are Cluster and Local", context);
                TrafficPolicy::Cluster
            }
        }
    }

    fn external_policy(
        &self,
        spec: &ServiceSpec,
        kind: Type,
        external_ips: &[IpAddr],
        context: &mut Context,
    ) -> TrafficPolicy {
        let policy = self.traffic_policy("externalTrafficPolicy", &spec.external_traffic_policy, context);
        let is_open = match kind {
            Type::NodePort | Type::LoadBalancer => true,
            Type::ClusterIp => !external_ips.is_empty(),
            Type::ExternalName => false,
        };
        if let Some(written) = filled(spec.external_traffic_policy.as_ref()).filter(|_| !is_open) {
            let message = "`externalTrafficPolicy` on a Service that nothing outside reaches";
            let help = "it is for node ports, load balancers and external IPs: remove it";
            refuse(self.place(written.span), message, help, context);
        }
        policy
    }

    /// SVC-21 … SVC-24
    fn load_balancer(
        &self,
        spec: &ServiceSpec,
        kind: Type,
        policy: TrafficPolicy,
        context: &mut Context,
    ) -> LoadBalancer {
        let mut misplaced = |field: &str, place: Option<Span>| {
            if kind != Type::LoadBalancer {
                let message = format!("`{field}` on a Service that is no load balancer");
                refuse(self.place(place), message, "write `type: LoadBalancer`, or remove it", context);
            }
        };
        let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
        let annotations = self.body.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        let annotated = annotations.and_then(|annotations| annotations.get(RANGES)).filter(|_| ranges.is_empty());
        if let Some(first) = ranges.first() {
            misplaced("loadBalancerSourceRanges", first.span);
        }
        if let Some(annotated) = annotated {
            misplaced(RANGES, annotated.span);
        }
        if let Some(class) = filled(spec.load_balancer_class.as_ref()) {
            misplaced("loadBalancerClass", class.span);
        }
        if let Some(allocate) = &spec.allocate_load_balancer_node_ports {
            misplaced("allocateLoadBalancerNodePorts", allocate.span);
        }
        let check = spec.health_check_node_port.filter(|port| port.value != 0);
        let health_check_node_port = check.and_then(|port| {
            if kind != Type::LoadBalancer || policy != TrafficPolicy::Local {
                let message = "`healthCheckNodePort` needs a load balancer and `externalTrafficPolicy: Local`";
                refuse(self.place(port.span), message, "remove it", context);
            }
            crate::lower::ports::port_number("SVC-27", port.value, port.span, context)
        });
        let annotated_ranges = annotated.map(|annotated| {
            let parts = annotated.value.split(',').filter(|part| !part.trim().is_empty());
            parts.filter_map(|part| self.range(part, annotated.span, context)).collect()
        });
        let points = self.body.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let points = points.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
        if let Some(first) = points.first().filter(|_| kind != Type::LoadBalancer) {
            let message = "`status.loadBalancer` of a Service that is no load balancer has no effect";
            context
                .report(Diagnostic::warning("SVC-21", self.place(first.span), message).help("read the Service again"));
        }
        let metadata = &self.object.metadata;
        let by_server = metadata.uid.is_some() && metadata.resource_version.is_some();
        LoadBalancer {
            is_pending: by_server && points.is_empty(),
            ingress: points.iter().filter_map(|point| self.point(point, context)).collect(),
            source_ranges: ranges.iter().filter_map(|text| self.range(&text.value, text.span, context)).collect(),
            annotated_ranges: annotated_ranges.unwrap_or_default(),
            class: filled(spec.load_balancer_class.as_ref()).map(|class| context.name(&class.value)),
            health_check_node_port,
        }
    }

    /// SVC-22: the API server allows for spaces.
    fn range(&self, text: &str, place: Option<Span>, context: &mut Context) -> Option<IpNet> {
        let range = parse_cidr(text.trim());
        if range.is_none() {
            let message = format!("the source range `{text}` is not a CIDR");
            refuse(self.place(place), message, "write it as `203.0.113.0/24`", context);
        }
        range.map(|(range, _)| range)
    }

    /// SVC-21, SVC-23
    fn point(&self, written: &Spanned<LoadBalancerPoint>, context: &mut Context) -> Option<LoadBalancerIngress> {
        let point = &written.value;
        let ip = filled(point.ip.as_ref());
        let at = match (ip, filled(point.hostname.as_ref())) {
            (Some(ip), _) => LoadBalancerAddress::Ip(self.ip(ip, context)?),
            (None, Some(name)) => LoadBalancerAddress::Hostname(context.name(&name.value)),
            (None, None) => return None,
        };
        let mode = match filled(point.ip_mode.as_ref()).map(|mode| (&*mode.value, mode.span)) {
            None if ip.is_some() => IpMode::Vip,
            None => IpMode::Proxy,
            Some(("VIP", _)) if ip.is_some() => IpMode::Vip,
            Some(("Proxy", _)) if ip.is_some() => IpMode::Proxy,
            Some((mode, span)) => {
                let help = "beside an `ip` it is VIP or Proxy, beside a `hostname` it is left out";
                refuse(self.place(span), format!("`{mode}` is not an `ipMode` here"), help, context);
                IpMode::Proxy
            }
        };
        let failed = point.ports.iter().flatten().filter(|port| port.error.is_some()).filter_map(|port| {
            let protocol = port.protocol.as_ref().map_or(Some(Protocol::Tcp), |text| Protocol::parse(&text.value))?;
            Some((protocol, u16::try_from(port.port.as_ref()?.value).ok()?))
        });
        Some(LoadBalancerIngress { at, mode, failed: failed.collect() })
    }

    /// SVC-16
    fn external_name(&self, spec: &ServiceSpec, context: &mut Context) -> Name {
        let Some(written) = filled(spec.external_name.as_ref()) else {
            refuse(self.object.span, "a Service of type ExternalName without a name", "write `externalName`", context);
            return Name::from("");
        };
        let name = written.value.strip_suffix('.').unwrap_or(&written.value);
        let is_label = |label: &str| {
            let inner = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            let help = "a DNS name has lower-case letters, digits and `-`, with dots between";
            refuse(self.place(written.span), format!("`{}` is not a DNS name", written.value), help, context);
        } else if name.parse::<IpAddr>().is_ok() {
            let message = format!("`{name}` is taken as a DNS name, not as an address");
            let help = "for an address write a Service without selector, and its Endpoints";
            context.report(Diagnostic::warning("SVC-16", self.place(written.span), message).help(help));
        }
        context.name(&Name::from(name.to_ascii_lowercase()))
    }

    /// ING-14, ING-20
    fn dialled(&self) -> ServiceDial {
        let annotations = self.body.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        let text = |key: &str| annotations.and_then(|annotations| annotations.get(key)).map(|text| &*text.value);
        let switch = |key: &str| text(key).and_then(|text| text.trim().to_ascii_lowercase().parse::<bool>().ok());
        let group = text("cloud.google.com/neg").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        ServiceDial {
            upstream: switch("ingress.kubernetes.io/service-upstream") == Some(true),
            native_lb: switch("traefik.ingress.kubernetes.io/service.nativelb"),
            node_port_lb: switch("traefik.ingress.kubernetes.io/service.nodeportlb") == Some(true),
            endpoint_groups: group.is_some_and(|group| group.get("ingress") == Some(&serde_json::Value::Bool(true))),
        }
    }

    /// KP-2
    fn distribution(&self, spec: &ServiceSpec, context: &mut Context) -> Option<Name> {
        if let Some(written) = filled(spec.traffic_distribution.as_ref()) {
            if !matches!(&*written.value, "PreferClose" | "PreferSameZone" | "PreferSameNode") {
                let help = "the values are PreferSameZone, PreferSameNode and PreferClose";
                let message = format!("`{}` is not a `trafficDistribution`", written.value);
                refuse(self.place(written.span), message, help, context);
            }
            return Some(context.name(&written.value));
        }
        let annotations = self.body.metadata.as_ref()?.annotations.as_ref()?;
        annotations.get(TOPOLOGY).map(|mode| context.name(&mode.value))
    }
}

/// Why an address cannot stand behind or before a Service (SVC-11, SVC-27).
pub(super) fn special(ip: IpAddr) -> Option<&'static str> {
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), matches!(ip.octets(), [224, 0, 0, _])),
        IpAddr::V6(ip) => {
            let first = ip.segments().first().copied().unwrap_or_default();
            (first & 0xffc0 == 0xfe80, first & 0xff0f == 0xff02)
        }
    };
    if ip.is_unspecified() {
        Some("the unspecified address")
    } else if ip.is_loopback() {
        Some("a loopback address")
    } else if link_local {
        Some("a link-local address")
    } else if link_local_multicast {
        Some("a link-local multicast address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
