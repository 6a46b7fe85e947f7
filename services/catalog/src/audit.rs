//! The facts of catalog-service, for the checks from outside.

use platform::{
    audit::{self, Collection},
    db::{Db, DbError, FromRow, Row},
};
use serde::Serialize;
use serde_json::Value as Json;
use types::{MediaId, ProductId, Timestamp};

use crate::store::{Change, Documents, StoreError};

/// How many documents are read at a time.
const PART: u32 = 500;

/// A product as its document stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProductFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: ProductId,
    sku: Json,
    rev: String,
}

impl FromRow for ProductFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let mut body: Json = row.json("body")?;
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("updated_at")?,
            kind: "product",
            id: row.id("id")?,
            sku: body["sku"].take(),
            rev: row.get("rev")?,
        })
    }
}

/// A document that the feed keeps apart.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuarantineFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: ProductId,
    rev: String,
    reason: String,
}

impl FromRow for QuarantineFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: "quarantine",
            id: row.id("product_id")?,
            rev: row.get("rev")?,
            reason: row.get("reason")?,
        })
    }
}

/// An upload and what became of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MediaFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: MediaId,
    product_id: ProductId,
    status: String,
    key: Option<String>,
    size: Option<i64>,
    sha256: Option<String>,
}

impl FromRow for MediaFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("created_at")?,
            kind: "media",
            id: row.id("id")?,
            product_id: row.id("product_id")?,
            status: row.get("status")?,
            key: row.get("object_key")?,
            size: row.get("size")?,
            sha256: row.get("sha256")?,
        })
    }
}

/// Products where they are. A place in the feed of a store elsewhere is no number, so there each is numbered as it comes, anew in each export.
fn products(db: &Db, documents: &Documents) -> Collection {
    if documents.are_shared() {
        let documents = documents.clone();
        return Collection::new("products", db, move |since, limit| Box::pin(from_feed(documents.clone(), since, limit)));
    }
    Collection::of_rows::<ProductFact>(
        "products",
        db,
        "SELECT c.seq, d.updated_at, d.id, d.rev, d.body FROM document_changes c JOIN documents d ON d.id = c.id
         WHERE c.seq > ? AND NOT c.deleted ORDER BY c.seq LIMIT ?",
    )
}

async fn from_feed(documents: Documents, since: i64, limit: u32) -> Result<Vec<ProductFact>, DbError> {
    let (mut facts, mut place, mut seq) = (Vec::new(), None, 0);
    loop {
        let part = documents.changes(place.as_ref(), PART).await.map_err(|error| match error {
            StoreError::Store(error) => error,
            conflict @ StoreError::Conflict { .. } => DbError::Unavailable(conflict.to_string()),
        })?;
        if part.entries.is_empty() {
            return Ok(facts);
        }
        for Change { id, rev, body } in part.entries {
            let Some(mut body) = body else { continue };
            seq += 1;
            if seq > since && facts.len() < limit as usize {
                let at = serde_json::from_value(body["updatedAt"].take()).unwrap_or(Timestamp::from_micros(0));
                facts.push(ProductFact { seq, at, kind: "product", id, sku: body["sku"].take(), rev: rev.to_string() });
            }
        }
        place = Some(part.last);
    }
}

pub fn collections(db: &Db, documents: &Documents) -> Vec<Collection> {
    let mut all = vec![
        products(db, documents),
        Collection::of_rows::<QuarantineFact>(
            "quarantine",
            db,
            "SELECT seq, at, product_id, rev, reason FROM product_quarantine WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
        Collection::of_rows::<MediaFact>(
            "media",
            db,
            "SELECT seq, created_at, id, product_id, status, object_key, size, sha256 FROM media WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
    ];
    all.extend(audit::of_platform(db));
    all
}
