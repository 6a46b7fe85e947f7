//! The record against the facts, when everything rests: what was acknowledged is there, once. Pure: from facts and record to findings, so that
//! a test can plant each kind of loss.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::record::{Intent, Record, order_of};
use crate::facts::{Facts, Movement, Payment, PspEvent};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wrong {
    /// It was acknowledged and is not there.
    Lost,
    /// It was asked for once and happened more often.
    Doubled,
    /// It was answered in one way and is answered in another.
    Changed,
    /// It has not ended.
    Open,
}

impl Wrong {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Changed => "changed",
            Self::Open => "open",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub wrong: Wrong,
    pub detail: String,
}

impl Finding {
    pub(super) const fn lost(detail: String) -> Self {
        Self { wrong: Wrong::Lost, detail }
    }
    pub(super) const fn doubled(detail: String) -> Self {
        Self { wrong: Wrong::Doubled, detail }
    }
    pub(super) const fn changed(detail: String) -> Self {
        Self { wrong: Wrong::Changed, detail }
    }
    const fn open(detail: String) -> Self {
        Self { wrong: Wrong::Open, detail }
    }
}

/// How much was looked at, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// Acknowledged answers by what they acknowledged: orders, cancellations, refunds, stock movements.
    pub orders: u64,
    pub cancellations: u64,
    pub refunds: u64,
    pub movements: u64,
    pub captures: u64,
    pub findings: Vec<Finding>,
}

/// Whether every saga and every payment has ended. A saga that walks back gives the money back first and cancels the order last: while more has
/// gone back than anybody asked for, and the order stands, it is still on its way.
#[must_use]
pub fn rests(facts: &Facts, record: &Record) -> bool {
    let (cancelled, asked_back) = (cancelled(facts), asked_back(record));
    let walks_back = |payment: &Payment| {
        let asked = asked_back.get(payment.id.as_str()).copied().unwrap_or_default();
        payment.refunded > asked && !cancelled.contains(payment.order_id.as_str())
    };
    open_orders(facts).next().is_none() && open_payments(facts).next().is_none() && !facts.payments.iter().any(walks_back)
}

fn cancelled(facts: &Facts) -> BTreeSet<&str> {
    facts.orders.iter().filter(|order| order.status == "CANCELLED").map(|order| order.id.as_str()).collect()
}

/// What was acknowledged to go back, of each payment.
fn asked_back(record: &Record) -> BTreeMap<&str, i64> {
    let mut asked_back: BTreeMap<&str, i64> = BTreeMap::new();
    for (asked, _) in record.done().filter(|(asked, _)| asked.intent == Intent::Refund) {
        *asked_back.entry(&asked.about).or_default() += asked.body["amount"]["amount"].as_i64().unwrap_or_default();
    }
    asked_back
}

fn open_orders(facts: &Facts) -> impl Iterator<Item = String> {
    let open = facts.orders.iter().filter(|order| matches!(order.status.as_str(), "PENDING" | "RESERVED" | "PAID" | "CONFIRMED"));
    open.map(|order| format!("order {} is still {}", order.id, order.status))
}

fn open_payments(facts: &Facts) -> impl Iterator<Item = String> {
    let open = facts.payments.iter().filter(|payment| matches!(payment.status.as_str(), "PROCESSING" | "UNKNOWN"));
    open.map(|payment| format!("payment {} is still {}", payment.id, payment.status))
}

/// Holds the facts against the record.
#[must_use]
pub fn judge(facts: &Facts, record: &Record) -> Judged {
    let mut judged = Judged::default();
    judged.findings.extend(open_orders(facts).chain(open_payments(facts)).map(Finding::open));
    orders(facts, record, &mut judged);
    states(facts, record, &mut judged);
    money(facts, record, &mut judged);
    shelves(facts, record, &mut judged);
    reservations(facts, record, &mut judged);
    judged
}

/// Every acknowledged order is there, of its cart; every acknowledged cancellation too.
fn orders(facts: &Facts, record: &Record, judged: &mut Judged) {
    let by_id: BTreeMap<&str, _> = facts.orders.iter().map(|order| (order.id.as_str(), order)).collect();
    for (asked, answer) in record.done() {
        match asked.intent {
            Intent::CheckOut | Intent::Order => {
                judged.orders += 1;
                let id = order_of(&answer.body).unwrap_or_default();
                match by_id.get(id.as_str()) {
                    None => judged.findings.push(Finding::lost(format!("order {id} of cart {}", asked.about))),
                    Some(order) if order.cart_id != asked.about => {
                        judged.findings.push(Finding::changed(format!("order {id} is of cart {}, not {}", order.cart_id, asked.about)));
                    }
                    Some(_) => {}
                }
            }
            Intent::Cancel => {
                judged.cancellations += 1;
                // Acknowledged as it stood after some patience: `CANCELLED` or under way, but never taken back.
                if by_id.get(asked.about.as_str()).is_none_or(|order| order.status != "CANCELLED") {
                    judged.findings.push(Finding::lost(format!("the cancellation of order {}", asked.about)));
                }
            }
            _ => {}
        }
    }
}

