//! What an `apiVersion` and a `kind` mean to this program.

use crate::snapshot::Effect;

use super::findings::nearest;

/// A kind whose objects are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Model {
    Namespace,
    Node,
    Pod,
    ReplicationController,
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
    Service,
    Endpoints,
    EndpointSlice,
    NetworkPolicy,
    ClusterNetworkPolicy,
    AdminNetworkPolicy,
    BaselineAdminNetworkPolicy,
    Ingress,
    IngressClass,
    ConfigMap,
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
    ServiceAccount,
    GatewayClass,
    Gateway,
    ListenerSet,
    XListenerSet,
    HttpRoute,
    GrpcRoute,
    TlsRoute,
    TcpRoute,
    UdpRoute,
    ReferenceGrant,
    BackendTlsPolicy,
}

/// Name, current apiVersion, and the versions of old. They had the same shape, but for [`Model::has_old_shape`]. A kind
/// that is served in several versions has several rows, the best version first.
const MODELS: [(Model, &str, &str, &[&str]); 45] = [
    (Model::Namespace, "Namespace", "v1", &[]),
    (Model::Node, "Node", "v1", &[]),
    (Model::Pod, "Pod", "v1", &[]),
    (Model::ReplicationController, "ReplicationController", "v1", &[]),
    (Model::Deployment, "Deployment", "apps/v1", &["apps/v1beta2", "apps/v1beta1", "extensions/v1beta1"]),
    (Model::ReplicaSet, "ReplicaSet", "apps/v1", &["apps/v1beta2", "extensions/v1beta1"]),
    (Model::StatefulSet, "StatefulSet", "apps/v1", &["apps/v1beta2", "apps/v1beta1"]),
    (Model::DaemonSet, "DaemonSet", "apps/v1", &["apps/v1beta2", "extensions/v1beta1"]),
    (Model::Job, "Job", "batch/v1", &["extensions/v1beta1"]),
    (Model::CronJob, "CronJob", "batch/v1", &["batch/v1beta1", "batch/v2alpha1"]),
    (Model::Service, "Service", "v1", &[]),
    (Model::Endpoints, "Endpoints", "v1", &[]),
    (Model::EndpointSlice, "EndpointSlice", "discovery.k8s.io/v1", &["discovery.k8s.io/v1beta1"]),
    (Model::NetworkPolicy, "NetworkPolicy", "networking.k8s.io/v1", &["extensions/v1beta1"]),
    (Model::ClusterNetworkPolicy, "ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2", &[]),
    (Model::AdminNetworkPolicy, "AdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1", &[]),
    (Model::BaselineAdminNetworkPolicy, "BaselineAdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1", &[]),
    (Model::Ingress, "Ingress", "networking.k8s.io/v1", &["networking.k8s.io/v1beta1", "extensions/v1beta1"]),
    (Model::IngressClass, "IngressClass", "networking.k8s.io/v1", &["networking.k8s.io/v1beta1"]),
    (Model::ConfigMap, "ConfigMap", "v1", &[]),
    (Model::Role, "Role", "rbac.authorization.k8s.io/v1", &["rbac.authorization.k8s.io/v1beta1"]),
    (Model::ClusterRole, "ClusterRole", "rbac.authorization.k8s.io/v1", &["rbac.authorization.k8s.io/v1beta1"]),
    (Model::RoleBinding, "RoleBinding", "rbac.authorization.k8s.io/v1", &["rbac.authorization.k8s.io/v1beta1"]),
    (
        Model::ClusterRoleBinding,
        "ClusterRoleBinding",
        "rbac.authorization.k8s.io/v1",
        &["rbac.authorization.k8s.io/v1beta1"],
    ),
    (Model::ServiceAccount, "ServiceAccount", "v1", &[]),
    (Model::GatewayClass, "GatewayClass", "gateway.networking.k8s.io/v1", &["gateway.networking.k8s.io/v1alpha2"]),
    (Model::GatewayClass, "GatewayClass", "gateway.networking.k8s.io/v1beta1", &[]),
    (Model::Gateway, "Gateway", "gateway.networking.k8s.io/v1", &["gateway.networking.k8s.io/v1alpha2"]),
    (Model::Gateway, "Gateway", "gateway.networking.k8s.io/v1beta1", &[]),
    (Model::ListenerSet, "ListenerSet", "gateway.networking.k8s.io/v1", &[]),
    (Model::XListenerSet, "XListenerSet", "gateway.networking.x-k8s.io/v1alpha1", &[]),
    (Model::HttpRoute, "HTTPRoute", "gateway.networking.k8s.io/v1", &["gateway.networking.k8s.io/v1alpha2"]),
    (Model::HttpRoute, "HTTPRoute", "gateway.networking.k8s.io/v1beta1", &[]),
    (Model::GrpcRoute, "GRPCRoute", "gateway.networking.k8s.io/v1", &["gateway.networking.k8s.io/v1alpha2"]),
    (Model::TlsRoute, "TLSRoute", "gateway.networking.k8s.io/v1", &[]),
    (Model::TlsRoute, "TLSRoute", "gateway.networking.k8s.io/v1alpha3", &[]),
    (Model::TlsRoute, "TLSRoute", "gateway.networking.k8s.io/v1alpha2", &[]),
    (Model::TcpRoute, "TCPRoute", "gateway.networking.k8s.io/v1alpha2", &[]),
    (Model::TcpRoute, "TCPRoute", "gateway.networking.k8s.io/v1", &[]),
    (Model::UdpRoute, "UDPRoute", "gateway.networking.k8s.io/v1alpha2", &[]),
    (Model::UdpRoute, "UDPRoute", "gateway.networking.k8s.io/v1", &[]),
    (Model::ReferenceGrant, "ReferenceGrant", "gateway.networking.k8s.io/v1", &["gateway.networking.k8s.io/v1alpha2"]),
    (Model::ReferenceGrant, "ReferenceGrant", "gateway.networking.k8s.io/v1beta1", &[]),
    (Model::BackendTlsPolicy, "BackendTLSPolicy", "gateway.networking.k8s.io/v1", &[]),
    (Model::BackendTlsPolicy, "BackendTLSPolicy", "gateway.networking.k8s.io/v1alpha3", &[]),
];

