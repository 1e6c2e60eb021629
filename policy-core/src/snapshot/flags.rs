//! What the command line and the environment of a container say to an Ingress controller (ING-16).
//!
//! Only words that some controller understands are kept: nearly all pods are no controllers and must not pay for them.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Flags as they begin, in lower case and without the dashes.
const FLAGS: [&str; 14] = [
    "configmap",
    "controller-class",
    "default-backend-service",
    "disable-svc-external-name",
    "enable-ssl-passthrough",
    "entrypoints.",
    "ingress-class",
    "ingress.class",
    "empty-ingress-class",
    "providers.kubernetesingress",
    "tcp-services-configmap",
    "udp-services-configmap",
    "watch-ingress-without-class",
    "process-classless-ingress",
];

/// Variables of the environment that stand for such flags, as they begin.
const VARIABLES: [&str; 3] =
    ["CONTROLLER_INGRESS_CLASS", "CONTROLLER_PROCESS_CLASSLESS_INGRESS", "TRAEFIK_PROVIDERS_KUBERNETESINGRESS"];

/// The words of `command` or `args` that a controller understands, as written: a flag, and behind a flag without `=`
/// the word after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::box_collection, reason = "a word of memory in every container of the cluster, not three")]
pub struct Flags(Option<Box<Vec<Arc<str>>>>);

impl Flags {
    /// The words.
    pub fn words(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().flat_map(|words| words.iter())
    }

    fn of(words: Vec<Arc<str>>) -> Self {
        Self((!words.is_empty()).then(|| Box::new(words)))
    }
}

fn is_flag(word: &str) -> bool {
    let Some(name) = word.strip_prefix('-') else { return false };
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    FLAGS.iter().any(|flag| name.starts_with(flag))
}

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagsVisitor;

        impl<'de> Visitor<'de> for FlagsVisitor {
            type Value = Flags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<Flags, E> {
                Ok(Flags::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Flags, A::Error> {
                let mut words: Vec<Arc<str>> = Vec::new();
                let mut wants_value = false;
                while let Some(word) = list.next_element::<String>()? {
                    let flag = is_flag(&word);
                    let keep = flag || (wants_value && !word.starts_with('-'));
                    wants_value = flag && !word.contains('=');
                    if keep {
                        words.push(Arc::from(word));
                    }
                }
                Ok(Flags::of(words))
            }
        }

        deserializer.deserialize_seq(FlagsVisitor)
    }
}

/// The entries of `env` that a controller understands, as `NAME=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(Flags);

impl Variables {
    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.words()
    }
}

/// One entry of `env`.
#[derive(Default)]
struct Variable(Option<String>);

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VariableVisitor;

        impl<'de> Visitor<'de> for VariableVisitor {
            type Value = Variable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_unit<E>(self) -> Result<Variable, E> {
                Ok(Variable::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variable, A::Error> {
                let (mut name, mut value) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "name" => name = map.next_value::<Option<String>>()?,
                        "value" if name.as_deref().is_none_or(is_variable) => {
                            value = map.next_value::<Option<String>>()?;
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                let pair = name.filter(|name| is_variable(name)).zip(value);
                Ok(Variable(pair.map(|(name, value)| format!("{name}={value}"))))
            }
        }

        deserializer.deserialize_map(VariableVisitor)
    }
}

fn is_variable(name: &str) -> bool {
    VARIABLES.iter().any(|variable| name.starts_with(variable))
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list: Option<Vec<Variable>> = Option::deserialize(deserializer)?;
        let entries = list.unwrap_or_default().into_iter().filter_map(|variable| variable.0);
        Ok(Self(Flags::of(entries.map(Arc::from).collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_controller_understands_is_kept() {
        // ING-16
        let flags: Flags = serde_json::from_str(
            r#"["/nginx", "--v=2", "--ingress-class", "public", "next", "--Providers.KubernetesIngress=true", "--x", "y"]"#,
        )
        .unwrap();
        let words: Vec<_> = flags.words().map(|word| &**word).collect();
        assert_eq!(words, ["--ingress-class", "public", "--Providers.KubernetesIngress=true"]);
        let none: Flags = serde_json::from_str(r#"["serve", "--port=80"]"#).unwrap();
        assert_eq!(none, Flags::default());
        let env = r#"[{"name": "PATH", "value": "/bin"}, {"name": "CONTROLLER_INGRESS_CLASS", "value": "kong"}, {"name": "A", "valueFrom": {}}]"#;
        let variables: Variables = serde_json::from_str(env).unwrap();
        assert_eq!(variables.entries().map(|entry| &**entry).collect::<Vec<_>>(), ["CONTROLLER_INGRESS_CLASS=kong"]);
    }
}
