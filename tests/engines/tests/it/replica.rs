//! Reads from a replica of MariaDB: who says what he must see is shown it, by the replica once it has come so far and else by the primary; who says
//! nothing is shown what the primary has.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use engine_tests::{settings, unique};
use futures::future::BoxFuture;
use platform::{
    Clock, Settings,
    db::{DbError, Tx},
    service::{BuildError, Env, Manifest, Service},
    telemetry::traces::Traces,
    testing::stores::{insert, migrations},
    world::World,
};

/// Longer than a replica takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// `POST /notes/{id}` makes one, `GET /notes` shows how many there are, and `POST /nothing` changes nothing. Under a name that may stand on MariaDB.
fn notes(env: Env) -> BoxFuture<'static, Result<Service, BuildError>> {
    Box::pin(async move {
        let (maker, shower) = (env.db(), env.db());
        let make = move |axum::extract::Path(id): axum::extract::Path<i64>| {
            let db = maker.clone();
            async move { insert(&db, id).await.map_err(|error| error.to_string()) }
        };
        let show = move || {
            let db = shower.clone();
            async move {
                let count = async |tx: &mut Tx<'_>| tx.fetch_one::<i64>("SELECT count(*) FROM notes", vec![]).await;
                db.look(count).await.map(|count| count.to_string()).map_err(|error: DbError| error.to_string())
            }
        };
        let router = utoipa_axum::router::OpenApiRouter::new()
            .route("/notes/{id}", axum::routing::post(make))
            .route("/notes", axum::routing::get(show))
            .route("/nothing", axum::routing::post(async || {}));
        Ok(Service { router, ..Service::default() })
    })
}

static NOTES: Manifest = Manifest {
    name: "order",
    summary: "Keeps notes.",
    paths: &["notes", "nothing"],
    publishes: &[],
    consumes: &[],
    calls: &[],
    problems: &[],
    migrations,
    build: notes,
};

fn used(replica_url: &str) -> Settings {
    let prefix = format!("{}_", unique("replica").replace('-', "_"));
    // A machine may be busy.
    let patient = settings().with("engines.mariadb.timeout_ms", 20_000).unwrap().with("engines.mariadb.replica_wait_ms", 500).unwrap();
    [
        ("stores.sql.order", "mariadb"),
        ("stores.reads", "replica"),
        ("engines.mariadb.schema_prefix", prefix.as_str()),
        ("engines.mariadb.replica_url", replica_url),
    ]
    .into_iter()
    .fold(patient, |settings, (path, value)| settings.with(path, value).unwrap())
}

async fn world(folder: &Path, replica_url: &str) -> World {
    let world = World::real(used(replica_url), folder, Traces::off()).unwrap();
    world.start(&NOTES, 0).await.unwrap();
    world
}

fn replica_url() -> String {
    let url = settings().engines().unwrap().mariadb.replica_url;
    url.unwrap_or_else(|| panic!("the file names no replica: `cargo xtask engines up --only mariadb-replica`")).expose().to_owned()
}

/// What is answered, and the token with it.
async fn ask(world: &World, method: Method, path: &str, token: Option<&str>) -> (String, Option<String>) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("X-Read-After", token);
    }
    let answer = tower::ServiceExt::oneshot(world.router("order").unwrap(), request.body(Body::empty()).unwrap()).await.unwrap();
    let token = answer.headers().get("x-read-after").map(|token| token.to_str().unwrap().to_owned());
    let status = answer.status();
    let text = String::from_utf8(to_bytes(answer.into_body(), 1 << 16).await.unwrap().to_vec()).unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    (text, token)
}

async fn make(world: &World, id: u32) -> String {
    ask(world, Method::POST, &format!("/notes/{id}"), None)
        .await
        .1
        .unwrap_or_else(|| panic!("an answer to a change says how far it has come"))
}

async fn shown(world: &World, token: Option<&str>) -> String {
    ask(world, Method::GET, "/notes", token).await.0
}

/// How many reads the replica has answered, and how many the primary in its place.
fn reads(world: &World) -> (u64, u64) {
    let db = world.db("order").unwrap();
    (db.counters().replica_reads.load(Relaxed), db.counters().replica_misses.load(Relaxed))
}