/// Groups that belong to Kubernetes itself and hold, or have held, a kind that is read.
const OWN_GROUPS: [&str; 7] =
    ["", "apps", "batch", "discovery.k8s.io", "extensions", "networking.k8s.io", "rbac.authorization.k8s.io"];

impl Model {
    fn row(self) -> Option<&'static (Model, &'static str, &'static str, &'static [&'static str])> {
        MODELS.iter().find(|(model, ..)| *model == self)
    }

    /// `kind` as Kubernetes writes it.
    pub(crate) fn kind(self) -> &'static str {
        self.row().map_or("", |(_, kind, ..)| kind)
    }

    /// The apiVersion that is served today.
    pub(crate) fn api_version(self) -> &'static str {
        self.row().map_or("", |(_, _, version, _)| version)
    }

    /// Whether its objects live in a namespace.
    pub(crate) fn is_namespaced(self) -> bool {
        let of_the_cluster = [
            Model::Namespace,
            Model::Node,
            Model::IngressClass,
            Model::ClusterRole,
            Model::ClusterRoleBinding,
            Model::GatewayClass,
        ];
        !of_the_cluster.contains(&self) && !self.is_cluster_policy()
    }

    /// Whether its versions of old had fields of other names (ING-2).
    pub(crate) fn has_old_shape(self) -> bool {
        self == Model::Ingress
    }

    /// Whether its objects are few, and worth their places even in a dump of a cluster.
    pub(crate) fn is_read_with_places(self) -> bool {
        let few = [
            Model::NetworkPolicy,
            Model::Ingress,
            Model::IngressClass,
            Model::Service,
            Model::Endpoints,
            Model::EndpointSlice,
        ];
        few.contains(&self) || self.is_cluster_policy() || self.is_access() || self.is_gateway_api()
    }

    /// Whether its objects are held against the API's schema: what a ConfigMap says is its readers' business.
    pub(crate) fn has_schema(self) -> bool {
        self != Model::ConfigMap
    }

    /// Whether it says who may ask the API server for what.
    pub(crate) fn is_access(self) -> bool {
        matches!(
            self,
            Model::Role | Model::ClusterRole | Model::RoleBinding | Model::ClusterRoleBinding | Model::ServiceAccount
        )
    }

    /// Whether it belongs to the Gateway API.
    pub(crate) fn is_gateway_api(self) -> bool {
        self.api_version().starts_with("gateway.networking.")
    }

    /// Whether it is a policy for the whole cluster.
    pub(crate) fn is_cluster_policy(self) -> bool {
        matches!(self, Model::ClusterNetworkPolicy | Model::AdminNetworkPolicy | Model::BaselineAdminNetworkPolicy)
    }
}

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// A kind that is read.
    Modelled(Model),
    /// The same in an apiVersion that is no longer served (IN-18).
    Legacy(Model),
    /// A kind that is read, under an apiVersion that does not have it (IN-18).
    WrongVersion(Model),
    /// No such kind; this one was meant (IN-18).
    Misspelt(Model),
    /// Anything else.
    NotModelled(Effect),
}

