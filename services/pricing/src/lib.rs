//! pricing: what a SKU costs whom, where, when and in which number, what a cart costs in all, and what one currency is in another.
//!
//! Reading order: [`domain`] (rules, campaigns, sums: pure), [`app`] (the use cases), [`store`] (every query), then the door [`http`] and
//! what runs by itself: [`tasks`], over rates from a [`provider`].

pub mod app;
pub mod audit;
pub mod config;
pub mod domain;
pub mod error;
pub mod http;
pub mod provider;
pub mod store;
pub mod tasks;

use platform::{
    event::Event,
    migrations,
    service::{BuildError, Env, Manifest, Service},
};

pub static MANIFEST: Manifest = Manifest {
    name: "pricing",
    summary: "Prices: books, rules with typed conditions, promotions and coupons, whole carts, exchange rates.",
    paths: &["/pricing", "/promotions", "/fx"],
    publishes: &[
        pricing_api::events::PricingUpdated::TOPIC,
        pricing_api::events::PromotionActivated::TOPIC,
        pricing_api::events::FxRateChanged::TOPIC,
    ],
    consumes: &[],
    calls: &[],
    problems: error::KINDS,
    migrations: || migrations![(1, "0001_pricing"); postgresql],
    build: |env| Box::pin(build(env)),
};

async fn build(env: Env) -> Result<Service, BuildError> {
    let app = app::App::new(&env)?;
    Ok(Service {
        router: http::router(app.clone()),
        background: tasks::all(&app),
        audit: audit::collections(&env.db()),
        ..Service::default()
    })
}
