//! Oversell (ledger X-01): a short time to live and a payment on its way sell the same unit twice. A hold that is nothing but a TTL is gone
//! before the payment is answered; the unit is sold to the next; the late payment claims all the same, because its upsert revives the row.
//!
//! Reading order: [`demand`] (who comes), [`model`] (what must come out), this file (what is declared), [`measure`] (the figures of a run),
//! [`tell`] (the incident record).

pub mod demand;
pub mod measure;
pub mod model;
mod tell;

use std::time::Duration;

use futures::future::BoxFuture;
use platform::{Chance, Clock, Ids};
use serde_json::{Value as Json, json};
use types::{OrderId, Timestamp};

use self::{
    demand::{Buyer, Cell, KNOBS, Plan},
    measure::Measured,
    model::Figures,
};
use crate::{
    experiment::{self, Experiment, Micros, Story, Told, Trial, Visit, card_token, play::WAREHOUSE, span, tell::counted},
    facts::Facts,
    invariants::{Grace, Invariant},
    knob::{KnobError, Knobs},
    record::{Damage, Precondition},
    scenario::{Column, Figure, LabError, Request, Rung, Scenario},
    target::{self, ClockKind, Target, simulation},
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
    simulate: experiment::simulate::<Oversell>,
    against: experiment::against::<Oversell>,
    keep: experiment::keep::<Oversell>,
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

/// Whole seconds, as the services' settings take them.
fn whole_seconds(name: &str, micros: Micros) -> Result<i64, KnobError> {
    if micros > 0 && micros % 1_000_000 == 0 {
        return Ok(micros / 1_000_000);
    }
    Err(KnobError::Together(format!("{name} divided by time_scale must be whole seconds, as the services' settings are")))
}

/// The scenario, drawn.
#[derive(Clone, Debug)]
pub struct Oversell {
    plan: Plan,
    buyers: Vec<Buyer>,
}

impl experiment::Measured for Measured {
    fn figures(&self) -> Vec<Figure> {
        named(&self.figures)
    }

    fn preconditions(&self) -> Vec<Precondition> {
        vec![
            counted("holds whose time was over before their payment was answered", self.precondition.holds_outlived),
            counted("orders made in the time between", self.precondition.asked_meanwhile),
        ]
    }

    fn primary(&self) -> i64 {
        self.figures.oversold
    }

    fn displaced(&self) -> i64 {
        self.figures.displaced()
    }

    fn damaged(&self) -> Vec<Damage> {
        self.damaged.clone()
    }
}

/// By the wall's clock rest is time that somebody waits.
const REST: Duration = Duration::from_secs(10);
const REST_OF_THE_WALL: Duration = Duration::from_secs(4);

impl Experiment for Oversell {
    type Cell = Cell;
    type Measured = Measured;
    const DAMAGE: &'static str = "oversold";

    fn of(request: &Request) -> Result<Self, LabError> {
        let plan = Plan::of(&request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        Ok(Self { plan, buyers })
    }

    fn trials(&self, rung: &'static Rung, clock: ClockKind) -> Vec<Trial<Cell>> {
        // How long a hold lasts cannot be changed while a system runs: of the twins only the one without slow payments can be had there.
        let can_be_had = |cell: &Cell| clock == ClockKind::Simulated || cell.short_hold;
        [Cell::RUN].into_iter().chain(Cell::TWINS).filter(can_be_had).map(|cell| Trial { rung, cell }).collect()
    }

    fn conditions(&self, trial: &Trial<Cell>) -> String {
        let payments = if trial.cell.slow_payments { "slow payments" } else { "no slow payments" };
        format!("a hold lasts {} s, {payments}", self.plan.ttl(trial.cell) / 1_000_000)
    }

    fn settings(&self, trial: &Trial<Cell>) -> Result<Vec<simulation::Override>, LabError> {
        let plan = &self.plan;
        Ok(vec![
            ("inventory.reservation_ttl_seconds", whole_seconds("a hold", plan.ttl(trial.cell))?.into()),
            ("order.hold_extension_seconds", whole_seconds("extension_seconds", plan.extension)?.into()),
            ("order.payment_deadline_seconds", whole_seconds("deadline_seconds", plan.deadline)?.into()),
        ])
    }

    fn must_fit<'a>(&'a self, target: &'a dyn Target) -> BoxFuture<'a, Result<(), LabError>> {
        Box::pin(async { must_hold_for(target, whole_seconds("ttl_seconds", self.plan.ttl)?).await })
    }

    fn stock(&self) -> (i64, i64) {
        (self.plan.stock, self.plan.unit_price_minor)
    }

    fn visits(&self, trial: &Trial<Cell>) -> Vec<Visit> {
        let visit = |buyer: &Buyer| {
            let latency = buyer.latency(trial.cell);
            Visit { arrival: buyer.arrival, card: card_token(latency), decided: latency.min(self.plan.deadline) }
        };
        self.buyers.iter().map(visit).collect()
    }

    fn rest(&self, clock: ClockKind) -> Duration {
        if clock == ClockKind::Wall { REST_OF_THE_WALL } else { REST }
    }

    fn grace(&self) -> Grace {
        let second = Duration::from_secs(1);
        Grace { hold_end: REST_OF_THE_WALL / 2, saga: span(self.plan.deadline) + 120 * second, effects: second, books: second }
    }

    fn measure(&self, facts: &Facts, sku: &str, _began: Timestamp) -> Measured {
        measure::measure(facts, sku)
    }

    fn predict(&self, trial: &Trial<Cell>, _measured: &Measured) -> Vec<Figure> {
        named(&model::predict(&self.plan, &self.buyers, modelled(trial.rung), trial.cell))
    }

    /// In a simulated world every figure must be the same. By the wall's clock nothing is so precise: there what is oversold must lie within
    /// two fifths of the model's figure (or three units), and where the model says none there must be none.
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

/// For how many seconds a running system holds stock. That is a setting which no call changes, so it is asked for by a hold that is given
/// back at once.
pub(crate) async fn hold_seconds(target: &dyn Target) -> Result<i64, LabError> {
    let millis = target.now().millis();
    let sku = format!("PROBE-{millis}");
    let ids = Ids::new(Clock::real(), Chance::seeded(millis.unsigned_abs()), "lab", 0);
    let delta = json!({"sku": sku, "warehouse": WAREHOUSE, "delta": 1, "reason": "a probe"});
    target.must(target::Request::post("/inventory/adjust", delta)).await?;
    let before = target.now();
    let items = json!({"orderId": ids.make::<OrderId>(), "items": [{"sku": sku, "quantity": 1}]});
    let held = target.must(target::Request::post("/inventory/reserve", items)).await?;
    let release = json!({"reservationId": held["reservationId"], "fencingToken": held["fencingToken"]});
    target.must(target::Request::post("/inventory/release", release)).await?;
    let expires_at: Option<Timestamp> = held["expiresAt"].as_str().and_then(|at| at.parse().ok());
    let lasts = expires_at.map(|at| (at.since(before).as_millis() + 500) / 1_000).unwrap_or_default();
    Ok(i64::try_from(lasts).unwrap_or(i64::MAX))
}

async fn must_hold_for(target: &dyn Target, seconds: i64) -> Result<(), LabError> {
    let lasts = hold_seconds(target).await?;
    if lasts == seconds || lasts == seconds + 1 {
        return Ok(());
    }
    Err(LabError::Unfit(format!(
        "in this system a hold lasts {lasts} s, and the scenario needs {seconds} s (ttl_seconds / time_scale). Start it with \
         CRASHCART_INVENTORY__RESERVATION_TTL_SECONDS={seconds}, or set the knobs to fit; order.payment_deadline_seconds and \
         order.hold_extension_seconds must match deadline_seconds and extension_seconds in the same way"
    )))
}

/// A number of seconds as a setting shows it.
fn seconds_json(micros: Micros) -> Json {
    Json::from(micros as f64 / 1_000_000.0)
}

#[cfg(test)]
mod tests;
