//! The facts of inventory-service, for the checks from outside.

use std::sync::Arc;

use inventory_api::ReservedItem;
use platform::{
    Clock,
    audit::{self, Collection},
    db::{Db, DbError, FromRow, Row, Tx},
    service::Live,
    values,
};
use serde::Serialize;
use types::{OrderId, ReservationId, Timestamp, id::Uuid};

use crate::{
    config::{Config, Hold},
    domain::{Place, Shelf},
    store::{Store, embedded::rows},
};

/// The counters of a place as they are kept; where a hold is a time to live, what a reader sees of them at `at`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StockFact {
    pub seq: i64,
    pub at: Timestamp,
    kind: &'static str,
    id: String,
    #[serde(skip)]
    pub place: Place,
    sku: String,
    warehouse: String,
    on_hand: i64,
    pub held: i64,
    claimed: i64,
    shipped: i64,
}

impl StockFact {
    pub fn new(seq: i64, at: Timestamp, place: Place, shelf: Shelf) -> Self {
        let Shelf { on_hand, held, claimed, shipped, .. } = shelf;
        Self {
            seq,
            at,
            kind: "stock",
            id: format!("{}@{}", place.sku, place.warehouse),
            sku: place.sku.to_string(),
            warehouse: place.warehouse.to_string(),
            place,
            on_hand,
            held,
            claimed,
            shipped,
        }
    }
}

impl FromRow for StockFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let place = Place { sku: row.parse("sku")?, warehouse: row.parse("warehouse")? };
        let shelf = Shelf {
            on_hand: row.get("on_hand")?,
            held: row.get("held")?,
            claimed: row.get("claimed")?,
            shipped: row.get("shipped")?,
            version: 0,
        };
        Ok(Self::new(row.get("seq")?, row.get("updated_at")?, place, shelf))
    }
}

/// A line of the journal.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MovementFact {
    seq: i64,
    at: Timestamp,
    kind: String,
    id: Uuid,
    sku: String,
    warehouse: String,
    quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<ReservationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fencing_token: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

#[cfg(feature = "engines")]
impl MovementFact {
    pub fn new(seq: i64, line: crate::store::cassandra::rows::Line) -> Self {
        let crate::store::cassandra::rows::Line {
            id,
            kind,
            sku,
            warehouse,
            quantity,
            reservation,
            order,
            fencing_token,
            expires_at,
            at,
            ..
        } = line;
        Self {
            seq,
            at,
            kind,
            id,
            sku: sku.into(),
            warehouse: warehouse.into(),
            quantity,
            reservation_id: reservation,
            order_id: order,
            fencing_token,
            expires_at,
        }
    }
}

impl FromRow for MovementFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            id: row.get("id")?,
            sku: row.get("sku")?,
            warehouse: row.get("warehouse")?,
            quantity: row.get("quantity")?,
            reservation_id: row.optional_id("reservation_id")?,
            order_id: row.optional_id("order_id")?,
            fencing_token: row.get("fencing_token")?,
            expires_at: row.get("expires_at")?,
        })
    }
}

/// A reservation as it stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationFact {
    seq: i64,
    at: Timestamp,
    kind: &'static str,
    id: ReservationId,
    order_id: OrderId,
    status: String,
    fencing_token: i64,
    created_at: Timestamp,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_at: Option<Timestamp>,
    lines: Vec<ReservedItem>,
}

#[cfg(feature = "engines")]
impl ReservationFact {
    pub fn new(reservation: crate::domain::Reservation) -> Self {
        Self {
            seq: reservation.fencing_token,
            at: reservation.ended_at.or(reservation.claimed_at).unwrap_or(reservation.created_at),
            kind: "reservation",
            id: reservation.id,
            order_id: reservation.order_id,
            status: reservation.status.as_str().to_owned(),
            fencing_token: reservation.fencing_token,
            created_at: reservation.created_at,
            expires_at: reservation.expires_at,
            ended_at: reservation.ended_at,
            claimed_at: reservation.claimed_at,
            lines: reservation.lines,
        }
    }
}

