//! The demand of the oversell scenario: who comes when, and how long his payment takes. Every draw comes from a stream of its own (buyer,
//! purpose), so that the same people come at the same moments on every rung and in the twins; a twin without slow payments gives the same
//! slow buyers their fast latency instead.
//!
//! In a system every step takes a few hops of 20 to 200 µs, so that two moments less than some milliseconds apart may change places from rung
//! to rung. Then a figure would depend on transport, not on the demand. So a buyer's draws are repeated until his deciding moments
//! (arrival, end of payment) lie a guard away from everybody's moments that matter to him (ends of holds too) and his ends of holds lie as
//! far from everybody's deciding moments. The order of events is then a property of the demand. In the same way no payment takes nearly half a
//! second more than whole seconds, so that for how many whole seconds a unit is held is one too.

use std::collections::BTreeSet;

use platform::Chance;
use rand::RngExt;
use rand_distr::{Distribution, LogNormal};

use crate::{
    experiment::{Micros, buyer_name},
    knob::{Knob, KnobError, Knobs},
};

const SECOND: f64 = 1_000_000.0;
/// How often a buyer's draws are repeated before the demand is called too dense.
const DRAWS: usize = 2_000;

/// What can be turned. Durations are given as in the world without `time_scale`.
pub const KNOBS: &[Knob] = &[
    Knob::whole("stock", 100, 1, 100_000, "Units on hand when the demand begins."),
    Knob::real("demand_per_second", 5.0, 0.01, 1_000.0, "Buyers a second, each for one unit."),
    Knob::real("window_seconds", 600.0, 1.0, 86_400.0, "How long buyers come."),
    Knob::whole("ttl_seconds", 120, 1, 86_400, "How long a hold lasts (inventory.reservation_ttl_seconds)."),
    Knob::whole("long_ttl_seconds", 900, 1, 86_400, "The same in the twins with a long hold: longer than any payment may take."),
    Knob::real("fast_median_seconds", 2.0, 0.01, 3_600.0, "Half of the usual payments take less than this."),
    Knob::real("fast_sigma", 0.6, 0.0, 3.0, "Spread of the usual payments (of the logarithm)."),
    Knob::real("slow_share", 0.2, 0.0, 1.0, "The share of buyers whose payment is slow."),
    Knob::real("slow_median_seconds", 150.0, 0.01, 3_600.0, "Half of the slow payments take less than this."),
    Knob::real("slow_sigma", 0.3, 0.0, 3.0, "Spread of the slow payments (of the logarithm)."),
    Knob::whole("extension_seconds", 240, 1, 86_400, "R2: how long a hold is made to last when the payment starts."),
    Knob::whole("deadline_seconds", 480, 1, 86_400, "How long a payment may take in all (order.payment_deadline_seconds)."),
    Knob::whole("unit_price_minor", 1_999, 1, 10_000_000, "The price of a unit, in US cents."),
    Knob::real("guard_ms", 5.0, 0.0, 1_000.0, "How far apart decisive moments are kept."),
    Knob::real("time_scale", 1.0, 1.0, 1_000.0, "Every duration is divided by this: ten minutes at 60 take ten seconds."),
];

/// How much longer than the payment deadline a two-phase hold lives: time to ask and to void.
const TWO_PHASE_MARGIN_SECONDS: f64 = 60.0;

/// The knobs as what they mean: durations scaled, in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub stock: i64,
    pub buyers: usize,
    pub unit_price_minor: i64,
    pub window: Micros,
    pub ttl: Micros,
    pub long_ttl: Micros,
    /// R2: how long a hold lasts from the start of the payment.
    pub extension: Micros,
    /// R3: the same.
    pub two_phase: Micros,
    pub deadline: Micros,
    pub guard: Micros,
    pub scale: f64,
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
        let scale = knobs.real("time_scale");
        let lasting = |name: &str| micros(knobs.real(name) / scale);
        let spread = |kind: &str| {
            let (median, sigma) = (knobs.real(&format!("{kind}_median_seconds")) / scale, knobs.real(&format!("{kind}_sigma")));
            LogNormal::new(median.ln(), sigma).map_err(|error| KnobError::Together(format!("{kind} payments cannot be drawn: {error}")))
        };
        let buyers = (knobs.real("demand_per_second") * knobs.real("window_seconds")).round() as usize;
        let plan = Self {
            stock: knobs.whole("stock"),
            buyers,
            unit_price_minor: knobs.whole("unit_price_minor"),
            window: lasting("window_seconds"),
            ttl: lasting("ttl_seconds"),
            long_ttl: lasting("long_ttl_seconds"),
            extension: lasting("extension_seconds"),
            two_phase: lasting("deadline_seconds") + micros(TWO_PHASE_MARGIN_SECONDS),
            deadline: lasting("deadline_seconds"),
            guard: micros(knobs.real("guard_ms") / 1_000.0),
            scale,
            slow_share: knobs.real("slow_share"),
            fast: spread("fast")?,
            slow: spread("slow")?,
        };
        if buyers == 0 {
            return Err(KnobError::Together("nobody comes: demand_per_second × window_seconds must be 1 or more".into()));
        }
        if plan.long_ttl <= plan.deadline {
            return Err(KnobError::Together("long_ttl_seconds must be above deadline_seconds: in a twin no hold may run out".into()));
        }
        Ok(plan)
    }

    /// How long a hold lasts at first.
    #[must_use]
    pub fn ttl(&self, cell: Cell) -> Micros {
        if cell.short_hold { self.ttl } else { self.long_ttl }
    }
}

