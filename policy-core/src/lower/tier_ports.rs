//! Ports of cluster-wide policies: `protocols` (CNP-11) and `ports` (ANP-3).

use crate::diagnostic::Diagnostic;
use crate::lower::cluster_policy::Form;
use crate::lower::context::Context;
use crate::lower::ports::{bad_port_name, port_number, protocol};
use crate::model::{Name, PortMatch, PortRule, Ports, Protocol};
use crate::snapshot::{TierPort, TierPortRange, TierProtocol, TierTransport};
use crate::source::{Span, Spanned};

/// A port that is given by name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: Name,
    pub(super) span: Option<Span>,
}

/// `protocols` of a rule, and the first of them that is a name. Bad entries are reported and left out.
pub(super) fn protocols(
    form: Form,
    written: Option<&Spanned<Vec<Spanned<TierProtocol>>>>,
    context: &mut Context,
) -> (Ports, Option<Named>) {
    entries(form, "protocols", written, Found::protocol, context)
}

/// `ports` of a rule, and the first of them that is a name. Bad entries are reported and left out.
pub(super) fn ports(
    form: Form,
    written: Option<&Spanned<Vec<Spanned<TierPort>>>>,
    context: &mut Context,
) -> (Ports, Option<Named>) {
    entries(form, "ports", written, Found::port, context)
}

fn entries<T>(
    form: Form,
    field: &str,
    written: Option<&Spanned<Vec<Spanned<T>>>>,
    read: impl Fn(&mut Found, &Spanned<T>, &mut Context),
    context: &mut Context,
) -> (Ports, Option<Named>) {
    let Some(written) = written else { return (Ports::Any, None) };
    form.not_empty(field, written, "for every port leave it out", context);
    form.at_most(form.most(), field, &written.value, context);
    let mut found = Found { form, rules: Vec::new(), named: None };
    for entry in &written.value {
        read(&mut found, entry, context);
    }
    (Ports::OneOf(found.rules), found.named)
}

/// The ports of a rule so far.
struct Found {
    form: Form,
    rules: Vec<PortRule>,
    named: Option<Named>,
}

impl Found {
    /// CNP-11
    fn protocol(&mut self, entry: &Spanned<TierProtocol>, context: &mut Context) {
        let TierProtocol { tcp, udp, sctp, destination_named_port } = &entry.value;
        let transports = [("tcp", Protocol::Tcp, tcp), ("udp", Protocol::Udp, udp), ("sctp", Protocol::Sctp, sctp)];
        let members = transports.iter().filter_map(|(name, _, written)| Some((*name, written.as_ref()?.span)));
        let by_name = destination_named_port.as_ref().map(|name| ("destinationNamedPort", name.span));
        let members: Vec<_> = members.chain(by_name).collect();
        self.exactly_one(&members, "`tcp`, `udp`, `sctp` or `destinationNamedPort`", entry.span, context);
        for (name, protocol, written) in transports {
            let Some(written) = written else { continue };
            if let Some(port) = self.transport(name, written, entry.span, context) {
                self.rules.push(PortRule { protocol, port, span: entry.span });
            }
        }
        if let Some(name) = destination_named_port {
            self.name(name, entry.span, context);
        }
    }

    /// `tcp`, `udp` or `sctp`.
    fn transport(
        &self,
        name: &str,
        written: &Spanned<TierTransport>,
        place: Option<Span>,
        context: &mut Context,
    ) -> Option<PortMatch> {
        let Some(port) = &written.value.destination_port else {
            let upper = name.to_ascii_uppercase();
            let message = format!("`{name}: {{}}` is read as every {upper} port");
            let help = format!(
                "the API's description says so and its definition refuses it: write `{name}: {{destinationPort: {{range: {{start: 1, end: 65535}}}}}}`"
            );
            context.report(Diagnostic::warning("CNP-11", written.span.or(place), message).help(help));
            return Some(PortMatch::All);
        };
        let place = port.span.or(written.span).or(place);
        let (number, range) = (&port.value.number, &port.value.range);
        let members =
            [number.as_ref().map(|number| ("number", number.span)), range.as_ref().map(|range| ("range", range.span))];
        let members: Vec<_> = members.into_iter().flatten().collect();
        let one = self.exactly_one(&members, "`number` or `range`", place, context);
        let number = number.as_ref().map(|number| port_number("CNP-11", number.value, number.span.or(place), context));
        let range = range.as_ref().map(|range| self.range(range, "number", place, context));
        let number = number.flatten().map(|port| PortMatch::Number { port, end: None });
        number.or(range.flatten()).filter(|_| one)
    }