/// The group of an apiVersion: what stands before `/`.
pub(crate) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Looks an object's kind up.
pub(crate) fn classify(api_version: &str, kind: &str) -> Class {
    for (model, name, version, legacy) in &MODELS {
        if *name == kind {
            if *version == api_version {
                return Class::Modelled(*model);
            }
            if legacy.contains(&api_version) {
                return Class::Legacy(*model);
            }
        }
    }
    let group = group(api_version);
    // The definitions of this group are installed apart from Kubernetes and have newer versions than are known here;
    // a known version is known to lack the kind.
    let is_known = MODELS.iter().any(|(_, _, version, _)| *version == api_version);
    if OWN_GROUPS.contains(&group) || (group == "policy.networking.k8s.io" && is_known) {
        if let Some((model, ..)) = MODELS.iter().find(|(_, name, ..)| *name == kind) {
            return Class::WrongVersion(*model);
        }
        let effect = effect(group, kind);
        let near = nearest(kind, MODELS.iter().map(|(_, name, ..)| *name));
        return match MODELS.iter().find(|(_, name, ..)| Some(*name) == near) {
            Some((model, ..)) if effect == Effect::Unknown || misspells(kind, *model) => Class::Misspelt(*model),
            _ => Class::NotModelled(effect),
        };
    }
    Class::NotModelled(effect(group, kind))
}

/// Whether a kind of the group of cluster-wide policies, which has no others, is one of them with a slip in it.
fn misspells(kind: &str, model: Model) -> bool {
    model.is_cluster_policy() && !kind.ends_with("List")
}

/// What ignoring a kind means.
fn effect(group: &str, kind: &str) -> Effect {
    if let Some((_, _, effect)) = KINDS.iter().find(|(g, k, _)| *g == group && *k == kind) {
        return *effect;
    }
    let exact = GROUPS.iter().find(|(g, _)| *g == group);
    let suffix = || SUFFIXES.iter().find(|(suffix, _)| group.ends_with(suffix));
    exact.or_else(suffix).map_or(Effect::Unknown, |(_, effect)| *effect)
}

