//! A campaign takes from a whole cart: by itself when it has no code, for who says the code when it has one. A coupon with a limit is
//! used at most that often (I20); what counts is the checkout, not the look at a price.

use pricing_api::{Effect, Expression};
use types::{Money, Sku, Timestamp, id::Uuid};

use super::{
    Context, condition, is_active,
    rule::{Bounds, reduction},
};

/// A campaign, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    pub id: Uuid,
    pub code: Option<Sku>,
    pub name: String,
    pub when: Option<Expression>,
    pub effect: Effect,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub usage_limit: Option<u32>,
    pub used: u32,
}

impl Promotion {
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        is_active(Some(self.starts_at), Some(self.ends_at), now)
    }

    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.usage_limit.is_some_and(|limit| self.used >= limit)
    }

    /// What it takes from this subtotal, at most all of it; zero when it does not hold, or is in another currency.
    #[must_use]
    pub fn discount(&self, subtotal: Money, context: &Context) -> i64 {
        let is_other_money = matches!(self.effect, Effect::AmountOff(money) if money.currency != subtotal.currency);
        let holds = self.is_active(context.time) && self.when.as_ref().is_none_or(|when| condition::holds(when, context));
        if is_other_money || !holds { 0 } else { reduction(self.effect, subtotal) }
    }

    #[must_use]
    pub const fn bounds(&self) -> Bounds<'_> {
        (Some(self.starts_at), Some(self.ends_at), self.when.as_ref())
    }
}
