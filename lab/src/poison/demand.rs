//! Who comes when, how long each payment takes, and whose capture is told in a record that nobody can read: that of the first few by number, who come
//! in the first half, so that others come behind them. Every draw comes from a stream of its own (buyer, purpose). A record is corrupted by the
//! moment at which it is written, so everybody else's moment keeps well apart from theirs.

use platform::Chance;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal};

use crate::{
    experiment::{Micros, buyer_name},
    knob::{Knob, KnobError, Knobs},
};

const SECOND: Micros = 1_000_000;
/// How far from a poisoned payment's moment its record may be written; whoever else pays does so at least twice as far away.
pub const GUARD: Micros = SECOND / 2;
/// The longest payment: it is answered before anybody loses patience (`payment.psp_timeout_ms`).
const LONGEST: Micros = 9 * SECOND;
const DRAWS: usize = 1_000;

pub const KNOBS: &[Knob] = &[
    Knob::whole("buyers", 120, 1, 100_000, "How many come, each for one unit."),
    Knob::real("window_seconds", 300.0, 1.0, 86_400.0, "How long they come."),
    Knob::whole("poisoned", 3, 0, 1_000, "Of how many the capture is told in a record that nobody can read."),
    Knob::real("payment_median_seconds", 2.0, 0.01, 8.0, "Half of the payments take less than this."),
    Knob::real("payment_sigma", 0.6, 0.0, 3.0, "Spread of the payments (of the logarithm)."),
    Knob::whole("unit_price_minor", 1_999, 1, 10_000_000, "The price of a unit, in US cents."),
];

/// The knobs as what they mean, in microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub buyers: usize,
    pub window: Micros,
    pub poisoned: usize,
    pub unit_price_minor: i64,
    payment: LogNormal<f64>,
}

impl Plan {
    /// Refuses knobs that do not go together.
    pub fn of(knobs: &Knobs) -> Result<Self, KnobError> {
        let buyers = usize::try_from(knobs.whole("buyers")).unwrap_or(0);
        Ok(Self {
            buyers,
            window: (knobs.real("window_seconds") * SECOND as f64) as Micros,
            poisoned: usize::try_from(knobs.whole("poisoned")).unwrap_or(0).min(buyers),
            unit_price_minor: knobs.whole("unit_price_minor"),
            payment: LogNormal::new(knobs.real("payment_median_seconds").ln(), knobs.real("payment_sigma"))
                .map_err(|error| KnobError::Together(format!("payments cannot be drawn: {error}")))?,
        })
    }
}

/// One buyer of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buyer {
    pub arrival: Micros,
    /// How long his payment takes.
    pub latency: Micros,
}

impl Buyer {
    /// When his payment is captured, and that is told.
    #[must_use]
    pub const fn pays(&self) -> Micros {
        self.arrival + self.latency
    }
}

/// Draws everybody, in the order of their numbers; the first `plan.poisoned` of them are those whose record nobody can read.
pub fn draw(plan: &Plan, seed: u64) -> Result<Vec<Buyer>, KnobError> {
    let chance = Chance::seeded(seed);
    let mut buyers: Vec<Buyer> = Vec::with_capacity(plan.buyers);
    for number in 0..plan.buyers {
        let name = buyer_name(number);
        let (mut arrivals, mut payments) = (chance.stream("lab", &name, "arrival"), chance.stream("lab", &name, "latency"));
        let latest = if number < plan.poisoned { plan.window / 2 } else { plan.window };
        let apart = |buyer: &Buyer| buyers.iter().take(plan.poisoned).all(|other| (buyer.pays() - other.pays()).abs() >= 2 * GUARD);
        let drawn = std::iter::repeat_with(|| Buyer {
            arrival: arrivals.random_range(0..latest),
            latency: ((plan.payment.sample(&mut payments) * SECOND as f64) as Micros).clamp(SECOND / 4, LONGEST),
        })
        .take(DRAWS)
        .find(apart)
        .ok_or_else(|| KnobError::Together("nobody can keep away from the poisoned payments; raise window_seconds".into()))?;
        buyers.push(drawn);
    }
    Ok(buyers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_pays_close_to_a_poisoned_payment() {
        let mut knobs = Knobs::of(KNOBS);
        let plan = Plan::of(&knobs).unwrap();
        let buyers = draw(&plan, 42).unwrap();
        assert_eq!((buyers.len(), buyers.iter().filter(|buyer| buyer.arrival < plan.window).count()), (120, 120));
        for (number, poisoned) in buyers.iter().enumerate().take(plan.poisoned) {
            assert!(poisoned.arrival < plan.window / 2);
            let others = buyers.iter().enumerate().filter(|(other, _)| *other != number);
            assert!(others.map(|(_, other)| (other.pays() - poisoned.pays()).abs()).all(|apart| apart >= 2 * GUARD));
        }
        knobs.set("window_seconds=1").unwrap();
        knobs.set("poisoned=50").unwrap();
        assert!(draw(&Plan::of(&knobs).unwrap(), 42).is_err());
    }
}
