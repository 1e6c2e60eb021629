//! Names against a table of all names, and texts that are no names or URLs.

use std::collections::BTreeMap;

use policy_core::model::api_server::ProxyUrl;
use policy_core::ways::dns::{Resolution, resolve};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tests::property::check;

use super::{Case, case};

/// Every name of the common cluster's domain, written down one by one, with a mark of what it stands for.
fn table() -> BTreeMap<String, &'static str> {
    let names = [
        ("web.x.svc", "web"),
        ("heads.x.svc", "web-0"),
        ("web-0.heads.x.svc", "web-0"),
        // The pod names another Service as its own.
        ("10-244-1-10.web.x.svc", "web-0"),
        ("_http._tcp.web.x.svc", "web"),
        ("_http._tcp.heads.x.svc", "web-0"),
        ("kubernetes.default.svc", "api"),
        ("10-244-1-10.x.pod", "web-0"),
        ("10-244-1-10.z.pod", "web-0"),
    ];
    names.map(|(name, what)| (format!("{name}.cluster.local"), what)).into()
}

fn mark(case: &Case, resolution: &Resolution) -> Option<String> {
    match resolution {
        Resolution::ClusterIp(id) => Some(case.cluster.services.at(*id).name.to_string()),
        Resolution::ApiServer => Some("api".to_owned()),
        Resolution::Addresses(found) => {
            Some(case.cluster.pods.at(found.first().unwrap().pod.unwrap()).name.to_string())
        }
        Resolution::External(_) => Some("outside".to_owned()),
        Resolution::NxDomain { .. } => None,
    }
}

/// What a stub resolver does with a table, in so many words.
fn slowly(table: &BTreeMap<String, &'static str>, namespace: &str, name: &str) -> Option<String> {
    let inside = |full: &str| full == "cluster.local" || full.ends_with(".cluster.local");
    let look_up = |full: &str| match table.get(full) {
        Some(what) => Some((*what).to_owned()),
        None => (!inside(full) && full.contains('.') && !full.ends_with(".svc")).then(|| "outside".to_owned()),
    };
    let bare = name.trim_end_matches('.').to_lowercase();
    if name.ends_with('.') {
        return look_up(&bare);
    }
    let suffixes =
        [format!("{namespace}.svc.cluster.local"), "svc.cluster.local".to_owned(), "cluster.local".to_owned()];
    let below = || suffixes.iter().find_map(|suffix| look_up(&format!("{bare}.{suffix}")));
    if bare.split('.').count() > 5 { look_up(&bare).or_else(below) } else { below().or_else(|| look_up(&bare)) }
}

#[test]
fn names_agree_with_a_table_of_all_names() {
    // DNS-1, DNS-2, DNS-3, DNS-5
    let (case, table) = (case(""), table());
    let clients = [("x", case.pod("x", "web-0")), ("z", case.pod("z", "cli"))];
    let endpoints = case.endpoints();
    let labels =
        ["web", "Heads", "idle", "x", "z", "web-0", "_http", "_tcp", "10-244-1-10", "kubernetes", "default", "org"];
    let tails = ["", "svc", "svc.cluster.local", "pod", "pod.cluster.local", "cluster.local", "x.svc"];
    let free = (vec(select(labels.to_vec()), 0..5), select(tails.to_vec())).prop_map(|(labels, tail)| {
        let parts = labels.into_iter().chain(Some(tail).filter(|tail| !tail.is_empty()));
        parts.collect::<Vec<_>>().join(".")
    });
    // Names that there are, cut short somewhere, perhaps with a label too many.
    let known: Vec<String> = table.keys().cloned().collect();
    let known = (select(known), 1_usize..8, proptest::option::weighted(0.2, select(labels.to_vec())));
    let known = known.prop_map(|(name, keep, more)| {
        more.into_iter().chain(name.split('.').take(keep)).collect::<Vec<_>>().join(".")
    });
    let names = (prop_oneof![free, known], any::<bool>(), select(clients.to_vec()));
    let seen = std::cell::RefCell::new(BTreeMap::<Option<String>, usize>::new());
    check(3000, &names, |(name, dot, (namespace, client))| {
        let name = name + if dot { "." } else { "" };
        prop_assume!(!name.trim_end_matches('.').is_empty());
        let found = resolve(&case.cluster, &case.profile, &endpoints, Some(client), &name);
        let found = mark(&case, &found.resolution);
        prop_assert_eq!(&found, &slowly(&table, namespace, &name), "{} in {}", name, namespace);
        *seen.borrow_mut().entry(found).or_default() += 1;
        Ok(())
    });
    // No vacuous agreement.
    let seen = seen.into_inner();
    for wanted in [Some("web"), Some("web-0"), Some("outside"), Some("api"), None] {
        let count = seen.get(&wanted.map(str::to_owned)).copied().unwrap_or_default();
        assert!(count >= 10, "{wanted:?} only {count} times: {seen:?}");
    }
}

#[test]
fn no_text_is_too_strange_for_a_name_or_a_url() {
    // API-1, DNS-1
    let case = case("");
    let endpoints = case.endpoints();
    let piece = select(
        &["/", "api/v1/", "namespaces/", "services/", "a:b", "proxy/", "%4", "%41", "://", "?", "#", "ü", ".", "svc"][..],
    );
    let text = (any::<String>(), vec(piece, 0..9)).prop_map(|(any, pieces)| format!("{}{any}", pieces.concat()));
    check(2000, &text, |text| {
        let resolved = resolve(&case.cluster, &case.profile, &endpoints, None, &text);
        prop_assert!(!matches!(resolved.resolution, Resolution::Addresses(found) if found.is_empty()));
        if let Ok(url) = ProxyUrl::parse(&text) {
            prop_assert!(!url.name.is_empty() && url.path.starts_with('/') && url.segment.contains(&*url.name));
        }
        Ok(())
    });
}