/// A state that was shown has been.
fn states(facts: &Facts, record: &Record, judged: &mut Judged) {
    let mut been: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for step in &facts.order_transitions {
        been.entry(&step.id).or_default().insert(&step.status);
    }
    for (order, seen) in record.seen() {
        for status in seen {
            if !been.get(order).is_some_and(|been| been.contains(status.as_str())) {
                judged.findings.push(Finding::lost(format!("order {order} was shown as {status} and has never been it")));
            }
        }
    }
}

/// The provider took each payment once, and gave back what was acknowledged, no more and no less.
fn money(facts: &Facts, record: &Record, judged: &mut Judged) {
    let mut events: BTreeMap<&str, Vec<&PspEvent>> = BTreeMap::new();
    for event in &facts.psp_truth {
        events.entry(&event.payment_id).or_default().push(event);
    }
    judged.refunds += record.done().filter(|(asked, _)| asked.intent == Intent::Refund).count() as u64;
    let (cancelled, asked_back) = (cancelled(facts), asked_back(record));
    let payments: BTreeSet<&str> = facts.payments.iter().map(|payment| payment.id.as_str()).collect();
    for payment in asked_back.keys().filter(|payment| !payments.contains(*payment)) {
        judged.findings.push(Finding::lost(format!("payment {payment}, of which a refund was acknowledged")));
    }
    for payment in &facts.payments {
        let of = events.get(payment.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let captures = of.iter().filter(|event| event.kind == "capture.succeeded").count();
        judged.captures += captures as u64;
        if captures > 1 {
            judged.findings.push(Finding::doubled(format!("payment {} was captured {captures} times", payment.id)));
        }
        let back: i64 = of.iter().filter(|event| event.kind == "refund.succeeded").map(|event| event.amount).sum();
        let acknowledged = asked_back.get(payment.id.as_str()).copied().unwrap_or_default();
        // A cancellation gives back all that is left.
        let (least, most) =
            if cancelled.contains(payment.order_id.as_str()) { (acknowledged, payment.captured) } else { (acknowledged, acknowledged) };
        if back < least {
            judged.findings.push(Finding::lost(format!("{} of {least} that payment {} was to give back", least - back, payment.id)));
        }
        if back > most {
            judged.findings.push(Finding::doubled(format!("payment {} gave back {back} of {most}", payment.id)));
        }
        if back != payment.refunded {
            judged.findings.push(Finding::lost(format!(
                "the provider gave back {back} of payment {}, whose books say {}",
                payment.id, payment.refunded
            )));
        }
    }
}

/// The journal of a SKU has the acknowledged adjustments, each once.
fn shelves(facts: &Facts, record: &Record, judged: &mut Judged) {
    let mut shelves: BTreeMap<&str, (usize, i64)> = BTreeMap::new();
    for (asked, _) in record.done().filter(|(asked, _)| asked.intent == Intent::Adjust) {
        judged.movements += 1;
        let shelf = shelves.entry(&asked.about).or_default();
        *shelf = (shelf.0 + 1, shelf.1 + asked.body["delta"].as_i64().unwrap_or_default());
    }
    for (sku, (count, sum)) in shelves {
        let written: Vec<&Movement> = facts
            .movements
            .iter()
            .filter(|movement| movement.sku == sku && matches!(movement.kind.as_str(), "receipt" | "adjust"))
            .collect();
        let units: i64 = written.iter().map(|movement| movement.quantity).sum();
        if written.len() < count || units < sum {
            judged
                .findings
                .push(Finding::lost(format!("{sku}: {count} adjustments of {sum} units, in the journal {} of {units}", written.len())));
        } else if (written.len(), units) != (count, sum) {
            judged
                .findings
                .push(Finding::doubled(format!("{sku}: {count} adjustments of {sum} units, in the journal {} of {units}", written.len())));
        }
    }
}

/// Every acknowledged hold, claim and release stands in the journal once.
fn reservations(facts: &Facts, record: &Record, judged: &mut Judged) {
    let mut written: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for movement in &facts.movements {
        if let Some(reservation) = &movement.reservation_id {
            *written.entry((reservation, &movement.kind)).or_default() += 1;
        }
    }
    for (asked, answer) in record.done() {
        let kind = match asked.intent {
            Intent::Reserve => "hold",
            Intent::Claim => "claim",
            Intent::Release => "release",
            _ => continue,
        };
        judged.movements += 1;
        let reservation = answer.body["reservationId"].as_str().unwrap_or_default();
        match written.get(&(reservation, kind)).copied().unwrap_or_default() {
            0 => judged.findings.push(Finding::lost(format!("the {kind} of reservation {reservation}"))),
            1 => {}
            more => judged.findings.push(Finding::doubled(format!("{more} times the {kind} of reservation {reservation}"))),
        }
    }
}

#[cfg(test)]
mod tests;
