//! Hand-made facts for the tests of the checks: a small shop where everything is right, to plant a bug in.

use std::{sync::Arc, time::Duration};

use types::Timestamp;

use crate::{
    facts::{
        Cart, CartLine, CartStep, Committed, Credit, Facts, LedgerLine, Movement, Noted, Order, OrderLine, Payment, Promotion, PspEvent,
        Published, Reading, Redemption, Refund, Reservation, ReservedLine, Schema, Stock, Transition,
    },
    witness::{Answered, Exchange},
};

pub const SKU: &str = "LAMP";
pub const PLACE: &str = "NORTH";
pub const PRICE: i64 = 1_999;

/// A moment of the made-up day, in seconds.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_767_571_200 + seconds)
}

pub fn none() -> Facts {
    Facts::none(at(5_000))
}

impl Facts {
    fn movement(&mut self, seconds: i64, kind: &str, quantity: i64) -> &mut Movement {
        let seq = self.movements.len() as i64 + 1;
        self.movements.push(Movement {
            seq,
            at: at(seconds),
            kind: kind.into(),
            id: format!("movement-{seq}"),
            sku: SKU.into(),
            warehouse: PLACE.into(),
            quantity,
            reservation_id: None,
            order_id: None,
            fencing_token: None,
            expires_at: None,
        });
        self.movements.last_mut().unwrap()
    }

    /// Stock that comes in.
    pub fn received(mut self, quantity: i64) -> Self {
        self.movement(0, "receipt", quantity);
        self.stock.push(Stock {
            id: format!("{SKU}@{PLACE}"),
            sku: SKU.into(),
            warehouse: PLACE.into(),
            on_hand: quantity,
            held: 0,
            claimed: 0,
            shipped: 0,
        });
        self
    }

    /// A credit of 5.00 on the first order, refunded this many times by everybody's books.
    pub fn credited(mut self, times: usize) -> Self {
        self.credits.push(Credit { id: "credit".into(), at: at(40), order_id: "order-a".into(), amount: 500 });
        for number in 0..times {
            self = self.psp("a", 50 + number as i64, "refund.succeeded");
            self.psp_truth.last_mut().unwrap().amount = 500;
            self = self.booked().pay_step("a", 50, "PARTIALLY_REFUNDED");
            self.payments[0].refunded += 500;
            self.orders[0].payment_refunded += 500;
            self.refunds.push(Refund {
                id: format!("refund-{number}"),
                at: at(50),
                payment_id: "payment-a".into(),
                amount: 500,
                status: "SUCCEEDED".into(),
                credit_id: Some("credit".into()),
            });
        }
        self
    }

    fn counters(&mut self, held: i64, claimed: i64) {
        self.stock[0].held += held;
        self.stock[0].claimed += claimed;
    }

    /// An order of one unit that holds it from `seconds` on for 120 s.
    pub fn held(mut self, name: &str, seconds: i64) -> Self {
        let token = self.reservations.len() as i64 + 1;
        let movement = self.movement(seconds, "hold", 1);
        movement.reservation_id = Some(format!("hold-{name}"));
        movement.order_id = Some(format!("order-{name}"));
        movement.fencing_token = Some(token);
        movement.expires_at = Some(at(seconds + 120));
        self.counters(1, 0);
        self.reservations.push(Reservation {
            id: format!("hold-{name}"),
            order_id: format!("order-{name}"),
            status: "HELD".into(),
            fencing_token: token,
            created_at: at(seconds),
            expires_at: at(seconds + 120),
            ended_at: None,
            claimed_at: None,
            lines: vec![ReservedLine { sku: SKU.into(), warehouse: PLACE.into(), quantity: 1 }],
        });
        self.carts.push(Cart { id: format!("cart-{name}"), status: "CHECKED_OUT".into(), total: PRICE, version: 3 });
        self.cart_lines.push(CartLine {
            id: format!("cart-{name}"),
            sku: SKU.into(),
            quantity: 1,
            unit_price: PRICE,
            discount: 0,
            tax: 0,
            valid_until: at(seconds + 900),
        });
        self.cart_steps.push(CartStep {
            at: at(seconds),
            kind: "checked-out".into(),
            id: format!("cart-{name}"),
            version: 2,
            total: PRICE,
        });
        self.orders.push(Order {
            id: format!("order-{name}"),
            at: at(seconds),
            cart_id: format!("cart-{name}"),
            status: String::new(),
            subtotal: PRICE,
            discounts: 0,
            tax: 0,
            shipping: 0,
            total: PRICE,
            payment_id: Some(format!("payment-{name}")),
            payment_refunded: 0,
            version: 0,
            created_at: at(seconds),
        });
        self.order_lines.push(OrderLine { id: format!("order-{name}"), sku: SKU.into(), quantity: 1, unit_price: PRICE });
        self.payments.push(Payment {
            id: format!("payment-{name}"),
            order_id: format!("order-{name}"),
            status: String::new(),
            amount: PRICE,
            currency: "USD".into(),
            captured: 0,
            refunded: 0,
        });
        self.step(name, seconds, "PENDING").step(name, seconds, "RESERVED").pay_step(name, seconds, "REQUIRES_CONFIRMATION").pay_step(
            name,
            seconds,
            "PROCESSING",
        )
    }

