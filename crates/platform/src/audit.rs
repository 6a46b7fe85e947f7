//! A service's own facts, for the checks from outside: `GET /lab/audit/{collection}` gives newline-delimited JSON, one fact a line, each
//! with a `seq` that grows. An export reads the tables as they are; it computes nothing and repairs nothing, so that a check over it
//! cannot be told what it wants to hear.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use types::{EventId, Timestamp};

use crate::{
    db::{Db, DbError, FromRow, Row, Tx},
    values,
};

/// How many facts are read at a time.
pub const PAGE: u32 = 1_000;

type Export = dyn Fn(i64, u32) -> BoxFuture<'static, Result<Vec<Json>, DbError>> + Send + Sync;

/// One collection of a service.
#[derive(Clone)]
pub struct Collection {
    pub name: &'static str,
    export: Arc<Export>,
}

impl std::fmt::Debug for Collection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Collection({})", self.name)
    }
}

impl Collection {
    /// A collection from a query with two parameters: facts whose `seq` is above the first, at most as many as the second, in order of
    /// `seq`. The row's struct must have a field `seq`.
    #[must_use]
    pub fn of_rows<T: FromRow + Serialize + Send + 'static>(name: &'static str, db: &Db, query: impl Into<Arc<str>>) -> Self {
        let (db, query) = (db.clone(), query.into());
        Self::new(name, move |since, limit| {
            let (db, query) = (db.clone(), query.clone());
            Box::pin(async move {
                let rows: Vec<T> = db.read(async |tx: &mut Tx<'_>| tx.fetch_all(&query, values![since, limit]).await).await?;
                Ok(rows.iter().filter_map(|row| serde_json::to_value(row).ok()).collect())
            })
        })
    }

    /// A collection from anything else: `export(since, limit)`.
    #[must_use]
    pub fn new(
        name: &'static str,
        export: impl Fn(i64, u32) -> BoxFuture<'static, Result<Vec<Json>, DbError>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, export: Arc::new(export) }
    }

    /// Up to `limit` facts behind `since`.
    pub async fn page(&self, since: i64, limit: u32) -> Result<Vec<Json>, DbError> {
        (self.export)(since, limit).await
    }

    /// Every fact behind `since`.
    pub async fn all(&self, since: i64) -> Result<Vec<Json>, DbError> {
        let (mut facts, mut since) = (Vec::new(), since);
        loop {
            let page = self.page(since, PAGE).await?;
            let whole = page.len() as u32 >= PAGE;
            since = page.last().and_then(|fact| fact["seq"].as_i64()).unwrap_or(since);
            facts.extend(page);
            if !whole {
                return Ok(facts);
            }
        }
    }
}

/// An outbox row.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutboxFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: EventId,
    topic: String,
    key: String,
    status: String,
}

impl FromRow for OutboxFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("created_at")?,
            kind: "outbox",
            id: row.id("event_id")?,
            topic: row.get("topic")?,
            key: row.get("key")?,
            status: row.get("status")?,
        })
    }
}

/// An event that was taken.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InboxFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: EventId,
    consumer: String,
    key: String,
}

impl FromRow for InboxFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: "inbox",
            id: row.id("event_id")?,
            consumer: row.get("consumer")?,
            key: row.get("key")?,
        })
    }
}

/// An answer that is kept to be given again. What it says may be personal, and so may the key: both stand here as digests.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    /// Digest of the key.
    id: String,
    endpoint: String,
    status: Option<u16>,
    location: Option<String>,
    etag: Option<String>,
    /// Digest of the request's body and of the answer's.
    request: String,
    answer: Option<String>,
}

impl FromRow for AnswerFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        Ok(Self {
            seq: 0,
            at: row.get("at")?,
            kind: "answer",
            id: digest(row.get::<String>("token")?.as_bytes()),
            endpoint: row.get("endpoint")?,
            status: row.get("status")?,
            location: row.get("location")?,
            etag: row.get("etag")?,
            request: hex::encode(row.get::<Vec<u8>>("fingerprint")?),
            answer: row.get::<Option<Vec<u8>>>("body")?.map(|body| digest(&body)),
        })
    }
}

/// The table has no number of its own, since answers are found by their key: here a row's number is its place, the oldest first.
fn answers(db: &Db) -> Collection {
    let (db, table) = (db.clone(), format!("{}_idempotency", db.service()));
    Collection::new("idempotency", move |since, limit| {
        let db = db.clone();
        let query = format!(
            "SELECT at, endpoint, token, fingerprint, status, body, location, etag FROM {table} ORDER BY at, endpoint, token LIMIT ? OFFSET ?"
        );
        Box::pin(async move {
            let rows: Vec<AnswerFact> = db.read(async |tx: &mut Tx<'_>| tx.fetch_all(&query, values![limit, since]).await).await?;
            let numbered = rows.into_iter().zip(since + 1..).map(|(row, seq)| AnswerFact { seq, ..row });
            Ok(numbered.filter_map(|row| serde_json::to_value(row).ok()).collect())
        })
    })
}

/// The facts that every service has: `outbox`, `inbox` and `idempotency`.
#[must_use]
pub fn of_platform(db: &Db) -> Vec<Collection> {
    let service = db.service();
    vec![
        Collection::of_rows::<OutboxFact>(
            "outbox",
            db,
            format!("SELECT seq, created_at, event_id, topic, key, status FROM {service}_outbox WHERE seq > ? ORDER BY seq LIMIT ?"),
        ),
        Collection::of_rows::<InboxFact>(
            "inbox",
            db,
            format!("SELECT seq, at, event_id, consumer, key FROM {service}_inbox WHERE seq > ? ORDER BY seq LIMIT ?"),
        ),
        answers(db),
    ]
}
