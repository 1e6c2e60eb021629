//! Which pods a selector selects, without asking each pod: an index by namespace and label.

use rustc_hash::FxHashMap;

use crate::ids::{IdVec, NamespaceId, PodId};
use crate::model::{Name, Operator, Pod, Selector};

/// Pods by namespace, and by namespace and label. Building it is linear in the labels of all pods.
#[derive(Clone, Debug, Default)]
pub struct PodIndex {
    spaces: FxHashMap<NamespaceId, Vec<PodId>>,
    labels: FxHashMap<(NamespaceId, Name, Name), Vec<PodId>>,
}

impl PodIndex {
    /// The index of these pods.
    #[must_use]
    pub fn new(pods: &IdVec<PodId, Pod>) -> Self {
        let mut index = Self::default();
        for (id, pod) in pods.iter() {
            index.spaces.entry(pod.namespace).or_default().push(id);
            for (key, value) in pod.labels.iter() {
                index.labels.entry((pod.namespace, key.clone(), value.clone())).or_default().push(id);
            }
        }
        index
    }

    /// The pods of a namespace that are selected, in order.
    #[must_use]
    pub fn selected(&self, pods: &IdVec<PodId, Pod>, namespace: NamespaceId, selector: &Selector) -> Vec<PodId> {
        let none: &[PodId] = &[];
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
        let candidates = labels.min_by_key(|pods| pods.len()).unwrap_or_else(all);
        let selected = |id: &&PodId| pods.get(**id).is_some_and(|pod| selector.matches(&pod.labels));
        candidates.iter().filter(selected).copied().collect()
    }
}
