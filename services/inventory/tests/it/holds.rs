//! Claim, extend, release, and the end of a hold's time.

use std::{collections::BTreeSet, time::Duration};

use inventory_api::{Reservation, ReservationStatus};
use platform::auth::Role;
use serde_json::json;

use crate::{EU, Inventory, US, fenced, order};

const MICROSECOND: Duration = Duration::from_micros(1);

#[tokio::test(start_paused = true)]
async fn a_claim_turns_held_units_into_claimed_ones_and_a_repeat_changes_nothing() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    let got = inventory.claim(&held).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.view::<Reservation>(), Reservation { status: ReservationStatus::Claimed, ..held.clone() });
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 3, 7));
    let before = inventory.everything().await;
    let again = inventory.claim(&held).await;
    assert_eq!((again.status, &again.body), (got.status, &got.body));
    assert_eq!(inventory.everything().await, before);
    inventory.pass(Duration::from_secs(3600)).await;
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 3, 7), "a claim does not run out");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_can_be_claimed_up_to_its_end_and_not_at_it() {
    let inventory = Inventory::with(&[("LAMP", US, 2)]).await;
    let clock = inventory.world.clock();
    let early = inventory.hold(order(1), "LAMP", 1).await;
    let late = inventory.hold(order(2), "LAMP", 1).await;
    assert_eq!(early.expires_at, late.expires_at);
    clock.sleep_until(early.expires_at.minus(MICROSECOND)).await;
    assert_eq!(inventory.claim(&early).await.status, 200);
    clock.sleep_until(late.expires_at).await;
    let got = inventory.claim(&late).await;
    assert_eq!((got.status.as_u16(), got.slug().as_str()), (409, "hold-expired"));
    assert_eq!(inventory.counters("LAMP").await, (2, 0, 1, 1));
    assert_eq!(inventory.reservation(&late).await.status, ReservationStatus::Expired);
    inventory.pass(Duration::from_secs(1)).await;
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_free_at_the_very_moment_at_which_its_hold_ends() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let clock = inventory.world.clock();
    let held = inventory.hold(order(1), "LAMP", 1).await;
    clock.sleep_until(held.expires_at.minus(MICROSECOND)).await;
    assert_eq!(inventory.ask(order(2), "LAMP", 1).await.slug(), "insufficient-stock");
    clock.sleep_until(held.expires_at).await;
    assert_eq!(inventory.counters("LAMP").await, (1, 0, 0, 1));
    assert_eq!(inventory.ask(order(2), "LAMP", 1).await.status, 201);
    inventory.pass(Duration::from_secs(1)).await;
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_holds_that_end_at_once_are_all_free_to_whoever_asks_first() {
    let inventory = Inventory::with(&[("LAMP", US, 300)]).await;
    let mut last = None;
    for number in 0..300 {
        last = Some(inventory.hold(order(number), "LAMP", 1).await);
    }
    inventory.world.clock().sleep_until(last.unwrap().expires_at).await;
    assert_eq!(inventory.ask(order(1_000), "LAMP", 300).await.status, 201);
    inventory.pass(Duration::from_secs(1)).await;
    assert_eq!(inventory.events("inventory.released.v1").await.len(), 300);
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_nobody_touches_is_ended_on_time_and_told_once() {
    let inventory = Inventory::with(&[("LAMP", US, 5)]).await;
    // A long one first, so that the sweeper sleeps; the short one must wake it.
    inventory.hold(order(1), "LAMP", 1).await;
    let body = json!({"orderId": order(2), "items": [{"sku": "LAMP", "quantity": 2}], "ttlSeconds": 2});
    let short: Reservation = inventory.post("/inventory/reserve", &body).await.view();
    inventory.world.clock().sleep_until(short.expires_at.plus(Duration::from_millis(1))).await;
    let fact = inventory.facts("reservations").await.pop().unwrap();
    assert_eq!((fact["status"].as_str(), fact["endedAt"].as_str()), (Some("EXPIRED"), Some(short.expires_at.to_string().as_str())));
    inventory.pass(Duration::from_secs(3600)).await;
    let told: Vec<_> = inventory
        .events("inventory.released.v1")
        .await
        .into_iter()
        .filter(|event| event["reservation_id"] == json!(short.reservation_id))
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["reason"], &told[0]["order_id"]), (&json!("expired"), &json!(order(2))));
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn an_extended_hold_lasts_from_now_and_never_less_than_it_would_have() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let held = inventory.hold(order(1), "LAMP", 1).await;
    let shorter = inventory.extend(&held, 60).await;
    assert_eq!((shorter.status.as_u16(), shorter.view::<Reservation>()), (200, held.clone()));
    inventory.pass(Duration::from_secs(500)).await;
    let longer: Reservation = inventory.extend(&held, 600).await.view();
    assert_eq!(longer.expires_at, inventory.world.clock().now().plus(Duration::from_secs(600)));
    assert_eq!(longer.fencing_token, held.fencing_token);
    inventory.world.clock().sleep_until(longer.expires_at.minus(MICROSECOND)).await;
    assert_eq!(inventory.counters("LAMP").await, (1, 1, 0, 0));
    assert_eq!(inventory.claim(&held).await.status, 200, "the token is still the first one");
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_is_out_of_range_is_refused() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let held = inventory.hold(order(1), "LAMP", 1).await;
    for seconds in [0, 86_401] {
        let got = inventory.extend(&held, seconds).await;
        assert_eq!((got.status.as_u16(), crate::pointers(&got)), (422, vec!["#/ttlSeconds".to_owned()]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_released_hold_is_free_again_and_a_repeat_changes_nothing() {
    let inventory = Inventory::with(&[("LAMP", US, 10), ("LAMP", EU, 1)]).await;
    let held = inventory.hold(order(1), "LAMP", 11).await;
    assert_eq!(held.items.len(), 2);
    let got = inventory.release(&held).await;
    assert_eq!((got.status.as_u16(), got.view::<Reservation>().status), (200, ReservationStatus::Released));
    assert_eq!(inventory.counters("LAMP").await, (11, 0, 0, 11));
    let before = inventory.everything().await;
    let again = inventory.release(&held).await;
    assert_eq!((again.status, &again.body), (got.status, &got.body));
    assert_eq!(inventory.everything().await, before);
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn a_released_claim_goes_back_to_the_stock() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    inventory.claim(&held).await;
    let got = inventory.release(&held).await;
    assert_eq!((got.status.as_u16(), got.view::<Reservation>().status), (200, ReservationStatus::ReturnedToStock));
    assert_eq!(inventory.counters("LAMP").await, (10, 0, 0, 10));
    assert_eq!(inventory.release(&held).await.status, 200);
    let ended = inventory.claim(&held).await;
    assert_eq!((ended.status.as_u16(), ended.slug().as_str()), (409, "reservation-ended"));
    assert_eq!(ended.json()["currentStatus"], json!("RETURNED_TO_STOCK"));
    inventory.pass(Duration::from_secs(1)).await;
    assert_eq!(inventory.events("inventory.released.v1").await[0]["reason"], json!("returned"));
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn another_token_changes_nothing_whatever_the_state() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 3).await;
    let stale = Reservation { fencing_token: held.fencing_token + 1, ..held.clone() };
    for claimed in [false, true] {
        if claimed {
            inventory.claim(&held).await;
        }
        let before = inventory.everything().await;
        for got in [inventory.claim(&stale).await, inventory.release(&stale).await, inventory.extend(&stale, 600).await] {
            assert_eq!((got.status.as_u16(), got.slug().as_str()), (409, "stale-token"));
        }
        assert_eq!(inventory.everything().await, before);
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_refuses_what_comes_after_and_says_how_it_ended() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let expired = inventory.hold(order(1), "LAMP", 1).await;
    inventory.pass(Duration::from_secs(601)).await;
    let released = inventory.hold(order(2), "LAMP", 1).await;
    inventory.release(&released).await;
    let claimed = inventory.hold(order(3), "LAMP", 1).await;
    inventory.claim(&claimed).await;
    let before = inventory.everything().await;
    for (got, slug) in [
        (inventory.claim(&expired).await, "hold-expired"),
        (inventory.extend(&expired, 600).await, "hold-expired"),
        (inventory.release(&expired).await, "hold-expired"),
        (inventory.claim(&released).await, "reservation-ended"),
        (inventory.extend(&released, 600).await, "reservation-ended"),
        (inventory.extend(&claimed, 600).await, "reservation-ended"),
    ] {
        assert_eq!((got.status.as_u16(), got.slug().as_str()), (409, slug));
    }
    assert_eq!(inventory.everything().await, before);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_reservation_is_not_found() {
    let inventory = Inventory::with(&[]).await;
    let body = json!({"reservationId": order(1), "fencingToken": 1, "ttlSeconds": 5});
    for path in ["claim", "release"] {
        let got = inventory.post(&format!("/inventory/{path}"), &json!({"reservationId": order(1), "fencingToken": 1})).await;
        assert_eq!((got.status.as_u16(), got.slug().as_str()), (404, "not-found"), "{path}");
    }
    assert_eq!(inventory.post("/inventory/extend", &body).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn each_step_under_its_key_has_one_effect_and_one_answer() {
    let inventory = Inventory::with(&[("LAMP", US, 10)]).await;
    let held = inventory.hold(order(1), "LAMP", 1).await;
    let mut extend = fenced(&held);
    extend["ttlSeconds"] = json!(900);
    for (path, body) in [("extend", extend), ("claim", fenced(&held)), ("release", fenced(&held))] {
        let path = format!("/inventory/{path}");
        let first = inventory.post_with_key(&path, &body, "k").await;
        assert_eq!(first.status, 200, "{path}");
        inventory.pass(Duration::from_secs(10)).await;
        let before = inventory.everything().await;
        let again = inventory.post_with_key(&path, &body, "k").await;
        assert_eq!((again.status, &again.body, again.header("idempotency-replayed")), (first.status, &first.body, Some("true")));
        assert_eq!(inventory.everything().await, before, "{path}");
    }
    inventory.check_books().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_token_anybody_may_release_where_nobody_is_asked_who_they_are() {
    let inventory = Inventory::with(&[("LAMP", US, 1)]).await;
    let held = inventory.hold(order(1), "LAMP", 1).await;
    let got = inventory.post("/inventory/release", &json!({"reservationId": held.reservation_id})).await;
    assert_eq!((got.status.as_u16(), got.view::<Reservation>().status), (200, ReservationStatus::Released));
}

#[tokio::test(start_paused = true)]
async fn without_a_token_only_an_operator_may_release_where_tokens_are_asked_for() {
    let inventory = Inventory::of(1, |settings| settings.with("platform.auth", "jwt").unwrap(), &[]).await;
    let bearer = |role: Role| {
        let token = inventory.world.keys().issue("somebody", BTreeSet::from([role]), Duration::from_secs(600)).unwrap();
        format!("Bearer {token}")
    };
    let (operator, agent) = (bearer(Role::Operator), bearer(Role::Agent));
    let send = async |path: &str, body: serde_json::Value, headers: &[(&'static str, &str)]| {
        inventory.send(http::Method::POST, path, Some(&body), headers).await
    };
    let stock = json!({"sku": "LAMP", "warehouse": US, "delta": 1, "reason": "count"});
    send("/inventory/adjust", stock, &[("authorization", &operator)]).await;
    let ask = json!({"orderId": order(1), "items": [{"sku": "LAMP", "quantity": 1}]});
    let held: Reservation = send("/inventory/reserve", ask, &[("authorization", &operator)]).await.view();
    let release = json!({"reservationId": held.reservation_id});
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", "Bearer nonsense")], 401),
        (vec![("authorization", agent.as_str())], 403),
        (vec![("authorization", operator.as_str())], 200),
    ] {
        assert_eq!(send("/inventory/release", release.clone(), &headers).await.status, status, "{headers:?}");
    }
}
