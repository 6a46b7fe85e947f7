//! The figures of a run, from the audit exports alone: what order-service has granted and tells, held against what payment-service has given back.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use types::Timestamp;

use super::demand::{CREDITS, Plan};
use crate::{
    facts::{Credit, Facts, Refund},
    record::Damage,
};

/// What a run comes to, in orders, refunds and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub orders: i64,
    pub credits: i64,
    /// Refunds that were made for credits.
    pub refunds: i64,
    /// What they are beyond one for each credit, in minor units.
    pub paid_twice_minor: i64,
    /// Orders that tell of less than has gone back.
    pub told_wrong: i64,
    /// How much less, in minor units.
    pub told_short_minor: i64,
}

/// The moments at which things turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    pub first_credit: Option<Timestamp>,
    /// A refund was made for a credit that had one.
    pub first_paid_twice: Option<Timestamp>,
    pub last_paid_twice: Option<Timestamp>,
}

/// Everything that is measured of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub figures: Figures,
    /// Orders with as many credits as there are to be, of which as much again could still be paid.
    pub within_limits: usize,
    pub moments: Moments,
    pub damaged: Vec<Damage>,
    /// What an order costs; they are all alike.
    pub order_total: i64,
}

/// Measures a run over one SKU.
#[must_use]
pub fn measure(facts: &Facts, sku: &str, plan: &Plan) -> Measured {
    let mine: BTreeSet<&str> = facts.order_lines.iter().filter(|line| line.sku == sku).map(|line| line.id.as_str()).collect();
    let mut refunds: BTreeMap<&str, Vec<&Refund>> = BTreeMap::new();
    for refund in facts.refunds.iter().filter(|refund| refund.status != "FAILED") {
        if let Some(credit) = &refund.credit_id {
            refunds.entry(credit).or_default().push(refund);
        }
    }
    let payments: BTreeMap<&str, _> = facts.payments.iter().map(|payment| (payment.order_id.as_str(), payment)).collect();
    let mut granted: BTreeMap<&str, Vec<&Credit>> = BTreeMap::new();
    for credit in &facts.credits {
        granted.entry(&credit.order_id).or_default().push(credit);
    }
    let mut run = Measured { figures: Figures::default(), within_limits: 0, moments: Moments::default(), damaged: vec![], order_total: 0 };
    for order in facts.orders.iter().filter(|order| mine.contains(order.id.as_str())) {
        run.figures.orders += 1;
        run.order_total = order.total;
        let (mut count, mut twice) = (0, 0);
        for credit in granted.remove(order.id.as_str()).unwrap_or_default() {
            count += 1;
            run.moments.first_credit = Some(run.moments.first_credit.map_or(credit.at, |first| first.min(credit.at)));
            let made = refunds.get(credit.id.as_str()).map_or(&[][..], Vec::as_slice);
            run.figures.refunds += made.len() as i64;
            for refund in made.iter().skip(1) {
                twice += refund.amount;
                run.moments.first_paid_twice = Some(run.moments.first_paid_twice.map_or(refund.at, |first| first.min(refund.at)));
                run.moments.last_paid_twice = run.moments.last_paid_twice.max(Some(refund.at));
            }
        }
        run.figures.credits += count;
        run.within_limits += usize::from(count == CREDITS && 2 * CREDITS * plan.credit_of(order.total) <= order.total);
        run.figures.paid_twice_minor += twice;
        let gone_back = payments.get(order.id.as_str()).map_or(0, |payment| payment.refunded);
        let short = gone_back - order.payment_refunded;
        run.figures.told_wrong += i64::from(short != 0);
        run.figures.told_short_minor += short;
        if twice != 0 || short != 0 {
            let (order_id, sku) = (order.id.clone(), sku.to_owned());
            run.damaged.push(Damage { order_id, sku, units: 1, money_minor: twice, hold_expired_at: None, paid_at: None });
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        duplicates::demand::KNOBS,
        invariants::plant::{PRICE, SKU, at, none},
        knob::Knobs,
    };

    /// An order with two credits of 1.99, of which one was paid as often as this, while the order tells of this much.
    fn measured(times: usize, told: i64) -> Measured {
        let mut facts = none().received(1).held("a", 110).confirmed("a", 130);
        let credit = |id: &str, seconds| Credit { id: id.into(), at: at(seconds), order_id: "order-a".into(), amount: 199 };
        facts.credits = vec![credit("one", 200), credit("two", 201)];
        let of = std::iter::once("one").chain(std::iter::repeat_n("two", times));
        let refund = |(number, credit): (usize, &str)| Refund {
            id: format!("refund-{number}"),
            at: at(300 + number as i64),
            payment_id: "payment-a".into(),
            amount: 199,
            status: "SUCCEEDED".into(),
            credit_id: Some(credit.into()),
        };
        facts.refunds = of.enumerate().map(refund).collect();
        facts.payments[0].refunded = 199 * (times as i64 + 1);
        facts.orders[0].payment_refunded = told;
        measure(&facts, SKU, &Plan::of(&Knobs::of(KNOBS)).unwrap())
    }

    #[test]
    fn what_is_paid_twice_and_told_of_once_is_found() {
        let run = measured(2, 199);
        let expected = Figures { orders: 1, credits: 2, refunds: 3, paid_twice_minor: 199, told_wrong: 1, told_short_minor: 398 };
        assert_eq!((run.figures, run.order_total, run.within_limits), (expected, PRICE, 1));
        assert_eq!((run.moments.first_credit, run.moments.first_paid_twice), (Some(at(200)), Some(at(302))));
        assert_eq!(run.damaged.len(), 1);
    }

    #[test]
    fn one_refund_for_each_credit_that_is_told_is_no_damage() {
        let run = measured(1, 398);
        assert_eq!((run.figures.refunds, run.figures.paid_twice_minor, run.figures.told_wrong), (2, 0, 0));
        assert!(run.damaged.is_empty());
    }
}
