//! The store in memory: for simulated worlds, where no thread may stand behind anything, and for runs that need not be remembered.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{PoisonError, RwLock},
};

use bytes::Bytes;

use super::store::{Change, Store, StoreError, after_prefix};

#[derive(Debug, Default)]
pub(super) struct Memory(RwLock<BTreeMap<Bytes, Bytes>>);

impl Store for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn commit(&self, changes: Vec<Change>, _durable: bool) -> Result<(), StoreError> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put(key, value) => drop(map.insert(key.into(), value)),
                Change::Remove(key) => drop(map.remove(key.as_slice())),
            }
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let range = map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn last_key(&self, prefix: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let after = after_prefix(prefix);
        let mut range = map.range::<[u8], _>((Bound::Included(prefix), Bound::Excluded(after.as_slice())));
        Ok(range.next_back().map(|(key, _)| key.clone()))
    }
}
