//! The incident record of a run: what every scenario's has, put together with what its scenario alone can tell.

use serde_json::json;

use super::{Experiment, Measured, play::Witnessed};
use crate::{
    invariants::Invariant,
    record::{Edge, FORMAT, Moment, Record, Remedy, RootCause, Twin},
    scenario::{Request, Rung, TwinRun, figures_json, violations_json},
    target::ClockKind,
    verdict::Verdict,
};

pub use crate::record::Intervention;

/// What a record is made of.
#[derive(Debug)]
pub struct Told<'a, E: Experiment> {
    pub request: &'a Request,
    pub clock: ClockKind,
    pub rung: &'static Rung,
    pub verdict: Verdict,
    pub run: &'a Witnessed<E::Measured>,
    pub twins: &'a [TwinRun],
}

/// What a scenario tells of its incident.
#[derive(Clone, Debug)]
pub struct Story {
    pub interventions: Vec<Intervention>,
    pub root_causes: Vec<RootCause>,
    pub timeline: Vec<Moment>,
    pub propagation: Vec<Edge>,
    pub remedies: Vec<Remedy>,
}

pub(super) fn record<E: Experiment>(experiment: &E, told: &Told<'_, E>) -> Record {
    let Told { request, clock, rung, verdict, run, twins } = told;
    let Story { interventions, root_causes, timeline, propagation, remedies } = experiment.tell(told);
    Record {
        format: FORMAT,
        id: format!("{}-{}-{}", request.scenario.name, rung.name, request.seed),
        scenario: request.scenario.name,
        rung: rung.name,
        seed: request.seed,
        build: format!("crashcart {}", env!("CARGO_PKG_VERSION")),
        clock: clock.as_str(),
        knobs: request.knobs.json(),
        verdict: verdict.to_string(),
        preconditions: run.measured.preconditions(),
        interventions,
        root_causes,
        timeline,
        propagation,
        violations: violations_json(&run.findings.breaches),
        impact: json!({
            "figures": figures_json(&run.measured.figures()),
            "currency": "USD",
            "damagedOrders": run.measured.damaged().iter().map(|row| row.order_id.as_str()).collect::<Vec<_>>(),
        }),
        remedies,
        twins: twins
            .iter()
            .map(|twin| Twin {
                conditions: twin.conditions.clone(),
                violations: violations_json(&twin.breaches),
                figures: figures_json(&twin.figures),
            })
            .collect(),
        digests: json!({"run": run.digest, "twins": twins.iter().map(|twin| twin.digest.clone()).collect::<Vec<_>>()}),
    }
}

/// A remedy after which every invariant holds, and this beside.
#[must_use]
pub fn remedy(rung: &'static str, what: &'static str, holds_too: &[&str]) -> Remedy {
    let must_hold = Invariant::ALL.iter().map(ToString::to_string).chain(holds_too.iter().map(|text| (*text).to_owned())).collect();
    Remedy { rung, what, must_hold }
}

/// A condition that was counted, and is met when there is one.
#[must_use]
pub fn counted(name: &'static str, value: usize) -> crate::record::Precondition {
    crate::record::Precondition { name, value: i64::try_from(value).unwrap_or(i64::MAX), is_met: value > 0 }
}
