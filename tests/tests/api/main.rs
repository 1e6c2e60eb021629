//! Ways through the API server and names of the cluster's DNS, beyond the test vectors: each question is asked with both
//! evaluators.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod dns;
mod nodes_and_pods;
mod properties;
mod proxies;
mod users;

use policy_core::ids::{PodId, ServiceId};
use policy_core::model::{Cluster, Profile};
use policy_core::ways::Endpoints;
use policy_core::ways::api_server::ApiServer;
use tests::pipeline::{Backend, find_pod, load, with_judge};

/// Two nodes, three pods, the Service x/web of x/web-0, and jane, who may do everything in x.
const COMMON: &str = "
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 10.0.0.11}, {type: ExternalIP, address: 198.51.100.11}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: x, labels: {app: web}}
spec: {nodeName: n1, hostname: web-0, subdomain: heads, containers: [{name: a, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.244.1.10, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: lazy, namespace: x, labels: {app: lazy}}
spec: {nodeName: n1, containers: [{name: a}]}
status: {phase: Running, podIP: 10.244.1.11, conditions: [{type: Ready, status: 'False'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cli, namespace: z, labels: {app: cli}}
spec: {nodeName: n2, containers: [{name: a}]}
status: {phase: Running, podIP: 10.244.2.20, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: x}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}, {name: other, port: 81, targetPort: 9090}]}
---
{apiVersion: v1, kind: Service, metadata: {name: heads, namespace: x}, spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: idle, namespace: x}, spec: {clusterIP: None, selector: {app: lazy}, ports: [{port: 80}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: all, namespace: x}
rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: all, namespace: x}
roleRef: {kind: Role, name: all}
subjects: [{kind: User, name: jane}, {kind: ServiceAccount, name: default, namespace: z}]
";

/// A cluster and a profile.
struct Case {
    cluster: Cluster,
    profile: Profile,
}

/// The common objects with these beside them.
fn case(objects: &str) -> Case {
    let texts = [("common.yaml", COMMON), ("more.yaml", objects)];
    let loaded = load(texts.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let errors: Vec<_> = loaded.errors().map(|error| loaded.describe(error)).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    Case { cluster: loaded.cluster, profile: Profile::default() }
}

/// A NetworkPolicy of a namespace.
fn policy(namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

impl Case {
    fn set(mut self, knob: &str, value: &str) -> Self {
        self.profile.set(knob, value).unwrap();
        self
    }

    fn pod(&self, namespace: &str, name: &str) -> PodId {
        find_pod(&self.cluster, namespace, name).unwrap()
    }

    fn service(&self, name: &str) -> ServiceId {
        self.cluster.services.iter().find(|(_, service)| *service.name == *name).unwrap().0
    }

    fn endpoints(&self) -> Endpoints {
        Endpoints::new(&self.cluster, &self.profile)
    }

    fn ask<T: PartialEq + std::fmt::Debug>(&self, ask: impl Fn(&ApiServer<'_>) -> T) -> T {
        let [spec, compiled] = Backend::ALL.map(|backend| {
            with_judge(backend, &self.cluster, &self.profile, |judge| {
                ask(&ApiServer::new(&self.cluster, &self.profile, &self.endpoints(), judge))
            })
        });
        assert_eq!(spec, compiled);
        spec
    }
}
