//! The knobs of ways: what the cluster's proxies, load balancers and controllers do where manifests do not say.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::profile::Knob;
use crate::model::{AddressSet, Name};

/// Declares an enum whose variants a profile sets by these words, the default first.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $(#[$first_doc:meta])* $first:ident = $first_word:literal, $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub enum $name {
            $(#[$first_doc])*
            #[default]
            $first,
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The word by which a profile sets it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { Self::$first => $first_word, $(Self::$variant => $word,)* }
            }

            /// The value of a word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $first_word => Some(Self::$first), $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// How Services are implemented on nodes (KP-6, KP-7, KP-9).
    KubeProxyMode {
        /// kube-proxy with iptables.
        Iptables = "iptables",
        /// kube-proxy with nftables.
        Nftables = "nftables",
        /// kube-proxy with IPVS.
        Ipvs = "ipvs",
        /// kube-proxy as a proxy of its own, up to 1.25.
        Userspace = "userspace",
        /// kube-proxy on Windows.
        Kernelspace = "kernelspace",
        /// The CNI does it.
        None = "none",
    }
}
words! {
    /// Whether kube-proxy can tell pods of its node from other sources (KP-3).
    DetectLocal {
        /// By the cluster's pod range.
        ClusterCidr = "ClusterCIDR",
        /// By the node's pod range.
        NodeCidr = "NodeCIDR",
        /// By the bridge that pods are on.
        BridgeInterface = "BridgeInterface",
        /// By the names of pods' interfaces.
        InterfaceNamePrefix = "InterfaceNamePrefix",
        /// It cannot.
        None = "none",
    }
}
words! {
    /// For which pods DNS has names made of their addresses (DNS-5).
    DnsPodNames {
        /// For any address, whether a pod has it or not.
        Insecure = "insecure",
        /// For the pods that there are.
        Verified = "verified",
        /// For none.
        Disabled = "disabled",
    }
}
words! {
    /// What a load balancer does with packets (SVC-22, SVC-23).
    LoadBalancerKind {
        /// It hands them on as they are, to the address of the load balancer.
        Vip = "vip",
        /// It opens connections of its own to node ports.
        ProxyNodePort = "proxy_nodeport",
        /// It opens connections of its own to pods.
        ProxyPod = "proxy_pod",
        /// It speaks HTTP.
        L7 = "l7",
    }
}
words! {
    /// Who implements host ports, which decides whose source stays as it is (HP-4).
    HostPortBackend {
        /// portmap with iptables.
        Iptables = "iptables",
        /// portmap with nftables.
        Nftables = "nftables",
        /// Either: undefined where the two differ.
        Both = "both",
    }
}
words! {
    /// Where the endpoints of Services with a selector come from (SVC-9).
    EndpointsSource {
        /// From pods, as the controller would compute them.
        Computed = "computed",
        /// From the EndpointSlices of the input.
        Observed = "observed",
    }
}
words! {
    /// Which node addresses the internet can reach.
    NodeAddressesPublic {
        /// Those of type ExternalIP.
        ByType = "by_type",
        /// All of them.
        All = "all",
        /// None of them.
        None = "none",
    }
}
words! {
    /// What an Ingress controller makes of an Ingress (ING-10, ING-17 … ING-26).
    IngressProfile {
        /// What the API says and no more.
        Spec = "spec",
        /// ingress-nginx.
        Nginx = "nginx",
        /// The load balancer of Google Cloud.
        Gce = "gce",
        /// Traefik.
        Traefik = "traefik",
        /// Kong.
        Kong = "kong",
        /// HAProxy Technologies' controller.
        HaProxy = "haproxy",
        /// Istio's ingress gateway.
        Istio = "istio",
        /// The load balancer of AWS, and others outside the cluster.
        Alb = "alb",
    }
}
words! {
    /// Whether a request belongs to the most specific listener alone (GW-4).
    GatewayIsolation {
        /// It does.
        Isolated = "true",
        /// Routes of less specific listeners may serve it too.
        Shared = "false",
        /// Either: undefined where the two differ.
        Both = "both",
    }
}

/// On which addresses of a node its node ports are open (KP-6).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum NodePortAddresses {
    /// What the mode of kube-proxy does by itself.
    #[default]
    ByMode,
    /// The first address of each family.
    Primary,
    /// Those in these ranges; a family without a range is not restricted.
    In(Vec<IpNet>),
}

/// An address that some node, or the pods of some Service, hold by means of their own, such as keepalived (W-VIP).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vip {
    /// The address.
    pub ip: IpAddr,
    /// `node/NAME`, or `NAMESPACE/SERVICE`; any of several may hold it.
    pub holders: Vec<Name>,
}

