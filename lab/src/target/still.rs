//! A system at rest, looked at for several ends: each collection is exported once and kept, so that the checks, the figures and the digest are
//! about the same facts, and the second and third of them cost nothing more to read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use types::Timestamp;

use super::{ClockKind, Reply, Request, Target, TargetError};
use crate::witness::Exchange;

/// Another target, as it is at the first look at each of its collections.
#[derive(Debug)]
pub struct Still<'a, T: ?Sized> {
    target: &'a T,
    seen: Mutex<BTreeMap<String, Bytes>>,
}

impl<'a, T: Target + ?Sized> Still<'a, T> {
    #[must_use]
    pub fn new(target: &'a T) -> Self {
        Self { target, seen: Mutex::default() }
    }

    /// Everything that was looked at, by the names of the collections.
    pub fn into_exports(self) -> BTreeMap<String, Bytes> {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Target + ?Sized> Target for Still<'_, T> {
    fn clock(&self) -> ClockKind {
        self.target.clock()
    }
    fn now(&self) -> Timestamp {
        self.target.now()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.target.sleep(duration)
    }
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        self.target.call(request)
    }
    fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        self.target.admin(request)
    }
    fn witnessed(&self) -> Option<Vec<Arc<Exchange>>> {
        self.target.witnessed()
    }
    fn export<'a>(&'a self, collection: &'a str) -> BoxFuture<'a, Result<Bytes, TargetError>> {
        Box::pin(async move {
            if let Some(lines) = self.seen().get(collection) {
                return Ok(lines.clone());
            }
            let lines = self.target.export(collection).await?;
            self.seen().insert(collection.to_owned(), lines.clone());
            Ok(lines)
        })
    }
}
