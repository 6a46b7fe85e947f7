//! Every statement of the store on Cassandra, and the rows that they are about.

use std::{collections::BTreeMap, str::FromStr};

use platform::{
    db::{DbError, FromRow, Row, Value},
    engine::cassandra::{CassandraError, Keyspace, Migration},
    event::Sealed,
    http::Answer,
    values,
};
use serde::{Deserialize, Serialize};
use types::{EventId, OrderId, ReservationId, Sku, Timestamp, id::Uuid};

use crate::domain::{Movement, Reservation, Shelf};

/// How many numbers a partition of the journal has.
const BUCKET: i64 = 1_024;
/// The most numbers that one operation takes: a line for each of a hundred items in each of a hundred warehouses.
const SPAN_MAX: i64 = 10_240;
/// How long what is no longer needed stays, in seconds: the name of a write, the mark of one that was given up, an answer.
const KEPT_SECONDS: i64 = 24 * 3_600;
const HOUR: i64 = 3_600_000_000;

#[must_use]
pub fn migrations() -> Vec<Migration> {
    vec![Migration {
        number: 1,
        name: "0001_stock",
        up: include_str!("../../../migrations/cassandra/0001_stock.up.cql").to_owned(),
        down: include_str!("../../../migrations/cassandra/0001_stock.down.cql").to_owned(),
    }]
}

fn told<T: Serialize>(what: &str, value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Column { column: what.to_owned(), reason: error.to_string() })
}

fn heard<'t, T: Deserialize<'t>>(what: &str, text: &'t str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|error| DbError::Column { column: what.to_owned(), reason: error.to_string() })
}

// ── cells ──

/// What is written over conditionally: a row with a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// The reservations of an order.
    Order(OrderId),
    /// A SKU in all its warehouses.
    Sku(Sku),
}

impl Key {
    const fn table(&self) -> (&'static str, &'static str) {
        match self {
            Self::Order(_) => ("orders", "order_id"),
            Self::Sku(_) => ("stock", "sku"),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Order(id) => (*id).into(),
            Self::Sku(sku) => sku.into(),
        }
    }
}

/// Who is at a cell: one attempt of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    pub operation: Uuid,
    pub attempt: i64,
}

/// A cell as it stands. One that is not there has version 0 and no body.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub version: i64,
    pub body: Option<String>,
    pub lock: Option<Lock>,
}

impl FromRow for Cell {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let (version, operation): (Option<i64>, Option<Uuid>) = (row.get("version")?, row.get("operation")?);
        let attempt: Option<i64> = row.get("attempt")?;
        let lock = operation.zip(attempt).map(|(operation, attempt)| Lock { operation, attempt });
        Ok(Self { version: version.unwrap_or(0), body: row.get("body")?, lock })
    }
}

/// The counters of a place as a cell keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    #[serde(flatten)]
    pub shelf: Shelf,
    /// The number of the operation that put the first units there.
    pub seq: i64,
    pub updated_at: Timestamp,
}

pub type Places = BTreeMap<Sku, Standing>;

/// What stands in the cell of a SKU: warehouses and their counters.
pub fn places(body: Option<&str>) -> Result<Places, DbError> {
    body.map_or(Ok(Places::new()), |body| heard("stock.body", body))
}

/// What stands in the cell of an order, in the order in which it was made.
pub fn reservations(body: Option<&str>) -> Result<Vec<Reservation>, DbError> {
    body.map_or(Ok(Vec::new()), |body| heard("orders.body", body))
}

pub fn body<T: Serialize>(what: &T) -> Result<String, DbError> {
    told("body", what)
}

pub async fn cell(space: &Keyspace, key: &Key) -> Result<Cell, DbError> {
    let (table, column) = key.table();
    let query = format!("SELECT version, operation, attempt, body FROM $.{table} WHERE {column} = ?");
    Ok(space.fetch_optional(&query, vec![key.value()]).await?.unwrap_or_default())
}

