//! C-03: an erasure that was promised is done, in every service, whatever happens meanwhile.

use std::time::Duration;

use customer_api::{ErasureStatus, ErasureTaken, ServiceErasure};
use futures::future::{join, join_all};
use http::StatusCode;
use platform::testing::Stage;
use serde_json::json;

use crate::stage::{Mode, Shop, plain};

fn services(erasure: &customer_api::Erasure) -> Vec<(&str, ServiceErasure)> {
    erasure.services.iter().map(|(service, status)| (service.as_str(), *status)).collect()
}

const DONE: ServiceErasure = ServiceErasure::Done;
const PENDING: ServiceErasure = ServiceErasure::Pending;

#[tokio::test(start_paused = true)]
async fn a_customer_is_erased_in_every_service() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}", mai.id);
    shop.post(&format!("{path}/segments"), &json!({"segments": ["VIP"]})).await;
    shop.get(&path).await;
    let got = shop.post(&format!("{path}/erasure"), &json!({})).await;
    let taken: ErasureTaken = got.view();
    assert_eq!((got.status, taken.status), (StatusCode::ACCEPTED, ErasureStatus::Queued));
    let location = format!("{path}/erasure/{}", taken.job_id);
    assert_eq!(got.header("location"), Some(location.as_str()));
    shop.seconds(1).await;

    let erasure = shop.erasure(&location).await;
    assert_eq!((erasure.job_id, erasure.status), (taken.job_id, ErasureStatus::Completed));
    assert_eq!(services(&erasure), [("cart", DONE), ("customer", DONE), ("order", DONE)]);
    assert!(erasure.finished_at.is_some_and(|finished| finished >= erasure.requested_at));
    assert_eq!(shop.cart.calls(), [format!("POST /carts/customers/{}/erasure", mai.id)]);
    assert_eq!(shop.order.calls(), [format!("POST /orders/customers/{}/erasure", mai.id)]);

    for got in [
        shop.get(&path).await,
        shop.put(&path, &plain("mai@example.com")).await,
        shop.put_if(mai.id, &plain("mai@example.com"), "\"1\"").await,
        shop.post(&format!("{path}/segments"), &json!({"segments": []})).await,
        shop.post(&format!("{path}/segments"), &json!({"recalculate": true})).await,
    ] {
        assert_eq!((got.status.as_u16(), got.slug().as_str()), (410, "customer-erased"), "{}", got.json());
    }
    assert_eq!(shop.order.calls().len(), 1, "nobody is asked about somebody who was erased");
    assert_eq!(shop.cached(&format!("customer::{}", mai.id)).await, None);
    assert_eq!(shop.get("/customers").await.json()["items"], json!([]));
    assert_eq!(shop.get("/customers?email=mai@example.com").await.json()["items"], json!([]));

    let events = shop.events("customer.updated.v1").await;
    let last = events.last().unwrap();
    assert_eq!((events.len(), &last["status"], &last["version"], &last["region"]), (2, &json!("ERASED"), &json!(3), &json!("US")));
    assert_eq!(last["changed"], json!(["email", "fullName", "locale", "segments", "status"]));
    let fact = &shop.facts("customers").await[0];
    assert_eq!((&fact["status"], &fact["segments"], &fact["version"]), (&json!("ERASED"), &json!([]), &json!(3)));

    let again = shop.customer("mai@example.com").await;
    assert_ne!(again.id, mai.id, "the address is free again");
}

#[tokio::test(start_paused = true)]
async fn an_erased_customer_is_not_shown_from_the_cache() {
    let shop = Shop::open().await;
    shop.slow_bus(3_600).await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}", mai.id);
    assert_eq!(shop.get(&path).await.status, StatusCode::OK);
    let location = shop.erase(mai.id).await;
    shop.seconds(1).await;
    assert_eq!(shop.erasure(&location).await.status, ErasureStatus::Completed);
    assert_eq!(shop.cached(&format!("customer::{}", mai.id)).await, None);
    assert_eq!(shop.get(&path).await.status, StatusCode::GONE);
}

#[tokio::test(start_paused = true)]
async fn a_second_request_is_the_same_job_however_far_it_is() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}/erasure", mai.id);
    let body = json!({});
    let answers = join_all((0..10).map(|_| shop.post(&path, &body))).await;
    let first: ErasureTaken = answers[0].view();
    assert!(answers.iter().all(|got| got.status == StatusCode::ACCEPTED && got.view::<ErasureTaken>().job_id == first.job_id));
    shop.seconds(1).await;
    let after: ErasureTaken = shop.post(&path, &body).await.view();
    assert_eq!((after.job_id, after.status), (first.job_id, ErasureStatus::Completed));
    assert_eq!(shop.order.calls().len(), 1);
    assert_eq!(shop.post(&path, &json!({"why": "x"})).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(start_paused = true)]
