//! The settings of order-service, section `[order]`, and its places on the ladders of `oversell`, `dual-write`, `duplicates-and-reorder` and
//! `poison`.

use platform::{consumer::DeadLetters, settings::Section};
use serde::Deserialize;

/// The scenarios on whose ladders these settings stand.
pub const OVERSELL: &str = "oversell";
pub const DUAL_WRITE: &str = "dual-write";
pub const POISON: &str = "poison";
pub const DUPLICATES_AND_REORDER: &str = "duplicates-and-reorder";

/// What of the news of a payment is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentNews {
    /// What is newer, by the payment's version, than what was heard before (R2).
    Newest,
    /// Whatever is heard last, which may have been told earlier (R0, R1).
    Last,
}

/// Who tells the events of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToldBy {
    /// The relay, from the outbox: as often as it takes (R1).
    Relay,
    /// This service itself, once, when the transaction has committed: a write to the store and one to the log, of which the second may
    /// fail or never come (R0).
    Service,
}

/// What is done about the hold while the payment is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldDuringPayment {
    /// Nothing: the hold runs out when it runs out (R0, R1, R1b).
    LeftAlone,
    /// It is extended once, when the payment starts, by `hold_extension_seconds` (R2).
    Extended,
    /// It outlasts the payment deadline, and ends only when the provider has answered or the void is confirmed (R3).
    UntilAnswered,
}

/// How the stock is claimed once the payment is authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimBy {
    /// Inventory claims when it hears of the authorization; the saga does not ask (R0).
    Event,
    /// The saga claims, with the hold's token; a payment that comes late is voided (R1, R2, R3).
    Saga,
    /// As `saga`, but a payment that comes late first tries to hold again (R1b).
    SagaOrHoldAgain,
}

/// When the money is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capture {
    /// Once the stock is claimed.
    Claim,
    /// With the authorization, by the provider.
    Authorize,
    /// When the goods leave.
    Ship,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// When the money is taken: `claim`, `authorize` or `ship`.
    pub capture: Capture,
    /// What is done about the hold while the payment is on its way: `left-alone`, `extended`, `until-answered`.
    pub hold_during_payment: HoldDuringPayment,
    /// Who claims the stock: `saga`, `saga-or-hold-again`, `event`.
    pub claim_by: ClaimBy,
    /// By how much `extended` extends, from the start of the payment.
    pub hold_extension_seconds: u32,
    /// How long a payment may take in all; then it is voided, and only when that is confirmed the hold is released.
    pub payment_deadline_seconds: u32,
    /// How long the saga waits for the answer to a confirmation before it goes on waiting for the event.
    pub confirm_wait_ms: u64,
    /// What of the news of a payment is taken: `newest`, `last` (the behaviour that goes back to what was).
    pub payment_news: PaymentNews,
    /// Who tells the events of a transaction: `relay`, `service` (the behaviour that loses them).
    pub told_by: ToldBy,
    /// What becomes of an event that cannot be handled: `park`, `never` (the behaviour that stands still at it).
    pub dead_letters: DeadLetters,
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        if self.confirm_wait_ms == 0 || self.payment_deadline_seconds == 0 || self.hold_extension_seconds == 0 {
            return Err("confirm_wait_ms, payment_deadline_seconds and hold_extension_seconds must be 1 or more".into());
        }
        Ok(())
    }
}

impl Config {
    /// How much longer than the payment deadline a two-phase hold lives: time to ask and to void.
    pub const HOLD_MARGIN_SECONDS: u32 = 60;

    /// Takes a rung of the oversell ladder. Each is an honest older behaviour of this service.
    pub fn stand_on(&mut self, rung: &str) -> Result<(), String> {
        (self.hold_during_payment, self.claim_by) = match rung {
            "R0" => (HoldDuringPayment::LeftAlone, ClaimBy::Event),
            "R1" => (HoldDuringPayment::LeftAlone, ClaimBy::Saga),
            "R1b" => (HoldDuringPayment::LeftAlone, ClaimBy::SagaOrHoldAgain),
            "R2" => (HoldDuringPayment::Extended, ClaimBy::Saga),
            "R3" => (HoldDuringPayment::UntilAnswered, ClaimBy::Saga),
            other => return Err(format!("`{other}` is no rung of {OVERSELL}; there are R0, R1, R1b, R2, R3")),
        };
        Ok(())
    }

    /// Takes a rung of the ladder of `dual-write`.
    pub fn stand_on_dual_write(&mut self, rung: &str) -> Result<(), String> {
        self.told_by = match rung {
            "R0" => ToldBy::Service,
            "R1" => ToldBy::Relay,
            other => return Err(format!("`{other}` is no rung of {DUAL_WRITE}; there are R0, R1")),
        };
        Ok(())
    }

    /// Takes a rung of the ladder of `duplicates-and-reorder`.
    pub fn stand_on_duplicates(&mut self, rung: &str) -> Result<(), String> {
        self.payment_news = match rung {
            "R0" | "R1" => PaymentNews::Last,
            "R2" => PaymentNews::Newest,
            other => return Err(format!("`{other}` is no rung of {DUPLICATES_AND_REORDER}; there are R0, R1, R2")),
        };
        Ok(())
    }

    /// Takes a rung of the ladder of `poison`.
    pub fn stand_on_poison(&mut self, rung: &str) -> Result<(), String> {
        self.dead_letters = match rung {
            "R0" => DeadLetters::Never,
            "R1" => DeadLetters::Park,
            other => return Err(format!("`{other}` is no rung of {POISON}; there are R0, R1")),
        };
        Ok(())
    }

    /// For how long a hold is made to last when the payment starts; nothing when it is left alone.
    #[must_use]
    pub const fn extension_seconds(&self) -> Option<u32> {
        match self.hold_during_payment {
            HoldDuringPayment::LeftAlone => None,
            HoldDuringPayment::Extended => Some(self.hold_extension_seconds),
            HoldDuringPayment::UntilAnswered => Some(self.payment_deadline_seconds + Self::HOLD_MARGIN_SECONDS),
        }
    }
}
