//! What is wrong with a text: message, place, underlined text and help.

use super::*;

fn problems(text: &str) -> Vec<String> {
    reading(text).1
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec:\n  podSelector: {{}}\n{spec}"
    )
}

#[test]
fn broken_yaml_hides_no_other_document() {
    // IN-1
    let (snapshot, found) = reading("a: b: c\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n---\nb:\n\tc: 1\n");
    assert_eq!(
        found,
        [
            "error[IN-1] a.yaml:1:5: broken YAML: mapping values are not allowed in this context <:>  ; quote a value that contains `: `",
            "error[IN-1] a.yaml:8:2: broken YAML: tabs disallowed within this context (block indentation) <c:>  ; indent with spaces, not tabs",
        ]
    );
    assert_eq!(snapshot.objects.len(), 1);
    assert!(snapshot.incomplete);
}

#[test]
fn a_key_that_stands_twice_shows_both_places() {
    // IN-2
    assert_eq!(
        problems("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\n"),
        [
            "error[IN-2] a.yaml:5:3: duplicate key `name` <name> written again | a.yaml:4:3 <name> first written here ; keep one of them"
        ]
    );
}

#[test]
fn an_unknown_field_suggests_the_one_that_was_meant() {
    // IN-3
    assert_eq!(
        problems(&policy("  ingress:\n  - from:\n    - podSelectr: {}\n")),
        ["error[IN-3] a.yaml:8:7: unknown field `podSelectr` <podSelectr> did you mean `podSelector`?"]
    );
    assert_eq!(
        problems("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostNotwork: true, containers: []}\n"),
        ["error[IN-3] a.yaml:4:8: unknown field `hostNotwork` <hostNotwork> did you mean `hostNetwork`?"]
    );
}

#[test]
fn all_wrong_types_of_a_document_are_said_at_once() {
    // IN-4
    let text = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {v: 1}}
spec:
  replicas: \"2\"
  selector: []
  template:
    metadata: {creationTimestamp: soon}
    spec:
      hostNetwork: \"true\"
      containers:
        name: c
        resources: {limits: {cpu: 1}}
";
    assert_eq!(
        problems(text),
        [
            "error[IN-4] a.yaml:3:35: expected a string, found the number `1` <1>  ; quote it: \"1\"",
            "error[IN-4] a.yaml:5:13: expected a whole number, found the string `\"2\"` <\"2\">  ; remove the quotes: 2",
            "error[IN-4] a.yaml:6:13: expected a map, found a list <[]>  ; remove the `- ` before the first field",
            "error[IN-4] a.yaml:8:35: expected a time such as 2006-01-02T15:04:05Z, found the string `soon` <soon> ",
            "error[IN-4] a.yaml:10:20: expected a boolean, found the string `\"true\"` <\"true\">  ; remove the quotes: true",
            "error[IN-4] a.yaml:12:9: expected a list, found a map <name: c\n        resources: {limits: {cpu: 1}}>  ; begin each item with `- `",
        ]
    );
}

#[test]
fn numbers_must_fit() {
    // IN-4
    assert_eq!(
        problems(&policy(
            "  ingress:\n  - ports:\n    - port: 99999999999\n    - port: 1.5\n    - port: yes\n      endPort: 3000000000\n"
        )),
        [
            "error[IN-4] a.yaml:8:13: expected a whole number from -2147483648 to 2147483647, found the number `99999999999` <99999999999> ",
            "error[IN-4] a.yaml:9:13: expected a whole number or a string, found the number `1.5` <1.5> ",
            "error[IN-4] a.yaml:10:13: expected a whole number or a string, found the boolean `yes` <yes> ",
            "error[IN-4] a.yaml:11:16: expected a whole number from -2147483648 to 2147483647, found the number `3000000000` <3000000000> ",
        ]
    );
}

#[test]
fn quantities_are_numbers_or_strings() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, resources: {limits: {cpu: 1, memory: 1.5, x: 1Gi}}}]}\n";
    assert_eq!(problems(text), Vec::<String>::new());
}

#[test]
fn an_empty_list_item_is_pointed_out() {
    // IN-16
    assert_eq!(
        problems(&policy("  ingress:\n  -\n  egress:\n  - to:\n    - null\n")),
        [
            "warning[IN-16] a.yaml:7:3: an empty list item reads as `{}` <->  ; remove it, or write `{}` if that is what is meant",
            "warning[IN-16] a.yaml:10:7: an empty list item reads as `{}` <null>  ; remove it, or write `{}` if that is what is meant",
        ]
    );
}

