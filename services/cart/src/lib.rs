//! cart-service: what somebody means to buy, at prices that pricing has quoted, until it is checked out or forgotten.
//!
//! Reading order: [`domain`] (what a cart may do), [`app`] (its changes), [`quoting`] (what pricing says of them), [`checkout`] (its end, the
//! good one) and [`expiry`] (the other), [`store`] (every query), [`snapshot`] (the cache), [`turns`]; then the doors: [`http`],
//! [`consumers`].

pub mod app;
pub mod audit;
pub mod checkout;
pub mod config;
pub mod consumers;
pub mod domain;
pub mod error;
pub mod expiry;
pub mod http;
pub mod quoting;
pub mod snapshot;
pub mod store;
pub mod turns;

use platform::{
    db::Migration,
    event::Event,
    migrations,
    service::{BuildError, Env, Live, Manifest, Service},
};

pub static MANIFEST: Manifest = Manifest {
    name: "cart",
    summary: "Carts: priced by pricing at every change, closed once by a checkout or by time.",
    paths: &["/carts"],
    publishes: &[cart_api::events::CartItemAdded::TOPIC, cart_api::events::CartCheckedOut::TOPIC],
    consumes: consumers::TOPICS,
    calls: &["pricing", "order"],
    problems: error::KINDS,
    migrations: all_migrations,
    build: |env| Box::pin(build(env)),
};

fn all_migrations() -> Vec<Migration> {
    migrations![(1, "0001_carts"), (2, "0002_erasures"); mariadb]
}

async fn build(env: Env) -> Result<Service, BuildError> {
    let config = Live::new(env.config::<config::Config>()?);
    let app = app::App::new(&env, config.clone())?;
    Ok(Service {
        router: http::router(app.clone()),
        consumers: consumers::all(&env)?,
        background: expiry::all(&app),
        audit: audit::collections(&env.db()),
        rungs: vec![config.switch(config::STALE_PRICE, config::Config::stand_on)],
    })
}
