//! What the books tell of a flash sale: how much was sold, and four counters of what may not be. Nobody who took part is asked; all of it
//! comes from the audit exports and the provider's own truth, so a client that was told wrong cannot make a sale look right.
//!
//! The sale is known by its SKU, which nothing else sells. Money is looked at more widely: what was captured for an order that is not there at
//! all belongs to no SKU, and is counted here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    facts::{Facts, FactsError},
    journal::Journal,
    target::Target,
};

/// The exports that are read.
const COLLECTIONS: &[&str] = &["stock", "movements", "reservations", "payments", "psp-truth", "orders", "order-lines"];

/// What was sold, in the books' words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Books {
    /// Units that there were to sell.
    pub supply: i64,
    /// Orders for the SKU, however they ended.
    pub orders: i64,
    /// Orders that are confirmed, and their units.
    pub confirmed: i64,
    pub units_sold: i64,
    /// Units that are on the shelf and free.
    pub available: i64,
    /// Payments for the SKU that the provider has captured and not given back.
    pub captured: i64,
    pub counters: Counters,
}

/// What may not be: each is 0 when orders, stock and money tell the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Units that are sold, by the orders or by the stock's journal, beyond those that there were.
    pub oversold_units: i64,
    /// Orders that are confirmed although the provider has captured less than they come to.
    pub confirmed_unpaid: i64,
    /// Payments that the provider has captured and not given back, without a confirmed order that they are for.
    pub paid_unconfirmed: i64,
    /// Units that are neither sold nor available: in holds that nobody ends, or in claims of nobody's order.
    pub stray_units: i64,
}

impl Counters {
    #[must_use]
    pub fn are_zero(&self) -> bool {
        *self == Self::default()
    }

    /// With what they are called, for a report.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, i64); 4] {
        [
            ("units oversold", self.oversold_units),
            ("orders confirmed without the money", self.confirmed_unpaid),
            ("payments captured without a confirmed order", self.paid_unconfirmed),
            ("units neither sold nor available", self.stray_units),
        ]
    }
}

/// Reads the books of a SKU.
pub async fn read(target: &dyn Target, sku: &str) -> Result<Books, FactsError> {
    let facts = Facts::read_of(target, COLLECTIONS).await?;
    Ok(of(&facts, sku))
}

/// The order holds: whoever bought it expects his unit.
fn is_confirmed(status: &str) -> bool {
    matches!(status, "CONFIRMED" | "FULFILLED_READY" | "SHIPPED" | "DELIVERED" | "CLOSED")
}

