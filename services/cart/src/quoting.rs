//! What pricing says of a cart, and what becomes of the cart when it refuses a part of it.
//!
//! A refusal that concerns the request is the request's: an unknown SKU at `#/sku`, a bad coupon at `#/code`. One that concerns what has
//! been in the cart before must not stand in the way of another change: a coupon that has ended leaves the cart; goods that have lost
//! their price stop a change and are named, but never stop their own removal, nor that of one another.

use platform::{client::CallError, problem::Problem};
use pricing_api::{PriceCart, PricedCart, Pricing};
use types::Sku;

use crate::{
    domain::{Cart, Change, Moment, Note, Step, Wanted},
    error::CartError,
};

/// The next version of `cart`: what is wanted, priced. `change` is what the request asks for; without one, the cart is only priced anew.
/// The notes say what left the cart on the way.
pub async fn reprice(
    pricing: &Pricing,
    cart: &Cart,
    mut wanted: Wanted,
    change: Option<&Change>,
    at: Moment,
) -> Result<(Cart, Vec<Note>), CartError> {
    let mut notes = Vec::new();
    loop {
        // Each round there is less to price, so it ends.
        if wanted.lines.is_empty() {
            return Ok((cart.repriced(wanted, None, at)?, notes));
        }
        let refusal = match quote(pricing, cart, &wanted).await? {
            Ok(priced) => return Ok((cart.repriced(wanted, Some(&priced), at)?, notes)),
            Err(refusal) => refusal,
        };
        match judge(&refusal, &wanted, change)? {
            Mend::DropCoupon => notes.push(Note::coupon(Step::CouponDropped, wanted.coupon.take().as_ref())),
            Mend::DropLines(skus) => {
                wanted.lines.retain(|line| !skus.contains(&line.sku));
                notes.extend(skus.iter().map(|sku| Note::item(Step::ItemDropped, sku, None)));
            }
        }
    }
}

/// What can be done so that the rest can be priced.
#[derive(Debug, PartialEq, Eq)]
enum Mend {
    DropCoupon,
    DropLines(Vec<Sku>),
}

async fn quote(pricing: &Pricing, cart: &Cart, wanted: &Wanted) -> Result<Result<PricedCart, Problem>, CartError> {
    let request = PriceCart {
        currency: cart.currency,
        region: cart.region,
        customer_segment: None,
        channel: None,
        coupon: wanted.coupon.clone(),
        lines: wanted.lines.clone(),
    };
    // In the cart's name: a coupon that a checkout of it used up, and then came to nothing, is still the cart's.
    match pricing.price_cart_of(cart.id, &request).await {
        Ok(priced) => Ok(Ok(priced)),
        Err(CallError::Refused { problem, .. }) if problem.status == 422 => Ok(Err(*problem)),
        Err(error) => Err(error.into()),
    }
}

fn judge(refusal: &Problem, wanted: &Wanted, change: Option<&Change>) -> Result<Mend, CartError> {
    let told = |pointer, detail: &str| Err(CartError::NotPriced { pointer, detail: detail.to_owned() });
    let mut lost = Vec::new();
    for error in &refusal.errors {
        if let Some(at) = line_of(&error.pointer) {
            let Some(line) = wanted.lines.get(at) else { continue };
            match change {
                // More of it than can be priced, or of what is not sold: the request's own mistake.
                Some(Change::Add(asked) | Change::SetQuantity(asked)) if asked.sku == line.sku => {
                    let is_new = matches!(change, Some(Change::Add(_))) && error.pointer.ends_with("/sku");
                    if is_new || error.pointer.ends_with("/quantity") {
                        return told(if is_new { "#/sku" } else { "#/quantity" }, &error.detail);
                    }
                    lost.push(line.sku.clone());
                }
                _ => lost.push(line.sku.clone()),
            }
        }
    }
    if !lost.is_empty() {
        lost.dedup();
        return if matches!(change, Some(Change::Remove(_))) { Ok(Mend::DropLines(lost)) } else { Err(CartError::Unavailable(lost)) };
    }
    if let (Some(error), true) = (refusal.errors.iter().find(|error| error.pointer == "#/coupon"), wanted.coupon.is_some()) {
        return if matches!(change, Some(Change::ApplyCoupon(_))) { told("#/code", &error.detail) } else { Ok(Mend::DropCoupon) };
    }
    // The cart as a whole: a sum that no longer fits.
    let detail = refusal.errors.first().map(|error| error.detail.clone()).or_else(|| refusal.detail.clone()).unwrap_or_default();
    match change {
        Some(Change::Add(_) | Change::SetQuantity(_)) => told("#/quantity", &detail),
        _ => Err(CallError::Unknown { target: "pricing", reason: refusal.to_string() }.into()),
    }
}

/// The line that a pointer such as `#/lines/3/sku` is about.
fn line_of(pointer: &str) -> Option<usize> {
    pointer.strip_prefix("#/lines/")?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use pricing_api::CartLine;
    use types::Quantity;

    use super::*;

    fn sku(name: &str) -> Sku {
        Sku::new(name).unwrap()
    }

    fn line(name: &str) -> CartLine {
        CartLine { sku: sku(name), quantity: Quantity::ONE }
    }

    fn judged(pointer: &str, change: Option<&Change>) -> Result<Mend, String> {
        let wanted = Wanted { lines: vec![line("A"), line("B")], coupon: Some(sku("SAVE")) };
        judge(&Problem::invalid(pointer, "no"), &wanted, change).map_err(|error| error.to_string())
    }

    #[test]
    fn the_request_is_told_of_its_own_mistake() {
        let told = |pointer: &str| Err(format!("pricing refused {pointer}: no"));
        assert_eq!(judged("#/lines/1/sku", Some(&Change::Add(line("B")))), told("#/sku"));
        assert_eq!(judged("#/lines/1/quantity", Some(&Change::Add(line("B")))), told("#/quantity"));
        assert_eq!(judged("#/lines/1/quantity", Some(&Change::SetQuantity(line("B")))), told("#/quantity"));
        assert_eq!(judged("#/coupon", Some(&Change::ApplyCoupon(sku("SAVE")))), told("#/code"));
        assert_eq!(judged("#/total", Some(&Change::Add(line("B")))), told("#/quantity"));
    }

    #[test]
    fn goods_that_lost_their_price_stop_a_change_but_not_a_removal() {
        let gone = Err("A cannot be priced any longer".to_owned());
        assert_eq!(judged("#/lines/0/sku", Some(&Change::Add(line("B")))), gone);
        assert_eq!(judged("#/lines/0/sku", Some(&Change::SetQuantity(line("A")))), gone);
        assert_eq!(judged("#/lines/0/sku", Some(&Change::ApplyCoupon(sku("SAVE")))), gone);
        assert_eq!(judged("#/lines/0/sku", None), gone);
        assert_eq!(judged("#/lines/0/sku", Some(&Change::Remove(sku("C")))), Ok(Mend::DropLines(vec![sku("A")])));
    }

    #[test]
    fn a_coupon_that_has_ended_leaves_when_something_else_is_asked_for() {
        assert_eq!(judged("#/coupon", Some(&Change::Add(line("B")))), Ok(Mend::DropCoupon));
        assert_eq!(judged("#/coupon", None), Ok(Mend::DropCoupon));
    }

    #[test]
    fn a_refusal_that_makes_no_sense_is_no_answer() {
        assert!(judged("#/lines/9/sku", None).is_err_and(|error| error.contains("no answer that can be relied on")));
        assert!(judged("#/region", None).is_err());
    }
}
