//! The knobs: everything that Kubernetes leaves undefined, named (semantics of each in `docs/SPEC.md`).

use std::fmt;

use ipnet::IpNet;

use crate::model::{AddressSet, Family, WayProfile};

macro_rules! knobs {
    ($($(#[$doc:meta])* $variant:ident = $name:literal [$values:literal],)*) => {
        /// A behaviour that is not defined upstream, or a fact that manifests do not hold.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Knob { $($(#[$doc])* $variant,)* }

        impl Knob {
            /// All knobs, in order.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name by which a profile sets it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The values that it takes, default first, for people.
            #[must_use]
            pub fn values(self) -> &'static str {
                match self { $(Self::$variant => $values,)* }
            }
        }
    };
}

knobs! {
    /// Whether the CNI enforces policies at all (NP-32).
    Enforcement = "enforcement" ["on|off"],
    /// How policies see pods on the host's network (NP-22).
    HostNetworkPods = "hostnetwork_pods" ["as_node|as_pod"],
    /// Whether an ipBlock matches pods by their address (NP-13).
    IpBlockMatchesPods = "ipblock_matches_pods" ["true|false"],
    /// Whether an ipBlock matches nodes by their address (NP-13).
    IpBlockMatchesNodes = "ipblock_matches_nodes" ["true|false"],
    /// Which destination egress policies see behind a Service (NP-23).
    EgressServiceView = "egress_service_view" ["post_dnat|pre_dnat|both"],
    /// Which source ingress policies see when the pod's own node masquerades (NP-24).
    LocalSnatView = "local_snat_view" ["both|client|node"],
    /// Egress to the pod's own node (NP-19).
    EgressToOwnNode = "egress_to_own_node" ["allow|policy"],
    /// A pod that reaches itself through a Service (NP-18).
    SelfViaService = "self_via_service" ["allow|policy"],
    /// Whether policies handle SCTP (NP-17).
    SctpPolicy = "sctp_policy" ["true|false"],
    /// Whether `endPort` is honoured (NP-15).
    EndPortSupport = "endport_support" ["true|false"],
    /// One port name declared twice with different numbers (NP-16).
    DuplicatePortNames = "duplicate_port_names" ["both|first|all"],
    /// Which of several cluster-wide policies of one tier and priority comes first (CNP-2).
    EqualPriority = "equal_priority" ["both|name"],
    /// Whether names need a usable DNS leg (DNS-7).
    DnsRequired = "dns_required" ["false|true"],
    /// The families of pods without a known address (NP-30).
    PodFamilies = "pod_families" ["ipv4|ipv6|dual"],
    /// The ranges out of which pods without a known address get one (NP-13).
    PodCidrs = "pod_cidrs" ["any|CIDR,CIDR…"],
    /// The ranges in which nodes without a known address lie (NP-13).
    NodeCidrs = "node_cidrs" ["any|CIDR,CIDR…"],
    /// How Services are implemented on nodes (KP-6, KP-7, KP-9).
    KubeProxyMode = "kube_proxy_mode" ["iptables|nftables|ipvs|userspace|kernelspace|none"],
    /// kube-proxy masquerades all traffic to Service addresses (KP-3).
    MasqueradeAll = "masquerade_all" ["false|true"],
    /// How kube-proxy tells pods of its node from other sources (KP-3).
    DetectLocal = "detect_local" ["ClusterCIDR|NodeCIDR|BridgeInterface|InterfaceNamePrefix|none"],
    /// On which addresses of a node its node ports are open (KP-6).
    NodePortAddresses = "nodeport_addresses" ["by_mode|primary|CIDR,CIDR…"],
    /// Whether iptables mode opens node ports on 127.0.0.0/8 (KP-6).
    LocalhostNodePorts = "localhost_nodeports" ["true|false"],
    /// The range of node ports (SVC-18).
    NodePortRange = "nodeport_range" ["30000-32767|FIRST-LAST"],
    /// The ranges of Service addresses (SVC-7).
    ServiceCidrs = "service_cidrs" ["none|CIDR,CIDR…"],
    /// The domain of the cluster's names (DNS-1).
    ClusterDomain = "cluster_domain" ["cluster.local|DOMAIN"],
    /// For which pods DNS has names made of their addresses (DNS-5).
    DnsPodNames = "dns_pod_names" ["insecure|verified|disabled"],
    /// The sources outside that reach pod addresses (W-POD).
    PodCidrRoutable = "pod_cidr_routable" ["false|true|CIDR,CIDR…"],
    /// The sources outside that reach Service addresses (W-CIP).
    ServiceCidrRoutable = "service_cidr_routable" ["false|true|CIDR,CIDR…"],
    /// Which node addresses the internet reaches (W-NP, W-HP).
    NodeAddressesPublic = "node_addresses_public" ["by_type|all|none"],
    /// What a load balancer does with packets, and that of a class (SVC-22).
    LbKind = "lb_kind" ["vip|proxy_nodeport|proxy_pod|l7, CLASS=KIND…"],
    /// Whether the CNI implements host ports (HP-1).
    HostPortSupported = "hostport_supported" ["true|false"],
    /// Who implements host ports (HP-4).
    HostPortBackend = "hostport_backend" ["iptables|nftables|both"],
    /// Where the endpoints of Services with a selector come from (SVC-9).
    EndpointsSource = "endpoints_source" ["computed|observed"],
    /// What a controller that is not known makes of an Ingress (ING-10).
    IngressDefaultProfile = "ingress_default_profile" ["spec|nginx|gce|traefik|kong|haproxy|istio|alb"],
    /// The pods of Ingress controllers (ING-16).
    Controllers = "controllers" ["none|CLASS=NAMESPACE/WORKLOAD,…"],
    /// Whether a request belongs to the most specific listener alone (GW-4).
    GatewayIsolation = "gateway_isolation" ["true|false|both"],
    /// Addresses that nodes or Services hold by means of their own (W-VIP).
    Vips = "vips" ["none|IP=node/NAME+NAMESPACE/SERVICE,…"],
    /// The addresses of the API server (API-4).
    ApiServerAddresses = "apiserver_addresses" ["none|IP,IP…"],
    /// The agents through which the API server reaches pods (API-4).
    Konnectivity = "konnectivity" ["none|NAMESPACE/WORKLOAD"],
    /// The version of the API server (API-1, API-7).
    KubernetesMinor = "kubernetes_minor" ["1.37|1.MINOR"],
    /// Instances of `kubectl proxy` (API-9).
    KubectlProxies = "kubectl_proxies" ["none|IP:PORT=USER[/any-host],…"],
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How policies see hostNetwork pods (NP-22).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum HostNetworkPods {
    /// As processes of their node: never isolated, never matched by pod selectors.
    AsNode,
    /// As any other pod.
    AsPod,
}

/// Which destination egress policies see behind a Service (NP-23).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum EgressServiceView {
    /// The chosen endpoint.
    PostDnat,
    /// The Service's address.
    PreDnat,
    /// Either: undefined where the two differ.
    Both,
}

/// Which source ingress policies see when the pod's own node masquerades (NP-24).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum LocalSnatView {
    /// Either: undefined where the two differ.
    Both,
    /// The client.
    Client,
    /// The node.
    Node,
}

