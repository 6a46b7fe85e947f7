//! inventory-service: knows what is in stock, holds it for an order, and gives each unit to one order only.
//!
//! Reading order: [`domain`] (what stock and a reservation may do), [`app`] (the use cases), [`store`] (the port: decide and save), its
//! embedded engine and Cassandra beside it, [`tasks`] (holds that run out), then the doors: [`http`], [`consumers`].

pub mod app;
pub mod audit;
pub mod config;
pub mod consumers;
pub mod domain;
pub mod error;
pub mod http;
pub mod store;
pub mod tasks;

use inventory_api::events::{InventoryAdjusted, InventoryClaimed, InventoryReleased, InventoryReserved, InventoryShortfall};
use platform::{
    db::Migration,
    event::Event,
    migrations,
    service::{BuildError, Env, Live, Manifest, Service},
};

pub static MANIFEST: Manifest = Manifest {
    name: "inventory",
    summary: "Stock per SKU and warehouse: holds that run out, claims with a fencing token, and a journal of every movement.",
    paths: &["/inventory"],
    publishes: &[
        InventoryReserved::TOPIC,
        InventoryClaimed::TOPIC,
        InventoryReleased::TOPIC,
        InventoryAdjusted::TOPIC,
        InventoryShortfall::TOPIC,
    ],
    consumes: consumers::TOPICS,
    calls: &[],
    problems: error::KINDS,
    migrations: all_migrations,
    build: |env| Box::pin(build(env)),
};

fn all_migrations() -> Vec<Migration> {
    migrations![(1, "0001_stock")]
}

async fn build(env: Env) -> Result<Service, BuildError> {
    let config = Live::new(env.config::<config::Config>()?);
    let app = app::App::new(&env, config.clone()).await?;
    Ok(Service {
        router: http::router(app.clone()),
        consumers: consumers::all(&env, &app)?,
        background: tasks::all(&app),
        audit: audit::collections(&app.store, &env.db(), env.clock, config.clone()),
        rungs: vec![
            config.switch(config::OVERSELL, config::Config::stand_on),
            config.switch(config::HOT_SKU, config::Config::stand_on_hot_sku),
            config.switch(config::CLOCK_SKEW, config::Config::stand_on_clock_skew),
        ],
    })
}
