//! The ports of a Service (SVC-2, SVC-3, SVC-8, SVC-18, SVC-19, SVC-27).

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::lower::ports::{bad_port_name, port_number, protocol};
use crate::lower::services::Type;
use crate::model::{Name, NodePort, Protocol, ServicePort, TargetPort};
use crate::snapshot::{self, IntOrString};
use crate::source::{Span, Spanned};

/// The port of the kubelet, which no load balancer may have.
const KUBELET: u16 = 10250;

/// What the rest of a Service says about its ports.
pub(super) struct PortRules {
    /// The type.
    pub(super) kind: Type,
    /// `clusterIP: None`.
    pub(super) is_headless: bool,
    /// Whether a port without `nodePort` gets one (SVC-19).
    pub(super) allocates_node_ports: bool,
    /// The range of node ports.
    pub(super) range: (u16, u16),
    /// The Service.
    pub(super) place: Option<Span>,
}

/// Lowers the ports of one Service.
pub(super) fn lower(
    written: &[Spanned<snapshot::ServicePort>],
    rules: &PortRules,
    context: &mut Context,
) -> Vec<ServicePort> {
    if written.is_empty() && !rules.is_headless && rules.kind != Type::ExternalName {
        let diagnostic = Diagnostic::error("SVC-27", rules.place, "a Service without `ports`");
        context.report(diagnostic.help("write its ports, or `clusterIP: None`"));
    }
    let mut ports = Vec::new();
    let mut names: BTreeMap<Name, Option<Span>> = BTreeMap::new();
    let mut numbers: BTreeMap<(Protocol, u16), Option<Span>> = BTreeMap::new();
    let mut node_ports: BTreeMap<(Protocol, u16), Option<Span>> = BTreeMap::new();
    for port in written {
        name(port, written.len(), rules, &mut names, context);
        let Some(port) = service_port(port, rules, context) else { continue };
        let twice = |what: &str, number: u16, first: Option<Span>, context: &mut Context| {
            let message = format!("{what} {number}/{} is there twice", port.protocol);
            let diagnostic = Diagnostic::error("SVC-27", port.span, message).also(first, "the first one");
            context.report(diagnostic.help("one port and protocol leads to one place: remove one of them"));
        };
        match numbers.get(&(port.protocol, port.port)) {
            Some(first) => twice("port", port.port, *first, context),
            None => drop(numbers.insert((port.protocol, port.port), port.span)),
        }
        if let NodePort::Number(number) = port.node_port {
            match node_ports.get(&(port.protocol, number)) {
                Some(first) => twice("node port", number, *first, context),
                None => drop(node_ports.insert((port.protocol, number), port.span)),
            }
        }
        ports.push(port);
    }
    ports
}

/// SVC-2: names are needed as soon as there are two ports.
fn name(
    port: &Spanned<snapshot::ServicePort>,
    ports: usize,
    rules: &PortRules,
    names: &mut BTreeMap<Name, Option<Span>>,
    context: &mut Context,
) {
    let Some(written) = port.value.name.as_ref().filter(|name| !name.value.is_empty()) else {
        if ports > 1 {
            let diagnostic =
                Diagnostic::error("SVC-27", port.span.or(rules.place), "a port without `name` beside others");
            context.report(diagnostic.help("with more than one port, each needs a name of its own"));
        }
        return;
    };
    let place = written.span.or(port.span).or(rules.place);
    let is_label = written.value.len() <= 63
        && written.value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !written.value.starts_with('-')
        && !written.value.ends_with('-');
    if !is_label {
        let diagnostic = Diagnostic::error("SVC-27", place, format!("`{}` is not a port name", written.value));
        context.report(diagnostic.help("it has at most 63 characters of a-z, 0-9 and `-`"));
    }
    match names.get(&written.value) {
        Some(first) => {
            let diagnostic = Diagnostic::error("SVC-27", place, format!("two ports are called `{}`", written.value));
            context.report(diagnostic.also(*first, "the first one").help("give each a name of its own"));
        }
        None => drop(names.insert(written.value.clone(), place)),
    }
}

fn service_port(
    written: &Spanned<snapshot::ServicePort>,
    rules: &PortRules,
    context: &mut Context,
) -> Option<ServicePort> {
    let place = written.span.or(rules.place);
    let port = &written.value;
    let protocol = protocol("SVC-27", port.protocol.as_ref(), context);
    let number = match &port.port {
        Some(number) => port_number("SVC-27", number.value, number.span.or(place), context),
        None => {
            context.report(Diagnostic::error("SVC-27", place, "a port without `port`").help("write its number"));
            None
        }
    };
    let target = target_port(port, number, place, context);
    let node_port = node_port(port, rules, place, context);
    if rules.kind == Type::LoadBalancer && number == Some(KUBELET) {
        let message = format!("a load balancer cannot have port {KUBELET}, which is the kubelet's");
        context.report(Diagnostic::error("SVC-27", place, message).help("choose another port"));
    }
    Some(ServicePort {
        name: port.name.as_ref().map_or_else(|| Name::from(""), |name| context.name(&name.value)),
        protocol: protocol?,
        port: number?,
        target: target?,
        node_port,
        app_protocol: port.app_protocol.as_ref().map(|text| context.name(text)),
        span: written.span,
    })
}

/// SVC-2, SVC-3
fn target_port(
    port: &snapshot::ServicePort,
    number: Option<u16>,
    place: Option<Span>,
    context: &mut Context,
) -> Option<TargetPort> {
    match port.target_port.as_ref().map(|target| (&target.value, target.span.or(place))) {
        None | Some((IntOrString::Int(0), _)) => number.map(TargetPort::Number),
        Some((IntOrString::String(name), _)) if name.is_empty() => number.map(TargetPort::Number),
        Some((IntOrString::Int(target), span)) => port_number("SVC-27", *target, span, context).map(TargetPort::Number),
        Some((IntOrString::String(name), span)) => match bad_port_name(name) {
            None => Some(TargetPort::Name(context.name(name))),
            Some(problem) => {
                let message = format!("`{name}` is not a port name");
                let help = "write a number without quotes, or the name of a container port";
                context.report(Diagnostic::error("SVC-27", span, message).label(problem).help(help));
                None
            }
        },
    }
}

/// SVC-8, SVC-18, SVC-19
fn node_port(port: &snapshot::ServicePort, rules: &PortRules, place: Option<Span>, context: &mut Context) -> NodePort {
    let Some(written) = port.node_port.filter(|port| port.value != 0) else {
        return if rules.allocates_node_ports { NodePort::Unallocated } else { NodePort::None };
    };
    let place = written.span.or(place);
    if !matches!(rules.kind, Type::NodePort | Type::LoadBalancer) {
        let diagnostic = Diagnostic::error("SVC-27", place, "`nodePort` on a Service that has no node ports");
        context.report(diagnostic.help("write `type: NodePort`, or remove it"));
        return NodePort::None;
    }
    let Some(number) = port_number("SVC-27", written.value, place, context) else { return NodePort::None };
    let (first, last) = rules.range;
    if !(first..=last).contains(&number) {
        let message = format!("node port {number} is outside {first}-{last}");
        let help = "choose one of that range; if the API server has another, set `nodeport_range`";
        context.report(Diagnostic::error("SVC-18", place, message).help(help));
    }
    NodePort::Number(number)
}
