//! The gateway: one address for every path of every service, and health, metrics and documentation of all. `/lab` is not here.

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;
use serde_json::{Map, json};

use super::{World, pages};
use crate::problem::{Problem, kinds};

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

async fn hand_on(State(world): State<World>, request: Request) -> Response {
    let path = request.uri().path();
    let target = {
        let services = world.services();
        let mine = |prefix: &&str| path == *prefix || path.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with('/'));
        // The longest prefix wins, so that one service may own a part of another's room.
        services
            .values()
            .flat_map(|standing| {
                standing.manifest.paths.iter().filter(|prefix| mine(prefix)).map(|prefix| (prefix.len(), standing.manifest.name))
            })
            .max()
            .map(|(_, name)| name)
    };
    let Some(target) = target else {
        return Problem::new(&kinds::NOT_FOUND).detail("No service has this path; `/docs` shows what there is.").into_response();
    };
    match world.calls().hand(target, request).await {
        Some(response) => response,
        None => Problem::new(&kinds::UNAVAILABLE).detail(format!("{target} is not running at the moment.")).into_response(),
    }
}

async fn overview(State(world): State<World>) -> Response {
    let services: Map<_, _> = world
        .services()
        .values()
        .map(|standing| {
            (standing.manifest.name.to_owned(), json!({"summary": standing.manifest.summary, "paths": standing.manifest.paths}))
        })
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

/// Asks every service; 200 when each says 200.
async fn of_all(world: &World, path: &'static str) -> Response {
    let mut all = Map::new();
    let mut up = true;
    for name in world.names() {
        let request = Request::get(path).body(Body::empty()).unwrap_or_default();
        let state = match world.calls().hand(name, request).await {
            Some(response) if response.status().is_success() => "UP",
            _ => "DOWN",
        };
        up &= state == "UP";
        all.insert(name.to_owned(), json!(state));
    }
    let status = if up { http::StatusCode::OK } else { http::StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"status": if up { "UP" } else { "DOWN" }, "services": all}))).into_response()
}

async fn metrics(State(world): State<World>) -> Response {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], world.metrics_text(None)).into_response()
}

async fn docs(State(world): State<World>) -> Response {
    let rows: String = world
        .services()
        .values()
        .map(|standing| {
            let (name, summary) = (standing.manifest.name, standing.manifest.summary);
            let paths = standing.manifest.paths.iter().map(|path| format!("<code>{path}</code>")).collect::<Vec<_>>().join(" ");
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
    if world.openapi(&service).is_none() {
        return Problem::not_found(format!("service `{service}`")).into_response();
    }
    if request.uri().path().ends_with('/') {
        return pages::swagger("index.html", &format!("/openapi/{service}"));
    }
    axum::response::Redirect::permanent(&format!("/docs/{service}/")).into_response()
}

async fn docs_file(State(world): State<World>, Path((service, file)): Path<(String, String)>) -> Response {
    match world.openapi(&service) {
        Some(_) => pages::swagger(&file, &format!("/openapi/{service}")),
        None => Problem::not_found(format!("service `{service}`")).into_response(),
    }
}

async fn openapi_of(State(world): State<World>, Path(service): Path<String>) -> Response {
    match world.openapi(&service) {
        Some(document) => Json(document).into_response(),
        None => Problem::not_found(format!("service `{service}`")).into_response(),
    }
}
