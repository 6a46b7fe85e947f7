//! Many at once: nothing is sold twice and nothing is left over.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use inventory::MANIFEST;
use inventory_api::Reservation;
use platform::testing::Got;

use crate::{EU, Inventory, US, order};

fn count(answers: &[Got], status: u16) -> usize {
    answers.iter().filter(|got| got.status.as_u16() == status).count()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_and_more_at_once_sell_the_stock_out_to_the_last_unit_and_no_further() {
    let inventory = Inventory::with(&[("HOT", US, 700), ("HOT", EU, 300)]).await;
    let answers = join_all((0..1_500).map(|buyer| inventory.ask(order(buyer), "HOT", 1))).await;
    assert_eq!((count(&answers, 201), count(&answers, 409)), (1_000, 500));
    assert_eq!(inventory.counters("HOT").await, (1_000, 1_000, 0, 0));
    let held: Vec<Reservation> = answers.iter().filter(|got| got.status == 201).map(Got::view).collect();
    let tokens: BTreeSet<i64> = held.iter().map(|reservation| reservation.fencing_token).collect();
    assert_eq!(tokens.len(), 1_000, "each has a token of its own");
    let claims = join_all(held.iter().map(|reservation| inventory.claim(reservation))).await;
    assert_eq!(count(&claims, 200), 1_000);
    assert_eq!(inventory.counters("HOT").await, (1_000, 0, 1_000, 0));
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn two_instances_share_one_stock() {
    let inventory = Inventory::with(&[("HOT", US, 100)]).await;
    inventory.world.start(&MANIFEST, 1).await.unwrap();
    let answers = join_all((0..300).map(|buyer| inventory.ask(order(buyer), "HOT", 1))).await;
    assert_eq!((count(&answers, 201), count(&answers, 409)), (100, 200));
    inventory.world.kill("inventory", 0);
    inventory.pass(Duration::from_secs(700)).await;
    assert_eq!(inventory.counters("HOT").await, (100, 0, 0, 100), "the one that is left ends the holds of both");
    assert_eq!(inventory.events("inventory.released.v1").await.len(), 100);
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn one_order_that_asks_many_times_at_once_is_held_for_once() {
    let inventory = Inventory::with(&[("LAMP", US, 50)]).await;
    let answers = join_all((0..20).map(|_| inventory.ask(order(1), "LAMP", 2))).await;
    let ids: BTreeSet<_> = answers.iter().map(|got| got.view::<Reservation>().reservation_id).collect();
    assert_eq!((count(&answers, 201), ids.len()), (20, 1));
    assert_eq!(inventory.counters("LAMP").await, (50, 2, 0, 48));
}

#[tokio::test(start_paused = true)]
async fn orders_that_want_the_same_two_things_in_another_order_all_end_with_both_or_nothing() {
    let inventory = Inventory::with(&[("LAMP", US, 30), ("DESK", US, 20)]).await;
    let asks = (0..60).map(|buyer| {
        let (first, second) = if buyer % 2 == 0 { ("LAMP", "DESK") } else { ("DESK", "LAMP") };
        let items = serde_json::json!([{"sku": first, "quantity": 1}, {"sku": second, "quantity": 1}]);
        let body = serde_json::json!({"orderId": order(buyer), "items": items});
        let inventory = &inventory;
        async move { inventory.post("/inventory/reserve", &body).await }
    });
    let answers = join_all(asks).await;
    assert_eq!((count(&answers, 201), count(&answers, 409)), (20, 40));
    assert_eq!((inventory.counters("LAMP").await, inventory.counters("DESK").await), ((30, 20, 0, 10), (20, 20, 0, 0)));
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_and_a_release_at_the_same_time_end_the_hold_once() {
    let inventory = Inventory::with(&[("LAMP", US, 40)]).await;
    let mut held = Vec::new();
    for buyer in 0..40 {
        held.push(inventory.hold(order(buyer), "LAMP", 1).await);
    }
    let both = held.iter().map(|reservation| async { futures::join!(inventory.release(reservation), inventory.claim(reservation)) });
    for (released, claimed) in join_all(both).await {
        assert_eq!(released.status, 200);
        assert!(claimed.status == 200 || claimed.slug() == "reservation-ended");
    }
    let (on_hand, held, claimed, available) = inventory.counters("LAMP").await;
    assert_eq!((on_hand, held, claimed, available), (40, 0, 0, 40));
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_in_the_middle_of_a_rush_leaves_whole_reservations_only() {
    for after_micros in [1, 5, 50, 500] {
        let inventory = Inventory::with(&[("HOT", US, 50)]).await;
        let clock = inventory.world.clock();
        let rush = join_all((0..100).map(|buyer| inventory.ask(order(buyer), "HOT", 1)));
        drop(clock.timeout(Duration::from_micros(after_micros), rush).await);
        inventory.world.kill("inventory", 0);
        inventory.pass(Duration::from_secs(1)).await;
        inventory.world.start(&MANIFEST, 0).await.unwrap();
        let (_, held, _, available) = inventory.counters("HOT").await;
        assert_eq!(held + available, 50);
        assert_eq!(i64::try_from(inventory.facts("reservations").await.len()), Ok(held));
        inventory.check_books().await;
        inventory.pass(Duration::from_secs(700)).await;
        assert_eq!(inventory.counters("HOT").await, (50, 0, 0, 50));
        inventory.check_books().await;
    }
}
