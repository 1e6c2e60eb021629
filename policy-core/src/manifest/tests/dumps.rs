//! JSON: hand-written, in lines, and as an API server writes it.

use super::*;
use crate::snapshot::Body;

const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a-1","namespace":"shop","uid":"u1","resourceVersion":"7","labels":{"app":"a","esc\"aped":"\u00e9"},"annotations":{"linkerd.io/inject":"enabled","x":"y"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"a","uid":"r1","controller":true}],"deletionTimestamp":null,"managedFields":[{"manager":"m"}]},"spec":{"nodeName":"n1","hostNetwork":false,"containers":[{"name":"c","ports":[{"name":"http","containerPort":80,"hostPort":8080,"hostIP":"192.168.0.1","protocol":"TCP"}]}],"hostname":"a","subdomain":"web","serviceAccountName":"web","serviceAccount":"web","automountServiceAccountToken":false,"dnsPolicy":"None","enableServiceLinks":true,"initContainers":[{"name":"i","restartPolicy":"Always"}],"brandNew":true},"status":{"phase":"Running","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}],"hostIP":"192.168.0.1","conditions":[{"type":"PodScheduled","status":"True","lastProbeTime":null},{"type":"Ready","status":"False"}]}}"#;
const POLICY: &str = r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p","namespace":"shop","uid":"u2","resourceVersion":"8"},"spec":{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}}]}],"brandNew":1}}"#;
const JOB: &str = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j","uid":"u3","resourceVersion":"9"},"spec":{"template":{"metadata":{"labels":{"a":"b"},"annotations":{"sidecar.istio.io/inject":"true"}},"spec":{"containers":[{"ports":[{"hostIP":"1.2.3.4"}]}]}}},"status":{"conditions":[{"type":"Failed","status":"True"}]}}"#;
const NODE: &str = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","uid":"u4","resourceVersion":"1"},"spec":{"podCIDR":"10.0.0.0/24","podCIDRs":["10.0.0.0/24","fd00::/64"],"taints":[]},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.1"}]}}"#;
const SECRET: &str =
    r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","uid":"u5","resourceVersion":"1"},"data":{"a":"b"}}"#;
