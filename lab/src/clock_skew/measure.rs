//! The figures of a run, from the audit exports and the provider's truth alone. Each fact has its own service's time: of what order-service
//! says only one moment is looked at, and because it is wrong.

use std::collections::BTreeMap;

use serde::Serialize;
use types::Timestamp;

use crate::{
    facts::Facts,
    journal::{Journal, Life},
    record::Damage,
};

/// What a run comes to, in units, buyers and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Units that were claimed for an order.
    pub sold: i64,
    /// Units that there were.
    pub supply: i64,
    pub oversold: i64,
    /// Units that were claimed when their hold had ended.
    pub late_claims: i64,
    /// Payments that the provider had authorized and that were then voided: buyers who paid and got nothing.
    pub voided_after_payment: i64,
    /// What was paid for units that are not there, in minor units.
    pub money_at_risk_minor: i64,
}

/// What makes the incident possible, as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    /// Payments that came after the end of their hold, and before it by the clock of order-service.
    pub between_the_clocks: usize,
    /// Holds that others got between the end of such a hold and its payment.
    pub sold_meanwhile: usize,
}

/// The moments at which things turned, by the clocks that are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    /// A hold ended whose payment came between the clocks.
    pub first_ended: Option<Timestamp>,
    /// Its payment came.
    pub first_between: Option<Timestamp>,
    /// A hold that had ended was claimed.
    pub first_late_claim: Option<Timestamp>,
    /// More was claimed than there is.
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
    /// Holds were made to last longer than they were made for: in such a system nobody is late.
    pub was_extended: bool,
    pub moments: Moments,
    pub damaged: Vec<Damage>,
}

