//! Where products are: a port over a document store with CouchDB's manners. One document is written at a time, and only over the
//! revision that its writer has seen; nothing else shares that write. What has changed is read from a feed whose positions are opaque.
//!
//! So whatever stands in SQL beside the documents (SKUs, the index, what was published, media) is written before or after, never with
//! them, and made good from the feed: [`skus`], [`index`], [`feed`], [`taxonomy`], [`media`] have every query.

#[cfg(feature = "engines")]
pub mod couchdb;
pub mod embedded;
pub mod feed;
pub mod index;
pub mod media;
pub mod skus;
#[cfg(any(test, feature = "engines"))]
pub mod suite;
pub mod taxonomy;

use std::{fmt, str::FromStr, sync::Arc};

use platform::{
    db::{DbError, Value},
    service::{BuildError, Env},
};
use serde_json::Value as Json;
use tokio::sync::Notify;
use types::ProductId;

#[cfg(feature = "engines")]
pub use self::couchdb::Couchdb;
pub use self::embedded::Embedded;

/// A revision, `N-HASH`: N grows by one with each write, the hash is of what was written over what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rev {
    generation: i64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no revision such as 2-7051cbe5c8faecd085a3fa619e6e6337")]
pub struct RevError;

impl Rev {
    #[must_use]
    pub const fn generation(&self) -> i64 {
        self.generation
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The strong, quoted ETag of this revision.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.text)
    }
}

impl FromStr for Rev {
    type Err = RevError;
    fn from_str(text: &str) -> Result<Self, RevError> {
        let (number, hash) = text.split_once('-').ok_or(RevError)?;
        let generation = number.parse().map_err(|_| RevError)?;
        let digits = (1..=64).contains(&hash.len()) && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if generation >= 1 && number.bytes().all(|byte| byte.is_ascii_digit()) && digits {
            Ok(Self { generation, text: text.to_owned() })
        } else {
            Err(RevError)
        }
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A document that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub id: ProductId,
    pub rev: Rev,
    pub body: Json,
}

/// A place in the change feed. Only the store that gave it can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seq(String);

impl Seq {
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An entry of the change feed: a document as it stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub id: ProductId,
    pub rev: Rev,
    /// Nothing once it is deleted.
    pub body: Option<Json>,
}

/// A part of the change feed. Entries may come again, and in another order than they happened in, those of different documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    pub entries: Vec<Change>,
    /// Where to go on: behind all of these.
    pub last: Seq,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody has written since; `current` is what stands there, if anything does.
    #[error("the document has changed; it is {} now", .current.as_ref().map_or("not there", Rev::as_str))]
    Conflict { current: Option<Rev> },
    #[error(transparent)]
    Store(#[from] DbError),
}

/// The documents: in this service's own tables, or in CouchDB, whose HTTP API these calls are.
#[derive(Clone, Debug)]
pub enum Documents {
    Embedded(Embedded),
    #[cfg(feature = "engines")]
    Couchdb(Couchdb),
}

impl Documents {
    /// Where the settings want them (`stores.documents`).
    ///
    /// # Errors
    /// [`BuildError`] when that is an engine which this build does not have.
    pub fn of(env: &Env) -> Result<Self, BuildError> {
        #[cfg(feature = "engines")]
        if let Some(database) = env.couchdb() {
            return Ok(Self::Couchdb(Couchdb::new(database, env.ids.clone())));
        }
        #[cfg(not(feature = "engines"))]
        if env.settings.stores()?.documents == platform::settings::Papers::Couchdb {
            return Err(BuildError::Other(
                "`stores.documents` is \"couchdb\", which catalog was not built for: use its feature `engines`".into(),
            ));
        }
        Ok(Self::Embedded(Embedded::new(env.db(), env.clock, env.chance)))
    }

