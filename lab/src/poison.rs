//! A poison message (ledger X-15): a record in the log that nobody can read. A consumer that has nowhere to put it tries it for ever, and hears nothing
//! of what lies behind it in its partition; with dead letters it parks the one key and goes on.
//!
//! What stands still is what services tell each other. The orders themselves are confirmed on both rungs: the saga asks for its payment by a call, and
//! where it waits for the event it looks by itself now and then.
//!
//! Reading order: [`demand`] (who comes), [`model`] (what must come out), this file (what is declared), [`measure`] (the figures of a run),
//! [`tell`] (the incident record).

pub mod demand;
pub mod measure;
pub mod model;
mod tell;

use std::time::Duration;

use futures::future::BoxFuture;
use platform::fault::{Fault, Rule};
use types::Timestamp;

use self::{
    demand::{Buyer, GUARD, KNOBS, Plan},
    measure::{Figures, Measured, TOPIC},
};
use crate::{
    experiment::{self, Experiment, Micros, Story, Told, Trial, Visit, card_token, meanwhile, span, tell::counted},
    facts::Facts,
    invariants::{Grace, Invariant},
    knob::Knobs,
    record::{Damage, Precondition},
    scenario::{Column, Figure, LabError, Request, Rung, Scenario},
    target::{ClockKind, Target, TargetError},
};

pub const SCENARIO: Scenario = Scenario {
    name: "poison",
    summary: "One record that nobody can read, and a service goes deaf to all that lie behind it.",
    knobs: KNOBS,
    phases: &[
        ("baseline", "A new SKU gets a price, and stock for everybody."),
        ("inject", "The services take the rung."),
        (
            "observe",
            "Every buyer checks out at his moment. While a poisoned one pays, what is told of captured payments is written as bytes that nobody can \
             read.",
        ),
        ("settle", "Every order has ended, and whatever can be taken has been taken."),
        ("verify", "Invariants and figures, from the audit exports and the log."),
        (
            "revert",
            "The services go back to the remedied rung, and what was blocked is taken. Last, because the rung is a part of what is measured.",
        ),
    ],
    ladder: LADDER,
    precondition: "events lie behind a record that nobody can read, in the same partition",
    columns: &[
        Column { figure: "sold", heading: &["sold"], is_money: false },
        Column { figure: "poisoned", heading: &["poisoned"], is_money: false },
        Column { figure: "events_parked", heading: &["parked"], is_money: false },
        Column { figure: "events_blocked", heading: &["blocked"], is_money: false },
        Column { figure: "orders_left_behind", heading: &["left", "behind"], is_money: false },
        Column { figure: "blocked_seconds", heading: &["blocked", "for s"], is_money: false },
    ],
    damage: ["order of whose payment order-service never heard", "orders of whose payment order-service never heard"],
    describe,
    simulate: experiment::simulate::<Poison>,
    against: experiment::against::<Poison>,
    keep: experiment::keep::<Poison>,
};

const LADDER: &[Rung] = &[
    Rung {
        name: "R0",
        title: "no dead letters",
        description: "What cannot be read is tried again for ever. Price: all that lies behind it in its partition is never heard. The orders are \
                      confirmed all the same, since their saga asks for its payment by itself; what others tell of them is lost on the service.",
        breaks: &[Invariant::I12, Invariant::I14],
    },
    Rung {
        name: "R1",
        title: "its key is parked",
        description: "What cannot be read goes to the dead letters and its key waits there, until somebody has mended or skipped it; everything else \
                      is taken. Price: somebody has to look.",
        breaks: &[],
    },
];

fn describe(knobs: &Knobs) -> String {
    format!(
        "{} buyers in {} s; of {} of them the payment is told in a record that nobody can read",
        knobs.whole("buyers"),
        knobs.real("window_seconds"),
        knobs.whole("poisoned")
    )
}

fn named(figures: &Figures) -> Vec<Figure> {
    vec![
        ("orders", figures.orders),
        ("sold", figures.sold),
        ("poisoned", figures.poisoned),
        ("events_parked", figures.events_parked),
        ("events_blocked", figures.events_blocked),
        ("orders_left_behind", figures.orders_left_behind),
        ("blocked_seconds", figures.blocked_seconds),
    ]
}

/// Whether records are corrupted. The run has that and its own rung; its twins have the one or the other taken away, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    corrupt: bool,
}

/// The scenario, drawn.
#[derive(Clone, Debug)]
pub struct Poison {
    plan: Plan,
    buyers: Vec<Buyer>,
}

