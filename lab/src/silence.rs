//! A provider that is silent (ledger ): it has done what it was asked for, and the answer is lost or late. Three incidents come of
//! it, on ladders that differ only at the bottom: `psp-timeout` (a timeout counts as a failure, and the money that was taken is an orphan),
//! `late-capture` (the same, where the provider succeeds after the shop has given up) and `double-charge` (a retry under a new key is
//! another request, and the buyer pays twice).
//!
//! Reading order: [`demand`] (who comes, with which card), [`model`] (what must come out), this file (what is declared, and the runs put
//! together), [`play`] (one run over a target), [`measure`] (its figures), [`tell`] (the incident record).

pub mod demand;
pub mod measure;
pub mod model;
mod play;
mod tell;

use std::{collections::BTreeSet, time::Duration};

use futures::future::BoxFuture;

use self::{
    demand::{Buyer, Kind, Plan},
    measure::Figures,
    play::{Stage, Witnessed},
};
use crate::{
    invariants::Invariant,
    knob::{Knob, Knobs},
    scenario::{Column, Figure, LabError, Request, Run, Rung, RungRun, Scenario, TwinRun, Twins},
    target::{ClockKind, Simulation, SimulationError, Target, simulation},
    verdict::{self, Evidence},
};

/// The books lack an entry, the three disagree, and a cancelled order has money with the provider.
const ORPHANS: &[Invariant] = &[Invariant::I4, Invariant::I5, Invariant::I9];
/// The books lack an entry, the three disagree, and more is taken than was agreed to.
const CHARGED_TWICE: &[Invariant] = &[Invariant::I4, Invariant::I5, Invariant::I6];

const FAILED_AT_ONCE: &str = "What the provider does not answer in time counts as a failure: the payment fails, the stock is released, the order \
                              is cancelled. What the provider tells later is not listened to. Price: money is taken for orders that do not exist.";
const ONE_KEY: &str = "The authorization is asked for three times under one key, so that a lost answer is had by the next try; then it is a \
                       failure. Price: whatever takes longer than three tries is lost as before.";
const ASKED: &str = "Without an answer the payment is UNKNOWN; the provider is asked by reference, and voids before the stock is released. Price: \
                     buyers wait, and while the provider cannot void, their orders are stuck.";
const FENCED: &str = "As R2; a payment that cannot be voided yet is closed, and what comes late is booked and refunded. Price: a buyer may see a \
                      charge that is given back.";

pub const PSP_TIMEOUT: Scenario = Scenario {
    name: "psp-timeout",
    summary: "The provider has taken the money and its answer is lost; the shop calls it a failure.",
    knobs: KNOBS,
    phases: PHASES,
    ladder: &[
        Rung { name: "R0", title: "a timeout is a failure", description: FAILED_AT_ONCE, breaks: ORPHANS },
        Rung { name: "R1", title: "one key for every retry", description: ONE_KEY, breaks: &[] },
        R2,
        R3,
    ],
    precondition: PRECONDITION,
    columns: COLUMNS,
    damage: DAMAGE_OF_ORPHANS,
    describe,
    simulate,
    against,
};

pub const LATE_CAPTURE: Scenario = Scenario {
    name: "late-capture",
    summary: "The provider succeeds after the shop has given the order up.",
    knobs: KNOBS_OF_LATE,
    phases: PHASES,
    ladder: &[
        Rung { name: "R0", title: "a timeout is a failure", description: FAILED_AT_ONCE, breaks: ORPHANS },
        Rung { name: "R1", title: "one key for every retry", description: ONE_KEY, breaks: ORPHANS },
        R2,
        R3,
    ],
    precondition: PRECONDITION,
    columns: COLUMNS,
    damage: DAMAGE_OF_ORPHANS,
    describe,
    simulate,
    against,
};

pub const DOUBLE_CHARGE: Scenario = Scenario {
    name: "double-charge",
    summary: "The answer is lost, and the retry is another request: the buyer pays twice.",
    knobs: KNOBS,
    phases: PHASES,
    ladder: &[
        Rung {
            name: "R0",
            title: "a retry has a new key",
            description: "An authorization that is not answered in time is asked for again under a new key; for the provider that is another \
                          request. Price: the money is taken twice.",
            breaks: CHARGED_TWICE,
        },
        Rung { name: "R1", title: "one key for every retry", description: ONE_KEY, breaks: &[] },
        R2,
        R3,
    ],
    precondition: PRECONDITION,
    columns: COLUMNS,
    damage: ["order that was charged twice", "orders that were charged twice"],
    describe,
    simulate,
    against,
};

const R2: Rung = Rung { name: "R2", title: "unknown, and asked", description: ASKED, breaks: &[] };
const R3: Rung = Rung { name: "R3", title: "late ones are refunded", description: FENCED, breaks: &[] };

const DAMAGE_OF_ORPHANS: [&str; 2] = ["order that was cancelled and charged", "orders that were cancelled and charged"];

const PRECONDITION: &str = "the provider has taken the money of a payment that had no answer in time";

