//! How a scenario is run, whichever it is: every rung with its twins, in simulated worlds or against a running system, held against its
//! reference model and concluded with a verdict and a record. What a scenario has of its own is an [`Experiment`]; nothing else differs.
//!
//! Reading order: this file (what is asked of a scenario, and the runs put together), [`play`] (one run over a target), [`tell`] (the
//! incident record), [`visit`] (what a buyer does).

#[cfg(test)]
pub mod case;
pub mod play;
pub mod tell;
pub mod visit;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use platform::fault::Fault;
use types::Timestamp;

pub use self::{
    play::Witnessed,
    tell::{Story, Told},
    visit::{Micros, Visit, Visitor, buyer_name, card_token, span},
};
use crate::{
    bundle,
    facts::Facts,
    invariants::Grace,
    record::{Damage, Precondition},
    scenario::{Figure, LabError, Request, Run, Rung, RungRun, TwinRun, Twins},
    target::{
        ClockKind, Simulation, SimulationError, Target, TargetError,
        simulation::{self, Recording},
    },
    verdict::{self, Evidence},
};

/// What is sold in a simulated world. In a running system each run has a SKU of its own; neither says what is being done.
const SKU: &str = "LAMP-1";

/// One run: the rung that the services stand on, and the conditions under which the buyers come. Of each rung of a ladder there is the one
/// run that it is about, and the twins from which something is taken away.
#[derive(Clone, Copy, Debug)]
pub struct Trial<C> {
    pub rung: &'static Rung,
    pub cell: C,
}

impl<C: Copy + PartialEq> Trial<C> {
    /// Whether both are the same thing done: then in a simulated world both come to the same.
    fn is(&self, other: &Self) -> bool {
        self.rung.name == other.rung.name && self.cell == other.cell
    }

    /// The run with the condition on its rung, and its twins: the same rung without; and, for a rung below the remedied one, that with and without.
    #[must_use]
    pub fn two_by_two(ladder: &'static [Rung], rung: &'static Rung, with: C, without: C) -> Vec<Self> {
        let mut trials = vec![Self { rung, cell: with }, Self { rung, cell: without }];
        if let Some(remedied) = ladder.last().filter(|last| last.name != rung.name) {
            trials.extend([Self { rung: remedied, cell: with }, Self { rung: remedied, cell: without }]);
        }
        trials
    }
}

/// What is seen of a run.
pub trait Measured: Clone + std::fmt::Debug + Send {
    /// In the order of a report.
    fn figures(&self) -> Vec<Figure>;
    /// What makes the incident possible; without all of it the run shows nothing.
    fn preconditions(&self) -> Vec<Precondition>;
    /// What the scenario is about.
    fn primary(&self) -> i64;
    /// What is damaged elsewhere instead.
    fn displaced(&self) -> i64;
    fn damaged(&self) -> Vec<Damage>;
}

/// What a scenario has of its own, drawn from knobs and seed: who comes, under which conditions, what is measured of it and what must come out.
pub trait Experiment: Sized + Send + Sync {
    /// Which of the conditions there are.
    type Cell: Copy + PartialEq + std::fmt::Debug + Send + Sync;
    type Measured: Measured;
    /// What the damage is called after a number: `3 oversold`.
    const DAMAGE: &'static str;

    /// Refuses knobs that do not go together.
    fn of(request: &Request) -> Result<Self, LabError>;

