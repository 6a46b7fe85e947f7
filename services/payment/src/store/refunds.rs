//! The queries of refunds.

use payment_api::{Refund as View, RefundStatus};
use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{CreditId, Currency, Money, PaymentId, Timestamp, id::Uuid};

/// A payment has no more refunds than this.
pub const MOST: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Also the key under which the PSP is asked.
    pub id: Uuid,
    pub payment_id: PaymentId,
    /// In minor units of the payment's currency.
    pub amount: i64,
    /// What was asked for; none: all that was left.
    pub asked_amount: Option<i64>,
    pub reason: Option<String>,
    pub status: RefundStatus,
    /// The `Idempotency-Key` of the request; none when nobody asked.
    pub request_token: Option<String>,
    pub psp_event_id: Option<Uuid>,
    pub credit_id: Option<CreditId>,
    /// While it is pending: when the PSP is asked again.
    pub ask_at: Option<Timestamp>,
    /// How often the PSP was asked.
    pub asked: u32,
    pub created_at: Timestamp,
}

impl Refund {
    #[must_use]
    pub fn view(&self, currency: Currency) -> View {
        View {
            id: self.id,
            amount: Money::new(self.amount, currency),
            status: self.status,
            reason: self.reason.clone(),
            at: self.created_at,
        }
    }
}

const COLUMNS: &str =
    "id, payment_id, amount, asked_amount, reason, status, request_token, psp_event_id, credit_id, ask_at, asked, created_at";

impl FromRow for Refund {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            payment_id: row.id("payment_id")?,
            amount: row.get("amount")?,
            asked_amount: row.get("asked_amount")?,
            reason: row.get("reason")?,
            status: row.parse("status")?,
            request_token: row.get("request_token")?,
            psp_event_id: row.get("psp_event_id")?,
            credit_id: row.optional_id("credit_id")?,
            ask_at: row.get("ask_at")?,
            asked: row.get("asked")?,
            created_at: row.get("created_at")?,
        })
    }
}

pub async fn insert(tx: &mut Tx<'_>, refund: &Refund) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO refunds (id, payment_id, amount, asked_amount, reason, status, request_token, psp_event_id, credit_id, ask_at, asked,
         created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            refund.id,
            refund.payment_id,
            refund.amount,
            refund.asked_amount,
            refund.reason.clone(),
            refund.status.as_str(),
            refund.request_token.clone(),
            refund.psp_event_id,
            refund.credit_id,
            refund.ask_at,
            refund.asked,
            refund.created_at
        ],
    )
    .await
    .map(|_| ())
}

/// Of a payment, the oldest first.
pub async fn of(tx: &mut Tx<'_>, payment: PaymentId) -> Result<Vec<Refund>, DbError> {
    tx.fetch_all(&format!("SELECT {COLUMNS} FROM refunds WHERE payment_id = ? ORDER BY seq LIMIT 1000"), values![payment]).await
}

pub async fn by_id(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Refund>, DbError> {
    tx.fetch_optional(&format!("SELECT {COLUMNS} FROM refunds WHERE id = ?"), values![id]).await
}

/// The pending ones of which the PSP is to be asked by now.
pub async fn to_ask(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<Refund>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM refunds WHERE ask_at IS NOT NULL AND ask_at <= ? ORDER BY ask_at, seq LIMIT ?");
    tx.fetch_all(&query, values![now, limit]).await
}

pub async fn next_to_ask(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, DbError> {
    let query = "SELECT ask_at FROM refunds WHERE ask_at IS NOT NULL ORDER BY ask_at LIMIT 1";
    tx.fetch_optional::<Timestamp>(query, vec![]).await
}

/// Ends a pending refund; one that has ended stays as it is.
pub async fn end(tx: &mut Tx<'_>, id: Uuid, status: RefundStatus, psp_event: Option<Uuid>, now: Timestamp) -> Result<bool, DbError> {
    let update = "UPDATE refunds SET status = ?, psp_event_id = ?, ask_at = NULL, ended_at = ? WHERE id = ? AND status = 'PENDING'";
    Ok(tx.execute(update, values![status.as_str(), psp_event, now, id]).await? == 1)
}

/// The PSP did not answer: it is asked again then.
pub async fn postpone(tx: &mut Tx<'_>, id: Uuid, ask_at: Timestamp) -> Result<(), DbError> {
    let update = "UPDATE refunds SET ask_at = ?, asked = asked + 1 WHERE id = ? AND status = 'PENDING'";
    tx.execute(update, values![ask_at, id]).await.map(|_| ())
}
