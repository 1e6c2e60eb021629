//! The reference and the indexed form of ways agree: on the endpoints of every Service, and on every packet.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use fixtures::strategy::{case, packet_seed};
use policy_core::model::{
    Client, Decision, Deliver, Delivery, Endpoint, NodeView, Packet, PodState, Protocol, SourceAddress,
};
use policy_core::spec::Spec;
use policy_core::ways::Ways;
use proptest::collection::vec;
use proptest::{prop_assert, prop_assert_eq};
use tests::property::check;

#[test]
fn spec_and_ways_have_the_same_endpoints() {
    // SVC-5, SVC-9, SVC-10
    let kinds: RefCell<BTreeSet<&str>> = RefCell::default();
    check(800, &case(1), |case| {
        let (cluster, profile) = (&case.cluster, &case.profile);
        let ways = Ways::new(cluster, profile);
        let spec = Spec::new(cluster, profile);
        for service in cluster.services.ids() {
            let members: Vec<Endpoint> = ways.endpoints.members(service).to_vec();
            prop_assert_eq!(&members, &spec.endpoints(service));
            let mut kinds = kinds.borrow_mut();
            for member in &members {
                kinds.insert(if member.given.is_some() { "given" } else { "computed" });
                kinds.extend((member.address.is_none()).then_some("without address"));
                kinds.extend(member.pod.is_none().then_some("without pod"));
                kinds.extend((!member.conditions.ready).then_some("not ready"));
                kinds.extend(member.conditions.terminating.then_some("terminating"));
                let Some(pod) = member.pod else { continue };
                prop_assert!(ways.endpoints.services_of(pod).contains(&service));
                prop_assert!(cluster.pods.at(pod).state != PodState::Finished);
            }
        }
        for pod in cluster.pods.ids() {
            for service in ways.endpoints.services_of(pod) {
                prop_assert!(ways.endpoints.members(*service).iter().any(|member| member.pod == Some(pod)));
            }
            for (port, number) in ways.endpoints.ports_of(cluster, pod) {
                let leads = |family| ways.endpoints.of(cluster, port, family).into_iter();
                let all = policy_core::model::Family::ALL.into_iter().flat_map(leads);
                let mut all = all.filter(|(endpoint, at)| endpoint.pod == Some(pod) && *at == number);
                prop_assert!(all.next().is_some() || cluster.slices.len() > 1);
            }
        }
        Ok(())
    });
    let wanted = ["computed", "given", "not ready", "terminating", "without address", "without pod"];
    assert_eq!(kinds.into_inner().into_iter().collect::<Vec<_>>(), wanted);
}

/// What a decision says, in a word.
fn word(decision: &Decision) -> &'static str {
    match decision.delivery {
        Delivery::Endpoints(_) => "endpoints",
        Delivery::Drop => "drop",
        Delivery::Reject => "reject",
        Delivery::Unchanged => "unchanged",
        Delivery::Accept => "accept",
        Delivery::Undefined(_) => "undefined",
    }
}

#[test]
fn spec_and_ways_do_the_same_with_every_packet() {
    // KP-1 … KP-9, SVC-7, SVC-22 … SVC-24, HP-1 … HP-4, HP-7
    let seen: RefCell<BTreeMap<String, u64>> = RefCell::default();
    check(1500, &(case(1), vec(packet_seed(), 1..=48)), |(case, seeds)| {
        let cluster = &case.cluster;
        // Chance seldom turns both knobs at once that say what becomes of an address which no Service has.
        let mut strict = case.profile.clone();
        strict.set("kube_proxy_mode", "nftables").unwrap();
        strict.set("service_cidrs", "10.96.0.0/12").unwrap();
        let nobody = Packet {
            client: Client::Outside,
            source: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))),
            destination: IpAddr::V4(Ipv4Addr::new(10, 96, 7, 7)),
            port: 80,
            protocol: Protocol::Tcp,
        };
        let seeded = seeds.iter().map(|seed| (&case.profile, seed.packet(cluster)));
        let all: Vec<_> = seeded.chain([(&strict, (nobody, NodeView::unknown(false)))]).collect();
        let both = [&case.profile, &strict].map(|profile| Ways::new(cluster, profile));
        for (profile, (packet, at)) in all {
            let ways = &both[usize::from(std::ptr::eq(profile, &raw const strict))];
            let (fast, spec) = (ways.on(cluster, profile), Spec::new(cluster, profile));
            let wanted = spec.kube_proxy(&packet, &at);
            prop_assert_eq!(fast.kube_proxy(&packet, &at), wanted.clone(), "{:?} at {:?}", packet, at);
            let on_host = spec.host_ports(&packet, &at);
            prop_assert_eq!(fast.host_ports(&packet, &at), on_host.clone(), "{:?} at {:?}", packet, at);
            let both = spec.deliver(&packet, &at);
            prop_assert_eq!(fast.deliver(&packet, &at), both.clone(), "{:?} at {:?}", packet, at);
            let mut seen = seen.borrow_mut();
            let mut count = |what: String| *seen.entry(what).or_default() += 1;
            count(word(&wanted).to_owned());
            count(format!("{} {}", wanted.rule, word(&wanted)));
            count(format!("host port {}", word(&on_host)));
            count(both.rule.to_owned());
            for (frontend, _) in &wanted.by {
                count(format!("{frontend:?} {}", word(&wanted)));
            }
            for target in wanted.targets().iter().chain(on_host.targets()) {
                count(match target.source {
                    SourceAddress::Kept => "kept".to_owned(),
                    SourceAddress::Masqueraded => "masqueraded".to_owned(),
                    SourceAddress::Either(_) => "either".to_owned(),
                });
                count(if target.preferred { "preferred" } else { "not preferred" }.to_owned());
            }
            if let (Client::Pod(Some(pod)), [target]) = (packet.client, wanted.targets())
                && target.pod == Some(pod)
            {
                count("hairpin".to_owned());
            }
        }
        Ok(())
    });
    let seen = seen.into_inner();
    let wanted = [
        "ClusterIp drop",
        "ClusterIp endpoints",
        "ClusterIp reject",
        "ExternalIp drop",
        "ExternalIp endpoints",
        "ExternalIp undefined",
        "HP-7",
        "KP-4 drop",
        "KP-4 reject",
        "LoadBalancer drop",
        "LoadBalancer endpoints",
        "NodePort drop",
        "NodePort endpoints",
        "NodePort reject",
        "SVC-22 drop",
        "SVC-22 undefined",
        "SVC-24 accept",
        "SVC-7 drop",
        "SVC-7 reject",
        "either",
        "hairpin",
        "host port endpoints",
        "kept",
        "masqueraded",
        "not preferred",
        "unchanged",
    ];
    let missing: Vec<_> = wanted.into_iter().filter(|what| !seen.contains_key(*what)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?} in {seen:?}");
    let total: u64 =
        ["endpoints", "drop", "reject", "unchanged", "accept", "undefined"].iter().filter_map(|w| seen.get(*w)).sum();
    assert!(seen["endpoints"] * 20 >= total, "{seen:?}");
}
