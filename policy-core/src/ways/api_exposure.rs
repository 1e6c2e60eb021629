//! What a `kubectl proxy` opens to the outside: everything that its user may reach through the API server (API-9).

use crate::analysis::Analysis;
use crate::model::api_server::{ApiCondition, ApiWay};
use crate::model::{
    AddressSet, Family, Finding, Hop, Knob, Name, Party, PodState, Protocol, Proviso, Verdict, WayKind,
};
use crate::ways::Ways;
use crate::ways::api_server::ApiServer;
use crate::ways::clients::{Clients, Part};
use crate::ways::walk::Way;

/// The ways to all pods that instances of `kubectl proxy` open to some of the outside.
pub(super) fn kubectl_proxies(analysis: &Analysis, ways: &Ways, outside: &AddressSet) -> Vec<Way> {
    let api = ApiServer::new(&analysis.cluster, &analysis.profile, &ways.endpoints, analysis);
    let mut found = Vec::new();
    for proxy in api.kubectl_proxies() {
        let hops = vec![Hop::Address { at: proxy.ip, port: proxy.port }, Hop::ApiServer];
        for (id, pod) in analysis.cluster.pods.iter().filter(|(_, pod)| pod.state != PodState::Finished) {
            let namespace = &analysis.cluster.namespaces.at(pod.namespace).name;
            let url = format!("/api/v1/namespaces/{namespace}/pods/{}/proxy/", pod.name);
            let of = |clients: AddressSet| {
                let source = clients.first().map(Party::Address)?;
                let way = api.through(proxy, source, "GET", &url).ok()?;
                let port = way.legs.first().map_or(0, |leg| leg.port);
                Some((Part { clients: Clients::Outside(clients), finding: finding(&way), legs: Vec::new() }, port))
            };
            let parts: Vec<(Part, u16)> =
                by_routing(&outside.of(Family::of(proxy.ip))).into_iter().filter_map(of).collect();
            let port = parts.iter().map(|(_, port)| *port).max().unwrap_or(0);
            found.push(Way {
                kind: WayKind::ApiProxy,
                protocol: Protocol::Tcp,
                hops: hops.clone(),
                pods: vec![id],
                address: None,
                port,
                parts: parts.into_iter().map(|(part, _)| part).collect(),
                served: None,
            });
        }
    }
    found
}

/// Addresses that private networks use, and the rest: nothing else decides whether somebody gets to where a proxy
/// listens.
fn by_routing(outside: &AddressSet) -> Vec<AddressSet> {
    let near = crate::ways::forward::neighbours().intersection(outside);
    let far = outside.difference(&near);
    [far, near].into_iter().filter(|addresses| !addresses.is_empty()).collect()
}

fn finding(way: &ApiWay) -> Finding {
    let provisos = way.conditions.iter().map(|condition| match condition {
        ApiCondition::Access(request) => Proviso::Rbac(Name::from(request.to_string())),
        ApiCondition::Called(name) => Proviso::called(name),
        ApiCondition::HostHeader => Proviso::Credential(Name::from("Host: localhost")),
    });
    let mut provisos: Vec<Proviso> = provisos.collect();
    provisos.sort();
    let mut knobs = way.knobs;
    if way.verdict == Verdict::Undefined && knobs.is_empty() {
        knobs = crate::model::KnobSet::one(Knob::ApiServerAddresses);
    }
    let flags = way.legs.first().map(|leg| leg.flags.clone()).unwrap_or_default();
    Finding { verdict: way.verdict, rule: way.rule, knobs, provisos, flags }
}