#[test]
fn templates_and_other_documents_are_named() {
    // IN-10
    assert_eq!(
        problems("{{- if .Values.on }}\nkind: Pod\n{{- end }}\n"),
        [
            "error[IN-10] a.yaml:1:1: this is a template, not YAML <{{- if .Values.on }}>  ; render it first (`helm template …`), or skip it with `--keep-going`"
        ]
    );
    assert_eq!(
        problems("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Values.name }}\n"),
        [
            "error[IN-10] a.yaml:4:9: this is a template, not YAML <{{ .Values.name }}>  ; render it first (`helm template …`), or skip it with `--keep-going`"
        ]
    );
    assert_eq!(
        problems("apiVersion: v1\nkind: Pod\nmetadata:\n  name: '{{ .Values.name }}'\n"),
        [
            "error[IN-10] a.yaml:4:9: the name is a template: `{{ .Values.name }}` <'{{ .Values.name }}'>  ; render the template first (`helm template …`), then read what it makes"
        ]
    );
    assert_eq!(
        problems("replicas: 3\nimage: x\n"),
        [
            "warning[IN-10] a.yaml:1:1: this document is not a Kubernetes object: skipped <replicas: 3>  ; a Kubernetes object has `apiVersion` and `kind`"
        ]
    );
    assert_eq!(problems("# nothing\n---\n---\n\n"), Vec::<String>::new());
    assert_eq!(
        problems("kind: Pod\nmetadata: {name: a}\n"),
        ["error[IN-10] a.yaml:1:7: this Pod has no `apiVersion` <Pod> "]
    );
}

#[test]
fn an_alias_bomb_costs_nothing() {
    // IN-11
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        let before = level - 1;
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
    }
    let found = problems(&text);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("error[IN-11] a.yaml:"), "{found:?}");
    assert!(found[0].contains("aliases expand to too many nodes"), "{found:?}");
}

#[test]
fn deep_nesting_is_refused_in_every_shape() {
    // IN-11
    let flow = "[".repeat(100_000);
    let block = "- ".repeat(100_000);
    let mut chain = format!("a0: &a0 {}{}\n", "[".repeat(150), "]".repeat(150));
    for level in 1..20 {
        chain += &format!("a{level}: &a{level} {}*a{}{}\n", "[".repeat(150), level - 1, "]".repeat(150));
    }
    let json = format!("{{\"a\":{}", "[".repeat(100_000));
    for text in [flow, block, chain, json] {
        let found = problems(&text);
        assert!(found.iter().any(|line| line.contains("nested deeper than 200 levels")), "{found:?}");
    }
}

#[test]
fn objects_need_names_that_kubernetes_takes() {
    // IN-15
    assert_eq!(
        problems("apiVersion: v1\nkind: Pod\nmetadata: {}\n"),
        ["error[IN-15] a.yaml:2:7: this Pod has no name <Pod>  ; give it a `metadata.name`"]
    );
    assert_eq!(
        problems("apiVersion: v1\nkind: Pod\nmetadata: {name: My_Pod, namespace: a.b}\n"),
        [
            "warning[IN-15] a.yaml:3:18: `My_Pod` is not a name <My_Pod>  ; a name has lower-case letters, digits and `-`, and ends in a letter or digit",
            "warning[IN-15] a.yaml:3:37: `a.b` is not a namespace <a.b>  ; a namespace has lower-case letters, digits and `-`, and ends in a letter or digit",
        ]
    );
    assert_eq!(problems("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n"), Vec::<String>::new());
    assert_eq!(
        problems("apiVersion: v1\nkind: Pod\nmetadata: {name: 7}\n"),
        ["error[IN-4] a.yaml:3:18: expected a string, found the number `7` <7>  ; quote it: \"7\""]
    );
}

#[test]
fn an_object_that_is_there_twice_shows_both_places() {
    // IN-9
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {x: u}}}\n";
    let same = "apiVersion: v1\nmetadata:\n  labels:\n    x: u\n  name: a\nkind: Pod\n";
    let other = "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {x: z}}}\n";
    assert_eq!(
        problems(&format!("{pod}---\n{same}")),
        [format!(
            "warning[IN-9] a.yaml:3:1: Pod a is there twice <apiVersion: v1> the same again | a.yaml:1:1 <{}> first here ; remove one of them",
            pod.trim_end()
        )]
    );
    assert_eq!(
        problems(&format!("{pod}---\n{other}")),
        [format!(
            "error[IN-9] a.yaml:3:1: Pod a is there twice <{}> with other content | a.yaml:1:1 <{}> first here ; remove one of them, or read them apart: only one can be in the cluster",
            other.trim_end(),
            pod.trim_end()
        )]
    );
}

