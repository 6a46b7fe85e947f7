use std::sync::Arc;

use serde_json::json;

use super::{
    plant::{PRICE, at, grace, none},
    *,
};

/// Three orders: one confirmed, one whose hold ran out and whose payment was voided, one released. A coupon used once of two.
fn shop() -> Facts {
    none()
        .received(2)
        .held("a", 10)
        .confirmed("a", 20)
        .held("b", 30)
        .ended("b", 150, "expire", "EXPIRED")
        .voided("b", 200)
        .held("c", 300)
        .ended("c", 310, "release", "RELEASED")
        .pay_step("c", 310, "FAILED")
        .psp("c", 310, "authorization.declined")
        .step("c", 310, "CANCELLED")
        .coupon(2, &["cart-a"])
        .said(5, ("POST", "/carts"), Some("k"), 201, json!({"id": "cart-a", "version": 1}))
        .said(6, ("POST", "/carts"), Some("k"), 201, json!({"id": "cart-a", "version": 1}))
        .said(10, ("POST", "/carts/cart-a/checkout"), None, 202, json!({"orderId": "order-a"}))
        .said(15, ("GET", "/orders/order-a"), None, 200, json!({"id": "order-a", "version": 2}))
        .told(10, "event-a")
        .told(20, "event-b")
        .told(30, "event-c")
}

fn broken_by(facts: &Facts) -> Vec<&'static str> {
    check(facts, &grace()).broken().into_iter().map(Invariant::as_str).collect()
}

#[test]
fn in_a_shop_where_everything_is_right_every_invariant_holds() {
    let findings = check(&shop(), &grace());
    assert_eq!(findings.breaches, []);
    assert_eq!(findings.unchecked, []);
}