/// Kinds that differ from the rest of their group, and all kinds of groups that have no common effect.
const KINDS: &[(&str, &str, Effect)] = &[
    ("", "Binding", Effect::None),
    ("", "ComponentStatus", Effect::None),
    ("", "Endpoints", Effect::Way),
    ("", "Event", Effect::None),
    ("", "LimitRange", Effect::None),
    ("", "PersistentVolume", Effect::None),
    ("", "PersistentVolumeClaim", Effect::None),
    ("", "PodTemplate", Effect::None),
    ("", "ResourceQuota", Effect::None),
    ("", "Secret", Effect::None),
    ("apps", "ControllerRevision", Effect::None),
    ("apps.openshift.io", "DeploymentConfig", Effect::Workload),
    ("argoproj.io", "AnalysisRun", Effect::Workload),
    ("argoproj.io", "AnalysisTemplate", Effect::None),
    ("argoproj.io", "AppProject", Effect::None),
    ("argoproj.io", "Application", Effect::None),
    ("argoproj.io", "ApplicationSet", Effect::None),
    ("argoproj.io", "CronWorkflow", Effect::Workload),
    ("argoproj.io", "Rollout", Effect::Workload),
    ("argoproj.io", "Workflow", Effect::Workload),
    ("argoproj.io", "WorkflowTemplate", Effect::None),
    ("cilium.io", "CiliumEndpoint", Effect::None),
    ("cilium.io", "CiliumEndpointSlice", Effect::None),
    ("cilium.io", "CiliumIdentity", Effect::None),
    ("cilium.io", "CiliumLoadBalancerIPPool", Effect::Way),
    ("cilium.io", "CiliumNode", Effect::None),
    ("crd.antrea.io", "AntreaAgentInfo", Effect::None),
    ("crd.antrea.io", "AntreaControllerInfo", Effect::None),
    ("crd.antrea.io", "Egress", Effect::Way),
    ("crd.antrea.io", "ExternalIPPool", Effect::Way),
    ("crd.antrea.io", "Trace", Effect::None),
    ("crd.antrea.io", "Traceflow", Effect::None),
    ("crd.projectcalico.org", "BlockAffinity", Effect::None),
    ("crd.projectcalico.org", "ClusterInformation", Effect::None),
    ("crd.projectcalico.org", "IPAMBlock", Effect::None),
    ("crd.projectcalico.org", "IPAMConfig", Effect::None),
    ("crd.projectcalico.org", "IPAMHandle", Effect::None),
    ("crd.projectcalico.org", "IPPool", Effect::None),
    ("extensions", "PodSecurityPolicy", Effect::None),
    ("k8s.cni.cncf.io", "MultiNetworkPolicy", Effect::Policy),
    ("k8s.cni.cncf.io", "NetworkAttachmentDefinition", Effect::Way),
    ("k8s.ovn.org", "AdminPolicyBasedExternalRoute", Effect::Way),
    ("k8s.ovn.org", "EgressFirewall", Effect::Policy),
    ("k8s.ovn.org", "EgressIP", Effect::Way),
    ("k8s.ovn.org", "EgressService", Effect::Way),
    ("keda.sh", "ScaledJob", Effect::Workload),
    ("linkerd.io", "ServiceProfile", Effect::Way),
    ("monitoring.coreos.com", "Alertmanager", Effect::Workload),
    ("monitoring.coreos.com", "Prometheus", Effect::Workload),
    ("monitoring.coreos.com", "PrometheusAgent", Effect::Workload),
    ("monitoring.coreos.com", "ThanosRuler", Effect::Workload),
    ("network.openshift.io", "EgressNetworkPolicy", Effect::Policy),
    ("network.openshift.io", "NetNamespace", Effect::Policy),
    ("networking.istio.io", "EnvoyFilter", Effect::Policy),
    ("networking.istio.io", "ProxyConfig", Effect::None),
    ("networking.istio.io", "Sidecar", Effect::Policy),
    ("networking.istio.io", "WorkloadEntry", Effect::Workload),
    ("networking.istio.io", "WorkloadGroup", Effect::Workload),
    ("networking.k8s.io", "IPAddress", Effect::None),
    ("networking.k8s.io", "ServiceCIDR", Effect::None),
    ("operator.openshift.io", "IngressController", Effect::Way),
    ("projectcalico.org", "IPPool", Effect::None),
    ("route.openshift.io", "Route", Effect::Way),
    ("serving.knative.dev", "DomainMapping", Effect::Way),
];

