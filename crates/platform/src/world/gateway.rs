//! The gateway: one address for every path of every service, wherever that runs, and health and documentation of all; its metrics are those of its
//! process. `/lab` is not here.

use std::sync::PoisonError;

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;
use serde_json::{Map, Value, json};

use super::{World, pages};
use crate::{
    problem::{Problem, kinds},
    service::Manifest,
};

/// A readiness is a line for each dependency; what is longer is none.
const READINESS_BYTES_MAX: usize = 64 * 1024;

/// The router of the gateway. It hands a request on as it is: the service's own layer does the rest.
pub fn router(world: &World) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/health", get(health))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/docs", get(docs))
        .route("/docs/{service}", get(docs_of))
        .route("/docs/{service}/", get(docs_of))
        .route("/docs/{service}/{file}", get(docs_file))
        .route("/openapi/{service}", get(openapi_of))
        .fallback(hand_on)
        .with_state(world.clone())
        .merge(crate::blob::router(world.0.blobs.clone()))
}

impl World {
    /// The service whose path this is, and whether it runs in this process.
    fn owner_of(&self, path: &str) -> Option<(&'static str, bool)> {
        let mine = |prefix: &&&str| path == **prefix || path.strip_prefix(**prefix).is_some_and(|rest| rest.starts_with('/'));
        let room =
            |manifest: &'static Manifest| Some((manifest.paths.iter().filter(mine).map(|prefix| prefix.len()).max()?, manifest.name));
        // The longest prefix wins, so that one service may own a part of another's room.
        let here = self.services().values().filter_map(|standing| room(standing.manifest)).max();
        let there = self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(|there| room(there.manifest)).max();
        here.max(there).map(|(length, name)| (name, here == Some((length, name))))
    }

    fn is_known(&self, service: &str) -> bool {
        self.manifests().iter().any(|manifest| manifest.name == service)
    }
}

async fn hand_on(State(world): State<World>, request: Request) -> Response {
    let path = request.uri().path();
    let Some((target, is_here)) = world.owner_of(path) else {
        return Problem::new(&kinds::NOT_FOUND).detail("No service has this path; `/docs` shows what there is.").into_response();
    };
    let request = if is_here {
        request
    } else {
        // As it goes elsewhere it is held in memory.
        let (parts, body) = request.into_parts();
        match to_bytes(body, world.0.platform.max_body_bytes).await {
            Ok(bytes) => Request::from_parts(parts, Body::from(bytes)),
            Err(_) => return Problem::new(&kinds::TOO_LARGE).detail("The body is larger than this service takes.").into_response(),
        }
    };
    match world.calls().hand(target, request).await {
        Some(response) => response,
        None => Problem::new(&kinds::UNAVAILABLE).detail(format!("{target} is not running at the moment.")).into_response(),
    }
}

async fn overview(State(world): State<World>) -> Response {
    let services: Map<_, _> = world
        .manifests()
        .iter()
        .map(|manifest| (manifest.name.to_owned(), json!({"summary": manifest.summary, "paths": manifest.paths})))
        .collect();
    Json(json!({"name": "crashcart", "version": env!("CARGO_PKG_VERSION"), "docs": "/docs", "services": services})).into_response()
}

/// Whether every service is alive.
async fn health(State(world): State<World>) -> Response {
    of_all(&world, "/health").await
}

/// Whether every service has what it needs.
async fn ready(State(world): State<World>) -> Response {
    of_all(&world, "/health/ready").await
}

