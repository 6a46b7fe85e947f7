//! The outbox and its relay.

mod relay;

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use types::{EventId, Timestamp, id::Uuid};

pub use self::relay::{Relay, RelayError};
use super::Event;
use crate::{
    bus::Outgoing,
    clock::Clock,
    db::{DbError, FromRow, Row, Tx, Value},
    ids::Ids,
    schema::{Codec, Registry, SchemaError},
    telemetry::context::{CORRELATION_ATTRIBUTE, Context, TRACEPARENT},
    values,
};

/// A service's outbox. Events are added in the transaction whose effect they tell.
#[derive(Clone, Debug)]
pub struct Outbox {
    service: &'static str,
    clock: Clock,
    ids: Ids,
    registry: Registry,
    /// One codec per topic; each is a `Codec<E>`.
    codecs: Arc<Mutex<BTreeMap<&'static str, Arc<dyn Any + Send + Sync>>>>,
    bell: Arc<Notify>,
    insert: Arc<str>,
}

impl Outbox {
    #[must_use]
    pub fn new(service: &'static str, clock: Clock, ids: Ids, registry: Registry, bell: Arc<Notify>) -> Self {
        let insert = format!(
            "INSERT INTO {service}_outbox (event_id, topic, \"key\", payload, traceparent, correlation_id, status, created_at)
             VALUES (?, ?, ?, ?, ?, ?, 'PENDING', ?)"
        );
        Self { service, clock, ids, registry, codecs: Arc::default(), bell, insert: insert.into() }
    }

    /// Registers the event's schema. A schema that readers of the old one cannot live with is refused here, at the start, not at the
    /// first event.
    pub fn register<E: Event>(&self) -> Result<(), SchemaError> {
        let codec = Codec::<E>::register(&self.registry, &format!("{}-value", E::TOPIC))?;
        self.codecs().insert(E::TOPIC, Arc::new(codec));
        Ok(())
    }

    /// Adds an event to the transaction: it is published once that commits, and never if it does not.
    pub async fn add<E: Event>(&self, tx: &mut Tx<'_>, event: &E) -> Result<EventId, DbError> {
        let id: EventId = self.ids.make();
        self.add_as(tx, id, event).await?;
        Ok(id)
    }

    /// [`Outbox::add`] with an id of the caller's, for an event that could be told twice and must be known again. Says whether it is
    /// new: one that is there already is not added.
    pub async fn add_as<E: Event>(&self, tx: &mut Tx<'_>, id: EventId, event: &E) -> Result<bool, DbError> {
        let is_new = tx.insert_new(&self.insert, self.seal(id, event)?.row()).await?;
        tx.wake_after_commit(&self.bell);
        Ok(is_new)
    }

    /// Adds events to the transaction, in their order, each under an id that nobody has used.
    pub async fn add_all(&self, tx: &mut Tx<'_>, events: Vec<Sealed>) -> Result<(), DbError> {
        if events.is_empty() {
            return Ok(());
        }
        tx.wake_after_commit(&self.bell);
        tx.insert_all(&self.insert, events.into_iter().map(Sealed::row).collect()).await
    }

    /// An event for [`Outbox::add_all`].
    pub fn seal_new<E: Event>(&self, event: &E) -> Result<Sealed, DbError> {
        self.seal(self.ids.make(), event)
    }

    /// An event as it is kept until it is told, for a store that has no transaction with this outbox and keeps it in rows of its own.
    pub fn seal<E: Event>(&self, id: EventId, event: &E) -> Result<Sealed, DbError> {
        let refused = |reason: String| DbError::Column { column: format!("{} of {}", E::TOPIC, self.service), reason };
        let codec = self.codecs().get(E::TOPIC).cloned().ok_or_else(|| refused("the event was never registered".into()))?;
        let codec = codec.downcast::<Codec<E>>().map_err(|_| refused("two event types claim this topic".into()))?;
        let payload = codec.encode(event).map_err(|error| refused(error.to_string()))?;
        let context = Context::current();
        Ok(Sealed {
            event_id: id,
            topic: E::TOPIC.to_owned(),
            key: event.key(),
            payload: payload.to_vec(),
            traceparent: context.traceparent(),
            correlation_id: context.correlation_id().map(str::to_owned),
            created_at: self.clock.now(),
        })
    }

    /// Takes an event of this transaction out of the relay's hands: it stands there as told, and whoever took it tells it himself. What
    /// does so has two writes of which either may fail alone; it is there for a service that shows what comes of that.
    pub async fn withdraw(&self, tx: &mut Tx<'_>, id: EventId) -> Result<Outgoing, DbError> {
        let service = self.service;
        let select = format!(
            "SELECT seq, event_id, topic, \"key\", payload, traceparent, correlation_id, created_at FROM {service}_outbox WHERE event_id = ?"
        );
        let pending: Pending = tx.fetch_one(&select, values![id]).await?;
        let sent = format!("UPDATE {service}_outbox SET status = 'SENT', sent_at = ? WHERE seq = ? AND status = 'PENDING'");
        tx.execute(&sent, values![self.clock.now(), pending.seq]).await?;
        Ok(pending.event.outgoing(service))
    }

    fn codecs(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Arc<dyn Any + Send + Sync>>> {
        self.codecs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Pending {
    seq: i64,
    event: Sealed,
}

/// An event, encoded, with what it is told with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    pub event_id: EventId,
    pub topic: String,
    pub key: String,
    pub payload: Vec<u8>,
    pub traceparent: Option<String>,
    pub correlation_id: Option<String>,
    pub created_at: Timestamp,
}

impl FromRow for Pending {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let seq = row.get("seq")?;
        let event = Sealed {
            event_id: row.get::<Uuid>("event_id")?.into(),
            topic: row.get("topic")?,
            key: row.get("key")?,
            payload: row.get("payload")?,
            traceparent: row.get("traceparent")?,
            correlation_id: row.get("correlation_id")?,
            created_at: row.get("created_at")?,
        };
        Ok(Self { seq, event })
    }
}

impl Sealed {
    /// As the outbox inserts it.
    fn row(self) -> Vec<Value> {
        let Self { event_id, topic, key, payload, traceparent, correlation_id, created_at } = self;
        values![event_id, topic, key, payload, traceparent, correlation_id, created_at]
    }

    /// As it goes to the log.
    #[must_use]
    pub fn outgoing(self, service: &str) -> Outgoing {
        let mut headers = vec![
            ("ce_specversion".to_owned(), "1.0".to_owned()),
            ("ce_id".to_owned(), self.event_id.to_string()),
            ("ce_type".to_owned(), self.topic.clone()),
            ("ce_source".to_owned(), format!("/services/{}", service)),
            ("ce_subject".to_owned(), self.key.clone()),
            ("ce_time".to_owned(), self.created_at.to_string()),
            ("ce_dataschema".to_owned(), format!("/subjects/{}-value/versions/latest", self.topic)),
            ("content-type".to_owned(), "application/vnd.confluent.avro".to_owned()),
        ];
        headers.extend(self.traceparent.map(|value| (TRACEPARENT.to_owned(), value)));
        headers.extend(self.correlation_id.map(|value| (CORRELATION_ATTRIBUTE.to_owned(), value)));
        Outgoing { topic: self.topic, key: self.key, value: Bytes::from(self.payload), headers }
    }
}
