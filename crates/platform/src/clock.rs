//! Time, the one way to it. A service asks this clock what time it is and lets it wait; it never reads the machine's clock itself,
//! so the same code lives through ten minutes in the real world and in a simulated one, where ten minutes take microseconds.
//!
//! The simulated clock stands on tokio's paused clock, which jumps to the next timer once every task waits. Tokio's timers count
//! whole milliseconds; to tell apart what happens within one, a simulated microsecond is one of tokio's milliseconds. So in a
//! simulation nothing but this clock may wait: a bare `tokio::time::sleep` would run a thousand times too fast.

use std::{
    future::Future,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use tokio::time::Instant;
use types::Timestamp;

/// Tokio's time for one simulated second, in seconds.
const SCALE: u32 = 1_000;

/// The moment at which every simulated world begins: a Monday, so that weekly cycles start where people expect.
pub const SIMULATED_EPOCH: Timestamp = Timestamp::from_seconds(1_767_571_200); // 2026-01-05T00:00:00Z

#[derive(Clone, Copy, Debug)]
enum Kind {
    Real,
    Simulated {
        start: Instant,
    },
    #[cfg(feature = "engines")]
    ByHand {
        micros: &'static AtomicI64,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    kind: Kind,
    /// How far this clock is behind, where it can be: a service's own.
    lag: Option<&'static Lag>,
}

/// By how much the clock of one service is behind, and until when (the fault `clock.offset`). A clock is copied into whatever asks for the
/// time, so what makes it wrong stands in one place that all its copies look at. That place is made once for each service of a world and
/// never given back: sixteen bytes, for which a clock stays a plain value and asking it costs no lock.
#[derive(Debug)]
pub(crate) struct Lag {
    behind_micros: AtomicI64,
    until_micros: AtomicI64,
}

impl Lag {
    /// Of a clock that is right.
    pub(crate) fn leaked() -> &'static Self {
        Box::leak(Box::new(Self { behind_micros: AtomicI64::new(0), until_micros: AtomicI64::new(i64::MAX) }))
    }

    /// Makes its clock wrong, until this moment of a right one. The end is written first, so that nobody reads a lag without its end.
    pub(crate) fn set(&self, behind_micros: i64, until: Option<Timestamp>) {
        self.until_micros.store(until.map_or(i64::MAX, Timestamp::micros), Ordering::SeqCst);
        self.behind_micros.store(behind_micros, Ordering::SeqCst);
    }

    /// How far the clock is behind when a right one says `now`: nothing once its end is there, whether anybody lifted it or not.
    fn at(&self, now: i64) -> i64 {
        match self.behind_micros.load(Ordering::SeqCst) {
            behind if behind != 0 && now < self.until_micros.load(Ordering::SeqCst) => behind,
            _ => 0,
        }
    }
}

/// What [`Clock::timeout`] answers when the time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {0:?}")]
pub struct Elapsed(pub Duration);

impl Clock {
    /// The machine's wall clock.
    #[must_use]
    pub const fn real() -> Self {
        Self { kind: Kind::Real, lag: None }
    }

    /// A clock that starts at [`SIMULATED_EPOCH`] now. Must be called inside a tokio runtime whose clock is paused.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the door: the simulated clock stands on tokio's paused one")]
    pub fn simulated() -> Self {
        Self { kind: Kind::Simulated { start: Instant::now() }, lag: None }
    }

    /// A clock that stands still until somebody sleeps by it, which moves it on at once; what it bounds ([`Clock::timeout`]) is bounded in
    /// the machine's time. For suites that run against an engine: there a clock that jumps by itself would end every wait for an answer.
    #[cfg(feature = "engines")]
    #[must_use]
    pub fn by_hand(start: Timestamp) -> Self {
        Self { kind: Kind::ByHand { micros: Box::leak(Box::new(AtomicI64::new(start.micros()))) }, lag: None }
    }

    /// Whether this is the machine's own time, as it is.
    #[cfg(feature = "engines")]
    pub(crate) const fn is_the_machines(&self) -> bool {
        matches!(self.kind, Kind::Real) && self.lag.is_none()
    }

    /// The same clock, behind by what stands there.
    #[must_use]
    pub(crate) const fn lagging(self, lag: &'static Lag) -> Self {
        Self { lag: Some(lag), ..self }
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
            #[cfg(feature = "engines")]
            Kind::ByHand { micros } => micros.load(Ordering::SeqCst),
        };
        Timestamp::from_micros(micros.saturating_sub(self.lag.map_or(0, |lag| lag.at(micros))))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door to timers")]
    pub async fn sleep(&self, duration: Duration) {
        #[cfg(feature = "engines")]
        if let Kind::ByHand { micros } = self.kind {
            micros.fetch_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
            return;
        }
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
            #[cfg(feature = "engines")]
            Kind::ByHand { .. } => duration,
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
    async fn a_lag_is_seen_by_every_copy_and_ends_by_itself() {
        let (right, lag) = (Clock::simulated(), Lag::leaked());
        let (one, other) = (right.lagging(lag), right.lagging(lag));
        lag.set(3_000_000, Some(right.now().plus(Duration::from_secs(10))));
        for clock in [one, other] {
            assert_eq!(right.now().since(clock.now()), Duration::from_secs(3));
        }
        // Waiting takes as long as ever: it is the hands that are wrong, not the pace.
        one.sleep_until(one.now().plus(Duration::from_secs(4))).await;
        assert_eq!(right.now().micros() - SIMULATED_EPOCH.micros(), 4_000_000);
        right.sleep(Duration::from_secs(6)).await;
        assert_eq!(one.now(), right.now());
    }

    #[tokio::test(start_paused = true)]
    async fn timeouts_use_the_same_time() {
        let clock = Clock::simulated();
        let late = clock.timeout(Duration::from_millis(5), clock.sleep(Duration::from_millis(6))).await;
        assert_eq!(late, Err(Elapsed(Duration::from_millis(5))));
        assert_eq!(clock.now().micros() - SIMULATED_EPOCH.micros(), 5_000);
    }
}
