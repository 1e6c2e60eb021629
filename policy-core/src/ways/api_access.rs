//! The API server as a destination: how a pod reaches it, as whom it may ask, and the Services that its environment
//! tells it of (API-10 … API-12).

use std::net::{IpAddr, SocketAddr};

use crate::ids::{PodId, ServiceId};
use crate::model::api_server::{ApiLeg, ApiServerAccess, ApiSource, ApiWay, UrlError};
use crate::model::profile::EgressServiceView;
use crate::model::{
    Cluster, Direction, Family, Flow, Judgement, Knob, KnobSet, Party, PodState, Profile, Protocol, User, Verdict,
};
use crate::ways::api_server::{ApiServer, better, isolated, party_at};
use crate::ways::ready::{find_service, ready_on};

/// The port of the Service of the API server.
const SERVICE_PORT: u16 = 443;

/// The port on which API servers usually listen.
const USUAL_PORT: u16 = 6443;

impl ApiServer<'_> {
    /// How a pod reaches the API server through the Service `default/kubernetes`, which every cluster has, whether its
    /// manifest is in the input or not, and as whom it may ask (API-10, API-11).
    #[must_use]
    pub fn reached_by(&self, pod: PodId) -> ApiServerAccess {
        let service = find_service(self.cluster, "default", "kubernetes");
        let dialled = dialled(self.cluster, self.profile, service);
        let (servers, usual_port) = self.servers(service);
        let judged = servers.into_iter().map(|server| (server, self.judge_server(pod, server, dialled)));
        let servers: Vec<(SocketAddr, (Judgement, Option<Knob>))> = judged.collect();
        let mut access = ApiServerAccess {
            verdict: Verdict::NoRoute,
            rule: "API-10",
            service,
            dialled,
            servers: Vec::new(),
            usual_port,
            knobs: KnobSet::EMPTY,
            user: token(self.cluster, pod),
        };
        for (server, (judgement, open)) in servers {
            // Any of several may be chosen: the best counts, as it does among endpoints (M-6).
            let verdict = if open.is_some() { Verdict::Undefined } else { judgement.verdict };
            if access.servers.is_empty() || better(access.verdict, verdict) != access.verdict {
                (access.verdict, access.rule) = (verdict, if open.is_some() { "API-10" } else { judgement.rule });
                access.knobs = open.map_or(judgement.knobs(), KnobSet::one);
            }
            access.servers.push((server, judgement));
        }
        if access.servers.is_empty() {
            self.without_servers(pod, &mut access);
        }
        access
    }

    /// What comes of a request that a process in a pod makes with what the pod has: the way to the API server, the rights
    /// of its account, or of nobody where no token is mounted, and the way on from there (API-10, API-11).
    ///
    /// # Errors
    /// [`UrlError`] when the URL leads nowhere in the cluster.
    pub fn request_by(&self, pod: PodId, method: &str, url: &str) -> Result<ApiWay, UrlError> {
        let access = self.reached_by(pod);
        let user = access.user.clone().unwrap_or_else(|| User::named("system:anonymous"));
        let way = self.request(&user, method, url)?;
        let server = access.servers.iter().find(|(_, judgement)| judgement.verdict == access.verdict);
        let (address, judgement) = server.or(access.servers.first()).cloned().unzip();
        let destination = address.or(access.dialled).map(|address| (party_at(self.cluster, address.ip()), address));
        let entry = destination.map(|(destination, address)| ApiLeg {
            source: ApiSource::Party(Party::Pod(pod)),
            destination,
            family: Family::of(address.ip()),
            port: address.port(),
            verdict: access.verdict,
            rule: access.rule,
            knobs: access.knobs,
            flags: judgement.iter().flat_map(|judgement| judgement.flags.clone()).collect(),
            judgement,
        });
        Ok(way.behind(access.verdict, access.rule, access.knobs, entry))
    }

    /// One API server, and the knob that would settle what cannot be said of it.
    fn judge_server(&self, pod: PodId, server: SocketAddr, dialled: Option<SocketAddr>) -> (Judgement, Option<Knob>) {
        let destination = party_at(self.cluster, server.ip());
        let family = Family::of(server.ip());
        let flow = Flow::direct(Party::Pod(pod), destination, family, Protocol::Tcp, server.port());
        let judgement = self.judge.judge(&Flow { dialled, ..flow });
        // NP-23: where policies see the Service's address, it must be known.
        let sees_service = match self.profile.egress_service_view {
            Some(EgressServiceView::PostDnat) => false,
            Some(EgressServiceView::PreDnat | EgressServiceView::Both) => true,
            None => matches!(destination, Party::Address(_)),
        };
        let matters = sees_service && isolated(self.cluster, self.profile, pod, Direction::Egress);
        let open = (dialled.is_none() && matters).then_some(Knob::ServiceCidrs);
        (judgement, open)
    }

    /// Nobody says where the API server is: open where no policy has a say, else undefined.
    fn without_servers(&self, id: PodId, access: &mut ApiServerAccess) {
        let pod = self.cluster.pods.at(id);
        if pod.state == PodState::Finished {
            (access.verdict, access.rule) = (Verdict::NoRoute, "NP-27");
        } else if isolated(self.cluster, self.profile, id, Direction::Egress) {
            access.verdict = Verdict::Undefined;
            access.knobs = KnobSet::one(Knob::ApiServerAddresses);
        } else {
            access.verdict = Verdict::Allowed;
        }
    }

    /// The addresses of the API servers: what the input gives as endpoints of the Service, else the profile's, on the
    /// usual port; and whether it is that.
    fn servers(&self, service: Option<ServiceId>) -> (Vec<SocketAddr>, bool) {
        let given = service.map(|id| {
            let port = self.cluster.services.at(id).ports.iter().find(|port| port.port == SERVICE_PORT);
            let ready = port.map(|port| ready_on(self.cluster, self.endpoints, id, &port.name)).unwrap_or_default();
            let address = |address: Option<IpAddr>, port: u16| Some(SocketAddr::new(address?, port));
            ready.into_iter().filter_map(|(ready, port)| address(ready.address, port)).collect::<Vec<_>>()
        });
        match given {
            Some(given) if !given.is_empty() => (given, false),
            _ => {
                let mut known: Vec<SocketAddr> = self
                    .profile
                    .ways
                    .apiserver_addresses
                    .iter()
                    .map(|address| SocketAddr::new(*address, USUAL_PORT))
                    .collect();
                known.sort_unstable();
                known.dedup();
                let usual = !known.is_empty();
                (known, usual)
            }
        }
    }
}

