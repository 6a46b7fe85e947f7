//! I6, money is bounded: no more goes back than was taken, and no more is taken than was agreed to. In the provider's truth that holds for
//! each authorization; of each payment no more is taken, over all its authorizations, than its buyer agreed to.

use std::collections::BTreeMap;

use super::Row;
use crate::facts::Facts;

#[derive(Clone, Copy, Default)]
struct Sums {
    authorized: i64,
    captured: i64,
    refunded: i64,
}

pub fn are_bounded(facts: &Facts) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut authorizations, mut taken) = (BTreeMap::<&str, Sums>::new(), BTreeMap::<&str, i64>::new());
    for event in &facts.psp_truth {
        let sums = authorizations.entry(&event.authorization_id).or_default();
        match event.kind.as_str() {
            "authorization.succeeded" => sums.authorized += event.amount,
            "capture.succeeded" => {
                sums.captured += event.amount;
                *taken.entry(&event.payment_id).or_default() += event.amount;
            }
            "refund.succeeded" => sums.refunded += event.amount,
            _ => {}
        }
    }
    for (authorization, Sums { authorized, captured, refunded }) in authorizations {
        if refunded > captured {
            rows.push((authorization.to_owned(), format!("an authorization with {refunded} refunded of {captured}")));
        } else if captured > authorized {
            rows.push((authorization.to_owned(), format!("an authorization of {authorized} with {captured} captured")));
        }
    }
    for payment in &facts.payments {
        let taken = taken.get(payment.id.as_str()).copied().unwrap_or_default();
        if payment.refunded > payment.captured {
            rows.push((payment.id.clone(), format!("a payment with {} refunded of {}", payment.refunded, payment.captured)));
        } else if payment.captured.max(taken) > payment.amount {
            let detail = format!("a payment of {} with {} taken", payment.amount, payment.captured.max(taken));
            rows.push((payment.id.clone(), detail));
        }
    }
    rows
}
