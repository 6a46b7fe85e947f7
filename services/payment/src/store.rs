//! Every query of payment-service. A save is a compare-and-set on the revision: who has read an older one saves nothing. The ledger has
//! inserts only.

pub mod refunds;

use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use psp_api::PspEvent;
use types::{OrderId, PaymentId, Timestamp, id::Uuid};

use crate::{
    domain::{Payment, Transition},
    ledger::{Line, Posting},
};

const COLUMNS: &str = "id, order_id, customer_id, currency, amount, captured, refunded, token, capture_at_once, status, failure_code, \
                       authorization_id, inquire_at, inquiries, version, revision, created_at, updated_at";

impl FromRow for Payment {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id("id")?,
            order_id: row.id("order_id")?,
            customer_id: row.optional_id("customer_id")?,
            currency: row.parse("currency")?,
            amount: row.get("amount")?,
            captured: row.get("captured")?,
            refunded: row.get("refunded")?,
            token: row.get("token")?,
            capture_at_once: row.get("capture_at_once")?,
            status: row.parse("status")?,
            failure_code: row.get("failure_code")?,
            authorization_id: row.get("authorization_id")?,
            inquire_at: row.get("inquire_at")?,
            inquiries: row.get("inquiries")?,
            version: row.get("version")?,
            revision: row.get("revision")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

types::words! {
    /// What the PSP can be asked to do.
    Operation { Authorize = "authorize", Capture = "capture", Void = "void", Refund = "refund" }
}

/// One time that the PSP was asked and has not answered.
#[derive(Clone, Debug)]
pub struct OpenAttempt {
    pub seq: i64,
    pub operation: Operation,
    pub psp_key: String,
    pub started_at: Timestamp,
}

impl FromRow for OpenAttempt {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            operation: row.parse("operation")?,
            psp_key: row.get("psp_key")?,
            started_at: row.get("started_at")?,
        })
    }
}

/// A new payment with its first step, unless its order has one; says whether it is new.
pub async fn insert(tx: &mut Tx<'_>, new: &Payment) -> Result<bool, DbError> {
    let is_new = tx.insert_new(
        "INSERT INTO payments (id, order_id, customer_id, currency, amount, captured, refunded, token, capture_at_once, status, inquiries,
         version, revision, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            new.id,
            new.order_id,
            new.customer_id,
            new.currency,
            new.amount,
            new.captured,
            new.refunded,
            &new.token,
            new.capture_at_once,
            new.status.as_str(),
            new.inquiries,
            new.version,
            new.revision,
            new.created_at,
            new.updated_at
        ],
    )
    .await?;
    if is_new {
        append_transition(tx, new, &new.created(), None).await?;
    }
    Ok(is_new)
}

/// Saves everything that can change, and raises the revision.
pub async fn save(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<(), DbError> {
    let saved = tx
        .execute(
            "UPDATE payments SET captured = ?, refunded = ?, status = ?, failure_code = ?, authorization_id = ?, inquire_at = ?,
             inquiries = ?, version = ?, revision = ?, updated_at = ? WHERE id = ? AND revision = ?",
            values![
                payment.captured,
                payment.refunded,
                payment.status.as_str(),
                payment.failure_code.clone(),
                payment.authorization_id,
                payment.inquire_at,
                payment.inquiries,
                payment.version,
                payment.revision + 1,
                payment.updated_at,
                payment.id,
                payment.revision
            ],
        )
        .await?;
    if saved != 1 {
        return Err(DbError::Unavailable(format!("payment {} was changed at the same time", payment.id)));
    }
    payment.revision += 1;
    Ok(())
}

pub async fn append_transition(tx: &mut Tx<'_>, payment: &Payment, step: &Transition, psp_event: Option<Uuid>) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO payment_transitions (payment_id, order_id, previous, status, version, psp_event_id, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        values![
            payment.id,
            payment.order_id,
            step.previous.map(|status| status.as_str()),
            step.status.as_str(),
            step.version,
            psp_event,
            step.at
        ],
    )
    .await
    .map(|_| ())
}

