//! The figures of a run: what lies in the log, held against what order-service notes that it has taken and what it has set aside. Three stores tell
//! it, and none of them knows of the others.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use types::Timestamp;

use crate::{
    experiment::Micros,
    facts::{Facts, Order, Published},
    record::Damage,
};

/// The topic that tells that a payment has been captured. Order-service alone listens to it.
pub const TOPIC: &str = "payment.captured.v1";
const LISTENER: &str = "order";
/// What a record begins with.
const MAGIC: u8 = 0;

/// What a run comes to, in orders, events and seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub orders: i64,
    /// Confirmed, or further.
    pub sold: i64,
    /// Records that nobody can read.
    pub poisoned: i64,
    /// Events that were set aside.
    pub events_parked: i64,
    /// Events that were neither taken nor set aside.
    pub events_blocked: i64,
    /// Orders whose event could be read and was not taken, because of one before it.
    pub orders_left_behind: i64,
    /// For how long the first of the blocked events has waited by the end.
    pub blocked_seconds: i64,
}

/// Where an event lies in the log, and since when, counted from the beginning of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub partition: u32,
    pub offset: u64,
    pub at: Micros,
}

/// The moments at which things turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    /// A record was written that nobody can read.
    pub first_poisoned: Option<Timestamp>,
    /// An event came that was not taken.
    pub first_blocked: Option<Timestamp>,
    /// One came that could be read.
    pub first_left_behind: Option<Timestamp>,
}

/// Everything that is measured of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub figures: Figures,
    /// Events that can be read and lie behind one that cannot, in the same partition.
    pub behind: usize,
    pub moments: Moments,
    pub damaged: Vec<Damage>,
    /// Where the events lie, for the model.
    pub log: Vec<Place>,
    /// When it was measured, from the beginning of the run on.
    pub ended: Micros,
}

/// Measures a run over one SKU that began at this moment.
#[must_use]
pub fn measure(facts: &Facts, sku: &str, began: Timestamp) -> Measured {
    let mine: BTreeSet<&str> = facts.order_lines.iter().filter(|line| line.sku == sku).map(|line| line.id.as_str()).collect();
    let orders: BTreeMap<&str, &Order> =
        facts.orders.iter().filter(|order| mine.contains(order.id.as_str())).map(|order| (order.id.as_str(), order)).collect();
    let paid_for: BTreeMap<&str, &Order> =
        facts.payments.iter().filter_map(|payment| Some((payment.id.as_str(), *orders.get(payment.order_id.as_str())?))).collect();
    let taken: BTreeSet<&str> =
        facts.noted.iter().filter(|note| note.service == LISTENER && note.consumer == TOPIC).map(|note| note.id.as_str()).collect();
    let aside: BTreeSet<&str> = facts.published.iter().filter(|event| is_aside(event)).filter_map(|event| event.id.as_deref()).collect();

    let since = |at: Timestamp| at.micros() - began.micros();
    let mut figures = Figures { orders: orders.len() as i64, ..Figures::default() };
    figures.sold = orders.values().filter(|order| is_sold(order)).count() as i64;
    let (mut moments, mut damaged, mut log, mut behind) = (Moments::default(), Vec::new(), Vec::new(), 0);
    // Partitions in which somebody has met what nobody can read.
    let mut stained: BTreeSet<u32> = BTreeSet::new();
    for event in in_order(facts) {
        let Some(order) = paid_for.get(event.key.as_str()) else { continue };
        log.push(Place { partition: event.partition, offset: event.offset, at: since(event.at) });
        let id = event.id.as_deref().unwrap_or_default();
        let (can_be_read, is_aside) = (can_be_read(event), aside.contains(id));
        figures.events_parked += i64::from(is_aside);
        if can_be_read {
            behind += usize::from(stained.contains(&event.partition));
        } else {
            figures.poisoned += 1;
            stained.insert(event.partition);
            moments.first_poisoned = earliest(moments.first_poisoned, event.at);
        }
        if is_aside || taken.contains(id) {
            continue;
        }
        figures.events_blocked += 1;
        moments.first_blocked = earliest(moments.first_blocked, event.at);
        if can_be_read {
            figures.orders_left_behind += 1;
            moments.first_left_behind = earliest(moments.first_left_behind, event.at);
            let (order_id, money_minor, paid_at) = (order.id.clone(), order.total, Some(event.at));
            damaged.push(Damage { order_id, sku: sku.to_owned(), units: 1, money_minor, hold_expired_at: None, paid_at });
        }
    }
    let ended = since(facts.now);
    figures.blocked_seconds = moments.first_blocked.map_or(0, |first| (ended - since(first)) / 1_000_000);
    Measured { figures, behind, moments, damaged, log, ended }
}

