//! The settings of the mock provider, section `[psp]`.

use std::time::Duration;

use platform::settings::Section;
use serde::Deserialize;

use crate::plan::Limits;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a call waits for its outcome before it is answered PROCESSING; for `tok_timeout`, how long the connection stays silent.
    pub answer_limit_ms: u64,
    /// What took longer than this is told by a callback too.
    pub callback_after_ms: u64,
    /// How long an authorization that is neither captured nor voided stays; then it is voided, and a callback tells so.
    pub authorization_life_seconds: u64,
    /// What callbacks are signed with; derived from the platform's secret when empty.
    pub callback_secret: String,
}

impl Section for Config {
    fn validate(&self) -> Result<(), String> {
        if self.answer_limit_ms == 0 || self.authorization_life_seconds == 0 {
            return Err("answer_limit_ms and authorization_life_seconds must be 1 or more".into());
        }
        Ok(())
    }
}

impl Config {
    #[must_use]
    pub const fn authorization_life(&self) -> Duration {
        Duration::from_secs(self.authorization_life_seconds)
    }

    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits { slow: Duration::from_millis(self.callback_after_ms), silence: Duration::from_millis(self.answer_limit_ms) }
    }
}
