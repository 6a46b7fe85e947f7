//! customer-service: who the shop's customers are, in which segments, and how they are forgotten.
//!
//! Reading order: [`domain`] (what a customer is and may become), [`app`] (the use cases), [`erasure`] (how a customer is erased in every
//! service), [`snapshots`] (the cache), [`store`] (every query), then the doors: [`http`], [`consumers`], [`tasks`].

pub mod app;
pub mod audit;
pub mod config;
pub mod consumers;
pub mod domain;
pub mod erasure;
pub mod error;
pub mod http;
pub mod snapshots;
pub mod store;
pub mod tasks;

use customer_api::events::{CustomerSegmentRecalculated, CustomerUpdated};
use platform::{
    event::Event,
    migrations,
    service::{BuildError, Env, Manifest, Service},
};

pub static MANIFEST: Manifest = Manifest {
    name: "customer",
    summary: "Customers: profiles, addresses and segments, and their erasure in every service that knows them.",
    paths: &["/customers"],
    publishes: &[CustomerUpdated::TOPIC, CustomerSegmentRecalculated::TOPIC],
    consumes: consumers::TOPICS,
    calls: &["order", "cart"],
    problems: error::KINDS,
    migrations: || migrations![(1, "0001_customers"), (2, "0002_erasures"); postgresql],
    build: |env| Box::pin(build(env)),
};

async fn build(env: Env) -> Result<Service, BuildError> {
    let config = env.config::<config::Config>()?;
    let app = app::App::new(&env, &config)?;
    let eraser = erasure::Eraser::new(&env, &config, &app);
    Ok(Service {
        router: http::router(app.clone()),
        consumers: consumers::all(&env, &app)?,
        background: tasks::all(&app, &eraser),
        audit: audit::collections(&env.db()),
        rungs: Vec::new(),
    })
}