/// A `kubectl proxy` that somebody runs (API-9).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KubectlProxy {
    /// The address on which it listens.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// Who asks in its name: a user, or `system:serviceaccount:NAMESPACE:NAME`.
    pub user: Name,
    /// Whether it takes requests for any host name (`--accept-hosts=.*`).
    pub any_host: bool,
}

/// A setting of all knobs of ways.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WayProfile {
    /// [`Knob::KubeProxyMode`].
    pub kube_proxy_mode: KubeProxyMode,
    /// [`Knob::MasqueradeAll`].
    pub masquerade_all: bool,
    /// [`Knob::DetectLocal`].
    pub detect_local: DetectLocal,
    /// [`Knob::NodePortAddresses`].
    pub nodeport_addresses: NodePortAddresses,
    /// [`Knob::LocalhostNodePorts`].
    pub localhost_nodeports: bool,
    /// [`Knob::NodePortRange`]: first and last.
    pub nodeport_range: (u16, u16),
    /// [`Knob::ServiceCidrs`]; empty = not known.
    pub service_cidrs: AddressSet,
    /// [`Knob::ClusterDomain`], in lower case.
    pub cluster_domain: Name,
    /// [`Knob::DnsPodNames`].
    pub dns_pod_names: DnsPodNames,
    /// [`Knob::PodCidrRoutable`]: the sources outside that reach pod addresses.
    pub pod_cidr_routable: AddressSet,
    /// [`Knob::ServiceCidrRoutable`]: the sources outside that reach Service addresses.
    pub service_cidr_routable: AddressSet,
    /// [`Knob::NodeAddressesPublic`].
    pub node_addresses_public: NodeAddressesPublic,
    /// [`Knob::LbKind`] of Services without a class.
    pub lb_kind: LoadBalancerKind,
    /// [`Knob::LbKind`] of single classes, sorted.
    pub lb_kinds: Vec<(Name, LoadBalancerKind)>,
    /// [`Knob::HostPortSupported`].
    pub hostport_supported: bool,
    /// [`Knob::HostPortBackend`].
    pub hostport_backend: HostPortBackend,
    /// [`Knob::EndpointsSource`].
    pub endpoints_source: EndpointsSource,
    /// [`Knob::IngressDefaultProfile`].
    pub ingress_default_profile: IngressProfile,
    /// [`Knob::Controllers`]: class and `NAMESPACE/WORKLOAD`, sorted.
    pub controllers: Vec<(Name, Name)>,
    /// [`Knob::GatewayIsolation`].
    pub gateway_isolation: GatewayIsolation,
    /// [`Knob::Vips`], by address.
    pub vips: Vec<Vip>,
    /// [`Knob::ApiServerAddresses`]; empty = not known.
    pub apiserver_addresses: Vec<IpAddr>,
    /// [`Knob::Konnectivity`]: `NAMESPACE/WORKLOAD` of the agents.
    pub konnectivity: Option<Name>,
    /// [`Knob::KubernetesMinor`]: the minor version of the API server.
    pub kubernetes_minor: u16,
    /// [`Knob::KubectlProxies`].
    pub kubectl_proxies: Vec<KubectlProxy>,
}

impl Default for WayProfile {
    fn default() -> Self {
        Self {
            kube_proxy_mode: KubeProxyMode::default(),
            masquerade_all: false,
            detect_local: DetectLocal::default(),
            nodeport_addresses: NodePortAddresses::default(),
            localhost_nodeports: true,
            nodeport_range: (30000, 32767),
            service_cidrs: AddressSet::empty(),
            cluster_domain: Name::from("cluster.local"),
            dns_pod_names: DnsPodNames::default(),
            pod_cidr_routable: AddressSet::empty(),
            service_cidr_routable: AddressSet::empty(),
            node_addresses_public: NodeAddressesPublic::default(),
            lb_kind: LoadBalancerKind::default(),
            lb_kinds: Vec::new(),
            hostport_supported: true,
            hostport_backend: HostPortBackend::default(),
            endpoints_source: EndpointsSource::default(),
            ingress_default_profile: IngressProfile::default(),
            controllers: Vec::new(),
            gateway_isolation: GatewayIsolation::default(),
            vips: Vec::new(),
            apiserver_addresses: Vec::new(),
            konnectivity: None,
            kubernetes_minor: 37,
            kubectl_proxies: Vec::new(),
        }
    }
}

