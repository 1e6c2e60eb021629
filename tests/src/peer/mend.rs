//! Faults in the peer's inputs that the peer overlooks and we refuse: put right before reading.
//!
//! An API server would refuse these objects, or drop what it does not know. The peer reads them without a word. What is
//! mended changes no name that a list shows, except that an owner without a kind is listed as a Pod.

use serde_json::{Map, Value, json};

/// A text without the known faults, and how many there were.
pub(super) fn mend(text: String) -> (String, usize) {
    let options = serde_saphyr::options! { strict_booleans: true };
    let Ok(mut documents) = serde_saphyr::from_multiple_with_options::<Value>(&text, options) else {
        return (text, 0);
    };
    let mended: usize = documents.iter_mut().map(document).sum();
    if mended == 0 {
        return (text, 0);
    }
    let documents: Vec<_> = documents.iter().map(Value::to_string).collect();
    (documents.join("\n---\n"), mended)
}

fn document(document: &mut Value) -> usize {
    owners(document) + ports(document) + selectors(document) + named_ports(document)
}

/// An owner without a kind.
fn owners(document: &mut Value) -> usize {
    let owners = document.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    let owners = owners.into_iter().flatten().filter_map(Value::as_object_mut);
    let nameless = owners.filter(|owner| !owner.contains_key("kind"));
    nameless
        .map(|owner| owner.extend([("apiVersion".to_owned(), json!("v1")), ("kind".to_owned(), json!("Pod"))]))
        .count()
}

/// A declared port of which the number is misspelt (IN-3): without a number it declares nothing.
fn ports(document: &mut Value) -> usize {
    let containers = document.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    let mut mended = 0;
    for container in containers.into_iter().flatten() {
        let Some(ports) = container.get_mut("ports").and_then(Value::as_array_mut) else { continue };
        let before = ports.len();
        ports.retain(|port| port.get("containerport").is_none());
        mended += before - ports.len();
    }
    mended
}

/// `spec` of an AdminNetworkPolicy or BaselineAdminNetworkPolicy.
fn admin(document: &mut Value) -> Option<&mut Map<String, Value>> {
    let kind = document.get("kind").and_then(Value::as_str);
    let is_one = matches!(kind, Some("AdminNetworkPolicy" | "BaselineAdminNetworkPolicy"));
    document.get_mut("spec").filter(|_| is_one).and_then(Value::as_object_mut)
}

/// The lists of peers in rules, of either direction.
fn peers<'a>(rules: impl Iterator<Item = &'a mut Value>) -> impl Iterator<Item = &'a mut Value> {
    let lists = rules.filter_map(|rule| {
        let field = if rule.get("from").is_some() { "from" } else { "to" };
        rule.get_mut(field).and_then(Value::as_array_mut)
    });
    lists.flatten()
}

/// `pods` with one of its two selectors (ANP-1): the peer takes the other one for an empty one.
fn selectors(document: &mut Value) -> usize {
    let Some(spec) = admin(document) else { return 0 };
    let mut mended = 0;
    let mut mend = |pods: Option<&mut Value>| {
        let Some(pods) = pods.and_then(|owner| owner.get_mut("pods")).and_then(Value::as_object_mut) else { return };
        for field in ["namespaceSelector", "podSelector"] {
            if !pods.contains_key(field) {
                pods.insert(field.to_owned(), json!({}));
                mended += 1;
            }
        }
    };
    mend(spec.get_mut("subject"));
    for direction in ["ingress", "egress"] {
        let rules = spec.get_mut(direction).and_then(Value::as_array_mut);
        peers(rules.into_iter().flatten()).for_each(|peer| mend(Some(peer)));
    }
    mended
}

/// A named port in a rule with pods and others among its peers (ANP-3): the peer lets it mean nothing for the others.
/// Two rules say the same, one after the other.
fn named_ports(document: &mut Value) -> usize {
    let Some(spec) = admin(document) else { return 0 };
    let Some(rules) = spec.get_mut("egress").and_then(Value::as_array_mut) else { return 0 };
    let is_named = |port: &Value| port.get("namedPort").is_some();
    let is_pods = |peer: &Value| peer.get("pods").is_some() || peer.get("namespaces").is_some();
    let list = |rule: &Value, field: &str| rule.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut mended = 0;
    let split = std::mem::take(rules).into_iter().flat_map(|rule| {
        let (ports, (pods, others)) =
            (list(&rule, "ports"), list(&rule, "to").into_iter().partition::<Vec<_>, _>(is_pods));
        if others.is_empty() || !ports.iter().any(is_named) {
            return vec![rule];
        }
        mended += 1;
        let numbers: Vec<_> = ports.iter().filter(|port| !is_named(port)).cloned().collect();
        let with = |to: Vec<Value>, ports: Vec<Value>| {
            let mut rule = rule.clone();
            let fields = [("to", to), ("ports", ports)];
            if fields.iter().any(|(_, list)| list.is_empty()) {
                return None;
            }
            rule.as_object_mut()?.extend(fields.map(|(field, list)| (field.to_owned(), Value::Array(list))));
            Some(rule)
        };
        [with(pods, ports), with(others, numbers)].into_iter().flatten().collect()
    });
    *rules = split.collect();
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_faults_is_left_as_it_is() {
        let text = "kind: NetworkPolicy # a comment\nmetadata: {name: a-b}\n".to_owned();
        assert_eq!(mend(text.clone()), (text, 0));
    }

    #[test]
    fn faults_are_counted() {
        let text = "kind: NetworkPolicy\nmetadata: {name: a-b}\n---\nkind: Pod\nmetadata: {ownerReferences: [{name: x}, {name: y}]}\n";
        let (text, mended) = mend(text.to_owned());
        assert_eq!(mended, 2);
        assert!(text.contains("{\"name\":\"a-b\"}") && text.contains("\"kind\":\"Pod\",\"name\":\"x\""), "{text}");
    }
    #[test]
    fn policies_get_their_selectors_and_rules_that_take_their_ports() {
        let text = concat!(
            "kind: AdminNetworkPolicy\nspec:\n  subject: {pods: {podSelector: {}}}\n  egress:\n",
            "  - {action: Deny, to: [{pods: {namespaceSelector: {}}}, {networks: [10.0.0.0/8]}], ",
            "ports: [{namedPort: dns}, {portNumber: {port: 53}}]}\n",
        );
        let (text, mended) = mend(text.to_owned());
        assert_eq!(mended, 3);
        let policy: Value = serde_json::from_str(&text).unwrap();
        let (dns, number) = (json!({"namedPort": "dns"}), json!({"portNumber": {"port": 53}}));
        let pods = json!({"namespaceSelector": {}, "podSelector": {}});
        assert_eq!(policy["spec"]["subject"]["pods"], pods);
        assert_eq!(
            policy["spec"]["egress"],
            json!([
                {"action": "Deny", "to": [{"pods": pods}], "ports": [dns, number]},
                {"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}], "ports": [number]},
            ])
        );
    }
}