/// Takes a cell that nobody is at, if it still has this version.
pub async fn lock(space: &Keyspace, key: &Key, version: i64, lock: Lock) -> Result<bool, CassandraError> {
    let (table, column) = key.table();
    let update = format!("UPDATE $.{table} SET operation = ?, attempt = ? WHERE {column} = ? IF version = ? AND operation = NULL");
    let known = Some(version).filter(|version| *version > 0);
    space.write_if(&update, values![lock.operation, lock.attempt, key.value(), known]).await
}

/// Leaves a cell as it was.
pub async fn unlock(space: &Keyspace, key: &Key, lock: Lock) -> Result<bool, DbError> {
    let (table, column) = key.table();
    let update = format!("UPDATE $.{table} SET operation = NULL, attempt = NULL WHERE {column} = ? IF operation = ? AND attempt = ?");
    Ok(space.write_if(&update, values![key.value(), lock.operation, lock.attempt]).await?)
}

/// Writes a cell that this attempt is at, and leaves it. Says whether the attempt was still there.
pub async fn save(space: &Keyspace, lock: Lock, after: &After) -> Result<bool, DbError> {
    let (table, column) = after.key.table();
    let update = format!(
        "UPDATE $.{table} SET version = ?, body = ?, operation = NULL, attempt = NULL WHERE {column} = ? IF operation = ? AND attempt = ?"
    );
    Ok(space.write_if(&update, values![after.version, &after.body, after.key.value(), lock.operation, lock.attempt]).await?)
}

// ── operations ──

/// A cell once the operation is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct After {
    pub key: Key,
    pub version: i64,
    pub body: String,
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub id: Uuid,
    pub kind: String,
    pub sku: Sku,
    pub warehouse: Sku,
    pub quantity: i64,
    pub reservation: Option<ReservationId>,
    pub order: Option<OrderId>,
    pub fencing_token: Option<i64>,
    pub expires_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub at: Timestamp,
}

impl Line {
    pub fn new(id: Uuid, movement: &Movement) -> Self {
        Self {
            id,
            kind: movement.kind.as_str().to_owned(),
            sku: movement.place.sku.clone(),
            warehouse: movement.place.warehouse.clone(),
            quantity: movement.quantity,
            reservation: movement.reservation,
            order: movement.order,
            fencing_token: movement.fencing_token,
            expires_at: movement.expires_at,
            reason: movement.reason.clone(),
            at: movement.at,
        }
    }
}

/// What happens to the row that is a hold where a hold is a time to live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fading {
    /// It lasts until this moment.
    Until(Timestamp),
    /// An upsert of its status, whatever is there.
    Upsert(String),
    Gone,
}

/// What an operation does, all of it or nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    pub at: Timestamp,
    /// How many numbers it took.
    pub span: i64,
    pub cells: Vec<After>,
    pub movements: Vec<Line>,
    pub events: Vec<Sealed>,
    /// The reservation that it is about, as it is afterwards.
    pub reservation: Option<Reservation>,
    /// Whether it made it.
    pub made: bool,
    /// Until when its units were held before.
    pub held_before: Option<Timestamp>,
    pub fading: Option<Fading>,
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It was decided: it is done, but what it does may not stand everywhere yet.
    Done,
    /// And now it does.
    Applied,
    /// It was given up, and cannot be done any more.
    Undone,
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Applied => "applied",
            Self::Undone => "undone",
        }
    }
}

impl FromStr for Phase {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Done, Self::Applied, Self::Undone];
        all.into_iter().find(|phase| phase.as_str() == text).ok_or_else(|| format!("`{text}` is no state of an operation"))
    }
}

/// The note that is kept with an operation, by which a repeat is known.
#[derive(Clone, Debug, Default)]
pub struct Note {
    pub endpoint: Option<String>,
    pub token: Option<String>,
    pub fingerprint: Option<Vec<u8>>,
    pub topic: Option<String>,
    pub event_key: Option<String>,
    pub event_id: Option<EventId>,
    /// When the answer is forgotten.
    pub until: Option<Timestamp>,
}