/// What every other kind of a group means.
const GROUPS: &[(&str, Effect)] = &[
    ("acme.cert-manager.io", Effect::None),
    ("admissionregistration.k8s.io", Effect::None),
    ("apiextensions.k8s.io", Effect::None),
    ("apiregistration.k8s.io", Effect::None),
    ("apiserver.config.k8s.io", Effect::None),
    ("apiserver.k8s.io", Effect::None),
    ("apps.kruise.io", Effect::Workload),
    ("audit.k8s.io", Effect::None),
    ("authentication.k8s.io", Effect::None),
    ("authorization.k8s.io", Effect::None),
    ("autoscaling", Effect::None),
    ("autoscaling.k8s.io", Effect::None),
    ("batch.volcano.sh", Effect::Workload),
    ("bitnami.com", Effect::None),
    ("build.openshift.io", Effect::Workload),
    ("cert-manager.io", Effect::None),
    ("certificates.k8s.io", Effect::None),
    ("certmanager.k8s.io", Effect::None),
    ("cilium.io", Effect::Policy),
    ("cloud.google.com", Effect::Way),
    ("config.istio.io", Effect::Policy),
    ("configuration.konghq.com", Effect::Way),
    ("coordination.k8s.io", Effect::None),
    ("crd.antrea.io", Effect::Policy),
    ("crd.projectcalico.org", Effect::Policy),
    ("elbv2.k8s.aws", Effect::Way),
    ("events.k8s.io", Effect::None),
    ("extensions.istio.io", Effect::Policy),
    ("external-secrets.io", Effect::None),
    ("flowcontrol.apiserver.k8s.io", Effect::None),
    ("gateway.envoyproxy.io", Effect::Way),
    ("gateway.networking.k8s.io", Effect::Way),
    ("gateway.networking.x-k8s.io", Effect::Way),
    ("gateway.nginx.org", Effect::Way),
    ("getambassador.io", Effect::Way),
    ("helm.toolkit.fluxcd.io", Effect::None),
    ("image.openshift.io", Effect::None),
    ("internal.apiserver.k8s.io", Effect::None),
    ("jobset.x-k8s.io", Effect::Workload),
    ("k8s.nginx.org", Effect::Way),
    ("kafka.strimzi.io", Effect::Workload),
    ("keda.sh", Effect::None),
    ("kubeadm.k8s.io", Effect::None),
    ("kubelet.config.k8s.io", Effect::None),
    ("kubeproxy.config.k8s.io", Effect::None),
    ("kubevirt.io", Effect::Workload),
    ("kustomize.config.k8s.io", Effect::None),
    ("kustomize.toolkit.fluxcd.io", Effect::None),
    ("leaderworkerset.x-k8s.io", Effect::Workload),
    ("machineconfiguration.openshift.io", Effect::None),
    ("metallb.io", Effect::Way),
    ("metrics.k8s.io", Effect::None),
    ("monitoring.coreos.com", Effect::None),
    ("multicluster.x-k8s.io", Effect::Way),
    ("networking.gke.io", Effect::Way),
    ("networking.istio.io", Effect::Way),
    ("node.k8s.io", Effect::None),
    ("policy", Effect::None),
    ("policy.linkerd.io", Effect::Policy),
    ("policy.networking.k8s.io", Effect::Policy),
    ("postgresql.cnpg.io", Effect::Workload),
    ("project.openshift.io", Effect::None),
    ("projectcalico.org", Effect::Policy),
    ("projectcontour.io", Effect::Way),
    ("ray.io", Effect::Workload),
    ("resource.k8s.io", Effect::None),
    ("scheduling.k8s.io", Effect::None),
    ("secrets-store.csi.x-k8s.io", Effect::None),
    ("security.istio.io", Effect::Policy),
    ("security.openshift.io", Effect::None),
    ("serving.knative.dev", Effect::Workload),
    ("snapshot.storage.k8s.io", Effect::None),
    ("source.toolkit.fluxcd.io", Effect::None),
    ("sparkoperator.k8s.io", Effect::Workload),
    ("split.smi-spec.io", Effect::Way),
    ("storage.k8s.io", Effect::None),
    ("tekton.dev", Effect::Workload),
    ("telemetry.istio.io", Effect::None),
    ("traefik.containo.us", Effect::Way),
    ("traefik.io", Effect::Way),
];

