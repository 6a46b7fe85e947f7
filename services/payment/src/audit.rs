//! The facts of payment-service, for the checks from outside.

use platform::{
    audit::{self, Collection},
    db::{Db, DbError, FromRow, Row},
};
use serde::Serialize;
use types::{CreditId, OrderId, PaymentId, Timestamp, id::Uuid};

/// A payment as it stands; amounts in minor units.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: PaymentId,
    order_id: OrderId,
    status: String,
    amount: i64,
    currency: String,
    captured: i64,
    refunded: i64,
    version: i64,
    created_at: Timestamp,
}

impl FromRow for PaymentFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("updated_at")?,
            kind: "payment",
            id: row.id("id")?,
            order_id: row.id("order_id")?,
            status: row.get("status")?,
            amount: row.get("amount")?,
            currency: row.get("currency")?,
            captured: row.get("captured")?,
            refunded: row.get("refunded")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// A change of a payment's status.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransitionFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: PaymentId,
    order_id: OrderId,
    previous: Option<String>,
    status: String,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    psp_event_id: Option<Uuid>,
}

impl FromRow for TransitionFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: "payment-transition",
            id: row.id("payment_id")?,
            order_id: row.id("order_id")?,
            previous: row.get("previous")?,
            status: row.get("status")?,
            version: row.get("version")?,
            psp_event_id: row.get("psp_event_id")?,
        })
    }
}

/// A line of the ledger.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LineFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    /// The posting's.
    id: Uuid,
    payment_id: PaymentId,
    order_id: OrderId,
    psp_event_id: Uuid,
    account: String,
    debit: i64,
    credit: i64,
    currency: String,
}

impl FromRow for LineFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: "posting",
            id: row.get("posting_id")?,
            payment_id: row.id("payment_id")?,
            order_id: row.id("order_id")?,
            psp_event_id: row.get("psp_event_id")?,
            account: row.get("account")?,
            debit: row.get("debit")?,
            credit: row.get("credit")?,
            currency: row.get("currency")?,
        })
    }
}

/// A refund, of which the PSP may not have said yet what became of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: Uuid,
    payment_id: PaymentId,
    amount: i64,
    currency: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    psp_event_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_id: Option<CreditId>,
}

impl FromRow for RefundFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("created_at")?,
            kind: "refund",
            id: row.get("id")?,
            payment_id: row.id("payment_id")?,
            amount: row.get("amount")?,
            currency: row.get("currency")?,
            status: row.get("status")?,
            psp_event_id: row.get("psp_event_id")?,
            credit_id: row.optional_id("credit_id")?,
        })
    }
}

pub fn collections(db: &Db) -> Vec<Collection> {
    let mut all = vec![
        Collection::of_rows::<PaymentFact>(
            "payments",
            db,
            "SELECT seq, id, order_id, status, amount, currency, captured, refunded, version, created_at, updated_at
             FROM payments WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
        Collection::of_rows::<TransitionFact>(
            "payment-transitions",
            db,
            "SELECT seq, at, payment_id, order_id, previous, status, version, psp_event_id
             FROM payment_transitions WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
        Collection::of_rows::<RefundFact>(
            "refunds",
            db,
            "SELECT r.seq, r.created_at, r.id, r.payment_id, r.amount, p.currency, r.status, r.psp_event_id, r.credit_id
             FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.seq > ? ORDER BY r.seq LIMIT ?",
        ),
        Collection::of_rows::<LineFact>(
            "ledger",
            db,
            "SELECT l.seq, p.at, l.posting_id, p.payment_id, p.order_id, p.psp_event_id, l.account, l.debit, l.credit, p.currency
             FROM ledger_lines l JOIN ledger_postings p ON p.id = l.posting_id WHERE l.seq > ? ORDER BY l.seq LIMIT ?",
        ),
    ];
    all.extend(audit::of_platform(db));
    all
}