const SERVICE: &str = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop","uid":"u7","resourceVersion":"3"},"spec":{"clusterIP":"10.96.0.1","ports":[{"port":80,"targetPort":"http","brandNew":1}],"selector":{"app":"a"}},"status":{"loadBalancer":{}}}"#;
const SLICE: &str = r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-1","namespace":"shop","uid":"u8","resourceVersion":"4","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true},"nodeName":"n1"}],"ports":[{"name":"","port":80,"protocol":"TCP"}]}"#;
const ENDPOINTS: &str = r#"{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"web","namespace":"shop","uid":"u9","resourceVersion":"5"},"subsets":[{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":80}]}]}"#;
const ROLE: &str = r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"system:web","uid":"u10","resourceVersion":"6"},"rules":[{"apiGroups":[""],"resources":["pods/proxy"],"verbs":["get"],"brandNew":1}],"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}}"#;
const BINDING: &str = r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"web","namespace":"shop","uid":"u11","resourceVersion":"6"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"system:web"},"subjects":[{"kind":"ServiceAccount","name":"web","namespace":"shop"}]}"#;
const ACCOUNT: &str = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"web","namespace":"shop","uid":"u12","resourceVersion":"6"},"automountServiceAccountToken":false,"secrets":[]}"#;
const CLUSTER_POLICY: &str = r#"{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy","metadata":{"name":"c","uid":"u6","resourceVersion":"2"},"spec":{"tier":"Admin","priority":5,"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"brandNew":{}}]}]},"status":{"conditions":[]}}"#;
const CONTROLLER: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"ctl","namespace":"shop","uid":"u20","resourceVersion":"7"},"spec":{"containers":[{"name":"c","command":["/nginx"],"args":["--v=2","--ingress-class","public","--tcp-services-configmap=shop/tcp"],"env":[{"name":"POD_NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},{"name":"CONTROLLER_INGRESS_CLASS","value":"kong"}]}]}}"#;
const INGRESS: &str = r#"{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"i","namespace":"shop","uid":"u21","resourceVersion":"7","creationTimestamp":"2024-01-01T00:00:00Z","annotations":{"nginx.ingress.kubernetes.io/app-root":"/x"}},"spec":{"ingressClassName":"public","rules":[{"host":"h","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"a","port":{"number":80}}}}]}}]},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}"#;
const CLASS: &str = r#"{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"public","uid":"u22","resourceVersion":"7"},"spec":{"controller":"k8s.io/ingress-nginx"}}"#;
const STREAMS: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"tcp","namespace":"shop","uid":"u23","resourceVersion":"7"},"data":{"9000":"shop/a:80","other":"x"}}"#;
const OTHER_MAP: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"other","namespace":"shop","uid":"u24","resourceVersion":"7","annotations":{"linkerd.io/inject":"x"}},"data":{"a.conf":"b","c":"d"},"binaryData":{"e":"Zg=="}}"#;

#[test]
fn controllers_and_what_they_read_are_the_same_without_and_with_a_tree() {
    // ING-16, ING-31
    let all = [CONTROLLER, INGRESS, CLASS, STREAMS, OTHER_MAP];
    let list = format!(r#"{{"apiVersion":"v1","items":[{}],"kind":"List","metadata":{{}}}}"#, all.join(",\n"));
    let (fast, problems) = json(&list);
    assert_eq!(problems, Vec::<String>::new());
    let (slow, problems) = reading_with(&[("a.yaml", &all.join("\n---\n"))], &ReadOptions::default());
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(content(&fast), content(&slow));
    let Body::Pod(pod) = &fast.objects[0].body else { panic!() };
    let container = &pod.spec.as_ref().unwrap().containers.as_ref().unwrap()[0];
    let words: Vec<_> = container.args.words().map(|word| &**word).collect();
    assert_eq!(words, ["--ingress-class", "public", "--tcp-services-configmap=shop/tcp"]);
    assert_eq!(container.env.entries().count(), 1);
    assert_eq!(fast.objects[1].unread.len(), 1);
    let Body::ConfigMap(map) = &fast.objects[3].body else { panic!() };
    assert_eq!(map.data.keys().map(|key| &**key).collect::<Vec<_>>(), ["9000"]);
    assert!(matches!(fast.objects[4].body, Body::NotModelled(_)));
}

fn json(text: &str) -> (Snapshot, Vec<String>) {
    reading_with(&[("a.json", text)], &ReadOptions::default())
}

/// Everything about the objects that does not depend on how they were read.
fn content(snapshot: &Snapshot) -> Vec<String> {
    let spanless = |shown: String| {
        let mut kept = String::new();
        let mut rest = shown.as_str();
        while let Some((before, after)) = rest.split_once("span: Some(Span") {
            kept += before;
            rest = after.split_once("})").map_or("", |(_, rest)| rest);
        }
        kept.push_str(rest);
        kept.replace("span: None", "")
    };
    let shown = |object: &Object| {
        let paths: Vec<_> = object.unread.iter().map(|field| &field.path).collect();
        spanless(format!("{} {} {:?} {:?} {paths:?}", object.api_version, object.kind, object.metadata, object.body))
    };
    snapshot.objects.iter().map(shown).collect()
}

#[test]
fn a_dump_reads_the_same_without_and_with_a_tree() {
    let all = [POD, POLICY, JOB, NODE, SECRET, CLUSTER_POLICY, SERVICE, SLICE, ENDPOINTS, ROLE, BINDING, ACCOUNT];
    let list = format!(r#"{{"apiVersion":"v1","items":[{}],"kind":"List","metadata":{{}}}}"#, all.join(",\n"));
    let (fast, problems) = json(&list);
    assert_eq!(problems, Vec::<String>::new());
    // YAML is always read by way of a tree, and JSON is YAML.
    let (slow, problems) = reading_with(&[("a.yaml", &all.join("\n---\n"))], &ReadOptions::default());
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(content(&fast), content(&slow));
    assert_eq!(fast.objects.len(), 12);
    assert_eq!(written(&list, fast.objects[0].span), POD);
    let Body::Pod(pod) = &fast.objects[0].body else { panic!() };
    assert_eq!(pod.status.as_ref().unwrap().pod_ips.as_ref().unwrap().len(), 2);
    assert_eq!(pod.status.as_ref().unwrap().conditions.unwrap().ready, Some(false));
    let port = &pod.spec.as_ref().unwrap().containers.as_ref().unwrap()[0].ports.as_ref().unwrap()[0];
    assert_eq!((port.host_port.unwrap().value, &*port.host_ip.as_ref().unwrap().value), (8080, "192.168.0.1"));
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(
        (spec.service_account_name.as_deref(), spec.automount_service_account_token),
        (Some("web"), Some(false))
    );
    assert_eq!((spec.dns_policy.as_deref(), spec.enable_service_links), (Some("None"), Some(true)));
    let Body::Role(role) = &fast.objects[9].body else { panic!() };
    assert_eq!(role.rules.as_ref().unwrap().len(), 1);
    assert!(matches!(fast.objects[10].body, Body::RoleBinding(_)));
    let Body::ServiceAccount(account) = &fast.objects[11].body else { panic!() };
    assert_eq!(account.automount_service_account_token, Some(false));
    let Body::Node(node) = &fast.objects[3].body else { panic!() };
    assert_eq!(node.spec.as_ref().unwrap().pod_cidrs.as_ref().unwrap().len(), 2);
    let Body::Service(service) = &fast.objects[6].body else { panic!() };
    assert_eq!(service.spec.as_ref().unwrap().ports.as_ref().unwrap().len(), 1);
    let Body::NetworkPolicy(policy) = &fast.objects[1].body else { panic!() };
    let rule = &policy.spec.as_ref().unwrap().ingress.as_ref().unwrap()[0];
    let block = rule.value.from.as_ref().unwrap()[0].value.ip_block.as_ref().unwrap();
    assert_eq!(written(&list, block.value.cidr.as_ref().unwrap().span), "\"10.0.0.0/8\"");
    let Body::ClusterPolicy(policy) = &fast.objects[5].body else { panic!() };
    assert_eq!(written(&list, policy.spec.as_ref().unwrap().priority.as_ref().unwrap().span), "5");
}

#[test]
fn json_lines_and_typed_lists_are_read() {
    let items = POD.replace(r#""apiVersion":"v1","kind":"Pod","#, "");
    let typed = format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{items}]}}"#);
    let (snapshot, problems) = json(&format!("{NODE}\n{SECRET}\n\n{typed}\n{JOB}"));
    assert_eq!(problems, Vec::<String>::new());
    let kinds: Vec<&str> = snapshot.objects.iter().map(|object| &*object.kind).collect();
    assert_eq!(kinds, ["Node", "Secret", "Pod", "Job"]);
}

#[test]
fn an_item_of_another_kind_than_its_list_says_is_what_it_says() {
    let typed = format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{NODE}]}}"#);
    assert_eq!(&*json(&typed).0.objects[0].kind, "Node");
}