impl WayProfile {
    /// What the load balancer of a class does (SVC-22).
    #[must_use]
    pub fn load_balancer_kind(&self, class: Option<&str>) -> LoadBalancerKind {
        let known = |class: &str| self.lb_kinds.iter().find(|(known, _)| **known == *class).map(|(_, kind)| *kind);
        class.and_then(known).unwrap_or(self.lb_kind)
    }

    /// Sets a knob of ways; `None` for a value that it does not take, or a knob of another kind.
    pub(crate) fn set(&mut self, knob: Knob, value: &str) -> Option<()> {
        match knob {
            Knob::KubeProxyMode => self.kube_proxy_mode = KubeProxyMode::parse(value)?,
            Knob::MasqueradeAll => self.masquerade_all = value.parse().ok()?,
            Knob::DetectLocal => self.detect_local = DetectLocal::parse(value)?,
            Knob::NodePortAddresses => {
                self.nodeport_addresses = match value {
                    "by_mode" => NodePortAddresses::ByMode,
                    "primary" => NodePortAddresses::Primary,
                    ranges => NodePortAddresses::In(list(ranges, |range| range.parse().ok())?),
                };
            }
            Knob::LocalhostNodePorts => self.localhost_nodeports = value.parse().ok()?,
            Knob::NodePortRange => {
                let (first, last) = value.split_once('-')?;
                let range = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                self.nodeport_range = (range.0 > 0 && range.0 <= range.1).then_some(range)?;
            }
            Knob::ServiceCidrs => self.service_cidrs = some_addresses(value)?,
            Knob::ClusterDomain => {
                let domain = value.trim_matches('.').to_ascii_lowercase();
                let is_label = |label: &str| {
                    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                };
                self.cluster_domain = domain.split('.').all(is_label).then(|| Name::from(domain))?;
            }
            Knob::DnsPodNames => self.dns_pod_names = DnsPodNames::parse(value)?,
            Knob::PodCidrRoutable => self.pod_cidr_routable = sources(value)?,
            Knob::ServiceCidrRoutable => self.service_cidr_routable = sources(value)?,
            Knob::NodeAddressesPublic => self.node_addresses_public = NodeAddressesPublic::parse(value)?,
            Knob::LbKind => {
                let mut kinds = Vec::new();
                let mut default = LoadBalancerKind::default();
                for entry in value.split(',') {
                    match entry.trim().split_once('=') {
                        None => default = LoadBalancerKind::parse(entry.trim())?,
                        Some((class, kind)) => kinds.push((Name::from(class), LoadBalancerKind::parse(kind)?)),
                    }
                }
                kinds.sort();
                (self.lb_kind, self.lb_kinds) = (default, kinds);
            }
            Knob::HostPortSupported => self.hostport_supported = value.parse().ok()?,
            Knob::HostPortBackend => self.hostport_backend = HostPortBackend::parse(value)?,
            Knob::EndpointsSource => self.endpoints_source = EndpointsSource::parse(value)?,
            Knob::IngressDefaultProfile => self.ingress_default_profile = IngressProfile::parse(value)?,
            Knob::Controllers => {
                self.controllers = list(value, |entry| {
                    let (class, workload) = entry.split_once('=')?;
                    workload.contains('/').then(|| (Name::from(class), Name::from(workload)))
                })?;
                self.controllers.sort();
            }
            Knob::GatewayIsolation => self.gateway_isolation = GatewayIsolation::parse(value)?,
            Knob::Vips => {
                self.vips = list(value, |entry| {
                    let (ip, holders) = entry.split_once('=')?;
                    let holders = holders.split('+').map(|holder| holder.contains('/').then(|| Name::from(holder)));
                    Some(Vip { ip: ip.parse().ok()?, holders: holders.collect::<Option<_>>()? })
                })?;
                self.vips.sort();
            }
            Knob::ApiServerAddresses => self.apiserver_addresses = list(value, |entry| entry.parse().ok())?,
            Knob::Konnectivity => {
                self.konnectivity =
                    if value == "none" { None } else { Some(value.contains('/').then(|| Name::from(value))?) };
            }
            Knob::KubernetesMinor => {
                self.kubernetes_minor = value.strip_prefix("1.").unwrap_or(value).parse().ok()?;
            }
            Knob::KubectlProxies => self.kubectl_proxies = list(value, kubectl_proxy)?,
            _ => return None,
        }
        Some(())
    }

