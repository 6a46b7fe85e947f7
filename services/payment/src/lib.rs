//! payment-service: has the money authorized, taken and given back by a provider that may be slow, silent, late, twice or out of order,
//! and keeps the books so that they agree with the provider's own.
//!
//! Reading order: [`domain`] (what a payment may do), [`ledger`] (double entry), [`app`] (the use cases, with [`app::learn`] at their
//! heart), [`callback`], [`store`] (every query), then the doors: [`http`], [`consumers`].

pub mod app;
pub mod audit;
pub mod callback;
pub mod config;
pub mod consumers;
pub mod domain;
pub mod error;
pub mod http;
pub mod ledger;
pub mod metrics;
pub mod store;

use std::time::Duration;

use payment_api::events;
use platform::{
    db::Migration,
    event::Event,
    migrations,
    service::{Background, BuildError, Env, Live, Manifest, Progress, Service},
};

pub static MANIFEST: Manifest = Manifest {
    name: "payment",
    summary: "Payments: one per order, authorized, captured, voided and refunded with the provider, in a double-entry ledger.",
    paths: &["/payments"],
    publishes: &[
        events::PaymentAuthorized::TOPIC,
        events::PaymentCaptured::TOPIC,
        events::PaymentFailed::TOPIC,
        events::PaymentVoided::TOPIC,
        events::PaymentRefunded::TOPIC,
    ],
    consumes: consumers::TOPICS,
    calls: &["psp"],
    problems: error::KINDS,
    migrations: all_migrations,
    build: |env| Box::pin(build(env)),
};

/// How often, at least, an instance looks for what another one left when it crashed.
const LOOK: Duration = Duration::from_secs(30);

fn all_migrations() -> Vec<Migration> {
    migrations![(1, "0001_payments"), (2, "0002_customers"), (3, "0003_credits"); postgresql]
}

async fn build(env: Env) -> Result<Service, BuildError> {
    let config = Live::new(env.config::<config::Config>()?);
    let reader = callback::Reader::new(&env, &config.get())?;
    let app = app::App::new(&env, config.clone()).await?;
    let (inquirer, purger) = (app.clone(), app.clone());
    let background = vec![
        Background::new("inquiry", LOOK, Some(app.bell.clone()), move || {
            let app = inquirer.clone();
            Box::pin(async move { app.inquire().await })
        }),
        Background::new("purge", Duration::from_secs(3600), None, move || {
            let app = purger.clone();
            Box::pin(async move { app.purge().await.map(|_| Progress::Idle) })
        }),
    ];
    let rungs = vec![
        config.switch(config::PSP_TIMEOUT, config::Config::stand_on),
        config.switch(config::LATE_CAPTURE, config::Config::stand_on),
        config.switch(config::DOUBLE_CHARGE, config::Config::stand_on_double_charge),
        config.switch(config::DUPLICATES_AND_REORDER, config::Config::stand_on_duplicates),
    ];
    let consumers = consumers::all(&env, &app)?;
    Ok(Service { router: http::router(app, reader), consumers, background, audit: audit::collections(&env.db()), rungs })
}
