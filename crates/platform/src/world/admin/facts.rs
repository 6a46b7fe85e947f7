//! The facts that belong to no service, for the checks from outside: what the log has, how far each group has read it, which keys are parked,
//! which schemas are registered. No service's store is asked for them, so what a service says it has told or heard can be held against them.
//!
//! A fact's fields stand in the order of their names.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use types::Timestamp;

use super::events;
use crate::{
    bus::{self, BusError, Delivery, Lag},
    schema::SchemaId,
    world::World,
};

pub(super) const COLLECTIONS: &[&str] = &["consumers", "events", "parked", "schemas"];

#[derive(Debug, thiserror::Error)]
pub(super) enum LogFactsError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("a fact cannot be written: {0}")]
    Unfit(#[from] serde_json::Error),
}

/// All facts of one of [`COLLECTIONS`] behind `since`, numbered from 1, as newline-delimited JSON.
pub(super) async fn of_the_log(world: &World, collection: &str, since: i64) -> Result<Vec<u8>, LogFactsError> {
    match collection {
        "consumers" => lines(since, world.bus().lag().iter(), consumer),
        "events" => lines(since, events::all(world).await?.iter(), event),
        "parked" => lines(since, parked(world).iter(), parked_key),
        _ => lines(since, schemas(world).iter(), |seq, schema| Schema { seq, ..schema.clone() }),
    }
}

fn lines<'a, T: 'a, F: Serialize>(
    since: i64,
    all: impl Iterator<Item = &'a T>,
    fact: impl Fn(i64, &'a T) -> F,
) -> Result<Vec<u8>, LogFactsError> {
    let mut lines = Vec::new();
    for (seq, one) in (1_i64..).zip(all).filter(|(seq, _)| *seq > since) {
        serde_json::to_writer(&mut lines, &fact(seq, one))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// An event as it lies in the log, its value in base64.
#[derive(Serialize)]
struct Event<'a> {
    at: Timestamp,
    /// Of a dead letter: who could not take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    id: Option<&'a str>,
    key: &'a str,
    kind: &'static str,
    offset: u64,
    partition: u32,
    seq: i64,
    topic: &'a str,
    value: String,
}

fn event(seq: i64, delivery: &Delivery) -> Event<'_> {
    Event {
        at: delivery.timestamp,
        group: delivery.header("dlq-group"),
        id: delivery.header("ce_id"),
        key: &delivery.key,
        kind: "event",
        offset: delivery.offset,
        partition: delivery.partition,
        seq,
        topic: &delivery.topic,
        value: STANDARD.encode(&delivery.value),
    }
}

/// How far a group has read a partition.
#[derive(Serialize)]
struct Consumer<'a> {
    committed: u64,
    end: u64,
    group: &'a str,
    kind: &'static str,
    partition: u32,
    seq: i64,
    topic: &'a str,
}

fn consumer(seq: i64, lag: &Lag) -> Consumer<'_> {
    let Lag { group, topic, partition, committed, end, .. } = lag;
    Consumer { committed: *committed, end: *end, group, kind: "consumer", partition: *partition, seq, topic }
}

#[derive(Serialize)]
struct ParkedKey<'a> {
    at: Timestamp,
    group: &'a str,
    key: &'a str,
    kind: &'static str,
    seq: i64,
    topic: &'a str,
}

fn parked(world: &World) -> Vec<bus::ParkedKey> {
    let mut groups: Vec<String> = world.bus().lag().into_iter().map(|lag| lag.group).collect();
    groups.dedup();
    groups.iter().flat_map(|group| world.bus().parked(group)).collect()
}

fn parked_key(seq: i64, parked: &bus::ParkedKey) -> ParkedKey<'_> {
    ParkedKey { at: parked.since, group: &parked.group, key: &parked.key, kind: "parked", seq, topic: &parked.topic }
}

#[derive(Clone, Serialize)]
struct Schema {
    id: SchemaId,
    kind: &'static str,
    schema: String,
    seq: i64,
    subject: String,
    version: u32,
}

fn schemas(world: &World) -> Vec<Schema> {
    let registry = world.registry();
    let mut facts = Vec::new();
    for subject in registry.subjects() {
        for version in registry.versions(&subject).unwrap_or_default() {
            if let Ok(known) = registry.version(&subject, version) {
                let (id, schema) = (known.id, known.schema.to_string());
                facts.push(Schema { id, kind: "schema", schema, seq: 0, subject: subject.clone(), version });
            }
        }
    }
    facts
}
