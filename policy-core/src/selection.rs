//! Which pods a selector selects, without asking each pod: an index by namespace and label.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::ids::{IdVec, NamespaceId, PodId};
use crate::model::{LabelSet, Name, Operator, Pod, Selector};

/// Pods of one namespace with one label set.
#[derive(Clone, Debug)]
struct Alike {
    labels: LabelSet,
    pods: Vec<PodId>,
}

/// Pods by namespace and label, for certain selectors and no others. Pods whose labels share one allocation, as those of one owner mostly do, are looked at
/// once.
#[derive(Clone, Debug, Default)]
pub struct PodIndex {
    groups: Vec<Alike>,
    spaces: FxHashMap<NamespaceId, Vec<usize>>,
    labels: FxHashMap<(NamespaceId, Name, Name), Vec<usize>>,
}

impl PodIndex {
    /// The index of these pods. Only `selectors`, in their namespaces, may be asked later: what none of them reads is
    /// left out.
    #[must_use]
    pub fn new<'s>(pods: &IdVec<PodId, Pod>, selectors: impl IntoIterator<Item = (NamespaceId, &'s Selector)>) -> Self {
        let mut wanted: FxHashMap<NamespaceId, FxHashSet<&Name>> = FxHashMap::default();
        for (namespace, selector) in selectors {
            let keys = selector.requirements().iter().map(|requirement| &requirement.key);
            wanted.entry(namespace).or_default().extend(keys);
        }
        let mut index = Self::default();
        let mut known: FxHashMap<(NamespaceId, usize), usize> = FxHashMap::default();
        for (id, pod) in pods.iter() {
            let Some(keys) = wanted.get(&pod.namespace) else { continue };
            let next = index.groups.len();
            let place = *known.entry((pod.namespace, pod.labels.allocation())).or_insert(next);
            if let Some(group) = index.groups.get_mut(place) {
                group.pods.push(id);
                continue;
            }
            index.groups.push(Alike { labels: pod.labels.clone(), pods: vec![id] });
            index.spaces.entry(pod.namespace).or_default().push(place);
            for (key, value) in pod.labels.iter().filter(|(key, _)| keys.contains(key)) {
                index.labels.entry((pod.namespace, key.clone(), value.clone())).or_default().push(place);
            }
        }
        index
    }

    /// The pods of a namespace that are selected, in order.
    #[must_use]
    pub fn selected(&self, namespace: NamespaceId, selector: &Selector) -> Vec<PodId> {
        let none: &[usize] = &[];
        let with = |key: &Name, value: &Name| {
            self.labels.get(&(namespace, key.clone(), value.clone())).map_or(none, Vec::as_slice)
        };
        // The rarest label that every selected pod must have.
        let labels = selector.requirements().iter().filter_map(|requirement| match &requirement.operator {
            Operator::In(values) => match values.as_slice() {
                [value] => Some(with(&requirement.key, value)),
                _ => None,
            },
            _ => None,
        });
        let all = || self.spaces.get(&namespace).map_or(none, Vec::as_slice);
        let candidates = labels.min_by_key(|groups| groups.len()).unwrap_or_else(all);
        let groups = candidates.iter().filter_map(|place| self.groups.get(*place));
        let selected = groups.filter(|group| selector.matches(&group.labels));
        let mut pods: Vec<PodId> = selected.flat_map(|group| group.pods.iter().copied()).collect();
        pods.sort_unstable();
        pods
    }
}
