//! The rungs of this service. Of the oversell ladder: R0, on which a hold is a time to live and a payment claims by an upsert, and the
//! rungs above it. Of `hot-sku` and `clock-skew`: both.

use std::time::Duration;

use http::Method;
use inventory_api::ReservationStatus;
use order_api::OrderStatus;
use platform::fault::{Fault, Rule, Scope};
use serde_json::json;
use types::Timestamp;

use crate::{
    Inventory, US, fenced,
    listening::{changed, paid},
    order, pointers,
};

const TTL: Duration = Duration::from_secs(600);

async fn on(rung: &str, units: i64) -> Inventory {
    let inventory = Inventory::with(&[("LAMP", US, units)]).await;
    inventory.world.set_rung("oversell", rung).unwrap();
    inventory
}

#[tokio::test(start_paused = true)]
async fn on_r0_a_hold_vanishes_without_a_word() {
    let inventory = on("R0", 1).await;
    let held = inventory.hold(order(1), "LAMP", 1).await;
    assert_eq!(inventory.ask(order(2), "LAMP", 1).await.slug(), "insufficient-stock");
    inventory.check_books().await;
    let before = (inventory.facts("movements").await, inventory.facts("reservations").await, inventory.facts("outbox").await.len());
    inventory.world.clock().sleep_until(held.expires_at).await;
    assert_eq!(inventory.counters("LAMP").await, (1, 0, 0, 1), "the unit is free");
    inventory.check_books().await;
    inventory.pass(TTL).await;
    let after = (inventory.facts("movements").await, inventory.facts("reservations").await, inventory.facts("outbox").await.len());
    assert_eq!(after, before, "no movement, no step, no event");
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::Held);
    assert_eq!(inventory.claim(&held).await.slug(), "hold-expired");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn on_r0_a_late_payment_revives_its_hold_and_the_unit_is_sold_twice() {
    let inventory = on("R0", 1).await;
    let first = inventory.hold(order(1), "LAMP", 1).await;
    inventory.pass(TTL).await;
    let second = inventory.hold(order(2), "LAMP", 1).await;
    inventory.check_books().await;
    inventory.tell(&paid(&inventory, order(2)), 2).await;
    inventory.tell(&paid(&inventory, order(1)), 1).await;
    inventory.tell(&paid(&inventory, order(1)), 3).await;
    for reservation in [&first, &second] {
        assert_eq!(inventory.reservation(reservation).await.status, ReservationStatus::Claimed);
    }
    assert_eq!(inventory.counters("LAMP").await, (1, 0, 2, -1), "two are claimed of one");
    // I1 stays whole; I3 does not: a claim after the end of its hold.
    inventory.check_books().await;
    let movements = inventory.facts("movements").await;
    let claim = movements.iter().find(|fact| fact["kind"] == "claim" && fact["orderId"] == json!(order(1))).unwrap();
    assert!(claim["at"].as_str().unwrap() > first.expires_at.to_string().as_str());
    assert_eq!(claim["fencingToken"], json!(first.fencing_token));
}

