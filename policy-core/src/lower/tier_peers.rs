//! Peers of cluster-wide policies (CNP-6 … CNP-10, CNP-12, CNP-13, ANP-5).

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::lower::addresses::parse_cidr;
use crate::lower::cluster_policy::{Form, Written};
use crate::lower::context::Context;
use crate::lower::peers::not_a_cidr;
use crate::lower::selectors::selector;
use crate::model::{Direction, DomainPattern, Name, PodSelection, Selector, TierAction, TierPeer};
use crate::snapshot::{LabelSelector, NamespacedPods, TierNamespaces, TierPeer as WrittenPeer};
use crate::source::{Span, Spanned};

/// How many networks or names one peer may list.
const MOST_IN_A_PEER: usize = 25;

/// The peers of a rule; `None` when one is not understood (CNP-13). Bad ones are reported and left out.
pub(super) fn peers(
    form: Form,
    rule: Written<'_>,
    action: Option<TierAction>,
    context: &mut Context,
) -> Option<Vec<TierPeer>> {
    let field = if rule.direction == Direction::Ingress { "from" } else { "to" };
    let help = format!("for every pod of the cluster write `{field}: [{{namespaces: {{}}}}]`");
    let Some(written) = rule.peers else {
        context.report(Diagnostic::error(form.limits(), rule.span, format!("this rule has no `{field}`")).help(help));
        return Some(Vec::new());
    };
    form.not_empty(field, written, &help, context);
    form.at_most(form.most(), field, &written.value, context);
    let mut lowering = Lowering { form, direction: rule.direction, action, peers: Vec::new() };
    let mut understood = true;
    for peer in &written.value {
        understood &= lowering.peer(peer, context);
    }
    understood.then_some(lowering.peers)
}

/// The peers of one rule so far, and what the rule is.
struct Lowering {
    form: Form,
    direction: Direction,
    action: Option<TierAction>,
    peers: Vec<TierPeer>,
}

impl Lowering {
    /// Whether the peer says anything that is known here.
    fn peer(&mut self, written: &Spanned<WrittenPeer>, context: &mut Context) -> bool {
        let span = written.span;
        let WrittenPeer { namespaces, pods: namespaced, nodes, networks, domain_names } = &written.value;
        let members = [
            ("namespaces", namespaces.as_ref().map(|member| member.span)),
            ("pods", namespaced.as_ref().map(|member| member.span)),
            ("nodes", nodes.as_ref().map(|member| member.span)),
            ("networks", networks.as_ref().map(|member| member.span)),
            ("domainNames", domain_names.as_ref().map(|member| member.span)),
        ];
        let members: Vec<_> = members.into_iter().filter_map(|(name, place)| Some((name, place?))).collect();
        match members.as_slice() {
            [] => {
                self.unknown(span, context);
                return false;
            }
            [_] => {}
            [(first, first_place), (second, place), ..] => {
                let message = format!("`{first}` and `{second}` in one peer");
                let rule = if self.direction == Direction::Ingress { "CNP-7" } else { "CNP-8" };
                context.report(
                    Diagnostic::error(rule, place.or(span), message)
                        .also(*first_place, format!("`{first}`"))
                        .help("make two peers of it: put a `-` before each"),
                );
            }
        }
        if let Some(namespaces) = namespaces {
            let selection = namespaces_of(namespaces, span, context)
                .map(|namespaces| PodSelection { namespaces, pods: Selector::everything() });
            self.peers.extend(selection.map(|selection| TierPeer::Pods { selection, span }));
        }
        if let Some(namespaced) = namespaced {
            let selection = pods(self.form, namespaced, span, context);
            self.peers.extend(selection.map(|selection| TierPeer::Pods { selection, span }));
        }
        if let Some(nodes) = nodes {
            self.egress_only("nodes", nodes.span.or(span), context);
            let nodes = selector(&nodes.value, nodes.span.or(span), context);
            self.peers.push(TierPeer::Nodes { nodes, span });
        }
        if let Some(networks) = networks {
            self.networks(networks, span, context);
        }
        if let Some(names) = domain_names {
            self.domain_names(names, span, context);
        }
        true
    }

