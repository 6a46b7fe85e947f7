//! The figures of a run, from the audit exports and the provider's truth alone: never from what a buyer was told or from what the lab itself
//! counted while it ran.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use types::Timestamp;

use crate::{
    experiment::Micros,
    facts::{Facts, Order, PspEvent},
    record::Damage,
};

/// An order is stuck that has not ended this long after the payment's deadline.
pub const STUCK_AFTER: Micros = 60_000_000;

/// What a run comes to, in orders, captures, money and seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub orders: i64,
    /// Confirmed, or further.
    pub sold: i64,
    pub cancelled: i64,
    /// Captures that the provider keeps of orders that were cancelled.
    pub orphan_captures: i64,
    /// Captures beyond the first that the provider keeps of orders that were sold.
    pub double_captures: i64,
    /// What these come to, in minor units.
    pub money_at_risk_minor: i64,
    /// Orders that ended more than a minute after their payment's deadline, or not at all.
    pub orders_stuck: i64,
    /// Buyers who were charged for an order that was cancelled, and have it back.
    pub refunded_late: i64,
    /// From an order's beginning to its end, over all.
    pub waited_seconds: i64,
}

impl Figures {
    /// The damage that the scenarios are about.
    #[must_use]
    pub const fn primary(&self) -> i64 {
        self.orphan_captures + self.double_captures
    }
}

/// What makes the incident possible, as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    /// Payments that had no answer within the shop's patience.
    pub unanswered: usize,
    /// Those of which the provider has taken the money.
    pub taken_all_the_same: usize,
}

impl Precondition {
    #[must_use]
    pub const fn is_met(&self) -> bool {
        self.taken_all_the_same > 0
    }
}

/// The moments at which things turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    /// A payment had no answer in time.
    pub first_unanswered: Option<Timestamp>,
    /// Money was taken that nobody was to take, or an order was cancelled whose money had been taken.
    pub first_damage: Option<Timestamp>,
    pub last_damage: Option<Timestamp>,
    /// A buyer was told that his order is cancelled.
    pub first_cancelled: Option<Timestamp>,
}

/// Everything that is measured of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub figures: Figures,
    pub precondition: Precondition,
    pub moments: Moments,
    pub damaged: Vec<Damage>,
    /// What an order costs; they are all alike.
    pub order_total: i64,
    /// Whether every capture came in the same moment as its authorization.
    pub taken_with_authorization: bool,
}

/// What the provider knows of one payment.
#[derive(Default)]
struct AtProvider<'a> {
    captures: Vec<&'a PspEvent>,
    authorized: Option<Timestamp>,
    net: i64,
}

/// Measures a run over one SKU. `patience`: how long the shop waits for the provider; `deadline`: how long a payment may take in all.
#[must_use]
pub fn measure(facts: &Facts, sku: &str, patience: Micros, deadline: Micros) -> Measured {
    let mine: Vec<&Order> =
        facts.orders.iter().filter(|order| facts.order_lines.iter().any(|line| line.id == order.id && line.sku == sku)).collect();
    let payment_of: BTreeMap<&str, &str> = facts.payments.iter().map(|payment| (payment.order_id.as_str(), payment.id.as_str())).collect();
    let provider = at_provider(facts);
    let ends = ends(facts);
    let unanswered = unanswered(facts, patience);
    let nothing = AtProvider::default();
    let (mut figures, mut moments) = (Figures { orders: mine.len() as i64, ..Figures::default() }, Moments::default());
    let (mut damaged, mut precondition, mut waited) = (Vec::new(), Precondition::default(), 0);
    let mut taken_with_authorization = true;
    for order in &mine {
        let payment = payment_of.get(order.id.as_str()).copied().unwrap_or_default();
        let known = provider.get(payment).unwrap_or(&nothing);
        let (is_cancelled, end) = (order.status == "CANCELLED", ends.get(order.id.as_str()).copied());
        let lasted = end.unwrap_or(facts.now).micros() - order.created_at.micros();
        let is_sold = !is_cancelled && end.is_some();
        waited += lasted;
        figures.sold += i64::from(is_sold);
        figures.cancelled += i64::from(is_cancelled);
        figures.orders_stuck += i64::from(end.is_none() || lasted > deadline + STUCK_AFTER);
        figures.refunded_late += i64::from(is_cancelled && !known.captures.is_empty() && known.net == 0);
        taken_with_authorization &= known.captures.iter().all(|capture| Some(capture.at) <= known.authorized);
        if let Some(at) = unanswered.get(payment) {
            precondition.unanswered += 1;
            precondition.taken_all_the_same += usize::from(!known.captures.is_empty());
            moments.first_unanswered = earliest(moments.first_unanswered, Some(*at));
        }
        if is_cancelled {
            moments.first_cancelled = earliest(moments.first_cancelled, end);
        }
        // Of a cancelled order none is to be kept, of another one; what was given back is not kept.
        let due = if is_cancelled { 0 } else { order.total };
        let spare = if is_cancelled { 0 } else { 1 };
        if known.net <= due {
            continue;
        }
        let too_many = known.captures.len() as i64 - spare;
        figures.money_at_risk_minor += known.net - due;
        if is_cancelled {
            figures.orphan_captures += too_many
        } else {
            figures.double_captures += too_many
        }
        let paid_at = known.captures.last().map(|capture| capture.at);
        let since = if is_cancelled { paid_at.max(end) } else { paid_at };
        moments.first_damage = earliest(moments.first_damage, since);
        moments.last_damage = moments.last_damage.max(since);
        let (order_id, sku) = (order.id.clone(), sku.to_owned());
        damaged.push(Damage { order_id, sku, units: 1, money_minor: known.net - due, hold_expired_at: None, paid_at });
    }
    figures.waited_seconds = waited / 1_000_000;
    let order_total = mine.first().map_or(0, |order| order.total);
    Measured { figures, precondition, moments, damaged, order_total, taken_with_authorization }
}

