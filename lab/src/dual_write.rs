//! A dual write (ledger X-13): a service commits to its store and then tells the log by itself. Between the two writes lies a moment in which the
//! log cannot be reached or the process dies; then the store says one thing and everybody else never hears of it. Orders are paid that
//! nobody is told to ship.
//!
//! Reading order: [`demand`] (who comes), [`model`] (what must come out), this file (what is declared), [`measure`] (the figures of a run),
//! [`tell`] (the incident record).

pub mod demand;
pub mod measure;
pub mod model;
mod tell;

use futures::future::BoxFuture;
use platform::fault::{Fault, Rule};
use types::Timestamp;

use self::{
    demand::{Buyer, KNOBS, Plan},
    measure::{Figures, Measured},
};
use crate::{
    experiment::{self, Experiment, Story, Told, Trial, Visit, card_token, meanwhile, span, tell::counted},
    facts::Facts,
    invariants::{Grace, Invariant},
    knob::Knobs,
    record::{Damage, Precondition},
    scenario::{Column, Figure, LabError, Request, Rung, Scenario},
    target::{ClockKind, Target, TargetError},
};

pub const SCENARIO: Scenario = Scenario {
    name: "dual-write",
    summary: "An order is paid, and nobody is ever told that it is ready.",
    knobs: KNOBS,
    phases: &[
        ("baseline", "A new SKU gets a price, and stock for everybody."),
        ("inject", "The services take the rung."),
        ("observe", "Every buyer checks out at his moment. For outage_seconds order-service cannot reach the log."),
        ("settle", "Every order has ended, and whatever is told late has been told."),
        ("verify", "Invariants and figures, from the audit exports and the log."),
        ("revert", "The services go back to the remedied rung. Last, because the rung is a part of what is measured."),
    ],
    ladder: LADDER,
    precondition: "orders become ready while order-service cannot reach the log",
    columns: &[
        Column { figure: "sold", heading: &["sold"], is_money: false },
        Column { figure: "events_lost", heading: &["events", "lost"], is_money: false },
        Column { figure: "orders_untold", heading: &["ready,", "untold"], is_money: false },
        Column { figure: "money_at_risk_minor", heading: &["at risk"], is_money: true },
    ],
    damage: ["order that was paid and of which nobody was told", "orders that were paid and of which nobody was told"],
    describe,
    simulate: experiment::simulate::<DualWrite>,
    against: experiment::against::<DualWrite>,
    keep: experiment::keep::<DualWrite>,
};

const LADDER: &[Rung] = &[
    Rung {
        name: "R0",
        title: "told after the commit",
        description: "The service writes its store, and then the log by itself, once. Price: what cannot be told at that moment is never told.",
        breaks: &[Invariant::I11],
    },
    Rung {
        name: "R1",
        title: "an outbox and a relay",
        description: "The event is a row of the transaction that it tells about; a relay carries it to the log, as often as it takes. Price: \
                      during an outage it is told late.",
        breaks: &[],
    },
];

fn describe(knobs: &Knobs) -> String {
    format!(
        "{} buyers in {} s; from {} s on order-service cannot reach the log for {} s",
        knobs.whole("buyers"),
        knobs.real("window_seconds"),
        knobs.real("outage_at_seconds"),
        knobs.real("outage_seconds")
    )
}

fn named(figures: &Figures) -> Vec<Figure> {
    vec![
        ("orders", figures.orders),
        ("sold", figures.sold),
        ("events_committed", figures.events_committed),
        ("events_lost", figures.events_lost),
        ("orders_untold", figures.orders_untold),
        ("money_at_risk_minor", figures.money_at_risk_minor),
    ]
}

/// Whether there is an outage. The run has that and its own rung; its twins have the one or the other taken away, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    outage: bool,
}

/// The scenario, drawn.
#[derive(Clone, Debug)]
pub struct DualWrite {
    plan: Plan,
    buyers: Vec<Buyer>,
}

impl experiment::Measured for Measured {
    fn figures(&self) -> Vec<Figure> {
        named(&self.figures)
    }

    fn preconditions(&self) -> Vec<Precondition> {
        vec![
            counted("events that were committed while order-service could not reach the log", self.precondition.events_in_outage),
            counted("orders that became ready meanwhile", self.precondition.ready_in_outage),
        ]
    }

    fn primary(&self) -> i64 {
        self.figures.events_lost
    }

    /// What the outbox costs is time, and it is over with the outage.
    fn displaced(&self) -> i64 {
        0
    }

    fn damaged(&self) -> Vec<Damage> {
        self.damaged.clone()
    }
}

/// Where order-service reaches the log.
const POINT: &str = "bus.publish";

impl Experiment for DualWrite {
    type Cell = Cell;
    type Measured = Measured;
    const DAMAGE: &'static str = "events lost";

    fn of(request: &Request) -> Result<Self, LabError> {
        let plan = Plan::of(&request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        Ok(Self { plan, buyers })
    }

    /// Beside the run: the same rung without an outage; and, for those below it, the remedied rung with and without.
    fn trials(&self, rung: &'static Rung, _clock: ClockKind) -> Vec<Trial<Cell>> {
        Trial::two_by_two(LADDER, rung, Cell { outage: true }, Cell { outage: false })
    }

    fn conditions(&self, trial: &Trial<Cell>) -> String {
        format!("{}, {}", if trial.cell.outage { "an outage of the log" } else { "no outage" }, trial.rung.name)
    }

    fn stock(&self) -> (i64, i64) {
        (self.buyers.len() as i64, self.plan.unit_price_minor)
    }

    fn visits(&self, _trial: &Trial<Cell>) -> Vec<Visit> {
        let visit = |buyer: &Buyer| Visit { arrival: buyer.arrival, card: card_token(buyer.latency), decided: buyer.latency };
        self.buyers.iter().map(visit).collect()
    }

    /// The log is out of order-service's reach for a while; nobody else's.
    fn interfere<'a>(
        &'a self,
        target: &'a dyn Target,
        _sku: &'a str,
        trial: &'a Trial<Cell>,
        began: Timestamp,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            if !trial.cell.outage {
                return Ok(());
            }
            let outage = (began.plus(span(self.plan.outage_begins)), began.plus(span(self.plan.outage_ends)));
            meanwhile(target, POINT, &[Fault::always(Rule::Fail).of_service("order")], outage).await
        })
    }

    fn grace(&self) -> Grace {
        Grace::settled(span(self.plan.outage_ends))
    }

    fn measure(&self, facts: &Facts, sku: &str, began: Timestamp) -> Measured {
        measure::measure(facts, sku, &self.plan, began)
    }

    fn predict(&self, trial: &Trial<Cell>, measured: &Measured) -> Vec<Figure> {
        named(&model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.outage, measured.order_total))
    }

    /// No two buyers matter to each other and every decisive moment is kept apart, so all figures are the same by any clock.
    fn tolerance(&self, _clock: ClockKind, _figure: Figure, _predicted: &[Figure]) -> Option<i64> {
        Some(0)
    }

    fn tell(&self, told: &Told<'_, Self>) -> Story {
        tell::story(&self.plan, told)
    }
}

#[cfg(test)]
mod tests;
