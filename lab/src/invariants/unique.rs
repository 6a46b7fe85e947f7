//! I20, one of each: one order per cart, one live or claimed reservation per order, a coupon used by as many carts as its limit allows, each
//! once, and one refund per credit.

use std::collections::{BTreeMap, BTreeSet};

use super::{Grace, Row};
use crate::facts::Facts;

pub fn one_of_each(facts: &Facts, grace: &Grace) -> Vec<Row> {
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
    rows.extend(credits(facts, grace));
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

/// Credits that were paid more than once, or not at all although something is left to pay them from.
fn credits(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let mut refunds: BTreeMap<&str, i64> = BTreeMap::new();
    for credit in facts.refunds.iter().filter(|refund| refund.status != "FAILED").filter_map(|refund| refund.credit_id.as_deref()) {
        *refunds.entry(credit).or_default() += 1;
    }
    let with_something_left: BTreeSet<&str> =
        facts.payments.iter().filter_map(|payment| (payment.refunded < payment.captured).then_some(payment.order_id.as_str())).collect();
    let wrong = facts.credits.iter().filter_map(|credit| {
        let count = refunds.get(credit.id.as_str()).copied().unwrap_or(0);
        let is_due = credit.at.plus(grace.effects) < facts.now && with_something_left.contains(credit.order_id.as_str());
        let wrong = match count {
            0 if is_due => "a credit without a refund".to_owned(),
            0 | 1 => return None,
            count => format!("a credit with {count} refunds"),
        };
        Some((credit.id.clone(), format!("{wrong} (order {})", credit.order_id)))
    });
    wrong.collect()
}

/// The keys that have more than one value.
fn several<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in pairs {
        groups.entry(key).or_default().push(value);
    }
    groups.into_iter().filter(|(_, values)| values.len() > 1)
}
