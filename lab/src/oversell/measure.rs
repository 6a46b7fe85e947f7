//! The figures of an oversell run, from the audit exports and the provider's truth alone: never from what a buyer was told or from what the
//! lab itself counted while it ran.

use std::collections::BTreeMap;

use serde::Serialize;
use types::Timestamp;

use super::model::{Figures, locked_seconds};
use crate::{
    facts::Facts,
    journal::{Journal, Life},
    record::Damage,
};

/// What makes the incident possible, as it was seen: somebody asks for a unit whose hold has run out while its payment is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    /// Holds whose first time was over before their payment was answered.
    pub holds_outlived: usize,
    /// Orders made in the time between.
    pub asked_meanwhile: usize,
}

impl Precondition {
    #[must_use]
    pub const fn is_met(&self) -> bool {
        self.asked_meanwhile > 0
    }
}

/// The moments at which things turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    /// A hold's first time was over while its payment was on its way.
    pub first_hold_outlived: Option<Timestamp>,
    /// A claim came when its hold had run out.
    pub first_late_claim: Option<Timestamp>,
    /// More was claimed than there was.
    pub first_beyond_supply: Option<Timestamp>,
    pub last_beyond_supply: Option<Timestamp>,
    /// A buyer who had paid was told that there is nothing for him.
    pub first_paid_then_voided: Option<Timestamp>,
}

/// Everything that is measured of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub figures: Figures,
    pub precondition: Precondition,
    pub moments: Moments,
    pub damaged: Vec<Damage>,
}

/// Measures a run over one SKU.
#[must_use]
pub fn measure(facts: &Facts, sku: &str) -> Measured {
    let journal = Journal::of(&facts.movements);
    let lives: Vec<&Life<'_>> = journal.lives.iter().filter(|((_, life_sku, _), _)| *life_sku == sku).map(|(_, life)| life).collect();
    let supply: i64 = journal.folds.iter().filter(|((fold_sku, _), _)| *fold_sku == sku).map(|(_, fold)| fold.supply).sum();
    let lines: BTreeMap<&str, (i64, i64)> =
        facts.order_lines.iter().filter(|line| line.sku == sku).map(|line| (line.id.as_str(), (line.quantity, line.unit_price))).collect();
    let is_sold = |status: &str| !matches!(status, "PENDING" | "RESERVED" | "PAID" | "CANCELLED");
    let sold: i64 = facts
        .orders
        .iter()
        .filter(|order| is_sold(&order.status))
        .filter_map(|order| lines.get(order.id.as_str()))
        .map(|line| line.0)
        .sum();
    let oversold = (sold - supply).max(0);
    let payments = Payments::of(facts);
    let damaged = damaged(&lives, &lines, &payments, sku, oversold);
    let mut voided: Vec<Timestamp> = payments.paid_then_voided().collect();
    voided.sort_unstable();
    let in_vain: Vec<_> = lives.iter().filter(|life| life.claim().is_none()).collect();
    let locked = |at: Timestamp| in_vain.iter().any(|life| life.is_live(at));
    let sent_away = facts.order_transitions.iter().filter(|step| step.status == "CANCELLED" && step.reason.as_deref() == Some("no-stock"));
    let made: BTreeMap<&str, Timestamp> = facts
        .orders
        .iter()
        .filter(|order| lines.contains_key(order.id.as_str()))
        .map(|order| (order.id.as_str(), order.created_at))
        .collect();
    let false_sold_out = sent_away.filter_map(|step| made.get(step.id.as_str())).filter(|at| locked(**at)).count();
    let locked_unit_seconds = lives.iter().map(|life| life.quantity * locked_seconds(life.end().micros() - life.begin.micros())).sum();
    let figures = Figures {
        sold,
        supply,
        oversold,
        voided_after_payment: voided.len() as i64,
        unsold: (supply - sold).max(0),
        false_sold_out: false_sold_out as i64,
        locked_unit_seconds,
        money_at_risk_minor: damaged.iter().map(|row| row.money_minor).sum(),
    };
    let (precondition, first_hold_outlived) = precondition(&lives, &payments, made.values().copied().collect());
    let mut claims: Vec<(Timestamp, i64)> = lives.iter().filter_map(|life| life.claim().map(|claim| (claim.at, life.quantity))).collect();
    claims.sort_unstable();
    let mut taken = 0;
    claims.retain(|(_, quantity)| {
        taken += quantity;
        taken > supply
    });
    let moments = Moments {
        first_hold_outlived,
        first_late_claim: lives.iter().filter(|life| life.is_claimed_late()).filter_map(|life| life.claim()).map(|claim| claim.at).min(),
        first_beyond_supply: claims.first().map(|(at, _)| *at),
        last_beyond_supply: claims.last().map(|(at, _)| *at),
        first_paid_then_voided: voided.first().copied(),
    };
    Measured { figures, precondition, moments, damaged }
}

/// What the provider knows of each order's payment.
struct Payments<'a> {
    by_order: BTreeMap<&'a str, Paid>,
}

#[derive(Clone, Copy, Default)]
struct Paid {
    /// The provider's first word: yes, no, or the confirmation of a void.
    answered: Option<Timestamp>,
    authorized: Option<Timestamp>,
    voided: Option<Timestamp>,
}

