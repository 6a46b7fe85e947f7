//! A stale price (ledger X-15): a cart is checked out long after it was filled, at a price that nobody offers any more. A quote says until when
//! it holds; a checkout that does not ask charges it all the same, and what has become dearer meanwhile is sold for less.
//!
//! Reading order: [`demand`] (who comes, and how long each thinks it over), [`model`] (what must come out), this file (what is declared),
//! [`measure`] (the figures of a run), [`tell`] (the incident record).

pub mod demand;
pub mod measure;
pub mod model;
mod tell;

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::json;
use types::Timestamp;

use self::{
    demand::{Buyer, KNOBS, Plan},
    measure::{Figures, Measured},
};
use crate::{
    experiment::{self, Experiment, Story, Told, Trial, Visit, Visitor, span, tell::counted},
    facts::Facts,
    invariants::{Grace, Invariant},
    knob::Knobs,
    record::{Damage, Precondition},
    scenario::{Column, Figure, LabError, Request, Rung, Scenario},
    target::{self, ClockKind, Target, TargetError, simulation},
};

pub const SCENARIO: Scenario = Scenario {
    name: "stale-price",
    summary: "A cart is checked out after its quote has ended, and charged what it would have cost.",
    knobs: KNOBS,
    phases: &[
        ("baseline", "A new SKU gets a price, and stock for everybody."),
        ("inject", "The services take the rung; a quote holds for quote_seconds."),
        (
            "observe",
            "Every buyer fills his cart, thinks it over and checks out; meanwhile the price changes. Who is shown a new price takes it.",
        ),
        ("settle", "Every order has ended."),
        ("verify", "Invariants and figures, from the audit exports and the provider's truth."),
        ("revert", "The services go back to the remedied rung. Last, because the rung is a part of what is measured."),
    ],
    ladder: LADDER,
    precondition: "a cart is checked out after its quote has ended, and the price has changed meanwhile",
    columns: &[
        Column { figure: "sold", heading: &["sold"], is_money: false },
        Column { figure: "ended_quotes_charged", heading: &["ended", "quotes"], is_money: false },
        Column { figure: "money_at_risk_minor", heading: &["at risk"], is_money: true },
        Column { figure: "asked_again", heading: &["asked", "again"], is_money: false },
        Column { figure: "asked_for_nothing", heading: &["for", "nothing"], is_money: false },
    ],
    damage: ["order that was charged by an ended quote", "orders that were charged by an ended quote"],
    describe,
    simulate: experiment::simulate::<StalePrice>,
    against: experiment::against::<StalePrice>,
    keep: experiment::keep::<StalePrice>,
};

const LADDER: &[Rung] = &[
    Rung {
        name: "R0",
        title: "the quote is kept",
        description: "The checkout charges what the cart was quoted, however long ago. Price: goods are sold at prices that nobody offers.",
        breaks: &[Invariant::I19],
    },
    Rung {
        name: "R1",
        title: "an ended quote is refused",
        description: "A checkout whose quote has ended is refused, and its buyer shown the cart as it is priced now. Price: buyers are asked \
                      again although nothing has become dearer.",
        breaks: &[],
    },
    Rung {
        name: "R2",
        title: "quoted again",
        description: "The cart is priced anew at its checkout, which is refused only if the total has risen. Price: whoever would pay more is \
                      asked again.",
        breaks: &[],
    },
];

fn describe(knobs: &Knobs) -> String {
    format!(
        "{} buyers in {} s, {} % of them check out after their quote of {} s has ended; the price changes meanwhile",
        knobs.whole("buyers"),
        knobs.real("window_seconds"),
        knobs.real("late_share") * 100.0,
        knobs.whole("quote_seconds")
    )
}

fn named(figures: &Figures) -> Vec<Figure> {
    vec![
        ("orders", figures.orders),
        ("sold", figures.sold),
        ("ended_quotes_charged", figures.ended_quotes_charged),
        ("money_at_risk_minor", figures.money_at_risk_minor),
        ("asked_again", figures.asked_again),
        ("asked_for_nothing", figures.asked_for_nothing),
        ("goods_minor", figures.goods_minor),
    ]
}

/// Whether some take longer than their quote holds. The run has that and its own rung; its twins have the one or the other taken away, or
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    late: bool,
}

/// The scenario, drawn.
#[derive(Clone, Debug)]
pub struct StalePrice {
    plan: Plan,
    buyers: Vec<Buyer>,
}

impl experiment::Measured for Measured {
    fn figures(&self) -> Vec<Figure> {
        named(&self.figures)
    }

    fn preconditions(&self) -> Vec<Precondition> {
        vec![
            counted("carts that were checked out after their quote had ended", self.precondition.late),
            counted("those whose price had changed meanwhile", self.precondition.late_and_changed),
        ]
    }

    fn primary(&self) -> i64 {
        self.figures.ended_quotes_charged
    }

    fn displaced(&self) -> i64 {
        self.figures.asked_for_nothing
    }

