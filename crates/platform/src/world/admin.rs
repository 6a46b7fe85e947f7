//! The admin listener's paths, `/lab/*`: audit exports, faults, rungs. It has a port of its own and asks for a token, and the gateway does
//! not know it.

mod across;
mod events;
mod facts;
mod joining;

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use http::header;
pub use joining::join;
use serde::{Deserialize, Serialize};
use serde_json::json;
use types::Timestamp;
use utoipa::ToSchema;

use super::World;
use crate::{
    auth::Secret,
    fault::{Fault, FaultError},
    http::{Body as JsonBody, Path, Query},
    problem::{Problem, kinds},
};

/// The router of the admin listener, behind its token. Where other processes have a part of the system, it speaks for all of them; they
/// take the same token.
pub fn router(world: &World, token: Secret) -> Router {
    across::router(world, open_router(world), &token).layer(axum::middleware::from_fn_with_state(token, require_token))
}

/// The same without a token: for a simulated world, which nobody outside can reach.
pub fn open_router(world: &World) -> Router {
    Router::new()
        .route("/lab/audit", get(collections))
        .route("/lab/audit/{collection}", get(audit))
        .route("/lab/events", get(events::page))
        .route("/lab/events/{id}", get(events::one))
        .route("/lab/faults", get(faults).delete(clear_all))
        .route("/lab/faults/{point}", put(set_fault).get(faults_at).delete(clear_fault))
        .route("/lab/rungs", get(rungs))
        .route("/lab/rungs/{scenario}", put(set_rung))
        .route("/lab/parked", get(parked))
        .route("/lab/parked/{group}/{topic}/{key}/{what}", axum::routing::post(unpark))
        .fallback(|| async { Problem::new(&kinds::NOT_FOUND) })
        .with_state(world.clone())
}

async fn require_token(State(token): State<Secret>, request: Request, next: Next) -> Response {
    let given =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    if given.is_some_and(|given| token.is(given)) {
        return next.run(request).await;
    }
    Problem::new(&kinds::UNAUTHENTICATED)
        .detail("Send `Authorization: Bearer TOKEN` with the admin token that `crashcart up` prints.")
        .into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    since: Option<i64>,
    /// What this service tells, and no other.
    service: Option<String>,
}

async fn collections(State(world): State<World>) -> Response {
    let mut names = world.collection_names();
    names.extend(facts::COLLECTIONS);
    names.sort_unstable();
    Json(json!({"collections": names})).into_response()
}

/// Newline-delimited JSON, a fact a line, each with the service that tells it.
async fn audit(State(world): State<World>, Path(collection): Path<String>, Query(wanted): Query<Wanted>) -> Result<Response, Problem> {
    let since = wanted.since.unwrap_or(0);
    if facts::COLLECTIONS.contains(&&*collection) {
        let lines = facts::of_the_log(&world, &collection, since).await;
        return lines.map(ndjson).map_err(|error| Problem::internal(&error));
    }
    let collections = world.collections(&collection, wanted.service.as_deref());
    if collections.is_empty() {
        return Err(Problem::not_found(format!("collection `{collection}`; there are {}", world.collection_names().join(", "))));
    }
    let mut lines = Vec::new();
    for collection in collections {
        collection.export(since, &mut lines).await?;
    }
    Ok(ndjson(lines))
}

fn ndjson(lines: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from(lines)).into_response()
}

/// A fault and where it is set.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FaultAt {
    pub point: String,
    #[serde(flatten)]
    pub fault: Fault,
    /// When it lifts itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

fn listed(world: &World, point: Option<&str>) -> Vec<FaultAt> {
    let all = world.faults().list().into_iter().map(|(point, fault, until)| FaultAt { point, fault, until });
    all.filter(|at| point.is_none_or(|point| at.point == point)).collect()
}

async fn faults(State(world): State<World>) -> Response {
    Json(json!({"items": listed(&world, None)})).into_response()
}

async fn faults_at(State(world): State<World>, Path(point): Path<String>) -> Response {
    Json(json!({"items": listed(&world, Some(&point))})).into_response()
}

async fn set_fault(State(world): State<World>, Path(point): Path<String>, JsonBody(fault): JsonBody<Fault>) -> Result<Response, Problem> {
    world.faults().set(&point, fault).map_err(|error| match &error {
        FaultError::UnknownPoint(_) => Problem::new(&kinds::NOT_FOUND).detail(error.to_string()),
        FaultError::Share => Problem::invalid("#/share", error.to_string()),
        FaultError::Length => Problem::invalid("#/for", error.to_string()),
        FaultError::Meaningless(..) => Problem::invalid("#/rule", error.to_string()),
        FaultError::Clock(field, _) => Problem::invalid(format!("#/{field}"), error.to_string()),
    })?;
    Ok(Json(json!({"items": listed(&world, Some(&point))})).into_response())
}

async fn clear_fault(State(world): State<World>, Path(point): Path<String>) -> Response {
    Json(json!({"cleared": world.faults().clear(Some(&point))})).into_response()
}

async fn clear_all(State(world): State<World>) -> Response {
    Json(json!({"cleared": world.faults().clear(None)})).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rung {
    rung: String,
    /// It is set elsewhere: here it is kept for who is started later.
    #[serde(default, rename = "isSet")]
    is_set: bool,
}

async fn set_rung(State(world): State<World>, Path(scenario): Path<String>, JsonBody(rung): JsonBody<Rung>) -> Result<Response, Problem> {
    if rung.is_set {
        world.keep_rung(&scenario, &rung.rung);
    } else {
        world.set_rung(&scenario, &rung.rung).map_err(|reason| Problem::invalid("#/rung", reason))?;
    }
    Ok(Json(json!({"scenario": scenario, "rung": rung.rung})).into_response())
}

/// The rungs that were asked for since this process is there, by scenario. Where none was, the settings say it.
async fn rungs(State(world): State<World>) -> Response {
    Json(world.rungs()).into_response()
}

/// The keys that are parked behind a poison event, for every consumer.
async fn parked(State(world): State<World>) -> Response {
    let rows: Vec<_> = world
        .consumers()
        .iter()
        .flat_map(|consumer| world.bus().parked(consumer.group()))
        .map(|key| json!({"group": key.group, "topic": key.topic, "key": key.key, "since": key.since, "error": key.error, "waiting": key.waiting}))
        .collect();
    Json(json!({"items": rows})).into_response()
}

/// Hands a parked key's events to its consumer again (`replay`), or lets them be (`skip`).
async fn unpark(
    State(world): State<World>,
    Path((group, topic, key, what)): Path<(String, String, String, String)>,
) -> Result<Response, Problem> {
    let consumers = world.consumers();
    let consumer = consumers
        .iter()
        .find(|consumer| consumer.group() == group)
        .ok_or_else(|| Problem::not_found(format!("consumer group `{group}`")))?;
    let told = |error: crate::bus::BusError| Problem::new(&kinds::CONFLICT).detail(error.to_string());
    match what.as_str() {
        "replay" => {
            let replayed = consumer.replay(&topic, &key).await.map_err(told)?;
            let error = replayed.error.map(|error| error.to_string());
            Ok(Json(json!({"handled": replayed.handled, "left": replayed.left, "error": error})).into_response())
        }
        "skip" => Ok(Json(json!({"skipped": consumer.skip(&topic, &key).await.map_err(told)?})).into_response()),
        _ => Err(Problem::not_found("such action; there are `replay` and `skip`")),
    }
}