#[test]
fn a_legacy_version_is_the_same_kind() {
    // IN-18, IN-9, NP-33
    let policy = |version: &str| {
        format!(
            "apiVersion: {version}\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {{podSelector: {{}}, old: 1}}\n"
        )
    };
    assert_eq!(
        problems(&policy("extensions/v1beta1")),
        [
            "warning[IN-18] a.yaml:1:13: `extensions/v1beta1` is no longer served for NetworkPolicy <extensions/v1beta1>  ; read as `networking.k8s.io/v1`, which has the same shape",
            "warning[IN-3] a.yaml:4:25: unknown field `old` <old>  ; known here: `egress`, `ingress`, `podSelector`, `policyTypes`",
        ]
    );
    let policy = |version: &str| {
        format!("apiVersion: {version}\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {{podSelector: {{}}}}\n")
    };
    let both = problems(&format!("{}---\n{}", policy("extensions/v1beta1"), policy("networking.k8s.io/v1")));
    assert!(both[1].starts_with("warning[IN-9] a.yaml:6:1: NetworkPolicy p is there twice"), "{both:?}");
}

#[test]
fn a_version_that_does_not_have_the_kind_is_refused() {
    // IN-18
    assert_eq!(
        problems("apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n"),
        ["error[IN-18] a.yaml:1:13: there is no Deployment in `v1` <v1>  ; write `apiVersion: apps/v1`"]
    );
    assert_eq!(
        problems("apiVersion: networking.k8s.io/v1\nkind: NetworkPolcy\nmetadata: {name: a}\n"),
        [
            "error[IN-18] a.yaml:2:7: there is no kind `NetworkPolcy` in `networking.k8s.io/v1` <NetworkPolcy> did you mean `NetworkPolicy`?"
        ]
    );
}

#[test]
fn a_bad_object_of_a_list_does_not_take_the_others_along() {
    let text = "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- metadata: {name: [b]}\n- metadata: {name: c, name: d}\n- metadata: {name: e}\n";
    let (snapshot, found) = reading(text);
    let names: Vec<_> = snapshot.objects.iter().filter_map(|object| object.metadata.name.as_deref()).collect();
    assert_eq!(names, ["a", "e"], "{found:?}");
    assert_eq!(
        found,
        [
            "error[IN-4] a.yaml:5:20: expected a string, found a list <[b]> ",
            "error[IN-2] a.yaml:6:23: duplicate key `name` <name> written again | a.yaml:6:14 <name> first written here ; keep one of them",
        ]
    );
    assert!(snapshot.incomplete);
}

#[test]
fn keep_going_leaves_out_what_has_a_stray_field() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, nome: b}\n";
    assert_eq!(reading(text).0.objects.len(), 1);
    let options = ReadOptions { keep_going: true, ..ReadOptions::default() };
    let (snapshot, found) = reading_with(&[("a.yaml", text)], &options);
    assert_eq!((snapshot.objects.len(), snapshot.incomplete, found.len()), (0, true, 1));
}

#[test]
fn a_kind_that_no_rule_reads_may_be_there_twice_with_a_warning() {
    // IN-9
    let found = problems(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {}}\n",
    );
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("warning[IN-9] a.yaml:3:1: ConfigMap a is there twice"), "{found:?}");
}

#[test]
fn a_key_that_stands_twice_outside_the_objects_is_an_error_too() {
    // IN-2
    let (snapshot, found) =
        reading("apiVersion: v1\nkind: List\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n");
    assert_eq!((snapshot.objects.len(), snapshot.incomplete, found.len()), (1, true, 1));
}

#[test]
fn a_kustomization_is_noted() {
    // IN-10
    assert_eq!(
        problems("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n"),
        [
            "note[IN-10] a.yaml:2:7: kustomizations are not built here <Kustomization>  ; read what `kustomize build` or `kubectl kustomize` prints instead"
        ]
    );
}

#[test]
fn lists_that_are_none_are_refused() {
    // IN-4
    assert_eq!(
        problems(
            "apiVersion: v1\nkind: List\n---\napiVersion: v1\nkind: List\nitems: {a: b}\n---\napiVersion: v1\nkind: [Pod]\n"
        ),
        [
            "error[IN-4] a.yaml:2:7: a List without `items` <List> ",
            "error[IN-4] a.yaml:6:1: `items` is not a list <items> ",
            "error[IN-4] a.yaml:9:7: expected `kind` to be a string <[Pod]> ",
        ]
    );
}