    /// CNP-13
    fn unknown(&self, span: Option<Span>, context: &mut Context) {
        let becomes = match self.action {
            Some(TierAction::Accept) => "the rule matches nothing",
            _ => "the rule denies everything",
        };
        context.report(
            Diagnostic::warning("CNP-13", span, format!("a peer that says nothing known: {becomes}"))
                .help("say who: `namespaces`, `pods`, and in `to` also `nodes`, `networks` or `domainNames`"),
        );
    }

    /// CNP-7
    fn egress_only(&self, field: &str, span: Option<Span>, context: &mut Context) {
        if self.direction == Direction::Ingress {
            let message = format!("`{field}` in an ingress rule");
            context.report(
                Diagnostic::error("CNP-7", span, message).help("who is let in is said by `namespaces` or `pods`"),
            );
        }
    }

    /// CNP-9
    fn networks(&mut self, written: &Spanned<Vec<Spanned<Name>>>, place: Option<Span>, context: &mut Context) {
        self.egress_only("networks", written.span.or(place), context);
        self.list("networks", written, "list CIDRs, or remove the peer", context);
        for network in &written.value {
            let span = network.span.or(place);
            let Some((cidr, oddity)) = parse_cidr(&network.value) else {
                not_a_cidr("CNP-9", network, context);
                continue;
            };
            if let Some(oddity) = oddity {
                let message = format!("`{}` {}", network.value, oddity.as_str());
                let help = format!("read as `{cidr}`: write `{cidr}`");
                context.report(Diagnostic::warning("CNP-9", span, message).help(help));
            }
            self.peers.push(TierPeer::Network { cidr, span });
        }
    }

    /// CNP-10
    fn domain_names(&mut self, written: &Spanned<Vec<Spanned<Name>>>, place: Option<Span>, context: &mut Context) {
        let span = written.span.or(place);
        self.egress_only("domainNames", span, context);
        if self.form.is_baseline_only() {
            let message = format!("a {} has no `domainNames`", self.form.0);
            context.report(Diagnostic::error("ANP-1", span, message).help("write the addresses as `networks`"));
        } else if self.direction == Direction::Egress && self.action.is_some_and(|action| action != TierAction::Accept)
        {
            let problem =
                Diagnostic::error("CNP-10", span, "`domainNames` in a rule that does not let anything through")
                    .help("accept the names that are wanted, and deny `networks` in a rule after it");
            context.report(problem);
        }
        self.list("domainNames", written, "list names, or remove the peer", context);
        for name in &written.value {
            let span = name.span.or(place);
            match DomainPattern::parse(&name.value) {
                Ok(pattern) => self.peers.push(TierPeer::Domain { pattern, span }),
                Err(problem) => context.report(
                    Diagnostic::error("CNP-10", span, format!("`{}` is not a domain name", name.value))
                        .label(problem)
                        .help("write a name as `www.example.com`, or all names below one as `*.example.com`"),
                ),
            }
        }
    }

    /// CNP-12, ANP-1: how long a list may be, and that it is a set.
    fn list(&self, field: &str, written: &Spanned<Vec<Spanned<Name>>>, help: &str, context: &mut Context) {
        self.form.not_empty(field, written, help, context);
        self.form.at_most(MOST_IN_A_PEER, field, &written.value, context);
        let mut seen = BTreeSet::new();
        for item in &written.value {
            if !seen.insert(&item.value) {
                let message = format!("`{}` is there twice", item.value);
                context.report(
                    Diagnostic::error(self.form.limits(), item.span.or(written.span), message)
                        .help("remove one of them"),
                );
            }
        }
    }
}

