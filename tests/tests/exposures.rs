//! Ways from outside that hinge on a knob.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use policy_core::analysis::Analysis;
use policy_core::model::{Flag, Knob, Profile, Protocol, Verdict, WayKind};
use policy_core::query::PortAsk;
use policy_core::ways::clients::Clients;
use policy_core::ways::dial::to_pods;
use policy_core::ways::exposure::exposures;
use policy_core::ways::walk::{Walk, Way};
use tests::pipeline::load;

/// Two nodes; a pod behind a load balancer and a node port, which admits 203.0.113.0/24 and nobody else.
const SHOP: &str = "
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 10.0.0.11}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: a, ports: [{containerPort: 8080, hostPort: 9000}]}]}
status: {phase: Running, podIP: 10.244.1.10, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  loadBalancerClass: edge
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.50}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}
";

/// The ways of a kind under these knobs.
fn ways(kind: WayKind, knobs: &[(&str, &str)]) -> Vec<Way> {
    ways_in(SHOP, kind, knobs)
}

fn ways_in(text: &str, kind: WayKind, knobs: &[(&str, &str)]) -> Vec<Way> {
    let loaded = load([("shop.yaml".to_owned(), text.to_owned())]);
    assert_eq!(loaded.errors().map(|error| loaded.describe(error)).collect::<Vec<_>>(), [""; 0]);
    let mut profile = Profile::default();
    for (knob, value) in knobs {
        profile.set(knob, value).unwrap();
    }
    let analysis = Analysis::new(loaded.cluster, profile);
    exposures(&analysis, &analysis.ways).into_iter().filter(|way| way.kind == kind).collect()
}

/// What becomes of an address.
fn verdict(way: &Way, address: &str) -> Verdict {
    let address = address.parse().unwrap();
    let holds = |clients: &Clients| match clients {
        Clients::Outside(addresses) => addresses.contains(address),
        Clients::Party(_) => panic!("somebody inside is among those outside"),
    };
    way.parts.iter().find(|part| holds(&part.clients)).map_or(Verdict::NoRoute, |part| part.finding.verdict)
}

#[test]
fn a_virtual_address_opens_what_its_holders_open() {
    // M-8, W-VIP
    assert!(ways(WayKind::Vip, &[]).is_empty());
    let of_service = ways(WayKind::Vip, &[("vips", "192.0.2.99=shop/web")]);
    let [way] = of_service.as_slice() else { panic!("{of_service:?}") };
    assert_eq!(
        (way.port, verdict(way, "203.0.113.7"), verdict(way, "198.51.100.7")),
        (8080, Verdict::Allowed, Verdict::Denied)
    );
    // Of a node: its host port and the node port.
    assert_eq!(ways(WayKind::Vip, &[("vips", "192.0.2.99=node/n1")]).len(), 2);
    assert_eq!(ways(WayKind::Vip, &[("vips", "192.0.2.99=node/n2")]).len(), 1);
}

#[test]
fn a_load_balancer_that_opens_connections_is_whom_the_pod_sees() {
    // M-6, SVC-22, SVC-23
    let vip = ways(WayKind::LoadBalancer, &[]);
    let [way] = vip.as_slice() else { panic!("{vip:?}") };
    assert_eq!((verdict(way, "203.0.113.7"), verdict(way, "198.51.100.7")), (Verdict::Allowed, Verdict::Denied));
    for kind in ["proxy_pod", "vip,edge=proxy_pod"] {
        let proxy = ways(WayKind::LoadBalancer, &[("lb_kind", kind)]);
        let [way] = proxy.as_slice() else { panic!("{proxy:?}") };
        // Its own address, 192.0.2.50, is not admitted.
        assert_eq!((verdict(way, "203.0.113.7"), verdict(way, "198.51.100.7")), (Verdict::Denied, Verdict::Denied));
    }
    let other = ways(WayKind::LoadBalancer, &[("lb_kind", "vip,other=proxy_pod")]);
    assert_eq!(other, vip);
}

#[test]
fn only_routed_addresses_get_to_pods_and_cluster_addresses() {
    // M-8, M-4
    for (kind, knob) in [(WayKind::Pod, Knob::PodCidrRoutable), (WayKind::ClusterIp, Knob::ServiceCidrRoutable)] {
        assert!(ways(kind, &[]).is_empty());
        let routed = ways(kind, &[(knob.name(), "203.0.113.0/28")]);
        let [way] = routed.as_slice() else { panic!("{routed:?}") };
        assert_ne!(verdict(way, "203.0.113.7"), Verdict::NoRoute);
        assert_eq!(verdict(way, "203.0.113.77"), Verdict::NoRoute);
    }
}

#[test]
fn a_load_balancer_is_pending_only_where_an_api_server_says_so() {
    // SVC-21
    let untold = SHOP.replace("status: {loadBalancer: {ingress: [{ip: 192.0.2.50}]}}", "status: {loadBalancer: {}}");
    let by_server = untold.replace(
        "metadata: {name: web, namespace: shop}\nspec:\n  type",
        "metadata: {name: web, namespace: shop, uid: a-b, resourceVersion: '7'}\nspec:\n  type",
    );
    assert_ne!(untold, by_server);
    let of = |text: &str| {
        let ways = ways_in(text, WayKind::LoadBalancer, &[]);
        let [way] = ways.as_slice() else { panic!("{ways:?}") };
        (verdict(way, "203.0.113.7"), way.parts.iter().map(|part| part.finding.rule).collect::<Vec<_>>())
    };
    assert_eq!(of(&untold).0, Verdict::Allowed);
    let (pending, rules) = of(&by_server);
    assert_eq!(pending, Verdict::NoRoute);
    assert!(rules.contains(&"SVC-21"), "{rules:?}");
}

#[test]
fn a_port_that_nobody_declares_is_dialled_all_the_same() {
    // M-5, W-POD
    let loaded = load([("shop.yaml".to_owned(), SHOP.to_owned())]);
    let mut profile = Profile::default();
    profile.set(Knob::PodCidrRoutable.name(), "true").unwrap();
    let analysis = Analysis::new(loaded.cluster, profile);
    let mut walk = Walk::new(&analysis, &analysis.ways.endpoints);
    let outside = walk.outside();
    let pods: Vec<_> = analysis.cluster.pods.ids().collect();
    let found = to_pods(&mut walk, &outside, &pods, &PortAsk::Number(Protocol::Tcp, 9999));
    let [way] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((way.kind, way.port, verdict(way, "203.0.113.7")), (WayKind::Pod, 9999, Verdict::Allowed));
    assert!(way.parts.iter().any(|part| part.finding.flags.contains(&Flag::UndeclaredPort)), "{way:?}");
}
