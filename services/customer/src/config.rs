//! The settings of customer-service, section `[customer]`.

use std::{collections::BTreeMap, time::Duration};

use platform::settings::Section;
use serde::Deserialize;
use types::Currency;

use crate::{domain::SegmentRules, erasure};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a customer's snapshot is kept in the cache.
    pub cache_ttl_seconds: u32,
    /// From how many orders on a customer is a VIP.
    pub vip_orders: u32,
    /// From which sum on, spent in dollars, a customer is a VIP, in cents; 0 for none. So for the other currencies, in their minor units.
    pub vip_spend_usd_minor: i64,
    pub vip_spend_eur_minor: i64,
    pub vip_spend_jpy_minor: i64,
    pub vip_spend_vnd_minor: i64,
    /// Which services are asked to erase a customer, beside this one, in this order.
    pub erasure_services: Vec<String>,
    /// How long the pauses grow between two tries with a service that does not erase.
    pub erasure_backoff_max_seconds: u32,
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        for (key, value) in [
            ("cache_ttl_seconds", self.cache_ttl_seconds),
            ("vip_orders", self.vip_orders),
            ("erasure_backoff_max_seconds", self.erasure_backoff_max_seconds),
        ] {
            if value == 0 {
                return Err(format!("`{key}` must be 1 or more"));
            }
        }
        for (currency, key) in SPEND_KEYS {
            if self.vip_spend(currency) < 0 {
                return Err(format!("`{key}` must be 0 or more"));
            }
        }
        for (place, name) in self.erasure_services.iter().enumerate() {
            if !erasure::HOLDERS.contains(&name.as_str()) {
                return Err(format!("`erasure_services` names `{name}`; those that can be asked are {}", erasure::HOLDERS.join(", ")));
            }
            if self.erasure_services[..place].contains(name) {
                return Err(format!("`erasure_services` names `{name}` twice"));
            }
        }
        Ok(())
    }
}

const SPEND_KEYS: [(Currency, &str); 4] = [
    (Currency::Usd, "vip_spend_usd_minor"),
    (Currency::Eur, "vip_spend_eur_minor"),
    (Currency::Jpy, "vip_spend_jpy_minor"),
    (Currency::Vnd, "vip_spend_vnd_minor"),
];

impl Config {
    #[must_use]
    pub fn cache_ttl(&self) -> Duration {
        Duration::from_secs(u64::from(self.cache_ttl_seconds))
    }

    /// The rules by which segments follow from orders.
    #[must_use]
    pub fn segment_rules(&self) -> SegmentRules {
        let sums = Currency::ALL.into_iter().map(|currency| (currency, self.vip_spend(currency))).filter(|(_, sum)| *sum > 0);
        SegmentRules { vip_orders: self.vip_orders, vip_spend_minor: sums.collect::<BTreeMap<_, _>>() }
    }

    const fn vip_spend(&self, currency: Currency) -> i64 {
        match currency {
            Currency::Usd => self.vip_spend_usd_minor,
            Currency::Eur => self.vip_spend_eur_minor,
            Currency::Jpy => self.vip_spend_jpy_minor,
            Currency::Vnd => self.vip_spend_vnd_minor,
        }
    }
}

#[cfg(test)]
mod tests {
    use platform::{Settings, settings::DEFAULTS};

    use super::*;

    fn with(key: &str, value: impl Into<toml::Value>) -> Result<Config, String> {
        let settings = Settings::load(DEFAULTS, None, std::iter::empty()).unwrap();
        settings
            .with(&format!("customer.{key}"), value)
            .and_then(|settings| settings.checked("customer"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_mistake_names_the_key_and_what_is_allowed() {
        for (key, value) in [("cache_ttl_seconds", 0), ("vip_orders", 0), ("vip_spend_jpy_minor", -1), ("erasure_backoff_max_seconds", 0)] {
            let told = with(key, value).unwrap_err();
            assert!(told.contains(key) && told.contains("or more"), "{told}");
        }
        let told = with("erasure_services", vec!["order", "crat"]).unwrap_err();
        assert!(told.contains("crat") && told.contains("cart, order"), "{told}");
        let told = with("erasure_services", vec!["order", "order"]).unwrap_err();
        assert!(told.contains("twice"), "{told}");
    }

    #[test]
    fn a_sum_of_zero_makes_nobody_a_vip() {
        let rules = with("vip_spend_usd_minor", 0).unwrap().segment_rules();
        assert!(!rules.vip_spend_minor.contains_key(&Currency::Usd) && rules.vip_spend_minor.contains_key(&Currency::Vnd));
    }
}
