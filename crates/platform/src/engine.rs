//! The real engines behind the ports: which are asked for, and whether they can be had. A port has its embedded floor in itself; what an
//! engine needs in common (a connection that comes back, an address, an authority to trust) stands here, so that a setting that cannot be
//! followed is one sentence before anything listens, and never an embedded store that silently takes the place of a shared one.
//!
//! Built with the feature `engines` only; without it this file refuses what only an engine can do.

#[cfg(feature = "engines")]
pub(crate) mod beside;
#[cfg(feature = "engines")]
pub mod cassandra;
#[cfg(feature = "engines")]
pub mod couchdb;
#[cfg(feature = "engines")]
mod redis;

use std::path::PathBuf;

#[cfg(feature = "engines")]
pub use self::redis::{Down, Redis};
#[cfg(feature = "engines")]
use crate::auth::Secret;
use crate::{
    blob::Blobs,
    bus::Bus,
    cache::{Cache, Limits},
    chance::Chance,
    clock::Clock,
    db::Dialect,
    fault::Faults,
    limiter::{Bucket, Limiter},
    schema::Registry,
    settings::{
        EngineSettings, Events, Goods, KafkaSettings, Objects, Papers, Reads, RegistrySettings, Schemas, Settings, SettingsError, Shelf,
        Tables,
    },
};

