//! Who comes when, and how long each payment takes. Every draw comes from a stream of its own (buyer, purpose). A buyer's draws are
//! repeated until the moments that decide about him (his arrival, the end of his hold, the end of his payment) lie a guard away from
//! everybody else's, and his payment takes neither nearly as long as his hold nor nearly as long as his hold and the skew together: then
//! nothing is decided by how long a hop takes.

use std::collections::BTreeSet;

use platform::Chance;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal};

use crate::{
    experiment::{Micros, buyer_name},
    knob::{Knob, KnobError, Knobs},
};

const SECOND: f64 = 1_000_000.0;
/// The longest payment: above any hold with any skew, and below the time after which the order gives a payment up
/// (`order.payment_deadline_seconds`).
const LONGEST: Micros = 420_000_000;
/// How often a buyer's draws are repeated before the demand is called too dense.
const DRAWS: usize = 2_000;

pub const KNOBS: &[Knob] = &[
    Knob::whole("stock", 40, 1, 100_000, "Units on hand when the demand begins."),
    Knob::real("demand_per_second", 2.0, 0.01, 1_000.0, "Buyers a second, each for one unit."),
    Knob::real("window_seconds", 120.0, 1.0, 86_400.0, "How long buyers come."),
    Knob::whole("ttl_seconds", 30, 1, 200, "How long a hold lasts (inventory.reservation_ttl_seconds)."),
    Knob::whole("skew_seconds", 20, 1, 200, "How far the clock of order-service is behind."),
    Knob::real("fast_median_seconds", 2.0, 0.01, 200.0, "Half of the usual payments take less than this."),
    Knob::real("fast_sigma", 0.6, 0.0, 3.0, "Spread of the usual payments (of the logarithm)."),
    Knob::real("slow_share", 0.5, 0.0, 1.0, "The share of buyers whose payment is slow."),
    Knob::real("slow_median_seconds", 40.0, 0.01, 400.0, "Half of the slow payments take less than this."),
    Knob::real("slow_sigma", 0.2, 0.0, 3.0, "Spread of the slow payments (of the logarithm)."),
    Knob::whole("unit_price_minor", 1_999, 1, 10_000_000, "The price of a unit, in US cents."),
    Knob::real("guard_ms", 10.0, 0.0, 1_000.0, "How far apart decisive moments are kept."),
];

/// The knobs as what they mean, in microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub stock: i64,
    pub buyers: usize,
    pub window: Micros,
    pub ttl: Micros,
    pub skew: Micros,
    pub unit_price_minor: i64,
    guard: Micros,
    slow_share: f64,
    fast: LogNormal<f64>,
    slow: LogNormal<f64>,
}

fn micros(seconds: f64) -> Micros {
    (seconds * SECOND).round() as Micros
}