/// An operation as it was decided.
#[derive(Clone, Debug)]
pub struct Decided {
    pub attempt: i64,
    pub phase: Phase,
    pub at: Timestamp,
    pub note: Note,
    pub effects: Option<String>,
    pub answer: Option<Answer>,
}

impl Decided {
    pub fn effects(&self) -> Result<Option<Effects>, DbError> {
        self.effects.as_deref().map(|text| heard("operations.effects", text)).transpose()
    }
}

const OPERATION: &str =
    "attempt, state, at, until, effects, endpoint, request_key, fingerprint, topic, event_key, event_id, status, body, location, etag";

impl FromRow for Decided {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let (attempt, phase, at) = (row.get("attempt")?, row.parse("state")?, row.get("at")?);
        let (until, effects) = (row.get("until")?, row.get("effects")?);
        let note = Note {
            endpoint: row.get("endpoint")?,
            token: row.get("request_key")?,
            fingerprint: row.get("fingerprint")?,
            topic: row.get("topic")?,
            event_key: row.get("event_key")?,
            event_id: row.optional_id("event_id")?,
            until,
        };
        let answer = match row.get::<Option<u16>>("status")? {
            None => None,
            Some(status) => Some(Answer {
                status,
                body: row.get::<Option<Vec<u8>>>("body")?.unwrap_or_default().into(),
                location: row.get("location")?,
                etag: row.get("etag")?,
                replayed: true,
            }),
        };
        Ok(Self { attempt, phase, at, note, effects, answer })
    }
}

pub async fn operation(space: &Keyspace, id: Uuid) -> Result<Option<Decided>, DbError> {
    Ok(space.fetch_optional(&format!("SELECT {OPERATION} FROM $.operations WHERE id = ?"), values![id]).await?)
}

/// The same, after which nothing is on its way any more that had begun before it.
pub async fn operation_for_certain(space: &Keyspace, id: Uuid) -> Result<Option<Decided>, DbError> {
    Ok(space.fetch_decided(&format!("SELECT {OPERATION} FROM $.operations WHERE id = ?"), values![id]).await?)
}

/// Every operation that is known, in no order: for exports.
pub async fn operations(space: &Keyspace) -> Result<Vec<Decided>, DbError> {
    Ok(space.fetch_all(&format!("SELECT {OPERATION} FROM $.operations"), vec![]).await?)
}

/// Writes what an attempt has decided, where the attempt `over` stands, or nothing: of several attempts one is decided.
pub async fn decide(space: &Keyspace, id: Uuid, over: Option<i64>, decided: &Decided) -> Result<bool, CassandraError> {
    put(space, id, over, decided, None).await
}

/// The same of one that does nothing, or of which nothing is left to do (`over` is itself then). Whatever is not a note for ever goes after a day.
pub async fn finish(space: &Keyspace, id: Uuid, over: Option<i64>, decided: Decided) -> Result<bool, CassandraError> {
    let kept = if decided.note.event_id.is_some() { None } else { Some(KEPT_SECONDS) };
    put(space, id, over, &Decided { phase: Phase::Applied, effects: None, ..decided }, kept).await
}

/// Sees to it that an attempt cannot be decided any more.
pub async fn give_up(space: &Keyspace, id: Uuid, over: Option<i64>, attempt: i64, at: Timestamp) -> Result<bool, DbError> {
    let undone = Decided { attempt, phase: Phase::Undone, at, note: Note::default(), effects: None, answer: None };
    Ok(put(space, id, over, &undone, Some(KEPT_SECONDS)).await?)
}

