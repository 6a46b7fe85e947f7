//! An engine without room: whoever wants to store something is told so and told to come again, the readiness says which engine it is, what is
//! stored can be read, and with room again it goes on by itself. On small file systems, which only root may mount; elsewhere these tests say
//! that they did not run.

use std::{collections::BTreeSet, fmt::Debug, path::Path, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::Path as At,
    http::{Method, Request, StatusCode, header::RETRY_AFTER},
    routing::{get, post},
};
use bytes::Bytes;
use engine_tests::{Own, Server, no_faults};
use futures::future::BoxFuture;
use platform::{
    Chance, Clock, Settings,
    blob::{BlobError, Blobs},
    bus::{Bus, BusError, Outgoing, TopicSettings},
    cache::{Cache, Limits},
    db::{DbError, Migration, Tx},
    engine::{Redis, cassandra, couchdb},
    problem::Problem,
    service::{BuildError, Env, Manifest, Service},
    settings::{CassandraSettings, CouchdbSettings, KafkaSettings, S3Settings},
    telemetry::traces::Traces,
    testing::disk::SmallDisk,
    values,
    world::World,
};
use serde_json::Value as Json;
use tempfile::TempDir;

/// Longer than anything takes that has to come, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(90);
/// How large a note is.
const NOTE_BYTES: usize = 100_000;
/// And in a table: more than what its file has in reserve.
const ROW_BYTES: usize = 3_000_000;

/// An engine of a test's own on a small disk.
struct Small {
    own: Own,
    disk: SmallDisk,
    _folder: TempDir,
}

impl Small {
    /// Nothing, and a word about it, when this user may not mount one.
    fn start(engine: &'static str, megabytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let Some(disk) = SmallDisk::mount(folder.path(), megabytes) else {
            eprintln!("not root: a small file system cannot be mounted, so a full {engine} is not shown here");
            return None;
        };
        Some(Self { own: Own::start(engine, disk.path()), disk, _folder: folder })
    }

    /// Keeps things until there is no room, and then again; whatever was acknowledged is there. `keep` hands on no other errors than those
    /// of an engine that cannot answer now. One that ends when its disk is full is started again, as whoever has made room does.
    async fn fills_and_goes_on<E: Debug>(&self, ends: bool, keep: impl AsyncFn(u32) -> Result<(), E>, is_kept: impl AsyncFn(u32) -> bool) {
        keep(0).await.unwrap();
        self.disk.fill().unwrap();
        let (clock, began) = (Clock::real(), Clock::real().now());
        let mut acknowledged = vec![0];
        for next in 1.. {
            assert!(clock.now().since(began) < PATIENCE, "{next} were kept, and there is no room");
            match keep(next).await {
                Ok(()) => acknowledged.push(next),
                Err(_) => break,
            }
        }
        if !ends {
            assert!(is_kept(0).await, "what is stored can be read");
        }
        self.disk.free().unwrap();
        if ends {
            self.own.restart();
        }
        let began = clock.now();
        while let Err(error) = keep(1_000_000).await {
            assert!(clock.now().since(began) < PATIENCE, "there is room again, and nothing is kept: {error:?}");
        }
        for one in acknowledged {
            assert!(is_kept(one).await, "{one} was acknowledged");
        }
        assert!(is_kept(1_000_000).await);
    }
}

/// `POST /notes/{id}` keeps a large one, `GET /notes` tells which there are.
fn notes(env: Env) -> BoxFuture<'static, Result<Service, BuildError>> {
    Box::pin(async move {
        let (keeper, teller) = (env.db(), env.db());
        let keep = move |At(id): At<i64>| {
            let db = keeper.clone();
            async move {
                let text = "x".repeat(ROW_BYTES);
                let insert = async move |tx: &mut Tx<'_>| {
                    tx.execute("INSERT INTO notes (id, text) VALUES (?, ?)", values![id, text.clone()]).await.map_err(Problem::from)
                };
                db.write(insert).await.map(|_| ())
            }
        };
        let tell = move || {
            let db = teller.clone();
            async move {
                let ids =
                    async |tx: &mut Tx<'_>| tx.fetch_all::<i64>("SELECT id FROM notes ORDER BY id", vec![]).await.map_err(Problem::from);
                db.read(ids).await.map(axum::Json)
            }
        };
        let router = utoipa_axum::router::OpenApiRouter::new().route("/notes/{id}", post(keep)).route("/notes", get(tell));
        Ok(Service { router, ..Service::default() })
    })
}

