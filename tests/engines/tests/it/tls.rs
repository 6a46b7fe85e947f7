//! TLS to each engine that speaks it: an authority that is named is trusted, one that nobody knows is not, and what was asked to be encrypted is.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use engine_tests::{
    Server, cassandra_settings, couchdb_settings, file, kafka_settings, mariadb_url, no_faults, postgresql_url, registry_settings,
    s3_settings,
    tls::{self, Front},
    unique,
};
use platform::{
    Chance, Clock,
    auth::Secret,
    blob::Blobs,
    bus::{Bus, BusError, Outgoing, TopicSettings},
    db::{Db, DbError, Options, Tx},
    engine::{
        Redis,
        cassandra::{self, CassandraError},
        couchdb,
    },
    schema::{Codec, Registry},
    settings::{CassandraSettings, CouchdbSettings, KafkaSettings, RedisSettings, RegistrySettings, S3Settings},
    with_causes,
};

use crate::schemas::first::Told;

fn authority() -> String {
    tls::files().ca.display().to_string()
}

/// As whoever is refused is told it, by whichever library.
fn is_about_trust(told: &str) -> bool {
    ["certificate", "Issuer"].iter().any(|word| told.contains(word))
}

#[tokio::test]
async fn redis_behind_tls_is_reached_with_its_authority_and_not_without() {
    let server = Server::start_tls().await;
    let settings = server.settings(5_000);
    Redis::new(&settings).unwrap().ping().await.unwrap();
    let unknown = Redis::new(&RedisSettings { ca_file: String::new(), ..settings.clone() }).unwrap();
    let refused = unknown.ping().await.unwrap_err().to_string();
    assert!(is_about_trust(&refused), "{refused}");
    let missing = Redis::new(&RedisSettings { ca_file: "/nowhere/ca.pem".into(), ..settings.clone() }).unwrap_err().to_string();
    assert!(missing.starts_with("`engines.redis.ca_file`: /nowhere/ca.pem cannot be read"), "{missing}");
    let plain = RedisSettings { url: Some(Secret::new("redis://localhost").unwrap()), ..settings };
    assert!(Redis::new(&plain).unwrap_err().to_string().contains("is for TLS"));
}

