use serde_json::{Value as Json, json};

use super::*;
use crate::{
    crash::record::{Answered, Asked},
    invariants::plant::{PRICE, SKU, none},
};

/// A shop where everything that the record knows is there: two orders bought, one of them cancelled later, a part of the other's money given
/// back, stock received, a hold without an order.
fn facts() -> Facts {
    none()
        .received(100)
        .held("a", 10)
        .confirmed("a", 12)
        .held("b", 20)
        .confirmed("b", 22)
        .adjusted(30, 7)
        .plant(|facts| {
            give_back(facts, "a", 150);
            give_back(facts, "b", PRICE);
        })
        .step("b", 40, "CANCELLED")
        .held("c", 50)
        .ended("c", 55, "release", "RELEASED")
        .step("c", 56, "CANCELLED")
        .pay_step("c", 56, "VOIDED")
}

fn give_back(facts: &mut Facts, name: &str, amount: i64) {
    *facts = std::mem::replace(facts, none()).psp(name, 35, "refund.succeeded");
    facts.psp_truth.last_mut().unwrap().amount = amount;
    facts.payments.iter_mut().find(|payment| payment.id == format!("payment-{name}")).unwrap().refunded += amount;
}

fn record() -> Record {
    let mut record = Record::default();
    let mut say = |intent, about: &str, body: Json, answer: Json| {
        let key = format!("{intent:?}-{about}");
        record.asks(Asked { key: key.clone(), intent, path: "/".into(), body, about: about.into() });
        record.answered(&key, Answered { status: 200, body: answer, life: 1 });
    };
    say(Intent::CheckOut, "cart-a", json!({}), json!({"orderId": "order-a"}));
    say(Intent::Order, "cart-b", json!({}), json!({"id": "order-b"}));
    say(Intent::Cancel, "order-b", json!({}), json!({}));
    say(Intent::Refund, "payment-a", json!({"amount": {"amount": 150}}), json!({}));
    say(Intent::Adjust, SKU, json!({"delta": 107}), json!({}));
    say(Intent::Reserve, SKU, json!({}), json!({"reservationId": "hold-c"}));
    say(Intent::Release, "hold-c", json!({}), json!({"reservationId": "hold-c"}));
    record.saw("order-a", "RESERVED");
    record.saw("order-b", "FULFILLED_READY");
    // What was refused, and what was never answered, is not held against anybody.
    record.asks(Asked { key: "open".into(), intent: Intent::Order, path: "/".into(), body: json!({}), about: "cart-x".into() });
    record
}

/// The adjustments of the shop as one, as the record has it.
fn as_recorded(mut facts: Facts) -> Facts {
    facts.movements.retain(|movement| movement.kind != "adjust");
    facts.movements.iter_mut().find(|movement| movement.kind == "receipt").unwrap().quantity = 107;
    facts
}

fn judged(bug: impl FnOnce(&mut Facts)) -> Vec<Wrong> {
    let judged = judge(&as_recorded(facts()).plant(bug), &record());
    judged.findings.iter().map(|finding| finding.wrong).collect()
}

#[test]
fn what_is_right_is_not_complained_of() {
    let told = judge(&as_recorded(facts()), &record());
    assert_eq!(told.findings, []);
    assert_eq!((told.orders, told.cancellations, told.refunds, told.movements, told.captures), (2, 1, 1, 3, 2));
    assert!(rests(&facts(), &record()));
}

#[test]
fn every_kind_of_loss_is_found() {
    assert_eq!(judged(|facts| facts.orders.retain(|order| order.id != "order-a")), [Wrong::Lost], "an order");
    assert_eq!(
        judged(|facts| facts.orders.iter_mut().find(|order| order.id == "order-b").unwrap().status = "FULFILLED_READY".into()),
        // Its money went back all the same, and nobody had asked for that.
        [Wrong::Lost, Wrong::Doubled],
        "a cancellation"
    );
    assert_eq!(
        judged(|facts| facts.order_transitions.retain(|step| (step.id.as_str(), step.status.as_str()) != ("order-a", "RESERVED"))),
        [Wrong::Lost],
        "a state that was shown"
    );
    assert_eq!(
        judged(|facts| {
            facts.psp_truth.retain(|event| event.kind != "refund.succeeded" || event.payment_id != "payment-a");
            facts.payments[0].refunded = 0;
        }),
        [Wrong::Lost],
        "a refund"
    );
    assert_eq!(judged(|facts| facts.payments[0].refunded = 0), [Wrong::Lost], "a refund in our books alone");
    assert_eq!(judged(|facts| facts.movements.retain(|movement| movement.kind != "receipt")), [Wrong::Lost], "stock that came in");
    assert_eq!(judged(|facts| facts.movements.retain(|movement| movement.kind != "release")), [Wrong::Lost], "a release");
}

#[test]
fn every_kind_of_repetition_is_found() {
    assert_eq!(judged(|facts| *facts = std::mem::replace(facts, none()).psp("a", 60, "capture.succeeded")), [Wrong::Doubled], "a capture");
    assert_eq!(judged(|facts| give_back(facts, "a", 150)), [Wrong::Doubled], "a refund");
    assert_eq!(judged(|facts| *facts = std::mem::replace(facts, none()).adjusted(60, 107)), [Wrong::Doubled], "stock that came in");
    assert_eq!(
        judged(|facts| {
            let hold = facts.movements.iter().find(|movement| movement.reservation_id.as_deref() == Some("hold-c")).unwrap().clone();
            facts.movements.push(hold);
        }),
        [Wrong::Doubled],
        "a hold"
    );
}

#[test]
fn an_order_of_another_cart_and_what_has_not_ended_is_found() {
    assert_eq!(judged(|facts| facts.orders[0].cart_id = "cart-z".into()), [Wrong::Changed]);
    let open = as_recorded(facts()).held("d", 70);
    assert!(!rests(&open, &record()));
    let wrongs: Vec<Wrong> = judge(&open, &record()).findings.iter().map(|finding| finding.wrong).collect();
    assert_eq!(wrongs, [Wrong::Open, Wrong::Open], "an order and a payment");
}

#[test]
fn a_walk_back_that_has_only_given_the_money_back_is_waited_for() {
    let mut walks = facts();
    walks.orders.iter_mut().find(|order| order.id == "order-b").unwrap().status = "FULFILLED_READY".into();
    assert!(!rests(&walks, &record()), "the order is to be cancelled yet");
    let mut more = facts();
    give_back(&mut more, "a", 1);
    assert!(!rests(&more, &record()), "one more than was asked for");
}
