//! What a system has announced, decoded, page by page: for `crashcart events`, and as the audit collection `events`.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bus::{BusError, Delivery},
    http::{Cursor, Path, Query},
    problem::{Problem, kinds},
    schema::{CodecError, decode_json},
    world::World,
};

/// How much is read from a partition at a time.
const STEP: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    topic: Option<String>,
    /// The `next` of the page before; from the oldest on when empty.
    after: Option<String>,
    /// Nothing of what there is, only the place behind it.
    skip: Option<bool>,
}

/// For each topic, the next offset of each partition.
type Place = BTreeMap<String, Vec<u64>>;

fn told(error: &BusError) -> Problem {
    Problem::internal(error)
}

pub(super) async fn page(State(world): State<World>, Query(page): Query<Page>) -> Result<Response, Problem> {
    let mut place: Place = match page.after.as_deref() {
        None | Some("") => Place::new(),
        Some(cursor) => Cursor::read(cursor)?,
    };
    let bus = world.bus();
    let topics: Vec<String> = bus.topics().iter().map(|topic| topic.name.to_string()).collect();
    if let Some(wanted) = &page.topic
        && !topics.contains(wanted)
    {
        return Err(Problem::new(&kinds::NOT_FOUND).detail(format!("There is no topic `{wanted}`; there are {}.", topics.join(", "))));
    }
    let topics = topics.into_iter().filter(|topic| page.topic.as_ref().is_none_or(|wanted| wanted == topic));
    let limit = page.limit.unwrap_or(100).min(1_000);
    let mut found: Vec<Delivery> = Vec::new();
    for topic in topics {
        let ends = bus.end_offsets(&topic).map_err(|error| told(&error))?;
        let offsets = place.entry(topic.clone()).or_default();
        offsets.resize(ends.len(), 0);
        for (partition, next) in (0_u32..).zip(offsets.iter_mut()) {
            if page.skip == Some(true) {
                *next = ends[partition as usize];
            } else {
                found.extend(bus.read(&topic, partition, *next, limit).await.map_err(|error| told(&error))?);
            }
        }
    }
    found.sort_by(|a, b| order(a).cmp(&order(b)));
    found.truncate(limit);
    for delivery in &found {
        if let Some(next) = place.get_mut(&*delivery.topic).and_then(|offsets| offsets.get_mut(delivery.partition as usize)) {
            *next = delivery.offset + 1;
        }
    }
    let mut items = Vec::with_capacity(found.len());
    for delivery in &found {
        items.push(shown(&world, delivery).await);
    }
    Ok(Json(json!({"items": items, "next": Cursor::write(&place)})).into_response())
}

pub(super) async fn one(State(world): State<World>, Path(id): Path<String>) -> Result<Response, Problem> {
    for delivery in all(&world).await.map_err(|error| told(&error))? {
        if delivery.header("ce_id") == Some(id.as_str()) {
            let headers: BTreeMap<_, _> = delivery.headers.to_vec().into_iter().collect();
            let mut event = shown(&world, &delivery).await;
            event["headers"] = json!(headers);
            return Ok(Json(event).into_response());
        }
    }
    Err(Problem::not_found(format!("event {id}")))
}

/// Every event there is, in one order.
pub(super) async fn all(world: &World) -> Result<Vec<Delivery>, BusError> {
    let bus = world.bus();
    let mut all = Vec::new();
    for topic in bus.topics() {
        for partition in 0..u32::try_from(bus.end_offsets(&topic.name)?.len()).unwrap_or(0) {
            let mut next = 0;
            loop {
                let step = bus.read(&topic.name, partition, next, STEP).await?;
                let Some(last) = step.last() else { break };
                next = last.offset + 1;
                all.extend(step);
            }
        }
    }
    all.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(all)
}

fn order(delivery: &Delivery) -> (types::Timestamp, &str, u32, u64) {
    (delivery.timestamp, &delivery.topic, delivery.partition, delivery.offset)
}

async fn shown(world: &World, delivery: &Delivery) -> Value {
    let registry = world.registry();
    let decoded = match decode_json(registry, &delivery.value) {
        // That of a service in another process, which a registry of all knows.
        Err(CodecError::UnknownSchema { id }) if registry.learn(id).await.unwrap_or(false) => decode_json(registry, &delivery.value),
        decoded => decoded,
    };
    let data = decoded.unwrap_or_else(|error| json!({"undecodable": error.to_string()}));
    json!({
        "at": delivery.timestamp, "topic": &*delivery.topic, "partition": delivery.partition, "offset": delivery.offset,
        "key": delivery.key, "id": delivery.header("ce_id"), "data": data,
    })
}