impl Plan {
    /// Refuses knobs that do not go together.
    pub fn of(knobs: &Knobs) -> Result<Self, KnobError> {
        let lasting = |name: &str| knobs.whole(name) * 1_000_000;
        let spread = |kind: &str| {
            LogNormal::new(knobs.real(&format!("{kind}_median_seconds")).ln(), knobs.real(&format!("{kind}_sigma")))
                .map_err(|error| KnobError::Together(format!("{kind} payments cannot be drawn: {error}")))
        };
        Ok(Self {
            stock: knobs.whole("stock"),
            buyers: (knobs.real("demand_per_second") * knobs.real("window_seconds")).round() as usize,
            window: micros(knobs.real("window_seconds")),
            ttl: lasting("ttl_seconds"),
            skew: lasting("skew_seconds"),
            unit_price_minor: knobs.whole("unit_price_minor"),
            guard: micros(knobs.real("guard_ms") / 1_000.0),
            slow_share: knobs.real("slow_share"),
            fast: spread("fast")?,
            slow: spread("slow")?,
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
    /// When something is decided by him or about him, if he gets a hold.
    fn moments(&self, plan: &Plan) -> [Micros; 3] {
        [self.arrival, self.arrival + plan.ttl, self.arrival + self.latency]
    }
}

/// Draws everybody, in the order of their numbers.
pub fn draw(plan: &Plan, seed: u64) -> Result<Vec<Buyer>, KnobError> {
    let chance = Chance::seeded(seed);
    let mut taken = BTreeSet::new();
    let mut buyers = Vec::with_capacity(plan.buyers);
    for number in 0..plan.buyers {
        let name = buyer_name(number);
        let stream = |purpose: &str| chance.stream("lab", &name, purpose);
        let (mut arrivals, mut latencies) = (stream("arrival"), stream("latency"));
        let payment = if stream("is-slow").random_bool(plan.slow_share) { plan.slow } else { plan.fast };
        let draw = || Buyer {
            arrival: arrivals.random_range(0..plan.window),
            latency: micros(payment.sample(&mut latencies)).clamp(plan.guard.max(1), LONGEST),
        };
        let buyer = std::iter::repeat_with(draw).take(DRAWS).find(|buyer| is_clear(plan, &taken, buyer)).ok_or_else(|| {
            KnobError::Together("buyers cannot be kept apart; lower guard_ms or demand_per_second, or raise window_seconds".into())
        })?;
        taken.extend(buyer.moments(plan));
        buyers.push(buyer);
    }
    Ok(buyers)
}

/// Whether nothing about this buyer is decided in a moment in which something else is.
fn is_clear(plan: &Plan, taken: &BTreeSet<Micros>, buyer: &Buyer) -> bool {
    let near = |moment: Micros| plan.guard > 0 && taken.range(moment - plan.guard + 1..moment + plan.guard).next().is_some();
    let own = [plan.ttl, plan.ttl + plan.skew].into_iter().all(|end| (buyer.latency - end).abs() >= plan.guard);
    own && !buyer.moments(plan).into_iter().any(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(given: &[&str]) -> Plan {
        Plan::of(&Knobs::parse(KNOBS, given.iter().copied()).unwrap()).unwrap()
    }

    #[test]
    fn the_guard_holds_between_everybodys_moments_and_around_the_ends_of_his_own_hold() {
        let plan = plan(&[]);
        let buyers = draw(&plan, 42).unwrap();
        assert_eq!(buyers.len(), 240);
        let mut owned: Vec<(Micros, usize)> =
            buyers.iter().enumerate().flat_map(|(number, buyer)| buyer.moments(&plan).map(|moment| (moment, number))).collect();
        owned.sort_unstable();
        assert!(owned.windows(2).all(|pair| pair[0].1 == pair[1].1 || pair[1].0 - pair[0].0 >= plan.guard));
        for buyer in &buyers {
            assert!((buyer.latency - 30_000_000).abs() >= 10_000 && (buyer.latency - 50_000_000).abs() >= 10_000, "{buyer:?}");
        }
        assert_eq!(buyers, draw(&plan, 42).unwrap());
        assert_ne!(buyers, draw(&plan, 43).unwrap());
    }

    #[test]
    fn latencies_are_what_the_knobs_say() {
        let buyers = draw(&plan(&["window_seconds=2000", "demand_per_second=1"]), 5).unwrap();
        let late = buyers.iter().filter(|buyer| buyer.latency > 30_000_000).count();
        let too_late = buyers.iter().filter(|buyer| buyer.latency > 50_000_000).count();
        // Half of them are slow; of those more than nine in ten take longer than 30 s, and one in eight longer than 50 s.
        assert!((850..1_000).contains(&late), "{late} of 2,000");
        assert!((90..180).contains(&too_late), "{too_late} of 2,000");
    }

    #[test]
    fn who_cannot_be_kept_apart_is_refused() {
        let dense = plan(&["window_seconds=1", "demand_per_second=1000"]);
        assert!(draw(&dense, 1).unwrap_err().to_string().contains("guard_ms"));
    }
}
