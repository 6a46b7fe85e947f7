//! Time, the one way to it. A service asks this clock what time it is and lets it wait; it never reads the machine's clock itself,
//! so the same code lives through ten minutes in the real world and in a simulated one, where ten minutes take microseconds.
//!
//! The simulated clock stands on tokio's paused clock, which jumps to the next timer once every task waits. Tokio's timers count
//! whole milliseconds; to tell apart what happens within one, a simulated microsecond is one of tokio's milliseconds. So in a
//! simulation nothing but this clock may wait: a bare `tokio::time::sleep` would run a thousand times too fast.

use std::{future::Future, time::Duration};

use tokio::time::Instant;
use types::Timestamp;

/// Tokio's time for one simulated second, in seconds.
const SCALE: u32 = 1_000;

/// The moment at which every simulated world begins: a Monday, so that weekly cycles start where people expect.
pub const SIMULATED_EPOCH: Timestamp = Timestamp::from_seconds(1_767_571_200); // 2026-01-05T00:00:00Z

#[derive(Clone, Copy, Debug)]
enum Kind {
    Real,
    Simulated { start: Instant },
}

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    kind: Kind,
    /// How far this clock is wrong, in microseconds (a fault: `clock.offset`).
    offset_micros: i64,
}

/// What [`Clock::timeout`] answers when the time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {0:?}")]
pub struct Elapsed(pub Duration);

impl Clock {
    /// The machine's wall clock.
    #[must_use]
    pub const fn real() -> Self {
        Self { kind: Kind::Real, offset_micros: 0 }
    }

    /// A clock that starts at [`SIMULATED_EPOCH`] now. Must be called inside a tokio runtime whose clock is paused.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the door: the simulated clock stands on tokio's paused one")]
    pub fn simulated() -> Self {
        Self { kind: Kind::Simulated { start: Instant::now() }, offset_micros: 0 }
    }

    /// The same clock, wrong by this much.
    #[must_use]
    pub const fn skewed(self, micros: i64) -> Self {
        Self { kind: self.kind, offset_micros: micros }
    }

    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        matches!(self.kind, Kind::Simulated { .. })
    }

    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the door to the machine's clock")]
    pub fn now(&self) -> Timestamp {
        let micros = match self.kind {
            Kind::Real => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            Kind::Simulated { start } => {
                let elapsed = Instant::now().duration_since(start) / SCALE;
                SIMULATED_EPOCH.micros() + i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
            }
        };
        Timestamp::from_micros(micros.saturating_add(self.offset_micros))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door to timers")]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(self.timer(duration)).await;
    }

    /// Returns at once when `moment` has passed.
    pub async fn sleep_until(&self, moment: Timestamp) {
        let left = moment.since(self.now());
        if !left.is_zero() {
            self.sleep(left).await;
        }
    }

    /// The future's answer, or [`Elapsed`] when it takes longer; the future is dropped then.
    #[expect(clippy::disallowed_methods, reason = "this is the door to timers")]
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(self.timer(limit), future).await.map_err(|_| Elapsed(limit))
    }

    fn timer(&self, duration: Duration) -> Duration {
        match self.kind {
            Kind::Real => duration,
            Kind::Simulated { .. } => duration.saturating_mul(SCALE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn simulated_time_is_precise_to_the_microsecond() {
        let clock = Clock::simulated();
        assert_eq!(clock.now(), SIMULATED_EPOCH);
        clock.sleep(Duration::from_micros(1)).await;
        assert_eq!(clock.now().micros() - SIMULATED_EPOCH.micros(), 1);
        clock.sleep(Duration::from_secs(600)).await;
        assert_eq!(clock.now().micros() - SIMULATED_EPOCH.micros(), 600_000_001);
    }

    #[tokio::test(start_paused = true)]
    async fn timeouts_use_the_same_time() {
        let clock = Clock::simulated();
        let late = clock.timeout(Duration::from_millis(5), clock.sleep(Duration::from_millis(6))).await;
        assert_eq!(late, Err(Elapsed(Duration::from_millis(5))));
        assert_eq!(clock.now().micros() - SIMULATED_EPOCH.micros(), 5_000);
    }
}
