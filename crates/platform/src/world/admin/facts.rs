//! The facts that belong to no service, for the checks from outside: what the log has, how far each group has read it, which keys are parked,
//! which schemas are registered. No service's store is asked for them, so what a service says it has told or heard can be held against them.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::events;
use crate::{
    bus::{BusError, Delivery},
    world::World,
};

pub(super) const COLLECTIONS: &[&str] = &["consumers", "events", "parked", "schemas"];

/// All facts of one of [`COLLECTIONS`], numbered from 1.
pub(super) async fn of_the_log(world: &World, collection: &str) -> Result<Vec<Value>, BusError> {
    let mut facts = match collection {
        "consumers" => consumers(world),
        "events" => events::all(world).await?.iter().map(event).collect(),
        "parked" => parked(world),
        _ => schemas(world),
    };
    for (fact, seq) in facts.iter_mut().zip(1_i64..) {
        fact["seq"] = json!(seq);
    }
    Ok(facts)
}

/// An event as it lies in the log, its value in base64. Of a dead letter also the group that could not take it.
fn event(delivery: &Delivery) -> Value {
    let mut fact = json!({
        "at": delivery.timestamp, "kind": "event", "id": delivery.header("ce_id"), "topic": &*delivery.topic,
        "partition": delivery.partition, "offset": delivery.offset, "key": delivery.key, "value": STANDARD.encode(&delivery.value),
    });
    if let Some(group) = delivery.header("dlq-group") {
        fact["group"] = json!(group);
    }
    fact
}

/// How far each group has read each partition.
fn consumers(world: &World) -> Vec<Value> {
    let of = |lag: crate::bus::Lag| {
        json!({
            "kind": "consumer", "group": lag.group, "topic": &*lag.topic, "partition": lag.partition, "committed": lag.committed,
            "end": lag.end,
        })
    };
    world.bus().lag().into_iter().map(of).collect()
}

fn parked(world: &World) -> Vec<Value> {
    let mut groups: Vec<String> = world.bus().lag().into_iter().map(|lag| lag.group).collect();
    groups.dedup();
    groups
        .iter()
        .flat_map(|group| world.bus().parked(group))
        .map(|key| json!({"kind": "parked", "at": key.since, "group": key.group, "topic": &*key.topic, "key": key.key}))
        .collect()
}

fn schemas(world: &World) -> Vec<Value> {
    let registry = world.registry();
    let mut facts = Vec::new();
    for subject in registry.subjects() {
        for version in registry.versions(&subject).unwrap_or_default() {
            if let Ok(known) = registry.version(&subject, version) {
                let schema = &known.schema;
                facts.push(json!({"kind": "schema", "subject": subject, "version": version, "id": known.id, "schema": schema}));
            }
        }
    }
    facts
}
