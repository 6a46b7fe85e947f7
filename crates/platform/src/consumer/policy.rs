//! How events are fed, and what is done about one that cannot be handled. The latter may change while a consumer is at work, so it is asked for each
//! time, and whoever stands still at an event goes on by himself.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;

/// How events are fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The most events that a handler gets at once.
    pub max_batch: usize,
    /// How often an event that failed in passing is tried again before it counts as poison.
    pub retries: u32,
    /// The pause before the first retry; it doubles each time, up to `longest_pause`. Half of each is left to chance.
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_batch: 64, retries: 8, first_pause: Duration::from_millis(50), longest_pause: Duration::from_secs(10) }
    }
}

/// What becomes of an event that cannot be handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeadLetters {
    /// It goes to the dead letters and its key is parked; everything else goes on.
    #[default]
    Park,
    /// It is tried again for ever. Events are handled one by one, and nothing behind it in its partition is handled.
    Never,
}

/// Asks which of them it is now.
#[derive(Clone)]
pub struct Asking(Arc<dyn Fn() -> DeadLetters + Send + Sync>);

impl Asking {
    pub fn new(ask: impl Fn() -> DeadLetters + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    #[must_use]
    pub fn now(&self) -> DeadLetters {
        (self.0)()
    }
}

impl Default for Asking {
    fn default() -> Self {
        Self::new(DeadLetters::default)
    }
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asking({:?})", self.now())
    }
}
