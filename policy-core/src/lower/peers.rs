//! Peers of policy rules (NP-9 … NP-13).

use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::lower::addresses::parse_cidr;
use crate::lower::context::Context;
use crate::lower::selectors::selector;
use crate::model::{IpBlock, Name, NamespaceScope, Peer, Peers, Selector};
use crate::snapshot::{IpBlock as WrittenBlock, PolicyPeer};
use crate::source::Spanned;

/// The peer list of a rule. Peers that the API server would refuse (NP-31) are reported and left out.
pub(super) fn peers(written: Option<&Vec<Spanned<PolicyPeer>>>, context: &mut Context) -> Peers {
    let written = written.map(Vec::as_slice).unwrap_or_default();
    if written.is_empty() {
        // NP-9
        return Peers::Any;
    }
    Peers::OneOf(written.iter().filter_map(|written| peer(written, context)).collect())
}

/// NP-10
fn peer(written: &Spanned<PolicyPeer>, context: &mut Context) -> Option<Peer> {
    let PolicyPeer { pod_selector, namespace_selector, ip_block } = &written.value;
    let span = written.span;
    let pods = pod_selector.as_ref().map(|pods| selector(pods, span, context));
    let namespaces = namespace_selector.as_ref().map(|namespaces| selector(namespaces, span, context));
    match (ip_block, pods, namespaces) {
        (None, None, None) => {
            context.report(
                Diagnostic::error("NP-31", span, "a peer must say who")
                    .label("it has no `podSelector`, `namespaceSelector` or `ipBlock`")
                    .help("for every pod of every namespace write `namespaceSelector: {}`; for everybody leave the list out"),
            );
            None
        }
        (None, pods, namespaces) => Some(Peer::Pods {
            namespaces: namespaces.map_or(NamespaceScope::Own, NamespaceScope::Matching),
            pods: pods.unwrap_or_else(Selector::everything),
            span,
        }),
        (Some(block), pods, namespaces) => {
            let lowered = ip_block_of(block, context);
            if pods.is_some() || namespaces.is_some() {
                context.report(
                    Diagnostic::error("NP-31", block.span.or(span), "`ipBlock` together with a selector in one peer")
                        .help("make two peers of it: put a `-` before each"),
                );
                return None;
            }
            lowered.map(|lowered| Peer::Block(IpBlock { span: span.or(block.span), ..lowered }))
        }
    }
}

/// NP-12
fn ip_block_of(written: &Spanned<WrittenBlock>, context: &mut Context) -> Option<IpBlock> {
    let cidr = match &written.value.cidr {
        Some(cidr) => net(cidr, context),
        None => {
            context.report(
                Diagnostic::error("NP-31", written.span, "`ipBlock` has no `cidr`")
                    .help("for every IPv4 address write `cidr: 0.0.0.0/0`"),
            );
            None
        }
    };
    let mut excepts = Vec::new();
    let mut good = true;
    for except in written.value.except.iter().flatten() {
        let Some(taken_out) = net(except, context) else {
            good = false;
            continue;
        };
        if let Some(cidr) = cidr.filter(|cidr| taken_out == *cidr || !cidr.contains(&taken_out)) {
            let message = format!("`{}` is not a strict part of `{cidr}`", except.value);
            let help = if taken_out == cidr {
                "an `except` that takes out the whole `cidr` leaves nothing: remove the peer"
            } else {
                "an `except` must lie inside `cidr` and be smaller"
            };
            let whole = written.value.cidr.as_ref().and_then(|cidr| cidr.span);
            context.report(Diagnostic::error("NP-31", except.span, message).also(whole, "the `cidr`").help(help));
            good = false;
        }
        excepts.push(taken_out);
    }
    cidr.filter(|_| good).map(|cidr| IpBlock { cidr, except: excepts, span: written.span })
}

fn net(written: &Spanned<Name>, context: &mut Context) -> Option<IpNet> {
    let text = &*written.value;
    let Some((net, oddity)) = parse_cidr(text) else {
        not_a_cidr("NP-31", written, context);
        return None;
    };
    if let Some(oddity) = oddity {
        // TV-40
        let message = format!("`{text}` {}", oddity.as_str());
        let help = format!("read as `{net}`; newer API servers refuse it: write `{net}`");
        context.report(Diagnostic::warning("NP-31", written.span, message).help(help));
    }
    Some(net)
}

