//! What the publisher of the change feed keeps: how far it is, what it told last of each product, and what it held back.

use catalog_api::Quarantined;
use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use serde_json::Value as Json;
use types::{ProductId, Timestamp};

use super::{Change, Rev, Seq};

/// The one feed there is.
const FEED: &str = "products";

/// How far the feed was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub seq: Seq,
    version: i64,
}

impl FromRow for Progress {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self { seq: Seq::from_stored(row.get("seq")?), version: row.get("version")? })
    }
}

pub async fn progress(tx: &mut Tx<'_>) -> Result<Option<Progress>, DbError> {
    tx.fetch_optional("SELECT seq, version FROM feed_progress WHERE feed = ?", values![FEED]).await
}

/// Moves on from where the publisher was. Says whether nobody else has.
pub async fn advance(tx: &mut Tx<'_>, from: Option<&Progress>, to: &Seq) -> Result<bool, DbError> {
    match from {
        None => tx.insert_new("INSERT INTO feed_progress (feed, seq, version) VALUES (?, ?, 1)", values![FEED, to.as_str()]).await,
        Some(from) => {
            let update = "UPDATE feed_progress SET seq = ?, version = version + 1 WHERE feed = ? AND version = ?";
            Ok(tx.execute(update, values![to.as_str(), FEED, from.version]).await? == 1)
        }
    }
}

/// What was told last of a product.
pub struct Published {
    pub rev: Rev,
    pub body: Json,
}

impl FromRow for Published {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self { rev: row.parse("rev")?, body: row.json("body")? })
    }
}

pub async fn published(tx: &mut Tx<'_>, product: ProductId) -> Result<Option<Published>, DbError> {
    tx.fetch_optional("SELECT rev, body FROM product_published WHERE product_id = ?", values![product]).await
}

/// Notes what was told now; nothing once it is deleted.
pub async fn note_published(tx: &mut Tx<'_>, change: &Change) -> Result<(), DbError> {
    tx.execute("DELETE FROM product_published WHERE product_id = ?", values![change.id]).await?;
    if let Some(body) = &change.body {
        let insert = "INSERT INTO product_published (product_id, generation, rev, body) VALUES (?, ?, ?, ?)";
        tx.execute(insert, values![change.id, change.rev.generation(), change.rev.as_str(), body.to_string()]).await?;
    }
    Ok(())
}

/// Keeps a document apart. Says whether this revision of it was not there yet.
pub async fn quarantine(tx: &mut Tx<'_>, change: &Change, body: &Json, reason: &str, at: Timestamp) -> Result<bool, DbError> {
    let standing: Option<String> = tx.fetch_optional("SELECT rev FROM product_quarantine WHERE product_id = ?", values![change.id]).await?;
    if standing.as_deref() == Some(change.rev.as_str()) {
        return Ok(false);
    }
    release(tx, change.id).await?;
    let insert = "INSERT INTO product_quarantine (product_id, generation, rev, reason, body, at) VALUES (?, ?, ?, ?, ?, ?)";
    tx.execute(insert, values![change.id, change.rev.generation(), change.rev.as_str(), reason, body.to_string(), at]).await?;
    Ok(true)
}

/// A document is in order again, or gone.
pub async fn release(tx: &mut Tx<'_>, product: ProductId) -> Result<(), DbError> {
    tx.execute("DELETE FROM product_quarantine WHERE product_id = ?", values![product]).await.map(|_| ())
}

pub async fn count_quarantined(tx: &mut Tx<'_>) -> Result<i64, DbError> {
    tx.fetch_one("SELECT count(*) FROM product_quarantine", values![]).await
}

/// What is kept apart, the oldest first, each with its place.
pub async fn quarantined(tx: &mut Tx<'_>, behind: i64, limit: u32) -> Result<Vec<(i64, Quarantined)>, DbError> {
    struct Held(i64, Quarantined);
    impl FromRow for Held {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            let document = row.json("body")?;
            let held = Quarantined {
                product_id: row.id("product_id")?,
                rev: row.get("rev")?,
                reason: row.get("reason")?,
                document,
                at: row.get("at")?,
            };
            Ok(Self(row.get("seq")?, held))
        }
    }
    let query = "SELECT seq, product_id, rev, reason, body, at FROM product_quarantine WHERE seq > ? ORDER BY seq LIMIT ?";
    Ok(tx.fetch_all::<Held>(query, values![behind, limit]).await?.into_iter().map(|Held(seq, held)| (seq, held)).collect())
}