    /// What is run for a rung: first the run itself, then its twins. By some clocks not every twin can be had.
    fn trials(&self, rung: &'static Rung, clock: ClockKind) -> Vec<Trial<Self::Cell>>;

    /// What the conditions of a twin are, in words.
    fn conditions(&self, trial: &Trial<Self::Cell>) -> String;

    /// The settings of a simulated world; mostly the default ones.
    fn settings(&self, _trial: &Trial<Self::Cell>) -> Result<Vec<simulation::Override>, LabError> {
        Ok(Vec::new())
    }

    /// Whether a running system stands as the scenario needs it, as far as that can be seen beforehand.
    fn must_fit<'a>(&'a self, _target: &'a dyn Target) -> BoxFuture<'a, Result<(), LabError>> {
        Box::pin(async { Ok(()) })
    }

    /// The same, as far as it can be seen afterwards.
    fn must_have_fit(&self, _measured: &Self::Measured) -> Result<(), LabError> {
        Ok(())
    }

    /// How many there are of it, and what one costs in US cents.
    fn stock(&self) -> (i64, i64);

    /// Everybody who comes, in the order of their numbers.
    fn visits(&self, trial: &Trial<Self::Cell>) -> Vec<Visit>;

    /// What a buyer does, from filling his cart to the end of his visit.
    fn shop<'a>(&'a self, visitor: Visitor<'a>, _trial: &'a Trial<Self::Cell>) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move { visitor.buy().await.map(drop) })
    }

    /// What is done to the system while the buyers come, and undone again.
    fn interfere<'a>(
        &'a self,
        _target: &'a dyn Target,
        _sku: &'a str,
        _trial: &'a Trial<Self::Cell>,
        _began: Timestamp,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async { Ok(()) })
    }

    /// For how long orders may go on once the last visit is over.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// What follows from events is given this long after the last order has ended.
    fn rest(&self, _clock: ClockKind) -> Duration {
        Duration::from_secs(10)
    }

    /// Once everything has settled nothing is legally false any more, so the graces are short.
    fn grace(&self) -> Grace;

    /// The figures of a run that began at this moment.
    fn measure(&self, facts: &Facts, sku: &str, began: Timestamp) -> Self::Measured;

    /// What the reference model says. It takes from what was seen only what it cannot know: what an order costs with tax and shipping.
    fn predict(&self, trial: &Trial<Self::Cell>, measured: &Self::Measured) -> Vec<Figure>;

    /// By how much a figure may differ from the model's; none where the two are not compared.
    fn tolerance(&self, clock: ClockKind, figure: Figure, predicted: &[Figure]) -> Option<i64>;

    /// What the record tells beside the figures.
    fn tell(&self, told: &Told<'_, Self>) -> Story;
}

/// Sets faults at a point, from one moment to another. They lift themselves even if nobody is left to lift them.
pub async fn meanwhile(
    target: &dyn Target,
    point: &str,
    faults: &[Fault],
    (from, until): (Timestamp, Timestamp),
) -> Result<(), TargetError> {
    target.sleep_until(from).await;
    let for_seconds = Some(until.since(target.now()).as_secs_f64());
    for fault in faults {
        target.set_fault(point, &Fault { for_seconds, ..fault.clone() }).await?;
    }
    target.sleep_until(until).await;
    target.clear_faults(Some(point)).await
}

const fn has_twins(rung: &Rung, twins: Twins) -> bool {
    matches!(twins, Twins::EveryRung) || !rung.breaks.is_empty()
}

fn trials<E: Experiment>(experiment: &E, request: &Request, rung: &'static Rung, clock: ClockKind) -> Vec<Trial<E::Cell>> {
    let mut trials = experiment.trials(rung, clock);
    if !has_twins(rung, request.twins) {
        trials.truncate(1);
    }
    trials
}

/// Every trial of the rungs that are asked for, each once.
fn worlds<E: Experiment>(experiment: &E, request: &Request) -> Vec<Trial<E::Cell>> {
    let mut worlds: Vec<Trial<E::Cell>> = Vec::new();
    for trial in request.rungs.iter().flat_map(|rung| trials(experiment, request, rung, ClockKind::Simulated)) {
        if !worlds.iter().any(|world| world.is(&trial)) {
            worlds.push(trial);
        }
    }
    worlds
}

