//! The settings of payment-service, section `[payment]`.

use std::time::Duration;

use platform::settings::Section;
use serde::Deserialize;

/// After a call that certainly did not reach the PSP there is nothing to wait for; it is made again this soon.
const NOT_SENT_PAUSE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a confirmation waits for the PSP's answer.
    pub psp_timeout_ms: u64,
    /// When the PSP is asked for the first time about what it has not answered; every further question waits twice as long.
    pub first_inquiry_seconds: u64,
    /// The longest wait between two questions.
    pub inquiry_max_seconds: u64,
    /// What the PSP signs its callbacks with; derived from the platform's secret when empty.
    pub psp_callback_secret: String,
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        if self.psp_timeout_ms == 0 || self.first_inquiry_seconds == 0 {
            return Err("psp_timeout_ms and first_inquiry_seconds must be 1 or more".into());
        }
        if self.inquiry_max_seconds < self.first_inquiry_seconds {
            return Err("inquiry_max_seconds must not be below first_inquiry_seconds".into());
        }
        Ok(())
    }
}

impl Config {
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

    #[test]
    fn questions_come_at_growing_intervals_up_to_the_longest() {
        let config = Config { psp_timeout_ms: 1, first_inquiry_seconds: 30, inquiry_max_seconds: 100, psp_callback_secret: String::new() };
        assert!(config.validate().is_ok());
        let pauses = [0, 1, 2, 3, u32::MAX].map(|nth| config.inquiry_pause(nth).as_secs());
        assert_eq!(pauses, [30, 60, 100, 100, 100]);
        assert_eq!(config.not_sent_pause(0).as_secs(), 2);
        assert!(Config { inquiry_max_seconds: 29, ..config }.validate().is_err());
    }
}
