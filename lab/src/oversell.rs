//! Oversell (ledger X-01): a short time to live and a payment on its way sell the same unit twice. A hold that is nothing but a TTL is gone
//! before the payment is answered; the unit is sold to the next; the late payment claims all the same, because its upsert revives the row.
//!
//! Reading order: [`crate::demand`] (who comes), [`crate::model`] (what must come out), this file (what is declared, and the runs put
//! together), [`play`] (one run over a target), [`tell`] (the incident record).

mod play;
mod tell;

use std::{collections::BTreeSet, time::Duration};

use futures::future::BoxFuture;
use serde_json::Value as Json;

use self::play::{Stage, Witnessed};
use crate::{
    demand::{self, Buyer, Cell, KNOBS, Plan},
    invariants::Invariant,
    knob::{KnobError, Knobs},
    model::{self, Figures},
    scenario::{Column, Figure, LabError, Request, Run, Rung, RungRun, Scenario, TwinRun, Twins},
    target::{ClockKind, Simulation, SimulationError, Target, simulation},
    verdict::{self, Evidence},
};

pub const SCENARIO: Scenario = Scenario {
    name: "oversell",
    summary: "A hold runs out while its payment is on its way, and the same unit is sold twice.",
    knobs: KNOBS,
    phases: &[
        ("baseline", "A new SKU gets a price and its stock."),
        ("inject", "The services take the rung; holds last ttl_seconds."),
        ("observe", "Every buyer puts one unit into a cart and checks out at his moment, with a card that takes its time."),
        ("settle", "Every payment is answered and every order has ended."),
        ("verify", "Invariants and figures, from the audit exports and the provider's truth."),
        ("revert", "The services go back to the remedied rung. Last, because the rung is a part of what is measured."),
    ],
    ladder: LADDER,
    precondition: "somebody asks for a unit whose hold has run out while its payment is on its way",
    columns: &[
        Column { figure: "sold", heading: &["sold"], is_money: false },
        Column { figure: "oversold", heading: &["oversold"], is_money: false },
        Column { figure: "voided_after_payment", heading: &["paid, then", "cancelled"], is_money: false },
        Column { figure: "money_at_risk_minor", heading: &["at risk"], is_money: true },
    ],
    damage: ["order that was sold a unit twice", "orders that were sold a unit twice"],
    describe,
    simulate,
    against,
};

const LADDER: &[Rung] = &[
    Rung {
        name: "R0",
        title: "the hold is a TTL",
        description: "The hold vanishes when its time is over, without a word. Whoever has paid claims by an upsert that revives the row. Price: \
                      units that do not exist are sold.",
        breaks: &[Invariant::I2, Invariant::I3, Invariant::I18],
    },
    Rung {
        name: "R1",
        title: "the claim is fenced",
        description: "A claim needs a live hold and its token. Price: whoever pays late is voided and told that there is nothing.",
        breaks: &[],
    },
    Rung {
        name: "R1b",
        title: "late payers hold again",
        description: "As R1, but a late payer gets a new hold if a unit is free. Price: the same while the stock is sold out.",
        breaks: &[],
    },
    Rung {
        name: "R2",
        title: "extended at payment",
        description: "The hold is extended once, when the payment starts. Price: payments that outlast the extension are voided.",
        breaks: &[],
    },
    Rung {
        name: "R3",
        title: "two-phase, bounded",
        description: "The hold ends only when the provider has answered or the void is confirmed, at the payment's deadline at the latest. Price: \
                      units are locked for as long.",
        breaks: &[],
    },
];

fn describe(knobs: &Knobs) -> String {
    let slow = format!("{} % of the payments take around {} s", knobs.real("slow_share") * 100.0, knobs.real("slow_median_seconds"));
    format!(
        "{} units, {} s of demand, a hold lasts {} s, {slow}",
        knobs.whole("stock"),
        knobs.real("window_seconds"),
        knobs.whole("ttl_seconds")
    )
}

/// The rung of the model that stands for this one.
fn modelled(rung: &Rung) -> model::Rung {
    model::Rung::ALL.into_iter().find(|modelled| modelled.as_str() == rung.name).unwrap_or(model::Rung::R3)
}

