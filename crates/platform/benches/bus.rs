//! What the event log on disk does: publishers that each wait until their event is safe, and a group that reads it all back.
//! `cargo bench -p platform --bench bus` prints the figures; the log lies in the system's folder for temporary files.
#![expect(clippy::print_stdout, reason = "a measure prints its figures")]

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use platform::{
    Chance, Clock, Tasks,
    bus::{Bus, Outgoing, Position, TopicSettings},
    db::Durability,
    fault::Faults,
};

const VALUE_BYTES: usize = 600;

fn main() -> Result<(), Box<dyn Error>> {
    // Without `--bench` (a test run over all targets) it only shows that it works.
    let seconds = if std::env::args().any(|argument| argument == "--bench") { 5 } else { 0 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for durability in [Durability::Power, Durability::Process] {
        for publishers in [1, 64] {
            runtime.block_on(measure(durability, publishers, Duration::from_secs(seconds)))?;
        }
    }
    Ok(())
}

async fn measure(durability: Durability, publishers: usize, length: Duration) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let clock = Clock::real();
    let bus = Bus::open(folder.path(), durability, clock, Faults::new(clock, Chance::seeded(1)))?;
    bus.create_topic("orders", TopicSettings::default()).await?;
    let tasks = Tasks::new("bench", clock);
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let start = clock.now();
    let mut running = Vec::new();
    for publisher in 0..publishers {
        let (bus, latencies) = (bus.clone(), latencies.clone());
        running.push(tasks.run("publisher", async move {
            let mut own = Vec::new();
            loop {
                let sent = clock.now();
                let key = format!("order-{publisher}-{}", own.len() % 100);
                let event = Outgoing { topic: "orders".into(), key, value: vec![b'x'; VALUE_BYTES].into(), headers: Vec::new() };
                let published = bus.publish(vec![event]).await;
                own.push(clock.now().since(sent));
                if published.is_err() || clock.now().since(start) >= length {
                    latencies.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
                    return published.map(drop);
                }
            }
        }));
    }
    for publisher in running {
        publisher.wait().await??;
    }
    let took = clock.now().since(start);
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort();
    let count = latencies.len();
    let at = |share: usize| latencies.get((count * share / 1_000).min(count.saturating_sub(1))).copied().unwrap_or_default();
    println!(
        "{durability:?}, {publishers} publishers: {:.0} events/s; each waited {:?} (median), {:?} (99 %), {:?} (99.9 %); resident {} MB",
        count as f64 / took.as_secs_f64(),
        at(500),
        at(990),
        at(999),
        resident_megabytes()
    );

    let mut reader = bus.subscribe("readers", &["orders"], "one").await?;
    let (start, mut read) = (clock.now(), 0);
    while read < count {
        let events = reader.poll(500).await?;
        read += events.len();
        let done: Vec<_> = events
            .iter()
            .map(|event| Position { topic: event.topic.clone(), partition: event.partition, offset: event.offset + 1 })
            .collect();
        reader.commit(&done)?;
    }
    println!("  read back: {:.0} events/s", read as f64 / clock.now().since(start).as_secs_f64());
    drop((reader, bus));

    let start = clock.now();
    let bus = Bus::open(folder.path(), durability, clock, Faults::new(clock, Chance::seeded(1)))?;
    let kept: u64 = bus.end_offsets("orders")?.iter().sum();
    println!("  opened again in {:?}, {kept} of {count} events there; resident {} MB", clock.now().since(start), resident_megabytes());
    Ok(())
}

/// What the process holds in memory; 0 where the system does not tell.
fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1_024
}
