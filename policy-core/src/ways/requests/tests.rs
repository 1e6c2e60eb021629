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

#[test]
fn a_match_covers_another_only_if_it_takes_all_of_its_requests() {
    use crate::ways::requests::overlap::covers;
    let name = Name::from;
    let hosts = [
        HostMatch::Any,
        HostMatch::Exact(name("a.b.c")),
        HostMatch::Exact(name("b.c")),
        HostMatch::OneLabel(name("b.c")),
        HostMatch::Labels(name("b.c")),
        HostMatch::Labels(name("c")),
    ];
    let paths = [
        PathMatch::Any,
        PathMatch::Exact(name("/a")),
        PathMatch::Exact(name("/a/b")),
        PathMatch::Elements(name("")),
        PathMatch::Elements(name("/a")),
        PathMatch::Elements(name("/a/b")),
        PathMatch::Characters(name("/")),
        PathMatch::Characters(name("/a")),
        PathMatch::Characters(name("/a/")),
        PathMatch::Characters(name("/ab")),
    ];
    let asked_hosts = [None, Some("a.b.c"), Some("x.b.c"), Some("y.x.b.c"), Some("b.c"), Some("c"), Some("d")];
    let asked_paths = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/abc", "/ab/c", "/b"];
    let takes = |when: &RequestMatch, host: Option<&str>, path: &str| {
        when.matches(host, &Request::get(host, path)) == Some(true)
    };
    let all: Vec<RequestMatch> =
        hosts.iter().flat_map(|host| paths.iter().map(|path| on(host.clone(), path.clone()))).collect();
    let mut covered = 0;
    for one in &all {
        for other in all.iter().filter(|other| covers(one, other)) {
            covered += 1;
            for host in asked_hosts {
                for path in asked_paths.iter().filter(|path| takes(other, host, path)) {
                    assert!(takes(one, host, path), "{one:?} covers {other:?}, but {host:?} {path}");
                }
            }
        }
    }
    assert!(covered > all.len() * 4, "{covered} pairs");
    // Conditions that the other does not have.
    let post = RequestMatch { methods: vec![name("POST")], ..RequestMatch::everything() };
    let header = vec![(name("x"), ValueMatch::Present)];
    let tenant = RequestMatch { headers: header, ..RequestMatch::everything() };
    for narrow in [&post, &tenant] {
        assert_eq!((covers(narrow, &all[0]), covers(&all[0], narrow), covers(narrow, narrow)), (false, true, true));
    }
}

#[test]
fn the_index_of_hosts_misses_none_that_overlaps() {
    use crate::ways::requests::overlap::{Hosts, overlap};
    let names = ["c", "b.c", "a.b.c", "x.c", "ab.c", "d.a.b.c", "y"];
    let each = names
        .map(Name::from)
        .map(|name| [HostMatch::Exact(name.clone()), HostMatch::OneLabel(name.clone()), HostMatch::Labels(name)]);
    let hosts = [HostMatch::Any].into_iter().chain(each.into_iter().flatten());
    let router = router(hosts.map(|host| on(host, PathMatch::Any)).collect());
    let index = Hosts::new(&router.rules);
    let mut passed_over = 0;
    for rule in &router.rules {
        let near: Vec<usize> = index.near(&rule.when.host).collect();
        assert!(near.is_sorted());
        for (at, other) in router.rules.iter().enumerate() {
            assert!(near.contains(&at) || !overlap(&rule.when, &other.when), "{:?} {:?}", rule.when, other.when);
            passed_over += usize::from(!near.contains(&at));
        }
    }
    assert!(passed_over > router.rules.len() * 5, "{passed_over}");
}