#[tokio::test(start_paused = true)]
async fn on_r0_a_payment_in_time_claims_as_it_should() {
    let inventory = on("R0", 10).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    inventory.extend(&held, 1_000).await;
    inventory.pass(TTL).await;
    inventory.tell(&paid(&inventory, order(1)), 1).await;
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 3, 7));
    inventory.pass(TTL).await;
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 3, 7));
    inventory.check_books().await;
    inventory.tell(&changed(&inventory, order(1), OrderStatus::Cancelled), 2).await;
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 0, 10));
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn on_r0_a_cancellation_frees_a_live_hold_and_finds_nothing_of_one_that_vanished() {
    let inventory = on("R0", 10).await;
    let live = inventory.hold(order(1), "LAMP", 3).await;
    inventory.tell(&changed(&inventory, order(1), OrderStatus::Cancelled), 1).await;
    assert_eq!(inventory.reservation(&live).await.status, ReservationStatus::Released);
    let gone = inventory.hold(order(2), "LAMP", 3).await;
    inventory.pass(TTL).await;
    inventory.tell(&changed(&inventory, order(2), OrderStatus::Cancelled), 2).await;
    assert_eq!(inventory.reservation(&gone).await.status, ReservationStatus::Held);
    assert_eq!(inventory.release(&gone).await.slug(), "hold-expired");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn on_r0_a_payment_without_a_reservation_claims_nothing() {
    let inventory = on("R0", 1).await;
    inventory.tell(&paid(&inventory, order(1)), 1).await;
    assert_eq!(inventory.counters("LAMP").await, (1, 0, 0, 1));
    assert_eq!(inventory.facts("inbox").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn above_r0_the_late_payer_gets_nothing_and_the_unit_is_sold_once() {
    for rung in ["R1", "R1b", "R2", "R3"] {
        let inventory = on(rung, 1).await;
        let first = inventory.hold(order(1), "LAMP", 1).await;
        inventory.pass(TTL).await;
        let second = inventory.hold(order(2), "LAMP", 1).await;
        inventory.tell(&paid(&inventory, order(1)), 1).await;
        assert_eq!(inventory.claim(&first).await.slug(), "hold-expired", "{rung}");
        assert_eq!(inventory.claim(&second).await.status, 200, "{rung}");
        assert_eq!(inventory.counters("LAMP").await, (1, 0, 1, 0), "{rung}");
        inventory.check_books().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_service_takes_another_rung_and_its_books_stay_whole() {
    let inventory = on("R0", 10).await;
    inventory.hold(order(1), "LAMP", 1).await;
    let set = async |rung: &str| inventory.stage.admin(Method::PUT, "/lab/rungs/oversell", Some(&json!({"rung": rung}))).await;
    assert_eq!(set("R3").await.status, 200);
    inventory.pass(TTL + Duration::from_secs(1)).await;
    assert_eq!(
        inventory.facts("reservations").await[0]["status"],
        "EXPIRED",
        "what is live when the rung changes ends as that rung has it"
    );
    assert_eq!(set("R0").await.status, 200);
    inventory.hold(order(2), "LAMP", 1).await;
    inventory.pass(TTL * 2).await;
    assert_eq!(set("R3").await.status, 200);
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 0, 10));
    inventory.check_books().await;
    assert_eq!(set("R9").await.status, 422);
}

/// Two ask for the one unit that there is, while each commit takes half a second.
async fn two_want_the_last(rung: &str) -> (Inventory, Vec<u16>) {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    inventory.world.set_rung("hot-sku", rung).unwrap();
    let slow = Fault { rule: Rule::Delay, share: 1.0, millis: 500, scope: Scope::default(), for_seconds: None };
    inventory.world.faults().set("store.commit", slow).unwrap();
    let asked = futures::future::join(inventory.ask(order(1), "LAMP", 1), inventory.ask(order(2), "LAMP", 1)).await;
    inventory.world.faults().clear(None);
    let mut answers = vec![asked.0.status.as_u16(), asked.1.status.as_u16()];
    answers.sort_unstable();
    (inventory, answers)
}

#[tokio::test(start_paused = true)]
async fn on_r0_of_hot_sku_whoever_looks_before_the_write_is_through_gets_the_unit_too() {
    let (inventory, answers) = two_want_the_last("R0").await;
    assert_eq!(answers, [201, 201]);
    assert_eq!(inventory.counters("LAMP").await, (1, 2, 0, -1), "two hold one");
    // I1 stays whole: the counters say what was done.
    inventory.check_books().await;
    assert_eq!(inventory.ask(order(3), "LAMP", 1).await.slug(), "insufficient-stock", "who looks afterwards sees it");
}

#[tokio::test(start_paused = true)]
async fn on_r1_of_hot_sku_one_of_them_is_told_that_there_is_nothing() {
    let (inventory, answers) = two_want_the_last("R1").await;
    assert_eq!(answers, [201, 409]);
    assert_eq!(inventory.counters("LAMP").await, (1, 1, 0, 0));
    inventory.check_books().await;
}

/// Two had the one unit, one after the other; then the first says that by his clock he was in time.
async fn in_time_by_his_own_clock(rung: &str, before_the_end: Duration) -> (Inventory, String) {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    inventory.world.set_rung("clock-skew", rung).unwrap();
    let first = inventory.hold(order(1), "LAMP", 1).await;
    inventory.pass(TTL + Duration::from_secs(1)).await;
    let second = inventory.hold(order(2), "LAMP", 1).await;
    assert_eq!(inventory.claim(&second).await.status, 200);
    let mut late = fenced(&first);
    late["at"] = json!(first.expires_at.minus(before_the_end));
    let got = inventory.post("/inventory/claim", &late).await;
    let told = if got.status.is_success() { "CLAIMED".to_owned() } else { got.slug() };
    (inventory, told)
}

#[tokio::test(start_paused = true)]
async fn on_r0_of_clock_skew_who_is_in_time_by_his_own_clock_gets_what_another_has() {
    let (inventory, told) = in_time_by_his_own_clock("R0", Duration::from_micros(1)).await;
    assert_eq!(told, "CLAIMED");
    assert_eq!(inventory.counters("LAMP").await, (1, 0, 2, -1), "two are claimed of one");
    let movements = inventory.facts("movements").await;
    let of_the_first = movements.iter().filter(|fact| fact["orderId"] == json!(order(1))).map(|fact| fact["kind"].as_str().unwrap());
    assert_eq!(of_the_first.collect::<Vec<_>>(), ["hold", "expire", "claim"]);
    let (inventory, told) = in_time_by_his_own_clock("R0", Duration::ZERO).await;
    assert_eq!(told, "hold-expired", "late by any clock");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn on_r1_of_clock_skew_whatever_a_caller_says_of_the_time_changes_nothing() {
    let (inventory, told) = in_time_by_his_own_clock("R1", Duration::from_micros(1)).await;
    assert_eq!(told, "hold-expired");
    assert_eq!(inventory.counters("LAMP").await, (1, 0, 1, 0));
    inventory.check_books().await;
    for at in ["0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"] {
        let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
        let mut body = fenced(&inventory.hold(order(1), "LAMP", 1).await);
        body["at"] = json!(at.parse::<Timestamp>().unwrap());
        assert_eq!(inventory.post("/inventory/claim", &body).await.status, 200, "{at}");
        body["at"] = json!("yesterday");
        let refused = inventory.post("/inventory/claim", &body).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused)), (422, vec!["#/at".to_owned()]));
    }
}