/// Reports a text that should be a CIDR.
pub(super) fn not_a_cidr(rule: &'static str, written: &Spanned<Name>, context: &mut Context) {
    let text = &*written.value;
    let help = match text.parse::<std::net::IpAddr>().ok() {
        Some(address) => format!("for one address write `{}`", IpNet::from(address)),
        None => "write an address and a prefix length, as in `10.0.0.0/8` or `fd00::/8`".to_owned(),
    };
    context.report(Diagnostic::error(rule, written.span, format!("`{text}` is not a CIDR")).help(help));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::testing::{block, errors, match_labels, spanned, warnings};
    use crate::snapshot::LabelSelector;

    fn lowered(written: PolicyPeer) -> (Option<Peer>, Vec<Diagnostic>) {
        let mut context = Context::default();
        let Peers::OneOf(mut found) = peers(Some(&vec![Spanned::nowhere(written)]), &mut context) else {
            panic!("any")
        };
        (found.pop(), context.into_diagnostics())
    }

    fn refused(written: PolicyPeer) -> Vec<String> {
        let (peer, found) = lowered(written);
        assert_eq!(peer, None);
        errors(&found)
    }

    fn of_block(cidr: &str, except: &[&str]) -> PolicyPeer {
        PolicyPeer { ip_block: Some(block(cidr, except)), ..PolicyPeer::default() }
    }

    #[test]
    fn no_list_and_an_empty_list_are_everybody() {
        // NP-8, NP-9
        let mut context = Context::default();
        assert_eq!(peers(None, &mut context), Peers::Any);
        assert_eq!(peers(Some(&Vec::new()), &mut context), Peers::Any);
    }

    #[test]
    fn a_missing_selector_is_not_an_empty_one() {
        // NP-10
        let everything = || Some(LabelSelector::default());
        let scope = |pod_selector, namespace_selector| {
            let (peer, found) = lowered(PolicyPeer { pod_selector, namespace_selector, ip_block: None });
            assert!(found.is_empty());
            match peer {
                Some(Peer::Pods { namespaces, pods, .. }) => (namespaces, pods.to_string()),
                other => panic!("{other:?}"),
            }
        };
        let all = || NamespaceScope::Matching(Selector::everything());
        assert_eq!(scope(everything(), None), (NamespaceScope::Own, "{}".to_owned()));
        assert_eq!(scope(None, everything()), (all(), "{}".to_owned()));
        assert_eq!(scope(Some(match_labels([("a", "b")])), everything()), (all(), "a=b".to_owned()));
    }

    #[test]
    fn a_peer_must_say_who() {
        // NP-31, TV-39
        assert_eq!(refused(PolicyPeer::default()), ["NP-31: a peer must say who"]);
    }

    #[test]
    fn a_block_stands_alone() {
        // NP-31, TV-39
        let written = PolicyPeer { pod_selector: Some(LabelSelector::default()), ..of_block("10.0.0.0/8", &[]) };
        assert_eq!(refused(written), ["NP-31: `ipBlock` together with a selector in one peer"]);
    }

    #[test]
    fn a_block_needs_a_cidr() {
        // NP-31
        let empty = PolicyPeer { ip_block: Some(Spanned::nowhere(WrittenBlock::default())), ..PolicyPeer::default() };
        assert_eq!(refused(empty), ["NP-31: `ipBlock` has no `cidr`"]);
        assert_eq!(refused(of_block("10.0.0.1", &[])), ["NP-31: `10.0.0.1` is not a CIDR"]);
        assert_eq!(refused(of_block("10.0.0.0/8", &["10.1"])), ["NP-31: `10.1` is not a CIDR"]);
        let both = refused(of_block("x", &["y"]));
        assert_eq!(both, ["NP-31: `x` is not a CIDR", "NP-31: `y` is not a CIDR"]);
    }

    #[test]
    fn an_except_is_a_strict_part() {
        // NP-31, TV-39
        for (cidr, except) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.0/8", "10.0.0.0/7"),
            ("10.0.0.0/8", "11.0.0.0/9"),
            ("0.0.0.0/0", "fd00::/8"),
        ] {
            let expected = format!("NP-31: `{except}` is not a strict part of `{cidr}`");
            assert_eq!(refused(of_block(cidr, &[except])), [expected]);
        }
        let (peer, found) = lowered(of_block("fd00::/8", &["fd00::/16", "fd01::/128"]));
        assert!(matches!(peer, Some(Peer::Block(block)) if block.except.len() == 2));
        assert!(found.is_empty());
    }

    #[test]
    fn odd_cidrs_are_masked_with_a_warning() {
        // NP-31, TV-40
        let (peer, found) = lowered(of_block("10.0.0.5/24", &[]));
        assert!(matches!(peer, Some(Peer::Block(block)) if block.cidr.to_string() == "10.0.0.0/24"));
        assert_eq!(warnings(&found), ["NP-31: `10.0.0.5/24` has bits set behind its prefix"]);
    }

    #[test]
    fn an_address_without_a_prefix_is_explained() {
        // NP-31
        let (_, found) = lowered(PolicyPeer {
            ip_block: Some(Spanned::nowhere(WrittenBlock { cidr: Some(spanned("fd00::1")), except: None })),
            ..PolicyPeer::default()
        });
        assert_eq!(found[0].help.as_deref(), Some("for one address write `fd00::1/128`"));
    }
}
