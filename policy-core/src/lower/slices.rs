//! Endpoints that the input gives: EndpointSlices (SVC-9, SVC-12), and the slices that mirror Endpoints (SVC-10).

use std::collections::BTreeMap;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::diagnostic::Diagnostic;
use crate::ids::{IdVec, NamespaceId, NodeId, PodId, ServiceId};
use crate::lower::LowerOptions;
use crate::lower::addresses::parse_ip;
use crate::lower::context::Context;
use crate::lower::input::{Input, Key};
use crate::lower::nodes::{Nodes, slice_node};
use crate::lower::ports::{port_number, protocol};
use crate::lower::services::{Services, special};
use crate::model::{Conditions, Family, Name, Pod, Service, Slice, SliceEndpoint, SlicePort};
use crate::snapshot::{EndpointAddress, EndpointPort, EndpointSliceBody, EndpointSubset, Object, TargetReference};
use crate::source::{Span, Spanned};

/// The label that says whose endpoints a slice has.
const SERVICE: &str = "kubernetes.io/service-name";
/// The label that says who wrote it, and the two controllers that do.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const FROM_PODS: &str = "endpointslice-controller.k8s.io";
const FROM_ENDPOINTS: &str = "endpointslicemirroring-controller.k8s.io";
/// What keeps Endpoints from being mirrored.
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// The slices that hold, and whether an object was refused.
#[derive(Debug, Default)]
pub(super) struct Slices {
    pub(super) slices: Vec<Slice>,
    pub(super) refused: bool,
}

/// What endpoints refer to.
pub(super) struct Known<'a> {
    pub(super) services: &'a Services,
    pub(super) nodes: &'a Nodes,
    pub(super) pods: &'a IdVec<PodId, Pod>,
    pub(super) namespaces: &'a FxHashMap<Name, NamespaceId>,
}

/// Lowers slices and Endpoints. An object with any error is refused as a whole, as the API server would (SVC-27),
/// unless the options say to keep it.
pub(super) fn lower(input: &Input<'_>, known: &Known<'_>, options: &LowerOptions, context: &mut Context) -> Slices {
    let mut lowered = Slices::default();
    if input.slices.is_empty() && input.endpoints.is_empty() {
        return lowered;
    }
    let reader = Reader { known, pods: pods_by_name(known) };
    let mut mirrored: FxHashSet<ServiceId> = FxHashSet::default();
    for ((namespace, name), (object, body)) in &input.slices {
        let label = |key: &str| object.metadata.labels.as_ref().and_then(|labels| labels.get(key));
        let owner = label(SERVICE).map(|service| (namespace.clone(), service.clone()));
        let Some(service) = owner.as_ref().and_then(|key| known.services.ids.get(key)) else {
            // A Service that was refused has been reported.
            if owner.is_none_or(|key| !input.services.contains_key(&key)) {
                let message = format!("the EndpointSlice `{namespace}/{name}` belongs to no Service of the input");
                let help = format!("its label `{SERVICE}` names the Service; without one nothing leads to it");
                context.report(Diagnostic::warning("SVC-10", object.span, message).help(help));
            }
            continue;
        };
        let author = label(MANAGED_BY).map(|author| &**author);
        if author == Some(FROM_ENDPOINTS) {
            mirrored.insert(*service);
        }
        let errors = context.errors();
        let slice = reader.slice((*service, name), (object, body), author == Some(FROM_PODS), context);
        if context.errors() == errors || options.keep_refused {
            lowered.slices.extend(slice);
        } else {
            lowered.refused = true;
        }
    }
    for (key, (object, body)) in &input.endpoints {
        let errors = context.errors();
        let mirrors = reader.mirrors(key, object, body.subsets.as_deref().unwrap_or_default(), context);
        if context.errors() != errors && !options.keep_refused {
            lowered.refused = true;
            continue;
        }
        let annotations = body.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        let leads = annotations.is_some_and(|annotations| annotations.contains_key(LEADER));
        let skips = object.metadata.labels.as_ref().and_then(|labels| labels.get(SKIP_MIRROR));
        let service = known.services.ids.get(key).copied();
        let is_mirrored = service.is_some_and(|id| {
            let selects = known.services.services.get(id).is_some_and(|service| service.selector.is_some());
            !selects && !mirrored.contains(&id)
        });
        if is_mirrored && !leads && skips.is_none_or(|skips| &**skips != "true") {
            lowered.slices.extend(mirrors);
        }
    }
    lowered.slices.sort_by(|a, b| (a.service, &a.name, a.family).cmp(&(b.service, &b.name, b.family)));
    warn_of_unknown_ports(&lowered.slices, &known.services.services, context);
    lowered
}