/// The replica hears its primary and applies nothing, until this is dropped.
struct Behind;

impl Behind {
    fn now() -> Self {
        tell_the_replica("STOP SLAVE SQL_THREAD");
        Self
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        tell_the_replica("START SLAVE SQL_THREAD");
    }
}

/// Outside of any transaction, which our connections are not.
fn tell_the_replica(statement: &str) {
    let url: reqwest::Url = replica_url().parse().unwrap();
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--protocol=tcp", "--skip-ssl", "--connect-timeout=20", "--host", url.host_str().unwrap()]);
    client.args(["--port", &url.port().unwrap().to_string(), "--user", url.username(), "--execute", statement]);
    client.env("MYSQL_PWD", url.password().unwrap()).stdin(Stdio::null());
    let output = client.output().unwrap_or_else(|error| panic!("MariaDB's client is installed where its server is: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_what_its_client_has_done_from_a_replica_that_is_in_time_and_else_from_the_primary() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path(), &replica_url()).await;
    // One after the other, each read at once: not one is missed, whoever answers.
    let mut token = String::new();
    for id in 1..=30 {
        token = make(&world, id).await;
        assert!(token.starts_with("order=0-"), "{token}");
        let (text, echo) = ask(&world, Method::GET, "/notes", Some(&token)).await;
        assert_eq!((text, echo.as_deref()), (id.to_string(), Some(token.as_str())));
    }
    // The replica has answered, now at the latest: it needs no longer than this for what has been there for long.
    let (clock, began) = (Clock::real(), Clock::real().now());
    while reads(&world).0 == 0 {
        assert!(clock.now().since(began) < PATIENCE, "the replica never came so far: {:?}", reads(&world));
        assert_eq!(shown(&world, Some(&token)).await, "30");
    }

    {
        let _behind = Behind::now();
        let newest = make(&world, 31).await;
        let before = reads(&world);
        assert_eq!(shown(&world, Some(&newest)).await, "31", "the primary has it");
        assert_eq!(reads(&world), (before.0, before.1 + 1));
        assert_eq!(shown(&world, Some(&token)).await, "30", "who must see no more is shown what the replica has");
        assert_eq!(shown(&world, Some("any")).await, "30");
        assert_eq!(reads(&world), (before.0 + 2, before.1 + 1));
        // Who knows nothing of replicas, or sends what is no place of this service's, is shown all there is.
        for token in [None, Some("cart=0-1-1"), Some("order=primary"), Some("whatever")] {
            assert_eq!(shown(&world, token).await, "31");
        }
        // What may have been done by an earlier try has no place of its own.
        assert_eq!(ask(&world, Method::POST, "/nothing", Some(&token)).await.1.as_deref(), Some("order=primary"));
        assert_eq!(reads(&world), (before.0 + 2, before.1 + 1));
        token = newest;
    }
    // It catches up, and answers again.
    let (answered, began) = (reads(&world).0, clock.now());
    while reads(&world).0 == answered {
        assert!(clock.now().since(began) < PATIENCE, "the replica did not catch up");
        assert_eq!(shown(&world, Some(&token)).await, "31");
    }
    let metrics = world.metrics_text(Some("order"));
    assert!(metrics.contains("store_replica_reads") && metrics.contains("store_replica_misses"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_away_is_done_without() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = world(folder.path(), &format!("mysql://crashcart:none@{nobody}/crashcart")).await;
    let token = make(&world, 1).await;
    assert_eq!((shown(&world, Some(&token)).await, shown(&world, Some("any")).await), ("1".to_owned(), "1".to_owned()));
    assert_eq!(reads(&world), (0, 2));
}

#[tokio::test]
async fn reads_from_a_replica_that_is_not_told_or_of_nothing_are_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let told = |settings: Settings| World::real(settings, folder.path(), Traces::off()).unwrap_err().to_string();
    let nowhere = told(used(""));
    assert!(nowhere.contains("`stores.reads` is \"replica\", but `engines.mariadb.replica_url` is empty"), "{nowhere}");
    let nobody = told(used("mysql://a:b@c/d").with("stores.sql.order", "sqlite").unwrap());
    assert!(nobody.contains("`stores.reads` cannot be used: no service has its tables on MariaDB"), "{nobody}");
}