async fn put(space: &Keyspace, id: Uuid, over: Option<i64>, row: &Decided, seconds: Option<i64>) -> Result<bool, CassandraError> {
    // A row made by an UPDATE is there for as long as one of its columns is.
    let columns: Vec<String> = OPERATION.split(", ").map(|column| format!("{column} = ?")).collect();
    let ttl = if seconds.is_some() { " USING TTL ?" } else { "" };
    let update = format!("UPDATE $.operations{ttl} SET {} WHERE id = ? IF attempt = ?", columns.join(", "));
    let (note, answer) = (&row.note, row.answer.as_ref());
    let mut values: Vec<Value> = seconds.map(Value::from).into_iter().collect();
    values.extend(values![
        row.attempt,
        row.phase.as_str(),
        row.at,
        note.until,
        row.effects.clone(),
        note.endpoint.clone(),
        note.token.clone(),
        note.fingerprint.clone(),
        note.topic.clone(),
        note.event_key.clone(),
        note.event_id,
        answer.map(|answer| answer.status),
        answer.map(|answer| answer.body.clone()),
        answer.and_then(|answer| answer.location.clone()),
        answer.and_then(|answer| answer.etag.clone()),
        id,
        over
    ]);
    space.write_if(&update, values).await
}

pub fn effects_text(effects: &Effects) -> Result<String, DbError> {
    told("operations.effects", effects)
}

// ── numbers ──

pub async fn last_number(space: &Keyspace) -> Result<i64, DbError> {
    let query = "SELECT last FROM $.numbers WHERE name = 'operations'";
    Ok(space.fetch_decided::<i64>(query, vec![]).await?.unwrap_or(0))
}

pub async fn take_numbers(space: &Keyspace, last: i64, count: i64) -> Result<bool, DbError> {
    let known = Some(last).filter(|last| *last > 0);
    Ok(space.write_if("UPDATE $.numbers SET last = ? WHERE name = 'operations' IF last = ?", values![last + count, known]).await?)
}

// ── the journal ──

/// An entry of the journal: what one attempt did, or will have done once it is decided.
#[derive(Clone, Debug)]
pub struct Entry {
    pub seq: i64,
    pub span: i64,
    pub operation: Uuid,
    pub at: Timestamp,
    /// None while it is not known what becomes of it; a given-up one has nothing to tell.
    pub written: Option<Written>,
    pub told_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default)]
pub struct Written {
    pub made: Option<OrderId>,
    pub movements: Vec<Line>,
    pub events: Vec<Sealed>,
}

impl Written {
    pub fn of(effects: &Effects) -> Self {
        let made = effects.reservation.as_ref().filter(|_| effects.made).map(|reservation| reservation.order_id);
        Self { made, movements: effects.movements.clone(), events: effects.events.clone() }
    }
}

impl FromRow for Entry {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let (seq, span, operation, at) = (row.get("seq")?, row.get("span")?, row.get("operation")?, row.get("at")?);
        let (given_up, made): (Option<bool>, _) = (row.get("given_up")?, row.optional_id("made")?);
        let (movements, events): (Option<String>, Option<String>) = (row.get("movements")?, row.get("events")?);
        let lines = |text: Option<&str>| text.map_or(Ok(Vec::new()), |text| heard("journal.movements", text));
        let sealed = |text: Option<&str>| text.map_or(Ok(Vec::new()), |text| heard("journal.events", text));
        let is_known = movements.is_some() || given_up == Some(true);
        let written = Written { made, movements: lines(movements.as_deref())?, events: sealed(events.as_deref())? };
        let written = is_known.then_some(written);
        Ok(Self { seq, span, operation, at, written, told_at: row.get("told_at")? })
    }
}

// What becomes of an entry stands in columns that are written once each, so that it does not matter whose clock is behind.

/// Says that an attempt is under way, so that it is found if nobody ends it.
pub async fn open_entry(space: &Keyspace, seq: i64, span: i64, operation: Uuid, at: Timestamp) -> Result<(), DbError> {
    let insert = "INSERT INTO $.journal (bucket, seq, span, operation, at) VALUES (?, ?, ?, ?, ?)";
    Ok(space.write(insert, values![seq / BUCKET, seq, span, operation, at]).await?)
}