fn pods_by_name(known: &Known<'_>) -> FxHashMap<(NamespaceId, Name), PodId> {
    known.pods.iter().map(|(id, pod)| ((pod.namespace, pod.name.clone()), id)).collect()
}

/// SVC-10: a port that the Service does not have leads nowhere.
fn warn_of_unknown_ports(slices: &[Slice], services: &IdVec<ServiceId, Service>, context: &mut Context) {
    for slice in slices {
        let Some(service) = services.get(slice.service).filter(|service| service.is_proxied()) else { continue };
        for port in &slice.ports {
            let known = service.ports.iter().any(|of| of.name == port.name && of.protocol == port.protocol);
            if !known {
                let called =
                    if port.name.is_empty() { "without a name".to_owned() } else { format!("`{}`", port.name) };
                let message = format!("the Service `{}` has no {} port {called}", service.name, port.protocol);
                let help = "endpoints belong to the Service port of the same name: give both one name";
                context.report(Diagnostic::warning("SVC-10", slice.span, message).help(help));
            }
        }
    }
}

struct Reader<'a> {
    known: &'a Known<'a>,
    pods: FxHashMap<(NamespaceId, Name), PodId>,
}

impl Reader<'_> {
    fn slice(
        &self,
        (service, name): (ServiceId, &Name),
        (object, body): (&Object, &EndpointSliceBody),
        is_computed: bool,
        context: &mut Context,
    ) -> Option<Slice> {
        let family = match body.address_type.as_ref().map(|kind| (&*kind.value, kind.span.or(object.span))) {
            Some(("IPv4", _)) => Family::V4,
            Some(("IPv6", _)) => Family::V6,
            Some(("FQDN", span)) => {
                let message = "nothing leads to the endpoints of an EndpointSlice with names instead of addresses";
                context.report(Diagnostic::warning("SVC-12", span, message).help("write their addresses"));
                return None;
            }
            Some((other, span)) => {
                let diagnostic = Diagnostic::error("SVC-12", span, format!("`{other}` is not an `addressType`"));
                context.report(diagnostic.help("the types are IPv4 and IPv6"));
                return None;
            }
            None => {
                let diagnostic = Diagnostic::error("SVC-12", object.span, "an EndpointSlice without `addressType`");
                context.report(diagnostic.help("write `addressType: IPv4` or `addressType: IPv6`"));
                return None;
            }
        };
        let mut endpoints = Vec::new();
        for endpoint in body.endpoints.iter().flatten() {
            let written = &endpoint.value;
            let mut addresses = written.addresses.iter().flatten();
            let Some(first) = addresses.next() else {
                let place = endpoint.span.or(object.span);
                let diagnostic = Diagnostic::error("SVC-27", place, "an endpoint without an address");
                context.report(diagnostic.help("write one in `addresses`"));
                continue;
            };
            // SVC-12: the others are checked, and count for nothing.
            for other in addresses {
                self.address(other, Some(family), object.span, context);
            }
            let Some(address) = self.address(first, Some(family), object.span, context) else { continue };
            let conditions = written.conditions.unwrap_or_default();
            let hints = written.hints.as_ref();
            let mut names = |list: Option<&Vec<crate::snapshot::Hint>>| -> Vec<Name> {
                let named = list.into_iter().flatten().filter_map(|hint| hint.name.as_ref());
                named.map(|name| context.name(name)).collect()
            };
            let zone_hints = names(hints.and_then(|hints| hints.for_zones.as_ref()));
            let node_hints = names(hints.and_then(|hints| hints.for_nodes.as_ref()));
            endpoints.push(SliceEndpoint {
                address,
                conditions: Conditions {
                    ready: conditions.ready.unwrap_or(true),
                    serving: conditions.serving.unwrap_or(true),
                    terminating: conditions.terminating.unwrap_or(false),
                },
                node: self.node(slice_node(written)),
                target: self.target(written.target_ref.as_ref(), object),
                hostname: written.hostname.as_ref().filter(|name| !name.is_empty()).map(|name| context.name(name)),
                zone_hints,
                node_hints,
                span: endpoint.span.or(object.span),
            });
        }
        let ports = ports(body.ports.as_deref().unwrap_or_default(), object.span, context);
        Some(Slice { service, name: name.clone(), is_computed, family, ports, endpoints, span: object.span })
    }

    /// The slices that mirror an Endpoints object: one for each subset and family (SVC-10).
    fn mirrors(
        &self,
        key: &Key,
        object: &Object,
        subsets: &[Spanned<EndpointSubset>],
        context: &mut Context,
    ) -> Vec<Slice> {
        let service = self.known.services.ids.get(key).copied();
        let mut slices = Vec::new();
        for subset in subsets {
            let place = subset.span.or(object.span);
            let ports = ports(subset.value.ports.as_deref().unwrap_or_default(), place, context);
            let ready = subset.value.addresses.iter().flatten().map(|address| (address, true));
            let not_ready = subset.value.not_ready_addresses.iter().flatten().map(|address| (address, false));
            let mut endpoints: BTreeMap<Family, Vec<SliceEndpoint>> = BTreeMap::new();
            for (address, ready) in ready.chain(not_ready) {
                let Some(endpoint) = self.mirror(address, ready, object, context) else { continue };
                endpoints.entry(Family::of(endpoint.address)).or_default().push(endpoint);
            }
            let Some(service) = service else { continue };
            slices.extend(endpoints.into_iter().map(|(family, endpoints)| Slice {
                service,
                name: key.1.clone(),
                is_computed: false,
                family,
                ports: ports.clone(),
                endpoints,
                span: place,
            }));
        }
        slices
    }

    fn mirror(
        &self,
        written: &Spanned<EndpointAddress>,
        ready: bool,
        object: &Object,
        context: &mut Context,
    ) -> Option<SliceEndpoint> {
        let place = written.span.or(object.span);
        let Some(text) = &written.value.ip else {
            context.report(Diagnostic::error("SVC-27", place, "an endpoint without `ip`").help("write its address"));
            return None;
        };
        let address = self.address(text, None, place, context)?;
        Some(SliceEndpoint {
            address,
            conditions: Conditions { ready, ..Conditions::READY },
            node: self.node(written.value.node_name.as_ref()),
            target: self.target(written.value.target_ref.as_ref(), object),
            hostname: written.value.hostname.as_ref().filter(|name| !name.is_empty()).map(|name| context.name(name)),
            zone_hints: Vec::new(),
            node_hints: Vec::new(),
            span: place,
        })
    }

    /// SVC-11: any address but those that mean something on each host.
    fn address(
        &self,
        text: &Spanned<Name>,
        family: Option<Family>,
        place: Option<Span>,
        context: &mut Context,
    ) -> Option<IpAddr> {
        let place = text.span.or(place);
        let Some(ip) = parse_ip(text, context) else {
            let diagnostic = Diagnostic::error("SVC-27", place, format!("`{}` is not an IP address", text.value));
            context.report(diagnostic.help("write it as `10.0.0.1` or `fd00::1`"));
            return None;
        };
        if let Some(family) = family.filter(|family| *family != Family::of(ip)) {
            let diagnostic = Diagnostic::error("SVC-12", place, format!("`{ip}` is not an {family} address"));
            context.report(diagnostic.help("a slice has addresses of one family: write two slices"));
            return None;
        }
        if let Some(what) = special(ip) {
            let diagnostic = Diagnostic::error("SVC-11", place, format!("the endpoint `{ip}` is {what}"));
            context.report(diagnostic.help("write an address that other hosts reach"));
            return None;
        }
        Some(ip)
    }

    fn node(&self, name: Option<&Name>) -> Option<NodeId> {
        self.known.nodes.ids.get(name?).copied()
    }

    fn target(&self, reference: Option<&TargetReference>, object: &Object) -> Option<PodId> {
        let reference = reference.filter(|reference| reference.kind.as_deref() == Some("Pod"))?;
        let space = reference.namespace.as_ref().or(object.metadata.namespace.as_ref())?;
        let space = self.known.namespaces.get(space)?;
        self.pods.get(&(*space, reference.name.clone()?)).copied()
    }
}

/// SVC-10: a port without a number yields no endpoint.
fn ports(written: &[Spanned<EndpointPort>], place: Option<Span>, context: &mut Context) -> Vec<SlicePort> {
    let mut ports: Vec<SlicePort> = Vec::new();
    for port in written {
        let place = port.span.or(place);
        let Some(number) = &port.value.port else { continue };
        let number = port_number("SVC-27", number.value, number.span.or(place), context);
        let protocol = protocol("SVC-27", port.value.protocol.as_ref(), context);
        let name = port.value.name.as_ref().map_or_else(|| Name::from(""), |name| context.name(&name.value));
        if ports.iter().any(|known| known.name == name) {
            let called =
                if name.is_empty() { "two ports without a name".to_owned() } else { format!("two ports `{name}`") };
            let diagnostic = Diagnostic::error("SVC-27", place, called);
            context.report(diagnostic.help("with more than one port, each needs a name of its own"));
            continue;
        }
        if let (Some(port), Some(protocol)) = (number, protocol) {
            ports.push(SlicePort { name, protocol, port });
        }
    }
    ports
}
