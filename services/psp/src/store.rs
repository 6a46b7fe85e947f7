//! Every query of the provider. A save is a compare-and-set on the version.

use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use psp_api::PspEvent;
use types::{Money, Timestamp, id::Uuid};

use crate::domain::Authorization;

/// More events than this one authorization does not show.
const EVENTS_SHOWN: u32 = 1_000;

const COLUMNS: &str = "id, request_key, merchant_reference, token, capture_at_once, currency, amount, captured, refunded, status, \
                       decline_code, due_at, correlation_id, version, created_at";

impl FromRow for Authorization {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            request_key: row.get("request_key")?,
            merchant_reference: row.get("merchant_reference")?,
            token: row.get("token")?,
            capture_at_once: row.get("capture_at_once")?,
            currency: row.parse("currency")?,
            amount: row.get("amount")?,
            captured: row.get("captured")?,
            refunded: row.get("refunded")?,
            status: row.parse("status")?,
            decline_code: row.get("decline_code")?,
            due_at: row.get("due_at")?,
            correlation_id: row.get("correlation_id")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
        })
    }
}

struct Told(PspEvent);

impl FromRow for Told {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(PspEvent {
            event_id: row.get("event_id")?,
            payment_id: row.get("merchant_reference")?,
            authorization_id: row.get("authorization_id")?,
            kind: row.parse("type")?,
            amount: Money::new(row.get("amount")?, row.parse("currency")?),
            decline_code: row.get("decline_code")?,
            request_key: row.get("request_key")?,
            at: row.get("at")?,
        }))
    }
}

/// A callback that is to be sent now.
#[derive(Clone, Debug)]
pub struct Callback {
    pub seq: i64,
    pub attempts: u32,
    pub created_at: Timestamp,
    pub correlation_id: Option<String>,
    pub event: PspEvent,
}

impl FromRow for Callback {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            attempts: row.get("attempts")?,
            created_at: row.get("created_at")?,
            correlation_id: row.get("correlation_id")?,
            event: Told::from_row(row)?.0,
        })
    }
}

pub async fn insert(tx: &mut Tx<'_>, new: &Authorization, answer: Option<String>) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO psp_authorizations (id, request_key, merchant_reference, token, capture_at_once, currency, amount, captured, refunded,
         status, decline_code, due_at, answer, correlation_id, version, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            new.id,
            &new.request_key,
            &new.merchant_reference,
            &new.token,
            new.capture_at_once,
            new.currency,
            new.amount,
            new.captured,
            new.refunded,
            new.status.as_str(),
            new.decline_code.clone(),
            new.due_at,
            answer,
            new.correlation_id.clone(),
            new.version,
            new.created_at
        ],
    )
    .await
    .map(|_| ())
}

/// Saves what happened to an authorization whose version was `before`; `answer` stays when it is left out.
pub async fn save(tx: &mut Tx<'_>, changed: &Authorization, before: i64, answer: Option<String>) -> Result<(), DbError> {
    let saved = tx
        .execute(
            "UPDATE psp_authorizations SET captured = ?, refunded = ?, status = ?, decline_code = ?, due_at = ?, version = ?,
             answer = COALESCE(?, answer) WHERE id = ? AND version = ?",
            values![
                changed.captured,
                changed.refunded,
                changed.status.as_str(),
                changed.decline_code.clone(),
                changed.due_at,
                changed.version,
                answer,
                changed.id,
                before
            ],
        )
        .await?;
    if saved == 1 { Ok(()) } else { Err(DbError::Unavailable(format!("authorization {} was changed at the same time", changed.id))) }
}

