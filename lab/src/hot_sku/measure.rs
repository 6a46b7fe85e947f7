//! The figures of a run, from the audit exports alone: what inventory-service's journal says was held and claimed, and what became of the orders.

use std::collections::BTreeMap;

use serde::Serialize;
use types::Timestamp;

use crate::{
    facts::{Facts, Order},
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
    /// Buyers who were told that there is nothing left.
    pub sent_away: i64,
    /// What was paid for units that are not there, in minor units.
    pub money_at_risk_minor: i64,
}

/// The moments at which things turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    /// An order was made while the last unit was being taken.
    pub first_asked_meanwhile: Option<Timestamp>,
    /// A unit was held that was not there.
    pub first_held_beyond: Option<Timestamp>,
    /// One was claimed.
    pub first_claimed_beyond: Option<Timestamp>,
    pub last_claimed_beyond: Option<Timestamp>,
}

/// Everything that is measured of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub figures: Figures,
    /// Orders that were made while the last unit was being taken: after the one that took it, and before it had it.
    pub asked_meanwhile: usize,
    pub moments: Moments,
    pub damaged: Vec<Damage>,
}

/// Measures a run over one SKU.
#[must_use]
pub fn measure(facts: &Facts, sku: &str) -> Measured {
    let journal = Journal::of(&facts.movements);
    let mut lives: Vec<&Life<'_>> = journal.lives.iter().filter(|((_, held, _), _)| *held == sku).map(|(_, life)| life).collect();
    lives.sort_by_key(|life| (life.begin, life.token));
    let supply: i64 = journal.folds.iter().filter(|((fold_sku, _), _)| *fold_sku == sku).map(|(_, fold)| fold.supply).sum();
    let price: BTreeMap<&str, i64> =
        facts.order_lines.iter().filter(|line| line.sku == sku).map(|line| (line.id.as_str(), line.unit_price)).collect();
    let orders: BTreeMap<&str, &Order> =
        facts.orders.iter().filter(|order| price.contains_key(order.id.as_str())).map(|order| (order.id.as_str(), order)).collect();
    let sent_away = facts
        .order_transitions
        .iter()
        .filter(|step| orders.contains_key(step.id.as_str()) && step.status == "CANCELLED" && step.reason.as_deref() == Some("no-stock"));

    let (mut held, mut taking, mut figures, mut moments) = (0, None, Figures { supply, ..Figures::default() }, Moments::default());
    let mut damaged = Vec::new();
    for life in lives {
        let is_beyond = held >= supply;
        held += life.quantity;
        if !is_beyond && held >= supply {
            let asked = life.order.and_then(|order| orders.get(order)).map(|order| order.created_at);
            taking = asked.map(|asked| (asked, life.begin));
        }
        if is_beyond {
            moments.first_held_beyond = moments.first_held_beyond.or(Some(life.begin));
        }
        let Some(claim) = life.claim() else { continue };
        figures.sold += life.quantity;
        if !is_beyond {
            continue;
        }
        moments.first_claimed_beyond = Some(moments.first_claimed_beyond.map_or(claim.at, |first| first.min(claim.at)));
        moments.last_claimed_beyond = moments.last_claimed_beyond.max(Some(claim.at));
        let order_id = life.order.unwrap_or_default().to_owned();
        let money_minor = life.quantity * price.get(order_id.as_str()).copied().unwrap_or(0);
        figures.money_at_risk_minor += money_minor;
        let (sku, units) = (sku.to_owned(), life.quantity);
        damaged.push(Damage { order_id, sku, units, money_minor, hold_expired_at: None, paid_at: Some(claim.at) });
    }
    figures.oversold = (figures.sold - supply).max(0);
    figures.sent_away = sent_away.count() as i64;
    let mut meanwhile: Vec<Timestamp> = match taking {
        Some((asked, had)) => orders.values().map(|order| order.created_at).filter(|at| asked < *at && *at < had).collect(),
        None => Vec::new(),
    };
    meanwhile.sort_unstable();
    moments.first_asked_meanwhile = meanwhile.first().copied();
    Measured { figures, asked_meanwhile: meanwhile.len(), moments, damaged }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::plant::{PRICE, SKU, at, none};

    #[test]
    fn what_was_held_beyond_supply_and_claimed_is_oversold() {
        let mut facts = none().received(1).held("a", 100).held("b", 101).confirmed("a", 110).confirmed("b", 112);
        // The first order's hold came through 2 s after the order was made.
        for (order, made) in [("order-a", 98), ("order-b", 99)] {
            facts.orders.iter_mut().filter(|known| known.id == order).for_each(|known| known.created_at = at(made));
        }
        let run = measure(&facts, SKU);
        assert_eq!(run.figures, Figures { sold: 2, supply: 1, oversold: 1, sent_away: 0, money_at_risk_minor: PRICE });
        assert_eq!((run.asked_meanwhile, run.moments.first_asked_meanwhile), (1, Some(at(99))));
        assert_eq!((run.moments.first_held_beyond, run.moments.first_claimed_beyond), (Some(at(101)), Some(at(112))));
        let ids: Vec<&str> = run.damaged.iter().map(|row| row.order_id.as_str()).collect();
        assert_eq!(ids, ["order-b"]);
    }

    #[test]
    fn within_supply_nothing_is_damaged_and_nobody_has_asked_meanwhile() {
        let run = measure(&none().received(2).held("a", 100).confirmed("a", 110), SKU);
        assert_eq!(run.figures, Figures { sold: 1, supply: 2, oversold: 0, sent_away: 0, money_at_risk_minor: 0 });
        assert_eq!((run.asked_meanwhile, run.damaged.len(), run.moments), (0, 0, Moments::default()));
    }
}
