//! What a price is, as pure functions: conditions and effects in, prices and reasons out. No store, no clock, no chance.
//!
//! Reading order: [`rule`] (one SKU), [`condition`] (what a rule asks), [`cart`] (a whole cart), [`promotion`] (campaigns and coupons),
//! [`check`] (what may be written).

pub mod cart;
pub mod check;
pub mod condition;
pub mod promotion;
pub mod rule;

use types::{Currency, Region, Timestamp};

/// For whom, where, how many and when a price is asked. What is not known fulfils no condition about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub segment: Option<String>,
    pub region: Option<Region>,
    pub channel: String,
    pub quantity: i64,
    pub currency: Currency,
    pub time: Timestamp,
}

/// The channel of a context that names none.
pub const DEFAULT_CHANNEL: &str = "web";

/// The name of a currency's price book.
#[must_use]
pub const fn book_of(currency: Currency) -> &'static str {
    match currency {
        Currency::Usd => "standard-usd",
        Currency::Eur => "standard-eur",
        Currency::Jpy => "standard-jpy",
        Currency::Vnd => "standard-vnd",
    }
}

/// Whether a thing that holds from `starts_at` up to, and not at, `ends_at` holds now.
#[must_use]
pub fn is_active(starts_at: Option<Timestamp>, ends_at: Option<Timestamp>, now: Timestamp) -> bool {
    starts_at.is_none_or(|start| start <= now) && ends_at.is_none_or(|end| now < end)
}

#[cfg(test)]
mod tests;