/// The events of the topic, as they lie in the log; each once, though a relay that died may have written one twice.
fn in_order(facts: &Facts) -> Vec<&Published> {
    let mut events: Vec<&Published> = facts.published.iter().filter(|event| event.topic == TOPIC).collect();
    events.sort_by_key(|event| (event.partition, event.offset));
    let mut seen = BTreeSet::new();
    events.retain(|event| seen.insert(event.id.as_deref()));
    events
}

/// Whether this is one of the listener's dead letters.
fn is_aside(event: &Published) -> bool {
    event.topic.strip_suffix(".dlq") == Some(TOPIC)
        && event.group.as_deref().and_then(|group| group.strip_suffix(TOPIC)?.strip_suffix('-')) == Some(LISTENER)
}

fn can_be_read(event: &Published) -> bool {
    STANDARD.decode(&event.value).is_ok_and(|bytes| bytes.first() == Some(&MAGIC))
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
        facts::Noted,
        invariants::plant::{PRICE, SKU, at, none},
    };

    fn event(name: &str, offset: u64, seconds: i64, value: &str) -> Published {
        Published {
            at: at(seconds),
            id: Some(format!("event-{name}")),
            topic: TOPIC.into(),
            partition: 0,
            offset,
            key: format!("payment-{name}"),
            value: value.into(),
            group: None,
        }
    }

    /// Of three payments, at 110, 120 and 130 s, the second was told in a record that nobody can read. These events were taken.
    fn measured(taken: &[&str], set_aside: bool) -> Measured {
        let mut facts = none().received(3);
        for (name, seconds) in [("a", 110), ("b", 120), ("c", 130)] {
            facts = facts.held(name, 100).confirmed(name, seconds);
        }
        // A zero and a 1; and what is no zero.
        facts.published = vec![event("a", 0, 110, "AAE="), event("b", 1, 120, "/wE="), event("c", 2, 130, "AAE=")];
        facts.noted = (1..)
            .zip(taken)
            .map(|(seq, name)| Noted {
                seq,
                at: at(140),
                service: LISTENER.into(),
                consumer: TOPIC.into(),
                id: format!("event-{name}"),
                key: format!("payment-{name}"),
                passed_over: false,
            })
            .collect();
        if set_aside {
            let letter = event("b", 0, 121, "/wE=");
            facts.published.push(Published { topic: format!("{TOPIC}.dlq"), group: Some(format!("{LISTENER}-{TOPIC}")), ..letter });
        }
        measure(&facts, SKU, at(100))
    }

    #[test]
    fn what_lies_behind_a_record_that_nobody_can_read_is_left_behind() {
        let run = measured(&["a"], false);
        let blocked_seconds = 5_000 - 120;
        let expected =
            Figures { orders: 3, sold: 3, poisoned: 1, events_parked: 0, events_blocked: 2, orders_left_behind: 1, blocked_seconds };
        assert_eq!((run.figures, run.behind), (expected, 1));
        assert_eq!(run.moments, Moments { first_poisoned: Some(at(120)), first_blocked: Some(at(120)), first_left_behind: Some(at(130)) });
        assert_eq!(run.log.iter().map(|place| place.at / 1_000_000).collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(run.damaged.iter().map(|row| (row.order_id.as_str(), row.money_minor)).collect::<Vec<_>>(), [("order-c", PRICE)]);
    }

    #[test]
    fn what_is_set_aside_keeps_nobody_waiting() {
        let run = measured(&["a", "c"], true);
        let expected = Figures { orders: 3, sold: 3, poisoned: 1, events_parked: 1, ..Figures::default() };
        assert_eq!((run.figures, run.behind, run.damaged.len()), (expected, 1, 0));
    }
}