/// Writes what an attempt did. Whatever is in the journal like this stands everywhere else.
pub async fn write_entry(space: &Keyspace, lock: Lock, effects: &Effects) -> Result<(), DbError> {
    let written = Written::of(effects);
    let insert = "INSERT INTO $.journal (bucket, seq, span, operation, at, made, movements, events) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let (movements, events) = (told("movements", &written.movements)?, told("events", &written.events)?);
    let seq = lock.attempt;
    let row = values![seq / BUCKET, seq, effects.span, lock.operation, effects.at, written.made, movements, events];
    Ok(space.write(insert, row).await?)
}

/// The attempt was given up: its numbers are nobody's.
pub async fn close_entry(space: &Keyspace, seq: i64, span: i64, operation: Uuid, at: Timestamp) -> Result<(), DbError> {
    let insert = "INSERT INTO $.journal (bucket, seq, span, operation, at, given_up, told_at) VALUES (?, ?, ?, ?, ?, TRUE, ?)";
    Ok(space.write(insert, values![seq / BUCKET, seq, span, operation, at, at]).await?)
}

pub async fn mark_told(space: &Keyspace, seq: i64, at: Timestamp) -> Result<(), DbError> {
    Ok(space.write("UPDATE $.journal SET told_at = ? WHERE bucket = ? AND seq = ?", values![at, seq / BUCKET, seq]).await?)
}

/// Up to `limit` entries with numbers above `after`, in order.
pub async fn entries_after(space: &Keyspace, after: i64, limit: usize) -> Result<Vec<Entry>, DbError> {
    let (mut entries, last) = (Vec::new(), last_number(space).await?);
    let query =
        "SELECT seq, span, operation, at, given_up, made, movements, events, told_at FROM $.journal WHERE bucket = ? AND seq > ? LIMIT ?";
    for bucket in (after + 1) / BUCKET..=last / BUCKET {
        let left = i64::try_from(limit - entries.len()).unwrap_or(i64::MAX);
        entries.extend(space.fetch_all::<Entry>(query, values![bucket, after, left]).await?);
        if entries.len() >= limit {
            break;
        }
    }
    Ok(entries)
}

/// Where to begin so that the entry of this number is among what follows, although its first number may lie before it.
#[must_use]
pub const fn before_entry_of(number: i64) -> i64 {
    number.saturating_sub(SPAN_MAX)
}

// ── holds that are over ──

/// Units of a hold, by place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    pub sku: Sku,
    pub warehouse: Sku,
    pub quantity: i64,
}

/// A hold and its end.
#[derive(Clone, Debug)]
pub struct Due {
    pub until: Timestamp,
    pub reservation: ReservationId,
    pub order: OrderId,
    /// Whether its row is what says whether it is over.
    pub fades: bool,
    pub units: Vec<Unit>,
}

impl FromRow for Due {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            until: row.get("until")?,
            reservation: row.id("reservation_id")?,
            order: row.id("order_id")?,
            fades: row.get("fades")?,
            units: row.json("units")?,
        })
    }
}

#[must_use]
pub const fn hour_of(moment: Timestamp) -> i64 {
    moment.micros().div_euclid(HOUR)
}

fn units(reservation: &Reservation) -> Result<String, DbError> {
    let unit = |line: &inventory_api::ReservedItem| Unit {
        sku: line.sku.clone(),
        warehouse: line.warehouse.clone(),
        quantity: line.quantity.as_i64(),
    };
    told("due.units", &reservation.lines.iter().map(unit).collect::<Vec<_>>())
}

pub async fn add_due(space: &Keyspace, until: Timestamp, reservation: &Reservation, fades: bool) -> Result<(), DbError> {
    let insert = "INSERT INTO $.due (hour, until, reservation_id, order_id, fades, units) VALUES (?, ?, ?, ?, ?, ?)";
    let units = units(reservation)?;
    Ok(space.write(insert, values![hour_of(until), until, reservation.id, reservation.order_id, fades, units]).await?)
}

