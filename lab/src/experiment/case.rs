//! For the tests of scenarios: a run that is as the model says, concluded as a real one would be, and the same with something changed.

use std::time::Duration;

use types::Timestamp;

use super::{Experiment, Trial, Witnessed, conclude};
use crate::{
    invariants::{Breach, Findings, Invariant},
    scenario::{Request, Rung, RungRun, Scenario},
    target::ClockKind,
    verdict::Verdict,
};

/// What the tests of a scenario say of it.
pub trait Modelled: Experiment {
    const SCENARIO: &'static Scenario;

    /// What the model says of a trial, as if a run had shown it.
    fn modelled(&self, trial: &Trial<Self::Cell>) -> Self::Measured;
}

/// A scenario, drawn from a seed.
pub struct Case<E> {
    pub request: Request,
    pub experiment: E,
}

/// A trial, and what is said to have been seen of it.
pub type Seen<E> = (Trial<<E as Experiment>::Cell>, Witnessed<<E as Experiment>::Measured>);

impl<E: Modelled> Case<E> {
    pub fn of(seed: u64) -> Self {
        let request = Request::new(E::SCENARIO, seed);
        let experiment = E::of(&request).unwrap();
        Self { request, experiment }
    }

    pub fn modelled(&self, trial: &Trial<E::Cell>) -> E::Measured {
        self.experiment.modelled(trial)
    }

    /// A run that breaks what its rung declares, with its twins that break nothing; `change` makes it differ.
    pub fn conclude(&self, rung: &'static Rung, change: impl FnOnce(&mut [Seen<E>])) -> RungRun {
        let trials = self.experiment.trials(rung, ClockKind::Simulated).into_iter().enumerate();
        let mut all: Vec<Seen<E>> = trials
            .map(|(index, trial)| {
                let witnessed = witnessed(self.modelled(&trial), if index == 0 { rung.breaks } else { &[] });
                (trial, witnessed)
            })
            .collect();
        change(&mut all);
        conclude(&self.experiment, &self.request, ClockKind::Simulated, rung, all).unwrap()
    }

    /// The verdict on each rung of a run that is as the model says; nothing differs from what was declared.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |rung| {
            let concluded = self.conclude(rung, |_| ());
            assert_eq!(concluded.reasons, Vec::<String>::new(), "{}", rung.name);
            concluded.verdict
        };
        E::SCENARIO.ladder.iter().map(verdict).collect()
    }
}

fn witnessed<M>(measured: M, broken: &[Invariant]) -> Witnessed<M> {
    let began = Timestamp::from_seconds(1_767_571_200);
    let breach = |invariant: &Invariant| Breach { invariant: *invariant, id: "row".into(), detail: "planted".into() };
    Witnessed {
        began,
        ended: began.plus(Duration::from_secs(900)),
        measured,
        findings: Findings { breaches: broken.iter().map(breach).collect(), unchecked: vec![] },
        digest: "d".repeat(64),
        failures: vec![],
    }
}