/// Whether traffic is let through without asking policies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Exemption {
    /// It passes.
    Allow,
    /// Policies decide.
    Policy,
}

/// Which number a port name means that is declared twice (NP-16).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum DuplicatePortNames {
    /// Either: undefined for the later numbers.
    Both,
    /// The first.
    First,
    /// All of them.
    All,
}

/// Which of several cluster-wide policies of one tier and priority comes first (CNP-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum EqualPriority {
    /// Any: undefined where that makes a difference.
    Both,
    /// The one whose name comes first; what has no priority comes last.
    Name,
}

/// A complete setting of all knobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// The preset it began as.
    pub preset: &'static str,
    /// [`Knob::Enforcement`].
    pub enforcement: bool,
    /// [`Knob::HostNetworkPods`].
    pub hostnetwork_pods: HostNetworkPods,
    /// [`Knob::IpBlockMatchesPods`].
    pub ipblock_matches_pods: bool,
    /// [`Knob::IpBlockMatchesNodes`].
    pub ipblock_matches_nodes: bool,
    /// [`Knob::EgressServiceView`]; `None` is the default, which leaves external endpoints undefined (NP-23).
    pub egress_service_view: Option<EgressServiceView>,
    /// [`Knob::LocalSnatView`].
    pub local_snat_view: LocalSnatView,
    /// [`Knob::EgressToOwnNode`].
    pub egress_to_own_node: Exemption,
    /// [`Knob::SelfViaService`].
    pub self_via_service: Exemption,
    /// [`Knob::SctpPolicy`].
    pub sctp_policy: bool,
    /// [`Knob::EndPortSupport`].
    pub endport_support: bool,
    /// [`Knob::DuplicatePortNames`].
    pub duplicate_port_names: DuplicatePortNames,
    /// [`Knob::EqualPriority`].
    pub equal_priority: EqualPriority,
    /// [`Knob::DnsRequired`].
    pub dns_required: bool,
    /// [`Knob::PodFamilies`]: the families of pods without a known address. Never empty.
    pub pod_families: Vec<Family>,
    /// [`Knob::PodCidrs`]: where unknown pod addresses may lie.
    pub pod_cidrs: AddressSet,
    /// [`Knob::NodeCidrs`]: where unknown node addresses may lie.
    pub node_cidrs: AddressSet,
    /// The knobs of ways.
    pub ways: WayProfile,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            preset: "default",
            enforcement: true,
            hostnetwork_pods: HostNetworkPods::AsNode,
            ipblock_matches_pods: true,
            ipblock_matches_nodes: true,
            egress_service_view: None,
            local_snat_view: LocalSnatView::Both,
            egress_to_own_node: Exemption::Allow,
            self_via_service: Exemption::Allow,
            sctp_policy: true,
            endport_support: true,
            duplicate_port_names: DuplicatePortNames::Both,
            equal_priority: EqualPriority::Both,
            dns_required: false,
            pod_families: vec![Family::V4],
            pod_cidrs: AddressSet::all(),
            node_cidrs: AddressSet::all(),
            ways: WayProfile::default(),
        }
    }
}

