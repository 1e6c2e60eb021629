//! The Gateway API.
//!
//! The structs have every field of the definitions, so that the strict pass knows them too; what no rule reads is
//! [`IgnoredAny`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::snapshot::{LabelSelector, WayMeta};
use crate::source::Spanned;

/// A text with its place.
type Text = Option<Spanned<Arc<str>>>;

/// A list of things with their places.
type List<T> = Option<Vec<Spanned<T>>>;

/// An object of the Gateway API, by its kind.
#[derive(Clone, Debug)]
pub enum GatewayApiBody {
    /// GatewayClass.
    Class(Body<GatewayClassSpec, GatewayClassStatus>),
    /// Gateway.
    Gateway(Body<GatewaySpec, GatewayStatus>),
    /// ListenerSet.
    ListenerSet(Body<ListenerSetSpec>),
    /// HTTPRoute.
    HttpRoute(Body<HttpRouteSpec>),
    /// GRPCRoute.
    GrpcRoute(Body<GrpcRouteSpec>),
    /// TLSRoute, TCPRoute or UDPRoute.
    StreamRoute(Body<StreamRouteSpec>),
    /// ReferenceGrant.
    ReferenceGrant(Body<ReferenceGrantSpec>),
    /// BackendTLSPolicy.
    BackendTlsPolicy(Body<BackendTlsPolicySpec>),
}

/// What all objects have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "S: Deserialize<'de> + Default, T: Deserialize<'de> + Default"))]
pub struct Body<S, T = IgnoredAny> {
    /// `metadata`.
    pub metadata: Option<WayMeta>,
    /// `spec`.
    pub spec: Option<S>,
    /// `status`.
    pub status: Option<T>,
}

/// Declares structs of optional fields; `= "name"` where camel case does not give the field's name.
macro_rules! written {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty $(= $rename:literal)?,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub struct $name {
                $($(#[$field_doc])* $(#[serde(rename = $rename)])? pub $field: $type,)*
            }
        )*
    };
}