/// Families of groups.
const SUFFIXES: &[(&str, Effect)] = &[
    (".cert-manager.io", Effect::None),
    (".kubeflow.org", Effect::Workload),
    (".kubevirt.io", Effect::Workload),
    (".k8s.elastic.co", Effect::Workload),
    (".strimzi.io", Effect::Workload),
    (".upbound.io", Effect::None),
    (".crossplane.io", Effect::None),
    (".tekton.dev", Effect::Workload),
    (".knative.dev", Effect::Workload),
    (".smi-spec.io", Effect::Policy),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modelled_kinds_are_known_in_their_versions() {
        assert_eq!(classify("v1", "Pod"), Class::Modelled(Model::Pod));
        assert_eq!(classify("apps/v1", "Deployment"), Class::Modelled(Model::Deployment));
        // NP-33
        assert_eq!(classify("extensions/v1beta1", "NetworkPolicy"), Class::Legacy(Model::NetworkPolicy));
        assert_eq!(classify("v1", "Deployment"), Class::WrongVersion(Model::Deployment));
        assert_eq!(classify("networking.k8s.io/v2", "NetworkPolicy"), Class::WrongVersion(Model::NetworkPolicy));
        assert_eq!(classify("networking.k8s.io/v1", "NetworkPolcy"), Class::Misspelt(Model::NetworkPolicy));
        assert_eq!(classify("v1", "pod"), Class::Misspelt(Model::Pod));
        let rbac = |version, kind| classify(&format!("rbac.authorization.k8s.io/{version}"), kind);
        assert_eq!(rbac("v1", "ClusterRole"), Class::Modelled(Model::ClusterRole));
        assert_eq!(rbac("v1beta1", "RoleBinding"), Class::Legacy(Model::RoleBinding));
        assert_eq!(rbac("v2", "Role"), Class::WrongVersion(Model::Role));
        assert_eq!(rbac("v1", "RoleBindng"), Class::Misspelt(Model::RoleBinding));
        assert_eq!(classify("v1", "ServiceAcount"), Class::Misspelt(Model::ServiceAccount));
        assert!(!Model::ClusterRoleBinding.is_namespaced() && Model::RoleBinding.is_namespaced());
        // ING-2
        for version in ["extensions/v1beta1", "networking.k8s.io/v1beta1"] {
            assert_eq!(classify(version, "Ingress"), Class::Legacy(Model::Ingress));
        }
        assert_eq!(classify("networking.k8s.io/v1", "IngressClass"), Class::Modelled(Model::IngressClass));
        assert_eq!(classify("discovery.k8s.io/v1beta1", "EndpointSlice"), Class::Legacy(Model::EndpointSlice));
        assert_eq!(classify("v1", "EndpointSlice"), Class::WrongVersion(Model::EndpointSlice));
        assert_eq!(classify("v1", "Servce"), Class::Misspelt(Model::Service));
    }

    #[test]
    fn cluster_wide_policies_are_known_in_their_versions() {
        // IN-18
        let of = |version, kind| classify(&format!("policy.networking.k8s.io/{version}"), kind);
        assert_eq!(of("v1alpha2", "ClusterNetworkPolicy"), Class::Modelled(Model::ClusterNetworkPolicy));
        assert_eq!(of("v1alpha1", "AdminNetworkPolicy"), Class::Modelled(Model::AdminNetworkPolicy));
        assert_eq!(of("v1alpha1", "BaselineAdminNetworkPolicy"), Class::Modelled(Model::BaselineAdminNetworkPolicy));
        assert_eq!(of("v1alpha1", "ClusterNetworkPolicy"), Class::WrongVersion(Model::ClusterNetworkPolicy));
        assert_eq!(of("v1alpha2", "AdminNetworkPolicy"), Class::WrongVersion(Model::AdminNetworkPolicy));
        assert_eq!(of("v1alpha2", "ClusterNetworkPolcy"), Class::Misspelt(Model::ClusterNetworkPolicy));
        assert_eq!(of("v1alpha1", "AdminNetworkpolicy"), Class::Misspelt(Model::AdminNetworkPolicy));
    }

    #[test]
    fn the_gateway_api_is_known_in_the_versions_that_are_served() {
        // IN-18
        let of = |version, kind| classify(&format!("gateway.networking.k8s.io/{version}"), kind);
        assert_eq!(of("v1", "HTTPRoute"), Class::Modelled(Model::HttpRoute));
        assert_eq!(of("v1beta1", "HTTPRoute"), Class::Modelled(Model::HttpRoute));
        assert_eq!(of("v1alpha2", "HTTPRoute"), Class::Legacy(Model::HttpRoute));
        assert_eq!(of("v1alpha2", "TCPRoute"), Class::Modelled(Model::TcpRoute));
        assert_eq!(Model::TlsRoute.api_version(), "gateway.networking.k8s.io/v1");
        let old = classify("gateway.networking.x-k8s.io/v1alpha1", "XListenerSet");
        assert_eq!(old, Class::Modelled(Model::XListenerSet));
        assert!(!Model::GatewayClass.is_namespaced() && Model::Gateway.is_namespaced());
    }

    #[test]
    fn other_kinds_say_what_ignoring_them_means() {
        for (version, kind, effect) in [
            ("v1", "Secret", Effect::None),
            ("policy.networking.k8s.io/v1beta1", "ClusterNetworkPolicy", Effect::Policy),
            ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicyList", Effect::Policy),
            ("policy.networking.k8s.io/v1alpha1", "ExternalNetworkSet", Effect::Policy),
            ("cilium.io/v2", "CiliumNetworkPolicy", Effect::Policy),
            ("projectcalico.org/v3", "NetworkPolicy", Effect::Policy),
            ("security.istio.io/v1", "AuthorizationPolicy", Effect::Policy),
            ("networking.istio.io/v1", "Gateway", Effect::Way),
            ("networking.istio.io/v1", "Sidecar", Effect::Policy),
            ("gateway.networking.k8s.io/v1", "MeshThing", Effect::Way),
            ("gateway.networking.k8s.io/v1alpha9", "HTTPRoute", Effect::Way),
            ("argoproj.io/v1alpha1", "Rollout", Effect::Workload),
            ("serving.knative.dev/v1", "Service", Effect::Workload),
            ("batch.volcano.sh/v1alpha1", "Job", Effect::Workload),
            ("example.com/v1", "Thing", Effect::Unknown),
            ("v1", "Thing", Effect::Unknown),
        ] {
            assert_eq!(classify(version, kind), Class::NotModelled(effect), "{version} {kind}");
        }
    }

    #[test]
    fn the_tables_are_sorted_and_without_repetition() {
        assert!(GROUPS.is_sorted_by(|left, right| left.0 < right.0));
        assert!(KINDS.is_sorted_by(|left, right| (left.0, left.1) < (right.0, right.1)));
    }
}