/// CNP-6, CNP-7: `pods` of a subject or a peer.
pub(super) fn pods(
    form: Form,
    written: &Spanned<NamespacedPods>,
    place: Option<Span>,
    context: &mut Context,
) -> Option<PodSelection> {
    let place = written.span.or(place);
    let NamespacedPods { namespace_selector, namespaces, pod_selector } = &written.value;
    let namespaces = match (namespace_selector, namespaces) {
        (Some(namespaces), _) => Some(selector(namespaces, place, context)),
        (None, Some(old)) => namespaces_of(old, place, context),
        (None, None) => {
            let message = "`pods` without `namespaceSelector` looks into every namespace";
            let help = "if that is meant, write `namespaceSelector: {}`";
            let problem = if form.wants_namespace_selector() {
                Diagnostic::error("ANP-1", place, "`pods` without `namespaceSelector`")
                    .help("for every namespace write `namespaceSelector: {}`")
            } else {
                Diagnostic::warning("CNP-6", place, message).help(help)
            };
            context.report(problem);
            Some(Selector::everything())
        }
    };
    let Some(pods) = pod_selector else {
        context.report(
            Diagnostic::error(form.limits(), place, "`pods` without `podSelector`")
                .help("for every pod write `podSelector: {}`"),
        );
        return None;
    };
    let pods = selector(pods, place, context);
    namespaces.map(|namespaces| PodSelection { namespaces, pods })
}