fn named(figures: &Figures) -> Vec<Figure> {
    vec![
        ("sold", figures.sold),
        ("supply", figures.supply),
        ("oversold", figures.oversold),
        ("voided_after_payment", figures.voided_after_payment),
        ("unsold", figures.unsold),
        ("false_sold_out", figures.false_sold_out),
        ("locked_unit_seconds", figures.locked_unit_seconds),
        ("money_at_risk_minor", figures.money_at_risk_minor),
    ]
}

/// What a cell of the two by two has.
fn conditions(plan: &Plan, cell: Cell) -> String {
    let payments = if cell.slow_payments { "slow payments" } else { "no slow payments" };
    format!("a hold lasts {} s, {payments}", plan.ttl(cell) / 1_000_000)
}

/// Whole seconds, as the services' settings take them.
fn whole_seconds(name: &str, micros: demand::Micros) -> Result<i64, KnobError> {
    if micros > 0 && micros % 1_000_000 == 0 {
        return Ok(micros / 1_000_000);
    }
    Err(KnobError::Together(format!("{name} divided by time_scale must be whole seconds, as the services' settings are")))
}

fn simulate(simulation: &Simulation, request: &Request) -> Result<Run, LabError> {
    let plan = Plan::of(&request.knobs)?;
    let buyers = demand::draw(&plan, request.seed)?;
    let mut jobs: Vec<(&'static Rung, Cell)> = Vec::new();
    for rung in &request.rungs {
        jobs.push((rung, Cell::RUN));
        if has_twins(rung, request.twins) {
            jobs.extend(Cell::TWINS.map(|cell| (*rung, cell)));
        }
    }
    let (extension, deadline) = (whole_seconds("extension_seconds", plan.extension)?, whole_seconds("deadline_seconds", plan.deadline)?);
    whole_seconds("ttl_seconds", plan.ttl)?;
    whole_seconds("long_ttl_seconds", plan.long_ttl)?;
    let mut played = simulation::on_threads(request.threads, &jobs, |(rung, cell)| -> Result<Witnessed, LabError> {
        let overrides: [simulation::Override; 3] = [
            ("inventory.reservation_ttl_seconds", (plan.ttl(*cell) / 1_000_000).into()),
            ("order.hold_extension_seconds", extension.into()),
            ("order.payment_deadline_seconds", deadline.into()),
        ];
        let stage = Stage { plan: &plan, buyers: &buyers, cell: *cell, rung: rung.name, sku: "LAB-OVERSELL".into() };
        simulation.run(request.seed, &overrides, async |target| play::play(target, &stage).await)?
    })
    .into_iter();
    let mut next = || -> Result<Witnessed, LabError> { played.next().flatten().unwrap_or(Err(SimulationError::Lost.into())) };
    let mut rungs = Vec::new();
    let mut lasted = Duration::ZERO;
    for rung in &request.rungs {
        let run = next()?;
        let mut twins = None;
        if has_twins(rung, request.twins) {
            let of_cell = |cell| next().map(|witnessed| (cell, witnessed));
            twins = Some(Cell::TWINS.into_iter().map(of_cell).collect::<Result<Vec<_>, LabError>>()?);
        }
        lasted = lasted.max(run.ended.since(run.began));
        rungs.push(conclude(request, &plan, &buyers, ClockKind::Simulated, rung, run, twins));
    }
    Ok(Run { scenario: request.scenario, seed: request.seed, clock: ClockKind::Simulated, knobs: request.knobs.clone(), rungs, lasted })
}

const fn has_twins(rung: &Rung, twins: Twins) -> bool {
    matches!(twins, Twins::EveryRung) || !rung.breaks.is_empty()
}

fn against<'a>(target: &'a dyn Target, request: &'a Request) -> BoxFuture<'a, Result<Run, LabError>> {
    Box::pin(async move {
        let plan = Plan::of(&request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        let ttl = whole_seconds("ttl_seconds", plan.ttl)?;
        play::must_hold_for(target, ttl).await?;
        let begun = target.now();
        let mut rungs = Vec::new();
        for rung in &request.rungs {
            let one = async |cell: Cell| {
                let sku = format!("LAB-{}-{}-{}", request.seed, rung.name, target.now().millis());
                let stage = Stage { plan: &plan, buyers: &buyers, cell, rung: rung.name, sku };
                let played = play::play(target, &stage).await;
                // Whatever became of the run, the system goes back to the remedied rung.
                let reverted = target.set_rung(SCENARIO.name, "R3").await;
                let witnessed = played?;
                reverted?;
                Ok::<_, LabError>(witnessed)
            };
            let run = one(Cell::RUN).await?;
            // How long a hold lasts cannot be changed while a system runs: of the twins only the one without slow payments can be had.
            let [without_slow, ..] = Cell::TWINS;
            let twins = if has_twins(rung, request.twins) { Some(vec![(without_slow, one(without_slow).await?)]) } else { None };
            rungs.push(conclude(request, &plan, &buyers, ClockKind::Wall, rung, run, twins));
        }
        let lasted = target.now().since(begun);
        Ok(Run { scenario: request.scenario, seed: request.seed, clock: ClockKind::Wall, knobs: request.knobs.clone(), rungs, lasted })
    })
}

/// The verdict on one rung, with its record.
fn conclude(
    request: &Request,
    plan: &Plan,
    buyers: &[Buyer],
    clock: ClockKind,
    rung: &'static Rung,
    run: Witnessed,
    twins: Option<Vec<(Cell, Witnessed)>>,
) -> RungRun {
    let predicted = model::predict(plan, buyers, modelled(rung), Cell::RUN);
    let figures = run.measured.figures;
    let of_twin = |(cell, twin): (Cell, Witnessed)| {
        let oversold = twin.measured.figures.oversold;
        let wrong = (oversold != 0).then(|| format!("{} with {oversold} oversold", conditions(plan, cell)));
        let made = TwinRun {
            conditions: conditions(plan, cell),
            figures: named(&twin.measured.figures),
            breaches: twin.findings.breaches,
            digest: twin.digest,
        };
        (made, wrong, twin.failures)
    };
    let mut dirty = Vec::new();
    let mut twin_runs = Vec::new();
    for (twin, wrong, failures) in twins.iter().flatten().cloned().map(of_twin) {
        let broken: BTreeSet<&str> = twin.breaches.iter().map(|breach| breach.invariant.as_str()).collect();
        if !broken.is_empty() {
            dirty.push(format!("{} breaks {}", twin.conditions, broken.into_iter().collect::<Vec<_>>().join(" ")));
        }
        dirty.extend(wrong);
        dirty.extend(failures);
        twin_runs.push(twin);
    }
    let mut differences = differences(clock, &figures, &predicted);
    differences.extend(run.failures.clone());
    let evidence = Evidence {
        declared: rung.breaks,
        broken: run.findings.broken(),
        unchecked: run.findings.unchecked.iter().map(|(invariant, missing)| format!("{invariant} needs {}", missing.join(", "))).collect(),
        precondition: SCENARIO.precondition,
        precondition_met: run.measured.precondition.is_met(),
        differences,
        primary: figures.oversold,
        displaced: figures.displaced(),
        twins: dirty,
    };
    let (verdict, reasons) = verdict::judge(&evidence);
    let record = tell::record(&tell::Told { request, plan, clock, rung, verdict, run: &run, twins: &twin_runs });
    RungRun {
        rung,
        verdict,
        reasons,
        digest: run.digest,
        figures: named(&figures),
        predicted: named(&predicted),
        breaches: run.findings.breaches,
        twins: twins.is_some().then_some(twin_runs),
        damage: run.measured.damaged.into_iter().map(Into::into).collect(),
        record,
    }
}

/// Where a run is not what the model says. In a simulated world every figure must be the same. By the wall's clock nothing is so precise: there
/// what is oversold must lie within two fifths of the model's figure (or three units), and where the model says none there must be none.
fn differences(clock: ClockKind, figures: &Figures, predicted: &Figures) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((name, measured), (_, modelled)) in named(figures).into_iter().zip(named(predicted)) {
        let allowed = match (clock, name) {
            (ClockKind::Simulated, _) => 0,
            (ClockKind::Wall, "supply") => 0,
            (ClockKind::Wall, "oversold") if modelled == 0 => 0,
            (ClockKind::Wall, "oversold") => (modelled * 2 / 5).max(3),
            (ClockKind::Wall, _) => continue,
        };
        if (measured - modelled).abs() > allowed {
            let or = if allowed > 0 { format!(", give or take {allowed}") } else { String::new() };
            wrong.push(format!("{name} is {measured} and the model says {modelled}{or}"));
        }
    }
    wrong
}

/// A number of seconds as a setting shows it.
fn seconds_json(micros: demand::Micros) -> Json {
    Json::from(micros as f64 / 1_000_000.0)
}

#[cfg(test)]
mod tests;