impl<'a> Payments<'a> {
    fn of(facts: &'a Facts) -> Self {
        let order_of: BTreeMap<&str, &str> =
            facts.payments.iter().map(|payment| (payment.id.as_str(), payment.order_id.as_str())).collect();
        let mut by_order: BTreeMap<&str, Paid> = BTreeMap::new();
        for event in &facts.psp_truth {
            let Some(order) = order_of.get(event.payment_id.as_str()) else { continue };
            let paid = by_order.entry(order).or_default();
            paid.answered = Some(paid.answered.map_or(event.at, |before| before.min(event.at)));
            match event.kind.as_str() {
                "authorization.succeeded" => paid.authorized = Some(event.at),
                "authorization.voided" => paid.voided = Some(event.at),
                _ => {}
            }
        }
        Self { by_order }
    }

    fn of_order(&self, order: Option<&str>) -> Paid {
        order.and_then(|order| self.by_order.get(order)).copied().unwrap_or_default()
    }

    fn paid_then_voided(&self) -> impl Iterator<Item = Timestamp> {
        self.by_order.values().filter(|paid| paid.authorized.is_some()).filter_map(|paid| paid.voided)
    }
}

/// The orders that stand for the units beyond supply: of those that were claimed late, the last ones, since each of them took a unit that had
/// been given to another. Were there fewer than that, the last claims of all fill the list.
fn damaged(lives: &[&Life<'_>], lines: &BTreeMap<&str, (i64, i64)>, payments: &Payments<'_>, sku: &str, oversold: i64) -> Vec<Damage> {
    let mut claimed: Vec<_> = lives.iter().filter_map(|life| life.claim().map(|claim| (life.is_claimed_late(), claim.at, *life))).collect();
    claimed.sort_by_key(|(is_late, at, life)| std::cmp::Reverse((*is_late, *at, life.reservation)));
    let mut left = oversold;
    let mut rows = Vec::new();
    for (is_late, _, life) in claimed {
        if left <= 0 {
            break;
        }
        let units = life.quantity.min(left);
        left -= units;
        let order = life.order.unwrap_or_default();
        rows.push(Damage {
            order_id: order.to_owned(),
            sku: sku.to_owned(),
            units,
            money_minor: units * lines.get(order).map_or(0, |line| line.1),
            hold_expired_at: is_late.then_some(life.expiry),
            paid_at: payments.of_order(life.order).authorized,
        });
    }
    rows.sort_by(|a, b| (a.paid_at, &a.order_id).cmp(&(b.paid_at, &b.order_id)));
    rows
}

/// Measured by the hold's first time: on the rungs that extend it the buyers ask just the same, and find it held.
fn precondition(lives: &[&Life<'_>], payments: &Payments<'_>, asked: Vec<Timestamp>) -> (Precondition, Option<Timestamp>) {
    let outlived: Vec<(Timestamp, Timestamp)> = lives
        .iter()
        .filter_map(|life| payments.of_order(life.order).answered.map(|answered| (life.first_expiry, answered)))
        .filter(|(expiry, answered)| expiry < answered)
        .collect();
    let meanwhile = asked.into_iter().filter(|at| outlived.iter().any(|(expiry, answered)| expiry < at && at < answered)).count();
    let first = outlived.iter().map(|(expiry, _)| *expiry).min();
    (Precondition { holds_outlived: outlived.len(), asked_meanwhile: meanwhile }, first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::plant::{SKU, at, none};

    #[test]
    fn a_unit_sold_twice_is_measured_with_its_order_its_money_and_its_cause() {
        let facts = none().received(1).held("a", 10).held("b", 140).confirmed("b", 142).confirmed("a", 160);
        let measured = measure(&facts, SKU);
        let expected =
            Figures { sold: 2, supply: 1, oversold: 1, locked_unit_seconds: 122, money_at_risk_minor: 1_999, ..Figures::default() };
        assert_eq!(measured.figures, expected);
        let row = Damage {
            order_id: "order-a".into(),
            sku: SKU.into(),
            units: 1,
            money_minor: 1_999,
            hold_expired_at: Some(at(130)),
            paid_at: Some(at(160)),
        };
        assert_eq!(measured.damaged, [row]);
        assert_eq!(measured.precondition, Precondition { holds_outlived: 1, asked_meanwhile: 1 });
        assert_eq!(measured.moments.first_beyond_supply, Some(at(160)));
        assert_eq!(measured.moments.first_late_claim, Some(at(160)));
    }

    #[test]
    fn who_paid_and_was_voided_is_counted_by_the_providers_truth_and_who_was_declined_is_not() {
        let mut facts = none()
            .received(1)
            .held("a", 10)
            .ended("a", 130, "expire", "EXPIRED")
            .voided("a", 160)
            .held("b", 50)
            .pay_step("b", 51, "FAILED")
            .psp("b", 51, "authorization.declined")
            .step("b", 51, "CANCELLED");
        // The second was sent away: there was no unit for him.
        facts.reservations.pop();
        facts.movements.retain(|movement| movement.order_id.as_deref() != Some("order-b"));
        if let Some(step) = facts.order_transitions.last_mut() {
            step.reason = Some("no-stock".into());
        }
        let expected =
            Figures { supply: 1, voided_after_payment: 1, unsold: 1, false_sold_out: 1, locked_unit_seconds: 120, ..Figures::default() };
        let measured = measure(&facts, SKU);
        assert_eq!(measured.figures, expected);
        assert_eq!(measured.figures.displaced(), 2);
        // Nobody asked while the hold had run out and the payment was on its way.
        assert_eq!(measured.precondition, Precondition { holds_outlived: 1, asked_meanwhile: 0 });
        assert!(!measured.precondition.is_met());
    }
}
