//! What this machine can do at best: durable transactions over several stores and appends to the log, one after the other for each client, with no
//! HTTP, no JSON and no events around them. Beside it a whole checkout shows what everything else costs.
//! `cargo bench -p platform --bench floor` prints the figures; the files lie in the system's folder for temporary files.
#![expect(clippy::print_stdout, reason = "a measure prints its figures")]

use std::{
    error::Error,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use platform::{
    Chance, Clock, Tasks,
    bus::{Bus, Outgoing, TopicSettings},
    db::{Db, DbError, Durability, Tx},
    fault::Faults,
    values,
};

type Failure = Box<dyn Error + Send + Sync>;

/// What one checkout asks of stores and log.
struct Work {
    name: &'static str,
    stores: usize,
    /// One after the other, each with this many statements: half of them look, half of them write.
    transactions: usize,
    statements: usize,
    appends: usize,
}

/// The least that a checkout can be, and what an order of this shop asks for.
const WORKS: [Work; 2] = [
    Work { name: "12 transactions over 4 stores, 8 appends", stores: 4, transactions: 12, statements: 2, appends: 8 },
    Work {
        name: "as much as an order: 35 transactions with 196 statements over 6 stores, 20 appends",
        stores: 6,
        transactions: 35,
        statements: 6,
        appends: 20,
    },
];
const CLIENTS: usize = 32;
const ROWS: i64 = 10_000;
const VALUE_BYTES: usize = 300;

fn main() -> Result<(), Failure> {
    // Without `--bench` (a test run over all targets) it only shows that it works.
    let seconds = if std::env::args().any(|argument| argument == "--bench") { 8 } else { 0 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    WORKS.iter().try_for_each(|work| runtime.block_on(measure(work, Duration::from_secs(seconds))))
}

async fn measure(work: &'static Work, length: Duration) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let clock = Clock::real();
    let faults = Faults::new(clock, Chance::seeded(1));
    let bus = Bus::open(folder.path().join("log"), Durability::Power, clock, faults.clone())?;
    bus.create_topic("told", TopicSettings::default()).await?;
    let mut stores = Vec::new();
    for number in 0..work.stores {
        stores.push(store(&folder.path().join(format!("{number}.db")), &faults).await?);
    }
    let tasks = Tasks::new("bench", clock);
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let (start, cpu) = (clock.now(), cpu_seconds());
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (bus, stores, latencies) = (bus.clone(), stores.clone(), latencies.clone());
        clients.push(tasks.run("client", async move {
            let mut own = Vec::new();
            loop {
                let began = clock.now();
                checkout(work, &stores, &bus, client * 1_000_000 + own.len()).await.map_err(|error| error.to_string())?;
                own.push(clock.now().since(began));
                if clock.now().since(start) >= length {
                    latencies.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
                    return Ok::<_, String>(());
                }
            }
        }));
    }
    for client in clients {
        client.wait().await??;
    }
    let (took, cpu) = (clock.now().since(start), cpu_seconds() - cpu);
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort();
    let count = latencies.len();
    let at = |share: usize| latencies.get((count * share / 1_000).min(count.saturating_sub(1))).copied().unwrap_or_default();
    let commits: u64 = stores.iter().map(|store| store.counters().commits.load(Ordering::Relaxed)).sum();
    println!(
        "{}; {CLIENTS} clients: {:.0}/s, {:?} (median), {:?} (99 %); {:.2} CPU ms and {:.1} fsyncs of the stores each",
        work.name,
        count as f64 / took.as_secs_f64(),
        at(500),
        at(990),
        1_000.0 * cpu / count as f64,
        commits as f64 / count as f64
    );
    Ok(())
}

async fn store(path: &Path, faults: &Faults) -> Result<Db, DbError> {
    let db = Db::open("bench", path, Durability::Power, faults.clone())?;
    db.run_script("CREATE TABLE facts (id INTEGER PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) STRICT").await?;
    Ok(db)
}

async fn checkout(work: &'static Work, stores: &[Db], bus: &Bus, number: usize) -> Result<(), Failure> {
    let row = i64::try_from(number)? % ROWS;
    for turn in 0..work.transactions {
        let db = stores.get(turn % stores.len()).ok_or("there are no stores")?;
        let id = (row + i64::try_from(turn)?) % ROWS;
        db.write(async move |tx: &mut Tx<'_>| {
            for _ in 0..work.statements / 2 {
                let known: Option<i64> = tx.fetch_optional("SELECT version FROM facts WHERE id = ?", values![id]).await?;
                let save = "INSERT INTO facts (id, value, version) VALUES (?, ?, ?)
                            ON CONFLICT (id) DO UPDATE SET value = excluded.value, version = excluded.version";
                tx.execute(save, values![id, vec![b'x'; VALUE_BYTES], known.unwrap_or(0) + 1]).await?;
            }
            Ok::<_, DbError>(())
        })
        .await?;
    }
    for append in 0..work.appends {
        let event = Outgoing {
            topic: "told".into(),
            key: format!("order-{number}-{append}"),
            value: vec![b'x'; VALUE_BYTES].into(),
            headers: Vec::new(),
        };
        bus.publish(vec![event]).await?;
    }
    Ok(())
}

/// Seconds of both kinds of CPU time of this process, by the system's accounting.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
