//! The settings of pricing, section `[pricing]`.

use std::time::Duration;

use platform::settings::Section;
use serde::Deserialize;
use types::{BasisPoints, Currency, Region};

use crate::domain::cart::Tariff;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a quote holds, unless a rule or promotion for it starts or ends before.
    pub quote_valid_seconds: u32,
    /// How often exchange rates are fetched.
    pub fx_sync_seconds: u32,
    /// Tax on what is paid for a line, by region.
    pub tax_basis_points: ByRegion<u32>,
    /// What is taken for shipping a cart, by region and currency.
    pub shipping_minor: ByRegion<ByCurrency>,
    /// From which sum on shipping is free.
    pub free_shipping_from_minor: ByCurrency,
}

/// A value for each region.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByRegion<T> {
    pub us: T,
    pub eu: T,
    pub apac: T,
}

impl<T: Copy> ByRegion<T> {
    #[must_use]
    pub const fn of(&self, region: Region) -> T {
        match region {
            Region::Us => self.us,
            Region::Eu => self.eu,
            Region::Apac => self.apac,
        }
    }
}

/// An amount in each currency's minor unit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByCurrency {
    pub usd: i64,
    pub eur: i64,
    pub jpy: i64,
    pub vnd: i64,
}

impl ByCurrency {
    #[must_use]
    pub const fn of(&self, currency: Currency) -> i64 {
        match currency {
            Currency::Usd => self.usd,
            Currency::Eur => self.eur,
            Currency::Jpy => self.jpy,
            Currency::Vnd => self.vnd,
        }
    }
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        if !(1..=86_400).contains(&self.quote_valid_seconds) {
            return Err("quote_valid_seconds must be from 1 to 86400".into());
        }
        if !(1..=86_400).contains(&self.fx_sync_seconds) {
            return Err("fx_sync_seconds must be from 1 to 86400".into());
        }
        if Region::ALL.into_iter().any(|region| self.tax_basis_points.of(region) > 10_000) {
            return Err("tax_basis_points must be from 0 to 10000 (all of the price) in each region".into());
        }
        for currency in Currency::ALL {
            if Region::ALL.into_iter().any(|region| self.shipping_minor.of(region).of(currency) < 0) {
                return Err("shipping_minor must be 0 or more in each region and currency".into());
            }
            if self.free_shipping_from_minor.of(currency) < 0 {
                return Err("free_shipping_from_minor must be 0 or more in each currency".into());
            }
        }
        Ok(())
    }
}

impl Config {
    #[must_use]
    pub fn quote_valid(&self) -> Duration {
        Duration::from_secs(u64::from(self.quote_valid_seconds))
    }

    #[must_use]
    pub fn fx_sync(&self) -> Duration {
        Duration::from_secs(u64::from(self.fx_sync_seconds))
    }

    /// What a region adds to a cart.
    #[must_use]
    pub const fn tariff(&self, region: Region, currency: Currency) -> Tariff {
        Tariff {
            tax: BasisPoints(self.tax_basis_points.of(region)),
            shipping_minor: self.shipping_minor.of(region).of(currency),
            free_shipping_from_minor: self.free_shipping_from_minor.of(currency),
        }
    }
}
