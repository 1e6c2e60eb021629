//! What the binary sees to before it enforces: conntrack, and bridges that go past netfilter.

use policy_core::model::Protocol::Tcp;
use tests::netns::{Place, run as run_program};

use super::agent::{Agent, Workplace, run, run_well};
use super::stage::{BOTH, DB, FAR, NEAR, ONE, Stage, TWO, WEB, at, cut_off, policy, within};

const SWITCHES: [&str; 2] = ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"];

/// The tables of `nft` at a place.
fn tables(stage: &Stage, place: Place) -> String {
    run_program(stage.network.at(place).unwrap(), "nft", &["list", "ruleset"], "").unwrap()
}

/// What the switches are at a place.
fn switches(stage: &Stage, place: Place) -> [String; 2] {
    let read = |name| std::fs::read_to_string(format!("/proc/sys/net/{name}")).unwrap().trim().to_owned();
    stage.network.at(place).unwrap().inside(|| SWITCHES.map(read)).unwrap()
}

/// Nobody follows connections on node one: what stands for kube-proxy's rules is gone.
fn without_conntrack() -> Stage {
    let stage = Stage::bare(false);
    run_program(stage.network.at(ONE).unwrap(), "nft", &["flush", "ruleset"], "").unwrap();
    stage
}

/// Web may be dialled by near and dial nobody: replies pass only if they are known for what they are.
fn replies_matter() -> String {
    let near = "ingress: [{from: [{podSelector: {matchLabels: {app: near}}}]}]";
    policy("web", "web", &format!("policyTypes: [Ingress, Egress], {near}"))
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn connections_are_followed_where_nobody_else_wants_them_followed() {
    within(90, || {
        let (stage, place) = (without_conntrack(), Workplace::new());
        let manifests = place.manifests(&replies_matter());
        let dials = |from| BOTH.map(|family| Stage::dial(from, at(WEB, family, 80), Tcp));
        let agent = Agent::start(&stage, ONE, &manifests, &["--pins", place.pins()]);
        assert!(tables(&stage, ONE).contains("table inet portolan-"), "{}", tables(&stage, ONE));
        stage.answered(&dials(NEAR));
        stage.silent(&dials(FAR));
        // Nobody else can take the rule away.
        run_program(stage.network.at(ONE).unwrap(), "nft", &["flush", "ruleset"], "").unwrap();
        stage.answered(&dials(NEAR));
        // However the agent ends, nothing stays.
        agent.kill();
        assert_eq!(tables(&stage, ONE), "");

        let detach = ["apply", "--node", "one", "-f", &manifests, "--pins", place.pins(), "--detach"];
        for _ in 0..2 {
            run_well(&stage, ONE, &detach);
            assert_eq!(tables(&stage, ONE).matches("ct state").count(), 1, "{}", tables(&stage, ONE));
            stage.answered(&dials(NEAR));
            stage.silent(&dials(FAR));
        }
        // A trial beside it takes nothing along when it ends.
        drop(Agent::start(&stage, ONE, &manifests, &["--pins", place.pins()]));
        stage.answered(&dials(NEAR));
        // What the rule is for.
        run_program(stage.network.at(ONE).unwrap(), "nft", &["delete", "table", "inet", "portolan"], "").unwrap();
        stage.silent(&dials(NEAR));
        run_well(&stage, ONE, &detach);
        run_well(&stage, ONE, &["cleanup", "--pins", place.pins()]);
        assert_eq!(tables(&stage, ONE), "");
        run_well(&stage, ONE, &["cleanup", "--pins", place.pins()]);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_bridge_that_goes_past_netfilter_is_refused_or_set_right() {
    within(90, || {
        let (stage, place) = (Stage::bare(true), Workplace::new());
        let manifests = place.manifests(&cut_off("web"));
        let apply = ["apply", "--node", "one", "-f", &manifests, "--pins", place.pins(), "--detach"];
        let with = |more: &'static str| [&apply[..], &[more]].concat();
        let dials = BOTH.map(|family| Stage::dial(NEAR, at(WEB, family, 80), Tcp));
        let set = |names: &[&str], value| {
            names.iter().for_each(|name| stage.network.at(ONE).unwrap().set(name, value).unwrap());
        };
        set(&SWITCHES, "0");
        let said = |arguments: &[&str]| {
            let output = run(&stage, ONE, arguments);
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        let refused = said(&apply);
        for text in [
            "br0",
            "net.bridge.bridge-nf-call-iptables",
            "net.bridge.bridge-nf-call-ip6tables",
            "--set-sysctls",
            "--force",
        ] {
            assert!(refused.contains(text), "{refused}");
        }
        assert_eq!(run(&stage, ONE, &["status", "--pins", place.pins()]).status.code(), Some(1), "nothing is enforced");
        assert_eq!(switches(&stage, ONE), ["0", "0"]);
        // Only what is off is named, and set.
        set(&SWITCHES[..1], "1");
        let refused = said(&apply);
        assert!(
            !refused.contains("bridge-nf-call-iptables") && refused.contains("bridge-nf-call-ip6tables"),
            "{refused}"
        );

        let forced = run_well(&stage, ONE, &with("--force"));
        assert!(
            forced.contains("warning: pods are on the bridge br0, and net.bridge.bridge-nf-call-ip6tables is not 1"),
            "{forced}"
        );
        let [four, six] = dials;
        stage.silent(&[four]);
        stage.answered(&[six]);
        let told = run_well(&stage, ONE, &with("--set-sysctls"));
        assert!(told.contains("set net.bridge.bridge-nf-call-ip6tables=1") && !told.contains("iptables=1"), "{told}");
        assert_eq!(switches(&stage, ONE), ["1", "1"]);
        stage.silent(&dials);
        // All is well: nothing to say.
        let told = run_well(&stage, ONE, &apply);
        assert!(!told.contains("warning") && !told.contains("set net"), "{told}");

        // A bridge that asks netfilter by itself needs no switch.
        set(&SWITCHES, "0");
        let own = "link set br0 type bridge nf_call_iptables 1 nf_call_ip6tables 1".to_owned();
        stage.network.ip(ONE, &[own]).unwrap();
        run_well(&stage, ONE, &apply);
        stage.silent(&dials);
    });
}

#[test]
#[ignore = "makes network namespaces and sends packets: needs root; ./test runs it"]
fn a_bridge_that_leads_to_no_pod_of_the_node_stops_nobody() {
    within(60, || {
        let (stage, place) = (Stage::bare(false), Workplace::new());
        let manifests = place.manifests(&cut_off("web"));
        let other = ["link add br7 type bridge", "addr add 172.30.0.1/24 dev br7", "link set br7 up"];
        stage.network.ip(ONE, &other.map(str::to_owned)).unwrap();
        SWITCHES.iter().for_each(|name| stage.network.at(ONE).unwrap().set(name, "0").unwrap());
        let told =
            run_well(&stage, ONE, &["apply", "--node", "one", "-f", &manifests, "--pins", place.pins(), "--detach"]);
        assert!(!told.contains("br7"), "{told}");
        stage.silent(&[Stage::dial(DB, at(WEB, BOTH[0], 80), Tcp)]);
        assert_eq!(switches(&stage, ONE), ["0", "0"]);
        assert!(tables(&stage, TWO).contains("follow"), "the other node is left alone");
    });
}