pub async fn by_id(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Authorization>, DbError> {
    tx.fetch_optional(&format!("SELECT {COLUMNS} FROM psp_authorizations WHERE id = ?"), values![id]).await
}

pub async fn by_key(tx: &mut Tx<'_>, key: &str) -> Result<Option<Authorization>, DbError> {
    tx.fetch_optional(&format!("SELECT {COLUMNS} FROM psp_authorizations WHERE request_key = ?"), values![key]).await
}

/// The newest under this reference.
pub async fn by_reference(tx: &mut Tx<'_>, reference: &str) -> Result<Option<Authorization>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM psp_authorizations WHERE merchant_reference = ? ORDER BY seq DESC LIMIT 1");
    tx.fetch_optional(&query, values![reference]).await
}

/// What the key of an authorization is answered with; nothing while its outcome is open.
pub async fn answer(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<String>, DbError> {
    tx.fetch_optional::<Option<String>>("SELECT answer FROM psp_authorizations WHERE id = ?", values![id]).await.map(Option::flatten)
}

/// What is due by now, the earliest first.
pub async fn due(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<Authorization>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM psp_authorizations WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at, seq LIMIT ?");
    tx.fetch_all(&query, values![now, limit]).await
}

pub async fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, DbError> {
    let query = "SELECT due_at FROM psp_authorizations WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
    tx.fetch_optional::<Timestamp>(query, vec![]).await
}

/// Appends to the truth log.
pub async fn append(tx: &mut Tx<'_>, event: &PspEvent) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO psp_events (id, authorization_id, merchant_reference, type, currency, amount, decline_code, request_key, at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            event.event_id,
            event.authorization_id,
            &event.payment_id,
            event.kind.as_str(),
            event.amount.currency,
            event.amount.amount,
            event.decline_code.clone(),
            event.request_key.clone(),
            event.at
        ],
    )
    .await
    .map(|_| ())
}

/// What was told of an authorization, the oldest first.
pub async fn events(tx: &mut Tx<'_>, authorization: Uuid) -> Result<Vec<PspEvent>, DbError> {
    let query = "SELECT id AS event_id, authorization_id, merchant_reference, type, currency, amount, decline_code, request_key, at
                 FROM psp_events WHERE authorization_id = ? ORDER BY seq LIMIT ?";
    Ok(tx.fetch_all::<Told>(query, values![authorization, EVENTS_SHOWN]).await?.into_iter().map(|Told(event)| event).collect())
}

pub async fn add_callback(tx: &mut Tx<'_>, event: &PspEvent, nth: u32, send_at: Timestamp, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO psp_callbacks (event_id, nth, authorization_id, status, attempts, send_at, created_at)
         VALUES (?, ?, ?, 'WAITING', 0, ?, ?)",
        values![event.event_id, nth, event.authorization_id, send_at, now],
    )
    .await
    .map(|_| ())
}

/// Brings callbacks of an authorization forward that were to be sent later than this.
pub async fn bring_forward(tx: &mut Tx<'_>, authorization: Uuid, send_at: Timestamp) -> Result<(), DbError> {
    let update = "UPDATE psp_callbacks SET send_at = ? WHERE authorization_id = ? AND status = 'WAITING' AND send_at > ?";
    tx.execute(update, values![send_at, authorization, send_at]).await.map(|_| ())
}

/// Takes the callbacks that are due: until `claimed_until` they are somebody's, and after that anybody's again.
pub async fn claim_callbacks(tx: &mut Tx<'_>, now: Timestamp, claimed_until: Timestamp, limit: u32) -> Result<Vec<Callback>, DbError> {
    let query =
        "SELECT c.seq, c.attempts, c.created_at, a.correlation_id, e.id AS event_id, e.authorization_id, e.merchant_reference, e.type,
                 e.currency, e.amount, e.decline_code, e.request_key, e.at
                 FROM psp_callbacks c JOIN psp_events e ON e.id = c.event_id JOIN psp_authorizations a ON a.id = c.authorization_id
                 WHERE c.status = 'WAITING' AND c.send_at <= ? ORDER BY c.send_at, c.seq LIMIT ?";
    let due: Vec<Callback> = tx.fetch_all(query, values![now, limit]).await?;
    for callback in &due {
        let claim = "UPDATE psp_callbacks SET send_at = ?, attempts = attempts + 1 WHERE seq = ?";
        tx.execute(claim, values![claimed_until, callback.seq]).await?;
    }
    Ok(due)
}

pub async fn next_callback(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, DbError> {
    let query = "SELECT send_at FROM psp_callbacks WHERE status = 'WAITING' ORDER BY send_at, seq LIMIT 1";
    tx.fetch_optional::<Timestamp>(query, vec![]).await
}

/// What became of a callback: `SENT`, `GIVEN_UP`, or `WAITING` until `send_at`.
pub async fn settle_callback(tx: &mut Tx<'_>, seq: i64, status: &str, send_at: Timestamp) -> Result<(), DbError> {
    tx.execute("UPDATE psp_callbacks SET status = ?, send_at = ? WHERE seq = ?", values![status, send_at, seq]).await.map(|_| ())
}
