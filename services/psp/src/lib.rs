//! psp: a payment service provider, as the outside world has them: slow, silent, late, twice and out of order, each when it is asked
//! for. It has a store and a truth of its own, so that the shop's books can be held against it.
//!
//! Reading order: [`plan`] (what each token makes happen), [`domain`] (what an authorization may do), [`app`] (the use cases),
//! [`callbacks`], [`store`] (every query), then the door: [`http`]. Left out: everything about cards, customers and fees.

pub mod app;
pub mod audit;
pub mod callbacks;
pub mod config;
pub mod domain;
pub mod error;
pub mod http;
pub mod plan;
pub mod store;
pub mod waiting;

use std::time::Duration;

use platform::{
    db::Migration,
    migrations,
    service::{Background, BuildError, Env, Manifest, Progress, Service},
};

pub static MANIFEST: Manifest = Manifest {
    name: "psp",
    summary: "A mock payment service provider with a truth log of its own; what happens is decided by the token.",
    paths: &["/psp"],
    publishes: &[],
    consumes: &[],
    calls: &["payment"],
    problems: error::KINDS,
    migrations: all_migrations,
    build: |env| Box::pin(build(env)),
};

/// How often, at least, an instance looks for what another one left when it crashed.
const LOOK: Duration = Duration::from_secs(30);

fn all_migrations() -> Vec<Migration> {
    migrations![(1, "0001_psp")]
}

async fn build(env: Env) -> Result<Service, BuildError> {
    let config = env.config::<config::Config>()?;
    let app = app::App::new(&env, &config);
    let callbacks = callbacks::Callbacks::new(&env, &app, &config)?;
    let (sweeper, purger) = (app.clone(), app.clone());
    let background = vec![
        Background::new("outcomes", LOOK, Some(app.outcome_bell.clone()), move || {
            let app = sweeper.clone();
            Box::pin(async move { app.sweep().await })
        }),
        Background::new("callbacks", LOOK, Some(app.callback_bell.clone()), move || {
            let callbacks = callbacks.clone();
            Box::pin(async move { callbacks.step().await })
        }),
        Background::new("purge", Duration::from_secs(3600), None, move || {
            let app = purger.clone();
            Box::pin(async move { app.purge().await.map(|_| Progress::Idle) })
        }),
    ];
    Ok(Service { router: http::router(app), background, audit: audit::collections(&env.db()), ..Service::default() })
}
