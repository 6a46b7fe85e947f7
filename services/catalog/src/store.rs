//! Where products are: a port over a document store with CouchDB's manners. One document is written at a time, and only over the
//! revision that its writer has seen; nothing else shares that write. What has changed is read from a feed whose positions are opaque.
//!
//! So whatever stands in SQL beside the documents (SKUs, the index, what was published, media) is written before or after, never with
//! them, and made good from the feed: [`skus`], [`index`], [`feed`], [`taxonomy`], [`media`] have every query.

pub mod embedded;
pub mod feed;
pub mod index;
pub mod media;
pub mod skus;
pub mod taxonomy;

use std::{fmt, str::FromStr, sync::Arc};

use platform::db::DbError;
use serde_json::Value as Json;
use tokio::sync::Notify;
use types::ProductId;

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

/// The documents. CouchDB's variant will stand beside the embedded one; the calls are those of its HTTP API.
#[derive(Clone, Debug)]
pub enum Documents {
    Embedded(Embedded),
}

impl Documents {
    /// The document, unless it is not there or deleted.
    pub async fn get(&self, id: ProductId) -> Result<Option<Stored>, StoreError> {
        Ok(self.get_many(&[id]).await?.pop())
    }

    /// Those of these documents that are there, in the order in which they were asked for, in one request.
    pub async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Stored>, StoreError> {
        match self {
            Self::Embedded(store) => store.get_many(ids).await,
        }
    }

    /// Writes a document over the revision `over`; with none, where there is no document.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another revision stands there.
    pub async fn put(&self, id: ProductId, over: Option<&Rev>, body: &Json) -> Result<Rev, StoreError> {
        match self {
            Self::Embedded(store) => store.put(id, over, body).await,
        }
    }

    /// Puts a tombstone over the revision `over`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another revision stands there.
    pub async fn delete(&self, id: ProductId, over: &Rev) -> Result<Rev, StoreError> {
        match self {
            Self::Embedded(store) => store.delete(id, over).await,
        }
    }

    /// Up to `limit` documents that have changed behind `since`; from the beginning without one, or with one that the store does not
    /// know.
    pub async fn changes(&self, since: Option<&Seq>, limit: u32) -> Result<Changes, StoreError> {
        match self {
            Self::Embedded(store) => store.changes(since, limit).await,
        }
    }

    /// Rung when there is something new in the feed.
    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        match self {
            Self::Embedded(store) => store.bell(),
        }
    }
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
