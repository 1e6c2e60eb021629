//! Other projects' manifests.

use crate::{Given, beside, documents, manifests};

/// Joins what two of them say.
fn both(mut one: Given, other: Given) -> Given {
    for (_, text) in other.texts {
        one = one.and(&text);
    }
    one
}

/// The shop's front end, with or without policies that let it be.
const FRONT_END: &str = "
    allowed W-LB lb default/frontend-external pending:80 > default/frontend:8080 | if hypothetical
    allowed W-NP any node:? > svc default/frontend-external:80 > default/frontend:8080 | if hypothetical
";

#[test]
fn online_boutique_opens_its_front_end() {
    // SVC-1, SVC-8, SVC-21
    let Some(folder) = beside("online-boutique") else { return };
    manifests(&folder.join("kubernetes-manifests")).open(FRONT_END);
    manifests(&folder.join("release/kubernetes-manifests.yaml")).open(FRONT_END);
    let policies = manifests(&folder.join("kustomize/components/network-policies"));
    both(manifests(&folder.join("kubernetes-manifests")), policies).open(FRONT_END);
}

#[test]
fn online_boutique_that_denies_all_is_undecided_on_the_pods_own_node() {
    // NP-24: from another node it is denied; the pod's own node may hide the client.
    let Some(folder) = beside("online-boutique") else { return };
    let deny = manifests(&folder.join("kustomize/components/network-policies/network-policy-deny-all.yaml"));
    both(manifests(&folder.join("kubernetes-manifests")), deny).open(
        "
        undefined W-LB lb default/frontend-external pending:80 > default/frontend:8080 | as own node | by NP-24 | if local_snat_view, hypothetical
        undefined W-NP any node:? > svc default/frontend-external:80 > default/frontend:8080 | as own node | by NP-24 | if local_snat_view, hypothetical
        ",
    );
}

#[test]
fn bookinfo_by_its_gateway() {
    // GW-2, GW-6, GW-16: whoever serves the class is not in the input.
    let Some(folder) = beside("istio-samples/samples/bookinfo") else { return };
    let given = both(
        manifests(&folder.join("platform/kube/bookinfo.yaml")),
        manifests(&folder.join("gateway-api/bookinfo-gateway.yaml")),
    );
    let way = "conditional W-GW Gateway bookinfo-gateway:80 > svc default/productpage:9080 > default/productpage-v1:9080 | as somebody | from all | if controller, hypothetical | for http://*";
    let paths = ["/productpage", "/static/…", "/login", "/logout", "/api/v1/products/…"];
    given.open(&paths.map(|path| format!("{way}{path}")).join("\n"));
    given.closed("no-listener W-GW Gateway bookinfo-gateway:80 > nobody | from all | for http://*/… | by GW-7");
}

#[test]
fn bookinfo_by_ingress() {
    // ING-9, ING-16, ING-25
    let Some(folder) = beside("istio-samples/samples/bookinfo/platform/kube") else { return };
    let given = both(manifests(&folder.join("bookinfo.yaml")), manifests(&folder.join("bookinfo-ingress.yaml")));
    let way = "conditional W-ING Ingress istio:80 > svc default/productpage:9080 > default/productpage-v1:9080 | as somebody | from all | if controller, hypothetical | for http://*";
    let paths = ["/productpage", "/static/…", "/login", "/logout", "/api/v1/products/…"];
    given.open(&paths.map(|path| format!("{way}{path}")).join("\n"));
}

#[test]
fn bookinfo_by_a_node_port() {
    // SVC-8, SVC-18
    let Some(folder) = beside("istio-samples/samples/bookinfo/platform/kube") else { return };
    let without = documents(&folder.join("bookinfo.yaml"), &["kind: Service\n", "name: productpage\n"], false);
    let given = Given::default().and(&without);
    given.open("");
    both(given, manifests(&folder.join("productpage-nodeport.yaml")))
        .open("allowed W-NP any node:? > svc default/productpage:9080 > default/productpage-v1:9080 | if hypothetical");
}

#[test]
fn httpbin_by_gateway_and_node_port() {
    // GW-6, SVC-2
    let Some(folder) = beside("istio-samples/samples/httpbin") else { return };
    both(manifests(&folder.join("httpbin.yaml")), manifests(&folder.join("gateway-api"))).open(
        "conditional W-GW Gateway httpbin-gateway:80 > svc default/httpbin:8000 > default/httpbin:8080 | as somebody | from all | if controller, hypothetical | for http://*/…",
    );
    manifests(&folder.join("httpbin-nodeport.yaml"))
        .open("allowed W-NP any node:? > svc default/httpbin:8000 > default/httpbin:8080 | if hypothetical");
}

