//! Nothing that was acknowledged is lost, and nothing is done twice, however often the process is killed. A client that keeps its own record
//! ([`record`]) buys, refunds, cancels and moves stock over HTTP ([`shopper`]); whoever runs this kills the system at a moment that was drawn
//! ([`Fate`]) and starts it again over the same data folder. What had no answer is asked again with the same key. In the end, and now and
//! then before it, everything must come to rest, and the system's facts are held against the record ([`judge`]) and the invariants.
//!
//! Only the record is believed: what the system was told and did not answer may have happened or not, but once, and not half.

pub mod judge;
pub mod record;
pub mod shopper;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use platform::Chance;
use rand::RngExt;

use self::{
    judge::{Finding, Judged},
    record::Record,
    shopper::Shopper,
};
use crate::{
    facts::{Facts, FactsError},
    invariants::{Breach, Grace},
    target::{Target, TargetError},
    verify,
};

/// Of the kills, the share that falls into a start.
const IN_START: f64 = 0.15;
/// A start takes a few hundred milliseconds at most; a kill within it falls somewhere in these.
const START: Duration = Duration::from_millis(250);
const SHORTEST_LIFE: Duration = Duration::from_millis(30);
/// How long everything may take to come to rest: longer than the provider takes to be asked again.
const REST: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(500);

/// When a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// So long after the process was started, whether or not it is ready.
    InStart(Duration),
    /// So long after it was ready.
    AtWork(Duration),
}

impl Fate {
    /// The fate of a life, by its number: the same seed kills at the same moments.
    #[must_use]
    pub fn draw(seed: u64, life: u32, longest: Duration) -> Self {
        let mut draws = Chance::seeded(seed).stream("crash", &life.to_string(), "fate");
        // The first life sets the shop up.
        if life > 0 && draws.random_bool(IN_START) {
            return Self::InStart(draws.random_range(Duration::ZERO..START));
        }
        Self::AtWork(draws.random_range(SHORTEST_LIFE..longest.max(SHORTEST_LIFE * 2)))
    }
}

/// A record that several shoppers write.
#[derive(Debug)]
pub struct Shared(Mutex<Record>);

impl Shared {
    #[must_use]
    pub const fn new(record: Record) -> Self {
        Self(Mutex::new(record))
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shops until the system does not answer any more. Returns what was acknowledged in the lives before and is not there now.
pub async fn live(target: &dyn Target, shared: &Shared, seed: u64, life: u32, shoppers: u32) -> Vec<Finding> {
    let shopping = (0..shoppers).map(|number| Shopper::new(target, shared, seed, life, number).live());
    futures::future::join_all(shopping).await.into_iter().flatten().collect()
}

/// What a check at rest found.
#[derive(Debug)]
pub struct Checked {
    pub judged: Judged,
    pub breaches: Vec<Breach>,
}

impl Checked {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.judged.findings.is_empty() && self.breaches.is_empty()
    }
}

/// Asks what is open to its end, waits until everything rests, then holds the system's facts against the record and the invariants.
pub async fn check(target: &dyn Target, shared: &Shared, seed: u64, life: u32) -> Result<Checked, CheckError> {
    Shopper::new(target, shared, seed, life, 0).finish(REST).await?;
    let until = target.now().plus(REST);
    let facts = loop {
        let facts = Facts::read(target).await?;
        if judge::rests(&facts, &shared.record()) || target.now() >= until {
            break facts;
        }
        target.sleep(LOOK).await;
    };
    let judged = judge::judge(&facts, &shared.record());
    let report = verify::verify(target, &Grace::default()).await?;
    Ok(Checked { judged, breaches: report.findings.breaches })
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Facts(#[from] FactsError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("a request that was sent before a kill still has no answer after {} s: {request}", REST.as_secs())]
    Unanswered { request: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_kills_at_the_same_moments_in_starts_and_at_work() {
        let longest = Duration::from_millis(1_500);
        let fates: Vec<Fate> = (0..200).map(|life| Fate::draw(7, life, longest)).collect();
        assert_eq!(fates, (0..200).map(|life| Fate::draw(7, life, longest)).collect::<Vec<_>>());
        assert_ne!(fates, (0..200).map(|life| Fate::draw(8, life, longest)).collect::<Vec<_>>());
        assert!(matches!(fates[0], Fate::AtWork(_)));
        let in_start = fates.iter().filter(|fate| matches!(fate, Fate::InStart(after) if *after < START)).count();
        assert!((10..60).contains(&in_start), "{in_start}");
        assert!(fates.iter().all(|fate| !matches!(fate, Fate::AtWork(after) if *after < SHORTEST_LIFE || *after >= longest)));
    }
}
