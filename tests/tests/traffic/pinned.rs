//! The binary on its node: what it reports, what outlives it, what it takes over.

use std::thread;
use std::time::Duration;

use policy_core::model::Protocol::{Tcp, Udp};
use serde_json::Value;
use tests::netns::{Dial, Place};

use super::agent::{Agent, Workplace, kill_after, run, run_well};
use super::stage::{BOTH, DB, FAR, NEAR, ONE, SPARE, Stage, V, WEB, at, cut_off, ground, pod, pods, policy, within};
use super::stream::{Stream, Streams};

fn admit(app: &str) -> String {
    policy("web", "web", &format!("ingress: [{{from: [{{podSelector: {{matchLabels: {{app: {app}}}}}}}]}}]"))
}

fn grid(open: &[Place], closed: &[Place]) -> Vec<(Dial, bool)> {
    let dials = |places: &[Place], wanted| {
        let both = |from: &Place| BOTH.map(|family| (Stage::dial(*from, at(WEB, family, 80), Tcp), wanted));
        places.iter().flat_map(both).collect::<Vec<_>>()
    };
    [dials(open, true), dials(closed, false)].concat()
}

/// Milliseconds after which an agent is killed.
const MOMENTS: [u64; 14] = [4, 8, 12, 16, 20, 25, 30, 40, 50, 60, 80, 100, 140, 180];

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn audit_reports_and_drops_nothing() {
    within(90, || {
        let (stage, place) = (Stage::bare(false), Workplace::new());
        let manifests = place.manifests(&admit("near"));
        let agent = Agent::start(&stage, ONE, &manifests, &["--audit", "--pins", place.pins()]);
        stage.expect(&grid(&[NEAR, FAR, DB, Place::Outside, ONE], &[]));
        let line = agent.wait_for("would drop shop/far -> shop/web TCP 80");
        assert!(line.contains("shop/web is isolated for ingress by shop/web"), "{line}");
        agent.wait_for("would drop 2001:db8::9 -> shop/web TCP 80");
        let lines = agent.lines();
        assert!(!lines.iter().any(|line| line.starts_with("drop") || line.contains("shop/near ->")), "{lines:?}");
        drop(agent);

        let agent = Agent::start(&stage, ONE, &manifests, &["--pins", place.pins()]);
        stage.expect(&grid(&[NEAR, ONE], &[FAR, DB, Place::Outside]));
        let line = agent.wait_for("drop shop/db -> shop/web TCP 80");
        assert!(line.starts_with("drop"), "{line}");
        drop(agent);
        // It sat at the hooks for as long as it lived.
        stage.expect(&grid(&[NEAR, FAR, DB], &[]));
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn an_audited_namespace_drops_nothing_and_the_others_do() {
    within(90, || {
        let (stage, place) = (Stage::bare(false), Workplace::new());
        // `near` is in a namespace of its own, and both namespaces admit nothing.
        let pods = pods().replace("{name: near, namespace: shop", "{name: near, namespace: trial");
        let trial = "{apiVersion: v1, kind: Namespace, metadata: {name: trial}}\n---\n";
        let closed = cut_off("web") + &cut_off("near").replace("namespace: shop", "namespace: trial");
        let manifests = place.write(&(ground() + trial + &pods + &closed));
        let dials = |to: Place| BOTH.map(|family| Stage::dial(FAR, at(to, family, 80), Tcp));
        let between = BOTH.map(|family| Stage::dial(NEAR, at(WEB, family, 80), Tcp));
        let audited = ["--audit-namespace", "trial", "--pins", place.pins()];
        let agent = Agent::start(&stage, ONE, &manifests, &audited);
        let open = dials(NEAR).map(|dial| (dial, true));
        // What `near` may not send it sends, but `web` takes nothing.
        let closed: Vec<_> = dials(WEB).into_iter().chain(between).map(|dial| (dial, false)).collect();
        stage.expect(&[open.to_vec(), closed].concat());
        let line = agent.wait_for("would drop shop/far -> trial/near TCP 80");
        assert!(line.contains("trial/near is isolated for ingress by trial/cut-off-near"), "{line}");
        let line = agent.wait_for("trial/near -> shop/web TCP 80");
        assert!(line.starts_with("drop") && line.contains("for ingress by shop/cut-off-web"), "{line}");
        drop(agent);

        let agent = Agent::start(&stage, ONE, &manifests, &["--pins", place.pins()]);
        stage.expect(&dials(NEAR).map(|dial| (dial, false)));
        drop(agent);
        let arguments =
            ["apply", "--node", "one", "-f", &manifests, "--audit-namespace", "shpo", "--pins", place.pins()];
        let refused = run(&stage, ONE, &arguments);
        let why = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(why.contains("there is no namespace `shpo`") && why.contains("shop, trial"), "{why}");
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn counters_of_policies_grow_and_are_never_given_to_others() {
    within(120, || {
        let (stage, place) = (Stage::bare(false), Workplace::new());
        let folder = tempfile::tempdir().unwrap();
        let run_folder = folder.path().join("run");
        let here = ["--pins", place.pins(), "--run", run_folder.to_str().unwrap()];
        let say = |arguments: &[&str]| run(&stage, ONE, &[arguments, &here].concat());
        let document = |arguments: &[&str]| -> Value {
            let output = say(arguments);
            assert!(output.status.success(), "{output:?}");
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let apply =
            |manifests: &str| assert!(say(&["apply", "--node", "one", "--detach", "-f", manifests]).status.success());
        let counted = |document: &Value, name: &str, what: &str| -> u64 {
            let policies = document["policies"].as_array().unwrap();
            policies.iter().filter(|one| one["name"] == name).map(|one| one[what].as_u64().unwrap()).sum()
        };
        let nothing = say(&["status", "--output", "json"]);
        assert_eq!(nothing.status.code(), Some(1));
        assert_eq!(serde_json::from_slice::<Value>(&nothing.stdout).unwrap()["pinned"], false);

        apply(&place.manifests(&admit("near")));
        stage.expect(&grid(&[NEAR], &[FAR]));
        let status = document(&["status", "--format", "json"]);
        assert_eq!((&status["version"], &status["audit"]), (&"portolan-status/v1".into(), &false.into()));
        let (passed, dropped) = (counted(&status, "shop/web", "passed"), counted(&status, "shop/web", "dropped"));
        assert!(passed > 0 && dropped > 0, "{status:#}");
        assert!(counted(&status, "(no policy)", "passed") > 0, "{status:#}");
        let hooks = status["hooks"].as_array().unwrap();
        assert!(hooks.len() == 4 && hooks.iter().all(|hook| hook["priority"] == 99), "{status:#}");
        let table = |name: &str| status["tables"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        // Four pods and two nodes.
        assert_eq!((&table("ends4")["used"], &table("ends6")["used"]), (&6.into(), &6.into()));
        assert!(
            table("ends4")["memory_bytes"].as_u64().unwrap() > 0 && table("identities")["used"].as_u64().unwrap() > 2
        );
        assert!(status["program"]["instructions"].as_u64().unwrap() > 1_000);

        stage.expect(&grid(&[NEAR], &[FAR]));
        let later = document(&["status", "--output", "json"]);
        assert!(counted(&later, "shop/web", "passed") > passed && counted(&later, "shop/web", "dropped") > dropped);

        // In a pipe: one interval, and nothing of what was before.
        let stream = Stream::open(&stage, NEAR, at(WEB, V::Four, 80));
        let top = document(&["top", "--interval", "0.5", "--output", "json"]);
        let count = stream.end();
        let first = &top["policies"][0];
        assert_eq!((&top["version"], &first["name"]), (&"portolan-top/v1".into(), &"shop/web".into()), "{top:#}");
        let in_interval = first["interval"]["passed"].as_u64().unwrap();
        assert!(in_interval > 20 && in_interval <= 2 * count.sent, "{top:#}");
        assert_eq!(first["interval"]["dropped"], 0, "{top:#}");
        assert!(first["total"]["dropped"].as_u64().unwrap() > 0, "{top:#}");
        let text = String::from_utf8(say(&["top", "--interval", "0.1"]).stdout).unwrap();
        assert!(!text.contains('\x1b') && text.matches("packets in").count() == 1, "{text}");

        // The same reasons in the other slot: counters go on. Pods more, policies the same.
        let before = counted(&document(&["status", "--output", "json"]), "shop/web", "passed");
        let more = ground() + &pods() + &pod("spare", "spare", "one", SPARE) + &admit("near");
        apply(&place.write(&more));
        let after = document(&["status", "--output", "json"]);
        assert!(counted(&after, "shop/web", "passed") >= before, "{before}: {after:#}");

        // Other policies begin at nothing, and words of other tables are not shown.
        apply(&place.manifests(&(admit("near") + &cut_off("near"))));
        let fresh = document(&["status", "--output", "json"]);
        assert!(counted(&fresh, "shop/web", "passed") < before, "{fresh:#}");
        stage.expect(&grid(&[], &[NEAR, FAR]));
        let status = document(&["status", "--output", "json"]);
        assert!(counted(&status, "shop/cut-off-near", "dropped") > 0, "{status:#}");
        let words = std::fs::read_dir(&run_folder).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&words, b"{}").unwrap();
        let status = document(&["status", "--output", "json"]);
        assert_eq!(counted(&status, "shop/cut-off-near", "dropped"), 0, "{status:#}");
        assert!(counted(&status, "(unknown reasons, replaced since)", "dropped") > 0, "{status:#}");

        assert!(say(&["cleanup"]).status.success());
        assert!(!run_folder.exists());
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn what_is_pinned_outlives_its_agents_and_the_next_one_takes_it_over() {
    within(120, || {
        let (stage, place) = (Stage::bare(false), Workplace::new());
        let pins = place.pins();
        let detach = |policies: &str| {
            let manifests = place.manifests(policies);
            run_well(&stage, ONE, &["apply", "--node", "one", "-f", &manifests, "--pins", pins, "--detach"])
        };
        assert!(detach(&admit("near")).contains("pinned below"));
        stage.expect(&grid(&[NEAR, ONE], &[FAR, DB, Place::Outside]));

        let open = BOTH.map(|family| (NEAR, at(WEB, family, 80)));
        let closed = [(FAR, at(WEB, V::Four, 80)), (DB, at(WEB, V::Six, 81))];
        let streams = Streams::start(&stage, &open, &closed);
        let manifests = place.manifests(&admit("near"));
        for _ in 0..4 {
            let agent = Agent::start(&stage, ONE, &manifests, &["--pins", pins]);
            agent.wait_for("packets have to please both");
            thread::sleep(Duration::from_millis(100));
            agent.kill();
            thread::sleep(Duration::from_millis(100));
        }
        // Others end in the middle of what they do.
        for after in MOMENTS {
            kill_after(&stage, after, &["apply", "--node", "one", "-f", &manifests, "--pins", pins, "--detach"]);
        }
        detach(&admit("near"));
        streams.end(100);

        // The next one has other policies, and what both admit goes on.
        let both = policy("other", "web", "ingress: [{from: [{podSelector: {matchLabels: {app: db}}}]}]");
        let open = [(NEAR, at(WEB, V::Four, 80))];
        let streams = Streams::start(&stage, &open, &[(FAR, at(WEB, V::Six, 80))]);
        detach(&(admit("near") + &both));
        detach(&admit("near"));
        detach(&(admit("near") + &both));
        streams.end(20);
        stage.expect(&grid(&[NEAR, DB, ONE], &[FAR, Place::Outside]));
        detach(&admit("far"));
        stage.expect(&grid(&[FAR, ONE], &[NEAR, DB, Place::Outside]));
        let status = run_well(&stage, ONE, &["status", "--pins", pins]);
        assert!(status.contains("policy"), "{status}");

        run_well(&stage, ONE, &["cleanup", "--pins", pins]);
        stage.expect(&grid(&[NEAR, FAR, DB, Place::Outside], &[]));
        stage.answered(&[Stage::dial(DB, at(WEB, V::Four, 80), Udp)]);
        assert_eq!(run(&stage, ONE, &["status", "--pins", pins]).status.code(), Some(1));
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn an_agent_that_was_killed_while_it_pinned_leaves_nothing_that_stops_the_next_one() {
    within(120, || {
        let stage = Stage::bare(false);
        for after in MOMENTS {
            let place = Workplace::new();
            let manifests = place.manifests(&admit("near"));
            let arguments = ["apply", "--node", "one", "-f", &manifests, "--pins", place.pins(), "--detach"];
            kill_after(&stage, after, &arguments);
            run_well(&stage, ONE, &arguments);
            stage.expect(&grid(&[NEAR], &[DB]));
            // The tables that were pinned are those that packets use.
            let status = run_well(&stage, ONE, &["status", "--pins", place.pins()]);
            assert!(status.contains("policy"), "{status}");
            place.manifests(&admit("db"));
            run_well(&stage, ONE, &arguments);
            stage.expect(&grid(&[DB], &[NEAR]));
        }
    });
}
