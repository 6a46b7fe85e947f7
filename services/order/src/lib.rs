//! order-service: takes a cart, and sees to it that its stock and its money come together, or neither.
//!
//! Reading order: [`domain`] (what an order may do), [`checkout`] (the saga), [`app`] (the use cases), [`credits`] (what is given back to make up for
//! something), [`telling`] (their events), [`waiting`] (who is told when
//! an order has settled), [`store`] (every query), then the doors: [`http`], [`consumers`].

pub mod app;
pub mod audit;
pub mod checkout;
pub mod config;
pub mod consumers;
pub mod credits;
pub mod domain;
pub mod error;
pub mod http;
pub mod store;
pub mod telling;
pub mod waiting;

use order_api::events;
use platform::{
    db::Migration,
    event::Event,
    migrations,
    service::{BuildError, Env, Live, Manifest, Service},
};

pub static MANIFEST: Manifest = Manifest {
    name: "order",
    summary: "Orders: one per cart, taken through reservation, payment and confirmation by a saga that survives crashes.",
    paths: &["/orders"],
    publishes: &[events::OrderCreated::TOPIC, events::OrderStatusChanged::TOPIC, events::OrderCreditGranted::TOPIC],
    consumes: consumers::TOPICS,
    calls: &["inventory", "payment", "cart"],
    problems: error::KINDS,
    migrations: all_migrations,
    build: |env| Box::pin(build(env)),
};

fn all_migrations() -> Vec<Migration> {
    let mut all = migrations![(1, "0001_orders"); mariadb];
    all.push(saga::migration(2, checkout::TABLE));
    all.extend(migrations![(3, "0003_erasures"), (4, "0004_guests"), (5, "0005_credits"); mariadb]);
    all
}

async fn build(env: Env) -> Result<Service, BuildError> {
    let config = Live::new(env.config::<config::Config>()?);
    let app = app::App::new(&env, config.clone())?;
    Ok(Service {
        router: http::router(app.clone()),
        consumers: consumers::all(&env, &app, &config)?,
        background: vec![app.sagas.background(), app.purge_work(), app.teller.background()],
        audit: audit::collections(&env.db()),
        rungs: vec![
            config.switch(config::OVERSELL, config::Config::stand_on),
            config.switch(config::DUAL_WRITE, config::Config::stand_on_dual_write),
            config.switch(config::DUPLICATES_AND_REORDER, config::Config::stand_on_duplicates),
            config.switch(config::POISON, config::Config::stand_on_poison),
        ],
    })
}