/// Runs it in fresh simulated worlds. What comes of a trial is a matter of the seed alone, so one that several rungs ask for (mostly the
/// remedied rung, which is a twin of those below it) is played once.
pub fn simulate<E: Experiment>(simulation: &Simulation, request: &Request) -> Result<Run, LabError> {
    let clock = ClockKind::Simulated;
    let experiment = E::of(request)?;
    let jobs = worlds(&experiment, request);
    let played = simulation::on_threads(request.threads, &jobs, |trial| -> Result<Witnessed<E::Measured>, LabError> {
        let settings = experiment.settings(trial)?;
        simulation.run(request.seed, &settings, async |target| Ok(play::play(target, &experiment, request, trial, SKU).await?.0))?
    });
    let played: Vec<Witnessed<E::Measured>> =
        played.into_iter().map(|one| one.unwrap_or(Err(SimulationError::Lost.into()))).collect::<Result<_, _>>()?;
    let witnessed_of = |trial: Trial<E::Cell>| {
        let found = jobs.iter().zip(&played).find(|(job, _)| job.is(&trial));
        found.map(|(_, one)| (trial, one.clone())).ok_or(SimulationError::Lost)
    };
    let (mut rungs, mut lasted) = (Vec::new(), Duration::ZERO);
    for rung in &request.rungs {
        let witnessed = trials(&experiment, request, rung, clock).into_iter().map(witnessed_of).collect::<Result<Vec<_>, _>>()?;
        lasted = witnessed.first().map_or(lasted, |(_, run)| lasted.max(run.ended.since(run.began)));
        rungs.push(conclude(&experiment, request, clock, rung, witnessed)?);
    }
    Ok(Run { scenario: request.scenario, seed: request.seed, clock, knobs: request.knobs.clone(), rungs, lasted })
}

/// Runs it against a running system.
pub fn against<'a, E: Experiment>(target: &'a dyn Target, request: &'a Request) -> BoxFuture<'a, Result<Run, LabError>> {
    Box::pin(async move {
        let clock = target.clock();
        let experiment = E::of(request)?;
        experiment.must_fit(target).await?;
        let begun = target.now();
        let remedied = request.scenario.ladder.last().map_or("R0", |rung| rung.name);
        let mut rungs = Vec::new();
        for rung in &request.rungs {
            let mut witnessed = Vec::new();
            for trial in trials(&experiment, request, rung, clock) {
                let sku = format!("LAMP-{}", target.now().millis());
                let played = play::play(target, &experiment, request, &trial, &sku).await;
                // Whatever became of the run, the system goes back to the remedied rung.
                let reverted = target.set_rung(request.scenario.name, remedied).await;
                let (one, _) = played?;
                reverted?;
                experiment.must_have_fit(&one.measured)?;
                witnessed.push((trial, one));
            }
            rungs.push(conclude(&experiment, request, clock, rung, witnessed)?);
        }
        let lasted = target.now().since(begun);
        Ok(Run { scenario: request.scenario, seed: request.seed, clock, knobs: request.knobs.clone(), rungs, lasted })
    })
}

/// One run of a rung in a simulated world, with everything that the world has left and said: what a bundle is made of.
#[derive(Clone, Debug)]
pub struct Kept {
    pub rung: RungRun,
    pub began: Timestamp,
    pub ended: Timestamp,
    /// By the names of the audit collections, a fact a line.
    pub exports: BTreeMap<String, Bytes>,
    /// Every event, decoded, one a line.
    pub events: Vec<u8>,
    pub recording: Recording,
}

/// Runs the first rung that is asked for, without twins, and keeps it.
pub fn keep<E: Experiment>(simulation: &Simulation, request: &Request) -> Result<Kept, LabError> {
    let clock = ClockKind::Simulated;
    let experiment = E::of(request)?;
    let rung = *request.rungs.first().ok_or(SimulationError::Lost)?;
    let trial = experiment.trials(rung, clock).into_iter().next().ok_or(SimulationError::Lost)?;
    let settings = experiment.settings(&trial)?;
    let (played, recording) = simulation.record(request.seed, &settings, async |target| -> Result<_, LabError> {
        let (witnessed, exports) = play::play(target, &experiment, request, &trial, SKU).await?;
        Ok((witnessed, exports, bundle::events(target).await?))
    })?;
    let (witnessed, exports, events) = played?;
    let (began, ended) = (witnessed.began, witnessed.ended);
    let rung = conclude(&experiment, request, clock, rung, vec![(trial, witnessed)])?;
    Ok(Kept { rung, began, ended, exports, events, recording })
}

