//! Ports: those that containers declare, and those that policy rules name (NP-14 … NP-17).

use crate::diagnostic::Diagnostic;
use crate::lower::context::Context;
use crate::model::{ContainerPort, Name, PortMatch, PortRule, Ports, Protocol};
use crate::snapshot::{Container, IntOrString, PodSpec, PolicyPort};
use crate::source::{Span, Spanned};

/// The declared ports of a pod: containers first, then native sidecars (NP-16).
pub(super) fn container_ports(spec: &PodSpec, context: &mut Context) -> Vec<ContainerPort> {
    let containers = spec.containers.iter().flatten();
    let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(is_sidecar);
    let written = containers.chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mut ports = Vec::new();
    for port in written {
        let protocol = protocol("IN-19", port.protocol.as_ref(), context);
        let number = match &port.container_port {
            Some(number) => port_number("IN-19", number.value, number.span, context),
            None => {
                let span = port.protocol.as_ref().and_then(|protocol| protocol.span);
                context.report(Diagnostic::error("IN-19", span, "a container port has no `containerPort`"));
                None
            }
        };
        if let (Some(protocol), Some(port_number)) = (protocol, number) {
            let name = port.name.as_ref().filter(|name| !name.is_empty()).map(|name| context.name(name));
            ports.push(ContainerPort { name, protocol, port: port_number });
        }
    }
    ports
}

/// The port list of a rule. Entries that the API server would refuse (NP-31) are reported and left out.
pub(super) fn policy_ports(written: Option<&Vec<Spanned<PolicyPort>>>, context: &mut Context) -> Ports {
    let written = written.map(Vec::as_slice).unwrap_or_default();
    if written.is_empty() {
        // NP-8
        return Ports::Any;
    }
    Ports::OneOf(written.iter().filter_map(|port| policy_port(port, context)).collect())
}

fn policy_port(written: &Spanned<PolicyPort>, context: &mut Context) -> Option<PortRule> {
    let protocol = protocol("NP-31", written.value.protocol.as_ref(), context);
    let port = match &written.value.port {
        // NP-14
        None => {
            if let Some(end) = &written.value.end_port {
                context.report(
                    Diagnostic::error("NP-31", end.span, "`endPort` without `port`")
                        .help("write the first port of the range as `port`"),
                );
                return None;
            }
            Some(PortMatch::All)
        }
        Some(port) => match &port.value {
            IntOrString::Int(number) => {
                let first = port_number("NP-31", *number, port.span, context);
                port_range(first, port.span, written.value.end_port.as_ref(), context)
            }
            IntOrString::String(name) => port_name(name, port.span, written.value.end_port.as_ref(), context),
        },
    };
    Some(PortRule { protocol: protocol?, port: port?, span: written.span })
}

/// NP-15
fn port_range(
    first: Option<u16>,
    place: Option<Span>,
    end: Option<&Spanned<i64>>,
    context: &mut Context,
) -> Option<PortMatch> {
    let Some(written_end) = end else { return Some(PortMatch::Number { port: first?, end: None }) };
    let end = port_number("NP-31", written_end.value, written_end.span, context);
    let (port, end) = (first?, end?);
    if end < port {
        context.report(
            Diagnostic::error("NP-31", written_end.span, "`endPort` is smaller than `port`")
                .label(format!("the range {port}-{end} is empty"))
                .also(place, "the range starts here")
                .help("write the smaller number as `port`"),
        );
        return None;
    }
    Some(PortMatch::Number { port, end: Some(end) })
}

/// NP-16
fn port_name(name: &Name, place: Option<Span>, end: Option<&Spanned<i64>>, context: &mut Context) -> Option<PortMatch> {
    let problem = bad_port_name(name);
    if let Some(end) = end {
        context.report(
            Diagnostic::error("NP-31", end.span, "`endPort` with a named port")
                .also(place, "the name")
                .help("a range needs numbers: write the number of the port, or remove `endPort`"),
        );
    }
    if let Some(problem) = problem {
        let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        let help = if is_number {
            format!("`{name}` in quotes is a name, not a number: remove the quotes")
        } else {
            "a port name has at most 15 characters of a-z, 0-9 and `-`, with at least one letter".to_owned()
        };
        let message = format!("`{name}` is not a port name");
        context.report(Diagnostic::error("NP-31", place, message).label(problem).help(help));
    }
    (problem.is_none() && end.is_none()).then(|| PortMatch::Name(context.name(name)))
}

