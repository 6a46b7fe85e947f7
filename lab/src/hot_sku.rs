//! A hot SKU (ledger X-15): everybody wants the same thing at the same moment. A service that looks whether there is one left and then takes it has a
//! moment between the two, and while the store is slow it is a long one: whoever looks in it sees what somebody else has just bought.
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
    name: "hot-sku",
    summary: "Many want the last unit at once, and more than one of them gets it.",
    knobs: KNOBS,
    phases: &[
        ("baseline", "A new SKU gets stock and a price."),
        ("inject", "The services take the rung, and every commit of inventory-service takes commit_ms."),
        ("observe", "Every buyer checks out at his moment, for as long as the sale lasts."),
        ("settle", "The store is as fast as before; every order has ended."),
        ("verify", "Invariants and figures, from the audit exports."),
        ("revert", "The services go back to the remedied rung. Last, because the rung is a part of what is measured."),
    ],
    ladder: LADDER,
    precondition: "somebody asks for the SKU while the commit that takes the last unit is under way",
    columns: &[
        Column { figure: "sold", heading: &["sold"], is_money: false },
        Column { figure: "oversold", heading: &["oversold"], is_money: false },
        Column { figure: "sent_away", heading: &["sent", "away"], is_money: false },
        Column { figure: "money_at_risk_minor", heading: &["at risk"], is_money: true },
    ],
    damage: ["order that was sold a unit which was gone", "orders that were sold a unit which was gone"],
    describe,
    simulate: experiment::simulate::<HotSku>,
    against: experiment::against::<HotSku>,
    keep: experiment::keep::<HotSku>,
};

const LADDER: &[Rung] = &[
    Rung {
        name: "R0",
        title: "look, then take",
        description: "A read looks whether there is one left, and a write that trusts it takes it. Price: whoever looks before the write of the last \
                      unit has come through is sold one that is not there.",
        breaks: &[Invariant::I18],
    },
    Rung {
        name: "R1",
        title: "one conditional write",
        description: "One write looks and takes, and takes nothing that is not there. Price: the buyer waits for the write to learn that there is \
                      nothing.",
        breaks: &[],
    },
];

fn describe(knobs: &Knobs) -> String {
    format!(
        "{} units, {} buyers a second for {} s; {} ms for a commit",
        knobs.whole("stock"),
        knobs.real("demand_per_second"),
        knobs.real("window_seconds"),
        knobs.whole("commit_ms")
    )
}

fn named(figures: &Figures) -> Vec<Figure> {
    vec![
        ("sold", figures.sold),
        ("supply", figures.supply),
        ("oversold", figures.oversold),
        ("sent_away", figures.sent_away),
        ("money_at_risk_minor", figures.money_at_risk_minor),
    ]
}

/// Whether commits are slow. The run has that and its own rung; its twins have the one or the other taken away, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    slow: bool,
}

/// The scenario, drawn.
#[derive(Clone, Debug)]
pub struct HotSku {
    plan: Plan,
    buyers: Vec<Buyer>,
}

impl experiment::Measured for Measured {
    fn figures(&self) -> Vec<Figure> {
        named(&self.figures)
    }

    fn preconditions(&self) -> Vec<Precondition> {
        vec![counted("orders that were made while the last unit was being taken", self.asked_meanwhile)]
    }

    fn primary(&self) -> i64 {
        self.figures.oversold
    }

    /// A buyer who is sent away pays nothing, and hears it at once.
    fn displaced(&self) -> i64 {
        0
    }

    fn damaged(&self) -> Vec<Damage> {
        self.damaged.clone()
    }
}

/// Where inventory-service's commits pass.
const POINT: &str = "store.commit";

impl Experiment for HotSku {
    type Cell = Cell;
    type Measured = Measured;
    const DAMAGE: &'static str = "oversold";

    fn of(request: &Request) -> Result<Self, LabError> {
        let plan = Plan::of(&request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        Ok(Self { plan, buyers })
    }

    /// Beside the run: the same rung with a fast store; and, for those below it, the remedied rung with both.
    fn trials(&self, rung: &'static Rung, _clock: ClockKind) -> Vec<Trial<Cell>> {
        Trial::two_by_two(LADDER, rung, Cell { slow: true }, Cell { slow: false })
    }

    fn conditions(&self, trial: &Trial<Cell>) -> String {
        format!("{}, {}", if trial.cell.slow { "slow commits" } else { "fast commits" }, trial.rung.name)
    }

    fn stock(&self) -> (i64, i64) {
        (self.plan.stock as i64, self.plan.unit_price_minor)
    }

    fn visits(&self, _trial: &Trial<Cell>) -> Vec<Visit> {
        let visit = |buyer: &Buyer| Visit { arrival: buyer.arrival, card: card_token(buyer.latency), decided: buyer.latency };
        self.buyers.iter().map(visit).collect()
    }

    /// The commits of inventory-service are slow for as long as the sale lasts; nobody else's.
    fn interfere<'a>(
        &'a self,
        target: &'a dyn Target,
        _sku: &'a str,
        trial: &'a Trial<Cell>,
        began: Timestamp,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            if !trial.cell.slow {
                return Ok(());
            }
            let slow = Fault::always(Rule::Delay).of_service("inventory").of_millis(self.plan.commit_ms);
            meanwhile(target, POINT, &[slow], (target.now(), began.plus(span(self.plan.window + self.plan.commit)))).await
        })
    }

    /// What inventory-service hears of orders queues up behind its slow commits.
    fn rest(&self, clock: ClockKind) -> Duration {
        match clock {
            ClockKind::Simulated => Duration::from_secs(60),
            ClockKind::Wall => Duration::from_secs(10),
        }
    }

    fn grace(&self) -> Grace {
        Grace::settled(span(self.plan.window))
    }

    fn measure(&self, facts: &Facts, sku: &str, _began: Timestamp) -> Measured {
        measure::measure(facts, sku)
    }

    fn predict(&self, trial: &Trial<Cell>, _measured: &Measured) -> Vec<Figure> {
        named(&model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.slow))
    }

    /// By the wall clock a hop takes what it takes, and some more or fewer look in time.
    fn tolerance(&self, clock: ClockKind, (name, _): Figure, predicted: &[Figure]) -> Option<i64> {
        let modelled = predicted.iter().find(|(other, _)| *other == name).map_or(0, |(_, modelled)| *modelled);
        match (clock, name) {
            (ClockKind::Simulated, _) | (ClockKind::Wall, "supply") => Some(0),
            (ClockKind::Wall, "oversold") if modelled == 0 => Some(0),
            (ClockKind::Wall, "oversold") => Some((modelled * 2 / 5).max(3)),
            (ClockKind::Wall, _) => None,
        }
    }

    fn tell(&self, told: &Told<'_, Self>) -> Story {
        tell::story(&self.plan, told)
    }
}

#[cfg(test)]
mod tests;