const PHASES: &[(&str, &str)] = &[
    ("baseline", "A new SKU gets a price, and stock for everybody."),
    ("inject", "The services take the rung; some cards are those of a provider that does not answer in time."),
    ("observe", "Every buyer puts one unit into a cart and checks out at his moment. The money is taken with the authorization."),
    ("settle", "The provider has decided about every payment, and every order has ended."),
    ("verify", "Invariants and figures, from the audit exports and the provider's truth."),
    ("revert", "The services go back to the remedied rung. Last, because the rung is a part of what is measured."),
];

const COLUMNS: &[Column] = &[
    Column { figure: "sold", heading: &["sold"], is_money: false },
    Column { figure: "orphan_captures", heading: &["orphan", "captures"], is_money: false },
    Column { figure: "double_captures", heading: &["double", "captures"], is_money: false },
    Column { figure: "money_at_risk_minor", heading: &["at risk"], is_money: true },
    Column { figure: "orders_stuck", heading: &["stuck"], is_money: false },
];

const KNOBS: &[Knob] = &demand::knobs(0.1);

const KNOBS_OF_LATE: &[Knob] = &demand::knobs_of_late(0.15);

fn describe(knobs: &Knobs) -> String {
    format!(
        "{} buyers in {} s, {} % of them with a card whose provider does not answer within {} s",
        knobs.whole("buyers"),
        knobs.real("window_seconds"),
        knobs.real("silent_share") * 100.0,
        knobs.whole("patience_seconds")
    )
}

fn named(figures: &Figures) -> Vec<Figure> {
    vec![
        ("orders", figures.orders),
        ("sold", figures.sold),
        ("cancelled", figures.cancelled),
        ("orphan_captures", figures.orphan_captures),
        ("double_captures", figures.double_captures),
        ("money_at_risk_minor", figures.money_at_risk_minor),
        ("orders_stuck", figures.orders_stuck),
        ("refunded_late", figures.refunded_late),
        ("waited_seconds", figures.waited_seconds),
    ]
}

/// Whether the provider is silent, and the rung that the services stand on. The run has the one and its own rung; its twins have the one
/// or the other taken away, or both.
#[derive(Clone, Copy, Debug)]
struct Cell {
    silent: bool,
    rung: &'static Rung,
}

impl Cell {
    const fn run(rung: &'static Rung) -> Self {
        Self { silent: true, rung }
    }

    /// The same rung without silence; and, for those below it, the remedied rung with and without.
    fn twins(scenario: &'static Scenario, rung: &'static Rung) -> Vec<Self> {
        let mut twins = vec![Self { silent: false, rung }];
        if let Some(remedied) = scenario.ladder.last().filter(|last| last.name != rung.name) {
            twins.extend([true, false].map(|silent| Self { silent, rung: remedied }));
        }
        twins
    }

    fn conditions(self) -> String {
        format!("{}, {}", if self.silent { "a silent provider" } else { "every answer comes" }, self.rung.name)
    }
}

const fn has_twins(rung: &Rung, twins: Twins) -> bool {
    matches!(twins, Twins::EveryRung) || !rung.breaks.is_empty()
}

/// What is run for one rung: the run, then its twins.
fn cells(request: &Request, rung: &'static Rung) -> Vec<Cell> {
    let mut cells = vec![Cell::run(rung)];
    if has_twins(rung, request.twins) {
        cells.extend(Cell::twins(request.scenario, rung));
    }
    cells
}

fn simulate(simulation: &Simulation, request: &Request) -> Result<Run, LabError> {
    let plan = Plan::of(Kind::of(request.scenario.name), &request.knobs)?;
    let buyers = demand::draw(&plan, request.seed)?;
    let jobs: Vec<Cell> = request.rungs.iter().flat_map(|rung| cells(request, rung)).collect();
    let overrides: [simulation::Override; 4] = [
        ("order.capture", "authorize".into()),
        ("order.payment_deadline_seconds", (plan.deadline / 1_000_000).into()),
        ("payment.psp_timeout_ms", (plan.patience / 1_000).into()),
        ("payment.first_inquiry_seconds", (plan.inquiry / 1_000_000).into()),
    ];
    let played = simulation::on_threads(request.threads, &jobs, |cell| -> Result<Witnessed, LabError> {
        let stage = Stage::of(request.scenario, &plan, &buyers, cell.silent, cell.rung.name, "LAB-SILENCE".into());
        simulation.run(request.seed, &overrides, async |target| play::play(target, &stage).await)?
    });
    let mut played = jobs.into_iter().zip(played.into_iter().map(|one| one.unwrap_or(Err(SimulationError::Lost.into()))));
    let mut rungs = Vec::new();
    let mut lasted = Duration::ZERO;
    for rung in &request.rungs {
        let mut witnessed = Vec::new();
        for (cell, one) in played.by_ref().take(cells(request, rung).len()) {
            witnessed.push((cell, one?));
        }
        let concluded = conclude(request, &plan, &buyers, ClockKind::Simulated, rung, witnessed)?;
        lasted = lasted.max(concluded.1);
        rungs.push(concluded.0);
    }
    Ok(Run { scenario: request.scenario, seed: request.seed, clock: ClockKind::Simulated, knobs: request.knobs.clone(), rungs, lasted })
}

