use std::sync::Arc;

use seed::testing::Scripted;

use super::*;
use crate::{
    buyer::{Crowd, tests::directory},
    mix::Mix,
};

fn buyer(change: impl FnOnce(&mut Buyer)) -> Buyer {
    let mut buyer = Crowd::new(1, Mix::bench(), &directory()).expect("a crowd").buyer(0, |_| 1.0);
    change(&mut buyer);
    buyer
}

async fn walk(system: &Scripted, clock: Clock, buyer: &Buyer) -> Outcome {
    Journey { shop: system, clock, patience: Duration::from_secs(60) }.checkout(buyer).await
}

fn steps(outcome: &Outcome) -> Vec<Step> {
    outcome.calls.iter().map(|call| call.step).collect()
}

#[tokio::test(start_paused = true)]
async fn a_buyer_ends_with_an_order_that_is_ready() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    system.set(|mood| (mood.polls_until_settled, mood.latency) = (2, Duration::from_millis(4)));
    let buyer = buyer(|_| ());
    let outcome = walk(&system, clock, &buyer).await;
    assert_eq!(outcome.ending, Ending::Settled { status: OrderStatus::FulfilledReady, reason: None });
    let mut due = vec![Step::CreateCart];
    due.extend(buyer.items.iter().map(|_| Step::AddItem));
    due.extend([Step::Checkout, Step::ReadOrder, Step::ReadOrder, Step::ReadOrder]);
    assert_eq!(steps(&outcome), due);
    assert!(outcome.calls.iter().all(|call| call.took_micros == 4_000 && (200..300).contains(&call.status)));
    let until_answer = 4_000 * (buyer.items.len() as u64 + 2);
    // Three looks, and pauses of 10 and 15 ms between them.
    assert_eq!((outcome.answered_micros, outcome.settled_micros), (Some(until_answer), Some(until_answer + 3 * 4_000 + 25_000)));
    let units: i64 = buyer.items.iter().map(|item| item.quantity.as_i64()).sum();
    assert_eq!(outcome.total, Some(Money::new(units * 1_000, buyer.currency)));
    assert_eq!(outcome.timeline.len(), 2);
    let order = &system.things("order")[&outcome.order_id.expect("an order").to_string()];
    assert_eq!(order["token"], "tok_ok");
}

#[tokio::test(start_paused = true)]
async fn a_cart_that_is_filled_beforehand_is_no_part_of_the_time() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    system.set(|mood| mood.latency = Duration::from_millis(4));
    let journey = Journey { shop: &system, clock, patience: Duration::from_secs(60) };
    let outcome = journey.checkout_after(&buyer(|_| ()), clock.sleep(Duration::from_secs(3))).await;
    assert_eq!(outcome.ending.label(), "FULFILLED_READY");
    assert_eq!(steps(&outcome), [Step::Checkout, Step::ReadOrder]);
    assert_eq!((outcome.answered_micros, outcome.settled_micros), (Some(4_000), Some(8_000)));
    system.set(|mood| mood.refuses = Some(("/carts".into(), 409, "price-changed".into())));
    let never = std::future::pending();
    assert_eq!(journey.checkout_after(&buyer(|_| ()), never).await.ending.label(), "REFUSED", "who has no cart does not wait for the sale");
}

#[tokio::test(start_paused = true)]
async fn a_declined_card_is_told_with_its_reason() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    let outcome = walk(&system, clock, &buyer(|buyer| buyer.payment_token = "tok_decline_lost".into())).await;
    assert_eq!(outcome.ending, Ending::Settled { status: OrderStatus::Cancelled, reason: Some("declined".into()) });
    assert!(is_declined(&outcome.ending));
}

#[tokio::test(start_paused = true)]
async fn a_cart_that_is_left_has_no_order() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    let outcome = walk(&system, clock, &buyer(|buyer| buyer.abandons = true)).await;
    assert_eq!((outcome.ending.label(), outcome.order_id, outcome.answered_micros), ("ABANDONED", None, None));
    assert_eq!((system.things("cart").len(), system.things("order").len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_coupon_that_is_not_taken_keeps_nobody_from_buying() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    let outcome = walk(&system, clock, &buyer(|buyer| buyer.coupon = Sku::new("NOSUCH").ok())).await;
    assert_eq!(outcome.coupon_refused.as_deref(), Some("invalid"));
    assert_eq!(outcome.ending.label(), "FULFILLED_READY");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_the_journey_and_is_told() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    system.set(|mood| mood.refuses = Some(("/carts/".into(), 409, "price-changed".into())));
    let outcome = walk(&system, clock, &buyer(|_| ())).await;
    let Ending::Refused { step, status, slug, .. } = &outcome.ending else { panic!("{:?}", outcome.ending) };
    assert_eq!((*step, *status, slug.as_str()), (Step::AddItem, 409, "price-changed"));
    assert_eq!(steps(&outcome), [Step::CreateCart, Step::AddItem]);
}

#[tokio::test(start_paused = true)]
async fn no_answer_and_a_wrong_answer_are_told_apart() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    system.set(|mood| mood.breaks_after_writes = Some(1));
    let outcome = walk(&system, clock, &buyer(|_| ())).await;
    assert_eq!((outcome.ending.label(), outcome.calls[1].status), ("UNREACHABLE", 0));
    struct Babble;
    impl Shop for Babble {
        async fn send(&self, _: Call) -> Result<Answer, seed::shop::Unreachable> {
            Ok(Answer::new(http::StatusCode::OK, "hello".into()))
        }
    }
    let outcome = Journey { shop: &Babble, clock, patience: Duration::ZERO }.checkout(&buyer(|_| ())).await;
    assert_eq!(outcome.ending, Ending::Unreadable { step: Step::CreateCart });
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let clock = Clock::simulated();
    let system = Scripted::new(clock);
    system.set(|mood| mood.polls_until_settled = 1_000_000);
    let began = clock.now();
    let outcome = walk(&system, clock, &buyer(|_| ())).await;
    assert_eq!(outcome.ending, Ending::Unsettled { status: OrderStatus::Pending });
    assert_eq!((outcome.settled_micros, clock.now().since(began).as_secs()), (None, 60));
}

#[tokio::test]
async fn it_works_over_http_too() {
    let clock = Clock::real();
    let tasks = platform::Tasks::new("test", clock);
    let system = Arc::new(Scripted::new(clock));
    system.set(|mood| mood.polls_until_settled = 1);
    let address = system.clone().serve(&tasks).await.expect("a free port");
    let shop = seed::HttpShop::new(&format!("http://{address}")).expect("a URL");
    let outcome = Journey { shop: &shop, clock, patience: Duration::from_secs(10) }.checkout(&buyer(|_| ())).await;
    assert_eq!(outcome.ending.label(), "FULFILLED_READY");
    assert!(outcome.settled_micros > outcome.answered_micros);
    tasks.kill();
}