/// Why an engine cannot stand behind a store.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "`{setting}` is \"{engine}\", which this build cannot reach: build it with `cargo build --release --features engines`, \
         or set `{setting}` to \"{floor}\""
    )]
    NotBuilt { setting: &'static str, engine: &'static str, floor: &'static str },
    #[error("`{setting}` is \"{engine}\", but `{key}` is empty: say there how it is reached")]
    Unset { setting: &'static str, engine: &'static str, key: &'static str },
    #[error("`{key}` cannot be used: {reason}")]
    Refused { key: &'static str, reason: String },
    #[error("`{key}`: {path} cannot be read: {source}")]
    File { key: &'static str, path: PathBuf, source: std::io::Error },
}

/// The engines of one world, as far as its stores ask for them. Nothing is connected yet.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    #[cfg(feature = "engines")]
    redis: Option<Redis>,
    /// Whether the cache is in Redis.
    cache: bool,
    /// Whether buckets are.
    limiter: bool,
    s3: Option<Blobs>,
    schemas: Option<Registry>,
    bus: Option<Bus>,
    #[cfg(feature = "engines")]
    couchdb: Option<couchdb::Server>,
    #[cfg(feature = "engines")]
    cassandra: Option<cassandra::Server>,
}

impl Engines {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Those that `[stores]` asks for.
    ///
    /// # Errors
    /// [`EngineError`] for one that this build does not have, or whose address or files cannot be used.
    pub fn of(settings: &Settings, clock: Clock, faults: &Faults) -> Result<Self, EngineError> {
        let stores = settings.stores()?;
        // Read in any case: a mistake there is told whether it matters yet or not.
        let engines = settings.engines()?;
        let mut wanted = Self { cache: stores.cache == Shelf::Redis, limiter: stores.limiter == Shelf::Redis, ..Self::none() };
        let setting = if wanted.cache { "stores.cache" } else { "stores.limiter" };
        if wanted.cache || wanted.limiter {
            wanted.connect_redis(setting, &engines.redis)?;
        }
        if stores.blobs == Objects::S3 {
            wanted.s3 = Some(s3(&engines.s3, clock, faults)?);
        }
        for (setting, tables) in stores.sql.all() {
            if let Some(at) = At::of(tables) {
                at.address(setting, &engines)?;
            }
        }
        if stores.reads == Reads::Replica {
            let follows = |(_, tables): &(&str, Tables)| *tables == Tables::Mariadb;
            if !stores.sql.all().iter().any(follows) {
                let reason = "no service has its tables on MariaDB, so there is nothing to follow; set one of [stores.sql] to it, or this to \"primary\"";
                return Err(EngineError::Refused { key: "stores.reads", reason: reason.into() });
            }
            if engines.mariadb.replica_url.is_none() {
                return Err(EngineError::Unset { setting: "stores.reads", engine: "replica", key: "engines.mariadb.replica_url" });
            }
        }
        if stores.schemas == Schemas::Registry {
            wanted.schemas = Some(schemas(&engines.schema_registry)?);
        }
        if stores.bus == Events::Kafka {
            wanted.bus = Some(kafka(&engines.kafka, faults)?);
        }
        wanted.connect_couchdb(settings, clock)?;
        wanted.connect_cassandra(settings, clock)?;
        Ok(wanted)
    }

    /// Those that a simulated world has too, if `[stores]` asks for them. What its own floors stand for it keeps to itself.
    ///
    /// # Errors
    /// [`EngineError`], as [`Engines::of`].
    pub(crate) fn simulated(settings: &Settings, clock: Clock) -> Result<Self, EngineError> {
        let mut wanted = Self::none();
        wanted.connect_couchdb(settings, clock)?;
        wanted.connect_cassandra(settings, clock)?;
        Ok(wanted)
    }

    /// Whether what the settings ask for can be had, as far as that shows without asking an engine.
    ///
    /// # Errors
    /// [`EngineError`], as [`Engines::of`].
    pub fn check(settings: &Settings) -> Result<(), EngineError> {
        let clock = Clock::real();
        Self::of(settings, clock, &Faults::new(clock, Chance::seeded(0))).map(drop)
    }

    #[cfg(feature = "engines")]
    fn connect_redis(&mut self, setting: &'static str, settings: &crate::settings::RedisSettings) -> Result<(), EngineError> {
        if settings.url.is_none() {
            return Err(EngineError::Unset { setting, engine: "redis", key: "engines.redis.url" });
        }
        self.redis = Some(Redis::new(settings)?);
        Ok(())
    }

    #[cfg(not(feature = "engines"))]
    fn connect_redis(&mut self, setting: &'static str, _: &crate::settings::RedisSettings) -> Result<(), EngineError> {
        Err(EngineError::NotBuilt { setting, engine: "redis", floor: "memory" })
    }

    #[cfg(feature = "engines")]
    fn connect_couchdb(&mut self, settings: &Settings, clock: Clock) -> Result<(), EngineError> {
        if settings.stores()?.documents == Papers::Couchdb {
            self.couchdb = Some(couchdb::Server::new(&settings.engines()?.couchdb, clock)?);
        }
        Ok(())
    }

    #[cfg(not(feature = "engines"))]
    fn connect_couchdb(&mut self, settings: &Settings, _: Clock) -> Result<(), EngineError> {
        if settings.stores()?.documents == Papers::Couchdb {
            return Err(EngineError::NotBuilt { setting: "stores.documents", engine: "couchdb", floor: "sql" });
        }
        Ok(())
    }

    #[cfg(feature = "engines")]
    fn connect_cassandra(&mut self, settings: &Settings, clock: Clock) -> Result<(), EngineError> {
        if settings.stores()?.stock == Goods::Cassandra {
            self.cassandra = Some(cassandra::Server::new(&settings.engines()?.cassandra, clock)?);
        }
        Ok(())
    }

    #[cfg(not(feature = "engines"))]
    fn connect_cassandra(&mut self, settings: &Settings, _: Clock) -> Result<(), EngineError> {
        if settings.stores()?.stock == Goods::Cassandra {
            return Err(EngineError::NotBuilt { setting: "stores.stock", engine: "cassandra", floor: "sql" });
        }
        Ok(())
    }

    /// Where the stock is, if it is in Cassandra.
    #[cfg(feature = "engines")]
    pub(crate) fn cassandra(&self) -> Option<&cassandra::Server> {
        self.cassandra.as_ref()
    }

    /// Where documents are, if they are in CouchDB.
    #[cfg(feature = "engines")]
    pub(crate) fn couchdb(&self) -> Option<&couchdb::Server> {
        self.couchdb.as_ref()
    }

    /// The cache, in Redis or here.
    #[must_use]
    pub fn cache(&self, clock: Clock, limits: Limits) -> Cache {
        #[cfg(feature = "engines")]
        if let Some(redis) = self.redis.as_ref().filter(|_| self.cache) {
            return Cache::in_redis(clock, limits, redis.clone());
        }
        Cache::in_memory(clock, limits)
    }

    /// A limiter, in Redis or here; those of one name share their buckets where they are in Redis.
    #[must_use]
    pub fn limiter(&self, clock: Clock, name: &str, bucket: Bucket, keys_max: usize) -> Limiter {
        #[cfg(feature = "engines")]
        if let Some(redis) = self.redis.as_ref().filter(|_| self.limiter) {
            return Limiter::in_redis(clock, name, bucket, redis.clone());
        }
        let _ = name;
        Limiter::in_memory(clock, bucket, keys_max)
    }

    /// The objects, where they are in S3.
    pub(crate) fn blobs(&self) -> Option<&Blobs> {
        self.s3.as_ref()
    }

    /// The schemas, where they are in another's registry.
    pub(crate) fn schemas(&self) -> Option<&Registry> {
        self.schemas.as_ref()
    }

    /// The bus, where it is in Kafka.
    pub(crate) fn bus(&self) -> Option<&Bus> {
        self.bus.as_ref()
    }

    /// What each engine that is used says of itself: nothing, or why it cannot be reached. Each is given a second.
    pub(crate) async fn ailments(&self) -> Vec<(&'static str, Option<String>)> {
        let mut said = Vec::new();
        #[cfg(feature = "engines")]
        if let Some(redis) = &self.redis {
            said.push(("redis", redis.ping().await.err().map(|error| error.to_string())));
        }
        #[cfg(feature = "engines")]
        if let Some(couchdb) = &self.couchdb {
            let told = couchdb.check(std::time::Duration::from_secs(1)).await;
            said.push(("couchdb", told.err().map(|error| error.to_string())));
        }
        #[cfg(feature = "engines")]
        if let Some(cassandra) = &self.cassandra {
            let told = cassandra.check(std::time::Duration::from_secs(1)).await;
            said.push(("cassandra", told.err().map(|error| error.to_string())));
        }
        if let Some(blobs) = &self.s3 {
            let answer = Clock::real().timeout(std::time::Duration::from_secs(1), blobs.check()).await;
            let told = match answer {
                Ok(answer) => answer.err().map(|error| error.to_string()),
                Err(elapsed) => Some(elapsed.to_string()),
            };
            said.push(("s3", told));
        }
        said
    }
}

#[cfg(feature = "engines")]
fn s3(settings: &crate::settings::S3Settings, clock: Clock, faults: &Faults) -> Result<Blobs, EngineError> {
    Blobs::on_s3(settings, clock, faults.clone())
}

#[cfg(not(feature = "engines"))]
fn s3(_: &crate::settings::S3Settings, _: Clock, _: &Faults) -> Result<Blobs, EngineError> {
    Err(EngineError::NotBuilt { setting: "stores.blobs", engine: "s3", floor: "disk" })
}

#[cfg(feature = "engines")]
fn schemas(settings: &RegistrySettings) -> Result<Registry, EngineError> {
    Registry::elsewhere(settings)
}

#[cfg(not(feature = "engines"))]
fn schemas(_: &RegistrySettings) -> Result<Registry, EngineError> {
    Err(EngineError::NotBuilt { setting: "stores.schemas", engine: "registry", floor: "file" })
}

#[cfg(feature = "engines")]
fn kafka(settings: &KafkaSettings, faults: &Faults) -> Result<Bus, EngineError> {
    Bus::on_kafka(settings, faults.clone())
}

#[cfg(not(feature = "engines"))]
fn kafka(_: &KafkaSettings, _: &Faults) -> Result<Bus, EngineError> {
    Err(EngineError::NotBuilt { setting: "stores.bus", engine: "kafka", floor: "log" })
}

/// The server on which a service has its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Postgresql,
    Mariadb,
}

impl At {
    /// None: they are in a file.
    pub(crate) const fn of(tables: Tables) -> Option<Self> {
        match tables {
            Tables::Sqlite => None,
            Tables::Postgresql => Some(Self::Postgresql),
            Tables::Mariadb => Some(Self::Mariadb),
        }
    }

    pub(crate) const fn dialect(self) -> Dialect {
        match self {
            Self::Postgresql => Dialect::Postgresql,
            Self::Mariadb => Dialect::Mariadb,
        }
    }

    /// Where it is, with user and password.
    #[cfg(feature = "engines")]
    pub(crate) fn address(self, setting: &'static str, engines: &EngineSettings) -> Result<Secret, EngineError> {
        let (url, engine, key) = match self {
            Self::Postgresql => (&engines.postgresql.url, "postgresql", "engines.postgresql.url"),
            Self::Mariadb => (&engines.mariadb.url, "mariadb", "engines.mariadb.url"),
        };
        url.clone().ok_or(EngineError::Unset { setting, engine, key })
    }

    #[cfg(not(feature = "engines"))]
    pub(crate) const fn address(self, setting: &'static str, _: &EngineSettings) -> Result<std::convert::Infallible, EngineError> {
        let engine = match self {
            Self::Postgresql => "postgresql",
            Self::Mariadb => "mariadb",
        };
        Err(EngineError::NotBuilt { setting, engine, floor: "sqlite" })
    }
}

/// A PEM file that a setting names; none for an empty name.
#[cfg(feature = "engines")]
pub(crate) fn authority(key: &'static str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
    if path.is_empty() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|source| EngineError::File { key, path: path.into(), source })?;
    if !bytes.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") {
        return Err(EngineError::Refused { key, reason: "there is no certificate in PEM form in this file".into() });
    }
    Ok(Some(bytes))
}

#[cfg(all(test, not(feature = "engines")))]
mod tests {
    use super::*;
    use crate::settings::DEFAULTS;

    #[test]
    fn an_engine_that_was_not_built_in_is_refused_with_the_mend() {
        for (setting, engine) in [
            ("stores.cache", "redis"),
            ("stores.limiter", "redis"),
            ("stores.blobs", "s3"),
            ("stores.sql.customer", "postgresql"),
            ("stores.sql.order", "mariadb"),
            ("stores.schemas", "registry"),
            ("stores.documents", "couchdb"),
            ("stores.stock", "cassandra"),
        ] {
            let settings = Settings::load(DEFAULTS, None, std::iter::empty()).unwrap().with(setting, engine).unwrap();
            let refused = Engines::check(&settings).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("`{setting}` is \"{engine}\", which this build cannot reach")), "{refused}");
            assert!(refused.contains("--features engines"), "{refused}");
        }
    }
}
