//! A whole cart: what its lines cost, what campaigns take from that and on which line it falls, then tax and shipping.
//! total = subtotal − discounts + tax + shipping, to the minor unit; what does not fit into 64 bits is refused.

use types::{BasisPoints, Money, MoneyError};

use super::{Context, promotion::Promotion};

/// What a region adds to a cart: settings, as the sums need them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tariff {
    pub tax: BasisPoints,
    /// In the currency's minor unit.
    pub shipping_minor: i64,
    /// From which sum on (after discounts) nothing is taken for shipping, in the currency's minor unit.
    pub free_shipping_from_minor: i64,
}

/// One line before the sums: what one unit costs, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub unit: Money,
    pub quantity: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// For each line, its share of the discounts and its tax.
    pub lines: Vec<(Money, Money)>,
    pub subtotal: Money,
    pub discounts: Money,
    pub tax: Money,
    pub shipping: Money,
    pub total: Money,
}

/// Adds a cart up. `context.quantity` is the number of units in it.
pub fn sums(lines: &[Line], promotions: &[Promotion], context: &Context, tariff: Tariff) -> Result<Sums, MoneyError> {
    let currency = context.currency;
    let totals = lines.iter().map(|line| line.unit.times(line.quantity)).collect::<Result<Vec<_>, _>>()?;
    let subtotal = Money::sum(currency, totals.iter().copied())?;
    let discounts = discounts(subtotal, promotions, context);
    let weights: Vec<i64> = totals.iter().map(|total| total.amount).collect();
    let shares = discounts.allocate(&weights);
    let taxes = totals.iter().zip(&shares).map(|(total, share)| total.minus(*share)?.share(tariff.tax)).collect::<Result<Vec<_>, _>>()?;
    let tax = Money::sum(currency, taxes.iter().copied())?;
    let goods = subtotal.minus(discounts)?;
    let is_shipped_free = lines.is_empty() || goods.amount >= tariff.free_shipping_from_minor;
    let shipping = Money::new(if is_shipped_free { 0 } else { tariff.shipping_minor }, currency);
    let total = goods.plus(tax)?.plus(shipping)?;
    Ok(Sums { lines: shares.into_iter().zip(taxes).collect(), subtotal, discounts, tax, shipping, total })
}

/// What all campaigns take together, each from the whole subtotal, and never more than there is.
fn discounts(subtotal: Money, promotions: &[Promotion], context: &Context) -> Money {
    let left = promotions.iter().fold(subtotal.amount, |left, promotion| left - promotion.discount(subtotal, context).min(left));
    Money::new(subtotal.amount - left, subtotal.currency)
}