/// What these facts tell of a SKU.
#[must_use]
pub fn of(facts: &Facts, sku: &str) -> Books {
    let mut units: BTreeMap<&str, i64> = BTreeMap::new();
    for line in facts.order_lines.iter().filter(|line| line.sku == sku) {
        *units.entry(line.id.as_str()).or_default() += line.quantity;
    }
    let known: BTreeSet<&str> = facts.orders.iter().map(|order| order.id.as_str()).collect();
    let confirmed: BTreeMap<&str, i64> = facts
        .orders
        .iter()
        .filter(|order| units.contains_key(order.id.as_str()) && is_confirmed(&order.status))
        .map(|order| (order.id.as_str(), order.total))
        .collect();
    let units_sold: i64 = confirmed.keys().filter_map(|order| units.get(order)).sum();

    // What the provider has of each payment, and what that is of each order.
    let mut kept: BTreeMap<&str, i64> = BTreeMap::new();
    for event in &facts.psp_truth {
        *kept.entry(event.payment_id.as_str()).or_default() += event.moves();
    }
    let order_of: BTreeMap<&str, &str> = facts.payments.iter().map(|payment| (payment.id.as_str(), payment.order_id.as_str())).collect();
    let (mut paid, mut captured, mut paid_unconfirmed): (BTreeMap<&str, i64>, i64, i64) = (BTreeMap::new(), 0, 0);
    for (payment, money) in kept.into_iter().filter(|(_, money)| *money > 0) {
        match order_of.get(payment).copied() {
            Some(order) if units.contains_key(order) => {
                captured += 1;
                *paid.entry(order).or_default() += money;
                paid_unconfirmed += i64::from(!confirmed.contains_key(order));
            }
            // Another SKU's.
            Some(order) if known.contains(order) => {}
            Some(_) | None => paid_unconfirmed += 1,
        }
    }
    let confirmed_unpaid = confirmed.iter().filter(|(order, total)| paid.get(*order).copied().unwrap_or(0) < **total).count() as i64;

    let journal = Journal::of(&facts.movements);
    let folds = || journal.folds.iter().filter(|((fold_sku, _), _)| *fold_sku == sku).map(|(_, fold)| fold);
    let supply: i64 = folds().map(|fold| fold.supply).sum();
    let taken: i64 = folds().map(|fold| fold.claimed + fold.shipped).sum();
    let available: i64 = facts.stock.iter().filter(|stock| stock.sku == sku).map(|stock| stock.on_hand - stock.held - stock.claimed).sum();
    let held: i64 = facts
        .reservations
        .iter()
        .filter(|reservation| reservation.status == "HELD")
        .flat_map(|reservation| &reservation.lines)
        .filter(|line| line.sku == sku)
        .map(|line| line.quantity)
        .sum();
    Books {
        supply,
        orders: units.len() as i64,
        confirmed: confirmed.len() as i64,
        units_sold,
        available,
        captured,
        counters: Counters {
            oversold_units: (units_sold.max(taken) - supply).max(0),
            confirmed_unpaid,
            paid_unconfirmed,
            // A hold that the counters have forgotten is a stray unit too.
            stray_units: (supply - units_sold - available).abs().max(held),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::plant::{SKU, none};

    /// Two units, one sold and one free.
    fn shop() -> Facts {
        none().received(2).held("a", 100).confirmed("a", 110)
    }

    fn counted(facts: &Facts) -> [i64; 4] {
        of(facts, SKU).counters.named().map(|(_, count)| count)
    }

    #[test]
    fn a_sale_in_order_has_nothing_to_count() {
        let books = of(&shop(), SKU);
        assert_eq!((books.supply, books.orders, books.confirmed, books.units_sold), (2, 1, 1, 1));
        assert_eq!((books.available, books.captured, books.counters.are_zero()), (1, 1, true));
        // Who comes late is voided and gets nothing.
        let late = shop().held("b", 120).ended("b", 130, "release", "RELEASED").voided("b", 130);
        assert_eq!((counted(&late), of(&late, SKU).orders), ([0; 4], 2));
    }

    #[test]
    fn a_unit_that_is_sold_twice_is_oversold() {
        let facts = none().received(1).held("a", 100).held("b", 101).confirmed("a", 110).confirmed("b", 112);
        assert_eq!(counted(&facts), [1, 0, 0, 0]);
        // Also where only the stock's journal knows of it: then the second claim is nobody's too.
        let nobodys = facts.plant(|facts| facts.orders[1].status = "CANCELLED".into());
        assert_eq!(counted(&nobodys)[0], 1);
    }

    #[test]
    fn an_order_without_its_money_is_counted() {
        let without = |kind: &str| shop().plant(|facts| facts.psp_truth.retain(|event| event.kind != kind));
        assert_eq!(counted(&without("capture.succeeded")), [0, 1, 0, 0]);
        let short = shop().plant(|facts| facts.orders[0].total += 1);
        assert_eq!(counted(&short), [0, 1, 0, 0]);
        let given_back = shop().psp("a", 120, "refund.succeeded");
        assert_eq!(counted(&given_back), [0, 1, 0, 0]);
    }

    #[test]
    fn money_without_a_confirmed_order_is_counted() {
        let cancelled = || none().received(1).held("b", 100).ended("b", 110, "release", "RELEASED").voided("b", 110);
        assert_eq!(counted(&cancelled()), [0; 4]);
        assert_eq!(counted(&cancelled().psp("b", 120, "capture.succeeded")), [0, 0, 1, 0]);
        // An order that is not there at all, and a payment that the shop does not know.
        let lost = shop().plant(|facts| facts.payments[0].order_id = "order-x".into());
        assert_eq!(counted(&lost), [0, 1, 1, 0]);
        assert_eq!(counted(&shop().psp("x", 120, "capture.succeeded")), [0, 0, 1, 0]);
        // Another SKU's order has its money rightly.
        let others = shop().held("c", 120).confirmed("c", 130).plant(|facts| {
            facts.order_lines[1].sku = "DESK".into();
            facts.movements.retain(|movement| movement.order_id.as_deref() != Some("order-c"));
            (facts.stock[0].held, facts.stock[0].claimed) = (0, 1);
        });
        assert_eq!(counted(&others)[1..3], [0, 0]);
    }

    #[test]
    fn a_unit_that_is_neither_sold_nor_available_is_stray() {
        assert_eq!(counted(&shop().held("b", 120)), [0, 0, 0, 1]);
        let lost = shop().plant(|facts| facts.stock[0].claimed += 1);
        assert_eq!(counted(&lost), [0, 0, 0, 1]);
        let forgotten = shop().held("b", 120).plant(|facts| facts.stock[0].held = 0);
        assert_eq!(counted(&forgotten), [0, 0, 0, 1]);
    }
}
