//! I20, one of each: one order per cart, one live or claimed reservation per order, a coupon used by as many carts as its limit allows, each
//! once.

use std::collections::BTreeMap;

use super::Row;
use crate::facts::Facts;

pub fn one_of_each(facts: &Facts) -> Vec<Row> {
    let mut rows = Vec::new();
    let orders = facts.orders.iter().map(|order| (order.cart_id.as_str(), order.id.as_str()));
    rows.extend(
        several(orders).map(|(cart, orders)| (cart.to_owned(), format!("a cart with {} orders: {}", orders.len(), orders.join(", ")))),
    );
    let holding = facts.reservations.iter().filter(|reservation| reservation.is_claimed() || reservation.is_live(facts.now));
    let reservations = holding.map(|reservation| (reservation.order_id.as_str(), reservation.id.as_str()));
    rows.extend(several(reservations).map(|(order, reservations)| {
        (order.to_owned(), format!("an order with {} reservations that hold: {}", reservations.len(), reservations.join(", ")))
    }));
    for promotion in &facts.promotions {
        let uses: Vec<_> = facts.redemptions.iter().filter(|redemption| redemption.promotion_id == promotion.id).collect();
        let count = i64::try_from(uses.len()).unwrap_or(i64::MAX);
        if let Some(limit) = promotion.usage_limit.filter(|limit| count > *limit) {
            rows.push((promotion.id.clone(), format!("a promotion used by {count} carts with a limit of {limit}")));
        } else if count != promotion.used {
            rows.push((promotion.id.clone(), format!("a promotion that counts {} uses, and {count} carts have used it", promotion.used)));
        }
        let by_cart = uses.iter().map(|redemption| (redemption.cart_id.as_str(), redemption.id.as_str()));
        rows.extend(several(by_cart).map(|(cart, uses)| (cart.to_owned(), format!("a cart that used one promotion {} times", uses.len()))));
    }
    rows
}

/// The keys that have more than one value.
fn several<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in pairs {
        groups.entry(key).or_default().push(value);
    }
    groups.into_iter().filter(|(_, values)| values.len() > 1)
}
