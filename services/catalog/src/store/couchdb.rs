//! Products in CouchDB, or in whatever speaks its protocol: the platform's database of documents, in this port's words. How a write without
//! an answer, a foreign place in the feed and names with `_` are dealt with stands there.
//!
//! The bell is rung by this process's own writes, and by [`Couchdb::hear`] for those of others.

use std::sync::{Arc, Mutex, PoisonError};

use platform::{
    Ids,
    db::DbError,
    engine::couchdb::{CouchError, Database, Document, Written},
};
use serde_json::Value as Json;
use tokio::sync::Notify;
use types::{ProductId, id::Uuid};

use super::{Change, Changes, Rev, Seq, StoreError, Stored};

#[derive(Clone, Debug)]
pub struct Couchdb {
    database: Database,
    /// Marks of writes.
    ids: Ids,
    bell: Arc<Notify>,
    /// Up to where others were listened to.
    heard: Arc<Mutex<Option<String>>>,
}

impl Couchdb {
    #[must_use]
    pub fn new(database: Database, ids: Ids) -> Self {
        Self { database, ids, bell: Arc::default(), heard: Arc::default() }
    }

    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Finds the database or makes it. One that does not answer is waited for by whoever needs a product, and not by the start.
    pub async fn prepare(&self) -> Result<(), CouchError> {
        match self.database.prepare().await {
            Err(error @ CouchError::Away { .. }) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the documents do not answer; who needs a product is answered 503 until they do"
                );
                Ok(())
            }
            prepared => prepared,
        }
    }

    pub async fn get(&self, id: ProductId) -> Result<Option<Stored>, StoreError> {
        self.database.get(&id.to_string()).await.map_err(told)?.map_or(Ok(None), stored)
    }

    pub async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Stored>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut found = Vec::with_capacity(ids.len());
        for document in self.database.get_many(&names).await.map_err(told)? {
            found.extend(stored(document)?);
        }
        found.sort_by_key(|stored| ids.iter().position(|id| *id == stored.id));
        Ok(found)
    }

    pub async fn put(&self, id: ProductId, over: Option<&Rev>, body: &Json) -> Result<Rev, StoreError> {
        let Json::Object(fields) = body else {
            return Err(DbError::Column { column: "body".into(), reason: "a document is an object".into() }.into());
        };
        let mark = self.ids.make::<Uuid>().to_string();
        let written = self.database.put(&id.to_string(), over.map(Rev::as_str), fields, &mark).await;
        self.answer(written)
    }

    pub async fn delete(&self, id: ProductId, over: &Rev) -> Result<Rev, StoreError> {
        let written = self.database.delete(&id.to_string(), over.as_str()).await;
        self.answer(written)
    }

    fn answer(&self, written: Result<Written, CouchError>) -> Result<Rev, StoreError> {
        match written.map_err(told)? {
            Written::As(rev) => {
                self.bell.notify_one();
                revision(&rev)
            }
            Written::Conflict { current } => Err(StoreError::Conflict { current: current.as_deref().map(revision).transpose()? }),
        }
    }

    pub async fn changes(&self, since: Option<&Seq>, limit: u32) -> Result<Changes, StoreError> {
        let mut place = since.map(|since| since.as_str().to_owned());
        loop {
            let feed = self.database.changes(place.as_deref(), limit).await.map_err(told)?;
            let is_end = feed.changes.is_empty();
            let mut entries = Vec::with_capacity(feed.changes.len());
            for document in feed.changes {
                // What is no product (a design document, say) is somebody else's.
                if let Ok(id) = document.id.parse() {
                    let body = document.body.map(Json::Object);
                    entries.push(Change { id, rev: revision(&document.rev)?, body });
                }
            }
            // A part without products is not the end.
            if is_end || !entries.is_empty() {
                return Ok(Changes { entries, last: Seq(feed.last) });
            }
            place = Some(feed.last);
        }
    }

    /// Waits for one change of whoever it is, and rings. What came before the first time is looked at by whoever hears the bell then.
    pub async fn hear(&self) -> Result<(), StoreError> {
        let heard = self.heard().take();
        let next = match heard {
            Some(place) => match self.database.listen(&place).await.map_err(told)? {
                Some(next) => next,
                None => {
                    *self.heard() = Some(place);
                    return Ok(());
                }
            },
            None => self.database.end().await.map_err(told)?,
        };
        *self.heard() = Some(next);
        self.bell.notify_one();
        Ok(())
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(error: CouchError) -> StoreError {
    StoreError::Store(error.into())
}

fn revision(text: &str) -> Result<Rev, StoreError> {
    text.parse().map_err(|error| StoreError::Store(DbError::Column { column: "_rev".into(), reason: format!("{text}: {error}") }))
}

/// A product that is there.
fn stored(document: Document) -> Result<Option<Stored>, StoreError> {
    let (Ok(id), Some(body)) = (document.id.parse(), document.body) else { return Ok(None) };
    Ok(Some(Stored { id, rev: revision(&document.rev)?, body: Json::Object(body) }))
}
