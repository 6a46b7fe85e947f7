//! What the service does on disk with power durability: 64 callers at once, each holding one unit of a stock for a new order, over the
//! service's own router (its layer, JSON, idempotency key, outbox and relay included; no socket). One hot SKU, then a thousand of them; at the
//! end every unit is counted.
//! `cargo bench -p inventory --bench reserve` prints the figures; the files lie in the system's folder for temporary files.
#![expect(clippy::print_stdout, reason = "a measure prints its figures")]

use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use inventory_api::Stock;
use platform::{
    Tasks,
    settings::{DEFAULTS, Settings},
    telemetry::traces::Traces,
    world::World,
};
use serde_json::json;
use tower::ServiceExt;
use types::{OrderId, id::Uuid};

type Fault = Box<dyn Error + Send + Sync>;

const CALLERS: u64 = 64;

fn main() -> Result<(), Fault> {
    // Without `--bench` (a test run over all targets) it only shows that it works.
    let seconds = if std::env::args().any(|argument| argument == "--bench") { 8 } else { 0 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for skus in [1, 1_000] {
        runtime.block_on(measure(skus, Duration::from_secs(seconds)))?;
    }
    Ok(())
}

async fn measure(skus: u64, length: Duration) -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let world = World::real(Settings::load(DEFAULTS, None, std::iter::empty())?, folder.path(), Traces::off())?;
    world.start(&inventory::MANIFEST, 0).await?;
    let router = world.router("inventory").ok_or("the service has no router")?;
    let skus = skus.min(if length.is_zero() { 3 } else { skus });
    for number in 0..skus {
        let body = json!({"sku": format!("SKU-{number}"), "warehouse": "us-east", "delta": 1_000_000, "reason": "measure"});
        let status = post(&router, "adjust", &body.to_string(), "", number).await?;
        assert_eq!(status, StatusCode::OK);
    }
    let db = world.db("inventory").ok_or("the service has no store")?;
    let clock = world.clock();
    let tasks = Tasks::new("bench", clock);
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::new(AtomicU64::new(1));
    let (statements, commits) = (db.counters().statements.load(Ordering::Relaxed), db.counters().commits.load(Ordering::Relaxed));
    let start = clock.now();
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let (router, latencies, next) = (router.clone(), latencies.clone(), next.clone());
        callers.push(tasks.run("caller", async move {
            let mut own = Vec::new();
            loop {
                let (number, sent) = (next.fetch_add(1, Ordering::Relaxed), clock.now());
                let order = OrderId(Uuid::from_u128((7 << 76) | (2 << 62) | u128::from(number)));
                let body = format!(r#"{{"orderId":"{order}","items":[{{"sku":"SKU-{}","quantity":1}}]}}"#, number % skus);
                let status = post(&router, "reserve", &body, "k", number).await.map_err(|error| error.to_string())?;
                if status != StatusCode::CREATED {
                    return Err(format!("{status} at {number}"));
                }
                own.push(clock.now().since(sent));
                if clock.now().since(start) >= length {
                    latencies.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
                    return Ok(());
                }
            }
        }));
    }
    for caller in callers {
        caller.wait().await??;
    }
    let took = clock.now().since(start);
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort();
    let count = latencies.len();
    let at = |share: usize| latencies.get((count * share / 1_000).min(count.saturating_sub(1))).copied().unwrap_or_default();
    let per = |total: u64, before: u64| (total - before) as f64 / count as f64;
    println!(
        "{skus} SKUs, {CALLERS} callers: {:.0} reservations/s; each waited {:?} (median), {:?} (99 %), {:?} (99.9 %); {:.1} statements and {:.3} commits each",
        count as f64 / took.as_secs_f64(),
        at(500),
        at(990),
        at(999),
        per(db.counters().statements.load(Ordering::Relaxed), statements),
        per(db.counters().commits.load(Ordering::Relaxed), commits),
    );
    let mut held = 0;
    for number in 0..skus {
        let answer = router.clone().oneshot(Request::get(format!("/inventory/SKU-{number}")).body(Body::empty())?).await?;
        let stock: Stock = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
        assert!(stock.warehouses.iter().all(|shelf| shelf.available >= 0), "oversold: {stock:?}");
        held += stock.warehouses.iter().map(|shelf| shelf.held).sum::<i64>();
    }
    assert_eq!(held, i64::try_from(count)?, "each reservation holds its unit");
    world.stop(Duration::from_secs(5)).await;
    Ok(())
}

/// One request; an empty `key` sends none.
async fn post(router: &Router, action: &str, body: &str, key: &str, number: u64) -> Result<StatusCode, Fault> {
    let mut request = Request::post(format!("/inventory/{action}")).header("content-type", "application/json");
    if !key.is_empty() {
        request = request.header("idempotency-key", format!("{key}-{number}"));
    }
    Ok(router.clone().oneshot(request.body(Body::from(body.to_owned()))?).await?.status())
}
