//! Every statement of the embedded store. A save is a compare-and-set on the version: who has read an older one saves nothing.

use std::collections::BTreeMap;

use inventory_api::ReservedItem;
use platform::{
    db::{DbError, FromRow, Row, Tx},
    values,
};
use types::{OrderId, ReservationId, Sku, Timestamp, id::Uuid};

use crate::domain::{Movement, Place, Reservation, Shelf, steps::WAREHOUSES_MAX};

/// How many holds that are over a reader takes into account; the sweeper leaves none for long.
const OVER_MAX: u32 = 10_000;

macro_rules! stock_columns {
    () => {
        "sku, warehouse, on_hand, held, claimed, shipped, version"
    };
}

macro_rules! reservation_columns {
    () => {
        "fencing_token, id, order_id, status, lines, created_at, expires_at, held_until, claimed_at, ended_at, version"
    };
}

struct Counters(Place, Shelf);

impl FromRow for Counters {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let place = Place { sku: row.parse("sku")?, warehouse: row.parse("warehouse")? };
        let shelf = Shelf {
            on_hand: row.get("on_hand")?,
            held: row.get("held")?,
            claimed: row.get("claimed")?,
            shipped: row.get("shipped")?,
            version: row.get("version")?,
        };
        Ok(Self(place, shelf))
    }
}

impl FromRow for Reservation {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id("id")?,
            order_id: row.id("order_id")?,
            status: row.parse("status")?,
            fencing_token: row.get("fencing_token")?,
            lines: row.json("lines")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            held_until: row.get("held_until")?,
            claimed_at: row.get("claimed_at")?,
            ended_at: row.get("ended_at")?,
            version: row.get("version")?,
        })
    }
}

struct Lines(Vec<ReservedItem>);

impl FromRow for Lines {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        row.json("lines").map(Self)
    }
}

struct Name(Sku);

impl FromRow for Name {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        row.parse("sku").map(Self)
    }
}

fn changed_meanwhile(what: &str) -> DbError {
    DbError::Unavailable(format!("{what} was changed at the same time"))
}

// ── stock ──

/// The counters of a SKU in all its warehouses.
pub async fn shelves(tx: &mut Tx<'_>, sku: &Sku) -> Result<Vec<(Place, Shelf)>, DbError> {
    let query = concat!("SELECT ", stock_columns!(), " FROM stock WHERE sku = ? ORDER BY warehouse LIMIT ?");
    let rows: Vec<Counters> = tx.fetch_all(query, values![sku, WAREHOUSES_MAX as i64]).await?;
    Ok(rows.into_iter().map(|Counters(place, shelf)| (place, shelf)).collect())
}

pub async fn shelf(tx: &mut Tx<'_>, place: &Place) -> Result<Option<Shelf>, DbError> {
    let query = concat!("SELECT ", stock_columns!(), " FROM stock WHERE sku = ? AND warehouse = ?");
    Ok(tx.fetch_optional::<Counters>(query, values![&place.sku, &place.warehouse]).await?.map(|Counters(_, shelf)| shelf))
}

pub async fn skus_after(tx: &mut Tx<'_>, after: &str, limit: u32) -> Result<Vec<Sku>, DbError> {
    let query = "SELECT DISTINCT sku FROM stock WHERE sku > ? ORDER BY sku LIMIT ?";
    Ok(tx.fetch_all::<Name>(query, values![after, limit]).await?.into_iter().map(|Name(sku)| sku).collect())
}

pub async fn save_shelf(tx: &mut Tx<'_>, place: &Place, shelf: Shelf, now: Timestamp) -> Result<(), DbError> {
    let Shelf { on_hand, held, claimed, shipped, version } = shelf;
    let changed = if version == 0 {
        let insert =
            "INSERT INTO stock (sku, warehouse, on_hand, held, claimed, shipped, version, updated_at) VALUES (?, ?, ?, ?, ?, ?, 1, ?)";
        tx.insert_new(insert, values![&place.sku, &place.warehouse, on_hand, held, claimed, shipped, now]).await?
    } else {
        let update = "UPDATE stock SET on_hand = ?, held = ?, claimed = ?, shipped = ?, version = version + 1, updated_at = ?
                      WHERE sku = ? AND warehouse = ? AND version = ?";
        tx.execute(update, values![on_hand, held, claimed, shipped, now, &place.sku, &place.warehouse, version]).await? == 1
    };
    if changed { Ok(()) } else { Err(changed_meanwhile("the stock")) }
}

// ── the journal ──