impl FromRow for ReservationFact {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let (created_at, claimed_at, ended_at): (Timestamp, Option<Timestamp>, Option<Timestamp>) =
            (row.get("created_at")?, row.get("claimed_at")?, row.get("ended_at")?);
        Ok(Self {
            seq: row.get("fencing_token")?,
            at: ended_at.or(claimed_at).unwrap_or(created_at),
            kind: "reservation",
            id: row.id("id")?,
            order_id: row.id("order_id")?,
            status: row.get("status")?,
            fencing_token: row.get("fencing_token")?,
            created_at,
            expires_at: row.get("expires_at")?,
            ended_at,
            claimed_at,
            lines: row.json("lines")?,
        })
    }
}

/// The facts of whatever store it is.
pub fn collections(store: &Store, db: &Db, clock: Clock, config: Live<Config>) -> Vec<Collection> {
    match store {
        Store::Embedded(_) => of_tables(db, clock, config),
        #[cfg(feature = "engines")]
        Store::Cassandra(store) => of_cassandra(store, db, config),
    }
}

#[cfg(feature = "engines")]
fn of_cassandra(store: &crate::store::Cassandra, db: &Db, config: Live<Config>) -> Vec<Collection> {
    macro_rules! collection {
        ($name:literal, |$store:ident, $since:ident, $limit:ident| $facts:expr) => {{
            let store = store.clone();
            Collection::new($name, db, move |$since, $limit| {
                let $store = store.clone();
                Box::pin(async move { $facts.await })
            })
        }};
    }
    let stock = store.clone();
    vec![
        Collection::new("stock", db, move |since, _| {
            let (store, hold) = (stock.clone(), config.get().hold);
            Box::pin(async move { store.stock_facts(since, hold).await })
        }),
        collection!("movements", |store, since, limit| store.movement_facts(since, limit)),
        collection!("reservations", |store, since, limit| store.reservation_facts(since, limit)),
        collection!("outbox", |store, since, limit| store.outbox_facts(since, limit)),
        collection!("inbox", |store, since, _limit| store.inbox_facts(since)),
        collection!("idempotency", |store, since, _limit| store.answer_facts(since)),
    ]
}

fn of_tables(db: &Db, clock: Clock, config: Live<Config>) -> Vec<Collection> {
    let mut all = vec![
        stock(db, clock, config),
        Collection::of_rows::<MovementFact>(
            "movements",
            db,
            "SELECT seq, at, kind, id, sku, warehouse, quantity, reservation_id, order_id, fencing_token, expires_at FROM movements
             WHERE seq > ? ORDER BY seq LIMIT ?",
        ),
        Collection::of_rows::<ReservationFact>(
            "reservations",
            db,
            "SELECT fencing_token, id, order_id, status, lines, created_at, expires_at, claimed_at, ended_at FROM reservations
             WHERE fencing_token > ? ORDER BY fencing_token LIMIT ?",
        ),
    ];
    all.extend(audit::of_platform(db));
    all
}

fn stock(db: &Db, clock: Clock, config: Live<Config>) -> Collection {
    const QUERY: &str =
        "SELECT seq, updated_at, sku, warehouse, on_hand, held, claimed, shipped FROM stock WHERE seq > ? ORDER BY seq LIMIT ?";
    let store = Arc::new(db.clone());
    Collection::new("stock", db, move |since, limit| {
        let (db, now, hold) = (store.clone(), clock.now(), config.get().hold);
        Box::pin(async move {
            db.read(async |tx: &mut Tx<'_>| {
                let mut facts: Vec<StockFact> = tx.fetch_all(QUERY, values![since, limit]).await?;
                if hold == Hold::Ttl {
                    let over = rows::units_over(tx, now).await?;
                    for fact in &mut facts {
                        fact.held -= over.get(&fact.place).copied().unwrap_or(0);
                        fact.at = now;
                    }
                }
                Ok(facts)
            })
            .await
        })
    })
}
