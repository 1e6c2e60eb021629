//! Probes to single questions.

use std::fmt;
use std::net::IpAddr;

use policy_core::model::{Family, Protocol};

use super::format::{Expect, FamilyAsked, MatrixRule, OneOrMany, Pair, PortAsked, Probe};
use super::state::State;

/// An end of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A bare address.
    Address(IpAddr),
}

impl End {
    fn parse(text: &str) -> Self {
        if let Ok(address) = text.parse() {
            return Self::Address(address);
        }
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        Self::Pod { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// One question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Who asks in.
    pub from: End,
    /// Who is asked for.
    pub to: End,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: PortAsked,
    /// Only this family; all when `None`.
    pub family: Option<Family>,
    /// What must hold.
    pub expect: Expect,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {} {}", self.from, self.to, self.protocol, self.port)
    }
}

/// All questions of some probes in a state.
#[must_use]
pub fn questions(state: &State, ignore_self: bool, probes: &[Probe]) -> Vec<Question> {
    let mut questions = Vec::new();
    for probe in probes {
        match probe {
            Probe::Pairs { pairs } => questions.extend(pairs.iter().map(single)),
            Probe::Matrix { protocol, port, default, rules } => {
                let pods = state.pods();
                for from in &pods {
                    for to in pods.iter().filter(|to| !(ignore_self && *to == from)) {
                        let expect = expected(*default, rules, from, to);
                        let (from, to, port) = (End::parse(from), End::parse(to), port.clone());
                        questions.push(Question { from, to, protocol: (*protocol).into(), port, family: None, expect });
                    }
                }
            }
        }
    }
    questions
}

fn single(pair: &Pair) -> Question {
    Question {
        from: End::parse(&pair.from),
        to: End::parse(&pair.to),
        protocol: pair.protocol.into(),
        port: pair.port.clone(),
        family: pair.family.map(|family| match family {
            FamilyAsked::V4 => Family::V4,
            FamilyAsked::V6 => Family::V6,
        }),
        expect: pair.expect,
    }
}

/// The last rule that matches wins.
fn expected(default: Expect, rules: &[MatrixRule], from: &str, to: &str) -> Expect {
    let matching = rules.iter().rfind(|rule| matches(&rule.from, from) && matches(&rule.to, to));
    matching.map_or(default, |rule| rule.expect)
}

fn matches(patterns: &OneOrMany, pod: &str) -> bool {
    patterns.as_slice().iter().any(|pattern| match pattern.strip_suffix("/*") {
        Some(namespace) => pod.split_once('/').is_some_and(|(of, _)| of == namespace),
        None => pattern == "*" || pattern == pod,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &str, to: &[&str], expect: Expect) -> MatrixRule {
        let to = OneOrMany::Many(to.iter().map(|text| (*text).to_owned()).collect());
        MatrixRule { from: OneOrMany::One(from.to_owned()), to, expect }
    }

    #[test]
    fn the_last_matching_rule_wins() {
        let rules = [rule("*", &["x/*"], Expect::Deny), rule("y/a", &["x/a", "x/b"], Expect::Allow)];
        assert_eq!(expected(Expect::Allow, &rules, "y/a", "x/a"), Expect::Allow);
        assert_eq!(expected(Expect::Allow, &rules, "y/a", "x/c"), Expect::Deny);
        assert_eq!(expected(Expect::Allow, &rules, "y/b", "x/a"), Expect::Deny);
        assert_eq!(expected(Expect::Allow, &rules, "y/b", "xx/a"), Expect::Allow);
    }

    #[test]
    fn an_end_is_a_pod_or_an_address() {
        assert_eq!(End::parse("fd00::1"), End::Address("fd00::1".parse().unwrap()));
        assert_eq!(End::parse("x/a"), End::Pod { namespace: "x".to_owned(), name: "a".to_owned() });
    }
}
