//! Exchange rates from a provider that does not exist: a walk around fixed rates, drawn from the world's chance by currency and day, so
//! that a seed has the same rates again. Each day has a level within 1.5 % of the fixed rate; through the day the rate goes from its own
//! level to the next day's with a little noise, and so never jumps at midnight. It changes every quarter of an hour.

use platform::{Chance, chance::Stream};
use rand::RngExt;
use types::{Currency, Timestamp, money::divide_half_even};

/// How far a day's level may lie from the fixed rate, and how far the noise may go beyond, in millionths.
const LEVEL: i64 = 15_000;
const NOISE: i64 = 500;
const QUARTER_SECONDS: i64 = 900;
const QUARTERS_OF_A_DAY: i64 = 96;
const MICROS: i128 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub struct FakeProvider {
    chance: Chance,
}

impl FakeProvider {
    #[must_use]
    pub const fn new(chance: Chance) -> Self {
        Self { chance }
    }

    /// What one major unit of `base` is in millionths of `currency`'s major unit, at this moment.
    #[must_use]
    pub fn rate_micros(&self, base: Currency, currency: Currency, now: Timestamp) -> i64 {
        let (per_base, per_currency) = (self.per_dollar(base, now), self.per_dollar(currency, now));
        // Cross rates come from the same two values, so that going round in a circle neither wins nor loses.
        i64::try_from(divide_half_even(i128::from(per_currency) * MICROS, i128::from(per_base).max(1))).unwrap_or(i64::MAX).max(1)
    }

    /// Millionths of the currency's major unit for one dollar.
    fn per_dollar(&self, currency: Currency, now: Timestamp) -> i64 {
        let fixed = fixed_micros(currency);
        if currency == Currency::Usd {
            return fixed;
        }
        let quarter = now.seconds().div_euclid(QUARTER_SECONDS);
        let (day, step) = (quarter.div_euclid(QUARTERS_OF_A_DAY), quarter.rem_euclid(QUARTERS_OF_A_DAY));
        let (today, tomorrow) = (self.level(currency, day), self.level(currency, day + 1));
        let noise = self.stream(currency, "noise", quarter).random_range(-NOISE..=NOISE);
        let deviation = today + (tomorrow - today) * step / QUARTERS_OF_A_DAY + noise;
        let moved = divide_half_even(i128::from(fixed) * i128::from(deviation), MICROS);
        fixed + i64::try_from(moved).unwrap_or(0)
    }

    fn level(&self, currency: Currency, day: i64) -> i64 {
        self.stream(currency, "level", day).random_range(-LEVEL..=LEVEL)
    }

    fn stream(&self, currency: Currency, purpose: &str, time: i64) -> Stream {
        self.chance.stream("pricing", &format!("fx-{currency}-{time}"), purpose)
    }
}

/// The rates that the others walk around.
const fn fixed_micros(currency: Currency) -> i64 {
    match currency {
        Currency::Usd => 1_000_000,
        Currency::Eur => 920_000,
        Currency::Jpy => 150_000_000,
        Currency::Vnd => 25_000_000_000,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::clock::SIMULATED_EPOCH;

    use super::*;

    #[test]
    fn rates_stay_near_the_fixed_ones_and_repeat_by_seed() {
        let (provider, again) = (FakeProvider::new(Chance::seeded(7)), FakeProvider::new(Chance::seeded(7)));
        let mut now = SIMULATED_EPOCH;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..300 {
            let rate = provider.rate_micros(Currency::Usd, Currency::Eur, now);
            assert!((rate - 920_000).abs() <= 920_000 * (LEVEL + NOISE) / 1_000_000 + 1, "{rate}");
            assert_eq!(rate, again.rate_micros(Currency::Usd, Currency::Eur, now));
            seen.insert(rate);
            now = now.plus(Duration::from_secs(900));
        }
        assert!(seen.len() > 100, "it walks: {}", seen.len());
        assert_ne!(
            provider.rate_micros(Currency::Usd, Currency::Jpy, now),
            FakeProvider::new(Chance::seeded(8)).rate_micros(Currency::Usd, Currency::Jpy, now)
        );
    }

    #[test]
    fn there_and_back_again_is_nearly_one() {
        let provider = FakeProvider::new(Chance::seeded(7));
        for (base, other) in [(Currency::Usd, Currency::Eur), (Currency::Eur, Currency::Jpy)] {
            let there = i128::from(provider.rate_micros(base, other, SIMULATED_EPOCH));
            let back = i128::from(provider.rate_micros(other, base, SIMULATED_EPOCH));
            let round = there * back / MICROS;
            assert!((round - MICROS).abs() < 200, "{base} {other}: {round}");
        }
    }

    #[test]
    fn midnight_is_no_jump() {
        let provider = FakeProvider::new(Chance::seeded(7));
        for day in 1..30 {
            let midnight = SIMULATED_EPOCH.plus(Duration::from_secs(day * 86_400));
            let before = provider.rate_micros(Currency::Usd, Currency::Jpy, midnight.minus(Duration::from_secs(1)));
            let after = provider.rate_micros(Currency::Usd, Currency::Jpy, midnight);
            assert!((after - before).abs() < 150 * 1_500, "{before} {after}");
        }
    }
}