type Open = fn(&'static str, &Options, Chance, platform::fault::Faults) -> Result<Db, DbError>;

/// Asks a server over an address, once, for one text.
async fn asked(open: Open, url: &str, query: &'static str) -> Result<String, String> {
    let mut options = Options::new(Secret::new(url).unwrap());
    options.schema = Some("test_tls".to_owned());
    // Who is not trusted is refused, and not waited for.
    options.patience = Duration::from_secs(5);
    let db = open("test", &options, Chance::seeded(1), no_faults()).map_err(|error| with_causes(&error))?;
    let answer: Result<String, DbError> = async {
        db.migrate(&[]).await?;
        db.read(async |tx: &mut Tx<'_>| tx.fetch_one(query, vec![]).await).await
    }
    .await;
    answer.map_err(|error| with_causes(&error))
}

/// The address with other options behind it.
fn with(url: &str, options: &str) -> String {
    format!("{}?{options}", url.split('?').next().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_behind_tls_is_reached_with_its_authority_and_not_without() {
    let query = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    let trusting = with(&postgresql_url(), &format!("sslmode=verify-full&sslrootcert={}", authority()));
    let version = asked(Db::postgresql, &trusting, query).await.unwrap();
    assert!(version.starts_with("TLSv1."), "{version}");
    let refused = asked(Db::postgresql, &with(&postgresql_url(), "sslmode=verify-full"), query).await.unwrap_err();
    assert!(is_about_trust(&refused), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_behind_tls_is_reached_with_its_authority_and_not_without() {
    let query = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_version'";
    let trusting = with(&mariadb_url(), &format!("ssl-mode=VERIFY_IDENTITY&ssl-ca={}", authority()));
    let version = asked(Db::mariadb, &trusting, query).await.unwrap();
    assert!(version.starts_with("TLSv1."), "{version}");
    let refused = asked(Db::mariadb, &with(&mariadb_url(), "ssl-mode=VERIFY_IDENTITY"), query).await.unwrap_err();
    assert!(is_about_trust(&refused), "{refused}");
}

#[tokio::test]
async fn objects_behind_tls_are_reached_with_their_authority_and_not_without() {
    let settings = s3_settings();
    let front = Front::before(&settings.endpoint).await;
    let settings = S3Settings { endpoint: front.url().to_owned(), ca_file: authority(), ..settings };
    let blobs = |settings: &S3Settings| Blobs::on_s3(settings, Clock::real(), no_faults()).unwrap();
    let trusting = blobs(&settings);
    trusting.prepare().await.unwrap();
    trusting.put("a", Bytes::from_static(b"hello"), "text/plain").await.unwrap();
    assert_eq!(trusting.get("a").await.unwrap().bytes, Bytes::from_static(b"hello"));
    let unknown = S3Settings { ca_file: String::new(), timeout_ms: 2_000, ..settings };
    let refused = with_causes(&blobs(&unknown).get("a").await.unwrap_err());
    assert!(is_about_trust(&refused), "{refused}");
}

#[tokio::test]
async fn schemas_behind_tls_are_reached_with_their_authority_and_not_without() {
    let front = Front::before(registry_settings().url.unwrap().expose()).await;
    let url = Some(Secret::new(front.url()).unwrap());
    let settings = RegistrySettings { url, ca_file: authority(), ..registry_settings() };
    let registered = async |settings: &RegistrySettings| {
        let registry = Registry::elsewhere(settings).unwrap();
        let codec = Codec::<Told>::register(&registry, &format!("{}-value", unique("engines.tls"))).unwrap();
        registry.confirm().await.map(|()| assert!(codec.id().is_some()))
    };
    registered(&settings).await.unwrap();
    let refused = registered(&RegistrySettings { ca_file: String::new(), retries: 1, ..settings }).await.unwrap_err();
    assert!(is_about_trust(&with_causes(&refused)), "{}", with_causes(&refused));
}

#[tokio::test]
async fn documents_behind_tls_are_reached_with_their_authority_and_not_without() {
    let front = Front::before(couchdb_settings().url.unwrap().expose()).await;
    let url = Some(Secret::new(front.url()).unwrap());
    let settings = CouchdbSettings { url, ca_file: authority(), ..couchdb_settings() };
    let database =
        |settings: &CouchdbSettings| couchdb::Server::new(settings, Clock::real()).unwrap().database("tls", Chance::seeded(1), no_faults());
    let trusting = database(&settings);
    trusting.prepare().await.unwrap();
    assert!(trusting.get("nobody").await.unwrap().is_none());
    trusting.drop_it().await.unwrap();
    let unknown = database(&CouchdbSettings { ca_file: String::new(), retries: 1, timeout_ms: 2_000, ..settings });
    let refused = with_causes(&unknown.get("nobody").await.unwrap_err());
    assert!(is_about_trust(&refused), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_behind_tls_is_reached_with_its_authority_and_not_with_another() {
    let listener = file().with_file_name("kafka").join("tls-address");
    let bootstrap_servers = std::fs::read_to_string(&listener).unwrap_or_else(|error| panic!("{}: {error}", listener.display()));
    let settings = KafkaSettings { bootstrap_servers, ca_file: authority(), ..kafka_settings() };
    let bus = |settings: &KafkaSettings| Bus::on_kafka(settings, no_faults()).unwrap();
    let trusting = bus(&settings);
    trusting.check().unwrap();
    trusting.create_topic("t", TopicSettings::default()).await.unwrap();
    let event = Outgoing { topic: "t".into(), key: "k".into(), value: Bytes::from_static(b"hello"), headers: vec![] };
    let (partition, offset) = trusting.publish(vec![event]).await.unwrap()[0];
    assert_eq!(trusting.read("t", partition, offset, 1).await.unwrap()[0].value, Bytes::from_static(b"hello"));
    // Whoever speaks plainly to it is not let in.
    let plain = KafkaSettings { ca_file: String::new(), timeout_ms: 2_000, ..settings.clone() };
    assert!(matches!(bus(&plain).check(), Err(BusError::Unavailable(_))));
    // An authority that did not sign what the broker shows.
    let folder = tempfile::tempdir().unwrap();
    let another = folder.path().join("another.pem").display().to_string();
    tls::make_authority(folder.path(), "another.pem");
    let stranger = bus(&KafkaSettings { ca_file: another, timeout_ms: 2_000, ..settings });
    // Readiness asks again and again, and with one of its answers it has heard why.
    let began = Clock::real().now();
    loop {
        let refused = stranger.check().unwrap_err().to_string();
        if is_about_trust(&refused) {
            break;
        }
        assert!(Clock::real().now().since(began) < Duration::from_secs(30), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_behind_tls_is_reached_with_its_authority_and_not_without() {
    let settings = cassandra_settings();
    let front = Front::before(&format!("http://{}", settings.contact_points)).await;
    let contact_points = front.url().trim_start_matches("https://").to_owned();
    let settings = CassandraSettings { contact_points, ca_file: authority(), ..settings };
    let keyspace = |settings: &CassandraSettings| {
        cassandra::Server::new(settings, Clock::real()).unwrap().keyspace("tls", Chance::seeded(1), no_faults())
    };
    let trusting = keyspace(&settings);
    trusting.prepare(vec![]).await.unwrap();
    let key: Option<String> = trusting.fetch_optional("SELECT key FROM system.local", vec![]).await.unwrap();
    assert_eq!(key.as_deref(), Some("local"));
    // Without the authority it speaks plainly, to a server that does not.
    let plain = keyspace(&CassandraSettings { ca_file: String::new(), timeout_ms: 2_000, ..settings.clone() });
    assert!(matches!(plain.prepare(vec![]).await, Err(CassandraError::Away { .. })));
    let folder = tempfile::tempdir().unwrap();
    let another = folder.path().join("another.pem").display().to_string();
    tls::make_authority(folder.path(), "another.pem");
    let refused = keyspace(&CassandraSettings { ca_file: another, timeout_ms: 5_000, ..settings }).prepare(vec![]).await.unwrap_err();
    assert!(is_about_trust(&with_causes(&refused)), "{}", with_causes(&refused));
}

#[test]
fn an_authority_that_cannot_be_read_is_told_with_its_setting() {
    let nowhere = || String::from("/nowhere/ca.pem");
    assert!(!Path::new(&nowhere()).exists());
    let told = [
        Registry::elsewhere(&RegistrySettings { ca_file: nowhere(), ..registry_settings() }).unwrap_err().to_string(),
        couchdb::Server::new(&CouchdbSettings { ca_file: nowhere(), ..couchdb_settings() }, Clock::real()).unwrap_err().to_string(),
        Blobs::on_s3(&S3Settings { ca_file: nowhere(), ..s3_settings() }, Clock::real(), no_faults()).unwrap_err().to_string(),
        Bus::on_kafka(&KafkaSettings { ca_file: nowhere(), ..kafka_settings() }, no_faults()).unwrap_err().to_string(),
        cassandra::Server::new(&CassandraSettings { ca_file: nowhere(), ..cassandra_settings() }, Clock::real()).unwrap_err().to_string(),
    ];
    for (told, engine) in told.iter().zip(["schema_registry", "couchdb", "s3", "kafka", "cassandra"]) {
        assert!(told.starts_with(&format!("`engines.{engine}.ca_file`: /nowhere/ca.pem cannot be read")), "{told}");
    }
}
