//! `kubectl proxy`: whoever reaches it asks the API server in the name of who started it (API-9).

use std::net::IpAddr;

use crate::model::api_server::{ApiCondition, ApiLeg, ApiSource, ApiWay, UrlError};
use crate::model::way_profile::{KubectlProxy, NodeAddressesPublic};
use crate::model::{Family, Flow, Knob, KnobSet, NodeAddressKind, Party, Protocol, User, Verdict};
use crate::ways::api_server::{ApiServer, party_at};

impl<'a> ApiServer<'a> {
    /// The instances of `kubectl proxy` that the profile lists.
    #[must_use]
    pub fn kubectl_proxies(&self) -> &'a [KubectlProxy] {
        &self.profile.ways.kubectl_proxies
    }

    /// What comes of a request that `source` makes to a `kubectl proxy`, which adds its own user's credentials.
    ///
    /// # Errors
    /// [`UrlError`] when the URL leads nowhere in the cluster.
    pub fn through(&self, proxy: &KubectlProxy, source: Party, method: &str, url: &str) -> Result<ApiWay, UrlError> {
        let way = self.request(&User::named(&proxy.user), method, url)?;
        let entry = self.entry(proxy, source);
        let mut way = way.behind(entry.verdict, entry.rule, entry.knobs, Some(entry));
        let by_host = !proxy.any_host && !proxy.ip.is_loopback();
        if by_host && matches!(way.verdict, Verdict::Allowed | Verdict::Conditional | Verdict::Undefined) {
            if way.verdict == Verdict::Allowed {
                (way.verdict, way.rule) = (Verdict::Conditional, "API-9");
            }
            way.conditions.push(ApiCondition::HostHeader);
        }
        Ok(way)
    }

    /// The connection to the proxy itself.
    fn entry(&self, proxy: &KubectlProxy, source: Party) -> ApiLeg {
        let family = Family::of(proxy.ip);
        let listener = party_at(self.cluster, proxy.ip);
        let decided = |verdict, rule, knobs| ApiLeg {
            source: ApiSource::Party(source),
            destination: listener,
            family,
            port: proxy.port,
            verdict,
            rule,
            knobs,
            flags: Vec::new(),
            judgement: None,
        };
        // Whose loopback it is, the profile does not say: nobody else's.
        if proxy.ip.is_loopback() {
            return decided(Verdict::NoRoute, "API-9", KnobSet::EMPTY);
        }
        if proxy.ip.is_unspecified() {
            return decided(Verdict::Undefined, "API-9", KnobSet::one(Knob::KubectlProxies));
        }
        if !self.is_routed(source, proxy.ip, listener) {
            return decided(Verdict::NoRoute, "API-9", KnobSet::EMPTY);
        }
        let judgement = self.judge.judge(&Flow::direct(source, listener, family, Protocol::Tcp, proxy.port));
        ApiLeg {
            flags: judgement.flags.clone(),
            judgement: Some(judgement.clone()),
            ..decided(judgement.verdict, judgement.rule, judgement.knobs())
        }
    }

    /// Whether packets of an address outside get to where the proxy listens. Between private addresses nobody knows
    /// better; from a public one a private one is not reached.
    fn is_routed(&self, source: Party, ip: IpAddr, listener: Party) -> bool {
        let Party::Address(source) = source else { return true };
        let ways = &self.profile.ways;
        match listener {
            Party::Pod(_) => ways.pod_cidr_routable.contains(source),
            _ if is_private(source) => true,
            Party::Node(node) => match ways.node_addresses_public {
                NodeAddressesPublic::All => true,
                NodeAddressesPublic::None => false,
                NodeAddressesPublic::ByType => self
                    .cluster
                    .nodes
                    .at(node)
                    .addresses
                    .iter()
                    .any(|known| known.ip == ip && known.kind == NodeAddressKind::External),
            },
            Party::Address(_) | Party::Named(_) | Party::Somebody(_) => !is_private(ip),
        }
    }
}

/// Whether the internet has no route to an address.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}
