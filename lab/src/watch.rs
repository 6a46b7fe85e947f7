//! Every invariant while a system runs: what breaks is flagged when it is seen first, at most one look after its grace is over. A running system
//! goes on between two collections of one reading, so a breach counts when it stands in three readings that follow each other at once.

use std::{collections::BTreeSet, time::Duration};

use futures::future::{Either, select};
use serde::Serialize;
use types::Timestamp;

use crate::{
    facts::{Facts, FactsError},
    invariants::{self, Breach, Grace, Invariant},
    target::Target,
};

/// How far apart the readings are that confirm a breach.
const APART: Duration = Duration::from_millis(20);
const READINGS: usize = 3;

/// A breach, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flag {
    pub at: Timestamp,
    #[serde(flatten)]
    pub breach: Breach,
}

/// Looks every so often until `work` is done, and gives its answer with every breach that was seen, each once. `on_flag` is told at once.
pub async fn during<T>(
    target: &dyn Target,
    grace: &Grace,
    every: Duration,
    on_flag: impl Fn(&Flag),
    work: impl Future<Output = T>,
) -> Result<(T, Vec<Flag>), FactsError> {
    let mut known: BTreeSet<(Invariant, String)> = BTreeSet::new();
    let mut flags = Vec::new();
    futures::pin_mut!(work);
    loop {
        let pause = target.sleep(every);
        match select(&mut work, pause).await {
            Either::Left((answer, _)) => return Ok((answer, flags)),
            Either::Right(((), _)) => {}
        }
        // The work goes on while it is looked at.
        let looking = standing(target, grace);
        futures::pin_mut!(looking);
        let (found, done) = match select(&mut work, looking).await {
            Either::Left((answer, looking)) => (looking.await?, Some(answer)),
            Either::Right((found, _)) => (found?, None),
        };
        let at = target.now();
        for breach in found.into_iter().filter(|breach| known.insert((breach.invariant, breach.id.clone()))) {
            let flag = Flag { at, breach };
            on_flag(&flag);
            flags.push(flag);
        }
        if let Some(answer) = done {
            return Ok((answer, flags));
        }
    }
}

/// What stands in every one of the readings.
pub async fn standing(target: &dyn Target, grace: &Grace) -> Result<Vec<Breach>, FactsError> {
    let mut standing = invariants::check(&Facts::read(target).await?, grace).breaches;
    for _ in 1..READINGS {
        if standing.is_empty() {
            break;
        }
        target.sleep(APART).await;
        let again: BTreeSet<(Invariant, String)> = invariants::check(&Facts::read(target).await?, grace)
            .breaches
            .into_iter()
            .map(|breach| (breach.invariant, breach.id))
            .collect();
        standing.retain(|breach| again.contains(&(breach.invariant, breach.id.clone())));
    }
    Ok(standing)
}
