//! The endpoints that every service has: health, readiness, metrics, and its own documentation.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use axum::{
    Json, Router,
    response::{IntoResponse, Redirect},
    routing::get,
};
use http::{StatusCode, header};
use serde_json::json;
use utoipa::openapi::OpenApi;

use super::{World, pages};
use crate::{
    db::{Db, DbError, Tx},
    http::Path,
    problem::Problem,
    service::Manifest,
    tasks::Tasks,
};

/// Names the document after the service and gives every operation the answers that all have.
pub(super) fn describe(mut openapi: OpenApi, manifest: &Manifest) -> OpenApi {
    use utoipa::PartialSchema;
    openapi.info.title = format!("Crashcart {}", manifest.name);
    openapi.info.description = Some(manifest.summary.to_owned());
    openapi.info.version = env!("CARGO_PKG_VERSION").to_owned();
    // Otherwise the document names the author of the library that makes it.
    openapi.info.contact = None;
    openapi.info.license = Some(utoipa::openapi::LicenseBuilder::new().name("MIT OR Apache-2.0").build());
    let components = openapi.components.get_or_insert_default();
    components.schemas.insert("Problem".to_owned(), Problem::schema());
    components.schemas.insert("FieldError".to_owned(), crate::problem::FieldError::schema());
    openapi
}

pub(super) fn add(router: Router, world: &World, manifest: &'static Manifest, db: Db, tasks: Tasks, openapi: Arc<OpenApi>) -> Router {
    let (name, world, bus) = (manifest.name, world.clone(), world.bus().clone());
    // Printed when somebody asks for it: in most worlds nobody does, and there are thousands of worlds.
    let document = Arc::new(LazyLock::new(move || openapi.to_pretty_json().unwrap_or_default()));
    let engines = world.0.engines.clone();
    let ready = move || {
        let (db, tasks, bus, engines) = (db.clone(), tasks.clone(), bus.clone(), engines.clone());
        async move {
            let store: Result<i64, DbError> = db.read(async |tx: &mut Tx<'_>| tx.fetch_one("SELECT 1", vec![]).await).await;
            let mut parts = BTreeMap::from([
                ("store", store.map(drop).map_err(|error| error.to_string())),
                ("bus", bus.check().map_err(|error| error.to_string())),
            ]);
            parts.extend(tasks.ailments().into_iter().map(|(task, reason)| (task, Err(reason))));
            let up = parts.values().all(Result::is_ok);
            // Shown and not counted: without a cache, a limiter or objects a service goes on, slower or with a 503 where it needs them, and it can
            // be asked where it can store nothing.
            parts.extend(db.ailment().map(|reason| ("writes", Err(reason))));
            parts.extend(engines.ailments().await.into_iter().map(|(engine, ailment)| (engine, ailment.map_or(Ok(()), Err))));
            let shown: BTreeMap<_, _> = parts
                .into_iter()
                .map(|(part, state)| {
                    (
                        part,
                        match state {
                            Ok(()) => json!({"status": "UP"}),
                            Err(reason) => json!({"status": "DOWN", "reason": reason}),
                        },
                    )
                })
                .collect();
            let status = if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, Json(json!({"service": name, "status": if up { "UP" } else { "DOWN" }, "dependencies": shown}))).into_response()
        }
    };
    let page = |file: &str| pages::swagger(file, "/openapi.json");
    router
        .route("/health", get(move || async move { Json(json!({"service": name, "status": "UP"})) }))
        .route("/health/ready", get(ready))
        .route(
            "/metrics",
            get(move || async move {
                ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], world.metrics_text(Some(name)))
            }),
        )
        .route(
            "/openapi.json",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], LazyLock::force(&document).clone()) }),
        )
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(move || async move { page("index.html") }))
        .route("/docs/{file}", get(move |Path(file): Path<String>| async move { page(&file) }))
}