/// One cell of the two by two of a scenario's conditions. The cell with both is the run, the others are its twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// A hold lasts `ttl_seconds`, not `long_ttl_seconds`.
    pub short_hold: bool,
    /// Some payments are slow.
    pub slow_payments: bool,
}

impl Cell {
    pub const RUN: Self = Self { short_hold: true, slow_payments: true };
    pub const TWINS: [Self; 3] = [
        Self { short_hold: true, slow_payments: false },
        Self { short_hold: false, slow_payments: true },
        Self { short_hold: false, slow_payments: false },
    ];
}

/// One buyer of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buyer {
    pub arrival: Micros,
    pub is_slow: bool,
    fast_latency: Micros,
    slow_latency: Micros,
}

impl Buyer {
    #[cfg(test)]
    pub(crate) const fn planted(arrival: Micros, latency: Micros) -> Self {
        Self { arrival, is_slow: false, fast_latency: latency, slow_latency: latency }
    }

    /// How long his payment takes in this cell.
    #[must_use]
    pub const fn latency(&self, cell: Cell) -> Micros {
        if self.is_slow && cell.slow_payments { self.slow_latency } else { self.fast_latency }
    }

    /// The moments at which something is decided for him or by him.
    fn deciding(&self, plan: &Plan) -> impl Iterator<Item = Micros> {
        let slow = self.is_slow.then_some(self.slow_latency);
        // A payment that takes longer than it may ends at the deadline.
        let ends = [Some(self.fast_latency), slow].into_iter().flatten().map(|latency| self.arrival + latency.min(plan.deadline));
        std::iter::once(self.arrival).chain(ends)
    }

    /// The moments at which a hold of his may end.
    fn hold_ends(&self, plan: &Plan) -> impl Iterator<Item = Micros> {
        [plan.ttl, plan.long_ttl, plan.extension, plan.two_phase].map(|lasting| self.arrival + lasting).into_iter()
    }
}

/// Whether a moment is less than `guard` from one of these.
fn is_near(moments: &BTreeSet<Micros>, moment: Micros, guard: Micros) -> bool {
    guard > 0 && moments.range(moment - guard + 1..moment + guard).next().is_some()
}

