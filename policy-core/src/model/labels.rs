//! Labels and label selectors (NP-11).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A shared string: names, label keys and label values repeat endlessly.
pub type Name = Arc<str>;

/// The labels of one object, sorted by key. Cloning shares.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Arc<[(Name, Name)]>);

impl LabelSet {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Name> {
        let at = self.0.binary_search_by(|(candidate, _)| (**candidate).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// All labels, by key.
    pub fn iter(&self) -> std::slice::Iter<'_, (Name, Name)> {
        self.0.iter()
    }

    /// The number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels whose keys pass a test.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&Name) -> bool) -> Self {
        Self(self.0.iter().filter(|(key, _)| keep(key)).cloned().collect())
    }

    /// Whether nobody else shares the allocation.
    #[must_use]
    pub fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// What tells allocations apart while they live: sets with the same one are equal, and it is cheap to know.
    #[must_use]
    pub fn allocation(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl Default for LabelSet {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl From<BTreeMap<Name, Name>> for LabelSet {
    fn from(labels: BTreeMap<Name, Name>) -> Self {
        Self(labels.into_iter().collect())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for LabelSet {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(labels: I) -> Self {
        labels.into_iter().map(|(key, value)| (Name::from(key), Name::from(value))).collect::<BTreeMap<_, _>>().into()
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

/// A label selector: all requirements must hold; none at all matches everything (NP-11).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Selector {
    requirements: Arc<[Requirement]>,
}

/// One requirement on one key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Requirement {
    /// The label key.
    pub key: Name,
    /// What must hold for its value.
    pub operator: Operator,
}

/// The operator of a [`Requirement`], with its values sorted and without duplicates.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operator {
    /// The key is there and its value is one of these.
    In(Vec<Name>),
    /// The key is missing, or its value is none of these.
    NotIn(Vec<Name>),
    /// The key is there.
    Exists,
    /// The key is missing.
    DoesNotExist,
}

impl Selector {
    /// A selector of these requirements; their order does not matter.
    #[must_use]
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        let mut requirements: Vec<_> = requirements.into_iter().collect();
        requirements.sort();
        requirements.dedup();
        Self { requirements: requirements.into() }
    }

    /// Matches every object (`{}`).
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// `key in (value)` for each label.
    pub fn match_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(
            labels.into_iter().map(|(key, value)| Requirement {
                key: Name::from(key),
                operator: Operator::In(vec![Name::from(value)]),
            }),
        )
    }

    /// The requirements, sorted.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether the selector has no requirement.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels is selected (NP-11).
    #[must_use]
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// The fewest labels that are selected; `None` when the requirements contradict each other.
    #[must_use]
    pub fn example(&self) -> Option<LabelSet> {
        let mut labels: BTreeMap<Name, Name> = BTreeMap::new();
        for requirement in self.requirements() {
            let others = || self.requirements().iter().filter(|other| other.key == requirement.key);
            let fits = |value: &&Name| {
                let alone = LabelSet::from(BTreeMap::from([(requirement.key.clone(), (*value).clone())]));
                others().all(|other| other.matches(&alone))
            };
            match &requirement.operator {
                Operator::In(values) => {
                    labels.insert(requirement.key.clone(), values.iter().find(fits)?.clone());
                }
                Operator::Exists => {
                    let any = (0..).map(|n| Name::from(if n == 0 { "any".to_owned() } else { format!("any-{n}") }));
                    let given = others().find_map(|other| match &other.operator {
                        Operator::In(values) => values.iter().find(fits).cloned(),
                        _ => None,
                    });
                    let free = || any.take(others().count() + 64).find(|value| fits(&value));
                    labels.insert(requirement.key.clone(), given.or_else(free)?);
                }
                Operator::NotIn(_) | Operator::DoesNotExist => {}
            }
        }
        let labels = LabelSet::from(labels);
        self.matches(&labels).then_some(labels)
    }
}

impl Requirement {
    /// Whether labels satisfy this requirement (NP-11: `NotIn` and `DoesNotExist` hold for a missing key).
    #[must_use]
    pub fn matches(&self, labels: &LabelSet) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("{}");
        }
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    /// The syntax of `kubectl -l`: `a=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) => match values.as_slice() {
                [value] => write!(f, "{key}={value}"),
                values => write!(f, "{key} in ({})", values.join(",")),
            },
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(key: &str, operator: Operator) -> Requirement {
        Requirement { key: Name::from(key), operator }
    }

    fn values(values: &[&str]) -> Vec<Name> {
        values.iter().map(|value| Name::from(*value)).collect()
    }

    #[test]
    fn an_example_meets_every_requirement_or_does_not_exist() {
        let given = |requirements: Vec<Requirement>| Selector::new(requirements).example().map(|l| l.to_string());
        let both = vec![
            requirement("app", Operator::In(values(&["a", "b"]))),
            requirement("app", Operator::NotIn(values(&["a"]))),
        ];
        assert_eq!(given(both).as_deref(), Some("app=b"));
        let key = vec![requirement("app", Operator::Exists), requirement("app", Operator::NotIn(values(&["any"])))];
        assert_eq!(given(key).as_deref(), Some("app=any-1"));
        let never = vec![requirement("app", Operator::Exists), requirement("app", Operator::DoesNotExist)];
        assert_eq!(given(never), None);
        assert_eq!(given(Vec::new()).as_deref(), Some(""));
    }
}