pub async fn by_id(tx: &mut Tx<'_>, id: PaymentId) -> Result<Option<Payment>, DbError> {
    tx.fetch_optional(&format!("SELECT {COLUMNS} FROM payments WHERE id = ?"), values![id]).await
}

pub async fn by_order(tx: &mut Tx<'_>, order: OrderId) -> Result<Option<Payment>, DbError> {
    tx.fetch_optional(&format!("SELECT {COLUMNS} FROM payments WHERE order_id = ?"), values![order]).await
}

/// The payments of which the PSP is to be asked by now, the longest overdue first.
pub async fn to_inquire(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<Payment>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM payments WHERE inquire_at IS NOT NULL AND inquire_at <= ? ORDER BY inquire_at, seq LIMIT ?");
    tx.fetch_all(&query, values![now, limit]).await
}

pub async fn next_inquiry(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, DbError> {
    let query = "SELECT inquire_at FROM payments WHERE inquire_at IS NOT NULL ORDER BY inquire_at LIMIT 1";
    tx.fetch_optional::<Timestamp>(query, vec![]).await
}

/// Whether the last outcomes, the newest first, were failures.
pub async fn last_outcomes(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<bool>, DbError> {
    let query = "SELECT status = 'FAILED' AS failed FROM payment_transitions WHERE status IN ('AUTHORIZED', 'FAILED')
                 ORDER BY seq DESC LIMIT ?";
    tx.fetch_all::<bool>(query, values![limit]).await
}

/// Notes an attempt, and gives the number that it has. The caller saves the payment in the same transaction, so of two at the same time one
/// begins again and neither reads the other's number.
pub async fn begin_attempt(
    tx: &mut Tx<'_>,
    payment: PaymentId,
    operation: Operation,
    psp_key: &str,
    now: Timestamp,
) -> Result<i64, DbError> {
    let insert = "INSERT INTO payment_attempts (payment_id, operation, psp_key, started_at) VALUES (?, ?, ?, ?)";
    tx.execute(insert, values![payment, operation.as_str(), psp_key, now]).await?;
    tx.fetch_one("SELECT max(seq) FROM payment_attempts WHERE payment_id = ?", values![payment]).await
}

/// The oldest first.
pub async fn open_attempts(tx: &mut Tx<'_>, payment: PaymentId) -> Result<Vec<OpenAttempt>, DbError> {
    let query = "SELECT seq, operation, psp_key, started_at FROM payment_attempts
                 WHERE payment_id = ? AND ended_at IS NULL ORDER BY seq LIMIT 200";
    tx.fetch_all(query, values![payment]).await
}

pub async fn end_attempt(tx: &mut Tx<'_>, seq: i64, outcome: &str, now: Timestamp) -> Result<(), DbError> {
    tx.execute("UPDATE payment_attempts SET ended_at = ?, outcome = ? WHERE seq = ?", values![now, outcome, seq]).await.map(|_| ())
}

/// Whether this event of the PSP is in the books.
pub async fn is_posted(tx: &mut Tx<'_>, psp_event: Uuid) -> Result<bool, DbError> {
    let query = "SELECT count(*) FROM ledger_postings WHERE psp_event_id = ?";
    Ok(tx.fetch_one::<i64>(query, values![psp_event]).await? > 0)
}

/// Writes a posting. The event's id is unique: a second posting of it fails.
pub async fn post(
    tx: &mut Tx<'_>,
    id: Uuid,
    payment: &Payment,
    event: &PspEvent,
    posting: &Posting,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO ledger_postings (id, payment_id, order_id, psp_event_id, kind, currency, amount, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        values![id, payment.id, payment.order_id, event.event_id, event.kind.as_str(), event.amount.currency, event.amount.amount, now],
    )
    .await?;
    let insert = "INSERT INTO ledger_lines (posting_id, line, account, debit, credit) VALUES (?, ?, ?, ?, ?)";
    let row = |(number, line): (i64, &Line)| values![id, number, line.account.as_str(), line.debit, line.credit];
    tx.insert_all(insert, (0_i64..).zip(posting.lines()).map(row).collect()).await
}
