//! Each kind of cluster-wide policy as text, and what becomes of it.

use super::*;
use crate::ids::Id;
use crate::lower::testing::{accepted, anp, banp, cnp, from_text, help, refused};
use crate::model::TierPeer as Peer;

fn rules(count: usize) -> String {
    let rules = vec!["{action: Deny, from: [{namespaces: {}}]}"; count];
    format!("ingress: [{}]", rules.join(", "))
}

fn one_rule(rule: &str) -> TierRule {
    accepted(&cnp(&format!("egress: [{{{rule}}}]"))).0.egress.remove(0)
}

#[test]
fn the_three_kinds_say_the_same() {
    // CNP-1, CNP-2, CNP-4, ANP-1
    let of = |text: &str, accept: &str| {
        let rules = format!("ingress: [{{name: r, action: {accept}, from: [{{namespaces: {{}}}}]}}]");
        let (policy, found) = accepted(&text.replace("RULES", &rules));
        assert_eq!(found, Vec::<String>::new());
        let rule = &policy.rules(Direction::Ingress)[0];
        assert_eq!((rule.action, rule.name.as_deref()), (TierAction::Accept, Some("r")));
        assert!(policy.rules(Direction::Egress).is_empty());
        (policy.kind.to_string(), policy.tier, policy.priority)
    };
    assert_eq!(of(&cnp("RULES"), "Accept"), ("ClusterNetworkPolicy".to_owned(), Tier::Admin, Some(10)));
    assert_eq!(of(&anp("RULES"), "Allow"), ("AdminNetworkPolicy".to_owned(), Tier::Admin, Some(10)));
    assert_eq!(of(&banp("RULES"), "Allow"), ("BaselineAdminNetworkPolicy".to_owned(), Tier::Baseline, None));
    let baseline = cnp("RULES").replace("Admin", "Baseline");
    assert_eq!(of(&baseline, "Accept"), ("ClusterNetworkPolicy".to_owned(), Tier::Baseline, Some(10)));
}

#[test]
fn rules_keep_their_order_and_policies_get_one() {
    // CNP-3
    let rule = |action| format!("{{action: {action}, to: [{{namespaces: {{}}}}]}}");
    let (policy, _) = accepted(&cnp(&format!("egress: [{}, {}, {}]", rule("Pass"), rule("Accept"), rule("Deny"))));
    let actions: Vec<_> = policy.egress.iter().map(|rule| rule.action.to_string()).collect();
    assert_eq!(actions, ["Pass", "Accept", "Deny"]);
    let named = |name| cnp("").replace("{name: a}", &format!("{{name: {name}}}"));
    let (cluster, ..) = from_text(&[anp(""), named("z"), named("b"), banp("")].join("---\n"));
    let names: Vec<_> = cluster.cluster_policies.iter().map(|(id, policy)| (id.index(), &*policy.name)).collect();
    assert_eq!(names, [(0, "b"), (1, "z"), (2, "a"), (3, "default")]);
}

