//! Messages that come twice and out of turn (ledger X-14), as every log that delivers at least once lets them. A consumer that takes each delivery for
//! a new wish pays a credit twice, and since a credit is a part of the order no limit of the payment stands in its way; one that believes
//! what it heard last tells the buyer of a refund less than he got.
//!
//! Reading order: [`demand`] (who comes), [`model`] (what must come out), this file (what is declared), [`measure`] (the figures of a run),
//! [`tell`] (the incident record).

pub mod demand;
pub mod measure;
pub mod model;
mod tell;

use futures::future::BoxFuture;
use platform::fault::{Fault, Rule};
use serde_json::json;
use types::Timestamp;

use self::{
    demand::{Buyer, KNOBS, Plan},
    measure::{Figures, Measured},
};
use crate::{
    experiment::{self, Experiment, Story, Told, Trial, Visit, Visitor, card_token, meanwhile, span, tell::counted},
    facts::Facts,
    invariants::{Grace, Invariant},
    knob::Knobs,
    record::{Damage, Precondition},
    scenario::{Column, Figure, LabError, Request, Rung, Scenario},
    target::{ClockKind, Request as Ask, Target, TargetError},
};

pub const SCENARIO: Scenario = Scenario {
    name: "duplicates-and-reorder",
    summary: "A credit is told twice and paid twice, and the order tells of neither.",
    knobs: KNOBS,
    phases: &[
        ("baseline", "A new SKU gets a price, and stock for everybody."),
        ("inject", "The services take the rung. Credits are delivered twice, and of two refunds of a payment the second is told first."),
        ("observe", "Every buyer checks out at his moment; a while later he is granted two credits."),
        ("settle", "Every order has ended, and what was told has been taken."),
        ("verify", "Invariants and figures, from the audit exports."),
        ("revert", "The services go back to the remedied rung. Last, because the rung is a part of what is measured."),
    ],
    ladder: LADDER,
    precondition: "credits are granted that are so small that twice of them is not too much",
    columns: &[
        Column { figure: "credits", heading: &["credits"], is_money: false },
        Column { figure: "refunds", heading: &["refunds"], is_money: false },
        Column { figure: "paid_twice_minor", heading: &["paid", "twice"], is_money: true },
        Column { figure: "told_wrong", heading: &["told", "wrong"], is_money: false },
    ],
    damage: ["order that was paid back twice, or tells of less", "orders that were paid back twice, or tell of less"],
    describe,
    simulate: experiment::simulate::<Duplicates>,
    against: experiment::against::<Duplicates>,
    keep: experiment::keep::<Duplicates>,
};

const LADDER: &[Rung] = &[
    Rung {
        name: "R0",
        title: "each delivery is a wish",
        description: "A refund has the key of the delivery, and of the news of a payment the last to come is believed. Price: what comes twice is \
                      paid twice; what comes late is believed again.",
        breaks: &[Invariant::I5, Invariant::I12, Invariant::I20],
    },
    Rung {
        name: "R1",
        title: "the refund is the credit's",
        description: "A refund knows its credit, and a credit has one. Price: the order still tells of what it heard last, which was told earlier.",
        breaks: &[Invariant::I5, Invariant::I12],
    },
    Rung {
        name: "R2",
        title: "and news have a version",
        description: "Beside that, what is heard of a payment counts only if its version is higher than what was heard before. Price: a number in \
                      every message.",
        breaks: &[],
    },
];

fn describe(knobs: &Knobs) -> String {
    format!(
        "{} buyers in {} s; each is granted two credits of {} % a while later",
        knobs.whole("buyers"),
        knobs.real("window_seconds"),
        knobs.whole("credit_percent")
    )
}

fn named(figures: &Figures) -> Vec<Figure> {
    vec![
        ("orders", figures.orders),
        ("credits", figures.credits),
        ("refunds", figures.refunds),
        ("paid_twice_minor", figures.paid_twice_minor),
        ("told_wrong", figures.told_wrong),
        ("told_short_minor", figures.told_short_minor),
    ]
}

/// Whether messages come twice and out of turn. The run has that and its own rung; its twins have the one or the other taken away, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    disturbed: bool,
}

/// The scenario, drawn.
#[derive(Clone, Debug)]
pub struct Duplicates {
    plan: Plan,
    buyers: Vec<Buyer>,
}

impl experiment::Measured for Measured {
    fn figures(&self) -> Vec<Figure> {
        named(&self.figures)
    }

