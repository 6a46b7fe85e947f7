//! Who comes when, how long each payment takes, and when somebody in the shop makes up to the buyer for something: twice, shortly after each other.
//! Every draw comes from a stream of its own (buyer, purpose). No two buyers matter to each other.

use platform::Chance;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal};

use crate::{
    experiment::{Micros, buyer_name},
    knob::{Knob, KnobError, Knobs},
};

const SECOND: Micros = 1_000_000;
/// The longest payment: it is answered before anybody loses patience (`payment.psp_timeout_ms`).
const LONGEST: Micros = 9 * SECOND;
/// How many credits an order is granted.
pub const CREDITS: i64 = 2;

pub const KNOBS: &[Knob] = &[
    Knob::whole("buyers", 60, 1, 100_000, "How many come, each for one unit."),
    Knob::real("window_seconds", 120.0, 1.0, 86_400.0, "How long they come."),
    Knob::real("credit_after_seconds", 60.0, 10.0, 3_600.0, "How long after his payment a buyer is granted his credits."),
    // Paid twice, both credits are the whole order at most: no limit of the payment stands in their way.
    Knob::whole("credit_percent", 10, 1, 25, "What each of his two credits is of what he paid."),
    Knob::real("payment_median_seconds", 2.0, 0.01, 8.0, "Half of the payments take less than this."),
    Knob::real("payment_sigma", 0.6, 0.0, 3.0, "Spread of the payments (of the logarithm)."),
    Knob::whole("unit_price_minor", 1_999, 100, 10_000_000, "The price of a unit, in US cents."),
];

/// The knobs as what they mean; times in microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub buyers: usize,
    pub window: Micros,
    pub credit_after: Micros,
    pub credit_percent: i64,
    pub unit_price_minor: i64,
    payment: LogNormal<f64>,
}

impl Plan {
    /// Refuses knobs that do not go together.
    pub fn of(knobs: &Knobs) -> Result<Self, KnobError> {
        let lasting = |name: &str| (knobs.real(name) * SECOND as f64) as Micros;
        Ok(Self {
            buyers: usize::try_from(knobs.whole("buyers")).unwrap_or(0),
            window: lasting("window_seconds"),
            credit_after: lasting("credit_after_seconds"),
            credit_percent: knobs.whole("credit_percent"),
            unit_price_minor: knobs.whole("unit_price_minor"),
            payment: LogNormal::new(knobs.real("payment_median_seconds").ln(), knobs.real("payment_sigma"))
                .map_err(|error| KnobError::Together(format!("payments cannot be drawn: {error}")))?,
        })
    }

    /// What one credit of an order is that cost this much; both in minor units.
    #[must_use]
    pub const fn credit_of(&self, order_total: i64) -> i64 {
        order_total * self.credit_percent / 100
    }

    /// When the last credit has been granted and taken, whoever came last.
    #[must_use]
    pub const fn ends(&self) -> Micros {
        self.window + LONGEST + self.credit_after + 30 * SECOND
    }
}

/// One buyer of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buyer {
    pub arrival: Micros,
    /// How long his payment takes.
    pub latency: Micros,
}

/// Draws everybody, in the order of their numbers.
#[must_use]
pub fn draw(plan: &Plan, seed: u64) -> Vec<Buyer> {
    let chance = Chance::seeded(seed);
    let buyer = |number| {
        let name = buyer_name(number);
        let payment = plan.payment.sample(&mut chance.stream("lab", &name, "latency"));
        Buyer {
            arrival: chance.stream("lab", &name, "arrival").random_range(0..plan.window),
            latency: ((payment * SECOND as f64) as Micros).clamp(SECOND / 10, LONGEST),
        }
    };
    (0..plan.buyers).map(buyer).collect()
}