#[test]
fn hand_written_json_is_checked_like_yaml() {
    // IN-3, IN-2, IN-15
    let text = "{\n  \"apiVersion\": \"v1\", \"kind\": \"Pod\",\n  \"metadata\": {\"name\": \"é\", \"nome\": 1},\n  \"kind\": \"Pod\"\n}";
    assert_eq!(
        json(text).1,
        [
            "warning[IN-15] a.json:3:24: `é` is not a name <\"é\">  ; a name has lower-case letters, digits and `-`, and ends in a letter or digit",
            "error[IN-3] a.json:3:29: unknown field `nome` <\"nome\"> ",
            "error[IN-2] a.json:4:3: duplicate key `kind` <\"kind\"> written again | a.json:2:23 <\"kind\"> first written here ; keep one of them",
        ]
    );
}

#[test]
fn broken_json_hides_no_other_line() {
    // IN-1
    let (snapshot, problems) = json(&format!("{NODE}\n{{\"a\": [1,}}\n{SECRET}\n{{\"a\""));
    assert_eq!(snapshot.objects.len(), 2);
    assert_eq!(
        problems,
        [
            "error[IN-1] a.json:2:10: broken JSON: expected a value <}> ",
            "error[IN-1] a.json:4:1: broken JSON: the text ends in the middle of a value <{\"a\"> ",
        ]
    );
    let (_, problems) = json("{\"a\": 1} trailing");
    assert_eq!(problems.last().unwrap(), "error[IN-1] a.json:1:10: broken JSON: expected a value <trailing> ");
    assert_eq!(json("hello").1, ["error[IN-1] a.json:1:1: broken JSON: expected a value <hello> "]);
    assert_eq!(
        json("{\"a\": \"\\x\"}").1,
        ["error[IN-1] a.json:1:7: broken JSON: a bad escape in this string <\"\\x\"> "]
    );
    assert_eq!(json("{\"a\": 01}").1, ["error[IN-1] a.json:1:7: broken JSON: this is not a number <01> "]);
    assert_eq!(json("").1, Vec::<String>::new());
}

#[test]
fn a_flow_document_is_yaml_whatever_it_begins_with() {
    let (snapshot, problems) = reading("{apiVersion: v1, kind: Pod, metadata: {name: a}} # flow\n");
    assert_eq!((snapshot.objects.len(), problems.len()), (1, 0));
}

#[test]
fn the_same_object_of_two_dumps_is_equal_in_any_layout() {
    // IN-9
    let wide = POD.replace("\",\"", "\", \"");
    let (_, problems) = json(&format!("{POD}\n{wide}"));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("warning[IN-9] a.json:2:1: Pod shop/a-1 is there twice"), "{problems:?}");
    let (_, problems) = json(&format!("{POD}\n{}", POD.replace("Running", "Failed")));
    assert!(problems[0].starts_with("error[IN-9] a.json:2:1: Pod shop/a-1 is there twice"), "{problems:?}");
}
