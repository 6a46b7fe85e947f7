//! The way of the tests to the engines: `CRASHCART_ENGINES` names the file that `cargo xtask engines up` has written. A test that finds no
//! engine fails and says how to start one; it never passes without having asked.
#![cfg(feature = "engines")]
#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test ends at what it does not expect")]

mod own;
pub mod proxy;
mod server;
pub mod tls;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use platform::{
    Chance, Clock, Settings,
    engine::Redis,
    fault::Faults,
    settings::{
        CassandraSettings, CouchdbSettings, DEFAULTS, EngineSettings, KafkaSettings, RedisSettings, RegistrySettings, S3Settings,
        environment,
    },
};

pub use self::{own::Own, server::Server};

const VARIABLE: &str = "CRASHCART_ENGINES";

/// The settings file of the engines that are up.
#[must_use]
pub fn file() -> PathBuf {
    let path = environment().find(|(name, _)| name == VARIABLE).map(|(_, value)| PathBuf::from(value));
    path.unwrap_or_else(|| {
        panic!(
            "{VARIABLE} is not set: these tests need the engines, which `make test-engines` starts (or `cargo xtask engines up`, then set it to the file that it names)"
        )
    })
}

/// The defaults with that file over them.
#[must_use]
pub fn settings() -> Settings {
    Settings::load(DEFAULTS, Some(&file()), std::iter::empty())
        .expect("the program takes the file that `cargo xtask engines up` has written")
}

fn engines() -> EngineSettings {
    settings().engines().expect("the section is sound")
}

/// Redis, with a prefix that nobody else has and patience for a busy machine.
#[must_use]
pub fn redis_settings() -> RedisSettings {
    let settings = engines().redis;
    assert!(settings.url.is_some(), "{} names no Redis: `cargo xtask engines up --only redis,minio`", file().display());
    RedisSettings { prefix: format!("{}:", unique("test")), timeout_ms: 5_000, ..settings }
}

#[must_use]
pub fn redis() -> Redis {
    Redis::new(&redis_settings()).expect("an address")
}

/// Where PostgreSQL is, with user and password.
#[must_use]
pub fn postgresql_url() -> String {
    let url = engines().postgresql.url;
    url.unwrap_or_else(|| panic!("{} names no PostgreSQL: `cargo xtask engines up --only postgresql`", file().display()))
        .expose()
        .to_owned()
}

/// Where MariaDB is, with user and password.
#[must_use]
pub fn mariadb_url() -> String {
    let url = engines().mariadb.url;
    url.unwrap_or_else(|| panic!("{} names no MariaDB: `cargo xtask engines up --only mariadb`", file().display())).expose().to_owned()
}

/// Where schemas are registered.
#[must_use]
pub fn registry_settings() -> RegistrySettings {
    let settings = engines().schema_registry;
    assert!(settings.url.is_some(), "{} names no schema registry: `cargo xtask engines up --only schema-registry`", file().display());
    settings
}

/// Kafka, with a prefix that nobody else has and patience for a busy machine.
#[must_use]
pub fn kafka_settings() -> KafkaSettings {
    let settings = engines().kafka;
    assert!(!settings.bootstrap_servers.is_empty(), "{} names no Kafka: `cargo xtask engines up --only kafka`", file().display());
    KafkaSettings { prefix: format!("{}.", unique("t")), timeout_ms: 30_000, ..settings }
}

/// The store of objects, with a bucket that nobody else has.
#[must_use]
pub fn s3_settings() -> S3Settings {
    let settings = engines().s3;
    assert!(!settings.endpoint.is_empty(), "{} names no S3: `cargo xtask engines up --only redis,minio`", file().display());
    S3Settings { bucket: unique("bucket"), try_timeout_ms: 20_000, timeout_ms: 30_000, ..settings }
}

/// The server that speaks CouchDB's protocol, with databases that nobody else has.
#[must_use]
pub fn couchdb_settings() -> CouchdbSettings {
    let settings = engines().couchdb;
    assert!(settings.url.is_some(), "{} names no CouchDB: `cargo xtask engines up --only couchdb`", file().display());
    CouchdbSettings { prefix: format!("{}-", unique("test")), timeout_ms: 20_000, ..settings }
}

/// The Cassandra cluster, with a prefix of keyspaces that nobody else has.
#[must_use]
pub fn cassandra_settings() -> CassandraSettings {
    let settings = engines().cassandra;
    assert!(!settings.contact_points.is_empty(), "{} names no Cassandra: `cargo xtask engines up --only cassandra`", file().display());
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nth = COUNT.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("t{}_{}_{nth}_", std::process::id(), Clock::real().now().micros() % 1_000_000_000_000);
    CassandraSettings { prefix, timeout_ms: 20_000, ..settings }
}

/// A name that nobody else has, in small letters and digits.
#[must_use]
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}-{}", std::process::id(), Clock::real().now().micros(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A clock that stands still until somebody sleeps by it, set to now.
#[must_use]
pub fn clock() -> Clock {
    Clock::by_hand(Clock::real().now())
}

#[must_use]
pub fn no_faults() -> Faults {
    Faults::new(Clock::real(), Chance::seeded(1))
}
