//! A circuit breaker and a retry budget, for one caller of one service: who fails is left alone for a moment, and retries are never
//! more than a tenth of the calls (and a few), so that a service in trouble does not get more traffic than one in health.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use types::Timestamp;

use crate::clock::Clock;

const OPEN: Duration = Duration::from_secs(2);
/// In tenths of a retry: each call pays in one, each retry takes out ten.
const BUDGET_MAX: u32 = 200;

#[derive(Debug)]
pub(super) struct Breaker {
    clock: Clock,
    /// Failures in a row after which the circuit opens.
    opens_after: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failures: u32,
    open_until: Option<Timestamp>,
    budget: u32,
}

impl Breaker {
    pub(super) fn new(clock: Clock, opens_after: u32) -> Self {
        Self { clock, opens_after, state: Mutex::new(State { failures: 0, open_until: None, budget: BUDGET_MAX }) }
    }

    /// Whether a call may be made. When the time is up one caller is let through to see; the next waits for what it learns.
    pub(super) fn admits(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.budget = (state.budget + 1).min(BUDGET_MAX);
        match state.open_until {
            None => true,
            Some(until) if until <= self.clock.now() => {
                state.open_until = Some(self.clock.now().plus(OPEN));
                true
            }
            Some(_) => false,
        }
    }

    pub(super) fn learn(&self, answered: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            state.failures = 0;
            state.open_until = None;
        } else {
            state.failures = state.failures.saturating_add(1);
            if state.failures >= self.opens_after {
                state.open_until = Some(self.clock.now().plus(OPEN));
            }
        }
    }

    pub(super) fn may_retry(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let may = state.budget >= 10;
        if may {
            state.budget -= 10;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_and_tries_again() {
        let clock = Clock::simulated();
        let breaker = Breaker::new(clock, 10);
        for _ in 0..10 {
            assert!(breaker.admits());
            breaker.learn(false);
        }
        assert!(!breaker.admits());
        clock.sleep(OPEN).await;
        assert!(breaker.admits(), "one is let through");
        assert!(!breaker.admits(), "and only one");
        breaker.learn(true);
        assert!(breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_tenth_of_the_calls() {
        let breaker = Breaker::new(Clock::simulated(), 10);
        while breaker.may_retry() {}
        let retries = (0..1_000).filter(|_| breaker.admits() && breaker.may_retry()).count();
        assert!((90..=110).contains(&retries), "{retries}");
    }
}