/// Draws everybody, in the order of their numbers.
pub fn draw(plan: &Plan, seed: u64) -> Result<Vec<Buyer>, KnobError> {
    let chance = Chance::seeded(seed);
    let (mut deciding, mut ends) = (BTreeSet::new(), BTreeSet::new());
    let mut buyers = Vec::with_capacity(plan.buyers);
    for number in 0..plan.buyers {
        let name = buyer_name(number);
        let stream = |purpose: &str| chance.stream("lab", &name, purpose);
        let (mut arrivals, mut fast, mut slow) = (stream("arrival"), stream("fast-latency"), stream("slow-latency"));
        let is_slow = stream("is-slow").random_bool(plan.slow_share);
        let longest = micros(86_400.0);
        let mut draw = || Buyer {
            arrival: arrivals.random_range(0..plan.window),
            is_slow,
            fast_latency: micros(plan.fast.sample(&mut fast)).clamp(plan.guard.max(1), longest),
            slow_latency: micros(plan.slow.sample(&mut slow)).clamp(plan.guard.max(1), longest),
        };
        let fits = |buyer: &Buyer| {
            let near = |one: Micros, other: Micros| (one - other).abs() < plan.guard;
            let latencies = [Some(buyer.fast_latency), is_slow.then_some(buyer.slow_latency)];
            // His own payment against his own holds and its deadline; the cheapest question first.
            let own = [plan.ttl, plan.long_ttl, plan.extension, plan.two_phase, plan.deadline];
            !latencies.into_iter().flatten().any(|latency| own.iter().any(|end| near(latency, *end)))
                && !latencies.into_iter().flatten().any(|latency| near(latency.rem_euclid(1_000_000), 500_000))
                && !buyer.deciding(plan).any(|moment| is_near(&deciding, moment, plan.guard) || is_near(&ends, moment, plan.guard))
                && !buyer.hold_ends(plan).any(|end| is_near(&deciding, end, plan.guard))
        };
        let drawn = std::iter::repeat_with(&mut draw).take(DRAWS).find(fits).ok_or_else(|| {
            KnobError::Together(format!(
                "{} buyers in {} s are too dense to keep their decisive moments {} µs apart; lower guard_ms or demand_per_second, or raise \
                 window_seconds",
                plan.buyers,
                plan.window / 1_000_000,
                plan.guard
            ))
        })?;
        deciding.extend(drawn.deciding(plan));
        ends.extend(drawn.hold_ends(plan));
        buyers.push(drawn);
    }
    Ok(buyers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(given: &[&str]) -> Plan {
        Plan::of(&Knobs::parse(KNOBS, given.iter().copied()).unwrap()).unwrap()
    }

    #[test]
    fn the_guard_holds_between_everybodys_decisive_moments() {
        let plan = plan(&[]);
        let buyers = draw(&plan, 42).unwrap();
        assert_eq!(buyers.len(), 3_000);
        let mut deciding: Vec<Micros> = buyers.iter().flat_map(|buyer| buyer.deciding(&plan)).collect();
        deciding.sort_unstable();
        assert!(deciding.windows(2).all(|pair| pair[1] - pair[0] >= plan.guard), "two deciding moments are too close");
        let ends: BTreeSet<Micros> = buyers.iter().flat_map(|buyer| buyer.hold_ends(&plan)).collect();
        assert!(!deciding.iter().any(|moment| is_near(&ends, *moment, plan.guard)), "a hold ends too close to a deciding moment");
        for buyer in &buyers {
            let latencies = [Some(buyer.fast_latency), buyer.is_slow.then_some(buyer.slow_latency)];
            for latency in latencies.into_iter().flatten() {
                for end in [plan.ttl, plan.long_ttl, plan.extension, plan.two_phase, plan.deadline] {
                    assert!((latency - end).abs() >= plan.guard, "{buyer:?}");
                }
                assert!((latency % 1_000_000 - 500_000).abs() >= plan.guard, "{buyer:?}");
            }
        }
    }

    #[test]
    fn the_same_people_come_in_the_twins() {
        let plan = plan(&[]);
        let buyers = draw(&plan, 7).unwrap();
        assert_eq!(buyers, draw(&plan, 7).unwrap());
        assert_ne!(buyers, draw(&plan, 8).unwrap());
        let slow: Vec<_> = buyers.iter().filter(|buyer| buyer.is_slow).collect();
        assert!((450..750).contains(&slow.len()), "{} of 3,000 are slow", slow.len());
        let [no_slow, long_hold, _] = Cell::TWINS;
        for buyer in &buyers {
            assert_eq!(buyer.latency(Cell::RUN), buyer.latency(long_hold));
            assert_eq!(buyer.latency(no_slow), buyer.fast_latency);
            assert_eq!(buyer.is_slow, buyer.latency(Cell::RUN) != buyer.latency(no_slow));
        }
        assert_eq!((plan.ttl(no_slow), plan.ttl(long_hold)), (120_000_000, 900_000_000));
    }

    #[test]
    fn a_draw_is_named_by_buyer_and_purpose() {
        // Without the guard nobody's draw looks at anybody else's: fewer buyers are a prefix of more.
        let few = draw(&plan(&["guard_ms=0", "demand_per_second=1"]), 3).unwrap();
        let many = draw(&plan(&["guard_ms=0"]), 3).unwrap();
        assert_eq!(few[..], many[..few.len()]);
        // Nobody is slow: arrivals and fast latencies stay.
        let fast = draw(&plan(&["guard_ms=0", "slow_share=0"]), 3).unwrap();
        assert!(fast.iter().zip(&many).all(|(a, b)| (a.arrival, a.fast_latency, a.is_slow) == (b.arrival, b.fast_latency, false)));
    }

    #[test]
    fn latencies_are_what_the_knobs_say() {
        let plan = plan(&[]);
        let buyers = draw(&plan, 5).unwrap();
        let median = |mut values: Vec<Micros>| {
            values.sort_unstable();
            values[values.len() / 2]
        };
        let fast = median(buyers.iter().map(|buyer| buyer.fast_latency).collect());
        let slow = median(buyers.iter().map(|buyer| buyer.slow_latency).collect());
        assert!((1_850_000..2_150_000).contains(&fast), "{fast}");
        assert!((146_000_000..154_000_000).contains(&slow), "{slow}");
    }

    #[test]
    fn time_can_be_scaled_down() {
        let plan = plan(&["time_scale=60"]);
        assert_eq!((plan.window, plan.ttl, plan.deadline, plan.buyers), (10_000_000, 2_000_000, 8_000_000, 3_000));
    }

    #[test]
    fn knobs_that_do_not_go_together_are_refused() {
        let told = |given: &str| Plan::of(&Knobs::parse(KNOBS, given.split(' ')).unwrap()).unwrap_err().to_string();
        assert!(told("demand_per_second=0.01 window_seconds=1").contains("nobody comes"));
        assert!(told("long_ttl_seconds=480").contains("above deadline_seconds"));
        let dense = plan(&["window_seconds=2", "demand_per_second=1000"]);
        assert!(draw(&dense, 1).unwrap_err().to_string().contains("too dense"));
    }
}