/// The text is kept as it is, and not made small.
fn migrations() -> Vec<Migration> {
    vec![
        Migration::new(1, "notes", "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT", "DROP TABLE notes")
            .with_postgresql(
                "CREATE TABLE notes (id bigint PRIMARY KEY, text text COLLATE \"C\" NOT NULL);
                 ALTER TABLE notes ALTER COLUMN text SET STORAGE EXTERNAL",
                "DROP TABLE notes",
            )
            .with_mariadb(
                "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, text mediumtext NOT NULL)",
                "DROP TABLE IF EXISTS notes",
            ),
    ]
}

const fn keeper(name: &'static str) -> Manifest {
    Manifest {
        name,
        summary: "Keeps notes.",
        paths: &["notes"],
        publishes: &[],
        consumes: &[],
        calls: &[],
        problems: &[],
        migrations,
        build: notes,
    }
}

static ON_POSTGRESQL: Manifest = keeper("payment");
static ON_MARIADB: Manifest = keeper("order");

struct Notes {
    world: World,
    service: &'static str,
}

impl Notes {
    async fn on(manifest: &'static Manifest, choice: &str, settings: Settings, folder: &Path) -> Self {
        let settings = settings.with(&format!("stores.sql.{}", manifest.name), choice).unwrap();
        let world = World::real(settings, folder, Traces::off()).unwrap();
        world.start(manifest, 0).await.unwrap();
        Self { world, service: manifest.name }
    }

    async fn ask(&self, method: Method, path: &str) -> (StatusCode, bool, Json) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(self.world.router(self.service).unwrap(), request).await.unwrap();
        let (status, comes_again) = (answer.status(), answer.headers().contains_key(RETRY_AFTER));
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, comes_again, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn keep(&self, id: i64) -> StatusCode {
        let (status, comes_again, told) = self.ask(Method::POST, &format!("/notes/{id}")).await;
        assert!(status == StatusCode::OK || (status == StatusCode::SERVICE_UNAVAILABLE && comes_again), "{status}: {told}");
        status
    }

    async fn kept(&self) -> BTreeSet<i64> {
        let (status, _, told) = self.ask(Method::GET, "/notes").await;
        assert_eq!(status, StatusCode::OK, "what is stored can be read: {told}");
        serde_json::from_value(told).unwrap()
    }

    /// What the readiness says against the store, or against changes in it.
    async fn ailment(&self) -> Option<String> {
        let dependencies = self.ask(Method::GET, "/health/ready").await.2["dependencies"].clone();
        ["store", "writes"].iter().find_map(|part| dependencies[part]["reason"].as_str().map(str::to_owned))
    }
}

/// What an engine does that has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// It says so, keeps nothing, and can be read.
    IsTold,
    /// It waits for longer than anybody waits for it, or ends, and what it had in hand it may keep.
    IsBorne,
}