    fn damaged(&self) -> Vec<Damage> {
        self.damaged.clone()
    }
}

impl StalePrice {
    /// What a unit costs from now on.
    async fn price(target: &dyn Target, sku: &str, unit_price_minor: i64) -> Result<(), TargetError> {
        let price = json!({"unitPrice": {"amount": unit_price_minor, "currency": "USD"}});
        target.must(target::Request::put(format!("/pricing/books/standard-usd/entries/{sku}"), price)).await.map(drop)
    }
}

impl Experiment for StalePrice {
    type Cell = Cell;
    type Measured = Measured;
    const DAMAGE: &'static str = "charged by an ended quote";

    fn of(request: &Request) -> Result<Self, LabError> {
        let plan = Plan::of(&request.knobs)?;
        let buyers = demand::draw(&plan, request.seed)?;
        Ok(Self { plan, buyers })
    }

    /// Beside the run: the same rung where everybody is in time; and, for those below it, the remedied rung with and without.
    fn trials(&self, rung: &'static Rung, _clock: ClockKind) -> Vec<Trial<Cell>> {
        Trial::two_by_two(LADDER, rung, Cell { late: true }, Cell { late: false })
    }

    fn conditions(&self, trial: &Trial<Cell>) -> String {
        format!("{}, {}", if trial.cell.late { "late checkouts" } else { "everybody in time" }, trial.rung.name)
    }

    fn settings(&self, _trial: &Trial<Cell>) -> Result<Vec<simulation::Override>, LabError> {
        Ok(vec![("pricing.quote_valid_seconds", (self.plan.quote / 1_000_000).into())])
    }

    /// Whether in a running system a quote holds for as long as the scenario needs it. That is a setting which no call changes.
    fn must_fit<'a>(&'a self, target: &'a dyn Target) -> BoxFuture<'a, Result<(), LabError>> {
        Box::pin(async move {
            let sku = format!("PROBE-{}", target.now().millis());
            Self::price(target, &sku, self.plan.unit_price_minor).await?;
            let before = target.now();
            let quote = target.must(target::Request::get(format!("/pricing/{sku}?currency=USD"))).await?;
            let until: Option<Timestamp> = quote["validUntil"].as_str().and_then(|at| at.parse().ok());
            let (holds, needed) = (until.map(|until| until.since(before)).unwrap_or_default(), span(self.plan.quote));
            if holds >= needed && holds <= needed + Duration::from_secs(2) {
                return Ok(());
            }
            Err(LabError::Unfit(format!(
                "in this system a quote holds for {} s, and the scenario needs {} s. Start it with CRASHCART_PRICING__QUOTE_VALID_SECONDS={}, \
                 or set quote_seconds to fit",
                holds.as_secs(),
                needed.as_secs(),
                needed.as_secs()
            )))
        })
    }

    fn stock(&self) -> (i64, i64) {
        (self.buyers.len() as i64, self.plan.unit_price_minor)
    }

    fn visits(&self, trial: &Trial<Cell>) -> Vec<Visit> {
        let visit = |buyer: &Buyer| Visit { arrival: buyer.fills + buyer.thinks(trial.cell.late), card: "tok_ok".into(), decided: 0 };
        self.buyers.iter().map(visit).collect()
    }

    /// He fills his cart, thinks it over and checks out; when he is told that it costs something else now, he looks and says it again.
    fn shop<'a>(&'a self, visitor: Visitor<'a>, _trial: &'a Trial<Cell>) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            let Some(buyer) = self.buyers.get(visitor.number) else { return Ok(()) };
            visitor.target.sleep_until(visitor.began.plus(span(buyer.fills))).await;
            let cart = visitor.fill_cart().await?;
            visitor.target.sleep_until(visitor.began.plus(span(visitor.visit.arrival))).await;
            match visitor.check_out(&cart).await {
                Err(TargetError::Refused { slug, .. }) if slug == "price-changed" => {
                    visitor.target.must(visitor.by(target::Request::get(format!("/carts/{cart}")))).await?;
                    visitor.check_out(&cart).await.map(drop)
                }
                other => other.map(drop),
            }
        })
    }

    /// The price changes.
    fn interfere<'a>(
        &'a self,
        target: &'a dyn Target,
        sku: &'a str,
        _trial: &'a Trial<Cell>,
        began: Timestamp,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            target.sleep_until(began.plus(span(self.plan.changes))).await;
            Self::price(target, sku, self.plan.new_unit_price_minor).await
        })
    }

    fn grace(&self) -> Grace {
        Grace::settled(span(self.plan.longest()))
    }

    fn measure(&self, facts: &Facts, sku: &str, began: Timestamp) -> Measured {
        measure::measure(facts, sku, &self.plan, began)
    }

    fn predict(&self, trial: &Trial<Cell>, _measured: &Measured) -> Vec<Figure> {
        named(&model::predict(&self.plan, &self.buyers, trial.rung.name, trial.cell.late))
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