/// Appends movements, each under its name.
pub async fn append<'m>(tx: &mut Tx<'_>, movements: impl Iterator<Item = (Uuid, &'m Movement)>) -> Result<(), DbError> {
    let insert =
        "INSERT INTO movements (id, kind, sku, warehouse, quantity, reservation_id, order_id, fencing_token, expires_at, reason, at)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let row = |(id, movement): (Uuid, &Movement)| {
        values![
            id,
            movement.kind.as_str(),
            &movement.place.sku,
            &movement.place.warehouse,
            movement.quantity,
            movement.reservation,
            movement.order,
            movement.fencing_token,
            movement.expires_at,
            movement.reason.clone(),
            movement.at
        ]
    };
    tx.insert_all(insert, movements.map(row).collect()).await
}

/// Whether a write of this name is there.
pub async fn is_written(tx: &mut Tx<'_>, name: Uuid) -> Result<bool, DbError> {
    Ok(tx.fetch_optional::<i64>("SELECT seq FROM movements WHERE id = ?", values![name]).await?.is_some())
}

// ── reservations ──

pub async fn next_token(tx: &mut Tx<'_>) -> Result<i64, DbError> {
    let last: Option<i64> = tx.fetch_one("SELECT max(fencing_token) FROM reservations", vec![]).await?;
    Ok(last.unwrap_or(0).saturating_add(1))
}

pub async fn reservation(tx: &mut Tx<'_>, id: ReservationId) -> Result<Option<Reservation>, DbError> {
    let query = concat!("SELECT ", reservation_columns!(), " FROM reservations WHERE id = ?");
    tx.fetch_optional(query, values![id]).await
}

/// The newest first, of those with a token below `before`.
pub async fn reservations_of(tx: &mut Tx<'_>, order: OrderId, before: i64, limit: u32) -> Result<Vec<Reservation>, DbError> {
    let query = concat!(
        "SELECT ",
        reservation_columns!(),
        " FROM reservations WHERE order_id = ? AND fencing_token < ? ORDER BY fencing_token DESC LIMIT ?"
    );
    tx.fetch_all(query, values![order, before, limit]).await
}

pub async fn save_reservation(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<(), DbError> {
    let Reservation { id, order_id, status, fencing_token, lines, created_at, expires_at, held_until, claimed_at, ended_at, version } =
        reservation;
    let changed = if *version == 0 {
        let unfit = |error: serde_json::Error| DbError::Column { column: "lines".into(), reason: error.to_string() };
        let lines = serde_json::to_string(lines).map_err(unfit)?;
        let insert = "INSERT INTO reservations (fencing_token, id, order_id, status, lines, created_at, expires_at, held_until, version)
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)";
        let row = values![*fencing_token, *id, *order_id, status.as_str(), lines, *created_at, *expires_at, *held_until];
        tx.insert_new(insert, row).await?
    } else {
        let update =
            "UPDATE reservations SET status = ?, expires_at = ?, held_until = ?, claimed_at = ?, ended_at = ?, version = version + 1
                      WHERE fencing_token = ? AND version = ?";
        let row = values![status.as_str(), *expires_at, *held_until, *claimed_at, *ended_at, *fencing_token, *version];
        tx.execute(update, row).await? == 1
    };
    if changed { Ok(()) } else { Err(changed_meanwhile("the reservation")) }
}

// ── holds that are over ──

/// Reservations whose units are still counted as held although their time is over, the earliest first.
pub async fn over(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<Reservation>, DbError> {
    let query = concat!("SELECT ", reservation_columns!(), " FROM reservations WHERE held_until <= ? ORDER BY held_until LIMIT ?");
    tx.fetch_all(query, values![now, limit]).await
}

/// When the next hold will be over.
pub async fn next_over(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, DbError> {
    let query = "SELECT held_until FROM reservations WHERE held_until IS NOT NULL ORDER BY held_until LIMIT 1";
    tx.fetch_optional::<Timestamp>(query, vec![]).await
}

/// The units that are counted as held although their time is over.
pub async fn units_over(tx: &mut Tx<'_>, now: Timestamp) -> Result<BTreeMap<Place, i64>, DbError> {
    let query = "SELECT lines FROM reservations WHERE held_until <= ? ORDER BY held_until LIMIT ?";
    let mut units = BTreeMap::new();
    for Lines(lines) in tx.fetch_all::<Lines>(query, values![now, OVER_MAX]).await? {
        for line in lines {
            *units.entry(Place { sku: line.sku, warehouse: line.warehouse }).or_insert(0) += line.quantity.as_i64();
        }
    }
    Ok(units)
}