    pub fn step(mut self, name: &str, seconds: i64, status: &str) -> Self {
        let order = self.orders.iter_mut().find(|order| order.id == format!("order-{name}")).unwrap();
        let previous = (!order.status.is_empty()).then(|| order.status.clone());
        (order.status, order.version, order.at) = (status.into(), order.version + 1, at(seconds));
        let step = Transition {
            seq: self.order_transitions.len() as i64 + 1,
            at: at(seconds),
            id: order.id.clone(),
            previous,
            status: status.into(),
            reason: None,
            version: order.version,
        };
        self.order_transitions.push(step);
        self
    }

    pub fn pay_step(mut self, name: &str, seconds: i64, status: &str) -> Self {
        let payment = self.payments.iter_mut().find(|payment| payment.id == format!("payment-{name}")).unwrap();
        let previous = (!payment.status.is_empty()).then(|| payment.status.clone());
        payment.status = status.into();
        if status == "CAPTURED" {
            payment.captured = payment.amount;
        }
        let version = self.payment_transitions.iter().filter(|step| step.id == payment.id).count() as i64 + 1;
        let id = payment.id.clone();
        let step = Transition { seq: version, at: at(seconds), id, previous, status: status.into(), reason: None, version };
        self.payment_transitions.push(step);
        self
    }

    pub fn psp(mut self, name: &str, seconds: i64, kind: &str) -> Self {
        let seq = self.psp_truth.len() as i64 + 1;
        self.psp_truth.push(PspEvent {
            seq,
            at: at(seconds),
            kind: kind.into(),
            id: format!("event-{seq}"),
            authorization_id: format!("authorization-{name}"),
            payment_id: format!("payment-{name}"),
            amount: PRICE,
            currency: "USD".into(),
        });
        self
    }

    /// The entry of the provider's last event, as the books of a shop where everything is right have it.
    pub fn booked(mut self) -> Self {
        let event = self.psp_truth.last().unwrap().clone();
        let (debit, credit) = if event.moves() > 0 { ("psp_clearing", "customer_deposits") } else { ("refunds", "psp_clearing") };
        for (account, debit, credit) in [(debit, event.amount, 0), (credit, 0, event.amount)] {
            self.ledger.push(LedgerLine {
                seq: self.ledger.len() as i64 + 1,
                at: event.at,
                id: format!("entry-{}", event.seq),
                payment_id: event.payment_id.clone(),
                psp_event_id: Some(event.id.clone()),
                account: account.into(),
                debit,
                credit,
                currency: "USD".into(),
            });
        }
        self
    }

    /// A movement that ends the hold, with the reservation's status after it.
    pub fn ended(mut self, name: &str, seconds: i64, kind: &str, status: &str) -> Self {
        let reservation = self.reservations.iter_mut().find(|reservation| reservation.id == format!("hold-{name}")).unwrap();
        reservation.status = status.into();
        reservation.ended_at = Some(at(seconds));
        let (token, was_live) = (reservation.fencing_token, at(seconds) < reservation.expires_at || kind == "expire");
        if kind == "claim" {
            reservation.claimed_at = Some(at(seconds));
        }
        let movement = self.movement(seconds, kind, 1);
        movement.reservation_id = Some(format!("hold-{name}"));
        movement.fencing_token = Some(token);
        self.counters(if was_live { -1 } else { 0 }, i64::from(kind == "claim"));
        self
    }

