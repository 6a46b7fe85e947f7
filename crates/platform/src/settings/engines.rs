//! Which engine stands behind which store, and how each is reached: the sections `[stores]` and `[engines]`. They are two because a file
//! that names engines (`cargo xtask engines up` writes one with all of them) says what there is, and not what the services are to use: that
//! is a choice of its own for each store, and without one everything is embedded.
//!
//! What opens an engine (a password, a URL that may hold one) is a [`Secret`], so no `Debug` shows it.

use serde::{Deserialize, Deserializer};

use super::{Section, Settings, SettingsError};
use crate::auth::Secret;

/// Where what is forgotten is kept: the cache, and the buckets of the limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shelf {
    /// In this process.
    Memory,
    /// In Redis (`[engines.redis]`), for several processes together.
    Redis,
}

/// Where objects are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objects {
    /// In the data folder.
    Disk,
    /// In a store that speaks S3 (`[engines.s3]`).
    S3,
}

/// Where a service keeps its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tables {
    /// In a file of its own.
    Sqlite,
    /// In a schema of its own (`[engines.postgresql]`), if the service is written for it.
    Postgresql,
    /// In a database of its own (`[engines.mariadb]`), if the service is written for it.
    Mariadb,
}

/// The section `[stores.sql]`: where each service keeps its tables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlSettings {
    pub customer: Tables,
    pub catalog: Tables,
    pub pricing: Tables,
    pub payment: Tables,
    pub cart: Tables,
    pub order: Tables,
}

impl SqlSettings {
    /// What is chosen where.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, Tables); 6] {
        [
            ("stores.sql.customer", self.customer),
            ("stores.sql.catalog", self.catalog),
            ("stores.sql.pricing", self.pricing),
            ("stores.sql.payment", self.payment),
            ("stores.sql.cart", self.cart),
            ("stores.sql.order", self.order),
        ]
    }

    /// The setting of this service and what it says; a service without one has a file.
    #[must_use]
    pub fn of(&self, service: &str) -> (&'static str, Tables) {
        let its_own = self.all().into_iter().find(|(setting, _)| setting.rsplit('.').next() == Some(service));
        its_own.unwrap_or(("stores.sql", Tables::Sqlite))
    }
}

/// Where the schemas of events are registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schemas {
    /// In a file of the data folder.
    File,
    /// In a registry that speaks Confluent's API (`[engines.schema_registry]`).
    Registry,
}

/// Where events are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Events {
    /// In a log in the data folder, for this process alone.
    Log,
    /// In Kafka (`[engines.kafka]`), for several processes together.
    Kafka,
}

/// Who answers a request that is only shown something, where tables are on MariaDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// The server that takes the changes.
    Primary,
    /// One that follows it (`engines.mariadb.replica_url`), if the request says how far it must have come.
    Replica,
}

/// Where documents are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Papers {
    /// In the service's own tables, wherever those are.
    Sql,
    /// In a server that speaks CouchDB's protocol (`[engines.couchdb]`).
    Couchdb,
}

/// Where stock is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goods {
    /// In the service's own tables.
    Sql,
    /// In a keyspace of Cassandra's (`[engines.cassandra]`).
    Cassandra,
}

/// The section `[stores]`: what stands behind each port.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    pub cache: Shelf,
    pub limiter: Shelf,
    pub blobs: Objects,
    pub sql: SqlSettings,
    pub reads: Reads,
    pub schemas: Schemas,
    pub bus: Events,
    pub documents: Papers,
    pub stock: Goods,
}

