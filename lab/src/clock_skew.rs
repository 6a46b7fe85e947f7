//! Clock skew (ledger X-15): two authorities say when a hold is over. Inventory ends it by its own clock and sells the unit again; it also
//! lets whoever claims say by his clock that he was in time. While the two clocks agree nobody sees a difference. When that of
//! order-service falls behind, every payment that is late by less than that is in time, and its unit is somebody else's.
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
    experiment::{self, Experiment, Micros, Story, Told, Trial, Visit, card_token, meanwhile, span, tell::counted},
    facts::Facts,
    invariants::{Grace, Invariant},
    knob::Knobs,
    oversell,
    record::{Damage, Precondition},
    scenario::{Column, Figure, LabError, Request, Rung, Scenario},
    target::{ClockKind, Target, TargetError, simulation},
};

pub const SCENARIO: Scenario = Scenario {
    name: "clock-skew",
    summary: "Two clocks disagree, and a unit is claimed by somebody whose hold was over.",
    knobs: KNOBS,
    phases: &[
        ("baseline", "A new SKU gets stock and a price; holds last ttl_seconds."),
        ("inject", "The services take the rung, and the clock of order-service is skew_seconds behind."),
        ("observe", "Every buyer checks out at his moment, with a card that takes its time."),
        ("settle", "Every payment is answered; the clock is right again; every order has ended."),
        ("verify", "Invariants and figures, from the audit exports and the provider's truth."),
        ("revert", "The services go back to the remedied rung. Last, because the rung is a part of what is measured."),
    ],
    ladder: LADDER,
    precondition: "a payment comes after the end of its hold and before it by the slow clock, and the unit has been given to another",
    columns: &[
        Column { figure: "sold", heading: &["sold"], is_money: false },
        Column { figure: "oversold", heading: &["oversold"], is_money: false },
        Column { figure: "voided_after_payment", heading: &["paid, then", "cancelled"], is_money: false },
        Column { figure: "money_at_risk_minor", heading: &["at risk"], is_money: true },
    ],
    damage: ["order that was sold a unit which was another's", "orders that were sold a unit which was another's"],
    describe,
    simulate: experiment::simulate::<ClockSkew>,
    against: experiment::against::<ClockSkew>,
    keep: experiment::keep::<ClockSkew>,
};

const LADDER: &[Rung] = &[
    Rung {
        name: "R0",
        title: "the caller's clock",
        description: "Inventory ends holds by its own clock, and a claim is judged by the clock of whoever claims. Price: when that is \
                      behind, a unit that was given to another is claimed all the same.",
        breaks: &[Invariant::I2, Invariant::I3, Invariant::I18],
    },
    Rung {
        name: "R1",
        title: "one authority",
        description: "The clock that ends a hold is the one that says whether it is over. Price: whoever pays late is voided, also when he \
                      was in time by another clock.",
        breaks: &[],
    },
];

fn describe(knobs: &Knobs) -> String {
    format!(
        "{} units, {} s of demand, a hold lasts {} s, {} % of the payments take around {} s; a clock is {} s behind",
        knobs.whole("stock"),
        knobs.real("window_seconds"),
        knobs.whole("ttl_seconds"),
        knobs.real("slow_share") * 100.0,
        knobs.real("slow_median_seconds"),
        knobs.whole("skew_seconds")
    )
}

fn named(figures: &Figures) -> Vec<Figure> {
    vec![
        ("sold", figures.sold),
        ("supply", figures.supply),
        ("oversold", figures.oversold),
        ("late_claims", figures.late_claims),
        ("voided_after_payment", figures.voided_after_payment),
        ("money_at_risk_minor", figures.money_at_risk_minor),
    ]
}

/// Whether a clock is behind. The run has that and its own rung; its twins have the one or the other taken away, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    skewed: bool,
}

/// The scenario, drawn.
#[derive(Clone, Debug)]
pub struct ClockSkew {
    plan: Plan,
    buyers: Vec<Buyer>,
}

impl experiment::Measured for Measured {
    fn figures(&self) -> Vec<Figure> {
        named(&self.figures)
    }

    fn preconditions(&self) -> Vec<Precondition> {
        vec![
            counted(
                "payments that came after the end of their hold, and before it by the clock of order-service",
                self.precondition.between_the_clocks,
            ),
            counted("holds that others got between the end of such a hold and its payment", self.precondition.sold_meanwhile),
        ]
    }

    fn primary(&self) -> i64 {
        self.figures.oversold
    }

    fn displaced(&self) -> i64 {
        self.figures.voided_after_payment
    }

    fn damaged(&self) -> Vec<Damage> {
        self.damaged.clone()
    }
}

const POINT: &str = "clock.offset";
/// Whose clock is behind.
const SERVICE: &str = "order";
/// How long after the last payment the clock stays wrong, so that every order ends by one clock.
const LEFT: Micros = 5_000_000;