/// ANP-5: a label selector, or what stood in its place in the first AdminNetworkPolicies.
fn namespaces_of(written: &Spanned<TierNamespaces>, place: Option<Span>, context: &mut Context) -> Option<Selector> {
    let place = written.span.or(place);
    let TierNamespaces { match_labels, match_expressions, namespace_selector, same_labels, not_same_labels } =
        &written.value;
    for (field, keys, peer) in [
        ("sameLabels", same_labels, "that value in the `matchLabels` of its subject and its peer"),
        ("notSameLabels", not_same_labels, "that value in the `matchLabels` of its subject and `NotIn` in its peer"),
    ] {
        let Some(keys) = keys else { continue };
        let shown = keys.value.first().map_or_else(|| "the label".to_owned(), |key| format!("`{key}`"));
        context.report(
            Diagnostic::error("ANP-5", keys.span.or(place), format!("`{field}` is no longer part of the API"))
                .label("upstream took it out because its meaning was unclear")
                .help(format!("write one policy for each value of {shown}, with {peer}")),
        );
    }
    let labels = LabelSelector { match_labels: match_labels.clone(), match_expressions: match_expressions.clone() };
    if let Some(old) = namespace_selector {
        let beside = labels != LabelSelector::default();
        context.report(if beside {
            Diagnostic::error("ANP-5", old.span.or(place), "`namespaceSelector` beside labels")
                .help("move its content to `namespaces`")
        } else {
            let message = "`namespaceSelector` inside `namespaces` is the form of the first AdminNetworkPolicies";
            Diagnostic::warning("ANP-5", old.span.or(place), message).help(
                "move its content to `namespaces`: a newer API server drops the field, and every namespace is meant",
            )
        });
    }
    let removed = same_labels.is_some() || not_same_labels.is_some();
    let selector = match namespace_selector {
        Some(old) => selector(&old.value, old.span.or(place), context),
        None => selector(&labels, place, context),
    };
    (!removed).then_some(selector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::testing::{accepted, anp, banp, cnp, help, refused};
    use crate::model::TierPeers;

    fn egress(action: &str, peer: &str) -> String {
        format!("egress: [{{action: {action}, to: [{peer}]}}]")
    }

    fn ingress(peer: &str) -> String {
        format!("ingress: [{{action: Deny, from: [{peer}]}}]")
    }

    /// The peers of the only rule, and what was remarked.
    fn lowered(text: &str) -> (Vec<TierPeer>, Vec<String>) {
        let (policy, found) = accepted(text);
        let rule = policy.ingress.into_iter().chain(policy.egress).next().unwrap();
        let TierPeers::OneOf(peers) = rule.peers else { panic!("any") };
        (peers, found)
    }

    fn selection(peer: &TierPeer) -> String {
        let TierPeer::Pods { selection, .. } = peer else { panic!("{peer:?}") };
        format!("{} / {}", selection.namespaces, selection.pods)
    }

    #[test]
    fn pods_are_chosen_by_namespace_or_by_both() {
        // CNP-7
        let peers =
            "{namespaces: {matchLabels: {a: b}}}, {pods: {namespaceSelector: {}, podSelector: {matchLabels: {c: d}}}}";
        let (peers, found) = lowered(&cnp(&ingress(peers)));
        assert_eq!(peers.iter().map(selection).collect::<Vec<_>>(), ["a=b / {}", "{} / c=d"]);
        assert!(found.is_empty() && peers.iter().all(|peer| peer.span().is_some()));
    }

    #[test]
    fn only_pods_are_let_in() {
        // CNP-7
        for form in [cnp, anp] {
            assert_eq!(refused(&form(&ingress("{nodes: {}}"))), ["CNP-7: `nodes` in an ingress rule <{}>"]);
            let networks = refused(&form(&ingress("{networks: [10.0.0.0/8]}")));
            assert_eq!(networks, ["CNP-7: `networks` in an ingress rule <[10.0.0.0/8]>"]);
            let names = refused(&form(&ingress("{domainNames: [a.b]}")));
            assert_eq!(names, ["CNP-7: `domainNames` in an ingress rule <[a.b]>"]);
        }
    }

    #[test]
    fn a_peer_has_one_member() {
        // CNP-7, CNP-8
        let found = refused(&cnp(&ingress("{namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}")));
        assert_eq!(found, ["CNP-7: `namespaces` and `pods` in one peer <{namespaceSelector: {}, podSelector: {}}>"]);
        let found = refused(&cnp(&egress("Deny", "{nodes: {}, networks: [10.0.0.0/8]}")));
        assert_eq!(found, ["CNP-8: `nodes` and `networks` in one peer <[10.0.0.0/8]>"]);
    }

    #[test]
    fn nodes_are_chosen_by_labels() {
        // CNP-8
        let (peers, _) = lowered(&cnp(&egress("Deny", "{nodes: {matchLabels: {a: b}}}")));
        assert!(matches!(&peers[0], TierPeer::Nodes { nodes, .. } if nodes.to_string() == "a=b"));
        let found = refused(&cnp(&egress("Deny", "{nodes: {matchExpressions: [{key: a, operator: in}]}}")));
        assert_eq!(found, ["NP-31: `in` is not a selector operator <in>"]);
    }

    #[test]
    fn networks_are_cidrs() {
        // CNP-9, CNP-12
        let of = |networks: &str| cnp(&egress("Deny", &format!("{{networks: [{networks}]}}")));
        let (peers, found) = lowered(&of("10.0.0.5/24, 'fd00::/8'"));
        let shown: Vec<_> = peers
            .iter()
            .map(|peer| match peer {
                TierPeer::Network { cidr, .. } => cidr.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, ["10.0.0.0/24", "fd00::/8"]);
        assert_eq!(found, ["CNP-9: `10.0.0.5/24` has bits set behind its prefix <10.0.0.5/24>"]);
        assert_eq!(refused(&of("10.0.0.1")), ["CNP-9: `10.0.0.1` is not a CIDR <10.0.0.1>"]);
        assert_eq!(help(&of("10.0.0.1")), "for one address write `10.0.0.1/32`");
        assert_eq!(refused(&of("")), ["CNP-12: `networks` is empty <[]>"]);
        assert_eq!(refused(&of("10.0.0.0/8, 10.0.0.0/8")), ["CNP-12: `10.0.0.0/8` is there twice <10.0.0.0/8>"]);
        let many = |count: u8| (0..count).map(|net| format!("10.{net}.0.0/16")).collect::<Vec<_>>().join(", ");
        assert_eq!(lowered(&of(&many(25))).0.len(), 25);
        assert_eq!(refused(&of(&many(26))), ["CNP-12: `networks` has 26 entries <10.25.0.0/16>"]);
        let old = anp(&egress("Deny", &format!("{{networks: [{}]}}", many(26))));
        assert_eq!(refused(&old), ["ANP-1: `networks` has 26 entries <10.25.0.0/16>"]);
    }

    #[test]
    fn names_are_for_rules_that_accept() {
        // CNP-10, ANP-1
        let names = "{domainNames: ['*.kubernetes.io', example.com]}";
        for text in [cnp(&egress("Accept", names)), anp(&egress("Allow", names))] {
            let (peers, found) = lowered(&text);
            assert!(matches!(&peers[0], TierPeer::Domain { pattern, .. } if pattern.to_string() == "*.kubernetes.io"));
            assert_eq!((peers.len(), found.len()), (2, 0));
        }
        for text in [cnp(&egress("Deny", names)), cnp(&egress("Pass", names)), anp(&egress("Deny", names))] {
            let found = refused(&text);
            let message = "CNP-10: `domainNames` in a rule that does not let anything through";
            assert!(found.len() == 1 && found[0].starts_with(message), "{found:?}");
        }
        let found = refused(&banp(&egress("Allow", names)));
        assert!(found[0].starts_with("ANP-1: a BaselineAdminNetworkPolicy has no `domainNames`"), "{found:?}");
    }

    #[test]
    fn bad_names_are_refused() {
        // CNP-10, CNP-12
        let of = |names: &str| cnp(&egress("Accept", &format!("{{domainNames: [{names}]}}")));
        assert_eq!(
            refused(&of("localhost, 'a.*.io', a.b")),
            [
                "CNP-10: `localhost` is not a domain name <localhost>",
                "CNP-10: `a.*.io` is not a domain name <'a.*.io'>"
            ]
        );
        assert_eq!(refused(&of("")), ["CNP-12: `domainNames` is empty <[]>"]);
        let many: Vec<_> = (0..26).map(|name| format!("n{name}.example.com")).collect();
        assert_eq!(refused(&of(&many.join(", "))), ["CNP-12: `domainNames` has 26 entries <n25.example.com>"]);
    }

    #[test]
    fn a_rule_has_peers_and_not_too_many() {
        // CNP-12, ANP-1
        let many = |count| vec!["{namespaces: {}}"; count].join(", ");
        assert_eq!(lowered(&cnp(&ingress(&many(25)))).0.len(), 25);
        assert_eq!(refused(&cnp(&ingress(&many(26)))), ["CNP-12: `from` has 26 entries <{namespaces: {}}>"]);
        assert_eq!(lowered(&anp(&ingress(&many(100)))).0.len(), 100);
        assert_eq!(refused(&anp(&ingress(&many(101)))), ["ANP-1: `from` has 101 entries <{namespaces: {}}>"]);
        assert_eq!(refused(&cnp(&ingress(""))), ["CNP-12: `from` is empty <[]>"]);
        assert_eq!(help(&cnp(&egress("Deny", ""))), "for every pod of the cluster write `to: [{namespaces: {}}]`");
        assert_eq!(refused(&anp("egress: [{action: Deny}]")), ["ANP-1: this rule has no `to` <{action: Deny}>"]);
    }

    #[test]
    fn the_form_of_the_first_version_is_read_with_a_warning() {
        // ANP-5
        let message = "ANP-5: `namespaceSelector` inside `namespaces` is the form of the first AdminNetworkPolicies";
        let (peers, found) = lowered(&anp(&ingress("{namespaces: {namespaceSelector: {matchLabels: {a: b}}}}")));
        assert_eq!(selection(&peers[0]), "a=b / {}");
        assert_eq!(found, [format!("{message} <{{matchLabels: {{a: b}}}}>")]);
        let pods = "{pods: {namespaces: {namespaceSelector: {}}, podSelector: {matchLabels: {c: d}}}}";
        let (peers, found) = lowered(&anp(&ingress(pods)));
        assert_eq!((selection(&peers[0]).as_str(), found.len()), ("{} / c=d", 1));
        let both = anp(&ingress("{namespaces: {namespaceSelector: {}, matchLabels: {a: b}}}"));
        assert_eq!(refused(&both), ["ANP-5: `namespaceSelector` beside labels <{}>"]);
    }

    #[test]
    fn same_labels_are_refused_with_a_way_out() {
        // ANP-5
        let same = anp(&ingress("{namespaces: {sameLabels: [tenant]}}"));
        assert_eq!(refused(&same), ["ANP-5: `sameLabels` is no longer part of the API <[tenant]>"]);
        assert_eq!(
            help(&same),
            "write one policy for each value of `tenant`, with that value in the `matchLabels` of its subject and its peer"
        );
        let other = banp(&ingress("{pods: {namespaces: {notSameLabels: [tenant]}, podSelector: {}}}"));
        assert_eq!(refused(&other), ["ANP-5: `notSameLabels` is no longer part of the API <[tenant]>"]);
    }
}
