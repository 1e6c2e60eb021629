//! What an agent finds where it pins: the pins of another layout, pins that are none of ours, and what an agent left behind
//! that was killed while it pinned.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use policy_core::model::Protocol::Udp;
use tests::netns::Place;

use super::agent::{Workplace, run, run_well};
use super::changes::{of_one_or_other, one_and_other};
use super::stage::{BOTH, DB, FAR, NEAR, ONE, Stage, V, WEB, at, within};
use super::stream::{Flood, Streams};

/// `apply --detach` on node one with these policies.
fn detach(stage: &Stage, place: &Workplace, policies: &str) {
    let manifests = place.manifests(policies);
    run_well(stage, ONE, &["apply", "--node", "one", "-f", &manifests, "--pins", place.pins(), "--detach"]);
}

/// The folder of this version's pins, and one as an agent with another layout has it.
fn versions(place: &Workplace) -> [PathBuf; 2] {
    let own: Vec<PathBuf> = fs::read_dir(place.pins()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [own] = own.as_slice() else { panic!("not one version below {}, but {own:?}", place.pins()) };
    [own.clone(), own.with_file_name("v0")]
}

fn names(folder: &Path) -> BTreeSet<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(folder).unwrap().map(name).collect()
}

/// Streams of which both sets of policies decide alike.
fn streams(stage: &Stage) -> Streams {
    let web = |family, port| at(WEB, family, port);
    let open = BOTH.map(|family| (NEAR, web(family, 80)));
    let closed: [(Place, _); 4] =
        [(DB, web(V::Four, 80)), (NEAR, web(V::Six, 9090)), (FAR, web(V::Four, 9090)), (FAR, web(V::Six, 80))];
    Streams::start(stage, &open, &closed)
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn an_agent_of_another_layout_is_replaced_under_traffic() {
    within(120, || {
        let (stage, place) = (Stage::bare(false), Workplace::new());
        let sets = one_and_other();
        detach(&stage, &place, &sets[0]);
        let [own, other] = versions(&place);
        let streams = streams(&stage);
        // An answer to one packet that slips through would be refused: what arrives is counted.
        let floods = BOTH.map(|family| Flood::start(&stage, DB, WEB, family));
        for which in [1, 0, 1, 0, 1, 0] {
            // What is pinned there is what an agent with another layout left: it goes on, and nobody reads it.
            fs::rename(&own, &other).unwrap();
            stage.expect(&of_one_or_other(1 - which));
            detach(&stage, &place, &sets[which]);
            assert!(own.exists() && !other.exists(), "{:?}", names(Path::new(place.pins())));
            assert_eq!(floods.each_ref().map(Flood::arrived), [0, 0], "both policies refuse them");
            // Were the other program still there, packets would have to please both.
            stage.expect(&of_one_or_other(which));
        }
        streams.end(100);
        fs::rename(&own, &other).unwrap();
        run_well(&stage, ONE, &["cleanup", "--pins", place.pins()]);
        thread::sleep(Duration::from_millis(200));
        assert!(floods.iter().all(|flood| flood.arrived() > 0), "nothing refuses them now");
        floods.into_iter().for_each(|flood| assert!(flood.end() > 10_000));
        stage.answered(&[Stage::dial(DB, at(WEB, V::Four, 80), Udp)]);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_pin_that_is_another_map_is_refused_and_what_was_enforced_still_is() {
    within(60, || {
        let (stage, place) = (Stage::bare(false), Workplace::new());
        let sets = one_and_other();
        detach(&stage, &place, &sets[0]);
        let [own, _] = versions(&place);
        let streams = streams(&stage);
        for (from, to) in [("rows", "between"), ("ports", "rows"), ("between", "ports")] {
            fs::rename(own.join(from), own.join(to)).unwrap();
        }
        let before = names(&own);
        let manifests = place.manifests(&sets[1]);
        for _ in 0..2 {
            let arguments = ["apply", "--node", "one", "-f", &manifests, "--pins", place.pins(), "--detach"];
            let output = run(&stage, ONE, &arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("ports is another map"), "{said}");
            assert_eq!(names(&own), before);
            stage.expect(&of_one_or_other(0));
        }
        streams.end(100);
    });
}

/// Takes away of a folder of pins what an agent had not pinned yet that was killed after `count` of them. It pins maps
/// in the order of their names but `control` last; then links, each under another name first.
fn cut_off_after(folder: &Path, count: usize) {
    let is_map = |name: &String| !name.starts_with("link-") && name != "program";
    let (mut maps, others): (Vec<String>, Vec<String>) = names(folder).into_iter().partition(is_map);
    maps.sort_by_key(|name| name == "control");
    assert!(count < maps.len(), "{maps:?}");
    for name in others.iter().chain(maps.iter().skip(count)) {
        fs::remove_file(folder.join(name)).unwrap();
    }
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn maps_of_an_agent_that_was_killed_while_it_pinned_are_not_mixed_with_those_of_the_next() {
    within(180, || {
        let stage = Stage::bare(false);
        let sets = one_and_other();
        for count in [1, 4, 7, 10, 12, 14] {
            let place = Workplace::new();
            detach(&stage, &place, &sets[1]);
            let [own, _] = versions(&place);
            cut_off_after(&own, count);
            detach(&stage, &place, &sets[0]);
            // What is at the hooks now uses its own tables: an agent that adopts the pins writes those, and nothing is
            // lost while it does.
            let streams = streams(&stage);
            detach(&stage, &place, &sets[1]);
            detach(&stage, &place, &sets[0]);
            streams.end(5);
            let status = run_well(&stage, ONE, &["status", "--pins", place.pins()]);
            assert!(status.contains("policy"), "after {count} pins: {status}");
        }
        stage.answered(&[Stage::dial(DB, at(WEB, V::Four, 80), Udp)]);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn links_of_an_agent_that_was_killed_while_it_renamed_them_do_not_stay() {
    within(120, || {
        let stage = Stage::bare(false);
        let sets = one_and_other();
        for link in 0..4 {
            let place = Workplace::new();
            detach(&stage, &place, &sets[1]);
            let [own, _] = versions(&place);
            let name = format!("link-{link}");
            fs::rename(own.join(&name), own.join(format!("{name}-new"))).unwrap();
            for later in link + 1..4 {
                fs::remove_file(own.join(format!("link-{later}"))).unwrap();
            }
            let open = BOTH.map(|family| (NEAR, at(WEB, family, 80)));
            let streams = Streams::start(&stage, &open, &[]);
            detach(&stage, &place, &sets[0]);
            streams.end(3);
            stage.expect(&of_one_or_other(0));
            assert!(names(&own).iter().all(|name| !name.ends_with("-new")), "{:?}", names(&own));
        }
    });
}
