//! What the event log needs of a store: an ordered map of bytes that takes a set of changes as a whole. Everything that makes it a
//! bus (topics, offsets, groups, retention) stands above this, once, so that both stores behave alike.

use std::{error::Error, sync::Arc};

use bytes::Bytes;

/// Ordered bytes. Calls come from many threads; commits come one at a time.
pub(super) trait Store: Send + Sync + 'static {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Makes all the changes or none. When `durable`, they are as safe as the store can make them once this returns; otherwise they
    /// may be lost with the machine, though not with the process.
    fn commit(&self, changes: Vec<Change>, durable: bool) -> Result<(), StoreError>;

    /// The first `limit` pairs from `from` on and before `to`, in the order of their keys.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError>;

    /// The greatest key that begins with `prefix`.
    fn last_key(&self, prefix: &[u8]) -> Result<Option<Bytes>, StoreError>;
}

/// One change; a set of them names each key once.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Put(Vec<u8>, Bytes),
    Remove(Vec<u8>),
}

impl Change {
    /// About what it takes in the store's write buffer, in bytes.
    pub fn size(&self) -> u64 {
        const ENTRY: usize = 64;
        match self {
            Self::Put(key, value) => (ENTRY + key.len() + value.len()) as u64,
            Self::Remove(key) => (ENTRY + key.len()) as u64,
        }
    }
}

/// The store below the bus could not do it. Shared, because everyone who waited for one commit is told.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store of the event log failed")]
pub struct StoreError(#[source] pub(super) Arc<dyn Error + Send + Sync>);

impl StoreError {
    pub(super) fn new(cause: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(cause))
    }
}

/// The first key after all those that begin with `prefix`; every prefix of the bus holds a byte below 0xFF.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut after = prefix.to_vec();
    while let Some(last) = after.pop() {
        if last < u8::MAX {
            after.push(last + 1);
            break;
        }
    }
    after
}
