//! A line of `batch` says what `can` says: every name that can stand at an end, with and without a port.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use tests::command::portolan;

/// Asks both about every pair; how many got each verdict, `error` among them.
fn compare(
    case: &str,
    sources: &[&str],
    destinations: &[(&str, Option<u16>)],
    knobs: &[&str],
) -> BTreeMap<String, usize> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus").join(case).join("manifests");
    let manifests = folder.to_str().unwrap().to_owned();
    let mut options = vec!["-q", "-f", &manifests];
    options.extend(knobs.iter().flat_map(|knob| ["--set", knob]));
    let pairs: Vec<_> = sources.iter().flat_map(|from| destinations.iter().map(move |to| (*from, *to))).collect();
    let questions = pairs.iter().map(|(from, (to, port))| match port {
        Some(port) => json!({"from": from, "to": to, "port": port}).to_string(),
        None => json!({"from": from, "to": to}).to_string(),
    });
    let questions = questions.collect::<Vec<String>>().join("\n");
    let answers = portolan([&["batch"], options.as_slice()].concat(), &questions).stdout;
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), pairs.len());
    let mut counts = BTreeMap::new();
    for ((from, (to, port)), answer) in pairs.iter().zip(&answers) {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let asked = format!("{to}{port}");
        let question = [&["can", from, &asked, "-o", "json"], options.as_slice()].concat();
        let said = portolan(&question, "");
        let word = match serde_json::from_str::<Value>(&said.stdout) {
            Ok(document) => {
                assert_eq!(
                    (&answer["verdict"], &answer["rule"]),
                    (&document["verdict"], &document["rule"]),
                    "{question:?}\n{answer:#}"
                );
                answer["verdict"].as_str().unwrap().to_owned()
            }
            // `can` refuses what has neither a pod nor a node at an end; a line says that nothing leads there.
            Err(_) if said.stderr.contains("there is nothing to ask") => "no-route".to_owned(),
            Err(_) => {
                assert!(answer.get("error").is_some(), "{question:?}: {}\n{answer:#}", said.stderr);
                "error".to_owned()
            }
        };
        *counts.entry(word).or_default() += 1;
    }
    counts
}

#[test]
fn lines_and_can_agree_about_ways() {
    // M-6, M-8, W-POD, SVC-16
    let sources =
        ["internet", "203.0.113.99", "192.168.4.4", "198.51.100.70", "shop/web", "ops/*", "node/n1", "*", "0.0.0.0/0"];
    let destinations = [
        ("shop/orders", Some(5432)),
        ("shop/web", Some(8080)),
        ("shop/web", None),
        ("shop/*", Some(7070)),
        ("shop/svc/cart", Some(80)),
        ("cart.shop", Some(80)),
        ("orders.shop", Some(5432)),
        ("payments.shop", Some(443)),
        ("198.51.100.1", Some(30432)),
        ("203.0.113.10", Some(443)),
        ("10.96.0.11", Some(80)),
        ("node/n1", Some(30432)),
        ("ops/node-metrics", Some(9100)),
        ("https://shop.example.com/cart", None),
        ("nobody.shop.svc", Some(80)),
        ("shop/svc/nobody", Some(80)),
        ("shop/nobody", Some(80)),
    ];
    for knobs in [&[][..], &["pod_cidr_routable=true"], &["local_snat_view=node"]] {
        let counts = compare("ways-shop", &sources, &destinations, knobs);
        for verdict in ["allowed", "denied", "no-route", "conditional", "no-listener", "error"] {
            assert!(counts.get(verdict).is_some_and(|count| *count > 2), "{knobs:?}: {counts:?}");
        }
    }
}

#[test]
fn lines_and_can_agree_about_users() {
    // API-2, API-3, API-6
    let sources =
        ["user/alice", "user/root", "user/nobody", "group/viewers", "serviceaccount/lab/robot", "user/carol", "user/"];
    let destinations = [
        ("shop/cart", Some(8080)),
        ("shop/cart", None),
        ("lab/*", Some(80)),
        ("shop/svc/cart", Some(80)),
        ("basket.lab", Some(80)),
        ("bank.lab", Some(443)),
        ("10.96.0.31", Some(80)),
        ("10.244.0.31", Some(8080)),
        ("node/n1", None),
        ("internet", Some(80)),
        ("user/alice", Some(80)),
        ("https://shop.example.com/", None),
    ];
    let counts = compare("api-002-users-of-the-api-server", &sources, &destinations, &[]);
    for verdict in ["allowed", "denied", "no-route", "conditional", "undefined", "error"] {
        assert!(counts.get(verdict).is_some_and(|count| *count > 2), "{counts:?}");
    }
}