/// The section `[engines]`: how each is reached. One without an address is not there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    pub redis: RedisSettings,
    pub s3: S3Settings,
    pub postgresql: PostgresqlSettings,
    pub mariadb: MariadbSettings,
    pub kafka: KafkaSettings,
    pub schema_registry: RegistrySettings,
    pub cassandra: CassandraSettings,
    pub couchdb: CouchdbSettings,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// `redis://` or, with TLS, `rediss://`; with user and password where it wants them.
    #[serde(deserialize_with = "filled")]
    pub url: Option<Secret>,
    /// A PEM file with the authority to trust instead of the usual ones.
    pub ca_file: String,
    /// An answer that takes longer is none.
    pub timeout_ms: u64,
    /// In front of every key.
    pub prefix: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// `https://host` or `http://host:port`.
    pub endpoint: String,
    /// The same store as clients reach it, for the URLs that they are given; `endpoint` when empty.
    pub public_endpoint: String,
    pub region: String,
    pub bucket: String,
    #[serde(deserialize_with = "filled")]
    pub access_key: Option<Secret>,
    #[serde(deserialize_with = "filled")]
    pub secret_key: Option<Secret>,
    /// A PEM file with an authority to trust beside the usual ones.
    pub ca_file: String,
    /// One try that takes longer has failed.
    pub try_timeout_ms: u64,
    /// How often what failed is tried again, after a pause that grows.
    pub retries: usize,
    /// What takes longer than this with all its tries is given up.
    pub timeout_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresqlSettings {
    #[serde(deserialize_with = "filled")]
    pub url: Option<Secret>,
    /// The most connections of one service.
    pub connections: u32,
    /// The longest wait for a connection, and as much again for a transaction.
    pub timeout_ms: u64,
    /// In front of the name of each service's schema.
    pub schema_prefix: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrySettings {
    /// `http://` or `https://`, with user and password where it wants them, and the path where Confluent's API begins.
    #[serde(deserialize_with = "filled")]
    pub url: Option<Secret>,
    /// A PEM file with an authority to trust beside the usual ones.
    pub ca_file: String,
    /// One try that takes longer has failed.
    pub timeout_ms: u64,
    /// How often what failed is tried again, after a pause that grows.
    pub retries: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MariadbSettings {
    #[serde(deserialize_with = "filled")]
    pub url: Option<Secret>,
    /// The most connections of one service.
    pub connections: u32,
    /// The longest wait for a connection, and as much again for a transaction.
    pub timeout_ms: u64,
    /// In front of the name of each service's database.
    pub schema_prefix: String,
    #[serde(deserialize_with = "filled")]
    pub replica_url: Option<Secret>,
    /// How long a read waits for the replica; then the primary is asked.
    pub replica_wait_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// `host:port,host:port`: any of the brokers.
    pub bootstrap_servers: String,
    /// A PEM file with the authority to trust; TLS is spoken when there is one.
    pub ca_file: String,
    /// An answer, or an event on its way, that takes longer is none.
    pub timeout_ms: u64,
    /// In front of the name of every topic and group.
    pub prefix: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CassandraSettings {
    /// `host:port,host:port`: any of the nodes.
    pub contact_points: String,
    /// The data centre whose nodes are asked first, and which keeps the copies; whichever there is when empty.
    pub local_datacenter: String,
    /// Whom the cluster knows us as; nobody when empty.
    pub user: String,
    #[serde(deserialize_with = "filled")]
    pub password: Option<Secret>,
    /// A PEM file with the authority to trust; TLS is spoken when there is one.
    pub ca_file: String,
    /// An answer that takes longer is none.
    pub timeout_ms: u64,
    /// On how many nodes each row is, in a keyspace that is made.
    pub replication: u32,
    /// In front of the name of each service's keyspace.
    pub prefix: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CouchdbSettings {
    /// `http://` or `https://`, with the path where the API begins if that is not the root.
    #[serde(deserialize_with = "filled")]
    pub url: Option<Secret>,
    /// Whom the server knows us as; nobody when empty, unless the URL says.
    pub user: String,
    #[serde(deserialize_with = "filled")]
    pub password: Option<Secret>,
    /// A PEM file with an authority to trust beside the usual ones.
    pub ca_file: String,
    /// One try that takes longer has failed.
    pub timeout_ms: u64,
    /// How often what failed is tried again, after a pause that grows.
    pub retries: u32,
    /// In front of the name of each service's database.
    pub prefix: String,
}

impl Section for StoreSettings {
    fn validate(&self) -> Result<(), String> {
        if self.bus == Events::Kafka && self.schemas == Schemas::File {
            // A record names its schema by a number, which means another schema to whoever has a file of his own.
            return Err(
                "with `bus` = \"kafka\" `schemas` must be \"registry\": who reads an event has to find the schema it was written with"
                    .into(),
            );
        }
        Ok(())
    }
}

impl Section for EngineSettings {
    fn validate(&self) -> Result<(), String> {
        let url = |name: &str, value: &str, schemes: [&str; 2]| {
            let sound = value.is_empty() || schemes.iter().any(|scheme| value.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
            // The value stays out of it: it may hold a password.
            if sound { Ok(()) } else { Err(format!("`{name}` must begin with {} or {}, with a host behind it", schemes[0], schemes[1])) }
        };
        let exposed = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
        url("redis.url", &exposed(&self.redis.url), ["redis://", "rediss://"])?;
        url("s3.endpoint", &self.s3.endpoint, ["https://", "http://"])?;
        url("s3.public_endpoint", &self.s3.public_endpoint, ["https://", "http://"])?;
        url("postgresql.url", &exposed(&self.postgresql.url), ["postgresql://", "postgres://"])?;
        url("mariadb.url", &exposed(&self.mariadb.url), ["mysql://", "mariadb://"])?;
        url("schema_registry.url", &exposed(&self.schema_registry.url), ["https://", "http://"])?;
        url("couchdb.url", &exposed(&self.couchdb.url), ["https://", "http://"])?;
        for (name, value) in [
            ("redis.timeout_ms", self.redis.timeout_ms),
            ("s3.try_timeout_ms", self.s3.try_timeout_ms),
            ("s3.timeout_ms", self.s3.timeout_ms),
            ("postgresql.timeout_ms", self.postgresql.timeout_ms),
            ("mariadb.timeout_ms", self.mariadb.timeout_ms),
            ("schema_registry.timeout_ms", self.schema_registry.timeout_ms),
            ("kafka.timeout_ms", self.kafka.timeout_ms),
            ("couchdb.timeout_ms", self.couchdb.timeout_ms),
            ("cassandra.timeout_ms", self.cassandra.timeout_ms),
        ] {
            if !(1..=60_000).contains(&value) {
                return Err(format!("`{name}` must be from 1 to 60000"));
            }
        }
        for (name, value) in [("postgresql.connections", self.postgresql.connections), ("mariadb.connections", self.mariadb.connections)] {
            if !(1..=1_000).contains(&value) {
                return Err(format!("`{name}` must be from 1 to 1000"));
            }
        }
        for (name, value) in [
            ("s3.retries", self.s3.retries),
            ("schema_registry.retries", self.schema_registry.retries as usize),
            ("couchdb.retries", self.couchdb.retries as usize),
        ] {
            if value > 10 {
                return Err(format!("`{name}` must be from 0 to 10"));
            }
        }
        let prefix = &self.kafka.prefix;
        if prefix.len() > 50 || !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return Err("`kafka.prefix` must be at most 50 of the characters a-z A-Z 0-9 . _ -".into());
        }
        if self.couchdb.user.is_empty() != self.couchdb.password.is_none() {
            return Err("`couchdb.user` and `couchdb.password` belong together: one of them is empty".into());
        }
        if self.cassandra.user.is_empty() != self.cassandra.password.is_none() {
            return Err("`cassandra.user` and `cassandra.password` belong together: one of them is empty".into());
        }
        if !(1..=9).contains(&self.cassandra.replication) {
            return Err("`cassandra.replication` must be from 1 to 9".into());
        }
        // What Cassandra takes as a keyspace's name, which ends at 48 letters.
        let prefix = &self.cassandra.prefix;
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if prefix.len() > 36 || !prefix.bytes().all(legal) || prefix.starts_with(|first: char| !first.is_ascii_lowercase()) {
            return Err("`cassandra.prefix` must be at most 36 of the characters a-z 0-9 _ and begin with a letter".into());
        }
        let datacenter = &self.cassandra.local_datacenter;
        if !datacenter.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return Err("`cassandra.local_datacenter` must be of the characters a-z A-Z 0-9 . _ -".into());
        }
        // What CouchDB takes as a database's name.
        let prefix = &self.couchdb.prefix;
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if prefix.len() > 100 || !prefix.bytes().all(legal) || prefix.starts_with(|first: char| !first.is_ascii_lowercase()) {
            return Err("`couchdb.prefix` must be at most 100 of the characters a-z 0-9 _ - and begin with a letter".into());
        }
        // The letters that a name of a bucket may have, so that it can stand in a path as it is.
        let letters = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
        if !(3..=63).contains(&self.s3.bucket.len()) || !letters(&self.s3.bucket) || self.s3.bucket.starts_with(['-', '.']) {
            return Err("`s3.bucket` must be 3 to 63 small letters, digits, `-` and `.`, and begin with a letter or a digit".into());
        }
        Ok(())
    }
}

impl Settings {
    /// Which engine stands behind which store.
    pub fn stores(&self) -> Result<StoreSettings, SettingsError> {
        self.checked("stores")
    }

    /// How the engines are reached.
    pub fn engines(&self) -> Result<EngineSettings, SettingsError> {
        self.checked("engines")
    }
}

/// An empty text is none.
fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Secret::new(String::deserialize(deserializer)?).ok())
}

#[cfg(test)]
mod tests {
    use super::{super::DEFAULTS, *};

    fn settings(changes: &[(&str, &str)]) -> Settings {
        let defaults = Settings::load(DEFAULTS, None, std::iter::empty()).unwrap();
        changes.iter().fold(defaults, |settings, (path, value)| settings.with(path, *value).unwrap())
    }

    #[test]
    fn without_a_choice_everything_is_embedded() {
        let stores = settings(&[]).stores().unwrap();
        assert_eq!((stores.cache, stores.limiter, stores.blobs), (Shelf::Memory, Shelf::Memory, Objects::Disk));
        assert!(stores.sql.all().iter().all(|(_, tables)| *tables == Tables::Sqlite));
        assert_eq!((stores.schemas, stores.bus, stores.documents), (Schemas::File, Events::Log, Papers::Sql));
        assert_eq!(stores.stock, Goods::Sql);
        assert!(settings(&[]).engines().unwrap().redis.url.is_none());
    }

    #[test]
    fn each_service_has_its_tables_where_its_own_setting_says() {
        let sql = settings(&[("stores.sql.cart", "mariadb"), ("stores.sql.pricing", "postgresql")]).stores().unwrap().sql;
        assert_eq!(sql.of("cart"), ("stores.sql.cart", Tables::Mariadb));
        assert_eq!(sql.of("pricing"), ("stores.sql.pricing", Tables::Postgresql));
        assert_eq!(sql.of("order"), ("stores.sql.order", Tables::Sqlite));
        assert_eq!(sql.of("psp").1, Tables::Sqlite);
    }

    #[test]
    fn events_that_others_read_need_schemas_that_others_find() {
        let refused = settings(&[("stores.bus", "kafka")]).stores().unwrap_err().to_string();
        assert!(refused.contains("`schemas` must be \"registry\""), "{refused}");
        assert_eq!(settings(&[("stores.bus", "kafka"), ("stores.schemas", "registry")]).stores().unwrap().bus, Events::Kafka);
    }

    #[test]
    fn what_opens_an_engine_is_in_no_print() {
        let settings = settings(&[
            ("engines.redis.url", "redis://default:sesame@127.0.0.1:6379/0"),
            ("engines.s3.access_key", "sesame"),
            ("engines.s3.secret_key", "sesame"),
            ("engines.postgresql.url", "postgresql://crashcart:sesame@127.0.0.1/crashcart"),
            ("engines.mariadb.url", "mysql://crashcart:sesame@127.0.0.1/crashcart"),
            ("engines.schema_registry.url", "http://crashcart:sesame@127.0.0.1:8081"),
            ("engines.couchdb.url", "http://crashcart:sesame@127.0.0.1:5984"),
            ("engines.couchdb.user", "crashcart"),
            ("engines.couchdb.password", "sesame"),
            ("engines.cassandra.user", "crashcart"),
            ("engines.cassandra.password", "sesame"),
        ]);
        let engines = settings.engines().unwrap();
        assert_eq!(engines.s3.secret_key.as_ref().unwrap().expose(), "sesame");
        for shown in [format!("{engines:?}"), settings.printable(), settings.shown_section("engines").unwrap().to_string()] {
            assert!(!shown.contains("sesame"), "{shown}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_one_is_named_without_its_password() {
        for (path, value) in [
            ("engines.redis.url", "http://:sesame@x"),
            ("engines.s3.endpoint", "s3.example.com"),
            ("engines.postgresql.url", "mysql://x"),
            ("engines.mariadb.url", "postgresql://:sesame@x"),
            ("engines.schema_registry.url", "confluent://:sesame@x"),
            ("engines.s3.bucket", "My Bucket"),
            ("engines.couchdb.url", "couchdb://:sesame@x"),
        ] {
            let refused = settings(&[(path, value)]).engines().unwrap_err().to_string();
            assert!(refused.contains(&format!("`{path}` is refused")) && !refused.contains("sesame"), "{refused}");
        }
    }

    #[test]
    fn what_cassandra_does_not_take_is_refused_by_the_name_of_the_key() {
        for (path, value) in [("user", "crashcart"), ("prefix", "Shop_"), ("prefix", "1_"), ("prefix", "a-"), ("local_datacenter", "a'b")] {
            let refused = settings(&[(&format!("engines.cassandra.{path}"), value)]).engines().unwrap_err().to_string();
            assert!(refused.contains(&format!("cassandra.{path}")), "{path}: {refused}");
        }
        for path in ["replication", "timeout_ms"] {
            let refused = settings(&[]).with(&format!("engines.cassandra.{path}"), 0).unwrap().engines().unwrap_err().to_string();
            assert!(refused.contains(&format!("cassandra.{path}")), "{path}: {refused}");
        }
    }

    #[test]
    fn a_user_without_a_password_and_a_name_that_couchdb_does_not_take_are_refused() {
        let half = settings(&[("engines.couchdb.user", "crashcart")]).engines().unwrap_err().to_string();
        assert!(half.contains("belong together"), "{half}");
        for prefix in ["Shop-", "1-", "_x", "a b"] {
            let refused = settings(&[("engines.couchdb.prefix", prefix)]).engines().unwrap_err().to_string();
            assert!(refused.contains("begin with a letter"), "{prefix}: {refused}");
        }
    }
}
