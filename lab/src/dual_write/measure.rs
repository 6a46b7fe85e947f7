//! The figures of a run: what order-service has committed, held against what lies in the log. Two stores tell it, and neither knows of the other.
//! Only the moments of the outage are the lab's own, since it is the lab that brought it about.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use types::Timestamp;

use super::demand::Plan;
use crate::{
    experiment::span,
    facts::{Committed, Facts, Order},
    record::Damage,
};

/// The topic that tells of every step of an order.
const STEPS: &str = "order.status.changed.v1";

/// What a run comes to, in orders, events and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub orders: i64,
    /// Confirmed, or further.
    pub sold: i64,
    /// Events of these orders that order-service has committed.
    pub events_committed: i64,
    /// Those that are not in the log.
    pub events_lost: i64,
    /// Orders that are ready to be shipped, and nobody was told so.
    pub orders_untold: i64,
    /// What was paid for these, in minor units.
    pub money_at_risk_minor: i64,
}

/// What makes the incident possible, as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    /// Events that were committed during the outage.
    pub events_in_outage: usize,
    /// Orders that became ready in it.
    pub ready_in_outage: usize,
}

/// The moments at which things turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    /// An event was committed during the outage.
    pub first_in_outage: Option<Timestamp>,
    /// An event was committed that was never told.
    pub first_lost: Option<Timestamp>,
    /// An order became ready and nobody was told.
    pub first_untold: Option<Timestamp>,
    pub last_lost: Option<Timestamp>,
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
}

/// Measures a run over one SKU that began at this moment.
#[must_use]
pub fn measure(facts: &Facts, sku: &str, plan: &Plan, began: Timestamp) -> Measured {
    let mine: BTreeSet<&str> = facts.order_lines.iter().filter(|line| line.sku == sku).map(|line| line.id.as_str()).collect();
    let in_log: BTreeSet<&str> = facts.published.iter().filter_map(|event| event.id.as_deref()).collect();
    let (begins, ends) = (began.plus(span(plan.outage_begins)), began.plus(span(plan.outage_ends)));
    let in_outage = |at: Timestamp| begins <= at && at < ends;
    let mut committed: BTreeMap<&str, Vec<&Committed>> = BTreeMap::new();
    for event in facts.committed.iter().filter(|event| event.service == "order" && mine.contains(event.key.as_str())) {
        committed.entry(&event.key).or_default().push(event);
    }
    let (mut figures, mut moments) = (Figures::default(), Moments::default());
    let (mut precondition, mut damaged, mut order_total) = (Precondition::default(), Vec::new(), 0);
    for order in facts.orders.iter().filter(|order| mine.contains(order.id.as_str())) {
        let events = committed.get(order.id.as_str()).map_or(&[][..], Vec::as_slice);
        order_total = order.total;
        figures.orders += 1;
        figures.sold += i64::from(is_sold(order));
        figures.events_committed += events.len() as i64;
        for event in events.iter().filter(|event| in_outage(event.at)) {
            precondition.events_in_outage += 1;
            moments.first_in_outage = earliest(moments.first_in_outage, event.at);
        }
        for event in events.iter().filter(|event| !in_log.contains(event.id.as_str())) {
            figures.events_lost += 1;
            moments.first_lost = earliest(moments.first_lost, event.at);
            moments.last_lost = moments.last_lost.max(Some(event.at));
        }
        // The last step that was committed is the one in which the order stands.
        let Some(last) = events.iter().filter(|event| event.topic == STEPS).max_by_key(|event| event.seq) else { continue };
        if order.status != "FULFILLED_READY" {
            continue;
        }
        precondition.ready_in_outage += usize::from(in_outage(last.at));
        if !in_log.contains(last.id.as_str()) {
            figures.orders_untold += 1;
            figures.money_at_risk_minor += order.total;
            moments.first_untold = earliest(moments.first_untold, last.at);
            let (order_id, sku, paid_at) = (order.id.clone(), sku.to_owned(), Some(last.at));
            damaged.push(Damage { order_id, sku, units: 1, money_minor: order.total, hold_expired_at: None, paid_at });
        }
    }
    Measured { figures, precondition, moments, damaged, order_total }
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
        dual_write::demand::KNOBS,
        facts::Published,
        invariants::plant::{PRICE, SKU, at, none},
        knob::Knobs,
    };

    /// An order that is ready, with an event at 110 s and one at 130 s; the outage is from 120 s to 150 s.
    fn measured(in_log: &[&str]) -> Measured {
        let mut facts = none().received(1).held("a", 110).confirmed("a", 130);
        facts.orders.iter_mut().for_each(|order| order.status = "FULFILLED_READY".into());
        facts.committed = [(110, "one"), (130, "two")]
            .into_iter()
            .map(|(seconds, id)| Committed {
                seq: seconds,
                at: at(seconds),
                service: "order".into(),
                id: id.into(),
                topic: STEPS.into(),
                key: "order-a".into(),
                status: "SENT".into(),
            })
            .collect();
        facts.published = in_log
            .iter()
            .map(|id| Published {
                at: at(130),
                id: Some((*id).to_owned()),
                topic: STEPS.into(),
                partition: 0,
                offset: 0,
                key: "order-a".into(),
                value: String::new(),
                group: None,
            })
            .collect();
        measure(&facts, SKU, &Plan::of(&Knobs::of(KNOBS)).unwrap(), at(0))
    }

    #[test]
    fn what_was_committed_and_is_not_in_the_log_is_lost() {
        let run = measured(&["one"]);
        let expected = Figures { orders: 1, sold: 1, events_committed: 2, events_lost: 1, orders_untold: 1, money_at_risk_minor: PRICE };
        assert_eq!(run.figures, expected);
        assert_eq!(run.precondition, Precondition { events_in_outage: 1, ready_in_outage: 1 });
        assert_eq!((run.moments.first_untold, run.damaged.len()), (Some(at(130)), 1));
    }

    #[test]
    fn what_is_told_in_the_end_is_not_lost() {
        let run = measured(&["one", "two"]);
        assert_eq!((run.figures.events_lost, run.figures.orders_untold), (0, 0));
        let early = measured(&["two"]);
        assert_eq!((early.figures.events_lost, early.figures.orders_untold), (1, 0), "that it is ready was told");
    }
}