/// Why a profile could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProfileError {
    /// No preset of this name.
    UnknownPreset {
        /// The name.
        name: String,
    },
    /// No knob of this name.
    UnknownKnob {
        /// The name.
        name: String,
    },
    /// A value that the knob does not take.
    BadValue {
        /// The knob.
        knob: Knob,
        /// The value.
        value: String,
    },
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPreset { name } => {
                write!(f, "no preset is called `{name}`; presets are {}", Profile::PRESETS.join(", "))
            }
            Self::UnknownKnob { name } => {
                let names: Vec<_> = Knob::ALL.into_iter().map(Knob::name).collect();
                write!(f, "no knob is called `{name}`; knobs are {}", names.join(", "))
            }
            Self::BadValue { knob, value } => write!(f, "`{knob}` does not take `{value}`; it takes {}", knob.values()),
        }
    }
}

impl std::error::Error for ProfileError {}

impl Profile {
    /// The names that [`Profile::preset`] knows.
    pub const PRESETS: [&'static str; 6] = ["default", "portolan", "cilium", "calico", "kindnet", "flannel"];

    /// A named preset. Only what `docs/SPEC.md` says of an implementation is set; the rest keeps its default.
    ///
    /// # Errors
    /// [`ProfileError::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self, ProfileError> {
        let mut profile = Self::default();
        let Some(preset) = Self::PRESETS.into_iter().find(|preset| *preset == name) else {
            return Err(ProfileError::UnknownPreset { name: name.to_owned() });
        };
        profile.preset = preset;
        match preset {
            // Its hook sits after destination NAT and before source NAT.
            "portolan" => {
                profile.egress_service_view = Some(EgressServiceView::PostDnat);
                profile.local_snat_view = LocalSnatView::Client;
                profile.duplicate_port_names = DuplicatePortNames::All;
            }
            // CIL-2: CIDR rules match neither pods nor nodes by default.
            "cilium" => {
                profile.ipblock_matches_pods = false;
                profile.ipblock_matches_nodes = false;
            }
            // NP-16: Calico resolves a name to every number declared under it.
            "calico" => profile.duplicate_port_names = DuplicatePortNames::All,
            // A38: Flannel alone enforces nothing.
            "flannel" => profile.enforcement = false,
            _ => {}
        }
        Ok(profile)
    }

