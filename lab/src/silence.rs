//! A provider that is silent (ledger ): it has done what it was asked for, and the answer is lost or late. Three incidents come of
//! it, on ladders that differ only at the bottom: `psp-timeout` (a timeout counts as a failure, and the money that was taken is an orphan),
//! `late-capture` (the same, where the provider succeeds after the shop has given up) and `double-charge` (a retry under a new key is
//! another request, and the buyer pays twice).
//!
//! Reading order: [`demand`] (who comes, with which card), [`model`] (what must come out), this file (what is declared), [`measure`] (the
//! figures of a run), [`tell`] (the incident record).

pub mod demand;
pub mod measure;
pub mod model;
mod tell;

use std::time::Duration;

use types::Timestamp;

use self::{
    demand::{Buyer, Kind, Plan},
    measure::{Figures, Measured, STUCK_AFTER},
};
use crate::{
    experiment::{self, Experiment, Story, Told, Trial, Visit, span, tell::counted},
    facts::Facts,
    invariants::{Grace, Invariant},
    knob::{Knob, Knobs},
    record::{Damage, Precondition},
    scenario::{Column, Figure, LabError, Request, Rung, Scenario},
    target::{ClockKind, simulation},
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
    simulate: experiment::simulate::<Silence>,
    against: experiment::against::<Silence>,
    keep: experiment::keep::<Silence>,
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
    simulate: experiment::simulate::<Silence>,
    against: experiment::against::<Silence>,
    keep: experiment::keep::<Silence>,
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
    simulate: experiment::simulate::<Silence>,
    against: experiment::against::<Silence>,
    keep: experiment::keep::<Silence>,
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

/// Whether the provider is silent. The run has that and its own rung; its twins have the one or the other taken away, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    silent: bool,
}

/// One of the three, drawn.
#[derive(Clone, Debug)]
pub struct Silence {
    scenario: &'static Scenario,
    plan: Plan,
    buyers: Vec<Buyer>,
}

impl experiment::Measured for Measured {
    fn figures(&self) -> Vec<Figure> {
        named(&self.figures)
    }

    fn preconditions(&self) -> Vec<Precondition> {
        vec![
            counted("payments that had no answer in time", self.precondition.unanswered),
            counted("those of which the provider has taken the money", self.precondition.taken_all_the_same),
        ]
    }

    fn primary(&self) -> i64 {
        self.figures.primary()
    }

    fn displaced(&self) -> i64 {
        self.figures.orders_stuck
    }

    fn damaged(&self) -> Vec<Damage> {
        self.damaged.clone()
    }
}

/// What follows from events is given this long after the last order has ended.
const REST: Duration = Duration::from_secs(10);
/// For how much longer an order may go on that is stuck: longer it is no order that waits, but one that was lost.
const STUCK: Duration = Duration::from_secs(60);
/// How much longer than the model says an order may take: hops, and the way of an event to the saga that waits for it.
const SLACK_MILLIS: i64 = 100;

impl Experiment for Silence {
    type Cell = Cell;
    type Measured = Measured;
    const DAMAGE: &'static str = "captures too many";

    fn of(request: &Request) -> Result<Self, LabError> {
        let plan = Plan::of(Kind::of(request.scenario.name), &request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        Ok(Self { scenario: request.scenario, plan, buyers })
    }

    /// Beside the run: the same rung without silence; and, for those below it, the remedied rung with and without.
    fn trials(&self, rung: &'static Rung, _clock: ClockKind) -> Vec<Trial<Cell>> {
        Trial::two_by_two(self.scenario.ladder, rung, Cell { silent: true }, Cell { silent: false })
    }

    fn conditions(&self, trial: &Trial<Cell>) -> String {
        format!("{}, {}", if trial.cell.silent { "a silent provider" } else { "every answer comes" }, trial.rung.name)
    }

    fn settings(&self, _trial: &Trial<Cell>) -> Result<Vec<simulation::Override>, LabError> {
        Ok(vec![
            ("order.capture", "authorize".into()),
            ("order.payment_deadline_seconds", (self.plan.deadline / 1_000_000).into()),
            ("payment.psp_timeout_ms", (self.plan.patience / 1_000).into()),
            ("psp.answer_limit_ms", (self.plan.silence / 1_000).into()),
            ("payment.first_inquiry_seconds", (self.plan.inquiry / 1_000_000).into()),
            // What is studied is an order whose payment is silent, and not a provider that is given up: by chance the silent may crowd on one
            // of the instances.
            ("platform.breaker_failures", i64::from(u32::MAX).into()),
        ])
    }

    /// Whether a running system takes the money with the authorization. That is a setting which no call changes; where it is another, an
    /// orphan is an authorization and no capture, and these scenarios show nothing.
    fn must_have_fit(&self, measured: &Measured) -> Result<(), LabError> {
        if measured.taken_with_authorization {
            return Ok(());
        }
        Err(LabError::Unfit(
            "this system takes the money after the authorization, and the scenario needs both at once. Start it with \
             CRASHCART_ORDER__CAPTURE=authorize; payment.psp_timeout_ms, psp.answer_limit_ms, payment.first_inquiry_seconds and \
             order.payment_deadline_seconds must match patience_seconds, silence_seconds, inquiry_seconds and deadline_seconds"
                .into(),
        ))
    }

    fn stock(&self) -> (i64, i64) {
        (self.buyers.len() as i64, self.plan.unit_price_minor)
    }

    fn visits(&self, trial: &Trial<Cell>) -> Vec<Visit> {
        let silent = trial.cell.silent;
        let visit = |buyer: &Buyer| Visit {
            arrival: buyer.arrival,
            card: buyer.token(self.plan.kind, silent),
            decided: buyer.decided(&self.plan, silent),
        };
        self.buyers.iter().map(visit).collect()
    }

    fn patience(&self) -> Duration {
        span(self.plan.deadline) + STUCK
    }

    fn grace(&self) -> Grace {
        let saga = span(self.plan.deadline + STUCK_AFTER) + STUCK;
        Grace { hold_end: REST / 2, saga, effects: Duration::from_secs(1), books: REST / 2 }
    }

    fn measure(&self, facts: &Facts, sku: &str, _began: Timestamp) -> Measured {
        measure::measure(facts, sku, self.plan.patience, self.plan.deadline)
    }

    fn predict(&self, trial: &Trial<Cell>, measured: &Measured) -> Vec<Figure> {
        named(&model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.silent, measured.order_total))
    }

    /// Counts and money must be the same, by any clock: no two buyers want the same unit, so nothing hangs on who is a moment earlier. For how
    /// long they waited may differ by a little for each order; by the wall's clock it is not compared.
    fn tolerance(&self, clock: ClockKind, (name, _): Figure, _predicted: &[Figure]) -> Option<i64> {
        match (clock, name) {
            (ClockKind::Wall, "waited_seconds") => None,
            (ClockKind::Simulated, "waited_seconds") => Some(1 + self.buyers.len() as i64 * SLACK_MILLIS / 1_000),
            _ => Some(0),
        }
    }

    fn tell(&self, told: &Told<'_, Self>) -> Story {
        tell::story(&self.plan, told)
    }
}

#[cfg(test)]
mod tests;