fn against<'a>(target: &'a dyn Target, request: &'a Request) -> BoxFuture<'a, Result<Run, LabError>> {
    Box::pin(async move {
        let plan = Plan::of(Kind::of(request.scenario.name), &request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        let begun = target.now();
        let mut rungs = Vec::new();
        for rung in &request.rungs {
            let mut witnessed = Vec::new();
            for cell in cells(request, rung) {
                let sku = format!("LAB-{}-{}-{}", request.seed, rung.name, target.now().millis());
                let stage = Stage::of(request.scenario, &plan, &buyers, cell.silent, cell.rung.name, sku);
                let played = play::play(target, &stage).await;
                // Whatever became of the run, the system goes back to the remedied rung.
                let reverted = target.set_rung(request.scenario.name, R3.name).await;
                let one = played?;
                reverted?;
                play::must_take_with_authorization(&one)?;
                witnessed.push((cell, one));
            }
            rungs.push(conclude(request, &plan, &buyers, ClockKind::Wall, rung, witnessed)?.0);
        }
        let lasted = target.now().since(begun);
        Ok(Run { scenario: request.scenario, seed: request.seed, clock: ClockKind::Wall, knobs: request.knobs.clone(), rungs, lasted })
    })
}

/// The verdict on one rung, with its record, and how long the run was in the system's own time. The first of what was witnessed is the run.
fn conclude(
    request: &Request,
    plan: &Plan,
    buyers: &[Buyer],
    clock: ClockKind,
    rung: &'static Rung,
    witnessed: Vec<(Cell, Witnessed)>,
) -> Result<(RungRun, Duration), LabError> {
    let mut witnessed = witnessed.into_iter();
    let (_, run) = witnessed.next().ok_or(SimulationError::Lost)?;
    let predicted = model::predict(plan, buyers, rung.name, true, run.measured.order_total);
    let (mut twin_runs, mut dirty) = (Vec::new(), Vec::new());
    for (cell, twin) in witnessed {
        let conditions = cell.conditions();
        let broken: BTreeSet<&str> = twin.findings.breaches.iter().map(|breach| breach.invariant.as_str()).collect();
        if !broken.is_empty() {
            dirty.push(format!("{conditions} breaks {}", broken.into_iter().collect::<Vec<_>>().join(" ")));
        }
        let damaged = twin.measured.figures.primary();
        if damaged != 0 {
            dirty.push(format!("{conditions} with {damaged} captures too many"));
        }
        dirty.extend(twin.failures);
        let figures = named(&twin.measured.figures);
        twin_runs.push(TwinRun { conditions, figures, breaches: twin.findings.breaches, digest: twin.digest });
    }
    let figures = run.measured.figures;
    let mut differences = differences(clock, &figures, &predicted);
    differences.extend(run.failures.clone());
    let evidence = Evidence {
        declared: rung.breaks,
        broken: run.findings.broken(),
        unchecked: run.findings.unchecked.iter().map(|(invariant, missing)| format!("{invariant} needs {}", missing.join(", "))).collect(),
        precondition: request.scenario.precondition,
        precondition_met: run.measured.precondition.is_met(),
        differences,
        primary: figures.primary(),
        displaced: figures.orders_stuck,
        twins: dirty,
    };
    let (verdict, reasons) = verdict::judge(&evidence);
    let record = tell::record(&tell::Told { request, plan, clock, rung, verdict, run: &run, twins: &twin_runs });
    let lasted = run.ended.since(run.began);
    let concluded = RungRun {
        rung,
        verdict,
        reasons,
        digest: run.digest,
        figures: named(&figures),
        predicted: named(&predicted),
        breaches: run.findings.breaches,
        twins: has_twins(rung, request.twins).then_some(twin_runs),
        damage: run.measured.damaged,
        record,
    };
    Ok((concluded, lasted))
}

/// How much longer than the model says an order may take: hops, and the way of an event to the saga that waits for it.
const SLACK_MILLIS: i64 = 100;

/// Where a run is not what the model says. Counts and money must be the same, by any clock: no two buyers want the same unit, so nothing
/// hangs on who is a moment earlier. For how long they waited may differ by a little for each order; by the wall's clock it is not compared.
fn differences(clock: ClockKind, figures: &Figures, predicted: &Figures) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((name, measured), (_, modelled)) in named(figures).into_iter().zip(named(predicted)) {
        let allowed = match (clock, name) {
            (ClockKind::Wall, "waited_seconds") => continue,
            (ClockKind::Simulated, "waited_seconds") => 1 + figures.orders * SLACK_MILLIS / 1_000,
            _ => 0,
        };
        if (measured - modelled).abs() > allowed {
            let or = if allowed > 0 { format!(", give or take {allowed}") } else { String::new() };
            wrong.push(format!("{name} is {measured} and the model says {modelled}{or}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests;
