//! I19, the price is the price: what is charged is what was quoted, line by line, by quotes that still held when the cart was checked out. Cart,
//! order, payment and provider each tell it in their own words.

use std::collections::BTreeMap;

use types::Timestamp;

use super::Row;
use crate::facts::{Cart, CartLine, Facts, Order, OrderLine};

pub fn as_quoted(facts: &Facts) -> Vec<Row> {
    let mut lines: BTreeMap<&str, Vec<&OrderLine>> = BTreeMap::new();
    for line in &facts.order_lines {
        lines.entry(&line.id).or_default().push(line);
    }
    let mut quoted: BTreeMap<&str, Vec<&CartLine>> = BTreeMap::new();
    for line in &facts.cart_lines {
        quoted.entry(&line.id).or_default().push(line);
    }
    let carts: BTreeMap<&str, &Cart> = facts.carts.iter().map(|cart| (cart.id.as_str(), cart)).collect();
    let closed: BTreeMap<&str, Timestamp> =
        facts.cart_steps.iter().filter(|step| step.kind == "checked-out").map(|step| (step.id.as_str(), step.at)).collect();
    let charged = charges(facts);
    let none = (Vec::new(), Vec::new());
    let of = |order: &Order| {
        let cart = order.cart_id.as_str();
        let (lines, quoted) = (lines.get(order.id.as_str()).unwrap_or(&none.0), quoted.get(cart).unwrap_or(&none.1));
        wrong_sum(order, lines)
            .or_else(|| wrong_quote(order, lines, carts.get(cart).copied(), quoted))
            .or_else(|| too_late(quoted, closed.get(cart).copied()))
            .or_else(|| {
                let wrong = charged.get(order.id.as_str())?.iter().find(|(_, amount)| *amount != order.total)?;
                Some(format!("its total is {} and {} {}", order.total, wrong.0, wrong.1))
            })
    };
    facts.orders.iter().filter_map(|order| of(order).map(|wrong| (order.id.clone(), wrong))).collect()
}

/// What the payment and the provider say was charged for each order.
fn charges(facts: &Facts) -> BTreeMap<&str, Vec<(&'static str, i64)>> {
    let mut charged: BTreeMap<&str, Vec<(&'static str, i64)>> = BTreeMap::new();
    let mut order_of = BTreeMap::new();
    for payment in &facts.payments {
        order_of.insert(payment.id.as_str(), payment.order_id.as_str());
        charged.entry(&payment.order_id).or_default().push(("its payment is about", payment.amount));
    }
    for event in facts.psp_truth.iter().filter(|event| event.kind == "authorization.succeeded") {
        if let Some(order) = order_of.get(event.payment_id.as_str()) {
            charged.entry(order).or_default().push(("the provider has authorized", event.amount));
        }
    }
    charged
}

fn wrong_sum(order: &Order, lines: &[&OrderLine]) -> Option<String> {
    let sum: i64 = lines.iter().map(|line| line.unit_price * line.quantity).sum();
    if sum != order.subtotal {
        return Some(format!("its lines come to {sum} and its subtotal is {}", order.subtotal));
    }
    let total = order.subtotal - order.discounts + order.tax + order.shipping;
    (total != order.total)
        .then(|| format!("{} − {} + {} + {} is not {}", order.subtotal, order.discounts, order.tax, order.shipping, order.total))
}

fn wrong_quote(order: &Order, lines: &[&OrderLine], cart: Option<&Cart>, quoted: &[&CartLine]) -> Option<String> {
    let Some(cart) = cart else { return Some(format!("its cart {} is not there", order.cart_id)) };
    if cart.total != order.total {
        return Some(format!("its cart came to {} and it charges {}", cart.total, order.total));
    }
    let mut asked: Vec<_> = quoted.iter().map(|line| (&line.sku, line.quantity, line.unit_price)).collect();
    let mut sold: Vec<_> = lines.iter().map(|line| (&line.sku, line.quantity, line.unit_price)).collect();
    asked.sort_unstable();
    sold.sort_unstable();
    if asked != sold {
        return Some("its lines are not those of its cart".to_owned());
    }
    let (discounts, tax): (i64, i64) = (quoted.iter().map(|line| line.discount).sum(), quoted.iter().map(|line| line.tax).sum());
    ((discounts, tax) != (order.discounts, order.tax)).then(|| {
        format!("the cart's lines have discounts of {discounts} and tax of {tax}, the order {} and {}", order.discounts, order.tax)
    })
}

/// A quote that had run out when the cart was checked out.
fn too_late(quoted: &[&CartLine], closed: Option<Timestamp>) -> Option<String> {
    let closed = closed?;
    let over = quoted.iter().find(|line| line.valid_until <= closed)?;
    Some(format!("{} was quoted until {}, and the cart was checked out at {closed}", over.sku, over.valid_until))
}
