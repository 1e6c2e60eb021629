//! Regions of small routers, written out.

use super::*;
use crate::model::http::{Action, RegexStyle, RouteOrigin};

fn rule(rank: u32, when: RequestMatch) -> RouteRule {
    RouteRule {
        rank,
        lane: rank,
        when,
        checks: Vec::new(),
        then: Action::Answer { status: u16::try_from(200 + rank).unwrap(), why: Name::from("") },
        origin: RouteOrigin {
            kind: "Ingress",
            namespace: Name::from("x"),
            name: Name::from("x"),
            path: Name::from(rank.to_string()),
            span: None,
        },
        rule: "ING-6",
    }
}

fn on(host: HostMatch, path: PathMatch) -> RequestMatch {
    RequestMatch { host, path, ..RequestMatch::everything() }
}

fn path(path: PathMatch) -> RequestMatch {
    on(HostMatch::Any, path)
}

fn router(rules: Vec<RequestMatch>) -> Router {
    Router {
        rules: rules.into_iter().enumerate().map(|(rank, when)| rule(u32::try_from(rank).unwrap(), when)).collect(),
    }
}

/// Ranks of the regions, `-` for what no rule takes; each with the witness, which must lie in it.
fn shown(router: &Router, within: &RequestMatch) -> Vec<String> {
    let regions = partition(router, within);
    let each = regions.iter().map(|region| {
        let rank = region.rule.map_or("-".to_owned(), |rule| rule.rank.to_string());
        let Some(witness) = &region.witness else { return format!("{rank}?") };
        let host = witness.host.as_deref();
        assert_eq!(within.matches(host, witness), Some(true));
        match router.route(host, witness) {
            crate::model::http::Routed::Rule(rule) => assert_eq!(Some(rule), region.rule),
            crate::model::http::Routed::Nothing => assert_eq!(region.rule, None),
            _ => {}
        }
        format!("{rank} {} {}{}", witness.method, host.unwrap_or("-"), witness.path)
    });
    each.collect()
}

fn text(text: &str) -> Name {
    Name::from(text)
}

#[test]
fn longer_paths_cut_into_shorter_ones() {
    // ING-6
    let rules = vec![
        path(PathMatch::Exact(text("/api/v1"))),
        path(PathMatch::elements("/api")),
        path(PathMatch::elements("/")),
        path(PathMatch::elements("/late")),
    ];
    let router = router(rules);
    let found = shown(&router, &RequestMatch::everything());
    assert_eq!(found, ["0 GET host.example/api/v1", "1 GET host.example/api", "2 GET host.example/"]);
    let regions = partition(&router, &RequestMatch::everything());
    assert_eq!(regions[2].except.len(), 2);
    // Of one path, one rule is left.
    let within = path(PathMatch::Exact(text("/api/v1/x")));
    assert_eq!(shown(&router, &within), ["1 GET host.example/api/v1/x"]);
}

#[test]
fn what_no_rule_takes_is_a_region_of_its_own() {
    // ING-7
    let shop = HostMatch::Exact(text("shop.example"));
    let router = router(vec![on(shop.clone(), PathMatch::elements("/a"))]);
    assert_eq!(shown(&router, &on(shop, PathMatch::Any)), ["0 GET shop.example/a", "- GET shop.example/"]);
}

#[test]
fn wildcards_are_cut_by_names_below_them() {
    // ING-5, GW-3
    let rules = vec![
        on(HostMatch::Exact(text("a.foo.com")), PathMatch::Any),
        on(HostMatch::OneLabel(text("foo.com")), PathMatch::Any),
        on(HostMatch::Labels(text("foo.com")), PathMatch::Any),
    ];
    let router = router(rules);
    let found = shown(&router, &on(HostMatch::Labels(text("foo.com")), PathMatch::Any));
    assert_eq!(found, ["0 GET a.foo.com/", "1 GET any.foo.com/", "2 GET very.other.foo.com/"]);
}

#[test]
fn a_rule_that_others_hide_wholly_has_no_region() {
    let rules = vec![
        RequestMatch { methods: vec![text("GET")], ..path(PathMatch::elements("/a")) },
        RequestMatch { headers: vec![(text("x"), ValueMatch::Exact(text("1")))], ..path(PathMatch::elements("/a")) },
        path(PathMatch::Characters(text("/a"))),
        path(PathMatch::elements("/a/b")),
    ];
    let router = router(rules);
    let found = shown(&router, &path(PathMatch::elements("/a")));
    assert_eq!(found, ["0 GET host.example/a", "1 POST host.example/a", "2 POST host.example/a"]);
}

#[test]
fn expressions_are_compared_exactly() {
    // ING-17
    let regex = |written: &str| PathMatch::Regex(HttpRegex::new(written, RegexStyle::WHOLE));
    let rules = vec![path(regex("/[a-c]+")), path(regex("/[a-b]+")), path(regex("/[a-d]{2}")), path(regex("/a(?=b)"))];
    let router = router(rules);
    let found = shown(&router, &path(regex("/[a-z]{1,2}")));
    // /d? and /?d with letters from a to d are left for the third; the fourth cannot be decided.
    assert_eq!(found, ["0 GET host.example/a", "2 GET host.example/ad", "3?", "- GET host.example/d"]);
    let regions = partition(&router, &path(regex("/[a-z]{1,2}")));
    assert_eq!(regions[2].undecided, [text("/a(?=b)")]);
    assert_eq!(regions[3].undecided, [text("/a(?=b)")]);
}

#[test]
fn rules_of_one_rank_contest_what_both_take() {
    // ING-12
    let mut router = router(vec![path(PathMatch::elements("/a")), path(PathMatch::elements("/a/b"))]);
    for (lane, rule) in (0..).zip(&mut router.rules) {
        (rule.rank, rule.lane) = (0, lane);
    }
    let count = |router: &Router| -> Vec<(usize, usize)> {
        let regions = partition(router, &RequestMatch::everything());
        regions.iter().map(|region| (region.except.len(), region.contested.len())).collect()
    };
    assert_eq!(count(&router), [(0, 1), (0, 1), (0, 0)]);
    // GW-7: those of one lane come in their order.
    router.rules.reverse();
    router.rules.iter_mut().for_each(|rule| rule.lane = 0);
    assert_eq!(count(&router), [(0, 0), (1, 0), (0, 0)]);
}
