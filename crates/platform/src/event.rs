//! Events, from the transaction that makes them to the transaction that takes them.
//!
//! An event is published if and only if its transaction committed: it is a row of the service's outbox, written in that transaction
//! ([`Outbox::add`]), and one relay ([`Relay`]) carries the rows to the bus in order, woken by the commit. A consumer takes an event
//! once: the note that it did (its inbox row) is written in the transaction of its effect ([`taking`]). Between the two an event may be
//! delivered twice or late; neither shows. Where an event says of which version it tells, one that was overtaken has no effect ([`pass_over`]).
//!
//! Names and headers: `contracts.md`'s CloudEvents in the Kafka binding, Avro in the Confluent wire format.

mod inbox;
mod outbox;

use apache_avro::AvroSchema;
pub use inbox::{Consumer, Received, direct, direct_or_noted, pass_over, taking};
pub use outbox::{Outbox, Relay, RelayError, Sealed};
use serde::{Serialize, de::DeserializeOwned};

use crate::db::Migration;

/// What is announced: a struct whose schema is registered under `TOPIC-value`, keyed by the aggregate it tells about.
pub trait Event: Serialize + DeserializeOwned + AvroSchema + Clone + Send + Sync + 'static {
    /// The topic, which is also the event's type: `order.status.changed.v1`.
    const TOPIC: &'static str;

    /// The id of the aggregate. Events of one key are delivered in the order in which they were committed.
    fn key(&self) -> String;
}

/// The numbers of the platform's migrations; a service's own start at 1.
const OUTBOX_MIGRATION: i64 = -2;
const INBOX_MIGRATION: i64 = -1;
const PASSED_OVER_MIGRATION: i64 = 0;

/// The tables `SERVICE_outbox` and `SERVICE_inbox`.
#[must_use]
pub fn migrations(service: &str) -> Vec<Migration> {
    let (no_outbox, no_inbox) = (format!("DROP TABLE {service}_outbox"), format!("DROP TABLE {service}_inbox"));
    let gone = |table: &str| format!("DROP TABLE IF EXISTS {service}_{table}");
    vec![
        Migration::new(
            OUTBOX_MIGRATION,
            "outbox",
            format!(
                "CREATE TABLE {service}_outbox (
                    seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id BLOB NOT NULL UNIQUE, topic TEXT NOT NULL, key TEXT NOT NULL,
                    payload BLOB NOT NULL, traceparent TEXT, correlation_id TEXT, status TEXT NOT NULL,
                    created_at INTEGER NOT NULL, sent_at INTEGER) STRICT;
                 CREATE INDEX {service}_outbox_pending ON {service}_outbox (seq) WHERE status = 'PENDING';"
            ),
            &no_outbox,
        )
        .with_postgresql(
            format!(
                "CREATE TABLE {service}_outbox (
                    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL UNIQUE, topic text COLLATE \"C\" NOT NULL,
                    key text COLLATE \"C\" NOT NULL, payload bytea NOT NULL, traceparent text, correlation_id text,
                    status text COLLATE \"C\" NOT NULL, created_at timestamptz NOT NULL, sent_at timestamptz);
                 CREATE INDEX {service}_outbox_pending ON {service}_outbox (seq) WHERE status = 'PENDING';"
            ),
            &no_outbox,
        )
        .with_mariadb(
            format!(
                "CREATE TABLE IF NOT EXISTS {service}_outbox (
                    seq bigint AUTO_INCREMENT PRIMARY KEY, event_id binary(16) NOT NULL UNIQUE, topic varchar(255) NOT NULL,
                    \"key\" varchar(255) NOT NULL, payload longblob NOT NULL, traceparent varchar(255), correlation_id varchar(255),
                    status varchar(20) NOT NULL, created_at datetime(6) NOT NULL, sent_at datetime(6),
                    INDEX {service}_outbox_pending (status, seq))"
            ),
            gone("outbox"),
        ),
        Migration::new(
            INBOX_MIGRATION,
            "inbox",
            format!(
                "CREATE TABLE {service}_inbox (
                    seq INTEGER PRIMARY KEY AUTOINCREMENT, consumer TEXT NOT NULL, event_id BLOB NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL,
                    UNIQUE (consumer, event_id)) STRICT"
            ),
            &no_inbox,
        )
        .with_postgresql(
            format!(
                "CREATE TABLE {service}_inbox (
                    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, consumer text COLLATE \"C\" NOT NULL, event_id uuid NOT NULL,
                    key text COLLATE \"C\" NOT NULL, at timestamptz NOT NULL, UNIQUE (consumer, event_id))"
            ),
            &no_inbox,
        )
        .with_mariadb(
            format!(
                "CREATE TABLE IF NOT EXISTS {service}_inbox (
                    seq bigint AUTO_INCREMENT PRIMARY KEY, consumer varchar(255) NOT NULL, event_id binary(16) NOT NULL,
                    \"key\" varchar(255) NOT NULL, at datetime(6) NOT NULL, UNIQUE (consumer, event_id))"
            ),
            gone("inbox"),
        ),
        Migration::new(
            PASSED_OVER_MIGRATION,
            "passed over",
            format!("ALTER TABLE {service}_inbox ADD COLUMN passed_over INTEGER NOT NULL DEFAULT 0"),
            format!("ALTER TABLE {service}_inbox DROP COLUMN passed_over"),
        )
        .with_postgresql(
            format!("ALTER TABLE {service}_inbox ADD COLUMN passed_over boolean NOT NULL DEFAULT FALSE"),
            format!("ALTER TABLE {service}_inbox DROP COLUMN passed_over"),
        )
        .with_mariadb(
            format!("ALTER TABLE {service}_inbox ADD COLUMN IF NOT EXISTS passed_over boolean NOT NULL DEFAULT FALSE"),
            format!("ALTER TABLE {service}_inbox DROP COLUMN IF EXISTS passed_over"),
        ),
    ]
}