#[test]
fn what_must_be_there_is_missed() {
    // CNP-1, CNP-6, CNP-12, ANP-1
    let head = "apiVersion: policy.networking.k8s.io/v1alpha2";
    let bare = |kind: &str, spec: &str| {
        let version = if kind == "ClusterNetworkPolicy" { "v1alpha2" } else { "v1alpha1" };
        let head = head.replace("v1alpha2", version);
        refused(&format!("{head}\nkind: {kind}\nmetadata: {{name: default}}\n{spec}"))
            .into_iter()
            .map(|found| found.replace(&format!(" <{head}>"), ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        bare("ClusterNetworkPolicy", "spec: {}"),
        [
            "CNP-1: this ClusterNetworkPolicy has no `tier`",
            "CNP-12: this ClusterNetworkPolicy has no `priority`",
            "CNP-6: this ClusterNetworkPolicy has no `subject`",
        ]
    );
    assert_eq!(bare("ClusterNetworkPolicy", ""), ["CNP-12: this ClusterNetworkPolicy has no `spec`"]);
    assert_eq!(
        bare("AdminNetworkPolicy", "spec: {}"),
        ["ANP-1: this AdminNetworkPolicy has no `priority`", "CNP-6: this AdminNetworkPolicy has no `subject`"]
    );
    assert_eq!(
        bare("BaselineAdminNetworkPolicy", "spec: {}"),
        ["CNP-6: this BaselineAdminNetworkPolicy has no `subject`"]
    );
}

#[test]
fn each_of_these_is_rejected() {
    // ANP-1, CNP-12, TV-58
    let foo = banp("").replace("name: default", "name: foo");
    assert_eq!(refused(&foo), ["ANP-1: a BaselineAdminNetworkPolicy cannot be called `foo` <foo>"]);
    let accept = anp("ingress: [{action: Accept, from: [{namespaces: {}}]}]");
    assert_eq!(refused(&accept), ["ANP-1: `Accept` is not an action <Accept>"]);
    let high = cnp("").replace("priority: 10", "priority: 1001");
    assert_eq!(refused(&high), ["CNP-12: `1001` is not a priority <1001>"]);
    let many = "CNP-12: `ingress` has 26 entries <action: Deny, from: [{namespaces: {}}]>";
    assert_eq!(refused(&cnp(&rules(26)))[0].replace(['{', '}'], ""), many.replace(['{', '}'], ""));
    assert_eq!(accepted(&cnp(&rules(25))).0.ingress.len(), 25);
}

#[test]
fn bounds() {
    // CNP-2, CNP-12, ANP-1
    for priority in ["0", "1000"] {
        let text = cnp("").replace("priority: 10", &format!("priority: {priority}"));
        assert_eq!(accepted(&text).0.priority.unwrap().to_string(), priority);
    }
    assert_eq!(refused(&anp("").replace("priority: 10", "priority: -1")), ["ANP-1: `-1` is not a priority <-1>"]);
    assert_eq!(refused(&banp("priority: 10")), ["ANP-1: a BaselineAdminNetworkPolicy has no `priority` <10>"]);
    assert_eq!(accepted(&anp(&rules(100))).0.ingress.len(), 100);
    assert!(refused(&anp(&rules(101)))[0].starts_with("ANP-1: `ingress` has 101 entries"));
    let egress = rules(26).replace("ingress", "egress").replace("from", "to");
    assert!(refused(&cnp(&egress))[0].starts_with("CNP-12: `egress` has 26 entries"));
    let name = |length| {
        cnp(&format!("ingress: [{{name: {}, action: Deny, from: [{{namespaces: {{}}}}]}}]", "ü".repeat(length)))
    };
    assert_eq!(accepted(&name(100)).1, Vec::<String>::new());
    assert!(refused(&name(101))[0].starts_with("CNP-12: the name of a rule is too long <ü"));
}

#[test]
fn tiers_and_actions_are_words_of_the_kind() {
    // CNP-1, CNP-4, ANP-1
    let tier = |tier: &str| cnp("").replace("Admin", tier);
    assert_eq!(refused(&tier("admin")), ["CNP-1: `admin` is not a tier <admin>"]);
    assert_eq!(help(&tier("admin")), "write `Admin`");
    assert!(help(&tier("Middle")).starts_with("the tiers are `Admin`"));
    let with = |form: fn(&str) -> String, action: &str| {
        form(&format!("ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]"))
    };
    assert_eq!(refused(&with(cnp, "Allow")), ["CNP-4: `Allow` is not an action <Allow>"]);
    assert_eq!(
        help(&with(cnp, "Allow")),
        "write `Accept`: AdminNetworkPolicies say Allow, ClusterNetworkPolicies say Accept"
    );
    assert!(help(&with(anp, "accept")).starts_with("write `Allow`: AdminNetworkPolicies say Allow"));
    assert_eq!(help(&with(cnp, "deny")), "write `Deny`");
    assert_eq!(refused(&with(banp, "Pass")), ["ANP-1: `Pass` is not an action <Pass>"]);
    assert_eq!(
        help(&with(banp, "Pass")),
        "the actions of a BaselineAdminNetworkPolicy are `Allow`, `Deny`: no policy comes after it to pass to"
    );
    assert_eq!(help(&with(cnp, "Log")), "the actions of a ClusterNetworkPolicy are `Accept`, `Deny`, `Pass`");
    assert_eq!(
        refused(&cnp("ingress: [{from: [{namespaces: {}}]}]")),
        ["CNP-4: this rule has no `action` <{from: [{namespaces: {}}]}>"]
    );
}

#[test]
fn a_subject_is_namespaces_or_pods() {
    // CNP-6
    let of = |subject: &str| cnp("").replace("{namespaces: {}}", subject);
    let both = |subject: &str| {
        let (policy, found) = accepted(&of(subject));
        (format!("{} / {}", policy.subject.namespaces, policy.subject.pods), found)
    };
    assert_eq!(both("{namespaces: {matchLabels: {a: b}}}"), ("a=b / {}".to_owned(), vec![]));
    let pods = "{pods: {namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchLabels: {c: d}}}}";
    assert_eq!(both(pods), ("a=b / c=d".to_owned(), vec![]));
    assert_eq!(both("{pods: {namespaceSelector: {}, podSelector: {}}}"), ("{} / {}".to_owned(), vec![]));
    let message = "CNP-6: `pods` without `namespaceSelector` looks into every namespace <{podSelector: {}}>";
    assert_eq!(both("{pods: {podSelector: {}}}").1, [message]);
    assert_eq!(refused(&of("{}")), ["CNP-6: a subject must say whom <{}>"]);
    assert!(
        refused(&of("{namespaces: {}, pods: {podSelector: {}}}"))
            .iter()
            .any(|found| found.starts_with("CNP-6: `namespaces` and `pods` in one subject"))
    );
    assert_eq!(
        refused(&of("{pods: {namespaceSelector: {}}}")),
        ["CNP-12: `pods` without `podSelector` <{namespaceSelector: {}}>"]
    );
    let without = anp("").replace("{namespaces: {}}", "{pods: {podSelector: {}}}");
    assert_eq!(refused(&without), ["ANP-1: `pods` without `namespaceSelector` <{podSelector: {}}>"]);
    // NP-31
    assert_eq!(refused(&of("{namespaces: {matchLabels: {a: b c}}}")), ["NP-31: `b c` is not a label value <b c>"]);
}

#[test]
fn a_peer_that_is_not_understood_closes_the_rule() {
    // CNP-13, TV-53
    let of = |action: &str| {
        let peers = "{namespaces: {}}, {}";
        let protocols = "protocols: [{tcp: {destinationPort: {number: 80}}}]";
        let (policy, found) = accepted(&cnp(&format!("ingress: [{{action: {action}, from: [{peers}], {protocols}}}]")));
        let TierRule { action, peers, ports, .. } = policy.ingress[0].clone();
        (action, peers, ports == Ports::Any, found)
    };
    let warned = |becomes: &str| vec![format!("CNP-13: a peer that says nothing known: {becomes} <{{}}>")];
    let closed = (TierAction::Deny, TierPeers::Any, true, warned("the rule denies everything"));
    assert_eq!(of("Deny"), closed);
    assert_eq!(of("Pass"), closed);
    let nobody = (TierAction::Accept, TierPeers::OneOf(Vec::new()), false, warned("the rule matches nothing"));
    assert_eq!(of("Accept"), nobody);
}

#[test]
fn a_misspelt_member_of_a_peer_is_an_unknown_field() {
    // IN-3
    let found = refused_or_not(&cnp("ingress: [{action: Deny, from: [{namespces: {}}]}]"));
    assert_eq!(found[0], "IN-3: unknown field `namespces` <namespces>");
    let found = refused_or_not(&anp("ingress: [{action: Deny, from: [{namespaces: {}}], protocols: []}]"));
    assert_eq!(found[0], "IN-3: unknown field `protocols` <protocols>");
    let found = refused_or_not(&cnp("ingress: [{action: Deny, from: [{namespaces: {namespaceSelector: {}}}]}]"));
    assert_eq!(found[0], "IN-3: unknown field `namespaceSelector` <namespaceSelector>");
    let found = refused_or_not(&cnp("priorty: 3"));
    assert_eq!(found[0], "IN-3: unknown field `priorty` <priorty>");
}

fn refused_or_not(text: &str) -> Vec<String> {
    let (_, found, shown) = from_text(text);
    assert!(found[0].is_error());
    shown
}

#[test]
fn what_an_api_server_wrote_may_have_peers_of_a_newer_version() {
    // CNP-13
    let text = cnp("egress: [{action: Accept, to: [{planets: {}}]}]")
        .replace("{name: a}", "{name: a, uid: u, resourceVersion: '1'}");
    let (policy, found) = accepted(&text);
    assert_eq!(policy.egress[0].peers, TierPeers::OneOf(Vec::new()));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn named_ports_need_pods() {
    // CNP-11, ANP-3
    let of = |peer: &str| {
        cnp(&format!(
            "egress: [{{action: Accept, to: [{{namespaces: {{}}}}, {peer}], protocols: [{{destinationNamedPort: http}}]}}]"
        ))
    };
    for (field, peer) in [
        ("nodes", "{nodes: {}}"),
        ("networks", "{networks: [10.0.0.0/8]}"),
        ("domainNames", "{domainNames: [a.example.com]}"),
    ] {
        let expected = format!("CNP-11: the named port `http` in a rule with `{field}` <http>");
        assert_eq!(refused(&of(peer)), [expected]);
    }
    assert_eq!(accepted(&of("{pods: {namespaceSelector: {}, podSelector: {}}}")).1, Vec::<String>::new());
    let old = anp("egress: [{action: Deny, to: [{nodes: {}}], ports: [{namedPort: http}]}]");
    assert_eq!(refused(&old), ["ANP-3: the named port `http` in a rule with `nodes` <http>"]);
}

#[test]
fn the_old_and_the_new_api_in_one_input_are_remarked() {
    // ANP-4
    let head = "<apiVersion: policy.networking.k8s.io/v1alpha1>";
    let (cluster, _, found) = from_text(&[cnp(""), anp(""), banp("")].join("---\n"));
    assert_eq!(cluster.cluster_policies.len(), 3);
    let message = "ANP-4: AdminNetworkPolicy beside ClusterNetworkPolicy: which of them comes first is not defined";
    assert_eq!(found, [format!("{message} {head}")]);
    let (.., found) = from_text(&[anp(""), banp("")].join("---\n"));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn all_problems_of_a_policy_come_at_once_and_it_is_left_out() {
    // CNP-12
    let text = "\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: a}
spec:
  tier: Base
  priority: -3
  subject: {}
  ingress: [{action: Allow, from: []}, {action: Deny}]
  egress:
  - {action: Pass, to: [{networks: [10.0.0.0/33], nodes: {}}], protocols: [{tcp: {destinationPort: {number: 0}}}]}
";
    assert_eq!(
        refused(text),
        [
            "CNP-1: `Base` is not a tier <Base>",
            "CNP-12: `-3` is not a priority <-3>",
            "CNP-6: a subject must say whom <{}>",
            "CNP-4: `Allow` is not an action <Allow>",
            "CNP-12: `from` is empty <[]>",
            "CNP-12: this rule has no `from` <{action: Deny}>",
            "CNP-8: `nodes` and `networks` in one peer <[10.0.0.0/33]>",
            "CNP-9: `10.0.0.0/33` is not a CIDR <10.0.0.0/33>",
            "CNP-11: `0` is not a port number <0>",
        ]
    );
    let (cluster, ..) = from_text(text);
    assert!(cluster.incomplete);
}

#[test]
fn a_policy_given_twice_counts_once() {
    // IN-9
    let (cluster, _, found) = from_text(&[cnp(""), cnp(&rules(1))].join("---\n"));
    assert_eq!(cluster.cluster_policies.len(), 1);
    assert!(found[0].starts_with("IN-9: ClusterNetworkPolicy a is there twice"), "{found:?}");
    // The namespace of what lives in none does not count.
    let elsewhere = cnp("").replace("{name: a}", "{name: a, namespace: x}");
    assert_eq!(accepted(&elsewhere).1, Vec::<String>::new());
}

#[test]
fn a_rule_of_networks_has_a_peer_for_each() {
    // CNP-9
    let rule = one_rule("action: Deny, to: [{networks: [10.0.0.0/8, 'fd00::/8']}, {nodes: {}}]");
    let TierPeers::OneOf(peers) = rule.peers else { panic!() };
    assert!(matches!(peers.as_slice(), [Peer::Network { .. }, Peer::Network { .. }, Peer::Nodes { .. }]));
}