fn at_provider(facts: &Facts) -> BTreeMap<&str, AtProvider<'_>> {
    let mut all: BTreeMap<&str, AtProvider<'_>> = BTreeMap::new();
    for event in &facts.psp_truth {
        let known = all.entry(&event.payment_id).or_default();
        known.net += event.moves();
        match event.kind.as_str() {
            "authorization.succeeded" => known.authorized = known.authorized.max(Some(event.at)),
            "capture.succeeded" => known.captures.push(event),
            _ => {}
        }
    }
    all
}

/// When each order ended: confirmed or cancelled.
fn ends(facts: &Facts) -> BTreeMap<&str, Timestamp> {
    let mut ends = BTreeMap::new();
    for step in facts.order_transitions.iter().filter(|step| matches!(step.status.as_str(), "CONFIRMED" | "CANCELLED")) {
        ends.entry(step.id.as_str()).or_insert(step.at);
    }
    ends
}

/// The payments that did not come further within the shop's patience after they had been asked for, and when that was over.
fn unanswered(facts: &Facts, patience: Micros) -> BTreeMap<&str, Timestamp> {
    let mut asked: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut unanswered = BTreeMap::new();
    let patience = Duration::from_micros(patience.unsigned_abs());
    for step in &facts.payment_transitions {
        if step.status == "PROCESSING" {
            asked.insert(&step.id, step.at);
        } else if let Some(since) = asked.remove(step.id.as_str())
            && step.at >= since.plus(patience)
        {
            unanswered.insert(step.id.as_str(), since.plus(patience));
        }
    }
    unanswered
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::plant::{PRICE, SKU, at, none};

    const SECOND: Micros = 1_000_000;

    fn measured(facts: &Facts) -> Measured {
        measure(facts, SKU, 10 * SECOND, 480 * SECOND)
    }

    #[test]
    fn an_order_that_was_cancelled_and_charged_is_an_orphan() {
        let facts = none()
            .received(3)
            .held("a", 10)
            .confirmed("a", 12)
            .held("b", 20)
            .psp("b", 20, "authorization.succeeded")
            .psp("b", 20, "capture.succeeded")
            .pay_step("b", 30, "FAILED")
            .ended("b", 30, "release", "RELEASED")
            .step("b", 30, "CANCELLED");
        let run = measured(&facts);
        let expected = Figures {
            orders: 2,
            sold: 1,
            cancelled: 1,
            orphan_captures: 1,
            money_at_risk_minor: PRICE,
            waited_seconds: 12,
            ..Figures::default()
        };
        assert_eq!(run.figures, expected);
        assert_eq!(run.precondition, Precondition { unanswered: 1, taken_all_the_same: 1 });
        assert_eq!((run.moments.first_unanswered, run.moments.first_damage), (Some(at(30)), Some(at(30))));
        assert_eq!(run.damaged.iter().map(|row| (row.order_id.as_str(), row.money_minor)).collect::<Vec<_>>(), [("order-b", PRICE)]);
        assert!(run.taken_with_authorization);
    }

    #[test]
    fn an_order_that_was_charged_twice_is_counted_once_too_often() {
        let facts = none().received(1).held("a", 10).psp("a", 10, "capture.succeeded").confirmed("a", 21);
        let run = measured(&facts);
        assert_eq!((run.figures.double_captures, run.figures.orphan_captures, run.figures.money_at_risk_minor), (1, 0, PRICE));
        assert_eq!(run.precondition.taken_all_the_same, 1);
    }

    #[test]
    fn who_has_it_back_is_no_orphan_and_who_waits_for_ever_is_stuck() {
        let back = none()
            .received(2)
            .held("a", 10)
            .pay_step("a", 490, "FAILED")
            .step("a", 491, "CANCELLED")
            .psp("a", 700, "capture.succeeded")
            .psp("a", 701, "refund.succeeded")
            .held("b", 20);
        let run = measured(&back);
        let figures = run.figures;
        assert_eq!((figures.refunded_late, figures.primary(), figures.orders_stuck), (1, 0, 1));
        assert_eq!((figures.sold, figures.cancelled), (0, 1));
        assert!(run.damaged.is_empty());
    }
}