impl Poison {
    /// From when to when a record of captured payments is corrupted, one after the other.
    fn windows(&self) -> Vec<(Micros, Micros)> {
        let mut moments: Vec<Micros> = self.buyers.iter().take(self.plan.poisoned).map(Buyer::pays).collect();
        moments.sort_unstable();
        moments.into_iter().map(|moment| (moment - GUARD, moment + GUARD)).collect()
    }
}

impl experiment::Measured for Measured {
    fn figures(&self) -> Vec<Figure> {
        named(&self.figures)
    }

    fn preconditions(&self) -> Vec<Precondition> {
        vec![
            counted("records that nobody can read", usize::try_from(self.figures.poisoned).unwrap_or(0)),
            counted("events that lie behind one of them in its partition", self.behind),
        ]
    }

    /// What could be read, and was not. A record that nobody can read is of no use on any rung.
    fn primary(&self) -> i64 {
        self.figures.orders_left_behind
    }

    /// What is parked could not be taken anyhow.
    fn displaced(&self) -> i64 {
        0
    }

    fn damaged(&self) -> Vec<Damage> {
        self.damaged.clone()
    }
}

/// Where records go to the log.
const POINT: &str = "bus.publish";

impl Experiment for Poison {
    type Cell = Cell;
    type Measured = Measured;
    const DAMAGE: &'static str = "left behind";

    fn of(request: &Request) -> Result<Self, LabError> {
        let plan = Plan::of(&request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        Ok(Self { plan, buyers })
    }

    /// Beside the run: for the rungs below the remedied one, that one with and without; and the same rung without. In this order, because in a
    /// running system the remedied rung frees what the run has blocked.
    fn trials(&self, rung: &'static Rung, _clock: ClockKind) -> Vec<Trial<Cell>> {
        let on = |rung, corrupt| Trial { rung, cell: Cell { corrupt } };
        let mut trials = vec![on(rung, true)];
        if let Some(remedied) = LADDER.last().filter(|last| last.name != rung.name) {
            trials.extend([on(remedied, true), on(remedied, false)]);
        }
        trials.push(on(rung, false));
        trials
    }

    fn conditions(&self, trial: &Trial<Cell>) -> String {
        format!("{}, {}", if trial.cell.corrupt { "corrupted records" } else { "every record whole" }, trial.rung.name)
    }

    fn stock(&self) -> (i64, i64) {
        (self.buyers.len() as i64, self.plan.unit_price_minor)
    }

    fn visits(&self, _trial: &Trial<Cell>) -> Vec<Visit> {
        let visit = |buyer: &Buyer| Visit { arrival: buyer.arrival, card: card_token(buyer.latency), decided: buyer.latency };
        self.buyers.iter().map(visit).collect()
    }

    /// Whatever is told of captured payments around the moments of the poisoned ones is corrupted: nobody else pays then.
    fn interfere<'a>(
        &'a self,
        target: &'a dyn Target,
        _sku: &'a str,
        trial: &'a Trial<Cell>,
        began: Timestamp,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            if !trial.cell.corrupt {
                return Ok(());
            }
            for (opens, closes) in self.windows() {
                let window = (began.plus(span(opens)), began.plus(span(closes)));
                meanwhile(target, POINT, &[Fault::always(Rule::Corrupt).of_topic(TOPIC)], window).await?;
            }
            Ok(())
        })
    }

    /// A service that has just taken this rung may still stand still for as long as its longest pause.
    fn rest(&self, _clock: ClockKind) -> Duration {
        Duration::from_secs(15)
    }

    fn grace(&self) -> Grace {
        Grace::settled(span(self.plan.window))
    }

    fn measure(&self, facts: &Facts, sku: &str, began: Timestamp) -> Measured {
        measure::measure(facts, sku, began)
    }

    fn predict(&self, trial: &Trial<Cell>, measured: &Measured) -> Vec<Figure> {
        named(&model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.corrupt, &measured.log, measured.ended))
    }

    /// No two buyers matter to each other and every decisive moment is kept apart, so all figures are the same by any clock; only whole seconds
    /// may turn a moment sooner or later.
    fn tolerance(&self, _clock: ClockKind, (name, _): Figure, _predicted: &[Figure]) -> Option<i64> {
        Some(i64::from(name == "blocked_seconds"))
    }

    fn tell(&self, told: &Told<'_, Self>) -> Story {
        tell::story(self, told)
    }
}

#[cfg(test)]
mod tests;
