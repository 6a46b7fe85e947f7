//! Who comes when, and how long each payment takes. Every draw comes from a stream of its own (buyer, purpose). An order's events are told when
//! it is made and when it is paid; these moments keep a guard from the beginning and the end of the outage.

use platform::Chance;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal};

use crate::{
    experiment::{Micros, buyer_name},
    knob::{Knob, KnobError, Knobs},
};

const SECOND: Micros = 1_000_000;
/// How far an order's moments keep away from the ends of the outage.
const GUARD: Micros = SECOND / 4;
/// The longest payment: it is answered before anybody loses patience (`payment.psp_timeout_ms`).
const LONGEST: Micros = 9 * SECOND;
const DRAWS: usize = 1_000;

pub const KNOBS: &[Knob] = &[
    Knob::whole("buyers", 200, 1, 100_000, "How many come, each for one unit."),
    Knob::real("window_seconds", 300.0, 1.0, 86_400.0, "How long they come."),
    Knob::real("outage_at_seconds", 120.0, 0.0, 86_400.0, "When order-service cannot reach the log any more."),
    Knob::real("outage_seconds", 30.0, 1.0, 3_600.0, "For how long."),
    Knob::real("payment_median_seconds", 2.0, 0.01, 8.0, "Half of the payments take less than this."),
    Knob::real("payment_sigma", 0.6, 0.0, 3.0, "Spread of the payments (of the logarithm)."),
    Knob::whole("unit_price_minor", 1_999, 1, 10_000_000, "The price of a unit, in US cents."),
];

/// The knobs as what they mean, in microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub buyers: usize,
    pub window: Micros,
    pub outage_begins: Micros,
    pub outage_ends: Micros,
    pub unit_price_minor: i64,
    payment: LogNormal<f64>,
}

impl Plan {
    /// Refuses knobs that do not go together.
    pub fn of(knobs: &Knobs) -> Result<Self, KnobError> {
        let lasting = |name: &str| (knobs.real(name) * SECOND as f64) as Micros;
        let outage_begins = lasting("outage_at_seconds");
        Ok(Self {
            buyers: usize::try_from(knobs.whole("buyers")).unwrap_or(0),
            window: lasting("window_seconds"),
            outage_begins,
            outage_ends: outage_begins + lasting("outage_seconds"),
            unit_price_minor: knobs.whole("unit_price_minor"),
            payment: LogNormal::new(knobs.real("payment_median_seconds").ln(), knobs.real("payment_sigma"))
                .map_err(|error| KnobError::Together(format!("payments cannot be drawn: {error}")))?,
        })
    }

    #[must_use]
    pub const fn is_in_outage(&self, moment: Micros) -> bool {
        self.outage_begins <= moment && moment < self.outage_ends
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
pub fn draw(plan: &Plan, seed: u64) -> Result<Vec<Buyer>, KnobError> {
    let chance = Chance::seeded(seed);
    (0..plan.buyers)
        .map(|number| {
            let name = buyer_name(number);
            let (mut arrivals, mut payments) = (chance.stream("lab", &name, "arrival"), chance.stream("lab", &name, "latency"));
            let apart = |moment: Micros| [plan.outage_begins, plan.outage_ends].iter().all(|end| (moment - end).abs() >= GUARD);
            std::iter::repeat_with(|| Buyer {
                arrival: arrivals.random_range(0..plan.window),
                latency: ((plan.payment.sample(&mut payments) * SECOND as f64) as Micros).clamp(GUARD, LONGEST),
            })
            .take(DRAWS)
            .find(|buyer| apart(buyer.arrival) && apart(buyer.arrival + buyer.latency))
            .ok_or_else(|| KnobError::Together("nobody can keep away from the ends of the outage; raise window_seconds".into()))
        })
        .collect()
}
