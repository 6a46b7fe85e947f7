//! The truth that the provider keeps for itself, for the checks from outside.

use platform::{
    audit::{self, Collection},
    db::{Db, DbError, FromRow, Row},
};
use serde::Serialize;
use types::{Timestamp, id::Uuid};

/// One change of state, as it was.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Truth {
    seq: i64,
    at: Timestamp,
    /// The event's type: `capture.succeeded`.
    kind: String,
    id: Uuid,
    authorization_id: Uuid,
    /// The merchant's reference.
    payment_id: String,
    amount: i64,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
}

impl FromRow for Truth {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: row.get("type")?,
            id: row.get("id")?,
            authorization_id: row.get("authorization_id")?,
            payment_id: row.get("merchant_reference")?,
            amount: row.get("amount")?,
            currency: row.get("currency")?,
            decline_code: row.get("decline_code")?,
        })
    }
}

pub fn collections(db: &Db) -> Vec<Collection> {
    let mut all = vec![Collection::of_rows::<Truth>(
        "psp-truth",
        db,
        "SELECT seq, at, type, id, authorization_id, merchant_reference, amount, currency, decline_code
         FROM psp_events WHERE seq > ? ORDER BY seq LIMIT ?",
    )];
    all.extend(audit::of_platform(db));
    all
}
