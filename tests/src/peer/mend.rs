//! Faults in the peer's inputs that the peer overlooks and we refuse: put right before reading.
//!
//! An API server would refuse these objects, or drop what it does not know. The peer reads them without a word. What is
//! mended changes no name that a list shows, except that an owner without a kind is listed as a Pod.

use serde_json::{Value, json};

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
    owners(document) + ports(document)
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
}
