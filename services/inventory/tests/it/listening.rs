//! What inventory-service makes of what it hears.

use std::time::Duration;

use inventory_api::ReservationStatus;
use order_api::{OrderStatus, events::OrderStatusChanged};
use payment_api::events::PaymentAuthorized;
use platform::fault::{Fault, Rule};
use types::{Currency, Money, OrderId, PaymentId, id::Uuid};

use crate::{Inventory, US, order};

pub fn changed(inventory: &Inventory, order_id: OrderId, status: OrderStatus) -> OrderStatusChanged {
    let at = inventory.world.clock().now();
    OrderStatusChanged { order_id, customer_id: None, previous: None, status, reason: None, version: 2, at }
}

pub fn paid(inventory: &Inventory, order_id: OrderId) -> PaymentAuthorized {
    PaymentAuthorized {
        payment_id: PaymentId(Uuid::from_u128(order_id.uuid().as_u128() + (1 << 64))),
        order_id,
        amount: Money::new(1999, Currency::Usd),
        version: 2,
        reason: None,
        refunded: None,
        kept: None,
        at: inventory.world.clock().now(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_order_frees_what_it_held() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    let cancelled = changed(&inventory, order(1), OrderStatus::Cancelled);
    inventory.tell(&cancelled, 1).await;
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::Released);
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 0, 10));
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_order_gives_back_what_it_had_claimed_once_however_often_it_is_heard() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    inventory.claim(&held).await;
    let cancelled = changed(&inventory, order(1), OrderStatus::Cancelled);
    inventory.tell(&cancelled, 1).await;
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::ReturnedToStock);
    let before = inventory.everything().await;
    // The same event again, and another that says the same.
    inventory.tell(&cancelled, 1).await;
    inventory.tell(&cancelled, 2).await;
    assert_eq!(inventory.everything().await, before);
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 0, 10));
    assert_eq!(inventory.facts("inbox").await.len(), 2, "each event is noted once");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn an_old_cancellation_that_comes_again_does_not_touch_a_new_hold() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    inventory.hold(order(1), "LAMP", 3).await;
    let cancelled = changed(&inventory, order(1), OrderStatus::Cancelled);
    inventory.tell(&cancelled, 1).await;
    let again = inventory.hold(order(1), "LAMP", 3).await;
    inventory.tell(&cancelled, 1).await;
    assert_eq!(inventory.reservation(&again).await.status, ReservationStatus::Held);
}

#[tokio::test(start_paused = true)]
async fn a_shipped_order_takes_its_units_out_of_the_house() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    inventory.claim(&held).await;
    let shipped = changed(&inventory, order(1), OrderStatus::Shipped);
    inventory.tell(&shipped, 1).await;
    inventory.tell(&shipped, 1).await;
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::Shipped);
    assert_eq!(inventory.counters("LAMP").await, (7, 0, 0, 7));
    let cancelled = changed(&inventory, order(1), OrderStatus::Cancelled);
    inventory.tell(&cancelled, 2).await;
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::Shipped, "what has left does not come back by itself");
    assert_eq!(inventory.release(&held).await.slug(), "reservation-ended");
    assert_eq!(inventory.claim(&held).await.status, 200, "it was claimed, and that is what is asked");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn other_steps_of_an_order_and_orders_without_a_reservation_change_nothing_but_are_noted() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    inventory.hold(order(1), "LAMP", 3).await;
    let before = inventory.everything().await;
    for (number, status) in (1..).zip([OrderStatus::Pending, OrderStatus::Reserved, OrderStatus::Paid, OrderStatus::Shipped]) {
        inventory.tell(&changed(&inventory, order(1), status), number).await;
    }
    inventory.tell(&changed(&inventory, order(2), OrderStatus::Cancelled), 9).await;
    assert_eq!(inventory.everything().await, before);
    assert_eq!(inventory.facts("inbox").await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_is_noted_together_and_what_comes_between_has_its_effect() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    let told = |number: u128| {
        let status = if number == 20 { OrderStatus::Cancelled } else { OrderStatus::Paid };
        (changed(&inventory, order(1), status), number)
    };
    let all: Vec<_> = (1..=40).map(told).collect();
    let db = inventory.world.db("inventory").unwrap();
    let transactions = || db.counters().transactions.load(std::sync::atomic::Ordering::Relaxed);
    let before = transactions();
    inventory.tell_all(all.iter().map(|(event, id)| (event, *id))).await;
    let taken = transactions() - before;
    assert!(taken < 12, "{taken} transactions for 39 notes and a cancellation");
    assert_eq!(inventory.facts("inbox").await.len(), 40);
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::Released);
    inventory.tell_all(all.iter().map(|(event, id)| (event, *id))).await;
    assert_eq!(inventory.facts("inbox").await.len(), 40, "each is noted once");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn notes_that_cannot_be_kept_are_kept_when_the_store_is_there_again() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    inventory.world.faults().set("store.commit", Fault::always(Rule::Fail).of_service("inventory")).unwrap();
    let statuses = [OrderStatus::Reserved, OrderStatus::Paid, OrderStatus::Cancelled, OrderStatus::Paid];
    let all: Vec<_> = statuses.map(|status| changed(&inventory, order(1), status)).into_iter().collect();
    inventory.tell_all(all.iter().zip(1..)).await;
    assert_eq!(inventory.facts("inbox").await.len(), 0);
    inventory.world.faults().clear(None);
    inventory.pass(Duration::from_secs(60)).await;
    assert_eq!(inventory.facts("inbox").await.len(), 4);
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::Released);
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_an_echo_the_saga_claims() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    let before = inventory.everything().await;
    let told = paid(&inventory, order(1));
    inventory.tell(&told, 1).await;
    inventory.tell(&told, 1).await;
    assert_eq!(inventory.everything().await, before);
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::Held);
    let noted = inventory.facts("inbox").await;
    assert_eq!(noted.len(), 1);
    assert_eq!(noted[0]["consumer"], "payment.authorized.v1");
    inventory.pass(Duration::from_secs(600)).await;
    assert_eq!(inventory.reservation(&held).await.status, ReservationStatus::Expired, "a payment does not keep a hold alive");
}