/// What clients dial: the Service's address, else the first of the Services' first range.
fn dialled(cluster: &Cluster, profile: &Profile, service: Option<ServiceId>) -> Option<SocketAddr> {
    let written = service.and_then(|id| {
        let service = cluster.services.at(id);
        service.families.iter().find_map(|family| service.address(*family))
    });
    let first = || {
        let ranges = profile.ways.service_cidrs.nets();
        match ranges.first()?.network() {
            IpAddr::V4(network) => u32::from(network).checked_add(1).map(|ip| IpAddr::V4(ip.into())),
            IpAddr::V6(network) => u128::from(network).checked_add(1).map(|ip| IpAddr::V6(ip.into())),
        }
    };
    Some(SocketAddr::new(written.or_else(first)?, SERVICE_PORT))
}

/// As whom a pod may ask the API server: its account, if the token is mounted (API-11). Tokens that somebody mounts by
/// other means are not looked for.
#[must_use]
pub fn token(cluster: &Cluster, pod: PodId) -> Option<User> {
    let pod = cluster.pods.at(pod);
    let namespace = &cluster.namespaces.at(pod.namespace).name;
    let mounted = cluster.rbac.mounts_token(pod.automount, namespace, &pod.service_account);
    mounted.then(|| User::service_account(namespace, &pod.service_account))
}

/// A Service that a pod's environment names (API-12).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EnvAlias {
    /// The variable that holds the address: `WEBSVC_SERVICE_HOST`.
    pub host: String,
    /// The variable that holds the first port: `WEBSVC_SERVICE_PORT`.
    pub port: String,
    /// The Service; `None` for the API server's own, when the input lacks it.
    pub service: Option<ServiceId>,
}

/// The Services that a pod finds in its environment, if they were there before it: those of its own namespace that have
/// an address, unless it asks not to be told of them, and always the API server's (API-12).
#[must_use]
pub fn environment(cluster: &Cluster, pod: PodId) -> Vec<EnvAlias> {
    let pod = cluster.pods.at(pod);
    let alias = |name: &str, service| {
        let prefix = name.to_ascii_uppercase().replace('-', "_");
        EnvAlias { host: format!("{prefix}_SERVICE_HOST"), port: format!("{prefix}_SERVICE_PORT"), service }
    };
    let api_server = find_service(cluster, "default", "kubernetes");
    let told = cluster.services.iter().filter(|(id, service)| {
        pod.service_links && service.is_proxied() && service.namespace == pod.namespace && Some(*id) != api_server
    });
    let mut aliases: Vec<EnvAlias> = told.map(|(id, service)| alias(&service.name, Some(id))).collect();
    // One of the pod's own namespace by this name goes before it.
    if !aliases.iter().any(|known| known.host == "KUBERNETES_SERVICE_HOST") {
        aliases.push(alias("kubernetes", api_server));
    }
    aliases.sort();
    aliases
}