written! {
    /// `spec` of a GatewayClass.
    GatewayClassSpec {
        /// `controllerName`.
        controller_name: Text,
        /// `parametersRef`.
        parameters_ref: Option<IgnoredAny>,
        /// `description`.
        description: Option<IgnoredAny>,
    }
    /// `status` of a GatewayClass.
    GatewayClassStatus {
        /// `conditions`.
        conditions: List<WrittenCondition>,
    }
    /// One entry of `conditions`.
    WrittenCondition {
        /// `type`.
        r#type: Text,
        /// `status`.
        status: Text,
    }
    /// `spec` of a Gateway.
    GatewaySpec {
        /// `gatewayClassName`.
        gateway_class_name: Text,
        /// `listeners`.
        listeners: List<WrittenListener>,
        /// `addresses`.
        addresses: List<GatewayAddress>,
        /// `infrastructure`.
        infrastructure: Option<IgnoredAny>,
        /// `allowedListeners`.
        allowed_listeners: Option<AllowedRoutes>,
        /// `tls`.
        tls: Option<GatewayTls>,
        /// `defaultScope`.
        default_scope: Option<IgnoredAny>,
        /// `backendTLS`, of old.
        backend_tls: Option<IgnoredAny> = "backendTLS",
    }
    /// `status` of a Gateway.
    GatewayStatus {
        /// `addresses`.
        addresses: List<GatewayAddress>,
    }
    /// One entry of `addresses`.
    GatewayAddress {
        /// `type`: `IPAddress` when left out.
        r#type: Text,
        /// `value`.
        value: Text,
    }
    /// `tls` of a Gateway.
    GatewayTls {
        /// `backend`: the certificate that the Gateway shows to backends.
        backend: Option<IgnoredAny>,
        /// `frontend`.
        frontend: Option<FrontendTls>,
    }
    /// `frontend`.
    FrontendTls {
        /// `default`.
        default: Option<FrontendTlsConfig>,
        /// `perPort`.
        per_port: List<FrontendTlsPort>,
    }
    /// One entry of `perPort`.
    FrontendTlsPort {
        /// `port`.
        port: Option<Spanned<i64>>,
        /// `tls`.
        tls: Option<FrontendTlsConfig>,
    }
    /// What is asked of clients.
    FrontendTlsConfig {
        /// `validation`.
        validation: Option<FrontendValidation>,
    }
    /// `validation` of clients' certificates.
    FrontendValidation {
        /// `caCertificateRefs`.
        ca_certificate_refs: List<ObjectRef>,
        /// `mode`.
        mode: Text,
    }
    /// One listener of a Gateway or a ListenerSet.
    WrittenListener {
        /// `name`.
        name: Text,
        /// `hostname`.
        hostname: Text,
        /// `port`.
        port: Option<Spanned<i64>>,
        /// `protocol`.
        protocol: Text,
        /// `tls`.
        tls: Option<Spanned<ListenerTls>>,
        /// `allowedRoutes`.
        allowed_routes: Option<AllowedRoutes>,
    }
    /// `tls` of a listener.
    ListenerTls {
        /// `mode`: `Terminate` when left out.
        mode: Text,
        /// `certificateRefs`.
        certificate_refs: List<ObjectRef>,
        /// `frontendValidation`, of old.
        frontend_validation: Option<FrontendValidation>,
        /// `options`.
        options: Option<BTreeMap<Arc<str>, IgnoredAny>>,
    }
    /// `allowedRoutes` of a listener, or `allowedListeners` of a Gateway, which has no `kinds`.
    AllowedRoutes {
        /// `namespaces`.
        namespaces: Option<AllowedNamespaces>,
        /// `kinds`.
        kinds: List<RouteGroupKind>,
    }
    /// `namespaces`.
    AllowedNamespaces {
        /// `from`.
        from: Text,
        /// `selector`.
        selector: Option<Spanned<LabelSelector>>,
    }
    /// One entry of `kinds`.
    RouteGroupKind {
        /// `group`.
        group: Text,
        /// `kind`.
        kind: Text,
    }
    /// A reference to an object.
    ObjectRef {
        /// `group`.
        group: Text,
        /// `kind`.
        kind: Text,
        /// `namespace`.
        namespace: Text,
        /// `name`.
        name: Text,
    }
    /// `spec` of a ListenerSet.
    ListenerSetSpec {
        /// `parentRef`.
        parent_ref: Option<Spanned<ParentRef>>,
        /// `listeners`.
        listeners: List<WrittenListener>,
    }
    /// A reference to what a route, or a ListenerSet, attaches to.
    ParentRef {
        /// `group`.
        group: Text,
        /// `kind`.
        kind: Text,
        /// `namespace`.
        namespace: Text,
        /// `name`.
        name: Text,
        /// `sectionName`.
        section_name: Text,
        /// `port`.
        port: Option<Spanned<i64>>,
    }
    /// `spec` of an HTTPRoute.
    HttpRouteSpec {
        /// `parentRefs`.
        parent_refs: List<ParentRef>,
        /// `hostnames`.
        hostnames: List<Arc<str>>,
        /// `rules`.
        rules: List<HttpRouteRule>,
        /// `useDefaultGateways`.
        use_default_gateways: Option<IgnoredAny>,
    }
    /// One rule of an HTTPRoute.
    HttpRouteRule {
        /// `name`.
        name: Text,
        /// `matches`.
        matches: List<HttpRouteMatch>,
        /// `filters`.
        filters: List<RouteFilter>,
        /// `backendRefs`.
        backend_refs: List<BackendRef>,
        /// `timeouts`.
        timeouts: Option<RouteTimeouts>,
        /// `retry`.
        retry: Option<IgnoredAny>,
        /// `sessionPersistence`.
        session_persistence: Option<IgnoredAny>,
    }
    /// `timeouts`.
    RouteTimeouts {
        /// `request`.
        request: Text,
        /// `backendRequest`.
        backend_request: Text,
    }
    /// One entry of `matches`.
    HttpRouteMatch {
        /// `path`.
        path: Option<Spanned<PathValue>>,
        /// `headers`.
        headers: List<NamedValue>,
        /// `queryParams`.
        query_params: List<NamedValue>,
        /// `method`.
        method: Text,
    }
    /// `path` of a match.
    PathValue {
        /// `type`.
        r#type: Text,
        /// `value`.
        value: Text,
    }
    /// A header or a query parameter, and what it must be, or becomes.
    NamedValue {
        /// `type`, in matches.
        r#type: Text,
        /// `name`.
        name: Text,
        /// `value`.
        value: Text,
    }
    /// One filter.
    RouteFilter {
        /// `type`.
        r#type: Text,
        /// `requestHeaderModifier`.
        request_header_modifier: Option<HeaderModifier>,
        /// `responseHeaderModifier`.
        response_header_modifier: Option<HeaderModifier>,
        /// `requestMirror`.
        request_mirror: Option<RequestMirror>,
        /// `requestRedirect`.
        request_redirect: Option<RequestRedirect>,
        /// `urlRewrite`.
        url_rewrite: Option<UrlRewrite>,
        /// `cors`.
        cors: Option<CorsFilter>,
        /// `externalAuth`.
        external_auth: Option<ExternalAuth>,
        /// `directResponse`.
        direct_response: Option<DirectResponse>,
        /// `extensionRef`.
        extension_ref: Option<ObjectRef>,
    }
    /// `requestHeaderModifier`, `responseHeaderModifier`.
    HeaderModifier {
        /// `set`.
        set: List<NamedValue>,
        /// `add`.
        add: List<NamedValue>,
        /// `remove`.
        remove: List<Arc<str>>,
    }
    /// `requestMirror`.
    RequestMirror {
        /// `backendRef`.
        backend_ref: Option<Spanned<BackendRef>>,
        /// `percent`.
        percent: Option<Spanned<i64>>,
        /// `fraction`.
        fraction: Option<Spanned<Fraction>>,
    }
    /// `fraction`.
    Fraction {
        /// `numerator`.
        numerator: Option<i64>,
        /// `denominator`: 100 when left out.
        denominator: Option<i64>,
    }
    /// `requestRedirect`.
    RequestRedirect {
        /// `scheme`.
        scheme: Text,
        /// `hostname`.
        hostname: Text,
        /// `path`.
        path: Option<Spanned<PathModifier>>,
        /// `port`.
        port: Option<Spanned<i64>>,
        /// `statusCode`.
        status_code: Option<Spanned<i64>>,
    }
    /// `urlRewrite`.
    UrlRewrite {
        /// `hostname`.
        hostname: Text,
        /// `path`.
        path: Option<Spanned<PathModifier>>,
    }
    /// `path` of a rewrite or a redirect.
    PathModifier {
        /// `type`.
        r#type: Text,
        /// `replaceFullPath`.
        replace_full_path: Text,
        /// `replacePrefixMatch`.
        replace_prefix_match: Text,
    }
    /// `cors`.
    CorsFilter {
        /// `allowOrigins`.
        allow_origins: Option<IgnoredAny>,
        /// `allowCredentials`.
        allow_credentials: Option<IgnoredAny>,
        /// `allowMethods`.
        allow_methods: Option<IgnoredAny>,
        /// `allowHeaders`.
        allow_headers: Option<IgnoredAny>,
        /// `exposeHeaders`.
        expose_headers: Option<IgnoredAny>,
        /// `maxAge`.
        max_age: Option<IgnoredAny>,
    }
    /// `externalAuth`.
    ExternalAuth {
        /// `protocol`.
        protocol: Option<IgnoredAny>,
        /// `backendRef`.
        backend_ref: Option<Spanned<BackendRef>>,
        /// `grpc`.
        grpc: Option<IgnoredAny>,
        /// `http`.
        http: Option<IgnoredAny>,
        /// `forwardBody`.
        forward_body: Option<IgnoredAny>,
    }
    /// `directResponse`.
    DirectResponse {
        /// `statusCode`.
        status_code: Option<Spanned<i64>>,
        /// `body`.
        body: Option<IgnoredAny>,
    }
    /// A reference to a backend.
    BackendRef {
        /// `group`.
        group: Text,
        /// `kind`.
        kind: Text,
        /// `namespace`.
        namespace: Text,
        /// `name`.
        name: Text,
        /// `port`.
        port: Option<Spanned<i64>>,
        /// `weight`.
        weight: Option<Spanned<i64>>,
        /// `filters`.
        filters: List<RouteFilter>,
    }
    /// `spec` of a GRPCRoute.
    GrpcRouteSpec {
        /// `parentRefs`.
        parent_refs: List<ParentRef>,
        /// `hostnames`.
        hostnames: List<Arc<str>>,
        /// `rules`.
        rules: List<GrpcRouteRule>,
        /// `useDefaultGateways`.
        use_default_gateways: Option<IgnoredAny>,
    }
    /// One rule of a GRPCRoute.
    GrpcRouteRule {
        /// `name`.
        name: Text,
        /// `matches`.
        matches: List<GrpcRouteMatch>,
        /// `filters`.
        filters: List<RouteFilter>,
        /// `backendRefs`.
        backend_refs: List<BackendRef>,
        /// `sessionPersistence`.
        session_persistence: Option<IgnoredAny>,
    }
    /// One entry of `matches`.
    GrpcRouteMatch {
        /// `method`.
        method: Option<Spanned<GrpcMethod>>,
        /// `headers`.
        headers: List<NamedValue>,
    }
    /// `method` of a match.
    GrpcMethod {
        /// `type`.
        r#type: Text,
        /// `service`.
        service: Text,
        /// `method`.
        method: Text,
    }
    /// `spec` of a TLSRoute, TCPRoute or UDPRoute.
    StreamRouteSpec {
        /// `parentRefs`.
        parent_refs: List<ParentRef>,
        /// `hostnames`, of a TLSRoute.
        hostnames: List<Arc<str>>,
        /// `rules`.
        rules: List<StreamRouteRule>,
        /// `useDefaultGateways`.
        use_default_gateways: Option<IgnoredAny>,
    }
    /// One rule of a TLSRoute, TCPRoute or UDPRoute.
    StreamRouteRule {
        /// `name`.
        name: Text,
        /// `backendRefs`.
        backend_refs: List<BackendRef>,
    }
    /// `spec` of a ReferenceGrant.
    ReferenceGrantSpec {
        /// `from`.
        from: List<ObjectRef>,
        /// `to`.
        to: List<ObjectRef>,
    }
    /// `spec` of a BackendTLSPolicy.
    BackendTlsPolicySpec {
        /// `targetRefs`.
        target_refs: List<PolicyTarget>,
        /// `validation`.
        validation: Option<BackendValidation>,
        /// `options`.
        options: Option<IgnoredAny>,
    }
    /// One entry of `targetRefs`.
    PolicyTarget {
        /// `group`.
        group: Text,
        /// `kind`.
        kind: Text,
        /// `name`.
        name: Text,
        /// `sectionName`.
        section_name: Text,
    }
    /// `validation` of a backend's certificate.
    BackendValidation {
        /// `caCertificateRefs`.
        ca_certificate_refs: List<ObjectRef>,
        /// `wellKnownCACertificates`.
        well_known_ca_certificates: Text = "wellKnownCACertificates",
        /// `hostname`.
        hostname: Text,
        /// `subjectAltNames`.
        subject_alt_names: Option<IgnoredAny>,
    }
}
