//! The figures of a run, from the audit exports alone: never from what a buyer was told or from what the lab itself counted while it ran. Only
//! the moment at which the price changed is the lab's own, since it is the lab that changed it.

use std::collections::BTreeMap;

use serde::Serialize;
use types::Timestamp;

use super::demand::Plan;
use crate::{
    experiment::span,
    facts::{CartLine, CartStep, Facts, Order},
    record::Damage,
};

/// What a run comes to, in orders, checkouts and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub orders: i64,
    /// Confirmed, or further.
    pub sold: i64,
    /// Orders that were charged by a quote which had ended.
    pub ended_quotes_charged: i64,
    /// By how much these differ from what the goods cost then, in minor units.
    pub money_at_risk_minor: i64,
    /// Checkouts that were refused so that the buyer looks again.
    pub asked_again: i64,
    /// Those although the total had not risen.
    pub asked_for_nothing: i64,
    /// What all goods were sold for, in minor units, without tax and shipping.
    pub goods_minor: i64,
}

/// What makes the incident possible, as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    /// Carts that were checked out after their quote had ended.
    pub late: usize,
    /// Those whose price had changed meanwhile.
    pub late_and_changed: usize,
}

/// The moments at which things turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    pub price_changed: Option<Timestamp>,
    /// A cart was checked out after its quote had ended.
    pub first_late: Option<Timestamp>,
    /// One was charged all the same.
    pub first_charged: Option<Timestamp>,
    /// One was charged what its goods did not cost any more.
    pub first_wrong_price: Option<Timestamp>,
    pub last_charged: Option<Timestamp>,
}

/// Everything that is measured of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub figures: Figures,
    pub precondition: Precondition,
    pub moments: Moments,
    pub damaged: Vec<Damage>,
}

/// Measures a run over one SKU that began at this moment.
#[must_use]
pub fn measure(facts: &Facts, sku: &str, plan: &Plan, began: Timestamp) -> Measured {
    let lines: BTreeMap<&str, &CartLine> =
        facts.cart_lines.iter().filter(|line| line.sku == sku).map(|line| (line.id.as_str(), line)).collect();
    let mut steps: BTreeMap<&str, Vec<&CartStep>> = BTreeMap::new();
    for step in &facts.cart_steps {
        steps.entry(&step.id).or_default().push(step);
    }
    let changed_at = began.plus(span(plan.changes));
    let costs = |at: Timestamp| if at < changed_at { plan.unit_price_minor } else { plan.new_unit_price_minor };
    let mut figures = Figures::default();
    let (mut precondition, mut damaged) = (Precondition::default(), Vec::new());
    let mut moments = Moments { price_changed: (facts.now >= changed_at).then_some(changed_at), ..Moments::default() };
    for order in &facts.orders {
        let Some(line) = lines.get(order.cart_id.as_str()) else { continue };
        let steps = steps.get(order.cart_id.as_str()).map_or(&[][..], Vec::as_slice);
        let Some(closed) = steps.iter().find(|step| step.kind == "checked-out") else { continue };
        let is_ended = line.valid_until <= closed.at;
        figures.orders += 1;
        figures.sold += i64::from(is_sold(order));
        figures.goods_minor += line.unit_price * line.quantity;
        for (place, step) in steps.iter().enumerate().filter(|(_, step)| step.kind == "repriced" && step.version != closed.version) {
            let before = place.checked_sub(1).and_then(|place| steps.get(place)).map_or(step.total, |before| before.total);
            figures.asked_again += 1;
            figures.asked_for_nothing += i64::from(step.total <= before);
        }
        if is_ended || steps.iter().any(|step| step.kind == "repriced") {
            let filled = steps.first().map_or(closed.at, |step| step.at);
            precondition.late += 1;
            precondition.late_and_changed += usize::from(costs(filled) != costs(closed.at));
            moments.first_late = earliest(moments.first_late, closed.at);
        }
        if is_ended {
            let wrong = (costs(closed.at) - line.unit_price).abs() * line.quantity;
            figures.ended_quotes_charged += 1;
            figures.money_at_risk_minor += wrong;
            moments.first_charged = earliest(moments.first_charged, closed.at);
            moments.last_charged = moments.last_charged.max(Some(closed.at));
            if wrong > 0 {
                moments.first_wrong_price = earliest(moments.first_wrong_price, closed.at);
            }
            let (order_id, sku, paid_at) = (order.id.clone(), sku.to_owned(), Some(order.created_at));
            damaged.push(Damage { order_id, sku, units: line.quantity, money_minor: wrong, hold_expired_at: None, paid_at });
        }
    }
    Measured { figures, precondition, moments, damaged }
}

fn is_sold(order: &Order) -> bool {
    !matches!(order.status.as_str(), "PENDING" | "RESERVED" | "PAID" | "CANCELLED")
}

fn earliest(one: Option<Timestamp>, other: Timestamp) -> Option<Timestamp> {
    Some(one.map_or(other, |one| one.min(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        invariants::plant::{PRICE, SKU, at, none},
        knob::Knobs,
        stale_price::demand::KNOBS,
    };

    /// An order whose cart was filled at 10 s, closed at 100 s, and quoted until then or later; the price changes at 50 s.
    fn measured(valid_until: i64, steps: &[(i64, &str, i64, i64)]) -> Measured {
        let mut facts = none().received(1).held("a", 100).confirmed("a", 101);
        facts.cart_lines.iter_mut().for_each(|line| line.valid_until = at(valid_until));
        facts.cart_steps = steps
            .iter()
            .map(|(seconds, kind, version, total)| CartStep {
                at: at(*seconds),
                kind: (*kind).to_owned(),
                id: "cart-a".into(),
                version: *version,
                total: *total,
            })
            .collect();
        let knobs = Knobs::parse(KNOBS, ["window_seconds=100", &format!("unit_price_minor={PRICE}"), "new_unit_price_minor=2499"]).unwrap();
        measure(&facts, SKU, &Plan::of(&knobs).unwrap(), at(0))
    }

    const FILLED: (i64, &str, i64, i64) = (10, "item-added", 2, PRICE);

    #[test]
    fn a_quote_that_had_ended_is_counted_with_what_the_goods_cost_then() {
        let run = measured(100, &[FILLED, (100, "checked-out", 3, PRICE)]);
        let expected = Figures {
            orders: 1,
            sold: 1,
            ended_quotes_charged: 1,
            money_at_risk_minor: 2_499 - PRICE,
            goods_minor: PRICE,
            ..Figures::default()
        };
        assert_eq!(run.figures, expected);
        assert_eq!(run.precondition, Precondition { late: 1, late_and_changed: 1 });
        assert_eq!((run.moments.first_wrong_price, run.damaged.len()), (Some(at(100)), 1));
        assert_eq!(measured(101, &[FILLED, (100, "checked-out", 3, PRICE)]).figures.ended_quotes_charged, 0);
    }

    #[test]
    fn who_was_refused_was_asked_again_and_for_nothing_if_it_costs_no_more() {
        let asked = |total| measured(200, &[FILLED, (99, "repriced", 3, total), (100, "checked-out", 4, total)]).figures;
        assert_eq!((asked(2_499).asked_again, asked(2_499).asked_for_nothing), (1, 0));
        assert_eq!((asked(PRICE).asked_again, asked(PRICE).asked_for_nothing), (1, 1));
        let silently = measured(200, &[FILLED, (100, "repriced", 3, PRICE), (100, "checked-out", 3, PRICE)]);
        assert_eq!((silently.figures.asked_again, silently.precondition.late), (0, 1));
    }
}