/// Keeps notes until there is no room and then again, and compares what is there with what was acknowledged.
async fn fills_and_goes_on(manifest: &'static Manifest, engine: &'static str, lack: Lack, said: &str, megabytes: usize) {
    let Some(small) = Small::start(engine, megabytes) else { return };
    let folder = tempfile::tempdir().unwrap();
    let notes = Notes::on(manifest, engine, small.own.settings(), folder.path()).await;
    let clock = Clock::real();
    let mut acknowledged = BTreeSet::new();
    let mut next = 0;
    let mut keep = async |acknowledged: &mut BTreeSet<i64>| {
        next += 1;
        let status = notes.keep(next).await;
        if status == StatusCode::OK {
            acknowledged.insert(next);
        }
        status
    };
    assert_eq!(keep(&mut acknowledged).await, StatusCode::OK);
    assert_eq!(notes.ailment().await, None);
    small.disk.fill().unwrap();
    let began = clock.now();
    // What its files have in reserve is used up first.
    let ailment = loop {
        assert!(clock.now().since(began) < PATIENCE, "{} notes and still there is room", acknowledged.len());
        keep(&mut acknowledged).await;
        if let Some(ailment) = notes.ailment().await {
            break ailment;
        }
    };
    assert!(ailment.starts_with(said), "{ailment}");
    assert_eq!(keep(&mut acknowledged).await, StatusCode::SERVICE_UNAVAILABLE);
    if lack == Lack::IsTold {
        assert_eq!(notes.kept().await, acknowledged, "neither lost nor done by halves");
    }
    small.disk.free().unwrap();
    if lack == Lack::IsBorne {
        small.own.restart();
    }
    let began = clock.now();
    while keep(&mut acknowledged).await != StatusCode::OK {
        assert!(clock.now().since(began) < PATIENCE, "there is room again, and nothing is kept");
    }
    assert_eq!(notes.ailment().await, None);
    match lack {
        Lack::IsTold => assert_eq!(notes.kept().await, acknowledged),
        Lack::IsBorne => assert!(notes.kept().await.is_superset(&acknowledged)),
    }
    assert!(notes.world.stop(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_full_refuses_what_it_cannot_keep_and_goes_on_with_room() {
    fills_and_goes_on(&ON_POSTGRESQL, "postgresql", Lack::IsTold, "PostgreSQL has no space left", 160).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_that_is_full_is_not_waited_for_and_has_all_that_it_acknowledged_when_it_is_back() {
    // Whether it waits or ends is its own matter; who has made room starts it again.
    fills_and_goes_on(&ON_MARIADB, "mariadb", Lack::IsBorne, "MariaDB ", 320).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_objects_that_is_full_refuses_what_it_cannot_keep_and_goes_on_with_room() {
    let Some(small) = Small::start("minio", 200) else { return };
    let settings = S3Settings { timeout_ms: 3_000, ..small.own.settings().engines().unwrap().s3 };
    let blobs = Blobs::on_s3(&settings, Clock::real(), no_faults()).unwrap();
    blobs.prepare().await.unwrap();
    let keep = async |one: u32| match blobs.put(&one.to_string(), Bytes::from(vec![7; 1_000_000]), "image/png").await {
        Err(error) if !matches!(error, BlobError::Unavailable { .. }) => panic!("{error:?}"),
        done => done.map(drop),
    };
    small
        .fills_and_goes_on(false, keep, async |one| blobs.get(&one.to_string()).await.is_ok_and(|object| object.bytes.len() == 1_000_000))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_documents_that_is_full_refuses_what_it_cannot_keep_and_goes_on_with_room() {
    let Some(small) = Small::start("couchdb", 100) else { return };
    let settings = CouchdbSettings { timeout_ms: 3_000, ..small.own.settings().engines().unwrap().couchdb };
    let database = couchdb::Server::new(&settings, Clock::real()).unwrap().database("full", Chance::seeded(1), no_faults());
    database.prepare().await.unwrap();
    let keep = async |one: u32| {
        let body = serde_json::Map::from_iter([("text".to_owned(), "x".repeat(NOTE_BYTES).into())]);
        match database.put(&one.to_string(), None, &body, "mark").await {
            Err(error) if !DbError::from(error.clone()).is_transient() => panic!("{error:?}"),
            done => done.map(drop),
        }
    };
    small.fills_and_goes_on(false, keep, async |one| matches!(database.get(&one.to_string()).await, Ok(Some(_)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_is_full_ends_and_has_all_that_it_acknowledged_when_it_is_back() {
    let Some(small) = Small::start("kafka", 300) else { return };
    let settings = KafkaSettings { timeout_ms: 5_000, ..small.own.settings().engines().unwrap().kafka };
    let bus = Bus::on_kafka(&settings, no_faults()).unwrap();
    bus.create_topic("t", TopicSettings { partitions: 1, ..TopicSettings::default() }).await.unwrap();
    let keep = async |one: u32| {
        let event = Outgoing { topic: "t".into(), key: one.to_string(), value: vec![7; NOTE_BYTES].into(), headers: vec![] };
        match bus.publish(vec![event]).await {
            Err(error) if !matches!(error, BusError::Unavailable(_)) => panic!("{error:?}"),
            done => done.map(drop),
        }
    };
    let is_kept = async |one: u32| {
        let (mut next, end) = (0, bus.end_offsets("t").unwrap()[0]);
        while next < end {
            let read = bus.read("t", 0, next, 100).await.unwrap();
            if read.iter().any(|event| event.key == one.to_string()) {
                return true;
            }
            next = read.last().map_or(end, |event| event.offset + 1);
        }
        false
    };
    small.fills_and_goes_on(true, keep, is_kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cassandra_that_is_full_ends_and_has_all_that_it_acknowledged_when_it_is_back() {
    let Some(small) = Small::start("cassandra", 400) else { return };
    let settings = CassandraSettings { timeout_ms: 5_000, ..small.own.settings().engines().unwrap().cassandra };
    let keyspace = cassandra::Server::new(&settings, Clock::real()).unwrap().keyspace("full", Chance::seeded(1), no_faults());
    let table = cassandra::Migration {
        number: 1,
        name: "notes",
        up: "CREATE TABLE IF NOT EXISTS $.notes (id bigint PRIMARY KEY, text text)".to_owned(),
        down: "DROP TABLE IF EXISTS $.notes".to_owned(),
    };
    keyspace.prepare(vec![table]).await.unwrap();
    let keep = async |one: u32| {
        let note = values![i64::from(one), "x".repeat(NOTE_BYTES)];
        match keyspace.write("INSERT INTO $.notes (id, text) VALUES (?, ?)", note).await {
            Err(error) if !DbError::from(error.clone()).is_transient() => panic!("{error:?}"),
            done => done,
        }
    };
    let is_kept = async |one: u32| {
        let found: Option<i64> = keyspace.fetch_optional("SELECT id FROM $.notes WHERE id = ?", values![i64::from(one)]).await.unwrap();
        found.is_some()
    };
    small.fills_and_goes_on(true, keep, is_kept).await;
}

#[tokio::test]
async fn a_redis_that_is_full_keeps_nothing_more_and_is_never_wrong() {
    const MINUTE: Duration = Duration::from_secs(60);
    let server = Server::start().await;
    let limits = Limits { entries_max: 10, bytes_max: 10_000 };
    let cache = Cache::in_redis(Clock::real(), limits, Redis::new(&server.settings(5_000)).unwrap());
    let text = async |key: &str| cache.get(key).await.unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap());
    cache.put("old", Bytes::from_static(b"1"), MINUTE).await.unwrap();
    assert_eq!(server.say("CONFIG SET maxmemory-policy noeviction"), "+OK");
    assert_eq!(server.say("CONFIG SET maxmemory 1"), "+OK");
    assert!(cache.put("new", Bytes::from_static(b"2"), MINUTE).await.is_err(), "it says that it keeps nothing");
    assert_eq!((text("old").await.as_deref(), text("new").await), (Some("1"), None), "what is kept can be read");
    // What must not be read any more is not, whatever room there is.
    drop(cache.invalidate("old", 7, MINUTE).await);
    assert!(!matches!(cache.get("old").await, Ok(Some(_))), "an old value is not shown");
    assert_eq!(server.say("CONFIG SET maxmemory 0"), "+OK");
    cache.put("new", Bytes::from_static(b"2"), MINUTE).await.unwrap();
    assert_eq!((text("old").await, text("new").await.as_deref()), (None, Some("2")));
}
