//! The settings of cart-service, section `[cart]`, and its place on the ladder of `stale-price`.

use std::time::Duration;

use platform::settings::Section;
use serde::Deserialize;

/// The scenario on whose ladder these settings stand.
pub const STALE_PRICE: &str = "stale-price";

/// What a checkout makes of a quote that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedQuote {
    /// It is kept: what was quoted is charged, whatever it costs now (R0).
    Kept,
    /// The cart is priced anew and the checkout refused, whatever came of it (R1).
    Refused,
    /// The cart is priced anew, and the checkout refused only if the total rose (R2).
    PricedAnew,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// An open cart that nobody changes for so long expires.
    pub cart_ttl_hours: u32,
    /// How long a cart is kept in the cache at most, and how long a lost invalidation could show an old one.
    pub cache_ttl_seconds: u32,
    /// What a checkout makes of a quote that has ended: `priced-anew`, `refused`, `kept` (the behaviour that sells at prices of yesterday).
    pub ended_quote: EndedQuote,
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        if self.cart_ttl_hours == 0 || self.cart_ttl_hours > 8_760 {
            return Err("`cart_ttl_hours` must be from 1 to 8760 (a year)".into());
        }
        if self.cache_ttl_seconds == 0 || self.cache_ttl_seconds > 86_400 {
            return Err("`cache_ttl_seconds` must be from 1 to 86400 (a day)".into());
        }
        Ok(())
    }
}

impl Config {
    #[must_use]
    pub const fn cart_ttl(&self) -> Duration {
        Duration::from_secs(self.cart_ttl_hours as u64 * 3_600)
    }

    #[must_use]
    pub const fn cache_ttl(&self) -> Duration {
        Duration::from_secs(self.cache_ttl_seconds as u64)
    }

    /// Takes a rung of the ladder of `stale-price`.
    pub fn stand_on(&mut self, rung: &str) -> Result<(), String> {
        self.ended_quote = match rung {
            "R0" => EndedQuote::Kept,
            "R1" => EndedQuote::Refused,
            "R2" => EndedQuote::PricedAnew,
            other => return Err(format!("`{other}` is no rung of {STALE_PRICE}; there are R0, R1, R2")),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rungs_are_the_three_answers_to_an_ended_quote() {
        let mut config = Config { cart_ttl_hours: 72, cache_ttl_seconds: 600, ended_quote: EndedQuote::PricedAnew };
        for (rung, ended_quote) in [("R0", EndedQuote::Kept), ("R1", EndedQuote::Refused), ("R2", EndedQuote::PricedAnew)] {
            config.stand_on(rung).unwrap();
            assert_eq!(config.ended_quote, ended_quote, "{rung}");
        }
        assert!(config.stand_on("R3").unwrap_err().contains("R0, R1, R2"));
    }
}
