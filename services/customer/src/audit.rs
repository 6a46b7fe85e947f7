//! The facts of customer-service, for the checks from outside. They say nothing of anybody.

use customer_api::Segment;
use platform::{
    audit::{self, Collection},
    db::{Db, DbError, FromRow, Row, Tx},
    values,
};
use serde::Serialize;
use types::{CustomerId, Timestamp};

use crate::store;

/// A customer as it stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CustomerFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: CustomerId,
    status: String,
    version: i64,
    segments: Vec<Segment>,
}

impl FromRow for CustomerFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("updated_at")?,
            kind: "customer",
            id: row.id("id")?,
            status: row.get("status")?,
            version: row.get("version")?,
            segments: Vec::new(),
        })
    }
}

pub fn collections(db: &Db) -> Vec<Collection> {
    let customers = db.clone();
    let mut all = vec![Collection::new("customers", db, move |since, limit| {
        let db = customers.clone();
        Box::pin(async move { db.read(async |tx: &mut Tx<'_>| facts(tx, since, limit).await).await })
    })];
    all.extend(audit::of_platform(db));
    all
}

async fn facts(tx: &mut Tx<'_>, since: i64, limit: u32) -> Result<Vec<CustomerFact>, DbError> {
    let query = "SELECT seq, updated_at, id, status, version FROM customer_profiles WHERE seq > ? ORDER BY seq LIMIT ?";
    let mut facts: Vec<CustomerFact> = tx.fetch_all(query, values![since, limit]).await?;
    if let (Some(first), Some(last)) = (facts.first().map(|fact| fact.seq), facts.last().map(|fact| fact.seq)) {
        let mut segments = store::segments_between(tx, first, last).await?;
        for fact in &mut facts {
            fact.segments = segments.remove(&fact.id).unwrap_or_default();
        }
    }
    Ok(facts)
}
