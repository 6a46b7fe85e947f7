//! The price of one unit of one SKU. Rules come by priority, the highest first (ties by id); each changes the price that the ones before
//! it left, never below zero; an exclusive one is the last. A price and its explanation come from the same walk, so they cannot differ.

use pricing_api::{Effect, Expression};
use types::{Currency, Money, Sku, Timestamp, id::Uuid};

use super::{Context, condition, is_active};

/// A rule, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub id: Uuid,
    pub name: String,
    /// None at all: it holds for every SKU.
    pub skus: Vec<Sku>,
    pub priority: i32,
    pub exclusive: bool,
    pub when: Option<Expression>,
    pub effect: Effect,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub version: i64,
}

impl Rule {
    #[must_use]
    pub fn concerns(&self, sku: &Sku) -> bool {
        self.skus.is_empty() || self.skus.contains(sku)
    }

    /// The price that this rule gives the SKU by itself: a fixed one, without a condition, for SKUs that it names. (If one for all SKUs
    /// counted, every misspelt SKU would be for sale.)
    fn own_price(&self, context: &Context) -> Option<i64> {
        match self.effect {
            Effect::FixedPrice(money)
                if self.when.is_none()
                    && !self.skus.is_empty()
                    && money.currency == context.currency
                    && is_active(self.starts_at, self.ends_at, context.time) =>
            {
                Some(money.amount)
            }
            _ => None,
        }
    }
}

/// Puts rules into the order in which they apply.
pub fn sort(rules: &mut [Rule]) {
    rules.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.id.cmp(&b.id)));
}

/// What became of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It changed the price to this, in minor units.
    Applied {
        after: i64,
    },
    /// An exclusive rule came before.
    Excluded,
    NotYet,
    Over,
    /// Its condition does not hold.
    Unmet,
    /// Its money is of another currency.
    OtherCurrency(Currency),
    /// It names other SKUs: only a draft is ever asked about a SKU that it does not name.
    OtherSku,
}

/// The price of one unit, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    pub list: Money,
    pub unit: Money,
    /// One for each rule, in their order.
    pub verdicts: Vec<Verdict>,
}

/// Prices one unit by rules that concern its SKU, in the order of [`sort`]. Nothing when there is neither a book's price nor a fixed one.
#[must_use]
pub fn price(rules: &[&Rule], context: &Context, book_price: Option<i64>) -> Option<Priced> {
    let list = book_price.or_else(|| rules.iter().find_map(|rule| rule.own_price(context)))?;
    let (mut unit, mut is_closed) = (list, false);
    let verdicts = rules
        .iter()
        .map(|rule| {
            let verdict = if is_closed { Verdict::Excluded } else { judge(rule, context, unit) };
            if let Verdict::Applied { after } = verdict {
                unit = after;
                is_closed = rule.exclusive;
            }
            verdict
        })
        .collect();
    Some(Priced { list: Money::new(list, context.currency), unit: Money::new(unit, context.currency), verdicts })
}

fn judge(rule: &Rule, context: &Context, before: i64) -> Verdict {
    if rule.starts_at.is_some_and(|start| context.time < start) {
        return Verdict::NotYet;
    }
    if rule.ends_at.is_some_and(|end| end <= context.time) {
        return Verdict::Over;
    }
    if let Effect::AmountOff(money) | Effect::FixedPrice(money) = rule.effect
        && money.currency != context.currency
    {
        return Verdict::OtherCurrency(money.currency);
    }
    if rule.when.as_ref().is_some_and(|when| !condition::holds(when, context)) {
        return Verdict::Unmet;
    }
    Verdict::Applied { after: apply(rule.effect, Money::new(before, context.currency)) }
}

/// The price after an effect; its currency has been looked at.
fn apply(effect: Effect, before: Money) -> i64 {
    let after = match effect {
        Effect::PercentOff(_) | Effect::AmountOff(_) => before.amount.saturating_sub(reduction(effect, before)),
        Effect::FixedPrice(money) => money.amount,
    };
    after.max(0)
}

/// What a reducing effect takes from an amount of its own currency, at most all of it.
#[must_use]
pub fn reduction(effect: Effect, amount: Money) -> i64 {
    let whole = amount.amount.max(0);
    match effect {
        // A share of at most the whole fits where the whole does.
        Effect::PercentOff(share) => amount.share(share).map_or(whole, |part| part.amount).clamp(0, whole),
        Effect::AmountOff(money) => money.amount.clamp(0, whole),
        Effect::FixedPrice(_) => 0,
    }
}

/// Why a rule did or did not apply, in one sentence, and the part of its condition that did not hold.
#[must_use]
pub fn reason(rule: &Rule, verdict: Verdict, context: &Context) -> (String, Option<String>) {
    let plain = |text: &str| (text.to_owned(), None);
    match verdict {
        Verdict::Applied { .. } if rule.when.is_none() => plain("It has no condition."),
        Verdict::Applied { .. } => plain("Its condition holds."),
        Verdict::Excluded => plain("An exclusive rule before it applied."),
        Verdict::NotYet => (format!("It starts at {}.", rule.starts_at.unwrap_or(context.time)), None),
        Verdict::Over => (format!("It ended at {}.", rule.ends_at.unwrap_or(context.time)), None),
        Verdict::OtherSku => plain("It is about other SKUs."),
        Verdict::OtherCurrency(currency) => (format!("Its amount is in {currency}, the price in {}.", context.currency), None),
        Verdict::Unmet => match rule.when.as_ref().and_then(|when| condition::unmet(when, context)) {
            Some(unmet) => (format!("Its condition does not hold: {}.", unmet.reason), Some(format!("#/when{}", unmet.pointer))),
            None => plain("Its condition does not hold."),
        },
    }
}

/// The first moment after `now`, and no later than `latest`, at which one of these may start, end or change its mind.
#[must_use]
pub fn valid_until<'a>(bounds: impl IntoIterator<Item = Bounds<'a>>, now: Timestamp, latest: Timestamp) -> Timestamp {
    let mut moments = vec![latest];
    for (starts_at, ends_at, when) in bounds {
        moments.extend(starts_at);
        moments.extend(ends_at);
        if let Some(when) = when {
            condition::moments(when, &mut moments);
        }
    }
    moments.into_iter().filter(|moment| *moment > now && *moment <= latest).min().unwrap_or(latest)
}

/// From when, until when, and under which condition something holds.
pub type Bounds<'a> = (Option<Timestamp>, Option<Timestamp>, Option<&'a Expression>);

impl Rule {
    #[must_use]
    pub const fn bounds(&self) -> Bounds<'_> {
        (self.starts_at, self.ends_at, self.when.as_ref())
    }
}
