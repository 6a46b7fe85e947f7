//! I5, one capture, three agree: what the shop has of an order is the same in the provider's truth, in the books and in the payment. A refund
//! that is pending may have been given already; what the provider has told just now may not have been heard. What order-service says has
//! gone back is what it has heard of the payment's steps, and may be behind for a moment; what is given back after a payment's end is no step.

use std::collections::BTreeMap;

use types::Timestamp;

use super::{Grace, Row};
use crate::facts::Facts;

/// What the three say of one payment: captured less what was refunded.
#[derive(Default)]
struct Said {
    order: Option<String>,
    at_provider: i64,
    in_books: i64,
    by_payment: i64,
    /// What has gone back, by the payment and by the order.
    refunded: i64,
    told_of_it: Option<i64>,
    /// On its way back.
    pending: i64,
    last_told: Option<Timestamp>,
}

pub fn agree(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut captures: BTreeMap<&str, usize> = BTreeMap::new();
    for event in facts.psp_truth.iter().filter(|event| event.kind == "capture.succeeded") {
        *captures.entry(&event.authorization_id).or_default() += 1;
    }
    for (authorization, count) in captures.into_iter().filter(|(_, count)| *count > 1) {
        rows.push((authorization.to_owned(), format!("an authorization that was captured {count} times")));
    }
    let mut said: BTreeMap<&str, Said> = BTreeMap::new();
    for payment in &facts.payments {
        let of = said.entry(&payment.id).or_default();
        of.order = Some(payment.order_id.clone());
        of.by_payment = payment.captured - payment.refunded;
        of.refunded = if payment.status.ends_with("REFUNDED") { payment.refunded } else { 0 };
    }
    for order in &facts.orders {
        if let Some(payment) = &order.payment_id {
            said.entry(payment).or_default().told_of_it = Some(order.payment_refunded);
        }
    }
    for refund in facts.refunds.iter().filter(|refund| refund.status == "PENDING") {
        said.entry(&refund.payment_id).or_default().pending += refund.amount;
    }
    for line in facts.ledger.iter().filter(|line| line.account == "psp_clearing" && line.psp_event_id.is_some()) {
        said.entry(&line.payment_id).or_default().in_books += line.debit - line.credit;
    }
    for event in &facts.psp_truth {
        let of = said.entry(&event.payment_id).or_default();
        of.at_provider += event.moves();
        of.last_told = of.last_told.max(Some(event.at));
    }
    for (payment, said) in said {
        let is_settled = said.last_told.is_none_or(|at| at.plus(grace.books.max(grace.effects)) <= facts.now);
        if is_settled && let Some(wrong) = wrong_with(&said) {
            let order = said.order.map_or_else(|| "no order".to_owned(), |order| format!("order {order}"));
            rows.push((payment.to_owned(), format!("{wrong} ({order})")));
        }
    }
    rows
}

fn wrong_with(said: &Said) -> Option<String> {
    let Said { at_provider, in_books, by_payment, refunded, told_of_it, pending, .. } = said;
    if in_books != by_payment {
        return Some(format!("the books have {in_books} of it and the payment {by_payment}"));
    }
    // More than the payment has can only have been read later.
    if let Some(told) = told_of_it.filter(|told| told < refunded) {
        return Some(format!("the payment has given {refunded} back and the order tells of {told}"));
    }
    let missing = by_payment - at_provider;
    (!(0..=*pending).contains(&missing)).then(|| format!("the provider has {at_provider} of it and the shop {by_payment}"))
}
