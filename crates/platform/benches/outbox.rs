//! How long an event takes from the moment at which somebody wants to tell it, through the transaction that does, the outbox, the relay and the log
//! on disk, to the consumer that notes it. Open loop: wishes come at a fixed rate whether the ones before are done or not, and the
//! wait counts from the wish.
//! `cargo bench -p platform --bench outbox` prints the figures; the files lie in the system's folder for temporary files.
#![expect(clippy::print_stdout, reason = "a measure prints its figures")]
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use std::{
    error::Error,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use apache_avro::AvroSchema;
use platform::{
    db::{DbError, Tx},
    event::{Event, Outbox, Received, taking},
    service::{BuildError, Env, Manifest, Service},
    settings::{DEFAULTS, Settings},
    telemetry::traces::Traces,
    world::World,
};
use serde::{Deserialize, Serialize};
use types::Timestamp;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.bench")]
struct Told {
    number: i64,
    text: String,
    /// When it was wanted.
    at: Timestamp,
}

impl Event for Told {
    const TOPIC: &'static str = "bench.thing.told.v1";
    fn key(&self) -> String {
        format!("thing-{}", self.number % 1_000)
    }
}

static MANIFEST: Manifest = Manifest {
    name: "bench",
    summary: "Tells things and hears of them.",
    paths: &[],
    publishes: &[Told::TOPIC],
    consumes: &[Told::TOPIC],
    calls: &[],
    problems: &[],
    migrations: Vec::new,
    build: |env| Box::pin(build(env)),
};

/// What a service is built with goes to nobody else; here it is what tells.
static OUTBOX: Mutex<Option<Outbox>> = Mutex::new(None);
/// How long each event took.
static WAITS: Mutex<Vec<Duration>> = Mutex::new(Vec::new());

async fn build(env: Env) -> Result<Service, BuildError> {
    let (outbox, clock) = (env.outbox(), env.clock);
    outbox.register::<Told>()?;
    *OUTBOX.lock().unwrap_or_else(PoisonError::into_inner) = Some(outbox);
    let heard = taking::<Told>(&env, async move |_: &mut Tx<'_>, received: &Received<Told>| {
        WAITS.lock().unwrap_or_else(PoisonError::into_inner).push(clock.now().since(received.event.at));
        Ok(())
    })?;
    Ok(Service { consumers: vec![heard], ..Service::default() })
}

fn main() -> Result<(), Failure> {
    // Without `--bench` (a test run over all targets) it only shows that it works.
    let seconds = if std::env::args().any(|argument| argument == "--bench") { 8 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    [500, 5_000].into_iter().try_for_each(|rate| runtime.block_on(measure(rate, seconds)))
}

async fn measure(rate: i64, seconds: i64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let world = World::real(Settings::load(DEFAULTS, None, std::iter::empty())?, folder.path(), Traces::off())?;
    world.start(&MANIFEST, 0).await?;
    let (db, clock) = (world.db("bench").ok_or("the service has no store")?, world.clock());
    let outbox = OUTBOX.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or("the service was not built")?;
    let tasks = platform::Tasks::new("bench", clock);
    let began = clock.now();
    let mut telling = Vec::new();
    for number in 0..rate * seconds {
        let at = began.plus(Duration::from_micros(u64::try_from(number * 1_000_000 / rate)?));
        clock.sleep_until(at).await;
        let (db, outbox) = (db.clone(), outbox.clone());
        let event = Told { number, text: "x".repeat(100), at };
        telling.push(tasks.run("tell", async move {
            db.write(async move |tx: &mut Tx<'_>| outbox.add(tx, &event).await.map(drop)).await.map_err(|error: DbError| error.to_string())
        }));
    }
    for told in telling {
        told.wait().await??;
    }
    let (wanted, until) = (usize::try_from(rate * seconds)?, clock.now().plus(Duration::from_secs(60)));
    while WAITS.lock().unwrap_or_else(PoisonError::into_inner).len() < wanted && clock.now() < until {
        clock.sleep(Duration::from_millis(20)).await;
    }
    let took = clock.now().since(began);
    world.stop(Duration::from_secs(10)).await;
    let mut waits = std::mem::take(&mut *WAITS.lock().unwrap_or_else(PoisonError::into_inner));
    waits.sort();
    if waits.len() != wanted {
        return Err(format!("{wanted} events were told and {} were heard", waits.len()).into());
    }
    let at = |share: usize| waits.get((wanted * share / 1_000).min(wanted.saturating_sub(1))).copied().unwrap_or_default();
    println!(
        "{rate} events/s wanted, {:.0}/s heard, each once: {:?} (median), {:?} (99 %), {:?} (99.9 %) from the wish to the effect",
        wanted as f64 / took.as_secs_f64(),
        at(500),
        at(990),
        at(999)
    );
    Ok(())
}