/// What keeps a text from being an IANA service name, which port names are.
pub(super) fn bad_port_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > 15 {
        Some("it is longer than 15 characters")
    } else if name.bytes().any(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        Some("only a-z, 0-9 and `-` are allowed")
    } else if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        Some("it has no letter")
    } else if name.contains("--") {
        Some("it has `--` in it")
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("it begins or ends with `-`")
    } else {
        None
    }
}

/// A protocol, TCP when it is left out (NP-14, NP-17).
pub(super) fn protocol(rule: &'static str, written: Option<&Spanned<Name>>, context: &mut Context) -> Option<Protocol> {
    let Some(written) = written else { return Some(Protocol::Tcp) };
    let protocol = Protocol::parse(&written.value);
    if protocol.is_none() {
        let upper = written.value.to_ascii_uppercase();
        let help = match Protocol::parse(&upper) {
            Some(_) => format!("protocols are written in upper case: `{upper}`"),
            None => "the protocols are TCP, UDP and SCTP".to_owned(),
        };
        let message = format!("`{}` is not a protocol", written.value);
        context.report(Diagnostic::error(rule, written.span, message).help(help));
    }
    protocol
}

/// A port number: not 0, at most 65535.
pub(super) fn port_number(rule: &'static str, number: i64, span: Option<Span>, context: &mut Context) -> Option<u16> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    if port.is_none() {
        let message = format!("`{number}` is not a port number");
        context.report(Diagnostic::error(rule, span, message).help("ports are 1 to 65535"));
    }
    port
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::testing::{errors, lower_all, pod, spanned};

    fn entry(protocol: Option<&str>, port: Option<IntOrString>, end_port: Option<i64>) -> Spanned<PolicyPort> {
        Spanned::nowhere(PolicyPort {
            protocol: protocol.map(spanned),
            port: port.map(Spanned::nowhere),
            end_port: end_port.map(Spanned::nowhere),
        })
    }

    fn number(port: i64) -> Option<IntOrString> {
        Some(IntOrString::Int(port))
    }

    fn name(port: &str) -> Option<IntOrString> {
        Some(IntOrString::String(Name::from(port)))
    }

    fn refusals(entry: Spanned<PolicyPort>) -> Vec<String> {
        let mut context = Context::default();
        assert_eq!(policy_ports(Some(&vec![entry]), &mut context), Ports::OneOf(Vec::new()));
        errors(&context.into_diagnostics())
    }

    fn read(entry: Spanned<PolicyPort>) -> PortRule {
        let mut context = Context::default();
        let Ports::OneOf(mut ports) = policy_ports(Some(&vec![entry]), &mut context) else { panic!("any") };
        assert!(context.into_diagnostics().is_empty());
        ports.remove(0)
    }

    #[test]
    fn no_list_and_an_empty_list_are_every_port() {
        // NP-8
        let mut context = Context::default();
        assert_eq!(policy_ports(None, &mut context), Ports::Any);
        assert_eq!(policy_ports(Some(&Vec::new()), &mut context), Ports::Any);
    }

    #[test]
    fn an_empty_entry_is_all_of_tcp() {
        // NP-14
        let rule = PortRule { protocol: Protocol::Tcp, port: PortMatch::All, span: None };
        assert_eq!(read(entry(None, None, None)), rule);
        assert_eq!(read(entry(Some("SCTP"), None, None)).protocol, Protocol::Sctp);
    }

    #[test]
    fn a_range_includes_both_ends_and_may_be_one_port() {
        // NP-15
        let range = |end| PortMatch::Number { port: 8080, end };
        assert_eq!(read(entry(None, number(8080), None)).port, range(None));
        assert_eq!(read(entry(None, number(8080), Some(8090))).port, range(Some(8090)));
        assert_eq!(read(entry(None, number(8080), Some(8080))).port, range(Some(8080)));
    }

    #[test]
    fn bad_protocols_are_refused_with_advice() {
        // NP-31
        assert_eq!(refusals(entry(Some("tcp"), number(1), None)), ["NP-31: `tcp` is not a protocol"]);
        assert_eq!(refusals(entry(Some("ICMP"), None, None)), ["NP-31: `ICMP` is not a protocol"]);
        assert_eq!(refusals(entry(Some(""), None, None)), ["NP-31: `` is not a protocol"]);
        let mut context = Context::default();
        protocol("NP-31", Some(&spanned("udp")), &mut context);
        let help = context.into_diagnostics().remove(0).help.unwrap();
        assert_eq!(help, "protocols are written in upper case: `UDP`");
    }

    #[test]
    fn bad_port_numbers_are_refused() {
        // NP-31
        for port in [0, -1, 65536, i64::MAX] {
            let expected = format!("NP-31: `{port}` is not a port number");
            assert_eq!(refusals(entry(None, number(port), None)), std::slice::from_ref(&expected));
            assert_eq!(refusals(entry(None, number(1), Some(port))), [expected]);
        }
    }

    #[test]
    fn every_problem_of_an_entry_is_reported_at_once() {
        // NP-31
        let found = refusals(entry(Some("tcp"), number(0), Some(70000)));
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn bad_ends_of_ranges_are_refused() {
        // NP-31, TV-39
        assert_eq!(refusals(entry(None, None, Some(80))), ["NP-31: `endPort` without `port`"]);
        assert_eq!(refusals(entry(None, name("http"), Some(80))), ["NP-31: `endPort` with a named port"]);
        assert_eq!(refusals(entry(None, number(80), Some(70))), ["NP-31: `endPort` is smaller than `port`"]);
    }

    #[test]
    fn bad_port_names_are_refused() {
        // NP-31, TV-39
        let long = "a".repeat(16);
        for bad in ["HTTP", "", "a--b", "-a", "a-", "80", "8-0", "a_b", long.as_str()] {
            assert_eq!(refusals(entry(None, name(bad), None)), [format!("NP-31: `{bad}` is not a port name")]);
        }
        for good in ["http", "a", "8080-tcp", "abcdefghijklmno"] {
            assert_eq!(read(entry(None, name(good), None)).port, PortMatch::Name(Name::from(good)));
        }
    }

    #[test]
    fn a_number_in_quotes_is_explained() {
        // NP-31
        let mut context = Context::default();
        policy_ports(Some(&vec![entry(None, name("80"), None)]), &mut context);
        let help = context.into_diagnostics().remove(0).help.unwrap();
        assert_eq!(help, "`80` in quotes is a name, not a number: remove the quotes");
    }

    #[test]
    fn containers_come_before_native_sidecars_and_other_init_containers_do_not_count() {
        // NP-16
        let pod = pod("x", "web")
            .init_port("OnFailure", "setup", 1)
            .init_port("Always", "metrics", 9090)
            .port(Some("http"), "TCP", 8080)
            .port(None, "UDP", 53);
        let (cluster, _) = lower_all(vec![pod.done()]);
        let pod = cluster.pods.values().next().unwrap();
        let ports: Vec<_> = pod.ports.iter().map(|port| (port.name.as_deref(), port.protocol, port.port)).collect();
        assert_eq!(
            ports,
            [(Some("http"), Protocol::Tcp, 8080), (None, Protocol::Udp, 53), (Some("metrics"), Protocol::Tcp, 9090),]
        );
    }

    #[test]
    fn bad_container_ports_are_errors() {
        // IN-19
        let (cluster, found) = lower_all(vec![pod("x", "web").port(None, "tcp", 1).port(None, "TCP", 0).done()]);
        assert!(cluster.pods.values().next().unwrap().ports.is_empty());
        assert_eq!(errors(&found), ["IN-19: `0` is not a port number", "IN-19: `tcp` is not a protocol"]);
    }
}
