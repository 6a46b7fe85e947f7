//! What a scenario declares, and what a run of it gives. A scenario is one module: knobs, phases, a ladder of rungs with what each must break,
//! the conditions whose coming together is the cause, and the two ways to run it. The list of them stands here.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Map, Value as Json, json};

use crate::{
    clock_skew, dual_write, duplicates,
    experiment::Kept,
    facts::FactsError,
    hot_sku,
    invariants::{Breach, Invariant},
    knob::{Knob, KnobError, Knobs},
    oversell, poison,
    record::{Damage, Record},
    silence, stale_price,
    target::{ClockKind, Simulation, SimulationError, Target, TargetError},
    verdict::Verdict,
};

/// Every scenario that there is.
pub const SCENARIOS: &[&Scenario] = &[
    &oversell::SCENARIO,
    &silence::PSP_TIMEOUT,
    &silence::LATE_CAPTURE,
    &silence::DOUBLE_CHARGE,
    &stale_price::SCENARIO,
    &dual_write::SCENARIO,
    &hot_sku::SCENARIO,
    &duplicates::SCENARIO,
    &clock_skew::SCENARIO,
    &poison::SCENARIO,
];

/// The scenario of this name.
pub fn find(name: &str) -> Result<&'static Scenario, LabError> {
    let known = || SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    SCENARIOS.iter().copied().find(|scenario| scenario.name == name).ok_or_else(|| LabError::Unknown(name.to_owned(), known()))
}

/// A rung of a ladder: a behaviour that the services have by their settings.
#[derive(Debug)]
pub struct Rung {
    /// `R0`, `R1b`.
    pub name: &'static str,
    /// A few words for a table.
    pub title: &'static str,
    /// What the services do on it, and what it costs, for people.
    pub description: &'static str,
    /// The invariants that must break on it, no more and no fewer.
    pub breaks: &'static [Invariant],
}

/// A figure's column in a report.
#[derive(Debug)]
pub struct Column {
    pub figure: &'static str,
    /// One or two lines.
    pub heading: &'static [&'static str],
    pub is_money: bool,
}

#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub summary: &'static str,
    pub knobs: &'static [Knob],
    pub phases: &'static [(&'static str, &'static str)],
    /// From the vulnerable rung to the remedied one.
    pub ladder: &'static [Rung],
    /// What must be seen in a run, or it shows nothing.
    pub precondition: &'static str,
    pub columns: &'static [Column],
    /// What a damaged row is, one and several.
    pub damage: [&'static str; 2],
    /// The knobs in a few words, for the head of a report.
    pub describe: fn(&Knobs) -> String,
    pub simulate: fn(&Simulation, &Request) -> Result<Run, LabError>,
    pub keep: fn(&Simulation, &Request) -> Result<Kept, LabError>,
    pub against: for<'a> fn(&'a dyn Target, &'a Request) -> BoxFuture<'a, Result<Run, LabError>>,
}

/// On which rungs the twins are run too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twins {
    EveryRung,
    /// Only where something must break: enough to prove the cause, in less time.
    Vulnerable,
}

/// One run, as it is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub scenario: &'static Scenario,
    pub seed: u64,
    pub rungs: Vec<&'static Rung>,
    pub knobs: Knobs,
    pub twins: Twins,
    /// How many simulated worlds at once.
    pub threads: usize,
}

impl Request {
    /// Every rung, with the default knobs and the twins on every rung.
    #[must_use]
    pub fn new(scenario: &'static Scenario, seed: u64) -> Self {
        let rungs = scenario.ladder.iter().collect();
        Self { scenario, seed, rungs, knobs: Knobs::of(scenario.knobs), twins: Twins::EveryRung, threads: 2 }
    }

    /// Only these rungs; every one for an empty list or `all`.
    pub fn on_rungs<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, LabError> {
        let mut rungs = Vec::new();
        for name in names {
            if name == "all" {
                return Ok(self);
            }
            let found = self.scenario.ladder.iter().find(|rung| rung.name.eq_ignore_ascii_case(name));
            rungs.push(found.ok_or_else(|| LabError::UnknownRung {
                scenario: self.scenario.name,
                rung: name.to_owned(),
                known: self.scenario.ladder.iter().map(|rung| rung.name).collect::<Vec<_>>().join(", "),
            })?);
        }
        if !rungs.is_empty() {
            self.rungs = rungs;
        }
        Ok(self)
    }