pub async fn remove_due(space: &Keyspace, until: Timestamp, reservation: ReservationId) -> Result<(), DbError> {
    let delete = "DELETE FROM $.due WHERE hour = ? AND until = ? AND reservation_id = ?";
    Ok(space.write(delete, values![hour_of(until), until, reservation]).await?)
}

/// Holds of an hour that end after `from` and by `until`, the earliest first. What was taken away before `from` is not gone through again.
pub async fn due(space: &Keyspace, hour: i64, from: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<Due>, DbError> {
    let query = "SELECT until, reservation_id, order_id, fades, units FROM $.due WHERE hour = ? AND until > ? AND until <= ? LIMIT ?";
    Ok(space.fetch_all(query, values![hour, from, until, limit]).await?)
}

// ── holds that are a time to live ──

/// Makes the row last for so many seconds from now, by the clock of whichever node takes it.
pub async fn hold_for(space: &Keyspace, reservation: &Reservation, seconds: i64) -> Result<(), DbError> {
    let insert = "INSERT INTO $.holds (reservation_id, order_id, status, units) VALUES (?, ?, 'HELD', ?) USING TTL ?";
    let units = units(reservation)?;
    Ok(space.write(insert, values![reservation.id, reservation.order_id, units, seconds]).await?)
}

/// What a payment does on R0: an UPDATE, which does not ask whether the row is still there. Where it is not, a stump of it comes back: a status
/// without an order or units, and without an end.
pub async fn upsert_hold(space: &Keyspace, reservation: ReservationId, status: &str) -> Result<(), DbError> {
    Ok(space.write("UPDATE $.holds SET status = ? WHERE reservation_id = ?", values![status, reservation]).await?)
}

pub async fn remove_hold(space: &Keyspace, reservation: ReservationId) -> Result<(), DbError> {
    Ok(space.write("DELETE FROM $.holds WHERE reservation_id = ?", values![reservation]).await?)
}

/// Whether the row of a hold is there.
pub async fn is_held(space: &Keyspace, reservation: ReservationId) -> Result<bool, DbError> {
    let query = "SELECT status FROM $.holds WHERE reservation_id = ?";
    Ok(space.fetch_optional::<String>(query, values![reservation]).await?.is_some())
}

// ── indexes and marks ──

pub async fn index_reservation(space: &Keyspace, reservation: &Reservation) -> Result<(), DbError> {
    let insert = "INSERT INTO $.reservation_orders (reservation_id, order_id) VALUES (?, ?)";
    Ok(space.write(insert, values![reservation.id, reservation.order_id]).await?)
}

pub async fn order_of(space: &Keyspace, reservation: ReservationId) -> Result<Option<OrderId>, DbError> {
    let query = "SELECT order_id FROM $.reservation_orders WHERE reservation_id = ?";
    Ok(space.fetch_optional::<Uuid>(query, values![reservation]).await?.map(OrderId::from))
}

pub async fn index_sku(space: &Keyspace, sku: &Sku) -> Result<(), DbError> {
    Ok(space.write("INSERT INTO $.skus (shelf, sku) VALUES (0, ?)", values![sku]).await?)
}

pub async fn skus_after(space: &Keyspace, after: &str, limit: u32) -> Result<Vec<Sku>, DbError> {
    let names: Vec<Name> = space.fetch_all("SELECT sku FROM $.skus WHERE shelf = 0 AND sku > ? LIMIT ?", values![after, limit]).await?;
    Ok(names.into_iter().map(|Name(sku)| sku).collect())
}

struct Name(Sku);

impl FromRow for Name {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        row.parse("sku").map(Self)
    }
}

pub async fn mark(space: &Keyspace, name: &str) -> Result<Option<i64>, DbError> {
    Ok(space.fetch_optional("SELECT reached FROM $.marks WHERE name = ?", values![name]).await?)
}

pub async fn set_mark(space: &Keyspace, name: &str, reached: i64) -> Result<(), DbError> {
    Ok(space.write("INSERT INTO $.marks (name, reached) VALUES (?, ?)", values![name, reached]).await?)
}
