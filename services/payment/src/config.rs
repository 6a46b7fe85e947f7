//! The settings of payment-service, section `[payment]`, and its place on the ladders of a provider that is silent: `psp-timeout`,
//! `late-capture` and `double-charge`, and of `duplicates-and-reorder`.

use std::time::Duration;

use platform::settings::Section;
use serde::Deserialize;

/// After a call that certainly did not reach the PSP there is nothing to wait for; it is made again this soon.
const NOT_SENT_PAUSE: Duration = Duration::from_secs(2);

/// The pause before an authorization is asked for again by itself.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The scenarios on whose ladders these settings stand. Their lowest rungs differ; from R1 on they are the same.
pub const PSP_TIMEOUT: &str = "psp-timeout";
pub const LATE_CAPTURE: &str = "late-capture";
pub const DOUBLE_CHARGE: &str = "double-charge";
/// The scenario of events that come twice and out of turn.
pub const DUPLICATES_AND_REORDER: &str = "duplicates-and-reorder";

/// What an authorization counts as that the PSP has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoAnswer {
    /// A failure, although the PSP may have done it (R0, R1).
    Failed,
    /// Not known: the PSP is asked by reference until it is (R2, R3).
    Unknown,
}

/// Under which key an authorization is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryKey {
    /// The same: for the PSP it is the same request (R1).
    One,
    /// A new one: for the PSP it is another request (R0 of `double-charge`).
    PerTry,
}

/// What makes a refund for a credit the same refund when the credit is told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CreditRefund {
    /// The credit: it has one refund, however often it is told (R1, R2).
    PerCredit,
    /// Nothing: each time that it is told is a refund (R0).
    PerDelivery,
}

/// What becomes of what the PSP tells of a payment that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LateEvents {
    /// Nothing (R0, R1, R2). So a payment that the PSP cannot void yet is not ended before it can.
    Ignored,
    /// It is booked, and the money given back (R3). So a payment that the PSP cannot void yet may be ended at once.
    Undone,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a confirmation waits for the PSP's answer.
    pub psp_timeout_ms: u64,
    /// How often an authorization is asked for before it counts as not answered.
    pub authorize_tries: u32,
    /// Under which key: `one`, `per-try`.
    pub retry_key: RetryKey,
    /// What one counts as that was not answered: `unknown`, `failed`.
    pub no_answer: NoAnswer,
    /// What becomes of what the PSP tells of a payment that has ended: `undone`, `ignored`.
    pub late_events: LateEvents,
    /// How often a credit is refunded that is told more than once: `per-credit`, `per-delivery` (the behaviour that pays twice).
    pub credit_refund: CreditRefund,
    /// When the PSP is asked for the first time about what it has not answered; every further question waits twice as long.
    pub first_inquiry_seconds: u64,
    /// The longest wait between two questions.
    pub inquiry_max_seconds: u64,
    /// What the PSP signs its callbacks with; derived from the platform's secret when empty.
    pub psp_callback_secret: String,
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        if self.psp_timeout_ms == 0 || self.first_inquiry_seconds == 0 || self.authorize_tries == 0 {
            return Err("psp_timeout_ms, authorize_tries and first_inquiry_seconds must be 1 or more".into());
        }
        if self.inquiry_max_seconds < self.first_inquiry_seconds {
            return Err("inquiry_max_seconds must not be below first_inquiry_seconds".into());
        }
        Ok(())
    }
}

impl Config {
    /// How often the rungs below R2 ask that ask more than once.
    const TRIES: u32 = 3;

    /// Takes a rung of the ladders on which a timeout is a failure at the bottom. Each is an honest older behaviour of this service.
    pub fn stand_on(&mut self, rung: &str) -> Result<(), String> {
        (self.no_answer, self.authorize_tries, self.retry_key, self.late_events) = match rung {
            "R0" => (NoAnswer::Failed, 1, RetryKey::One, LateEvents::Ignored),
            "R1" => (NoAnswer::Failed, Self::TRIES, RetryKey::One, LateEvents::Ignored),
            "R2" => (NoAnswer::Unknown, 1, RetryKey::One, LateEvents::Ignored),
            "R3" => (NoAnswer::Unknown, 1, RetryKey::One, LateEvents::Undone),
            other => return Err(format!("`{other}` is no rung of this ladder; there are R0, R1, R2, R3")),
        };
        Ok(())
    }

