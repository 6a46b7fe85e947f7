//! The settings of inventory-service, section `[inventory]`, and its places on the ladders of `oversell`, `hot-sku` and `clock-skew`.

use platform::settings::Section;
use serde::Deserialize;
use types::{Region, Sku};

/// The scenarios on whose ladders these settings stand.
pub const OVERSELL: &str = "oversell";
pub const HOT_SKU: &str = "hot-sku";
pub const CLOCK_SKEW: &str = "clock-skew";

/// What a hold is, and how it ends when nobody ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// It is ended by one authority at its `expiresAt`, with a movement and an event; it is claimed only while it lives, with its
    /// fencing token (R1 and above).
    Fenced,
    /// It is a time to live: when that is over the hold is gone, and nothing says so. A payment claims by an upsert that revives it (R0).
    Ttl,
}

/// How a hold finds out whether there is anything left to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReserveBy {
    /// One write looks and takes: it takes nothing that is not there (R1).
    ConditionalWrite,
    /// A read looks, and a write that trusts it takes. Whoever looks before another's write has come through sees the same unit (R0).
    LookThenTake,
}

/// Whose clock says whether a hold is over when it is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldClock {
    /// This service's, which is the one that ends holds: there is one authority (R1).
    Own,
    /// That of whoever claims, if he says what it shows: who was in time by it gets his units, and a hold that was ended is revived. This
    /// service's ends holds all the same, and gives the units to others: there are two authorities (R0).
    Callers,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What a hold is: `fenced`, or `ttl` (the behaviour that oversells).
    pub hold: Hold,
    /// How a hold is made: `conditional-write`, or `look-then-take` (the behaviour that oversells what many want at once).
    pub reserve_by: ReserveBy,
    /// Whose clock says whether a hold is over when it is claimed: `own`, or `callers` (the behaviour that claims what has been sold
    /// again).
    pub hold_clock: HoldClock,
    /// How long a hold lasts when the request does not say.
    pub reservation_ttl_seconds: u32,
    /// The longest that a hold may be asked for or extended to, from now.
    pub reservation_ttl_max_seconds: u32,
    /// In which order warehouses are asked for somebody in the US, and for whoever does not say where they are. Others come after these.
    pub warehouses_us: Vec<Sku>,
    /// The same for the EU.
    pub warehouses_eu: Vec<Sku>,
    /// The same for APAC.
    pub warehouses_apac: Vec<Sku>,
    /// Of the conditional writes, the share whose answer is lost: a time-out after which the write may or may not have been applied, as
    /// the engine that the embedded store stands for has them. 0 unless that is what is studied.
    pub lost_answers_share: f64,
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        if self.reservation_ttl_seconds == 0 || self.reservation_ttl_seconds > self.reservation_ttl_max_seconds {
            return Err("reservation_ttl_seconds must be from 1 to reservation_ttl_max_seconds".into());
        }
        if self.reservation_ttl_max_seconds > Self::TTL_LIMIT_SECONDS {
            return Err(format!("reservation_ttl_max_seconds must be at most {} (30 days)", Self::TTL_LIMIT_SECONDS));
        }
        if !(0.0..=1.0).contains(&self.lost_answers_share) {
            return Err("lost_answers_share must be from 0 to 1".into());
        }
        Ok(())
    }
}

impl Config {
    /// A hold that lasts longer is no hold.
    const TTL_LIMIT_SECONDS: u32 = 30 * 24 * 3600;

    /// Takes a rung of the oversell ladder. The rungs above R0 differ in what order-service does; the hold is the same.
    pub fn stand_on(&mut self, rung: &str) -> Result<(), String> {
        self.hold = match rung {
            "R0" => Hold::Ttl,
            "R1" | "R1b" | "R2" | "R3" => Hold::Fenced,
            other => return Err(format!("`{other}` is no rung of {OVERSELL}; there are R0, R1, R1b, R2, R3")),
        };
        Ok(())
    }

