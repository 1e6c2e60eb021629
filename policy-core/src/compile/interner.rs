//! Content interning: equal content, equal id.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::ids::{Id, IdVec};

/// Gives equal keys equal ids, in order of first appearance.
#[derive(Clone, Debug)]
pub(crate) struct Interner<I, K> {
    ids: FxHashMap<K, I>,
    keys: IdVec<I, K>,
}

impl<I, K> Default for Interner<I, K>
where
    I: Id,
{
    fn default() -> Self {
        Self { ids: FxHashMap::default(), keys: IdVec::new() }
    }
}

impl<I: Id, K: Clone + Eq + Hash> Interner<I, K> {
    /// The id of `key`, new or known.
    pub(crate) fn intern(&mut self, key: K) -> I {
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = self.keys.push(key.clone());
        self.ids.insert(key, id);
        id
    }

    /// The id of a key that was interned before.
    pub(crate) fn get(&self, key: &K) -> Option<I> {
        self.ids.get(key).copied()
    }

    /// All keys by id.
    pub(crate) fn keys(&self) -> &IdVec<I, K> {
        &self.keys
    }

    /// The keys alone.
    pub(crate) fn into_keys(self) -> IdVec<I, K> {
        self.keys
    }
}
