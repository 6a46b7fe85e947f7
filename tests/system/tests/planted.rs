//! Planted bugs, behind the stores and never in an export: each invariant catches its own, and no invariant cries where nothing is planted. A
//! check that cannot fail is a defect.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::{collections::BTreeSet, time::Duration};

use crashcart::registry::SIMULATION;
use lab::{
    facts::Facts,
    invariants::{Grace, Invariant, check},
    target::{Request, Target, simulation::Simulated},
};
use serde_json::json;
use system_tests::checkout_body;

/// Three orders that end well, one that is declined, one that its buyer cancels.
async fn trade(target: &Simulated) {
    for (sku, stock) in [("LAMP", 100), ("DESK", 10)] {
        let entry = json!({"unitPrice": {"amount": 1999, "currency": "USD"}});
        target.must(Request::put(format!("/pricing/books/standard-usd/entries/{sku}"), entry)).await.unwrap();
        let receipt = json!({"sku": sku, "warehouse": "us-east", "delta": stock, "reason": "received"});
        target.must(Request::post("/inventory/adjust", receipt)).await.unwrap();
    }
    let mut last = String::new();
    for (number, token) in ["tok_ok", "tok_ok", "tok_ok", "tok_decline_lost", "tok_ok"].iter().enumerate() {
        let cart = target.must(Request::post("/carts", json!({"region": "US"}))).await.unwrap();
        let cart = cart["id"].as_str().unwrap().to_owned();
        let sku = if number < 3 { "LAMP" } else { "DESK" };
        target.must(Request::post(format!("/carts/{cart}/items"), json!({"sku": sku, "quantity": 2}))).await.unwrap();
        let checkout =
            Request::post(format!("/carts/{cart}/checkout"), checkout_body(token)).header("x-correlation-id", format!("buyer-{number}"));
        let order = target.must(checkout).await.unwrap();
        last = order["orderId"].as_str().unwrap().to_owned();
        target.sleep(Duration::from_secs(2)).await;
    }
    // With some bugs the order cannot be cancelled; that is the bug's effect.
    drop(target.call(Request::post(format!("/orders/{last}/cancel"), json!({}))).await);
    target.sleep(Duration::from_secs(1_500)).await;
}

/// What is broken after the same trade with this SQL planted behind a service's store.
fn broken_by(service: &str, bug: &str) -> BTreeSet<Invariant> {
    SIMULATION
        .run(1, &[], async |target| {
            if !bug.is_empty() {
                target.world.db(service).unwrap().run_script(bug).await.unwrap();
            }
            trade(target).await;
            check(&Facts::read(target).await.unwrap(), &Grace::default()).broken()
        })
        .unwrap()
}

fn set(invariants: &[Invariant]) -> BTreeSet<Invariant> {
    invariants.iter().copied().collect()
}

#[test]
fn nothing_is_broken_where_nothing_is_planted() {
    assert_eq!(broken_by("order", ""), set(&[]));
}

/// Name, service, what is planted, what must break.
const BUGS: &[(&str, &str, &str, &[Invariant])] = &[
    (
        "a counter that gains a unit with each claim",
        "inventory",
        "CREATE TRIGGER bug AFTER UPDATE OF claimed ON stock WHEN NEW.claimed > OLD.claimed
         BEGIN UPDATE stock SET on_hand = on_hand + 1 WHERE seq = NEW.seq; END",
        &[Invariant::I1],
    ),
    (
        "a release that the journal forgets",
        "inventory",
        "CREATE TRIGGER bug BEFORE INSERT ON movements WHEN NEW.kind = 'release' BEGIN SELECT RAISE(IGNORE); END",
        &[Invariant::I2],
    ),
    (
        "a hold that is shown as held for ever",
        "inventory",
        "CREATE TRIGGER bug AFTER UPDATE OF status ON reservations WHEN NEW.status = 'RELEASED'
         BEGIN UPDATE reservations SET status = 'HELD', ended_at = NULL WHERE fencing_token = NEW.fencing_token; END",
        &[Invariant::I2],
    ),
    (
        "a claim with another hold's token",
        "inventory",
        "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind = 'claim'
         BEGIN UPDATE movements SET fencing_token = NEW.fencing_token + 1 WHERE seq = NEW.seq; END",
        &[Invariant::I3],
    ),
    (
        "a capture of a cent less than the order",
        "payment",
        "CREATE TRIGGER bug AFTER UPDATE OF captured ON payments WHEN NEW.captured > OLD.captured
         BEGIN UPDATE payments SET captured = captured - 1 WHERE id = NEW.id; END",
        &[Invariant::I9],
    ),
    (
        "an order whose status jumps",
        "order",
        "CREATE TRIGGER bug AFTER INSERT ON order_status_history WHEN NEW.status = 'CONFIRMED'
         BEGIN DELETE FROM order_status_history WHERE seq = NEW.seq; END",
        &[Invariant::I10],
    ),
    (
        "a version that is used twice",
        "order",
        "CREATE TRIGGER bug AFTER INSERT ON order_status_history WHEN NEW.status = 'PAID'
         BEGIN UPDATE order_status_history SET version = version - 1 WHERE seq = NEW.seq; END",
        &[Invariant::I10],
    ),
    (
        "a receipt that the journal writes smaller, and the counter too",
        "inventory",
        "CREATE TRIGGER bug AFTER UPDATE OF claimed ON stock WHEN NEW.sku = 'LAMP' AND NEW.claimed = 6
         BEGIN UPDATE movements SET quantity = 5 WHERE kind = 'receipt' AND sku = 'LAMP';
               UPDATE stock SET on_hand = 5 WHERE seq = NEW.seq; END",
        &[Invariant::I18],
    ),
    (
        "two reservations of one order",
        "inventory",
        "CREATE TRIGGER bug AFTER INSERT ON reservations WHEN NEW.fencing_token > 1
         BEGIN UPDATE reservations SET order_id = (SELECT order_id FROM reservations ORDER BY fencing_token LIMIT 1)
               WHERE fencing_token = NEW.fencing_token; END",
        &[Invariant::I9, Invariant::I20],
    ),
];

#[test]
fn each_planted_bug_breaks_its_set_and_no_other() {
    let mut wrong = Vec::new();
    for (name, service, bug, breaks) in BUGS {
        let broken = broken_by(service, bug);
        if broken != set(breaks) {
            wrong.push(format!("{name}: declared {breaks:?}, broken {broken:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_invariant_has_a_bug_and_any_two_are_told_apart() {
    for (position, one) in Invariant::ALL.iter().enumerate() {
        assert!(BUGS.iter().any(|(.., breaks)| breaks.contains(one)), "{one:?} has no bug");
        for other in &Invariant::ALL[position + 1..] {
            let apart = BUGS.iter().any(|(.., breaks)| breaks.contains(one) != breaks.contains(other));
            assert!(apart, "no bug tells {one:?} from {other:?}");
        }
    }
}
