//! Two services in two worlds, as two processes have them: nothing is between them but Kafka and the registry. What the one commits the other
//! takes, once, also what was told while the other was not there.

#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use std::{path::Path, time::Duration};

use apache_avro::AvroSchema;
use engine_tests::{settings, unique};
use futures::future::BoxFuture;
use platform::{
    Clock, Settings,
    db::{DbError, Migration, Tx},
    event::{Event, Received, taking},
    service::{BuildError, Env, Manifest, Service},
    telemetry::traces::Traces,
    values,
    world::World,
};
use serde::{Deserialize, Serialize};

const EVENTS: i64 = 50;
/// Longer than Kafka takes to deal partitions, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.engines")]
struct Said {
    number: i64,
}

impl Event for Said {
    const TOPIC: &'static str = "engines.apart.said.v1";
    fn key(&self) -> String {
        (self.number % 7).to_string()
    }
}

/// Says as much as `EVENTS` each time it starts.
fn speaker(env: Env) -> BoxFuture<'static, Result<Service, BuildError>> {
    Box::pin(async move {
        let outbox = env.outbox();
        outbox.register::<Said>()?;
        let router = utoipa_axum::router::OpenApiRouter::new().route(
            "/say",
            axum::routing::post(move || {
                let (db, outbox) = (env.db(), outbox.clone());
                async move {
                    let say = async move |tx: &mut Tx<'_>| -> Result<(), DbError> {
                        for number in 0..EVENTS {
                            outbox.add(tx, &Said { number }).await?;
                        }
                        Ok(())
                    };
                    db.write(say).await.map_err(|error| error.to_string())
                }
            }),
        );
        Ok(Service { router, ..Service::default() })
    })
}

fn listener(env: Env) -> BoxFuture<'static, Result<Service, BuildError>> {
    Box::pin(async move {
        let take = taking::<Said>(&env, async move |tx: &mut Tx<'_>, said: &Received<Said>| {
            tx.execute("INSERT INTO heard (number, key) VALUES (?, ?)", values![said.event.number, said.key.clone()]).await?;
            Ok(())
        })?;
        Ok(Service { consumers: vec![take], ..Service::default() })
    })
}

fn heard() -> Vec<Migration> {
    let up = "CREATE TABLE heard (seq INTEGER PRIMARY KEY, number INTEGER NOT NULL, key TEXT NOT NULL) STRICT";
    vec![Migration::new(1, "heard", up, "DROP TABLE heard")]
}

static SPEAKER: Manifest = Manifest {
    name: "speaker",
    summary: "Speaks.",
    paths: &["say"],
    publishes: &[Said::TOPIC],
    consumes: &[],
    calls: &[],
    problems: &[],
    migrations: Vec::new,
    build: speaker,
};

static LISTENER: Manifest = Manifest {
    name: "listener",
    summary: "Listens.",
    paths: &[],
    publishes: &[],
    consumes: &[Said::TOPIC],
    calls: &[],
    problems: &[],
    migrations: heard,
    build: listener,
};

/// A world as another process would have it: its own folder, and the engines that all share.
fn world(folder: &Path, prefix: &str) -> World {
    let shared: Settings = [("stores.bus", "kafka"), ("stores.schemas", "registry"), ("engines.kafka.prefix", prefix)]
        .into_iter()
        .fold(settings(), |settings, (path, value)| settings.with(path, value).unwrap());
    World::real(shared, folder, Traces::off()).unwrap()
}

async fn say(world: &World) {
    let request = axum::http::Request::post("/say").body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(world.router("speaker").unwrap(), request).await.unwrap();
    assert_eq!(answer.status(), axum::http::StatusCode::OK);
}

/// By key, the numbers that were heard, in that order.
async fn heard_by(world: &World) -> Vec<(String, i64)> {
    let read = async |tx: &mut Tx<'_>| -> Result<Vec<(String, i64)>, DbError> {
        let keys: Vec<String> = tx.fetch_all("SELECT key FROM heard ORDER BY key, seq", vec![]).await?;
        let numbers: Vec<i64> = tx.fetch_all("SELECT number FROM heard ORDER BY key, seq", vec![]).await?;
        Ok(keys.into_iter().zip(numbers).collect())
    };
    world.db("listener").unwrap().read(read).await.unwrap()
}

async fn until_heard(world: &World, count: i64) -> Vec<(String, i64)> {
    let clock = Clock::real();
    let began = clock.now();
    loop {
        let heard = heard_by(world).await;
        if i64::try_from(heard.len()).unwrap() >= count {
            return heard;
        }
        assert!(clock.now().since(began) < PATIENCE, "only {} of {count} were heard", heard.len());
        clock.sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_tells_another_hears_over_kafka() {
    let prefix = format!("{}.", unique("apart"));
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let teller = world(here.path(), &prefix);
    teller.start(&SPEAKER, 0).await.unwrap();
    say(&teller).await;
    let hearer = world(there.path(), &prefix);
    hearer.start(&LISTENER, 0).await.unwrap();
    let first = until_heard(&hearer, EVENTS).await;
    let in_order: Vec<(String, i64)> =
        (0..7).flat_map(|key| (0..EVENTS).filter(move |number| number % 7 == key).map(move |number| (key.to_string(), number))).collect();
    assert_eq!(first, in_order, "each once, and those of a key in their order");
    assert!(!here.path().join("bus").exists() && !there.path().join("bus").exists(), "no log in a data folder");

    // It dies with what it had heard, and what is told meanwhile waits for it.
    hearer.kill("listener", 0);
    say(&teller).await;
    hearer.start(&LISTENER, 0).await.unwrap();
    let all = until_heard(&hearer, 2 * EVENTS).await;
    assert_eq!(all.len(), 2 * in_order.len(), "nothing twice");
    let metrics = hearer.metrics_text(Some("listener"));
    let lag: Vec<&str> = metrics.lines().filter(|line| line.starts_with("consumer_lag{")).collect();
    assert!(!lag.is_empty() && lag.iter().all(|line| line.contains("listener-engines.apart.said.v1")), "{metrics}");
    for world in [&teller, &hearer] {
        world.stop(Duration::from_secs(5)).await;
    }
}