async fn the_same_key_is_answered_the_same_after_the_erasure_too() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}/erasure", mai.id);
    let first = shop.post_with_key(&path, &json!({}), "k").await;
    shop.seconds(5).await;
    let again = shop.post_with_key(&path, &json!({}), "k").await;
    assert_eq!((again.status, &again.body, again.header("location")), (first.status, &first.body, first.header("location")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_down_is_asked_until_it_is_up_and_holds_nobody_else_up() {
    for mode in [Mode::Answering(503), Mode::Answering(500), Mode::Answering(404), Mode::Silent] {
        let shop = Shop::open().await;
        shop.cart.set(mode.clone());
        let mai = shop.customer("mai@example.com").await;
        let location = shop.erase(mai.id).await;
        shop.seconds(60).await;
        let erasure = shop.erasure(&location).await;
        assert_eq!((erasure.status, erasure.finished_at), (ErasureStatus::Running, None), "{mode:?}");
        assert_eq!(services(&erasure), [("cart", PENDING), ("customer", DONE), ("order", DONE)], "{mode:?}");
        assert_eq!(shop.order.calls().len(), 1, "who has done it is not asked again");

        // Another customer is erased meanwhile, as far as it goes.
        let ann = shop.customer("ann@example.com").await;
        let other = shop.erase(ann.id).await;
        shop.seconds(120).await;
        assert_eq!(services(&shop.erasure(&other).await), [("cart", PENDING), ("customer", DONE), ("order", DONE)], "{mode:?}");

        shop.cart.set(Mode::Well);
        shop.seconds(400).await;
        for location in [location, other] {
            let erasure = shop.erasure(&location).await;
            assert_eq!(erasure.status, ErasureStatus::Completed, "{mode:?}");
            assert_eq!(services(&erasure), [("cart", DONE), ("customer", DONE), ("order", DONE)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_two_tries_grow_to_the_longest_and_stay_there() {
    let shop = Shop::open().await;
    shop.cart.set(Mode::Answering(404));
    let mai = shop.customer("mai@example.com").await;
    shop.erase(mai.id).await;
    // 1 + 2 + 4 + … + 256 s = 511 s: ten tries; then one in 300 s. A refusal is not repeated within a call.
    shop.seconds(515).await;
    assert_eq!(shop.cart.calls().len(), 10);
    shop.seconds(3_000).await;
    assert_eq!(shop.cart.calls().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_there_at_all_is_waited_for() {
    let shop = Shop::open().await;
    shop.world.calls().unregister("cart", 0);
    let mai = shop.customer("mai@example.com").await;
    let location = shop.erase(mai.id).await;
    shop.seconds(10).await;
    assert_eq!(services(&shop.erasure(&location).await), [("cart", PENDING), ("customer", DONE), ("order", DONE)]);
    shop.stage.neighbour("cart", shop.cart.router());
    shop.seconds(30).await;
    assert_eq!(shop.erasure(&location).await.status, ErasureStatus::Completed);
}

/// Kills the service at many moments of the job: from before its first step to after its last.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_loses_nothing() {
    let (mut before, mut within, mut after) = (0, 0, 0);
    for micros in (0..1_200).step_by(40) {
        let shop = Shop::with_seed(micros).await;
        let mai = shop.customer("mai@example.com").await;
        let location = shop.erase(mai.id).await;
        shop.pass(Duration::from_micros(micros)).await;
        let done = services(&shop.erasure(&location).await).iter().filter(|(_, status)| *status == DONE).count();
        match done {
            0 => before += 1,
            3 => after += 1,
            _ => within += 1,
        }
        shop.restart().await;
        shop.seconds(5).await;
        let erasure = shop.erasure(&location).await;
        assert_eq!(erasure.status, ErasureStatus::Completed, "killed after {micros} µs");
        assert_eq!(services(&erasure), [("cart", DONE), ("customer", DONE), ("order", DONE)]);
        assert_eq!(shop.get(&format!("/customers/{}", mai.id)).await.status, StatusCode::GONE);
        assert_eq!(shop.events("customer.updated.v1").await.len(), 2, "made once, erased once");
        for calls in [shop.cart.calls(), shop.order.calls()] {
            assert!((1..=2).contains(&calls.len()), "{calls:?}");
        }
    }
    assert!(before > 0 && within > 0 && after > 0, "{before} {within} {after}: some moment was not hit");
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_service_is_silent_is_survived() {
    let shop = Shop::open().await;
    shop.order.set(Mode::Silent);
    let mai = shop.customer("mai@example.com").await;
    let location = shop.erase(mai.id).await;
    shop.seconds(2).await;
    shop.world.kill("customer", 0);
    shop.seconds(3_600).await;
    shop.order.set(Mode::Well);
    shop.world.start(&customer::MANIFEST, 0).await.unwrap();
    shop.seconds(1).await;
    let erasure = shop.erasure(&location).await;
    assert_eq!(erasure.status, ErasureStatus::Completed);
    assert_eq!(shop.cart.calls().len(), 1, "what was noted is not done again");
}

#[tokio::test(start_paused = true)]
async fn of_two_instances_one_asks_and_the_other_takes_over() {
    let shop = Shop::open().await;
    shop.world.start(&customer::MANIFEST, 1).await.unwrap();
    let mut customers = Vec::new();
    for n in 0..6 {
        customers.push(shop.customer(&format!("c{n}@example.com")).await);
    }
    let mut jobs = join_all(customers.iter().map(|customer| shop.erase(customer.id))).await;
    shop.seconds(2).await;
    assert_eq!((shop.cart.calls().len(), shop.order.calls().len()), (6, 6));
    shop.order.set(Mode::Silent);
    let mai = shop.customer("mai@example.com").await;
    jobs.push(shop.erase(mai.id).await);
    shop.seconds(1).await;
    shop.world.kill("customer", 0);
    shop.order.set(Mode::Well);
    shop.seconds(120).await;
    for job in jobs {
        assert_eq!(shop.erasure(&job).await.status, ErasureStatus::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_delays_and_loses_nothing() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let location = shop.erase(mai.id).await;
    let fault = json!({"rule": "fail", "share": 1.0, "scope": {"service": "customer"}});
    let set = shop.admin(http::Method::PUT, "/lab/faults/store.commit", Some(&fault)).await;
    assert!(set.status.is_success(), "{}", set.json());
    shop.seconds(30).await;
    assert_eq!(shop.erasure(&location).await.status, ErasureStatus::Queued);
    shop.admin(http::Method::DELETE, "/lab/faults/store.commit", None::<&serde_json::Value>).await;
    shop.seconds(30).await;
    assert_eq!(shop.erasure(&location).await.status, ErasureStatus::Completed);
    assert_eq!(shop.facts("outbox").await.len(), 2, "made once, erased once");
}

#[tokio::test(start_paused = true)]
async fn the_settings_say_which_services_are_asked() {
    let only_order = |settings: platform::Settings| settings.with("customer.erasure_services", vec!["order"]).unwrap();
    let shop = Shop::around(Stage::of(&[&customer::MANIFEST], 1, only_order).await);
    let mai = shop.customer("mai@example.com").await;
    let location = shop.erase(mai.id).await;
    shop.seconds(1).await;
    assert_eq!(services(&shop.erasure(&location).await), [("customer", DONE), ("order", DONE)]);
    assert_eq!(shop.cart.calls(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_job_is_shown_with_its_own_customer_only() {
    let shop = Shop::open().await;
    let (mai, ann) = (shop.customer("mai@example.com").await, shop.customer("ann@example.com").await);
    let location = shop.erase(mai.id).await;
    let job = location.rsplit('/').next().unwrap();
    let other = shop.get(&format!("/customers/{}/erasure/{job}", ann.id)).await;
    assert_eq!((other.status.as_u16(), other.slug().as_str()), (404, "not-found"));
    assert_eq!(shop.get(&format!("/customers/{}", ann.id)).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_is_written_while_the_job_waits_is_erased_with_the_rest() {
    let shop = Shop::open().await;
    let mai = shop.customer("mai@example.com").await;
    let path = format!("/customers/{}", mai.id);
    let (late, nothing) = (plain("mai.late@example.com"), json!({}));
    let erasure = format!("{path}/erasure");
    let (taken, put) = join(shop.post(&erasure, &nothing), shop.put(&path, &late)).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED);
    assert!(matches!(put.status, StatusCode::OK | StatusCode::GONE));
    shop.seconds(1).await;
    assert_eq!(shop.get(&path).await.status, StatusCode::GONE);
    assert!(shop.dump().await.iter().all(|(_, bytes)| !String::from_utf8_lossy(bytes).contains("mai.late")));
}
