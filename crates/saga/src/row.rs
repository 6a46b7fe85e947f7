//! The row of a saga: where it stands, what it knows, when to look again.

use platform::db::{DbError, FromRow, Migration, Row};
use types::{Timestamp, id::Uuid};

types::words! {
    /// What a saga is at.
    State {
        /// Taking its steps.
        Forward = "FORWARD",
        /// Undoing them.
        Back = "BACK",
        /// All steps taken.
        Done = "DONE",
        /// All steps undone.
        Unwound = "UNWOUND",
    }
}

/// A stored saga.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: Uuid,
    pub state: State,
    /// The step to take, or to undo, next.
    pub step: i64,
    pub attempt: u32,
    pub data: serde_json::Value,
    /// Why it walks back.
    pub reason: Option<String>,
    /// Somebody wants it undone.
    pub abort: Option<String>,
    /// How often it was woken: a wait that was decided before the last time is not to be begun.
    pub nudges: i64,
    pub began_at: Timestamp,
    pub version: i64,
    pub correlation_id: Option<String>,
    pub traceparent: Option<String>,
}

impl FromRow for Stored {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            state: row.parse("state")?,
            step: row.get("step")?,
            attempt: row.get("attempt")?,
            data: row.json("data")?,
            reason: row.get("reason")?,
            abort: row.get("abort")?,
            nudges: row.get("nudges")?,
            began_at: row.get("began_at")?,
            version: row.get("version")?,
            correlation_id: row.get("correlation_id")?,
            traceparent: row.get("traceparent")?,
        })
    }
}

/// A saga that is to be looked at, and the moment for which it said so.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub id: Uuid,
    pub wake_at: Timestamp,
}

impl FromRow for Due {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self { id: row.get("id")?, wake_at: row.get("wake_at")? })
    }
}

/// The migration that makes the table, `TABLE`; its number is the service's.
#[must_use]
pub fn migration(number: i64, table: &str) -> Migration {
    let down = format!("DROP TABLE {table}");
    Migration::new(
        number,
        "sagas",
        format!(
            "CREATE TABLE {table} (
                id BLOB PRIMARY KEY, state TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, data TEXT NOT NULL, reason TEXT,
                abort TEXT, nudges INTEGER NOT NULL, wake_at INTEGER NOT NULL, began_at INTEGER NOT NULL, ended_at INTEGER,
                version INTEGER NOT NULL, correlation_id TEXT, traceparent TEXT) STRICT;
             CREATE INDEX {table}_due ON {table} (wake_at) WHERE state IN ('FORWARD', 'BACK');"
        ),
        down,
    )
    .with_mariadb(
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (
                id binary(16) PRIMARY KEY, state varchar(20) NOT NULL, step bigint NOT NULL, attempt bigint NOT NULL,
                data json COLLATE utf8mb4_nopad_bin NOT NULL, reason text, abort text, nudges bigint NOT NULL,
                wake_at datetime(6) NOT NULL, began_at datetime(6) NOT NULL, ended_at datetime(6), version bigint NOT NULL, correlation_id varchar(255), traceparent varchar(255),
                INDEX {table}_due (state, wake_at))"
        ),
        format!("DROP TABLE IF EXISTS {table}"),
    )
}