/// Measures a run over one SKU.
#[must_use]
pub fn measure(facts: &Facts, sku: &str) -> Measured {
    let journal = Journal::of(&facts.movements);
    let lives: Vec<&Life<'_>> = journal.lives.iter().filter(|((_, held, _), _)| *held == sku).map(|(_, life)| life).collect();
    let supply: i64 = journal.folds.iter().filter(|((fold_sku, _), _)| *fold_sku == sku).map(|(_, fold)| fold.supply).sum();
    let answers = Answers::of(facts);
    let mut claims: Vec<(Timestamp, &Life<'_>)> = lives.iter().filter_map(|life| Some((life.claim()?.at, *life))).collect();
    claims.sort_by_key(|(at, life)| (*at, life.token));
    let sold: i64 = claims.iter().map(|(_, life)| life.quantity).sum();
    let oversold = (sold - supply).max(0);
    let mut taken = 0;
    let beyond: Vec<Timestamp> = claims
        .iter()
        .filter(|(_, life)| {
            taken += life.quantity;
            taken > supply
        })
        .map(|(at, _)| *at)
        .collect();
    let late: Vec<(Timestamp, &Life<'_>)> = claims.into_iter().filter(|(_, life)| life.is_claimed_late()).collect();
    let damaged = damaged(facts, &late, &answers, sku, oversold);
    let voided: Vec<Timestamp> = answers.paid_then_voided().collect();
    let between: Vec<(Timestamp, Timestamp)> = lives.iter().filter_map(|life| answers.between_the_clocks(life)).collect();
    let was_sold_meanwhile = |life: &&&Life<'_>| between.iter().any(|(ended, paid)| *ended <= life.begin && life.begin < *paid);
    let figures = Figures {
        sold,
        supply,
        oversold,
        late_claims: late.iter().map(|(_, life)| life.quantity).sum(),
        voided_after_payment: voided.len() as i64,
        money_at_risk_minor: damaged.iter().map(|row| row.money_minor).sum(),
    };
    Measured {
        figures,
        precondition: Precondition { between_the_clocks: between.len(), sold_meanwhile: lives.iter().filter(was_sold_meanwhile).count() },
        was_extended: lives.iter().any(|life| life.expiry != life.first_expiry),
        moments: Moments {
            first_ended: between.iter().map(|(ended, _)| *ended).min(),
            first_between: between.iter().map(|(_, paid)| *paid).min(),
            first_late_claim: late.first().map(|(at, _)| *at),
            first_beyond_supply: beyond.first().copied(),
            last_beyond_supply: beyond.last().copied(),
            first_paid_then_voided: voided.into_iter().min(),
        },
        damaged,
    }
}

/// What became of each order's payment: by the provider's clock, and by that of order-service.
#[derive(Clone, Copy, Default)]
struct Answer {
    authorized: Option<Timestamp>,
    voided: Option<Timestamp>,
    noted: Option<Timestamp>,
}

struct Answers<'a>(BTreeMap<&'a str, Answer>);

impl<'a> Answers<'a> {
    fn of(facts: &'a Facts) -> Self {
        let order_of: BTreeMap<&str, &str> =
            facts.payments.iter().map(|payment| (payment.id.as_str(), payment.order_id.as_str())).collect();
        let mut all: BTreeMap<&str, Answer> = BTreeMap::new();
        for event in &facts.psp_truth {
            let Some(order) = order_of.get(event.payment_id.as_str()) else { continue };
            match event.kind.as_str() {
                "authorization.succeeded" => all.entry(order).or_default().authorized = Some(event.at),
                "authorization.voided" => all.entry(order).or_default().voided = Some(event.at),
                _ => {}
            }
        }
        for step in facts.order_transitions.iter().filter(|step| step.status == "PAID") {
            all.entry(&step.id).or_default().noted = Some(step.at);
        }
        Self(all)
    }

    fn of_life(&self, life: &Life<'_>) -> Answer {
        life.order.and_then(|order| self.0.get(order)).copied().unwrap_or_default()
    }

    /// When the hold ended and when it was paid, if that was late, and in time as order-service has it.
    fn between_the_clocks(&self, life: &Life<'_>) -> Option<(Timestamp, Timestamp)> {
        let Answer { authorized, noted, .. } = self.of_life(life);
        let (paid, noted) = (authorized?, noted?);
        (noted < life.first_expiry && life.first_expiry <= paid).then_some((life.first_expiry, paid))
    }

    fn paid_then_voided(&self) -> impl Iterator<Item = Timestamp> {
        self.0.values().filter(|answer| answer.authorized.is_some()).filter_map(|answer| answer.voided)
    }
}

/// The orders that stand for the units beyond supply: of those that were claimed late, the last ones.
fn damaged(facts: &Facts, late: &[(Timestamp, &Life<'_>)], answers: &Answers<'_>, sku: &str, oversold: i64) -> Vec<Damage> {
    let price: BTreeMap<&str, i64> =
        facts.order_lines.iter().filter(|line| line.sku == sku).map(|line| (line.id.as_str(), line.unit_price)).collect();
    let mut left = oversold;
    let mut rows = Vec::new();
    for (_, life) in late.iter().rev() {
        let (units, order) = (life.quantity.min(left), life.order.unwrap_or_default());
        if units <= 0 {
            break;
        }
        left -= units;
        rows.push(Damage {
            order_id: order.to_owned(),
            sku: sku.to_owned(),
            units,
            money_minor: units * price.get(order).copied().unwrap_or(0),
            hold_expired_at: Some(life.expiry),
            paid_at: answers.of_life(life).authorized,
        });
    }
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::plant::{PRICE, SKU, at, none};

    /// One unit: `a` holds it until 220 and pays at 230; `b` gets it at 221 and pays at 223.
    fn sold_again() -> Facts {
        none().received(1).held("a", 100).ended("a", 220, "expire", "EXPIRED").held("b", 221).confirmed("b", 223)
    }

    /// As order-service has it, whose clock is 20 s behind.
    fn by_a_slow_clock(mut facts: Facts) -> Facts {
        facts.order_transitions.iter_mut().for_each(|step| step.at = step.at.minus(std::time::Duration::from_secs(20)));
        facts
    }

    #[test]
    fn who_paid_between_the_clocks_and_got_it_is_the_damage() {
        let run = measure(&by_a_slow_clock(sold_again().confirmed("a", 230)), SKU);
        let expected = Figures { sold: 2, supply: 1, oversold: 1, late_claims: 1, voided_after_payment: 0, money_at_risk_minor: PRICE };
        assert_eq!(run.figures, expected);
        assert_eq!(run.precondition, Precondition { between_the_clocks: 1, sold_meanwhile: 1 });
        let moments = run.moments;
        assert_eq!((moments.first_ended, moments.first_between, moments.first_late_claim), (Some(at(220)), Some(at(230)), Some(at(230))));
        assert_eq!((moments.first_beyond_supply, moments.first_paid_then_voided), (Some(at(230)), None));
        let [row] = &run.damaged[..] else { panic!("{:?}", run.damaged) };
        assert_eq!((row.order_id.as_str(), row.hold_expired_at, row.paid_at), ("order-a", Some(at(220)), Some(at(230))));
    }

    #[test]
    fn who_paid_between_the_clocks_and_was_voided_is_counted_apart() {
        let run = measure(&by_a_slow_clock(sold_again().voided("a", 230)), SKU);
        assert_eq!(run.figures, Figures { sold: 1, supply: 1, voided_after_payment: 1, ..Figures::default() });
        assert_eq!(run.precondition, Precondition { between_the_clocks: 1, sold_meanwhile: 1 });
        assert_eq!((run.damaged.len(), run.was_extended, run.moments.first_paid_then_voided), (0, false, Some(at(230))));
    }

    #[test]
    fn by_a_right_clock_nothing_lies_between() {
        let run = measure(&sold_again().voided("a", 230), SKU);
        assert_eq!(run.precondition, Precondition::default());
        let far = measure(&by_a_slow_clock(sold_again().voided("a", 241)), SKU);
        assert_eq!(far.precondition, Precondition::default(), "late by more than the clock is behind");
    }
}