    /// With each `knob=value` applied.
    pub fn with_knobs<'a>(mut self, given: impl IntoIterator<Item = &'a str>) -> Result<Self, LabError> {
        given.into_iter().try_for_each(|text| self.knobs.set(text))?;
        Ok(self)
    }

    #[must_use]
    pub fn with_twins(self, twins: Twins) -> Self {
        Self { twins, ..self }
    }

    /// Runs the first of its rungs in a fresh simulated world, and keeps what that leaves and says.
    pub fn keep(&self, simulation: &Simulation) -> Result<Kept, LabError> {
        (self.scenario.keep)(simulation, self)
    }

    /// Runs it in fresh simulated worlds.
    pub fn simulate(&self, simulation: &Simulation) -> Result<Run, LabError> {
        (self.scenario.simulate)(simulation, self)
    }

    /// Runs it against a running system.
    pub async fn against(&self, target: &dyn Target) -> Result<Run, LabError> {
        (self.scenario.against)(target, self).await
    }
}

/// Why a run gives no verdict at all.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("there is no scenario `{0}`; there are {1}")]
    Unknown(String, String),
    #[error("`{rung}` is no rung of {scenario}; there are {known}")]
    UnknownRung { scenario: &'static str, rung: String, known: String },
    #[error(transparent)]
    Knob(#[from] KnobError),
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The running system does not stand as the scenario needs it.
    #[error("{0}")]
    Unfit(String),
    #[error("{path} cannot be written: {source}")]
    Write { path: std::path::PathBuf, source: std::io::Error },
    #[error("{0} is there already; name another folder with --out, or remove it")]
    Taken(std::path::PathBuf),
}

/// A named figure of a run.
pub type Figure = (&'static str, i64);

/// What a run has shown.
#[derive(Clone, Debug)]
pub struct Run {
    pub scenario: &'static Scenario,
    pub seed: u64,
    pub clock: ClockKind,
    pub knobs: Knobs,
    pub rungs: Vec<RungRun>,
    /// How long the run was in the system's own time.
    pub lasted: Duration,
}

/// What one rung has shown.
#[derive(Clone, Debug)]
pub struct RungRun {
    pub rung: &'static Rung,
    pub verdict: Verdict,
    /// What differs from what was declared; empty unless the verdict is `NOT_AS_DECLARED`.
    pub reasons: Vec<String>,
    /// SHA-256 of everything that it left behind.
    pub digest: String,
    pub figures: Vec<Figure>,
    pub predicted: Vec<Figure>,
    pub breaches: Vec<Breach>,
    /// None when no twin was run on this rung.
    pub twins: Option<Vec<TwinRun>>,
    pub damage: Vec<Damage>,
    pub record: Record,
}

/// A twin: the same seed with one of the conditions, or both, taken away.
#[derive(Clone, Debug)]
pub struct TwinRun {
    /// What it has: `ttl_seconds = 900, slow payments`.
    pub conditions: String,
    pub figures: Vec<Figure>,
    pub breaches: Vec<Breach>,
    pub digest: String,
}

impl TwinRun {
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.breaches.is_empty()
    }
}

impl RungRun {
    /// A figure by its name; zero for one that the scenario does not have.
    #[must_use]
    pub fn figure(&self, name: &str) -> i64 {
        self.figures.iter().find(|(figure, _)| *figure == name).map_or(0, |(_, value)| *value)
    }

    /// The invariants that broke, in the order of their numbers.
    #[must_use]
    pub fn broken(&self) -> Vec<Invariant> {
        let mut broken: Vec<_> = self.breaches.iter().map(|breach| breach.invariant).collect();
        broken.sort_unstable();
        broken.dedup();
        broken
    }
}

impl Run {
    /// Whether each rung did what its scenario declares.
    #[must_use]
    pub fn is_as_declared(&self) -> bool {
        self.rungs.iter().all(|rung| rung.verdict != Verdict::NotAsDeclared)
    }

    /// The rung whose record tells the incident: the first that reproduced it, or else the first.
    #[must_use]
    pub fn telling(&self) -> Option<&RungRun> {
        self.rungs.iter().find(|rung| rung.verdict == Verdict::Reproduced).or_else(|| self.rungs.first())
    }

    /// As the command line prints it with `--json`. `record` is where the incident's record was written.
    #[must_use]
    pub fn json(&self, record: Option<&std::path::Path>, wall: Duration) -> Json {
        json!({
            "scenario": self.scenario.name,
            "seed": self.seed,
            "clock": self.clock.as_str(),
            "knobs": self.knobs.json(),
            "rungs": self.rungs.iter().map(rung_json).collect::<Vec<_>>(),
            "record": record.map(|path| path.display().to_string()),
            "wallMs": u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn rung_json(rung: &RungRun) -> Json {
    let twins = rung.twins.as_deref().unwrap_or_default();
    let cells: Vec<Json> = twins
        .iter()
        .map(|twin| {
            json!({
                "conditions": twin.conditions,
                "figures": figures_json(&twin.figures),
                "violations": violations_json(&twin.breaches),
                "digest": twin.digest,
            })
        })
        .collect();
    let of_twins: Vec<Breach> = twins.iter().flat_map(|twin| twin.breaches.clone()).collect();
    json!({
        "rung": rung.rung.name,
        "verdict": rung.verdict,
        "reasons": rung.reasons,
        "digest": rung.digest,
        "figures": figures_json(&rung.figures),
        "predicted": figures_json(&rung.predicted),
        "violations": violations_json(&rung.breaches),
        "twin": if rung.twins.is_some() { json!({"violations": violations_json(&of_twins), "cells": cells}) } else { Json::Null },
    })
}

pub(crate) fn figures_json(figures: &[Figure]) -> Json {
    Json::Object(figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>())
}

/// `[{invariant, count, ids}]`, in the order of the invariants' numbers.
pub(crate) fn violations_json(breaches: &[Breach]) -> Json {
    let of = |invariant: Invariant| {
        let ids: Vec<&str> = breaches.iter().filter(|breach| breach.invariant == invariant).map(|breach| breach.id.as_str()).collect();
        (!ids.is_empty()).then(|| json!({"invariant": invariant, "count": ids.len(), "ids": ids}))
    };
    Json::Array(Invariant::ALL.into_iter().filter_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_and_knobs_are_taken_by_name_and_mistakes_say_what_there_is() {
        let request = || Request::new(find("oversell").unwrap(), 42);
        let names = |request: Request| request.rungs.iter().map(|rung| rung.name).collect::<Vec<_>>();
        assert_eq!(names(request()), ["R0", "R1", "R1b", "R2", "R3"]);
        assert_eq!(names(request().on_rungs(["r3", "R0"]).unwrap()), ["R3", "R0"]);
        assert_eq!(names(request().on_rungs(["all"]).unwrap()).len(), 5);
        assert_eq!(request().on_rungs(["R9"]).unwrap_err().to_string(), "`R9` is no rung of oversell; there are R0, R1, R1b, R2, R3");
        assert_eq!(
            find("oversel").unwrap_err().to_string(),
            "there is no scenario `oversel`; there are oversell, psp-timeout, late-capture, double-charge, stale-price, dual-write, hot-sku, \
             duplicates-and-reorder, clock-skew, poison"
        );
        assert!(request().with_knobs(["stock=0"]).is_err());
        assert_eq!(request().with_knobs(["stock=5"]).unwrap().knobs.whole("stock"), 5);
    }

    #[test]
    fn every_scenario_can_be_listed() {
        for scenario in SCENARIOS {
            assert!(!scenario.summary.is_empty() && scenario.ladder.len() > 1, "{}", scenario.name);
            assert!(!scenario.ladder.first().unwrap().breaks.is_empty(), "the lowest rung breaks something");
            assert!(scenario.ladder.last().unwrap().breaks.is_empty(), "the highest breaks nothing");
        }
    }
}