    /// ANP-3
    fn port(&mut self, entry: &Spanned<TierPort>, context: &mut Context) {
        let TierPort { port_number: number, port_range, named_port } = &entry.value;
        let members = [
            number.as_ref().map(|number| ("portNumber", number.span)),
            port_range.as_ref().map(|range| ("portRange", range.span)),
            named_port.as_ref().map(|name| ("namedPort", name.span)),
        ];
        let members: Vec<_> = members.into_iter().flatten().collect();
        self.exactly_one(&members, "`portNumber`, `portRange` or `namedPort`", entry.span, context);
        if let Some(number) = number {
            let place = number.span.or(entry.span);
            let protocol = protocol("ANP-3", number.value.protocol.as_ref(), context);
            let port = match &number.value.port {
                Some(port) => port_number("ANP-3", port.value, port.span.or(place), context),
                None => {
                    context.report(
                        Diagnostic::error("ANP-3", place, "`portNumber` without `port`")
                            .help("write the number of the port; for every port leave `ports` out"),
                    );
                    None
                }
            };
            if let (Some(protocol), Some(port)) = (protocol, port) {
                self.rules.push(PortRule { protocol, port: PortMatch::Number { port, end: None }, span: entry.span });
            }
        }
        if let Some(range) = port_range {
            let protocol = protocol("ANP-3", range.value.protocol.as_ref(), context);
            let port = self.range(range, "portNumber", entry.span, context);
            if let (Some(protocol), Some(port)) = (protocol, port) {
                self.rules.push(PortRule { protocol, port, span: entry.span });
            }
        }
        if let Some(name) = named_port {
            self.name(name, entry.span, context);
        }
    }

    /// `start` to `end`. `single` is the field for one port.
    fn range(
        &self,
        written: &Spanned<TierPortRange>,
        single: &str,
        place: Option<Span>,
        context: &mut Context,
    ) -> Option<PortMatch> {
        let rule = self.form.ports();
        let place = written.span.or(place);
        let mut bound = |field: &str, bound: &Option<Spanned<i64>>| match bound {
            Some(bound) => port_number(rule, bound.value, bound.span.or(place), context),
            None => {
                let message = format!("a range of ports without `{field}`");
                context.report(Diagnostic::error(rule, place, message).help("write the first port and the last"));
                None
            }
        };
        let start = bound("start", &written.value.start);
        let end = bound("end", &written.value.end);
        let (start, end) = (start?, end?);
        if start < end {
            return Some(PortMatch::Number { port: start, end: Some(end) });
        }
        let help = if start == end {
            format!("for one port write `{single}`")
        } else {
            "write the smaller number as `start`".to_owned()
        };
        let span_of = |bound: &Option<Spanned<i64>>| bound.as_ref().and_then(|bound| bound.span);
        context.report(
            Diagnostic::error(rule, span_of(&written.value.end).or(place), "`end` is not greater than `start`")
                .also(span_of(&written.value.start), "the range starts here")
                .help(help),
        );
        None
    }