/// The verdict on one rung, with its record. The first of what was witnessed is the run, the others are its twins.
pub(crate) fn conclude<E: Experiment>(
    experiment: &E,
    request: &Request,
    clock: ClockKind,
    rung: &'static Rung,
    witnessed: Vec<(Trial<E::Cell>, Witnessed<E::Measured>)>,
) -> Result<RungRun, LabError> {
    let mut witnessed = witnessed.into_iter();
    let (trial, run) = witnessed.next().ok_or(SimulationError::Lost)?;
    let (mut twins, mut dirty) = (Vec::new(), Vec::new());
    for (trial, twin) in witnessed {
        let conditions = experiment.conditions(&trial);
        let broken: BTreeSet<&str> = twin.findings.breaches.iter().map(|breach| breach.invariant.as_str()).collect();
        if !broken.is_empty() {
            dirty.push(format!("{conditions} breaks {}", broken.into_iter().collect::<Vec<_>>().join(" ")));
        }
        let damaged = twin.measured.primary();
        if damaged != 0 {
            dirty.push(format!("{conditions} with {damaged} {}", E::DAMAGE));
        }
        dirty.extend(twin.failures);
        twins.push(TwinRun { conditions, figures: twin.measured.figures(), breaches: twin.findings.breaches, digest: twin.digest });
    }
    let (figures, predicted) = (run.measured.figures(), experiment.predict(&trial, &run.measured));
    let mut differences = differences(experiment, clock, &figures, &predicted);
    differences.extend(run.failures.clone());
    let evidence = Evidence {
        declared: rung.breaks,
        broken: run.findings.broken(),
        unchecked: run.findings.unchecked.iter().map(|(invariant, missing)| format!("{invariant} needs {}", missing.join(", "))).collect(),
        precondition: request.scenario.precondition,
        precondition_met: run.measured.preconditions().iter().all(|condition| condition.is_met),
        differences,
        primary: run.measured.primary(),
        displaced: run.measured.displaced(),
        twins: dirty,
    };
    let (verdict, reasons) = verdict::judge(&evidence);
    let record = tell::record(experiment, &Told { request, clock, rung, verdict, run: &run, twins: &twins });
    Ok(RungRun {
        rung,
        verdict,
        reasons,
        figures,
        predicted,
        twins: has_twins(rung, request.twins).then_some(twins),
        damage: run.measured.damaged(),
        digest: run.digest,
        breaches: run.findings.breaches,
        record,
    })
}

/// Where a run is not what the model says.
pub(crate) fn differences<E: Experiment>(experiment: &E, clock: ClockKind, figures: &[Figure], predicted: &[Figure]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (figure, (_, modelled)) in figures.iter().zip(predicted) {
        let (name, measured) = *figure;
        let Some(allowed) = experiment.tolerance(clock, *figure, predicted) else { continue };
        if (measured - modelled).abs() > allowed {
            let or = if allowed > 0 { format!(", give or take {allowed}") } else { String::new() };
            wrong.push(format!("{name} is {measured} and the model says {modelled}{or}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{oversell::Oversell, scenario::find, silence::Silence};

    #[test]
    fn a_world_that_several_rungs_ask_for_is_played_once() {
        fn asked_and_played<E: Experiment>(request: &Request) -> (usize, usize) {
            let experiment = E::of(request).unwrap();
            let asked = request.rungs.iter().map(|rung| trials(&experiment, request, rung, ClockKind::Simulated).len()).sum();
            (asked, worlds(&experiment, request).len())
        }
        let request = |name| Request::new(find(name).unwrap(), 1);
        assert_eq!(asked_and_played::<Silence>(&request("psp-timeout")), (14, 8), "each rung with and without");
        assert_eq!(asked_and_played::<Oversell>(&request("oversell")), (20, 20), "no twin of a rung is another rung's");
    }
}
