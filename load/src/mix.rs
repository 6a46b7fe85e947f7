//! What buyers are like: the knobs of the load. Shares are from 0 to 1.

use std::{collections::BTreeMap, time::Duration};

use seed::zipf::EXPONENT;
use serde::{Deserialize, Serialize};
use types::Region;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mix {
    /// Carts that are filled and left standing.
    pub abandoned: f64,
    /// Carts with a coupon.
    pub coupons: f64,
    /// Buyers without an account.
    pub guests: f64,
    /// Payments that the bank declines, by region.
    pub declines: BTreeMap<Region, f64>,
    /// Of those that are declined, cards that were reported lost; the others lack money.
    pub lost_cards: f64,
    /// Payments whose answer takes [`Mix::slow_seconds`].
    pub slow: f64,
    pub slow_seconds: u32,
    /// Where buyers come from; only the proportions count.
    pub regions: BTreeMap<Region, f64>,
    /// Different SKUs in a cart: 1 to this many.
    pub lines_max: u32,
    /// How much more often the first things are bought than the others: the exponent of Zipf's law, 0 for all alike.
    pub popularity: f64,
    /// How long a buyer looks at an order that does not settle.
    pub patience_seconds: u64,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            abandoned: 0.70,
            coupons: 0.15,
            guests: 1.0 / 3.0,
            declines: BTreeMap::from([(Region::Us, 0.08), (Region::Eu, 0.10), (Region::Apac, 0.15)]),
            lost_cards: 0.3,
            slow: 0.0,
            slow_seconds: 20,
            regions: BTreeMap::from([(Region::Us, 0.45), (Region::Eu, 0.35), (Region::Apac, 0.20)]),
            lines_max: 3,
            popularity: EXPONENT,
            patience_seconds: 60,
        }
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    #[error("`{knob}` is {value}: it must be a share from 0 to 1")]
    Share { knob: &'static str, value: f64 },
    #[error("`{knob}` is {value}: it must be {must}")]
    Knob { knob: &'static str, value: f64, must: &'static str },
    #[error("there is nothing to buy and nobody to buy it: seed the system first (`crashcart seed`)")]
    NotSeeded,
}

impl Mix {
    /// Everybody buys, and every payment goes through: for measuring the machine instead of people.
    #[must_use]
    pub fn bench() -> Self {
        Self { abandoned: 0.0, coupons: 0.0, declines: BTreeMap::new(), ..Self::default() }
    }

    #[must_use]
    pub const fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds)
    }

    /// Refuses what cannot be drawn from.
    pub fn validate(&self) -> Result<(), LoadError> {
        let shares = [
            ("abandoned", self.abandoned),
            ("coupons", self.coupons),
            ("guests", self.guests),
            ("lostCards", self.lost_cards),
            ("slow", self.slow),
        ];
        for (knob, value) in shares.into_iter().chain(self.declines.values().map(|share| ("declines", *share))) {
            if !(0.0..=1.0).contains(&value) {
                return Err(LoadError::Share { knob, value });
            }
        }
        if let Some(weight) = self.regions.values().find(|weight| !weight.is_finite() || **weight < 0.0) {
            return Err(LoadError::Knob { knob: "regions", value: *weight, must: "0 or more" });
        }
        if self.regions.values().sum::<f64>() <= 0.0 {
            return Err(LoadError::Knob { knob: "regions", value: 0.0, must: "above 0 for one region at least" });
        }
        if !(0.0..=5.0).contains(&self.popularity) {
            return Err(LoadError::Knob { knob: "popularity", value: self.popularity, must: "from 0 to 5" });
        }
        if !(1..=20).contains(&self.lines_max) {
            return Err(LoadError::Knob { knob: "linesMax", value: f64::from(self.lines_max), must: "from 1 to 20" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_that_cannot_be_drawn_from_is_refused() {
        assert_eq!(Mix::default().validate(), Ok(()));
        assert_eq!(Mix::bench().validate(), Ok(()));
        let wrong = [
            Mix { abandoned: 1.1, ..Mix::default() },
            Mix { slow: f64::NAN, ..Mix::default() },
            Mix { declines: BTreeMap::from([(Region::Eu, -0.1)]), ..Mix::default() },
            Mix { regions: BTreeMap::new(), ..Mix::default() },
            Mix { regions: BTreeMap::from([(Region::Eu, f64::INFINITY)]), ..Mix::default() },
            Mix { lines_max: 0, ..Mix::default() },
            Mix { popularity: f64::NAN, ..Mix::default() },
        ];
        for mix in wrong {
            assert!(mix.validate().is_err(), "{mix:?}");
        }
    }

    #[test]
    fn a_mix_is_read_with_its_defaults() {
        let mix: Mix = serde_json::from_str(r#"{"abandoned": 0, "regions": {"APAC": 1}}"#).expect("it is a mix");
        assert_eq!((mix.abandoned, mix.regions.len(), mix.lines_max), (0.0, 1, 3));
        assert!(serde_json::from_str::<Mix>(r#"{"abandonned": 0}"#).is_err());
    }
}