    /// The value of a knob of ways, as [`Profile::set`](crate::model::Profile::set) takes it; `None` for a knob of
    /// another kind.
    #[must_use]
    pub fn value(&self, knob: Knob) -> Option<String> {
        let joined = |entries: Vec<String>| if entries.is_empty() { "none".to_owned() } else { entries.join(",") };
        let pair = |(class, value): &(Name, Name)| format!("{class}={value}");
        Some(match knob {
            Knob::KubeProxyMode => self.kube_proxy_mode.as_str().to_owned(),
            Knob::MasqueradeAll => self.masquerade_all.to_string(),
            Knob::DetectLocal => self.detect_local.as_str().to_owned(),
            Knob::NodePortAddresses => match &self.nodeport_addresses {
                NodePortAddresses::ByMode => "by_mode".to_owned(),
                NodePortAddresses::Primary => "primary".to_owned(),
                NodePortAddresses::In(ranges) => joined(ranges.iter().map(IpNet::to_string).collect()),
            },
            Knob::LocalhostNodePorts => self.localhost_nodeports.to_string(),
            Knob::NodePortRange => format!("{}-{}", self.nodeport_range.0, self.nodeport_range.1),
            Knob::ServiceCidrs => addresses(&self.service_cidrs),
            Knob::ClusterDomain => self.cluster_domain.to_string(),
            Knob::DnsPodNames => self.dns_pod_names.as_str().to_owned(),
            Knob::PodCidrRoutable => addresses(&self.pod_cidr_routable),
            Knob::ServiceCidrRoutable => addresses(&self.service_cidr_routable),
            Knob::NodeAddressesPublic => self.node_addresses_public.as_str().to_owned(),
            Knob::LbKind => {
                let classes = self.lb_kinds.iter().map(|(class, kind)| format!("{class}={}", kind.as_str()));
                std::iter::once(self.lb_kind.as_str().to_owned()).chain(classes).collect::<Vec<_>>().join(",")
            }
            Knob::HostPortSupported => self.hostport_supported.to_string(),
            Knob::HostPortBackend => self.hostport_backend.as_str().to_owned(),
            Knob::EndpointsSource => self.endpoints_source.as_str().to_owned(),
            Knob::IngressDefaultProfile => self.ingress_default_profile.as_str().to_owned(),
            Knob::Controllers => joined(self.controllers.iter().map(pair).collect()),
            Knob::GatewayIsolation => self.gateway_isolation.as_str().to_owned(),
            Knob::Vips => joined(self.vips.iter().map(|vip| format!("{}={}", vip.ip, vip.holders.join("+"))).collect()),
            Knob::ApiServerAddresses => joined(self.apiserver_addresses.iter().map(IpAddr::to_string).collect()),
            Knob::Konnectivity => self.konnectivity.as_ref().map_or("none".to_owned(), Name::to_string),
            Knob::KubernetesMinor => format!("1.{}", self.kubernetes_minor),
            Knob::KubectlProxies => joined(self.kubectl_proxies.iter().map(KubectlProxy::written).collect()),
            _ => return None,
        })
    }
}

impl KubectlProxy {
    fn written(&self) -> String {
        let hosts = if self.any_host { "/any-host" } else { "" };
        format!("{}={}{hosts}", std::net::SocketAddr::new(self.ip, self.port), self.user)
    }
}

/// `IP:PORT=USER`, with `/any-host` behind it where it takes requests for any host.
fn kubectl_proxy(entry: &str) -> Option<KubectlProxy> {
    let (listen, user) = entry.split_once('=')?;
    let listen: std::net::SocketAddr = listen.parse().ok()?;
    let (user, any_host) = user.strip_suffix("/any-host").map_or((user, false), |user| (user, true));
    (!user.is_empty()).then(|| KubectlProxy { ip: listen.ip(), port: listen.port(), user: Name::from(user), any_host })
}

/// Entries joined with commas; `none` = no entry.
fn list<T>(value: &str, entry: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if value == "none" {
        return Some(Vec::new());
    }
    value.split(',').map(|part| entry(part.trim())).collect()
}

/// What [`some_addresses`] reads.
fn addresses(set: &AddressSet) -> String {
    let nets: Vec<String> = set.nets().iter().map(ToString::to_string).collect();
    if nets.is_empty() { "none".to_owned() } else { nets.join(",") }
}

fn some_addresses(value: &str) -> Option<AddressSet> {
    let nets: Vec<IpNet> = list(value, |part| part.parse().ok())?;
    Some(nets.into_iter().map(AddressSet::net).collect())
}

/// The sources from which a range is routed: `false` = none, `true` = all, or CIDRs.
fn sources(value: &str) -> Option<AddressSet> {
    match value {
        "false" | "none" => Some(AddressSet::empty()),
        "true" => Some(AddressSet::all()),
        other => some_addresses(other),
    }
}
