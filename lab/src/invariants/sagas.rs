//! I9, the saga is atomic: an order ends with its stock and its money, or with neither, and it ends in time. What returns and refunds do after
//! that is another life.

use std::collections::BTreeMap;

use super::{Grace, Row};
use crate::facts::{Facts, Order, OrderLine, Payment, PspEvent, Reservation};

/// What belongs to one order.
#[derive(Default)]
struct Around<'a> {
    lines: Vec<&'a OrderLine>,
    reservations: Vec<&'a Reservation>,
    payments: Vec<&'a Payment>,
    psp: Vec<&'a PspEvent>,
}

pub fn is_atomic(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let mut around: BTreeMap<&str, Around<'_>> = BTreeMap::new();
    for line in &facts.order_lines {
        around.entry(&line.id).or_default().lines.push(line);
    }
    for reservation in &facts.reservations {
        around.entry(&reservation.order_id).or_default().reservations.push(reservation);
    }
    let mut order_of: BTreeMap<&str, &str> = BTreeMap::new();
    for payment in &facts.payments {
        order_of.insert(&payment.id, &payment.order_id);
        around.entry(&payment.order_id).or_default().payments.push(payment);
    }
    for event in &facts.psp_truth {
        if let Some(order) = order_of.get(event.payment_id.as_str()) {
            around.entry(order).or_default().psp.push(event);
        }
    }
    let nothing = Around::default();
    let of = |order: &Order| wrong_with(order, around.get(order.id.as_str()).unwrap_or(&nothing), facts, grace);
    facts.orders.iter().filter_map(|order| of(order).map(|wrong| (order.id.clone(), wrong))).collect()
}

fn wrong_with(order: &Order, around: &Around<'_>, facts: &Facts, grace: &Grace) -> Option<String> {
    let is_settled = order.at.plus(grace.effects) <= facts.now;
    match order.status.as_str() {
        "PENDING" | "RESERVED" | "PAID" => {
            let age = facts.now.since(order.created_at);
            (age > grace.saga).then(|| format!("still {} after {} s", order.status, age.as_secs()))
        }
        _ if !is_settled => None,
        "CANCELLED" => left_behind(around, facts),
        "RETURN_REQUESTED" | "RETURNED" => None,
        _ => not_kept(order, around),
    }
}

/// What a confirmed order lacks.
fn not_kept(order: &Order, around: &Around<'_>) -> Option<String> {
    for line in &around.lines {
        let claimed: i64 = around
            .reservations
            .iter()
            .filter(|reservation| reservation.is_claimed())
            .flat_map(|reservation| &reservation.lines)
            .filter(|reserved| reserved.sku == line.sku)
            .map(|reserved| reserved.quantity)
            .sum();
        if claimed != line.quantity {
            return Some(format!("{} with {} × {} claimed of {}", order.status, claimed, line.sku, line.quantity));
        }
    }
    let captured: i64 = around.payments.iter().map(|payment| payment.captured).sum();
    (captured != order.total).then(|| format!("{} with {captured} captured of {}", order.status, order.total))
}

/// What a cancelled order still has.
fn left_behind(around: &Around<'_>, facts: &Facts) -> Option<String> {
    for reservation in &around.reservations {
        if reservation.is_claimed() {
            return Some(format!("cancelled with reservation {} still {}", reservation.id, reservation.status));
        }
        if reservation.is_live(facts.now) {
            return Some(format!("cancelled with reservation {} held until {}", reservation.id, reservation.expires_at));
        }
    }
    for payment in &around.payments {
        let kept = payment.captured - payment.refunded;
        if kept != 0 {
            return Some(format!("cancelled with {kept} kept of payment {}", payment.id));
        }
    }
    let mut authorizations: BTreeMap<&str, Vec<&PspEvent>> = BTreeMap::new();
    for event in &around.psp {
        authorizations.entry(&event.authorization_id).or_default().push(event);
    }
    for (authorization, events) in authorizations {
        let sum = |kind: &str| events.iter().filter(|event| event.kind == kind).map(|event| event.amount).sum::<i64>();
        let has = |kind: &str| events.iter().any(|event| event.kind == kind);
        let (captured, refunded) = (sum("capture.succeeded"), sum("refund.succeeded"));
        if captured != refunded {
            return Some(format!("cancelled while the provider keeps {} of authorization {authorization}", captured - refunded));
        }
        if has("authorization.succeeded") && !has("authorization.voided") && captured == 0 {
            return Some(format!("cancelled while the provider still has authorization {authorization} open"));
        }
    }
    None
}