#[test]
fn each_planted_bug_breaks_exactly_its_set_and_any_two_invariants_are_told_apart() {
    type Bug = (&'static str, fn() -> Facts, &'static [&'static str]);
    let bugs: &[Bug] = &[
        ("a counter is off by one", || shop().plant(|facts| facts.stock[0].claimed -= 1), &["I1"]),
        ("a counter still holds what ran out", || shop().plant(|facts| facts.stock[0].held += 1), &["I1"]),
        (
            "a repeat is answered with something else",
            || shop().plant(|facts| Arc::make_mut(&mut facts.exchanges[1]).answer.as_mut().unwrap().digest = "other".into()),
            &["I7"],
        ),
        (
            "a repeat is refused",
            || shop().said(20, ("POST", "/carts"), Some("k"), 409, json!({"type": "urn:crashcart:problem:conflict"})),
            &["I7"],
        ),
        (
            "another request is done under the same key",
            || shop().plant(|facts| Arc::make_mut(&mut facts.exchanges[1]).request = "another".into()),
            &["I7"],
        ),
        (
            "a cart was acknowledged and is gone",
            || {
                shop().plant(|facts| facts.carts.retain(|cart| cart.id != "cart-d")).said(
                    40,
                    ("POST", "/carts"),
                    None,
                    201,
                    json!({"id": "cart-d", "version": 1}),
                )
            },
            &["I8"],
        ),
        (
            "a change of a cart was acknowledged and is gone",
            || shop().said(40, ("POST", "/carts/cart-b/items"), None, 200, json!({"id": "cart-b", "version": 4})),
            &["I8"],
        ),
        (
            "stock was acknowledged and never came",
            || shop().said(40, ("POST", "/inventory/adjust"), None, 200, json!({"sku": "OTHER"})),
            &["I8"],
        ),
        (
            "an event is noted as published and does not lie in the log",
            || shop().plant(|facts| drop((facts.published.pop(), facts.noted.pop()))),
            &["I11"],
        ),
        ("an event was never committed", || shop().plant(|facts| drop(facts.committed.pop())), &["I11"]),
        ("an event lies under another key", || shop().plant(|facts| facts.committed[2].key = "order-b".into()), &["I11"]),
        ("an event was read and not noted", || shop().plant(|facts| drop(facts.noted.pop())), &["I12"]),
        ("an event was passed over", || shop().plant(|facts| drop(facts.noted.remove(1))), &["I12"]),
        ("two events were taken out of turn", || shop().plant(|facts| (facts.noted[0].seq, facts.noted[1].seq) = (2, 1)), &["I12"]),
        (
            "an event was taken twice",
            || shop().plant(|facts| facts.noted.push(crate::facts::Noted { seq: 9, ..facts.noted[1].clone() })),
            &["I12"],
        ),
        ("a record has a byte too many", || shop().plant(|facts| facts.published[0].value = "AAAAAAcCAA==".into()), &["I14"]),
        ("a record breaks off", || shop().plant(|facts| facts.published[0].value = "AAAAAAc=".into()), &["I14"]),
        ("a record's schema is not registered", || shop().plant(|facts| facts.published[0].value = "AAAAAAgC".into()), &["I14"]),
        (
            "a session goes back",
            || shop().said(16, ("GET", "/orders/order-a"), None, 200, json!({"id": "order-a", "version": 1})),
            &["I15"],
        ),
        ("a session does not read what it wrote", || shop().said(16, ("GET", "/orders/order-a"), None, 404, json!({})), &["I15"]),
        ("tax is told as shipping", || shop().plant(|facts| (facts.orders[0].tax, facts.orders[0].shipping) = (1, -1)), &["I19"]),
        ("a quote was over", || shop().plant(|facts| facts.cart_lines[0].valid_until = at(10)), &["I19"]),
        ("a payment is about more than the order", || shop().plant(|facts| facts.payments[1].amount += 1), &["I19"]),
        ("stock came in without a movement", || shop().plant(|facts| facts.stock[0].on_hand += 1), &["I1"]),
        (
            "a hold ran out and nobody ended it",
            || none().received(2).held("a", 10).voided("a", 20).plant(|facts| facts.stock[0].held = 0),
            &["I2"],
        ),
        ("a hold was released twice", || shop().ended("c", 420, "release", "RELEASED"), &["I2"]),
        (
            "a reservation says released and was claimed",
            || shop().held("d", 400).confirmed("d", 410).plant(|facts| facts.hold_of("d").status = "RELEASED".into()),
            &["I2", "I9"],
        ),
        ("a claim with the token of another hold", || shop().plant(|facts| facts.movements[2].fencing_token = Some(99)), &["I3"]),
        (
            "a claim without a hold",
            || {
                shop().plant(|facts| {
                    facts.movements.push(crate::facts::Movement {
                        seq: 99,
                        id: "m".into(),
                        reservation_id: None,
                        ..facts.movements[2].clone()
                    });
                    facts.stock[0].claimed += 1;
                })
            },
            &["I3"],
        ),
        (
            "a late payer's hold is revived, while there is still stock",
            || none().received(2).held("a", 10).plant(|facts| facts.stock[0].held = 0).confirmed("a", 200),
            &["I2", "I3"],
        ),
        (
            "a late payer's hold is revived, and its unit was sold to another",
            || {
                none()
                    .received(1)
                    .held("a", 10)
                    .plant(|facts| facts.stock[0].held = 0)
                    .held("b", 140)
                    .confirmed("b", 142)
                    .confirmed("a", 200)
            },
            &["I2", "I3", "I18"],
        ),
        ("the stock was adjusted below what is claimed", || shop().adjusted(500, -2), &["I18"]),
        ("an order waits for ever", || none().received(1).held("a", 10).ended("a", 130, "expire", "EXPIRED"), &["I9"]),
        ("an order is confirmed and its money was not taken", || shop().plant(|facts| facts.payments[0].captured = 0), &["I5", "I9"]),
        (
            "an order is cancelled and the provider still has the authorization",
            || shop().plant(|facts| facts.psp_truth.retain(|event| event.kind != "authorization.voided")),
            &["I9"],
        ),
        ("an order is cancelled and its money was kept", || shop().psp("b", 201, "capture.succeeded"), &["I4", "I5", "I9"]),
        ("an entry that lacks a cent on one side", || shop().plant(|facts| facts.ledger[1].credit -= 1), &["I4"]),
        ("an entry to the wrong account", || shop().plant(|facts| facts.ledger[1].account = "revenue".into()), &["I4"]),
        (
            "an entry of which one side is gone",
            || shop().plant(|facts| facts.ledger.retain(|line| line.account == "psp_clearing")),
            &["I4"],
        ),
        (
            "an event of the provider that was booked twice",
            || {
                shop().plant(|facts| {
                    let again = facts.ledger.clone().into_iter().map(|line| crate::facts::LedgerLine { id: "entry-again".into(), ..line });
                    facts.ledger.extend(again);
                })
            },
            &["I4", "I5"],
        ),
        (
            "an entry for which the provider has no event",
            || {
                shop().plant(|facts| {
                    facts.ledger.iter_mut().for_each(|line| line.psp_event_id = Some("event-99".into()));
                })
            },
            &["I4"],
        ),
        (
            "an entry that was changed afterwards, on both sides",
            || shop().plant(|facts| (facts.ledger[0].debit, facts.ledger[1].credit) = (1, 1)),
            &["I4", "I5"],
        ),
        ("a payment that counts a refund that nobody gave", || shop().plant(|facts| facts.payments[0].refunded = 1), &["I5"]),
        (
            "an order that tells of less than has gone back",
            || shop().credited(1).plant(|facts| facts.orders[0].payment_refunded = 0),
            &["I5"],
        ),
        ("a credit that was refunded twice", || shop().credited(2), &["I20"]),
        ("a credit that was never refunded", || shop().credited(0), &["I20"]),
        (
            "a capture under a second authorization, of which nobody in the shop knows",
            || {
                shop().psp("a", 30, "authorization.succeeded").psp("a", 30, "capture.succeeded").plant(|facts| {
                    facts.psp_truth.iter_mut().rev().take(2).for_each(|event| event.authorization_id = "authorization-a2".into());
                })
            },
            &["I4", "I5", "I6"],
        ),
        ("a refund by the provider of which nobody in the shop knows", || shop().psp("a", 30, "refund.succeeded"), &["I4", "I5"]),
        ("more is captured than was authorized", || shop().plant(|facts| facts.psp_truth[0].amount -= 1), &["I6", "I19"]),
        ("more is taken than the buyer agreed to", || shop().plant(|facts| facts.payments[0].amount -= 1), &["I6", "I19"]),
        (
            "more goes back than was taken, and everybody agrees",
            || {
                shop()
                    .psp("a", 30, "refund.succeeded")
                    .plant(|facts| {
                        facts.psp_truth.last_mut().unwrap().amount = PRICE + 1;
                        facts.payments[0].refunded = PRICE + 1;
                        facts.orders[0].payment_refunded = PRICE + 1;
                    })
                    .booked()
            },
            &["I6"],
        ),
        (
            "an order is cancelled and its stock is claimed",
            || shop().held("d", 400).ended("d", 410, "claim", "CLAIMED").pay_step("d", 410, "FAILED").step("d", 410, "CANCELLED"),
            &["I9"],
        ),
        (
            "a step that is not in the table",
            || shop().step("b", 210, "PENDING").plant(|facts| facts.orders[1].created_at = at(4_900)),
            &["I10"],
        ),
        (
            "a version is missing",
            || {
                shop().plant(|facts| {
                    facts.order_transitions.iter_mut().filter(|step| step.status == "CANCELLED").for_each(|step| step.version += 1)
                })
            },
            &["I10"],
        ),
        ("a status was changed without a step", || shop().plant(|facts| facts.payments[1].status = "FAILED".into()), &["I10"]),
        ("a cart has two orders", || shop().plant(|facts| facts.orders[2].cart_id = "cart-a".into()), &["I20"]),
        (
            "a coupon goes beyond its limit",
            || {
                shop()
                    .coupon(2, &["cart-a"])
                    .plant(|facts| facts.promotions.iter_mut().for_each(|one| (one.usage_limit, one.used) = (Some(1), 2)))
            },
            &["I20"],
        ),
        ("a coupon's use is not counted", || shop().plant(|facts| facts.promotions[0].used = 0), &["I20"]),
        (
            "an order has two claims",
            || {
                shop().held("d", 400).confirmed("d", 410).plant(|facts| {
                    let (mut second, mut movements) = (facts.reservations[0].clone(), facts.movements[1..3].to_vec());
                    (second.id, second.order_id) = ("hold-d2".into(), "order-d".into());
                    for (movement, seq) in movements.iter_mut().zip([90, 91]) {
                        (movement.seq, movement.reservation_id) = (seq, Some("hold-d2".into()));
                    }
                    facts.movements.extend(movements);
                    facts.reservations.push(second);
                    (facts.stock[0].claimed, facts.stock[0].on_hand) = (3, 3);
                    facts.movements[0].quantity = 3;
                })
            },
            &["I9", "I20"],
        ),
    ];
    let mut sets: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (name, facts, expected) in bugs {
        assert_eq!(broken_by(&facts()), *expected, "{name}: {:?}", check(&facts(), &grace()).breaches);
        sets.insert(expected.to_vec());
    }
    for one in Invariant::ALL {
        for other in Invariant::ALL.into_iter().filter(|other| *other != one) {
            let apart = sets.iter().any(|set| set.contains(&one.as_str()) != set.contains(&other.as_str()));
            assert!(apart, "no planted bug tells {one} from {other}");
        }
    }
}

#[test]
fn what_is_legally_false_for_a_while_is_judged_after_its_grace() {
    let stuck = none().received(1).held("a", 10).ended("a", 130, "expire", "EXPIRED");
    let at_second = |seconds: i64| broken_by(&stuck.clone().plant(|facts| facts.now = at(seconds)));
    assert_eq!(at_second(610), [""; 0]);
    assert_eq!(at_second(611), ["I9"]);
    let silent = none().received(1).held("a", 10);
    let at_second = |seconds: i64| broken_by(&silent.clone().plant(|facts| facts.now = at(seconds)));
    // The counter may still have what has just run out.
    assert_eq!(at_second(129), [""; 0]);
    assert_eq!(at_second(189), [""; 0]);
    assert_eq!(at_second(191), ["I1", "I2"]);
}

#[test]
fn what_the_provider_has_told_just_now_may_not_be_in_the_books_yet() {
    let unheard = |seconds: i64| {
        let facts = shop().psp("a", 1_000, "refund.succeeded").plant(|facts| facts.now = at(seconds));
        broken_by(&facts)
    };
    assert_eq!(unheard(1_699), [""; 0]);
    assert_eq!(unheard(1_700), ["I4", "I5"]);
}

#[test]
fn a_refund_that_is_pending_may_have_been_given_already_and_no_more_than_that() {
    let given = |amount: i64, status: &str| {
        let facts = shop().psp("a", 30, "refund.succeeded").booked().plant(|facts| {
            facts.payments[0].refunded = 0;
            // The books have what was told; the payment waits for it.
            facts.ledger.truncate(2);
            facts.psp_truth.last_mut().unwrap().amount = 500;
            facts.refunds.push(crate::facts::Refund {
                id: "refund-a".into(),
                at: at(30),
                payment_id: "payment-a".into(),
                amount,
                status: status.into(),
                credit_id: None,
            });
        });
        Invariant::I5.check(&facts, &grace()).len()
    };
    assert_eq!(given(500, "PENDING"), 0);
    assert_eq!(given(499, "PENDING"), 1);
    assert_eq!(given(500, "FAILED"), 1);
}

#[test]
fn a_claim_may_come_after_an_extension_but_not_after_its_end() {
    let extended = |claimed_at: i64| {
        none()
            .received(1)
            .held("a", 10)
            .plant(|facts| {
                let mut extension = facts.movements[1].clone();
                (extension.kind, extension.seq, extension.expires_at) = ("extend".into(), 2, Some(at(250)));
                facts.movements[1].seq = 1;
                facts.movements[0].seq = 0;
                facts.movements.push(extension);
                facts.hold_of("a").expires_at = at(250);
            })
            .confirmed("a", claimed_at)
            .plant(|facts| facts.stock[0].held = 0)
    };
    assert_eq!(broken_by(&extended(240)), [""; 0]);
    assert_eq!(broken_by(&extended(250)), ["I2", "I3"]);
}

#[test]
fn a_claim_that_goes_back_to_the_stock_is_no_second_end() {
    let back = |status: &str| {
        shop().ended("a", 400, "return", status).psp("a", 400, "refund.succeeded").booked().plant(|facts| {
            (facts.stock[0].held, facts.stock[0].claimed) = (0, 0);
            facts.payments[0].refunded = facts.payments[0].captured;
            facts.orders[0].payment_refunded = facts.payments[0].captured;
        })
    };
    let returned = back("RETURNED_TO_STOCK").pay_step("a", 400, "REFUNDED").step("a", 400, "CANCELLED");
    assert_eq!(check(&returned, &grace()).breaches, []);
    assert!(broken_by(&back("CLAIMED")).contains(&"I2"));
}

#[test]
fn what_the_system_does_not_export_is_not_said_to_hold() {
    let findings = check(&shop().plant(|facts| facts.missing = vec!["psp-truth"]), &grace());
    let unchecked: Vec<_> = findings.unchecked.iter().map(|(invariant, missing)| (invariant.as_str(), missing.clone())).collect();
    assert_eq!(unchecked, ["I4", "I5", "I6", "I9", "I19"].map(|invariant| (invariant, vec!["psp-truth"])));
}

#[test]
fn a_dead_letter_is_quarantine_and_a_parked_key_waits() {
    let dead = |facts: &mut Facts| {
        let record = &mut facts.published[1];
        record.value = "AAAAAAcCAA==".into();
        let (topic, group) = (format!("{}.dlq", record.topic), Some(facts.readings[0].group.clone()));
        let letter = crate::facts::Published { topic, group, offset: 0, ..record.clone() };
        facts.published.push(letter);
        facts.noted.remove(1);
    };
    // What came after it was taken once the key was let go again: the dead one is passed over and nothing else.
    assert_eq!(broken_by(&shop().plant(dead)), [""; 0]);
    let parked = shop().plant(dead).plant(|facts| {
        drop(facts.noted.pop());
        let reading = facts.readings[0].clone();
        facts.parked.push(crate::facts::ParkedKey { group: reading.group, topic: reading.topic, key: "order-a".into() });
    });
    assert_eq!(broken_by(&parked), [""; 0]);
    let nobodys = shop().plant(dead).plant(|facts| facts.published.last_mut().unwrap().id = Some("never came".into()));
    assert_eq!(broken_by(&nobodys), ["I12", "I14"]);
}

#[test]
fn an_event_may_take_its_time_to_be_published_and_taken_but_no_longer() {
    let on_its_way = || {
        shop().plant(|facts| {
            facts.committed[2].status = "PENDING".into();
            facts.published.pop();
            facts.noted.pop();
            facts.readings[0].committed = 2;
        })
    };
    let at_second = |seconds: i64| broken_by(&on_its_way().plant(|facts| facts.committed[2].at = at(5_000 - seconds)));
    assert_eq!(at_second(10), [""; 0]);
    assert_eq!(at_second(11), ["I11"]);
}

#[test]
fn the_graces_are_those_of_the_default_settings() {
    let settings: toml::Table = platform::settings::DEFAULTS.parse().unwrap();
    let setting = |section: &str, name: &str| u64::try_from(settings[section][name].as_integer().unwrap()).unwrap();
    let grace = Grace::default();
    let payment_deadline = Duration::from_secs(setting("order", "payment_deadline_seconds"));
    let inquiry = Duration::from_secs(setting("payment", "inquiry_max_seconds"));
    let patience = Duration::from_millis(setting("payment", "psp_timeout_ms"));
    assert_eq!(grace.books, inquiry + patience + grace.effects);
    assert_eq!(grace.saga, payment_deadline + 2 * grace.hold_end);
}