    /// The provider says yes at `seconds`; the stock is claimed, the money taken, the order confirmed.
    pub fn confirmed(self, name: &str, seconds: i64) -> Self {
        self.psp(name, seconds, "authorization.succeeded")
            .pay_step(name, seconds, "AUTHORIZED")
            .step(name, seconds, "PAID")
            .ended(name, seconds, "claim", "CLAIMED")
            .psp(name, seconds, "capture.succeeded")
            .booked()
            .pay_step(name, seconds, "CAPTURED")
            .step(name, seconds, "CONFIRMED")
            .step(name, seconds, "FULFILLED_READY")
    }

    /// The provider says yes when the hold has run out; the payment is voided.
    pub fn voided(self, name: &str, seconds: i64) -> Self {
        self.psp(name, seconds, "authorization.succeeded")
            .pay_step(name, seconds, "AUTHORIZED")
            .step(name, seconds, "PAID")
            .psp(name, seconds, "authorization.voided")
            .pay_step(name, seconds, "VOIDED")
            .step(name, seconds, "CANCELLED")
    }

    pub fn coupon(mut self, limit: i64, carts: &[&str]) -> Self {
        self.promotions.push(Promotion { id: "promotion".into(), usage_limit: Some(limit), used: carts.len() as i64 });
        self.redemptions.extend(carts.iter().enumerate().map(|(index, cart)| Redemption {
            id: format!("redemption-{index}"),
            promotion_id: "promotion".into(),
            cart_id: (*cart).into(),
        }));
        self
    }

    pub fn hold_of(&mut self, name: &str) -> &mut Reservation {
        self.reservations.iter_mut().find(|reservation| reservation.id == format!("hold-{name}")).unwrap()
    }

    pub fn adjusted(mut self, seconds: i64, delta: i64) -> Self {
        self.movement(seconds, "adjust", delta);
        self.stock[0].on_hand += delta;
        self
    }

    /// A client's call at `seconds` and its answer, a second later.
    pub fn said(mut self, seconds: i64, call: (&str, &str), key: Option<&str>, status: u16, body: serde_json::Value) -> Self {
        let asked = self.exchanges.len() as u64 * 2;
        let digest = body.to_string();
        let answer =
            Answered { answered: asked + 1, at: at(seconds + 1), status, location: None, etag: None, is_replay: false, body, digest };
        self.exchanges.push(Arc::new(Exchange {
            asked,
            asked_at: at(seconds),
            session: "ann".into(),
            method: call.0.into(),
            path: call.1.into(),
            key: key.map(Into::into),
            request: "the same".into(),
            answer: Some(answer),
        }));
        self
    }

    /// An event that order-service has committed at `seconds`, that lies in the log, and that cart-service has read and noted.
    pub fn told(mut self, seconds: i64, id: &str) -> Self {
        let (topic, offset) = ("order.created.v1", self.published.len() as u64);
        let seq = self.committed.len() as i64 + 1;
        if self.schemas.is_empty() {
            self.schemas.push(Schema { subject: format!("{topic}-value"), version: 1, id: 7, schema: r#""long""#.into() });
        }
        self.committed.push(Committed {
            seq,
            at: at(seconds),
            service: "order".into(),
            id: id.into(),
            topic: topic.into(),
            key: "order-a".into(),
            status: "SENT".into(),
        });
        self.published.push(Published {
            at: at(seconds),
            id: Some(id.into()),
            topic: topic.into(),
            partition: 0,
            offset,
            key: "order-a".into(),
            // Magic byte, schema 7, the number 1.
            value: "AAAAAAcC".into(),
            group: None,
        });
        self.noted.push(Noted {
            seq,
            at: at(seconds + 1),
            service: "cart".into(),
            consumer: topic.into(),
            id: id.into(),
            key: "order-a".into(),
            passed_over: false,
        });
        self.readings = vec![Reading { group: format!("cart-{topic}"), topic: topic.into(), partition: 0, committed: offset + 1 }];
        self
    }

    pub fn plant(mut self, bug: impl FnOnce(&mut Self)) -> Self {
        bug(&mut self);
        self
    }
}

/// The grace of the tests.
pub fn grace() -> super::Grace {
    super::Grace {
        hold_end: Duration::from_secs(60),
        saga: Duration::from_secs(600),
        effects: Duration::from_secs(10),
        books: Duration::from_secs(700),
    }
}