    fn preconditions(&self) -> Vec<Precondition> {
        vec![counted("orders with two credits, of which as much again could be paid", self.within_limits)]
    }

    /// Orders that were damaged in one way or the other.
    fn primary(&self) -> i64 {
        self.damaged.len() as i64
    }

    /// What the remedies cost is a row and a number.
    fn displaced(&self) -> i64 {
        0
    }

    fn damaged(&self) -> Vec<Damage> {
        self.damaged.clone()
    }
}

/// Where events pass on their way to a consumer.
const POINT: &str = "bus.deliver";
/// Which come in another way than they were told, and how.
const DISTURBED: [(&str, Rule); 2] = [("order.credit.granted.v1", Rule::Duplicate), ("payment.refunded.v1", Rule::Reorder)];

impl Experiment for Duplicates {
    type Cell = Cell;
    type Measured = Measured;
    const DAMAGE: &'static str = "orders damaged";

    fn of(request: &Request) -> Result<Self, LabError> {
        let plan = Plan::of(&request.knobs)?;
        let buyers = demand::draw(&plan, request.seed);
        Ok(Self { plan, buyers })
    }

    /// Beside the run: the same rung with messages that come once and in turn; and, for those below it, the remedied rung with both.
    fn trials(&self, rung: &'static Rung, _clock: ClockKind) -> Vec<Trial<Cell>> {
        Trial::two_by_two(LADDER, rung, Cell { disturbed: true }, Cell { disturbed: false })
    }

    fn conditions(&self, trial: &Trial<Cell>) -> String {
        format!("{}, {}", if trial.cell.disturbed { "twice and out of turn" } else { "once and in turn" }, trial.rung.name)
    }

    fn stock(&self) -> (i64, i64) {
        (self.buyers.len() as i64, self.plan.unit_price_minor)
    }

    fn visits(&self, _trial: &Trial<Cell>) -> Vec<Visit> {
        let visit = |buyer: &Buyer| Visit {
            arrival: buyer.arrival,
            card: card_token(buyer.latency),
            decided: buyer.latency + self.plan.credit_after,
        };
        self.buyers.iter().map(visit).collect()
    }

    /// He buys; a while later somebody in the shop makes up to him for something, and a moment later for something else.
    fn shop<'a>(&'a self, visitor: Visitor<'a>, _trial: &'a Trial<Cell>) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            let order = visitor.buy().await?;
            visitor.target.sleep_until(visitor.began.plus(span(visitor.visit.arrival + visitor.visit.decided))).await;
            let bought = visitor.target.must(visitor.by(Ask::get(format!("/orders/{order}")))).await?;
            let credit = self.plan.credit_of(bought["total"]["amount"].as_i64().unwrap_or(0));
            for reason in ["a late parcel", "a scratch"] {
                let granted = json!({"amount": {"amount": credit, "currency": "USD"}, "reason": reason});
                visitor.target.must(visitor.by(Ask::post(format!("/orders/{order}/credits"), granted))).await?;
            }
            Ok(())
        })
    }

    /// Messages come twice and out of turn until the last credit has been taken.
    fn interfere<'a>(
        &'a self,
        target: &'a dyn Target,
        _sku: &'a str,
        trial: &'a Trial<Cell>,
        began: Timestamp,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            if !trial.cell.disturbed {
                return Ok(());
            }
            let faults = DISTURBED.map(|(topic, rule)| Fault::always(rule).of_topic(topic));
            meanwhile(target, POINT, &faults, (target.now(), began.plus(span(self.plan.ends())))).await
        })
    }

    fn grace(&self) -> Grace {
        Grace::settled(span(self.plan.ends()))
    }

    fn measure(&self, facts: &Facts, sku: &str, _began: Timestamp) -> Measured {
        measure::measure(facts, sku, &self.plan)
    }

    fn predict(&self, trial: &Trial<Cell>, measured: &Measured) -> Vec<Figure> {
        named(&model::predict(&self.plan, trial.rung.name, trial.cell.disturbed, measured.order_total))
    }

    /// No two buyers matter to each other. By the wall clock two refunds may be told so far apart that neither overtakes the other.
    fn tolerance(&self, clock: ClockKind, (name, _): Figure, _predicted: &[Figure]) -> Option<i64> {
        match (clock, name) {
            (ClockKind::Wall, "told_wrong" | "told_short_minor") => None,
            _ => Some(0),
        }
    }

    fn tell(&self, told: &Told<'_, Self>) -> Story {
        tell::story(self, told)
    }
}

#[cfg(test)]
mod tests;