impl ClockSkew {
    /// When the last payment is answered, if everybody gets a hold.
    fn last_payment(&self) -> Micros {
        self.buyers.iter().map(|buyer| buyer.arrival + buyer.latency).max().unwrap_or(0)
    }
}

impl Experiment for ClockSkew {
    type Cell = Cell;
    type Measured = Measured;
    const DAMAGE: &'static str = "oversold";

    fn of(request: &Request) -> Result<Self, LabError> {
        let plan = Plan::of(&request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        Ok(Self { plan, buyers })
    }

    /// Beside the run: the same rung with clocks that agree; and, for those below it, the remedied rung with and without the skew.
    fn trials(&self, rung: &'static Rung, _clock: ClockKind) -> Vec<Trial<Cell>> {
        Trial::two_by_two(LADDER, rung, Cell { skewed: true }, Cell { skewed: false })
    }

    fn conditions(&self, trial: &Trial<Cell>) -> String {
        format!("{}, {}", if trial.cell.skewed { "a slow clock" } else { "clocks that agree" }, trial.rung.name)
    }

    /// A hold is left alone while its payment is on its way, and claimed by the saga: what a late claim comes to is inventory's affair
    /// alone.
    fn settings(&self, _trial: &Trial<Cell>) -> Result<Vec<simulation::Override>, LabError> {
        Ok(vec![
            ("inventory.reservation_ttl_seconds", (self.plan.ttl / 1_000_000).into()),
            ("order.hold_during_payment", "left-alone".into()),
            ("order.claim_by", "saga".into()),
        ])
    }

    fn must_fit<'a>(&'a self, target: &'a dyn Target) -> BoxFuture<'a, Result<(), LabError>> {
        Box::pin(async move {
            let (lasts, needed) = (oversell::hold_seconds(target).await?, self.plan.ttl / 1_000_000);
            if lasts == needed || lasts == needed + 1 {
                return Ok(());
            }
            Err(LabError::Unfit(format!(
                "in this system a hold lasts {lasts} s, and the scenario needs {needed} s. Start it with \
                 CRASHCART_INVENTORY__RESERVATION_TTL_SECONDS={needed} and CRASHCART_ORDER__HOLD_DURING_PAYMENT=left-alone, or set \
                 ttl_seconds to fit"
            )))
        })
    }

    fn must_have_fit(&self, measured: &Measured) -> Result<(), LabError> {
        if !measured.was_extended {
            return Ok(());
        }
        Err(LabError::Unfit(
            "in this system a hold is made to outlast its payment, and nobody is late. Start it with \
             CRASHCART_ORDER__HOLD_DURING_PAYMENT=left-alone"
                .into(),
        ))
    }

    fn stock(&self) -> (i64, i64) {
        (self.plan.stock, self.plan.unit_price_minor)
    }

    fn visits(&self, _trial: &Trial<Cell>) -> Vec<Visit> {
        let visit = |buyer: &Buyer| Visit { arrival: buyer.arrival, card: card_token(buyer.latency), decided: buyer.latency };
        self.buyers.iter().map(visit).collect()
    }

    /// The clock of order-service is behind from before the first checkout until every payment is answered; nobody else's.
    fn interfere<'a>(
        &'a self,
        target: &'a dyn Target,
        _sku: &'a str,
        trial: &'a Trial<Cell>,
        began: Timestamp,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            if !trial.cell.skewed {
                return Ok(());
            }
            let behind = Fault::always(Rule::Delay).of_service(SERVICE).of_millis(u64::try_from(self.plan.skew / 1_000).unwrap_or(0));
            meanwhile(target, POINT, &[behind], (target.now(), began.plus(span(self.last_payment() + LEFT)))).await
        })
    }

    /// An order seems older than it is by as much as its clock was behind.
    fn grace(&self) -> Grace {
        Grace::settled(span(self.last_payment() + self.plan.skew))
    }

    fn measure(&self, facts: &Facts, sku: &str, _began: Timestamp) -> Measured {
        measure::measure(facts, sku)
    }

    fn predict(&self, trial: &Trial<Cell>, _measured: &Measured) -> Vec<Figure> {
        named(&model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.skewed))
    }

    /// By the wall clock a hop takes what it takes, and who gets the next free unit is another now and then.
    fn tolerance(&self, clock: ClockKind, (name, _): Figure, predicted: &[Figure]) -> Option<i64> {
        let modelled = predicted.iter().find(|(other, _)| *other == name).map_or(0, |(_, modelled)| *modelled);
        match (clock, name) {
            (ClockKind::Simulated, _) | (ClockKind::Wall, "supply") => Some(0),
            (ClockKind::Wall, "oversold" | "late_claims") if modelled == 0 => Some(0),
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