    /// Takes a rung of the ladder of `hot-sku`.
    pub fn stand_on_hot_sku(&mut self, rung: &str) -> Result<(), String> {
        self.reserve_by = match rung {
            "R0" => ReserveBy::LookThenTake,
            "R1" => ReserveBy::ConditionalWrite,
            other => return Err(format!("`{other}` is no rung of {HOT_SKU}; there are R0, R1")),
        };
        Ok(())
    }

    /// Takes a rung of the ladder of `clock-skew`.
    pub fn stand_on_clock_skew(&mut self, rung: &str) -> Result<(), String> {
        self.hold_clock = match rung {
            "R0" => HoldClock::Callers,
            "R1" => HoldClock::Own,
            other => return Err(format!("`{other}` is no rung of {CLOCK_SKEW}; there are R0, R1")),
        };
        Ok(())
    }

    /// The warehouses in the order in which they are asked: the one that was named, then the nearest first.
    #[must_use]
    pub fn nearest(&self, asked: Option<&Sku>, region: Option<Region>) -> Vec<Sku> {
        let near = match region {
            None | Some(Region::Us) => &self.warehouses_us,
            Some(Region::Eu) => &self.warehouses_eu,
            Some(Region::Apac) => &self.warehouses_apac,
        };
        asked.into_iter().chain(near).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let names = |names: &[&str]| names.iter().map(|name| Sku::new(*name).unwrap()).collect();
        Config {
            hold: Hold::Fenced,
            reserve_by: ReserveBy::ConditionalWrite,
            hold_clock: HoldClock::Own,
            reservation_ttl_seconds: 600,
            reservation_ttl_max_seconds: 3600,
            warehouses_us: names(&["us-east", "eu-central"]),
            warehouses_eu: names(&["eu-central", "us-east"]),
            warehouses_apac: names(&["apac-south"]),
            lost_answers_share: 0.0,
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_by_the_name_of_the_key() {
        assert_eq!(config().validate(), Ok(()));
        for (wrong, key) in [
            (Config { reservation_ttl_seconds: 0, ..config() }, "reservation_ttl_seconds"),
            (Config { reservation_ttl_seconds: 3601, ..config() }, "reservation_ttl_seconds"),
            (Config { reservation_ttl_max_seconds: u32::MAX, ..config() }, "reservation_ttl_max_seconds"),
            (Config { lost_answers_share: 1.5, ..config() }, "lost_answers_share"),
            (Config { lost_answers_share: f64::NAN, ..config() }, "lost_answers_share"),
        ] {
            assert!(wrong.validate().unwrap_err().contains(key), "{key}");
        }
    }

    #[test]
    fn only_the_lowest_rung_lets_a_hold_vanish() {
        let mut config = config();
        for (rung, hold) in [("R0", Hold::Ttl), ("R1", Hold::Fenced), ("R1b", Hold::Fenced), ("R2", Hold::Fenced), ("R3", Hold::Fenced)] {
            config.stand_on(rung).unwrap();
            assert_eq!(config.hold, hold, "{rung}");
        }
        assert!(config.stand_on("R4").unwrap_err().contains("R1b"));
        for (rung, way) in [("R0", ReserveBy::LookThenTake), ("R1", ReserveBy::ConditionalWrite)] {
            config.stand_on_hot_sku(rung).unwrap();
            assert_eq!(config.reserve_by, way, "{rung}");
        }
        assert!(config.stand_on_hot_sku("R2").unwrap_err().contains("hot-sku"));
        for (rung, whose) in [("R0", HoldClock::Callers), ("R1", HoldClock::Own)] {
            config.stand_on_clock_skew(rung).unwrap();
            assert_eq!(config.hold_clock, whose, "{rung}");
        }
        assert!(config.stand_on_clock_skew("R2").unwrap_err().contains("clock-skew"));
    }

    #[test]
    fn the_warehouse_that_was_named_comes_first() {
        let asked = Sku::new("apac-south").unwrap();
        let order: Vec<_> = config().nearest(Some(&asked), Some(Region::Eu)).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["apac-south", "eu-central", "us-east"]);
    }
}