    /// Sets one knob by its name.
    ///
    /// # Errors
    /// [`ProfileError::UnknownKnob`] and [`ProfileError::BadValue`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ProfileError> {
        let Some(knob) = Knob::ALL.into_iter().find(|knob| knob.name() == name) else {
            return Err(ProfileError::UnknownKnob { name: name.to_owned() });
        };
        let bad = || ProfileError::BadValue { knob, value: value.to_owned() };
        let flag = |yes: &str, no: &str| match value {
            _ if value == yes => Ok(true),
            _ if value == no => Ok(false),
            _ => Err(bad()),
        };
        let exemption = || Ok(if flag("allow", "policy")? { Exemption::Allow } else { Exemption::Policy });
        match knob {
            Knob::Enforcement => self.enforcement = flag("on", "off")?,
            Knob::HostNetworkPods => {
                let as_node = flag("as_node", "as_pod")?;
                self.hostnetwork_pods = if as_node { HostNetworkPods::AsNode } else { HostNetworkPods::AsPod };
            }
            Knob::IpBlockMatchesPods => self.ipblock_matches_pods = flag("true", "false")?,
            Knob::IpBlockMatchesNodes => self.ipblock_matches_nodes = flag("true", "false")?,
            Knob::EgressServiceView => {
                self.egress_service_view = Some(match value {
                    "post_dnat" => EgressServiceView::PostDnat,
                    "pre_dnat" => EgressServiceView::PreDnat,
                    "both" => EgressServiceView::Both,
                    _ => return Err(bad()),
                });
            }
            Knob::LocalSnatView => {
                self.local_snat_view = match value {
                    "both" => LocalSnatView::Both,
                    "client" => LocalSnatView::Client,
                    "node" => LocalSnatView::Node,
                    _ => return Err(bad()),
                };
            }
            Knob::EgressToOwnNode => self.egress_to_own_node = exemption()?,
            Knob::SelfViaService => self.self_via_service = exemption()?,
            Knob::SctpPolicy => self.sctp_policy = flag("true", "false")?,
            Knob::EndPortSupport => self.endport_support = flag("true", "false")?,
            Knob::DuplicatePortNames => {
                self.duplicate_port_names = match value {
                    "both" => DuplicatePortNames::Both,
                    "first" => DuplicatePortNames::First,
                    "all" => DuplicatePortNames::All,
                    _ => return Err(bad()),
                };
            }
            Knob::EqualPriority => {
                let both = flag("both", "name")?;
                self.equal_priority = if both { EqualPriority::Both } else { EqualPriority::Name };
            }
            Knob::DnsRequired => self.dns_required = flag("true", "false")?,
            Knob::PodFamilies => {
                self.pod_families = match value {
                    "ipv4" => vec![Family::V4],
                    "ipv6" => vec![Family::V6],
                    "dual" => Family::ALL.to_vec(),
                    _ => return Err(bad()),
                };
            }
            Knob::PodCidrs => self.pod_cidrs = cidrs(value).ok_or_else(bad)?,
            Knob::NodeCidrs => self.node_cidrs = cidrs(value).ok_or_else(bad)?,
            _ => self.ways.set(knob, value).ok_or_else(bad)?,
        }
        Ok(())
    }
}

/// `any`, or CIDRs joined with commas. A family that no CIDR names stays unrestricted.
fn cidrs(value: &str) -> Option<AddressSet> {
    if value == "any" {
        return Some(AddressSet::all());
    }
    let nets: AddressSet = value
        .split(',')
        .map(|part| part.trim().parse::<IpNet>().ok().map(AddressSet::net))
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .collect();
    let restrict = |family| if nets.of(family).is_empty() { AddressSet::all_of(family) } else { nets.of(family) };
    Some(restrict(Family::V4).union(&restrict(Family::V6)))
}