    /// The same for `double-charge`: at the bottom a retry is another request.
    pub fn stand_on_double_charge(&mut self, rung: &str) -> Result<(), String> {
        self.stand_on(if rung == "R0" { "R1" } else { rung })?;
        if rung == "R0" {
            self.retry_key = RetryKey::PerTry;
        }
        Ok(())
    }

    /// Takes a rung of the ladder of `duplicates-and-reorder`.
    pub fn stand_on_duplicates(&mut self, rung: &str) -> Result<(), String> {
        self.credit_refund = match rung {
            "R0" => CreditRefund::PerDelivery,
            "R1" | "R2" => CreditRefund::PerCredit,
            other => return Err(format!("`{other}` is no rung of {DUPLICATES_AND_REORDER}; there are R0, R1, R2")),
        };
        Ok(())
    }

    #[must_use]
    pub const fn psp_timeout(&self) -> Duration {
        Duration::from_millis(self.psp_timeout_ms)
    }

    /// How long after the `nth` question (0: the call itself) the next is asked.
    #[must_use]
    pub fn inquiry_pause(&self, nth: u32) -> Duration {
        doubled(Duration::from_secs(self.first_inquiry_seconds), nth, self.inquiry_max_seconds)
    }

    /// The same after a call that certainly did not reach the PSP.
    #[must_use]
    pub fn not_sent_pause(&self, nth: u32) -> Duration {
        doubled(NOT_SENT_PAUSE, nth, self.inquiry_max_seconds)
    }
}

fn doubled(first: Duration, times: u32, max_seconds: u64) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(Duration::from_secs(max_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            psp_timeout_ms: 1,
            authorize_tries: 1,
            retry_key: RetryKey::One,
            no_answer: NoAnswer::Unknown,
            late_events: LateEvents::Undone,
            credit_refund: CreditRefund::PerCredit,
            first_inquiry_seconds: 30,
            inquiry_max_seconds: 100,
            psp_callback_secret: String::new(),
        }
    }

    #[test]
    fn the_two_bugs_are_apart_and_the_highest_rung_is_the_default() {
        let stands = |config: &Config| (config.no_answer, config.authorize_tries, config.retry_key, config.late_events);
        let on = |rung: &str, take: fn(&mut Config, &str) -> Result<(), String>| {
            let mut config = config();
            take(&mut config, rung).map(|()| stands(&config))
        };
        assert_eq!(on("R0", Config::stand_on), Ok((NoAnswer::Failed, 1, RetryKey::One, LateEvents::Ignored)));
        assert_eq!(on("R0", Config::stand_on_double_charge), Ok((NoAnswer::Failed, 3, RetryKey::PerTry, LateEvents::Ignored)));
        for rung in ["R1", "R2", "R3"] {
            assert_eq!(on(rung, Config::stand_on), on(rung, Config::stand_on_double_charge));
        }
        assert_eq!(on("R3", Config::stand_on), Ok(stands(&config())));
        assert!(on("R1b", Config::stand_on).is_err());
    }

    #[test]
    fn questions_come_at_growing_intervals_up_to_the_longest() {
        let config = config();
        assert!(config.validate().is_ok());
        let pauses = [0, 1, 2, 3, u32::MAX].map(|nth| config.inquiry_pause(nth).as_secs());
        assert_eq!(pauses, [30, 60, 100, 100, 100]);
        assert_eq!(config.not_sent_pause(0).as_secs(), 2);
        assert!(Config { inquiry_max_seconds: 29, ..config.clone() }.validate().is_err());
        assert!(Config { authorize_tries: 0, ..config }.validate().is_err());
    }
}