    /// Makes ready what is not there yet; called once, at the start.
    ///
    /// # Errors
    /// What only a person can mend. A store that does not answer is no error: who needs a document is told so until it does.
    pub async fn prepare(&self) -> Result<(), BuildError> {
        match self {
            Self::Embedded(_) => Ok(()),
            #[cfg(feature = "engines")]
            Self::Couchdb(store) => store.prepare().await.map_err(|error| BuildError::Other(error.to_string())),
        }
    }

    /// The document, unless it is not there or deleted.
    pub async fn get(&self, id: ProductId) -> Result<Option<Stored>, StoreError> {
        match self {
            Self::Embedded(store) => Ok(store.get_many(&[id]).await?.pop()),
            #[cfg(feature = "engines")]
            Self::Couchdb(store) => store.get(id).await,
        }
    }

    /// Those of these documents that are there, in the order in which they were asked for, in one request.
    pub async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Stored>, StoreError> {
        match self {
            Self::Embedded(store) => store.get_many(ids).await,
            #[cfg(feature = "engines")]
            Self::Couchdb(store) => store.get_many(ids).await,
        }
    }

    /// Writes a document over the revision `over`; with none, where there is no document.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another revision stands there.
    pub async fn put(&self, id: ProductId, over: Option<&Rev>, body: &Json) -> Result<Rev, StoreError> {
        match self {
            Self::Embedded(store) => store.put(id, over, body).await,
            #[cfg(feature = "engines")]
            Self::Couchdb(store) => store.put(id, over, body).await,
        }
    }

    /// Puts a tombstone over the revision `over`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another revision stands there.
    pub async fn delete(&self, id: ProductId, over: &Rev) -> Result<Rev, StoreError> {
        match self {
            Self::Embedded(store) => store.delete(id, over).await,
            #[cfg(feature = "engines")]
            Self::Couchdb(store) => store.delete(id, over).await,
        }
    }

    /// Up to `limit` documents that have changed behind `since`; from the beginning without one, or with one that the store does not
    /// know.
    pub async fn changes(&self, since: Option<&Seq>, limit: u32) -> Result<Changes, StoreError> {
        match self {
            Self::Embedded(store) => store.changes(since, limit).await,
            #[cfg(feature = "engines")]
            Self::Couchdb(store) => store.changes(since, limit).await,
        }
    }

    /// Rung when there is something new in the feed.
    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        match self {
            Self::Embedded(store) => store.bell(),
            #[cfg(feature = "engines")]
            Self::Couchdb(store) => store.bell(),
        }
    }

    /// Whether they have to be listened to, because somebody else may write to the same documents past this service.
    #[must_use]
    pub const fn are_shared(&self) -> bool {
        !matches!(self, Self::Embedded(_))
    }

    /// Whether they are on a server, where a write whose answer was lost may still be on its way.
    #[must_use]
    pub fn are_on_server(&self) -> bool {
        match self {
            Self::Embedded(store) => store.is_on_server(),
            #[cfg(feature = "engines")]
            Self::Couchdb(_) => true,
        }
    }

    /// Waits for a change of somebody else's and rings the bell. Not for ever: call it again.
    pub async fn hear(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(_) => std::future::pending().await,
            #[cfg(feature = "engines")]
            Self::Couchdb(store) => store.hear().await,
        }
    }
}

/// A place for each of these ids in a statement, rounded up to a power of two by repeating the last, so that statements stay few and prepared.
fn places<I: Copy + Into<Value>>(ids: &[I]) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = ids.iter().map(|id| (*id).into()).collect();
    if let Some(last) = values.last().cloned() {
        values.resize(ids.len().next_power_of_two(), last);
    }
    (vec!["?"; values.len()].join(", "), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_a_number_and_a_hash() {
        let rev: Rev = "12-ab0f".parse().expect("a revision");
        assert_eq!((rev.generation(), rev.as_str(), rev.etag().as_str()), (12, "12-ab0f", "\"12-ab0f\""));
        for wrong in ["", "1", "1-", "-ab", "0-ab", "+1-ab", "1-xy", "a-ab", "99999999999999999999-ab"] {
            assert_eq!(wrong.parse::<Rev>(), Err(RevError), "{wrong}");
        }
    }
}