    /// Whatever protocol a pod declares the name with counts (CNP-11).
    fn name(&mut self, written: &Spanned<Name>, place: Option<Span>, context: &mut Context) {
        let span = written.span.or(place);
        if let Some(problem) = bad_port_name(&written.value) {
            let message = format!("no port is called `{}`", written.value);
            let problem = Diagnostic::warning(self.form.ports(), span, message)
                .label(problem)
                .help("a port name has at most 15 characters of a-z, 0-9 and `-`, with at least one letter");
            context.report(problem);
        }
        let name = context.name(&written.value);
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            self.rules.push(PortRule { protocol, port: PortMatch::Name(name.clone()), span: place });
        }
        self.named.get_or_insert(Named { name, span });
    }

    fn exactly_one(
        &self,
        members: &[(&str, Option<Span>)],
        all: &str,
        place: Option<Span>,
        context: &mut Context,
    ) -> bool {
        let rule = self.form.ports();
        match members {
            [_] => return true,
            [] => context
                .report(Diagnostic::error(rule, place, "a port entry that says nothing").help(format!("write {all}"))),
            [(first, first_place), (second, second_place), ..] => context.report(
                Diagnostic::error(rule, second_place.or(place), format!("`{first}` and `{second}` in one entry"))
                    .also(*first_place, format!("`{first}`"))
                    .help("make two entries of it: put a `-` before each"),
            ),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::testing::{accepted, anp, cnp, help, refused};

    fn new(entries: &str) -> String {
        cnp(&format!("ingress: [{{action: Deny, from: [{{namespaces: {{}}}}], protocols: [{entries}]}}]"))
    }

    fn old(entries: &str) -> String {
        anp(&format!("ingress: [{{action: Deny, from: [{{namespaces: {{}}}}], ports: [{entries}]}}]"))
    }

    /// The ports of the only rule as `protocol port`, and what was remarked.
    fn lowered(text: &str) -> (Vec<String>, Vec<String>) {
        let (policy, found) = accepted(text);
        let Ports::OneOf(rules) = &policy.ingress[0].ports else { panic!("any") };
        let shown = rules.iter().map(|rule| match &rule.port {
            PortMatch::All => format!("{} all", rule.protocol),
            PortMatch::Number { port, end: None } => format!("{} {port}", rule.protocol),
            PortMatch::Number { port, end: Some(end) } => format!("{} {port}-{end}", rule.protocol),
            PortMatch::Name(name) => format!("{} {name}", rule.protocol),
        });
        (shown.collect(), found)
    }

    #[test]
    fn no_list_is_every_port() {
        // CNP-11, ANP-3
        for form in [cnp, anp] {
            let (policy, _) = accepted(&form("ingress: [{action: Deny, from: [{namespaces: {}}]}]"));
            assert_eq!(policy.ingress[0].ports, Ports::Any);
        }
        assert_eq!(refused(&new("")), ["CNP-12: `protocols` is empty <[]>"]);
        assert_eq!(refused(&old("")), ["ANP-1: `ports` is empty <[]>"]);
        assert_eq!(help(&old("")), "for every port leave it out");
    }

    #[test]
    fn an_entry_is_a_protocol_with_a_port_or_a_range() {
        // CNP-11
        let entries = "{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 1, end: 9}}}}, {sctp: {destinationPort: {number: 9003}}}";
        assert_eq!(lowered(&new(entries)).0, ["TCP 80", "UDP 1-9", "SCTP 9003"]);
    }

    #[test]
    fn a_protocol_without_a_port_is_all_of_it() {
        // CNP-11, TV-60
        let (ports, found) = lowered(&new("{tcp: {}}"));
        assert_eq!(
            (ports, found),
            (vec!["TCP all".to_owned()], vec!["CNP-11: `tcp: {}` is read as every TCP port <{}>".to_owned()])
        );
    }

    #[test]
    fn a_name_means_every_protocol() {
        // CNP-11, ANP-3
        for text in [new("{destinationNamedPort: web-alt}"), old("{namedPort: web-alt}")] {
            let (ports, found) = lowered(&text);
            assert_eq!(ports, ["TCP web-alt", "UDP web-alt", "SCTP web-alt"]);
            assert!(found.is_empty());
        }
        assert_eq!(lowered(&new("{destinationNamedPort: HTTP}")).1, ["CNP-11: no port is called `HTTP` <HTTP>"]);
        assert_eq!(lowered(&old("{namedPort: '80'}")).1, ["ANP-3: no port is called `80` <'80'>"]);
    }

    #[test]
    fn old_entries_have_a_protocol_and_it_is_tcp_when_left_out() {
        // ANP-3
        let entries = "{portNumber: {port: 80}}, {portNumber: {protocol: UDP, port: 53}}, {portRange: {start: 1, end: 9}}, {portRange: {protocol: SCTP, start: 3, end: 4}}";
        assert_eq!(lowered(&old(entries)).0, ["TCP 80", "UDP 53", "TCP 1-9", "SCTP 3-4"]);
        assert_eq!(refused(&old("{portNumber: {protocol: tcp, port: 80}}")), ["ANP-3: `tcp` is not a protocol <tcp>"]);
        assert_eq!(
            refused(&old("{portNumber: {protocol: TCP}}")),
            ["ANP-3: `portNumber` without `port` <{protocol: TCP}>"]
        );
    }

    #[test]
    fn an_entry_says_one_thing() {
        // CNP-11, ANP-3
        assert_eq!(refused(&new("{}")), ["CNP-11: a port entry that says nothing <{}>"]);
        assert_eq!(refused(&old("{}")), ["ANP-3: a port entry that says nothing <{}>"]);
        assert_eq!(
            refused(&new("{tcp: {destinationPort: {number: 1}}, destinationNamedPort: http}")),
            ["CNP-11: `tcp` and `destinationNamedPort` in one entry <http>"]
        );
        assert_eq!(
            refused(&old("{portNumber: {port: 1}, portRange: {start: 1, end: 2}}")),
            ["ANP-3: `portNumber` and `portRange` in one entry <{start: 1, end: 2}>"]
        );
        assert_eq!(refused(&new("{tcp: {destinationPort: {}}}")), ["CNP-11: a port entry that says nothing <{}>"]);
        assert_eq!(
            refused(&new("{tcp: {destinationPort: {number: 1, range: {start: 1, end: 2}}}}")),
            ["CNP-11: `number` and `range` in one entry <{start: 1, end: 2}>"]
        );
    }

    #[test]
    fn bad_numbers_and_ranges_are_refused() {
        // CNP-11, ANP-3
        for port in ["0", "65536", "-1"] {
            let message = format!("`{port}` is not a port number <{port}>");
            let number = refused(&new(&format!("{{tcp: {{destinationPort: {{number: {port}}}}}}}")));
            assert_eq!(number, [format!("CNP-11: {message}")]);
            let number = refused(&old(&format!("{{portNumber: {{port: {port}}}}}")));
            assert_eq!(number, [format!("ANP-3: {message}")]);
        }
        let range = |start: u32, end: u32| {
            new(&format!("{{tcp: {{destinationPort: {{range: {{start: {start}, end: {end}}}}}}}}}"))
        };
        assert_eq!(refused(&range(9, 8)), ["CNP-11: `end` is not greater than `start` <8>"]);
        assert_eq!(help(&range(9, 8)), "write the smaller number as `start`");
        assert_eq!(refused(&range(8, 8)), ["CNP-11: `end` is not greater than `start` <8>"]);
        assert_eq!(help(&range(8, 8)), "for one port write `number`");
        assert_eq!(help(&old("{portRange: {start: 8, end: 8}}")), "for one port write `portNumber`");
        assert_eq!(refused(&range(0, 70000)).len(), 2);
        assert_eq!(
            refused(&old("{portRange: {}}")),
            ["ANP-3: a range of ports without `end` <{}>", "ANP-3: a range of ports without `start` <{}>"]
        );
    }

    #[test]
    fn there_are_not_too_many() {
        // CNP-12, ANP-1
        let many = |entry: &str, count| vec![entry; count].join(", ");
        let (entry, before) = ("{tcp: {destinationPort: {number: 1}}}", "{portNumber: {port: 1}}");
        assert_eq!(lowered(&new(&many(entry, 25))).0.len(), 25);
        assert_eq!(refused(&new(&many(entry, 26))), [format!("CNP-12: `protocols` has 26 entries <{entry}>")]);
        assert_eq!(lowered(&old(&many(before, 100))).0.len(), 100);
        assert_eq!(refused(&old(&many(before, 101))), [format!("ANP-1: `ports` has 101 entries <{before}>")]);
    }
}
