//! The settings of cart-service, section `[cart]`.

use std::time::Duration;

use platform::settings::Section;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// An open cart that nobody changes for so long expires.
    pub cart_ttl_hours: u32,
    /// How long a cart is kept in the cache at most, and how long a lost invalidation could show an old one.
    pub cache_ttl_seconds: u32,
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
}
