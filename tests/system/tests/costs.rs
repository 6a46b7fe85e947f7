//! What an order costs the stores, in statements and write transactions: on a server each statement is a way there and back, so what is said
//! once too often is paid by every order.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use crashcart::registry::SIMULATION;
use lab::target::{Request, Target, simulation::Simulated};
use platform::db::Db;
use serde_json::json;
use system_tests::checkout_body;

/// Buyers, one after the other.
const BUYERS: u32 = 20;
/// After this all of an order's events have been taken.
const SETTLED: Duration = Duration::from_secs(2);

async fn call(target: &Simulated, request: Request) -> serde_json::Value {
    target.call(request).await.unwrap().json()
}

async fn buy(target: &Simulated) {
    let cart = call(target, Request::post("/carts", json!({"region": "US"}))).await["id"].as_str().unwrap().to_owned();
    call(target, Request::post(format!("/carts/{cart}/items"), json!({"sku": "LAMP", "quantity": 1}))).await;
    let checkout = Request::post(format!("/carts/{cart}/checkout"), checkout_body("tok_ok")).header("idempotency-key", &cart);
    let order = call(target, checkout).await["orderId"].as_str().unwrap().to_owned();
    target.sleep(SETTLED).await;
    assert_eq!(call(target, Request::get(format!("/orders/{order}"))).await["status"], "FULFILLED_READY");
}

/// What each store has done: its statements by text, and its write transactions.
type Done = BTreeMap<&'static str, (BTreeMap<String, u64>, u64)>;

fn done(stores: &[Db]) -> Done {
    let count = |db: &Db| (db.service(), (db.counters().by_text(), db.counters().transactions.load(Ordering::Relaxed)));
    stores.iter().map(count).collect()
}

/// What was done before the buyers came, and after.
fn costs() -> (Done, Done) {
    SIMULATION
        .run(1, &[], async |target| {
            let entry = json!({"unitPrice": {"amount": 1999, "currency": "USD"}});
            call(target, Request::put("/pricing/books/standard-usd/entries/LAMP", entry)).await;
            let receipt = json!({"sku": "LAMP", "warehouse": "us-east", "delta": 1_000, "reason": "received"});
            call(target, Request::post("/inventory/adjust", receipt)).await;
            buy(target).await;
            target.sleep(SETTLED).await;
            // Counted by their text from here on.
            let stores: Vec<Db> = target.world.names().into_iter().filter_map(|service| target.world.db(service)).collect();
            let before = done(&stores);
            for _ in 0..BUYERS {
                buy(target).await;
            }
            (before, done(&stores))
        })
        .unwrap()
}

#[test]
fn an_order_costs_the_stores_no_more_than_it_did() {
    let (before, after) = costs();
    let (mut statements, mut writes) = (0.0, 0.0);
    for (service, (texts, transactions)) in &after {
        let each = |count: u64| count as f64 / f64::from(BUYERS);
        let run: u64 = texts.values().sum();
        let written = transactions - before[service].1;
        println!("{service}: {:.1} statements, {:.1} write transactions", each(run), each(written));
        for (text, count) in texts {
            println!("  {:6.2} {}", each(*count), text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        statements += each(run);
        writes += each(written);
    }
    println!("an order: {statements:.1} statements, {writes:.1} write transactions");
    assert!(statements < 159.0, "{statements:.1} statements");
    assert!(writes < 35.0, "{writes:.1} write transactions");
}