#[test]
fn helloworld_by_one_route_or_the_other() {
    // GW-6, GW-9
    let Some(folder) = beside("istio-samples/samples/helloworld") else { return };
    let by = "conditional W-GW Gateway helloworld-gateway:80 >";
    let rest = "| as somebody | from all | if controller, hypothetical | for http://*/hello";
    let given = both(
        manifests(&folder.join("helloworld.yaml")),
        manifests(&folder.join("gateway-api/helloworld-gateway.yaml")),
    );
    let both_behind_one = format!(
        "{by} svc default/helloworld:5000 > default/helloworld-v1:5000 {rest}
         {by} svc default/helloworld:5000 > default/helloworld-v2:5000 {rest}"
    );
    given.open(&both_behind_one);
    let gateway = documents(&folder.join("gateway-api/helloworld-gateway.yaml"), &["kind: HTTPRoute"], false);
    let given = both(
        manifests(&folder.join("helloworld.yaml")).and(&gateway),
        manifests(&folder.join("gateway-api/helloworld-route.yaml")),
    );
    let given = both(given, manifests(&folder.join("gateway-api/helloworld-versions.yaml")));
    given.open(&format!(
        "{by} svc default/helloworld-v1:5000 > default/helloworld-v1:5000 {rest}
         {by} svc default/helloworld-v2:5000 > default/helloworld-v2:5000 {rest}"
    ));
}

#[test]
fn tcp_echo_by_one_route_or_the_other() {
    // GW-9, GW-12
    let Some(folder) = beside("istio-samples/samples/tcp-echo") else { return };
    let by = "conditional W-GW Gateway tcp-echo-gateway:31400 >";
    let rest = "| as somebody | from all | if controller, hypothetical | for tcp://*";
    let workloads = || manifests(&folder.join("tcp-echo-services.yaml"));
    let v1 = format!("{by} svc default/tcp-echo-v1:9000 > default/tcp-echo-v1:9000 {rest}");
    both(workloads(), manifests(&folder.join("gateway-api/tcp-echo-all-v1.yaml"))).open(&v1);
    let without = documents(&folder.join("gateway-api/tcp-echo-all-v1.yaml"), &["kind: TCPRoute\n"], false);
    let given = both(workloads().and(&without), manifests(&folder.join("gateway-api/tcp-echo-20-v2.yaml")));
    given.open(&format!("{v1}\n{by} svc default/tcp-echo-v2:9000 > default/tcp-echo-v2:9000 {rest}"));
}

#[test]
fn guestbook_together_and_apart() {
    // SVC-8, SVC-18, SVC-3
    let Some(folder) = beside("kubernetes-examples/web") else { return };
    let wanted = "allowed W-NP any node:? > svc default/frontend:80 > default/frontend:80 | if hypothetical";
    manifests(&folder.join("guestbook/all-in-one/guestbook-all-in-one.yaml")).open(wanted);
    let apart = ["frontend", "redis-master", "redis-replica"]
        .map(|name| {
            let of = |what: &str| manifests(&folder.join(format!("guestbook/{name}-{what}.yaml")));
            both(of("deployment"), of("service"))
        })
        .into_iter()
        .reduce(both);
    apart.unwrap().open(wanted);
    manifests(&folder.join("guestbook-go")).open(
        "
        allowed W-LB lb default/guestbook pending:3000 > default/guestbook:3000 | if hypothetical
        allowed W-NP any node:? > svc default/guestbook:3000 > default/guestbook:3000 | if hypothetical
        ",
    );
}

#[test]
fn sock_shop_with_and_without_policies() {
    // SVC-20, NP-9: the policy of the front end lets everybody in to its port.
    let Some(folder) = beside("sock-shop/deploy/kubernetes") else { return };
    let wanted =
        "allowed W-NP any node:30001 > svc sock-shop/front-end:80 > sock-shop/front-end:8079 | if hypothetical";
    manifests(&folder.join("complete-demo.yaml")).open(wanted);
    manifests(&folder.join("manifests")).open(wanted);
    both(manifests(&folder.join("manifests")), manifests(&folder.join("manifests-policy"))).open(wanted);
}
