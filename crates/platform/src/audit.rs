//! A service's own facts, for the checks from outside: `GET /lab/audit/{collection}` gives newline-delimited JSON, one fact a line, each
//! with a `seq` that grows. An export reads the tables as they are; it computes nothing and repairs nothing, so that a check over it
//! cannot be told what it wants to hear.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use types::{EventId, Timestamp};

use crate::{
    db::{Db, DbError, FromRow, Row, Tx},
    event::Sealed,
    http::Answer,
    values,
};

/// How many facts are read at a time.
const PAGE: u32 = 1_000;

type Export = dyn Fn(i64, u32) -> BoxFuture<'static, Result<Page, DbError>> + Send + Sync;

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
    pub fn of_rows<T: FromRow + Serialize + Send + Sync + 'static>(name: &'static str, db: &Db, query: impl Into<Arc<str>>) -> Self {
        let (store, query) = (db.clone(), query.into());
        Self::new(name, db, move |since, limit| {
            let (db, query) = (store.clone(), query.clone());
            Box::pin(async move { db.read(async |tx: &mut Tx<'_>| tx.fetch_all::<T>(&query, values![since, limit]).await).await })
        })
    }

    /// A collection of this store's service from anything else: `export(since, limit)` gives structs that have a field `seq`.
    #[must_use]
    pub fn new<T: Serialize + Send + Sync + 'static>(
        name: &'static str,
        db: &Db,
        export: impl Fn(i64, u32) -> BoxFuture<'static, Result<Vec<T>, DbError>> + Send + Sync + 'static,
    ) -> Self {
        let service = db.service();
        let export = Arc::new(export);
        let told = move |since, limit| -> BoxFuture<'static, Result<Page, DbError>> {
            let export = export.clone();
            Box::pin(async move { Page::of(name, service, &export(since, limit).await?) })
        };
        Self { name, export: Arc::new(told) }
    }

    /// Appends every fact behind `since`, a line each, to `lines`.
    pub async fn export(&self, since: i64, lines: &mut Vec<u8>) -> Result<(), DbError> {
        let mut since = since;
        loop {
            let page = (self.export)(since, PAGE).await?;
            lines.extend_from_slice(&page.lines);
            match page.last {
                Some(last) if page.facts >= PAGE as usize => since = last,
                _ => return Ok(()),
            }
        }
    }
}

/// Facts as they are told. Each is written once, from its struct, so that its fields stand in the order of the struct in every build.
struct Page {
    lines: Vec<u8>,
    facts: usize,
    /// The `seq` of the last.
    last: Option<i64>,
}

#[derive(Serialize)]
struct Told<'a, T> {
    #[serde(flatten)]
    fact: &'a T,
    service: &'static str,
}

#[derive(Deserialize)]
struct Number {
    seq: i64,
}

impl Page {
    fn of<T: Serialize>(name: &'static str, service: &'static str, facts: &[T]) -> Result<Self, DbError> {
        let unfit = |error: serde_json::Error| DbError::Column { column: format!("a fact of {name}"), reason: error.to_string() };
        let (mut lines, mut line) = (Vec::new(), 0);
        for fact in facts {
            line = lines.len();
            serde_json::to_writer(&mut lines, &Told { fact, service }).map_err(unfit)?;
            lines.push(b'\n');
        }
        let last = lines.get(line..).filter(|line| !line.is_empty()).map(serde_json::from_slice::<Number>).transpose().map_err(unfit)?;
        Ok(Self { lines, facts: facts.len(), last: last.map(|number| number.seq) })
    }
}

/// An outbox row.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: EventId,
    topic: String,
    key: String,
    status: String,
}

impl OutboxFact {
    /// Of an event that a store keeps in rows of its own; its status is `PENDING` or `SENT`.
    #[must_use]
    pub fn of(seq: i64, event: Sealed, status: &str) -> Self {
        let Sealed { event_id: id, topic, key, created_at: at, .. } = event;
        Self { seq, at, kind: "outbox", id, topic, key, status: status.to_owned() }
    }
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
pub struct InboxFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: EventId,
    consumer: String,
    key: String,
    /// It told of an older version than what was known, and had no effect.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    passed_over: bool,
}

impl InboxFact {
    /// Of a note that a store keeps in rows of its own.
    #[must_use]
    pub const fn of(seq: i64, at: Timestamp, id: EventId, consumer: String, key: String) -> Self {
        Self { seq, at, kind: "inbox", id, consumer, key, passed_over: false }
    }
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
            passed_over: row.get("passed_over")?,
        })
    }
}

/// An answer that is kept to be given again. What it says may be personal, and so may the key: both stand here as digests.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerFact {
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

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl AnswerFact {
    /// Of an answer that a store keeps in rows of its own.
    #[must_use]
    pub fn of(seq: i64, at: Timestamp, endpoint: String, token: &str, fingerprint: &[u8], answer: &Answer) -> Self {
        Self {
            seq,
            at,
            kind: "answer",
            id: digest(token.as_bytes()),
            endpoint,
            status: Some(answer.status),
            location: answer.location.clone(),
            etag: answer.etag.clone(),
            request: hex::encode(fingerprint),
            answer: Some(digest(&answer.body)),
        }
    }
}

impl FromRow for AnswerFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
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

/// The table has no number of its own, since answers are found by their key: here a row's number is its place, the oldest first. They are read
/// at once, and not by the page: each page would put the whole table in order again.
fn answers(db: &Db) -> Collection {
    let (store, table) = (db.clone(), format!("{}_idempotency", db.service()));
    Collection::new("idempotency", db, move |since, _| {
        let db = store.clone();
        let query = format!(
            "SELECT at, endpoint, token, fingerprint, status, body, location, etag FROM {table} ORDER BY at, endpoint, token LIMIT ? OFFSET ?"
        );
        Box::pin(async move {
            let rows: Vec<AnswerFact> = db.read(async |tx: &mut Tx<'_>| tx.fetch_all(&query, values![i64::MAX, since]).await).await?;
            Ok(rows.into_iter().zip(since + 1..).map(|(row, seq)| AnswerFact { seq, ..row }).collect())
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
            format!("SELECT seq, created_at, event_id, topic, \"key\", status FROM {service}_outbox WHERE seq > ? ORDER BY seq LIMIT ?"),
        ),
        Collection::of_rows::<InboxFact>(
            "inbox",
            db,
            format!("SELECT seq, at, event_id, consumer, \"key\", passed_over FROM {service}_inbox WHERE seq > ? ORDER BY seq LIMIT ?"),
        ),
        answers(db),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chance, Clock, fault::Faults};

    #[derive(Serialize)]
    struct Fact {
        seq: i64,
    }

    impl FromRow for Fact {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self { seq: row.get("seq")? })
        }
    }

    #[tokio::test]
    async fn a_collection_of_more_than_a_page_is_told_whole_and_once() {
        let chance = || Chance::seeded(1);
        let db = Db::in_memory("test", chance(), Faults::new(Clock::real(), chance())).unwrap();
        let all =
            "WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 2000) SELECT seq FROM n WHERE seq > ? LIMIT ?";
        let mut lines = Vec::new();
        Collection::of_rows::<Fact>("numbers", &db, all).export(3, &mut lines).await.unwrap();
        let told: Vec<i64> = lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Number>(line).ok())
            .map(|fact| fact.seq)
            .collect();
        assert_eq!(told, (4..=2_000).collect::<Vec<_>>());
        assert!(String::from_utf8(lines).unwrap().starts_with(&format!("{{\"seq\":4,\"service\":\"{}\"}}\n", db.service())));
    }
}
