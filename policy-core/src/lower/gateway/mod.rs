//! The Gateway API: attachment (GW-1, GW-5, GW-8), references (GW-9, GW-11, GW-14) and what the definitions demand.
//!
//! Everything is resolved here, once. An object that the API server would refuse is reported and left out; a
//! reference that leads nowhere is a warning, and the route's conditions say what came of it.

mod backends;
mod filters;
mod grants;
mod listeners;
mod matches;
mod names;
mod parents;
mod proxies;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::ids::{NamespaceId, ServiceId};
use crate::lower::context::Context;
use crate::lower::input::{Input, Key, keep};
use crate::model::gateway::RouteKind;
use crate::model::{Cluster, GatewayApi, Name};
use crate::snapshot::gateway::{
    BackendTlsPolicySpec, Body, GatewayClassSpec, GatewayClassStatus, GatewaySpec, GatewayStatus, GrpcRouteSpec,
    HttpRouteSpec, ListenerSetSpec, ReferenceGrantSpec, StreamRouteSpec,
};
use crate::snapshot::{GatewayApiBody, Object};

use backends::BackendTls;
use grants::Grants;

/// The group of the API.
const GROUP: &str = "gateway.networking.k8s.io";

/// The group of its experiments.
const EXPERIMENTAL_GROUP: &str = "gateway.networking.x-k8s.io";

/// Objects of one kind, each once.
type Objects<'a, K, B> = BTreeMap<K, (&'a Object, &'a B)>;

/// The objects of the Gateway API, each once, in a fixed order.
#[derive(Debug, Default)]
pub(super) struct GatewayObjects<'a> {
    classes: Objects<'a, Name, Body<GatewayClassSpec, GatewayClassStatus>>,
    gateways: Objects<'a, Key, Body<GatewaySpec, GatewayStatus>>,
    listener_sets: Objects<'a, (Name, Name, Name), Body<ListenerSetSpec>>,
    http_routes: Objects<'a, Key, Body<HttpRouteSpec>>,
    grpc_routes: Objects<'a, Key, Body<GrpcRouteSpec>>,
    stream_routes: Objects<'a, (RouteKind, Name, Name), Body<StreamRouteSpec>>,
    grants: Objects<'a, Key, Body<ReferenceGrantSpec>>,
    tls_policies: Objects<'a, Key, Body<BackendTlsPolicySpec>>,
}

impl<'a> GatewayObjects<'a> {
    /// Keeps the first object of a key; returns it when this one came too late.
    pub(super) fn add(&mut self, key: Key, object: &'a Object, body: &'a GatewayApiBody) -> Option<&'a Object> {
        match body {
            GatewayApiBody::Class(body) => keep(&mut self.classes, key.1, object, body),
            GatewayApiBody::Gateway(body) => keep(&mut self.gateways, key, object, body),
            GatewayApiBody::ListenerSet(body) => {
                keep(&mut self.listener_sets, (object.kind.clone(), key.0, key.1), object, body)
            }
            GatewayApiBody::HttpRoute(body) => keep(&mut self.http_routes, key, object, body),
            GatewayApiBody::GrpcRoute(body) => keep(&mut self.grpc_routes, key, object, body),
            GatewayApiBody::StreamRoute(body) => {
                let kind = RouteKind::parse(&object.kind).unwrap_or(RouteKind::Tcp);
                keep(&mut self.stream_routes, (kind, key.0, key.1), object, body)
            }
            GatewayApiBody::ReferenceGrant(body) => keep(&mut self.grants, key, object, body),
            GatewayApiBody::BackendTlsPolicy(body) => keep(&mut self.tls_policies, key, object, body),
        }
    }
}

/// What came of it, and whether an object was refused.
#[derive(Debug, Default)]
pub(super) struct Lowered {
    pub(super) api: GatewayApi,
    pub(super) refused: bool,
}

/// What the parts of this module look things up in.
struct World<'a> {
    namespaces: &'a FxHashMap<Name, NamespaceId>,
    cluster: &'a Cluster,
    services: BTreeMap<(NamespaceId, Name), ServiceId>,
    grants: Grants,
    backend_tls: BackendTls,
}

impl World<'_> {
    fn service(&self, namespace: &Name, name: &Name) -> Option<ServiceId> {
        let namespace = self.namespaces.get(namespace)?;
        self.services.get(&(*namespace, name.clone())).copied()
    }
}

/// Lowers everything of the Gateway API; the rest of the cluster must be there already.
pub(super) fn lower(
    input: &Input<'_>,
    namespaces: &FxHashMap<Name, NamespaceId>,
    cluster: &Cluster,
    context: &mut Context,
) -> Lowered {
    let objects = &input.gateway_api;
    let mut refused = false;
    let services = cluster.services.iter().map(|(id, service)| ((service.namespace, service.name.clone()), id));
    let world = World {
        namespaces,
        cluster,
        services: services.collect(),
        grants: Grants::lower(&objects.grants, context, &mut refused),
        backend_tls: BackendTls::lower(&objects.tls_policies, context, &mut refused),
    };
    let mut gateways = listeners::lower(objects, &world, context, &mut refused);
    let routes = routes::lower(objects, &world, context, &mut refused);
    let (routes, mesh_routes) = parents::attach(routes, &mut gateways, &world, context);
    let gateways = proxies::finish(gateways, objects, &world);
    Lowered { api: GatewayApi { gateways, routes, mesh_routes }, refused }
}