/// Asks every service; 200 when each says 200. What one that is not ready lacks is told as it tells it.
async fn of_all(world: &World, path: &'static str) -> Response {
    let (mut all, mut reasons) = (Map::new(), Map::new());
    for name in world.manifests().iter().map(|manifest| manifest.name) {
        let request = Request::get(path).body(Body::empty()).unwrap_or_default();
        let up = match world.calls().hand(name, request).await {
            Some(response) if response.status().is_success() => true,
            Some(response) => {
                reasons.insert(name.to_owned(), lacking(response).await);
                false
            }
            None => {
                reasons.insert(name.to_owned(), json!("It does not answer."));
                false
            }
        };
        all.insert(name.to_owned(), state(up));
    }
    let up = reasons.is_empty();
    let status = if up { http::StatusCode::OK } else { http::StatusCode::SERVICE_UNAVAILABLE };
    let mut told = json!({"status": state(up), "services": all});
    if !up {
        told["reasons"] = reasons.into();
    }
    (status, Json(told)).into_response()
}

fn state(up: bool) -> Value {
    json!(if up { "UP" } else { "DOWN" })
}

/// What a service lacks, of an answer of its readiness: each dependency that is down, with the reason.
async fn lacking(response: Response) -> Value {
    let status = response.status();
    let told: Option<Value> = match to_bytes(response.into_body(), READINESS_BYTES_MAX).await {
        Ok(bytes) => serde_json::from_slice(&bytes).ok(),
        Err(_) => None,
    };
    let dependencies = told.as_ref().and_then(|told| told["dependencies"].as_object());
    match dependencies {
        Some(dependencies) => dependencies
            .iter()
            .filter(|(_, dependency)| dependency["status"] == "DOWN")
            .map(|(name, dependency)| (name.clone(), dependency["reason"].clone()))
            .collect::<Map<_, _>>()
            .into(),
        None => json!(format!("It answers {status}.")),
    }
}

async fn metrics(State(world): State<World>) -> Response {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], world.metrics_text(None)).into_response()
}

async fn docs(State(world): State<World>) -> Response {
    let rows: String = world
        .manifests()
        .iter()
        .map(|manifest| {
            let (name, summary) = (manifest.name, manifest.summary);
            let paths = manifest.paths.iter().map(|path| format!("<code>{path}</code>")).collect::<Vec<_>>().join(" ");
            format!(
                "<tr><th><a href=\"/docs/{name}\">{name}</a></th><td>{summary}</td><td>{paths}</td><td><a href=\"/openapi/{name}\">OpenAPI</a></td></tr>"
            )
        })
        .collect();
    pages::html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Crashcart: the services</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}}th{{text-align:left}}\
         td,th{{padding:.4rem .8rem .4rem 0;vertical-align:top;border-bottom:1px solid #ddd}}table{{border-collapse:collapse;width:100%}}</style>\
         <h1>Crashcart</h1><p>Each service has a page where its endpoints can be read and tried.</p><table>{rows}</table></html>"
    ))
}

/// The service's own documentation page, over its own document. The page names its files relative to itself, so it ends in `/`.
async fn docs_of(State(world): State<World>, Path(service): Path<String>, request: Request) -> Response {
    if !world.is_known(&service) {
        return Problem::not_found(format!("service `{service}`")).into_response();
    }
    if request.uri().path().ends_with('/') {
        return pages::swagger("index.html", &format!("/openapi/{service}"));
    }
    axum::response::Redirect::permanent(&format!("/docs/{service}/")).into_response()
}

async fn docs_file(State(world): State<World>, Path((service, file)): Path<(String, String)>) -> Response {
    if world.is_known(&service) {
        pages::swagger(&file, &format!("/openapi/{service}"))
    } else {
        Problem::not_found(format!("service `{service}`")).into_response()
    }
}

async fn openapi_of(State(world): State<World>, Path(service): Path<String>) -> Response {
    match world.openapi(&service) {
        Some(document) => Json(document).into_response(),
        None if world.is_known(&service) => {
            let request = Request::get("/openapi.json").body(Body::empty()).unwrap_or_default();
            let gone = || Problem::new(&kinds::UNAVAILABLE).detail(format!("{service} is not running at the moment.")).into_response();
            world.calls().hand(&service, request).await.unwrap_or_else(gone)
        }
        None => Problem::not_found(format!("service `{service}`")).into_response(),
    }
}
