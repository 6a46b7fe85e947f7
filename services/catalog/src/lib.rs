//! catalog-service: what is sold. Products are documents with revisions, categories a tree in SQL, images objects; what changes is
//! announced from the change feed alone.
//!
//! Reading order: [`domain`] (what a product is), [`store`] (the document store and what stands beside it), [`app`] (the use cases),
//! [`feed`] (the publisher), then the doors: [`http`], [`graphql`].

pub mod app;
pub mod audit;
pub mod config;
pub mod diff;
pub mod domain;
pub mod error;
pub mod feed;
pub mod graphql;
pub mod http;
pub mod image;
pub mod search;
pub mod store;
pub mod tasks;

use platform::{
    db::Migration,
    event::Event,
    migrations,
    service::{BuildError, Env, Live, Manifest, Service},
};

pub static MANIFEST: Manifest = Manifest {
    name: "catalog",
    summary: "The catalog: products with revisions, a tree of categories, images, search, GraphQL, and a change feed.",
    paths: &["/products", "/categories", "/graphql"],
    publishes: &[catalog_api::events::ProductUpdated::TOPIC],
    consumes: &[],
    calls: &[],
    problems: error::KINDS,
    migrations: all_migrations,
    build: |env| Box::pin(build(env)),
};

fn all_migrations() -> Vec<Migration> {
    migrations![
        (1, "0001_documents"), (2, "0002_taxonomy"), (3, "0003_products"), (4, "0004_feed"), (5, "0005_media"), (6, "0006_listed"); postgresql
    ]
}

async fn build(env: Env) -> Result<Service, BuildError> {
    let config = Live::new(env.config::<config::Config>()?);
    let app = app::App::new(&env, config.clone())?;
    app.documents.prepare().await?;
    Ok(Service {
        router: http::router(app.clone()),
        consumers: Vec::new(),
        background: tasks::all(&app, &env.tasks),
        audit: audit::collections(&env.db(), &app.documents),
        rungs: vec![config.switch(config::DRIFT, config::Config::stand_on)],
    })
}
